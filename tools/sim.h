/* SPDX-License-Identifier: Apache-2.0 */
/* The device `sim:MACHINE`: a kernel lowered for a machine and run by the loop interpreter. */
#ifndef TG_TOOL_SIM_H
#define TG_TOOL_SIM_H

#include "ir/interp_loop.h"
#include "tools/tool.h"

/* The machine's name in "sim:MACHINE", or NULL for another device. */
const char *tool_sim_machine(const char *device);
/* Whose schedules apply to the machine; "cpu" for an unknown one. */
const char *tool_sim_vendor(const char *machine);
/* Lowers k (changing its tile function) and runs it on its arguments. Everything the interpreter
 * finds becomes an error. *out may be NULL. */
bool tool_kernel_simulate(tool *t, tool_kernel *k, const char *machine,
                          const tg_loop_options *options, tg_loop_report *out);

#endif
