/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: appending to paged caches (attention.md K15 and section 5), byte for byte.
 *
 * A row is rounded to bf16 after the norm and after the rotation; codes follow from those values by
 * exact operations. Inputs reject rows with an element so near a tie of one of the two roundings
 * that the kernel's f32 arithmetic could round it the other way; so bytes are judged exactly.
 */
#include "kernels/cache/cache_ref.h"
#include "kernels/rounding.h"

#include <string.h>

static const tgk_format E2M1 = {1, 0, 6};

static double f32(double v) { return (double)(float)v; }

static double amax_of(const double *x, int n) {
    double a = 0;
    for (int c = 0; c < n; c++) {
        a = fmax(a, fabs(x[c]));
    }
    return a;
}

/* n columns as e4m3 under the least power of two not below amax / 448; its exponent byte. */
static int put_fp8(unsigned char *p, const double *x, int n) {
    int e = tgk_e8m0_ceil(f32(fmax(amax_of(x, n), f32(1e-4)) / 448));
    for (int c = 0; c < n; c++) {
        p[c] = tgk_e4m3_code(tgk_round_to(ldexp(x[c], 127 - e), &TGK_E4M3));
    }
    return e;
}

static void put_pairs(unsigned char *p, const double *x, int n, double factor, double divisor) {
    for (int c = 0; c < n; c += 2) {
        p[c / 2] =
            (unsigned char)(tgk_e2m1_code(tgk_round_to(f32(x[c] * factor / divisor), &E2M1)) |
                            tgk_e2m1_code(tgk_round_to(f32(x[c + 1] * factor / divisor), &E2M1))
                                << 4);
    }
}

static void put_v41_entry(unsigned char *codes, unsigned char *scales, const double *row) {
    for (int g = 0; g < 32; g++) {
        double a = fmax(amax_of(row + 16 * g, 16), 6 * 0x1p-9);
        double s = tgk_round_to(f32(a / 6), &TGK_E4M3);
        scales[g] = tgk_e4m3_code(s);
        put_pairs(codes + 8 * g, row + 16 * g, 16, 1, s);
    }
}

static void put_index_fp4(unsigned char *codes, unsigned char *scales, const double *row) {
    for (int g = 0; g < 4; g++) {
        int e = tgk_e8m0_ceil(f32(fmax(amax_of(row + 32 * g, 32), 6 * 0x1p-126) / 6));
        scales[g] = (unsigned char)e;
        put_pairs(codes + 16 * g, row + 32 * g, 32, ldexp(1, 127 - e), 1);
    }
}

static void put_mla_fp8(unsigned char *p, const double *row) {
    for (int g = 0; g < 4; g++) {
        tgk_put_f32(p + 512 + 4 * g, ldexp(1, put_fp8(p + 128 * g, row + 128 * g, 128) - 127));
    }
    for (int c = 0; c < 64; c++) {
        tgk_put_bf16(p + 528 + 2 * c, row[512 + c]);
    }
}

static void put_v4(unsigned char *p, unsigned char *sf, const double *row) {
    for (int g = 0; g < 7; g++) {
        sf[g] = (unsigned char)put_fp8(p + 64 * g, row + 64 * g, 64);
    }
    sf[7] = 0;
    for (int c = 0; c < 64; c++) {
        tgk_put_bf16(p + 448 + 2 * c, row[448 + c]);
    }
}

static void put_index_amax(unsigned char *p, unsigned char *scale, const double *row) {
    double a = fmax(amax_of(row, 128), f32(1e-4)), factor = f32(448 / a);
    for (int c = 0; c < 128; c++) {
        p[c] = tgk_e4m3_code(tgk_round_to(f32(row[c] * factor), &TGK_E4M3));
    }
    tgk_put_f32(scale, a / 448);
}

void tgc_put(tgc_kind kind, tgk_arg *cache, int64_t bs, int64_t at, const double *row) {
    int64_t slot = at % bs;
    unsigned char *page = cache->bytes == NULL ? NULL : cache->bytes + at / bs * cache->elem_bytes;
    switch (kind) {
    case TGC_MLA:
        memcpy(cache->f + at * 576, row, 576 * sizeof *row);
        break;
    case TGC_MLA_FP8:
        put_mla_fp8(cache->bytes + at * 656, row);
        break;
    case TGC_V4:
        put_v4(page + slot * 576, page + bs * 576 + slot * 8, row);
        break;
    case TGC_V41_WINDOW:
        for (int g = 0; g < 16; g++) {
            page[bs * 512 + slot * 16 + g] =
                (unsigned char)put_fp8(page + slot * 512 + 32 * g, row + 32 * g, 32);
        }
        break;
    case TGC_V41_ENTRY:
        put_v41_entry(page + slot * 256, page + bs * 256 + slot * 32, row);
        break;
    case TGC_INDEX_FP8:
        tgk_put_f32(page + bs * 128 + slot * 4,
                    ldexp(1, put_fp8(page + slot * 128, row, 128) - 127));
        break;
    case TGC_INDEX_AMAX:
        put_index_amax(page + slot * 128, page + bs * 128 + slot * 4, row);
        break;
    case TGC_INDEX_FP4:
        put_index_fp4(page + slot * 64, page + bs * 64 + slot * 4, row);
        break;
    }
}

