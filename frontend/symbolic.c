/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Symbolic integers of the elaborator: dimension expressions over the kernel's runtime dimension
 * names and over atoms (grid position, loop variable, position along an axis, element of a
 * read-only tensor). Bounds are found by replacing atoms with their own bounds; nothing is
 * searched, so what is provable depends on the text of the program and on docs/presence.md alone.
 */
#include "frontend/value.h"

#define MAX_TERMS 24
#define MAX_DEPTH 24

/* ---- atoms ---------------------------------------------------------------------------------- */

const tg_dim *tg_sy_int(tg_elab *e, int64_t v) { return tg_dim_const(e->m, v); }

const tg_dim *tg_sy_bin(tg_elab *e, tg_dim_code code, const tg_dim *a, const tg_dim *b) {
    return a == NULL || b == NULL ? NULL : tg_dim_binary(e->m, code, a, b);
}

bool tg_sy_const(const tg_dim *d, int64_t *out) {
    if (d == NULL || d->code != TG_DIM_CONST) {
        return false;
    }
    *out = d->value;
    return true;
}

static const tg_dim *atom_dim(tg_elab *e, size_t i) {
    return tg_dim_sym(e->m, TG_ATOM_BASE + (int)i);
}

tg_atom *tg_sy_atom_new(tg_elab *e, tg_atom_kind kind, const tg_dim **out) {
    tg_atom *a = TG_NEW(e->a, tg_atom);
    a->kind = kind;
    a->step = 1;
    TG_LIST_PUSH(e->a, &e->atoms, a);
    *out = atom_dim(e, e->atoms.count - 1);
    return a;
}

const tg_atom *tg_sy_atom(const tg_elab *e, const tg_dim *d) {
    if (d->code != TG_DIM_SYM || d->value < TG_ATOM_BASE) {
        return NULL;
    }
    size_t i = (size_t)(d->value - TG_ATOM_BASE);
    return i < e->atoms.count ? e->atoms.data[i] : NULL;
}

void tg_sy_lower(tg_elab *e, tg_atom *a, const tg_dim *bound) {
    (void)e;
    if (bound != NULL && a->n_lower < TG_ATOM_BOUNDS) {
        a->lower[a->n_lower++] = bound;
    }
}

void tg_sy_upper(tg_elab *e, tg_atom *a, const tg_dim *bound) {
    (void)e;
    if (bound != NULL && a->n_upper < TG_ATOM_BOUNDS) {
        a->upper[a->n_upper++] = bound;
    }
}

static bool same_list(const tg_dim *const *a, const tg_dim *const *b, int n) {
    for (int i = 0; i < n; i++) {
        if (a[i] != b[i]) {
            return false;
        }
    }
    return true;
}

const tg_dim *tg_sy_read(tg_elab *e, int param, const tg_dim *const *at, int n_at, bool exact) {
    for (int i = 0; i < n_at; i++) {
        if (at[i] == NULL) {
            return NULL;
        }
    }
    for (size_t i = 0; i < e->atoms.count; i++) {
        const tg_atom *a = e->atoms.data[i];
        if (a->kind == TG_ATOM_READ && a->index == param && a->n_at == n_at &&
            same_list(a->at, at, n_at) && (!exact || a->key != NULL)) {
            return atom_dim(e, i);
        }
    }
    const tg_dim *d;
    tg_atom *a = tg_sy_atom_new(e, TG_ATOM_READ, &d);
    a->index = param;
    a->key = exact ? a : NULL;
    a->n_at = n_at;
    a->at = TG_NEW_ARRAY(e->a, const tg_dim *, n_at > 0 ? n_at : 1);
    for (int i = 0; i < n_at; i++) {
        a->at[i] = at[i];
    }
    if (param < 0) { /* another element of a computed tile: its bounds hold for all */
        for (size_t i = 0; i < e->atoms.count; i++) {
            const tg_atom *same = e->atoms.data[i];
            if (same->kind == TG_ATOM_READ && same->index == param && same->n_lower > 0) {
                tg_sy_lower(e, a, same->lower[0]);
                tg_sy_upper(e, a, same->upper[0]);
                break;
            }
        }
        return d;
    }
    const tg_param *p = &e->params[param];
    if ((p->flags & TG_PARAM_RANGE) != 0) {
        const tg_dim *zero = tg_sy_int(e, 0),
                     *last = tg_sy_bin(e, TG_DIM_SUB, p->range_hi, tg_sy_int(e, 1));
        tg_sy_lower(e, a, exact ? p->range_lo : tg_sy_bin(e, TG_DIM_MIN, p->range_lo, zero));
        tg_sy_upper(e, a, exact ? last : tg_sy_bin(e, TG_DIM_MAX, last, zero));
    }
    return d;
}

