/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conversion between element types as lane-wise code, bit for bit what ir/dtype.h defines.
 *
 * Decoding shifts the code into the exponent and mantissa field of a wider float and multiplies by
 * the power of two between the biases: subnormals come out right by themselves. Encoding to nearest
 * adds a power of two whose last place is the result's; the other roundings scale |v| so that the
 * result's last place becomes 1 and round to an integer. Then the binade is added: a carry out of
 * the mantissa is the next binade. f64 and wide integers first become f32 rounded to odd, which
 * keeps the later rounding single.
 */
#include "backends/lower/expand/xp.h"

typedef struct small_float {
    int exp_bits, man_bits, bias;
    uint32_t max_code, nan_code;
    bool has_inf, saturates, has_minus_zero;
} small_float;

static const small_float small_floats[TG_DT_COUNT] = {
    [TG_DT_F16] = {5, 10, 15, 0x7BFF, 0x7E00, true, false, true},
    [TG_DT_F8E4M3] = {4, 3, 7, 0x7E, 0x7F, false, true, true},
    [TG_DT_F8E4M3FNUZ] = {4, 3, 8, 0x7F, 0x80, false, true, false},
    [TG_DT_F8E5M2] = {5, 2, 15, 0x7B, 0x7E, true, false, true},
    [TG_DT_F4E2M1] = {2, 1, 1, 0x7, 0x0, false, true, true},
};

#define F32_INF 0x7F800000

static bool has_halves(const tg_xp *x) { return (x->mc->simt & TG_SIMT_HALVES) != 0; }

static bool has_f16(const tg_xp *x) {
    return (x->mc->features & TG_CPU_F16C) != 0 || has_halves(x);
}

/* ---- decoding to f32 ----------------------------------------------------------------------------
 */

/*
 * A storage float of up to 8 bits whose code fits the f16 layout: through the machine's f16.
 * Widening with the sign and shifting puts magnitude and sign in place at once; a NaN is all ones.
 */
static tg_value *decode_by_f16(const tg_xp *x, tg_value *code, const small_float *f) {
    int width = f->exp_bits + f->man_bits, up = 10 - f->man_bits;
    int64_t mask = (INT64_C(1) << width) - 1;
    if (f->exp_bits == 5) { /* f8e5m2 is the upper half of an f16 */
        tg_value *h = xbini(x, TG_OP_SHL, xcast(x, code, TG_DT_U16), 8);
        return xcast(x, xbits(x, h, TG_DT_F16), TG_DT_F32);
    }
    tg_value *low = xbini(x, TG_OP_SHL, code, 7 - width); /* the sign on top of the byte */
    tg_value *h = xbits(x, xcast(x, xbits(x, low, TG_DT_I8), TG_DT_I16), TG_DT_U16);
    tg_value *bits =
        xbini(x, TG_OP_AND, xbini(x, TG_OP_SHL, h, up - (7 - width)), 0x8000 | mask << up);
    if (f->nan_code != 0) {
        tg_value *nan = f->has_minus_zero
                            ? xcmpi(x, TG_CMP_EQ, xbini(x, TG_OP_AND, code, mask), mask)
                            : xcmpi(x, TG_CMP_EQ, code, f->nan_code);
        tg_value *ones = xsel(x, nan, xi(x, bits, TG_DT_U16, 0xFFFF), xi(x, bits, TG_DT_U16, 0));
        bits = xbin(x, TG_OP_OR, bits, ones);
    }
    tg_value *v = xcast(x, xbits(x, bits, TG_DT_F16), TG_DT_F32);
    return xbinf(x, TG_OP_MUL, v, (double)(1 << (15 - f->bias)));
}

