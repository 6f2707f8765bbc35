/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prefetch: blocks of a loop are fetched while those before them are used.
 *
 * Takes a function with layouts. Gives one in which a loop that copies blocks into buffers copies
 * those of a later trip: the buffers become rings, the first copies stand in front of the loop, and
 * one barrier a trip orders both what was copied and what was read. A copy that starts before the
 * work of a trip and is waited for behind it passes through registers, where the lanes have room
 * for it; otherwise it is waited for at once. On machines whose copies land by themselves the wait
 * leaves those of later trips on their way. Refuses nothing; the depth is the schedule's `stages`
 * or the machine's, 1 changes nothing, and it shrinks to what shared memory holds.
 *
 * Before:
 *   %3 = for %lo, %hi, %step, %z : f32[64, 64] (%k: i64, %acc: f32[64, 64]) {
 *     %5 = span %k, %K : span<32>
 *     %6 = copy %4, %a, %i, %5 {axes = [0, 1]} : i64
 *     wait %6
 *     %7 = dot %4, %b, %acc : f32[64, 64]
 *     yield %7
 *   }
 * After, 2 stages:
 *   %5 = span %lo, %K : span<32>
 *   %6 = copy %4, 0, %a, %i, %5 {axes = [0, 1], ring = true} : i64
 *   wait %6
 *   %3, _ = for %lo, %hi, %step, %z, 0 : f32[64, 64], i64 (%k: i64, %acc: f32[64, 64], %n: i64) {
 *     barrier {fence = shared}
 *     %8 = span %k + %step, %K : span<32>
 *     %9 = copy %4, %n + 1, %a, %i, %8 {axes = [0, 1], ring = true} : i64
 *     %w = window %4, %n {ring = true} : buf<shared, f16[64, 32], 1>
 *     %7 = dot %w, %b, %acc : f32[64, 64]
 *     wait %9
 *     yield %7, %n + 1
 *   }
 *
 * Legal where the copy's operands follow from the loop's variable, its tensor does not change and
 * its buffer is nobody else's. What the last trips fetch is never used: a span beyond its end reads
 * nothing, so it costs no traffic.
 */
#include "backends/place/walk.h"
#include "ir/passes/util.h"

enum { MAX_CHAIN = 64, MAX_DEPTH = 8 };

typedef TG_LIST(tg_op *) op_list;

typedef struct fetcher {
    tg_placer *p;
    int64_t depth;
    int64_t room; /* bytes of a lane's registers that are free */
} fetcher;

/* ---- what may move --------------------------------------------------------------------------- */

/* Computable in another trip: from the loop's variable and what stands outside. */
static bool follows(const tg_value *v, const tg_op *loop, int budget) {
    const tg_region *body = loop->regions[0];
    if (!tg_value_inside(v, body) || v == body->args[0]) {
        return true;
    }
    if (budget == 0 || v->def == NULL || v->def->parent != body || v->def->n_regions > 0 ||
        (v->type->kind == TG_TY_TILE && v->type->rank > 0) || !tg_op_is_repeatable(v->def)) {
        return false;
    }
    for (int i = 0; i < v->def->n_operands; i++) {
        if (!follows(v->def->operands[i].value, loop, budget - 1)) {
            return false;
        }
    }
    return true;
}

/* Every use of the buffer is a read in the loop, but for the copy itself. */
static bool is_private_to(const tg_value *buf, const tg_op *copy, const tg_op *loop) {
    for (const tg_use *u = buf->uses; u != NULL; u = u->next) {
        unsigned use = tg_place_buffer_use(u->user, (int)(u - u->user->operands));
        bool inside = false;
        for (const tg_op *o = u->user; o != NULL && !inside; o = o->parent->parent) {
            inside = o == loop;
        }
        if (!inside || (u->user != copy && (use & TG_USE_WRITE) != 0) ||
            (u->user->code == TG_OP_WINDOW && !is_private_to(&u->user->results[0], copy, loop))) {
            return false;
        }
    }
    return true;
}

static bool can_move(const tg_op *copy, const tg_op *loop) {
    const unsigned unstable = TG_PARAM_OUT | TG_PARAM_INOUT | TG_PARAM_ALIAS;
    const tg_value *buf = copy->operands[0].value;
    const tg_use *token = copy->results[0].uses;
    int param = tg_tensor_param(copy->operands[1].value);
    if (buf->def->code != TG_OP_BUFFER || buf->type->depth > 1 || param < 0 ||
        (copy->func->params[param].flags & unstable) != 0 ||
        tg_attr_int(copy, TG_ATTR_RING, 0) != 0 || token == NULL || token->next != NULL ||
        token->user->code != TG_OP_WAIT || token->user->parent != copy->parent ||
        !is_private_to(buf, copy, loop)) {
        return false;
    }
    for (int i = 1; i < copy->n_operands; i++) {
        if (!follows(copy->operands[i].value, loop, MAX_CHAIN)) {
            return false;
        }
    }
    return true;
}

