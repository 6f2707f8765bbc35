/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elementary functions as lane-wise code, f32 and f64. Polynomials are minimax fits (Remez exchange
 * in 45-digit arithmetic, relative error weight, coefficients rounded to the type); the error each
 * adds is noted beside it. Measured bounds are in docs/math.md. No step flushes subnormals, and
 * every function passes NaN on.
 *
 *   exp2   v = n + f, |f| <= 1/2; 2^f by a polynomial with constant term 1; 2^n in two factors, so
 *          that overflow and subnormal results round once
 *   log    v = 2^e m, m in [sqrt 1/2, sqrt 2); log(1 + f) with its leading term kept apart
 */
#include "backends/lower/expand/xp.h"

static bool wide(const tg_value *v) { return v->type->dtype == TG_DT_F64; }
static tg_dtype bits_of(const tg_value *v) { return wide(v) ? TG_DT_U64 : TG_DT_U32; }
static int mantissa_bits(const tg_value *v) { return wide(v) ? 52 : 23; }
/* Adding 1.5 * 2^mantissa_bits rounds to an integer and leaves it in the low bits. */
static double magic(const tg_value *v) { return wide(v) ? 0x1.8p52 : 0x1.8p23; }

static tg_value *clamp(const tg_xp *x, tg_value *v, double lo, double hi) {
    return xbinf(x, TG_OP_MAX, xbinf(x, TG_OP_MIN, v, hi), lo);
}

/* ---- exponentials
 * -------------------------------------------------------------------------------- */

/* (2^f - 1)/f on [-1/2, 1/2]: 2^-26, 2^-23 (fast), 2^-55 */
static const double exp2_f32[] = {0x1.62e43p-1,  0x1.ebfbdcp-3,  0x1.c6aee8p-5,
                                  0x1.3b2d4cp-7, 0x1.5f3e56p-10, 0x1.41fbfcp-13};
static const double exp2_f32_fast[] = {0x1.62e42ap-1, 0x1.ebf9bcp-3, 0x1.c6b752p-5, 0x1.3cea86p-7,
                                       0x1.5bba24p-10};
static const double exp2_f64[] = {
    0x1.62e42fefa39efp-1,  0x1.ebfbdff82c58fp-3,  0x1.c6b08d704a0cfp-5,  0x1.3b2ab6fba4e22p-7,
    0x1.5d87fe78a26cap-10, 0x1.430912f883cefp-13, 0x1.ffcbfc74d5d78p-17, 0x1.62c021e270179p-20,
    0x1.b524dd55c0b70p-24, 0x1.e4d06c6dd4bc2p-28, 0x1.ea014e31fe092p-32, 0x1.c2cea43494cdfp-36};
/* (e^r - 1 - r)/r^2 on [-ln2/2, ln2/2]: 2^-28, 2^-60 */
static const double exp_f32[] = {0x1.fffffcp-2, 0x1.555492p-3, 0x1.5558f2p-5, 0x1.123a0ap-7,
                                 0x1.6a23f8p-10};
static const double exp_f64[] = {0x1p-1,
                                 0x1.555555555555bp-3,
                                 0x1.5555555555503p-5,
                                 0x1.111111110ec4ap-7,
                                 0x1.6c16c16c3056dp-10,
                                 0x1.a01a01b38617ap-13,
                                 0x1.a01a0136619b2p-16,
                                 0x1.71ddf00c815d1p-19,
                                 0x1.27e5b4808615ep-22,
                                 0x1.af6c0c2f8a012p-26,
                                 0x1.1e3d079b53366p-29};

#define LOG2E 0x1.71547652b82fep+0

/* 2^v or e^v as `whole` * 2^n, or as (1 + rest) * 2^n where whole is NULL; the low bits of z hold
 * n.
 */
typedef struct exp_parts {
    tg_value *whole, *rest, *z;
} exp_parts;

