/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the emulation. All values are scalars; f32 go as their bits (u32). */
#ifndef TG_LOWER_SOFT_H
#define TG_LOWER_SOFT_H

#include "backends/lower/expand/xp.h"

enum { TG_SOFT_INF = 0x7f800000, TG_SOFT_NAN = 0x7fc00000, TG_SOFT_ONE = 0x3f800000 };

/* sign (u32, 0 or 2^31) and sig * 2^e, sig : u64 below 2^63 whose lowest bit may stand for what was
 * lost, e : i32; rounded to nearest even. */
tg_value *tg_soft_round(const tg_xp *x, tg_value *sign, tg_value *e, tg_value *sig);

tg_value *tg_soft_fma(const tg_xp *x, tg_value *p, tg_value *q, tg_value *r);
tg_value *tg_soft_mul(const tg_xp *x, tg_value *p, tg_value *q);
tg_value *tg_soft_add(const tg_xp *x, tg_value *p, tg_value *q);
tg_value *tg_soft_div(const tg_xp *x, tg_value *p, tg_value *q);
/* Uses the device's own root as a start only. */
tg_value *tg_soft_sqrt(const tg_xp *x, tg_value *p);

/* Any integer, or f64, to the bits of an f32. */
tg_value *tg_soft_from_int(const tg_xp *x, tg_value *v);
tg_value *tg_soft_from_f64(const tg_xp *x, tg_value *v);
/* To an f64 without any f32 arithmetic. */
tg_value *tg_soft_to_f64(const tg_xp *x, tg_value *p);
/* floor, ceil, round. */
tg_value *tg_soft_whole(const tg_xp *x, tg_math_fn fn, tg_value *p);
tg_value *tg_soft_cmp(const tg_xp *x, tg_cmp_pred pred, tg_value *p, tg_value *q);
tg_value *tg_soft_minmax(const tg_xp *x, bool max, tg_value *p, tg_value *q);

/* |p| as bits; NaN of p. */
tg_value *tg_soft_magnitude(const tg_xp *x, tg_value *p);
tg_value *tg_soft_is_nan(const tg_xp *x, tg_value *p);

/* narrow.c: stores and shared arrays of 8 and 16 bits in f, by words. */
const tg_op *tg_narrow_by_words(tg_func *f);

#endif
