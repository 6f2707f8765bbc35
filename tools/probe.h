/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device probes (`tegula targets --probe DEVICE`): small SIMT functions in loop IR, compiled and
 * launched like any kernel, whose results are held against what the language demands. Each writes
 * y[i] = F(a[i], b[i]) over words of 32 bits; tools/probes.c is the table.
 *
 * A probe that a device gets wrong marks it: where the probe stands for a feature that machine rows
 * have as a bit, the device lacks the bit; otherwise kernels that lean on it cannot be trusted
 * there.
 */
#ifndef TG_TOOLS_PROBE_H
#define TG_TOOLS_PROBE_H

#include "tools/tool.h"

/* Programs of 64 lanes; a tail that is not run. */
enum { PROBE_LANES = 64, PROBE_PROGRAMS = 16, PROBE_N = PROBE_LANES * PROBE_PROGRAMS };

typedef struct probe {
    const char *name, *what;
    uint64_t feature;          /* tgr_simt_feature it stands for, or 0 */
    uint64_t needs;            /* features without which it is left out */
    const char *shared;        /* bytes of shared memory */
    const char *arrays, *body; /* loop IR: from %a, %b, %at, %lane, %p to %r : u32 */
    void (*inputs)(uint32_t *a, uint32_t *b);
    /* y[i]; all of a and b are given */
    uint32_t (*expect)(const uint32_t *a, const uint32_t *b, int i);
} probe;

extern const probe tool_probes[];
extern const int tool_n_probes;

/* Runs all probes; false when one fails that the device's target relies on. */
bool tool_probe_device(tool *t, const char *device);

#endif
