/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels of sm_90 that take three buffers and two tensor maps: what their tests share. */
#ifndef TESTS_SIM_HOPPER_H
#define TESTS_SIM_HOPPER_H

#include "simtest.h"

enum { HOPPER_WORDS = 32768 };

typedef struct hopper {
    sim_machine *machine;
    sim_module *module;
    uint64_t out, a, b;
    uint32_t host_a[HOPPER_WORDS], host_b[HOPPER_WORDS], host_out[HOPPER_WORDS];
    sim_tensor_map m, r; /* rank 0: none */
    sim_report report;
    sim_launch_options options;
} hopper;

/* A machine with the text, a and b drawn by seed, out filled with 7. Fails the test when the text
 * is refused. */
hopper *hopper_open(const char *text, uint64_t seed);
void hopper_close(hopper *h);
/* kernel(out, a, b, n, m, r): buffers go over before and out comes back. */
sim_status hopper_run(hopper *h, const char *kernel, uint32_t blocks, uint32_t threads, int n);

#endif
