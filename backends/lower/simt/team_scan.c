/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scans, and compress, which is a scan of its mask.
 *
 * Where placement gave room for parts, buf[lines, pieces], a line is cut into pieces of equal
 * length, one a lane:
 *
 *   every lane combines its piece      parts[line][p]
 *   barrier
 *   every lane combines the parts before its own, and walks its piece again from there
 *
 * With n elements in about sqrt(2 n) pieces all lanes together take 4 n steps. The order is that of
 * the elements; the association follows from the shape and the lanes of the variant alone. Pieces
 * have odd lengths, so that neighbouring lanes read different banks; all read the same part. Short
 * lines, and lines that keep the lanes busy by their number, are walked by one lane each. One
 * barrier, because PoCL's time to compile a kernel doubles with some of them.
 */
#include "backends/lower/simt/team.h"

#include "backends/lower/expand/expand.h"

/* ---- pieces -----------------------------------------------------------------------------------
 */

typedef struct pieces {
    team *t;
    const ts_buf *parts;
    tg_reduce_kind kind;
    tg_dtype dt;        /* of the parts */
    int64_t count, len; /* pieces a line, elements a piece */
    int64_t lines, n;   /* elements a line */
} pieces;

/* What a lane works on; those that have no piece read what the first reads, walk no element and
 * write nothing. That is no branch around it all: PoCL 3.1 lost what its loops stored. */
typedef struct piece {
    tg_value *line, *p, *begin, *end; /* i32, i32, i64, i64 */
    tg_value *ok;                     /* NULL: every lane has one */
} piece;

/* Widened element k of a line, the identity where it is absent. */
typedef tg_value *(*element_fn)(const pieces *s, tg_value *line, tg_value *k);

static tg_value *neutral(const pieces *s) {
    return ts_identity(s->t->S, &s->t->S->b, s->kind, s->dt, 1);
}

static tg_value *widen(const pieces *s, tg_value *v) {
    return tg_expand_convert(&s->t->S->b, s->t->S->mc, v, s->dt, tg_dtype_arith(s->dt),
                             TG_ROUND_RNE, false);
}

static tg_value *narrow(const pieces *s, tg_value *v) {
    return tg_expand_convert(&s->t->S->b, s->t->S->mc, v, tg_dtype_arith(s->dt), s->dt,
                             TG_ROUND_RNE, false);
}

/* Placement (stage_team.c) chose the number from an odd length, so that with the least odd length
 * of that number no piece is empty. */
static pieces pieces_of(team *t, const ts_buf *parts, tg_reduce_kind kind) {
    pieces s = {.t = t, .parts = parts, .kind = kind, .dt = parts->dtype};
    s.lines = parts->shape[0];
    s.count = parts->shape[1];
    s.n = t->n;
    s.len = tg_cdiv_i64(s.n, s.count) | 1;
    return s;
}

static piece piece_of(const pieces *s) {
    tg_builder *b = &s->t->S->b;
    int64_t all = s->lines * s->count, rest = s->n - (s->count - 1) * s->len;
    piece r = {0};
    tg_value *e = s->t->S->args.lane, *len = tg_build_index(b, s->len);
    if (all < s->t->S->lanes) {
        r.ok = tg_build_cmp(b, TG_CMP_LT, e, i32(b, all));
        e = tg_build_select(b, r.ok, e, i32(b, 0));
    }
    r.line = s->lines == 1 ? i32(b, 0) : ts_bin(b, TG_OP_DIV, e, s->count);
    r.p = s->lines == 1 ? e : ts_bin(b, TG_OP_REM, e, s->count);
    r.begin = tg_build_cast(b, ts_bin(b, TG_OP_MUL, r.p, s->len), TG_DT_I64);
    if (rest != s->len) { /* no minimum of two ends: PoCL again */
        tg_value *last = tg_build_cmp(b, TG_CMP_EQ, r.p, i32(b, s->count - 1));
        len = tg_build_select(b, last, tg_build_index(b, rest), len);
    }
    len = r.ok == NULL ? len : tg_build_select(b, r.ok, len, tg_build_index(b, 0));
    r.end = tg_build_binary(b, TG_OP_ADD, r.begin, len);
    return r;
}

