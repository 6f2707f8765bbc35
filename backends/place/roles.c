/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roles: on machines with a copy unit, blocks are fetched ahead by a program of their own.
 *
 * Takes a function with layouts. Gives one whose body is buffers, events and two roles: one that
 * only copies, through rings of buffers, and one with everything else. Loops whose copies depend on
 * scalars alone take part; without any the function stays as it is, and so it does on a machine
 * without a copy unit or under `roles` that do not name it. Refuses nothing.
 *
 * Before:
 *   %3 = for %0, %1, %2, %z : f32[64, 64] (%k: i64, %acc: f32[64, 64]) {
 *     %5 = span %k, %K : span<32>
 *     %6 = copy %4, %a, %i, %5 {axes = [0, 1]} : i64
 *     wait %6
 *     %7 = dot %4, %b, %acc : f32[64, 64]
 *     yield %7
 *   }
 * After:
 *   %full = event {n = 2} : i64
 *   %empty = event {count = 1, n = 2} : i64
 *   role {units = "copy", n = 32} (%r: i64) {
 *     for %0, %1, %2 (%k: i64) {
 *       %slot = div (%k - %0), %2 : i64
 *       await %empty, %slot
 *       %6 = copy %4, %slot, %a, %i, span(%k, %K) {axes = [0, 1], ring = true} : i64
 *       signal %full, %slot, %6
 *       yield
 *     }
 *   }
 *   role {units = "vector", n = 256} (%r: i64) {
 *     %3 = for ... {
 *       await %full, %slot
 *       %w = window %4, %slot {ring = true} : buf<shared, f16[64, 32], 1>
 *       %7 = dot %w, %b, %acc : f32[64, 64]
 *       signal %empty, %slot
 *       yield %7
 *     }
 *   }
 *
 * Blocks that one operation reads share a full event: each copy signals it, the reader awaits as
 * many signals at once.
 *
 * A branch around such a loop stands in both roles. What its condition or the copies' places hang
 * on and what only lanes together can compute (the group of a block of rows, by a reduction) is
 * told: the second role puts it to shared memory and signals, the first one awaits that before
 * anything else.
 *
 * A slot's full and empty semaphores are back where they were when the loop ends, so a loop that is
 * entered again starts at slot 0 again.
 *
 * Where split.c made the program of one of R replicas, the second role has `replicas = R` and the
 * axis they split. Full events have a semaphore for each slot and replica (number slot * R +
 * replica), and what a replica alone reads has as many copies; a block that all of them read is
 * copied once and signalled to each. The copy role takes R at once of a slot's empty semaphore, one
 * from each replica. All other buffers have a copy for each replica.
 */
#include "backends/place/place.h"
#include "ir/passes/util.h"

#include <string.h>

/* A copy that moves. */
typedef struct moved {
    tg_op *op;
    int64_t parts; /* copies of the block in a slot: 1, or one for each replica */
    tg_value *buffer;
    const tg_op *reader; /* the one operation that reads the block; NULL: there are several */
    int whole;           /* operand whose span may as well end where its tensor does; 0: none */
    size_t first;        /* the first copy that the same event tells of */
} moved;

/* A loop whose copies move to the copy role. */
typedef struct ringed {
    tg_op *loop;
    TG_LIST(moved) copies;
    TG_LIST(tg_value *) full; /* by copy; blocks that are wanted together have one */
    tg_value *empty;
} ringed;

/* A scalar that only lanes together can compute: the other role tells the copy role of it. */
typedef struct told {
    tg_value *value, *buffer, *got;
} told;

typedef struct splitter {
    tg_placer *p;
    tg_region *copier; /* the copy role's, while it is built */
    TG_LIST(told) told;
    TG_LIST(ringed *) loops;
    tg_value_map *ivs; /* loop variables of the copy role, and the replica's number */
    int64_t depth;
} splitter;

/* ---- what can be computed from scalars --------------------------------------------------------
 */

#define MAX_CHAIN 64

/* Of the program as a whole, before the loops: a reduction of what was loaded, mostly. */
static bool can_be_told(const splitter *s, const tg_value *v) {
    return s->p->replicas <= 1 && v->def->parent == s->p->f->body && v->type->kind == TG_TY_TILE &&
           v->type->rank == 0;
}

static bool is_scalar_code_alone(const splitter *s, const tg_value *v, int budget);

