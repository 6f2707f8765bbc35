/* SPDX-License-Identifier: Apache-2.0 */
/* Declarations: signatures with their clauses, records, schedules, cases, imports. See parser.h. */
#include "frontend/parser.h"

#include <string.h>

static tg_decl *make(tg_parser *p, tg_decl_kind kind) {
    tg_decl *d = TG_NEW(p->arena, tg_decl);
    d->kind = kind;
    d->span = d->head = tg_parser_here(p);
    d->file = p->file;
    return d;
}

/* ---- compile-time parameters ---------------------------------------------------------------- */

static tg_ct_param parse_ct_param(tg_parser *p) {
    uint32_t begin = p->tok.begin;
    tg_ct_param c = {.name = tg_parser_name(p, "a compile-time parameter")};
    if (!p->panic && tg_parser_accept(p, TG_TOK_COLON)) {
        TG_LIST(tg_type_expr) alts = {0};
        do {
            tg_type_expr t = tg_parse_type(p, 0);
            TG_LIST_PUSH(p->arena, &alts, t);
        } while (!p->panic && tg_parser_accept(p, TG_TOK_OR));
        c.alts = alts.data;
        c.n_alts = (int)alts.count;
    }
    if (!p->panic && tg_parser_accept(p, TG_TOK_ASSIGN)) {
        c.def = tg_parse_operation(p);
    }
    c.span = tg_parser_since(p, begin);
    return c;
}

static tg_ct_params parse_ct_params(tg_parser *p) {
    tg_ct_params ct = {.span = tg_parser_since(p, p->tok.begin)};
    if (p->panic || !tg_parser_at(p, TG_TOK_LBRACKET)) {
        return ct;
    }
    tg_span open = tg_parser_here(p);
    TG_LIST(tg_ct_param) items = {0};
    tg_parser_advance(p);
    p->brackets++;
    while (!p->panic && !tg_parser_at(p, TG_TOK_RBRACKET)) {
        tg_ct_param c = parse_ct_param(p);
        TG_LIST_PUSH(p->arena, &items, c);
        if (!tg_parser_accept(p, TG_TOK_COMMA)) {
            break;
        }
    }
    p->brackets--;
    if (tg_parser_close(p, TG_TOK_RBRACKET, open) && items.count == 0) {
        tg_parser_complain(p, TG_D_EMPTY_LIST, tg_parser_since(p, open.begin), "`[]` is empty");
    }
    ct.items = items.data;
    ct.n = (int)items.count;
    ct.span = tg_parser_since(p, open.begin);
    return ct;
}

/* ---- parameters ----------------------------------------------------------------------------- */

/* A fact that was already given is reported and overwritten. */
static void once(tg_parser *p, bool given, const char *word) {
    if (given) {
        tg_parser_complain(p, TG_D_DUPLICATE_CLAUSE, tg_parser_here(p), "`%s` is given twice",
                           word);
    }
}

static void parse_range_fact(tg_parser *p, tg_ast_param *a) {
    once(p, a->range_lo != NULL, "in");
    tg_parser_advance(p);
    a->range_lo = tg_parse_operation(p);
    tg_parser_expect(p, TG_TOK_DOT_DOT, "in the range of the parameter's values `in lo .. hi`");
    a->range_hi = p->panic ? tg_parse_error_expr(p) : tg_parse_operation(p);
}

static bool parse_flag_fact(tg_parser *p, tg_ast_param *a) {
    const struct {
        const char *word;
        bool *flag;
    } flags[] = {{"sorted", &a->sorted},
                 {"unique", &a->unique},
                 {"strided", &a->strided},
                 {"alias", &a->alias}};
    for (size_t i = 0; i < TG_COUNT_OF(flags); i++) {
        if (tg_parser_at_word(p, flags[i].word)) {
            once(p, *flags[i].flag, flags[i].word);
            *flags[i].flag = true;
            tg_parser_advance(p);
            return true;
        }
    }
    return false;
}

static bool parse_fact(tg_parser *p, tg_ast_param *a) {
    if (tg_parser_at(p, TG_TOK_IN)) {
        parse_range_fact(p, a);
        return true;
    }
    bool init = tg_parser_at_word(p, "init"), align = tg_parser_at_word(p, "align");
    if (init || align) {
        tg_expr **slot = init ? &a->init : &a->align;
        once(p, *slot != NULL, init ? "init" : "align");
        tg_parser_advance(p);
        *slot = tg_parse_operation(p);
        return true;
    }
    return parse_flag_fact(p, a);
}

