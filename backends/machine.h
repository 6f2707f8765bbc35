/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine is data: class, vector units, register files, memory levels, features. The CPU rows
 * here are instruction-set levels; one package may hold code for several and the runtime picks at
 * load.
 */
#ifndef TG_MACHINE_H
#define TG_MACHINE_H

#include "ir/base/base.h"

typedef enum tg_machine_class { TG_MACHINE_CPU, TG_MACHINE_SIMT, TG_MACHINE_DMA } tg_machine_class;

/* CPU features the lowering asks for; a bit set. */
typedef enum tg_cpu_feature {
    TG_CPU_FMA = 1,
    TG_CPU_F16C = 2,   /* vector f16 <-> f32 */
    TG_CPU_MASKED = 4, /* masked loads and stores of 32- and 64-bit lanes */
    TG_CPU_AVX512 = 8,
    TG_CPU_AVX512_BF16 = 16,
    TG_CPU_AVX512_VNNI = 32,
    TG_CPU_GATHER = 64,   /* profitable vector gathers */
    TG_CPU_PSHUFB = 128,  /* byte table lookup in registers (x86.avx2.pshuf.b) */
    TG_CPU_MADDUBS = 256, /* u8 x i8 pair products (x86.avx2.pmadd.ub.sw) */
    TG_CPU_AVX512_VBMI = 512
} tg_cpu_feature;

/* What prints the code of a machine. */
typedef enum tg_emitter_kind {
    TG_EMIT_LLVM,
    TG_EMIT_OPENCL_C,
    TG_EMIT_HIP,  /* C++ for AMD and those whose compilers take its dialect */
    TG_EMIT_CUDA, /* C++ for NVIDIA, likewise */
    TG_EMIT_SPIRV_VULKAN,
    TG_EMIT_SPIRV_OPENCL
} tg_emitter_kind;

/* SIMT features the lowering and the emitters ask for; a bit set. */
typedef enum tg_simt_feature {
    TG_SIMT_F64 = 1,
    TG_SIMT_INT8 = 2,  /* 8-bit integers in registers and memory */
    TG_SIMT_INT16 = 4, /* 16-bit integers in registers and memory */
    TG_SIMT_INT64 = 8,
    TG_SIMT_ATOMIC64 = 16,
    TG_SIMT_FMA = 32,         /* fma rounds once */
    TG_SIMT_SUBGROUPS = 64,   /* shfl and ballot over `subgroup` lanes */
    TG_SIMT_SUBNORMALS = 128, /* f32 subnormals kept */
    TG_SIMT_BULK = 4096,      /* copies of boxes of tensors by maps (tmap, tcopy), with barriers in
                                 shared memory that count their bytes */
    TG_SIMT_ASYNC = 512, /* copies to shared memory that land later; 16 bytes of a lane at once */
    TG_SIMT_MBARRIER = 1024, /* barriers in shared memory, and of some of the lanes */
    TG_SIMT_SETREGS = 2048,  /* groups of 128 lanes give registers to others */
    TG_SIMT_UNROLLED = 8192, /* registers are worth unrolling all loops over them: what is indexed
                                at run time goes to memory */
    TG_SIMT_HALVES = 16384,  /* f16 to and from f32 and f32 to bf16 are instructions */
    TG_SIMT_EX2 = 32768,     /* `exp2` marked fast is an instruction, within its bound */
    TG_SIMT_DIV = 256        /* f32 division and square root correctly rounded */
} tg_simt_feature;

/* What a driver of a kind of device does against the rules (backends/quirks.def); a bit set. */
typedef enum tg_simt_quirk {
#define TG_SIMT_QUIRK(bit, number, name, fault, answer) TG_QUIRK_##bit = 1 << number,
#include "backends/quirks.def"
#undef TG_SIMT_QUIRK
    TG_QUIRK_ALL = 0
#define TG_SIMT_QUIRK(bit, number, name, fault, answer) | TG_QUIRK_##bit
#include "backends/quirks.def"
#undef TG_SIMT_QUIRK
} tg_simt_quirk;

