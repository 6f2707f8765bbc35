/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elementwise operations, choices and `@` on runtime values: type rules (small floats compute in
 * f32, movement keeps the type), alignment (R3), presence (R2, R4, R7).
 */
#include "frontend/value.h"
#include "ir/fold.h"

#include <math.h>

/* ---- alignment (R3) ------------------------------------------------------------------------- */

const char *tg_el_span_name(tg_elab *e, const tg_identity *s) {
    if (s->name != NULL) {
        return s->name;
    }
    return tg_arena_printf(e->a, "%.*s", (int)(s->where.end - s->where.begin),
                           s->where.source->text + s->where.begin);
}

static void misaligned(tg_elab *e, const tg_val *a, const tg_val *b, int axis, tg_span where) {
    const char *na = tg_el_span_name(e, a->id[axis]), *nb = tg_el_span_name(e, b->id[axis]);
    tg_diag *d = tg_el_error(e, TG_D_ALIGNMENT, where,
                             "axis %d runs along `%s` on one side and along `%s` on the other",
                             axis, na, nb);
    tg_note_add(e->sink, d, a->where, "this runs along `%s`", na);
    tg_note_add(e->sink, d, b->where,
                "this runs along `%s`; `anon(..)` takes a value out of its span, `_` adds an axis",
                nb);
}

static bool ranks_agree(tg_elab *e, int n, const tg_val **vals, int *rank, tg_span where) {
    *rank = 0;
    const tg_val *first = NULL;
    for (int i = 0; i < n; i++) {
        int r = tg_el_rank(vals[i]);
        if (r == 0) {
            continue;
        }
        if (first != NULL && r != *rank) {
            tg_diag *d =
                tg_el_error(e, TG_D_SHAPE, where, "%s and %s have different numbers of axes",
                            tg_el_describe(e, first), tg_el_describe(e, vals[i]));
            tg_note_add(e->sink, d, where, "add axes with `_`, as in `x[_, :]`");
            return false;
        }
        first = vals[i];
        *rank = r;
    }
    return true;
}

bool tg_el_align(tg_elab *e, int n, const tg_val **vals, tg_span where) {
    int rank;
    if (!ranks_agree(e, n, vals, &rank, where)) {
        return false;
    }
    int64_t shape[TG_MAX_RANK] = {0};
    for (int a = 0; a < rank; a++) {
        const tg_val *from = NULL, *named = NULL;
        shape[a] = 1;
        for (int i = 0; i < n; i++) {
            if (tg_el_rank(vals[i]) == 0) {
                continue;
            }
            int64_t x = tg_el_extent(vals[i], a);
            if (x != 1 && shape[a] != 1 && x != shape[a]) {
                tg_el_error(e, TG_D_SHAPE, where, "%s and %s differ in axis %d",
                            tg_el_describe(e, from), tg_el_describe(e, vals[i]), a);
                return false;
            }
            if (x != 1) {
                shape[a] = x;
                from = vals[i];
            }
            if (named != NULL && vals[i]->id[a] != NULL && vals[i]->id[a] != named->id[a]) {
                misaligned(e, named, vals[i], a, where);
                return false;
            }
            named = vals[i]->id[a] != NULL ? vals[i] : named;
        }
    }
    if (!tg_el_fits(e, rank, shape, where)) {
        return false;
    }
    for (int i = 0; i < n; i++) {
        vals[i] = tg_el_broadcast(e, vals[i], rank, shape, where);
    }
    return true;
}

tg_val *tg_el_result(tg_elab *e, tg_value *ir, int n, const tg_val *const *from, tg_span where) {
    tg_val *r = tg_el_tile(e, ir, where);
    for (int i = 0; i < n; i++) {
        for (int a = 0; a < tg_el_rank(from[i]); a++) {
            r->id[a] = r->id[a] == NULL ? from[i]->id[a] : r->id[a];
        }
        tg_pr_join(e, &r->preds, &from[i]->preds);
    }
    return r;
}

const tg_val *tg_el_harden(tg_elab *e, const tg_val *v) {
    bool soft = false;
    for (int i = 0; i < v->preds.n && v->kind == TG_VAL_TILE; i++) {
        soft = soft || v->preds.items[i]->soft;
    }
    if (!soft) {
        return v;
    }
    tg_val *c = tg_el_copy(e, v);
    c->preds = (tg_preds){NULL, 0};
    for (int i = 0; i < v->preds.n; i++) {
        if (!v->preds.items[i]->soft) {
            tg_pr_add(e, &c->preds, v->preds.items[i]);
        }
    }
    return c;
}

/* ---- types ---------------------------------------------------------------------------------- */

