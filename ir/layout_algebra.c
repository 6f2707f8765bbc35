/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layouts from layouts: comparison, permute, project, reshape, divide, compose, and the families
 * that placement starts from.
 *
 * Comparison goes by a normal form. Per axis, the digits sorted by stride are clipped to the tile
 * from the top (a digit whose stride reaches the extent is always 0), then neighbours that continue
 * each other in both weights are one digit, and the top is clipped once more. Two layouts that hold
 * the same elements have the same form (tests/ir/test_layout.c holds this against brute force).
 */
#include "ir/layout_modes.h"

#include <string.h>

/* ---- building lists of modes ---------------------------------------------------------------- */

static void add_mode(tg_layout *l, int axis, tg_resource r, int64_t extent, int64_t stride,
                     int64_t place) {
    if (extent > 1 && l->n_modes < TG_LAYOUT_MAX_MODES) {
        l->modes[l->n_modes++] = (tg_layout_mode){.axis = (int8_t)axis,
                                                  .resource = (uint8_t)r,
                                                  .extent = extent,
                                                  .stride = axis < 0 ? 0 : stride,
                                                  .place = place};
    }
}

static tg_layout empty_like(const tg_layout *l) {
    tg_layout r;
    memset(&r, 0, sizeof r);
    r.rank = l->rank;
    r.xor_q = l->xor_q;
    r.xor_g = l->xor_g;
    r.xor_chunk = l->xor_chunk;
    return r;
}

/* Registers renumbered so that the places are dense again, in the same order. */
static void pack_registers(tg_layout *l) {
    int order[TG_LAYOUT_MAX_MODES];
    int n = tg_modes_by_place(l, TG_RES_REG, order);
    int64_t place = 1;
    for (int i = 0; i < n; i++) {
        l->modes[order[i]].place = place;
        place *= l->modes[order[i]].extent;
    }
}

static bool mode_before(const tg_layout_mode *a, const tg_layout_mode *b) {
    int axis_a = a->axis < 0 ? TG_MAX_RANK : a->axis, axis_b = b->axis < 0 ? TG_MAX_RANK : b->axis;
    if (axis_a != axis_b) {
        return axis_a < axis_b;
    }
    if (a->stride != b->stride) {
        return a->stride < b->stride;
    }
    return a->resource != b->resource ? a->resource < b->resource : a->place < b->place;
}

static void sort_modes(tg_layout *l) {
    for (int i = 1; i < l->n_modes; i++) {
        tg_layout_mode d = l->modes[i];
        int at = i;
        for (; at > 0 && mode_before(&d, &l->modes[at - 1]); at--) {
            l->modes[at] = l->modes[at - 1];
        }
        l->modes[at] = d;
    }
}

/* Joins sorted neighbours that continue each other. */
static void merge_modes(tg_layout *l) {
    int n = 0;
    for (int i = 0; i < l->n_modes; i++) {
        tg_layout_mode *d = &l->modes[i], *p = n > 0 ? &l->modes[n - 1] : NULL;
        if (d->extent == 1) {
            continue;
        }
        bool joins = p != NULL && p->axis == d->axis && p->resource == d->resource &&
                     d->place == p->place * p->extent && d->stride == p->stride * p->extent;
        if (joins) {
            p->extent *= d->extent;
        } else {
            l->modes[n++] = *d;
        }
    }
    l->n_modes = (uint8_t)n;
}

/* ---- comparison ----------------------------------------------------------------------------- */

static void clip_modes(tg_layout *l, const int64_t *shape) {
    for (int i = 0; i < l->n_modes; i++) {
        tg_layout_mode *d = &l->modes[i];
        if (d->axis >= 0) {
            d->extent = tg_min_i64(d->extent, tg_cdiv_i64(shape[d->axis], d->stride));
        }
    }
}

static tg_layout canonical_form(const tg_layout *l, const int64_t *shape) {
    tg_layout r = *l;
    clip_modes(&r, shape);
    sort_modes(&r);
    merge_modes(&r);
    clip_modes(&r, shape);
    merge_modes(&r);
    return r;
}