/* What a role of a placed program may drive; a bit set. */
typedef enum tg_unit {
    TG_UNIT_VECTOR = 1, /* the lanes themselves */
    TG_UNIT_COPY = 2,   /* fills shared memory by itself, beside the lanes */
    TG_UNIT_MATRIX = 4  /* multiplies out of shared memory */
} tg_unit;

typedef struct tg_machine {
    const char *name;   /* "x86-64-v3" */
    const char *vendor; /* "cpu" */
    const char *label;  /* executed, emulated, assembled, ... (design.md 6) */
    tg_machine_class class_;
    const char *triple;   /* LLVM target triple */
    const char *llvm_cpu; /* tuning model */
    const char *llvm_features;
    int isa_id;       /* package code: tg_isa in package format */
    int vector_bytes; /* widest useful vector (SIMT: of one lane) */
    int vector_regs;
    int fma_pipes;
    unsigned features; /* tg_cpu_feature */
    bool defined;      /* ROW+defined: machine instructions are emitted as their definitions */
    int64_t l1_bytes, l2_bytes, l3_bytes; /* per core, per core, shared: planning figures */
    /* SIMT machines */
    tg_emitter_kind emitter;
    unsigned simt;          /* tg_simt_feature */
    unsigned quirks;        /* tg_simt_quirk */
    int lanes;              /* lanes of a program unless a schedule says otherwise */
    int max_lanes;          /* greatest work-group */
    int subgroup;           /* lanes that shuffle together; 0: none */
    int banks;              /* of shared memory, 4 bytes wide each; 0: no banks */
    int64_t shared_bytes;   /* of one program */
    int64_t scratch_bytes;  /* device memory that one program may take besides; 0: none */
    int64_t register_bytes; /* of one lane: beyond it the placer splits or spills */
    unsigned units;         /* tg_unit */
    uint64_t matrix;        /* matrix units: bits by number in ir/matrix.def */
    int copy_lanes;         /* lanes of a role that only drives the copy unit */
    int replicas; /* roles that share a program's tile unless a schedule says otherwise; 0: a
                     program is one unless a schedule says `roles` */
    int stages;   /* copies of a block that a loop fetches unless a schedule says otherwise;
                     1: it is fetched when it is used */
} tg_machine;

/* All machines in table order (backends/machines.def). */
size_t tg_machine_count(void);
const tg_machine *tg_machine_at(size_t i);
const tg_machine *tg_machine_find(const char *name); /* NULL if unknown */
/* A machine that exists as a table row alone: its code is placed, checked and interpreted, never
 * printed. Rows of machines.def beside the targets; NULL if unknown. */
const tg_machine *tg_machine_model(const char *name);
/* Quirks by number, for lists; NULL past the last. */
typedef struct tg_quirk_row {
    unsigned bit;
    const char *name, *fault, *answer;
} tg_quirk_row;
const tg_quirk_row *tg_quirk_at(size_t i);
/* The SIMT row with these quirks besides its own: what it may rely on is less by what they spoil.
 * In the arena unless there is nothing to change. */
const tg_machine *tg_machine_with_quirks(tg_arena *a, const tg_machine *m, unsigned quirks);
/* As tg_machine_find, and ROW+QUIRK+QUIRK of SIMT rows, and ROW+defined of CPU rows: code lowered
 * for the row as it is, for processors of the weakest row of its architecture: vectors are cut to
 * that row's and each machine instruction is replaced by what it is defined to compute. */
const tg_machine *tg_machine_named(tg_arena *a, const char *name);
/* Is its code text of a C dialect (backends/simt_c)? */
static inline bool tg_machine_prints_c(const tg_machine *m) {
    return m->class_ == TG_MACHINE_SIMT &&
           (m->emitter == TG_EMIT_OPENCL_C || m->emitter == TG_EMIT_HIP ||
            m->emitter == TG_EMIT_CUDA);
}
/* Best CPU level the running processor has, from CPUID / auxv; NULL when it has none of the rows.
 */
const tg_machine *tg_machine_host(void);

#endif
