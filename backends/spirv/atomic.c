/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Atomic read-modify-write, relaxed. Integers of 32 and 64 bits have instructions. Floats, and
 * integers of 8 and 16 bits inside their 32-bit word, are a loop of compare-exchange:
 *
 *   old = word; do { seen = old; old = cas(word, seen, merge(seen, f(field(seen)))) } while (old !=
 * seen)
 */
#include "backends/spirv/spirv.h"

typedef struct target {
    const tg_type *type;
    tg_atomic_kind kind;
    uint32_t pointer, scope;
    int bits;                 /* of the word at pointer */
    uint32_t shift;           /* of a narrow field in its word; 0: none */
    uint32_t value, expected; /* lanes */
} target;

static uint32_t relaxed(tg_spv *s) { return tg_spv_const(s, 32, SpvMemorySemanticsMaskNone); }

/* The new value of a lane that holds `old`. */
static uint32_t combined(tg_spv *s, const target *t, uint32_t old) {
    switch (t->kind) {
    case TG_ATOMIC_ADD:
        return tg_spv_add(s, t->type, old, t->value);
    case TG_ATOMIC_MIN:
    case TG_ATOMIC_MAX:
        return tg_spv_minmax(s, t->type, t->kind == TG_ATOMIC_MAX, old, t->value);
    case TG_ATOMIC_CAS:
        break;
    }
    uint32_t word = tg_spv_type_int(s, tg_spv_bits(t->type));
    uint32_t same =
        TG_SPV_VALUE(s, SpvOpIEqual, tg_spv_type_bool(s), tg_spv_as_bits(s, t->type, old),
                     tg_spv_as_bits(s, t->type, t->expected));
    uint32_t bits = TG_SPV_VALUE(s, SpvOpSelect, word, same, tg_spv_as_bits(s, t->type, t->value),
                                 tg_spv_as_bits(s, t->type, old));
    return tg_spv_from_bits(s, t->type, bits);
}

/* The field of a word as a lane, and the word with another lane in it. */
static uint32_t field_of(tg_spv *s, const target *t, uint32_t word) {
    if (t->shift) {
        word = TG_SPV_VALUE(s, SpvOpShiftRightLogical, tg_spv_type_int(s, 32), word, t->shift);
    }
    return tg_spv_from_bits(s, t->type,
                            tg_spv_resize(s, t->bits, tg_spv_bits(t->type), false, word));
}

static uint32_t with_field(tg_spv *s, const target *t, uint32_t word, uint32_t lane) {
    uint32_t i32 = tg_spv_type_int(s, 32), bits = tg_spv_as_bits(s, t->type, lane);
    if (!t->shift) {
        return bits;
    }
    int width = tg_spv_bits(t->type);
    uint32_t ones = tg_spv_const(s, 32, (UINT64_C(1) << width) - 1);
    uint32_t hole = TG_SPV_VALUE(s, SpvOpShiftLeftLogical, i32, ones, t->shift);
    uint32_t rest =
        TG_SPV_VALUE(s, SpvOpBitwiseAnd, i32, word, TG_SPV_VALUE(s, SpvOpNot, i32, hole));
    bits = TG_SPV_VALUE(s, SpvOpShiftLeftLogical, i32, tg_spv_resize(s, width, 32, false, bits),
                        t->shift);
    return TG_SPV_VALUE(s, SpvOpBitwiseOr, i32, rest, bits);
}

static uint32_t by_loop(tg_spv *s, const target *t) {
    uint32_t word = tg_spv_type_int(s, t->bits), scope = tg_spv_const(s, 32, t->scope);
    uint32_t first = TG_SPV_VALUE(s, SpvOpAtomicLoad, word, t->pointer, scope, relaxed(s));
    uint32_t before = s->block, header = tg_spv_id(s), body = tg_spv_id(s), latch = tg_spv_id(s);
    uint32_t exit = tg_spv_id(s), seen_next = tg_spv_id(s);
    tg_spv_branch(s, header);
    tg_spv_label(s, header);
    uint32_t old = TG_SPV_VALUE(s, SpvOpPhi, word, first, before, seen_next, latch);
    TG_SPV(s, TG_SPV_BODY, SpvOpLoopMerge, exit, latch, SpvLoopControlMaskNone);
    tg_spv_branch(s, body);
    tg_spv_label(s, body);
    uint32_t wanted = with_field(s, t, old, combined(s, t, field_of(s, t, old)));
    TG_SPV(s, TG_SPV_BODY, SpvOpAtomicCompareExchange, word, seen_next, t->pointer, scope,
           relaxed(s), relaxed(s), wanted, old);
    uint32_t done = TG_SPV_VALUE(s, SpvOpIEqual, tg_spv_type_bool(s), seen_next, old);
    TG_SPV(s, TG_SPV_BODY, SpvOpBranchConditional, done, exit, latch);
    tg_spv_label(s, latch);
    tg_spv_branch(s, header);
    tg_spv_label(s, exit);
    return field_of(s, t, old);
}

