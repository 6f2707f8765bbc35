/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reductions: identity, step and result of each kind, and those along another axis than the
 * result's rows.
 */
#include "backends/lower/cpu/nest.h"

tg_value *nest_reduce_mask(const tg_op *op) {
    return tg_attr_int(op, TG_ATTR_MASKED, 0) ? tg_operand(op, op->n_operands - 1) : NULL;
}

static tg_dtype work_type(tg_reduce_kind kind, tg_dtype t) {
    return kind == TG_RED_COUNT ? TG_DT_I32 : tg_dtype_arith(t);
}

tg_value *tg_reduce_identity(tg_lower *L, tg_builder *b, tg_reduce_kind kind, tg_dtype t,
                             int lanes) {
    tg_dtype w = work_type(kind, t);
    const tg_type *type = tg_loop_type(L, w, lanes);
    bool low = kind == TG_RED_MAX;
    if (kind == TG_RED_PROD || kind == TG_RED_ALL) {
        return tg_build_int(b, type, 1);
    }
    if (kind != TG_RED_MIN && kind != TG_RED_MAX) {
        return tg_build_int(b, type, 0);
    }
    if (tg_dtype_is_float(t)) {
        return tg_build_float(b, type, low ? -__builtin_inf() : __builtin_inf());
    }
    int bits = tg_dtype_bits(t);
    if (!tg_dtype_is_signed(t)) {
        return tg_build_int(b, type, low ? 0 : bits == 64 ? -1 : ((int64_t)1 << bits) - 1);
    }
    int64_t top = bits == 64 ? INT64_MAX : ((int64_t)1 << (bits - 1)) - 1;
    return tg_build_int(b, type, low ? -top - 1 : top);
}

tg_value *tg_reduce_step(tg_lower *L, tg_builder *b, tg_reduce_kind kind, tg_dtype t, tg_value *acc,
                         tg_value *v) {
    (void)L;
    (void)t;
    static const tg_opcode step[] = {
        [TG_RED_SUM] = TG_OP_ADD,  [TG_RED_PROD] = TG_OP_MUL, [TG_RED_MIN] = TG_OP_MIN,
        [TG_RED_MAX] = TG_OP_MAX,  [TG_RED_ANY] = TG_OP_OR,   [TG_RED_ALL] = TG_OP_AND,
        [TG_RED_COUNT] = TG_OP_ADD};
    return tg_build_binary(b, step[kind], acc, v);
}

/* One element (or vector) of a reduction's operand in its working type, identity where masked. */
tg_ev nest_reduce_input(tg_ctx *x, tg_op *op, const tg_coord *c, int axis) {
    tg_reduce_kind kind = (tg_reduce_kind)tg_attr_int(op, TG_ATTR_RED, 0);
    tg_value *v = tg_operand(op, 0), *mask = nest_reduce_mask(op);
    tg_dtype t = v->type->dtype, w = work_type(kind, t);
    tg_ev e = tg_elem(x, v, c);
    if (w != t) {
        e.v = tg_expand_convert(&x->bl[e.level], x->L->mc, e.v, t, w, TG_ROUND_RNE, false);
    }
    if (mask == NULL) {
        return e;
    }
    tg_ev m = tg_elem(x, mask, mask->type->rank == 1 ? c + axis : c);
    int64_t known;
    if (tg_value_const_int(m.v, &known) && known != 0) {
        return e;
    }
    int level = e.level > m.level ? e.level : m.level;
    bool vec = (e.vec || m.vec) && x->lanes > 1;
    tg_builder *b = &x->bl[level];
    tg_value *identity = tg_reduce_identity(x->L, b, kind, t, vec ? x->lanes : 1);
    tg_value *val = vec ? tg_ev_vec(x, e) : e.v, *on = vec ? tg_ev_vec(x, m) : m.v;
    return (tg_ev){.v = tg_build_select(b, on, val, identity), .level = level, .vec = vec};
}

tg_value *nest_reduce_finish(tg_ctx *x, tg_op *op, tg_value *acc) {
    tg_reduce_kind kind = (tg_reduce_kind)tg_attr_int(op, TG_ATTR_RED, 0);
    tg_dtype w = work_type(kind, tg_operand(op, 0)->type->dtype), to = op->results[0].type->dtype;
    return w == to ? acc
                   : tg_expand_convert(&x->bl[x->depth], x->L->mc, acc, w, to, TG_ROUND_RNE, false);
}

