/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions and structured control flow. A region becomes a run of basic blocks; region arguments
 * and the results of for, while and if become phis.
 *
 *   for:    [guard lo < hi] ─▶ body(iv, carried) ─▶ latch ─▶ body | exit      (tested at the end)
 *   while:  head(carried) ─▶ cond region ─▶ body ─▶ head | exit
 *   trap:   branch to a cold block that records the line and returns the code
 */
#include <string.h>

#include "backends/llvm/emit.h"
#include "ir/build.h"

static void emit_region(tg_emitter *e, tg_region *r) {
    for (tg_op *op = r->first; op && op->code != TG_OP_YIELD; op = op->next) {
        tg_emit_op(e, op);
    }
}

static const tg_op *yield_of(const tg_region *r) {
    return r->last && r->last->code == TG_OP_YIELD ? r->last : NULL;
}

static LLVMBasicBlockRef here(tg_emitter *e) { return LLVMGetInsertBlock(e->builder); }

static void go_to(tg_emitter *e, LLVMBasicBlockRef block) {
    LLVMPositionBuilderAtEnd(e->builder, block);
}

/* A phi per value, typed like it, with one incoming edge. */
static LLVMValueRef phi_from(tg_emitter *e, LLVMTypeRef type, LLVMValueRef first,
                             LLVMBasicBlockRef from) {
    LLVMValueRef phi = LLVMBuildPhi(e->builder, type, "");
    LLVMAddIncoming(phi, &first, &from, 1);
    return phi;
}

/* ---- loops ------------------------------------------------------------------------------------
 */

/* Attaches !llvm.loop with the named hint (and count, when positive) to a latch branch. */
static void loop_hint(tg_emitter *e, LLVMValueRef branch, const char *hint, int64_t count) {
    LLVMMetadataRef parts[2];
    parts[0] = LLVMMDStringInContext2(e->context, hint, strlen(hint));
    parts[1] =
        LLVMValueAsMetadata(LLVMConstInt(LLVMInt32TypeInContext(e->context), (uint64_t)count, 0));
    LLVMMetadataRef property = LLVMMDNodeInContext2(e->context, parts, count > 0 ? 2 : 1);
    LLVMMetadataRef self = LLVMTemporaryMDNode(e->context, NULL, 0);
    LLVMMetadataRef both[2] = {self, property};
    LLVMMetadataRef node = LLVMMDNodeInContext2(e->context, both, 2);
    LLVMMetadataReplaceAllUsesWith(self, node);
    unsigned kind = LLVMGetMDKindIDInContext(e->context, "llvm.loop", 9);
    LLVMSetMetadata(branch, kind, LLVMMetadataAsValue(e->context, node));
}

static void unroll_hint(tg_emitter *e, tg_op *op, LLVMValueRef branch) {
    int64_t unroll = tg_attr_int(op, TG_ATTR_UNROLL, 0);
    if (unroll > 1) {
        e->wants_unroll = true;
        loop_hint(e, branch, "llvm.loop.unroll.count", unroll);
    } else if (e->wants_unroll) {
        loop_hint(e, branch, "llvm.loop.unroll.disable", 0);
    }
}

static LLVMValueRef const_i64(tg_emitter *e, int64_t v) {
    return LLVMConstInt(LLVMInt64TypeInContext(e->context), (uint64_t)v, 1);
}

/*
 * iv + step may pass INT64_MAX on the last trip. With step 1 it cannot; else the latch compares the
 * old iv with hi - step, saturated, so the sum is used only when it stays below hi.
 */
static LLVMValueRef latch_condition(tg_emitter *e, LLVMValueRef iv, LLVMValueRef next,
                                    LLVMValueRef hi, LLVMValueRef last) {
    return last ? LLVMBuildICmp(e->builder, LLVMIntSLT, iv, last, "")
                : LLVMBuildICmp(e->builder, LLVMIntSLT, next, hi, "");
}