/* ---- rows ----------------------------------------------------------------------------------- */

/* bf16 of v; *near when a value within err of v rounds otherwise. */
static double round_bf16(double v, double err, bool *near) {
    *near = *near || tgk_round_slack(v, err, &TGK_BF16) > 0;
    return tgk_round_to(v, &TGK_BF16);
}

static void rms_norm(double *y, const double *x, const double *g, double eps, int n, bool *near) {
    double ss = 0;
    for (int c = 0; c < n; c++) {
        ss += x[c] * x[c];
    }
    double scale = 1 / sqrt(ss / n + eps);
    for (int c = 0; c < n; c++) { /* the sum in lanes, its root, rsqrt, two products: 12 units */
        double v = x[c] * scale * g[c];
        y[c] = round_bf16(v, fabs(v) * 12 * 0x1p-24, near);
    }
}

static void layer_norm(double *y, const double *x, const double *g, const double *b, double eps,
                       int n, bool *near) {
    double mean = 0, magnitude = 0, ss = 0;
    for (int c = 0; c < n; c++) {
        mean += x[c] / n;
        magnitude += fabs(x[c]) / n;
    }
    for (int c = 0; c < n; c++) {
        ss += (x[c] - mean) * (x[c] - mean);
    }
    double scale = 1 / sqrt(ss / n + eps);
    for (int c = 0; c < n; c++) { /* the mean is off by 8 units of |x| or so, the rest as above */
        double v = (x[c] - mean) * scale * g[c] + b[c];
        double err = 16 * (fabs(v) + fabs(b[c]) + (magnitude + fabs(x[c])) * scale * fabs(g[c]));
        y[c] = round_bf16(v, err * 0x1p-24, near);
    }
}

/* 64 columns turned by a table row of 32 cosines and 32 sines. */
static void turn(double *x, const double *cs, bool half, bool *near) {
    for (int i = 0; i < 32; i++) {
        double *a = x + (half ? i : 2 * i), *b = x + (half ? i + 32 : 2 * i + 1);
        double err = 3 * 0x1p-24 * (fabs(*a) + fabs(*b));
        double u = *a * cs[i] - *b * cs[32 + i], v = *b * cs[i] + *a * cs[32 + i];
        *a = round_bf16(u, err, near);
        *b = round_bf16(v, err, near);
    }
}

/* The arguments of an append kernel by name. */
typedef struct append_args {
    tgk_arg *x, *kpe, *gamma, *beta, *pos, *cs, *slot, *m, *eps, *kv;
    int64_t bs, group, dim;
} append_args;

static append_args args_of(tgk_arg *a, int n) {
    append_args r = {
        .kpe = tgk_find(a, n, "kpe"),
        .gamma = tgk_find(a, n, "gamma"),
        .beta = tgk_find(a, n, "beta"),
        .pos = tgk_find(a, n, "pos"),
        .cs = tgk_find(a, n, "cs"),
        .slot = tgk_find(a, n, "slot"),
        .m = tgk_find(a, n, "m"),
        .eps = tgk_find(a, n, "eps"),
        .kv = tgk_find(a, n, "kv"),
    };
    r.x = &a[0];
    r.bs = tgk_constant_of(a, "BS", 1);
    r.group = r.m == NULL ? 1 : tgk_int(r.m);
    r.dim = r.x->extent[1];
    return r;
}

/* Token t's row; false when one of its roundings is in doubt. */
static bool make_row(const append_args *g, int64_t t, double *row) {
    bool near = false;
    const double *x = g->x->f + t * g->dim;
    const double *cs = g->cs->f + g->pos->i[t] / g->group * g->group * 64;
    if (g->beta != NULL) {
        layer_norm(row, x, g->gamma->f, g->beta->f, tgk_float(g->eps), (int)g->dim, &near);
        turn(row, cs, true, &near);
    } else {
        rms_norm(row, x, g->gamma->f, tgk_float(g->eps), (int)g->dim, &near);
        if (g->kpe != NULL) {
            memcpy(row + g->dim, g->kpe->f + t * 64, 64 * sizeof *row);
        }
        turn(row + g->dim - (g->kpe != NULL ? 0 : 64), cs, false, &near);
    }
    return !near;
}