const tg_layout *tg_layout_canonical(tg_module *m, const tg_layout *l, const int64_t *shape) {
    tg_layout r = canonical_form(l, shape);
    return tg_layout_intern(m, &r);
}

static bool same_mode(const tg_layout_mode *a, const tg_layout_mode *b) {
    return a->axis == b->axis && a->resource == b->resource && a->extent == b->extent &&
           a->stride == b->stride && a->place == b->place;
}

/* The modes of one resource (-1: of all) are the same lists. */
static bool same_modes(const tg_layout *a, const tg_layout *b, int resource) {
    int i = 0, j = 0;
    for (;;) {
        while (i < a->n_modes && resource >= 0 && a->modes[i].resource != resource) {
            i++;
        }
        while (j < b->n_modes && resource >= 0 && b->modes[j].resource != resource) {
            j++;
        }
        if (i >= a->n_modes || j >= b->n_modes) {
            return i >= a->n_modes && j >= b->n_modes;
        }
        if (!same_mode(&a->modes[i++], &b->modes[j++])) {
            return false;
        }
    }
}

bool tg_layout_equal(const tg_layout *a, const tg_layout *b, const int64_t *shape) {
    if (a == b) {
        return true;
    }
    if (a->rank != b->rank || a->xor_g != b->xor_g || a->xor_q != b->xor_q ||
        a->xor_chunk != b->xor_chunk) {
        return false;
    }
    tg_layout x = canonical_form(a, shape), y = canonical_form(b, shape);
    return same_modes(&x, &y, -1);
}

bool tg_layout_same_lanes(const tg_layout *a, const tg_layout *b, const int64_t *shape) {
    if (a == b) {
        return true;
    }
    tg_layout x = canonical_form(a, shape), y = canonical_form(b, shape);
    return a->rank == b->rank && same_modes(&x, &y, TG_RES_LANE);
}

tg_layout_plan tg_layout_convert_plan(const tg_layout *a, const tg_layout *b,
                                      const int64_t *shape) {
    if (tg_layout_equal(a, b, shape)) {
        return TG_LAYOUT_SAME;
    }
    if (tg_layout_same_lanes(a, b, shape)) {
        return TG_LAYOUT_RENAME;
    }
    tg_layout x = canonical_form(a, shape), y = canonical_form(b, shape);
    return same_modes(&x, &y, TG_RES_REG) ? TG_LAYOUT_LANES : TG_LAYOUT_MEMORY;
}

/* Drops registers at the end that hold only padding: the top register digit, where it is also the
 * top digit of its axis. */
static bool clip_top_register(tg_layout *l, const int64_t *shape) {
    int order[TG_LAYOUT_MAX_MODES];
    int n = tg_modes_by_place(l, TG_RES_REG, order);
    if (n == 0) {
        return false;
    }
    tg_layout_mode *d = &l->modes[order[n - 1]];
    if (d->axis < 0) {
        d->extent = 1; /* a register replica serves nobody */
        return true;
    }
    int64_t need = tg_cdiv_i64(shape[d->axis], d->stride);
    if (need >= d->extent) {
        return false;
    }
    d->extent = need;
    return true;
}

const tg_layout *tg_layout_tidy(tg_module *m, const tg_layout *l, const int64_t *shape) {
    tg_layout r = *l;
    while (clip_top_register(&r, shape)) {
    }
    sort_modes(&r);
    merge_modes(&r);
    return tg_layout_intern(m, &r);
}

bool tg_layout_covers(const tg_layout *l, const int64_t *shape) {
    for (int a = 0; a < l->rank; a++) {
        int order[TG_LAYOUT_MAX_MODES];
        int n = tg_modes_by_stride(l, a, order);
        int64_t reach = 1;
        for (int i = 0; i < n; i++) {
            const tg_layout_mode *d = &l->modes[order[i]];
            if (d->stride != reach && reach < shape[a]) {
                return false;
            }
            reach = d->stride * d->extent;
        }
        if (reach < shape[a]) {
            return false;
        }
    }
    return true;
}

