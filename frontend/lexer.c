/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lexer: one function per kind of token, longest match first.
 *
 *   name    [A-Za-z_][A-Za-z0-9_]*          a reserved word is its own token
 *   int     [0-9][0-9_]*  0x[0-9a-f_]+  0b[01_]+
 *   float   int . [0-9][0-9_]* [exp] | int exp          exp = e [+-] digits
 *   string  " ... " on one line, escapes \n \t \\ \" \xHH
 *   comment // to the end of the line
 *
 * `1..5` is 1, `..`, 5: a dot belongs to a number only when a digit follows.
 */
#include "frontend/lexer.h"

#include <math.h>
#include <string.h>

static const char *const texts[TG_TOK_N] = {
#define TG_TOKEN(ident, text) [TG_TOK_##ident] = text,
#include "frontend/tokens.def"
};

typedef struct word {
    tg_token_kind kind;
    const char *text;
} word;

static const word keywords[] = {
#define TG_KEYWORD(ident, text) {TG_TOK_##ident, text},
#define TG_PUNCT(ident, text)
#include "frontend/tokens.def"
};

static const word puncts[] = {
#define TG_PUNCT(ident, text) {TG_TOK_##ident, text},
#define TG_KEYWORD(ident, text)
#include "frontend/tokens.def"
};

const char *tg_token_text(tg_token_kind k) { return texts[k]; }

bool tg_token_is_keyword(tg_token_kind k) { return k >= TG_TOK_KERNEL && k <= TG_TOK_UNDERSCORE; }

void tg_lexer_init(tg_lexer *lx, const tg_source *src, tg_sink *sink) {
    *lx = (tg_lexer){.src = src, .sink = sink};
    if (src->len >= 3 && memcmp(src->text, "\xEF\xBB\xBF", 3) == 0) {
        lx->pos = 3; /* byte order mark */
    }
}

/* ---- characters ----------------------------------------------------------------------------- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_hex(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
static bool is_name_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
static bool is_name(char c) { return is_name_start(c) || is_digit(c); }

/* Byte at pos + ahead, 0 past the end. */
static char peek(const tg_lexer *lx, uint32_t ahead) {
    size_t at = (size_t)lx->pos + ahead;
    return at < lx->src->len ? lx->src->text[at] : '\0';
}

static bool at_end(const tg_lexer *lx) { return lx->pos >= lx->src->len; }

static tg_span span_from(const tg_lexer *lx, uint32_t begin) {
    return (tg_span){lx->src, begin, lx->pos};
}

static tg_diag *complain(tg_lexer *lx, tg_diag_id id, uint32_t begin, const char *text) {
    return lx->sink != NULL ? tg_error(lx->sink, id, span_from(lx, begin), "%s", text) : NULL;
}

/* ---- numbers -------------------------------------------------------------------------------- */

static void skip_digits(tg_lexer *lx) {
    while (is_digit(peek(lx, 0)) || peek(lx, 0) == '_') {
        lx->pos++;
    }
}

/* Letters glued to a number: `10f`, `0xfg`, `1e`. */
static tg_token_kind finish_number(tg_lexer *lx, uint32_t begin, tg_token_kind kind) {
    if (!is_name_start(peek(lx, 0)) && !is_digit(peek(lx, 0))) {
        return kind;
    }
    while (is_name(peek(lx, 0))) {
        lx->pos++;
    }
    tg_diag *d = complain(lx, TG_D_BAD_NUMBER, begin, "malformed number");
    if (d != NULL) {
        tg_note_add(
            lx->sink, d, (tg_span){0},
            "numbers take no suffix: the type comes from the other operand, or from `as f32`");
    }
    return TG_TOK_BAD;
}

static tg_token_kind lex_radix(tg_lexer *lx, uint32_t begin, char letter) {
    lx->pos += 2;
    int digits = 0;
    while (is_hex(peek(lx, 0)) || peek(lx, 0) == '_') {
        char c = peek(lx, 0);
        if (letter == 'b' && c != '0' && c != '1' && c != '_') {
            break;
        }
        digits += c != '_';
        lx->pos++;
    }
    if (digits == 0 && !is_name(peek(lx, 0))) {
        complain(lx, TG_D_BAD_NUMBER, begin, "a number needs digits after its prefix");
        return TG_TOK_BAD;
    }
    return finish_number(lx, begin, TG_TOK_INT);
}

