/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrix products of the tile level: describes operands to tg_emit_dot.
 *
 * An operand is memory where it can be (a scratch buffer, a tensor read in place, seen through
 * permutes and constant slices), else an element source that evaluates the inlined expression.
 * The accumulator is the result's buffer. A loop whose whole body is products along its own span
 *
 *   for k: K by BK { acc += a[i, k] @ b[k, j] }
 *
 * is contracted: one product over all of K, so that blocking along K is the product's own affair
 * (and a matrix-vector product streams its weights once).
 */
#include "backends/lower/cpu/lower.h"

typedef struct source {
    tg_lower *L;
    tg_value *value;
    int batch;
    tg_coord at[TG_MAX_RANK]; /* batch coordinates, then bounds of the two matrix axes */
    tg_dtype compute;
} source;

/* ---- element sources ------------------------------------------------------------------------------------- */

static tg_value *source_vec(void *user, tg_builder *b, tg_value *i, tg_value *j, bool along_cols,
                            int lanes, tg_value *valid) {
    source *s = (source *)user;
    tg_ctx x = {.L = s->L, .lanes = lanes, .valid = lanes > 1 ? valid : NULL};
    x.bl[0] = *b;
    tg_coord c[TG_MAX_RANK];
    for (int k = 0; k < s->batch; k++) {
        c[k] = s->at[k];
    }
    for (int k = 0; k < 2; k++) {
        c[s->batch + k] = (tg_coord){.v = k == 0 ? i : j,
                                     .lane = lanes > 1 && (k == 1) == along_cols,
                                     .align = 1,
                                     .bound = s->at[s->batch + k].bound};
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

/* ---- operands in memory ------------------------------------------------------------------------------------- */

typedef struct plain {
    tg_value *ptr;
    tg_value *stride[TG_MAX_RANK];      /* bytes */
    int64_t const_stride[TG_MAX_RANK];  /* or -1 */
    tg_dtype dtype;
} plain;

static bool plain_load(tg_lower *L, tg_value *v, plain *p) {
    tg_op *op = v->def;
    tg_index ix[TG_MAX_RANK];
    tg_value *mask;
    int n = tg_indices(op, ix, &mask);
    tg_tensor *t = tg_tensor_of(L, tg_operand(op, 0));
    if (mask != NULL || t->elem_bytes == 0) {
        return false;
    }
    bool taken[TG_MAX_RANK] = {false};
    tg_builder *b = &L->b;
    p->ptr = t->base;
    p->dtype = t->dtype;
    for (int k = 0; k < n; k++) {
        bool span = ix[k].v->type->kind == TG_TY_SPAN;
        bool bounded = false;
        if (span) {
            const tg_need *need = &tg_info(L, v)->need[ix[k].axes[0]];
            bounded = tg_span_is_full(ix[k].v) ||
                      (need->kind == TG_NEED_SPAN && need->span == tg_info(L, ix[k].v)->canon);
        }
        if ((!span && ix[k].n_axes != 0) || !tg_index_proven(L, op, k, &ix[k], bounded)) {
            return false;
        }
    }
    for (int k = 0; k < n; k++) {
        bool span = ix[k].v->type->kind == TG_TY_SPAN;
        tg_value *first = span ? tg_info(L, ix[k].v)->lo
                               : tg_build_cast(b, tg_scalar(L, ix[k].v), TG_DT_I64);
        tg_value *stride = t->const_stride[k] >= 0 ? tg_build_index(b, t->const_stride[k]) : t->stride[k];
        p->ptr = tg_build_gep(b, p->ptr, tg_build_binary(b, TG_OP_MUL, first, stride), 1);
        if (span) {
            int axis = (int)ix[k].axes[0];
            if (taken[axis]) {
                return false;
            }
            taken[axis] = true;
            p->stride[axis] = stride;
            p->const_stride[axis] = t->const_stride[k];
        }
    }
    return true;
}

/* A cast that the product does anyway when it reads the memory: exact widening. */
static bool exact_widening(tg_dtype from, tg_dtype to) {
    if (tg_dtype_is_float(from) && tg_dtype_is_float(to)) {
        return tg_dtype_is_storage(from) && (to == TG_DT_F32 || to == TG_DT_F64);
    }
    return false;
}

static bool plain_memory(tg_lower *L, tg_value *v, plain *p) {
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
        return plain_load(L, v, p);
    }
    if (info->kind != TG_V_INLINE || v->def == NULL) {
        return false;
    }
    tg_op *op = v->def;
    plain from;
    switch ((int)op->code) {
    case TG_OP_PERMUTE: {
        const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
        if (!plain_memory(L, tg_operand(op, 0), &from)) {
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
        if (!plain_memory(L, tg_operand(op, 0), p)) {
            return false;
        }
        for (int r = 0; r < v->type->rank; r++) {
            if (offsets->list[r] != 0) {
                tg_value *off = tg_build_binary(b, TG_OP_MUL, p->stride[r], tg_build_index(b, offsets->list[r]));
                p->ptr = tg_build_gep(b, p->ptr, off, 1);
            }
        }
        return true;
    }
    case TG_OP_CAST:
        if (!exact_widening(tg_operand(op, 0)->type->dtype, v->type->dtype)) {
            return false;
        }
        return plain_memory(L, tg_operand(op, 0), p);
    default:
        return false;
    }
}

/* The axis of v along which its evaluation reads consecutive memory, or -1. */
static int unit_axis(tg_lower *L, const tg_value *v, int depth) {
    const tg_vinfo *info = tg_info(L, v);
    if (info->kind == TG_V_BUFFER) {
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
            a = from->type->shape[a] > 1 ? (int)axes->list[a] : -1;
        }
        if (a >= 0 && op->code == TG_OP_RESHAPE) {
            a = a == from->type->rank - 1 ? v->type->rank - 1 : a < v->type->rank ? a : -1;
        }
        best = a >= 0 && (best < 0 || from->type->rank == v->type->rank) ? a : best;
        if (op->code == TG_OP_LOCAL_GATHER) {
            break;
        }
    }
    return best;
}

static int expression_size(tg_lower *L, const tg_value *v, int depth) {
    uint8_t kind = tg_info(L, v)->kind;
    if (kind != TG_V_INLINE || v->def == NULL || depth > 8) {
        return 1;
    }
    int n = tg_is_view(v->def->code) ? 0 : 1;
    n += v->def->code == TG_OP_MATH ? 10 : 0;
    for (int k = 0; k < v->def->n_operands; k++) {
        n += expression_size(L, tg_operand(v->def, k), depth + 1);
    }
    return n;
}

static void fill_operand(tg_lower *L, tg_value *v, source *s, tg_dot_operand *o) {
    int batch = s->batch;
    *o = (tg_dot_operand){.vec = source_vec, .user = s, .unit_cols = -1, .dtype = v->type->dtype};
    plain p;
    if (plain_memory(L, v, &p)) {
        o->base = p.ptr;
        o->dtype = p.dtype;
        o->row_bytes = p.stride[batch];
        o->col_bytes = p.stride[batch + 1];
        for (int k = 0; k < batch; k++) {
            tg_value *at = s->at[k].v;
            o->base = tg_build_gep(&L->b, o->base, tg_build_binary(&L->b, TG_OP_MUL, at, p.stride[k]), 1);
        }
        int64_t bytes = tg_scratch_elem_bytes(p.dtype);
        o->unit_cols = p.const_stride[batch + 1] == bytes ? 1 : p.const_stride[batch] == bytes ? 0 : -1;
        o->cheap = true;
        return;
    }
    int a = unit_axis(L, v, 0);
    o->unit_cols = a == batch + 1 ? 1 : a == batch ? 0 : -1;
    o->cheap = expression_size(L, v, 0) <= 3;
}

/* ---- the masked axis ------------------------------------------------------------------------------------------ */

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
    int64_t c;
    return tg_value_const_int(mask, &c) && c != 0
               ? tg_build_index(b, mask->type->shape[mask->type->rank - 1])
               : NULL;
}

