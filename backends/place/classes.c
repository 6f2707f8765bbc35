/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Choice of layouts. Values that must have one layout (elementwise operands and results, carried
 * values, branches, accumulators, masks) form a class. Classes get their layouts from anchors,
 * strongest first: accumulators of `dot` (register blocks),
 * then the largest class that is left (blocked along its last axis). From each class that has one,
 * layouts flow along the shape-changing operations (broadcast, permute, reshape, reduce, index
 * tiles) to classes that have none, so that as few conversions as possible remain.
 */
#include "backends/place/layout.h"
#include "ir/matrix.h"
#include "ir/passes/util.h"

#include <string.h>

/* ---- free values ---------------------------------------------------------------------------- */

/* Short enough that doing it again costs less than a trip through memory. */
#define SMALL_ELEMS 256

static bool is_small(const tg_op *op) {
    return op->results[0].type->rank <= 1 && tg_type_count(op->results[0].type) <= SMALL_ELEMS;
}

static bool is_cheap_elementwise(const tg_op *op) {
    if (op->code == TG_OP_DIV || op->code == TG_OP_REM) {
        return is_small(op);
    }
    return (tg_op_info_get(op->code)->flags & TG_OPF_ELEMENTWISE) != 0 && op->code != TG_OP_MATH &&
           op->code != TG_OP_RNG;
}

static bool op_is_free(tg_layout_pass *s, tg_op *op) {
    if (op->code == TG_OP_CONST_INT || op->code == TG_OP_CONST_FLOAT || op->code == TG_OP_IOTA ||
        op->code == TG_OP_SPAN_MASK) {
        return true;
    }
    bool small_load = op->code == TG_OP_LOAD && is_small(op) && tg_load_is_stable(op);
    if (op->code != TG_OP_BROADCAST && op->code != TG_OP_PRESENT && !small_load &&
        !is_cheap_elementwise(op)) {
        return false;
    }
    for (int i = 0; i < op->n_operands; i++) {
        tg_value *x = tg_operand(op, i);
        if (tg_is_held_type(x->type) && !tg_layout_is_free(s, x)) {
            return false;
        }
    }
    return true;
}

bool tg_layout_is_free(tg_layout_pass *s, tg_value *v) {
    if (v->id >= s->n_values) {
        return false;
    }
    if (s->free_[v->id] == 0) {
        s->free_[v->id] = v->def != NULL && op_is_free(s, v->def) ? 1 : -1;
    }
    return s->free_[v->id] > 0;
}

bool tg_atomic_is_ordered(const tg_op *op) {
    bool cas = tg_attr_int(op, TG_ATTR_ATOMIC, 0) == TG_ATOMIC_CAS;
    if (!cas && !tg_value_is_used(&op->results[0])) {
        return false;
    }
    int first = cas ? 3 : 2;
    for (int i = first; i < first + op->operands[0].value->type->rank; i++) {
        if (tg_is_held_type(op->operands[i].value->type)) { /* spans never meet themselves */
            return true;
        }
    }
    return false;
}

/* ---- classes -------------------------------------------------------------------------------- */

static uint32_t find(tg_layout_pass *s, uint32_t id) {
    while (s->parent[id] != id) {
        s->parent[id] = s->parent[s->parent[id]];
        id = s->parent[id];
    }
    return id;
}

static void unite(tg_layout_pass *s, tg_value *a, tg_value *b) {
    if (!tg_is_held_type(a->type) || !tg_is_held_type(b->type) || tg_layout_is_free(s, a) ||
        tg_layout_is_free(s, b)) {
        return;
    }
    uint32_t x = find(s, a->id), y = find(s, b->id);
    s->parent[x > y ? x : y] = x > y ? y : x;
}

