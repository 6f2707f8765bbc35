/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pass: takes legalised loop functions, gives functions that do without what the machine's
 * quirks spoil, refuses what has no way around.
 *
 *   %r = div %x, %y : f32            ─▶  bits of both, a 64-bit division, one rounding
 *   %r = add %x, %y : f32 (flushes)  ─▶  %s = add %x, %y; if a subnormal is near: in integers
 *
 * Vectors are taken apart. New code stands before the operation it replaces and is not looked at
 * again, so the emulation itself may use what it replaces (a root to start from).
 */
#include "backends/lower/quirks/quirks.h"

#include "backends/lower/quirks/soft.h"

typedef struct around {
    tg_func *func;
    const tg_machine *mc;
    tg_sink *sink;
    tg_status status;
} around;

static bool has(const around *s, unsigned quirk) { return (s->mc->quirks & quirk) != 0; }

/* ---- refusals -------------------------------------------------------------------------------- */

static void refuse(around *s, const tg_op *op, const char *what, unsigned quirk) {
    const char *name = "";
    for (size_t i = 0; tg_quirk_at(i); i++) {
        name = tg_quirk_at(i)->bit == quirk ? tg_quirk_at(i)->name : name;
    }
    if (s->status == TG_OK) {
        tg_error(s->sink, TG_D_BACKEND, op->span,
                 "%s: %s needs %s, which this device gets wrong (quirk %s)", s->mc->name,
                 s->func->name, what, name);
    }
    s->status = TG_E_UNSUPPORTED;
}

static bool uses(const tg_op *op, tg_dtype t) {
    for (int i = 0; i < op->n_results; i++) {
        const tg_type *r = op->results[i].type;
        if ((r->kind == TG_TY_TILE || r->kind == TG_TY_VEC) && r->dtype == t) {
            return true;
        }
    }
    return false;
}

static void check(around *s, const tg_op *op) {
    bool atomic = op->code == TG_OP_ATOMICM || op->code == TG_OP_AATOMIC;
    if (has(s, TG_QUIRK_NO_F64) && uses(op, TG_DT_F64)) {
        refuse(s, op, "f64", TG_QUIRK_NO_F64);
    }
    if (atomic && has(s, TG_QUIRK_NO_ATOMIC64) && tg_dtype_bits(op->results[0].type->dtype) == 64) {
        refuse(s, op, "an atomic of 64 bits", TG_QUIRK_NO_ATOMIC64);
    }
    if (atomic && has(s, TG_QUIRK_NO_ATOMICS)) {
        refuse(s, op, "an atomic", TG_QUIRK_NO_ATOMICS);
    }
}

/* ---- one scalar operation -------------------------------------------------------------------- */

static bool is_f32(const tg_value *v) {
    return (v->type->kind == TG_TY_TILE || v->type->kind == TG_TY_VEC) &&
           v->type->dtype == TG_DT_F32;
}

static tg_value *bits(const tg_xp *x, tg_value *v) { return xbits(x, v, TG_DT_U32); }
static tg_value *real(const tg_xp *x, tg_value *v) { return xbits(x, v, TG_DT_F32); }

static tg_math_fn fn_of(const tg_op *op) { return (tg_math_fn)tg_attr_int(op, TG_ATTR_FN, 0); }

static bool is_root(const tg_op *op) { return op->code == TG_OP_MATH && fn_of(op) == TG_MATH_SQRT; }

/* Arithmetic of f32 in integers; NULL: none of ours. */
static tg_value *soft(const tg_xp *x, const tg_op *op, tg_value **v) {
    tg_value *p = bits(x, v[0]), *q = op->n_operands > 1 ? bits(x, v[1]) : NULL;
    switch ((int)op->code) {
    case TG_OP_ADD:
        return real(x, tg_soft_add(x, p, q));
    case TG_OP_SUB:
        return real(x, tg_soft_add(x, p, xbini(x, TG_OP_XOR, q, INT64_C(0x80000000))));
    case TG_OP_MUL:
        return real(x, tg_soft_mul(x, p, q));
    case TG_OP_DIV:
        return real(x, tg_soft_div(x, p, q));
    case TG_OP_FMA:
        return real(x, tg_soft_fma(x, p, q, bits(x, v[2])));
    case TG_OP_MATH:
        return real(x, tg_soft_sqrt(x, p));
    default:
        return NULL;
    }
}

