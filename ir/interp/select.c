/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluators of sort, top-k, ranking, compression, histogram and local scatter. */
#include <string.h>

#include "ir/interp/internal.h"

/* ---- stable order of one line -------------------------------------------------------------------
 */

typedef struct order {
    const tg_cell *x, *mask;
    int64_t stride, mask_stride;
    tg_dtype t;
    bool descending;
} order;

static bool is_present(const order *o, int64_t k) {
    return o->mask == NULL || o->mask[k * o->mask_stride].i != 0;
}

/* Must b (later in the input) come before a? Absent elements go last. */
static bool overtakes(const order *o, int64_t a, int64_t b) {
    bool pa = is_present(o, a), pb = is_present(o, b);
    if (!pa || !pb) {
        return pb && !pa;
    }
    int c = tg_num_order(o->t, o->x[b * o->stride], o->x[a * o->stride]);
    return o->descending ? c > 0 : c < 0;
}

/* Bottom-up merge sort of the indices 0..n; tmp has n entries too. */
static void sort_indices(const order *o, int64_t *index, int64_t *tmp, int64_t n) {
    for (int64_t k = 0; k < n; k++) {
        index[k] = k;
    }
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t lo = 0; lo < n; lo += 2 * width) {
            int64_t mid = tg_min_i64(lo + width, n), hi = tg_min_i64(lo + 2 * width, n);
            int64_t i = lo, j = mid;
            for (int64_t k = lo; k < hi; k++) {
                bool right = i == mid || (j < hi && overtakes(o, index[i], index[j]));
                tmp[k] = right ? index[j++] : index[i++];
            }
        }
        memcpy(index, tmp, (size_t)n * sizeof *index);
    }
}

typedef struct frame {
    int64_t outer, n, inner;
    const tg_cell *mask;
    bool mask_is_line;
    int64_t *index, *tmp;
} frame;

static frame frame_of(tg_interp *in, const tg_op *op) {
    const tg_type *t = tg_operand(op, 0)->type;
    int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0);
    frame f = {.outer = 1, .inner = 1, .n = t->shape[axis], .mask = tg_iv_mask(in, op)};
    for (int a = 0; a < t->rank; a++) {
        f.outer *= a < axis ? t->shape[a] : 1;
        f.inner *= a > axis ? t->shape[a] : 1;
    }
    f.mask_is_line = f.mask != NULL && tg_operand(op, op->n_operands - 1)->type->rank != t->rank;
    f.index = tg_stack_alloc(&in->stack, (size_t)f.n * sizeof *f.index);
    f.tmp = tg_stack_alloc(&in->stack, (size_t)f.n * sizeof *f.tmp);
    return f;
}

/* Sorts line (o, i) of operand 0 into f->index. */
static order sort_line(const tg_interp *in, const tg_op *op, frame *f, int64_t o, int64_t i,
                       bool descending) {
    int64_t start = o * f->n * f->inner + i;
    order by = {.x = tg_iv_cells(in, op, 0) + start, .stride = f->inner, .descending = descending};
    by.t = tg_operand(op, 0)->type->dtype;
    if (f->mask != NULL) {
        by.mask = f->mask_is_line ? f->mask : f->mask + start;
        by.mask_stride = f->mask_is_line ? 1 : f->inner;
    }
    sort_indices(&by, f->index, f->tmp, f->n);
    return by;
}

void tg_eval_SORT(tg_interp *in, tg_op *op) {
    frame f = frame_of(in, op);
    bool descending = tg_attr_int(op, TG_ATTR_DESC, 0) != 0;
    for (int r = 0; r < op->n_results; r++) {
        (void)tg_iv_result(in, op, r);
    }
    for (int64_t o = 0; o < f.outer; o++) {
        for (int64_t i = 0; i < f.inner; i++) {
            (void)sort_line(in, op, &f, o, i, descending);
            int64_t start = o * f.n * f.inner + i;
            for (int r = 0; r < op->n_results; r++) {
                const tg_cell *from = tg_iv_cells(in, op, r) + start;
                tg_cell *to = (tg_cell *)in->values[op->results[r].id] + start;
                for (int64_t k = 0; k < f.n; k++) {
                    to[k * f.inner] = from[f.index[k] * f.inner];
                }
            }
        }
    }
}

