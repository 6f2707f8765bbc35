/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spoils a program in one to three places: an index, a dimension, an `else`, a name. Most results
 * are refused. What the front end still accepts must keep the guarantees: no race, no absent value
 * in memory, every output written (run_source.c runs it to see).
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "tests/random/source_internal.h"

typedef struct spoiler {
    const char *text;
    size_t n, begin; /* of the kernel */
    uint64_t rng;
    tg_arena *arena;
} spoiler;

static size_t below(spoiler *s, size_t n) {
    return (size_t)(gen_random(&s->rng) % (n > 0 ? n : 1));
}

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* Replaces n characters at `at`. */
static void splice(spoiler *s, size_t at, size_t n, const char *by) {
    s->text = tg_arena_printf(s->arena, "%.*s%s%s", (int)at, s->text, by, s->text + at + n);
    s->n = strlen(s->text);
}

/* A random whole word of these letters (one letter each), at or behind the kernel; s->n: none. */
static size_t find_letter(spoiler *s, const char *letters) {
    size_t start = s->begin + below(s, s->n - s->begin);
    for (size_t step = 0; step < s->n - s->begin; step++) {
        size_t at = s->begin + (start - s->begin + step) % (s->n - s->begin);
        if (strchr(letters, s->text[at]) != NULL && !is_word(s->text[at - 1]) &&
            s->text[at - 1] != '.' && !is_word(s->text[at + 1])) {
            return at;
        }
    }
    return s->n;
}

static void spoil_index(spoiler *s) {
    static const char *const forms[] = {"%c + 1",
                                        "%c - 1",
                                        "%c / 2",
                                        "%c.start",
                                        "%c * 2",
                                        "N - 1 - %c",
                                        "M - %c",
                                        "%c %% 3",
                                        "anon(%c)",
                                        "min(%c, 5)",
                                        "max(%c, 2)",
                                        "(%c.start + 3)",
                                        "%c.end",
                                        "(%c + 1 - 1)",
                                        "(%c * 3 - %c * 2)",
                                        "i",
                                        "j",
                                        "0",
                                        "(%c else 0)",
                                        "where(%c > 2, %c, %c - 1)",
                                        "(%c if %c > 1)",
                                        "span(%c.start .. M, 4)",
                                        "span(%c.start .. %c.end, BM)",
                                        "(%c / 4 * 4)",
                                        "(%c.len + %c.start - 1)",
                                        "iota(4)",
                                        "(%c - %c.start)",
                                        "indexi[%c]",
                                        "abs(%c - 2)",
                                        "(%c & 7)",
                                        "(%c ^ 1)",
                                        "cdiv(%c, 2)"};
    size_t at = find_letter(s, "ijk");
    char by[80], c = at < s->n ? s->text[at] : 'i';
    const char *f = forms[below(s, TG_COUNT_OF(forms))];
    size_t n = 0;
    for (; *f != '\0' && n < sizeof by - 1; f++) {
        if (f[0] == '%' && f[1] == 'c') {
            by[n++] = c;
            f++;
        } else if (f[0] != '%' || f[1] != '%') {
            by[n++] = *f;
        }
    }
    by[n] = '\0';
    if (at < s->n) {
        splice(s, at, 1, by);
    }
}

static void spoil_dim(spoiler *s) {
    static const char *const others[] = {"M", "N", "K", "8", "M + 1", "cdiv(M, 4)", "N / 2", "7"};
    size_t at = find_letter(s, "MNK8");
    if (at < s->n) {
        splice(s, at, 1, others[below(s, TG_COUNT_OF(others))]);
    }
}

/* `else v` and what follows to the end of its value vanish. */
static void spoil_else(spoiler *s) {
    static const char *const words[] = {" else ", " if exists", " if "};
    const char *word = words[below(s, 3)];
    const char *from = s->text + s->begin + below(s, s->n - s->begin), *at = strstr(from, word);
    if (at != NULL) {
        size_t n = strlen(word);
        int open = 0;
        for (; at[n] != '\0' && at[n] != '\n' && (open > 0 || (at[n] != ')' && at[n] != ','));
             n++) {
            open += at[n] == '(' || at[n] == '[';
            open -= at[n] == ')' || at[n] == ']';
        }
        splice(s, (size_t)(at - s->text), n, "");
    }
}

static void spoil_name(spoiler *s) {
    const char *at = s->text + s->begin + below(s, s->n - s->begin);
    while (*at != '\0' && !(*at == 'v' && isdigit((unsigned char)at[1]) && !is_word(at[-1]))) {
        at++;
    }
    size_t n = 1;
    while (*at != '\0' && isdigit((unsigned char)at[n])) {
        n++;
    }
    if (*at != '\0') {
        splice(s, (size_t)(at - s->text), n, tg_arena_printf(s->arena, "v%d", (int)below(s, 40)));
    }
}

const char *source_mutate(const char *text, uint64_t seed, tg_arena *a) {
    const char *body = strstr(text, "kernel r(");
    spoiler s = {.text = text,
                 .n = strlen(text),
                 .begin = body == NULL ? 1 : (size_t)(body - text),
                 .rng = seed * 77 + 5,
                 .arena = a};
    for (size_t i = 0, n = 1 + below(&s, 3); i < n; i++) {
        switch (below(&s, 8)) {
        case 0:
            spoil_dim(&s);
            break;
        case 1:
            spoil_else(&s);
            break;
        case 2:
            spoil_name(&s);
            break;
        default:
            spoil_index(&s);
            break;
        }
    }
    return s.text;
}
