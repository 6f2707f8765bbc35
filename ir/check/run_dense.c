/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reductions, products and teams: all elements are taken from their holders or buffers, the tile
 * interpreter says what the operation means, and the results go back.
 */
#include <string.h>

#include "ir/check/run.h"

/* The operation as the tile level has it, in a function of its own. */
typedef struct dense {
    tg_func *func;
    tg_op *op;
    tg_interp in;
    tg_interp_options options;
    int n_inputs;
    TG_LIST(tg_value *) captured; /* values from outside that the region reads: further arguments */
    tg_eval_fn *eval;
} dense;

static const tg_type *plain(tg_module *m, const tg_type *t) {
    return tg_type_tile(m, t->dtype, t->rank, t->shape);
}

static void copy_attrs(tg_op *to, const tg_op *from) {
    for (int i = 0; i < from->n_attrs; i++) {
        const tg_attr *a = &from->attrs[i];
        if (a->key == TG_ATTR_EXCHANGE || a->key == TG_ATTR_TEAM || a->key == TG_ATTR_N_COUNT) {
            continue;
        }
        if (a->n_list > 0) {
            tg_op_set_list(to, a->key, a->list, a->n_list);
        } else {
            tg_op_set_int(to, a->key, a->i);
        }
    }
}

/* Values that a region makes itself. */
static void note_own(const tg_region *r, tg_value_map *own) {
    for (int i = 0; i < r->n_args; i++) {
        tg_value_map_put(own, r->args[i], r->args[i]);
    }
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        for (int i = 0; i < op->n_results; i++) {
            tg_value_map_put(own, &op->results[i], &op->results[i]);
        }
        for (int k = 0; k < op->n_regions; k++) {
            note_own(op->regions[k], own);
        }
    }
}

/* What it reads from outside becomes an argument of the function around. */
static void capture(dense *d, const tg_region *r, const tg_value_map *own, tg_value_map *map,
                    tg_arena *a) {
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        for (int i = 0; i < op->n_operands; i++) {
            tg_value *v = tg_operand(op, i);
            if (tg_value_map_get(own, v) == NULL && tg_value_map_get(map, v) == NULL) {
                tg_value_map_put(map, v, tg_region_add_arg(d->func->body, v->type, NULL));
                TG_LIST_PUSH(a, &d->captured, v);
            }
        }
        for (int k = 0; k < op->n_regions; k++) {
            capture(d, op->regions[k], own, map, a);
        }
    }
}

static void copy_region(dense *d, const tg_op *from, tg_arena *a) {
    if (from->n_regions == 0 || d->op->n_regions == 0) {
        return;
    }
    const tg_region *src = from->regions[0];
    tg_region *dst = d->op->regions[0];
    tg_value_map *map = tg_value_map_make(a), *own = tg_value_map_make(a);
    note_own(src, own);
    capture(d, src, own, map, a);
    for (int i = 0; i < src->n_args; i++) {
        tg_value_map_put(map, src->args[i], tg_region_add_arg(dst, src->args[i]->type, NULL));
    }
    for (tg_op *op = src->first; op != NULL; op = op->next) {
        (void)tg_op_clone(op, dst, map);
    }
}

static tg_opcode team_code(const tg_op *op) {
    static const tg_opcode codes[] = {TG_OP_SCAN,        TG_OP_SORT,     TG_OP_TOPK,
                                      TG_OP_RANK_BY_KEY, TG_OP_COMPRESS, TG_OP_HISTOGRAM,
                                      TG_OP_SCATTER_ADD, TG_OP_REDUCE};
    return op->code == TG_OP_TEAM ? codes[tg_attr_int(op, TG_ATTR_TEAM, 0)] : op->code;
}

static tg_eval_fn *evaluator(tg_opcode code) {
    switch ((int)code) {
    case TG_OP_SCAN:
        return tg_eval_SCAN;
    case TG_OP_SORT:
        return tg_eval_SORT;
    case TG_OP_TOPK:
        return tg_eval_TOPK;
    case TG_OP_RANK_BY_KEY:
        return tg_eval_RANK_BY_KEY;
    case TG_OP_COMPRESS:
        return tg_eval_COMPRESS;
    case TG_OP_HISTOGRAM:
        return tg_eval_HISTOGRAM;
    case TG_OP_SCATTER_ADD:
        return tg_eval_SCATTER_ADD;
    case TG_OP_DOT:
        return tg_eval_DOT;
    }
    return tg_eval_REDUCE;
}

