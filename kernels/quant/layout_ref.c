/* SPDX-License-Identifier: Apache-2.0 */
/* References: layouts of scales and codes (moe.md sections 1 and 2), index by index. */
#include "kernels/quant/quant_ref.h"

#include <math.h>

/* The byte of an element of an 8-bit type. */
static int64_t byte_of(const tgk_arg *a, int64_t at) {
    if (a->f == NULL) {
        return a->i[at];
    }
    double v = a->f[at];
    if (a->dtype == TG_DT_F8E8M0) {
        return ilogb(v) + 127;
    }
    for (int c = 0; c < 256; c++) {
        if (tgk_e4m3((uint8_t)c) == v && (signbit(v) != 0) == (c >= 128)) {
            return c;
        }
    }
    return 0x7f;
}

/* pack_columns(sf [M, K], out y [K, M up to 4]) */
bool tgq_pack_columns(tgk_arg *a, int n) {
    int64_t rows = a[0].extent[0], cols = a[0].extent[1], wide = a[1].extent[1];
    for (int64_t i = 0; i < a[1].count; i++) {
        a[1].f[i] = i % wide < rows ? a[0].f[i % wide * cols + i / wide] : 0;
    }
    return n == 2;
}

/* pack_words(sf [M, K], out y [K / 4 up, M up to 4]) */
bool tgq_pack_words(tgk_arg *a, int n) {
    int64_t rows = a[0].extent[0], cols = a[0].extent[1], wide = a[1].extent[1];
    for (int64_t i = 0; i < a[1].count; i++) {
        uint32_t w = 0;
        for (int64_t j = 0; j < 4; j++) {
            int64_t t = i % wide, k = i / wide * 4 + j;
            w |= t < rows && k < cols ? (uint32_t)byte_of(&a[0], t * cols + k) << (8 * j) : 0;
        }
        a[1].i[i] = (int32_t)w;
    }
    return n == 2;
}

/* pack_utccp(w [K, M], out y [K, M]): row 32 i + j of 128 goes to 4 j + i. */
bool tgq_pack_utccp(tgk_arg *a, int n) {
    for (int64_t i = 0; i < a[0].count; i++) {
        int64_t row = i % 128;
        a[1].i[i - row + row % 32 * 4 + row / 32] = a[0].i[i];
    }
    return n == 2;
}

/* swizzle_*(sf [M, K], out y [M / rows up, K / 4 up, rows in their order, 4]) */
static bool swizzle(tgk_arg *a, int n, int64_t tile, int64_t inner) {
    int64_t rows = a[0].extent[0], cols = a[0].extent[1], tiles = a[1].extent[1];
    for (int64_t i = 0; i < a[1].count; i++) {
        int64_t at = i % (tile * 4), block = i / (tile * 4), slot = at / 4, outer = tile / inner;
        int64_t t = block / tiles * tile + slot % outer * inner + slot / outer,
                k = block % tiles * 4 + at % 4;
        a[1].i[i] = t < rows && k < cols ? byte_of(&a[0], t * cols + k) : 0;
    }
    return n == 2;
}

bool tgq_swizzle_128x4(tgk_arg *a, int n) { return swizzle(a, n, 128, 32); }
bool tgq_swizzle_8x4(tgk_arg *a, int n) { return swizzle(a, n, 8, 8); }

/* mxfp4_to_ggml(q [N, K], sf [N, K/32], out y [N, K/32, 17]) */
bool tgq_to_ggml(tgk_arg *a, int n) {
    for (int64_t b = 0; b < a[1].count && n == 3; b++) {
        a[2].i[17 * b] = byte_of(&a[1], b);
        for (int64_t i = 0; i < 16; i++) {
            a[2].i[17 * b + 1 + i] =
                (tgk_e2m1_code(a[0].f[32 * b + i]) | tgk_e2m1_code(a[0].f[32 * b + 16 + i]) << 4);
        }
    }
    return n == 3;
}

/* mxfp4_from_ggml(y, out q, out sf) */
bool tgq_from_ggml(tgk_arg *a, int n) {
    for (int64_t b = 0; b < a[2].count && n == 3; b++) {
        a[2].f[b] = ldexp(1, (int)a[0].i[17 * b] - 127);
        for (int64_t i = 0; i < 16; i++) {
            a[1].f[32 * b + i] = tgk_e2m1((unsigned)a[0].i[17 * b + 1 + i] & 15);
            a[1].f[32 * b + 16 + i] = tgk_e2m1((unsigned)a[0].i[17 * b + 1 + i] >> 4);
        }
    }
    return n == 3;
}

void tgq_inputs_pow2(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    for (int64_t i = 0; i < a[0].count && a[0].f != NULL; i++) {
        a[0].f[i] = ldexp(1, (int)tgk_random_below(r, a[0].dtype == TG_DT_F8E8M0 ? 250 : 16) -
                                 (a[0].dtype == TG_DT_F8E8M0 ? 127 : 9));
    }
    for (int64_t i = 0; i < a[0].count && a[0].i != NULL; i++) {
        a[0].i[i] = tgk_random_below(r, 256);
    }
}

void tgq_inputs_to_ggml(tgk_arg *a, int n, tgk_random *r) {
    tgq_inputs_pow2(&a[1], n, r);
    for (int64_t i = 0; i < a[0].count; i++) {
        a[0].f[i] = tgk_e2m1((unsigned)tgk_random_below(r, 16));
    }
}

void tgq_inputs_from_ggml(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    for (int64_t i = 0; i < a[0].count; i++) {
        a[0].i[i] = tgk_random_below(r, i % 17 == 0 ? 250 : 256);
    }
}
