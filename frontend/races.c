/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two proofs over the recorded accesses of a kernel.
 *
 * Races: no element that one program writes may be touched by another. For every pair of accesses
 * the programs are told apart grid axis by grid axis: axis g is told apart when some tensor axis
 * has (greatest index of the one) < (least index of the other, one program further along g), both
 * free of grid axes not told apart yet, and the least index does not fall along g. Sorted and
 * unique facts give the step for indices read from tensors.
 *
 * Cover: every `out` element is written: one store, or several side by side on one axis, runs over
 * the whole of every axis.
 */
#include "frontend/value.h"

/* ---- indices as functions of the grid ------------------------------------------------------- */

static bool keep_grid(const tg_sy_keep *self, const tg_elab *e, const tg_atom *a) {
    (void)e;
    return a->kind == TG_ATOM_GRID && (self->grid >> a->index & 1u) != 0;
}

static bool free_of(tg_elab *e, const tg_dim *d, const tg_dim *atom) {
    return tg_sy_subst(e, d, atom, tg_sy_int(e, 0)) == d;
}

/* An element of a sorted tensor at a place that moves on with the grid. */
static bool sorted_read(tg_elab *e, const tg_dim *d, const tg_dim *grid) {
    const tg_atom *a = tg_sy_atom(e, d);
    if (a == NULL || a->kind != TG_ATOM_READ || a->index < 0 ||
        (e->params[a->index].flags & TG_PARAM_SORTED) == 0) {
        return false;
    }
    const tg_type *t = e->params[a->index].type;
    for (int i = 0; i < a->n_at; i++) {
        int64_t coef;
        const tg_dim *rest;
        bool last = i == a->n_at - 1;
        if (last ? !tg_sy_linear(e, a->at[i], grid, &coef, &rest) || coef < 0
                 : !free_of(e, a->at[i], grid)) {
            return false;
        }
        if (!tg_sy_at_least_0(e, a->at[i]) || !tg_sy_below(e, a->at[i], t->dims[i])) {
            return false; /* a read outside gives 0 and breaks the order */
        }
    }
    return true;
}

/* d does not fall when the program moves on along the grid axis. */
static bool rises(tg_elab *e, const tg_dim *d, const tg_dim *grid) {
    if (free_of(e, d, grid) || d == grid || sorted_read(e, d, grid)) {
        return true;
    }
    switch (d->code) {
    case TG_DIM_ADD:
    case TG_DIM_MIN:
    case TG_DIM_MAX:
        return rises(e, d->a, grid) && rises(e, d->b, grid);
    case TG_DIM_SUB:
        return rises(e, d->a, grid) && free_of(e, d->b, grid);
    case TG_DIM_MUL:
    case TG_DIM_DIV:
    case TG_DIM_CDIV:
        return d->b->code == TG_DIM_CONST && d->b->value > 0 && rises(e, d->a, grid);
    case TG_DIM_CONST:
    case TG_DIM_SYM:
    case TG_DIM_MOD:
    case TG_DIM_EQ:
    case TG_DIM_NE:
    case TG_DIM_LT:
    case TG_DIM_LE:
    case TG_DIM_AND:
    case TG_DIM_OR:
        break;
    }
    return false;
}

/* (x + k * c) / c as x / c + k for x >= 0: steps of a block index are whole. */
static const tg_dim *open_quotients(tg_elab *e, const tg_dim *d) {
    if (d->code == TG_DIM_CONST || d->code == TG_DIM_SYM) {
        return d;
    }
    const tg_dim *a = open_quotients(e, d->a), *b = open_quotients(e, d->b);
    int64_t c, k;
    bool shifted = d->code == TG_DIM_DIV && tg_sy_const(b, &c) && c > 0 && a->code == TG_DIM_ADD &&
                   tg_sy_const(a->b, &k) && k >= c;
    if (shifted) { /* the constant stands last in a sum */
        const tg_dim *x = tg_dim_binary(e->m, TG_DIM_SUB, a, tg_sy_int(e, k / c * c));
        if (tg_sy_at_least_0(e, x)) {
            return tg_dim_binary(e->m, TG_DIM_ADD, tg_dim_binary(e->m, TG_DIM_DIV, x, b),
                                 tg_sy_int(e, k / c));
        }
    }
    return a == d->a && b == d->b ? d : tg_dim_binary(e->m, d->code, a, b);
}

