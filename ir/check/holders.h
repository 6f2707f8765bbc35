/* SPDX-License-Identifier: Apache-2.0 */
/* Layouts by brute force: every combination of digits, as ir/layout.h defines them. */
#ifndef TG_CHECK_HOLDERS_H
#define TG_CHECK_HOLDERS_H

#include "ir/layout.h"

/* Who holds what of a tile. Elements are numbered row-major, holders lane * regs + register. */
typedef struct tg_holders {
    const tg_layout *layout;
    const tg_type *type;
    int64_t lanes, regs, count;
    int32_t *elem;  /* by holder: the element, or -1 (padding, nothing) */
    int32_t *owner; /* by element: the holder with all replica digits 0, or -1 */
    int32_t *reg;   /* by lane * count + element: a register that holds it there, or -1 */
    bool clash;     /* two combinations of digits name one holder */
} tg_holders;

/* Tile types with a layout, and scalars (held in register 0 of every one of `lanes` lanes). */
const tg_holders *tg_holders_make(const tg_type *t, int64_t lanes, tg_arena *a);

/* Place of every element of a buffer type in one copy of it, in elements; *out_size: the greatest
 * place + 1. NULL when two elements share a place or one has none. */
const int64_t *tg_places_make(const tg_type *buffer, tg_arena *a, int64_t *out_size);

/* Holders of types already seen. */
typedef struct tg_holder_cache {
    tg_arena *arena;
    int64_t lanes;
    TG_LIST(const tg_holders *) all;
} tg_holder_cache;
const tg_holders *tg_holders_get(tg_holder_cache *c, const tg_type *t);

/* Row-major element number of coordinates in a shape, -1 outside; and back. */
int64_t tg_elem_of(int rank, const int64_t *shape, const int64_t *coords);
void tg_coords_of(int rank, const int64_t *shape, int64_t elem, int64_t *coords);

/*
 * For each element of an operation's result, the element of operand x it is made from: broadcast,
 * reshape, permute, convert, elementwise (itself). -1 where nothing is (never, in sound code).
 */
int64_t tg_source_elem(const tg_op *op, int64_t result_elem);

#endif
