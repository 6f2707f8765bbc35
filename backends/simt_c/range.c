/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intervals of integer values, from constants, the lane, loop bounds and arithmetic. Unknown
 * values have the whole range of their type. Memoised per value; recursion follows definitions and
 * is bounded by a depth, beyond which nothing is known.
 */
#include "backends/simt_c/emit.h"

enum { MAX_DEPTH = 64 };
/* Room below the limits of int, so that a counter may step past its bound. */
#define NARROW (INT64_C(1) << 30)

static tg_c_range of(int64_t lo, int64_t hi) { return (tg_c_range){lo, hi, true}; }

static tg_c_range whole(const tg_type *t) {
    int bits = tg_dtype_bits(t->dtype);
    if (t->kind == TG_TY_PTR || !tg_dtype_is_int(t->dtype) || bits > 63) {
        return of(INT64_MIN, INT64_MAX);
    }
    return tg_dtype_is_signed(t->dtype)
               ? of(-(INT64_C(1) << (bits - 1)), (INT64_C(1) << (bits - 1)) - 1)
               : of(0, (INT64_C(1) << bits) - 1);
}

static bool within(tg_c_range r, tg_c_range limit) { return r.lo >= limit.lo && r.hi <= limit.hi; }

static tg_c_range range_at(tg_c_emitter *e, const tg_value *v, int depth);

static tg_c_range products(tg_c_range a, tg_c_range b, tg_c_range otherwise) {
    int64_t p[4];
    if (!tg_mul_i64(a.lo, b.lo, &p[0]) || !tg_mul_i64(a.lo, b.hi, &p[1]) ||
        !tg_mul_i64(a.hi, b.lo, &p[2]) || !tg_mul_i64(a.hi, b.hi, &p[3])) {
        return otherwise;
    }
    tg_c_range r = of(p[0], p[0]);
    for (int i = 1; i < 4; i++) {
        r = of(tg_min_i64(r.lo, p[i]), tg_max_i64(r.hi, p[i]));
    }
    return r;
}

static tg_c_range quotient(tg_c_range a, tg_c_range b, tg_c_range all) {
    return b.lo > 0 && a.lo >= 0 ? of(a.lo / b.hi, a.hi / b.lo) : all;
}

static tg_c_range remainder_of(tg_c_range a, tg_c_range b, tg_c_range all) {
    if (b.lo <= 0 || a.lo < 0) {
        return all;
    }
    return of(0, tg_min_i64(a.hi, b.hi - 1));
}

static tg_c_range binary(tg_c_emitter *e, const tg_op *op, int depth) {
    tg_c_range all = whole(op->results[0].type), r = all;
    tg_c_range a = range_at(e, tg_operand(op, 0), depth), b = range_at(e, tg_operand(op, 1), depth);
    switch ((int)op->code) {
    case TG_OP_ADD:
        r = tg_add_i64(a.lo, b.lo, &r.lo) && tg_add_i64(a.hi, b.hi, &r.hi) ? r : all;
        break;
    case TG_OP_SUB:
        r = tg_sub_i64(a.lo, b.hi, &r.lo) && tg_sub_i64(a.hi, b.lo, &r.hi) ? r : all;
        break;
    case TG_OP_MUL:
        r = products(a, b, all);
        break;
    case TG_OP_DIV:
        r = quotient(a, b, all);
        break;
    case TG_OP_REM:
        r = remainder_of(a, b, all);
        break;
    case TG_OP_MIN:
        r = of(tg_min_i64(a.lo, b.lo), tg_min_i64(a.hi, b.hi));
        break;
    case TG_OP_MAX:
        r = of(tg_max_i64(a.lo, b.lo), tg_max_i64(a.hi, b.hi));
        break;
    case TG_OP_AND:
        r = b.lo >= 0 ? of(0, b.hi) : a.lo >= 0 ? of(0, a.hi) : all;
        break;
    case TG_OP_SHR:
        r = a.lo >= 0 ? of(0, a.hi) : all;
        break;
    }
    return within(r, all) ? r : all;
}

/* Of a region argument: the lane, a loop's counter. */
static tg_c_range argument(tg_c_emitter *e, const tg_value *v, int depth) {
    const tg_op *loop = v->region->parent;
    tg_c_range all = whole(v->type);
    if (loop == NULL) {
        bool lane = v->index == 2 && e->func->lanes > 0 && v->type->kind == TG_TY_TILE;
        return lane ? of(0, e->func->lanes - 1) : all;
    }
    if (loop->code != TG_OP_FOR || v->index != 0) {
        return all;
    }
    tg_c_range lo = range_at(e, tg_operand(loop, 0), depth);
    tg_c_range hi = range_at(e, tg_operand(loop, 1), depth);
    return hi.hi > INT64_MIN && lo.lo <= hi.hi - 1 ? of(lo.lo, hi.hi - 1) : of(lo.lo, lo.lo);
}

static tg_c_range result(tg_c_emitter *e, const tg_op *op, const tg_value *v, int depth) {
    tg_c_range all = whole(v->type);
    switch ((int)op->code) {
    case TG_OP_CONST_INT: {
        int64_t c = tg_attr_int(op, TG_ATTR_VALUE_I, 0);
        return within(of(c, c), all) ? of(c, c) : all;
    }
    case TG_OP_CAST: {
        const tg_type *from = tg_operand(op, 0)->type;
        if (from->dtype == TG_DT_BOOL) {
            return of(0, 1);
        }
        tg_c_range r = tg_dtype_is_int(from->dtype) && from->dtype != TG_DT_U64
                           ? range_at(e, tg_operand(op, 0), depth)
                           : all;
        return within(r, all) ? r : all;
    }
    case TG_OP_SELECT: {
        tg_c_range a = range_at(e, tg_operand(op, 1), depth);
        tg_c_range b = range_at(e, tg_operand(op, 2), depth);
        return of(tg_min_i64(a.lo, b.lo), tg_max_i64(a.hi, b.hi));
    }
    case TG_OP_ADD:
    case TG_OP_SUB:
    case TG_OP_MUL:
    case TG_OP_DIV:
    case TG_OP_REM:
    case TG_OP_MIN:
    case TG_OP_MAX:
    case TG_OP_AND:
    case TG_OP_SHR:
        return v->type->dtype == TG_DT_U64 ? all : binary(e, op, depth);
    }
    return all;
}

static tg_c_range range_at(tg_c_emitter *e, const tg_value *v, int depth) {
    tg_c_value *known = tg_c_value_of(e, v);
    if (known->ranged) {
        return known->range;
    }
    bool scalar_int = tg_type_is_scalar(v->type) && tg_dtype_is_int(v->type->dtype);
    if (!scalar_int || depth <= 0) {
        return whole(v->type);
    }
    tg_c_range r = v->def == NULL ? argument(e, v, depth - 1) : result(e, v->def, v, depth - 1);
    known->range = r;
    known->ranged = true;
    return r;
}

tg_c_range tg_c_range_of(tg_c_emitter *e, const tg_value *v) { return range_at(e, v, MAX_DEPTH); }

bool tg_c_is_narrow(tg_c_emitter *e, const tg_value *v) {
    if (!tg_type_is_scalar(v->type) || v->type->dtype != TG_DT_I64) {
        return false;
    }
    tg_c_range r = tg_c_range_of(e, v);
    return r.lo >= -NARROW && r.hi <= NARROW;
}
