/* SPDX-License-Identifier: Apache-2.0 */
/* Builders of the tile level's operations; see build.h. */
#include "ir/build.h"
#include "ir/fold.h"

#include <string.h>

/* ---- index ---------------------------------------------------------------------------------- */

tg_value *tg_build_sym(tg_builder *b, int sym) {
    tg_value *r = tg_build1(b, TG_OP_SYM, tg_type_scalar(b->module, TG_DT_I64), 0);
    tg_op_set_int(r->def, TG_ATTR_SYM, sym);
    return r;
}

tg_value *tg_build_dim(tg_builder *b, tg_value *tensor, int axis) {
    const tg_dim *d = tensor->type->dims[axis];
    if (d != NULL && d->code == TG_DIM_CONST) {
        return tg_build_index(b, d->value);
    }
    tg_value *r = tg_build1(b, TG_OP_DIM, tg_type_scalar(b->module, TG_DT_I64), 1, tensor);
    tg_op_set_int(r->def, TG_ATTR_AXIS, axis);
    return r;
}

static tg_value *as_i64(tg_builder *b, tg_value *cond) { return tg_build_cast(b, cond, TG_DT_I64); }

static tg_value *is_nonzero(tg_builder *b, tg_value *v) {
    return tg_build_cmp(b, TG_CMP_NE, v, tg_build_index(b, 0));
}

/* Rounds up for positive operands, truncates otherwise: the same rule as tg_cdiv_i64. */
static tg_value *build_cdiv(tg_builder *b, tg_value *x, tg_value *y) {
    tg_value *zero = tg_build_index(b, 0);
    tg_value *q = tg_build_binary(b, TG_OP_DIV, x, y);
    tg_value *r = tg_build_binary(b, TG_OP_REM, x, y);
    tg_value *up = tg_build_binary(b, TG_OP_AND, tg_build_cmp(b, TG_CMP_GT, x, zero),
                                   tg_build_cmp(b, TG_CMP_NE, r, zero));
    up = tg_build_binary(b, TG_OP_AND, up, tg_build_cmp(b, TG_CMP_GT, y, zero));
    return tg_build_binary(b, TG_OP_ADD, q, as_i64(b, up));
}

static tg_value *build_dim_binary(tg_builder *b, tg_dim_code code, tg_value *x, tg_value *y) {
    switch (code) {
    case TG_DIM_ADD:
        return tg_build_binary(b, TG_OP_ADD, x, y);
    case TG_DIM_SUB:
        return tg_build_binary(b, TG_OP_SUB, x, y);
    case TG_DIM_MUL:
        return tg_build_binary(b, TG_OP_MUL, x, y);
    case TG_DIM_DIV:
        return tg_build_binary(b, TG_OP_DIV, x, y);
    case TG_DIM_CDIV:
        return build_cdiv(b, x, y);
    case TG_DIM_MOD:
        return tg_build_binary(b, TG_OP_REM, x, y);
    case TG_DIM_MIN:
        return tg_build_binary(b, TG_OP_MIN, x, y);
    case TG_DIM_MAX:
        return tg_build_binary(b, TG_OP_MAX, x, y);
    case TG_DIM_EQ:
        return as_i64(b, tg_build_cmp(b, TG_CMP_EQ, x, y));
    case TG_DIM_NE:
        return as_i64(b, tg_build_cmp(b, TG_CMP_NE, x, y));
    case TG_DIM_LT:
        return as_i64(b, tg_build_cmp(b, TG_CMP_LT, x, y));
    case TG_DIM_LE:
        return as_i64(b, tg_build_cmp(b, TG_CMP_LE, x, y));
    case TG_DIM_AND:
        return as_i64(b, tg_build_binary(b, TG_OP_AND, is_nonzero(b, x), is_nonzero(b, y)));
    case TG_DIM_OR:
        return as_i64(b, tg_build_binary(b, TG_OP_OR, is_nonzero(b, x), is_nonzero(b, y)));
    case TG_DIM_CONST:
    case TG_DIM_SYM:
        break;
    }
    return x;
}

tg_value *tg_build_dim_expr(tg_builder *b, const tg_dim *d) {
    if (d->code == TG_DIM_CONST) {
        return tg_build_index(b, d->value);
    }
    if (d->code == TG_DIM_SYM) {
        return tg_build_sym(b, (int)d->value);
    }
    tg_value *x = tg_build_dim_expr(b, d->a);
    tg_value *y = tg_build_dim_expr(b, d->b);
    return build_dim_binary(b, d->code, x, y);
}

tg_value *tg_build_span(tg_builder *b, tg_value *lo, tg_value *hi, int64_t n) {
    return tg_build1(b, TG_OP_SPAN, tg_type_span(b->module, n), 2, lo, hi);
}

