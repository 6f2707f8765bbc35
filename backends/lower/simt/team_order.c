/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Team operations that put elements in order: sort, topk, rank_by_key. Orders are those of the tile
 * operations: stable, NaN above +inf, -0 before +0, absent elements last.
 *
 * Short lines are ranked: each element counts those before it. Longer ones, for which placement
 * gives two buffers of positions, are merged: runs of 1, 2, 4 ... positions, in each of which an
 * element's place is its place in its own run plus, by bisection, how many of the neighbouring run
 * come before it. That is log2(n) rounds of at most log2(n) comparisons an element, any lanes to
 * any elements, with a barrier a round. topk carries no more of a run than it wants in the end.
 */
#include "backends/lower/simt/team.h"

#include "backends/lower/expand/expand.h"

/* ---- order ------------------------------------------------------------------------------------
 */

/* Type of the keys of integers: at least 32 bits. */
static tg_dtype key_dtype(tg_dtype dt) { return tg_dtype_bits(dt) < 32 ? TG_DT_I32 : dt; }

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
        return tg_build_cast(b, v, key_dtype(dt));
    }
    bool wide = dt == TG_DT_F64;
    tg_value *bits = tg_build_bitcast(b, v, wide ? TG_DT_I64 : TG_DT_I32);
    int64_t top = wide ? INT64_MAX : INT32_MAX;
    tg_value *sign = ts_bin(b, TG_OP_AND, ts_bin(b, TG_OP_SHR, bits, wide ? 63 : 31), top);
    tg_value *key = tg_build_binary(b, TG_OP_XOR, bits, sign);
    return tg_build_select(b, tg_build_cmp(b, TG_CMP_NE, v, v), tg_build_int(b, key->type, top),
                           key);
}

/* ---- ranking ----------------------------------------------------------------------------------
 */

