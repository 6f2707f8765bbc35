/* SPDX-License-Identifier: Apache-2.0 */
/* Memory, lanes and masks. Types in memory: as in registers, but bool is a byte that is 0 or 1. */
#include "backends/llvm/emit.h"

/* The type of t's bytes in memory. */
static LLVMTypeRef memory_type(tg_emitter *e, const tg_type *t) {
    return t->dtype == TG_DT_BOOL ? tg_emit_like(e, t, tg_emit_int_type(e, 8)) : tg_emit_type(e, t);
}

static LLVMValueRef from_memory(tg_emitter *e, const tg_type *t, LLVMValueRef x) {
    if (t->kind == TG_TY_PTR || t->dtype != TG_DT_BOOL) {
        return x;
    }
    return LLVMBuildICmp(e->builder, LLVMIntNE, x, LLVMConstNull(LLVMTypeOf(x)), "");
}

static LLVMValueRef to_memory(tg_emitter *e, const tg_type *t, LLVMValueRef x) {
    if (t->kind == TG_TY_PTR || t->dtype != TG_DT_BOOL) {
        return x;
    }
    return LLVMBuildZExt(e->builder, x, memory_type(e, t), "");
}

static unsigned element_bytes(const tg_type *t) {
    return t->kind == TG_TY_PTR ? 8u : (unsigned)(tg_dtype_bits(t->dtype) / 8);
}

static unsigned alignment_of(const tg_op *op, const tg_type *t) {
    return (unsigned)tg_attr_int(op, TG_ATTR_ALIGN, element_bytes(t));
}

static bool loadable(const tg_type *t) {
    return t->kind == TG_TY_PTR || tg_dtype_bits(t->dtype) >= 8;
}

static void mark(tg_emitter *e, LLVMValueRef inst, const char *kind, unsigned len, bool with_one) {
    LLVMMetadataRef one =
        LLVMValueAsMetadata(LLVMConstInt(LLVMInt32TypeInContext(e->context), 1, 0));
    LLVMMetadataRef node = LLVMMDNodeInContext2(e->context, &one, with_one ? 1 : 0);
    LLVMSetMetadata(inst, LLVMGetMDKindIDInContext(e->context, kind, len),
                    LLVMMetadataAsValue(e->context, node));
}

static LLVMValueRef const_i32(tg_emitter *e, unsigned v) {
    return LLVMConstInt(LLVMInt32TypeInContext(e->context), v, 0);
}

/* x as a one-lane vector when it is a scalar: masked intrinsics know only vectors. */
static LLVMValueRef as_vector(tg_emitter *e, LLVMValueRef x) {
    return LLVMGetTypeKind(LLVMTypeOf(x)) == LLVMVectorTypeKind ? x : tg_emit_splat(e, x, 1);
}

/* ---- loads and stores --------------------------------------------------------------------------
 */

static LLVMValueRef emit_slot(tg_emitter *e, tg_op *op) {
    const tg_type *t = op->results[0].type;
    LLVMValueRef index = LLVMConstInt(LLVMInt64TypeInContext(e->context),
                                      (uint64_t)tg_attr_int(op, TG_ATTR_VALUE_I, 0) * 8, 0);
    LLVMValueRef slots = tg_emit_operand(e, op, 0);
    if (e->is_amd) { /* nothing changes them: scalar loads, whatever is stored in between */
        slots = LLVMBuildAddrSpaceCast(e->builder, slots,
                                       LLVMPointerTypeInContext(e->context, TG_EMIT_CONSTANT), "");
    }
    LLVMValueRef at = LLVMBuildGEP2(e->builder, tg_emit_int_type(e, 8), slots, &index, 1, "");
    bool address = e->is_simt && t->kind == TG_TY_PTR;
    LLVMTypeRef type = address ? LLVMInt64TypeInContext(e->context) : memory_type(e, t);
    LLVMValueRef x = LLVMBuildLoad2(e->builder, type, at, "");
    LLVMSetAlignment(x, 8);
    mark(e, x, "invariant.load", 14, false);
    return address ? tg_emit_global_address(e, x) : from_memory(e, t, x);
}

