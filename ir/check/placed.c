/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The static checker of placed functions: see check.h. The walk follows control flow: a loop's body
 * is walked 2 * depth + 1 times, depth the deepest ring, with the loop variable's value where it is
 * known; both sides of an `if` may have happened.
 */
#include "ir/check/internal.h"

#include <stdarg.h>
#include <string.h>

#include "ir/fold.h"

void tg_check_report(tg_checker *c, const tg_op *op, const char *fmt, ...) {
    tg_sb sb;
    va_list ap;
    tg_sb_init(&sb, c->arena);
    va_start(ap, fmt);
    tg_sb_addv(&sb, fmt, ap);
    va_end(ap);
    c->reports++;
    for (size_t i = 0; i < c->told.count; i++) {
        if (strcmp(c->told.data[i], sb.data) == 0) {
            return;
        }
    }
    TG_LIST_PUSH(c->arena, &c->told, sb.data);
    (void)tg_error(c->sink, TG_D_CHECK_PLACED, op != NULL ? op->span : c->func->span, "%s: %s",
                   c->func->name, sb.data);
}

/* ---- things --------------------------------------------------------------------------------- */

static int64_t elem_bytes(tg_dtype t) {
    int bits = tg_dtype_bits(t);
    return bits < 8 ? 1 : bits / 8;
}

static void check_buffer(tg_checker *c, const tg_op *op) {
    const tg_type *t = op->results[0].type;
    int64_t size, width = elem_bytes(t->dtype), offset = tg_attr_int(op, TG_ATTR_OFFSET, -1);
    int64_t align = tg_attr_int(op, TG_ATTR_ALIGN, width);
    bool shared = t->space == TG_SPACE_SHARED;
    if (tg_places_make(t, c->arena, &size) == NULL) {
        tg_check_report(c, op, "a buffer's layout does not give every element its own place");
        size = tg_type_count(t);
    }
    if (offset < 0) {
        tg_check_report(c, op, "a buffer has no offset");
        offset = 0;
    }
    if (offset % align != 0 || offset % width != 0) {
        tg_check_report(c, op, "the buffer at %lld is not aligned to %lld", (long long)offset,
                        (long long)tg_max_i64(align, width));
    }
    tg_thing thing = {.buffer = op,
                      .param = -1,
                      .fence = shared ? TG_FENCE_SHARED : TG_FENCE_GLOBAL,
                      .begin = offset,
                      .end = offset + size * width * t->depth};
    int64_t room = shared ? c->func->shared_bytes : c->func->scratch_bytes;
    if (thing.end > room) {
        tg_check_report(c, op, "the buffer at %lld..%lld is beyond the %lld bytes of the function",
                        (long long)thing.begin, (long long)thing.end, (long long)room);
    }
    c->trips = t->depth * 2 + 1 > c->trips ? (int)(t->depth * 2 + 1) : c->trips;
    TG_LIST_PUSH(c->arena, &c->things, thing);
}

static void find_buffers(tg_checker *c, const tg_region *r) {
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_BUFFER) {
            check_buffer(c, op);
        }
        for (int k = 0; k < op->n_regions; k++) {
            find_buffers(c, op->regions[k]);
        }
    }
}

static bool things_overlap(tg_checker *c, size_t i, size_t k) {
    const tg_thing *a = &c->things.data[i], *b = &c->things.data[k];
    if (i == k) {
        return true;
    }
    if (a->buffer == NULL || b->buffer == NULL) {
        const tg_param *p = c->func->params;
        return a->buffer == NULL && b->buffer == NULL &&
               (p[a->param].flags & p[b->param].flags & TG_PARAM_ALIAS) != 0;
    }
    return a->fence == b->fence && a->begin < b->end && b->begin < a->end;
}

