/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tensors: addresses, loads, stores, atomics.
 *
 * An address is base + sum of position * stride; the parts known before the nest are added there.
 * What lies outside (of the tensor, below a span's end, of the mask) is never touched: vectors
 * along consecutive memory are read whole where every lane is inside and lane by lane where not.
 */
#include "backends/lower/simt/simt.h"

#include "backends/lower/expand/expand.h"

/* ---- tensors ----------------------------------------------------------------------------------
 */

static int64_t elem_bytes(const tg_type *t) {
    if (t->dtype == TG_DT_RECORD) {
        return t->elem_bytes;
    }
    return tg_dtype_bits(t->dtype) < 8 ? 0 : tg_dtype_bits(t->dtype) / 8;
}

static tg_value *extent_of(tg_simt *S, const tg_dim *d, int slot) {
    if (d->code == TG_DIM_CONST) {
        return tg_build_index(&S->entry, d->value);
    }
    return d->code == TG_DIM_SYM ? ts_sym(S, (int)d->value)
                                 : ts_slot(S, slot, tg_type_scalar(S->out, TG_DT_I64));
}

static ts_tensor *param_tensor(tg_simt *S, const tg_value *v) {
    ts_tensor *t = TG_NEW(S->arena, ts_tensor);
    int s = ts_param_slot(S, v->index);
    t->dtype = v->type->dtype;
    t->rank = v->type->rank;
    t->elem_bytes = elem_bytes(v->type);
    t->slot = s;
    t->base = ts_slot(S, s, tg_type_ptr(S->out));
    t->base->name = ts_name(S, v->name);
    for (int k = 0; k < t->rank; k++) {
        t->dim[k] = extent_of(S, v->type->dims[k], s + 1 + k);
        t->const_stride[k] = -1;
        if (k == t->rank - 1 && (!v->type->strided || t->elem_bytes == 0)) {
            t->const_stride[k] = t->elem_bytes;
        } else {
            t->stride[k] = ts_slot(S, s + 1 + t->rank + k, tg_type_scalar(S->out, TG_DT_I64));
        }
    }
    return t;
}

static ts_tensor *view_tensor(tg_simt *S, const tg_value *v) {
    const tg_op *op = v->def;
    const ts_tensor *from = ts_tensor_of(S, tg_operand(op, 0));
    const tg_attr *strides = tg_attr_get(op, TG_ATTR_STRIDES);
    ts_tensor *t = TG_NEW(S->arena, ts_tensor);
    *t = *from;
    t->dtype = v->type->dtype;
    t->rank = v->type->rank;
    t->elem_bytes = elem_bytes(v->type);
    int64_t bytes = tg_attr_int(op, TG_ATTR_BYTES, 0);
    t->base = tg_build_gep(&S->entry, from->base, tg_build_index(&S->entry, bytes), 1);
    t->from_bytes = from->from_bytes + bytes;
    for (int k = from->rank; k < t->rank; k++) {
        t->dim[k] = tg_build_index(&S->entry, v->type->dims[k]->value);
        t->stride[k] = NULL;
        t->const_stride[k] = strides->list[k - from->rank];
    }
    return t;
}

ts_tensor *ts_tensor_of(tg_simt *S, tg_value *v) {
    ts_info *info = ts_of(S, v);
    if (info->tensor == NULL) {
        info->tensor = v->def == NULL ? param_tensor(S, v) : view_tensor(S, v);
    }
    return info->tensor;
}

/* ---- accesses ---------------------------------------------------------------------------------
 */

typedef struct access {
    tg_value *ptr;     /* of vector lane 0 */
    tg_value *offsets; /* bytes by vector lane, or NULL: lanes follow each other, or are one */
    bool vec;          /* lanes differ */
    ts_coord nibble;   /* position along a packed innermost axis */
    bool packed;
    ts_guard g;
} access;

static int first_index(const tg_op *op) {
    if (op->code == TG_OP_LOAD) {
        return 1;
    }
    bool cas = op->code == TG_OP_ATOMIC && tg_attr_int(op, TG_ATTR_ATOMIC, 0) == TG_ATOMIC_CAS;
    return cas ? 3 : 2;
}

static bool has_exchange(const tg_op *op) { return tg_attr_int(op, TG_ATTR_EXCHANGE, 0) != 0; }

static tg_value *mask_operand(const tg_op *op) {
    return tg_attr_int(op, TG_ATTR_MASKED, 0) == 0
               ? NULL
               : tg_operand(op, op->n_operands - 1 - (has_exchange(op) ? 1 : 0));
}

/* Where index v (with its axes) stands along its tensor axis; *limit: what it must stay below. */
static ts_coord position(ts_ctx *x, tg_value *v, const int64_t *axes, const ts_pos *pos,
                         tg_value *dim, tg_value **limit, bool *nonneg) {
    tg_simt *S = x->S;
    *limit = dim;
    *nonneg = false;
    if (v->type->kind == TG_TY_SPAN) {
        const ts_info *s = ts_of(S, v);
        tg_builder *o = &x->out;
        ts_coord c = pos->c[axes[0]];
        tg_value *end = tg_build_binary(o, TG_OP_ADD, s->lo, tg_build_index(o, v->type->shape[0]));
        *limit = tg_build_binary(o, TG_OP_MIN, dim, s->hi);
        tg_value *span_hi = tg_operand(v->def, 1);
        int64_t hi, lo;
        bool whole = tg_value_const_int(span_hi, &hi) &&
                     tg_value_const_int(tg_operand(v->def, 0), &lo) && hi - lo <= v->type->shape[0];
        if (!whole) {
            *limit = tg_build_binary(o, TG_OP_MIN, *limit, end);
        }
        if (c.vec != NULL) {
            c.vec =
                tg_build_binary(&x->b, TG_OP_ADD, c.vec, tg_build_splat(&x->b, s->lo, x->lanes));
        } else {
            c.out = c.out == NULL ? s->lo : tg_build_binary(o, TG_OP_ADD, s->lo, c.out);
        }
        *nonneg = ts_nonneg(tg_operand(v->def, 0), 0);
        return c;
    }
    if (!ts_is_tile(v)) {
        *nonneg = ts_nonneg(v, 0);
        return (ts_coord){.out = tg_build_cast(&x->out, ts_scalar(S, v), TG_DT_I64)};
    }
    ts_ev e = ts_eval(x, v, ts_axes_pos(x, pos, v->type->rank, axes));
    tg_value *i = tg_build_cast(&x->b, e.v, TG_DT_I64);
    return e.vec ? (ts_coord){.vec = i} : (ts_coord){.in = i};
}

static tg_value *times_stride(ts_ctx *x, tg_builder *b, const ts_tensor *t, int k, tg_value *v) {
    if (t->const_stride[k] >= 0) {
        return ts_bin(b, TG_OP_MUL, v, t->const_stride[k]);
    }
    bool vec = v->type->kind == TG_TY_VEC;
    return tg_build_binary(b, TG_OP_MUL, v,
                           vec ? tg_build_splat(b, t->stride[k], x->lanes) : t->stride[k]);
}

static tg_value *step_ptr(ts_ctx *x, tg_builder *b, const ts_tensor *t, int k, tg_value *ptr,
                          tg_value *v) {
    if (v == NULL) {
        return ptr;
    }
    return t->const_stride[k] >= 0 ? tg_build_gep(b, ptr, v, t->const_stride[k])
                                   : tg_build_gep(b, ptr, times_stride(x, b, t, k, v), 1);
}

static void add_lanes(ts_ctx *x, access *a, const ts_tensor *t, int k, const ts_coord *c) {
    tg_builder *b = &x->b;
    tg_value *v = c->vec;
    if (v == NULL) {
        const tg_type *vt = tg_type_vec(x->S->out, TG_DT_I64, x->lanes);
        v = ts_bin(b, TG_OP_MUL, tg_build1(b, TG_OP_LANES, vt, 0), c->step);
    }
    v = times_stride(x, b, t, k, v);
    a->offsets = a->offsets == NULL ? v : tg_build_binary(b, TG_OP_ADD, a->offsets, v);
}

/* A scalar index that is known to be one. */
static bool is_below(const tg_simt *S, const tg_op *op, int tensor, int index, int k) {
    const tg_value *v = op->operands[index].value;
    const tg_type *t = op->operands[tensor].value->type;
    return v->type->kind == TG_TY_TILE && v->type->rank == 0 && ts_is_below(S, v, t->dims[k]);
}

static access access_of(ts_ctx *x, tg_op *op, const ts_pos *pos) {
    bool copy = op->code == TG_OP_COPY;
    int tensor = !copy ? 0 : tg_attr_int(op, TG_ATTR_RING, 0) != 0 ? 2 : 1;
    ts_tensor *t = ts_tensor_of(x->S, tg_operand(op, tensor));
    access a = {.ptr = t->base, .packed = t->elem_bytes == 0};
    ts_coord c[TG_MAX_RANK];
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    int first = copy ? tensor + 1 : first_index(op), differing = 0, at = 0;
    bool row = true;
    for (int k = 0; k < t->rank; k++) {
        tg_value *v = tg_operand(op, first + k), *limit;
        bool nonneg;
        c[k] =
            position(x, v, axes == NULL ? NULL : axes->list + at, pos, t->dim[k], &limit, &nonneg);
        at += v->type->kind == TG_TY_SPAN ? 1 : v->type->rank;
        if (!x->inside && !is_below(x->S, op, tensor, first + k, k)) {
            ts_guard_range(x, &a.g, &c[k], limit, nonneg);
        }
        if (!ts_coord_uniform(x, &c[k])) {
            differing++;
            row = row && k == t->rank - 1 && c[k].vec == NULL && c[k].step == 1 && !a.packed &&
                  t->const_stride[k] == t->elem_bytes;
        }
    }
    int strided = a.packed ? t->rank - 1 : t->rank;
    for (int k = 0; k < strided; k++) {
        a.ptr = step_ptr(x, &x->out, t, k, a.ptr, c[k].out);
    }
    for (int k = 0; k < strided; k++) {
        a.ptr = step_ptr(x, &x->b, t, k, a.ptr, c[k].in);
    }
    a.vec = differing > 0;
    for (int k = 0; k < strided && a.vec && !row; k++) {
        if (!ts_coord_uniform(x, &c[k])) {
            add_lanes(x, &a, t, k, &c[k]);
        }
    }
    if (a.packed) {
        a.nibble = c[t->rank - 1];
    }
    tg_value *mask = copy ? NULL : mask_operand(op);
    if (mask != NULL) {
        ts_guard_ev(x, &a.g, ts_eval(x, mask, pos));
    }
    return a;
}

/* ---- reads ------------------------------------------------------------------------------------
 */

static tg_value *masked_load(tg_builder *b, const tg_type *t, tg_value *ptr, tg_value *mask) {
    if (mask == NULL) {
        return tg_build_loadm(b, t, ptr, 0);
    }
    tg_value *r = tg_build1(b, TG_OP_LOADM, t, 3, ptr, mask, tg_build_int(b, t, 0));
    tg_op_set_int(r->def, TG_ATTR_MASKED, 1);
    return r;
}

static tg_value *gather(ts_ctx *x, const tg_type *t, tg_value *ptr, tg_value *offsets,
                        tg_value *mask) {
    tg_builder *b = &x->b;
    tg_value *zero = tg_build_int(b, t, 0);
    tg_value *r = mask == NULL ? tg_build1(b, TG_OP_GATHERM, t, 3, ptr, offsets, zero)
                               : tg_build1(b, TG_OP_GATHERM, t, 4, ptr, offsets, zero, mask);
    tg_op_set_int(r->def, TG_ATTR_BYTES, 1);
    if (mask != NULL) {
        tg_op_set_int(r->def, TG_ATTR_MASKED, 1);
    }
    return r;
}

/* Consecutive elements of which some may be absent. */
static tg_value *load_row(ts_ctx *x, const tg_type *t, const access *a) {
    tg_builder *b = &x->b;
    tg_value *all = ts_guard_all_of(x, &a->g), *mask = ts_guard_mask_of(x, &a->g);
    if (all == NULL) {
        return tg_build_loadm(b, t, a->ptr, 0);
    }
    tg_op *branch = tg_build_if(b, all, 1, &t);
    tg_value *full = tg_build_loadm(b, t, a->ptr, 0);
    tg_build_else(b, branch, 1, &full);
    tg_value *part = masked_load(b, t, a->ptr, mask);
    tg_build_end_if(b, branch, 1, &part);
    return &branch->results[0];
}

/* Low or high half of each byte. */
static tg_value *pick_nibble(tg_builder *b, tg_value *bytes, tg_value *position) {
    tg_value *odd = ts_bin(b, TG_OP_AND, position, 1);
    tg_value *is_odd = tg_build_cmp(b, TG_CMP_NE, odd, tg_build_int(b, odd->type, 0));
    tg_value *hi = ts_bin(b, TG_OP_SHR, bytes, 4), *lo = ts_bin(b, TG_OP_AND, bytes, 15);
    return tg_build_select(b, is_odd, hi, lo);
}

static ts_ev load_packed(ts_ctx *x, access *a) {
    tg_builder *b = &x->b;
    if (!a->vec) {
        tg_value *p = ts_coord_scalar(x, &a->nibble);
        tg_value *ptr = tg_build_gep(b, a->ptr, ts_bin(b, TG_OP_SHR, p, 1), 1);
        tg_value *byte = masked_load(b, ts_type(x->S, TG_DT_U8, 1), ptr, a->g.ok);
        return (ts_ev){.v = pick_nibble(b, byte, p)};
    }
    tg_value *p = ts_coord_vec(x, &a->nibble), *half = ts_bin(b, TG_OP_SHR, p, 1);
    tg_value *offsets = a->offsets == NULL ? half : tg_build_binary(b, TG_OP_ADD, a->offsets, half);
    tg_value *bytes =
        gather(x, ts_type(x->S, TG_DT_U8, x->lanes), a->ptr, offsets, ts_guard_mask_of(x, &a->g));
    return (ts_ev){pick_nibble(b, bytes, p), true};
}

static ts_ev load_of(ts_ctx *x, access *a, tg_dtype t) {
    if (a->packed) {
        ts_ev e = load_packed(x, a);
        if (!a->vec && a->g.mask != NULL) {
            e.v = tg_build_select(&x->b, a->g.mask, ts_vec(x, e),
                                  tg_build_int(&x->b, a->g.mask->type, 0));
        }
        return e;
    }
    if (!a->vec) {
        tg_value *v = masked_load(&x->b, ts_type(x->S, t, 1), a->ptr, a->g.ok);
        if (a->g.mask != NULL) { /* one element, a mask by lane */
            v = tg_build_splat(&x->b, v, x->lanes);
            v = tg_build_select(&x->b, a->g.mask, v, tg_build_int(&x->b, v->type, 0));
            return (ts_ev){v, true};
        }
        return (ts_ev){.v = v};
    }
    const tg_type *vt = ts_type(x->S, t, x->lanes);
    if (a->offsets == NULL) {
        return (ts_ev){load_row(x, vt, a), true};
    }
    return (ts_ev){gather(x, vt, a->ptr, a->offsets, ts_guard_mask_of(x, &a->g)), true};
}

ts_ev ts_load(ts_ctx *x, tg_op *op, const ts_pos *pos) {
    access a = access_of(x, op, pos);
    if (a.packed && !a.vec && a.g.mask != NULL) {
        a.g.mask = NULL; /* cannot be: a mask by lane comes with positions by lane */
        ts_unsupported(x->S, op, "a mask along an axis that the packed tensor does not have");
    }
    return load_of(x, &a, op->results[0].type->dtype);
}

static tg_op *open_if(tg_builder *b, tg_value *ok) {
    return ok == NULL ? NULL : tg_build_if(b, ok, 0, NULL);
}

static void close_if(tg_builder *b, tg_op *branch) {
    if (branch != NULL) {
        tg_build_else(b, branch, 0, NULL);
        tg_build_end_if(b, branch, 0, NULL);
    }
}

/* All vector lanes in one copy of the machine, or a read and a write of them; false where that
 * cannot be. */
static bool copy_row(ts_ctx *x, const access *a, const ts_buf *u, tg_value *slot, const ts_guard *g,
                     const ts_pos *pos) {
    int64_t bytes = x->lanes * tg_scratch_elem_bytes(u->dtype);
    if (!x->aligned || !a->vec || a->offsets != NULL || a->packed || g->mask != NULL ||
        (bytes != 4 && bytes != 8 && bytes != TS_ACOPY_BYTES)) {
        return false;
    }
    tg_value *index = ts_put_row(x, u, slot, pos, x->lanes);
    if (index == NULL) {
        return false;
    }
    tg_op *branch = open_if(&x->b, g->ok);
    if (ts_is_async(x->S)) {
        (void)tg_build_acopy(&x->b, u->memory, index, a->ptr, bytes);
    } else {
        tg_value *v = tg_build_loadm(&x->b, ts_type(x->S, u->dtype, x->lanes), a->ptr, bytes);
        (void)tg_build_astore(&x->b, u->memory, index, v, x->lanes);
    }
    close_if(&x->b, branch);
    return true;
}

void ts_emit_copy(ts_ctx *x, tg_op *op, const tg_layout *l, const ts_pos *pos) {
    tg_simt *S = x->S;
    const ts_buf *u = ts_buf_of(S, tg_operand(op, 0));
    bool ring = tg_attr_int(op, TG_ATTR_RING, 0) != 0;
    tg_value *slot = ring ? ts_buf_slot(S, &x->out, u, tg_operand(op, 1)) : NULL;
    access a = access_of(x, op, pos);
    ts_guard g = {0};
    ts_holders(x, l, u->rank, u->shape, pos, true, &g);
    if (copy_row(x, &a, u, slot, &g, pos)) {
        return;
    }
    ts_ev e = load_of(x, &a, u->dtype);
    ts_put_at(x, u, slot, NULL, pos, &g, e);
}

void ts_emit_fetch(ts_ctx *x, tg_op *op, tg_value *array, const ts_pos *pos) {
    access a = access_of(x, op, pos);
    ts_ev e = load_of(x, &a, ts_buf_of(x->S, tg_operand(op, 0))->dtype);
    ts_array_store(x, array, 0, x->nest->place, e);
}

void ts_emit_land(ts_ctx *x, tg_op *op, tg_value *array, const tg_layout *l, const ts_pos *pos) {
    const ts_buf *u = ts_buf_of(x->S, tg_operand(op, 0));
    bool ring = tg_attr_int(op, TG_ATTR_RING, 0) != 0;
    tg_value *slot = ring ? ts_buf_slot(x->S, &x->out, u, tg_operand(op, 1)) : NULL;
    ts_ev e = ts_array_load(x, tg_carrier(u->dtype), array, 0, x->nest->place);
    ts_guard g = {0};
    ts_holders(x, l, u->rank, u->shape, pos, true, &g);
    ts_put_at(x, u, slot, NULL, pos, &g, e);
}

static tg_value *and_with(tg_builder *b, tg_value *all, tg_value *c) {
    return all == NULL ? c : tg_build_binary(b, TG_OP_AND, all, c);
}

tg_value *ts_copy_inside(tg_simt *S, const ts_item *item) {
    tg_builder *b = &S->b;
    tg_op *op = item->op;
    int tensor = tg_attr_int(op, TG_ATTR_RING, 0) != 0 ? 2 : 1;
    const ts_tensor *t = ts_tensor_of(S, tg_operand(op, tensor));
    tg_value *all = tg_build_bool(b, true);
    for (int a = 0; a < item->rank; a++) {
        if (ts_reach(item->layout, a) > item->shape[a]) {
            return NULL;
        }
    }
    for (int k = 0; k < t->rank; k++) {
        tg_value *v = tg_operand(op, tensor + 1 + k), *lo, *end, *limit = t->dim[k];
        if (ts_is_tile(v)) {
            return NULL;
        }
        if (v->type->kind == TG_TY_SPAN) {
            lo = ts_of(S, v)->lo;
            end = ts_bin(b, TG_OP_ADD, lo, v->type->shape[0]);
            limit = tg_build_binary(b, TG_OP_MIN, limit, ts_of(S, v)->hi);
        } else {
            lo = tg_build_cast(b, ts_scalar(S, v), TG_DT_I64);
            end = ts_bin(b, TG_OP_ADD, lo, 1);
        }
        all = and_with(b, all, tg_build_cmp(b, TG_CMP_LE, end, limit));
        if (!ts_nonneg(v->type->kind == TG_TY_SPAN ? tg_operand(v->def, 0) : v, 0)) {
            all = and_with(b, all, tg_build_cmp(b, TG_CMP_GE, lo, tg_build_index(b, 0)));
        }
    }
    return all;
}

bool ts_is_async(const tg_simt *S) { return (S->mc->simt & TG_SIMT_ASYNC) != 0; }

bool ts_copies_wide(const tg_simt *S) {
    return (S->mc->simt & (TG_SIMT_ASYNC | TG_SIMT_UNROLLED)) != 0;
}

tg_value *ts_copy_aligned(tg_simt *S, const ts_item *item) {
    tg_builder *b = &S->b;
    tg_op *op = item->op;
    int tensor = tg_attr_int(op, TG_ATTR_RING, 0) != 0 ? 2 : 1;
    const ts_tensor *t = ts_tensor_of(S, tg_operand(op, tensor));
    int last = t->rank - 1;
    tg_value *v = tg_operand(op, tensor + 1 + last);
    if (t->elem_bytes == 0 || t->const_stride[last] != t->elem_bytes ||
        v->type->kind != TG_TY_SPAN) {
        return NULL;
    }
    const tg_type *i64 = tg_type_scalar(S->out, TG_DT_I64);
    tg_value *all = ts_bin(b, TG_OP_ADD, ts_slot(S, t->slot, i64), t->from_bytes);
    for (int k = 0; k < last; k++) {
        tg_value *s =
            t->const_stride[k] >= 0 ? tg_build_index(b, t->const_stride[k]) : t->stride[k];
        all = tg_build_binary(b, TG_OP_OR, all, s);
    }
    all = tg_build_binary(b, TG_OP_OR, all, ts_bin(b, TG_OP_MUL, ts_of(S, v)->lo, t->elem_bytes));
    tg_value *rest = ts_bin(b, TG_OP_AND, all, TS_ACOPY_BYTES - 1);
    return tg_build_cmp(b, TG_CMP_EQ, rest, tg_build_index(b, 0));
}

/* ---- writes -----------------------------------------------------------------------------------
 */

bool ts_store_is_packed(const tg_op *op) {
    return tg_dtype_bits(tg_operand(op, 0)->type->dtype) < 8;
}

static void masked_store(tg_builder *b, tg_value *ptr, tg_value *v, tg_value *mask) {
    tg_value *ops[3] = {ptr, v, mask};
    tg_op *op = tg_build_op(b, TG_OP_STOREM, 3, ops, 0, NULL, 0);
    tg_op_set_int(op, TG_ATTR_MASKED, 1);
}

static void store_row(ts_ctx *x, const access *a, tg_value *v) {
    tg_builder *b = &x->b;
    tg_value *all = ts_guard_all_of(x, &a->g), *mask = ts_guard_mask_of(x, &a->g);
    if (all == NULL) {
        (void)tg_build_storem(b, a->ptr, v, 0);
        return;
    }
    tg_op *branch = tg_build_if(b, all, 0, NULL);
    (void)tg_build_storem(b, a->ptr, v, 0);
    tg_build_else(b, branch, 0, NULL);
    masked_store(b, a->ptr, v, mask);
    tg_build_end_if(b, branch, 0, NULL);
}

/* Replaces the low (half 0) or high half of the bytes whose position has that parity. */
static void store_nibbles(ts_ctx *x, access *a, ts_ev e, int half) {
    tg_builder *b = &x->b;
    const tg_type *u8 = ts_type(x->S, TG_DT_U8, 1);
    tg_value *positions = ts_coord_vec(x, &a->nibble);
    tg_value *mask = ts_guard_mask_of(x, &a->g);
    for (int l = 0; l < x->lanes; l++) {
        bool many = x->lanes > 1;
        tg_value *p = many ? tg_build_extract(b, positions, l) : positions;
        tg_value *v = e.vec ? tg_build_extract(b, e.v, l) : e.v;
        tg_value *mine =
            tg_build_cmp(b, TG_CMP_EQ, ts_bin(b, TG_OP_AND, p, 1), tg_build_index(b, half));
        if (mask != NULL) {
            mine = tg_build_binary(b, TG_OP_AND, mine, many ? tg_build_extract(b, mask, l) : mask);
        }
        tg_op *branch = open_if(b, mine);
        tg_value *ptr = a->ptr;
        if (a->offsets != NULL) {
            ptr = tg_build_gep(b, ptr, tg_build_extract(b, a->offsets, l), 1);
        }
        ptr = tg_build_gep(b, ptr, ts_bin(b, TG_OP_SHR, p, 1), 1);
        tg_value *old = ts_bin(b, TG_OP_AND, tg_build_loadm(b, u8, ptr, 0), half ? 15 : 0xF0);
        tg_value *bits = ts_bin(b, TG_OP_AND, v, 15);
        bits = half ? ts_bin(b, TG_OP_SHL, bits, 4) : bits;
        (void)tg_build_storem(b, ptr, tg_build_binary(b, TG_OP_OR, old, bits), 0);
        close_if(b, branch);
    }
}

void ts_store(ts_ctx *x, tg_op *op, const tg_layout *l, const ts_pos *pos, int nibble) {
    tg_builder *b = &x->b;
    const tg_type *t = tg_operand(op, 1)->type;
    ts_ev e = ts_eval(x, tg_operand(op, 1), pos);
    access a = access_of(x, op, pos);
    ts_holders(x, l, t->rank, t->shape, pos, true, &a.g);
    if (nibble >= 0) {
        store_nibbles(x, &a, e, nibble);
        return;
    }
    if (!a.vec && a.g.mask == NULL) { /* one element: an axis in no index has extent 1 */
        tg_op *branch = open_if(b, a.g.ok);
        (void)tg_build_storem(b, a.ptr, e.vec ? tg_build_extract(b, e.v, x->lanes - 1) : e.v, 0);
        close_if(b, branch);
        return;
    }
    tg_value *v = ts_vec(x, e);
    if (a.vec && a.offsets == NULL) {
        store_row(x, &a, v);
        return;
    }
    tg_value *mask = ts_guard_mask_of(x, &a.g), *offsets = a.offsets;
    if (offsets == NULL) {
        offsets = tg_build_int(b, tg_type_vec(x->S->out, TG_DT_I64, x->lanes), 0);
    }
    tg_value *ops[4] = {a.ptr, offsets, v, mask};
    tg_op *s = tg_build_op(b, TG_OP_SCATTERM, mask != NULL ? 4 : 3, ops, 0, NULL, 0);
    tg_op_set_int(s, TG_ATTR_BYTES, 1);
    if (mask != NULL) {
        tg_op_set_int(s, TG_ATTR_MASKED, 1);
    }
}

/* ---- atomics ----------------------------------------------------------------------------------
 */

static tg_value *lane_of(ts_ctx *x, tg_value *v, int l) {
    return v == NULL || v->type->kind != TG_TY_VEC ? v : tg_build_extract(&x->b, v, l);
}

static tg_value *lane_ok(ts_ctx *x, const ts_guard *g, int l) {
    tg_value *m = lane_of(x, g->mask, l);
    return g->ok == NULL ? m : m == NULL ? g->ok : tg_build_binary(&x->b, TG_OP_AND, g->ok, m);
}

static tg_value *one_atomic(ts_ctx *x, const tg_op *op, const access *a, int l, ts_ev v,
                            ts_ev want) {
    tg_builder *b = &x->b;
    const tg_type *t = ts_type(x->S, op->results[0].type->dtype, 1);
    tg_value *ptr = a->ptr, *ok = lane_ok(x, &a->g, l);
    bool cas = tg_attr_int(op, TG_ATTR_ATOMIC, 0) == TG_ATOMIC_CAS;
    if (a->offsets != NULL) {
        ptr = tg_build_gep(b, ptr, tg_build_extract(b, a->offsets, l), 1);
    } else if (a->vec && l > 0) {
        ptr = tg_build_gep(b, ptr, tg_build_index(b, l * tg_scratch_elem_bytes(t->dtype)), 1);
    }
    tg_value *x1 = lane_of(x, v.v, l), *x2 = lane_of(x, want.v, l);
    tg_op *branch = tg_build_if(b, ok != NULL ? ok : tg_build_bool(b, true), 1, &t);
    tg_value *old = cas ? tg_build1(b, TG_OP_ATOMICM, t, 3, ptr, x1, x2)
                        : tg_build1(b, TG_OP_ATOMICM, t, 2, ptr, x1);
    tg_op_set_int(old->def, TG_ATTR_ATOMIC, tg_attr_int(op, TG_ATTR_ATOMIC, 0));
    tg_build_else(b, branch, 1, &old);
    tg_value *none = tg_build_int(b, t, 0);
    tg_build_end_if(b, branch, 1, &none);
    return &branch->results[0];
}

ts_ev ts_atomic(ts_ctx *x, tg_op *op, const tg_layout *l, const ts_pos *pos) {
    const tg_type *t = tg_operand(op, 1)->type;
    bool cas = tg_attr_int(op, TG_ATTR_ATOMIC, 0) == TG_ATOMIC_CAS;
    ts_ev v = ts_eval(x, tg_operand(op, 1), pos), want = v, r = {.vec = x->lanes > 1};
    if (cas) {
        want = ts_eval(x, tg_operand(op, 2), pos);
    }
    access a = access_of(x, op, pos);
    ts_guard exchanged = {0};
    ts_holders(x, l, t->rank, t->shape, pos, true, &a.g);
    ts_holders(x, l, t->rank, t->shape, pos, true, &exchanged);
    if (a.packed) {
        ts_unsupported(x->S, op, "atomics on elements of less than a byte");
        return v;
    }
    for (int k = 0; k < x->lanes; k++) {
        tg_value *old = one_atomic(x, op, &a, k, v, want);
        r.v = !r.vec   ? old
              : k == 0 ? tg_build_splat(&x->b, old, x->lanes)
                       : tg_build_insert(&x->b, r.v, old, k);
    }
    if (has_exchange(op)) {
        const ts_buf *u = ts_buf_of(x->S, tg_operand(op, op->n_operands - 1));
        ts_put_at(x, u, NULL, NULL, pos, &exchanged, r);
    }
    return r;
}
