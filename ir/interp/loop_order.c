/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order in functions where only some lanes meet: barriers of a role, barriers in shared memory.
 * Every lane has a clock, which it moves on whenever others may learn of what it did, and knows of
 * every other lane up to which time. A barrier joins what its lanes know; an arrival gives what the
 * lane knows to the barrier, and whoever waits for the phase takes it. A byte remembers who touched
 * it last and when: an access that its lane does not know of is a race.
 *
 * Lanes of a role execute the same operations in the same order, so their clocks agree where they
 * are at one place; of several readers of a byte the time is kept for 32 lanes together.
 *
 * Copies that an arrival waits for land when nobody else can go on: who looks too early finds
 * nothing.
 */
#include <string.h>

#include "ir/interp/loop_internal.h"

enum { GROUP = 32 };

static size_t groups(const tg_li_run *r) { return ((size_t)r->n_lanes + GROUP - 1) / GROUP; }

static uint32_t *make_clock(tg_li_run *r) { return TG_NEW_ARRAY(r->arena, uint32_t, r->n_lanes); }

static void join(const tg_li_run *r, uint32_t *into, const uint32_t *from) {
    for (int k = 0; k < r->n_lanes; k++) {
        into[k] = into[k] > from[k] ? into[k] : from[k];
    }
}

void tg_li_order_init(tg_li_run *r) {
    for (int k = 0; r->code->roles && k < r->n_lanes; k++) {
        r->lanes[k].clock[0] = make_clock(r);
        r->lanes[k].clock[1] = make_clock(r);
    }
}

void tg_li_order_start(tg_li_run *r) {
    r->mbarriers.count = 0;
    r->arrivals.count = 0;
    r->boxes.count = 0;
    r->histories.count = 0;
    r->free_rows.count = 0;
    for (int k = 0; r->code->roles && k < r->n_lanes; k++) {
        for (int d = 0; d < 2; d++) {
            memset(r->lanes[k].clock[d], 0, (size_t)r->n_lanes * sizeof(uint32_t));
            r->lanes[k].clock[d][k] = 1;
        }
    }
}

static void tick(tg_li_run *r, int lane) {
    r->lanes[lane].clock[0][lane]++;
    r->lanes[lane].clock[1][lane]++;
}

void tg_li_order_barrier(tg_li_run *r, tg_fence fence, const int *lanes, int n) {
    if (!r->code->roles) {
        return;
    }
    for (int d = 0; d < 2; d++) {
        if (fence == (d == 0 ? TG_FENCE_GLOBAL : TG_FENCE_SHARED)) {
            continue;
        }
        uint32_t *all = r->lanes[lanes != NULL ? lanes[0] : 0].clock[d];
        for (int k = 1; k < n; k++) {
            join(r, all, r->lanes[lanes != NULL ? lanes[k] : k].clock[d]);
        }
        for (int k = 1; k < n; k++) {
            memcpy(r->lanes[lanes != NULL ? lanes[k] : k].clock[d], all,
                   (size_t)r->n_lanes * sizeof all[0]);
        }
    }
    for (int k = 0; k < n; k++) {
        tick(r, lanes != NULL ? lanes[k] : k);
    }
}

/* ---- barriers in shared memory --------------------------------------------------------------- */

static int64_t place_at(const tg_li_run *r, const tg_li_ins *i, int lane, int array) {
    const tg_value *where = i->op->operands[array].value, *which = i->op->operands[array + 1].value;
    const tg_li_array *a = &r->code->arrays.data[r->code->reg_of[where->id]];
    int64_t index = (int64_t)r->lanes[lane].cells[r->code->reg_of[which->id]];
    return index < 0 || index >= a->count ? -1 : a->offset + index * a->elem_bytes;
}

static int64_t place_of(const tg_li_run *r, const tg_li_ins *i, int lane) {
    return place_at(r, i, lane, 0);
}

static tg_li_mbarrier *find(const tg_li_run *r, int64_t at) {
    for (size_t k = 0; k < r->mbarriers.count; k++) {
        if (r->mbarriers.data[k]->at == at) {
            return r->mbarriers.data[k];
        }
    }
    return NULL;
}