const tg_val *tg_el_cast(tg_elab *e, const tg_val *a, tg_dtype to, tg_round round, bool sat,
                         tg_span where) {
    if (tg_el_is_const(a)) {
        bool same_kind = a->kind != TG_VAL_FLOAT || tg_dtype_is_float(to);
        if (a->kind != TG_VAL_BOOL && to != TG_DT_BOOL && same_kind) {
            tg_val *c = tg_el_copy(e, a);
            if (a->kind == TG_VAL_INT && !tg_dtype_is_float(to)) {
                c->i = tg_fold_wrap(to, a->i);
            }
            c->where = where;
            const tg_val *s = tg_el_adapt(e, c, to);
            return s == NULL ? &tg_val_error : s;
        }
        a = tg_el_runtime(e, a);
    }
    if (a->kind != TG_VAL_TILE) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, where, "%s cannot be converted", tg_el_describe(e, a));
        return &tg_val_error;
    }
    tg_dtype from = tg_el_dtype(a);
    if (from == to) {
        return a;
    }
    /* Storage formats meet others by way of f32, which holds each of them exactly. */
    tg_value *ir = a->ir;
    if (tg_dtype_is_storage(to) && tg_dtype_is_float(to) && !tg_dtype_is_float(from)) {
        ir = tg_build_cast(&e->b, ir, TG_DT_F32);
    }
    tg_val *r = tg_el_result(e, tg_build_cast_as(&e->b, ir, to, round, sat), 1, &a, where);
    bool keeps_value =
        tg_dtype_is_int(from) && (to == TG_DT_I64 || (to == TG_DT_I32 && tg_dtype_bits(from) < 32));
    r->sym = keeps_value ? a->sym : NULL;
    return r;
}

/* The type both runtime operands take; NONE when there is none. */
static tg_dtype common_type(tg_dtype a, tg_dtype b, bool movement) {
    if (movement && a == b) {
        return a;
    }
    if (!movement) {
        a = tg_dtype_arith(a);
        b = tg_dtype_arith(b);
    }
    if (a == b) {
        return a;
    }
    if (tg_dtype_is_float(a) != tg_dtype_is_float(b) || a == TG_DT_BOOL || b == TG_DT_BOOL) {
        return TG_DT_NONE;
    }
    if (tg_dtype_is_float(a)) {
        if (a == TG_DT_F64 || b == TG_DT_F64) {
            return TG_DT_NONE; /* f32 and f64 do not mix silently */
        }
        return TG_DT_F32;
    }
    if (a == TG_DT_I64 || b == TG_DT_I64) {
        return a == TG_DT_U64 || b == TG_DT_U64 ? TG_DT_NONE : TG_DT_I64; /* index arithmetic */
    }
    return tg_dtype_holds(b, a) ? b : tg_dtype_holds(a, b) ? a : TG_DT_NONE;
}

static tg_dtype type_of_consts(int n, const tg_val **vals) {
    tg_dtype t = TG_DT_NONE;
    for (int i = 0; i < n; i++) {
        tg_dtype c = vals[i]->kind == TG_VAL_FLOAT  ? TG_DT_F32
                     : vals[i]->kind == TG_VAL_BOOL ? TG_DT_BOOL
                                                    : TG_DT_I64;
        t = t == TG_DT_NONE || c == TG_DT_F32 ? c : t;
    }
    return t;
}

/* Whether some operand is a float that runtime dimensions have to follow. */
static bool dims_follow(int n, const tg_val *const *vals) {
    for (int i = 0; i < n; i++) {
        if (vals[i]->kind == TG_VAL_TILE && !vals[i]->adapts &&
            tg_dtype_is_float(tg_el_dtype(vals[i]))) {
            return true;
        }
    }
    return false;
}

bool tg_el_promote(tg_elab *e, int n, const tg_val **vals, bool movement, tg_span where) {
    tg_dtype t = TG_DT_NONE;
    const tg_val *first = NULL;
    for (int i = 0; i < n; i++) {
        if (tg_el_is_error(vals[i])) {
            return false;
        }
        if (tg_el_is_const(vals[i])) {
            continue;
        }
        if (vals[i]->kind != TG_VAL_TILE) {
            tg_el_error(e, TG_D_TYPE_MISMATCH, where, "%s cannot stand here",
                        tg_el_describe(e, vals[i]));
            return false;
        }
        tg_dtype d = tg_el_dtype(vals[i]);
        if (vals[i]->adapts && dims_follow(n, vals)) {
            continue;
        }
        tg_dtype next =
            first == NULL ? (movement ? d : tg_dtype_arith(d)) : common_type(t, d, movement);
        if (next == TG_DT_NONE) {
            tg_diag *g = tg_el_error(e, TG_D_TYPE_MISMATCH, where, "%s and %s do not mix",
                                     tg_el_describe(e, first), tg_el_describe(e, vals[i]));
            tg_note_add(e->sink, g, where, "convert one side with `as`");
            return false;
        }
        t = next;
        first = vals[i];
    }
    t = first == NULL ? type_of_consts(n, vals) : t;
    for (int i = 0; i < n; i++) {
        if (tg_el_is_const(vals[i])) {
            vals[i] = tg_el_adapt(e, vals[i], t);
            if (vals[i] == NULL) {
                return false;
            }
        } else {
            vals[i] = tg_el_cast(e, vals[i], t, TG_ROUND_RNE, false, where);
        }
    }
    return true;
}

/* ---- compile-time arithmetic ---------------------------------------------------------------- */

static const tg_val *fold_compare(tg_elab *e, tg_binop op, double d, bool unordered,
                                  tg_span where) {
    bool r = false;
    switch ((int)op) {
    case TG_BIN_EQ:
        r = d == 0;
        break;
    case TG_BIN_NE:
        r = d != 0;
        break;
    case TG_BIN_LT:
        r = d < 0;
        break;
    case TG_BIN_LE:
        r = d <= 0;
        break;
    case TG_BIN_GT:
        r = d > 0;
        break;
    default:
        r = d >= 0;
        break;
    }
    return tg_el_bool(e, unordered ? op == TG_BIN_NE : r, where);
}

static bool is_compare(tg_binop op) { return op >= TG_BIN_EQ && op <= TG_BIN_GE; }