static bool is_scalar_code(const splitter *s, const tg_value *v, int budget) {
    if (budget == 0 || (v->type->kind == TG_TY_TILE && v->type->rank > 0)) {
        return false;
    }
    if (v->def == NULL) { /* parameters, grid indices, loop variables; not what a loop carries */
        const tg_op *around = v->region->parent;
        return around == NULL || (around->code == TG_OP_FOR && v->index == 0);
    }
    return is_scalar_code_alone(s, v, budget) || can_be_told(s, v);
}

/* The same without being told of v itself. */
static bool is_scalar_code_alone(const splitter *s, const tg_value *v, int budget) {
    bool again =
        v->def->n_regions == 0 && tg_op_is_repeatable(v->def) && v->def->code != TG_OP_WINDOW;
    for (int i = 0; i < v->def->n_operands && again; i++) {
        again = is_scalar_code(s, v->def->operands[i].value, budget - 1);
    }
    return again;
}

/* v, which is scalar code, differs between replicas. */
static bool is_of_replica(const splitter *s, const tg_value *v, int budget) {
    if (s->p->replica == NULL || v->def == NULL || budget == 0) {
        return v == s->p->replica && v != NULL;
    }
    for (int i = 0; i < v->def->n_operands; i++) {
        if (is_of_replica(s, v->def->operands[i].value, budget - 1)) {
            return true;
        }
    }
    return false;
}

/* All loops and branches around the op are plain, with bounds and conditions of scalar code that
 * all replicas share. */
static bool nest_is_scalar(const splitter *s, const tg_op *loop) {
    for (const tg_op *o = loop; o != NULL; o = o->parent->parent) {
        if (o->code != TG_OP_FOR && o->code != TG_OP_IF) {
            return false;
        }
        for (int i = 0; i < (o->code == TG_OP_FOR ? 3 : 1); i++) {
            const tg_value *v = o->operands[i].value;
            if (!is_scalar_code(s, v, MAX_CHAIN) || is_of_replica(s, v, MAX_CHAIN)) {
                return false;
            }
        }
    }
    return true;
}

static bool inside(const tg_op *op, const tg_op *loop) {
    while (op != NULL && op != loop) {
        op = op->parent->parent;
    }
    return op == loop;
}

/* The copy's buffer is used nowhere but in the loop, its tensor is not written, its operands are
 * scalar code, and nobody but one wait looks at its token. */
static bool copy_can_move(const splitter *s, const tg_op *copy, const tg_op *loop) {
    const tg_value *buf = copy->operands[0].value;
    unsigned unstable = TG_PARAM_OUT | TG_PARAM_INOUT | TG_PARAM_ALIAS;
    int param = tg_tensor_param(copy->operands[1].value);
    const tg_use *token = copy->results[0].uses;
    if (buf->def->code != TG_OP_BUFFER || param < 0 ||
        (copy->func->params[param].flags & unstable) != 0 || token == NULL || token->next != NULL ||
        token->user->code != TG_OP_WAIT) {
        return false;
    }
    for (const tg_use *u = buf->uses; u != NULL; u = u->next) {
        bool writes =
            u->user != copy && (u->user->code == TG_OP_COPY || u->user->code == TG_OP_PUT);
        if (writes || !inside(u->user, loop)) {
            return false;
        }
    }
    for (int i = 1; i < copy->n_operands; i++) {
        if (!is_scalar_code(s, copy->operands[i].value, MAX_CHAIN)) {
            return false;
        }
    }
    return true;
}

/* The one operation that reads a buffer or views of it; *several: there are more. */
static void find_reader(const tg_value *buf, const tg_op *copy, const tg_op **reader,
                        bool *several) {
    for (const tg_use *u = buf->uses; u != NULL; u = u->next) {
        if (u->user->code == TG_OP_WINDOW) {
            find_reader(&u->user->results[0], copy, reader, several);
        } else if (u->user != copy) {
            *several = *several || (*reader != NULL && *reader != u->user);
            *reader = u->user;
        }
    }
}

static moved make_moved(const splitter *s, tg_op *copy, const tg_op *loop) {
    moved m = {.op = copy, .parts = 1, .buffer = tg_operand(copy, 0)};
    bool several = false;
    find_reader(copy->operands[0].value, copy, &m.reader, &several);
    m.reader = several ? NULL : m.reader;
    m.whole = tg_place_hidden_rows(copy, m.reader, loop);
    for (int i = 1; i < copy->n_operands; i++) {
        if (is_of_replica(s, tg_operand(copy, i), MAX_CHAIN)) {
            m.parts = s->p->replicas;
        }
    }
    return m;
}

