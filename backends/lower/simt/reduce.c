/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reductions along an axis, in two steps:
 *
 *   in the nest of the operand  every lane combines its own registers, in their order
 *   behind it                   lanes write their parts to the exchange buffer [parts, count],
 *                               barrier, everybody combines the parts in their order; within a
 *                               sub-group of a machine that has them, by shuffles (shuffle.c)
 *
 * When many lanes want the same few results, the parts of each are combined once and read after a
 * second barrier. argmin and argmax carry a position beside the value.
 */
#include "backends/lower/simt/simt.h"

#include "backends/lower/expand/expand.h"

#include <math.h>

static tg_reduce_kind kind_of(const tg_op *op) {
    return (tg_reduce_kind)tg_attr_int(op, TG_ATTR_RED, 0);
}

static bool is_arg(tg_reduce_kind k) { return k == TG_RED_ARGMIN || k == TG_RED_ARGMAX; }

tg_value *ts_combine(tg_builder *b, tg_reduce_kind kind, tg_value *x, tg_value *y) {
    switch (kind) {
    case TG_RED_PROD:
        return tg_build_binary(b, TG_OP_MUL, x, y);
    case TG_RED_MIN:
        return tg_build_binary(b, TG_OP_MIN, x, y);
    case TG_RED_MAX:
        return tg_build_binary(b, TG_OP_MAX, x, y);
    case TG_RED_ANY:
        return tg_build_binary(b, TG_OP_OR, x, y);
    case TG_RED_ALL:
        return tg_build_binary(b, TG_OP_AND, x, y);
    case TG_RED_SUM:
    case TG_RED_COUNT:
    case TG_RED_ARGMIN:
    case TG_RED_ARGMAX:
    case TG_RED_USER:
        break;
    }
    return tg_build_binary(b, TG_OP_ADD, x, y);
}

static int64_t int_limit(tg_dtype t, bool greatest) {
    int bits = tg_dtype_bits(t);
    if (!tg_dtype_is_signed(t)) {
        return greatest ? -1 : 0; /* wraps to all ones */
    }
    int64_t top = (int64_t)(~UINT64_C(0) >> (65 - bits));
    return greatest ? top : -top - 1;
}

tg_value *ts_identity(tg_simt *S, tg_builder *b, tg_reduce_kind kind, tg_dtype t, int lanes) {
    const tg_type *lt = ts_type(S, tg_dtype_arith(t), lanes);
    bool least = kind == TG_RED_MAX || kind == TG_RED_ARGMAX;
    switch (kind) {
    case TG_RED_PROD:
    case TG_RED_ALL:
        return tg_build_int(b, lt, 1);
    case TG_RED_MIN:
    case TG_RED_MAX:
    case TG_RED_ARGMIN:
    case TG_RED_ARGMAX:
        return tg_dtype_is_float(t)
                   ? tg_build_float(b, lt, least ? -(double)INFINITY : (double)INFINITY)
                   : tg_build_int(b, lt, int_limit(t, !least));
    case TG_RED_SUM:
    case TG_RED_ANY:
    case TG_RED_COUNT:
    case TG_RED_USER:
        break;
    }
    return tg_build_int(b, lt, 0);
}

/* NaN before numbers, then the greater (or smaller), then the smaller position; a position of -1 is
 * nobody's. */