/* Whether the operation is wrong everywhere, and not near subnormals alone. */
static bool always(const around *s, const tg_op *op) {
    bool no_fma = !(s->mc->simt & (TG_SIMT_FMA | TG_SIMT_F64));
    return (op->code == TG_OP_FMA && (has(s, TG_QUIRK_FMA) || no_fma)) ||
           (op->code == TG_OP_MUL && has(s, TG_QUIRK_CONTRACTS)) ||
           ((op->code == TG_OP_DIV || is_root(op)) && has(s, TG_QUIRK_DIV));
}

static tg_value *subnormal(const tg_xp *x, tg_value *p) {
    tg_value *mag = tg_soft_magnitude(x, p);
    return xbin(x, TG_OP_AND, xcmpi(x, TG_CMP_LT, mag, 0x800000), xcmpi(x, TG_CMP_NE, mag, 0));
}

/* The device's own result, but in integers where an operand is subnormal or the result so small
 * that it may have been flushed. */
static tg_value *guarded(const tg_xp *x, tg_op *op, tg_value **v) {
    tg_value *own =
        tg_build_op(x->b, op->code, op->n_operands, v, 1, (const tg_type *const[]){v[0]->type}, 0)
            ->results;
    if (op->code == TG_OP_MATH) {
        tg_op_set_int(own->def, TG_ATTR_FN, (int64_t)fn_of(op));
    }
    tg_value *near = xcmpi(x, TG_CMP_LT, tg_soft_magnitude(x, bits(x, own)), 0x800000);
    for (int i = 0; i < op->n_operands; i++) {
        near = xbin(x, TG_OP_OR, near, subnormal(x, bits(x, v[i])));
    }
    tg_op *branch = tg_build_if(x->b, near, 1, (const tg_type *const[]){own->type});
    tg_value *slow = soft(x, op, v);
    tg_build_else(x->b, branch, 1, &slow);
    tg_build_end_if(x->b, branch, 1, &own);
    return &branch->results[0];
}

static tg_value *cast(const around *s, const tg_xp *x, const tg_op *op, tg_value *v) {
    tg_dtype to = op->results[0].type->dtype, from = v->type->dtype;
    bool exact = has(s, TG_QUIRK_CASTS), flushes = has(s, TG_QUIRK_FLUSHES);
    if (to == TG_DT_F64 && from == TG_DT_F32 && flushes) {
        return tg_soft_to_f64(x, bits(x, v));
    }
    if (to == TG_DT_F32 && from == TG_DT_F64 && (exact || flushes)) {
        return real(x, tg_soft_from_f64(x, v));
    }
    bool wide_int = tg_dtype_is_int(from) && tg_dtype_bits(from) >= 32;
    return to == TG_DT_F32 && wide_int && exact ? real(x, tg_soft_from_int(x, v)) : NULL;
}

/* The replacement of a scalar operation on v, or NULL. */
static tg_value *replacement(const around *s, const tg_xp *x, tg_op *op, tg_value **v) {
    bool flushes = has(s, TG_QUIRK_FLUSHES), whole = op->code == TG_OP_MATH && !is_root(op);
    if (op->code == TG_OP_CAST) {
        return cast(s, x, op, v[0]);
    }
    if (!is_f32(v[0])) {
        return NULL;
    }
    switch ((int)op->code) {
    case TG_OP_ADD:
    case TG_OP_SUB:
    case TG_OP_MUL:
    case TG_OP_DIV:
    case TG_OP_FMA:
    case TG_OP_MATH:
        if (whole) {
            bool wrong = flushes || has(s, TG_QUIRK_ROUND);
            return wrong ? real(x, tg_soft_whole(x, fn_of(op), bits(x, v[0]))) : NULL;
        }
        return always(s, op) ? soft(x, op, v) : flushes ? guarded(x, op, v) : NULL;
    case TG_OP_CMP:
        return flushes ? tg_soft_cmp(x, (tg_cmp_pred)tg_attr_int(op, TG_ATTR_PRED, 0),
                                     bits(x, v[0]), bits(x, v[1]))
                       : NULL;
    case TG_OP_MIN:
    case TG_OP_MAX:
        return flushes
                   ? real(x, tg_soft_minmax(x, op->code == TG_OP_MAX, bits(x, v[0]), bits(x, v[1])))
                   : NULL;
    default:
        return NULL;
    }
}

/* ---- vectors --------------------------------------------------------------------------------- */

