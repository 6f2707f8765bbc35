/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPU driver: runs compiled kernels in the calling thread and a pool, or in the host's own
 * parallel loop. A launch asks the kernel's plan for its phases, gives every thread scratch (kept
 * from launch to launch), and runs the phases one after the other; no memory is allocated once the
 * scratch has grown. The floating-point environment of the language (round to nearest, subnormals
 * kept, no traps) is set around the kernel's code and the host's restored.
 */
#define _GNU_SOURCE
#include "cpu.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "fp.h"
#include "pool.h"

enum { CACHE_LINE = 64, HOST_CHUNKS_PER_THREAD = 8 };
/* More than this per thread or launch is a broken plan, not a kernel. */
static const int64_t max_scratch = (int64_t)1 << 40;

/* What one thread owns. */
typedef struct thread_memory {
    _Alignas(CACHE_LINE) void *scratch; /* 64-byte aligned, inside base */
    void *base;
    size_t base_bytes;
    size_t bytes;
    struct tg_cpu_report report;
    int32_t trap;
} thread_memory;

typedef struct cpu_state {
    tgr_context *context;
    tgr_pool *pool; /* NULL with the host's loop */
    tgr_parallel_for_fn parallel_for;
    void *parallel_user;
    int32_t n_threads;
    uint64_t isas;
    pthread_mutex_t lock; /* one launch at a time */
    thread_memory shared;
    thread_memory *threads; /* n_threads, aligned inside base */
    void *base;
    size_t base_bytes;
} cpu_state;

/* ---- memory --------------------------------------------------------------------------------- */

static tgr_status grow(tgr_context *context, thread_memory *m, int64_t bytes, const char *kernel) {
    if (bytes <= (int64_t)m->bytes) {
        return TGR_OK;
    }
    size_t size = (size_t)bytes + CACHE_LINE;
    tgr_free(context, m->base, m->base_bytes);
    m->bytes = 0;
    m->scratch = NULL;
    m->base = tgr_alloc_raw(context, size);
    m->base_bytes = m->base ? size : 0;
    if (!m->base) {
        return tgr_fail(context, TGR_E_NOMEM,
                        "kernel `%s`: no memory for %" PRId64 " bytes of scratch", kernel, bytes);
    }
    m->scratch = (char *)m->base + (-(uintptr_t)m->base & (CACHE_LINE - 1));
    m->bytes = (size_t)bytes;
    return TGR_OK;
}

static tgr_status grow_all(cpu_state *s, const tg_cpu_plan *plan, int64_t threads,
                           const char *kernel) {
    tgr_status st = grow(s->context, &s->shared, plan->shared_bytes, kernel);
    for (int64_t i = 0; i < threads && !st; i++) {
        st = grow(s->context, &s->threads[i], plan->scratch_bytes, kernel);
    }
    return st;
}

/* ---- one launch ----------------------------------------------------------------------------- */

typedef struct phase_run {
    cpu_state *state;
    tg_cpu_phase_fn fn;
    const int64_t *slots;
    int64_t n, chunk;
    atomic_llong next;  /* host's loop only */
    atomic_bool failed; /* host's loop only */
} phase_run;

static bool run_chunk(void *arg, int64_t begin, int64_t end, int32_t thread) {
    phase_run *r = arg;
    thread_memory *m = &r->state->threads[thread];
    fp_state fp = fp_enter();
    struct tg_cpu_report report = {0};
    int32_t trap = r->fn(r->slots, begin, end, m->scratch, r->state->shared.scratch, &report);
    fp_leave(fp);
    if (trap != TG_CPU_TRAP_NONE &&
        (m->trap == TG_CPU_TRAP_NONE || report.program < m->report.program)) {
        m->trap = trap;
        m->report = report;
    }
    return trap == TG_CPU_TRAP_NONE;
}

/* Body of the host's parallel loop: one task per thread, chunks claimed as in the pool. */
static void host_task(void *arg, int64_t index, int32_t thread) {
    phase_run *r = arg;
    (void)index;
    if (thread < 0 || thread >= r->state->n_threads) {
        return; /* the host broke its promise; the other tasks take the chunks */
    }
    while (!atomic_load_explicit(&r->failed, memory_order_relaxed)) {
        int64_t begin = atomic_fetch_add_explicit(&r->next, r->chunk, memory_order_relaxed);
        if (begin >= r->n) {
            return;
        }
        int64_t end = r->n - begin < r->chunk ? r->n : begin + r->chunk;
        if (!run_chunk(r, begin, end, thread)) {
            atomic_store_explicit(&r->failed, true, memory_order_relaxed);
        }
    }
}

