/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products: acc[m, n] += a[m, k] * b[k, n] with a and b in buffers and every lane's part of the
 * accumulator in registers.
 *
 * A lane's registers are rows times columns (its digits along M and N). They are taken in blocks of
 * a few rows and vectors of columns, small enough for the registers of the device; a block is
 * loaded from the accumulator's array, goes through the loop over k as loop-carried values, and is
 * stored back:
 *
 *   for k: b0..bn = vectors of row k of b;  for each row: a = a[row, k]; acc = fma(a, b, acc)
 *
 * Where the k mask is known to be the prefix of a span, the loop ends with the span; elsewhere what
 * it leaves out is read as 0 on both sides.
 */
#include "backends/lower/simt/simt.h"

#include "backends/lower/expand/expand.h"

enum { MAX_DIM = 512, MAX_BLOCK = 64 };

/* The digits along one axis, all combinations: element offset and register number of each. */
typedef struct side {
    int n;
    int64_t offset[MAX_DIM], reg[MAX_DIM];
} side;

typedef struct product {
    tg_simt *S;
    const tg_op *op;
    const ts_buf *a, *b, *kmask;
    const tg_layout *l;
    const int64_t *shape;
    int batch, m, n; /* axes */
    int64_t k;
    int lanes; /* of a vector along n */
    tg_dtype from_a, from_b, to;
    tg_value *array; /* accumulator */
    side rows, columns;
    tg_value *batch_reg, *batch_a, *batch_b, *batch_mask; /* i32 parts of the batch digits */
    tg_value *mask_slot;
} product;

static bool side_of(const tg_layout *l, int axis, side *s) {
    s->n = 1;
    s->offset[0] = s->reg[0] = 0;
    ts_nest digits;
    ts_digits(l, &digits);
    for (int k = 0; k < digits.n; k++) { /* inner digits vary fastest */
        for (int m = 0; m < l->n_modes; m++) {
            const tg_layout_mode *mode = &l->modes[m];
            if (mode->resource != TG_RES_REG || mode->axis != axis || mode->extent == 1 ||
                mode->place != digits.place[k]) {
                continue;
            }
            int old = s->n;
            if (old * mode->extent > MAX_DIM) {
                return false;
            }
            for (int64_t d = 1; d < mode->extent; d++) {
                for (int i = 0; i < old; i++) {
                    s->offset[s->n] = s->offset[i] + d * mode->stride;
                    s->reg[s->n++] = s->reg[i] + d * mode->place;
                }
            }
        }
    }
    return true;
}

static tg_value *i32(tg_builder *b, int64_t v) {
    return tg_build_int(b, tg_type_scalar(b->module, TG_DT_I32), v);
}

/* This lane's coordinate along an axis plus offset; those of padding come from the last `width`. */
static tg_value *coordinate(product *p, int axis, tg_value *more, int64_t offset, int64_t width) {
    tg_builder *b = &p->S->b;
    tg_value *lane = ts_lane_coord(p->S, p->l, axis);
    tg_value *c = lane == NULL ? i32(b, 0) : ts_i32(b, lane);
    if (more != NULL) {
        c = tg_build_binary(b, TG_OP_ADD, c, more);
    }
    c = ts_bin(b, TG_OP_ADD, c, offset);
    if (ts_reach(p->l, axis) > p->shape[axis]) {
        c = tg_build_binary(b, TG_OP_MIN, c, i32(b, p->shape[axis] - width));
    }
    return c;
}

/* How many neighbouring columns make a vector: consecutive registers, columns and memory. */
static int vector_of(const product *p) {
    int most = p->S->mc->emitter == TG_EMIT_OPENCL_C ? 8 : 4, v = 1;
    for (;;) {
        int w = v * 2;
        if (w > most || p->columns.n % w != 0 || p->shape[p->n] % w != 0) {
            return v;
        }
        for (int i = 0; i < p->columns.n; i++) {
            int first = i / w * w;
            if (p->columns.offset[i] - p->columns.offset[first] != i - first ||
                p->columns.reg[i] - p->columns.reg[first] != i - first) {
                return v;
            }
        }
        v = w;
    }
}

static tg_value *read_as(product *p, const ts_buf *u, tg_dtype from, tg_value *index, int lanes) {
    tg_simt *S = p->S;
    tg_value *v = ts_buf_read(S, &S->b, u, index, lanes);
    return tg_expand_convert(&S->b, S->mc, v, from, p->to, TG_ROUND_RNE, false);
}

