/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evaluator of dot. Floats: products and sums in double, one rounding at the end (the meaning of
 * `@` is an error bound, order is free). Integers wrap in 64 bits, then to the accumulator's type.
 * Exact mode proves for each element that no order of the sum can round: the sum of all |a*b| and
 * |acc| stays below 2^24 units of the lowest bit that occurs.
 */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "ir/interp/internal.h"

typedef struct dot_args {
    int64_t m, n, k;
    const tg_cell *a, *b, *acc; /* of one batch */
    const tg_cell *kmask;       /* of one batch, or NULL */
    tg_cell *r;
} dot_args;

static bool keeps(const dot_args *d, int64_t k) { return d->kmask == NULL || d->kmask[k].i != 0; }

static void dot_float(const dot_args *d, tg_interp *in, tg_dtype t, double *row) {
    for (int64_t i = 0; i < d->m; i++) {
        memset(row, 0, (size_t)d->n * sizeof *row);
        for (int64_t k = 0; k < d->k; k++) {
            if (!keeps(d, k)) {
                continue;
            }
            double x = d->a[i * d->k + k].f;
            const tg_cell *b = d->b + k * d->n;
            for (int64_t j = 0; j < d->n; j++) {
                row[j] += x * b[j].f;
            }
        }
        for (int64_t j = 0; j < d->n; j++) {
            d->r[i * d->n + j].f = tg_num_round(in, t, d->acc[i * d->n + j].f + row[j]);
        }
    }
}

static void dot_int(const dot_args *d, tg_dtype t, uint64_t *row) {
    for (int64_t i = 0; i < d->m; i++) {
        memset(row, 0, (size_t)d->n * sizeof *row);
        for (int64_t k = 0; k < d->k; k++) {
            if (!keeps(d, k)) {
                continue;
            }
            uint64_t x = (uint64_t)d->a[i * d->k + k].i;
            const tg_cell *b = d->b + k * d->n;
            for (int64_t j = 0; j < d->n; j++) {
                row[j] += x * (uint64_t)b[j].i;
            }
        }
        for (int64_t j = 0; j < d->n; j++) {
            uint64_t sum = (uint64_t)d->acc[i * d->n + j].i + row[j];
            d->r[i * d->n + j].i = tg_num_wrap(t, (int64_t)sum);
        }
    }
}

/* Greatest magnitude and lowest bit of a whole operand: a quick sufficient test. */
static void survey(const tg_cell *x, int64_t count, double *out_most, int *out_lsb,
                   bool *out_special) {
    tg_exactness e;
    *out_most = 0;
    *out_lsb = INT_MAX;
    for (int64_t i = 0; i < count; i++) {
        tg_exactness_init(&e);
        tg_exactness_add(&e, x[i].f);
        *out_special |= e.special;
        *out_most = fmax(*out_most, e.magnitude);
        *out_lsb = e.lsb < *out_lsb ? e.lsb : *out_lsb;
    }
}

static bool surely_exact(const dot_args *d, tg_dtype t) {
    double a, b, c;
    int la, lb, lc;
    bool special = false;
    survey(d->a, d->m * d->k, &a, &la, &special);
    survey(d->b, d->k * d->n, &b, &lb, &special);
    survey(d->acc, d->m * d->n, &c, &lc, &special);
    int lsb = la == INT_MAX || lb == INT_MAX ? lc : la + lb < lc ? la + lb : lc;
    tg_exactness e = {.magnitude = a * b * (double)d->k + c, .lsb = lsb};
    return !special && tg_exactness_holds(&e, t);
}

static bool element_exact(const dot_args *d, tg_dtype t, int64_t i, int64_t j) {
    tg_exactness e;
    tg_exactness_init(&e);
    tg_exactness_add(&e, d->acc[i * d->n + j].f);
    for (int64_t k = 0; k < d->k; k++) {
        if (keeps(d, k)) {
            tg_exactness_add(&e, d->a[i * d->k + k].f * d->b[k * d->n + j].f);
        }
    }
    return tg_exactness_holds(&e, t);
}

static void check_exact(const dot_args *d, tg_interp *in, const tg_op *op, tg_dtype t) {
    if (surely_exact(d, t)) {
        return;
    }
    for (int64_t i = 0; i < d->m; i++) {
        for (int64_t j = 0; j < d->n; j++) {
            if (!element_exact(d, t, i, j)) {
                tg_interp_inexact(in, op, "some order of the products rounds");
                return;
            }
        }
    }
}

void tg_eval_DOT(tg_interp *in, tg_op *op) {
    const tg_type *at = tg_operand(op, 0)->type, *rt = op->results[0].type;
    const tg_cell *kmask = tg_iv_mask(in, op);
    int batch_rank = (int)tg_attr_int(op, TG_ATTR_BATCH, 0);
    int64_t batches = 1;
    for (int a = 0; a < batch_rank; a++) {
        batches *= at->shape[a];
    }
    dot_args d = {.m = at->shape[batch_rank], .k = at->shape[batch_rank + 1]};
    d.n = rt->shape[batch_rank + 1];
    bool mask_per_batch = kmask != NULL && tg_operand(op, op->n_operands - 1)->type->rank > 1;
    bool is_float = tg_dtype_is_float(rt->dtype);
    tg_cell *r = tg_iv_result(in, op, 0);
    void *row = tg_stack_alloc(&in->stack, (size_t)d.n * sizeof(tg_cell));
    tg_interp_step(in, op, batches * d.m * d.n * d.k);
    for (int64_t z = 0; z < batches && !in->stop; z++) {
        d.a = tg_iv_cells(in, op, 0) + z * d.m * d.k;
        d.b = tg_iv_cells(in, op, 1) + z * d.k * d.n;
        d.acc = tg_iv_cells(in, op, 2) + z * d.m * d.n;
        d.kmask = kmask == NULL ? NULL : kmask + (mask_per_batch ? z * d.k : 0);
        d.r = r + z * d.m * d.n;
        if (!is_float) {
            dot_int(&d, rt->dtype, row);
            continue;
        }
        dot_float(&d, in, rt->dtype, row);
        if (in->opt->mode == TG_INTERP_EXACT) {
            check_exact(&d, in, op, rt->dtype);
        }
    }
}
