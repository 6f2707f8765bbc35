/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrix products of the tile level: describes operands to tg_emit_dot.
 *
 * An operand is memory where it can be: a scratch buffer, or a window of a tensor read in place,
 * seen through permutes and constant slices. What cannot be proven about a window (it lies inside
 * the tensor, the mask along k has no hole) is tested when the program runs; a window that fails is
 * first copied to scratch with zeros in the gaps, and base and strides are chosen accordingly.
 * Other operands are element sources that evaluate the inlined expression. The accumulator is the
 * result's buffer, or the tensor that the result is stored to.
 */
#include "backends/lower/cpu/dot_call.h"

#include <string.h>

/* Rows of packed weights are many slow streams, which the hardware does not follow. */
enum { STREAM_AHEAD = 512 };

typedef struct source {
    tg_lower *L;
    tg_value *value;
    int batch;
    tg_coord at[TG_MAX_RANK]; /* batch coordinates, then bounds of the two matrix axes */
    tg_need need[2];          /* of the two matrix axes */
    tg_dtype compute;
} source;

/* ---- element sources
 * ------------------------------------------------------------------------------------- */

/* A position that is the same for all lanes; a constant part of it stays apart, so that rows beside
 * one another share the rest of their address. */
static tg_coord uniform_position(tg_value *i) {
    int64_t c;
    const tg_op *op = i->def;
    if (op != NULL && op->code == TG_OP_ADD && tg_value_const_int(tg_operand(op, 1), &c)) {
        return (tg_coord){.v = tg_operand(op, 0),
                          .add = c,
                          .align = tg_known_multiple(i),
                          .v_align = tg_known_multiple(tg_operand(op, 0))};
    }
    int64_t multiple = tg_known_multiple(i);
    return (tg_coord){.v = i, .align = multiple, .v_align = multiple};
}

static tg_value *source_vec(void *user, tg_builder *b, tg_value *i, tg_value *j, bool along_cols,
                            int lanes, tg_value *valid) {
    source *s = (source *)user;
    tg_ctx x = {
        .L = s->L, .lanes = lanes, .valid = lanes > 1 ? valid : NULL, .ahead = STREAM_AHEAD};
    x.bl[0] = *b;
    tg_coord c[TG_MAX_RANK];
    for (int k = 0; k < s->batch; k++) {
        c[k] = s->at[k];
    }
    for (int k = 0; k < 2; k++) {
        tg_coord *p = &c[s->batch + k];
        *p = uniform_position(k == 0 ? i : j);
        if (lanes > 1 && (k == 1) == along_cols) {
            int64_t multiple = tg_known_multiple(k == 0 ? i : j);
            *p = (tg_coord){.v = k == 0 ? i : j, .lane = 1, .align = multiple, .v_align = multiple};
        }
        p->bound = s->at[s->batch + k].bound;
    }
    tg_ev e = tg_elem(&x, s->value, c);
    tg_value *v = tg_ev_vec(&x, e);
    *b = x.bl[0];
    v = tg_expand_convert(b, s->L->mc, v, s->value->type->dtype, s->compute, TG_ROUND_RNE, false);
    if (valid != NULL && lanes > 1) {
        v = tg_build_select(b, tg_build_pmask(b, valid, lanes), v, tg_build_int(b, v->type, 0));
    }
    return v;
}

static void source_spread(void *user, tg_builder *b, tg_value *i, tg_value *j, bool along_cols,
                          int lanes, int step, tg_value **out) {
    source *s = (source *)user;
    tg_ctx x = {.L = s->L, .lanes = lanes};
    x.bl[0] = *b;
    for (int n = 0; n < step; n++) {
        tg_coord c[TG_MAX_RANK];
        memcpy(c, s->at, sizeof(tg_coord) * (size_t)s->batch);
        for (int k = 0; k < 2; k++) {
            bool along = (k == 1) == along_cols;
            int64_t multiple = tg_known_multiple(k == 0 ? i : j);
            c[s->batch + k] = (tg_coord){.v = k == 0 ? i : j,
                                         .add = along ? n : 0,
                                         .lane = along ? step : 0,
                                         .align = along && n > 0 ? 1 : multiple,
                                         .v_align = multiple,
                                         .bound = s->at[s->batch + k].bound};
        }
        tg_value *v = tg_ev_vec(&x, tg_elem(&x, s->value, c));
        out[n] = tg_expand_convert(&x.bl[0], s->L->mc, v, s->value->type->dtype, s->compute,
                                   TG_ROUND_RNE, false);
    }
    *b = x.bl[0];
}

/* ---- operands in memory
 * ------------------------------------------------------------------------------------- */

static void need_true(tg_lower *L, tg_window *p, tg_value *cond) {
    p->ok = p->ok == NULL ? cond : tg_build_binary(&L->b, TG_OP_AND, p->ok, cond);
}