static tg_value *read_columns(product *p, tg_value *index) {
    tg_simt *S = p->S;
    int64_t step = p->b->stride[p->n];
    if (p->lanes == 1 || step == 1) {
        return read_as(p, p->b, p->from_b, index, p->lanes);
    }
    tg_value *v = NULL;
    for (int l = 0; l < p->lanes; l++) {
        tg_value *e = ts_buf_read(S, &S->b, p->b, ts_bin(&S->b, TG_OP_ADD, index, step * l), 1);
        v = l == 0 ? tg_build_splat(&S->b, e, p->lanes) : tg_build_insert(&S->b, v, e, l);
    }
    return tg_expand_convert(&S->b, S->mc, v, p->from_b, p->to, TG_ROUND_RNE, false);
}

/* ---- the k mask -------------------------------------------------------------------------------
 */

/* The span whose mask the buffer holds: its only writer puts it whole, before the product. */
static const tg_value *prefix_span(const tg_op *dot) {
    const tg_value *buf = tg_operand(dot, 3);
    const tg_op *put = NULL;
    for (const tg_use *u = buf->uses; u != NULL; u = u->next) {
        if (u->user->code == TG_OP_PUT && tg_operand(u->user, 0) == buf) {
            if (put != NULL || tg_attr_get(u->user, TG_ATTR_OFFSETS) != NULL ||
                tg_attr_get(u->user, TG_ATTR_RING) != NULL) {
                return NULL;
            }
            put = u->user;
        } else if (u->user->code != TG_OP_DOT) {
            return NULL;
        }
    }
    if (put == NULL || put->parent != dot->parent) {
        return NULL;
    }
    for (const tg_op *o = dot->prev; o != put; o = o->prev) {
        if (o == NULL) {
            return NULL;
        }
    }
    const tg_op *mask = tg_operand(put, 1)->def;
    return mask != NULL && mask->code == TG_OP_SPAN_MASK ? tg_operand(mask, 0) : NULL;
}

tg_value *ts_dot_end(tg_simt *S, const tg_op *dot) {
    tg_builder *b = &S->b;
    const tg_value *span = dot->n_operands == 4 ? prefix_span(dot) : NULL;
    if (span == NULL) {
        return NULL;
    }
    const tg_type *t = dot->operands[0].value->type;
    const ts_info *s = ts_of(S, span);
    return tg_build_binary(b, TG_OP_MIN, tg_build_binary(b, TG_OP_SUB, s->hi, s->lo),
                           tg_build_index(b, t->shape[t->rank - 1]));
}

static tg_value *k_end(product *p) {
    tg_value *end = ts_dot_end(p->S, p->op);
    p->kmask = end != NULL ? NULL : p->kmask;
    return end != NULL ? end : tg_build_index(&p->S->b, p->k);
}

static tg_value *or_zero(tg_builder *b, tg_value *ok, tg_value *v) {
    if (ok == NULL) {
        return v;
    }
    tg_value *c = v->type->kind == TG_TY_VEC ? tg_build_splat(b, ok, v->type->shape[0]) : ok;
    return tg_build_select(b, c, v, tg_build_int(b, v->type, 0));
}

/* ---- blocks -----------------------------------------------------------------------------------
 */

static tg_value *multiply_add(product *p, tg_value *a, tg_value *b, tg_value *acc) {
    tg_builder *at = &p->S->b;
    if (p->lanes > 1) {
        a = tg_build_splat(at, a, p->lanes);
    }
    if (tg_dtype_is_float(p->to) && (p->S->mc->simt & TG_SIMT_FMA) != 0) {
        return tg_build_fma(at, a, b, acc);
    }
    return tg_build_binary(at, TG_OP_ADD, acc, tg_build_binary(at, TG_OP_MUL, a, b));
}

static tg_value *plus(tg_builder *b, tg_value *x, tg_value *y) {
    return y == NULL ? x : tg_build_binary(b, TG_OP_ADD, x, y);
}