static const tg_val *fold_int(tg_elab *e, tg_binop op, int64_t a, int64_t b, tg_span where) {
    static const tg_opcode codes[] = {
        [TG_BIN_ADD] = TG_OP_ADD, [TG_BIN_SUB] = TG_OP_SUB, [TG_BIN_MUL] = TG_OP_MUL,
        [TG_BIN_DIV] = TG_OP_DIV, [TG_BIN_REM] = TG_OP_REM, [TG_BIN_AND] = TG_OP_AND,
        [TG_BIN_OR] = TG_OP_OR,   [TG_BIN_XOR] = TG_OP_XOR, [TG_BIN_SHL] = TG_OP_SHL,
        [TG_BIN_SHR] = TG_OP_SHR};
    int64_t r = 0;
    if (!tg_fold_int_binary(codes[op], TG_DT_I64, a, b, &r)) {
        return &tg_val_error;
    }
    return tg_el_int(e, r, where);
}

static const tg_val *fold_float(tg_elab *e, tg_binop op, double a, double b, tg_span where) {
    switch ((int)op) {
    case TG_BIN_ADD:
        return tg_el_float(e, a + b, where);
    case TG_BIN_SUB:
        return tg_el_float(e, a - b, where);
    case TG_BIN_MUL:
        return tg_el_float(e, a * b, where);
    case TG_BIN_DIV:
        return tg_el_float(e, a / b, where);
    case TG_BIN_REM:
        return tg_el_float(e, fmod(a, b), where);
    default:
        tg_el_error(e, TG_D_TYPE_MISMATCH, where, "`%s` works on integers and bool",
                    tg_binop_text(op));
        return &tg_val_error;
    }
}

/* Both compile-time. */
static const tg_val *fold(tg_elab *e, tg_binop op, const tg_val *a, const tg_val *b,
                          tg_span where) {
    if ((a->kind == TG_VAL_BOOL) != (b->kind == TG_VAL_BOOL)) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, where, "%s and %s do not mix", tg_el_describe(e, a),
                    tg_el_describe(e, b));
        return &tg_val_error;
    }
    if (a->kind == TG_VAL_FLOAT || b->kind == TG_VAL_FLOAT) {
        double x = a->kind == TG_VAL_FLOAT ? a->f : (double)a->i,
               y = b->kind == TG_VAL_FLOAT ? b->f : (double)b->i;
        return is_compare(op) ? fold_compare(e, op, x < y ? -1 : x > y, isnan(x) || isnan(y), where)
                              : fold_float(e, op, x, y, where);
    }
    if (is_compare(op)) {
        return fold_compare(e, op, a->i < b->i ? -1 : a->i > b->i, false, where);
    }
    if (a->kind == TG_VAL_BOOL) {
        bool r = op == TG_BIN_AND ? a->i && b->i : op == TG_BIN_OR ? a->i || b->i : a->i != b->i;
        if (op == TG_BIN_AND || op == TG_BIN_OR || op == TG_BIN_XOR) {
            return tg_el_bool(e, r, where);
        }
        tg_el_error(e, TG_D_TYPE_MISMATCH, where, "`%s` does not work on bool", tg_binop_text(op));
        return &tg_val_error;
    }
    return fold_int(e, op, a->i, b->i, where);
}

/* ---- binary --------------------------------------------------------------------------------- */

/* Whether every value of d fits a type narrower than 64 bits, so that nothing wrapped. */
static bool stays_inside(tg_elab *e, const tg_dim *d, tg_dtype t) {
    int bits = tg_dtype_bits(t);
    bool sign = tg_dtype_is_signed(t);
    const tg_dim *last = tg_sy_int(e, ((int64_t)1 << (sign ? bits - 1 : bits)) - 1);
    const tg_dim *first = tg_sy_int(e, sign ? -((int64_t)1 << (bits - 1)) : 0);
    return tg_sy_at_least_0(e, tg_sy_bin(e, TG_DIM_SUB, d, first)) &&
           tg_sy_at_least_0(e, tg_sy_bin(e, TG_DIM_SUB, last, d));
}

static const tg_dim *number_sym(tg_elab *e, tg_binop op, const tg_dim *a, const tg_dim *b) {
    switch ((int)op) {
    case TG_BIN_ADD:
        return tg_sy_bin(e, TG_DIM_ADD, a, b);
    case TG_BIN_SUB:
        return tg_sy_bin(e, TG_DIM_SUB, a, b);
    case TG_BIN_MUL:
        return tg_sy_bin(e, TG_DIM_MUL, a, b);
    case TG_BIN_DIV:
        return tg_sy_bin(e, TG_DIM_DIV, a, b);
    case TG_BIN_REM:
        return tg_sy_bin(e, TG_DIM_MOD, a, b);
    default:
        return NULL;
    }
}