tg_value *tg_temp_buffer(tg_lower *L, tg_value *v) {
    tg_value *t = TG_NEW(L->arena, tg_value);
    *t = *v;
    t->id = (uint32_t)(L->n_info++);
    tg_vinfo *info = tg_info(L, t);
    *info = (tg_vinfo){.kind = TG_V_BUFFER, .inner = v->type->rank - 1};
    int64_t stride = 1;
    for (int a = v->type->rank - 1; a >= 0; a--) {
        info->need[a] = (tg_need){.kind = TG_NEED_FULL};
        info->stride[a] = stride;
        stride *= v->type->shape[a];
    }
    info->bytes = (stride + L->lanes) * tg_scratch_elem_bytes(v->type->dtype);
    info->offset = L->scratch.used;
    (void)tg_scratch_take(&L->scratch, &L->b, info->bytes);
    return t;
}

/* ---- one product ---------------------------------------------------------------------------------------------- */

static bool is_zero(const tg_value *v) {
    int64_t i;
    double f;
    if (v->def != NULL && v->def->code == TG_OP_BROADCAST) {
        return is_zero(tg_operand(v->def, 0));
    }
    return (tg_value_const_int(v, &i) && i == 0) ||
           (tg_value_const_float(v, &f) && f == 0 && !__builtin_signbit(f));
}