static uint32_t by_instruction(tg_spv *s, const target *t) {
    uint32_t type = tg_spv_type(s, t->type), scope = tg_spv_const(s, 32, t->scope);
    bool sign = tg_dtype_is_signed(t->type->dtype);
    SpvOp op = SpvOpAtomicIAdd;
    switch (t->kind) {
    case TG_ATOMIC_ADD:
        break;
    case TG_ATOMIC_MIN:
        op = sign ? SpvOpAtomicSMin : SpvOpAtomicUMin;
        break;
    case TG_ATOMIC_MAX:
        op = sign ? SpvOpAtomicSMax : SpvOpAtomicUMax;
        break;
    case TG_ATOMIC_CAS:
        return TG_SPV_VALUE(s, SpvOpAtomicCompareExchange, type, t->pointer, scope, relaxed(s),
                            relaxed(s), t->value, t->expected);
    }
    return TG_SPV_VALUE(s, op, type, t->pointer, scope, relaxed(s), t->value);
}

/* A narrow element: its 32-bit word, and where in it. */
static void to_word(tg_spv *s, target *t, uint32_t address) {
    uint32_t i64 = tg_spv_type_int(s, 64);
    uint32_t base =
        TG_SPV_VALUE(s, SpvOpBitwiseAnd, i64, address, tg_spv_const(s, 64, ~UINT64_C(3)));
    uint32_t byte = TG_SPV_VALUE(s, SpvOpBitwiseAnd, i64, address, tg_spv_const(s, 64, 3));
    uint32_t bit = TG_SPV_VALUE(s, SpvOpShiftLeftLogical, i64, byte, tg_spv_const(s, 64, 3));
    t->bits = 32;
    t->shift = tg_spv_resize(s, 64, 32, false, bit);
    t->pointer = tg_spv_pointer(s, base, tg_spv_type_int(s, 32));
}

static bool allowed(tg_spv *s, const tg_op *op, const tg_type *t, bool shared) {
    if (t->dtype == TG_DT_BOOL || tg_dtype_is_storage(t->dtype) || tg_spv_lanes(t) > 1 ||
        (shared && tg_spv_bits(t) < 32)) {
        tg_spv_refuse(s, op, "atomics work on integers, f32 and f64, one at a time");
        return false;
    }
    if (tg_spv_bits(t) == 64 && !(s->machine->simt & TG_SIMT_ATOMIC64)) {
        tg_spv_refuse(s, op, "the machine has no atomics of 64 bits");
        return false;
    }
    return true;
}

tg_spv_value tg_spv_atomic(tg_spv *s, tg_op *op) {
    bool shared = op->code == TG_OP_AATOMIC, mine = shared;
    int value = shared ? 2 : 1;
    target t = {.type = op->results[0].type,
                .kind = (tg_atomic_kind)tg_attr_int(op, TG_ATTR_ATOMIC, TG_ATOMIC_ADD),
                .scope = shared ? (uint32_t)SpvScopeWorkgroup : (uint32_t)s->flavour->device_scope,
                .value = tg_spv_operand(s, op, value).id[0]};
    t.bits = tg_spv_bits(t.type);
    if (!allowed(s, op, t.type, shared)) {
        return (tg_spv_value){0};
    }
    if (t.bits == 64) {
        tg_spv_capability(s, SpvCapabilityInt64Atomics);
    }
    t.expected = t.kind == TG_ATOMIC_CAS ? tg_spv_operand(s, op, value + 1).id[0] : 0;
    if (shared) {
        t.pointer = tg_spv_element(s, op, 0, &mine);
    } else if (t.bits < 32) {
        to_word(s, &t, tg_spv_operand(s, op, 0).id[0]);
    } else {
        t.pointer = tg_spv_pointer(s, tg_spv_operand(s, op, 0).id[0], tg_spv_type_int(s, t.bits));
    }
    bool loop = tg_spv_is_float(t.type) || tg_spv_bits(t.type) < 32;
    tg_spv_value row = tg_spv_row(s, 1);
    row.id[0] = loop ? by_loop(s, &t) : by_instruction(s, &t);
    return row;
}
