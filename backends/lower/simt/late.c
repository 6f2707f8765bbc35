/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loops that leave one product under way: a role that awaits blocks, multiplies them on a unit that
 * reads shared memory by itself and gives their places back.
 *
 *   for:  await full;  acc += a @ b;  signal empty
 *
 * becomes
 *
 *   for:  await full;  start acc += a @ b;  wait for all but the last group;  signal what the trip
 *         before has read
 *   wait for all;  signal what the last trip has read
 *
 * so the next product starts while this one runs. Legal where nobody else looks at the accumulator,
 * where the loop does nothing but that, and where places are left for the copies meanwhile: every
 * event that it signals counts at least two for each replica.
 *
 * The first trip has nobody's blocks to give back. Where the loop is entered once and goes through
 * the ring place by place, the event's last semaphore starts empty instead of full, and the first
 * trip fills it: each trip then arrives at the place before its own, and asks nothing. The role
 * that copies gets its last place a trip later, which it could not use before the others anyway.
 */
#include "backends/lower/simt/simt.h"
#include "ir/matrix.h"

static bool is_group_product(const tg_op *op) {
    const tg_matrix_unit *u =
        op->code == TG_OP_DOT ? tg_matrix_find(tg_attr_str(op, TG_ATTR_UNIT)) : NULL;
    return u != NULL && tg_matrix_reads_memory(u);
}

static bool single_use(const tg_value *v) { return v->uses != NULL && v->uses->next == NULL; }

/* The product adds to what the loop carries, and to nothing else. */
static bool adds_to_carried(const tg_op *dot, const tg_op *loop) {
    const tg_region *body = loop->regions[0];
    const tg_value *acc = dot->operands[2].value, *r = &dot->results[0];
    for (int i = 0; i < loop->n_results; i++) {
        if (acc == body->args[1 + i]) {
            return single_use(acc) && single_use(r) && body->last->operands[i].value == r;
        }
    }
    return false;
}

static bool has_room(const tg_op *signal, const tg_op *role) {
    const tg_op *event = signal->operands[0].value->def;
    return event != NULL && signal->n_operands == 2 &&
           tg_attr_int(event, TG_ATTR_N, 1) >= 2 * tg_attr_int(role, TG_ATTR_REPLICAS, 1);
}

static bool is_scalar_work(const tg_op *op) {
    for (int i = 0; i < op->n_results; i++) {
        const tg_type *t = op->results[i].type;
        if (t->kind == TG_TY_TILE && t->rank > 0) {
            return false;
        }
    }
    return op->n_regions == 0 && (tg_op_info_get(op->code)->flags & TG_OPF_PURE) != 0;
}

/* The loop's product; NULL: the loop does something else. */
static const tg_op *product_of(const tg_op *loop, const tg_op *role, int *out_signals) {
    const tg_op *dot = NULL;
    *out_signals = 0;
    for (const tg_op *op = loop->regions[0]->first; op != NULL; op = op->next) {
        bool ok = op->code == TG_OP_AWAIT || op->code == TG_OP_WINDOW || op->code == TG_OP_YIELD ||
                  op->code == TG_OP_SPAN || is_scalar_work(op);
        if (is_group_product(op) && dot == NULL) {
            dot = op;
            ok = adds_to_carried(op, loop);
        } else if (op->code == TG_OP_SIGNAL) {
            ok = dot != NULL && has_room(op, role) && *out_signals < TS_LATE_SIGNALS;
            (*out_signals)++;
        } else if (op->code == TG_OP_AWAIT) {
            ok = dot == NULL;
        }
        if (!ok) {
            return NULL;
        }
    }
    return *out_signals > 0 ? dot : NULL;
}

static tg_value *zero_of(tg_simt *S) {
    return tg_build_int(&S->b, tg_type_scalar(S->out, TG_DT_I32), 0);
}

static const tg_op *role_of(const tg_op *op) {
    while (op != NULL && op->code != TG_OP_ROLE) {
        op = op->parent->parent;
    }
    return op;
}

