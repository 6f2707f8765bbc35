/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: rotary position embedding by table input (attention.md section 4). `cos_sin` row p
 * holds R cosines, then R sines, for R rotated pairs. The rotated pairs lie in dimensions [start,
 * start + 2R) of the head; the rest passes through. interleaved: pairs (2i, 2i+1)      half: pairs
 * (i, i + R)      conjugate: -sin
 */
#include "kernels/reference.h"

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

/* Cosines and sines are just numbers here; positions stay inside the table. */
static void inputs(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    for (int64_t i = 0; i < args[1].count; i++) {
        args[1].i[i] = tgk_random_below(r, args[2].extent[0]);
    }
    args[3].f[0] = tgk_random_below(r, 2) == 0 ? 1 : -1;
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
    {0},
};
