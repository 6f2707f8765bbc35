/* SPDX-License-Identifier: Apache-2.0 */
/* References: RMSNorm in its forms (moe.md section 7), LayerNorm of the lightning indexer's keys.
 */
#include "kernels/rounding.h"

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

/* What the f32 arithmetic of a norm may be off, relative to the element: the sum of squares in
 * lanes 16 units of 2^-24, halved by the root, rsqrt 1.5, two products 1. */
static const double NORM_ERROR = 12 * 0x1p-24;

/* rmsnorm_cast(x, g, eps, out y): x * rsqrt(..) is rounded to T, then the product with g again. */
static bool rmsnorm_cast(tgk_arg *args, int n) {
    if (n != 4 || tgk_make_slack(&args[3]) == NULL) {
        return false;
    }
    static const tgk_format f16 = {10, -14, INFINITY};
    const tgk_format *f = args[0].dtype == TG_DT_F16 ? &f16 : &TGK_BF16;
    int64_t rows = args[0].extent[0], cols = args[0].extent[1];
    for (int64_t r = 0; r < rows; r++) {
        const double *x = args[0].f + r * cols, *g = args[1].f;
        double ss = 0;
        for (int64_t c = 0; c < cols; c++) {
            ss += x[c] * x[c];
        }
        double scale = 1 / sqrt(ss / (double)cols + tgk_float(&args[2]));
        for (int64_t c = 0; c < cols; c++) {
            double v = x[c] * scale;
            args[3].f[r * cols + c] = tgk_round_to(v, f) * g[c];
            args[3].slack[r * cols + c] =
                tgk_round_slack(v, fabs(v) * NORM_ERROR, f) * fabs(g[c]) * 1.01;
        }
    }
    return true;
}

/* res := x + res in f32 */
static void add_residual(tgk_arg *args, int64_t first, int64_t cols) {
    for (int64_t c = first; c < first + cols; c++) {
        args[1].f[c] = (double)(float)(args[0].f[c] + args[1].f[c]);
    }
}

/* rmsnorm_residual(x: [M, D], inout res: [M, D], g: [D], eps, out y: [M, D]) */
static bool rmsnorm_residual(tgk_arg *args, int n) {
    if (n != 5) {
        return false;
    }
    int64_t rows = args[0].extent[0], cols = args[0].extent[1];
    for (int64_t r = 0; r < rows; r++) {
        double *sum = args[1].f + r * cols;
        add_residual(args, r * cols, cols);
        normalise(sum, args[2].f, tgk_float(&args[3]), args[4].f + r * cols, cols);
    }
    return true;
}

static double largest_of(const double *y, int64_t n) {
    double amax = 1e-4; /* the floor of e4m3 */
    for (int64_t c = 0; c < n; c++) {
        amax = fmax(amax, fabs(y[c]));
    }
    return amax;
}

/* One row y (overwritten) to codes and scales; scales as exponent bytes or f32. */
static void quantise_row(double *y, int64_t cols, int64_t block, tgk_arg *q, tgk_arg *sf,
                         int64_t row) {
    int64_t groups = (cols + block - 1) / block;
    for (int64_t b = 0; b < groups; b++) {
        int64_t first = b * block, last = first + block < cols ? first + block : cols;
        double amax = largest_of(y + first, last - first), inverse = 448 / amax;
        if (sf->i != NULL) {
            int e = tgk_e8m0_ceil(amax / 448);
            sf->i[row * groups + b] = e;
            inverse = ldexp(1, 127 - e);
        } else {
            sf->f[row * groups + b] = amax / 448;
        }
        for (int64_t c = first; c < last; c++) {
            double v = y[c] * inverse;
            q->f[row * cols + c] = tgk_round_to(v, &TGK_E4M3);
            q->slack[row * cols + c] = tgk_round_slack(v, fabs(v) * 2 * NORM_ERROR, &TGK_E4M3);
        }
    }
}

/* The quantising kernels: (x, [inout res,] g, eps, out q, out sf). B follows from sf's extent only
 * up to rounding, so groups are cdiv(D, B) with B a power of two. */
static int64_t block_of(int64_t cols, int64_t groups) {
    for (int64_t b = 16;; b *= 2) {
        if ((cols + b - 1) / b <= groups) {
            return b;
        }
    }
}

static bool rmsnorm_quant(tgk_arg *args, int n) {
    bool res = n == 6;
    tgk_arg *q = &args[n - 2], *sf = &args[n - 1];
    int64_t rows = q->extent[0], cols = q->extent[1], block = block_of(cols, sf->extent[1]);
    double *y = malloc((size_t)(cols + 1) * sizeof *y);
    if (n < 5 || y == NULL || tgk_make_slack(q) == NULL) {
        free(y);
        return false;
    }
    for (int64_t r = 0; r < rows; r++) {
        if (res) {
            add_residual(args, r * cols, cols);
        }
        normalise(args[res].f + r * cols, args[1 + res].f, tgk_float(&args[2 + res]), y, cols);
        quantise_row(y, cols, block, q, sf, r);
    }
    free(y);
    return true;
}