/* Adds the conditions under which index k's window [lo, lo + n) or position lies inside. */
static void window_inside(tg_lower *L, tg_window *p, const tg_index *ix, const tg_tensor *t, int k,
                          bool bounded) {
    tg_builder *b = &L->b;
    tg_value *zero = tg_build_index(b, 0), *dim = t->dim[k];
    if (ix->v->type->kind != TG_TY_SPAN) {
        tg_value *i = tg_build_cast(b, tg_scalar(L, ix->v), TG_DT_I64);
        need_true(L, p, tg_build_cmp(b, TG_CMP_GE, i, zero));
        need_true(L, p, tg_build_cmp(b, TG_CMP_LT, i, dim));
        return;
    }
    const tg_vinfo *s = tg_info(L, ix->v);
    tg_value *n = bounded ? s->len : tg_build_index(b, ix->v->type->shape[0]);
    tg_value *end = tg_build_binary(b, TG_OP_ADD, s->lo, n);
    need_true(L, p, tg_build_cmp(b, TG_CMP_GE, s->lo, zero));
    need_true(
        L, p,
        tg_build_cmp(b, TG_CMP_LE, end, bounded ? dim : tg_build_binary(b, TG_OP_MIN, dim, s->hi)));
}

bool tg_window_of(tg_lower *L, tg_op *op, tg_value *v, tg_window *p, tg_value *k_span) {
    tg_index ix[TG_MAX_RANK];
    tg_value *mask;
    int n = tg_indices(op, ix, &mask);
    tg_tensor *t = tg_tensor_of(L, tg_operand(op, 0));
    bool taken[TG_MAX_RANK] = {false};
    if (mask != NULL || t->elem_bytes == 0) {
        return false;
    }
    for (int k = 0; k < n; k++) {
        bool span = ix[k].v->type->kind == TG_TY_SPAN;
        if ((!span && ix[k].n_axes != 0) || (span && taken[ix[k].axes[0]])) {
            return false;
        }
        if (span) {
            taken[ix[k].axes[0]] = true;
        }
    }
    tg_builder *b = &L->b;
    p->ptr = t->base;
    p->dtype = t->dtype;
    for (int k = 0; k < n; k++) {
        bool span = ix[k].v->type->kind == TG_TY_SPAN, bounded = false;
        if (span) {
            const tg_need *need = &tg_info(L, v)->need[ix[k].axes[0]];
            tg_value *canon = tg_info(L, ix[k].v)->canon;
            bounded = tg_span_is_full(ix[k].v) || canon == k_span ||
                      (need->kind == TG_NEED_SPAN && need->span == canon);
        }
        if (!tg_index_proven(L, op, k, &ix[k], bounded)) {
            window_inside(L, p, &ix[k], t, k, bounded);
        }
        tg_value *first =
            span ? tg_info(L, ix[k].v)->lo : tg_build_cast(b, tg_scalar(L, ix[k].v), TG_DT_I64);
        tg_value *stride =
            t->const_stride[k] >= 0 ? tg_build_index(b, t->const_stride[k]) : t->stride[k];
        p->ptr = tg_build_gep(b, p->ptr, tg_build_binary(b, TG_OP_MUL, first, stride), 1);
        if (span) {
            p->stride[ix[k].axes[0]] = stride;
            p->const_stride[ix[k].axes[0]] = t->const_stride[k];
        }
    }
    return true;
}

/* A cast that the product does anyway when it reads the memory: exact widening, to its own type or
 * to a storage format on the way there. */
static bool exact_widening(tg_dtype from, tg_dtype to) {
    if (!tg_dtype_is_float(from) || !tg_dtype_is_float(to) || !tg_dtype_is_storage(from)) {
        return false;
    }
    return tg_dtype_holds(to, from);
}

static bool plain_memory(tg_lower *L, tg_value *v, tg_window *p, tg_value *k_span) {
    const tg_vinfo *info = tg_info(L, v);
    tg_builder *b = &L->b;
    if (info->kind == TG_V_BUFFER) {
        int64_t bytes = tg_scratch_elem_bytes(v->type->dtype);
        p->ptr = tg_buffer_ptr(L, b, v);
        p->dtype = v->type->dtype;
        for (int a = 0; a < v->type->rank; a++) {
            p->const_stride[a] = info->stride[a] * bytes;
            p->stride[a] = tg_build_index(b, p->const_stride[a]);
        }
        return tg_dtype_bits(v->type->dtype) >= 8;
    }
    if (info->kind == TG_V_LAZY) {
        return tg_window_of(L, v->def, v, p, k_span);
    }
    if (info->kind != TG_V_INLINE || v->def == NULL) {
        return false;
    }
    tg_op *op = v->def;
    tg_window from = {.ok = NULL};
    switch ((int)op->code) {
    case TG_OP_PERMUTE: {
        const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
        if (!plain_memory(L, tg_operand(op, 0), &from, k_span)) {
            return false;
        }
        *p = from;
        for (int r = 0; r < v->type->rank; r++) {
            p->stride[r] = from.stride[axes->list[r]];
            p->const_stride[r] = from.const_stride[axes->list[r]];
        }
        return true;
    }
    case TG_OP_SLICE: {
        const tg_attr *offsets = tg_attr_get(op, TG_ATTR_OFFSETS);
        if (!plain_memory(L, tg_operand(op, 0), p, k_span)) {
            return false;
        }
        for (int r = 0; r < v->type->rank; r++) {
            if (offsets->list[r] != 0) {
                tg_value *off = tg_build_binary(b, TG_OP_MUL, p->stride[r],
                                                tg_build_index(b, offsets->list[r]));
                p->ptr = tg_build_gep(b, p->ptr, off, 1);
            }
        }
        return true;
    }
    case TG_OP_CAST:
        if (!exact_widening(tg_operand(op, 0)->type->dtype, v->type->dtype)) {
            return false;
        }
        return plain_memory(L, tg_operand(op, 0), p, k_span);
    default:
        return false;
    }
}

