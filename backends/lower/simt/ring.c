/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Positions in rings. The copy of a ring (or the semaphore of an event) that a trip takes is its
 * slot modulo the ring's length. Where the slot counts the trips of the loop it stands in (the
 * loop's variable by its step, or a counter that it carries), the position is kept in a register
 * that goes round, instead of a division of 64 bits in each trip.
 */
#include "backends/lower/simt/simt.h"

/* v counts the trips of `loop`: *start is what it is in the first. Placed values. */
static bool counts_trips(tg_simt *S, const tg_op *loop, const tg_value *v, tg_value **start) {
    const tg_region *body = loop->regions[0];
    const tg_op *op = v->def;
    int64_t a, b;
    if (op != NULL && op->code == TG_OP_DIV && op->operands[0].value == body->args[0]) {
        const tg_value *by = op->operands[1].value, *step = loop->operands[2].value;
        bool whole =
            by == step || (tg_value_const_int(by, &a) && tg_value_const_int(step, &b) && a == b);
        tg_value *lo = ts_scalar(S, loop->operands[0].value);
        *start = lo;
        return whole && tg_value_const_int(by, &a) && a > 0 && tg_value_const_int(lo, &b) && b == 0;
    }
    for (int i = 0; op == NULL && i < loop->n_results; i++) {
        const tg_op *next = body->last->operands[i].value->def;
        if (v == body->args[1 + i] && next != NULL && next->code == TG_OP_ADD &&
            next->operands[0].value == v && tg_value_const_int(next->operands[1].value, &a) &&
            a == 1) {
            *start = ts_scalar(S, loop->operands[3 + i].value);
            return tg_value_const_int(*start, &b) && b == 0;
        }
    }
    return false;
}

static tg_value *number(tg_builder *b, int64_t v) {
    return tg_build_int(b, tg_type_scalar(b->module, TG_DT_I32), v);
}

static tg_value *array_of(tg_simt *S, ts_loop *loop, int64_t n) {
    for (size_t i = 0; i < loop->rings.count; i++) {
        if (loop->rings.data[i].n == n) {
            return loop->rings.data[i].array;
        }
    }
    ts_ring r = {.n = n, .array = ts_array(S, TG_DT_I32, 1, "ring")};
    tg_builder before = tg_builder_before(loop->made);
    (void)tg_build_astore(&before, r.array, number(&before, 0), number(&before, 0), 1);
    TG_LIST_PUSH(S->arena, &loop->rings, r);
    return r.array;
}

/* x + k of a ring's position, k below n. */
static tg_value *ahead(tg_builder *b, tg_value *x, int64_t k, int64_t n) {
    if (k == 0) {
        return x;
    }
    tg_value *v = ts_bin(b, TG_OP_ADD, x, k), *round = ts_bin(b, TG_OP_SUB, v, n);
    return tg_build_select(b, tg_build_cmp(b, TG_CMP_GE, v, number(b, n)), round, v);
}

tg_value *ts_ring_position(tg_simt *S, tg_builder *b, tg_value *slot, int64_t n) {
    int64_t k = 0;
    tg_value *v = slot, *start;
    if (v->def != NULL && v->def->code == TG_OP_ADD &&
        tg_value_const_int(v->def->operands[1].value, &k) && k >= 0) {
        v = v->def->operands[0].value;
    }
    ts_loop *loop = S->loop;
    bool counted = loop != NULL && n > 1 && counts_trips(S, loop->placed, v, &start);
    if (!counted) {
        return ts_i32(b, ts_bin(b, TG_OP_REM, ts_scalar(S, slot), n));
    }
    tg_value *at =
        tg_build_aload(b, tg_type_scalar(S->out, TG_DT_I32), array_of(S, loop, n), number(b, 0), 1);
    return ahead(b, at, k % n, n);
}

void ts_ring_step(tg_simt *S, const ts_loop *loop) {
    tg_builder *b = &S->b;
    for (size_t i = 0; i < loop->rings.count; i++) {
        const ts_ring *r = &loop->rings.data[i];
        tg_value *at =
            tg_build_aload(b, tg_type_scalar(S->out, TG_DT_I32), r->array, number(b, 0), 1);
        (void)tg_build_astore(b, r->array, number(b, 0), ahead(b, at, 1, r->n), 1);
    }
}
