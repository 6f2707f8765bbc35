/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIMT functions for AMD's machines: entries, the lane's and the group's number, barriers, words
 * from other lanes.
 *
 * An entry takes the five words of core/simt.h as its kernel arguments and nothing else: no hidden
 * arguments, no dispatch packet. The grid has one dimension. Every entry says its work-group
 * exactly, as LLVM otherwise keeps registers free for 1024 lanes.
 *
 * A barrier is release fence, s_barrier, acquire fence of the work-group, between two scheduling
 * barriers: without those LLVM 19's scheduling hints move LDS accesses across it. C's interface
 * has no scopes of fences before LLVM 20, so the two are parsed once and copied.
 *
 * Words travel between lanes by DPP where the pattern is one of its own (CDNA3 ISA 6.3, RDNA3 ISA
 * 6.1), by ds_swizzle within 32 lanes, else by ds_bpermute, which takes any lane.
 */
#include <string.h>

#include <llvm-c/IRReader.h>

#include "backends/llvm/emit.h"

enum {
    AMD_KERNEL_CALL = 91,
    CODE_OBJECT_V5 = 500,
    AGPR_LANES = 512, /* from here on a lane's registers are no more than the vector ones */
    SWIZZLE_LANES = 32,
    /* controls of DPP */
    QUAD_PERM = 0x000,
    ROW_ROTATE = 0x120,
    ROW_HALF_MIRROR = 0x141,
    ROW_LANES = 16
};

static LLVMTypeRef i32_of(tg_emitter *e) { return LLVMInt32TypeInContext(e->context); }

static LLVMValueRef const32(tg_emitter *e, int64_t v) {
    return LLVMConstInt(i32_of(e), (uint64_t)v, 1);
}

/* ---- the module and its entries ---------------------------------------------------------------
 */

static const char fences[] = "define void @fences() {\n"
                             "  fence syncscope(\"workgroup\") release\n"
                             "  fence syncscope(\"workgroup\") acquire\n"
                             "  ret void\n"
                             "}\n";

static void parse_fences(tg_emitter *e) {
    char *text = NULL;
    LLVMMemoryBufferRef buffer =
        LLVMCreateMemoryBufferWithMemoryRangeCopy(fences, sizeof fences - 1, "fences");
    if (LLVMParseIRInContext(e->context, buffer, &e->fences, &text)) {
        e->failed = true;
        tg_error(e->sink, TG_D_BACKEND, (tg_span){0}, "internal error: %s", text ? text : "");
        LLVMDisposeMessage(text);
    }
}

void tg_emit_amd_module(tg_emitter *e) {
    static const char flag[] = "amdhsa_code_object_version";
    LLVMMetadataRef v = LLVMValueAsMetadata(const32(e, CODE_OBJECT_V5));
    LLVMAddModuleFlag(e->module, LLVMModuleFlagBehaviorError, flag, sizeof flag - 1, v);
    parse_fences(e);
}

static void attribute(tg_emitter *e, const char *name, const char *value) {
    LLVMAddAttributeAtIndex(e->function, (unsigned)LLVMAttributeFunctionIndex,
                            LLVMCreateStringAttribute(e->context, name, (unsigned)strlen(name),
                                                      value, (unsigned)strlen(value)));
}

void tg_emit_amd_entry(tg_emitter *e, int lanes) {
    /* What LLVM's amdgpu-attributor would find; its pass is not run. */
    static const char *const unused[] = {
        "amdgpu-no-implicitarg-ptr",   "amdgpu-no-dispatch-ptr",      "amdgpu-no-dispatch-id",
        "amdgpu-no-queue-ptr",         "amdgpu-no-workgroup-id-y",    "amdgpu-no-workgroup-id-z",
        "amdgpu-no-workitem-id-y",     "amdgpu-no-workitem-id-z",     "amdgpu-no-lds-kernel-id",
        "amdgpu-no-hostcall-ptr",      "amdgpu-no-heap-ptr",          "amdgpu-no-default-queue",
        "amdgpu-no-completion-action", "amdgpu-no-multigrid-sync-arg"};
    LLVMSetFunctionCallConv(e->function, AMD_KERNEL_CALL);
    LLVMSetVisibility(e->function, LLVMProtectedVisibility);
    attribute(e, "amdgpu-flat-work-group-size", tg_arena_printf(e->arena, "%d,%d", lanes, lanes));
    attribute(e, "uniform-work-group-size", "true");
    for (size_t i = 0; i < TG_COUNT_OF(unused); i++) {
        attribute(e, unused[i], "");
    }
    /* gfx908's matrix instructions write accumulation registers only */
    if (lanes >= AGPR_LANES && strcmp(e->machine->llvm_cpu, "gfx908") != 0) {
        attribute(e, "amdgpu-no-agpr", "");
    }
}

LLVMValueRef tg_emit_amd_group(tg_emitter *e) {
    return tg_emit_intrinsic(e, "llvm.amdgcn.workgroup.id.x", 0, NULL, 0, NULL);
}