static void parse_facts(tg_parser *p, tg_ast_param *a) {
    uint32_t begin = p->tok.begin;
    a->facts = tg_parser_since(p, begin);
    while (!p->panic && parse_fact(p, a)) {
        a->facts = tg_parser_since(p, begin);
    }
    if (!p->panic && tg_parser_at(p, TG_TOK_NAME)) {
        tg_diag *d = tg_parser_fail(p, TG_D_UNKNOWN_FACT, tg_parser_here(p),
                                    "%s is no fact about a parameter", tg_parser_found(p));
        tg_parser_note(p, d, (tg_span){0},
                       "facts are `sorted`, `unique`, `in lo .. hi`, `strided`, `alias`, `init v` "
                       "and `align n`");
    }
}

static tg_ast_param parse_param(tg_parser *p, tg_body_kind body) {
    uint32_t begin = p->tok.begin;
    tg_ast_param a = {.mode = TG_MODE_IN};
    if (tg_parser_accept(p, TG_TOK_OUT)) {
        a.mode = TG_MODE_OUT;
    } else if (tg_parser_accept(p, TG_TOK_INOUT)) {
        a.mode = TG_MODE_INOUT;
    }
    if (a.mode != TG_MODE_IN && body == TG_BODY_FN) {
        tg_diag *d = tg_parser_complain(p, TG_D_FN_OUT, tg_parser_since(p, begin),
                                        "a `fn` has no `out` parameters: it returns its results");
        tg_parser_note(p, d, (tg_span){0}, "several values are returned with `return a, b`");
    }
    a.name = tg_parser_name(p, "a parameter");
    if (!p->panic && tg_parser_accept(p, TG_TOK_COLON)) {
        a.has_type = true;
        a.type = tg_parse_type(p, 2);
        parse_facts(p, &a);
    } else if (!p->panic && body != TG_BODY_FN) {
        tg_diag *d = tg_parser_fail(p, TG_D_PARAM_TYPE, tg_parser_gap(p),
                                    "the parameter `%s` needs a type", a.name.name);
        tg_parser_note(p, d, (tg_span){0}, "tensors read `x: f32[M, K]`, scalars `s: f32`");
    }
    if (!p->panic && tg_parser_at(p, TG_TOK_ASSIGN)) {
        if (body != TG_BODY_FN) {
            tg_parser_complain(p, TG_D_PARAM_DEFAULT, tg_parser_here(p),
                               "only parameters of a `fn` have default values");
        }
        tg_parser_advance(p);
        a.def = tg_parse_expr(p);
    }
    a.span = tg_parser_since(p, begin);
    return a;
}

static tg_ast_params parse_params(tg_parser *p, tg_body_kind body) {
    tg_span open = tg_parser_here(p);
    TG_LIST(tg_ast_param) items = {0};
    if (!tg_parser_expect(p, TG_TOK_LPAREN, "to open the parameters")) {
        return (tg_ast_params){.span = open};
    }
    p->brackets++;
    while (!p->panic && !tg_parser_at(p, TG_TOK_RPAREN)) {
        tg_ast_param a = parse_param(p, body);
        TG_LIST_PUSH(p->arena, &items, a);
        if (!tg_parser_accept(p, TG_TOK_COMMA)) {
            break;
        }
    }
    p->brackets--;
    tg_parser_close(p, TG_TOK_RPAREN, open);
    return (tg_ast_params){items.data, (int)items.count, tg_parser_since(p, open.begin)};
}

/* ---- clauses -------------------------------------------------------------------------------- */

typedef struct clauses {
    TG_LIST(tg_tune) tunes;
    tg_expr_buf
        requires;
    TG_LIST(tg_grid_axis) grid;
} clauses;

static tg_expr_list parse_choices(tg_parser *p) {
    tg_expr_buf buf = {0};
    tg_span open = tg_parser_here(p);
    if (!tg_parser_expect(p, TG_TOK_LBRACE, "to open the tune's choices")) {
        return (tg_expr_list){0};
    }
    while (!p->panic && !tg_parser_at(p, TG_TOK_RBRACE)) {
        tg_expr *e = tg_parse_operation(p);
        TG_LIST_PUSH(p->arena, &buf, e);
        if (!tg_parser_accept(p, TG_TOK_COMMA)) {
            break;
        }
    }
    if (tg_parser_close(p, TG_TOK_RBRACE, open) && buf.count == 0) {
        tg_parser_complain(p, TG_D_EMPTY_LIST, tg_parser_since(p, open.begin),
                           "`{}` offers no choice");
    }
    return (tg_expr_list){buf.data, (int)buf.count};
}

