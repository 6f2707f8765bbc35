/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which positions of every tile axis matter.
 *
 * Need flows from consumers to producers: a store along a span, a reduction or product masked by
 * the span's prefix mask need only positions below the span's end; elementwise ops, views and
 * loop-carried values pass needs on. An axis that needs only a span's positions runs its loops to
 * the span's length, so ragged tails cost nothing and a tile of 128 rows with one present row does
 * one row of work. Needs only grow (none < span < all), so repeating the walk until nothing changes
 * ends.
 */
#include "backends/lower/cpu/lower.h"

static tg_op *terminator(const tg_region *r) { return r->last; }

/* ---- needs
 * ------------------------------------------------------------------------------------------------
 */

static const tg_need full = {.kind = TG_NEED_FULL};

static bool region_inside(const tg_region *inner, const tg_region *outer) {
    for (const tg_region *r = inner; r != NULL; r = r->parent == NULL ? NULL : r->parent->parent) {
        if (r == outer) {
            return true;
        }
    }
    return false;
}

/* Is scalar w available where v is produced? */
static bool available(const tg_value *w, const tg_value *v) {
    int64_t c;
    if (tg_value_const_int(w, &c)) {
        return true;
    }
    const tg_region *where = v->def != NULL              ? v->def->parent
                             : v->region->parent != NULL ? v->region->parent->parent
                                                         : v->region;
    if (w->def == NULL) {
        return region_inside(where, w->region);
    }
    const tg_op *at = v->def != NULL ? v->def : v->region->parent;
    return region_inside(where, w->def->parent) &&
           (at == NULL || tg_opi(w->def)->pos < tg_opi(at)->pos);
}

/* Can v's loops along this axis end where the span does? */
static bool ends_at(const tg_value *v, int axis, const tg_value *span) {
    const tg_op *s = span->def;
    return !tg_span_is_full(span) && span->type->shape[0] <= v->type->shape[axis] &&
           available(tg_operand(s, 0), v) && available(tg_operand(s, 1), v);
}

static bool need_join(tg_lower *L, tg_value *v, int axis, tg_need n) {
    tg_need *have = &tg_info(L, v)->need[axis];
    if (n.kind == TG_NEED_NONE || have->kind == TG_NEED_FULL) {
        return false;
    }
    if (n.kind == TG_NEED_SPAN) {
        if (!ends_at(v, axis, n.span)) {
            n = full;
        } else if (have->kind == TG_NEED_SPAN && have->span != n.span) {
            n = full;
        }
    }
    if (have->kind == n.kind && have->span == n.span) {
        return false;
    }
    *have = n;
    return true;
}

static bool all_axes(tg_lower *L, tg_value *v, const tg_need *need) {
    bool changed = false;
    if (v->type->kind != TG_TY_TILE) {
        return false;
    }
    for (int a = 0; a < v->type->rank; a++) {
        changed = need_join(L, v, a, need == NULL ? full : need[a]) || changed;
    }
    return changed;
}

tg_value *tg_mask_span(const tg_lower *L, const tg_value *mask, int axis) {
    if (mask->def == NULL) {
        return NULL;
    }
    const tg_op *op = mask->def;
    if (op->code == TG_OP_SPAN_MASK ||
        (op->code == TG_OP_PRESENT && tg_operand(op, 0)->type->kind == TG_TY_SPAN)) {
        return axis == 0 ? tg_info(L, tg_operand(op, 0))->canon : NULL;
    }
    if (op->code == TG_OP_AND) {
        tg_value *s = tg_mask_span(L, tg_operand(op, 0), axis);
        return s != NULL ? s : tg_mask_span(L, tg_operand(op, 1), axis);
    }
    if (op->code == TG_OP_BROADCAST) {
        const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
        const tg_value *from = tg_operand(op, 0);
        for (int a = 0; a < from->type->rank; a++) {
            if (axes->list[a] == axis && from->type->shape[a] == mask->type->shape[axis]) {
                return tg_mask_span(L, from, a);
            }
        }
    }
    return NULL;
}

static tg_need mask_need(tg_lower *L, const tg_value *mask, int axis) {
    tg_value *s = mask == NULL ? NULL : tg_mask_span(L, mask, axis);
    return s == NULL ? full : (tg_need){.kind = TG_NEED_SPAN, .span = s};
}

static tg_value *mask_of(const tg_op *op) {
    return tg_attr_int(op, TG_ATTR_MASKED, 0) ? tg_operand(op, op->n_operands - 1) : NULL;
}

