/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sin and cos over the whole range of f32 and f64. The argument becomes r in [-pi/4, pi/4] and a
 * quadrant:
 *
 *   moderate   n = rint(v 2/pi); r = v - n pi/2 with pi/2 in parts whose products are exact
 *   large      Payne and Hanek: v's mantissa times a window of the bits of 2/pi, as integers modulo
 *              four quadrants; a branch taken only when some lane needs it
 *
 * f32 reduces in f64; both keep r as a sum of two numbers of their own type.
 */
#include "backends/lower/expand/xp.h"

/* 2/pi, 64 bits a word, the first word's top bit weighs 1/2. A leading zero word keeps offsets >=
 * 0. */
static const uint64_t two_over_pi[] = {0,
                                       0xA2F9836E4E441529,
                                       0xFC2757D1F534DDC0,
                                       0xDB6295993C439041,
                                       0xFE5163ABDEBBC561,
                                       0xB7246E3A424DD2E0,
                                       0x06492EEA09D1921C,
                                       0xFE1DEB1CB129A73E,
                                       0xE88235F52EBB4484,
                                       0xE99C7026B45F7E41,
                                       0x3991D639835339F4,
                                       0x9C845F8BBDF9283B,
                                       0x1FF897FFDE05980F,
                                       0xEF2F118B5A0A6D1F,
                                       0x6D367ECF27CB09B7,
                                       0x4F463F669E5FEA2D,
                                       0x7527BAC7EBE5F17B,
                                       0x3D0739F78A5292EA,
                                       0x6BFB5FB11F8D5D08,
                                       0x56033046FC7B6BAB,
                                       0xF0CFBC209AF4361D};

#define PIO2 0x1.921fb54442d18p+0
#define PIO2_LOW 0x1.1a62633145c07p-54
#define TWO_OVER_PI 0x1.45f306dc9c883p-1

/* v = (high + low) + quadrant * pi/2; quadrant u64 (low two bits count). */
typedef struct reduced {
    tg_value *high, *low, *quadrant;
} reduced;

/* ---- large arguments
 * ------------------------------------------------------------------------------ */

/*
 * out[i] = word number index + i of the table, for index below n. A few words are chosen by
 * selects; more are put on the stack and gathered (this is the rare branch).
 */
static void table_words(const tg_xp *x, tg_value *index, int n, tg_value *out[4]) {
    tg_builder *b = x->b;
    const tg_type *word = tg_type_scalar(b->module, TG_DT_U64), *ptr = tg_type_ptr(b->module);
    tg_op *room = NULL;
    if (n > 4) {
        room = tg_build_op(b, TG_OP_ALLOCA, 0, NULL, 1, &ptr, 0);
        tg_op_set_int(room, TG_ATTR_BYTES, (n + 3) * 8);
        for (int i = 0; i < n + 3; i++) {
            tg_value *at = tg_build_gep(b, &room->results[0], tg_build_index(b, i), 8);
            tg_build_storem(b, at, tg_build_int(b, word, (int64_t)two_over_pi[i]), 0);
        }
    }
    for (int k = 0; k < 4; k++) {
        tg_value *r = xi(x, index, TG_DT_U64, (int64_t)two_over_pi[k]);
        for (int i = 1; i < n && !room; i++) {
            tg_value *w = xi(x, index, TG_DT_U64, (int64_t)two_over_pi[i + k]);
            r = xsel(x, xcmpi(x, TG_CMP_EQ, index, i), w, r);
        }
        out[k] = r;
        if (room) {
            tg_value *ops[3] = {tg_build_gep(b, &room->results[0], tg_build_index(b, k), 8),
                                xbits(x, index, TG_DT_I64), r};
            tg_op *g = tg_build_op(b, TG_OP_GATHERM, 3, ops, 1, &index->type, 0);
            tg_op_set_int(g, TG_ATTR_BYTES, 8);
            out[k] = &g->results[0];
        }
    }
}

/* 64 bits from bit s (below 64) of the pair first:second. */
static tg_value *funnel(const tg_xp *x, tg_value *first, tg_value *second, tg_value *s) {
    tg_value *back = xbin(x, TG_OP_SUB, xi(x, s, TG_DT_U64, 63), s);
    tg_value *rest = xbin(x, TG_OP_SHR, xbini(x, TG_OP_SHR, second, 1), back);
    return xbin(x, TG_OP_OR, xbin(x, TG_OP_SHL, first, s), rest);
}

static tg_value *low32(const tg_xp *x, tg_value *v) { return xbini(x, TG_OP_AND, v, 0xFFFFFFFF); }
static tg_value *high32(const tg_xp *x, tg_value *v) { return xbini(x, TG_OP_SHR, v, 32); }

