/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPU lowering: entry functions, scalars and control flow.
 *
 *   KERNEL.plan    evaluates the grid: program count (checked), scratch bytes
 *   KERNEL.phase0  for pid in begin..end: block numbers from pid (last grid axis fastest), then the
 *                  kernel body; tile work is emitted by nest.c, dot_call.c and select.c
 *
 * The body's regions are walked in program order. Scalars become loop scalars where they stand,
 * spans become (lo, hi, len), tile ops become nests or nothing (inline values).
 */
#include "backends/lower/cpu/lower.h"

#include <string.h>

/* ---- diagnostics
 * ---------------------------------------------------------------------------------------- */

void tg_unsupported(tg_lower *L, const tg_op *op, const char *what) {
    tg_error(L->sink, TG_D_BACKEND, op->span, "%s: %s", tg_op_info_get(op->code)->name, what);
    L->status = TG_E_UNSUPPORTED;
}

/* ---- slots and tensors
 * ------------------------------------------------------------------------------------ */

static tg_value *slot(tg_lower *L, int index, const tg_type *t) {
    tg_value *v = tg_build1(&L->entry, TG_OP_SLOT, t, 1, L->slots);
    tg_op_set_int(v->def, TG_ATTR_VALUE_I, index);
    return v;
}

static int param_slot(const tg_lower *L, int param) {
    int s = 0;
    for (int i = 0; i < param; i++) {
        const tg_type *t = L->kernel->params[i].type;
        s += t->kind == TG_TY_TENSOR ? 1 + 2 * t->rank : 1;
    }
    return s;
}

static int64_t elem_bytes(const tg_type *t) {
    if (t->dtype == TG_DT_RECORD) {
        return t->elem_bytes;
    }
    return tg_dtype_bits(t->dtype) < 8 ? 0 : tg_dtype_bits(t->dtype) / 8;
}

static tg_tensor *param_tensor(tg_lower *L, const tg_value *v) {
    tg_tensor *t = TG_NEW(L->arena, tg_tensor);
    const tg_type *i64 = tg_type_scalar(L->out, TG_DT_I64);
    int s = param_slot(L, v->index);
    t->root = v;
    t->slot = s;
    t->dtype = v->type->dtype;
    t->rank = v->type->rank;
    t->elem_bytes = elem_bytes(v->type);
    t->base = slot(L, s, tg_type_ptr(L->out));
    for (int k = 0; k < t->rank; k++) {
        t->dims[k] = v->type->dims[k];
        t->dim[k] = t->dims[k]->code == TG_DIM_CONST ? tg_build_index(&L->entry, t->dims[k]->value)
                                                     : slot(L, s + 1 + k, i64);
        t->const_stride[k] = -1;
        if (k == t->rank - 1 && (!v->type->strided || t->elem_bytes == 0)) {
            t->const_stride[k] = t->elem_bytes;
        } else {
            t->stride[k] = slot(L, s + 1 + t->rank + k, i64);
        }
    }
    return t;
}

static tg_tensor *view_tensor(tg_lower *L, const tg_value *v) {
    const tg_op *op = v->def;
    const tg_tensor *from = tg_tensor_of(L, tg_operand(op, 0));
    const tg_attr *strides = tg_attr_get(op, TG_ATTR_STRIDES);
    tg_tensor *t = TG_NEW(L->arena, tg_tensor);
    *t = *from;
    t->dtype = v->type->dtype;
    t->rank = v->type->rank;
    t->elem_bytes = elem_bytes(v->type);
    t->base = tg_build_gep(&L->entry, from->base,
                           tg_build_index(&L->entry, tg_attr_int(op, TG_ATTR_BYTES, 0)), 1);
    for (int k = from->rank; k < t->rank; k++) {
        t->dims[k] = v->type->dims[k];
        t->dim[k] = tg_build_index(&L->entry, t->dims[k]->value);
        t->stride[k] = NULL;
        t->const_stride[k] = strides->list[k - from->rank];
    }
    return t;
}

tg_tensor *tg_tensor_of(tg_lower *L, tg_value *v) {
    tg_vinfo *info = tg_info(L, v);
    if (info->tensor == NULL) {
        info->tensor = v->def == NULL ? param_tensor(L, v) : view_tensor(L, v);
    }
    return info->tensor;
}

