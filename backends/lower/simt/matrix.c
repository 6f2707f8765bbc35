/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products on matrix units: acc[m, n] += a[m, k] * b[k, n] with a and b in buffers and every lane's
 * fragments of the accumulator in registers.
 *
 * The accumulator's layout says which blocks a sub-group has: registers f * elems .. of its lanes
 * are block f. Blocks of neighbouring rows and columns go through the loop over k together:
 *
 *   for k: b0..bn = fragments of b;  for each row of blocks: a = fragment; acc = mma(a, b, acc)
 *
 * A fragment is read whole (fragload) where the buffer lies in shared memory and has the unit's
 * type, else element by element and widened. What the k mask leaves out is made 0 in both
 * fragments; where the mask is the prefix of a span only the last step asks.
 */
#include "backends/lower/simt/simt.h"

#include "backends/lower/expand/expand.h"

/* MAX_UNROLLED: products of a loop over k that is written out. */
enum { MAX_BLOCKS = 512, MAX_ACC = 32, ROW_BYTES = 16, MAX_UNROLLED = 64 };

/* Where a block's corner lies, of lane 0, and its first register. */
typedef struct corner {
    int64_t at[TG_MAX_RANK], reg;
} corner;

typedef struct operand {
    tg_matrix_part part;
    const ts_buf *buf;
    const tg_layout *layout;
    tg_value
        *lane; /* i32, where the lane's elements start in its block (in elements of the buffer) */
    tg_value *lane_k; /* the same along k */
    int k_axis;       /* of its block */
    int64_t stride[2], align;
    bool whole;      /* fragload */
    tg_value *array; /* of what lanes hold; NULL: it is in a buffer */
    const tg_layout *held;
} operand;

typedef struct product {
    tg_simt *S;
    const tg_op *op;
    const tg_matrix_unit *u;
    const tg_type *t;
    tg_value *array;
    operand in[2];
    const ts_buf *kmask;
    tg_value *end;               /* i64, of a masked product; NULL: not known */
    tg_value *warp[TG_MAX_RANK]; /* i32, where the sub-group's blocks start; NULL: at 0 */
    corner *blocks;
    int n_blocks;
    int64_t k;
} product;

static tg_value *i32(product *p, int64_t v) {
    return tg_build_int(&p->S->b, tg_type_scalar(p->S->out, TG_DT_I32), v);
}

static tg_value *plus(product *p, tg_value *x, tg_value *y) {
    return x == NULL ? y : y == NULL ? x : tg_build_binary(&p->S->b, TG_OP_ADD, x, y);
}

static tg_value *times(product *p, tg_value *x, int64_t k) {
    return x == NULL || k == 0 ? NULL : ts_bin(&p->S->b, TG_OP_MUL, x, k);
}

/* ---- what lanes hold -------------------------------------------------------------------------
 */

/* Coordinate along an axis that a lane's digits give. */
static tg_value *lane_coord(product *p, const tg_layout *l, int axis, tg_value *lane, int64_t from,
                            int64_t below) {
    tg_value *sum = NULL;
    for (int i = 0; i < l->n_modes; i++) {
        const tg_layout_mode *d = &l->modes[i];
        if (d->resource == TG_RES_LANE && d->axis == axis && d->extent > 1 &&
            d->place * d->extent > from && d->place < below) {
            tg_value *v = ts_bin(&p->S->b, TG_OP_DIV, lane, d->place);
            v = ts_bin(&p->S->b, TG_OP_REM, v, d->extent);
            sum = plus(p, sum, times(p, v, d->stride));
        }
    }
    return sum;
}

