/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wrong programs and what they are told. A file of wrong/ holds many programs, separated by lines
 * that begin with `//----`. Expected errors stand at the end of their line:
 *
 *   let a = 1 ++   // error[E0139] 13: there is no `++` operator
 *
 * with the column and the whole message. Where a line cannot take a comment, lines that begin with
 * `//^` below it speak of it. Every program must report exactly what is written, and something.
 * `frontend_test_wrong --rewrite FILE` writes the present messages into a file (for review, never
 * in CI).
 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct found {
    int line, col, id;
    const char *text;
} found;

typedef TG_LIST(found) found_buf;
typedef TG_LIST(char *) line_buf;

/* ---- running -------------------------------------------------------------------------------- */

/* Errors in imported files count for the program's first line, column 0. */
static void run(tf *t, const char *name, const char *text, int first, found_buf *out) {
    tg_program *p;
    tg_sink sink;
    tg_sink_init(&sink, &t->arena);
    sink.max_errors = 100;
    tg_source *src = tf_source(t, name, text);
    tg_status st = tg_program_load(&t->arena, &sink, src, tf_import, NULL, &p);
#ifdef TG_WITH_CHECK
    if (st == TG_OK) {
        st = tg_program_check(p);
        t->env.oom = &t->oom;
    }
#endif
    (void)st;
    for (const tg_diag *d = sink.first; d != NULL; d = d->next) {
        found f = {.line = first, .id = (int)d->id, .text = d->text};
        if (d->severity != TG_SEV_ERROR) {
            continue;
        }
        const tg_source *at = d->span.source != NULL ? d->span.source : src;
        if (at == src) {
            tg_source_position(at, d->span.begin, &f.line, &f.col);
        }
        TG_LIST_PUSH(&t->arena, out, f);
    }
}

/* The lines [from, to) with empty lines before them, so that line numbers are the file's. */
static const char *section(tf *t, const line_buf *lines, size_t from, size_t to) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    for (size_t i = 0; i < from; i++) {
        tg_sb_addc(&sb, '\n');
    }
    for (size_t i = from; i < to; i++) {
        tg_sb_add(&sb, lines->data[i]);
        tg_sb_addc(&sb, '\n');
    }
    return sb.data;
}

static void split(tf *t, const char *text, line_buf *lines) {
    for (const char *s = text; *s != '\0';) {
        size_t n = strcspn(s, "\n");
        char *line = tg_arena_strndup(&t->arena, s, n);
        TG_LIST_PUSH(&t->arena, lines, line);
        s += n + (s[n] == '\n');
    }
}

static bool starts(const char *line, const char *with) {
    return strncmp(line, with, strlen(with)) == 0;
}

/* ---- expectations --------------------------------------------------------------------------- */

/* Reads all `// error[E0123] 4: text` of one line (number `line`). */
static void read_expected(tf *t, const char *line, int number, found_buf *out) {
    for (const char *s = strstr(line, "error[E"); s != NULL;) {
        found f = {.line = number};
        char *end;
        f.id = (int)strtol(s + 7, &end, 10);
        f.col = (int)strtol(end + 1, &end, 10);
        const char *text = end + 2, *next = strstr(text, " // error[E");
        f.text =
            tg_arena_strndup(&t->arena, text, next != NULL ? (size_t)(next - text) : strlen(text));
        TG_LIST_PUSH(&t->arena, out, f);
        s = next != NULL ? next + 4 : NULL;
    }
}

static bool same(const found *a, const found *b) {
    return a->line == b->line && a->col == b->col && a->id == b->id &&
           strcmp(a->text, b->text) == 0;
}

static int missing_from(const found_buf *what, const found_buf *in, const char *file,
                        const char *word) {
    int n = 0;
    for (size_t i = 0; i < what->count; i++) {
        bool hit = false;
        for (size_t k = 0; k < in->count; k++) {
            hit |= same(&what->data[i], &in->data[k]);
        }
        if (!hit) {
            const found *f = &what->data[i];
            print_error("%s:%d:%d: %s error[E%04d] %s\n", file, f->line, f->col, word, f->id,
                        f->text);
            n++;
        }
    }
    return n;
}