/* Rows [r0, r0 + nr) times vectors of columns [v0, v0 + nv). */
static void block(product *p, tg_value *end, int r0, int nr, int v0, int nv) {
    tg_simt *S = p->S;
    tg_builder *b = &S->b;
    tg_value *acc[MAX_BLOCK], *reg[MAX_BLOCK], *row[MAX_BLOCK], *col[MAX_BLOCK], *bv[MAX_BLOCK];
    const tg_type *t = ts_type(S, p->to, p->lanes);
    for (int i = 0; i < nr; i++) {
        tg_value *m = coordinate(p, p->m, NULL, p->rows.offset[r0 + i], 1);
        row[i] = plus(b, ts_bin(b, TG_OP_MUL, m, p->a->stride[p->m]), p->batch_a);
        row[i] = tg_build_binary(b, TG_OP_ADD, row[i], ts_buf_start(b, p->a));
    }
    for (int j = 0; j < nv; j++) {
        tg_value *n = coordinate(p, p->n, NULL, p->columns.offset[(v0 + j) * p->lanes], p->lanes);
        col[j] = plus(b, ts_bin(b, TG_OP_MUL, n, p->b->stride[p->n]), p->batch_b);
        col[j] = tg_build_binary(b, TG_OP_ADD, col[j], ts_buf_start(b, p->b));
    }
    for (int i = 0; i < nr * nv; i++) {
        int64_t r = p->rows.reg[r0 + i / nv] + p->columns.reg[(v0 + i % nv) * p->lanes];
        reg[i] = plus(b, i32(b, r), p->batch_reg);
        acc[i] = tg_build_aload(b, t, p->array, reg[i], 1);
    }
    tg_value *iv;
    tg_op *loop = tg_build_for(b, S->zero, end, tg_build_index(b, 1), nr * nv, acc, &iv);
    tg_value *k = ts_i32(b, iv), *ok = NULL;
    if (p->kmask != NULL) {
        int last = p->kmask->rank - 1;
        tg_value *i = ts_bin(b, TG_OP_MUL, k, p->kmask->stride[last]);
        i = plus(b, tg_build_binary(b, TG_OP_ADD, i, ts_buf_start(b, p->kmask)), p->batch_mask);
        ok = ts_buf_read(S, b, p->kmask, i, 1);
    }
    tg_value *ka = ts_bin(b, TG_OP_MUL, k, p->a->stride[p->n]);
    tg_value *kb = ts_bin(b, TG_OP_MUL, k, p->b->stride[p->m]);
    for (int j = 0; j < nv; j++) {
        bv[j] = or_zero(b, ok, read_columns(p, tg_build_binary(b, TG_OP_ADD, col[j], kb)));
    }
    for (int i = 0; i < nr; i++) {
        tg_value *index = tg_build_binary(b, TG_OP_ADD, row[i], ka);
        tg_value *a = or_zero(b, ok, read_as(p, p->a, p->from_a, index, 1));
        for (int j = 0; j < nv; j++) {
            acc[i * nv + j] = multiply_add(p, a, bv[j], acc[i * nv + j]);
        }
    }
    tg_build_end_for(b, loop, nr * nv, acc);
    for (int i = 0; i < nr * nv; i++) {
        (void)tg_build_astore(b, p->array, reg[i], acc[i], 1);
    }
}

static void all_blocks(product *p, tg_value *end) {
    int vectors = p->columns.n / p->lanes, budget = p->lanes == 8 ? 8 : 16;
    int nv = vectors < 2 ? vectors : 2, nr = budget / nv;
    while (vectors % nv != 0) {
        nv--;
    }
    if (p->rows.n < nr) { /* few rows: wider */
        nr = p->rows.n;
        while (nv * 2 <= budget / nr && vectors % (nv * 2) == 0) {
            nv *= 2;
        }
    }
    for (int r = 0; r < p->rows.n; r += nr) {
        int rows = p->rows.n - r < nr ? p->rows.n - r : nr;
        for (int v = 0; v < vectors; v += nv) {
            block(p, end, r, rows, v, nv);
        }
    }
}

/* ---- batches ----------------------------------------------------------------------------------
 */

static tg_value *add_term(tg_builder *b, tg_value *sum, tg_value *v, int64_t times) {
    v = ts_bin(b, TG_OP_MUL, v, times);
    return sum == NULL ? v : tg_build_binary(b, TG_OP_ADD, sum, v);
}

/* Loops over the batch digits in registers, then the blocks. */
static void batches(product *p, tg_value *end, int axis, int mode, tg_value *coord) {
    tg_simt *S = p->S;
    tg_builder *b = &S->b;
    if (axis == p->batch) {
        all_blocks(p, end);
        return;
    }
    for (; mode < p->l->n_modes; mode++) {
        const tg_layout_mode *m = &p->l->modes[mode];
        if (m->resource == TG_RES_REG && m->axis == axis && m->extent > 1) {
            tg_value *iv, *keep = p->batch_reg;
            tg_op *loop = tg_build_for(b, tg_build_index(b, 0), tg_build_index(b, m->extent),
                                       tg_build_index(b, 1), 0, NULL, &iv);
            tg_value *d = ts_i32(b, iv);
            p->batch_reg = add_term(b, p->batch_reg, d, m->place);
            batches(p, end, axis, mode + 1, add_term(b, coord, d, m->stride));
            p->batch_reg = keep;
            tg_build_end_for(b, loop, 0, NULL);
            return;
        }
    }
    tg_value *c = coordinate(p, axis, coord, 0, 1);
    tg_value *ka = p->batch_a, *kb = p->batch_b, *km = p->batch_mask;
    p->batch_a = add_term(b, ka, c, p->a->stride[axis]);
    p->batch_b = add_term(b, kb, c, p->b->stride[axis]);
    if (p->kmask != NULL && p->kmask->rank > 1) {
        p->batch_mask = add_term(b, km, c, p->kmask->stride[axis]);
    }
    batches(p, end, axis + 1, 0, NULL);
    p->batch_a = ka;
    p->batch_b = kb;
    p->batch_mask = km;
}