void tg_eval_TOPK(tg_interp *in, tg_op *op) {
    frame f = frame_of(in, op);
    int64_t wanted = tg_attr_int(op, TG_ATTR_K, 0);
    tg_cell *values = tg_iv_result(in, op, 0), *indices = tg_iv_result(in, op, 1);
    tg_cell none = tg_num_zero(op->results[0].type->dtype);
    for (int64_t o = 0; o < f.outer; o++) {
        for (int64_t i = 0; i < f.inner; i++) {
            order by = sort_line(in, op, &f, o, i, true);
            for (int64_t k = 0; k < wanted; k++) {
                int64_t to = (o * wanted + k) * f.inner + i;
                bool have = k < f.n && is_present(&by, f.index[k]);
                values[to] = have ? by.x[f.index[k] * f.inner] : none;
                indices[to].i = have ? f.index[k] : -1;
            }
        }
    }
}

/* ---- keys, bins, packing ------------------------------------------------------------------------
 */

void tg_eval_RANK_BY_KEY(tg_interp *in, tg_op *op) {
    const tg_cell *key = tg_iv_cells(in, op, 0), *mask = tg_iv_mask(in, op);
    int64_t bins = tg_attr_int(op, TG_ATTR_N, 0), n = tg_type_count(tg_operand(op, 0)->type);
    tg_cell *r = tg_iv_result(in, op, 0);
    int64_t *seen = tg_stack_alloc(&in->stack, (size_t)tg_max_i64(bins, 0) * sizeof *seen);
    memset(seen, 0, (size_t)tg_max_i64(bins, 0) * sizeof *seen);
    for (int64_t i = 0; i < n; i++) {
        bool inside = key[i].i >= 0 && key[i].i < bins;
        r[i].i = inside ? seen[key[i].i] : 0;
        if (inside && (mask == NULL || mask[i].i)) {
            seen[key[i].i]++;
        }
    }
}

void tg_eval_COMPRESS(tg_interp *in, tg_op *op) {
    const tg_cell *x = tg_iv_cells(in, op, 0), *mask = tg_iv_cells(in, op, 1);
    int64_t n = tg_type_count(tg_operand(op, 0)->type), kept = 0;
    tg_cell *r = tg_iv_result(in, op, 0);
    for (int64_t i = 0; i < n; i++) {
        if (mask[i].i) {
            r[kept++] = x[i];
        }
    }
    for (int64_t i = kept; i < n; i++) {
        r[i] = tg_num_zero(op->results[0].type->dtype);
    }
    tg_iv_result(in, op, 1)->i = kept;
}

void tg_eval_HISTOGRAM(tg_interp *in, tg_op *op) {
    const tg_cell *bin = tg_iv_cells(in, op, 0), *mask = tg_iv_mask(in, op);
    const tg_cell *weight = tg_iv_operands(op) > 1 ? tg_iv_cells(in, op, 1) : NULL;
    int64_t bins = tg_attr_int(op, TG_ATTR_N, 0), n = tg_type_count(tg_operand(op, 0)->type);
    tg_dtype t = op->results[0].type->dtype;
    tg_cell *r = tg_iv_result(in, op, 0);
    memset(r, 0, (size_t)bins * sizeof *r);
    tg_interp_step(in, op, n);
    for (int64_t i = 0; i < n; i++) {
        if (bin[i].i >= 0 && bin[i].i < bins && (mask == NULL || mask[i].i)) {
            uint64_t w = weight != NULL ? (uint64_t)weight[i].i : 1;
            tg_cell *to = &r[bin[i].i];
            to->i = tg_num_wrap(t, (int64_t)((uint64_t)to->i + w));
        }
    }
}

void tg_eval_SCATTER_ADD(tg_interp *in, tg_op *op) {
    const tg_cell *index = tg_iv_cells(in, op, 1), *v = tg_iv_cells(in, op, 2);
    const tg_cell *mask = tg_iv_mask(in, op), *t = tg_iv_cells(in, op, 0);
    const tg_type *type = op->results[0].type;
    int64_t extent = tg_type_count(type), n = tg_type_count(tg_operand(op, 1)->type);
    tg_cell *r = tg_iv_result(in, op, 0);
    bool rounded = false;
    memcpy(r, t, (size_t)extent * sizeof *r);
    tg_interp_step(in, op, n);
    for (int64_t i = 0; i < n; i++) {
        if (index[i].i < 0 || index[i].i >= extent || (mask != NULL && !mask[i].i)) {
            continue;
        }
        tg_cell *to = &r[index[i].i];
        if (tg_dtype_is_float(type->dtype)) {
            double sum = to->f + v[i].f;
            to->f = tg_num_round(in, type->dtype, sum);
            rounded |= to->f != sum && sum == sum;
        } else {
            to->i = tg_num_wrap(type->dtype, (int64_t)((uint64_t)to->i + (uint64_t)v[i].i));
        }
    }
    if (rounded && in->opt->mode == TG_INTERP_EXACT) {
        tg_interp_inexact(in, op, "a sum was rounded");
    }
}
