/* SPDX-License-Identifier: Apache-2.0 */
/* The expert slot cache: exact traces over 8 slots, written out by hand from the rules of its
 * header, and a long random trace against a plain model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tegula/expert_cache.h>

enum { LAYERS = 3, EXPERTS = 16, SLOTS = 8 };

static int64_t memory[4096];

static tgh_expert_cache *fresh(int32_t slots) {
    assert_true(tgh_expert_cache_bytes(LAYERS, EXPERTS, slots) <= sizeof memory);
    return tgh_expert_cache_init(memory, LAYERS, EXPERTS, slots);
}

/* One call: its ids (ended by -9), the slots it must give, the (slot, old expert) pairs it must
 * load. */
static void ensure(tgh_expert_cache *c, int32_t layer, const int32_t *ids, const int32_t *slots,
                   const int32_t (*loads)[2], int32_t n_loads) {
    int32_t got[16], n = 0, n_got;
    tgh_expert_load out[16];
    while (ids[n] != -9) {
        n++;
    }
    assert_int_equal(tgh_expert_cache_ensure_resident(c, layer, ids, n, got, out, &n_got),
                     TGH_CACHE_OK);
    assert_memory_equal(got, slots, (size_t)n * sizeof *got);
    assert_int_equal(n_got, n_loads);
    for (int32_t i = 0; i < n_got; i++) {
        assert_int_equal(out[i].slot, loads[i][0]);
        assert_int_equal(out[i].old_expert, loads[i][1]);
        assert_int_equal(out[i].layer, layer);
        assert_int_equal(tgh_expert_cache_slot(c, layer, out[i].expert), out[i].slot);
    }
}

#define IDS(...) ((const int32_t[]){__VA_ARGS__, -9})
#define TO(...) ((const int32_t[]){__VA_ARGS__})
#define LOADS(...) ((const int32_t[][2]){__VA_ARGS__})

static void test_trace(void **state) {
    (void)state;
    tgh_expert_cache *c = fresh(SLOTS);
    /* Empty slots by number; a repeat and a nobody load nothing. */
    ensure(c, 0, IDS(7, 3, 7, -1, 5), TO(0, 1, 0, -1, 2), LOADS({0, -1}, {1, -1}, {2, -1}), 3);
    ensure(c, 1, IDS(7, 3), TO(3, 4), LOADS({3, -1}, {4, -1}), 2);
    ensure(c, 2, IDS(0, 1, 2), TO(5, 6, 7), LOADS({5, -1}, {6, -1}, {7, -1}), 3);
    /* Order of use, least first: L0/7 L0/3 L0/5 L1/7 L1/3 L2/0 L2/1 L2/2. A hit moves L0/7 behind.
     */
    ensure(c, 0, IDS(7), TO(0), LOADS({0, 0}), 0);
    /* L0/3 (slot 1) and L0/5 (slot 2) go. */
    ensure(c, 1, IDS(9, 10), TO(1, 2), LOADS({1, 3}, {2, 5}), 2);
    assert_int_equal(tgh_expert_cache_slot(c, 0, 3), -1);
    /* Pinned L1/7 (slot 3) stays: L1/3 (slot 4) and L2/0 (slot 5) go. */
    assert_true(tgh_expert_cache_pin(c, 1, 7, true));
    ensure(c, 0, IDS(1, 2), TO(4, 5), LOADS({4, 3}, {5, 0}), 2);
    assert_false(tgh_expert_cache_pin(c, 2, 0, true));
    /* What the same call needs is not driven out, though it is the oldest: L2/1 (slot 6) stays. */
    ensure(c, 2, IDS(8, 1), TO(7, 6), LOADS({7, 2}), 1);
    tgh_cache_counts n = tgh_expert_cache_counts(c);
    assert_int_equal(n.hits, 2);
    assert_int_equal(n.misses, 13);
    assert_int_equal(n.evictions, 5);
    assert_int_equal(tgh_expert_cache_table(c)[1 * EXPERTS + 7], 3);
}

static void test_full(void **state) {
    (void)state;
    tgh_expert_cache *c = fresh(2);
    int32_t slot[3], n, before[LAYERS * EXPERTS];
    tgh_expert_load loads[3];
    ensure(c, 0, IDS(4, 5), TO(0, 1), LOADS({0, -1}, {1, -1}), 2);
    memcpy(before, tgh_expert_cache_table(c), sizeof before);
    assert_int_equal(tgh_expert_cache_ensure_resident(c, 0, TO(4, 5, 6), 3, slot, loads, &n),
                     TGH_CACHE_FULL);
    assert_int_equal(n, 0);
    tgh_expert_cache_pin(c, 0, 4, true);
    assert_int_equal(tgh_expert_cache_ensure_resident(c, 1, TO(1, 2), 2, slot, loads, &n),
                     TGH_CACHE_FULL);
    assert_memory_equal(before, tgh_expert_cache_table(c), sizeof before);
    assert_int_equal(tgh_expert_cache_ensure_resident(c, 3, TO(1), 1, slot, loads, &n),
                     TGH_CACHE_BAD_ARGUMENT);
    assert_int_equal(tgh_expert_cache_ensure_resident(c, 0, TO(16), 1, slot, loads, &n),
                     TGH_CACHE_BAD_ARGUMENT);
    tgh_expert_cache_pin(c, 0, 4, false);
    ensure(c, 1, IDS(1, 2), TO(0, 1), LOADS({0, 4}, {1, 5}), 2);
}