static void parse_tunes(tg_parser *p, clauses *c) {
    tg_parser_advance(p);
    do {
        uint32_t begin = p->tok.begin;
        tg_tune t = {.name = tg_parser_name(p, "a tunable value")};
        tg_parser_expect(p, TG_TOK_ASSIGN, "and the default after the tune's name");
        t.def = p->panic ? tg_parse_error_expr(p) : tg_parse_operation(p);
        if (!p->panic && tg_parser_accept(p, TG_TOK_IN)) {
            t.values = parse_choices(p);
        }
        t.span = tg_parser_since(p, begin);
        TG_LIST_PUSH(p->arena, &c->tunes, t);
    } while (!p->panic && tg_parser_accept(p, TG_TOK_COMMA));
}

static void parse_grid(tg_parser *p, clauses *c) {
    if (c->grid.count > 0) {
        tg_diag *d = tg_parser_complain(p, TG_D_DUPLICATE_CLAUSE, tg_parser_here(p),
                                        "the kernel has two grids");
        tg_parser_note(p, d, c->grid.data[0].span,
                       "list all axes in the first one, separated by commas");
    }
    tg_parser_advance(p);
    do {
        uint32_t begin = p->tok.begin;
        tg_grid_axis g = {.name = tg_parser_name(p, "a grid axis")};
        tg_parser_expect(p, TG_TOK_COLON, "and the extent after the grid axis");
        g.extent = p->panic ? tg_parse_error_expr(p) : tg_parse_operation(p);
        if (!p->panic && tg_parser_accept_word(p, "by")) {
            g.by = tg_parse_operation(p);
        }
        g.span = tg_parser_since(p, begin);
        TG_LIST_PUSH(p->arena, &c->grid, g);
    } while (!p->panic && tg_parser_accept(p, TG_TOK_COMMA));
}

/* tune, require, grid and tol in any order; anything else ends them. */
static void parse_clauses(tg_parser *p, clauses *c, tg_decl *d, tg_body_kind body) {
    while (!p->panic) {
        bool kernel_only = tg_parser_at(p, TG_TOK_TUNE) || tg_parser_at(p, TG_TOK_GRID);
        if (kernel_only && body != TG_BODY_KERNEL) {
            tg_parser_complain(p, TG_D_CLAUSE_WHERE, tg_parser_here(p), "only a kernel has %s",
                               tg_parser_at(p, TG_TOK_TUNE) ? "tunes" : "a grid");
        }
        if (tg_parser_at(p, TG_TOK_TUNE)) {
            parse_tunes(p, c);
        } else if (tg_parser_at(p, TG_TOK_GRID)) {
            parse_grid(p, c);
        } else if (tg_parser_accept(p, TG_TOK_REQUIRE)) {
            do {
                tg_expr *e = tg_parse_operation(p);
                TG_LIST_PUSH(p->arena, &c->requires, e);
            } while (!p->panic && tg_parser_accept(p, TG_TOK_COMMA));
        } else if (tg_parser_at_word(p, "tol") && body != TG_BODY_FN) {
            d->u.kernel.tol = tg_parse_tolerance(p);
        } else {
            return;
        }
    }
}

/* After a wrong header the body is still parsed for its own errors. */
static void find_body(tg_parser *p) {
    if (!p->panic) {
        return;
    }
    while (!tg_parser_at(p, TG_TOK_END) && !tg_parser_at(p, TG_TOK_LBRACE) &&
           !tg_parser_at_decl(p)) {
        tg_parser_advance(p);
    }
    p->panic = !tg_parser_at(p, TG_TOK_LBRACE);
    p->brackets = 0;
}

static tg_decl *parse_kernel(tg_parser *p, tg_decl_kind kind) {
    tg_decl *d = make(p, kind);
    tg_body_kind body = kind == TG_DECL_OP ? TG_BODY_OP : TG_BODY_KERNEL;
    clauses c = {0};
    tg_parser_advance(p);
    d->name = tg_parser_name(p, kind == TG_DECL_OP ? "an op" : "a kernel");
    d->u.kernel.ct = parse_ct_params(p);
    if (!p->panic) {
        d->u.kernel.params = parse_params(p, body);
    }
    d->head = tg_parser_since(p, d->span.begin);
    parse_clauses(p, &c, d, body);
    d->u.kernel.tunes = c.tunes.data;
    d->u.kernel.n_tunes = (int)c.tunes.count;
    d->u.kernel.
        requires
    = (tg_expr_list){c.requires.data, (int)c.requires.count};
    d->u.kernel.grid = c.grid.data;
    d->u.kernel.n_grid = (int)c.grid.count;
    find_body(p);
    if (!p->panic) {
        d->u.kernel.body = tg_parse_body(p, body);
    }
    return d;
}