bool tg_layout_is_within(const tg_layout *l, int axis, int64_t group) {
    for (int i = 0; i < l->n_modes; i++) {
        const tg_layout_mode *d = &l->modes[i];
        int64_t reach = d->place * d->extent;
        if (d->resource == TG_RES_LANE && d->axis == axis && d->extent > 1 &&
            ((reach & (reach - 1)) != 0 || (d->place & (d->place - 1)) != 0 ||
             group % reach != 0)) {
            return false;
        }
    }
    return true;
}

bool tg_layout_has_replicas(const tg_layout *l) {
    for (int i = 0; i < l->n_modes; i++) {
        if (l->modes[i].axis < 0 && l->modes[i].extent > 1) {
            return true;
        }
    }
    return false;
}

/* ---- axes renamed, added, dropped ------------------------------------------------------------ */

const tg_layout *tg_layout_permute(tg_module *m, const tg_layout *l, int rank,
                                   const int64_t *axes) {
    tg_layout r = *l;
    r.rank = (uint8_t)rank;
    for (int i = 0; i < r.n_modes; i++) {
        for (int a = 0; a < rank; a++) {
            if (l->modes[i].axis >= 0 && axes[a] == l->modes[i].axis) {
                r.modes[i].axis = (int8_t)a;
            }
        }
    }
    sort_modes(&r);
    return tg_layout_intern(m, &r);
}

const tg_layout *tg_layout_project(tg_module *m, const tg_layout *l, int rank,
                                   const int64_t *axes) {
    tg_layout r = empty_like(l);
    r.rank = (uint8_t)rank;
    for (int i = 0; i < l->n_modes; i++) {
        const tg_layout_mode *d = &l->modes[i];
        int axis = -1;
        for (int a = 0; a < rank; a++) {
            axis = d->axis >= 0 && axes[a] == d->axis ? a : axis;
        }
        if (axis >= 0 || d->resource == TG_RES_LANE) {
            add_mode(&r, axis, (tg_resource)d->resource, d->extent, d->stride, d->place);
        }
    }
    pack_registers(&r);
    sort_modes(&r);
    merge_modes(&r);
    return tg_layout_intern(m, &r);
}

const tg_layout *tg_layout_project_shape(tg_module *m, const tg_layout *l, int rank,
                                         const int64_t *shape, const int64_t *axes,
                                         const int64_t *to) {
    int64_t kept[TG_MAX_RANK];
    for (int a = 0; a < rank; a++) {
        kept[a] = shape[a] == 1 && to[axes[a]] != 1 ? -1 : axes[a];
    }
    return tg_layout_project(m, l, rank, kept);
}

const tg_layout *tg_layout_drop(tg_module *m, const tg_layout *l, int axis) {
    int64_t axes[TG_MAX_RANK];
    int n = 0;
    for (int a = 0; a < l->rank; a++) {
        if (a != axis) {
            axes[n++] = a;
        }
    }
    return tg_layout_project(m, l, n, axes);
}

/* ---- cutting digits ------------------------------------------------------------------------- */

/* Appends d cut at the ascending boundaries (absolute weights on its axis); false when a boundary
 * inside it is no multiple of its stride or does not divide what is left. An open digit (the top of
 * its axis) may be cut anywhere: what is beyond is padding. */
static bool add_cut(tg_layout *r, tg_layout_mode d, const int64_t *at, int n, bool open) {
    for (int i = 0; i < n; i++) {
        if (at[i] <= d.stride || at[i] >= d.stride * d.extent) {
            continue;
        }
        if (at[i] % d.stride != 0) {
            return false;
        }
        int64_t low = at[i] / d.stride;
        if (d.extent % low != 0 && !open) {
            return false;
        }
        add_mode(r, d.axis, (tg_resource)d.resource, low, d.stride, d.place);
        d.extent = tg_cdiv_i64(d.extent, low);
        d.stride = at[i];
        d.place *= low;
    }
    add_mode(r, d.axis, (tg_resource)d.resource, d.extent, d.stride, d.place);
    return r->n_modes < TG_LAYOUT_MAX_MODES;
}