static bool append(tgk_arg *a, int n, tgc_kind kind) {
    append_args g = args_of(a, n);
    double row[576];
    for (int64_t t = 0; t < g.x->extent[0]; t++) {
        if (g.slot->i[t] >= 0 && (g.pos->i[t] + 1) % g.group == 0) {
            make_row(&g, t, row);
            tgc_put(kind, g.kv, g.bs, g.slot->i[t], row);
        }
    }
    return true;
}

static bool append_mla(tgk_arg *a, int n) { return append(a, n, TGC_MLA); }
static bool append_mla_fp8(tgk_arg *a, int n) { return append(a, n, TGC_MLA_FP8); }
static bool append_v4(tgk_arg *a, int n) { return append(a, n, TGC_V4); }
static bool append_v41_window(tgk_arg *a, int n) { return append(a, n, TGC_V41_WINDOW); }
static bool append_v41_entry(tgk_arg *a, int n) { return append(a, n, TGC_V41_ENTRY); }
static bool append_index(tgk_arg *a, int n) { return append(a, n, TGC_INDEX_FP8); }
static bool append_index_fp4(tgk_arg *a, int n) { return append(a, n, TGC_INDEX_FP4); }

/* store_index(x, slot, inout kv) */
static bool store_index(tgk_arg *a, int n) {
    for (int64_t t = 0; t < a[0].extent[0] && n == 3; t++) {
        if (a[1].i[t] >= 0) {
            tgc_put(TGC_INDEX_AMAX, &a[2], tgk_constant_of(a, "BS", 1), a[1].i[t],
                    a[0].f + t * 128);
        }
    }
    return n == 3;
}

/* append_gqa(k, v, slot, inout kc, inout vc) */
static bool append_gqa(tgk_arg *a, int n) {
    int64_t row = a[0].extent[1] * a[0].extent[2];
    for (int64_t t = 0; t < a[0].extent[0] && n == 5; t++) {
        for (int c = 0; c < 2 && a[2].i[t] >= 0; c++) {
            memcpy(a[3 + c].f + a[2].i[t] * row, a[c].f + t * row, (size_t)row * sizeof(double));
        }
    }
    return n == 5;
}

/* ---- inputs --------------------------------------------------------------------------------- */

/* Slots: some -1, the others apart, the last row of the last page among them. */
static void fill_slots(tgk_arg *slot, int64_t rows, tgk_random *r) {
    int64_t at = rows, n = slot->count;
    for (int64_t t = 0; t < n; t++) {
        int64_t step = t == 0 ? 1 : 1 + tgk_random_below(r, at / (n - t + 1));
        bool store = at - step >= 0 && (t == 0 || tgk_random_below(r, 5) != 0);
        at -= store ? step : 0;
        slot->i[t] = store ? at : -1;
    }
    for (int64_t t = n - 1; t > 0; t--) {
        int64_t u = tgk_random_below(r, t + 1), old = slot->i[t];
        slot->i[t] = slot->i[u];
        slot->i[u] = old;
    }
}

static double typed(double v, tg_dtype t) {
    return t == TG_DT_BF16 ? tgk_round_to(v, &TGK_BF16) : f32(v);
}

/* Magnitudes 2^U(-6, 6) of 32 columns. */
static void draw(double *x, int64_t n, tg_dtype t, tgk_random *r) {
    double m = 1;
    for (int64_t c = 0; c < n; c++) {
        m = c % 32 == 0 ? ldexp(1, (int)tgk_random_below(r, 13) - 6) : m;
        x[c] = typed(tgk_random_normal(r) * m, t);
    }
}

static void fill_cache(tgk_arg *kv, tgk_random *r) {
    for (int64_t i = 0; i < kv->count * kv->elem_bytes && kv->bytes != NULL; i++) {
        kv->bytes[i] = (unsigned char)tgk_random_u64(r);
    }
    for (int64_t i = 0; i < kv->count && kv->f != NULL; i++) {
        kv->f[i] = typed(tgk_random_normal(r), TG_DT_BF16);
    }
}

static void fill_positions(const append_args *g, tgk_random *r) {
    int64_t rows = g->cs->extent[0];
    for (int64_t i = 0; i < g->cs->count; i++) {
        g->cs->f[i] = NAN;
    }
    for (int64_t t = 0; t < g->pos->count; t++) {
        int64_t p = tgk_random_below(r, rows);
        if (t % 2 == 0 && p / g->group * g->group + g->group <= rows) {
            p = p / g->group * g->group + g->group - 1; /* the end of its group */
        }
        g->pos->i[t] = p;
        p = p / g->group * g->group;
        for (int64_t k = 0; k < 32; k++) {
            float angle = (float)p * (float)pow(10000, -(double)k / 32);
            g->cs->f[p * 64 + k] = f32(cos((double)angle));
            g->cs->f[p * 64 + 32 + k] = f32(sin((double)angle));
        }
    }
}

