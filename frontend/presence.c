/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Presence of tiles: sets of predicates, what follows from what (R10, docs/presence.md), and their
 * masks. A predicate is built from IR only where an op needs its mask, at that place.
 */
#include "frontend/value.h"

#include <string.h>

static bool same_axes(const tg_pred *a, const tg_pred *b) {
    return a->n_axes == b->n_axes && memcmp(a->axes, b->axes, (size_t)a->n_axes) == 0;
}

/* The symbolic form of two index tiles may be the same though they were computed twice. */
static bool same_index(const tg_pred *a, const tg_pred *b) {
    return a->index == b->index || (a->index_sym != NULL && a->index_sym == b->index_sym);
}

static bool shows(tg_elab *e, const tg_pred *by, const tg_pred *p) {
    if (by == p) {
        return true;
    }
    if (by->kind != p->kind || !same_axes(by, p)) {
        return false;
    }
    switch (p->kind) {
    case TG_PRED_SPAN: {
        if (by->span != p->span) {
            return false;
        }
        bool inside = p->extent == NULL || (by->extent == p->extent && by->shift == p->shift);
        if (!inside && by->extent != NULL && by->shift == p->shift) {
            inside = tg_sy_nonneg(e, tg_sy_bin(e, TG_DIM_SUB, p->extent, by->extent));
        }
        return inside;
    }
    case TG_PRED_INDEX:
        return same_index(by, p) &&
               (by->extent == p->extent ||
                tg_sy_nonneg(e, tg_sy_bin(e, TG_DIM_SUB, p->extent, by->extent)));
    case TG_PRED_MASK:
        return by->index == p->index;
    }
    return false;
}

bool tg_pr_implied(tg_elab *e, const tg_preds *by, const tg_pred *p) {
    for (int i = 0; i < by->n; i++) {
        if (shows(e, by->items[i], p)) {
            return true;
        }
    }
    bool all = p->leaves.n > 0;
    for (int i = 0; i < p->leaves.n && all; i++) {
        all = tg_pr_implied(e, by, p->leaves.items[i]);
    }
    return all;
}

/* Adds unless it follows already; a chosen predicate makes the one it covers chosen as well. */
void tg_pr_add(tg_elab *e, tg_preds *to, const tg_pred *p) {
    const tg_pred **items = TG_NEW_ARRAY(e->a, const tg_pred *, to->n + 1);
    int n = 0;
    for (int i = 0; i < to->n; i++) {
        const tg_pred *q = to->items[i];
        if (shows(e, q, p) && (q->chosen || !p->chosen)) {
            return;
        }
        if (!shows(e, p, q) || (q->chosen && !p->chosen)) {
            items[n++] = q;
        }
    }
    items[n++] = p;
    to->items = items;
    to->n = n;
}

void tg_pr_join(tg_elab *e, tg_preds *to, const tg_preds *from) {
    for (int i = 0; i < from->n; i++) {
        tg_pr_add(e, to, from->items[i]);
    }
}

bool tg_pr_mentions(const tg_pred *p, int axis) {
    return memchr(p->axes, axis, (size_t)p->n_axes) != NULL;
}

const tg_pred *tg_pr_remap(tg_elab *e, const tg_pred *p, const int *map) {
    tg_pred *q = TG_NEW(e->a, tg_pred);
    *q = *p;
    bool same = true;
    for (int i = 0; i < p->n_axes; i++) {
        q->axes[i] = (uint8_t)map[p->axes[i]];
        same = same && q->axes[i] == p->axes[i];
    }
    if (!same) {
        q->leaves = (tg_preds){NULL, 0};
        for (int i = 0; i < p->leaves.n; i++) {
            tg_pr_add(e, &q->leaves, tg_pr_remap(e, p->leaves.items[i], map));
        }
    }
    return same ? p : q;
}

