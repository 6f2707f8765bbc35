/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be wrong about asynchronous programs of sm_90, one thing each: a line of what nvcc or
 * triton wrote is changed, the simulator names the fault, and says nothing of the text as it was.
 */
#include "simtest.h"

typedef enum setup { PLAIN, PAIR, BOX, IMAGE, PRODUCT } setup;

typedef struct fault_case {
    const char *what, *file, *kernel, *from;
    int nth;
    const char *to;
    sim_fault fault;
    setup how;
} fault_case;

#define ASYNC "cuda/async.ptx"
#define WGMMA "cuda/wgmma.ptx"

static const fault_case list[] = {
    {"nobody arrives", ASYNC, "mb_handoff", "mbarrier.arrive.shared::cta.b64", 1, "// ",
     SIM_FAULT_DEADLOCK, PLAIN},
    {"one arrival too many is wanted", ASYNC, "mb_handoff", "bar.sync", 1,
     "@%p1 bra Q; mbarrier.init.shared::cta.b64 [%r4], 129; Q: bar.sync", SIM_FAULT_DEADLOCK,
     PLAIN},
    {"one arrival too few is wanted", ASYNC, "mb_handoff", "bar.sync", 1,
     "@%p1 bra Q; mbarrier.init.shared::cta.b64 [%r4], 127; Q: bar.sync", SIM_FAULT_MBARRIER,
     PLAIN},
    {"the other parity", ASYNC, "mb_handoff", "L: mbarrier.try_wait", 1,
     "xor.b32 %r23, %r23, 1; L: mbarrier.try_wait", SIM_FAULT_DEADLOCK, PLAIN},
    {"others do not know of init", ASYNC, "mb_handoff", "bar.sync", 1, "// ", SIM_FAULT_MBARRIER,
     PLAIN},
    {"no init", ASYNC, "mb_handoff", "mbarrier.init", 1, "// ", SIM_FAULT_MBARRIER, PLAIN},
    {"an ordinary store to a barrier", ASYNC, "mb_handoff", "bar.sync", 1,
     "st.shared.u32 [%r4], 0; bar.sync", SIM_FAULT_MBARRIER, PLAIN},
    {"nobody waits", ASYNC, "mb_state", "mbarrier.test_wait", 1, "L: setp.eq.u32 p, 0, 0; // ",
     SIM_FAULT_RACE, PLAIN},
    {"more arrivals than there are", ASYNC, "mb_state", "], 2;", 1, "], 300;", SIM_FAULT_MBARRIER,
     PLAIN},
    {"bytes that never come", ASYNC, "mb_bytes", "48;", 1, "64;", SIM_FAULT_DEADLOCK, PLAIN},
    {"the other block's barrier may not be there", ASYNC, "mb_cluster", "barrier.cluster.wait", 1,
     "// ", SIM_FAULT_MBARRIER, PAIR},
    {"a block that may not have begun", ASYNC, "mb_cluster", "barrier.cluster.wait", 1, "// ",
     SIM_FAULT_RACE, PAIR},
    {"the other block may have ended", ASYNC, "mb_cluster", "L: mbarrier.try_wait", 1,
     "L: exit; // ", SIM_FAULT_MBARRIER, PAIR},
    {"words that nobody expects", ASYNC, "words_across", "3072", 1, "3056", SIM_FAULT_RACE, PAIR},
    {"copies that nobody tells of", ASYNC, "mb_copies", "cp.async.mbarrier.arrive.noinc", 1,
     "mbarrier.arrive.shared::cta.b64 _, [%r5]; // ", SIM_FAULT_RACE, PLAIN},
    {"arrivals by copies that count themselves", ASYNC, "mb_copies", ".noinc", 1, "",
     SIM_FAULT_DEADLOCK, PLAIN},
    {"bytes that nobody expects", ASYNC, "bulk_load", "mbarrier.arrive.expect_tx", 1,
     "mbarrier.arrive.shared::cta.b64 _, [%r26]; // ", SIM_FAULT_RACE, PLAIN},
    {"more bytes expected than come", ASYNC, "bulk_load", "mbarrier.arrive.expect_tx", 1,
     "mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%r26], 16; mbarrier.arrive.expect_tx",
     SIM_FAULT_DEADLOCK, PLAIN},
    {"no wait for the copy", ASYNC, "bulk_load", "L: mbarrier.try_wait", 1,
     "L: setp.eq.u32 p, 0, 0; // ", SIM_FAULT_RACE, PLAIN},
    {"a wait for the phase before", ASYNC, "bulk_load", "L: mbarrier.try_wait", 1,
     "xor.b32 %r34, %r34, 1; L: mbarrier.try_wait", SIM_FAULT_RACE, PLAIN},
    {"a buffer refilled before all have read it", ASYNC, "bulk_load", "bar.sync", 2, "// ",
     SIM_FAULT_RACE, PLAIN},
    {"an odd number of bytes", ASYNC, "bulk_load", "cp.async.bulk", 1,
     "add.u32 %r25, %r25, 4; cp.async.bulk", SIM_FAULT_ALIGNMENT, PLAIN},
    {"a copy past shared memory", ASYNC, "bulk_load", "cp.async.bulk", 1,
     "add.u32 %r24, %r24, 4096; cp.async.bulk", SIM_FAULT_BOUNDS, PLAIN},
    {"a copy past a buffer", ASYNC, "bulk_load", "cp.async.bulk", 1,
     "add.u64 %rd9, %rd9, 131072; cp.async.bulk", SIM_FAULT_BOUNDS, PLAIN},
    {"no fence before the copy reads", ASYNC, "bulk_store", "fence.proxy", 1, "// ",
     SIM_FAULT_PROXY, PLAIN},
    {"a fence of another proxy", ASYNC, "bulk_store", "fence.proxy.async.shared::cta", 1,
     "fence.proxy.async.global", SIM_FAULT_PROXY, PLAIN},
    {"a fence by one thread alone, too early", ASYNC, "bulk_store", "bar.sync", 1, "// ",
     SIM_FAULT_RACE, PLAIN},
    {"an end without a wait", ASYNC, "bulk_store", "cp.async.bulk.wait_group", 1, "// ",
     SIM_FAULT_ASYNC, PLAIN},
    {"a wait without a commit", ASYNC, "bulk_store", "cp.async.bulk.commit_group", 1, "// ",
     SIM_FAULT_ASYNC, PLAIN},
    {"shared memory that was not all written", ASYNC, "bulk_store", "st.shared.u32", 1,
     "setp.ne.u32 %p1, %r3, 9; @%p1 st.shared.u32", SIM_FAULT_UNINITIALISED, PLAIN},
    {"a block that is not there", ASYNC, "bulk_many", "cp.async.bulk", 1,
     "mov.u16 %rs1, 7; cp.async.bulk", SIM_FAULT_BOUNDS, PAIR},
    {"a block that is left out", ASYNC, "bulk_many", "cp.async.bulk", 1,
     "mov.u16 %rs1, 1; cp.async.bulk", SIM_FAULT_DEADLOCK, PAIR},
    {"a map of other dimensions", ASYNC, "tma_3d", "cp.async.bulk", 1, "cp.async.bulk",
     SIM_FAULT_TRAP, BOX},
    {"a box on no multiple of 128", ASYNC, "tma_through", "cp.async.bulk", 1,
     "add.u32 %r23, %r23, 64; cp.async.bulk", SIM_FAULT_ALIGNMENT, BOX},
    {"boxes changed by threads, no fence", ASYNC, "tma_through", "fence.proxy", 1, "// ",
     SIM_FAULT_PROXY, BOX},
    {"an end without a wait for the box", ASYNC, "tma_through", "cp.async.bulk.wait_group.read", 1,
     "// ", SIM_FAULT_ASYNC, BOX},
    {"no fence before wgmma reads", WGMMA, "half_kk", "fence.proxy", 1, "// ", SIM_FAULT_PROXY,
     IMAGE},
    {"no barrier before wgmma reads", WGMMA, "half_kk", "bar.sync", 1, "// ", SIM_FAULT_RACE,
     IMAGE},
    {"no fence of registers", WGMMA, "half_kk", "wgmma.fence", 1, "// ", SIM_FAULT_ASYNC, IMAGE},
    {"a group that is not committed", WGMMA, "half_kk", "wgmma.commit_group", 1, "// ",
     SIM_FAULT_ASYNC, IMAGE},
    {"no wait for the product", WGMMA, "half_kk", "wgmma.wait_group", 1, "// ", SIM_FAULT_ASYNC,
     IMAGE},
    {"registers of A written while they are read", WGMMA, "half_rk", "wgmma.commit_group", 1,
     "add.u32 %r43, %r43, 1; wgmma.commit_group", SIM_FAULT_ASYNC, IMAGE},
    {"registers computed behind the fence", WGMMA, "two_groups", "wgmma.mma_async", 1,
     "add.u32 %r51, %r51, 1; wgmma.mma_async", SIM_FAULT_ASYNC, IMAGE},
    {"a wait that leaves too many groups", WGMMA, "two_groups", "wgmma.wait_group.sync.aligned 1",
     1, "wgmma.wait_group.sync.aligned 2", SIM_FAULT_ASYNC, IMAGE},
    {"a matrix outside of shared memory", WGMMA, "half_kk", "wgmma.mma_async", 1,
     "add.u64 %rd15, %rd15, 2048; wgmma.mma_async", SIM_FAULT_BOUNDS, IMAGE},
    {"a warp that does not come", WGMMA, "half_kk", "wgmma.mma_async", 1,
     "mov.u32 %r43, %tid.x; setp.lt.u32 p, %r43, 32; @p exit; wgmma.mma_async", SIM_FAULT_DEADLOCK,
     IMAGE},
    {"a stage that is never released", WGMMA, "product", "mbarrier.arrive.shared::cta", 1, "// ",
     SIM_FAULT_DEADLOCK, PRODUCT},
    {"a stage released under a product", WGMMA, "product", "wgmma.wait_group.sync.aligned 0", 1,
     "wgmma.wait_group.sync.aligned 1", SIM_FAULT_RACE, PRODUCT},
    {"a product before its stage is full", WGMMA, "product", "L: mbarrier.try_wait", 1,
     "L: setp.eq.u32 p, 0, 0; // ", SIM_FAULT_RACE, PRODUCT},
    {"half of a stage expected", WGMMA, "product", "24576", 1, "16384", SIM_FAULT_RACE, PRODUCT}};