/* ---- scalars
 * --------------------------------------------------------------------------------------------- */

tg_value *tg_scalar(tg_lower *L, tg_value *v) {
    tg_vinfo *info = tg_info(L, v);
    if (info->loop != NULL) {
        return info->loop;
    }
    if (v->def == NULL) { /* scalar parameter */
        info->loop = slot(L, param_slot(L, v->index), tg_loop_type(L, v->type->dtype, 1));
        return info->loop;
    }
    const tg_op *op = v->def;
    switch ((int)op->code) {
    case TG_OP_CONST_INT:
    case TG_OP_CONST_FLOAT:
        info->loop = tg_loop_const(L, &L->entry, op);
        return info->loop;
    case TG_OP_SYM: {
        int at = param_slot(L, L->kernel->n_params) + (int)tg_attr_int(op, TG_ATTR_SYM, 0);
        info->loop = slot(L, at, tg_type_scalar(L->out, TG_DT_I64));
        return info->loop;
    }
    case TG_OP_DIM:
        info->loop = tg_tensor_of(L, tg_operand(op, 0))->dim[tg_attr_int(op, TG_ATTR_AXIS, 0)];
        return info->loop;
    default: /* used before its place: its inputs are available, so compute it here, unremembered */
    {
        tg_ctx x = tg_ctx_begin(L, 1);
        tg_value *r = tg_eval_op(&x, v->def, v, NULL).v;
        tg_ctx_end(&x);
        return r;
    }
    }
}

static void emit_scalar(tg_lower *L, tg_op *op) {
    tg_value *v = &op->results[0];
    if (op->code == TG_OP_SYM || op->code == TG_OP_DIM || op->code == TG_OP_CONST_INT ||
        op->code == TG_OP_CONST_FLOAT) {
        return;
    }
    tg_ctx x = tg_ctx_begin(L, 1);
    tg_ev e = tg_eval_op(&x, op, v, NULL);
    tg_ctx_end(&x);
    tg_info(L, v)->loop = e.v;
}

static void emit_span(tg_lower *L, tg_op *op) {
    tg_vinfo *s = tg_info(L, &op->results[0]);
    tg_builder *b = &L->b;
    s->lo = tg_scalar(L, tg_operand(op, 0));
    s->hi = tg_scalar(L, tg_operand(op, 1));
    if (tg_span_is_full(&op->results[0])) {
        s->len = tg_build_index(b, op->results[0].type->shape[0]);
        return;
    }
    tg_value *n = tg_build_index(b, op->results[0].type->shape[0]);
    tg_value *d = tg_build_binary(b, TG_OP_SUB, s->hi, s->lo);
    d = tg_build_binary(b, TG_OP_MIN, d, n);
    s->len = tg_build_binary(b, TG_OP_MAX, d, tg_build_index(b, 0));
}

/* Whether the loop value may be used where code goes now: not when its branch or loop is over. */
static bool visible(const tg_lower *L, const tg_value *v) {
    const tg_region *home = v->def != NULL ? v->def->parent : v->region, *r = L->b.region;
    while (r != NULL && r != home) {
        r = r->parent != NULL ? r->parent->parent : NULL;
    }
    return r != NULL;
}

tg_value *tg_trip(tg_lower *L, int64_t extent, const tg_need *need) {
    if (need == NULL || need->kind != TG_NEED_SPAN) {
        return tg_build_index(&L->b, extent);
    }
    tg_vinfo *s = tg_info(L, need->span);
    if (s->len == NULL || !visible(L, s->len)) { /* the span stands later in the program or in a
                                                    branch before; its bounds are known here */
        tg_vinfo keep = *s;
        emit_span(L, need->span->def);
        tg_value *len = s->len;
        *s = keep;
        return len;
    }
    return s->len;
}

/* ---- control flow
 * ------------------------------------------------------------------------------------------ */