static void add_edge(tg_layout_pass *s, tg_value *from, tg_value *to, tg_layout_edge_kind kind,
                     const int64_t *axes) {
    if (!tg_is_held_type(from->type) || !tg_is_held_type(to->type)) {
        return;
    }
    tg_layout_edge e = {.from = from, .to = to, .kind = kind};
    int n = kind == TG_EDGE_RESHAPE ? 0 : to->type->rank;
    for (int i = 0; i < n; i++) {
        e.axes[i] = axes[i];
    }
    TG_LIST_PUSH(s->p->arena, &s->edges, e);
}

static void unite_yield(tg_layout_pass *s, tg_op *op, tg_region *r, int skip) {
    for (int i = 0; r->last != NULL && i < op->n_results; i++) {
        unite(s, &op->results[i], tg_operand(r->last, skip + i));
    }
}

static void visit_control(tg_layout_pass *s, tg_op *op) {
    for (int i = 0; i < op->n_results; i++) {
        tg_value *v = &op->results[i];
        if (op->code == TG_OP_FOR) {
            unite(s, v, op->regions[0]->args[1 + i]);
            unite(s, v, tg_operand(op, 3 + i));
        } else if (op->code == TG_OP_WHILE) {
            unite(s, v, op->regions[0]->args[i]);
            unite(s, v, op->regions[1]->args[i]);
            unite(s, v, tg_operand(op, i));
        }
    }
    unite_yield(s, op, op->regions[0], op->code == TG_OP_WHILE ? 1 : 0);
    if (op->n_regions > 1) {
        unite_yield(s, op, op->regions[1], 0);
    }
}

/* Index tiles of a load, store or atomic follow the tile that is moved; the mask joins it. */
static void visit_access(tg_layout_pass *s, tg_op *op, tg_value *tile, int first) {
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    bool masked = tg_attr_int(op, TG_ATTR_MASKED, 0) != 0;
    size_t at = 0;
    for (int i = first; i < op->n_operands - (masked ? 1 : 0); i++) {
        const tg_type *t = op->operands[i].value->type;
        add_edge(s, tile, tg_operand(op, i), TG_EDGE_PROJECT, axes->list + at);
        at += t->rank;
    }
    if (masked) {
        unite(s, tile, tg_operand(op, op->n_operands - 1));
    }
}

static void visit_reduce(tg_layout_pass *s, tg_op *op) {
    int64_t axis = tg_attr_int(op, TG_ATTR_AXIS, 0), axes[TG_MAX_RANK] = {0};
    tg_value *x = tg_operand(op, 0);
    for (int a = 0, at = 0; a < x->type->rank; a++) {
        if (a != axis) {
            axes[at++] = a;
        }
    }
    add_edge(s, x, &op->results[0], TG_EDGE_PROJECT, axes);
    if (op->n_operands > 1) {
        tg_value *mask = tg_operand(op, 1);
        if (mask->type->rank == x->type->rank) {
            unite(s, x, mask);
        } else {
            add_edge(s, x, mask, TG_EDGE_PROJECT, &axis);
        }
    }
}

static void visit_shape(tg_layout_pass *s, tg_op *op) {
    tg_value *x = tg_operand(op, 0), *r = &op->results[0];
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    int64_t back[TG_MAX_RANK] = {0};
    if (op->code == TG_OP_BROADCAST) {
        if (r->type->rank == x->type->rank) { /* the other way where nothing is repeated */
            add_edge(s, x, r, TG_EDGE_PROJECT, axes->list);
        }
        for (int a = 0; a < x->type->rank; a++) {
            bool repeats = x->type->shape[a] == 1 && r->type->shape[axes->list[a]] != 1;
            back[a] = repeats ? -1 : axes->list[a];
        }
        add_edge(s, r, x, TG_EDGE_PROJECT, back);
    } else if (op->code == TG_OP_PERMUTE) {
        for (int a = 0; a < x->type->rank; a++) {
            back[axes->list[a]] = a;
        }
        add_edge(s, x, r, TG_EDGE_PERMUTE, axes->list);
        add_edge(s, r, x, TG_EDGE_PERMUTE, back);
    } else {
        add_edge(s, x, r, TG_EDGE_RESHAPE, NULL);
        add_edge(s, r, x, TG_EDGE_RESHAPE, NULL);
    }
}

