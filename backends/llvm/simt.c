/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIMT functions for NVPTX and AMDGPU: the entry's five words (core/simt.h), program and lane
 * numbers, arrays, barriers, sub-group operations; what is AMD's alone is in amdgpu.c. NVIDIA's
 * addresses are generic; LLVM infers the space of those that come from slots, which are cast from
 * global memory. AMD's are global. Loads and stores of shared arrays name their space.
 */
#include <string.h>

#include "backends/llvm/emit.h"
#include "ir/matrix.h"
#include "ir/tensor_map.h"

/* STATIC_SHARED: the most that code may declare; beyond it the launch gives what the record says
 * (CUDA C++ Programming Guide, "Shared Memory" of compute capability 8.x). */
enum {
    GLOBAL = TG_EMIT_GLOBAL,
    SHARED = TG_EMIT_SHARED,
    PTX_KERNEL_CALL = 71,
    STATIC_SHARED = 48 << 10
};

static LLVMTypeRef i32_of(tg_emitter *e) { return LLVMInt32TypeInContext(e->context); }
static LLVMTypeRef i64_of(tg_emitter *e) { return LLVMInt64TypeInContext(e->context); }
static LLVMValueRef const32(tg_emitter *e, int64_t v) {
    return LLVMConstInt(i32_of(e), (uint64_t)v, 1);
}

/* A 64-bit word as an address of global memory; NVIDIA: in generic form. */
LLVMValueRef tg_emit_global_address(tg_emitter *e, LLVMValueRef word) {
    LLVMValueRef p =
        LLVMBuildIntToPtr(e->builder, word, LLVMPointerTypeInContext(e->context, GLOBAL), "");
    return e->is_amd
               ? p
               : LLVMBuildAddrSpaceCast(e->builder, p, LLVMPointerTypeInContext(e->context, 0), "");
}

/* ---- entries ----------------------------------------------------------------------------------
 */

static LLVMValueRef special(tg_emitter *e, const char *name) {
    return tg_emit_intrinsic(e, name, 0, NULL, 0, NULL);
}

static void annotate(tg_emitter *e, const char *what, int64_t v) {
    LLVMMetadataRef parts[3] = {LLVMValueAsMetadata(e->function),
                                LLVMMDStringInContext2(e->context, what, strlen(what)),
                                LLVMValueAsMetadata(const32(e, v))};
    LLVMAddNamedMetadataOperand(
        e->module, "nvvm.annotations",
        LLVMMetadataAsValue(e->context, LLVMMDNodeInContext2(e->context, parts, 3)));
}

/* Lanes of r give registers to others. What a block starts with follows from its greatest number of
 * threads and the fewest blocks of a multiprocessor: ptxas ignores setmaxnreg without both (its
 * message C7508). */
bool tg_emit_moves_registers(const tg_region *r) {
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        for (int i = 0; i < op->n_regions; i++) {
            if (tg_emit_moves_registers(op->regions[i])) {
                return true;
            }
        }
        if (op->code == TG_OP_SETREGS) {
            return true;
        }
    }
    return false;
}

void tg_emit_simt_declare(tg_emitter *e, tg_func *f) {
    LLVMTypeRef params[6 + TG_MAX_MAPS] = {i64_of(e), i64_of(e), i64_of(e), i64_of(e), i64_of(e)};
    int n_maps = tg_tensor_maps(f, NULL, 0);
    if (n_maps > TG_MAX_MAPS) {
        tg_emit_refuse(e, f->body->first, "a kernel has at most 16 tensor maps");
        n_maps = TG_MAX_MAPS;
    }
    unsigned n = tg_emit_map_types(e, n_maps, params);
    LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(e->context), params, n, 0);
    e->function = LLVMAddFunction(e->module, tg_simt_entry_name(e->arena, f), type);
    if (e->is_amd) {
        tg_emit_amd_entry(e, f->lanes > 0 ? (int)f->lanes : 1);
        return;
    }
    LLVMSetFunctionCallConv(e->function, PTX_KERNEL_CALL);
    tg_emit_map_attributes(e, n_maps);
    annotate(e, "reqntidx", f->lanes > 0 ? f->lanes : 1);
    annotate(e, "reqntidy", 1);
    annotate(e, "reqntidz", 1);
    if (tg_emit_moves_registers(f->body)) {
        annotate(e, "minctasm", 1);
    }
}