static tg_value *part_at(const pieces *s, tg_value *line, tg_value *p) {
    tg_value *c[2] = {line, p};
    return ts_buf_index(&s->t->S->b, s->parts, c);
}

static tg_value *read_part(const pieces *s, tg_value *line, tg_value *p) {
    tg_simt *S = s->t->S;
    return widen(s, ts_buf_read(S, &S->b, s->parts, part_at(s, line, p), 1));
}

/* Every piece by itself, and a barrier. */
static void combine_pieces(const pieces *s, element_fn element) {
    tg_simt *S = s->t->S;
    tg_builder *b = &S->b;
    piece r = piece_of(s);
    tg_value *acc[1] = {neutral(s)}, *iv;
    tg_op *loop = tg_build_for(b, r.begin, r.end, tg_build_index(b, 1), 1, acc, &iv);
    acc[0] = ts_combine(b, s->kind, acc[0], element(s, r.line, ts_i32(b, iv)));
    tg_build_end_for(b, loop, 1, acc);
    tg_op *branch = r.ok == NULL ? NULL : ts_team_when(S, r.ok);
    ts_buf_write(S, b, s->parts, part_at(s, r.line, r.p), narrow(s, acc[0]));
    if (branch != NULL) {
        ts_team_end_when(S, branch);
    }
    ts_barrier(S, s->parts);
}

/* The first `n` parts of a line, NULL: all. */
static tg_value *combine_parts(const pieces *s, tg_value *line, tg_value *n) {
    tg_builder *b = &s->t->S->b;
    tg_value *acc[1] = {neutral(s)}, *q;
    tg_op *loop = ts_team_count_up(s->t->S, n == NULL ? s->count : s->count - 1, 1, acc, &q);
    tg_value *next = ts_combine(b, s->kind, acc[0], read_part(s, line, q));
    acc[0] = n == NULL ? next : tg_build_select(b, tg_build_cmp(b, TG_CMP_LT, q, n), next, acc[0]);
    tg_build_end_for(b, loop, 1, acc);
    return acc[0];
}

/* ---- scan -------------------------------------------------------------------------------------
 */

static tg_value *scanned(const pieces *s, tg_value *line, tg_value *k) {
    tg_value *v = widen(s, ts_team_read(s->t, s->t->in[0], line, k));
    tg_value *ok = ts_team_present(s->t, line, k);
    return ok == NULL ? v : tg_build_select(&s->t->S->b, ok, v, neutral(s));
}

/* Elements begin .. end of a line from `acc` on. */
static void walk(const pieces *s, tg_value *line, tg_value *begin, tg_value *end, tg_value *acc) {
    team *t = s->t;
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    bool exclusive = tg_attr_int(t->op, TG_ATTR_EXCL, 0) != 0;
    tg_value *iv;
    tg_op *loop = tg_build_for(b, begin, end, tg_build_index(b, 1), 1, &acc, &iv);
    tg_value *k = ts_i32(b, iv);
    tg_value *next = ts_combine(b, s->kind, acc, scanned(s, line, k));
    ts_buf_write(S, b, t->out[0], ts_team_at(t, t->out[0], line, k),
                 narrow(s, exclusive ? acc : next));
    acc = next;
    tg_build_end_for(b, loop, 1, &acc);
}

void ts_team_scan(team *t) {
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    tg_reduce_kind kind = (tg_reduce_kind)tg_attr_int(t->op, TG_ATTR_RED, 0);
    if (t->n_out > 1) {
        pieces s = pieces_of(t, t->out[1], kind);
        combine_pieces(&s, scanned);
        piece r = piece_of(&s);
        walk(&s, r.line, r.begin, r.end, combine_parts(&s, r.line, r.p));
        return;
    }
    pieces whole = {.t = t, .kind = kind, .dt = t->out[0]->dtype};
    tg_value *line;
    tg_op *deal = ts_deal(S, t->lines, &line);
    walk(&whole, line, tg_build_index(b, 0), tg_build_index(b, t->n), neutral(&whole));
    ts_end_deal(S, deal);
}