/* `bytes` bytes (16 or 32) that repeat the 16 of (lo, hi). */
static tg_value *table_of_bytes(const tg_xp *x, int bytes, uint64_t lo, uint64_t hi) {
    tg_module *m = x->b->module;
    tg_value *t = tg_build_int(x->b, tg_type_vec(m, TG_DT_U64, bytes / 8), (int64_t)lo);
    tg_value *high = tg_build_int(x->b, tg_type_scalar(m, TG_DT_U64), (int64_t)hi);
    for (int i = 1; i < bytes / 8; i += 2) {
        t = tg_build_insert(x->b, t, high, i);
    }
    return tg_build1(x->b, TG_OP_BITCAST, tg_type_vec(m, TG_DT_U8, bytes), 1, t);
}

/*
 * f4e2m1 by a byte table: every value is an f16 whose lower byte is 0, and so is the table's first
 * entry, which the lower bytes of the codes look up. 8 or 16 codes at a time; longer vectors in
 * halves.
 */
static tg_value *decode_e2m1_by_table(const tg_xp *x, tg_value *code) {
    int n = (int)code->type->shape[0];
    int64_t map[256];
    for (int l = 0; l < n; l++) {
        map[l] = l;
    }
    if (n > 16 || (n == 16 && x->mc->vector_bytes < 32)) {
        tg_value *half[2];
        for (int h = 0; h < 2; h++) {
            tg_value *part = tg_build_shuffle(x->b, code, code, n / 2, map + h * (n / 2));
            half[h] = decode_e2m1_by_table(x, part);
        }
        return tg_build_shuffle(x->b, half[0], half[1], n, map);
    }
    const tg_type *bytes = tg_type_vec(x->b->module, TG_DT_U8, 2 * n);
    tg_value *up = xbini(x, TG_OP_SHL, xbini(x, TG_OP_AND, xcast(x, code, TG_DT_U16), 15), 8);
    tg_value *args[2] = {
        table_of_bytes(x, 2 * n, UINT64_C(0x464442403E3C3800), UINT64_C(0xC6C4C2C0BEBCB880)),
        tg_build1(x->b, TG_OP_BITCAST, bytes, 1, up)};
    tg_value *look = tg_build_intrinsic(x->b, n == 8 ? "x86.ssse3.pshuf.b.128" : "x86.avx2.pshuf.b",
                                        bytes, 2, args);
    const tg_type *halves = tg_type_vec(x->b->module, TG_DT_F16, n);
    return xcast(x, tg_build1(x->b, TG_OP_BITCAST, halves, 1, look), TG_DT_F32);
}

static double power_of_two(int e) {
    double v = 1;
    for (; e > 0; e--) {
        v *= 2;
    }
    for (; e < 0; e++) {
        v /= 2;
    }
    return v;
}

static tg_value *decode_by_f32(const tg_xp *x, tg_value *code, const small_float *f) {
    tg_value *w = xcast(x, code, TG_DT_U32);
    int width = f->exp_bits + f->man_bits;
    int64_t mask = (INT64_C(1) << width) - 1;
    tg_value *low = xbini(x, TG_OP_AND, w, mask);
    tg_value *magnitude = xbini(x, TG_OP_SHL, low, 23 - f->man_bits);
    tg_value *sign = xbini(x, TG_OP_SHL, xbini(x, TG_OP_AND, w, mask + 1), 31 - width);
    tg_value *v = xbinf(x, TG_OP_MUL, xbits(x, magnitude, TG_DT_F32), power_of_two(127 - f->bias));
    tg_value *bits = xbin(x, TG_OP_OR, xbits(x, v, TG_DT_U32), sign);
    if (f->has_inf) {
        tg_value *special = xcmpi(x, TG_CMP_GT, low, f->max_code);
        tg_value *raw = xbini(x, TG_OP_OR, xbin(x, TG_OP_OR, magnitude, sign), F32_INF);
        bits = xsel(x, special, raw, bits);
    } else if (f->nan_code != 0) {
        tg_value *nan = f->has_minus_zero ? xcmpi(x, TG_CMP_GT, low, f->max_code)
                                          : xcmpi(x, TG_CMP_EQ, w, f->nan_code);
        bits = xsel(x, nan, xbini(x, TG_OP_OR, bits, 0x7FC00000), bits);
    }
    return xbits(x, bits, TG_DT_F32);
}

