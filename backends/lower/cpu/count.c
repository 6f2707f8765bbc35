/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counting and moving: histogram, scatter_add, ranks, compress.
 */
#include "backends/lower/cpu/select.h"

/* ---- counting and moving
 * --------------------------------------------------------------------------------------------- */

/* 0 <= i < n as a bool; *safe: i or 0. */
static tg_value *in_range(tg_ctx *x, tg_value *i, int64_t n, tg_value **safe) {
    tg_builder *b = sel_at(x);
    tg_value *ok = tg_build_binary(b, TG_OP_AND, tg_build_cmp(b, TG_CMP_GE, i, sel_ix(x, 0)),
                                   tg_build_cmp(b, TG_CMP_LT, i, sel_ix(x, n)));
    *safe = sel_select(x, ok, i, sel_ix(x, 0));
    return ok;
}

static tg_value *index_value(tg_ctx *x, tg_value *v, const tg_coord *c) {
    tg_dtype t = v->type->dtype;
    return tg_expand_convert(sel_at(x), x->L->mc, tg_elem(x, v, c).v, t, TG_DT_I64, TG_ROUND_RNE,
                             false);
}

void sel_emit_rank(tg_lower *L, tg_op *op) {
    tg_value *key = tg_operand(op, 0), *mask = sel_mask_operand(op), *r = &op->results[0];
    int64_t n = tg_attr_int(op, TG_ATTR_N, 1), mark = L->scratch.used;
    tg_value *table = tg_scratch_take(&L->scratch, &L->b, n * 4);
    tg_value *trip = sel_axis_trip(L, mask, 0, key->type->shape[0]), *iv;
    tg_ctx x = tg_ctx_begin(L, 1);
    tg_value *clear[3] = {table, tg_build_int(sel_at(&x), sel_scalar_type(&x, TG_DT_U8), 0),
                          sel_ix(&x, n * 4)};
    tg_build_op(sel_at(&x), TG_OP_MEMSET, 3, clear, 0, NULL, 0);
    tg_op *loop = tg_ctx_open(&x, sel_ix(&x, 0), trip, 1, 0, NULL, &iv);
    tg_coord c = sel_coord(&x, iv);
    tg_value *safe, *k = index_value(&x, key, &c);
    tg_value *ok = in_range(&x, k, n, &safe);
    tg_value *count = sel_load_at(&x, table, safe, TG_DT_I32);
    tg_value *counted = tg_build_binary(sel_at(&x), TG_OP_AND, ok, sel_present_at(&x, mask, &c, 0));
    sel_write_at(&x, r, &c, sel_select(&x, ok, count, tg_build_int(sel_at(&x), count->type, 0)));
    tg_value *inc = tg_build_cast(sel_at(&x), counted, TG_DT_I32);
    sel_store_at(&x, table, safe, TG_DT_I32, sel_add(&x, count, inc));
    tg_ctx_close(&x, loop, 0, NULL);
    tg_ctx_end(&x);
    L->scratch.used = mark;
}

/* ---- few of many
 * ---------------------------------------------------------------------------------------------
 */

/*
 * Where a mask picks few, which element is next is nothing a processor could guess: a branch for
 * every vector costs more than what is in it. So GROUP elements are looked at together, as bits,
 * and a loop goes through those that are set. A group in which many are goes by vectors.
 */
enum { GROUP = 64, MANY = 20 };

/*
 * How many bits are set is no better known: so many are gone through without asking. Where fewer
 * are, the rest writes the group's first element over places that later elements (or the zeros
 * behind the last) write again.
 */
enum { AT_ONCE = 4 };

/* A mask that is more than the end of a span, over an axis with room for groups. */
static bool picks(const tg_value *mask, int64_t extent) {
    return mask != NULL && extent >= 2 * GROUP && mask->def != NULL &&
           mask->def->code != TG_OP_SPAN_MASK && mask->def->code != TG_OP_PRESENT;
}

/* The coordinate of `lanes` elements from v + add on; v is a multiple of v_align. */
static tg_coord row_coord(tg_ctx *x, tg_value *v, int64_t add, int lanes, int v_align,
                          tg_value *span) {
    return (tg_coord){.v = v,
                      .add = add,
                      .lane = lanes > 1,
                      .level = x->depth,
                      .align = lanes,
                      .v_align = v_align,
                      .bound = span};
}