/* Blocks of a sub-group and where they start. */
static bool find_blocks(product *p) {
    const tg_layout *l = p->t->layout;
    int64_t each = tg_matrix_elems(p->u, TG_PART_C), n = ts_regs(l) / each;
    if (n > MAX_BLOCKS) {
        return false;
    }
    p->n_blocks = (int)n;
    p->blocks = TG_NEW_ARRAY(p->S->arena, corner, n);
    for (int64_t i = 0; i < n; i++) {
        p->blocks[i].reg = i * each;
        tg_layout_coords(l, 0, i * each, p->blocks[i].at);
    }
    tg_builder *b = &p->S->b;
    tg_value *in = ts_bin(b, TG_OP_REM, p->S->args.lane, p->u->lanes);
    tg_value *first = tg_build_binary(b, TG_OP_SUB, p->S->args.lane, in);
    for (int a = 0; a < p->t->rank; a++) {
        p->warp[a] = lane_coord(p, l, a, first, p->u->lanes, INT64_MAX);
    }
    return true;
}

/* Largest power of two that divides all places where a row of the block may begin. */
static int64_t alignment_of(const operand *o, int64_t elem_bytes, const product *p) {
    int64_t most = ROW_BYTES / elem_bytes, g = most;
    const ts_buf *u = o->buf;
    g = tg_gcd_i64(g, u->offset);
    g = u->copies > 1 || u->slot != NULL ? tg_gcd_i64(g, u->count) : g;
    int last = p->t->rank - 1, k = o->part == TG_PART_A ? last : last - 1;
    for (int a = 0; a <= last; a++) {
        int64_t step = a == k ? p->u->k : a < last - 1 ? 1 : a == last - 1 ? p->u->m : p->u->n;
        g = tg_gcd_i64(g, u->stride[a] == 1 ? tg_gcd_i64(step, most) : u->stride[a]);
    }
    return g < 1 ? 1 : g;
}

static void make_operand(product *p, tg_matrix_part part) {
    operand *o = &p->in[part];
    int rank = p->t->rank;
    tg_builder *b = &p->S->b;
    o->part = part;
    if (tg_operand(p->op, part)->type->kind != TG_TY_BUFFER) {
        o->array = ts_materialise(p->S, tg_operand(p->op, part));
        o->held = tg_operand(p->op, part)->type->layout;
        return;
    }
    o->buf = ts_buf_of(p->S, tg_operand(p->op, part));
    o->layout = tg_matrix_layout(p->S->out, p->u, part);
    o->k_axis = part == TG_PART_A ? 1 : 0;
    o->whole = o->buf->space == TG_SPACE_SHARED && o->buf->dtype == p->u->type[part] &&
               !tg_matrix_rounds(p->u);
    for (int a = 0; a < 2; a++) {
        o->stride[a] = o->buf->stride[rank - 2 + a];
    }
    o->align = alignment_of(o, tg_scratch_elem_bytes(o->buf->dtype), p);
    tg_value *in = ts_bin(b, TG_OP_REM, p->S->args.lane, p->u->lanes);
    for (int a = 0; a < 2; a++) {
        tg_value *c = lane_coord(p, o->layout, a, in, 0, p->u->lanes);
        o->lane = plus(p, o->lane, times(p, c, o->stride[a]));
        o->lane_k = a == o->k_axis ? c : o->lane_k;
    }
}

/* ---- fragments -------------------------------------------------------------------------------
 */

tg_value *ts_held_fragment(tg_simt *S, const tg_matrix_unit *u, tg_value *array, const tg_layout *l,
                           const int64_t *at, int64_t k) {
    int64_t each = tg_matrix_elems(u, TG_PART_A), c[TG_MAX_RANK], reg = 0;
    for (int64_t r = 0; r < ts_regs(l); r += each) {
        tg_layout_coords(l, 0, r, c);
        bool same = c[l->rank - 1] == k;
        for (int a = 0; a < l->rank - 1; a++) {
            same &= c[a] == at[a];
        }
        reg = same ? r : reg;
    }
    tg_value *index = tg_build_int(&S->b, tg_type_scalar(S->out, TG_DT_I32), reg);
    return tg_build_aload(&S->b, tg_matrix_type(S->out, u, TG_PART_A), array, index, each);
}