static LLVMValueRef emit_alloca(tg_emitter *e, tg_op *op) {
    LLVMBasicBlockRef back = LLVMGetInsertBlock(e->builder);
    LLVMPositionBuilderBefore(e->builder, e->alloca_mark);
    LLVMTypeRef bytes =
        LLVMArrayType2(tg_emit_int_type(e, 8), (uint64_t)tg_attr_int(op, TG_ATTR_BYTES, 1));
    LLVMValueRef p = LLVMBuildAlloca(e->builder, bytes, "");
    LLVMSetAlignment(p, (unsigned)tg_attr_int(op, TG_ATTR_ALIGN, 64));
    LLVMPositionBuilderAtEnd(e->builder, back);
    return p;
}

/* base + index * bytes; index may be a vector, then so is the result. */
static LLVMValueRef address(tg_emitter *e, LLVMValueRef base, LLVMValueRef index, int64_t bytes) {
    LLVMTypeRef unit = tg_emit_int_type(e, 8);
    if (bytes > 0) {
        unit = bytes == 1 ? unit : LLVMArrayType2(unit, (uint64_t)bytes);
    } else {
        index = LLVMBuildMul(e->builder, index,
                             tg_emit_const_int(LLVMTypeOf(index), (uint64_t)bytes), "");
    }
    return LLVMBuildGEP2(e->builder, unit, base, &index, 1, "");
}

static LLVMValueRef emit_gep(tg_emitter *e, tg_op *op) {
    LLVMValueRef base = tg_emit_operand(e, op, 0), index = tg_emit_operand(e, op, 1);
    LLVMValueRef bytes = tg_emit_free(e, op);
    return bytes ? address(e, base, LLVMBuildMul(e->builder, index, bytes, ""), 1)
                 : address(e, base, index, tg_attr_int(op, TG_ATTR_BYTES, 1));
}

static LLVMValueRef masked_load(tg_emitter *e, tg_op *op, LLVMTypeRef type, LLVMValueRef ptr) {
    const tg_type *t = op->results[0].type;
    LLVMValueRef mask = as_vector(e, tg_emit_operand(e, op, 1));
    LLVMValueRef rest =
        op->n_operands > 2 ? to_memory(e, t, tg_emit_operand(e, op, 2)) : LLVMConstNull(type);
    rest = as_vector(e, rest);
    LLVMTypeRef overload[2] = {LLVMTypeOf(rest), LLVMTypeOf(ptr)};
    LLVMValueRef args[4] = {ptr, const_i32(e, alignment_of(op, t)), mask, rest};
    LLVMValueRef x = tg_emit_intrinsic(e, "llvm.masked.load", 2, overload, 4, args);
    return tg_emit_lanes(t) ? x : LLVMBuildExtractElement(e->builder, x, const_i32(e, 0), "");
}

static LLVMValueRef emit_load(tg_emitter *e, tg_op *op) {
    const tg_type *t = op->results[0].type;
    LLVMTypeRef type = memory_type(e, t);
    LLVMValueRef ptr = tg_emit_operand(e, op, 0), x;
    if (op->n_operands > 1) {
        x = masked_load(e, op, type, ptr);
    } else {
        x = LLVMBuildLoad2(e->builder, type, ptr, "");
        LLVMSetAlignment(x, alignment_of(op, t));
    }
    if (tg_attr_int(op, TG_ATTR_NONTEMPORAL, 0)) {
        mark(e, x, "nontemporal", 11, true);
    }
    return from_memory(e, t, x);
}

static void masked_store(tg_emitter *e, tg_op *op, LLVMValueRef ptr, LLVMValueRef value) {
    LLVMValueRef mask = as_vector(e, tg_emit_operand(e, op, 2));
    value = as_vector(e, value);
    LLVMTypeRef overload[2] = {LLVMTypeOf(value), LLVMTypeOf(ptr)};
    LLVMValueRef args[4] = {value, ptr, const_i32(e, alignment_of(op, tg_operand(op, 1)->type)),
                            mask};
    tg_emit_intrinsic(e, "llvm.masked.store", 2, overload, 4, args);
}