static const tg_dim *binary_sym(tg_elab *e, tg_binop op, const tg_val *a, const tg_val *b) {
    tg_dtype t = tg_el_dtype(a);
    if (t == TG_DT_BOOL && tg_el_rank(a) == 0 && (op == TG_BIN_AND || op == TG_BIN_OR)) {
        /* What nothing is known of stands for itself: a conjunction shows its other part where it
         * holds, and nothing where it does not. */
        const tg_dim *x = a->sym != NULL ? a->sym : tg_sy_value(e, a->ir);
        const tg_dim *y = b->sym != NULL ? b->sym : tg_sy_value(e, b->ir);
        bool unknown = a->sym == NULL && b->sym == NULL;
        return unknown ? NULL : tg_sy_bin(e, op == TG_BIN_AND ? TG_DIM_AND : TG_DIM_OR, x, y);
    }
    if (a->sym == NULL || b->sym == NULL || !tg_dtype_is_int(t) || t == TG_DT_U64) {
        return NULL;
    }
    const tg_dim *d = number_sym(e, op, a->sym, b->sym);
    d = d != NULL && tg_sy_small(d) ? d : NULL;
    return d == NULL || t == TG_DT_I64 || stays_inside(e, d, t) ? d
                                                                : NULL; /* narrower types wrap */
}

static const tg_val *compare(tg_elab *e, tg_binop op, const tg_val *const *v, tg_span where) {
    static const tg_cmp_pred preds[] = {
        [TG_BIN_EQ] = TG_CMP_EQ, [TG_BIN_NE] = TG_CMP_NE, [TG_BIN_LT] = TG_CMP_LT,
        [TG_BIN_LE] = TG_CMP_LE, [TG_BIN_GT] = TG_CMP_GT, [TG_BIN_GE] = TG_CMP_GE};
    tg_val *r = tg_el_result(e, tg_build_cmp(&e->b, preds[op], v[0]->ir, v[1]->ir), 2, v, where);
    if (tg_el_rank(r) == 0 && tg_el_dtype(v[0]) == TG_DT_I64) { /* what an `if` may rely on */
        static const tg_dim_code codes[] = {
            [TG_BIN_EQ] = TG_DIM_EQ, [TG_BIN_NE] = TG_DIM_NE, [TG_BIN_LT] = TG_DIM_LT,
            [TG_BIN_LE] = TG_DIM_LE, [TG_BIN_GT] = TG_DIM_LT, [TG_BIN_GE] = TG_DIM_LE};
        bool turn = op == TG_BIN_GT || op == TG_BIN_GE;
        r->sym =
            tg_sy_bin(e, codes[op], turn ? v[1]->sym : v[0]->sym, turn ? v[0]->sym : v[1]->sym);
    }
    return r;
}

static void binary_implies(tg_elab *e, tg_val *r, tg_binop op, const tg_val *a, const tg_val *b) {
    if (op == TG_BIN_AND) {
        tg_pr_join(e, &r->implies, &a->implies);
        tg_pr_join(e, &r->implies, &b->implies);
    } else if (op == TG_BIN_OR) {
        for (int i = 0; i < a->implies.n; i++) {
            if (tg_pr_implied(e, &b->implies, a->implies.items[i])) {
                tg_pr_add(e, &r->implies, a->implies.items[i]);
            }
        }
    }
}

static bool operands_fit(tg_elab *e, tg_binop op, tg_dtype t, tg_span where) {
    bool logic = op == TG_BIN_AND || op == TG_BIN_OR || op == TG_BIN_XOR;
    bool shift = op == TG_BIN_SHL || op == TG_BIN_SHR;
    if (t == TG_DT_BOOL ? logic || op == TG_BIN_EQ || op == TG_BIN_NE
                        : !((logic || shift) && tg_dtype_is_float(t))) {
        return true;
    }
    tg_diag *d = tg_el_error(e, TG_D_TYPE_MISMATCH, where, "`%s` does not work on %s",
                             tg_binop_text(op), tg_dtype_name(t));
    if (t == TG_DT_BOOL) {
        tg_note_add(e->sink, d, where, "count bools with `count(..)`, or convert with `as i32`");
    }
    return false;
}

const tg_val *tg_el_binary(tg_elab *e, tg_binop op, const tg_val *a, const tg_val *b,
                           tg_span where) {
    static const tg_opcode codes[] = {
        [TG_BIN_ADD] = TG_OP_ADD, [TG_BIN_SUB] = TG_OP_SUB, [TG_BIN_MUL] = TG_OP_MUL,
        [TG_BIN_DIV] = TG_OP_DIV, [TG_BIN_REM] = TG_OP_REM, [TG_BIN_AND] = TG_OP_AND,
        [TG_BIN_OR] = TG_OP_OR,   [TG_BIN_XOR] = TG_OP_XOR, [TG_BIN_SHL] = TG_OP_SHL,
        [TG_BIN_SHR] = TG_OP_SHR};
    a = tg_el_rvalue(e, a);
    b = tg_el_rvalue(e, b);
    if (tg_el_is_error(a) || tg_el_is_error(b)) {
        return &tg_val_error;
    }
    if (tg_el_is_const(a) && tg_el_is_const(b)) {
        return fold(e, op, a, b, where);
    }
    const tg_val *v[2] = {a, b};
    if (op == TG_BIN_SHL || op == TG_BIN_SHR) { /* the count takes the value's type */
        tg_dtype t = a->kind == TG_VAL_TILE ? tg_dtype_arith(tg_el_dtype(a)) : TG_DT_I64;
        v[0] = a->kind == TG_VAL_TILE ? tg_el_cast(e, a, t, TG_ROUND_RNE, false, where)
                                      : tg_el_runtime(e, a);
        v[1] = b->kind == TG_VAL_TILE && tg_dtype_is_int(tg_el_dtype(b)) && tg_dtype_is_int(t)
                   ? tg_el_cast(e, b, t, TG_ROUND_RNE, false, where)
                   : b;
    }
    if (!tg_el_promote(e, 2, v, is_compare(op), where) || !tg_el_align(e, 2, v, where) ||
        !operands_fit(e, op, tg_el_dtype(v[0]), where)) {
        return &tg_val_error;
    }
    if (is_compare(op)) {
        return compare(e, op, v, where);
    }
    tg_val *r = tg_el_result(e, tg_build_binary(&e->b, codes[op], v[0]->ir, v[1]->ir), 2, v, where);
    r->sym = binary_sym(e, op, v[0], v[1]);
    binary_implies(e, r, op, v[0], v[1]);
    return r;
}