static void visit_gather(tg_layout_pass *s, tg_op *op) {
    int64_t axis = tg_attr_int(op, TG_ATTR_AXIS, 0), axes[TG_MAX_RANK] = {0};
    tg_value *index = tg_operand(op, 1);
    for (int a = 0; a < index->type->rank; a++) {
        axes[a] = axis + a;
    }
    add_edge(s, &op->results[0], index, TG_EDGE_PROJECT, axes);
}

static void visit_op(tg_layout_pass *s, tg_op *op) {
    const tg_op_info *info = tg_op_info_get(op->code);
    if ((info->flags & TG_OPF_ELEMENTWISE) != 0 || op->code == TG_OP_PRESENT) {
        for (int i = 0; i < op->n_operands; i++) {
            unite(s, &op->results[0], tg_operand(op, i));
        }
        for (int i = 1; i < op->n_operands; i++) { /* where the result itself is free or scalar */
            unite(s, tg_operand(op, 0), tg_operand(op, i));
        }
        return;
    }
    switch ((int)op->code) {
    case TG_OP_FOR:
    case TG_OP_WHILE:
    case TG_OP_IF:
        visit_control(s, op);
        break;
    case TG_OP_LOAD:
        visit_access(s, op, &op->results[0], 1);
        break;
    case TG_OP_STORE:
        visit_access(s, op, tg_operand(op, 1), 2);
        break;
    case TG_OP_ATOMIC: {
        int n = tg_attr_int(op, TG_ATTR_ATOMIC, 0) == TG_ATOMIC_CAS ? 2 : 1;
        if (tg_atomic_is_ordered(op)) {
            break; /* it has a layout of its own */
        }
        for (int i = 1; i <= n; i++) {
            unite(s, &op->results[0], tg_operand(op, i));
        }
        visit_access(s, op, &op->results[0], 1 + n);
        break;
    }
    case TG_OP_REDUCE:
        visit_reduce(s, op);
        break;
    case TG_OP_BROADCAST:
    case TG_OP_PERMUTE:
    case TG_OP_RESHAPE:
        visit_shape(s, op);
        break;
    case TG_OP_GET_AT:
        visit_gather(s, op);
        break;
    case TG_OP_DOT:
        unite(s, &op->results[0], tg_operand(op, 2));
        break;
    default:
        break;
    }
}

static void visit_region(tg_layout_pass *s, tg_region *r) {
    for (int i = 0; i < r->n_args; i++) {
        if (tg_is_held_type(r->args[i]->type)) {
            s->values[r->args[i]->id] = r->args[i];
        }
    }
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        for (int i = 0; i < op->n_results; i++) {
            if (tg_is_held_type(op->results[i].type)) {
                s->values[op->results[i].id] = &op->results[i];
            }
        }
        visit_op(s, op);
        for (int i = 0; i < op->n_regions && op->code != TG_OP_TEAM; i++) {
            visit_region(s, op->regions[i]);
        }
    }
}

/* ---- anchors -------------------------------------------------------------------------------- */

/* Elements of 16 bytes at most (or as the schedule says), as many as every lane has work for,
 * dividing the row. */
static int64_t vector_elems(tg_placer *p, const tg_type *t) {
    int64_t v = 16 / tg_place_elem_bytes(t->dtype), count = tg_type_count(t);
    v = tg_min_i64(tg_place_schedule_int(p->f, "vector", v), 64);
    int64_t row = t->shape[t->rank - 1];
    while (v > 1 && (v * p->lanes > count || row % v != 0)) {
        v /= 2;
    }
    return v;
}

const tg_layout *tg_layout_default(tg_placer *p, const tg_type *t) {
    if (t->rank == 0) {
        return NULL; /* scalars are the same in every lane */
    }
    return tg_layout_blocked(p->m, t->rank, t->shape, p->lanes, vector_elems(p, t));
}

