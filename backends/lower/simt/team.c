/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Algorithms of the whole program over buffers. Work is dealt to lanes by element or by line (the
 * elements along the axis); every output is written by one lane, so there are no barriers inside
 * except where outputs are cleared first. Orders are those of the tile operations: stable ranks,
 * sums in element order.
 */
#include "backends/lower/simt/simt.h"

#include "backends/lower/expand/expand.h"

typedef struct team {
    tg_simt *S;
    tg_op *op;
    const ts_buf *in[TG_MAX_RANK * 4], *out[TG_MAX_RANK * 4], *mask;
    int n_in, n_out, axis;
    int64_t n, lines; /* elements of a line of in[0], lines */
} team;

static tg_value *i32(tg_builder *b, int64_t v) {
    return tg_build_int(b, tg_type_scalar(b->module, TG_DT_I32), v);
}

static tg_op *count_up(tg_simt *S, int64_t n, int n_carried, tg_value **carried, tg_value **i) {
    tg_builder *b = &S->b;
    tg_value *iv;
    tg_op *loop = tg_build_for(b, tg_build_index(b, 0), tg_build_index(b, n), tg_build_index(b, 1),
                               n_carried, carried, &iv);
    *i = ts_i32(b, iv);
    return loop;
}

static tg_op *when(tg_simt *S, tg_value *ok) { return tg_build_if(&S->b, ok, 0, NULL); }

static void end_when(tg_simt *S, tg_op *branch) {
    tg_build_else(&S->b, branch, 0, NULL);
    tg_build_end_if(&S->b, branch, 0, NULL);
}

/* Index of element k of line `line` (i32) in u, whose other axes are those of in[0]. */
static tg_value *at(team *t, const ts_buf *u, tg_value *line, tg_value *k) {
    tg_builder *b = &t->S->b;
    tg_value *c[TG_MAX_RANK] = {NULL};
    int64_t inner = 1;
    for (int a = u->rank - 1; a >= 0; a--) {
        if (a == t->axis) {
            c[a] = k;
            continue;
        }
        int64_t n = t->in[0]->shape[a];
        c[a] = n == 1 ? NULL : ts_bin(b, TG_OP_DIV, line, inner);
        if (n != 1 && inner * n < t->lines) {
            c[a] = ts_bin(b, TG_OP_REM, c[a], n);
        }
        inner *= n;
    }
    return ts_buf_index(b, u, c);
}

static tg_value *read_at(team *t, const ts_buf *u, tg_value *line, tg_value *k) {
    return ts_buf_read(t->S, &t->S->b, u, at(t, u, line, k), 1);
}

/* Element e of a rank-1 buffer. */
static tg_value *read_flat(team *t, const ts_buf *u, tg_value *e) {
    tg_value *c[TG_MAX_RANK] = {NULL};
    tg_builder *b = &t->S->b;
    int64_t inner = 1;
    for (int a = u->rank - 1; a >= 0; a--) {
        c[a] = ts_bin(b, TG_OP_DIV, e, inner);
        c[a] = a > 0 ? ts_bin(b, TG_OP_REM, c[a], u->shape[a]) : c[a];
        inner *= u->shape[a];
    }
    return ts_buf_read(t->S, b, u, ts_buf_index(b, u, c), 1);
}

static void write_flat(team *t, const ts_buf *u, tg_value *e, tg_value *v) {
    ts_buf_write(t->S, &t->S->b, u, ts_buf_index(&t->S->b, u, &e), v);
}

/* Is element k of the line present? NULL: all are. */
static tg_value *present(team *t, tg_value *line, tg_value *k) {
    if (t->mask == NULL) {
        return NULL;
    }
    return t->mask->rank == t->in[0]->rank
               ? read_at(t, t->mask, line, k)
               : ts_buf_read(t->S, &t->S->b, t->mask, ts_buf_index(&t->S->b, t->mask, &k), 1);
}

