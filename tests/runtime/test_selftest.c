/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The self-test of machine instructions: this processor passes, and an instruction that is wrong in
 * one bit, or in nothing but its extremes, takes the levels that rely on it away, so that the
 * loader picks the next variant.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <tegula/package_format.h>

#include "runtime/drivers/cpu/cpu.h"

#define BIT(isa) (1ull << (isa))

static void mean_sum(uint8_t *out, const uint8_t *x, const uint8_t *y, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        out[i] = (uint8_t)(out[i] + x[i] + y[i]);
    }
}

static void right(void *out, const void *x, const void *y) { mean_sum(out, x, y, 16); }

static void wrong_at_edge(void *out, const void *x, const void *y) {
    right(out, x, y);
    for (int i = 0; i < 16; i++) {
        ((uint8_t *)out)[i] ^= ((const uint8_t *)x)[i] == 0x80 && ((const uint8_t *)y)[i] == 0x80;
    }
}

static void wrong_in_last_byte(void *out, const void *x, const void *y) {
    right(out, x, y);
    ((uint8_t *)out)[15] ^= 1;
}

/* No trial may run where its level is absent. */
static void must_not_run(void *out, const void *x, const void *y) {
    (void)out;
    (void)x;
    (void)y;
    fail();
}

static void test_try(void **state) {
    (void)state;
    enum { LOW = 1, MIDDLE = 2, HIGH = 4, ABSENT = 8 };
    void (*const wrong[])(void *, const void *, const void *) = {wrong_at_edge, wrong_in_last_byte};
    for (size_t i = 0; i < 2; i++) {
        const tgr_cpu_trial all[] = {{LOW, LOW | MIDDLE | HIGH, 16, right, mean_sum, false},
                                     {MIDDLE, MIDDLE | HIGH, 16, wrong[i], mean_sum, false},
                                     {HIGH, HIGH, 16, must_not_run, mean_sum, false},
                                     {ABSENT, LOW, 16, must_not_run, mean_sum, false},
                                     {0, 0, 0, NULL, NULL, false}};
        assert_int_equal(tgr_cpu_try(all, LOW | MIDDLE | HIGH), LOW);
    }
}

static void test_this_processor(void **state) {
    (void)state;
    uint64_t isas = tgr_cpu_isas();
    assert_int_equal(tgr_cpu_proven(isas), isas);
#if defined(__x86_64__)
    __builtin_cpu_init();
    assert_int_equal(isas >> TG_ISA_X86_64_V3 & 1, __builtin_cpu_supports("avx2") &&
                                                       __builtin_cpu_supports("fma") &&
                                                       __builtin_cpu_supports("bmi2"));
#endif
}

/* Without its best level a processor is offered the next one. */
static void test_next_variant(void **state) {
    (void)state;
    uint64_t both = BIT(TG_ISA_X86_64_V3) | BIT(TG_ISA_X86_64_V4), low = BIT(TG_ISA_X86_64_V3);
    assert_int_equal(tgr_cpu_best_isa(both), TG_ISA_X86_64_V4);
    assert_int_equal(tgr_cpu_best_isa(low), TG_ISA_X86_64_V3);
    assert_int_equal(tgr_cpu_isa_rank(low, TG_ISA_X86_64_V4), -1);
    assert_true(tgr_cpu_isa_rank(low, TG_ISA_X86_64_V3) > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_try),
                                       cmocka_unit_test(test_this_processor),
                                       cmocka_unit_test(test_next_variant)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
