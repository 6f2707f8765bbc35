/* SPDX-License-Identifier: Apache-2.0 */
/* Worker processes: see supervise.h. */
#define _GNU_SOURCE
#include "tools/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ERRORS_KEPT = 4096, CHUNK = 4096 };

typedef struct worker {
    pid_t pid;
    int answers, errors; /* read ends */
    tg_sb line;          /* bytes of answers not yet understood */
    tg_sb log;           /* standard error of the job at hand */
    int job;             /* begun and not ended, or -1 */
    double since;        /* when it began */
} worker;

/* ---- the worker's side ------------------------------------------------------------------------
 */

static bool write_all(int fd, const char *bytes, size_t n) {
    while (n > 0) {
        ssize_t done = write(fd, bytes, n);
        if (done < 0 && errno != EINTR) {
            return false;
        }
        bytes += done > 0 ? done : 0;
        n -= done > 0 ? (size_t)done : 0;
    }
    return true;
}

static bool tell(int fd, const char *format, ...) {
    char text[64];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return n > 0 && write_all(fd, text, (size_t)n);
}

/* Never returns. `_exit`: what the parent registered to run at exit is the parent's. */
static void work_off(const supervise_work *w, int first, int end, int answers) {
    bool last = false;
    if (w->start != NULL) {
        w->start(w->user);
    }
    for (int job = first; job < end && !last; job++) {
        bool ok = tell(answers, "begin %d\n", job);
        const char *text = w->run(w->user, job, &last);
        (void)fflush(stderr);
        ok = ok && tell(answers, "end %d %zu\n", job, strlen(text)) &&
             write_all(answers, text, strlen(text));
        if (!ok) {
            _exit(1);
        }
    }
    _exit(0);
}

/* ---- the supervisor's side --------------------------------------------------------------------
 */

static bool start_worker(tool *t, const supervise_work *w, int first, worker *out) {
    int answers[2], errors[2];
    if (pipe2(answers, O_CLOEXEC) != 0) {
        tool_error(t, TG_D_TOOL, "no worker process: %s", strerror(errno));
        return false;
    }
    if (pipe2(errors, O_CLOEXEC) != 0) {
        tool_error(t, TG_D_TOOL, "no worker process: %s", strerror(errno));
        (void)close(answers[0]);
        (void)close(answers[1]);
        return false;
    }
    (void)fflush(NULL);
    int end = w->n_jobs - first < w->batch ? w->n_jobs : first + w->batch;
    pid_t pid = fork();
    if (pid == 0) {
        (void)setpgid(0, 0);
        (void)dup2(errors[1], STDERR_FILENO);
        (void)close(answers[0]);
        (void)close(errors[0]);
        work_off(w, first, end, answers[1]);
    }
    (void)close(answers[1]);
    (void)close(errors[1]);
    if (pid < 0) {
        tool_error(t, TG_D_TOOL, "no worker process: %s", strerror(errno));
        (void)close(answers[0]);
        (void)close(errors[0]);
        return false;
    }
    *out = (worker){.pid = pid, .answers = answers[0], .errors = errors[0], .job = -1};
    out->since = tool_now();
    tg_sb_init(&out->line, &t->arena);
    tg_sb_init(&out->log, &t->arena);
    return true;
}

/* Appends what fd holds; false at its end. */
static bool drain(int fd, tg_sb *sb) {
    char chunk[CHUNK];
    ssize_t n = read(fd, chunk, sizeof chunk);
    if (n > 0) {
        tg_sb_addn(sb, chunk, (size_t)n);
    }
    return n > 0 || (n < 0 && errno == EINTR);
}

static const char *tail(tool *t, const tg_sb *log) {
    size_t skip = log->len > ERRORS_KEPT ? log->len - ERRORS_KEPT : 0;
    return log->len == 0 ? "" : tg_arena_strdup(&t->arena, log->data + skip);
}

