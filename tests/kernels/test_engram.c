/* SPDX-License-Identifier: Apache-2.0 */
/* The prime tables of V4.1: row totals of layers 1 and 14 as its configuration states them. */
#include <tegula/engram.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void totals(void **state) {
    (void)state;
    int64_t prime[2][24], offset[2][24], rows[2];
    assert_true(tgh_engram_primes(15999999, 2, 24, &prime[0][0], &offset[0][0], rows));
    assert_true(rows[0] == 384006168 && rows[1] == 384016682);
    assert_true(prime[0][23] == 16000463 && prime[1][23] == 16000889);
    assert_true(offset[0][0] == 0 && offset[1][0] == 0 &&
                offset[1][2] == prime[1][0] + prime[1][1]);
    assert_true(offset[0][23] + prime[0][23] == rows[0]);
    for (int i = 1; i < 48; i++) {
        assert_true(prime[i / 24][i % 24] > prime[(i - 1) / 24][(i - 1) % 24]);
    }
}

static void small(void **state) {
    (void)state;
    int64_t prime[6], rows[3] = {-1, -1, -1};
    const int64_t want[] = {2, 3, 5, 7, 11, 13};
    assert_true(tgh_engram_primes(1, 2, 3, prime, NULL, NULL));
    assert_memory_equal(prime, want, sizeof want);
    assert_true(tgh_engram_primes(1, 3, 0, prime, NULL, rows) && rows[2] == 0);
    assert_false(tgh_engram_primes(0, 1, 1, prime, NULL, NULL));
    assert_false(tgh_engram_primes(5, -1, 1, prime, NULL, NULL));
}

/* Products with ids below 99,092 stay below 2^63, so that no hash is negative. */
static void multipliers(void **state) {
    (void)state;
    for (int l = 0; l < 2; l++) {
        for (int k = 0; k < 4; k++) {
            int64_t m = tgh_engram_multipliers_v41[l][k];
            assert_true(m % 2 == 1 && m > 0 && m <= INT64_MAX / 99092);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(totals), cmocka_unit_test(small),
                                       cmocka_unit_test(multipliers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