/* How many elements of the line come before element k, whose key is `key`. */
static tg_value *rank_of(team *t, tg_value *line, tg_value *k, tg_value *key, tg_value *here,
                         bool descending) {
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    tg_value *rank[1] = {i32(b, 0)}, *j;
    tg_op *loop = ts_team_count_up(S, t->n, 1, rank, &j);
    tg_value *other = order_key(t, ts_team_read(t, t->in[0], line, j), t->in[0]->dtype);
    tg_value *there = ts_team_present(t, line, j);
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

static void sort_ranked(team *t) {
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    tg_value *e, *line, *k;
    tg_op *deal = ts_deal(S, t->lines * t->n, &e);
    ts_team_split(t, e, &line, &k);
    tg_value *key = order_key(t, ts_team_read(t, t->in[0], line, k), t->in[0]->dtype);
    tg_value *rank = rank_of(t, line, k, key, ts_team_present(t, line, k),
                             tg_attr_int(t->op, TG_ATTR_DESC, 0) != 0);
    for (int i = 0; i < t->n_in; i++) {
        tg_value *v = ts_team_read(t, t->in[i], line, k);
        ts_buf_write(S, b, t->out[i], ts_team_at(t, t->out[i], line, rank), v);
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
        tg_op *loop = ts_team_count_up(S, t->n, 1, count, &j);
        tg_value *one = tg_build_cast(b, ts_team_present(t, line, j), TG_DT_I32);
        count[0] = tg_build_binary(b, TG_OP_ADD, count[0], one);
        tg_build_end_for(b, loop, 1, count);
    }
    tg_op *branch = ts_team_when(S, tg_build_cmp(b, TG_CMP_GE, k, count[0]));
    ts_buf_write(S, b, t->out[0], ts_team_at(t, t->out[0], line, k),
                 tg_build_int(b, ts_type(S, t->out[0]->dtype, 1), 0));
    ts_buf_write(S, b, t->out[1], ts_team_at(t, t->out[1], line, k), i32(b, -1));
    ts_team_end_when(S, branch);
    ts_end_deal(S, deal);
}

static void topk_ranked(team *t) {
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    int64_t wanted = tg_attr_int(t->op, TG_ATTR_K, 0);
    tg_value *e, *line, *k;
    topk_rest(t, wanted);
    tg_op *deal = ts_deal(S, t->lines * t->n, &e);
    ts_team_split(t, e, &line, &k);
    tg_value *v = ts_team_read(t, t->in[0], line, k), *here = ts_team_present(t, line, k);
    tg_value *rank = rank_of(t, line, k, order_key(t, v, t->in[0]->dtype), here, true);
    tg_value *wins = ts_team_both(b, here, tg_build_cmp(b, TG_CMP_LT, rank, i32(b, wanted)));
    tg_op *branch = ts_team_when(S, wins);
    ts_buf_write(S, b, t->out[0], ts_team_at(t, t->out[0], line, rank), v);
    ts_buf_write(S, b, t->out[1], ts_team_at(t, t->out[1], line, rank), k);
    ts_team_end_when(S, branch);
    ts_end_deal(S, deal);
}

static void rank_by_key_ranked(team *t) {
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    tg_value *e, *iv, *rank[1] = {NULL};
    int64_t n = t->n;
    tg_value *line = i32(b, 0);
    tg_op *deal = ts_deal(S, n, &e);
    tg_value *key = ts_team_read(t, t->in[0], line, e);
    rank[0] = i32(b, 0);
    tg_op *loop = tg_build_for(b, tg_build_index(b, 0), tg_build_cast(b, e, TG_DT_I64),
                               tg_build_index(b, 1), 1, rank, &iv);
    tg_value *j = ts_i32(b, iv);
    tg_value *same = tg_build_cmp(b, TG_CMP_EQ, ts_team_read(t, t->in[0], line, j), key);
    same = ts_team_both(b, same, ts_team_present(t, line, j));
    rank[0] = tg_build_binary(b, TG_OP_ADD, rank[0], tg_build_cast(b, same, TG_DT_I32));
    tg_build_end_for(b, loop, 1, rank);
    tg_value *inside = ts_team_in_range(b, key, tg_attr_int(t->op, TG_ATTR_N, 0));
    ts_buf_write(S, b, t->out[0], ts_team_at(t, t->out[0], line, e),
                 tg_build_select(b, inside, rank[0], i32(b, 0)));
    ts_end_deal(S, deal);
}

/* ---- merging ----------------------------------------------------------------------------------
 */

/* An element of a line: its position, its key, whether it is there (NULL: yes). */
typedef struct element {
    tg_value *k, *key, *here;
} element;

static element element_at(team *t, tg_value *line, tg_value *k) {
    tg_value *v = ts_team_read(t, t->in[0], line, k);
    return (element){k, order_key(t, v, t->in[0]->dtype), ts_team_present(t, line, k)};
}

/* x before y. */
static tg_value *precedes(const ts_merger *m, element x, element y) {
    tg_builder *b = &m->t->S->b;
    tg_value *earlier = tg_build_cmp(b, TG_CMP_LT, x.k, y.k);
    tg_value *ahead = tg_build_cmp(b, m->descending ? TG_CMP_GT : TG_CMP_LT, x.key, y.key);
    tg_value *tie =
        tg_build_binary(b, TG_OP_AND, tg_build_cmp(b, TG_CMP_EQ, x.key, y.key), earlier);
    ahead = tg_build_binary(b, TG_OP_OR, ahead, tie);
    if (x.here == NULL) {
        return ahead;
    }
    tg_value *absent = tg_build_binary(b, TG_OP_OR, x.here, earlier);
    return tg_build_select(b, y.here, tg_build_binary(b, TG_OP_AND, x.here, ahead), absent);
}

static tg_value *read_position(const ts_merger *m, int which, tg_value *line, tg_value *p) {
    return ts_team_read(m->t, m->positions[which], line, p);
}

static void write_position(const ts_merger *m, int which, tg_value *line, tg_value *p,
                           tg_value *v) {
    const ts_buf *u = m->positions[which];
    ts_buf_write(m->t->S, &m->t->S->b, u, ts_team_at(m->t, u, line, p), v);
}

static void meet(const ts_merger *m) {
    bool device =
        m->positions[0]->space == TG_SPACE_SCRATCH || m->positions[1]->space == TG_SPACE_SCRATCH;
    ts_meet(m->t->S, device ? TG_FENCE_ALL : TG_FENCE_SHARED);
}

/*
 * How many of the `len` positions from `from` on hold elements before `mine`: bisection in
 * `rounds` steps, the first of `step` positions. `self` is a position that may always be read.
 */
static tg_value *count_before(const ts_merger *m, int source, tg_value *line, tg_value *from,
                              tg_value *len, tg_value *self, element mine, tg_value *step,
                              tg_value *rounds) {
    tg_builder *b = &m->t->S->b;
    tg_value *c[2] = {i32(b, 0), step}, *iv;
    tg_op *loop = tg_build_for(b, tg_build_index(b, 0), rounds, tg_build_index(b, 1), 2, c, &iv);
    tg_value *next = tg_build_binary(b, TG_OP_ADD, c[0], c[1]);
    tg_value *ok = tg_build_cmp(b, TG_CMP_LE, next, len);
    tg_value *p = ts_bin(b, TG_OP_SUB, tg_build_binary(b, TG_OP_ADD, from, next), 1);
    p = tg_build_select(b, ok, p, self);
    element other = element_at(m->t, line, read_position(m, source, line, p));
    ok = tg_build_binary(b, TG_OP_AND, ok, precedes(m, other, mine));
    c[0] = tg_build_select(b, ok, next, c[0]);
    c[1] = ts_bin(b, TG_OP_SHR, c[1], 1);
    tg_build_end_for(b, loop, 2, c);
    return c[0];
}

/* Runs of w positions become runs of 2 w; `rounds`: 1 + log2(w). */
static void merge_runs(const ts_merger *m, int source, tg_value *w, tg_value *rounds) {
    team *t = m->t;
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    tg_value *e, *line, *p;
    tg_op *deal = ts_deal(S, t->lines * t->n, &e);
    ts_team_split(t, e, &line, &p);
    tg_value *own = tg_build_binary(b, TG_OP_AND, p, ts_bin(b, TG_OP_SUB, w, 1));
    tg_value *begin = tg_build_binary(b, TG_OP_SUB, p, own);
    tg_value *other = tg_build_binary(b, TG_OP_XOR, begin, w);
    tg_value *len = tg_build_binary(b, TG_OP_SUB, i32(b, t->n), other);
    len = tg_build_binary(b, TG_OP_MIN, tg_build_binary(b, TG_OP_MIN, len, w), i32(b, m->keep));
    tg_op *branch = ts_team_when(S, tg_build_cmp(b, TG_CMP_LT, own, i32(b, m->keep)));
    tg_value *k = read_position(m, source, line, p);
    tg_value *n = count_before(m, source, line, other, len, p, element_at(t, line, k), w, rounds);
    tg_value *to = tg_build_binary(b, TG_OP_MIN, begin, other);
    to = tg_build_binary(b, TG_OP_ADD, tg_build_binary(b, TG_OP_ADD, to, own), n);
    write_position(m, 1 - source, line, to, k);
    ts_team_end_when(S, branch);
    ts_end_deal(S, deal);
}

/* positions[0] of every line: the first `keep` of its elements in order. Two rounds a trip, so that
 * they end where they began. */
static void merge_all(const ts_merger *m) {
    team *t = m->t;
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    tg_value *e, *line, *p, *iv, *w[1];
    tg_op *deal = ts_deal(S, t->lines * t->n, &e);
    ts_team_split(t, e, &line, &p);
    write_position(m, 0, line, p, p);
    ts_end_deal(S, deal);
    int64_t rounds = 0;
    while ((INT64_C(1) << rounds) < t->n) {
        rounds++;
    }
    w[0] = i32(b, 1);
    tg_op *loop = tg_build_for(b, tg_build_index(b, 0), tg_build_index(b, (rounds + 1) / 2),
                               tg_build_index(b, 1), 1, w, &iv);
    tg_value *steps = ts_bin(b, TG_OP_ADD, ts_bin(b, TG_OP_MUL, iv, 2), 1);
    meet(m);
    merge_runs(m, 0, w[0], steps);
    meet(m);
    merge_runs(m, 1, ts_bin(b, TG_OP_MUL, w[0], 2), ts_bin(b, TG_OP_ADD, steps, 1));
    w[0] = ts_bin(b, TG_OP_MUL, w[0], 4);
    tg_build_end_for(b, loop, 1, w);
    meet(m);
}

ts_merger ts_team_merge(team *t, const ts_buf *positions, const ts_buf *other, bool descending,
                        int64_t keep) {
    ts_merger m = {t, {positions, other}, descending, keep};
    merge_all(&m);
    return m;
}

/* Placement gave two temporaries behind the outputs. */
static bool merges(team *t, int outs, bool descending, int64_t keep, ts_merger *m) {
    if (t->n_out < outs + 2) {
        return false;
    }
    *m = ts_team_merge(t, t->out[outs], t->out[outs + 1], descending, keep);
    return true;
}

static void sort_merged(const ts_merger *m) {
    team *t = m->t;
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    tg_value *e, *line, *p;
    tg_op *deal = ts_deal(S, t->lines * t->n, &e);
    ts_team_split(t, e, &line, &p);
    tg_value *k = read_position(m, 0, line, p);
    for (int i = 0; i < t->n_in; i++) {
        ts_buf_write(S, b, t->out[i], ts_team_at(t, t->out[i], line, p),
                     ts_team_read(t, t->in[i], line, k));
    }
    ts_end_deal(S, deal);
}

/* Places that no present element takes hold 0 and -1. */
static void topk_merged(const ts_merger *m, int64_t wanted) {
    team *t = m->t;
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    tg_value *e;
    tg_op *deal = ts_deal(S, t->lines * wanted, &e);
    tg_value *line = t->lines == 1 ? i32(b, 0) : ts_bin(b, TG_OP_DIV, e, wanted);
    tg_value *j = t->lines == 1 ? e : ts_bin(b, TG_OP_REM, e, wanted);
    tg_value *ok = wanted > t->n ? tg_build_cmp(b, TG_CMP_LT, j, i32(b, t->n)) : NULL;
    tg_value *p = ok != NULL ? tg_build_select(b, ok, j, i32(b, 0)) : j;
    tg_value *k = read_position(m, 0, line, p);
    tg_value *v = ts_team_read(t, t->in[0], line, k);
    ok = ts_team_both(b, ok, ts_team_present(t, line, k));
    if (ok != NULL) {
        v = tg_build_select(b, ok, v, tg_build_int(b, v->type, 0));
        k = tg_build_select(b, ok, k, i32(b, -1));
    }
    ts_buf_write(S, b, t->out[0], ts_team_at(t, t->out[0], line, j), v);
    ts_buf_write(S, b, t->out[1], ts_team_at(t, t->out[1], line, j), k);
    ts_end_deal(S, deal);
}

/* How many of the one sorted line's elements come before `mine`. */
static tg_value *count_line(const ts_merger *m, element mine) {
    tg_builder *b = &m->t->S->b;
    int64_t step = 1, rounds = 1;
    while (step * 2 <= m->t->n) {
        step *= 2;
        rounds++;
    }
    tg_value *zero = i32(b, 0);
    return count_before(m, 0, zero, zero, i32(b, m->t->n), zero, mine, i32(b, step),
                        tg_build_index(b, rounds));
}

/* Of the sorted present elements, those of an element's key that stand before it. */
static void rank_by_key_merged(const ts_merger *m) {
    team *t = m->t;
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    tg_value *e, *line = i32(b, 0);
    tg_op *deal = ts_deal(S, t->n, &e);
    element mine = element_at(t, line, e), first = mine;
    mine.here = first.here = mine.here == NULL ? NULL : tg_build_bool(b, true);
    first.k = i32(b, -1);
    tg_value *upto = count_line(m, mine), *less = count_line(m, first);
    tg_value *rank = tg_build_binary(b, TG_OP_SUB, upto, less);
    tg_value *inside = ts_team_in_range(b, mine.key, tg_attr_int(t->op, TG_ATTR_N, 0));
    ts_buf_write(S, b, t->out[0], ts_team_at(t, t->out[0], line, e),
                 tg_build_select(b, inside, rank, i32(b, 0)));
    ts_end_deal(S, deal);
}

void ts_team_run_of(const ts_merger *m, tg_value *key, tg_value **from, tg_value **to) {
    tg_builder *b = &m->t->S->b;
    element edge = {.k = i32(b, -1)};
    edge.key = tg_build_cast(b, key, key_dtype(tg_dtype_arith(m->t->in[0]->dtype)));
    edge.here = m->t->mask == NULL ? NULL : tg_build_bool(b, true);
    *from = count_line(m, edge);
    edge.k = i32(b, INT32_MAX);
    *to = count_line(m, edge);
}

/* ---- doors ------------------------------------------------------------------------------------
 */

void ts_team_sort(team *t) {
    ts_merger m;
    if (merges(t, t->n_in, tg_attr_int(t->op, TG_ATTR_DESC, 0) != 0, t->n, &m)) {
        sort_merged(&m);
    } else {
        sort_ranked(t);
    }
}

void ts_team_topk(team *t) {
    ts_merger m;
    int64_t wanted = tg_attr_int(t->op, TG_ATTR_K, 0);
    if (merges(t, 2, true, tg_min_i64(wanted, t->n), &m)) {
        topk_merged(&m, wanted);
    } else {
        topk_ranked(t);
    }
}

void ts_team_rank_by_key(team *t) {
    ts_merger m;
    if (merges(t, 1, false, t->n, &m)) {
        rank_by_key_merged(&m);
    } else {
        rank_by_key_ranked(t);
    }
}
