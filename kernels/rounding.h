/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rounding to the small float types in double arithmetic, for references whose formula rounds in
 * its middle, and what an error of the kernel's f32 arithmetic may make of such a rounding: near a
 * tie, one step. So references stay sharp: elements far from a tie must be equal.
 */
#ifndef TG_KERNELS_ROUNDING_H
#define TG_KERNELS_ROUNDING_H

#include "kernels/reference.h"

#include <math.h>
#include <stdlib.h>

/* A float format: explicit mantissa bits, exponent of the least normal number, largest value. */
typedef struct tgk_format {
    int mantissa, min_exponent;
    double largest; /* conversions clamp to it; INFINITY: they do not */
} tgk_format;

static const tgk_format TGK_BF16 = {7, -126, INFINITY}, TGK_E4M3 = {3, -6, 448};

/* v to nearest, ties to even. */
static inline double tgk_round_to(double v, const tgk_format *f) {
    if (v == 0 || !isfinite(v)) {
        return v;
    }
    int e;
    (void)frexp(v, &e);
    e = (e - 1 < f->min_exponent ? f->min_exponent : e - 1) - f->mantissa;
    double r = ldexp(rint(ldexp(v, -e)), e);
    return fabs(r) > f->largest ? copysign(f->largest, r) : r;
}

/* A double that f32 arithmetic made, stored as bf16. */
static inline double tgk_to_bf16(double v) { return tgk_round_to((double)(float)v, &TGK_BF16); }

/* How far roundings of values within err of v may be from the rounding of v. */
static inline double tgk_round_slack(double v, double err, const tgk_format *f) {
    double lo = tgk_round_to(v - err, f), hi = tgk_round_to(v + err, f), r = tgk_round_to(v, f);
    return fmax(fabs(hi - r), fabs(lo - r));
}

/* Exponent byte of the least power of two not below s (the bit rule of moe.md section 1). */
static inline int tgk_e8m0_ceil(double s) {
    int e;
    double m = frexp(s, &e); /* s = m 2^e, 1/2 <= m < 1 */
    return (m == 0.5 ? e - 1 : e) + 127;
}

/* Per-element allowance of an output, all 0. The tool frees it. */
static inline double *tgk_make_slack(tgk_arg *a) {
    free(a->slack);
    a->slack = calloc((size_t)a->count + 1, sizeof *a->slack);
    return a->slack;
}

#endif