tg_value *ts_better(tg_builder *b, bool max, tg_value *v, tg_value *i, tg_value *best,
                    tg_value *at) {
    tg_value *zero = tg_build_int(b, at->type, 0);
    tg_value *none = tg_build_cmp(b, TG_CMP_LT, at, zero);
    tg_value *some = tg_build_cmp(b, TG_CMP_GE, i, zero);
    tg_value *ahead = tg_build_cmp(b, max ? TG_CMP_GT : TG_CMP_LT, v, best);
    tg_value *tie = tg_build_cmp(b, TG_CMP_EQ, v, best);
    if (tg_dtype_is_float(v->type->dtype)) {
        tg_value *vn = tg_build_cmp(b, TG_CMP_NE, v, v),
                 *bn = tg_build_cmp(b, TG_CMP_NE, best, best);
        tg_value *only = tg_build_binary(b, TG_OP_AND, vn, tg_build_unary(b, TG_OP_NOT, bn));
        ahead = tg_build_binary(b, TG_OP_OR, ahead, only);
        tie = tg_build_binary(b, TG_OP_OR, tie, tg_build_binary(b, TG_OP_AND, vn, bn));
    }
    tie = tg_build_binary(b, TG_OP_AND, tie, tg_build_cmp(b, TG_CMP_LT, i, at));
    tg_value *r = tg_build_binary(b, TG_OP_OR, none, tg_build_binary(b, TG_OP_OR, ahead, tie));
    return tg_build_binary(b, TG_OP_AND, some, r);
}

/* ---- registers --------------------------------------------------------------------------------
 */

static tg_dtype value_dtype(const tg_op *op) {
    return is_arg(kind_of(op)) ? tg_operand(op, 0)->type->dtype : op->results[0].type->dtype;
}

/* Storage types are combined widened. */
static tg_dtype acc_dtype(const tg_op *op) { return tg_dtype_arith(value_dtype(op)); }

static tg_value *as_acc(tg_simt *S, tg_builder *b, const tg_op *op, tg_value *v) {
    return tg_expand_convert(b, S->mc, v, value_dtype(op), acc_dtype(op), TG_ROUND_RNE, false);
}

static tg_value *as_stored(tg_simt *S, tg_builder *b, const tg_op *op, tg_value *v) {
    return tg_expand_convert(b, S->mc, v, acc_dtype(op), value_dtype(op), TG_ROUND_RNE, false);
}

static int64_t result_regs(const tg_op *op) {
    return ts_is_tile(&op->results[0]) ? ts_regs(op->results[0].type->layout) : 1;
}

static void fill_array(tg_simt *S, tg_value *array, int64_t n, tg_value *v) {
    tg_builder *b = &S->b;
    if (n == 1) {
        (void)tg_build_astore(b, array, tg_build_int(b, tg_type_scalar(S->out, TG_DT_I32), 0), v,
                              1);
        return;
    }
    tg_value *i;
    tg_op *loop = ts_each_register(S, b, n, &i);
    (void)tg_build_astore(b, array, ts_i32(b, i), v, 1);
    tg_build_end_for(b, loop, 0, NULL);
}

void ts_reduce_begin(tg_simt *S, tg_op *op, ts_item *item) {
    const tg_type *t = tg_operand(op, 0)->type;
    int64_t n = result_regs(op);
    tg_reduce_kind kind = kind_of(op);
    *item = (ts_item){.kind = TS_REDUCE, .op = op, .layout = t->layout, .rank = t->rank};
    item->shape = t->shape;
    item->array = ts_array(S, acc_dtype(op), n, NULL);
    fill_array(S, item->array, n, ts_identity(S, &S->entry, kind, value_dtype(op), 1));
    if (is_arg(kind)) {
        item->array2 = ts_array(S, TG_DT_I32, n, NULL);
        fill_array(S, item->array2, n,
                   tg_build_int(&S->entry, tg_type_scalar(S->out, TG_DT_I32), -1));
    }
}

/* The accumulator's registers at the nest's. */
static bool acc_map(ts_ctx *x, const tg_op *op, const ts_pos *pos, int64_t *base, int64_t *weight) {
    const tg_type *r = op->results[0].type;
    int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0);
    int64_t axes[TG_MAX_RANK];
    *base = 0;
    for (int k = 0; k < TS_MAX_DIGITS; k++) {
        weight[k] = 0;
    }
    if (r->rank == 0) {
        return true;
    }
    for (int a = 0; a < r->rank; a++) {
        axes[a] = a < axis ? a : a + 1;
    }
    return ts_reg_map(x, ts_axes_pos(x, pos, r->rank, axes), r->layout, base, weight);
}

