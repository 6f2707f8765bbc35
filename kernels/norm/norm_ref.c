/* SPDX-License-Identifier: Apache-2.0 */
/* References: RMSNorm, with and without the residual (moe.md section 7; the weight is applied
 * before the final cast, as DeepSeek does). */
#include "kernels/reference.h"

#include <math.h>

static void normalise(const double *x, const double *g, double eps, double *y, int64_t cols) {
    double ss = 0;
    for (int64_t c = 0; c < cols; c++) {
        ss += x[c] * x[c];
    }
    double r = 1 / sqrt(ss / (double)cols + eps);
    for (int64_t c = 0; c < cols; c++) {
        y[c] = x[c] * r * g[c];
    }
}

/* rmsnorm(x: [M, D], g: [D], eps, out y: [M, D]) */
static bool rmsnorm(tgk_arg *args, int n) {
    if (n != 4) {
        return false;
    }
    int64_t rows = args[0].extent[0], cols = args[0].extent[1];
    for (int64_t r = 0; r < rows; r++) {
        normalise(args[0].f + r * cols, args[1].f, tgk_float(&args[2]), args[3].f + r * cols, cols);
    }
    return true;
}

/* rmsnorm_residual(x: [M, D], inout res: [M, D], g: [D], eps, out y: [M, D]):
 * r = x + res in f32; res := r; y = rmsnorm(r). */
static bool rmsnorm_residual(tgk_arg *args, int n) {
    if (n != 5) {
        return false;
    }
    int64_t rows = args[0].extent[0], cols = args[0].extent[1];
    for (int64_t r = 0; r < rows; r++) {
        double *sum = args[1].f + r * cols;
        for (int64_t c = 0; c < cols; c++) {
            sum[c] = (double)(float)(args[0].f[r * cols + c] + sum[c]);
        }
        normalise(sum, args[2].f, tgk_float(&args[3]), args[4].f + r * cols, cols);
    }
    return true;
}

/* Exact: magnitudes of 2 (1 + 1 with the residual), so that the mean of squares is 4 and rsqrt(4)
 * is 1/2. */
static void inputs(tgk_arg *args, int n, tgk_random *r) {
    for (int a = 0; a < n && r->exact; a++) {
        for (int64_t i = 0; args[a].rank > 0 && i < args[a].count; i++) {
            args[a].f[i] = n == 5 && a < 2 ? 1 : tgk_random_below(r, 2) == 0 ? 2 : -2;
        }
    }
}

/* f32: the sum of squares has relative error below D*2^-24 only in the worst case; with vector
 * lanes it stays under 16 * 2^-24, halved by the square root; two products and rsqrt add 3: 12 ulp
 * of f32, and 1 ulp of a 16-bit type (moe.md section 13). */
const tgk_reference tgk_norm_references[] = {
    {"rmsnorm", rmsnorm, inputs, true, {{"y", TGK_TOL_ULP, 1, 1e-6}}},
    {"rmsnorm_residual",
     rmsnorm_residual,
     inputs,
     true,
     {{"res", TGK_TOL_ULP, 1, 0}, {"y", TGK_TOL_ULP, 1, 1e-6}}},
    {0},
};
