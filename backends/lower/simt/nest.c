/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nests: loops over the registers of a layout whose body handles one vector of neighbouring
 * registers for every operation that joined.
 *
 * Tile operations between two barriers (or other things that end a run) are collected. One joins
 * the first nest with the same register digits that stands no earlier than those of its operands;
 * an operand that needs other registers of a value computed in the same run needs a later nest.
 * Reads of memory do not move before writes, nor writes before reads or writes.
 */
#include "backends/lower/simt/simt.h"

#include "backends/lower/expand/expand.h"

#include <string.h>

bool ts_is_nestable(const tg_op *op) {
    if ((tg_op_info_get(op->code)->flags & TG_OPF_ELEMENTWISE) != 0) {
        return ts_is_tile(&op->results[0]);
    }
    switch ((int)op->code) {
    case TG_OP_LOAD:
    case TG_OP_GET:
    case TG_OP_GET_AT:
    case TG_OP_PRESENT:
        return ts_is_tile(&op->results[0]) && !ts_is_lazy(&op->results[0]);
    case TG_OP_STORE:
        return ts_is_tile(tg_operand(op, 1)) && !ts_store_is_packed(op);
    case TG_OP_PUT:
        return ts_is_tile(tg_operand(op, 1));
    default:
        return false;
    }
}

/* ---- collecting -------------------------------------------------------------------------------
 */

static int nest_of(const tg_simt *S, const tg_op *op) {
    for (size_t j = 0; op != NULL && j < S->run.count; j++) {
        if (S->run.data[j]->id == ts_opi(op)->nest) {
            return (int)j;
        }
    }
    return -1;
}

/* Numbers only: positions without code. */
static ts_ctx numbers_of(tg_simt *S, const ts_nest *n) {
    ts_ctx x = {.S = S, .nest = n, .lanes = 0};
    return x;
}

/* The first nest in which v is known at pos. */
static int ready_at(ts_ctx *x, const ts_nest *own, tg_value *v, const ts_pos *pos) {
    if (!ts_is_tile(v) || v->def == NULL) {
        return 0;
    }
    if (ts_is_lazy(v)) {
        tg_value *from = v->def->n_operands > 0 ? tg_operand(v->def, 0) : NULL;
        return from == NULL || !ts_is_tile(from)
                   ? 0
                   : ready_at(x, own, from, ts_view_pos(x, v->def, pos));
    }
    int j = nest_of(x->S, v->def);
    if (j < 0) {
        return 0;
    }
    int64_t base = 0, weight[TS_MAX_DIGITS] = {0};
    bool same = ts_same_digits(x->S->run.data[j], own) &&
                ts_reg_map(x, pos, v->type->layout, &base, weight) &&
                ts_map_is_identity(own, base, weight);
    return same ? j : j + 1;
}

/* Positions of a load's index tiles differ from the result's: they run along its axes. */
static int operands_ready(ts_ctx *x, const ts_nest *own, const ts_item *item) {
    const ts_pos *pos = ts_root_pos(x, item->layout, item->rank);
    const tg_op *op = item->op;
    int at = 0, axes_at = 0;
    if (item->kind == TS_READ) {
        return 0;
    }
    if (item->kind == TS_FILL) {
        return ready_at(x, own, item->value, pos);
    }
    bool indexed = op->code == TG_OP_LOAD || op->code == TG_OP_STORE || op->code == TG_OP_ATOMIC;
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    for (int k = 0; k < op->n_operands; k++) {
        tg_value *v = tg_operand(op, k);
        int r = 0;
        if (v->type->kind == TG_TY_SPAN) {
            axes_at++;
        } else if (ts_is_tile(v)) {
            bool index = indexed && k >= (op->code == TG_OP_LOAD ? 1 : 2) &&
                         axes_at + v->type->rank <= (int)axes->n_list &&
                         tg_dtype_is_int(v->type->dtype);
            if (index && op->code == TG_OP_ATOMIC && k == 2 &&
                tg_attr_int(op, TG_ATTR_ATOMIC, 0) == TG_ATOMIC_CAS) {
                index = false;
            }
            if (index) {
                r = ready_at(x, own, v, ts_axes_pos(x, pos, v->type->rank, axes->list + axes_at));
                axes_at += v->type->rank;
            } else if (v->type->rank == item->rank) {
                r = ready_at(x, own, v, pos);
            } else { /* a line's mask, an index of get_at: other registers */
                int j = v->def == NULL ? -1 : nest_of(x->S, v->def);
                r = j < 0 ? (ts_is_lazy(v) ? (int)x->S->run.count : 0) : j + 1;
            }
        }
        at = r > at ? r : at;
    }
    return at;
}