/* i32 index of a block's corner at k = 0: `c` gives the batch axes and the row or column. */
static tg_value *corner_of(product *p, const operand *o, const corner *c) {
    int last = p->t->rank - 1, k = o->part == TG_PART_A ? last : last - 1;
    if (o->array != NULL) {
        return NULL;
    }
    tg_value *sum = ts_buf_start(&p->S->b, o->buf);
    for (int a = 0; a <= last; a++) {
        if (a != k) {
            int64_t from = o->buf->stride[a] * c->at[a];
            sum = plus(p, sum, times(p, p->warp[a], o->buf->stride[a]));
            sum = from == 0 ? sum : ts_bin(&p->S->b, TG_OP_ADD, sum, from);
        }
    }
    return sum;
}

/* f32 rounded to 10 bits of fraction, ties away from zero, as integers (PTX ISA, cvt.rna.tf32). */
static tg_value *to_tf32(product *p, tg_value *v) {
    tg_builder *b = &p->S->b;
    tg_value *bits = tg_build_bitcast(b, v, TG_DT_U32);
    tg_value *half = tg_build_int(b, bits->type, 0x1000);
    tg_value *kept = tg_build_int(b, bits->type, (int64_t)0xFFFFE000u);
    tg_value *r = tg_build_binary(b, TG_OP_AND, tg_build_binary(b, TG_OP_ADD, bits, half), kept);
    tg_value *inf = tg_build_int(b, bits->type, 0x7F800000);
    tg_value *special = tg_build_cmp(b, TG_CMP_EQ, tg_build_binary(b, TG_OP_AND, bits, inf), inf);
    return tg_build_bitcast(b, tg_build_select(b, special, bits, r), TG_DT_F32);
}

static tg_value *by_elements(product *p, const operand *o, tg_value *index) {
    tg_builder *b = &p->S->b;
    int64_t n = tg_matrix_elems(p->u, o->part), at[2];
    tg_value *base = plus(p, index, o->lane), *v = NULL;
    for (int64_t e = 0; e < n; e++) {
        tg_layout_coords(o->layout, 0, e, at);
        int64_t more = at[0] * o->stride[0] + at[1] * o->stride[1];
        tg_value *x = ts_buf_read(p->S, b, o->buf, ts_bin(b, TG_OP_ADD, base, more), 1);
        v = e == 0 ? tg_build_splat(b, x, n) : tg_build_insert(b, v, x, e);
    }
    if (tg_matrix_rounds(p->u)) {
        return to_tf32(p, v);
    }
    return tg_expand_convert(b, p->S->mc, v, o->buf->dtype, p->u->type[o->part], TG_ROUND_RNE,
                             false);
}

/* Is the element at this k (i32) to be multiplied? */
static tg_value *kept(product *p, const corner *c, tg_value *k) {
    tg_builder *b = &p->S->b;
    if (p->end != NULL) {
        return tg_build_cmp(b, TG_CMP_LT, tg_build_cast(b, k, TG_DT_I64), p->end);
    }
    const ts_buf *u = p->kmask;
    tg_value *i = plus(p, ts_buf_start(b, u), times(p, k, u->stride[u->rank - 1]));
    for (int a = 0; a < u->rank - 1; a++) {
        tg_value *at = plus(p, i32(p, c->at[a]), p->warp[a]);
        i = plus(p, i, times(p, at, u->stride[a]));
    }
    return ts_buf_read(p->S, b, u, i, 1);
}

static tg_value *masked(product *p, const operand *o, const corner *c, tg_value *k, tg_value *v) {
    tg_builder *b = &p->S->b;
    int64_t n = v->type->shape[0], at[2], known = -1;
    tg_value *first = plus(p, k, o->lane_k), *ok = NULL;
    for (int64_t e = 0; e < n; e++) {
        tg_layout_coords(o->layout, 0, e, at);
        if (at[o->k_axis] != known) {
            known = at[o->k_axis];
            ok = kept(p, c, ts_bin(b, TG_OP_ADD, first, known));
        }
        tg_value *x = tg_build_extract(b, v, e);
        x = tg_build_select(b, ok, x, tg_build_int(b, x->type, 0));
        v = tg_build_insert(b, v, x, e);
    }
    return v;
}

