/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model of time, for launches that ask for it: every warp has a clock in cycles, registers and
 * barriers tell when they are ready, units and memory when they are free. With it the scheduler
 * always takes the warp that is furthest behind. What comes out is *modelled*: it ranks, it does
 * not measure.
 */
#ifndef TEGULA_SIM_MODEL_H
#define TEGULA_SIM_MODEL_H

#include "sim/ptx/async.h"

enum { QUADRANTS = 4 };

/* Of one SM: when its units are free again. */
typedef struct sim_unit_times {
    double issue[QUADRANTS], pipe[QUADRANTS][SIM_N_CLASSES], shared, memory;
    double busy_issue, busy_matrix, busy_shared, busy_memory; /* of the block so far */
} sim_unit_times;

typedef struct sim_model {
    const struct sim_rates *rates;
    sim_unit_times *blocks;
    double *ready;     /* a row of a warp each: rows of the run a warp */
    double longest;    /* cycles of a block, of those that ran: their sum, and how many */
    uint64_t n_blocks; /* that ran */
    uint64_t sectors;  /* of global memory, each once */
    double matrix;     /* cycles of the matrix units, summed over the blocks */
    double busiest;    /* sum over the blocks of what their busiest unit needs */
} sim_model;

bool sim_model_init(sim_run *run);
void sim_model_free(sim_run *run);
/* The cluster begins, and ends. */
void sim_model_begin(sim_run *run);
void sim_model_end(sim_run *run);
/* Fills the report when the grid is done. */
void sim_model_report(sim_run *run, uint64_t blocks);

/* An instruction is issued; afterwards its results have a time. */
void sim_model_issue(sim_warp *w, const sim_insn *in);
void sim_model_result(sim_warp *w, const sim_insn *in, const sim_counters *before);
/* The warp goes on no earlier than that; `what` it waited for. */
void sim_model_wait(sim_warp *w, double until, const char *what);
/* Bytes of a buffer are used. */
void sim_model_touch(sim_run *run, const sim_range *r, uint64_t at, uint32_t bytes);
/* When what a warp asks of global memory now will be there. */
double sim_model_arrival(const sim_warp *w);
/* A bulk copy of so many bytes is sent: when it will be there. */
double sim_model_copy(sim_warp *w, uint32_t bytes, bool global);
/* Four warps' product of so many FLOP: when it is done. */
double sim_model_product(sim_warp *const warps[WARPGROUP], double flops, sim_type type);

#endif