/* Blocks of which one operation reads several are told of together: it waits once. */
static void join_copies(ringed *g) {
    for (size_t i = 0; i < g->copies.count; i++) {
        moved *m = &g->copies.data[i];
        m->first = i;
        for (size_t k = 0; k < i && m->first == i && m->reader != NULL; k++) {
            const moved *o = &g->copies.data[k];
            m->first = o->reader == m->reader && o->parts == m->parts ? o->first : i;
        }
    }
}

static int64_t joined(const ringed *g, size_t first) {
    int64_t n = 0;
    for (size_t i = 0; i < g->copies.count; i++) {
        n += g->copies.data[i].first == first;
    }
    return n;
}

static void find_loops(splitter *s, tg_region *r) {
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        for (int i = 0; op->code == TG_OP_IF && i < op->n_regions; i++) {
            find_loops(s, op->regions[i]);
        }
        if (op->code != TG_OP_FOR || !nest_is_scalar(s, op)) {
            continue;
        }
        ringed *g = TG_NEW(s->p->arena, ringed);
        g->loop = op;
        for (tg_op *o = op->regions[0]->first; o != NULL; o = o->next) {
            if (o->code == TG_OP_COPY && copy_can_move(s, o, op)) {
                TG_LIST_PUSH(s->p->arena, &g->copies, make_moved(s, o, op));
            }
        }
        if (g->copies.count > 0) {
            join_copies(g);
            TG_LIST_PUSH(s->p->arena, &s->loops, g);
        }
        find_loops(s, op->regions[0]);
    }
}

/* ---- depth ---------------------------------------------------------------------------------- */

/* Stages of the schedule or the machine, fewer while the rings take more than three quarters of
 * shared memory. */
static int64_t choose_depth(const splitter *s) {
    bool groups = (s->p->machine->simt & TG_SIMT_SETREGS) != 0; /* a trip is a fraction of a copy */
    int64_t otherwise = s->p->machine->stages + (groups ? 1 : 0), bytes = 0;
    int64_t depth = tg_place_schedule_int(s->p->f, "stages", otherwise);
    for (size_t i = 0; i < s->loops.count; i++) {
        for (size_t k = 0; k < s->loops.data[i]->copies.count; k++) {
            const moved *m = &s->loops.data[i]->copies.data[k];
            bytes += m->parts * tg_place_buffer_bytes(tg_operand(m->op, 0)->type);
        }
    }
    depth = tg_max_i64(2, tg_min_i64(depth, 16));
    while (depth > 1 && bytes * depth > s->p->shared_bytes / 8 * (groups ? 7 : 6)) {
        depth--;
    }
    return depth;
}

/* ---- the copy role -------------------------------------------------------------------------- */

/* What the copy role reads of a value that it is told. */
static tg_value *ask(splitter *s, tg_value *v) {
    for (size_t i = 0; i < s->told.count; i++) {
        if (s->told.data[i].value == v) {
            return s->told.data[i].got;
        }
    }
    const tg_type *t = tg_type_buffer(s->p->m, TG_SPACE_SHARED, v->type->dtype, 0, NULL, 1, NULL);
    tg_builder b = tg_builder_before(s->p->f->body->first);
    told x = {.value = v, .buffer = tg_build1(&b, TG_OP_BUFFER, t, 0)};
    s->p->shared_bytes -= 16;
    tg_builder start = s->copier->first != NULL ? tg_builder_before(s->copier->first)
                                                : tg_builder_at_end(s->copier);
    x.got = tg_build1(&start, TG_OP_GET, v->type, 1, x.buffer);
    TG_LIST_PUSH(s->p->arena, &s->told, x);
    return x.got;
}

/* v computed again at b, or asked for. Loop variables are those of the copy role. */
static tg_value *again(splitter *s, tg_builder *b, tg_value *v, tg_value_map *done) {
    tg_value *have = v->def == NULL ? tg_value_map_get(s->ivs, v) : tg_value_map_get(done, v);
    if (have != NULL || v->def == NULL) {
        return have != NULL ? have : v;
    }
    if (v->type->kind == TG_TY_TILE && !is_scalar_code_alone(s, v, MAX_CHAIN)) {
        return ask(s, v);
    }
    tg_op *op = tg_op_clone(v->def, b->region, tg_value_map_make(s->p->arena));
    tg_op_unlink(op);
    for (int i = 0; i < op->n_operands; i++) {
        tg_set_operand(op, i, again(s, b, tg_operand(v->def, i), done));
    }
    tg_op_append(b->region, op);
    tg_value_map_put(done, v, &op->results[v->index]);
    return &op->results[v->index];
}

