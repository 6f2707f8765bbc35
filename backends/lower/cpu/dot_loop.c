/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contracted loops. A loop whose whole body is products along its own span
 *
 *   for k: K by BK { acc += a[i, k] @ b[k, j] }
 *
 * is one product over all of K, so that blocking along K is the product's own affair (and a
 * matrix-vector product streams its weights once). Where the result is only stored, it is summed in
 * the tensor's memory.
 */
#include "backends/lower/cpu/dot_call.h"

/* Every element of v along matrix axis `k` must come from a load along `span`. */
static bool follows_span(tg_lower *L, tg_value *v, const int8_t *map, int k, tg_op *loop,
                         tg_value **span) {
    if (!tg_is_tile(v)) {
        return true;
    }
    bool mentions = false;
    for (int a = 0; a < v->type->rank; a++) {
        mentions = mentions || map[a] == k;
    }
    tg_op *op = v->def;
    const tg_vinfo *info = tg_info(L, v);
    if (op == NULL || info->kind == TG_V_BUFFER) {
        return !mentions;
    }
    if (op->code == TG_OP_CONST_INT || op->code == TG_OP_CONST_FLOAT) {
        return true;
    }
    int8_t in[TG_MAX_RANK];
    if (op->code == TG_OP_LOAD) {
        tg_index ix[TG_MAX_RANK];
        tg_value *mask;
        int n = tg_indices(op, ix, &mask);
        if (mask != NULL) {
            return false;
        }
        for (int i = 0; i < n; i++) {
            bool own = false;
            for (int a = 0; a < ix[i].n_axes; a++) {
                in[a] = map[ix[i].axes[a]];
                own = own || in[a] == k;
            }
            if (ix[i].v->type->kind == TG_TY_SPAN) {
                const tg_op *s = ix[i].v->def;
                bool along = tg_operand(s, 0) == loop->regions[0]->args[0];
                if (along != own) {
                    return false;
                }
                if (along) {
                    *span = tg_info(L, ix[i].v)->canon;
                }
            } else if (own || !follows_span(L, ix[i].v, in, k, loop, span)) {
                return false;
            }
        }
        return true;
    }
    if (!(tg_op_info_get(op->code)->flags & TG_OPF_ELEMENTWISE) && op->code != TG_OP_PERMUTE &&
        op->code != TG_OP_BROADCAST) {
        return false;
    }
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    for (int i = 0; i < op->n_operands; i++) {
        tg_value *from = tg_operand(op, i);
        if (!tg_is_tile(from)) {
            continue;
        }
        for (int a = 0; a < from->type->rank; a++) {
            in[a] = map[a];
            if (op->code == TG_OP_BROADCAST) {
                in[a] =
                    from->type->shape[a] == v->type->shape[axes->list[a]] ? map[axes->list[a]] : -1;
            }
        }
        if (op->code == TG_OP_PERMUTE) {
            for (int a = 0; a < from->type->rank; a++) {
                in[axes->list[a]] = map[a];
            }
        }
        if (!follows_span(L, from, in, k, loop, span)) {
            return false;
        }
    }
    return true;
}

/* The loop variable is used by spans start .. loop end of one step only. */
static bool spans_only(tg_op *loop) {
    const tg_value *iv = loop->regions[0]->args[0];
    int64_t step;
    if (!tg_value_const_int(tg_operand(loop, 2), &step)) {
        return false;
    }
    for (const tg_use *u = iv->uses; u != NULL; u = u->next) {
        const tg_op *s = u->user;
        if (s->code != TG_OP_SPAN || tg_operand(s, 0) != iv ||
            tg_operand(s, 1) != tg_operand(loop, 1) || s->results[0].type->shape[0] != step ||
            s->parent != loop->regions[0]) {
            return false;
        }
    }
    return true;
}

static bool dot_contractible(tg_lower *L, tg_op *loop, int i) {
    tg_region *body = loop->regions[0];
    tg_value *arg = body->args[1 + i], *y = tg_operand(body->last, i);
    if (!tg_is_tile(arg) || y->def == NULL || y->def->code != TG_OP_DOT || y->def->parent != body ||
        tg_operand(y->def, 2) != arg || arg->uses == NULL || arg->uses->next != NULL ||
        y->uses->next != NULL || tg_info(L, y)->offset != tg_info(L, arg)->offset) {
        return false;
    }
    tg_op *dot = y->def;
    int batch = (int)tg_attr_int(dot, TG_ATTR_BATCH, 0);
    tg_value *span = NULL;
    for (int side = 0; side < 2; side++) {
        int8_t map[TG_MAX_RANK];
        for (int a = 0; a < TG_MAX_RANK; a++) {
            map[a] = (int8_t)a;
        }
        span = NULL;
        if (!follows_span(L, tg_operand(dot, side), map, batch + 1 - side, loop, &span) ||
            span == NULL) {
            return false;
        }
    }
    if (tg_attr_int(dot, TG_ATTR_MASKED, 0)) {
        const tg_value *mask = tg_operand(dot, 3);
        while (mask->def != NULL && mask->def->code == TG_OP_BROADCAST) {
            mask = tg_operand(mask->def, 0);
        }
        if (mask->def == NULL || mask->def->code != TG_OP_SPAN_MASK || mask->type->rank != 1 ||
            tg_info(L, tg_operand(mask->def, 0))->canon != span) {
            return false;
        }
    }
    return true;
}

