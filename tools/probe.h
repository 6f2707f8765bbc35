/* SPDX-License-Identifier: Apache-2.0 */
/* `tegula targets --probe DEVICE`: all device probes (compiler/probe.h), in worker processes. */
#ifndef TG_TOOLS_PROBE_H
#define TG_TOOLS_PROBE_H

#include "tools/tool.h"

/* only: a glob of names, or NULL for all; what some show is not kept as the device's profile.
 * Seconds that one may take. False when the device gets something wrong that no quirk or missing
 * feature explains. */
bool tool_probe_device(tool *t, const char *device, const char *only, int deadline);

#endif
