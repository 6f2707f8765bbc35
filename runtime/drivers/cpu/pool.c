/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool. A loop is published by raising the generation and opening the gate; workers that are
 * awake enter through the gate, claim chunks from a shared counter and leave; the caller works too,
 * closes the gate when no chunk is left and waits only for those inside. A worker that sleeps
 * through a short loop is thus never waited for. Workers spin briefly for the next loop, then sleep
 * on the generation (futex); publishing wakes them only when some sleep.
 *
 *   gate = open << 31 | number of workers inside        (one atomic word)
 *
 * pthreadpool does this job too, but Debian ships it as a shared library only, and the runtime
 * links nothing but libc (docs/decisions/0004-own-thread-pool.md).
 */
#define _GNU_SOURCE
#include "pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/driver.h"

enum {
    OPEN = 1 << 30,
    DEFAULT_SPIN_US = 50,
    CHUNKS_PER_THREAD = 8,
    MAX_THREADS = 1024,
    SPIN_CHECK = 64
};

typedef struct worker {
    tgr_pool *pool;
    pthread_t thread;
    int32_t index; /* 1.. */
} worker;

struct tgr_pool {
    tgr_context *context;
    int32_t n_workers, n_capacity;
    int64_t spin_ns;
    bool pin;
    _Alignas(64) atomic_uint generation; /* of the loop published last; futex of sleeping workers */
    atomic_int sleepers;
    atomic_bool stop;
    _Alignas(64) atomic_int gate;
    _Alignas(64) atomic_llong next; /* first unclaimed iteration */
    _Alignas(64) int64_t n, chunk;  /* the loop: written only while the gate is closed and empty */
    tgr_pool_body body;
    void *arg;
    atomic_bool failed;
    void *base; /* of the allocation */
    size_t base_bytes;
    worker workers[];
};

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void futex_wait(atomic_uint *word, unsigned value) {
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(atomic_uint *word, int n) {
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int32_t tgr_pool_processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        int n = CPU_COUNT(&set);
        return n > 0 ? n : 1;
    }
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 && n < MAX_THREADS ? (int32_t)n : 1;
}

/* ---- the loop ------------------------------------------------------------------------------- */

static void claim_chunks(tgr_pool *p, int32_t thread) {
    while (!atomic_load_explicit(&p->failed, memory_order_relaxed)) {
        int64_t begin = atomic_fetch_add_explicit(&p->next, p->chunk, memory_order_relaxed);
        if (begin >= p->n) {
            return;
        }
        int64_t end = p->n - begin < p->chunk ? p->n : begin + p->chunk;
        if (!p->body(p->arg, begin, end, thread)) {
            atomic_store_explicit(&p->failed, true, memory_order_relaxed);
        }
    }
}

