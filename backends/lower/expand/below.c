/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which tile values are never positive: x - b where b is at least x by construction. That is the
 * argument of the exponential in every softmax: b is the greatest of a row of x, perhaps joined
 * with an earlier maximum, perhaps 0 instead where that maximum is -inf (and so is x). Such an
 * exponential needs neither the upper clamp nor the choice between two scales.
 *
 * Positions are followed from the difference inwards: axis a of the value at hand lies at axis
 * at[a] of the difference, at its only position (ONE), or anywhere (ALL: reduced over). Where a
 * mask left elements out of the maximum, nothing may look at the exponential there: it goes through
 * elementwise operations into choices and reductions under that mask, and into stores that leave
 * the same positions out.
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

/* The axis along which the mask is that of a span, and the span; -1: it is not. */
static int span_of(const tg_value *mask, int axis, const tg_value **out_span) {
    const tg_op *op = def_of(mask, TG_OP_BROADCAST);
    if (op != NULL && tg_operand(op, 0)->type->rank == 1) {
        axis = (int)tg_attr_get(op, TG_ATTR_AXES)->list[0];
        mask = tg_operand(op, 0);
    }
    op = def_of(mask, TG_OP_SPAN_MASK);
    *out_span = op != NULL ? tg_operand(op, 0) : NULL;
    return op != NULL ? axis : -1;
}

/* A store of a tile that leaves out, along the axis, what lies behind the span. */
static bool stores_in_span(const tg_op *store, int axis, const tg_value *span) {
    const tg_attr *axes = tg_attr_get(store, TG_ATTR_AXES);
    int at = 0;
    for (int i = 2; i < store->n_operands; i++) {
        const tg_value *index = tg_operand(store, i);
        bool is_span = index->type->kind == TG_TY_SPAN;
        if (is_span && axes != NULL && at < (int)axes->n_list && axes->list[at] == axis &&
            index == span) {
            return true;
        }
        at += is_span ? 1 : index->type->kind == TG_TY_TILE ? index->type->rank : 0;
    }
    return false;
}

/* What a reduction of v along `axis` under the mask left out is looked at nowhere. */
static bool hidden(const tg_value *v, const tg_value *mask, int axis, int depth) {
    const tg_value *span;
    int along = span_of(mask, axis, &span);
    for (const tg_use *u = v->uses; u != NULL; u = u->next) {
        const tg_op *op = u->user;
        int k = (int)(u - op->operands);
        bool fine = false;
        if (op->code == TG_OP_SELECT) {
            fine = k == 1 && tg_operand(op, 0) == mask;
        } else if (op->code == TG_OP_REDUCE) {
            fine = k == 0 && op->n_operands == 2 && tg_operand(op, 1) == mask &&
                   (mask->type->rank > 1 || tg_attr_int(op, TG_ATTR_AXIS, 0) == axis);
        } else if (op->code == TG_OP_STORE) {
            fine = k == 1 && along >= 0 && stores_in_span(op, along, span);
        } else if (depth > 0 && (tg_op_info_get(op->code)->flags & TG_OPF_ELEMENTWISE) != 0) {
            fine = hidden(&op->results[0], mask, axis, depth - 1);
        }
        if (!fine) {
            return false;
        }
    }
    return true;
}

typedef struct difference {
    place x;
    const tg_value *used; /* what is made of it */
} difference;

static bool at_least(place b, const difference *d, int depth);

/* A choice by `t == -inf`, t at least x: the first side stands where x is -inf, and any number does
 * there. */
static bool choice_at_least(place b, const tg_op *op, const difference *d, int depth) {
    double c;
    const tg_op *cmp = def_of(tg_operand(op, 0), TG_OP_CMP);
    if (cmp == NULL || tg_attr_int(cmp, TG_ATTR_PRED, 0) != TG_CMP_EQ ||
        !tg_value_const_float(tg_operand(cmp, 1), &c) || c != -__builtin_inf() ||
        !tg_value_const_float(tg_operand(op, 1), &c) || !(c > -__builtin_inf())) {
        return false;
    }
    return at_least(operand_at(b, cmp, 0), d, depth + 1) &&
           at_least(operand_at(b, op, 2), d, depth + 1);
}

static bool maximum_at_least(place b, const tg_op *op, const difference *d, int depth) {
    place in = {.v = tg_operand(op, 0)};
    int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0);
    for (int a = 0; a < in.v->type->rank; a++) {
        in.at[a] = a == axis ? ALL : b.at[a > axis ? a - 1 : a];
    }
    if (op->n_operands > 1) {
        return in.v == d->x.v && covers(in, d->x) &&
               hidden(d->used, tg_operand(op, 1), axis, DEPTH);
    }
    return covers(in, d->x) || at_least(in, d, depth + 1);
}

static bool at_least(place b, const difference *d, int depth) {
    while (step_through_view(&b)) {
    }
    const tg_op *op = b.v->def;
    if (depth > DEPTH) {
        return false;
    }
    if (covers(b, d->x)) {
        return true;
    }
    if (op == NULL) {
        return false;
    }
    if (op->code == TG_OP_MAX) {
        return at_least(operand_at(b, op, 0), d, depth + 1) ||
               at_least(operand_at(b, op, 1), d, depth + 1);
    }
    if (op->code == TG_OP_SELECT) {
        return choice_at_least(b, op, d, depth);
    }
    if (op->code == TG_OP_REDUCE && tg_attr_int(op, TG_ATTR_RED, 0) == TG_RED_MAX) {
        return maximum_at_least(b, op, d, depth);
    }
    return false;
}

bool tg_xp_never_positive(const tg_op *math) {
    const tg_value *v = tg_operand(math, 0);
    const tg_op *op = def_of(v, TG_OP_SUB);
    if (op == NULL || v->type->kind != TG_TY_TILE || v->type->rank == 0) {
        return false;
    }
    difference d = {.x = {.v = tg_operand(op, 0)}, .used = &math->results[0]};
    place b = {.v = tg_operand(op, 1)};
    for (int a = 0; a < v->type->rank; a++) {
        d.x.at[a] = b.at[a] = a;
    }
    return at_least(b, &d, 0);
}
