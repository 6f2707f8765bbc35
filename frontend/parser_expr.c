/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expressions, loosest first:
 *
 *   x else v   x if c                 left to right
 *   == != < <= > >=                   not chained
 *   |   ^   &   << >>   + -   * / %   left to right
 *   @                                 left to right, with exact|fast|tf32
 *   as T                              left to right
 *   - ! ~                             prefix
 *   .name  [..]  (..)                 suffix; `(` and `[` must stand on the line of what they
 * follow
 */
#include "frontend/parser.h"

#include <string.h>

/* ---- nodes ---------------------------------------------------------------------------------- */

static tg_expr *make(tg_parser *p, tg_expr_kind kind, uint32_t begin) {
    tg_expr *e = TG_NEW(p->arena, tg_expr);
    e->kind = kind;
    e->span = tg_parser_since(p, begin);
    return e;
}

tg_expr *tg_parse_error_expr(tg_parser *p) {
    tg_expr *e = TG_NEW(p->arena, tg_expr);
    e->kind = TG_EXPR_ERROR;
    e->span = tg_parser_here(p);
    return e;
}

/* Chains (a + a + ..., x[0][0]...) make tall trees without recursion here; whoever walks the tree
 * recurses, so its height is limited where it grows. */
static tg_expr *grow(tg_parser *p, tg_expr *e, const tg_expr *a, const tg_expr *b) {
    int h = a->height > (b != NULL ? b->height : 0) ? a->height : b != NULL ? b->height : 0;
    e->height = h + 1;
    if (e->height > TG_EXPR_MAX_HEIGHT) {
        tg_parser_fail(p, TG_D_TOO_DEEP, e->span,
                       "the expression is nested too deeply: more than %d levels",
                       TG_EXPR_MAX_HEIGHT);
        return tg_parse_error_expr(p);
    }
    return e;
}

static void raise_height(tg_expr *e, const tg_expr *child) {
    if (child != NULL && child->height >= e->height) {
        e->height = child->height + 1;
    }
}

/* ---- types ---------------------------------------------------------------------------------- */

/* [ e, e, ... ] */
static tg_expr_list parse_dims(tg_parser *p) {
    tg_span open = tg_parser_here(p);
    tg_parser_advance(p);
    p->brackets++;
    tg_expr_buf buf = {0};
    while (!p->panic && !tg_parser_at(p, TG_TOK_RBRACKET)) {
        tg_expr *e = tg_parse_operation(p);
        TG_LIST_PUSH(p->arena, &buf, e);
        if (!tg_parser_accept(p, TG_TOK_COMMA)) {
            break;
        }
    }
    p->brackets--;
    if (tg_parser_close(p, TG_TOK_RBRACKET, open) && buf.count == 0) {
        tg_parser_complain(p, TG_D_EMPTY_LIST, tg_parser_since(p, open.begin),
                           "`[]` has no extents: a scalar is written without brackets");
    }
    return (tg_expr_list){buf.data, (int)buf.count};
}

static bool at_group(const tg_parser *p) {
    return tg_parser_at(p, TG_TOK_LBRACKET) && tg_parser_same_line(p);
}

tg_type_expr tg_parse_type(tg_parser *p, int max_groups) {
    tg_type_expr t = {.span = tg_parser_here(p)};
    if (p->panic) {
        return t;
    }
    if (!tg_parser_at(p, TG_TOK_NAME)) {
        tg_parser_fail(p, TG_D_EXPECTED_TYPE, tg_parser_gap(p), "expected a type, found %s",
                       tg_parser_found(p));
        return t;
    }
    t.name = tg_parser_name(p, "a type");
    if (tg_parser_at(p, TG_TOK_DOT)) {
        tg_parser_advance(p);
        t.module = t.name;
        t.name = tg_parser_name(p, "a record");
    }
    if (max_groups > 0 && at_group(p)) {
        t.has_dims = true;
        t.dims = parse_dims(p);
        if (max_groups > 1 && !p->panic && at_group(p)) {
            t.has_args = true;
            t.args = t.dims;
            t.dims = parse_dims(p);
        }
    }
    t.span = tg_parser_since(p, t.span.begin);
    return t;
}

/* ---- index lists ---------------------------------------------------------------------------- */

/* One item between brackets, before it is known whether they index or specialise. */
typedef struct item {
    tg_index index;
    tg_ident name; /* `K = 3`, `T = f16` */
} item;
typedef TG_LIST(item) item_buf;

static tg_expr *parse_slice_end(tg_parser *p) {
    bool open = tg_parser_at(p, TG_TOK_COMMA) || tg_parser_at(p, TG_TOK_RBRACKET);
    return open ? NULL : tg_parse_operation(p);
}

