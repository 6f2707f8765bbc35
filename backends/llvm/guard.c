/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LLVM reports "cannot happen" conditions (an instruction it cannot select, say) through a
 * process-wide fatal handler and aborts when the handler returns. Jumping out of the handler would
 * free stack frames whose objects LLVM still has in global lists. So each compile runs on a thread
 * of its own: when the handler is entered there, it hands the reason to the waiting caller and the
 * thread sleeps for ever, its stack intact. A failed compile leaks one sleeping thread; the process
 * goes on.
 *
 * The handler is installed while at least one compile is under way and removed after, so a host
 * that links LLVM itself keeps its own outside of our calls. The install count and the thread's own
 * guard pointer are this library's only writable state, and nothing outside this file sees them.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <unistd.h>

#include <llvm-c/ErrorHandling.h>

#include "backends/llvm/emit.h"

typedef struct guard {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool finished, died;
    const char *reason; /* of an end before work returned */
    tg_arena *arena;
    void (*work)(void *user);
    void *user;
} guard;

static _Thread_local guard *current;
static pthread_mutex_t install_lock = PTHREAD_MUTEX_INITIALIZER;
static int install_count;

static void report_end(guard *g, bool died) {
    pthread_mutex_lock(&g->lock);
    g->finished = true;
    g->died = died;
    pthread_cond_signal(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

static void on_fatal(const char *reason) {
    guard *g = current;
    if (!g) {
        return; /* not ours: LLVM ends the process as it would have */
    }
    current = NULL;
    g->reason = "unknown error";
    jmp_buf oom;
    g->arena->env->oom = &oom;
    if (setjmp(oom) == 0 && reason) {
        g->reason = tg_arena_strdup(g->arena, reason);
    }
    report_end(g, true); /* the caller goes on and g is gone */
    for (;;) {
        pause();
    }
}

static void handler_retain(void) {
    pthread_mutex_lock(&install_lock);
    if (install_count++ == 0) {
        LLVMInstallFatalErrorHandler(on_fatal);
    }
    pthread_mutex_unlock(&install_lock);
}

static void handler_release(void) {
    pthread_mutex_lock(&install_lock);
    if (--install_count == 0) {
        LLVMResetFatalErrorHandler();
    }
    pthread_mutex_unlock(&install_lock);
}

static void *run(void *user) {
    guard *g = user;
    current = g;
    g->work(g->user);
    current = NULL;
    report_end(g, false);
    return NULL;
}

/* The worker takes no signals: the host's handlers expect the host's threads. */
static bool start(pthread_t *thread, guard *g) {
    pthread_attr_t attributes;
    sigset_t all, old;
    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    sigfillset(&all);
    pthread_attr_setstacksize(&attributes, (size_t)TG_LLVM_STACK_MIB << 20);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    bool ok = pthread_create(thread, &attributes, run, g) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    return ok;
}

static void wait_for_end(pthread_t thread, guard *g) {
    pthread_mutex_lock(&g->lock);
    while (!g->finished) {
        pthread_cond_wait(&g->changed, &g->lock);
    }
    pthread_mutex_unlock(&g->lock);
    if (g->died) {
        pthread_detach(thread);
    } else {
        pthread_join(thread, NULL);
    }
}

bool tg_llvm_guarded(tg_arena *a, void (*work)(void *user), void *user, const char **out_fatal) {
    guard g = {.arena = a, .work = work, .user = user};
    jmp_buf *outer_oom = a->env->oom;
    pthread_t thread;
    pthread_mutex_init(&g.lock, NULL);
    pthread_cond_init(&g.changed, NULL);
    handler_retain();
    bool started = start(&thread, &g);
    if (started) {
        wait_for_end(thread, &g);
    }
    handler_release();
    a->env->oom = outer_oom;
    pthread_cond_destroy(&g.changed);
    pthread_mutex_destroy(&g.lock);
    *out_fatal = g.reason;
    return started;
}
