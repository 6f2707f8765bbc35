/* SPDX-License-Identifier: Apache-2.0 */
/* Measuring launches on arguments that come from memory, not from cache. */
#ifndef TG_TOOL_ROTATION_H
#define TG_TOOL_ROTATION_H

#include "tools/tool.h"

enum { TOOL_MAX_SETS = 16 };

/* Sets of arguments of one kernel that launches take in turn; sets[0] is the caller's to make. */
typedef struct tool_rotation {
    tool_kernel sets[TOOL_MAX_SETS];
    int n, next;
} tool_rotation;

/* Copies sets[0] until a round of launches of so many bytes each cannot stay in any cache. */
void tool_rotation_fill(tool *t, tool_rotation *r, double launch_bytes);
/* Launches for so many seconds, at least once; lowers *best (0: none yet), in seconds. */
bool tool_rotation_run(tool *t, tool_rotation *r, tool_code *code, double seconds, double *best);
void tool_rotation_free(tool_rotation *r);

#endif