/* Operations in a region and below it, counted up to a limit. */
static int count_ops(const tg_region *r, int limit) {
    int n = 0;
    for (const tg_op *op = r->first; op && n < limit; op = op->next) {
        n++;
        for (int i = 0; i < op->n_regions && n < limit; i++) {
            n += count_ops(op->regions[i], limit - n);
        }
    }
    return n;
}

/*
 * LLVM's loop strength reduction turns every address of a large loop body into an induction
 * variable and then runs out of registers: on the 6x16 product it takes half of the compile time
 * and makes 70 % more spill code than base + index addressing. It cannot be switched off for one
 * compile, but it leaves alone what it cannot analyse, so in large bodies the index passes through
 * an empty asm.
 */
enum { LARGE_BODY = 8 };

static LLVMValueRef opaque(tg_emitter *e, LLVMValueRef iv) {
    LLVMTypeRef i64 = LLVMTypeOf(iv), type = LLVMFunctionType(i64, &i64, 1, 0);
    LLVMValueRef nothing =
        LLVMGetInlineAsm(type, "", 0, "=r,0", 4, 0, 0, LLVMInlineAsmDialectATT, 0);
    return LLVMBuildCall2(e->builder, type, nothing, &iv, 1, "");
}

static bool hides_index(const tg_emitter *e, const tg_op *op) {
    return e->is_x86 && tg_attr_int(op, TG_ATTR_UNROLL, 0) <= 1 &&
           count_ops(op->regions[0], LARGE_BODY) >= LARGE_BODY;
}

/* The loop counts from a constant by one to at most 2^31 - 1: NVIDIA's lanes have registers of 32
 * bits, so that its variable need not have 64. */
static bool is_short(const tg_emitter *e, const tg_op *op) {
    const tg_op *hi = op->operands[1].value->def;
    int64_t lo, step, most;
    return e->is_ptx && hi != NULL && hi->code == TG_OP_MIN && hi->n_results == 1 &&
           tg_value_const_int(op->operands[0].value, &lo) && lo >= 0 &&
           tg_value_const_int(op->operands[2].value, &step) && step == 1 &&
           tg_value_const_int(hi->operands[1].value, &most) && most <= INT32_MAX && lo <= most;
}

static void emit_for(tg_emitter *e, tg_op *op) {
    LLVMBuilderRef b = e->builder;
    tg_region *body = op->regions[0];
    int n = op->n_results;
    LLVMValueRef lo = tg_emit_operand(e, op, 0), hi = tg_emit_operand(e, op, 1);
    LLVMValueRef step = tg_emit_operand(e, op, 2);
    bool narrow = is_short(e, op);
    if (narrow) {
        LLVMTypeRef word = LLVMInt32TypeInContext(e->context);
        lo = LLVMBuildTrunc(b, lo, word, "");
        hi = LLVMBuildTrunc(b, hi, word, "");
        step = LLVMBuildTrunc(b, step, word, "");
    }
    bool unit = LLVMIsConstant(step) && LLVMConstIntGetSExtValue(step) == 1;
    LLVMValueRef last = unit ? NULL : tg_emit_intrinsic2(e, "llvm.ssub.sat", hi, step);
    LLVMBasicBlockRef before = here(e);
    LLVMBasicBlockRef loop = tg_emit_block(e, "for"), exit = tg_emit_block(e, "endfor");
    LLVMBuildCondBr(b, LLVMBuildICmp(b, LLVMIntSLT, lo, hi, ""), loop, exit);

    go_to(e, loop);
    LLVMValueRef phi = phi_from(e, LLVMTypeOf(lo), lo, before);
    for (int i = 0; i < n; i++) {
        LLVMValueRef init = tg_emit_operand(e, op, 3 + i);
        tg_emit_set(e, body->args[1 + i], phi_from(e, LLVMTypeOf(init), init, before));
    }
    LLVMValueRef iv = narrow || hides_index(e, op) ? opaque(e, phi) : phi;
    LLVMTypeRef full = LLVMInt64TypeInContext(e->context);
    tg_emit_set(e, body->args[0], narrow ? LLVMBuildZExt(b, iv, full, "") : iv);
    emit_region(e, body);
    LLVMValueRef next = LLVMBuildAdd(b, iv, step, "");
    LLVMSetNSW(next, 1);
    LLVMValueRef again = latch_condition(e, iv, next, hi, last);
    LLVMBasicBlockRef latch = here(e);
    unroll_hint(e, op, LLVMBuildCondBr(b, again, loop, exit));
    LLVMAddIncoming(phi, &next, &latch, 1);
    const tg_op *yield = yield_of(body);
    go_to(e, exit);
    for (int i = 0; i < n; i++) {
        LLVMValueRef carried = tg_emit_operand(e, yield, i);
        LLVMAddIncoming(tg_emit_get(e, body->args[1 + i]), &carried, &latch, 1);
        LLVMValueRef out = phi_from(e, LLVMTypeOf(carried), tg_emit_operand(e, op, 3 + i), before);
        LLVMAddIncoming(out, &carried, &latch, 1);
        tg_emit_set(e, &op->results[i], out);
    }
}

