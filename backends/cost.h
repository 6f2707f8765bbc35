/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cost model of a kernel at the tile level, for ranking schedules before any is measured. It
 * reads the function and the machine's row alone: nothing is compiled, nothing is timed. Its
 * seconds are *modelled*, at a nominal clock; only their order is meant.
 */
#ifndef TG_COST_H
#define TG_COST_H

#include "backends/machine.h"
#include "ir/ir.h"

typedef struct tg_cost {
    double programs;       /* of the grid */
    double program_cycles; /* of the program in the grid's middle, on one core (SIMT: one group) */
    double arithmetic, movement, overhead; /* shares of program_cycles, in cycles */
    double tile_bytes; /* the largest operation's operands and results: what must stay close */
    double waste;      /* computed over useful grid elements: ragged tails, >= 1 */
    double seconds;    /* of the launch on `threads` threads, modelled */
    bool guessed;      /* a trip count depends on data and was taken as TG_COST_TRIPS */
} tg_cost;

/* Trips of a loop whose bounds depend on data. */
enum { TG_COST_TRIPS = 16 };

/* func: tile level, verified; syms: its dimensions' values (func->n_syms). Thread-safe. */
tg_cost tg_cost_of(const tg_func *func, const int64_t *syms, const tg_machine *machine,
                   int threads);

#endif
