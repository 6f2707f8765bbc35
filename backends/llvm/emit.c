/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door of the LLVM back end: a module of loop functions becomes an object file, assembly or IR
 * text. The emitter writes code that is already vectorised, blocked and unrolled, so LLVM's part is
 * clean-up (SROA, CSE, hoisting, peepholes) and code generation; its loop optimisers are not run.
 */
#include <pthread.h>
#include <string.h>

#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/Target.h>
#include <llvm-c/Transforms/PassBuilder.h>

#include "backends/llvm/emit.h"

/* ---- types and values ---------------------------------------------------------------------------
 */

LLVMTypeRef tg_emit_int_type(tg_emitter *e, unsigned bits) {
    return LLVMIntTypeInContext(e->context, bits);
}

LLVMTypeRef tg_emit_dtype(tg_emitter *e, tg_dtype t) {
    if (t == TG_DT_F32) {
        return LLVMFloatTypeInContext(e->context);
    }
    if (t == TG_DT_F64) {
        return LLVMDoubleTypeInContext(e->context);
    }
    if (t == TG_DT_BOOL) {
        return LLVMInt1TypeInContext(e->context);
    }
    int bits = tg_dtype_bits(t);
    return tg_emit_int_type(e, bits < 8 ? 8u : (unsigned)bits);
}

unsigned tg_emit_lanes(const tg_type *t) {
    return t->kind == TG_TY_VEC ? (unsigned)t->shape[0] : 0;
}

LLVMTypeRef tg_emit_like(tg_emitter *e, const tg_type *t, LLVMTypeRef elem) {
    (void)e;
    unsigned lanes = tg_emit_lanes(t);
    return lanes ? LLVMVectorType(elem, lanes) : elem;
}

LLVMTypeRef tg_emit_type(tg_emitter *e, const tg_type *t) {
    if (t->kind == TG_TY_PTR) {
        return LLVMPointerTypeInContext(e->context, e->is_amd ? TG_EMIT_GLOBAL : 0);
    }
    return tg_emit_like(e, t, tg_emit_dtype(e, t->dtype));
}

/* A value without code follows an operation that was refused; anything else is our own bug. */
LLVMValueRef tg_emit_get(tg_emitter *e, const tg_value *v) {
    LLVMValueRef x = v->id < e->n_values ? e->values[v->id] : NULL;
    if (x) {
        return x;
    }
    if (!e->failed) {
        e->failed = true;
        tg_error(e->sink, TG_D_BACKEND, (tg_span){0},
                 "internal error: `%s` uses a value before it is made", e->func->name);
    }
    return LLVMGetPoison(tg_emit_type(e, v->type));
}

void tg_emit_set(tg_emitter *e, const tg_value *v, LLVMValueRef x) {
    if (v->id < e->n_values) {
        e->values[v->id] = x;
    }
}

LLVMValueRef tg_emit_operand(tg_emitter *e, const tg_op *op, int i) {
    return tg_emit_get(e, tg_operand(op, i));
}

static LLVMValueRef repeat(LLVMTypeRef vector, LLVMValueRef elem) {
    LLVMValueRef lane[TG_EMIT_MAX_LANES];
    unsigned n = LLVMGetVectorSize(vector); /* at most that: tg_emit_op checks */
    for (unsigned i = 0; i < n; i++) {
        lane[i] = elem;
    }
    return LLVMConstVector(lane, n);
}

LLVMValueRef tg_emit_const_int(LLVMTypeRef t, uint64_t v) {
    return LLVMGetTypeKind(t) == LLVMVectorTypeKind
               ? repeat(t, LLVMConstInt(LLVMGetElementType(t), v, 0))
               : LLVMConstInt(t, v, 0);
}

LLVMValueRef tg_emit_const_real(LLVMTypeRef t, double v) {
    return LLVMGetTypeKind(t) == LLVMVectorTypeKind
               ? repeat(t, LLVMConstReal(LLVMGetElementType(t), v))
               : LLVMConstReal(t, v);
}

LLVMValueRef tg_emit_splat(tg_emitter *e, LLVMValueRef scalar, unsigned lanes) {
    if (lanes == 0) {
        return scalar;
    }
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context);
    LLVMTypeRef type = LLVMVectorType(LLVMTypeOf(scalar), lanes);
    LLVMValueRef v = LLVMBuildInsertElement(e->builder, LLVMGetPoison(type), scalar,
                                            LLVMConstInt(i32, 0, 0), "");
    return LLVMBuildShuffleVector(e->builder, v, LLVMGetPoison(type),
                                  LLVMConstNull(LLVMVectorType(i32, lanes)), "");
}