const tg_layout *tg_layout_divide(tg_module *m, const tg_layout *a, const tg_layout *by) {
    tg_layout r = empty_like(a);
    for (int i = 0; i < a->n_modes; i++) {
        const tg_layout_mode *d = &a->modes[i];
        if (d->axis < 0) {
            add_mode(&r, -1, (tg_resource)d->resource, d->extent, 0, d->place);
            continue;
        }
        int order[TG_LAYOUT_MAX_MODES];
        int64_t at[TG_LAYOUT_MAX_MODES];
        int n = tg_modes_by_stride(by, d->axis, order);
        for (int k = 0; k < n; k++) {
            at[k] = by->modes[order[k]].stride;
        }
        if (!add_cut(&r, *d, at, n, false)) {
            return NULL;
        }
    }
    sort_modes(&r);
    return tg_layout_intern(m, &r);
}

const tg_layout *tg_layout_compose(tg_module *m, const tg_layout *holders,
                                   const tg_layout *memory) {
    const tg_layout *cut = memory->xor_g != 0 ? NULL : tg_layout_divide(m, holders, memory);
    if (cut == NULL || holders->rank != memory->rank) {
        return NULL;
    }
    tg_layout r = *cut;
    r.rank = 1;
    for (int i = 0; i < r.n_modes; i++) {
        tg_layout_mode *d = &r.modes[i];
        if (d->axis < 0) {
            continue;
        }
        int order[TG_LAYOUT_MAX_MODES];
        int n = tg_modes_by_stride(memory, d->axis, order), at = 0;
        while (at < n && memory->modes[order[at]].stride <= d->stride) {
            at++;
        }
        if (at == 0) {
            return NULL;
        }
        const tg_layout_mode *to = &memory->modes[order[at - 1]];
        if (d->stride % to->stride != 0 ||
            (d->stride / to->stride) * 1 + (d->extent - 1) * (d->stride / to->stride) >=
                to->extent + (d->stride / to->stride)) {
            return NULL; /* reaches beyond the memory's axis */
        }
        d->stride = d->stride / to->stride * to->place;
        d->axis = 0;
    }
    return tg_layout_intern(m, &r);
}

/* ---- reshape -------------------------------------------------------------------------------- */

/*
 * Axes fall into groups of equal products, from the innermost. Within a group everything is counted
 * in elements of the group (row-major): the source's digits, then the cuts where the target's axes
 * begin. Only the outermost axis of a group may be padded, unless the group is one axis to one
 * axis.
 */
typedef struct group {
    int from_lo, from_hi, to_lo, to_hi; /* axes [lo, hi) */
} group;

static int64_t product(const int64_t *shape, int lo, int hi) {
    int64_t n = 1;
    for (int i = lo; i < hi; i++) {
        n *= shape[i];
    }
    return n;
}

/* Where an axis begins, in elements of its group. */
static bool axis_is_padded(const tg_layout *l, int axis, int64_t extent) {
    int64_t reach = 1;
    for (int i = 0; i < l->n_modes; i++) {
        if (l->modes[i].axis == axis) {
            reach = tg_max_i64(reach, l->modes[i].stride * l->modes[i].extent);
        }
    }
    return reach != extent;
}

static int axis_at(int64_t weight, const group *g, const int64_t *to, int64_t *out_begin) {
    int axis = g->to_hi - 1;
    int64_t begin = 1;
    while (axis > g->to_lo && (weight >= begin * to[axis] || to[axis] == 1)) {
        begin *= to[axis--];
    }
    *out_begin = begin;
    return axis;
}

