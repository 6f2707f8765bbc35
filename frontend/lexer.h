/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text to tokens, on demand. The parser asks for one token at a time; the formatter also wants
 * comments. Any bytes are accepted: what is no token is reported once and skipped.
 */
#ifndef TG_LEXER_H
#define TG_LEXER_H

#include "ir/base/diag.h"

typedef enum tg_token_kind {
#define TG_TOKEN(ident, text) TG_TOK_##ident,
#include "frontend/tokens.def"
    TG_TOK_N
} tg_token_kind;

typedef struct tg_token {
    tg_token_kind kind;
    bool starts_line;  /* first token (comments aside) on its line */
    bool space_before; /* anything but a token stands before it */
    bool after_bad;    /* set by the parser: malformed bytes were skipped before it */
    uint32_t begin, end;
} tg_token;

typedef struct tg_lexer {
    const tg_source *src;
    tg_sink *sink; /* NULL: report nothing */
    bool keep_comments;
    uint32_t pos;
    int bad_bytes; /* how often the general complaint was made */
} tg_lexer;

/* Source texts beyond this are refused (E0108). */
#define TG_SOURCE_MAX_BYTES ((size_t)16 << 20)

void tg_lexer_init(tg_lexer *lx, const tg_source *src, tg_sink *sink);
/* The next token; EOF for ever at the end. */
tg_token tg_lexer_next(tg_lexer *lx);

/* The token's fixed text, or its description in words. */
const char *tg_token_text(tg_token_kind k);
bool tg_token_is_keyword(tg_token_kind k);

/* Values of literal tokens; false (reported by the lexer) when malformed or too large. */
bool tg_token_int(const tg_source *src, tg_token t, uint64_t *out);
bool tg_token_float(const tg_source *src, tg_token t, double *out);
/* The string without quotes, escapes resolved, in the arena. */
const char *tg_token_string(tg_arena *a, const tg_source *src, tg_token t, size_t *out_len);

/* Correctly rounded decimal: `text` is digits [. digits] [e[+-]digits], `_` ignored. Independent of
 * the host's locale. Overflow gives infinity. */
double tg_decimal_parse(const char *text, size_t len);

#endif
