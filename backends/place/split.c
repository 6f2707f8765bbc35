/* SPDX-License-Identifier: Apache-2.0 */
/*
 * split: several copies of one role share a program's tile, each taking a part of one axis.
 *
 * Takes a placed function without layouts. Where the machine or the schedule asks for replicas and
 * one axis of the stored tile can be cut, gives the program of one replica: tiles with that axis
 * are shorter, and their positions begin at the replica's part. The replica's number is a last
 * argument of the body until the roles are made. Refuses nothing: what cannot be cut stays whole.
 *
 * Before (two replicas, rows):
 *   %2 = span %i, %M : span<64>
 *   %3 = load %a, %2, %k {axes = [0, 1]} : f16[64, 32]
 *   %5 = dot %3, %4, %acc : f32[64, 64]
 *   store %c, %5, %2, %j {axes = [0, 1]}
 * After:
 *   %7 = mul %replica, 32 : i64
 *   %8 = add %i, %7 : i64
 *   %2 = span %8, %M : span<32>
 *   %3 = load %a, %2, %k {axes = [0, 1]} : f16[32, 32]
 *   %5 = dot %3, %4, %acc : f32[32, 64]
 *   store %c, %5, %2, %j {axes = [0, 1]}
 *
 * Method: from an axis of a product's result (without products: of what is stored) the cut flows
 * along operands, results and loops. It stops at operations that combine elements along the axis:
 * then the next axis is tried. Everything that is stored must be cut, or the replicas would store
 * it twice; nothing may be read that the program writes, since replicas do not wait for each other.
 */
#include "backends/place/place.h"
#include "ir/passes/util.h"

enum { WHOLE = -1, FORBIDDEN = -2 };
/* Fewer elements of the axis than this are not worth a replica unless a schedule says so. */
enum { LEAST_PART = 16 };

typedef struct cut {
    tg_func *f;
    tg_arena *arena;
    int *axis; /* by value id: which axis is cut, WHOLE */
    int64_t extent;
    TG_LIST(tg_value *) queue;
    bool failed;
} cut;

/* ---- one value ------------------------------------------------------------------------------ */

static bool can_carry(const tg_type *t, int axis, int64_t extent) {
    return (t->kind == TG_TY_TILE || t->kind == TG_TY_SPAN) && axis < tg_max_i64(t->rank, 1) &&
           (t->kind == TG_TY_SPAN || t->rank > 0) && t->shape[axis] == extent;
}

/* v is cut along the axis. */
static void mark(cut *c, tg_value *v, int axis) {
    if (axis == WHOLE || c->failed) {
        return;
    }
    if (axis == FORBIDDEN || !can_carry(v->type, axis, c->extent) ||
        (c->axis[v->id] != WHOLE && c->axis[v->id] != axis)) {
        c->failed = true;
        return;
    }
    if (c->axis[v->id] == WHOLE) {
        c->axis[v->id] = axis;
        TG_LIST_PUSH(c->arena, &c->queue, v);
    }
}

/* ---- axes of one operation --------------------------------------------------------------------
 *
 * Both directions speak of the operation's pivot: its results, or the value of a store. */

static const tg_type *pivot_type(const tg_op *op) {
    return op->code == TG_OP_STORE ? op->operands[1].value->type
           : op->n_results > 0     ? op->results[0].type
                                   : NULL;
}

/* The pivot's axis for axis a of an operand that goes through a list of axes, from entry `at`. */
static int listed(const tg_attr *axes, size_t at, int a) {
    return axes != NULL && at + (size_t)a < axes->n_list ? (int)axes->list[at + (size_t)a]
                                                         : FORBIDDEN;
}

/* First entry of index operand i in the axes of a load or store. */
static size_t index_entry(const tg_op *op, int first, int i) {
    size_t at = 0;
    for (int k = first; k < i; k++) {
        const tg_type *t = op->operands[k].value->type;
        at += t->kind == TG_TY_SPAN ? 1 : t->rank;
    }
    return at;
}

static int rank_of(const tg_type *t) { return t->kind == TG_TY_SPAN ? 1 : t->rank; }

static int forward_access(const tg_op *op, int first, int i, int a) {
    int n = op->operands[0].value->type->rank;
    if (i < first || i >= first + n) { /* the value itself, or the mask */
        return i == 0 ? FORBIDDEN : a;
    }
    return listed(tg_attr_get(op, TG_ATTR_AXES), index_entry(op, first, i), a);
}