static tg_value *both(tg_builder *b, tg_value *x, tg_value *y) {
    return x == NULL ? y : y == NULL ? x : tg_build_binary(b, TG_OP_AND, x, y);
}

/* line and k of element e of in[0], in row-major order with the axis innermost. */
static void split(team *t, tg_value *e, tg_value **line, tg_value **k) {
    tg_builder *b = &t->S->b;
    *line = t->lines == 1 ? i32(b, 0) : ts_bin(b, TG_OP_DIV, e, t->n);
    *k = t->lines == 1 ? e : ts_bin(b, TG_OP_REM, e, t->n);
}

/* ---- scan -------------------------------------------------------------------------------------
 */

static void scan(team *t) {
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    tg_reduce_kind kind = (tg_reduce_kind)tg_attr_int(t->op, TG_ATTR_RED, 0);
    bool exclusive = tg_attr_int(t->op, TG_ATTR_EXCL, 0) != 0;
    tg_dtype dt = t->out[0]->dtype;
    tg_value *line, *k;
    tg_op *deal = ts_deal(S, t->lines, &line);
    tg_value *acc[1] = {ts_identity(S, b, kind, dt, 1)};
    tg_op *loop = count_up(S, t->n, 1, acc, &k);
    tg_dtype wide = tg_dtype_arith(dt);
    tg_value *v = read_at(t, t->in[0], line, k), *ok = present(t, line, k);
    v = tg_expand_convert(b, S->mc, v, dt, wide, TG_ROUND_RNE, false);
    if (ok != NULL) {
        v = tg_build_select(b, ok, v, ts_identity(S, b, kind, dt, 1));
    }
    tg_value *next = ts_combine(b, kind, acc[0], v);
    tg_value *stored =
        tg_expand_convert(b, S->mc, exclusive ? acc[0] : next, wide, dt, TG_ROUND_RNE, false);
    ts_buf_write(S, b, t->out[0], at(t, t->out[0], line, k), stored);
    acc[0] = next;
    tg_build_end_for(b, loop, 1, acc);
    ts_end_deal(S, deal);
}

/* ---- order ------------------------------------------------------------------------------------
 */

/* An integer whose signed (unsigned for unsigned types) order is that of the key: NaN above +inf,
 * -0 before +0. */
static tg_value *order_key(team *t, tg_value *v, tg_dtype dt) {
    tg_builder *b = &t->S->b;
    if (tg_dtype_is_storage(dt)) {
        v = tg_expand_convert(b, t->S->mc, v, dt, tg_dtype_arith(dt), TG_ROUND_RNE, false);
        dt = tg_dtype_arith(dt);
    }
    if (dt == TG_DT_BOOL) {
        return tg_build_cast(b, v, TG_DT_I32);
    }
    if (!tg_dtype_is_float(dt)) {
        return v;
    }
    bool wide = dt == TG_DT_F64;
    tg_value *bits = tg_build_bitcast(b, v, wide ? TG_DT_I64 : TG_DT_I32);
    int64_t top = wide ? INT64_MAX : INT32_MAX;
    tg_value *sign = ts_bin(b, TG_OP_AND, ts_bin(b, TG_OP_SHR, bits, wide ? 63 : 31), top);
    tg_value *key = tg_build_binary(b, TG_OP_XOR, bits, sign);
    return tg_build_select(b, tg_build_cmp(b, TG_CMP_NE, v, v), tg_build_int(b, key->type, top),
                           key);
}