tg_value *tg_build_span_mask(tg_builder *b, tg_value *span) {
    const tg_type *t = tg_type_tile(b->module, TG_DT_BOOL, 1, span->type->shape);
    return tg_build1(b, TG_OP_SPAN_MASK, t, 1, span);
}

tg_value *tg_build_present(tg_builder *b, tg_value *index, tg_value *extent) {
    const tg_type *t = tg_type_tile(b->module, TG_DT_BOOL, index->type->rank, index->type->shape);
    int64_t i, n;
    if (index->type->kind == TG_TY_TILE && tg_value_const_int(index, &i) &&
        tg_value_const_int(extent, &n)) {
        return tg_build_int(b, t, i >= 0 && i < n);
    }
    return tg_build1(b, TG_OP_PRESENT, t, 2, index, extent);
}

tg_value *tg_build_iota(tg_builder *b, tg_dtype t, int64_t n) {
    return tg_build1(b, TG_OP_IOTA, tg_type_tile(b->module, t, 1, &n), 0);
}

/* ---- shape ---------------------------------------------------------------------------------- */

/* A constant tile stays one constant whatever its shape becomes. */
static tg_value *const_of_shape(tg_builder *b, const tg_value *x, const tg_type *type) {
    int64_t i;
    double f;
    if (tg_value_const_int(x, &i)) {
        return tg_build_int(b, type, i);
    }
    return tg_value_const_float(x, &f) ? tg_build_float(b, type, f) : NULL;
}

tg_value *tg_build_broadcast(tg_builder *b, tg_value *x, int rank, const int64_t *shape,
                             const int64_t *axes) {
    const tg_type *type = tg_type_tile(b->module, x->type->dtype, rank, shape);
    if (type == x->type) {
        return x;
    }
    tg_value *r = const_of_shape(b, x, type);
    if (r == NULL) {
        r = tg_build1(b, TG_OP_BROADCAST, type, 1, x);
        tg_op_set_list(r->def, TG_ATTR_AXES, axes, x->type->rank);
    }
    return r;
}

tg_value *tg_build_splat_tile(tg_builder *b, tg_value *scalar, int rank, const int64_t *shape) {
    return tg_build_broadcast(b, scalar, rank, shape, NULL);
}

tg_value *tg_build_reshape(tg_builder *b, tg_value *x, int rank, const int64_t *shape) {
    const tg_type *type = tg_type_tile(b->module, x->type->dtype, rank, shape);
    if (type == x->type) {
        return x;
    }
    tg_value *r = const_of_shape(b, x, type);
    return r != NULL ? r : tg_build1(b, TG_OP_RESHAPE, type, 1, x);
}

tg_value *tg_build_permute(tg_builder *b, tg_value *x, const int64_t *axes) {
    int64_t shape[TG_MAX_RANK];
    bool identity = true;
    for (int i = 0; i < x->type->rank; i++) {
        shape[i] = x->type->shape[axes[i]];
        identity = identity && axes[i] == i;
    }
    if (identity) {
        return x;
    }
    const tg_type *type = tg_type_tile(b->module, x->type->dtype, x->type->rank, shape);
    tg_value *r = const_of_shape(b, x, type);
    if (r == NULL) {
        r = tg_build1(b, TG_OP_PERMUTE, type, 1, x);
        tg_op_set_list(r->def, TG_ATTR_AXES, axes, x->type->rank);
    }
    return r;
}

tg_value *tg_build_slice(tg_builder *b, tg_value *x, const int64_t *offsets, const int64_t *shape) {
    const tg_type *type = tg_type_tile(b->module, x->type->dtype, x->type->rank, shape);
    if (type == x->type) {
        return x;
    }
    tg_value *r = const_of_shape(b, x, type);
    if (r == NULL) {
        r = tg_build1(b, TG_OP_SLICE, type, 1, x);
        tg_op_set_list(r->def, TG_ATTR_OFFSETS, offsets, x->type->rank);
    }
    return r;
}

tg_value *tg_build_concat(tg_builder *b, int n, tg_value *const *xs, int axis) {
    if (n == 1) {
        return xs[0];
    }
    int64_t shape[TG_MAX_RANK];
    memcpy(shape, xs[0]->type->shape, sizeof(shape));
    for (int i = 1; i < n; i++) {
        shape[axis] += xs[i]->type->shape[axis];
    }
    const tg_type *type = tg_type_tile(b->module, xs[0]->type->dtype, xs[0]->type->rank, shape);
    tg_op *op = tg_build_op(b, TG_OP_CONCAT, n, xs, 1, &type, 0);
    tg_op_set_int(op, TG_ATTR_AXIS, axis);
    return &op->results[0];
}

