/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elementwise operations, lane by lane, with the results ops.def defines: wrapping integers,
 * x/0 = 0, shift counts modulo the width, NaN-keeping min and max with -0 below +0. Signs of floats
 * are changed in their bits, so nothing depends on how a device treats subnormals there.
 */
#include <math.h>
#include <string.h>

#include "backends/spirv/spirv.h"

static bool is_bool(const tg_type *t) { return t->kind != TG_TY_PTR && t->dtype == TG_DT_BOOL; }

static bool is_signed(const tg_type *t) {
    return t->kind != TG_TY_PTR && tg_dtype_is_signed(t->dtype);
}

static bool is_storage_float(const tg_type *t) {
    return t->kind != TG_TY_PTR && tg_dtype_is_float(t->dtype) && !tg_spv_is_float(t);
}

/* Integer constant of a lane's width. */
static uint32_t lane_const(tg_spv *s, const tg_type *t, uint64_t v) {
    int bits = tg_spv_bits(t);
    return tg_spv_const(s, bits < 8 ? 8 : bits, v);
}

/* ---- constants --------------------------------------------------------------------------------
 */

static uint32_t float_const(tg_spv *s, const tg_type *t, double v) {
    if (t->dtype == TG_DT_F64) {
        return tg_spv_const_f64(s, v);
    }
    return tg_spv_const_f32(s, (float)v);
}

static tg_spv_value emit_constant(tg_spv *s, const tg_op *op) {
    const tg_type *t = op->results[0].type;
    uint64_t bits = (uint64_t)tg_attr_int(op, TG_ATTR_VALUE_I, 0);
    double real = tg_attr_float(op, TG_ATTR_VALUE_F, 0.0);
    bool is_int = op->code == TG_OP_CONST_INT;
    uint32_t id = 0;
    if (tg_spv_is_float(t)) {
        id = float_const(s, t, is_int ? (double)(int64_t)bits : real);
    } else if (is_bool(t)) {
        id = tg_spv_const_bool(s, bits != 0);
    } else {
        id = lane_const(s, t, is_int ? bits : tg_float_encode(t->dtype, real, TG_ROUND_RNE, false));
    }
    tg_spv_value row = tg_spv_row(s, tg_spv_lanes(t));
    for (int l = 0; l < row.n; l++) {
        row.id[l] = id;
    }
    return row;
}

/* ---- integers ---------------------------------------------------------------------------------
 */

static uint32_t pick(tg_spv *s, const tg_type *t, uint32_t cond, uint32_t yes, uint32_t no) {
    return TG_SPV_VALUE(s, SpvOpSelect, tg_spv_type(s, t), cond, yes, no);
}

static uint32_t divrem(tg_spv *s, const tg_type *t, bool rem, uint32_t x, uint32_t y) {
    uint32_t type = tg_spv_type(s, t), truth = tg_spv_type_bool(s);
    uint32_t zero = lane_const(s, t, 0), one = lane_const(s, t, 1);
    uint32_t by_zero = TG_SPV_VALUE(s, SpvOpIEqual, truth, y, zero);
    uint32_t safe = pick(s, t, by_zero, one, y);
    if (!is_signed(t)) {
        uint32_t r = TG_SPV_VALUE(s, rem ? SpvOpUMod : SpvOpUDiv, type, x, safe);
        return pick(s, t, by_zero, rem ? x : zero, r);
    }
    uint32_t by_minus = TG_SPV_VALUE(s, SpvOpIEqual, truth, y, lane_const(s, t, UINT64_MAX));
    safe = pick(s, t, by_minus, one, safe);
    uint32_t q = TG_SPV_VALUE(s, SpvOpSDiv, type, x, safe);
    if (rem) { /* from the quotient: devices disagree on remainders of negative numbers */
        uint32_t back = TG_SPV_VALUE(s, SpvOpIMul, type, q, safe);
        return pick(s, t, by_zero, x, TG_SPV_VALUE(s, SpvOpISub, type, x, back));
    }
    q = pick(s, t, by_minus, TG_SPV_VALUE(s, SpvOpSNegate, type, x), q);
    return pick(s, t, by_zero, zero, q);
}

