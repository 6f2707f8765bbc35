/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Positions: which element of a tile the code stands at.
 *
 *   coordinate[axis] = lane digits * stride  (known before the nest)
 *                    + register digits * stride  (the nest's loop variables)
 *                    + vector lane * step
 *
 * Beside the code of a coordinate a position carries the numbers: what lane 0 holds in every
 * register. From them ts_reg_map finds in which register another layout keeps the same element, and
 * fits that as a linear form of the nest's digits.
 */
#include "backends/lower/simt/simt.h"

#include <string.h>

/* ---- digits -----------------------------------------------------------------------------------
 */

int64_t ts_regs(const tg_layout *l) { return l == NULL ? 1 : tg_layout_size(l, TG_RES_REG); }

void ts_digits(const tg_layout *l, ts_nest *n) {
    n->n = 0;
    n->regs = ts_regs(l);
    for (int m = 0; l != NULL && m < l->n_modes; m++) {
        if (l->modes[m].resource != TG_RES_REG || l->modes[m].extent == 1 ||
            n->n == TS_MAX_DIGITS) {
            continue;
        }
        int at = n->n++;
        for (; at > 0 && n->place[at - 1] > l->modes[m].place; at--) {
            n->place[at] = n->place[at - 1];
            n->extent[at] = n->extent[at - 1];
        }
        n->place[at] = l->modes[m].place;
        n->extent[at] = l->modes[m].extent;
    }
}

bool ts_same_digits(const ts_nest *a, const ts_nest *b) {
    if (a->n != b->n || a->regs != b->regs) {
        return false;
    }
    for (int k = 0; k < a->n; k++) {
        if (a->extent[k] != b->extent[k] || a->place[k] != b->place[k]) {
            return false;
        }
    }
    return true;
}

static int digit_at(const ts_nest *n, int64_t place) {
    for (int k = 0; k < n->n; k++) {
        if (n->place[k] == place) {
            return k;
        }
    }
    return -1;
}

/* ---- lanes ------------------------------------------------------------------------------------
 */

static tg_value *lane_digit(tg_simt *S, const tg_layout_mode *m) {
    tg_builder *b = &S->entry;
    tg_value *v = ts_bin(b, TG_OP_DIV, S->args.lane, m->place);
    return m->place * m->extent >= S->lanes ? v : ts_bin(b, TG_OP_REM, v, m->extent);
}

tg_value *ts_lane_coord(tg_simt *S, const tg_layout *l, int axis) {
    for (size_t i = 0; i < S->lane_parts.count; i++) {
        if (S->lane_parts.data[i].layout == l && S->lane_parts.data[i].axis == axis) {
            return S->lane_parts.data[i].v;
        }
    }
    tg_value *sum = NULL;
    for (int m = 0; m < l->n_modes; m++) {
        if (l->modes[m].resource != TG_RES_LANE || l->modes[m].axis != axis ||
            l->modes[m].extent == 1) {
            continue;
        }
        tg_value *d = ts_bin(&S->entry, TG_OP_MUL, lane_digit(S, &l->modes[m]), l->modes[m].stride);
        sum = sum == NULL ? d : tg_build_binary(&S->entry, TG_OP_ADD, sum, d);
    }
    ts_lane_part p = {l, axis, sum == NULL ? NULL : tg_build_cast(&S->entry, sum, TG_DT_I64)};
    TG_LIST_PUSH(S->arena, &S->lane_parts, p);
    return p.v;
}

tg_value *ts_first_replica(tg_simt *S, const tg_layout *l) {
    tg_value *ok = NULL;
    for (int m = 0; l != NULL && m < l->n_modes; m++) {
        if (l->modes[m].resource == TG_RES_LANE && l->modes[m].axis < 0 && l->modes[m].extent > 1) {
            tg_value *d = lane_digit(S, &l->modes[m]);
            tg_value *z =
                tg_build_cmp(&S->entry, TG_CMP_EQ, d, tg_build_int(&S->entry, d->type, 0));
            ok = ok == NULL ? z : tg_build_binary(&S->entry, TG_OP_AND, ok, z);
        }
    }
    return ok;
}

/* ---- positions --------------------------------------------------------------------------------
 */

static ts_pos *new_pos(ts_ctx *x, int rank) {
    ts_pos *p = TG_NEW(x->S->arena, ts_pos);
    p->rank = rank;
    void *num = tg_arena_alloc(x->S->arena, sizeof(int64_t[TG_MAX_RANK]) * (size_t)x->nest->regs);
    p->num = num;
    memset(num, 0, sizeof(int64_t[TG_MAX_RANK]) * (size_t)x->nest->regs);
    return p;
}

static tg_value *sum_of(tg_builder *b, tg_value *x, tg_value *y) {
    return x == NULL ? y : y == NULL ? x : tg_build_binary(b, TG_OP_ADD, x, y);
}

static void root_coord(ts_ctx *x, const tg_layout *l, int axis, ts_coord *c) {
    c->out = ts_lane_coord(x->S, l, axis);
    for (int m = 0; m < l->n_modes; m++) {
        const tg_layout_mode *mode = &l->modes[m];
        if (mode->resource != TG_RES_REG || mode->axis != axis || mode->extent == 1) {
            continue;
        }
        int k = digit_at(x->nest, mode->place);
        int64_t stride = mode->stride;
        if (k == 0 && x->lanes > 1) {
            c->step = stride;
            stride *= x->lanes;
        }
        if (k >= 0 && x->iv[k] != NULL) {
            c->in = sum_of(&x->b, c->in, ts_bin(&x->b, TG_OP_MUL, x->iv[k], stride));
        }
    }
}

const ts_pos *ts_root_pos(ts_ctx *x, const tg_layout *l, int rank) {
    for (size_t i = 0; i < x->roots.count; i++) {
        if (x->roots.data[i].layout == l && x->roots.data[i].rank == rank) {
            return x->roots.data[i].pos;
        }
    }
    ts_pos *p = new_pos(x, rank);
    for (int64_t r = 0; l != NULL && r < x->nest->regs; r++) {
        tg_layout_coords(l, 0, r, p->num[r]);
    }
    for (int a = 0; l != NULL && a < rank && x->lanes > 0; a++) {
        root_coord(x, l, a, &p->c[a]);
    }
    TG_LIST_PUSH(x->S->arena, &x->roots, (ts_root){l, rank, p});
    return p;
}

const ts_pos *ts_axes_pos(ts_ctx *x, const ts_pos *pos, int rank, const int64_t *axes) {
    ts_pos *p = new_pos(x, rank);
    for (int a = 0; a < rank; a++) {
        p->c[a] = pos->c[axes[a]];
        for (int64_t r = 0; r < x->nest->regs; r++) {
            p->num[r][a] = pos->num[r][axes[a]];
        }
    }
    return p;
}

/* ---- views ------------------------------------------------------------------------------------
 */

static const ts_pos *broadcast_pos(ts_ctx *x, const tg_op *op, const ts_pos *pos) {
    const tg_type *from = tg_operand(op, 0)->type, *to = op->results[0].type;
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    ts_pos *p = new_pos(x, from->rank);
    for (int a = 0; a < from->rank; a++) {
        int64_t r = axes->list[a];
        if (from->shape[a] == 1 && to->shape[r] != 1) {
            continue;
        }
        p->c[a] = pos->c[r];
        for (int64_t k = 0; k < x->nest->regs; k++) {
            p->num[k][a] = pos->num[k][r];
        }
    }
    return p;
}

static const ts_pos *permute_pos(ts_ctx *x, const tg_op *op, const ts_pos *pos) {
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    ts_pos *p = new_pos(x, pos->rank);
    for (int r = 0; r < pos->rank; r++) {
        int64_t a = axes->list[r];
        p->c[a] = pos->c[r];
        for (int64_t k = 0; k < x->nest->regs; k++) {
            p->num[k][a] = pos->num[k][r];
        }
    }
    return p;
}

/* The axis groups of a reshape: from axes [fa, fb) and to axes [ta, tb) of equal counts. */
typedef struct group {
    int fa, fb, ta, tb;
} group;

static bool next_group(const tg_type *from, const tg_type *to, group *g) {
    g->fa = g->fb;
    g->ta = g->tb;
    if (g->fa == from->rank && g->ta == to->rank) {
        return false;
    }
    int64_t f = 1, t = 1;
    if (g->fb < from->rank) {
        f = from->shape[g->fb++];
    }
    if (g->tb < to->rank) {
        t = to->shape[g->tb++];
    }
    while (f != t) {
        if (f < t && g->fb < from->rank) {
            f *= from->shape[g->fb++];
        } else if (g->tb < to->rank) {
            t *= to->shape[g->tb++];
        } else {
            break;
        }
    }
    return true;
}

static int only_axis(const tg_type *t, int lo, int hi) {
    int found = -1;
    for (int a = lo; a < hi; a++) {
        if (t->shape[a] != 1) {
            if (found >= 0) {
                return -2;
            }
            found = a;
        }
    }
    return found;
}

static void split_coord(ts_ctx *x, const tg_type *from, const group *g, const ts_coord *linear,
                        ts_pos *p) {
    bool vec = !ts_coord_uniform(x, linear);
    tg_value *v = vec ? ts_coord_vec(x, linear) : ts_coord_scalar(x, linear);
    int64_t inner = 1;
    for (int a = g->fb - 1; a >= g->fa; a--) {
        if (from->shape[a] == 1) {
            continue;
        }
        tg_value *q = ts_bin(&x->b, TG_OP_DIV, v, inner);
        bool top = true;
        for (int k = g->fa; k < a; k++) {
            top = top && from->shape[k] == 1;
        }
        q = top ? q : ts_bin(&x->b, TG_OP_REM, q, from->shape[a]);
        p->c[a] = vec ? (ts_coord){.vec = q} : (ts_coord){.in = q};
        inner *= from->shape[a];
    }
}

static void group_code(ts_ctx *x, const tg_type *from, const tg_type *to, const group *g,
                       const ts_pos *pos, ts_pos *p) {
    int f = only_axis(from, g->fa, g->fb), t = only_axis(to, g->ta, g->tb);
    if (f == -1 && t == -1) {
        return;
    }
    if (f >= 0 && t >= 0) {
        p->c[f] = pos->c[t];
        return;
    }
    ts_coord linear = {0};
    int64_t inner = 1;
    for (int a = g->tb - 1; a >= g->ta; a--) {
        if (to->shape[a] != 1) {
            const ts_coord *c = &pos->c[a];
            tg_value *k = tg_build_index(&x->b, inner);
            linear.out = c->out == NULL ? linear.out
                                        : sum_of(&x->out, linear.out,
                                                 ts_bin(&x->out, TG_OP_MUL, c->out, inner));
            linear.in = c->in == NULL
                            ? linear.in
                            : sum_of(&x->b, linear.in, tg_build_binary(&x->b, TG_OP_MUL, c->in, k));
            linear.step += c->step * inner;
            if (c->vec != NULL) {
                linear.vec = sum_of(&x->b, linear.vec, ts_bin(&x->b, TG_OP_MUL, c->vec, inner));
            }
        }
        inner *= to->shape[a];
    }
    if (linear.vec != NULL) {
        ts_coord rest = linear;
        rest.vec = NULL;
        linear = (ts_coord){
            .vec = tg_build_binary(&x->b, TG_OP_ADD, linear.vec, ts_coord_vec(x, &rest))};
    }
    if (f >= 0) {
        p->c[f] = linear;
    } else {
        split_coord(x, from, g, &linear, p);
    }
}

static const ts_pos *reshape_pos(ts_ctx *x, const tg_op *op, const ts_pos *pos) {
    const tg_type *from = tg_operand(op, 0)->type, *to = op->results[0].type;
    ts_pos *p = new_pos(x, from->rank);
    group g = {0, 0, 0, 0};
    while (next_group(from, to, &g)) {
        if (x->lanes > 0) {
            group_code(x, from, to, &g, pos, p);
        }
        for (int64_t r = 0; r < x->nest->regs; r++) {
            int64_t linear = 0;
            bool inside = true;
            for (int a = g.ta; a < g.tb; a++) {
                linear = linear * to->shape[a] + pos->num[r][a];
                inside =
                    inside && pos->num[r][a] >= 0 && (pos->num[r][a] < to->shape[a] || a == g.ta);
            }
            for (int a = g.fb - 1; a >= g.fa; a--) {
                int64_t n = from->shape[a];
                p->num[r][a] = !inside ? -1 : a == g.fa ? linear : linear % n;
                linear /= n;
            }
        }
    }
    return p;
}

const ts_pos *ts_view_pos(ts_ctx *x, const tg_op *op, const ts_pos *pos) {
    for (size_t i = 0; i < x->steps.count; i++) {
        if (x->steps.data[i].op == op && x->steps.data[i].from == pos) {
            return x->steps.data[i].to;
        }
    }
    const ts_pos *to = pos;
    if (op->code == TG_OP_BROADCAST) {
        to = broadcast_pos(x, op, pos);
    } else if (op->code == TG_OP_PERMUTE) {
        to = permute_pos(x, op, pos);
    } else if (op->code == TG_OP_RESHAPE) {
        to = reshape_pos(x, op, pos);
    }
    TG_LIST_PUSH(x->S->arena, &x->steps, (ts_step){op, pos, to});
    return to;
}

/* ---- registers --------------------------------------------------------------------------------
 */

static int64_t find_reg(const tg_layout *l, int rank, const int64_t *want, int64_t hint,
                        int64_t regs) {
    int64_t c[TG_MAX_RANK];
    for (int64_t i = -1; i < regs; i++) {
        int64_t r = i < 0 ? hint : i;
        if (r >= regs) {
            continue;
        }
        tg_layout_coords(l, 0, r, c);
        bool same = true;
        for (int a = 0; a < rank && same; a++) {
            same = c[a] == want[a];
        }
        if (same) {
            return r;
        }
    }
    return -1;
}

static bool fits(const ts_nest *n, const int64_t *map, int64_t base, const int64_t *weight) {
    for (int64_t r = 0; r < n->regs; r++) {
        int64_t v = base;
        for (int k = 0; k < n->n; k++) {
            v += r / n->place[k] % n->extent[k] * weight[k];
        }
        if (v != map[r]) {
            return false;
        }
    }
    return true;
}

const int64_t *ts_reg_list(ts_ctx *x, const ts_pos *pos, const tg_layout *l) {
    const ts_nest *n = x->nest;
    int64_t *map = TG_NEW_ARRAY(x->S->arena, int64_t, n->regs);
    int64_t regs = ts_regs(l);
    for (int64_t r = 0; l != NULL && r < n->regs; r++) {
        map[r] = find_reg(l, pos->rank, pos->num[r], r, regs);
        if (map[r] < 0) {
            return NULL;
        }
    }
    return l == NULL ? NULL : map;
}

bool ts_reg_map(ts_ctx *x, const ts_pos *pos, const tg_layout *l, int64_t *base, int64_t *weight) {
    const ts_nest *n = x->nest;
    const int64_t *map = ts_reg_list(x, pos, l);
    if (map == NULL) {
        return false;
    }
    *base = map[0];
    for (int k = 0; k < n->n; k++) {
        weight[k] = map[n->place[k]] - map[0];
    }
    return fits(n, map, *base, weight);
}

/* map[r + l], r being the register that vector lane 0 stands at: a chain of choices by r. */
static tg_value *listed_reg(ts_ctx *x, const int64_t *map, int l) {
    const ts_nest *n = x->nest;
    tg_builder *b = &x->b;
    const tg_type *i32 = tg_type_scalar(x->S->out, TG_DT_I32);
    tg_value *at = ts_reg_index(x, 0, n->place), *found = tg_build_int(b, i32, map[l]);
    int64_t last = map[l];
    for (int64_t r = x->lanes; r < n->regs; r += x->lanes) {
        if (map[r + l] != last) { /* from r on, until the next that differs */
            tg_value *from = tg_build_cmp(b, TG_CMP_GE, at, tg_build_int(b, i32, r));
            last = map[r + l];
            found = tg_build_select(b, from, tg_build_int(b, i32, last), found);
        }
    }
    return found;
}

ts_ev ts_array_pick(ts_ctx *x, tg_dtype t, tg_value *array, const int64_t *map) {
    const tg_type *one = tg_type_scalar(x->S->out, t);
    tg_value *v = NULL;
    for (int l = 0; l < x->lanes; l++) {
        tg_value *e = tg_build_aload(&x->b, one, array, listed_reg(x, map, l), 1);
        v = x->lanes == 1 ? e
            : l == 0      ? tg_build_splat(&x->b, e, x->lanes)
                          : tg_build_insert(&x->b, v, e, l);
    }
    return (ts_ev){v, x->lanes > 1};
}

bool ts_map_is_identity(const ts_nest *n, int64_t base, const int64_t *weight) {
    for (int k = 0; k < n->n; k++) {
        if (weight[k] != n->place[k]) {
            return false;
        }
    }
    return base == 0;
}

tg_value *ts_reg_index(ts_ctx *x, int64_t base, const int64_t *weight) {
    tg_builder *b = &x->b;
    tg_value *sum = NULL;
    for (int k = x->nest->n - 1; k >= 0; k--) {
        if (weight[k] != 0 && x->iv[k] != NULL) {
            int64_t w = weight[k] * (k == 0 ? x->lanes : 1);
            sum = sum_of(b, sum, ts_bin(b, TG_OP_MUL, ts_i32(b, x->iv[k]), w));
        }
    }
    tg_value *c = tg_build_int(b, tg_type_scalar(x->S->out, TG_DT_I32), base);
    return sum == NULL ? c : tg_build_binary(b, TG_OP_ADD, sum, c);
}

/* ---- coordinates as values --------------------------------------------------------------------
 */

bool ts_coord_uniform(const ts_ctx *x, const ts_coord *c) {
    return c->vec == NULL && (c->step == 0 || x->lanes == 1);
}

tg_value *ts_coord_scalar(ts_ctx *x, const ts_coord *c) {
    tg_value *v = sum_of(&x->b, c->out, c->in);
    return v != NULL ? v : tg_build_index(&x->b, 0);
}

tg_value *ts_coord_vec(ts_ctx *x, const ts_coord *c) {
    if (c->vec != NULL) {
        return c->vec;
    }
    tg_value *v = ts_coord_scalar(x, c);
    if (x->lanes == 1) {
        return v;
    }
    v = tg_build_splat(&x->b, v, x->lanes);
    if (c->step == 0) {
        return v;
    }
    tg_value *l = tg_build1(&x->b, TG_OP_LANES, v->type, 0);
    return tg_build_binary(&x->b, TG_OP_ADD, v, ts_bin(&x->b, TG_OP_MUL, l, c->step));
}

/* ---- guards -----------------------------------------------------------------------------------
 */

static bool always(const tg_value *v) {
    int64_t c;
    return v == NULL || (tg_value_const_int(v, &c) && c != 0);
}

static tg_value *and_of(tg_builder *b, tg_value *x, tg_value *y) {
    return x == NULL ? y : y == NULL ? x : tg_build_binary(b, TG_OP_AND, x, y);
}

void ts_guard_ok(ts_ctx *x, ts_guard *g, tg_value *v) {
    if (!always(v)) {
        g->ok = and_of(&x->b, g->ok, v);
    }
}

void ts_guard_mask(ts_ctx *x, ts_guard *g, tg_value *mask, tg_value *all) {
    g->mask = and_of(&x->b, g->mask, mask);
    g->all = and_of(&x->b, g->all, all);
}

void ts_guard_ev(ts_ctx *x, ts_guard *g, ts_ev e) {
    if (e.vec) {
        ts_guard_mask(x, g, e.v, tg_build_reducev(&x->b, TG_RED_ALL, e.v));
    } else {
        ts_guard_ok(x, g, e.v);
    }
}

static void guard_lanes(ts_ctx *x, ts_guard *g, const ts_coord *c, tg_value *limit, bool nonneg) {
    tg_builder *b = &x->b;
    tg_value *zero = tg_build_index(b, 0);
    if (c->vec != NULL) {
        tg_value *m = tg_build_cmp(b, TG_CMP_LT, c->vec, tg_build_splat(b, limit, x->lanes));
        if (!nonneg) {
            tg_value *z = tg_build_int(b, c->vec->type, 0);
            m = tg_build_binary(b, TG_OP_AND, m, tg_build_cmp(b, TG_CMP_GE, c->vec, z));
        }
        ts_guard_mask(x, g, m, tg_build_reducev(b, TG_RED_ALL, m));
        return;
    }
    tg_value *first = ts_coord_scalar(x, c);
    tg_value *last = ts_bin(b, TG_OP_ADD, first, c->step * (x->lanes - 1));
    tg_value *all = tg_build_cmp(b, TG_CMP_LT, last, limit);
    tg_value *v = ts_coord_vec(x, c);
    tg_value *m = tg_build_cmp(b, TG_CMP_LT, v, tg_build_splat(b, limit, x->lanes));
    if (!nonneg) {
        all = tg_build_binary(b, TG_OP_AND, all, tg_build_cmp(b, TG_CMP_GE, first, zero));
        tg_value *z = tg_build_int(b, v->type, 0);
        m = tg_build_binary(b, TG_OP_AND, m, tg_build_cmp(b, TG_CMP_GE, v, z));
    }
    ts_guard_mask(x, g, m, all);
}

void ts_guard_range(ts_ctx *x, ts_guard *g, const ts_coord *c, tg_value *limit, bool nonneg) {
    if (!ts_coord_uniform(x, c)) {
        guard_lanes(x, g, c, limit, nonneg);
        return;
    }
    tg_value *v = ts_coord_scalar(x, c);
    ts_guard_ok(x, g, tg_build_cmp(&x->b, TG_CMP_LT, v, limit));
    if (!nonneg) {
        ts_guard_ok(x, g, tg_build_cmp(&x->b, TG_CMP_GE, v, tg_build_index(&x->b, 0)));
    }
}

int64_t ts_reach(const tg_layout *l, int axis) {
    int64_t top = 0;
    for (int m = 0; m < l->n_modes; m++) {
        top += l->modes[m].axis == axis ? (l->modes[m].extent - 1) * l->modes[m].stride : 0;
    }
    return top + 1;
}

void ts_holders(ts_ctx *x, const tg_layout *l, int rank, const int64_t *shape, const ts_pos *pos,
                bool once, ts_guard *g) {
    if (l == NULL) {
        if (once) {
            ts_guard_ok(x, g, ts_lane_is(x->S, 0));
        }
        return;
    }
    for (int a = 0; a < rank; a++) {
        if (ts_reach(l, a) > shape[a]) {
            ts_guard_range(x, g, &pos->c[a], tg_build_index(&x->out, shape[a]), true);
        }
    }
    if (!once) {
        return;
    }
    ts_guard_ok(x, g, ts_first_replica(x->S, l));
    for (int m = 0; m < l->n_modes; m++) {
        const tg_layout_mode *mode = &l->modes[m];
        int k = mode->resource == TG_RES_REG && mode->axis < 0 && mode->extent > 1
                    ? digit_at(x->nest, mode->place)
                    : -1;
        if (k >= 0) {
            ts_coord c = {.in = x->iv[k]};
            if (k == 0 && x->lanes > 1) {
                c.in = c.in == NULL ? NULL : ts_bin(&x->b, TG_OP_MUL, c.in, x->lanes);
                c.step = 1;
            }
            ts_guard_range(x, g, &c, tg_build_index(&x->out, 1), true);
        }
    }
}

tg_value *ts_guard_mask_of(ts_ctx *x, const ts_guard *g) {
    if (g->mask == NULL) {
        return g->ok == NULL || x->lanes == 1 ? g->ok : tg_build_splat(&x->b, g->ok, x->lanes);
    }
    if (g->ok == NULL) {
        return g->mask;
    }
    return tg_build_binary(&x->b, TG_OP_AND, g->mask, tg_build_splat(&x->b, g->ok, x->lanes));
}

tg_value *ts_guard_all_of(ts_ctx *x, const ts_guard *g) { return and_of(&x->b, g->ok, g->all); }