const tg_dim *tg_sy_element(tg_elab *e, int rank, const int64_t *shape, int64_t lo, int64_t hi,
                            tg_span where) {
    const tg_dim *at[TG_MAX_RANK], *zero = tg_sy_int(e, 0);
    for (int i = 0; i < rank; i++) {
        at[i] = tg_sy_pos(e, tg_el_range(e, zero, tg_sy_int(e, shape[i]), shape[i], where), i);
    }
    const tg_dim *d = tg_sy_read(e, -1 - e->n_elements++, at, rank, true);
    tg_atom *a = e->atoms.data[d->value - TG_ATOM_BASE];
    tg_sy_lower(e, a, tg_sy_int(e, lo));
    tg_sy_upper(e, a, tg_sy_int(e, hi));
    return d;
}

static const tg_dim *keyed(tg_elab *e, tg_atom_kind kind, int index, const void *key) {
    for (size_t i = 0; i < e->atoms.count; i++) {
        const tg_atom *a = e->atoms.data[i];
        if (a->kind == kind && a->index == index && a->key == key) {
            return atom_dim(e, i);
        }
    }
    const tg_dim *d;
    tg_atom *a = tg_sy_atom_new(e, kind, &d);
    a->index = index;
    a->key = key;
    return d;
}

const tg_dim *tg_sy_scalar(tg_elab *e, int param) { return keyed(e, TG_ATOM_SCALAR, param, NULL); }

const tg_dim *tg_sy_value(tg_elab *e, const void *key) { return keyed(e, TG_ATOM_VALUE, 0, key); }

const tg_dim *tg_sy_pos(tg_elab *e, const tg_identity *span, int axis) {
    for (size_t i = 0; i < e->atoms.count; i++) {
        const tg_atom *a = e->atoms.data[i];
        if (a->kind == TG_ATOM_POS && a->span == span && a->axis == axis) {
            return atom_dim(e, i);
        }
    }
    const tg_dim *d;
    tg_atom *a = tg_sy_atom_new(e, TG_ATOM_POS, &d);
    a->span = span;
    a->axis = axis;
    tg_sy_lower(e, a, span->start);
    const tg_dim *one = tg_sy_int(e, 1);
    tg_sy_upper(e, a, tg_sy_bin(e, TG_DIM_SUB, span->hi, one));
    tg_sy_upper(e, a, tg_sy_bin(e, TG_DIM_ADD, span->start, tg_sy_int(e, span->n - 1)));
    return d;
}

void tg_sy_assume(tg_elab *e, const tg_dim *d, bool holds) {
    if (d == NULL) {
        return;
    }
    if (d->code == (holds ? TG_DIM_AND : TG_DIM_OR)) {
        tg_sy_assume(e, d->a, holds);
        tg_sy_assume(e, d->b, holds);
        return;
    }
    if (!holds) { /* not (a < b) is b <= a */
        switch ((int)d->code) {
        case TG_DIM_LT:
            d = tg_dim_binary(e->m, TG_DIM_LE, d->b, d->a);
            break;
        case TG_DIM_LE:
            d = tg_dim_binary(e->m, TG_DIM_LT, d->b, d->a);
            break;
        case TG_DIM_NE:
            d = tg_dim_binary(e->m, TG_DIM_EQ, d->a, d->b);
            break;
        default:
            return;
        }
    }
    TG_LIST_PUSH(e->a, &e->facts, d);
}