/* The fragment at i32 k of the block whose corner at k = 0 is `index`. */
static tg_value *fragment(product *p, const operand *o, const corner *c, tg_value *index,
                          tg_value *k, bool mask) {
    tg_value *at = plus(p, index, times(p, k, o->stride[o->k_axis]));
    tg_value *v = o->whole ? tg_build_fragload(&p->S->b, p->u, o->part, o->buf->memory, at,
                                               o->stride, o->align)
                           : by_elements(p, o, at);
    return mask ? masked(p, o, c, k, v) : v;
}

/* ---- tiles of blocks -------------------------------------------------------------------------
 */

/* Rows times columns of blocks that go through k together. */
typedef struct tile {
    int nr, nc;
    const corner *row[MAX_ACC], *col[MAX_ACC];
    tg_value *row_at[MAX_ACC], *col_at[MAX_ACC], *acc[MAX_ACC];
    int64_t reg[MAX_ACC];
} tile;

/* At i32 k, or, where lanes hold a, at `known`. */
static void step(product *p, tile *w, tg_value *k, int64_t known, bool mask) {
    tg_value *b[MAX_ACC];
    for (int j = 0; j < w->nc; j++) {
        b[j] = fragment(p, &p->in[1], w->col[j], w->col_at[j], k, mask);
    }
    for (int i = 0; i < w->nr; i++) {
        const operand *o = &p->in[0];
        tg_value *a = o->array != NULL
                          ? ts_held_fragment(p->S, p->u, o->array, o->held, w->row[i]->at, known)
                          : fragment(p, o, w->row[i], w->row_at[i], k, mask);
        for (int j = 0; j < w->nc; j++) {
            tg_value **acc = &w->acc[i * w->nc + j];
            *acc = tg_build_mma(&p->S->b, p->u, a, b[j], *acc);
        }
    }
}

/* Steps from i64 lo below hi. */
static void steps(product *p, tile *w, tg_value *lo, tg_value *hi, bool mask) {
    tg_builder *b = &p->S->b;
    tg_value *k;
    int n = w->nr * w->nc;
    for (int64_t at = 0; at < p->k && p->in[0].array != NULL; at += p->u->k) {
        step(p, w, i32(p, at), at, mask);
    }
    if (p->in[0].array != NULL) {
        return;
    }
    tg_op *loop = tg_build_for(b, lo, hi, tg_build_index(b, p->u->k), n, w->acc, &k);
    step(p, w, ts_i32(b, k), 0, mask);
    int64_t trips = p->k / p->u->k;
    bool short_loop = trips > 1 && trips * n <= MAX_UNROLLED && p->end == NULL && p->in[0].whole &&
                      p->in[1].whole;
    if (short_loop && (p->S->mc->simt & TG_SIMT_UNROLLED) != 0) {
        tg_op_set_int(loop, TG_ATTR_UNROLL, trips); /* addresses become constants of the reads */
    }
    tg_build_end_for(b, loop, n, w->acc);
    for (int i = 0; i < n; i++) {
        w->acc[i] = &loop->results[i];
    }
}

static void emit_tile(product *p, tile *w) {
    tg_builder *b = &p->S->b;
    const tg_type *t = tg_matrix_type(p->S->out, p->u, TG_PART_C);
    int64_t each = t->shape[0];
    for (int i = 0; i < w->nr; i++) {
        w->row_at[i] = corner_of(p, &p->in[0], w->row[i]);
    }
    for (int j = 0; j < w->nc; j++) {
        w->col_at[j] = corner_of(p, &p->in[1], w->col[j]);
    }
    for (int i = 0; i < w->nr * w->nc; i++) {
        w->acc[i] = tg_build_aload(b, t, p->array, i32(p, w->reg[i]), each);
    }
    tg_value *zero = tg_build_index(b, 0), *all = tg_build_index(b, p->k);
    if (p->end != NULL) {
        tg_value *ragged = tg_build_binary(b, TG_OP_REM, p->end, tg_build_index(b, p->u->k));
        tg_value *whole = tg_build_binary(b, TG_OP_SUB, p->end, ragged);
        steps(p, w, zero, whole, false);
        steps(p, w, whole, p->end, true);
    } else {
        steps(p, w, zero, all, p->kmask != NULL);
    }
    for (int i = 0; i < w->nr * w->nc; i++) {
        (void)tg_build_astore(b, p->array, i32(p, w->reg[i]), w->acc[i], each);
    }
}

