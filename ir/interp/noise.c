/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Noise: how far may a correct device be from the interpreter? After each float operation its
 * result moves by the error that the language allows it (half a unit in the last place of single
 * operations, n units of 2^-24 times the sum of magnitudes for sums and products of n terms, a few
 * units for functions), and the rest of the kernel carries the move on as it carries a real error.
 * Run in double arithmetic against a run without noise, the differences of the outputs are the
 * derived bounds: K * 2^-24 * sum|a||b| for a matrix product. Seed 1 moves every result up, so that
 * the moves of a chain of sums add; other seeds choose each direction.
 */
#include <math.h>

#include "ir/interp/internal.h"

/* Half a unit in the last place relative to the value. */
static double unit(tg_dtype t) { return t == TG_DT_F64 ? 0x1p-53 : 0x1p-24; }

/* 1 or -1, from the seed and a running number (the finaliser of splitmix64). */
static double direction(tg_interp *in) {
    if (in->opt->noise_seed == 1) {
        return 1;
    }
    uint64_t z = (++in->moves + in->opt->noise_seed) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    return ((z ^ (z >> 27)) & 1) != 0 ? 1 : -1;
}

static void move(tg_interp *in, tg_cell *c, double error) {
    if (isfinite(c->f) && isfinite(error) && error > 0) {
        c->f += direction(in) * error;
    }
}

/* Every element by `units` half units of its own magnitude. */
static void move_each(tg_interp *in, const tg_op *op, double units) {
    tg_cell *r = in->values[op->results[0].id];
    double u = units * unit(op->results[0].type->dtype);
    for (int64_t i = 0, n = tg_type_count(op->results[0].type); i < n; i++) {
        move(in, &r[i], u * fabs(r[i].f));
    }
}

/* docs/math.md: at most 2.5 ULP, a ULP being up to 2 half units on either side. */
static double math_units(tg_math_fn fn) {
    switch (fn) {
    case TG_MATH_FLOOR:
    case TG_MATH_CEIL:
    case TG_MATH_ROUND:
        return 0;
    case TG_MATH_SQRT:
        return 1;
    case TG_MATH_EXP2:
    case TG_MATH_EXP:
    case TG_MATH_LOG:
    case TG_MATH_LOG2:
    case TG_MATH_RSQRT:
    case TG_MATH_SIN:
    case TG_MATH_COS:
    case TG_MATH_TANH:
    case TG_MATH_SIGMOID:
    case TG_MATH_ERF:
    case TG_MATH_COUNT:
        break;
    }
    return 5;
}

static void move_dot(tg_interp *in, const tg_op *op) {
    const tg_type *at = tg_operand(op, 0)->type, *rt = op->results[0].type;
    int batch_rank = (int)tg_attr_int(op, TG_ATTR_BATCH, 0);
    int64_t m = at->shape[batch_rank], depth = at->shape[batch_rank + 1];
    int64_t n = rt->shape[batch_rank + 1], batches = m * n > 0 ? tg_type_count(rt) / (m * n) : 0;
    const tg_cell *a = tg_iv_cells(in, op, 0), *b = tg_iv_cells(in, op, 1);
    const tg_cell *acc = tg_iv_cells(in, op, 2);
    tg_cell *r = in->values[op->results[0].id];
    double u = (double)(depth + 1) * unit(rt->dtype);
    for (int64_t z = 0; z < batches; z++) {
        for (int64_t i = 0; i < m; i++) {
            for (int64_t j = 0; j < n; j++) {
                int64_t e = (z * m + i) * n + j;
                double sum = fabs(acc[e].f);
                for (int64_t k = 0; k < depth; k++) {
                    sum += fabs(a[(z * m + i) * depth + k].f * b[(z * depth + k) * n + j].f);
                }
                move(in, &r[e], u * sum);
            }
        }
    }
}