static void emit_store(tg_emitter *e, tg_op *op) {
    const tg_type *t = tg_operand(op, 1)->type;
    LLVMValueRef ptr = tg_emit_operand(e, op, 0);
    LLVMValueRef value = to_memory(e, t, tg_emit_operand(e, op, 1));
    if (op->n_operands > 2) {
        masked_store(e, op, ptr, value);
        return;
    }
    LLVMValueRef store = LLVMBuildStore(e->builder, value, ptr);
    LLVMSetAlignment(store, alignment_of(op, t));
    if (tg_attr_int(op, TG_ATTR_NONTEMPORAL, 0)) {
        mark(e, store, "nontemporal", 11, true);
    }
}

/* ---- gathers and scatters ----------------------------------------------------------------------
 */

static LLVMValueRef lane_addresses(tg_emitter *e, tg_op *op) {
    const tg_type *it = tg_operand(op, 1)->type;
    LLVMValueRef index = tg_emit_operand(e, op, 1);
    LLVMTypeRef wide = tg_emit_like(e, it, LLVMInt64TypeInContext(e->context));
    index = tg_dtype_is_signed(it->dtype) ? LLVMBuildSExt(e->builder, index, wide, "")
                                          : LLVMBuildZExt(e->builder, index, wide, "");
    return as_vector(
        e, address(e, tg_emit_operand(e, op, 0), index, tg_attr_int(op, TG_ATTR_BYTES, 1)));
}

static LLVMValueRef all_true(tg_emitter *e, unsigned lanes) {
    return LLVMConstAllOnes(LLVMVectorType(LLVMInt1TypeInContext(e->context), lanes ? lanes : 1));
}

static LLVMValueRef emit_gather(tg_emitter *e, tg_op *op) {
    const tg_type *t = op->results[0].type;
    unsigned lanes = tg_emit_lanes(t);
    LLVMValueRef ptrs = lane_addresses(e, op);
    LLVMValueRef rest = as_vector(e, to_memory(e, t, tg_emit_operand(e, op, 2)));
    LLVMValueRef mask =
        op->n_operands > 3 ? as_vector(e, tg_emit_operand(e, op, 3)) : all_true(e, lanes);
    LLVMTypeRef overload[2] = {LLVMTypeOf(rest), LLVMTypeOf(ptrs)};
    LLVMValueRef args[4] = {ptrs, const_i32(e, element_bytes(t)), mask, rest};
    LLVMValueRef x = tg_emit_intrinsic(e, "llvm.masked.gather", 2, overload, 4, args);
    if (lanes == 0) {
        x = LLVMBuildExtractElement(e->builder, x, const_i32(e, 0), "");
    }
    return from_memory(e, t, x);
}

static void emit_scatter(tg_emitter *e, tg_op *op) {
    const tg_type *t = tg_operand(op, 2)->type;
    LLVMValueRef ptrs = lane_addresses(e, op);
    LLVMValueRef value = as_vector(e, to_memory(e, t, tg_emit_operand(e, op, 2)));
    LLVMValueRef mask = op->n_operands > 3 ? as_vector(e, tg_emit_operand(e, op, 3))
                                           : all_true(e, tg_emit_lanes(t));
    LLVMTypeRef overload[2] = {LLVMTypeOf(value), LLVMTypeOf(ptrs)};
    LLVMValueRef args[4] = {value, ptrs, const_i32(e, element_bytes(t)), mask};
    tg_emit_intrinsic(e, "llvm.masked.scatter", 2, overload, 4, args);
}

/* ---- block moves, prefetch, atomics ------------------------------------------------------------
 */

