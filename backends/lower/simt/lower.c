/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SIMT lowering: entry functions, scalars, regions.
 *
 *   KERNEL.plan    evaluates the grid: program count, checked
 *   KERNEL.phase0  one lane of one program: block numbers from the program number (last grid axis
 *                  fastest), then the kernel's body
 *
 * A body is walked in program order. Scalars and spans become loop values where they stand, tile
 * operations are collected into nests (nest.c), which end at everything that is not one.
 */
#include "backends/lower/expand/expand.h"
#include "backends/lower/simt/control.h"
#include "backends/lower/simt/roles.h"
#include "ir/passes.h"

#include <stddef.h>
#include <string.h>

void ts_unsupported(tg_simt *S, const tg_op *op, const char *what) {
    if (S->status == TG_OK) {
        tg_error(S->sink, TG_D_BACKEND, op->span, "%s: %s is not supported on %s",
                 tg_op_info_get(op->code)->name, what, S->mc->name);
        S->status = TG_E_UNSUPPORTED;
    }
}

/* ---- small values -----------------------------------------------------------------------------
 */

const tg_type *ts_type(const tg_simt *S, tg_dtype t, int lanes) {
    tg_dtype c = tg_carrier(t);
    return lanes == 1 ? tg_type_scalar(S->out, c) : tg_type_vec(S->out, c, lanes);
}

tg_value *ts_const(tg_simt *S, tg_builder *b, const tg_op *op, int lanes) {
    tg_dtype t = op->results[0].type->dtype;
    const tg_type *lt = ts_type(S, t, lanes);
    if (op->code == TG_OP_CONST_FLOAT) {
        double f = tg_attr_float(op, TG_ATTR_VALUE_F, 0);
        return tg_carrier(t) != t
                   ? tg_build_int(b, lt, (int64_t)tg_float_encode(t, f, TG_ROUND_RNE, false))
                   : tg_build_float(b, lt, f);
    }
    int64_t i = tg_attr_int(op, TG_ATTR_VALUE_I, 0);
    return tg_build_int(b, lt, t == TG_DT_I4 || t == TG_DT_U4 ? i & 15 : i);
}

tg_value *ts_bin(tg_builder *b, tg_opcode code, tg_value *x, int64_t y) {
    if (code == TG_OP_REM && y == 1) {
        return tg_build_int(b, x->type, 0);
    }
    return tg_build_binary(b, code, x, tg_build_int(b, x->type, y));
}

tg_value *ts_i32(tg_builder *b, tg_value *v) {
    tg_op *cast = v->def;
    if (cast != NULL && cast->code == TG_OP_CAST && tg_operand(cast, 0)->type->dtype == TG_DT_I32) {
        return tg_operand(cast, 0);
    }
    return tg_build_cast(b, v, TG_DT_I32);
}

const char *ts_name(tg_simt *S, const char *name) {
    return name == NULL ? NULL : tg_intern(&S->out->strings, name, strlen(name));
}

tg_value *ts_slot(tg_simt *S, int index, const tg_type *t) {
    tg_value *v = tg_build1(&S->entry, TG_OP_SLOT, t, 1, S->args.slots);
    tg_op_set_int(v->def, TG_ATTR_VALUE_I, index);
    return v;
}

int ts_param_slot(const tg_simt *S, int param) {
    int s = 0;
    for (int i = 0; i < param; i++) {
        const tg_type *t = S->kernel->params[i].type;
        s += t->kind == TG_TY_TENSOR ? 1 + 2 * t->rank : 1;
    }
    return s;
}

tg_value *ts_sym(tg_simt *S, int sym) {
    if (S->syms[sym] == NULL) {
        S->syms[sym] = ts_slot(S, ts_param_slot(S, S->kernel->n_params) + sym,
                               tg_type_scalar(S->out, TG_DT_I64));
        S->syms[sym]->name = ts_name(S, S->kernel->syms[sym].name);
    }
    return S->syms[sym];
}

tg_value *ts_array(tg_simt *S, tg_dtype t, int64_t n, const char *name) {
    tg_value *v = tg_build_array(&S->b, TG_SPACE_PRIVATE, tg_carrier(t), n, 0, NULL);
    v->name = ts_name(S, name);
    return v;
}

