/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks and statements. Statements end at a line's end, at `;` or at the closing brace. A
 * statement that cannot be parsed is skipped to the next boundary, so one run reports several
 * errors.
 */
#include "frontend/parser.h"

#include <string.h>

static tg_stmt *make(tg_parser *p, tg_stmt_kind kind, uint32_t begin) {
    tg_stmt *s = TG_NEW(p->arena, tg_stmt);
    s->kind = kind;
    s->span = tg_parser_since(p, begin);
    return s;
}

/* ---- let, var, temp ------------------------------------------------------------------------- */

static tg_ident pattern_name(tg_parser *p) {
    if (tg_parser_at(p, TG_TOK_UNDERSCORE)) {
        tg_ident id = {tg_parser_text(p, p->tok), tg_parser_here(p)};
        tg_parser_advance(p);
        return id;
    }
    return tg_parser_name(p, "a value");
}

static void parse_pattern(tg_parser *p, tg_let_item *b) {
    TG_LIST(tg_ident) names = {0};
    tg_span open = tg_parser_here(p);
    b->is_tuple = tg_parser_accept(p, TG_TOK_LPAREN);
    do {
        tg_ident id = pattern_name(p);
        TG_LIST_PUSH(p->arena, &names, id);
    } while (b->is_tuple && !p->panic && tg_parser_accept(p, TG_TOK_COMMA) &&
             !tg_parser_at(p, TG_TOK_RPAREN));
    if (b->is_tuple) {
        tg_parser_close(p, TG_TOK_RPAREN, open);
    }
    b->names = names.data;
    b->n_names = (int)names.count;
}

static tg_let_item parse_binding(tg_parser *p, const char *keyword) {
    tg_let_item b = {0};
    uint32_t begin = p->tok.begin;
    parse_pattern(p, &b);
    if (!b.is_tuple && tg_parser_accept(p, TG_TOK_COLON)) {
        b.has_type = true;
        b.type = tg_parse_type(p, 1);
    }
    if (!p->panic && !tg_parser_at(p, TG_TOK_ASSIGN)) {
        tg_parser_fail(p, TG_D_EXPECTED_TOKEN, tg_parser_gap(p),
                       "expected `=`: what `%s` names needs a value, found %s", keyword,
                       tg_parser_found(p));
    }
    tg_parser_accept(p, TG_TOK_ASSIGN);
    b.init = p->panic ? tg_parse_error_expr(p) : tg_parse_expr(p);
    b.span = tg_parser_since(p, begin);
    return b;
}

static tg_stmt *parse_let(tg_parser *p) {
    uint32_t begin = p->tok.begin;
    bool is_var = tg_parser_at(p, TG_TOK_VAR);
    TG_LIST(tg_let_item) items = {0};
    tg_parser_advance(p);
    do {
        tg_let_item b = parse_binding(p, is_var ? "var" : "let");
        TG_LIST_PUSH(p->arena, &items, b);
    } while (!p->panic && tg_parser_accept(p, TG_TOK_COMMA));
    tg_stmt *s = make(p, TG_STMT_LET, begin);
    s->u.let.is_var = is_var;
    s->u.let.items = items.data;
    s->u.let.n = (int)items.count;
    return s;
}

static tg_stmt *parse_temp(tg_parser *p) {
    uint32_t begin = p->tok.begin;
    TG_LIST(tg_temp) items = {0};
    if (p->body != TG_BODY_OP) {
        tg_diag *d = tg_parser_complain(p, TG_D_TEMP_OUTSIDE_OP, tg_parser_here(p),
                                        "`temp` makes device memory and belongs to an `op`");
        tg_parser_note(p, d, (tg_span){0},
                       "inside a kernel, values are tiles: `var x = zeros f32[..]`");
    }
    tg_parser_advance(p);
    do {
        tg_temp t = {.name = tg_parser_name(p, "a temporary")};
        tg_parser_expect(p, TG_TOK_COLON, "and a type after the temporary's name");
        t.type = tg_parse_type(p, 2);
        if (!p->panic && tg_parser_accept_word(p, "init")) {
            t.init = tg_parse_operation(p);
        }
        TG_LIST_PUSH(p->arena, &items, t);
    } while (!p->panic && tg_parser_accept(p, TG_TOK_COMMA));
    tg_stmt *s = make(p, TG_STMT_TEMP, begin);
    s->u.temp.items = items.data;
    s->u.temp.n = (int)items.count;
    return s;
}