static void finish_job(tool *t, const supervise_work *w, worker *k, supervise_result r) {
    r.errors = tail(t, &k->log);
    r.seconds = tool_now() - k->since;
    int job = k->job;
    k->job = -1;
    k->since = tool_now();
    tg_sb_init(&k->log, &t->arena);
    w->done(w->user, job, &r);
}

/* Takes whole messages off the front of the answers; returns how many jobs ended. */
static int understand(tool *t, const supervise_work *w, worker *k) {
    int ended = 0;
    for (;;) {
        const char *at = k->line.data, *nl = k->line.len > 0 ? memchr(at, '\n', k->line.len) : NULL;
        size_t n = 0, used;
        int job;
        if (nl == NULL) {
            return ended;
        }
        used = (size_t)(nl - at) + 1;
        if (sscanf(at, "begin %d", &job) == 1) {
            k->job = job;
            k->since = tool_now();
        } else if (sscanf(at, "end %d %zu", &job, &n) == 2) {
            if (k->line.len - used < n) {
                return ended;
            }
            char *text = tg_arena_alloc(&t->arena, n + 1);
            memcpy(text, at + used, n);
            text[n] = '\0';
            used += n;
            finish_job(t, w, k, (supervise_result){.end = SUPERVISE_DONE, .text = text});
            ended++;
        }
        tg_sb rest;
        tg_sb_init(&rest, &t->arena);
        tg_sb_addn(&rest, at + used, k->line.len - used);
        k->line = rest;
    }
}

static supervise_result how_it_ended(worker *k, bool killed) {
    int status = 0;
    while (waitpid(k->pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (killed) {
        return (supervise_result){.end = SUPERVISE_HUNG};
    }
    if (WIFSIGNALED(status)) {
        return (supervise_result){.end = SUPERVISE_CRASHED, .code = WTERMSIG(status)};
    }
    return (supervise_result){.end = SUPERVISE_EXITED, .code = WEXITSTATUS(status)};
}

/* Runs one worker to its end; returns the first job that is still to do. */
static int supervise_one(tool *t, const supervise_work *w, worker *k, int first) {
    bool killed = false, open = true, chatty = true;
    int next = first;
    while (open) {
        struct pollfd fds[2] = {{.fd = k->answers, .events = POLLIN},
                                {.fd = chatty ? k->errors : -1, .events = POLLIN}};
        double left = w->deadline - (tool_now() - k->since);
        if (left <= 0 && !killed) {
            (void)kill(-k->pid, SIGKILL);
            (void)kill(k->pid, SIGKILL);
            killed = true;
        }
        int n = poll(fds, 2, killed ? -1 : (int)(left * 1e3) + 1);
        if (n < 0 && errno != EINTR) {
            break;
        }
        if (n > 0 && fds[1].revents != 0) {
            chatty = drain(k->errors, &k->log);
        }
        if (n > 0 && fds[0].revents != 0) {
            open = drain(k->answers, &k->line);
            next += understand(t, w, k);
        }
    }
    while (chatty && drain(k->errors, &k->log)) {
    }
    supervise_result r = how_it_ended(k, killed);
    /* A worker that died before it began a job died of the first one left: starting the device. */
    if (k->job < 0 && next < w->n_jobs && (killed || r.end == SUPERVISE_CRASHED || r.code != 0)) {
        k->job = next;
    }
    if (k->job >= 0) {
        finish_job(t, w, k, r);
        next++;
    }
    (void)close(k->answers);
    (void)close(k->errors);
    return next;
}

bool tool_supervise(tool *t, const supervise_work *work) {
    (void)signal(SIGPIPE, SIG_IGN);
    for (int next = 0; next < work->n_jobs;) {
        worker k;
        if (!start_worker(t, work, next, &k)) {
            return false;
        }
        int after = supervise_one(t, work, &k, next);
        if (after == next) {
            tool_error(t, TG_D_TOOL, "the worker process does no work");
            return false;
        }
        next = after;
    }
    return true;
}