tg_value *ts_lane_is(tg_simt *S, int64_t lane) {
    return tg_build_cmp(&S->entry, TG_CMP_EQ, S->args.lane,
                        tg_build_int(&S->entry, S->args.lane->type, lane));
}

void ts_barrier(tg_simt *S, const ts_buf *of) {
    bool device = of != NULL && of->space == TG_SPACE_SCRATCH;
    ts_meet(S, device ? TG_FENCE_ALL : TG_FENCE_SHARED);
}

void ts_meet(tg_simt *S, tg_fence fence) {
    (void)tg_build_named_barrier(&S->b, fence, S->role != NULL ? S->lanes : 0,
                                 S->role != NULL ? S->number : NULL);
}

tg_op *ts_deal(tg_simt *S, int64_t count, tg_value **e) {
    tg_builder *b = &S->b;
    if (count <= S->lanes) {
        tg_value *in =
            tg_build_cmp(b, TG_CMP_LT, S->args.lane, tg_build_int(b, S->args.lane->type, count));
        *e = S->args.lane;
        return tg_build_if(b, in, 0, NULL);
    }
    tg_value *iv;
    tg_op *loop = tg_build_for(b, tg_build_cast(b, S->args.lane, TG_DT_I64),
                               tg_build_index(b, count), tg_build_index(b, S->lanes), 0, NULL, &iv);
    *e = tg_build_cast(b, iv, TG_DT_I32);
    return loop;
}

void ts_end_deal(tg_simt *S, tg_op *loop) {
    if (loop->code == TG_OP_IF) {
        tg_build_else(&S->b, loop, 0, NULL);
        tg_build_end_if(&S->b, loop, 0, NULL);
    } else {
        tg_build_end_for(&S->b, loop, 0, NULL);
    }
}

/* Never negative, whatever the launch? */
bool ts_nonneg(const tg_value *v, int depth) {
    int64_t c;
    if (tg_value_const_int(v, &c)) {
        return c >= 0;
    }
    if (depth > 8) {
        return false;
    }
    if (v->def == NULL) {
        const tg_op *loop = v->region->parent;
        if (loop == NULL) { /* block numbers; scalar parameters may be anything */
            return v->index >= v->region->func->n_params;
        }
        return loop->code == TG_OP_FOR && v->index == 0 &&
               ts_nonneg(tg_operand(loop, 0), depth + 1);
    }
    switch ((int)v->def->code) {
    case TG_OP_SYM:
    case TG_OP_DIM:
        return true;
    case TG_OP_ADD:
    case TG_OP_MUL:
    case TG_OP_DIV:
    case TG_OP_MIN:
        return ts_nonneg(tg_operand(v->def, 0), depth + 1) &&
               ts_nonneg(tg_operand(v->def, 1), depth + 1);
    case TG_OP_MAX:
        return ts_nonneg(tg_operand(v->def, 0), depth + 1) ||
               ts_nonneg(tg_operand(v->def, 1), depth + 1);
    case TG_OP_REM:
        return ts_nonneg(tg_operand(v->def, 0), depth + 1);
    default:
        return false;
    }
}

/* ---- scalars ----------------------------------------------------------------------------------
 */

tg_value *ts_scalar(tg_simt *S, tg_value *v) {
    ts_info *i = ts_of(S, v);
    if (i->scalar != NULL) {
        return i->scalar;
    }
    if (v->def == NULL) {
        i->scalar = ts_slot(S, ts_param_slot(S, v->index), ts_type(S, v->type->dtype, 1));
        i->scalar->name = ts_name(S, v->name);
        return i->scalar;
    }
    switch ((int)v->def->code) {
    case TG_OP_CONST_INT:
    case TG_OP_CONST_FLOAT:
        return i->scalar = ts_const(S, &S->entry, v->def, 1);
    case TG_OP_SYM:
        return i->scalar = ts_sym(S, (int)tg_attr_int(v->def, TG_ATTR_SYM, 0));
    case TG_OP_DIM:
        return i->scalar = ts_tensor_of(S, tg_operand(v->def, 0))
                               ->dim[tg_attr_int(v->def, TG_ATTR_AXIS, 0)];
    default:
        break;
    }
    if (S->status == TG_OK) {
        tg_error(S->sink, TG_D_BACKEND, v->def->span, "%s: a scalar is used before it is computed",
                 tg_op_info_get(v->def->code)->name);
        S->status = TG_E_INTERNAL;
    }
    return i->scalar = tg_build_int(&S->entry, ts_type(S, v->type->dtype, 1), 0);
}

