/* SPDX-License-Identifier: Apache-2.0 */
/*
 * f32 arithmetic in integers: an operand is sign, exponent and whole mantissa, m * 2^(e - 150) with
 * e at least 1; a result is a mantissa of up to 63 bits, whose lowest bit is also set when
 * something below it was lost, and is rounded once. Subnormals need no care but in quotients and
 * roots, whose mantissas are normalised first.
 */
#include "backends/lower/quirks/soft.h"

static tg_value *u32(const tg_xp *x, tg_value *like, int64_t v) {
    return xi(x, like, TG_DT_U32, v);
}
static tg_value *i32(const tg_xp *x, tg_value *like, int64_t v) {
    return xi(x, like, TG_DT_I32, v);
}
static tg_value *u64(const tg_xp *x, tg_value *like, int64_t v) {
    return xi(x, like, TG_DT_U64, v);
}

tg_value *tg_soft_magnitude(const tg_xp *x, tg_value *p) {
    return xbini(x, TG_OP_AND, p, 0x7fffffff);
}

tg_value *tg_soft_is_nan(const tg_xp *x, tg_value *p) {
    return xcmpi(x, TG_CMP_GT, tg_soft_magnitude(x, p), TG_SOFT_INF);
}

static tg_value *sign_of(const tg_xp *x, tg_value *p) {
    return xbini(x, TG_OP_AND, p, INT64_C(0x80000000));
}
static tg_value *either(const tg_xp *x, tg_value *p, tg_value *q) {
    return xbin(x, TG_OP_OR, p, q);
}
static tg_value *both(const tg_xp *x, tg_value *p, tg_value *q) { return xbin(x, TG_OP_AND, p, q); }
static tg_value *is(const tg_xp *x, tg_value *p, int64_t v) { return xcmpi(x, TG_CMP_EQ, p, v); }

/* ---- parts ----------------------------------------------------------------------------------- */

typedef struct parts {
    tg_value *sign, *mag; /* u32 */
    tg_value *e;          /* i32, biased, at least 1 */
    tg_value *m;          /* u64, below 2^24 */
} parts;

static parts parts_of(const tg_xp *x, tg_value *p) {
    parts r = {.sign = sign_of(x, p), .mag = tg_soft_magnitude(x, p)};
    tg_value *e = xbini(x, TG_OP_SHR, r.mag, 23), *low = xbini(x, TG_OP_AND, r.mag, 0x7fffff);
    tg_value *small = is(x, e, 0);
    r.e = xbits(x, xsel(x, small, u32(x, e, 1), e), TG_DT_I32);
    r.m = xcast(x, xsel(x, small, low, xbini(x, TG_OP_OR, low, 0x800000)), TG_DT_U64);
    return r;
}

/* v's highest bit to bit `top`, by halving steps from `first` on; *e falls as v is shifted. */
static tg_value *normalise(const tg_xp *x, tg_value *v, int top, int first, tg_value **e) {
    for (int step = first; step > 0; step /= 2) {
        tg_value *low = xcmpi(x, TG_CMP_LT, v, INT64_C(1) << (top - step + 1));
        v = xsel(x, low, xbini(x, TG_OP_SHL, v, step), v);
        *e = xsel(x, low, xbini(x, TG_OP_SUB, *e, step), *e);
    }
    return v;
}

/* v >> n, n : i32 from 0 up to anything; what falls off stays as bit 0. */
static tg_value *shift_right_jam(const tg_xp *x, tg_value *v, tg_value *n) {
    tg_value *far = xcmpi(x, TG_CMP_GT, n, 63);
    tg_value *by = xcast(x, xsel(x, far, i32(x, n, 0), n), TG_DT_U64);
    tg_value *out = xbin(x, TG_OP_SHR, v, by);
    tg_value *lost = xcmp(x, TG_CMP_NE, xbin(x, TG_OP_SHL, out, by), v);
    tg_value *bit = xsel(x, lost, u64(x, v, 1), u64(x, v, 0));
    tg_value *some = xsel(x, is(x, v, 0), u64(x, v, 0), u64(x, v, 1));
    return xsel(x, far, some, xbin(x, TG_OP_OR, out, bit));
}