/* v = n + f */
static exp_parts split_exp2(const tg_xp *x, tg_value *v, bool fast) {
    double m = magic(v);
    tg_value *z = xbinf(x, TG_OP_ADD, v, m);
    tg_value *f = xbin(x, TG_OP_SUB, v, xbinf(x, TG_OP_SUB, z, m));
    tg_value *q = wide(v) ? tg_xp_poly(x, f, exp2_f64, (int)TG_COUNT_OF(exp2_f64))
                  : fast  ? tg_xp_poly(x, f, exp2_f32_fast, (int)TG_COUNT_OF(exp2_f32_fast))
                          : tg_xp_poly(x, f, exp2_f32, (int)TG_COUNT_OF(exp2_f32));
    return (exp_parts){.whole = xfma(x, q, f, xf(x, v, 1.0)), .z = z};
}

/* v = n ln2 + r */
static exp_parts split_exp(const tg_xp *x, tg_value *v) {
    double m = magic(v);
    tg_value *z = xfma(x, v, xf(x, v, LOG2E), xf(x, v, m));
    tg_value *n = xbinf(x, TG_OP_SUB, z, m);
    double high = wide(v) ? 0x1.62e42fefa39efp-1 : 0x1.62e43p-1;
    double low = wide(v) ? 0x1.abc9e3b39803fp-56 : -0x1.05c61p-29;
    tg_value *r = xfma(x, n, xf(x, v, -high), v);
    r = xfma(x, n, xf(x, v, -low), r);
    tg_value *q = wide(v) ? tg_xp_poly(x, r, exp_f64, (int)TG_COUNT_OF(exp_f64))
                          : tg_xp_poly(x, r, exp_f32, (int)TG_COUNT_OF(exp_f32));
    return (exp_parts){.rest = xfma(x, xbin(x, TG_OP_MUL, r, r), q, r), .z = z};
}

/* n, from z's low bits, in the exponent field. */
static tg_value *exponent_field(const tg_xp *x, tg_value *z) {
    return xbini(x, TG_OP_SHL, xbits(x, z, bits_of(z)), mantissa_bits(z));
}

/* For results in the normal range; a factor of 0 at n = -127 (f64: -1023). */
static tg_value *scale_normal(const tg_xp *x, exp_parts e) {
    int64_t one = wide(e.z) ? INT64_C(1023) << 52 : INT64_C(127) << 23;
    tg_value *factor = xbini(x, TG_OP_ADD, exponent_field(x, e.z), one);
    tg_value *p = e.whole != NULL ? e.whole : xbinf(x, TG_OP_ADD, e.rest, 1.0);
    return xbin(x, TG_OP_MUL, p, xbits(x, factor, p->type->dtype));
}

/*
 * For any n the clamps let through: first 2^(n + 64) for negative v, 2^(n - 64) for positive, exact
 * and normal, then 2^-64 or 2^64, which rounds once (f64: 512). (1 + rest) times a power of two
 * rounds in one fma as the sum alone would. v NULL: none is positive.
 */
static tg_value *scale_any(const tg_xp *x, exp_parts e, tg_value *v) {
    bool w = wide(e.z);
    double two = w ? 0x1p512 : 0x1p64;
    int64_t sum =
        w ? INT64_C(2046) << 52 : INT64_C(254) << 23; /* fields of a power and its inverse */
    tg_value *second = xf(x, e.z, 1 / two);
    if (v != NULL) {
        second = xsel(x, xcmpf(x, TG_CMP_LT, v, 0.0), second, xf(x, e.z, two));
    }
    tg_value *bias =
        xbin(x, TG_OP_SUB, xi(x, e.z, bits_of(e.z), sum), xbits(x, second, bits_of(e.z)));
    tg_value *first = xbits(x, xbin(x, TG_OP_ADD, exponent_field(x, e.z), bias), e.z->type->dtype);
    tg_value *p =
        e.whole != NULL ? xbin(x, TG_OP_MUL, e.whole, first) : xfma(x, e.rest, first, first);
    return xbin(x, TG_OP_MUL, p, second);
}

bool tg_xp_has_ex2(const tg_op *op, const tg_machine *mc) {
    return op->code == TG_OP_MATH && tg_attr_int(op, TG_ATTR_FN, TG_MATH_COUNT) == TG_MATH_EXP2 &&
           tg_attr_int(op, TG_ATTR_FAST, 0) != 0 && op->results[0].type->dtype == TG_DT_F32 &&
           (mc->simt & TG_SIMT_EX2) != 0;
}

