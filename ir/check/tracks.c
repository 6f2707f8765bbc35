/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every role of a placed function does, in its order: signals, awaits and accesses to buffers.
 *
 * Control flow of placed code hangs on scalars alone. Those that nobody knows before the launch
 * (extents, parameters, block numbers, what is read from memory) get values here: a choice of
 * extents by number, and for the rest a value drawn from what it is computed from, so that two
 * roles that compute the same thing see the same value. Everything else is evaluated by the
 * language's integer rules, loops are run trip by trip, and what is left of a role is a plain list.
 */
#include "ir/check/internal.h"

#include "ir/fold.h"

enum { MAX_ACTIONS = 60000, MAX_STEPS = 400000, MAX_BLIND_TRIPS = 6, MAX_EVENTS = 256 };

typedef struct maker {
    tg_checker *c;
    tg_tracks *out;
    tg_track *track;
    int choice;
    int64_t *value; /* by value id: the number, or what stands for it */
    int64_t steps, next_token;
} maker;

/* ---- values ---------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t h, uint64_t v) {
    h = (h ^ v) * 0x9E3779B97F4A7C15u;
    return h ^ (h >> 29);
}

/* Something unknown: small where it is a number, since it may be a number of trips. */
static int64_t blind(tg_dtype t, uint64_t h) {
    h = mix(h, 77);
    if (t == TG_DT_BOOL) {
        return (int64_t)(h & 1);
    }
    return tg_dtype_is_int(t) ? (int64_t)(h % 5) : (int64_t)(h >> 1);
}

static int64_t extent(const maker *m, int64_t which) {
    static const int64_t sizes[] = {96, 1, 0, 150, 33, 257};
    int64_t n = (int64_t)TG_COUNT_OF(sizes);
    return sizes[m->choice % n] + (m->choice % 2 != 0 ? which * 32 : 0);
}

static int64_t value_of(const maker *m, const tg_value *v) { return m->value[v->id]; }

static uint64_t number_of(const maker *m, const tg_op *op) {
    uint64_t h = mix((uint64_t)op->code, (uint64_t)m->choice);
    for (int k = 0; k < op->n_attrs; k++) {
        h = mix(h, (uint64_t)op->attrs[k].i);
    }
    for (int i = 0; i < op->n_operands; i++) {
        const tg_value *v = tg_operand(op, i);
        int thing = v->type->kind == TG_TY_TENSOR || v->type->kind == TG_TY_BUFFER
                        ? tg_check_thing(m->c, v)
                        : -1;
        h = mix(h, thing >= 0 ? (uint64_t)thing : (uint64_t)value_of(m, v));
    }
    return h;
}

static bool evaluate(const maker *m, const tg_op *op, int64_t *out) {
    const tg_type *t = op->results[0].type;
    int64_t x[3] = {0};
    for (int i = 0; i < op->n_operands && i < 3; i++) {
        const tg_type *o = tg_operand(op, i)->type;
        if (!tg_type_is_scalar(o) || !(tg_dtype_is_int(o->dtype) || o->dtype == TG_DT_BOOL)) {
            return false;
        }
        x[i] = value_of(m, tg_operand(op, i));
    }
    switch ((int)op->code) {
    case TG_OP_CONST_INT:
        *out = tg_attr_int(op, TG_ATTR_VALUE_I, 0);
        return true;
    case TG_OP_SYM:
        *out = extent(m, tg_attr_int(op, TG_ATTR_SYM, 0));
        return true;
    case TG_OP_CMP:
        *out = tg_fold_int_cmp((tg_cmp_pred)tg_attr_int(op, TG_ATTR_PRED, 0),
                               tg_operand(op, 0)->type->dtype, x[0], x[1]);
        return true;
    case TG_OP_SELECT:
        *out = x[0] != 0 ? x[1] : x[2];
        return true;
    case TG_OP_CAST:
        *out = tg_fold_wrap(t->dtype, x[0]);
        return true;
    case TG_OP_PRESENT:
        *out = x[0] >= 0 && x[0] < x[1];
        return true;
    }
    return (op->n_operands == 2 && tg_fold_int_binary(op->code, t->dtype, x[0], x[1], out)) ||
           (op->n_operands == 1 && tg_fold_int_unary(op->code, t->dtype, x[0], out));
}