/* ---- rewriting ------------------------------------------------------------------------------ */

typedef const tg_dim *(*rewrite_fn)(tg_elab *e, const tg_dim *atom, const void *arg);

/* Applies fn to every atom symbol; a NULL from fn makes the whole NULL. */
static const tg_dim *rewrite(tg_elab *e, const tg_dim *d, rewrite_fn fn, const void *arg) {
    if (d == NULL || d->code == TG_DIM_CONST) {
        return d;
    }
    if (d->code == TG_DIM_SYM) {
        return d->value < TG_ATOM_BASE ? d : fn(e, d, arg);
    }
    const tg_dim *a = rewrite(e, d->a, fn, arg), *b = rewrite(e, d->b, fn, arg);
    if (a == d->a && b == d->b) {
        return d;
    }
    return tg_sy_bin(e, d->code, a, b);
}

/* Rewrites the indices of a READ atom. */
static const tg_dim *rewrite_read(tg_elab *e, const tg_dim *d, const tg_atom *a, rewrite_fn fn,
                                  const void *arg) {
    const tg_dim *at[TG_MAX_RANK];
    bool same = true;
    for (int i = 0; i < a->n_at; i++) {
        at[i] = rewrite(e, a->at[i], fn, arg);
        if (at[i] == NULL) {
            return NULL;
        }
        same = same && at[i] == a->at[i];
    }
    return same ? d : tg_sy_read(e, a->index, at, a->n_at, a->key != NULL);
}

typedef struct subst_arg {
    const tg_dim *from, *to;
} subst_arg;

static const tg_dim *subst_atom(tg_elab *e, const tg_dim *d, const void *arg) {
    const subst_arg *s = arg;
    if (d == s->from) {
        return s->to;
    }
    const tg_atom *a = tg_sy_atom(e, d);
    return a->kind == TG_ATOM_READ ? rewrite_read(e, d, a, subst_atom, arg) : d;
}

const tg_dim *tg_sy_subst(tg_elab *e, const tg_dim *d, const tg_dim *from, const tg_dim *to) {
    subst_arg s = {from, to};
    return rewrite(e, d, subst_atom, &s);
}

typedef struct remap_arg {
    const int *map;
    int n;
} remap_arg;

static const tg_dim *remap_atom(tg_elab *e, const tg_dim *d, const void *arg) {
    const remap_arg *r = arg;
    const tg_atom *a = tg_sy_atom(e, d);
    if (a->kind == TG_ATOM_READ) {
        return rewrite_read(e, d, a, remap_atom, arg);
    }
    if (a->kind != TG_ATOM_POS) {
        return d;
    }
    if (a->axis >= r->n || r->map[a->axis] < 0) {
        return NULL;
    }
    return tg_sy_pos(e, a->span, r->map[a->axis]);
}

const tg_dim *tg_sy_remap(tg_elab *e, const tg_dim *d, const int *map, int n) {
    remap_arg r = {map, n};
    return rewrite(e, d, remap_atom, &r);
}

bool tg_sy_has_pos(const tg_elab *e, const tg_dim *d) {
    if (d == NULL || d->code == TG_DIM_CONST) {
        return false;
    }
    if (d->code == TG_DIM_SYM) {
        const tg_atom *a = tg_sy_atom(e, d);
        if (a == NULL) {
            return false;
        }
        for (int i = 0; i < a->n_at; i++) {
            if (tg_sy_has_pos(e, a->at[i])) {
                return true;
            }
        }
        return a->kind == TG_ATOM_POS;
    }
    return tg_sy_has_pos(e, d->a) || tg_sy_has_pos(e, d->b);
}

bool tg_sy_launch(const tg_elab *e, const tg_dim *d) {
    if (d == NULL) {
        return false;
    }
    if (d->code == TG_DIM_CONST) {
        return true;
    }
    if (d->code == TG_DIM_SYM) {
        return d->value < TG_ATOM_BASE;
    }
    return tg_sy_launch(e, d->a) && tg_sy_launch(e, d->b);
}

