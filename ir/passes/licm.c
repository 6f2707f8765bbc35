/* SPDX-License-Identifier: Apache-2.0 */
/*
 * licm: takes work that does not change out of loops.
 *
 * Takes verified tile IR. Gives the same kernel where an operation of a `for` or `while` body whose
 * operands are all defined outside stands in front of the loop: every scalar and span, every costly
 * operation (loads of memory that the kernel does not write, products, reductions, functions), and
 * what these need. Cheap tiles (broadcasts, comparisons, arithmetic on whole tiles) stay: computing
 * them again beside their use costs less than keeping them in memory across the loop. Refuses
 * operations with effects. Every operation is total, so running one that the loop would not have
 * run is harmless.
 *
 * Before:
 *   for %0, %1, %2 (%5: i64) {
 *     %6 = mul %3, %4 : i64
 *     %7 = add %6, %5 : i64
 *     store %y, %s, %7 {axes = []}
 *   }
 * After:
 *   %5 = mul %3, %4 : i64
 *   for %0, %1, %2 (%6: i64) {
 *     %7 = add %5, %6 : i64
 *     store %y, %s, %7 {axes = []}
 *   }
 */
#include "ir/passes/util.h"

static char invariant_mark, hoist_mark;

static bool is_invariant_value(const tg_value *v, const tg_region *body) {
    if (!tg_value_inside(v, body)) {
        return true;
    }
    return v->def != NULL && v->def->parent == body && v->def->scratch != NULL;
}

static bool is_costly(tg_opcode code) {
    static const tg_opcode costly[] = {TG_OP_LOAD,        TG_OP_DOT,      TG_OP_REDUCE,
                                       TG_OP_SCAN,        TG_OP_SORT,     TG_OP_TOPK,
                                       TG_OP_RANK_BY_KEY, TG_OP_COMPRESS, TG_OP_HISTOGRAM,
                                       TG_OP_SCATTER_ADD, TG_OP_MATH,     TG_OP_RNG};
    for (size_t i = 0; i < TG_COUNT_OF(costly); i++) {
        if (costly[i] == code) {
            return true;
        }
    }
    return false;
}

/* Costs no memory to keep: a number, a span, or a tensor view. */
static bool is_small(const tg_op *op) {
    for (int i = 0; i < op->n_results; i++) {
        const tg_type *t = op->results[i].type;
        if (t->kind == TG_TY_TILE && t->rank > 0) {
            return false;
        }
    }
    return op->n_results > 0;
}

static void hoist_with_needs(tg_op *op, const tg_region *body) {
    if (op->scratch == &hoist_mark) {
        return;
    }
    op->scratch = &hoist_mark;
    for (int i = 0; i < op->n_operands; i++) {
        tg_value *v = tg_operand(op, i);
        if (v->def != NULL && v->def->parent == body) {
            hoist_with_needs(v->def, body);
        }
    }
}

static bool all_invariant(const tg_op *op, const tg_region *body) {
    for (int i = 0; i < op->n_operands; i++) {
        if (!is_invariant_value(tg_operand(op, i), body)) {
            return false;
        }
    }
    return true;
}

static void hoist(tg_op *loop, tg_region *body) {
    for (tg_op *op = body->first; op != NULL; op = op->next) {
        if (op->n_results > 0 && tg_op_is_repeatable(op) && all_invariant(op, body)) {
            op->scratch = &invariant_mark;
        }
    }
    for (tg_op *op = body->first; op != NULL; op = op->next) {
        if (op->scratch != NULL && (is_small(op) || is_costly(op->code))) {
            hoist_with_needs(op, body);
        }
    }
    for (tg_op *op = body->first; op != NULL;) {
        tg_op *next = op->next;
        bool move = op->scratch == &hoist_mark;
        op->scratch = NULL;
        if (move) {
            tg_op_unlink(op);
            tg_op_insert_before(loop, op);
        }
        op = next;
    }
}

/* Inner loops first, so that what leaves one may leave the next. */
static void visit(tg_region *r) {
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        for (int i = 0; i < op->n_regions; i++) {
            visit(op->regions[i]);
            if (op->code == TG_OP_FOR || op->code == TG_OP_WHILE) {
                hoist(op, op->regions[i]);
            }
        }
    }
}

void tg_pass_licm(tg_func *f, tg_pass_context *ctx) {
    (void)ctx;
    visit(f->body);
}
