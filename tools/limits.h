/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine can do, measured: the denominators of every ratio. */
#ifndef TG_TOOL_LIMITS_H
#define TG_TOOL_LIMITS_H

#include <stdbool.h>

/* Launches that move more have far_gbs for their limit. */
#define TOOL_FAR_BYTES 384e6

typedef struct tool_limits {
    int threads;
    double fma_gflops;             /* f32 FMA peak, dependency-free register loop */
    double bf16_gflops, int8_gops; /* the same of units for bf16 and 8-bit products; 0: none */
    double read_gbs; /* DRAM read: best of several stream counts, with and without prefetch */
    double far_gbs;  /* the same over more than TOOL_FAR_BYTES, where a page or a line that was read
                        is  not met again soon; 0: not measured */
    double copy_gbs; /* DRAM copy, non-temporal stores; bytes read + written */
    const char *instructions; /* what the loops used: "avx2+fma", "avx512f", ... */
} tool_limits;

/* Keeps the best of this and earlier calls with the same struct, so interleaved rounds sharpen it.
 */
void tool_limits_measure(tool_limits *limits, int threads);

/* The same for a device of the runtime, by kernels compiled for it (limits.tg). */
struct tool;
struct tool_device;
bool tool_limits_of_device(struct tool *t, struct tool_device *d, tool_limits *out);

/* Seconds a launch of one program over one element takes (limits.tg); 0 after reporting. */
double tool_launch_overhead(struct tool *t, struct tool_device *d);

/* Processor model as the system names it. */
void tool_processor_name(char *out, unsigned long size);
/* The same with vendor, family and model numbers where the system tells them: names alone do not
 * tell generations apart. */
void tool_processor_model(char *out, unsigned long size);

#endif
