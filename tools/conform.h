/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of `tegula conform`:
 *
 *   cmd_conform.c        options, the list of cases, reports
 *   conform_case.c       one case on one device: a row
 *   supervise.c          cases in worker processes
 *   conform_journal.c    rows as JSON lines: between processes, on disk for --resume
 *   conform_bundle.c     what a person needs to reproduce a failure
 *   fault.c              the fake device: a cpu device with one planted fault
 */
#ifndef TG_TOOL_CONFORM_H
#define TG_TOOL_CONFORM_H

#include "tools/limits.h"
#include "tools/report.h"

/*
 * Statuses of a row. PASS; SKIP with a reason (exact mode: a value is not exact); UNSUPPORTED: the
 * device names a limit; COMPILE_FAIL; FAIL_LAUNCH; FAIL_NUMERIC; FAIL_NONDET: two launches differ;
 * FAIL_STALE: an output still holds what was there before the launch; FLAKY: failed, then passed;
 * MISTRUSTED: a constant output would pass, too; FAIL_OOB: memory around an
 * argument was written; DEVICE_LOST: the device is lost; CRASH: the process died; TIMEOUT: no
 * answer before the deadline.
 */

/* The device under test, opened in the process that uses it. */
typedef struct conform_device {
    tool_device *device; /* NULL: an interpreter */
    const char *machine; /* the device when it is `sim:MACHINE` or `placed:MACHINE`, else NULL */
    const char *vendor;  /* schedules of this vendor apply */
    bool lost;           /* nothing more can run in this process */
    tool_limits limits;  /* measured; fma_gflops 0: not */
} conform_device;

/* One case and how it runs. */
typedef struct conform_case {
    const char *path;
    const tg_case *line;
    const char *name; /* kernel and settings, for people */
    const char *key;  /* name, file, device and the options that matter: the same across runs */
    uint64_t seed;
    bool exact, no_schedule;
    int schedules;      /* schedule points to try; 0: the default one */
    const char *device; /* for the bundle */
    const char *bundle; /* folder for failures, or NULL */
} conform_case;

/* Runs c of program p; always fills row. */
void conform_case_run(tool *t, conform_device *d, tg_program *p, const conform_case *c,
                      tool_row *row);

/* Draws up to n distinct schedule points of the case's kernel by seed: point 0 is the default. Each
 * is a list of settings (tune names and values) to add to the case's. Returns how many. */
int conform_schedules(tool *t, tg_program *p, const tg_case *c, const char *vendor, int n,
                      uint64_t seed, const tg_setting ***out_points, int **out_sizes);

/* Writes what reproduces a failure below c->bundle: source, inputs, expected and given outputs as
 * .npy, the emitted code, the command, a C program. Problems go to the diagnostics. */
void conform_bundle_write(tool *t, const conform_case *c, tool_code *code,
                          const tool_kernel *before, const tool_kernel *after, const tgk_arg *want,
                          const tool_row *row);
/* The same where the process died: no outputs were given. */
void conform_bundle_inputs(tool *t, tg_program *p, const conform_case *c, tool_device *device,
                           const tool_row *row);

/* conform_launch.c: the library to link with a program on the interface of the code's device; NULL:
 * there is no such program for it. */
const char *conform_launch_library(const tool_code *code);
/* That program, the launch and its memory, into dir. Launches once more. */
void conform_launch_write(tool *t, const char *dir, tool_code *code, const tool_kernel *before);

/* The row as one JSON object on one line, and back; strings in the arena. False when malformed. */
const char *conform_row_text(tool *t, const char *key, const tool_row *row);
bool conform_row_parse(tool *t, const char *text, const char **out_key, tool_row *out_row);

/* Rows of an earlier run found in the journal at path (none when there is no such file; a torn last
 * line is dropped). The row of key, or NULL. */
typedef struct conform_journal {
    const char *path;
    TG_LIST(const char *) keys;
    TG_LIST(tool_row) rows;
} conform_journal;
bool conform_journal_load(tool *t, const char *path, conform_journal *out);
const tool_row *conform_journal_find(const conform_journal *j, const char *key);
/* Appends and syncs one line. */
bool conform_journal_add(tool *t, const char *path, const char *key, const tool_row *row);

#endif