const tg_pred *tg_pr_from_mask(tg_elab *e, tg_value *mask, int n_axes, const int *axes,
                               tg_span where) {
    tg_pred *p = TG_NEW(e->a, tg_pred);
    p->kind = TG_PRED_MASK;
    p->index = mask;
    p->n_axes = n_axes;
    for (int i = 0; i < n_axes; i++) {
        p->axes[i] = (uint8_t)axes[i];
    }
    p->where = where;
    return p;
}

/* ---- birth ---------------------------------------------------------------------------------- */

const tg_pred *tg_pr_span(tg_elab *e, const tg_identity *span, const tg_dim *shift,
                          tg_value *ir_shift, const tg_dim *extent, int axis, tg_span where) {
    const tg_dim *first = tg_sy_bin(e, TG_DIM_ADD, span->start, shift);
    const tg_dim *last = tg_sy_bin(e, TG_DIM_ADD, tg_sy_pos(e, span, 0), shift);
    bool inside = extent == NULL || (tg_sy_at_least_0(e, first) && tg_sy_below(e, last, extent));
    if (inside && span->full) {
        return NULL;
    }
    tg_pred *p = TG_NEW(e->a, tg_pred);
    p->kind = TG_PRED_SPAN;
    p->span = span;
    p->shift = shift;
    p->ir_shift = ir_shift;
    p->extent = inside ? NULL : extent;
    p->n_axes = 1;
    p->axes[0] = (uint8_t)axis;
    p->where = where;
    return p;
}

const tg_pred *tg_pr_index(tg_elab *e, const tg_val *index, const tg_dim *extent, const int *axes,
                           tg_span where) {
    if (tg_sy_at_least_0(e, index->sym) && tg_sy_below(e, index->sym, extent)) {
        return NULL;
    }
    tg_pred *p = TG_NEW(e->a, tg_pred);
    p->kind = TG_PRED_INDEX;
    p->index = index->ir;
    p->index_sym = index->sym;
    p->extent = extent;
    p->n_axes = tg_el_rank(index);
    for (int i = 0; i < p->n_axes; i++) {
        p->axes[i] = (uint8_t)axes[i];
    }
    p->where = where;
    return p;
}

/* ---- masks ---------------------------------------------------------------------------------- */

tg_value *tg_pr_mask(tg_elab *e, const tg_pred *p, const int64_t *extents) {
    (void)extents;
    tg_value *ext = p->extent != NULL ? tg_build_dim_expr(&e->b, p->extent) : NULL;
    switch (p->kind) {
    case TG_PRED_SPAN:
        if (ext == NULL) {
            return tg_build_span_mask(&e->b, tg_el_span_ir(e, p->span, NULL, NULL));
        }
        return tg_build_present(&e->b, tg_el_span_ir(e, p->span, p->shift, p->ir_shift), ext);
    case TG_PRED_INDEX:
        return tg_build_present(&e->b, p->index, ext);
    case TG_PRED_MASK:
        return p->index;
    }
    return NULL;
}

/* Broadcasts a predicate's mask to a shape. */
static tg_value *spread(tg_elab *e, const tg_pred *p, int rank, const int64_t *shape) {
    tg_value *m = tg_pr_mask(e, p, shape);
    int64_t axes[TG_MAX_RANK], perm[TG_MAX_RANK];
    bool sorted = true;
    for (int i = 0; i < p->n_axes; i++) {
        axes[i] = p->axes[i];
        perm[i] = i;
        sorted = sorted && (i == 0 || axes[i - 1] < axes[i]);
    }
    for (int i = 1; i < p->n_axes && !sorted; i++) {
        for (int j = i; j > 0 && axes[j - 1] > axes[j]; j--) {
            int64_t t = axes[j];
            axes[j] = axes[j - 1];
            axes[j - 1] = t;
            t = perm[j];
            perm[j] = perm[j - 1];
            perm[j - 1] = t;
        }
    }
    if (!sorted) {
        m = tg_build_permute(&e->b, m, perm);
    }
    return p->n_axes == rank ? m : tg_build_broadcast(&e->b, m, rank, shape, axes);
}

