/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elementwise operations on scalars and vectors, with the results ops.def defines: wrapping
 * integers, x/0 = 0, counts modulo the width, NaN-propagating min and max with -0 below +0. No
 * fast-math flag is ever set, so LLVM neither contracts nor reassociates.
 */
#include "backends/llvm/emit.h"
#include "ir/build.h"

static bool is_float_value(const tg_type *t) {
    return t->kind != TG_TY_PTR && (t->dtype == TG_DT_F32 || t->dtype == TG_DT_F64);
}

static bool is_storage_float(const tg_type *t) {
    return t->kind != TG_TY_PTR && tg_dtype_is_float(t->dtype) && !is_float_value(t);
}

/* ---- constants ----------------------------------------------------------------------------------
 */

static LLVMValueRef emit_constant(tg_emitter *e, tg_op *op) {
    const tg_type *t = op->results[0].type;
    LLVMTypeRef type = tg_emit_type(e, t);
    if (op->code == TG_OP_CONST_INT) {
        return tg_emit_const_int(type, (uint64_t)tg_attr_int(op, TG_ATTR_VALUE_I, 0));
    }
    const tg_attr *a = tg_attr_get(op, TG_ATTR_VALUE_F);
    double v = a ? a->f : 0.0;
    if (is_float_value(t)) {
        return tg_emit_const_real(type, v);
    }
    return tg_emit_const_int(type, tg_float_encode(t->dtype, v, TG_ROUND_RNE, false));
}

/* The float constant that v is, seen through a splat. */
static bool known_float(const tg_value *v, double *out) {
    while (v->def && v->def->code == TG_OP_SPLAT) {
        v = tg_operand(v->def, 0);
    }
    return tg_value_const_float(v, out);
}

/* ---- integers -----------------------------------------------------------------------------------
 */

static LLVMValueRef emit_divrem(tg_emitter *e, const tg_type *t, bool want_rem, LLVMValueRef x,
                                LLVMValueRef y) {
    LLVMBuilderRef b = e->builder;
    LLVMTypeRef type = LLVMTypeOf(x);
    LLVMValueRef zero = LLVMConstNull(type), one = tg_emit_const_int(type, 1);
    LLVMValueRef by_zero = LLVMBuildICmp(b, LLVMIntEQ, y, zero, "");
    LLVMValueRef safe = LLVMBuildSelect(b, by_zero, one, y, ""), r;
    if (!tg_dtype_is_signed(t->dtype)) {
        r = want_rem ? LLVMBuildURem(b, x, safe, "") : LLVMBuildUDiv(b, x, safe, "");
        return LLVMBuildSelect(b, by_zero, want_rem ? x : zero, r, "");
    }
    LLVMValueRef by_minus1 = LLVMBuildICmp(b, LLVMIntEQ, y, LLVMConstAllOnes(type), "");
    safe = LLVMBuildSelect(b, by_minus1, one, safe, "");
    if (want_rem) {
        r = LLVMBuildSRem(b, x, safe, "");
        return LLVMBuildSelect(b, by_zero, x, r, "");
    }
    r = LLVMBuildSDiv(b, x, safe, "");
    r = LLVMBuildSelect(b, by_minus1, LLVMBuildNeg(b, x, ""), r, "");
    return LLVMBuildSelect(b, by_zero, zero, r, "");
}

static LLVMValueRef emit_shift(tg_emitter *e, tg_op *op, LLVMValueRef x, LLVMValueRef y) {
    const tg_type *t = op->results[0].type;
    LLVMTypeRef type = LLVMTypeOf(x);
    LLVMValueRef width = tg_emit_const_int(type, (uint64_t)tg_dtype_bits(t->dtype) - 1);
    y = LLVMBuildAnd(e->builder, y, width, "");
    if (op->code == TG_OP_SHL) {
        return LLVMBuildShl(e->builder, x, y, "");
    }
    return tg_dtype_is_signed(t->dtype) ? LLVMBuildAShr(e->builder, x, y, "")
                                        : LLVMBuildLShr(e->builder, x, y, "");
}

/* ---- min, max -----------------------------------------------------------------------------------
 */