static void emit_prefetch(tg_emitter *e, tg_op *op) {
    LLVMValueRef ptr = tg_emit_operand(e, op, 0);
    LLVMTypeRef overload = LLVMTypeOf(ptr);
    LLVMValueRef args[4] = {ptr, const_i32(e, tg_attr_int(op, TG_ATTR_WRITE, 0) ? 1 : 0),
                            const_i32(e, (unsigned)tg_attr_int(op, TG_ATTR_LOCALITY, 3) & 3),
                            const_i32(e, 1)};
    tg_emit_intrinsic(e, "llvm.prefetch", 1, &overload, 4, args);
}

/* What the value is exchanged as: floats and pointers compare by their bits in `cas`. */
static LLVMValueRef as_bits(tg_emitter *e, LLVMValueRef x, tg_dtype t) {
    return LLVMBuildBitCast(e->builder, x, tg_emit_int_type(e, (unsigned)tg_dtype_bits(t)), "");
}

static LLVMValueRef atomic_cas(tg_emitter *e, tg_op *op, tg_dtype t) {
    LLVMValueRef want = as_bits(e, tg_emit_operand(e, op, 2), t);
    LLVMValueRef put = as_bits(e, tg_emit_operand(e, op, 1), t);
    LLVMValueRef pair =
        LLVMBuildAtomicCmpXchg(e->builder, tg_emit_operand(e, op, 0), want, put,
                               LLVMAtomicOrderingMonotonic, LLVMAtomicOrderingMonotonic, 0);
    LLVMValueRef old = LLVMBuildExtractValue(e->builder, pair, 0, "");
    return LLVMBuildBitCast(e->builder, old, tg_emit_dtype(e, t), "");
}

/* LLVM's float min and max drop a NaN; ours keep it, so these are compare-and-swap loops. */
static LLVMValueRef atomic_minmax_float(tg_emitter *e, tg_op *op, tg_dtype t, bool is_max) {
    LLVMBuilderRef b = e->builder;
    LLVMValueRef ptr = tg_emit_operand(e, op, 0), value = tg_emit_operand(e, op, 1);
    LLVMValueRef first = LLVMBuildLoad2(b, tg_emit_dtype(e, t), ptr, "");
    LLVMSetOrdering(first, LLVMAtomicOrderingMonotonic);
    LLVMSetAlignment(first, (unsigned)tg_dtype_bits(t) / 8);
    LLVMBasicBlockRef before = LLVMGetInsertBlock(b);
    LLVMBasicBlockRef loop = tg_emit_block(e, "atomic"), done = tg_emit_block(e, "");
    LLVMBuildBr(b, loop);
    LLVMPositionBuilderAtEnd(b, loop);
    LLVMValueRef old = LLVMBuildPhi(b, tg_emit_dtype(e, t), "");
    LLVMValueRef want = as_bits(e, old, t);
    LLVMValueRef put = as_bits(e, tg_emit_minmax(e, t, is_max, old, value), t);
    LLVMValueRef pair = LLVMBuildAtomicCmpXchg(b, ptr, want, put, LLVMAtomicOrderingMonotonic,
                                               LLVMAtomicOrderingMonotonic, 0);
    LLVMValueRef seen =
        LLVMBuildBitCast(b, LLVMBuildExtractValue(b, pair, 0, ""), tg_emit_dtype(e, t), "");
    LLVMBuildCondBr(b, LLVMBuildExtractValue(b, pair, 1, ""), done, loop);
    LLVMAddIncoming(old, &first, &before, 1);
    LLVMAddIncoming(old, &seen, &loop, 1);
    LLVMPositionBuilderAtEnd(b, done);
    return old;
}