/* How many elements of the line come before element k, whose key is `key`. */
static tg_value *rank_of(team *t, tg_value *line, tg_value *k, tg_value *key, tg_value *here,
                         bool descending) {
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    tg_value *rank[1] = {i32(b, 0)}, *j;
    tg_op *loop = count_up(S, t->n, 1, rank, &j);
    tg_value *other = order_key(t, read_at(t, t->in[0], line, j), t->in[0]->dtype);
    tg_value *there = present(t, line, j);
    tg_value *ahead = tg_build_cmp(b, descending ? TG_CMP_GT : TG_CMP_LT, other, key);
    tg_value *earlier = tg_build_cmp(b, TG_CMP_LT, j, k);
    tg_value *tie = tg_build_binary(b, TG_OP_AND, tg_build_cmp(b, TG_CMP_EQ, other, key), earlier);
    ahead = tg_build_binary(b, TG_OP_OR, ahead, tie);
    if (here != NULL) { /* present before absent, absent in their order */
        tg_value *absent = tg_build_binary(b, TG_OP_OR, there, earlier);
        ahead = tg_build_select(b, here, tg_build_binary(b, TG_OP_AND, there, ahead), absent);
    }
    rank[0] = tg_build_binary(b, TG_OP_ADD, rank[0], tg_build_cast(b, ahead, TG_DT_I32));
    tg_build_end_for(b, loop, 1, rank);
    return rank[0];
}

static void sort(team *t) {
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    tg_value *e, *line, *k;
    tg_op *deal = ts_deal(S, t->lines * t->n, &e);
    split(t, e, &line, &k);
    tg_value *key = order_key(t, read_at(t, t->in[0], line, k), t->in[0]->dtype);
    tg_value *rank =
        rank_of(t, line, k, key, present(t, line, k), tg_attr_int(t->op, TG_ATTR_DESC, 0) != 0);
    for (int i = 0; i < t->n_in; i++) {
        tg_value *v = read_at(t, t->in[i], line, k);
        ts_buf_write(S, b, t->out[i], at(t, t->out[i], line, rank), v);
    }
    ts_end_deal(S, deal);
}

/* Places that no present element takes hold 0 and -1. */
static void topk_rest(team *t, int64_t wanted) {
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    if (t->mask == NULL && wanted <= t->n) {
        return;
    }
    tg_value *e, *j, *count[1];
    tg_op *deal = ts_deal(S, t->lines * wanted, &e);
    tg_value *line = ts_bin(b, TG_OP_DIV, e, wanted), *k = ts_bin(b, TG_OP_REM, e, wanted);
    count[0] = t->mask == NULL ? i32(b, t->n) : i32(b, 0);
    if (t->mask != NULL) {
        tg_op *loop = count_up(S, t->n, 1, count, &j);
        tg_value *one = tg_build_cast(b, present(t, line, j), TG_DT_I32);
        count[0] = tg_build_binary(b, TG_OP_ADD, count[0], one);
        tg_build_end_for(b, loop, 1, count);
    }
    tg_op *branch = when(S, tg_build_cmp(b, TG_CMP_GE, k, count[0]));
    ts_buf_write(S, b, t->out[0], at(t, t->out[0], line, k),
                 tg_build_int(b, ts_type(S, t->out[0]->dtype, 1), 0));
    ts_buf_write(S, b, t->out[1], at(t, t->out[1], line, k), i32(b, -1));
    end_when(S, branch);
    ts_end_deal(S, deal);
}

static void topk(team *t) {
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    int64_t wanted = tg_attr_int(t->op, TG_ATTR_K, 0);
    tg_value *e, *line, *k;
    topk_rest(t, wanted);
    tg_op *deal = ts_deal(S, t->lines * t->n, &e);
    split(t, e, &line, &k);
    tg_value *v = read_at(t, t->in[0], line, k), *here = present(t, line, k);
    tg_value *rank = rank_of(t, line, k, order_key(t, v, t->in[0]->dtype), here, true);
    tg_value *wins = both(b, here, tg_build_cmp(b, TG_CMP_LT, rank, i32(b, wanted)));
    tg_op *branch = when(S, wins);
    ts_buf_write(S, b, t->out[0], at(t, t->out[0], line, rank), v);
    ts_buf_write(S, b, t->out[1], at(t, t->out[1], line, rank), k);
    end_when(S, branch);
    ts_end_deal(S, deal);
}

