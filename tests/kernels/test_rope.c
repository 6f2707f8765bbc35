/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary tables against the figures of attention.md sections 4 (checked there against the models'
 * code). */
#include <tegula/rope.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const tgh_rope plain = {.dim = 64, .theta = 1e4, .factor = 1};
static const tgh_rope v3 = {.dim = 64, .theta = 1e4, .factor = 40, .original = 4096};
static const tgh_rope v4 = {.dim = 64, .theta = 160000, .factor = 16, .original = 65536};

static void ranges(void **state) {
    (void)state;
    int32_t low, high;
    tgh_rope_range(&v3, &low, &high);
    assert_int_equal(low, 10);
    assert_int_equal(high, 23);
    tgh_rope_range(&v4, &low, &high);
    assert_int_equal(low, 15);
    assert_int_equal(high, 25);
}

static void scales(void **state) {
    (void)state;
    double base = pow(192, -0.5);
    assert_true(fabs(base * tgh_rope_scale(&v3, 1) - 0.13523) < 5e-6);
    assert_true(fabs(base * tgh_rope_scale(&v3, 0.707) - 0.11472) < 5e-6);
    assert_true(fabs(base * tgh_rope_scale(&plain, 1) - 0.07217) < 5e-6);
}

static void frequencies(void **state) {
    (void)state;
    float f[32], g[32];
    assert_true(tgh_rope_frequencies(&plain, f));
    assert_true(tgh_rope_frequencies(&v3, g));
    for (int i = 0; i < 32; i++) {
        double exact = pow(1e4, -2.0 * i / 64), ramp = fmin(fmax((i - 10) / 13.0, 0), 1);
        assert_true(fabs((double)f[i] / exact - 1) < 1e-6);
        assert_true(fabs((double)g[i] / (exact / 40 * ramp + exact * (1 - ramp)) - 1) < 1e-6);
    }
}

/* The angle is an f32 product: near 2^20 the table is off the exact one by up to 0.055 and not by
 * more, and must be. */
static void long_positions(void **state) {
    (void)state;
    float row[64], f[32], group[2 * 64];
    double worst = 0;
    assert_true(tgh_rope_frequencies(&v4, f));
    for (int64_t p = (1 << 20) - 64; p < 1 << 20; p++) {
        assert_true(tgh_rope_table(&v4, p, 1, 1, row));
        for (int i = 0; i < 32; i++) {
            double ramp = fmin(fmax((i - 15) / 10.0, 0), 1), exact = pow(160000, -2.0 * i / 64);
            double angle = (double)p * (exact / 16 * ramp + exact * (1 - ramp));
            worst = fmax(worst, fabs((double)row[i] - cos(angle)));
            assert_true(row[i] == (float)cos((double)((float)p * f[i])));
            assert_true(row[32 + i] == (float)sin((double)((float)p * f[i])));
        }
    }
    assert_true(worst > 0.02 && worst < 0.12);
    assert_true(tgh_rope_table(&v4, 128 * 5, 128, 2, group)); /* starts of groups 5 and 6 */
    assert_true(tgh_rope_table(&v4, 128 * 6, 1, 1, row));
    assert_memory_equal(group + 64, row, sizeof row);
}

static void nonsense(void **state) {
    (void)state;
    float f[64] = {7};
    const tgh_rope wrong[] = {{.dim = 63, .theta = 1e4, .factor = 1},
                              {.dim = 0, .theta = 1e4, .factor = 1},
                              {.dim = 514, .theta = 1e4, .factor = 1},
                              {.dim = 64, .theta = 0, .factor = 1},
                              {.dim = 64, .theta = 1, .factor = 2, .original = 4096},
                              {.dim = 64, .theta = 1e4, .factor = 0}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(tgh_rope_frequencies(&wrong[i], f));
        assert_false(tgh_rope_table(&wrong[i], 0, 1, 1, f));
    }
    assert_true(f[0] == 7.0F);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges),         cmocka_unit_test(scales),   cmocka_unit_test(frequencies),
        cmocka_unit_test(long_positions), cmocka_unit_test(nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
