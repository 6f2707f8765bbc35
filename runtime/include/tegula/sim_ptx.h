/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A functional simulator of PTX (sim/ptx), and the table by which the runtime's driver `sim`
 * reaches it as a plug-in. It reads the text that ships and executes it lane by lane, as the PTX
 * ISA manual defines it (section numbers in comments are those of its release 9.0). It shares no
 * code with the emitter.
 *
 *   sim_machine   global memory: buffers at addresses of their own, each byte known to be written
 *   sim_module    a PTX text, decoded
 *   sim_launch    one grid; what went wrong is in the sim_report
 *
 * Everything a program may do wrong ends in the report, never in the process: accesses outside a
 * buffer or misaligned, reads of what nobody wrote, races in shared memory, barriers that lanes do
 * not reach together, deadlock, instructions that are not known. A machine and its modules belong
 * to one thread at a time. Memory is the C library's.
 */
#ifndef TEGULA_SIM_PTX_H
#define TEGULA_SIM_PTX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sim_machine sim_machine;
typedef struct sim_module sim_module;
typedef struct sim_kernel sim_kernel;

typedef enum sim_status {
    SIM_OK,
    SIM_E_NOMEM,
    SIM_E_SYNTAX,      /* not PTX */
    SIM_E_UNSUPPORTED, /* PTX that is not simulated; the message names it */
    SIM_E_ARGUMENT,
    SIM_E_FAULT /* the program did something wrong: see the report */
} sim_status;

/* What can be wrong with a program. */
typedef enum sim_fault {
    SIM_FAULT_BOUNDS,        /* outside of every buffer, or of shared or local memory */
    SIM_FAULT_ALIGNMENT,     /* address no multiple of the access */
    SIM_FAULT_UNINITIALISED, /* read of bytes that were never written */
    SIM_FAULT_RACE,          /* conflicting accesses, no order between them */
    SIM_FAULT_DIVERGENCE,    /* a barrier or warp-wide instruction that its lanes do not share */
    SIM_FAULT_DEADLOCK,
    SIM_FAULT_TRAP,     /* trap, or an operation without a meaning */
    SIM_FAULT_RUNAWAY,  /* more instructions than the launch allows */
    SIM_FAULT_MBARRIER, /* a barrier in memory that is none, or is used as none can be */
    SIM_FAULT_PROXY,    /* written by threads, used by copies or wgmma, no fence.proxy.async */
    SIM_FAULT_ASYNC,    /* registers or memory of an asynchronous operation before its wait */
    SIM_N_FAULTS
} sim_fault;

typedef struct sim_finding {
    sim_fault fault;
    int32_t ptx_line;
    int32_t source_line;       /* by .loc, or 0 */
    uint32_t block[3], thread; /* thread: its number in the block */
    uint64_t address;
    uint64_t times; /* how often the same instruction did the same thing */
    char text[160];
} sim_finding;

/* Issue slots: instructions a warp was given, by unit. */
typedef enum sim_class {
    SIM_CLASS_INTEGER,
    SIM_CLASS_FLOAT,
    SIM_CLASS_DOUBLE,
    SIM_CLASS_SPECIAL, /* ex2, lg2, rcp, rsqrt, sin, cos, tanh, sqrt */
    SIM_CLASS_CONVERT,
    SIM_CLASS_MOVE,
    SIM_CLASS_CONTROL,
    SIM_CLASS_BARRIER,
    SIM_CLASS_WARP, /* shuffles, votes */
    SIM_CLASS_GLOBAL,
    SIM_CLASS_SHARED,
    SIM_CLASS_LOCAL,
    SIM_CLASS_ATOMIC,
    SIM_CLASS_MATRIX,
    SIM_CLASS_ASYNC, /* cp.async, bulk copies, mbarriers and what waits for them */
    SIM_N_CLASSES
} sim_class;

typedef struct sim_counters {
    uint64_t issued[SIM_N_CLASSES];
    uint64_t lanes; /* lane-instructions: active lanes of every issue slot */
    uint64_t global_requests, global_sectors; /* of 32 bytes */
    uint64_t shared_requests, shared_waves;   /* waves: requests times their bank conflicts */
    uint64_t matrix_flops;
} sim_counters;