static bool through_load(tg_lower *L, tg_op *op, const tg_need *need) {
    tg_index ix[TG_MAX_RANK];
    tg_value *mask;
    int n = tg_indices(op, ix, &mask);
    bool changed = mask != NULL && all_axes(L, mask, need);
    for (int k = 0; k < n; k++) {
        if (tg_is_tile(ix[k].v)) {
            for (int a = 0; a < ix[k].n_axes; a++) {
                changed = need_join(L, ix[k].v, a, need[ix[k].axes[a]]) || changed;
            }
        }
    }
    return changed;
}

static bool through_store(tg_lower *L, tg_op *op) {
    tg_index ix[TG_MAX_RANK];
    tg_value *mask;
    int n = tg_indices(op, ix, &mask);
    tg_need need[TG_MAX_RANK];
    for (int a = 0; a < TG_MAX_RANK; a++) {
        need[a] = full;
    }
    for (int k = 0; k < n; k++) {
        if (ix[k].v->type->kind == TG_TY_SPAN) {
            need[ix[k].axes[0]] =
                (tg_need){.kind = TG_NEED_SPAN, .span = tg_info(L, ix[k].v)->canon};
        }
    }
    for (int a = 0; op->code == TG_OP_STORE && mask != NULL && a < mask->type->rank; a++) {
        if (need[a].kind == TG_NEED_FULL) { /* nothing is stored where the mask ends */
            need[a] = mask_need(L, mask, a);
        }
    }
    bool changed = all_axes(L, tg_operand(op, 1), need);
    if (op->code == TG_OP_ATOMIC && tg_attr_int(op, TG_ATTR_ATOMIC, 0) == TG_ATOMIC_CAS) {
        changed = all_axes(L, tg_operand(op, 2), need) || changed;
    }
    return through_load(L, op, need) || changed;
}

static bool through_view(tg_lower *L, tg_op *op, const tg_need *need) {
    tg_value *from = tg_operand(op, 0);
    const tg_type *to = op->results[0].type;
    const tg_attr *axes = tg_attr_get(op, op->code == TG_OP_SLICE ? TG_ATTR_OFFSETS : TG_ATTR_AXES);
    bool changed = false;
    for (int a = 0; a < from->type->rank; a++) {
        tg_need n = full;
        if (op->code == TG_OP_BROADCAST && from->type->shape[a] == to->shape[axes->list[a]]) {
            n = need[axes->list[a]];
        } else if (op->code == TG_OP_SLICE && axes->list[a] == 0 &&
                   from->type->shape[a] == to->shape[a]) {
            n = need[a];
        }
        if (op->code != TG_OP_PERMUTE) {
            changed = need_join(L, from, a, n) || changed;
        } else {
            changed = need_join(L, from, (int)axes->list[a], need[a]) || changed;
        }
    }
    return changed;
}

/* Axes that map one to one keep their need. */
static bool through_reshape(tg_lower *L, tg_op *op, const tg_need *need) {
    tg_value *from = tg_operand(op, 0);
    const tg_type *f = from->type, *t = op->results[0].type;
    int i = 0, j = 0;
    bool changed = false;
    while (i < f->rank) {
        int i0 = i, j0 = j;
        int64_t ni = f->shape[i++], nj = j < t->rank ? t->shape[j++] : 1;
        while (ni != nj) {
            if (ni < nj) {
                ni *= f->shape[i++];
            } else {
                nj *= t->shape[j++];
            }
        }
        for (int a = i0; a < i; a++) {
            changed =
                need_join(L, from, a, i - i0 == 1 && j - j0 == 1 ? need[j0] : full) || changed;
        }
    }
    return changed;
}

static bool through_reduce(tg_lower *L, tg_op *op) {
    int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0);
    tg_value *mask = mask_of(op);
    const tg_value *result = &op->results[0];
    int rank = tg_operand(op, 0)->type->rank;
    bool changed = false;
    tg_need need[TG_MAX_RANK];
    for (int a = 0; a < rank; a++) {
        if (a == axis) {
            need[a] = mask == NULL ? full : mask_need(L, mask, mask->type->rank == 1 ? 0 : axis);
        } else {
            need[a] = tg_info(L, result)->need[a - (a > axis ? 1 : 0)];
        }
    }
    for (int k = 0; k < op->n_operands; k++) {
        tg_value *x = tg_operand(op, k);
        if (tg_is_tile(x) && x->type->rank == rank) {
            changed = all_axes(L, x, need) || changed;
        } else if (tg_is_tile(x)) {
            changed = need_join(L, x, 0, need[axis]) || changed;
        }
    }
    return changed;
}