/* A hash layer's experts by token id; what is needed now and what waits for its use stay. */
static void test_prefetch(void **state) {
    (void)state;
    static const int32_t tid2eid[4][2] = {{1, 2}, {2, 3}, {4, 5}, {6, 7}};
    tgh_expert_cache *c = fresh(6);
    tgh_expert_load loads[16];
    int32_t n;
    ensure(c, 0, IDS(1, 2), TO(0, 1), LOADS({0, -1}, {1, -1}), 2);
    assert_int_equal(
        tgh_expert_cache_prefetch_hash(c, 1, tid2eid[0], 4, 2, TO(0, -1, 1, 99), 4, loads, &n),
        TGH_CACHE_OK);
    assert_int_equal(n, 3); /* 1, 2, 3 once each, into slots 2, 3, 4 */
    for (int32_t i = 0; i < 3; i++) {
        assert_int_equal(loads[i].slot, 2 + i);
        assert_int_equal(loads[i].expert, 1 + i);
    }
    /* One slot is left; the rest is needed or waits. */
    assert_int_equal(tgh_expert_cache_prefetch(c, 2, TO(4, 5), 2, loads, &n), TGH_CACHE_OK);
    assert_int_equal(n, 1);
    assert_int_equal(loads[0].slot, 5);
    /* The use: hits for 1 and 2; 9 drives out layer 0's first expert, the least recently used. */
    ensure(c, 1, IDS(2, 1, 9), TO(3, 2, 0), LOADS({0, 1}), 1);
    /* Prefetched experts may be driven out by need: L0/2 (slot 1), then L1/3 (slot 4). */
    ensure(c, 0, IDS(10, 11), TO(1, 4), LOADS({1, 2}, {4, 3}), 2);
    tgh_cache_counts k = tgh_expert_cache_counts(c);
    assert_int_equal(k.prefetched, 4);
    assert_int_equal(k.prefetch_hits, 2);
    assert_int_equal(k.prefetch_lost, 1);
}

/* Against a model that keeps times of use in an array. */
static void test_random(void **state) {
    (void)state;
    tgh_expert_cache *c = fresh(SLOTS);
    int64_t used[SLOTS] = {0}, clock = 0;
    int32_t layer_of[SLOTS], expert_of[SLOTS];
    uint64_t seed = 5;
    memset(layer_of, -1, sizeof layer_of);
    memset(expert_of, -1, sizeof expert_of);
    for (int32_t s = 0; s < SLOTS; s++) {
        used[s] = s - SLOTS;
    }
    for (int round = 0; round < 5000; round++) {
        int32_t ids[6], got[6], n_loads, at = 0;
        tgh_expert_load loads[6];
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        int32_t layer = (int32_t)(seed >> 62) % LAYERS;
        for (int32_t i = 0; i < 6; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            ids[i] = (int32_t)((seed >> 40) % (EXPERTS + 1)) - 1;
        }
        assert_int_equal(tgh_expert_cache_ensure_resident(c, layer, ids, 6, got, loads, &n_loads),
                         TGH_CACHE_OK);
        int64_t start = clock;
        for (int32_t i = 0; i < 6; i++) { /* claim, so that nothing needed is a victim */
            for (int32_t s = 0; s < SLOTS && ids[i] >= 0; s++) {
                if (layer_of[s] == layer && expert_of[s] == ids[i] && used[s] <= start) {
                    used[s] += INT64_C(1) << 40;
                }
            }
        }
        for (int32_t i = 0; i < 6; i++) {
            int32_t slot = -1, least = 0;
            for (int32_t s = 0; s < SLOTS; s++) {
                slot = ids[i] >= 0 && layer_of[s] == layer && expert_of[s] == ids[i] ? s : slot;
                least = used[s] < used[least] ? s : least;
            }
            if (ids[i] >= 0 && slot < 0) {
                slot = least;
                assert_int_equal(loads[at].slot, slot);
                assert_int_equal(loads[at++].old_expert, expert_of[slot]);
                layer_of[slot] = layer;
                expert_of[slot] = ids[i];
                used[slot] = ++clock;
            } else if (slot >= 0 && used[slot] >= INT64_C(1) << 39) {
                used[slot] = ++clock;
            }
            assert_int_equal(got[i], slot);
        }
        assert_int_equal(at, n_loads);
    }
}

static void test_refuses(void **state) {
    (void)state;
    assert_int_equal(tgh_expert_cache_bytes(0, 1, 1), 0);
    assert_int_equal(tgh_expert_cache_bytes(1 << 20, 1 << 20, 1), 0);
    assert_null(tgh_expert_cache_init(memory, 1, 1, 0));
    tgh_expert_cache *c = fresh(1);
    ensure(c, 0, IDS(3), TO(0), LOADS({0, -1}), 1);
    ensure(c, 0, IDS(4), TO(0), LOADS({0, 3}), 1);
    assert_int_equal(tgh_expert_cache_slot(c, -1, 4), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trace),    cmocka_unit_test(test_full),
        cmocka_unit_test(test_prefetch), cmocka_unit_test(test_random),
        cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
