/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shape operations on tiles: what becomes of values, axis identities, presence (R8) and symbolic
 * elements under broadcast, reshape, permute, slice, local gather and concatenation.
 */
#include "frontend/value.h"

static void map_identity(int *map) {
    for (int i = 0; i < TG_MAX_RANK; i++) {
        map[i] = i;
    }
}

/* Carries ids, predicates and the symbol of x to r; axis a of x becomes map[a] of r (>= 0). */
static void carry(tg_elab *e, tg_val *r, const tg_val *x, const int *map) {
    int rank = tg_el_rank(x);
    for (int a = 0; a < rank; a++) {
        r->id[map[a]] = x->id[a];
    }
    for (int i = 0; i < x->preds.n; i++) {
        tg_pr_add(e, &r->preds, tg_pr_remap(e, x->preds.items[i], map));
    }
    for (int i = 0; i < x->implies.n; i++) {
        tg_pr_add(e, &r->implies, tg_pr_remap(e, x->implies.items[i], map));
    }
    r->sym = x->sym == NULL ? NULL : tg_sy_remap(e, x->sym, map, rank);
}

const tg_val *tg_el_permute(tg_elab *e, const tg_val *x, const int *perm, tg_span where) {
    int64_t axes[TG_MAX_RANK];
    int map[TG_MAX_RANK] = {0};
    for (int i = 0; i < tg_el_rank(x); i++) {
        axes[i] = perm[i];
        map[perm[i]] = i;
    }
    tg_val *r = tg_el_tile(e, tg_build_permute(&e->b, x->ir, axes), where);
    carry(e, r, x, map);
    return r;
}

const tg_val *tg_el_new_axes(tg_elab *e, const tg_val *x, unsigned new_axes, tg_span where) {
    int64_t shape[TG_MAX_RANK];
    int map[TG_MAX_RANK] = {0}, rank = tg_el_rank(x), from = 0, n = 0;
    while (from < rank || (new_axes >> n) != 0) {
        if (n >= TG_MAX_RANK) {
            tg_el_error(e, TG_D_SHAPE, where, "a tile has at most %d axes", TG_MAX_RANK);
            return &tg_val_error;
        }
        if ((new_axes >> n & 1u) != 0) {
            shape[n++] = 1;
        } else {
            shape[n] = tg_el_extent(x, from);
            map[from++] = n++;
        }
    }
    tg_val *r = tg_el_tile(e, tg_build_reshape(&e->b, x->ir, n, shape), where);
    carry(e, r, x, map);
    return r;
}

/* A predicate without the extent-1 axis `axis`; the other axes keep their numbers. */
static const tg_pred *without_axis(tg_elab *e, const tg_pred *p, int axis, const int64_t *extents) {
    tg_value *m = tg_pr_mask(e, p, extents);
    int64_t shape[TG_MAX_RANK];
    int axes[TG_MAX_RANK], n = 0;
    for (int i = 0; i < p->n_axes; i++) {
        if (p->axes[i] != axis) {
            axes[n] = p->axes[i];
            shape[n++] = m->type->shape[i];
        }
    }
    m = tg_build_reshape(&e->b, m, n, shape);
    tg_pred *q = TG_NEW(e->a, tg_pred);
    *q = *tg_pr_from_mask(e, m, n, axes, p->where);
    q->chosen = p->chosen;
    return q;
}

const tg_val *tg_el_squeeze(tg_elab *e, const tg_val *x, int axis, tg_span where) {
    int64_t shape[TG_MAX_RANK];
    int map[TG_MAX_RANK] = {0}, rank = tg_el_rank(x), n = 0;
    for (int a = 0; a < rank; a++) {
        map[a] = n;
        if (a != axis) {
            shape[n++] = tg_el_extent(x, a);
        }
    }
    tg_val *r = tg_el_tile(e, tg_build_reshape(&e->b, x->ir, n, shape), where);
    for (int a = 0; a < rank; a++) {
        if (a != axis) {
            r->id[map[a]] = x->id[a];
        }
    }
    for (int i = 0; i < x->preds.n; i++) {
        const tg_pred *p = x->preds.items[i];
        if (tg_pr_mentions(p, axis)) {
            p = without_axis(e, p, axis, x->ir->type->shape);
        }
        tg_pr_add(e, &r->preds, tg_pr_remap(e, p, map));
    }
    map[axis] = -1;
    r->sym = x->sym == NULL ? NULL : tg_sy_remap(e, x->sym, map, rank);
    return r;
}