/* x86's own minimum: a < b ? a : b, which is b for NaN and for equal operands. */
static LLVMValueRef ordered_pick(tg_emitter *e, bool is_max, LLVMValueRef a, LLVMValueRef b) {
    LLVMValueRef c = LLVMBuildFCmp(e->builder, is_max ? LLVMRealOGT : LLVMRealOLT, a, b, "");
    return LLVMBuildSelect(e->builder, c, a, b, "");
}

static LLVMValueRef float_logic(tg_emitter *e, LLVMOpcode code, LLVMValueRef x, LLVMValueRef y) {
    LLVMTypeRef type = LLVMTypeOf(x);
    bool vector = LLVMGetTypeKind(type) == LLVMVectorTypeKind;
    LLVMTypeRef elem = vector ? LLVMGetElementType(type) : type;
    LLVMTypeRef bits = tg_emit_int_type(e, LLVMGetTypeKind(elem) == LLVMDoubleTypeKind ? 64 : 32);
    if (vector) {
        bits = LLVMVectorType(bits, LLVMGetVectorSize(type));
    }
    x = LLVMBuildBitCast(e->builder, x, bits, "");
    y = LLVMBuildBitCast(e->builder, y, bits, "");
    return LLVMBuildBitCast(e->builder, LLVMBuildBinOp(e->builder, code, x, y, ""), type, "");
}

/*
 * With two instructions picking in both orders, equal operands that differ are zeros and a NaN is
 * in one of the picks. min: the OR of both keeps the minus sign and stays a NaN. max: the AND keeps
 * the plus sign, and an unordered comparison puts the NaN back.
 */
LLVMValueRef tg_emit_minmax(tg_emitter *e, tg_dtype t, bool is_max, LLVMValueRef x,
                            LLVMValueRef y) {
    if (!tg_dtype_is_float(t)) {
        const char *name = tg_dtype_is_signed(t) ? (is_max ? "llvm.smax" : "llvm.smin")
                                                 : (is_max ? "llvm.umax" : "llvm.umin");
        return tg_emit_intrinsic2(e, name, x, y);
    }
    if (!e->is_x86 && !(e->is_ptx && t == TG_DT_F64)) { /* PTX has min.NaN for f32 alone */
        return tg_emit_intrinsic2(e, is_max ? "llvm.maximum" : "llvm.minimum", x, y);
    }
    LLVMValueRef first = ordered_pick(e, is_max, x, y), second = ordered_pick(e, is_max, y, x);
    if (!is_max) {
        return float_logic(e, LLVMOr, first, second);
    }
    LLVMValueRef nan = LLVMBuildFCmp(e->builder, LLVMRealUNO, x, y, "");
    LLVMValueRef both = float_logic(e, LLVMAnd, first, second);
    if (LLVMGetTypeKind(LLVMTypeOf(x)) == LLVMVectorTypeKind) { /* a lane of ones is a NaN */
        unsigned bits = t == TG_DT_F64 ? 64 : 32, lanes = LLVMGetVectorSize(LLVMTypeOf(x));
        LLVMTypeRef wide = LLVMVectorType(tg_emit_int_type(e, bits), lanes);
        LLVMValueRef ones = LLVMBuildSExt(e->builder, nan, wide, "");
        return float_logic(e, LLVMOr, both, LLVMBuildBitCast(e->builder, ones, LLVMTypeOf(x), ""));
    }
    LLVMValueRef all = tg_emit_const_real(LLVMTypeOf(x), (double)__builtin_nanf(""));
    return LLVMBuildSelect(e->builder, nan, all, both, "");
}

/* One side a constant c: picking (c, x) gives x for NaN and for equals; a +0 maximum needs a -0
 * fixed. */
static LLVMValueRef emit_minmax(tg_emitter *e, tg_op *op, LLVMValueRef x, LLVMValueRef y) {
    bool is_max = op->code == TG_OP_MAX;
    tg_dtype t = op->results[0].type->dtype;
    double c = 0;
    if (e->is_x86 && is_max && tg_emit_orders_as_bits(&op->results[0])) {
        return tg_emit_max_bits(e, x, y);
    }
    if (e->is_x86 && tg_dtype_is_float(t)) {
        if (known_float(tg_operand(op, 0), &c)) {
            LLVMValueRef swap = x;
            x = y;
            y = swap;
        } else if (!known_float(tg_operand(op, 1), &c)) {
            return tg_emit_minmax(e, t, is_max, x, y);
        }
        bool minus_zero = c == 0 && __builtin_signbit(c), plus_zero = c == 0 && !minus_zero;
        if (c == c && !(minus_zero && !is_max)) {
            LLVMValueRef r = ordered_pick(e, is_max, y, x);
            LLVMValueRef zero = LLVMConstNull(LLVMTypeOf(r));
            return plus_zero && is_max ? LLVMBuildFAdd(e->builder, r, zero, "") : r;
        }
    }
    return tg_emit_minmax(e, t, is_max, x, y);
}