static tg_value *present_scalar(tg_simt *S, const tg_op *op) {
    tg_builder *b = &S->b;
    tg_value *v = tg_build_cast(b, ts_scalar(S, tg_operand(op, 0)), TG_DT_I64);
    tg_value *e = ts_scalar(S, tg_operand(op, 1));
    return tg_build_binary(b, TG_OP_AND, tg_build_cmp(b, TG_CMP_GE, v, tg_build_index(b, 0)),
                           tg_build_cmp(b, TG_CMP_LT, v, e));
}

static void emit_scalar(tg_simt *S, tg_op *op) {
    ts_info *i = ts_of(S, &op->results[0]);
    switch ((int)op->code) {
    case TG_OP_CONST_INT:
    case TG_OP_CONST_FLOAT:
    case TG_OP_SYM:
    case TG_OP_DIM:
        return;
    case TG_OP_PRESENT:
        i->scalar = present_scalar(S, op);
        return;
    default:
        break;
    }
    if (op->n_operands > 0 && ts_is_tile(tg_operand(op, 0))) {
        ts_run_flush(S); /* a tile of one element that everybody holds */
    }
    if (op->code == TG_OP_DIV && S->loop != NULL && S->loop->trip != NULL &&
        ts_counts_trips(S->loop->placed, &op->results[0])) {
        i->scalar = S->loop->trip;
        return;
    }
    ts_ctx x = ts_ctx_flat(S);
    bool view =
        op->code == TG_OP_BROADCAST || op->code == TG_OP_RESHAPE || op->code == TG_OP_PERMUTE;
    i->scalar = view ? ts_eval(&x, tg_operand(op, 0), &x.none).v : ts_compute(&x, op, &x.none).v;
    S->b = x.b;
}

static void emit_span(tg_simt *S, tg_op *op) {
    ts_info *s = ts_of(S, &op->results[0]);
    s->lo = ts_scalar(S, tg_operand(op, 0));
    s->hi = ts_scalar(S, tg_operand(op, 1));
}

/* ---- operations that end a run ----------------------------------------------------------------
 */

static void emit_reduce(tg_simt *S, tg_op *op) {
    ts_item item;
    if (tg_attr_int(op, TG_ATTR_RED, 0) == TG_RED_USER) {
        ts_unsupported(S, op, "a reduction of the author's that was not placed");
        return;
    }
    /* The accumulators are set before the nests of the run. */
    ts_reduce_begin(S, op, &item);
    ts_run_add(S, item);
    ts_run_flush(S);
    if (S->status == TG_OK) {
        ts_reduce_end(S, op, &item);
    }
}

static void emit_atomic(tg_simt *S, tg_op *op) {
    tg_value *r = &op->results[0];
    const tg_type *t = tg_operand(op, 1)->type;
    bool exchange = tg_attr_int(op, TG_ATTR_EXCHANGE, 0) != 0;
    const ts_buf *u = exchange ? ts_buf_of(S, tg_operand(op, op->n_operands - 1)) : NULL;
    if (!ts_is_tile(r)) {
        ts_run_flush(S);
        ts_ctx x = ts_ctx_flat(S);
        ts_ev e = ts_atomic(&x, op, NULL, &x.none);
        S->b = x.b;
        ts_of(S, r)->scalar = e.v;
        if (exchange) {
            ts_barrier(S, u);
            tg_value *i = ts_buf_start(&S->b, u);
            ts_of(S, r)->scalar = ts_buf_read(S, &S->b, u, i, 1);
        }
        return;
    }
    ts_item item = {.kind = TS_OP, .op = op, .layout = t->layout, .rank = t->rank};
    item.shape = t->shape;
    ts_run_add(S, item);
    ts_run_flush(S);
    if (exchange && S->status == TG_OK) {
        ts_barrier(S, u);
        item.kind = TS_READ;
        item.value = r;
        if (ts_of(S, r)->array == NULL) {
            ts_of(S, r)->array = ts_array(S, r->type->dtype, ts_regs(t->layout), r->name);
        }
        item.array = ts_of(S, r)->array;
        ts_run_add(S, item);
        ts_run_flush(S);
    }
}