const tg_val *tg_el_unary(tg_elab *e, tg_unop op, const tg_val *a, tg_span where) {
    a = tg_el_rvalue(e, a);
    if (tg_el_is_error(a)) {
        return a;
    }
    if (op == TG_UN_NEG && a->kind == TG_VAL_INT) {
        return tg_el_int(e, (int64_t)(0 - (uint64_t)a->i), where);
    }
    if (op == TG_UN_NEG && a->kind == TG_VAL_FLOAT) {
        return tg_el_float(e, -a->f, where);
    }
    if (op == TG_UN_NOT && a->kind == TG_VAL_BOOL) {
        return tg_el_bool(e, !a->i, where);
    }
    if (op == TG_UN_BITNOT && a->kind == TG_VAL_INT) {
        return tg_el_int(e, ~a->i, where);
    }
    tg_dtype t = tg_el_dtype(a);
    bool ok = a->kind == TG_VAL_TILE && (op == TG_UN_NEG   ? t != TG_DT_BOOL
                                         : op == TG_UN_NOT ? t == TG_DT_BOOL
                                                           : t == TG_DT_BOOL || tg_dtype_is_int(t));
    if (!ok) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, where, "`%s` does not work on %s", tg_unop_text(op),
                    tg_el_describe(e, a));
        return &tg_val_error;
    }
    if (!tg_dtype_is_float(t)) {
        a = tg_el_cast(e, a, t == TG_DT_BOOL ? t : tg_dtype_arith(t), TG_ROUND_RNE, false, where);
    }
    tg_val *r = tg_el_result(
        e, tg_build_unary(&e->b, op == TG_UN_NEG ? TG_OP_NEG : TG_OP_NOT, a->ir), 1, &a, where);
    if (op == TG_UN_NEG && a->sym != NULL && t == TG_DT_I64) {
        r->sym = tg_sy_bin(e, TG_DIM_SUB, tg_sy_int(e, 0), a->sym);
    }
    return r;
}

const tg_val *tg_el_minmax(tg_elab *e, bool max, const tg_val *a, const tg_val *b, tg_span where) {
    a = tg_el_rvalue(e, a);
    b = tg_el_rvalue(e, b);
    if (a->kind == TG_VAL_INT && b->kind == TG_VAL_INT) {
        return tg_el_int(e, max == (a->i > b->i) ? a->i : b->i, where);
    }
    const tg_val *v[2] = {a, b};
    if (!tg_el_promote(e, 2, v, true, where) || !tg_el_align(e, 2, v, where)) {
        return &tg_val_error;
    }
    if (tg_el_dtype(v[0]) == TG_DT_BOOL) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, where,
                    "min and max do not work on bool: use `&` and `|`");
        return &tg_val_error;
    }
    tg_val *r = tg_el_result(
        e, tg_build_binary(&e->b, max ? TG_OP_MAX : TG_OP_MIN, v[0]->ir, v[1]->ir), 2, v, where);
    if (tg_el_dtype(r) != TG_DT_U64) { /* which orders its upper half differently */
        r->sym = tg_sy_bin(e, max ? TG_DIM_MAX : TG_DIM_MIN, v[0]->sym, v[1]->sym);
    }
    return r;
}

/* ---- choices (R2, R4) ----------------------------------------------------------------------- */

/* c brought to a bool tile; NULL after an error. */
static const tg_val *condition(tg_elab *e, const tg_val *c, tg_span where) {
    c = tg_el_runtime(e, c);
    if (tg_el_is_error(c)) {
        return NULL;
    }
    if (c->kind != TG_VAL_TILE || tg_el_dtype(c) != TG_DT_BOOL) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, where, "a condition is a bool, not %s",
                    tg_el_describe(e, c));
        return NULL;
    }
    return c;
}

/* An integer chosen by a condition: bounded when both choices are. */
static const tg_dim *choice_sym(tg_elab *e, const tg_val *r, const tg_val *x, const tg_val *y) {
    if (x->sym == NULL || y->sym == NULL || tg_el_rank(r) != 0) {
        return NULL;
    }
    const tg_dim *d = tg_sy_value(e, r->ir);
    tg_atom *a = e->atoms.data[d->value - TG_ATOM_BASE];
    tg_sy_lower(e, a, tg_sy_bin(e, TG_DIM_MIN, x->sym, y->sym));
    tg_sy_upper(e, a, tg_sy_bin(e, TG_DIM_MAX, x->sym, y->sym));
    return d;
}

const tg_val *tg_el_where(tg_elab *e, const tg_val *c, const tg_val *x, const tg_val *y,
                          tg_span where) {
    if (c->kind == TG_VAL_BOOL) {
        return c->i ? x : y;
    }
    const tg_val *cond = condition(e, c, where);
    const tg_val *v[3] = {tg_el_rvalue(e, x), tg_el_rvalue(e, y), cond};
    if (cond == NULL || !tg_el_promote(e, 2, v, true, where) || !tg_el_align(e, 3, v, where)) {
        return &tg_val_error;
    }
    tg_val *r = tg_el_result(e, tg_build_select(&e->b, v[2]->ir, v[0]->ir, v[1]->ir), 3, v, where);
    tg_pr_where(e, r, v[2], v[0], v[1]);
    r->sym = choice_sym(e, r, v[0], v[1]);
    return r;
}