static tg_token_kind lex_number(tg_lexer *lx) {
    uint32_t begin = lx->pos;
    char x = (char)(peek(lx, 1) | 0x20);
    if (peek(lx, 0) == '0' && (x == 'x' || x == 'b')) {
        return lex_radix(lx, begin, x);
    }
    tg_token_kind kind = TG_TOK_INT;
    skip_digits(lx);
    if (peek(lx, 0) == '.' && is_digit(peek(lx, 1))) {
        kind = TG_TOK_FLOAT;
        lx->pos++;
        skip_digits(lx);
    }
    char sign = peek(lx, 1);
    bool signed_exp = (sign == '+' || sign == '-') && is_digit(peek(lx, 2));
    if ((peek(lx, 0) | 0x20) == 'e' && (is_digit(sign) || signed_exp)) {
        kind = TG_TOK_FLOAT;
        lx->pos += signed_exp ? 2 : 1;
        skip_digits(lx);
    }
    return finish_number(lx, begin, kind);
}

/* The value must fit: reported here, where each token passes once. */
static tg_token_kind check_number(tg_lexer *lx, tg_token t) {
    uint64_t i;
    double d;
    if (t.kind == TG_TOK_INT && !tg_token_int(lx->src, t, &i)) {
        complain(lx, TG_D_INT_TOO_BIG, t.begin, "integer does not fit in 64 bits");
        return TG_TOK_BAD;
    }
    if (t.kind == TG_TOK_FLOAT && !tg_token_float(lx->src, t, &d)) {
        tg_diag *g = complain(lx, TG_D_FLOAT_RANGE, t.begin, "number is too large for f64");
        if (g != NULL) {
            tg_note_fix(lx->sink, g, span_from(lx, t.begin), "inf", "infinity is written `inf`");
        }
        return TG_TOK_BAD;
    }
    return t.kind;
}

bool tg_token_int(const tg_source *src, tg_token t, uint64_t *out) {
    const char *s = src->text + t.begin, *end = src->text + t.end;
    uint64_t base = 10, v = 0;
    if (end - s > 2 && s[0] == '0' && (s[1] | 0x20) == 'x') {
        base = 16, s += 2;
    } else if (end - s > 2 && s[0] == '0' && (s[1] | 0x20) == 'b') {
        base = 2, s += 2;
    }
    for (; s < end; s++) {
        if (*s == '_') {
            continue;
        }
        uint64_t digit = is_digit(*s) ? (uint64_t)(*s - '0') : (uint64_t)((*s | 0x20) - 'a' + 10);
        if (v > (UINT64_MAX - digit) / base) {
            return false;
        }
        v = v * base + digit;
    }
    *out = v;
    return true;
}

bool tg_token_float(const tg_source *src, tg_token t, double *out) {
    double v = tg_decimal_parse(src->text + t.begin, t.end - t.begin);
    *out = v;
    return !isinf(v);
}

/* ---- strings and comments ------------------------------------------------------------------- */

static tg_token_kind lex_string(tg_lexer *lx) {
    uint32_t begin = lx->pos++;
    tg_token_kind kind = TG_TOK_STRING;
    while (!at_end(lx) && peek(lx, 0) != '"' && peek(lx, 0) != '\n') {
        if (peek(lx, 0) != '\\') {
            lx->pos++;
            continue;
        }
        uint32_t at = lx->pos;
        char c = peek(lx, 1);
        bool hex = c == 'x' && is_hex(peek(lx, 2)) && is_hex(peek(lx, 3));
        lx->pos += hex ? 4 : 1;
        if (!hex) {
            lx->pos += !at_end(lx) && c != '\n';
            if (c == '\0' || strchr("nt\\\"", c) == NULL) {
                complain(lx, TG_D_BAD_ESCAPE, at,
                         "unknown escape: strings know \\n \\t \\\\ \\\" and \\xHH");
                kind = TG_TOK_BAD;
            }
        }
    }
    if (peek(lx, 0) != '"' || at_end(lx)) {
        complain(lx, TG_D_STRING_UNCLOSED, begin, "the string is not closed on its line");
        return TG_TOK_BAD;
    }
    lx->pos++;
    return kind;
}

static int hex_value(char c) { return is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10; }

const char *tg_token_string(tg_arena *a, const tg_source *src, tg_token t, size_t *out_len) {
    const char *s = src->text + t.begin + 1, *end = src->text + t.end - 1;
    char *text = tg_arena_alloc(a, (size_t)(end - s) + 1);
    size_t n = 0;
    for (; s < end; s++) {
        if (*s != '\\') {
            text[n++] = *s;
            continue;
        }
        s++;
        if (*s == 'x') {
            text[n++] = (char)(hex_value(s[1]) * 16 + hex_value(s[2]));
            s += 2;
        } else {
            text[n++] = *s == 'n' ? '\n' : *s == 't' ? '\t' : *s;
        }
    }
    text[n] = '\0';
    *out_len = n;
    return text;
}

