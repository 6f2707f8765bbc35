/* SPDX-License-Identifier: Apache-2.0 */
/* References: matrix products (moe.md section 3): plain, transposed weights, epilogues, int8, fp8
 * blocks. */
#include "kernels/reference.h"

#include <math.h>

/* matmul(a: [M, K], b: [K, N], out c: [M, N]) */
static bool matmul(tgk_arg *args, int n) {
    if (n != 3) {
        return false;
    }
    int64_t rows = args[0].extent[0], depth = args[0].extent[1], cols = args[1].extent[1];
    for (int64_t i = 0; i < rows; i++) {
        double *c = args[2].f + i * cols;
        for (int64_t j = 0; j < cols; j++) {
            c[j] = 0;
        }
        for (int64_t k = 0; k < depth; k++) {
            double a = args[0].f[i * depth + k];
            const double *b = args[1].f + k * cols;
            for (int64_t j = 0; j < cols; j++) {
                c[j] += a * b[j];
            }
        }
    }
    return true;
}

static double row_dot(const double *a, const double *b, int64_t depth) {
    double sum = 0;
    for (int64_t k = 0; k < depth; k++) {
        sum += a[k] * b[k];
    }
    return sum;
}

/* What a product's element i, j becomes; args are the kernel's. */
typedef double finish_fn(const tgk_arg *args, double v, int64_t i, int64_t j);

/* y = finish(x w^T) for x: [M, K], w: [N, K] and the output as last argument. */
static bool transposed_product(tgk_arg *args, int n, int want_n, finish_fn *finish) {
    if (n != want_n) {
        return false;
    }
    int64_t rows = args[0].extent[0], depth = args[0].extent[1], cols = args[1].extent[0];
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < cols; j++) {
            double v = row_dot(args[0].f + i * depth, args[1].f + j * depth, depth);
            args[n - 1].f[i * cols + j] = finish(args, v, i, j);
        }
    }
    return true;
}

static double as_is(const tgk_arg *args, double v, int64_t i, int64_t j) {
    (void)args;
    (void)i;
    (void)j;
    return v;
}

static double silu_of_biased(const tgk_arg *args, double v, int64_t i, int64_t j) {
    (void)i;
    v += args[2].f[j];
    return v / (1 + exp(-v));
}

static double plus_residual(const tgk_arg *args, double v, int64_t i, int64_t j) {
    return v + args[2].f[i * args[1].extent[0] + j];
}

/* linear(x: [M, K], w: [N, K], out y: [M, N]): y = x w^T */
static bool linear(tgk_arg *args, int n) { return transposed_product(args, n, 3, as_is); }

/* linear_silu(x: [M, K], w: [N, K], bias: [N], out y: [M, N]): y = silu(x w^T + bias) */
static bool linear_silu(tgk_arg *args, int n) {
    return transposed_product(args, n, 4, silu_of_biased);
}

/* linear_residual(x: [M, K], w: [N, K], res: [M, N], out y: [M, N]): y = x w^T + res */
static bool linear_residual(tgk_arg *args, int n) {
    return transposed_product(args, n, 4, plus_residual);
}

static int64_t row_dot_i(const int64_t *a, const int64_t *b, int64_t depth) {
    int64_t sum = 0;
    for (int64_t k = 0; k < depth; k++) {
        sum += a[k] * b[k];
    }
    return sum;
}

/* matmul_i8(a: i8[M, K], b: i8[N, K], out c: i32[M, N]) */
static bool matmul_i8(tgk_arg *args, int n) {
    if (n != 3) {
        return false;
    }
    int64_t rows = args[0].extent[0], depth = args[0].extent[1], cols = args[1].extent[0];
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < cols; j++) {
            int64_t sum = row_dot_i(args[0].i + i * depth, args[1].i + j * depth, depth);
            args[2].i[i * cols + j] = (int32_t)(uint32_t)(uint64_t)sum;
        }
    }
    return true;
}

