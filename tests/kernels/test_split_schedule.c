/* SPDX-License-Identifier: Apache-2.0 */
/* The split schedule of the decode kernels: records worked out by hand from attention.md K4, and
 * what must hold of every schedule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tegula/split_schedule.h>

enum { MAX_REQUESTS = 300 };

static void expect(const int32_t *len, int32_t n, int32_t parts, const tgh_part *want,
                   const int32_t *want_splits) {
    tgh_part got[TGH_SPLIT_MAX_PARTS];
    int32_t splits[MAX_REQUESTS + 1];
    assert_int_equal(tgh_split_schedule(len, n, parts, 64, 5, got, splits), TGH_SPLIT_OK);
    assert_memory_equal(got, want, (size_t)parts * sizeof *want);
    assert_memory_equal(splits, want_splits, ((size_t)n + 1) * sizeof *splits);
}

/* Blocks 4, 1, 2, 64; payload ceil((71 + 20) / 4) + 5 = 28: three requests and one block; 23; 23;
 * the rest. */
static void test_one_long_request(void **state) {
    (void)state;
    const int32_t len[] = {256, 0, 100, 4096}, splits[] = {0, 1, 2, 3, 7};
    const tgh_part want[] = {{0, 3, 0, 1, 0, 0, 1, 0},
                             {3, 3, 1, 24, 1, 1, 1, 0},
                             {3, 3, 24, 47, 2, 1, 1, 0},
                             {3, 3, 47, 64, 3, 1, 1, 0}};
    expect(len, 4, 4, want, splits);
}

/* Payload ceil((1 + 5) / 3) + 5 = 7: the first part takes everything. An empty request ends at
 * block 0. */
static void test_more_parts_than_work(void **state) {
    (void)state;
    const int32_t short_len[] = {20}, no_len[] = {0}, splits[] = {0, 1};
    const tgh_part want[] = {
        {0, 0, 0, 1, 0, 0, 0, 0}, {1, 0, 0, 0, 0, 0, 0, 0}, {1, 0, 0, 0, 0, 0, 0, 0}};
    const tgh_part want_none[] = {{0, 0, 0, 0, 0, 0, 0, 0}, {1, 0, 0, 0, 0, 0, 0, 0}};
    expect(short_len, 1, 3, want, splits);
    expect(no_len, 1, 2, want_none, splits);
}

/* Blocks 10, 10, payload ceil(30 / 3) + 5 = 15: 10 + 0; what is left over never starts a piece. */
static void test_no_empty_piece(void **state) {
    (void)state;
    const int32_t len[] = {640, 640}, splits[] = {0, 1, 2};
    const tgh_part want[] = {
        {0, 0, 0, 10, 0, 0, 0, 0}, {1, 1, 0, 10, 0, 0, 0, 0}, {2, 1, 0, 0, 0, 0, 0, 0}};
    expect(len, 2, 3, want, splits);
}

/* The last request of one part is the first of the next: blocks 8, 8, 8, payload ceil(39 / 2) + 5 =
 * 25: 13, then 12 - 5 = 7 blocks of the second. */
static void test_first_and_last_pieces(void **state) {
    (void)state;
    const int32_t len[] = {512, 512, 500}, splits[] = {0, 1, 3, 4};
    const tgh_part want[] = {{0, 1, 0, 7, 0, 0, 1, 0}, {1, 2, 7, 8, 1, 1, 0, 0}};
    expect(len, 3, 2, want, splits);
}

static void test_refuses(void **state) {
    (void)state;
    tgh_part p[1];
    int32_t splits[2];
    const int32_t len[] = {64}, negative[] = {-1};
    assert_int_equal(tgh_split_schedule(len, 1, 0, 64, 5, p, splits), TGH_SPLIT_BAD_ARGUMENT);
    assert_int_equal(tgh_split_schedule(len, 1, 161, 64, 5, p, splits), TGH_SPLIT_BAD_ARGUMENT);
    assert_int_equal(tgh_split_schedule(len, 1, 1, 0, 5, p, splits), TGH_SPLIT_BAD_ARGUMENT);
    assert_int_equal(tgh_split_schedule(len, 1, 1, 64, -1, p, splits), TGH_SPLIT_BAD_ARGUMENT);
    assert_int_equal(tgh_split_schedule(negative, 1, 1, 64, 5, p, splits), TGH_SPLIT_BAD_ARGUMENT);
    assert_int_equal(tgh_split_schedule(NULL, 0, 1, 64, 5, p, splits), TGH_SPLIT_OK);
    assert_int_equal(splits[0], 0);
    assert_true(p[0].begin_req == 0 && p[0].end_req == -1);
}

