/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A nest: loops over one domain and what happens in them. Shared by its files:
 *
 *   nest_join.c    which ops share a nest, and in which of its phases each runs
 *   nest.c         emission: row loops, phases, vector loops
 *   nest_turn.c    stores and copies read along one axis and written along another
 *   nest_reduce.c  steps of reductions; those along another axis than the result's rows
 */
#ifndef TG_CPU_NEST_H
#define TG_CPU_NEST_H

#include "backends/lower/cpu/lower.h"

typedef enum act_kind { ACT_MAT, ACT_STORE, ACT_RED, ACT_ROW } act_kind;

enum { MAX_ACTIONS = 32, MAX_READS = 64, MAX_SEAMS = 8 };

/* One thing an action reads: a buffer or a tensor, and how its axes follow the nest's. */
typedef struct reading {
    const tg_value *value; /* buffer, or the load's result */
    tg_op *load;           /* lazily read tensor, or NULL */
    bool rows, inner;      /* row axes (and the innermost) at the nest's own coordinates */
} reading;

typedef struct action {
    act_kind kind;
    tg_op *op;
    tg_value *value; /* what is evaluated */
    tg_value *dest;  /* whose buffer is written; NULL for stores */
    int phase;
    tg_value *acc;       /* running reduction */
    tg_value *zero_mask; /* rank 1 along zero_axis: false makes the element 0 */
    int zero_axis;
    int n_reads;
    reading reads[MAX_READS];
    bool reads_overflow;
} action;

typedef struct nest {
    tg_lower *L;
    int rank;
    int64_t extent[TG_MAX_RANK];
    tg_need need[TG_MAX_RANK];
    int order[TG_MAX_RANK]; /* loop order; the last is the vector axis */
    int n_actions;
    action *actions;
    tg_ctx x;
    tg_value *trip[TG_MAX_RANK];
    int64_t rows_inside; /* rows that each vector goes through itself; 0: loops over rows */
    tg_coord c[TG_MAX_RANK];
} nest;

/* ---- nest_join.c ---- */
/* The nest a single op wants: its domain and its vector axis. False: not a row nest (column or
 * scalar reduction). */
bool nest_domain_of(tg_lower *L, tg_op *op, nest *n, action *a);
/* Adds the ops behind the first action that may share its nest; marks them done. */
void nest_gather_members(nest *n);
/* Row axes in order, `inner` last. */
void nest_natural_order(nest *n, int inner);
bool nest_simple_reduce(const tg_op *op);

/* ---- nest_turn.c ---- */
/* The axis a lone action reads along, when it is not the one it writes along; -1 otherwise. */
int nest_turned_axis(const nest *n);
/* Both loops of a lone action that reads along `from` and writes along `to`. */
void nest_turning_loops(nest *n, int from, int to);

/* ---- nest_reduce.c ---- */
tg_value *nest_reduce_mask(const tg_op *op);
/* One element (or vector) of a reduction's operand in its working type, identity where masked. */
tg_ev nest_reduce_input(tg_ctx *x, tg_op *op, const tg_coord *c, int axis);
tg_value *nest_reduce_finish(tg_ctx *x, tg_op *op, tg_value *acc);

/* ---- nest.c ---- */
/* Emits one action at the nest's coordinates. */
void nest_act_element(nest *n, action *a);
/* Vector length for n elements: the lowering's, or the largest power of two that fits. */
int nest_vector_lanes(const tg_lower *L, int64_t n);

#endif