/* High 64 bits of the 128-bit product. */
static tg_value *mul_high(const tg_xp *x, tg_value *p, tg_value *q) {
    tg_value *pl = low32(x, p), *ph = high32(x, p), *ql = low32(x, q), *qh = high32(x, q);
    tg_value *mid =
        xbin(x, TG_OP_ADD, xbin(x, TG_OP_MUL, ph, ql), high32(x, xbin(x, TG_OP_MUL, pl, ql)));
    tg_value *mid2 = xbin(x, TG_OP_ADD, xbin(x, TG_OP_MUL, pl, qh), low32(x, mid));
    tg_value *top = xbin(x, TG_OP_ADD, xbin(x, TG_OP_MUL, ph, qh), high32(x, mid));
    return xbin(x, TG_OP_ADD, top, high32(x, mid2));
}

/* Mantissa of |v| (f64), and the window's word index and bit shift. The window starts two bits
 * above the binary point of v * 2/pi / 4. */
static void window_of(const tg_xp *x, tg_value *v, tg_value **m, tg_value **index, tg_value **s) {
    tg_value *bits = xbini(x, TG_OP_AND, xbits(x, v, TG_DT_U64), INT64_MAX);
    tg_value *e = xbini(x, TG_OP_SHR, bits, 52);
    *m = xbini(x, TG_OP_OR, xbini(x, TG_OP_AND, bits, (INT64_C(1) << 52) - 1), INT64_C(1) << 52);
    tg_value *at = xbini(x, TG_OP_SUB, e, 1075 + 2 - 64);
    *index = xbini(x, TG_OP_SHR, at, 6);
    *s = xbini(x, TG_OP_AND, at, 63);
}

/* The 128-bit fraction of four quadrants, high:low, of |v| * 2/pi. */
static void turn_fraction(const tg_xp *x, tg_value *v, int n_words, tg_value **high,
                          tg_value **low) {
    tg_value *m, *index, *s;
    window_of(x, v, &m, &index, &s);
    tg_value *w[4], *h[3];
    table_words(x, index, n_words, w);
    for (int i = 0; i < 3; i++) {
        h[i] = funnel(x, w[i], w[i + 1], s);
    }
    tg_value *mid = xbin(x, TG_OP_MUL, m, h[1]);
    *low = xbin(x, TG_OP_ADD, mid, mul_high(x, m, h[2]));
    tg_value *carry = xcast(x, xcmp(x, TG_CMP_LT, *low, mid), TG_DT_U64);
    *high = xbin(x, TG_OP_ADD,
                 xbin(x, TG_OP_ADD, xbin(x, TG_OP_MUL, m, h[0]), mul_high(x, m, h[1])), carry);
}

/* bits (as signed when asked) times 2^e, exactly: at most 52 significant bits. */
static tg_value *scaled(const tg_xp *x, tg_value *bits, double factor) {
    return xbinf(x, TG_OP_MUL, xcast(x, xbits(x, bits, TG_DT_I64), TG_DT_F64), factor);
}

static reduced reduce_large(const tg_xp *x, tg_value *v, int n_words) {
    tg_value *high, *low;
    turn_fraction(x, v, n_words, &high, &low);
    tg_value *q = xbini(x, TG_OP_SHR, xbini(x, TG_OP_ADD, high, INT64_C(1) << 61), 62);
    high = xbin(x, TG_OP_SUB, high, xbini(x, TG_OP_SHL, q, 62)); /* signed fraction of a quadrant */
    tg_value *top = xbini(x, TG_OP_SHR, xbits(x, high, TG_DT_I64), 20);
    tg_value *mid = xbin(x, TG_OP_OR, xbini(x, TG_OP_SHL, xbini(x, TG_OP_AND, high, 0xFFFFF), 32),
                         high32(x, low));
    tg_value *a = scaled(x, top, 0x1p-42), *b = scaled(x, mid, 0x1p-94);
    tg_value *c = scaled(x, low32(x, low), 0x1p-126);
    tg_value *s = xbin(x, TG_OP_ADD, a, b);
    tg_value *rest = xbin(x, TG_OP_ADD, xbin(x, TG_OP_SUB, b, xbin(x, TG_OP_SUB, s, a)), c);
    tg_value *sum = xbin(x, TG_OP_ADD, s, rest);
    rest = xbin(x, TG_OP_SUB, rest, xbin(x, TG_OP_SUB, sum, s));
    tg_value *pio2 = xf(x, v, PIO2);
    tg_value *r = xbin(x, TG_OP_MUL, sum, pio2);
    tg_value *tail = xfma(x, sum, pio2, tg_build_unary(x->b, TG_OP_NEG, r));
    tail = xfma(x, sum, xf(x, v, PIO2_LOW), tail);
    tail = xfma(x, rest, pio2, tail);
    /* |v| was reduced: mirror for negative v */
    tg_value *negative = xcmpf(x, TG_CMP_LT, v, 0.0);
    tg_value *minus_q = xbin(x, TG_OP_SUB, xi(x, q, TG_DT_U64, 0), q);
    return (reduced){xsel(x, negative, tg_build_unary(x->b, TG_OP_NEG, r), r),
                     xsel(x, negative, tg_build_unary(x->b, TG_OP_NEG, tail), tail),
                     xsel(x, negative, minus_q, q)};
}