static void accumulate_args(ts_ctx *x, const ts_item *item, const int64_t *weight, int64_t base,
                            ts_ev v, const ts_coord *c, tg_value *mask) {
    tg_builder *b = &x->b;
    bool max = kind_of(item->op) == TG_RED_ARGMAX;
    tg_value *at = tg_build_cast(b, ts_coord_vec(x, c), TG_DT_I32);
    for (int l = 0; l < x->lanes; l++) {
        bool many = x->lanes > 1;
        tg_value *e = v.vec ? tg_build_extract(b, v.v, l) : v.v;
        tg_value *i = many ? tg_build_extract(b, at, l) : at;
        tg_value *ok = mask == NULL ? NULL : many ? tg_build_extract(b, mask, l) : mask;
        if (ok != NULL) {
            i = tg_build_select(b, ok, i, tg_build_int(b, i->type, -1));
        }
        tg_value *r = ts_reg_index(x, base, weight);
        r = x->nest->n > 0 ? ts_bin(b, TG_OP_ADD, r, weight[0] * l) : r;
        tg_value *best = tg_build_aload(b, e->type, item->array, r, 1);
        tg_value *best_i = tg_build_aload(b, i->type, item->array2, r, 1);
        tg_value *better = ts_better(b, max, e, i, best, best_i);
        (void)tg_build_astore(b, item->array, r, tg_build_select(b, better, e, best), 1);
        (void)tg_build_astore(b, item->array2, r, tg_build_select(b, better, i, best_i), 1);
    }
}

static ts_ev masked(ts_ctx *x, tg_reduce_kind kind, ts_ev v, tg_dtype t, const ts_guard *g) {
    if (g->mask == NULL && g->ok == NULL) {
        return v;
    }
    if (g->mask == NULL && !v.vec) {
        tg_value *id = ts_identity(x->S, &x->b, kind, t, 1);
        return (ts_ev){.v = tg_build_select(&x->b, g->ok, v.v, id)};
    }
    tg_value *id = ts_identity(x->S, &x->b, kind, t, x->lanes);
    tg_value *m = ts_guard_mask_of(x, g);
    return (ts_ev){tg_build_select(&x->b, m, ts_vec(x, v), id), x->lanes > 1};
}

void ts_reduce_item(ts_ctx *x, const ts_item *item, const ts_pos *pos) {
    tg_simt *S = x->S;
    const tg_op *op = item->op;
    int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0);
    tg_reduce_kind kind = kind_of(op);
    tg_dtype t = acc_dtype(op);
    int64_t base, weight[TS_MAX_DIGITS], axes[1] = {axis};
    if (!acc_map(x, op, pos, &base, weight)) {
        ts_unsupported(S, op, "registers of operand and result do not correspond");
        return;
    }
    ts_ev v = ts_eval(x, tg_operand(op, 0), pos);
    ts_guard g = {0};
    ts_holders(x, item->layout, item->rank, item->shape, pos, false, &g);
    if (tg_attr_int(op, TG_ATTR_MASKED, 0) != 0) {
        tg_value *m = tg_operand(op, 1);
        bool line = m->type->rank != item->rank;
        ts_guard_ev(x, &g, ts_eval(x, m, line ? ts_axes_pos(x, pos, 1, axes) : pos));
    }
    if (kind != TG_RED_COUNT) {
        v.v = as_acc(S, &x->b, op, v.v);
    }
    if (is_arg(kind)) {
        accumulate_args(x, item, weight, base, v, &pos->c[axis], ts_guard_mask_of(x, &g));
        return;
    }
    if (kind == TG_RED_COUNT) {
        v.v = tg_build_cast(&x->b, v.v, t);
    }
    v = masked(x, kind, v, value_dtype(op), &g);
    bool across = x->lanes > 1 && weight[0] == 0;
    if (across) { /* the vector lies along the axis */
        tg_reduce_kind h = kind == TG_RED_COUNT ? TG_RED_SUM : kind;
        v = (ts_ev){.v = tg_build_reducev(&x->b, h, ts_vec(x, v))};
    }
    ts_ev old = ts_array_load(x, t, item->array, base, weight);
    if (!across && x->lanes > 1) {
        v = (ts_ev){ts_vec(x, v), true};
    }
    old.v = old.vec == v.vec ? old.v : ts_vec(x, old);
    ts_array_store(x, item->array, base, weight,
                   (ts_ev){ts_combine(&x->b, kind, old.v, v.v), v.vec});
}