/* The axis of v along which its evaluation reads consecutive memory, or -1. */
static int unit_axis(tg_lower *L, const tg_value *v, int depth) {
    const tg_vinfo *info = tg_info(L, v);
    if (info->kind == TG_V_BUFFER && depth >= 0) {
        return info->inner;
    }
    tg_op *op = v->def;
    if (op == NULL || depth > 16 || info->kind == TG_V_SCALAR) {
        return -1;
    }
    if (op->code == TG_OP_LOAD) {
        tg_index ix[TG_MAX_RANK];
        tg_value *mask;
        int n = tg_indices(op, ix, &mask);
        return n > 0 && ix[n - 1].n_axes == 1 && ix[n - 1].v->type->kind == TG_TY_SPAN &&
                       !tg_operand(op, 0)->type->strided
                   ? (int)ix[n - 1].axes[0]
                   : -1;
    }
    int best = -1;
    for (int k = 0; k < op->n_operands; k++) {
        const tg_value *from = tg_operand(op, k);
        if (!tg_is_tile(from)) {
            continue;
        }
        int a = unit_axis(L, from, depth + 1);
        const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
        if (a >= 0 && op->code == TG_OP_PERMUTE) {
            for (int r = 0; r < v->type->rank; r++) {
                if (axes->list[r] == a) {
                    return r;
                }
            }
        }
        if (a >= 0 && op->code == TG_OP_BROADCAST) {
            /* repeated elements do not decide the direction */
            a = tg_type_count(from->type) == tg_type_count(v->type) ? (int)axes->list[a] : -1;
        }
        if (a >= 0 && op->code == TG_OP_RESHAPE) {
            a = a == from->type->rank - 1 ? v->type->rank - 1 : a < v->type->rank ? a : -1;
        }
        best = best < 0 ? a : best;
        if (op->code == TG_OP_LOCAL_GATHER) {
            break;
        }
    }
    return best;
}

int tg_unit_axis(tg_lower *L, const tg_value *v, bool own) { return unit_axis(L, v, own ? -1 : 0); }

bool tg_is_zero(const tg_value *v) {
    int64_t i;
    double f;
    if (v->def != NULL && v->def->code == TG_OP_BROADCAST) {
        return tg_is_zero(tg_operand(v->def, 0));
    }
    return (tg_value_const_int(v, &i) && i == 0) ||
           (tg_value_const_float(v, &f) && f == 0 && !__builtin_signbit(f));
}

typedef struct memory {
    tg_lower *L;
    tg_value *base, *row_bytes, *col_bytes, *bounce;
    tg_dtype dtype, compute;
    int unit_cols;
} memory;

/* The factors of a conjunction along one axis: masks of rank 1 under broadcasts and ANDs. */
static int factors_along(const tg_value *m, int axis, const tg_value **out, int n, int max) {
    const tg_op *op = m->def;
    if (m->type->rank == 1 && axis == 0) {
        if (op != NULL && op->code == TG_OP_AND) {
            n = factors_along(tg_operand(op, 0), 0, out, n, max);
            return factors_along(tg_operand(op, 1), 0, out, n, max);
        }
        if (n < max) {
            out[n++] = m;
        }
        return n;
    }
    if (op == NULL) {
        return n;
    }
    if (op->code == TG_OP_AND) {
        n = factors_along(tg_operand(op, 0), axis, out, n, max);
        return factors_along(tg_operand(op, 1), axis, out, n, max);
    }
    if (op->code == TG_OP_BROADCAST) {
        const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
        for (int a = 0; a < tg_operand(op, 0)->type->rank; a++) {
            if (axes->list[a] == axis &&
                tg_operand(op, 0)->type->shape[a] == m->type->shape[axis]) {
                return factors_along(tg_operand(op, 0), a, out, n, max);
            }
        }
    }
    return n;
}

/* Is v surely 0 wherever the mask along `axis` is false? (v = select(m, x, 0) with m including it)
 */
static bool zero_under(tg_lower *L, const tg_value *v, const tg_value *mask, int axis) {
    const tg_value *have[16], *want[16];
    const tg_op *op = v->def;
    (void)L;
    if (op != NULL && op->code == TG_OP_CAST) {
        return zero_under(L, tg_operand(op, 0), mask, axis);
    }
    if (op == NULL || op->code != TG_OP_SELECT || !tg_is_zero(tg_operand(op, 2)) ||
        mask->type->rank != 1) {
        return false;
    }
    int nh = factors_along(tg_operand(op, 0), axis, have, 0, 16),
        nw = factors_along(mask, 0, want, 0, 16);
    for (int i = 0; i < nw; i++) {
        bool found = false;
        for (int k = 0; k < nh; k++) {
            found = found || have[k] == want[i];
        }
        if (!found) {
            return false;
        }
    }
    return nw > 0 && nw < 16 && nh < 16;
}

