/* SPDX-License-Identifier: Apache-2.0 */
/* The lexer of the IR text and the readers of names, numbers and lists; see parse.h. */
#include "ir/parse.h"

#include <stdlib.h>
#include <string.h>

/* ---- lexer ---------------------------------------------------------------------------------- */

bool tg_text_is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool tg_text_is_digit(char c) { return c >= '0' && c <= '9'; }

char tg_text_char_at(const tg_text_parser *p, uint32_t i) {
    return i < p->src->len ? p->src->text[i] : '\0';
}

static uint32_t skip_blank(const tg_text_parser *p, uint32_t i) {
    for (;;) {
        char c = tg_text_char_at(p, i);
        if (i < p->src->len && (c == ' ' || c == '\t' || c == '\n' || c == '\r')) {
            i++;
        } else if (c == '/' && tg_text_char_at(p, i + 1) == '/') {
            while (i < p->src->len && p->src->text[i] != '\n') {
                i++;
            }
        } else {
            return i;
        }
    }
}

static uint32_t lex_number(const tg_text_parser *p, uint32_t i, tg_token_kind *kind) {
    *kind = TOK_INT;
    while (tg_text_is_digit(tg_text_char_at(p, i))) {
        i++;
    }
    if (tg_text_char_at(p, i) == '.' && tg_text_is_digit(tg_text_char_at(p, i + 1))) {
        *kind = TOK_FLOAT;
        i++;
        while (tg_text_is_digit(tg_text_char_at(p, i))) {
            i++;
        }
    }
    uint32_t e = i;
    if (tg_text_char_at(p, e) == 'e' || tg_text_char_at(p, e) == 'E') {
        e++;
        if (tg_text_char_at(p, e) == '+' || tg_text_char_at(p, e) == '-') {
            e++;
        }
        if (tg_text_is_digit(tg_text_char_at(p, e))) {
            *kind = TOK_FLOAT;
            i = e;
            while (tg_text_is_digit(tg_text_char_at(p, i))) {
                i++;
            }
        }
    }
    return i;
}

static uint32_t lex_string(const tg_text_parser *p, uint32_t i, tg_token_kind *kind) {
    *kind = TOK_BAD;
    for (i++; i < p->src->len; i++) {
        char c = p->src->text[i];
        if (c == '"') {
            *kind = TOK_STRING;
            return i + 1;
        }
        if (c == '\n') {
            return i;
        }
        i += c == '\\';
    }
    return (uint32_t)p->src->len;
}

static uint32_t lex_punct(const tg_text_parser *p, uint32_t i, tg_token_kind *kind) {
    char c = tg_text_char_at(p, i), d = tg_text_char_at(p, i + 1);
    *kind = TOK_PUNCT;
    if ((c == '=' && d == '=') || (c == '!' && d == '=') || (c == '<' && d == '=')) {
        return i + 2;
    }
    if (c == '\0' || strchr("{}()[]<>=,:+-*/%&|@", c) == NULL) {
        *kind = TOK_BAD;
    }
    return i + 1;
}

tg_token tg_text_lex_at(const tg_text_parser *p, uint32_t i) {
    i = skip_blank(p, i);
    tg_token t = {.kind = TOK_END, .begin = i, .end = i};
    if (i >= p->src->len) {
        return t;
    }
    char c = p->src->text[i];
    if (tg_text_is_letter(c)) {
        t.kind = TOK_WORD;
        for (t.end = i; tg_text_is_letter(tg_text_char_at(p, t.end)) ||
                        tg_text_is_digit(tg_text_char_at(p, t.end));
             t.end++) {
        }
    } else if (tg_text_is_digit(c)) {
        t.end = lex_number(p, i, &t.kind);
    } else if (c == '"') {
        t.end = lex_string(p, i, &t.kind);
    } else if (c == '%' && (tg_text_is_letter(tg_text_char_at(p, i + 1)) ||
                            tg_text_is_digit(tg_text_char_at(p, i + 1)))) {
        t.kind = TOK_VALUE;
        for (t.end = i + 1;
             tg_text_is_letter(tg_text_char_at(p, t.end)) ||
             tg_text_is_digit(tg_text_char_at(p, t.end)) || tg_text_char_at(p, t.end) == '.';
             t.end++) {
        }
    } else {
        t.end = lex_punct(p, i, &t.kind);
    }
    return t;
}

void tg_text_advance(tg_text_parser *p) { p->tok = tg_text_lex_at(p, p->tok.end); }

const char *tg_text_tok_text(const tg_text_parser *p) { return p->src->text + p->tok.begin; }
size_t tg_text_tok_len(const tg_text_parser *p) { return p->tok.end - p->tok.begin; }

bool tg_text_token_is(const tg_text_parser *p, tg_token t, const char *s) {
    size_t n = strlen(s);
    return t.end - t.begin == n && memcmp(p->src->text + t.begin, s, n) == 0;
}

bool tg_text_at(const tg_text_parser *p, const char *s) {
    return (p->tok.kind == TOK_PUNCT || p->tok.kind == TOK_WORD) && tg_text_token_is(p, p->tok, s);
}

/* ---- errors and small pieces ---------------------------------------------------------------- */

