/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Test bench of the interpreter: runs one operation, or a whole kernel in IR text, on values given
 * as doubles. Everything is owned by the bench and freed with it.
 */
#ifndef TG_TEST_OP_CASE_H
#define TG_TEST_OP_CASE_H

#include "ir/interp.h"

enum { BENCH_MAX_ARGS = 12 };

typedef struct bench {
    tg_env env;
    jmp_buf oom;
    tg_arena arena;
    tg_sink sink;
    tg_source source;
    tg_func *func;
    tg_interp_arg args[BENCH_MAX_ARGS];
    int64_t syms[16];
    tg_interp_options options;
    tg_sb printed;
} bench;

void bench_init(bench *b);
void bench_fini(bench *b);
/* Both: a fresh bench with this text loaded. */
void bench_open(bench *b, const char *text);
/* Parses and verifies the text; its first kernel becomes b->func. Fails the test when it cannot. */
void bench_load(bench *b, const char *text);
/* Parameter p becomes a fresh contiguous tensor of these extents, filled from values (NULL: zeros).
 */
void bench_tensor(bench *b, int p, int rank, const int64_t *extents, const double *values);
void bench_scalar(bench *b, int p, double value);
tg_status bench_run(bench *b);
tg_status bench_run_interp(bench *b);
/* Element i (row-major) of contiguous parameter p. */
double bench_get(const bench *b, int p, int64_t i);
/* True when a diagnostic with this id was reported. */
bool bench_told(const bench *b, tg_diag_id id);
void bench_print_diags(const bench *b);

/*
 * One operation: inputs like {"f32[4]", "i32"} with values one after the other; op text with $0, $1
 * for them; results and their expected values (NaN equals NaN, -0 is not 0).
 */
typedef struct op_case {
    const char *op;
    const char *in[6];
    const double *in_values[6];
    const char *out[4];
    const double *want[4];
    const char *region; /* appended after the result types */
} op_case;

/* Runs it in this mode and checks every result; `where` names the case in failures. */
void check_op(const char *where, const op_case *c, tg_interp_mode mode);

#define V(...) ((const double[]){__VA_ARGS__})

#endif