/* ---- control -------------------------------------------------------------------------------- */

/* The body of a construct whose header may just have failed: then the braces are still found. */
static tg_block parse_inner(tg_parser *p) {
    if (p->panic) {
        tg_parser_sync_stmt(p);
        if (!tg_parser_at(p, TG_TOK_LBRACE)) {
            return (tg_block){.span = tg_parser_here(p)};
        }
    }
    return tg_parse_block(p);
}

static tg_stmt *parse_if(tg_parser *p);

static tg_block else_block(tg_parser *p) {
    if (!tg_parser_at(p, TG_TOK_IF)) {
        return parse_inner(p);
    }
    tg_block b = {0};
    if (!tg_parser_enter(p)) {
        tg_parser_leave(p);
        return b;
    }
    uint32_t begin = p->tok.begin;
    b.items = TG_NEW_ARRAY(p->arena, tg_stmt *, 1);
    b.items[0] = parse_if(p);
    b.n = 1;
    b.span = tg_parser_since(p, begin);
    tg_parser_leave(p);
    return b;
}

static tg_stmt *parse_if(tg_parser *p) {
    uint32_t begin = p->tok.begin;
    tg_parser_advance(p);
    tg_stmt *s = make(p, TG_STMT_IF, begin);
    s->u.if_.cond = tg_parse_operation(p);
    if (!p->panic && tg_parser_at(p, TG_TOK_ASSIGN)) {
        tg_diag *d = tg_parser_fail(p, TG_D_ASSIGN_IN_EXPR, tg_parser_here(p),
                                    "`=` assigns and has no place in a condition");
        tg_parser_note_fix(p, d, tg_parser_here(p), "==", "to compare, write `==`");
    }
    s->u.if_.then = parse_inner(p);
    if (!p->panic && tg_parser_accept(p, TG_TOK_ELSE)) {
        s->u.if_.has_else = true;
        s->u.if_.els = else_block(p);
    }
    s->span = tg_parser_since(p, begin);
    return s;
}

/* for x in a .. b | for k: hi [by n] | for k: lo .. hi [by n] */
static void parse_for_head(tg_parser *p, tg_stmt *s) {
    s->u.for_.var = tg_parser_name(p, "the loop's index");
    if (p->panic) {
        return;
    }
    bool in = tg_parser_accept(p, TG_TOK_IN);
    s->u.for_.kind = in ? TG_FOR_IN : TG_FOR_SPAN;
    if (!in && !tg_parser_accept(p, TG_TOK_COLON)) {
        tg_diag *d = tg_parser_fail(p, TG_D_EXPECTED_TOKEN, tg_parser_gap(p),
                                    "expected `in` or `:` after the loop's index, found %s",
                                    tg_parser_found(p));
        tg_parser_note(p, d, (tg_span){0},
                       "loops read `for x in 0 .. n`, `for k: K by BK` or `for j: lo .. hi by BN`");
        return;
    }
    s->u.for_.hi = tg_parse_operation(p);
    if (!p->panic && tg_parser_accept(p, TG_TOK_DOT_DOT)) {
        s->u.for_.lo = s->u.for_.hi;
        s->u.for_.hi = tg_parse_operation(p);
    } else if (!p->panic && in) {
        tg_diag *d = tg_parser_fail(p, TG_D_EXPECTED_TOKEN, tg_parser_gap(p),
                                    "expected `..`: `for x in` counts through a range, found %s",
                                    tg_parser_found(p));
        tg_parser_note(p, d, (tg_span){0}, "counting from zero reads `for x in 0 .. n`");
        return;
    }
    if (!p->panic && tg_parser_at_word(p, "by")) {
        if (in) {
            tg_diag *d = tg_parser_complain(p, TG_D_RANGE_HERE, tg_parser_here(p),
                                            "`for x in` counts single positions and takes no `by`");
            tg_parser_note(p, d, (tg_span){0}, "blocks of positions read `for x: lo .. hi by N`");
        }
        tg_parser_advance(p);
        s->u.for_.by = tg_parse_operation(p);
    }
}