/* How many leading operands the operation reads. */
static int count_inputs(const tg_op *op) {
    if (op->code == TG_OP_TEAM) {
        return (int)tg_attr_int(op, TG_ATTR_N_COUNT, 0) +
               (tg_attr_int(op, TG_ATTR_MASKED, 0) != 0 ? 1 : 0);
    }
    int n = op->n_operands;
    while (op->code == TG_OP_REDUCE && n > 0 && tg_operand(op, n - 1)->type->kind == TG_TY_BUFFER) {
        n--;
    }
    return n;
}

static int count_outputs(const tg_op *op) {
    if (op->code != TG_OP_TEAM) {
        return op->n_results;
    }
    int ins = (int)tg_attr_int(op, TG_ATTR_N_COUNT, 0);
    switch ((tg_team_fn)tg_attr_int(op, TG_ATTR_TEAM, 0)) {
    case TG_TEAM_TOPK:
    case TG_TEAM_COMPRESS:
        return 2;
    case TG_TEAM_SORT:
        return ins;
    case TG_TEAM_FOLD:
        return ins / 2;
    case TG_TEAM_SCAN:
    case TG_TEAM_RANK_BY_KEY:
    case TG_TEAM_HISTOGRAM:
    case TG_TEAM_SCATTER_ADD:
        break;
    }
    return 1;
}

static tg_value *output(const tg_op *op, int k) {
    return op->code == TG_OP_TEAM ? tg_operand(op, count_inputs(op) + k) : &op->results[k];
}

/* The compressed count is an i32 scalar at the tile level and a buffer of one element here. */
static const tg_type *output_type(tg_module *m, const tg_op *op, int k) {
    const tg_type *t = output(op, k)->type;
    bool scalar =
        op->code == TG_OP_TEAM && k == 1 && tg_attr_int(op, TG_ATTR_TEAM, 0) == TG_TEAM_COMPRESS;
    return scalar ? tg_type_scalar(m, t->dtype) : plain(m, t);
}

static dense *make_dense(tg_run *r, const tg_op *op) {
    tg_module *m = tg_module_make(r->arena);
    dense *d = TG_NEW(r->arena, dense);
    d->func = tg_func_make(m, "dense", TG_LEVEL_TILE);
    d->func->body = tg_region_make(d->func, NULL);
    d->n_inputs = count_inputs(op);
    tg_value **args = TG_NEW_ARRAY(r->arena, tg_value *, d->n_inputs + 1);
    for (int i = 0; i < d->n_inputs; i++) {
        bool init = op->code == TG_OP_TEAM && team_code(op) == TG_OP_REDUCE &&
                    i >= tg_attr_int(op, TG_ATTR_N_COUNT, 0) / 2 &&
                    i < tg_attr_int(op, TG_ATTR_N_COUNT, 0);
        const tg_type *t = tg_operand(op, i)->type;
        args[i] = tg_region_add_arg(d->func->body, init ? tg_type_scalar(m, t->dtype) : plain(m, t),
                                    NULL);
    }
    int n = count_outputs(op);
    const tg_type **types = TG_NEW_ARRAY(r->arena, const tg_type *, n + 1);
    for (int k = 0; k < n; k++) {
        types[k] = output_type(m, op, k);
    }
    tg_opcode code = team_code(op);
    d->op = tg_op_make(d->func, code, op->span, d->n_inputs, args, n, types,
                       tg_op_info_get(code)->n_regions);
    tg_op_append(d->func->body, d->op);
    copy_attrs(d->op, op);
    copy_region(d, op, r->arena);
    if (op->code == TG_OP_TEAM && code == TG_OP_REDUCE) {
        tg_op_set_int(d->op, TG_ATTR_RED, TG_RED_USER);
    }
    d->eval = evaluator(code);
    d->in = r->tiles;
    d->in.func = d->func;
    d->in.values = TG_NEW_ARRAY(r->arena, void *, d->func->next_value_id + 1);
    return d;
}

static tg_cell cell_of(tg_dtype t, uint64_t bits) {
    return tg_dtype_is_float(t) ? tg_num_decode(NULL, t, bits) : (tg_cell){.i = (int64_t)bits};
}

static uint64_t bits_of(tg_dtype t, tg_cell c) {
    return tg_dtype_is_float(t) ? tg_num_encode(t, c) : (uint64_t)c.i;
}

/* ---- inputs --------------------------------------------------------------------------------- */

