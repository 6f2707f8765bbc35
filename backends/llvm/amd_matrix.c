/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products of AMD's matrix units: MFMA (CDNA3 ISA 7.1) and WMMA (RDNA3 ISA 7.9, RDNA4 ISA 7.12).
 *
 * A unit of matrix.def is one instruction or several along K: an instruction takes as many of a
 * lane's elements as its operand has room for, the next one the elements behind them. Which
 * instruction that is depends on the machine: gfx908 has bf16 of half the depth, gfx942 i8 of twice
 * the depth of its predecessors.
 */
#include <string.h>

#include "backends/llvm/emit.h"
#include "ir/matrix.h"

enum { MAX_ARGS = 8 };

/* The best instruction first; `only`: the one machine that has it, or that has no other. */
static const struct row {
    tg_dtype a;
    int m;
    const char *only, *name;
} mfma[] = {
    {TG_DT_F16, 32, NULL, "llvm.amdgcn.mfma.f32.32x32x8f16"},
    {TG_DT_F16, 16, NULL, "llvm.amdgcn.mfma.f32.16x16x16f16"},
    {TG_DT_BF16, 32, "gfx908", "llvm.amdgcn.mfma.f32.32x32x4bf16"},
    {TG_DT_BF16, 16, "gfx908", "llvm.amdgcn.mfma.f32.16x16x8bf16"},
    {TG_DT_BF16, 32, NULL, "llvm.amdgcn.mfma.f32.32x32x8bf16.1k"},
    {TG_DT_BF16, 16, NULL, "llvm.amdgcn.mfma.f32.16x16x16bf16.1k"},
    {TG_DT_I8, 32, "gfx942", "llvm.amdgcn.mfma.i32.32x32x16.i8"},
    {TG_DT_I8, 16, "gfx942", "llvm.amdgcn.mfma.i32.16x16x32.i8"},
    {TG_DT_I8, 32, NULL, "llvm.amdgcn.mfma.i32.32x32x8i8"},
    {TG_DT_I8, 16, NULL, "llvm.amdgcn.mfma.i32.16x16x16i8"},
    {TG_DT_F8E4M3FNUZ, 32, "gfx942", "llvm.amdgcn.mfma.f32.32x32x16.fp8.fp8"},
    {TG_DT_F8E4M3FNUZ, 16, "gfx942", "llvm.amdgcn.mfma.f32.16x16x32.fp8.fp8"},
    {TG_DT_F64, 16, NULL, "llvm.amdgcn.mfma.f64.16x16x4f64"},
};

static const char *mfma_name(const tg_emitter *e, const tg_matrix_unit *u) {
    for (size_t i = 0; i < TG_COUNT_OF(mfma); i++) {
        if (mfma[i].a == u->type[TG_PART_A] && mfma[i].m == u->m &&
            (mfma[i].only == NULL || strcmp(mfma[i].only, e->machine->llvm_cpu) == 0)) {
            return mfma[i].name;
        }
    }
    return NULL;
}

static const char *wmma_name(const tg_matrix_unit *u) {
    switch ((int)u->type[TG_PART_A]) {
    case TG_DT_F16:
        return "llvm.amdgcn.wmma.f32.16x16x16.f16";
    case TG_DT_BF16:
        return "llvm.amdgcn.wmma.f32.16x16x16.bf16";
    case TG_DT_I8:
    case TG_DT_U8:
        return "llvm.amdgcn.wmma.i32.16x16x16.iu8";
    case TG_DT_F8E4M3:
        return "llvm.amdgcn.wmma.f32.16x16x16.fp8.fp8";
    case TG_DT_F8E5M2:
        return "llvm.amdgcn.wmma.f32.16x16x16.bf8.bf8";
    }
    return NULL;
}

static unsigned bits_of(LLVMTypeRef t) {
    switch ((int)LLVMGetTypeKind(t)) {
    case LLVMVectorTypeKind:
        return LLVMGetVectorSize(t) * bits_of(LLVMGetElementType(t));
    case LLVMIntegerTypeKind:
        return LLVMGetIntTypeWidth(t);
    case LLVMDoubleTypeKind:
        return 64;
    case LLVMHalfTypeKind:
    case LLVMBFloatTypeKind:
        return 16;
    }
    return 32;
}

