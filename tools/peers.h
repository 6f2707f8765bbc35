/* SPDX-License-Identifier: Apache-2.0 */
/* The peer process of the benchmark (bench_peers.py): other libraries, asked in turns. */
#ifndef TG_TOOL_PEERS_H
#define TG_TOOL_PEERS_H

#include "tools/bench.h"

typedef struct tool_peers tool_peers;
/* NULL when there is no Python; not an error. What is there and what is absent, and why, goes to
 * out_about. */
tool_peers *tool_peers_start(tool *t, int threads, const char **out_about);
void tool_peers_stop(tool_peers *p);
/* True when some peer can do it. */
bool tool_peers_prepare(tool_peers *p, const bench_line *line);
/* Lets each peer run for so many seconds; lowers the best times of r's peers. */
void tool_peers_run(tool *t, tool_peers *p, double seconds, bench_result *r);
void tool_peers_drop(tool_peers *p);

#endif