/* ---- unary --------------------------------------------------------------------------------------
 */

static LLVMValueRef emit_neg_abs(tg_emitter *e, tg_op *op, LLVMValueRef x) {
    const tg_type *t = op->results[0].type;
    bool neg = op->code == TG_OP_NEG;
    if (is_float_value(t)) {
        return neg ? LLVMBuildFNeg(e->builder, x, "") : tg_emit_intrinsic1(e, "llvm.fabs", x);
    }
    if (is_storage_float(t)) {
        uint64_t sign = UINT64_C(1) << (tg_dtype_bits(t->dtype) - 1);
        LLVMValueRef k = tg_emit_const_int(LLVMTypeOf(x), neg ? sign : sign - 1);
        return neg ? LLVMBuildXor(e->builder, x, k, "") : LLVMBuildAnd(e->builder, x, k, "");
    }
    if (neg) {
        return LLVMBuildNeg(e->builder, x, "");
    }
    if (!tg_dtype_is_signed(t->dtype)) {
        return x;
    }
    LLVMTypeRef type = LLVMTypeOf(x);
    LLVMValueRef args[2] = {x, LLVMConstNull(LLVMInt1TypeInContext(e->context))};
    return tg_emit_intrinsic(e, "llvm.abs", 1, &type, 2, args);
}

/* An NVPTX intrinsic on each element. */
static LLVMValueRef each_element(tg_emitter *e, const char *name, LLVMValueRef x) {
    LLVMBuilderRef b = e->builder;
    if (LLVMGetTypeKind(LLVMTypeOf(x)) != LLVMVectorTypeKind) {
        return tg_emit_intrinsic(e, name, 0, NULL, 1, &x);
    }
    LLVMValueRef r = LLVMGetUndef(LLVMTypeOf(x));
    for (unsigned i = 0; i < LLVMGetVectorSize(LLVMTypeOf(x)); i++) {
        LLVMValueRef at = LLVMConstInt(LLVMInt32TypeInContext(e->context), i, 0);
        LLVMValueRef v = LLVMBuildExtractElement(b, x, at, "");
        r = LLVMBuildInsertElement(b, r, tg_emit_intrinsic(e, name, 0, NULL, 1, &v), at, "");
    }
    return r;
}

static LLVMValueRef emit_math(tg_emitter *e, tg_op *op, LLVMValueRef x) {
    switch ((int)tg_attr_int(op, TG_ATTR_FN, TG_MATH_COUNT)) {
    case TG_MATH_SQRT:
        return tg_emit_intrinsic1(e, "llvm.sqrt", x);
    case TG_MATH_FLOOR:
        return tg_emit_intrinsic1(e, "llvm.floor", x);
    case TG_MATH_CEIL:
        return tg_emit_intrinsic1(e, "llvm.ceil", x);
    case TG_MATH_ROUND:
        return tg_emit_intrinsic1(e, "llvm.roundeven", x);
    case TG_MATH_EXP2:
        if (e->is_ptx && tg_attr_int(op, TG_ATTR_FAST, 0) != 0) {
            return each_element(e, "llvm.nvvm.ex2.approx.ftz.f", x);
        }
        break;
    }
    tg_emit_refuse(e, op, "the function was not expanded before code generation");
    return NULL;
}

/* ---- conversion ---------------------------------------------------------------------------------
 */

