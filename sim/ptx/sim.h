/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the PTX simulator.
 *
 *   lex.c      text to words           exec_arith.c   integers, floats, predicates
 *   parse.c    directives, scopes      exec_convert.c cvt and packed conversions
 *   decode.c   one instruction         exec_memory.c  ld, st, atom, cp.async
 *   symbol.c   names                   exec_warp.c    shuffles, votes, ldmatrix, mma
 *   memory.c   addresses, shadows      run.c          lanes, warps, barriers, blocks
 *   race.c     order between warps     launch.c       grids, findings
 *   global.c   races in global memory
 *   model.h    cycles, where a launch asks for them
 *   async.h    what goes on beside the warps: mbarriers, bulk copies, tensor maps, wgmma
 *
 * A register is a row: 32 words of 64 bits, one a lane. A warp holds one file of rows; constants
 * are rows of the module. Since functions cannot recurse here, every function has rows and bytes of
 * local memory of its own, so lanes of one warp may be in different calls.
 */
#ifndef TEGULA_SIM_H
#define TEGULA_SIM_H

#include <tegula/sim_ptx.h>

#include "sim/common/memory.h"

enum {
    LANES = 32,
    MAX_OPERANDS = 8,
    MAX_THREADS = 1024,
    MAX_WARPS = MAX_THREADS / LANES,
    N_BARRIERS = 16,
    MAX_CLUSTER = 16
};

/* Rows: of the warp's file, or with ROW_CONSTANT of the module. ROW_FUNCTION is set while a .func
 * is read, until it is known where its rows begin. */
#define ROW_NONE UINT32_MAX
#define ROW_CONSTANT 0x40000000u
#define ROW_FUNCTION 0x20000000u
#define ROW_INDEX 0x1fffffffu

/* Rows that every warp has: 8.1 to 8.9 "Special registers" as far as they are constant. */
typedef enum sim_special {
    SR_TID_X,
    SR_TID_Y,
    SR_TID_Z,
    SR_NTID_X,
    SR_NTID_Y,
    SR_NTID_Z,
    SR_CTAID_X,
    SR_CTAID_Y,
    SR_CTAID_Z,
    SR_NCTAID_X,
    SR_NCTAID_Y,
    SR_NCTAID_Z,
    SR_LANEID,
    SR_WARPID,
    SR_NWARPID,
    SR_LANEMASK_EQ,
    SR_LANEMASK_LE,
    SR_LANEMASK_LT,
    SR_LANEMASK_GE,
    SR_LANEMASK_GT,
    SR_CLUSTERID_X,
    SR_CLUSTERID_Y,
    SR_CLUSTERID_Z,
    SR_NCLUSTERID_X,
    SR_NCLUSTERID_Y,
    SR_NCLUSTERID_Z,
    SR_CLUSTER_CTAID_X,
    SR_CLUSTER_CTAID_Y,
    SR_CLUSTER_CTAID_Z,
    SR_CLUSTER_NCTAID_X,
    SR_CLUSTER_NCTAID_Y,
    SR_CLUSTER_NCTAID_Z,
    SR_CLUSTER_CTARANK,
    SR_CLUSTER_NCTARANK,
    SR_SMID,
    SR_NSMID,
    SR_GRIDID,
    SR_DYNAMIC_SMEM,
    SR_TOTAL_SMEM,
    SR_CLOCK, /* counts issue slots */
    SR_CARRY, /* CC.CF */
    N_SPECIAL
} sim_special;

typedef enum sim_type {
    T_NONE,
    T_PRED,
    T_B8,
    T_B16,
    T_B32,
    T_B64,
    T_B128,
    T_U8,
    T_U16,
    T_U32,
    T_U64,
    T_S8,
    T_S16,
    T_S32,
    T_S64,
    T_U16X2, /* add, min and max of sm_90 */
    T_S16X2,
    T_F16,
    T_BF16,
    T_F32,
    T_F64,
    T_F16X2,
    T_BF16X2,
    T_TF32,
    T_E4M3,
    T_E5M2,
    T_E4M3X2,
    T_E5M2X2,
    N_TYPES
} sim_type;

typedef enum sim_space {
    SPACE_GENERIC,
    SPACE_GLOBAL,
    SPACE_SHARED,
    SPACE_LOCAL,
    SPACE_CONST,
    SPACE_PARAM
} sim_space;

typedef enum sim_round { ROUND_NONE, ROUND_N, ROUND_Z, ROUND_M, ROUND_P, ROUND_A } sim_round;

