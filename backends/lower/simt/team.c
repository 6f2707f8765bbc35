/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Algorithms of the whole program over buffers. Work is dealt to lanes by element, by piece or by
 * line (the elements along the axis). This file has the door, what all share, and reductions of the
 * author's, a line a lane; scans are team_scan.c, sums by bin team_bins.c, sorting and what follows
 * from it team_order.c.
 */
#include "backends/lower/simt/team.h"

tg_op *ts_team_count_up(tg_simt *S, int64_t n, int n_carried, tg_value **carried, tg_value **i) {
    tg_builder *b = &S->b;
    tg_value *iv;
    tg_op *loop = tg_build_for(b, tg_build_index(b, 0), tg_build_index(b, n), tg_build_index(b, 1),
                               n_carried, carried, &iv);
    *i = ts_i32(b, iv);
    return loop;
}

tg_op *ts_team_when(tg_simt *S, tg_value *ok) { return tg_build_if(&S->b, ok, 0, NULL); }

void ts_team_end_when(tg_simt *S, tg_op *branch) {
    tg_build_else(&S->b, branch, 0, NULL);
    tg_build_end_if(&S->b, branch, 0, NULL);
}

/* Index of element e in row-major order. */
static tg_value *flat_index(team *t, const ts_buf *u, tg_value *e) {
    tg_value *c[TG_MAX_RANK] = {NULL};
    tg_builder *b = &t->S->b;
    int64_t inner = 1;
    for (int a = u->rank - 1; a >= 0; a--) {
        c[a] = ts_bin(b, TG_OP_DIV, e, inner);
        c[a] = a > 0 ? ts_bin(b, TG_OP_REM, c[a], u->shape[a]) : c[a];
        inner *= u->shape[a];
    }
    return ts_buf_index(b, u, c);
}

tg_value *ts_team_at(team *t, const ts_buf *u, tg_value *line, tg_value *k) {
    tg_builder *b = &t->S->b;
    tg_value *c[TG_MAX_RANK] = {NULL};
    int64_t inner = 1;
    if (t->flat) {
        return flat_index(t, u, k);
    }
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

tg_value *ts_team_read(team *t, const ts_buf *u, tg_value *line, tg_value *k) {
    return ts_buf_read(t->S, &t->S->b, u, ts_team_at(t, u, line, k), 1);
}

tg_value *ts_team_flat_read(team *t, const ts_buf *u, tg_value *e) {
    return ts_buf_read(t->S, &t->S->b, u, flat_index(t, u, e), 1);
}

void ts_team_flat_write(team *t, const ts_buf *u, tg_value *e, tg_value *v) {
    ts_buf_write(t->S, &t->S->b, u, ts_buf_index(&t->S->b, u, &e), v);
}

tg_value *ts_team_present(team *t, tg_value *line, tg_value *k) {
    if (t->mask == NULL) {
        return NULL;
    }
    return t->mask->rank == t->in[0]->rank
               ? ts_team_read(t, t->mask, line, k)
               : ts_buf_read(t->S, &t->S->b, t->mask, ts_buf_index(&t->S->b, t->mask, &k), 1);
}

tg_value *ts_team_both(tg_builder *b, tg_value *x, tg_value *y) {
    return x == NULL ? y : y == NULL ? x : tg_build_binary(b, TG_OP_AND, x, y);
}

void ts_team_split(team *t, tg_value *e, tg_value **line, tg_value **k) {
    tg_builder *b = &t->S->b;
    *line = t->lines == 1 ? i32(b, 0) : ts_bin(b, TG_OP_DIV, e, t->n);
    *k = t->lines == 1 ? e : ts_bin(b, TG_OP_REM, e, t->n);
}

tg_value *ts_team_flat_present(team *t, tg_value *e) {
    return t->mask == NULL ? NULL : ts_team_flat_read(t, t->mask, e);
}

int64_t ts_team_count(const ts_buf *u) {
    int64_t n = 1;
    for (int a = 0; a < u->rank; a++) {
        n *= u->shape[a];
    }
    return n;
}

tg_value *ts_team_in_range(tg_builder *b, tg_value *v, int64_t n) {
    tg_value *w = tg_build_cast(b, v, TG_DT_I64);
    tg_value *low = tg_build_cmp(b, TG_CMP_GE, w, tg_build_index(b, 0));
    return tg_build_binary(b, TG_OP_AND, low, tg_build_cmp(b, TG_CMP_LT, w, tg_build_index(b, n)));
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
    tg_op *loop = ts_team_count_up(S, t->n, n, acc, &k);
    for (int i = 0; i < n; i++) {
        ts_of(S, r->args[i])->scalar = acc[i];
        ts_of(S, r->args[n + i])->scalar = ts_team_read(t, t->in[i], line, k);
    }
    tg_value *ok = ts_team_present(t, line, k);
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
    t->lines = ts_team_count(t->in[0]) / (t->n > 0 ? t->n : 1);
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
        ts_team_scan(t);
        return;
    case TG_TEAM_SORT:
        ts_team_sort(t);
        return;
    case TG_TEAM_TOPK:
        ts_team_topk(t);
        return;
    case TG_TEAM_RANK_BY_KEY:
        ts_team_rank_by_key(t);
        return;
    case TG_TEAM_COMPRESS:
        ts_team_compress(t);
        return;
    case TG_TEAM_HISTOGRAM:
        ts_team_histogram(t);
        return;
    case TG_TEAM_SCATTER_ADD:
        ts_team_scatter_add(t);
        return;
    case TG_TEAM_FOLD:
        fold(t);
        return;
    }
}
