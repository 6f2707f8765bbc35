/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Roles beside each other. The lists of tracks.c are run against the semaphores of the events:
 *
 *   - when nobody can go on and somebody has not ended, he waits for ever: either nobody signals
 * any more, or those who would are waiting themselves, perhaps in a circle;
 *   - an event ends with the counts that it began with, else the next use of it goes wrong;
 *   - two roles that touch the same bytes, one of them writing, are ordered by events.
 *
 * The order is kept as vectors: what a role has seen of each other role, in signals. The k-th await
 * of a semaphore that starts at c has seen what the signal k - c had seen. A semaphore is awaited
 * by one role as a rule, and then none of this hangs on the order in which roles are run here.
 */
#include "ir/check/internal.h"

#include <string.h>

enum { CHOICES = 6, MAX_STORES = 4096, IN_FLIGHT = INT32_MAX };

typedef struct semaphore {
    int64_t count, initial, taken, given;
    TG_LIST(int32_t *) seen; /* by signal */
} semaphore;

/* What is known about one copy of one thing, by track: the last epoch of an access, 0 for none. */
typedef struct place {
    int32_t *wrote, *read;
    const tg_op **by;
} place;

typedef struct flight {
    int track, thing;
    int64_t slot, token;
    const tg_op *op;
} flight;

typedef struct stored {
    int track, param;
    int32_t epoch;
    int64_t key;
} stored;

typedef struct runner {
    tg_checker *c;
    tg_tracks *tracks;
    int n; /* tracks */
    size_t *at;
    bool *started;
    int32_t *epoch;   /* by track, from 1 */
    int32_t **seen;   /* by track and track */
    semaphore **sems; /* by event and slot */
    place *places;    /* by thing and slot */
    int64_t slots;
    TG_LIST(flight) flights;
    TG_LIST(stored) stored;
} runner;

static int64_t ring_of(const tg_op *event) {
    return tg_max_i64(1, tg_attr_int(event, TG_ATTR_N, 1));
}

static const char *name_of(const runner *r, int track) {
    const tg_track *t = r->tracks->all.data[track];
    if (t->role == NULL) {
        return "the code around the roles";
    }
    const char *name = tg_attr_str(t->role, TG_ATTR_NAME);
    name = name != NULL ? name : tg_attr_str(t->role, TG_ATTR_UNITS);
    return tg_arena_printf(r->c->arena, "role %d (%s)", track, name != NULL ? name : "unnamed");
}

/* ---- accesses -------------------------------------------------------------------------------- */

static bool ordered(const runner *r, int track, int other, int32_t epoch) {
    return epoch == 0 || other == track || epoch <= r->seen[track][other];
}

static void check_place(runner *r, int track, const tg_action *a, const place *p) {
    for (int k = 0; k < r->n; k++) {
        bool wrote = !ordered(r, track, k, p->wrote[k]);
        bool read = a->write && !ordered(r, track, k, p->read[k]);
        if (!wrote && !read) {
            continue;
        }
        bool open = p->wrote[k] == IN_FLIGHT || p->read[k] == IN_FLIGHT;
        tg_check_report(r->c, a->op, "%s of %s %s a buffer that %s of %s %s, with no event between",
                        tg_op_info_get(a->op->code)->name, name_of(r, track),
                        a->write ? "writes" : "reads", tg_op_info_get(p->by[k]->code)->name,
                        name_of(r, k),
                        open    ? "still fills"
                        : wrote ? "writes"
                                : "reads");
        return;
    }
}

static place *place_of(runner *r, int thing, int64_t slot) {
    return &r->places[thing * r->slots + slot];
}

static void touch(runner *r, int track, const tg_action *a) {
    size_t n = r->c->things.count;
    for (size_t other = 0; other < n; other++) {
        if (!r->c->overlap[(size_t)a->what * n + other]) {
            continue;
        }
        for (int64_t s = 0; s < r->slots; s++) {
            if (other != (size_t)a->what || s == a->slot) {
                check_place(r, track, a, place_of(r, (int)other, s));
            }
        }
    }
    place *p = place_of(r, a->what, a->slot);
    bool begins = a->kind == TG_ACTION_BEGIN;
    int32_t *to = a->write ? &p->wrote[track] : &p->read[track];
    *to = begins ? IN_FLIGHT : r->epoch[track];
    p->by[track] = a->op;
    if (begins) {
        flight f = {track, a->what, a->slot, a->token, a->op};
        TG_LIST_PUSH(r->c->arena, &r->flights, f);
    }
}

