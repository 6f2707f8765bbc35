/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loops for drivers that end them: some give all loops of a lane one budget of trips and leave
 * every loop silently when it is used up (TG_QUIRK_SHORT_LOOPS; Mesa's llvmpipe: 65,535). There the
 * bodies of short innermost loops are repeated so that the budget lasts longer, and behind each
 * loop the code looks whether it ended by itself; one that did not is a trap, never a wrong result.
 *
 * A `for` shows it by its index, which is still below the end. A `while` has a word of shared
 * memory a lane: 1 before the loop, 0 on the way out of it. The compiler of the driver must not see
 * that the way out is the only way there: hence a difference instead of the loop's own test, and
 * volatile accesses.
 */
#include "backends/spirv/spirv.h"

enum { LANE = 2 }; /* argument of a simt function */
/* Drivers compile slowly: what repeating may add to a loop and to a function is bounded. */
enum { MAX_COPIES = 8, OPS_OF_COPIES = 64, OPS_OF_FUNCTION = 512 };

static bool short_loops(const tg_spv *s) {
    return (s->machine->quirks & TG_QUIRK_SHORT_LOOPS) != 0;
}

/* How often the body of a loop is repeated: long ones and loops around loops only once. */
int tg_spv_copies(tg_spv *s, const tg_op *op) {
    int n = 0;
    if (!short_loops(s)) {
        return 1;
    }
    for (const tg_op *in = op->regions[0]->first; in; in = in->next) {
        if (in->n_regions > 0 && in->code != TG_OP_IF) {
            return 1;
        }
        for (int r = 0; r < in->n_regions; r++) {
            for (const tg_op *deep = in->regions[r]->first; deep; deep = deep->next, n++) {
                if (deep->n_regions > 0) {
                    return 1;
                }
            }
        }
        n++;
    }
    int copies = OPS_OF_COPIES / (n + 4);
    copies = copies < 1 ? 1 : copies > MAX_COPIES ? MAX_COPIES : copies;
    if (s->copied + (copies - 1) * n > OPS_OF_FUNCTION) {
        return 1;
    }
    s->copied += (copies - 1) * n;
    return copies;
}

void tg_spv_for_ended(tg_spv *s, const tg_op *op, uint32_t iv) {
    if (short_loops(s)) {
        uint32_t i64 = tg_spv_type_int(s, 64);
        uint32_t left = TG_SPV_VALUE(s, SpvOpISub, i64, tg_spv_operand(s, op, 1).id[0], iv);
        uint32_t cut =
            TG_SPV_VALUE(s, SpvOpSLessThan, tg_spv_type_bool(s), tg_spv_const(s, 64, 0), left);
        tg_spv_trap_if(s, cut, op->span, TG_CPU_TRAP_LOOP);
    }
}

/* ---- the words of `while` ----------------------------------------------------------------------
 */

/* This lane's word; the array of a function is made with its first `while`. */
static uint32_t mark(tg_spv *s) {
    uint32_t i32 = tg_spv_type_int(s, 32);
    if (!s->marks) {
        uint32_t lanes = s->func->lanes > 0 ? (uint32_t)s->func->lanes : 1;
        s->marks = tg_spv_global(s, SpvStorageClassWorkgroup, tg_spv_type_array(s, i32, lanes));
        tg_spv_interface(s, s->marks, SpvStorageClassWorkgroup);
    }
    uint32_t pointer = tg_spv_type_pointer(s, SpvStorageClassWorkgroup, i32);
    return TG_SPV_VALUE(s, SpvOpAccessChain, pointer, s->marks,
                        tg_spv_get(s, s->func->body->args[LANE]).id[0]);
}

static void put(tg_spv *s, uint64_t v) {
    uint32_t at = mark(s);
    TG_SPV(s, TG_SPV_BODY, SpvOpStore, at, tg_spv_const(s, 32, v), SpvMemoryAccessVolatileMask);
}

void tg_spv_while_begins(tg_spv *s) {
    if (short_loops(s)) {
        put(s, 1);
    }
}

uint32_t tg_spv_while_leaves(tg_spv *s, uint32_t exit) {
    if (!short_loops(s)) {
        return exit;
    }
    return tg_spv_id(s);
}

void tg_spv_while_way_out(tg_spv *s, uint32_t way_out, uint32_t exit) {
    if (way_out != exit) {
        tg_spv_label(s, way_out);
        put(s, 0);
        tg_spv_branch(s, exit);
    }
}

static bool in_while(const tg_op *op) {
    for (const tg_op *up = op->parent->parent; up; up = up->parent->parent) {
        if (up->code == TG_OP_WHILE) {
            return true;
        }
    }
    return false;
}

void tg_spv_while_ended(tg_spv *s, const tg_op *op) {
    if (!short_loops(s)) {
        return;
    }
    uint32_t i32 = tg_spv_type_int(s, 32);
    uint32_t left = TG_SPV_VALUE(s, SpvOpLoad, i32, mark(s), SpvMemoryAccessVolatileMask);
    uint32_t zero = tg_spv_const(s, 32, 0);
    tg_spv_trap_if(s, TG_SPV_VALUE(s, SpvOpINotEqual, tg_spv_type_bool(s), left, zero), op->span,
                   TG_CPU_TRAP_LOOP);
    if (in_while(op)) {
        put(s, 1); /* the outer one's again */
    }
}
