/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums by bin: histogram and scatter_add.
 *
 *   integers  elements are dealt and added by atomics, whose sums have no order. Widths that
 *             have none are summed in words of placement's: narrow ones in one and cut off at the
 *             end; 64 bits in a low one, whose carries go to a high one
 *   floats    a bin's sum has the order of the elements. Few bins: each is a lane's, which looks at
 *             all elements. Many: the elements are sorted by bin (team_order.c), and a lane finds
 *             the run of its bin by bisection
 */
#include "backends/lower/expand/expand.h"
#include "backends/lower/simt/team.h"

/* ---- integers ---------------------------------------------------------------------------------
 */

static tg_value *add_atomically(team *t, const ts_buf *u, tg_value *index, tg_value *v) {
    tg_builder *b = &t->S->b;
    if (u->space != TG_SPACE_SCRATCH) {
        return tg_build_aatomic(b, TG_ATOMIC_ADD, u->memory, index, v, NULL);
    }
    tg_value *p = tg_build_gep(b, u->memory, tg_build_cast(b, index, TG_DT_I64),
                               tg_scratch_elem_bytes(u->dtype));
    tg_value *old = tg_build1(b, TG_OP_ATOMICM, v->type, 2, p, v);
    tg_op_set_int(old->def, TG_ATTR_ATOMIC, TG_ATOMIC_ADD);
    return old;
}

static tg_value *word_index(team *t, const ts_buf *u, int64_t word, tg_value *e) {
    tg_builder *b = &t->S->b;
    tg_value *c[2] = {i32(b, word), e};
    return u->rank == 1 ? ts_buf_index(b, u, &e) : ts_buf_index(b, u, c);
}

/* Words 0 and 1 of v: u32. */
static tg_value *word_of(tg_builder *b, tg_value *v, int word) {
    tg_value *w = tg_build_cast(b, v, TG_DT_U64);
    return tg_build_cast(b, word == 0 ? w : ts_bin(b, TG_OP_SHR, w, 32), TG_DT_U32);
}

typedef struct bins {
    team *t;
    const ts_buf *index, *weight, *init, *out; /* NULL: 1, 0 */
    const ts_buf *words;                       /* [1 or 2, bins] u32; NULL: out itself */
    int64_t n, count;                          /* elements, bins */
} bins;

static tg_value *initial(const bins *s, tg_value *e) {
    tg_simt *S = s->t->S;
    return s->init != NULL ? ts_team_flat_read(s->t, s->init, e)
                           : tg_build_int(&S->b, ts_type(S, s->out->dtype, 1), 0);
}

static void clear(const bins *s) {
    tg_simt *S = s->t->S;
    tg_builder *b = &S->b;
    tg_value *e;
    tg_op *deal = ts_deal(S, s->count, &e);
    tg_value *v = initial(s, e);
    if (s->words == NULL) {
        ts_team_flat_write(s->t, s->out, e, v);
    }
    for (int w = 0; s->words != NULL && w < s->words->shape[0]; w++) {
        ts_buf_write(S, b, s->words, word_index(s->t, s->words, w, e), word_of(b, v, w));
    }
    ts_end_deal(S, deal);
    ts_barrier(S, s->words != NULL ? s->words : s->out);
}

static void add_words(const bins *s, tg_value *bin, tg_value *v) {
    team *t = s->t;
    tg_builder *b = &t->S->b;
    if (s->words == NULL) {
        (void)add_atomically(t, s->out, word_index(t, s->out, 0, bin), v);
        return;
    }
    tg_value *low = word_of(b, v, 0);
    tg_value *old = add_atomically(t, s->words, word_index(t, s->words, 0, bin), low);
    if (s->words->shape[0] == 1) {
        return;
    }
    tg_value *sum = tg_build_binary(b, TG_OP_ADD, old, low);
    tg_value *carry = tg_build_cast(b, tg_build_cmp(b, TG_CMP_LT, sum, low), TG_DT_U32);
    tg_value *high = tg_build_binary(b, TG_OP_ADD, word_of(b, v, 1), carry);
    (void)add_atomically(t, s->words, word_index(t, s->words, 1, bin), high);
}

/* The words of every bin as its sum. */
static void join_words(const bins *s) {
    tg_simt *S = s->t->S;
    tg_builder *b = &S->b;
    tg_value *e;
    ts_barrier(S, s->words);
    tg_op *deal = ts_deal(S, s->count, &e);
    tg_value *v = ts_buf_read(S, b, s->words, word_index(s->t, s->words, 0, e), 1);
    if (s->words->shape[0] > 1) {
        tg_value *high = ts_buf_read(S, b, s->words, word_index(s->t, s->words, 1, e), 1);
        high = ts_bin(b, TG_OP_SHL, tg_build_cast(b, high, TG_DT_U64), 32);
        v = tg_build_binary(b, TG_OP_OR, tg_build_cast(b, v, TG_DT_U64), high);
    }
    v = tg_build_cast(b, v, s->out->dtype);
    ts_team_flat_write(s->t, s->out, e, v);
    ts_end_deal(S, deal);
}

