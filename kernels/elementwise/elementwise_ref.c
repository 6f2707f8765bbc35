/* SPDX-License-Identifier: Apache-2.0 */
/* References: add, silu(a)*b (moe.md section 6, no clamp), softmax, transpose, row reductions. */
#include "kernels/reference.h"

#include <math.h>

static bool add(tgk_arg *args, int n) {
    if (n != 3) {
        return false;
    }
    for (int64_t i = 0; i < args[2].count; i++) {
        args[2].f[i] = args[0].f[i] + args[1].f[i];
    }
    return true;
}

static bool silu_mul(tgk_arg *args, int n) {
    if (n != 3) {
        return false;
    }
    for (int64_t i = 0; i < args[2].count; i++) {
        double g = args[0].f[i];
        args[2].f[i] = g / (1 + exp(-g)) * args[1].f[i];
    }
    return true;
}

/* softmax(x: [M, N], out y: [M, N]) over the last axis. A row of -inf alone gives 0. */
static bool softmax(tgk_arg *args, int n) {
    if (n != 2) {
        return false;
    }
    int64_t rows = args[0].extent[0], cols = args[0].extent[1];
    for (int64_t r = 0; r < rows; r++) {
        const double *x = args[0].f + r * cols;
        double *y = args[1].f + r * cols;
        double m = -INFINITY, l = 0;
        for (int64_t c = 0; c < cols; c++) {
            m = x[c] > m ? x[c] : m;
        }
        for (int64_t c = 0; c < cols; c++) {
            y[c] = m == -INFINITY ? 0 : exp(x[c] - m);
            l += y[c];
        }
        for (int64_t c = 0; c < cols && l > 0; c++) {
            y[c] /= l;
        }
    }
    return true;
}

/* transpose(x: [M, N], out y: [N, M]) */
static bool transpose(tgk_arg *args, int n) {
    if (n != 2) {
        return false;
    }
    int64_t rows = args[0].extent[0], cols = args[0].extent[1];
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < cols; c++) {
            if (args[0].f != NULL) {
                args[1].f[c * rows + r] = args[0].f[r * cols + c];
            } else {
                args[1].i[c * rows + r] = args[0].i[r * cols + c];
            }
        }
    }
    return true;
}

/* row_reduce(x: [M, N], out total: [M], out largest: [M]); an empty row has sum 0 and maximum -inf
 */
static bool row_reduce(tgk_arg *args, int n) {
    if (n != 3) {
        return false;
    }
    int64_t rows = args[0].extent[0], cols = args[0].extent[1];
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0, largest = -INFINITY;
        for (int64_t c = 0; c < cols; c++) {
            double v = args[0].f[r * cols + c];
            sum += v;
            largest = v > largest ? v : largest;
        }
        args[1].f[r] = sum;
        args[2].f[r] = largest;
    }
    return true;
}

/* logsumexp(x: [M, N], out y: f32[M]); a row without a finite element: -inf. */
static bool logsumexp(tgk_arg *args, int n) {
    int64_t cols = args[0].extent[1];
    for (int64_t r = 0; n == 2 && r < args[0].extent[0]; r++) {
        const double *x = args[0].f + r * cols;
        double m = -INFINITY, l = 0;
        for (int64_t c = 0; c < cols; c++) {
            m = x[c] > m ? x[c] : m;
        }
        for (int64_t c = 0; c < cols; c++) {
            l += m == -INFINITY ? 0 : exp(x[c] - m);
        }
        args[1].f[r] = m == -INFINITY ? m : m + log(l);
    }
    return n == 2;
}

/* Exact: zeros and -inf, the number of zeros a power of two where N is one. (Zeros, because beyond
 * the row's end the interpreter sees a zero, too, and would call exp of another difference
 * inexact.) Else rows around 0, +300 and -300 in turn, here and there -inf, every fifth row full of
 * it: what forgets the row's greatest overflows, or sums zeros. */
static void softmax_inputs(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    int64_t cols = args[0].extent[1];
    for (int64_t i = 0; i < args[0].count; i++) {
        int64_t row = i / cols;
        double *x = &args[0].f[i];
        if (r->exact) {
            *x = i % cols % 2 == 0 ? 0 : -INFINITY;
        } else if (!r->full) {
            bool none = row % 5 == 4 || tgk_random_below(r, 11) == 0;
            *x = none ? -INFINITY : *x * 3 + (double)((row + 1) % 3 - 1) * 300;
        }
    }
}

/*
 * Bounds. add: one rounding of f32, then one of T: 1 ulp. silu*mul: exp within 2 ulp, 1 + e, one
 * division, one product in f32 and the final rounding: below 4 ulp of T. softmax: relative error of
 * the f32 sum of N terms is at most N * 2^-24 by any order, plus exp: judged absolutely at 1e-6
 * (values <= 1). row sums: N * 2^-24 * sum|x| at most; the cases keep N <= 4097, N(0,1): 4097^2 *
 * 2^-24 < 1.1 worst, and pairwise lanes bring the true error below 1e-3, so calc_diff 1e-10 is both
 * safe and sharp. logsumexp: the sum's relative error N * 2^-24, exp and log within a few ulp, then
 * m + log(l) rounded once: the lse rule.
 */
const tgk_reference tgk_elementwise_references[] = {
    {"add", add, NULL, false, {{"c", TGK_TOL_ULP, 1, 0}}},
    {"silu_mul", silu_mul, NULL, false, {{"y", TGK_TOL_ULP, 4, 1e-30}}},
    {"softmax", softmax, softmax_inputs, true, {{"y", TGK_TOL_ULP, 1, 1e-6}}},
    {"logsumexp", logsumexp, softmax_inputs, false, {{"y", TGK_TOL_LSE, 0, 0}}},
    {"transpose", transpose, NULL, false, {{"y", TGK_TOL_EXACT, 0, 0}}},
    {"row_reduce",
     row_reduce,
     NULL,
     false,
     {{"total", TGK_TOL_CALC_DIFF, 1e-10, 0}, {"largest", TGK_TOL_EXACT, 0, 0}}},
    {0},
};