static void inputs_append(tgk_arg *a, int n, tgk_random *r) {
    append_args g = args_of(a, n);
    double row[576];
    int64_t pages = g.kv->extent[0];
    g.eps->f[0] = f32(1e-6);
    for (int64_t c = 0; c < g.gamma->count; c++) {
        g.gamma->f[c] = typed(1 + 0.3 * tgk_random_normal(r), g.gamma->dtype);
        if (g.beta != NULL) {
            g.beta->f[c] = typed(0.3 * tgk_random_normal(r), g.beta->dtype);
        }
    }
    fill_slots(g.slot, pages * g.bs, r);
    fill_cache(g.kv, r);
    fill_positions(&g, r);
    for (int64_t t = 0; t < g.x->extent[0]; t++) {
        bool zeros = t % 9 == 4;
        do {
            draw(g.x->f + t * g.dim, g.dim, g.x->dtype, r);
            if (zeros) {
                memset(g.x->f + t * g.dim, 0, (size_t)g.dim * sizeof(double));
                zeros = false; /* beta and the turn may be in doubt by themselves: not again */
            }
            if (g.kpe != NULL) {
                draw(g.kpe->f + t * 64, 64, g.kpe->dtype, r);
            }
        } while (!make_row(&g, t, row));
    }
}

static void inputs_store(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    fill_slots(&a[1], a[2].extent[0] * tgk_constant_of(a, "BS", 1), r);
    fill_cache(&a[2], r);
    for (int64_t t = 0; t < a[0].extent[0]; t++) {
        draw(a[0].f + t * 128, 128, a[0].dtype, r);
    }
}

static void inputs_gqa(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    fill_slots(&a[2], a[3].extent[0] * a[3].extent[1], r);
}

#define CACHE {{"kv", TGK_TOL_EXACT, 0, 0}}
#define ROWS {{"y", TGK_TOL_EXACT, 0, 0}}
const tgk_reference tgk_cache_references[] = {
    {"append_mla", append_mla, inputs_append, false, CACHE},
    {"append_mla_fp8", append_mla_fp8, inputs_append, false, CACHE},
    {"append_v4", append_v4, inputs_append, false, CACHE},
    {"append_v41_window", append_v41_window, inputs_append, false, CACHE},
    {"append_v41_entry", append_v41_entry, inputs_append, false, CACHE},
    {"append_index_v32", append_index, inputs_append, false, CACHE},
    {"append_index_v4", append_index, inputs_append, false, CACHE},
    {"append_index_fp4", append_index_fp4, inputs_append, false, CACHE},
    {"store_index", store_index, inputs_store, false, CACHE},
    {"append_gqa",
     append_gqa,
     inputs_gqa,
     false,
     {{"kc", TGK_TOL_EXACT, 0, 0}, {"vc", TGK_TOL_EXACT, 0, 0}}},
    {"gather_mla", tgc_gather, tgc_inputs_gather, false, ROWS},
    {"gather_v4", tgc_gather, tgc_inputs_gather, false, ROWS},
    {"gather_v41_window", tgc_gather, tgc_inputs_gather, false, ROWS},
    {"gather_v41_entry", tgc_gather, tgc_inputs_gather, false, ROWS},
    {"gather_rows", tgc_gather, tgc_inputs_gather, false, ROWS},
    {"gather_index",
     tgc_gather_index,
     tgc_inputs_gather,
     false,
     {{"key", TGK_TOL_EXACT, 0, 0}, {"scale", TGK_TOL_EXACT, 0, 0}}},
    {"gather_index_fp4",
     tgc_gather_index,
     tgc_inputs_gather,
     false,
     {{"key", TGK_TOL_EXACT, 0, 0}, {"sf", TGK_TOL_EXACT, 0, 0}}},
    {"copy_rows", tgc_copy_rows, tgc_inputs_copy, false, {{"to", TGK_TOL_EXACT, 0, 0}}},
    {"plan_rows",
     tgc_plan_rows,
     tgc_inputs_plan,
     false,
     {{"held", TGK_TOL_EXACT, 0, 0},
      {"slot", TGK_TOL_EXACT, 0, 0},
      {"src", TGK_TOL_EXACT, 0, 0},
      {"dst", TGK_TOL_EXACT, 0, 0},
      {"valid", TGK_TOL_EXACT, 0, 0}}},
    {.kernel = NULL},
};