/* ---- room ------------------------------------------------------------------------------------ */

static int64_t lane_bytes(const fetcher *s, const tg_op *copy) {
    const tg_type *t = copy->operands[0].value->type;
    return tg_cdiv_i64(tg_type_count(t), s->p->f->lanes) * tg_place_elem_bytes(t->dtype);
}

static void set_depth(fetcher *s, const op_list *copies, int64_t depth) {
    for (size_t i = 0; i < copies->count; i++) {
        tg_value *buf = tg_operand(copies->data[i], 0);
        const tg_type *t = buf->type;
        buf->type =
            tg_type_buffer(s->p->m, t->space, t->dtype, t->rank, t->shape, depth, t->layout);
    }
}

/* The greatest depth up to the one wanted that shared memory holds with everything else. */
static int64_t deepest(fetcher *s, const op_list *copies) {
    int64_t depth = s->depth;
    for (; depth > 1; depth--) {
        set_depth(s, copies, depth);
        if (tg_place_shared_need(s->p) <= s->p->shared_bytes) {
            break;
        }
    }
    set_depth(s, copies, 1);
    return depth;
}

/* ---- code ------------------------------------------------------------------------------------ */

/* v as it is where the loop's variable is `map`'s, made at `before`. */
static tg_value *again(fetcher *s, tg_op *before, tg_value *v, const tg_op *loop,
                       tg_value_map *map) {
    tg_value *have = tg_value_map_get(map, v);
    if (have != NULL || !tg_value_inside(v, loop->regions[0])) {
        return have != NULL ? have : v;
    }
    tg_op *op = tg_op_clone(v->def, before->parent, tg_value_map_make(s->p->arena));
    tg_op_unlink(op);
    for (int i = 0; i < op->n_operands; i++) {
        tg_set_operand(op, i, again(s, before, tg_operand(v->def, i), loop, map));
    }
    tg_op_insert_before(before, op);
    tg_value_map_put(map, v, &op->results[v->index]);
    return &op->results[v->index];
}

/* The copy at `before`, into copy number `slot`, for the trip of map's variable; its token. */
static tg_value *copy_at(fetcher *s, tg_op *before, tg_op *copy, tg_value *slot, const tg_op *loop,
                         tg_value_map *map) {
    tg_value *operands[3 + TG_MAX_RANK] = {tg_operand(copy, 0), slot};
    for (int i = 1; i < copy->n_operands; i++) {
        operands[i + 1] = again(s, before, tg_operand(copy, i), loop, map);
    }
    tg_builder b = tg_builder_before(before);
    b.span = copy->span;
    const tg_type *token = copy->results[0].type;
    tg_op *made = tg_build_op(&b, TG_OP_COPY, copy->n_operands + 1, operands, 1, &token, 0);
    const tg_attr *axes = tg_attr_get(copy, TG_ATTR_AXES);
    tg_op_set_list(made, TG_ATTR_AXES, axes->list, axes->n_list);
    tg_op_set_int(made, TG_ATTR_RING, 1);
    if (tg_place_is_bulk(copy)) {
        tg_op_set_str(made, TG_ATTR_KIND, tg_attr_str(copy, TG_ATTR_KIND));
    }
    return &made->results[0];
}

enum { THIS_COPY = -1 };

/* Until the copy (THIS_COPY), or all but the last `keep` copies, are done. slot: the number of the
 * bulk copy that this is the wait for; NULL: of none. */
static void wait_at(tg_op *before, tg_value *token, tg_value *slot, int64_t keep) {
    tg_builder b = tg_builder_before(before);
    b.span = token->def->span;
    tg_value *operands[2] = {token, slot};
    tg_op *wait = tg_build_op(&b, TG_OP_WAIT, slot != NULL ? 2 : 1, operands, 0, NULL, 0);
    if (keep != THIS_COPY) {
        tg_op_set_int(wait, TG_ATTR_N, keep);
    }
}

/* The blocks of the first trips; a token of each copy's. Of bulk copies only the first trip's are
 * waited for: later ones have their wait in the trip before them. */
