/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going around quirks: every probe whose code a quirk changes still gives the right answer in the
 * loop interpreter (whose arithmetic is right: so the emulation is), every emulating quirk changes
 * some probe, and what has no way around is refused by name. Also: names of machines with quirks,
 * and the probes themselves in the interpreter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/probe.h"
#include "ir/interp_loop.h"

typedef struct fixture {
    tg_env env;
    tg_arena arena;
    jmp_buf frame;
} fixture;

static void begin(fixture *f) {
    tg_env_init(&f->env, tg_allocator_default(), 0);
    tg_arena_init(&f->arena, &f->env);
    f->env.oom = &f->frame;
    if (setjmp(f->frame)) {
        fail_msg("out of memory");
    }
}

static tgc_prober prober_of(fixture *f, const char *machine) {
    tgc_prober p = {.arena = &f->arena, .machine = tg_machine_named(&f->arena, machine)};
    assert_non_null(p.machine);
    tg_sink_init(&p.sink, &f->arena);
    return p;
}

static const char *text_of(fixture *f, const tg_module *m) {
    tg_sb sb;
    tg_sb_init(&sb, &f->arena);
    tg_module_print(&sb, m);
    return sb.data;
}

/* Loops too long, or lanes too many, for an interpreter in a test. */
static bool is_long(const tgc_probe *q) {
    static const char *const names[] = {"loop.long",     "shared.full", "shared.apart",
                                        "private.large", "offset.64",   "constants.many"};
    for (size_t i = 0; i < TG_COUNT_OF(names); i++) {
        if (strcmp(q->name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Runs the module on the probe's inputs and judges the answer. */
static void run(fixture *f, tg_module *m, const tgc_probe *q, const char *machine) {
    uint32_t *words[27], *kept[2];
    tg_loop_range ranges[27] = {{0}};
    int64_t slots[128] = {0};
    int n = 3 + q->extra, wrong;
    for (int i = 0; i < n; i++) {
        words[i] = TG_NEW_ARRAY(&f->arena, uint32_t, TGC_PROBE_N);
        ranges[i] = (tg_loop_range){
            .base = words[i], .bytes = TGC_PROBE_N * 4, .writable = true, .name = "x"};
        slots[3 * i] = (int64_t)(intptr_t)words[i];
        slots[3 * i + 1] = TGC_PROBE_N;
    }
    q->inputs(words[1], words[2]);
    for (int i = 0; i < 2; i++) {
        kept[i] = TG_NEW_ARRAY(&f->arena, uint32_t, TGC_PROBE_N);
        memcpy(kept[i], words[1 + i], TGC_PROBE_N * 4);
    }
    for (int i = 3; i < n; i++) {
        memcpy(words[i], words[2], TGC_PROBE_N * 4);
    }
    memset(words[0], 0xA5, TGC_PROBE_N * 4);
    tg_loop_options o = {.seed = 1,
                         .programs = TGC_PROBE_N / (q->lanes ? q->lanes : TGC_PROBE_LANES)};
    tg_loop_report r;
    tg_status st = tg_loop_run(m, "probe", slots, 128, ranges, n, &o, &f->arena, &r);
    if (st || r.n_findings) {
        tg_sb sb;
        tg_sb_init(&sb, &f->arena);
        tg_loop_report_print(&sb, &r);
        fail_msg("%s on %s: status %d, %s", q->name, machine, (int)st, sb.len ? sb.data : "");
    }
    int first = tgc_probe_judge(q, kept[0], kept[1], words[0], &wrong);
    if (first >= 0) {
        fail_msg("%s on %s: %d wrong, first [%d] a %08x b %08x gives %08x not %08x", q->name,
                 machine, wrong, first, kept[0][first], kept[1][first], words[0][first],
                 q->expect ? q->expect(kept[0], kept[1], first) : 0);
    }
}

static void check_machine(const char *plain, const char *machine, bool must_change) {
    bool changed = false;
    for (int i = 0; tgc_probe_at(i); i++) {
        const tgc_probe *q = tgc_probe_at(i);
        fixture f;
        begin(&f);
        tgc_prober a = prober_of(&f, plain), b = prober_of(&f, machine);
        if (!is_long(q)) {
            tg_module *before = tgc_probe_module(&a, q), *after = tgc_probe_module(&b, q);
            assert_non_null(before);
            if (!after) {
                fail_msg("%s on %s: %s", q->name, machine, b.sink.last ? b.sink.last->text : "?");
            }
            if (tg_module_verify(after, &b.sink)) {
                fail_msg("%s on %s: %s", q->name, machine, b.sink.last ? b.sink.last->text : "?");
            }
            bool other = strcmp(text_of(&f, before), text_of(&f, after)) != 0;
            changed = changed || other;
            if (other || !must_change) {
                run(&f, after, q, machine);
            }
        }
        tg_arena_fini(&f.arena);
    }
    assert_int_equal(changed, must_change);
}

static void test_probes(void **state) {
    (void)state;
    check_machine("opencl", "opencl", false);
}

static void test_emulations(void **state) {
    static const char *const machines[] = {
        "opencl+fma-inexact",
        "opencl+div-inexact",
        "opencl+flushes-subnormals",
        "opencl+contracts",
        "opencl+round-wrong",
        "opencl+casts-inexact",
        "opencl+narrow-stores-race",
        "opencl+fma-inexact+div-inexact+flushes-subnormals+contracts+round-wrong+casts-inexact+"
        "narrow-stores-race"};
    (void)state;
    for (size_t i = 0; i < TG_COUNT_OF(machines); i++) {
        check_machine("opencl", machines[i], true);
    }
}

/* Without f64 the fma of a machine that lacks one is done in integers, too. */
static void test_fma_without_f64(void **state) {
    fixture f;
    (void)state;
    begin(&f);
    tgc_prober p = prober_of(&f, "vulkan+no-f64");
    for (int i = 0; tgc_probe_at(i); i++) {
        const tgc_probe *q = tgc_probe_at(i);
        if (strncmp(q->name, "f32.fma", 7) == 0) {
            tg_module *m = tgc_probe_module(&p, q);
            assert_non_null(m);
            assert_null(strstr(text_of(&f, m), "fma"));
            run(&f, m, q, p.machine->name);
        }
    }
    tg_arena_fini(&f.arena);
}

static void test_refusals(void **state) {
    static const struct {
        const char *machine, *probe, *quirk;
    } rows[] = {{"opencl+no-f64", "f64.mul", "no-f64"},
                {"vulkan+no-atomic64", "atomic.u64.add", "no-atomic64"},
                {"opencl+no-atomics", "atomic.shared", "no-atomics"},
                {"opencl+no-atomics", "atomic.u32.cas", "no-atomics"}};
    (void)state;
    for (size_t i = 0; i < TG_COUNT_OF(rows); i++) {
        fixture f;
        begin(&f);
        tgc_prober p = prober_of(&f, rows[i].machine);
        for (int k = 0; tgc_probe_at(k); k++) {
            if (strcmp(tgc_probe_at(k)->name, rows[i].probe) == 0) {
                assert_null(tgc_probe_module(&p, tgc_probe_at(k)));
                assert_non_null(strstr(p.sink.last->text, rows[i].quirk));
            }
        }
        tg_arena_fini(&f.arena);
    }
}

static void test_names(void **state) {
    fixture f;
    (void)state;
    begin(&f);
    const tg_machine *m = tg_machine_named(&f.arena, "vulkan+contracts+short-loops");
    assert_non_null(m);
    assert_string_equal(m->name, "vulkan+short-loops+contracts");
    assert_int_equal(m->quirks, TG_QUIRK_SHORT_LOOPS | TG_QUIRK_CONTRACTS);
    assert_ptr_equal(tg_machine_named(&f.arena, "vulkan"), tg_machine_find("vulkan"));
    assert_null(tg_machine_named(&f.arena, "vulkan+"));
    assert_null(tg_machine_named(&f.arena, "vulkan+nothing"));
    assert_null(tg_machine_named(&f.arena, "x86-64-v3+contracts"));
    const tg_machine *small = tg_machine_named(&f.arena, "opencl+small-shared+small-groups");
    assert_int_equal(small->shared_bytes, 16384);
    assert_int_equal(small->max_lanes, 64);
    assert_int_equal(tg_machine_named(&f.arena, "opencl+no-f64")->simt & TG_SIMT_F64, 0);
    tg_arena_fini(&f.arena);
}

/* Every quirk has a probe that shows it and, among those of the first compilation, one. */
static void test_table(void **state) {
    unsigned all = 0, first = 0, known = 0;
    (void)state;
    for (int i = 0; tgc_probe_at(i); i++) {
        all |= tgc_probe_at(i)->quirks;
        first |= tgc_probe_at(i)->first ? tgc_probe_at(i)->quirks : 0;
        for (int k = 0; k < i; k++) {
            assert_string_not_equal(tgc_probe_at(i)->name, tgc_probe_at(k)->name);
        }
    }
    for (size_t i = 0; tg_quirk_at(i); i++) {
        known |= tg_quirk_at(i)->bit;
    }
    assert_int_equal(known, TG_QUIRK_ALL);
    assert_int_equal(all, TG_QUIRK_ALL);
    assert_int_equal(first, TG_QUIRK_ALL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),    cmocka_unit_test(test_table),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_fma_without_f64),
        cmocka_unit_test(test_probes),   cmocka_unit_test(test_emulations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