static bool is_even(const tg_value *v, int depth) {
    int64_t c;
    if (tg_value_const_int(v, &c)) {
        return c % 2 == 0;
    }
    const tg_op *op = v->def != NULL ? v->def : v->region->parent;
    if (op == NULL || depth > 8) {
        return false;
    }
    switch ((int)op->code) {
    case TG_OP_FOR: /* the loop variable */
        return v->def == NULL && v->index == 0 && is_even(tg_operand(op, 0), depth + 1) &&
               is_even(tg_operand(op, 2), depth + 1);
    case TG_OP_MUL:
        return is_even(tg_operand(op, 0), depth + 1) || is_even(tg_operand(op, 1), depth + 1);
    case TG_OP_ADD:
    case TG_OP_SUB:
        return is_even(tg_operand(op, 0), depth + 1) && is_even(tg_operand(op, 1), depth + 1);
    default:
        return false;
    }
}

/* Do the bytes that a packed store writes belong to this program alone? A span from a constant is
 * the same for all programs, which then differ in another axis. */
static bool owns_bytes(const tg_op *op) {
    int masked = tg_attr_int(op, TG_ATTR_MASKED, 0) != 0;
    const tg_value *v = tg_operand(op, op->n_operands - 1 - masked);
    int64_t c;
    if (v->type->kind != TG_TY_SPAN) {
        return tg_value_const_int(v, &c);
    }
    const tg_value *lo = tg_operand(v->def, 0);
    return tg_value_const_int(lo, &c) || (is_even(lo, 0) && v->type->shape[0] % 2 == 0);
}

/* Two lanes may hold the halves of one byte: first the low halves, then the high ones. */
static void emit_packed_store(tg_simt *S, tg_op *op) {
    tg_value *v = tg_operand(op, 1);
    if (!owns_bytes(op)) {
        ts_unsupported(S, op,
                       "a packed tensor whose bytes may be shared by programs (blocks of odd "
                       "size or at odd places)");
        return;
    }
    ts_run_flush(S);
    if (!ts_is_tile(v)) {
        ts_ctx x = ts_ctx_flat(S);
        ts_store(&x, op, NULL, &x.none, 0);
        ts_store(&x, op, NULL, &x.none, 1);
        S->b = x.b;
        return;
    }
    ts_item item = {.op = op, .layout = v->type->layout, .rank = v->type->rank};
    item.shape = v->type->shape;
    item.kind = TS_NIBBLE_EVEN;
    ts_run_add(S, item);
    ts_run_flush(S);
    ts_meet(S, TG_FENCE_GLOBAL);
    item.kind = TS_NIBBLE_ODD;
    ts_run_add(S, item);
    ts_run_flush(S);
}

/* Something stands between a copy and its wait, in the same block. */
static bool has_time(const tg_op *copy) {
    const tg_use *u = copy->results[0].uses;
    return u != NULL && u->next == NULL && u->user->code == TG_OP_WAIT &&
           u->user->parent == copy->parent && u->user != copy->next;
}

/* A copy with time until its wait is fetched into registers and lands there. */
static void emit_copy(tg_simt *S, tg_op *op) {
    const tg_type *t = tg_operand(op, 0)->type;
    int64_t vec = S->mc->emitter == TG_EMIT_OPENCL_C ? 8
                  : ts_copies_wide(S) ? TS_ACOPY_BYTES / tg_scratch_elem_bytes(t->dtype)
                                      : 4;
    ts_item item = {.kind = TS_COPY, .op = op, .rank = t->rank, .shape = t->shape};
    ts_info *token = ts_of(S, &op->results[0]);
    if (t->rank == 0) {
        ts_unsupported(S, op, "a copy of a scalar");
        return;
    }
    while (t->shape[t->rank - 1] % vec != 0) {
        vec /= 2;
    }
    item.layout = tg_layout_blocked(S->kernel->module, t->rank, t->shape, S->lanes, vec);
    if (ts_is_async(S) && ts_role_bulk_event(S, op) != NULL) { /* with its first signal */
        token->flight = TG_NEW(S->arena, ts_item);
        *token->flight = item;
        token->scalar = tg_build_index(&S->entry, 0);
        return;
    }
    if (ts_is_async(S)) { /* a group of its own, empty where it was done at once */
        ts_run_flush(S);
        if (!ts_emit_bulk(S, op, &item)) {
            ts_run_add(S, item);
            ts_run_flush(S);
        }
        (void)tg_build_agroup(&S->b);
        token->scalar = tg_build_index(&S->entry, 0);
        return;
    }
    if (has_time(op)) {
        item.kind = TS_FETCH;
        item.array = ts_array(S, t->dtype, ts_regs(item.layout), NULL);
        token->flight = TG_NEW(S->arena, ts_item);
        *token->flight = item;
    }
    ts_run_add(S, item);
    token->scalar = tg_build_index(&S->entry, 0);
}