LLVMValueRef tg_emit_intrinsic(tg_emitter *e, const char *name, unsigned n_overload,
                               LLVMTypeRef *overload, unsigned n_args, LLVMValueRef *args) {
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    LLVMValueRef callee = LLVMGetIntrinsicDeclaration(e->module, id, overload, n_overload);
    LLVMTypeRef type = LLVMIntrinsicGetType(e->context, id, overload, n_overload);
    return LLVMBuildCall2(e->builder, type, callee, args, n_args, "");
}

LLVMValueRef tg_emit_intrinsic1(tg_emitter *e, const char *name, LLVMValueRef x) {
    LLVMTypeRef type = LLVMTypeOf(x);
    return tg_emit_intrinsic(e, name, 1, &type, 1, &x);
}

LLVMValueRef tg_emit_intrinsic2(tg_emitter *e, const char *name, LLVMValueRef x, LLVMValueRef y) {
    LLVMTypeRef type = LLVMTypeOf(x);
    LLVMValueRef args[2] = {x, y};
    return tg_emit_intrinsic(e, name, 1, &type, 2, args);
}

LLVMBasicBlockRef tg_emit_block(tg_emitter *e, const char *name) {
    return LLVMAppendBasicBlockInContext(e->context, e->function, name);
}

void tg_emit_refuse(tg_emitter *e, const tg_op *op, const char *why) {
    e->failed = true;
    tg_error(e->sink, TG_D_BACKEND, op->span, "`%s` cannot be compiled for %s: %s",
             tg_op_info_get(op->code)->name, e->machine->name, why);
}

/* ---- target -------------------------------------------------------------------------------------
 */

static void init_targets(void) {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
    LLVMInitializeRISCVTargetInfo();
    LLVMInitializeRISCVTarget();
    LLVMInitializeRISCVTargetMC();
    LLVMInitializeRISCVAsmPrinter();
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
    LLVMInitializeAMDGPUTargetInfo();
    LLVMInitializeAMDGPUTarget();
    LLVMInitializeAMDGPUTargetMC();
    LLVMInitializeAMDGPUAsmPrinter();
}