/* Two at a time where there are two. */
static LLVMValueRef to_bf16(tg_emitter *e, const tg_type *to, LLVMValueRef x) {
    LLVMBuilderRef b = e->builder;
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context), i16 = tg_emit_int_type(e, 16);
    if (LLVMGetTypeKind(LLVMTypeOf(x)) != LLVMVectorTypeKind) {
        x = tg_emit_intrinsic(e, "llvm.nvvm.f2bf16.rn", 0, NULL, 1, &x);
        return LLVMBuildBitCast(b, x, tg_emit_type(e, to), "");
    }
    unsigned n = LLVMGetVectorSize(LLVMTypeOf(x));
    LLVMValueRef r = LLVMGetUndef(LLVMVectorType(i16, n));
    for (unsigned i = 0; i + 1 < n; i += 2) {
        LLVMValueRef args[2], at[2] = {LLVMConstInt(i32, i, 0), LLVMConstInt(i32, i + 1, 0)};
        args[0] = LLVMBuildExtractElement(b, x, at[1], "");
        args[1] = LLVMBuildExtractElement(b, x, at[0], "");
        LLVMValueRef pair = tg_emit_intrinsic(e, "llvm.nvvm.ff2bf16x2.rn", 0, NULL, 2, args);
        pair = LLVMBuildBitCast(b, pair, LLVMVectorType(i16, 2), "");
        for (unsigned k = 0; k < 2; k++) {
            LLVMValueRef half = LLVMBuildExtractElement(b, pair, LLVMConstInt(i32, k, 0), "");
            r = LLVMBuildInsertElement(b, r, half, at[k], "");
        }
    }
    if (n % 2 != 0) {
        LLVMValueRef at = LLVMConstInt(i32, n - 1, 0), v = LLVMBuildExtractElement(b, x, at, "");
        v = LLVMBuildBitCast(b, tg_emit_intrinsic(e, "llvm.nvvm.f2bf16.rn", 0, NULL, 1, &v), i16,
                             "");
        r = LLVMBuildInsertElement(b, r, v, at, "");
    }
    return LLVMBuildBitCast(b, r, tg_emit_type(e, to), "");
}

static LLVMValueRef float_to_float(tg_emitter *e, tg_op *op, const tg_type *from, const tg_type *to,
                                   LLVMValueRef x) {
    LLVMBuilderRef b = e->builder;
    LLVMTypeRef half = LLVMHalfTypeInContext(e->context);
    if (from->dtype == TG_DT_F16 && to->dtype == TG_DT_F32) {
        x = LLVMBuildBitCast(b, x, tg_emit_like(e, from, half), "");
        return LLVMBuildFPExt(b, x, tg_emit_type(e, to), "");
    }
    if (from->dtype == TG_DT_F32 && to->dtype == TG_DT_F16 && !tg_attr_int(op, TG_ATTR_SAT, 0)) {
        x = LLVMBuildFPTrunc(b, x, tg_emit_like(e, from, half), "");
        return LLVMBuildBitCast(b, x, tg_emit_type(e, to), "");
    }
    if (from->dtype == TG_DT_F32 && to->dtype == TG_DT_BF16 && e->is_ptx &&
        !tg_attr_int(op, TG_ATTR_SAT, 0)) {
        return to_bf16(e, to, x);
    }
    if (from->dtype == TG_DT_F32 && to->dtype == TG_DT_F64) {
        return LLVMBuildFPExt(b, x, tg_emit_type(e, to), "");
    }
    if (from->dtype == TG_DT_F64 && to->dtype == TG_DT_F32 && !tg_attr_int(op, TG_ATTR_SAT, 0)) {
        return LLVMBuildFPTrunc(b, x, tg_emit_type(e, to), "");
    }
    if (from->dtype == to->dtype) {
        return x;
    }
    tg_emit_refuse(e, op, "the conversion was not expanded before code generation");
    return NULL;
}

static LLVMValueRef int_to_int(tg_emitter *e, const tg_type *from, const tg_type *to,
                               LLVMValueRef x) {
    LLVMTypeRef type = tg_emit_type(e, to);
    int have = from->dtype == TG_DT_BOOL ? 1 : tg_dtype_bits(from->dtype),
        want = tg_dtype_bits(to->dtype);
    if (want == have) {
        return x;
    }
    if (want < have) {
        return LLVMBuildTrunc(e->builder, x, type, "");
    }
    return tg_dtype_is_signed(from->dtype) ? LLVMBuildSExt(e->builder, x, type, "")
                                           : LLVMBuildZExt(e->builder, x, type, "");
}

static LLVMValueRef to_bool(tg_emitter *e, const tg_type *from, LLVMValueRef x) {
    LLVMValueRef zero = LLVMConstNull(LLVMTypeOf(x));
    return is_float_value(from) ? LLVMBuildFCmp(e->builder, LLVMRealUNE, x, zero, "")
                                : LLVMBuildICmp(e->builder, LLVMIntNE, x, zero, "");
}

