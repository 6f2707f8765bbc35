/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arithmetic as expressions. Integers wrap and divide as ops.def says: signed sums that may
 * overflow are done unsigned, divisions by what may be 0 or -1 go through helpers. Bool vectors are
 * int vectors of 0 and -1.
 */
#include "backends/simt_c/emit.h"
#include "ir/build.h"

static bool is_float(const tg_type *t) { return t->dtype == TG_DT_F32 || t->dtype == TG_DT_F64; }

static bool is_signed(const tg_type *t) { return tg_dtype_is_signed(t->dtype); }

static const char *unsigned_scalar(const tg_type *t) {
    switch (tg_dtype_bits(t->dtype)) {
    case 8:
        return "uchar";
    case 16:
        return "ushort";
    case 32:
        return "uint";
    }
    return "ulong";
}

/* "uint4" beside "int4". */
static const char *unsigned_type(tg_c_emitter *e, const tg_type *t) {
    return t->kind == TG_TY_VEC ? tg_c_text(e, "%s%lld", unsigned_scalar(t), (long long)t->shape[0])
                                : unsigned_scalar(t);
}

/* ---- sums and products ------------------------------------------------------------------------
 */

typedef struct infix {
    tg_opcode code;
    const char *text;
    int prec;
} infix;

static const infix infixes[] = {
    {TG_OP_ADD, "+", TG_PREC_ADD}, {TG_OP_SUB, "-", TG_PREC_ADD}, {TG_OP_MUL, "*", TG_PREC_MUL},
    {TG_OP_DIV, "/", TG_PREC_MUL}, {TG_OP_REM, "%", TG_PREC_MUL}, {TG_OP_AND, "&", TG_PREC_AND},
    {TG_OP_OR, "|", TG_PREC_OR},   {TG_OP_XOR, "^", TG_PREC_XOR},
};

static const infix *infix_of(tg_opcode code) {
    for (size_t i = 0; i < TG_COUNT_OF(infixes); i++) {
        if (infixes[i].code == code) {
            return &infixes[i];
        }
    }
    return &infixes[0];
}

/* a OP b without further thought. The right side binds tighter: a - (b - c). Bitwise operators
 * parenthesise everything that is not primary, which readers (and compilers' warnings) prefer. */
static tg_c_expr plain(tg_c_emitter *e, const tg_op *op) {
    const infix *i = infix_of(op->code);
    bool bitwise = i->prec < TG_PREC_SHIFT;
    int left = bitwise ? TG_PREC_PRIMARY : i->prec;
    return (tg_c_expr){tg_c_text(e, "%s %s %s", tg_c_at(e, tg_operand(op, 0), left), i->text,
                                 tg_c_at(e, tg_operand(op, 1), bitwise ? left : i->prec + 1)),
                       i->prec};
}

/* Whether the mathematical result is the result: no wrap can happen. */
static bool exact(tg_c_emitter *e, const tg_op *op) {
    tg_c_range a = tg_c_range_of(e, tg_operand(op, 0)), b = tg_c_range_of(e, tg_operand(op, 1));
    int64_t lo, hi, x, y;
    const tg_type *t = op->results[0].type;
    if (!tg_type_is_scalar(t)) {
        return false;
    }
    bool fits;
    if (op->code == TG_OP_MUL) {
        fits = tg_mul_i64(a.lo, b.lo, &lo) && tg_mul_i64(a.hi, b.hi, &hi) &&
               tg_mul_i64(a.lo, b.hi, &x) && tg_mul_i64(a.hi, b.lo, &y);
        if (fits) {
            int64_t least = tg_min_i64(tg_min_i64(lo, hi), tg_min_i64(x, y));
            hi = tg_max_i64(tg_max_i64(lo, hi), tg_max_i64(x, y));
            lo = least;
        }
    } else if (op->code == TG_OP_ADD) {
        fits = tg_add_i64(a.lo, b.lo, &lo) && tg_add_i64(a.hi, b.hi, &hi);
    } else {
        fits = tg_sub_i64(a.lo, b.hi, &lo) && tg_sub_i64(a.hi, b.lo, &hi);
    }
    int bits = tg_dtype_bits(t->dtype);
    return fits && (bits == 64 || (bits == 32 && lo >= INT32_MIN && hi <= INT32_MAX));
}