static item parse_item(tg_parser *p) {
    uint32_t begin = p->tok.begin;
    item it = {.index.kind = TG_INDEX_EXPR};
    if (tg_parser_at(p, TG_TOK_NAME) && p->ahead[0].kind == TG_TOK_ASSIGN) {
        it.name = tg_parser_name(p, "a compile-time parameter");
        tg_parser_advance(p);
        it.index.lo = tg_parse_operation(p);
    } else if (tg_parser_at(p, TG_TOK_UNDERSCORE)) {
        tg_parser_advance(p);
        it.index.kind = TG_INDEX_NEW;
    } else if (tg_parser_accept(p, TG_TOK_COLON)) {
        it.index.kind = TG_INDEX_SLICE;
        it.index.hi = parse_slice_end(p);
    } else {
        it.index.lo = tg_parse_expr(p);
        if (!p->panic && tg_parser_accept(p, TG_TOK_COLON)) {
            it.index.kind = TG_INDEX_SLICE;
            it.index.hi = parse_slice_end(p);
        }
    }
    it.index.span = tg_parser_since(p, begin);
    if (tg_parser_at(p, TG_TOK_DOT_DOT)) {
        tg_diag *d =
            tg_parser_fail(p, TG_D_RANGE_HERE, tg_parser_here(p), "an index cannot be a range");
        tg_parser_note(
            p, d, (tg_span){0},
            "constants take `a:b`; elsewhere write `span(lo .. hi, N)`, where N is the extent");
    } else if (it.index.kind == TG_INDEX_SLICE && tg_parser_at(p, TG_TOK_COLON)) {
        tg_parser_fail(p, TG_D_BAD_SLICE, tg_parser_here(p), "a slice has no step: write `a:b`");
    }
    return it;
}

static item_buf parse_items(tg_parser *p, tg_span *out_span) {
    tg_span open = tg_parser_here(p);
    item_buf buf = {0};
    tg_parser_advance(p);
    p->brackets++;
    while (!p->panic && !tg_parser_at(p, TG_TOK_RBRACKET)) {
        item it = parse_item(p);
        TG_LIST_PUSH(p->arena, &buf, it);
        if (!tg_parser_accept(p, TG_TOK_COMMA)) {
            break;
        }
    }
    p->brackets--;
    tg_parser_close(p, TG_TOK_RBRACKET, open);
    *out_span = tg_parser_since(p, open.begin);
    if (!p->panic && buf.count == 0) {
        tg_parser_complain(p, TG_D_EMPTY_LIST, *out_span, "`[]` is empty");
    }
    return buf;
}

static tg_ct_args to_ct_args(tg_parser *p, const item_buf *items, tg_span span) {
    tg_ct_args ct = {.n = (int)items->count, .span = span};
    ct.items = TG_NEW_ARRAY(p->arena, tg_ct_arg, items->count);
    for (size_t i = 0; i < items->count; i++) {
        const item *it = &items->data[i];
        ct.items[i] = (tg_ct_arg){it->name, it->index.lo};
        if (it->index.kind != TG_INDEX_EXPR) {
            tg_parser_complain(p, TG_D_BAD_SLICE, it->index.span,
                               "`:` and `_` cannot be the value of a compile-time parameter");
            ct.items[i].value = tg_parse_error_expr(p);
        }
    }
    return ct;
}

tg_ct_args tg_parse_ct_args(tg_parser *p) {
    tg_span span;
    item_buf items = parse_items(p, &span);
    return to_ct_args(p, &items, span);
}

static tg_expr *index_expr(tg_parser *p, tg_expr *x, const item_buf *items) {
    tg_expr *e = make(p, TG_EXPR_INDEX, x->span.begin);
    e->height = x->height;
    e->u.index.x = x;
    e->u.index.n = (int)items->count;
    e->u.index.items = TG_NEW_ARRAY(p->arena, tg_index, items->count);
    for (size_t i = 0; i < items->count; i++) {
        const item *it = &items->data[i];
        e->u.index.items[i] = it->index;
        raise_height(e, it->index.lo);
        raise_height(e, it->index.hi);
        if (it->name.name != NULL) {
            tg_parser_complain(p, TG_D_ASSIGN_IN_EXPR, it->name.span,
                               "`name = value` in brackets is for calls: `f[K = 3](x)`");
        }
    }
    return grow(p, e, e->height > x->height ? e : x, NULL);
}

/* ---- calls ---------------------------------------------------------------------------------- */

