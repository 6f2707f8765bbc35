/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulator of AMD's machine code. It decodes code objects by tables of its own (ops.def) and
 * executes them wave by wave as the "CDNA3 Instruction Set Architecture" manual defines GFX9's
 * instructions and the "RDNA3 Instruction Set Architecture" manual GFX11's; sections named in
 * comments are theirs. It shares no code with the emitter.
 *
 *   code_object.c  ELF, kernel descriptors            decode.c   words to amd_insn
 *   operand.c      what sources and results are       exec_*.c   instructions
 *   run.c          waves, waits, barriers             launch.c   grids, findings
 *
 * A wave runs until a barrier or its end: lanes of a wave are in step, waves meet at barriers only,
 * so conflicting accesses of two waves without a barrier between them are races (memory.c). LDS
 * takes the accesses of all waves in the order they were issued (LLVM, "User Guide for AMDGPU
 * Backend", Memory Model): they need not have been waited for at a barrier.
 */
#ifndef TG_SIM_AMDGCN_AMD_H
#define TG_SIM_AMDGCN_AMD_H

#include <tegula/sim_ptx.h>

#include "sim/common/memory.h"

enum {
    LANES = 64,  /* most of a wave */
    VGPRS = 512, /* 256 and 256 accumulators */
    SGPRS = 128,
    SRC_VCC = 106,
    SRC_EXEC = 126,
    SRC_LITERAL = 255,
    SRC_VGPR = 256,
    SRC_AGPR = 512,
    NO_OPERAND = 0xffff,
    MAX_GROUP_WAVES = 32,
    SEGMENT_FLAT = 0, /* of memory instructions: as encoded */
    SEGMENT_SCRATCH = 1,
    SEGMENT_GLOBAL = 2,
    SEGMENT_BUFFER = 3
};

typedef enum amd_format {
    AMD_SOP2,
    AMD_SOPK,
    AMD_SOP1,
    AMD_SOPC,
    AMD_SOPP,
    AMD_SMEM,
    AMD_VOP2,
    AMD_VOP1,
    AMD_VOPC,
    AMD_VOP3,
    AMD_VOP3P,
    AMD_DS,
    AMD_FLAT,
    AMD_MUBUF
} amd_format;

enum {
    AMD_F32 = 1, /* sources are floats: they may be negated */
    AMD_F64 = 2,
    AMD_F16 = 4,
    AMD_LOW16 = 8,        /* the low halves of words */
    AMD_OPSEL = 16,       /* chooses halves of words */
    AMD_CARRY_IN = 32,    /* from VCC, or from the third source */
    AMD_CARRY_OUT = 64,   /* to VCC, or to a second destination */
    AMD_SDST = 128,       /* has a second destination in VOP3 */
    AMD_ACCUMULATE = 256, /* the destination is the third source */
    AMD_LITERAL = 512,    /* a constant word follows */
    AMD_COMPARE = 1024,   /* a mask of lanes */
    AMD_TO_EXEC = 2048,   /* and EXEC */
    AMD_SCALAR_OUT = 4096,
    AMD_WIDE2 = 8192,
    AMD_PACKED = 16384,
    AMD_MATRIX = 32768,
    AMD_THREE = 65536 /* sources, of VOP3 and VOP3P */
};

typedef enum amd_op {
#define AMD_OP(id, format, name9, n9, name11, n11, d, a, b, flags) AMD_##id,
#include "sim/amdgcn/ops.def"
#undef AMD_OP
    AMD_N_OPS
} amd_op;

typedef struct amd_op_info {
    const char *name[2]; /* GFX9, GFX11 */
    int16_t number[2];
    uint8_t format, width[3];
    uint32_t flags;
} amd_op_info;
extern const amd_op_info amd_ops[AMD_N_OPS];

/* Operand codes are those of the manuals (CDNA3 ISA 5.3.1): 0 SGPRs, 128 constants, 256 VGPRs; and
 * 512 accumulators. */
typedef struct amd_insn {
    uint16_t op;
    uint8_t words, form; /* 4 bytes each; amd_format as encoded */
    uint16_t dst, sdst, src[3];
    uint32_t literal;
    uint8_t neg, abs, omod, opsel, opsel_hi, neg_hi, cbsz;
    bool clamp, dpp, sdwa, bound_ctrl;
    uint16_t dpp_ctrl;
    uint8_t row_mask, bank_mask;
    uint8_t dst_sel, dst_unused, sel[2], sext;
    uint16_t imm; /* SOPK, SOPP; type of an SDWA's second form */
    /* memory */
    int32_t offset;
    uint8_t offset1, segment; /* SEGMENT_ */
    uint16_t addr, saddr, data[2];
    bool returns;
    /* the second half of a pair (VOPD) */
    struct amd_insn *pair;
} amd_insn;

struct sim_kernel {
    char *name;
    struct sim_module *module;
    uint64_t entry; /* offset in the image */
    uint32_t lds_bytes, private_bytes, kernarg_bytes, rsrc1, rsrc2, properties;
    uint32_t preload_words, preload_at; /* of the arguments, in words: SGPRs that begin with them */
};

struct sim_module {
    sim_machine *machine;
    int generation; /* 0: GFX9, 1: GFX11 */
    uint8_t *image; /* as loaded, at image_at of the machine's memory */
    uint64_t image_at, image_bytes, code_begin, code_end;
    amd_insn *code; /* one for each word of code, decoded when first met */
    SIM_ARRAY(sim_kernel) kernels;
};

/* What a wave waits for (CDNA3 ISA 4.4): register ranges that a load fills. */
typedef enum amd_counter { COUNT_VM, COUNT_LGKM, COUNT_VS } amd_counter;
typedef struct amd_pending {
    uint8_t counter;
    bool scalar_memory; /* out of order */
    uint16_t first, n;  /* operand codes; n 0: nothing comes back */
} amd_pending;
enum { MAX_PENDING = 512 };

typedef struct amd_wave {
    struct amd_run *run;
    struct amd_group *group;
    uint32_t index, pc; /* pc: offset in the image */
    const amd_insn *at;
    uint32_t s[SGPRS + 16];
    bool scc, live, waiting;
    uint32_t gpr_index; /* mode: bits of which operands, bit 8: on */
    uint32_t mode;
    uint32_t (*v)[LANES];
    uint8_t *scratch;
    const uint8_t *storing; /* what a write of LDS will leave, or NULL */
    amd_pending pending[MAX_PENDING];
    uint32_t n_pending;
    uint8_t busy[SGPRS + 2 * SRC_VGPR + SRC_VGPR]; /* by operand code: a load is under way */
} amd_wave;

typedef struct amd_cell { /* four bytes of LDS, since the last barrier */
    uint32_t epoch;
    uint8_t writer;   /* 1 + wave, 255: atomics only */
    uint32_t readers; /* bits of waves */
} amd_cell;

/* A read of a byte of LDS that other waves change by atomics: right where the same wave compares
 * what it read before the next barrier, as the loops do that stand for atomics. */
typedef struct amd_peek {
    uint32_t at, wave, pc;
    int lane;
    const amd_insn *by;
} amd_peek;
enum { MAX_PEEKS = 1024 };

typedef struct amd_group {
    uint32_t id[3], n_waves, epoch, n_peeks;
    amd_peek peeks[MAX_PEEKS];
    uint8_t *lds, *lds_written;
    amd_cell *cells;
    amd_wave *waves;
} amd_group;

typedef struct amd_run {
    sim_machine *machine;
    struct sim_module *module;
    const sim_kernel *kernel;
    const sim_launch_options *options;
    sim_report *report;
    int wave_lanes, generation;
    uint32_t lds_bytes;
    uint64_t kernarg;
    sim_range last;
    bool stop;
    uint64_t issues;
} amd_run;

/* ---- code objects and decoding ----------------------------------------------------------------
 */

sim_status amd_module_load(sim_machine *m, const char *bytes, size_t n, struct sim_module **out,
                           char message[256]);
void amd_module_free(struct sim_module *module);
const sim_kernel *amd_module_kernel(const struct sim_module *module, const char *name);
/* False: no instruction that is known; why has room for 160 bytes. word_count: words left. */
bool amd_decode(int generation, const uint32_t *word, size_t word_count, amd_insn *out, char *why);
const char *amd_name(int generation, const amd_insn *in);

/* ---- operands ---------------------------------------------------------------------------------
 */

uint32_t amd_scalar(amd_wave *w, const amd_insn *in, uint16_t code);
uint64_t amd_scalar64(amd_wave *w, const amd_insn *in, uint16_t code);
void amd_set_scalar(amd_wave *w, uint16_t code, uint32_t v);
void amd_set_scalar64(amd_wave *w, uint16_t code, uint64_t v);
/* A mask of lanes: as wide as the wave. */
uint64_t amd_mask(amd_wave *w, uint16_t code);
void amd_set_mask(amd_wave *w, uint16_t code, uint64_t v);
uint64_t amd_exec(const amd_wave *w);
/* Source i of all lanes with its modifiers; room holds what has to be made. */
const uint32_t *amd_source(amd_wave *w, const amd_insn *in, int i, uint32_t room[LANES]);
void amd_source64(amd_wave *w, const amd_insn *in, int i, int words, uint64_t out[LANES]);
/* Lanes that take part; DPP leaves some out. */
uint64_t amd_active(amd_wave *w, const amd_insn *in);
void amd_result(amd_wave *w, const amd_insn *in, const uint32_t d[LANES], uint64_t lanes);
void amd_result64(amd_wave *w, const amd_insn *in, const uint64_t d[LANES], uint64_t lanes);
/* The row of a VGPR or accumulator, checked; relative where the wave's mode says so. */
uint32_t *amd_row(amd_wave *w, uint16_t code, int which);

/* The nearest number of so many bits. */
int64_t amd_saturated(int64_t v, int bits, bool is_signed);

/* ---- execution: false where the instruction is none of theirs
 * ------------------------------------ */

bool amd_exec_scalar(amd_wave *w, const amd_insn *in);
bool amd_exec_flow(amd_wave *w, const amd_insn *in);
bool amd_exec_compare(amd_wave *w, const amd_insn *in);
bool amd_exec_lanes(amd_wave *w, const amd_insn *in);
bool amd_exec_integer(amd_wave *w, const amd_insn *in);
bool amd_exec_saturated(amd_wave *w, const amd_insn *in);
bool amd_exec_float(amd_wave *w, const amd_insn *in);
bool amd_exec_wide(amd_wave *w, const amd_insn *in);
bool amd_exec_packed(amd_wave *w, const amd_insn *in);
bool amd_exec_matrix(amd_wave *w, const amd_insn *in);
bool amd_exec_memory(amd_wave *w, const amd_insn *in);
bool amd_exec_lds(amd_wave *w, const amd_insn *in);

/* ---- memory -------------------------------------------------------------------------------------
 */

/* AMD_COMPARED: an atomic that finds out whether what its wave read there before still holds. */
typedef enum amd_access { AMD_READ, AMD_WRITE, AMD_ATOMIC, AMD_COMPARED } amd_access;
/* Bytes of global memory, LDS, or a lane's scratch; NULL after a finding. */
uint8_t *amd_global(amd_wave *w, int lane, uint64_t address, uint32_t bytes, amd_access access);
uint8_t *amd_lds(amd_wave *w, int lane, uint64_t address, uint32_t bytes, amd_access access);
uint8_t *amd_scratch(amd_wave *w, int lane, uint64_t address, uint32_t bytes, amd_access access);
/* At a barrier: reads among atomics that nothing compared are races. */
void amd_lds_barrier(amd_group *g);
/* The value that an atomic leaves; data[1] is that of a compare. */
uint64_t amd_atomic(int kind, int bytes, uint64_t old, uint64_t data, uint64_t other);
enum {
    AMD_ATOMIC_SWAP,
    AMD_ATOMIC_CAS,
    AMD_ATOMIC_ADD,
    AMD_ATOMIC_SUB,
    AMD_ATOMIC_SMIN,
    AMD_ATOMIC_UMIN,
    AMD_ATOMIC_SMAX,
    AMD_ATOMIC_UMAX,
    AMD_ATOMIC_AND,
    AMD_ATOMIC_OR,
    AMD_ATOMIC_XOR,
    AMD_ATOMIC_INC,
    AMD_ATOMIC_DEC,
    AMD_ATOMIC_FADD,
    AMD_ATOMIC_FMIN,
    AMD_ATOMIC_FMAX,
    AMD_ATOMIC_PK_ADD_F16,
    AMD_ATOMIC_PK_ADD_BF16
};

/* ---- running
 * ------------------------------------------------------------------------------------- */

sim_status amd_run_group(amd_run *run, amd_group *g);
sim_status amd_launch(sim_machine *m, const sim_kernel *k, const sim_launch_options *o,
                      const void *params, sim_report *report);
/* A load or store under way: n registers from `first` on. */
void amd_issue(amd_wave *w, amd_counter counter, uint16_t first, uint32_t n, bool scalar);
void amd_wait(amd_wave *w, amd_counter counter, uint32_t most);
/* lane below 0: the wave. */
void amd_find(amd_wave *w, sim_fault fault, int lane, uint64_t address, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
const char *amd_fault_name(sim_fault f);

/* ---- numbers (numbers.c)
 * -------------------------------------------------------------------------- */

float amd_f16_value(uint16_t h);
uint16_t amd_f16_round(double v); /* to nearest even */
uint16_t amd_f16_round_zero(double v);
/* 8-bit floats of GFX940: FNUZ, 0x80 is NaN, bias 8 and 16 (CDNA3 ISA 7.1.2). */
float amd_fp8_value(uint8_t v, bool bf8);
uint8_t amd_fp8_round(float v, bool bf8);

uint32_t amd_reversed(uint32_t v); /* the last bit first */
static inline float amd_as_f32(uint32_t u) {
    union {
        uint32_t u;
        float f;
    } x = {u};
    return x.f;
}
static inline uint32_t amd_of_f32(float f) {
    union {
        float f;
        uint32_t u;
    } x = {f};
    return x.u;
}
static inline double amd_as_f64(uint64_t u) {
    union {
        uint64_t u;
        double f;
    } x = {u};
    return x.f;
}
static inline uint64_t amd_of_f64(double f) {
    union {
        double f;
        uint64_t u;
    } x = {f};
    return x.u;
}

#endif