/* i64 arithmetic where some of operands and result are ints: as wide as the result needs. */
static tg_c_expr exact_sum(tg_c_emitter *e, const tg_op *op) {
    const infix *i = infix_of(op->code);
    bool narrow = tg_c_is_narrow(e, &op->results[0]);
    bool left = tg_c_is_narrow(e, tg_operand(op, 0)), right = tg_c_is_narrow(e, tg_operand(op, 1));
    if (op->results[0].type->dtype != TG_DT_I64 || (narrow && left && right) ||
        (!narrow && !(left && right))) {
        return plain(e, op);
    }
    if (narrow) {
        return (tg_c_expr){tg_c_text(e, "(int)(%s)", plain(e, op).text), TG_PREC_UNARY};
    }
    return (tg_c_expr){tg_c_text(e, "(long)%s %s %s", tg_c_at(e, tg_operand(op, 0), TG_PREC_UNARY),
                                 i->text, tg_c_at(e, tg_operand(op, 1), i->prec + 1)),
                       i->prec};
}

/* "add_long": what wraps on overflow, by way of the unsigned type. */
static const char *wrapping_helper(tg_c_emitter *e, const tg_op *op) {
    const char *word = op->code == TG_OP_ADD ? "add" : op->code == TG_OP_SUB ? "sub" : "mul";
    const tg_type *t = op->results[0].type;
    const char *s = tg_c_type(e, t), *u = unsigned_type(e, t),
               *name = tg_c_text(e, "%s_%s", word, s);
    tg_c_helper(e, name,
                tg_c_text(e, "%s %s(%s a, %s b) { return (%s)((%s)a %s (%s)b); } // wraps\n", s,
                          name, s, s, s, u, infix_of(op->code)->text, u));
    return name;
}

/* Signed sums that may overflow. */
static tg_c_expr wrapped(tg_c_emitter *e, const tg_op *op) {
    const tg_type *t = op->results[0].type;
    const char *sign = infix_of(op->code)->text;
    if (t->kind == TG_TY_VEC) {
        const char *u = unsigned_type(e, t);
        return (tg_c_expr){tg_c_text(e, "as_%s(as_%s(%s) %s as_%s(%s))", tg_c_type(e, t), u,
                                     tg_c_at(e, tg_operand(op, 0), 0), sign, u,
                                     tg_c_at(e, tg_operand(op, 1), 0)),
                           TG_PREC_PRIMARY};
    }
    const char *call =
        tg_c_text(e, "%s(%s, %s)", wrapping_helper(e, op), tg_c_at(e, tg_operand(op, 0), 0),
                  tg_c_at(e, tg_operand(op, 1), 0));
    return tg_c_is_narrow(e, &op->results[0])
               ? (tg_c_expr){tg_c_text(e, "(int)%s", call), TG_PREC_UNARY}
               : (tg_c_expr){call, TG_PREC_PRIMARY};
}

static tg_c_expr sum(tg_c_emitter *e, const tg_op *op) {
    const tg_type *t = op->results[0].type;
    int bits = tg_dtype_bits(t->dtype);
    if (is_float(t) || (t->kind == TG_TY_VEC && !is_signed(t))) {
        return plain(e, op);
    }
    if (is_signed(t) && bits >= 32) {
        return exact(e, op) ? exact_sum(e, op) : wrapped(e, op);
    }
    if (bits >= 32) {
        return plain(e, op); /* unsigned */
    }
    /* C works on int and the cast takes the low bits */
    return t->kind == TG_TY_VEC
               ? wrapped(e, op)
               : (tg_c_expr){tg_c_text(e, "(%s)(%s)", tg_c_type(e, t), plain(e, op).text),
                             TG_PREC_UNARY};
}

/* ---- division ---------------------------------------------------------------------------------
 */

/* The name of a helper that divides by anything; scalars. */
static const char *division_helper(tg_c_emitter *e, bool rem, const tg_type *t) {
    const char *s = tg_c_scalar(t->dtype), *u = unsigned_scalar(t);
    const char *name = tg_c_text(e, "%s_%s", rem ? "rem" : "div", s);
    const char *head = tg_c_text(e, "%s %s(%s a, %s b) {\n    return ", s, name, s, s);
    if (!is_signed(t)) {
        tg_c_helper(
            e, name,
            tg_c_text(e, "%sb == 0 ? %s : a %c b;\n}\n", head, rem ? "a" : "0", rem ? '%' : '/'));
    } else if (rem) {
        tg_c_helper(e, name,
                    tg_c_text(e, "%sb == 0 ? a : b == -1 ? 0 : (%s)(a %% b);\n}\n", head, s));
    } else {
        tg_c_helper(e, name,
                    tg_c_text(e, "%sb == 0 ? 0 : b == -1 ? (%s)(0 - (%s)a) : (%s)(a / b);\n}\n",
                              head, s, u, s));
    }
    return name;
}

