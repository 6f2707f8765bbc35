/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Launches on devices of narrow limits (folded into rows, cut into slices, scratch shared by the
 * slices), plan entries that run on the device, float controls taken out of a module, the cache of
 * compiled pipelines.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/vulkan/harness.h"

/* Program p writes p through its own scratch to out[p]. */
static const char numbers[] =
    "tegula-ir 1\nkernel loop k {\nrole simt\nprogram lanes 1 shared 0 scratch 64\n"
    "body (%slots: ptr, %p: i64, %lane: i32, %scratch: ptr, %report: ptr) {\n"
    "%b = slot %slots {i = 0} : ptr\nstorem %scratch, %p\n%q = loadm %scratch : i64\n"
    "%pb = gep %b, %p {bytes = 8} : ptr\nstorem %pb, %q\nyield\n}\n}\n";

static void count_with(dvt *t, int64_t programs, uint32_t wide, uint32_t high, uint64_t scratch) {
    const tgr_vk_abilities *all = t->vk->abilities;
    tgr_vk_abilities few = *all;
    tgr_memory m;
    int64_t *out = calloc((size_t)programs, 8);
    int64_t slots[1] = {(int64_t)dvt_put(t, out, (size_t)programs * 8, &m)};
    few.max_groups[0] = wide;
    few.max_groups[1] = high;
    t->vk->abilities = &few;
    dvt_run(t, numbers, "k", slots, 1, programs, scratch, NULL);
    t->vk->abilities = all;
    dvt_get(t, &m, out);
    for (int64_t i = 0; i < programs; i++) {
        assert_int_equal(out[i], i);
    }
    dvt_free(t, &m);
    free(out);
}

static void test_slices(void **state) {
    count_with(*state, 20011, 100, 7, 64);
    count_with(*state, 1, 100, 7, 64);
    count_with(*state, 701, 100, 7, 64);
    count_with(*state, 33, 1, 1, 64);
}

/* A plan entry writes the tg_cpu_plan of the launch where scratch would be. */
static void test_plan(void **state) {
    static const char text[] =
        "tegula-ir 1\nkernel loop k_plan {\nrole plan\nbody (%slots: ptr, %plan: ptr) {\n"
        "%n = slot %slots {i = 0} : i64\n%two = const {i = 2} : i64\n%m = mul %n, %two : i64\n"
        "storem %plan, %m\n%c = cmp %n, %two {pred = lt} : bool\ntrap %c {i = 3}\nyield\n}\n}\n";
    dvt *t = *state;
    size_t n = 0;
    uint32_t *words = vkt_compile(text, "vulkan", &n), report[4];
    VkPipeline p = VK_NULL_HANDLE;
    assert_int_equal(tgr_vk_module_fit(t->context, t->vk->abilities, words, &n), TGR_OK);
    assert_int_equal(tgr_vk_pipeline_make(t->vk, words, n, "k_plan", &p), TGR_OK);
    for (int64_t slot = 0; slot < 50; slot += 49) {
        tg_cpu_plan plan;
        tgr_vk_dispatch d = {
            .pipeline = p, .slots = &slot, .n_slots = 1, .programs = 1, .out_plan = &plan};
        assert_int_equal(tgr_vk_dispatch_run(t->vk, &d, report), TGR_OK);
        assert_int_equal(plan.programs[0], 2 * slot);
        assert_int_equal(report[0], slot < 2 ? TG_CPU_TRAP_GRID : 0);
    }
    t->vk->api.DestroyPipeline(t->vk->device, p, NULL);
    free(words);
}

static bool declares(const uint32_t *words, size_t n, uint32_t capability) {
    for (size_t at = 5; at < n; at += words[at] >> 16) {
        if ((words[at] & 0xffff) == 17 && words[at + 1] == capability) {
            return true;
        }
    }
    return false;
}

/* Wishes the device has not are taken out, those it has stay. */
static void test_float_controls(void **state) {
    enum { DENORM_PRESERVE = 4464, ROUNDING_RTE = 4467 };
    dvt *t = *state;
    for (int has = 0; has < 2; has++) {
        tgr_vk_abilities a = *t->vk->abilities;
        a.denorm32 = a.rte64 = has;
        a.denorm64 = a.rte32 = false;
        size_t n = 0;
        uint32_t *words = vkt_compile(numbers, "vulkan", &n);
        assert_true(declares(words, n, DENORM_PRESERVE) && declares(words, n, ROUNDING_RTE));
        size_t before = n;
        assert_int_equal(tgr_vk_module_fit(t->context, &a, words, &n), TGR_OK);
        assert_int_equal(declares(words, n, DENORM_PRESERVE), has);
        assert_int_equal(declares(words, n, ROUNDING_RTE), has);
        assert_true(n < before);
        free(words);
    }
}

/* What the device's compiler made is found again by the next open. */
static void test_cache(void **state) {
    (void)state;
    for (int turn = 0; turn < 2; turn++) {
        dvt t;
        size_t n = 0;
        VkPipeline p = VK_NULL_HANDLE;
        assert_true(dvt_open(&t));
        if (turn == 1) {
            assert_true(t.vk->cache_bytes > 0);
        }
        uint32_t *words = vkt_compile(numbers, "vulkan", &n);
        assert_int_equal(tgr_vk_module_fit(t.context, t.vk->abilities, words, &n), TGR_OK);
        assert_int_equal(tgr_vk_pipeline_make(t.vk, words, n, "k", &p), TGR_OK);
        t.vk->api.DestroyPipeline(t.vk->device, p, NULL);
        free(words);
        dvt_close(&t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_float_controls),
        cmocka_unit_test(test_cache),
    };
    return cmocka_run_group_tests(tests, dvt_begin, dvt_finish);
}
