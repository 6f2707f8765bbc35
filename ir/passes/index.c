/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index: finds the scalars and spans inside index tiles.
 *
 * Takes verified tile IR. Gives the same kernel where `span / c` and `span % c` are written by
 * pieces (one value for a block inside one piece, a repeated smaller tile for several), a load by
 * an index tile of one value is a load by a scalar, a load or store by consecutive positions is one
 * by a span, and a load by repeated positions reads each once. So a page of a paged cache is one
 * block copy, and a scale per 128 columns is one number. Refuses what affine.h cannot show: block
 * starts that are not multiples, arithmetic that may wrap, and masked loads whose shape would
 * change.
 *
 * Before (j a multiple of 64):
 *   %5 = add %iota, %j : i64[64]            // positions of the block
 *   %6 = div %5, %64 : i64[64]
 *   %7 = load %table, %6 {axes = [0]} : i32[64]
 *   %8 = rem %5, %64 : i64[64]
 *   %9 = load %cache, %7, %8 {axes = [0, 0]} : f32[64]
 * After:
 *   %6 = div %j, 64 : i64
 *   %7 = load %table, %6 {axes = []} : i32
 *   %8 = span 0, 64 : span<64>
 *   %9 = load %cache, %7, %8 {axes = [0]} : f32[64]
 */
#include "ir/passes/affine.h"
#include "ir/passes/util.h"

#include <string.h>

enum {
    MAX_PIECES = 1024, /* blocks inside one piece that are tried */
    MAX_ROUNDS = 4     /* a load may have more than one index to improve */
};

typedef struct indexer {
    tg_affine_ctx *affine;
    tg_builder b; /* in front of the op in question */
    bool changed;
} indexer;

/* A tile that is start + offsets, the offsets constant; start NULL: 0. */
typedef struct positions {
    tg_value *start; /* scalar of the tile's dtype */
    tg_value *offsets;
    int64_t low, high;
} positions;

static tg_op *defined_by(const tg_value *v, tg_opcode code) {
    return v->def != NULL && v->def->code == code ? v->def : NULL;
}

/* The scalar that all elements of a tile are, or NULL. */
static tg_value *uniform_of(indexer *x, const tg_value *v) {
    int64_t c;
    if (v->type->kind != TG_TY_TILE || v->type->rank == 0) {
        return NULL;
    }
    if (tg_value_const_int(v, &c)) {
        return tg_build_int(&x->b, tg_type_scalar(x->b.module, v->type->dtype), c);
    }
    const tg_op *spread = defined_by(v, TG_OP_BROADCAST);
    return spread != NULL && tg_type_is_scalar(tg_operand(spread, 0)->type) ? tg_operand(spread, 0)
                                                                            : NULL;
}

static bool is_splat(const tg_value *v) {
    const tg_op *spread = defined_by(v, TG_OP_BROADCAST);
    return spread != NULL && tg_type_is_scalar(tg_operand(spread, 0)->type);
}

/* The tile as start + offsets, exact (no element wraps). */
static bool positions_of(indexer *x, tg_value *v, positions *out) {
    tg_affine_tile whole = tg_affine_of_tile(x->affine, v);
    if (!whole.base.ok) {
        return false;
    }
    *out = (positions){.offsets = v};
    const tg_op *sum = defined_by(v, TG_OP_ADD);
    if (sum != NULL) {
        int s = is_splat(tg_operand(sum, 0)) ? 0 : is_splat(tg_operand(sum, 1)) ? 1 : -1;
        if (s >= 0) {
            out->start = tg_operand(tg_operand(sum, s)->def, 0);
            out->offsets = tg_operand(sum, 1 - s);
        }
    }
    tg_affine_tile off = tg_affine_of_tile(x->affine, out->offsets);
    out->low = off.base.constant + off.low;
    out->high = off.base.constant + off.high;
    return off.base.ok && off.base.n == 0;
}

static bool is_iota(const tg_value *v) { return defined_by(v, TG_OP_IOTA) != NULL; }

/* ---- span / c, span % c --------------------------------------------------------------------- */