typedef enum sim_operand_kind {
    OPERAND_NONE,
    OPERAND_ROW,
    OPERAND_SINK,    /* _ */
    OPERAND_VECTOR,  /* n rows from parts[row] */
    OPERAND_ADDRESS, /* row (or none) + offset */
    OPERAND_LABEL    /* offset: where to go */
} sim_operand_kind;

typedef struct sim_operand {
    uint8_t kind, n;
    bool negate;   /* !p */
    bool narrow;   /* address: the base is of 32 bits */
    bool is_place; /* of an address: in brackets */
    bool writes;   /* a destination */
    uint8_t space; /* of a symbol in an address, else SPACE_GENERIC */
    uint8_t width; /* bytes of the register, or of a list's first */
    uint32_t row;
    int64_t offset;
} sim_operand;

typedef struct sim_warp sim_warp;
typedef struct sim_insn sim_insn;
/* Executes for the lanes of the mask (never empty). */
typedef void (*sim_exec)(sim_warp *w, const sim_insn *in, uint32_t mask);

/* .relaxed and .volatile; .acquire; .release; the last two together .acq_rel. */
enum { ORDER_STRONG = 1, ORDER_ACQUIRE = 2, ORDER_RELEASE = 4 };

/* What the scheduler itself does. */
typedef enum sim_control {
    CONTROL_NONE,
    CONTROL_BRANCH,
    CONTROL_TABLE,
    CONTROL_CALL,
    CONTROL_RETURN,
    CONTROL_EXIT,
    CONTROL_TRAP,
    CONTROL_BARRIER,
    CONTROL_CLUSTER,
    CONTROL_MBARRIER, /* test_wait, try_wait */
    CONTROL_WARPGROUP /* wgmma.mma_async: four warps together */
} sim_control;

struct sim_insn {
    sim_exec exec;
    uint8_t control, class_;
    uint8_t type, type2, type3; /* .type modifiers in order of the manual */
    uint8_t space, round, cmp, logic, mode, vector;
    uint8_t order; /* ORDER_ of a memory access */
    bool ftz, sat, wide, high, relu, nan, whole, uniform, transposed, copies;
    bool guard_not;
    uint8_t sync;      /* 1 + operand with the member mask; 0: not warp-wide. 255: all live lanes */
    uint16_t shape[3]; /* m n k */
    uint32_t guard;
    int32_t line, source;
    const sim_kernel *callee;
    uint8_t n;
    sim_operand op[MAX_OPERANDS];
};

typedef struct sim_param {
    uint32_t offset, bytes;
} sim_param;

struct sim_kernel {
    const sim_module *module;
    char *name;
    bool entry, defined;
    uint32_t first, end; /* instructions */
    uint32_t rows, local_bytes, shared_bytes, param_bytes;
    uint32_t return_row;
    sim_param *params, *results; /* of a .func: bytes in local memory */
    uint32_t n_params, n_results;
    uint32_t needs_block[3], needs_cluster[3]; /* .reqntid, .reqnctapercluster; 0: none */
};

struct sim_module {
    sim_machine *machine;
    SIM_ARRAY(sim_insn) code;
    SIM_ARRAY(uint32_t) parts;     /* rows of vector operands, ROW_NONE: _ */
    SIM_ARRAY(uint64_t) constants; /* rows */
    SIM_ARRAY(sim_kernel *) functions;
    SIM_ARRAY(uint64_t) globals; /* addresses of the module's variables */
    SIM_ARRAY(char *) global_names;
    uint32_t shared_bytes; /* variables outside of functions */
    bool shared_used;      /* some function names one; assemblers drop what nobody does */
    uint32_t function_rows, function_local, entry_rows, entry_local;
    uint32_t dynamic_align; /* of dynamic shared memory */
    bool asynchronous;      /* has mbarriers, bulk copies or wgmma: clocks are longer */
    bool warpgroups;        /* has wgmma: registers are looked after */
};

/* ---- types (decode.c) ------------------------------------------------------------------------ */

uint32_t sim_type_bytes(sim_type t);
bool sim_type_signed(sim_type t);
/* A value of a type in a register of so many bytes: signed ones fill it with their sign. */
uint64_t sim_extended(uint64_t v, sim_type t, uint32_t width);

/* ---- memory (memory.c) ----------------------------------------------------------------------- */

