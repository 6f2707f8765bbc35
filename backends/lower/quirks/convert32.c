/* SPDX-License-Identifier: Apache-2.0 */
/* Conversions to and from f32, whole numbers, comparisons: in integers. */
#include <math.h>

#include "backends/lower/quirks/soft.h"

static tg_value *u32(const tg_xp *x, tg_value *like, int64_t v) {
    return xi(x, like, TG_DT_U32, v);
}
static tg_value *u64(const tg_xp *x, tg_value *like, int64_t v) {
    return xi(x, like, TG_DT_U64, v);
}
static tg_value *either(const tg_xp *x, tg_value *p, tg_value *q) {
    return xbin(x, TG_OP_OR, p, q);
}
static tg_value *negation(const tg_xp *x, tg_value *c) {
    return xbin(x, TG_OP_XOR, c, tg_build_bool(x->b, true));
}

/* ---- conversions ----------------------------------------------------------------------------- */

tg_value *tg_soft_from_int(const tg_xp *x, tg_value *v) {
    bool is_signed = tg_dtype_is_signed(v->type->dtype);
    tg_value *wide = xbits(x, xcast(x, v, is_signed ? TG_DT_I64 : TG_DT_U64), TG_DT_U64);
    tg_value *zero = u64(x, wide, 0), *sign = u32(x, wide, 0);
    if (is_signed) {
        tg_value *negative = xcmpi(x, TG_CMP_LT, xbits(x, wide, TG_DT_I64), 0);
        wide = xsel(x, negative, xbin(x, TG_OP_SUB, zero, wide), wide);
        sign = xsel(x, negative, u32(x, wide, INT64_C(0x80000000)), sign);
    }
    tg_value *full = xcmpi(x, TG_CMP_NE, xbini(x, TG_OP_SHR, wide, 63), 0);
    tg_value *half = xbin(x, TG_OP_OR, xbini(x, TG_OP_SHR, wide, 1), xbini(x, TG_OP_AND, wide, 1));
    tg_value *e = xsel(x, full, xi(x, wide, TG_DT_I32, 1), xi(x, wide, TG_DT_I32, 0));
    return tg_soft_round(x, sign, e, xsel(x, full, half, wide));
}

tg_value *tg_soft_from_f64(const tg_xp *x, tg_value *v) {
    tg_value *bits = xbits(x, v, TG_DT_U64), *mag = xbini(x, TG_OP_AND, bits, INT64_MAX);
    tg_value *sign = xcast(x, xbini(x, TG_OP_SHR, bits, 32), TG_DT_U32);
    sign = xbini(x, TG_OP_AND, sign, INT64_C(0x80000000));
    tg_value *e = xbini(x, TG_OP_SHR, mag, 52), *small = xcmpi(x, TG_CMP_EQ, e, 0);
    tg_value *m = xbini(x, TG_OP_AND, mag, (INT64_C(1) << 52) - 1);
    m = xsel(x, small, m, xbini(x, TG_OP_OR, m, INT64_C(1) << 52));
    e = xbits(x, xcast(x, xsel(x, small, u64(x, e, 1), e), TG_DT_U32), TG_DT_I32);
    tg_value *out =
        tg_soft_round(x, sign, xbini(x, TG_OP_SUB, e, 1085), xbini(x, TG_OP_SHL, m, 10));
    int64_t inf = INT64_C(0x7ff) << 52;
    out = xsel(x, xcmpi(x, TG_CMP_EQ, mag, inf), xbini(x, TG_OP_OR, sign, TG_SOFT_INF), out);
    return xsel(x, xcmpi(x, TG_CMP_GT, mag, inf), u32(x, out, TG_SOFT_NAN), out);
}

/* A subnormal's mantissa is a whole number, which f64 holds. */
tg_value *tg_soft_to_f64(const tg_xp *x, tg_value *p) {
    tg_value *mag = tg_soft_magnitude(x, p), *plain = xcast(x, xbits(x, p, TG_DT_F32), TG_DT_F64);
    tg_value *low = xcast(x, xbini(x, TG_OP_AND, mag, 0x7fffff), TG_DT_F64);
    low = xbinf(x, TG_OP_MUL, low, ldexp(1, -149));
    tg_value *negative = xcmp(x, TG_CMP_NE, mag, p);
    low = xsel(x, negative, tg_build_unary(x->b, TG_OP_NEG, low), low);
    return xsel(x, xcmpi(x, TG_CMP_LT, mag, 0x800000), low, plain);
}