/* All signals of the event: one, of such a loop. */
bool ts_late_keeps(const tg_op *event) {
    const tg_op *signal = NULL;
    for (const tg_use *u = event->results[0].uses; u != NULL; u = u->next) {
        if (u->user->code == TG_OP_SIGNAL) {
            if (signal != NULL) {
                return false;
            }
            signal = u->user;
        }
    }
    const tg_op *loop = signal != NULL ? signal->parent->parent : NULL;
    const tg_op *role = role_of(signal);
    int n = 0;
    return loop != NULL && role != NULL && loop->code == TG_OP_FOR && ts_entered_once(loop) &&
           product_of(loop, role, &n) != NULL &&
           tg_attr_int(event, TG_ATTR_N_COUNT, 0) == tg_attr_int(role, TG_ATTR_REPLICAS, 1) &&
           ts_counts_trips(loop, signal->operands[1].value);
}

bool ts_late_begin(tg_simt *S, const tg_op *loop) {
    int n = 0;
    const tg_op *dot =
        S->role == NULL || S->late.dot != NULL ? NULL : product_of(loop, S->role, &n);
    if (dot == NULL) {
        return false;
    }
    const tg_type *i32 = tg_type_scalar(S->out, TG_DT_I32);
    S->late = (ts_late){.dot = dot};
    for (int i = 0; i < n; i++) {
        S->late.barrier[i] = ts_array(S, TG_DT_I32, 1, "late");
        S->late.start[i] =
            tg_build_astore(&S->b, S->late.barrier[i], zero_of(S), tg_build_int(&S->b, i32, -1), 1);
    }
    return true;
}

/* One lane of each sub-group arrives at the barrier kept in an array, if there is one. */
static void arrive(tg_simt *S, int i) {
    enum { GROUP = 32 };
    tg_builder *b = &S->b, *once = &S->entry;
    tg_value *zero = zero_of(S), *none = tg_build_int(once, zero->type, 0);
    tg_value *at = tg_build_aload(b, zero->type, S->late.barrier[i], zero, 1);
    tg_value *who =
        tg_build_cmp(once, TG_CMP_EQ, ts_bin(once, TG_OP_REM, S->args.lane, GROUP), none);
    if (!S->late.kept[i]) {
        who = tg_build_binary(b, TG_OP_AND, who, tg_build_cmp(b, TG_CMP_GE, at, zero));
        at = tg_build_binary(b, TG_OP_MAX, at, zero);
    }
    (void)tg_build_barrier(b, TG_FENCE_SHARED, GROUP);
    (void)tg_build_mbar_arrive(b, S->mbarriers, at, who);
}

bool ts_late_signal(tg_simt *S, const tg_op *signal, tg_value *barrier, int64_t last) {
    if (S->late.dot == NULL || signal->parent != S->late.dot->parent) {
        return false;
    }
    int i = S->late.n++;
    if (last >= 0) {
        tg_builder at = tg_builder_before(S->late.start[i]);
        tg_set_operand(S->late.start[i], 2, tg_build_int(&at, barrier->type, last));
        S->late.kept[i] = true;
    }
    arrive(S, i);
    (void)tg_build_astore(&S->b, S->late.barrier[i], zero_of(S), barrier, 1);
    return true;
}

void ts_late_end(tg_simt *S, const tg_op *loop) {
    tg_value *acc = NULL;
    for (int i = 0; i < loop->n_results; i++) {
        const tg_value *arg = loop->regions[0]->args[1 + i];
        acc = S->late.dot->operands[2].value == arg ? ts_of(S, arg)->array : acc;
    }
    const tg_matrix_unit *u = tg_matrix_find(tg_attr_str(S->late.dot, TG_ATTR_UNIT));
    ts_group_wait(S, u, S->late.dot->results[0].type, acc);
    for (int i = 0; i < S->late.n; i++) {
        arrive(S, i);
    }
    S->late = (ts_late){.dot = NULL};
}