typedef struct product {
    tg_op *op;
    tg_value *a, *b, *result;
    tg_value *k_len;  /* contracted: whole range; else NULL */
    tg_value *k_span; /* contracted: the loop's span (canonical) */
    bool zero;
} product;

static tg_need axis_need(const tg_lower *L, const tg_value *v, int axis) { return tg_info(L, v)->need[axis]; }

static void one_product(tg_lower *L, const product *p, const tg_coord *batch_at, int batch, tg_value *mask_buffer,
                        tg_value *k_len, tg_need k_need) {
    tg_builder *b = &L->b;
    const tg_type *rt = p->result->type;
    tg_vinfo *ri = tg_info(L, p->result);
    source sa = {.L = L, .value = p->a, .batch = batch}, sb = {.L = L, .value = p->b, .batch = batch};
    tg_need m_need = axis_need(L, p->result, batch), n_need = axis_need(L, p->result, batch + 1);
    for (int k = 0; k < batch; k++) {
        sa.at[k] = sb.at[k] = batch_at[k];
    }
    tg_value *k_bound = p->k_span != NULL ? p->k_span : k_need.kind == TG_NEED_SPAN ? k_need.span : NULL;
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
    fill_operand(L, p->a, &sa, &d.a);
    fill_operand(L, p->b, &sb, &d.b);
    int64_t bytes = tg_scratch_elem_bytes(rt->dtype);
    d.acc = tg_buffer_ptr(L, b, p->result);
    d.acc_pitch = ri->stride[batch];
    d.acc_zero = p->zero;
    for (int k = 0; k < batch; k++) {
        d.acc = tg_build_gep(b, d.acc, batch_at[k].v, ri->stride[k] * bytes);
    }
    if (mask_buffer != NULL) {
        const tg_vinfo *mi = tg_info(L, mask_buffer);
        d.kmask = tg_buffer_ptr(L, b, mask_buffer);
        for (int k = 0; k < batch && mask_buffer->type->rank == batch + 1; k++) {
            d.kmask = tg_build_gep(b, d.kmask, batch_at[k].v, mi->stride[k]);
        }
    }
    tg_status s = tg_emit_dot(b, L->mc, &L->scratch, &d, L->sink);
    if (s != TG_OK) {
        L->status = s;
    }
}

static void emit_product(tg_lower *L, const product *p) {
    tg_op *op = p->op;
    tg_builder *b = &L->b;
    int batch = (int)tg_attr_int(op, TG_ATTR_BATCH, 0);
    tg_value *mask = tg_attr_int(op, TG_ATTR_MASKED, 0) ? tg_operand(op, op->n_operands - 1) : NULL;
    tg_value *k_len = p->k_len, *mask_buffer = NULL;
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
            mask_buffer = mask;
            if (tg_info(L, mask)->kind != TG_V_BUFFER || tg_info(L, mask)->inner != mask->type->rank - 1) {
                mask_buffer = tg_temp_buffer(L, mask);
                for (int a = 0; a < mask->type->rank; a++) {
                    tg_info(L, mask_buffer)->need[a] = tg_info(L, mask)->need[a];
                }
                tg_emit_materialise(L, mask, mask_buffer);
            }
        }
    }
    tg_coord at[TG_MAX_RANK];
    tg_op *loops[TG_MAX_RANK];
    for (int i = 0; i < batch; i++) {
        tg_value *iv;
        tg_need need = axis_need(L, p->result, i);
        loops[i] = tg_build_for(b, tg_build_index(b, 0), tg_trip(L, p->result->type->shape[i], &need),
                                tg_build_index(b, 1), 0, NULL, &iv);
        at[i] = (tg_coord){.v = iv, .align = 1, .bound = need.kind == TG_NEED_SPAN ? need.span : NULL};
    }
    one_product(L, p, at, batch, mask_buffer, k_len, k_need);
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
    product p = {.op = op, .a = tg_operand(op, 0), .b = tg_operand(op, 1), .result = r, .zero = is_zero(acc)};
    if (!p.zero) {
        tg_emit_copy(L, acc, r);
    }
    emit_product(L, &p);
}

