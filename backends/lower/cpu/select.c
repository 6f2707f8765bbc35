/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations that look at elements one after the other: dispatch and helpers; scan, atomics and
 * reductions with a state that is more than a running value (argmin, argmax, the user's). Loops
 * over the axis, one for every position of the others; scans of integers run a vector at a time.
 */
#include "backends/lower/cpu/select.h"

bool tg_is_select_op(tg_opcode code) {
    return code == TG_OP_SCAN || code == TG_OP_SORT || code == TG_OP_TOPK ||
           code == TG_OP_RANK_BY_KEY || code == TG_OP_COMPRESS || code == TG_OP_HISTOGRAM ||
           code == TG_OP_SCATTER_ADD || code == TG_OP_ATOMIC;
}

/* ---- small helpers
 * ---------------------------------------------------------------------------------------- */

tg_builder *sel_at(tg_ctx *x) { return &x->bl[x->depth]; }

tg_value *sel_ix(tg_ctx *x, int64_t v) { return tg_build_index(sel_at(x), v); }

tg_value *sel_add(tg_ctx *x, tg_value *a, tg_value *b) {
    return tg_build_binary(sel_at(x), TG_OP_ADD, a, b);
}

const tg_type *sel_scalar_type(tg_ctx *x, tg_dtype t) { return tg_loop_type(x->L, t, 1); }

tg_coord sel_coord(tg_ctx *x, tg_value *v) {
    return (tg_coord){.v = v, .level = x->depth, .align = 1};
}

tg_value *sel_mask_operand(const tg_op *op) {
    return tg_attr_int(op, TG_ATTR_MASKED, 0) ? tg_operand(op, op->n_operands - 1) : NULL;
}

/* Is element c present? NULL mask: constant true. */
tg_value *sel_present_at(tg_ctx *x, tg_value *mask, const tg_coord *c, int axis) {
    if (mask == NULL) {
        return tg_build_bool(sel_at(x), true);
    }
    return tg_elem(x, mask, mask->type->rank == 1 ? c + axis : c).v;
}

/* Positions of the axis that can be present: all, or the mask's prefix. */
tg_value *sel_axis_trip(tg_lower *L, tg_value *mask, int axis, int64_t extent) {
    tg_value *span = mask == NULL ? NULL : tg_mask_span(L, mask, mask->type->rank == 1 ? 0 : axis);
    tg_need need = {.kind = TG_NEED_FULL};
    if (span != NULL && !tg_span_is_full(span)) {
        need = (tg_need){.kind = TG_NEED_SPAN, .span = span};
    }
    return tg_trip(L, extent, &need);
}

/* Opens loops over all axes but `axis`; c gets their coordinates. `first_trip` replaces the extent
 * of axis 0 when not NULL. */
int sel_open_axes(tg_ctx *x, const tg_type *t, int axis, tg_value *first_trip, tg_coord *c,
                  tg_op **loops) {
    int n = 0;
    for (int k = 0; k < t->rank; k++) {
        if (k != axis) {
            tg_value *iv,
                *trip = k == 0 && first_trip != NULL ? first_trip : sel_ix(x, t->shape[k]);
            loops[n++] = tg_ctx_open(x, sel_ix(x, 0), trip, 1, 0, NULL, &iv);
            c[k] = sel_coord(x, iv);
        }
    }
    return n;
}

int sel_open_others(tg_ctx *x, const tg_type *t, int axis, tg_coord *c, tg_op **loops) {
    return sel_open_axes(x, t, axis, NULL, c, loops);
}

void sel_close_others(tg_ctx *x, int n, tg_op **loops) {
    for (int i = n - 1; i >= 0; i--) {
        tg_ctx_close(x, loops[i], 0, NULL);
    }
}

void sel_write_at(tg_ctx *x, tg_value *dest, const tg_coord *c, tg_value *v) {
    if (tg_info(x->L, dest)->kind == TG_V_BUFFER) {
        tg_buffer_write(x, dest, c, (tg_ev){.v = v, .level = x->depth});
    }
}

tg_value *sel_load_at(tg_ctx *x, tg_value *base, tg_value *i, tg_dtype t) {
    tg_value *p = tg_build_gep(sel_at(x), base, i, tg_scratch_elem_bytes(t));
    return tg_build_loadm(sel_at(x), sel_scalar_type(x, t), p, 0);
}

void sel_store_at(tg_ctx *x, tg_value *base, tg_value *i, tg_dtype t, tg_value *v) {
    tg_build_storem(sel_at(x), tg_build_gep(sel_at(x), base, i, tg_scratch_elem_bytes(t)), v, 0);
}

tg_value *sel_select(tg_ctx *x, tg_value *c, tg_value *a, tg_value *b) {
    return tg_build_select(sel_at(x), c, a, b);
}

/* if (cond) around what is emitted until end_when. */
tg_op *sel_when(tg_ctx *x, tg_value *cond) { return tg_build_if(sel_at(x), cond, 0, NULL); }

void sel_end_when(tg_ctx *x, tg_op *branch) {
    tg_build_else(sel_at(x), branch, 0, NULL);
    tg_build_end_if(sel_at(x), branch, 0, NULL);
}

/* Zeroes a whole buffer. */
void sel_clear_buffer(tg_ctx *x, const tg_value *v) {
    tg_value *ops[3] = {tg_buffer_ptr(x->L, sel_at(x), v),
                        tg_build_int(sel_at(x), sel_scalar_type(x, TG_DT_U8), 0),
                        sel_ix(x, tg_info(x->L, v)->bytes)};
    tg_build_op(sel_at(x), TG_OP_MEMSET, 3, ops, 0, NULL, 0);
}

/* ---- scan
 * ----------------------------------------------------------------------------------------------------
 */

typedef struct scan {
    tg_value *from, *mask, *to;
    int axis;
    tg_reduce_kind kind;
    bool exclusive;
    tg_dtype work;   /* type of the running value */
    tg_value *bound; /* span below whose end the scan stays; NULL: the whole axis */
} scan;

/* The element (or vector) at c in the running value's type, the identity where absent. */
static tg_value *scan_input(tg_ctx *x, const scan *s, const tg_coord *c) {
    tg_builder *b = sel_at(x);
    tg_value *e = tg_ev_vec(x, tg_elem(x, s->from, c));
    e = tg_expand_convert(b, x->L->mc, e, s->from->type->dtype, s->work, TG_ROUND_RNE, false);
    if (s->mask == NULL) {
        return e;
    }
    tg_ev on = tg_elem(x, s->mask, s->mask->type->rank == 1 ? c + s->axis : c);
    tg_value *identity = tg_reduce_identity(x->L, b, s->kind, s->from->type->dtype, x->lanes);
    return tg_build_select(b, tg_ev_vec(x, on), e, identity);
}

static void scan_output(tg_ctx *x, const scan *s, const tg_coord *c, tg_value *v) {
    if (tg_info(x->L, s->to)->kind != TG_V_BUFFER) {
        return;
    }
    v = tg_expand_convert(sel_at(x), x->L->mc, v, s->work, s->to->type->dtype, TG_ROUND_RNE, false);
    tg_buffer_write(x, s->to, c, (tg_ev){.v = v, .level = x->depth, .vec = x->lanes > 1});
}

/* Lane l gets lane l - d of v, the first d lanes the identity. */
static tg_value *shifted(tg_ctx *x, const scan *s, tg_value *v, int d) {
    int64_t map[256];
    tg_value *identity =
        tg_reduce_identity(x->L, sel_at(x), s->kind, s->from->type->dtype, x->lanes);
    for (int l = 0; l < x->lanes; l++) {
        map[l] = l < d ? x->lanes + l : l - d;
    }
    return tg_build_shuffle(sel_at(x), v, identity, x->lanes, map);
}

/* Running values of a whole vector by doubling steps; *acc, the same in all lanes, goes on behind
 * it. Nothing but one step and one shuffle waits for the vector before. */
static tg_value *scan_vector(tg_ctx *x, const scan *s, tg_value *e, tg_value **acc) {
    tg_builder *b = sel_at(x);
    tg_value *before = *acc, *own = e;
    int64_t last[256];
    for (int l = 0; l < x->lanes; l++) {
        last[l] = x->lanes - 1;
    }
    for (int d = 1; d < x->lanes; d *= 2) {
        own = tg_reduce_step(x->L, b, s->kind, s->work, own, shifted(x, s, own, d));
    }
    tg_value *all = tg_build_shuffle(b, own, own, x->lanes, last);
    *acc = tg_reduce_step(x->L, b, s->kind, s->work, before, all);
    tg_value *at = s->exclusive ? shifted(x, s, own, 1) : own;
    return tg_reduce_step(x->L, b, s->kind, s->work, before, at);
}

/*
 * Whole vectors of a scan of integers, whose order of adding is free. A vector of identities
 * (nothing selected, which is common in masks) leaves everything as it is.
 */
static tg_value *scan_vectors(tg_ctx *x, const scan *s, tg_coord *c, int lanes, tg_value *whole,
                              tg_value *acc) {
    tg_value *iv;
    acc = tg_build_splat(sel_at(x), acc, lanes);
    tg_op *loop = tg_ctx_open(x, sel_ix(x, 0), whole, lanes, 1, &acc, &iv);
    x->lanes = lanes;
    c[s->axis] =
        (tg_coord){.v = iv, .lane = 1, .level = x->depth, .align = lanes, .v_align = lanes};
    c[s->axis].bound = s->bound;
    tg_builder *b = sel_at(x);
    tg_value *e = scan_input(x, s, c);
    tg_value *identity = tg_reduce_identity(x->L, b, s->kind, s->from->type->dtype, lanes);
    tg_value *any = tg_build_reducev(b, TG_RED_ANY, tg_build_cmp(b, TG_CMP_NE, e, identity));
    const tg_type *types[2] = {e->type, e->type};
    tg_value *same[2] = {acc, acc}, *out[2] = {NULL, acc};
    tg_op *branch = tg_build_if(b, any, 2, types);
    out[0] = scan_vector(x, s, e, &out[1]);
    tg_build_else(b, branch, 2, out);
    tg_build_end_if(b, branch, 2, same);
    scan_output(x, s, c, &branch->results[0]);
    acc = &branch->results[1];
    x->lanes = 1;
    tg_ctx_close(x, loop, 1, &acc);
    return tg_build_extract(sel_at(x), acc, 0);
}

static void emit_scan(tg_lower *L, tg_op *op) {
    scan s = {.from = tg_operand(op, 0),
              .mask = sel_mask_operand(op),
              .to = &op->results[0],
              .axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0),
              .kind = (tg_reduce_kind)tg_attr_int(op, TG_ATTR_RED, 0),
              .exclusive = tg_attr_int(op, TG_ATTR_EXCL, 0) != 0,
              .work = tg_dtype_arith(tg_operand(op, 0)->type->dtype)};
    const tg_type *t = s.from->type;
    const tg_need *need = &tg_info(L, s.to)->need[s.axis];
    int64_t extent = t->shape[s.axis];
    tg_value *trip = tg_trip(L, extent, need);
    tg_ctx x = tg_ctx_begin(L, 1);
    tg_coord c[TG_MAX_RANK];
    tg_op *loops[TG_MAX_RANK];
    int n = sel_open_others(&x, t, s.axis, c, loops);
    tg_value *acc = tg_reduce_identity(L, sel_at(&x), s.kind, t->dtype, 1), *iv;
    s.bound = need->kind == TG_NEED_SPAN ? need->span : NULL;
    tg_value *whole = sel_ix(&x, 0);
    int lanes = tg_dtype_bits(s.work) < 8 ? 1 : L->mc->vector_bytes * 8 / tg_dtype_bits(s.work);
    if (tg_dtype_is_int(s.work) && lanes >= 4 && extent >= lanes &&
        tg_info(L, s.to)->inner == s.axis) {
        whole = tg_build_binary(sel_at(&x), TG_OP_AND, trip, sel_ix(&x, -lanes));
        acc = scan_vectors(&x, &s, c, lanes, whole, acc);
    }
    tg_op *loop = tg_ctx_open(&x, whole, trip, 1, 1, &acc, &iv);
    c[s.axis] = sel_coord(&x, iv);
    c[s.axis].bound = s.bound;
    tg_value *e = scan_input(&x, &s, c);
    tg_value *next = tg_reduce_step(L, sel_at(&x), s.kind, s.work, acc, e);
    scan_output(&x, &s, c, s.exclusive ? acc : next);
    tg_ctx_close(&x, loop, 1, &next);
    sel_close_others(&x, n, loops);
    tg_ctx_end(&x);
}

