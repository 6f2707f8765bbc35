/* SPDX-License-Identifier: Apache-2.0 */
/* Defects of placed functions; see mutate.h. */
#include "tests/check/mutate.h"

#include <string.h>

#include "ir/build.h"

/* ---- places --------------------------------------------------------------------------------- */

static int visit(tg_region *r, op_test *test, int at, tg_op **out) {
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        if (test(op) && at-- == 0) {
            *out = op;
            return -1;
        }
        for (int k = 0; k < op->n_regions && at >= 0; k++) {
            at = visit(op->regions[k], test, at, out);
        }
        if (at < 0) {
            return -1;
        }
    }
    return at;
}

tg_op *pick_op(tg_func *f, op_test *test, uint64_t pick) {
    tg_op *op = NULL;
    int left = visit(f->body, test, INT32_MAX, &op);
    int n = INT32_MAX - left;
    if (n == 0) {
        return NULL;
    }
    (void)visit(f->body, test, (int)(pick % (uint64_t)n), &op);
    return op;
}

void nudge_operand(tg_op *op, int operand, tg_opcode code, int64_t by) {
    tg_builder b = tg_builder_before(op);
    tg_value *x = tg_operand(op, operand);
    tg_value *args[2] = {x, tg_build_int(&b, x->type, by)};
    tg_op *sum = tg_build_op(&b, code, 2, args, 1, &x->type, 0);
    tg_set_operand(op, operand, &sum->results[0]);
}

bool is_barrier(const tg_op *op) { return op->code == TG_OP_BARRIER; }
static bool is_wait(const tg_op *op) { return op->code == TG_OP_WAIT; }
static bool is_buffer(const tg_op *op) { return op->code == TG_OP_BUFFER; }
static bool is_put(const tg_op *op) { return op->code == TG_OP_PUT; }
static bool is_store(const tg_op *op) { return op->code == TG_OP_STORE; }
/* Not the first block of a pipeline, of which a tail is never asked for. */
static bool is_span(const tg_op *op) {
    const tg_use *u = op->n_results > 0 ? op->results[0].uses : NULL;
    return op->code == TG_OP_SPAN && u != NULL &&
           (op->parent->parent != NULL || u->user->code != TG_OP_COPY || u->next != NULL);
}
static bool is_for(const tg_op *op) { return op->code == TG_OP_FOR; }
static bool is_event(const tg_op *op) { return op->code == TG_OP_EVENT; }
/* One that says what is empty: more of them than places let the writer run ahead. */
static bool is_empty_event(const tg_op *op) {
    return is_event(op) && tg_attr_int(op, TG_ATTR_N_COUNT, 0) > 0;
}
static bool is_signal(const tg_op *op) { return op->code == TG_OP_SIGNAL; }
static bool is_await(const tg_op *op) { return op->code == TG_OP_AWAIT; }
static bool is_dot(const tg_op *op) { return op->code == TG_OP_DOT; }
static bool is_window(const tg_op *op) {
    return op->code == TG_OP_WINDOW && tg_attr_get(op, TG_ATTR_AXES) != NULL;
}
static bool is_reduce(const tg_op *op) {
    return op->code == TG_OP_REDUCE && tg_attr_int(op, TG_ATTR_RED, 0) <= TG_RED_MAX;
}
static bool is_exchange(const tg_op *op) { return tg_attr_int(op, TG_ATTR_EXCHANGE, 0) != 0; }
static bool is_ring_access(const tg_op *op) { return tg_attr_int(op, TG_ATTR_RING, 0) != 0; }
/* Accesses to buffers. */
static bool touches(const tg_op *op) {
    return op->code == TG_OP_PUT || op->code == TG_OP_GET || op->code == TG_OP_COPY ||
           op->code == TG_OP_DOT || op->code == TG_OP_TEAM || is_exchange(op);
}

static const tg_value *base_of(const tg_value *v) {
    while (v->def != NULL && v->def->code == TG_OP_WINDOW) {
        v = tg_operand(v->def, 0);
    }
    return v;
}

/* Both touch one buffer. */
static bool share_buffer(const tg_op *a, const tg_op *b) {
    for (int i = 0; i < a->n_operands; i++) {
        const tg_value *x = base_of(tg_operand(a, i));
        for (int k = 0; k < b->n_operands && x->type->kind == TG_TY_BUFFER; k++) {
            if (base_of(tg_operand(b, k)) == x) {
                return true;
            }
        }
    }
    return false;
}

static tg_op *next_access(const tg_op *op) {
    tg_op *at = op->next;
    while (at != NULL && !touches(at)) {
        at = at->next;
    }
    return at;
}