typedef tg_value *wanted_fn(tg_ctx *x, const void *what, const tg_coord *c);

/* Bit e: the element `first` + e is wanted. */
static tg_value *group_bits(tg_ctx *x, wanted_fn *wanted, const void *what, tg_value *first,
                            tg_value *span) {
    tg_value *bits = NULL;
    x->lanes = x->L->lanes < GROUP ? x->L->lanes : GROUP;
    for (int k = 0; k < GROUP; k += x->lanes) {
        tg_coord c = row_coord(x, first, k, x->lanes, GROUP, span);
        tg_value *part = tg_build_maskbits(sel_at(x), wanted(x, what, &c));
        tg_builder *b = sel_at(x);
        part = tg_build_binary(b, TG_OP_SHL, part, tg_build_int(b, part->type, k));
        bits = bits == NULL ? part : tg_build_binary(b, TG_OP_OR, bits, part);
    }
    x->lanes = 1;
    return bits;
}

static tg_value *bits_set(tg_ctx *x, tg_value *bits) {
    return tg_build_cast(sel_at(x), tg_build_unary(sel_at(x), TG_OP_POPCOUNT, bits), TG_DT_I64);
}

/* The place of the lowest set bit, which is taken off; that of the first element where none is. */
static tg_coord next_bit(tg_ctx *x, tg_value **bits, tg_value *first, tg_value *span) {
    tg_builder *b = sel_at(x);
    tg_value *less = tg_build_binary(b, TG_OP_SUB, *bits, tg_build_int(b, (*bits)->type, 1));
    tg_value *below = tg_build_binary(b, TG_OP_AND, tg_build_unary(b, TG_OP_NOT, *bits), less);
    tg_value *at = tg_build_binary(b, TG_OP_AND, bits_set(x, below), sel_ix(x, GROUP - 1));
    tg_coord c = sel_coord(x, sel_add(x, first, at));
    c.bound = span;
    *bits = tg_build_binary(b, TG_OP_AND, *bits, less);
    return c;
}

/* Elements of a row below `trip` that whole groups cover. */
static tg_value *in_groups(tg_ctx *x, tg_value *trip, int64_t size) {
    return tg_build_binary(sel_at(x), TG_OP_AND, trip, sel_ix(x, -size));
}

typedef struct packing {
    tg_value *from, *mask;
    tg_value *to; /* NULL: only the number is wanted */
} packing;

/* A vector's elements are all written where the count has got to: the next one wanted replaces what
 * was not, and finish_packing what remains behind the last. */
static tg_value *pack_vector(tg_ctx *x, const packing *p, const tg_coord *c, tg_value *count) {
    tg_builder *b = sel_at(x);
    tg_value *on = tg_ev_vec(x, tg_elem(x, p->mask, c)), *none = count;
    tg_value *e = p->to == NULL ? NULL : tg_ev_vec(x, tg_elem(x, p->from, c));
    tg_op *branch = tg_build_if(b, tg_build_reducev(b, TG_RED_ANY, on), 1, &count->type);
    for (int l = 0; l < x->lanes; l++) {
        if (p->to != NULL) {
            sel_store_at(x, tg_buffer_ptr(x->L, b, p->to), count, p->to->type->dtype,
                         tg_build_extract(b, e, l));
        }
        count = sel_add(x, count, tg_build_cast(b, tg_build_extract(b, on, l), TG_DT_I64));
    }
    tg_build_else(b, branch, 1, &count);
    tg_build_end_if(b, branch, 1, &none);
    return &branch->results[0];
}

/* Whole vectors of [lo, hi). */
static tg_value *pack_vectors(tg_ctx *x, const packing *p, tg_value *lo, tg_value *hi,
                              tg_value *span, tg_value *count) {
    int lanes = x->L->lanes / 2;
    tg_value *iv;
    tg_op *loop = tg_ctx_open(x, lo, hi, lanes, 1, &count, &iv);
    tg_coord c = row_coord(x, iv, 0, lanes, lanes, span);
    x->lanes = lanes;
    count = pack_vector(x, p, &c, count);
    x->lanes = 1;
    tg_ctx_close(x, loop, 1, &count);
    return count;
}

static tg_value *pack_wanted(tg_ctx *x, const void *what, const tg_coord *c) {
    return tg_ev_vec(x, tg_elem(x, ((const packing *)what)->mask, c));
}