/* The barrier that the lane's instruction names; NULL after a report. */
tg_li_mbarrier *tg_li_mbar_at(tg_li_run *r, const tg_li_ins *i, int lane, int array) {
    tg_li_mbarrier *m = NULL;
    int32_t index = r->code->reg_of[i->op->operands[array + 1].value->id];
    if (tg_li_is_defined(r, i, lane, index, "the index")) {
        m = find(r, place_at(r, i, lane, array));
    }
    if (m == NULL) {
        tg_li_report(r, TG_LOOP_MBARRIER, i->op, lane, "element %lld is no barrier",
                     (long long)r->lanes[lane].cells[index]);
        return NULL;
    }
    (void)tg_li_touch(r, &r->shared, i, lane, m->at, 8, LI_ATOMIC, NULL, false); /* init is known */
    return m;
}

static tg_li_mbarrier *named(tg_li_run *r, const tg_li_ins *i, int lane) {
    return tg_li_mbar_at(r, i, lane, 0);
}

static void init(tg_li_run *r, const tg_li_ins *i, int lane) {
    int64_t at = place_of(r, i, lane), n = tg_attr_int(i->op, TG_ATTR_N, 1);
    if (at < 0) {
        tg_li_report(r, TG_LOOP_BOUNDS, i->op, lane, "no such element");
        return;
    }
    (void)tg_li_touch(r, &r->shared, i, lane, at, 8, LI_WRITE, NULL, true);
    tg_li_mbarrier *m = find(r, at);
    if (m == NULL) {
        m = TG_NEW(r->arena, tg_li_mbarrier);
        TG_LIST_PUSH(r->arena, &r->mbarriers, m);
    }
    *m = (tg_li_mbarrier){.at = at, .expected = n, .pending = n};
    for (int d = 0; d < 2; d++) {
        m->clock[d] = make_clock(r);
        m->done[d] = make_clock(r);
        join(r, m->done[d], r->lanes[lane].clock[d]);
    }
}

static void settle(tg_li_run *r, tg_li_mbarrier *m) {
    if (m->pending != 0 || m->bytes != 0) {
        return;
    }
    join(r, m->done[0], m->clock[0]);
    join(r, m->done[1], m->clock[1]);
    m->phase++;
    m->pending = m->expected;
}

void tg_li_mbar_bytes(tg_li_run *r, const tg_li_ins *i, int lane, tg_li_mbarrier *m, int64_t bytes,
                      uint32_t *const clock[2]) {
    if (m->bytes < bytes) {
        tg_li_report(r, TG_LOOP_MBARRIER, i->op, lane, "%lld bytes where the phase expects %lld",
                     (long long)bytes, (long long)m->bytes);
        return;
    }
    join(r, m->clock[0], clock[0]);
    join(r, m->clock[1], clock[1]);
    m->bytes -= bytes;
    settle(r, m);
}

void tg_li_order_keep(tg_li_run *r, int lane, uint32_t *clock[2]) {
    for (int d = 0; d < 2; d++) {
        clock[d] = make_clock(r);
        join(r, clock[d], r->lanes[lane].clock[d]);
    }
}

void tg_li_order_tick(tg_li_run *r, int lane) { tick(r, lane); }

static void arrive(tg_li_run *r, const tg_li_ins *i, int lane, tg_li_mbarrier *m,
                   uint32_t *const clock[2]) {
    if (m->pending == 0) {
        tg_li_report(r, TG_LOOP_MBARRIER, i->op, lane, "more than the %lld arrivals of a phase",
                     (long long)m->expected);
        return;
    }
    join(r, m->clock[0], clock[0]);
    join(r, m->clock[1], clock[1]);
    m->pending--;
    settle(r, m);
}

/* Arrives when its copies so far have landed. */
static void watch(tg_li_run *r, const tg_li_ins *i, int lane, tg_li_mbarrier *m) {
    tg_li_lane *l = &r->lanes[lane];
    tg_li_arrival a = {.lane = lane, .number = ++r->n_arrivals, .ins = i, .at = m};
    for (int d = 0; d < 2; d++) {
        a.clock[d] = make_clock(r);
        join(r, a.clock[d], l->clock[d]);
    }
    for (size_t k = 0; k < l->flights.count; k++) {
        tg_li_flight *f = &l->flights.data[k];
        f->arrival = f->arrival == 0 ? a.number : f->arrival;
    }
    TG_LIST_PUSH(r->arena, &r->arrivals, a);
}