static int backward_access(const tg_op *op, int first, int i, int r) {
    int n = op->operands[0].value->type->rank;
    if (i == 0) {
        return WHOLE;
    }
    if (i < first || i >= first + n) {
        return r;
    }
    size_t at = index_entry(op, first, i);
    for (int a = 0; a < rank_of(op->operands[i].value->type); a++) {
        if (listed(tg_attr_get(op, TG_ATTR_AXES), at, a) == r) {
            return a;
        }
    }
    return WHOLE;
}

static int64_t leading(const tg_type *t, int axis) {
    int64_t n = 1;
    for (int a = 0; a < axis; a++) {
        n *= t->shape[a];
    }
    return n;
}

/* The axis of `to` that is axis a of `from` in a reshape. */
static int reshaped(const tg_type *from, const tg_type *to, int a) {
    for (int r = 0; r < to->rank; r++) {
        if (leading(to, r) == leading(from, a) && to->shape[r] == from->shape[a]) {
            return r;
        }
    }
    return FORBIDDEN;
}

/* Is operand i a mask of one axis beside operands of more? */
static bool is_line(const tg_op *op, int i) {
    return op->operands[i].value->type->rank < op->operands[0].value->type->rank;
}

static int forward_dot(const tg_op *op, int i, int a) {
    int batch = (int)tg_attr_int(op, TG_ATTR_BATCH, 0);
    if (i == 2 || a < batch) {
        return a;
    }
    return (i == 0 && a == batch) || (i == 1 && a == batch + 1) ? a : FORBIDDEN;
}

static int backward_dot(const tg_op *op, int i, int r) {
    int batch = (int)tg_attr_int(op, TG_ATTR_BATCH, 0);
    if (i == 2) {
        return r;
    }
    if (r < batch) {
        return i == 3 && op->operands[3].value->type->rank == 1 ? WHOLE : r;
    }
    return (i == 0 && r == batch) || (i == 1 && r == batch + 1) ? r : WHOLE;
}

static int forward_gather(const tg_op *op, int i, int a) {
    int k = (int)tg_attr_int(op, TG_ATTR_AXIS, 0), n = op->operands[1].value->type->rank;
    if (i == 1) {
        return k + a;
    }
    return a == k ? FORBIDDEN : a < k ? a : a - 1 + n;
}

static int backward_gather(const tg_op *op, int i, int r) {
    int k = (int)tg_attr_int(op, TG_ATTR_AXIS, 0), n = op->operands[1].value->type->rank;
    bool of_index = r >= k && r < k + n;
    if (i == 1) {
        return of_index ? r - k : WHOLE;
    }
    return of_index ? WHOLE : r < k ? r : r - n + 1;
}

static int forward_broadcast(const tg_op *op, int a) {
    return listed(tg_attr_get(op, TG_ATTR_AXES), 0, a);
}

static int backward_broadcast(const tg_op *op, int r) {
    const tg_type *x = op->operands[0].value->type;
    for (int a = 0; a < x->rank; a++) {
        if (forward_broadcast(op, a) == r) {
            return x->shape[a] == 1 ? WHOLE : a;
        }
    }
    return WHOLE;
}

static int permuted(const tg_op *op, int a) {
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    for (size_t r = 0; r < axes->n_list; r++) {
        if (axes->list[r] == a) {
            return (int)r;
        }
    }
    return FORBIDDEN;
}

static bool same_elements(const tg_op *op) {
    return (tg_op_info_get(op->code)->flags & TG_OPF_ELEMENTWISE) != 0 ||
           op->code == TG_OP_PRESENT || op->code == TG_OP_SPAN_MASK;
}

/* The pivot's axis that axis a of operand i becomes. */
static int forward(const tg_op *op, int i, int a) {
    int along = (int)tg_attr_int(op, TG_ATTR_AXIS, 0);
    const tg_type *x = op->operands[i].value->type, *to = pivot_type(op);
    if (same_elements(op)) {
        return a;
    }
    switch ((int)op->code) {
    case TG_OP_LOAD:
        return forward_access(op, 1, i, a);
    case TG_OP_STORE:
        return forward_access(op, 2, i, a);
    case TG_OP_BROADCAST:
        return forward_broadcast(op, a);
    case TG_OP_PERMUTE:
        return permuted(op, a);
    case TG_OP_RESHAPE:
        return reshaped(x, to, a);
    case TG_OP_SLICE:
        return x->shape[a] == to->shape[a] ? a : FORBIDDEN;
    case TG_OP_CONCAT:
        return a == along ? FORBIDDEN : a;
    case TG_OP_LOCAL_GATHER:
        return forward_gather(op, i, a);
    case TG_OP_REDUCE:
        return a == along || is_line(op, i) ? FORBIDDEN : a < along ? a : a - 1;
    case TG_OP_SCAN:
    case TG_OP_SORT:
    case TG_OP_TOPK:
        return a == along || is_line(op, i) ? FORBIDDEN : a;
    case TG_OP_DOT:
        return forward_dot(op, i, a);
    }
    return FORBIDDEN;
}