/* Two roles store the same elements with nothing between. */
static void store(runner *r, int track, const tg_action *a) {
    for (size_t i = 0; i < r->stored.count; i++) {
        const stored *s = &r->stored.data[i];
        if (s->track != track && s->param == a->what && s->key == a->token &&
            !ordered(r, track, s->track, s->epoch)) {
            tg_check_report(r->c, a->op,
                            "%s stores the elements that %s stores, with no event between",
                            name_of(r, track), name_of(r, s->track));
            return;
        }
    }
    if (r->stored.count < MAX_STORES) {
        stored s = {track, a->what, r->epoch[track], a->token};
        TG_LIST_PUSH(r->c->arena, &r->stored, s);
    }
}

/* The copies of the track that were waited for are writes of now. */
static void land(runner *r, int track, const tg_action *a) {
    size_t mine = 0, kept = 0;
    for (size_t i = 0; i < r->flights.count; i++) {
        mine += r->flights.data[i].track == track;
    }
    for (size_t i = 0; i < r->flights.count; i++) {
        flight f = r->flights.data[i];
        bool old = f.track == track && a->token < 0 && (int64_t)mine > a->what;
        mine -= f.track == track;
        if (f.track == track && (old || f.token == a->token)) {
            place_of(r, f.thing, f.slot)->wrote[track] = r->epoch[track];
        } else {
            r->flights.data[kept++] = f;
        }
    }
    r->flights.count = kept;
}

/* ---- events ---------------------------------------------------------------------------------- */

static void merge(const runner *r, int32_t *into, const int32_t *from) {
    for (int k = 0; k < r->n; k++) {
        into[k] = from[k] > into[k] ? from[k] : into[k];
    }
}

static void give(runner *r, int track, semaphore *s) {
    int32_t *seen = TG_NEW_ARRAY(r->c->arena, int32_t, r->n);
    memcpy(seen, r->seen[track], (size_t)r->n * sizeof *seen);
    seen[track] = r->epoch[track]++;
    TG_LIST_PUSH(r->c->arena, &s->seen, seen);
    s->count++;
    s->given++;
}

/* Takes n at once, or waits. */
static bool take(runner *r, int track, semaphore *s, int64_t n) {
    if (s->count < n) {
        return false;
    }
    s->count -= n;
    for (int64_t k = 0; k < n; k++) {
        int64_t which = s->taken++ - s->initial;
        if (which >= 0 && which < (int64_t)s->seen.count) {
            merge(r, r->seen[track], s->seen.data[which]);
        }
    }
    return true;
}

static void start(runner *r, int track, int child) {
    memcpy(r->seen[child], r->seen[track], (size_t)r->n * sizeof r->seen[child][0]);
    r->seen[child][track] = r->epoch[track]++;
    r->started[child] = true;
}

/* One action; false when it has to wait. */
static bool step(runner *r, int track, const tg_action *a) {
    switch (a->kind) {
    case TG_ACTION_FORK:
        start(r, track, a->what);
        return true;
    case TG_ACTION_GIVE:
        give(r, track, &r->sems[a->what][a->slot]);
        return true;
    case TG_ACTION_TAKE:
        return take(r, track, &r->sems[a->what][a->slot], a->count);
    case TG_ACTION_TOUCH:
    case TG_ACTION_BEGIN:
        touch(r, track, a);
        return true;
    case TG_ACTION_LAND:
        land(r, track, a);
        return true;
    case TG_ACTION_STORE:
        store(r, track, a);
        return true;
    }
    return true;
}

static const tg_action *next_of(const runner *r, int track) {
    const tg_track *t = r->tracks->all.data[track];
    return r->started[track] && r->at[track] < t->actions.count ? &t->actions.data[r->at[track]]
                                                                : NULL;
}

static void run(runner *r) {
    for (bool moved = true; moved;) {
        moved = false;
        for (int k = 0; k < r->n; k++) {
            for (const tg_action *a; (a = next_of(r, k)) != NULL && step(r, k, a);) {
                r->at[k]++;
                moved = true;
            }
        }
    }
}

/* ---- judgement ------------------------------------------------------------------------------- */

/* A track that would still signal what `a` waits for; -1: none. */
static int giver_of(const runner *r, const tg_action *a) {
    for (int k = 0; k < r->n; k++) {
        const tg_track *t = r->tracks->all.data[k];
        for (size_t i = r->at[k]; r->started[k] && i < t->actions.count; i++) {
            const tg_action *g = &t->actions.data[i];
            if (g->kind == TG_ACTION_GIVE && g->what == a->what && g->slot == a->slot) {
                return k;
            }
        }
    }
    return -1;
}