void tg_li_mbar(tg_li_run *r, const tg_li_ins *i, int lane) {
    tg_li_lane *l = &r->lanes[lane];
    if (i->code == TG_OP_MBAR_INIT) {
        init(r, i, lane);
        return;
    }
    int who = i->code == TG_OP_MBAR_ARRIVE   ? i->arg[2]
              : i->code == TG_OP_MBAR_EXPECT ? i->arg[3]
                                             : -1;
    bool comes =
        who < 0 || (tg_li_is_defined(r, i, lane, who, "who arrives") && l->cells[who] != 0);
    tg_li_mbarrier *m = comes ? named(r, i, lane) : NULL;
    if (m != NULL && i->code == TG_OP_MBAR_COPIED) {
        watch(r, i, lane, m);
    } else if (m != NULL) {
        m->bytes += i->code == TG_OP_MBAR_EXPECT ? (int64_t)l->cells[i->arg[2]] : 0;
        arrive(r, i, lane, m, l->clock);
    }
    tick(r, lane);
}

/* One of the arrivals whose copies may land. */
static bool land_one(tg_li_run *r) {
    if (r->arrivals.count == 0) {
        return false;
    }
    size_t k = r->opt->seed == 0 ? 0 : (size_t)(r->steps % (int64_t)r->arrivals.count);
    tg_li_arrival a = r->arrivals.data[k];
    for (size_t before = 0; before < k; before++) { /* a lane's own in order */
        if (r->arrivals.data[before].lane == a.lane) {
            a = r->arrivals.data[k = before];
        }
    }
    --r->arrivals.count;
    memmove(r->arrivals.data + k, r->arrivals.data + k + 1, (r->arrivals.count - k) * sizeof a);
    uint32_t *own = &r->lanes[a.lane].clock[0][a.lane], now = *own;
    *own = a.clock[0][a.lane]; /* when it was started, not when the lane has come elsewhere */
    tg_li_land_arrival(r, a.ins, a.lane, a.number);
    *own = now;
    arrive(r, a.ins, a.lane, a.at, a.clock);
    return true;
}

/* ---- meeting --------------------------------------------------------------------------------- */

/* Lanes that meet at the lane's barrier: how many, and whether this other one is of them. */
static int64_t wanted(const tg_li_run *r, int lane) {
    int64_t n = tg_attr_int(tg_li_waiting_at(r, lane)->op, TG_ATTR_N, 0);
    return n > 0 ? n : r->n_lanes;
}

static bool is_partial(const tg_li_run *r, int lane) {
    const tg_op *op = tg_li_waiting_at(r, lane)->op;
    return op->n_operands > 0 || (wanted(r, lane) < r->n_lanes);
}

static int64_t number_of(const tg_li_run *r, int lane) {
    const tg_li_ins *i = tg_li_waiting_at(r, lane);
    return i->op->n_operands > 0 ? (int64_t)r->lanes[lane].cells[i->arg[0]]
                                 : -1 - lane / wanted(r, lane);
}

static bool waits_at(const tg_li_run *r, int lane, int64_t number) {
    return r->lanes[lane].state == LI_AT_BARRIER && is_partial(r, lane) &&
           number_of(r, lane) == number;
}

static bool meet_partial(tg_li_run *r, int first) {
    int *lanes = TG_NEW_ARRAY(r->arena, int, r->n_lanes), n = 0;
    int64_t number = number_of(r, first), want = wanted(r, first);
    for (int k = first; k < r->n_lanes; k++) {
        if (waits_at(r, k, number)) {
            lanes[n++] = k;
        }
    }
    if (n < want) {
        return false;
    }
    for (int k = 1; k < n; k++) {
        if (n > want || !tg_li_same_place(r, first, lanes[k])) {
            tg_li_report_divergence(r, first, lanes[k]);
            return true;
        }
    }
    tg_li_order_barrier(
        r, (tg_fence)tg_attr_int(tg_li_waiting_at(r, first)->op, TG_ATTR_FENCE, TG_FENCE_ALL),
        lanes, n);
    for (int k = 0; k < n; k++) {
        r->lanes[lanes[k]].state = LI_RUN;
    }
    return true;
}

static bool pass_mbarrier(tg_li_run *r, int lane) {
    const tg_li_ins *i = tg_li_waiting_at(r, lane);
    tg_li_lane *l = &r->lanes[lane];
    tg_li_mbarrier *m = named(r, i, lane);
    (void)tg_li_is_defined(r, i, lane, i->arg[2], "the parity");
    if (m != NULL && (m->phase & 1) == (int64_t)l->cells[i->arg[2]]) {
        return false;
    }
    for (int d = 0; m != NULL && d < 2; d++) {
        join(r, l->clock[d], m->done[d]);
    }
    tick(r, lane);
    l->state = LI_RUN;
    return true;
}