/* ---- functions ------------------------------------------------------------------------------ */

static void parse_results(tg_parser *p, tg_decl *d) {
    TG_LIST(tg_type_expr) types = {0};
    tg_span open = tg_parser_here(p);
    bool parens = tg_parser_accept(p, TG_TOK_LPAREN);
    p->brackets += parens;
    do {
        tg_type_expr t = tg_parse_type(p, 1);
        TG_LIST_PUSH(p->arena, &types, t);
    } while (!p->panic && tg_parser_accept(p, TG_TOK_COMMA));
    p->brackets -= parens;
    if (parens) {
        tg_parser_close(p, TG_TOK_RPAREN, open);
    }
    d->u.fn.has_results = true;
    d->u.fn.results = types.data;
    d->u.fn.n_results = (int)types.count;
}

static void parse_arch(tg_parser *p, tg_target_expr *t);

static tg_target_expr parse_target(tg_parser *p) {
    tg_target_expr t = {.span = tg_parser_here(p)};
    t.vendor = tg_parser_name(p, "a target");
    static const struct {
        tg_token_kind token;
        tg_binop op;
    } rels[] = {{TG_TOK_GE, TG_BIN_GE},
                {TG_TOK_LE, TG_BIN_LE},
                {TG_TOK_GT, TG_BIN_GT},
                {TG_TOK_LT, TG_BIN_LT},
                {TG_TOK_EQ, TG_BIN_EQ}};
    for (size_t i = 0; i < TG_COUNT_OF(rels) && !p->panic; i++) {
        if (t.rel == TG_BIN_NONE && tg_parser_accept(p, rels[i].token)) {
            t.rel = rels[i].op;
            parse_arch(p, &t);
        }
    }
    t.span = tg_parser_since(p, t.span.begin);
    return t;
}

/* An architecture is a run of words, numbers, `-`, `_` and `.` without blanks: x86-64-v3, sm90a. */
static void parse_arch(tg_parser *p, tg_target_expr *t) {
    uint32_t begin = p->tok.begin, end = begin;
    while (tg_parser_at(p, TG_TOK_NAME) || tg_parser_at(p, TG_TOK_INT) ||
           tg_parser_at(p, TG_TOK_SUB) || tg_parser_at(p, TG_TOK_DOT) ||
           tg_parser_at(p, TG_TOK_FLOAT)) {
        if (end > begin && p->tok.space_before) {
            break;
        }
        end = p->tok.end;
        tg_parser_advance(p);
    }
    if (end == begin) {
        tg_parser_fail(p, TG_D_EXPECTED_NAME, tg_parser_gap(p),
                       "expected an architecture such as `sm90`, found %s", tg_parser_found(p));
        return;
    }
    t->arch.name = tg_intern(p->names, p->src->text + begin, end - begin);
    t->arch.span = tg_parser_since(p, begin);
}

static void parse_extern(tg_parser *p, tg_decl *d) {
    d->u.fn.is_extern = true;
    if (!tg_parser_expect(p, TG_TOK_FOR, "and the target of the extern function")) {
        return;
    }
    d->u.fn.target = parse_target(p);
    tg_parser_expect(p, TG_TOK_ASSIGN, "and the symbol's name in quotes");
    if (p->panic || !tg_parser_at(p, TG_TOK_STRING)) {
        tg_parser_fail(p, TG_D_EXPECTED_TOKEN, tg_parser_gap(p),
                       "expected the symbol's name in quotes, found %s", tg_parser_found(p));
        return;
    }
    size_t len;
    d->u.fn.symbol = tg_token_string(p->arena, p->src, p->tok, &len);
    tg_parser_advance(p);
    if (!tg_parser_at(p, TG_TOK_LBRACE)) {
        tg_diag *g = tg_parser_fail(p, TG_D_EXTERN_BODY, d->head, "`%s` has no portable body",
                                    d->name.name != NULL ? d->name.name : "the function");
        tg_parser_note(
            p, g, (tg_span){0},
            "vendor code stands beside a body that every other target runs and tests compare with");
    }
}