/* Share i of a fragment, as wide as `type` and as that. */
static LLVMValueRef share(tg_emitter *e, LLVMValueRef v, unsigned i, LLVMTypeRef type) {
    LLVMTypeRef own = LLVMTypeOf(v), i32 = LLVMInt32TypeInContext(e->context);
    unsigned each = bits_of(type) / bits_of(LLVMGetElementType(own));
    LLVMValueRef *lane = TG_NEW_ARRAY(e->arena, LLVMValueRef, each);
    for (unsigned k = 0; k < each; k++) {
        lane[k] = LLVMConstInt(i32, i * each + k, 0);
    }
    v = LLVMBuildShuffleVector(e->builder, v, LLVMGetPoison(own), LLVMConstVector(lane, each), "");
    return LLVMBuildBitCast(e->builder, v, type, "");
}

static LLVMValueRef emit_mfma(tg_emitter *e, const char *name, LLVMValueRef *in) {
    LLVMBuilderRef b = e->builder;
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    LLVMTypeRef types[MAX_ARGS], type = LLVMIntrinsicGetType(e->context, id, NULL, 0);
    LLVMGetParamTypes(type, types);
    unsigned n = bits_of(LLVMTypeOf(in[TG_PART_A])) / bits_of(types[0]);
    LLVMValueRef zero = LLVMConstInt(LLVMInt32TypeInContext(e->context), 0, 0);
    LLVMValueRef c = LLVMBuildBitCast(b, in[TG_PART_C], types[2], "");
    for (unsigned i = 0; i < n; i++) {
        LLVMValueRef args[6] = {share(e, in[TG_PART_A], i, types[0]),
                                share(e, in[TG_PART_B], i, types[1]),
                                c,
                                zero,
                                zero,
                                zero};
        c = tg_emit_intrinsic(e, name, 0, NULL, 6, args);
    }
    return c;
}

/* A fragment as WMMA takes it: f16 as such, bf16 as i16, bytes as words. */
static LLVMValueRef operand(tg_emitter *e, LLVMValueRef v, tg_dtype t) {
    unsigned bits = bits_of(LLVMTypeOf(v));
    bool byte = tg_dtype_bits(t) == 8;
    LLVMTypeRef elem =
        t == TG_DT_F16 ? LLVMHalfTypeInContext(e->context) : tg_emit_int_type(e, byte ? 32 : 16);
    return LLVMBuildBitCast(e->builder, v, LLVMVectorType(elem, bits / (byte ? 32 : 16)), "");
}

static LLVMValueRef emit_wmma(tg_emitter *e, const tg_matrix_unit *u, LLVMValueRef *in) {
    LLVMTypeRef i1 = LLVMInt1TypeInContext(e->context);
    tg_dtype at = u->type[TG_PART_A], bt = u->type[TG_PART_B];
    LLVMValueRef a = operand(e, in[TG_PART_A], at), b = operand(e, in[TG_PART_B], bt);
    LLVMTypeRef overload[2] = {LLVMTypeOf(in[TG_PART_C]), LLVMTypeOf(a)};
    if (u->type[TG_PART_C] == TG_DT_I32) { /* signs of a and b; no saturation */
        LLVMValueRef args[6] = {LLVMConstInt(i1, tg_dtype_is_signed(at), 0),
                                a,
                                LLVMConstInt(i1, tg_dtype_is_signed(bt), 0),
                                b,
                                in[TG_PART_C],
                                LLVMConstNull(i1)};
        return tg_emit_intrinsic(e, wmma_name(u), 2, overload, 6, args);
    }
    LLVMValueRef args[3] = {a, b, in[TG_PART_C]};
    return tg_emit_intrinsic(e, wmma_name(u), 2, overload, 3, args);
}

LLVMValueRef tg_emit_amd_mma(tg_emitter *e, tg_op *op) {
    const tg_matrix_unit *u = tg_matrix_find(tg_attr_str(op, TG_ATTR_UNIT));
    LLVMValueRef in[TG_PART_COUNT];
    for (int i = 0; i < TG_PART_COUNT; i++) {
        in[i] = tg_emit_operand(e, op, i);
    }
    bool waves64 = u->lanes == 64;
    const char *name = waves64 ? mfma_name(e, u) : wmma_name(u);
    if (name == NULL || u->lanes != e->machine->subgroup ||
        (e->machine->matrix >> u->id & 1) == 0) {
        tg_emit_refuse(e, op, "no instruction does it");
        return NULL;
    }
    LLVMValueRef r = waves64 ? emit_mfma(e, name, in) : emit_wmma(e, u, in);
    return LLVMBuildBitCast(e->builder, r, tg_emit_type(e, op->results[0].type), "");
}