/* Shown: start is at least 0 and a multiple of m. */
static bool starts_at_multiple(indexer *x, const positions *p, int64_t m, const tg_region *where) {
    if (p->start == NULL) {
        return true;
    }
    tg_affine a = tg_affine_of(x->affine, p->start);
    return tg_affine_divisible(x->affine, &a, m) && tg_affine_prove(x->affine, &a, where);
}

/*
 * The block lies inside one piece of c: some divisor d of c divides the start and the offsets stay
 * below d.
 */
static bool inside_one_piece(indexer *x, const positions *p, int64_t c, const tg_region *where) {
    for (int64_t k = 1; k <= MAX_PIECES && k <= c && c / k > p->high; k++) {
        if (c % k == 0 && starts_at_multiple(x, p, c / k, where)) {
            return p->low >= 0;
        }
    }
    return false;
}

static tg_value *scalar_or_zero(indexer *x, const positions *p) {
    const tg_type *t = tg_type_scalar(x->b.module, p->offsets->type->dtype);
    return p->start != NULL ? p->start : tg_build_int(&x->b, t, 0);
}

static tg_value *splat_like(indexer *x, tg_value *scalar, const tg_type *t) {
    return tg_build_splat_tile(&x->b, scalar, t->rank, t->shape);
}

static tg_value *one_piece(indexer *x, const tg_op *op, const positions *p, int64_t c) {
    const tg_type *t = op->results[0].type;
    tg_value *start = scalar_or_zero(x, p);
    tg_value *by = tg_build_int(&x->b, start->type, c);
    tg_value *q = tg_build_binary(&x->b, op->code, start, by);
    if (op->code == TG_OP_DIV) {
        return splat_like(x, q, t);
    }
    int64_t zero;
    if (starts_at_multiple(x, p, c, op->parent) || (tg_value_const_int(q, &zero) && zero == 0)) {
        return p->offsets;
    }
    return tg_build_binary(&x->b, TG_OP_ADD, p->offsets, splat_like(x, q, t));
}

/* 0 0 0 1 1 1 ... (+ start / c) for div, 0 1 2 0 1 2 ... for rem, over iota(n) with c dividing n.
 */
static tg_value *several_pieces(indexer *x, const tg_op *op, const positions *p, int64_t c) {
    const tg_type *t = op->results[0].type;
    int64_t shape[2] = {t->shape[0] / c, c}, axis[1] = {op->code == TG_OP_DIV ? 0 : 1};
    tg_value *piece = tg_build_iota(&x->b, t->dtype, shape[axis[0]]);
    if (op->code == TG_OP_DIV && p->start != NULL) {
        tg_value *by = tg_build_int(&x->b, p->start->type, c);
        tg_value *q = tg_build_binary(&x->b, TG_OP_DIV, p->start, by);
        piece = tg_build_binary(&x->b, TG_OP_ADD, piece, splat_like(x, q, piece->type));
    }
    return tg_build_reshape(&x->b, tg_build_broadcast(&x->b, piece, 2, shape, axis), 1, t->shape);
}

static tg_value *rule_divide(indexer *x, tg_op *op) {
    int64_t c;
    positions p;
    tg_dtype t = op->results[0].type->dtype;
    if (op->results[0].type->rank == 0 || !tg_dtype_is_int(t) || t == TG_DT_U64 ||
        !tg_value_const_int(tg_operand(op, 1), &c) || c <= 1 ||
        !positions_of(x, tg_operand(op, 0), &p)) {
        return NULL;
    }
    if (inside_one_piece(x, &p, c, op->parent)) {
        return one_piece(x, op, &p, c);
    }
    bool whole = op->results[0].type->rank == 1 && is_iota(p.offsets) &&
                 op->results[0].type->shape[0] % c == 0;
    return whole && starts_at_multiple(x, &p, c, op->parent) ? several_pieces(x, op, &p, c) : NULL;
}

/* ---- indices -------------------------------------------------------------------------------- */

