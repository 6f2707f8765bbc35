/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which ops share a nest: the domain each op wants, what it reads, and whether it may join.
 *
 * An op joins when everything it reads from the nest lies in the same row; it shares a phase when
 * it lies at the same element.
 */
#include "backends/lower/cpu/nest.h"

/* Does the action write a tensor, element by element or once a row? */
static bool stores(const action *a) { return a->op->code == TG_OP_STORE; }

/* ---- what an action reads
 * ----------------------------------------------------------------------------- */

static void add_read(action *a, const nest *n, const tg_value *v, tg_op *load, const int8_t *map) {
    if (a->n_reads == MAX_READS) {
        a->reads_overflow = true;
        return;
    }
    reading r = {.value = v, .load = load, .rows = true, .inner = true};
    int rank = v->type->rank, rows = n->rank - 1;
    for (int i = 0; i < rows; i++) {
        r.rows = r.rows && i < rank && map[i] == i;
    }
    r.inner = rank > rows ? map[rows] == rows : true;
    r.inner = r.inner && rank <= n->rank;
    a->reads[a->n_reads++] = r;
}

static void walk_reshape(const tg_type *f, const tg_type *t, const int8_t *map, int8_t *in) {
    int i = 0, j = 0;
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
            in[a] = i - i0 == 1 && j - j0 == 1 ? map[j0] : -1;
        }
    }
}

/* Records every buffer and tensor that v's evaluation at coordinates `map` reads. */
static void walk(action *a, const nest *n, tg_value *v, const int8_t *map, bool root) {
    tg_lower *L = n->L;
    const tg_vinfo *info = tg_info(L, v);
    if (!tg_is_tile(v) || info->kind == TG_V_SCALAR) {
        return;
    }
    if (info->kind == TG_V_BUFFER && !root) {
        add_read(a, n, v, NULL, map);
        return;
    }
    tg_op *op = v->def;
    if (op == NULL) {
        return;
    }
    int8_t in[TG_MAX_RANK];
    const tg_type *t = v->type;
    if (op->code == TG_OP_LOAD) {
        tg_index ix[TG_MAX_RANK];
        tg_value *mask;
        int k = tg_indices(op, ix, &mask);
        add_read(a, n, v, op, map);
        for (int i = 0; i < k; i++) {
            for (int b = 0; b < ix[i].n_axes; b++) {
                in[b] = map[ix[i].axes[b]];
            }
            walk(a, n, ix[i].v, in, false);
        }
        if (mask != NULL) {
            walk(a, n, mask, map, false);
        }
        return;
    }
    for (int k = 0; k < op->n_operands; k++) {
        tg_value *from = tg_operand(op, k);
        if (!tg_is_tile(from)) {
            continue;
        }
        const tg_attr *axes =
            tg_attr_get(op, op->code == TG_OP_SLICE ? TG_ATTR_OFFSETS : TG_ATTR_AXES);
        int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0);
        int ir = op->code == TG_OP_LOCAL_GATHER ? tg_operand(op, 1)->type->rank : 0;
        for (int b = 0; b < from->type->rank; b++) {
            in[b] = map[b];
            if (op->code == TG_OP_BROADCAST) {
                in[b] = from->type->shape[b] == t->shape[axes->list[b]] ? map[axes->list[b]] : -2;
            } else if (op->code == TG_OP_SLICE && axes->list[b] != 0) {
                in[b] = -1;
            } else if (op->code == TG_OP_CONCAT && b == axis) {
                in[b] = -1;
            } else if (op->code == TG_OP_LOCAL_GATHER) {
                in[b] = k == 1      ? map[axis + b]
                        : b < axis  ? map[b]
                        : b == axis ? -1
                                    : map[b + ir - 1];
            }
        }
        if (op->code == TG_OP_PERMUTE) {
            for (int b = 0; b < from->type->rank; b++) {
                in[axes->list[b]] = map[b];
            }
        } else if (op->code == TG_OP_RESHAPE) {
            walk_reshape(from->type, t, map, in);
        }
        walk(a, n, from, in, false);
    }
}

