/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Independent checks of placed functions (docs/checker.md). Nothing here is shared with the passes
 * that place or lower: layouts are evaluated digit by digit from their definition, memory by its
 * bytes, order by walking the program.
 *
 *   tg_check_placed   without running: order, waits, lifetimes, capacity, alignment, layouts,
 * barriers tg_check_run      runs one placed function, every lane's registers and all roles, on
 * host memory
 */
#ifndef TG_CHECK_H
#define TG_CHECK_H

#include "ir/interp_loop.h"

typedef struct tg_check_limits {
    int64_t shared_bytes; /* of one program; 0: not checked */
    int max_lanes;        /* 0: not checked */
    bool one_width;       /* shared memory: bytes are shared only by elements of one width */
} tg_check_limits;

/* Reports every violation (E0720) to the sink. TG_E_INTERNAL when there is one: a placed function
 * is made by us. */
tg_status tg_check_placed(const tg_func *f, const tg_check_limits *limits, tg_arena *scratch,
                          tg_sink *sink) TG_MUST_USE;

/*
 * Runs every program of a placed function on the arguments (as tg_interp_run would run its tile
 * function). Findings are those of the loop interpreter: races between lanes and between roles,
 * undefined values that reach memory or control, accesses outside of buffers, and as divergence
 * roles that wait for each other for ever. Options used: seed, max_steps, max_programs.
 */
tg_status tg_check_run(tg_func *placed, const tg_interp_arg *args, const int64_t *syms,
                       const tg_loop_options *options, tg_arena *a,
                       tg_loop_report *out) TG_MUST_USE;

#endif