/* The span of consecutive positions start .. start+n, or NULL. */
static tg_value *span_for(indexer *x, tg_value *v) {
    positions p;
    int64_t lo, hi;
    if (v->type->kind != TG_TY_TILE || v->type->rank != 1 || !positions_of(x, v, &p) ||
        !is_iota(p.offsets)) {
        return NULL;
    }
    if (p.start != NULL) {
        tg_affine a = tg_affine_of(x->affine, p.start);
        if (!tg_affine_range(x->affine, &a, &lo, &hi) || hi > INT64_MAX / 2) {
            return NULL;
        }
    }
    tg_value *from = tg_build_cast(&x->b, scalar_or_zero(x, &p), TG_DT_I64);
    int64_t n = v->type->shape[0];
    tg_value *to = tg_build_binary(&x->b, TG_OP_ADD, from, tg_build_index(&x->b, n));
    return tg_build_span(&x->b, from, to, n);
}

static int first_index(const tg_op *op) { return op->code == TG_OP_STORE ? 2 : 1; }

static void set_consecutive(indexer *x, tg_op *op) {
    int rank = tg_operand(op, 0)->type->rank;
    for (int i = 0; i < rank; i++) {
        tg_value *span = span_for(x, tg_operand(op, first_index(op) + i));
        if (span != NULL) {
            tg_set_operand(op, first_index(op) + i, span);
        }
    }
}

/* Where the result axes of index i begin in `axes`. */
static size_t axes_before(const tg_op *op, int i) {
    size_t n = 0;
    for (int k = 0; k < i; k++) {
        n += tg_operand(op, 1 + k)->type->rank;
    }
    return n;
}

/*
 * A load like `op` whose index i is replaced by `with`. `keep` lists for each result axis whether
 * it stays; `extents` are the new ones.
 */
static tg_value *rebuild_load(indexer *x, const tg_op *op, int i, tg_value *with, const bool *keep,
                              const int64_t *extents) {
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    const tg_value *old = tg_operand(op, 1 + i);
    tg_value *tensor = tg_operand(op, 0), *index[TG_MAX_RANK];
    int64_t to[TG_MAX_RANK], shape[TG_MAX_RANK], list[TG_MAX_RANK * TG_MAX_RANK];
    int rank = 0, n = 0;
    for (int a = 0; a < op->results[0].type->rank; a++) {
        to[a] = rank;
        if (keep[a]) {
            shape[rank++] = extents[a];
        }
    }
    size_t at = axes_before(op, i), skip = old->type->rank;
    for (size_t k = 0; k < axes->n_list; k++) {
        if (k < at || k >= at + skip || with->type->rank > 0) {
            list[n++] = to[axes->list[k]];
        }
    }
    for (int k = 0; k < tensor->type->rank; k++) {
        index[k] = k == i ? with : tg_operand(op, 1 + k);
    }
    bool masked = tg_attr_int(op, TG_ATTR_MASKED, 0) != 0;
    return tg_build_load(&x->b, tensor, tensor->type->rank, index, rank, shape, n, list,
                         masked ? tg_operand(op, op->n_operands - 1) : NULL);
}

/* Which result axes other indices than i contribute to. */
static void covered_by_others(const tg_op *op, int i, bool *covered) {
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    size_t at = axes_before(op, i), n = tg_operand(op, 1 + i)->type->rank;
    for (size_t k = 0; k < axes->n_list; k++) {
        if (k < at || k >= at + n) {
            covered[axes->list[k]] = true;
        }
    }
}

/* Index i has one value: read by the scalar, then repeat along the axes that nothing else gives. */
static tg_value *load_uniform(indexer *x, const tg_op *op, int i, tg_value *scalar) {
    const tg_type *t = op->results[0].type;
    bool keep[TG_MAX_RANK] = {false};
    int64_t axes[TG_MAX_RANK];
    int rank = 0;
    covered_by_others(op, i, keep);
    for (int a = 0; a < t->rank; a++) {
        if (keep[a]) {
            axes[rank++] = a;
        }
    }
    if (rank < t->rank && tg_attr_int(op, TG_ATTR_MASKED, 0) != 0) {
        return NULL;
    }
    scalar = tg_build_cast(&x->b, scalar, TG_DT_I64);
    tg_value *v = rebuild_load(x, op, i, scalar, keep, t->shape);
    return tg_build_broadcast(&x->b, v, t->rank, t->shape, axes);
}