/* The axis of operand i that becomes the pivot's axis r; WHOLE: the operand does not have it. */
static int backward(const tg_op *op, int i, int r) {
    int along = (int)tg_attr_int(op, TG_ATTR_AXIS, 0);
    const tg_type *x = op->operands[i].value->type, *to = pivot_type(op);
    if (rank_of(x) == 0) {
        return WHOLE;
    }
    if (same_elements(op)) {
        return r;
    }
    switch ((int)op->code) {
    case TG_OP_LOAD:
        return backward_access(op, 1, i, r);
    case TG_OP_STORE:
        return backward_access(op, 2, i, r);
    case TG_OP_BROADCAST:
        return backward_broadcast(op, r);
    case TG_OP_PERMUTE:
        return (int)tg_attr_get(op, TG_ATTR_AXES)->list[r];
    case TG_OP_RESHAPE:
        return reshaped(to, x, r);
    case TG_OP_SLICE:
        return x->shape[r] == to->shape[r] ? r : FORBIDDEN;
    case TG_OP_CONCAT:
        return r == along ? FORBIDDEN : r;
    case TG_OP_LOCAL_GATHER:
        return backward_gather(op, i, r);
    case TG_OP_REDUCE:
        return is_line(op, i) ? WHOLE : r < along ? r : r + 1;
    case TG_OP_SCAN:
    case TG_OP_SORT:
    case TG_OP_TOPK:
        return r == along ? FORBIDDEN : is_line(op, i) ? WHOLE : r;
    case TG_OP_DOT:
        return backward_dot(op, i, r);
    }
    return FORBIDDEN;
}

/* ---- flow ----------------------------------------------------------------------------------- */

static bool is_source(const tg_op *op) {
    return op->code == TG_OP_CONST_INT || op->code == TG_OP_CONST_FLOAT || op->code == TG_OP_IOTA ||
           op->code == TG_OP_SPAN;
}

/* The pivot of op is cut along r: so are its results and what they are made from. */
static void from_pivot(cut *c, tg_op *op, int r) {
    for (int i = 0; i < op->n_results; i++) {
        mark(c, &op->results[i], r);
    }
    for (int i = 0; i < op->n_operands && !is_source(op) && !c->failed; i++) {
        mark(c, tg_operand(op, i), backward(op, i, r));
    }
}

/* Slot k of what a loop carries or an `if` gives: one axis at every place it has. */
static void mark_slot(cut *c, tg_op *op, int k, int axis) {
    if (k < 0) { /* a bound or condition */
        c->failed = true;
        return;
    }
    mark(c, &op->results[k], axis);
    if (op->code == TG_OP_FOR) {
        mark(c, tg_operand(op, 3 + k), axis);
        mark(c, op->regions[0]->args[1 + k], axis);
        mark(c, tg_operand(op->regions[0]->last, k), axis);
    } else if (op->code == TG_OP_WHILE) {
        mark(c, tg_operand(op, k), axis);
        mark(c, op->regions[0]->args[k], axis);
        mark(c, tg_operand(op->regions[0]->last, 1 + k), axis);
        mark(c, op->regions[1]->args[k], axis);
        mark(c, tg_operand(op->regions[1]->last, k), axis);
    } else {
        mark(c, tg_operand(op->regions[0]->last, k), axis);
        mark(c, tg_operand(op->regions[1]->last, k), axis);
    }
}

static bool is_control(const tg_op *op) {
    return op->code == TG_OP_FOR || op->code == TG_OP_WHILE || op->code == TG_OP_IF;
}

