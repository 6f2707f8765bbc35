/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the LLVM emitter: loop IR in, one LLVM module out.
 *
 *   emit.c       the door: target machine, passes, object / assembly / text
 *   guard.c      LLVM's fatal errors end the compile, not the process
 *   control.c    functions, regions, for / while / if, trap
 *   share.c      loops that repeat become functions
 *   arith.c      elementwise operations, casts, reductions of a vector
 *   magnitude.c  maxima that integers give
 *   instructions.c  machine instructions by name, or their definitions
 *   memory.c     loads, stores, gathers, atomics, shuffles
 *   simt.c       what functions of SIMT machines have besides
 *   amdgpu.c     what they have on AMD's machines
 *   amd_matrix.c products of AMD's matrix units
 *   matrix.c     fragments and products of matrix units
 *   bulk.c       bulk copies of boxes of tensors
 *   debug.c      line tables
 *
 * One LLVM context per compile; nothing is shared between threads but LLVM's target registry.
 */
#ifndef TG_LLVM_EMIT_H
#define TG_LLVM_EMIT_H

#include <llvm-c/Core.h>
#include <llvm-c/DebugInfo.h>
#include <llvm-c/TargetMachine.h>

#include "backends/backend.h"

/* Longer vectors are refused: nothing asks for them and LLVM's time grows with the square. */
#define TG_EMIT_MAX_LANES 512
#define TG_EMIT_MAX_FILES 16

typedef struct tg_emitter {
    LLVMContextRef context;
    LLVMModuleRef module;
    LLVMBuilderRef builder;
    LLVMTargetMachineRef target;
    const tg_machine *machine;
    const tg_llvm_options *options;
    tg_arena *arena;
    tg_sink *sink;
    bool is_x86, is_ptx, is_amd;
    bool is_simt;      /* one of the latter two */
    bool failed;       /* a diagnostic was reported; the module is not worth compiling */
    bool wants_unroll; /* some loop carries unroll metadata */
    bool has_roles;    /* NVPTX: lanes give registers to others */

    /* the function being emitted */
    tg_func *func;
    LLVMValueRef function;
    LLVMValueRef *values; /* by tg_value.id */
    size_t n_values;
    LLVMValueRef report;          /* tg_cpu_report argument, or NULL; SIMT: core/simt.h's */
    LLVMValueRef program, shared; /* SIMT: number of the program, its shared memory or NULL */
    LLVMValueRef alloca_mark;     /* allocas go before this instruction of the entry block */
    bool nontemporal;             /* it stores past the cache: fence before returning */

    struct tg_emit_shares *shares; /* share.c; NULL: nothing is shared */

    LLVMModuleRef fences; /* AMD: a release and an acquire of the work-group, to copy */

    LLVMDIBuilderRef debug; /* NULL without line tables */
    LLVMMetadataRef debug_file, debug_scope;
    /* sources of the function's statements beyond its own, with their scopes */
    const tg_source *debug_sources[TG_EMIT_MAX_FILES];
    LLVMMetadataRef debug_scopes[TG_EMIT_MAX_FILES];
    int n_debug_sources;
} tg_emitter;

/* ---- guard.c ----------------------------------------------------------------------------------
 */

/* LLVM recurses over long chains of code; address space, not memory. */
enum { TG_LLVM_STACK_MIB = 64 };

/*
 * Runs work(user), on another thread, so that an LLVM fatal error inside ends it instead of the
 * process. False when no thread could be started. *out_fatal: NULL when work came back, else why it
 * did not (text in a, or static); whatever LLVM object work used is lost then: leaked, never
 * touched again. Work catches its own memory failures.
 */
bool tg_llvm_guarded(tg_arena *a, void (*work)(void *user), void *user, const char **out_fatal);

/* ---- shared helpers ---------------------------------------------------------------------------
 */

/* LLVM type of a loop-IR value. Storage types are integers of their width, bool is i1. */
LLVMTypeRef tg_emit_type(tg_emitter *e, const tg_type *t);
LLVMTypeRef tg_emit_dtype(tg_emitter *e, tg_dtype t);
LLVMTypeRef tg_emit_int_type(tg_emitter *e, unsigned bits);
/* Type of t with another element, same lanes. */
LLVMTypeRef tg_emit_like(tg_emitter *e, const tg_type *t, LLVMTypeRef elem);
/* Number of lanes, 0 for a scalar. */
unsigned tg_emit_lanes(const tg_type *t);

LLVMValueRef tg_emit_get(tg_emitter *e, const tg_value *v);
void tg_emit_set(tg_emitter *e, const tg_value *v, LLVMValueRef x);
LLVMValueRef tg_emit_operand(tg_emitter *e, const tg_op *op, int i);

/* Integer constant in every lane of t. */
LLVMValueRef tg_emit_const_int(LLVMTypeRef t, uint64_t v);
LLVMValueRef tg_emit_const_real(LLVMTypeRef t, double v);
LLVMValueRef tg_emit_splat(tg_emitter *e, LLVMValueRef scalar, unsigned lanes);
/* Calls an LLVM intrinsic; overload types as the name demands. */
LLVMValueRef tg_emit_intrinsic(tg_emitter *e, const char *name, unsigned n_overload,
                               LLVMTypeRef *overload, unsigned n_args, LLVMValueRef *args);
LLVMValueRef tg_emit_intrinsic1(tg_emitter *e, const char *name, LLVMValueRef x);
LLVMValueRef tg_emit_intrinsic2(tg_emitter *e, const char *name, LLVMValueRef x, LLVMValueRef y);
LLVMBasicBlockRef tg_emit_block(tg_emitter *e, const char *name);
/* Reports E_UNSUPPORTED for op and marks the compile as failed. */
void tg_emit_refuse(tg_emitter *e, const tg_op *op, const char *why);

