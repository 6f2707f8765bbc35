/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that are interpreters: `sim:MACHINE` runs loop code, `placed:MACHINE` placed code. */
#ifndef TG_TOOL_SIM_H
#define TG_TOOL_SIM_H

#include "ir/interp_loop.h"
#include "tools/tool.h"

/* The device itself when it is "sim:MACHINE" or "placed:MACHINE", else NULL. */
const char *tool_sim_device(const char *device);
/* Is there a machine for such a device? If not, says so. */
bool tool_sim_known(tool *t, const char *device);
/* Whose schedules apply to the machine; "cpu" for an unknown one. */
const char *tool_sim_vendor(tool *t, const char *device);
/* Lowers k (changing its tile function) and runs it on its arguments. Everything the checker and
 * the interpreter find becomes an error. *out may be NULL. */
bool tool_kernel_simulate(tool *t, tool_kernel *k, const char *device,
                          const tg_loop_options *options, tg_loop_report *out);

#endif
