/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evaluators of the elementwise group. Each operation is one plain loop per class of element (f32,
 * double, integer), made by a macro so that the loop has no branch on the operation.
 */
#include <math.h>

#include "ir/interp/internal.h"

static int64_t count(const tg_op *op) { return tg_type_count(op->results[0].type); }
static tg_dtype operand_dtype(const tg_op *op) { return tg_operand(op, 0)->type->dtype; }

typedef struct wrap {
    int shift;
    bool sign;
} wrap;

static wrap wrap_of(tg_dtype t) {
    return (wrap){.shift = 64 - tg_dtype_bits(t), .sign = tg_dtype_is_signed(t)};
}

static inline int64_t apply_wrap(wrap w, uint64_t v) {
    v <<= w.shift;
    return w.sign ? (int64_t)v >> w.shift : (int64_t)(v >> w.shift);
}

/* ---- arithmetic -------------------------------------------------------------------------------
 */

/* float_expr over x, y (float or double), int_expr over x, y (uint64_t) and the dtype t. */
#define ARITHMETIC(ident, float_expr, int_expr)                                                    \
    static void ident##_f32(tg_cell *r, const tg_cell *a, const tg_cell *b, int64_t n) {           \
        for (int64_t i = 0; i < n; i++) {                                                          \
            float x = (float)a[i].f, y = (float)b[i].f;                                            \
            r[i].f = (double)(float)(float_expr);                                                  \
        }                                                                                          \
    }                                                                                              \
    static void ident##_f64(tg_cell *r, const tg_cell *a, const tg_cell *b, int64_t n) {           \
        for (int64_t i = 0; i < n; i++) {                                                          \
            double x = a[i].f, y = b[i].f;                                                         \
            r[i].f = (double)(float_expr);                                                         \
        }                                                                                          \
    }                                                                                              \
    static void ident##_int(tg_cell *r, const tg_cell *a, const tg_cell *b, int64_t n,             \
                            tg_dtype t) {                                                          \
        wrap w = wrap_of(t);                                                                       \
        for (int64_t i = 0; i < n; i++) {                                                          \
            uint64_t x = (uint64_t)a[i].i, y = (uint64_t)b[i].i;                                   \
            r[i].i = apply_wrap(w, int_expr);                                                      \
        }                                                                                          \
    }                                                                                              \
    void tg_eval_##ident(tg_interp *in, tg_op *op) {                                               \
        const tg_cell *a = tg_iv_cells(in, op, 0), *b = tg_iv_cells(in, op, 1);                    \
        tg_cell *r = tg_iv_result(in, op, 0);                                                      \
        tg_dtype t = op->results[0].type->dtype;                                                   \
        if (!tg_dtype_is_float(t)) {                                                               \
            ident##_int(r, a, b, count(op), t);                                                    \
        } else if (tg_num_wide(in, t)) {                                                           \
            ident##_f64(r, a, b, count(op));                                                       \
        } else {                                                                                   \
            ident##_f32(r, a, b, count(op));                                                       \
        }                                                                                          \
    }

/* Operands are extended to 64 bits, so MIN / -1 of the narrow types just wraps. */
static uint64_t divide(tg_dtype t, uint64_t x, uint64_t y) {
    if (t == TG_DT_U64) {
        return y == 0 ? 0 : x / y;
    }
    return (uint64_t)tg_div_i64((int64_t)x, (int64_t)y);
}

static uint64_t remainder_of(tg_dtype t, uint64_t x, uint64_t y) {
    if (t == TG_DT_U64) {
        return y == 0 ? x : x % y;
    }
    return (uint64_t)tg_mod_i64((int64_t)x, (int64_t)y);
}

static uint64_t lesser(tg_dtype t, uint64_t x, uint64_t y) {
    return tg_num_order(t, (tg_cell){.i = (int64_t)x}, (tg_cell){.i = (int64_t)y}) <= 0 ? x : y;
}

static uint64_t greater(tg_dtype t, uint64_t x, uint64_t y) {
    return tg_num_order(t, (tg_cell){.i = (int64_t)x}, (tg_cell){.i = (int64_t)y}) >= 0 ? x : y;
}

ARITHMETIC(ADD, x + y, x + y)
ARITHMETIC(SUB, x - y, x - y)
ARITHMETIC(MUL, x *y, x *y)
ARITHMETIC(DIV, x / y, divide(t, x, y))
ARITHMETIC(REM, fmod((double)x, (double)y), remainder_of(t, x, y)) /* fmod is exact */
ARITHMETIC(MIN, tg_num_min((double)x, (double)y), lesser(t, x, y))
ARITHMETIC(MAX, tg_num_max((double)x, (double)y), greater(t, x, y))

