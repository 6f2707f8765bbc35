/* SPDX-License-Identifier: Apache-2.0 */
/* The peer process of the benchmark (bench_peers.py): other libraries, asked in turns. */
#ifndef TG_TOOL_PEERS_H
#define TG_TOOL_PEERS_H

#include "tools/tool.h"

typedef struct tool_peers tool_peers;
/* NULL when there is no Python; not an error. */
tool_peers *tool_peers_start(tool *t, int threads);
void tool_peers_stop(tool_peers *p);
/* True when some peer can do it. */
bool tool_peers_prepare(tool_peers *p, const char *kernel, const tg_setting *settings, int n);
/* Best seconds of the fastest peer; its name in out_name. 0 when there is none. */
double tool_peers_run(tool *t, tool_peers *p, double seconds, const char **out_name);
void tool_peers_drop(tool_peers *p);

#endif