static void pack_bit(tg_ctx *x, const packing *p, tg_value **bits, tg_value *first, tg_value *span,
                     tg_value *to) {
    tg_coord c = next_bit(x, bits, first, span);
    sel_store_at(x, tg_buffer_ptr(x->L, sel_at(x), p->to), to, p->to->type->dtype,
                 tg_elem(x, p->from, &c).v);
}

/* Groups from 0 to hi. */
static tg_value *pack_groups(tg_ctx *x, const packing *p, tg_value *hi, tg_value *span,
                             tg_value *count) {
    tg_value *first, *at;
    tg_op *loop = tg_ctx_open(x, sel_ix(x, 0), hi, GROUP, 1, &count, &first);
    tg_value *bits = group_bits(x, pack_wanted, p, first, span), *n = bits_set(x, bits);
    if (p->to != NULL) {
        size_t known = x->memo.count;
        tg_builder *b = sel_at(x);
        tg_op *branch = sel_when(x, tg_build_cmp(b, TG_CMP_GT, n, sel_ix(x, MANY)));
        pack_vectors(x, p, first, sel_add(x, first, sel_ix(x, GROUP)), span, count);
        tg_build_else(b, branch, 0, NULL);
        x->memo.count = known;
        for (int k = 0; k < AT_ONCE; k++) {
            pack_bit(x, p, &bits, first, span, sel_add(x, count, sel_ix(x, k)));
        }
        tg_op *each = tg_ctx_open(x, sel_ix(x, AT_ONCE), n, 1, 1, &bits, &at);
        pack_bit(x, p, &bits, first, span, sel_add(x, count, at));
        tg_ctx_close(x, each, 1, &bits);
        tg_build_end_if(b, branch, 0, NULL);
        x->memo.count = known;
    }
    count = sel_add(x, count, n);
    tg_ctx_close(x, loop, 1, &count);
    return count;
}

static tg_value *pack_one(tg_ctx *x, const packing *p, const tg_coord *c, tg_value *count) {
    tg_value *on = tg_elem(x, p->mask, c).v;
    if (p->to != NULL) {
        tg_value *e = tg_elem(x, p->from, c).v;
        sel_store_at(x, tg_buffer_ptr(x->L, sel_at(x), p->to), count, p->to->type->dtype, e);
    }
    return sel_add(x, count, tg_build_cast(sel_at(x), on, TG_DT_I64));
}

/* Zeros from the count to the end of the row. */
static void finish_packing(tg_ctx *x, const packing *p, tg_value *count) {
    int64_t bytes = tg_scratch_elem_bytes(p->to->type->dtype), n = p->to->type->shape[0];
    tg_builder *b = sel_at(x);
    tg_value *left = tg_build_binary(b, TG_OP_SUB, sel_ix(x, n), count);
    tg_value *ops[3] = {tg_build_gep(b, tg_buffer_ptr(x->L, b, p->to), count, bytes),
                        tg_build_int(b, sel_scalar_type(x, TG_DT_U8), 0),
                        tg_build_binary(b, TG_OP_MUL, left, sel_ix(x, bytes))};
    tg_build_op(b, TG_OP_MEMSET, 3, ops, 0, NULL, 0);
}

/* Is what lies behind the count never read? Where readers stay in the span of what is counted. */
static bool only_counted(const tg_lower *L, const tg_op *op) {
    for (const tg_use *u = op->results[0].uses; u != NULL; u = u->next) {
        bool counts = u->user->code == TG_OP_SCATTER_ADD || u->user->code == TG_OP_HISTOGRAM;
        tg_value *mask = counts ? sel_mask_operand(u->user) : NULL;
        const tg_value *span = mask == NULL ? NULL : tg_mask_span(L, mask, 0), *end = NULL;
        int64_t first = 1;
        for (end = span == NULL ? NULL : tg_operand(span->def, 1);
             end != NULL && end->def != NULL && end->def->code == TG_OP_CAST;) {
            end = tg_operand(end->def, 0);
        }
        if (end != &op->results[1] || !tg_value_const_int(tg_operand(span->def, 0), &first) ||
            first != 0) {
            return false;
        }
    }
    return true;
}