static bool starts_with(const char *s, const char *prefix) {
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

static bool open_target(tg_emitter *e) {
    static const LLVMCodeGenOptLevel level[] = {LLVMCodeGenLevelNone, LLVMCodeGenLevelLess,
                                                LLVMCodeGenLevelDefault,
                                                LLVMCodeGenLevelAggressive};
    const tg_machine *mc = e->machine;
    LLVMTargetRef target = NULL;
    char *text = NULL;
    if (LLVMGetTargetFromTriple(mc->triple, &target, &text)) {
        tg_error(e->sink, TG_D_BACKEND, (tg_span){0}, "LLVM does not know the target %s: %s",
                 mc->triple, text ? text : "");
        LLVMDisposeMessage(text);
        return false;
    }
    int opt = e->options->opt_level < 0 ? 0 : e->options->opt_level > 3 ? 3 : e->options->opt_level;
    const char *features = mc->llvm_features;
    if (starts_with(mc->triple, "riscv")) { /* no linker follows that could relax */
        features = tg_arena_printf(e->arena, "%s,-relax", features);
    }
    LLVMTargetMachineOptionsRef o = LLVMCreateTargetMachineOptions();
    LLVMTargetMachineOptionsSetCPU(o, mc->llvm_cpu);
    LLVMTargetMachineOptionsSetFeatures(o, features);
    LLVMTargetMachineOptionsSetCodeGenOptLevel(o, level[opt]);
    if (!e->is_simt) {
        LLVMTargetMachineOptionsSetRelocMode(o, LLVMRelocPIC);
        LLVMTargetMachineOptionsSetCodeModel(
            o, starts_with(mc->triple, "riscv") ? LLVMCodeModelMedium : LLVMCodeModelSmall);
    }
    if (starts_with(mc->triple, "riscv")) {
        LLVMTargetMachineOptionsSetABI(o, "lp64d");
    }
    e->target = LLVMCreateTargetMachineWithOptions(target, mc->triple, o);
    LLVMDisposeTargetMachineOptions(o);
    if (!e->target) {
        tg_error(e->sink, TG_D_BACKEND, (tg_span){0}, "LLVM cannot make code for %s", mc->name);
        return false;
    }
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(e->target);
    LLVMSetModuleDataLayout(e->module, layout);
    LLVMDisposeTargetData(layout);
    LLVMSetTarget(e->module, mc->triple);
    if (e->is_amd) {
        tg_emit_amd_module(e);
    }
    return true;
}

/* Errors (severity 0) do not stop LLVM from returning success, so they are collected here. */
static void on_diagnostic(LLVMDiagnosticInfoRef info, void *user) {
    tg_emitter *e = user;
    if (LLVMGetDiagInfoSeverity(info) != LLVMDSError) {
        return;
    }
    char *text = LLVMGetDiagInfoDescription(info);
    e->failed = true;
    tg_error(e->sink, TG_D_BACKEND, (tg_span){0}, "code generation for %s failed: %s",
             e->machine->name, text);
    LLVMDisposeMessage(text);
}

/* ---- passes and output --------------------------------------------------------------------------
 */

static bool run_passes(tg_emitter *e) {
    /* For GPUs nothing is hoisted: it would cost registers (their code generators do by need). But
     * where lanes have roles, with registers of their own, a trip of the loop that multiplies is so
     * short that each instruction counts. */
    const char *passes =
        e->options->opt_level == 0 ? "function(sroa)"
        : e->has_roles
            ? "function(sroa,early-cse<memssa>,loop-unroll<no-runtime;no-partial;no-peeling>,"
              "sroa,early-cse<memssa>,loop-mssa(licm),instcombine<no-verify-fixpoint>,simplifycfg)"
        : e->is_simt
            ? e->wants_unroll
                  ? "function(sroa,early-cse<memssa>,loop-unroll<no-runtime;no-partial;no-peeling>,"
                    "sroa,early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg)"
                  : "function(sroa,early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg)"
        : e->wants_unroll ? "function(sroa,early-cse,loop-unroll<no-runtime;no-partial;no-"
                            "peeling>,sroa,early-cse,"
                            "loop-mssa(licm),instcombine<no-verify-fixpoint>,simplifycfg)"
                          : "function(sroa,early-cse,loop-mssa(licm),instcombine<no-verify-"
                            "fixpoint>,simplifycfg)";
    LLVMPassBuilderOptionsRef o = LLVMCreatePassBuilderOptions();
    LLVMErrorRef err = LLVMRunPasses(e->module, passes, e->target, o);
    LLVMDisposePassBuilderOptions(o);
    if (err) {
        char *text = LLVMGetErrorMessage(err);
        tg_error(e->sink, TG_D_BACKEND, (tg_span){0}, "LLVM passes failed: %s", text);
        LLVMDisposeErrorMessage(text);
    }
    return !err;
}

/* LLVM's form of the result is here too: a full arena leaves from the copy. */
typedef struct output {
    const unsigned char *bytes;
    size_t n_bytes;
    char *text;
    LLVMMemoryBufferRef buffer;
} output;

static void keep(tg_emitter *e, const char *data, size_t n, output *out) {
    out->bytes = (const unsigned char *)tg_arena_strndup(e->arena, data, n);
    out->n_bytes = n;
}

static bool write_output(tg_emitter *e, output *out) {
    if (e->options->emit == TG_LLVM_IR) {
        out->text = LLVMPrintModuleToString(e->module);
        keep(e, out->text, strlen(out->text), out);
        return true;
    }
    char *text = NULL;
    LLVMCodeGenFileType kind = e->options->emit == TG_LLVM_ASM ? LLVMAssemblyFile : LLVMObjectFile;
    if (LLVMTargetMachineEmitToMemoryBuffer(e->target, e->module, kind, &text, &out->buffer)) {
        tg_error(e->sink, TG_D_BACKEND, (tg_span){0}, "code generation for %s failed: %s",
                 e->machine->name, text ? text : "");
        LLVMDisposeMessage(text);
        return false;
    }
    keep(e, LLVMGetBufferStart(out->buffer), LLVMGetBufferSize(out->buffer), out);
    if (e->is_ptx && strcmp(e->machine->name, e->machine->llvm_cpu) != 0) {
        const char *renamed = tg_emit_ptx_head(e, (const char *)out->bytes);
        keep(e, renamed, strlen(renamed), out);
    }
    return true;
}

static bool check_module(tg_emitter *e) {
    char *text = NULL;
    bool bad = LLVMVerifyModule(e->module, LLVMReturnStatusAction, &text);
    if (bad) {
        tg_error(e->sink, TG_D_BACKEND, (tg_span){0}, "internal error: invalid LLVM IR: %s", text);
    }
    LLVMDisposeMessage(text);
    return !bad;
}

/* ---- the door -----------------------------------------------------------------------------------
 */

static bool region_unrolls(const tg_region *r) {
    for (const tg_op *op = r->first; op; op = op->next) {
        if (op->code == TG_OP_FOR && tg_attr_int(op, TG_ATTR_UNROLL, 0) > 1) {
            return true;
        }
        for (int i = 0; i < op->n_regions; i++) {
            if (region_unrolls(op->regions[i])) {
                return true;
            }
        }
    }
    return false;
}

static void emit_functions(tg_emitter *e, tg_module *loop) {
    for (tg_func *f = loop->first_func; f; f = f->next) {
        e->wants_unroll |= f->level == TG_LEVEL_LOOP && region_unrolls(f->body);
        e->has_roles |= e->is_ptx && f->level == TG_LEVEL_LOOP && tg_emit_moves_registers(f->body);
    }
    tg_emit_debug_begin(e, loop);
    if (!e->is_simt && e->options->opt_level > 0) {
        tg_emit_shares_find(e, loop);
    }
    for (tg_func *f = loop->first_func; f; f = f->next) {
        if (f->level == TG_LEVEL_LOOP) {
            tg_emit_function(e, f);
        }
    }
    tg_emit_shares_end(e, loop);
    tg_emit_debug_end(e);
}

typedef struct job {
    tg_emitter *emitter;
    tg_module *loop;
    output out;
    bool ok, out_of_memory;
} job;

static void dispose(tg_emitter *e, const output *out) {
    if (out->buffer) {
        LLVMDisposeMemoryBuffer(out->buffer);
    }
    LLVMDisposeMessage(out->text);
    if (e->debug) {
        LLVMDisposeDIBuilder(e->debug);
    }
    if (e->target) {
        LLVMDisposeTargetMachine(e->target);
    }
    if (e->fences) {
        LLVMDisposeModule(e->fences);
    }
    LLVMDisposeBuilder(e->builder);
    LLVMDisposeModule(e->module);
    LLVMContextDispose(e->context);
}

/* LLVM's objects are disposed of whichever way the work ends: an arena that is full comes here. */
static void compile(void *user) {
    job *j = user;
    tg_emitter *e = j->emitter;
    tg_env *env = e->arena->env;
    jmp_buf oom, *outer = env->oom;
    e->context = LLVMContextCreate();
    LLVMContextSetDiagnosticHandler(e->context, on_diagnostic, e);
    e->module = LLVMModuleCreateWithNameInContext("tegula", e->context);
    e->builder = LLVMCreateBuilderInContext(e->context);
    /* A thread that sleeps for ever after a fatal error still holds it: leak checkers see that. */
    LLVMBuilderRef volatile held = e->builder;
    (void)held;
    if (TG_ENV_GUARD(env, oom)) {
        j->out_of_memory = true;
    } else if (open_target(e)) {
        emit_functions(e, j->loop);
        j->ok = !e->failed && check_module(e) && run_passes(e) && write_output(e, &j->out) &&
                !e->failed;
    }
    env->oom = outer;
    dispose(e, &j->out);
}

tg_status tg_llvm_emit(tg_module *loop, const tg_machine *machine, const tg_llvm_options *options,
                       tg_arena *a, tg_sink *sink, const unsigned char **out, size_t *out_bytes) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (!loop || !machine || !options || !out || !out_bytes || machine->emitter != TG_EMIT_LLVM) {
        return TG_E_INVALID;
    }
    pthread_once(&once, init_targets);
    tg_emitter e = {.machine = machine,
                    .options = options,
                    .arena = a,
                    .sink = sink,
                    .is_x86 = starts_with(machine->triple, "x86_64"),
                    .is_ptx = starts_with(machine->triple, "nvptx"),
                    .is_amd = starts_with(machine->triple, "amdgcn")};
    e.is_simt = e.is_ptx || e.is_amd;
    job j = {.emitter = &e, .loop = loop};
    const char *fatal = NULL;
    if (!tg_llvm_guarded(a, compile, &j, &fatal)) {
        tg_error(sink, TG_D_BACKEND, (tg_span){0},
                 "there is no memory for the code generator's thread (%d MiB of stack)",
                 TG_LLVM_STACK_MIB);
        return TG_E_NOMEM;
    }
    if (j.out_of_memory) {
        return TG_E_NOMEM;
    }
    if (fatal) {
        tg_error(sink, TG_D_BACKEND, (tg_span){0}, "LLVM cannot compile this for %s: %s",
                 machine->name, fatal);
    }
    if (fatal || !j.ok) {
        return TG_E_UNSUPPORTED;
    }
    *out = j.out.bytes;
    *out_bytes = j.out.n_bytes;
    return TG_OK;
}