static bool same_from(const product *p, const corner *x, const corner *y, int axis) {
    for (int a = 0; a < p->t->rank; a++) {
        if ((a < p->t->rank - 2 || a == axis) && x->at[a] != y->at[a]) {
            return false;
        }
    }
    return true;
}

static int64_t register_of(const product *p, const corner *row, const corner *col) {
    for (int i = 0; i < p->n_blocks; i++) {
        if (same_from(p, &p->blocks[i], row, p->t->rank - 2) &&
            same_from(p, &p->blocks[i], col, p->t->rank - 1)) {
            return p->blocks[i].reg;
        }
    }
    return -1;
}

/* The distinct rows (columns) of the blocks of one batch. */
static int distinct(const product *p, const corner *like, int axis, const corner **out) {
    int n = 0;
    for (int i = 0; i < p->n_blocks; i++) {
        bool seen = !same_from(p, &p->blocks[i], like, -1);
        for (int j = 0; j < n && !seen; j++) {
            seen = same_from(p, &p->blocks[i], out[j], axis);
        }
        if (!seen) {
            out[n++] = &p->blocks[i];
        }
    }
    return n;
}

static void emit_batch(product *p, const corner *batch) {
    const corner *rows[MAX_BLOCKS], *cols[MAX_BLOCKS];
    int nr = distinct(p, batch, p->t->rank - 2, rows);
    int nc = distinct(p, batch, p->t->rank - 1, cols);
    tile *w = TG_NEW(p->S->arena, tile);
    int wide = nc < MAX_ACC ? nc : MAX_ACC, tall = MAX_ACC / wide;
    for (int i = 0; i < nr; i += tall) {
        for (int j = 0; j < nc; j += wide) {
            w->nr = nr - i < tall ? nr - i : tall;
            w->nc = nc - j < wide ? nc - j : wide;
            for (int k = 0; k < w->nr * w->nc; k++) {
                w->row[k / w->nc] = rows[i + k / w->nc];
                w->col[k % w->nc] = cols[j + k % w->nc];
                w->reg[k] = register_of(p, rows[i + k / w->nc], cols[j + k % w->nc]);
            }
            emit_tile(p, w);
        }
    }
}

void ts_emit_dot_unit(tg_simt *S, tg_op *op) {
    product *p = TG_NEW(S->arena, product);
    p->S = S;
    p->op = op;
    p->u = tg_matrix_find(tg_attr_str(op, TG_ATTR_UNIT));
    p->t = op->results[0].type;
    p->array = ts_dot_accumulator(S, op);
    const tg_type *a = tg_operand(op, 0)->type;
    p->k = a->shape[a->rank - 1];
    if (S->status != TG_OK) {
        return;
    }
    if (!find_blocks(p)) {
        ts_unsupported(S, op, "an accumulator of so many registers");
        return;
    }
    p->end = ts_dot_end(S, op);
    p->kmask = op->n_operands == 4 && p->end == NULL ? ts_buf_of(S, tg_operand(op, 3)) : NULL;
    make_operand(p, TG_PART_A);
    make_operand(p, TG_PART_B);
    for (int i = 0; i < p->n_blocks; i++) {
        bool first = true;
        for (int j = 0; j < i && first; j++) {
            first = !same_from(p, &p->blocks[i], &p->blocks[j], -1);
        }
        if (first) {
            emit_batch(p, &p->blocks[i]);
        }
    }
}
