/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engram's hash tables: how many rows each head has and where its rows begin (moe.md section 8).
 * Every head of every order and layer has a prime number of rows of its own: successive unused
 * primes from the wanted size on, layers first, then orders, then heads. Thread-safe.
 */
#ifndef TEGULA_ENGRAM_H
#define TEGULA_ENGRAM_H

#include <stdbool.h>

#include <tegula/kernels.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The multipliers of V4.1's layers 1 and 14, for the token itself and the three before it. */
TGH_API extern const int64_t tgh_engram_multipliers_v41[2][4];

/*
 * The tables of `layers` layers with `tables` heads each (orders x heads: 24 in V4.1), all primes
 * greater than `above` (V4.1: 16,000,000 - 1).
 *   out_prime:  layers x tables, rows of each head
 *   out_offset: layers x tables, where a head's rows begin in its layer's table; may be NULL
 *   out_rows:   layers, rows of each layer's table; may be NULL
 * False: a negative extent, `above` below 1 or above 2^40.
 */
TGH_API bool tgh_engram_primes(int64_t above, int32_t layers, int32_t tables, int64_t *out_prime,
                               int64_t *out_offset, int64_t *out_rows);

#ifdef __cplusplus
}
#endif
#endif