const tg_val *tg_el_broadcast(tg_elab *e, const tg_val *x, int rank, const int64_t *shape,
                              tg_span where) {
    int xr = tg_el_rank(x), map[TG_MAX_RANK];
    int64_t axes[TG_MAX_RANK];
    if (xr == rank) {
        bool same = true;
        for (int i = 0; i < rank; i++) {
            same = same && shape[i] == tg_el_extent(x, i);
        }
        if (same) {
            return x;
        }
    }
    map_identity(map);
    tg_val base = *x;
    for (int a = 0; a < xr; a++) {
        axes[a] = a;
        if (shape[a] == tg_el_extent(x, a)) {
            continue;
        }
        tg_preds ps = {NULL, 0};
        for (int i = 0; i < base.preds.n; i++) {
            const tg_pred *p = base.preds.items[i];
            tg_pr_add(e, &ps, tg_pr_mentions(p, a) ? without_axis(e, p, a, x->ir->type->shape) : p);
        }
        base.preds = ps;
        base.implies = (tg_preds){NULL, 0};
        base.id[a] = NULL;
        int drop[TG_MAX_RANK];
        map_identity(drop);
        drop[a] = -1;
        base.sym = base.sym == NULL ? NULL : tg_sy_remap(e, base.sym, drop, TG_MAX_RANK);
    }
    tg_val *r = tg_el_tile(e, tg_build_broadcast(&e->b, x->ir, rank, shape, axes), where);
    carry(e, r, &base, map);
    return r;
}

/* ---- reshape -------------------------------------------------------------------------------- */

/* Groups of old axes [a0, a1) that become new axes [b0, b1) with the same count of elements. */
typedef struct group {
    int a0, a1, b0, b1;
} group;

static int groups_of(int ra, const int64_t *sa, int rb, const int64_t *sb, group *out) {
    int n = 0, a = 0, b = 0;
    while (a < ra || b < rb) {
        group g = {a, a, b, b};
        int64_t pa = 1, pb = 1;
        if (a < ra && b < rb && sa[a] == 1 && sb[b] == 1) { /* one another's */
            out[n++] = (group){a, a + 1, b, b + 1};
            a++;
            b++;
            continue;
        }
        do {
            if (pa <= pb && a < ra) {
                pa *= sa[a++];
            } else if (b < rb) {
                pb *= sb[b++];
            } else {
                pa *= sa[a++];
            }
        } while (pa != pb && (a < ra || b < rb));
        g.a1 = a;
        g.b1 = b;
        out[n++] = g;
    }
    /* Ones at the end belong to the last group that has axes of both sides. */
    return n;
}

/* A predicate that an earlier reshape cut up and this one puts together: the first one again. */
static const tg_pred *joined_again(tg_elab *e, const tg_pred *p, const group *gs, int n_groups) {
    if (p->split_from == NULL) {
        return NULL;
    }
    for (int i = 1; i < p->n_axes; i++) {
        if (p->axes[i] != p->axes[i - 1] + 1) {
            return NULL;
        }
    }
    for (int g = 0; g < n_groups; g++) {
        if (gs[g].a0 == p->axes[0] && gs[g].a1 == p->axes[0] + p->n_axes &&
            gs[g].b1 == gs[g].b0 + 1) {
            int map[TG_MAX_RANK];
            for (int a = 0; a < TG_MAX_RANK; a++) {
                map[a] = gs[g].b0;
            }
            return tg_pr_remap(e, p->split_from, map);
        }
    }
    return NULL;
}

