/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which tile values are never positive: x - b where b is at least x by construction. That is the
 * argument of the exponential in every softmax: b is the greatest of a row of x, perhaps joined
 * with an earlier maximum, perhaps 0 instead where that maximum is -inf (and so is x). Such an
 * exponential needs neither the upper clamp nor the choice between two scales.
 *
 * Positions are followed from the difference inwards: axis a of the value at hand lies at axis
 * at[a] of the difference, at its only position (ONE), or anywhere (ALL: reduced over). What a mask
 * left out of the maximum is absent, and its exponential is never looked at.
 */
#include "backends/lower/expand/xp.h"

enum { ONE = -1, ALL = -2, DEPTH = 8 };

typedef struct place {
    const tg_value *v;
    int at[TG_MAX_RANK];
} place;

static const tg_op *def_of(const tg_value *v, tg_opcode code) {
    return v->def != NULL && v->def->code == code ? v->def : NULL;
}

/* Through broadcasts and reshapes that only add or drop axes of one element. */
static bool step_through_view(place *p) {
    const tg_op *op = p->v->def;
    place in = {.v = op == NULL || op->n_operands == 0 ? NULL : tg_operand(op, 0)};
    if (in.v == NULL) {
        return false;
    }
    const tg_type *t = p->v->type, *f = in.v->type;
    if (op->code == TG_OP_BROADCAST) {
        const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
        for (int a = 0; a < f->rank; a++) {
            in.at[a] = f->shape[a] == 1 ? ONE : p->at[axes->list[a]];
        }
        *p = in;
        return true;
    }
    if (op->code != TG_OP_RESHAPE) {
        return false;
    }
    int b = 0;
    for (int a = 0; a < f->rank; a++) {
        while (f->shape[a] != 1 && b < t->rank && t->shape[b] == 1) {
            b++;
        }
        if (f->shape[a] != 1 && (b == t->rank || t->shape[b] != f->shape[a])) {
            return false;
        }
        in.at[a] = f->shape[a] == 1 ? ONE : p->at[b++];
    }
    *p = in;
    return true;
}

/* The same element of the same value, or every element along some axes of it. */
static bool covers(place p, place x) {
    while (p.v != x.v && step_through_view(&p)) {
    }
    while (p.v != x.v && step_through_view(&x)) {
    }
    bool same = p.v == x.v;
    for (int a = 0; same && a < p.v->type->rank; a++) {
        same = p.v->type->shape[a] == 1 || p.at[a] == ALL || p.at[a] == x.at[a];
    }
    return same;
}

static place operand_at(place p, const tg_op *op, int k) {
    p.v = tg_operand(op, k);
    return p;
}

static bool at_least(place b, place x, int depth);

/* A choice by `t == -inf`, t at least x: the first side stands where x is -inf, and any number does
 * there. */
static bool choice_at_least(place b, const tg_op *op, place x, int depth) {
    double c;
    const tg_op *cmp = def_of(tg_operand(op, 0), TG_OP_CMP);
    if (cmp == NULL || tg_attr_int(cmp, TG_ATTR_PRED, 0) != TG_CMP_EQ ||
        !tg_value_const_float(tg_operand(cmp, 1), &c) || c != -__builtin_inf() ||
        !tg_value_const_float(tg_operand(op, 1), &c) || !(c > -__builtin_inf())) {
        return false;
    }
    return at_least(operand_at(b, cmp, 0), x, depth + 1) &&
           at_least(operand_at(b, op, 2), x, depth + 1);
}

static bool at_least(place b, place x, int depth) {
    while (step_through_view(&b)) {
    }
    const tg_op *op = b.v->def;
    if (depth > DEPTH) {
        return false;
    }
    if (covers(b, x)) {
        return true;
    }
    if (op == NULL) {
        return false;
    }
    if (op->code == TG_OP_MAX) {
        return at_least(operand_at(b, op, 0), x, depth + 1) ||
               at_least(operand_at(b, op, 1), x, depth + 1);
    }
    if (op->code == TG_OP_SELECT) {
        return choice_at_least(b, op, x, depth);
    }
    if (op->code == TG_OP_REDUCE && tg_attr_int(op, TG_ATTR_RED, 0) == TG_RED_MAX) {
        place in = {.v = tg_operand(op, 0)};
        int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0);
        for (int a = 0; a < in.v->type->rank; a++) {
            in.at[a] = a == axis ? ALL : b.at[a > axis ? a - 1 : a];
        }
        return covers(in, x) || at_least(in, x, depth + 1);
    }
    return false;
}

bool tg_xp_never_positive(const tg_value *v) {
    const tg_op *op = def_of(v, TG_OP_SUB);
    if (op == NULL || v->type->kind != TG_TY_TILE || v->type->rank == 0) {
        return false;
    }
    place x = {.v = tg_operand(op, 0)}, b = {.v = tg_operand(op, 1)};
    for (int a = 0; a < v->type->rank; a++) {
        x.at[a] = b.at[a] = a;
    }
    return at_least(b, x, 0);
}