/* op uses a cut value as operand i. */
static void to_user(cut *c, tg_op *op, int i, int axis) {
    if (op->code == TG_OP_YIELD) {
        tg_op *around = op->parent->parent;
        bool test =
            around != NULL && around->code == TG_OP_WHILE && op->parent == around->regions[0];
        if (around == NULL || !is_control(around)) {
            c->failed = true;
            return;
        }
        mark_slot(c, around, test ? i - 1 : i, axis);
    } else if (is_control(op)) {
        mark_slot(c, op, op->code == TG_OP_FOR ? i - 3 : op->code == TG_OP_IF ? -1 : i, axis);
    } else {
        int r = forward(op, i, axis);
        c->failed |= r < 0;
        if (!c->failed) {
            from_pivot(c, op, r);
        }
    }
}

static void from_value(cut *c, tg_value *v) {
    int axis = c->axis[v->id];
    if (v->def != NULL && is_control(v->def)) {
        mark_slot(c, v->def, v->index, axis);
    } else if (v->def != NULL) {
        from_pivot(c, v->def, axis);
    } else if (v->region->parent == NULL) {
        c->failed = true;
    } else {
        const tg_op *around = v->region->parent;
        mark_slot(c, v->region->parent, around->code == TG_OP_FOR ? v->index - 1 : v->index, axis);
    }
    for (tg_use *u = v->uses; u != NULL && !c->failed; u = u->next) {
        to_user(c, u->user, (int)(u - u->user->operands), axis);
    }
}

/* ---- is all of it cut? ------------------------------------------------------------------------
 */

/* Everything that is stored is cut, everything that is read nobody writes. */
static bool effects_agree(const cut *c, const tg_region *r) {
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        for (int i = 0; i < op->n_regions; i++) {
            if (!effects_agree(c, op->regions[i])) {
                return false;
            }
        }
        bool whole = op->code == TG_OP_STORE && c->axis[tg_operand(op, 1)->id] == WHOLE;
        bool unstable = op->code == TG_OP_LOAD && !tg_load_is_stable(op);
        if (whole || unstable || op->code == TG_OP_ATOMIC || op->code == TG_OP_EXTERN) {
            return false;
        }
    }
    return true;
}

static bool try_axis(cut *c, tg_value *seed, int axis) {
    c->extent = seed->type->shape[axis];
    c->failed = false;
    c->queue.count = 0;
    for (uint32_t i = 0; i < c->f->next_value_id; i++) {
        c->axis[i] = WHOLE;
    }
    mark(c, seed, axis);
    for (size_t i = 0; i < c->queue.count && !c->failed; i++) {
        from_value(c, c->queue.data[i]);
    }
    return !c->failed && effects_agree(c, c->f->body);
}

/* ---- where to begin ------------------------------------------------------------------------- */

static void find_seed(tg_region *r, tg_opcode code, tg_value **best) {
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        tg_value *v = op->code != code          ? NULL
                      : op->code == TG_OP_STORE ? tg_operand(op, 1)
                                                : &op->results[0];
        if (v != NULL && v->type->rank > 0 &&
            (*best == NULL || tg_type_count(v->type) > tg_type_count((*best)->type))) {
            *best = v;
        }
        for (int i = 0; i < op->n_regions; i++) {
            find_seed(op->regions[i], code, best);
        }
    }
}

/* Constants and positions are made for each of their users, since one may be cut and another not.
 */
static void unshare(tg_region *r) {
    for (tg_op *op = r->first, *next; op != NULL; op = next) {
        next = op->next;
        for (int i = 0; i < op->n_regions; i++) {
            unshare(op->regions[i]);
        }
        bool splat = op->code == TG_OP_BROADCAST && tg_operand(op, 0)->type->rank == 0;
        if ((!is_source(op) && !splat) || rank_of(op->results[0].type) == 0) {
            continue;
        }
        while (op->results[0].uses != NULL && op->results[0].uses->next != NULL) {
            tg_use *u = op->results[0].uses;
            tg_value_map *map = tg_value_map_make(op->func->module->arena);
            tg_op *twin = tg_op_clone(op, op->parent, map);
            tg_op_unlink(twin);
            tg_op_insert_before(op, twin);
            tg_set_operand(u->user, (int)(u - u->user->operands), &twin->results[0]);
        }
    }
}

/* Cuts c->f into n parts; the axis of the seed in *out_axis. */
static bool find_cut(cut *c, int64_t n, bool asked, int64_t *out_axis) {
    tg_value *seed = NULL;
    unshare(c->f->body);
    c->axis = TG_NEW_ARRAY(c->arena, int, c->f->next_value_id + 1);
    find_seed(c->f->body, TG_OP_DOT, &seed);
    int first = seed != NULL ? seed->type->rank - 2 : 0;
    if (seed == NULL) {
        find_seed(c->f->body, TG_OP_STORE, &seed);
    }
    for (int k = 0; seed != NULL && k < seed->type->rank; k++) {
        int axis = (first + k) % seed->type->rank;
        int64_t extent = seed->type->shape[axis];
        if (extent % n == 0 && extent / n >= (asked ? 1 : LEAST_PART) && try_axis(c, seed, axis)) {
            *out_axis = axis;
            return true;
        }
    }
    return false;
}