static void collect_reads(action *a, const nest *n) {
    int8_t map[TG_MAX_RANK];
    for (int i = 0; i < TG_MAX_RANK; i++) {
        map[i] = (int8_t)i;
    }
    bool own = a->kind == ACT_MAT || a->kind == ACT_ROW;
    walk(a, n, a->value, map, own && a->dest == a->value);
    if (stores(a)) {
        tg_index ix[TG_MAX_RANK];
        tg_value *mask;
        int k = tg_indices(a->op, ix, &mask);
        for (int i = 0; i < k; i++) {
            int8_t in[TG_MAX_RANK];
            for (int b = 0; b < ix[i].n_axes; b++) {
                in[b] = map[ix[i].axes[b]];
            }
            walk(a, n, ix[i].v, in, false);
        }
        if (mask != NULL) {
            walk(a, n, mask, map, false);
        }
    }
    if (a->kind == ACT_RED && nest_reduce_mask(a->op) != NULL) {
        tg_value *mask = nest_reduce_mask(a->op);
        int8_t last[TG_MAX_RANK] = {(int8_t)(n->rank - 1)};
        walk(a, n, mask, mask->type->rank == 1 ? last : map, false);
    }
}

/* ---- domains
 * --------------------------------------------------------------------------------------------- */

bool nest_simple_reduce(const tg_op *op) {
    tg_reduce_kind kind = (tg_reduce_kind)tg_attr_int(op, TG_ATTR_RED, 0);
    return kind != TG_RED_USER && kind != TG_RED_ARGMIN && kind != TG_RED_ARGMAX;
}

bool tg_is_nest_op(const tg_lower *L, const tg_op *op) {
    if (op->code == TG_OP_STORE) {
        return true;
    }
    if (op->n_results == 0) {
        return false;
    }
    if (op->code == TG_OP_REDUCE) {
        return true;
    }
    return op->n_regions == 0 && op->n_results == 1 && tg_is_tile(&op->results[0]) &&
           tg_info(L, &op->results[0])->kind == TG_V_BUFFER && op->code != TG_OP_DOT &&
           !tg_is_select_op(op->code);
}

static void store_needs(const tg_lower *L, const tg_op *op, tg_need *need) {
    tg_index ix[TG_MAX_RANK];
    tg_value *mask;
    int n = tg_indices(op, ix, &mask);
    for (int a = 0; a < TG_MAX_RANK; a++) {
        need[a] = (tg_need){.kind = TG_NEED_FULL};
    }
    for (int k = 0; k < n; k++) {
        if (ix[k].v->type->kind == TG_TY_SPAN && !tg_span_is_full(ix[k].v)) {
            need[ix[k].axes[0]] =
                (tg_need){.kind = TG_NEED_SPAN, .span = tg_info(L, ix[k].v)->canon};
        }
    }
    for (int a = 0; mask != NULL && a < mask->type->rank; a++) {
        tg_value *span = need[a].kind == TG_NEED_FULL ? tg_mask_span(L, mask, a) : NULL;
        if (span != NULL && !tg_span_is_full(span)) {
            need[a] = (tg_need){.kind = TG_NEED_SPAN, .span = span};
        }
    }
}

void nest_natural_order(nest *n, int inner) {
    int at = 0;
    for (int a = 0; a < n->rank; a++) {
        if (a != inner) {
            n->order[at++] = a;
        }
    }
    if (n->rank > 0) {
        n->order[at] = inner;
    }
}

/* The nest a single op wants: its domain and its vector axis. False: not a row nest (column or
 * scalar reduction). */
bool nest_domain_of(tg_lower *L, tg_op *op, nest *n, action *a) {
    *n = (nest){.L = L};
    *a = (action){.op = op};
    int inner;
    if (op->code == TG_OP_STORE) {
        a->kind = ACT_STORE;
        a->value = tg_operand(op, 1);
        store_needs(L, op, n->need);
        inner = tg_store_inner(op);
    } else if (op->code == TG_OP_REDUCE) {
        int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0);
        a->kind = ACT_RED;
        a->value = tg_operand(op, 0);
        a->dest = &op->results[0];
        const tg_type *t = a->value->type;
        inner = t->rank - 1;
        bool longer = false;
        for (int k = 0; k < t->rank; k++) {
            longer = longer || (k != axis && t->shape[k] >= 8);
        }
        if (!nest_simple_reduce(op) || axis != inner || (t->shape[axis] < 8 && longer)) {
            return false;
        }
        tg_value *mask = nest_reduce_mask(op);
        tg_value *span =
            mask == NULL ? NULL : tg_mask_span(L, mask, mask->type->rank == 1 ? 0 : axis);
        for (int k = 0; k < inner; k++) {
            n->need[k] = tg_info(L, a->dest)->need[k];
        }
        n->need[inner] = (tg_need){.kind = TG_NEED_FULL};
        if (span != NULL && !tg_span_is_full(span)) {
            n->need[inner] = (tg_need){.kind = TG_NEED_SPAN, .span = span};
        }
    } else {
        a->kind = ACT_MAT;
        a->value = a->dest = &op->results[0];
        for (int k = 0; k < a->value->type->rank; k++) {
            n->need[k] = tg_info(L, a->value)->need[k];
        }
        inner = tg_info(L, a->value)->inner;
    }
    n->rank = a->value->type->rank;
    for (int k = 0; k < n->rank; k++) {
        n->extent[k] = a->value->type->shape[k];
    }
    nest_natural_order(n, inner);
    return true;
}