void tg_eval_FMA(tg_interp *in, tg_op *op) {
    const tg_cell *a = tg_iv_cells(in, op, 0), *b = tg_iv_cells(in, op, 1);
    const tg_cell *c = tg_iv_cells(in, op, 2);
    tg_cell *r = tg_iv_result(in, op, 0);
    tg_dtype t = op->results[0].type->dtype;
    for (int64_t i = 0, n = count(op); i < n; i++) {
        if (!tg_dtype_is_float(t)) {
            r[i].i =
                tg_num_wrap(t, (int64_t)((uint64_t)a[i].i * (uint64_t)b[i].i + (uint64_t)c[i].i));
        } else if (tg_num_wide(in, t)) {
            r[i].f = fma(a[i].f, b[i].f, c[i].f);
        } else {
            r[i].f = (double)fmaf((float)a[i].f, (float)b[i].f, (float)c[i].f);
        }
    }
}

void tg_eval_NEG(tg_interp *in, tg_op *op) {
    const tg_cell *a = tg_iv_cells(in, op, 0);
    tg_cell *r = tg_iv_result(in, op, 0);
    tg_dtype t = op->results[0].type->dtype;
    for (int64_t i = 0, n = count(op); i < n; i++) {
        if (tg_dtype_is_float(t)) {
            /* through the format: fnuz has no -0, e8m0 no sign */
            r[i].f = t == TG_DT_F8E4M3FNUZ && a[i].f == 0.0 ? 0.0 : -a[i].f;
        } else {
            r[i].i = tg_num_wrap(t, (int64_t)(0 - (uint64_t)a[i].i));
        }
    }
}

void tg_eval_ABS(tg_interp *in, tg_op *op) {
    const tg_cell *a = tg_iv_cells(in, op, 0);
    tg_cell *r = tg_iv_result(in, op, 0);
    tg_dtype t = op->results[0].type->dtype;
    for (int64_t i = 0, n = count(op); i < n; i++) {
        if (tg_dtype_is_float(t)) {
            r[i].f = fabs(a[i].f);
        } else {
            bool negative = tg_dtype_is_signed(t) && a[i].i < 0;
            r[i].i = negative ? tg_num_wrap(t, (int64_t)(0 - (uint64_t)a[i].i)) : a[i].i;
        }
    }
}

/* ---- bits -------------------------------------------------------------------------------------
 */

#define BITWISE(ident, expr)                                                                       \
    void tg_eval_##ident(tg_interp *in, tg_op *op) {                                               \
        const tg_cell *a = tg_iv_cells(in, op, 0), *b = tg_iv_cells(in, op, 1);                    \
        tg_cell *r = tg_iv_result(in, op, 0);                                                      \
        wrap w = wrap_of(op->results[0].type->dtype);                                              \
        unsigned mask = (unsigned)(63 - w.shift);                                                  \
        (void)mask;                                                                                \
        for (int64_t i = 0, n = count(op); i < n; i++) {                                           \
            uint64_t x = (uint64_t)a[i].i, y = (uint64_t)b[i].i;                                   \
            r[i].i = apply_wrap(w, expr);                                                          \
        }                                                                                          \
    }

BITWISE(AND, x &y)
BITWISE(OR, x | y)
BITWISE(XOR, x ^ y)
BITWISE(SHL, x << (y & mask))
BITWISE(SHR, w.sign ? (uint64_t)((int64_t)x >> (y & mask)) : x >> (y & mask))

void tg_eval_NOT(tg_interp *in, tg_op *op) {
    const tg_cell *a = tg_iv_cells(in, op, 0);
    tg_cell *r = tg_iv_result(in, op, 0);
    tg_dtype t = op->results[0].type->dtype;
    for (int64_t i = 0, n = count(op); i < n; i++) {
        r[i].i = t == TG_DT_BOOL ? !a[i].i : tg_num_wrap(t, ~a[i].i);
    }
}

void tg_eval_POPCOUNT(tg_interp *in, tg_op *op) {
    const tg_cell *a = tg_iv_cells(in, op, 0);
    tg_cell *r = tg_iv_result(in, op, 0);
    int bits = tg_dtype_bits(op->results[0].type->dtype);
    for (int64_t i = 0, n = count(op); i < n; i++) {
        r[i].i = __builtin_popcountll((uint64_t)a[i].i << (64 - bits));
    }
}

