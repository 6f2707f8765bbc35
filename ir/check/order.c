/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order between lanes: what has been touched since the last barrier, which copies are under way,
 * whose bytes have been overwritten by a buffer that shares them.
 */
#include "ir/check/internal.h"

#include <string.h>

tg_order *tg_order_make(tg_checker *c) {
    tg_order *o = TG_NEW(c->arena, tg_order);
    o->clobber = TG_NEW_ARRAY(c->arena, const tg_op *, c->things.count + 1);
    o->written = TG_NEW_ARRAY(c->arena, bool, c->things.count + 1);
    for (size_t i = 0; i < c->things.count; i++) {
        o->written[i] = c->things.data[i].buffer == NULL;
    }
    return o;
}

tg_order *tg_order_copy(tg_checker *c, const tg_order *from) {
    tg_order *o = tg_order_make(c);
    tg_order_join(c, o, from);
    return o;
}

static bool same_pending(const tg_pending *a, const tg_pending *b) {
    return a->thing == b->thing && a->write == b->write && a->slot == b->slot && a->op == b->op;
}

static void add_pending(tg_checker *c, tg_order *o, tg_pending p) {
    for (size_t i = 0; i < o->pending.count; i++) {
        if (same_pending(&o->pending.data[i], &p)) {
            return;
        }
    }
    TG_LIST_PUSH(c->arena, &o->pending, p);
}

void tg_order_join(tg_checker *c, tg_order *into, const tg_order *from) {
    for (size_t i = 0; i < from->pending.count; i++) {
        add_pending(c, into, from->pending.data[i]);
    }
    for (size_t i = 0; i < from->flights.count; i++) {
        bool have = false;
        for (size_t k = 0; k < into->flights.count; k++) {
            have |= into->flights.data[k].token == from->flights.data[i].token;
        }
        if (!have) {
            TG_LIST_PUSH(c->arena, &into->flights, from->flights.data[i]);
        }
    }
    for (size_t i = 0; i < c->things.count; i++) {
        into->clobber[i] = into->clobber[i] != NULL ? into->clobber[i] : from->clobber[i];
        into->written[i] |= from->written[i];
    }
}

/* ---- conflicts ------------------------------------------------------------------------------ */

static bool same_offsets(const tg_op *a, const tg_op *b) {
    const tg_attr *x = tg_attr_get(a, TG_ATTR_OFFSETS), *y = tg_attr_get(b, TG_ATTR_OFFSETS);
    size_t n = x != NULL ? x->n_list : y != NULL ? y->n_list : 0;
    for (size_t i = 0; i < n; i++) {
        if ((x != NULL ? x->list[i] : 0) != (y != NULL ? y->list[i] : 0)) {
            return false;
        }
    }
    return true;
}

static const tg_type *tile_of(const tg_op *op) {
    return op->code == TG_OP_PUT || op->code == TG_OP_STORE ? tg_operand(op, 1)->type
                                                            : op->results[0].type;
}

/* Every lane touches only elements of its own: a put or get of the whole buffer in one layout, a
 * load or store of one tensor at the same indices in one layout. */
static bool own_elements(const tg_op *a, const tg_op *b) {
    bool buffers = (a->code == TG_OP_PUT || a->code == TG_OP_GET) &&
                   (b->code == TG_OP_PUT || b->code == TG_OP_GET);
    bool tensors = (a->code == TG_OP_LOAD || a->code == TG_OP_STORE) &&
                   (b->code == TG_OP_LOAD || b->code == TG_OP_STORE);
    if ((!buffers && !tensors) || tg_operand(a, 0) != tg_operand(b, 0) ||
        (tg_attr_get(a, TG_ATTR_AXES) != NULL) != tensors ||
        (tg_attr_get(b, TG_ATTR_AXES) != NULL) != tensors) {
        return false;
    }
    const tg_type *x = tile_of(a), *y = tile_of(b);
    if (x->layout != y->layout || x->rank != y->rank ||
        memcmp(x->shape, y->shape, x->rank * sizeof x->shape[0]) != 0) {
        return false;
    }
    if (buffers) {
        return same_offsets(a, b);
    }
    int n = tg_operand(a, 0)->type->rank, ai = a->code == TG_OP_STORE ? 2 : 1,
        bi = b->code == TG_OP_STORE ? 2 : 1;
    for (int i = 0; i < n; i++) {
        if (tg_operand(a, ai + i) != tg_operand(b, bi + i)) {
            return false;
        }
    }
    return true;
}

static const char *name_of(const tg_checker *c, int thing) {
    const tg_thing *t = &c->things.data[thing];
    if (t->buffer == NULL) {
        return tg_arena_printf(c->arena, "parameter %s", c->func->params[t->param].name);
    }
    return tg_arena_printf(c->arena, "the buffer at %lld..%lld", (long long)t->begin,
                           (long long)t->end);
}

static bool slots_meet(int64_t a, int64_t b) {
    return a == TG_UNKNOWN || b == TG_UNKNOWN || a == b;
}