static tg_value *alias_copy(tg_lower *L, tg_value *from) {
    /* A private copy of a buffer's bytes in dynamic scratch, seen as a value of the same shape. */
    tg_value *v = TG_NEW(L->arena, tg_value);
    *v = *from;
    v->id = (uint32_t)(L->n_info++);
    L->info[v->id] = *tg_info(L, from);
    tg_vinfo *info = tg_info(L, v);
    tg_builder *b = &L->b;
    tg_value *tmp = tg_scratch_take(&L->scratch, b, info->bytes);
    (void)tmp;
    info->offset = L->scratch.used - tg_round_up_i64(info->bytes, 64);
    tg_value *ops[3] = {tg_buffer_ptr(L, b, v), tg_buffer_ptr(L, b, from),
                        tg_build_index(b, info->bytes)};
    tg_build_op(b, TG_OP_MEMCPY, 3, ops, 0, NULL, 0);
    return v;
}

/* Moves values[i] into the buffers of dest[i], as if all at once. */
static void move_tiles(tg_lower *L, int n, tg_value **values, tg_value **dest) {
    int64_t mark = L->scratch.used;
    for (int i = 0; i < n; i++) {
        for (int k = i + 1; k < n && tg_is_tile(dest[i]); k++) {
            bool later = tg_is_tile(values[k]) && tg_info(L, values[k])->kind == TG_V_BUFFER &&
                         tg_info(L, values[k])->offset == tg_info(L, dest[i])->offset &&
                         tg_info(L, values[k])->offset != tg_info(L, dest[k])->offset;
            bool written = tg_is_tile(values[i]) &&
                           !(tg_info(L, values[i])->kind == TG_V_BUFFER &&
                             tg_info(L, values[i])->offset == tg_info(L, dest[i])->offset);
            if (later && written) {
                values[k] = alias_copy(L, values[k]);
            }
        }
        if (tg_is_tile(dest[i])) {
            tg_emit_copy(L, values[i], dest[i]);
        }
    }
    L->scratch.used = mark;
}

static void yields_of(tg_op *yield, int first, int n, tg_value **out) {
    for (int i = 0; i < n; i++) {
        out[i] = tg_operand(yield, first + i);
    }
}

/* Loop values of the scalar ones among v. */
static int scalars_of(tg_lower *L, int n, tg_value **v, tg_value **out) {
    int count = 0;
    for (int i = 0; i < n; i++) {
        if (!tg_is_tile(v[i])) {
            out[count++] = tg_scalar(L, v[i]);
        }
    }
    return count;
}

static void bind_scalars(tg_lower *L, int n, tg_value **v, tg_value **loop) {
    for (int i = 0, at = 0; i < n; i++) {
        if (!tg_is_tile(v[i])) {
            tg_info(L, v[i])->loop = loop[at++];
        }
    }
}

static void emit_for(tg_lower *L, tg_op *op) {
    int n = op->n_results;
    tg_arena *a = L->arena;
    tg_value **init = TG_NEW_ARRAY(a, tg_value *, n + 1),
             **args = TG_NEW_ARRAY(a, tg_value *, n + 1);
    tg_value **next = TG_NEW_ARRAY(a, tg_value *, n + 1),
             **results = TG_NEW_ARRAY(a, tg_value *, n + 1);
    tg_value **carried = TG_NEW_ARRAY(a, tg_value *, n + 1);
    for (int i = 0; i < n; i++) {
        init[i] = tg_operand(op, 3 + i);
        args[i] = op->regions[0]->args[1 + i];
        results[i] = &op->results[i];
    }
    tg_value *lo = tg_scalar(L, tg_operand(op, 0)), *hi = tg_scalar(L, tg_operand(op, 1));
    tg_value *step = tg_scalar(L, tg_operand(op, 2)), *iv;
    move_tiles(L, n, init, args);
    int n_scalars = scalars_of(L, n, init, carried);
    tg_op *loop = tg_build_for(&L->b, lo, hi, step, n_scalars, carried, &iv);
    tg_info(L, op->regions[0]->args[0])->loop = iv;
    bind_scalars(L, n, args, carried);
    tg_emit_region(L, op->regions[0]);
    yields_of(op->regions[0]->last, 0, n, next);
    scalars_of(L, n, next, carried);
    move_tiles(L, n, next, args);
    tg_build_end_for(&L->b, loop, n_scalars, carried);
    bind_scalars(L, n, results, carried);
}