static tg_value *slot_of(tg_builder *b, tg_value *iv, tg_value *lo, tg_value *step) {
    return tg_build_binary(b, TG_OP_DIV, tg_build_binary(b, TG_OP_SUB, iv, lo), step);
}

/* An await of n signals at once. */
static void take(tg_op *await, int64_t n) {
    if (n > 1) {
        tg_op_set_int(await, TG_ATTR_N_COUNT, n);
    }
}

static tg_op *on_event(tg_builder *b, tg_opcode code, tg_value *event, tg_value *slot,
                       tg_value *token) {
    tg_value *operands[] = {event, slot, token};
    return tg_build_op(b, code, token != NULL ? 3 : 2, operands, 0, NULL, 0);
}

/* Number of what replica `which` has in a slot of n of them each. */
static tg_value *part_of(tg_builder *b, tg_value *slot, int64_t n, tg_value *which) {
    return n == 1
               ? slot
               : tg_build_binary(b, TG_OP_ADD,
                                 tg_build_binary(b, TG_OP_MUL, slot, tg_build_index(b, n)), which);
}

/* The span of a copy's operand k, to the end of its tensor. */
static tg_value *whole_span(splitter *s, tg_builder *b, const tg_op *copy, int k,
                            tg_value_map *done) {
    const tg_value *v = copy->operands[k].value;
    const tg_dim *d = copy->operands[1].value->type->dims[k - 2];
    tg_value *lo = again(s, b, tg_operand(v->def, 0), done);
    tg_value *hi = tg_build1(b, TG_OP_SYM, lo->type, 0);
    tg_op_set_int(hi->def, TG_ATTR_SYM, d->value);
    return tg_build1(b, TG_OP_SPAN, v->type, 2, lo, hi);
}

/* The copy for one replica, or for all of them. */
static tg_value *copy_again(splitter *s, tg_builder *b, const moved *m, tg_value *slot,
                            tg_value_map *done) {
    tg_op *copy = m->op;
    tg_value *operands[3 + TG_MAX_RANK] = {tg_operand(copy, 0), slot};
    for (int k = 1; k < copy->n_operands; k++) {
        operands[k + 1] = m->whole == k ? whole_span(s, b, copy, k, done)
                                        : again(s, b, tg_operand(copy, k), done);
    }
    const tg_type *token = copy->results[0].type;
    tg_op *made = tg_build_op(b, TG_OP_COPY, copy->n_operands + 1, operands, 1, &token, 0);
    const tg_attr *axes = tg_attr_get(copy, TG_ATTR_AXES);
    tg_op_set_list(made, TG_ATTR_AXES, axes->list, axes->n_list);
    tg_op_set_int(made, TG_ATTR_RING, 1);
    return &made->results[0];
}

static void produce(splitter *s, tg_builder *b, const ringed *g, tg_value *slot) {
    int64_t n = s->p->replicas;
    take(on_event(b, TG_OP_AWAIT, g->empty, slot, NULL), n);
    tg_value_map *shared = tg_value_map_make(s->p->arena);
    for (size_t i = 0; i < g->copies.count; i++) {
        const moved *m = &g->copies.data[i];
        tg_value *token = NULL;
        b->span = m->op->span;
        for (int64_t r = 0; r < n; r++) {
            tg_value *which = tg_build_index(b, r);
            if (m->parts > 1) {
                tg_value_map_put(s->ivs, s->p->replica, which);
                token =
                    copy_again(s, b, m, part_of(b, slot, n, which), tg_value_map_make(s->p->arena));
            } else if (r == 0) {
                token = copy_again(s, b, m, slot, shared);
            }
            on_event(b, TG_OP_SIGNAL, g->full.data[i], part_of(b, slot, n, which), token);
        }
    }
}

static const ringed *group_of(const splitter *s, const tg_op *loop) {
    for (size_t i = 0; i < s->loops.count; i++) {
        if (s->loops.data[i]->loop == loop) {
            return s->loops.data[i];
        }
    }
    return NULL;
}