/* Elements straight from an operand's memory: full vectors, leading lanes, single elements. */
static tg_value *memory_vec(void *user, tg_builder *b, tg_value *i, tg_value *j, bool along_cols,
                            int lanes, tg_value *valid) {
    const memory *m = (const memory *)user;
    tg_lower *L = m->L;
    tg_value *p = tg_build_gep(b, m->base, tg_build_binary(b, TG_OP_MUL, i, m->row_bytes), 1);
    p = tg_build_gep(b, p, tg_build_binary(b, TG_OP_MUL, j, m->col_bytes), 1);
    const tg_type *t = tg_loop_type(L, m->dtype, lanes);
    tg_value *v;
    int64_t bytes = tg_scratch_elem_bytes(m->dtype);
    if (lanes == 1 || (m->unit_cols == (along_cols ? 1 : 0) && valid == NULL)) {
        v = tg_build_loadm(b, t, p, bytes);
    } else if (m->unit_cols == (along_cols ? 1 : 0) && bytes >= 4) {
        v = tg_build1(b, TG_OP_LOADM, t, 3, p, tg_build_pmask(b, valid, lanes),
                      tg_build_int(b, t, 0));
        tg_op_set_int(v->def, TG_ATTR_MASKED, 1);
    } else if (m->unit_cols == (along_cols ? 1 : 0)) {
        /* Narrow lanes have no masked load: the bytes that exist go through a cleared block. */
        tg_value *n = tg_build_binary(b, TG_OP_MIN, valid, tg_build_index(b, lanes));
        n = tg_build_binary(b, TG_OP_MUL, tg_build_binary(b, TG_OP_MAX, n, tg_build_index(b, 0)),
                            tg_build_index(b, bytes));
        tg_build_storem(b, m->bounce, tg_build_int(b, t, 0), bytes);
        tg_value *copy[3] = {m->bounce, p, n};
        tg_build_op(b, TG_OP_MEMCPY, 3, copy, 0, NULL, 0);
        v = tg_build_loadm(b, t, m->bounce, bytes);
    } else {
        const tg_type *it = tg_type_vec(L->out, TG_DT_I64, lanes);
        tg_value *step = tg_build_splat(b, along_cols ? m->col_bytes : m->row_bytes, lanes);
        tg_value *index = tg_build_binary(b, TG_OP_MUL, tg_build1(b, TG_OP_LANES, it, 0), step);
        tg_value *zero = tg_build_int(b, t, 0);
        v = valid == NULL ? tg_build1(b, TG_OP_GATHERM, t, 3, p, index, zero)
                          : tg_build1(b, TG_OP_GATHERM, t, 4, p, index, zero,
                                      tg_build_pmask(b, valid, lanes));
        tg_op_set_int(v->def, TG_ATTR_BYTES, 1);
        if (valid != NULL) {
            tg_op_set_int(v->def, TG_ATTR_MASKED, 1);
        }
    }
    return tg_expand_convert(b, L->mc, v, m->dtype, m->compute, TG_ROUND_RNE, false);
}

static void from_memory(tg_lower *L, const tg_window *p, int batch, const source *s, memory *m,
                        tg_dot_operand *o) {
    int64_t bytes = tg_scratch_elem_bytes(p->dtype);
    tg_builder *b = &L->b;
    o->base = p->ptr;
    o->dtype = p->dtype;
    o->row_bytes = p->stride[batch];
    o->col_bytes = p->stride[batch + 1];
    for (int k = 0; k < batch; k++) {
        o->base =
            tg_build_gep(b, o->base, tg_build_binary(b, TG_OP_MUL, s->at[k].v, p->stride[k]), 1);
    }
    o->unit_cols = p->const_stride[batch + 1] == bytes ? 1
                   : p->const_stride[batch] == bytes   ? 0
                                                       : -1;
    o->cheap = true;
    *m = (memory){.L = L,
                  .base = o->base,
                  .row_bytes = o->row_bytes,
                  .col_bytes = o->col_bytes,
                  .dtype = o->dtype,
                  .compute = s->compute,
                  .unit_cols = o->unit_cols,
                  .bounce = L->zeros};
    if (bytes < 4) {
        m->bounce = tg_build1(&L->entry, TG_OP_ALLOCA, tg_type_ptr(L->out), 0);
        tg_op_set_int(m->bounce->def, TG_ATTR_BYTES, 256);
        tg_op_set_int(m->bounce->def, TG_ATTR_ALIGN, 64);
    }
    o->vec = memory_vec;
    o->user = m;
}

/* Copies v to scratch where `use` is false, zero where the mask along k is, and lets p choose. */
static void copy_unless(tg_lower *L, tg_value *v, tg_value *use, tg_value *mask, int k_axis,
                        int unit, tg_window *p) {
    tg_builder *b = &L->b;
    tg_value *tmp = tg_temp_buffer(L, v, unit);
    const tg_vinfo *info = tg_info(L, tmp);
    tg_op *branch = NULL;
    if (use != NULL) {
        branch = tg_build_if(b, use, 0, NULL);
        tg_build_else(b, branch, 0, NULL);
    }
    tg_emit_masked_copy(L, v, tmp, mask, k_axis);
    if (branch != NULL) {
        tg_build_end_if(b, branch, 0, NULL);
    }
    int64_t bytes = tg_scratch_elem_bytes(v->type->dtype);
    tg_value *ptr = tg_buffer_ptr(L, b, tmp);
    p->ptr = use == NULL ? ptr : tg_build_select(b, use, p->ptr, ptr);
    for (int a = 0; a < v->type->rank; a++) {
        int64_t own = info->stride[a] * bytes;
        tg_value *s = tg_build_index(b, own);
        p->const_stride[a] = use == NULL || p->const_stride[a] == own ? own : -1;
        p->stride[a] =
            use == NULL || p->const_stride[a] == own ? s : tg_build_select(b, use, p->stride[a], s);
    }
    p->dtype = v->type->dtype;
}