const tg_val *tg_el_else(tg_elab *e, const tg_val *x, const tg_val *v, tg_span where) {
    if (tg_el_is_error(x) || tg_el_is_error(v)) {
        return &tg_val_error;
    }
    if (tg_el_is_const(x)) {
        return x;
    }
    v = tg_el_rvalue(e, v);
    const tg_val *w[2] = {x, v};
    bool to_false = v->kind == TG_VAL_BOOL && !v->i;
    if (!tg_el_promote(e, 2, w, true, where) || !tg_el_align(e, 2, w, where)) {
        return &tg_val_error;
    }
    const tg_type *t = w[0]->ir->type;
    tg_value *m = tg_pr_conj(e, &w[0]->preds, t->rank, t->shape);
    tg_val *r = tg_el_result(
        e, m == NULL ? w[0]->ir : tg_build_select(&e->b, m, w[0]->ir, w[1]->ir), 2, w, where);
    r->preds = w[1]->preds;
    if (m == NULL) {
        r->preds = (tg_preds){NULL, 0};
        r->sym = w[0]->sym;
    } else if (w[1]->preds.n > 0) { /* present where either is */
        tg_value *other = tg_pr_conj(e, &w[1]->preds, t->rank, t->shape);
        int axes[TG_MAX_RANK];
        for (int a = 0; a < t->rank; a++) {
            axes[a] = a;
        }
        tg_preds ps = {NULL, 0};
        tg_value *either = tg_build_binary(&e->b, TG_OP_OR, m, other);
        for (int i = 0; i < w[1]->preds.n; i++) {
            if (tg_pr_implied(e, &w[0]->preds, w[1]->preds.items[i])) {
                tg_pr_add(e, &ps, w[1]->preds.items[i]);
            }
        }
        if (ps.n < w[1]->preds.n) {
            tg_pr_add(e, &ps, tg_pr_from_mask(e, either, t->rank, axes, where));
        }
        r->preds = ps;
    }
    for (int a = 0; a < t->rank; a++) { /* one side has left its span (R3) */
        r->id[a] = w[0]->id[a];
    }
    if (to_false) {
        r->implies = w[0]->preds;
        tg_pr_join(e, &r->implies, &w[0]->implies);
    }
    return r;
}

const tg_val *tg_el_if(tg_elab *e, const tg_val *x, const tg_val *c, tg_span where) {
    const tg_val *cond = condition(e, c, where);
    x = tg_el_runtime(e, x);
    if (cond == NULL || tg_el_is_error(x)) {
        return &tg_val_error;
    }
    const tg_val *v[2] = {x, cond};
    if (x->kind != TG_VAL_TILE || !tg_el_align(e, 2, v, where)) {
        return &tg_val_error;
    }
    tg_val *r = tg_el_result(e, v[0]->ir, 2, v, where);
    r->preds = (tg_preds){NULL, 0};
    tg_preds known = v[1]->preds;
    tg_pr_join(e, &known, &v[1]->implies);
    for (int i = 0; i < v[0]->preds.n;
         i++) { /* absence that the condition covers is the author's choice */
        const tg_pred *p = v[0]->preds.items[i];
        tg_pred *q = TG_NEW(e->a, tg_pred);
        *q = *p;
        q->chosen = p->chosen || tg_pr_implied(e, &known, p);
        tg_pr_add(e, &r->preds, q);
    }
    for (int i = 0; i < v[1]->preds.n; i++) {
        tg_pred *q = TG_NEW(e->a, tg_pred);
        *q = *v[1]->preds.items[i];
        q->chosen = true;
        tg_pr_add(e, &r->preds, q);
    }
    int axes[TG_MAX_RANK], rank = tg_el_rank(cond) == 0 ? 0 : tg_el_rank(v[1]);
    for (int a = 0; a < rank; a++) {
        axes[a] = a;
    }
    tg_pred *own = TG_NEW(e->a, tg_pred);
    *own = *tg_pr_from_mask(e, rank == 0 ? cond->ir : v[1]->ir, rank, axes, where);
    own->chosen = true;
    tg_pr_add(e, &r->preds, own);
    r->sym = v[0]->sym;
    return r;
}

const tg_val *tg_el_exists(tg_elab *e, const tg_val *x, tg_span where) {
    if (tg_el_is_error(x)) {
        return x;
    }
    if (x->kind != TG_VAL_TILE || x->preds.n == 0) {
        if (tg_el_rank(x) == 0) {
            return tg_el_bool(e, true, where);
        }
    }
    const tg_type *t = x->ir->type;
    tg_value *m = tg_pr_conj(e, &x->preds, t->rank, t->shape);
    tg_val *r = tg_el_tile(
        e, m != NULL ? m : tg_build_int(&e->b, tg_type_with_dtype(e->m, t, TG_DT_BOOL), 1), where);
    for (int a = 0; a < t->rank; a++) {
        r->id[a] = x->id[a];
    }
    r->implies = x->preds;
    return r;
}

/* ---- @ (R7) --------------------------------------------------------------------------------- */

