/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the layout pass. classes.c groups the tile values that must have one layout and chooses
 * it; rewrite.c brings every operand into the layout its user needs.
 */
#ifndef TG_PLACE_LAYOUT_H
#define TG_PLACE_LAYOUT_H

#include "backends/place/place.h"

/* How the layout of `to` follows from that of `from`. */
typedef enum tg_layout_edge_kind {
    TG_EDGE_PROJECT, /* from's axis axes[a] is to's axis a */
    TG_EDGE_PERMUTE, /* to's axis r is from's axis axes[r] */
    TG_EDGE_RESHAPE
} tg_layout_edge_kind;

typedef struct tg_layout_edge {
    tg_value *from, *to;
    tg_layout_edge_kind kind;
    int64_t axes[TG_MAX_RANK];
} tg_layout_edge;

/* v once more, in another layout. */
typedef struct tg_layout_made {
    tg_value *v;
    const tg_layout *layout;
    tg_value *copy;
} tg_layout_made;

typedef struct tg_layout_pass {
    tg_placer *p;
    uint32_t n_values;        /* side tables cover the ids below */
    uint32_t *parent;         /* union-find over value ids */
    tg_value **values;        /* by id; NULL: not a tile of the body */
    const tg_layout **got;    /* by class root: the layout chosen */
    int8_t *free_;            /* 0 unknown, 1 free, -1 held */
    int64_t rows, rows_lanes; /* of the last accumulator: its extent and lanes along M */
    TG_LIST(tg_layout_edge) edges;
    TG_LIST(tg_layout_made) made;
} tg_layout_pass;

static inline bool tg_is_held_type(const tg_type *t) {
    return t->kind == TG_TY_TILE && t->rank > 0;
}

/* Cheap to compute again in any layout: constants, positions, what is computed from them. */
bool tg_layout_is_free(tg_layout_pass *s, tg_value *v);
/* Layouts of all classes; sets the types of all values that are not free. */
void tg_layout_choose(tg_layout_pass *s);
/* Layout of a tile that nothing else decides. */
const tg_layout *tg_layout_default(tg_placer *p, const tg_type *t);
typedef tg_value *(*tg_layout_want)(tg_layout_pass *s, tg_value *v, const tg_layout *l);
/* Tables of divided positions; positions computed where they are used. want: v in layout l. */
void tg_layout_positions(tg_layout_pass *s, tg_layout_want want);
/* The order in which an atomic's elements are done can be seen: indices may meet, and its old
 * values are used or it compares. Such an atomic is done by one lane. */
bool tg_atomic_is_ordered(const tg_op *op);
#endif