/* The access before a barrier, none between, whose buffer the next access touches too. */
static tg_op *guarded(const tg_op *barrier) {
    const tg_op *after = next_access(barrier);
    for (tg_op *at = barrier->prev; after != NULL && at != NULL && !is_barrier(at); at = at->prev) {
        if (touches(at) && share_buffer(at, after)) {
            return at;
        }
    }
    return NULL;
}

static bool guards(const tg_op *op) { return is_barrier(op) && guarded(op) != NULL; }

/* ---- order ---------------------------------------------------------------------------------- */

bool erase_op(tg_func *f, op_test *test, uint64_t pick) {
    tg_op *op = pick_op(f, test, pick);
    if (op != NULL) {
        tg_op_erase(op);
    }
    return op != NULL;
}

bool drop_barrier(tg_func *f, uint64_t pick) { return erase_op(f, is_barrier, pick); }
static bool drop_wait(tg_func *f, uint64_t pick) { return erase_op(f, is_wait, pick); }
static bool drop_put(tg_func *f, uint64_t pick) { return erase_op(f, is_put, pick); }
static bool drop_store(tg_func *f, uint64_t pick) { return erase_op(f, is_store, pick); }
static bool drop_signal(tg_func *f, uint64_t pick) { return erase_op(f, is_signal, pick); }
static bool drop_await(tg_func *f, uint64_t pick) { return erase_op(f, is_await, pick); }

/* Behind the access that it stood in front of. */
static bool move_down(tg_op *op) {
    tg_op *at = op != NULL ? next_access(op) : NULL;
    if (at == NULL || at->next == NULL) {
        return false;
    }
    tg_op_unlink(op);
    tg_op_insert_before(at->next, op);
    return true;
}

static bool late_barrier(tg_func *f, uint64_t pick) { return move_down(pick_op(f, guards, pick)); }

/* `at` wants what the copy brings; a copy to a ring fills another copy of it. */
static bool wants(const tg_op *at, const tg_op *copy) {
    return at != NULL && !(at->code == TG_OP_COPY && is_ring_access(at)) && share_buffer(copy, at);
}

/* One of the next two accesses does. */
static bool is_hurried(const tg_op *op) {
    const tg_op *copy = is_wait(op) ? tg_operand(op, 0)->def : NULL;
    const tg_op *next = copy != NULL ? next_access(op) : NULL, *then = NULL;
    then = next != NULL ? next_access(next) : NULL;
    return copy != NULL && (wants(next, copy) || wants(then, copy));
}

static bool late_wait(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_hurried, pick);
    bool moved = move_down(op);
    (void)(moved && move_down(op));
    return moved;
}

static bool hoist_barrier(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, guards, pick);
    if (op == NULL) {
        return false;
    }
    tg_op *at = guarded(op);
    tg_op_unlink(op);
    tg_op_insert_before(at, op);
    return true;
}

bool wrong_fence(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_barrier, pick);
    if (op == NULL) {
        return false;
    }
    bool global = tg_attr_int(op, TG_ATTR_FENCE, TG_FENCE_ALL) == TG_FENCE_GLOBAL;
    tg_op_set_int(op, TG_ATTR_FENCE, global ? TG_FENCE_SHARED : TG_FENCE_GLOBAL);
    return true;
}

static bool half_barrier(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_barrier, pick);
    if (op == NULL) {
        return false;
    }
    tg_op_set_int(op, TG_ATTR_N, tg_attr_int(op, TG_ATTR_N, f->lanes) / 2);
    return true;
}

/* The slot is computed: that replicas swap what is their own is no defect. */
static bool is_slotted(const tg_op *op) {
    return is_ring_access(op) && tg_operand(op, 1)->region == NULL;
}

static bool wrong_slot(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_slotted, pick);
    if (op == NULL) {
        return false;
    }
    nudge_operand(op, 1, TG_OP_ADD, 1);
    return true;
}

/* No later await of a trip implies what awaits of this event do. */
static bool is_binding_event(const tg_op *op) {
    if (!is_event(op) || is_empty_event(op)) {
        return is_event(op);
    }
    for (const tg_use *u = op->results[0].uses; u != NULL; u = u->next) {
        for (const tg_op *o = u->user->next; is_await(u->user) && o != NULL; o = o->next) {
            if (is_await(o)) {
                return false;
            }
        }
    }
    return true;
}

static bool event_count(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_binding_event, pick);
    if (op == NULL) {
        return false;
    }
    tg_op_set_int(op, TG_ATTR_N_COUNT, tg_attr_int(op, TG_ATTR_N_COUNT, 0) + 1);
    return true;
}