tg_value *tg_xp_exp2(const tg_xp *x, tg_value *v, bool fast) {
    if (fast && !wide(v)) { /* results below 2^-126 become 0, above 2^127.5 infinity */
        return scale_normal(x, split_exp2(x, clamp(x, v, -127, 128), true));
    }
    v = wide(v) ? clamp(x, v, -1080, 1030) : clamp(x, v, -152, 130);
    return scale_any(x, split_exp2(x, v, false), v);
}

tg_value *tg_xp_exp(const tg_xp *x, tg_value *v, bool fast) {
    if (fast && !wide(v)) {
        return scale_normal(x, split_exp(x, clamp(x, v, -88.0, 88.7228)));
    }
    v = wide(v) ? clamp(x, v, -750, 715) : clamp(x, v, -106, 90);
    return scale_any(x, split_exp(x, v), v);
}

tg_value *tg_xp_exp_below(const tg_xp *x, tg_value *v, bool base2, bool fast) {
    if (fast && !wide(v)) {
        v = xbinf(x, TG_OP_MAX, v, base2 ? -127.0 : -88.0);
        return scale_normal(x, base2 ? split_exp2(x, v, true) : split_exp(x, v));
    }
    v = xbinf(x, TG_OP_MAX, v, base2 ? (wide(v) ? -1080 : -152) : (wide(v) ? -750 : -106));
    return scale_any(x, base2 ? split_exp2(x, v, false) : split_exp(x, v), NULL);
}

/* e^v for v in [-80, 80]. */
static tg_value *exp_moderate(const tg_xp *x, tg_value *v) {
    return scale_normal(x, split_exp(x, v));
}

/* ---- logarithms
 * ---------------------------------------------------------------------------------- */

/* (log(1+f)/f - 1)/f on [sqrt(1/2)-1, sqrt(2)-1]: 2^-27.5 */
static const double log_f32[] = {-0x1.fffff8p-2, 0x1.55555p-2,   -0x1.000426p-2,
                                 0x1.99a3f2p-3,  -0x1.54276cp-3, 0x1.2271aap-3,
                                 -0x1.0f377cp-3, 0x1.084804p-3,  -0x1.382ec8p-4};
/* log2(1+f)/f - 0x1.715476p0: 2^-26.6 */
static const double log2_f32[] = {0x1.49da98p-26, -0x1.71547p-1,  0x1.ec7096p-2, -0x1.715a76p-2,
                                  0x1.277e36p-2,  -0x1.eabc86p-3, 0x1.a305c6p-3, -0x1.874c04p-3,
                                  0x1.7d488ep-3,  -0x1.c25826p-4};
/* (2 atanh(s)/s - 2)/s^2, s = f/(2+f): 2^-59 */
static const double log_f64[] = {0x1.5555555555593p-1, 0x1.999999997fb41p-2, 0x1.2492494218cf4p-2,
                                 0x1.c71c51e57fb39p-3, 0x1.746646f754c7ep-3, 0x1.39a0d9aac2fcfp-3,
                                 0x1.2f0ee3cd3c035p-3};

/* v = 2^e (1 + f); subnormals are scaled up first. */
static void log_split(const tg_xp *x, tg_value *v, tg_value **out_e, tg_value **out_f) {
    bool w = wide(v);
    tg_dtype u = bits_of(v), s = w ? TG_DT_I64 : TG_DT_I32;
    double up = w ? 0x1p54 : 0x1p25;
    tg_value *tiny = xcmpf(x, TG_CMP_LT, v, w ? 0x1p-1022 : 0x1p-126);
    tg_value *scaled = xsel(x, tiny, xbinf(x, TG_OP_MUL, v, up), v);
    tg_value *less = xsel(x, tiny, xf(x, v, w ? 54 : 25), xf(x, v, 0));
    int64_t root = w ? INT64_C(0x3FE6A09E667F3BCD) : 0x3F3504F3; /* sqrt(1/2) */
    tg_value *bits = xbits(x, scaled, s);
    tg_value *e = xbini(x, TG_OP_SHR, xbini(x, TG_OP_SUB, bits, root), mantissa_bits(v));
    tg_value *m = xbin(x, TG_OP_SUB, xbits(x, bits, u),
                       xbini(x, TG_OP_SHL, xbits(x, e, u), mantissa_bits(v)));
    *out_f = xbinf(x, TG_OP_SUB, xbits(x, m, v->type->dtype), 1.0);
    *out_e = xbin(x, TG_OP_SUB, xcast(x, w ? xcast(x, e, TG_DT_I32) : e, v->type->dtype), less);
}