static void check_order(tg_checker *c, const tg_order *o, const tg_pending *now) {
    for (size_t i = 0; i < o->pending.count; i++) {
        const tg_pending *p = &o->pending.data[i];
        bool together = c->overlap[(size_t)p->thing * c->things.count + (size_t)now->thing];
        if (!together || (!p->write && !now->write) ||
            (p->thing == now->thing && !slots_meet(p->slot, now->slot)) ||
            (p->thing == now->thing && own_elements(p->op, now->op)) ||
            (p->op->code == TG_OP_ATOMIC && now->op->code == TG_OP_ATOMIC)) {
            continue;
        }
        tg_check_report(c, now->op, "%s %s %s; before it %s is %s by %s, with no barrier between",
                        tg_op_info_get(now->op->code)->name, now->write ? "writes" : "reads",
                        name_of(c, now->thing), name_of(c, p->thing), p->write ? "written" : "read",
                        tg_op_info_get(p->op->code)->name);
        return;
    }
}

static void check_flights(tg_checker *c, const tg_order *o, const tg_pending *now) {
    for (size_t i = 0; i < o->flights.count; i++) {
        const tg_flight *f = &o->flights.data[i];
        if (c->overlap[(size_t)f->thing * c->things.count + (size_t)now->thing] &&
            (f->thing != now->thing || slots_meet(f->slot, now->slot))) {
            tg_check_report(c, now->op, "%s touches %s while a copy to it is under way: no wait",
                            tg_op_info_get(now->op->code)->name, name_of(c, now->thing));
            return;
        }
    }
}

static void access(tg_checker *c, tg_order *o, const tg_op *op, const tg_value *v, bool write,
                   int64_t slot) {
    int thing = tg_check_thing(c, v);
    if (thing < 0) {
        return;
    }
    tg_pending now = {thing, write, slot, op};
    check_order(c, o, &now);
    check_flights(c, o, &now);
    if (!write && !o->written[thing]) {
        tg_check_report(c, op, "%s reads %s, which nothing has written",
                        tg_op_info_get(op->code)->name, name_of(c, thing));
    }
    if (!write && o->clobber[thing] != NULL) {
        tg_check_report(c, op, "%s reads %s after %s has written another buffer over its bytes",
                        tg_op_info_get(op->code)->name, name_of(c, thing),
                        tg_op_info_get(o->clobber[thing]->code)->name);
    }
    for (size_t i = 0; write && i < c->things.count; i++) {
        bool other = (int)i != thing && c->overlap[(size_t)thing * c->things.count + i];
        if (other && c->things.data[i].buffer != NULL) {
            o->clobber[i] = op;
        }
    }
    if (write) {
        o->written[thing] = true;
        o->clobber[thing] = NULL;
    }
    add_pending(c, o, now);
}

static void settle(tg_checker *c, tg_order *o, int fence) {
    size_t kept = 0;
    for (size_t i = 0; i < o->pending.count; i++) {
        if (fence != TG_FENCE_ALL && c->things.data[o->pending.data[i].thing].fence != fence) {
            o->pending.data[kept++] = o->pending.data[i];
        }
    }
    o->pending.count = kept;
}

/* ---- operations ----------------------------------------------------------------------------- */

static int64_t window_slot(const tg_checker *c, const tg_value *v);

/* The ring's copy that op's operand chooses, or the windows it looks through. */
static int64_t slot_of(const tg_checker *c, const tg_op *op, int operand) {
    if (tg_attr_int(op, TG_ATTR_RING, 0) == 0) {
        return window_slot(c, tg_operand(op, 0));
    }
    int64_t slot = tg_check_known(c, tg_operand(op, operand));
    int64_t depth = tg_operand(op, 0)->type->depth;
    return slot == TG_UNKNOWN ? slot : ((slot % depth) + depth) % depth;
}

/* The copy of a ring that windows choose; 0 where there is no ring. */
static int64_t window_slot(const tg_checker *c, const tg_value *v) {
    for (; v->def != NULL && v->def->code == TG_OP_WINDOW; v = tg_operand(v->def, 0)) {
        if (tg_attr_int(v->def, TG_ATTR_RING, 0) != 0) {
            return slot_of(c, v->def, 1);
        }
    }
    return v->type->kind == TG_TY_BUFFER && v->type->depth > 1 ? TG_UNKNOWN : 0;
}

static bool is_buffer(const tg_value *v) { return v->type->kind == TG_TY_BUFFER; }

/* Writes, meets, reads. */
static void visit_exchange(tg_checker *c, tg_order *o, const tg_op *op) {
    int first = op->n_operands;
    while (first > 0 && is_buffer(tg_operand(op, first - 1))) {
        first--;
    }
    for (int i = first; i < op->n_operands; i++) {
        access(c, o, op, tg_operand(op, i), true, window_slot(c, tg_operand(op, i)));
    }
    for (int i = first; i < op->n_operands; i++) {
        int thing = tg_check_thing(c, tg_operand(op, i));
        if (thing >= 0) {
            settle(c, o, c->things.data[thing].fence);
        }
    }
    for (int i = first; i < op->n_operands; i++) {
        access(c, o, op, tg_operand(op, i), false, window_slot(c, tg_operand(op, i)));
    }
}