/* ---- whole numbers --------------------------------------------------------------------------- */

/* Below 2^23 an f32 fits an i32, truncated; what is cut off decides. */
tg_value *tg_soft_whole(const tg_xp *x, tg_math_fn fn, tg_value *p) {
    tg_value *mag = tg_soft_magnitude(x, p), *sign = xbin(x, TG_OP_XOR, mag, p);
    tg_value *big = xcmpi(x, TG_CMP_GE, mag, 0x4b000000);
    tg_value *safe = xsel(x, big, u32(x, mag, 0), mag);
    tg_value *t = xcast(x, xbits(x, safe, TG_DT_F32), TG_DT_I32); /* of |p| */
    tg_value *back = xcast(x, t, TG_DT_F32);
    tg_value *cut = xcmp(x, TG_CMP_NE, xbits(x, back, TG_DT_U32), safe);
    tg_value *one = xi(x, t, TG_DT_I32, 1), *zero = xi(x, t, TG_DT_I32, 0);
    tg_value *negative = xcmpi(x, TG_CMP_NE, sign, 0), *away;
    if (fn == TG_MATH_ROUND) {
        tg_value *rest = xbin(x, TG_OP_SUB, xbits(x, safe, TG_DT_F32), back);
        tg_value *odd = xcmp(x, TG_CMP_EQ, xbin(x, TG_OP_AND, t, one), one);
        away = either(x, xcmpf(x, TG_CMP_GT, rest, 0.5),
                      xbin(x, TG_OP_AND, xcmpf(x, TG_CMP_EQ, rest, 0.5), odd));
    } else {
        tg_value *side = fn == TG_MATH_FLOOR ? negative : negation(x, negative);
        away = xbin(x, TG_OP_AND, cut, side);
    }
    t = xbin(x, TG_OP_ADD, t, xsel(x, away, one, zero));
    tg_value *out = xbits(x, xcast(x, t, TG_DT_F32), TG_DT_U32);
    out = xsel(x, big, p, xbin(x, TG_OP_OR, out, sign));
    return xsel(x, tg_soft_is_nan(x, p), u32(x, out, TG_SOFT_NAN), out);
}

/* ---- comparisons ----------------------------------------------------------------------------- */

/* i32 in the order of the numbers; zeros alike. */
static tg_value *rank(const tg_xp *x, tg_value *p) {
    tg_value *mag = xbits(x, tg_soft_magnitude(x, p), TG_DT_I32);
    tg_value *negative = xcmpi(x, TG_CMP_LT, xbits(x, p, TG_DT_I32), 0);
    return xsel(x, negative, xbin(x, TG_OP_SUB, xi(x, mag, TG_DT_I32, 0), mag), mag);
}

tg_value *tg_soft_cmp(const tg_xp *x, tg_cmp_pred pred, tg_value *p, tg_value *q) {
    tg_value *nan = either(x, tg_soft_is_nan(x, p), tg_soft_is_nan(x, q));
    tg_value *c = xcmp(x, pred, rank(x, p), rank(x, q));
    return pred == TG_CMP_NE ? either(x, c, nan) : xbin(x, TG_OP_AND, c, negation(x, nan));
}

/* -0 is below +0; a NaN wins. */
tg_value *tg_soft_minmax(const tg_xp *x, bool max, tg_value *p, tg_value *q) {
    tg_value *nan = either(x, tg_soft_is_nan(x, p), tg_soft_is_nan(x, q));
    tg_value *keys[2] = {p, q};
    for (int i = 0; i < 2; i++) {
        tg_value *word = xbits(x, keys[i], TG_DT_I32);
        tg_value *flip = xbini(x, TG_OP_AND, xbini(x, TG_OP_SHR, word, 31), 0x7fffffff);
        keys[i] = xbin(x, TG_OP_XOR, word, flip);
    }
    tg_value *first = xcmp(x, max ? TG_CMP_GT : TG_CMP_LT, keys[0], keys[1]);
    return xsel(x, nan, u32(x, p, TG_SOFT_NAN), xsel(x, first, p, q));
}