/* log(1+f) - f for f64, by atanh. */
static tg_value *log1p_rest(const tg_xp *x, tg_value *f) {
    tg_value *s = xbin(x, TG_OP_DIV, f, xbinf(x, TG_OP_ADD, f, 2.0));
    tg_value *s2 = xbin(x, TG_OP_MUL, s, s);
    tg_value *r = xbin(x, TG_OP_MUL, s2, tg_xp_poly(x, s2, log_f64, (int)TG_COUNT_OF(log_f64)));
    tg_value *half = xbinf(x, TG_OP_MUL, xbin(x, TG_OP_MUL, f, f), 0.5);
    tg_value *t = xbin(x, TG_OP_MUL, s, xbin(x, TG_OP_ADD, half, r));
    return xbin(x, TG_OP_SUB, t, half);
}

/* The small part is added first, so the sum rounds like its largest term alone. */
static tg_value *log_sum(const tg_xp *x, tg_value *e, tg_value *f, bool base2) {
    if (base2) {
        tg_value *low = NULL, *high = NULL;
        if (wide(f)) {
            high = xf(x, f, LOG2E);
            low = xfma(x, f, xf(x, f, 0x1.777d0ffda0d24p-56),
                       xbin(x, TG_OP_MUL, log1p_rest(x, f), high));
        } else {
            high = xf(x, f, 0x1.715476p+0);
            low = xbin(x, TG_OP_MUL, f, tg_xp_poly(x, f, log2_f32, (int)TG_COUNT_OF(log2_f32)));
        }
        return xbin(x, TG_OP_ADD, e, xfma(x, f, high, low));
    }
    double high = wide(f) ? 0x1.62e42feep-1 : 0x1.62e43p-1;
    double low = wide(f) ? 0x1.a39ef35793c76p-33 : -0x1.05c61p-29;
    tg_value *rest;
    if (wide(f)) {
        rest = log1p_rest(x, f);
    } else {
        tg_value *q = tg_xp_poly(x, f, log_f32, (int)TG_COUNT_OF(log_f32));
        rest = xbin(x, TG_OP_MUL, xbin(x, TG_OP_MUL, f, f), q);
    }
    rest = xfma(x, e, xf(x, f, low), rest);
    return xfma(x, e, xf(x, f, high), xbin(x, TG_OP_ADD, f, rest));
}

tg_value *tg_xp_log(const tg_xp *x, tg_value *v, bool base2) {
    double inf = (double)__builtin_inff();
    tg_value *e, *f;
    log_split(x, v, &e, &f);
    tg_value *r = log_sum(x, e, f, base2);
    tg_value *bad =
        xsel(x, xcmpf(x, TG_CMP_EQ, v, 0.0), xf(x, v, -inf), xf(x, v, (double)__builtin_nanf("")));
    r = xsel(x, xcmpf(x, TG_CMP_GT, v, 0.0), r, bad);
    return xsel(x, xcmpf(x, TG_CMP_EQ, v, inf), v, r);
}

/* ---- the rest
 * ------------------------------------------------------------------------------------ */

/* Correctly rounded square root and division: exact at even powers of two. */
tg_value *tg_xp_rsqrt(const tg_xp *x, tg_value *v) {
    return xbin(x, TG_OP_DIV, xf(x, v, 1.0), xmath(x, TG_MATH_SQRT, v));
}

/* (tanh(v)/v - 1)/v^2 for |v| <= 0.6: 2^-27.6, 2^-56.8 */
static const double tanh_f32[] = {-0x1.55553ep-2, 0x1.1109aep-3, -0x1.b898ep-5, 0x1.54b8a6p-6,
                                  -0x1.82585cp-8};