static tg_dtype accumulator(tg_dtype a, tg_dtype b) {
    if (tg_dtype_is_float(a) && tg_dtype_is_float(b)) {
        return (a == TG_DT_F64) == (b == TG_DT_F64) ? (a == TG_DT_F64 ? a : TG_DT_F32) : TG_DT_NONE;
    }
    if (tg_dtype_is_int(a) && tg_dtype_is_int(b)) {
        if (tg_dtype_bits(a) <= 16 && tg_dtype_bits(b) <= 16) {
            return TG_DT_I32;
        }
        return a == b ? a : TG_DT_NONE;
    }
    return TG_DT_NONE;
}

static bool operand_types_fit(tg_dtype a, tg_dtype b) {
    if (a == b) {
        return a != TG_DT_F8E8M0 && a != TG_DT_BOOL;
    }
    bool f8 = (a == TG_DT_F8E4M3 || a == TG_DT_F8E5M2) && (b == TG_DT_F8E4M3 || b == TG_DT_F8E5M2);
    return f8 || (tg_dtype_is_int(a) && tg_dtype_is_int(b) && tg_dtype_bits(a) <= 8 &&
                  tg_dtype_bits(b) <= 8);
}

/* Splits the predicates of one operand: on the contraction axis into kmask, the rest into the
 * result. */
static bool dot_preds(tg_elab *e, const tg_val *x, int k_axis, const int *map, int batch,
                      tg_preds *on_k, tg_preds *rest, tg_span where) {
    for (int i = 0; i < x->preds.n; i++) {
        const tg_pred *p = x->preds.items[i];
        if (!tg_pr_mentions(p, k_axis)) {
            tg_pr_add(e, rest, tg_pr_remap(e, p, map));
            continue;
        }
        for (int a = 0; a < p->n_axes; a++) {
            if (p->axes[a] != k_axis && p->axes[a] >= batch) {
                tg_diag *d =
                    tg_el_error(e, TG_D_JOINT_PRESENCE, where,
                                "`@` cannot skip elements that are absent for some rows only");
                tg_note_add(e->sink, d, p->where,
                            "these elements depend on a row and on the contracted axis together");
                tg_note_add(e->sink, d, x->where, "write `(%.*s) else 0`",
                            (int)tg_min_i64(x->where.end - x->where.begin, 60),
                            x->where.source != NULL ? x->where.source->text + x->where.begin : "");
                return false;
            }
        }
        int to_k[TG_MAX_RANK];
        for (int a = 0; a < TG_MAX_RANK; a++) {
            to_k[a] = a == k_axis ? batch : a;
        }
        tg_pr_add(e, on_k, tg_pr_remap(e, p, to_k));
    }
    return true;
}

static bool dot_shapes(tg_elab *e, const tg_val *a, const tg_val *b, int rank, tg_span where) {
    for (int i = 0; i < rank - 2; i++) {
        if (tg_el_extent(a, i) != tg_el_extent(b, i)) {
            tg_el_error(e, TG_D_SHAPE, where, "%s @ %s: axis %d differs", tg_el_describe(e, a),
                        tg_el_describe(e, b), i);
            return false;
        }
        if (a->id[i] != NULL && b->id[i] != NULL && a->id[i] != b->id[i]) {
            misaligned(e, a, b, i, where);
            return false;
        }
    }
    if (tg_el_extent(a, rank - 1) != tg_el_extent(b, rank - 2)) {
        tg_el_error(e, TG_D_SHAPE, where, "%s @ %s: %lld columns meet %lld rows",
                    tg_el_describe(e, a), tg_el_describe(e, b),
                    (long long)tg_el_extent(a, rank - 1), (long long)tg_el_extent(b, rank - 2));
        return false;
    }
    const tg_identity *ka = a->id[rank - 1], *kb = b->id[rank - 2];
    if (ka != NULL && kb != NULL && ka != kb) {
        tg_diag *d = tg_el_error(
            e, TG_D_ALIGNMENT, where,
            "the contracted axis runs along `%s` on one side and along `%s` on the other",
            tg_el_span_name(e, ka), tg_el_span_name(e, kb));
        tg_note_add(e->sink, d, where, "`anon(..)` takes a value out of its span");
        return false;
    }
    return true;
}

bool tg_el_matmul_acc_ok(const tg_val *a, const tg_val *b, const tg_val *acc) {
    if (a->kind != TG_VAL_TILE || b->kind != TG_VAL_TILE || acc->kind != TG_VAL_TILE) {
        return false;
    }
    int r = tg_el_rank(a);
    if (r < 2 || tg_el_rank(b) != r || tg_el_rank(acc) != r ||
        tg_el_dtype(acc) != accumulator(tg_el_dtype(a), tg_el_dtype(b)) ||
        tg_el_extent(acc, r - 2) != tg_el_extent(a, r - 2) ||
        tg_el_extent(acc, r - 1) != tg_el_extent(b, r - 1)) {
        return false;
    }
    for (int i = 0; i < r - 2; i++) {
        if (tg_el_extent(acc, i) != tg_el_extent(a, i)) {
            return false;
        }
    }
    const tg_identity *m = a->id[r - 2], *n = b->id[r - 1];
    return (acc->id[r - 2] == NULL || m == NULL || acc->id[r - 2] == m) &&
           (acc->id[r - 1] == NULL || n == NULL || acc->id[r - 1] == n);
}