/* Copies that were waited for land before anything may look at them; until then others join. */
static void land(tg_simt *S, const tg_op *op) {
    bool looks = op->n_regions > 0 || op->code == TG_OP_BARRIER || op->code == TG_OP_YIELD;
    for (int i = 0; i < op->n_operands && op->code != TG_OP_COPY && op->code != TG_OP_WINDOW; i++) {
        looks |= op->operands[i].value->type->kind == TG_TY_BUFFER;
    }
    if (S->landing && looks) {
        ts_run_flush(S);
        (void)tg_build_aland(&S->b, S->aloft);
        ts_bulk_land(S);
        S->landing = false;
    }
}

static void emit_wait(tg_simt *S, tg_op *op) {
    int64_t keep = tg_attr_int(op, TG_ATTR_N, 0);
    if (ts_is_async(S)) {
        (void)ts_bulk_wait(S, op);
        S->aloft = S->landing && S->aloft < keep ? S->aloft : keep;
        S->landing = true;
        return;
    }
    ts_info *token = ts_of(S, tg_operand(op, 0));
    if (token->flight != NULL) {
        ts_item item = *token->flight;
        item.kind = TS_LAND;
        ts_run_add(S, item);
        token->flight = NULL;
    }
}

static void emit_assert(tg_simt *S, tg_op *op) {
    tg_value *bad = tg_build_unary(&S->b, TG_OP_NOT, ts_scalar(S, tg_operand(op, 0)));
    tg_op *trap = tg_build_op(&S->b, TG_OP_TRAP, 1, &bad, 0, NULL, 0);
    tg_op_set_int(trap, TG_ATTR_VALUE_I, TG_CPU_TRAP_ASSERT);
}

/* Behind the buffers: accumulators on their way to a matrix unit, or barriers of events. */
static int64_t buffer_bytes(const tg_simt *S) {
    int64_t more = ts_dot_memory_bytes(S->kernel->body), bytes = S->kernel->shared_bytes;
    more = tg_round_up_i64(more, 16) + ts_roles_bytes(S->kernel);
    return more == 0 ? bytes : tg_round_up_i64(bytes, 16) + more;
}

/* A store or put of a scalar: one lane does it. */
static void emit_scalar_write(tg_simt *S, tg_op *op) {
    ts_ctx x = ts_ctx_flat(S);
    if (op->code == TG_OP_PUT) {
        ts_put(&x, op, NULL, &x.none);
    } else {
        ts_store(&x, op, NULL, &x.none, -1);
    }
    S->b = x.b;
}

/* ---- regions ----------------------------------------------------------------------------------
 */

static bool emit_structure(tg_simt *S, tg_op *op) {
    switch ((int)op->code) {
    case TG_OP_FOR:
        ts_run_flush(S);
        ts_emit_for(S, op);
        return true;
    case TG_OP_WHILE:
        ts_run_flush(S);
        ts_emit_while(S, op);
        return true;
    case TG_OP_IF:
        ts_run_flush(S);
        ts_emit_if(S, op);
        return true;
    case TG_OP_YIELD:
        ts_run_flush(S);
        return true;
    case TG_OP_BARRIER:
        ts_run_flush(S);
        if (S->swizzled) {
            (void)tg_build_pfence(&S->b);
        }
        ts_meet(S, (tg_fence)tg_attr_int(op, TG_ATTR_FENCE, TG_FENCE_ALL));
        return true;
    case TG_OP_WINDOW:
        if (tg_attr_int(op, TG_ATTR_RING, 0) != 0) {
            (void)ts_buf_of(S, &op->results[0]); /* the slot is that of here */
        }
        return true;
    case TG_OP_WAIT:
        emit_wait(S, op);
        return true;
    case TG_OP_VIEW:
    case TG_OP_PRINT:
    case TG_OP_ASSUME:
        return true;
    case TG_OP_SPAN:
        emit_span(S, op);
        return true;
    case TG_OP_BUFFER:
        ts_emit_buffer(S, op);
        return true;
    case TG_OP_ASSERT:
        emit_assert(S, op);
        return true;
    default:
        return false;
    }
}

