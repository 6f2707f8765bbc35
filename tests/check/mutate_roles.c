/* SPDX-License-Identifier: Apache-2.0 */
/* Defects of roles and events; see mutate.h. */
#include "tests/check/mutate.h"

#include "ir/build.h"

static bool is_event(const tg_op *op) { return op->code == TG_OP_EVENT; }
static bool is_signal(const tg_op *op) { return op->code == TG_OP_SIGNAL; }
static bool is_await(const tg_op *op) { return op->code == TG_OP_AWAIT; }
static bool is_role(const tg_op *op) { return op->code == TG_OP_ROLE; }
static bool is_empty(const tg_op *op) {
    return is_event(op) && tg_attr_int(op, TG_ATTR_N_COUNT, 0) > 0;
}
/* A ring of more than one semaphore: slots can be mistaken. */
static bool has_slots(const tg_op *op) {
    return tg_attr_int(tg_operand(op, 0)->def, TG_ATTR_N, 1) > 1;
}
static bool is_slotted_signal(const tg_op *op) { return is_signal(op) && has_slots(op); }
static bool is_slotted_await(const tg_op *op) { return is_await(op) && has_slots(op); }
static bool in_loop(const tg_op *op) {
    return op->parent->parent != NULL && op->parent->parent->code == TG_OP_FOR;
}
static bool is_looped_signal(const tg_op *op) { return is_signal(op) && in_loop(op); }
static bool is_looped_await(const tg_op *op) { return is_await(op) && in_loop(op); }
/* A loop of a role in which events are awaited. */
static bool is_role_loop(const tg_op *op) {
    if (op->code != TG_OP_FOR) {
        return false;
    }
    for (const tg_op *o = op->regions[0]->first; o != NULL; o = o->next) {
        if (is_await(o)) {
            return true;
        }
    }
    return false;
}

/* The event after `of` among the function's events, round about. */
static tg_value *other_event(tg_func *f, const tg_value *of) {
    tg_op *first = NULL, *found = NULL;
    bool next = false;
    for (tg_op *op = f->body->first; op != NULL; op = op->next) {
        if (is_event(op)) {
            first = first == NULL ? op : first;
            found = next && found == NULL ? op : found;
            next |= op == of->def;
        }
    }
    found = found == NULL ? first : found;
    return found == NULL || found == of->def ? NULL : &found->results[0];
}

static bool other_handle(tg_func *f, op_test *test, uint64_t pick) {
    tg_op *op = pick_op(f, test, pick);
    tg_value *e = op != NULL ? other_event(f, tg_operand(op, 0)) : NULL;
    if (e == NULL) {
        return false;
    }
    tg_set_operand(op, 0, e);
    return true;
}

static bool signal_other(tg_func *f, uint64_t pick) { return other_handle(f, is_signal, pick); }
static bool await_other(tg_func *f, uint64_t pick) { return other_handle(f, is_await, pick); }

static bool shift_slot(tg_func *f, op_test *test, uint64_t pick) {
    tg_op *op = pick_op(f, test, pick);
    if (op == NULL) {
        return false;
    }
    nudge_operand(op, 1, TG_OP_ADD, 1);
    return true;
}

static bool signal_slot(tg_func *f, uint64_t pick) {
    return shift_slot(f, is_slotted_signal, pick);
}
static bool await_slot(tg_func *f, uint64_t pick) { return shift_slot(f, is_slotted_await, pick); }

/* Nothing is empty at the start, so nobody begins. */
static bool none_empty(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_empty, pick);
    if (op == NULL) {
        return false;
    }
    tg_op_set_int(op, TG_ATTR_N_COUNT, 0);
    return true;
}

static bool await_twice(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_await, pick);
    if (op == NULL) {
        return false;
    }
    tg_builder b = tg_builder_before(op);
    tg_value *args[2] = {tg_operand(op, 0), tg_operand(op, 1)};
    (void)tg_build_op(&b, TG_OP_AWAIT, 2, args, 0, NULL, 0);
    return true;
}

static bool longer_loop(tg_func *f, uint64_t pick, int operand, tg_opcode code) {
    tg_op *op = pick_op(f, is_role_loop, pick);
    int64_t step = 1;
    if (op == NULL) {
        return false;
    }
    (void)tg_value_const_int(tg_operand(op, 2), &step);
    nudge_operand(op, operand, code, step);
    return true;
}

static bool one_trip_more(tg_func *f, uint64_t pick) { return longer_loop(f, pick, 1, TG_OP_ADD); }

/* Every other trip alone. */
static bool wide_steps(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_role_loop, pick);
    int64_t step;
    if (op == NULL || !tg_value_const_int(tg_operand(op, 2), &step)) {
        return false;
    }
    tg_builder b = tg_builder_before(op);
    tg_set_operand(op, 2, tg_build_index(&b, 2 * step));
    return true;
}