/* What a warp, or a unit beside the warps, did from one cycle to another: modelled. */
typedef struct sim_span {
    uint32_t block[3], track; /* a warp of the block, or SIM_TRACK_ */
    const char *name;         /* of the library's own */
    double begin, end;        /* cycles */
    int32_t ptx_line;
} sim_span;
enum {
    SIM_TRACK_MATRIX = 64,       /* + warpgroup: wgmma */
    SIM_TRACK_COPIES = 80,       /* bulk copies */
    SIM_TIMELINE_MOST = 1 << 22, /* spans; what comes later is left out */
    SIM_MAX_FINDINGS = 32
};
/* Begin with zeros; sim_timeline_free when done. */
typedef struct sim_timeline {
    sim_span *spans;
    size_t n, cap;
} sim_timeline;

typedef struct sim_report {
    sim_finding findings[SIM_MAX_FINDINGS];
    uint32_t n_findings;
    uint64_t more; /* findings that had no room */
    sim_counters counters;
    /* Modelled, where the launch asks for it: of a block alone, of the grid. */
    double block_cycles, grid_cycles, grid_seconds;
    double matrix_share; /* of a block's cycles, those in which the matrix units are busy */
    char message[256];   /* of a status other than SIM_OK */
} sim_report;

/* ---- machines -------------------------------------------------------------------------------- */

/* sm: 80, 86, 89, 90. NULL when there is no memory. */
sim_machine *sim_machine_make(int sm);
void sim_machine_free(sim_machine *m);

/* A buffer of device memory, its bytes unwritten; 0 when there is no memory. Addresses are
 * multiples of 256 and have room between them that belongs to nobody. */
uint64_t sim_memory_alloc(sim_machine *m, size_t bytes);
void sim_memory_free(sim_machine *m, uint64_t address);
/* Host access: false when the bytes lie in no buffer. Reading tells nothing of unwritten bytes. */
bool sim_memory_write(sim_machine *m, uint64_t to, const void *from, size_t bytes);
bool sim_memory_read(sim_machine *m, void *to, uint64_t from, size_t bytes);
bool sim_memory_holds(const sim_machine *m, uint64_t address, size_t bytes);

/* ---- modules --------------------------------------------------------------------------------- */

/* text need not end in NUL and is not kept. message: 256 bytes, why not. Variables of the module
 * live in the machine's memory, which must outlive the module. */
sim_status sim_module_load(sim_machine *m, const char *text, size_t bytes, sim_module **out,
                           char message[256]);
void sim_module_free(sim_module *module);
/* NULL when there is no entry of that name. */
const sim_kernel *sim_module_kernel(const sim_module *module, const char *name);
/* Bytes of the parameters as they lie in .param space. */
size_t sim_kernel_param_bytes(const sim_kernel *k);
/* Bytes of shared memory that the text declares; dynamic memory comes behind them. */
size_t sim_kernel_shared_bytes(const sim_kernel *k);

/* ---- launches -------------------------------------------------------------------------------- */

typedef struct sim_launch_options {
    uint32_t grid[3], block[3], cluster[3]; /* cluster: 0 is what the kernel wants */
    size_t dynamic_shared;
    uint64_t seed;          /* order in which warps are given turns */
    uint64_t most_issues;   /* of one block; 0: 2^36 */
    bool no_races;          /* do not look for races (faster) */
    bool global_races;      /* look for races in global memory, too (slower) */
    bool model;             /* reckon with time (slower) */
    sim_timeline *timeline; /* or NULL; spans are added, and model is on */
    bool registers;         /* look for reads of registers that nobody wrote (slower) */
} sim_launch_options;

/* params: sim_kernel_param_bytes. Runs to the end or to a fault that leaves nothing to go on with;
 * findings that harm nothing but the result are collected. SIM_E_FAULT when there was any. */
sim_status sim_launch(sim_machine *m, const sim_kernel *k, const sim_launch_options *o,
                      const void *params, sim_report *report);

const char *sim_fault_name(sim_fault f);

