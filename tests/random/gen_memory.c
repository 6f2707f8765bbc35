/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that a generated kernel reads and writes, and records. `w` has a row for every program,
 * stored and loaded in program order; `z` is changed by atomics of all programs: additions, minima
 * or maxima only, whose order does not show, and the old values are used in a single program only.
 */
#include <string.h>

#include "tests/random/gen_internal.h"

enum { STATE_EXTENT = 24 };

/* ---- records ------------------------------------------------------------------------------------
 */

static int64_t field_bytes(gen_field *f) {
    int bits = tg_dtype_bits(f->dtype);
    int64_t stride = (bits + 7) / 8;
    for (int a = f->rank - 1; a >= 0; a--) {
        bool packed = bits == 4 && a == f->rank - 1;
        f->strides[a] = packed ? 0 : stride;
        stride = packed ? (f->dims[a] + 1) / 2 : stride * f->dims[a];
    }
    return stride;
}

/* A record of two or three fields, some at odd offsets, as a tensor of one or two axes. */
void gen_add_records(gen *g) {
    gen_param p = {.specials = g->specials, .padded = gen_chance(g, 30)};
    const tg_dim *dims[2] = {gen_random_dim(g), gen_random_dim(g)};
    int64_t bytes = 0;
    p.n_fields = 2 + gen_below(g, 2);
    for (int i = 0; i < p.n_fields; i++) {
        gen_field *f = &p.fields[i];
        f->dtype = gen_any_dtype(g);
        f->rank = gen_below(g, 3);
        for (int a = 0; a < f->rank; a++) {
            f->dims[a] = 1 + gen_below(g, 9);
        }
        int64_t align = (tg_dtype_bits(f->dtype) + 7) / 8;
        f->offset = (bytes + align - 1) / align * align;
        bytes = f->offset + field_bytes(f);
    }
    bytes = (bytes + 7) / 8 * 8;
    gen_add_param(g, "rec",
                  tg_type_tensor(g->m, TG_DT_RECORD, bytes, 1 + gen_below(g, 2), dims, false), 0,
                  p);
}

/* The field behind a chain of views of a parameter, outermost record first. */
static void note_view(gen_case *c, const tg_op *op) {
    const tg_op *chain[TG_MAX_RANK];
    int n = 0;
    const tg_value *v = &op->results[0];
    for (; v->def != NULL && v->def->code == TG_OP_VIEW && n < TG_MAX_RANK;
         v = v->def->operands[0].value) {
        chain[n++] = v->def;
    }
    int param = -1;
    for (int p = 0; p < c->func->n_params; p++) {
        param = c->func->body->args[p] == v ? p : param;
    }
    gen_param *p = param < 0 ? NULL : &c->params[param];
    if (p == NULL || p->n_fields == GEN_MAX_FIELDS || op->results[0].type->dtype == TG_DT_RECORD) {
        return;
    }
    gen_field f = {.dtype = op->results[0].type->dtype};
    int axis = v->type->rank;
    for (int i = n - 1; i >= 0; i--) {
        const tg_attr *strides = tg_attr_get(chain[i], TG_ATTR_STRIDES);
        f.offset += tg_attr_int(chain[i], TG_ATTR_BYTES, 0);
        for (size_t a = 0; strides != NULL && a < strides->n_list; a++) {
            int64_t none[1] = {0};
            f.dims[f.rank] = tg_dim_eval(op->results[0].type->dims[axis++], none);
            f.strides[f.rank++] = strides->list[a];
        }
    }
    for (int i = 0; i < p->n_fields; i++) {
        if (p->fields[i].offset == f.offset && p->fields[i].dtype == f.dtype) {
            return;
        }
    }
    p->fields[p->n_fields++] = f;
}

static void find_in_region(gen_case *c, const tg_region *r) {
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_VIEW) {
            note_view(c, op);
        }
        for (int i = 0; i < op->n_regions; i++) {
            find_in_region(c, op->regions[i]);
        }
    }
}

void gen_find_fields(gen_case *c) {
    if (c->func->body != NULL) {
        find_in_region(c, c->func->body);
    }
}

/* ---- state --------------------------------------------------------------------------------------
 */

void gen_add_state(gen *g) {
    static const tg_dtype counters[] = {TG_DT_I32, TG_DT_U32, TG_DT_I64, TG_DT_U64, TG_DT_F32};
    const tg_dim *dims[4];
    int rank = 0;
    for (int a = 0; a < g->func->n_grid; a++) {
        dims[rank++] = tg_dim_binary(g->m, TG_DIM_CDIV, tg_dim_sym(g->m, g->grid_sym[a]),
                                     tg_dim_const(g->m, g->func->grid_by[a]));
    }
    dims[rank++] = tg_dim_const(g->m, STATE_EXTENT);
    tg_dtype t = gen_any_dtype(g);
    g->state = g->func->n_params;
    gen_add_param(g, "w", tg_type_tensor(g->m, t, 0, rank, dims, false), TG_PARAM_INOUT,
                  (gen_param){.specials = g->specials, .padded = gen_chance(g, 30)});
    dims[0] = tg_dim_const(g->m, STATE_EXTENT);
    g->counters = g->func->n_params;
    g->counting = (tg_atomic_kind)gen_below(g, 3);
    gen_add_param(
        g, "z",
        tg_type_tensor(g->m, counters[gen_below(g, (int)TG_COUNT_OF(counters))], 0, 1, dims, false),
        TG_PARAM_INOUT, (gen_param){.specials = false});
}