static void find_things(tg_checker *c) {
    find_buffers(c, c->func->body);
    for (int p = 0; p < c->func->n_params; p++) {
        if (c->func->params[p].type->kind == TG_TY_TENSOR) {
            tg_thing t = {.param = p, .fence = TG_FENCE_GLOBAL};
            TG_LIST_PUSH(c->arena, &c->things, t);
        }
    }
    size_t n = c->things.count;
    c->overlap = TG_NEW_ARRAY(c->arena, bool, n *n + 1);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n; k++) {
            c->overlap[i * n + k] = things_overlap(c, i, k);
            const tg_thing *a = &c->things.data[i], *b = &c->things.data[k];
            if (c->limits->one_width && c->overlap[i * n + k] && a->buffer != NULL &&
                a->fence == TG_FENCE_SHARED &&
                elem_bytes(a->buffer->results[0].type->dtype) !=
                    elem_bytes(b->buffer->results[0].type->dtype)) {
                tg_check_report(c, a->buffer, "shared buffers of different widths share bytes");
            }
        }
    }
}

int tg_check_thing(const tg_checker *c, const tg_value *v) {
    while (v->def != NULL && (v->def->code == TG_OP_WINDOW || v->def->code == TG_OP_VIEW)) {
        v = tg_operand(v->def, 0);
    }
    for (size_t i = 0; i < c->things.count; i++) {
        const tg_thing *t = &c->things.data[i];
        bool param = t->buffer == NULL && v->region == c->func->body && v->index == t->param;
        if (param || (t->buffer != NULL && v->def == t->buffer)) {
            return (int)i;
        }
    }
    return -1;
}

/* ---- known scalars -------------------------------------------------------------------------- */

int64_t tg_check_known(const tg_checker *c, const tg_value *v) { return c->known[v->id].value; }

static void learn(tg_checker *c, const tg_op *op) {
    const tg_type *t = op->n_results == 1 ? op->results[0].type : NULL;
    if (t == NULL || !tg_type_is_scalar(t) || !tg_dtype_is_int(t->dtype)) {
        return;
    }
    int64_t *to = &c->known[op->results[0].id].value, r;
    *to = TG_UNKNOWN;
    if (op->code == TG_OP_CONST_INT) {
        *to = tg_attr_int(op, TG_ATTR_VALUE_I, 0);
    } else if (op->n_operands == 2 && tg_operand(op, 0)->type == t &&
               tg_operand(op, 1)->type == t) {
        int64_t a = tg_check_known(c, tg_operand(op, 0)), b = tg_check_known(c, tg_operand(op, 1));
        if (a != TG_UNKNOWN && b != TG_UNKNOWN &&
            tg_fold_int_binary(op->code, t->dtype, a, b, &r)) {
            *to = r;
        }
    }
}

static void hand_over(tg_checker *c, const tg_op *from, int first, tg_value *const *to, int n) {
    int64_t *values = TG_NEW_ARRAY(c->arena, int64_t, n + 1);
    for (int i = 0; i < n; i++) {
        values[i] = from != NULL ? tg_check_known(c, tg_operand(from, first + i)) : TG_UNKNOWN;
    }
    for (int i = 0; i < n; i++) {
        c->known[to[i]->id].value = values[i];
    }
}

static void results_from(tg_checker *c, const tg_op *op, const tg_op *y, int first) {
    for (int i = 0; i < op->n_results; i++) {
        c->known[op->results[i].id].value =
            y != NULL ? tg_check_known(c, tg_operand(y, first + i)) : TG_UNKNOWN;
    }
}

/* ---- control flow --------------------------------------------------------------------------- */

static const tg_op *walk_region(tg_checker *c, tg_order *o, const tg_region *r, int depth);

static int trips_at(const tg_checker *c, int depth) { return depth < 3 ? c->trips : 2; }

