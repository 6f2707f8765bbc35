/* SPDX-License-Identifier: Apache-2.0 */
/* Constants, conversions and reinterpretations of the SIMT C printer. */
#include <math.h>
#include <string.h>

#include "backends/simt_c/emit.h"

static bool is_float(tg_dtype t) { return t == TG_DT_F32 || t == TG_DT_F64; }

/* ---- constants --------------------------------------------------------------------------------
 */

static const char *int_text(tg_c_emitter *e, const tg_type *t, int64_t v, bool narrow) {
    switch ((int)t->dtype) {
    case TG_DT_BOOL:
        return t->kind == TG_TY_VEC ? (v != 0 ? "-1" : "0") : v != 0 ? "true" : "false";
    case TG_DT_U64:
        return tg_c_text(e, "%lluul", (unsigned long long)v);
    case TG_DT_U32:
        return tg_c_text(e, "%lluu", (unsigned long long)v & 0xffffffffu);
    case TG_DT_I64:
        return v == INT64_MIN ? "(-9223372036854775807l - 1)"
                              : tg_c_text(e, narrow ? "%lld" : "%lldl", (long long)v);
    }
    if (t->dtype == TG_DT_I32 && v == INT32_MIN) {
        return "(-2147483647 - 1)";
    }
    int bits = tg_dtype_bits(t->dtype);
    bool carried = bits < 32 && tg_c_scalar(t->dtype)[0] == 'u';
    return tg_c_text(e, "%lld", (long long)(carried ? v & ((INT64_C(1) << bits) - 1) : v));
}

static const char *float_text(tg_c_emitter *e, tg_dtype t, double v) {
    if (isnan(v)) {
        return t == TG_DT_F32 ? "NAN" : "(double)NAN";
    }
    if (isinf(v)) {
        return v > 0 ? (t == TG_DT_F32 ? "INFINITY" : "(double)INFINITY")
                     : (t == TG_DT_F32 ? "-INFINITY" : "-(double)INFINITY");
    }
    tg_sb sb;
    tg_sb_init(&sb, e->arena);
    tg_sb_add_double(&sb, v);
    bool whole = true;
    for (const char *c = sb.data; *c != '\0'; c++) {
        whole = whole && *c != '.' && *c != 'e';
    }
    tg_sb_add(&sb, whole ? ".0" : "");
    tg_sb_add(&sb, t == TG_DT_F32 ? "f" : "");
    return sb.data;
}

tg_c_expr tg_c_scalar_constant(tg_c_emitter *e, const tg_op *op) {
    const tg_type *t = op->results[0].type;
    const char *text;
    if (op->code == TG_OP_CONST_INT) {
        text =
            int_text(e, t, tg_attr_int(op, TG_ATTR_VALUE_I, 0), tg_c_is_narrow(e, &op->results[0]));
    } else if (is_float(t->dtype)) {
        text = float_text(e, t->dtype, tg_attr_float(op, TG_ATTR_VALUE_F, 0));
    } else {
        uint64_t bits =
            tg_float_encode(t->dtype, tg_attr_float(op, TG_ATTR_VALUE_F, 0), TG_ROUND_RNE, true);
        text = tg_c_text(e, "%llu", (unsigned long long)bits);
    }
    bool primary = text[0] != '-' && !(text[0] == '(' && text[1] == 'd');
    return (tg_c_expr){text, primary ? TG_PREC_PRIMARY : TG_PREC_UNARY};
}

tg_c_expr tg_c_constant(tg_c_emitter *e, const tg_op *op) {
    const tg_type *t = op->results[0].type;
    tg_c_expr x = tg_c_scalar_constant(e, op);
    return t->kind == TG_TY_VEC
               ? (tg_c_expr){tg_c_text(e, "(%s)(%s)", tg_c_type(e, t), x.text), TG_PREC_UNARY}
               : x;
}

/* ---- conversions ------------------------------------------------------------------------------
 */

/* Float to integer: truncates, saturates, NaN is 0. The bounds are exact in both float types or
 * rounded towards the inside by the comparison with the next power of two. */
static const char *saturating(tg_c_emitter *e, tg_dtype from, tg_dtype to) {
    const char *f = tg_c_scalar(from), *s = tg_c_scalar(to);
    const char *name = tg_c_text(e, "%s_of_%s", s, f);
    int bits = tg_dtype_bits(to);
    bool is_signed = tg_dtype_is_signed(to);
    const char *high = float_text(e, from, ldexp(1.0, is_signed ? bits - 1 : bits));
    const char *low = float_text(e, from, is_signed ? -ldexp(1.0, bits - 1) : 0.0);
    int64_t most = bits == 64 ? (is_signed ? INT64_MAX : -1)
                              : (INT64_C(1) << (is_signed ? bits - 1 : bits)) - 1;
    int64_t least = !is_signed ? 0 : bits == 64 ? INT64_MIN : -(INT64_C(1) << (bits - 1));
    tg_type t = {.kind = TG_TY_TILE, .dtype = to};
    tg_c_helper(e, name,
                tg_c_text(e,
                          "/* truncates, saturates, NaN is 0 */\n%s %s(%s x) {\n"
                          "    return isnan(x) ? 0 : x >= %s ? %s : x <= %s ? %s : (%s)x;\n}\n",
                          s, name, f, high, int_text(e, &t, most, false), low,
                          int_text(e, &t, least, false), s));
    return name;
}