static void memory_of(const ts_item *item, bool *reads, bool *writes) {
    tg_opcode c = item->op == NULL ? TG_OP_ADD : item->op->code;
    *reads = c == TG_OP_LOAD || c == TG_OP_GET || c == TG_OP_GET_AT || c == TG_OP_ATOMIC ||
             (c == TG_OP_COPY && item->kind != TS_LAND);
    *writes = c == TG_OP_STORE || c == TG_OP_PUT || c == TG_OP_ATOMIC ||
              (c == TG_OP_COPY && item->kind != TS_FETCH);
}

void ts_run_add(tg_simt *S, ts_item item) {
    ts_nest *own = TG_NEW(S->arena, ts_nest);
    ts_digits(item.layout, own);
    ts_ctx x = numbers_of(S, own);
    int at = operands_ready(&x, own, &item);
    bool reads, writes;
    memory_of(&item, &reads, &writes);
    for (int j = 0; j < (int)S->run.count; j++) {
        const ts_nest *n = S->run.data[j];
        if ((n->writes && (reads || writes)) || (n->reads && writes)) {
            at = j > at ? j : at;
        }
    }
    while (at < (int)S->run.count && !ts_same_digits(S->run.data[at], own)) {
        at++;
    }
    if (at == (int)S->run.count) {
        own->id = ++S->next_nest;
        TG_LIST_PUSH(S->arena, &S->run, own);
    }
    ts_nest *n = S->run.data[at];
    TG_LIST_PUSH(S->arena, &n->items, item);
    n->reads = n->reads || reads;
    n->writes = n->writes || writes;
    if (item.op != NULL && (item.kind == TS_OP || item.kind == TS_REDUCE)) {
        ts_opi(item.op)->nest = n->id;
    }
}

/* ---- who needs an array -----------------------------------------------------------------------
 */

static bool needs_array(const tg_value *v, int nest) {
    for (const tg_use *u = v->uses; u != NULL; u = u->next) {
        const tg_op *op = u->user;
        if (op->n_results == 1 && ts_is_lazy(&op->results[0]) ? needs_array(&op->results[0], nest)
                                                              : ts_opi(op)->nest != nest) {
            return true;
        }
    }
    return false;
}

bool ts_uses_done(tg_simt *S, const tg_value *v, int nest, const tg_op *except,
                  const tg_layout *layout) {
    for (const tg_use *u = v->uses; u != NULL; u = u->next) {
        const tg_op *op = u->user;
        if (op == except) {
            continue;
        }
        if (op->n_results == 1 && ts_is_lazy(&op->results[0])) {
            if (!ts_uses_done(S, &op->results[0], 0, except, NULL)) {
                return false;
            }
            continue;
        }
        int at = ts_opi(op)->nest;
        bool here = nest != 0 && at == nest && layout != NULL && op->n_results == 1 &&
                    op->results[0].type->layout == layout && u->value->type->layout == layout;
        bool waiting = nest_of(S, op) >= 0;
        if (at == 0 || (!here && (at == nest || waiting))) {
            return false;
        }
    }
    return true;
}

/* Where a result that outlives its nest goes: the carried array it will be yielded to, if nobody
 * wants the old content any more. */
static tg_value *array_for(tg_simt *S, tg_value *v, int nest) {
    ts_info *i = ts_of(S, v);
    if (i->array == NULL && i->home != NULL && ts_of(S, i->home)->array != NULL &&
        ts_uses_done(S, i->home, nest, NULL, v->type->layout)) {
        i->array = ts_of(S, i->home)->array;
    }
    if (i->array == NULL) {
        i->array = ts_array(S, tg_carrier(v->type->dtype), ts_regs(v->type->layout), v->name);
    }
    return i->array;
}