LLVMValueRef tg_emit_amd_lane(tg_emitter *e) {
    return tg_emit_intrinsic(e, "llvm.amdgcn.workitem.id.x", 0, NULL, 0, NULL);
}

/* ---- barriers ---------------------------------------------------------------------------------
 */

static void pin(tg_emitter *e) {
    LLVMValueRef nothing = const32(e, 0); /* may cross */
    tg_emit_intrinsic(e, "llvm.amdgcn.sched.barrier", 0, NULL, 1, &nothing);
}

static void fence(tg_emitter *e, bool acquire) {
    LLVMValueRef f = LLVMGetNamedFunction(e->fences, "fences");
    LLVMValueRef inst = LLVMGetFirstInstruction(LLVMGetEntryBasicBlock(f));
    inst = acquire ? LLVMGetNextInstruction(inst) : inst;
    LLVMInsertIntoBuilder(e->builder, LLVMInstructionClone(inst));
}

void tg_emit_amd_barrier(tg_emitter *e) {
    pin(e);
    fence(e, false);
    tg_emit_intrinsic(e, "llvm.amdgcn.s.barrier", 0, NULL, 0, NULL);
    fence(e, true);
    pin(e);
}

/* ---- lanes together ---------------------------------------------------------------------------
 */

static LLVMValueRef dpp(tg_emitter *e, LLVMValueRef x, int64_t control) {
    LLVMTypeRef type = i32_of(e), i1 = LLVMInt1TypeInContext(e->context);
    LLVMValueRef args[6] = {
        x, x, const32(e, control), const32(e, 15), const32(e, 15), LLVMConstInt(i1, 1, 0)};
    return tg_emit_intrinsic(e, "llvm.amdgcn.update.dpp", 1, &type, 6, args);
}

/* Lane i of a quad takes that of lane i ^ mask. */
static int64_t quad_xor(int64_t mask) {
    return QUAD_PERM + (0 ^ mask) + (1 ^ mask) * 4 + (2 ^ mask) * 16 + (3 ^ mask) * 64;
}

static LLVMValueRef bpermute(tg_emitter *e, LLVMValueRef lane, LLVMValueRef x) {
    LLVMValueRef args[2] = {LLVMBuildShl(e->builder, lane, const32(e, 2), ""), x};
    return tg_emit_intrinsic(e, "llvm.amdgcn.ds.bpermute", 0, NULL, 2, args);
}

/* The lane's number in its wave. */
static LLVMValueRef own_lane(tg_emitter *e) {
    return LLVMBuildAnd(e->builder, tg_emit_amd_lane(e), const32(e, e->machine->subgroup - 1), "");
}

static LLVMValueRef from_xor(tg_emitter *e, LLVMValueRef x, int64_t mask) {
    if (mask < 4) {
        return dpp(e, x, quad_xor(mask));
    }
    if (mask < 8) { /* within 8 lanes: mirrored is ^ 7 */
        x = dpp(e, x, ROW_HALF_MIRROR);
        return mask == 7 ? x : dpp(e, x, quad_xor(7 - mask));
    }
    if (mask == 8) {
        return dpp(e, x, ROW_ROTATE + ROW_LANES / 2);
    }
    LLVMValueRef args[2] = {x, const32(e, mask << 10 | (SWIZZLE_LANES - 1))};
    return tg_emit_intrinsic(e, "llvm.amdgcn.ds.swizzle", 0, NULL, 2, args);
}

LLVMValueRef tg_emit_amd_shuffle(tg_emitter *e, tg_shuffle_mode mode, LLVMValueRef x,
                                 LLVMValueRef which) {
    LLVMBuilderRef b = e->builder;
    int64_t lanes = e->machine->subgroup;
    if (mode == TG_SHUFFLE_XOR && LLVMIsConstant(which)) {
        int64_t mask = (int64_t)LLVMConstIntGetZExtValue(which) & (lanes - 1);
        if (mask < SWIZZLE_LANES) {
            return from_xor(e, x, mask);
        }
    }
    if (mode == TG_SHUFFLE_INDEX) {
        return bpermute(e, which, x);
    }
    LLVMValueRef own = own_lane(e), from, outside;
    if (mode == TG_SHUFFLE_XOR) {
        return bpermute(e, LLVMBuildXor(b, own, which, ""), x);
    }
    if (mode == TG_SHUFFLE_UP) {
        from = LLVMBuildSub(b, own, which, "");
        outside = LLVMBuildICmp(b, LLVMIntSLT, from, const32(e, 0), "");
    } else {
        from = LLVMBuildAdd(b, own, which, "");
        outside = LLVMBuildICmp(b, LLVMIntSGE, from, const32(e, lanes), "");
    }
    return bpermute(e, LLVMBuildSelect(b, outside, own, from, ""), x);
}

LLVMValueRef tg_emit_amd_ballot(tg_emitter *e, LLVMValueRef x) {
    LLVMTypeRef type = tg_emit_int_type(e, (unsigned)e->machine->subgroup);
    return tg_emit_intrinsic(e, "llvm.amdgcn.ballot", 1, &type, 1, &x);
}