/* Everything that index a reaches lies before everything index b reaches one program further on. */
static bool before(tg_elab *e, const tg_dim *a, const tg_dim *b, int g, unsigned known) {
    tg_sy_keep keep = {.fn = keep_grid, .grid = known | 1u << g};
    tg_sy_set hi = {.n = 0}, lo = {.n = 0};
    const tg_dim *grid = e->grid_atom[g];
    const tg_dim *next =
        tg_dim_binary(e->m, TG_DIM_ADD, grid, tg_sy_int(e, tg_sy_atom(e, grid)->step));
    tg_sy_bounds(e, a, true, &keep, &hi);
    tg_sy_bounds(e, b, false, &keep, &lo);
    for (int j = 0; j < lo.n; j++) {
        if (!rises(e, lo.items[j], grid)) {
            continue;
        }
        const tg_dim *later = tg_sy_subst(e, lo.items[j], grid, next);
        later = later == NULL ? NULL : open_quotients(e, later);
        for (int i = 0; i < hi.n && later != NULL; i++) {
            const tg_dim *gap =
                tg_dim_binary(e->m, TG_DIM_SUB, tg_dim_binary(e->m, TG_DIM_SUB, later, hi.items[i]),
                              tg_sy_int(e, 1));
            if (tg_sy_nonneg(e, gap)) {
                return true;
            }
        }
    }
    return false;
}

static bool apart(tg_elab *e, const tg_dim *a, const tg_dim *b, int g, unsigned known) {
    if (a == NULL || b == NULL) {
        return false;
    }
    const tg_atom *ra = tg_sy_atom(e, a), *rb = tg_sy_atom(e, b);
    if (ra != NULL && rb != NULL && ra->kind == TG_ATOM_READ && rb->kind == TG_ATOM_READ &&
        ra->index == rb->index && ra->index >= 0 && ra->key != NULL && rb->key != NULL &&
        (e->params[ra->index].flags & TG_PARAM_UNIQUE) != 0) {
        for (int i = 0; i < ra->n_at; i++) {
            if (apart(e, ra->at[i], rb->at[i], g, known)) {
                return true;
            }
        }
    }
    return before(e, a, b, g, known) && before(e, b, a, g, known);
}

/* Everywhere on some axis one access lies before the other: 0:512 and 512:576. */
static bool never_meet(tg_elab *e, const tg_dim *a, const tg_dim *b) {
    tg_sy_keep keep = {.fn = keep_grid, .grid = 0};
    tg_sy_set hi = {.n = 0}, lo = {.n = 0};
    if (a == NULL || b == NULL) {
        return false;
    }
    tg_sy_bounds(e, a, true, &keep, &hi);
    tg_sy_bounds(e, b, false, &keep, &lo);
    for (int i = 0; i < hi.n; i++) {
        for (int j = 0; j < lo.n; j++) {
            const tg_dim *gap = tg_dim_binary(
                e->m, TG_DIM_SUB, tg_dim_binary(e->m, TG_DIM_SUB, lo.items[j], hi.items[i]),
                tg_sy_int(e, 1));
            if (tg_sy_nonneg(e, gap)) {
                return true;
            }
        }
    }
    return false;
}

