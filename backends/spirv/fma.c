/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fused multiply-add. Where the machine's own rounds once it is one instruction. Elsewhere an f32
 * one is computed in f64: the product is exact there, the sum is rounded to odd, so that rounding
 * it again to f32 is as if there had been one rounding (Boldo, Melquiond: Emulation of FMA and
 * correctly rounded sums, 2008). An f64 one is computed in two-word arithmetic by the same paper.
 */
#include "backends/spirv/spirv.h"

typedef struct reals {
    tg_spv *s;
    const tg_type *t;
    uint32_t type;
} reals;

static uint32_t add(const reals *r, uint32_t x, uint32_t y) {
    return tg_spv_float_op(r->s, SpvOpFAdd, r->type, x, y);
}
static uint32_t sub(const reals *r, uint32_t x, uint32_t y) {
    return tg_spv_float_op(r->s, SpvOpFSub, r->type, x, y);
}
static uint32_t mul(const reals *r, uint32_t x, uint32_t y) {
    return tg_spv_float_op(r->s, SpvOpFMul, r->type, x, y);
}

/* x + y = sum + *error, exactly (Knuth). */
static uint32_t two_sum(const reals *r, uint32_t x, uint32_t y, uint32_t *error) {
    uint32_t sum = add(r, x, y), y_part = sub(r, sum, x);
    uint32_t x_error = sub(r, x, sub(r, sum, y_part));
    *error = add(r, x_error, sub(r, y, y_part));
    return sum;
}

/* sum, whose rounding lost `error`: made odd, towards the error's side. Also right for infinities
 * and NaNs, whose error is a NaN and changes nothing. f64. */
static uint32_t to_odd(const reals *r, uint32_t sum, uint32_t error) {
    tg_spv *s = r->s;
    uint32_t truth = tg_spv_type_bool(s), i64 = tg_spv_type_int(s, 64);
    uint32_t zero = tg_spv_const(s, 64, 0), one = tg_spv_const(s, 64, 1);
    uint32_t bits = TG_SPV_VALUE(s, SpvOpBitcast, i64, sum);
    uint32_t side =
        TG_SPV_VALUE(s, SpvOpBitwiseXor, i64, bits, TG_SPV_VALUE(s, SpvOpBitcast, i64, error));
    uint32_t inward = TG_SPV_VALUE(s, SpvOpSLessThan, truth, side, zero);
    uint32_t step = TG_SPV_VALUE(s, SpvOpSelect, i64, inward, tg_spv_const(s, 64, UINT64_MAX), one);
    uint32_t even =
        TG_SPV_VALUE(s, SpvOpIEqual, truth, TG_SPV_VALUE(s, SpvOpBitwiseAnd, i64, bits, one), zero);
    uint32_t lost = TG_SPV_VALUE(s, SpvOpFOrdNotEqual, truth, error, tg_spv_const_f64(s, 0.0));
    uint32_t change = TG_SPV_VALUE(s, SpvOpLogicalAnd, truth, even, lost);
    step = TG_SPV_VALUE(s, SpvOpSelect, i64, change, step, zero);
    bits = TG_SPV_VALUE(s, SpvOpIAdd, i64, bits, step);
    return TG_SPV_VALUE(s, SpvOpBitcast, r->type, bits);
}

static uint32_t fma32(tg_spv *s, uint32_t x, uint32_t y, uint32_t z) {
    reals r = {.s = s, .type = tg_spv_type_float(s, 64)};
    uint32_t wide[3] = {x, y, z}, error = 0;
    for (int i = 0; i < 3; i++) {
        wide[i] = TG_SPV_VALUE(s, SpvOpFConvert, r.type, wide[i]);
    }
    uint32_t sum = two_sum(&r, mul(&r, wide[0], wide[1]), wide[2], &error);
    return TG_SPV_VALUE(s, SpvOpFConvert, tg_spv_type_float(s, 32), to_odd(&r, sum, error));
}

/* x in two halves of 26 bits (Veltkamp). */
static uint32_t split(const reals *r, uint32_t x, uint32_t *low) {
    uint32_t big = mul(r, x, tg_spv_const_f64(r->s, 134217729.0));
    uint32_t high = sub(r, big, sub(r, big, x));
    *low = sub(r, x, high);
    return high;
}

/* x * y = product + *error, exactly (Dekker). */
static uint32_t two_product(const reals *r, uint32_t x, uint32_t y, uint32_t *error) {
    uint32_t xl = 0, yl = 0, xh = split(r, x, &xl), yh = split(r, y, &yl);
    uint32_t p = mul(r, x, y), e = sub(r, mul(r, xh, yh), p);
    e = add(r, add(r, e, mul(r, xh, yl)), mul(r, xl, yh));
    *error = add(r, e, mul(r, xl, yl));
    return p;
}

/*
 * Exact while no part overflows or falls below the normal range (|x|, |y| < 2^996, |x*y| between
 * 2^-960 and 2^1020); outside, and for infinities and NaNs, the product is rounded before the sum.
 */
static uint32_t fma64(tg_spv *s, uint32_t x, uint32_t y, uint32_t z) {
    reals r = {.s = s, .type = tg_spv_type_float(s, 64)};
    uint32_t ul = 0, tl = 0, vl = 0, error = 0, truth = tg_spv_type_bool(s);
    uint32_t uh = two_product(&r, x, y, &ul);
    uint32_t th = two_sum(&r, z, ul, &tl), vh = two_sum(&r, uh, th, &vl);
    uint32_t rest = two_sum(&r, tl, vl, &error);
    uint32_t exact = add(&r, vh, to_odd(&r, rest, error));
    uint32_t plain = add(&r, uh, z);
    /* exact - exact is 0, or NaN when exact is not finite; a zero's sign comes from the plain sum
     */
    uint32_t zero = tg_spv_const_f64(s, 0.0), difference = sub(&r, exact, exact);
    uint32_t finite = TG_SPV_VALUE(s, SpvOpFOrdEqual, truth, difference, zero);
    uint32_t some = TG_SPV_VALUE(s, SpvOpFOrdNotEqual, truth, exact, zero);
    uint32_t use = TG_SPV_VALUE(s, SpvOpLogicalAnd, truth, finite, some);
    return TG_SPV_VALUE(s, SpvOpSelect, r.type, use, exact, plain);
}

uint32_t tg_spv_fma(tg_spv *s, const tg_type *t, uint32_t x, uint32_t y, uint32_t z) {
    if (s->machine->simt & TG_SIMT_FMA) {
        uint32_t type = tg_spv_type(s, t);
        return TG_SPV_VALUE(s, SpvOpExtInst, type, s->import, s->flavour->fma, x, y, z);
    }
    return t->dtype == TG_DT_F64 ? fma64(s, x, y, z) : fma32(s, x, y, z);
}