static void emit_if(tg_lower *L, tg_op *op) {
    int n = op->n_results;
    tg_arena *a = L->arena;
    tg_value **next = TG_NEW_ARRAY(a, tg_value *, n + 1),
             **results = TG_NEW_ARRAY(a, tg_value *, n + 1);
    tg_value **loop = TG_NEW_ARRAY(a, tg_value *, n + 1);
    const tg_type **types = TG_NEW_ARRAY(a, const tg_type *, n + 1);
    int n_scalars = 0;
    for (int i = 0; i < n; i++) {
        results[i] = &op->results[i];
        if (!tg_is_tile(results[i])) {
            types[n_scalars++] = tg_loop_type(L, results[i]->type->dtype, 1);
        }
    }
    tg_op *branch = tg_build_if(&L->b, tg_scalar(L, tg_operand(op, 0)), n_scalars, types);
    for (int r = 0; r < 2; r++) {
        tg_emit_region(L, op->regions[r]);
        yields_of(op->regions[r]->last, 0, n, next);
        scalars_of(L, n, next, loop);
        for (int i = 0; i < n; i++) {
            if (tg_is_tile(results[i]) && tg_info(L, results[i])->kind == TG_V_DEAD) {
                next[i] = results[i]; /* nobody reads it */
            }
        }
        move_tiles(L, n, next, results);
        if (r == 0) {
            tg_build_else(&L->b, branch, n_scalars, loop);
        } else {
            tg_build_end_if(&L->b, branch, n_scalars, loop);
        }
    }
    for (int i = 0, at = 0; i < n; i++) {
        if (!tg_is_tile(results[i])) {
            tg_info(L, results[i])->loop = &branch->results[at++];
        }
    }
}

static void emit_while(tg_lower *L, tg_op *op) {
    int n = op->n_results;
    tg_arena *a = L->arena;
    tg_value **v = TG_NEW_ARRAY(a, tg_value *, n + 1), **loop = TG_NEW_ARRAY(a, tg_value *, n + 2);
    tg_value **results = TG_NEW_ARRAY(a, tg_value *, n + 1);
    for (int i = 0; i < n; i++) {
        v[i] = tg_operand(op, i);
        results[i] = &op->results[i];
    }
    move_tiles(L, n, v, op->regions[0]->args);
    int n_scalars = scalars_of(L, n, v, loop);
    const tg_type **types = TG_NEW_ARRAY(a, const tg_type *, n_scalars + 1);
    for (int i = 0; i < n_scalars; i++) {
        types[i] = loop[i]->type;
    }
    tg_op *w = tg_build_op(&L->b, TG_OP_WHILE, n_scalars, loop, n_scalars, types, 2);
    tg_op_set_int(w, TG_ATTR_MAX, tg_attr_int(op, TG_ATTR_MAX, INT64_MAX));
    tg_builder after = L->b;
    for (int r = 0; r < 2; r++) {
        for (int i = 0; i < n_scalars; i++) {
            loop[i] = tg_region_add_arg(w->regions[r], types[i], NULL);
        }
        L->b = tg_builder_at_end(w->regions[r]);
        L->b.span = op->span;
        bind_scalars(L, n, op->regions[r]->args, loop);
        tg_emit_region(L, op->regions[r]);
        tg_op *yield = op->regions[r]->last;
        yields_of(yield, r == 0 ? 1 : 0, n, v);
        tg_value *test = r == 0 ? tg_scalar(L, tg_operand(yield, 0)) : NULL;
        scalars_of(L, n, v, loop + 1);
        move_tiles(L, n, v, op->regions[0]->args);
        loop[0] = test;
        tg_build_op(&L->b, TG_OP_YIELD, n_scalars + (r == 0), r == 0 ? loop : loop + 1, 0, NULL, 0);
    }
    L->b = after;
    for (int i = 0; i < n_scalars; i++) {
        loop[i] = &w->results[i];
    }
    bind_scalars(L, n, results, loop);
}

/* ---- regions
 * ------------------------------------------------------------------------------------------------
 */

static bool is_scalar_value_op(const tg_op *op) {
    return op->n_results == 1 && tg_type_is_scalar(op->results[0].type) && op->n_regions == 0;
}

