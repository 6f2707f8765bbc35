/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the team operations: team.c has the door, team_scan.c what runs along a line,
 * team_bins.c sums by bin, team_order.c what puts elements in order.
 */
#ifndef TG_LOWER_SIMT_TEAM_H
#define TG_LOWER_SIMT_TEAM_H

#include "backends/lower/simt/simt.h"

typedef struct team {
    tg_simt *S;
    tg_op *op;
    const ts_buf *in[TG_MAX_RANK * 4], *out[TG_MAX_RANK * 4], *mask;
    int n_in, n_out, axis; /* out: outputs, then temporaries */
    int64_t n, lines;      /* elements of a line of in[0], lines */
    bool flat;             /* in[0] is one line whatever its rank */
} team;

static inline tg_value *i32(tg_builder *b, int64_t v) {
    return tg_build_int(b, tg_type_scalar(b->module, TG_DT_I32), v);
}

/* for (*i = 0; *i < n; ++*i), *i i32. */
tg_op *ts_team_count_up(tg_simt *S, int64_t n, int n_carried, tg_value **carried, tg_value **i);
tg_op *ts_team_when(tg_simt *S, tg_value *ok);
void ts_team_end_when(tg_simt *S, tg_op *branch);
/* Index of element k of line `line` (i32) in u, whose other axes are those of in[0]. */
tg_value *ts_team_at(team *t, const ts_buf *u, tg_value *line, tg_value *k);
tg_value *ts_team_read(team *t, const ts_buf *u, tg_value *line, tg_value *k);
/* Is element k of the line present? NULL: all are. */
tg_value *ts_team_present(team *t, tg_value *line, tg_value *k);
/* line and k of element e of in[0], in row-major order with the axis innermost. */
void ts_team_split(team *t, tg_value *e, tg_value **line, tg_value **k);
/* x and y; NULL: true. */
tg_value *ts_team_both(tg_builder *b, tg_value *x, tg_value *y);
/* 0 <= v < n as i64. */
tg_value *ts_team_in_range(tg_builder *b, tg_value *v, int64_t n);
int64_t ts_team_count(const ts_buf *u);
/* Element e of u in row-major order. */
tg_value *ts_team_flat_read(team *t, const ts_buf *u, tg_value *e);
void ts_team_flat_write(team *t, const ts_buf *u, tg_value *e, tg_value *v);
tg_value *ts_team_flat_present(team *t, tg_value *e);

/* The lines of in[0] in order: positions in two buffers, of which the first holds the result. */
typedef struct ts_merger {
    team *t;
    const ts_buf *positions[2];
    bool descending;
    int64_t keep; /* of every run */
} ts_merger;

/* positions[0]: the first `keep` positions of every line in order, past a barrier. */
ts_merger ts_team_merge(team *t, const ts_buf *positions, const ts_buf *other, bool descending,
                        int64_t keep);
/* Where in the one sorted line the present elements of integer key `key` (i32, of the key's range)
 * stand: from .. to, i32. */
void ts_team_run_of(const ts_merger *m, tg_value *key, tg_value **from, tg_value **to);

void ts_team_scan(team *t);
void ts_team_compress(team *t);
void ts_team_histogram(team *t);
void ts_team_scatter_add(team *t);
void ts_team_sort(team *t);
void ts_team_topk(team *t);
void ts_team_rank_by_key(team *t);

#endif