/* ---- the accumulator --------------------------------------------------------------------------
 */

static bool single_use(const tg_value *v) { return v->uses != NULL && v->uses->next == NULL; }

/* The array of the sums; *out_filled: it holds the accumulator already. */
static tg_value *sums_of(tg_simt *S, tg_op *op, bool *out_filled) {
    tg_value *acc = tg_operand(op, 2), *r = &op->results[0];
    ts_info *i = ts_of(S, r), *from = ts_of(S, acc);
    bool lazy = ts_is_lazy(acc);
    if (!lazy && from->array != NULL && i->array == NULL) {
        bool own = acc->def != NULL && acc->def->parent == op->parent && single_use(acc);
        bool carried = acc->def == NULL && acc->region == op->parent &&
                       op->parent->parent != NULL && op->parent->parent->code == TG_OP_FOR &&
                       ts_uses_done(S, acc, 0, op, NULL);
        if (own || carried) {
            *out_filled = true;
            return i->array = from->array;
        }
    }
    if (i->array == NULL && i->home != NULL && ts_of(S, i->home)->array != NULL &&
        ts_uses_done(S, i->home, 0, NULL, NULL)) {
        i->array = ts_of(S, i->home)->array;
    }
    if (i->array == NULL) {
        i->array = ts_array(S, tg_carrier(r->type->dtype), ts_regs(r->type->layout), r->name);
    }
    return i->array;
}

tg_value *ts_dot_accumulator(tg_simt *S, tg_op *op) {
    bool filled = false;
    tg_value *array = sums_of(S, op, &filled);
    if (!filled) {
        ts_fill(S, tg_operand(op, 2), array);
    }
    return array;
}

static bool is_zero(const tg_value *v) {
    const tg_op *op = v->def;
    while (op != NULL && op->code == TG_OP_BROADCAST) {
        op = op->operands[0].value->def;
    }
    int64_t c;
    const tg_attr *f =
        op != NULL && op->code == TG_OP_CONST_FLOAT ? tg_attr_get(op, TG_ATTR_VALUE_F) : NULL;
    return op != NULL &&
           ((f != NULL && f->f == 0.0) || (tg_value_const_int(&op->results[0], &c) && c == 0));
}

tg_value *ts_dot_accumulator_or_zero(tg_simt *S, tg_op *op, bool *out_zero) {
    bool filled = false;
    tg_value *array = sums_of(S, op, &filled);
    *out_zero = !filled && is_zero(tg_operand(op, 2));
    if (!filled && !*out_zero) {
        ts_fill(S, tg_operand(op, 2), array);
    }
    return array;
}

void ts_emit_dot(tg_simt *S, tg_op *op) {
    const tg_type *t = op->results[0].type;
    if (!ts_is_tile(&op->results[0]) || t->layout == NULL ||
        (tg_operand(op, 0)->type->kind != TG_TY_BUFFER && op->n_operands != 3) ||
        tg_operand(op, 1)->type->kind != TG_TY_BUFFER) {
        ts_unsupported(S, op, "a product of tiles that are not in buffers");
        return;
    }
    const tg_matrix_unit *u = tg_matrix_find(tg_attr_str(op, TG_ATTR_UNIT));
    if (u != NULL && tg_matrix_reads_memory(u)) {
        ts_emit_dot_group(S, op, u);
        return;
    }
    if (u != NULL && tg_matrix_is_open(u)) {
        ts_emit_dot_unit(S, op);
        return;
    }
    if (u != NULL && ts_emit_dot_memory(S, op, u)) {
        return;
    }
    bool masked = tg_attr_int(op, TG_ATTR_MASKED, 0) != 0;
    product *p = TG_NEW(S->arena, product);
    p->S = S;
    p->op = op;
    p->a = ts_buf_of(S, tg_operand(op, 0));
    p->b = ts_buf_of(S, tg_operand(op, 1));
    p->kmask = masked ? ts_buf_of(S, tg_operand(op, 3)) : NULL;
    p->l = t->layout;
    p->shape = t->shape;
    p->batch = t->rank - 2;
    p->m = t->rank - 2;
    p->n = t->rank - 1;
    p->k = p->a->shape[p->n];
    p->from_a = p->a->dtype;
    p->from_b = p->b->dtype;
    p->to = t->dtype;
    p->array = ts_dot_accumulator(S, op);
    if (S->status != TG_OK) {
        return;
    }
    if (!side_of(p->l, p->m, &p->rows) || !side_of(p->l, p->n, &p->columns)) {
        ts_unsupported(S, op, "an accumulator of so many registers");
        return;
    }
    p->lanes = vector_of(p);
    tg_value *end = k_end(p);
    batches(p, end, 0, 0, NULL);
}