static void emit_atomic(tg_lower *L, tg_op *op) {
    tg_value *r = &op->results[0];
    tg_ctx x = tg_ctx_begin(L, 1);
    tg_coord c[TG_MAX_RANK];
    tg_op *loops[TG_MAX_RANK + 1];
    int n = sel_open_others(&x, tg_operand(op, 1)->type, -1, c, loops);
    tg_ev e = tg_atomic_at(&x, op, c);
    if (tg_is_tile(r)) {
        sel_write_at(&x, r, c, e.v);
    } else {
        tg_info(L, r)->loop = e.v;
    }
    sel_close_others(&x, n, loops);
    tg_ctx_end(&x);
}

/* ---- reductions with more state
 * -------------------------------------------------------------------------------------- */

static void arg_step(tg_ctx *x, tg_op *op, const tg_coord *c, int axis, tg_value **state) {
    bool most = tg_attr_int(op, TG_ATTR_RED, 0) == TG_RED_ARGMAX;
    tg_value *v = tg_operand(op, 0), *mask = sel_mask_operand(op);
    tg_dtype t = v->type->dtype, w = tg_dtype_arith(t);
    tg_builder *b = sel_at(x);
    tg_value *e = tg_expand_convert(b, x->L->mc, tg_elem(x, v, c).v, t, w, TG_ROUND_RNE, false);
    tg_value *none = tg_build_cmp(b, TG_CMP_LT, state[1], tg_build_int(b, state[1]->type, 0));
    tg_value *better = tg_build_cmp(b, most ? TG_CMP_GT : TG_CMP_LT, e, state[0]);
    if (tg_dtype_is_float(w)) {
        tg_value *nan = tg_build_cmp(b, TG_CMP_NE, e, e);
        tg_value *fresh = tg_build_cmp(b, TG_CMP_EQ, state[0], state[0]);
        better = tg_build_binary(b, TG_OP_OR, better, tg_build_binary(b, TG_OP_AND, nan, fresh));
    }
    better = tg_build_binary(b, TG_OP_OR, better, none);
    if (mask != NULL) {
        better = tg_build_binary(b, TG_OP_AND, better, sel_present_at(x, mask, c, axis));
    }
    tg_value *i = tg_build_cast(b, tg_coord_scalar(x, &c[axis]), TG_DT_I32);
    state[0] = sel_select(x, better, e, state[0]);
    state[1] = sel_select(x, better, i, state[1]);
}