/* ---- the program of one replica ---------------------------------------------------------------
 */

/* What `v` counts from, with the part's beginning added. */
static tg_value *begin_of_part(tg_placer *p, tg_builder *b, int64_t part) {
    return tg_build_binary(b, TG_OP_MUL, p->replica, tg_build_index(b, part));
}

static void shift_span(tg_placer *p, tg_op *span, int64_t part) {
    tg_builder b = tg_builder_before(span);
    b.span = span->span;
    tg_set_operand(span, 0,
                   tg_build_binary(&b, TG_OP_ADD, tg_operand(span, 0), begin_of_part(p, &b, part)));
}

static void shift_iota(tg_placer *p, tg_op *iota, int64_t part) {
    const tg_type *t = iota->results[0].type;
    tg_builder b = tg_place_after(&iota->results[0]);
    tg_value *from = tg_build_cast(&b, begin_of_part(p, &b, part), t->dtype);
    tg_value *tile = tg_build_splat_tile(&b, from, 1, t->shape);
    tg_value *operands[] = {&iota->results[0], tile};
    tg_op *sum = tg_build_op(&b, TG_OP_ADD, 2, operands, 1, &t, 0);
    tg_replace_all_uses(&iota->results[0], &sum->results[0]);
    tg_set_operand(sum, 0, &iota->results[0]);
}

static const tg_type *part_type(tg_module *m, const tg_type *t, int axis, int64_t part) {
    int64_t shape[TG_MAX_RANK];
    if (t->kind == TG_TY_SPAN) {
        return tg_type_span(m, part);
    }
    for (int a = 0; a < t->rank; a++) {
        shape[a] = a == axis ? part : t->shape[a];
    }
    return tg_type_tile(m, t->dtype, t->rank, shape);
}

static void apply(tg_placer *p, const cut *c, int64_t n) {
    int64_t part = c->extent / n;
    for (size_t i = 0; i < c->queue.count; i++) {
        tg_value *v = c->queue.data[i];
        v->type = part_type(p->m, v->type, c->axis[v->id], part);
    }
    for (size_t i = 0; i < c->queue.count; i++) {
        tg_op *def = c->queue.data[i]->def;
        if (def != NULL && def->code == TG_OP_SPAN) {
            shift_span(p, def, part);
        } else if (def != NULL && def->code == TG_OP_IOTA) {
            shift_iota(p, def, part);
        }
    }
}

/* ---- doors ---------------------------------------------------------------------------------- */

static int64_t wanted(const tg_func *f, const tg_machine *machine, bool *asked) {
    int64_t n = tg_place_schedule_int(f, "replicas", 0);
    *asked = n > 0;
    n = n > 0 ? n : tg_max_i64(1, machine->replicas);
    return tg_place_wants_roles(f, machine) ? tg_min_i64(n, 16) : 1;
}

int64_t tg_place_replicas(tg_func *kernel, const tg_machine *machine, tg_module *out,
                          tg_sink *sink) {
    bool asked;
    int64_t n = wanted(kernel, machine, &asked), axis;
    if (n <= 1) {
        return 1;
    }
    cut c = {.f = tg_place_clone(kernel, tg_module_make(out->arena)), .arena = out->arena};
    if (find_cut(&c, n, asked, &axis)) {
        return n;
    }
    if (asked) {
        tg_report(sink, TG_SEV_REMARK, TG_D_REPLICAS, kernel->span,
                  "one role computes all of %s: no axis of its tile falls into %lld independent "
                  "parts",
                  kernel->name, (long long)n);
    }
    return 1;
}

tg_status tg_place_split(tg_placer *p) {
    cut c = {.f = p->f, .arena = p->arena};
    int64_t n = p->replicas;
    p->replicas = 1;
    if (n <= 1 || !find_cut(&c, n, true, &p->split_axis)) {
        return TG_OK;
    }
    p->replicas = n;
    p->replica = tg_region_add_arg(p->f->body, tg_type_scalar(p->m, TG_DT_I64), "replica");
    apply(p, &c, n);
    return TG_OK;
}