/* ---- sums ----------------------------------------------------------------------------------- */

typedef struct sum {
    const tg_dim *atom[MAX_TERMS];
    int64_t coef[MAX_TERMS];
    int n;
    int64_t constant;
    bool overflow;
} sum;

static void sum_add(sum *s, const tg_dim *d, int64_t c) {
    int64_t t;
    if (d->code == TG_DIM_CONST) {
        if (!tg_mul_i64(c, d->value, &t) || !tg_add_i64(s->constant, t, &s->constant)) {
            s->overflow = true;
        }
    } else if (d->code == TG_DIM_ADD || d->code == TG_DIM_SUB) {
        sum_add(s, d->a, c);
        sum_add(s, d->b, d->code == TG_DIM_SUB ? -c : c);
    } else if (d->code == TG_DIM_MUL && d->b->code == TG_DIM_CONST &&
               tg_mul_i64(c, d->b->value, &t)) {
        sum_add(s, d->a, t);
    } else if (d->code == TG_DIM_MUL && d->a->code == TG_DIM_CONST &&
               tg_mul_i64(c, d->a->value, &t)) {
        sum_add(s, d->b, t);
    } else if (s->n < MAX_TERMS) {
        s->atom[s->n] = d;
        s->coef[s->n++] = c;
    } else {
        s->overflow = true;
    }
}

static bool sum_of(const tg_dim *d, sum *out) {
    *out = (sum){.n = 0};
    sum_add(out, d, 1);
    return !out->overflow;
}

/* Extents stay below 2^48, so multiples up to 2^15 of positions cannot leave 64 bits; those up to
 * 2^31 cannot in a launch of fewer than 2^32 programs and blocks. */
bool tg_sy_small(const tg_dim *d) {
    const int64_t limit = (int64_t)1 << 31;
    sum s;
    if (!sum_of(d, &s) || s.constant >= limit * limit / 2 || s.constant <= -limit * limit / 2) {
        return false;
    }
    for (int i = 0; i < s.n; i++) {
        if (s.coef[i] > limit || s.coef[i] < -limit) {
            return false;
        }
    }
    return true;
}

static bool mentions(tg_elab *e, const tg_dim *d, const tg_dim *atom) {
    return d != NULL && tg_sy_subst(e, d, atom, tg_sy_int(e, 0)) != d;
}

bool tg_sy_linear(tg_elab *e, const tg_dim *d, const tg_dim *atom, int64_t *coef,
                  const tg_dim **rest) {
    sum s;
    if (d == NULL || !sum_of(d, &s)) {
        return false;
    }
    *coef = 0;
    const tg_dim *r = tg_sy_int(e, s.constant);
    for (int i = 0; i < s.n; i++) {
        if (s.atom[i] == atom) {
            *coef += s.coef[i];
        } else if (mentions(e, s.atom[i], atom)) {
            return false;
        } else {
            const tg_dim *t = tg_dim_binary(e->m, TG_DIM_MUL, s.atom[i], tg_sy_int(e, s.coef[i]));
            r = tg_dim_binary(e->m, TG_DIM_ADD, r, t);
        }
    }
    *rest = r;
    return true;
}

/* ---- bounds --------------------------------------------------------------------------------- */

static void set_add(tg_sy_set *s, const tg_dim *d) {
    if (d == NULL) {
        return;
    }
    for (int i = 0; i < s->n; i++) {
        if (s->items[i] == d) {
            return;
        }
    }
    if (s->n < TG_SY_MAX) {
        s->items[s->n++] = d;
    }
}

static bool keeps(const tg_elab *e, const tg_sy_keep *keep, const tg_atom *a) {
    if (a->kind == TG_ATOM_SCALAR) {
        return true;
    }
    return keep != NULL && keep->fn(keep, e, a);
}

