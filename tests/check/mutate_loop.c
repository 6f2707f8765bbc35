/* SPDX-License-Identifier: Apache-2.0 */
/* Defects of SIMT loop functions; see mutate.h. */
#include "ir/build.h"
#include "tests/check/mutate.h"

/* Operations that a run of the correct code reached are marked by their scratch. */
static bool is_store(const tg_op *op) { return op->code == TG_OP_STOREM && op->scratch != NULL; }
static bool is_shared_access(const tg_op *op) {
    return (op->code == TG_OP_ALOAD || op->code == TG_OP_ASTORE) && op->scratch != NULL &&
           tg_operand(op, 0)->type->space == TG_SPACE_SHARED;
}
static bool is_shared_store(const tg_op *op) {
    return is_shared_access(op) && op->code == TG_OP_ASTORE;
}
static bool is_shared_array(const tg_op *op) {
    return op->code == TG_OP_ARRAY && op->results[0].type->space == TG_SPACE_SHARED;
}
static bool is_memory(const tg_op *op) {
    return (op->code == TG_OP_LOADM || op->code == TG_OP_STOREM) && op->scratch != NULL;
}

/* An `if` around a store: its guard against what lies beyond. */
static bool is_guard(const tg_op *op) {
    if (op->code != TG_OP_IF || op->n_results > 0) {
        return false;
    }
    for (const tg_op *in = op->regions[0]->first; in != NULL; in = in->next) {
        if (is_store(in)) {
            return true;
        }
    }
    return false;
}

/* Only the first half of the lanes comes to the barrier. */
static bool divergent_barrier(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_barrier, pick);
    if (op == NULL) {
        return false;
    }
    tg_builder b = tg_builder_before(op);
    tg_value *lane = f->body->args[2];
    tg_value *half = tg_build_int(&b, lane->type, f->lanes / 2);
    tg_op *branch = tg_build_if(&b, tg_build_cmp(&b, TG_CMP_LT, lane, half), 0, NULL);
    tg_build_else(&b, branch, 0, NULL);
    tg_build_end_if(&b, branch, 0, NULL);
    tg_op_unlink(op);
    if (branch->regions[0]->last != NULL) {
        tg_op_insert_before(branch->regions[0]->last, op);
    } else {
        tg_op_append(branch->regions[0], op);
    }
    return true;
}

static bool nudge(tg_func *f, op_test *test, int operand, int64_t by, uint64_t pick) {
    tg_op *op = pick_op(f, test, pick);
    if (op == NULL) {
        return false;
    }
    nudge_operand(op, operand, TG_OP_ADD, by);
    return true;
}

static bool index_off(tg_func *f, uint64_t pick) { return nudge(f, is_shared_access, 1, 1, pick); }
static bool index_far(tg_func *f, uint64_t pick) {
    return nudge(f, is_shared_access, 1, 1 << 20, pick);
}
static bool index_clash(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_shared_store, pick);
    if (op == NULL) {
        return false;
    }
    tg_builder b = tg_builder_before(op);
    tg_set_operand(op, 1, tg_build_int(&b, tg_operand(op, 1)->type, 0));
    return true;
}

static bool drop_shared(tg_func *f, uint64_t pick) { return erase_op(f, is_shared_store, pick); }
static bool drop_store(tg_func *f, uint64_t pick) { return erase_op(f, is_store, pick); }

static bool open_guard(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_guard, pick);
    if (op == NULL) {
        return false;
    }
    tg_builder b = tg_builder_before(op);
    tg_set_operand(op, 0, tg_build_bool(&b, true));
    return true;
}

static bool move_array(tg_func *f, uint64_t pick) {
    tg_op *a = pick_op(f, is_shared_array, pick), *b = pick_op(f, is_shared_array, pick + 1);
    if (a == NULL || a == b ||
        tg_attr_int(a, TG_ATTR_OFFSET, 0) == tg_attr_int(b, TG_ATTR_OFFSET, 0)) {
        return false;
    }
    tg_op_set_int(a, TG_ATTR_OFFSET, tg_attr_int(b, TG_ATTR_OFFSET, 0));
    return true;
}

static bool shift_address(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_memory, pick);
    if (op == NULL) {
        return false;
    }
    tg_builder b = tg_builder_before(op);
    tg_value *one = tg_build_index(&b, 1);
    tg_set_operand(op, 0, tg_build_gep(&b, tg_operand(op, 0), one, 2));
    return true;
}

static bool far_address(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_memory, pick);
    if (op == NULL) {
        return false;
    }
    tg_builder b = tg_builder_before(op);
    tg_value *one = tg_build_index(&b, 1);
    tg_set_operand(op, 0, tg_build_gep(&b, tg_operand(op, 0), one, 1 << 24));
    return true;
}

const mutation loop_mutations[] = {
    {"loop: dropped barrier", drop_barrier},
    {"loop: wrong fence", wrong_fence},
    {"loop: barrier under divergence", divergent_barrier},
    {"loop: shared index off by one", index_off},
    {"loop: shared index out of bounds", index_far},
    {"loop: all lanes write one element", index_clash},
    {"loop: missing shared store", drop_shared},
    {"loop: missing store", drop_store},
    {"loop: store without its guard", open_guard},
    {"loop: overlapping arrays", move_array},
    {"loop: misaligned address", shift_address},
    {"loop: address out of bounds", far_address},
};
const int n_loop_mutations = (int)TG_COUNT_OF(loop_mutations);
