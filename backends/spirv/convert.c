/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conversions between what registers hold: integers of any width, f32, f64, bool. Storage floats
 * arrive expanded to integer code; their casts are refused here.
 *
 * Float to integer saturates and takes NaN to 0, which no device instruction promises: the value is
 * compared with the bounds first and only converted inside them. Narrow integers go through 32
 * bits.
 */
#include <math.h>
#include <string.h>

#include "backends/spirv/spirv.h"

static bool is_bool(const tg_type *t) { return t->kind != TG_TY_PTR && t->dtype == TG_DT_BOOL; }

static bool is_storage_float(const tg_type *t) {
    return t->kind != TG_TY_PTR && tg_dtype_is_float(t->dtype) && !tg_spv_is_float(t);
}

static uint32_t real_const(tg_spv *s, const tg_type *t, double v) {
    return t->dtype == TG_DT_F64 ? tg_spv_const_f64(s, v) : tg_spv_const_f32(s, (float)v);
}

/* ---- float to integer --------------------------------------------------------------------------
 */

/* From at_least up to below `under`, both exact in f32, the integer type holds the truncated value.
 */
static uint32_t float_to_int(tg_spv *s, const tg_type *from, const tg_type *to, uint32_t x) {
    int bits = tg_spv_bits(to), wide = bits < 32 ? 32 : bits;
    bool sign = tg_dtype_is_signed(to->dtype);
    double under = ldexp(1.0, sign ? bits - 1 : bits), at_least = sign ? -under : 0.0;
    uint64_t most = sign ? (UINT64_C(1) << (bits - 1)) - 1 : UINT64_MAX >> (64 - bits);
    uint64_t least = sign ? ~most : 0;
    uint32_t truth = tg_spv_type_bool(s), word = tg_spv_type_int(s, wide);
    uint32_t high =
        TG_SPV_VALUE(s, SpvOpFOrdGreaterThanEqual, truth, x, real_const(s, from, under));
    uint32_t low = TG_SPV_VALUE(s, SpvOpFOrdLessThan, truth, x, real_const(s, from, at_least));
    uint32_t nan = TG_SPV_VALUE(s, SpvOpIsNan, truth, x);
    uint32_t out = TG_SPV_VALUE(s, SpvOpLogicalOr, truth, high, low);
    out = TG_SPV_VALUE(s, SpvOpLogicalOr, truth, out, nan);
    uint32_t safe =
        TG_SPV_VALUE(s, SpvOpSelect, tg_spv_type(s, from), out, real_const(s, from, 0.0), x);
    uint32_t r = TG_SPV_VALUE(s, sign ? SpvOpConvertFToS : SpvOpConvertFToU, word, safe);
    r = TG_SPV_VALUE(s, SpvOpSelect, word, high, tg_spv_const(s, wide, most), r);
    r = TG_SPV_VALUE(s, SpvOpSelect, word, low, tg_spv_const(s, wide, least), r);
    return tg_spv_resize(s, wide, bits, false, r);
}

/* ---- integer to float --------------------------------------------------------------------------
 */

static uint32_t int_to_float(tg_spv *s, const tg_type *from, const tg_type *to, uint32_t x) {
    bool sign = tg_dtype_is_signed(from->dtype);
    if (is_bool(from)) {
        return TG_SPV_VALUE(s, SpvOpSelect, tg_spv_type(s, to), x, real_const(s, to, 1.0),
                            real_const(s, to, 0.0));
    }
    int bits = tg_spv_bits(from), wide = bits < 32 ? 32 : bits;
    x = tg_spv_resize(s, bits, wide, sign, x);
    return TG_SPV_VALUE(s, sign ? SpvOpConvertSToF : SpvOpConvertUToF, tg_spv_type(s, to), x);
}

/* ---- the rest ----------------------------------------------------------------------------------
 */

static uint32_t to_bool(tg_spv *s, const tg_type *from, uint32_t x) {
    uint32_t truth = tg_spv_type_bool(s);
    if (tg_spv_is_float(from)) {
        return TG_SPV_VALUE(s, SpvOpFUnordNotEqual, truth, x, real_const(s, from, 0.0));
    }
    return TG_SPV_VALUE(s, SpvOpINotEqual, truth, x, tg_spv_const(s, tg_spv_bits(from), 0));
}