/* All elements of a tile or buffer operand. Buffers are read by every lane. */
static void fetch(tg_run *r, const tg_op *op, const tg_value *v, uint64_t *bits, uint8_t *undef) {
    if (v->type->kind != TG_TY_BUFFER) {
        tg_run_gather(r, op, v, bits, undef);
        return;
    }
    tg_run_buffer b = tg_run_buffer_of(r, v);
    int64_t width = tg_li_elem_bytes(b.type->dtype);
    for (int64_t e = 0; e < tg_type_count(v->type); e++) {
        int64_t at = tg_run_byte_of(&b, e, 0);
        bool undefined = false;
        tg_run_touch(r, op, b.memory, at, width, TG_RUN_ALL, LI_READ, NULL, false, &undefined);
        undef[e] = undefined;
        bits[e] = at < 0 || at + width > b.memory->bytes
                      ? 0
                      : tg_li_read_bits(b.memory->base + at, b.type->dtype);
    }
}

static void deliver(tg_run *r, const tg_op *op, tg_value *v, const uint64_t *bits,
                    const uint8_t *undef) {
    if (v->type->kind != TG_TY_BUFFER) {
        tg_run_spread(r, v, bits, undef);
        return;
    }
    tg_run_buffer b = tg_run_buffer_of(r, v);
    int64_t width = tg_li_elem_bytes(b.type->dtype);
    for (int64_t e = 0; e < tg_type_count(v->type); e++) {
        unsigned char raw[8];
        int64_t at = tg_run_byte_of(&b, e, 0);
        tg_li_write_bits(raw, b.type->dtype, bits[e]);
        tg_run_touch(r, op, b.memory, at, width, TG_RUN_NOBODY, LI_WRITE, raw, undef[e] != 0, NULL);
        if (at >= 0 && at + width <= b.memory->bytes) {
            memcpy(b.memory->base + at, raw, (size_t)width);
        }
    }
}

/* The exchange buffers of a reduction: all write, meet, all read. */
static void exchange(tg_run *r, const tg_op *op) {
    int fence = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = count_inputs(op); i < op->n_operands; i++) {
            tg_run_buffer b = tg_run_buffer_of(r, tg_operand(op, i));
            fence = b.memory->fence;
            tg_run_touch(r, op, b.memory, b.offset, b.copy_bytes,
                         pass == 0 ? TG_RUN_NOBODY : TG_RUN_ALL, pass == 0 ? LI_WRITE : LI_READ,
                         NULL, false, NULL);
        }
        if (pass == 0) {
            tg_run_barrier(r, fence == 0 ? TG_FENCE_SHARED : TG_FENCE_GLOBAL);
        }
    }
}

static void scribble(tg_run *r, const tg_op *op) {
    for (int i = count_inputs(op) + count_outputs(op); op->code == TG_OP_TEAM && i < op->n_operands;
         i++) {
        tg_run_buffer b = tg_run_buffer_of(r, tg_operand(op, i));
        tg_run_touch(r, op, b.memory, b.offset, b.copy_bytes, TG_RUN_NOBODY, LI_WRITE, NULL, true,
                     NULL);
        if (b.offset + b.copy_bytes <= b.memory->bytes) {
            memset(b.memory->base + b.offset, 0x5A, (size_t)b.copy_bytes);
        }
    }
}

/* ---- undefined results ---------------------------------------------------------------------- */

/* Elements of the result that an undefined element along the axis decides. */
static void spread_undefined(const tg_op *op, const uint8_t *x, const uint64_t *mask,
                             const tg_type *mask_type, uint8_t *out) {
    const tg_type *t = tg_operand(op, 0)->type, *y = output(op, 0)->type;
    int64_t axis = tg_attr_int(op, TG_ATTR_AXIS, 0), at[TG_MAX_RANK], to[TG_MAX_RANK];
    for (int64_t e = 0; e < tg_type_count(t); e++) {
        if (!x[e]) {
            continue;
        }
        tg_coords_of(t->rank, t->shape, e, at);
        if (mask != NULL && mask[mask_type->rank == t->rank ? e : at[axis]] == 0) {
            continue;
        }
        for (int a = 0, k = 0; a < t->rank; a++) {
            if (a != axis) {
                to[k++] = at[a];
            }
        }
        out[y->rank == t->rank - 1 ? tg_elem_of(y->rank, y->shape, to) : 0] = 1;
    }
}