/* 2^(code - 127); code 0 is an f32 subnormal, 255 is NaN. */
static tg_value *decode_e8m0(const tg_xp *x, tg_value *code) {
    tg_value *w = xcast(x, code, TG_DT_U32);
    tg_value *bits = xbini(x, TG_OP_SHL, w, 23);
    bits = xsel(x, xcmpi(x, TG_CMP_EQ, w, 0), xi(x, w, TG_DT_U32, 0x00400000), bits);
    bits = xsel(x, xcmpi(x, TG_CMP_EQ, w, 255), xi(x, w, TG_DT_U32, 0x7FC00000), bits);
    return xbits(x, bits, TG_DT_F32);
}

static tg_value *decode_float(const tg_xp *x, tg_value *code, tg_dtype from) {
    if (from == TG_DT_BF16) {
        return xbits(x, xbini(x, TG_OP_SHL, xcast(x, code, TG_DT_U32), 16), TG_DT_F32);
    }
    if (from == TG_DT_F8E8M0) {
        return decode_e8m0(x, code);
    }
    if (from == TG_DT_F16 && has_f16(x)) {
        return xcast(x, xbits(x, code, TG_DT_F16), TG_DT_F32);
    }
    if (from == TG_DT_F4E2M1 && has_f16(x) && (x->mc->features & TG_CPU_PSHUFB) &&
        code->type->kind == TG_TY_VEC && code->type->shape[0] % 8 == 0) {
        return decode_e2m1_by_table(x, code);
    }
    const small_float *f = &small_floats[from];
    if (has_f16(x)) {
        return decode_by_f16(x, code, f);
    }
    return decode_by_f32(x, code, f);
}

/* i4, u4: the low four bits of the carrier. */
static tg_value *decode_int4(const tg_xp *x, tg_value *code, bool is_signed) {
    tg_value *w = xbini(x, TG_OP_AND, xcast(x, code, TG_DT_U32), 15);
    if (!is_signed) {
        return w;
    }
    tg_value *up = xbits(x, xbini(x, TG_OP_SHL, w, 28), TG_DT_I32);
    return xbini(x, TG_OP_SHR, up, 28);
}

/* ---- rounding between f64, f32 and integers
 * ------------------------------------------------------ */

/* f64 to f32 towards zero with the last bit set when inexact. NaN and infinities pass. */
static tg_value *round_to_odd(const tg_xp *x, tg_value *v) {
    tg_value *near = xcast(x, v, TG_DT_F32), *back = xcast(x, near, TG_DT_F64);
    tg_value *bits = xbits(x, near, TG_DT_U32);
    tg_value *over = xcmp(x, TG_CMP_GT, xabs(x, back), xabs(x, v));
    tg_value *cut = xsel(x, over, xbini(x, TG_OP_SUB, bits, 1), bits);
    tg_value *exact = xbin(x, TG_OP_OR, xcmp(x, TG_CMP_EQ, back, v), xcmp(x, TG_CMP_NE, v, v));
    return xbits(x, xsel(x, exact, bits, xbini(x, TG_OP_OR, cut, 1)), TG_DT_F32);
}

/* Moves f32 bits one place up (or down) in value. */
static tg_value *step(const tg_xp *x, tg_value *bits, tg_value *away_from_zero) {
    return xsel(x, away_from_zero, xbini(x, TG_OP_ADD, bits, 1), xbini(x, TG_OP_SUB, bits, 1));
}

/* Corrects `bits` (u32 or u64 of the nearest float) given how it compares with the exact value. */
static tg_value *direct(const tg_xp *x, tg_value *bits, tg_value *below, tg_value *above,
                        tg_value *negative, tg_round round) {
    tg_value *positive = tg_build_unary(x->b, TG_OP_NOT, negative);
    switch (round) {
    case TG_ROUND_RNE:
        break;
    case TG_ROUND_UP:
        return xsel(x, below, step(x, bits, positive), bits);
    case TG_ROUND_DOWN:
        return xsel(x, above, step(x, bits, negative), bits);
    case TG_ROUND_RTZ: {
        tg_value *past = xsel(x, negative, below, above);
        return xsel(x, past, xbini(x, TG_OP_SUB, bits, 1), bits);
    }
    }
    return bits;
}