/* Enters if the gate is open. */
static bool enter(tgr_pool *p) {
    int g = atomic_load_explicit(&p->gate, memory_order_relaxed);
    while (g & OPEN) {
        if (atomic_compare_exchange_weak_explicit(&p->gate, &g, g + 1, memory_order_acquire,
                                                  memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

/* Returns the first generation after `seen`, or `seen` when the pool stops. */
static unsigned await_generation(tgr_pool *p, unsigned seen) {
    int64_t until = p->spin_ns > 0 ? now_ns() + p->spin_ns : 0;
    for (unsigned i = 1;; i++) {
        unsigned g = atomic_load_explicit(&p->generation, memory_order_acquire);
        if (g != seen || atomic_load_explicit(&p->stop, memory_order_relaxed)) {
            return g;
        }
        if (p->spin_ns > 0 && (i % SPIN_CHECK || now_ns() < until)) {
            relax();
            continue;
        }
        atomic_fetch_add(&p->sleepers, 1);
        if (!atomic_load(&p->stop)) {
            futex_wait(&p->generation, seen);
        }
        atomic_fetch_sub(&p->sleepers, 1);
    }
}

static void pin_to(int32_t index) {
    cpu_set_t set, one;
    if (sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) == 0) {
        return;
    }
    int32_t wanted = index % CPU_COUNT(&set);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET((size_t)cpu, &set) && wanted-- == 0) {
            CPU_ZERO(&one);
            CPU_SET((size_t)cpu, &one);
            (void)sched_setaffinity(0, sizeof one, &one);
            return;
        }
    }
}

static void *worker_main(void *arg) {
    worker *w = arg;
    tgr_pool *p = w->pool;
    unsigned seen = 0;
    if (p->pin) {
        pin_to(w->index);
    }
    while (!atomic_load(&p->stop)) {
        seen = await_generation(p, seen);
        if (enter(p)) {
            seen = atomic_load_explicit(&p->generation, memory_order_relaxed);
            claim_chunks(p, w->index);
            atomic_fetch_sub_explicit(&p->gate, 1, memory_order_release);
        }
    }
    return NULL;
}

static void publish(tgr_pool *p) {
    atomic_fetch_or_explicit(&p->gate, OPEN, memory_order_release);
    atomic_fetch_add(&p->generation, 1); /* sequentially consistent: before reading sleepers */
    if (atomic_load(&p->sleepers) > 0) {
        futex_wake(&p->generation, p->n_workers);
    }
}

/* Closes the gate and waits for those inside; they are in their last chunk. */
static void withdraw(tgr_pool *p) {
    atomic_fetch_and_explicit(&p->gate, ~OPEN, memory_order_relaxed);
    for (unsigned i = 1; atomic_load_explicit(&p->gate, memory_order_acquire) != 0; i++) {
        relax();
        if (i % 1024 == 0) {
            (void)sched_yield();
        }
    }
}

void tgr_pool_run(tgr_pool *p, int64_t n, tgr_pool_body body, void *arg) {
    int64_t threads = p->n_workers + 1;
    if (threads == 1 || n <= 1) {
        (void)(n > 0 && body(arg, 0, n, 0));
        return;
    }
    int64_t chunk = n / (threads * CHUNKS_PER_THREAD);
    p->n = n;
    p->chunk = chunk > 0 ? chunk : 1;
    p->body = body;
    p->arg = arg;
    atomic_store_explicit(&p->failed, false, memory_order_relaxed);
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    publish(p);
    claim_chunks(p, 0);
    withdraw(p);
}

/* ---- life ----------------------------------------------------------------------------------- */

static void start_workers(tgr_pool *p, int32_t wanted) {
    for (int32_t i = 0; i < wanted; i++) {
        worker *w = &p->workers[i];
        w->pool = p;
        w->index = i + 1;
        if (pthread_create(&w->thread, NULL, worker_main, w) != 0) {
            tgr_log(p->context, TGR_LOG_WARNING, "only %d of %d worker threads could be started", i,
                    wanted);
            return;
        }
        p->n_workers = i + 1;
    }
}

tgr_status tgr_pool_create(tgr_context *context, int32_t n_threads, int32_t spin_us, bool pin,
                           tgr_pool **out) {
    if (n_threads < 1 || n_threads > MAX_THREADS) {
        return tgr_fail(context, TGR_E_INVALID, "%d threads; 1 to %d are possible", n_threads,
                        MAX_THREADS);
    }
    size_t bytes = sizeof(tgr_pool) + (size_t)(n_threads - 1) * sizeof(worker) + 64;
    char *base = tgr_alloc(context, bytes);
    if (!base) {
        return tgr_fail(context, TGR_E_NOMEM, "out of memory making a thread pool");
    }
    tgr_pool *p = (tgr_pool *)(void *)(base + (-(uintptr_t)base & 63));
    p->context = context;
    p->base = base;
    p->base_bytes = bytes;
    p->n_capacity = n_threads;
    p->pin = pin;
    p->spin_ns = spin_us < 0 ? 0 : (int64_t)(spin_us ? spin_us : DEFAULT_SPIN_US) * 1000;
    start_workers(p, n_threads - 1);
    *out = p;
    return TGR_OK;
}

void tgr_pool_destroy(tgr_pool *pool) {
    if (!pool) {
        return;
    }
    atomic_store(&pool->stop, true);
    atomic_fetch_add(&pool->generation, 1);
    futex_wake(&pool->generation, pool->n_capacity);
    for (int32_t i = 0; i < pool->n_workers; i++) {
        pthread_join(pool->workers[i].thread, NULL);
    }
    tgr_free(pool->context, pool->base, pool->base_bytes);
}

int32_t tgr_pool_threads(const tgr_pool *pool) { return pool->n_workers + 1; }
