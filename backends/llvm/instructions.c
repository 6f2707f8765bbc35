/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machine instructions by name: the rows of intrinsics.def, as LLVM's target intrinsics or, for
 * ROW+defined, as what they are defined to compute (Intel SDM vol. 2: PSHUFB, PMADDUBSW, PMADDWD,
 * VPDPBUSD, VPDPWSSD, VPERMPS, VPERMW,
 * VDPBF16PS) in operations that every processor has. LLVM recognises some of
 * these forms and puts an instruction of the weaker row there; that, too, is what is to be shown
 * right.
 */
#include <string.h>

#include "backends/llvm/emit.h"

typedef enum definition {
    BYTE_LOOKUP,
    U8I8_PAIRS,
    I16_PAIRS,
    U8I8_QUADS,
    I16_PAIRS_ADDED,
    WORD_LOOKUP,
    TWO_BYTE_TABLES,
    BF16_PAIRS_ADDED
} definition;

typedef struct machine_row {
    const char *name, *llvm_name;
    unsigned needs; /* tg_cpu_feature */
    definition means;
    int n_operands;
} machine_row;

static const machine_row rows[] = {
#define TG_INTRINSIC(name, llvm_name, needs, n, means) {name, llvm_name, needs, means, n},
#include "backends/llvm/intrinsics.def"
#undef TG_INTRINSIC
};

/* ---- definitions --------------------------------------------------------------------------------
 */

/* Lanes first, first + step, ... of v, n of them. */
static LLVMValueRef every(tg_emitter *e, LLVMValueRef v, unsigned first, unsigned step,
                          unsigned n) {
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context);
    LLVMValueRef *lane = TG_NEW_ARRAY(e->arena, LLVMValueRef, n);
    for (unsigned i = 0; i < n; i++) {
        lane[i] = LLVMConstInt(i32, first + step * i, 0);
    }
    return LLVMBuildShuffleVector(e->builder, v, LLVMGetPoison(LLVMTypeOf(v)),
                                  LLVMConstVector(lane, n), "");
}

/* Byte k of v's own group of 16 in each lane. */
static LLVMValueRef byte_of_group(tg_emitter *e, LLVMValueRef v, unsigned k) {
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context);
    unsigned n = LLVMGetVectorSize(LLVMTypeOf(v));
    LLVMValueRef *lane = TG_NEW_ARRAY(e->arena, LLVMValueRef, n);
    for (unsigned i = 0; i < n; i++) {
        lane[i] = LLVMConstInt(i32, (i & ~15u) + k, 0);
    }
    return LLVMBuildShuffleVector(e->builder, v, LLVMGetPoison(LLVMTypeOf(v)),
                                  LLVMConstVector(lane, n), "");
}

static LLVMValueRef byte_lookup(tg_emitter *e, LLVMValueRef table, LLVMValueRef index) {
    LLVMBuilderRef b = e->builder;
    LLVMTypeRef type = LLVMTypeOf(table);
    LLVMValueRef low = LLVMBuildAnd(b, index, tg_emit_const_int(type, 15), ""), r = table;
    for (unsigned k = 0; k < 16; k++) {
        LLVMValueRef here = LLVMBuildICmp(b, LLVMIntEQ, low, tg_emit_const_int(type, k), "");
        r = LLVMBuildSelect(b, here, byte_of_group(e, table, k), r, "");
    }
    LLVMValueRef keeps = LLVMBuildICmp(b, LLVMIntSGT, index, LLVMConstAllOnes(type), "");
    return LLVMBuildSelect(b, keeps, r, LLVMConstNull(type), "");
}

/* The lanes of x, then those of y. */
static LLVMValueRef joined(tg_emitter *e, LLVMValueRef x, LLVMValueRef y) {
    enum { MOST = 128 };
    LLVMValueRef lanes[MOST];
    unsigned n = 2 * LLVMGetVectorSize(LLVMTypeOf(x));
    for (unsigned i = 0; i < n; i++) {
        lanes[i] = LLVMConstInt(LLVMInt32TypeInContext(e->context), i, 0);
    }
    return LLVMBuildShuffleVector(e->builder, x, y, LLVMConstVector(lanes, n), "");
}