static void emit_op(tg_lower *L, tg_op *op) {
    switch ((int)op->code) {
    case TG_OP_FOR:
        if (tg_contractible(L, op)) {
            tg_emit_contracted(L, op);
        } else {
            emit_for(L, op);
        }
        return;
    case TG_OP_WHILE:
        emit_while(L, op);
        return;
    case TG_OP_IF:
        emit_if(L, op);
        return;
    case TG_OP_YIELD:
    case TG_OP_VIEW:
    case TG_OP_PRINT:
    case TG_OP_ASSUME:
        return;
    case TG_OP_SPAN:
        emit_span(L, op);
        return;
    case TG_OP_ASSERT: {
        tg_value *cond = tg_scalar(L, tg_operand(op, 0));
        tg_build_op(&L->b, TG_OP_ASSERT, 1, &cond, 0, NULL, 0);
        const tg_attr *text = tg_attr_get(op, TG_ATTR_TEXT);
        tg_op_set_str(L->b.region->last, TG_ATTR_TEXT, text != NULL ? text->s : "");
        return;
    }
    case TG_OP_EXTERN:
        tg_unsupported(L, op, "vendor code cannot be called on this target; use the portable body");
        return;
    case TG_OP_DOT:
        tg_emit_dot_op(L, op);
        return;
    default:
        break;
    }
    if (tg_is_select_op(op->code)) {
        tg_emit_select_op(L, op);
    } else if (tg_is_nest_op(L, op)) {
        tg_emit_nests(L, op);
    } else if (is_scalar_value_op(op)) {
        emit_scalar(L, op);
    }
}

void tg_emit_region(tg_lower *L, tg_region *r) {
    for (tg_op *op = r->first; op != NULL && L->status == TG_OK; op = op->next) {
        if (!tg_opi(op)->done) {
            L->b.span = op->span;
            emit_op(L, op);
        }
    }
}

/* ---- entry functions
 * ------------------------------------------------------------------------------------------ */