/* Grid axes that no index tells apart, as bits; 0: the accesses never meet in two programs. */
static unsigned undecided(tg_elab *e, const tg_access *a, const tg_access *b) {
    unsigned known = 0, all = e->n_grid == 0 ? 0u : (1u << e->n_grid) - 1u;
    if (a->n_at != b->n_at) { /* views of one memory under two shapes */
        return all;
    }
    for (int i = 0; i < a->n_at && a != b; i++) {
        if (never_meet(e, a->sym[i], b->sym[i]) || never_meet(e, b->sym[i], a->sym[i])) {
            return 0;
        }
    }
    for (int g = 0; g < e->n_grid; g++) {
        int64_t n;
        if (tg_sy_const(e->grid_extent[g], &n) && n <= tg_sy_atom(e, e->grid_atom[g])->step) {
            known |= 1u << g; /* one program along this axis */
        }
    }
    for (bool more = true; more && known != all;) {
        more = false;
        for (int g = 0; g < e->n_grid; g++) {
            bool found = false;
            for (int i = 0; i < a->n_at && (known >> g & 1u) == 0 && !found; i++) {
                found = apart(e, a->sym[i], b->sym[i], g, known);
            }
            known |= found ? 1u << g : 0u;
            more = more || found;
        }
    }
    return all & ~known;
}

/* ---- within one scatter --------------------------------------------------------------------- */

/* Different elements along the value's axis have different values of the index. */
static bool injective(tg_elab *e, const tg_dim *d, int axis) {
    if (d == NULL) {
        return false;
    }
    const tg_atom *r = tg_sy_atom(e, d);
    if (r != NULL && r->kind == TG_ATOM_READ && r->index >= 0 && r->key != NULL &&
        (e->params[r->index].flags & TG_PARAM_UNIQUE) != 0) {
        for (int i = 0; i < r->n_at; i++) {
            if (injective(e, r->at[i], axis)) {
                return true;
            }
        }
    }
    for (size_t i = 0; i < e->atoms.count; i++) {
        const tg_atom *a = e->atoms.data[i];
        int64_t coef;
        const tg_dim *rest;
        if (a->kind == TG_ATOM_POS && a->axis == axis &&
            tg_sy_linear(e, d, tg_dim_sym(e->m, TG_ATOM_BASE + (int)i), &coef, &rest) &&
            coef != 0 && !tg_sy_has_pos(e, rest)) {
            return true;
        }
    }
    return false;
}

static bool check_scatter(tg_elab *e, const tg_access *a) {
    for (int x = 0; x < a->rank; x++) {
        bool ok = a->shape[x] == 1;
        for (int i = 0; i < a->n_at && !ok; i++) {
            ok = injective(e, a->sym[i], x);
        }
        if (!ok) {
            tg_diag *d = tg_el_error(e, TG_D_SCATTER, a->where,
                                     "two elements of axis %d may be written to one place of `%s`",
                                     x, e->params[a->param].name);
            tg_note_add(e->sink, d, a->where,
                        "write `disjoint` in front when the indices never repeat (the interpreter "
                        "checks it), or use an `atomic`");
            return false;
        }
    }
    return true;
}

/* ---- races ---------------------------------------------------------------------------------- */

static void report_race(tg_elab *e, const tg_access *a, const tg_access *b, unsigned axes) {
    int g = 0;
    while ((axes >> g & 1u) == 0) {
        g++;
    }
    const char *grid = e->f->grid_names[g], *name = e->params[a->param].name;
    tg_diag *d;
    if (a == b) {
        d = tg_el_error(e, TG_D_RACE, a->where,
                        "programs that differ in `%s` may write the same elements of `%s`", grid,
                        name);
    } else {
        d = tg_el_error(e, TG_D_RACE, a->where,
                        "`%s` is written here and %s elsewhere by programs that differ in `%s`",
                        name, b->write ? "written" : "read", grid);
        tg_note_add(e->sink, d, b->where, "the other place");
    }
    tg_note_add(e->sink, d, a->where,
                "write `disjoint` in front when the programs never meet (the interpreter checks "
                "it), or use an `atomic`");
}

/* One parameter, or two `alias` ones that a launch may give the same elements: those that overlap
 * are one view there, so their elements and numbers of axes agree. */
