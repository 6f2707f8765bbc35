/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference interpreter of the tile level: the meaning of a kernel. Runs all programs of the
 * grid one after the other (or in a seeded random order) and checks what no target checks.
 */
#ifndef TG_INTERP_H
#define TG_INTERP_H

#include "ir/ir.h"

typedef enum tg_interp_mode {
    TG_INTERP_F32,  /* arithmetic exactly as the language says */
    TG_INTERP_F64,  /* float arithmetic in double, casts to storage types still round: the oracle */
    TG_INTERP_EXACT /* as F32, and reports every arithmetic result that is not exact */
} tg_interp_mode;

/* One argument. Tensors: data is caller memory, strides in bytes (innermost 0 for sub-byte). */
typedef struct tg_interp_arg {
    void *data;
    int64_t extent[TG_MAX_RANK];
    int64_t stride_bytes[TG_MAX_RANK];
    uint64_t scalar; /* rank-0 params: bits of the param's dtype */
} tg_interp_arg;

typedef struct tg_interp_options {
    tg_interp_mode mode;
    bool
        check_races; /* writes of one program read or written by another; duplicates in a scatter */
    bool check_facts;     /* sorted, unique, range, requires, assume */
    bool check_nan_birth; /* a NaN result from non-NaN operands is reported (warning) */
    uint64_t order_seed;  /* 0: in order */
    int64_t max_steps;    /* elements evaluated before giving up; 0: none */
    tg_sb *print_to;      /* output of `print`, or NULL */
    uint64_t absent_seed; /* not 0: absent elements of tiles read hold NaN and noise instead of 0,
                             which must not show in a kernel of the front end (before passes) */
    uint64_t noise_seed;  /* not 0: every result moves by its allowed error (interp/noise.c) */
} tg_interp_options;

/* Runs a kernel. TG_E_SOURCE when the program misbehaved (diagnostics E07xx with source spans). */
tg_status tg_interp_run(tg_func *kernel, const tg_interp_arg *args, const int64_t *syms,
                        const tg_interp_options *options, tg_arena *scratch,
                        tg_sink *sink) TG_MUST_USE;

/* Solves dimension symbols from tensor extents and checks all relations and `require`s.
 * syms has func->n_syms entries. */
tg_status tg_interp_bind(tg_func *kernel, const tg_interp_arg *args, int64_t *out_syms,
                         tg_sink *sink) TG_MUST_USE;

#endif