/* Whether nothing in d has to go. */
static bool settled(const tg_elab *e, const tg_dim *d, const tg_sy_keep *keep) {
    if (d->code == TG_DIM_CONST) {
        return true;
    }
    if (d->code != TG_DIM_SYM) {
        return settled(e, d->a, keep) && settled(e, d->b, keep);
    }
    const tg_atom *a = tg_sy_atom(e, d);
    if (a == NULL) {
        return true;
    }
    if (a->kind == TG_ATOM_READ) {
        for (int i = 0; i < a->n_at; i++) {
            if (!settled(e, a->at[i], keep)) {
                return false;
            }
        }
        return keep == NULL ? a->n_lower == 0 && a->n_upper == 0 : true;
    }
    if (keep == NULL && a->kind == TG_ATOM_VALUE && a->n_lower == 0 && a->n_upper == 0) {
        return true; /* nothing is known of it but facts */
    }
    return keeps(e, keep, a);
}

static void bounds(tg_elab *e, const tg_dim *d, bool upper, const tg_sy_keep *keep, int depth,
                   tg_sy_set *out);

static const tg_dim *positive_const(const tg_dim *d) {
    return d->code == TG_DIM_CONST && d->value > 0 ? d : NULL;
}

/* x / (A / B) and x / cdiv(A, B) with 0 <= x < A: below B when B divides A (a fact) or rounded up.
 */
static const tg_dim *quotient_bound(tg_elab *e, const tg_dim *d) {
    const tg_dim *q = d->b;
    if ((q->code != TG_DIM_DIV && q->code != TG_DIM_CDIV) || !tg_sy_at_least_0(e, d->a) ||
        !tg_sy_below(e, d->a, q->a)) {
        return NULL;
    }
    const tg_dim *zero = tg_sy_int(e, 0), *one = tg_sy_int(e, 1);
    /* cdiv(A, 0) is 0, and so is x / 0; A % 0 == 0 leaves no x. */
    if (!tg_sy_nonneg(e, q->code == TG_DIM_DIV ? q->b : tg_sy_bin(e, TG_DIM_SUB, q->b, one))) {
        return NULL;
    }
    const tg_dim *fact =
        tg_dim_binary(e->m, TG_DIM_EQ, tg_dim_binary(e->m, TG_DIM_MOD, q->a, q->b), zero);
    bool exact = q->code == TG_DIM_CDIV;
    for (size_t i = 0; i < e->facts.count && !exact; i++) {
        exact = e->facts.data[i] == fact;
    }
    return exact ? tg_dim_binary(e->m, TG_DIM_SUB, q->b, one) : NULL;
}

/* Bounds of a quotient, remainder, minimum, maximum or product. */
static void nonlinear_bounds(tg_elab *e, const tg_dim *d, bool upper, const tg_sy_keep *keep,
                             int depth, tg_sy_set *out) {
    tg_sy_set s = {.n = 0};
    if (d->code == TG_DIM_MIN || d->code == TG_DIM_MAX) {
        if (upper == (d->code == TG_DIM_MIN)) {
            bounds(e, d->a, upper, keep, depth + 1, out);
            bounds(e, d->b, upper, keep, depth + 1, out);
            return;
        }
        tg_sy_set t = {.n = 0};
        bounds(e, d->a, upper, keep, depth + 1, &s);
        bounds(e, d->b, upper, keep, depth + 1, &t);
        for (int i = 0; i < s.n; i++) {
            for (int j = 0; j < t.n; j++) {
                set_add(out, tg_dim_binary(e->m, d->code, s.items[i], t.items[j]));
            }
        }
        return;
    }
    if ((d->code == TG_DIM_DIV || d->code == TG_DIM_CDIV) && positive_const(d->b) != NULL) {
        bounds(e, d->a, upper, keep, depth + 1, &s);
        for (int i = 0; i < s.n; i++) {
            set_add(out, tg_dim_binary(e->m, d->code, s.items[i], d->b));
        }
        return;
    }
    if (d->code == TG_DIM_DIV) {
        if (upper) {
            set_add(out, quotient_bound(e, d));
        } else if (tg_sy_at_least_0(e, d->a) && tg_sy_nonneg(e, d->b)) {
            set_add(out, tg_sy_int(e, 0));
        }
        return;
    }
    if (d->code == TG_DIM_MOD) {
        bool pos = tg_sy_at_least_0(e, d->a);
        const tg_dim *c = positive_const(d->b);
        if (upper && c != NULL) {
            set_add(out, tg_sy_int(e, c->value - 1));
            bounds(e, d->a, true, keep, depth + 1, &s);
            for (int i = 0; pos && i < s.n; i++) {
                set_add(out, s.items[i]);
            }
        } else if (!upper && (pos || c != NULL)) {
            set_add(out, tg_sy_int(e, pos ? 0 : 1 - c->value));
        }
        return;
    }
    if (d->code == TG_DIM_MUL && !upper && tg_sy_at_least_0(e, d->a) && tg_sy_at_least_0(e, d->b)) {
        set_add(out, tg_sy_int(e, 0));
    }
}

