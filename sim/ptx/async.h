/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes on beside the warps. A bulk copy is queued where it is issued and done some rounds
 * later, or when nobody can go on without it; wgmma is computed where its four warps meet. For the
 * race detector both are agents with a time of their own, its epoch: a component of the clocks that
 * a warp learns of when it waits for the mbarrier or the group.
 *
 *   mbarrier.c   barriers in memory        tensor.c   tensor maps and the boxes they cut out
 *   bulk.c       bulk copies, groups       wgmma.c    products of warpgroups
 *   registers.c  registers that wgmma holds, and such that nobody wrote
 */
#ifndef TEGULA_SIM_ASYNC_H
#define TEGULA_SIM_ASYNC_H

#include "sim/ptx/decode.h"

enum {
    WARPGROUP = 4,
    MBARRIER_AGENTS = 32, /* of a block; barriers beyond share them */
    GROUPS_KEPT = 16      /* newest bulk groups whose epochs are known */
};

/* ---- agents ---------------------------------------------------------------------------------- */

/* Components of the clocks behind those of the warps. */
static inline uint32_t sim_agent_of_bulk(const sim_warp *w) { return w->run->n_warps + w->number; }
static inline uint32_t sim_agent_of_group(const sim_warp *w) { /* of its warpgroup */
    return 2 * w->run->n_warps + w->number - w->index % WARPGROUP;
}
static inline uint32_t sim_agent_of_mbarrier(const sim_run *run, uint32_t rank, size_t index) {
    return 3 * run->n_warps + rank * MBARRIER_AGENTS + (uint32_t)(index % MBARRIER_AGENTS);
}

/* ---- mbarriers (9.7.13.15) ------------------------------------------------------------------- */

typedef struct sim_mbarrier {
    sim_block *block;
    uint32_t offset;
    bool valid;
    uint32_t phase, expected, pending;
    int64_t tx;            /* bytes that are still to come */
    double time, done_at;  /* cycles: of the last that came, of the phase before */
    uint32_t agent, epoch; /* of copies that complete here: one more each */
    /* What arrivals of this phase knew, and what whoever waits for a complete one learns. */
    uint32_t *clock, *done;
} sim_mbarrier;

/* The barrier at an address of shared memory; NULL after a finding. */
sim_mbarrier *sim_mbarrier_at(sim_warp *w, int lane, sim_space space, uint64_t address);
void sim_mbarrier_arrive(sim_warp *w, int lane, sim_mbarrier *m, uint32_t count);
void sim_mbarrier_expect(sim_mbarrier *m, int64_t bytes);
/* Bytes have come, and with them all that the agent did up to the epoch. */
void sim_mbarrier_complete(sim_warp *w, sim_mbarrier *m, int64_t bytes, uint32_t epoch);
void sim_mbarrier_wait(sim_warp *w, const sim_insn *in, uint32_t act);
void sim_mbarriers_free(sim_block *b);
/* cp.async.mbarrier.arrive: the lane's copies so far are done, then it arrives. */
bool sim_mbarrier_after_copies(sim_decoder *d);
void sim_copies_finish(sim_warp *w, uint32_t lane, uint32_t order);

/* ---- tensor maps ----------------------------------------------------------------------------- */

bool sim_tensor_map_decode(const uint8_t in[SIM_TENSOR_MAP_BYTES], sim_tensor_map *out);
uint32_t sim_tensor_bytes(sim_tensor_type t);
/* Bytes of the box in shared memory. */
uint32_t sim_tensor_box_bytes(const sim_tensor_map *map);
/* Where byte `at` of a box lies when the box begins at `base` (5.5.6). */
static inline uint32_t sim_swizzled(uint32_t address, uint32_t swizzle) {
    uint32_t chunks = swizzle / 16;
    return chunks ? address ^ ((address >> 7 & (chunks - 1)) << 4) : address;
}
/* Global address of element i of the box at the coordinates; false: outside of the tensor. */
bool sim_tensor_element(const sim_tensor_map *map, const int32_t at[SIM_TENSOR_MAX_RANK],
                        uint32_t i, uint64_t *out);

