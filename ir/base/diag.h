/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Diagnostics: what is wrong, where, in the language's own terms, with the fix where one is known.
 * Every diagnostic has a stable id (E0123), listed once in diagnostics.def and explained there for
 * `tegula explain`. Nothing here prints: the sink collects, tools render.
 */
#ifndef TG_DIAG_H
#define TG_DIAG_H

#include "ir/base/base.h"

/* One source text known to the compiler. `name` is what the user typed; text is NUL-terminated. */
typedef struct tg_source {
    const char *name;
    const char *text;
    size_t len;
} tg_source;

/* Byte range [begin, end) of one source. source NULL: no position. */
typedef struct tg_span {
    const tg_source *source;
    uint32_t begin, end;
} tg_span;

typedef enum tg_severity { TG_SEV_ERROR, TG_SEV_WARNING, TG_SEV_REMARK } tg_severity;

/* Ids come from the room tables: X(number, TITLE_IDENT, "one-line title", "explanation page"). */
typedef enum tg_diag_id {
#define TG_DIAG(number, ident, title, page) TG_D_##ident = number,
#include "ir/base/diagnostics.def"
#undef TG_DIAG
    TG_D_LAST
} tg_diag_id;

typedef struct tg_note {
    tg_span span; /* may be empty */
    const char *text;
    const char *fix; /* replacement text for span, or NULL */
    struct tg_note *next;
} tg_note;

typedef struct tg_diag {
    tg_diag_id id;
    tg_severity severity;
    tg_span span;
    const char *text;
    tg_note *notes;
    int round; /* the sink's when it was reported */
    struct tg_diag *next;
} tg_diag;

/*
 * Collects diagnostics in an arena, in the order reported. Errors beyond max_errors are counted
 * only, and so are repeats: a kernel is checked once per specialisation, and what one round has
 * said of a place is not said again by a later one (round 0: only equal texts are repeats).
 */
typedef struct tg_sink {
    tg_arena *arena;
    tg_diag *first, *last;
    int errors, warnings; /* all, listed or not */
    int listed_errors;
    int max_errors; /* default 20 */
    int round;      /* raised by whoever checks the same text again */
    tg_diag *spare; /* what reports beyond max_errors return */
} tg_sink;

void tg_sink_init(tg_sink *s, tg_arena *a);

/* Reports; the result takes notes and is never NULL. */
tg_diag *tg_report(tg_sink *s, tg_severity sev, tg_diag_id id, tg_span span, const char *fmt, ...)
    TG_PRINTF(5, 6);
tg_diag *tg_error(tg_sink *s, tg_diag_id id, tg_span span, const char *fmt, ...) TG_PRINTF(4, 5);
void tg_note_add(tg_sink *s, tg_diag *d, tg_span span, const char *fmt, ...) TG_PRINTF(4, 5);
/* A note that offers `fix` as the replacement of span's text. */
void tg_note_fix(tg_sink *s, tg_diag *d, tg_span span, const char *fix, const char *fmt, ...)
    TG_PRINTF(5, 6);

/* 1-based line and column (in bytes, tabs count 1) of a byte offset. */
void tg_source_position(const tg_source *src, uint32_t offset, int *out_line, int *out_col);

tg_span tg_span_join(tg_span a, tg_span b);

/* Appends `file:line:col: error[E0123]: text`, the source line, a caret span and the notes. */
void tg_diag_render(tg_sb *sb, const tg_diag *d);
/* Appends one JSON object (a line) with id, severity, file, line, col, end_line, end_col, text,
 * notes. */
void tg_diag_render_json(tg_sb *sb, const tg_diag *d);

/* The title and page of an id, or NULL. */
const char *tg_diag_title(int number);
const char *tg_diag_page(int number);
/* Walks all ids in table order: returns the number at index, or 0 past the end. */
int tg_diag_number_at(size_t index);

#endif