static tg_c_expr per_lane_call(tg_c_emitter *e, const tg_op *op, const char *fn) {
    const tg_type *t = op->results[0].type;
    tg_sb sb;
    tg_sb_init(&sb, e->arena);
    tg_c_list(e, &sb, tg_c_type(e, t));
    for (int64_t l = 0; l < tg_c_lanes(t); l++) {
        tg_sb_addf(&sb, "%s%s(%s)", l > 0 ? ", " : "", fn, tg_c_lane(e, tg_operand(op, 0), l));
    }
    tg_sb_addc(&sb, ')');
    return (tg_c_expr){sb.data, TG_PREC_UNARY};
}

static tg_c_expr to_bool(tg_c_emitter *e, const tg_op *op) {
    const tg_type *from = tg_operand(op, 0)->type;
    const char *x = tg_c_at(e, tg_operand(op, 0), TG_PREC_SHIFT);
    if (from->kind != TG_TY_VEC) {
        return (tg_c_expr){tg_c_text(e, "%s != 0", x), TG_PREC_EQ};
    }
    const char *text = tg_c_text(e, "%s != 0", x);
    return tg_dtype_bits(from->dtype) == 32
               ? (tg_c_expr){text, TG_PREC_EQ}
               : (tg_c_expr){tg_c_text(e, "convert_int%lld(%s)", (long long)from->shape[0], text),
                             TG_PREC_PRIMARY};
}

static tg_c_expr convert(tg_c_emitter *e, const char *type, const char *x, bool vec) {
    return vec ? (tg_c_expr){tg_c_text(e, "convert_%s(%s)", type, x), TG_PREC_PRIMARY}
               : (tg_c_expr){tg_c_text(e, "(%s)%s", type, x), TG_PREC_UNARY};
}

/* What legalisation leaves: between integers, bool, f32 and f64, to nearest or truncating. */
tg_c_expr tg_c_cast(tg_c_emitter *e, const tg_op *op) {
    const tg_value *v = tg_operand(op, 0);
    const tg_type *to = op->results[0].type, *from = v->type;
    bool vec = to->kind == TG_TY_VEC;
    if ((tg_dtype_is_storage(from->dtype) || tg_dtype_is_storage(to->dtype)) &&
        from->dtype != to->dtype) {
        tg_c_refuse(e, op, "a conversion of a storage type was not expanded before printing");
    }
    if (to->dtype == TG_DT_BOOL) {
        return from->dtype == TG_DT_BOOL ? tg_c_value_of(e, v)->expr : to_bool(e, op);
    }
    if (from->dtype == TG_DT_BOOL) {
        const char *x = vec ? tg_c_text(e, "(%s & 1)", tg_c_at(e, v, TG_PREC_PRIMARY))
                            : tg_c_at(e, v, TG_PREC_UNARY);
        return convert(e, tg_c_value_type(e, &op->results[0]), x, vec);
    }
    if (is_float(from->dtype) && !is_float(to->dtype)) {
        const char *fn = saturating(e, from->dtype, to->dtype);
        if (vec) {
            return per_lane_call(e, op, fn);
        }
        return (tg_c_expr){tg_c_text(e, "%s(%s)", fn, tg_c_at(e, v, 0)), TG_PREC_PRIMARY};
    }
    const char *type = tg_c_value_type(e, &op->results[0]);
    const char *have = vec ? tg_c_type(e, from) : tg_c_value_type(e, v);
    if (strcmp(type, have) == 0) {
        return (tg_c_expr){tg_c_at(e, v, TG_PREC_PRIMARY), TG_PREC_PRIMARY};
    }
    return convert(e, type, tg_c_at(e, v, vec ? 0 : TG_PREC_UNARY), vec);
}

tg_c_expr tg_c_bitcast(tg_c_emitter *e, const tg_op *op) {
    const tg_value *v = tg_operand(op, 0);
    const tg_type *to = op->results[0].type, *from = v->type;
    if (from->kind == TG_TY_PTR && to->kind != TG_TY_PTR) {
        return (tg_c_expr){tg_c_text(e, "(%s)%s", tg_c_type(e, to), tg_c_at(e, v, TG_PREC_UNARY)),
                           TG_PREC_UNARY};
    }
    if (to->kind == TG_TY_PTR) {
        tg_c_refuse(e, op, "an address cannot be made of an integer here");
    }
    const char *a = tg_c_type(e, from), *b = tg_c_type(e, to);
    if (strcmp(a, b) == 0) { /* u16 and the f16 it carries */
        return (tg_c_expr){tg_c_at(e, v, TG_PREC_PRIMARY), TG_PREC_PRIMARY};
    }
    const char *x = tg_c_at(e, v, 0);
    if (tg_c_is_narrow(e, v)) {
        x = tg_c_text(e, "(long)(%s)", x);
    }
    const char *cast = tg_c_is_narrow(e, &op->results[0]) ? "(int)" : "";
    return (tg_c_expr){tg_c_text(e, "%sas_%s(%s)", cast, b, x),
                       cast[0] != '\0' ? TG_PREC_UNARY : TG_PREC_PRIMARY};
}
