/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake device `fake:FAULT[@N[!]][/DEVICE]`: the device (the CPU's) with a fault planted from
 * launch N (1) on, or with `!` in that launch alone, to show that the conformance runner names what
 * went wrong:
 *
 *   none     nothing              crash    the process dies of SIGSEGV
 *   hang     never returns        corrupt  one element of an output is wrong
 *   stale    the launch is dropped and reported as done
 *   beyond   the byte behind an output is written
 *   lost     this launch and all later ones fail: the device is lost
 */
#ifndef TG_TOOL_FAULT_H
#define TG_TOOL_FAULT_H

#include "tools/tool.h"

typedef enum tool_fault_kind {
    TOOL_FAULT_NONE,
    TOOL_FAULT_HANG,
    TOOL_FAULT_CRASH,
    TOOL_FAULT_CORRUPT,
    TOOL_FAULT_STALE,
    TOOL_FAULT_LOST,
    TOOL_FAULT_BEYOND
} tool_fault_kind;

typedef struct tool_fault {
    tool_fault_kind kind;
    int64_t at, launches; /* plants from this one on; how many there were */
    bool once;            /* in that one alone */
} tool_fault;

/* Whether name is a fake device's; malformed: kind stays NONE and *out_bad is set. */
bool tool_fault_parse(const char *name, tool_fault *out, bool *out_bad);

/* The device that a fake one stands before: what follows a slash (`fake:corrupt@1/opencl`), else
 * the CPU; name itself when it is no fake's. */
const char *tool_fault_device(const char *name);

typedef enum tool_fault_act { TOOL_FAULT_RUN, TOOL_FAULT_DROP, TOOL_FAULT_FAIL } tool_fault_act;

/* Counts a launch and says what to do with it; may not return. */
tool_fault_act tool_fault_before(tool_fault *f);
/* After the launch: plants the wrong element or byte. */
void tool_fault_after(const tool_fault *f, tool_kernel *k);

#endif