static void test_parts_for(void **state) {
    (void)state;
    assert_int_equal(tgh_split_parts_for(132, 1, 128, 1), 66);
    assert_int_equal(tgh_split_parts_for(132, 2, 128, 1), 33);
    assert_int_equal(tgh_split_parts_for(132, 1, 32, 4), 33);
    assert_int_equal(tgh_split_parts_for(2, 4, 128, 1), 1);
    assert_int_equal(tgh_split_parts_for(1000, 1, 16, 1), 160);
    assert_int_equal(tgh_split_parts_for(0, 1, 16, 1), 1);
}

static uint32_t draw(uint32_t *state) {
    return *state = *state * 1664525u + 1013904223u, *state >> 8;
}

static int32_t blocks_of(int32_t len) { return len == 0 ? 1 : (len + 63) / 64; }

/* Walks the parts block by block: every block once and in order, pieces numbered, flags right, no
 * part above the payload. */
static void check_schedule(const int32_t *len, int32_t n, int32_t parts, int32_t overhead) {
    tgh_part p[TGH_SPLIT_MAX_PARTS];
    int32_t splits[MAX_REQUESTS + 1], req = 0, blk = 0, pieces = 0, total = 0;
    for (int32_t r = 0; r < n; r++) {
        total += blocks_of(len[r]) + overhead;
    }
    int32_t payload = (total + parts - 1) / parts + overhead;
    assert_int_equal(tgh_split_schedule(len, n, parts, 64, overhead, p, splits), TGH_SPLIT_OK);
    for (int32_t w = 0; w < parts; w++) {
        int32_t cost = 0;
        assert_int_equal(p[w].begin_req, req);
        assert_int_equal(p[w].begin_blk, blk);
        assert_int_equal(p[w].begin_split, pieces);
        for (int32_t r = p[w].begin_req; r <= p[w].end_req; r++) {
            int32_t all = blocks_of(len[r]), end = r == p[w].end_req ? p[w].end_blk : all;
            int32_t stop = len[r] == 0 ? 1 : end;
            bool whole = blk == 0 && stop == all;
            assert_int_equal(r, req);
            assert_true(stop > blk && stop <= all);
            assert_int_equal(whole, !((r == p[w].begin_req && p[w].first_split) ||
                                      (r == p[w].end_req && p[w].last_split)));
            cost += stop - blk + overhead;
            pieces++;
            blk = stop;
            if (stop == all) {
                assert_int_equal(splits[r + 1] - splits[r], pieces);
                pieces = blk = 0;
                req++;
            }
        }
        assert_true(cost <= payload);
    }
    assert_int_equal(req, n);
    assert_true(splits[n] <= n + parts);
}

static void test_every_schedule(void **state) {
    (void)state;
    uint32_t seed = 1;
    int32_t len[MAX_REQUESTS];
    for (int round = 0; round < 4000; round++) {
        int32_t n = (int32_t)(draw(&seed) % (round % 10 == 0 ? MAX_REQUESTS : 9)) + 1;
        for (int32_t r = 0; r < n; r++) {
            uint32_t kind = draw(&seed) % 4;
            len[r] = kind == 0 ? 0 : (int32_t)(draw(&seed) % (kind == 1 ? 200 : 40000));
        }
        check_schedule(len, n, (int32_t)(draw(&seed) % 160) + 1, (int32_t)(draw(&seed) % 7));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_long_request), cmocka_unit_test(test_more_parts_than_work),
        cmocka_unit_test(test_no_empty_piece),   cmocka_unit_test(test_first_and_last_pieces),
        cmocka_unit_test(test_refuses),          cmocka_unit_test(test_parts_for),
        cmocka_unit_test(test_every_schedule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