/*
 * Lanes of an accumulator [batch.., M, N]: the fewest accumulators a lane, then the fewest operand
 * reads (rows plus vectors of columns of the lane's block); among equals more lanes along N.
 * Accumulators with the same rows (the scores and the output of an attention) share their split of
 * the rows unless that costs half as many reads again: what is reduced over one broadcasts over the
 * other.
 */
static const tg_layout *dot_layout(tg_layout_pass *s, const tg_type *t) {
    tg_placer *p = s->p;
    int64_t inner[TG_MAX_RANK], lanes[TG_MAX_RANK], best[TG_MAX_RANK] = {0};
    int64_t best_regs = INT64_MAX, best_reads = INT64_MAX;
    int64_t wide = tg_max_i64(1, p->machine->vector_bytes / tg_place_elem_bytes(t->dtype));
    int m = t->rank - 2, n = t->rank - 1;
    for (int a = 0; a < t->rank; a++) {
        inner[a] = lanes[a] = 1;
    }
    for (int64_t lb = 1; lb <= p->lanes; lb *= 2) {
        if (lb > 1 && (t->rank < 3 || p->lanes % lb != 0)) {
            break;
        }
        for (int64_t lm = 1; lm * lb <= p->lanes; lm++) {
            if (p->lanes / lb % lm != 0) {
                continue;
            }
            int64_t ln = p->lanes / lb / lm;
            int64_t rows = tg_cdiv_i64(t->shape[m], lm), cols = tg_cdiv_i64(t->shape[n], ln);
            int64_t blocks = t->rank < 3 ? 1 : tg_cdiv_i64(t->shape[m - 1], lb);
            int64_t regs = blocks * rows * cols;
            int64_t reads = 2 * blocks * (rows + tg_cdiv_i64(cols, wide));
            reads += s->rows == t->shape[m] && s->rows_lanes != lm ? reads / 2 : 0;
            if (regs < best_regs || (regs == best_regs && reads < best_reads)) {
                best_regs = regs;
                best_reads = reads;
                best[0] = lb;
                best[1] = lm;
                best[2] = ln;
            }
        }
    }
    if (t->rank > 2) {
        lanes[m - 1] = best[0];
    }
    lanes[m] = best[1];
    lanes[n] = best[2];
    s->rows = t->shape[m];
    s->rows_lanes = best[1];
    for (int a = m; a <= n; a++) { /* neighbours in a lane, where that pads nothing */
        int64_t each = tg_cdiv_i64(t->shape[a], lanes[a]);
        inner[a] = a == n ? wide : 4;
        while (inner[a] > 1 && each % inner[a] != 0) {
            inner[a] /= 2;
        }
    }
    return tg_layout_grid(p->m, t->rank, t->shape, inner, lanes, p->lanes);
}

static const tg_layout *accumulator_layout(tg_layout_pass *s, const tg_op *dot) {
    const tg_type *t = dot->results[0].type;
    const tg_matrix_unit *u = tg_matrix_find(tg_attr_str(dot, TG_ATTR_UNIT));
    if (u == NULL || !tg_matrix_is_open(u)) {
        return dot_layout(s, t);
    }
    int64_t rows = t->shape[t->rank - 2], like = s->rows == rows ? s->rows_lanes : 0;
    s->rows = rows;
    return tg_place_fragments(s->p, dot, like, &s->rows_lanes);
}

/* ---- flow ----------------------------------------------------------------------------------- */

static const tg_layout *along(tg_layout_pass *s, const tg_layout_edge *e, const tg_layout *l) {
    tg_module *m = s->p->m;
    const tg_type *from = e->from->type, *to = e->to->type;
    const tg_layout *r = NULL;
    switch (e->kind) {
    case TG_EDGE_PROJECT:
        r = tg_layout_project(m, l, to->rank, e->axes);
        break;
    case TG_EDGE_PERMUTE:
        r = tg_layout_permute(m, l, to->rank, e->axes);
        break;
    case TG_EDGE_RESHAPE:
        r = tg_layout_reshape(m, l, from->rank, from->shape, to->rank, to->shape);
        break;
    }
    r = r == NULL ? NULL : tg_layout_tidy(m, r, to->shape);
    return r != NULL && tg_layout_covers(r, to->shape) &&
                   tg_layout_size(r, TG_RES_LANE) == s->p->lanes
               ? r
               : NULL;
}