static tg_value **fetch_first(fetcher *s, tg_op *loop, const op_list *copies, int64_t depth) {
    tg_value **tokens = TG_NEW_ARRAY(s->p->arena, tg_value *, copies->count + 1);
    for (int64_t k = 0; k < depth - 1; k++) {
        tg_value_map *map = tg_value_map_make(s->p->arena);
        tg_builder b = tg_builder_before(loop);
        b.span = loop->span;
        tg_value *ahead =
            tg_build_binary(&b, TG_OP_MUL, tg_operand(loop, 2), tg_build_index(&b, k));
        tg_value *iv = tg_build_binary(&b, TG_OP_ADD, tg_operand(loop, 0), ahead);
        tg_value *slot = tg_build_index(&b, k);
        tg_value_map_put(map, loop->regions[0]->args[0], iv);
        for (size_t i = 0; i < copies->count; i++) {
            tokens[i] = copy_at(s, loop, copies->data[i], slot, loop, map);
            bool first = k == 0 && tg_place_is_bulk(copies->data[i]);
            wait_at(loop, tokens[i], first ? slot : NULL, THIS_COPY);
        }
    }
    return tokens;
}

/* What the last trips left under way may be anybody's memory next. */
static void fetch_last(tg_op *loop, tg_value *const *tokens, size_t n, int64_t depth) {
    tg_op *before = loop->next;
    for (size_t i = 0; i < n; i++) {
        bool bulk = tg_place_is_bulk(tokens[i]->def);
        for (int64_t k = 1; bulk && k < depth - 1; k++) {
            tg_builder b = tg_builder_before(before);
            b.span = loop->span;
            tg_value *trips = &loop->results[loop->n_results - 1];
            tg_value *slot = tg_build_binary(&b, TG_OP_ADD, trips, tg_build_index(&b, k));
            wait_at(before, tokens[i], slot, 0);
        }
        if (!bulk && i == n - 1) {
            wait_at(before, tokens[i], NULL, 0);
        }
    }
}

/* The loop with one more carried value, which counts trips from 0. */
static tg_op *count_trips(fetcher *s, tg_op *loop, tg_value **counter) {
    int n = loop->n_results;
    const tg_type *i64 = tg_type_scalar(s->p->m, TG_DT_I64);
    tg_value **v = TG_NEW_ARRAY(s->p->arena, tg_value *, n + 4);
    const tg_type **types = TG_NEW_ARRAY(s->p->arena, const tg_type *, n + 1);
    tg_builder b = tg_builder_before(loop);
    b.span = loop->span;
    for (int i = 0; i < n + 3; i++) {
        v[i] = tg_operand(loop, i);
    }
    v[n + 3] = tg_build_index(&b, 0);
    for (int i = 0; i <= n; i++) {
        types[i] = i < n ? loop->results[i].type : i64;
    }
    tg_op *made = tg_build_op(&b, TG_OP_FOR, n + 4, v, n + 1, types, 1);
    tg_region *body = loop->regions[0], *spare = made->regions[0];
    made->regions[0] = body;
    body->parent = made;
    loop->regions[0] = spare;
    spare->parent = loop;
    *counter = tg_region_add_arg(body, i64, "slot");
    tg_op *yield = body->last;
    tg_builder y = tg_builder_before(yield);
    y.span = loop->span;
    for (int i = 0; i < n; i++) {
        v[i] = tg_operand(yield, i);
        made->results[i].name = loop->results[i].name;
        tg_replace_all_uses(&loop->results[i], &made->results[i]);
    }
    v[n] = tg_build_binary(&y, TG_OP_ADD, *counter, tg_build_index(&y, 1));
    tg_build_op(&y, TG_OP_YIELD, n + 1, v, 0, NULL, 0);
    tg_op_erase(yield);
    tg_op_erase(loop);
    return made;
}

/* Readers of the buffer look at this trip's copy of it. */
static void read_slot(tg_op *first, tg_op *copy, tg_value *slot) {
    tg_value *buf = tg_operand(copy, 0);
    tg_builder b = tg_builder_before(first);
    const tg_type *t = buf->type;
    b.span = copy->span;
    const tg_type *one = tg_type_buffer(b.module, t->space, t->dtype, t->rank, t->shape, 1, NULL);
    tg_value *view = tg_build1(&b, TG_OP_WINDOW, one, 2, buf, slot);
    tg_op_set_int(view->def, TG_ATTR_RING, 1);
    for (tg_use *u = buf->uses, *next; u != NULL; u = next) {
        next = u->next;
        if (u->user != view->def && u->user->code != TG_OP_COPY) {
            tg_set_operand(u->user, (int)(u - u->user->operands), view);
        }
    }
}

