/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the expansions: short names for building lane-wise code. Every helper works on scalars
 * and vectors alike; `like` lends its shape to constants.
 */
#ifndef TG_EXPAND_XP_H
#define TG_EXPAND_XP_H

#include "backends/lower/expand/expand.h"

typedef struct tg_xp {
    tg_builder *b;
    const tg_machine *mc;
} tg_xp;

/* Constant of dtype t in the shape of `like`. */
static inline tg_value *xi(const tg_xp *x, const tg_value *like, tg_dtype t, int64_t v) {
    return tg_build_int(x->b, tg_type_with_dtype(x->b->module, like->type, t), v);
}
static inline tg_value *xf(const tg_xp *x, const tg_value *like, double v) {
    return tg_build_float(x->b, like->type, v); /* like is f32 or f64 itself */
}
static inline tg_value *xbin(const tg_xp *x, tg_opcode code, tg_value *p, tg_value *q) {
    return tg_build_binary(x->b, code, p, q);
}
/* p op constant, in p's type */
static inline tg_value *xbini(const tg_xp *x, tg_opcode code, tg_value *p, int64_t q) {
    return tg_build_binary(x->b, code, p, xi(x, p, p->type->dtype, q));
}
static inline tg_value *xbinf(const tg_xp *x, tg_opcode code, tg_value *p, double q) {
    return tg_build_binary(x->b, code, p, xf(x, p, q));
}
static inline tg_value *xfma(const tg_xp *x, tg_value *p, tg_value *q, tg_value *r) {
    return tg_build_fma(x->b, p, q, r);
}
static inline tg_value *xcmp(const tg_xp *x, tg_cmp_pred pred, tg_value *p, tg_value *q) {
    return tg_build_cmp(x->b, pred, p, q);
}
static inline tg_value *xcmpi(const tg_xp *x, tg_cmp_pred pred, tg_value *p, int64_t q) {
    return tg_build_cmp(x->b, pred, p, xi(x, p, p->type->dtype, q));
}
static inline tg_value *xcmpf(const tg_xp *x, tg_cmp_pred pred, tg_value *p, double q) {
    return tg_build_cmp(x->b, pred, p, xf(x, p, q));
}
static inline tg_value *xsel(const tg_xp *x, tg_value *c, tg_value *p, tg_value *q) {
    return tg_build_select(x->b, c, p, q);
}
static inline tg_value *xcast(const tg_xp *x, tg_value *p, tg_dtype t) {
    return tg_build_cast(x->b, p, t);
}
static inline tg_value *xbits(const tg_xp *x, tg_value *p, tg_dtype t) {
    return tg_build_bitcast(x->b, p, t);
}
static inline tg_value *xmath(const tg_xp *x, tg_math_fn fn, tg_value *p) {
    return tg_build_math(x->b, fn, p);
}
static inline tg_value *xabs(const tg_xp *x, tg_value *p) {
    return tg_build_unary(x->b, TG_OP_ABS, p);
}

/* Sum of c[i] * v^i by Horner's rule, one fma a term. */
tg_value *tg_xp_poly(const tg_xp *x, tg_value *v, const double *c, int n);
/* |v|'s magnitude with s's sign. */
tg_value *tg_xp_copysign(const tg_xp *x, tg_value *v, tg_value *s);

/* math.c, trig.c, rem.c: one family each; v is f32 or f64. */
tg_value *tg_xp_exp2(const tg_xp *x, tg_value *v, bool fast);
tg_value *tg_xp_exp(const tg_xp *x, tg_value *v, bool fast);
/* 2^v or e^v for v <= 0 (or NaN), bits as of the general form. */
tg_value *tg_xp_exp_below(const tg_xp *x, tg_value *v, bool base2, bool fast);
/* `exp2` marked fast, which the machine has. */
bool tg_xp_has_ex2(const tg_op *op, const tg_machine *mc);
tg_value *tg_xp_log(const tg_xp *x, tg_value *v, bool base2);
tg_value *tg_xp_rsqrt(const tg_xp *x, tg_value *v);
tg_value *tg_xp_sincos(const tg_xp *x, tg_value *v, bool cosine);
tg_value *tg_xp_tanh(const tg_xp *x, tg_value *v);
tg_value *tg_xp_sigmoid(const tg_xp *x, tg_value *v);
tg_value *tg_xp_erf(const tg_xp *x, tg_value *v);
tg_value *tg_xp_fmod(const tg_xp *x, tg_value *p, tg_value *q);
tg_value *tg_xp_math(const tg_xp *x, tg_math_fn fn, tg_value *v, bool fast);

/* below.c: is the argument of this exponential never positive where anything looks at the result?
 */
bool tg_xp_never_positive(const tg_op *math);

#endif
