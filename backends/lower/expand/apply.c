/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One elementwise operation on loop values, scalars or vectors. Storage floats travel as the
 * unsigned integer of their width; arithmetic that the front end left on them is done widened.
 */
#include "backends/lower/expand/xp.h"

static tg_value *same_int(tg_builder *b, tg_value *like, int64_t v) {
    return tg_build_int(b, like->type, v);
}

/* a * k, high and low words of 32-bit lanes, through 64-bit products. */
static void mul_hi_lo(tg_builder *b, tg_value *x, uint32_t k, tg_value **hi, tg_value **lo) {
    tg_value *wide = tg_build_binary(b, TG_OP_MUL, x, same_int(b, x, (int64_t)k));
    *hi = tg_build_binary(b, TG_OP_SHR, wide, same_int(b, wide, 32));
    *lo = tg_build_binary(b, TG_OP_AND, wide, same_int(b, wide, 0xffffffff));
}

/* Philox4x32-10 on u64 lanes that hold 32-bit words. Salmon et al., SC'11. */
static tg_value *philox(tg_builder *b, tg_value *key, tg_value *counter) {
    tg_value *mask = same_int(b, key, 0xffffffff);
    tg_value *c[4] = {tg_build_binary(b, TG_OP_AND, counter, mask),
                      tg_build_binary(b, TG_OP_SHR, counter, same_int(b, key, 32)),
                      same_int(b, key, 0), same_int(b, key, 0)};
    tg_value *k0 = tg_build_binary(b, TG_OP_AND, key, mask);
    tg_value *k1 = tg_build_binary(b, TG_OP_SHR, key, same_int(b, key, 32));
    for (int r = 0; r < 10; r++) {
        tg_value *h0, *l0, *h1, *l1;
        mul_hi_lo(b, c[0], 0xD2511F53u, &h0, &l0);
        mul_hi_lo(b, c[2], 0xCD9E8D57u, &h1, &l1);
        c[0] = tg_build_binary(b, TG_OP_XOR, tg_build_binary(b, TG_OP_XOR, h1, c[1]), k0);
        c[1] = l1;
        c[2] = tg_build_binary(b, TG_OP_XOR, tg_build_binary(b, TG_OP_XOR, h0, c[3]), k1);
        c[3] = l0;
        k0 = tg_build_binary(b, TG_OP_ADD, k0, same_int(b, key, 0x9E3779B9));
        k0 = tg_build_binary(b, TG_OP_AND, k0, mask);
        k1 = tg_build_binary(b, TG_OP_ADD, k1, same_int(b, key, 0xBB67AE85));
        k1 = tg_build_binary(b, TG_OP_AND, k1, mask);
    }
    return tg_build_cast(b, c[0], TG_DT_U32);
}

static tg_value *widen(tg_builder *b, const tg_machine *mc, tg_value *v, tg_dtype t) {
    return tg_expand_convert(b, mc, v, t, tg_dtype_arith(t), TG_ROUND_RNE, false);
}

/* neg and abs act on the sign bit. f8e4m3fnuz has one zero, and its NaN is what would be -0;
 * f8e8m0 has no sign: what is negative becomes its least value. */
static tg_value *with_sign(tg_builder *b, const tg_op *op, tg_dtype t, tg_value *x) {
    if (t == TG_DT_F8E8M0) {
        tg_value *nan = tg_build_cmp(b, TG_CMP_EQ, x, same_int(b, x, 0xff));
        return op->code == TG_OP_ABS ? x : tg_build_select(b, nan, x, same_int(b, x, 0));
    }
    int64_t sign = (int64_t)1 << (tg_dtype_bits(t) - 1);
    tg_value *magnitude = tg_build_binary(b, TG_OP_AND, x, same_int(b, x, sign - 1));
    tg_value *r =
        op->code == TG_OP_ABS ? magnitude : tg_build_binary(b, TG_OP_XOR, x, same_int(b, x, sign));
    if (t != TG_DT_F8E4M3FNUZ) {
        return r;
    }
    tg_value *kept = tg_build_cmp(b, TG_CMP_EQ, magnitude, same_int(b, x, 0));
    return tg_build_select(b, kept, x, r);
}

