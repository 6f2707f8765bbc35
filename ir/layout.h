/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layouts: which lane's register, or which place in memory, holds which element of a tile.
 *
 * A layout is a list of modes. A mode is one mixed-radix digit of a *resource* index (register
 * number, lane number, memory element) and moves along one tile axis:
 *
 *     coordinate[axis] = sum over modes of that axis of digit * stride
 *     resource index   = sum over modes of that resource of digit * place
 *
 * with 0 <= digit < extent. Extents need not be powers of two. The digits of one axis may reach
 * beyond the tile's extent (padding); what lies there is never seen. A mode with axis -1 is a
 * replica: the digit changes the holder but not the element. Memory layouts may end in a swizzle:
 * the column chunk is xor-ed with a function of the row (spec: chunk ^= (row / q) % g).
 *
 * Text: the rank and `;`, then each mode as ` AXIS:EXTENT*STRIDE@RESOURCE*PLACE` with `r` for a
 * replica's axis (stride 0), resources reg, lane, mem; then ` xor(Q,G,CHUNK)` for a swizzle.
 * Interned per module: equal text means pointer-equal; canonical form is a matter of
 * tg_layout_canonical. A holder one of whose digits lies outside its extent holds nothing.
 */
#ifndef TG_LAYOUT_H
#define TG_LAYOUT_H

#include "ir/ir.h"

typedef enum tg_resource { TG_RES_REG, TG_RES_LANE, TG_RES_MEM, TG_RES_COUNT } tg_resource;

typedef struct tg_layout_mode {
    int8_t axis; /* -1: replica */
    uint8_t resource;
    int64_t extent; /* >= 1 */
    int64_t stride; /* step along the axis, in elements */
    int64_t place;  /* weight of the digit in the resource's index */
} tg_layout_mode;

#define TG_LAYOUT_MAX_MODES 24

struct tg_layout {
    uint8_t rank, n_modes;
    tg_layout_mode modes[TG_LAYOUT_MAX_MODES]; /* inner to outer */
    /* memory only; g == 0: none. Chunks of `xor_chunk` elements along the last axis. */
    int64_t xor_q, xor_g, xor_chunk;
};

/* Interns a copy of l. */
const tg_layout *tg_layout_intern(tg_module *m, const tg_layout *l);
void tg_layout_print(tg_sb *sb, const tg_layout *l);
/* NULL when malformed. */
const tg_layout *tg_layout_parse(tg_module *m, const char *text);
/* Weights of every resource and axis form a mixed radix, axes exist, a swizzle stays in its row. */
bool tg_layout_is_sound(const tg_layout *l);
/* Column (last axis) after the swizzle of a memory layout, for the row (axis before); its own
 * inverse. */
int64_t tg_layout_swizzle(const tg_layout *l, int64_t row, int64_t column);

/* Number of distinct indices of a resource: 1 + the greatest. */
int64_t tg_layout_size(const tg_layout *l, tg_resource r);
/* Elements of a memory layout with the padding of its last row: what copies of a ring lie apart. */
int64_t tg_layout_memory_size(const tg_layout *l);
/* Coordinates held by (lane, reg), all -1 when it holds nothing; also for memory layouts with `reg`
 * the memory index. They may lie beyond the tile (padding). */
void tg_layout_coords(const tg_layout *l, int64_t lane, int64_t reg, int64_t *coords);
/* The first holder (all replica digits 0) of the coordinates; false when none. */
bool tg_layout_find(const tg_layout *l, const int64_t *coords, int64_t *lane, int64_t *reg);

/* Equal as maps over tiles of `shape`, whatever the digits. */
bool tg_layout_equal(const tg_layout *a, const tg_layout *b, const int64_t *shape);
/* Every lane holds the same elements in a as in b, perhaps under other register numbers. */
bool tg_layout_same_lanes(const tg_layout *a, const tg_layout *b, const int64_t *shape);
/* The one form of all layouts that are equal over shape: digits merged, clipped, sorted. Holders of
 * padding hold nothing there, so sizes may shrink: for comparing, not for types. */
const tg_layout *tg_layout_canonical(tg_module *m, const tg_layout *l, const int64_t *shape);
/* Simpler digits for the same holders, padding included (only registers at the end that hold
 * nothing but padding go): the form for types. */