static void number_ops(tg_lower *L, tg_region *r) {
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        tg_opinfo *oi = TG_NEW(L->arena, tg_opinfo);
        op->scratch = oi;
        oi->pos = (int)L->ops.count;
        TG_LIST_PUSH(L->arena, &L->ops, op);
        for (int i = 0; i < op->n_regions; i++) {
            number_ops(L, op->regions[i]);
        }
        oi->end = (int)L->ops.count - 1;
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

static tg_value *start_function(tg_lower *L, const char *role, int n_args,
                                const tg_type *const *types) {
    tg_arena *a = L->out->arena;
    tg_func *f =
        tg_func_make(L->out, tg_arena_printf(a, "%s.%s", L->kernel->name, role), TG_LEVEL_LOOP);
    f->role = tg_intern(&L->out->strings, role, strlen(role));
    f->span = L->kernel->span;
    f->body = tg_region_make(f, NULL);
    for (int i = 0; i < n_args; i++) {
        tg_region_add_arg(f->body, types[i], NULL);
    }
    L->fn = f;
    L->b = tg_builder_at_end(f->body);
    L->b.span = L->kernel->span;
    L->slots = f->body->args[0];
    /* A never-false marker op separates the entry code (before it) from the rest. */
    tg_value *mark = tg_build_index(&L->b, 0);
    L->entry = tg_builder_before(mark->def);
    return mark;
}

/* Blocks per grid axis, from the grid region; n_grid values. */
static void grid_blocks(tg_lower *L, tg_value **out, bool check) {
    tg_func *k = L->kernel;
    for (int i = 0; i < k->grid->n_args; i++) {
        tg_info(L, k->grid->args[i])->kind = TG_V_SCALAR;
    }
    for (tg_op *op = k->grid->first; op != NULL; op = op->next) {
        for (int r = 0; r < op->n_results; r++) {
            *tg_info(L, &op->results[r]) = (tg_vinfo){.kind = TG_V_SCALAR};
            if (op->results[r].type->kind == TG_TY_SPAN) {
                tg_info(L, &op->results[r])->kind = TG_V_NONE;
            }
        }
    }
    tg_emit_region(L, k->grid);
    tg_builder *b = &L->b;
    for (int i = 0; i < k->n_grid; i++) {
        tg_value *e = tg_scalar(L, tg_operand(k->grid->last, i));
        if (check) {
            tg_value *neg = tg_build_cmp(b, TG_CMP_LT, e, tg_build_index(b, 0));
            tg_op *trap = tg_build_op(b, TG_OP_TRAP, 1, &neg, 0, NULL, 0);
            tg_op_set_int(trap, TG_ATTR_VALUE_I, TG_CPU_TRAP_GRID);
        }
        if (k->grid_by[i] > 1) { /* (e - 1) / by + 1 does not overflow for e > 0; 0 gives 0 */
            tg_value *by = tg_build_index(b, k->grid_by[i]), *one = tg_build_index(b, 1);
            tg_value *q = tg_build_binary(b, TG_OP_DIV, tg_build_binary(b, TG_OP_SUB, e, one), by);
            tg_value *some = tg_build_cmp(b, TG_CMP_GT, e, tg_build_index(b, 0));
            e = tg_build_select(b, some, tg_build_binary(b, TG_OP_ADD, q, one),
                                tg_build_index(b, 0));
        }
        out[i] = e;
    }
}

static void forget_values(tg_lower *L) {
    for (size_t i = 0; i < L->n_info; i++) {
        L->info[i].loop = NULL;
        L->info[i].tensor = NULL;
        L->info[i].lo = L->info[i].hi = L->info[i].len = NULL;
    }
}

static void store_plan(tg_lower *L, tg_value *plan, int64_t offset, tg_value *v) {
    tg_builder *b = &L->b;
    tg_build_storem(b, tg_build_gep(b, plan, tg_build_index(b, offset), 1), v, 0);
}

static void emit_plan(tg_lower *L) {
    const tg_type *ptr = tg_type_ptr(L->out), *types[2] = {ptr, ptr};
    forget_values(L);
    start_function(L, "plan", 2, types);
    tg_builder *b = &L->b;
    tg_value *blocks[TG_MAX_RANK + 1];
    grid_blocks(L, blocks, true);
    tg_value *total = tg_build_index(b, 1), *zero = tg_build_index(b, 0);
    tg_value *limit = tg_build_index(b, (int64_t)1 << 62);
    for (int i = 0; i < L->kernel->n_grid; i++) { /* total <= limit / blocks, or blocks is 0 */
        tg_value *room = tg_build_binary(b, TG_OP_DIV, limit, blocks[i]);
        tg_value *over = tg_build_binary(b, TG_OP_AND, tg_build_cmp(b, TG_CMP_GT, blocks[i], zero),
                                         tg_build_cmp(b, TG_CMP_GT, total, room));
        tg_op *trap = tg_build_op(b, TG_OP_TRAP, 1, &over, 0, NULL, 0);
        tg_op_set_int(trap, TG_ATTR_VALUE_I, TG_CPU_TRAP_GRID);
        total = tg_build_binary(b, TG_OP_MUL, total, blocks[i]);
    }
    tg_value *plan = L->fn->body->args[1];
    const tg_type *i32 = tg_type_scalar(L->out, TG_DT_I32);
    store_plan(L, plan, (int64_t)offsetof(tg_cpu_plan, programs), total);
    store_plan(L, plan, (int64_t)offsetof(tg_cpu_plan, scratch_bytes),
               tg_build_index(b, L->scratch.peak));
    store_plan(L, plan, (int64_t)offsetof(tg_cpu_plan, shared_bytes), zero);
    store_plan(L, plan, (int64_t)offsetof(tg_cpu_plan, n_phases), tg_build_int(b, i32, 1));
    tg_build_op(b, TG_OP_YIELD, 0, NULL, 0, NULL, 0);
}

/* Block numbers of program pid, last axis fastest. */
static void decode_pid(tg_lower *L, tg_value *pid, tg_value **blocks) {
    tg_func *k = L->kernel;
    tg_builder *b = &L->b;
    for (int i = k->n_grid - 1; i >= 0; i--) {
        tg_value *id = pid;
        if (i > 0) {
            tg_value *q = tg_build_binary(b, TG_OP_DIV, pid, blocks[i]);
            id = tg_build_binary(b, TG_OP_SUB, pid, tg_build_binary(b, TG_OP_MUL, q, blocks[i]));
            pid = q;
        }
        tg_info(L, k->body->args[k->n_params + i])->loop = id;
    }
}

static bool can_trap(const tg_region *r) {
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_ASSERT || op->code == TG_OP_WHILE) {
            return true;
        }
        for (int i = 0; i < op->n_regions; i++) {
            if (can_trap(op->regions[i])) {
                return true;
            }
        }
    }
    return false;
}