static tg_decl *parse_fn(tg_parser *p, bool is_extern, bool fast) {
    tg_decl *d = make(p, TG_DECL_FN);
    clauses c = {0};
    d->u.fn.fast = fast;
    if (is_extern || fast) {
        tg_parser_advance(p);
    }
    if (!tg_parser_expect(p, TG_TOK_FN, is_extern ? "after `extern`" : "here")) {
        return d;
    }
    d->name = tg_parser_name(p, "a function");
    d->u.fn.ct = parse_ct_params(p);
    if (!p->panic) {
        d->u.fn.params = parse_params(p, TG_BODY_FN);
    }
    if (!p->panic && tg_parser_accept(p, TG_TOK_ARROW)) {
        parse_results(p, d);
    }
    d->head = tg_parser_since(p, d->span.begin);
    parse_clauses(p, &c, d, TG_BODY_FN);
    d->u.fn.
        requires
    = (tg_expr_list){c.requires.data, (int)c.requires.count};
    if (is_extern && !p->panic) {
        parse_extern(p, d);
    }
    find_body(p);
    if (!p->panic) {
        d->u.fn.body = tg_parse_body(p, TG_BODY_FN);
    }
    return d;
}

/* ---- records -------------------------------------------------------------------------------- */

/* name: T[n]   align n   pad n */
static tg_field parse_record_item(tg_parser *p) {
    uint32_t begin = p->tok.begin;
    tg_field f = {.kind = TG_FIELD_DATA};
    bool named = p->ahead[0].kind == TG_TOK_COLON;
    bool pad = tg_parser_at_word(p, "pad"), align = tg_parser_at_word(p, "align");
    if (!named && (pad || align)) {
        f.kind = pad ? TG_FIELD_PAD : TG_FIELD_ALIGN;
        tg_parser_advance(p);
        f.amount = tg_parse_operation(p);
    } else {
        f.name = tg_parser_word(p, "a field");
        tg_parser_expect(p, TG_TOK_COLON, "and a type after the field's name");
        f.type = tg_parse_type(p, 2);
    }
    f.span = tg_parser_since(p, begin);
    return f;
}

static tg_decl *parse_record(tg_parser *p) {
    tg_decl *d = make(p, TG_DECL_RECORD);
    tg_parser_advance(p);
    d->name = tg_parser_name(p, "a record");
    d->u.record.ct = parse_ct_params(p);
    d->head = tg_parser_since(p, d->span.begin);
    tg_span open = tg_parser_here(p);
    TG_LIST(tg_field) fields = {0};
    if (!tg_parser_expect(p, TG_TOK_LBRACE, "to open the record")) {
        return d;
    }
    while (!p->panic && !tg_parser_at(p, TG_TOK_RBRACE) && !tg_parser_at(p, TG_TOK_END) &&
           !tg_parser_at_decl(p)) {
        if (tg_parser_accept(p, TG_TOK_SEMI) || tg_parser_accept(p, TG_TOK_COMMA)) {
            continue;
        }
        tg_field f = parse_record_item(p);
        TG_LIST_PUSH(p->arena, &fields, f);
    }
    tg_parser_close(p, TG_TOK_RBRACE, open);
    d->u.record.fields = fields.data;
    d->u.record.n = (int)fields.count;
    return d;
}

/* ---- schedules ------------------------------------------------------------------------------ */

static void parse_schedule_sets(tg_parser *p, tg_decl *d) {
    tg_span open = tg_parser_here(p);
    TG_LIST(tg_set) sets = {0};
    if (!tg_parser_expect(p, TG_TOK_LBRACE, "to open the schedule")) {
        return;
    }
    while (!p->panic && !tg_parser_at(p, TG_TOK_RBRACE) && !tg_parser_at(p, TG_TOK_END) &&
           !tg_parser_at_decl(p)) {
        if (tg_parser_accept(p, TG_TOK_SEMI) || tg_parser_accept(p, TG_TOK_COMMA)) {
            continue;
        }
        uint32_t begin = p->tok.begin;
        tg_set s = {.name = tg_parser_name(p, "a tune or placement choice")};
        tg_parser_expect(p, TG_TOK_ASSIGN, "and a value after the choice's name");
        s.value = p->panic ? tg_parse_error_expr(p) : tg_parse_operation(p);
        s.span = tg_parser_since(p, begin);
        TG_LIST_PUSH(p->arena, &sets, s);
    }
    tg_parser_close(p, TG_TOK_RBRACE, open);
    d->u.schedule.sets = sets.data;
    d->u.schedule.n = (int)sets.count;
}

static tg_decl *parse_schedule(tg_parser *p) {
    tg_decl *d = make(p, TG_DECL_SCHEDULE);
    tg_parser_advance(p);
    d->name = tg_parser_name(p, "the kernel to schedule");
    if (!p->panic && tg_parser_at(p, TG_TOK_LBRACKET)) {
        d->u.schedule.ct = tg_parse_ct_args(p);
    }
    tg_parser_expect(p, TG_TOK_FOR, "and the target of the schedule");
    if (!p->panic) {
        d->u.schedule.target = parse_target(p);
    }
    if (!p->panic && tg_parser_accept_word(p, "when")) {
        d->u.schedule.when = tg_parse_operation(p);
    }
    d->head = tg_parser_since(p, d->span.begin);
    if (!p->panic) {
        parse_schedule_sets(p, d);
    }
    return d;
}