/* Presence over reshaped axes: the mask over all axes of the touched groups, reshaped. */
static const tg_pred *reshape_pred(tg_elab *e, const tg_pred *p, const tg_val *x,
                                   const int64_t *shape, const group *gs, int n_groups,
                                   const int *map) {
    bool plain = true;
    for (int i = 0; i < p->n_axes; i++) {
        plain = plain && map[p->axes[i]] >= 0;
    }
    if (plain) {
        return tg_pr_remap(e, p, map);
    }
    const tg_pred *whole = joined_again(e, p, gs, n_groups);
    if (whole != NULL) {
        return whole;
    }
    int64_t from[TG_MAX_RANK], to[TG_MAX_RANK];
    int axes[TG_MAX_RANK], back[TG_MAX_RANK] = {0}, nf = 0, nt = 0;
    for (int g = 0; g < n_groups; g++) {
        bool touched = false;
        for (int a = gs[g].a0; a < gs[g].a1; a++) {
            touched = touched || tg_pr_mentions(p, a);
        }
        for (int a = gs[g].a0; touched && a < gs[g].a1; a++) {
            back[a] = nf;
            from[nf++] = tg_el_extent(x, a);
        }
        for (int b = gs[g].b0; touched && b < gs[g].b1; b++) {
            axes[nt] = b;
            to[nt++] = shape[b];
        }
    }
    const tg_pred *packed = tg_pr_remap(e, p, back);
    tg_preds one = {&packed, 1};
    tg_value *m = tg_build_reshape(&e->b, tg_pr_conj(e, &one, nf, from), nt, to);
    tg_pred *q = TG_NEW(e->a, tg_pred);
    *q = *tg_pr_from_mask(e, m, nt, axes, p->where);
    q->chosen = p->chosen;
    q->split_from = p->n_axes == 1 && nf == 1 ? p : NULL;
    return q;
}

const tg_val *tg_el_reshape(tg_elab *e, const tg_val *x, int rank, const int64_t *shape,
                            tg_span where) {
    group gs[2 * TG_MAX_RANK];
    int xr = tg_el_rank(x), map[TG_MAX_RANK];
    int n = groups_of(xr, x->ir->type->shape, rank, shape, gs);
    tg_val *r = tg_el_tile(e, tg_build_reshape(&e->b, x->ir, rank, shape), where);
    for (int a = 0; a < TG_MAX_RANK; a++) {
        map[a] = -1;
    }
    for (int g = 0; g < n; g++) { /* one axis that stays, perhaps among ones */
        int a = -1, b = -1, na = 0, nb = 0;
        for (int k = gs[g].a0; k < gs[g].a1; k++) {
            if (tg_el_extent(x, k) != 1) {
                a = k;
                na++;
            }
        }
        for (int k = gs[g].b0; k < gs[g].b1; k++) {
            if (shape[k] != 1) {
                b = k;
                nb++;
            }
        }
        if (na == 1 && nb == 1) {
            map[a] = b;
            r->id[b] = x->id[a];
        } else if (na == 0 && nb == 0 && gs[g].a1 - gs[g].a0 == 1 && gs[g].b1 - gs[g].b0 == 1) {
            map[gs[g].a0] = gs[g].b0;
            r->id[gs[g].b0] = x->id[gs[g].a0];
        }
    }
    for (int i = 0; i < x->preds.n; i++) {
        tg_pr_add(e, &r->preds, reshape_pred(e, x->preds.items[i], x, shape, gs, n, map));
    }
    r->sym = x->sym == NULL ? NULL : tg_sy_remap(e, x->sym, map, xr);
    return r;
}

/* ---- slices and gathers of tiles ------------------------------------------------------------ */

