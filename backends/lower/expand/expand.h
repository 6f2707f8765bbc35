/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elementwise code on loop values, for every lowering: what an operation of the tile level becomes
 * on scalars and vectors, math functions and conversions written out in plain arithmetic, so that
 * their bits are the same on every target.
 *
 *   apply.c      one elementwise operation
 *   below.c      which arguments of an exponential are never positive
 *   convert.c    conversions between any two types
 *   math.c, trig.c, rem.c   functions and the float remainder
 *   legalise.c   the pass over a finished loop function
 */
#ifndef TG_LOWER_EXPAND_H
#define TG_LOWER_EXPAND_H

#include "backends/machine.h"
#include "ir/build.h"

/*
 * The result of elementwise tile operation op (also cmp, select, cast, bitcast, math, rng) on loop
 * values a[0..n_operands), which are scalars or vectors of one shape in the carriers of op's types;
 * a may be overwritten. The result is in its carrier.
 */
tg_value *tg_expand_apply(tg_builder *b, const tg_machine *mc, const tg_op *op, tg_value **a);

/* Every use works on scalars and vectors alike and emits only ops that LLVM has natively on the
 * machine (no libm call). ULP bounds are published in docs/math.md. */
tg_value *tg_expand_math(tg_builder *b, const tg_machine *mc, tg_math_fn fn, tg_value *x);
/* Any dtype to any dtype by ops.def's CAST rules, given and giving loop values: storage floats are
 * carried as the unsigned integer of their width (u8, u16; f4/i4/u4 one element per u8).
 * `from`/`to` are the language types. */
tg_value *tg_expand_convert(tg_builder *b, const tg_machine *mc, tg_value *x, tg_dtype from,
                            tg_dtype to, tg_round round, bool sat);
/* Integer div/rem, shifts, float min/max, rem with the language's defined results. */
tg_value *tg_expand_binary(tg_builder *b, const tg_machine *mc, tg_opcode code, tg_value *x,
                           tg_value *y);
/* The dtype a value of t has in registers and scratch: itself, or the unsigned carrier. */
tg_dtype tg_carrier(tg_dtype t);
/* Bytes of one element in scratch buffers (sub-byte types and bool take one byte). */
int64_t tg_scratch_elem_bytes(tg_dtype t);

/* Legalises a loop function in place: replaces math, cast, div, ... ops that the emitter does not
 * take natively by their expansion. After it, LLVM emission is one-to-one. */
void tg_expand_legalise(tg_func *loop, const tg_machine *mc);

#endif
