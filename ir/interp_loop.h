/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interpreter of the loop level: runs the functions that a lowering made on plain host memory
 * and reports what a device would not: data races, reads of memory that nobody wrote, accesses out
 * of bounds or misaligned, barriers that not all lanes reach.
 *
 *   NAME.plan ─ programs ─▶ NAME.phase0, NAME.phase1 ... (role simt: all lanes of every program;
 *                            role phaseN of the CPU convention: one lane, the whole range)
 *
 * Lanes run one at a time, from barrier to barrier, in an order drawn from the seed; races are
 * found by happens-before over barriers (in functions where only some lanes meet, over a clock of
 * each lane), so no order hides them. A value made from memory that
 * nobody wrote is followed through arithmetic and reported where it decides something: a branch, an
 * address, a store to device memory.
 */
#ifndef TG_INTERP_LOOP_H
#define TG_INTERP_LOOP_H

#include "ir/interp.h"

/* Memory the code may touch. Addresses in the slots point into such ranges. */
typedef struct tg_loop_range {
    void *base;
    int64_t bytes;
    bool writable;
    bool undefined; /* holds nothing yet: what is read must have been written */
    const char *name;
} tg_loop_range;

typedef enum tg_loop_fault {
    TG_LOOP_RACE,       /* two lanes, or two programs, touch a byte without order */
    TG_LOOP_UNDEFINED,  /* something observable depends on memory that nobody wrote */
    TG_LOOP_BOUNDS,     /* outside of an array or of all ranges, or a write to a read-only range */
    TG_LOOP_ALIGN,      /* address or index not a multiple of what the operation promises */
    TG_LOOP_DIVERGENCE, /* not all lanes reach a barrier or a sub-group operation */
    TG_LOOP_DEADLOCK,   /* lanes wait for each other, or for arrivals that do not come */
    TG_LOOP_MBARRIER,   /* a barrier in shared memory that nobody made, or more arrivals than wanted
                         */
    TG_LOOP_UNAWAITED,  /* a program ends while a copy that it started is under way */
    TG_LOOP_LIMIT,      /* given up after max_steps */
    TG_LOOP_BAD_CODE,   /* not code that can be run: unknown operation, missing function */
    TG_LOOP_FAULT_COUNT
} tg_loop_fault;

typedef struct tg_loop_finding {
    tg_loop_fault fault;
    const tg_op *op; /* NULL: the launch as a whole */
    int64_t program;
    int lane;
    const char *text;
} tg_loop_finding;

/* A shared access whose lanes meet in banks: each execution takes `degree` times the cycles that as
 * many words need without. */
typedef struct tg_loop_conflict {
    const tg_op *op;
    int64_t accesses, extra; /* executions with conflicts, their cycles over the least */
    int64_t degree;          /* of the worst execution, rounded up */
} tg_loop_conflict;

typedef struct tg_loop_report {
    tg_loop_finding *findings; /* one per operation and kind of fault, in order of appearance */
    int n_findings;
    int64_t faults; /* all, repetitions too */
    int trap;       /* tg_cpu_trap of the first trap, 0: none */
    int64_t trap_line, trap_program;
    int64_t programs, steps;
    /* Of the first program run, its first `warp` lanes taken together. */
    int64_t shared_accesses, bank_conflicts; /* extra cycles over the conflict-free number */
    tg_loop_conflict *conflicts;             /* the accesses that have any, in order of the code */
    int n_conflicts;
    int64_t global_accesses, sectors, sectors_needed; /* 32-byte sectors touched; least possible */
} tg_loop_report;

typedef struct tg_loop_options {
    uint64_t seed;        /* order of programs and lanes; 0: in order */
    int64_t max_steps;    /* instructions of all lanes together; 0: 2^32 */
    int subgroup;         /* lanes that shuffle together; 0: all */
    int warp;             /* lanes counted together for the memory counters; 0: 32 */
    int banks;            /* of shared memory, 4 bytes each; 0: 32 */
    int64_t programs;     /* > 0: run so many without asking NAME.plan */
    int64_t max_programs; /* > 0: run at most so many, a seeded choice */
    bool mark;            /* leaves every operation that touched memory with itself as scratch */
} tg_loop_options;

/* Runs kernel `name` of a loop module. TG_OK also when there are findings; TG_E_INVALID when there
 * is nothing to run. Memory is taken from a. */
tg_status tg_loop_run(tg_module *loop, const char *name, const int64_t *slots, int n_slots,
                      const tg_loop_range *ranges, int n_ranges, const tg_loop_options *options,
                      tg_arena *a, tg_loop_report *out) TG_MUST_USE;

/* The same on the arguments of the tile-level kernel that the module was lowered from. Outputs must
 * have been filled where the signature says `init`. */
tg_status tg_loop_run_kernel(tg_module *loop, const tg_func *kernel, const tg_interp_arg *args,
                             const int64_t *syms, const tg_loop_options *options, tg_arena *a,
                             tg_loop_report *out) TG_MUST_USE;

const char *tg_loop_fault_name(tg_loop_fault fault);
/* One line per finding. */
void tg_loop_report_print(tg_sb *sb, const tg_loop_report *report);
/* One line per access with bank conflicts: its line, its degree, its extra cycles. */
void tg_loop_conflicts_print(tg_sb *sb, const tg_loop_report *report);

#endif