static const tg_val *slice_axis(tg_elab *e, const tg_val *x, int axis, int64_t lo, int64_t hi,
                                tg_span where) {
    const tg_type *t = x->ir->type;
    if (lo == 0 && hi == t->shape[axis]) {
        return x;
    }
    int64_t off[TG_MAX_RANK] = {0}, shape[TG_MAX_RANK];
    int map[TG_MAX_RANK];
    map_identity(map);
    for (int a = 0; a < t->rank; a++) {
        shape[a] = t->shape[a];
    }
    off[axis] = lo;
    shape[axis] = hi - lo;
    tg_val *r = tg_el_tile(e, tg_build_slice(&e->b, x->ir, off, shape), where);
    for (int a = 0; a < t->rank; a++) {
        r->id[a] = a == axis ? NULL : x->id[a];
    }
    for (int i = 0; i < x->preds.n; i++) {
        const tg_pred *p = x->preds.items[i];
        if (tg_pr_mentions(p, axis)) {
            tg_value *m = tg_pr_mask(e, p, t->shape);
            int64_t moff[TG_MAX_RANK] = {0}, mshape[TG_MAX_RANK];
            int axes[TG_MAX_RANK];
            for (int k = 0; k < p->n_axes; k++) {
                axes[k] = p->axes[k];
                moff[k] = p->axes[k] == axis ? lo : 0;
                mshape[k] = p->axes[k] == axis ? hi - lo : m->type->shape[k];
            }
            tg_pred *q = TG_NEW(e->a, tg_pred);
            *q = *tg_pr_from_mask(e, tg_build_slice(&e->b, m, moff, mshape), p->n_axes, axes,
                                  p->where);
            q->chosen = p->chosen;
            p = q;
        }
        tg_pr_add(e, &r->preds, p);
    }
    map[axis] = -1;
    r->sym = x->sym == NULL ? NULL : tg_sy_remap(e, x->sym, map, t->rank);
    return r;
}

/* x's axis replaced by the axes of index tile i; what i points at outside does not exist. */
static const tg_val *gather_axis(tg_elab *e, const tg_val *x, int axis, const tg_val *i,
                                 tg_span where) {
    const tg_type *t = x->ir->type;
    int ir = tg_el_rank(i), map[TG_MAX_RANK], iaxes[TG_MAX_RANK];
    if (t->rank - 1 + ir > TG_MAX_RANK) {
        tg_el_error(e, TG_D_SHAPE, where, "a tile has at most %d axes", TG_MAX_RANK);
        return &tg_val_error;
    }
    for (int a = 0; a < t->rank; a++) {
        map[a] = a < axis ? a : a + ir - 1;
    }
    int64_t shape[TG_MAX_RANK];
    for (int a = 0; a < t->rank; a++) {
        if (a != axis) {
            shape[map[a]] = t->shape[a];
        }
    }
    for (int k = 0; k < ir; k++) {
        shape[axis + k] = tg_el_extent(i, k);
    }
    if (!tg_el_fits(e, t->rank - 1 + ir, shape, where)) {
        return &tg_val_error;
    }
    tg_val *r = tg_el_tile(e, tg_build_local_gather(&e->b, x->ir, i->ir, axis), where);
    for (int a = 0; a < t->rank; a++) {
        if (a != axis) {
            r->id[map[a]] = x->id[a];
        }
    }
    for (int k = 0; k < ir; k++) {
        iaxes[k] = axis + k;
        r->id[axis + k] = i->id[k];
    }
    for (int k = 0; k < i->preds.n; k++) {
        tg_pr_add(e, &r->preds, tg_pr_remap(e, i->preds.items[k], iaxes));
    }
    const tg_pred *in = tg_pr_index(e, i, tg_sy_int(e, t->shape[axis]), iaxes, where);
    if (in != NULL) {
        tg_pr_add(e, &r->preds, in);
    }
    for (int k = 0; k < x->preds.n; k++) {
        const tg_pred *p = x->preds.items[k];
        if (!tg_pr_mentions(p, axis)) {
            tg_pr_add(e, &r->preds, tg_pr_remap(e, p, map));
            continue;
        }
        tg_value *m = tg_pr_mask(e, p, t->shape);
        int at = 0, axes[TG_MAX_RANK], n = 0;
        for (int q = 0; q < p->n_axes; q++) {
            if (p->axes[q] == axis) {
                at = q;
                for (int j = 0; j < ir; j++) {
                    axes[n++] = axis + j;
                }
            } else {
                axes[n++] = map[p->axes[q]];
            }
        }
        m = tg_build_local_gather(&e->b, m, i->ir, at);
        tg_pr_add(e, &r->preds, tg_pr_from_mask(e, m, n, axes, p->where));
    }
    return r;
}