void sel_emit_compress(tg_lower *L, tg_op *op) {
    packing p = {.from = tg_operand(op, 0), .mask = tg_operand(op, 1), .to = &op->results[0]};
    int64_t extent = p.from->type->shape[0];
    tg_value *trip = sel_axis_trip(L, p.mask, 0, extent), *iv;
    tg_value *span = tg_mask_span(L, p.mask, 0);
    tg_ctx x = tg_ctx_begin(L, 1);
    p.to = tg_info(L, p.to)->kind == TG_V_BUFFER ? p.to : NULL;
    int lanes = L->lanes / 2;
    tg_value *count = sel_ix(&x, 0), *lo = count;
    if (lanes > 1 && picks(p.mask, extent)) {
        tg_value *hi = in_groups(&x, trip, GROUP);
        count = pack_groups(&x, &p, hi, span, count);
        lo = hi;
    }
    if (lanes > 1 && extent >= lanes) {
        tg_value *hi = in_groups(&x, trip, lanes);
        count = pack_vectors(&x, &p, lo, hi, span, count);
        lo = hi;
    }
    tg_op *loop = tg_ctx_open(&x, lo, trip, 1, 1, &count, &iv);
    tg_coord c = sel_coord(&x, iv);
    c.bound = span;
    count = pack_one(&x, &p, &c, count);
    tg_ctx_close(&x, loop, 1, &count);
    if (p.to != NULL && !only_counted(L, op)) {
        finish_packing(&x, &p, count);
    }
    tg_info(L, &op->results[1])->loop = tg_build_cast(sel_at(&x), count, TG_DT_I32);
    tg_ctx_end(&x);
}

/* ---- counting
 * ------------------------------------------------------------------------------------------------
 */

/* table[index[c]] += amount[c] at every present c whose index lies in the table. */
typedef struct updates {
    tg_value *index, *mask, *table;
    tg_value *amount; /* NULL: 1 */
    int64_t size;     /* entries of the table */
} updates;

/* What is added at c, in the table's arithmetic type. */
static tg_ev amount_at(tg_ctx *x, const updates *u, const tg_coord *c) {
    tg_dtype w = tg_dtype_arith(u->table->type->dtype);
    if (u->amount == NULL) {
        return (tg_ev){.v = tg_build_int(sel_at(x), sel_scalar_type(x, w), 1), .level = x->depth};
    }
    tg_ev e = tg_elem(x, u->amount, c);
    e.v = tg_expand_convert(&x->bl[e.level], x->L->mc, e.v, u->amount->type->dtype, w, TG_ROUND_RNE,
                            false);
    return e;
}

static void add_to_entry(tg_ctx *x, const updates *u, tg_value *i, tg_value *amount) {
    tg_builder *b = sel_at(x);
    tg_dtype t = u->table->type->dtype, w = tg_dtype_arith(t);
    tg_value *p = tg_build_gep(b, tg_buffer_ptr(x->L, b, u->table), i, tg_scratch_elem_bytes(t));
    tg_value *old = tg_build_loadm(b, sel_scalar_type(x, t), p, 0);
    tg_value *sum =
        sel_add(x, tg_expand_convert(b, x->L->mc, old, t, w, TG_ROUND_RNE, false), amount);
    tg_build_storem(b, p, tg_expand_convert(b, x->L->mc, sum, w, t, TG_ROUND_RNE, false), 0);
}

static void update_one(tg_ctx *x, const updates *u, const tg_coord *c) {
    tg_value *safe, *i = index_value(x, u->index, c);
    tg_value *ok = in_range(x, i, u->size, &safe);
    ok = tg_build_binary(sel_at(x), TG_OP_AND, ok, sel_present_at(x, u->mask, c, 0));
    tg_value *amount = amount_at(x, u, c).v;
    tg_op *branch = sel_when(x, ok);
    add_to_entry(x, u, safe, amount);
    sel_end_when(x, branch);
}

/*
 * A vector of indices: nothing is done when none counts, which is the rule where a mask picks few.
 * Lanes that do not count add to the entry behind the table, which every buffer has room for.
 */
