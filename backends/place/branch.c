/* SPDX-License-Identifier: Apache-2.0 */
/*
 * branch: what a program does not need it does not compute.
 *
 * Takes a placed function without layouts. A `select` whose condition is one scalar for the whole
 * tile, and one of whose sides costs much (functions that are long code) and is nobody else's,
 * becomes an `if`: only the side that is wanted is computed. Refuses nothing.
 *
 * Before:
 *   %4 = math %3 {fn = tanh} : f32[64, 64]
 *   %5 = broadcast %2 {axes = []} : bool[64, 64]
 *   %6 = select %5, %4, %1 : f32[64, 64]
 * After:
 *   %6 = if %2 : f32[64, 64] {
 *     %4 = math %3 {fn = tanh} : f32[64, 64]
 *     yield %4
 *   } else {
 *     yield %1
 *   }
 *
 * A side's chain is found backwards from the select: elementwise operations and what makes their
 * operands, all of whose uses are in the chain.
 */
#include "backends/place/place.h"

#include "ir/passes/util.h"

typedef TG_LIST(tg_op *) op_list; /* last first */

static bool is_long(const tg_op *op) {
    if (op->code != TG_OP_MATH || op->results[0].type->rank == 0) {
        return false;
    }
    switch ((tg_math_fn)tg_attr_int(op, TG_ATTR_FN, 0)) {
    case TG_MATH_EXP:
    case TG_MATH_LOG:
    case TG_MATH_LOG2:
    case TG_MATH_SIN:
    case TG_MATH_COS:
    case TG_MATH_TANH:
    case TG_MATH_SIGMOID:
    case TG_MATH_ERF:
        return true;
    case TG_MATH_EXP2:
    case TG_MATH_SQRT:
    case TG_MATH_RSQRT:
    case TG_MATH_FLOOR:
    case TG_MATH_CEIL:
    case TG_MATH_ROUND:
    case TG_MATH_COUNT:
        break;
    }
    return false;
}

static bool has(const op_list *l, const tg_op *op) {
    for (size_t i = 0; i < l->count; i++) {
        if (l->data[i] == op) {
            return true;
        }
    }
    return false;
}

/* Every use is in the chain, or is this side of the select. */
static bool is_of(const tg_value *v, const op_list *chain, const tg_op *select, int side) {
    for (const tg_use *u = v->uses; u != NULL; u = u->next) {
        bool own = u->user == select && (int)(u - select->operands) == side;
        if (!own && !has(chain, u->user)) {
            return false;
        }
    }
    return v->uses != NULL;
}

/* Whether the chain of a side is worth a branch. */
static bool collect(tg_placer *p, const tg_op *select, int side, op_list *chain) {
    enum { FAR = 256 };
    bool costs = false;
    int seen = 0;
    for (tg_op *op = select->prev; op != NULL && seen < FAR; op = op->prev, seen++) {
        bool moves = (tg_op_info_get(op->code)->flags & TG_OPF_ELEMENTWISE) != 0 ||
                     op->code == TG_OP_BROADCAST || op->code == TG_OP_RESHAPE ||
                     op->code == TG_OP_CONST_FLOAT || op->code == TG_OP_CONST_INT;
        if (moves && op->n_results == 1 && is_of(&op->results[0], chain, select, side)) {
            TG_LIST_PUSH(p->arena, chain, op);
            costs |= is_long(op);
        }
    }
    return costs;
}

static void move(const op_list *chain, tg_region *to) {
    for (size_t i = chain->count; i > 0; i--) {
        tg_op_unlink(chain->data[i - 1]);
        tg_op_append(to, chain->data[i - 1]);
    }
}

static void visit_select(tg_placer *p, tg_op *op) {
    const tg_op *cond = op->operands[0].value->def;
    op_list chains[2] = {{0}, {0}};
    if (cond == NULL || cond->code != TG_OP_BROADCAST || op->results[0].type->rank == 0 ||
        cond->operands[0].value->type->kind != TG_TY_TILE ||
        cond->operands[0].value->type->rank != 0 ||
        op->operands[1].value == op->operands[2].value) {
        return;
    }
    bool costs = collect(p, op, 1, &chains[0]);
    costs |= collect(p, op, 2, &chains[1]);
    if (!costs) {
        return;
    }
    tg_builder b = tg_builder_before(op);
    b.span = op->span;
    const tg_type *type = op->results[0].type;
    tg_value *x = tg_operand(op, 1), *y = tg_operand(op, 2);
    tg_op *branch = tg_build_if(&b, cond->operands[0].value, 1, &type);
    move(&chains[0], branch->regions[0]);
    tg_build_else(&b, branch, 1, &x);
    move(&chains[1], branch->regions[1]);
    tg_build_end_if(&b, branch, 1, &y);
    branch->results[0].name = op->results[0].name;
    tg_replace_all_uses(&op->results[0], &branch->results[0]);
    tg_op_erase(op);
}

static void visit_region(tg_placer *p, tg_region *r) {
    for (tg_op *op = r->first, *next; op != NULL; op = next) {
        next = op->next;
        for (int i = 0; i < op->n_regions; i++) {
            visit_region(p, op->regions[i]);
        }
        if (op->code == TG_OP_SELECT) {
            visit_select(p, op);
        }
    }
}

tg_status tg_place_branch(tg_placer *p) {
    visit_region(p, p->f->body);
    return TG_OK;
}