static uint32_t shift(tg_spv *s, const tg_type *t, bool left, uint32_t x, uint32_t y) {
    uint32_t type = tg_spv_type(s, t);
    uint32_t width = lane_const(s, t, (uint64_t)tg_spv_bits(t) - 1);
    y = TG_SPV_VALUE(s, SpvOpBitwiseAnd, type, y, width);
    SpvOp op = left           ? SpvOpShiftLeftLogical
               : is_signed(t) ? SpvOpShiftRightArithmetic
                              : SpvOpShiftRightLogical;
    return TG_SPV_VALUE(s, op, type, x, y);
}

/* Bits are counted 32 at a time: what every device has. */
static uint32_t popcount(tg_spv *s, const tg_type *t, uint32_t x) {
    uint32_t i32 = tg_spv_type_int(s, 32);
    int bits = tg_spv_bits(t);
    if (bits < 64) {
        uint32_t n = TG_SPV_VALUE(s, SpvOpBitCount, i32, tg_spv_resize(s, bits, 32, false, x));
        return tg_spv_resize(s, 32, bits, false, n);
    }
    uint32_t high =
        TG_SPV_VALUE(s, SpvOpShiftRightLogical, tg_spv_type_int(s, 64), x, tg_spv_const(s, 64, 32));
    uint32_t a = TG_SPV_VALUE(s, SpvOpBitCount, i32, tg_spv_resize(s, 64, 32, false, x));
    uint32_t b = TG_SPV_VALUE(s, SpvOpBitCount, i32, tg_spv_resize(s, 64, 32, false, high));
    return tg_spv_resize(s, 32, 64, false, TG_SPV_VALUE(s, SpvOpIAdd, i32, a, b));
}

/* ---- min, max ---------------------------------------------------------------------------------
 */

static uint32_t minmax_int(tg_spv *s, const tg_type *t, bool is_max, uint32_t x, uint32_t y) {
    SpvOp op = is_signed(t) ? SpvOpSLessThan : SpvOpULessThan;
    uint32_t less = TG_SPV_VALUE(s, op, tg_spv_type_bool(s), x, y);
    return is_max ? pick(s, t, less, y, x) : pick(s, t, less, x, y);
}

/*
 * Equal operands that differ in bits are zeros: the OR of their bits is the smaller, the AND the
 * larger. A NaN y loses no comparison; a NaN x is put back.
 */
uint32_t tg_spv_minmax(tg_spv *s, const tg_type *t, bool is_max, uint32_t x, uint32_t y) {
    if (!tg_spv_is_float(t)) {
        return minmax_int(s, t, is_max, x, y);
    }
    uint32_t truth = tg_spv_type_bool(s), word = tg_spv_type_int(s, tg_spv_bits(t));
    uint32_t first =
        TG_SPV_VALUE(s, is_max ? SpvOpFOrdGreaterThan : SpvOpFOrdLessThan, truth, x, y);
    uint32_t r = pick(s, t, first, x, y);
    uint32_t both = TG_SPV_VALUE(s, is_max ? SpvOpBitwiseAnd : SpvOpBitwiseOr, word,
                                 tg_spv_as_bits(s, t, x), tg_spv_as_bits(s, t, y));
    uint32_t equal = TG_SPV_VALUE(s, SpvOpFOrdEqual, truth, x, y);
    r = pick(s, t, equal, tg_spv_from_bits(s, t, both), r);
    return pick(s, t, TG_SPV_VALUE(s, SpvOpIsNan, truth, x), x, r);
}

/* ---- unary ------------------------------------------------------------------------------------
 */