static bool safe_divisor(tg_c_emitter *e, const tg_value *v) {
    tg_c_range r = tg_c_range_of(e, v);
    return tg_type_is_scalar(v->type) && r.lo > 0;
}

/* A scalar expression lane by lane: fn(a.s0, b.s0), ... */
static tg_c_expr per_lane(tg_c_emitter *e, const tg_op *op, const char *fn) {
    const tg_type *t = op->results[0].type;
    tg_sb sb;
    tg_sb_init(&sb, e->arena);
    tg_c_list(e, &sb, tg_c_type(e, t));
    for (int64_t l = 0; l < tg_c_lanes(t); l++) {
        tg_sb_addf(&sb, "%s%s(%s", l > 0 ? ", " : "", fn, tg_c_lane(e, tg_operand(op, 0), l));
        for (int i = 1; i < op->n_operands; i++) {
            tg_sb_addf(&sb, ", %s", tg_c_lane(e, tg_operand(op, i), l));
        }
        tg_sb_addc(&sb, ')');
    }
    tg_sb_addc(&sb, ')');
    return (tg_c_expr){sb.data, TG_PREC_UNARY};
}

static tg_c_expr division(tg_c_emitter *e, const tg_op *op) {
    const tg_type *t = op->results[0].type;
    bool rem = op->code == TG_OP_REM;
    if (is_float(t)) {
        if (rem) {
            tg_c_refuse(e, op, "a float remainder was not expanded before printing");
        }
        return plain(e, op);
    }
    if (safe_divisor(e, tg_operand(op, 1))) {
        tg_c_expr x = exact_sum(e, op);
        return tg_dtype_bits(t->dtype) >= 32
                   ? x
                   : (tg_c_expr){tg_c_text(e, "(%s)(%s)", tg_c_type(e, t), x.text), TG_PREC_UNARY};
    }
    const char *fn = division_helper(e, rem, t);
    if (t->kind == TG_TY_VEC) {
        return per_lane(e, op, fn);
    }
    const char *cast = tg_c_is_narrow(e, &op->results[0]) ? "(int)" : "";
    return (tg_c_expr){tg_c_text(e, "%s%s(%s, %s)", cast, fn, tg_c_at(e, tg_operand(op, 0), 0),
                                 tg_c_at(e, tg_operand(op, 1), 0)),
                       cast[0] != '\0' ? TG_PREC_UNARY : TG_PREC_PRIMARY};
}

/* ---- minimum and maximum ----------------------------------------------------------------------
 */

static const char *float_minmax(tg_c_emitter *e, bool max, const tg_type *t) {
    const char *type = tg_c_type(e, t), *name = tg_c_text(e, "%s_%s", max ? "max" : "min", type);
    char less = max ? '>' : '<', zero = max ? 'y' : 'x';
    if (t->kind != TG_TY_VEC) {
        tg_c_helper(e, name,
                    tg_c_text(e,
                              "/* NaN wins; -0 is below +0 */\n%s %s(%s x, %s y) {\n"
                              "    return isnan(x) ? x : isnan(y) ? y : x %c y || (x == y && "
                              "signbit(%c)) ? x : y;\n}\n",
                              type, name, type, type, less, zero));
        return name;
    }
    const char *mask =
        tg_c_text(e, "%s%lld", t->dtype == TG_DT_F64 ? "long" : "int", (long long)t->shape[0]);
    tg_c_helper(e, name,
                tg_c_text(e,
                          "/* NaN wins; -0 is below +0 */\n%s %s(%s x, %s y) {\n"
                          "    %s pick = isnan(x) | (~isnan(y) & ((x %c y) | ((x == y) & "
                          "signbit(%c))));\n    return select(y, x, pick);\n}\n",
                          type, name, type, type, mask, less, zero));
    return name;
}

const char *tg_c_minmax(tg_c_emitter *e, bool max, const tg_type *t) {
    return is_float(t) ? float_minmax(e, max, t) : max ? "max" : "min";
}

/* Integer min and max are overloaded over one type: narrow values stand as long beside wide ones.
 */