static bool through_dot(tg_lower *L, tg_op *op) {
    tg_value *a = tg_operand(op, 0), *b = tg_operand(op, 1), *acc = tg_operand(op, 2);
    tg_value *mask = mask_of(op);
    int batch = (int)tg_attr_int(op, TG_ATTR_BATCH, 0);
    const tg_need *need = tg_info(L, &op->results[0])->need;
    tg_need k = mask_need(L, mask, mask == NULL ? 0 : mask->type->rank - 1);
    bool changed = all_axes(L, acc, need);
    for (int i = 0; i < batch; i++) {
        changed = need_join(L, a, i, need[i]) || changed;
        changed = need_join(L, b, i, need[i]) || changed;
    }
    changed = need_join(L, a, batch, need[batch]) || changed;
    changed = need_join(L, a, batch + 1, k) || changed;
    changed = need_join(L, b, batch, k) || changed;
    changed = need_join(L, b, batch + 1, need[batch + 1]) || changed;
    if (mask != NULL) {
        for (int i = 0; i < mask->type->rank; i++) {
            changed = need_join(L, mask, i, i == mask->type->rank - 1 ? k : need[i]) || changed;
        }
    }
    return changed;
}

static bool through_gather(tg_lower *L, tg_op *op, const tg_need *need) {
    tg_value *from = tg_operand(op, 0), *index = tg_operand(op, 1);
    int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0), ir = index->type->rank;
    bool changed = false;
    for (int a = 0; a < from->type->rank; a++) {
        changed = need_join(L, from, a,
                            a < axis    ? need[a]
                            : a == axis ? full
                                        : need[a + ir - 1]) ||
                  changed;
    }
    for (int a = 0; a < ir; a++) {
        changed = need_join(L, index, a, need[axis + a]) || changed;
    }
    return changed;
}

/* Values of one carried variable all need what any of them needs. */
static bool unify(tg_lower *L, tg_value **v, int n) {
    bool changed = false;
    if (!tg_is_tile(v[0])) {
        return false;
    }
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
            changed = (i != j && all_axes(L, v[j], tg_info(L, v[i])->need)) || changed;
        }
    }
    return changed;
}

static bool through_control(tg_lower *L, tg_op *op) {
    bool changed = false;
    for (int i = 0; i < op->n_results; i++) {
        tg_value *r = &op->results[i];
        const tg_need *need = tg_info(L, r)->need;
        if (!tg_is_tile(r)) {
            continue;
        }
        if (op->code == TG_OP_IF) {
            changed = all_axes(L, tg_operand(terminator(op->regions[0]), i), need) || changed;
            changed = all_axes(L, tg_operand(terminator(op->regions[1]), i), need) || changed;
            continue;
        }
        if (op->code == TG_OP_FOR) {
            tg_value *arg = op->regions[0]->args[1 + i];
            tg_value *both[2] = {r, arg};
            changed = unify(L, both, 2) || changed;
            changed = all_axes(L, tg_operand(op, 3 + i), need) || changed;
            changed = all_axes(L, tg_operand(terminator(op->regions[0]), i), need) || changed;
            continue;
        }
        tg_value *three[3] = {r, op->regions[0]->args[i], op->regions[1]->args[i]};
        changed = unify(L, three, 3) || changed;
        changed = all_axes(L, tg_operand(op, i), need) || changed;
        changed = all_axes(L, tg_operand(terminator(op->regions[0]), 1 + i), need) || changed;
        changed = all_axes(L, tg_operand(terminator(op->regions[1]), i), need) || changed;
    }
    return changed;
}

/* A running value needs what lies before it: the prefix that is needed of the result. */
static bool through_scan(tg_lower *L, tg_op *op, const tg_need *need) {
    tg_value *mask = mask_of(op);
    int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0);
    bool changed = all_axes(L, tg_operand(op, 0), need);
    if (mask != NULL) {
        changed = all_axes(L, mask, mask->type->rank == 1 ? need + axis : need) || changed;
    }
    return changed;
}

/* sort, topk, histogram, ...: all of the operands, or the present prefix. */
static bool through_other(tg_lower *L, tg_op *op) {
    tg_value *mask = op->code == TG_OP_COMPRESS ? tg_operand(op, 1) : mask_of(op);
    int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0);
    bool changed = false;
    for (int k = 0; k < op->n_operands; k++) {
        tg_value *x = tg_operand(op, k);
        if (!tg_is_tile(x)) {
            continue;
        }
        bool table = op->code == TG_OP_SCATTER_ADD && k == 0;
        for (int a = 0; a < x->type->rank; a++) {
            tg_need n = full;
            if (mask != NULL && !table && (a == axis || x->type->rank == 1)) {
                n = mask_need(L, mask, mask->type->rank == 1 ? 0 : axis);
            }
            changed = need_join(L, x, a, n) || changed;
        }
    }
    return changed;
}