tg_value *tg_pr_conj(tg_elab *e, const tg_preds *ps, int rank, const int64_t *shape) {
    tg_value *m = NULL;
    for (int i = 0; i < ps->n; i++) {
        tg_value *one = spread(e, ps->items[i], rank, shape);
        m = m == NULL ? one : tg_build_binary(&e->b, TG_OP_AND, m, one);
    }
    return m;
}

/* ---- where it was made ---------------------------------------------------------------------- */

bool tg_el_value_inside(const tg_value *v, const tg_region *r) {
    if (v == NULL) {
        return false;
    }
    const tg_region *at = v->def != NULL ? v->def->parent : v->region;
    while (at != NULL && at != r) {
        at = at->parent != NULL ? at->parent->parent : NULL;
    }
    return at == r;
}

bool tg_pr_inside(const tg_pred *p, const tg_region *r) {
    if (p->kind == TG_PRED_SPAN) {
        return tg_el_value_inside(p->span->ir, r) || tg_el_value_inside(p->span->ir_start, r) ||
               tg_el_value_inside(p->span->ir_hi, r) || tg_el_value_inside(p->ir_shift, r);
    }
    return tg_el_value_inside(p->index, r);
}

/* ---- where (R4) ----------------------------------------------------------------------------- */

void tg_pr_where(tg_elab *e, tg_val *result, const tg_val *c, const tg_val *x, const tg_val *y) {
    tg_preds out = {NULL, 0}, px = {NULL, 0}, py = {NULL, 0};
    tg_pr_join(e, &out, &c->preds);
    for (int i = 0; i < x->preds.n; i++) {
        if (!tg_pr_implied(e, &out, x->preds.items[i])) {
            tg_pr_add(e, tg_pr_implied(e, &y->preds, x->preds.items[i]) ? &out : &px,
                      x->preds.items[i]);
        }
    }
    for (int i = 0; i < y->preds.n; i++) {
        if (!tg_pr_implied(e, &out, y->preds.items[i])) {
            tg_pr_add(e, &py, y->preds.items[i]);
        }
    }
    if (px.n > 0 || py.n > 0) {
        const tg_type *t = result->ir->type;
        int axes[TG_MAX_RANK];
        for (int i = 0; i < t->rank; i++) {
            axes[i] = i;
        }
        tg_value *mx = tg_pr_conj(e, &px, t->rank, t->shape),
                 *my = tg_pr_conj(e, &py, t->rank, t->shape);
        tg_value *not_c = tg_build_unary(&e->b, TG_OP_NOT, c->ir), *m;
        if (mx != NULL && my != NULL) {
            m = tg_build_select(&e->b, c->ir, mx, my);
        } else {
            m = tg_build_binary(&e->b, TG_OP_OR, mx != NULL ? not_c : c->ir, mx != NULL ? mx : my);
        }
        tg_span at = px.n > 0 ? px.items[0]->where : py.items[0]->where;
        tg_pred *p = TG_NEW(e->a, tg_pred);
        *p = *tg_pr_from_mask(e, m, t->rank, axes, at);
        tg_pr_join(e, &p->leaves, &px);
        tg_pr_join(e, &p->leaves, &py);
        tg_pr_add(e, &out, p);
    }
    result->preds = out;
}

/* ---- words ---------------------------------------------------------------------------------- */

const char *tg_pr_words(tg_elab *e, const tg_pred *p) {
    tg_span s = p->where;
    if (s.source == NULL || s.end <= s.begin || s.end - s.begin > 80) {
        return "its elements do not exist";
    }
    return tg_arena_printf(e->a, "`%.*s` does not exist", (int)(s.end - s.begin),
                           s.source->text + s.begin);
}