static bool holds_group(const splitter *s, const tg_op *loop) {
    for (size_t i = 0; i < s->loops.count; i++) {
        if (inside(s->loops.data[i]->loop, loop)) {
            return true;
        }
    }
    return false;
}

static void copy_nest(splitter *s, tg_builder *b, tg_region *r);

static void copy_branch(splitter *s, tg_builder *b, tg_op *op) {
    tg_value *cond = again(s, b, tg_operand(op, 0), tg_value_map_make(s->p->arena));
    tg_op *branch = tg_build_if(b, cond, 0, NULL);
    copy_nest(s, b, op->regions[0]);
    tg_build_else(b, branch, 0, NULL);
    copy_nest(s, b, op->regions[1]);
    tg_build_end_if(b, branch, 0, NULL);
}

static void copy_loop(splitter *s, tg_builder *b, tg_op *op) {
    const ringed *g = group_of(s, op);
    tg_value *bounds[3], *iv;
    tg_value_map *done = tg_value_map_make(s->p->arena);
    for (int i = 0; i < 3; i++) {
        bounds[i] = again(s, b, tg_operand(op, i), done);
    }
    tg_op *loop = tg_build_for(b, bounds[0], bounds[1], bounds[2], 0, NULL, &iv);
    tg_value_map_put(s->ivs, op->regions[0]->args[0], iv);
    if (g != NULL) {
        produce(s, b, g, slot_of(b, iv, bounds[0], bounds[2]));
    }
    copy_nest(s, b, op->regions[0]);
    tg_build_end_for(b, loop, 0, NULL);
}

/* The loops of r that lead to copies, and branches around them, with nothing else in them. Inner
 * loops follow the copies of the loop around them, as the other role meets them. */
static void copy_nest(splitter *s, tg_builder *b, tg_region *r) {
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_FOR && holds_group(s, op)) {
            copy_loop(s, b, op);
        } else if (op->code == TG_OP_IF && holds_group(s, op)) {
            copy_branch(s, b, op);
        }
    }
}

/* ---- the other role ------------------------------------------------------------------------- */

/* What uses buf sees `view` instead, but for the operations on its ring as such. */
static void look_through(tg_value *buf, tg_value *view, const tg_op *but) {
    for (tg_use *u = buf->uses, *next; u != NULL; u = next) {
        next = u->next;
        bool keeps =
            u->user == view->def || u->user == but || tg_attr_int(u->user, TG_ATTR_RING, 0) != 0;
        if (!keeps) {
            tg_set_operand(u->user, (int)(u - u->user->operands), view);
        }
    }
}

/* buf becomes a ring of n, seen through a window at the slot. */
static void make_ring(splitter *s, tg_builder *b, tg_value *buf, int64_t n, tg_value *slot,
                      const tg_op *but) {
    const tg_type *t = buf->type;
    const tg_type *one = tg_type_with_layout(s->p->m, t, NULL);
    tg_value *view = tg_build1(b, TG_OP_WINDOW, one, 2, buf, slot);
    tg_op_set_int(view->def, TG_ATTR_RING, 1);
    look_through(buf, view, but);
    buf->type = tg_type_buffer(s->p->m, t->space, t->dtype, t->rank, t->shape, n, t->layout);
}

/* The op, or one in it, reads a block of the group. */
static bool reads_block(const ringed *g, const tg_op *op) {
    for (int i = 0; i < op->n_operands; i++) {
        const tg_value *v = op->operands[i].value;
        while (v->def != NULL && v->def->code == TG_OP_WINDOW) {
            v = v->def->operands[0].value;
        }
        for (size_t k = 0; k < g->copies.count; k++) {
            if (v == g->copies.data[k].buffer && op->code != TG_OP_WINDOW) {
                return true;
            }
        }
    }
    for (int i = 0; i < op->n_regions; i++) {
        for (const tg_op *o = op->regions[i]->first; o != NULL; o = o->next) {
            if (reads_block(g, o)) {
                return true;
            }
        }
    }
    return false;
}

/* Places are given back behind the last operation that reads a block. */
static tg_op *behind_readers(const ringed *g) {
    tg_op *end = g->loop->regions[0]->last;
    while (end->prev != NULL && !reads_block(g, end->prev)) {
        end = end->prev;
    }
    return end->prev != NULL ? end : g->loop->regions[0]->last;
}

