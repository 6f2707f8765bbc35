/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Roles: a program of several becomes a branch by lane ranges, events become barriers in shared
 * memory.
 *
 *   lanes   0 .. n0 * r0 - 1            the first role, replica by replica
 *           n0 * r0 .. + n1 * r1 - 1    the second, ...
 *
 * In a role lanes count from 0, so that layouts mean its own lanes; a barrier joins those of the
 * one replica and has a number of its own (1 on). All replicas run one text with their number.
 *
 * An event of n counted semaphores is n barriers behind the kernel's shared memory. A phase of one
 * ends with as many signals as an `await` takes at once. What has been signalled and awaited how
 * often is the same in every lane of a replica, so each keeps a bit for each semaphore: the parity
 * of the phase it waits for next. A semaphore that starts full counts as one whose last phase has
 * ended. Where each trip of a loop awaits the next one of the ring, the number of rounds says it.
 * A signal is
 *
 *   with the token of a copy   each lane's arrival when what it copies has landed, and one for 32
 *                              lanes that says what they have stored themselves
 *   without                    one for 32 lanes, which meet before it
 *   of boxes (bulk.c)          one lane's, with the bytes that the copy brings. Who waits for a
 *                              phase takes nothing, so the semaphores that replicas have of one
 *                              copy are one barrier. Where the launch has no maps: as above
 *
 * Refuses events whose signals or awaits differ among each other, more than 64 semaphores, more
 * than 15 groups of lanes, and machines without such barriers.
 */
#include "backends/lower/simt/simt.h"

#include "backends/lower/simt/roles.h"

#include <stddef.h>

enum { GROUP = 32, MAX_NUMBER = 15, REGISTERS = 65536, COPY_REGISTERS = 56 };

/* An event, in its op's value. */
typedef struct ts_event {
    int64_t first, n;  /* barriers */
    int64_t count;     /* signals of a phase */
    int64_t arrivals;  /* of one signal */
    bool full;         /* at first, */
    bool kept;         /* but for the last (late.c) */
    int awaits;        /* ops that await it */
    const tg_op *role; /* that awaits it */
    tg_value *bits;    /* array of one: parities by semaphore */
    int64_t group;     /* semaphores that are one barrier */
    tg_value *ok;      /* its copies come as boxes; NULL: they never do */
} ts_event;

/* ---- events ---------------------------------------------------------------------------------- */

static const tg_op *role_of(const tg_op *op) {
    while (op != NULL && op->code != TG_OP_ROLE) {
        op = op->parent->parent;
    }
    return op;
}

static int64_t lanes_of(const tg_op *role) { return tg_attr_int(role, TG_ATTR_N, 1); }

static int64_t replicas_of(const tg_op *role) { return tg_attr_int(role, TG_ATTR_REPLICAS, 1); }

static int64_t arrivals_of(const tg_op *signal) {
    int64_t n = lanes_of(role_of(signal));
    return tg_cdiv_i64(n, GROUP) + (signal->n_operands > 2 ? n : 0);
}

static bool fits(tg_simt *S, ts_event *e, const tg_op *user) {
    const tg_op *role = role_of(user);
    if (role == NULL) {
        ts_unsupported(S, user, "an event outside of roles");
        return false;
    }
    if (user->code == TG_OP_SIGNAL) {
        int64_t n = arrivals_of(user);
        if (e->arrivals != 0 && e->arrivals != n) {
            ts_unsupported(S, user, "an event that is signalled in several ways");
        }
        e->arrivals = n;
    } else {
        int64_t n = tg_attr_int(user, TG_ATTR_N_COUNT, 1);
        if (e->count != 0 && (e->count != n || e->role != role)) {
            ts_unsupported(S, user, "an event that is awaited in several ways");
        }
        e->count = n;
        e->role = role;
        e->awaits++;
    }
    return S->status == TG_OK;
}

static ts_event *make_event(tg_simt *S, const tg_op *op, int64_t first) {
    const tg_value *v = &op->results[0];
    int64_t start = tg_attr_int(op, TG_ATTR_N_COUNT, 0);
    ts_event *e = TG_NEW(S->arena, ts_event);
    *e = (ts_event){.first = first, .n = tg_attr_int(op, TG_ATTR_N, 1)};
    for (const tg_use *u = v->uses; u != NULL; u = u->next) {
        if (!fits(S, e, u->user)) {
            return e;
        }
    }
    e->full = start != 0;
    e->kept = e->full && start == e->count && ts_late_keeps(op);
    e->group = ts_bulk_signals(S, op);
    e->ok = e->group > 0 ? ts_bulk_all_ok(S, op) : NULL;
    e->group = tg_max_i64(1, e->group);
    if (e->n > 64 || (start != 0 && start != e->count)) {
        ts_unsupported(S, op, "this number of semaphores or their first count");
    }
    return e;
}