/* ---- trap --------------------------------------------------------------------------------------
 */

/* Writes the line of `span` to the report unless one is there already. */
static void record_line(tg_emitter *e, tg_span span) {
    if (!e->report) {
        return;
    }
    int line = 1, col = 1;
    if (span.source) {
        tg_source_position(span.source, span.begin, &line, &col);
    }
    LLVMValueRef swap =
        LLVMBuildAtomicCmpXchg(e->builder, e->report, const_i64(e, 0), const_i64(e, line),
                               LLVMAtomicOrderingMonotonic, LLVMAtomicOrderingMonotonic, 0);
    LLVMSetAlignment(swap, 8);
}

static void finish(tg_emitter *e, int64_t code) {
    if (e->is_simt) {
        LLVMBuildRetVoid(e->builder);
        return;
    }
    if (e->nontemporal) { /* streamed data must be visible before the launch counts as done */
        if (e->is_x86) {
            tg_emit_intrinsic(e, "llvm.x86.sse.sfence", 0, NULL, 0, NULL);
        } else {
            LLVMBuildFence(e->builder, LLVMAtomicOrderingRelease, 0, "");
        }
    }
    LLVMBuildRet(e->builder, LLVMConstInt(LLVMInt32TypeInContext(e->context), (uint64_t)code, 0));
}

static void unlikely(tg_emitter *e, LLVMValueRef branch) {
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context);
    LLVMMetadataRef parts[3] = {LLVMMDStringInContext2(e->context, "branch_weights", 14),
                                LLVMValueAsMetadata(LLVMConstInt(i32, 1, 0)),
                                LLVMValueAsMetadata(LLVMConstInt(i32, 1000000, 0))};
    unsigned kind = LLVMGetMDKindIDInContext(e->context, "prof", 4);
    LLVMSetMetadata(branch, kind,
                    LLVMMetadataAsValue(e->context, LLVMMDNodeInContext2(e->context, parts, 3)));
}

/* Where SIMT lanes go on after a trap: they may not leave, others wait for them at barriers. `on`
 * NULL: behind it. */
static void trap_if(tg_emitter *e, tg_span span, LLVMValueRef cond, int64_t code,
                    LLVMBasicBlockRef on) {
    LLVMBasicBlockRef bad = tg_emit_block(e, "trap"), good = tg_emit_block(e, "");
    unlikely(e, LLVMBuildCondBr(e->builder, cond, bad, good));
    go_to(e, bad);
    if (e->is_simt) {
        int line = 0, col = 0;
        if (span.source) {
            tg_source_position(span.source, span.begin, &line, &col);
        }
        tg_emit_simt_record(e, line, code);
        LLVMBuildBr(e->builder, on ? on : good);
    } else {
        record_line(e, span);
        finish(e, code);
    }
    go_to(e, good);
}