/* The program's row, then `last`; axes for one value axis along `last`. */
static int state_index(gen *g, tg_value *last, tg_value **index) {
    int n = 0;
    for (int a = 0; a < g->func->n_grid; a++) {
        index[n++] = g->block[a];
    }
    index[n++] = last;
    return n;
}

static tg_value *state_span(gen *g, int64_t n) {
    int64_t lo = gen_below(g, STATE_EXTENT + 4) - 4;
    int64_t hi = gen_chance(g, 70) ? lo + n : lo + gen_below(g, (int)n + 1);
    return tg_build_span(&g->b, tg_build_index(&g->b, lo), tg_build_index(&g->b, hi), n);
}

/* n different positions with gaps, some outside. */
static tg_value *scattered(gen *g, int64_t n) {
    const tg_type *t = tg_type_tile(g->m, gen_chance(g, 50) ? TG_DT_I32 : TG_DT_I64, 1, &n);
    tg_value *i = tg_build_iota(&g->b, t->dtype, n);
    static const double steps[] = {1, 2, 3, -1, -2, 5};
    i = tg_build_binary(&g->b, TG_OP_MUL, i, gen_const(g, t, steps[gen_below(g, 6)]));
    return tg_build_binary(&g->b, TG_OP_ADD, i, gen_const(g, t, gen_below(g, 30) - 5));
}

static bool is_line(const gen_value *v) { return v->v->type->rank == 1; }

void gen_store_state(gen *g) {
    const gen_value *pick = gen_pick_if(g, is_line);
    if (pick == NULL) {
        return;
    }
    gen_value v = *pick;
    tg_value *w = g->func->body->args[g->state], *index[4];
    int64_t n = v.v->type->shape[0], axis = 0;
    tg_value *value = tg_build_cast(&g->b, v.v, w->type->dtype);
    int n_index = state_index(g, gen_chance(g, 60) ? state_span(g, n) : scattered(g, n), index);
    (void)tg_build_store(&g->b, w, value, n_index, index, 1, &axis, gen_full_mask(g, &v));
}

void gen_load_state(gen *g) {
    tg_value *w = g->func->body->args[g->state], *index[4];
    int64_t n = gen_size(g), axis = 0;
    tg_value *last = gen_chance(g, 70) ? state_span(g, n) : scattered(g, n);
    int n_index = state_index(g, last, index);
    gen_value r = gen_plain(
        tg_build_load(&g->b, w, n_index, index, 1, &n, 1, &axis, NULL)); /* opaque: stored bits */
    r.axis_mask[0] = tg_build_present(&g->b, last, tg_build_index(&g->b, STATE_EXTENT));
    gen_push(g, r);
}

void gen_atomic(gen *g) {
    const gen_value *pick = gen_pick_if(g, is_line);
    tg_value *z = g->func->body->args[g->counters];
    if (pick == NULL || pick->v->type->dtype == TG_DT_BOOL) {
        return;
    }
    bool alone = g->func->n_grid == 0, is_float = tg_dtype_is_float(z->type->dtype);
    gen_value v = *pick, i = {0};
    int64_t n = v.v->type->shape[0], axis = 0;
    if (is_float) { /* whole numbers, so that no order of additions shows */
        v.v = tg_build_cast(&g->b, v.v, TG_DT_F32);
        v = gen_tame(g, &v, 8);
    }
    gen_value *tile = gen_pick_if(g, gen_is_index_tile);
    bool fits = tile != NULL && tile->v->type->rank == 1 && tile->v->type->shape[0] == n;
    i = fits ? gen_else(g, tile, -1) : gen_plain(scattered(g, n));
    tg_atomic_kind kind =
        alone && !is_float && gen_chance(g, 30) ? (tg_atomic_kind)gen_below(g, 4) : g->counting;
    tg_value *value = tg_build_cast(&g->b, v.v, z->type->dtype), *args[5] = {z, value};
    int n_args = 2;
    if (kind == TG_ATOMIC_CAS) {
        args[n_args++] = gen_random_const(g, value->type).v;
    }
    args[n_args++] = i.v;
    tg_value *mask = gen_full_mask(g, &v);
    if (mask != NULL) {
        args[n_args++] = mask;
    }
    tg_op *op = tg_build_op(&g->b, TG_OP_ATOMIC, n_args, args, 1, &value->type, 0);
    tg_op_set_int(op, TG_ATTR_ATOMIC, kind);
    tg_op_set_list(op, TG_ATTR_AXES, &axis, 1);
    if (mask != NULL) {
        tg_op_set_int(op, TG_ATTR_MASKED, 1);
    }
    if (is_float) {
        tg_op_set_int(op, TG_ATTR_UNORDERED, 1);
    }
    if (alone) {
        gen_push(g, gen_plain(&op->results[0]));
    }
}