static tg_c_expr minmax(tg_c_emitter *e, const tg_op *op) {
    const tg_type *t = op->results[0].type;
    bool max = op->code == TG_OP_MAX;
    const char *a = tg_c_at(e, tg_operand(op, 0), 0), *b = tg_c_at(e, tg_operand(op, 1), 0);
    if (t->dtype == TG_DT_I64 && tg_type_is_scalar(t)) {
        bool left = tg_c_is_narrow(e, tg_operand(op, 0));
        bool right = tg_c_is_narrow(e, tg_operand(op, 1));
        if (left != right) {
            const char *cast = tg_c_is_narrow(e, &op->results[0]) ? "(int)" : "";
            return (tg_c_expr){
                tg_c_text(e, "%s%s((long)(%s), (long)(%s))", cast, max ? "max" : "min", a, b),
                cast[0] != '\0' ? TG_PREC_UNARY : TG_PREC_PRIMARY};
        }
    }
    if (tg_type_is_scalar(t) && !is_float(t) && tg_dtype_bits(t->dtype) < 32) { /* C works on int */
        return (tg_c_expr){tg_c_text(e, "(%s)%s((int)(%s), (int)(%s))", tg_c_scalar(t->dtype),
                                     max ? "max" : "min", a, b),
                           TG_PREC_UNARY};
    }
    return (tg_c_expr){tg_c_text(e, "%s(%s, %s)", tg_c_minmax(e, max, t), a, b), TG_PREC_PRIMARY};
}

/* ---- bits, comparisons, choice ----------------------------------------------------------------
 */

/* The count is taken modulo the width. */
static tg_c_expr shift(tg_c_emitter *e, const tg_op *op) {
    const tg_type *t = op->results[0].type;
    int bits = tg_dtype_bits(t->dtype);
    const tg_value *n = tg_operand(op, 1);
    tg_c_range r = tg_c_range_of(e, n);
    int64_t fixed;
    bool in_range = tg_value_const_int(n, &fixed)
                        ? fixed >= 0 && fixed < bits
                        : tg_type_is_scalar(n->type) && r.lo >= 0 && r.hi < bits;
    const char *count = in_range
                            ? tg_c_at(e, n, TG_PREC_SHIFT + 1)
                            : tg_c_text(e, "(%s & %d)", tg_c_at(e, n, TG_PREC_PRIMARY), bits - 1);
    if (t->kind == TG_TY_VEC && !in_range) { /* the mask's type follows the vector's */
        count = tg_c_text(e, "(%s & (%s)(%d))", tg_c_at(e, n, TG_PREC_PRIMARY), tg_c_type(e, t),
                          bits - 1);
    }
    bool left = op->code == TG_OP_SHL;
    const char *a = tg_c_at(e, tg_operand(op, 0), TG_PREC_UNARY);
    if (left && is_signed(t)) {
        const char *u = unsigned_type(e, t);
        return t->kind == TG_TY_VEC
                   ? (tg_c_expr){tg_c_text(e, "as_%s(as_%s(%s) << as_%s(%s))", tg_c_type(e, t), u,
                                           a, u, count),
                                 TG_PREC_PRIMARY}
                   : (tg_c_expr){tg_c_text(e, "(%s)((%s)%s << %s)", tg_c_type(e, t), u, a, count),
                                 TG_PREC_UNARY};
    }
    if (t->kind != TG_TY_VEC && (bits < 32 || (left && tg_c_is_narrow(e, tg_operand(op, 0))))) {
        return (tg_c_expr){
            tg_c_text(e, "(%s)(%s %s %s)", tg_c_type(e, t), a, left ? "<<" : ">>", count),
            TG_PREC_UNARY};
    }
    return (tg_c_expr){tg_c_text(e, "%s %s %s", tg_c_at(e, tg_operand(op, 0), TG_PREC_UNARY),
                                 left ? "<<" : ">>", count),
                       TG_PREC_SHIFT};
}

