/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LLVM reports "cannot happen" conditions (an instruction it cannot select, say) through a process-wide
 * fatal handler and aborts when the handler returns. Here the handler jumps back to the compile that
 * runs on this thread. The handler is installed while at least one compile is under way and removed
 * after, so a host that links LLVM itself keeps its own outside of our calls. The jump target and the
 * install count are this library's only writable state, and nothing outside this file sees them.
 */
#include <pthread.h>
#include <setjmp.h>

#include <llvm-c/ErrorHandling.h>

#include "backends/llvm/emit.h"

typedef struct guard {
    jmp_buf back;
    const char *reason;
    tg_arena *arena;
} guard;

static _Thread_local guard *current;
static pthread_mutex_t install_lock = PTHREAD_MUTEX_INITIALIZER;
static int install_count;

static void on_fatal(const char *reason) {
    guard *g = current;
    if (!g) {
        return; /* not ours: LLVM ends the process as it would have */
    }
    current = NULL;
    g->reason = reason ? tg_arena_strdup(g->arena, reason) : "unknown error";
    longjmp(g->back, 1);
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

/*
 * The environment's out-of-memory exit would leave from inside LLVM frames too; it is turned into the
 * same return here, and re-raised by the caller's next allocation.
 */
const char *tg_llvm_guarded(tg_arena *a, void (*work)(void *user), void *user) {
    guard g = {.arena = a};
    jmp_buf oom;
    jmp_buf *outer_oom = a->env->oom;
    const char *volatile result = NULL;
    handler_retain();
    if (setjmp(g.back) == 0) {
        a->env->oom = &oom;
        if (setjmp(oom) == 0) {
            current = &g;
            work(user);
        } else {
            result = "out of memory";
        }
    } else {
        result = g.reason;
    }
    current = NULL;
    a->env->oom = outer_oom;
    handler_release();
    return result;
}
