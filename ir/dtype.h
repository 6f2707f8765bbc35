/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Element types: properties and bit-exact conversion. Storage-only types (f8*, f4e2m1, i4, u4) and
 * f16/bf16 are converted here by integer code, so every host agrees. Sources: OCP MX v1.0 section 5
 * (e4m3, e5m2, e2m1, e8m0), IEEE 754-2019 (f16 = binary16).
 */
#ifndef TG_DTYPE_H
#define TG_DTYPE_H

#include <tegula/abi.h>

#include "ir/base/base.h"

const char *tg_dtype_name(tg_dtype t);
int tg_dtype_bits(tg_dtype t);
bool tg_dtype_from_name(const char *s, size_t len, tg_dtype *out);
bool tg_dtype_is_float(tg_dtype t);
bool tg_dtype_is_int(tg_dtype t); /* signed or unsigned, not bool */
bool tg_dtype_is_signed(tg_dtype t);
/* f16 bf16 f8* f4e2m1 i4 u4: arithmetic happens in f32 (i32 for i4/u4). */
bool tg_dtype_is_storage(tg_dtype t);
/* The type arithmetic on t yields: f32 for small floats, i32 for i4, u32 for u4, else t. */
tg_dtype tg_dtype_arith(tg_dtype t);

/* Is every value of `from` one of `to`, both integers or both floats? */
bool tg_dtype_holds(tg_dtype to, tg_dtype from);

typedef enum tg_round { TG_ROUND_RNE, TG_ROUND_RTZ, TG_ROUND_UP, TG_ROUND_DOWN } tg_round;

/* Value of the element with these bits (low bits of `bits`), exact in double. Floats only. */
double tg_float_decode(tg_dtype t, uint64_t bits);
/*
 * Bits of v rounded to t. Saturating types (f8e4m3, f8e4m3fnuz, f4e2m1) always clamp finite values
 * and infinities to the largest finite value; f8e5m2, f16, bf16, f32 overflow to infinity unless
 * saturate. f4e2m1 of NaN is 0 (it has no NaN). f8e8m0 takes ceil-power-of-two under TG_ROUND_UP
 * and round-to-nearest-even exponent otherwise; NaN, and values <= 0, give 0xFF and 0x00. Rounds v
 * once from double: callers round to f32 first where the language does.
 */
uint64_t tg_float_encode(tg_dtype t, double v, tg_round round, bool saturate);

/* Reads / writes element i of a packed row: sub-byte elements low bits first. */
uint64_t tg_bits_load(const void *row, tg_dtype t, size_t i);
void tg_bits_store(void *row, tg_dtype t, size_t i, uint64_t bits);
/* Sign- or zero-extends the bits of an integer element. */
int64_t tg_int_decode(tg_dtype t, uint64_t bits);

#endif