/* Positions of an axis of x as an index: x[:, e] where e runs along another axis of x zips. */
static const tg_val *zip_gather(tg_elab *e, const tg_val *x, int axis, int with, const tg_val *i,
                                tg_span where) {
    const tg_type *t = x->ir->type;
    int perm[TG_MAX_RANK] = {0}, n = 0;
    perm[n++] = with;
    perm[n++] = axis;
    for (int a = 0; a < t->rank; a++) {
        if (a != with && a != axis) {
            perm[n++] = a;
        }
    }
    const tg_val *y = tg_el_permute(e, x, perm, where);
    int64_t w = t->shape[with], m = t->shape[axis], shape[TG_MAX_RANK] = {w * m};
    for (int a = 2; a < t->rank; a++) {
        shape[a - 1] = tg_el_extent(y, a);
    }
    y = tg_el_reshape(e, y, t->rank - 1, shape, where);
    const tg_type *pt = tg_type_tile(e->m, TG_DT_I64, 1, &w);
    tg_value *idx = tg_build_cast(&e->b, i->ir, TG_DT_I64);
    tg_value *rows = tg_build_binary(&e->b, TG_OP_MUL, tg_build_iota(&e->b, TG_DT_I64, w),
                                     tg_build_int(&e->b, pt, m));
    tg_val *flat = tg_el_copy(e, i);
    flat->ir = tg_build_binary(&e->b, TG_OP_ADD, rows, idx);
    flat->sym = NULL;
    const int axes[1] = {0};
    const tg_pred *in = tg_pr_index(e, i, tg_sy_int(e, m), axes, where);
    if (in != NULL) { /* an index outside its row must not reach the neighbour's */
        tg_value *mask = tg_build_present(&e->b, i->ir, tg_build_index(&e->b, m));
        flat->ir = tg_build_select(&e->b, mask, flat->ir, tg_build_int(&e->b, pt, -1));
    }
    const tg_val *g = gather_axis(e, y, 0, flat, where);
    if (tg_el_is_error(g) || with == 0) {
        return g;
    }
    /* The zipped axis goes back to where it was (counted without `axis`). */
    int to = with < axis ? with : with - 1, back[TG_MAX_RANK] = {0}, k = 1;
    for (int a = 0; a < t->rank - 1; a++) {
        back[a] = a == to ? 0 : k++;
    }
    return tg_el_permute(e, g, back, where);
}

static bool slice_bound(tg_elab *e, const tg_expr *x, int64_t otherwise, int64_t *out) {
    *out = otherwise;
    return x == NULL || tg_el_const_int(e, x, "a bound of a slice", out);
}

/* One index of a tile; *axis moves to the next axis of the result. */
static const tg_val *index_one(tg_elab *e, const tg_val *x, const tg_index *item, int *axis) {
    int64_t n = tg_el_extent(x, *axis), lo, hi;
    if (item->kind == TG_INDEX_SLICE) {
        if (!slice_bound(e, item->lo, 0, &lo) || !slice_bound(e, item->hi, n, &hi)) {
            return &tg_val_error;
        }
        if (lo < 0 || hi > n || lo >= hi) {
            tg_el_error(e, TG_D_SHAPE, item->span,
                        "the slice %lld:%lld does not lie inside an axis of %lld elements",
                        (long long)lo, (long long)hi, (long long)n);
            return &tg_val_error;
        }
        return slice_axis(e, x, (*axis)++, lo, hi, item->span);
    }
    const tg_val *i = tg_el_value(e, item->lo);
    if (tg_el_is_error(i)) {
        return i;
    }
    if (i->kind == TG_VAL_INT) {
        if (i->i < 0 || i->i >= n) {
            tg_el_error(e, TG_D_SHAPE, item->span,
                        "index %lld lies outside an axis of %lld elements", (long long)i->i,
                        (long long)n);
            return &tg_val_error;
        }
        const tg_val *s = slice_axis(e, x, *axis, i->i, i->i + 1, item->span);
        return tg_el_squeeze(e, s, *axis, item->span);
    }
    if (i->kind != TG_VAL_TILE || !tg_dtype_is_int(tg_el_dtype(i))) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, item->span, "%s cannot be an index",
                    tg_el_describe(e, i));
        return &tg_val_error;
    }
    if (tg_el_rank(i) == 1 && i->id[0] != NULL) {
        for (int a = 0; a < tg_el_rank(x); a++) {
            if (a != *axis && x->id[a] == i->id[0] && tg_el_extent(x, a) == tg_el_extent(i, 0)) {
                return zip_gather(e, x, *axis, a, i, item->span);
            }
        }
    }
    int at = *axis;
    *axis += tg_el_rank(i);
    return gather_axis(e, x, at, i, item->span);
}

