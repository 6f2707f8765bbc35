/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic and the bytes that a launch of a stock kernel must do, for ratios to the limits.
 */
#ifndef TG_TOOL_WORK_H
#define TG_TOOL_WORK_H

#include "tools/limits.h"
#include "tools/tool.h"

typedef struct tool_work {
    double flops; /* useful arithmetic; 0 where memory bounds the kernel */
    double read_bytes, written_bytes;
} tool_work;

/* From the launch's arguments by kernels/work.def; a kernel without a row there: bytes once each.
 */
tool_work tool_work_of(const tool_kernel *k);
/* The value of a formula of work.def over a launch's arguments; NaN when it is wrong. */
double tool_work_formula(const tool_kernel *k, const char *formula);
/* Least seconds the limits allow: the larger of FLOP over the FMA peak and bytes over the
 * bandwidth. */
double tool_work_limit(const tool_work *w, const tool_limits *l);
/* Arithmetic, not memory, is the limit. */
bool tool_work_computes(const tool_work *w, const tool_limits *l);
/* Rate and unit to print: GFLOP/s when arithmetic bounds it, else GB/s. */
double tool_work_rate(const tool_work *w, const tool_limits *l, double seconds,
                      const char **out_unit);

#endif