/* ---- cases ---------------------------------------------------------------------------------- */

static bool at_number(const tg_parser *p) {
    return tg_parser_at(p, TG_TOK_INT) || tg_parser_at(p, TG_TOK_FLOAT) ||
           tg_parser_at(p, TG_TOK_INF) || tg_parser_at(p, TG_TOK_NOT_A_NUMBER);
}

/* A literal or a type name, as text without underscores. */
static const char *parse_literal(tg_parser *p, tg_expr **out) {
    bool minus = tg_parser_at(p, TG_TOK_SUB);
    const tg_token *t = minus ? &p->ahead[0] : &p->tok;
    bool word =
        !minus && (t->kind == TG_TOK_NAME || t->kind == TG_TOK_TRUE || t->kind == TG_TOK_FALSE);
    bool number = t->kind == TG_TOK_INT || t->kind == TG_TOK_FLOAT || t->kind == TG_TOK_INF ||
                  t->kind == TG_TOK_NOT_A_NUMBER;
    *out = tg_parse_error_expr(p);
    if (!word && !number) {
        if (!tg_parser_at(p, TG_TOK_BAD)) {
            tg_parser_fail(p, TG_D_EXPECTED_LITERAL, tg_parser_gap(p),
                           "expected a number, `true`, `false` or a type, found %s",
                           tg_parser_found(p));
        }
        p->panic = true;
        return "0";
    }
    tg_sb sb;
    tg_sb_init(&sb, p->arena);
    uint32_t begin = p->tok.begin;
    for (uint32_t i = begin; i < t->end; i++) {
        char c = p->src->text[i];
        bool digit_gap = c == '_' && !word;
        if (!digit_gap && c != ' ' && c != '\t') {
            tg_sb_addc(&sb, c);
        }
    }
    if (minus) {
        tg_parser_advance(p);
    }
    tg_parser_advance(p);
    (*out)->span = tg_parser_since(p, begin);
    return sb.data;
}

static tg_set parse_set(tg_parser *p, bool may_be_positional) {
    uint32_t begin = p->tok.begin;
    tg_set s = {0};
    if (!may_be_positional || (tg_parser_at(p, TG_TOK_NAME) && p->ahead[0].kind == TG_TOK_ASSIGN)) {
        s.name = tg_parser_name(p, "a setting");
        tg_parser_expect(p, TG_TOK_ASSIGN, "and a value after the setting's name");
    }
    s.text = p->panic ? "0" : parse_literal(p, &s.value);
    s.span = tg_parser_since(p, begin);
    return s;
}

static double parse_bound(tg_parser *p, const char *what) {
    double v = 0;
    if (p->panic || !at_number(p)) {
        tg_parser_fail(p, TG_D_BAD_TOLERANCE, tg_parser_gap(p),
                       "expected a number for `%s`, found %s", what, tg_parser_found(p));
        return v;
    }
    uint64_t i = 0;
    if (tg_parser_at(p, TG_TOK_INT) && tg_token_int(p->src, p->tok, &i)) {
        v = (double)i;
    } else if (tg_parser_at(p, TG_TOK_FLOAT)) {
        (void)tg_token_float(p->src, p->tok, &v);
    } else {
        tg_parser_fail(p, TG_D_BAD_TOLERANCE, tg_parser_here(p), "a tolerance must be finite");
    }
    tg_parser_advance(p);
    return v;
}