/* A row of a or a column of b with an undefined element spoils its row or column. */
static void spread_dot(const tg_op *op, const uint8_t *a, const uint8_t *b, const uint64_t *kmask,
                       uint8_t *out) {
    const tg_type *ta = tg_operand(op, 0)->type, *tb = tg_operand(op, 1)->type;
    int64_t m = ta->shape[ta->rank - 2], k = ta->shape[ta->rank - 1], n = tb->shape[tb->rank - 1];
    int64_t batches = tg_type_count(ta) / (m * k);
    bool per_batch = kmask != NULL && tg_operand(op, 3)->type->rank > 1;
    for (int64_t g = 0; g < batches; g++) {
        for (int64_t i = 0; i < k; i++) {
            if (kmask != NULL && kmask[per_batch ? g * k + i : i] == 0) {
                continue;
            }
            for (int64_t row = 0; row < m; row++) {
                for (int64_t c = 0; a[(g * m + row) * k + i] && c < n; c++) {
                    out[(g * m + row) * n + c] = 1;
                }
            }
            for (int64_t c = 0; c < n; c++) {
                for (int64_t row = 0; b[(g * k + i) * n + c] && row < m; row++) {
                    out[(g * m + row) * n + c] = 1;
                }
            }
        }
    }
}

bool tg_run_dense_op(tg_run *r, const tg_li_ins *i) {
    tg_op *op = i->op;
    if (op->code != TG_OP_REDUCE && op->code != TG_OP_DOT && op->code != TG_OP_TEAM) {
        return false;
    }
    dense *d = op->scratch != NULL ? op->scratch : make_dense(r, op);
    op->scratch = d;
    int masked = tg_attr_int(op, TG_ATTR_MASKED, 0) != 0 ? d->n_inputs - 1 : -1;
    uint64_t **bits = tg_run_temp(r, (d->n_inputs + 1) * (int64_t)sizeof(uint64_t *));
    uint8_t **undef = tg_run_temp(r, (d->n_inputs + 1) * (int64_t)sizeof(uint8_t *));
    for (int k = 0; k < d->n_inputs; k++) {
        const tg_value *v = tg_operand(op, k), *arg = d->func->body->args[k];
        int64_t n = tg_type_count(v->type);
        tg_cell *cells = tg_run_temp(r, n * (int64_t)sizeof(tg_cell));
        bits[k] = tg_run_temp(r, n * (int64_t)sizeof(uint64_t));
        undef[k] = tg_run_temp(r, n);
        fetch(r, op, v, bits[k], undef[k]);
        for (int64_t e = 0; e < n; e++) {
            cells[e] = cell_of(v->type->dtype, bits[k][e]);
        }
        d->in.values[arg->id] = cells;
    }
    for (size_t k = 0; k < d->captured.count; k++) { /* scalars */
        const tg_value *v = d->captured.data[k];
        tg_cell *cell = tg_run_temp(r, (int64_t)sizeof(tg_cell));
        *cell = cell_of(v->type->dtype, (uint64_t)tg_run_scalar(r, op, v, "a fold"));
        d->in.values[d->func->body->args[d->n_inputs + (int)k]->id] = cell;
    }
    if (op->code == TG_OP_REDUCE && count_inputs(op) < op->n_operands) {
        exchange(r, op);
    }
    d->in.stack = r->tiles.stack;
    d->eval(&d->in, d->op);
    r->tiles.stack = d->in.stack;
    for (int k = 0; k < d->op->n_results; k++) {
        tg_value *to = output(op, k);
        int64_t n = tg_type_count(to->type);
        const tg_cell *cells = d->in.values[d->op->results[k].id];
        uint64_t *out = tg_run_temp(r, n * (int64_t)sizeof(uint64_t));
        uint8_t *bad = tg_run_temp(r, n);
        for (int64_t e = 0; e < n; e++) {
            out[e] = bits_of(to->type->dtype, cells[e]);
        }
        if (op->code == TG_OP_REDUCE) {
            spread_undefined(op, undef[0], masked < 0 ? NULL : bits[masked],
                             masked < 0 ? NULL : tg_operand(op, masked)->type, bad);
        } else if (op->code == TG_OP_DOT) {
            memcpy(bad, undef[2], (size_t)n);
            spread_dot(op, undef[0], undef[1], masked < 0 ? NULL : bits[masked], bad);
        }
        deliver(r, op, to, out, bad);
    }
    scribble(r, op);
    return true;
}
