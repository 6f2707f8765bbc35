/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time in a placed function: its operations in program order, and when a value is alive. A value
 * used inside a loop that its definition is outside of lives until the loop ends.
 */
#ifndef TG_PLACE_WALK_H
#define TG_PLACE_WALK_H

#include "backends/place/place.h"

typedef struct tg_moment {
    tg_op *op;
    int begin, end; /* end: after its regions */
} tg_moment;

typedef struct tg_timeline {
    tg_arena *arena;
    TG_LIST(tg_moment) ops;
} tg_timeline;

/* Numbers the body's operations; op->scratch points to the moment until tg_timeline_clear. */
void tg_timeline_make(tg_timeline *t, tg_func *f, tg_arena *a);
void tg_timeline_clear(tg_func *f);
const tg_moment *tg_moment_of(const tg_op *op);

/* Widens [*begin, *end] by an access at op to something made at op `home` (NULL: in the function):
 * to all of the outermost loop around op that home is not in. */
void tg_timeline_widen(const tg_op *op, const tg_region *home, int *begin, int *end);
/* The innermost region that encloses both. */
tg_region *tg_common_region(tg_region *a, tg_region *b);

/* Greatest register bytes that a lane holds at once, and the operation where. */
int64_t tg_place_pressure(tg_func *f, tg_arena *a, tg_op **out_where);

#endif