/* ---- keys and bins ----------------------------------------------------------------------------
 */

static tg_value *flat_present(team *t, tg_value *e) {
    return t->mask == NULL ? NULL : read_flat(t, t->mask, e);
}

static int64_t count_of(const ts_buf *u) {
    int64_t n = 1;
    for (int a = 0; a < u->rank; a++) {
        n *= u->shape[a];
    }
    return n;
}

/* 0 <= v < n as i64. */
static tg_value *in_range(tg_builder *b, tg_value *v, int64_t n) {
    tg_value *w = tg_build_cast(b, v, TG_DT_I64);
    tg_value *low = tg_build_cmp(b, TG_CMP_GE, w, tg_build_index(b, 0));
    return tg_build_binary(b, TG_OP_AND, low, tg_build_cmp(b, TG_CMP_LT, w, tg_build_index(b, n)));
}

static void rank_by_key(team *t) {
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    tg_value *e, *iv, *rank[1] = {NULL};
    int64_t n = count_of(t->in[0]);
    tg_op *deal = ts_deal(S, n, &e);
    tg_value *key = read_flat(t, t->in[0], e);
    rank[0] = i32(b, 0);
    tg_op *loop = tg_build_for(b, tg_build_index(b, 0), tg_build_cast(b, e, TG_DT_I64),
                               tg_build_index(b, 1), 1, rank, &iv);
    tg_value *j = ts_i32(b, iv);
    tg_value *same = tg_build_cmp(b, TG_CMP_EQ, read_flat(t, t->in[0], j), key);
    same = both(b, same, flat_present(t, j));
    rank[0] = tg_build_binary(b, TG_OP_ADD, rank[0], tg_build_cast(b, same, TG_DT_I32));
    tg_build_end_for(b, loop, 1, rank);
    tg_value *inside = in_range(b, key, tg_attr_int(t->op, TG_ATTR_N, 0));
    write_flat(t, t->out[0], e, tg_build_select(b, inside, rank[0], i32(b, 0)));
    ts_end_deal(S, deal);
}

static void compress(team *t) {
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    const ts_buf *mask = t->mask;
    tg_value *e, *j, *c[2];
    int64_t n = count_of(t->in[0]);
    tg_op *deal = ts_deal(S, n, &e);
    c[0] = c[1] = i32(b, 0); /* kept in all, kept before e */
    tg_op *loop = count_up(S, n, 2, c, &j);
    tg_value *kept = tg_build_cast(b, read_flat(t, mask, j), TG_DT_I32);
    tg_value *before = tg_build_select(b, tg_build_cmp(b, TG_CMP_LT, j, e), kept, i32(b, 0));
    c[0] = tg_build_binary(b, TG_OP_ADD, c[0], kept);
    c[1] = tg_build_binary(b, TG_OP_ADD, c[1], before);
    tg_build_end_for(b, loop, 2, c);
    tg_op *branch = when(S, read_flat(t, mask, e));
    write_flat(t, t->out[0], c[1], read_flat(t, t->in[0], e));
    end_when(S, branch);
    branch = when(S, tg_build_cmp(b, TG_CMP_GE, e, c[0]));
    write_flat(t, t->out[0], e, tg_build_int(b, ts_type(S, t->out[0]->dtype, 1), 0));
    end_when(S, branch);
    branch = when(S, tg_build_cmp(b, TG_CMP_EQ, e, i32(b, 0)));
    write_flat(t, t->out[1], i32(b, 0), c[0]);
    end_when(S, branch);
    ts_end_deal(S, deal);
}