/* layernorm(x: [M, D], g: [D], b: [D], eps, out y: [M, D]) */
static bool layernorm(tgk_arg *args, int n) {
    if (n != 5 || tgk_make_slack(&args[4]) == NULL) {
        return false;
    }
    int64_t rows = args[0].extent[0], cols = args[0].extent[1];
    for (int64_t r = 0; r < rows; r++) {
        const double *x = args[0].f + r * cols;
        double mean = 0, var = 0, spread = 0;
        for (int64_t c = 0; c < cols; c++) {
            mean += x[c] / (double)cols;
            spread += fabs(x[c]) / (double)cols;
        }
        for (int64_t c = 0; c < cols; c++) {
            var += (x[c] - mean) * (x[c] - mean) / (double)cols;
        }
        double scale = 1 / sqrt(var + tgk_float(&args[3]));
        for (int64_t c = 0; c < cols; c++) {
            double v = (x[c] - mean) * scale * args[1].f[c];
            args[4].f[r * cols + c] = v + args[2].f[c];
            /* the mean is off by 16 * 2^-24 of mean |x|, seen through scale and g */
            args[4].slack[r * cols + c] = fabs(v) * 2 * NORM_ERROR + (16 * spread + fabs(x[c])) *
                                                                         0x1p-24 * scale *
                                                                         fabs(args[1].f[c]);
        }
    }
    return true;
}

/* Exact: magnitudes of 2 (1 + 1 with the residual), so that the mean of squares is 4 and rsqrt(4)
 * is 1/2. Else: a row of zeros, rows of very small and of large values (eps 1e-20 and 1e-6 differ
 * there), columns that differ in magnitude by blocks of 32. */
static void inputs(tgk_arg *args, int n, tgk_random *r) {
    bool residual = args[1].rank == 2;
    int64_t cols = args[0].extent[1];
    for (int a = 0; a < n && r->exact; a++) {
        for (int64_t i = 0; args[a].rank > 0 && args[a].f != NULL && i < args[a].count; i++) {
            args[a].f[i] = residual && a < 2 ? 1 : tgk_random_below(r, 2) == 0 ? 2 : -2;
        }
    }
    for (int a = 0; a <= residual && !r->exact && args[0].dtype != TG_DT_F16; a++) {
        for (int64_t i = 0; i < args[a].count; i++) {
            int64_t row = i / cols, block = i % cols / 32;
            double scale = row % 8 == 1 ? 0 : row % 8 == 2 ? 0x1p-24 : row % 8 == 3 ? 0x1p10 : 1;
            args[a].f[i] *= scale * ldexp(1, (int)((row * 7 + block * 5) % 13) - 6);
        }
    }
}

/* As inputs, and no scale near a power of two: what may move the exponent is moved away. The block
 * is at least 32 columns; its largest element grows until amax / 448 is clear. */
static void quant_inputs(tgk_arg *args, int n, tgk_random *r) {
    bool res = n == 6;
    int64_t rows = args[0].extent[0], cols = args[0].extent[1];
    int64_t groups = args[n - 1].extent[1], block = block_of(cols, groups);
    double *y = malloc((size_t)(cols + 1) * sizeof *y), *x = malloc((size_t)(cols + 1) * sizeof *x);
    inputs(args, n, r);
    for (int64_t row = 0; row < rows && y != NULL && x != NULL; row++) {
        bool clear = false;
        for (int round = 0; round < 50 && !clear; round++) {
            clear = true;
            for (int64_t c = 0; c < cols; c++) {
                int64_t i = row * cols + c;
                x[c] = args[0].f[i] + (res ? args[1].f[i] : 0);
            }
            normalise(x, args[1 + res].f, tgk_float(&args[2 + res]), y, cols);
            for (int64_t b = 0; b < groups; b++) {
                int64_t first = b * block, last = first + block < cols ? first + block : cols;
                double s = largest_of(y + first, last - first) / 448;
                if (tgk_e8m0_ceil(s * (1 - 1e-5)) != tgk_e8m0_ceil(s * (1 + 1e-5))) {
                    clear = false;
                    for (int64_t c = first; c < last; c++) {
                        args[0].f[row * cols + c] *= 1.125;
                    }
                }
            }
        }
    }
    free(x);
    free(y);
}

/* f32: the sum of squares has relative error below D*2^-24 only in the worst case; with vector
 * lanes it stays under 16 * 2^-24, halved by the square root; two products and rsqrt add 3: 12 ulp
 * of f32, and 1 ulp of a 16-bit type (moe.md section 13). Quantised data: equal, but for elements
 * whose scaled value is within that error of a rounding tie; f32 scales: the same 12 ulp. */
const tgk_reference tgk_norm_references[] = {
    {"rmsnorm", rmsnorm, inputs, true, {{"y", TGK_TOL_ULP, 1, 1e-6}}},
    {"rmsnorm_cast", rmsnorm_cast, inputs, true, {{"y", TGK_TOL_ULP, 0.501, 0}}},
    {"rmsnorm_residual",
     rmsnorm_residual,
     inputs,
     true,
     {{"res", TGK_TOL_ULP, 1, 0}, {"y", TGK_TOL_ULP, 1, 1e-6}}},
    {"rmsnorm_quant",
     rmsnorm_quant,
     quant_inputs,
     true,
     {{"q", TGK_TOL_ULP, 0, 0}, {"sf", TGK_TOL_EXACT, 0, 0}}},
    {"rmsnorm_quant_f32",
     rmsnorm_quant,
     inputs,
     true,
     {{"q", TGK_TOL_ULP, 0, 0}, {"sf", TGK_TOL_ULP, 13, 0}}},
    {"rmsnorm_residual_quant",
     rmsnorm_quant,
     quant_inputs,
     true,
     {{"res", TGK_TOL_ULP, 1, 0}, {"q", TGK_TOL_ULP, 0, 0}, {"sf", TGK_TOL_EXACT, 0, 0}}},
    {"layernorm", layernorm, inputs, false, {{"y", TGK_TOL_ULP, 0.501, 1e-30}}},
    {0},
};
