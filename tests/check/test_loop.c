/* SPDX-License-Identifier: Apache-2.0 */
/* The loop interpreter on small SIMT functions: what it computes and what it reports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ir/interp_loop.h"

typedef struct world {
    tg_env env;
    tg_arena arena;
    jmp_buf buf;
    int32_t in[64], out[64];
    tg_loop_report report;
} world;

/* Eight lanes, shared i32[16] at 0, `in` and `out` of 64 elements as slots 0 and 1. */
static void run(world *w, const char *body, int subgroup, int64_t max_steps) {
    static const char head[] = "tegula-ir 1\n"
                               "kernel loop \"f.phase0\" {\n"
                               "  role simt\n"
                               "  program lanes 8 shared 64 scratch 0\n"
                               "  body (%0: ptr, %1: i64, %2: i32, %3: ptr, %4: ptr) {\n"
                               "    %7 = array {offset = 0} : buf<shared, i32[16], 1>\n"
                               "    %5 = slot %0 {i = 0} : ptr\n"
                               "    %6 = slot %0 {i = 1} : ptr\n"
                               "    %8 = const {i = 1} : i32\n"
                               "    %9 = cast %2 : i64\n"
                               "    %10 = gep %6, %9 {bytes = 4} : ptr\n"
                               "    %11 = const {i = 4} : i32\n";
    tg_sink sink;
    tg_module *m = NULL;
    tg_env_init(&w->env, tg_allocator_default(), 0);
    if (TG_ENV_GUARD(&w->env, w->buf)) {
        abort();
    }
    tg_arena_init(&w->arena, &w->env);
    tg_sink_init(&sink, &w->arena);
    char *text = tg_arena_printf(&w->arena, "%s%s    yield\n  }\n}\n", head, body);
    tg_source src = {.name = "test", .text = text, .len = strlen(text)};
    if (tg_module_parse(&src, &w->arena, &sink, &m) != TG_OK ||
        tg_module_verify(m, &sink) != TG_OK) {
        fail_msg("%s", sink.first->text);
    }
    for (int i = 0; i < 64; i++) {
        w->in[i] = 100 + i;
        w->out[i] = -1;
    }
    int64_t slots[2] = {(int64_t)(intptr_t)w->in, (int64_t)(intptr_t)w->out};
    tg_loop_range ranges[2] = {
        {.base = w->in, .bytes = sizeof w->in, .name = "in"},
        {.base = w->out, .bytes = sizeof w->out, .writable = true, .name = "out"}};
    tg_loop_options o = {
        .seed = 5, .programs = 1, .subgroup = subgroup, .banks = 4, .max_steps = max_steps};
    assert_int_equal(tg_loop_run(m, "f", slots, 2, ranges, 2, &o, &w->arena, &w->report), TG_OK);
}

static void expect(const char *body, tg_loop_fault fault, const char *words) {
    world w;
    run(&w, body, 0, 100000);
    assert_int_equal(w.report.n_findings > 0, 1);
    assert_int_equal(w.report.findings[0].fault, fault);
    if (strstr(w.report.findings[0].text, words) == NULL) {
        fail_msg("%s", w.report.findings[0].text);
    }
    tg_arena_fini(&w.arena);
}

static void test_exchange(void **state) {
    world w;
    (void)state;
    run(&w,
        "    astore %7, %2, %2\n"
        "    barrier {fence = shared}\n"
        "    %20 = const {i = 7} : i32\n"
        "    %21 = sub %20, %2 : i32\n"
        "    %22 = aload %7, %21 : i32\n"
        "    storem %10, %22\n",
        0, 0);
    assert_int_equal(w.report.n_findings, 0);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(w.out[i], 7 - i);
    }
    assert_int_equal(w.report.bank_conflicts, 0);
    tg_arena_fini(&w.arena);
}

/* Four banks: eight words a stride of two apart lie in two of them; one word for all is no
 * conflict. */
static void test_banks(void **state) {
    world w;
    (void)state;
    run(&w,
        "    %20 = add %2, %2 : i32\n"
        "    astore %7, %20, %2\n"
        "    barrier {fence = shared}\n"
        "    %21 = const {i = 6} : i32\n"
        "    %22 = aload %7, %21 : i32\n"
        "    storem %10, %22\n",
        0, 0);
    assert_int_equal(w.report.n_findings, 0);
    assert_int_equal(w.report.shared_accesses, 2);
    assert_int_equal(w.report.bank_conflicts, 2);
    assert_int_equal(w.report.n_conflicts, 1);
    assert_int_equal(w.report.conflicts[0].op->code, TG_OP_ASTORE);
    assert_int_equal(w.report.conflicts[0].degree, 2);
    tg_sb sb;
    tg_sb_init(&sb, &w.arena);
    tg_loop_conflicts_print(&sb, &w.report);
    assert_non_null(strstr(sb.data, "degree 2, 2 extra cycles"));
    tg_arena_fini(&w.arena);
}

