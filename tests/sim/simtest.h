/* SPDX-License-Identifier: Apache-2.0 */
/* What the simulator's tests share: a machine with three buffers, files of PTX, launches. */
#ifndef SIMTEST_H
#define SIMTEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tegula/sim_ptx.h>

enum { SIMTEST_N = 1024, SIMTEST_OUT = SIMTEST_N + 64, SIMTEST_LARGE = 32768 };

typedef struct simtest {
    sim_machine *machine;
    sim_module *module;
    uint64_t out, a, b;
    size_t words, out_words; /* of a and of b; of out */
    uint32_t *host_a, *host_b, *host_out;
    sim_tensor_map m, r; /* rank 0: none */
    sim_report report;
    sim_launch_options options;
} simtest;

/* Text of a file of tests/sim; free it. */
char *simtest_bytes(const char *name, size_t *out_bytes);
char *simtest_file(const char *name);
/* The text with the n-th occurrence of `from` behind `after` replaced; free it. */
char *simtest_edited(const char *text, const char *after, const char *from, int n, const char *to);
/* A machine, the module, a and b of SIMTEST_N words drawn by seed, out of SIMTEST_OUT zero. Fails
 * the test when the text is refused. */
simtest *simtest_open(const char *text, int sm, uint64_t seed);
/* The same of sm_90 with buffers of SIMTEST_LARGE words, out filled with 7. */
simtest *simtest_open_large(const char *text, uint64_t seed);
void simtest_close(simtest *s);
uint32_t simtest_draw(uint64_t *state);
/* kernel(out, a, b, n, m, r), or the first of these: blocks of so many threads. a, b and out go
 * over before and out comes back. */
sim_status simtest_run(simtest *s, const char *kernel, uint32_t blocks, uint32_t threads, int n);
void simtest_print(const sim_report *r);
/* Does the report hold such a finding? */
bool simtest_found(const sim_report *r, sim_fault fault);

#endif