/* Infinite magnitudes become the largest finite one. */
static tg_value *clamp_infinite(const tg_xp *x, tg_value *v) {
    bool wide = v->type->dtype == TG_DT_F64;
    double most = wide ? 0x1.fffffffffffffp1023 : 0x1.fffffep127;
    v = xbinf(x, TG_OP_MIN, v, most);
    return xbinf(x, TG_OP_MAX, v, -most);
}

static tg_value *f64_to_f32(const tg_xp *x, tg_value *v, tg_round round, bool sat) {
    tg_value *near = xcast(x, v, TG_DT_F32);
    if (round != TG_ROUND_RNE) {
        tg_value *back = xcast(x, near, TG_DT_F64);
        tg_value *bits = direct(x, xbits(x, near, TG_DT_U32), xcmp(x, TG_CMP_LT, back, v),
                                xcmp(x, TG_CMP_GT, back, v), xcmpf(x, TG_CMP_LT, v, 0.0), round);
        near = xbits(x, bits, TG_DT_F32);
    }
    return sat ? clamp_infinite(x, near) : near;
}

/* v as f64 without rounding that a later rounding to 51 bits or fewer could notice: the bits beyond
 * the 53rd are folded into one sticky bit. */
static tg_value *int_to_f64_odd(const tg_xp *x, tg_value *v) {
    tg_dtype t = v->type->dtype;
    if (t != TG_DT_I64 && t != TG_DT_U64) {
        return xcast(x, v, TG_DT_F64);
    }
    tg_value *low = xbini(x, TG_OP_AND, v, 0x7FF);
    tg_value *sticky = xbini(x, TG_OP_SHL, xcast(x, xcmpi(x, TG_CMP_NE, low, 0), t), 11);
    tg_value *jammed = xbin(x, TG_OP_OR, xbin(x, TG_OP_SUB, v, low), sticky);
    tg_value *big = xcmpi(x, t == TG_DT_I64 ? TG_CMP_GE : TG_CMP_GT, v, INT64_C(1) << 53);
    if (t == TG_DT_I64) {
        big = xbin(x, TG_OP_OR, big, xcmpi(x, TG_CMP_LE, v, -(INT64_C(1) << 53)));
    }
    return xcast(x, xsel(x, big, jammed, v), TG_DT_F64);
}

/* Integer to f32 or f64 with a directed rounding: nearest, compared with v, corrected. */
static tg_value *int_to_float(const tg_xp *x, tg_value *v, tg_dtype to, tg_round round) {
    tg_value *near = xcast(x, v, to);
    if (round == TG_ROUND_RNE) {
        return near;
    }
    tg_dtype t = v->type->dtype, u = to == TG_DT_F64 ? TG_DT_U64 : TG_DT_U32;
    bool is_signed = tg_dtype_is_signed(t);
    int value_bits = tg_dtype_bits(t) - (is_signed ? 1 : 0);
    tg_value *top = xcmpf(x, TG_CMP_GE, near, power_of_two(value_bits)); /* beyond every v */
    tg_value *back = xcast(x, near, t);                                  /* saturates */
    tg_value *above = xbin(x, TG_OP_OR, top, xcmp(x, TG_CMP_GT, back, v));
    tg_value *below =
        xbin(x, TG_OP_AND, tg_build_unary(x->b, TG_OP_NOT, top), xcmp(x, TG_CMP_LT, back, v));
    tg_value *negative = xcmpi(x, TG_CMP_LT, v, 0);
    return xbits(x, direct(x, xbits(x, near, u), below, above, negative, round), to);
}

/* ---- encoding from f32
 * --------------------------------------------------------------------------- */

