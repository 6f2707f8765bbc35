/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: quantising casts and back (moe.md sections 1 and 6). Codes and scales are bytes of a
 * definition, so they are judged exactly, f32 scales too: every step of the definition is one
 * correctly rounded f32 operation, and double followed by a rounding to f32 gives the same
 * (division and product of f32 in double round twice without harm).
 *
 * Inputs: block magnitudes 2^U(-6, 6) over 32 columns, so a neighbour's scale shows; rows of zeros
 * of both signs; rows of exact ties of e2m1 below an exact power of two; rows whose amax sits at
 * 448 2^k or 6 2^k and just above; a tiny row below the floors.
 */
#include "kernels/rounding.h"

#include <string.h>

#include "kernels/quant/quant_ref.h"

static const tgk_format E2M1 = {1, 0, 6};

static double f32(double v) { return (double)(float)v; }

static double code(double v, tg_dtype t) {
    return tgk_round_to(f32(v), t == TG_DT_F4E2M1 ? &E2M1 : &TGK_E4M3);
}

/* The scale of a group of greatest magnitude amax and the factor of its elements. */
static double scale_of(double amax, tg_dtype codes, tg_dtype scales, double *factor) {
    bool fp4 = codes == TG_DT_F4E2M1;
    double top = fp4 ? 6 : 448, floor_ = fp4 ? 6 * 0x1p-126 : f32(1e-4);
    amax = fmax(amax, floor_);
    double s = f32(amax / top);
    *factor = f32(top / amax);
    if (scales == TG_DT_F8E8M0) {
        s = ldexp(1, tgk_e8m0_ceil(s) - 127);
        *factor = 1 / s;
    }
    return s;
}

/* A matrix of values to cast: element (t, k), and how many there are. */
typedef struct source {
    int64_t rows, cols;
    double *v;
} source;

static source dense(const tgk_arg *x) { return (source){x->extent[0], x->extent[1], x->f}; }

/* Groups of bm x bk elements: scale and codes; transposed says how q and sf lie. */
static void cast_groups(source x, tgk_arg *q, tgk_arg *sf, tg_dtype codes, int64_t bm, int64_t bk,
                        bool transposed) {
    int64_t gk = (x.cols + bk - 1) / bk, gm = (x.rows + bm - 1) / bm;
    for (int64_t g = 0; g < gm * gk; g++) {
        int64_t t0 = g / gk * bm, k0 = g % gk * bk;
        double amax = 0, factor;
        for (int64_t t = t0; t < t0 + bm && t < x.rows; t++) {
            for (int64_t k = k0; k < k0 + bk && k < x.cols; k++) {
                amax = fmax(amax, fabs(x.v[t * x.cols + k]));
            }
        }
        double s = scale_of(amax, codes, sf->dtype, &factor);
        sf->f[transposed ? g % gk * gm + g / gk : g] = s;
        for (int64_t t = t0; t < t0 + bm && t < x.rows && q != NULL; t++) {
            for (int64_t k = k0; k < k0 + bk && k < x.cols; k++) {
                q->f[transposed ? k * x.rows + t : t * x.cols + k] =
                    code(x.v[t * x.cols + k] * factor, codes);
            }
        }
    }
}

static int64_t group(const tgk_arg *a, const char *name) { return tgk_constant_of(a, name, 1); }

/* cast(x, out q, out sf) */
static bool cast(tgk_arg *a, int n) {
    if (n == 3) {
        cast_groups(dense(&a[0]), &a[1], &a[2], a[1].dtype, group(a, "BM"), group(a, "BK"), false);
    }
    return n == 3;
}

static bool cast_row(tgk_arg *a, int n) {
    if (n == 3) {
        int64_t cols = a[0].extent[1];
        cast_groups(dense(&a[0]), &a[1], &a[2], a[1].dtype, 1, cols > 0 ? cols : 1, false);
    }
    return n == 3;
}

static bool cast_transposed(tgk_arg *a, int n) {
    if (n == 3) {
        cast_groups(dense(&a[0]), &a[1], &a[2], a[1].dtype, group(a, "BM"), 1, true);
    }
    return n == 3;
}

/* cast_gathered(x, pos, out q, out sf) */
static bool cast_gathered(tgk_arg *a, int n) {
    source x = {a[1].extent[0], a[0].extent[1], NULL};
    x.v = calloc((size_t)(x.rows * x.cols) + 1, sizeof *x.v);
    if (n != 4 || x.v == NULL) {
        free(x.v);
        return false;
    }
    for (int64_t t = 0; t < x.rows; t++) {
        if (a[1].i[t] >= 0) {
            memcpy(x.v + t * x.cols, a[0].f + a[1].i[t] * x.cols, (size_t)x.cols * sizeof *x.v);
        }
    }
    cast_groups(x, &a[2], &a[3], a[2].dtype, group(a, "BM"), group(a, "BK"), false);
    free(x.v);
    return true;
}