tg_value *tg_build_local_gather(tg_builder *b, tg_value *x, tg_value *i, int axis) {
    int64_t shape[TG_MAX_RANK];
    int rank = 0;
    for (int a = 0; a < x->type->rank; a++) {
        if (a != axis) {
            shape[rank++] = x->type->shape[a];
            continue;
        }
        for (int k = 0; k < i->type->rank && rank < TG_MAX_RANK; k++) {
            shape[rank++] = i->type->shape[k];
        }
    }
    const tg_type *type = tg_type_tile(b->module, x->type->dtype, rank, shape);
    tg_value *r = tg_build1(b, TG_OP_LOCAL_GATHER, type, 2, x, i);
    tg_op_set_int(r->def, TG_ATTR_AXIS, axis);
    return r;
}

/* ---- memory --------------------------------------------------------------------------------- */

tg_value *tg_build_load(tg_builder *b, tg_value *tensor, int n_index, tg_value *const *index,
                        int rank, const int64_t *shape, int n_axes, const int64_t *axes,
                        tg_value *mask) {
    tg_value *operands[TG_MAX_RANK + 2] = {tensor};
    int n = 1;
    for (int i = 0; i < n_index; i++) {
        operands[n++] = index[i];
    }
    if (mask != NULL) {
        operands[n++] = mask;
    }
    const tg_type *type = tg_type_tile(b->module, tensor->type->dtype, rank, shape);
    tg_op *op = tg_build_op(b, TG_OP_LOAD, n, operands, 1, &type, 0);
    tg_op_set_list(op, TG_ATTR_AXES, axes, (size_t)n_axes);
    if (mask != NULL) {
        tg_op_set_int(op, TG_ATTR_MASKED, 1);
    }
    return &op->results[0];
}

tg_op *tg_build_store(tg_builder *b, tg_value *tensor, tg_value *value, int n_index,
                      tg_value *const *index, int n_axes, const int64_t *axes, tg_value *mask) {
    tg_value *operands[TG_MAX_RANK + 3] = {tensor, value};
    int n = 2;
    for (int i = 0; i < n_index; i++) {
        operands[n++] = index[i];
    }
    if (mask != NULL) {
        operands[n++] = mask;
    }
    tg_op *op = tg_build_op(b, TG_OP_STORE, n, operands, 0, NULL, 0);
    tg_op_set_list(op, TG_ATTR_AXES, axes, (size_t)n_axes);
    if (mask != NULL) {
        tg_op_set_int(op, TG_ATTR_MASKED, 1);
    }
    return op;
}

/* ---- along an axis, matrix ------------------------------------------------------------------ */

static tg_dtype reduce_dtype(tg_reduce_kind kind, tg_dtype t) {
    if (kind == TG_RED_ARGMIN || kind == TG_RED_ARGMAX || kind == TG_RED_COUNT) {
        return TG_DT_I32;
    }
    return kind == TG_RED_ANY || kind == TG_RED_ALL ? TG_DT_BOOL : t;
}

tg_value *tg_build_reduce(tg_builder *b, tg_reduce_kind kind, tg_value *x, int axis,
                          tg_value *mask) {
    int64_t shape[TG_MAX_RANK];
    int rank = 0;
    for (int a = 0; a < x->type->rank; a++) {
        if (a != axis) {
            shape[rank++] = x->type->shape[a];
        }
    }
    const tg_type *type = tg_type_tile(b->module, reduce_dtype(kind, x->type->dtype), rank, shape);
    tg_value *operands[2] = {x, mask};
    tg_op *op = tg_build_op(b, TG_OP_REDUCE, mask != NULL ? 2 : 1, operands, 1, &type, 1);
    tg_op_set_int(op, TG_ATTR_RED, kind);
    tg_op_set_int(op, TG_ATTR_AXIS, axis);
    if (mask != NULL) {
        tg_op_set_int(op, TG_ATTR_MASKED, 1);
    }
    return &op->results[0];
}

tg_value *tg_build_dot(tg_builder *b, tg_value *a, tg_value *c, tg_value *acc, int batch,
                       tg_dot_numeric numeric, tg_value *kmask) {
    tg_value *operands[4] = {a, c, acc, kmask};
    tg_op *op = tg_build_op(b, TG_OP_DOT, kmask != NULL ? 4 : 3, operands, 1, &acc->type, 0);
    if (batch != 0) {
        tg_op_set_int(op, TG_ATTR_BATCH, batch);
    }
    tg_op_set_int(op, TG_ATTR_NUMERIC, numeric);
    if (kmask != NULL) {
        tg_op_set_int(op, TG_ATTR_MASKED, 1);
    }
    return &op->results[0];
}
