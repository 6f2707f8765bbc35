/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the three files of the IR text reader share: the lexer and small pieces (parse_lex.c),
 * dimension expressions and types (parse_type.c), operations and functions (parse.c). Each reader
 * returns false (or NULL) after reporting the first error.
 */
#ifndef TG_PARSE_H
#define TG_PARSE_H

#include "ir/ir.h"

#define TG_TEXT_MAX_DEPTH 200 /* nested regions, nested parentheses */

typedef enum tg_token_kind {
    TOK_END,
    TOK_WORD,
    TOK_INT,
    TOK_FLOAT,
    TOK_STRING,
    TOK_VALUE, /* %name */
    TOK_PUNCT, /* one or two characters */
    TOK_BAD
} tg_token_kind;

typedef struct tg_token {
    tg_token_kind kind;
    uint32_t begin, end;
} tg_token;

/* Value names of the function being read; open-addressed by interned pointer. */
typedef struct tg_name_table {
    const char **keys;
    tg_value **values;
    size_t count, cap;
} tg_name_table;

typedef struct tg_text_parser {
    const tg_source *src;
    tg_arena *arena;
    tg_sink *sink;
    tg_module *m;
    tg_func *f;
    const tg_sym *syms;
    int n_syms;
    tg_name_table values;
    tg_token tok;
    int depth, dim_nodes;
    bool failed;
} tg_text_parser;

bool tg_text_is_letter(char c);
bool tg_text_is_digit(char c);
char tg_text_char_at(const tg_text_parser *p, uint32_t i);
tg_token tg_text_lex_at(const tg_text_parser *p, uint32_t i);
void tg_text_advance(tg_text_parser *p);
const char *tg_text_tok_text(const tg_text_parser *p);
size_t tg_text_tok_len(const tg_text_parser *p);
bool tg_text_token_is(const tg_text_parser *p, tg_token t, const char *s);
bool tg_text_at(const tg_text_parser *p, const char *s);
tg_span tg_text_tok_span(const tg_text_parser *p);
bool tg_text_fail(tg_text_parser *p, const char *what);
bool tg_text_accept(tg_text_parser *p, const char *s);
bool tg_text_expect(tg_text_parser *p, const char *s);
bool tg_text_string(tg_text_parser *p, const char **out);
bool tg_text_name(tg_text_parser *p, const char **out);
bool tg_text_i64(tg_text_parser *p, int64_t *out);
bool tg_text_f64(tg_text_parser *p, double *out);
bool tg_text_int_list(tg_text_parser *p, const int64_t **out, size_t *out_n);
const tg_dim *tg_text_dim(tg_text_parser *p);
bool tg_text_dims(tg_text_parser *p, const tg_dim **dims, int *out_rank);
bool tg_text_dtype(tg_text_parser *p, tg_dtype *out);
bool tg_text_element(tg_text_parser *p, tg_dtype *out, int64_t *out_bytes);
const tg_type *tg_text_type(tg_text_parser *p);

#endif