/* ---- lanes ------------------------------------------------------------------------------------
 */

/* This lane's place among the parts, and how many there are. */
static tg_value *part_of(tg_simt *S, const tg_layout *l, int axis, int64_t *parts) {
    tg_builder *b = &S->b;
    tg_value *sum = tg_build_int(b, tg_type_scalar(S->out, TG_DT_I32), 0);
    *parts = 1;
    for (int m = 0; m < l->n_modes; m++) {
        const tg_layout_mode *mode = &l->modes[m];
        if (mode->resource == TG_RES_LANE && mode->axis == axis && mode->extent > 1) {
            tg_value *d = ts_bin(b, TG_OP_DIV, S->args.lane, mode->place);
            d = ts_bin(b, TG_OP_REM, d, mode->extent);
            sum = tg_build_binary(b, TG_OP_ADD, sum, ts_bin(b, TG_OP_MUL, d, *parts));
            *parts *= mode->extent;
        }
    }
    return sum;
}

/* For every register of the result: body(element number, register), guarded by its existence. */
typedef struct exchange {
    tg_simt *S;
    const tg_op *op;
    const ts_item *item;
    const ts_buf *value, *index; /* index: positions of argmin, argmax */
    tg_value *part;
    int64_t parts, count;
} exchange;

/* Where a part of element i lies; part NULL: the first. */
static tg_value *at_part(tg_builder *b, const ts_buf *u, tg_value *part, tg_value *i) {
    if (part != NULL) {
        i = tg_build_binary(b, TG_OP_ADD, ts_bin(b, TG_OP_MUL, part, u->stride[0]), i);
    }
    return tg_build_binary(b, TG_OP_ADD, i, ts_buf_start(b, u));
}

static tg_value *read_value(exchange *e, tg_builder *b, tg_value *part, tg_value *i) {
    tg_value *v = ts_buf_read(e->S, b, e->value, at_part(b, e->value, part, i), 1);
    return as_acc(e->S, b, e->op, v);
}

static tg_value *read_index(exchange *e, tg_builder *b, tg_value *part, tg_value *i) {
    return ts_buf_read(e->S, b, e->index, at_part(b, e->index, part, i), 1);
}

static void write_value(exchange *e, tg_builder *b, tg_value *part, tg_value *i, tg_value *v) {
    ts_buf_write(e->S, b, e->value, at_part(b, e->value, part, i), as_stored(e->S, b, e->op, v));
}

static void combine_into(exchange *e, tg_builder *b, tg_value *part, tg_value *i, tg_value **v,
                         tg_value **at) {
    tg_value *x = read_value(e, b, part, i);
    if (e->index == NULL) {
        *v = ts_combine(b, kind_of(e->op), *v, x);
        return;
    }
    tg_value *xi = read_index(e, b, part, i);
    tg_value *better = ts_better(b, kind_of(e->op) == TG_RED_ARGMAX, x, xi, *v, *at);
    *v = tg_build_select(b, better, x, *v);
    *at = tg_build_select(b, better, xi, *at);
}