/* `axis 1`, `axis -1`, `axis A` */
static bool at_axis(const tg_parser *p) {
    if (!tg_parser_at_word(p, "axis")) {
        return false;
    }
    const tg_token *a = &p->ahead[0], *b = &p->ahead[1];
    bool minus =
        a->kind == TG_TOK_SUB && b->kind == TG_TOK_INT && a->space_before && !b->space_before;
    return a->kind == TG_TOK_INT || a->kind == TG_TOK_NAME || minus;
}

static tg_expr *parse_arg_value(tg_parser *p) {
    uint32_t begin = p->tok.begin;
    tg_expr *lo = tg_parse_expr(p);
    if (p->panic || !tg_parser_accept(p, TG_TOK_DOT_DOT)) {
        return lo;
    }
    bool open = tg_parser_at(p, TG_TOK_COMMA) || tg_parser_at(p, TG_TOK_RPAREN);
    tg_expr *hi = open ? NULL : tg_parse_operation(p);
    tg_expr *e = make(p, TG_EXPR_RANGE, begin);
    e->u.range.lo = lo;
    e->u.range.hi = hi;
    return grow(p, e, lo, hi);
}

static tg_arg parse_arg(tg_parser *p) {
    tg_arg a = {.mode = TG_MODE_IN};
    uint32_t begin = p->tok.begin;
    if (tg_parser_accept(p, TG_TOK_OUT)) {
        a.mode = TG_MODE_OUT;
    } else if (tg_parser_accept(p, TG_TOK_INOUT)) {
        a.mode = TG_MODE_INOUT;
    }
    if (tg_parser_at(p, TG_TOK_NAME) && p->ahead[0].kind == TG_TOK_ASSIGN) {
        a.name = tg_parser_name(p, "an argument");
        tg_parser_advance(p);
    } else if (at_axis(p)) {
        a.name = tg_parser_name(p, "an argument");
    }
    a.value = parse_arg_value(p);
    a.span = tg_parser_since(p, begin);
    return a;
}

static tg_arg *parse_args(tg_parser *p, int *out_n, int *out_height) {
    TG_LIST(tg_arg) buf = {0};
    tg_span open = tg_parser_here(p);
    tg_parser_advance(p);
    p->brackets++;
    *out_height = 0;
    while (!p->panic && !tg_parser_at(p, TG_TOK_RPAREN)) {
        tg_arg a = parse_arg(p);
        TG_LIST_PUSH(p->arena, &buf, a);
        *out_height = a.value->height > *out_height ? a.value->height : *out_height;
        if (!tg_parser_accept(p, TG_TOK_COMMA)) {
            break;
        }
    }
    p->brackets--;
    tg_parser_close(p, TG_TOK_RPAREN, open);
    *out_n = (int)buf.count;
    return buf.data;
}

/* f, mod.f */
static bool is_callee(const tg_expr *x) {
    bool member = x->kind == TG_EXPR_FIELD && x->u.field.x->kind == TG_EXPR_NAME;
    return !x->paren && (x->kind == TG_EXPR_NAME || member);
}

static tg_expr *parse_call(tg_parser *p, const tg_expr *callee, tg_ct_args ct) {
    tg_expr *e = make(p, TG_EXPR_CALL, callee->span.begin);
    int height = 0;
    if (callee->kind == TG_EXPR_NAME) {
        e->u.call.name = callee->u.name;
    } else {
        e->u.call.module = callee->u.field.x->u.name;
        e->u.call.name = callee->u.field.name;
    }
    e->u.call.ct = ct;
    e->u.call.args = parse_args(p, &e->u.call.n, &height);
    e->span = tg_parser_since(p, callee->span.begin);
    e->height = height;
    for (int i = 0; i < ct.n; i++) {
        raise_height(e, ct.items[i].value);
    }
    return grow(p, e, e, NULL);
}

static const struct {
    const char *word;
    tg_atomic_op op;
} atomic_ops[] = {{"add", TG_AT_ADD}, {"min", TG_AT_MIN}, {"max", TG_AT_MAX}, {"cas", TG_AT_CAS}};

static bool atomic_op(tg_parser *p, tg_atomic_op *out) {
    for (size_t i = 0; i < TG_COUNT_OF(atomic_ops); i++) {
        if (tg_parser_accept_word(p, atomic_ops[i].word)) {
            *out = atomic_ops[i].op;
            return true;
        }
    }
    tg_diag *d = tg_parser_fail(p, TG_D_EXPECTED_TOKEN, tg_parser_gap(p),
                                "expected `add`, `min`, `max` or `cas` after `atomic`, found %s",
                                tg_parser_found(p));
    tg_parser_note(p, d, (tg_span){0}, "an atomic update reads `atomic add(x[i], v)`");
    return false;
}

