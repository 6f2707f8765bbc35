/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sync: barriers between accesses of different lanes to the same bytes.
 *
 * Takes a function whose buffers have offsets. Gives one in which every write of a byte and every
 * other access to it by other lanes have a barrier of the right fence between them; the same for
 * tensors that the program writes. Refuses nothing.
 *
 * Before:
 *   put %3, %1
 *   %4 = get %3 : f32[64]@"..."
 * After:
 *   put %3, %1
 *   barrier {fence = shared}
 *   %4 = get %3 : f32[64]@"..."
 *
 * Method: a forward walk carries what has been accessed since the last barrier; an access that
 * conflicts puts a barrier right before itself, which is as late and as seldom as straight-line
 * code allows. A loop is walked from nothing until its own accesses agree over the back edge; what
 * was pending before it and conflicts inside is settled by a barrier in front of the loop.
 */
#include "backends/place/place.h"
#include "ir/passes/util.h"

#include <string.h>

/* Things that lanes share: buffers, then the accesses to tensors that the kernel may write. */
typedef struct sync {
    tg_placer *p;
    TG_LIST(tg_op *) buffers;
    TG_LIST(tg_op *) sites;
    int n;           /* of both */
    bool *overlaps;  /* n x n */
    uint8_t *fences; /* by thing: SETTLE_* that settles it */
    bool *between;   /* by thing: a buffer that several roles touch, so events order it */
    tg_op *role;     /* being walked */
} sync;

enum { PENDING_READ = 1, PENDING_WRITE = 2 };
enum { SETTLE_SHARED = 1, SETTLE_GLOBAL = 2 };

typedef struct walk {
    uint8_t *pending; /* by thing */
    bool insert;
    unsigned conflicts; /* SETTLE_*, when not inserting */
} walk;

static uint8_t *copy_state(sync *s, const uint8_t *from) {
    uint8_t *to = TG_NEW_ARRAY(s->p->arena, uint8_t, s->n + 1);
    if (from != NULL) {
        memcpy(to, from, (size_t)s->n);
    }
    return to;
}

static bool join_state(sync *s, uint8_t *into, const uint8_t *from) {
    bool changed = false;
    for (int i = 0; i < s->n; i++) {
        changed |= (from[i] & ~into[i]) != 0;
        into[i] |= from[i];
    }
    return changed;
}

static void settle(sync *s, uint8_t *pending, unsigned what) {
    for (int i = 0; i < s->n; i++) {
        if ((s->fences[i] & what) != 0) {
            pending[i] = 0;
        }
    }
}

static void put_barrier(sync *s, tg_op *before, unsigned what) {
    tg_builder b = tg_builder_before(before);
    b.span = before->span;
    tg_op *op = tg_build_op(&b, TG_OP_BARRIER, 0, NULL, 0, NULL, 0);
    tg_op_set_int(op, TG_ATTR_FENCE,
                  what == SETTLE_SHARED   ? TG_FENCE_SHARED
                  : what == SETTLE_GLOBAL ? TG_FENCE_GLOBAL
                                          : TG_FENCE_ALL);
    if (s->role != NULL) {
        tg_op_set_int(op, TG_ATTR_N, tg_attr_int(s->role, TG_ATTR_N, s->p->f->lanes));
    }
}

/* ---- accesses of one op -----------------------------------------------------------------------
 */

typedef struct access {
    int thing;
    uint8_t how; /* PENDING_* */
} access;

typedef TG_LIST(access) accesses;

static int buffer_index(const sync *s, tg_value *buf) {
    tg_op *op = tg_place_buffer_of(buf);
    for (size_t i = 0; i < s->buffers.count; i++) {
        if (s->buffers.data[i] == op) {
            return (int)i;
        }
    }
    return 0;
}

static void add_access(sync *s, accesses *list, int thing, unsigned how) {
    for (size_t i = 0; i < list->count; i++) {
        if (list->data[i].thing == thing) {
            list->data[i].how |= (uint8_t)how;
            return;
        }
    }
    TG_LIST_PUSH(s->p->arena, list, (access){.thing = thing, .how = (uint8_t)how});
}

static bool has_exchange(const tg_op *op) { return tg_attr_int(op, TG_ATTR_EXCHANGE, 0) != 0; }