static LLVMValueRef emit_atomic(tg_emitter *e, tg_op *op) {
    tg_dtype t = op->results[0].type->dtype;
    tg_atomic_kind kind = (tg_atomic_kind)tg_attr_int(op, TG_ATTR_ATOMIC, 0);
    bool is_float = tg_dtype_is_float(t), is_signed = tg_dtype_is_signed(t);
    LLVMAtomicRMWBinOp rmw = is_float ? LLVMAtomicRMWBinOpFAdd : LLVMAtomicRMWBinOpAdd;
    if (tg_dtype_is_storage(t) || t == TG_DT_BOOL || tg_emit_lanes(op->results[0].type)) {
        tg_emit_refuse(e, op, "atomics work on i8 to u64, f32 and f64 scalars");
        return NULL;
    }
    switch (kind) {
    case TG_ATOMIC_ADD:
        break;
    case TG_ATOMIC_MIN:
    case TG_ATOMIC_MAX:
        if (is_float) {
            return atomic_minmax_float(e, op, t, kind == TG_ATOMIC_MAX);
        }
        rmw = kind == TG_ATOMIC_MAX ? (is_signed ? LLVMAtomicRMWBinOpMax : LLVMAtomicRMWBinOpUMax)
                                    : (is_signed ? LLVMAtomicRMWBinOpMin : LLVMAtomicRMWBinOpUMin);
        break;
    case TG_ATOMIC_CAS:
        return atomic_cas(e, op, t);
    }
    return LLVMBuildAtomicRMW(e->builder, rmw, tg_emit_operand(e, op, 0), tg_emit_operand(e, op, 1),
                              LLVMAtomicOrderingMonotonic, 0);
}

/* ---- lanes -------------------------------------------------------------------------------------
 */

static LLVMValueRef lane_numbers(LLVMTypeRef type, unsigned lanes, tg_arena *a) {
    LLVMValueRef *v = TG_NEW_ARRAY(a, LLVMValueRef, lanes);
    LLVMTypeRef elem = LLVMGetElementType(type);
    for (unsigned i = 0; i < lanes; i++) {
        v[i] = LLVMConstInt(elem, i, 0);
    }
    return LLVMConstVector(v, lanes);
}

/*
 * Lane number below n. The comparison is as narrow as the lane count needs to fit one register: 32
 * bits for masks of 32-bit lanes, less for longer vectors.
 */
static LLVMValueRef emit_pmask(tg_emitter *e, tg_op *op) {
    unsigned lanes = tg_emit_lanes(op->results[0].type);
    LLVMValueRef n = tg_emit_operand(e, op, 0);
    LLVMTypeRef i64 = LLVMTypeOf(n);
    if (lanes == 0) {
        return LLVMBuildICmp(e->builder, LLVMIntSGT, n, LLVMConstNull(i64), "");
    }
    unsigned fit = (unsigned)e->machine->vector_bytes / lanes, bits = fit >= 4   ? 32
                                                                      : fit >= 2 ? 16
                                                                                 : 8;
    bits = lanes > 100 && bits < 16 ? 16 : bits;
    n = tg_emit_intrinsic2(e, "llvm.smax", n, LLVMConstNull(i64));
    n = tg_emit_intrinsic2(e, "llvm.smin", n, LLVMConstInt(i64, lanes, 0));
    n = LLVMBuildTrunc(e->builder, n, tg_emit_int_type(e, bits), "");
    LLVMValueRef limit = tg_emit_splat(e, n, lanes);
    return LLVMBuildICmp(e->builder, LLVMIntSLT, lane_numbers(LLVMTypeOf(limit), lanes, e->arena),
                         limit, "");
}

static LLVMValueRef emit_shuffle(tg_emitter *e, tg_op *op) {
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context);
    unsigned n = (unsigned)axes->n_list;
    LLVMValueRef *lane = TG_NEW_ARRAY(e->arena, LLVMValueRef, n);
    for (unsigned i = 0; i < n; i++) {
        lane[i] =
            axes->list[i] < 0 ? LLVMGetPoison(i32) : LLVMConstInt(i32, (uint64_t)axes->list[i], 0);
    }
    return LLVMBuildShuffleVector(e->builder, tg_emit_operand(e, op, 0), tg_emit_operand(e, op, 1),
                                  LLVMConstVector(lane, n), "");
}

