/* SPDX-License-Identifier: Apache-2.0 */
/* The product all references of this family are made of, and their inputs: see gemm_ref.h. */
#include "kernels/gemm/gemm_ref.h"

#include <math.h>
#include <stdlib.h>

bool tgk_product_open(tgk_arg *out) {
    out->slack = calloc((size_t)out->count + 1, sizeof *out->slack);
    return out->slack != NULL;
}

/*
 * A sum of n terms in f32 in any order is off by at most n 2^-24 of the terms' magnitudes; scaling,
 * dequantising and the epilogue round a few times more. Twice that is the language's bound for `@`.
 */
static double slack_of(tgk_term sum, int64_t n) { return (double)(n + 8) * 0x1p-23 * sum.size; }

void tgk_product_row(const tgk_arg *args, const tgk_product *p, int64_t row, tgk_arg *out,
                     int64_t to) {
    for (int64_t j = 0; j < p->cols; j++) {
        tgk_term sum = {0, 0};
        for (int64_t k = p->first; k < p->last; k++) {
            tgk_term a = p->a(args, p->a_group, row, k), b = p->b(args, p->b_group, j, k);
            sum.value += a.value * b.value;
            sum.size += a.size * b.size;
        }
        sum = p->finish != NULL ? p->finish(args, sum, row, j) : sum;
        out->f[to * p->cols + j] = sum.value;
        out->slack[to * p->cols + j] = slack_of(sum, p->last - p->first);
    }
}

bool tgk_product_all(tgk_arg *args, int n, int64_t rows, const tgk_product *p) {
    if (!tgk_product_open(&args[n - 1])) {
        return false;
    }
    for (int64_t i = 0; i < rows; i++) {
        tgk_product_row(args, p, i, &args[n - 1], i);
    }
    return true;
}

double tgk_at(const tgk_arg *m, int64_t group, int64_t row, int64_t k) {
    int64_t rows = m->extent[m->rank - 2], cols = m->extent[m->rank - 1];
    int64_t at = ((m->rank == 3 ? group * rows : 0) + row) * cols + k;
    return m->f != NULL ? m->f[at] : (double)m->i[at];
}

tgk_term tgk_exact(double value) { return (tgk_term){value, fabs(value)}; }

tgk_term tgk_plain_a(const tgk_arg *args, int64_t group, int64_t row, int64_t k) {
    return tgk_exact(tgk_at(&args[0], group, row, k));
}

tgk_term tgk_plain_b(const tgk_arg *args, int64_t group, int64_t row, int64_t k) {
    return tgk_exact(tgk_at(&args[1], group, row, k));
}

/* ---- inputs -----------------------------------------------------------------------------------
 */

static double code_of(tg_dtype t, tgk_random *r) {
    static const double e2m1[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
    if (r->exact) {
        return (double)tgk_random_below(r, 5) - 2;
    }
    switch ((int)t) {
    case TG_DT_F4E2M1: {
        double v = e2m1[tgk_random_below(r, 8)];
        return tgk_random_below(r, 2) == 0 ? v : -v;
    }
    case TG_DT_F8E4M3:
        return tgk_random_normal(r) * 32;
    default:
        return tgk_random_normal(r);
    }
}

static double scale_of(tg_dtype t, tgk_random *r) {
    double e = r->exact ? (double)tgk_random_below(r, 2) : tgk_random_uniform(r) * 12 - 6;
    return exp2(t == TG_DT_F8E8M0 ? round(e) : e);
}

static int64_t integer_of(tg_dtype t, tgk_random *r) {
    int64_t any = tgk_random_below(r, 256);
    switch ((int)t) {
    case TG_DT_I8:
        return r->exact ? any % 5 - 2 : any - 128;
    case TG_DT_I4:
        return any % 16 - 8;
    default:
        return any % 16;
    }
}

void tgk_default_inputs(tgk_arg *args, int n, tgk_random *r) {
    (void)args;
    (void)n;
    (void)r;
}

void tgk_gemm_inputs(tgk_arg *args, int n, tgk_random *r) {
    for (int a = 0; a < n; a++) {
        tgk_arg *x = &args[a];
        bool codes = x->dtype == TG_DT_I8 || x->dtype == TG_DT_I4 || x->dtype == TG_DT_U4;
        int64_t drawn = x->is_out ? 0 : tgk_drawn(x, r);
        for (int64_t i = 0; i < drawn; i++) {
            if (x->f != NULL && (x->name[0] == 's' || x->name[0] == 'g')) {
                x->f[i] = scale_of(x->dtype, r);
            } else if (x->f != NULL) {
                x->f[i] = code_of(x->dtype, r);
            } else if (codes) {
                x->i[i] = integer_of(x->dtype, r);
            }
        }
        if (!x->is_out && (x->f != NULL || codes)) {
            tgk_repeat(x, drawn);
        }
    }
}