/* Nothing of any result is needed (so far): what is not needed along one axis is not at all. */
static bool unneeded(const tg_lower *L, const tg_op *op) {
    const tg_op_info *oi = tg_op_info_get(op->code);
    if (op->n_results == 0 || (oi->flags & TG_OPF_WRITE) != 0 || op->code == TG_OP_FOR ||
        op->code == TG_OP_WHILE || op->code == TG_OP_IF) {
        return false;
    }
    for (int i = 0; i < op->n_results; i++) {
        const tg_type *t = op->results[i].type;
        bool none = false;
        for (int a = 0; t->kind == TG_TY_TILE && a < t->rank; a++) {
            none = none || tg_info(L, &op->results[i])->need[a].kind == TG_NEED_NONE;
        }
        if (!none) {
            return false;
        }
    }
    return true;
}

/* What is needed of a choice's first side: what its mask hides behind a span's end is not. A span
 * of the mask's own, inside the one that is needed of the result, is the shorter. */
static tg_need shown_need(tg_lower *L, tg_op *op, int axis, tg_need need) {
    tg_need shown = mask_need(L, tg_operand(op, 0), axis);
    bool shorter =
        need.kind == TG_NEED_FULL || (need.kind == TG_NEED_SPAN && shown.kind == TG_NEED_SPAN &&
                                      ends_at(tg_operand(op, 1), axis, shown.span));
    return shorter ? shown : need;
}

static bool visit(tg_lower *L, tg_op *op) {
    const tg_op_info *oi = tg_op_info_get(op->code);
    if (unneeded(L, op)) {
        return false;
    }
    const tg_need *need = op->n_results > 0 ? tg_info(L, &op->results[0])->need : NULL;
    if (oi->flags & TG_OPF_ELEMENTWISE) {
        bool changed = false;
        for (int i = 0; i < op->n_operands; i++) {
            tg_need own[TG_MAX_RANK];
            for (int a = 0; need != NULL && a < op->results[0].type->rank; a++) {
                own[a] = need[a];
                if (op->code == TG_OP_SELECT && i == 1) {
                    own[a] = shown_need(L, op, a, own[a]);
                }
            }
            changed = all_axes(L, tg_operand(op, i), own) || changed;
        }
        return changed;
    }
    switch ((int)op->code) {
    case TG_OP_LOAD:
        return through_load(L, op, need);
    case TG_OP_STORE:
    case TG_OP_ATOMIC:
        return through_store(L, op);
    case TG_OP_PRESENT:
        return tg_is_tile(tg_operand(op, 0)) && all_axes(L, tg_operand(op, 0), need);
    case TG_OP_BROADCAST:
    case TG_OP_PERMUTE:
    case TG_OP_SLICE:
        return through_view(L, op, need);
    case TG_OP_RESHAPE:
        return through_reshape(L, op, need);
    case TG_OP_CONCAT: {
        bool changed = false;
        int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0);
        for (int i = 0; i < op->n_operands; i++) {
            for (int a = 0; a < op->results[0].type->rank; a++) {
                changed = need_join(L, tg_operand(op, i), a, a == axis ? full : need[a]) || changed;
            }
        }
        return changed;
    }
    case TG_OP_LOCAL_GATHER:
        return through_gather(L, op, need);
    case TG_OP_REDUCE:
        return through_reduce(L, op);
    case TG_OP_DOT:
        return through_dot(L, op);
    case TG_OP_SCAN:
        return through_scan(L, op, need);
    case TG_OP_FOR:
    case TG_OP_WHILE:
    case TG_OP_IF:
        return through_control(L, op);
    case TG_OP_YIELD:
        return false;
    default:
        return through_other(L, op);
    }
}

static void canonical_spans(tg_lower *L) {
    for (size_t i = 0; i < L->ops.count; i++) {
        tg_op *op = L->ops.data[i];
        if (op->code != TG_OP_SPAN) {
            continue;
        }
        tg_value *v = &op->results[0], *canon = NULL;
        for (size_t s = 0; s < L->spans.count && canon == NULL; s++) {
            tg_value *o = L->spans.data[s];
            if (o->type == v->type && tg_operand(o->def, 0) == tg_operand(op, 0) &&
                tg_operand(o->def, 1) == tg_operand(op, 1)) {
                canon = o;
            }
        }
        if (canon == NULL) {
            canon = v;
            TG_LIST_PUSH(L->arena, &L->spans, v);
        }
        tg_info(L, v)->canon = canon;
    }
}

void tg_cpu_bounds(tg_lower *L) {
    canonical_spans(L);
    bool changed = true;
    while (changed) {
        changed = false;
        for (size_t i = L->ops.count; i-- > 0;) {
            changed = visit(L, L->ops.data[i]) || changed;
        }
    }
}