/* Shared memory has atomics on 32 bits: elements are dealt. */
static void histogram_atomic(team *t) {
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    const ts_buf *h = t->out[0];
    int64_t bins = count_of(h);
    const tg_type *dt = ts_type(S, h->dtype, 1);
    tg_value *e;
    tg_op *deal = ts_deal(S, bins, &e);
    write_flat(t, h, e, tg_build_int(b, dt, 0));
    ts_end_deal(S, deal);
    ts_barrier(S, h);
    deal = ts_deal(S, count_of(t->in[0]), &e);
    tg_value *bin = read_flat(t, t->in[0], e);
    tg_value *w = t->n_in > 1 ? read_flat(t, t->in[1], e) : tg_build_int(b, dt, 1);
    tg_op *branch = when(S, both(b, in_range(b, bin, bins), flat_present(t, e)));
    tg_value *c = tg_build_cast(b, bin, TG_DT_I32);
    (void)tg_build_aatomic(b, TG_ATOMIC_ADD, h->memory, ts_buf_index(b, h, &c),
                           tg_build_cast(b, w, h->dtype), NULL);
    end_when(S, branch);
    ts_end_deal(S, deal);
}

/* Bins are dealt; each lane looks at all elements. */
static void histogram_by_bin(team *t) {
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    const ts_buf *h = t->out[0];
    tg_value *e, *j, *sum[1];
    tg_op *deal = ts_deal(S, count_of(h), &e);
    const tg_type *dt = ts_type(S, h->dtype, 1);
    sum[0] = tg_build_int(b, dt, 0);
    tg_op *loop = count_up(S, count_of(t->in[0]), 1, sum, &j);
    tg_value *bin = tg_build_cast(b, read_flat(t, t->in[0], j), TG_DT_I64);
    tg_value *mine = tg_build_cmp(b, TG_CMP_EQ, bin, tg_build_cast(b, e, TG_DT_I64));
    mine = both(b, mine, flat_present(t, j));
    tg_value *w = t->n_in > 1 ? tg_build_cast(b, read_flat(t, t->in[1], j), h->dtype)
                              : tg_build_int(b, dt, 1);
    w = tg_build_select(b, mine, w, tg_build_int(b, dt, 0));
    sum[0] = tg_build_binary(b, TG_OP_ADD, sum[0], w);
    tg_build_end_for(b, loop, 1, sum);
    write_flat(t, h, e, sum[0]);
    ts_end_deal(S, deal);
}

static void histogram(team *t) {
    const ts_buf *h = t->out[0];
    bool words = h->dtype == TG_DT_I32 || h->dtype == TG_DT_U32;
    if (words && h->space == TG_SPACE_SHARED) {
        histogram_atomic(t);
    } else {
        histogram_by_bin(t);
    }
}

/* Destinations are dealt, so that every sum has the order of the elements. */
static void scatter_add(team *t) {
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    tg_value *e, *j, *sum[1];
    tg_op *deal = ts_deal(S, count_of(t->in[0]), &e);
    sum[0] = read_flat(t, t->in[0], e);
    tg_op *loop = count_up(S, count_of(t->in[1]), 1, sum, &j);
    tg_value *i = tg_build_cast(b, read_flat(t, t->in[1], j), TG_DT_I64);
    tg_value *mine = tg_build_cmp(b, TG_CMP_EQ, i, tg_build_cast(b, e, TG_DT_I64));
    mine = both(b, mine, flat_present(t, j));
    tg_value *more = tg_build_binary(b, TG_OP_ADD, sum[0], read_flat(t, t->in[2], j));
    sum[0] = tg_build_select(b, mine, more, sum[0]);
    tg_build_end_for(b, loop, 1, sum);
    write_flat(t, t->out[0], e, sum[0]);
    ts_end_deal(S, deal);
}

/* ---- reductions of the author's ---------------------------------------------------------------
 */