/* ---- bulk copies (9.7.9.25) ------------------------------------------------------------------ */

typedef enum sim_bulk_kind {
    BULK_TO_SHARED, /* global or shared of the cluster to shared */
    BULK_TO_GLOBAL, /* shared to global; with an operation: reduces there */
    BULK_WORDS,     /* st.async, red.async: registers to shared memory */
    BULK_ARRIVE     /* cp.async.mbarrier.arrive */
} sim_bulk_kind;

typedef struct sim_bulk {
    sim_bulk_kind kind;
    sim_warp *warp;
    const sim_insn *insn;
    uint8_t lane;
    bool tensor, from_shared;
    sim_tensor_map map;
    int32_t at[SIM_TENSOR_MAX_RANK];
    uint64_t global; /* address, of what is no tensor */
    sim_block *block, *source;
    uint32_t offset, source_offset, bytes; /* shared memory */
    sim_mbarrier *mbarrier;
    uint32_t agent, epoch, order;
    uint64_t due;      /* round */
    double done_at;    /* cycles */
    uint8_t words[16]; /* of st.async */
} sim_bulk;

/* What a warp knows of its bulk groups and its wgmma. */
typedef struct sim_async {
    uint32_t epoch;                                   /* of its bulk copies */
    uint32_t groups[LANES], open[LANES];              /* committed; copies since */
    uint32_t waited[LANES];                           /* groups */
    uint32_t epochs[LANES][GROUPS_KEPT], last[LANES]; /* of groups; of the newest copy */
    uint32_t matrix_groups, matrix_open, matrix_waited;
    double group_times[GROUPS_KEPT]; /* cycles: when the newest wgmma groups are done */
    double copies_time;              /* and the bulk copies */
    bool fenced;                     /* a wgmma.fence was seen */
    uint64_t fence_at;
    SIM_ARRAY(uint32_t) busy; /* rows that wgmma holds */
} sim_async;

/* Does what is due, or with all, the next of all; true when anything was done. */
bool sim_bulk_progress(sim_run *run, bool all);
bool sim_bulk_until(sim_run *run, double time);
/* Lanes leave: of groups they must have waited. */
void sim_bulk_leave(sim_warp *w, uint32_t mask);
/* The cluster is at its end. */
void sim_bulk_end(sim_run *run);
bool sim_words_family(sim_decoder *d, bool reduces); /* st.async, red.async */
bool sim_bulk_family(sim_decoder *d, bool reduces);  /* cp.async.bulk, cp.reduce.async.bulk */
void sim_bulk_push(sim_run *run, sim_bulk *b);
/* The operation of red and atom on values of a type (exec_memory.c). */
uint64_t sim_atomic_value(uint8_t op, sim_type t, uint64_t old, uint64_t b, uint64_t c);
int sim_took_atomic(sim_decoder *d);

/* ---- warpgroups ------------------------------------------------------------------------------ */

/* The warp stands at a wgmma.mma_async; with the fourth one it is computed. */
void sim_warpgroup_arrive(sim_warp *w, const sim_insn *in);

/* ---- registers ------------------------------------------------------------------------------- */

/* held: by the wgmma group of that number (0: none), as an input only or as accumulator.
 * computed_at: issue slot of the last instruction that wrote it and is no copy. known: lanes that
 * were written. */
typedef struct sim_register {
    uint64_t computed_at;
    uint32_t held, known;
    bool input;
} sim_register;

void sim_registers_hold(sim_warp *w, uint32_t row, uint32_t epoch, bool input);
void sim_registers_release(sim_warp *w, uint32_t epoch); /* of all groups up to it */
/* An instruction is about to be executed. */
void sim_registers_use(sim_warp *w, const sim_insn *in, uint32_t act);
bool sim_registers_init(sim_warp *w);
void sim_registers_reset(sim_warp *w);
void sim_registers_free(sim_warp *w);

extern const sim_family_row sim_families_mbarrier[], sim_families_tensor[], sim_families_wgmma[],
    sim_families_fence[];

#endif