static void walk_for(tg_checker *c, tg_order *o, const tg_op *op, int depth) {
    const tg_region *body = op->regions[0];
    int64_t lo = tg_check_known(c, tg_operand(op, 0)), hi = tg_check_known(c, tg_operand(op, 1));
    int64_t step = tg_check_known(c, tg_operand(op, 2)), from = lo == TG_UNKNOWN ? 0 : lo;
    int n = op->n_results, trips = trips_at(c, depth);
    bool bounded = lo != TG_UNKNOWN && hi != TG_UNKNOWN && step != TG_UNKNOWN && step > 0;
    tg_order *out = tg_order_copy(c, o);
    hand_over(c, op, 3, body->args + 1, n);
    for (int t = 0; t < trips; t++) {
        int64_t iv = step == TG_UNKNOWN ? TG_UNKNOWN : from + t * step;
        if (bounded && iv >= hi) {
            break;
        }
        c->known[body->args[0]->id].value = iv;
        const tg_op *y = walk_region(c, o, body, depth + 1);
        hand_over(c, y, 0, body->args + 1, n);
        if (t == 0 && bounded) { /* certainly runs: what was before it is past */
            out = tg_order_copy(c, o);
        } else {
            tg_order_join(c, out, o);
        }
    }
    for (int i = 0; i < n; i++) {
        c->known[op->results[i].id].value = tg_check_known(c, body->args[1 + i]);
    }
    out->flights.count = 0; /* tokens are those of the last trip, and so are the copies */
    for (size_t i = 0; i < o->flights.count; i++) {
        TG_LIST_PUSH(c->arena, &out->flights, o->flights.data[i]);
    }
    *o = *out;
}

static void walk_while(tg_checker *c, tg_order *o, const tg_op *op, int depth) {
    const tg_region *test = op->regions[0], *body = op->regions[1];
    int n = op->n_results;
    hand_over(c, op, 0, test->args, n);
    tg_order *out = NULL;
    for (int t = 0; t < trips_at(c, depth); t++) {
        const tg_op *y = walk_region(c, o, test, depth + 1);
        if (out == NULL) {
            out = tg_order_copy(c, o);
        } else {
            tg_order_join(c, out, o);
        }
        results_from(c, op, y, 1);
        hand_over(c, y, 1, body->args, n);
        y = walk_region(c, o, body, depth + 1);
        hand_over(c, y, 0, test->args, n);
    }
    if (out != NULL) {
        *o = *out;
    }
}

static void walk_if(tg_checker *c, tg_order *o, const tg_op *op, int depth) {
    tg_order *other = tg_order_copy(c, o);
    const tg_op *y = walk_region(c, o, op->regions[0], depth);
    results_from(c, op, y, 0);
    (void)walk_region(c, other, op->regions[1], depth);
    tg_order_join(c, o, other);
}

static void check_landed(tg_checker *c, const tg_order *o) {
    for (size_t i = 0; i < o->flights.count; i++) {
        tg_check_report(c, o->flights.data[i].op, "nothing waits for a copy");
    }
}

/* Things that an operation of r touches. */
static void note_touched(const tg_checker *c, const tg_region *r, bool *touched) {
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        for (int i = 0; i < op->n_operands; i++) {
            bool memory = tg_operand(op, i)->type->kind == TG_TY_BUFFER;
            int thing = memory ? tg_check_thing(c, tg_operand(op, i)) : -1;
            if (thing >= 0 && op->code != TG_OP_WINDOW) {
                touched[thing] = true;
            }
        }
        for (int k = 0; k < op->n_regions; k++) {
            note_touched(c, op->regions[k], touched);
        }
    }
}

/* A role starts from what was done before it. What other roles touch, too, they may have written:
 * the events say when. */
static tg_order *start_of_role(tg_checker *c, const tg_order *o, const tg_op *role) {
    tg_order *own = tg_order_copy(c, o);
    bool *elsewhere = TG_NEW_ARRAY(c->arena, bool, c->things.count + 1);
    for (const tg_op *op = role->parent->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_ROLE && op != role) {
            note_touched(c, op->regions[0], elsewhere);
        }
    }
    for (size_t i = 0; i < c->things.count; i++) {
        own->written[i] |= elsewhere[i];
    }
    return own;
}

/* Every replica by itself: its number chooses copies of rings. */
static void walk_role(tg_checker *c, const tg_order *o, const tg_op *op) {
    int64_t n = tg_min_i64(tg_attr_int(op, TG_ATTR_REPLICAS, 1), 16);
    c->role_lanes = (int)tg_attr_int(op, TG_ATTR_N, c->func->lanes);
    for (int64_t k = 0; k < n; k++) {
        tg_order *own = start_of_role(c, o, op);
        c->known[op->regions[0]->args[0]->id].value = k;
        (void)walk_region(c, own, op->regions[0], 1);
        check_landed(c, own);
    }
    c->role_lanes = 0;
}