static tg_c_expr logic(tg_c_emitter *e, const tg_op *op) {
    const tg_type *t = op->results[0].type;
    bool scalar_bool = t->dtype == TG_DT_BOOL && t->kind != TG_TY_VEC;
    if (op->code == TG_OP_NOT) {
        tg_c_expr x = {tg_c_text(e, "%c%s", scalar_bool ? '!' : '~',
                                 tg_c_at(e, tg_operand(op, 0), TG_PREC_UNARY)),
                       TG_PREC_UNARY};
        bool small = t->kind != TG_TY_VEC && tg_dtype_bits(t->dtype) < 32 && !scalar_bool;
        return small ? (tg_c_expr){tg_c_text(e, "(%s)%s", tg_c_type(e, t), x.text), TG_PREC_UNARY}
                     : x;
    }
    if (!scalar_bool) {
        tg_c_expr x = plain(e, op);
        bool wide =
            tg_type_is_scalar(t) && t->dtype == TG_DT_I64 && tg_c_is_narrow(e, &op->results[0]);
        return wide ? (tg_c_expr){tg_c_text(e, "(int)(%s)", x.text), TG_PREC_UNARY} : x;
    }
    if (op->code == TG_OP_XOR) {
        return (tg_c_expr){tg_c_text(e, "%s != %s", tg_c_at(e, tg_operand(op, 0), TG_PREC_REL),
                                     tg_c_at(e, tg_operand(op, 1), TG_PREC_REL)),
                           TG_PREC_EQ};
    }
    /* Both sides are values already computed: no branch is wanted. PoCL 3.1 loses guards made of
     * chains of branches. */
    return plain(e, op);
}

static tg_c_expr compare(tg_c_emitter *e, const tg_op *op) {
    static const char *const signs[] = {"==", "!=", "<", "<=", ">", ">="};
    int64_t p = tg_attr_int(op, TG_ATTR_PRED, 0);
    int prec = p < TG_CMP_LT ? TG_PREC_EQ : TG_PREC_REL;
    const tg_type *t = tg_operand(op, 0)->type;
    int inner = TG_PREC_SHIFT + 1; /* compilers' warnings want shifts in parentheses */
    const char *text = tg_c_text(e, "%s %s %s", tg_c_at(e, tg_operand(op, 0), inner), signs[p],
                                 tg_c_at(e, tg_operand(op, 1), inner));
    if (t->kind == TG_TY_VEC && tg_dtype_bits(t->dtype) != 32 && t->dtype != TG_DT_BOOL) {
        return (tg_c_expr){tg_c_text(e, "convert_int%lld(%s)", (long long)t->shape[0], text),
                           TG_PREC_PRIMARY};
    }
    return (tg_c_expr){text, prec};
}

static tg_c_expr choice(tg_c_emitter *e, const tg_op *op) {
    const tg_type *t = op->results[0].type;
    if (t->kind != TG_TY_VEC) {
        const char *x = tg_c_at(e, tg_operand(op, 1), TG_PREC_COND + 1),
                   *y = tg_c_at(e, tg_operand(op, 2), TG_PREC_COND);
        const char *text =
            tg_c_text(e, "%s ? %s : %s", tg_c_at(e, tg_operand(op, 0), TG_PREC_EQ), x, y);
        return (tg_c_expr){text, TG_PREC_COND};
    }
    static const char *const masks[] = {"char", "short", "int", "long"};
    int bits = tg_dtype_bits(t->dtype == TG_DT_BOOL ? TG_DT_I32 : t->dtype);
    const char *c = tg_c_at(e, tg_operand(op, 0), 0);
    if (bits != 32) {
        c = tg_c_text(e, "convert_%s%lld(%s)",
                      masks[bits == 8    ? 0
                            : bits == 16 ? 1
                                         : 3],
                      (long long)t->shape[0], c);
    }
    return (tg_c_expr){tg_c_text(e, "select(%s, %s, %s)", tg_c_at(e, tg_operand(op, 2), 0),
                                 tg_c_at(e, tg_operand(op, 1), 0), c),
                       TG_PREC_PRIMARY};
}

/* ---- the rest ---------------------------------------------------------------------------------
 */

static tg_c_expr negate(tg_c_emitter *e, const tg_op *op) {
    const tg_type *t = op->results[0].type;
    const char *x = tg_c_at(e, tg_operand(op, 0), TG_PREC_UNARY);
    if (tg_dtype_is_storage(t->dtype)) {
        tg_c_refuse(e, op, "storage floats do not take part in arithmetic");
    }
    if (op->code == TG_OP_ABS) {
        if (is_float(t)) {
            return (tg_c_expr){tg_c_text(e, "fabs(%s)", x), TG_PREC_PRIMARY};
        }
        const char *u = tg_c_text(e, "abs(%s)", x); /* unsigned result: |MIN| wraps */
        return !is_signed(t) ? (tg_c_expr){x, TG_PREC_UNARY}
               : t->kind == TG_TY_VEC
                   ? (tg_c_expr){tg_c_text(e, "as_%s(%s)", tg_c_type(e, t), u), TG_PREC_PRIMARY}
                   : (tg_c_expr){tg_c_text(e, "(%s)%s", tg_c_value_type(e, &op->results[0]), u),
                                 TG_PREC_UNARY};
    }
    if (is_float(t)) {
        return (tg_c_expr){tg_c_text(e, "-%s", x[0] == '-' ? tg_c_text(e, "(%s)", x) : x),
                           TG_PREC_UNARY};
    }
    const char *u = unsigned_type(e, t);
    return t->kind == TG_TY_VEC
               ? (tg_c_expr){tg_c_text(e, "as_%s((%s)(0) - as_%s(%s))", tg_c_type(e, t), u, u, x),
                             TG_PREC_PRIMARY}
               : (tg_c_expr){tg_c_text(e, "(%s)(0 - (%s)%s)", tg_c_type(e, t), u, x),
                             TG_PREC_UNARY};
}