/* For chrome://tracing and Perfetto, a cycle as a microsecond; free() it. NULL: no memory. */
char *sim_timeline_json(const sim_timeline *t);
void sim_timeline_free(sim_timeline *t);

/* ---- tensor maps ----------------------------------------------------------------------------- */

/* What cp.async.bulk.tensor needs to know of a tensor (5.5.3 to 5.5.6). Codes are those of
 * tensormap.replace (9.7.9.28). */
typedef enum sim_tensor_type {
    SIM_TENSOR_U8,
    SIM_TENSOR_U16,
    SIM_TENSOR_U32,
    SIM_TENSOR_S32,
    SIM_TENSOR_U64,
    SIM_TENSOR_S64,
    SIM_TENSOR_F16,
    SIM_TENSOR_F32,
    SIM_TENSOR_F32_FTZ,
    SIM_TENSOR_F64,
    SIM_TENSOR_BF16,
    SIM_TENSOR_TF32,
    SIM_TENSOR_TF32_FTZ,
    SIM_N_TENSOR_TYPES
} sim_tensor_type;

enum { SIM_TENSOR_MAP_BYTES = 128, SIM_TENSOR_MAX_RANK = 5 };

typedef struct sim_tensor_map {
    uint64_t address; /* multiple of 16 */
    uint32_t rank;    /* 1 to 5; dimension 0 is the innermost */
    uint64_t extent[SIM_TENSOR_MAX_RANK];
    uint64_t stride[SIM_TENSOR_MAX_RANK]; /* bytes; that of dimension 0 is not looked at */
    uint32_t box[SIM_TENSOR_MAX_RANK];    /* at most 256 each */
    uint32_t step[SIM_TENSOR_MAX_RANK];   /* element strides, 1 to 8; 0 counts as 1 */
    sim_tensor_type type;
    uint32_t swizzle; /* bytes: 0 (none), 32, 64 or 128 */
    bool fill_nan;    /* outside of the tensor: NaN instead of zero */
} sim_tensor_map;

/* The 128 bytes that a kernel is given (a CUtensorMap; the encoding is our own and opaque to
 * kernels). False, with message, when no such map can be. */
bool sim_tensor_map_encode(const sim_tensor_map *map, uint8_t out[SIM_TENSOR_MAP_BYTES],
                           char message[256]);

/* ---- as a plug-in ---------------------------------------------------------------------------- */

/* What the runtime's driver finds in libtegula-dev-sim-ptx.so under the name tegula_sim_ptx; all
 * functions as above. */
enum { SIM_PTX_VERSION = 5 };
typedef struct sim_ptx_interface {
    uint32_t version;
    sim_machine *(*machine_make)(int sm);
    void (*machine_free)(sim_machine *m);
    uint64_t (*memory_alloc)(sim_machine *m, size_t bytes);
    void (*memory_free)(sim_machine *m, uint64_t address);
    bool (*memory_write)(sim_machine *m, uint64_t to, const void *from, size_t bytes);
    bool (*memory_read)(sim_machine *m, void *to, uint64_t from, size_t bytes);
    bool (*memory_holds)(const sim_machine *m, uint64_t address, size_t bytes);
    sim_status (*module_load)(sim_machine *m, const char *text, size_t bytes, sim_module **out,
                              char message[256]);
    void (*module_free)(sim_module *module);
    const sim_kernel *(*module_kernel)(const sim_module *module, const char *name);
    size_t (*kernel_shared_bytes)(const sim_kernel *k);
    sim_status (*launch)(sim_machine *m, const sim_kernel *k, const sim_launch_options *o,
                         const void *params, sim_report *report);
    const char *(*fault_name)(sim_fault f);
    bool (*tensor_map_encode)(const sim_tensor_map *map, uint8_t out[SIM_TENSOR_MAP_BYTES],
                              char message[256]);
    char *(*timeline_json)(const sim_timeline *t);
    void (*timeline_free)(sim_timeline *t);
} sim_ptx_interface;
const sim_ptx_interface *tegula_sim_ptx(void);

#ifdef __cplusplus
}
#endif

#endif
