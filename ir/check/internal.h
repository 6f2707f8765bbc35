/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the static checker:
 *
 *   placed.c    limits, buffers, the walk over control flow
 *   order.c     accesses since the last barrier, lifetimes, copies under way
 *   layouts.c   who holds what, operation by operation
 *   tracks.c    what every role does, under one choice of everything unknown
 *   events.c    roles beside each other: events that never come, ends that do not balance, races
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

/* ---- roles ------------------------------------------------------------------------------------
 */

typedef enum tg_action_kind {
    TG_ACTION_FORK,  /* role `track` starts */
    TG_ACTION_GIVE,  /* signal */
    TG_ACTION_TAKE,  /* await */
    TG_ACTION_TOUCH, /* an access to a buffer that is over when the operation is */
    TG_ACTION_BEGIN, /* a copy begins to write */
    TG_ACTION_LAND,  /* the oldest copy of `token` (-1: any) has been waited for */
    TG_ACTION_STORE  /* to the elements `token` stands for of parameter `what` */
} tg_action_kind;

typedef struct tg_action {
    tg_action_kind kind;
    const tg_op *op;
    int what;      /* event number, thing, track or how many copies may stay under way */
    int64_t slot;  /* of the event or of the thing's ring */
    int64_t count; /* how many an await takes */
    bool write;
    int64_t token;
} tg_action;

/* One role, replica by replica; track 0 is the code around the roles. */
typedef struct tg_track {
    const tg_op *role; /* NULL: track 0 */
    int number, replica;
    TG_LIST(tg_action) actions;
    bool cut; /* too long: the rest is missing */
} tg_track;

typedef struct tg_tracks {
    TG_LIST(tg_track *) all;
    TG_LIST(const tg_op *) events;
} tg_tracks;

/* What every role does when unknown scalars have the values of choice number `choice`; equal
 * expressions have equal values. False: the function has neither roles nor events. */
bool tg_tracks_make(tg_checker *c, int choice, tg_tracks *out);

void tg_check_events(tg_checker *c);

#endif