tg_tol tg_parse_tolerance(tg_parser *p) {
    static const struct {
        const char *word;
        tg_tol_kind kind;
    } kinds[] = {{"exact", TG_TOLK_EXACT},         {"abs", TG_TOLK_ABS_REL},
                 {"calc_diff", TG_TOLK_CALC_DIFF}, {"ulp", TG_TOLK_ULP},
                 {"nmse", TG_TOLK_NMSE},           {"gate", TG_TOLK_GATE}};
    tg_tol t = {.span = tg_parser_here(p)};
    tg_parser_advance(p);
    for (size_t i = 0; i < TG_COUNT_OF(kinds) && t.kind == TG_TOLK_NONE; i++) {
        if (tg_parser_accept_word(p, kinds[i].word)) {
            t.kind = kinds[i].kind;
        }
    }
    if (t.kind == TG_TOLK_NONE) {
        tg_diag *d = tg_parser_fail(p, TG_D_BAD_TOLERANCE, tg_parser_gap(p),
                                    "expected a kind of tolerance, found %s", tg_parser_found(p));
        tg_parser_note(p, d, (tg_span){0},
                       "tolerances: `tol exact`, `tol abs A rel R`, `tol calc_diff X`, `tol ulp "
                       "N`, `tol nmse X`, `tol gate`");
    } else if (t.kind == TG_TOLK_ABS_REL) {
        t.a = parse_bound(p, "abs");
        if (!p->panic && tg_parser_accept_word(p, "rel")) {
            t.b = parse_bound(p, "rel");
        }
    } else if (t.kind == TG_TOLK_GATE) {
        t.a = at_number(p) ? parse_bound(p, "gate") : 5e-6;
        t.b = at_number(p) ? parse_bound(p, "gate") : 0.03;
    } else if (t.kind != TG_TOLK_EXACT) {
        t.a = parse_bound(p, kinds[t.kind - 1].word);
    }
    t.span = tg_parser_since(p, t.span.begin);
    return t;
}

typedef TG_LIST(tg_set) set_buf;

static void parse_bracket_sets(tg_parser *p, set_buf *sets) {
    tg_span open = tg_parser_here(p);
    tg_parser_advance(p);
    p->brackets++;
    while (!p->panic && !tg_parser_at(p, TG_TOK_RBRACKET)) {
        tg_set s = parse_set(p, true);
        TG_LIST_PUSH(p->arena, sets, s);
        if (!tg_parser_accept(p, TG_TOK_COMMA)) {
            break;
        }
    }
    p->brackets--;
    tg_parser_close(p, TG_TOK_RBRACKET, open);
}

/* case f [f16] M=33 N=96 tol calc_diff 1e-5 */
static tg_decl *parse_example(tg_parser *p, tg_decl_kind kind) {
    tg_decl *d = make(p, kind);
    set_buf sets = {0};
    tg_parser_advance(p);
    d->name = tg_parser_name(p, "the kernel");
    if (!p->panic && tg_parser_at(p, TG_TOK_LBRACKET)) {
        parse_bracket_sets(p, &sets);
    }
    while (!p->panic && !tg_parser_at_decl(p)) {
        if (tg_parser_at_word(p, "tol") && p->ahead[0].kind != TG_TOK_ASSIGN) {
            if (d->u.example.tol.kind != TG_TOLK_NONE || kind == TG_DECL_INSTANTIATE) {
                tg_parser_complain(p, TG_D_DUPLICATE_CLAUSE, tg_parser_here(p), "%s",
                                   kind == TG_DECL_INSTANTIATE ? "`instantiate` has no tolerance"
                                                               : "`tol` is given twice");
            }
            d->u.example.tol = tg_parse_tolerance(p);
        } else if (tg_parser_at(p, TG_TOK_NAME)) {
            tg_set s = parse_set(p, false);
            TG_LIST_PUSH(p->arena, &sets, s);
        } else if (!tg_parser_accept(p, TG_TOK_COMMA)) {
            break;
        }
    }
    d->u.example.sets = sets.data;
    d->u.example.n = (int)sets.count;
    d->head = tg_parser_since(p, d->span.begin);
    return d;
}

/* ---- imports and constants ------------------------------------------------------------------ */

/* The default module name: the path's last part without extension, when that is a name. */
static const char *stem(tg_parser *p, const char *path) {
    const char *s = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
    size_t n = strcspn(s, ".");
    for (size_t i = 0; i < n; i++) {
        bool letter = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || s[i] == '_';
        if (!letter && !(i > 0 && s[i] >= '0' && s[i] <= '9')) {
            n = 0;
        }
    }
    return n > 0 ? tg_intern(p->names, s, n) : NULL;
}