static tg_stmt *parse_for(tg_parser *p) {
    uint32_t begin = p->tok.begin;
    tg_parser_advance(p);
    tg_stmt *s = make(p, TG_STMT_FOR, begin);
    parse_for_head(p, s);
    s->u.for_.body = parse_inner(p);
    s->span = tg_parser_since(p, begin);
    return s;
}

static tg_stmt *parse_while(tg_parser *p) {
    uint32_t begin = p->tok.begin;
    tg_parser_advance(p);
    tg_stmt *s = make(p, TG_STMT_WHILE, begin);
    s->u.while_.cond = tg_parse_operation(p);
    if (!p->panic && tg_parser_accept_word(p, "max")) {
        s->u.while_.max = tg_parse_operation(p);
    } else {
        tg_diag *d =
            tg_parser_complain(p, TG_D_WHILE_WITHOUT_MAX, tg_parser_gap(p),
                               "a `while` loop states its greatest trip count: `while c max N {`");
        tg_parser_note(p, d, (tg_span){0},
                       "a kernel must end on every input; N may be a dimension");
        s->u.while_.max = tg_parse_error_expr(p);
    }
    s->u.while_.body = parse_inner(p);
    s->span = tg_parser_since(p, begin);
    return s;
}

static tg_stmt *parse_return(tg_parser *p) {
    uint32_t begin = p->tok.begin;
    tg_span word = tg_parser_here(p);
    tg_parser_advance(p);
    if (p->body != TG_BODY_FN) {
        tg_diag *d =
            tg_parser_complain(p, TG_D_RETURN_OUTSIDE_FN, word, "only a `fn` returns values");
        tg_parser_note(p, d, (tg_span){0},
                       "a kernel or op writes its `out` tensors; to skip work, use `if`");
    }
    tg_stmt *s = make(p, TG_STMT_RETURN, begin);
    bool bare =
        tg_parser_at(p, TG_TOK_SEMI) || tg_parser_at(p, TG_TOK_RBRACE) || p->tok.starts_line;
    if (!bare) {
        s->u.ret = tg_parse_expr_list(p);
        if (s->u.ret.n == 1 && s->u.ret.items[0]->kind == TG_EXPR_TUPLE) {
            s->u.ret = s->u.ret.items[0]->u.tuple;
        }
    } else {
        tg_parser_complain(p, TG_D_EXPECTED_EXPR, tg_parser_gap(p),
                           "expected a value after `return`");
    }
    s->span = tg_parser_since(p, begin);
    return s;
}

/* print "text", x   assert c, "text"   assume c; parentheses around the list are allowed */
static tg_stmt *parse_report(tg_parser *p) {
    uint32_t begin = p->tok.begin;
    tg_stmt_kind kind = tg_parser_at(p, TG_TOK_PRINT)    ? TG_STMT_PRINT
                        : tg_parser_at(p, TG_TOK_ASSERT) ? TG_STMT_ASSERT
                                                         : TG_STMT_ASSUME;
    const char *word = tg_token_text(p->tok.kind);
    tg_parser_advance(p);
    p->strings = true;
    tg_expr_list args = tg_parse_expr_list(p);
    p->strings = false;
    if (args.n == 1 && args.items[0]->kind == TG_EXPR_TUPLE) {
        args = args.items[0]->u.tuple;
    }
    tg_stmt *s = make(p, kind, begin);
    s->u.report.args = args;
    bool text_last = args.n == 2 && args.items[1]->kind == TG_EXPR_STRING;
    if (!p->panic && kind != TG_STMT_PRINT &&
        (args.items[0]->kind == TG_EXPR_STRING || (args.n != 1 && !text_last))) {
        tg_parser_complain(p, TG_D_BAD_REPORT, s->span,
                           "`%s` takes one condition and, after a comma, a text", word);
    }
    return s;
}