/* Other operations go through the arithmetic type. */
static tg_value *storage_arith(tg_builder *b, const tg_machine *mc, const tg_op *op, tg_dtype t,
                               tg_value **a) {
    if (tg_dtype_is_float(t) && (op->code == TG_OP_NEG || op->code == TG_OP_ABS)) {
        return with_sign(b, op, t, a[0]);
    }
    for (int i = 0; i < op->n_operands; i++) {
        a[i] = widen(b, mc, a[i], t);
    }
    tg_value *r = op->n_operands == 1   ? tg_build_unary(b, op->code, a[0])
                  : op->n_operands == 2 ? tg_build_binary(b, op->code, a[0], a[1])
                                        : tg_build_fma(b, a[0], a[1], a[2]);
    return tg_expand_convert(b, mc, r, tg_dtype_arith(t), t, TG_ROUND_RNE, false);
}

static tg_value *math_value(tg_builder *b, const tg_machine *mc, const tg_op *op, tg_value *v) {
    tg_math_fn fn = (tg_math_fn)tg_attr_int(op, TG_ATTR_FN, 0);
    bool fast = tg_attr_int(op, TG_ATTR_FAST, 0) != 0;
    if ((fn == TG_MATH_EXP || fn == TG_MATH_EXP2) && !tg_xp_has_ex2(op, mc) &&
        tg_xp_never_positive(op)) {
        tg_xp x = {b, mc};
        return tg_xp_exp_below(&x, v, fn == TG_MATH_EXP2, fast);
    }
    tg_value *r = tg_build_math(b, fn, v);
    if (fast && r->def != NULL && r->def->code == TG_OP_MATH) {
        tg_op_set_int(r->def, TG_ATTR_FAST, 1);
    }
    return r;
}

static tg_value *compare(tg_builder *b, const tg_machine *mc, const tg_op *op, tg_dtype t,
                         tg_value **a) {
    if (tg_dtype_is_storage(t)) {
        a[0] = widen(b, mc, a[0], t);
        a[1] = widen(b, mc, a[1], t);
    }
    return tg_build_cmp(b, (tg_cmp_pred)tg_attr_int(op, TG_ATTR_PRED, 0), a[0], a[1]);
}

tg_value *tg_expand_apply(tg_builder *b, const tg_machine *mc, const tg_op *op, tg_value **a) {
    tg_dtype t = tg_operand(op, 0)->type->dtype, to = op->results[0].type->dtype;
    switch ((int)op->code) {
    case TG_OP_CMP:
        return compare(b, mc, op, t, a);
    case TG_OP_SELECT:
        return tg_build_select(b, a[0], a[1], a[2]);
    case TG_OP_MATH:
        return math_value(b, mc, op, a[0]);
    case TG_OP_CAST:
        return tg_expand_convert(b, mc, a[0], t, to,
                                 (tg_round)tg_attr_int(op, TG_ATTR_ROUND, TG_ROUND_RNE),
                                 tg_attr_int(op, TG_ATTR_SAT, 0) != 0);
    case TG_OP_BITCAST:
        return a[0]->type->dtype == tg_carrier(to) ? a[0]
                                                   : tg_build_bitcast(b, a[0], tg_carrier(to));
    case TG_OP_RNG:
        return philox(b, a[0], a[1]);
    default:
        break;
    }
    if (tg_dtype_is_storage(t)) {
        return storage_arith(b, mc, op, t, a);
    }
    if (op->n_operands == 3) {
        return tg_build_fma(b, a[0], a[1], a[2]);
    }
    return op->n_operands == 2 ? tg_build_binary(b, op->code, a[0], a[1])
                               : tg_build_unary(b, op->code, a[0]);
}