static bool same_axis(const nest *a, const nest *b, int axis) {
    return a->extent[axis] == b->extent[axis] && a->need[axis].kind == b->need[axis].kind &&
           a->need[axis].span == b->need[axis].span;
}

/* ---- joining
 * ------------------------------------------------------------------------------------------------
 */

static bool same_buffer(tg_lower *L, const tg_value *a, const tg_value *b) {
    return a != NULL && b != NULL && tg_is_tile(a) && tg_is_tile(b) &&
           tg_info(L, a)->kind == TG_V_BUFFER && tg_info(L, b)->kind == TG_V_BUFFER &&
           tg_info(L, a)->offset == tg_info(L, b)->offset;
}

static bool reads_conflict(tg_lower *L, const action *earlier, const action *later) {
    /* later writes what earlier reads: only at the very same elements */
    for (int i = 0; i < earlier->n_reads; i++) {
        const reading *r = &earlier->reads[i];
        if (stores(later) && r->load != NULL &&
            tg_may_overlap(L, tg_operand(r->load, 0), tg_operand(later->op, 0)) &&
            !(r->rows && r->inner && tg_same_place(r->load, later->op))) {
            return true;
        }
        if (later->dest != NULL && r->load == NULL && same_buffer(L, r->value, later->dest) &&
            !(r->rows && r->inner)) {
            return true;
        }
    }
    return false;
}

/* Phase in which `a` may run after the actions already there; -1: it cannot join. */
static int joint_phase(const nest *n, const action *a) {
    tg_lower *L = n->L;
    int phase = 0;
    if (a->reads_overflow || reads_conflict(L, a, a)) {
        return -1;
    }
    for (int w = 0; w < n->n_actions; w++) {
        const action *e = &n->actions[w];
        if (e->reads_overflow || reads_conflict(L, e, a)) {
            return -1;
        }
        if (e->kind == ACT_RED && !tg_is_tile(e->dest)) {
            return -1; /* a scalar is no buffer that readings show: what follows may use it anywhere
                        */
        }
        if (stores(e) && stores(a) &&
            tg_may_overlap(L, tg_operand(e->op, 0), tg_operand(a->op, 0))) {
            return -1;
        }
        /* What an earlier phase reads must be read before a later action replaces it; what is done
         * once a row comes before its phase's elements. */
        int read_by = a->kind == ACT_ROW && e->kind != ACT_ROW ? e->phase + 1 : e->phase;
        if (a->dest != NULL) {
            for (int i = 0; i < e->n_reads; i++) {
                if (e->reads[i].load == NULL && same_buffer(L, e->reads[i].value, a->dest)) {
                    phase = read_by > phase ? read_by : phase;
                }
            }
        }
        if (stores(a)) {
            for (int i = 0; i < e->n_reads; i++) {
                if (e->reads[i].load != NULL &&
                    tg_may_overlap(L, tg_operand(e->reads[i].load, 0), tg_operand(a->op, 0))) {
                    phase = read_by > phase ? read_by : phase;
                }
            }
        }
        for (int i = 0; i < a->n_reads; i++) {
            const reading *r = &a->reads[i];
            if (stores(e)) {
                if (r->load != NULL &&
                    tg_may_overlap(L, tg_operand(r->load, 0), tg_operand(e->op, 0))) {
                    return -1;
                }
                continue;
            }
            if (r->load != NULL || !same_buffer(L, r->value, e->dest)) {
                continue;
            }
            if (!r->rows) {
                return -1;
            }
            int after =
                e->kind == ACT_RED || (e->kind == ACT_MAT && (!r->inner || a->kind == ACT_ROW))
                    ? e->phase + 1
                    : e->phase;
            phase = after > phase ? after : phase;
        }
    }
    return phase;
}

