/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parser's files share. The grammar is in docs/language.md; each rule is one function.
 *
 *   parser.c       token window, expectations, recovery, files
 *   parser_decl.c  declarations
 *   parser_stmt.c  blocks and statements
 *   parser_expr.c  expressions, types, calls
 *
 * Errors: a rule that fails reports once, sets `panic` and returns quickly; while panic is set
 * nothing more is reported. The statement or declaration loop then skips to the next boundary and
 * clears it. Every loop consumes at least one token per round, and nesting is limited, so any bytes
 * terminate.
 */
#ifndef TG_PARSER_H
#define TG_PARSER_H

#include "frontend/ast.h"
#include "frontend/lexer.h"

/* Nesting of the recursive descent, and height of an expression tree (chains like a + a + ...). */
enum { TG_PARSE_MAX_DEPTH = 200, TG_EXPR_MAX_HEIGHT = 300 };

typedef enum tg_body_kind { TG_BODY_KERNEL, TG_BODY_FN, TG_BODY_OP } tg_body_kind;

typedef struct tg_parser {
    tg_arena *arena;
    tg_sink *sink;
    tg_strtab *names;
    const tg_source *src;
    tg_file *file;
    tg_lexer lexer;
    tg_token tok;      /* current */
    tg_token ahead[2]; /* the two after it */
    uint32_t prev_end; /* end of the token before tok */
    int depth;
    int brackets; /* open ( and [: line breaks mean nothing inside */
    bool panic;
    bool broken;  /* the declaration being parsed had an error */
    bool strings; /* string literals are welcome (print, assert, assume) */
    tg_body_kind body;
    tg_span wildcard; /* a `_` used as an expression that no pattern has claimed yet */
} tg_parser;

typedef TG_LIST(tg_expr *) tg_expr_buf;
typedef TG_LIST(tg_stmt *) tg_stmt_buf;

/* ---- parser.c */
void tg_parser_advance(tg_parser *p);
bool tg_parser_at(const tg_parser *p, tg_token_kind k);
bool tg_parser_at_word(const tg_parser *p, const char *word); /* a NAME with this text */
bool tg_parser_accept(tg_parser *p, tg_token_kind k);
bool tg_parser_accept_word(tg_parser *p, const char *word);
/* The current token continues the line of the one before it (always true inside brackets). */
bool tg_parser_same_line(const tg_parser *p);
tg_span tg_parser_here(const tg_parser *p);                  /* the current token */
tg_span tg_parser_since(const tg_parser *p, uint32_t begin); /* begin to the last consumed token */
/* Where something is missing: the current token, or just behind the last one at a line's end. */
tg_span tg_parser_gap(const tg_parser *p);
/* "`x`", "the keyword `for`", "the end of the file" */
const char *tg_parser_found(const tg_parser *p);
/* Reports unless in panic; sets panic. The diagnostic may be noted upon (NULL in panic). */
tg_diag *tg_parser_fail(tg_parser *p, tg_diag_id id, tg_span span, const char *fmt, ...)
    TG_PRINTF(4, 5);
/* Reports unless in panic; parsing goes on. */
tg_diag *tg_parser_complain(tg_parser *p, tg_diag_id id, tg_span span, const char *fmt, ...)
    TG_PRINTF(4, 5);
void tg_parser_note_fix(tg_parser *p, tg_diag *d, tg_span span, const char *fix, const char *text);
void tg_parser_note(tg_parser *p, tg_diag *d, tg_span span, const char *text);
/* Consumes k or fails with "expected `k` WHERE, found ...". */
bool tg_parser_expect(tg_parser *p, tg_token_kind k, const char *where);
/* As expect for a closing bracket, with a note at its opening one. */
bool tg_parser_close(tg_parser *p, tg_token_kind k, tg_span open);
/* A name that the program chooses; `what` says for what. */
tg_ident tg_parser_name(tg_parser *p, const char *what);
/* A field or member name: any word. */
tg_ident tg_parser_word(tg_parser *p, const char *what);
const char *tg_parser_text(const tg_parser *p, tg_token t); /* interned text */
bool tg_parser_enter(tg_parser *p); /* depth + 1; false (reported) when too deep */
void tg_parser_leave(tg_parser *p);
bool tg_parser_at_decl(const tg_parser *p); /* a declaration's keyword begins this line */
/* Skips balanced tokens to the end of the statement; clears panic. */
void tg_parser_sync_stmt(tg_parser *p);

/* ---- parser_decl.c */
tg_decl *tg_parse_decl(tg_parser *p);
tg_tol tg_parse_tolerance(tg_parser *p);

/* ---- parser_stmt.c */
tg_block tg_parse_block(tg_parser *p);
tg_block tg_parse_body(tg_parser *p, tg_body_kind kind);

/* ---- parser_expr.c */
tg_expr *tg_parse_expr(tg_parser *p);      /* with else / if */
tg_expr *tg_parse_operation(tg_parser *p); /* without */
tg_type_expr tg_parse_type(tg_parser *p, int max_groups);
tg_ct_args tg_parse_ct_args(tg_parser *p); /* at `[` */
tg_expr *tg_parse_error_expr(tg_parser *p);
tg_expr_list tg_parse_expr_list(tg_parser *p); /* e, e, ... without brackets */

#endif