/* Which program runs, should it trap. */
static void note_program(tg_lower *L, tg_value *report, tg_value *pid) {
    if (can_trap(L->kernel->body)) {
        tg_value *at = tg_build_index(&L->b, (int64_t)offsetof(struct tg_cpu_report, program));
        tg_build_storem(&L->b, tg_build_gep(&L->b, report, at, 1), pid, 0);
    }
}

static void emit_phase(tg_lower *L) {
    const tg_type *ptr = tg_type_ptr(L->out), *i64 = tg_type_scalar(L->out, TG_DT_I64);
    const tg_type *types[6] = {ptr, i64, i64, ptr, ptr, ptr};
    forget_values(L);
    start_function(L, "phase0", 6, types);
    tg_value **args = L->fn->body->args;
    L->scratch_base = args[3];
    L->scratch = (tg_scratch){.base = args[3], .used = L->static_bytes, .peak = L->static_bytes};
    tg_builder *b = &L->b;
    L->zeros = tg_build1(b, TG_OP_ALLOCA, ptr, 0);
    tg_op_set_int(L->zeros->def, TG_ATTR_BYTES, TG_CPU_ZERO_BYTES);
    tg_op_set_int(L->zeros->def, TG_ATTR_ALIGN, 64);
    const tg_type *u8 = tg_type_scalar(L->out, TG_DT_U8);
    tg_value *set[3] = {L->zeros, tg_build_int(b, u8, 0), tg_build_index(b, TG_CPU_ZERO_BYTES)};
    tg_build_op(b, TG_OP_MEMSET, 3, set, 0, NULL, 0);
    tg_value *blocks[TG_MAX_RANK + 1], *pid;
    grid_blocks(L, blocks, false);
    tg_op *loop = tg_build_for(b, args[1], args[2], tg_build_index(b, 1), 0, NULL, &pid);
    note_program(L, args[5], pid);
    decode_pid(L, pid, blocks);
    tg_func *k = L->kernel;
    for (int i = 0; i < k->body->n_args; i++) {
        tg_info(L, k->body->args[i])->kind = TG_V_SCALAR;
    }
    tg_emit_region(L, k->body);
    if (L->status == TG_OK) {
        tg_build_end_for(b, loop, 0, NULL);
        tg_build_op(b, TG_OP_YIELD, 0, NULL, 0, NULL, 0);
    }
}

/* ---- door
 * --------------------------------------------------------------------------------------------------------
 */

tg_status tg_lower_cpu(tg_func *kernel, const tg_machine *machine, tg_module *out, tg_sink *sink) {
    tg_lower *L = TG_NEW(out->arena, tg_lower);
    *L = (tg_lower){.kernel = kernel, .mc = machine, .out = out, .sink = sink, .arena = out->arena};
    if (kernel->level != TG_LEVEL_TILE || machine->class_ != TG_MACHINE_CPU) {
        tg_error(sink, TG_D_BACKEND, kernel->span, "kernel %s cannot be lowered for %s",
                 kernel->name, machine->name);
        return TG_E_INVALID;
    }
    L->lanes = machine->vector_bytes / 2;
    L->n_info = kernel->next_value_id;
    /* Room behind for private copies made by move_tiles. */
    L->info = TG_NEW_ARRAY(L->arena, tg_vinfo, L->n_info + 4096);
    number_ops(L, kernel->grid);
    L->ops.count = 0;
    number_ops(L, kernel->body);
    tg_cpu_bounds(L);
    tg_cpu_decide(L);
    tg_cpu_find_rereads(L);
    emit_phase(L);
    if (L->status == TG_OK) {
        tg_func *phase = L->fn;
        for (size_t i = 0; i < L->ops.count; i++) {
            tg_opi(L->ops.data[i])->done = false;
        }
        emit_plan(L);
        tg_expand_legalise(phase, machine);
        tg_expand_legalise(L->fn, machine);
    }
    forget_numbers(kernel->grid);
    forget_numbers(kernel->body);
    return L->status;
}
