/* SPDX-License-Identifier: Apache-2.0 */
/* Results as rows, and the files made of them: JSON lines, JUnit XML, one self-contained HTML page.
 */
#ifndef TG_TOOL_REPORT_H
#define TG_TOOL_REPORT_H

#include "tools/tool.h"

typedef struct tool_row {
    const char *name, *status, *detail;
    const char *shape; /* demo, bench */
    double max_ulp, max_rel, metric;
    double seconds; /* of the row's whole work */
    double compile_ms, best_us;
    double rate; /* GFLOP/s or GB/s, see unit */
    const char *unit;
    double share;      /* of the limit, 0..1; 0: not measured */
    double peer_share; /* best peer's; 0: none */
    const char *peer;
} tool_row;

typedef struct tool_report {
    const char *title, *device;
    const char *preamble; /* plain text shown on top of the page, or NULL */
    TG_LIST(tool_row) rows;
} tool_report;

void tool_report_init(tool_report *r, const char *title, const char *device);
void tool_report_add(tool *t, tool_report *r, const tool_row *row);
bool tool_report_json(tool *t, const tool_report *r, const char *path);
bool tool_report_junit(tool *t, const tool_report *r, const char *path);
bool tool_report_html(tool *t, const tool_report *r, const char *path);

/* Kernel by element type, for the conformance page (report_matrix.c). */
void tool_report_matrix(tool *t, const tool_report *r, tg_sb *sb);

#endif
