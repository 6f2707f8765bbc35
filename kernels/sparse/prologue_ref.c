/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: what stands before the lightning indexer (attention.md K6 and section 4): LayerNorm
 * of keys, rotation by style, Hadamard, quantisation, rounding to bf16 after each; byte for byte.
 *
 * Inputs make every rounding certain. Queries and tables are multiples of 2^-6 and 2^-5, so
 * rotation and the Hadamard sums are exact in f32; the two products behind them are rounded here as
 * in f32. Key rows are drawn again until no value of the LayerNorm or the rotation lies near the
 * middle of two bf16 values and all summands of the Hadamard sums are multiples of 2^-17 that stay
 * below 128.
 */
#include <math.h>
#include <string.h>

#include "kernels/rounding.h"
#include "kernels/sparse/sparse_refs.h"

enum { MAX_DIM = 128 };

/* Nearest of the values of n codes (ascending from 0), ties to the even code. */
static unsigned nearest(double v, const double *values, unsigned n) {
    unsigned best = 0;
    for (unsigned c = 1; c < n; c++) {
        double d = fabs(fabs(v) - values[c]), e = fabs(fabs(v) - values[best]);
        best = d < e || (d == e && c % 2 == 0) ? c : best;
    }
    return best | (signbit(v) ? n == 8 ? 8u : 0x80u : 0);
}

static unsigned e4m3_code(double v) {
    double values[127];
    for (int c = 0; c < 127; c++) {
        values[c] = tgk_e4m3((uint8_t)c);
    }
    return nearest(v, values, 127);
}

static const double e2m1_values[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};

typedef struct prologue {
    int64_t dim, columns, style;
    bool hadamard, pow2;
} prologue;

static prologue prologue_of(const tgk_arg *args, int64_t dim, int64_t columns) {
    return (prologue){.dim = dim,
                      .columns = columns,
                      .style = tgk_constant_of(args, "STYLE", 0),
                      .hadamard = tgk_constant_of(args, "HADAMARD", 1) != 0,
                      .pow2 = tgk_constant_of(args, "POW2", 0) != 0};
}

/* v to bf16; false when an error of `err` could change what it becomes. */
static bool settle(double *v, double err) {
    double lo = tgk_to_bf16(*v - err), hi = tgk_to_bf16(*v + err);
    *v = tgk_to_bf16(*v);
    return lo == hi;
}

static bool rotate(const prologue *p, double *x, const double *cs) {
    int64_t pairs = p->columns / 2, start = p->style == 2 ? p->dim - p->columns : 0;
    bool sure = true;
    for (int64_t i = 0; i < pairs; i++) {
        double *a = x + start + (p->style == 0 ? i : 2 * i);
        double *b = x + start + (p->style == 0 ? i + pairs : 2 * i + 1);
        double u = *a * cs[i] - *b * cs[pairs + i], v = *b * cs[i] + *a * cs[pairs + i];
        double err = 0x1p-23 * (fabs(*a) + fabs(*b));
        bool exact = u == (double)(float)u && v == (double)(float)v;
        *a = u;
        *b = v;
        sure = settle(a, exact ? 0 : err) && settle(b, exact ? 0 : err) && sure;
    }
    return sure;
}

static bool hadamard(const prologue *p, double *x) {
    double y[MAX_DIM], mass = 0;
    float root = p->dim == 32 ? 0.17677669529663687f : p->dim == 64 ? 0.125f : 0.08838834764831845f;
    bool sure = true;
    for (int64_t i = 0; i < p->dim; i++) {
        mass += fabs(x[i]);
        sure = sure && ldexp(x[i], 17) == floor(ldexp(x[i], 17));
        y[i] = 0;
        for (int64_t j = 0; j < p->dim; j++) {
            y[i] += (__builtin_popcountll((uint64_t)(i & j)) & 1) != 0 ? -x[j] : x[j];
        }
    }
    for (int64_t i = 0; i < p->dim; i++) {
        x[i] = tgk_to_bf16((double)((float)y[i] * root));
    }
    return sure && (mass < 128 || ldexp(mass, 11) == floor(ldexp(mass, 11)));
}

static bool prepare(const prologue *p, double *x, const double *cs) {
    bool sure = rotate(p, x, cs);
    return p->hadamard ? hadamard(p, x) && sure : sure;
}

