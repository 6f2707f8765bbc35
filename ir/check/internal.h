/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the static checker:
 *
 *   placed.c    limits, buffers, the walk over control flow
 *   order.c     accesses since the last barrier, lifetimes, copies under way
 *   layouts.c   who holds what, operation by operation
 */
#ifndef TG_CHECK_INTERNAL_H
#define TG_CHECK_INTERNAL_H

#include "ir/check.h"
#include "ir/check/holders.h"

#define TG_UNKNOWN INT64_MIN

/* Memory that lanes share: a buffer, or a tensor parameter (with its record views). */
typedef struct tg_thing {
    const tg_op *buffer; /* NULL: a parameter */
    int param;
    int fence;          /* TG_FENCE_SHARED or TG_FENCE_GLOBAL */
    int64_t begin, end; /* bytes in the space */
} tg_thing;

typedef struct tg_pending {
    int thing;
    bool write;
    int64_t slot;
    const tg_op *op;
} tg_pending;

typedef struct tg_flight {
    int64_t token;
    int thing;
    int64_t slot;
    const tg_op *op;
} tg_flight;

/* What is known at one place of the program. */
typedef struct tg_order {
    TG_LIST(tg_pending) pending;
    TG_LIST(tg_flight) flights; /* oldest first */
    const tg_op **clobber;      /* by thing: what overwrote its bytes, or NULL */
    bool *written;
} tg_order;

/* A scalar as far as the walk knows it. */
typedef struct tg_known {
    int64_t value; /* TG_UNKNOWN */
} tg_known;

typedef struct tg_checker {
    const tg_func *func;
    const tg_check_limits *limits;
    tg_arena *arena;
    tg_sink *sink;
    tg_holder_cache holders;
    TG_LIST(tg_thing) things;
    bool *overlap; /* things x things */
    tg_known *known;
    int64_t next_token;
    int trips;
    int role_lanes; /* of the role being walked, 0: all */
    int reports;
    TG_LIST(const char *) told;
} tg_checker;

/* Reports once per text. */
void tg_check_report(tg_checker *c, const tg_op *op, const char *fmt, ...) TG_PRINTF(3, 4);

int64_t tg_check_known(const tg_checker *c, const tg_value *v);
/* The thing behind a buffer, window, tensor or view; -1: none. */
int tg_check_thing(const tg_checker *c, const tg_value *v);

tg_order *tg_order_make(tg_checker *c);
tg_order *tg_order_copy(tg_checker *c, const tg_order *o);
/* Either may have happened. */
void tg_order_join(tg_checker *c, tg_order *into, const tg_order *from);
/* All the accesses of one operation, in order. */
void tg_order_visit(tg_checker *c, tg_order *o, const tg_op *op);

void tg_check_layouts(tg_checker *c, const tg_op *op);

#endif