/* |v| rounded to an integer, in f32. */
static tg_value *round_magnitude(const tg_xp *x, tg_value *v, tg_value *negative, tg_round round) {
    switch (round) {
    case TG_ROUND_RNE:
        return v;
    case TG_ROUND_RTZ:
        return xmath(x, TG_MATH_FLOOR, v);
    case TG_ROUND_UP:
        return xsel(x, negative, xmath(x, TG_MATH_FLOOR, v), xmath(x, TG_MATH_CEIL, v));
    case TG_ROUND_DOWN:
        return xsel(x, negative, xmath(x, TG_MATH_CEIL, v), xmath(x, TG_MATH_FLOOR, v));
    }
    return v;
}

/* f32 bits of the value where a magnitude is cut before it is scaled: the greatest finite value, or
 * the infinity code read as a value, which every larger magnitude rounds to. */
static uint32_t magnitude_limit(const small_float *f, uint32_t code) {
    return (code << (23 - f->man_bits)) + ((uint32_t)(127 - f->bias) << 23);
}

/* The magnitude's binade as a float, at least that of the smallest normal number. */
static tg_value *binade_of(const tg_xp *x, tg_value *magnitude, const small_float *f) {
    int64_t lowest = (int64_t)(128 - f->bias) << 23;
    return xbini(x, TG_OP_MAX, xbini(x, TG_OP_AND, magnitude, F32_INF), lowest);
}

/*
 * To nearest: the sum with 2^(23 - man_bits) binades rounds at the result's last place and holds
 * the significand in its low bits. What takes the bias off, modulo 2^(1 + exp_bits + man_bits), is
 * put beside it beforehand; bits above those of the code are left over.
 */
static tg_value *encode_nearest(const tg_xp *x, tg_value *magnitude, const small_float *f) {
    int64_t all = (INT64_C(1) << (1 + f->exp_bits + f->man_bits)) - 1;
    int64_t lowest = (int64_t)(128 - f->bias) << f->man_bits;
    tg_value *binade = binade_of(x, magnitude, f);
    tg_value *top =
        xbini(x, TG_OP_ADD, binade, ((int64_t)(23 - f->man_bits) << 23) + (-lowest & all));
    tg_value *sum = xbin(x, TG_OP_ADD, xbits(x, magnitude, TG_DT_F32), xbits(x, top, TG_DT_F32));
    return xbin(x, TG_OP_ADD, xbits(x, sum, TG_DT_U32),
                xbini(x, TG_OP_SHR, binade, 23 - f->man_bits));
}

static tg_value *encode_directed(const tg_xp *x, tg_value *magnitude, tg_value *negative,
                                 const small_float *f, tg_round round) {
    int64_t lowest = (int64_t)(128 - f->bias) << 23;
    tg_value *binade = binade_of(x, magnitude, f);
    tg_value *top = xi(x, binade, TG_DT_U32, (int64_t)(254 + f->man_bits) << 23);
    tg_value *scale = xbits(x, xbin(x, TG_OP_SUB, top, binade), TG_DT_F32);
    tg_value *scaled = xbin(x, TG_OP_MUL, xbits(x, magnitude, TG_DT_F32), scale);
    scaled = round_magnitude(x, scaled, negative, round);
    tg_value *whole = xbits(x, xbinf(x, TG_OP_ADD, scaled, 0x1p23), TG_DT_U32);
    tg_value *code = xbin(x, TG_OP_ADD, whole, xbini(x, TG_OP_SHR, binade, 23 - f->man_bits));
    return xbini(x, TG_OP_SUB, code, 0x4B000000 + (lowest >> (23 - f->man_bits)));
}

/* The code of a magnitude. Above its sign's place may be anything where `loose`. */
static tg_value *encode_magnitude(const tg_xp *x, tg_value *magnitude, tg_value *negative,
                                  const small_float *f, tg_round round, bool loose) {
    if (round != TG_ROUND_RNE) {
        return encode_directed(x, magnitude, negative, f, round);
    }
    tg_value *code = encode_nearest(x, magnitude, f);
    int64_t all = (INT64_C(1) << (1 + f->exp_bits + f->man_bits)) - 1;
    return loose ? code : xbini(x, TG_OP_AND, code, all);
}