static int check_section(tf *t, const char *file, const line_buf *lines, size_t from, size_t to) {
    found_buf want = {0}, got = {0};
    int number = (int)from;
    for (size_t i = from; i < to; i++) {
        number = starts(lines->data[i], "//^") ? number : (int)i + 1;
        read_expected(t, lines->data[i], number, &want);
    }
    run(t, file, section(t, lines, from, to), (int)from + 1, &got);
    int bad = missing_from(&want, &got, file, "not reported:") +
              missing_from(&got, &want, file, "unexpected:");
    if (got.count == 0) {
        print_error("%s:%zu: the program was accepted\n", file, from + 1);
        bad++;
    }
    return bad;
}

static size_t section_end(const line_buf *lines, size_t from) {
    size_t to = from;
    while (to < lines->count && !starts(lines->data[to], "//----")) {
        to++;
    }
    return to;
}

/* ---- the test ------------------------------------------------------------------------------- */

static void wrong_programs(void **state) {
    (void)state;
    tf t;
    tf_init(&t);
    int n, bad = 0, programs = 0;
    char **files = tf_list(&t, "wrong", &n);
    for (int i = 0; i < n; i++) {
        line_buf lines = {0};
#ifndef TG_WITH_CHECK
        if (strstr(files[i], "syntax") == NULL) {
            continue;
        }
#endif
        split(&t, tf_read(&t, files[i], NULL), &lines);
        for (size_t from = 1; from < lines.count;) { /* line 0 is the licence */
            size_t to = section_end(&lines, from);
            if (to > from) {
                bad += check_section(&t, files[i], &lines, from, to);
                programs++;
            }
            from = to + 1;
        }
    }
    print_message("%d programs\n", programs);
    assert_int_equal(bad, 0);
    tf_fini(&t);
}

/* ---- rewriting ------------------------------------------------------------------------------ */

static void strip_expected(char *line) {
    char *s = strstr(line, "// error[E");
    while (s != NULL && s > line && s[-1] == ' ') {
        s--;
    }
    if (s != NULL) {
        *s = '\0';
    }
}

/* A comment behind an open quote or before an import's circle would change the program. */
static bool takes_comment(const char *line) {
    int quotes = 0;
    for (const char *s = line; *s != '\0'; s++) {
        quotes += *s == '"';
    }
    return quotes % 2 == 0 && strstr(line, "/*") == NULL && line[0] != '\0' &&
           line[strlen(line) - 1] != '\\';
}

static void write_section(tf *t, const char *name, const line_buf *lines, size_t from, size_t to,
                          FILE *out) {
    found_buf got = {0};
    run(t, name, section(t, lines, from, to), (int)from + 1, &got);
    for (size_t i = from; i < to; i++) {
        fputs(lines->data[i], out);
        bool inline_ok = takes_comment(lines->data[i]);
        for (size_t k = 0; k < got.count; k++) {
            if (got.data[k].line == (int)i + 1 && inline_ok) {
                fprintf(out, " // error[E%04d] %d: %s", got.data[k].id, got.data[k].col,
                        got.data[k].text);
            }
        }
        fputc('\n', out);
        for (size_t k = 0; k < got.count; k++) {
            if (got.data[k].line == (int)i + 1 && !inline_ok) {
                fprintf(out, "//^ error[E%04d] %d: %s\n", got.data[k].id, got.data[k].col,
                        got.data[k].text);
            }
        }
    }
}

static int rewrite(const char *path) {
    tf t;
    tf_init(&t);
    line_buf all = {0}, lines = {0};
    char *text = tf_read(&t, path, NULL);
    if (text == NULL) {
        return 1;
    }
    split(&t, text, &all);
    for (size_t i = 0; i < all.count; i++) {
        if (!starts(all.data[i], "//^")) {
            strip_expected(all.data[i]);
            TG_LIST_PUSH(&t.arena, &lines, all.data[i]);
        }
    }
    FILE *out = fopen(tg_arena_printf(&t.arena, "%s/%s", TG_TEST_DIR, path), "wb");
    if (out == NULL) {
        return 1;
    }
    for (size_t from = 0; from < lines.count;) {
        size_t to = section_end(&lines, from);
        if (from == 0) {
            fprintf(out, "%s\n", lines.data[0]);
            from = 1;
        }
        write_section(&t, path, &lines, from, to, out);
        if (to < lines.count) {
            fprintf(out, "%s\n", lines.data[to]);
        }
        from = to + 1;
    }
    fclose(out);
    tf_fini(&t);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--rewrite") == 0) {
        return rewrite(argv[2]);
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(wrong_programs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
