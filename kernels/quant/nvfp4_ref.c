/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: NVFP4 and E5M6 (moe.md section 1). As in quant_ref.c every step is a correctly
 * rounded f32 operation and the bytes are judged exactly.
 */
#include "kernels/quant/quant_ref.h"
#include "kernels/rounding.h"

#include <string.h>

static const tgk_format E2M1 = {1, 0, 6};

static double f32(double v) { return (double)(float)v; }

static double e4m3(double v) { return tgk_round_to(f32(v), &TGK_E4M3); }

static double e2m1(double v) { return tgk_round_to(f32(v), &E2M1); }

static double amax_of(const double *x, int64_t n) {
    double a = 0;
    for (int64_t i = 0; i < n; i++) {
        a = fmax(a, fabs(x[i]));
    }
    return a;
}

/* Calls of 16 elements of a row: the codes of x under scale s; g 0: the form without one. */
static void groups(const tgk_arg *x, tgk_arg *q, tgk_arg *sf, double g) {
    int64_t cols = x->extent[1], per = sf->extent[1];
    for (int64_t i = 0; i < sf->count; i++) {
        int64_t first = i / per * cols + i % per * 16;
        int64_t n = cols - i % per * 16 < 16 ? cols - i % per * 16 : 16;
        double a = amax_of(x->f + first, n);
        double s = g == 0 ? e4m3(f32(fmax(a, 6 * 0x1p-9) / 6)) : e4m3(f32(a / 6) * g);
        sf->f[i] = s;
        for (int64_t k = first; k < first + n; k++) {
            q->f[k] = g == 0 ? e2m1(x->f[k] / s) : e2m1(x->f[k] * (s == 0 ? 0 : f32(g / s)));
        }
    }
}

/* cast_nvfp4(x, out q, out sf) */
bool tgq_nvfp4(tgk_arg *a, int n) {
    if (n == 3) {
        groups(&a[0], &a[1], &a[2], 0);
    }
    return n == 3;
}

static double float_of(int64_t bits) {
    uint32_t b = (uint32_t)bits;
    float f;
    memcpy(&f, &b, sizeof f);
    return (double)f;
}

static double tensor_scale(int64_t amax) {
    double a = float_of(amax);
    return a == 0 ? 1 : f32(448 * 6 / a);
}

static int64_t amax_bits(const tgk_arg *x) {
    float a = (float)amax_of(x->f, x->count);
    uint32_t b;
    memcpy(&b, &a, sizeof b);
    return b;
}

/* cast_nvfp4_tensor(x, amax, out q, out sf) */
bool tgq_nvfp4_tensor(tgk_arg *a, int n) {
    if (n == 4) {
        groups(&a[0], &a[2], &a[3], tensor_scale(a[1].i[0]));
    }
    return n == 4;
}

/* nvfp4_amax(x, out amax) */
bool tgq_nvfp4_amax(tgk_arg *a, int n) {
    a[1].i[0] = amax_bits(&a[0]);
    return n == 2;
}

/* cast_nvfp4_global(x, out q, out sf, out amax) */
bool tgq_nvfp4_global(tgk_arg *a, int n) {
    if (n == 4) {
        a[3].i[0] = amax_bits(&a[0]);
        groups(&a[0], &a[1], &a[2], tensor_scale(a[3].i[0]));
    }
    return n == 4;
}

static double round_as(double v, tg_dtype t) {
    static const tgk_format f16 = {10, -14, INFINITY};
    return t == TG_DT_BF16  ? tgk_round_to(v, &TGK_BF16)
           : t == TG_DT_F16 ? tgk_round_to(v, &f16)
                            : v;
}

/* cast_back_nvfp4(q, sf, amax, out y) */
bool tgq_back_nvfp4(tgk_arg *a, int n) {
    int64_t cols = a[0].extent[1];
    for (int64_t i = 0; i < a[0].count && n == 4; i++) {
        double s = a[1].f[i / cols * a[1].extent[1] + i % cols / 16];
        a[3].f[i] = round_as(f32(a[0].f[i] * s / tensor_scale(a[2].i[0])), a[3].dtype);
    }
    return n == 4;
}

/* The 12 bits of v: f16 towards zero without its last four bits, then up by the 17 bits that f32
 * has behind those six of the mantissa: above half, or half and odd. */