const char *tg_emit_ptx_head(tg_emitter *e, const char *text) {
    static const char version[] = ".version ", space[] = ".address_size";
    const char *from = strstr(text, version), *rest = from ? strstr(from, space) : NULL;
    if (rest == NULL) {
        tg_error(e->sink, TG_D_BACKEND, (tg_span){0}, "the text for %s has no head",
                 e->machine->name);
        e->failed = true;
        return text;
    }
    return tg_arena_printf(e->arena, "%.*s.version 8.7\n.target %s\n%s", (int)(from - text), text,
                           e->machine->name, rest);
}

static LLVMValueRef wide(tg_emitter *e, LLVMValueRef x) {
    return LLVMBuildZExt(e->builder, x, i64_of(e), "");
}

/* Number of the work-group in the launch. */
static LLVMValueRef group_of(tg_emitter *e) {
    LLVMBuilderRef b = e->builder;
    if (e->is_amd) {
        return wide(e, tg_emit_amd_group(e));
    }
    LLVMValueRef x = wide(e, special(e, "llvm.nvvm.read.ptx.sreg.ctaid.x"));
    LLVMValueRef y = wide(e, special(e, "llvm.nvvm.read.ptx.sreg.ctaid.y"));
    LLVMValueRef nx = wide(e, special(e, "llvm.nvvm.read.ptx.sreg.nctaid.x"));
    return LLVMBuildAdd(b, x, LLVMBuildMul(b, y, nx, ""), "");
}

static LLVMValueRef lane_of(tg_emitter *e) {
    return e->is_amd ? tg_emit_amd_lane(e) : special(e, "llvm.nvvm.read.ptx.sreg.tid.x");
}

/* Program number; a block past the last one returns at once. */
static LLVMValueRef program_of(tg_emitter *e, LLVMValueRef first, LLVMValueRef end) {
    LLVMBuilderRef b = e->builder;
    LLVMValueRef p = LLVMBuildAdd(b, first, group_of(e), "");
    LLVMBasicBlockRef past = tg_emit_block(e, "past"), in = tg_emit_block(e, "program");
    LLVMBuildCondBr(b, LLVMBuildICmp(b, LLVMIntSGE, p, end, ""), past, in);
    LLVMPositionBuilderAtEnd(b, past);
    LLVMBuildRetVoid(b);
    LLVMPositionBuilderAtEnd(b, in);
    return p;
}

/* One name for all kernels of a module: each launch says how much there is. */
static void make_dynamic_shared(tg_emitter *e) {
    static const char name[] = "dynamic_shared";
    e->shared = LLVMGetNamedGlobal(e->module, name);
    if (e->shared == NULL) {
        LLVMTypeRef bytes = LLVMArrayType2(tg_emit_int_type(e, 8), 0);
        e->shared = LLVMAddGlobalInAddressSpace(e->module, bytes, name, SHARED);
        LLVMSetLinkage(e->shared, LLVMExternalLinkage);
        LLVMSetAlignment(e->shared, TG_SWIZZLE_ALIGN);
    }
}

static void make_shared(tg_emitter *e, const tg_func *f) {
    if (f->shared_bytes <= 0) {
        return;
    }
    if (e->is_ptx && f->shared_bytes > STATIC_SHARED) {
        make_dynamic_shared(e);
        return;
    }
    LLVMTypeRef bytes = LLVMArrayType2(tg_emit_int_type(e, 8), (uint64_t)f->shared_bytes);
    e->shared = LLVMAddGlobalInAddressSpace(
        e->module, bytes, tg_arena_printf(e->arena, "%s_shared", LLVMGetValueName(e->function)),
        SHARED);
    LLVMSetLinkage(e->shared, LLVMInternalLinkage);
    LLVMSetInitializer(e->shared, LLVMGetUndef(bytes));
    LLVMSetAlignment(e->shared, TG_SWIZZLE_ALIGN);
}

static void set_argument(tg_emitter *e, const tg_func *f, int i, LLVMValueRef v) {
    if (i < f->body->n_args) {
        tg_emit_set(e, f->body->args[i], v);
    }
}