static bool event_ring(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_empty_event, pick);
    if (op == NULL) {
        return false;
    }
    tg_op_set_int(op, TG_ATTR_N, tg_attr_int(op, TG_ATTR_N, 0) + 1);
    return true;
}

static bool double_signal(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_signal, pick);
    if (op == NULL) {
        return false;
    }
    tg_builder b = tg_builder_before(op);
    tg_value *args[2] = {tg_operand(op, 0), tg_operand(op, 1)};
    (void)tg_build_op(&b, TG_OP_SIGNAL, 2, args, 0, NULL, 0);
    return true;
}

/* ---- memory --------------------------------------------------------------------------------- */

static bool overlap(tg_func *f, uint64_t pick) {
    tg_op *a = pick_op(f, is_buffer, pick), *b = pick_op(f, is_buffer, pick + 1);
    if (a == NULL || a == b ||
        tg_attr_int(a, TG_ATTR_OFFSET, 0) == tg_attr_int(b, TG_ATTR_OFFSET, 0)) {
        return false;
    }
    tg_op_set_int(a, TG_ATTR_OFFSET, tg_attr_int(b, TG_ATTR_OFFSET, 0));
    return true;
}

static bool move_buffer(tg_func *f, uint64_t pick, int64_t by) {
    tg_op *op = pick_op(f, is_buffer, pick);
    if (op == NULL) {
        return false;
    }
    tg_op_set_int(op, TG_ATTR_OFFSET, tg_attr_int(op, TG_ATTR_OFFSET, 0) + by);
    return true;
}

static bool misalign(tg_func *f, uint64_t pick) { return move_buffer(f, pick, 2); }
static bool beyond(tg_func *f, uint64_t pick) { return move_buffer(f, pick, f->shared_bytes); }

static bool capacity(tg_func *f, uint64_t pick) {
    (void)pick;
    f->shared_bytes += INT64_C(1) << 20;
    return true;
}

static bool small_function(tg_func *f, uint64_t pick) {
    (void)pick;
    f->shared_bytes -= 4;
    return f->shared_bytes > 0;
}

static void retype(tg_op *op, const tg_layout *l) {
    op->results[0].type = tg_type_with_layout(op->func->module, op->results[0].type, l);
}

static bool is_matrix_buffer(const tg_op *op) {
    return is_buffer(op) && op->results[0].type->rank == 2 && op->results[0].type->shape[0] > 1 &&
           op->results[0].type->shape[1] > 2;
}

static tg_layout rows(const tg_type *t, int64_t pitch) {
    tg_layout l;
    memset(&l, 0, sizeof l);
    l.rank = 2;
    l.n_modes = 2;
    l.modes[0] = (tg_layout_mode){1, TG_RES_MEM, t->shape[1], 1, 1};
    l.modes[1] = (tg_layout_mode){0, TG_RES_MEM, t->shape[0], 1, pitch};
    return l;
}

/* Rows closer than they are long. */
static bool short_rows(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_matrix_buffer, pick);
    if (op == NULL) {
        return false;
    }
    tg_layout l = rows(op->results[0].type, op->results[0].type->shape[1] - 1);
    retype(op, tg_layout_intern(f->module, &l));
    return true;
}

/* Chunks of a row swapped beyond its end. */
static bool wrong_swizzle(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_matrix_buffer, pick);
    if (op == NULL) {
        return false;
    }
    tg_layout l = rows(op->results[0].type, op->results[0].type->shape[1]);
    l.xor_q = 1;
    l.xor_g = 4;
    l.xor_chunk = op->results[0].type->shape[1] / 2;
    retype(op, tg_layout_intern(f->module, &l));
    return true;
}

static bool shift_window(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_window, pick);
    int64_t offsets[TG_MAX_RANK] = {0};
    if (op == NULL) {
        return false;
    }
    const tg_type *t = tg_operand(op, 0)->type;
    const tg_attr *old = tg_attr_get(op, TG_ATTR_OFFSETS);
    for (int a = 0; a < t->rank; a++) {
        offsets[a] = (old != NULL ? old->list[a] : 0) + (a == t->rank - 1);
    }
    tg_op_set_list(op, TG_ATTR_OFFSETS, offsets, t->rank);
    return true;
}

/* A reduction's parts do not fit. */
static bool small_exchange(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_exchange, pick);
    if (op == NULL) {
        return false;
    }
    tg_value *buf = tg_operand(op, op->n_operands - 1);
    const tg_type *t = buf->type;
    const int64_t one[TG_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    buf->type = tg_type_buffer(f->module, t->space, t->dtype, t->rank, one, 1, NULL);
    return true;
}