/* The least power of two at or above s, as a byte. */
static int e8m0_above(float s) {
    uint32_t bits;
    memcpy(&bits, &s, sizeof bits);
    return (int)((bits - 1) >> 23) + 1;
}

static float amax_of(const double *x, int64_t n, float least) {
    float amax = least;
    for (int64_t i = 0; i < n; i++) {
        amax = fmaxf(amax, (float)fabs(x[i]));
    }
    return amax;
}

/* Codes of x; returns the scale. */
static float quantise_f8(const prologue *p, const double *x, unsigned char *codes) {
    float amax = amax_of(x, p->dim, 1e-4f), scale = amax / 448.0f, factor = 448.0f / amax;
    if (p->pow2) {
        int e = e8m0_above(scale);
        scale = ldexpf(1, e - 127);
        factor = ldexpf(1, 127 - e);
    }
    for (int64_t i = 0; i < p->dim; i++) {
        codes[i] = (unsigned char)e4m3_code((double)((float)x[i] * factor));
    }
    return scale;
}

/* Codes of 32 elements; returns the scale byte. */
static int quantise_f4(const double *x, unsigned char *codes) {
    int e = e8m0_above(amax_of(x, 32, 7.052966104933725e-38f) / 6.0f);
    for (int i = 0; i < 32; i++) {
        codes[i] = (unsigned char)nearest(ldexp(x[i], 127 - e), e2m1_values, 8);
    }
    return e;
}

static const double *table_row(const tgk_arg *cs, int64_t position) {
    return cs->f + position * cs->extent[1];
}

/* (q [T,H,D], w [T,H], factor, pos, cs, out q8, out ws); fp4: (.., out q4, out qs, out ws) */
bool tgs_indexer_query(tgk_arg *a, int n) {
    int64_t heads = a[0].extent[1], dim = a[0].extent[2];
    prologue p = prologue_of(a, dim, a[4].extent[1]);
    bool fp4 = n == 8;
    for (int64_t i = 0; i < a[0].extent[0] * heads; i++) {
        double x[MAX_DIM];
        unsigned char codes[MAX_DIM];
        float weight = (float)a[1].f[i] * (float)tgk_float(&a[2]);
        memcpy(x, a[0].f + i * dim, (size_t)dim * sizeof *x);
        (void)prepare(&p, x, table_row(&a[4], a[3].i[i / heads]));
        if (!fp4) {
            weight *= quantise_f8(&p, x, codes);
        }
        for (int64_t g = 0; g < dim / 32 && fp4; g++) {
            a[6].i[i * (dim / 32) + g] = quantise_f4(x + 32 * g, codes + 32 * g);
        }
        for (int64_t c = 0; c < dim; c++) {
            double sign = (codes[c] & 8) != 0 ? -1 : 1;
            a[5].f[i * dim + c] = fp4 ? sign * e2m1_values[codes[c] & 7] : tgk_e4m3(codes[c]);
        }
        a[fp4 ? 7 : 6].f[i] = (double)weight;
    }
    return n == 7 || n == 8;
}

/* LayerNorm and preparation of a key; false: some rounding is not certain. */
static bool prepare_key(const prologue *p, const tgk_arg *a, int64_t t, double *y) {
    const double *x = a[0].f + t * p->dim;
    double mean = 0, square = 0;
    bool sure = true;
    for (int64_t i = 0; i < p->dim; i++) {
        mean += x[i] / (double)p->dim;
    }
    for (int64_t i = 0; i < p->dim; i++) {
        square += (x[i] - mean) * (x[i] - mean) / (double)p->dim;
    }
    for (int64_t i = 0; i < p->dim; i++) {
        double v = (x[i] - mean) / sqrt(square + tgk_float(&a[3])) * a[1].f[i];
        y[i] = v + a[2].f[i];
        sure = settle(&y[i], 2e-6 * (fabs(v) + fabs(a[2].f[i]))) && sure;
    }
    return prepare(p, y, table_row(&a[5], a[4].i[t])) && sure;
}

