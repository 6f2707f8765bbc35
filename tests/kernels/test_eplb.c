/* SPDX-License-Identifier: Apache-2.0 */
/* Expert load balancing: the published example slot by slot, and what must hold of every plan. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tegula/eplb.h>

/* The example of moe.md section 5 (golden): 2 layers, 12 experts, 16 slots, 4 groups, 2 nodes, 8
 * devices. */
static void test_golden(void **state) {
    (void)state;
    static const double load[24] = {90, 132, 40,  61, 104, 165, 39,  4,   73,  56, 183, 86,
                                    20, 107, 104, 64, 19,  197, 187, 157, 172, 86, 16,  27};
    static const int32_t want[32] = {5, 6,  5, 7, 8, 4,  3, 4, 10, 9, 10, 2, 0, 1, 11, 1,
                                     7, 10, 6, 8, 6, 11, 8, 9, 2,  4, 5,  1, 5, 0, 3,  1};
    tgh_eplb_shape s = {.experts = 12, .slots = 16, .groups = 4, .nodes = 2, .devices = 8};
    void *work = malloc(tgh_eplb_workspace(&s));
    int32_t got[32], copy[32], copies[24], replica[12 * 2];
    assert_non_null(work);
    assert_int_equal(tgh_eplb_rebalance(&s, 2, load, work, got, copy, copies), TGH_EPLB_OK);
    assert_memory_equal(got, want, sizeof want);
    static const int32_t want_copies[12] = {1, 2, 1, 1, 2, 2, 1, 1, 1, 1, 2, 1};
    assert_memory_equal(copies, want_copies, sizeof want_copies);
    tgh_eplb_replicas(&s, got, copy, 2, replica);
    for (int32_t p = 0; p < 16; p++) {
        assert_int_equal(replica[got[p] * 2 + copy[p]], p);
    }
    assert_int_equal(replica[0 * 2 + 1], -1);
    free(work);
}

static void test_pack(void **state) {
    (void)state;
    static const double w[6] = {1, 5, 5, 2, 3, 4};
    static const int32_t want_pack[6] = {0, 0, 1, 1, 1, 0}, want_rank[6] = {2, 0, 0, 2, 1, 1};
    int64_t work[64];
    int32_t pack[6], rank[6];
    assert_int_equal(tgh_eplb_pack(w, 6, 2, work, pack, rank), TGH_EPLB_OK);
    assert_memory_equal(pack, want_pack, sizeof want_pack);
    assert_memory_equal(rank, want_rank, sizeof want_rank);
    assert_int_equal(tgh_eplb_pack(w, 6, 6, work, pack, rank), TGH_EPLB_OK); /* the identity */
    for (int32_t i = 0; i < 6; i++) {
        assert_int_equal(pack[i], i);
        assert_int_equal(rank[i], 0);
    }
    assert_int_equal(tgh_eplb_pack(w, 6, 4, work, pack, rank), TGH_EPLB_BAD_SHAPE);
}

static void test_replicate(void **state) {
    (void)state;
    static const double w[3] = {6, 12, 6};
    static const int32_t expert_of[6] = {0, 1, 2, 1, 0, 1}, copy_of[6] = {0, 0, 0, 1, 1, 2};
    int32_t expert[6], copy[6], copies[3];
    assert_int_equal(tgh_eplb_replicate(w, 3, 6, expert, copy, copies), TGH_EPLB_OK);
    assert_memory_equal(expert, expert_of, sizeof expert_of);
    assert_memory_equal(copy, copy_of, sizeof copy_of);
    assert_int_equal(tgh_eplb_replicate(w, 3, 2, expert, copy, copies), TGH_EPLB_BAD_SHAPE);
}

/* V3's layer: every slot holds an expert, every expert has a slot, copies are numbered without
 * gaps; the busiest device is not far above the mean. */
static void check(const tgh_eplb_shape *s, int32_t layers, uint64_t seed) {
    size_t experts = (size_t)layers * (size_t)s->experts, slots = (size_t)layers * (size_t)s->slots;
    double *load = malloc(experts * sizeof *load);
    int32_t *expert = malloc(slots * sizeof *expert), *copy = malloc(slots * sizeof *copy),
            *copies = malloc(experts * sizeof *copies),
            *seen = calloc((size_t)s->experts, sizeof *seen);
    void *work = malloc(tgh_eplb_workspace(s));
    for (size_t i = 0; i < experts; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        load[i] = (double)(seed >> 40) * (double)(seed >> 60);
    }
    assert_int_equal(tgh_eplb_rebalance(s, layers, load, work, expert, copy, copies), TGH_EPLB_OK);
    for (int32_t l = 0; l < layers; l++) {
        memset(seen, 0, (size_t)s->experts * sizeof *seen);
        for (int32_t p = 0; p < s->slots; p++) {
            int32_t e = expert[l * s->slots + p];
            assert_in_range(e, 0, s->experts - 1);
            assert_true(copy[l * s->slots + p] < copies[l * s->experts + e]);
            seen[e]++;
        }
        for (int32_t e = 0; e < s->experts; e++) {
            assert_int_equal(seen[e], copies[l * s->experts + e]);
            assert_true(seen[e] >= 1);
        }
    }
    free(load);
    free(expert);
    free(copy);
    free(copies);
    free(seen);
    free(work);
}

static void test_plans(void **state) {
    (void)state;
    static const tgh_eplb_shape shapes[] = {{256, 288, 8, 4, 32}, {256, 288, 8, 3, 36},
                                            {16, 16, 4, 2, 8},    {7, 9, 1, 1, 3},
                                            {1, 4, 1, 1, 4},      {384, 400, 1, 1, 16}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        check(&shapes[i], i == 0 ? 58 : 3, 7 + i);
    }
}

static void test_refuses(void **state) {
    (void)state;
    static const tgh_eplb_shape bad[] = {{12, 11, 4, 2, 8}, {12, 16, 5, 2, 8}, {12, 15, 4, 2, 8},
                                         {12, 18, 4, 2, 9}, {0, 16, 1, 1, 8},  {12, 16, 4, 0, 8}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(tgh_eplb_workspace(&bad[i]), 0);
    }
    tgh_eplb_shape s = {.experts = 2, .slots = 2, .groups = 1, .nodes = 1, .devices = 1};
    double load[2] = {1, -1};
    int32_t out[2], copies[2];
    int64_t work[64];
    assert_true(tgh_eplb_workspace(&s) <= sizeof work);
    assert_int_equal(tgh_eplb_rebalance(&s, 1, load, work, out, NULL, copies), TGH_EPLB_BAD_SHAPE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),    cmocka_unit_test(test_pack),
        cmocka_unit_test(test_replicate), cmocka_unit_test(test_plans),
        cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