static void collect_accesses(sync *s, tg_op *op, accesses *list) {
    for (int i = 0; i < op->n_operands; i++) {
        unsigned use = tg_place_buffer_use(op, i);
        int thing = use != TG_USE_NONE ? buffer_index(s, tg_operand(op, i)) : -1;
        if (thing >= 0) {
            unsigned how = ((use & TG_USE_READ) != 0 ? PENDING_READ : 0u) |
                           ((use & TG_USE_WRITE) != 0 ? PENDING_WRITE : 0u);
            add_access(s, list, thing, how);
        }
    }
    for (size_t i = 0; i < s->sites.count; i++) {
        if (s->sites.data[i] == op) {
            bool reads = op->code == TG_OP_LOAD || op->code == TG_OP_COPY;
            add_access(s, list, (int)(s->buffers.count + i), reads ? PENDING_READ : PENDING_WRITE);
        }
    }
}

/* The loop that fetches the ring ahead orders its copies with a barrier of its own. */
static bool orders_itself(const sync *s, const tg_op *op, int thing) {
    const tg_type *t =
        thing < (int)s->buffers.count ? s->buffers.data[thing]->results[0].type : NULL;
    if (t == NULL || t->depth == 1 || t->space != TG_SPACE_SHARED || s->role != NULL) {
        return false;
    }
    int64_t slot;
    if (op->code == TG_OP_COPY && tg_attr_int(op, TG_ATTR_RING, 0) != 0 &&
        tg_value_const_int(op->operands[1].value, &slot) && slot > 0) {
        return true; /* before the loop, behind copy number 0 */
    }
    const tg_op *loop = NULL;
    for (const tg_use *u = s->buffers.data[thing]->results[0].uses; u != NULL; u = u->next) {
        loop = u->user->code == TG_OP_WINDOW ? u->user->parent->parent : loop;
    }
    for (; op != NULL && loop != NULL; op = op->parent->parent) {
        if (op == loop) {
            return true;
        }
    }
    return false;
}

static unsigned conflicts_of(sync *s, const tg_op *op, const accesses *list,
                             const uint8_t *pending) {
    unsigned what = 0;
    for (size_t k = 0; k < list->count; k++) {
        const access *a = &list->data[k];
        for (int i = 0; i < s->n; i++) {
            bool hits =
                (a->how & PENDING_WRITE) != 0 ? pending[i] != 0 : (pending[i] & PENDING_WRITE) != 0;
            if (i == a->thing && (s->between[i] || orders_itself(s, op, i))) {
                continue;
            }
            if (hits && s->overlaps[a->thing * s->n + i]) {
                what |= s->fences[i];
            }
        }
    }
    return what;
}

static void visit_access(sync *s, walk *w, tg_op *op) {
    accesses list = {0};
    collect_accesses(s, op, &list);
    unsigned what = conflicts_of(s, op, &list, w->pending);
    if (what != 0) {
        settle(s, w->pending, what);
        if (w->insert) {
            put_barrier(s, op, what);
        } else {
            w->conflicts |= what;
        }
    }
    if (op->code == TG_OP_BARRIER) {
        int64_t fence = tg_attr_int(op, TG_ATTR_FENCE, TG_FENCE_ALL);
        settle(s, w->pending,
               fence == TG_FENCE_SHARED   ? SETTLE_SHARED
               : fence == TG_FENCE_GLOBAL ? SETTLE_GLOBAL
                                          : SETTLE_SHARED | SETTLE_GLOBAL);
    }
    for (size_t k = 0; k < list.count; k++) {
        bool buffer = list.data[k].thing < (int)s->buffers.count;
        if (buffer && has_exchange(op)) { /* it has its own barriers and ends reading */
            settle(s, w->pending, s->fences[list.data[k].thing]);
        }
    }
    for (size_t k = 0; k < list.count; k++) {
        bool buffer = list.data[k].thing < (int)s->buffers.count;
        w->pending[list.data[k].thing] |=
            buffer && has_exchange(op) ? PENDING_READ : list.data[k].how;
    }
}

/* ---- control flow -----------------------------------------------------------------------------
 */

static void walk_region(sync *s, walk *w, tg_region *r);