int64_t ts_roles_bytes(const tg_func *f) {
    int64_t n = 0;
    for (const tg_op *op = f->body->first; op != NULL; op = op->next) {
        n += op->code == TG_OP_EVENT ? tg_attr_int(op, TG_ATTR_N, 1) : 0;
    }
    return n * 8;
}

static void init_each(tg_simt *S, const ts_event *e, int64_t arrivals) {
    for (int64_t k = 0; k < e->n / e->group && arrivals > 0; k++) {
        tg_value *i = tg_build_int(&S->b, S->args.lane->type, e->first + k);
        (void)tg_build_mbar_init(&S->b, S->mbarriers, i, arrivals);
    }
}

static void init_barriers(tg_simt *S, const ts_event *e) {
    tg_op *branch = e->ok != NULL ? tg_build_if(&S->b, e->ok, 0, NULL) : NULL;
    if (branch != NULL) {
        init_each(S, e, e->count);
        tg_build_else(&S->b, branch, 0, NULL);
    }
    init_each(S, e, e->count * e->arrivals);
    if (branch != NULL) {
        tg_build_end_if(&S->b, branch, 0, NULL);
    }
}

ts_event *ts_role_bulk_event(const tg_simt *S, const tg_op *copy) {
    const tg_use *u = copy->results[0].uses;
    if (u == NULL || u->user->code != TG_OP_SIGNAL) {
        return NULL;
    }
    ts_event *e = ts_of(S, tg_operand(u->user, 0))->event;
    return e != NULL && e->ok != NULL ? e : NULL;
}

/* Barriers of all events, made by lane 0. */
void ts_emit_events(tg_simt *S, int64_t offset) {
    int64_t n = ts_roles_bytes(S->kernel) / 8, first = 0;
    if (n == 0) {
        return;
    }
    if ((S->mc->simt & TG_SIMT_MBARRIER) == 0) {
        ts_unsupported(S, S->kernel->body->first, "a program of several roles");
        return;
    }
    tg_builder *b = &S->b;
    const tg_type *i32 = S->args.lane->type;
    S->mbarriers = tg_build_array(b, TG_SPACE_SHARED, TG_DT_U64, n, offset, "mbarriers");
    tg_op *branch =
        tg_build_if(b, tg_build_cmp(b, TG_CMP_EQ, S->args.lane, tg_build_int(b, i32, 0)), 0, NULL);
    for (const tg_op *op = S->kernel->body->first; op != NULL && S->status == TG_OK;
         op = op->next) {
        if (op->code != TG_OP_EVENT) {
            continue;
        }
        ts_event *e = make_event(S, op, first);
        ts_of(S, &op->results[0])->event = e;
        init_barriers(S, e);
        first += e->n;
    }
    tg_build_else(b, branch, 0, NULL);
    tg_build_end_if(b, branch, 0, NULL);
    (void)tg_build_barrier(b, TG_FENCE_SHARED, 0);
}

/* i32 number of the semaphore. */
static tg_value *semaphore(tg_simt *S, const ts_event *e, tg_value *slot) {
    return ts_ring_position(S, &S->b, slot, e->n);
}

static tg_value *barrier_of(tg_simt *S, const ts_event *e, tg_value *which) {
    which = e->group > 1 ? ts_bin(&S->b, TG_OP_DIV, which, e->group) : which;
    return ts_bin(&S->b, TG_OP_ADD, which, e->first);
}

/* i32 parity of the phase that is awaited; a bit of the lane's word, which is turned over. */
static tg_value *parity_of(tg_simt *S, const ts_event *e, tg_value *which) {
    tg_builder *b = &S->b;
    const tg_type *word = tg_type_scalar(S->out, e->n > GROUP ? TG_DT_I64 : TG_DT_I32);
    tg_value *zero = tg_build_int(b, S->args.lane->type, 0);
    tg_value *bits = tg_build_aload(b, word, e->bits, zero, 1);
    tg_value *by = tg_build_cast(b, which, word->dtype);
    tg_value *bit = ts_bin(b, TG_OP_AND, tg_build_binary(b, TG_OP_SHR, bits, by), 1);
    tg_value *flip = tg_build_binary(b, TG_OP_SHL, tg_build_int(b, word, 1), by);
    (void)tg_build_astore(b, e->bits, zero, tg_build_binary(b, TG_OP_XOR, bits, flip), 1);
    return tg_build_cast(b, bit, TG_DT_I32);
}