const tg_val *tg_el_tile_index(tg_elab *e, const tg_val *x, const tg_index *items, int n,
                               tg_span where) {
    int given = 0;
    for (int i = 0; i < n; i++) {
        given += items[i].kind != TG_INDEX_NEW;
    }
    if (given != tg_el_rank(x)) {
        tg_el_error(e, TG_D_SHAPE, where, "%s has %d axes and %d are indexed", tg_el_describe(e, x),
                    tg_el_rank(x), given);
        return &tg_val_error;
    }
    int axis = 0;
    for (int i = 0; i < n && !tg_el_is_error(x); i++) {
        if (items[i].kind == TG_INDEX_NEW) {
            x = tg_el_new_axes(e, x, 1u << axis++, where);
        } else {
            x = index_one(e, x, &items[i], &axis);
        }
    }
    return x;
}

/* ---- concat --------------------------------------------------------------------------------- */

static tg_value *full_mask(tg_elab *e, const tg_val *x, const tg_preds *ps) {
    const tg_type *t = x->ir->type;
    tg_value *m = tg_pr_conj(e, ps, t->rank, t->shape);
    return m != NULL ? m : tg_build_int(&e->b, tg_type_with_dtype(e->m, t, TG_DT_BOOL), 1);
}

const tg_val *tg_el_concat(tg_elab *e, int n, const tg_val *const *xs, int axis, tg_span where) {
    tg_value **irs = TG_NEW_ARRAY(e->a, tg_value *, n), **masks = TG_NEW_ARRAY(e->a, tg_value *, n);
    bool ragged = false;
    tg_preds common = {NULL, 0};
    for (int i = 0; i < xs[0]->preds.n; i++) {
        const tg_pred *p = xs[0]->preds.items[i];
        bool all = !tg_pr_mentions(p, axis);
        for (int k = 1; k < n && all; k++) {
            all = tg_pr_implied(e, &xs[k]->preds, p);
        }
        if (all) {
            tg_pr_add(e, &common, p);
        }
    }
    for (int i = 0; i < n; i++) {
        irs[i] = xs[i]->ir;
        for (int k = 0; k < xs[i]->preds.n; k++) {
            ragged = ragged || !tg_pr_implied(e, &common, xs[i]->preds.items[k]);
        }
    }
    tg_val *r = tg_el_tile(e, tg_build_concat(&e->b, n, irs, axis), where);
    int axes[TG_MAX_RANK];
    map_identity(axes);
    for (int a = 0; a < tg_el_rank(r); a++) {
        r->id[a] = a == axis ? NULL : xs[0]->id[a];
        for (int i = 1; i < n && a != axis && r->id[a] == NULL; i++) {
            r->id[a] = xs[i]->id[a];
        }
    }
    r->preds = common;
    if (ragged) {
        for (int i = 0; i < n; i++) {
            masks[i] = full_mask(e, xs[i], &xs[i]->preds);
        }
        tg_value *m = tg_build_concat(&e->b, n, masks, axis);
        tg_pr_add(e, &r->preds, tg_pr_from_mask(e, m, tg_el_rank(r), axes, where));
    }
    return r;
}