/* ---- emission ---------------------------------------------------------------------------------
 */

static int vector_lanes(const tg_simt *S, const ts_nest *n, bool aligned) {
    int most = aligned ? TS_ACOPY_BYTES : S->mc->emitter == TG_EMIT_OPENCL_C ? 8 : 4, v = 1;
    if (n->n == 0 || n->place[0] != 1) {
        return 1;
    }
    while (v * 2 <= most && n->extent[0] % (v * 2) == 0) {
        v *= 2;
    }
    return v;
}

/* Unrolled code pays where it is short; functions and guarded accesses are long. */
static bool worth_unrolling(const ts_nest *n, int lanes) {
    for (size_t i = 0; i < n->items.count; i++) {
        const tg_op *op = n->items.data[i].op;
        if (op != NULL && (op->code == TG_OP_MATH || op->code == TG_OP_LOAD ||
                           op->code == TG_OP_STORE || op->code == TG_OP_COPY)) {
            return false;
        }
    }
    return n->regs / lanes * (int64_t)n->items.count <= 64;
}

tg_op *ts_each_register(const tg_simt *S, tg_builder *b, int64_t n, tg_value **i) {
    tg_op *loop = tg_build_for(b, tg_build_index(b, 0), tg_build_index(b, n), tg_build_index(b, 1),
                               0, NULL, i);
    if (S->fixed && n > 1) {
        tg_op_set_int(loop, TG_ATTR_UNROLL, n);
    }
    return loop;
}

/* Copies from memory to memory leave registers alone. */
static bool holds_registers(const ts_nest *n) {
    for (size_t i = 0; i < n->items.count; i++) {
        if (n->items.data[i].kind != TS_COPY) {
            return true;
        }
    }
    return false;
}

/* A place after which the nest's own loops come; code before it is `out`. */
static void open_nest(ts_ctx *x, tg_op **loops) {
    tg_simt *S = x->S;
    tg_value *mark = tg_build_index(&S->b, 0);
    x->out = tg_builder_before(mark->def);
    x->out.span = S->b.span;
    x->b = S->b;
    /* Implementations that run lanes in loops keep arrays whole only where indices vary. */
    bool unroll = S->mc->emitter != TG_EMIT_OPENCL_C && worth_unrolling(x->nest, x->lanes);
    bool whole = S->fixed && holds_registers(x->nest);
    /* Wide copies that do not land by themselves: all reads are on their way before the first
     * write. */
    bool together = x->aligned && !ts_is_async(S);
    tg_value *zero = x->inside ? S->zero : tg_build_index(&x->b, 0);
    for (int k = x->nest->n - 1; k >= 0; k--) {
        int64_t trips = x->nest->extent[k] / (k == 0 ? x->lanes : 1);
        loops[k] = NULL;
        x->iv[k] = NULL;
        if (trips > 1) {
            loops[k] = tg_build_for(&x->b, zero, tg_build_index(&x->b, trips),
                                    tg_build_index(&x->b, 1), 0, NULL, &x->iv[k]);
            if (((unroll || together) && trips <= 8) || whole) {
                tg_op_set_int(loops[k], TG_ATTR_UNROLL, trips);
            }
        }
    }
}

static void close_nest(ts_ctx *x, tg_op **loops) {
    for (int k = 0; k < x->nest->n; k++) {
        if (loops[k] != NULL) {
            tg_build_end_for(&x->b, loops[k], 0, NULL);
        }
    }
    x->S->b = x->b;
}

void ts_array_store(ts_ctx *x, tg_value *array, int64_t base, const int64_t *weight, ts_ev e) {
    tg_value *i = ts_reg_index(x, base, weight);
    int64_t step = x->nest->n > 0 ? weight[0] : 0;
    if (x->lanes == 1 || step == 1) {
        (void)tg_build_astore(&x->b, array, i, ts_vec(x, e), x->lanes);
        return;
    }
    for (int l = 0; l < x->lanes; l++) {
        tg_value *v = e.vec ? tg_build_extract(&x->b, e.v, l) : e.v;
        (void)tg_build_astore(&x->b, array, ts_bin(&x->b, TG_OP_ADD, i, l * step), v, 1);
    }
}

