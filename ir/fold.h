/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Constant evaluation of elementwise operations, one element at a time, exactly as ops.def says.
 * Shared by the builder and the canonicaliser. Integers are passed as int64 in the canonical form
 * of their type: sign-extended, zero-extended or 0/1. Each function returns false when it declines.
 */
#ifndef TG_FOLD_H
#define TG_FOLD_H

#include "ir/ir.h"

/* v wrapped to an integer or bool type, in canonical form. */
int64_t tg_fold_wrap(tg_dtype t, int64_t v);
bool tg_fold_int_binary(tg_opcode code, tg_dtype t, int64_t a, int64_t b, int64_t *out);
bool tg_fold_int_unary(tg_opcode code, tg_dtype t, int64_t a, int64_t *out);
bool tg_fold_int_cmp(tg_cmp_pred p, tg_dtype t, int64_t a, int64_t b);
/* f32 and f64 only. Declines when the result is a NaN, whose bits a target decides. */
bool tg_fold_float_binary(tg_opcode code, tg_dtype t, double a, double b, double *out);
bool tg_fold_float_unary(tg_opcode code, tg_dtype t, double a, double *out);
bool tg_fold_float_cmp(tg_cmp_pred p, double a, double b);
/* The nearest value of t; declines for NaN. */
bool tg_fold_float_to(tg_dtype t, double v, tg_round round, bool sat, double *out);
bool tg_fold_float_to_int(tg_dtype t, double v, int64_t *out);
bool tg_fold_int_to_float(tg_dtype from, int64_t v, tg_dtype to, double *out);

#endif