/* Index of line `line` in a buffer without the axis. */
static tg_value *line_index(team *t, const ts_buf *u, tg_value *line) {
    tg_builder *b = &t->S->b;
    tg_value *c[TG_MAX_RANK] = {NULL};
    int64_t inner = 1;
    for (int a = u->rank - 1; a >= 0; a--) {
        c[a] = ts_bin(b, TG_OP_DIV, line, inner);
        c[a] = inner * u->shape[a] < t->lines ? ts_bin(b, TG_OP_REM, c[a], u->shape[a]) : c[a];
        inner *= u->shape[a];
    }
    return ts_buf_index(b, u, c);
}

static void fold(team *t) {
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    tg_region *r = t->op->regions[0];
    int n = t->n_in / 2;
    tg_value *acc[TG_MAX_RANK * 2], *line, *k;
    tg_op *deal = ts_deal(S, t->lines, &line);
    for (int i = 0; i < n; i++) {
        const ts_buf *init = t->in[n + i];
        acc[i] = ts_buf_read(S, b, init, line_index(t, init, line), 1);
    }
    tg_op *loop = count_up(S, t->n, n, acc, &k);
    for (int i = 0; i < n; i++) {
        ts_of(S, r->args[i])->scalar = acc[i];
        ts_of(S, r->args[n + i])->scalar = read_at(t, t->in[i], line, k);
    }
    tg_value *ok = present(t, line, k);
    ts_emit_region(S, r);
    for (int i = 0; i < n && S->status == TG_OK; i++) {
        tg_value *next = ts_scalar(S, tg_operand(r->last, i));
        acc[i] = ok == NULL ? next : tg_build_select(b, ok, next, acc[i]);
    }
    tg_build_end_for(b, loop, n, acc);
    for (int i = 0; i < n; i++) {
        ts_buf_write(S, b, t->out[i], line_index(t, t->out[i], line), acc[i]);
    }
    ts_end_deal(S, deal);
}

/* ---- door -------------------------------------------------------------------------------------
 */

static bool operands_of(team *t) {
    int n = (int)tg_attr_int(t->op, TG_ATTR_N_COUNT, 0), at_op = n;
    int most = (int)TG_COUNT_OF(t->in);
    bool masked = tg_attr_int(t->op, TG_ATTR_MASKED, 0) != 0;
    if (n > most || t->op->n_operands - n > most) {
        return false;
    }
    for (t->n_in = 0; t->n_in < n; t->n_in++) {
        t->in[t->n_in] = ts_buf_of(t->S, tg_operand(t->op, t->n_in));
    }
    if (masked) {
        t->mask = ts_buf_of(t->S, tg_operand(t->op, at_op++));
    }
    for (; at_op < t->op->n_operands; at_op++) {
        t->out[t->n_out++] = ts_buf_of(t->S, tg_operand(t->op, at_op));
    }
    t->axis = (int)tg_attr_int(t->op, TG_ATTR_AXIS, 0);
    t->n = t->in[0]->rank > 0 ? t->in[0]->shape[t->axis] : 1;
    t->lines = count_of(t->in[0]) / (t->n > 0 ? t->n : 1);
    return true;
}

void ts_emit_team(tg_simt *S, tg_op *op) {
    team *t = TG_NEW(S->arena, team);
    t->S = S;
    t->op = op;
    if (!operands_of(t)) {
        ts_unsupported(S, op, "so many operands");
        return;
    }
    switch ((tg_team_fn)tg_attr_int(op, TG_ATTR_TEAM, 0)) {
    case TG_TEAM_SCAN:
        scan(t);
        return;
    case TG_TEAM_SORT:
        sort(t);
        return;
    case TG_TEAM_TOPK:
        topk(t);
        return;
    case TG_TEAM_RANK_BY_KEY:
        rank_by_key(t);
        return;
    case TG_TEAM_COMPRESS:
        compress(t);
        return;
    case TG_TEAM_HISTOGRAM:
        histogram(t);
        return;
    case TG_TEAM_SCATTER_ADD:
        scatter_add(t);
        return;
    case TG_TEAM_FOLD:
        fold(t);
        return;
    }
}