/* ---- layouts -------------------------------------------------------------------------------- */

static bool is_held(const tg_op *op) {
    return op->n_results == 1 && op->results[0].type->kind == TG_TY_TILE &&
           op->results[0].type->layout != NULL && op->n_regions == 0 &&
           tg_value_is_used(&op->results[0]);
}

/* Something elementwise, or a broadcast, reads it in place. */
static bool read_in_place(const tg_op *op) {
    for (const tg_use *u = op->results[0].uses; u != NULL; u = u->next) {
        if (u->user->code == TG_OP_BROADCAST ||
            (tg_op_info_get(u->user->code)->flags & TG_OPF_ELEMENTWISE) != 0) {
            return true;
        }
    }
    return false;
}

static bool is_read_in_place(const tg_op *op) { return is_held(op) && read_in_place(op); }

static bool other_layout(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_read_in_place, pick);
    if (op == NULL) {
        return false;
    }
    const tg_type *t = op->results[0].type;
    const tg_layout *l = tg_layout_everywhere(f->module, t->rank, t->shape, f->lanes);
    l = l == t->layout ? tg_layout_blocked(f->module, t->rank, t->shape, f->lanes, 1) : l;
    retype(op, l);
    return true;
}

/* A lane digit with extent above 1. */
static int lane_digit(const tg_layout *l, bool replica) {
    for (int i = 0; i < l->n_modes; i++) {
        if (l->modes[i].resource == TG_RES_LANE && l->modes[i].extent > 1 &&
            (l->modes[i].axis < 0) == replica) {
            return i;
        }
    }
    return -1;
}

static bool is_spread(const tg_op *op) {
    return is_held(op) && lane_digit(op->results[0].type->layout, false) >= 0;
}

static bool has_replica(const tg_op *op) {
    return is_held(op) && lane_digit(op->results[0].type->layout, true) >= 0 && read_in_place(op);
}

static bool wrong_stride(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_spread, pick);
    if (op == NULL) {
        return false;
    }
    tg_layout l = *op->results[0].type->layout;
    l.modes[lane_digit(&l, false)].stride += 1;
    retype(op, tg_layout_intern(f->module, &l));
    return true;
}

/* A tile of one element that becomes a scalar, which every lane must know. */
static bool makes_scalar(const tg_op *op) {
    return op->n_results == 1 && is_held(op) &&
           lane_digit(op->results[0].type->layout, true) >= 0 &&
           tg_type_count(op->results[0].type) == 1 && op->results[0].uses != NULL &&
           op->results[0].uses->user->code == TG_OP_RESHAPE &&
           op->results[0].uses->user->results[0].type->rank == 0;
}

/* The lanes of a replica hold it no longer. */
static bool narrow(tg_func *f, tg_op *op) {
    if (op == NULL) {
        return false;
    }
    tg_layout l = *op->results[0].type->layout;
    l.modes[lane_digit(&l, true)].extent = 1;
    retype(op, tg_layout_intern(f->module, &l));
    return true;
}

static bool lost_replica(tg_func *f, uint64_t pick) {
    return narrow(f, pick_op(f, has_replica, pick));
}

static bool scalar_of_one_lane(tg_func *f, uint64_t pick) {
    return narrow(f, pick_op(f, makes_scalar, pick));
}

/* ---- meaning -------------------------------------------------------------------------------- */

static bool ordered(const tg_op *op) {
    return op->code == TG_OP_SUB ||
           (op->code == TG_OP_CMP && tg_attr_int(op, TG_ATTR_PRED, 0) >= TG_CMP_LT &&
            tg_operand(op, 0)->type->rank > 0) ||
           (op->code == TG_OP_DOT && tg_operand(op, 0)->type == tg_operand(op, 1)->type);
}

static bool swap_operands(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, ordered, pick);
    if (op == NULL) {
        return false;
    }
    tg_value *a = tg_operand(op, 0), *b = tg_operand(op, 1);
    tg_set_operand(op, 0, b);
    tg_set_operand(op, 1, a);
    return true;
}

static bool is_select(const tg_op *op) { return op->code == TG_OP_SELECT; }

static bool swap_select(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_select, pick);
    if (op == NULL) {
        return false;
    }
    tg_value *a = tg_operand(op, 1), *b = tg_operand(op, 2);
    tg_set_operand(op, 1, b);
    tg_set_operand(op, 2, a);
    return true;
}

/* A constant of ones in place of the mask. */
static bool is_masked(const tg_op *op) {
    return tg_attr_int(op, TG_ATTR_MASKED, 0) != 0 && op->code == TG_OP_REDUCE &&
           tg_attr_int(op, TG_ATTR_RED, 0) == TG_RED_SUM;
}