const tg_layout *tg_layout_tidy(tg_module *m, const tg_layout *l, const int64_t *shape);
/* Every element of shape has a holder. */
bool tg_layout_covers(const tg_layout *l, const int64_t *shape);
/* Lanes along the axis differ within aligned groups of so many (a power of two) alone. */
bool tg_layout_is_within(const tg_layout *l, int axis, int64_t group);
/* Some lane digit is a replica. */
bool tg_layout_has_replicas(const tg_layout *l);

/* What it takes to bring a tile from layout a to b. */
typedef enum tg_layout_plan {
    TG_LAYOUT_SAME,   /* nothing */
    TG_LAYOUT_RENAME, /* registers change their numbers within each lane */
    TG_LAYOUT_LANES,  /* whole registers move between lanes */
    TG_LAYOUT_MEMORY  /* both change: through memory */
} tg_layout_plan;
tg_layout_plan tg_layout_convert_plan(const tg_layout *a, const tg_layout *b, const int64_t *shape);

/* a with its digits cut where those of `by` begin; NULL when a digit cannot be cut there. */
const tg_layout *tg_layout_divide(tg_module *m, const tg_layout *a, const tg_layout *by);
/* Holder to memory place: rank 1, the coordinate is the memory index; NULL: no digit form. */
const tg_layout *tg_layout_compose(tg_module *m, const tg_layout *holders, const tg_layout *memory);

/* Result axis r is operand axis axes[r]. */
const tg_layout *tg_layout_permute(tg_module *m, const tg_layout *l, int rank, const int64_t *axes);
/* The layout of an operand whose axis a is axis axes[a] of l (-1: an axis of extent 1 that l does
 * not have): the other axes' lane digits become replicas, their register digits vanish (registers
 * renumbered densely). */
const tg_layout *tg_layout_project(tg_module *m, const tg_layout *l, int rank, const int64_t *axes);
/* project for a broadcast operand of `shape` along axes of `to`: extents of 1 that repeat have no
 * digits. */
const tg_layout *tg_layout_project_shape(tg_module *m, const tg_layout *l, int rank,
                                         const int64_t *shape, const int64_t *axes,
                                         const int64_t *to);
/* l without `axis` (reduce): as project onto the others. */
const tg_layout *tg_layout_drop(tg_module *m, const tg_layout *l, int axis);
/* The same holders for the row-major reshape; NULL when the digits do not allow it. */
const tg_layout *tg_layout_reshape(tg_module *m, const tg_layout *l, int from_rank,
                                   const int64_t *from, int to_rank, const int64_t *to);
/* Row-major blocked distribution of `shape` over `lanes`: `vec` consecutive elements of the last
 * axis in a lane, then lanes, then registers. Any extents; lanes beyond the elements hold padding.
 * Lanes are dealt to the axes so that the fewest registers are needed. */
const tg_layout *tg_layout_blocked(tg_module *m, int rank, const int64_t *shape, int64_t lanes,
                                   int64_t vec);
/* 2-D register blocks of an accumulator [.., M, N]: lanes_m x lanes_n lanes, each tm x tn elements;
 * leading axes in registers. */
const tg_layout *tg_layout_tile2d(tg_module *m, int rank, const int64_t *shape, int64_t lanes_m,
                                  int64_t lanes_n, int64_t tm, int64_t tn);
/* The general family behind both: on axis a, inner[a] consecutive elements in registers, lanes[a]
 * lanes, then registers to the end. The last axis has the innermost lanes. Lanes beyond the product
 * replicate up to `all`. */
const tg_layout *tg_layout_grid(tg_module *m, int rank, const int64_t *shape, const int64_t *inner,
                                const int64_t *lanes, int64_t all);
/* Every one of `lanes` lanes holds the whole tile in row-major registers. */
const tg_layout *tg_layout_everywhere(tg_module *m, int rank, const int64_t *shape, int64_t lanes);
/* Dense row-major memory, rows padded to `row_elems` elements (0: not padded). */
const tg_layout *tg_layout_memory(tg_module *m, int rank, const int64_t *shape, int64_t row_elems);

#endif
