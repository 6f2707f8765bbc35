/* SPDX-License-Identifier: Apache-2.0 */
/* Every form of block lists means the same as the mask it stands for. */
#include <tegula/block_sparse.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void mask(void **state) {
    (void)state;
    const bool m[3][4] = {{1, 0, 0, 1}, {0, 0, 0, 0}, {0, 1, 1, 1}};
    int32_t ptr[4], at[8];
    assert_int_equal(tgh_bsr_from_mask(&m[0][0], 3, 4, 10, ptr, at, 8), 15);
    const int32_t want[] = {10, 12, 12, 15};
    assert_memory_equal(ptr, want, sizeof want); /* positions count what stands before */
    memset(at, 0x55, sizeof at);
    assert_int_equal(tgh_bsr_from_mask(&m[0][0], 3, 4, 0, ptr, at, 3), 5); /* needs more room */
    const int32_t some[] = {0, 3, 1, 0x55555555};
    assert_memory_equal(at, some, sizeof some);
    assert_int_equal(tgh_bsr_from_mask(&m[0][0], 0, 4, 7, ptr, at, 3), 7);
    assert_int_equal(ptr[0], 7);
}

static void lists(void **state) {
    (void)state;
    const int32_t l[3][4] = {{3, 0, -1, 3}, {2, 1, 0, 9}, {9, -1, 2147480000, -2147483647}};
    const int32_t count[3] = {4, 2, 4};
    int32_t ptr[4], at[8];
    assert_int_equal(tgh_bsr_from_lists(&l[0][0], count, 3, 4, 4, 0, ptr, at, 8), 4);
    const int32_t want_ptr[] = {0, 2, 4, 4}, want[] = {0, 3, 1, 2};
    assert_memory_equal(ptr, want_ptr, sizeof want_ptr);
    assert_memory_equal(at, want, sizeof want);
    assert_int_equal(tgh_bsr_from_lists(&l[0][0], NULL, 3, 4, 4, 0, ptr, at, 8), 5);
}

static void vertical_slash(void **state) {
    (void)state;
    const int32_t blocks[2] = {2, 0}, offset[2][2] = {{3, 9}, {0, 0}};
    const int32_t columns[2] = {3, 1}, column[2][3] = {{4, 0, 7}, {5, 1, 1}};
    int32_t ptr[3], at[16];
    int64_t n = tgh_bsr_from_vertical_slash(blocks, &offset[0][0], 2, columns, &column[0][0], 3, 2,
                                            3, 11, 0, ptr, at, 16);
    /* keys 3 4 5 and 9 10 (11 is no key), columns 0 and 7; 4 once */
    const int32_t want_ptr[] = {0, 7, 8}, want[] = {0, 3, 4, 5, 7, 9, 10, 5};
    assert_int_equal(n, 8);
    assert_memory_equal(ptr, want_ptr, sizeof want_ptr);
    assert_memory_equal(at, want, sizeof want);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mask),
        cmocka_unit_test(lists),
        cmocka_unit_test(vertical_slash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