static int mask_of(const tg_op *op) {
    int at = op->n_operands - 1;
    while (at > 0 && tg_operand(op, at)->type->kind == TG_TY_BUFFER) {
        at--;
    }
    return at;
}

static bool dropped_mask(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_masked, pick);
    if (op == NULL) {
        return false;
    }
    tg_builder b = tg_builder_before(op);
    int at = mask_of(op);
    tg_set_operand(op, at, tg_build_int(&b, tg_operand(op, at)->type, 1));
    return true;
}

/* One element of a mask's end too few. */
static bool short_span(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_span, pick);
    if (op == NULL) {
        return false;
    }
    nudge_operand(op, 1, TG_OP_SUB, 1);
    return true;
}

static bool late_span(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_span, pick);
    if (op == NULL) {
        return false;
    }
    nudge_operand(op, 0, TG_OP_ADD, 1);
    return true;
}

/* The tail of a loop is lost. */
static bool lost_tail(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_for, pick);
    int64_t step = 1;
    if (op == NULL) {
        return false;
    }
    (void)tg_value_const_int(tg_operand(op, 2), &step);
    nudge_operand(op, 1, TG_OP_SUB, step);
    return true;
}

static bool late_start(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_for, pick);
    int64_t step = 1;
    if (op == NULL) {
        return false;
    }
    (void)tg_value_const_int(tg_operand(op, 2), &step);
    nudge_operand(op, 0, TG_OP_ADD, step);
    return true;
}

static bool wrong_reduce(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_reduce, pick);
    if (op == NULL) {
        return false;
    }
    bool sum = tg_attr_int(op, TG_ATTR_RED, 0) == TG_RED_SUM;
    tg_op_set_int(op, TG_ATTR_RED, sum ? TG_RED_MAX : TG_RED_SUM);
    return true;
}

/* What a loop or a product starts from. */
static bool is_zero(const tg_op *op) {
    bool starts = false;
    for (const tg_use *u = op->n_results == 1 ? op->results[0].uses : NULL; u != NULL;
         u = u->next) {
        starts |= u->user->code == TG_OP_FOR || u->user->code == TG_OP_DOT;
    }
    return starts && op->code == TG_OP_CONST_FLOAT && op->results[0].type->rank > 0 &&
           tg_attr_float(op, TG_ATTR_VALUE_F, 1) == 0.0;
}

static bool wrong_start(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_zero, pick);
    if (op == NULL) {
        return false;
    }
    tg_op_set_float(op, TG_ATTR_VALUE_F, 0.5);
    return true;
}

/* The accumulator of the trip before is forgotten. */
static bool lost_carry(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_dot, pick);
    if (op == NULL || tg_operand(op, 2)->region == NULL ||
        tg_operand(op, 2)->region->parent == NULL) {
        return false;
    }
    tg_builder b = tg_builder_before(op);
    tg_set_operand(op, 2, tg_build_float(&b, tg_operand(op, 2)->type, 0));
    return true;
}

const mutation placed_mutations[] = {
    {"dropped barrier", drop_barrier},
    {"hoisted barrier", hoist_barrier},
    {"late barrier", late_barrier},
    {"wrong fence", wrong_fence},
    {"barrier of half the lanes", half_barrier},
    {"missing wait", drop_wait},
    {"late wait", late_wait},
    {"wrong slot", wrong_slot},
    {"event count off by one", event_count},
    {"event ring off by one", event_ring},
    {"double signal", double_signal},
    {"missing signal", drop_signal},
    {"missing await", drop_await},
    {"overlapping offsets", overlap},
    {"misaligned offset", misalign},
    {"buffer beyond the end", beyond},
    {"capacity overflow", capacity},
    {"function too small", small_function},
    {"row pitch too short", short_rows},
    {"wrong swizzle", wrong_swizzle},
    {"shifted window", shift_window},
    {"exchange too small", small_exchange},
    {"wrong layout", other_layout},
    {"wrong layout stride", wrong_stride},
    {"lost replica", lost_replica},
    {"scalar of one lane", scalar_of_one_lane},
    {"swapped operands", swap_operands},
    {"swapped select", swap_select},
    {"dropped mask", dropped_mask},
    {"short mask", short_span},
    {"span off by one", late_span},
    {"K tail lost", lost_tail},
    {"first trip lost", late_start},
    {"wrong reduction", wrong_reduce},
    {"wrong initial value", wrong_start},
    {"accumulator lost", lost_carry},
    {"missing put", drop_put},
    {"missing store", drop_store},
};
const int n_placed_mutations = (int)TG_COUNT_OF(placed_mutations);