void tg_emit_simt_arguments(tg_emitter *e, tg_func *f) {
    LLVMValueRef first = LLVMGetParam(e->function, 1), scratch = LLVMGetParam(e->function, 3);
    bool plan = f->role && strcmp(f->role, "plan") == 0;
    e->shared = NULL;
    e->report = tg_emit_global_address(e, LLVMGetParam(e->function, 4));
    e->program = first;
    set_argument(e, f, 0, tg_emit_global_address(e, LLVMGetParam(e->function, 0)));
    if (plan) {
        set_argument(e, f, 1, tg_emit_global_address(e, scratch));
        return;
    }
    e->program = program_of(e, first, LLVMGetParam(e->function, 2));
    LLVMValueRef own = LLVMBuildSub(e->builder, e->program, first, "");
    own = LLVMBuildMul(e->builder, own, LLVMConstInt(i64_of(e), (uint64_t)f->scratch_bytes, 0), "");
    make_shared(e, f);
    set_argument(e, f, 1, e->program);
    set_argument(e, f, 2, lane_of(e));
    set_argument(e, f, 3, tg_emit_global_address(e, LLVMBuildAdd(e->builder, scratch, own, "")));
    set_argument(e, f, 4, e->report);
}

/* The report (core/simt.h): whoever is first writes line and program. Lanes go on. */
void tg_emit_simt_record(tg_emitter *e, int line, int64_t code) {
    LLVMBuilderRef b = e->builder;
    LLVMBasicBlockRef won = tg_emit_block(e, "report"), done = tg_emit_block(e, "");
    LLVMValueRef swap =
        LLVMBuildAtomicCmpXchg(b, e->report, const32(e, 0), const32(e, code),
                               LLVMAtomicOrderingMonotonic, LLVMAtomicOrderingMonotonic, 0);
    LLVMSetAlignment(swap, 4);
    LLVMBuildCondBr(b, LLVMBuildExtractValue(b, swap, 1, ""), won, done);
    LLVMPositionBuilderAtEnd(b, won);
    LLVMValueRef high = LLVMBuildLShr(b, e->program, LLVMConstInt(i64_of(e), 32, 0), "");
    LLVMValueRef words[3] = {const32(e, line), LLVMBuildTrunc(b, e->program, i32_of(e), ""),
                             LLVMBuildTrunc(b, high, i32_of(e), "")};
    for (int i = 0; i < 3; i++) {
        LLVMValueRef at = const32(e, i + 1);
        LLVMValueRef p = LLVMBuildGEP2(b, i32_of(e), e->report, &at, 1, "");
        LLVMSetAlignment(LLVMBuildStore(b, words[i], p), 4);
    }
    LLVMBuildBr(b, done);
    LLVMPositionBuilderAtEnd(b, done);
}

/* ---- arrays -----------------------------------------------------------------------------------
 */

static unsigned array_bytes(const tg_type *t) {
    return t->dtype == TG_DT_BOOL ? 1u : (unsigned)((tg_dtype_bits(t->dtype) + 7) / 8);
}

static LLVMTypeRef element_type(tg_emitter *e, const tg_type *t) {
    return t->dtype == TG_DT_BOOL ? tg_emit_int_type(e, 8) : tg_emit_dtype(e, t->dtype);
}

/* Shared ones are places in the program's shared memory, private ones variables of the lane. */
static LLVMValueRef emit_array(tg_emitter *e, tg_op *op) {
    const tg_type *t = op->results[0].type;
    if (t->space == TG_SPACE_SHARED) {
        LLVMValueRef at = const32(e, tg_attr_int(op, TG_ATTR_OFFSET, 0));
        return LLVMBuildGEP2(e->builder, tg_emit_int_type(e, 8), e->shared, &at, 1, "");
    }
    LLVMBasicBlockRef back = LLVMGetInsertBlock(e->builder);
    LLVMPositionBuilderBefore(e->builder, e->alloca_mark);
    LLVMValueRef p =
        LLVMBuildAlloca(e->builder, LLVMArrayType2(element_type(e, t), (uint64_t)t->shape[0]), "");
    LLVMSetAlignment(p, 16);
    LLVMPositionBuilderAtEnd(e->builder, back);
    return p;
}

LLVMValueRef tg_emit_place(tg_emitter *e, tg_op *op) {
    const tg_type *t = tg_operand(op, 0)->type;
    LLVMValueRef index = tg_emit_operand(e, op, 1);
    if (t->shape[0] == 1) { /* there is no other element; a run-time index costs the register */
        index = LLVMConstNull(LLVMTypeOf(index));
    }
    return LLVMBuildInBoundsGEP2(e->builder, element_type(e, t), tg_emit_operand(e, op, 0), &index,
                                 1, "");
}

static unsigned alignment(const tg_op *op) {
    return (unsigned)tg_attr_int(op, TG_ATTR_ALIGN, 1) * array_bytes(tg_operand(op, 0)->type);
}

