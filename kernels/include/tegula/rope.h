/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of rotary position embedding, with or without YaRN: what the rope_* kernels and all fused
 * ones read. Angles are formed in f32 as position * frequency, exactly as the published models do:
 * at long positions that differs visibly from the exact angle (the cosine by 0.055 below 2^20), and
 * a table built in double would be the wrong one. Thread-safe; memory only from the caller.
 */
#ifndef TEGULA_ROPE_H
#define TEGULA_ROPE_H

#include <stdbool.h>

#include <tegula/kernels.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tgh_rope {
    int32_t dim;  /* rotated columns, even; dim / 2 pairs; at most 512 */
    double theta; /* base: pair i turns by theta^(-2 i / dim) a position */
    /* YaRN; factor 1: none. */
    double factor;
    double original;             /* positions the model was trained on: 4096 (V2, V3), 65536 (V4) */
    double beta_fast, beta_slow; /* turns over `original` below and above which a pair is and is not
                                    scaled; both 0: 32 and 1 */
} tgh_rope;

/* The pairs [*low, *high] between which YaRN goes over from unscaled to scaled frequencies
 * (V3: 10, 23; V4: 15, 25). */
TGH_API void tgh_rope_range(const tgh_rope *r, int32_t *low, int32_t *high);

/* freq[dim / 2], in f32. False when the description makes no sense (odd, too large or empty dim,
 * theta or factor not above 0, YaRN with theta 1); nothing is written then. */
TGH_API bool tgh_rope_frequencies(const tgh_rope *r, float *freq);

/*
 * Rows of [cos | sin], dim floats each, of the positions first, first + step, ... (n rows) into
 * table. step m makes the rows of group starts (compressed entries). cos and sin are rounded from
 * double of the f32 angle, so that tables agree on every machine. False as above.
 */
TGH_API bool tgh_rope_table(const tgh_rope *r, int64_t first, int64_t step, int64_t n,
                            float *table);

/* What YaRN multiplies the softmax scale with: (0.1 mscale ln(factor) + 1)^2; 1 without YaRN.
 * V3: mscale 1, V2-Lite .707, V4: no such factor. */
TGH_API double tgh_rope_scale(const tgh_rope *r, double mscale);

#ifdef __cplusplus
}
#endif
#endif
