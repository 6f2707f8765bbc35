/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Positions in rings. The copy of a ring (or the semaphore of an event) that a trip takes is its
 * slot modulo the ring's length. Where the slot counts the trips of the loop it stands in (the
 * loop's variable by its step, or a counter that it carries), the position is kept in a register
 * that goes round, instead of a division of 64 bits in each trip; in a ring of a power of two the
 * number of the trip says it. How often it has gone round, by
 * twos, is the parity of the phase that a semaphore of the ring is in.
 */
#include "backends/lower/simt/simt.h"

bool ts_counts_trips(const tg_op *loop, const tg_value *v) {
    const tg_region *body = loop->regions[0];
    const tg_op *op = v->def;
    const tg_value *lo = loop->operands[0].value;
    int64_t a, b;
    if (op != NULL && op->code == TG_OP_DIV) {
        const tg_value *by = op->operands[1].value, *step = loop->operands[2].value;
        const tg_value *from = op->operands[0].value;
        const tg_op *sub = from->def;
        bool start = from == body->args[0] && tg_value_const_int(lo, &b) && b == 0;
        start |= sub != NULL && sub->code == TG_OP_SUB && sub->operands[0].value == body->args[0] &&
                 sub->operands[1].value == lo;
        bool whole =
            by == step || (tg_value_const_int(by, &a) && tg_value_const_int(step, &b) && a == b);
        return start && whole && tg_value_const_int(by, &a) && a > 0;
    }
    for (int i = 0; op == NULL && i < loop->n_results; i++) {
        const tg_op *next = body->last->operands[i].value->def;
        if (v == body->args[1 + i] && next != NULL && next->code == TG_OP_ADD &&
            next->operands[0].value == v && tg_value_const_int(next->operands[1].value, &a) &&
            a == 1) {
            return tg_value_const_int(loop->operands[3 + i].value, &b) && b == 0;
        }
    }
    return false;
}

bool ts_entered_once(const tg_op *loop) {
    const tg_op *around = loop->parent->parent;
    while (around != NULL && around->code == TG_OP_IF) {
        around = around->parent->parent;
    }
    return around != NULL && around->code == TG_OP_ROLE;
}

static tg_value *number(tg_builder *b, int64_t v) {
    return tg_build_int(b, tg_type_scalar(b->module, TG_DT_I32), v);
}

/* An array of one that is 0 when the loop begins. */
static tg_value *register_of(tg_simt *S, const ts_loop *loop, const char *name) {
    tg_value *array = ts_array(S, TG_DT_I32, 1, name);
    tg_builder before = tg_builder_before(loop->made);
    (void)tg_build_astore(&before, array, number(&before, 0), number(&before, 0), 1);
    return array;
}

static ts_ring *ring_of(tg_simt *S, ts_loop *loop, int64_t n) {
    for (size_t i = 0; i < loop->rings.count; i++) {
        if (loop->rings.data[i].n == n) {
            return &loop->rings.data[i];
        }
    }
    ts_ring r = {.n = n, .array = register_of(S, loop, "ring")};
    TG_LIST_PUSH(S->arena, &loop->rings, r);
    return &loop->rings.data[loop->rings.count - 1];
}

static tg_value *read(tg_builder *b, tg_value *array) {
    return tg_build_aload(b, tg_type_scalar(b->module, TG_DT_I32), array, number(b, 0), 1);
}

/* x + k of a ring's position, k below n. */
static tg_value *ahead(tg_builder *b, tg_value *x, int64_t k, int64_t n) {
    if (k == 0) {
        return x;
    }
    tg_value *v = ts_bin(b, TG_OP_ADD, x, k), *round = ts_bin(b, TG_OP_SUB, v, n);
    return tg_build_select(b, tg_build_cmp(b, TG_CMP_GE, v, number(b, n)), round, v);
}

/* i32 number of the trip, where that says all of a ring of n. */
static tg_value *trip_of(tg_builder *b, const ts_loop *loop, int64_t n) {
    return loop->trip != NULL && (n & (n - 1)) == 0 ? ts_i32(b, loop->trip) : NULL;
}

tg_value *ts_ring_position(tg_simt *S, tg_builder *b, tg_value *slot, int64_t n) {
    int64_t k = 0;
    tg_value *v = slot;
    if (v->def != NULL && v->def->code == TG_OP_ADD &&
        tg_value_const_int(v->def->operands[1].value, &k) && k >= 0) {
        v = v->def->operands[0].value;
    }
    ts_loop *loop = S->loop;
    if (loop == NULL || n == 1 || !ts_counts_trips(loop->placed, v)) {
        return ts_i32(b, ts_bin(b, TG_OP_REM, ts_scalar(S, slot), n));
    }
    tg_value *trip = trip_of(b, loop, n);
    return ahead(
        b, trip != NULL ? ts_bin(b, TG_OP_AND, trip, n - 1) : read(b, ring_of(S, loop, n)->array),
        k % n, n);
}

tg_value *ts_ring_round(tg_simt *S, const tg_op *op, tg_value *slot, int64_t n) {
    ts_loop *loop = S->loop;
    if (loop == NULL || n == 1 || op->parent != loop->placed->regions[0] ||
        !ts_entered_once(loop->placed) || !ts_counts_trips(loop->placed, slot)) {
        return NULL;
    }
    tg_value *trip = trip_of(&S->b, loop, n);
    if (trip != NULL) {
        return ts_bin(&S->b, TG_OP_AND,
                      ts_bin(&S->b, TG_OP_SHR, trip, __builtin_ctzll((unsigned long long)n)), 1);
    }
    ts_ring *r = ring_of(S, loop, n);
    if (r->round == NULL) {
        r->round = register_of(S, loop, "round");
    }
    return read(&S->b, r->round);
}

void ts_ring_step(tg_simt *S, const ts_loop *loop) {
    tg_builder *b = &S->b;
    tg_value *zero = number(b, 0);
    for (size_t i = 0; i < loop->rings.count; i++) {
        const ts_ring *r = &loop->rings.data[i];
        tg_value *next = ts_bin(b, TG_OP_ADD, read(b, r->array), 1);
        tg_value *again = tg_build_cmp(b, TG_CMP_EQ, next, number(b, r->n));
        (void)tg_build_astore(b, r->array, zero, tg_build_select(b, again, zero, next), 1);
        if (r->round != NULL) {
            tg_value *round = read(b, r->round), *turned = ts_bin(b, TG_OP_XOR, round, 1);
            (void)tg_build_astore(b, r->round, zero, tg_build_select(b, again, turned, round), 1);
        }
    }
}