static const tg_val *matmul(tg_elab *e, const tg_val *a, const tg_val *b, const tg_val *acc,
                            tg_dot_numeric numeric, tg_span where) {
    int rank = tg_el_rank(a), batch = rank - 2, map[TG_MAX_RANK];
    if (!dot_shapes(e, a, b, rank, where)) {
        return &tg_val_error;
    }
    int64_t shape[TG_MAX_RANK], kshape[TG_MAX_RANK];
    for (int i = 0; i < rank; i++) {
        shape[i] = i == rank - 1 ? tg_el_extent(b, i) : tg_el_extent(a, i);
        kshape[i] = i == batch ? tg_el_extent(a, rank - 1) : tg_el_extent(a, i);
        map[i] = i;
    }
    tg_preds on_k = {NULL, 0}, rest = {NULL, 0};
    if (!tg_el_fits(e, rank, shape, where)) {
        return &tg_val_error;
    }
    if (!dot_preds(e, a, rank - 1, map, batch, &on_k, &rest, where) ||
        !dot_preds(e, b, rank - 2, map, batch, &on_k, &rest, where)) {
        return &tg_val_error;
    }
    tg_dtype t = accumulator(tg_el_dtype(a), tg_el_dtype(b));
    bool over_batch = false;
    for (int i = 0; i < on_k.n; i++) {
        over_batch = over_batch || on_k.items[i]->n_axes > 1;
    }
    tg_value *kmask = NULL;
    if (over_batch) {
        kmask = tg_pr_conj(e, &on_k, batch + 1, kshape);
    } else if (on_k.n > 0) {
        tg_preds flat = {NULL, 0};
        int zero[TG_MAX_RANK] = {0};
        for (int i = 0; i < on_k.n; i++) {
            tg_pr_add(e, &flat, tg_pr_remap(e, on_k.items[i], zero));
        }
        kmask = tg_pr_conj(e, &flat, 1, &kshape[batch]);
    }
    const tg_type *type = tg_type_tile(e->m, t, rank, shape);
    tg_value *start = acc != NULL            ? acc->ir
                      : tg_dtype_is_float(t) ? tg_build_float(&e->b, type, 0)
                                             : tg_build_int(&e->b, type, 0);
    tg_val *r =
        tg_el_tile(e, tg_build_dot(&e->b, a->ir, b->ir, start, batch, numeric, kmask), where);
    for (int i = 0; i < rank; i++) {
        r->id[i] = i == rank - 1      ? b->id[i]
                   : a->id[i] != NULL ? a->id[i]
                   : i < batch        ? b->id[i]
                                      : NULL;
        if (r->id[i] == NULL && acc != NULL) {
            r->id[i] = acc->id[i];
        }
    }
    r->preds = rest;
    if (acc != NULL) {
        tg_pr_join(e, &r->preds, &acc->preds);
    }
    return r;
}

/* 16-bit integers multiply as i32, where their products fit and sums wrap late. */
static const tg_val *widened(tg_elab *e, const tg_val *x, tg_span where) {
    tg_dtype t = tg_el_dtype(x);
    return t == TG_DT_I16 || t == TG_DT_U16
               ? tg_el_cast(e, x, TG_DT_I32, TG_ROUND_RNE, false, where)
               : x;
}

const tg_val *tg_el_matmul(tg_elab *e, const tg_val *a, const tg_val *b, const tg_val *acc,
                           tg_dot_numeric numeric, tg_span where) {
    a = tg_el_rvalue(e, a);
    b = tg_el_rvalue(e, b);
    if (tg_el_is_error(a) || tg_el_is_error(b)) {
        return &tg_val_error;
    }
    int ra = tg_el_rank(a), rb = tg_el_rank(b);
    if (a->kind != TG_VAL_TILE || b->kind != TG_VAL_TILE || ra == 0 || rb == 0 ||
        (ra > 1 && rb > 1 && ra != rb)) {
        tg_el_error(e, TG_D_SHAPE, where,
                    "`@` needs two matrices (with equal leading axes), not %s and %s",
                    tg_el_describe(e, a), tg_el_describe(e, b));
        return &tg_val_error;
    }
    a = widened(e, a, where);
    b = widened(e, b, where);
    if (!operand_types_fit(tg_el_dtype(a), tg_el_dtype(b))) {
        tg_diag *d = tg_el_error(e, TG_D_TYPE_MISMATCH, where, "`@` does not multiply %s with %s",
                                 tg_dtype_name(tg_el_dtype(a)), tg_dtype_name(tg_el_dtype(b)));
        tg_note_add(e->sink, d, where, "convert one side with `as`");
        return &tg_val_error;
    }
    if (ra > 1 && rb > 1) {
        return matmul(e, a, b, acc, numeric, where);
    }
    if ((ra == 1 ? rb : ra) > 2) {
        tg_el_error(e, TG_D_SHAPE, where, "a vector meets a matrix of two axes in `@`");
        return &tg_val_error;
    }
    a = ra == 1 ? tg_el_new_axes(e, a, 1u, where) : a;
    b = rb == 1 ? tg_el_new_axes(e, b, 2u, where) : b;
    const tg_val *r = matmul(e, a, b, NULL, numeric, where);
    if (rb == 1 && !tg_el_is_error(r)) {
        r = tg_el_squeeze(e, r, 1, where);
    }
    return ra == 1 && !tg_el_is_error(r) ? tg_el_squeeze(e, r, 0, where) : r;
}