/* Sums and products along an axis: n half units of the sum of magnitudes, or of the product. */
static void move_lines(tg_interp *in, const tg_op *op) {
    const tg_type *t = tg_operand(op, 0)->type;
    int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0);
    tg_reduce_kind kind = (tg_reduce_kind)tg_attr_int(op, TG_ATTR_RED, 0);
    bool scan = op->code == TG_OP_SCAN;
    if (kind != TG_RED_SUM && kind != TG_RED_PROD) {
        return;
    }
    int64_t inner = 1, n = t->shape[axis];
    for (int a = axis + 1; a < t->rank; a++) {
        inner *= t->shape[a];
    }
    const tg_cell *x = tg_iv_cells(in, op, 0);
    tg_cell *r = in->values[op->results[0].id];
    double u = (double)n * unit(t->dtype);
    for (int64_t line = 0, lines = n > 0 ? tg_type_count(t) / n : 0; line < lines; line++) {
        int64_t first = line / inner * n * inner + line % inner;
        double sum = 0;
        for (int64_t k = 0; k < n; k++) {
            sum += fabs(x[first + k * inner].f);
            tg_cell *one = &r[scan ? first + k * inner : line];
            if (scan || k == n - 1) {
                move(in, one, u * (kind == TG_RED_SUM ? sum : fabs(one->f)));
            }
        }
    }
}

/* A value this close to the middle of two narrow ones may round to either on a device. */
static void flip_near_ties(tg_interp *in, const tg_op *op) {
    const double near = 0x1p-18; /* 64 half units of f32 */
    tg_dtype from = tg_operand(op, 0)->type->dtype, to = op->results[0].type->dtype;
    const tg_cell *a = tg_iv_cells(in, op, 0);
    tg_cell *r = in->values[op->results[0].id];
    for (int64_t i = 0, n = tg_type_count(op->results[0].type); i < n; i++) {
        double lo = tg_num_cast(in, from, to, a[i], TG_ROUND_DOWN, false).f;
        double hi = tg_num_cast(in, from, to, a[i], TG_ROUND_UP, false).f;
        double off = fabs(a[i].f - (lo + hi) / 2);
        if (isfinite(off) && lo < hi && off <= near * fabs(a[i].f)) {
            r[i].f = r[i].f > lo ? lo : hi;
        }
    }
}

static void move_cast(tg_interp *in, const tg_op *op) {
    tg_dtype from = tg_operand(op, 0)->type->dtype, to = op->results[0].type->dtype;
    if (tg_dtype_bits(to) >= 32) {
        bool widens = tg_dtype_is_float(from) && tg_dtype_bits(from) <= tg_dtype_bits(to);
        move_each(in, op, widens ? 0 : 1);
    } else if (tg_dtype_is_float(from)) {
        flip_near_ties(in, op);
    }
}

void tg_interp_noise(tg_interp *in, const tg_op *op) {
    if (op->n_results == 0 || op->results[0].type->kind != TG_TY_TILE ||
        !tg_dtype_is_float(op->results[0].type->dtype)) {
        return;
    }
    switch ((int)op->code) {
    case TG_OP_ADD:
    case TG_OP_SUB:
    case TG_OP_MUL:
    case TG_OP_DIV:
    case TG_OP_FMA:
        move_each(in, op, 1);
        break;
    case TG_OP_CAST:
        move_cast(in, op);
        break;
    case TG_OP_MATH:
        move_each(in, op, math_units((tg_math_fn)tg_attr_int(op, TG_ATTR_FN, 0)));
        break;
    case TG_OP_SCATTER_ADD:
        move_each(in, op, (double)tg_type_count(op->results[0].type));
        break;
    case TG_OP_DOT:
        move_dot(in, op);
        break;
    case TG_OP_REDUCE:
    case TG_OP_SCAN:
        move_lines(in, op);
        break;
    default: /* movement, choice and comparison add no error of their own */
        break;
    }
}
