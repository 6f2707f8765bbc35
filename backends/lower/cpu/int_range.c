/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which integers a tile's elements can be: an interval from the expression that computes them.
 * Products of bytes choose their instructions by it.
 */
#include "backends/lower/cpu/lower.h"

enum { MAX_DEPTH = 12 };

static tg_range of_dtype(tg_dtype t) {
    int64_t bits = tg_dtype_bits(t);
    if (!tg_dtype_is_int(t) || bits > 32) {
        return (tg_range){INT64_MIN / 4, INT64_MAX / 4};
    }
    bool is_signed = tg_dtype_is_signed(t);
    return (tg_range){is_signed ? -((int64_t)1 << (bits - 1)) : 0,
                      ((int64_t)1 << (is_signed ? bits - 1 : bits)) - 1};
}

static bool inside(tg_range in, tg_range out) { return in.lo >= out.lo && in.hi <= out.hi; }

static tg_range hull(tg_range x, tg_range y) {
    return (tg_range){tg_min_i64(x.lo, y.lo), tg_max_i64(x.hi, y.hi)};
}

/* Operands are of at most 32 bits: sums do not overflow, products of u32 may. */
static tg_range of_product(tg_range x, tg_range y, tg_range all) {
    tg_range r = {0, 0};
    for (int i = 0; i < 4; i++) {
        int64_t p;
        if (!tg_mul_i64(i & 1 ? x.lo : x.hi, i & 2 ? y.lo : y.hi, &p)) {
            return all;
        }
        r = i == 0 ? (tg_range){p, p} : hull(r, (tg_range){p, p});
    }
    return r;
}

static tg_range of_binary(tg_opcode code, tg_range x, tg_range y, tg_dtype t) {
    tg_range all = of_dtype(t);
    switch ((int)code) {
    case TG_OP_ADD:
        return (tg_range){x.lo + y.lo, x.hi + y.hi};
    case TG_OP_SUB:
        return (tg_range){x.lo - y.hi, x.hi - y.lo};
    case TG_OP_MUL:
        return of_product(x, y, all);
    case TG_OP_MIN:
        return (tg_range){tg_min_i64(x.lo, y.lo), tg_min_i64(x.hi, y.hi)};
    case TG_OP_MAX:
        return (tg_range){tg_max_i64(x.lo, y.lo), tg_max_i64(x.hi, y.hi)};
    case TG_OP_AND:
        if (x.lo < 0 && y.lo < 0) {
            return all;
        }
        return (tg_range){0, x.lo < 0 ? y.hi : y.lo < 0 ? x.hi : tg_min_i64(x.hi, y.hi)};
    case TG_OP_SHR: /* the count is taken by its remainder */
        return x.lo >= 0 && y.lo == y.hi && y.lo >= 0 && y.lo < tg_dtype_bits(t)
                   ? (tg_range){x.lo >> y.lo, x.hi >> y.lo}
                   : all;
    default:
        return all;
    }
}

static tg_range of_codes(const tg_code_values *codes) {
    tg_range r = {codes->value[0], codes->value[0]};
    for (int c = 1; c < 16; c++) {
        r = hull(r, (tg_range){codes->value[c], codes->value[c]});
    }
    return r;
}

static tg_range range_at(tg_value *v, int depth) {
    tg_range all = of_dtype(v->type->dtype), r = all;
    tg_code_values codes;
    tg_op *op = v->def;
    int64_t c;
    if (tg_value_const_int(v, &c)) {
        return (tg_range){c, c};
    }
    if (op == NULL || depth == 0 || !tg_dtype_is_int(v->type->dtype) ||
        tg_dtype_bits(v->type->dtype) > 32) {
        return all;
    }
    if (tg_code_table(v, &codes)) {
        return of_codes(&codes);
    }
    switch ((int)op->code) {
    case TG_OP_CAST:
        r = tg_dtype_is_int(tg_operand(op, 0)->type->dtype) ? range_at(tg_operand(op, 0), depth - 1)
                                                            : all;
        break;
    case TG_OP_BROADCAST:
    case TG_OP_RESHAPE:
    case TG_OP_PERMUTE:
    case TG_OP_SLICE:
        r = range_at(tg_operand(op, 0), depth - 1);
        break;
    case TG_OP_SELECT:
        r = hull(range_at(tg_operand(op, 1), depth - 1), range_at(tg_operand(op, 2), depth - 1));
        break;
    case TG_OP_ADD:
    case TG_OP_SUB:
    case TG_OP_MUL:
    case TG_OP_MIN:
    case TG_OP_MAX:
    case TG_OP_AND:
    case TG_OP_SHR:
        r = of_binary(op->code, range_at(tg_operand(op, 0), depth - 1),
                      range_at(tg_operand(op, 1), depth - 1), v->type->dtype);
        break;
    default:
        break;
    }
    /* What leaves the type wraps around. */
    return inside(r, all) ? r : all;
}

tg_range tg_int_range(tg_value *v) { return range_at(v, MAX_DEPTH); }
