/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Float remainder (fmod), exact. Both operands become a 53-bit integer times a power of two; long
 * division then runs one quotient bit a trip, as many trips as the exponents differ, in all lanes
 * that still need it. f32 goes through f64, which holds every f32 as a normal number.
 */
#include "backends/lower/expand/xp.h"

typedef struct parts {
    tg_value *mantissa, *exponent; /* u64 below 2^53, i64 biased (may be negative for subnormals) */
} parts;

/* Magnitude of a finite non-zero f64, normalised: mantissa has bit 52. */
static parts split(const tg_xp *x, tg_value *v) {
    tg_value *tiny = xcmpf(x, TG_CMP_LT, v, 0x1p-1022);
    tg_value *scaled = xsel(x, tiny, xbinf(x, TG_OP_MUL, v, 0x1p54), v);
    tg_value *bits = xbits(x, scaled, TG_DT_U64);
    tg_value *e = xbits(x, xbini(x, TG_OP_SHR, bits, 52), TG_DT_I64);
    tg_value *less = xsel(x, tiny, xi(x, e, TG_DT_I64, 54), xi(x, e, TG_DT_I64, 0));
    tg_value *m = xbini(x, TG_OP_AND, bits, (INT64_C(1) << 52) - 1);
    return (parts){xbini(x, TG_OP_OR, m, INT64_C(1) << 52), xbin(x, TG_OP_SUB, e, less)};
}

static tg_value *any_lane(const tg_xp *x, tg_value *c) {
    return c->type->kind == TG_TY_VEC ? tg_build_reducev(x->b, TG_RED_ANY, c) : c;
}

/* while (any n > 0) { r = (r >= d ? r - d : r) << 1; n--; } lanes with n <= 0 stand still. */
static tg_value *divide(const tg_xp *x, tg_value *r, tg_value *d, tg_value *n) {
    tg_builder *b = x->b;
    tg_value *init[2] = {r, n};
    const tg_type *types[2] = {r->type, n->type};
    tg_op *loop = tg_build_op(b, TG_OP_WHILE, 2, init, 2, types, 2);
    tg_op_set_int(loop, TG_ATTR_MAX, 4096);
    tg_value *in[2], *out[3];
    for (int side = 0; side < 2; side++) {
        if (!loop->regions[side]) {
            loop->regions[side] = tg_region_make(b->func, loop);
        }
        in[0] = tg_region_add_arg(loop->regions[side], types[0], NULL);
        in[1] = tg_region_add_arg(loop->regions[side], types[1], NULL);
        tg_builder inner = tg_builder_at_end(loop->regions[side]);
        inner.span = b->span;
        tg_xp y = {&inner, x->mc};
        tg_value *more = xcmpi(&y, TG_CMP_GT, in[1], 0);
        if (side == 0) {
            out[0] = any_lane(&y, more);
            out[1] = in[0];
            out[2] = in[1];
            tg_build_op(&inner, TG_OP_YIELD, 3, out, 0, NULL, 0);
        } else {
            tg_value *sub =
                xsel(&y, xcmp(&y, TG_CMP_GE, in[0], d), xbin(&y, TG_OP_SUB, in[0], d), in[0]);
            out[0] = xsel(&y, more, xbini(&y, TG_OP_SHL, sub, 1), in[0]);
            out[1] = xsel(&y, more, xbini(&y, TG_OP_SUB, in[1], 1), in[1]);
            tg_build_op(&inner, TG_OP_YIELD, 2, out, 0, NULL, 0);
        }
    }
    tg_value *last = &loop->results[0];
    return xsel(x, xcmp(x, TG_CMP_GE, last, d), xbin(x, TG_OP_SUB, last, d), last);
}

/* 2^p as f64 for p in the normal range. */
static tg_value *power(const tg_xp *x, tg_value *p) {
    tg_value *biased = xbini(x, TG_OP_ADD, p, 1023);
    return xbits(x, xbini(x, TG_OP_SHL, biased, 52), TG_DT_F64);
}

/* m * 2^(e - 1075) in two exact steps. */
static tg_value *join(const tg_xp *x, tg_value *m, tg_value *e) {
    tg_value *p = xbini(x, TG_OP_SUB, e, 1075);
    tg_value *half = xbini(x, TG_OP_SHR, p, 1);
    tg_value *v = xcast(x, xbits(x, m, TG_DT_I64), TG_DT_F64);
    v = xbin(x, TG_OP_MUL, v, power(x, half));
    return xbin(x, TG_OP_MUL, v, power(x, xbin(x, TG_OP_SUB, p, half)));
}

static tg_value *fmod64(const tg_xp *x, tg_value *p, tg_value *q) {
    tg_value *ap = xabs(x, p), *aq = xabs(x, q);
    tg_value *inf = xf(x, p, (double)__builtin_inff()), *one = xf(x, p, 1.0);
    /* p finite, q not 0, neither NaN: otherwise NaN; q infinite or |p| < |q|: p */
    tg_value *fine = xbin(x, TG_OP_AND, xcmp(x, TG_CMP_LT, ap, inf), xcmpf(x, TG_CMP_GT, aq, 0.0));
    tg_value *work = xbin(x, TG_OP_AND, fine, xcmp(x, TG_CMP_GE, ap, aq));
    parts sp = split(x, xsel(x, work, ap, one)), sq = split(x, xsel(x, work, aq, one));
    tg_value *n = xbin(x, TG_OP_SUB, sp.exponent, sq.exponent);
    tg_value *m = divide(x, sp.mantissa, sq.mantissa, n);
    tg_value *r = tg_xp_copysign(x, join(x, m, sq.exponent), p);
    r = xsel(x, work, r, p);
    return xsel(x, fine, r, xf(x, p, (double)__builtin_nanf("")));
}

tg_value *tg_xp_fmod(const tg_xp *x, tg_value *p, tg_value *q) {
    if (p->type->dtype == TG_DT_F64) {
        return fmod64(x, p, q);
    }
    return xcast(x, fmod64(x, xcast(x, p, TG_DT_F64), xcast(x, q, TG_DT_F64)), TG_DT_F32);
}