static const double tanh_f64[] = {
    -0x1.5555555555555p-2,  0x1.11111111110f8p-3,  -0x1.ba1ba1ba19b3cp-5,  0x1.664f48822ac61p-6,
    -0x1.226e3543688d6p-7,  0x1.d6d3ca9fd699dp-9,  -0x1.7da2e6a461d8ep-10, 0x1.3551421806306p-11,
    -0x1.f4f4c74000815p-13, 0x1.92bc7acb6a085p-14, -0x1.36fef6360e76ep-15, 0x1.9a5421e30e5c5p-17,
    -0x1.49d816f76e2e0p-19};

/* Odd polynomial near 0, 1 - 2/(e^2|v| + 1) beyond. */
tg_value *tg_xp_tanh(const tg_xp *x, tg_value *v) {
    tg_value *a = xabs(x, v), *u = xbin(x, TG_OP_MUL, v, v);
    tg_value *q = wide(v) ? tg_xp_poly(x, u, tanh_f64, (int)TG_COUNT_OF(tanh_f64))
                          : tg_xp_poly(x, u, tanh_f32, (int)TG_COUNT_OF(tanh_f32));
    tg_value *small = xfma(x, xbin(x, TG_OP_MUL, u, a), q, a);
    tg_value *e =
        exp_moderate(x, xbinf(x, TG_OP_MUL, xbinf(x, TG_OP_MIN, a, wide(v) ? 20 : 10), 2.0));
    tg_value *d = xbin(x, TG_OP_DIV, xf(x, v, 2.0), xbinf(x, TG_OP_ADD, e, 1.0));
    tg_value *large = xbin(x, TG_OP_SUB, xf(x, v, 1.0), d);
    return tg_xp_copysign(x, xsel(x, xcmpf(x, TG_CMP_LT, a, 0.6), small, large), v);
}

/* e = exp(-|v|): e/(1+e) left of 0, 1/(1+e) right of it. */
tg_value *tg_xp_sigmoid(const tg_xp *x, tg_value *v) {
    tg_value *e = tg_xp_exp_below(x, tg_build_unary(x->b, TG_OP_NEG, xabs(x, v)), false, false);
    tg_value *top = xsel(x, xcmpf(x, TG_CMP_LT, v, 0.0), e, xf(x, v, 1.0));
    return xbin(x, TG_OP_DIV, top, xbinf(x, TG_OP_ADD, e, 1.0));
}

/* erf(v)/v - 1 for |v| <= 0.93 (f64: 1): 2^-25 of the result, 2^-56 */
static const double erf_f32[] = {0x1.06eba6p-3,  -0x1.8126dcp-2, 0x1.ce1904p-4,
                                 -0x1.b676cap-6, 0x1.46c23p-8,   -0x1.3825bp-11};
static const double erf_f64[] = {
    0x1.06eba8214db69p-3,  -0x1.812746b0379e7p-2,  0x1.ce2f21a042be2p-4,  -0x1.b82ce31288b47p-6,
    0x1.565bcd0e6a2c8p-8,  -0x1.c02db40035578p-11, 0x1.f9a326f7935e5p-14, -0x1.f4d25bf6effecp-17,
    0x1.b9e6c358842c7p-20, -0x1.5f73c0d7609d9p-23, 0x1.fcbaf8de742d0p-27, -0x1.517b699c6e904p-30,
    0x1.9a031082419cbp-34, -0x1.b3cd45affa3b0p-38, 0x1.3b6ce28e20518p-42};
/* (log(erfc t) + t)/t on [0.9, 4]: 2^-28.5 of erf */
static const double erfc_f32[] = {-0x1.0772dep-3, -0x1.4538bp-1,  -0x1.b2d3b2p-4, 0x1.8435bep-6,
                                  -0x1.d93524p-9, 0x1.4a2374p-12, -0x1.5e086ep-17};
/* log(erfc(u + 1.625)) on [-0.625, 0.625] and log(erfc(u + 4.125)) on [-1.875, 1.875]: 2^-54.7 of
 * erf. Two pieces keep |u| small where erfc still matters to the last place. */
