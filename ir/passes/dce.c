/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dce: removes what nothing observes.
 *
 * Takes any IR. Gives the same kernel without operations whose results reach no store, atomic,
 * print, assertion or yield, without carried values that only feed themselves, and without unused
 * results of branches. Refuses to remove a `while`, which may trap.
 *
 * Before:
 *   %4, %5 = for %0, %1, %2, %3, %3 : f32, f32 (%6: i64, %7: f32, %8: f32) {
 *     %9 = add %7, %7 : f32
 *     %10 = mul %8, %8 : f32
 *     yield %9, %10
 *   }
 *   store %y, %4, %0 {axes = []}
 * After:
 *   %4 = for %0, %1, %2, %3 : f32 (%5: i64, %6: f32) {
 *     %7 = add %6, %6 : f32
 *     yield %7
 *   }
 *   store %y, %4, %0 {axes = []}
 *
 * Method: mark from the effects backwards, a value at a time (a carried value is live when its
 * result or its argument is), then sweep.
 */
#include "ir/passes/util.h"

typedef struct marker {
    tg_func *f;
    tg_arena *arena;
    bool *live; /* by value id */
    TG_LIST(tg_value *) work;

} marker;

static char live_mark;

static bool op_is_live(const tg_op *op) { return op->scratch == &live_mark; }

static void mark_value(marker *m, tg_value *v) {
    if (!m->live[v->id]) {
        m->live[v->id] = true;
        TG_LIST_PUSH(m->arena, &m->work, v);
    }
}

/* Structured ops pass only what is needed; all other ops need all their operands. */
static void mark_op(marker *m, tg_op *op) {
    if (op_is_live(op)) {
        return;
    }
    op->scratch = &live_mark;
    int needed = op->code == TG_OP_FOR ? 3 : op->code == TG_OP_YIELD ? 0 : op->n_operands;
    for (int i = 0; i < needed; i++) {
        mark_value(m, tg_operand(op, i));
    }
    if (op->code == TG_OP_WHILE || op->code == TG_OP_REDUCE || op->code == TG_OP_TEAM) {
        for (int i = 0; i < op->n_regions; i++) {
            tg_op *yield = tg_region_yield(op->regions[i]);
            for (int k = 0; yield != NULL && k < yield->n_operands; k++) {
                mark_value(m, tg_operand(yield, k));
            }
        }
    }
    if (op->parent->parent != NULL) {
        mark_op(m, op->parent->parent); /* an op that runs needs the loop or branch around it */
    }
}

/* Result i of a for or if needs what its regions yield there; a carried value its initial value. */
static void mark_carried(marker *m, tg_op *op, int i) {
    for (int r = 0; r < op->n_regions; r++) {
        tg_op *yield = tg_region_yield(op->regions[r]);
        if (yield != NULL && i < yield->n_operands) {
            mark_value(m, tg_operand(yield, i));
        }
    }
    if (op->code == TG_OP_FOR) {
        mark_value(m, tg_operand(op, 3 + i));
    }
}

static void propagate(marker *m) {
    while (m->work.count > 0) {
        tg_value *v = m->work.data[--m->work.count];
        tg_op *op = v->def != NULL ? v->def : v->region->parent;
        if (op == NULL) {
            continue;
        }
        mark_op(m, op);
        bool arg = v->def == NULL;
        if (op->code == TG_OP_FOR && arg && v->index > 0) {
            mark_carried(m, op, v->index - 1);
        } else if ((op->code == TG_OP_FOR || op->code == TG_OP_IF) && !arg) {
            mark_carried(m, op, v->index);
        }
    }
}

static void mark_roots(marker *m, tg_region *r) {
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_YIELD && r->parent == NULL) {
            op->scratch = &live_mark;
            for (int i = 0; i < op->n_operands; i++) {
                mark_value(m, tg_operand(op, i));
            }
        } else if (op->code != TG_OP_YIELD && op->n_regions == 0 && !tg_op_is_removable(op)) {
            mark_op(m, op);
        } else if (op->code == TG_OP_WHILE || op->code == TG_OP_TEAM) {
            mark_op(m, op);
        }
        for (int i = 0; i < op->n_regions; i++) {
            mark_roots(m, op->regions[i]);
        }
    }
}

/* ---- sweep ---------------------------------------------------------------------------------- */

static void remove_operand(tg_op *op, int i) {
    for (int k = i; k + 1 < op->n_operands; k++) {
        tg_set_operand(op, k, tg_operand(op, k + 1));
    }
    tg_set_operand(op, op->n_operands - 1, NULL);
    op->n_operands--;
}

