/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One matrix product on its own: loop function from raw addresses, compiled and mapped. Shared by
 * test_dot.c (results) and bench_dot.c (times).
 *
 * Launch slots: a, b, acc addresses; m, n, k lengths; kmask address.
 */
#ifndef TG_TESTS_DOT_CASE_H
#define TG_TESTS_DOT_CASE_H

#include <tegula/abi.h>

#include "backends/lower/cpu/cpu.h"

typedef struct dot_case {
    int64_t m, n, k; /* static extents; k 0: unbounded */
    int64_t m_len, n_len, k_len;
    bool fixed; /* lengths are constants of the code, else slots */
    tg_dtype a_type, b_type, compute;
    bool a_by_k, b_by_k; /* memory runs along k */
    bool a_base, b_base; /* plain memory is offered, else only the callback */
    bool strided;        /* rows are farther apart than their length */
    bool kmask, acc_zero;
    int a_power, b_power;      /* floats are small integers times 2 to this power, and often 0 */
    tg_range a_range, b_range; /* of integers; {0, 0}: anything of the type, and nothing is said */
    bool b_codes;              /* b of 8-bit floats: one code after another, but for NaN */
    int64_t acc_pad;           /* elements added to the row pitch (a multiple of the vector) */
    int64_t a_ld, b_ld;        /* elements between lines of memory; 0: as tight as `strided` says */
} dot_case;

/* Distance of rows and of k in bytes, row pitch of acc in elements. */
typedef struct dot_layout {
    int64_t a_row, a_k, b_row, b_k, acc_pitch;
} dot_layout;
dot_layout dot_case_layout(const dot_case *c, const tg_machine *mc);

typedef struct dot_code {
    tg_cpu_phase_fn run;
    void *image;
    size_t image_bytes;
    int64_t scratch_bytes;
    char *ir; /* text of the loop function, in the arena */
} dot_code;

/* Compiles the case; false with diagnostics in the sink. */
bool dot_case_compile(const dot_case *c, const tg_machine *mc, tg_arena *a, tg_sink *sink,
                      dot_code *out);
void dot_code_unmap(dot_code *code);

#endif