static void sum_atomically(const bins *s) {
    team *t = s->t;
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    tg_value *e;
    clear(s);
    tg_op *deal = ts_deal(S, s->n, &e);
    tg_value *bin = ts_team_flat_read(t, s->index, e);
    tg_value *ok = ts_team_in_range(b, bin, s->count);
    tg_op *branch = ts_team_when(S, ts_team_both(b, ok, ts_team_flat_present(t, e)));
    tg_value *v = s->weight != NULL ? ts_team_flat_read(t, s->weight, e)
                                    : tg_build_int(b, ts_type(S, s->out->dtype, 1), 1);
    add_words(s, tg_build_cast(b, bin, TG_DT_I32), v);
    ts_team_end_when(S, branch);
    ts_end_deal(S, deal);
    if (s->words != NULL) {
        join_words(s);
    }
}

/* ---- floats -----------------------------------------------------------------------------------
 */

/* Bins are dealt; each lane looks at all elements. */
static void sum_by_bin(const bins *s) {
    team *t = s->t;
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    tg_value *e, *j, *sum[1];
    tg_op *deal = ts_deal(S, s->count, &e);
    sum[0] = initial(s, e);
    tg_op *loop = ts_team_count_up(S, s->n, 1, sum, &j);
    tg_value *bin = tg_build_cast(b, ts_team_flat_read(t, s->index, j), TG_DT_I64);
    tg_value *mine = tg_build_cmp(b, TG_CMP_EQ, bin, tg_build_cast(b, e, TG_DT_I64));
    mine = ts_team_both(b, mine, ts_team_flat_present(t, j));
    tg_value *more = tg_build_binary(b, TG_OP_ADD, sum[0], ts_team_flat_read(t, s->weight, j));
    sum[0] = tg_build_select(b, mine, more, sum[0]);
    tg_build_end_for(b, loop, 1, sum);
    ts_team_flat_write(t, s->out, e, sum[0]);
    ts_end_deal(S, deal);
}

/* The run of a bin among the sorted elements, added in order. */
static void sum_runs(const bins *s) {
    team *t = s->t;
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    team sorted = *t;
    sorted.in[0] = s->index;
    sorted.flat = true;
    sorted.axis = 0;
    sorted.n = s->n;
    sorted.lines = 1;
    ts_merger m = ts_team_merge(&sorted, t->out[1], t->out[2], false, s->n);
    tg_value *e, *from, *to, *iv, *sum[1], *line = i32(b, 0);
    tg_op *deal = ts_deal(S, s->count, &e);
    ts_team_run_of(&m, e, &from, &to);
    sum[0] = initial(s, e);
    tg_op *loop = tg_build_for(b, tg_build_cast(b, from, TG_DT_I64),
                               tg_build_cast(b, to, TG_DT_I64), tg_build_index(b, 1), 1, sum, &iv);
    tg_value *k = ts_team_read(&sorted, t->out[1], line, ts_i32(b, iv));
    sum[0] = tg_build_binary(b, TG_OP_ADD, sum[0], ts_team_flat_read(t, s->weight, k));
    tg_build_end_for(b, loop, 1, sum);
    ts_team_flat_write(t, s->out, e, sum[0]);
    ts_end_deal(S, deal);
}

/* ---- doors ------------------------------------------------------------------------------------
 */

void ts_team_histogram(team *t) {
    bins s = {.t = t, .index = t->in[0], .out = t->out[0]};
    s.weight = t->n_in > 1 ? t->in[1] : NULL;
    s.words = t->n_out > 1 ? t->out[1] : NULL;
    s.n = ts_team_count(s.index);
    s.count = ts_team_count(s.out);
    sum_atomically(&s);
}

void ts_team_scatter_add(team *t) {
    bins s = {.t = t, .index = t->in[1], .weight = t->in[2], .init = t->in[0], .out = t->out[0]};
    s.n = ts_team_count(s.index);
    s.count = ts_team_count(s.out);
    if (!tg_dtype_is_float(s.out->dtype)) {
        s.words = t->n_out > 1 ? t->out[1] : NULL;
        sum_atomically(&s);
    } else if (t->n_out > 2) {
        sum_runs(&s);
    } else {
        sum_by_bin(&s);
    }
}