/* ---- while, if ---------------------------------------------------------------------------------
 */

static void emit_while(tg_emitter *e, tg_op *op) {
    LLVMBuilderRef b = e->builder;
    tg_region *cond = op->regions[0], *body = op->regions[1];
    int n = op->n_results;
    LLVMBasicBlockRef before = here(e), head = tg_emit_block(e, "while");
    LLVMBasicBlockRef inside = tg_emit_block(e, "do"), exit = tg_emit_block(e, "endwhile");
    LLVMBuildBr(b, head);
    go_to(e, head);
    LLVMValueRef trips = phi_from(e, LLVMInt64TypeInContext(e->context), const_i64(e, 0), before);
    for (int i = 0; i < n; i++) {
        LLVMValueRef init = tg_emit_operand(e, op, i);
        tg_emit_set(e, cond->args[i], phi_from(e, LLVMTypeOf(init), init, before));
    }
    emit_region(e, cond);
    const tg_op *test = yield_of(cond);
    LLVMBuildCondBr(b, tg_emit_operand(e, test, 0), inside, exit);
    for (int i = 0; i < n; i++) {
        tg_emit_set(e, body->args[i], tg_emit_operand(e, test, 1 + i));
        tg_emit_set(e, &op->results[i], tg_emit_operand(e, test, 1 + i));
    }
    go_to(e, inside);
    LLVMValueRef over =
        LLVMBuildICmp(b, LLVMIntSGE, trips, const_i64(e, tg_attr_int(op, TG_ATTR_MAX, 0)), "");
    trap_if(e, op->span, over, TG_CPU_TRAP_LIMIT, exit);
    emit_region(e, body);
    LLVMValueRef next = LLVMBuildAdd(b, trips, const_i64(e, 1), "");
    LLVMBasicBlockRef latch = here(e);
    LLVMBuildBr(b, head);
    LLVMAddIncoming(trips, &next, &latch, 1);
    for (int i = 0; i < n; i++) {
        LLVMValueRef carried = tg_emit_operand(e, yield_of(body), i);
        LLVMAddIncoming(tg_emit_get(e, cond->args[i]), &carried, &latch, 1);
    }
    go_to(e, exit);
}

static void emit_if(tg_emitter *e, tg_op *op) {
    LLVMBuilderRef b = e->builder;
    LLVMBasicBlockRef block[2] = {tg_emit_block(e, "then"), tg_emit_block(e, "else")};
    LLVMBasicBlockRef end[2], join = tg_emit_block(e, "endif");
    LLVMBuildCondBr(b, tg_emit_operand(e, op, 0), block[0], block[1]);
    for (int side = 0; side < 2; side++) {
        go_to(e, block[side]);
        emit_region(e, op->regions[side]);
        end[side] = here(e);
        LLVMBuildBr(b, join);
    }
    go_to(e, join);
    for (int i = 0; i < op->n_results; i++) {
        LLVMValueRef from_then = tg_emit_operand(e, yield_of(op->regions[0]), i);
        LLVMValueRef from_else = tg_emit_operand(e, yield_of(op->regions[1]), i);
        LLVMValueRef phi = phi_from(e, LLVMTypeOf(from_then), from_then, end[0]);
        LLVMAddIncoming(phi, &from_else, &end[1], 1);
        tg_emit_set(e, &op->results[i], phi);
    }
}

void tg_emit_structured(tg_emitter *e, tg_op *op) {
    if (op->code == TG_OP_FOR) {
        emit_for(e, op);
    } else if (op->code == TG_OP_IF) {
        emit_if(e, op);
    } else {
        emit_while(e, op);
    }
}

/* ---- dispatch ----------------------------------------------------------------------------------
 */