static bool reshape_mode(tg_layout *r, const tg_layout_mode *d, const group *g, const int64_t *from,
                         const int64_t *to) {
    int64_t cuts[TG_MAX_RANK], weight = product(from, d->axis + 1, g->from_hi), reach = 1;
    int n = 0;
    for (int a = g->to_hi - 1; a > g->to_lo; a--) {
        reach *= to[a];
        if (to[a] != 1) {
            cuts[n++] = reach;
        }
    }
    tg_layout parts;
    memset(&parts, 0, sizeof parts);
    tg_layout_mode linear = *d;
    linear.stride *= weight;
    int64_t top = linear.stride * linear.extent;
    bool open = d->axis == g->from_lo && top >= product(from, g->from_lo, g->from_hi);
    if (!add_cut(&parts, linear, cuts, n, open)) {
        return false;
    }
    for (int i = 0; i < parts.n_modes; i++) {
        int64_t begin;
        int axis = axis_at(parts.modes[i].stride, g, to, &begin);
        if (parts.modes[i].stride % begin != 0 || r->n_modes == TG_LAYOUT_MAX_MODES) {
            return false;
        }
        add_mode(r, axis, (tg_resource)parts.modes[i].resource, parts.modes[i].extent,
                 parts.modes[i].stride / begin, parts.modes[i].place);
    }
    return true;
}

static bool reshape_group(tg_layout *r, const tg_layout *l, const group *g, const int64_t *from,
                          const int64_t *to) {
    bool one = g->from_hi - g->from_lo == 1 && g->to_hi - g->to_lo == 1;
    for (int a = g->from_lo + 1; a < g->from_hi; a++) {
        if (axis_is_padded(l, a, from[a])) {
            return false;
        }
    }
    for (int i = 0; i < l->n_modes; i++) {
        const tg_layout_mode *d = &l->modes[i];
        if (d->axis < g->from_lo || d->axis >= g->from_hi) {
            continue;
        }
        if (one) {
            add_mode(r, g->to_lo, (tg_resource)d->resource, d->extent, d->stride, d->place);
        } else if (!reshape_mode(r, d, g, from, to)) {
            return false;
        }
    }
    return true;
}

/* The cuts of an open digit leave its places where they were; nothing else may overlap them. */
const tg_layout *tg_layout_reshape(tg_module *m, const tg_layout *l, int from_rank,
                                   const int64_t *from, int to_rank, const int64_t *to) {
    tg_layout r = empty_like(l);
    r.rank = (uint8_t)to_rank;
    group g = {.from_lo = from_rank, .to_lo = to_rank};
    if (l->xor_g != 0) {
        return NULL;
    }
    while (g.from_lo > 0 || g.to_lo > 0) {
        g.from_hi = g.from_lo;
        g.to_hi = g.to_lo;
        int64_t a = 1, b = 1;
        do { /* the shorter side takes another axis; outermost extents of 1 join the last group */
            bool take_from = g.to_lo == 0 || a < b || (a == b && g.from_lo == g.from_hi);
            if (g.from_lo > 0 && take_from) {
                a *= from[--g.from_lo];
            } else if (g.to_lo > 0) {
                b *= to[--g.to_lo];
            } else {
                return NULL;
            }
        } while (a != b || (g.from_lo == 0) != (g.to_lo == 0) || g.from_lo == g.from_hi ||
                 g.to_lo == g.to_hi);
        if (!reshape_group(&r, l, &g, from, to)) {
            return NULL;
        }
    }
    for (int i = 0; i < l->n_modes; i++) {
        if (l->modes[i].axis < 0) {
            add_mode(&r, -1, (tg_resource)l->modes[i].resource, l->modes[i].extent, 0,
                     l->modes[i].place);
        }
    }
    sort_modes(&r);
    merge_modes(&r);
    return tg_layout_is_sound(&r) ? tg_layout_intern(m, &r) : NULL;
}

/* ---- families ------------------------------------------------------------------------------- */