/* Where generic addresses of a space begin (4.2.2: the windows are the implementation's). */
#define SHARED_WINDOW 0x0100000000000000ull
#define LOCAL_WINDOW 0x0200000000000000ull
#define PARAM_WINDOW 0x0300000000000000ull
#define WINDOW_MASK 0x0f00000000000000ull
enum {
    CTA_SHIFT = 24,           /* shared::cluster: rank of the block above the offset */
    FUNCTION_LOCAL = 1 << 20, /* where the local memory of .funcs begins; below: the entry's */
    SHARED_DYNAMIC = 0xffffff /* offset of extern shared variables while a module is read */
};

/* ---- running (run.c) ------------------------------------------------------------------------- */

/* Last accesses of four bytes of shared memory, or of one (race.c). Clocks have a component for
 * each warp and for each agent that works beside them (async.h). */
typedef struct sim_cell {
    uint32_t write_clock, read_clock;
    uint16_t writer, reader; /* 1 + warp; READER_MANY: see reads */
    bool atomic : 1;         /* the last write was */
    bool mbarrier : 1;       /* part of a barrier in memory */
    bool split : 1;          /* each of its bytes has a cell of its own */
    uint8_t pending;         /* bytes that a cp.async under way writes */
} sim_cell;

/* The bytes of a word that lanes accessed in part. */
typedef struct sim_bytes {
    sim_cell cells[4];
    uint32_t *reads[4];
} sim_bytes;

typedef struct sim_barrier {
    uint32_t arrived, expected; /* threads */
    uint32_t warps;             /* that wait */
    uint32_t trues;             /* of bar.red: lanes with true */
    double time;                /* cycles, of the last that came */
    uint32_t *clock;
} sim_barrier;

/* One cp.async, done when it is waited for. */
typedef struct sim_copy {
    uint64_t from, to;
    uint32_t bytes, take;
    uint32_t group; /* GROUP_OPEN: not committed */
    const sim_insn *insn;
    uint8_t lane;
    uint32_t order; /* among the warp's */
    double done_at; /* cycles */
} sim_copy;
#define GROUP_OPEN UINT32_MAX

typedef struct sim_block {
    struct sim_run *run;
    uint32_t id[3], rank;
    uint8_t *shared, *shared_written;
    sim_cell *cells;
    uint32_t **reads;  /* clocks of a cell's reads, for cells that several warps read */
    sim_bytes **bytes; /* of cells that are or were split */
    sim_barrier barriers[N_BARRIERS];
    SIM_ARRAY(struct sim_mbarrier *) mbarriers;
    sim_warp *warps;
    uint32_t n_warps, threads;
} sim_block;

struct sim_warp {
    uint64_t *file;
    const uint64_t *constants;
    const uint32_t *parts;
    sim_block *block;
    struct sim_run *run;
    uint8_t *local, *local_written; /* LANES pieces */
    uint32_t index;
    uint32_t live, parked;
    uint32_t pc[LANES];
    int32_t barrier;        /* it waits at, or -1 */
    const sim_insn *at;     /* being executed */
    uint32_t groups[LANES]; /* of cp.async, committed */
    SIM_ARRAY(sim_copy) copies;
    uint32_t number; /* among the clocks */
    uint32_t *clock;
    uint32_t turns;
    const uint8_t *storing; /* what a store is about to write, or NULL */
    uint32_t copy_order;
    /* Lanes that wait at an mbarrier, those whose wait is to end without success, and since when.
     */
    uint32_t asleep, expired;
    uint64_t slept_at;
    struct sim_mbarrier *waits_at[LANES];
    struct sim_async *async; /* of bulk copies and wgmma; NULL: the module has none */
    bool group_waits;        /* for the other warps of its warpgroup */
    double time, span_begin; /* cycles (model.h) */
    const char *span;
    int32_t span_line;
    struct sim_register *registers; /* what is known of each row, where that is asked for */
    bool cluster_arrived, cluster_open, cluster_waits;
};

typedef struct sim_global sim_global;