tg_value *tg_soft_round(const tg_xp *x, tg_value *sign, tg_value *e, tg_value *sig) {
    tg_value *zero = is(x, sig, 0);
    sig = normalise(x, sig, 62, 32, &e);
    tg_value *biased = xbini(x, TG_OP_ADD, e, 62 + 127);
    tg_value *extra = xbin(x, TG_OP_SUB, i32(x, e, 1), biased); /* > 0: subnormal */
    extra = xbin(x, TG_OP_MAX, extra, i32(x, e, 0));
    tg_value *n = xbini(x, TG_OP_ADD, extra, 62 - 23), *far = xcmpi(x, TG_CMP_GT, n, 63);
    sig = xsel(x, far, u64(x, sig, 1), sig);
    tg_value *by = xcast(x, xbin(x, TG_OP_MIN, n, i32(x, n, 63)), TG_DT_U64);
    tg_value *one = u64(x, sig, 1), *q = xbin(x, TG_OP_SHR, sig, by);
    tg_value *rest = xbin(x, TG_OP_SUB, sig, xbin(x, TG_OP_SHL, q, by));
    tg_value *half = xbin(x, TG_OP_SHL, one, xbini(x, TG_OP_SUB, by, 1));
    tg_value *odd = is(x, xbini(x, TG_OP_AND, q, 1), 1);
    tg_value *up =
        either(x, xcmp(x, TG_CMP_GT, rest, half), both(x, xcmp(x, TG_CMP_EQ, rest, half), odd));
    q = xbin(x, TG_OP_ADD, q, xsel(x, up, one, u64(x, q, 0)));
    tg_value *field = xbin(x, TG_OP_MAX, xbini(x, TG_OP_SUB, biased, 1), i32(x, biased, 0));
    tg_value *bits = xbini(x, TG_OP_SHL, xbits(x, field, TG_DT_U32), 23);
    bits = xbin(x, TG_OP_ADD, bits, xcast(x, q, TG_DT_U32));
    tg_value *over =
        either(x, xcmpi(x, TG_CMP_GT, biased, 254), xcmpi(x, TG_CMP_GT, bits, TG_SOFT_INF));
    bits = xsel(x, over, u32(x, bits, TG_SOFT_INF), bits);
    return xbin(x, TG_OP_OR, sign, xsel(x, zero, u32(x, bits, 0), bits));
}

/* ---- sums and products ----------------------------------------------------------------------- */

/* The finite case: the product as a 62-bit frame beside the addend as one, aligned. */
static tg_value *fma_finite(const tg_xp *x, const parts *p, const parts *q, const parts *r,
                            tg_value *sign) {
    tg_value *product = xbin(x, TG_OP_MUL, p->m, q->m), *none = u64(x, product, 0);
    tg_value *ep = xbini(x, TG_OP_ADD, xbin(x, TG_OP_ADD, p->e, q->e), -300 - 14);
    tg_value *er = xbini(x, TG_OP_ADD, r->e, -150 - 38);
    /* a zero has no exponent that matters */
    ep = xsel(x, is(x, product, 0), i32(x, ep, -2000), ep);
    er = xsel(x, is(x, r->m, 0), i32(x, er, -2000), er);
    product = xbini(x, TG_OP_SHL, product, 14);
    tg_value *addend = xbini(x, TG_OP_SHL, r->m, 38), *zero = i32(x, ep, 0);
    tg_value *e = xbin(x, TG_OP_MAX, ep, er);
    product = shift_right_jam(x, product, xbin(x, TG_OP_MAX, xbin(x, TG_OP_SUB, e, ep), zero));
    addend = shift_right_jam(x, addend, xbin(x, TG_OP_MAX, xbin(x, TG_OP_SUB, e, er), zero));
    tg_value *same = xcmp(x, TG_CMP_EQ, sign, r->sign);
    tg_value *larger = xcmp(x, TG_CMP_GE, product, addend);
    tg_value *high = xsel(x, larger, product, addend), *low = xsel(x, larger, addend, product);
    tg_value *sum = xsel(x, same, xbin(x, TG_OP_ADD, high, low), xbin(x, TG_OP_SUB, high, low));
    tg_value *s = xsel(x, larger, sign, r->sign);
    /* what cancels is +0 */
    s = xsel(
        x,
        both(x, xcmp(x, TG_CMP_EQ, sum, none), xbin(x, TG_OP_XOR, same, tg_build_bool(x->b, true))),
        u32(x, s, 0), s);
    return tg_soft_round(x, s, e, sum);
}