bool tg_li_meet(tg_li_run *r) {
    bool moved = false;
    for (int k = 0; k < r->n_lanes && !r->stop; k++) {
        if (r->lanes[k].state == LI_AT_MBARRIER) {
            moved |= pass_mbarrier(r, k);
        } else if (r->lanes[k].state == LI_AT_BARRIER && is_partial(r, k)) {
            int64_t number = number_of(r, k);
            int before = k - 1;
            while (before >= 0 && !waits_at(r, before, number)) {
                before--;
            }
            moved |= before < 0 && meet_partial(r, k);
        }
    }
    return moved || land_one(r) || tg_li_land_box(r);
}

bool tg_li_report_deadlock(tg_li_run *r) {
    for (int k = 0; k < r->n_lanes; k++) {
        const tg_li_ins *i = tg_li_waiting_at(r, k);
        if (r->lanes[k].state == LI_AT_MBARRIER) {
            const tg_li_mbarrier *m = find(r, place_of(r, i, k));
            tg_li_report(
                r, TG_LOOP_DEADLOCK, i->op, k,
                "waits for ever for phase %lld, which wants %lld of %lld arrivals and %lld "
                "bytes",
                (long long)m->phase, (long long)m->pending, (long long)m->expected,
                (long long)m->bytes);
        } else if (r->lanes[k].state == LI_AT_BARRIER && is_partial(r, k)) {
            tg_li_report(r, TG_LOOP_DEADLOCK, i->op, k,
                         "waits for ever at a barrier of %lld lanes, not all of which come",
                         (long long)wanted(r, k));
        } else {
            continue;
        }
        r->stop = true;
        return true;
    }
    return false;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static tg_li_history *row_of(const tg_li_run *r, int32_t who) {
    return &r->histories.data[(size_t)(-2 - who) * groups(r)];
}

/* Does the lane know of the accesses of `who`, the last at `time`? */
static bool knows(const tg_li_run *r, int lane, int d, int32_t who, uint32_t time) {
    const uint32_t *clock = r->lanes[lane].clock[d];
    if (who >= 0) {
        return who == lane || clock[who] >= time;
    }
    const tg_li_history *row = row_of(r, who);
    for (size_t g = 0; g < groups(r); g++) {
        for (int k = 0; row[g].who >> k != 0; k++) {
            int other = (int)g * GROUP + k;
            bool did = (row[g].who >> k & 1) != 0;
            if (did && other != lane && clock[other] < row[g].time) {
                return false;
            }
            if (k == GROUP - 1) {
                break;
            }
        }
    }
    return true;
}

static void forget_row(tg_li_run *r, int32_t who) {
    if (who <= -2) {
        TG_LIST_PUSH(r->arena, &r->free_rows, -2 - who);
    }
}

static int32_t new_row(tg_li_run *r) {
    if (r->free_rows.count > 0) {
        int32_t row = r->free_rows.data[--r->free_rows.count];
        memset(row_of(r, -2 - row), 0, groups(r) * sizeof(tg_li_history));
        return -2 - row;
    }
    int32_t row = (int32_t)(r->histories.count / groups(r));
    for (size_t g = 0; g < groups(r); g++) {
        TG_LIST_PUSH(r->arena, &r->histories, (tg_li_history){0});
    }
    return -2 - row;
}

static void add(tg_li_run *r, int32_t who, int lane, uint32_t time) {
    tg_li_history *h = &row_of(r, who)[lane / GROUP];
    h->time = h->time > time ? h->time : time;
    h->who |= 1u << lane % GROUP;
}

/* `who` (last at `time`) and this lane. */
static int32_t with_lane(tg_li_run *r, int32_t who, uint32_t time, int lane, uint32_t now) {
    if (who >= 0) {
        int32_t row = new_row(r);
        add(r, row, who, time);
        who = row;
    }
    add(r, who, lane, now);
    return who;
}

static void race(tg_li_run *r, const tg_li_space *s, const tg_li_ins *i, int lane, int64_t at,
                 bool write, bool written, int32_t other, int32_t program) {
    const char *now = write ? "written" : "read", *before = written ? "written" : "read";
    if (program != (int32_t)r->program) {
        tg_li_report(r, TG_LOOP_RACE, i->op, lane,
                     "byte %lld of %s is %s here and was %s by another program", (long long)at,
                     s->name, now, before);
    } else {
        tg_li_report(
            r, TG_LOOP_RACE, i->op, lane,
            "byte %lld of %s is %s here and was %s by lane %d%s, which nothing orders before",
            (long long)at, s->name, now, before, other >= 0 ? other : (int)(lane == 0),
            other >= 0 ? "" : " or others");
    }
}

typedef struct touch {
    tg_li_space *s;
    int lane, d;
    uint32_t now; /* time of the lane */
    tg_li_access access;
} touch;

static bool after_write(const tg_li_run *r, const touch *t, const tg_li_byte *b, bool same) {
    bool atomics = b->w_atomic && t->access == LI_ATOMIC;
    if (b->w_epoch == 0 || atomics || b->w_program != (int32_t)r->program) {
        return b->w_epoch == 0 || atomics;
    }
    return knows(r, t->lane, t->d, b->w_lane, b->w_epoch) ||
           (t->access == LI_WRITE && same && t->s->per_program && !b->w_atomic);
}

static bool after_reads(const tg_li_run *r, const touch *t, const tg_li_byte *b) {
    return t->access != LI_WRITE || b->r_epoch == 0 ||
           (b->r_program == (int32_t)r->program && knows(r, t->lane, t->d, b->r_lane, b->r_epoch));
}

static void note_read(tg_li_run *r, const touch *t, tg_li_byte *b) {
    int32_t program = (int32_t)r->program;
    if (b->r_epoch != 0 && b->r_program != program) { /* another one's, too */
        b->r_program = -2;
        b->r_lane = t->lane;
    } else if (b->r_epoch == 0 || b->r_lane == t->lane) {
        b->r_program = program;
        b->r_lane = t->lane;
    } else {
        b->r_lane = with_lane(r, b->r_lane, b->r_epoch, t->lane, t->now);
    }
    b->r_epoch = t->now;
}

static void note_write(tg_li_run *r, const touch *t, tg_li_byte *b, bool undefined) {
    bool mine = b->w_epoch != 0 && b->w_program == (int32_t)r->program;
    if (mine && b->w_lane == t->lane && b->w_epoch > t->now) {
        return; /* a copy lands that the lane has since started to overwrite */
    }
    if (mine && !knows(r, t->lane, t->d, b->w_lane, b->w_epoch)) {
        b->w_lane = with_lane(r, b->w_lane, b->w_epoch, t->lane, t->now);
    } else {
        if (mine) {
            forget_row(r, b->w_lane);
        }
        b->w_lane = t->lane;
    }
    b->w_epoch = t->now;
    b->w_program = (int32_t)r->program;
    b->w_atomic = t->access == LI_ATOMIC;
    b->undefined = undefined;
    if (t->access == LI_WRITE && b->r_program == (int32_t)r->program && b->r_epoch != 0) {
        forget_row(r, b->r_lane);
        b->r_epoch = 0;
    }
}

bool tg_li_touch_ordered(tg_li_run *r, tg_li_space *s, const tg_li_ins *i, int lane, int64_t at,
                         int64_t n, tg_li_access access, const unsigned char *with,
                         bool undefined) {
    touch t = {.s = s, .lane = lane, .d = s->device, .access = access};
    bool found_undefined = false, told = s->owner >= 0; /* its own stack */
    t.now = r->lanes[lane].clock[t.d][lane];
    for (int64_t k = at; k < at + n; k++) {
        tg_li_byte *b = &s->shadow[k];
        if (s->per_program && b->w_program != (int32_t)r->program) {
            *b = (tg_li_byte){
                .undefined = 1, .w_program = (int32_t)r->program, .r_program = (int32_t)r->program};
        }
        found_undefined |= access != LI_WRITE && b->undefined;
        bool same = with != NULL && with[k - at] == s->base[k];
        if (!told && !after_write(r, &t, b, same)) {
            race(r, s, i, lane, k, access != LI_READ, true, b->w_lane, b->w_program);
            told = true;
        }
        if (!told && !after_reads(r, &t, b)) {
            race(r, s, i, lane, k, true, false, b->r_lane, b->r_program);
            told = true;
        }
        if (access == LI_READ) {
            note_read(r, &t, b);
        } else {
            note_write(r, &t, b, access == LI_WRITE ? undefined : undefined || b->undefined);
        }
    }
    return found_undefined;
}