/* Number of the youngest atom in d: bounds mention older atoms only, so the youngest goes first. */
static int64_t youngest(const tg_elab *e, const tg_dim *d) {
    if (d->code == TG_DIM_CONST) {
        return -1;
    }
    if (d->code == TG_DIM_SYM) {
        const tg_atom *a = tg_sy_atom(e, d);
        if (a == NULL) {
            return -1;
        }
        /* A position goes before the start of its block, whenever it was first mentioned. */
        return d->value + (a->kind == TG_ATOM_POS ? 0x40000000 : 0);
    }
    return tg_max_i64(youngest(e, d->a), youngest(e, d->b));
}

/* Puts the bounds of the term in its place: sums meet before older atoms go, so that what one bound
 * brings can cancel with the rest. */
static void replace_term(tg_elab *e, const tg_dim *d, const tg_dim *term, int64_t coef, bool upper,
                         const tg_sy_keep *keep, int depth, tg_sy_set *out) {
    bool up = coef > 0 ? upper : !upper;
    const tg_dim *by[TG_SY_MAX];
    int n = 0;
    const tg_atom *a = tg_sy_atom(e, term);
    if (a != NULL) {
        n = up ? a->n_upper : a->n_lower;
        for (int i = 0; i < n; i++) {
            by[i] = up ? a->upper[i] : a->lower[i];
        }
    } else if (up == (term->code == TG_DIM_MIN) &&
               (term->code == TG_DIM_MIN || term->code == TG_DIM_MAX)) {
        by[n++] = term->a;
        by[n++] = term->b;
    } else {
        tg_sy_set s = {.n = 0};
        nonlinear_bounds(e, term, up, keep, depth, &s);
        for (; n < s.n; n++) {
            by[n] = s.items[n];
        }
    }
    const tg_dim *c = tg_sy_int(e, coef);
    for (int i = 0; i < n; i++) {
        const tg_dim *t =
            tg_dim_binary(e->m, TG_DIM_MUL, tg_dim_binary(e->m, TG_DIM_SUB, by[i], term), c);
        bounds(e, tg_dim_binary(e->m, TG_DIM_ADD, d, t), upper, keep, depth + 1, out);
    }
}

static void bounds(tg_elab *e, const tg_dim *d, bool upper, const tg_sy_keep *keep, int depth,
                   tg_sy_set *out) {
    if (depth > MAX_DEPTH || out->n == TG_SY_MAX) {
        return;
    }
    if (settled(e, d, keep)) {
        set_add(out, d);
        return;
    }
    sum s;
    if (!sum_of(d, &s)) {
        return;
    }
    int pick = -1;
    int64_t age = -2;
    for (int i = 0; i < s.n; i++) {
        int64_t y = settled(e, s.atom[i], keep) ? -2 : youngest(e, s.atom[i]);
        if (y > age) {
            age = y;
            pick = i;
        }
    }
    if (pick >= 0) {
        replace_term(e, d, s.atom[pick], s.coef[pick], upper, keep, depth, out);
    }
}

void tg_sy_bounds(tg_elab *e, const tg_dim *d, bool upper, const tg_sy_keep *keep, tg_sy_set *out) {
    bounds(e, d, upper, keep, 0, out);
}