/* ---- contracted loops ------------------------------------------------------------------------------------------ */

/* Every element of v along matrix axis `k` must come from a load along `span`. */
static bool follows_span(tg_lower *L, tg_value *v, const int8_t *map, int k, tg_op *loop, tg_value **span) {
    if (!tg_is_tile(v)) {
        return true;
    }
    bool mentions = false;
    for (int a = 0; a < v->type->rank; a++) {
        mentions = mentions || map[a] == k;
    }
    tg_op *op = v->def;
    const tg_vinfo *info = tg_info(L, v);
    if (op == NULL || info->kind == TG_V_BUFFER) {
        return !mentions;
    }
    if (op->code == TG_OP_CONST_INT || op->code == TG_OP_CONST_FLOAT) {
        return true;
    }
    int8_t in[TG_MAX_RANK];
    if (op->code == TG_OP_LOAD) {
        tg_index ix[TG_MAX_RANK];
        tg_value *mask;
        int n = tg_indices(op, ix, &mask);
        if (mask != NULL) {
            return false;
        }
        for (int i = 0; i < n; i++) {
            bool own = false;
            for (int a = 0; a < ix[i].n_axes; a++) {
                in[a] = map[ix[i].axes[a]];
                own = own || in[a] == k;
            }
            if (ix[i].v->type->kind == TG_TY_SPAN) {
                const tg_op *s = ix[i].v->def;
                bool along = tg_operand(s, 0) == loop->regions[0]->args[0];
                if (along != own) {
                    return false;
                }
                if (along) {
                    *span = tg_info(L, ix[i].v)->canon;
                }
            } else if (own || !follows_span(L, ix[i].v, in, k, loop, span)) {
                return false;
            }
        }
        return true;
    }
    if (!(tg_op_info_get(op->code)->flags & TG_OPF_ELEMENTWISE) && op->code != TG_OP_PERMUTE &&
        op->code != TG_OP_BROADCAST) {
        return false;
    }
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    for (int i = 0; i < op->n_operands; i++) {
        tg_value *from = tg_operand(op, i);
        if (!tg_is_tile(from)) {
            continue;
        }
        for (int a = 0; a < from->type->rank; a++) {
            in[a] = map[a];
            if (op->code == TG_OP_BROADCAST) {
                in[a] = from->type->shape[a] == v->type->shape[axes->list[a]] ? map[axes->list[a]] : -1;
            }
        }
        if (op->code == TG_OP_PERMUTE) {
            for (int a = 0; a < from->type->rank; a++) {
                in[axes->list[a]] = map[a];
            }
        }
        if (!follows_span(L, from, in, k, loop, span)) {
            return false;
        }
    }
    return true;
}

/* The loop variable is used by spans start .. loop end of one step only. */
static bool spans_only(tg_op *loop) {
    const tg_value *iv = loop->regions[0]->args[0];
    int64_t step;
    if (!tg_value_const_int(tg_operand(loop, 2), &step)) {
        return false;
    }
    for (const tg_use *u = iv->uses; u != NULL; u = u->next) {
        const tg_op *s = u->user;
        if (s->code != TG_OP_SPAN || tg_operand(s, 0) != iv || tg_operand(s, 1) != tg_operand(loop, 1) ||
            s->results[0].type->shape[0] != step || s->parent != loop->regions[0]) {
            return false;
        }
    }
    return true;
}