/* (x [T,128], gain, bias, eps, pos, cs, slot, inout cache) */
static bool store_keys(tgk_arg *a, int n, bool fp4) {
    prologue p = prologue_of(a, a[0].extent[1], a[5].extent[1]);
    int64_t page_bytes = a[7].elem_bytes, bs = page_bytes / (fp4 ? 68 : 132);
    for (int64_t t = 0; t < a[0].extent[0]; t++) {
        double y[MAX_DIM];
        unsigned char codes[MAX_DIM];
        int64_t slot = a[6].i[t];
        if (slot < 0 || slot >= bs * a[7].count) {
            continue;
        }
        unsigned char *page = a[7].bytes + slot / bs * page_bytes;
        (void)prepare_key(&p, a, t, y);
        if (!fp4) {
            float scale = quantise_f8(&p, y, page + slot % bs * 128);
            memcpy(page + bs * 128 + slot % bs * 4, &scale, sizeof scale);
            continue;
        }
        for (int g = 0; g < 4; g++) {
            page[bs * 64 + slot % bs * 4 + g] =
                (unsigned char)quantise_f4(y + 32 * g, codes + 32 * g);
        }
        for (int c = 0; c < 64; c++) {
            page[slot % bs * 64 + c] = (unsigned char)(codes[2 * c] | codes[2 * c + 1] << 4);
        }
    }
    return n == 8;
}

bool tgs_indexer_key_fp8(tgk_arg *a, int n) { return store_keys(a, n, false); }
bool tgs_indexer_key_fp4(tgk_arg *a, int n) { return store_keys(a, n, true); }

/* ---- inputs ---- */

/* Pairs on or near the unit circle, in 32nds. */
static void fill_table(tgk_arg *cs, tgk_random *r) {
    int64_t pairs = cs->extent[1] / 2;
    for (int64_t i = 0; i < cs->extent[0] * pairs; i++) {
        double angle = 6.2831853 * tgk_random_uniform(r);
        double *row = cs->f + i / pairs * 2 * pairs;
        row[i % pairs] = round(32 * cos(angle)) / 32;
        row[pairs + i % pairs] = round(32 * sin(angle)) / 32;
    }
}

static void fill_positions(tgk_arg *pos, int64_t rows, tgk_random *r) {
    for (int64_t t = 0; t < pos->count; t++) {
        pos->i[t] = t == 0 ? rows - 1 : tgk_random_below(r, rows);
    }
}

void tgs_inputs_indexer_query(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    int64_t heads = a[0].extent[1], dim = a[0].extent[2];
    for (int64_t i = 0; i < a[0].count; i++) { /* one head of zeros */
        double v = fmin(fmax(tgk_random_normal(r), -3.5), 3.5);
        a[0].f[i] = i / dim % heads == 1 ? 0 : round(64 * v) / 64;
    }
    a[2].f[0] = 1 / sqrt((double)(heads * dim));
    fill_positions(&a[3], a[4].extent[0], r);
    fill_table(&a[4], r);
}

static void inputs_key(tgk_arg *a, tgk_random *r, int64_t bytes) {
    prologue p = prologue_of(a, a[0].extent[1], a[5].extent[1]);
    int64_t tokens = a[0].extent[0], total = a[7].elem_bytes / bytes * a[7].count;
    for (int64_t c = 0; c < p.dim; c++) {
        a[1].f[c] = (double)(float)(1 + 0.2 * tgk_random_normal(r));
        a[2].f[c] = (double)(float)(0.2 * tgk_random_normal(r));
    }
    a[3].f[0] = (double)1e-6f;
    fill_positions(&a[4], a[5].extent[0], r);
    fill_table(&a[5], r);
    for (int64_t t = 0; t < tokens; t++) {
        static const int64_t none[4] = {-1, -64, -65, -2147483647};
        a[6].i[t] = t % 5 == 3 ? none[t / 5 % 4] : t * 11 % tokens * (total / tokens);
        a[6].i[t] += t % 11 == 10 ? total : 0;
        double y[MAX_DIM];
        for (int tries = 0; tries < 5000; tries++) {
            for (int64_t c = 0; c < p.dim; c++) {
                a[0].f[t * p.dim + c] = tgk_to_bf16(tgk_random_normal(r));
            }
            if (prepare_key(&p, a, t, y)) {
                break;
            }
        }
    }
}

void tgs_inputs_indexer_key_fp8(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    inputs_key(a, r, 132);
}

void tgs_inputs_indexer_key_fp4(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    inputs_key(a, r, 68);
}