static uint32_t e5m6(double v) {
    int e;
    double m = frexp(fabs(v), &e); /* v = m 2^e */
    e = e - 1 < -14 ? -14 : e - 1; /* the unit of the last of f16's ten bits: 2^(e - 10) */
    uint32_t half = m == 0 ? 0 : (uint32_t)floor(ldexp(fabs(v), 10 - e));
    half = half < 1024 ? half : half + (uint32_t)(e + 14) * 1024; /* as f16 bits, RTZ */
    float f = (float)v;
    uint32_t bits, h = half >> 4;
    memcpy(&bits, &f, sizeof bits);
    h += (bits % 131072 + h % 2) > 65536;
    return h | (signbit(v) ? 2048 : 0);
}

static double e5m6_value(uint32_t h) {
    double m = h % 64, e = h / 64 % 32;
    double v = e == 0 ? ldexp(m, -20) : ldexp(64 + m, (int)e - 21);
    return (h & 2048) != 0 ? -v : v;
}

/* Element k of eight lies 12 k bits below the top of its three words. */
static void put(int64_t *words, int k, uint32_t h) {
    for (int b = 0; b < 12; b++) {
        int at = 12 * k + b;
        words[at / 32] |= (int64_t)(h >> (11 - b) & 1) << (31 - at % 32);
    }
}

static uint32_t take(const int64_t *words, int k) {
    uint32_t h = 0;
    for (int b = 0; b < 12; b++) {
        int at = 12 * k + b;
        h = h << 1 | ((uint32_t)words[at / 32] >> (31 - at % 32) & 1);
    }
    return h;
}

/* cast_e5m6(x, out w, out sf) */
bool tgq_e5m6(tgk_arg *a, int n) {
    if (n != 3) {
        return false;
    }
    int64_t cols = a[0].extent[1];
    memset(a[1].i, 0, (size_t)a[1].count * sizeof *a[1].i);
    for (int64_t t = 0; t < a[0].extent[0]; t++) {
        const double *x = a[0].f + t * cols;
        double amax = fmax(amax_of(x, cols), f32(1e-4)), s = f32(amax / 65024),
               factor = f32(65024 / amax);
        if (a[2].dtype == TG_DT_F8E8M0) {
            s = ldexp(1, tgk_e8m0_ceil(s) - 127);
            factor = 1 / s;
        }
        a[2].f[t] = s;
        for (int64_t k = 0; k < cols; k++) {
            put(a[1].i + (t * a[1].extent[1] + k / 8) * 3, (int)(k % 8), e5m6(f32(x[k] * factor)));
        }
    }
    return true;
}

/* cast_back_e5m6(w, sf, out y) */
bool tgq_back_e5m6(tgk_arg *a, int n) {
    int64_t cols = a[2].extent[1];
    for (int64_t i = 0; i < a[2].count && n == 3; i++) {
        int64_t t = i / cols, k = i % cols;
        double v = e5m6_value(take(a[0].i + (t * a[0].extent[1] + k / 8) * 3, (int)(k % 8)));
        a[2].f[i] = round_as(f32(v * a[1].f[t]), a[2].dtype);
    }
    return n == 3;
}

/* A tensor's amax need not be this one's: greater, so that scales come out small, or 0. */
void tgq_inputs_tensor(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    tgq_fill(&a[0], r);
    float g = (float)(amax_of(a[0].f, a[0].count) * (double)(1 + tgk_random_below(r, 40)));
    uint32_t b;
    memcpy(&b, &g, sizeof b);
    a[1].i[0] = tgk_random_below(r, 4) == 0 ? 0 : b;
}

void tgq_inputs_back_nvfp4(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    for (int64_t i = 0; i < a[0].count; i++) {
        a[0].f[i] = e2m1(tgk_random_normal(r) * 3);
    }
    for (int64_t i = 0; i < a[1].count; i++) {
        a[1].f[i] = e4m3(ldexp(1 + tgk_random_uniform(r), (int)tgk_random_below(r, 12) - 6));
    }
    a[2].i[0] = 0x3f000000 + tgk_random_below(r, 0x4000000); /* 1/2 to 128 */
}

/* Any 12 bits but infinities and NaN. */
void tgq_inputs_back_e5m6(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    memset(a[0].i, 0, (size_t)a[0].count * sizeof *a[0].i);
    for (int64_t i = 0; i < a[0].count / 3 * 8; i++) {
        uint32_t h = (uint32_t)tgk_random_below(r, 4096);
        put(a[0].i + i / 8 * 3, (int)(i % 8), h / 64 % 32 == 31 ? h & 0x83f : h);
    }
    for (int64_t i = 0; i < a[1].count; i++) {
        a[1].f[i] = ldexp(a[1].dtype == TG_DT_F8E8M0 ? 1 : 1 + tgk_random_uniform(r),
                          (int)tgk_random_below(r, 20) - 16);
    }
}