static void run_phase(cpu_state *s, phase_run *r) {
    if (!s->parallel_for) {
        tgr_pool_run(s->pool, r->n, run_chunk, r);
        return;
    }
    int64_t tasks = r->n < s->n_threads ? r->n : s->n_threads;
    int64_t chunk = r->n / ((int64_t)s->n_threads * HOST_CHUNKS_PER_THREAD);
    r->chunk = chunk > 0 ? chunk : 1;
    if (tasks == 1) {
        host_task(r, 0, 0);
    } else {
        s->parallel_for(s->parallel_user, tasks, host_task, r);
        host_task(r, 0, 0); /* takes what is left should the host have dropped tasks */
    }
}

static const char *trap_text(int32_t trap) {
    switch (trap) {
    case TG_CPU_TRAP_ASSERT:
        return "an assertion failed";
    case TG_CPU_TRAP_LIMIT:
        return "a `while` went past its `max`";
    case TG_CPU_TRAP_GRID:
        return "the grid is too large or has a negative extent";
    default:
        return "the code gave up";
    }
}

static tgr_status report_trap(cpu_state *s, const char *kernel, int32_t trap,
                              const struct tg_cpu_report *r) {
    if (r && r->line > 0) {
        return tgr_fail(s->context, TGR_E_TRAP,
                        "kernel `%s`, line %" PRId64 ": %s (program %" PRId64 ")", kernel, r->line,
                        trap_text(trap), r->program);
    }
    return tgr_fail(s->context, TGR_E_TRAP, "kernel `%s`: %s", kernel, trap_text(trap));
}

/* The trap of the lowest program among those that were reported. */
static tgr_status collect_traps(cpu_state *s, const char *kernel) {
    thread_memory *first = NULL;
    for (int32_t i = 0; i < s->n_threads; i++) {
        thread_memory *m = &s->threads[i];
        if (m->trap && (!first || m->report.program < first->report.program)) {
            first = m;
        }
    }
    if (!first) {
        return TGR_OK;
    }
    tgr_status st = report_trap(s, kernel, first->trap, &first->report);
    for (int32_t i = 0; i < s->n_threads; i++) {
        s->threads[i].trap = TG_CPU_TRAP_NONE;
    }
    return st;
}

static tgr_status check_plan(cpu_state *s, const tgr_run *run, const tg_cpu_plan *plan) {
    bool good = plan->n_phases >= 0 && (uint32_t)plan->n_phases <= run->entry->n_phases &&
                plan->scratch_bytes >= 0 && plan->scratch_bytes <= max_scratch &&
                plan->shared_bytes >= 0 && plan->shared_bytes <= max_scratch;
    for (int32_t i = 0; good && i < plan->n_phases; i++) {
        good = plan->programs[i] >= 0;
    }
    return good
               ? TGR_OK
               : tgr_fail(s->context, TGR_E_INTERNAL, "kernel `%s`: its plan cannot be", run->name);
}

static tgr_status run_plan(cpu_state *s, tgr_run *run, const tg_cpu_plan *plan) {
    int64_t most = 0;
    for (int32_t i = 0; i < plan->n_phases; i++) {
        most = plan->programs[i] > most ? plan->programs[i] : most;
    }
    /* The host's loop may hand any thread index to any task. */
    int64_t threads = most == 0 ? 0 : most == 1 ? 1 : s->n_threads;
    tgr_status st = grow_all(s, plan, threads, run->name);
    for (int32_t i = 0; i < plan->n_phases && !st; i++) {
        if (plan->programs[i] > 0) {
            phase_run r = {.state = s,
                           .fn = run->entry->phases[i],
                           .slots = run->slots,
                           .n = plan->programs[i]};
            run->programs += r.n;
            run_phase(s, &r);
            st = collect_traps(s, run->name);
        }
    }
    return st;
}