typedef struct k_mask {
    tg_value *mask;   /* rank 1 or [batch.., k], in a buffer; NULL: a prefix only */
    tg_value *source; /* the mask as the program wrote it */
    tg_value *all;    /* bool: true everywhere (rank 1 masks) */
} k_mask;

/* The elements v is computed from have at most 8 bits: most of the work is done in their width. */
static bool from_bytes(tg_lower *L, tg_value *v, int depth) {
    if (tg_dtype_bits(v->type->dtype) <= 8) {
        return true;
    }
    tg_op *op = v->def;
    if (op == NULL || depth == 0 || tg_info(L, v)->kind != TG_V_INLINE || op->n_regions > 0) {
        return false;
    }
    for (int i = 0; i < op->n_operands && op->code != TG_OP_LOAD; i++) {
        const tg_value *x = tg_operand(op, i);
        if (x->type->kind == TG_TY_TILE && x->type->rank > 0 &&
            from_bytes(L, tg_operand(op, i), depth - 1)) {
            return true;
        }
    }
    return false;
}

/* Is v computed along `axis` from packed elements alone, lane by lane? Then vectors of every
 * step-th element come straight out of words. -1: no; else how many packed loads run along it. */
static int spread_loads(tg_lower *L, const tg_value *v, int axis, int depth) {
    const tg_op *op = v->def;
    if (!tg_is_tile(v) || axis < 0 || v->type->shape[axis] == 1) {
        return 0;
    }
    uint8_t kind = tg_info(L, v)->kind;
    if (op == NULL || depth == 0 || (kind != TG_V_INLINE && kind != TG_V_LAZY)) {
        return -1;
    }
    if (op->code == TG_OP_CONST_INT || op->code == TG_OP_CONST_FLOAT) {
        return 0;
    }
    if (op->code == TG_OP_LOAD) {
        tg_index ix[TG_MAX_RANK];
        tg_value *mask;
        int n = tg_indices(op, ix, &mask), found = -1;
        for (int k = 0; k < n; k++) {
            for (int a = 0; a < ix[k].n_axes; a++) {
                found = ix[k].axes[a] == axis ? k : found;
            }
        }
        bool packed = tg_dtype_bits(v->type->dtype) == 4;
        return found < 0 ? 0
               : found == n - 1 && packed && mask == NULL && ix[found].v->type->kind == TG_TY_SPAN
                   ? 1
                   : -1;
    }
    bool elementwise = (tg_op_info_get(op->code)->flags & TG_OPF_ELEMENTWISE) != 0;
    if (!elementwise && op->code != TG_OP_PERMUTE && op->code != TG_OP_BROADCAST) {
        return -1;
    }
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    int sum = 0;
    for (int i = 0; i < op->n_operands; i++) {
        const tg_value *from = tg_operand(op, i);
        int at = elementwise ? axis : op->code == TG_OP_PERMUTE ? (int)axes->list[axis] : -1;
        for (int a = 0; op->code == TG_OP_BROADCAST && a < from->type->rank; a++) {
            at = axes->list[a] == axis ? a : at;
        }
        int own = spread_loads(L, from, at, depth - 1);
        if (own < 0) {
            return -1;
        }
        sum += own;
    }
    return sum;
}

static void fill_operand(tg_lower *L, tg_value *v, source *s, memory *m, tg_dot_operand *o,
                         const k_mask *km, int k_axis, tg_value *k_span) {
    int batch = s->batch;
    while (v->def != NULL && v->def->code == TG_OP_CAST && tg_info(L, v)->kind == TG_V_INLINE &&
           exact_widening(tg_operand(v->def, 0)->type->dtype, v->type->dtype)) {
        v = tg_operand(v->def, 0);
    }
    s->value = v;
    *o = (tg_dot_operand){.vec = source_vec,
                          .user = s,
                          .unit_cols = -1,
                          .dtype = v->type->dtype,
                          .ranged = tg_dtype_is_int(v->type->dtype),
                          .range = tg_int_range(v)};
    o->narrow = tg_dtype_is_float(s->compute) && from_bytes(L, v, 6);
    tg_window p = {.ok = NULL};
    int unit = unit_axis(L, v, 0);
    tg_value *mask =
        km->mask != NULL && !zero_under(L, v, km->source, batch + k_axis) ? km->mask : NULL;
    bool packed = tg_dtype_bits(v->type->dtype) < 8,
         direct = !packed && plain_memory(L, v, &p, k_span);
    if (batch == 0 && (mask != NULL || (direct && p.ok != NULL))) {
        /* Memory behind a cast below a permute is of another type than the copy: no choice then. */
        bool same = direct && p.dtype == v->type->dtype;
        tg_value *use = same ? p.ok : NULL;
        if (same && mask != NULL) {
            use = use == NULL ? km->all : tg_build_binary(&L->b, TG_OP_AND, use, km->all);
        }
        bool contracted =
            k_span != NULL; /* then the window is as long as the whole loop: no copy */
        if (!contracted) {
            copy_unless(L, v, use, mask, k_axis, unit >= 0 ? unit : v->type->rank - 1, &p);
            p.ok = NULL;
            direct = true;
        }
    }
    if (direct && p.ok == NULL && (batch == 0 || mask == NULL)) {
        from_memory(L, &p, batch, s, m, o);
        return;
    }
    o->unit_cols = unit == batch + 1 ? 1 : unit == batch ? 0 : -1;
    o->cheap = tg_expression_size(L, v, 0) <= 3;
    if (batch == 0 && km->mask == NULL) {
        tg_need need[2] = {s->need[1 - k_axis], s->need[k_axis]};
        o->codes = tg_operand_codes(L, v, k_axis, need);
    }
    if (tg_dtype_is_float(s->compute) && spread_loads(L, v, batch + k_axis, 8) > 0) {
        o->spread = source_spread;
    }
}