static bool concerns(const around *s, const tg_op *op) {
    bool flushes = has(s, TG_QUIRK_FLUSHES), from = op->n_operands > 0 && is_f32(tg_operand(op, 0));
    switch ((int)op->code) {
    case TG_OP_ADD:
    case TG_OP_SUB:
    case TG_OP_MIN:
    case TG_OP_MAX:
    case TG_OP_CMP:
        return from && flushes;
    case TG_OP_MUL:
    case TG_OP_DIV:
    case TG_OP_FMA:
        return from && (flushes || always(s, op));
    case TG_OP_MATH:
        return from && (flushes || always(s, op) || (!is_root(op) && has(s, TG_QUIRK_ROUND)));
    case TG_OP_REDUCEV:
        return from && (flushes || has(s, TG_QUIRK_CONTRACTS));
    case TG_OP_CAST:
        return (from && flushes) ||
               (is_f32(&op->results[0]) && (flushes || has(s, TG_QUIRK_CASTS)));
    default:
        return false;
    }
}

static tg_value *by_lanes(const around *s, const tg_xp *x, tg_op *op) {
    int64_t n = tg_operand(op, 0)->type->shape[0];
    tg_value *row = NULL;
    for (int64_t l = 0; l < n; l++) {
        tg_value *v[3] = {NULL};
        for (int i = 0; i < op->n_operands; i++) {
            v[i] = tg_build_extract(x->b, tg_operand(op, i), l);
        }
        tg_value *r = replacement(s, x, op, v);
        if (!r) {
            return NULL; /* of the first lane as of all */
        }
        row = l == 0 ? tg_build_splat(x->b, r, n) : tg_build_insert(x->b, row, r, l);
    }
    return row;
}

/* Halves are combined element by element; what an odd length leaves over joins at the end. */
static tg_value *by_tree(const around *s, const tg_xp *x, const tg_op *op) {
    static const tg_opcode codes[] = {TG_OP_ADD, TG_OP_MUL, TG_OP_MIN, TG_OP_MAX};
    int64_t kind = tg_attr_int(op, TG_ATTR_RED, 0), n = tg_operand(op, 0)->type->shape[0];
    tg_value *v[256];
    if (kind < 0 || kind >= (int64_t)TG_COUNT_OF(codes) || n > 256) {
        return NULL;
    }
    for (int64_t l = 0; l < n; l++) {
        v[l] = tg_build_extract(x->b, tg_operand(op, 0), l);
    }
    for (; n > 1; n = n / 2) {
        for (int64_t k = 0; k < n / 2 + n % 2; k++) {
            bool odd = k == n / 2;
            tg_value *pair[2] = {v[odd ? 0 : k], v[odd ? n - 1 : k + n / 2]};
            tg_value *plain = tg_build_binary(x->b, codes[kind], pair[0], pair[1]);
            tg_value *r = plain->def && concerns(s, plain->def) && plain->def->code == codes[kind]
                              ? replacement(s, x, plain->def, pair)
                              : NULL;
            v[odd ? 0 : k] = r ? r : plain;
        }
    }
    return v[0];
}

/* ---- the pass -------------------------------------------------------------------------------- */

static tg_value *around_op(const around *s, tg_op *op) {
    tg_builder b = tg_builder_before(op);
    tg_xp x = {&b, s->mc};
    b.span = op->span;
    if (!concerns(s, op)) {
        return NULL;
    }
    if (op->code == TG_OP_REDUCEV) {
        return by_tree(s, &x, op);
    }
    if (tg_operand(op, 0)->type->kind == TG_TY_VEC) {
        return by_lanes(s, &x, op);
    }
    tg_value *v[3] = {NULL};
    for (int i = 0; i < op->n_operands; i++) {
        v[i] = tg_operand(op, i);
    }
    return replacement(s, &x, op, v);
}

static void around_region(around *s, tg_region *r) {
    for (tg_op *op = r->first, *next; op && s->status == TG_OK; op = next) {
        next = op->next;
        for (int i = 0; i < op->n_regions; i++) {
            around_region(s, op->regions[i]);
        }
        check(s, op);
        tg_value *v = s->status == TG_OK ? around_op(s, op) : NULL;
        if (v) {
            tg_replace_all_uses(&op->results[0], v);
            tg_op_erase(op);
        }
    }
}

tg_status tg_go_around(tg_module *loop, const tg_machine *mc, tg_sink *sink) {
    for (tg_func *f = loop->first_func; f && (mc->quirks & ~(unsigned)TG_QUIRK_SHORT_LOOPS);
         f = f->next) {
        around s = {.func = f, .mc = mc, .sink = sink};
        if (f->body) {
            around_region(&s, f->body);
        }
        if (s.status) {
            return s.status;
        }
        if (has(&s, TG_QUIRK_NARROW) && f->body) {
            const tg_op *whole = tg_narrow_by_words(f);
            if (whole) {
                refuse(&s, whole, "narrow elements of shared memory in whole blocks",
                       TG_QUIRK_NARROW);
                return s.status;
            }
        }
    }
    return TG_OK;
}
