/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: products of block-scaled operands (moe.md sections 1 and 3) against the dequantised
 * numbers: code times the scale of its block, for NVFP4 over the tensor's global scale. B, the
 * block, is the case's setting of that name.
 */
#include "kernels/gemm/gemm_ref.h"

static int64_t block(const tgk_arg *args) { return tgk_constant_of(args, "B", 128); }

static tgk_term scaled(const tgk_arg *codes, const tgk_arg *scales, int64_t group, int64_t row,
                       int64_t k, int64_t rows_each, int64_t k_each) {
    return tgk_exact(tgk_at(codes, group, row, k) *
                     tgk_at(scales, group, row / rows_each, k / k_each));
}

tgk_term tgk_fp8_a(const tgk_arg *args, int64_t group, int64_t row, int64_t k) {
    return scaled(&args[0], &args[1], group, row, k, 1, block(args));
}

tgk_term tgk_fp8_b(const tgk_arg *args, int64_t group, int64_t row, int64_t k) {
    return scaled(&args[2], &args[3], group, row, k, block(args), block(args));
}

static tgk_term rows_b(const tgk_arg *args, int64_t group, int64_t row, int64_t k) {
    return scaled(&args[2], &args[3], group, row, k, 1, block(args));
}

tgk_term tgk_mx_b(const tgk_arg *args, int64_t group, int64_t row, int64_t k) {
    return scaled(&args[2], &args[3], group, row, k, 1, 32);
}

static tgk_term nv_a(const tgk_arg *args, int64_t group, int64_t row, int64_t k) {
    tgk_term t = scaled(&args[0], &args[1], group, row, k, 1, 16);
    return tgk_exact(t.value / tgk_float(&args[2]));
}

static tgk_term nv_b(const tgk_arg *args, int64_t group, int64_t row, int64_t k) {
    tgk_term t = scaled(&args[3], &args[4], group, row, k, 1, 16);
    return tgk_exact(t.value / tgk_float(&args[5]));
}

static bool product(tgk_arg *args, int n, int want, tgk_element *a, tgk_element *b, int b_at) {
    tgk_product p = {.a = a, .b = b, .last = args[0].extent[1], .cols = args[b_at].extent[0]};
    return n == want && tgk_product_all(args, n, args[0].extent[0], &p);
}

/* gemm_fp8(a: [M, K], sa: [M, K/B], b: [N, K], sb: [N/B, K/B], out c: [M, N]) */
bool tgk_ref_gemm_fp8(tgk_arg *args, int n) { return product(args, n, 5, tgk_fp8_a, tgk_fp8_b, 2); }

/* gemm_fp8_rows: sb: [N, K/B] */
bool tgk_ref_gemm_fp8_rows(tgk_arg *args, int n) {
    return product(args, n, 5, tgk_fp8_a, rows_b, 2);
}

/* gemm_fp8_fp4: b: e2m1 [N, K], sb: e8m0 [N, K/32] */
bool tgk_ref_gemm_fp8_fp4(tgk_arg *args, int n) {
    return product(args, n, 5, tgk_fp8_a, tgk_mx_b, 2);
}

/* gemm_nvfp4(a: e2m1 [M, K], sa: e4m3 [M, K/16], ga, b, sb, gb, out c): code * s / g */
bool tgk_ref_gemm_nvfp4(tgk_arg *args, int n) { return product(args, n, 7, nv_a, nv_b, 3); }