static void tell_stuck(runner *r, int track, const tg_action *a) {
    const semaphore *s = &r->sems[a->what][a->slot];
    int giver = giver_of(r, a);
    if (giver < 0) {
        tg_check_report(r->c, a->op,
                        "%s waits for ever: slot %lld of the event starts at %lld, is signalled "
                        "%lld times and awaited %lld times",
                        name_of(r, track), (long long)a->slot, (long long)s->initial,
                        (long long)s->given, (long long)s->taken + a->count);
    } else if (giver == track) {
        tg_check_report(r->c, a->op, "%s waits for ever: it awaits what it signals itself, later",
                        name_of(r, track));
    } else {
        tg_check_report(r->c, a->op, "%s waits for ever for %s, which waits too", name_of(r, track),
                        name_of(r, giver));
    }
}

static bool check_stuck(runner *r) {
    bool stuck = false;
    for (int k = 0; k < r->n; k++) {
        const tg_action *a = next_of(r, k);
        if (a != NULL) {
            tell_stuck(r, k, a);
            stuck = true;
        }
    }
    return stuck;
}

static void check_balance(runner *r) {
    for (size_t e = 0; e < r->tracks->events.count; e++) {
        const tg_op *op = r->tracks->events.data[e];
        for (int64_t s = 0; s < ring_of(op); s++) {
            const semaphore *sem = &r->sems[e][s];
            if (sem->count != sem->initial) {
                tg_check_report(r->c, op,
                                "slot %lld of an event ends at %lld where it began at %lld: "
                                "%lld signals, %lld awaits",
                                (long long)s, (long long)sem->count, (long long)sem->initial,
                                (long long)sem->given, (long long)sem->taken);
                return;
            }
        }
    }
}

/* ---- set-up ---------------------------------------------------------------------------------- */

static void make_semaphores(runner *r) {
    r->sems = TG_NEW_ARRAY(r->c->arena, semaphore *, r->tracks->events.count + 1);
    for (size_t e = 0; e < r->tracks->events.count; e++) {
        const tg_op *op = r->tracks->events.data[e];
        r->sems[e] = TG_NEW_ARRAY(r->c->arena, semaphore, ring_of(op));
        for (int64_t s = 0; s < ring_of(op); s++) {
            r->sems[e][s].count = r->sems[e][s].initial = tg_attr_int(op, TG_ATTR_N_COUNT, 0);
        }
    }
}

static void make_places(runner *r) {
    r->slots = 1;
    for (size_t i = 0; i < r->c->things.count; i++) {
        const tg_op *b = r->c->things.data[i].buffer;
        r->slots = tg_max_i64(r->slots, b != NULL ? b->results[0].type->depth : 1);
    }
    int64_t n = (int64_t)r->c->things.count * r->slots;
    r->places = TG_NEW_ARRAY(r->c->arena, place, n + 1);
    for (int64_t i = 0; i < n; i++) {
        r->places[i].wrote = TG_NEW_ARRAY(r->c->arena, int32_t, r->n);
        r->places[i].read = TG_NEW_ARRAY(r->c->arena, int32_t, r->n);
        r->places[i].by = TG_NEW_ARRAY(r->c->arena, const tg_op *, r->n);
    }
}

static void make_tracks(runner *r) {
    r->n = (int)r->tracks->all.count;
    r->at = TG_NEW_ARRAY(r->c->arena, size_t, r->n);
    r->started = TG_NEW_ARRAY(r->c->arena, bool, r->n);
    r->epoch = TG_NEW_ARRAY(r->c->arena, int32_t, r->n);
    r->seen = TG_NEW_ARRAY(r->c->arena, int32_t *, r->n);
    for (int k = 0; k < r->n; k++) {
        r->seen[k] = TG_NEW_ARRAY(r->c->arena, int32_t, r->n);
        r->epoch[k] = 1;
    }
    r->started[0] = true;
}

static bool any_cut(const tg_tracks *t) {
    for (size_t k = 0; k < t->all.count; k++) {
        if (t->all.data[k]->cut) {
            return true;
        }
    }
    return false;
}

void tg_check_events(tg_checker *c) {
    int before = c->reports;
    for (int choice = 0; choice < CHOICES && c->reports == before; choice++) {
        tg_tracks tracks;
        if (!tg_tracks_make(c, choice, &tracks)) {
            return;
        }
        runner r = {.c = c, .tracks = &tracks};
        make_tracks(&r);
        make_semaphores(&r);
        make_places(&r);
        run(&r);
        if (!any_cut(&tracks) && !check_stuck(&r)) {
            check_balance(&r);
        }
    }
}