static tg_expr *parse_atomic(tg_parser *p) {
    uint32_t begin = p->tok.begin;
    int height = 0, n = 0;
    tg_parser_advance(p);
    bool unordered = tg_parser_accept_word(p, "unordered");
    tg_atomic_op op = TG_AT_ADD;
    if (!atomic_op(p, &op)) {
        return tg_parse_error_expr(p);
    }
    if (!tg_parser_at(p, TG_TOK_LPAREN)) {
        tg_parser_expect(p, TG_TOK_LPAREN, "after the atomic operation");
        return tg_parse_error_expr(p);
    }
    tg_arg *args = parse_args(p, &n, &height);
    tg_expr *e = make(p, TG_EXPR_ATOMIC, begin);
    e->u.atomic.op = op;
    e->u.atomic.unordered = unordered;
    e->height = height;
    if (n > 0 && args[0].value->kind == TG_EXPR_INDEX && args[0].name.name == NULL) {
        e->u.atomic.target = args[0].value;
        e->u.atomic.args = args + 1;
        e->u.atomic.n = n - 1;
    } else {
        tg_parser_complain(p, TG_D_BAD_TARGET, n > 0 ? args[0].span : e->span,
                           "the first argument of an atomic is the element to update: `x[i]`");
    }
    return grow(p, e, e, NULL);
}

/* ---- primaries ------------------------------------------------------------------------------ */

static tg_expr *parse_number(tg_parser *p) {
    tg_token t = p->tok;
    tg_parser_advance(p);
    tg_expr *e = make(p, t.kind == TG_TOK_INT ? TG_EXPR_INT : TG_EXPR_FLOAT, t.begin);
    bool ok = t.kind == TG_TOK_INT ? tg_token_int(p->src, t, &e->u.int_value)
                                   : tg_token_float(p->src, t, &e->u.float_value);
    if (!ok) {
        e->kind = TG_EXPR_ERROR;
    }
    return e;
}

static tg_expr *parse_string(tg_parser *p) {
    tg_token t = p->tok;
    tg_parser_advance(p);
    tg_expr *e = make(p, TG_EXPR_STRING, t.begin);
    e->u.string.text = tg_token_string(p->arena, p->src, t, &e->u.string.len);
    if (!p->strings) {
        tg_parser_complain(p, TG_D_STRING_HERE, e->span,
                           "text is only for `print`, `assert` and `assume`");
        e->kind = TG_EXPR_ERROR;
    }
    return e;
}

static tg_expr *parse_name(tg_parser *p) {
    tg_token t = p->tok;
    tg_parser_advance(p);
    tg_expr *e = make(p, TG_EXPR_NAME, t.begin);
    e->u.name = (tg_ident){tg_parser_text(p, t), e->span};
    if (t.kind == TG_TOK_UNDERSCORE) {
        p->wildcard = e->span;
    }
    return e;
}

static tg_expr *parse_word_literal(tg_parser *p) {
    tg_token t = p->tok;
    tg_parser_advance(p);
    bool is_bool = t.kind == TG_TOK_TRUE || t.kind == TG_TOK_FALSE;
    tg_expr *e = make(p, is_bool ? TG_EXPR_BOOL : TG_EXPR_FLOAT, t.begin);
    if (is_bool) {
        e->u.bool_value = t.kind == TG_TOK_TRUE;
    } else {
        e->u.float_value =
            t.kind == TG_TOK_INF ? (double)__builtin_inff() : (double)__builtin_nanf("");
    }
    return e;
}

/* ( e ) or ( e, e, ... ) */
static tg_expr *parse_parens(tg_parser *p) {
    tg_span open = tg_parser_here(p);
    tg_expr_buf buf = {0};
    bool comma = false;
    tg_parser_advance(p);
    p->brackets++;
    while (!p->panic && !tg_parser_at(p, TG_TOK_RPAREN)) {
        tg_expr *e = tg_parse_expr(p);
        TG_LIST_PUSH(p->arena, &buf, e);
        comma = tg_parser_accept(p, TG_TOK_COMMA);
        if (!comma) {
            break;
        }
    }
    if (!p->panic && tg_parser_at(p, TG_TOK_ASSIGN)) {
        tg_diag *d = tg_parser_fail(p, TG_D_ASSIGN_IN_EXPR, tg_parser_here(p),
                                    "`=` assigns and has no place in an expression");
        tg_parser_note_fix(p, d, tg_parser_here(p), "==", "to compare, write `==`");
    }
    p->brackets--;
    if (!tg_parser_close(p, TG_TOK_RPAREN, open)) {
        return tg_parse_error_expr(p);
    }
    if (buf.count == 0) {
        tg_parser_complain(p, TG_D_EMPTY_LIST, tg_parser_since(p, open.begin), "`()` is empty");
        return tg_parse_error_expr(p);
    }
    if (buf.count == 1) {
        buf.data[0]->paren = true;
        buf.data[0]->span = tg_parser_since(p, open.begin);
        return buf.data[0];
    }
    tg_expr *e = make(p, TG_EXPR_TUPLE, open.begin);
    e->u.tuple = (tg_expr_list){buf.data, (int)buf.count};
    for (size_t i = 0; i < buf.count; i++) {
        raise_height(e, buf.data[i]);
    }
    return grow(p, e, e, NULL);
}