static void assign(tg_layout_pass *s, tg_value *v, const tg_layout *l);

static void flow(tg_layout_pass *s, uint32_t root) {
    for (size_t i = 0; i < s->edges.count; i++) {
        const tg_layout_edge *e = &s->edges.data[i];
        if (tg_layout_is_free(s, e->from) || tg_layout_is_free(s, e->to) ||
            find(s, e->from->id) != root || s->got[find(s, e->to->id)] != NULL) {
            continue;
        }
        const tg_layout *l = along(s, e, s->got[root]);
        if (l != NULL) {
            assign(s, e->to, l);
        }
    }
}

static void assign(tg_layout_pass *s, tg_value *v, const tg_layout *l) {
    uint32_t root = find(s, v->id);
    if (s->got[root] == NULL) {
        s->got[root] = l;
        flow(s, root);
    }
}

typedef void anchor_fn(tg_layout_pass *s, tg_op *dot);

static void each_dot(tg_layout_pass *s, tg_region *r, anchor_fn *fn) {
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_DOT) {
            fn(s, op);
        }
        for (int i = 0; i < op->n_regions && op->code != TG_OP_TEAM; i++) {
            each_dot(s, op->regions[i], fn);
        }
    }
}

/* Fragments of units cannot be otherwise: they stand before anything flows, since what flows from
 * one product (turned, say) would not do for another. */
static void anchor_unit(tg_layout_pass *s, tg_op *dot) {
    const tg_matrix_unit *u = tg_matrix_find(tg_attr_str(dot, TG_ATTR_UNIT));
    uint32_t root = find(s, dot->results[0].id);
    if (u != NULL && tg_matrix_is_open(u) && s->got[root] == NULL) {
        s->got[root] = accumulator_layout(s, dot);
    }
}

static void flow_from(tg_layout_pass *s, tg_op *dot) {
    uint32_t root = find(s, dot->results[0].id);
    if (s->got[root] != NULL) {
        flow(s, root);
    }
}

static void anchor(tg_layout_pass *s, tg_op *dot) {
    if (s->got[find(s, dot->results[0].id)] == NULL) {
        assign(s, &dot->results[0], accumulator_layout(s, dot));
    }
}

/* The largest class without a layout; loads and stores before what is only computed. */
static tg_value *largest_left(tg_layout_pass *s) {
    tg_value *best = NULL;
    int64_t most = 0;
    for (uint32_t id = 0; id < s->n_values; id++) {
        tg_value *v = s->values[id];
        if (v == NULL || tg_layout_is_free(s, v) || s->got[find(s, id)] != NULL) {
            continue;
        }
        int64_t weight =
            2 * tg_type_count(v->type) + (v->def != NULL && v->def->code == TG_OP_LOAD ? 1 : 0);
        if (weight > most) {
            most = weight;
            best = v;
        }
    }
    return best;
}

void tg_layout_choose(tg_layout_pass *s) {
    visit_region(s, s->p->f->body);
    each_dot(s, s->p->f->body, anchor_unit);
    each_dot(s, s->p->f->body, flow_from);
    each_dot(s, s->p->f->body, anchor);
    for (tg_value *v = largest_left(s); v != NULL; v = largest_left(s)) {
        assign(s, v, tg_layout_default(s->p, v->type));
    }
    for (uint32_t id = 0; id < s->n_values; id++) {
        tg_value *v = s->values[id];
        if (v != NULL && !tg_layout_is_free(s, v)) {
            v->type = tg_type_with_layout(s->p->m, v->type, s->got[find(s, id)]);
        }
    }
}