/* ---- proofs --------------------------------------------------------------------------------- */

/* cdiv(x, c) as (x - 1)/c + 1, so that it meets quotients of positions below x. */
static const tg_dim *plain_quotients(tg_elab *e, const tg_dim *d) {
    if (d->code == TG_DIM_CONST || d->code == TG_DIM_SYM) {
        return d;
    }
    const tg_dim *a = plain_quotients(e, d->a), *b = plain_quotients(e, d->b);
    if (d->code == TG_DIM_CDIV) {
        const tg_dim *one = tg_sy_int(e, 1);
        return tg_dim_binary(
            e->m, TG_DIM_ADD,
            tg_dim_binary(e->m, TG_DIM_DIV, tg_dim_binary(e->m, TG_DIM_SUB, a, one), b), one);
    }
    return a == d->a && b == d->b ? d : tg_dim_binary(e->m, d->code, a, b);
}

static bool nonneg_at(tg_elab *e, const tg_dim *d, int depth);

static bool term_nonneg(tg_elab *e, const tg_dim *d, int depth) {
    switch (d->code) {
    case TG_DIM_SYM:
        return d->value < TG_ATOM_BASE; /* extents are not negative */
    case TG_DIM_MIN:
    case TG_DIM_DIV:
    case TG_DIM_CDIV:
    case TG_DIM_MUL:
        return nonneg_at(e, d->a, depth + 1) && nonneg_at(e, d->b, depth + 1);
    case TG_DIM_MAX:
        return nonneg_at(e, d->a, depth + 1) || nonneg_at(e, d->b, depth + 1);
    case TG_DIM_MOD:
        return nonneg_at(e, d->a, depth + 1);
    case TG_DIM_EQ:
    case TG_DIM_NE:
    case TG_DIM_LT:
    case TG_DIM_LE:
    case TG_DIM_AND:
    case TG_DIM_OR:
        return true;
    case TG_DIM_CONST:
        return d->value >= 0;
    case TG_DIM_ADD:
    case TG_DIM_SUB:
        return false;
    }
    return false;
}

/* A declared fact b <= c or b < c that makes d = c - b + k nonnegative. */
static bool fact_nonneg(tg_elab *e, const tg_dim *d) {
    for (size_t i = 0; i < e->facts.count; i++) {
        const tg_dim *f = e->facts.data[i];
        if (f->code != TG_DIM_LE && f->code != TG_DIM_LT && f->code != TG_DIM_EQ) {
            continue;
        }
        int64_t k;
        const tg_dim *gap = plain_quotients(e, tg_dim_binary(e->m, TG_DIM_SUB, f->b, f->a));
        if (tg_sy_const(tg_dim_binary(e->m, TG_DIM_SUB, d, gap), &k) &&
            k >= (f->code == TG_DIM_LT ? -1 : 0)) {
            return true;
        }
        if (f->code == TG_DIM_EQ && tg_sy_const(tg_dim_binary(e->m, TG_DIM_ADD, d, gap), &k) &&
            k >= 0) {
            return true;
        }
    }
    return false;
}