/* cast_scales_*(x, out sf) */
static bool cast_scales(tgk_arg *a, int n, tg_dtype codes) {
    if (n == 2) {
        cast_groups(dense(&a[0]), NULL, &a[1], codes, group(a, "BM"), group(a, "BK"), false);
    }
    return n == 2;
}

static bool cast_scales_f8(tgk_arg *a, int n) { return cast_scales(a, n, TG_DT_F8E4M3); }
static bool cast_scales_f4(tgk_arg *a, int n) { return cast_scales(a, n, TG_DT_F4E2M1); }

static double scale_at(const tgk_arg *sf, int64_t t, int64_t k, int64_t bm, int64_t bk) {
    return sf->f[t / bm * sf->extent[1] + k / bk];
}

/* cast_with(x, sf, out q) */
static bool cast_with(tgk_arg *a, int n) {
    int64_t cols = a[0].extent[1];
    for (int64_t i = 0; i < a[0].count && n == 3; i++) {
        double s = scale_at(&a[1], i / cols, i % cols, group(a, "BM"), group(a, "BK"));
        a[2].f[i] = code(a[0].f[i] * f32(1 / s), a[2].dtype);
    }
    return n == 3;
}

/* recast(x, xs, out q, out sf) */
static bool recast(tgk_arg *a, int n) {
    source x = dense(&a[0]);
    x.v = calloc((size_t)a[0].count + 1, sizeof *x.v);
    if (n != 4 || x.v == NULL) {
        free(x.v);
        return false;
    }
    for (int64_t i = 0; i < a[0].count; i++) {
        x.v[i] = f32(a[0].f[i] *
                     scale_at(&a[1], i / x.cols, i % x.cols, group(a, "CM"), group(a, "CK")));
    }
    cast_groups(x, &a[2], &a[3], a[2].dtype, group(a, "BM"), group(a, "BK"), false);
    free(x.v);
    return true;
}

/* cast_lossless(x, xs, out q, out sf): sf = max xs / 2^6 of a group, q = x xs / sf. */
static bool cast_lossless(tgk_arg *a, int n) {
    if (n != 4) {
        return false;
    }
    int64_t bm = group(a, "BM"), bk = group(a, "BK"), rows = a[0].extent[0], cols = a[0].extent[1];
    for (int64_t i = 0; i < a[3].count; i++) {
        a[3].f[i] = 0x1p-127;
    }
    for (int64_t i = 0; i < rows * cols; i++) {
        double *sf = &a[3].f[i / cols / bm * a[3].extent[1] + i % cols / bk];
        *sf = fmax(*sf, scale_at(&a[1], i / cols, i % cols, 1, 32) * 0x1p-6);
    }
    for (int64_t i = 0; i < rows * cols; i++) {
        a[2].f[i] = a[0].f[i] * scale_at(&a[1], i / cols, i % cols, 1, 32) /
                    scale_at(&a[3], i / cols, i % cols, bm, bk);
    }
    return true;
}

static double round_as(double v, tg_dtype t) {
    static const tgk_format f16 = {10, -14, INFINITY};
    return t == TG_DT_BF16  ? tgk_round_to(v, &TGK_BF16)
           : t == TG_DT_F16 ? tgk_round_to(v, &f16)
                            : v;
}

/* cast_back(q, sf, out y) */
static bool cast_back(tgk_arg *a, int n) {
    int64_t cols = a[0].extent[1];
    for (int64_t i = 0; i < a[0].count && n == 3; i++) {
        double s = scale_at(&a[1], i / cols, i % cols, group(a, "BM"), group(a, "BK"));
        a[2].f[i] = round_as(f32(a[0].f[i] * s), a[2].dtype);
    }
    return n == 3;
}

/* ---- inputs ---- */

void tgq_fill(tgk_arg *x, tgk_random *r) {
    static const double ties[] = {0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5, 6};
    int64_t cols = x->extent[1];
    for (int64_t t = 0; t < x->extent[0]; t++) {
        double m = 1, *row = x->f + t * cols;
        int64_t kind = t % 11;
        for (int64_t k = 0; k < cols; k++) {
            double sign = tgk_random_below(r, 2) == 0 ? 1 : -1;
            if (k % 32 == 0) {
                m = ldexp(1, (int)tgk_random_below(r, 13) - 6);
            }
            row[k] = tgk_random_normal(r) * m;
            if (kind == 3) {
                row[k] = sign * 0.0;
            } else if (kind == 5) {
                row[k] = sign * ties[(k * 5 + t) % 8] * m;
            } else if (kind == 7) { /* at and just above a power of two times the greatest code */
                row[k] = sign *
                         (k % 32 == 31 ? (k % 64 == 63 ? 448 : 450) : 13.5 * (double)(k % 32)) * m;
            } else if (kind == 9) {
                row[k] *= 0x1p-14;
            }
        }
    }
}

static void fill_codes(tgk_arg *q, tgk_random *r) {
    for (int64_t i = 0; i < q->count; i++) {
        double v = q->dtype == TG_DT_F4E2M1
                       ? tgk_random_normal(r) * 3
                       : ldexp(tgk_random_normal(r) * 8, (int)tgk_random_below(r, 12) - 6);
        q->f[i] = code(v, q->dtype);
    }
}

