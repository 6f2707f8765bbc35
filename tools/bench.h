/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of `tegula bench`: which rows there are (bench_rows.c), what was measured of them, in
 * files and against earlier runs (bench_results.c), and the page (report_bench.c).
 */
#ifndef TG_TOOL_BENCH_H
#define TG_TOOL_BENCH_H

#include "tools/limits.h"
#include "tools/tool.h"

/* ---- rows (bench_rows.c) ------------------------------------------------------------------------
 */

/* A row of goals.def. */
typedef struct bench_goal {
    const char *work, *kernel, *settings; /* settings: NAME=VALUE between spaces */
    int threads;                          /* 0: any number of them */
    double share, times;                  /* of the limit (0: none); of the best peer's speed */
    bool hot;                             /* arguments stay in cache */
} bench_goal;

int bench_n_goals(void);
const bench_goal *bench_goal_at(int i);
/* The settings of a goal; false when they are no list of NAME=VALUE. */
bool bench_goal_settings(tool *t, const bench_goal *g, tg_setting **out, int *out_n);
/* The goal that stands for these settings, in any order; NULL: none. */
const bench_goal *bench_goal_of(tool *t, const char *kernel, const tg_setting *settings, int n);

/* What is to be measured: a `bench` line, or a goal that no line states. */
typedef struct bench_line {
    tg_program *program;
    const char *path, *kernel;
    const tg_setting *settings;
    int n_settings;
    const bench_goal *goal; /* NULL: none */
    const tg_case *line;    /* the same as a line of the file, with its tolerance if it has one */
} bench_line;
typedef TG_LIST(bench_line) bench_lines;

/* Rows of the files below dir whose kernel matches the filter (NULL: all): first those with goals,
 * in the table's order; the others unless `table` is set. False when dir has no kernels. */
bool bench_collect(tool *t, const char *dir, const char *filter, bool table, bench_lines *out);

/* "T=f32 M=512", as the reports show it and as goals.def writes it. */
const char *bench_shape(tool *t, const tg_setting *settings, int n);

/* ---- results (bench_results.c) ------------------------------------------------------------------
 */

enum { BENCH_MAX_PEERS = 16 };
typedef struct bench_peer {
    const char *name;
    double us;
} bench_peer;

typedef struct bench_result {
    const char *work; /* of the goal, else "" */
    const char *kernel, *shape;
    const char *status, *detail; /* PASS, FAIL, or SKIP with a reason */
    int threads;
    double us, compile_ms;
    double flops, bytes;
    double share;       /* of the limit in the row's own rounds */
    bool computes;      /* arithmetic is the limit, not memory */
    double goal, times; /* of goals.def; 0: none */
    tool_limits limits; /* of the row's own rounds */
    bench_peer peers[BENCH_MAX_PEERS];
    int n_peers;
} bench_result;

typedef struct bench_results {
    const char *processor; /* model, family, not host */
    TG_LIST(bench_result) rows;
} bench_results;

/* NULL: no peer. */
const bench_peer *bench_best_peer(const bench_result *r);
/* How many times as fast as the best peer; 0: no peer. */
double bench_ratio(const bench_result *r);
bool bench_at_goal(const bench_result *r);

typedef struct bench_summary {
    int rows;            /* with a goal, measured */
    int at_goal, behind; /* behind: slower than its best peer */
    int failed;          /* of all rows */
    double mean; /* geometric, of the shares of rows with a goal for it; above 1 counts as 1 */
} bench_summary;
bench_summary bench_sum_up(const bench_results *r, int threads);

/* JSON lines: the first names the processor, then one a row. False after reporting. */
bool bench_write(tool *t, const bench_results *r, const char *path);
bool bench_read(tool *t, const char *path, bench_results *out);
/* Rows of `now` in place of the same rows of the file at path, which may not be there yet. */
bool bench_merge(tool *t, const bench_results *now, const char *path);
/* Where results of this processor model are kept beside the sources. */
const char *bench_kept_path(tool *t, const char *processor);
/* Prints the rows whose share of the limit fell by more than `percent` of it; how many. */
int bench_compare(const bench_results *before, const bench_results *now, double percent);

/* ---- texts (report_bench.c) ---------------------------------------------------------------------
 */

void bench_print_row(const bench_result *r);
void bench_print_summary(tool *t, const bench_results *r);
/* One page that needs nothing but itself: rooflines, then the rows. */
bool bench_html(tool *t, const bench_results *r, const char *path);

#endif