/* ---- reductions along another axis
 * ------------------------------------------------------------------------------ */

/* Few elements to reduce, all there: one after the other, without a loop. */
enum { FEW = 8 };

static tg_value *reduce_few(tg_ctx *x, tg_op *op, tg_coord *c, int axis, int64_t n) {
    tg_reduce_kind kind = (tg_reduce_kind)tg_attr_int(op, TG_ATTR_RED, 0);
    tg_dtype t = tg_operand(op, 0)->type->dtype, w = work_type(kind, t);
    tg_value *acc = tg_reduce_identity(x->L, &x->bl[x->depth], kind, t, x->lanes);
    for (int64_t i = 0; i < n; i++) {
        c[axis] = (tg_coord){.add = i, .align = 1};
        tg_ev e = nest_reduce_input(x, op, c, axis);
        acc = tg_reduce_step(x->L, &x->bl[x->depth], kind, w, acc, tg_ev_vec(x, e));
    }
    return acc;
}

/*
 * Kept axes outside, the result's innermost one in vectors; the reduced axis runs inside each
 * vector with the accumulator in a register.
 */
static tg_value *reduce_in_loop(tg_ctx *x, tg_op *op, tg_coord *c, int axis, tg_value *trip,
                                const tg_need *need) {
    tg_reduce_kind kind = (tg_reduce_kind)tg_attr_int(op, TG_ATTR_RED, 0);
    tg_dtype t = tg_operand(op, 0)->type->dtype, w = work_type(kind, t);
    tg_value *acc = tg_reduce_identity(x->L, &x->bl[x->depth], kind, t, x->lanes), *iv;
    tg_op *loop = tg_ctx_open(x, tg_build_index(&x->bl[x->depth], 0), trip, 1, 1, &acc, &iv);
    c[axis] = (tg_coord){.v = iv,
                         .level = x->depth,
                         .align = 1,
                         .bound = need->kind == TG_NEED_SPAN ? need->span : NULL};
    tg_ev e = nest_reduce_input(x, op, c, axis);
    acc = tg_reduce_step(x->L, &x->bl[x->depth], kind, w, acc, tg_ev_vec(x, e));
    tg_ctx_close(x, loop, 1, &acc);
    return acc;
}

static void column_block(tg_ctx *x, tg_op *op, tg_coord *c, int axis, tg_value *trip,
                         const tg_need *need, const tg_coord *out) {
    int64_t n = tg_operand(op, 0)->type->shape[axis];
    tg_value *acc = need->kind == TG_NEED_FULL && n <= FEW
                        ? reduce_few(x, op, c, axis, n)
                        : reduce_in_loop(x, op, c, axis, trip, need);
    tg_ev r = {.v = nest_reduce_finish(x, op, acc), .level = x->depth, .vec = x->lanes > 1};
    if (tg_is_tile(&op->results[0])) {
        tg_buffer_write(x, &op->results[0], out, r);
    } else {
        tg_info(x->L, &op->results[0])->loop = r.v;
    }
}

static void column_body(tg_ctx *x, tg_op *op, tg_coord *c, int axis, tg_value *trip,
                        const tg_need *need) {
    tg_coord out[TG_MAX_RANK];
    for (int k = 0, at = 0; k < tg_operand(op, 0)->type->rank; k++) {
        if (k != axis) {
            out[at++] = c[k];
        }
    }
    column_block(x, op, c, axis, trip, need, out);
}

/* The kept axes that are neither reduced nor the vectors' own. */
typedef struct kept_rows {
    int n, axis[TG_MAX_RANK];
    int64_t
        inside; /* how many rows each vector goes through itself; 0: there are loops over them */
} kept_rows;

static void column_rows(tg_ctx *x, tg_op *op, tg_coord *c, int axis, tg_value *trip,
                        const tg_need *need, const kept_rows *rows) {
    const int64_t *shape = tg_operand(op, 0)->type->shape;
    if (rows->inside == 0) {
        column_body(x, op, c, axis, trip, need);
    }
    for (int64_t row = 0; row < rows->inside; row++) {
        int64_t left = row;
        for (int k = rows->n - 1; k >= 0; k--) {
            int a = rows->axis[k];
            c[a] = (tg_coord){.add = left % shape[a], .align = 1};
            left /= shape[a];
        }
        column_body(x, op, c, axis, trip, need);
    }
}