static void fill_scales(tgk_arg *s, tgk_random *r) {
    for (int64_t i = 0; i < s->count; i++) {
        s->f[i] = ldexp(s->dtype == TG_DT_F8E8M0 ? 1 : 1 + tgk_random_uniform(r),
                        (int)tgk_random_below(r, 12) - 6);
    }
}

static void inputs_x(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    tgq_fill(&a[0], r);
}

/* Padding, repeated tokens, any order. */
static void inputs_gathered(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    tgq_fill(&a[0], r);
    for (int64_t t = 0; t < a[1].count; t++) {
        a[1].i[t] = tgk_random_below(r, a[0].extent[0] + 1) - 1;
    }
}

/* Given scales need not suit the data: some codes clamp. */
static void inputs_with(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    tgq_fill(&a[0], r);
    fill_scales(&a[1], r);
}

static void inputs_codes(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    fill_codes(&a[0], r);
    fill_scales(&a[1], r);
}

/* Scales of a group differ by at most 2^11, the greatest allowed; one matrix has tiny ones. */
static void inputs_lossless(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    fill_codes(&a[0], r);
    int base = tgk_random_below(r, 3) == 0 ? -127 : (int)tgk_random_below(r, 200) - 120;
    for (int64_t i = 0; i < a[1].count; i++) {
        a[1].f[i] = ldexp(1, base + (int)tgk_random_below(r, base == -127 ? 6 : 12));
    }
}

#define BOTH {{"q", TGK_TOL_EXACT, 0, 0}, {"sf", TGK_TOL_EXACT, 0, 0}}
const tgk_reference tgk_quant_references[] = {
    {"cast", cast, inputs_x, false, BOTH},
    {"cast_row", cast_row, inputs_x, false, BOTH},
    {"cast_transposed", cast_transposed, inputs_x, false, BOTH},
    {"cast_gathered", cast_gathered, inputs_gathered, false, BOTH},
    {"cast_scales_f8", cast_scales_f8, inputs_x, false, {{"sf", TGK_TOL_EXACT, 0, 0}}},
    {"cast_scales_f4", cast_scales_f4, inputs_x, false, {{"sf", TGK_TOL_EXACT, 0, 0}}},
    {"cast_with", cast_with, inputs_with, false, {{"q", TGK_TOL_EXACT, 0, 0}}},
    {"recast", recast, inputs_codes, false, BOTH},
    {"cast_lossless", cast_lossless, inputs_lossless, false, BOTH},
    {"cast_back", cast_back, inputs_codes, false, {{"y", TGK_TOL_EXACT, 0, 0}}},
    {"cast_nvfp4", tgq_nvfp4, inputs_x, false, BOTH},
    {"cast_nvfp4_tensor", tgq_nvfp4_tensor, tgq_inputs_tensor, false, BOTH},
    {"nvfp4_amax", tgq_nvfp4_amax, inputs_x, false, {{"amax", TGK_TOL_EXACT, 0, 0}}},
    {"cast_nvfp4_global",
     tgq_nvfp4_global,
     inputs_x,
     false,
     {{"q", TGK_TOL_EXACT, 0, 0}, {"sf", TGK_TOL_EXACT, 0, 0}, {"amax", TGK_TOL_EXACT, 0, 0}}},
    {"cast_back_nvfp4", tgq_back_nvfp4, tgq_inputs_back_nvfp4, false, {{"y", TGK_TOL_EXACT, 0, 0}}},
    {"cast_e5m6",
     tgq_e5m6,
     inputs_x,
     false,
     {{"w", TGK_TOL_EXACT, 0, 0}, {"sf", TGK_TOL_EXACT, 0, 0}}},
    {"cast_back_e5m6", tgq_back_e5m6, tgq_inputs_back_e5m6, false, {{"y", TGK_TOL_EXACT, 0, 0}}},
    {"pack_columns", tgq_pack_columns, NULL, false, {{"y", TGK_TOL_EXACT, 0, 0}}},
    {"pack_words", tgq_pack_words, tgq_inputs_pow2, false, {{"y", TGK_TOL_EXACT, 0, 0}}},
    {"pack_utccp", tgq_pack_utccp, NULL, false, {{"y", TGK_TOL_EXACT, 0, 0}}},
    {"swizzle_128x4", tgq_swizzle_128x4, tgq_inputs_pow2, false, {{"y", TGK_TOL_EXACT, 0, 0}}},
    {"swizzle_8x4", tgq_swizzle_8x4, tgq_inputs_pow2, false, {{"y", TGK_TOL_EXACT, 0, 0}}},
    {"mxfp4_to_ggml", tgq_to_ggml, tgq_inputs_to_ggml, false, {{"y", TGK_TOL_EXACT, 0, 0}}},
    {"mxfp4_from_ggml", tgq_from_ggml, tgq_inputs_from_ggml, false, BOTH},
    {.kernel = NULL},
};