bool tg_contractible(tg_lower *L, tg_op *loop) {
    if (loop->n_results == 0 || !spans_only(loop)) {
        return false;
    }
    for (int i = 0; i < loop->n_results; i++) {
        if (!dot_contractible(L, loop, i)) {
            return false;
        }
    }
    int dots = 0;
    for (tg_op *op = loop->regions[0]->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_DOT) {
            dots++;
            continue;
        }
        if (op->n_regions > 0 ||
            (op->n_results == 0 && op->code != TG_OP_YIELD && op->code != TG_OP_ASSUME)) {
            return false;
        }
        for (int r = 0; r < op->n_results; r++) {
            const tg_value *v = &op->results[r];
            uint8_t kind = tg_info(L, v)->kind;
            if (tg_is_tile(v) && kind != TG_V_INLINE && kind != TG_V_LAZY && kind != TG_V_DEAD) {
                return false;
            }
        }
    }
    return dots == loop->n_results;
}

/* ---- sums in place
 * ------------------------------------------------------------------------------------------ */

static int position(const tg_op *op) { return tg_opi(op)->pos; }

/* Is everything that op needs but its tile there before the loop? */
static bool known_before(const tg_op *op, const tg_op *loop) {
    for (int k = 0; k < op->n_operands; k++) {
        const tg_op *def = tg_operand(op, k)->def;
        if (k != 1 && def != NULL && position(def) > position(loop)) {
            return false;
        }
    }
    return true;
}

/* Nothing reads or writes the memory of `tensor` but this store. */
static bool written_only(const tg_lower *L, const tg_op *store) {
    const tg_value *tensor = tg_operand(store, 0);
    for (size_t i = 0; i < L->ops.count; i++) {
        const tg_op *op = L->ops.data[i];
        bool access = op->code == TG_OP_LOAD || op->code == TG_OP_STORE || op->code == TG_OP_ATOMIC;
        if (access && op != store && tg_may_overlap(L, tg_operand(op, 0), tensor)) {
            return false;
        }
    }
    return true;
}

/* The store that is all that becomes of the loop's i-th result, in the same block; or NULL. */
static tg_op *result_store(const tg_lower *L, tg_op *loop, int i) {
    const tg_value *r = &loop->results[i];
    tg_op *store = r->uses != NULL && r->uses->next == NULL ? r->uses->user : NULL;
    bool plain = store != NULL && store->code == TG_OP_STORE && tg_operand(store, 1) == r &&
                 store->parent == loop->parent && r->type->rank == 2 &&
                 tg_is_zero(tg_operand(loop, 3 + i)) && tg_attr_int(store, TG_ATTR_MASKED, 0) == 0;
    return plain && known_before(store, loop) && written_only(L, store) ? store : NULL;
}

/* The store, where the sums are not there already. */
static void store_unless(tg_lower *L, tg_value *done, tg_op *store) {
    tg_value *no = tg_build_bool(&L->b, false);
    tg_op *branch = tg_build_if(&L->b, tg_build_cmp(&L->b, TG_CMP_EQ, done, no), 0, NULL);
    tg_region one = {.func = store->parent->func, .first = store};
    tg_op *next = store->next;
    store->next = NULL;
    tg_emit_region(L, &one);
    store->next = next;
    tg_opi(store)->done = true;
    tg_build_else(&L->b, branch, 0, NULL);
    tg_build_end_if(&L->b, branch, 0, NULL);
}

void tg_emit_contracted(tg_lower *L, tg_op *loop) {
    tg_region *body = loop->regions[0];
    tg_builder *b = &L->b;
    tg_value *lo = tg_scalar(L, tg_operand(loop, 0)), *hi = tg_scalar(L, tg_operand(loop, 1));
    tg_value *len =
        tg_build_binary(b, TG_OP_MAX, tg_build_binary(b, TG_OP_SUB, hi, lo), tg_build_index(b, 0));
    tg_info(L, body->args[0])->loop = lo;
    for (int i = 0; i < loop->n_results; i++) {
        if (!tg_is_zero(tg_operand(loop, 3 + i)) &&
            tg_info(L, body->args[1 + i])->kind != TG_V_DEAD) {
            tg_emit_copy(L, tg_operand(loop, 3 + i), body->args[1 + i]);
        }
    }
    for (tg_op *op = body->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_DOT || op->code == TG_OP_YIELD) {
            continue;
        }
        tg_region one = {.func = op->parent->func, .first = op};
        tg_op *next = op->next;
        op->next = NULL;
        tg_emit_region(L, &one);
        op->next = next;
        if (op->code == TG_OP_SPAN && tg_operand(op, 0) == body->args[0]) {
            tg_info(L, &op->results[0])->len = len;
        }
    }
    for (int i = 0; i < loop->n_results && L->status == TG_OK; i++) {
        tg_op *dot = tg_operand(body->last, i)->def;
        if (tg_info(L, &dot->results[0])->kind == TG_V_DEAD) {
            continue; /* its buffer does not exist */
        }
        int batch = (int)tg_attr_int(dot, TG_ATTR_BATCH, 0);
        tg_value *span = NULL;
        int8_t map[TG_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
        (void)follows_span(L, tg_operand(dot, 0), map, batch + 1, loop, &span);
        tg_product p = {.op = dot,
                        .a = tg_operand(dot, 0),
                        .b = tg_operand(dot, 1),
                        .result = &dot->results[0],
                        .k_len = len,
                        .k_span = span,
                        .zero = tg_is_zero(tg_operand(loop, 3 + i))};
        p.store = result_store(L, loop, i);
        tg_emit_product(L, &p);
        if (p.in_place != NULL) {
            store_unless(L, p.in_place, p.store);
        }
    }
}