/* The buffer of one scalar through which a role tells others of v: who puts it and who gets it see
 * one value, whatever it is computed from. NULL: there is none. */
static const tg_value *told_by(const tg_value *v) {
    if (v->def->code == TG_OP_GET && v->def->operands[0].value->type->rank == 0) {
        return v->def->operands[0].value;
    }
    for (const tg_use *u = v->uses; u != NULL && tg_type_is_scalar(v->type); u = u->next) {
        if (u->user->code == TG_OP_PUT && u->user->operands[0].value->type->rank == 0) {
            return u->user->operands[0].value;
        }
    }
    return NULL;
}

static int64_t told_value(const maker *m, const tg_value *v, const tg_value *buffer) {
    uint64_t h = mix((uint64_t)m->choice + 5, (uint64_t)tg_check_thing(m->c, buffer));
    return blind(v->type->dtype, h);
}

static void learn(maker *m, const tg_op *op) {
    for (int i = 0; i < op->n_results; i++) {
        const tg_type *t = op->results[i].type;
        bool number = tg_type_is_scalar(t) && (tg_dtype_is_int(t->dtype) || t->dtype == TG_DT_BOOL);
        const tg_value *buffer = told_by(&op->results[i]);
        int64_t v;
        if (buffer != NULL && number) {
            v = told_value(m, &op->results[i], buffer);
        } else if (!number || op->n_regions > 0 || !evaluate(m, op, &v)) {
            uint64_t h = mix(number_of(m, op), (uint64_t)i);
            v = number ? blind(t->dtype, h) : (int64_t)h;
        }
        m->value[op->results[i].id] = v;
    }
}

/* ---- actions --------------------------------------------------------------------------------- */

static void act(maker *m, tg_action a) {
    if (m->track->actions.count >= MAX_ACTIONS) {
        m->track->cut = true;
        return;
    }
    TG_LIST_PUSH(m->c->arena, &m->track->actions, a);
}

static int event_of(const maker *m, const tg_value *v) {
    for (size_t i = 0; i < m->out->events.count; i++) {
        if (m->out->events.data[i] == v->def) {
            return (int)i;
        }
    }
    return -1;
}

static void on_event(maker *m, const tg_op *op, tg_action_kind kind) {
    int e = event_of(m, tg_operand(op, 0));
    if (e < 0) {
        tg_check_report(m->c, op, "%s of something that is no event",
                        tg_op_info_get(op->code)->name);
        return;
    }
    int64_t n = tg_max_i64(1, tg_attr_int(m->out->events.data[e], TG_ATTR_N, 1));
    int64_t slot = ((value_of(m, tg_operand(op, 1)) % n) + n) % n;
    act(m, (tg_action){.kind = kind,
                       .op = op,
                       .what = e,
                       .slot = slot,
                       .count = tg_attr_int(op, TG_ATTR_N_COUNT, 1)});
}

/* The operand of op that chooses the copy of a ring, or that of a window below `v`. */
static int64_t ring_slot(const maker *m, const tg_op *op, const tg_value *v) {
    const tg_value *slot = NULL;
    if (tg_attr_int(op, TG_ATTR_RING, 0) != 0 && v == tg_operand(op, 0)) {
        bool second = op->code == TG_OP_PUT || op->code == TG_OP_GET_AT;
        slot = tg_operand(op, second ? 2 : 1);
    }
    int64_t depth = v->type->depth;
    while (v->def != NULL && v->def->code == TG_OP_WINDOW) {
        slot = tg_attr_int(v->def, TG_ATTR_RING, 0) != 0 ? tg_operand(v->def, 1) : slot;
        v = tg_operand(v->def, 0);
        depth = v->type->depth;
    }
    depth = tg_max_i64(1, depth);
    return slot == NULL ? 0 : ((value_of(m, slot) % depth) + depth) % depth;
}

