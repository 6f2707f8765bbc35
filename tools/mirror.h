/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of host arrays in the memory of a device that does not work on the host's: the guards on
 * both sides travel too, so that writes out of bounds show on the host afterwards.
 */
#ifndef TG_TOOLS_MIRROR_H
#define TG_TOOLS_MIRROR_H

#include <tegula/tegula.h>

#include "tools/tool.h"

typedef struct tool_mirror {
    const void *data; /* whose copy it is */
    tgr_buffer *buffer;
} tool_mirror;

typedef struct tool_mirrors {
    TG_LIST(tool_mirror) all;
    bool resident; /* copies stay over launches and are brought back only on demand */
} tool_mirrors;

/* The argument for an array: its bytes are on the device now. */
tgr_status tool_mirror_put(tool *t, tool_mirrors *m, tgr_device *device, tgr_queue *queue,
                           const tool_array *a, tgr_arg *out);
/* Brings a kernel's arrays back to the host. */
tgr_status tool_mirror_get(const tool_mirrors *m, tgr_queue *queue, tool_kernel *k);
void tool_mirror_free(tool_mirrors *m);

/* Launches k once more, without planted faults, and shows the driver's launches to fn; the mirrors
 * of the arguments can be asked for meanwhile. False when it failed. */
bool tool_code_trace(tool *t, tool_code *c, tool_kernel *k, tgr_trace_fn fn, void *user);
const tool_mirrors *tool_code_mirrors(const tool_code *c);
tgr_device_info tool_code_device(const tool_code *c);

#endif