static bool same_memory(const tg_elab *e, const tg_access *a, const tg_access *b) {
    const tg_param *p = &e->params[a->param], *q = &e->params[b->param];
    return a->param == b->param ||
           ((p->flags & q->flags & TG_PARAM_ALIAS) != 0 && p->type->dtype == q->type->dtype &&
            p->type->elem_bytes == q->type->elem_bytes && p->type->rank == q->type->rank);
}

void tg_el_check_races(tg_elab *e) {
    const tg_access *as = e->accesses.data;
    for (size_t i = 0; i < e->accesses.count; i++) {
        const tg_access *a = &as[i];
        if (!a->write || a->disjoint || a->atomic) {
            continue;
        }
        if (!check_scatter(e, a)) {
            continue;
        }
        for (size_t k = 0; k < e->accesses.count; k++) {
            const tg_access *b = &as[k];
            if (!same_memory(e, a, b) || (b->disjoint && !b->atomic) ||
                (b->write && !b->atomic && k < i)) {
                continue;
            }
            unsigned left = undecided(e, a, b);
            if (left != 0) {
                report_race(e, a, b, left);
                break;
            }
        }
    }
    /* A plain read of what atomics of other programs change. */
    for (size_t i = 0; i < e->accesses.count; i++) {
        for (size_t k = 0; as[i].atomic && k < e->accesses.count; k++) {
            unsigned left =
                same_memory(e, &as[k], &as[i]) && !as[k].write ? undecided(e, &as[i], &as[k]) : 0;
            if (left != 0) {
                report_race(e, &as[i], &as[k], left);
                break;
            }
        }
    }
}

/* ---- cover ---------------------------------------------------------------------------------- */

/* Boxes that span all axes but `axis`, side by side from 0 to n. */
static bool side_by_side(const tg_elab *e, int param, int rank, int axis, int64_t n) {
    int64_t at = 0;
    for (bool more = true; more && at < n;) {
        more = false;
        for (size_t i = 0; i < e->boxes.count; i++) {
            const tg_box *b = &e->boxes.data[i];
            bool fits = b->param == param;
            for (int a = 0; a < rank && fits; a++) {
                fits = a == axis || b->all[a];
            }
            int64_t lo = b->all[axis] ? 0 : b->lo[axis], hi = b->all[axis] ? n : b->hi[axis];
            if (fits && lo <= at && hi > at) {
                at = hi;
                more = true;
            }
        }
    }
    return at >= n;
}

static bool covered(tg_elab *e, int param) {
    const tg_type *t = e->params[param].type;
    for (int a = 0; a < t->rank; a++) {
        int64_t n;
        bool fixed = tg_sy_const(t->dims[a], &n);
        if (fixed && n == 0) {
            return true;
        }
        if (side_by_side(e, param, t->rank, a, fixed ? n : INT64_MAX)) {
            return true;
        }
    }
    for (size_t i = 0; t->rank == 0 && i < e->boxes.count; i++) {
        if (e->boxes.data[i].param == param) {
            return true;
        }
    }
    return false;
}

void tg_el_check_cover(tg_elab *e) {
    for (int i = 0; i < e->n_params; i++) {
        const tg_param *p = &e->params[i];
        if ((p->flags & TG_PARAM_OUT) == 0 || (p->flags & TG_PARAM_INIT) != 0 || covered(e, i)) {
            continue;
        }
        tg_diag *d = tg_el_error(e, TG_D_COVER, p->span,
                                 "not every element of `%s` is certainly written", p->name);
        tg_note_add(e->sink, d, p->span,
                    "say what the others hold: `out %s: ... init 0`, or declare it `inout`",
                    p->name);
        for (size_t k = 0; k < e->accesses.count; k++) {
            if (e->accesses.data[k].param == i && e->accesses.data[k].write) {
                tg_note_add(e->sink, d, e->accesses.data[k].where,
                            "this store does not show that it runs over the whole tensor");
                break;
            }
        }
    }
}