static tg_value *encode_small(const tg_xp *x, tg_value *v, tg_dtype to, tg_round round, bool sat) {
    const small_float *f = &small_floats[to];
    tg_value *bits = xbits(x, v, TG_DT_U32);
    tg_value *magnitude = xbini(x, TG_OP_AND, bits, 0x7FFFFFFF);
    tg_value *negative = xcmpi(x, TG_CMP_GE, bits, INT64_C(0x80000000));
    bool clamp = sat || f->saturates;
    uint32_t limit = magnitude_limit(f, f->max_code + (clamp ? 0 : 1));
    tg_value *cut = xbini(x, TG_OP_MIN, magnitude, limit);
    if (!clamp &&
        round != TG_ROUND_RNE) { /* finite overflow may stop at the greatest finite value */
        tg_value *finite = xcmpi(x, TG_CMP_LT, magnitude, F32_INF);
        tg_value *stop = round == TG_ROUND_RTZ  ? finite
                         : round == TG_ROUND_UP ? xbin(x, TG_OP_AND, finite, negative)
                                                : xbin(x, TG_OP_AND, finite,
                                                       tg_build_unary(x->b, TG_OP_NOT, negative));
        tg_value *lower = xbini(x, TG_OP_MIN, magnitude, magnitude_limit(f, f->max_code));
        cut = xsel(x, stop, lower, cut);
    }
    int width = f->exp_bits + f->man_bits;
    bool loose = f->has_minus_zero && tg_dtype_bits(tg_carrier(to)) == width + 1;
    tg_value *code = encode_magnitude(x, cut, negative, f, round, loose);
    tg_value *sign =
        xbini(x, TG_OP_AND, xbini(x, TG_OP_SHR, bits, 31 - width), INT64_C(1) << width);
    tg_value *nan = xcmp(x, TG_CMP_NE, v, v);
    if (!f->has_minus_zero) {
        sign = xsel(x, xcmpi(x, TG_CMP_EQ, code, 0), xi(x, sign, TG_DT_U32, 0), sign);
    }
    tg_value *nan_code = xi(x, bits, TG_DT_U32, f->nan_code);
    if (clamp && f->nan_code == f->max_code + 1) { /* a NaN has been cut to the greatest code */
        code = xbin(x, TG_OP_ADD, code, xcast(x, nan, TG_DT_U32));
        return xbin(x, TG_OP_OR, code, sign);
    }
    if (f->nan_code != 0 && f->has_minus_zero) { /* the sign stays */
        return xbin(x, TG_OP_OR, xsel(x, nan, nan_code, code), sign);
    }
    return xsel(x, nan, nan_code, xbin(x, TG_OP_OR, code, sign));
}

static tg_value *encode_bf16(const tg_xp *x, tg_value *v, tg_round round, bool sat) {
    tg_value *bits = xbits(x, v, TG_DT_U32), *top = xbini(x, TG_OP_SHR, bits, 16), *add = NULL;
    tg_value *zero = xi(x, bits, TG_DT_U32, 0), *ones = xi(x, bits, TG_DT_U32, 0xFFFF);
    tg_value *negative = xcmpi(x, TG_CMP_GE, bits, INT64_C(0x80000000));
    switch (round) {
    case TG_ROUND_RNE:
        add = xbini(x, TG_OP_ADD, xbini(x, TG_OP_AND, top, 1), 0x7FFF);
        break;
    case TG_ROUND_RTZ:
        add = zero;
        break;
    case TG_ROUND_UP:
        add = xsel(x, negative, zero, ones);
        break;
    case TG_ROUND_DOWN:
        add = xsel(x, negative, ones, zero);
        break;
    }
    tg_value *code = xbini(x, TG_OP_SHR, xbin(x, TG_OP_ADD, bits, add), 16);
    if (sat) {
        tg_value *sign = xbini(x, TG_OP_AND, top, 0x8000);
        code = xbini(x, TG_OP_MIN, xbini(x, TG_OP_AND, code, 0x7FFF), 0x7F7F);
        code = xbin(x, TG_OP_OR, code, sign);
    }
    return xsel(x, xcmp(x, TG_CMP_NE, v, v), xbini(x, TG_OP_OR, top, 0x40), code);
}