/* All parts of element `elem` (i32), at b. */
static void combine_parts(exchange *e, tg_builder *b, tg_value *elem, tg_value **v, tg_value **at) {
    tg_value *c[2], *p;
    c[0] = read_value(e, b, NULL, elem);
    c[1] = e->index == NULL ? NULL : read_index(e, b, NULL, elem);
    int n = e->index == NULL ? 1 : 2;
    tg_op *loop = tg_build_for(b, tg_build_index(b, 1), tg_build_index(b, e->parts),
                               tg_build_index(b, 1), n, c, &p);
    combine_into(e, b, ts_i32(b, p), elem, &c[0], &c[1]);
    tg_build_end_for(b, loop, n, c);
    *v = c[0];
    *at = c[1];
}

/* Element number of the result at a position, i32. */
static tg_value *element(ts_ctx *x, const tg_type *t, const ts_pos *pos) {
    tg_value *sum = tg_build_int(&x->b, tg_type_scalar(x->S->out, TG_DT_I32), 0);
    int64_t dense = 1;
    for (int a = t->rank - 1; a >= 0; a--) {
        if (t->shape[a] != 1) {
            tg_value *c = ts_i32(&x->b, ts_coord_scalar(x, &pos->c[a]));
            sum = tg_build_binary(&x->b, TG_OP_ADD, sum, ts_bin(&x->b, TG_OP_MUL, c, dense));
        }
        dense *= t->shape[a];
    }
    return sum;
}

typedef void (*each_fn)(exchange *e, ts_ctx *x, tg_value *reg, tg_value *elem);

/* Runs fn for every register of the result that holds an element. */
static void each_result(exchange *e, each_fn fn, tg_value *extra_ok) {
    tg_simt *S = e->S;
    const tg_type *t = e->op->results[0].type;
    ts_nest n = {0};
    ts_digits(t->rank > 0 ? t->layout : NULL, &n);
    ts_ctx flat = ts_ctx_flat(S), x = flat;
    x.nest = &n;
    tg_op *loops[TS_MAX_DIGITS];
    for (int k = n.n - 1; k >= 0; k--) {
        loops[k] = ts_each_register(S, &x.b, n.extent[k], &x.iv[k]);
    }
    const ts_pos *pos = t->rank > 0 ? ts_root_pos(&x, t->layout, t->rank) : &x.none;
    ts_guard g = {0};
    if (t->rank > 0) {
        ts_holders(&x, t->layout, t->rank, t->shape, pos, false, &g);
    }
    if (extra_ok != NULL) {
        ts_guard_ok(&x, &g, extra_ok);
    }
    tg_op *branch = g.ok != NULL ? tg_build_if(&x.b, g.ok, 0, NULL) : NULL;
    tg_value *elem = t->rank > 0 ? element(&x, t, pos)
                                 : tg_build_int(&x.b, tg_type_scalar(S->out, TG_DT_I32), 0);
    fn(e, &x, ts_reg_index(&x, 0, n.place), elem);
    if (branch != NULL) {
        tg_build_else(&x.b, branch, 0, NULL);
        tg_build_end_if(&x.b, branch, 0, NULL);
    }
    for (int k = 0; k < n.n; k++) {
        tg_build_end_for(&x.b, loops[k], 0, NULL);
    }
    S->b = x.b;
}

static void write_part(exchange *e, ts_ctx *x, tg_value *reg, tg_value *elem) {
    tg_builder *b = &x->b;
    tg_simt *S = e->S;
    tg_value *v = tg_build_aload(b, ts_type(S, acc_dtype(e->op), 1), e->item->array, reg, 1);
    write_value(e, b, e->part, elem, v);
    if (e->index != NULL) {
        v = tg_build_aload(b, tg_type_scalar(S->out, TG_DT_I32), e->item->array2, reg, 1);
        ts_buf_write(S, b, e->index, at_part(b, e->index, e->part, elem), v);
    }
}

static void keep(exchange *e, tg_builder *b, tg_value *reg, tg_value *v, tg_value *at) {
    (void)tg_build_astore(b, e->item->array, reg, v, 1);
    if (e->index != NULL) {
        (void)tg_build_astore(b, e->item->array2, reg, at, 1);
    }
}