static LLVMValueRef emit_aload(tg_emitter *e, tg_op *op) {
    const tg_type *t = op->results[0].type;
    LLVMTypeRef type = tg_emit_like(e, t, element_type(e, t));
    LLVMValueRef x = LLVMBuildLoad2(e->builder, type, tg_emit_place(e, op), "");
    LLVMSetAlignment(x, alignment(op));
    return t->dtype == TG_DT_BOOL ? LLVMBuildICmp(e->builder, LLVMIntNE, x, LLVMConstNull(type), "")
                                  : x;
}

static void emit_astore(tg_emitter *e, tg_op *op) {
    const tg_type *t = tg_operand(op, 2)->type;
    LLVMValueRef x = tg_emit_operand(e, op, 2);
    if (t->dtype == TG_DT_BOOL) {
        x = LLVMBuildZExt(e->builder, x, tg_emit_like(e, t, tg_emit_int_type(e, 8)), "");
    }
    LLVMSetAlignment(LLVMBuildStore(e->builder, x, tg_emit_place(e, op)), alignment(op));
}

static LLVMValueRef emit_aatomic(tg_emitter *e, tg_op *op) {
    tg_dtype t = op->results[0].type->dtype;
    bool s = tg_dtype_is_signed(t);
    LLVMValueRef p = tg_emit_place(e, op), v = tg_emit_operand(e, op, 2);
    LLVMAtomicRMWBinOp rmw = LLVMAtomicRMWBinOpAdd;
    switch ((tg_atomic_kind)tg_attr_int(op, TG_ATTR_ATOMIC, 0)) {
    case TG_ATOMIC_MIN:
        rmw = s ? LLVMAtomicRMWBinOpMin : LLVMAtomicRMWBinOpUMin;
        break;
    case TG_ATOMIC_MAX:
        rmw = s ? LLVMAtomicRMWBinOpMax : LLVMAtomicRMWBinOpUMax;
        break;
    case TG_ATOMIC_CAS: {
        LLVMValueRef pair =
            LLVMBuildAtomicCmpXchg(e->builder, p, tg_emit_operand(e, op, 3), v,
                                   LLVMAtomicOrderingMonotonic, LLVMAtomicOrderingMonotonic, 0);
        return LLVMBuildExtractValue(e->builder, pair, 0, "");
    }
    case TG_ATOMIC_ADD:
    default:
        break;
    }
    return LLVMBuildAtomicRMW(e->builder, rmw, p, v, LLVMAtomicOrderingMonotonic, 0);
}

/* ---- lanes together ---------------------------------------------------------------------------
 */

static LLVMValueRef shuffle_word(tg_emitter *e, tg_shuffle_mode mode, LLVMValueRef x,
                                 LLVMValueRef which) {
    static const char *const names[] = {
        [TG_SHUFFLE_XOR] = "llvm.nvvm.shfl.sync.bfly.i32",
        [TG_SHUFFLE_INDEX] = "llvm.nvvm.shfl.sync.idx.i32",
        [TG_SHUFFLE_UP] = "llvm.nvvm.shfl.sync.up.i32",
        [TG_SHUFFLE_DOWN] = "llvm.nvvm.shfl.sync.down.i32",
    };
    if (e->is_amd) {
        return tg_emit_amd_shuffle(e, mode, x, which);
    }
    int clamp = mode == TG_SHUFFLE_UP ? 0 : 31;
    LLVMValueRef args[4] = {const32(e, -1), x, which, const32(e, clamp)};
    return tg_emit_intrinsic(e, names[mode], 0, NULL, 4, args);
}

/* Any scalar as one word or two. */
static LLVMValueRef emit_shfl(tg_emitter *e, tg_op *op) {
    tg_shuffle_mode mode = (tg_shuffle_mode)tg_attr_int(op, TG_ATTR_SHUFFLE, 0);
    const tg_type *t = op->results[0].type;
    LLVMBuilderRef b = e->builder;
    LLVMValueRef which = tg_emit_operand(e, op, 1), x = tg_emit_operand(e, op, 0);
    unsigned bits = t->dtype == TG_DT_BOOL ? 1u : (unsigned)tg_dtype_bits(t->dtype);
    LLVMTypeRef own = LLVMTypeOf(x), word = tg_emit_int_type(e, bits < 8 && bits > 1 ? 8 : bits);
    if (tg_emit_lanes(t) > 0) {
        tg_emit_refuse(e, op, "a shuffle moves scalars");
        return NULL;
    }
    x = LLVMBuildBitCast(b, x, word, "");
    if (bits == 64) {
        LLVMValueRef shift = LLVMConstInt(i64_of(e), 32, 0);
        LLVMValueRef low = shuffle_word(e, mode, LLVMBuildTrunc(b, x, i32_of(e), ""), which);
        LLVMValueRef high = LLVMBuildTrunc(b, LLVMBuildLShr(b, x, shift, ""), i32_of(e), "");
        high = shuffle_word(e, mode, high, which);
        x = LLVMBuildOr(b, wide(e, low), LLVMBuildShl(b, wide(e, high), shift, ""), "");
    } else {
        x = bits < 32 ? LLVMBuildZExt(b, x, i32_of(e), "") : x;
        x = shuffle_word(e, mode, x, which);
        x = bits < 32 ? LLVMBuildTrunc(b, x, word, "") : x;
    }
    return LLVMBuildBitCast(b, x, own, "");
}

