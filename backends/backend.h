/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Back-end doors.
 *
 *   tile func ─ tg_lower_cpu ─▶ loop module (plan, phase0, phase1...) ─ tg_llvm_emit_object ─▶ ELF
 *            ─ tg_blob_from_object ─▶ position-independent blob ─▶ package ─▶ runtime
 *
 * Loop functions of the CPU convention (abi.h): body args of role "plan" are (ptr slots, ptr plan);
 * of role "phaseN" (ptr slots, i64 begin, i64 end, ptr scratch, ptr shared, ptr report). They
 * return 0 at their end and a trap code through `trap`.
 */
#ifndef TG_BACKEND_H
#define TG_BACKEND_H

#include "backends/machine.h"
#include "ir/ir.h"

/* Lowers one tile-level kernel for a CPU machine into `out`: adds loop-level functions named
 * KERNEL.plan, KERNEL.phase0, ... The tile function is not changed. */
tg_status tg_lower_cpu(tg_func *kernel, const tg_machine *machine, tg_module *out,
                       tg_sink *sink) TG_MUST_USE;

/* Places one tile-level kernel on a SIMT machine: a placed-level function of the same name in `out`
 * (docs/placed.md): layouts, buffers, barriers, shared and scratch bytes all decided. The tile
 * function is not changed. Capacity is decided here: TG_E_UNSUPPORTED with a diagnostic that names
 * values, lines and bytes. */
tg_status tg_place(tg_func *kernel, const tg_machine *machine, tg_module *out,
                   tg_sink *sink) TG_MUST_USE;

/* Lowers a placed function for a SIMT machine into `out`: loop-level functions KERNEL.plan (role
 * plan, as for the CPU, run by one lane) and KERNEL.phase0 (role simt: body args ptr slots,
 * i64 program, i32 lane, ptr scratch, ptr report). */
tg_status tg_lower_simt(tg_func *placed, const tg_machine *machine, tg_module *out,
                        tg_sink *sink) TG_MUST_USE;

/* Prints every function of a SIMT loop module in the C dialect of the machine. One text. */
tg_status tg_simt_c_emit(tg_module *loop, const tg_machine *machine, tg_arena *a, tg_sink *sink,
                         const unsigned char **out, size_t *out_bytes) TG_MUST_USE;

/* May stand in an identifier of C. */
bool tg_simt_word_char(char c);
/* The name of f's entry in C text: every character that no identifier has becomes '_'. */
const char *tg_simt_entry_name(tg_arena *a, const tg_func *f);

/* One SPIR-V module in the flavour of the machine (Vulkan or OpenCL) with an entry per function. */
tg_status tg_spirv_emit(tg_module *loop, const tg_machine *machine, tg_arena *a, tg_sink *sink,
                        const unsigned char **out, size_t *out_bytes) TG_MUST_USE;

typedef struct tg_llvm_options {
    int opt_level;    /* codegen level 0..3; default 2 */
    bool debug_lines; /* DWARF line tables from spans */
    enum { TG_LLVM_OBJECT, TG_LLVM_ASM, TG_LLVM_IR } emit;
} tg_llvm_options;

/* Compiles every loop function of the module. Output bytes in the arena. LLVM's failures become
 * diagnostics (TG_E_UNSUPPORTED / TG_E_INTERNAL); the process survives. Thread-safe. */
tg_status tg_llvm_emit(tg_module *loop, const tg_machine *machine, const tg_llvm_options *options,
                       tg_arena *a, tg_sink *sink, const unsigned char **out,
                       size_t *out_bytes) TG_MUST_USE;

/* Links an AMDGPU relocatable object into a code object (ELF) as the vendor's loaders take it; what
 * it cannot place is refused by name. Output bytes in the arena. */
tg_status tg_hsaco_link(const unsigned char *obj, size_t n_bytes, tg_arena *a, tg_sink *sink,
                        const unsigned char **out, size_t *out_bytes) TG_MUST_USE;

/* Runtime imports a blob may call, in table order (abi: an array of pointers patched by the loader
 * at blob offset imports_offset). */
#define TG_BLOB_IMPORTS(X) X(memcpy) X(memset) X(memmove)

typedef struct tg_blob_symbol {
    const char *name; /* function name in the object */
    uint64_t offset;
} tg_blob_symbol;

/* Position-independent code image: text first (page aligned when loaded), constants, import slots.
 */
typedef struct tg_blob {
    const unsigned char *bytes;
    size_t n_bytes;
    size_t imports_offset; /* 8 bytes per import of TG_BLOB_IMPORTS; filled by the loader */
    tg_blob_symbol *symbols;
    size_t n_symbols;
} tg_blob;

/* Lays out an ELF relocatable object and applies its internal relocations (x86-64, AArch64,
 * RISC-V); anything else is refused by name. */
tg_status tg_blob_from_object(const unsigned char *obj, size_t n_bytes, tg_arena *a, tg_sink *sink,
                              tg_blob *out) TG_MUST_USE;

#endif