static void read_parts(exchange *e, ts_ctx *x, tg_value *reg, tg_value *elem) {
    tg_value *v, *at;
    combine_parts(e, &x->b, elem, &v, &at);
    keep(e, &x->b, reg, v, at);
}

static void read_combined(exchange *e, ts_ctx *x, tg_value *reg, tg_value *elem) {
    tg_builder *b = &x->b;
    tg_value *v = read_value(e, b, NULL, elem);
    tg_value *at = e->index == NULL ? NULL : read_index(e, b, NULL, elem);
    keep(e, b, reg, v, at);
}

/* The parts of every element into its first, each by one lane. */
static void combine_dealt(exchange *e) {
    tg_simt *S = e->S;
    tg_value *elem, *v, *at;
    tg_op *loop = ts_deal(S, e->count, &elem);
    combine_parts(e, &S->b, elem, &v, &at);
    write_value(e, &S->b, NULL, elem, v);
    if (e->index != NULL) {
        ts_buf_write(S, &S->b, e->index, at_part(&S->b, e->index, NULL, elem), at);
    }
    ts_end_deal(S, loop);
}

static void exchange_parts(tg_simt *S, tg_op *op, const ts_item *item) {
    bool arg = is_arg(kind_of(op));
    int last = op->n_operands - 1;
    exchange e = {.S = S, .op = op, .item = item};
    e.value = ts_buf_of(S, tg_operand(op, arg ? last - 1 : last));
    e.index = arg ? ts_buf_of(S, tg_operand(op, last)) : NULL;
    e.count = tg_type_count(op->results[0].type);
    e.part = part_of(S, item->layout, (int)tg_attr_int(op, TG_ATTR_AXIS, 0), &e.parts);
    each_result(&e, write_part, ts_first_replica(S, item->layout));
    /* values and positions may lie in different memories */
    bool device = e.index != NULL && e.index->space == TG_SPACE_SCRATCH;
    const ts_buf *far = device ? e.index : e.value;
    ts_barrier(S, far);
    int64_t everybody = result_regs(op) * S->lanes * e.parts;
    if (e.parts > 2 && everybody > 2 * e.parts * e.count) {
        combine_dealt(&e);
        ts_barrier(S, far);
        each_result(&e, read_combined, NULL);
    } else {
        each_result(&e, read_parts, NULL);
    }
}

/* The accumulators in their storage type. */
static tg_value *narrowed(tg_simt *S, const tg_op *op, tg_value *from) {
    tg_builder *b = &S->b;
    int64_t n = result_regs(op);
    tg_value *to = ts_array(S, value_dtype(op), n, NULL), *i;
    tg_op *loop = ts_each_register(S, b, n, &i);
    tg_value *k = ts_i32(b, i);
    tg_value *v = tg_build_aload(b, ts_type(S, acc_dtype(op), 1), from, k, 1);
    (void)tg_build_astore(b, to, k, as_stored(S, b, op, v), 1);
    tg_build_end_for(b, loop, 0, NULL);
    return to;
}

void ts_reduce_end(tg_simt *S, tg_op *op, const ts_item *item) {
    tg_value *r = &op->results[0];
    if (tg_attr_int(op, TG_ATTR_EXCHANGE, 0) != 0) {
        exchange_parts(S, op, item);
    } else if (tg_attr_int(op, TG_ATTR_WITHIN, 0) != 0) {
        ts_reduce_shuffle(S, op, item, result_regs(op));
    }
    tg_value *array = is_arg(kind_of(op)) ? item->array2 : item->array;
    if (array == item->array && acc_dtype(op) != value_dtype(op)) {
        array = narrowed(S, op, array);
    }
    if (ts_is_tile(r)) {
        ts_of(S, r)->array = array;
        return;
    }
    tg_value *zero = tg_build_int(&S->b, tg_type_scalar(S->out, TG_DT_I32), 0);
    ts_of(S, r)->scalar = tg_build_aload(&S->b, ts_type(S, r->type->dtype, 1), array, zero, 1);
}