/* Does op write the buffer in operand i? Exchanges are written and read. */
static bool writes_operand(const tg_op *op, int i) {
    switch ((int)op->code) {
    case TG_OP_PUT:
    case TG_OP_COPY:
        return i == 0;
    case TG_OP_TEAM:
        return i >= (int)tg_attr_int(op, TG_ATTR_N_COUNT, 0) +
                        (tg_attr_int(op, TG_ATTR_MASKED, 0) != 0 ? 1 : 0);
    case TG_OP_REDUCE:
    case TG_OP_CONVERT:
    case TG_OP_ATOMIC:
        return true;
    }
    return false;
}

static void touch(maker *m, const tg_op *op) {
    for (int i = 0; i < op->n_operands; i++) {
        const tg_value *v = tg_operand(op, i);
        int thing = v->type->kind == TG_TY_BUFFER ? tg_check_thing(m->c, v) : -1;
        if (thing < 0) {
            continue;
        }
        tg_action a = {.kind = TG_ACTION_TOUCH,
                       .op = op,
                       .what = thing,
                       .slot = ring_slot(m, op, v),
                       .write = writes_operand(op, i)};
        if (op->code == TG_OP_COPY) {
            a.kind = TG_ACTION_BEGIN;
            a.token = m->next_token++;
        }
        act(m, a);
        if (op->code == TG_OP_COPY) {
            m->value[op->results[0].id] = a.token;
        }
    }
}

/* Stores with equal indices go to the same elements. */
static void store(maker *m, const tg_op *op) {
    uint64_t h = mix(0, (uint64_t)op->n_operands);
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    for (size_t k = 0; axes != NULL && k < axes->n_list; k++) {
        h = mix(h, (uint64_t)axes->list[k]);
    }
    for (int i = 2; i < op->n_operands; i++) {
        h = mix(h, (uint64_t)value_of(m, tg_operand(op, i)));
    }
    act(m, (tg_action){.kind = TG_ACTION_STORE,
                       .op = op,
                       .what = tg_check_thing(m->c, tg_operand(op, 0)),
                       .token = (int64_t)h});
}

static void land(maker *m, const tg_op *op, const tg_value *token) {
    int64_t keep = op->code == TG_OP_WAIT ? tg_attr_int(op, TG_ATTR_N, -1) : -1;
    act(m, (tg_action){.kind = TG_ACTION_LAND,
                       .op = op,
                       .what = (int)keep,
                       .token = keep >= 0 ? -1 : value_of(m, token)});
}

/* ---- control flow ---------------------------------------------------------------------------- */

static const tg_op *walk(maker *m, const tg_region *r);

/* values[first + i] of `from` become those of to[i], all at once. */
static void pass_on(maker *m, const tg_op *from, int first, tg_value *const *to, int n) {
    int64_t *v = TG_NEW_ARRAY(m->c->arena, int64_t, n + 1);
    for (int i = 0; i < n; i++) {
        v[i] = from != NULL ? value_of(m, tg_operand(from, first + i)) : 0;
    }
    for (int i = 0; i < n; i++) {
        m->value[to[i]->id] = v[i];
    }
}

static tg_value **results_of(maker *m, const tg_op *op) {
    tg_value **r = TG_NEW_ARRAY(m->c->arena, tg_value *, op->n_results + 1);
    for (int i = 0; i < op->n_results; i++) {
        r[i] = &op->results[i];
    }
    return r;
}

static void walk_for(maker *m, const tg_op *op) {
    const tg_region *body = op->regions[0];
    int64_t lo = value_of(m, tg_operand(op, 0)), hi = value_of(m, tg_operand(op, 1));
    int64_t step = tg_max_i64(1, value_of(m, tg_operand(op, 2)));
    pass_on(m, op, 3, body->args + 1, op->n_results);
    for (int64_t iv = lo; iv < hi && !m->track->cut; iv += step) {
        m->value[body->args[0]->id] = iv;
        pass_on(m, walk(m, body), 0, body->args + 1, op->n_results);
    }
    for (int i = 0; i < op->n_results; i++) {
        const tg_value *buffer = told_by(&op->results[i]);
        m->value[op->results[i].id] = buffer != NULL ? told_value(m, &op->results[i], buffer)
                                                     : value_of(m, body->args[1 + i]);
    }
}