static const double erfc_f64_mid[] = {
    -0x1.eb25b8ff49e4ep+1,  -0x1.ddd712490863bp+1,  -0x1.cdb6c474ce4f6p-1,  -0x1.78fa9a8b5352ep-6,
    0x1.59606b9886bdcp-8,   -0x1.211a66f863eedp-10, 0x1.99f9236467883p-13,  -0x1.920becdf0ff7fp-16,
    -0x1.0aa343177de29p-21, 0x1.92b0463dc8697p-20,  -0x1.39072393bab14p-21, 0x1.48166a909cc96p-23,
    -0x1.bdb31150a10e1p-26, -0x1.37ae9219bf46ep-32};
static const double erfc_f64_far[] = {
    -0x1.30854b8fc46f5p+4, -0x1.0f5b6f293d98ep+3,  -0x1.f31ad80e6b9cep-1, -0x1.ccd2796cf9dffp-9,
    0x1.1506f4fdbb296p-11, -0x1.53f9424738048p-14, 0x1.a555b7816f8cdp-17, -0x1.b72efaba96aa0p-20,
    0x1.cb7e1dc5037e4p-22, 0x1.075e9274e296cp-25,  0x1.604c017c2507dp-26, 0x1.f34a2a96c9ef3p-31};

static tg_value *log_erfc(const tg_xp *x, tg_value *a) {
    if (wide(a)) {
        tg_value *t = xbinf(x, TG_OP_MIN, a, 6.0);
        tg_value *mid = tg_xp_poly(x, xbinf(x, TG_OP_SUB, t, 1.625), erfc_f64_mid,
                                   (int)TG_COUNT_OF(erfc_f64_mid));
        tg_value *far = tg_xp_poly(x, xbinf(x, TG_OP_SUB, t, 4.125), erfc_f64_far,
                                   (int)TG_COUNT_OF(erfc_f64_far));
        return xsel(x, xcmpf(x, TG_CMP_LT, t, 2.25), mid, far);
    }
    tg_value *t = xbinf(x, TG_OP_MIN, a, 4.0);
    tg_value *q = tg_xp_poly(x, t, erfc_f32, (int)TG_COUNT_OF(erfc_f32));
    return xbin(x, TG_OP_SUB, xbin(x, TG_OP_MUL, t, q), t);
}

/* v + v P(v^2) near 0, 1 - exp(log erfc |v|) beyond. */
tg_value *tg_xp_erf(const tg_xp *x, tg_value *v) {
    tg_value *a = xabs(x, v), *u = xbin(x, TG_OP_MUL, v, v);
    tg_value *q = wide(v) ? tg_xp_poly(x, u, erf_f64, (int)TG_COUNT_OF(erf_f64))
                          : tg_xp_poly(x, u, erf_f32, (int)TG_COUNT_OF(erf_f32));
    tg_value *small = xfma(x, a, q, a);
    tg_value *large = xbin(x, TG_OP_SUB, xf(x, v, 1.0), exp_moderate(x, log_erfc(x, a)));
    tg_value *near = xcmpf(x, TG_CMP_LT, a, wide(v) ? 1.0 : 0.925);
    return tg_xp_copysign(x, xsel(x, near, small, large), v);
}

tg_value *tg_xp_math(const tg_xp *x, tg_math_fn fn, tg_value *v, bool fast) {
    switch (fn) {
    case TG_MATH_EXP2:
        return tg_xp_exp2(x, v, fast);
    case TG_MATH_EXP:
        return tg_xp_exp(x, v, fast);
    case TG_MATH_LOG:
        return tg_xp_log(x, v, false);
    case TG_MATH_LOG2:
        return tg_xp_log(x, v, true);
    case TG_MATH_RSQRT:
        return tg_xp_rsqrt(x, v);
    case TG_MATH_SIN:
        return tg_xp_sincos(x, v, false);
    case TG_MATH_COS:
        return tg_xp_sincos(x, v, true);
    case TG_MATH_TANH:
        return tg_xp_tanh(x, v);
    case TG_MATH_SIGMOID:
        return tg_xp_sigmoid(x, v);
    case TG_MATH_ERF:
        return tg_xp_erf(x, v);
    case TG_MATH_SQRT:
    case TG_MATH_FLOOR:
    case TG_MATH_CEIL:
    case TG_MATH_ROUND:
    case TG_MATH_COUNT:
        break;
    }
    return xmath(x, fn, v);
}
