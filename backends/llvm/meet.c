/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How lanes meet on NVPTX: barriers, barriers in shared memory, registers given from one group of
 * lanes to another. LLVM 19 lacks most of these, and what it has makes a block of every wait; so
 * each is one line of assembly, a wait with its loop inside, an arrival with its predicate.
 */
#include <string.h>

#include "backends/llvm/emit.h"

/* $0 is the address of the barrier; sections of PTX ISA 8.5. */
static const struct {
    const char *name, *text, *constraints;
} rows[] = {
    /* 9.7.13.15.9, sm_80 */
    {"init", "mbarrier.init.shared.b64 [$0], $1;", "l,r"},
    /* 9.7.13.15.13, sm_80: releases what the lane did, to the block */
    {"arrive", "{ .reg .b64 s; @$1 mbarrier.arrive.shared.b64 s, [$0]; }", "l,b"},
    /* 9.7.13.15.13, sm_90 */
    {"expect", "{ .reg .b64 s; @$2 mbarrier.arrive.expect_tx.shared.b64 s, [$0], $1; }", "l,r,b"},
    /* 9.7.13.15.15, sm_80 */
    {"copied", "cp.async.mbarrier.arrive.noinc.shared.b64 [$0];", "l"},
    /* 9.7.13.15.16, sm_80 */
    {"test",
     "{ .reg .pred p; TG_WAIT_${:uid}: mbarrier.test_wait.parity.shared.b64 p, [$0], $1; "
     "@!p bra.uni TG_WAIT_${:uid}; }",
     "l,r"},
    /* 9.7.13.15.16, sm_90: sleeps for a while */
    {"try",
     "{ .reg .pred p; TG_WAIT_${:uid}: mbarrier.try_wait.parity.shared.b64 p, [$0], $1; "
     "@!p bra.uni TG_WAIT_${:uid}; }",
     "l,r"},
    /* 9.7.13.1, all: of the lanes that name the number */
    {"named", "bar.sync $0, $1;", "r,n"},
    /* 9.7.19.5, sm_90a */
    {"more", "setmaxnreg.inc.sync.aligned.u32 $0;", "n"},
    {"fewer", "setmaxnreg.dec.sync.aligned.u32 $0;", "n"},
};

static LLVMValueRef const32(tg_emitter *e, int64_t v) {
    return LLVMConstInt(LLVMInt32TypeInContext(e->context), (uint64_t)v, 1);
}

static void emit_row(tg_emitter *e, const char *name, unsigned n, LLVMValueRef *args) {
    LLVMTypeRef types[3];
    size_t i = 0;
    while (strcmp(rows[i].name, name) != 0) {
        i++;
    }
    for (unsigned k = 0; k < n; k++) {
        types[k] = LLVMTypeOf(args[k]);
    }
    LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(e->context), types, n, 0);
    const char *constraints = tg_arena_printf(e->arena, "%s,~{memory}", rows[i].constraints);
    LLVMValueRef text = LLVMGetInlineAsm(type, rows[i].text, strlen(rows[i].text), constraints,
                                         strlen(constraints), 1, 0, LLVMInlineAsmDialectATT, 0);
    LLVMValueRef call = LLVMBuildCall2(e->builder, type, text, args, n, "");
    unsigned kind = LLVMGetEnumAttributeKindForName("convergent", strlen("convergent"));
    LLVMAddCallSiteAttribute(call, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                             LLVMCreateEnumAttribute(e->context, kind, 0));
}

static bool is_hopper(const tg_emitter *e) {
    return strncmp(e->machine->llvm_cpu, "sm_9", 4) == 0 ||
           strncmp(e->machine->llvm_cpu, "sm_1", 4) == 0;
}

static void emit_mbar(tg_emitter *e, tg_op *op) {
    LLVMValueRef args[3] = {LLVMBuildPtrToInt(e->builder, tg_emit_place(e, op),
                                              LLVMInt64TypeInContext(e->context), "")};
    for (int i = 2; i < op->n_operands; i++) {
        args[i - 1] = tg_emit_operand(e, op, i);
    }
    switch ((int)op->code) {
    case TG_OP_MBAR_INIT:
        args[1] = const32(e, tg_attr_int(op, TG_ATTR_N, 1));
        emit_row(e, "init", 2, args);
        return;
    case TG_OP_MBAR_ARRIVE:
        emit_row(e, "arrive", 2, args);
        return;
    case TG_OP_MBAR_EXPECT:
        if (!is_hopper(e)) {
            tg_emit_refuse(e, op, "no copies bring bytes to a barrier");
            return;
        }
        emit_row(e, "expect", 3, args);
        return;
    case TG_OP_MBAR_COPIED:
        emit_row(e, "copied", 1, args);
        return;
    case TG_OP_MBAR_WAIT:
        emit_row(e, is_hopper(e) ? "try" : "test", 2, args);
        return;
    }
}

/* bar.sync orders shared and global memory of the threads that meet (PTX ISA 9.7.13.1), and so does
 * bar.warp.sync (9.7.13.2). */
static void emit_barrier(tg_emitter *e, tg_op *op) {
    int64_t n = tg_attr_int(op, TG_ATTR_N, 0);
    if (e->is_amd) {
        if (n > 0) {
            tg_emit_refuse(e, op, "barriers of roles");
        } else {
            tg_emit_amd_barrier(e);
        }
    } else if (n == 0) {
        tg_emit_intrinsic(e, "llvm.nvvm.barrier0", 0, NULL, 0, NULL);
    } else if (op->n_operands > 0) {
        LLVMValueRef args[2] = {tg_emit_operand(e, op, 0), const32(e, n)};
        emit_row(e, "named", 2, args);
    } else if (n == e->machine->subgroup) {
        LLVMValueRef all = const32(e, -1);
        tg_emit_intrinsic(e, "llvm.nvvm.bar.warp.sync", 0, NULL, 1, &all);
    } else {
        tg_emit_refuse(e, op, "a barrier of other lanes than a warp's");
    }
}

static void emit_setregs(tg_emitter *e, tg_op *op) {
    LLVMValueRef n = const32(e, tg_attr_int(op, TG_ATTR_N, 0));
    if ((e->machine->simt & TG_SIMT_SETREGS) == 0) {
        tg_emit_refuse(e, op, "registers stay with their lanes");
        return;
    }
    emit_row(e, tg_attr_int(op, TG_ATTR_DESC, 0) != 0 ? "fewer" : "more", 1, &n);
}

bool tg_emit_meet(tg_emitter *e, tg_op *op) {
    switch ((int)op->code) {
    case TG_OP_BARRIER:
        emit_barrier(e, op);
        return true;
    case TG_OP_SETREGS:
        emit_setregs(e, op);
        return true;
    case TG_OP_MBAR_INIT:
    case TG_OP_MBAR_ARRIVE:
    case TG_OP_MBAR_EXPECT:
    case TG_OP_MBAR_COPIED:
    case TG_OP_MBAR_WAIT:
        emit_mbar(e, op);
        return true;
    }
    return false;
}
