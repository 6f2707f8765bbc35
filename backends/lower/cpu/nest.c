/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loop nests for stores, materialised values and reductions.
 *
 * Neighbouring ops over one domain (same extents, same needed positions) become one nest:
 *
 *   for each row (all axes but the last)
 *     phase 0: one vector loop along the row with every op that can share it
 *     row values that need phase 0's reductions
 *     phase 1: ...
 *
 * so RMS norm reads a row once for the sum of squares and the residual store, and again from the
 * first-level cache for the result. An op joins when everything it reads from the nest lies in the
 * same row; it shares a phase when it lies at the same element. A vector loop runs over whole
 * vectors and a scalar loop over the rest.
 */
#include "backends/lower/cpu/lower.h"

typedef enum act_kind { ACT_MAT, ACT_STORE, ACT_RED, ACT_ROW } act_kind;

enum { MAX_ACTIONS = 32, MAX_READS = 64, MAX_SEAMS = 8 };

/* One thing an action reads: a buffer or a tensor, and how its axes follow the nest's. */
typedef struct reading {
    const tg_value *value; /* buffer, or the load's result */
    tg_op *load;           /* lazily read tensor, or NULL */
    bool rows, inner;      /* row axes (and the innermost) at the nest's own coordinates */
} reading;

typedef struct action {
    act_kind kind;
    tg_op *op;
    tg_value *value; /* what is evaluated */
    tg_value *dest;  /* whose buffer is written; NULL for stores */
    int phase;
    tg_value *acc;       /* running reduction */
    tg_value *zero_mask; /* rank 1 along zero_axis: false makes the element 0 */
    int zero_axis;
    int n_reads;
    reading reads[MAX_READS];
    bool reads_overflow;
} action;

typedef struct nest {
    tg_lower *L;
    int rank;
    int64_t extent[TG_MAX_RANK];
    tg_need need[TG_MAX_RANK];
    int order[TG_MAX_RANK]; /* loop order; the last is the vector axis */
    int n_actions;
    action *actions;
    tg_ctx x;
    tg_value *trip[TG_MAX_RANK];
    tg_coord c[TG_MAX_RANK];
} nest;

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

static tg_value *reduce_mask(const tg_op *op) {
    return tg_attr_int(op, TG_ATTR_MASKED, 0) ? tg_operand(op, op->n_operands - 1) : NULL;
}