/* ---- reduction
 * ------------------------------------------------------------------------------------ */

static tg_value *nearest_quadrant(const tg_xp *x, tg_value *v, tg_value **out_quadrant) {
    tg_value *z = xfma(x, v, xf(x, v, TWO_OVER_PI), xf(x, v, 0x1.8p52));
    *out_quadrant = xbits(x, z, TG_DT_U64);
    return xbinf(x, TG_OP_SUB, z, 0x1.8p52);
}

/* |v| < 2^28, v holding an f32: two parts leave an error of 2^-53 of r. */
static reduced reduce_f32(const tg_xp *x, tg_value *v) {
    reduced r = {0};
    tg_value *n = nearest_quadrant(x, v, &r.quadrant);
    r.high = xfma(x, n, xf(x, v, -PIO2), v);
    r.high = xfma(x, n, xf(x, v, -PIO2_LOW), r.high);
    r.low = xf(x, v, 0.0);
    return r;
}

/* |v| < 2^20: parts of 33 bits, so that n times each is exact; the last in f64. */
static reduced reduce_f64(const tg_xp *x, tg_value *v) {
    reduced r = {0};
    tg_value *n = nearest_quadrant(x, v, &r.quadrant);
    tg_value *d = xfma(x, n, xf(x, v, -0x1.921fb544p+0), v);
    tg_value *w = xbinf(x, TG_OP_MUL, n, 0x1.0b4611a6p-34);
    tg_value *h = xbin(x, TG_OP_SUB, d, w);
    /* what the subtraction lost, by the two-sum that needs no order */
    tg_value *dd = xbin(x, TG_OP_ADD, h, w);
    tg_value *ww = xbin(x, TG_OP_SUB, dd, h);
    tg_value *lost = xbin(x, TG_OP_ADD, xbin(x, TG_OP_SUB, d, dd), xbin(x, TG_OP_SUB, ww, w));
    tg_value *low = xfma(x, n, xf(x, v, -0x1.3198a2e037073p-69), lost);
    r.high = xbin(x, TG_OP_ADD, h, low);
    r.low = xbin(x, TG_OP_SUB, low, xbin(x, TG_OP_SUB, r.high, h));
    return r;
}

static tg_value *any_lane(const tg_xp *x, tg_value *c) {
    return c->type->kind == TG_TY_VEC ? tg_build_reducev(x->b, TG_RED_ANY, c) : c;
}

/* r, with the lanes where |v| >= limit replaced by the large reduction. */
static reduced with_large(const tg_xp *x, reduced r, tg_value *v, double limit, int n_words) {
    tg_value *big = xcmpf(x, TG_CMP_GE, xabs(x, v), limit);
    const tg_type *types[3] = {r.high->type, r.low->type, r.quadrant->type};
    tg_op *op = tg_build_if(x->b, any_lane(x, big), 3, types);
    tg_value *safe = xsel(x, big, v, xf(x, v, limit));
    reduced l = reduce_large(x, safe, n_words);
    tg_value *then[3] = {xsel(x, big, l.high, r.high), xsel(x, big, l.low, r.low),
                         xsel(x, big, l.quadrant, r.quadrant)};
    tg_build_else(x->b, op, 3, then);
    tg_value *keep[3] = {r.high, r.low, r.quadrant};
    tg_build_end_if(x->b, op, 3, keep);
    return (reduced){&op->results[0], &op->results[1], &op->results[2]};
}

/* ---- polynomials
 * ---------------------------------------------------------------------------------- */

/* (sin r/r - 1)/r^2 and (cos r - 1 + r^2/2)/r^4 on [-pi/4, pi/4]: 2^-26.8, 2^-32.8, 2^-56.4,
 * 2^-59.6 */
static const double sin_f32[] = {-0x1.555546p-3, 0x1.11072ep-7, -0x1.993f6cp-13};
static const double cos_f32[] = {0x1.55554ap-5, -0x1.6c0c26p-10, 0x1.99e792p-16};
static const double sin_f64[] = {-0x1.5555555555548p-3,  0x1.111111110f7c8p-7,
                                 -0x1.a01a019bfcda1p-13, 0x1.71de3566dae72p-19,
                                 -0x1.ae5e59c94b1b8p-26, 0x1.5d8f960fb31ecp-33};