static tg_c_expr fma_of(tg_c_emitter *e, const tg_op *op) {
    const tg_type *t = op->results[0].type;
    const char *a = tg_c_at(e, tg_operand(op, 0), TG_PREC_UNARY),
               *b = tg_c_at(e, tg_operand(op, 1), TG_PREC_UNARY),
               *c = tg_c_at(e, tg_operand(op, 2), TG_PREC_UNARY);
    if (is_float(t)) {
        return (tg_c_expr){tg_c_text(e, "fma(%s, %s, %s)", a, b, c), TG_PREC_PRIMARY};
    }
    const char *u = unsigned_type(e, t);
    return t->kind == TG_TY_VEC
               ? (tg_c_expr){tg_c_text(e, "as_%s(as_%s(%s) * as_%s(%s) + as_%s(%s))",
                                       tg_c_type(e, t), u, a, u, b, u, c),
                             TG_PREC_PRIMARY}
               : (tg_c_expr){tg_c_text(e, "(%s)((%s)%s * (%s)%s + (%s)%s)", tg_c_type(e, t), u, a,
                                       u, b, u, c),
                             TG_PREC_UNARY};
}

static tg_c_expr call(tg_c_emitter *e, const tg_op *op, const char *fn) {
    return (tg_c_expr){tg_c_text(e, "%s(%s)", fn, tg_c_at(e, tg_operand(op, 0), 0)),
                       TG_PREC_PRIMARY};
}

static tg_c_expr math(tg_c_emitter *e, const tg_op *op) {
    switch ((int)tg_attr_int(op, TG_ATTR_FN, TG_MATH_COUNT)) {
    case TG_MATH_SQRT:
        return call(e, op, "sqrt");
    case TG_MATH_FLOOR:
        return call(e, op, "floor");
    case TG_MATH_CEIL:
        return call(e, op, "ceil");
    case TG_MATH_ROUND:
        return call(e, op, "rint");
    }
    tg_c_refuse(e, op, "a function was not expanded before printing");
    return (tg_c_expr){"0", TG_PREC_PRIMARY};
}

tg_c_expr tg_c_arith(tg_c_emitter *e, const tg_op *op) {
    switch ((int)op->code) {
    case TG_OP_ADD:
    case TG_OP_SUB:
    case TG_OP_MUL:
        return sum(e, op);
    case TG_OP_DIV:
    case TG_OP_REM:
        return division(e, op);
    case TG_OP_MIN:
    case TG_OP_MAX:
        return minmax(e, op);
    case TG_OP_NEG:
    case TG_OP_ABS:
        return negate(e, op);
    case TG_OP_FMA:
        return fma_of(e, op);
    case TG_OP_AND:
    case TG_OP_OR:
    case TG_OP_XOR:
    case TG_OP_NOT:
        return logic(e, op);
    case TG_OP_SHL:
    case TG_OP_SHR:
        return shift(e, op);
    case TG_OP_POPCOUNT:
        return call(e, op, "popcount");
    case TG_OP_CMP:
        return compare(e, op);
    case TG_OP_SELECT:
        return choice(e, op);
    case TG_OP_MATH:
        return math(e, op);
    case TG_OP_CAST:
        return tg_c_cast(e, op);
    case TG_OP_BITCAST:
        return tg_c_bitcast(e, op);
    case TG_OP_CONST_INT:
    case TG_OP_CONST_FLOAT:
        return tg_c_constant(e, op);
    }
    tg_c_refuse(e, op, "the dialect has no such operation");
    return (tg_c_expr){"0", TG_PREC_PRIMARY};
}