static bool is_behind(const tg_op *op, const tg_op *mark) {
    const tg_op *o = mark;
    while (o != NULL && o != op) {
        o = o->next;
    }
    return o != NULL;
}

/* With what it is computed from. */
static void move_before(tg_op *op, tg_op *mark) {
    for (int i = 0; i < op->n_operands; i++) {
        tg_op *def = op->operands[i].value->def;
        if (def != NULL && is_behind(def, mark)) {
            move_before(def, mark);
        }
    }
    tg_op_unlink(op);
    tg_op_insert_before(mark, op);
}

/* What the trip loads besides is on its way while it waits. */
static void loads_first(const splitter *s, tg_op *mark) {
    unsigned unstable = TG_PARAM_OUT | TG_PARAM_INOUT | TG_PARAM_ALIAS;
    for (tg_op *op = mark, *next; op != NULL; op = next) {
        next = op->next;
        int param = op->code == TG_OP_LOAD ? tg_tensor_param(op->operands[0].value) : -1;
        bool early = param >= 0 && (s->p->f->params[param].flags & unstable) == 0;
        for (int i = 1; early && i < op->n_operands; i++) {
            early = is_scalar_code(s, op->operands[i].value, MAX_CHAIN);
        }
        if (early) {
            move_before(op, mark);
        }
    }
}

static void consume(splitter *s, const ringed *g) {
    tg_region *body = g->loop->regions[0];
    tg_builder b = tg_builder_before(g->copies.data[0].op);
    b.span = g->copies.data[0].op->span;
    tg_value *slot = slot_of(&b, body->args[0], tg_operand(g->loop, 0), tg_operand(g->loop, 2));
    tg_value *mine = part_of(&b, slot, s->p->replicas, s->p->replica);
    tg_op *first = NULL;
    for (size_t i = 0; i < g->copies.count; i++) {
        const moved *m = &g->copies.data[i];
        if (m->first == i) {
            tg_op *await = on_event(&b, TG_OP_AWAIT, g->full.data[i], mine, NULL);
            take(await, joined(g, i));
            first = first == NULL ? await : first;
        }
        make_ring(s, &b, tg_operand(m->op, 0), s->depth * m->parts, m->parts > 1 ? mine : slot,
                  m->op);
    }
    for (size_t i = 0; i < g->copies.count; i++) {
        tg_op *copy = g->copies.data[i].op;
        tg_op_erase(copy->results[0].uses->user); /* the wait */
        tg_op_erase(copy);
    }
    tg_builder end = tg_builder_before(behind_readers(g));
    end.span = g->loop->span;
    on_event(&end, TG_OP_SIGNAL, g->empty, slot, NULL);
    loads_first(s, first);
}

/* ---- both ----------------------------------------------------------------------------------- */

/* An event of n semaphores, each 8 bytes of shared memory behind the buffers where it comes to
 * that. */
static tg_value *make_event(splitter *s, tg_op *before, int64_t n, int64_t count) {
    tg_builder b = tg_builder_before(before);
    s->p->shared_bytes -= tg_round_up_i64(8 * n, 16);
    tg_value *e = tg_build1(&b, TG_OP_EVENT, tg_type_scalar(s->p->m, TG_DT_I64), 0);
    tg_op_set_int(e->def, TG_ATTR_N, n);
    if (count != 0) {
        tg_op_set_int(e->def, TG_ATTR_N_COUNT, count);
    }
    return e;
}

static tg_op *make_role(splitter *s, tg_op *before, const char *units, int64_t lanes) {
    tg_builder b = tg_builder_before(before);
    tg_op *op = tg_build_op(&b, TG_OP_ROLE, 0, NULL, 0, NULL, 1);
    tg_op_set_str(op, TG_ATTR_UNITS, units);
    tg_op_set_int(op, TG_ATTR_N, lanes);
    (void)tg_region_add_arg(op->regions[0], tg_type_scalar(s->p->m, TG_DT_I64), "replica");
    return op;
}

/* Everything between the buffers and the end of the body. */
static void move_rest(tg_op *from, tg_region *into) {
    for (tg_op *op = from, *next; op != NULL && op->code != TG_OP_YIELD; op = next) {
        next = op->next;
        tg_op_unlink(op);
        tg_op_append(into, op);
    }
}