static void walk_loop_body(sync *s, walk *w, tg_op *op) {
    for (int i = 0; i < op->n_regions; i++) {
        walk_region(s, w, op->regions[i]);
    }
}

static void walk_loop(sync *s, walk *w, tg_op *op) {
    uint8_t *steady = copy_state(s, NULL);
    bool again = w->insert;
    while (again) { /* its own accesses, over the back edge */
        walk body = {.pending = copy_state(s, steady), .insert = true};
        walk_loop_body(s, &body, op);
        again = join_state(s, steady, body.pending);
    }
    if (w->insert) { /* what was pending before the loop */
        walk check = {.pending = copy_state(s, w->pending)};
        walk_loop_body(s, &check, op);
        if (check.conflicts != 0) {
            put_barrier(s, op, check.conflicts);
            settle(s, w->pending, check.conflicts);
        }
    }
    join_state(s, steady, w->pending);
    walk out = {.pending = steady};
    walk_loop_body(s, &out, op);
    w->conflicts |= w->insert ? 0 : out.conflicts;
    join_state(s, w->pending, out.pending);
}

static void walk_if(sync *s, walk *w, tg_op *op) {
    uint8_t *joined = copy_state(s, NULL);
    for (int i = 0; i < op->n_regions; i++) {
        walk branch = {.pending = copy_state(s, w->pending), .insert = w->insert};
        walk_region(s, &branch, op->regions[i]);
        w->conflicts |= branch.conflicts;
        join_state(s, joined, branch.pending);
    }
    memcpy(w->pending, joined, (size_t)s->n);
}

static void walk_region(sync *s, walk *w, tg_region *r) {
    for (tg_op *op = r->first, *next; op != NULL; op = next) {
        next = op->next;
        if (op->code == TG_OP_ROLE) { /* events order what roles share */
            walk role = {.pending = copy_state(s, NULL), .insert = true};
            s->role = op;
            walk_region(s, &role, op->regions[0]);
            s->role = NULL;
        } else if (op->code == TG_OP_FOR || op->code == TG_OP_WHILE) {
            walk_loop(s, w, op);
        } else if (op->code == TG_OP_IF) {
            walk_if(s, w, op);
        } else {
            visit_access(s, w, op);
        }
    }
}

/* ---- what overlaps what -----------------------------------------------------------------------
 */

static bool buffers_overlap(const tg_op *a, const tg_op *b) {
    const tg_type *x = a->results[0].type, *y = b->results[0].type;
    int64_t at = tg_attr_int(a, TG_ATTR_OFFSET, 0), bt = tg_attr_int(b, TG_ATTR_OFFSET, 0);
    return x->space == y->space && at < bt + tg_place_buffer_bytes(y) &&
           bt < at + tg_place_buffer_bytes(x);
}

/* The parameter that a load, store, atomic or copy goes to; -1 for other ops. */
static int site_param(const tg_op *op) {
    int tensor = op->code == TG_OP_COPY && tg_attr_int(op, TG_ATTR_RING, 0) != 0 ? 2
                 : op->code == TG_OP_COPY                                        ? 1
                                                                                 : 0;
    bool site = op->code == TG_OP_LOAD || op->code == TG_OP_STORE || op->code == TG_OP_ATOMIC ||
                op->code == TG_OP_COPY;
    return site ? tg_tensor_param(tg_operand(op, tensor)) : -1;
}

static void find_sites(sync *s, tg_region *r) {
    const unsigned written = TG_PARAM_OUT | TG_PARAM_INOUT | TG_PARAM_ALIAS;
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        int param = site_param(op);
        if (param >= 0 && (s->p->f->params[param].flags & written) != 0) {
            TG_LIST_PUSH(s->p->arena, &s->sites, op);
        }
        for (int i = 0; i < op->n_regions; i++) {
            find_sites(s, op->regions[i]);
        }
    }
}

/* v is the loop's variable plus something that the loop does not change. */
static bool follows(const tg_value *v, const tg_op *loop) {
    const tg_value *iv = loop->regions[0]->args[0];
    if (v == iv) {
        return true;
    }
    if (v->def == NULL || v->def->code != TG_OP_ADD) {
        return false;
    }
    const tg_value *a = v->def->operands[0].value, *b = v->def->operands[1].value;
    return (a == iv && !tg_value_inside(b, loop->regions[0])) ||
           (b == iv && !tg_value_inside(a, loop->regions[0]));
}

