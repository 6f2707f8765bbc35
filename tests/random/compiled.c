/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a generated kernel as compiled code for this host: lowering, LLVM, blob, call by the
 * convention of abi.h. Scratch and shared memory start as garbage and end at an unmapped page; the
 * programs of a phase run in two ranges, the later one first, each with its own scratch.
 */
#define _DEFAULT_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/llvm/harness.h"
#include "tests/random/run.h"

enum { MAX_SLOTS = GEN_MAX_PARAMS * (1 + 2 * TG_MAX_RANK) + GEN_MAX_SYMS };

static void fill_slots(const gen_case *c, const case_memory *m, int64_t *slots) {
    size_t n = 0;
    for (int p = 0; p < m->n; p++) {
        const case_tensor *t = &m->tensors[p];
        if (t->map == NULL) {
            slots[n++] = (int64_t)m->scalars[p];
            continue;
        }
        slots[n++] = (int64_t)(intptr_t)t->base;
        for (int a = 0; a < t->rank; a++) {
            slots[n++] = t->extent[a];
        }
        for (int a = 0; a < t->rank; a++) {
            slots[n++] = t->stride[a];
        }
    }
    for (int s = 0; s < c->func->n_syms; s++) {
        slots[n++] = c->syms[s];
    }
}

typedef struct guarded {
    char *map, *base;
    size_t map_bytes;
} guarded;

static guarded guarded_make(int64_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), want = ((size_t)bytes + 63) / 64 * 64;
    size_t body = (want + page - 1) / page * page + page;
    guarded g = {.map_bytes = body + page};
    g.map = mmap(NULL, g.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g.map == MAP_FAILED) {
        _exit(2);
    }
    memset(g.map, 0xFF, body);
    (void)mprotect(g.map + body, page, PROT_NONE);
    g.base = g.map + body - want;
    return g;
}

static void guarded_free(const guarded *g) { (void)munmap(g->map, g->map_bytes); }

static const char *run_phase(tg_cpu_phase_fn phase, const int64_t *slots, const tg_cpu_plan *plan,
                             int index, void *shared, tg_arena *a) {
    int64_t n = plan->programs[index], middle = n / 2;
    const int64_t ranges[][2] = {{middle, n}, {0, middle}};
    for (size_t r = 0; r < TG_COUNT_OF(ranges); r++) {
        struct tg_cpu_report report = {0};
        guarded scratch = guarded_make(plan->scratch_bytes);
        int32_t trap = ranges[r][0] == ranges[r][1] ? 0
                                                    : phase(slots, ranges[r][0], ranges[r][1],
                                                            scratch.base, shared, &report);
        guarded_free(&scratch);
        if (trap != 0) {
            return tg_arena_printf(a, "trap %d in phase %d, line %lld", (int)trap, index,
                                   (long long)report.line);
        }
    }
    return NULL;
}

/* A function pointer from a code address. */
static void set_function(void *out, void *address) { memcpy(out, &address, sizeof address); }

static const char *call(const struct tg_test_code *code, const gen_case *c, const case_memory *m,
                        tg_arena *a) {
    int64_t slots[MAX_SLOTS];
    tg_cpu_plan plan = {0};
    tg_cpu_plan_fn plan_fn;
    fill_slots(c, m, slots);
    set_function(&plan_fn, tg_test_symbol(code, tg_arena_printf(a, "%s.plan", c->func->name)));
    if (plan_fn == NULL) {
        return "no plan function";
    }
    int32_t trap = plan_fn(slots, &plan);
    if (trap != 0 || plan.n_phases < 1 || plan.n_phases > TG_CPU_MAX_PHASES) {
        return tg_arena_printf(a, "plan gives trap %d, %d phases", (int)trap, (int)plan.n_phases);
    }
    guarded shared = guarded_make(plan.shared_bytes);
    const char *wrong = NULL;
    for (int i = 0; i < plan.n_phases && wrong == NULL; i++) {
        tg_cpu_phase_fn phase;
        set_function(&phase,
                     tg_test_symbol(code, tg_arena_printf(a, "%s.phase%d", c->func->name, i)));
        wrong = phase == NULL ? tg_arena_printf(a, "no function of phase %d", i)
                              : run_phase(phase, slots, &plan, i, shared.base, a);
    }
    guarded_free(&shared);
    return wrong;
}

const char *run_compiled(gen_case *c, case_memory *m, tg_arena *a) {
    tg_sink sink;
    tg_sink_init(&sink, a);
    tg_module *out = tg_module_make(a);
    tg_status s = tg_lower_cpu(c->func, tg_machine_host(), out, &sink);
    if (s != TG_OK) {
        return tg_arena_printf(a, "lowering gives status %d: %s", (int)s,
                               sink.first != NULL ? sink.first->text : "no diagnostic");
    }
    if (tg_module_verify(out, &sink) != TG_OK) {
        return tg_arena_printf(a, "loop code is not valid: %s",
                               sink.first != NULL ? sink.first->text : "?");
    }
    struct tg_test_code code;
    if (!tg_test_load(out, NULL, &code)) {
        return "the loop code does not compile";
    }
    const char *wrong = call(&code, c, m, a);
    tg_test_unload(&code);
    return wrong;
}