static void test_subgroup(void **state) {
    world w;
    (void)state;
    run(&w,
        "    %20 = shfl %2, %8 {shuffle = xor} : i32\n"
        "    %21 = shfl %20, %11 {shuffle = up} : i32\n"
        "    storem %10, %21\n",
        8, 0);
    static const int32_t want[8] = {1, 0, 3, 2, 1, 0, 3, 2};
    assert_int_equal(w.report.n_findings, 0);
    assert_memory_equal(w.out, want, sizeof want);
    tg_arena_fini(&w.arena);
}

static void test_vectors(void **state) {
    world w;
    (void)state;
    run(&w,
        "    %20 = loadm %5 {align = 4} : vec<i32, 4>\n"
        "    %21 = reducev %20 {kind = sum} : i32\n"
        "    storem %10, %21\n",
        0, 0);
    assert_int_equal(w.report.n_findings, 0);
    assert_int_equal(w.out[3], 100 + 101 + 102 + 103);
    tg_arena_fini(&w.arena);
}

static void test_atomic(void **state) {
    world w;
    (void)state;
    run(&w,
        "    %20 = const {i = 0} : i32\n"
        "    %21 = cmp %2, %20 {pred = eq} : bool\n"
        "    if %21 {\n"
        "      astore %7, %20, %20\n"
        "      yield\n"
        "    } {\n"
        "      yield\n"
        "    }\n"
        "    barrier {fence = shared}\n"
        "    %22 = aatomic %7, %20, %8 {do = add} : i32\n"
        "    barrier {fence = shared}\n"
        "    %23 = aload %7, %20 : i32\n"
        "    storem %10, %23\n",
        0, 0);
    assert_int_equal(w.report.n_findings, 0);
    assert_int_equal(w.out[5], 8);
    tg_arena_fini(&w.arena);
}

static void test_faults(void **state) {
    (void)state;
    expect("    astore %7, %2, %2\n    %20 = xor %2, %8 : i32\n    %21 = aload %7, %20 : i32\n",
           TG_LOOP_RACE, "no barrier between");
    expect("    %20 = aload %7, %2 : i32\n    storem %10, %20\n", TG_LOOP_UNDEFINED, "stored");
    expect("    %20 = const {i = 9} : i32\n    %21 = add %2, %20 : i32\n    astore %7, %21, %2\n",
           TG_LOOP_BOUNDS, "array of 16");
    expect("    storem %5, %2\n", TG_LOOP_BOUNDS, "read-only");
    expect("    %20 = const {i = 7000} : i64\n    %21 = gep %5, %20 {bytes = 4} : ptr\n"
           "    %22 = loadm %21 : i32\n",
           TG_LOOP_BOUNDS, "outside");
    expect("    %20 = const {i = 1} : i64\n    %21 = gep %5, %20 {bytes = 2} : ptr\n"
           "    %22 = loadm %21 : i32\n",
           TG_LOOP_ALIGN, "multiple of 4");
    expect("    storem %6, %2\n", TG_LOOP_RACE, "written");
}

static void test_divergence(void **state) {
    (void)state;
    expect("    %20 = cmp %2, %11 {pred = lt} : bool\n"
           "    if %20 {\n      barrier {fence = shared}\n      yield\n    } {\n      yield\n "
           "   }\n",
           TG_LOOP_DIVERGENCE, "waits here");
    /* One barrier, but lane 0 starts a trip later. */
    expect("    %20 = const {i = 3} : i32\n"
           "    %21 = const {i = 1} : i64\n"
           "    %22 = const {i = 3} : i64\n"
           "    %23 = min %9, %21 : i64\n"
           "    for %23, %22, %21 (%24: i64) {\n      barrier {fence = all}\n      yield\n    }\n",
           TG_LOOP_DIVERGENCE, "lane");
    expect("    %20 = cmp %2, %11 {pred = lt} : bool\n"
           "    if %20 {\n      %21 = shfl %2, %8 {shuffle = xor} : i32\n      yield\n    } {\n"
           "      yield\n    }\n",
           TG_LOOP_DIVERGENCE, "");
}

static void test_limit(void **state) {
    (void)state;
    expect("    %20 = const {i = 0} : i64\n"
           "    %21 = const {i = 1} : i64\n"
           "    %22 = const {i = 1000000000} : i64\n"
           "    for %20, %22, %21 (%23: i64) {\n      yield\n    }\n",
           TG_LOOP_LIMIT, "given up");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exchange),   cmocka_unit_test(test_banks),
        cmocka_unit_test(test_subgroup),   cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_atomic),     cmocka_unit_test(test_faults),
        cmocka_unit_test(test_divergence), cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