/* Nearest exponent (ties to even), or the next not below under UP; see dtype.h. */
static tg_value *encode_e8m0(const tg_xp *x, tg_value *v, tg_round round) {
    bool up = round == TG_ROUND_UP;
    tg_value *bits = xbits(x, v, TG_DT_U32);
    tg_value *exponent = xbini(x, TG_OP_SHR, bits, 23);
    tg_value *add = up ? xi(x, bits, TG_DT_U32, 0x7FFFFF)
                       : xbini(x, TG_OP_ADD, xbini(x, TG_OP_AND, exponent, 1), 0x3FFFFF);
    tg_value *code = xbini(x, TG_OP_SHR, xbin(x, TG_OP_ADD, bits, add), 23);
    tg_value *tiny = xcmpi(x, TG_CMP_GT, bits, up ? 0x400000 : 0x600000);
    code = xsel(x, xcmpi(x, TG_CMP_EQ, exponent, 0), xcast(x, tiny, TG_DT_U32), code);
    code = xbini(x, TG_OP_MIN, code, 0xFE);
    code = xsel(x, xcmpf(x, TG_CMP_GT, v, 0.0), code, xi(x, bits, TG_DT_U32, 0));
    return xsel(x, xcmp(x, TG_CMP_NE, v, v), xi(x, bits, TG_DT_U32, 0xFF), code);
}

static tg_value *encode_f16(const tg_xp *x, tg_value *v, bool sat) {
    if (sat) {
        v = xbinf(x, TG_OP_MAX, xbinf(x, TG_OP_MIN, v, 65504.0), -65504.0);
    }
    return xbits(x, xcast(x, v, TG_DT_F16), TG_DT_U16);
}

/* v (f32) to the carrier of a storage float. */
static tg_value *encode_float(const tg_xp *x, tg_value *v, tg_dtype to, tg_round round, bool sat) {
    if (to == TG_DT_F16 && has_f16(x) && round == TG_ROUND_RNE) {
        return encode_f16(x, v, sat);
    }
    if (to == TG_DT_BF16 && has_halves(x) && round == TG_ROUND_RNE && !sat) {
        return xbits(x, xcast(x, v, TG_DT_BF16), TG_DT_U16);
    }
    tg_value *code = to == TG_DT_BF16     ? encode_bf16(x, v, round, sat)
                     : to == TG_DT_F8E8M0 ? encode_e8m0(x, v, round)
                                          : encode_small(x, v, to, round, sat);
    return xcast(x, code, tg_carrier(to));
}

/* ---- integers
 * ------------------------------------------------------------------------------------ */

static int64_t least(tg_dtype t) {
    return !tg_dtype_is_signed(t) ? 0 : (int64_t)(~UINT64_C(0) << (tg_dtype_bits(t) - 1));
}

static uint64_t most(tg_dtype t) {
    int bits = t == TG_DT_BOOL ? 1 : tg_dtype_bits(t) - (tg_dtype_is_signed(t) ? 1 : 0);
    return bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
}

static tg_value *clamp_int(const tg_xp *x, tg_value *v, tg_dtype to) {
    tg_dtype from = v->type->dtype;
    if (from == TG_DT_BOOL) {
        return v;
    }
    if (most(to) < most(from)) {
        v = xbini(x, TG_OP_MIN, v, (int64_t)most(to));
    }
    if (least(to) > least(from)) {
        v = xbini(x, TG_OP_MAX, v, least(to));
    }
    return v;
}

static tg_value *to_int4(const tg_xp *x, tg_value *v, tg_dtype to, bool sat) {
    tg_dtype wide = to == TG_DT_I4 ? TG_DT_I32 : TG_DT_U32;
    if (tg_dtype_is_float(v->type->dtype)) {
        v = clamp_int(x, xcast(x, v, wide), to);
    } else if (sat) {
        v = clamp_int(x, v, to);
    }
    return xbini(x, TG_OP_AND, xcast(x, v, TG_DT_U8), 15);
}