static void remove_arg(tg_region *r, int i) {
    for (int k = i; k + 1 < r->n_args; k++) {
        r->args[k] = r->args[k + 1];
        r->args[k]->index = k;
    }
    /* The array's capacity follows from its length, so shrinking it means copying it. */
    tg_value **args = NULL;
    int n = r->n_args - 1;
    if (n > 0) {
        size_t cap = 1;
        while (cap < (size_t)n + 1) {
            cap *= 2;
        }
        args = TG_NEW_ARRAY(r->func->module->arena, tg_value *, cap);
        for (int k = 0; k < n; k++) {
            args[k] = r->args[k];
        }
    }
    r->args = args;
    r->n_args = n;
}

/* A new op with the live results only, in place of the old one and with its regions. */
static void narrow(marker *m, tg_op *op) {
    int n = 0;
    const tg_type **types = TG_NEW_ARRAY(m->arena, const tg_type *, op->n_results + 1);
    for (int i = 0; i < op->n_results; i++) {
        if (m->live[op->results[i].id]) {
            types[n++] = op->results[i].type;
        }
    }
    if (n == op->n_results) {
        return;
    }
    tg_op *to = tg_op_make(m->f, op->code, op->span, 0, NULL, n, types, 0);
    to->attrs = op->attrs;
    to->n_attrs = op->n_attrs;
    to->regions = op->regions;
    to->n_regions = op->n_regions;
    to->scratch = op->scratch;
    for (int i = op->n_results - 1; i >= 0; i--) {
        if (m->live[op->results[i].id]) {
            n--;
            to->results[n].name = op->results[i].name;
            tg_replace_all_uses(&op->results[i], &to->results[n]);
            continue;
        }
        for (int r = 0; r < op->n_regions; r++) {
            remove_operand(tg_region_yield(op->regions[r]), i);
            if (op->code == TG_OP_FOR) {
                remove_arg(op->regions[r], 1 + i);
            }
        }
        if (op->code == TG_OP_FOR) {
            remove_operand(op, 3 + i);
        }
    }
    int n_operands = op->n_operands;
    to->operands = TG_NEW_ARRAY(m->f->module->arena, tg_use, n_operands);
    to->n_operands = n_operands;
    for (int i = 0; i < n_operands; i++) {
        to->operands[i].user = to;
        tg_set_operand(to, i, tg_operand(op, i));
    }
    for (int i = 0; i < to->n_regions; i++) {
        to->regions[i]->parent = to;
    }
    op->n_regions = 0;
    tg_op_insert_before(op, to);
    tg_op_erase(op);
}

/* A carried value may be live through its argument alone; result, argument and yield go together.
 */
static void join_liveness(marker *m, tg_op *op) {
    for (int i = 0; i < op->n_results; i++) {
        bool live = m->live[op->results[i].id] ||
                    (op->code == TG_OP_FOR && m->live[op->regions[0]->args[1 + i]->id]);
        m->live[op->results[i].id] = live;
    }
}

static void sweep(marker *m, tg_region *r) {
    for (tg_op *op = r->last; op != NULL;) {
        tg_op *prev = op->prev;
        if (op->code != TG_OP_YIELD && !op_is_live(op)) {
            tg_op_erase(op);
            op = prev;
            continue;
        }
        op->scratch = NULL;
        for (int i = 0; i < op->n_regions; i++) {
            sweep(m, op->regions[i]);
        }
        op = prev;
    }
}

static void narrow_region(marker *m, tg_region *r) {
    for (tg_op *op = r->first; op != NULL;) {
        tg_op *next = op->next;
        for (int i = 0; i < op->n_regions; i++) {
            narrow_region(m, op->regions[i]);
        }
        if (op->code == TG_OP_FOR || op->code == TG_OP_IF) {
            join_liveness(m, op);
            narrow(m, op);
        }
        op = next;
    }
}

void tg_pass_dce(tg_func *f, tg_pass_context *ctx) {
    marker m = {.f = f, .arena = ctx->scratch};
    /* narrow makes new values; their ids lie behind the array and are never asked for. */
    m.live = TG_NEW_ARRAY(ctx->scratch, bool, f->next_value_id);
    tg_region *regions[2] = {f->grid, f->body};
    for (int i = 0; i < 2; i++) {
        if (regions[i] != NULL) {
            mark_roots(&m, regions[i]);
        }
    }
    propagate(&m);
    for (int i = 0; i < 2; i++) {
        if (regions[i] != NULL) {
            narrow_region(&m, regions[i]);
            sweep(&m, regions[i]);
        }
    }
}