static LLVMValueRef emit_cast(tg_emitter *e, tg_op *op, LLVMValueRef x) {
    const tg_type *from = tg_operand(op, 0)->type, *to = op->results[0].type;
    LLVMTypeRef type = tg_emit_type(e, to);
    bool from_float = tg_dtype_is_float(from->dtype), to_float = tg_dtype_is_float(to->dtype);
    if (tg_attr_int(op, TG_ATTR_ROUND, TG_ROUND_RNE) != TG_ROUND_RNE) {
        tg_emit_refuse(e, op, "the rounding was not expanded before code generation");
        return NULL;
    }
    if (from_float && to_float) {
        return float_to_float(e, op, from, to, x);
    }
    if ((from_float && !is_float_value(from)) || (to_float && !is_float_value(to))) {
        tg_emit_refuse(e, op, "the conversion was not expanded before code generation");
        return NULL;
    }
    if (to->dtype == TG_DT_BOOL) {
        return from->dtype == TG_DT_BOOL ? x : to_bool(e, from, x);
    }
    if (from_float) {
        LLVMTypeRef overload[2] = {type, LLVMTypeOf(x)};
        return tg_emit_intrinsic(
            e, tg_dtype_is_signed(to->dtype) ? "llvm.fptosi.sat" : "llvm.fptoui.sat", 2, overload,
            1, &x);
    }
    if (to_float) {
        return tg_dtype_is_signed(from->dtype) ? LLVMBuildSIToFP(e->builder, x, type, "")
                                               : LLVMBuildUIToFP(e->builder, x, type, "");
    }
    if (tg_attr_int(op, TG_ATTR_SAT, 0)) {
        tg_emit_refuse(e, op, "the saturation was not expanded before code generation");
        return NULL;
    }
    return int_to_int(e, from, to, x);
}

/* Total bits are equal; a bool counts as its byte. */
static LLVMValueRef emit_bitcast(tg_emitter *e, tg_op *op, LLVMValueRef x) {
    const tg_type *from = tg_operand(op, 0)->type, *to = op->results[0].type;
    bool from_ptr = from->kind == TG_TY_PTR, to_ptr = to->kind == TG_TY_PTR;
    if (from_ptr || to_ptr) {
        LLVMTypeRef type = tg_emit_type(e, to);
        return from_ptr == to_ptr ? x
               : from_ptr         ? LLVMBuildPtrToInt(e->builder, x, type, "")
                                  : LLVMBuildIntToPtr(e->builder, x, type, "");
    }
    if (from->dtype == TG_DT_BOOL && to->dtype != TG_DT_BOOL) {
        x = LLVMBuildZExt(e->builder, x, tg_emit_like(e, from, tg_emit_int_type(e, 8)), "");
    }
    if (to->dtype == TG_DT_BOOL && from->dtype != TG_DT_BOOL) {
        x = LLVMBuildBitCast(e->builder, x, tg_emit_like(e, to, tg_emit_int_type(e, 8)), "");
        return LLVMBuildICmp(e->builder, LLVMIntNE, x, LLVMConstNull(LLVMTypeOf(x)), "");
    }
    return LLVMBuildBitCast(e->builder, x, tg_emit_type(e, to), "");
}

/* ---- comparison ---------------------------------------------------------------------------------
 */

static LLVMValueRef emit_cmp(tg_emitter *e, tg_op *op, LLVMValueRef x, LLVMValueRef y) {
    static const LLVMRealPredicate real[] = {LLVMRealOEQ, LLVMRealUNE, LLVMRealOLT,
                                             LLVMRealOLE, LLVMRealOGT, LLVMRealOGE};
    static const LLVMIntPredicate sign[] = {LLVMIntEQ,  LLVMIntNE,  LLVMIntSLT,
                                            LLVMIntSLE, LLVMIntSGT, LLVMIntSGE};
    static const LLVMIntPredicate nosign[] = {LLVMIntEQ,  LLVMIntNE,  LLVMIntULT,
                                              LLVMIntULE, LLVMIntUGT, LLVMIntUGE};
    const tg_type *t = tg_operand(op, 0)->type;
    int64_t p = tg_attr_int(op, TG_ATTR_PRED, TG_CMP_EQ);
    if (p < 0 || p > TG_CMP_GE || is_storage_float(t)) {
        tg_emit_refuse(e, op, "storage types are converted before they are compared");
        return NULL;
    }
    if (is_float_value(t)) {
        return LLVMBuildFCmp(e->builder, real[p], x, y, "");
    }
    bool is_signed = t->kind != TG_TY_PTR && tg_dtype_is_signed(t->dtype);
    return LLVMBuildICmp(e->builder, is_signed ? sign[p] : nosign[p], x, y, "");
}

