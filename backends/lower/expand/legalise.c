/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Legalisation of loop IR for the emitter: every operation LLVM has no single native form for
 * becomes plain arithmetic, lane by lane.
 *
 *   math(exp2, v)         ─▶  clamps, fma chain, exponent arithmetic     math.c, trig.c
 *   cast f8e4m3 -> f32    ─▶  shifts, one multiplication, NaN select     convert.c
 *   rem f32               ─▶  long division loop                         rem.c
 *
 * Storage floats travel as the unsigned integer of their width; where the IR names the storage type
 * itself (a load of f16), a bitcast bridges the two.
 */
#include "backends/lower/expand/xp.h"

tg_dtype tg_carrier(tg_dtype t) {
    switch (t) {
    case TG_DT_F16:
    case TG_DT_BF16:
        return TG_DT_U16;
    case TG_DT_F8E4M3:
    case TG_DT_F8E4M3FNUZ:
    case TG_DT_F8E5M2:
    case TG_DT_F8E8M0:
    case TG_DT_F4E2M1:
    case TG_DT_I4:
    case TG_DT_U4:
        return TG_DT_U8;
    case TG_DT_NONE:
    case TG_DT_BOOL:
    case TG_DT_I8:
    case TG_DT_I16:
    case TG_DT_I32:
    case TG_DT_I64:
    case TG_DT_U8:
    case TG_DT_U16:
    case TG_DT_U32:
    case TG_DT_U64:
    case TG_DT_F32:
    case TG_DT_F64:
    case TG_DT_RECORD:
    case TG_DT_COUNT:
        return t;
    }
    return t;
}

int64_t tg_scratch_elem_bytes(tg_dtype t) { return (tg_dtype_bits(t) + 7) / 8; }

tg_value *tg_xp_poly(const tg_xp *x, tg_value *v, const double *c, int n) {
    tg_value *r = xf(x, v, c[n - 1]);
    for (int i = n - 2; i >= 0; i--) {
        r = xfma(x, r, v, xf(x, v, c[i]));
    }
    return r;
}

tg_value *tg_xp_copysign(const tg_xp *x, tg_value *v, tg_value *s) {
    bool wide = v->type->dtype == TG_DT_F64;
    tg_dtype u = wide ? TG_DT_U64 : TG_DT_U32;
    int64_t sign = wide ? INT64_MIN : INT64_C(0x80000000);
    tg_value *magnitude = xbits(x, xabs(x, v), u);
    tg_value *bit = xbini(x, TG_OP_AND, xbits(x, s, u), sign);
    return xbits(x, xbin(x, TG_OP_OR, magnitude, bit), v->type->dtype);
}

tg_value *tg_expand_math(tg_builder *b, const tg_machine *mc, tg_math_fn fn, tg_value *v) {
    tg_xp x = {b, mc};
    return tg_xp_math(&x, fn, v, false);
}

tg_value *tg_expand_binary(tg_builder *b, const tg_machine *mc, tg_opcode code, tg_value *p,
                           tg_value *q) {
    tg_xp x = {b, mc};
    tg_dtype t = p->type->dtype;
    return code == TG_OP_REM && (t == TG_DT_F32 || t == TG_DT_F64) ? tg_xp_fmod(&x, p, q)
                                                                   : tg_build_binary(b, code, p, q);
}

/* ---- the pass -----------------------------------------------------------------------------------
 */

static bool native_math(const tg_op *op, tg_math_fn fn, const tg_machine *mc) {
    return tg_xp_has_ex2(op, mc) || fn == TG_MATH_SQRT || fn == TG_MATH_FLOOR ||
           fn == TG_MATH_CEIL || fn == TG_MATH_ROUND;
}

static bool is_f32_or_f64(tg_dtype t) { return t == TG_DT_F32 || t == TG_DT_F64; }

/* What the emitter takes as one cast: see emit_cast there. */
static bool native_cast(const tg_op *op, const tg_machine *mc) {
    tg_dtype from = tg_operand(op, 0)->type->dtype, to = op->results[0].type->dtype;
    bool plain = tg_attr_int(op, TG_ATTR_ROUND, TG_ROUND_RNE) == TG_ROUND_RNE &&
                 tg_attr_int(op, TG_ATTR_SAT, 0) == 0;
    bool halves = (from == TG_DT_F16 && to == TG_DT_F32) || (from == TG_DT_F32 && to == TG_DT_F16);
    if (halves) {
        return plain && ((mc->features & TG_CPU_F16C) || (mc->simt & TG_SIMT_HALVES));
    }
    if (from == TG_DT_F32 && to == TG_DT_BF16) {
        return plain && (mc->simt & TG_SIMT_HALVES);
    }
    if (tg_dtype_is_storage(from) || tg_dtype_is_storage(to)) {
        return false;
    }
    return plain || (is_f32_or_f64(from) && !is_f32_or_f64(to)); /* float to int saturates anyway */
}

/* The value that replaces op, or NULL when op is native. */
static tg_value *expansion(tg_builder *b, tg_op *op, const tg_machine *mc) {
    tg_xp x = {b, mc};
    tg_value *v = op->n_operands > 0 ? tg_operand(op, 0) : NULL;
    if (op->code == TG_OP_MATH) {
        tg_math_fn fn = (tg_math_fn)tg_attr_int(op, TG_ATTR_FN, TG_MATH_COUNT);
        return native_math(op, fn, mc)
                   ? NULL
                   : tg_xp_math(&x, fn, v, tg_attr_int(op, TG_ATTR_FAST, 0) != 0);
    }
    if (op->code == TG_OP_REM && is_f32_or_f64(v->type->dtype)) {
        return tg_xp_fmod(&x, v, tg_operand(op, 1));
    }
    if (op->code == TG_OP_CAST && !native_cast(op, mc)) {
        tg_value *r = tg_expand_convert(b, mc, v, v->type->dtype, op->results[0].type->dtype,
                                        (tg_round)tg_attr_int(op, TG_ATTR_ROUND, TG_ROUND_RNE),
                                        tg_attr_int(op, TG_ATTR_SAT, 0) != 0);
        return r->type->dtype == op->results[0].type->dtype
                   ? r
                   : tg_build_bitcast(b, r, op->results[0].type->dtype);
    }
    return NULL;
}

static void legalise_region(tg_region *r, const tg_machine *mc) {
    for (tg_op *op = r->first, *next; op; op = next) {
        next = op->next;
        for (int i = 0; i < op->n_regions; i++) {
            legalise_region(op->regions[i], mc);
        }
        tg_builder b = tg_builder_before(op);
        b.span = op->span;
        tg_value *v = expansion(&b, op, mc);
        if (v) {
            tg_replace_all_uses(&op->results[0], v);
            tg_op_erase(op);
        }
    }
}

void tg_expand_legalise(tg_func *loop, const tg_machine *mc) { legalise_region(loop->body, mc); }