/* zeros f32[BM, BN]   full f32[BM] = v */
static tg_expr *parse_fill(tg_parser *p) {
    uint32_t begin = p->tok.begin;
    bool full = tg_parser_at(p, TG_TOK_FULL);
    tg_parser_advance(p);
    tg_type_expr t = tg_parse_type(p, 1);
    tg_expr *value = NULL;
    if (full && tg_parser_expect(p, TG_TOK_ASSIGN, "and the value after the type of `full`")) {
        value = tg_parse_operation(p);
    }
    if (p->panic) {
        return tg_parse_error_expr(p);
    }
    tg_expr *e = make(p, full ? TG_EXPR_FULL : TG_EXPR_ZEROS, begin);
    e->u.fill.type = t;
    e->u.fill.value = value;
    for (int i = 0; i < t.dims.n; i++) {
        raise_height(e, t.dims.items[i]);
    }
    raise_height(e, value);
    return grow(p, e, e, NULL);
}

static tg_expr *expected_expr(tg_parser *p) {
    tg_diag *d = tg_parser_fail(p, TG_D_EXPECTED_EXPR, tg_parser_gap(p),
                                "expected a value, found %s", tg_parser_found(p));
    if (tg_parser_at(p, TG_TOK_LBRACKET)) {
        tg_parser_note(p, d, (tg_span){0},
                       "tiles are made with `zeros`, `full`, `iota` and `concat`");
    } else if (tg_parser_at(p, TG_TOK_IF)) {
        tg_parser_note(p, d, (tg_span){0}, "a choice between values is `where(c, x, y)`");
    } else if (tg_parser_at(p, TG_TOK_DOT)) {
        tg_parser_note(p, d, (tg_span){0}, "a number starts with a digit: `0.5`");
    }
    return tg_parse_error_expr(p);
}

static tg_expr *parse_primary(tg_parser *p) {
    switch ((int)p->tok.kind) {
    case TG_TOK_NAME:
    case TG_TOK_UNDERSCORE:
        return parse_name(p);
    case TG_TOK_INT:
    case TG_TOK_FLOAT:
        return parse_number(p);
    case TG_TOK_STRING:
        return parse_string(p);
    case TG_TOK_TRUE:
    case TG_TOK_FALSE:
    case TG_TOK_INF:
    case TG_TOK_NOT_A_NUMBER:
        return parse_word_literal(p);
    case TG_TOK_LPAREN:
        return parse_parens(p);
    case TG_TOK_ZEROS:
    case TG_TOK_FULL:
        return parse_fill(p);
    case TG_TOK_ATOMIC:
        return parse_atomic(p);
    case TG_TOK_BAD: /* a literal the lexer has reported */
        tg_parser_advance(p);
        return tg_parse_error_expr(p);
    default:
        return expected_expr(p);
    }
}

/* ---- suffixes ------------------------------------------------------------------------------- */

static tg_expr *parse_shape(tg_parser *p, tg_expr *x, tg_ident name, tg_shape_method method) {
    if (!at_group(p)) {
        tg_parser_fail(p, TG_D_EXPECTED_TOKEN, tg_parser_gap(p),
                       "`.%s` takes its extents in brackets: `x.%s[..]`", name.name, name.name);
        return tg_parse_error_expr(p);
    }
    tg_expr_list dims = parse_dims(p);
    tg_expr *e = make(p, TG_EXPR_SHAPE, x->span.begin);
    e->u.shape.x = x;
    e->u.shape.method = method;
    e->u.shape.dims = dims;
    for (int i = 0; i < dims.n; i++) {
        raise_height(e, dims.items[i]);
    }
    return grow(p, e, e->height > x->height ? e : x, NULL);
}