static void skip_line(tg_lexer *lx) {
    const char *nl = memchr(lx->src->text + lx->pos, '\n', lx->src->len - lx->pos);
    lx->pos = nl != NULL ? (uint32_t)(nl - lx->src->text) : (uint32_t)lx->src->len;
}

static void skip_block_comment(tg_lexer *lx) {
    uint32_t begin = lx->pos;
    lx->pos += 2;
    tg_diag *d = complain(lx, TG_D_COMMENT_STYLE, begin, "comments are written `// ...`");
    if (d != NULL) {
        tg_note_add(lx->sink, d, (tg_span){0}, "the text up to `*/` was skipped");
    }
    while (!at_end(lx) && !(peek(lx, 0) == '*' && peek(lx, 1) == '/')) {
        lx->pos++;
    }
    lx->pos = at_end(lx) ? lx->pos : lx->pos + 2;
}

/* ---- the lexer ------------------------------------------------------------------------------ */

/* Skips blanks; true when a newline was among them. */
static bool skip_blanks(tg_lexer *lx) {
    bool newline = lx->pos == 0 || (lx->pos == 3 && (unsigned char)lx->src->text[0] == 0xEF);
    while (!at_end(lx)) {
        char c = peek(lx, 0);
        if (c == '\n') {
            newline = true;
        } else if (c != ' ' && c != '\t' && c != '\r') {
            if (c == '/' && peek(lx, 1) == '*') {
                skip_block_comment(lx);
                continue;
            }
            if (c != '/' || peek(lx, 1) != '/' || lx->keep_comments) {
                break;
            }
            skip_line(lx);
            continue;
        }
        lx->pos++;
    }
    return newline;
}

static tg_token_kind lex_name(tg_lexer *lx) {
    uint32_t begin = lx->pos;
    while (is_name(peek(lx, 0))) {
        lx->pos++;
    }
    size_t n = lx->pos - begin;
    const char *s = lx->src->text + begin;
    for (size_t i = 0; i < TG_COUNT_OF(keywords); i++) {
        if (keywords[i].text[0] == s[0] && strlen(keywords[i].text) == n &&
            memcmp(keywords[i].text, s, n) == 0) {
            return keywords[i].kind;
        }
    }
    return TG_TOK_NAME;
}

static tg_token_kind lex_punct(tg_lexer *lx) {
    for (size_t i = 0; i < TG_COUNT_OF(puncts); i++) {
        size_t n = strlen(puncts[i].text);
        if (n <= lx->src->len - lx->pos &&
            memcmp(puncts[i].text, lx->src->text + lx->pos, n) == 0) {
            lx->pos += (uint32_t)n;
            return puncts[i].kind;
        }
    }
    return TG_TOK_BAD;
}

/* A run of bytes that start no token is one complaint. */
static void skip_bad(tg_lexer *lx) {
    uint32_t begin = lx->pos;
    unsigned char c = (unsigned char)peek(lx, 0);
    lx->pos++;
    while (!at_end(lx) && (unsigned char)peek(lx, 0) >= 0x80) {
        lx->pos++;
    }
    if (lx->sink == NULL) {
        return;
    }
    tg_diag *d;
    if (c >= 0x80) {
        d = tg_error(lx->sink, TG_D_BAD_BYTE, span_from(lx, begin),
                     "only ASCII may stand outside comments and strings");
    } else if (c > 0x20 && c < 0x7f) {
        d = tg_error(lx->sink, TG_D_BAD_BYTE, span_from(lx, begin), "`%c` means nothing here",
                     (char)c);
    } else {
        d = tg_error(lx->sink, TG_D_BAD_BYTE, span_from(lx, begin), "stray control byte 0x%02x", c);
    }
    if (c == '\'') {
        tg_note_add(lx->sink, d, (tg_span){0}, "strings are written with double quotes");
    }
}

tg_token tg_lexer_next(tg_lexer *lx) {
    tg_token t = {.kind = TG_TOK_BAD};
    uint32_t before = lx->pos;
    t.starts_line = skip_blanks(lx);
    t.begin = lx->pos;
    if (at_end(lx)) {
        t.kind = TG_TOK_END;
    } else if (is_name_start(peek(lx, 0))) {
        t.kind = lex_name(lx);
    } else if (is_digit(peek(lx, 0))) {
        t.kind = lex_number(lx);
    } else if (peek(lx, 0) == '"') {
        t.kind = lex_string(lx);
    } else if (peek(lx, 0) == '/' && peek(lx, 1) == '/') {
        skip_line(lx);
        t.kind = TG_TOK_COMMENT;
    } else if ((t.kind = lex_punct(lx)) == TG_TOK_BAD) {
        skip_bad(lx);
    }
    t.end = lx->pos;
    t.space_before = t.begin > before || before == 0;
    t.kind = check_number(lx, t);
    return t;
}