static LLVMValueRef emit_ballot(tg_emitter *e, tg_op *op) {
    LLVMTypeRef type = tg_emit_type(e, op->results[0].type);
    LLVMValueRef args[2] = {const32(e, -1), tg_emit_operand(e, op, 0)};
    if (e->is_amd) {
        return LLVMBuildZExtOrBitCast(e->builder, tg_emit_amd_ballot(e, args[1]), type, "");
    }
    LLVMValueRef x = tg_emit_intrinsic(e, "llvm.nvvm.vote.ballot.sync", 0, NULL, 2, args);
    return tg_dtype_bits(op->results[0].type->dtype) == 64 ? wide(e, x) : x;
}

/* cp.async (PTX ISA 8.5, 9.7.8.24.3): of 16 bytes past the first cache. */
static void emit_acopy(tg_emitter *e, tg_op *op) {
    int64_t bytes = tg_attr_int(op, TG_ATTR_BYTES, 0);
    LLVMTypeRef global = LLVMPointerTypeInContext(e->context, GLOBAL);
    LLVMValueRef args[2] = {
        tg_emit_place(e, op),
        LLVMBuildAddrSpaceCast(e->builder, tg_emit_operand(e, op, 2), global, "")};
    const char *name = tg_arena_printf(e->arena, "llvm.nvvm.cp.async.%s.shared.global.%d",
                                       bytes == 16 ? "cg" : "ca", (int)bytes);
    tg_emit_intrinsic(e, name, 0, NULL, 2, args);
}

static void emit_aland(tg_emitter *e, tg_op *op) {
    LLVMValueRef n = const32(e, tg_attr_int(op, TG_ATTR_N, 0));
    tg_emit_intrinsic(e, "llvm.nvvm.cp.async.wait.group", 0, NULL, 1, &n);
}

/* The others are NVIDIA's alone: copies that land by themselves, and what waits for them. */
static bool amd_has(const tg_op *op) {
    switch ((int)op->code) {
    case TG_OP_ARRAY:
    case TG_OP_ALOAD:
    case TG_OP_ASTORE:
    case TG_OP_AATOMIC:
    case TG_OP_SHFL:
    case TG_OP_BALLOT:
    case TG_OP_FRAGLOAD:
    case TG_OP_MMA:
    case TG_OP_BARRIER:
        return true;
    }
    return false;
}

bool tg_emit_simt(tg_emitter *e, tg_op *op, LLVMValueRef *out) {
    if (e->is_amd && !amd_has(op)) {
        return false;
    }
    switch ((int)op->code) {
    case TG_OP_ARRAY:
        *out = emit_array(e, op);
        return true;
    case TG_OP_ALOAD:
        *out = emit_aload(e, op);
        return true;
    case TG_OP_ASTORE:
        emit_astore(e, op);
        return true;
    case TG_OP_AATOMIC:
        *out = emit_aatomic(e, op);
        return true;
    case TG_OP_SHFL:
        *out = emit_shfl(e, op);
        return true;
    case TG_OP_BALLOT:
        *out = emit_ballot(e, op);
        return true;
    case TG_OP_ACOPY:
        emit_acopy(e, op);
        return true;
    case TG_OP_AGROUP:
        tg_emit_intrinsic(e, "llvm.nvvm.cp.async.commit.group", 0, NULL, 0, NULL);
        return true;
    case TG_OP_ALAND:
        emit_aland(e, op);
        return true;
    case TG_OP_FRAGLOAD:
        *out = tg_emit_fragload(e, op);
        return true;
    case TG_OP_MMA:
        *out = tg_emit_mma(e, op);
        return true;
    }
    return tg_emit_meet(e, op) || tg_emit_products(e, op, out) || tg_emit_bulk(e, op, out);
}
