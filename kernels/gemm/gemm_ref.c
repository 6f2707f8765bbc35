/* SPDX-License-Identifier: Apache-2.0 */
/* References: matrix products (moe.md section 3): plain, transposed weights, epilogues, int8,
 * and the family's table. */
#include "kernels/gemm/gemm_ref.h"

#include <math.h>

static tgk_term columns_b(const tgk_arg *args, int64_t group, int64_t row, int64_t k) {
    return tgk_exact(tgk_at(&args[1], group, k, row));
}

/* matmul(a: [M, K], b: [K, N], out c: [M, N]) */
bool tgk_ref_matmul(tgk_arg *args, int n) {
    tgk_product p = {
        .a = tgk_plain_a, .b = columns_b, .last = args[0].extent[1], .cols = args[1].extent[1]};
    return n == 3 && tgk_product_all(args, n, args[0].extent[0], &p);
}

/* linear_acc(x: [M, K], w: [N, K], c: f32[M, N], out y: f32[M, N]): y = c + x w^T */
static tgk_term plus_third(const tgk_arg *args, tgk_term v, int64_t i, int64_t j) {
    double c = tgk_at(&args[2], 0, i, j);
    return (tgk_term){v.value + c, v.size + fabs(c)};
}

/* |silu'| is below 1.1, and silu itself rounds a few times. */
static tgk_term silu_of_biased(const tgk_arg *args, tgk_term v, int64_t i, int64_t j) {
    (void)i;
    double u = v.value + args[2].f[j], y = u / (1 + exp(-u));
    return (tgk_term){y, 1.1 * (v.size + fabs(args[2].f[j])) + fabs(y)};
}

/* y = finish(x w^T) for x: [M, K], w: [N, K] and the output as last argument. */
static bool transposed(tgk_arg *args, int n, int want_n, tgk_finish *finish) {
    tgk_product p = {.a = tgk_plain_a,
                     .b = tgk_plain_b,
                     .last = args[0].extent[1],
                     .cols = args[1].extent[0],
                     .finish = finish};
    return n == want_n && tgk_product_all(args, n, args[0].extent[0], &p);
}

/* linear(x: [M, K], w: [N, K], out y: [M, N]): y = x w^T; linear_wide: y in f32 */
bool tgk_ref_linear(tgk_arg *args, int n) { return transposed(args, n, 3, NULL); }
bool tgk_ref_linear_wide(tgk_arg *args, int n) { return transposed(args, n, 3, NULL); }

bool tgk_ref_linear_acc(tgk_arg *args, int n) { return transposed(args, n, 4, plus_third); }

/* linear_silu(x: [M, K], w: [N, K], bias: [N], out y: [M, N]): y = silu(x w^T + bias) */
bool tgk_ref_linear_silu(tgk_arg *args, int n) { return transposed(args, n, 4, silu_of_biased); }

/* linear_residual(x: [M, K], w: [N, K], res: [M, N], out y: [M, N]): y = x w^T + res */
bool tgk_ref_linear_residual(tgk_arg *args, int n) { return transposed(args, n, 4, plus_third); }

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

#define TGK_ROW(kernel, inputs, out, bound)                                                        \
    {#kernel, tgk_ref_##kernel, inputs, true, {{out, TGK_TOL_CALC_DIFF, bound, 0}}},
const tgk_reference tgk_gemm_references[] = {
#include "kernels/gemm/gemm_rows.def"
    {"matmul_i8", matmul_i8, inputs_i8, false, {{"c", TGK_TOL_EXACT, 0, 0}}},
    {"quantise_q8_0",
     tgk_ref_quantise_q8_0,
     tgk_quantise_inputs,
     false,
     {{"y", TGK_TOL_EXACT, 0, 0}}},
    {"linear_i8", linear_i8, inputs_i8, false, {{"y", TGK_TOL_CALC_DIFF, 1e-5, 0}}},
    {0},
};