static const double cos_f64[] = {0x1.555555555554bp-5,  -0x1.6c16c16c14f88p-10,
                                 0x1.a01a019c8365dp-16, -0x1.27e4f7ea17649p-22,
                                 0x1.1ee9d73c0394ep-29, -0x1.8fa459e93efdep-37};

/* sin(r + low) = r + (low (1 - r^2/2) + r^3 p) */
static tg_value *kernel_sin(const tg_xp *x, tg_value *r, tg_value *low) {
    bool wide = r->type->dtype == TG_DT_F64;
    tg_value *u = xbin(x, TG_OP_MUL, r, r), *cube = xbin(x, TG_OP_MUL, u, r);
    tg_value *p = wide ? tg_xp_poly(x, u, sin_f64, (int)TG_COUNT_OF(sin_f64))
                       : tg_xp_poly(x, u, sin_f32, (int)TG_COUNT_OF(sin_f32));
    tg_value *c = xfma(x, u, xf(x, u, -0.5), xf(x, u, 1.0));
    return xbin(x, TG_OP_ADD, r, xfma(x, cube, p, xbin(x, TG_OP_MUL, low, c)));
}

/* cos(r + low) = (1 - r^2/2) + (what that lost + r^4 p - r low) */
static tg_value *kernel_cos(const tg_xp *x, tg_value *r, tg_value *low) {
    bool wide = r->type->dtype == TG_DT_F64;
    tg_value *u = xbin(x, TG_OP_MUL, r, r), *u2 = xbin(x, TG_OP_MUL, u, u);
    tg_value *half = xbinf(x, TG_OP_MUL, u, 0.5), *one = xf(x, u, 1.0);
    tg_value *w = xbin(x, TG_OP_SUB, one, half);
    tg_value *lost = xbin(x, TG_OP_SUB, xbin(x, TG_OP_SUB, one, w), half);
    tg_value *p = wide ? tg_xp_poly(x, u, cos_f64, (int)TG_COUNT_OF(cos_f64))
                       : tg_xp_poly(x, u, cos_f32, (int)TG_COUNT_OF(cos_f32));
    tg_value *rest = xfma(x, u2, p, lost);
    rest = xfma(x, tg_build_unary(x->b, TG_OP_NEG, r), low, rest);
    return xbin(x, TG_OP_ADD, w, rest);
}

/* The reduced argument in the result's type, as a sum of two. */
static void narrow(const tg_xp *x, reduced *r) {
    tg_value *high = xcast(x, r->high, TG_DT_F32);
    tg_value *rest = xbin(x, TG_OP_SUB, r->high, xcast(x, high, TG_DT_F64));
    r->low = xcast(x, rest, TG_DT_F32);
    r->high = high;
    r->quadrant = xcast(x, r->quadrant, TG_DT_U32);
}

tg_value *tg_xp_sincos(const tg_xp *x, tg_value *v, bool cosine) {
    bool w = v->type->dtype == TG_DT_F64;
    tg_dtype u = w ? TG_DT_U64 : TG_DT_U32;
    tg_value *d = w ? v : xcast(x, v, TG_DT_F64);
    /* 2/pi words within reach: f32's exponents end at 2^104 ulp, f64's at 2^971 */
    reduced r = w ? with_large(x, reduce_f64(x, d), d, 0x1p20, 17)
                  : with_large(x, reduce_f32(x, d), d, 0x1p28, 3);
    if (!w) {
        narrow(x, &r);
    }
    tg_value *q = r.quadrant;
    q = cosine ? xbini(x, TG_OP_ADD, q, 1) : q;
    tg_value *s = kernel_sin(x, r.high, r.low), *c = kernel_cos(x, r.high, r.low);
    tg_value *odd = xcmpi(x, TG_CMP_NE, xbini(x, TG_OP_AND, q, 1), 0);
    tg_value *y = xbits(x, xsel(x, odd, c, s), u);
    tg_value *flip =
        xbini(x, TG_OP_SHL, xbini(x, TG_OP_AND, xbini(x, TG_OP_SHR, q, 1), 1), w ? 63 : 31);
    y = xbits(x, xbin(x, TG_OP_XOR, y, flip), v->type->dtype);
    if (!cosine) { /* keeps -0 */
        y = xsel(x, xcmpf(x, TG_CMP_EQ, v, 0.0), v, y);
    }
    tg_value *finite = xcmpf(x, TG_CMP_LT, xabs(x, v), (double)__builtin_inff());
    return xsel(x, finite, y, xf(x, v, (double)__builtin_nanf("")));
}