/* ---- dispatch -----------------------------------------------------------------------------------
 */

static LLVMValueRef emit_binary(tg_emitter *e, tg_op *op, LLVMValueRef x, LLVMValueRef y) {
    const tg_type *t = op->results[0].type;
    LLVMBuilderRef b = e->builder;
    bool f = is_float_value(t);
    switch ((int)op->code) {
    case TG_OP_ADD:
        return f ? LLVMBuildFAdd(b, x, y, "") : LLVMBuildAdd(b, x, y, "");
    case TG_OP_SUB:
        return f ? LLVMBuildFSub(b, x, y, "") : LLVMBuildSub(b, x, y, "");
    case TG_OP_MUL:
        return f ? LLVMBuildFMul(b, x, y, "") : LLVMBuildMul(b, x, y, "");
    case TG_OP_DIV:
        return f ? LLVMBuildFDiv(b, x, y, "") : emit_divrem(e, t, false, x, y);
    case TG_OP_REM:
        if (f) {
            tg_emit_refuse(e, op, "a float remainder was not expanded before code generation");
            return NULL;
        }
        return emit_divrem(e, t, true, x, y);
    case TG_OP_MIN:
    case TG_OP_MAX:
        return emit_minmax(e, op, x, y);
    case TG_OP_AND:
        return LLVMBuildAnd(b, x, y, "");
    case TG_OP_OR:
        return LLVMBuildOr(b, x, y, "");
    case TG_OP_XOR:
        return LLVMBuildXor(b, x, y, "");
    case TG_OP_SHL:
    case TG_OP_SHR:
        return emit_shift(e, op, x, y);
    case TG_OP_CMP:
        return emit_cmp(e, op, x, y);
    }
    return NULL;
}

static bool arithmetic_on_storage(const tg_op *op) {
    switch ((int)op->code) {
    case TG_OP_ADD:
    case TG_OP_SUB:
    case TG_OP_MUL:
    case TG_OP_DIV:
    case TG_OP_REM:
    case TG_OP_MIN:
    case TG_OP_MAX:
    case TG_OP_FMA:
    case TG_OP_MATH:
        return is_storage_float(op->results[0].type);
    }
    return false;
}

LLVMValueRef tg_emit_arith(tg_emitter *e, tg_op *op) {
    LLVMValueRef given = op->code == TG_OP_CONST_INT ? tg_emit_free(e, op) : NULL;
    if (given) {
        return given;
    }
    if (op->code == TG_OP_CONST_INT || op->code == TG_OP_CONST_FLOAT) {
        return emit_constant(e, op);
    }
    if (arithmetic_on_storage(op)) {
        tg_emit_refuse(e, op, "storage types do not take part in arithmetic");
        return NULL;
    }
    LLVMBuilderRef b = e->builder;
    LLVMValueRef x = tg_emit_operand(e, op, 0);
    LLVMValueRef y = op->n_operands > 1 ? tg_emit_operand(e, op, 1) : NULL;
    LLVMValueRef z = op->n_operands > 2 ? tg_emit_operand(e, op, 2) : NULL;
    switch ((int)op->code) {
    case TG_OP_NEG:
    case TG_OP_ABS:
        return emit_neg_abs(e, op, x);
    case TG_OP_NOT:
        return LLVMBuildNot(b, x, "");
    case TG_OP_POPCOUNT:
        return tg_emit_intrinsic1(e, "llvm.ctpop", x);
    case TG_OP_MATH:
        return emit_math(e, op, x);
    case TG_OP_CAST:
        return emit_cast(e, op, x);
    case TG_OP_BITCAST:
        return emit_bitcast(e, op, x);
    case TG_OP_SELECT:
        return LLVMBuildSelect(b, x, y, z, "");
    case TG_OP_FMA:
        if (is_float_value(op->results[0].type)) {
            LLVMTypeRef type = LLVMTypeOf(x);
            LLVMValueRef args[3] = {x, y, z};
            return tg_emit_intrinsic(e, "llvm.fma", 1, &type, 3, args);
        }
        return LLVMBuildAdd(b, LLVMBuildMul(b, x, y, ""), z, "");
    }
    return emit_binary(e, op, x, y);
}