ts_ev ts_array_load(ts_ctx *x, tg_dtype t, tg_value *array, int64_t base, const int64_t *weight) {
    tg_simt *S = x->S;
    tg_value *i = ts_reg_index(x, base, weight);
    int64_t step = x->nest->n > 0 ? weight[0] : 0;
    if (x->lanes == 1 || step == 0) {
        return (ts_ev){.v = tg_build_aload(&x->b, ts_type(S, t, 1), array, i, 1)};
    }
    if (step == 1) {
        return (ts_ev){tg_build_aload(&x->b, ts_type(S, t, x->lanes), array, i, 1), true};
    }
    tg_value *v = NULL;
    for (int l = 0; l < x->lanes; l++) {
        tg_value *e = tg_build_aload(&x->b, ts_type(S, t, 1), array,
                                     ts_bin(&x->b, TG_OP_ADD, i, l * step), 1);
        v = l == 0 ? tg_build_splat(&x->b, e, x->lanes) : tg_build_insert(&x->b, v, e, l);
    }
    return (ts_ev){v, true};
}

static void emit_item(ts_ctx *x, const ts_item *item) {
    const ts_pos *pos = item->layout == NULL ? &x->none : ts_root_pos(x, item->layout, item->rank);
    x->b.span = item->op != NULL ? item->op->span : x->b.span;
    switch (item->kind) {
    case TS_FILL:
        ts_array_store(x, item->array, 0, x->nest->place, ts_eval(x, item->value, pos));
        return;
    case TS_READ: {
        const ts_buf *u = ts_buf_of(x->S, tg_operand(item->op, item->op->n_operands - 1));
        ts_array_store(x, item->array, 0, x->nest->place,
                       ts_get_from(x, u, item->value->type, pos));
        return;
    }
    case TS_COPY:
        ts_emit_copy(x, item->op, item->layout, pos);
        return;
    case TS_FETCH:
        ts_emit_fetch(x, item->op, item->array, pos);
        return;
    case TS_LAND:
        ts_emit_land(x, item->op, item->array, item->layout, pos);
        return;
    case TS_REDUCE:
        ts_reduce_item(x, item, pos);
        return;
    case TS_NIBBLE_EVEN:
    case TS_NIBBLE_ODD:
        ts_store(x, item->op, item->layout, pos, item->kind == TS_NIBBLE_EVEN ? 0 : 1);
        return;
    case TS_OP:
        break;
    }
    if (item->op->code == TG_OP_STORE) {
        ts_store(x, item->op, item->layout, pos, -1);
    } else if (item->op->code == TG_OP_PUT) {
        ts_put(x, item->op, item->layout, pos);
    } else {
        ts_ev e = item->op->code == TG_OP_ATOMIC ? ts_atomic(x, item->op, item->layout, pos)
                                                 : ts_compute(x, item->op, pos);
        TG_LIST_PUSH(x->S->arena, &x->memo, (ts_memo){&item->op->results[0], NULL, e});
    }
}

static const ts_ev *computed(const ts_ctx *x, const tg_value *v) {
    for (size_t i = x->memo.count; i-- > 0;) {
        if (x->memo.data[i].value == v && x->memo.data[i].pos == NULL) {
            return &x->memo.data[i].ev;
        }
    }
    return NULL;
}

static void emit_loops(tg_simt *S, const ts_nest *n, bool inside, bool aligned) {
    ts_ctx x = {.S = S, .nest = n, .inside = inside, .aligned = aligned};
    x.lanes = vector_lanes(S, n, aligned);
    tg_op *loops[TS_MAX_DIGITS];
    open_nest(&x, loops);
    for (size_t i = 0; i < n->items.count && S->status == TG_OK; i++) {
        emit_item(&x, &n->items.data[i]);
    }
    for (size_t i = 0; i < n->items.count; i++) {
        tg_op *op = n->items.data[i].kind == TS_OP ? n->items.data[i].op : NULL;
        tg_value *v = op != NULL && op->n_results == 1 ? &op->results[0] : NULL;
        const ts_ev *e = v != NULL ? computed(&x, v) : NULL;
        if (e != NULL && ts_is_tile(v) && needs_array(v, n->id)) {
            ts_array_store(&x, array_for(S, v, n->id), 0, n->place, *e);
        }
    }
    close_nest(&x, loops);
}