static bool nonneg_at(tg_elab *e, const tg_dim *d, int depth) {
    sum s;
    if (depth > MAX_DEPTH || !sum_of(d, &s)) {
        return false;
    }
    bool ok = s.constant >= 0;
    for (int i = 0; i < s.n && ok; i++) {
        ok = s.coef[i] > 0 && (s.n == 1 && s.atom[i] == d ? term_nonneg(e, d, depth)
                                                          : nonneg_at(e, s.atom[i], depth + 1));
    }
    if (ok) {
        return true;
    }
    /* x - min(x, y) and max(x, y) - x */
    for (int i = 0; i < s.n; i++) {
        const tg_dim *t = s.atom[i];
        bool open =
            (t->code == TG_DIM_MIN && s.coef[i] == -1) || (t->code == TG_DIM_MAX && s.coef[i] == 1);
        if (open && depth < 4) {
            const tg_dim *rest = s.coef[i] > 0 ? tg_dim_binary(e->m, TG_DIM_SUB, d, t)
                                               : tg_dim_binary(e->m, TG_DIM_ADD, d, t);
            tg_dim_code code = s.coef[i] > 0 ? TG_DIM_ADD : TG_DIM_SUB;
            if (nonneg_at(e, tg_dim_binary(e->m, code, rest, t->a), depth + 1) ||
                nonneg_at(e, tg_dim_binary(e->m, code, rest, t->b), depth + 1)) {
                return true;
            }
        }
    }
    for (int i = 0; i < s.n && depth < 4; i++) { /* c - 1 - x % c */
        const tg_dim *t = s.atom[i];
        int64_t c;
        if (t->code == TG_DIM_MOD && s.coef[i] < 0 && tg_sy_const(t->b, &c) && c > 0) {
            const tg_dim *gap = tg_dim_binary(e->m, TG_DIM_SUB, t, tg_sy_int(e, c - 1));
            if (nonneg_at(
                    e,
                    tg_dim_binary(e->m, TG_DIM_SUB, d,
                                  tg_dim_binary(e->m, TG_DIM_MUL, gap, tg_sy_int(e, s.coef[i]))),
                    depth + 1)) {
                return true;
            }
        }
    }
    return fact_nonneg(e, d);
}

bool tg_sy_nonneg(tg_elab *e, const tg_dim *d) { return d != NULL && nonneg_at(e, d, 0); }

bool tg_sy_at_least_0(tg_elab *e, const tg_dim *d) {
    if (d == NULL || e->expr_depth > 200) {
        return false;
    }
    if (tg_sy_nonneg(e, d)) {
        return true;
    }
    tg_sy_set s = {.n = 0};
    tg_sy_bounds(e, d, false, NULL, &s);
    for (int i = 0; i < s.n; i++) {
        if (tg_sy_nonneg(e, s.items[i])) {
            return true;
        }
    }
    return false;
}

bool tg_sy_below(tg_elab *e, const tg_dim *d, const tg_dim *extent) {
    if (d == NULL || extent == NULL) {
        return false;
    }
    tg_sy_set s = {.n = 0};
    const tg_dim *one = tg_sy_int(e, 1);
    if (tg_sy_nonneg(
            e, tg_dim_binary(e->m, TG_DIM_SUB, tg_dim_binary(e->m, TG_DIM_SUB, extent, d), one))) {
        return true;
    }
    tg_sy_bounds(e, d, true, NULL, &s);
    for (int i = 0; i < s.n; i++) {
        const tg_dim *gap = tg_dim_binary(e->m, TG_DIM_SUB,
                                          tg_dim_binary(e->m, TG_DIM_SUB, extent, s.items[i]), one);
        if (tg_sy_nonneg(e, gap) || tg_sy_nonneg(e, plain_quotients(e, gap))) {
            return true;
        }
    }
    return false;
}

static bool fact_divides(tg_elab *e, const tg_dim *d, int64_t n) {
    for (size_t i = 0; i < e->facts.count; i++) {
        const tg_dim *f = e->facts.data[i];
        if (f->code != TG_DIM_EQ) {
            continue;
        }
        const tg_dim *mod = f->a->code == TG_DIM_MOD ? f->a : f->b,
                     *zero = mod == f->a ? f->b : f->a;
        int64_t z, c;
        if (mod->code == TG_DIM_MOD && mod->a == d && tg_sy_const(zero, &z) && z == 0 &&
            tg_sy_const(mod->b, &c) && c % n == 0 && c != 0) {
            return true;
        }
    }
    return false;
}

bool tg_sy_divisible(tg_elab *e, const tg_dim *d, int64_t n) {
    sum s;
    if (d == NULL || n <= 0) {
        return false;
    }
    if (n == 1) {
        return true;
    }
    if (!sum_of(d, &s) || s.constant % n != 0) {
        return false;
    }
    for (int i = 0; i < s.n; i++) {
        if (s.coef[i] % n != 0 && !fact_divides(e, s.atom[i], n)) {
            return false;
        }
    }
    return true;
}