/* linear_i8(x: i8[M, K], w: i8[N, K], sx: f32[M], sw: f32[N], out y: [M, N]): y = (x w^T) sx sw */
static bool linear_i8(tgk_arg *args, int n) {
    if (n != 5) {
        return false;
    }
    int64_t rows = args[0].extent[0], depth = args[0].extent[1], cols = args[1].extent[0];
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < cols; j++) {
            int64_t sum = row_dot_i(args[0].i + i * depth, args[1].i + j * depth, depth);
            args[4].f[i * cols + j] = (double)sum * args[2].f[i] * args[3].f[j];
        }
    }
    return true;
}

static void inputs_i8(tgk_arg *args, int n, tgk_random *r) {
    for (int a = 0; a < n; a++) {
        for (int64_t i = 0; i < args[a].count && !args[a].is_out; i++) {
            if (args[a].i != NULL) {
                args[a].i[i] = tgk_random_below(r, 256) - 128;
            } else {
                args[a].f[i] = exp2(tgk_random_uniform(r) * 4 - 8);
            }
        }
    }
}

/*
 * gemm_fp8(a: e4m3[M, K], sa: f32[M, cdiv(K,B)], b: e4m3[N, K], sb: f32[cdiv(N,B), cdiv(K,B)],
 * out c: [M, N]): every B of K is scaled by sa[i, k/B] * sb[j/B, k/B]. Against dequantised
 * operands.
 */
static bool gemm_fp8(tgk_arg *args, int n) {
    if (n != 5) {
        return false;
    }
    const tgk_arg *a = &args[0], *sa = &args[1], *b = &args[2], *sb = &args[3];
    int64_t rows = a->extent[0], depth = a->extent[1], cols = b->extent[0], blocks = sa->extent[1];
    /* The smallest power of two for which both scale tensors cover their operands; a larger one
     * that gives the same scale shapes indexes them alike. */
    int64_t block = 16;
    while (block * blocks < depth || block * sb->extent[0] < cols) {
        block *= 2;
    }
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < cols; j++) {
            double sum = 0;
            for (int64_t k = 0; k < depth; k++) {
                double scale =
                    sa->f[i * blocks + k / block] * sb->f[j / block * blocks + k / block];
                sum += a->f[i * depth + k] * b->f[j * depth + k] * scale;
            }
            args[4].f[i * cols + j] = sum;
        }
    }
    return true;
}

/* Block magnitudes 2^U(-6,6): a neighbour's scale then shows (moe.md section 14.3). */
static void inputs_fp8(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    for (int64_t i = 0; i < args[0].count; i++) {
        args[0].f[i] = tgk_random_normal(r) * 32;
    }
    for (int64_t i = 0; i < args[2].count; i++) {
        args[2].f[i] = tgk_random_normal(r) * 32;
    }
    for (int s = 1; s <= 3; s += 2) {
        for (int64_t i = 0; i < args[s].count; i++) {
            args[s].f[i] = exp2(tgk_random_uniform(r) * 12 - 6);
        }
    }
}

/*
 * Output rounding dominates: half an ulp of the output type relative per element gives calc_diff of
 * at most (2^-9)^2 = 3.8e-6 for bf16 (1.4e-6 measured in moe.md 14.3), far less for the rest; the
 * f32 accumulation itself is below 1e-11 at these depths. moe.md section 3: 1e-5.
 */
#define RULE(out, bound) {{out, TGK_TOL_CALC_DIFF, bound, 0}}
const tgk_reference tgk_gemm_references[] = {
    {"matmul", matmul, NULL, false, RULE("c", 1e-5)},
    {"linear", linear, NULL, false, RULE("y", 1e-5)},
    {"linear_silu", linear_silu, NULL, false, RULE("y", 1e-5)},
    {"linear_residual", linear_residual, NULL, false, RULE("y", 1e-5)},
    {"matmul_i8", matmul_i8, inputs_i8, false, {{"c", TGK_TOL_EXACT, 0, 0}}},
    {"linear_i8", linear_i8, inputs_i8, false, RULE("y", 1e-5)},
    {"gemm_fp8", gemm_fp8, inputs_fp8, false, RULE("c", 1e-5)},
    {0},
};
