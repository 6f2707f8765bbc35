/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lanes. Those of a vector are separate values, so most operations only rename. Those of a
 * sub-group exchange values by the group operations, 32 bits at a time: what every device that has
 * them offers.
 */
#include <string.h>

#include "backends/spirv/spirv.h"

static tg_spv_value emit_shuffle(tg_spv *s, tg_op *op) {
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    tg_spv_value a = tg_spv_operand(s, op, 0), b = tg_spv_operand(s, op, 1);
    tg_spv_value row = tg_spv_row(s, (int)axes->n_list);
    for (int l = 0; l < row.n; l++) {
        int64_t from = axes->list[l] < 0 ? 0 : axes->list[l];
        row.id[l] = from < a.n ? a.id[from] : b.id[from - a.n];
    }
    return row;
}

static tg_spv_value emit_insert(tg_spv *s, tg_op *op) {
    tg_spv_value x = tg_spv_operand(s, op, 0), row = tg_spv_row(s, x.n);
    memcpy(row.id, x.id, (size_t)x.n * sizeof(uint32_t));
    row.id[tg_attr_int(op, TG_ATTR_VALUE_I, 0)] = tg_spv_operand(s, op, 1).id[0];
    return row;
}

static tg_spv_value emit_extract(tg_spv *s, tg_op *op) {
    tg_spv_value row = tg_spv_row(s, 1);
    row.id[0] = tg_spv_operand(s, op, 0).id[tg_attr_int(op, TG_ATTR_VALUE_I, 0)];
    return row;
}

/* splat, lanes, pmask: each lane from its number. */
static tg_spv_value emit_numbered(tg_spv *s, tg_op *op) {
    const tg_type *t = op->results[0].type;
    tg_spv_value row = tg_spv_row(s, tg_spv_lanes(t));
    for (int l = 0; l < row.n; l++) {
        if (op->code == TG_OP_SPLAT) {
            row.id[l] = tg_spv_operand(s, op, 0).id[0];
        } else if (op->code == TG_OP_LANES) {
            row.id[l] = tg_spv_const(s, tg_spv_bits(t), (uint64_t)l);
        } else {
            row.id[l] =
                TG_SPV_VALUE(s, SpvOpSGreaterThan, tg_spv_type_bool(s),
                             tg_spv_operand(s, op, 0).id[0], tg_spv_const(s, 64, (uint64_t)l));
        }
    }
    return row;
}

/* ---- sub-groups --------------------------------------------------------------------------------
 */

static uint32_t own_lane(tg_spv *s) { return tg_spv_builtin(s, TG_SPV_IN_SUBGROUP_LANE); }

/* The lane asked for, and whether it exists. */
static uint32_t other_lane(tg_spv *s, const tg_op *op, uint32_t which, uint32_t *exists) {
    static const SpvOp by_mode[] = {SpvOpBitwiseXor, SpvOpNop, SpvOpISub, SpvOpIAdd};
    int64_t mode = tg_attr_int(op, TG_ATTR_SHUFFLE, TG_SHUFFLE_XOR);
    uint32_t i32 = tg_spv_type_int(s, 32), lane = which;
    if (mode != TG_SHUFFLE_INDEX) {
        lane = TG_SPV_VALUE(s, by_mode[mode], i32, own_lane(s), which);
    }
    uint32_t size = tg_spv_builtin(s, TG_SPV_IN_SUBGROUP_SIZE);
    *exists = TG_SPV_VALUE(s, SpvOpULessThan, tg_spv_type_bool(s), lane, size);
    return TG_SPV_VALUE(s, SpvOpSelect, i32, *exists, lane, own_lane(s));
}

static uint32_t exchange(tg_spv *s, uint32_t x, uint32_t lane) {
    uint32_t scope = tg_spv_const(s, 32, SpvScopeSubgroup);
    return TG_SPV_VALUE(s, SpvOpGroupNonUniformShuffle, tg_spv_type_int(s, 32), scope, x, lane);
}