/* ---- comparison and choice ----------------------------------------------------------------------
 */

static bool holds(tg_cmp_pred p, bool less, bool equal) {
    switch (p) {
    case TG_CMP_EQ:
        return equal;
    case TG_CMP_NE:
        return !equal;
    case TG_CMP_LT:
        return less;
    case TG_CMP_LE:
        return less || equal;
    case TG_CMP_GT:
        return !less && !equal;
    case TG_CMP_GE:
        return !less;
    }
    return false;
}

void tg_eval_CMP(tg_interp *in, tg_op *op) {
    const tg_cell *a = tg_iv_cells(in, op, 0), *b = tg_iv_cells(in, op, 1);
    tg_cell *r = tg_iv_result(in, op, 0);
    tg_cmp_pred p = (tg_cmp_pred)tg_attr_int(op, TG_ATTR_PRED, 0);
    tg_dtype t = operand_dtype(op);
    bool is_float = tg_dtype_is_float(t);
    for (int64_t i = 0, n = count(op); i < n; i++) {
        if (!is_float) {
            int o = tg_num_order(t, a[i], b[i]);
            r[i].i = holds(p, o < 0, o == 0);
        } else if (isnan(a[i].f) || isnan(b[i].f)) {
            r[i].i = p == TG_CMP_NE;
        } else {
            r[i].i = holds(p, a[i].f < b[i].f, a[i].f == b[i].f);
        }
    }
}

void tg_eval_SELECT(tg_interp *in, tg_op *op) {
    const tg_cell *c = tg_iv_cells(in, op, 0);
    const tg_cell *a = tg_iv_cells(in, op, 1), *b = tg_iv_cells(in, op, 2);
    tg_cell *r = tg_iv_result(in, op, 0);
    for (int64_t i = 0, n = count(op); i < n; i++) {
        r[i] = c[i].i ? a[i] : b[i];
    }
}

/* ---- functions and conversions ------------------------------------------------------------------
 */

void tg_eval_MATH(tg_interp *in, tg_op *op) {
    const tg_cell *a = tg_iv_cells(in, op, 0);
    tg_cell *r = tg_iv_result(in, op, 0);
    tg_math_fn fn = (tg_math_fn)tg_attr_int(op, TG_ATTR_FN, 0);
    tg_dtype t = op->results[0].type->dtype;
    bool all_exact = true;
    for (int64_t i = 0, n = count(op); i < n; i++) {
        bool exact = true;
        double v = tg_num_math(fn, a[i].f, &exact);
        r[i].f = tg_num_round(in, t, v);
        all_exact &= exact && (r[i].f == v || isnan(v));
    }
    if (!all_exact && in->opt->mode == TG_INTERP_EXACT) {
        tg_interp_inexact(in, op, "the function's value has no exact f32");
    }
}

void tg_eval_CAST(tg_interp *in, tg_op *op) {
    const tg_cell *a = tg_iv_cells(in, op, 0);
    tg_cell *r = tg_iv_result(in, op, 0);
    tg_round round = (tg_round)tg_attr_int(op, TG_ATTR_ROUND, TG_ROUND_RNE);
    bool sat = tg_attr_int(op, TG_ATTR_SAT, 0) != 0;
    tg_dtype from = operand_dtype(op), to = op->results[0].type->dtype;
    for (int64_t i = 0, n = count(op); i < n; i++) {
        r[i] = tg_num_cast(in, from, to, a[i], round, sat);
    }
}

void tg_eval_BITCAST(tg_interp *in, tg_op *op) {
    const tg_cell *a = tg_iv_cells(in, op, 0);
    tg_cell *r = tg_iv_result(in, op, 0);
    tg_dtype from = operand_dtype(op), to = op->results[0].type->dtype;
    for (int64_t i = 0, n = count(op); i < n; i++) {
        r[i] = tg_num_decode(in, to, tg_num_encode(from, a[i]));
    }
}

void tg_eval_RNG(tg_interp *in, tg_op *op) {
    const tg_cell *key = tg_iv_cells(in, op, 0), *counter = tg_iv_cells(in, op, 1);
    tg_cell *r = tg_iv_result(in, op, 0);
    for (int64_t i = 0, n = count(op); i < n; i++) {
        uint32_t words[4];
        tg_philox4x32((uint64_t)key[i].i, (uint64_t)counter[i].i, words);
        r[i].i = words[0];
    }
}