static tg_expr *parse_field(tg_parser *p, tg_expr *x) {
    static const char *const methods[] = {"reshape", "permute", "broadcast"};
    tg_parser_advance(p);
    tg_ident name = tg_parser_word(p, "a field");
    if (p->panic) {
        return tg_parse_error_expr(p);
    }
    if (!x->paren && (x->kind == TG_EXPR_INT || x->kind == TG_EXPR_FLOAT)) {
        tg_parser_complain(p, TG_D_BAD_NUMBER, tg_parser_since(p, x->span.begin),
                           "a number has digits on both sides of its point");
        return tg_parse_error_expr(p);
    }
    for (int i = 0; i < (int)TG_COUNT_OF(methods); i++) {
        if (strcmp(name.name, methods[i]) == 0) {
            return parse_shape(p, x, name, (tg_shape_method)i);
        }
    }
    tg_expr *e = make(p, TG_EXPR_FIELD, x->span.begin);
    e->u.field.x = x;
    e->u.field.name = name;
    return grow(p, e, x, NULL);
}

static tg_expr *parse_brackets(tg_parser *p, tg_expr *x) {
    tg_span span;
    item_buf items = parse_items(p, &span);
    if (p->panic) {
        return tg_parse_error_expr(p);
    }
    if (is_callee(x) && tg_parser_at(p, TG_TOK_LPAREN) && tg_parser_same_line(p)) {
        return parse_call(p, x, to_ct_args(p, &items, span));
    }
    return index_expr(p, x, &items);
}

static tg_expr *bad_call(tg_parser *p, const tg_expr *x) {
    const char *what = x->kind == TG_EXPR_CALL ? "the result of a call" : "this";
    tg_diag *d = tg_parser_fail(p, TG_D_BAD_CALL, tg_parser_here(p), "%s cannot be called", what);
    tg_parser_note(p, d, x->span, "two statements on one line are separated by `;`");
    return tg_parse_error_expr(p);
}

static tg_expr *parse_suffixes(tg_parser *p) {
    tg_expr *x = parse_primary(p);
    while (!p->panic) {
        if (tg_parser_at(p, TG_TOK_DOT)) {
            x = parse_field(p, x);
        } else if (at_group(p)) {
            x = parse_brackets(p, x);
        } else if (tg_parser_at(p, TG_TOK_LPAREN) && tg_parser_same_line(p)) {
            x = is_callee(x) ? parse_call(p, x, (tg_ct_args){0}) : bad_call(p, x);
        } else {
            break;
        }
    }
    return x;
}

/* ---- operators ------------------------------------------------------------------------------ */

const char *tg_unop_text(tg_unop op) {
    static const char *const names[] = {"-", "!", "~"};
    return names[op];
}

const char *tg_binop_text(tg_binop op) {
    static const char *const names[] = {"",   "+",  "-",  "*",  "/", "%",  "&", "|", "^",
                                        "<<", ">>", "==", "!=", "<", "<=", ">", ">="};
    return names[op];
}

static bool looks_like_not(const tg_parser *p) {
    tg_token_kind k = p->ahead[0].kind;
    return tg_parser_at_word(p, "not") && !p->ahead[0].starts_line &&
           (k == TG_TOK_NAME || (k == TG_TOK_LPAREN && p->ahead[0].space_before));
}

static tg_expr *parse_prefix(tg_parser *p) {
    uint32_t begin = p->tok.begin;
    tg_unop op;
    if (tg_parser_at(p, TG_TOK_SUB)) {
        op = TG_UN_NEG;
    } else if (tg_parser_at(p, TG_TOK_NOT)) {
        op = TG_UN_NOT;
    } else if (tg_parser_at(p, TG_TOK_TILDE)) {
        op = TG_UN_BITNOT;
    } else if (looks_like_not(p)) {
        tg_diag *d =
            tg_parser_fail(p, TG_D_LOGICAL_OPERATOR, tg_parser_here(p), "`not` is written `!`");
        tg_parser_note_fix(p, d, tg_parser_here(p), "!", "the operator binds to what follows");
        return tg_parse_error_expr(p);
    } else {
        return parse_suffixes(p);
    }
    tg_parser_advance(p);
    if (!tg_parser_enter(p)) {
        tg_parser_leave(p);
        return tg_parse_error_expr(p);
    }
    tg_expr *x = parse_prefix(p);
    tg_parser_leave(p);
    if (p->panic) {
        return x;
    }
    tg_expr *e = make(p, TG_EXPR_UNARY, begin);
    e->u.unary.op = op;
    e->u.unary.x = x;
    return grow(p, e, x, NULL);
}