/* Lanes of the table by the low bits of each index. */
static LLVMValueRef word_lookup(tg_emitter *e, LLVMValueRef table, LLVMValueRef index) {
    LLVMBuilderRef b = e->builder;
    unsigned n = LLVMGetVectorSize(LLVMTypeOf(index)),
             last = LLVMGetVectorSize(LLVMTypeOf(table)) - 1;
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context);
    LLVMValueRef r = LLVMGetPoison(LLVMVectorType(LLVMGetElementType(LLVMTypeOf(table)), n));
    index = LLVMBuildAnd(b, index, tg_emit_const_int(LLVMTypeOf(index), last), "");
    for (unsigned i = 0; i < n; i++) {
        LLVMValueRef lane = LLVMConstInt(i32, i, 0);
        LLVMValueRef from = LLVMBuildExtractElement(b, index, lane, "");
        r = LLVMBuildInsertElement(b, r, LLVMBuildExtractElement(b, table, from, ""), lane, "");
    }
    return r;
}

/* Products of x and y, widened to `bits`; x counts as unsigned when asked to. */
static LLVMValueRef products(tg_emitter *e, LLVMValueRef x, bool x_unsigned, LLVMValueRef y,
                             unsigned bits) {
    unsigned n = LLVMGetVectorSize(LLVMTypeOf(x));
    LLVMTypeRef wide = LLVMVectorType(tg_emit_int_type(e, bits), n);
    x = x_unsigned ? LLVMBuildZExt(e->builder, x, wide, "")
                   : LLVMBuildSExt(e->builder, x, wide, "");
    return LLVMBuildMul(e->builder, x, LLVMBuildSExt(e->builder, y, wide, ""), "");
}

/* Sums of `group` neighbours, wrapping, onto acc. */
static LLVMValueRef add_groups(tg_emitter *e, LLVMValueRef p, unsigned group, LLVMValueRef acc) {
    unsigned n = LLVMGetVectorSize(LLVMTypeOf(p)) / group;
    for (unsigned k = 0; k < group; k++) {
        LLVMValueRef part = every(e, p, k, group, n);
        acc = acc ? LLVMBuildAdd(e->builder, acc, part, "") : part;
    }
    return acc;
}

/* v, of 32-bit lanes, as lanes of `bits`. */
static LLVMValueRef cut(tg_emitter *e, LLVMValueRef v, unsigned bits) {
    unsigned n = LLVMGetVectorSize(LLVMTypeOf(v)) * 32 / bits;
    return LLVMBuildBitCast(e->builder, v, LLVMVectorType(tg_emit_int_type(e, bits), n), "");
}

/* v with zeros of its signs for subnormal numbers. */
static LLVMValueRef flushed(tg_emitter *e, LLVMValueRef v) {
    LLVMBuilderRef b = e->builder;
    LLVMTypeRef floats = LLVMTypeOf(v),
                bits = LLVMVectorType(tg_emit_int_type(e, 32), LLVMGetVectorSize(floats));
    LLVMValueRef all = LLVMBuildBitCast(b, v, bits, "");
    LLVMValueRef exponent = LLVMBuildAnd(b, all, tg_emit_const_int(bits, 0x7F800000), "");
    LLVMValueRef sign = LLVMBuildAnd(b, all, tg_emit_const_int(bits, 0x80000000u), "");
    LLVMValueRef small = LLVMBuildICmp(b, LLVMIntEQ, exponent, LLVMConstNull(bits), "");
    return LLVMBuildBitCast(b, LLVMBuildSelect(b, small, sign, all, ""), floats, "");
}