/* ---- reduction of a vector ----------------------------------------------------------------------
 */

static LLVMValueRef half_of(tg_emitter *e, LLVMValueRef v, unsigned first, unsigned count) {
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context);
    LLVMValueRef *lane = TG_NEW_ARRAY(e->arena, LLVMValueRef, count);
    for (unsigned i = 0; i < count; i++) {
        lane[i] = LLVMConstInt(i32, first + i, 0);
    }
    return LLVMBuildShuffleVector(e->builder, v, LLVMGetPoison(LLVMTypeOf(v)),
                                  LLVMConstVector(lane, count), "");
}

static LLVMValueRef combine(tg_emitter *e, tg_dtype t, tg_reduce_kind kind, bool as_bits,
                            LLVMValueRef x, LLVMValueRef y) {
    bool f = tg_dtype_is_float(t);
    switch ((int)kind) {
    case TG_RED_SUM:
        return f ? LLVMBuildFAdd(e->builder, x, y, "") : LLVMBuildAdd(e->builder, x, y, "");
    case TG_RED_PROD:
        return f ? LLVMBuildFMul(e->builder, x, y, "") : LLVMBuildMul(e->builder, x, y, "");
    case TG_RED_MIN:
        return tg_emit_minmax(e, t, false, x, y);
    case TG_RED_MAX:
        return as_bits ? tg_emit_max_bits(e, x, y) : tg_emit_minmax(e, t, true, x, y);
    }
    return NULL;
}

/* any and all: the mask as one integer, compared with none and with all. */
static LLVMValueRef reduce_mask(tg_emitter *e, LLVMValueRef v, unsigned lanes, bool any) {
    LLVMTypeRef bits = tg_emit_int_type(e, lanes);
    LLVMValueRef m = LLVMBuildBitCast(e->builder, v, bits, "");
    return any ? LLVMBuildICmp(e->builder, LLVMIntNE, m, LLVMConstNull(bits), "")
               : LLVMBuildICmp(e->builder, LLVMIntEQ, m, LLVMConstAllOnes(bits), "");
}

/* Upper half onto lower half until one lane is left; an odd lane waits for the end. */
LLVMValueRef tg_emit_reducev(tg_emitter *e, tg_op *op) {
    const tg_type *t = tg_operand(op, 0)->type;
    tg_reduce_kind kind = (tg_reduce_kind)tg_attr_int(op, TG_ATTR_RED, TG_RED_SUM);
    LLVMValueRef v = tg_emit_operand(e, op, 0);
    unsigned lanes = tg_emit_lanes(t);
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context);
    if (lanes == 0) {
        return v;
    }
    if (kind == TG_RED_ANY || kind == TG_RED_ALL) {
        return reduce_mask(e, v, lanes, kind == TG_RED_ANY);
    }
    if (kind > TG_RED_MAX) {
        tg_emit_refuse(e, op, "a vector reduces by sum, prod, min, max, any or all");
        return NULL;
    }
    LLVMValueRef odd = NULL;
    bool as_bits = e->is_x86 && tg_emit_orders_as_bits(tg_operand(op, 0));
    while (lanes > 1) {
        unsigned half = lanes / 2;
        if (lanes & 1) {
            LLVMValueRef lane =
                LLVMBuildExtractElement(e->builder, v, LLVMConstInt(i32, lanes - 1, 0), "");
            odd = odd ? combine(e, t->dtype, kind, as_bits, odd, lane) : lane;
        }
        v = combine(e, t->dtype, kind, as_bits, half_of(e, v, 0, half), half_of(e, v, half, half));
        lanes = half;
    }
    v = LLVMBuildExtractElement(e->builder, v, LLVMConstInt(i32, 0, 0), "");
    return odd ? combine(e, t->dtype, kind, as_bits, v, odd) : v;
}