/* ---- the masked axis
 * ------------------------------------------------------------------------------------------ */

/* Length of the prefix that a mask is, as an i64; NULL when it is not just a prefix. */
static tg_value *prefix_length(tg_lower *L, tg_value *mask) {
    tg_op *op = mask->def;
    tg_builder *b = &L->b;
    if (op == NULL || tg_info(L, mask)->kind != TG_V_INLINE) {
        return NULL;
    }
    if (op->code == TG_OP_SPAN_MASK) {
        return tg_info(L, tg_operand(op, 0))->len;
    }
    if (op->code == TG_OP_PRESENT && tg_operand(op, 0)->type->kind == TG_TY_SPAN &&
        tg_prove_nonneg(tg_operand(tg_operand(op, 0)->def, 0))) {
        const tg_vinfo *s = tg_info(L, tg_operand(op, 0));
        tg_value *room = tg_build_binary(b, TG_OP_SUB, tg_scalar(L, tg_operand(op, 1)), s->lo);
        room = tg_build_binary(b, TG_OP_MIN, room, s->len);
        return tg_build_binary(b, TG_OP_MAX, room, tg_build_index(b, 0));
    }
    if (op->code == TG_OP_AND) {
        tg_value *x = prefix_length(L, tg_operand(op, 0)), *y = prefix_length(L, tg_operand(op, 1));
        return x == NULL || y == NULL ? NULL : tg_build_binary(b, TG_OP_MIN, x, y);
    }
    if (op->code == TG_OP_BROADCAST && tg_operand(op, 0)->type->rank == 1 &&
        tg_attr_get(op, TG_ATTR_AXES)->list[0] == mask->type->rank - 1 &&
        tg_operand(op, 0)->type->shape[0] == mask->type->shape[mask->type->rank - 1]) {
        return prefix_length(L, tg_operand(op, 0));
    }
    if (op->code == TG_OP_BROADCAST && tg_type_is_scalar(tg_operand(op, 0)->type)) {
        tg_value *n = tg_build_index(b, mask->type->shape[mask->type->rank - 1]);
        return tg_build_select(b, tg_scalar(L, tg_operand(op, 0)), n, tg_build_index(b, 0));
    }
    int64_t c;
    return tg_value_const_int(mask, &c) && c != 0
               ? tg_build_index(b, mask->type->shape[mask->type->rank - 1])
               : NULL;
}

tg_value *tg_temp_buffer(tg_lower *L, tg_value *v, int inner) {
    tg_value *t = TG_NEW(L->arena, tg_value);
    *t = *v;
    t->id = (uint32_t)(L->n_info++);
    tg_vinfo *info = tg_info(L, t);
    *info = (tg_vinfo){.kind = TG_V_BUFFER, .inner = inner};
    int64_t stride = tg_round_up_i64(v->type->shape[inner], L->lanes);
    info->stride[inner] = 1;
    for (int a = v->type->rank - 1; a >= 0; a--) {
        info->need[a] = tg_info(L, v)->need[a];
        if (a != inner) {
            info->stride[a] = stride;
            stride *= v->type->shape[a];
        }
    }
    info->bytes = (stride + L->lanes) * tg_scratch_elem_bytes(v->type->dtype);
    info->offset = L->scratch.used;
    (void)tg_scratch_take(&L->scratch, &L->b, info->bytes);
    return t;
}

/* ---- transposed products
 * --------------------------------------------------------------------------------------- */

/* An operand with its two axes exchanged. */
static tg_value *exchanged_vec(void *user, tg_builder *b, tg_value *i, tg_value *j, bool along_cols,
                               int lanes, tg_value *valid) {
    const tg_dot_operand *o = (const tg_dot_operand *)user;
    return o->vec(o->user, b, j, i, !along_cols, lanes, valid);
}

static void exchanged_spread(void *user, tg_builder *b, tg_value *i, tg_value *j, bool along_cols,
                             int lanes, int step, tg_value **out) {
    const tg_dot_operand *o = (const tg_dot_operand *)user;
    o->spread(o->user, b, j, i, !along_cols, lanes, step, out);
}