/* Two trips of the loop store to different elements: some index moves by at least its own width. */
static bool trips_apart(const tg_op *store, const tg_op *loop) {
    int64_t step;
    if (loop->code != TG_OP_FOR || !tg_value_const_int(loop->operands[2].value, &step)) {
        return false;
    }
    for (int i = 2; i < 2 + store->operands[0].value->type->rank; i++) {
        const tg_value *x = store->operands[i].value;
        bool span = x->type->kind == TG_TY_SPAN && x->def != NULL && x->def->code == TG_OP_SPAN;
        if (span ? x->type->shape[0] <= step && follows(x->def->operands[0].value, loop)
                 : x->type->kind == TG_TY_TILE && x->type->rank == 0 && follows(x, loop)) {
            return true;
        }
    }
    return false;
}

/* A store never meets itself in another trip of the loops around it. */
static bool meets_itself(const tg_op *op) {
    if (op->code != TG_OP_STORE) {
        return true;
    }
    for (const tg_op *o = op->parent->parent; o != NULL; o = o->parent->parent) {
        if ((o->code == TG_OP_FOR || o->code == TG_OP_WHILE) && !trips_apart(op, o)) {
            return true;
        }
    }
    return false;
}

static bool sites_overlap(const sync *s, const tg_op *a, const tg_op *b) {
    int x = site_param(a), y = site_param(b);
    const tg_param *params = s->p->f->params;
    if (a == b) {
        return meets_itself(a);
    }
    return x == y ||
           ((params[x].flags & TG_PARAM_ALIAS) != 0 && (params[y].flags & TG_PARAM_ALIAS) != 0);
}

static void find_overlaps(sync *s) {
    int n = (int)s->buffers.count;
    s->n = n + (int)s->sites.count;
    s->overlaps = TG_NEW_ARRAY(s->p->arena, bool, s->n * s->n + 1);
    s->fences = TG_NEW_ARRAY(s->p->arena, uint8_t, s->n + 1);
    for (int i = 0; i < s->n; i++) {
        bool shared = i < n && s->buffers.data[i]->results[0].type->space == TG_SPACE_SHARED;
        s->fences[i] = shared ? SETTLE_SHARED : SETTLE_GLOBAL;
        for (int k = 0; k < s->n; k++) {
            if (i < n && k < n) {
                s->overlaps[i * s->n + k] = buffers_overlap(s->buffers.data[i], s->buffers.data[k]);
            } else if (i >= n && k >= n) {
                s->overlaps[i * s->n + k] =
                    sites_overlap(s, s->sites.data[i - n], s->sites.data[k - n]);
            }
        }
    }
}

/* The role around an operation; NULL: none. */
static const tg_op *role_of(const tg_op *op) {
    while (op != NULL && op->code != TG_OP_ROLE) {
        op = op->parent->parent;
    }
    return op;
}

static bool roles_differ(const tg_value *buf, const tg_op **role) {
    for (const tg_use *u = buf->uses; u != NULL; u = u->next) {
        if (u->user->code == TG_OP_WINDOW ? roles_differ(&u->user->results[0], role)
                                          : *role != NULL && role_of(u->user) != *role) {
            return true;
        }
        *role = u->user->code == TG_OP_WINDOW ? *role : role_of(u->user);
    }
    return false;
}

static void find_between(sync *s) {
    s->between = TG_NEW_ARRAY(s->p->arena, bool, s->n + 1);
    for (size_t i = 0; i < s->buffers.count; i++) {
        const tg_op *role = NULL;
        s->between[i] = roles_differ(&s->buffers.data[i]->results[0], &role);
    }
}

tg_status tg_place_sync(tg_placer *p) {
    sync s = {.p = p};
    for (tg_op *op = p->f->body->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_BUFFER) {
            TG_LIST_PUSH(p->arena, &s.buffers, op);
        }
    }
    find_sites(&s, p->f->body);
    find_overlaps(&s);
    find_between(&s);
    walk w = {.pending = copy_state(&s, NULL), .insert = true};
    walk_region(&s, &w, p->f->body);
    return TG_OK;
}