static bool accept_modifier(tg_parser *p, tg_expr *e) {
    static const struct {
        const char *word;
        tg_as_round round;
        tg_as_range range;
    } words[] = {{"rne", TG_AS_RNE, 0},   {"rtz", TG_AS_RTZ, 0}, {"up", TG_AS_UP, 0},
                 {"down", TG_AS_DOWN, 0}, {"sat", 0, TG_AS_SAT}, {"wrap", 0, TG_AS_WRAP}};
    if (!tg_parser_same_line(p) || p->ahead[0].kind == TG_TOK_ASSIGN) {
        return false;
    }
    for (size_t i = 0; i < TG_COUNT_OF(words); i++) {
        if (!tg_parser_at_word(p, words[i].word)) {
            continue;
        }
        if (words[i].round != TG_AS_DEFAULT ? e->u.as.round != TG_AS_DEFAULT
                                            : e->u.as.range != TG_AS_RANGE_DEFAULT) {
            tg_parser_complain(p, TG_D_DUPLICATE_CLAUSE, tg_parser_here(p),
                               "`%s` contradicts or repeats the modifier before it", words[i].word);
        }
        if (words[i].round != TG_AS_DEFAULT) {
            e->u.as.round = words[i].round;
        } else {
            e->u.as.range = words[i].range;
        }
        tg_parser_advance(p);
        return true;
    }
    return false;
}

static tg_expr *parse_cast(tg_parser *p) {
    tg_expr *x = parse_prefix(p);
    while (!p->panic && tg_parser_accept(p, TG_TOK_AS)) {
        tg_type_expr t = tg_parse_type(p, 0);
        tg_expr *e = make(p, TG_EXPR_AS, x->span.begin);
        e->u.as.x = x;
        e->u.as.type = t;
        while (!p->panic && accept_modifier(p, e)) {
        }
        e->span = tg_parser_since(p, x->span.begin);
        x = grow(p, e, x, NULL);
    }
    return x;
}

static tg_mat_mode parse_mat_mode(tg_parser *p) {
    return tg_parser_accept_word(p, "exact")  ? TG_MAT_EXACT
           : tg_parser_accept_word(p, "fast") ? TG_MAT_FAST
           : tg_parser_accept_word(p, "tf32") ? TG_MAT_TF32
                                              : TG_MAT_DEFAULT;
}

static tg_expr *parse_matmul(tg_parser *p) {
    tg_expr *a = parse_cast(p);
    while (!p->panic && tg_parser_at(p, TG_TOK_AT)) {
        uint32_t op = p->tok.begin;
        tg_parser_advance(p);
        tg_mat_mode mode = parse_mat_mode(p);
        tg_span op_span = tg_parser_since(p, op);
        tg_expr *b = parse_cast(p);
        tg_expr *e = make(p, TG_EXPR_MATMUL, a->span.begin);
        e->u.matmul.mode = mode;
        e->u.matmul.a = a;
        e->u.matmul.b = b;
        e->u.matmul.op_span = op_span;
        a = grow(p, e, a, b);
    }
    return a;
}

/* Binary operators by token, with their level: higher binds tighter. */
static const struct {
    tg_token_kind token;
    tg_binop op;
    int level;
} binops[] = {
    {TG_TOK_OR, TG_BIN_OR, 1},   {TG_TOK_XOR, TG_BIN_XOR, 2}, {TG_TOK_AND, TG_BIN_AND, 3},
    {TG_TOK_SHL, TG_BIN_SHL, 4}, {TG_TOK_SHR, TG_BIN_SHR, 4}, {TG_TOK_ADD, TG_BIN_ADD, 5},
    {TG_TOK_SUB, TG_BIN_SUB, 5}, {TG_TOK_MUL, TG_BIN_MUL, 6}, {TG_TOK_DIV, TG_BIN_DIV, 6},
    {TG_TOK_REM, TG_BIN_REM, 6}, {TG_TOK_EQ, TG_BIN_EQ, 0},   {TG_TOK_NE, TG_BIN_NE, 0},
    {TG_TOK_LT, TG_BIN_LT, 0},   {TG_TOK_LE, TG_BIN_LE, 0},   {TG_TOK_GT, TG_BIN_GT, 0},
    {TG_TOK_GE, TG_BIN_GE, 0},
};

static int find_binop(const tg_parser *p) {
    for (int i = 0; i < (int)TG_COUNT_OF(binops); i++) {
        if (binops[i].token == p->tok.kind) {
            return i;
        }
    }
    return -1;
}

static tg_expr *binary(tg_parser *p, tg_binop op, tg_expr *a, tg_expr *b, tg_span op_span) {
    tg_expr *e = make(p, TG_EXPR_BINARY, a->span.begin);
    e->u.binary.op = op;
    e->u.binary.a = a;
    e->u.binary.b = b;
    e->u.binary.op_span = op_span;
    return grow(p, e, a, b);
}

