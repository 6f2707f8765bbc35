/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maxima of magnitudes. Floats without a sign order like their bits as signed integers, NaN above
 * infinity, and -inf lies below all of them; so where both sides of a maximum are known to be such,
 * one integer instruction gives what takes five in floats (the largest magnitude of a group, before
 * it is quantised).
 *
 * A loop's accumulator is known by assuming it and looking at where it starts and what the body
 * gives back.
 */
#include "backends/llvm/emit.h"
#include "ir/build.h"

enum { DEPTH = 12 };

/* Accumulators of the loops being looked at, innermost first. */
typedef struct assumption {
    const tg_value *arg;
    const struct assumption *outer;
} assumption;

static bool unsigned_or_least(const tg_value *v, int depth, const assumption *assumed);

/* Loop argument or result `index` of a loop: its start and what the body yields. */
static bool carried(const tg_op *loop, int index, int depth, const assumption *assumed) {
    const tg_region *body = loop->regions[0];
    const tg_value *arg = body->args[1 + index];
    for (const assumption *a = assumed; a != NULL; a = a->outer) {
        if (a->arg == arg) {
            return true;
        }
    }
    assumption inside = {arg, assumed};
    return unsigned_or_least(tg_operand(loop, 3 + index), depth + 1, assumed) &&
           unsigned_or_least(tg_operand(body->last, index), depth + 1, &inside);
}

/* Has every lane no sign, or is it -inf? */
static bool unsigned_or_least(const tg_value *v, int depth, const assumption *assumed) {
    double c;
    if (depth > DEPTH || v->type->dtype != TG_DT_F32) {
        return false;
    }
    if (v->def == NULL) {
        const tg_op *loop = v->region->parent;
        return loop != NULL && loop->code == TG_OP_FOR && v->index > 0 &&
               carried(loop, v->index - 1, depth, assumed);
    }
    const tg_op *op = v->def;
    switch ((int)op->code) {
    case TG_OP_ABS:
        return true;
    case TG_OP_CONST_FLOAT:
        return tg_value_const_float(v, &c) &&
               (c == -__builtin_inf() || (c == c && !__builtin_signbit(c)));
    case TG_OP_SPLAT:
        return unsigned_or_least(tg_operand(op, 0), depth + 1, assumed);
    case TG_OP_MAX:
        return unsigned_or_least(tg_operand(op, 0), depth + 1, assumed) &&
               unsigned_or_least(tg_operand(op, 1), depth + 1, assumed);
    case TG_OP_REDUCEV:
        return tg_attr_int(op, TG_ATTR_RED, TG_RED_SUM) == TG_RED_MAX &&
               unsigned_or_least(tg_operand(op, 0), depth + 1, assumed);
    case TG_OP_FOR:
        return carried(op, v->index, depth, assumed);
    }
    return false;
}

bool tg_emit_orders_as_bits(const tg_value *v) { return unsigned_or_least(v, 0, NULL); }

LLVMValueRef tg_emit_max_bits(tg_emitter *e, LLVMValueRef x, LLVMValueRef y) {
    LLVMTypeRef type = LLVMTypeOf(x), bits = tg_emit_int_type(e, 32);
    if (LLVMGetTypeKind(type) == LLVMVectorTypeKind) {
        bits = LLVMVectorType(bits, LLVMGetVectorSize(type));
    }
    x = LLVMBuildBitCast(e->builder, x, bits, "");
    y = LLVMBuildBitCast(e->builder, y, bits, "");
    return LLVMBuildBitCast(e->builder, tg_emit_intrinsic2(e, "llvm.smax", x, y), type, "");
}