/* ---- assignments and calls ------------------------------------------------------------------ */

static bool assign_op(tg_token_kind k, tg_binop *out) {
    static const struct {
        tg_token_kind token;
        tg_binop op;
    } ops[] = {
        {TG_TOK_ASSIGN, TG_BIN_NONE}, {TG_TOK_ADD_SET, TG_BIN_ADD}, {TG_TOK_SUB_SET, TG_BIN_SUB},
        {TG_TOK_MUL_SET, TG_BIN_MUL}, {TG_TOK_DIV_SET, TG_BIN_DIV}, {TG_TOK_REM_SET, TG_BIN_REM},
        {TG_TOK_AND_SET, TG_BIN_AND}, {TG_TOK_OR_SET, TG_BIN_OR},   {TG_TOK_XOR_SET, TG_BIN_XOR},
        {TG_TOK_SHL_SET, TG_BIN_SHL}, {TG_TOK_SHR_SET, TG_BIN_SHR}};
    for (size_t i = 0; i < TG_COUNT_OF(ops); i++) {
        if (ops[i].token == k) {
            *out = ops[i].op;
            return true;
        }
    }
    return false;
}

static void check_target(tg_parser *p, const tg_expr *t, bool in_tuple) {
    bool wildcard = t->kind == TG_EXPR_NAME && strcmp(t->u.name.name, "_") == 0;
    bool ok = t->kind == TG_EXPR_NAME || t->kind == TG_EXPR_INDEX || t->kind == TG_EXPR_FIELD ||
              t->kind == TG_EXPR_ERROR;
    if (!ok || (wildcard && !in_tuple)) {
        tg_diag *d = tg_parser_complain(p, TG_D_BAD_TARGET, t->span, "this cannot be assigned to");
        tg_parser_note(p, d, (tg_span){0},
                       "a target is a `var`, an element or block `c[i, j]`, or a tuple of them");
    }
}

static void parse_value(tg_parser *p, tg_stmt *s) {
    tg_expr *v = tg_parse_expr(p);
    bool store = s->u.assign.targets.n == 1 && !s->u.assign.is_tuple &&
                 s->u.assign.targets.items[0]->kind == TG_EXPR_INDEX;
    if (store && v->kind == TG_EXPR_IF && !v->paren) {
        s->u.assign.mask = v->u.choose.v;
        v = v->u.choose.x;
    }
    s->u.assign.value = v;
}

static tg_stmt *parse_assign(tg_parser *p, tg_expr *target, tg_binop op, uint32_t begin) {
    tg_stmt *s = make(p, TG_STMT_ASSIGN, begin);
    s->u.assign.is_tuple = target->kind == TG_EXPR_TUPLE;
    if (s->u.assign.is_tuple) {
        s->u.assign.targets = target->u.tuple;
    } else {
        s->u.assign.targets.items = TG_NEW_ARRAY(p->arena, tg_expr *, 1);
        s->u.assign.targets.items[0] = target;
        s->u.assign.targets.n = 1;
    }
    for (int i = 0; i < s->u.assign.targets.n; i++) {
        check_target(p, s->u.assign.targets.items[i], s->u.assign.is_tuple);
    }
    p->wildcard = (tg_span){0};
    s->u.assign.op = op;
    s->u.assign.op_span = tg_parser_here(p);
    if (s->u.assign.is_tuple && op != TG_BIN_NONE) {
        tg_parser_complain(p, TG_D_BAD_TARGET, s->u.assign.op_span,
                           "a tuple is assigned with `=` only");
    }
    tg_parser_advance(p);
    parse_value(p, s);
    s->span = tg_parser_since(p, begin);
    return s;
}