static tg_decl *parse_import(tg_parser *p) {
    tg_decl *d = make(p, TG_DECL_IMPORT);
    tg_parser_advance(p);
    if (tg_parser_at_word(p, "std")) { /* always there: naming it is allowed */
        d->name = tg_parser_name(p, "a module");
        d->u.import.path = "std";
        d->u.import.path_span = d->name.span;
        return d;
    }
    if (!tg_parser_at(p, TG_TOK_STRING)) {
        tg_diag *g =
            tg_parser_fail(p, TG_D_EXPECTED_TOKEN, tg_parser_gap(p),
                           "expected the module's path in quotes, found %s", tg_parser_found(p));
        tg_parser_note(p, g, (tg_span){0},
                       "imports read `import \"attention/common.tg\"` or `import \"x.tg\" as y`");
        return d;
    }
    size_t len;
    d->u.import.path = tg_token_string(p->arena, p->src, p->tok, &len);
    d->u.import.path_span = tg_parser_here(p);
    tg_parser_advance(p);
    if (len == 0 || strlen(d->u.import.path) != len) {
        tg_parser_complain(p, TG_D_IMPORT_PATH, d->u.import.path_span,
                           "this is no path of a module");
    }
    if (tg_parser_accept(p, TG_TOK_AS)) {
        d->name = tg_parser_name(p, "a module");
    } else {
        d->name = (tg_ident){stem(p, d->u.import.path), d->u.import.path_span};
        if (d->name.name == NULL) {
            tg_diag *g = tg_parser_complain(p, TG_D_IMPORT_PATH, d->u.import.path_span,
                                            "the file's name cannot be the module's name");
            tg_parser_note(p, g, (tg_span){0}, "choose one: `import \"...\" as name`");
        }
    }
    d->head = tg_parser_since(p, d->span.begin);
    return d;
}

static tg_decl *parse_const(tg_parser *p) {
    tg_decl *d = make(p, TG_DECL_CONST);
    tg_parser_advance(p);
    d->name = tg_parser_name(p, "a constant");
    if (!p->panic && tg_parser_accept(p, TG_TOK_COLON)) {
        d->u.constant.has_type = true;
        d->u.constant.type = tg_parse_type(p, 0);
    }
    tg_parser_expect(p, TG_TOK_ASSIGN, "and the constant's value");
    d->u.constant.value = p->panic ? tg_parse_error_expr(p) : tg_parse_expr(p);
    d->head = tg_parser_since(p, d->span.begin);
    return d;
}

/* ---- any declaration ------------------------------------------------------------------------ */

static tg_decl *expected_decl(tg_parser *p) {
    if (tg_parser_at(p, TG_TOK_RBRACE)) {
        tg_parser_fail(p, TG_D_STRAY_CLOSE, tg_parser_here(p), "`}` closes nothing");
        return NULL;
    }
    tg_diag *d = tg_parser_fail(p, TG_D_EXPECTED_DECL, tg_parser_here(p),
                                "expected a declaration, found %s", tg_parser_found(p));
    tg_parser_note(p, d, (tg_span){0},
                   "a file holds `kernel`, `fn`, `op`, `record`, `const`, `schedule`, `case`, "
                   "`bench`, `instantiate` and `import`");
    return NULL;
}

static tg_decl *parse_any(tg_parser *p) {
    switch ((int)p->tok.kind) {
    case TG_TOK_KERNEL:
        return parse_kernel(p, TG_DECL_KERNEL);
    case TG_TOK_OP:
        return parse_kernel(p, TG_DECL_OP);
    case TG_TOK_FN:
        return parse_fn(p, false, false);
    case TG_TOK_EXTERN:
        return parse_fn(p, true, false);
    case TG_TOK_RECORD:
        return parse_record(p);
    case TG_TOK_SCHEDULE:
        return parse_schedule(p);
    case TG_TOK_CASE:
        return parse_example(p, TG_DECL_CASE);
    case TG_TOK_BENCH:
        return parse_example(p, TG_DECL_BENCH);
    case TG_TOK_INSTANTIATE:
        return parse_example(p, TG_DECL_INSTANTIATE);
    case TG_TOK_IMPORT:
        return parse_import(p);
    case TG_TOK_CONST:
        return parse_const(p);
    default:
        if (tg_parser_at_word(p, "fast") && p->ahead[0].kind == TG_TOK_FN) {
            return parse_fn(p, false, true);
        }
        return expected_decl(p);
    }
}

tg_decl *tg_parse_decl(tg_parser *p) {
    if (tg_parser_accept(p, TG_TOK_SEMI)) {
        return NULL;
    }
    tg_decl *d = parse_any(p);
    if (!p->panic && !tg_parser_at(p, TG_TOK_END) && !tg_parser_at(p, TG_TOK_SEMI) &&
        !p->tok.starts_line) {
        bool close = tg_parser_at(p, TG_TOK_RPAREN) || tg_parser_at(p, TG_TOK_RBRACKET) ||
                     tg_parser_at(p, TG_TOK_RBRACE);
        tg_parser_fail(p, close ? TG_D_STRAY_CLOSE : TG_D_EXPECTED_DECL, tg_parser_here(p),
                       close ? "%s closes nothing"
                             : "expected the end of the declaration (a new line), found %s",
                       tg_parser_found(p));
    }
    return d;
}