static void user_step(tg_ctx *x, tg_op *op, const tg_coord *c, int axis, int n_acc,
                      tg_value **state) {
    tg_lower *L = x->L;
    tg_region *r = op->regions[0];
    tg_value *mask = sel_mask_operand(op);
    for (int i = 0; i < r->n_args; i++) {
        tg_info(L, r->args[i])->loop =
            i < n_acc ? state[i] : tg_elem(x, tg_operand(op, i - n_acc), c).v;
    }
    tg_value *on = mask == NULL ? NULL : sel_present_at(x, mask, c, axis);
    L->b = *sel_at(x);
    for (tg_op *o = r->first; o != NULL; o = o->next) {
        tg_opi(o)->done = false;
    }
    tg_emit_region(L, r);
    *sel_at(x) = L->b;
    for (int i = 0; i < n_acc; i++) {
        tg_value *next = tg_scalar(L, tg_operand(r->last, i));
        state[i] = on == NULL ? next : sel_select(x, on, next, state[i]);
    }
}

void tg_emit_scalar_reduce_loop(tg_lower *L, tg_op *op) {
    bool user = tg_attr_int(op, TG_ATTR_RED, 0) == TG_RED_USER;
    tg_value *v = tg_operand(op, 0), *mask = sel_mask_operand(op), *iv;
    int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0), n_state = user ? op->n_results : 2;
    int n_x = user ? op->regions[0]->n_args - op->n_results : 1;
    tg_value **state = TG_NEW_ARRAY(L->arena, tg_value *, n_state + 1);
    tg_value **init = TG_NEW_ARRAY(L->arena, tg_value *, n_state + 1);
    if (user) {
        for (int i = 0; i < n_state; i++) {
            init[i] = tg_scalar(L, tg_operand(op, n_x + i));
        }
    } else {
        init[0] = tg_build_int(&L->b, tg_loop_type(L, tg_dtype_arith(v->type->dtype), 1), 0);
        init[1] = tg_build_int(&L->b, tg_loop_type(L, TG_DT_I32, 1), -1);
    }
    tg_value *trip = sel_axis_trip(L, mask, axis, v->type->shape[axis]);
    tg_ctx x = tg_ctx_begin(L, 1);
    tg_coord c[TG_MAX_RANK], out[TG_MAX_RANK];
    tg_op *loops[TG_MAX_RANK];
    int n = sel_open_others(&x, v->type, axis, c, loops);
    for (int i = 0; i < n_state; i++) {
        state[i] = init[i];
    }
    tg_op *loop = tg_ctx_open(&x, sel_ix(&x, 0), trip, 1, n_state, state, &iv);
    c[axis] = sel_coord(&x, iv);
    if (user) {
        user_step(&x, op, c, axis, n_state, state);
    } else {
        arg_step(&x, op, c, axis, state);
    }
    tg_ctx_close(&x, loop, n_state, state);
    for (int k = 0, o = 0; k < v->type->rank; k++) {
        if (k != axis) {
            out[o++] = c[k];
        }
    }
    for (int i = 0; i < op->n_results; i++) {
        tg_value *r = &op->results[i], *s = user ? state[i] : state[1];
        if (tg_is_tile(r)) {
            sel_write_at(&x, r, out, s);
        } else {
            tg_info(L, r)->loop = s;
        }
    }
    sel_close_others(&x, n, loops);
    tg_ctx_end(&x);
}

void tg_emit_select_op(tg_lower *L, tg_op *op) {
    bool needed = op->code == TG_OP_ATOMIC;
    for (int r = 0; r < op->n_results; r++) {
        needed =
            needed || tg_info(L, &op->results[r])->kind == TG_V_BUFFER ||
            (tg_info(L, &op->results[r])->kind == TG_V_SCALAR && tg_value_is_used(&op->results[r]));
    }
    if (!needed) {
        return;
    }
    switch ((int)op->code) {
    case TG_OP_SCAN:
        emit_scan(L, op);
        return;
    case TG_OP_SORT:
        sel_emit_sort(L, op);
        return;
    case TG_OP_TOPK:
        sel_emit_topk(L, op);
        return;
    case TG_OP_RANK_BY_KEY:
        sel_emit_rank(L, op);
        return;
    case TG_OP_COMPRESS:
        sel_emit_compress(L, op);
        return;
    case TG_OP_HISTOGRAM:
        sel_emit_histogram(L, op);
        return;
    case TG_OP_SCATTER_ADD:
        sel_emit_scatter_add(L, op);
        return;
    default:
        emit_atomic(L, op);
        return;
    }
}
