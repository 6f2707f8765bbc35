/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seeded random programs in the language itself. What a program computes depends neither on the
 * tile extents nor on the order of sums, so every choice of its tunes must give the same bits: that
 * tests presence, ragged axes and loops through the front end, and then all that follows it.
 */
#ifndef TG_TEST_RANDOM_SOURCE_H
#define TG_TEST_RANDOM_SOURCE_H

#include "ir/ir.h"

/* The text of a program with one kernel `r` and tunes BM, BN, BK. */
const char *source_make(uint64_t seed, tg_arena *a);

/* The program with a few places spoilt (mutate.c). */
const char *source_mutate(const char *text, uint64_t seed, tg_arena *a);

#endif