tg_value *tg_soft_fma(const tg_xp *x, tg_value *p, tg_value *q, tg_value *r) {
    parts a = parts_of(x, p), b = parts_of(x, q), c = parts_of(x, r);
    tg_value *sign = xbin(x, TG_OP_XOR, a.sign, b.sign);
    tg_value *out = fma_finite(x, &a, &b, &c, sign);
    tg_value *a_inf = is(x, a.mag, TG_SOFT_INF), *b_inf = is(x, b.mag, TG_SOFT_INF);
    tg_value *c_inf = is(x, c.mag, TG_SOFT_INF), *inf = either(x, a_inf, b_inf);
    tg_value *nan = either(x, tg_soft_is_nan(x, p), tg_soft_is_nan(x, q));
    nan = either(x, nan, tg_soft_is_nan(x, r));
    nan = either(x, nan, both(x, a_inf, is(x, b.mag, 0)));
    nan = either(x, nan, both(x, b_inf, is(x, a.mag, 0)));
    tg_value *against = xcmp(x, TG_CMP_NE, sign, c.sign);
    nan = either(x, nan, both(x, both(x, inf, c_inf), against));
    out = xsel(x, c_inf, r, out);
    out = xsel(x, inf, xbini(x, TG_OP_OR, sign, TG_SOFT_INF), out);
    return xsel(x, nan, u32(x, out, TG_SOFT_NAN), out);
}

/* A zero of the product's sign changes nothing. */
tg_value *tg_soft_mul(const tg_xp *x, tg_value *p, tg_value *q) {
    return tg_soft_fma(x, p, q, sign_of(x, xbin(x, TG_OP_XOR, p, q)));
}

tg_value *tg_soft_add(const tg_xp *x, tg_value *p, tg_value *q) {
    return tg_soft_fma(x, p, u32(x, p, TG_SOFT_ONE), q);
}

/* ---- quotients, roots ------------------------------------------------------------------------ */

tg_value *tg_soft_div(const tg_xp *x, tg_value *p, tg_value *q) {
    parts a = parts_of(x, p), b = parts_of(x, q);
    tg_value *sign = xbin(x, TG_OP_XOR, a.sign, b.sign);
    a.m = normalise(x, a.m, 23, 16, &a.e);
    b.m = normalise(x, b.m, 23, 16, &b.e);
    tg_value *top = xbini(x, TG_OP_SHL, a.m, 38), *one = u64(x, top, 1), *none = u64(x, top, 0);
    tg_value *by = xbin(x, TG_OP_MAX, b.m, one); /* 0 is told apart below */
    tg_value *quotient = xbin(x, TG_OP_DIV, top, by);
    tg_value *lost = xcmp(x, TG_CMP_NE, xbin(x, TG_OP_MUL, quotient, by), top);
    tg_value *sig = xbin(x, TG_OP_OR, xbini(x, TG_OP_SHL, quotient, 1), xsel(x, lost, one, none));
    tg_value *e = xbini(x, TG_OP_SUB, xbin(x, TG_OP_SUB, a.e, b.e), 39);
    tg_value *out = tg_soft_round(x, sign, e, sig);
    tg_value *a_inf = is(x, a.mag, TG_SOFT_INF), *b_inf = is(x, b.mag, TG_SOFT_INF);
    tg_value *a_zero = is(x, a.mag, 0), *b_zero = is(x, b.mag, 0);
    tg_value *nan = either(x, tg_soft_is_nan(x, p), tg_soft_is_nan(x, q));
    nan = either(x, nan, either(x, both(x, a_inf, b_inf), both(x, a_zero, b_zero)));
    out = xsel(x, either(x, a_zero, b_inf), sign, out);
    out = xsel(x, either(x, a_inf, b_zero), xbini(x, TG_OP_OR, sign, TG_SOFT_INF), out);
    return xsel(x, nan, u32(x, out, TG_SOFT_NAN), out);
}

