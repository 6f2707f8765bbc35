/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: y = x w^T with quantised weights. The ggml blocks follow the published descriptions
 * (ggml-common.h, dequantize_row_*): q8_0 {f16 d, i8 q[32]}, q4_0 {f16 d, u8 q[16]}, mxfp4 {u8 e,
 * u8 q[16]} with the low nibbles first, q4_K {f16 d, f16 dmin, u8 scales[12], u8 q[128]}.
 */
#include "kernels/gemm/gemm_ref.h"
#include "kernels/rounding.h"

#include <math.h>
#include <string.h>

static tgk_term times(const tgk_arg *w, const tgk_arg *s, int64_t row, int64_t k, int64_t rows_each,
                      int64_t k_each) {
    return tgk_exact(tgk_at(w, 0, row, k) * tgk_at(s, 0, row / rows_each, k / k_each));
}

static int64_t block(const tgk_arg *args) { return tgk_constant_of(args, "B", 128); }

/* linear_w8: i8 [N, K], s: [N] */
static tgk_term w8(const tgk_arg *args, int64_t group, int64_t row, int64_t k) {
    return tgk_exact(tgk_at(&args[1], group, row, k) * args[2].f[row]);
}

static tgk_term i4(const tgk_arg *args, int64_t group, int64_t row, int64_t k) {
    (void)group;
    return times(&args[1], &args[2], row, k, 1, block(args));
}

static tgk_term u4(const tgk_arg *args, int64_t group, int64_t row, int64_t k) {
    double q = tgk_at(&args[1], group, row, k) - tgk_at(&args[3], group, row, k / block(args));
    return tgk_exact(q * tgk_at(&args[2], group, row, k / block(args)));
}

static tgk_term mxfp4(const tgk_arg *args, int64_t group, int64_t row, int64_t k) {
    (void)group;
    return times(&args[1], &args[2], row, k, 1, 32);
}

static tgk_term nvfp4(const tgk_arg *args, int64_t group, int64_t row, int64_t k) {
    (void)group;
    return tgk_exact(times(&args[1], &args[2], row, k, 1, 16).value / tgk_float(&args[3]));
}

static tgk_term fp8(const tgk_arg *args, int64_t group, int64_t row, int64_t k) {
    (void)group;
    return times(&args[1], &args[2], row, k, block(args), block(args));
}

/* ---- ggml -------------------------------------------------------------------------------------
 */

static double half(const unsigned char *p) {
    int bits = p[0] | p[1] << 8, e = bits >> 10 & 31, m = bits & 1023;
    double v = e == 0 ? ldexp(m, -24) : ldexp(1024 + m, e - 25);
    return (bits & 0x8000) != 0 ? -v : v;
}

static const unsigned char *block_at(const tgk_arg *w, int64_t row, int64_t k, int64_t each) {
    return w->bytes + (row * w->extent[1] + k / each) * w->elem_bytes;
}

/* Element i of 16 bytes with the low nibbles first. */
static int nibble(const unsigned char *q, int64_t i) { return i < 16 ? q[i] & 15 : q[i - 16] >> 4; }

static tgk_term q8_0_of(const tgk_arg *arg, int64_t row, int64_t k) {
    const unsigned char *p = block_at(arg, row, k, 32);
    return tgk_exact(half(p) * (double)(signed char)p[2 + k % 32]);
}

static tgk_term q8_0(const tgk_arg *args, int64_t group, int64_t row, int64_t k) {
    (void)group;
    return q8_0_of(&args[1], row, k);
}

/* Activations in blocks of 8 bits. */
static tgk_term q8_0_a(const tgk_arg *args, int64_t group, int64_t row, int64_t k) {
    (void)group;
    return q8_0_of(&args[0], row, k);
}

static tgk_term q4_0(const tgk_arg *args, int64_t group, int64_t row, int64_t k) {
    (void)group;
    const unsigned char *p = block_at(&args[1], row, k, 32);
    return tgk_exact(half(p) * (nibble(p + 2, k % 32) - 8));
}