static uint32_t change_sign(tg_spv *s, const tg_type *t, bool neg, uint32_t x) {
    int bits = tg_spv_bits(t), wide = bits < 8 ? 8 : bits;
    uint64_t sign = UINT64_C(1) << (bits - 1);
    uint32_t word = tg_spv_type_int(s, wide), v = tg_spv_as_bits(s, t, x);
    v = neg ? TG_SPV_VALUE(s, SpvOpBitwiseXor, word, v, tg_spv_const(s, wide, sign))
            : TG_SPV_VALUE(s, SpvOpBitwiseAnd, word, v, tg_spv_const(s, wide, sign - 1));
    return tg_spv_from_bits(s, t, v);
}

static uint32_t neg_abs(tg_spv *s, const tg_type *t, bool neg, uint32_t x) {
    if (tg_spv_is_float(t) || is_storage_float(t)) {
        return change_sign(s, t, neg, x);
    }
    uint32_t type = tg_spv_type(s, t);
    if (neg) {
        return TG_SPV_VALUE(s, SpvOpSNegate, type, x);
    }
    if (!is_signed(t)) {
        return x;
    }
    uint32_t below = TG_SPV_VALUE(s, SpvOpSLessThan, tg_spv_type_bool(s), x, lane_const(s, t, 0));
    return pick(s, t, below, TG_SPV_VALUE(s, SpvOpSNegate, type, x), x);
}

/*
 * To the nearest even integer, f64: lavapipe 22.3 takes 1.5 to 1 and loses the sign of -0. Adding
 * 2^52 leaves no room for a fraction; from there on everything is an integer already.
 */
static uint32_t round_even(tg_spv *s, const tg_type *t, uint32_t x) {
    uint32_t type = tg_spv_type(s, t), i64 = tg_spv_type_int(s, 64);
    uint32_t big = tg_spv_const_f64(s, 4503599627370496.0), size = change_sign(s, t, false, x);
    uint32_t r = tg_spv_float_op(s, SpvOpFAdd, type, size, big);
    r = tg_spv_float_op(s, SpvOpFSub, type, r, big);
    uint32_t sign = TG_SPV_VALUE(s, SpvOpBitwiseAnd, i64, tg_spv_as_bits(s, t, x),
                                 tg_spv_const(s, 64, UINT64_C(1) << 63));
    r = TG_SPV_VALUE(s, SpvOpBitwiseOr, i64, tg_spv_as_bits(s, t, r), sign);
    uint32_t small = TG_SPV_VALUE(s, SpvOpFOrdLessThan, tg_spv_type_bool(s), size, big);
    return pick(s, t, small, tg_spv_from_bits(s, t, r), x);
}

static uint32_t math(tg_spv *s, const tg_op *op, uint32_t x) {
    const tg_type *t = op->results[0].type;
    uint32_t type = tg_spv_type(s, t);
    switch ((int)tg_attr_int(op, TG_ATTR_FN, TG_MATH_COUNT)) {
    case TG_MATH_SQRT:
        return tg_spv_ext(s, type, s->flavour->sqrt, x);
    case TG_MATH_FLOOR:
        return tg_spv_ext(s, type, s->flavour->floor, x);
    case TG_MATH_CEIL:
        return tg_spv_ext(s, type, s->flavour->ceil, x);
    case TG_MATH_ROUND:
        return t->dtype == TG_DT_F64 ? round_even(s, t, x)
                                     : tg_spv_ext(s, type, s->flavour->rint, x);
    }
    tg_spv_refuse(s, op, "the function was not expanded before code generation");
    return 0;
}

/* ---- binary -----------------------------------------------------------------------------------
 */