/* Buffers that are not rings of copies are each replica's own. */
static void part_buffers(splitter *s, tg_op *role) {
    tg_builder b = role->regions[0]->first != NULL ? tg_builder_before(role->regions[0]->first)
                                                   : tg_builder_at_end(role->regions[0]);
    for (tg_op *op = s->p->f->body->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_BUFFER && op->results[0].type->depth == 1) {
            b.span = op->span;
            make_ring(s, &b, &op->results[0], s->p->replicas, role->regions[0]->args[0], NULL);
        }
    }
}

/* The role that computes is one of several: its number is the role's argument from here on. */
static void replicate(splitter *s, tg_op *role) {
    tg_placer *p = s->p;
    tg_op_set_int(role, TG_ATTR_REPLICAS, p->replicas);
    tg_op_set_int(role, TG_ATTR_AXIS, p->split_axis);
    part_buffers(s, role);
    tg_replace_all_uses(p->replica, role->regions[0]->args[0]);
    p->f->body->n_args--;
    p->replica = NULL;
}

static void make_events(splitter *s, tg_op *before) {
    int64_t n = s->p->replicas;
    for (size_t i = 0; i < s->loops.count; i++) {
        ringed *g = s->loops.data[i];
        g->empty = make_event(s, before, s->depth, n);
        for (size_t k = 0; k < g->copies.count; k++) {
            size_t first = g->copies.data[k].first;
            tg_value *full =
                first < k ? g->full.data[first] : make_event(s, before, s->depth * n, 0);
            TG_LIST_PUSH(s->p->arena, &g->full, full);
        }
    }
}

/* What was asked for is put to shared memory behind the last of it, and told. */
static void tell(splitter *s, tg_op *before) {
    tg_op *last = NULL;
    for (size_t i = 0; i < s->told.count; i++) {
        tg_op *def = s->told.data[i].value->def;
        last = last == NULL || is_behind(def, last) ? def : last;
    }
    if (last == NULL) {
        return;
    }
    tg_value *event = make_event(s, before, 1, 0);
    tg_builder b = tg_builder_before(last->next), start = tg_builder_before(s->copier->first);
    for (size_t i = 0; i < s->told.count; i++) {
        tg_value *operands[] = {s->told.data[i].buffer, s->told.data[i].value};
        tg_build_op(&b, TG_OP_PUT, 2, operands, 0, NULL, 0);
    }
    on_event(&b, TG_OP_SIGNAL, event, tg_build_index(&b, 0), NULL);
    tg_value *slot = tg_build_index(&start, 0);
    on_event(&start, TG_OP_AWAIT, event, slot, NULL);
}

/* The role that copies; it stands in front of `before`. */
static void make_copier(splitter *s, tg_op *before) {
    tg_op *copies = make_role(s, before, "copy", s->p->machine->copy_lanes);
    tg_builder b = tg_builder_at_end(copies->regions[0]);
    s->copier = copies->regions[0];
    copy_nest(s, &b, s->p->f->body);
    tell(s, copies);
    tg_build_op(&b, TG_OP_YIELD, 0, NULL, 0, NULL, 0);
    s->p->f->lanes += s->p->machine->copy_lanes;
}

static void split(splitter *s) {
    tg_region *body = s->p->f->body;
    tg_op *first = body->first;
    while (first->code == TG_OP_BUFFER) {
        first = first->next;
    }
    bool matrix = (s->p->machine->units & TG_UNIT_MATRIX) != 0;
    s->p->f->lanes = s->p->lanes * s->p->replicas;
    make_events(s, first);
    if (s->loops.count > 0) {
        make_copier(s, first);
    }
    tg_op *rest = make_role(s, first, matrix ? "matrix|vector" : "vector", s->p->lanes);
    for (size_t i = 0; i < s->loops.count; i++) {
        consume(s, s->loops.data[i]);
    }
    move_rest(first, rest->regions[0]);
    tg_builder b = tg_builder_at_end(rest->regions[0]);
    tg_build_op(&b, TG_OP_YIELD, 0, NULL, 0, NULL, 0);
    if (s->p->replicas > 1) {
        replicate(s, rest);
    }
}

tg_status tg_place_roles(tg_placer *p) {
    splitter s = {.p = p, .ivs = tg_value_map_make(p->arena)};
    if (!p->roles) {
        return TG_OK;
    }
    find_loops(&s, p->f->body);
    s.depth = choose_depth(&s);
    if (s.depth < 2) {
        s.loops.count = 0;
    }
    if (s.loops.count > 0 || p->replicas > 1) {
        split(&s);
    }
    return TG_OK;
}