static void emit_trap(tg_emitter *e, tg_op *op) {
    LLVMValueRef cond = tg_emit_operand(e, op, 0);
    if (op->code == TG_OP_ASSERT) {
        trap_if(e, op->span, LLVMBuildNot(e->builder, cond, ""), TG_CPU_TRAP_ASSERT, NULL);
    } else {
        trap_if(e, op->span, cond, tg_attr_int(op, TG_ATTR_VALUE_I, TG_CPU_TRAP_ASSERT), NULL);
    }
}

void tg_emit_op(tg_emitter *e, tg_op *op) {
    tg_emit_debug_location(e, op->span);
    LLVMValueRef x = NULL;
    if (op->n_results > 0 && tg_emit_lanes(op->results[0].type) > TG_EMIT_MAX_LANES) {
        tg_emit_refuse(e, op, "the vector has more lanes than the emitter takes");
        return;
    }
    switch ((int)op->code) {
    case TG_OP_FOR:
    case TG_OP_WHILE:
    case TG_OP_IF:
        if (!tg_emit_shared(e, op)) {
            tg_emit_structured(e, op);
        }
        return;
    case TG_OP_ASSERT:
    case TG_OP_TRAP:
        emit_trap(e, op);
        return;
    case TG_OP_YIELD:
        return;

    case TG_OP_CONST_INT:
    case TG_OP_CONST_FLOAT:
    case TG_OP_ADD:
    case TG_OP_SUB:
    case TG_OP_MUL:
    case TG_OP_DIV:
    case TG_OP_REM:
    case TG_OP_MIN:
    case TG_OP_MAX:
    case TG_OP_NEG:
    case TG_OP_ABS:
    case TG_OP_FMA:
    case TG_OP_AND:
    case TG_OP_OR:
    case TG_OP_XOR:
    case TG_OP_NOT:
    case TG_OP_SHL:
    case TG_OP_SHR:
    case TG_OP_POPCOUNT:
    case TG_OP_CMP:
    case TG_OP_SELECT:
    case TG_OP_MATH:
    case TG_OP_CAST:
    case TG_OP_BITCAST:
        x = tg_emit_arith(e, op);
        break;
    case TG_OP_REDUCEV:
        x = tg_emit_reducev(e, op);
        break;
    case TG_OP_INTRINSIC:
        x = tg_emit_machine_row(e, op);
        break;

    case TG_OP_SLOT:
    case TG_OP_ALLOCA:
    case TG_OP_GEP:
    case TG_OP_LOADM:
    case TG_OP_STOREM:
    case TG_OP_GATHERM:
    case TG_OP_SCATTERM:
    case TG_OP_PREFETCH:
    case TG_OP_MEMSET:
    case TG_OP_MEMCPY:
    case TG_OP_SPLAT:
    case TG_OP_EXTRACT:
    case TG_OP_INSERT:
    case TG_OP_SHUFFLE:
    case TG_OP_LANES:
    case TG_OP_PMASK:
    case TG_OP_MASKBITS:
    case TG_OP_ATOMICM:
        x = tg_emit_memory(e, op);
        break;

    default:
        if (!e->is_simt || !tg_emit_simt(e, op, &x)) {
            tg_emit_refuse(e, op, "it does not belong to the loop level of this machine");
        }
        break;
    }
    if (op->n_results == 1) {
        tg_emit_set(e, &op->results[0], x);
    }
}

/* ---- functions ---------------------------------------------------------------------------------
 */

static bool any_nontemporal(const tg_region *r) {
    for (const tg_op *op = r->first; op; op = op->next) {
        if (op->code == TG_OP_STOREM && tg_attr_int(op, TG_ATTR_NONTEMPORAL, 0)) {
            return true;
        }
        for (int i = 0; i < op->n_regions; i++) {
            if (any_nontemporal(op->regions[i])) {
                return true;
            }
        }
    }
    return false;
}

static void enum_attribute(tg_emitter *e, unsigned where, const char *name, uint64_t value) {
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    LLVMAddAttributeAtIndex(e->function, where, LLVMCreateEnumAttribute(e->context, kind, value));
}