static void prepare(simtest *h, const fault_case *c) {
    sim_tensor_map m = {.rank = 2,
                        .type = SIM_TENSOR_U32,
                        .address = h->b,
                        .extent = {60, 20},
                        .stride = {0, 256},
                        .box = {32, 16}};
    if (c->how == PRODUCT) {
        m = (sim_tensor_map){.rank = 2,
                             .type = SIM_TENSOR_F16,
                             .swizzle = 128,
                             .address = h->a,
                             .extent = {320, 128},
                             .stride = {0, 640},
                             .box = {64, 128}};
    }
    if (c->how == BOX || c->how == PRODUCT) {
        h->m = h->r = m;
        h->r.address = c->how == BOX ? h->out : h->b;
        h->r.box[1] = c->how == BOX ? 16 : 64;
    }
    if (c->how == IMAGE) { /* swizzled by 128 bytes, rows of 16 halves in them */
        uint64_t d = 1ull << 62 | 64ull << 32;
        memcpy(&h->host_b[0], &d, 8);
        d += 8192 >> 4;
        memcpy(&h->host_b[2], &d, 8);
    }
    h->options.cluster[0] = c->how == PAIR ? 2 : 1;
    h->options.dynamic_shared = c->how == IMAGE ? 10240 : c->how == PRODUCT ? 49152 : 0;
    h->options.most_issues = 1 << 20;
}

