/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collects and renders diagnostics.
 *
 *   gemm.tg:7:12: error[E0116]: comparisons cannot be chained
 *       7 | let y = a < b < c
 *         |         ^~~~~~~~~
 *   gemm.tg:7:12: note: write both comparisons and join them with `&`
 *         = fix: `(a < b) & (b < c)`
 *
 * Source lines are shown as they are, except that control bytes become `?`; long lines are cut to a
 * window around the caret. Columns count bytes; the caret line counts characters.
 */
#include "ir/base/diag.h"

#include <string.h>

enum { DEFAULT_MAX_ERRORS = 20, WINDOW_BYTES = 160, WINDOW_BEFORE = 60, MAX_NOTES = 16 };

/* ---- the sink ------------------------------------------------------------------------------- */

void tg_sink_init(tg_sink *s, tg_arena *a) {
    *s = (tg_sink){.arena = a, .max_errors = DEFAULT_MAX_ERRORS};
}

static bool same_span(tg_span a, tg_span b) {
    return a.source == b.source && a.begin == b.begin && a.end == b.end;
}

/* Equal reports, or another round's report of the same rule at the same place. */
static bool already_reported(const tg_sink *s, const tg_diag *d) {
    for (const tg_diag *o = s->first; o != NULL; o = o->next) {
        bool other_round = o->round != 0 && d->round != 0 && o->round != d->round;
        if (o->id == d->id && same_span(o->span, d->span) &&
            (other_round || strcmp(o->text, d->text) == 0)) {
            return true;
        }
    }
    return false;
}

static tg_diag *report(tg_sink *s, tg_severity sev, tg_diag_id id, tg_span span, const char *fmt,
                       va_list ap) {
    if (sev == TG_SEV_ERROR && s->listed_errors >= s->max_errors) {
        s->errors++;
        s->spare = s->spare != NULL ? s->spare : TG_NEW(s->arena, tg_diag);
        return s->spare;
    }
    tg_sb sb;
    tg_sb_init(&sb, s->arena);
    tg_sb_addv(&sb, fmt, ap);
    tg_diag *d = TG_NEW(s->arena, tg_diag);
    *d = (tg_diag){
        .id = id, .severity = sev, .span = span, .text = sb.data ? sb.data : "", .round = s->round};
    s->errors += sev == TG_SEV_ERROR;
    if (already_reported(s, d)) {
        return d;
    }
    s->listed_errors += sev == TG_SEV_ERROR;
    s->warnings += sev == TG_SEV_WARNING;
    if (s->last != NULL) {
        s->last->next = d;
    } else {
        s->first = d;
    }
    s->last = d;
    return d;
}

tg_diag *tg_report(tg_sink *s, tg_severity sev, tg_diag_id id, tg_span span, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    tg_diag *d = report(s, sev, id, span, fmt, ap);
    va_end(ap);
    return d;
}

tg_diag *tg_error(tg_sink *s, tg_diag_id id, tg_span span, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    tg_diag *d = report(s, TG_SEV_ERROR, id, span, fmt, ap);
    va_end(ap);
    return d;
}

static void add_note(tg_sink *s, tg_diag *d, tg_span span, const char *fix, const char *fmt,
                     va_list ap) {
    if (d == s->spare) {
        return;
    }
    tg_sb sb;
    tg_sb_init(&sb, s->arena);
    tg_sb_addv(&sb, fmt, ap);
    tg_note *n = TG_NEW(s->arena, tg_note);
    *n = (tg_note){.span = span,
                   .text = sb.data ? sb.data : "",
                   .fix = fix ? tg_arena_strdup(s->arena, fix) : NULL};
    tg_note **end = &d->notes;
    for (int i = 0; *end != NULL; i++, end = &(*end)->next) {
        if (i == MAX_NOTES) {
            return;
        }
    }
    *end = n;
}

void tg_note_add(tg_sink *s, tg_diag *d, tg_span span, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    add_note(s, d, span, NULL, fmt, ap);
    va_end(ap);
}

void tg_note_fix(tg_sink *s, tg_diag *d, tg_span span, const char *fix, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    add_note(s, d, span, fix, fmt, ap);
    va_end(ap);
}

/* ---- positions ------------------------------------------------------------------------------ */