typedef struct sim_run {
    sim_machine *machine;
    const sim_kernel *kernel;
    const sim_module *module;
    const sim_launch_options *options;
    const uint8_t *params;
    sim_report *report;
    sim_block *blocks; /* of the cluster that runs */
    uint32_t n_blocks;
    uint64_t issues, random, rounds;
    SIM_ARRAY(struct sim_bulk) bulks; /* under way */
    uint32_t stalls;                  /* times that all waits expired and nothing came of it */
    sim_range last[4];                /* of global memory: what was touched last */
    bool stop, no_memory;
    uint32_t rows, local_bytes, shared_bytes;
    /* A clock has n_clocks components: warps, then agents. When the module is asynchronous a second
     * half tells how much of each is known to the asynchronous proxy. */
    uint32_t n_clocks, clock_words, n_warps;
    uint32_t *own_clocks; /* warps' and barriers', freed with the run */
    uint32_t *cluster_clock, *scratch_clock;
    struct sim_model *model; /* NULL: nobody asks for times */
    double cluster_time;
    sim_global *global; /* NULL: nobody looks for races there */
} sim_run;

static inline uint64_t *sim_row(const sim_warp *w, uint32_t row) {
    return row & ROW_CONSTANT
               ? (uint64_t *)(uintptr_t)(w->constants + (size_t)(row & ROW_INDEX) * LANES)
               : w->file + (size_t)row * LANES;
}
static inline uint64_t *sim_in(const sim_warp *w, const sim_insn *in, int i) {
    return sim_row(w, in->op[i].row);
}