static tg_dot_operand exchanged(tg_lower *L, const tg_dot_operand *o) {
    tg_dot_operand *keep = TG_NEW(L->arena, tg_dot_operand), r = *o;
    *keep = *o;
    r.vec = exchanged_vec;
    r.spread = o->spread == NULL ? NULL : exchanged_spread;
    r.user = keep;
    r.unit_cols = o->unit_cols < 0 ? -1 : 1 - o->unit_cols;
    r.row_bytes = o->col_bytes;
    r.col_bytes = o->row_bytes;
    return r;
}

/* C = A B as C^T = B^T A^T: for results laid out by columns. */
static void transpose_product(tg_lower *L, tg_dot_desc *d) {
    tg_dot_operand a = exchanged(L, &d->b), b = exchanged(L, &d->a);
    int64_t m = d->m;
    tg_value *m_len = d->m_len;
    d->a = a;
    d->b = b;
    d->m = d->n;
    d->n = m;
    d->m_len = d->n_len;
    d->n_len = m_len;
}

/* ---- one product
 * ---------------------------------------------------------------------------------------------- */

/* Does the loop around come next to what follows v's memory along this axis? */
static bool goes_on(tg_value *v, int axis) {
    while (v->def != NULL && (v->def->code == TG_OP_CAST || v->def->code == TG_OP_PERMUTE)) {
        axis =
            v->def->code == TG_OP_CAST ? axis : (int)tg_attr_get(v->def, TG_ATTR_AXES)->list[axis];
        v = tg_operand(v->def, 0);
    }
    tg_index ix[TG_MAX_RANK];
    tg_value *mask;
    int n = v->def != NULL && v->def->code == TG_OP_LOAD ? tg_indices(v->def, ix, &mask) : 0;
    for (int k = 0; k < n; k++) {
        if (ix[k].v->type->kind == TG_TY_SPAN && ix[k].axes[0] == axis) {
            const tg_value *lo = tg_operand(ix[k].v->def, 0);
            return lo->def == NULL && lo->region->parent != NULL && lo->index == 0 &&
                   lo->region->parent->code == TG_OP_FOR;
        }
    }
    return false;
}

static tg_need axis_need(const tg_lower *L, const tg_value *v, int axis) {
    return tg_info(L, v)->need[axis];
}

/* Sums in the memory that the result is stored to, where the program's part of it is whole vectors
 * of rows: decided when it runs, by address and pitch. */
static void sum_in_place(tg_lower *L, tg_product *p, tg_dot_desc *d) {
    tg_builder *b = &L->b;
    tg_window w = {.ok = NULL};
    int64_t bytes = tg_scratch_elem_bytes(d->compute), vector = L->mc->vector_bytes / bytes;
    if (d->n < 2 * vector || vector % 4 != 0 || !tg_window_of(L, p->store, p->result, &w, NULL) ||
        w.dtype != d->compute || w.const_stride[1] != bytes) {
        return;
    }
    tg_value *last = tg_build_binary(b, TG_OP_AND, d->n_len, tg_build_index(b, vector - 1));
    tg_value *whole = tg_build_cmp(b, TG_CMP_EQ, last, tg_build_index(b, 0));
    p->in_place = w.ok == NULL ? whole : tg_build_binary(b, TG_OP_AND, w.ok, whole);
    d->acc = tg_build_select(b, p->in_place, w.ptr, d->acc);
    d->acc_row_bytes =
        tg_build_select(b, p->in_place, w.stride[0], tg_build_index(b, d->acc_pitch * bytes));
}

static void one_product(tg_lower *L, tg_product *p, const tg_coord *batch_at, int batch,
                        const k_mask *km, tg_value *k_len, tg_need k_need) {
    tg_builder *b = &L->b;
    const tg_type *rt = p->result->type;
    tg_vinfo *ri = tg_info(L, p->result);
    source sa = {.L = L, .value = p->a, .batch = batch},
           sb = {.L = L, .value = p->b, .batch = batch};
    tg_need m_need = axis_need(L, p->result, batch), n_need = axis_need(L, p->result, batch + 1);
    for (int k = 0; k < batch; k++) {
        sa.at[k] = sb.at[k] = batch_at[k];
    }
    tg_value *k_bound = p->k_span != NULL             ? p->k_span
                        : k_need.kind == TG_NEED_SPAN ? k_need.span
                                                      : NULL;
    tg_need along_k = {.kind = k_bound != NULL ? TG_NEED_SPAN : TG_NEED_FULL, .span = k_bound};
    sa.need[0] = m_need;
    sa.need[1] = sb.need[0] = along_k;
    sb.need[1] = n_need;
    sa.at[batch].bound = m_need.kind == TG_NEED_SPAN ? m_need.span : NULL;
    sa.at[batch + 1].bound = k_bound;
    sb.at[batch].bound = k_bound;
    sb.at[batch + 1].bound = n_need.kind == TG_NEED_SPAN ? n_need.span : NULL;
    tg_dot_desc d = {.m = rt->shape[batch], .n = rt->shape[batch + 1], .compute = rt->dtype};
    d.k = p->k_len != NULL ? 0 : p->a->type->shape[batch + 1];
    sa.compute = sb.compute = d.compute;
    d.m_len = tg_trip(L, d.m, &m_need);
    d.n_len = tg_trip(L, d.n, &n_need);
    d.k_len = k_len;
    memory *ma = TG_NEW(L->arena, memory), *mb = TG_NEW(L->arena, memory);
    fill_operand(L, p->a, &sa, ma, &d.a, km, 1, p->k_span);
    fill_operand(L, p->b, &sb, mb, &d.b, km, 0, p->k_span);
    d.a.goes_on = d.k > 0 && goes_on(p->a, batch + 1);
    d.b.goes_on = d.k > 0 && goes_on(p->b, batch);
    int64_t bytes = tg_scratch_elem_bytes(rt->dtype);
    d.acc = tg_buffer_ptr(L, b, p->result);
    bool by_columns = ri->inner == batch;
    d.acc_pitch = ri->stride[by_columns ? batch + 1 : batch];
    if (by_columns) {
        transpose_product(L, &d);
    }
    d.acc_zero = p->zero;
    if (p->store != NULL && !by_columns) {
        sum_in_place(L, p, &d);
    }
    for (int k = 0; k < batch; k++) {
        d.acc = tg_build_gep(b, d.acc, batch_at[k].v, ri->stride[k] * bytes);
    }
    if (km->mask != NULL && batch > 0) { /* holes are left to the product */
        const tg_vinfo *mi = tg_info(L, km->mask);
        d.kmask = tg_buffer_ptr(L, b, km->mask);
        for (int k = 0; k < batch && km->mask->type->rank == batch + 1; k++) {
            d.kmask = tg_build_gep(b, d.kmask, batch_at[k].v, mi->stride[k]);
        }
    }
    tg_status s = tg_emit_dot(b, L->mc, &L->scratch, &d, L->sink);
    if (s != TG_OK) {
        L->status = s;
    }
}