/* ---- the door
 * ------------------------------------------------------------------------------------ */

static tg_value *to_storage_float(const tg_xp *x, tg_value *v, tg_dtype to, tg_round round,
                                  bool sat) {
    tg_dtype t = v->type->dtype;
    if (!tg_dtype_is_float(t)) {
        bool short_int = t == TG_DT_BOOL || tg_dtype_bits(t) <= 16;
        v = short_int ? xcast(x, v, TG_DT_F32) : int_to_f64_odd(x, v);
    }
    if (v->type->dtype == TG_DT_F64) {
        v = round_to_odd(x, v);
    }
    return encode_float(x, v, to, round, sat);
}

static tg_value *to_plain(const tg_xp *x, tg_value *v, tg_dtype to, tg_round round, bool sat) {
    tg_dtype from = v->type->dtype;
    if (from == to) { /* decoded from a storage type: an infinity of that saturates all the same */
        return sat && to == TG_DT_F32 ? clamp_infinite(x, v) : v;
    }
    if (to == TG_DT_F32 && from == TG_DT_F64) {
        return f64_to_f32(x, v, round, sat);
    }
    if (tg_dtype_is_float(to)) {
        return tg_dtype_is_float(from) || from == TG_DT_BOOL ? xcast(x, v, to)
                                                             : int_to_float(x, v, to, round);
    }
    if (sat && to != TG_DT_BOOL && !tg_dtype_is_float(from)) {
        v = clamp_int(x, v, to);
    }
    return xcast(x, v, to);
}

/*
 * f4e2m1 to a wider small float, bit for bit: the exponent takes the new bias and the mantissa bit
 * moves up; 0 and the only subnormal, 0.5, have codes of their own.
 */
static tg_value *widen_e2m1(const tg_xp *x, tg_value *code, tg_dtype to) {
    const small_float *f = &small_floats[to];
    int64_t half = (int64_t)(f->bias - 1) << f->man_bits;
    tg_value *low = xbini(x, TG_OP_AND, code, 7), *sign = xbini(x, TG_OP_AND, code, 8);
    tg_value *normal = xbini(x, TG_OP_ADD, xbini(x, TG_OP_SHL, low, f->man_bits - 1), half);
    tg_value *is_half = xcmpi(x, TG_CMP_EQ, low, 1);
    tg_value *small =
        xsel(x, is_half, xi(x, code, code->type->dtype, half), xi(x, code, code->type->dtype, 0));
    tg_value *bits = xsel(x, xcmpi(x, TG_CMP_GT, low, 1), normal, small);
    return xbin(x, TG_OP_OR, bits, xbini(x, TG_OP_SHL, sign, f->exp_bits + f->man_bits - 3));
}

tg_value *tg_expand_convert(tg_builder *b, const tg_machine *mc, tg_value *v, tg_dtype from,
                            tg_dtype to, tg_round round, bool sat) {
    tg_xp x = {b, mc};
    if (v->type->dtype != tg_carrier(from)) {
        v = xbits(&x, v, tg_carrier(from));
    }
    if (from == to) {
        return v;
    }
    if (from == TG_DT_F4E2M1 && (to == TG_DT_F8E4M3 || to == TG_DT_F8E5M2)) {
        return widen_e2m1(&x, v, to);
    }
    if (from == TG_DT_I4 || from == TG_DT_U4) {
        v = decode_int4(&x, v, from == TG_DT_I4);
    } else if (tg_dtype_is_storage(from)) {
        v = decode_float(&x, v, from);
    }
    if (to == TG_DT_I4 || to == TG_DT_U4) {
        return to_int4(&x, v, to, sat);
    }
    return tg_dtype_is_storage(to) ? to_storage_float(&x, v, to, round, sat)
                                   : to_plain(&x, v, to, round, sat);
}