static bool is_jump(const tg_expr *e) {
    static const char *const words[] = {"break", "continue", "goto", "pass"};
    for (size_t i = 0; i < TG_COUNT_OF(words); i++) {
        if (e->kind == TG_EXPR_NAME && strcmp(e->u.name.name, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* What other languages would mean here. */
static tg_stmt *foreign_stmt(tg_parser *p, const tg_expr *e, uint32_t begin) {
    if (tg_parser_at(p, TG_TOK_INCREMENT) || tg_parser_at(p, TG_TOK_DECREMENT)) {
        bool inc = tg_parser_at(p, TG_TOK_INCREMENT);
        tg_diag *d = tg_parser_fail(p, TG_D_INCREMENT, tg_parser_here(p),
                                    "there is no `%s` operator", inc ? "++" : "--");
        tg_parser_note_fix(p, d, tg_parser_here(p), inc ? "+= 1" : "-= 1",
                           "step by one with an assignment");
    } else if (e->kind == TG_EXPR_NAME && tg_parser_at(p, TG_TOK_NAME) && tg_parser_same_line(p)) {
        tg_diag *d = tg_parser_fail(p, TG_D_EXPECTED_STMT, e->span, "`%s` begins no statement",
                                    e->u.name.name);
        tg_parser_note(p, d, (tg_span){0},
                       "a new value is bound with `let x = ...` or `var x = ...`");
    } else if (e->kind == TG_EXPR_NAME && tg_parser_at(p, TG_TOK_COLON)) {
        tg_diag *d = tg_parser_fail(p, TG_D_EXPECTED_STMT, e->span, "`%s:` begins no statement",
                                    e->u.name.name);
        tg_parser_note(p, d, (tg_span){0},
                       "a new value is bound with `let x: T = ...` or `var x: T = ...`");
    } else if (is_jump(e)) {
        tg_diag *d =
            tg_parser_complain(p, TG_D_EXPECTED_STMT, e->span, "there is no `%s`", e->u.name.name);
        tg_parser_note(
            p, d, (tg_span){0},
            "loops run to their end: guard the rest of the body with `if`, or use `while c max N`");
    } else if (!p->panic) {
        tg_diag *d = tg_parser_complain(p, TG_D_UNUSED_VALUE, e->span, "this value is not used");
        if (e->kind == TG_EXPR_BINARY && e->u.binary.op == TG_BIN_EQ) {
            tg_parser_note_fix(p, d, e->u.binary.op_span, "=", "to assign, write `=`");
        }
    }
    return make(p, TG_STMT_ERROR, begin);
}

/* Can the current token begin an expression (and so an assignment or a call)? */
static bool begins_value(const tg_parser *p) {
    switch ((int)p->tok.kind) {
    case TG_TOK_BAD:
    case TG_TOK_NAME:
    case TG_TOK_INT:
    case TG_TOK_FLOAT:
    case TG_TOK_STRING:
    case TG_TOK_UNDERSCORE:
    case TG_TOK_TRUE:
    case TG_TOK_FALSE:
    case TG_TOK_INF:
    case TG_TOK_NOT_A_NUMBER:
    case TG_TOK_ATOMIC:
    case TG_TOK_ZEROS:
    case TG_TOK_FULL:
    case TG_TOK_LPAREN:
    case TG_TOK_SUB:
    case TG_TOK_NOT:
    case TG_TOK_TILDE:
        return true;
    default:
        return false;
    }
}

static tg_stmt *expected_stmt(tg_parser *p, bool disjoint) {
    uint32_t begin = p->tok.begin;
    if (disjoint) {
        tg_parser_fail(p, TG_D_DISJOINT_WHERE, tg_parser_gap(p),
                       "expected a store after `disjoint`, found %s", tg_parser_found(p));
    } else if (tg_parser_at(p, TG_TOK_RPAREN) || tg_parser_at(p, TG_TOK_RBRACKET)) {
        tg_parser_fail(p, TG_D_STRAY_CLOSE, tg_parser_here(p), "%s closes nothing",
                       tg_parser_found(p));
    } else {
        tg_parser_fail(p, TG_D_EXPECTED_STMT, tg_parser_here(p), "expected a statement, found %s",
                       tg_parser_found(p));
    }
    return make(p, TG_STMT_ERROR, begin);
}

static tg_stmt *parse_simple(tg_parser *p) {
    uint32_t begin = p->tok.begin;
    tg_span disjoint = tg_parser_here(p);
    bool is_disjoint = tg_parser_accept(p, TG_TOK_DISJOINT);
    if (tg_parser_at(p, TG_TOK_INCREMENT) || tg_parser_at(p, TG_TOK_DECREMENT)) {
        return foreign_stmt(p, tg_parse_error_expr(p), begin);
    }
    if (!begins_value(p)) {
        return expected_stmt(p, is_disjoint);
    }
    tg_expr *e = tg_parse_operation(p);
    tg_binop op;
    if (p->panic) {
        return make(p, TG_STMT_ERROR, begin);
    }
    if (assign_op(p->tok.kind, &op)) {
        tg_stmt *s = parse_assign(p, e, op, begin);
        s->u.assign.disjoint = is_disjoint;
        s->u.assign.disjoint_span = disjoint;
        return s;
    }
    if (is_disjoint) {
        tg_parser_complain(p, TG_D_DISJOINT_WHERE, disjoint,
                           "`disjoint` stands before a store: `disjoint c[i] = v`");
        return make(p, TG_STMT_ERROR, begin);
    }
    if (e->kind != TG_EXPR_CALL && e->kind != TG_EXPR_ATOMIC && e->kind != TG_EXPR_ERROR) {
        return foreign_stmt(p, e, begin);
    }
    tg_stmt *s = make(p, TG_STMT_EXPR, begin);
    s->u.expr = e;
    return s;
}

/* ---- statements ----------------------------------------------------------------------------- */

static tg_stmt *stray_else(tg_parser *p) {
    uint32_t begin = p->tok.begin;
    tg_diag *d = tg_parser_complain(p, TG_D_STRAY_ELSE, tg_parser_here(p),
                                    "`else` without an `if` before it");
    tg_parser_note(p, d, (tg_span){0}, "it follows the closing brace of the `if` block");
    tg_parser_advance(p);
    if (tg_parser_at(p, TG_TOK_IF)) {
        return parse_if(p);
    }
    if (tg_parser_at(p, TG_TOK_LBRACE)) {
        (void)tg_parse_block(p);
    } else {
        p->panic = true;
    }
    return make(p, TG_STMT_ERROR, begin);
}

static tg_stmt *parse_stmt(tg_parser *p) {
    uint32_t begin = p->tok.begin;
    switch ((int)p->tok.kind) {
    case TG_TOK_LET:
    case TG_TOK_VAR:
        return parse_let(p);
    case TG_TOK_IF:
        return parse_if(p);
    case TG_TOK_ELSE:
        return stray_else(p);
    case TG_TOK_FOR:
        return parse_for(p);
    case TG_TOK_WHILE:
        return parse_while(p);
    case TG_TOK_RETURN:
        return parse_return(p);
    case TG_TOK_PRINT:
    case TG_TOK_ASSERT:
    case TG_TOK_ASSUME:
        return parse_report(p);
    case TG_TOK_TEMP:
        return parse_temp(p);
    case TG_TOK_LBRACE: {
        tg_stmt *s = make(p, TG_STMT_BLOCK, begin);
        s->u.block = tg_parse_block(p);
        s->span = tg_parser_since(p, begin);
        return s;
    }
    default:
        return parse_simple(p);
    }
}

static void end_stmt(tg_parser *p) {
    if (p->panic) {
        tg_parser_sync_stmt(p);
        return;
    }
    if (p->wildcard.source != NULL) {
        tg_parser_complain(p, TG_D_EXPECTED_EXPR, p->wildcard,
                           "`_` has no value: it drops a result, or makes a new axis in an index");
        p->wildcard = (tg_span){0};
    }
    bool block_end = p->prev_end > 0 && p->src->text[p->prev_end - 1] == '}';
    if (tg_parser_accept(p, TG_TOK_SEMI) || tg_parser_at(p, TG_TOK_RBRACE) || p->tok.starts_line ||
        tg_parser_at(p, TG_TOK_END) || block_end) {
        return;
    }
    bool close = tg_parser_at(p, TG_TOK_RPAREN) || tg_parser_at(p, TG_TOK_RBRACKET);
    if (close) {
        tg_parser_fail(p, TG_D_STRAY_CLOSE, tg_parser_here(p), "%s closes nothing",
                       tg_parser_found(p));
    } else {
        tg_parser_fail(p, TG_D_EXPECTED_TOKEN, tg_parser_here(p),
                       "expected the end of the statement (a new line or `;`), found %s",
                       tg_parser_found(p));
    }
    tg_parser_sync_stmt(p);
}

static void parse_stmts(tg_parser *p, tg_stmt_buf *buf) {
    while (!tg_parser_at(p, TG_TOK_RBRACE) && !tg_parser_at(p, TG_TOK_END) &&
           !tg_parser_at_decl(p)) {
        uint32_t begin = p->tok.begin;
        if (tg_parser_accept(p, TG_TOK_SEMI)) {
            continue;
        }
        tg_stmt *s = parse_stmt(p);
        TG_LIST_PUSH(p->arena, buf, s);
        end_stmt(p);
        if (p->tok.begin == begin && !tg_parser_at(p, TG_TOK_END)) {
            tg_parser_advance(p);
        }
    }
}

tg_block tg_parse_block(tg_parser *p) {
    tg_block b = {.span = tg_parser_here(p)};
    if (!tg_parser_at(p, TG_TOK_LBRACE)) {
        tg_parser_expect(p, TG_TOK_LBRACE, "to open the body");
        return b;
    }
    int brackets = p->brackets;
    tg_span open = tg_parser_here(p);
    tg_stmt_buf buf = {0};
    tg_parser_advance(p);
    p->brackets = 0;
    if (tg_parser_enter(p)) {
        parse_stmts(p, &buf);
    }
    tg_parser_leave(p);
    if (!tg_parser_accept(p, TG_TOK_RBRACE) && !p->panic) {
        tg_diag *d = tg_parser_fail(p, TG_D_UNCLOSED, tg_parser_gap(p), "expected `}`, found %s",
                                    tg_parser_found(p));
        tg_parser_note(p, d, open, "to close the block opened here");
    }
    p->brackets = brackets;
    b.items = buf.data;
    b.n = (int)buf.count;
    b.span = tg_parser_since(p, open.begin);
    return b;
}

/* ---- bodies --------------------------------------------------------------------------------- */

static void reject_returns(tg_parser *p, const tg_block *b, bool is_body);

static void reject_returns_in(tg_parser *p, const tg_stmt *s) {
    if (s->kind == TG_STMT_IF) {
        reject_returns(p, &s->u.if_.then, false);
        reject_returns(p, &s->u.if_.els, false);
    } else if (s->kind == TG_STMT_FOR) {
        reject_returns(p, &s->u.for_.body, false);
    } else if (s->kind == TG_STMT_WHILE) {
        reject_returns(p, &s->u.while_.body, false);
    } else if (s->kind == TG_STMT_BLOCK) {
        reject_returns(p, &s->u.block, false);
    }
}

/* `return` only as the last statement of a fn: tiles have no early exit. */
static void reject_returns(tg_parser *p, const tg_block *b, bool is_body) {
    for (int i = 0; i < b->n; i++) {
        const tg_stmt *s = b->items[i];
        if (s->kind == TG_STMT_RETURN && !(is_body && i + 1 == b->n)) {
            tg_diag *d = tg_parser_complain(p, TG_D_EARLY_RETURN, s->span,
                                            "`return` must be the last statement of the function");
            tg_parser_note(p, d, (tg_span){0},
                           "compute the value with `where` or `if` and return it at the end");
        }
        reject_returns_in(p, s);
    }
}

tg_block tg_parse_body(tg_parser *p, tg_body_kind kind) {
    p->body = kind;
    tg_block b = tg_parse_block(p);
    if (kind == TG_BODY_FN) {
        reject_returns(p, &b, true);
    }
    return b;
}