/* Few rows, all wanted, of a tile whose vectors do not run along its last axis: as in nest.c. */
static int64_t rows_inside(const tg_type *t, int inner, int axis, const kept_rows *rows,
                           const tg_need *const *need) {
    enum { FEW_ELEMENTS = 16 };
    int64_t count = 1;
    for (int i = 0; i < rows->n; i++) {
        count *= t->shape[rows->axis[i]];
        if (need[rows->axis[i]]->kind != TG_NEED_FULL || count > FEW_ELEMENTS) {
            return 0;
        }
    }
    bool few = inner >= 0 && inner != t->rank - 1 && t->shape[axis] <= FEW &&
               count * t->shape[axis] <= FEW_ELEMENTS;
    return few ? count : 0;
}

void tg_emit_column_reduce(tg_lower *L, tg_op *op) {
    tg_value *v = tg_operand(op, 0), *r = &op->results[0], *mask = nest_reduce_mask(op);
    int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0), rank = v->type->rank;
    tg_need need = {.kind = TG_NEED_FULL};
    tg_value *span = mask == NULL ? NULL : tg_mask_span(L, mask, mask->type->rank == 1 ? 0 : axis);
    if (span != NULL && !tg_span_is_full(span)) {
        need = (tg_need){.kind = TG_NEED_SPAN, .span = span};
    }
    kept_rows rows = {0};
    int inner = -1;
    if (rank > 1) {
        inner = tg_info(L, r)->inner;
        inner = inner >= axis ? inner + 1 : inner;
    }
    for (int k = 0; k < rank; k++) {
        if (k != axis && k != inner) {
            rows.axis[rows.n++] = k;
        }
    }
    tg_value *trip = tg_trip(L, v->type->shape[axis], &need), *kept_trip[TG_MAX_RANK];
    const tg_need *kept_need[TG_MAX_RANK];
    for (int k = 0; k < rank; k++) {
        if (k != axis) {
            kept_need[k] = &tg_info(L, r)->need[k > axis ? k - 1 : k];
            kept_trip[k] = tg_trip(L, v->type->shape[k], kept_need[k]);
        }
    }
    tg_ctx x = tg_ctx_begin(L, 1);
    tg_coord c[TG_MAX_RANK];
    tg_op *loops[TG_MAX_RANK];
    rows.inside = rows_inside(v->type, inner, axis, &rows, kept_need);
    for (int i = 0; i < rows.n && rows.inside == 0; i++) {
        int k = rows.axis[i];
        tg_value *iv;
        loops[i] =
            tg_ctx_open(&x, tg_build_index(&x.bl[x.depth], 0), kept_trip[k], 1, 0, NULL, &iv);
        c[k] = (tg_coord){.v = iv,
                          .level = x.depth,
                          .align = 1,
                          .bound = kept_need[k]->kind == TG_NEED_SPAN ? kept_need[k]->span : NULL};
    }
    if (inner < 0) {
        column_body(&x, op, c, axis, trip, &need);
    } else {
        int64_t extent = v->type->shape[inner];
        bool fixed = kept_need[inner]->kind != TG_NEED_SPAN;
        int lanes = nest_vector_lanes(L, extent);
        tg_builder *b = &x.bl[x.depth];
        tg_value *lo = tg_build_index(b, 0), *hi = kept_trip[inner], *iv;
        for (int pass = lanes > 1 ? 0 : 1; pass < 2; pass++) {
            x.lanes = pass == 0 ? lanes : 1;
            tg_value *end = hi;
            if (pass == 0) {
                end = fixed ? tg_build_index(b, extent / lanes * lanes)
                            : tg_build_binary(b, TG_OP_AND, hi, tg_build_index(b, -lanes));
            } else if (lanes > 1 && fixed && extent % lanes == 0) {
                break;
            }
            tg_op *loop = tg_ctx_open(&x, lo, end, x.lanes, 0, NULL, &iv);
            c[inner] = (tg_coord){.v = iv,
                                  .lane = x.lanes > 1,
                                  .level = x.depth,
                                  .align = x.lanes,
                                  .bound = fixed ? NULL : kept_need[inner]->span};
            column_rows(&x, op, c, axis, trip, &need, &rows);
            tg_ctx_close(&x, loop, 0, NULL);
            lo = end;
        }
    }
    for (int i = rows.n - 1; i >= 0 && rows.inside == 0; i--) {
        tg_ctx_close(&x, loops[i], 0, NULL);
    }
    tg_ctx_end(&x);
}