static LLVMValueRef emit_maskbits(tg_emitter *e, tg_op *op) {
    LLVMValueRef mask = tg_emit_operand(e, op, 0);
    unsigned lanes = tg_emit_lanes(tg_operand(op, 0)->type);
    LLVMTypeRef u64 = LLVMInt64TypeInContext(e->context);
    LLVMTypeRef row = LLVMIntTypeInContext(e->context, lanes ? lanes : 1);
    LLVMValueRef bits = lanes ? LLVMBuildBitCast(e->builder, mask, row, "") : mask;
    return lanes == 64 ? bits : LLVMBuildZExt(e->builder, bits, u64, "");
}

static LLVMValueRef lane_op(tg_emitter *e, tg_op *op) {
    LLVMValueRef lane = const_i32(e, (unsigned)tg_attr_int(op, TG_ATTR_VALUE_I, 0));
    LLVMValueRef vec = tg_emit_operand(e, op, 0);
    if (op->code == TG_OP_EXTRACT) {
        return tg_emit_lanes(tg_operand(op, 0)->type)
                   ? LLVMBuildExtractElement(e->builder, vec, lane, "")
                   : vec;
    }
    return LLVMBuildInsertElement(e->builder, vec, tg_emit_operand(e, op, 1), lane, "");
}

static LLVMValueRef emit_lane_constant(tg_emitter *e, tg_op *op) {
    LLVMTypeRef type = tg_emit_type(e, op->results[0].type);
    unsigned lanes = tg_emit_lanes(op->results[0].type);
    return lanes ? lane_numbers(type, lanes, e->arena) : LLVMConstNull(type);
}

/* ---- dispatch ----------------------------------------------------------------------------------
 */

static bool check_loadable(tg_emitter *e, tg_op *op) {
    const tg_type *t = NULL;
    if (op->code == TG_OP_LOADM || op->code == TG_OP_GATHERM) {
        t = op->results[0].type;
    } else if (op->code == TG_OP_STOREM || op->code == TG_OP_SCATTERM) {
        t = tg_operand(op, op->code == TG_OP_STOREM ? 1 : 2)->type;
    }
    if (t && !loadable(t)) {
        tg_emit_refuse(e, op, "elements below one byte are read as u8 and unpacked");
        return false;
    }
    return true;
}

LLVMValueRef tg_emit_memory(tg_emitter *e, tg_op *op) {
    if (!check_loadable(e, op)) {
        return NULL;
    }
    LLVMBuilderRef b = e->builder;
    unsigned lanes = op->n_results ? tg_emit_lanes(op->results[0].type) : 0;
    switch ((int)op->code) {
    case TG_OP_SLOT:
        return emit_slot(e, op);
    case TG_OP_ALLOCA:
        return emit_alloca(e, op);
    case TG_OP_GEP:
        return emit_gep(e, op);
    case TG_OP_LOADM:
        return emit_load(e, op);
    case TG_OP_STOREM:
        emit_store(e, op);
        return NULL;
    case TG_OP_GATHERM:
        return emit_gather(e, op);
    case TG_OP_SCATTERM:
        emit_scatter(e, op);
        return NULL;
    case TG_OP_PREFETCH:
        emit_prefetch(e, op);
        return NULL;
    case TG_OP_MEMSET:
        LLVMBuildMemSet(b, tg_emit_operand(e, op, 0), tg_emit_operand(e, op, 1),
                        tg_emit_operand(e, op, 2), 1);
        return NULL;
    case TG_OP_MEMCPY:
        LLVMBuildMemCpy(b, tg_emit_operand(e, op, 0), 1, tg_emit_operand(e, op, 1), 1,
                        tg_emit_operand(e, op, 2));
        return NULL;
    case TG_OP_SPLAT:
        return tg_emit_splat(e, tg_emit_operand(e, op, 0), lanes);
    case TG_OP_EXTRACT:
    case TG_OP_INSERT:
        return lane_op(e, op);
    case TG_OP_SHUFFLE:
        return emit_shuffle(e, op);
    case TG_OP_LANES:
        return emit_lane_constant(e, op);
    case TG_OP_PMASK:
        return emit_pmask(e, op);
    case TG_OP_MASKBITS:
        return emit_maskbits(e, op);
    case TG_OP_ATOMICM:
        return emit_atomic(e, op);
    }
    return NULL;
}
