/* SPDX-License-Identifier: Apache-2.0 */
/* `tegula docs support`: see support.c. */
#ifndef TG_TOOL_SUPPORT_H
#define TG_TOOL_SUPPORT_H

#include "tools/tool.h"

/* Writes the page at `out` from n reports; an exit status of the command. */
int tool_make_support(tool *t, const char *out, char **reports, int n);

#endif
