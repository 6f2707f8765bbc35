/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluators of the shape group: all are one strided copy, but for local_gather. */
#include <string.h>

#include "ir/interp/internal.h"

static void row_major(const tg_type *t, int64_t *out_strides) {
    int64_t s = 1;
    for (int a = t->rank - 1; a >= 0; a--) {
        out_strides[a] = s;
        s *= t->shape[a];
    }
}

/* dst (row-major of shape) from src walked with one stride per result axis; returns dst's end. */
static tg_cell *copy_strided(tg_cell *dst, const tg_cell *src, int rank, const int64_t *shape,
                             const int64_t *strides) {
    if (rank == 0) {
        *dst = *src;
        return dst + 1;
    }
    if (rank == 1) {
        for (int64_t i = 0; i < shape[0]; i++) {
            dst[i] = src[i * strides[0]];
        }
        return dst + shape[0];
    }
    for (int64_t i = 0; i < shape[0]; i++) {
        dst = copy_strided(dst, src + i * strides[0], rank - 1, shape + 1, strides + 1);
    }
    return dst;
}

void tg_eval_BROADCAST(tg_interp *in, tg_op *op) {
    const tg_type *from = tg_operand(op, 0)->type, *to = op->results[0].type;
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    int64_t own[TG_MAX_RANK], strides[TG_MAX_RANK] = {0};
    row_major(from, own);
    for (int a = 0; a < from->rank; a++) {
        strides[axes->list[a]] = from->shape[a] == 1 ? 0 : own[a];
    }
    const tg_cell *x = tg_iv_cells(in, op, 0);
    copy_strided(tg_iv_result(in, op, 0), x, to->rank, to->shape, strides);
}

void tg_eval_RESHAPE(tg_interp *in, tg_op *op) {
    const tg_cell *x = tg_iv_cells(in, op, 0);
    memcpy(tg_iv_result(in, op, 0), x, tg_iv_bytes(op->results[0].type));
}

void tg_eval_PERMUTE(tg_interp *in, tg_op *op) {
    const tg_type *from = tg_operand(op, 0)->type, *to = op->results[0].type;
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    int64_t own[TG_MAX_RANK], strides[TG_MAX_RANK] = {0};
    row_major(from, own);
    for (int r = 0; r < to->rank; r++) {
        strides[r] = own[axes->list[r]];
    }
    const tg_cell *x = tg_iv_cells(in, op, 0);
    copy_strided(tg_iv_result(in, op, 0), x, to->rank, to->shape, strides);
}

void tg_eval_SLICE(tg_interp *in, tg_op *op) {
    const tg_type *from = tg_operand(op, 0)->type, *to = op->results[0].type;
    const tg_attr *offsets = tg_attr_get(op, TG_ATTR_OFFSETS);
    int64_t own[TG_MAX_RANK], start = 0;
    row_major(from, own);
    for (int a = 0; a < to->rank; a++) {
        start += own[a] * offsets->list[a];
    }
    const tg_cell *x = tg_iv_cells(in, op, 0) + start;
    copy_strided(tg_iv_result(in, op, 0), x, to->rank, to->shape, own);
}

static int64_t product(const int64_t *shape, int from, int to) {
    int64_t n = 1;
    for (int a = from; a < to; a++) {
        n *= shape[a];
    }
    return n;
}

void tg_eval_CONCAT(tg_interp *in, tg_op *op) {
    const tg_type *to = op->results[0].type;
    int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0);
    int64_t outer = product(to->shape, 0, axis), row = product(to->shape, axis, to->rank), at = 0;
    tg_cell *r = tg_iv_result(in, op, 0);
    for (int o = 0; o < op->n_operands; o++) {
        const tg_type *t = tg_operand(op, o)->type;
        const tg_cell *x = tg_iv_cells(in, op, o);
        int64_t piece = product(t->shape, axis, t->rank);
        for (int64_t i = 0; i < outer && piece > 0; i++) {
            memcpy(r + i * row + at, x + i * piece, (size_t)piece * sizeof *r);
        }
        at += piece;
    }
}

void tg_eval_LOCAL_GATHER(tg_interp *in, tg_op *op) {
    const tg_type *xt = tg_operand(op, 0)->type, *it = tg_operand(op, 1)->type;
    int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0);
    const tg_cell *x = tg_iv_cells(in, op, 0), *index = tg_iv_cells(in, op, 1);
    int64_t outer = product(xt->shape, 0, axis), inner = product(xt->shape, axis + 1, xt->rank);
    int64_t extent = xt->shape[axis], picks = tg_type_count(it);
    tg_cell *r = tg_iv_result(in, op, 0);
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t p = 0; p < picks; p++, r += inner) {
            if (index[p].i < 0 || index[p].i >= extent) {
                for (int64_t e = 0; e < inner; e++) {
                    r[e] = tg_num_zero(xt->dtype);
                }
            } else {
                memcpy(r, x + (o * extent + index[p].i) * inner, (size_t)inner * sizeof *r);
            }
        }
    }
}