static tgr_status cpu_run(tgr_context *context, void *state, tgr_run *run) {
    (void)context;
    cpu_state *s = state;
    tg_cpu_plan plan = {0};
    run->programs = 0;
    fp_state fp = fp_enter();
    int32_t trap = run->entry->plan(run->slots, &plan);
    fp_leave(fp);
    if (trap != TG_CPU_TRAP_NONE) {
        return report_trap(s, run->name, trap, NULL);
    }
    tgr_status st = check_plan(s, run, &plan);
    if (st) {
        return st;
    }
    pthread_mutex_lock(&s->lock);
    st = run_plan(s, run, &plan);
    pthread_mutex_unlock(&s->lock);
    return st;
}

/* ---- life ----------------------------------------------------------------------------------- */

static bool cpu_describe(tgr_context *context, void *globals, int32_t index, tgr_device_info *out) {
    (void)context;
    (void)globals;
    if (index != 0) {
        return false;
    }
    uint64_t isas = tgr_cpu_isas();
    out->driver = "cpu";
    out->host_memory = 1;
    out->name = "host processor";
    out->isa = isas ? tgr_cpu_isa_name(tgr_cpu_best_isa(isas)) : "";
    out->max_threads = tgr_pool_processors();
    out->features = isas;
    return true;
}

static void cpu_close(tgr_context *context, void *state) {
    cpu_state *s = state;
    tgr_pool_destroy(s->pool);
    for (int32_t i = 0; s->threads && i < s->n_threads; i++) {
        tgr_free(context, s->threads[i].base, s->threads[i].base_bytes);
    }
    tgr_free(context, s->shared.base, s->shared.base_bytes);
    tgr_free(context, s->base, s->base_bytes);
    pthread_mutex_destroy(&s->lock);
    tgr_free(context, s, sizeof *s);
}

static tgr_status make_threads(cpu_state *s) {
    s->base_bytes = (size_t)s->n_threads * sizeof *s->threads + CACHE_LINE;
    s->base = tgr_alloc(s->context, s->base_bytes);
    if (!s->base) {
        s->base_bytes = 0;
        return tgr_fail(s->context, TGR_E_NOMEM, "out of memory opening the CPU");
    }
    s->threads =
        (thread_memory *)(void *)((char *)s->base + (-(uintptr_t)s->base & (CACHE_LINE - 1)));
    return TGR_OK;
}

static tgr_status cpu_open(tgr_context *context, void *globals, int32_t index,
                           const tgr_device_options *o, void **out_state, int32_t *out_threads) {
    (void)globals;
    (void)index;
    cpu_state *s = tgr_alloc(context, sizeof *s);
    if (!s) {
        return tgr_fail(context, TGR_E_NOMEM, "out of memory opening the CPU");
    }
    s->context = context;
    s->isas = tgr_cpu_isas();
    s->parallel_for = o->parallel_for;
    s->parallel_user = o->parallel_user;
    s->n_threads = o->n_threads > 0 ? o->n_threads : tgr_pool_processors();
    pthread_mutex_init(&s->lock, NULL);
    tgr_status st = make_threads(s);
    if (!st && !s->parallel_for) {
        st = tgr_pool_create(context, s->n_threads, o->spin_us, o->pin != 0, &s->pool);
    }
    if (st) {
        cpu_close(context, s);
        return st;
    }
    *out_state = s;
    *out_threads = s->parallel_for ? s->n_threads : tgr_pool_threads(s->pool);
    return TGR_OK;
}

static tgr_status cpu_copy(tgr_context *context, void *state, tgr_copy_kind kind, void *to,
                           const void *from, size_t bytes) {
    (void)context;
    (void)state;
    (void)kind;
    memmove(to, from, bytes);
    return TGR_OK;
}

static int32_t cpu_isa_rank(void *state, uint32_t isa) {
    return tgr_cpu_isa_rank(((cpu_state *)state)->isas, isa);
}

const tgr_driver tgr_driver_cpu = {
    .name = "cpu",
    .host_memory = true,
    .describe = cpu_describe,
    .open = cpu_open,
    .close = cpu_close,
    .memory_alloc = tgr_cpu_memory_alloc,
    .memory_free = tgr_cpu_memory_free,
    .copy = cpu_copy,
    .isa_rank = cpu_isa_rank,
    .needs_trust = true,
    .image_load = tgr_cpu_image_load,
    .image_unload = tgr_cpu_image_unload,
    .image_entry = tgr_cpu_image_entry,
    .image_name = tgr_cpu_image_name,
    .run = cpu_run,
};