tg_span tg_text_tok_span(const tg_text_parser *p) {
    return (tg_span){.source = p->src, .begin = p->tok.begin, .end = p->tok.end};
}

bool tg_text_fail(tg_text_parser *p, const char *what) {
    if (!p->failed) {
        p->failed = true;
        if (p->tok.kind == TOK_END) {
            tg_error(p->sink, TG_D_IR, tg_text_tok_span(p), "%s, but the text ends here", what);
        } else {
            size_t n = tg_text_tok_len(p) > 40 ? 40 : tg_text_tok_len(p);
            tg_error(p->sink, TG_D_IR, tg_text_tok_span(p), "%s at `%.*s`", what, (int)n,
                     tg_text_tok_text(p));
        }
    }
    return false;
}

bool tg_text_accept(tg_text_parser *p, const char *s) {
    if (!tg_text_at(p, s)) {
        return false;
    }
    tg_text_advance(p);
    return true;
}

bool tg_text_expect(tg_text_parser *p, const char *s) {
    if (tg_text_accept(p, s)) {
        return true;
    }
    return tg_text_fail(p, tg_arena_printf(p->arena, "expected `%s`", s));
}

static int hex_digit(char c) {
    if (tg_text_is_digit(c)) {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool tg_text_string(tg_text_parser *p, const char **out) {
    if (p->tok.kind != TOK_STRING) {
        return tg_text_fail(p, "expected a string");
    }
    tg_sb sb;
    tg_sb_init(&sb, p->arena);
    for (uint32_t i = p->tok.begin + 1; i + 1 < p->tok.end; i++) {
        char c = p->src->text[i];
        if (c == '\\') {
            c = p->src->text[++i];
            if (c == 'x') {
                int hi = hex_digit(tg_text_char_at(p, i + 1)),
                    lo = hex_digit(tg_text_char_at(p, i + 2));
                if (hi < 0 || lo < 0) {
                    return tg_text_fail(p, "bad escape in string");
                }
                c = (char)(hi * 16 + lo);
                i += 2;
            } else if (c == 'n') {
                c = '\n';
            } else if (c != '"' && c != '\\') {
                return tg_text_fail(p, "bad escape in string");
            }
        }
        if (c == '\0') {
            return tg_text_fail(p, "a string may not hold a zero byte");
        }
        tg_sb_addc(&sb, c);
    }
    *out = tg_intern(&p->m->strings, sb.len == 0 ? "" : sb.data, sb.len);
    tg_text_advance(p);
    return true;
}

/* A bare word or a quoted name. */
bool tg_text_name(tg_text_parser *p, const char **out) {
    if (p->tok.kind == TOK_STRING) {
        return tg_text_string(p, out);
    }
    if (p->tok.kind != TOK_WORD) {
        return tg_text_fail(p, "expected a name");
    }
    *out = tg_intern(&p->m->strings, tg_text_tok_text(p), tg_text_tok_len(p));
    tg_text_advance(p);
    return true;
}

bool tg_text_i64(tg_text_parser *p, int64_t *out) {
    bool negative = tg_text_accept(p, "-");
    if (p->tok.kind != TOK_INT) {
        return tg_text_fail(p, "expected an integer");
    }
    uint64_t v = 0, limit = negative ? (uint64_t)1 << 63 : (uint64_t)INT64_MAX;
    for (uint32_t i = p->tok.begin; i < p->tok.end; i++) {
        uint64_t d = (uint64_t)(p->src->text[i] - '0');
        if (v > (limit - d) / 10) {
            return tg_text_fail(p, "integer out of range");
        }
        v = v * 10 + d;
    }
    *out = negative ? (int64_t)(0 - v) : (int64_t)v;
    tg_text_advance(p);
    return true;
}

bool tg_text_f64(tg_text_parser *p, double *out) {
    double sign = tg_text_accept(p, "-") ? -1.0 : 1.0;
    if (tg_text_at(p, "inf")) {
        *out = sign * (double)__builtin_inff();
    } else if (tg_text_at(p, "nan")) {
        *out = (double)__builtin_nanf("");
    } else if (p->tok.kind == TOK_INT || p->tok.kind == TOK_FLOAT) {
        if (tg_text_tok_len(p) > 400) {
            return tg_text_fail(p, "number too long");
        }
        *out = sign *
               strtod(tg_arena_strndup(p->arena, tg_text_tok_text(p), tg_text_tok_len(p)), NULL);
    } else {
        return tg_text_fail(p, "expected a number");
    }
    tg_text_advance(p);
    return true;
}

bool tg_text_int_list(tg_text_parser *p, const int64_t **out, size_t *out_n) {
    TG_LIST(int64_t) list = {0};
    if (!tg_text_expect(p, "[")) {
        return false;
    }
    while (!tg_text_at(p, "]")) {
        int64_t v;
        if ((list.count > 0 && !tg_text_expect(p, ",")) || !tg_text_i64(p, &v)) {
            return false;
        }
        TG_LIST_PUSH(p->arena, &list, v);
    }
    tg_text_advance(p);
    *out = list.data;
    *out_n = list.count;
    return true;
}