void ts_emit_await(tg_simt *S, tg_op *op) {
    ts_event *e = ts_of(S, tg_operand(op, 0))->event;
    tg_value *slot = tg_operand(op, 1), *which = semaphore(S, e, slot);
    bool alike = e->awaits == 1 && !e->kept; /* all semaphores of a round */
    tg_value *parity = alike ? ts_ring_round(S, op, slot, e->n) : NULL;
    if (parity == NULL) {
        parity = parity_of(S, e, which);
    } else if (e->full) {
        parity = ts_bin(&S->b, TG_OP_XOR, parity, 1);
    }
    (void)tg_build_mbar_wait(&S->b, S->mbarriers, barrier_of(S, e, which), parity);
}

static bool writes_shared(const tg_region *r) {
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        for (int i = 0; i < op->n_regions; i++) {
            if (writes_shared(op->regions[i])) {
                return true;
            }
        }
        if (op->code == TG_OP_PUT || op->code == TG_OP_COPY) {
            return true;
        }
    }
    return false;
}

/* Where units may read what lanes wrote, each lane says so before it arrives: its copies have to
 * have landed for that. */
static void signal_of_lanes(tg_simt *S, const tg_op *op, tg_value *at) {
    tg_builder *b = &S->b;
    bool fence = S->swizzled && writes_shared(S->role->regions[0]);
    if (fence && op->n_operands > 2) {
        (void)tg_build_agroup(b);
        (void)tg_build_aland(b, 0);
    }
    if (fence) {
        (void)tg_build_pfence(b);
    }
    if (op->n_operands > 2 && fence) {
        tg_value *zero = tg_build_int(b, S->args.lane->type, 0);
        (void)tg_build_mbar_arrive(b, S->mbarriers, at,
                                   tg_build_cmp(b, TG_CMP_GE, S->args.lane, zero));
    } else if (op->n_operands > 2) {
        (void)tg_build_mbar_copied(b, S->mbarriers, at);
    }
    (void)tg_build_barrier(b, TG_FENCE_ALL, GROUP); /* a ring may lie in device memory */
    tg_value *first = ts_bin(b, TG_OP_REM, S->args.lane, GROUP);
    (void)tg_build_mbar_arrive(b, S->mbarriers, at,
                               tg_build_cmp(b, TG_CMP_EQ, first, tg_build_int(b, first->type, 0)));
}

/* The copy stands here, where its barrier is known. Replicas' further signals are the first's. */
static void signal_of_box(tg_simt *S, const ts_event *e, tg_op *op, tg_value *at) {
    ts_info *token = ts_of(S, tg_operand(op, 2));
    tg_builder *b = &S->b;
    if (token->flight == NULL) {
        return;
    }
    tg_op *branch = tg_build_if(b, e->ok, 0, NULL);
    ts_bulk_start(S, token->flight->op, S->mbarriers, at);
    tg_build_else(b, branch, 0, NULL);
    ts_run_add(S, *token->flight);
    ts_run_flush(S);
    signal_of_lanes(S, op, at);
    tg_build_end_if(b, branch, 0, NULL);
    token->flight = NULL;
}

void ts_emit_signal(tg_simt *S, tg_op *op) {
    const ts_event *e = ts_of(S, tg_operand(op, 0))->event;
    bool box = op->n_operands > 2 && e->ok != NULL;
    if (box && ts_of(S, tg_operand(op, 2))->flight == NULL) {
        return;
    }
    tg_value *at = barrier_of(S, e, semaphore(S, e, tg_operand(op, 1)));
    if (box) {
        signal_of_box(S, e, op, at);
    } else if (!ts_late_signal(S, op, at, e->kept ? e->first + e->n - 1 : -1)) {
        signal_of_lanes(S, op, at);
    }
}

/* ---- roles ----------------------------------------------------------------------------------- */

/* Parities of what the role awaits. */
static void start_parities(tg_simt *S, const tg_op *role) {
    for (const tg_op *op = S->kernel->body->first; op != NULL; op = op->next) {
        ts_event *e = op->code == TG_OP_EVENT ? ts_of(S, &op->results[0])->event : NULL;
        if (e != NULL && e->role == role) {
            tg_dtype t = e->n > GROUP ? TG_DT_I64 : TG_DT_I32;
            int64_t bits = !e->full ? 0 : e->kept ? ~((int64_t)1 << (e->n - 1)) : -1;
            tg_value *start = tg_build_int(&S->b, tg_type_scalar(S->out, t), bits);
            e->bits = ts_array(S, t, 1, "parities");
            (void)tg_build_astore(&S->b, e->bits, tg_build_int(&S->b, S->args.lane->type, 0), start,
                                  1);
        }
    }
}