/* Notes a fault of a lane (or of the warp: lane -1). */
void sim_find(sim_warp *w, sim_fault fault, int lane, uint64_t address, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* The next of the run's own numbers. */
uint64_t sim_draw(sim_run *run);
/* Runs the blocks of a cluster to their ends, or to what leaves nothing to go on with. */
void sim_run_cluster(sim_run *run);
/* bar.sync and the like, for all lanes of the warp; false: the warp waits. */
void sim_barrier_arrive(sim_warp *w, const sim_insn *in, uint32_t mask);
/* Counts a request: sectors of global memory, or waves of shared memory. */
void sim_count_access(sim_warp *w, sim_space space, const uint64_t address[LANES], uint32_t mask,
                      uint32_t bytes);

/* ---- accesses (memory.c) --------------------------------------------------------------------- */

/* What a lane touches, resolved; data NULL after a finding. */
typedef struct sim_place {
    uint8_t *data, *written;
    uint64_t at;      /* bit of `written` */
    sim_block *block; /* of shared memory, else NULL */
    uint32_t offset;
} sim_place;

/* ACCESS_SAME: a store of what is there already. */
typedef enum sim_access { ACCESS_READ, ACCESS_WRITE, ACCESS_ATOMIC, ACCESS_SAME } sim_access;

/* Has it threads that have not ended? */
bool sim_block_lives(const sim_block *b);
/* Checks bounds and alignment, and that what is read was written; notes the order of accesses. */
sim_place sim_resolve(sim_warp *w, int lane, sim_space space, uint64_t address, uint32_t bytes,
                      sim_access access);
/* Address of operand i for a lane. */
uint64_t sim_address(const sim_warp *w, const sim_insn *in, int i, int lane);

/* ---- races (race.c) -------------------------------------------------------------------------- */

void sim_race_access(sim_warp *w, int lane, sim_block *b, uint32_t offset, uint32_t bytes,
                     sim_access access);
/* The same of an agent that works beside the warps: `clock` is what whoever sent it knows, `epoch`
 * its own time. What warps wrote must be known to the asynchronous proxy. */
void sim_race_agent(sim_warp *w, const uint32_t *clock, sim_block *b, uint32_t offset,
                    uint32_t bytes, sim_access access, uint32_t agent, uint32_t epoch);
/* Bytes become part of a barrier in memory, or no longer are. */
void sim_race_mbarrier(sim_block *b, uint32_t offset, bool is);
/* A cp.async is under way, or done: until then nobody may touch what it writes. */
void sim_race_pending(sim_block *b, uint32_t offset, uint32_t bytes, bool pending);
/* Everything the warp did so far happens before what acquires this clock later. */
void sim_clock_release(sim_warp *w, uint32_t *clock);
void sim_clock_acquire(sim_warp *w, const uint32_t *clock);

/* ---- races in global memory (global.c) ------------------------------------------------------- */

bool sim_global_init(sim_run *run);
void sim_global_free(sim_run *run);
void sim_global_begin(sim_run *run); /* a cluster */
void sim_global_fence(sim_warp *w);  /* of more than the block */
void sim_global_access(sim_warp *w, int lane, uint64_t address, uint32_t bytes, sim_access access);

/* ---- numbers (numbers.c) --------------------------------------------------------------------- */

float sim_f16_to_f32(uint16_t h);
uint16_t sim_f32_to_f16(float f, sim_round r);
static inline float sim_bf16_to_f32(uint16_t h) {
    union {
        uint32_t u;
        float f;
    } v = {(uint32_t)h << 16};
    return v.f;
}
uint16_t sim_f32_to_bf16(float f, sim_round r);
float sim_f8_to_f32(uint8_t v, sim_type t);
uint8_t sim_f32_to_f8(float f, sim_type t); /* satfinite, to nearest even */
/* value * 2^0 rounded to a float of `mantissa` stored bits and exponents from emin to emax. */
double sim_round_to(double v, int mantissa, int emin, sim_round r);
/* To f32; beyond its range to what the direction says. */
float sim_round_f32(double exact, sim_round r);

static inline float sim_as_f32(uint64_t v) {
    union {
        uint32_t u;
        float f;
    } x = {(uint32_t)v};
    return x.f;
}
static inline uint64_t sim_of_f32(float f) {
    union {
        float f;
        uint32_t u;
    } x = {f};
    return x.u;
}
static inline double sim_as_f64(uint64_t v) {
    union {
        uint64_t u;
        double f;
    } x = {v};
    return x.f;
}
static inline uint64_t sim_of_f64(double f) {
    union {
        double f;
        uint64_t u;
    } x = {f};
    return x.u;
}

/* ---- reading text ---------------------------------------------------------------------------- */

typedef enum sim_token { TOKEN_END, TOKEN_WORD, TOKEN_NUMBER, TOKEN_STRING, TOKEN_PUNCT } sim_token;

typedef struct sim_lexer {
    const char *p, *end;
    int32_t line;
    sim_token kind;
    char text[512]; /* word or string */
    uint64_t value; /* number: bits */
    bool is_float;
    char punct;
} sim_lexer;

void sim_lex_next(sim_lexer *x);

typedef enum sim_symbol_kind {
    SYMBOL_REGISTERS,
    SYMBOL_GLOBAL,
    SYMBOL_SHARED,
    SYMBOL_LOCAL,
    SYMBOL_PARAM,
    SYMBOL_LABEL,
    SYMBOL_TABLE /* .branchtargets: n labels from parts[row] */
} sim_symbol_kind;

typedef struct sim_symbol {
    char *name;
    sim_symbol_kind kind;
    sim_type type;
    uint32_t n; /* registers: how many (name<n>), 0: one of the very name */
    uint32_t row;
    uint64_t offset; /* address, offset, instruction, or index of a function */
    uint32_t bytes;
    uint32_t depth;
    size_t next; /* older one in the bucket, 1 + index */
} sim_symbol;

enum { N_BUCKETS = 1024 };

/* A label that was not known yet: of a branch, or of a row of a .branchtargets. */
typedef struct sim_patch {
    size_t insn; /* or, without an operand (-1), the part */
    int operand;
    char *label;
    uint32_t depth;
    int32_t line;
} sim_patch;

typedef struct sim_parser {
    sim_lexer lex;
    sim_module *module;
    sim_kernel *function; /* being read */
    char *message;
    sim_status status;
    SIM_ARRAY(sim_symbol) symbols;
    size_t buckets[N_BUCKETS];
    uint32_t depth;
    uint32_t rows, local; /* of the function */
    SIM_ARRAY(sim_patch) patches;
    int32_t loc;
    uint64_t constant_index[4096]; /* 1 + row by hash of its value */
} sim_parser;

/* False, and the first message kept. */
bool sim_parse_fail(sim_parser *p, sim_status st, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool sim_parse_module(sim_parser *p);
bool sim_is_punct(const sim_parser *p, char c);
bool sim_take_punct(sim_parser *p, char c); /* false, nothing said, where another stands */
bool sim_expect(sim_parser *p, char c);
bool sim_parse_patch(sim_parser *p, size_t insn, int operand, const char *label);
sim_kernel *sim_function_named(sim_parser *p, const char *name);
/* The instruction whose opcode is the current word. */
bool sim_decode(sim_parser *p, uint32_t guard, bool guard_not);
uint32_t sim_parse_constant(sim_parser *p, uint64_t value); /* row */
sim_type sim_type_named(const char *text, size_t n);

bool sim_symbol_add(sim_parser *p, const sim_symbol *s);
void sim_symbol_leave(sim_parser *p); /* the innermost scope ends */
/* The register, variable or label; *out_row for registers. */
const sim_symbol *sim_symbol_find(sim_parser *p, const char *name, uint32_t *out_row);

#endif