/* acc + x * y for the bf16 in the upper (odd) or lower half of every word, rounded once. */
static LLVMValueRef add_bf16(tg_emitter *e, LLVMValueRef acc, LLVMValueRef x, LLVMValueRef y,
                             unsigned odd) {
    LLVMBuilderRef b = e->builder;
    LLVMTypeRef floats = LLVMTypeOf(acc);
    unsigned n = LLVMGetVectorSize(floats);
    LLVMTypeRef bits = LLVMVectorType(tg_emit_int_type(e, 32), n);
    LLVMValueRef v[2] = {every(e, x, odd, 2, n), every(e, y, odd, 2, n)};
    for (int i = 0; i < 2; i++) {
        v[i] = LLVMBuildShl(b, LLVMBuildZExt(b, v[i], bits, ""), tg_emit_const_int(bits, 16), "");
        v[i] = flushed(e, LLVMBuildBitCast(b, v[i], floats, ""));
    }
    LLVMValueRef args[3] = {v[0], v[1], flushed(e, acc)};
    return flushed(e, tg_emit_intrinsic(e, "llvm.fma", 1, &floats, 3, args));
}

static LLVMValueRef emit_definition(tg_emitter *e, definition means, LLVMValueRef *x) {
    LLVMValueRef p;
    unsigned pairs = LLVMGetVectorSize(LLVMTypeOf(x[0])) / 2;
    switch (means) {
    case BYTE_LOOKUP:
        return byte_lookup(e, x[0], x[1]);
    case U8I8_PAIRS:
        p = products(e, x[0], true, x[1], 16);
        return tg_emit_intrinsic2(e, "llvm.sadd.sat", every(e, p, 0, 2, pairs),
                                  every(e, p, 1, 2, pairs));
    case I16_PAIRS:
        return add_groups(e, products(e, x[0], false, x[1], 32), 2, NULL);
    case U8I8_QUADS:
        return add_groups(e, products(e, cut(e, x[1], 8), true, cut(e, x[2], 8), 32), 4, x[0]);
    case I16_PAIRS_ADDED:
        return add_groups(e, products(e, cut(e, x[1], 16), false, cut(e, x[2], 16), 32), 2, x[0]);
    case WORD_LOOKUP:
        return word_lookup(e, x[0], x[1]);
    case TWO_BYTE_TABLES:
        return word_lookup(e, joined(e, x[0], x[2]), x[1]);
    case BF16_PAIRS_ADDED:
        return add_bf16(e, add_bf16(e, x[0], x[1], x[2], 1), x[1], x[2], 0);
    }
    return NULL;
}

/* ---- dispatch ----------------------------------------------------------------------------------
 */

static const machine_row *find_row(const tg_op *op) {
    const tg_attr *name = tg_attr_get(op, TG_ATTR_NAME);
    for (size_t i = 0; name && i < TG_COUNT_OF(rows); i++) {
        if (strcmp(rows[i].name, name->s) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

LLVMValueRef tg_emit_machine_row(tg_emitter *e, tg_op *op) {
    const machine_row *row = find_row(op);
    if (!row || row->n_operands != op->n_operands) {
        tg_emit_refuse(e, op, "no such machine instruction");
        return NULL;
    }
    if ((e->machine->features & row->needs) != row->needs ||
        (strncmp(row->name, "x86.", 4) == 0) != e->is_x86) {
        tg_emit_refuse(e, op, "the machine lacks the instruction");
        return NULL;
    }
    LLVMValueRef args[3];
    for (int i = 0; i < op->n_operands; i++) {
        args[i] = tg_emit_operand(e, op, i);
    }
    if (e->machine->defined) {
        return emit_definition(e, row->means, args);
    }
    if (row->means == BF16_PAIRS_ADDED) { /* here their bits are integers */
        unsigned n = LLVMGetVectorSize(LLVMTypeOf(args[1]));
        LLVMTypeRef bf16 = LLVMVectorType(LLVMBFloatTypeInContext(e->context), n);
        args[1] = LLVMBuildBitCast(e->builder, args[1], bf16, "");
        args[2] = LLVMBuildBitCast(e->builder, args[2], bf16, "");
    }
    LLVMTypeRef result = tg_emit_type(e, op->results[0].type);
    bool overloaded =
        LLVMIntrinsicIsOverloaded(LLVMLookupIntrinsicID(row->llvm_name, strlen(row->llvm_name)));
    return tg_emit_intrinsic(e, row->llvm_name, overloaded ? 1 : 0, &result,
                             (unsigned)op->n_operands, args);
}