/* After the loop, once. */
static bool signal_after_loop(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_looped_signal, pick);
    if (op == NULL) {
        return false;
    }
    tg_op *loop = op->parent->parent;
    tg_builder b = tg_builder_before(loop->next);
    tg_value *args[2] = {tg_operand(op, 0), tg_build_index(&b, 0)};
    (void)tg_build_op(&b, TG_OP_SIGNAL, 2, args, 0, NULL, 0);
    tg_builder in = tg_builder_before(op);
    if (op->n_operands > 2) {
        tg_value *token[1] = {tg_operand(op, 2)};
        (void)tg_build_op(&in, TG_OP_WAIT, 1, token, 0, NULL, 0);
    }
    tg_op_erase(op);
    return true;
}

/* Before the loop, once. */
static bool await_before_loop(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_looped_await, pick);
    if (op == NULL) {
        return false;
    }
    tg_builder b = tg_builder_before(op->parent->parent);
    tg_value *args[2] = {tg_operand(op, 0), tg_build_index(&b, 0)};
    (void)tg_build_op(&b, TG_OP_AWAIT, 2, args, 0, NULL, 0);
    tg_op_erase(op);
    return true;
}

static void guard(tg_op *op, tg_value *cond) {
    tg_builder b = tg_builder_before(op);
    tg_op *branch = tg_build_if(&b, cond, 0, NULL);
    tg_op_unlink(op);
    tg_op_append(b.region, op);
    tg_build_else(&b, branch, 0, NULL);
    tg_build_end_if(&b, branch, 0, NULL);
}

/* Not in the first trip. */
static bool not_at_first(tg_func *f, op_test *test, uint64_t pick) {
    tg_op *op = pick_op(f, test, pick);
    if (op == NULL) {
        return false;
    }
    const tg_op *loop = op->parent->parent;
    tg_builder b = tg_builder_before(op);
    guard(op, tg_build_cmp(&b, TG_CMP_GT, loop->regions[0]->args[0], tg_operand(loop, 0)));
    return true;
}

static bool late_signal(tg_func *f, uint64_t pick) {
    return not_at_first(f, is_looped_signal, pick);
}
static bool late_await(tg_func *f, uint64_t pick) { return not_at_first(f, is_looped_await, pick); }

static bool no_role(tg_func *f, uint64_t pick) { return erase_op(f, is_role, pick); }

/* The signal of a role's trip before its first await: nothing has been done yet. */
static bool is_plain_signal(const tg_op *op) { return is_looped_signal(op) && op->n_operands == 2; }

static bool early_signal(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_plain_signal, pick);
    tg_op *first = op != NULL ? op->parent->first : NULL;
    while (first != NULL && first != op && !is_await(first)) {
        first = first->next;
    }
    if (first == op) {
        return false;
    }
    tg_op_unlink(op);
    tg_op_insert_before(first, op);
    return true;
}

/* The last await of a trip: one before it may be implied by it. */
static bool is_last_await(const tg_op *op) {
    const tg_op *later = op->next;
    while (later != NULL && !is_await(later)) {
        later = later->next;
    }
    return is_looped_await(op) && later == NULL;
}

/* An await of a role at the end of its trip. */
static bool await_at_end(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_last_await, pick);
    if (op == NULL) {
        return false;
    }
    tg_op *last = op->parent->last;
    tg_op_unlink(op);
    tg_op_insert_before(last, op);
    return true;
}

/* Each of two roles awaits the other before it signals. */
static bool crossed(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_empty, pick);
    if (op == NULL) {
        return false;
    }
    for (tg_use *u = op->results[0].uses, *next; u != NULL; u = next) {
        next = u->next;
        tg_op *user = u->user;
        if (is_signal(user) && in_loop(user)) { /* with what it waits for at its start */
            tg_op_set_int(op, TG_ATTR_N_COUNT, 0);
            tg_builder b = tg_builder_before(user->parent->parent->next);
            tg_value *args[2] = {&op->results[0], tg_build_index(&b, 0)};
            (void)tg_build_op(&b, TG_OP_SIGNAL, 2, args, 0, NULL, 0);
            return true;
        }
    }
    return false;
}

const mutation role_mutations[] = {
    {"signal of another event", signal_other},
    {"await of another event", await_other},
    {"signal of another slot", signal_slot},
    {"await of another slot", await_slot},
    {"nothing empty at the start", none_empty},
    {"await twice", await_twice},
    {"role runs one trip more", one_trip_more},
    {"role runs every other trip", wide_steps},
    {"signal after the loop", signal_after_loop},
    {"await before the loop", await_before_loop},
    {"no signal in the first trip", late_signal},
    {"no await in the first trip", late_await},
    {"missing role", no_role},
    {"signal before the work", early_signal},
    {"await after the work", await_at_end},
    {"roles that await each other", crossed},
};
const int n_role_mutations = (int)TG_COUNT_OF(role_mutations);