const tg_layout *tg_layout_grid(tg_module *m, int rank, const int64_t *shape, const int64_t *inner,
                                const int64_t *lanes, int64_t all) {
    tg_layout r;
    int64_t lane = 1, reg = 1;
    memset(&r, 0, sizeof r);
    r.rank = (uint8_t)rank;
    for (int a = rank - 1; a >= 0; a--) {
        add_mode(&r, a, TG_RES_REG, inner[a], 1, reg);
        reg *= inner[a];
        add_mode(&r, a, TG_RES_LANE, lanes[a], inner[a], lane);
        lane *= lanes[a];
    }
    for (int a = rank - 1; a >= 0; a--) {
        int64_t block = inner[a] * lanes[a], more = tg_cdiv_i64(shape[a], block);
        add_mode(&r, a, TG_RES_REG, more, block, reg);
        reg *= more;
    }
    add_mode(&r, -1, TG_RES_LANE, all / lane, 0, lane);
    return tg_layout_tidy(m, &r, shape);
}

/* Deals `left` lanes to the axes 0..axis so that the product of what remains per lane is least;
 * among equals the inner axes get more. `best` starts at INT64_MAX. */
typedef struct deal {
    const int64_t *shape, *inner;
    int64_t lanes[TG_MAX_RANK], best_lanes[TG_MAX_RANK], best;
} deal;

static void deal_axis(deal *d, int axis, int64_t left, int64_t regs) {
    if (regs >= d->best) {
        return;
    }
    if (axis < 0) {
        d->best = regs;
        memcpy(d->best_lanes, d->lanes, sizeof d->lanes);
        return;
    }
    int64_t groups = tg_cdiv_i64(d->shape[axis], d->inner[axis]);
    int64_t most = axis == 0 ? left : left;
    for (int64_t n = most; n >= 1; n--) {
        /* no more lanes than the axis has work for, but for the smallest divisor that covers it */
        if (left % n != 0 || (n > groups && n / 2 >= groups && left % (n / 2) == 0)) {
            continue;
        }
        d->lanes[axis] = n;
        deal_axis(d, axis - 1, left / n, regs * tg_cdiv_i64(groups, n));
    }
}

const tg_layout *tg_layout_blocked(tg_module *m, int rank, const int64_t *shape, int64_t lanes,
                                   int64_t vec) {
    int64_t inner[TG_MAX_RANK];
    for (int a = 0; a < rank; a++) {
        inner[a] = a == rank - 1 ? tg_max_i64(1, tg_min_i64(vec, shape[a])) : 1;
    }
    deal d = {.shape = shape, .inner = inner, .best = INT64_MAX};
    deal_axis(&d, rank - 1, lanes, 1);
    /* Lanes that no axis had work for go to the first axis as padding: no element has two holders.
     */
    int64_t used = product(d.best_lanes, 0, rank);
    if (rank > 0) {
        d.best_lanes[0] *= lanes / used;
    }
    return tg_layout_grid(m, rank, shape, inner, d.best_lanes, lanes);
}

const tg_layout *tg_layout_tile2d(tg_module *m, int rank, const int64_t *shape, int64_t lanes_m,
                                  int64_t lanes_n, int64_t tm, int64_t tn) {
    int64_t inner[TG_MAX_RANK], lanes[TG_MAX_RANK];
    for (int a = 0; a < rank; a++) {
        inner[a] = a == rank - 1 ? tn : a == rank - 2 ? tm : 1;
        lanes[a] = a == rank - 1 ? lanes_n : a == rank - 2 ? lanes_m : 1;
    }
    return tg_layout_grid(m, rank, shape, inner, lanes, lanes_m * lanes_n);
}

const tg_layout *tg_layout_everywhere(tg_module *m, int rank, const int64_t *shape, int64_t lanes) {
    static const int64_t one[TG_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    return tg_layout_grid(m, rank, shape, one, one, lanes);
}

const tg_layout *tg_layout_memory(tg_module *m, int rank, const int64_t *shape, int64_t row_elems) {
    tg_layout r;
    int64_t place = 1;
    memset(&r, 0, sizeof r);
    r.rank = (uint8_t)rank;
    for (int a = rank - 1; a >= 0; a--) {
        add_mode(&r, a, TG_RES_MEM, shape[a], 1, place);
        place *= a == rank - 1 && row_elems > shape[a] ? row_elems : shape[a];
    }
    return tg_layout_intern(m, &r);
}