static void walk_while(maker *m, const tg_op *op) {
    const tg_region *test = op->regions[0], *body = op->regions[1];
    int n = op->n_results;
    pass_on(m, op, 0, test->args, n);
    for (int trip = 0; !m->track->cut; trip++) {
        const tg_op *y = walk(m, test);
        bool more = y != NULL && value_of(m, tg_operand(y, 0)) != 0 && trip < MAX_BLIND_TRIPS;
        pass_on(m, y, 1, more ? body->args : results_of(m, op), n);
        if (!more) {
            return;
        }
        pass_on(m, walk(m, body), 0, test->args, n);
    }
}

static void walk_if(maker *m, const tg_op *op) {
    bool yes = value_of(m, tg_operand(op, 0)) != 0;
    const tg_op *y = walk(m, op->regions[yes ? 0 : 1]);
    pass_on(m, y, 0, results_of(m, op), op->n_results);
}

static void walk_role(maker *m, const tg_op *op) {
    tg_track *around = m->track;
    int64_t n = tg_min_i64(tg_attr_int(op, TG_ATTR_REPLICAS, 1), 64);
    for (int64_t k = 0; k < n; k++) {
        tg_track *t = TG_NEW(m->c->arena, tg_track);
        t->role = op;
        t->number = (int)m->out->all.count;
        t->replica = (int)k;
        m->track = around;
        act(m, (tg_action){.kind = TG_ACTION_FORK, .op = op, .what = t->number});
        TG_LIST_PUSH(m->c->arena, &m->out->all, t);
        m->track = t;
        m->value[op->regions[0]->args[0]->id] = k;
        (void)walk(m, op->regions[0]);
    }
    m->track = around;
}

static void walk_op(maker *m, const tg_op *op) {
    switch ((int)op->code) {
    case TG_OP_FOR:
        walk_for(m, op);
        return;
    case TG_OP_WHILE:
        walk_while(m, op);
        return;
    case TG_OP_IF:
        walk_if(m, op);
        return;
    case TG_OP_ROLE:
        walk_role(m, op);
        return;
    case TG_OP_SIGNAL:
        if (op->n_operands > 2) {
            land(m, op, tg_operand(op, 2));
        }
        on_event(m, op, TG_ACTION_GIVE);
        return;
    case TG_OP_AWAIT:
        on_event(m, op, TG_ACTION_TAKE);
        return;
    case TG_OP_WAIT:
        land(m, op, tg_operand(op, 0));
        return;
    case TG_OP_EVENT:
        if (m->out->events.count < MAX_EVENTS) {
            TG_LIST_PUSH(m->c->arena, &m->out->events, op);
        }
        return;
    case TG_OP_STORE:
        store(m, op);
        return;
    case TG_OP_WINDOW:
        return;
    }
    learn(m, op);
    touch(m, op);
}

static const tg_op *walk(maker *m, const tg_region *r) {
    for (const tg_op *op = r->first; op != NULL && !m->track->cut; op = op->next) {
        if (op->code == TG_OP_YIELD) {
            return op;
        }
        m->track->cut = ++m->steps > MAX_STEPS;
        walk_op(m, op);
    }
    return NULL;
}

/* ---- door ------------------------------------------------------------------------------------ */

static bool has_roles(const tg_region *r) {
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_ROLE || op->code == TG_OP_EVENT) {
            return true;
        }
    }
    return false;
}

bool tg_tracks_make(tg_checker *c, int choice, tg_tracks *out) {
    maker m = {.c = c, .out = out, .choice = choice};
    *out = (tg_tracks){0};
    if (!has_roles(c->func->body)) {
        return false;
    }
    m.value = TG_NEW_ARRAY(c->arena, int64_t, c->func->next_value_id + 1);
    const tg_region *body = c->func->body;
    for (int i = 0; i < body->n_args; i++) {
        const tg_type *t = body->args[i]->type;
        m.value[body->args[i]->id] = blind(tg_type_is_scalar(t) ? t->dtype : TG_DT_F32,
                                           mix((uint64_t)i + 1, (uint64_t)choice));
    }
    m.track = TG_NEW(c->arena, tg_track);
    TG_LIST_PUSH(c->arena, &out->all, m.track);
    (void)walk(&m, body);
    return true;
}
