/* SPDX-License-Identifier: Apache-2.0 */
/* What dot_call.c (operands of a product) and dot_loop.c (contracted loops) share. */
#ifndef TG_LOWER_CPU_DOT_CALL_H
#define TG_LOWER_CPU_DOT_CALL_H

#include "backends/lower/cpu/lower.h"

/* A window of a tensor, or a buffer, as plain memory: axes of the tile value it is read or written
 * as. */
typedef struct tg_window {
    tg_value *ptr;
    tg_value *stride[TG_MAX_RANK];     /* bytes */
    int64_t const_stride[TG_MAX_RANK]; /* or -1 */
    tg_dtype dtype;
    tg_value *ok; /* the memory may be used; NULL: always */
} tg_window;

typedef struct tg_product {
    tg_op *op;
    tg_value *a, *b, *result;
    tg_value *k_len;  /* contracted: whole range; else NULL */
    tg_value *k_span; /* contracted: the loop's span (canonical) */
    bool zero;
    tg_op *store;       /* the result is only stored, here: it may be summed in place; or NULL */
    tg_value *in_place; /* set with store: whether it was */
} tg_product;

/* The memory that a load reads or a store writes, whose tile is v; false: it is no plain window. */
bool tg_window_of(tg_lower *L, tg_op *op, tg_value *v, tg_window *out, tg_value *k_span);
bool tg_is_zero(const tg_value *v);
void tg_emit_product(tg_lower *L, tg_product *p);

#endif