/* ---- per-group emission -----------------------------------------------------------------------
 */

void tg_emit_function(tg_emitter *e, tg_func *f);
void tg_emit_op(tg_emitter *e, tg_op *op);         /* control.c: dispatch over all ops */
void tg_emit_structured(tg_emitter *e, tg_op *op); /* control.c: for, while, if in place */
/* control.c: begins a function of the module's own; the caller ends and leaves it. */
void tg_emit_part_begin(tg_emitter *e, const char *name, LLVMTypeRef type);
/* share.c: before the functions of m are emitted, in place of a loop (false: it is not shared), and
 * after them. */
void tg_emit_shares_find(tg_emitter *e, tg_module *m);
bool tg_emit_shared(tg_emitter *e, tg_op *loop);
/* The parameter (i64) that stands for op's constant in a shared loop, or NULL: the constant itself.
 */
LLVMValueRef tg_emit_free(const tg_emitter *e, const tg_op *op);
void tg_emit_shares_end(tg_emitter *e, tg_module *m);
LLVMValueRef tg_emit_arith(tg_emitter *e, tg_op *op);
LLVMValueRef tg_emit_reducev(tg_emitter *e, tg_op *op);
/* Smaller / larger of two values of dtype t, NaN propagating, -0 below +0. */
LLVMValueRef tg_emit_minmax(tg_emitter *e, tg_dtype t, bool is_max, LLVMValueRef x, LLVMValueRef y);
/* magnitude.c: do v's lanes (f32) order as their bits do? Then the larger of two such. */
bool tg_emit_orders_as_bits(const tg_value *v);
LLVMValueRef tg_emit_max_bits(tg_emitter *e, LLVMValueRef x, LLVMValueRef y);
LLVMValueRef tg_emit_memory(tg_emitter *e, tg_op *op);      /* NULL for ops without result */
LLVMValueRef tg_emit_machine_row(tg_emitter *e, tg_op *op); /* instructions.c */

/* ---- simt.c -----------------------------------------------------------------------------------
 */

/* Makes e->function; then, in its first block, sets the values of the body's arguments. */
void tg_emit_simt_declare(tg_emitter *e, tg_func *f);
/* PTX text for the emitter's machine where LLVM wrote it for another cpu: other names in its head.
 */
const char *tg_emit_ptx_head(tg_emitter *e, const char *text);
void tg_emit_simt_arguments(tg_emitter *e, tg_func *f);
/* A slot's word as an address of global memory. */
LLVMValueRef tg_emit_global_address(tg_emitter *e, LLVMValueRef word);
/* Reports a trap; what follows goes on. */
void tg_emit_simt_record(tg_emitter *e, int line, int64_t code);
/* False when op is none of SIMT functions alone. */
bool tg_emit_simt(tg_emitter *e, tg_op *op, LLVMValueRef *out);

/* ---- amdgpu.c: entries and lanes of AMD's machines --------------------------------------------
 */

/* Address spaces of pointers: those of slots are global (simt.c casts NVIDIA's to generic). */
enum { TG_EMIT_GLOBAL = 1, TG_EMIT_SHARED = 3, TG_EMIT_CONSTANT = 4 };

void tg_emit_amd_module(tg_emitter *e);
/* Lanes of r give registers to others. */
bool tg_emit_moves_registers(const tg_region *r);
/* Convention and attributes of e->function, an entry of so many lanes. */
void tg_emit_amd_entry(tg_emitter *e, int lanes);
/* Number of the work-group and of the lane in it, i32. */
LLVMValueRef tg_emit_amd_group(tg_emitter *e);
LLVMValueRef tg_emit_amd_lane(tg_emitter *e);
/* A word (i32) from another lane of the wave; `which` as `shfl` has it. */
LLVMValueRef tg_emit_amd_shuffle(tg_emitter *e, tg_shuffle_mode mode, LLVMValueRef x,
                                 LLVMValueRef which);
LLVMValueRef tg_emit_amd_ballot(tg_emitter *e, LLVMValueRef x); /* i32 or i64, by the wave */
void tg_emit_amd_barrier(tg_emitter *e);
LLVMValueRef tg_emit_amd_mma(tg_emitter *e, tg_op *op); /* amd_matrix.c */

/* The address of element operand 1 of the array operand 0. */
LLVMValueRef tg_emit_place(tg_emitter *e, tg_op *op);

/* meet.c: barriers, in shared memory and else; false when op is none. */
bool tg_emit_meet(tg_emitter *e, tg_op *op);

/* matrix.c */
LLVMValueRef tg_emit_fragload(tg_emitter *e, tg_op *op);
LLVMValueRef tg_emit_mma(tg_emitter *e, tg_op *op);
/* products.c: false when op is none of those around products that end later. */
bool tg_emit_products(tg_emitter *e, tg_op *op, LLVMValueRef *out);

/* ---- bulk.c -----------------------------------------------------------------------------------
 */

/* Parameters of an entry with n maps behind its five words: types from params[5] on. */
unsigned tg_emit_map_types(tg_emitter *e, int n_maps, LLVMTypeRef *params);
/* Their attributes; after e->function was made. */
void tg_emit_map_attributes(tg_emitter *e, int n_maps);
/* False when op is none of bulk copies. */
bool tg_emit_bulk(tg_emitter *e, tg_op *op, LLVMValueRef *out);

void tg_emit_debug_begin(tg_emitter *e, tg_module *m);
void tg_emit_debug_function(tg_emitter *e, tg_func *f);
void tg_emit_debug_location(tg_emitter *e, tg_span span);
void tg_emit_debug_end(tg_emitter *e);

#endif