static uint32_t compare(tg_spv *s, const tg_type *t, int64_t p, uint32_t x, uint32_t y) {
    static const SpvOp real[] = {SpvOpFOrdEqual,       SpvOpFUnordNotEqual,
                                 SpvOpFOrdLessThan,    SpvOpFOrdLessThanEqual,
                                 SpvOpFOrdGreaterThan, SpvOpFOrdGreaterThanEqual};
    static const SpvOp with_sign[] = {SpvOpIEqual,       SpvOpINotEqual,
                                      SpvOpSLessThan,    SpvOpSLessThanEqual,
                                      SpvOpSGreaterThan, SpvOpSGreaterThanEqual};
    static const SpvOp without[] = {SpvOpIEqual,         SpvOpINotEqual,    SpvOpULessThan,
                                    SpvOpULessThanEqual, SpvOpUGreaterThan, SpvOpUGreaterThanEqual};
    const SpvOp *table = tg_spv_is_float(t) ? real : is_signed(t) ? with_sign : without;
    uint32_t truth = tg_spv_type_bool(s);
    if (is_bool(t)) { /* as bytes 0 and 1 */
        x = tg_spv_to_memory(s, t, x);
        y = tg_spv_to_memory(s, t, y);
    }
    return TG_SPV_VALUE(s, table[p < 0 || p > TG_CMP_GE ? 0 : p], truth, x, y);
}

static uint32_t bitwise(tg_spv *s, const tg_type *t, tg_opcode code, uint32_t x, uint32_t y) {
    bool logical = is_bool(t);
    SpvOp op = code == TG_OP_AND  ? (logical ? SpvOpLogicalAnd : SpvOpBitwiseAnd)
               : code == TG_OP_OR ? (logical ? SpvOpLogicalOr : SpvOpBitwiseOr)
                                  : (logical ? SpvOpLogicalNotEqual : SpvOpBitwiseXor);
    return TG_SPV_VALUE(s, op, tg_spv_type(s, t), x, y);
}

static uint32_t sum_like(tg_spv *s, const tg_type *t, SpvOp real, SpvOp whole, uint32_t x,
                         uint32_t y) {
    uint32_t type = tg_spv_type(s, t);
    return tg_spv_is_float(t) ? tg_spv_float_op(s, real, type, x, y)
                              : TG_SPV_VALUE(s, whole, type, x, y);
}

uint32_t tg_spv_add(tg_spv *s, const tg_type *t, uint32_t x, uint32_t y) {
    return sum_like(s, t, SpvOpFAdd, SpvOpIAdd, x, y);
}

static uint32_t binary(tg_spv *s, const tg_op *op, const tg_type *t, uint32_t x, uint32_t y) {
    switch ((int)op->code) {
    case TG_OP_ADD:
        return tg_spv_add(s, t, x, y);
    case TG_OP_SUB:
        return sum_like(s, t, SpvOpFSub, SpvOpISub, x, y);
    case TG_OP_MUL:
        return sum_like(s, t, SpvOpFMul, SpvOpIMul, x, y);
    case TG_OP_DIV:
        return tg_spv_is_float(t) ? tg_spv_float_op(s, SpvOpFDiv, tg_spv_type(s, t), x, y)
                                  : divrem(s, t, false, x, y);
    case TG_OP_REM:
        if (tg_spv_is_float(t)) {
            tg_spv_refuse(s, op, "a float remainder was not expanded before code generation");
            return 0;
        }
        return divrem(s, t, true, x, y);
    case TG_OP_MIN:
    case TG_OP_MAX:
        return tg_spv_minmax(s, t, op->code == TG_OP_MAX, x, y);
    case TG_OP_AND:
    case TG_OP_OR:
    case TG_OP_XOR:
        return bitwise(s, t, op->code, x, y);
    case TG_OP_SHL:
    case TG_OP_SHR:
        return shift(s, t, op->code == TG_OP_SHL, x, y);
    case TG_OP_CMP:
        return compare(s, t, tg_attr_int(op, TG_ATTR_PRED, TG_CMP_EQ), x, y);
    }
    return 0;
}

/* ---- dispatch ---------------------------------------------------------------------------------
 */

static bool takes_storage(tg_opcode code) {
    return code == TG_OP_NEG || code == TG_OP_ABS || code == TG_OP_SELECT;
}