/* The root of v, 2^60 <= v < 2^62, rounded down: the device's root to at least ten bits, two steps
 * of Newton's, and the neighbours. */
static tg_value *whole_root(const tg_xp *x, tg_value *v) {
    tg_value *start = xmath(x, TG_MATH_SQRT, xcast(x, v, TG_DT_F32));
    tg_value *r = xcast(x, start, TG_DT_U64), *one = u64(x, v, 1);
    r = xbin(x, TG_OP_MAX, r, u64(x, v, 1 << 29));
    r = xbin(x, TG_OP_MIN, r, u64(x, v, (int64_t)1 << 31));
    for (int i = 0; i < 2; i++) {
        tg_value *sum = xbin(x, TG_OP_ADD, r, xbin(x, TG_OP_DIV, v, r));
        r = xbini(x, TG_OP_SHR, sum, 1);
    }
    for (int i = 0; i < 2; i++) {
        tg_value *high = xcmp(x, TG_CMP_GT, xbin(x, TG_OP_MUL, r, r), v);
        r = xsel(x, high, xbin(x, TG_OP_SUB, r, one), r);
    }
    tg_value *next = xbin(x, TG_OP_ADD, r, one);
    return xsel(x, xcmp(x, TG_CMP_LE, xbin(x, TG_OP_MUL, next, next), v), next, r);
}

tg_value *tg_soft_sqrt(const tg_xp *x, tg_value *p) {
    parts a = parts_of(x, p);
    a.m = normalise(x, a.m, 23, 16, &a.e);
    a.m = xbin(x, TG_OP_MAX, a.m, u64(x, a.m, 1 << 23)); /* 0 is told apart below */
    /* m * 2^(e - 150) = (m << s) * 2^(e - 150 - s), s such that the exponent is even */
    tg_value *odd = xbini(x, TG_OP_AND, a.e, 1), *s = xbin(x, TG_OP_SUB, i32(x, odd, 38), odd);
    tg_value *v = xbin(x, TG_OP_SHL, a.m, xcast(x, s, TG_DT_U64)), *r = whole_root(x, v);
    tg_value *lost = xcmp(x, TG_CMP_NE, xbin(x, TG_OP_MUL, r, r), v);
    tg_value *sig =
        xbin(x, TG_OP_OR, xbini(x, TG_OP_SHL, r, 1), xsel(x, lost, u64(x, r, 1), u64(x, r, 0)));
    tg_value *e = xbin(x, TG_OP_SUB, xbini(x, TG_OP_SUB, a.e, 150), s);
    e = xbini(x, TG_OP_SUB, xbini(x, TG_OP_SHR, e, 1), 1);
    tg_value *out = tg_soft_round(x, u32(x, p, 0), e, sig);
    tg_value *zero = is(x, a.mag, 0), *negative = is(x, a.sign, INT64_C(0x80000000));
    out = xsel(x, is(x, p, TG_SOFT_INF), p, out);
    out = xsel(x, either(x, negative, tg_soft_is_nan(x, p)), u32(x, out, TG_SOFT_NAN), out);
    return xsel(x, zero, p, out);
}