static bool emit_ender(tg_simt *S, tg_op *op) {
    switch ((int)op->code) {
    case TG_OP_REDUCE:
        emit_reduce(S, op);
        return true;
    case TG_OP_ATOMIC:
        emit_atomic(S, op);
        return true;
    case TG_OP_COPY:
        emit_copy(S, op);
        return true;
    case TG_OP_DOT:
        ts_run_flush(S);
        ts_emit_dot(S, op);
        return true;
    case TG_OP_TEAM:
        ts_run_flush(S);
        ts_emit_team(S, op);
        return true;
    case TG_OP_STORE:
        if (ts_store_is_packed(op)) {
            emit_packed_store(S, op);
        } else {
            emit_scalar_write(S, op);
        }
        return true;
    case TG_OP_PUT:
        emit_scalar_write(S, op);
        return true;
    case TG_OP_EXTERN:
        ts_unsupported(S, op, "vendor code (use the portable body)");
        return true;
    case TG_OP_EVENT: /* all together: they stand behind the buffers and before the roles */
        if (S->mbarriers == NULL) {
            ts_emit_events(S, buffer_bytes(S) - ts_roles_bytes(S->kernel));
        }
        return true;
    case TG_OP_SIGNAL:
        ts_run_flush(S);
        ts_emit_signal(S, op);
        return true;
    case TG_OP_AWAIT:
        ts_run_flush(S);
        ts_emit_await(S, op);
        return true;
    case TG_OP_ROLE:
        ts_run_flush(S);
        ts_emit_role(S, op);
        return true;
    default:
        return false;
    }
}

static void emit_op(tg_simt *S, tg_op *op) {
    if (ts_is_nestable(op)) {
        bool writes = op->code == TG_OP_STORE || op->code == TG_OP_PUT;
        const tg_type *t = writes ? tg_operand(op, 1)->type : op->results[0].type;
        ts_item item = {.kind = TS_OP, .op = op, .layout = t->layout, .rank = t->rank};
        item.shape = t->shape;
        ts_run_add(S, item);
        return;
    }
    if (op->n_results == 1 && ts_is_tile(&op->results[0]) && ts_is_lazy(&op->results[0])) {
        return;
    }
    if (!emit_structure(S, op) && !emit_ender(S, op)) {
        if (op->n_results == 1 && !ts_is_tile(&op->results[0])) {
            emit_scalar(S, op);
        } else {
            ts_unsupported(S, op, "this form");
        }
    }
    if (ts_opi(op)->nest == 0) {
        ts_opi(op)->nest = ++S->next_nest;
    }
}

void ts_emit_region(tg_simt *S, tg_region *r) {
    for (tg_op *op = r->first; op != NULL && S->status == TG_OK; op = op->next) {
        S->b.span = op->span;
        land(S, op);
        emit_op(S, op);
    }
    ts_run_flush(S);
}

/* ---- entry functions --------------------------------------------------------------------------
 */

static void number_ops(tg_simt *S, tg_region *r) {
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        op->scratch = TG_NEW(S->arena, ts_opinfo);
        for (int i = 0; i < op->n_regions; i++) {
            number_ops(S, op->regions[i]);
        }
    }
}

static void forget_numbers(tg_region *r) {
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        op->scratch = NULL;
        for (int i = 0; i < op->n_regions; i++) {
            forget_numbers(op->regions[i]);
        }
    }
}

static void forget_values(tg_simt *S) {
    memset(S->info, 0, sizeof *S->info * S->kernel->next_value_id);
    memset(S->syms, 0, sizeof *S->syms * (size_t)(S->kernel->n_syms + 1));
    S->lane_parts.count = 0;
}

/*
 * 0, but not evidently the same for all lanes. Implementations that run lanes in loops would else
 * take every step of such a loop for all lanes together and keep what it carries in memory.
 */