static bool run_case(const char *text, const fault_case *c, bool want) {
    simtest *h = simtest_open_large(text, 3);
    prepare(h, c);
    bool wide = c->how == PRODUCT, image = c->how == IMAGE;
    uint32_t blocks = c->how == PAIR ? 2 : 1, threads = wide ? 384 : image ? 128 : 256;
    int n = wide ? 320 : image ? 10240 : c->how == BOX ? 2048 : 1024;
    if (c->how == BOX) {
        memset(h->host_a, 0, 8 * sizeof *h->host_a);
    }
    sim_status st = simtest_run(h, c->kernel, blocks, threads, n);
    bool good = (st == SIM_E_FAULT) == want && (!want || simtest_found(&h->report, c->fault));
    if (!good) {
        simtest_print(&h->report);
        print_error("%s, %s: %s expected\n", c->kernel, c->what,
                    want ? sim_fault_name(c->fault) : "nothing");
    }
    simtest_close(h);
    return good;
}

static void seeded(void **state) {
    bool all = true;
    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        const fault_case *c = &list[i];
        char *text = simtest_file(c->file), entry[64];
        (void)snprintf(entry, sizeof entry, ".entry %s(", c->kernel);
        char *bad = simtest_edited(text, entry, c->from, c->nth, c->to);
        bool always = strcmp(c->from, c->to) == 0; /* the launch is what is wrong */
        all = run_case(text, c, always) && all;
        all = run_case(bad, c, true) && all;
        free(bad);
        free(text);
    }
    assert_true(all);
}

/* A deadlock names the barrier, its phase and what it waits for. */
static void told(void **state) {
    char *text = simtest_file(ASYNC);
    char *bad = simtest_edited(text, ".entry mb_bytes(", "48;", 1, "64;");
    simtest *h = simtest_open_large(bad, 1);
    (void)state;
    assert_int_equal(simtest_run(h, "mb_bytes", 1, 256, 0), SIM_E_FAULT);
    assert_non_null(strstr(h->report.findings[0].text, "in phase 0 and wants 0 arrivals and 16"));
    simtest_close(h);
    free(bad);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(seeded), cmocka_unit_test(told)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