static tgk_term ggml_mxfp4(const tgk_arg *args, int64_t group, int64_t row, int64_t k) {
    static const double doubled[] = {0, 1, 2, 3, 4, 6, 8, 12};
    (void)group;
    const unsigned char *p = block_at(&args[1], row, k, 32);
    int q = nibble(p + 1, k % 32);
    return tgk_exact((q < 8 ? 1 : -1) * ldexp(doubled[q & 7], p[0] - 128));
}

/* get_scale_min_k4 of ggml-quants.c */
static void scale_min(const unsigned char *q, int64_t j, int *scale, int *least) {
    if (j < 4) {
        *scale = q[j] & 63;
        *least = q[j + 4] & 63;
    } else {
        *scale = (q[j + 4] & 15) | (q[j - 4] >> 6) << 4;
        *least = q[j + 4] >> 4 | (q[j] >> 6) << 4;
    }
}

/* dequantize_row_q4_K: 64 weights share 32 bytes, the first 32 in the low nibbles. */
static tgk_term q4_K(const tgk_arg *args, int64_t group, int64_t row, int64_t k) {
    (void)group;
    const unsigned char *p = block_at(&args[1], row, k, 256);
    int64_t i = k % 256;
    int byte = p[16 + i / 64 * 32 + i % 32], q = i % 64 < 32 ? byte & 15 : byte >> 4, s, m;
    scale_min(p + 4, i / 32, &s, &m);
    double up = half(p) * s * q, down = half(p + 2) * m;
    return (tgk_term){up - down, fabs(up) + fabs(down)};
}

/* ---- kernels ----------------------------------------------------------------------------------
 */

static bool product(tgk_arg *args, int n, int want, tgk_element *w) {
    tgk_product p = {
        .a = tgk_plain_a, .b = w, .last = args[0].extent[1], .cols = args[1].extent[0]};
    return n == want && tgk_product_all(args, n, args[0].extent[0], &p);
}

bool tgk_ref_linear_w8(tgk_arg *args, int n) { return product(args, n, 4, w8); }
bool tgk_ref_linear_i4(tgk_arg *args, int n) { return product(args, n, 4, i4); }
bool tgk_ref_linear_u4(tgk_arg *args, int n) { return product(args, n, 5, u4); }
bool tgk_ref_linear_mxfp4(tgk_arg *args, int n) { return product(args, n, 4, mxfp4); }
bool tgk_ref_linear_nvfp4(tgk_arg *args, int n) { return product(args, n, 5, nvfp4); }
bool tgk_ref_linear_fp8(tgk_arg *args, int n) { return product(args, n, 4, fp8); }
bool tgk_ref_linear_q8_0(tgk_arg *args, int n) { return product(args, n, 3, q8_0); }
bool tgk_ref_linear_q4_0(tgk_arg *args, int n) { return product(args, n, 3, q4_0); }
bool tgk_ref_linear_q4_K(tgk_arg *args, int n) { return product(args, n, 3, q4_K); }
bool tgk_ref_linear_ggml_mxfp4(tgk_arg *args, int n) { return product(args, n, 3, ggml_mxfp4); }

static bool by_bytes(tgk_arg *args, int n, tgk_element *w) {
    tgk_product p = {
        .a = q8_0_a, .b = w, .last = args[0].extent[1] * 32, .cols = args[1].extent[0]};
    return n == 3 && tgk_product_all(args, n, args[0].extent[0], &p);
}

bool tgk_ref_linear_q8_0_q8_0(tgk_arg *args, int n) { return by_bytes(args, n, q8_0); }
bool tgk_ref_linear_q4_0_q8_0(tgk_arg *args, int n) { return by_bytes(args, n, q4_0); }
bool tgk_ref_linear_mxfp4_q8_0(tgk_arg *args, int n) { return by_bytes(args, n, ggml_mxfp4); }

/* A power of two near 1 as f16, with other bits below it outside the exact mode. */
static void put_half(unsigned char *p, tgk_random *r) {
    int64_t e = r->exact ? 15 + tgk_random_below(r, 2) : 9 + tgk_random_below(r, 13);
    int64_t bits = e << 10 | (r->exact ? 0 : tgk_random_below(r, 1024));
    p[0] = (unsigned char)bits;
    p[1] = (unsigned char)(bits >> 8 | (tgk_random_below(r, 2) << 7));
}