static void collect_reads(action *a, const nest *n) {
    int8_t map[TG_MAX_RANK];
    for (int i = 0; i < TG_MAX_RANK; i++) {
        map[i] = (int8_t)i;
    }
    bool own = a->kind == ACT_MAT || a->kind == ACT_ROW;
    walk(a, n, a->value, map, own && a->dest == a->value);
    if (a->kind == ACT_STORE) {
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
    if (a->kind == ACT_RED && reduce_mask(a->op) != NULL) {
        tg_value *mask = reduce_mask(a->op);
        int8_t last[TG_MAX_RANK] = {(int8_t)(n->rank - 1)};
        walk(a, n, mask, mask->type->rank == 1 ? last : map, false);
    }
}

/* ---- domains
 * --------------------------------------------------------------------------------------------- */

static bool simple_reduce(const tg_op *op) {
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
}

/* The axis along which a store runs through consecutive memory. */
static int store_inner(const tg_op *op) {
    tg_index ix[TG_MAX_RANK];
    tg_value *mask;
    int n = tg_indices(op, ix, &mask);
    int last = tg_operand(op, 1)->type->rank - 1;
    if (n == 0 || tg_operand(op, 0)->type->strided || ix[n - 1].n_axes == 0) {
        return last;
    }
    return (int)ix[n - 1].axes[ix[n - 1].n_axes - 1];
}

static void natural_order(nest *n, int inner) {
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
static bool domain_of(tg_lower *L, tg_op *op, nest *n, action *a) {
    *n = (nest){.L = L};
    *a = (action){.op = op};
    int inner;
    if (op->code == TG_OP_STORE) {
        a->kind = ACT_STORE;
        a->value = tg_operand(op, 1);
        store_needs(L, op, n->need);
        inner = store_inner(op);
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
        if (!simple_reduce(op) || axis != inner || (t->shape[axis] < 8 && longer)) {
            return false;
        }
        tg_value *mask = reduce_mask(op);
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
    natural_order(n, inner);
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
        if (later->kind == ACT_STORE && r->load != NULL &&
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
        if (e->kind == ACT_STORE && a->kind == ACT_STORE &&
            tg_may_overlap(L, tg_operand(e->op, 0), tg_operand(a->op, 0))) {
            return -1;
        }
        /* What an earlier phase reads must be read before a later action replaces it. */
        if (a->dest != NULL) {
            for (int i = 0; i < e->n_reads; i++) {
                if (e->reads[i].load == NULL && same_buffer(L, e->reads[i].value, a->dest)) {
                    phase = e->phase > phase ? e->phase : phase;
                }
            }
        }
        if (a->kind == ACT_STORE) {
            for (int i = 0; i < e->n_reads; i++) {
                if (e->reads[i].load != NULL &&
                    tg_may_overlap(L, tg_operand(e->reads[i].load, 0), tg_operand(a->op, 0))) {
                    phase = e->phase > phase ? e->phase : phase;
                }
            }
        }
        for (int i = 0; i < a->n_reads; i++) {
            const reading *r = &a->reads[i];
            if (e->kind == ACT_STORE) {
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
    if (n->n_actions == MAX_ACTIONS || !domain_of(n->L, op, &other, a)) {
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

static void gather_members(nest *n) {
    tg_lower *L = n->L;
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

/* ---- reductions
 * -------------------------------------------------------------------------------------------- */

static tg_dtype work_type(tg_reduce_kind kind, tg_dtype t) {
    return kind == TG_RED_COUNT ? TG_DT_I32 : tg_dtype_arith(t);
}

tg_value *tg_reduce_identity(tg_lower *L, tg_builder *b, tg_reduce_kind kind, tg_dtype t,
                             int lanes) {
    tg_dtype w = work_type(kind, t);
    const tg_type *type = tg_loop_type(L, w, lanes);
    bool low = kind == TG_RED_MAX;
    if (kind == TG_RED_PROD || kind == TG_RED_ALL) {
        return tg_build_int(b, type, 1);
    }
    if (kind != TG_RED_MIN && kind != TG_RED_MAX) {
        return tg_build_int(b, type, 0);
    }
    if (tg_dtype_is_float(t)) {
        return tg_build_float(b, type, low ? -__builtin_inf() : __builtin_inf());
    }
    int bits = tg_dtype_bits(t);
    if (!tg_dtype_is_signed(t)) {
        return tg_build_int(b, type, low ? 0 : bits == 64 ? -1 : ((int64_t)1 << bits) - 1);
    }
    int64_t top = bits == 64 ? INT64_MAX : ((int64_t)1 << (bits - 1)) - 1;
    return tg_build_int(b, type, low ? -top - 1 : top);
}

tg_value *tg_reduce_step(tg_lower *L, tg_builder *b, tg_reduce_kind kind, tg_dtype t, tg_value *acc,
                         tg_value *v) {
    (void)L;
    (void)t;
    static const tg_opcode step[] = {
        [TG_RED_SUM] = TG_OP_ADD,  [TG_RED_PROD] = TG_OP_MUL, [TG_RED_MIN] = TG_OP_MIN,
        [TG_RED_MAX] = TG_OP_MAX,  [TG_RED_ANY] = TG_OP_OR,   [TG_RED_ALL] = TG_OP_AND,
        [TG_RED_COUNT] = TG_OP_ADD};
    return tg_build_binary(b, step[kind], acc, v);
}

/* One element (or vector) of a reduction's operand in its working type, identity where masked. */
static tg_ev reduce_input(tg_ctx *x, tg_op *op, const tg_coord *c, int axis) {
    tg_reduce_kind kind = (tg_reduce_kind)tg_attr_int(op, TG_ATTR_RED, 0);
    tg_value *v = tg_operand(op, 0), *mask = reduce_mask(op);
    tg_dtype t = v->type->dtype, w = work_type(kind, t);
    tg_ev e = tg_elem(x, v, c);
    if (w != t) {
        e.v = tg_expand_convert(&x->bl[e.level], x->L->mc, e.v, t, w, TG_ROUND_RNE, false);
    }
    if (mask == NULL) {
        return e;
    }
    tg_ev m = tg_elem(x, mask, mask->type->rank == 1 ? c + axis : c);
    int64_t known;
    if (tg_value_const_int(m.v, &known) && known != 0) {
        return e;
    }
    int level = e.level > m.level ? e.level : m.level;
    bool vec = (e.vec || m.vec) && x->lanes > 1;
    tg_builder *b = &x->bl[level];
    tg_value *identity = tg_reduce_identity(x->L, b, kind, t, vec ? x->lanes : 1);
    tg_value *val = vec ? tg_ev_vec(x, e) : e.v, *on = vec ? tg_ev_vec(x, m) : m.v;
    return (tg_ev){.v = tg_build_select(b, on, val, identity), .level = level, .vec = vec};
}

static tg_value *reduce_finish(tg_ctx *x, tg_op *op, tg_value *acc) {
    tg_reduce_kind kind = (tg_reduce_kind)tg_attr_int(op, TG_ATTR_RED, 0);
    tg_dtype w = work_type(kind, tg_operand(op, 0)->type->dtype), to = op->results[0].type->dtype;
    return w == to ? acc
                   : tg_expand_convert(&x->bl[x->depth], x->L->mc, acc, w, to, TG_ROUND_RNE, false);
}

/* ---- emission of a nest
 * ---------------------------------------------------------------------------------------- */

static void act_element(nest *n, action *a) {
    tg_ctx *x = &n->x;
    if (a->kind == ACT_STORE) {
        tg_ev e = tg_elem(x, a->value, n->c);
        x->bl[x->depth].span = a->op->span;
        tg_tensor_write(x, a->op, n->c, e);
        return;
    }
    if (a->kind == ACT_RED) {
        tg_reduce_kind kind = (tg_reduce_kind)tg_attr_int(a->op, TG_ATTR_RED, 0);
        tg_ev e = reduce_input(x, a->op, n->c, n->rank - 1);
        tg_builder *b = &x->bl[x->depth];
        a->acc = tg_reduce_step(x->L, b, kind, a->value->type->dtype, a->acc, tg_ev_vec(x, e));
        return;
    }
    bool own = a->dest == a->value && a->value->def != NULL;
    tg_ev e = own ? tg_eval_op(x, a->value->def, a->value, n->c) : tg_elem(x, a->value, n->c);
    if (a->zero_mask != NULL) {
        tg_ev m = tg_elem(x, a->zero_mask, &n->c[a->zero_axis]);
        bool vec = (e.vec || m.vec) && x->lanes > 1;
        int level = e.level > m.level ? e.level : m.level;
        tg_value *v = vec ? tg_ev_vec(x, e) : e.v, *on = vec ? tg_ev_vec(x, m) : m.v;
        tg_builder *b = &x->bl[level];
        e = (tg_ev){.v = tg_build_select(b, on, v, tg_build_int(b, v->type, 0)),
                    .level = level,
                    .vec = vec};
    }
    tg_buffer_write(x, a->dest, n->c, e);
    if (own) {
        tg_memo_put(x, a->value, n->c, e);
    }
}

/* Runs the element actions of a phase over [lo, hi) of the vector axis, `lanes` at a time. */
static void element_loop(nest *n, int phase, int64_t base, int64_t end, tg_value *lo, tg_value *hi,
                         int lanes, bool once) {
    tg_ctx *x = &n->x;
    int axis = n->order[n->rank - 1];
    int64_t align = lanes;
    x->lanes = lanes;
    tg_value *carried[MAX_ACTIONS], *iv = NULL;
    int n_carried = 0;
    tg_op *loop = NULL;
    for (int i = 0; i < n->n_actions; i++) {
        if (n->actions[i].phase == phase && n->actions[i].kind == ACT_RED) {
            carried[n_carried++] = n->actions[i].acc;
        }
    }
    if (!once) {
        loop = tg_ctx_open(x, lo, hi, lanes, n_carried, carried, &iv);
    }
    while (base % lanes != 0 && lanes > 1 && base % align != 0) {
        align /= 2;
    }
    n->c[axis] =
        (tg_coord){.v = iv,
                   .add = base,
                   .end = end,
                   .lane = lanes > 1,
                   .level = x->depth,
                   .align = align,
                   .v_align = lanes,
                   .bound = n->need[axis].kind == TG_NEED_SPAN ? n->need[axis].span : NULL};
    int at = 0;
    for (int i = 0; i < n->n_actions; i++) {
        action *a = &n->actions[i];
        if (a->phase == phase && a->kind == ACT_RED) {
            a->acc = carried[at++];
        }
        if (a->phase == phase && a->kind != ACT_ROW) {
            act_element(n, a);
        }
    }
    at = 0;
    for (int i = 0; i < n->n_actions; i++) {
        if (n->actions[i].phase == phase && n->actions[i].kind == ACT_RED) {
            carried[at++] = n->actions[i].acc;
        }
    }
    if (!once) {
        tg_ctx_close(x, loop, n_carried, carried);
    }
    at = 0;
    for (int i = 0; i < n->n_actions; i++) {
        if (n->actions[i].phase == phase && n->actions[i].kind == ACT_RED) {
            n->actions[i].acc = carried[at++];
        }
    }
}

static void start_accumulators(nest *n, int phase, int lanes) {
    tg_ctx *x = &n->x;
    for (int i = 0; i < n->n_actions; i++) {
        action *a = &n->actions[i];
        if (a->phase == phase && a->kind == ACT_RED) {
            tg_reduce_kind kind = (tg_reduce_kind)tg_attr_int(a->op, TG_ATTR_RED, 0);
            a->acc = tg_reduce_identity(x->L, &x->bl[x->depth], kind, a->value->type->dtype, lanes);
        }
    }
}

static void fold_lanes(nest *n, int phase) {
    tg_ctx *x = &n->x;
    for (int i = 0; i < n->n_actions; i++) {
        action *a = &n->actions[i];
        if (a->phase == phase && a->kind == ACT_RED && a->acc->type->kind == TG_TY_VEC) {
            tg_reduce_kind kind = (tg_reduce_kind)tg_attr_int(a->op, TG_ATTR_RED, 0);
            kind = kind == TG_RED_COUNT ? TG_RED_SUM : kind;
            a->acc = tg_build_reducev(&x->bl[x->depth], kind, a->acc);
        }
    }
}

static int vector_lanes(const tg_lower *L, int64_t n) {
    int lanes = L->lanes;
    while (lanes > n) {
        lanes /= 2;
    }
    return lanes < 2 ? 1 : lanes;
}

/* Where concatenations along the vector axis change from one part to the next, in order. */
static int seams(const nest *n, const tg_value *v, int axis, int64_t *out, int count, int depth) {
    const tg_op *op = v->def;
    if (!tg_is_tile(v) || op == NULL || depth > 24 ||
        (depth > 0 && tg_info(n->L, v)->kind != TG_V_INLINE)) {
        return count;
    }
    if (op->code == TG_OP_CONCAT && tg_attr_int(op, TG_ATTR_AXIS, 0) == axis) {
        int64_t at = 0;
        for (int i = 0; i + 1 < op->n_operands; i++) {
            at += tg_operand(op, i)->type->shape[axis];
            int k = 0;
            while (k < count && out[k] < at) {
                k++;
            }
            if (count < MAX_SEAMS && (k == count || out[k] != at)) {
                for (int m = count; m > k; m--) {
                    out[m] = out[m - 1];
                }
                out[k] = at;
                count++;
            }
        }
        return count;
    }
    if (tg_op_info_get(op->code)->flags & TG_OPF_ELEMENTWISE) {
        for (int i = 0; i < op->n_operands; i++) {
            count = seams(n, tg_operand(op, i), axis, out, count, depth + 1);
        }
    }
    return count;
}

/* One run of a phase over [base, end) of a fixed axis. */
static void fixed_run(nest *n, int phase, int64_t base, int64_t end, int lanes) {
    tg_builder *b = &n->x.bl[n->x.depth];
    int64_t extent = end - base, whole = lanes > 1 ? extent / lanes * lanes : 0;
    tg_value *main_end = tg_build_index(b, whole);
    if (whole > 0) {
        element_loop(n, phase, base, end, tg_build_index(b, 0), main_end, lanes, whole == lanes);
    }
    if (whole < extent) {
        fold_lanes(n, phase);
        b = &n->x.bl[n->x.depth];
        element_loop(n, phase, base, end, tg_build_index(b, whole), tg_build_index(b, extent), 1,
                     false);
    }
}

static void element_phase(nest *n, int phase) {
    tg_ctx *x = &n->x;
    if (n->rank == 0) {
        for (int i = 0; i < n->n_actions; i++) {
            act_element(n, &n->actions[i]);
        }
        return;
    }
    int axis = n->order[n->rank - 1], n_seams = 0;
    int64_t extent = n->extent[axis], seam[MAX_SEAMS + 1];
    int lanes = vector_lanes(x->L, extent);
    bool fixed = n->need[axis].kind != TG_NEED_SPAN, reduces = false;
    for (int i = 0; i < n->n_actions; i++) {
        if (n->actions[i].phase == phase && n->actions[i].kind != ACT_ROW) {
            n_seams = seams(n, n->actions[i].value, axis, seam, n_seams, 0);
            reduces = reduces || n->actions[i].kind == ACT_RED;
        }
    }
    if (fixed && !reduces && n_seams > 0) {
        seam[n_seams] = extent;
        int64_t from = 0;
        for (int i = 0; i <= n_seams; i++) {
            fixed_run(n, phase, from, seam[i], vector_lanes(x->L, seam[i] - from));
            from = seam[i];
        }
        return;
    }
    start_accumulators(n, phase, lanes);
    if (fixed) {
        fixed_run(n, phase, 0, extent, lanes);
    } else {
        tg_builder *b = &x->bl[x->depth];
        tg_value *main_end = tg_build_index(b, 0), *end = n->trip[axis];
        if (lanes > 1) {
            main_end = tg_build_binary(b, TG_OP_AND, end, tg_build_index(b, -lanes));
            element_loop(n, phase, 0, 0, tg_build_index(b, 0), main_end, lanes, false);
            fold_lanes(n, phase);
        }
        element_loop(n, phase, 0, 0, main_end, end, 1, false);
    }
    fold_lanes(n, phase);
}

static void finish_phase(nest *n, int phase) {
    tg_ctx *x = &n->x;
    for (int i = 0; i < n->n_actions; i++) {
        action *a = &n->actions[i];
        if (a->phase != phase || a->kind != ACT_RED) {
            continue;
        }
        tg_value *v = reduce_finish(x, a->op, a->acc);
        tg_value *r = a->dest;
        if (!tg_is_tile(r)) {
            tg_info(x->L, r)->loop = v;
            continue;
        }
        tg_ev e = {.v = v, .level = x->depth};
        x->lanes = 1;
        tg_buffer_write(x, r, n->c, e);
        tg_memo_put(x, r, n->c, e);
    }
}

static void row_actions(nest *n, int phase) {
    n->x.lanes = 1;
    for (int i = 0; i < n->n_actions; i++) {
        action *a = &n->actions[i];
        if (a->phase != phase || a->kind != ACT_ROW) {
            continue;
        }
        if (a->op->code == TG_OP_STORE) {
            tg_ev e = tg_elem(&n->x, a->value, n->c);
            tg_tensor_write(&n->x, a->op, n->c, e);
        } else {
            tg_ev e = tg_eval_op(&n->x, a->value->def, a->value, n->c);
            tg_buffer_write(&n->x, a->dest, n->c, e);
            tg_memo_put(&n->x, a->value, n->c, e);
        }
    }
}

/* ---- blocks that change direction
 * --------------------------------------------------------------------------- */

/*
 * A single store or copy whose value is read along one axis and written along another: squares of
 * vectors are read, turned in registers and written. What is left at the edges goes the ordinary
 * way.
 */
enum { TURN = 8 };

static void turn(tg_builder *b, tg_value **v) {
    for (int half = 1; half < TURN; half *= 2) {
        tg_value *next[TURN];
        for (int i = 0; i < TURN; i++) {
            if (i & half) {
                continue;
            }
            int64_t lo[TURN], hi[TURN];
            for (int l = 0; l < TURN; l++) { /* 2x2 blocks of `half` lanes change places */
                lo[l] = (l & half) ? TURN + (l - half) : l;
                hi[l] = (l & half) ? TURN + l : l + half;
            }
            next[i] = tg_build_shuffle(b, v[i], v[i + half], TURN, lo);
            next[i + half] = tg_build_shuffle(b, v[i], v[i + half], TURN, hi);
        }
        for (int i = 0; i < TURN; i++) {
            v[i] = next[i];
        }
    }
}

static tg_coord axis_coord(const nest *n, int axis, tg_value *iv, int64_t add, int lane) {
    return (tg_coord){.v = iv,
                      .add = add,
                      .lane = lane,
                      .level = n->x.depth,
                      .align = 1,
                      .v_align = iv != NULL ? TURN : 0,
                      .bound = n->need[axis].kind == TG_NEED_SPAN ? n->need[axis].span : NULL};
}

/* One action over [lo, hi) of two axes, one element at a time. */
static void single_elements(nest *n, int a, tg_value *a_lo, tg_value *a_hi, int b, tg_value *b_lo,
                            tg_value *b_hi) {
    tg_ctx *x = &n->x;
    tg_value *ia, *ib;
    x->lanes = 1;
    tg_op *la = tg_ctx_open(x, a_lo, a_hi, 1, 0, NULL, &ia);
    n->c[a] = (tg_coord){
        .v = ia, .level = x->depth, .align = 1, .bound = axis_coord(n, a, ia, 0, 0).bound};
    tg_op *lb = tg_ctx_open(x, b_lo, b_hi, 1, 0, NULL, &ib);
    n->c[b] = (tg_coord){
        .v = ib, .level = x->depth, .align = 1, .bound = axis_coord(n, b, ib, 0, 0).bound};
    act_element(n, &n->actions[0]);
    tg_ctx_close(x, lb, 0, NULL);
    tg_ctx_close(x, la, 0, NULL);
}

static void turning_block(nest *n, int from, int to, tg_value *if_, tg_value *it) {
    tg_ctx *x = &n->x;
    action *a = &n->actions[0];
    tg_value *v[TURN];
    x->lanes = TURN;
    for (int k = 0; k < TURN; k++) {
        n->c[from] = axis_coord(n, from, if_, 0, 1);
        n->c[to] = axis_coord(n, to, it, k, 0);
        bool own = a->kind == ACT_MAT && a->dest == a->value && a->value->def != NULL;
        tg_ev e = own ? tg_eval_op(x, a->value->def, a->value, n->c) : tg_elem(x, a->value, n->c);
        v[k] = tg_ev_vec(x, e);
    }
    turn(&x->bl[x->depth], v);
    for (int k = 0; k < TURN; k++) {
        n->c[from] = axis_coord(n, from, if_, k, 0);
        n->c[to] = axis_coord(n, to, it, 0, 1);
        tg_ev e = {.v = v[k], .level = x->depth, .vec = true};
        if (a->kind == ACT_STORE) {
            tg_tensor_write(x, a->op, n->c, e);
        } else {
            tg_buffer_write(x, a->dest, n->c, e);
        }
    }
}

static void turning_loops(nest *n, int from, int to) {
    tg_ctx *x = &n->x;
    tg_builder *b = &x->bl[x->depth];
    tg_value *zero = tg_build_index(b, 0), *mask = tg_build_index(b, -TURN), *i, *j;
    tg_value *f_end = tg_build_binary(b, TG_OP_AND, n->trip[from], mask);
    tg_value *t_end = tg_build_binary(b, TG_OP_AND, n->trip[to], mask);
    tg_op *outer = tg_ctx_open(x, zero, f_end, TURN, 0, NULL, &i);
    tg_op *inner = tg_ctx_open(x, zero, t_end, TURN, 0, NULL, &j);
    turning_block(n, from, to, i, j);
    tg_ctx_close(x, inner, 0, NULL);
    tg_ctx_close(x, outer, 0, NULL);
    single_elements(n, from, f_end, n->trip[from], to, zero, n->trip[to]);
    single_elements(n, from, zero, f_end, to, t_end, n->trip[to]);
}

/* The axis a lone action reads along, when it is not the one it writes along; -1 otherwise. */
static int turned_axis(const nest *n) {
    const action *a = &n->actions[0];
    if (n->n_actions != 1 || n->rank < 2 || a->kind == ACT_RED || a->kind == ACT_ROW ||
        a->zero_mask != NULL || tg_dtype_bits(a->value->type->dtype) < 8 ||
        n->L->mc->vector_bytes < 16) {
        return -1;
    }
    if (a->kind == ACT_STORE && tg_attr_int(a->op, TG_ATTR_MASKED, 0)) {
        return -1;
    }
    int to = n->order[n->rank - 1];
    bool own = a->kind == ACT_MAT && a->dest == a->value;
    int from = tg_unit_axis(n->L, a->value, own);
    return from >= 0 && from != to && n->extent[from] >= TURN && n->extent[to] >= TURN ? from : -1;
}

static void emit_nest(nest *n) {
    tg_lower *L = n->L;
    int rows = n->rank > 0 ? n->rank - 1 : 0, last = 0;
    for (int i = 0; i < n->n_actions; i++) {
        last = n->actions[i].phase > last ? n->actions[i].phase : last;
    }
    for (int k = 0; k < n->rank; k++) {
        n->trip[k] = tg_trip(L, n->extent[k], &n->need[k]);
    }
    n->x = tg_ctx_begin(L, 1);
    tg_ctx *x = &n->x;
    tg_op *loops[TG_MAX_RANK];
    int from = turned_axis(n);
    for (int k = 0; k < rows; k++) {
        int axis = n->order[k];
        tg_value *iv = NULL;
        loops[k] = NULL;
        if (axis == from) {
            continue;
        }
        if (n->extent[axis] > 1) {
            loops[k] =
                tg_ctx_open(x, tg_build_index(&x->bl[x->depth], 0), n->trip[axis], 1, 0, NULL, &iv);
        } else if (n->need[axis].kind == TG_NEED_SPAN) { /* one row, if present */
            loops[k] =
                tg_ctx_open(x, tg_build_index(&x->bl[x->depth], 0), n->trip[axis], 1, 0, NULL, &iv);
        }
        n->c[axis] =
            (tg_coord){.v = iv,
                       .level = x->depth,
                       .align = 1,
                       .bound = n->need[axis].kind == TG_NEED_SPAN ? n->need[axis].span : NULL};
    }
    if (from >= 0) {
        turning_loops(n, from, n->order[n->rank - 1]);
        last = -1;
    }
    for (int phase = 0; phase <= last; phase++) {
        row_actions(n, phase);
        bool any = n->rank == 0;
        for (int i = 0; i < n->n_actions; i++) {
            any = any || (n->actions[i].phase == phase && n->actions[i].kind != ACT_ROW);
        }
        if (any) {
            element_phase(n, phase);
        }
        finish_phase(n, phase);
    }
    for (int k = rows - 1; k >= 0; k--) {
        if (loops[k] != NULL) {
            tg_ctx_close(x, loops[k], 0, NULL);
        }
    }
    tg_ctx_end(x);
}

void tg_emit_nests(tg_lower *L, tg_op *op) {
    nest n;
    action *actions = TG_NEW_ARRAY(L->arena, action, MAX_ACTIONS + 1);
    if (op->code == TG_OP_REDUCE && !tg_type_is_scalar(op->results[0].type) &&
        tg_info(L, &op->results[0])->kind == TG_V_DEAD) {
        return;
    }
    if (!domain_of(L, op, &n, &actions[0])) {
        if (simple_reduce(op)) {
            tg_emit_column_reduce(L, op);
        } else {
            tg_emit_scalar_reduce_loop(L, op);
        }
        return;
    }
    n.actions = actions;
    n.n_actions = 1;
    collect_reads(&actions[0], &n);
    if (n.rank > 0 && n.order[n.rank - 1] == n.rank - 1 && !actions[0].reads_overflow &&
        !reads_conflict(L, &actions[0], &actions[0])) {
        gather_members(&n);
    }
    emit_nest(&n);
}

void tg_emit_materialise(tg_lower *L, tg_value *v, tg_value *dest) {
    tg_emit_masked_copy(L, v, dest, NULL, 0);
}

void tg_emit_masked_copy(tg_lower *L, tg_value *v, tg_value *dest, tg_value *mask, int axis) {
    nest n = {.L = L, .rank = v->type->rank, .n_actions = 1};
    action *a = TG_NEW(L->arena, action);
    *a = (action){.kind = ACT_MAT,
                  .op = v->def,
                  .value = v,
                  .dest = dest,
                  .zero_mask = mask,
                  .zero_axis = axis};
    n.actions = a;
    for (int k = 0; k < n.rank; k++) {
        n.extent[k] = v->type->shape[k];
        n.need[k] = tg_info(L, dest)->need[k];
    }
    natural_order(&n, tg_info(L, dest)->inner);
    emit_nest(&n);
}

void tg_emit_copy(tg_lower *L, tg_value *from, tg_value *to) {
    if (tg_info(L, to)->kind != TG_V_BUFFER || from == to) {
        return;
    }
    if (tg_info(L, from)->kind == TG_V_BUFFER &&
        tg_info(L, from)->offset == tg_info(L, to)->offset) {
        return;
    }
    tg_emit_materialise(L, from, to);
}

/* ---- reductions along another axis
 * ------------------------------------------------------------------------------ */

/*
 * Kept axes outside, the result's innermost one in vectors; the reduced axis runs inside each
 * vector with the accumulator in a register.
 */
static void column_block(tg_ctx *x, tg_op *op, tg_coord *c, int axis, tg_value *trip,
                         const tg_need *need, const tg_coord *out) {
    tg_reduce_kind kind = (tg_reduce_kind)tg_attr_int(op, TG_ATTR_RED, 0);
    tg_dtype t = tg_operand(op, 0)->type->dtype, w = work_type(kind, t);
    tg_value *acc = tg_reduce_identity(x->L, &x->bl[x->depth], kind, t, x->lanes), *iv;
    tg_op *loop = tg_ctx_open(x, tg_build_index(&x->bl[x->depth], 0), trip, 1, 1, &acc, &iv);
    c[axis] = (tg_coord){.v = iv,
                         .level = x->depth,
                         .align = 1,
                         .bound = need->kind == TG_NEED_SPAN ? need->span : NULL};
    tg_ev e = reduce_input(x, op, c, axis);
    acc = tg_reduce_step(x->L, &x->bl[x->depth], kind, w, acc, tg_ev_vec(x, e));
    tg_ctx_close(x, loop, 1, &acc);
    tg_ev r = {.v = reduce_finish(x, op, acc), .level = x->depth, .vec = x->lanes > 1};
    if (tg_is_tile(&op->results[0])) {
        tg_buffer_write(x, &op->results[0], out, r);
    } else {
        tg_info(x->L, &op->results[0])->loop = r.v;
    }
}

static void column_body(tg_ctx *x, tg_op *op, tg_coord *c, int axis, tg_value *trip,
                        const tg_need *need) {
    tg_coord out[TG_MAX_RANK];
    for (int k = 0, at = 0; k < tg_operand(op, 0)->type->rank; k++) {
        if (k != axis) {
            out[at++] = c[k];
        }
    }
    column_block(x, op, c, axis, trip, need, out);
}

void tg_emit_column_reduce(tg_lower *L, tg_op *op) {
    tg_value *v = tg_operand(op, 0), *r = &op->results[0], *mask = reduce_mask(op);
    int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0), rank = v->type->rank;
    tg_need need = {.kind = TG_NEED_FULL};
    tg_value *span = mask == NULL ? NULL : tg_mask_span(L, mask, mask->type->rank == 1 ? 0 : axis);
    if (span != NULL && !tg_span_is_full(span)) {
        need = (tg_need){.kind = TG_NEED_SPAN, .span = span};
    }
    int order[TG_MAX_RANK], n = 0, inner = -1;
    if (rank > 1) {
        inner = tg_info(L, r)->inner;
        inner = inner >= axis ? inner + 1 : inner;
    }
    for (int k = 0; k < rank; k++) {
        if (k != axis && k != inner) {
            order[n++] = k;
        }
    }
    tg_value *trip = tg_trip(L, v->type->shape[axis], &need), *kept_trip[TG_MAX_RANK];
    const tg_need *kept_need[TG_MAX_RANK];
    for (int k = 0; k < rank; k++) {
        if (k != axis) {
            kept_need[k] = &tg_info(L, r)->need[k > axis ? k - 1 : k];
            kept_trip[k] = tg_trip(L, v->type->shape[k], kept_need[k]);
        }
    }
    tg_ctx x = tg_ctx_begin(L, 1);
    tg_coord c[TG_MAX_RANK];
    tg_op *loops[TG_MAX_RANK];
    for (int i = 0; i < n; i++) {
        int k = order[i];
        tg_value *iv;
        loops[i] =
            tg_ctx_open(&x, tg_build_index(&x.bl[x.depth], 0), kept_trip[k], 1, 0, NULL, &iv);
        c[k] = (tg_coord){.v = iv,
                          .level = x.depth,
                          .align = 1,
                          .bound = kept_need[k]->kind == TG_NEED_SPAN ? kept_need[k]->span : NULL};
    }
    if (inner < 0) {
        column_body(&x, op, c, axis, trip, &need);
    } else {
        int64_t extent = v->type->shape[inner];
        bool fixed = kept_need[inner]->kind != TG_NEED_SPAN;
        int lanes = vector_lanes(L, extent);
        tg_builder *b = &x.bl[x.depth];
        tg_value *lo = tg_build_index(b, 0), *hi = kept_trip[inner], *iv;
        for (int pass = lanes > 1 ? 0 : 1; pass < 2; pass++) {
            x.lanes = pass == 0 ? lanes : 1;
            tg_value *end = hi;
            if (pass == 0) {
                end = fixed ? tg_build_index(b, extent / lanes * lanes)
                            : tg_build_binary(b, TG_OP_AND, hi, tg_build_index(b, -lanes));
            } else if (lanes > 1 && fixed && extent % lanes == 0) {
                break;
            }
            tg_op *loop = tg_ctx_open(&x, lo, end, x.lanes, 0, NULL, &iv);
            c[inner] = (tg_coord){.v = iv,
                                  .lane = x.lanes > 1,
                                  .level = x.depth,
                                  .align = x.lanes,
                                  .bound = fixed ? NULL : kept_need[inner]->span};
            column_body(&x, op, c, axis, trip, &need);
            tg_ctx_close(&x, loop, 0, NULL);
            lo = end;
        }
    }
    for (int i = n - 1; i >= 0; i--) {
        tg_ctx_close(&x, loops[i], 0, NULL);
    }
    tg_ctx_end(&x);
}