static bool dot_contractible(tg_lower *L, tg_op *loop, int i) {
    tg_region *body = loop->regions[0];
    tg_value *arg = body->args[1 + i], *y = tg_operand(body->last, i);
    if (!tg_is_tile(arg) || y->def == NULL || y->def->code != TG_OP_DOT || y->def->parent != body ||
        tg_operand(y->def, 2) != arg || arg->uses == NULL || arg->uses->next != NULL ||
        y->uses->next != NULL || tg_info(L, y)->offset != tg_info(L, arg)->offset) {
        return false;
    }
    tg_op *dot = y->def;
    int batch = (int)tg_attr_int(dot, TG_ATTR_BATCH, 0);
    tg_value *span = NULL;
    for (int side = 0; side < 2; side++) {
        int8_t map[TG_MAX_RANK];
        for (int a = 0; a < TG_MAX_RANK; a++) {
            map[a] = (int8_t)a;
        }
        span = NULL;
        if (!follows_span(L, tg_operand(dot, side), map, batch + 1 - side, loop, &span) || span == NULL) {
            return false;
        }
    }
    if (tg_attr_int(dot, TG_ATTR_MASKED, 0)) {
        const tg_value *mask = tg_operand(dot, 3);
        while (mask->def != NULL && mask->def->code == TG_OP_BROADCAST) {
            mask = tg_operand(mask->def, 0);
        }
        if (mask->def == NULL || mask->def->code != TG_OP_SPAN_MASK || mask->type->rank != 1 ||
            tg_info(L, tg_operand(mask->def, 0))->canon != span) {
            return false;
        }
    }
    return true;
}

bool tg_contractible(tg_lower *L, tg_op *loop) {
    if (loop->n_results == 0 || !spans_only(loop)) {
        return false;
    }
    for (int i = 0; i < loop->n_results; i++) {
        if (!dot_contractible(L, loop, i)) {
            return false;
        }
    }
    int dots = 0;
    for (tg_op *op = loop->regions[0]->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_DOT) {
            dots++;
            continue;
        }
        if (op->n_regions > 0 || (op->n_results == 0 && op->code != TG_OP_YIELD && op->code != TG_OP_ASSUME)) {
            return false;
        }
        for (int r = 0; r < op->n_results; r++) {
            const tg_value *v = &op->results[r];
            uint8_t kind = tg_info(L, v)->kind;
            if (tg_is_tile(v) && kind != TG_V_INLINE && kind != TG_V_LAZY && kind != TG_V_DEAD) {
                return false;
            }
        }
    }
    return dots == loop->n_results;
}

void tg_emit_contracted(tg_lower *L, tg_op *loop) {
    tg_region *body = loop->regions[0];
    tg_builder *b = &L->b;
    tg_value *lo = tg_scalar(L, tg_operand(loop, 0)), *hi = tg_scalar(L, tg_operand(loop, 1));
    tg_value *len = tg_build_binary(b, TG_OP_MAX, tg_build_binary(b, TG_OP_SUB, hi, lo), tg_build_index(b, 0));
    tg_info(L, body->args[0])->loop = lo;
    for (int i = 0; i < loop->n_results; i++) {
        if (!is_zero(tg_operand(loop, 3 + i))) {
            tg_emit_copy(L, tg_operand(loop, 3 + i), body->args[1 + i]);
        }
    }
    for (tg_op *op = body->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_DOT || op->code == TG_OP_YIELD) {
            continue;
        }
        tg_region one = {.func = op->parent->func, .first = op};
        tg_op *next = op->next;
        op->next = NULL;
        tg_emit_region(L, &one);
        op->next = next;
        if (op->code == TG_OP_SPAN && tg_operand(op, 0) == body->args[0]) {
            tg_info(L, &op->results[0])->len = len;
        }
    }
    for (int i = 0; i < loop->n_results && L->status == TG_OK; i++) {
        tg_op *dot = tg_operand(body->last, i)->def;
        int batch = (int)tg_attr_int(dot, TG_ATTR_BATCH, 0);
        tg_value *span = NULL;
        int8_t map[TG_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
        (void)follows_span(L, tg_operand(dot, 0), map, batch + 1, loop, &span);
        product p = {.op = dot, .a = tg_operand(dot, 0), .b = tg_operand(dot, 1), .result = &dot->results[0],
                     .k_len = len, .k_span = span, .zero = is_zero(tg_operand(loop, 3 + i))};
        emit_product(L, &p);
    }
}
