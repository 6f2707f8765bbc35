/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the lowerings of operations that look at elements in order share.
 *
 *   select.c  dispatch, scan, atomics, reductions with a state
 *   sort.c    sort and top-k
 *   count.c   histogram, scatter_add, ranks, compress
 *
 * The names are those of the context's deepest level: sel_at is its builder.
 */
#ifndef TG_CPU_SELECT_H
#define TG_CPU_SELECT_H

#include "backends/lower/cpu/lower.h"

tg_builder *sel_at(tg_ctx *x);
tg_value *sel_ix(tg_ctx *x, int64_t v);
tg_value *sel_add(tg_ctx *x, tg_value *a, tg_value *b);
const tg_type *sel_scalar_type(tg_ctx *x, tg_dtype t);
tg_coord sel_coord(tg_ctx *x, tg_value *v);
tg_value *sel_mask_operand(const tg_op *op);
/* Is element c present? NULL mask: constant true. */
tg_value *sel_present_at(tg_ctx *x, tg_value *mask, const tg_coord *c, int axis);
/* Positions of the axis that can be present: all, or the mask's prefix. */
tg_value *sel_axis_trip(tg_lower *L, tg_value *mask, int axis, int64_t extent);
/* Opens loops over all axes but `axis`; c gets their coordinates. `first_trip` replaces the extent
 * of axis 0 when not NULL. */
int sel_open_axes(tg_ctx *x, const tg_type *t, int axis, tg_value *first_trip, tg_coord *c,
                  tg_op **loops);
int sel_open_others(tg_ctx *x, const tg_type *t, int axis, tg_coord *c, tg_op **loops);
void sel_close_others(tg_ctx *x, int n, tg_op **loops);
void sel_write_at(tg_ctx *x, tg_value *dest, const tg_coord *c, tg_value *v);
tg_value *sel_load_at(tg_ctx *x, tg_value *base, tg_value *i, tg_dtype t);
void sel_store_at(tg_ctx *x, tg_value *base, tg_value *i, tg_dtype t, tg_value *v);
tg_value *sel_select(tg_ctx *x, tg_value *c, tg_value *a, tg_value *b);
/* if (cond) around what is emitted until end_when. */
tg_op *sel_when(tg_ctx *x, tg_value *cond);
void sel_end_when(tg_ctx *x, tg_op *branch);
/* Zeroes a whole buffer. */
void sel_clear_buffer(tg_ctx *x, const tg_value *v);

void sel_emit_sort(tg_lower *L, tg_op *op);
void sel_emit_topk(tg_lower *L, tg_op *op);
void sel_emit_rank(tg_lower *L, tg_op *op);
void sel_emit_compress(tg_lower *L, tg_op *op);
void sel_emit_histogram(tg_lower *L, tg_op *op);
void sel_emit_scatter_add(tg_lower *L, tg_op *op);

#endif