static uint32_t int_to_int(tg_spv *s, const tg_type *from, const tg_type *to, uint32_t x) {
    int bits = tg_spv_bits(from);
    if (is_bool(from)) {
        x = tg_spv_to_memory(s, from, x);
        bits = 8;
    }
    return tg_spv_resize(s, bits, tg_spv_bits(to), tg_dtype_is_signed(from->dtype), x);
}

static uint32_t cast_lane(tg_spv *s, const tg_type *from, const tg_type *to, uint32_t x) {
    bool from_real = tg_spv_is_float(from), to_real = tg_spv_is_float(to);
    if (from->dtype == to->dtype) {
        return x;
    }
    if (is_bool(to)) {
        return to_bool(s, from, x);
    }
    if (from_real && to_real) {
        return TG_SPV_VALUE(s, SpvOpFConvert, tg_spv_type(s, to), x);
    }
    if (from_real) {
        return float_to_int(s, from, to, x);
    }
    return to_real ? int_to_float(s, from, to, x) : int_to_int(s, from, to, x);
}

static const char *not_native(const tg_op *op, const tg_type *from, const tg_type *to) {
    bool to_int = !tg_dtype_is_float(to->dtype), from_int = !tg_dtype_is_float(from->dtype);
    if (from->dtype == to->dtype) {
        return NULL;
    }
    if (is_storage_float(from) || is_storage_float(to) || tg_dtype_bits(from->dtype) < 8 ||
        tg_dtype_bits(to->dtype) < 8) {
        return "the conversion was not expanded before code generation";
    }
    if (tg_attr_int(op, TG_ATTR_ROUND, TG_ROUND_RNE) != TG_ROUND_RNE) {
        return "the rounding was not expanded before code generation";
    }
    if (tg_attr_int(op, TG_ATTR_SAT, 0) && (from_int || !to_int)) {
        return "the saturation was not expanded before code generation";
    }
    return NULL;
}

/* ---- bitcast -----------------------------------------------------------------------------------
 */

/* Little-endian: lane 0 holds the low bits. Both sides' lanes fill whole numbers of each other. */
static tg_spv_value recut(tg_spv *s, const tg_type *from, const tg_type *to, tg_spv_value x) {
    int have = tg_spv_bits(from), want = tg_spv_bits(to), n = tg_spv_lanes(to);
    tg_spv_value row = tg_spv_row(s, n);
    uint32_t word = tg_spv_type_int(s, want < 8 ? 8 : want);
    for (int l = 0; l < n; l++) {
        if (have == want) {
            row.id[l] = tg_spv_as_bits(s, from, x.id[l]);
        } else if (have > want) {
            int per = have / want;
            uint32_t v = tg_spv_as_bits(s, from, x.id[l / per]);
            uint32_t by = tg_spv_const(s, have, (uint64_t)(l % per) * (uint64_t)want);
            v = TG_SPV_VALUE(s, SpvOpShiftRightLogical, tg_spv_type_int(s, have), v, by);
            row.id[l] = tg_spv_resize(s, have, want, false, v);
        } else {
            int per = want / have;
            row.id[l] = tg_spv_const(s, want, 0);
            for (int p = 0; p < per; p++) {
                uint32_t v = tg_spv_as_bits(s, from, x.id[l * per + p]);
                v = TG_SPV_VALUE(s, SpvOpShiftLeftLogical, word,
                                 tg_spv_resize(s, have, want, false, v),
                                 tg_spv_const(s, want, (uint64_t)(p * have)));
                row.id[l] = TG_SPV_VALUE(s, SpvOpBitwiseOr, word, row.id[l], v);
            }
        }
        row.id[l] = tg_spv_from_bits(s, to, row.id[l]);
    }
    return row;
}

tg_spv_value tg_spv_convert(tg_spv *s, tg_op *op) {
    const tg_type *from = tg_operand(op, 0)->type, *to = op->results[0].type;
    tg_spv_value x = tg_spv_operand(s, op, 0);
    if (op->code == TG_OP_BITCAST) {
        return recut(s, from, to, x);
    }
    const char *why = not_native(op, from, to);
    if (why) {
        tg_spv_refuse(s, op, why);
        return (tg_spv_value){0};
    }
    tg_spv_value row = tg_spv_row(s, x.n);
    for (int l = 0; l < x.n; l++) {
        row.id[l] = cast_lane(s, from, to, x.id[l]);
    }
    return row;
}