/* Roles run at once: the function's lanes are theirs together. */
static void check_role_lanes(tg_checker *c) {
    int64_t lanes = 0;
    for (const tg_op *op = c->func->body->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_ROLE) {
            lanes +=
                tg_attr_int(op, TG_ATTR_N, c->func->lanes) * tg_attr_int(op, TG_ATTR_REPLICAS, 1);
        }
    }
    if (lanes > c->func->lanes) {
        tg_check_report(c, NULL, "roles of %lld lanes where %lld run", (long long)lanes,
                        (long long)c->func->lanes);
    }
}

/* All lanes of the function, or of the role, meet at a barrier. */
static void check_barrier(tg_checker *c, const tg_op *op) {
    int64_t all = c->role_lanes > 0 ? c->role_lanes : c->func->lanes;
    int64_t n = tg_attr_int(op, TG_ATTR_N, c->func->lanes);
    if (n != all) {
        tg_check_report(c, op, "a barrier of %lld lanes where %lld run", (long long)n,
                        (long long)all);
    }
}

static void walk_op(tg_checker *c, tg_order *o, const tg_op *op, int depth) {
    switch ((int)op->code) {
    case TG_OP_FOR:
        walk_for(c, o, op, depth);
        return;
    case TG_OP_WHILE:
        walk_while(c, o, op, depth);
        return;
    case TG_OP_IF:
        walk_if(c, o, op, depth);
        return;
    case TG_OP_ROLE:
        walk_role(c, o, op);
        return;
    case TG_OP_BARRIER:
        check_barrier(c, op);
        break;
    }
    learn(c, op);
    tg_order_visit(c, o, op);
}

static const tg_op *walk_region(tg_checker *c, tg_order *o, const tg_region *r, int depth) {
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_YIELD) {
            return op;
        }
        walk_op(c, o, op, depth);
    }
    return NULL;
}

/* Layouts, and what may not stand in the region of a fold. */
static void check_ops(tg_checker *c, const tg_region *r, bool lanes_apart) {
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        bool fold = op->code == TG_OP_TEAM || op->code == TG_OP_REDUCE;
        if (lanes_apart && (op->code == TG_OP_BARRIER || op->code == TG_OP_AWAIT)) {
            tg_check_report(c, op, "a barrier where lanes are apart");
        }
        tg_check_layouts(c, op);
        for (int k = 0; k < op->n_regions; k++) {
            check_ops(c, op->regions[k], lanes_apart || fold);
        }
    }
}

static void check_limits(tg_checker *c) {
    const tg_func *f = c->func;
    if (c->limits->shared_bytes > 0 && f->shared_bytes > c->limits->shared_bytes) {
        tg_check_report(c, NULL, "%lld bytes of shared memory where there are %lld",
                        (long long)f->shared_bytes, (long long)c->limits->shared_bytes);
    }
    if (f->lanes < 1 || (c->limits->max_lanes > 0 && f->lanes > c->limits->max_lanes)) {
        tg_check_report(c, NULL, "%lld lanes", (long long)f->lanes);
    }
}

tg_status tg_check_placed(const tg_func *f, const tg_check_limits *limits, tg_arena *scratch,
                          tg_sink *sink) {
    tg_checker c = {.func = f, .limits = limits, .arena = scratch, .sink = sink, .trips = 3};
    if (f->level != TG_LEVEL_PLACED || f->body == NULL) {
        return TG_E_INVALID;
    }
    c.holders = (tg_holder_cache){.arena = scratch, .lanes = f->lanes};
    c.known = TG_NEW_ARRAY(scratch, tg_known, f->next_value_id + 1);
    for (uint32_t i = 0; i <= f->next_value_id; i++) {
        c.known[i].value = TG_UNKNOWN;
    }
    check_limits(&c);
    check_role_lanes(&c);
    find_things(&c);
    check_ops(&c, f->body, false);
    tg_order *o = tg_order_make(&c);
    (void)walk_region(&c, o, f->body, 0);
    check_landed(&c, o);
    tg_check_events(&c);
    return c.reports > 0 ? TG_E_INTERNAL : TG_OK;
}