static bool depends_on(const nest *n, const action *a) {
    for (int w = 0; w < n->n_actions; w++) {
        for (int i = 0; i < a->n_reads; i++) {
            if (n->actions[w].dest != NULL && a->reads[i].load == NULL &&
                same_buffer(n->L, a->reads[i].value, n->actions[w].dest)) {
                return true;
            }
        }
    }
    return false;
}

static bool scalar_depends(const nest *n, const tg_op *op) {
    for (int k = 0; k < op->n_operands; k++) {
        const tg_value *v = tg_operand(op, k);
        for (int w = 0; w < n->n_actions; w++) {
            if (v == n->actions[w].dest) {
                return true;
            }
        }
        if (tg_is_tile(v)) {
            return true; /* an element taken from a tile: keep program order */
        }
    }
    return false;
}

static bool try_join(nest *n, tg_op *op) {
    nest other;
    action *a = &n->actions[n->n_actions];
    if (n->n_actions == MAX_ACTIONS || !nest_domain_of(n->L, op, &other, a)) {
        return false;
    }
    int rows = n->rank - 1;
    bool element = other.rank == n->rank && same_axis(n, &other, rows) && other.order[rows] == rows;
    bool row = other.rank == rows && rows > 0 && a->kind != ACT_RED;
    for (int k = 0; k < rows; k++) {
        element = element && same_axis(n, &other, k);
        row = row && same_axis(n, &other, k);
    }
    if (row) {
        a->kind = ACT_ROW;
    }
    if (!element && !row) {
        return false;
    }
    collect_reads(a, n);
    if (row && !depends_on(n, a)) {
        return false;
    }
    a->phase = joint_phase(n, a);
    if (a->phase < 0) {
        return false;
    }
    n->n_actions++;
    return true;
}

/* Ops that emit nothing and may stand between the members of a nest. */
static bool emits_nothing(const tg_lower *L, const tg_op *op) {
    if (op->n_results != 1 || op->n_regions != 0) {
        return op->code == TG_OP_ASSUME || op->code == TG_OP_PRINT;
    }
    const tg_value *r = &op->results[0];
    if (tg_is_tile(r)) {
        uint8_t kind = tg_info(L, r)->kind;
        return kind == TG_V_INLINE || kind == TG_V_LAZY ||
               (kind == TG_V_DEAD && op->code != TG_OP_ATOMIC);
    }
    return op->code == TG_OP_CONST_INT || op->code == TG_OP_CONST_FLOAT || op->code == TG_OP_SYM ||
           op->code == TG_OP_DIM || op->code == TG_OP_VIEW;
}

static bool pure_scalar(const tg_op *op) {
    return op->n_results == 1 && op->n_regions == 0 && !tg_is_tile(&op->results[0]) &&
           (op->code == TG_OP_SPAN || (tg_op_info_get(op->code)->flags & TG_OPF_ELEMENTWISE));
}

void nest_gather_members(nest *n) {
    tg_lower *L = n->L;
    action *own = &n->actions[0];
    collect_reads(own, n);
    if (n->rank == 0 || n->order[n->rank - 1] != n->rank - 1 || own->reads_overflow ||
        reads_conflict(L, own, own)) {
        return;
    }
    tg_op *first = n->actions[0].op;
    for (tg_op *op = first->next; op != NULL && !tg_ends_nest(op); op = op->next) {
        if (emits_nothing(L, op) || tg_opi(op)->done) {
            continue;
        }
        if (pure_scalar(op) && !scalar_depends(n, op)) {
            tg_region one = {.func = op->parent->func, .first = op};
            tg_op *next = op->next;
            op->next = NULL; /* emit just this op, ahead of the nest */
            tg_emit_region(L, &one);
            op->next = next;
            tg_opi(op)->done = true;
            continue;
        }
        if (!tg_is_nest_op(L, op) || !try_join(n, op)) {
            return;
        }
        tg_opi(op)->done = true;
    }
}