static uint32_t clamp_offset(const tg_source *src, uint32_t offset) {
    return offset > src->len ? (uint32_t)src->len : offset;
}

static uint32_t line_begin(const tg_source *src, uint32_t offset) {
    uint32_t b = clamp_offset(src, offset);
    while (b > 0 && src->text[b - 1] != '\n') {
        b--;
    }
    return b;
}

void tg_source_position(const tg_source *src, uint32_t offset, int *out_line, int *out_col) {
    uint32_t at = clamp_offset(src, offset);
    int line = 1;
    for (const char *p = src->text, *end = src->text + at;
         (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++) {
        line++;
    }
    *out_line = line;
    *out_col = (int)(at - line_begin(src, at)) + 1;
}

tg_span tg_span_join(tg_span a, tg_span b) {
    if (a.source == NULL) {
        return b;
    }
    if (b.source != a.source) {
        return a;
    }
    return (tg_span){a.source, a.begin < b.begin ? a.begin : b.begin,
                     a.end > b.end ? a.end : b.end};
}

/* ---- text ----------------------------------------------------------------------------------- */

static bool is_continuation(char c) { return ((unsigned char)c & 0xC0) == 0x80; }

static void add_spaces(tg_sb *sb, int n) {
    for (int i = 0; i < n; i++) {
        tg_sb_addc(sb, ' ');
    }
}

static void add_plain(tg_sb *sb, char c) {
    unsigned char u = (unsigned char)c;
    tg_sb_addc(sb, (u < 0x20 && c != '\t') || u == 0x7f ? '?' : c);
}

/* The part [from, to) of the line that is shown, and the underline below it. */
static void add_underlined(tg_sb *sb, const char *text, uint32_t from, uint32_t to, uint32_t begin,
                           uint32_t end) {
    for (uint32_t i = from; i < to; i++) {
        add_plain(sb, text[i]);
    }
    tg_sb_add(sb, "\n        | ");
    for (uint32_t i = from; i < begin; i++) {
        if (!is_continuation(text[i])) {
            tg_sb_addc(sb, text[i] == '\t' ? '\t' : ' ');
        }
    }
    tg_sb_addc(sb, '^');
    for (uint32_t i = begin + 1; i < end; i++) {
        if (!is_continuation(text[i])) {
            tg_sb_addc(sb, '~');
        }
    }
    tg_sb_addc(sb, '\n');
}

static void add_source_line(tg_sb *sb, tg_span span) {
    const tg_source *src = span.source;
    uint32_t begin = clamp_offset(src, span.begin), from = line_begin(src, begin), to = begin;
    while (to < src->len && src->text[to] != '\n') {
        to++;
    }
    if (to > from && src->text[to - 1] == '\r') {
        to--;
    }
    if (begin - from > WINDOW_BEFORE && to - from > WINDOW_BYTES) {
        from = begin - WINDOW_BEFORE;
    }
    if (to - from > WINDOW_BYTES) {
        to = from + WINDOW_BYTES;
    }
    uint32_t end = span.end > to ? to : span.end;
    if (begin > to) {
        begin = to;
    }
    int line, col;
    tg_source_position(src, span.begin, &line, &col);
    tg_sb_addf(sb, "%7d | ", line);
    add_underlined(sb, src->text, from, to, begin, end);
}

static void add_place(tg_sb *sb, tg_span span) {
    if (span.source == NULL) {
        return;
    }
    int line, col;
    tg_source_position(span.source, span.begin, &line, &col);
    tg_sb_addf(sb, "%s:%d:%d: ", span.source->name, line, col);
}

static const char *severity_text(tg_severity s) {
    static const char *const names[] = {"error", "warning", "remark"};
    return names[s];
}

void tg_diag_render(tg_sb *sb, const tg_diag *d) {
    add_place(sb, d->span);
    tg_sb_addf(sb, "%s[E%04d]: %s\n", severity_text(d->severity), (int)d->id, d->text);
    if (d->span.source != NULL) {
        add_source_line(sb, d->span);
    }
    for (const tg_note *n = d->notes; n != NULL; n = n->next) {
        add_place(sb, n->span);
        tg_sb_addf(sb, "note: %s\n", n->text);
        if (n->span.source != NULL && !same_span(n->span, d->span)) {
            add_source_line(sb, n->span);
        }
        if (n->fix != NULL) {
            add_spaces(sb, 8);
            tg_sb_addf(sb, "= fix: `%s`\n", n->fix);
        }
    }
}

/* ---- JSON ----------------------------------------------------------------------------------- */

/* Bytes of the valid UTF-8 sequence at s, or 0. */
static int utf8_length(const char *s) {
    unsigned char c = (unsigned char)s[0];
    int n = c < 0x80                ? 1
            : c >= 0xC2 && c < 0xE0 ? 2
            : c >= 0xE0 && c < 0xF0 ? 3
            : c >= 0xF0 && c < 0xF5 ? 4
                                    : 0;
    for (int i = 1; i < n; i++) {
        if (!is_continuation(s[i])) {
            return 0;
        }
    }
    unsigned char d = n > 2 ? (unsigned char)s[1] : 0x80;
    bool bad = (c == 0xE0 && d < 0xA0) || (c == 0xED && d >= 0xA0) || (c == 0xF0 && d < 0x90) ||
               (c == 0xF4 && d >= 0x90);
    return bad ? 0 : n;
}

static void add_json_string(tg_sb *sb, const char *s) {
    tg_sb_addc(sb, '"');
    while (*s != '\0') {
        unsigned char c = (unsigned char)*s;
        int n = utf8_length(s);
        if (c == '"' || c == '\\') {
            tg_sb_addc(sb, '\\');
            tg_sb_addc(sb, *s++);
        } else if (c < 0x20 || c == 0x7f) {
            tg_sb_addf(sb, "\\u%04x", c);
            s++;
        } else if (n == 0) {
            tg_sb_add(sb, "\\ufffd");
            s++;
        } else {
            tg_sb_addn(sb, s, (size_t)n);
            s += n;
        }
    }
    tg_sb_addc(sb, '"');
}

static void add_json_place(tg_sb *sb, tg_span span) {
    if (span.source == NULL) {
        tg_sb_add(sb, "\"file\":null");
        return;
    }
    int line, col, end_line, end_col;
    tg_source_position(span.source, span.begin, &line, &col);
    tg_source_position(span.source, span.end, &end_line, &end_col);
    tg_sb_add(sb, "\"file\":");
    add_json_string(sb, span.source->name);
    tg_sb_addf(sb, ",\"line\":%d,\"col\":%d,\"end_line\":%d,\"end_col\":%d", line, col, end_line,
               end_col);
}

void tg_diag_render_json(tg_sb *sb, const tg_diag *d) {
    tg_sb_addf(sb, "{\"id\":\"E%04d\",\"severity\":\"%s\",", (int)d->id,
               severity_text(d->severity));
    add_json_place(sb, d->span);
    tg_sb_add(sb, ",\"text\":");
    add_json_string(sb, d->text);
    tg_sb_add(sb, ",\"notes\":[");
    for (const tg_note *n = d->notes; n != NULL; n = n->next) {
        tg_sb_add(sb, n == d->notes ? "{" : ",{");
        add_json_place(sb, n->span);
        tg_sb_add(sb, ",\"text\":");
        add_json_string(sb, n->text);
        if (n->fix != NULL) {
            tg_sb_add(sb, ",\"fix\":");
            add_json_string(sb, n->fix);
        }
        tg_sb_addc(sb, '}');
    }
    tg_sb_add(sb, "]}\n");
}

/* ---- the explanation table ------------------------------------------------------------------ */

typedef struct entry {
    int number;
    const char *title, *page;
} entry;

static const entry table[] = {
#define TG_DIAG(number, ident, title, page) {number, title, page},
#include "ir/base/diagnostics.def"
#undef TG_DIAG
};

static const entry *find(int number) {
    for (size_t i = 0; i < TG_COUNT_OF(table); i++) {
        if (table[i].number == number) {
            return &table[i];
        }
    }
    return NULL;
}

const char *tg_diag_title(int number) {
    const entry *e = find(number);
    return e != NULL ? e->title : NULL;
}

const char *tg_diag_page(int number) {
    const entry *e = find(number);
    return e != NULL ? e->page : NULL;
}

int tg_diag_number_at(size_t index) { return index < TG_COUNT_OF(table) ? table[index].number : 0; }