static uint32_t shuffle_bits(tg_spv *s, int bits, uint32_t x, uint32_t lane) {
    if (bits < 64) {
        x = exchange(s, tg_spv_resize(s, bits, 32, false, x), lane);
        return tg_spv_resize(s, 32, bits, false, x);
    }
    uint32_t i64 = tg_spv_type_int(s, 64), half = tg_spv_const(s, 64, 32);
    uint32_t high = TG_SPV_VALUE(s, SpvOpShiftRightLogical, i64, x, half);
    high = exchange(s, tg_spv_resize(s, 64, 32, false, high), lane);
    uint32_t low = exchange(s, tg_spv_resize(s, 64, 32, false, x), lane);
    high = TG_SPV_VALUE(s, SpvOpShiftLeftLogical, i64, tg_spv_resize(s, 32, 64, false, high), half);
    return TG_SPV_VALUE(s, SpvOpBitwiseOr, i64, high, tg_spv_resize(s, 32, 64, false, low));
}

/* Group operations came with SPIR-V 1.3. */
enum { VERSION_WITH_GROUPS = 0x00010300 };

static bool has_subgroups(tg_spv *s, const tg_op *op) {
    if (s->machine->simt & TG_SIMT_SUBGROUPS) {
        s->version = s->version < VERSION_WITH_GROUPS ? VERSION_WITH_GROUPS : s->version;
        return true;
    }
    tg_spv_refuse(s, op, "the machine has no sub-groups");
    return false;
}

/* A lane that does not exist gives x itself: it is its own other lane. */
static tg_spv_value emit_shfl(tg_spv *s, tg_op *op) {
    const tg_type *t = op->results[0].type;
    tg_spv_value x = tg_spv_operand(s, op, 0), row = tg_spv_row(s, x.n);
    if (!has_subgroups(s, op)) {
        return (tg_spv_value){0};
    }
    tg_spv_capability(s, SpvCapabilityGroupNonUniform);
    tg_spv_capability(s, SpvCapabilityGroupNonUniformShuffle);
    uint32_t exists = 0, lane = other_lane(s, op, tg_spv_operand(s, op, 1).id[0], &exists);
    int bits = tg_spv_bits(t) < 8 ? 8 : tg_spv_bits(t);
    for (int l = 0; l < x.n; l++) {
        uint32_t v = shuffle_bits(s, bits, tg_spv_as_bits(s, t, x.id[l]), lane);
        row.id[l] = tg_spv_from_bits(s, t, v);
    }
    return row;
}

static tg_spv_value emit_ballot(tg_spv *s, tg_op *op) {
    const tg_type *t = op->results[0].type;
    tg_spv_value row = tg_spv_row(s, 1);
    if (!has_subgroups(s, op)) {
        return (tg_spv_value){0};
    }
    tg_spv_capability(s, SpvCapabilityGroupNonUniform);
    tg_spv_capability(s, SpvCapabilityGroupNonUniformBallot);
    uint32_t i32 = tg_spv_type_int(s, 32), i64 = tg_spv_type_int(s, 64);
    uint32_t four = tg_spv_type_vector(s, i32, 4), scope = tg_spv_const(s, 32, SpvScopeSubgroup);
    uint32_t mask =
        TG_SPV_VALUE(s, SpvOpGroupNonUniformBallot, four, scope, tg_spv_operand(s, op, 0).id[0]);
    row.id[0] = TG_SPV_VALUE(s, SpvOpCompositeExtract, i32, mask, 0);
    if (tg_spv_bits(t) == 64) {
        uint32_t high = TG_SPV_VALUE(s, SpvOpCompositeExtract, i32, mask, 1);
        high = TG_SPV_VALUE(s, SpvOpShiftLeftLogical, i64, tg_spv_resize(s, 32, 64, false, high),
                            tg_spv_const(s, 64, 32));
        row.id[0] =
            TG_SPV_VALUE(s, SpvOpBitwiseOr, i64, high, tg_spv_resize(s, 32, 64, false, row.id[0]));
    }
    return row;
}

tg_spv_value tg_spv_lane_op(tg_spv *s, tg_op *op) {
    switch ((int)op->code) {
    case TG_OP_SHUFFLE:
        return emit_shuffle(s, op);
    case TG_OP_INSERT:
        return emit_insert(s, op);
    case TG_OP_EXTRACT:
        return emit_extract(s, op);
    case TG_OP_SHFL:
        return emit_shfl(s, op);
    case TG_OP_BALLOT:
        return emit_ballot(s, op);
    default:
        return emit_numbered(s, op);
    }
}