static tg_value *start_of_loops(tg_simt *S) {
    if (S->mc->emitter != TG_EMIT_OPENCL_C || S->args.lane == NULL) {
        return tg_build_index(&S->entry, 0);
    }
    tg_value *zero = ts_bin(&S->entry, TG_OP_SHR, S->args.lane, 30);
    zero->name = ts_name(S, "zero");
    return tg_build_cast(&S->entry, zero, TG_DT_I64);
}

/* Entry code goes before a mark that stands first. */
static void start_body(tg_simt *S, tg_func *f) {
    S->fn = f;
    f->span = S->kernel->span;
    S->b = tg_builder_at_end(f->body);
    S->b.span = S->kernel->span;
    S->entry = tg_builder_before(tg_build_index(&S->b, 0)->def);
    S->entry.span = S->kernel->span;
    S->zero = start_of_loops(S);
}

static void trap_grid(tg_simt *S, tg_value *bad) {
    tg_op *trap = tg_build_op(&S->b, TG_OP_TRAP, 1, &bad, 0, NULL, 0);
    tg_op_set_int(trap, TG_ATTR_VALUE_I, TG_CPU_TRAP_GRID);
}

/* Blocks per grid axis, from the grid region. */
static void grid_blocks(tg_simt *S, tg_value **out, bool check) {
    tg_func *k = S->kernel;
    ts_emit_region(S, k->grid);
    tg_builder *b = &S->b;
    tg_value *zero = tg_build_index(b, 0), *one = tg_build_index(b, 1);
    for (int i = 0; i < k->n_grid; i++) {
        tg_value *e = ts_scalar(S, tg_operand(k->grid->last, i));
        if (check) {
            trap_grid(S, tg_build_cmp(b, TG_CMP_LT, e, zero));
        }
        if (k->grid_by[i] > 1) { /* (e - 1) / by + 1 does not overflow for e > 0; 0 gives 0 */
            tg_value *q =
                ts_bin(b, TG_OP_DIV, tg_build_binary(b, TG_OP_SUB, e, one), k->grid_by[i]);
            tg_value *some = tg_build_cmp(b, TG_CMP_GT, e, zero);
            e = tg_build_select(b, some, tg_build_binary(b, TG_OP_ADD, q, one), zero);
        }
        out[i] = e;
    }
}

static int64_t shared_bytes(const tg_simt *S) {
    return buffer_bytes(S) + ts_bulk_bytes(S, buffer_bytes(S));
}

static void store_plan(tg_simt *S, tg_value *plan, size_t offset, tg_value *v) {
    tg_builder *b = &S->b;
    (void)tg_build_storem(b, tg_build_gep(b, plan, tg_build_index(b, (int64_t)offset), 1), v, 0);
}

static void emit_plan(tg_simt *S) {
    const tg_type *ptr = tg_type_ptr(S->out);
    forget_values(S);
    tg_func *f =
        tg_func_make(S->out, tg_arena_printf(S->arena, "%s.plan", S->kernel->name), TG_LEVEL_LOOP);
    f->role = tg_intern(&S->out->strings, "plan", 4);
    f->body = tg_region_make(f, NULL);
    S->args = (tg_simt_args){.slots = tg_region_add_arg(f->body, ptr, "slots")};
    tg_value *plan = tg_region_add_arg(f->body, ptr, "plan");
    start_body(S, f);
    tg_builder *b = &S->b;
    tg_value *blocks[TG_MAX_RANK + 1];
    grid_blocks(S, blocks, true);
    tg_value *total = tg_build_index(b, 1), *zero = tg_build_index(b, 0);
    tg_value *limit = tg_build_index(b, (int64_t)1 << 62);
    for (int i = 0; i < S->kernel->n_grid; i++) { /* total <= limit / blocks, or blocks is 0 */
        tg_value *room = tg_build_binary(b, TG_OP_DIV, limit, blocks[i]);
        tg_value *some = tg_build_cmp(b, TG_CMP_GT, blocks[i], zero);
        trap_grid(S, tg_build_binary(b, TG_OP_AND, some, tg_build_cmp(b, TG_CMP_GT, total, room)));
        total = tg_build_binary(b, TG_OP_MUL, total, blocks[i]);
    }
    store_plan(S, plan, offsetof(tg_cpu_plan, programs), total);
    store_plan(S, plan, offsetof(tg_cpu_plan, scratch_bytes),
               tg_build_index(b, S->kernel->scratch_bytes));
    store_plan(S, plan, offsetof(tg_cpu_plan, shared_bytes), tg_build_index(b, shared_bytes(S)));
    store_plan(S, plan, offsetof(tg_cpu_plan, n_phases),
               tg_build_int(b, tg_type_scalar(S->out, TG_DT_I32), 1));
    tg_build_op(b, TG_OP_YIELD, 0, NULL, 0, NULL, 0);
}