static void remark(const fetcher *s, const tg_op *copy, int64_t depth, bool registers) {
    const tg_type *t = copy->operands[0].value->type;
    tg_report(s->p->sink, TG_SEV_REMARK, TG_D_PREFETCH, copy->span,
              "this block is fetched %lld trip%s ahead%s: %lld times %lld bytes of shared memory",
              (long long)depth - 1, depth == 2 ? "" : "s", registers ? " through registers" : "",
              (long long)depth, (long long)(tg_place_buffer_bytes(t) / depth));
}

/* The number of the next trip's block. */
static tg_value *next_slot(tg_op *before, tg_value *counter) {
    tg_builder b = tg_builder_before(before);
    b.span = before->span;
    return tg_build_binary(&b, TG_OP_ADD, counter, tg_build_index(&b, 1));
}

static void rewrite(fetcher *s, tg_op *loop, const op_list *copies, int64_t depth) {
    tg_value *counter;
    set_depth(s, copies, depth);
    tg_value **fetched = fetch_first(s, loop, copies, depth);
    loop = count_trips(s, loop, &counter);
    tg_region *body = loop->regions[0];
    tg_op *first = body->first;
    tg_builder b = tg_builder_before(first);
    b.span = loop->span;
    tg_op_set_int(tg_build_op(&b, TG_OP_BARRIER, 0, NULL, 0, NULL, 0), TG_ATTR_FENCE,
                  TG_FENCE_SHARED);
    tg_value *far = tg_build_index(&b, depth - 1);
    tg_value *slot = tg_build_binary(&b, TG_OP_ADD, counter, far);
    tg_value *step = tg_build_binary(&b, TG_OP_MUL, tg_operand(loop, 2), far);
    tg_value *iv = tg_build_binary(&b, TG_OP_ADD, body->args[0], step);
    tg_value_map *map = tg_value_map_make(s->p->arena);
    tg_value_map_put(map, body->args[0], iv);
    bool async = (s->p->machine->simt & TG_SIMT_ASYNC) != 0;
    for (size_t i = 0; i < copies->count; i++) {
        tg_op *copy = copies->data[i];
        int64_t bytes = lane_bytes(s, copy);
        bool registers = !async && bytes <= s->room;
        s->room -= registers ? bytes : 0;
        read_slot(first, copy, counter);
        tg_value *token = copy_at(s, first, copy, slot, loop, map);
        tg_value *next = tg_place_is_bulk(copy) ? next_slot(first, counter) : NULL;
        wait_at(registers || async ? body->last : first, token, next,
                async ? (depth - 2) * (int64_t)copies->count : THIS_COPY);
        remark(s, copy, depth, registers);
    }
    for (size_t i = 0; i < copies->count; i++) {
        tg_op_erase(copies->data[i]->results[0].uses->user); /* the wait */
        tg_op_erase(copies->data[i]);
    }
    if (async && depth > 2) {
        fetch_last(loop, fetched, copies->count, depth);
    }
}

/* ---- loops ----------------------------------------------------------------------------------- */

static void visit_loop(fetcher *s, tg_op *loop) {
    op_list copies = {0};
    for (tg_op *op = loop->regions[0]->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_COPY && can_move(op, loop)) {
            TG_LIST_PUSH(s->p->arena, &copies, op);
        }
    }
    int64_t depth = copies.count > 0 ? deepest(s, &copies) : 1;
    if (depth > 1) {
        rewrite(s, loop, &copies, depth);
    }
}

/* Inner loops first: they run oftener. */
static void visit_region(fetcher *s, tg_region *r) {
    for (tg_op *op = r->first, *next; op != NULL; op = next) {
        next = op->next;
        bool control = op->code == TG_OP_FOR || op->code == TG_OP_WHILE || op->code == TG_OP_IF;
        for (int i = 0; control && i < op->n_regions; i++) {
            visit_region(s, op->regions[i]);
        }
        if (op->code == TG_OP_FOR) {
            visit_loop(s, op);
        }
    }
}

static bool has_roles(const tg_region *r) {
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_ROLE) {
            return true;
        }
    }
    return false;
}

tg_status tg_place_prefetch(tg_placer *p) {
    int64_t otherwise = tg_max_i64(1, p->machine->stages);
    fetcher s = {.p = p, .depth = tg_place_schedule_int(p->f, "stages", otherwise)};
    tg_op *where;
    s.depth = tg_min_i64(s.depth, MAX_DEPTH);
    if (s.depth < 2 || has_roles(p->f->body)) {
        return TG_OK;
    }
    s.room = p->machine->register_bytes - tg_place_pressure(p->f, p->arena, &where);
    visit_region(&s, p->f->body);
    return TG_OK;
}