static void visit_team(tg_checker *c, tg_order *o, const tg_op *op) {
    int ins = (int)tg_attr_int(op, TG_ATTR_N_COUNT, 0) +
              (tg_attr_int(op, TG_ATTR_MASKED, 0) != 0 ? 1 : 0);
    for (int i = 0; i < op->n_operands; i++) {
        access(c, o, op, tg_operand(op, i), i >= ins, window_slot(c, tg_operand(op, i)));
        for (int k = 0; k < ins && i >= ins; k++) {
            int a = tg_check_thing(c, tg_operand(op, i)), b = tg_check_thing(c, tg_operand(op, k));
            if (a >= 0 && b >= 0 && c->overlap[(size_t)a * c->things.count + (size_t)b]) {
                tg_check_report(c, op, "an output of team lies on an input");
            }
        }
    }
}

static void visit_copy(tg_checker *c, tg_order *o, const tg_op *op) {
    bool ring = tg_attr_int(op, TG_ATTR_RING, 0) != 0;
    int64_t slot = slot_of(c, op, 1);
    access(c, o, op, tg_operand(op, ring ? 2 : 1), false, 0);
    access(c, o, op, tg_operand(op, 0), true, slot);
    tg_flight f = {c->next_token++, tg_check_thing(c, tg_operand(op, 0)), slot, op};
    c->known[op->results[0].id].value = f.token;
    TG_LIST_PUSH(c->arena, &o->flights, f);
}

/* A copy that was waited for has written like a put: others need a barrier. */
static void land(tg_checker *c, tg_order *o, size_t i) {
    tg_flight f = o->flights.data[i];
    add_pending(c, o, (tg_pending){f.thing, true, f.slot, f.op});
    for (size_t k = i + 1; k < o->flights.count; k++) {
        o->flights.data[k - 1] = o->flights.data[k];
    }
    o->flights.count--;
}

static void visit_wait(tg_checker *c, tg_order *o, const tg_op *op) {
    int64_t token = tg_check_known(c, tg_operand(op, op->code == TG_OP_SIGNAL ? 2 : 0));
    int64_t keep = tg_attr_int(op, TG_ATTR_N, -1);
    if (keep >= 0) {
        while ((int64_t)o->flights.count > keep) {
            land(c, o, 0);
        }
        return;
    }
    for (size_t i = o->flights.count; i-- > 0;) {
        if (token == TG_UNKNOWN || o->flights.data[i].token == token) {
            land(c, o, i);
        }
    }
}

static void visit_tensor(tg_checker *c, tg_order *o, const tg_op *op) {
    if (op->code == TG_OP_ATOMIC) {
        access(c, o, op, tg_operand(op, 0), true, 0);
        if (tg_attr_int(op, TG_ATTR_EXCHANGE, 0) != 0) {
            visit_exchange(c, o, op);
        }
        return;
    }
    access(c, o, op, tg_operand(op, 0), op->code == TG_OP_STORE, 0);
}

void tg_order_visit(tg_checker *c, tg_order *o, const tg_op *op) {
    switch ((int)op->code) {
    case TG_OP_BARRIER:
        settle(c, o, (int)tg_attr_int(op, TG_ATTR_FENCE, TG_FENCE_ALL));
        return;
    case TG_OP_SIGNAL:
        if (op->n_operands > 2) {
            visit_wait(c, o, op);
        }
        return; /* it waits for what lanes have done, they do not wait for each other */
    case TG_OP_AWAIT:
        settle(c, o, TG_FENCE_ALL);
        return;
    case TG_OP_LOAD:
    case TG_OP_STORE:
    case TG_OP_ATOMIC:
        visit_tensor(c, o, op);
        return;
    case TG_OP_PUT:
        access(c, o, op, tg_operand(op, 0), true, slot_of(c, op, 2));
        return;
    case TG_OP_GET:
        access(c, o, op, tg_operand(op, 0), false, slot_of(c, op, 1));
        return;
    case TG_OP_GET_AT:
        access(c, o, op, tg_operand(op, 0), false, slot_of(c, op, 2));
        return;
    case TG_OP_COPY:
        visit_copy(c, o, op);
        return;
    case TG_OP_WAIT:
        visit_wait(c, o, op);
        return;
    case TG_OP_TEAM:
        visit_team(c, o, op);
        return;
    case TG_OP_DOT:
        for (int i = 0; i < op->n_operands; i++) {
            access(c, o, op, tg_operand(op, i), false, window_slot(c, tg_operand(op, i)));
        }
        return;
    case TG_OP_REDUCE:
    case TG_OP_CONVERT:
        if (tg_attr_int(op, TG_ATTR_EXCHANGE, 0) != 0) {
            visit_exchange(c, o, op);
        }
        return;
    }
}
