/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs in child processes, so that a driver that crashes or hangs costs one job and not the run.
 *
 *   supervisor ── fork ──▶ worker: job, job, job ... (one process a batch)
 *        ▲                   │ "begin 7", "end 7 LENGTH" + bytes
 *        └────── pipe ───────┘  standard error through a second pipe, its tail kept
 *
 * A worker that dies, or is silent beyond the deadline and is killed, loses the job it was in; a
 * new worker takes the rest. The supervisor itself opens no device.
 */
#ifndef TG_TOOL_SUPERVISE_H
#define TG_TOOL_SUPERVISE_H

#include "tools/tool.h"

typedef enum supervise_end {
    SUPERVISE_DONE,    /* `text` is what the job answered */
    SUPERVISE_CRASHED, /* `code` is the signal */
    SUPERVISE_EXITED,  /* the worker left in the middle of the job; `code` its exit status */
    SUPERVISE_HUNG     /* past the deadline, killed */
} supervise_end;

typedef struct supervise_result {
    supervise_end end;
    int code;
    const char *text;   /* DONE */
    const char *errors; /* tail of what the worker wrote to standard error during the job */
    double seconds;
} supervise_result;

typedef struct supervise_work {
    int n_jobs, batch; /* jobs a worker does before it is replaced */
    double deadline;   /* seconds a job may take */
    void *user;
    /* In the worker, once: what all jobs need (a device). Its messages go to standard error. */
    void (*start)(void *user);
    /* In the worker: does job and returns its answer; setting *out_last asks for a new worker (the
     * device is lost). */
    const char *(*run)(void *user, int job, bool *out_last);
    /* In the supervisor, in order of completion. */
    void (*done)(void *user, int job, const supervise_result *result);
} supervise_work;

/* False after reporting when processes cannot be made. */
bool tool_supervise(tool *t, const supervise_work *work);

#endif
