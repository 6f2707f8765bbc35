/* SPDX-License-Identifier: Apache-2.0 */
/* Rotating sets of arguments: see rotation.h. */
#include "tools/rotation.h"

/* Several times the last-level cache of the machines we know. */
static const double ROUND_BYTES = 160e6;

void tool_rotation_fill(tool *t, tool_rotation *r, double launch_bytes) {
    for (r->n = 1; r->n < TOOL_MAX_SETS && launch_bytes * r->n < ROUND_BYTES; r->n++) {
        if (!tool_kernel_copy(t, &r->sets[0], &r->sets[r->n])) {
            tool_kernel_free(&r->sets[r->n]); /* no memory for more: fewer will do */
            tool_flush_diagnostics(t);
            break;
        }
    }
}

bool tool_rotation_run(tool *t, tool_rotation *r, tool_code *code, double seconds, double *best) {
    double end = tool_now() + seconds;
    for (int i = 0; i < 1 || tool_now() < end; i++) {
        tool_kernel *k = &r->sets[r->next];
        r->next = (r->next + 1) % r->n;
        double begin = tool_now();
        if (!tool_code_launch(t, code, k)) {
            return false;
        }
        double took = tool_now() - begin;
        *best = *best <= 0 || took < *best ? took : *best;
    }
    return true;
}

void tool_rotation_free(tool_rotation *r) {
    for (int i = 0; i < r->n; i++) {
        tool_kernel_free(&r->sets[i]);
    }
    r->n = 0;
}