static void update_vector(tg_ctx *x, const updates *u, const tg_coord *c) {
    tg_builder *b = sel_at(x);
    tg_dtype t = u->index->type->dtype;
    bool narrow = tg_dtype_bits(t) < 32 || (tg_dtype_bits(t) == 32 && tg_dtype_is_signed(t));
    tg_value *i = tg_ev_vec(x, tg_elem(x, u->index, c));
    i = tg_expand_convert(b, x->L->mc, i, t, narrow ? TG_DT_I32 : TG_DT_I64, TG_ROUND_RNE, false);
    tg_value *size = tg_build_int(b, i->type, u->size);
    tg_value *ok =
        tg_build_binary(b, TG_OP_AND, tg_build_cmp(b, TG_CMP_GE, i, tg_build_int(b, i->type, 0)),
                        tg_build_cmp(b, TG_CMP_LT, i, size));
    if (u->mask != NULL) {
        ok = tg_build_binary(b, TG_OP_AND, ok, tg_ev_vec(x, tg_elem(x, u->mask, c)));
    }
    tg_ev amount = amount_at(x, u, c);
    tg_op *branch = sel_when(x, tg_build_reducev(b, TG_RED_ANY, ok));
    i = tg_build_select(b, ok, i, size);
    for (int l = 0; l < x->lanes; l++) {
        tg_value *entry = tg_build_cast(b, tg_build_extract(b, i, l), TG_DT_I64);
        add_to_entry(x, u, entry, amount.vec ? tg_build_extract(b, amount.v, l) : amount.v);
    }
    sel_end_when(x, branch);
}

static void update_row(tg_ctx *x, const updates *u, tg_value *trip) {
    tg_coord c = {.align = 1};
    int lanes = x->L->lanes / 2;
    tg_value *lo = sel_ix(x, 0), *iv;
    tg_value *span = u->mask == NULL ? NULL : tg_mask_span(x->L, u->mask, 0);
    if (lanes > 1 && u->index->type->shape[0] >= lanes) {
        tg_value *whole = tg_build_binary(sel_at(x), TG_OP_AND, trip, sel_ix(x, -lanes));
        tg_op *loop = tg_ctx_open(x, lo, whole, lanes, 0, NULL, &iv);
        x->lanes = lanes;
        c = (tg_coord){.v = iv, .lane = 1, .level = x->depth, .align = lanes, .v_align = lanes};
        c.bound = span;
        update_vector(x, u, &c);
        x->lanes = 1;
        tg_ctx_close(x, loop, 0, NULL);
        lo = whole;
    }
    tg_op *loop = tg_ctx_open(x, lo, trip, 1, 0, NULL, &iv);
    c = sel_coord(x, iv);
    c.bound = span;
    update_one(x, u, &c);
    tg_ctx_close(x, loop, 0, NULL);
}

static void emit_updates(tg_lower *L, const updates *u) {
    const tg_type *t = u->index->type;
    tg_value *trip = t->rank == 0 ? NULL : sel_axis_trip(L, u->mask, 0, t->shape[0]);
    tg_ctx x = tg_ctx_begin(L, 1);
    if (t->rank == 1) {
        update_row(&x, u, trip);
    } else {
        tg_coord c[TG_MAX_RANK];
        tg_op *loops[TG_MAX_RANK + 1];
        int n = sel_open_axes(&x, t, -1, trip, c, loops);
        update_one(&x, u, c);
        sel_close_others(&x, n, loops);
    }
    tg_ctx_end(&x);
}

void sel_emit_histogram(tg_lower *L, tg_op *op) {
    tg_value *mask = sel_mask_operand(op), *r = &op->results[0];
    bool weighted = op->n_operands > (mask != NULL ? 2 : 1);
    updates u = {.index = tg_operand(op, 0),
                 .mask = mask,
                 .table = r,
                 .amount = weighted ? tg_operand(op, 1) : NULL,
                 .size = r->type->shape[0]};
    if (tg_info(L, r)->kind != TG_V_BUFFER) {
        return;
    }
    tg_ctx x = tg_ctx_begin(L, 1);
    sel_clear_buffer(&x, r);
    tg_ctx_end(&x);
    emit_updates(L, &u);
}

void sel_emit_scatter_add(tg_lower *L, tg_op *op) {
    tg_value *r = &op->results[0];
    updates u = {.index = tg_operand(op, 1),
                 .mask = sel_mask_operand(op),
                 .table = r,
                 .amount = tg_operand(op, 2),
                 .size = r->type->shape[0]};
    if (tg_info(L, r)->kind != TG_V_BUFFER) {
        return;
    }
    tg_emit_copy(L, tg_operand(op, 0), r);
    emit_updates(L, &u);
}