static uint32_t lane(tg_spv *s, const tg_op *op, const tg_type *t, const uint32_t *x) {
    switch ((int)op->code) {
    case TG_OP_NEG:
    case TG_OP_ABS:
        return neg_abs(s, t, op->code == TG_OP_NEG, x[0]);
    case TG_OP_NOT:
        return TG_SPV_VALUE(s, is_bool(t) ? SpvOpLogicalNot : SpvOpNot, tg_spv_type(s, t), x[0]);
    case TG_OP_POPCOUNT:
        return popcount(s, t, x[0]);
    case TG_OP_MATH:
        return math(s, op, x[0]);
    case TG_OP_SELECT:
        return pick(s, t, x[0], x[1], x[2]);
    case TG_OP_FMA:
        if (tg_spv_is_float(t)) {
            return tg_spv_fma(s, t, x[0], x[1], x[2]);
        }
        return TG_SPV_VALUE(s, SpvOpIAdd, tg_spv_type(s, t),
                            TG_SPV_VALUE(s, SpvOpIMul, tg_spv_type(s, t), x[0], x[1]), x[2]);
    }
    return binary(s, op, t, x[0], x[1]);
}

tg_spv_value tg_spv_arith(tg_spv *s, tg_op *op) {
    if (op->code == TG_OP_CONST_INT || op->code == TG_OP_CONST_FLOAT) {
        return emit_constant(s, op);
    }
    /* select and cmp: the type that counts is the data's */
    const tg_type *t = op->code == TG_OP_CMP ? tg_operand(op, 0)->type : op->results[0].type;
    if (is_storage_float(t) && !takes_storage(op->code)) {
        tg_spv_refuse(s, op, "storage types do not take part in arithmetic");
        return (tg_spv_value){0};
    }
    tg_spv_value row = tg_spv_row(s, tg_spv_lanes(t)), x[3];
    for (int i = 0; i < op->n_operands && i < 3; i++) {
        x[i] = tg_spv_operand(s, op, i);
    }
    for (int l = 0; l < row.n; l++) {
        uint32_t in[3] = {0};
        for (int i = 0; i < op->n_operands && i < 3; i++) {
            in[i] = x[i].id[l];
        }
        row.id[l] = lane(s, op, t, in);
    }
    return row;
}

/* ---- a vector's lanes together ------------------------------------------------------------------
 */

static uint32_t combine(tg_spv *s, const tg_type *t, int64_t kind, uint32_t x, uint32_t y) {
    switch (kind) {
    case TG_RED_SUM:
        return tg_spv_add(s, t, x, y);
    case TG_RED_PROD:
        return sum_like(s, t, SpvOpFMul, SpvOpIMul, x, y);
    case TG_RED_ANY:
        return bitwise(s, t, TG_OP_OR, x, y);
    case TG_RED_ALL:
        return bitwise(s, t, TG_OP_AND, x, y);
    default:
        return tg_spv_minmax(s, t, kind == TG_RED_MAX, x, y);
    }
}

/* Halves are combined, lane l with lane l + half; the odd last lanes on their way come last, in the
 * order the CPU has. */
tg_spv_value tg_spv_reducev(tg_spv *s, tg_op *op) {
    const tg_type *t = tg_operand(op, 0)->type;
    tg_spv_value x = tg_spv_operand(s, op, 0), row = tg_spv_row(s, x.n);
    memcpy(row.id, x.id, (size_t)x.n * sizeof(uint32_t));
    int64_t kind = tg_attr_int(op, TG_ATTR_RED, 0);
    uint32_t odd = 0;
    while (row.n > 1) {
        int half = row.n / 2;
        if (row.n & 1) {
            uint32_t last = row.id[row.n - 1];
            odd = odd ? combine(s, t, kind, odd, last) : last;
        }
        for (int l = 0; l < half; l++) {
            row.id[l] = combine(s, t, kind, row.id[l], row.id[half + l]);
        }
        row.n = half;
    }
    row.id[0] = odd ? combine(s, t, kind, row.id[0], odd) : row.id[0];
    return row;
}