/* Copies are asked once, for all their elements, whether they are inside and, where they may land
 * later, aligned. */
static void emit_nest(tg_simt *S, const ts_nest *n) {
    tg_value *all = NULL;
    bool aligned = ts_copies_wide(S);
    for (size_t i = 0; i < n->items.count; i++) {
        const ts_item *item = &n->items.data[i];
        bool asks = item->kind == TS_COPY || item->kind == TS_FETCH;
        tg_value *c = asks ? ts_copy_inside(S, item) : NULL;
        if (c == NULL) {
            emit_loops(S, n, false, false);
            return;
        }
        all = all == NULL ? c : tg_build_binary(&S->b, TG_OP_AND, all, c);
        c = aligned ? ts_copy_aligned(S, item) : NULL;
        aligned = c != NULL;
        all = aligned ? tg_build_binary(&S->b, TG_OP_AND, all, c) : all;
    }
    tg_op *branch = tg_build_if(&S->b, all, 0, NULL);
    emit_loops(S, n, true, aligned);
    tg_build_else(&S->b, branch, 0, NULL);
    emit_loops(S, n, false, false);
    tg_build_end_if(&S->b, branch, 0, NULL);
}

void ts_run_flush(tg_simt *S) {
    for (size_t j = 0; j < S->run.count && S->status == TG_OK; j++) {
        ts_nest *n = S->run.data[j];
        S->run.data[j] = n;
        emit_nest(S, n);
        n->id = -n->id; /* no longer waiting */
    }
    S->run.count = 0;
}

/* ---- outside of nests -------------------------------------------------------------------------
 */

ts_ctx ts_ctx_flat(tg_simt *S) {
    ts_nest *n = TG_NEW(S->arena, ts_nest);
    n->regs = 1;
    ts_ctx x = {.S = S, .nest = n, .lanes = 1};
    tg_value *mark = tg_build_index(&S->b, 0);
    x.out = tg_builder_before(mark->def);
    x.out.span = S->b.span;
    x.b = S->b;
    void *num = tg_arena_alloc(S->arena, sizeof(int64_t[TG_MAX_RANK]));
    memset(num, 0, sizeof(int64_t[TG_MAX_RANK]));
    x.none.num = num;
    return x;
}

void ts_fill(tg_simt *S, tg_value *v, tg_value *array) {
    ts_run_flush(S);
    ts_run_add(S, (ts_item){.kind = TS_FILL,
                            .layout = v->type->layout,
                            .rank = v->type->rank,
                            .shape = v->type->shape,
                            .value = v,
                            .array = array});
    ts_run_flush(S);
}

tg_value *ts_materialise(tg_simt *S, tg_value *v) {
    ts_info *i = ts_of(S, v);
    if (i->array != NULL && !ts_is_lazy(v)) {
        return i->array;
    }
    tg_value *a = ts_array(S, tg_carrier(v->type->dtype), ts_regs(v->type->layout), v->name);
    ts_fill(S, v, a);
    return a;
}

void ts_array_copy(tg_simt *S, tg_value *dst, tg_value *src) {
    int64_t n = src->type->shape[0];
    int lanes = S->mc->emitter == TG_EMIT_OPENCL_C ? 8 : 4;
    while (n % lanes != 0) {
        lanes /= 2;
    }
    tg_builder *b = &S->b;
    tg_value *i;
    tg_op *loop = ts_each_register(S, b, n / lanes, &i);
    tg_value *at = ts_bin(b, TG_OP_MUL, ts_i32(b, i), lanes);
    tg_value *v = tg_build_aload(b, ts_type(S, src->type->dtype, lanes), src, at, 1);
    (void)tg_build_astore(b, dst, at, v, 1);
    tg_build_end_for(b, loop, 0, NULL);
}