/*
 * Registers: the launch gives every lane the same; roles that only copy give theirs back and the
 * others share what that frees. Groups of 128 lanes do it together, and where a lane has nearly all
 * it can name there is nothing to gain.
 */
static void set_registers(tg_simt *S, const tg_op *role) {
    int64_t lanes = S->kernel->lanes, copiers = 0;
    if ((S->mc->simt & TG_SIMT_SETREGS) == 0 || lanes <= 256) {
        return;
    }
    for (const tg_op *op = S->kernel->body->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_ROLE) {
            if (lanes_of(op) % 128 != 0) {
                return;
            }
            copiers += ts_role_copies(op) ? lanes_of(op) * replicas_of(op) : 0;
        }
    }
    int64_t each = REGISTERS / lanes / 8 * 8;
    if (copiers == 0 || copiers == lanes || each <= COPY_REGISTERS) {
        return;
    }
    int64_t more = (each * lanes - COPY_REGISTERS * copiers) / (lanes - copiers) / 8 * 8;
    bool copies = ts_role_copies(role);
    (void)tg_build_setregs(&S->b, copies ? COPY_REGISTERS : tg_min_i64(more, 240), copies);
}

bool ts_role_copies(const tg_op *role) {
    const char *units = tg_attr_str(role, TG_ATTR_UNITS);
    return units != NULL && units[0] == 'c';
}

/* Lanes and numbers before this role's. */
static void find_first(const tg_op *role, int64_t *lane, int64_t *number) {
    *lane = 0;
    *number = 1;
    for (const tg_op *op = role->prev; op != NULL; op = op->prev) {
        if (op->code == TG_OP_ROLE) {
            *lane += lanes_of(op) * replicas_of(op);
            *number += replicas_of(op);
        }
    }
}

/* The number of this lane's replica, alike in its sub-group and evidently so. */
static tg_value *replica_of(tg_builder *b, tg_value *lane, int64_t n) {
    tg_value *r = ts_bin(b, TG_OP_DIV, lane, n);
    return tg_build_shfl(b, TG_SHUFFLE_INDEX, r, tg_build_int(b, r->type, 0));
}

/* Numbers of a role's lanes stand before everything, as all that follows from them does. */
static void enter(tg_simt *S, tg_op *role, int64_t first, int64_t number) {
    tg_builder *b = &S->entry;
    int64_t n = lanes_of(role);
    tg_value *own = ts_bin(b, TG_OP_SUB, S->args.lane, first);
    tg_value *which = tg_build_int(b, own->type, 0);
    if (replicas_of(role) > 1) {
        which = replica_of(b, own, n);
        own = tg_build_binary(b, TG_OP_SUB, own, ts_bin(b, TG_OP_MUL, which, n));
    }
    S->lanes = n;
    S->args.lane = own;
    S->lane_parts.count = 0;
    S->role = role;
    S->number = n > GROUP ? ts_bin(b, TG_OP_ADD, which, number) : NULL;
    ts_of(S, role->regions[0]->args[0])->scalar = tg_build_cast(b, which, TG_DT_I64);
}

void ts_emit_role(tg_simt *S, tg_op *role) {
    tg_builder *b = &S->b;
    int64_t n = lanes_of(role), replicas = replicas_of(role), first, number;
    tg_value *lane = S->args.lane;
    find_first(role, &first, &number);
    if (number + replicas - 1 > MAX_NUMBER || n % GROUP != 0 || S->mc->subgroup != GROUP) {
        ts_unsupported(S, role, "this number of roles or of their lanes");
        return;
    }
    tg_value *past = tg_build_int(b, lane->type, first + n * replicas);
    tg_value *mine = tg_build_cmp(b, TG_CMP_LT, lane, past);
    if (first > 0) {
        tg_value *from = tg_build_int(b, lane->type, first);
        mine = tg_build_binary(b, TG_OP_AND, mine, tg_build_cmp(b, TG_CMP_GE, lane, from));
    }
    tg_op *branch = tg_build_if(b, mine, 0, NULL);
    set_registers(S, role);
    enter(S, role, first, number);
    start_parities(S, role);
    ts_emit_region(S, role->regions[0]);
    S->args.lane = lane;
    S->lanes = S->kernel->lanes;
    S->lane_parts.count = 0;
    S->role = NULL;
    if (S->status == TG_OK) {
        tg_build_else(b, branch, 0, NULL);
        tg_build_end_if(b, branch, 0, NULL);
    }
}
