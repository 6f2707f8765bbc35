/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: rotary position embedding by table input (attention.md section 4). `cos_sin` row p
 * holds R cosines, then R sines, for R rotated pairs. The rotated pairs lie in dimensions [start,
 * start + 2R) of the head; the rest passes through. interleaved: pairs (2i, 2i+1)      half: pairs
 * (i, i + R)      conjugate: -sin
 */
#include "kernels/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* rope_*(x: [T, H, D], pos: i32[T], cos_sin: f32[P, 2R], sign: f32, out y: [T, H, D]) */
static bool rotate(tgk_arg *args, int n, bool interleaved, bool last) {
    if (n != 5) {
        return false;
    }
    const tgk_arg *x = &args[0], *table = &args[2];
    int64_t heads = x->extent[1], dim = x->extent[2], pairs = table->extent[1] / 2;
    int64_t start = last ? dim - 2 * pairs : 0;
    double sign = tgk_float(&args[3]);
    for (int64_t t = 0; t < x->extent[0]; t++) {
        const double *cs = table->f + args[1].i[t] * 2 * pairs;
        for (int64_t h = 0; h < heads; h++) {
            const double *in = x->f + (t * heads + h) * dim;
            double *out = args[4].f + (t * heads + h) * dim;
            memcpy(out, in, (size_t)dim * sizeof *in);
            for (int64_t i = 0; i < pairs; i++) {
                int64_t a = start + (interleaved ? 2 * i : i);
                int64_t b = start + (interleaved ? 2 * i + 1 : i + pairs);
                double c = cs[i], s = sign * cs[pairs + i];
                out[a] = in[a] * c - in[b] * s;
                out[b] = in[a] * s + in[b] * c;
            }
        }
    }
    return true;
}

static bool rope_interleaved_first(tgk_arg *a, int n) { return rotate(a, n, true, false); }
static bool rope_interleaved_last(tgk_arg *a, int n) { return rotate(a, n, true, true); }
static bool rope_half_first(tgk_arg *a, int n) { return rotate(a, n, false, false); }
static bool rope_half_last(tgk_arg *a, int n) { return rotate(a, n, false, true); }

/* rope_compressed(x, pos, cos_sin, m, out y): position floor(pos / m) * m, interleaved, last. */
static bool rope_compressed(tgk_arg *a, int n) {
    int64_t m = n == 5 ? tgk_int(&a[3]) : 0;
    if (m <= 0) {
        return false;
    }
    double one = 1;
    int64_t *start = malloc((size_t)(a[1].count + 1) * sizeof *start);
    if (start == NULL) {
        return false;
    }
    for (int64_t i = 0; i < a[1].count; i++) {
        start[i] = a[1].i[i] / m * m;
    }
    tgk_arg with[5] = {a[0], a[1], a[2], a[3], a[4]};
    with[1].i = start;
    with[3].f = &one;
    bool ok = rotate(with, n, true, true);
    free(start);
    return ok;
}

/*
 * Positions 0, 1, 4095 and the last of the table first, then any. Rows of the table that are used
 * hold cosines and sines of position * theta^(-i / R), formed in f32 as the published models do;
 * all others NaN, so a wrong row shows.
 */
static void fill(tgk_arg *args, tgk_random *r, int64_t group) {
    static const int64_t first[] = {0, 1, 4095, INT64_MAX};
    tgk_arg *table = &args[2];
    int64_t rows = table->extent[0], pairs = table->extent[1] / 2;
    for (int64_t i = 0; i < table->count; i++) {
        table->f[i] = NAN;
    }
    for (int64_t i = 0; i < args[1].count; i++) {
        int64_t p = i < 4 ? first[i] : tgk_random_below(r, rows);
        args[1].i[i] = p < rows ? p : rows - 1;
        p = args[1].i[i] / group * group;
        for (int64_t k = 0; k < pairs; k++) {
            float f = (float)pow(10000, -(double)k / (double)pairs), angle = (float)p * f;
            table->f[p * 2 * pairs + k] = (double)(float)cos((double)angle);
            table->f[p * 2 * pairs + pairs + k] = (double)(float)sin((double)angle);
        }
    }
}

static void inputs(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    args[3].f[0] = tgk_random_below(r, 2) == 0 ? 1 : -1;
    fill(args, r, 1);
}

static void inputs_compressed(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    fill(args, r, tgk_int(&args[3]));
}

/* Two products and one addition in f32 and the final rounding; cancellation makes the bound
 * absolute: 3 * 2^-24 * (|a| + |b|) < 2e-6 for N(0,1) data (attention.md section 9), 1 ulp for
 * 16-bit types. */
#define RULE {{"y", TGK_TOL_ULP, 1, 2e-6}}
const tgk_reference tgk_rope_references[] = {
    {"rope_interleaved_first", rope_interleaved_first, inputs, false, RULE},
    {"rope_interleaved_last", rope_interleaved_last, inputs, false, RULE},
    {"rope_half_first", rope_half_first, inputs, false, RULE},
    {"rope_half_last", rope_half_last, inputs, false, RULE},
    {"rope_compressed", rope_compressed, inputs_compressed, false, RULE},
    {0},
};