/* Block numbers of this program, last axis fastest. */
static void decode_program(tg_simt *S, tg_value *const *blocks) {
    tg_func *k = S->kernel;
    tg_builder *b = &S->b;
    tg_value *rest = S->args.program;
    for (int i = k->n_grid - 1; i >= 0; i--) {
        tg_value *id = rest;
        if (i > 0) {
            tg_value *q = tg_build_binary(b, TG_OP_DIV, rest, blocks[i]);
            id = tg_build_binary(b, TG_OP_SUB, rest, tg_build_binary(b, TG_OP_MUL, q, blocks[i]));
            rest = q;
        }
        if (id->def != NULL) {
            id->name = ts_name(S, k->body->args[k->n_params + i]->name);
        }
        ts_of(S, k->body->args[k->n_params + i])->scalar = id;
    }
}

static void emit_phase(tg_simt *S) {
    tg_func *k = S->kernel;
    forget_values(S);
    tg_func *f = tg_build_simt_func(S->out, tg_arena_printf(S->arena, "%s.phase0", k->name),
                                    k->lanes, &S->args);
    f->shared_bytes = shared_bytes(S);
    f->scratch_bytes = k->scratch_bytes;
    S->lanes = k->lanes;
    start_body(S, f);
    tg_value *blocks[TG_MAX_RANK + 1];
    grid_blocks(S, blocks, false);
    decode_program(S, blocks);
    ts_bulk_begin(S, buffer_bytes(S));
    ts_emit_region(S, k->body);
    if (S->status == TG_OK) {
        tg_build_op(&S->b, TG_OP_YIELD, 0, NULL, 0, NULL, 0);
    }
}

/* A product on a matrix unit stands in the region or below it. */
static bool uses_units(const tg_region *r) {
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        const tg_matrix_unit *u =
            op->code == TG_OP_DOT ? tg_matrix_find(tg_attr_str(op, TG_ATTR_UNIT)) : NULL;
        if (u != NULL && tg_matrix_is_open(u)) {
            return true;
        }
        for (int i = 0; i < op->n_regions; i++) {
            if (uses_units(op->regions[i])) {
                return true;
            }
        }
    }
    return false;
}

/* ---- door -------------------------------------------------------------------------------------
 */

static void clean(tg_simt *S, tg_func *f) {
    tg_pass_context ctx = {.scratch = S->arena};
    tg_expand_legalise(f, S->mc);
    tg_pass_cse(f, &ctx);
    tg_pass_dce(f, &ctx);
}

tg_status tg_lower_simt(tg_func *placed, const tg_machine *machine, tg_module *out, tg_sink *sink) {
    tg_simt *S = TG_NEW(out->arena, tg_simt);
    *S = (tg_simt){.kernel = placed, .mc = machine, .out = out, .sink = sink, .arena = out->arena};
    if (placed->level != TG_LEVEL_PLACED || machine->class_ != TG_MACHINE_SIMT) {
        tg_error(sink, TG_D_BACKEND, placed->span, "kernel %s cannot be lowered for %s",
                 placed->name, machine->name);
        return TG_E_INVALID;
    }
    S->info = TG_NEW_ARRAY(S->arena, ts_info, placed->next_value_id);
    S->syms = TG_NEW_ARRAY(S->arena, tg_value *, placed->n_syms + 1);
    S->fixed = (S->mc->simt & (TG_SIMT_UNROLLED | TG_SIMT_ASYNC)) != 0 || uses_units(placed->body);
    number_ops(S, placed->grid);
    number_ops(S, placed->body);
    emit_phase(S);
    if (S->status == TG_OK) {
        tg_func *phase = S->fn;
        emit_plan(S);
        clean(S, phase);
        clean(S, S->fn);
    }
    forget_numbers(placed->grid);
    forget_numbers(placed->body);
    return S->status;
}