/* Are the first n bytes of a rank-1 mask buffer all 1? */
static tg_value *all_true(tg_lower *L, tg_value *mask, tg_value *n) {
    tg_ctx x = tg_ctx_begin(L, 1);
    tg_value *count = tg_build_index(&x.bl[0], 0), *iv;
    tg_op *loop = tg_ctx_open(&x, count, n, 1, 1, &count, &iv);
    tg_coord c = {.v = iv, .level = x.depth, .align = 1};
    tg_value *on = tg_buffer_read(&x, mask, &c).v;
    count = tg_build_binary(&x.bl[x.depth], TG_OP_ADD, count,
                            tg_build_cast(&x.bl[x.depth], on, TG_DT_I64));
    tg_ctx_close(&x, loop, 1, &count);
    tg_value *r = tg_build_cmp(&x.bl[0], TG_CMP_EQ, count, n);
    tg_ctx_end(&x);
    return r;
}

void tg_emit_product(tg_lower *L, tg_product *p) {
    tg_op *op = p->op;
    tg_builder *b = &L->b;
    int batch = (int)tg_attr_int(op, TG_ATTR_BATCH, 0);
    tg_value *mask = tg_attr_int(op, TG_ATTR_MASKED, 0) ? tg_operand(op, op->n_operands - 1) : NULL;
    tg_value *k_len = p->k_len;
    k_mask km = {NULL, NULL, NULL};
    int64_t mark = L->scratch.used, k = p->a->type->shape[batch + 1];
    tg_need k_need = {.kind = TG_NEED_FULL};
    if (k_len == NULL) {
        tg_value *span = mask == NULL ? NULL : tg_mask_span(L, mask, mask->type->rank - 1);
        if (span != NULL && !tg_span_is_full(span)) {
            k_need = (tg_need){.kind = TG_NEED_SPAN, .span = span};
        }
        k_len = mask == NULL ? tg_build_index(b, k) : prefix_length(L, mask);
        if (k_len == NULL) {
            k_len = tg_trip(L, k, &k_need);
            km.mask = km.source = mask;
            if (tg_info(L, mask)->kind != TG_V_BUFFER ||
                tg_info(L, mask)->inner != mask->type->rank - 1) {
                tg_value *copy = tg_temp_buffer(L, mask, mask->type->rank - 1);
                tg_emit_materialise(L, mask, copy);
                km.mask = copy;
            }
            if (batch == 0) {
                km.all = all_true(L, km.mask, k_len);
            }
        }
    }
    tg_coord at[TG_MAX_RANK];
    tg_op *loops[TG_MAX_RANK];
    for (int i = 0; i < batch; i++) {
        tg_value *iv;
        tg_need need = axis_need(L, p->result, i);
        loops[i] =
            tg_build_for(b, tg_build_index(b, 0), tg_trip(L, p->result->type->shape[i], &need),
                         tg_build_index(b, 1), 0, NULL, &iv);
        at[i] =
            (tg_coord){.v = iv, .align = 1, .bound = need.kind == TG_NEED_SPAN ? need.span : NULL};
    }
    one_product(L, p, at, batch, &km, k_len, k_need);
    for (int i = batch - 1; i >= 0; i--) {
        tg_build_end_for(b, loops[i], 0, NULL);
    }
    L->scratch.used = mark;
}

void tg_emit_dot_op(tg_lower *L, tg_op *op) {
    tg_value *r = &op->results[0], *acc = tg_operand(op, 2);
    if (tg_info(L, r)->kind == TG_V_DEAD) {
        return;
    }
    tg_product p = {.op = op,
                    .a = tg_operand(op, 0),
                    .b = tg_operand(op, 1),
                    .result = r,
                    .zero = tg_is_zero(acc)};
    if (!p.zero) {
        tg_emit_copy(L, acc, r);
    }
    tg_emit_product(L, &p);
}