/* Blocks of any bits but their scales'. */
static void put_blocks(tgk_arg *w, tgk_random *r) {
    for (int64_t i = 0; i < w->count; i++) {
        unsigned char *p = w->bytes + i * w->elem_bytes;
        for (int64_t b = 0; b < w->elem_bytes; b++) {
            p[b] = (unsigned char)tgk_random_u64(r);
        }
        if (w->elem_bytes == 17) {
            p[0] = (unsigned char)(127 + (r->exact ? 1 + tgk_random_below(r, 2)
                                                   : tgk_random_below(r, 13) - 6));
        } else {
            put_half(p, r);
        }
        if (w->elem_bytes == 144) {
            put_half(p + 2, r);
        }
    }
}

void tgk_ggml_inputs(tgk_arg *args, int n, tgk_random *r) {
    tgk_gemm_inputs(args, n, r);
    for (int a = 0; a < 2; a++) {
        if (args[a].bytes != NULL) {
            put_blocks(&args[a], r);
        }
    }
}

/* ---- quantising -------------------------------------------------------------------------------
 */

/* A number that f16 holds, not negative. */
static void put_f16(unsigned char *p, double v) {
    int e;
    (void)frexp(v, &e);
    int bits = e < -13 ? (int)ldexp(v, 24) : (e + 14) << 10 | ((int)ldexp(v, 11 - e) - 1024);
    p[0] = (unsigned char)bits;
    p[1] = (unsigned char)(bits >> 8);
}

/* Is a code, or the scale, of the 32 elements so near a tie that f32 may round it the other way?
 * The kernel's quotient by 127, its reciprocal and its product are off by half a unit each. */
static bool is_near_tie(const double *x) {
    const tgk_format f16 = {10, -14, INFINITY};
    double most = 0;
    for (int e = 0; e < 32; e++) {
        most = fmax(most, fabs(x[e]));
    }
    bool near = tgk_round_slack(most / 127, most / 127 * 0x1p-22, &f16) > 0;
    for (int e = 0; e < 32 && most > 0; e++) {
        double code = fabs(x[e]) * 127 / most;
        near = near || fabs(code - floor(code) - 0.5) < 127 * 0x1p-22;
    }
    return near;
}

/* N(0, 1) but for blocks near a tie, which are drawn again: bf16 has exact ones. */
void tgk_quantise_inputs(tgk_arg *args, int n, tgk_random *r) {
    const tgk_format f32 = {23, -126, INFINITY}, f16 = {10, -14, INFINITY};
    tg_dtype t = args[0].dtype;
    const tgk_format *f = t == TG_DT_BF16 ? &TGK_BF16 : t == TG_DT_F16 ? &f16 : &f32;
    int64_t drawn = n > 0 ? tgk_drawn(&args[0], r) : 0;
    for (int64_t b = 0; b + 32 <= drawn; b += 32) {
        do {
            for (int64_t e = b; e < b + 32; e++) {
                args[0].f[e] = tgk_round_to(tgk_random_normal(r), f);
            }
        } while (is_near_tie(args[0].f + b));
    }
    if (drawn > 0) {
        tgk_repeat(&args[0], drawn - drawn % 32);
    }
}

/* quantize_row_q8_0: d is the largest magnitude by 127, in f16; codes by d before it was rounded.
 */
bool tgk_ref_quantise_q8_0(tgk_arg *args, int n) {
    for (int64_t i = 0; n == 2 && i < args[1].count; i++) {
        const double *x = args[0].f + i * 32;
        unsigned char *p = args[1].bytes + i * args[1].elem_bytes;
        double most = 0;
        for (int e = 0; e < 32; e++) {
            most = fmax(most, fabs(x[e]));
        }
        double d = most / 127;
        put_f16(p, tgk_round_to(d, &(tgk_format){10, -14, INFINITY}));
        for (int e = 0; e < 32; e++) {
            p[2 + e] = (unsigned char)(signed char)(d > 0 ? rint(x[e] / d) : 0);
        }
    }
    return n == 2;
}