/* Index i repeats each position c times in a row: read each once, then repeat. */
static tg_value *load_repeated(indexer *x, const tg_op *op, int i) {
    const tg_type *t = op->results[0].type;
    const tg_op *flat = defined_by(tg_operand(op, 1 + i), TG_OP_RESHAPE);
    const tg_op *spread = flat == NULL ? NULL : defined_by(tg_operand(flat, 0), TG_OP_BROADCAST);
    if (spread == NULL || flat->results[0].type->rank != 1 || t->rank == TG_MAX_RANK ||
        tg_attr_int(op, TG_ATTR_MASKED, 0) != 0) {
        return NULL;
    }
    tg_value *once = tg_operand(spread, 0);
    const tg_type *two = spread->results[0].type;
    if (once->type->rank != 1 || two->rank != 2 || once->type->shape[0] != two->shape[0] ||
        tg_attr_get(spread, TG_ATTR_AXES)->list[0] != 0) {
        return NULL;
    }
    int64_t axis = tg_attr_get(op, TG_ATTR_AXES)->list[axes_before(op, i)];
    bool keep[TG_MAX_RANK], others[TG_MAX_RANK] = {false};
    int64_t extents[TG_MAX_RANK], wide[TG_MAX_RANK], axes[TG_MAX_RANK];
    covered_by_others(op, i, others);
    if (others[axis]) {
        return NULL;
    }
    int rank = 0;
    for (int a = 0; a < t->rank; a++) {
        keep[a] = true;
        extents[a] = a == axis ? two->shape[0] : t->shape[a];
        axes[a] = rank;
        wide[rank++] = extents[a];
        if (a == axis) {
            wide[rank++] = two->shape[1];
        }
    }
    tg_value *v = rebuild_load(x, op, i, once, keep, extents);
    v = tg_build_broadcast(&x->b, v, rank, wide, axes);
    return tg_build_reshape(&x->b, v, t->rank, t->shape);
}

static tg_value *rule_load(indexer *x, tg_op *op) {
    int rank = tg_operand(op, 0)->type->rank;
    for (int i = 0; i < rank; i++) {
        tg_value *v = tg_operand(op, 1 + i);
        tg_value *scalar = uniform_of(x, v);
        tg_value *r = scalar != NULL ? load_uniform(x, op, i, scalar)
                      : v->type->kind == TG_TY_TILE && v->type->rank == 1 ? load_repeated(x, op, i)
                                                                          : NULL;
        if (r != NULL) {
            return r;
        }
    }
    set_consecutive(x, op);
    return NULL;
}

static tg_value *rule_present(indexer *x, tg_op *op) {
    tg_value *v = tg_operand(op, 0), *extent = tg_operand(op, 1);
    tg_value *scalar = uniform_of(x, v);
    if (scalar != NULL) {
        return splat_like(x, tg_build_present(&x->b, scalar, extent), op->results[0].type);
    }
    tg_value *span = span_for(x, v);
    return span == NULL ? NULL : tg_build_present(&x->b, span, extent);
}

/* ---- driver --------------------------------------------------------------------------------- */

static tg_value *decide(indexer *x, tg_op *op) {
    if (op->code == TG_OP_DIV || op->code == TG_OP_REM) {
        return rule_divide(x, op);
    }
    if (op->code == TG_OP_LOAD) {
        return rule_load(x, op);
    }
    if (op->code == TG_OP_STORE) {
        set_consecutive(x, op);
        return NULL;
    }
    return op->code == TG_OP_PRESENT ? rule_present(x, op) : NULL;
}

static void visit(indexer *x, tg_region *r) {
    for (tg_op *op = r->first; op != NULL;) {
        tg_op *next = op->next;
        for (int i = 0; i < op->n_regions; i++) {
            visit(x, op->regions[i]);
        }
        x->b = tg_builder_before(op);
        tg_value *v = decide(x, op);
        if (v != NULL) {
            if (v->name == NULL && v->def != NULL) {
                v->name = op->results[0].name;
            }
            tg_replace_all_uses(&op->results[0], v);
            tg_op_erase(op);
            x->changed = true;
        }
        op = next;
    }
}

void tg_pass_index(tg_func *f, tg_pass_context *ctx) {
    indexer x = {.affine = tg_affine_make(f, ctx->scratch), .changed = true};
    for (int round = 0; round < MAX_ROUNDS && x.changed; round++) {
        x.changed = false;
        visit(&x, f->body);
    }
}