/* Operators of `level` and tighter, by precedence climbing. */
static tg_expr *parse_level(tg_parser *p, int level) {
    tg_expr *a = parse_matmul(p);
    while (!p->panic) {
        int i = find_binop(p);
        if (i < 0 || binops[i].level < level) {
            break;
        }
        tg_span op_span = tg_parser_here(p);
        tg_parser_advance(p);
        tg_expr *b = parse_level(p, binops[i].level + 1);
        a = binary(p, binops[i].op, a, b, op_span);
    }
    return a;
}

static tg_expr *chained(tg_parser *p, const tg_expr *a) {
    tg_expr *e = tg_parse_error_expr(p);
    while (!p->panic && find_binop(p) >= 0) {
        tg_parser_advance(p);
        parse_level(p, 1);
    }
    e->span = tg_parser_since(p, a->span.begin);
    tg_diag *d =
        tg_parser_complain(p, TG_D_CHAINED_COMPARE, e->span, "comparisons cannot be chained");
    tg_parser_note(p, d, (tg_span){0},
                   "write `(a < b) & (b < c)`; `&`, `|` and `^` bind tighter than comparisons");
    return e;
}

/* C and Python spellings where an operator could stand. */
static void check_foreign_operator(tg_parser *p) {
    static const struct {
        const char *word, *fix, *text;
    } words[] = {{"and", "&", "`and` is written `&`, with both sides in parentheses"},
                 {"or", "|", "`or` is written `|`, with both sides in parentheses"}};
    const char *fix = NULL, *text = NULL;
    for (size_t i = 0; i < TG_COUNT_OF(words); i++) {
        if (tg_parser_at_word(p, words[i].word) && tg_parser_same_line(p)) {
            fix = words[i].fix;
            text = words[i].text;
        }
    }
    if (tg_parser_at(p, TG_TOK_AND_AND) || tg_parser_at(p, TG_TOK_OR_OR)) {
        fix = tg_parser_at(p, TG_TOK_AND_AND) ? "&" : "|";
        text = tg_parser_at(p, TG_TOK_AND_AND)
                   ? "`&&` is written `&`, with both sides in parentheses"
                   : "`||` is written `|`, with both sides in parentheses";
    }
    if (text != NULL) {
        tg_diag *d = tg_parser_fail(p, TG_D_LOGICAL_OPERATOR, tg_parser_here(p), "%s", text);
        tg_parser_note_fix(p, d, tg_parser_here(p), fix,
                           "conditions are computed, both sides always");
    } else if (tg_parser_at(p, TG_TOK_QUESTION)) {
        tg_diag *d =
            tg_parser_fail(p, TG_D_TERNARY, tg_parser_here(p), "there is no `?:` operator");
        tg_parser_note(p, d, (tg_span){0}, "a choice between values is `where(c, x, y)`");
    }
}

tg_expr *tg_parse_operation(tg_parser *p) {
    if (!tg_parser_enter(p)) {
        tg_parser_leave(p);
        return tg_parse_error_expr(p);
    }
    tg_expr *a = parse_level(p, 1);
    int i = p->panic ? -1 : find_binop(p);
    if (i >= 0) {
        tg_span op_span = tg_parser_here(p);
        tg_parser_advance(p);
        tg_expr *b = parse_level(p, 1);
        a = !p->panic && find_binop(p) >= 0 ? chained(p, a)
                                            : binary(p, binops[i].op, a, b, op_span);
    }
    if (!p->panic) {
        check_foreign_operator(p);
    }
    tg_parser_leave(p);
    return a;
}

tg_expr *tg_parse_expr(tg_parser *p) {
    tg_expr *x = tg_parse_operation(p);
    while (!p->panic) {
        bool is_if = tg_parser_at(p, TG_TOK_IF) && tg_parser_same_line(p);
        if (!is_if && !tg_parser_at(p, TG_TOK_ELSE)) {
            break;
        }
        tg_parser_advance(p);
        tg_expr *v = tg_parse_operation(p);
        tg_expr *e = make(p, is_if ? TG_EXPR_IF : TG_EXPR_ELSE, x->span.begin);
        e->u.choose.x = x;
        e->u.choose.v = v;
        x = grow(p, e, x, v);
    }
    return x;
}

tg_expr_list tg_parse_expr_list(tg_parser *p) {
    tg_expr_buf buf = {0};
    do {
        tg_expr *e = tg_parse_expr(p);
        TG_LIST_PUSH(p->arena, &buf, e);
    } while (!p->panic && tg_parser_accept(p, TG_TOK_COMMA));
    return (tg_expr_list){buf.data, (int)buf.count};
}