static void string_attribute(tg_emitter *e, const char *name, const char *value) {
    LLVMAddAttributeAtIndex(e->function, (unsigned)LLVMAttributeFunctionIndex,
                            LLVMCreateStringAttribute(e->context, name, (unsigned)strlen(name),
                                                      value, (unsigned)strlen(value)));
}

/*
 * The phase convention of abi.h. Tensors may overlap each other, so nothing read from a slot is
 * noalias; the slots themselves, the scratch and the shared memory are the launch's own.
 */
static void phase_attributes(tg_emitter *e, tg_func *f) {
    bool phase = f->role && strncmp(f->role, "phase", 5) == 0 && f->body->n_args == 6;
    bool plan = f->role && strcmp(f->role, "plan") == 0 && f->body->n_args == 2;
    e->report = NULL;
    if (phase || plan) {
        enum_attribute(e, 1, "noalias", 0);
        enum_attribute(e, 1, "readonly", 0);
        enum_attribute(e, 1, "align", 8);
    }
    if (phase) {
        e->report = LLVMGetParam(e->function, 5);
        for (unsigned i = 4; i <= 5; i++) {
            enum_attribute(e, i, "noalias", 0);
            enum_attribute(e, i, "align", 64);
        }
        enum_attribute(e, 6, "noalias", 0);
    }
}

static void function_attributes(tg_emitter *e) {
    const char *bits = tg_arena_printf(e->arena, "%d", e->machine->vector_bytes * 8);
    enum_attribute(e, (unsigned)LLVMAttributeFunctionIndex, "nounwind", 0);
    enum_attribute(e, (unsigned)LLVMAttributeFunctionIndex, "nofree", 0);
    if (e->is_x86) { /* keep 512-bit vectors whole on parts whose tuning prefers 256 */
        string_attribute(e, "prefer-vector-width", bits);
        string_attribute(e, "min-legal-vector-width", bits);
    }
}

static void declare(tg_emitter *e, tg_func *f) {
    int n = f->body->n_args;
    LLVMTypeRef *params = TG_NEW_ARRAY(e->arena, LLVMTypeRef, n + 1);
    for (int i = 0; i < n; i++) {
        params[i] = tg_emit_type(e, f->body->args[i]->type);
    }
    LLVMTypeRef type = LLVMFunctionType(LLVMInt32TypeInContext(e->context), params, (unsigned)n, 0);
    e->function = LLVMAddFunction(e->module, f->name, type);
    LLVMSetVisibility(e->function, LLVMHiddenVisibility);
    function_attributes(e);
    phase_attributes(e, f);
}

/* The entry block holds the allocas and a branch. */
static void begin_blocks(tg_emitter *e) {
    LLVMBasicBlockRef entry = tg_emit_block(e, "entry"), first = tg_emit_block(e, "");
    go_to(e, entry);
    tg_emit_debug_function(e, e->func);
    e->alloca_mark = LLVMBuildBr(e->builder, first);
    go_to(e, first);
}

void tg_emit_part_begin(tg_emitter *e, const char *name, LLVMTypeRef type) {
    e->function = LLVMAddFunction(e->module, name, type);
    LLVMSetLinkage(e->function, LLVMInternalLinkage);
    function_attributes(e);
    e->report = NULL;
    begin_blocks(e);
}

void tg_emit_function(tg_emitter *e, tg_func *f) {
    e->func = f;
    (e->is_simt ? tg_emit_simt_declare : declare)(e, f);
    e->n_values = (size_t)f->next_value_id + 1;
    e->values = TG_NEW_ARRAY(e->arena, LLVMValueRef, e->n_values);
    e->nontemporal = any_nontemporal(f->body);
    for (int i = 0; i < f->body->n_args && !e->is_simt; i++) {
        tg_emit_set(e, f->body->args[i], LLVMGetParam(e->function, (unsigned)i));
    }
    begin_blocks(e);
    if (e->is_simt) {
        tg_emit_simt_arguments(e, f);
    }
    emit_region(e, f->body);
    finish(e, 0);
}
