/* SPDX-License-Identifier: Apache-2.0 */
/* `tegula targets --probe DEVICE`: all device probes (compiler/probe.h), in worker processes. */
#ifndef TG_TOOLS_PROBE_H
#define TG_TOOLS_PROBE_H

#include "tools/tool.h"

/* False when the device gets something wrong that no quirk or missing feature explains. */
bool tool_probe_device(tool *t, const char *device);

#endif
