/* SPDX-License-Identifier: Apache-2.0 */
/* Outputs of a launch against the interpreter: see check.c. */
#ifndef TG_TOOL_CHECK_H
#define TG_TOOL_CHECK_H

#include "tools/tool.h"

typedef struct tool_check {
    tool_kernel before; /* the arguments as the launch found them */
    tool_kernel want;   /* the interpreter's outputs */
    tool_kernel plain;  /* in double arithmetic */
    double **moved;     /* of every output's elements, the largest move of the noisy runs so far */
    int noisy_runs;
} tool_check;

/* Interprets a copy of the arguments; call it before the launch. */
bool tool_check_begin(tool *t, const tool_kernel *k, const tg_interp_options *options,
                      tool_check *out);
/* Judges an array in the place of output `arg`. */
tool_verdict tool_check_judge(tool *t, tool_check *c, const tool_array *a, int arg);
/* Prints a line for every output of k, or appends an object to json; true when all are right. */
bool tool_check_outputs(tool *t, tool_check *c, const tool_kernel *k, tg_sb *json);
void tool_check_end(tool_check *c);

#endif