/* ---- compress ---------------------------------------------------------------------------------
 */

static tg_value *kept(const pieces *s, tg_value *line, tg_value *k) {
    (void)line;
    return tg_build_cast(&s->t->S->b, ts_team_flat_read(s->t, s->t->mask, k), TG_DT_I32);
}

/* What follows the kept elements, and their count; c: the count. */
static void compress_rest(team *t, tg_value *e, tg_value *c) {
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    tg_op *branch = ts_team_when(S, tg_build_cmp(b, TG_CMP_GE, e, c));
    ts_team_flat_write(t, t->out[0], e, tg_build_int(b, ts_type(S, t->out[0]->dtype, 1), 0));
    ts_team_end_when(S, branch);
    branch = ts_team_when(S, tg_build_cmp(b, TG_CMP_EQ, e, i32(b, 0)));
    ts_team_flat_write(t, t->out[1], i32(b, 0), c);
    ts_team_end_when(S, branch);
}

/* A short one: every lane counts all. */
static void compress_counted(team *t) {
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    tg_value *e, *j, *c[2];
    tg_op *deal = ts_deal(S, t->n, &e);
    c[0] = c[1] = i32(b, 0); /* kept in all, kept before e */
    tg_op *loop = ts_team_count_up(S, t->n, 2, c, &j);
    tg_value *one = tg_build_cast(b, ts_team_flat_read(t, t->mask, j), TG_DT_I32);
    tg_value *before = tg_build_select(b, tg_build_cmp(b, TG_CMP_LT, j, e), one, i32(b, 0));
    c[0] = tg_build_binary(b, TG_OP_ADD, c[0], one);
    c[1] = tg_build_binary(b, TG_OP_ADD, c[1], before);
    tg_build_end_for(b, loop, 2, c);
    tg_op *branch = ts_team_when(S, ts_team_flat_read(t, t->mask, e));
    ts_team_flat_write(t, t->out[0], c[1], ts_team_flat_read(t, t->in[0], e));
    ts_team_end_when(S, branch);
    compress_rest(t, e, c[0]);
    ts_end_deal(S, deal);
}

static void compress_pieces(team *t, pieces *s) {
    tg_simt *S = t->S;
    tg_builder *b = &S->b;
    combine_pieces(s, kept);
    piece r = piece_of(s);
    tg_value *at[1] = {combine_parts(s, r.line, r.p)}, *iv[1], *e;
    tg_op *loop = tg_build_for(b, r.begin, r.end, tg_build_index(b, 1), 1, at, iv);
    tg_value *k = ts_i32(b, iv[0]), *keep = ts_team_flat_read(t, t->mask, k);
    tg_op *branch = ts_team_when(S, keep);
    ts_team_flat_write(t, t->out[0], at[0], ts_team_flat_read(t, t->in[0], k));
    ts_team_end_when(S, branch);
    at[0] = tg_build_binary(b, TG_OP_ADD, at[0], tg_build_cast(b, keep, TG_DT_I32));
    tg_build_end_for(b, loop, 1, at);
    tg_value *count = combine_parts(s, i32(b, 0), NULL);
    e = tg_build_binary(b, TG_OP_ADD, count, S->args.lane);
    loop = tg_build_for(b, tg_build_cast(b, e, TG_DT_I64), tg_build_index(b, t->n),
                        tg_build_index(b, S->lanes), 0, NULL, iv);
    ts_team_flat_write(t, t->out[0], ts_i32(b, iv[0]),
                       tg_build_int(b, ts_type(S, t->out[0]->dtype, 1), 0));
    tg_build_end_for(b, loop, 0, NULL);
    branch = ts_team_when(S, tg_build_cmp(b, TG_CMP_EQ, S->args.lane, i32(b, 0)));
    ts_team_flat_write(t, t->out[1], i32(b, 0), count);
    ts_team_end_when(S, branch);
}

void ts_team_compress(team *t) {
    if (t->n_out > 2) {
        pieces s = pieces_of(t, t->out[2], TG_RED_SUM);
        compress_pieces(t, &s);
    } else {
        compress_counted(t);
    }
}
