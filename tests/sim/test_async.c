/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Barriers in memory, bulk copies and tensor maps: the kernels of cuda/async.cu, told a second time
 * in C, under several orders of warps; then each with one thing wrong.
 */
#include "simtest.h"

#define T (i % 256)

/* ---- barriers and plain copies -----------------------------------------------------------------
 */

typedef uint32_t (*told)(const simtest *h, int i);

static uint32_t mb_handoff(const simtest *h, int i) {
    int block = i / 512, k = i / 128 % 4, t = block * 256 + 127 - i % 128;
    return h->host_a[t] + (uint32_t)k * h->host_b[t];
}
static uint32_t mb_state(const simtest *h, int i) {
    uint32_t v[256], next[256];
    for (int t = 0; t < 256; t++) {
        v[t] = h->host_a[i - T + t];
    }
    for (int k = 0; k < 3; k++) {
        for (int t = 0; t < 256; t++) {
            next[t] = v[t] * 3 + v[(t + 37) % 256];
        }
        memcpy(v, next, sizeof v);
    }
    return v[T];
}
static uint32_t mb_bytes(const simtest *h, int i) { return h->host_a[i / 256] + h->host_b[i]; }
static uint32_t mb_drop(const simtest *h, int i) {
    uint32_t v = 0;
    for (int k = 0; k < 7; k++) {
        v = v * 3 + h->host_a[k];
    }
    return T % 32 != 0 ? 2 : T / 32 == 7 ? v : 1;
}
static uint32_t mb_cluster(const simtest *h, int i) {
    return h->host_a[(i / 256 ^ 1) * 256 + 255 - T] + h->host_b[i];
}
static uint32_t mb_copies(const simtest *h, int i) { return h->host_a[i ^ 33] * 5; }
static uint32_t bulk_load(const simtest *h, int i) {
    uint32_t v = 0;
    for (int k = 0; k < 4; k++) {
        v = v * 3 + h->host_a[k * 256 + (T ^ 5)];
    }
    return v;
}
static uint32_t bulk_store(const simtest *h, int i) {
    int j = i - T + 255 - T;
    return h->host_a[j] ^ h->host_b[j];
}
static uint32_t bulk_reduce(const simtest *h, int i) {
    uint32_t a = h->host_a[i], b = h->host_b[i];
    return T < 128 ? a + b : a > b ? a : b;
}
static uint32_t bulk_across(const simtest *h, int i) { return h->host_a[i ^ 256]; }
static uint32_t bulk_many(const simtest *h, int i) { return h->host_a[T] + h->host_b[i]; }

static uint32_t words_across(const simtest *h, int i) {
    int other = (i / 256 ^ 1) * 256;
    uint32_t sum = 5;
    for (int t = 0; t < 256; t++) {
        sum += h->host_a[other + t] & 255;
    }
    return h->host_a[other + 255 - T] + 3 * h->host_b[other + 255 - T] + sum;
}

static const struct {
    const char *name;
    told value;
    bool cluster;
} kernels[] = {{"mb_handoff", mb_handoff, false},   {"mb_state", mb_state, false},
               {"mb_bytes", mb_bytes, false},       {"mb_drop", mb_drop, false},
               {"mb_cluster", mb_cluster, true},    {"mb_copies", mb_copies, false},
               {"bulk_load", bulk_load, false},     {"bulk_store", bulk_store, false},
               {"bulk_reduce", bulk_reduce, false}, {"bulk_across", bulk_across, true},
               {"bulk_many", bulk_many, true},      {"words_across", words_across, true}};

static void run_ok(simtest *h, const char *name, uint32_t blocks, int n) {
    if (simtest_run(h, name, blocks, 256, n) != SIM_OK) {
        simtest_print(&h->report);
        fail_msg("%s: %s", name, h->report.message);
    }
}

static void barriers(void **state) {
    char *text = simtest_file("cuda/async.ptx");
    (void)state;
    for (size_t k = 0; k < sizeof kernels / sizeof *kernels; k++) {
        for (uint64_t seed = 1; seed <= 3; seed++) {
            simtest *h = simtest_open_large(text, seed);
            h->options.seed = seed;
            h->options.cluster[0] = kernels[k].cluster ? 2 : 1;
            run_ok(h, kernels[k].name, 2, 1024);
            for (int i = 0; i < 512; i++) {
                if (h->host_out[i] != kernels[k].value(h, i)) {
                    fail_msg("%s, seed %d: out[%d] is %08x, not %08x", kernels[k].name, (int)seed,
                             i, h->host_out[i], kernels[k].value(h, i));
                }
            }
            simtest_close(h);
        }
    }
    free(text);
}

/* ---- tensors: what a box holds, element by element ----------------------------------------------
 */

typedef struct box_case {
    const char *kernel;
    sim_tensor_type type;
    uint32_t rank, swizzle;
    uint64_t extent[5], stride[5];
    uint32_t box[5], step[5];
    int32_t at[5];
    bool nan;
} box_case;

static const box_case boxes[] = {
    {"tma_1d", SIM_TENSOR_U32, 1, 0, {1000}, {0}, {64}, {1}, {32}, false},
    {"tma_1d", SIM_TENSOR_U8, 1, 0, {100}, {0}, {128}, {1}, {-5}, false},
    {"tma_1d", SIM_TENSOR_F32, 1, 0, {500}, {0}, {256}, {2}, {401}, true},
    {"tma_2d", SIM_TENSOR_F16, 2, 128, {200, 50}, {0, 512}, {64, 32}, {1, 1}, {64, 8}, false},
    {"tma_2d", SIM_TENSOR_F16, 2, 64, {200, 50}, {0, 512}, {32, 40}, {1, 1}, {180, 30}, false},
    {"tma_2d", SIM_TENSOR_BF16, 2, 32, {200, 50}, {0, 512}, {16, 16}, {1, 1}, {-3, -4}, true},
    {"tma_2d", SIM_TENSOR_F32, 2, 128, {77, 33}, {0, 320}, {32, 16}, {1, 1}, {70, 25}, false},
    {"tma_2d", SIM_TENSOR_U8, 2, 0, {99, 20}, {0, 112}, {48, 16}, {1, 3}, {60, 2}, false},
    {"tma_2d", SIM_TENSOR_F64, 2, 0, {20, 20}, {0, 160}, {8, 8}, {1, 2}, {15, 9}, true},
    {"tma_3d",
     SIM_TENSOR_F16,
     3,
     128,
     {64, 9, 7},
     {0, 128, 1280},
     {64, 4, 3},
     {1},
     {0, 7, 5},
     false},
    {"tma_4d",
     SIM_TENSOR_U16,
     4,
     32,
     {20, 5, 4, 3},
     {0, 48, 256, 1024},
     {16, 3, 2, 2},
     {1, 1, 2, 1},
     {2, 3, 2, 1},
     false},
    {"tma_5d",
     SIM_TENSOR_F32,
     5,
     0,
     {10, 3, 3, 3, 3},
     {0, 48, 160, 512, 2048},
     {8, 2, 2, 2, 2},
     {1},
     {4, 1, -1, 2, 0},
     false}};

static const uint32_t element_sizes[] = {1, 2, 4, 4, 8, 8, 2, 4, 4, 8, 2, 4, 4};

static sim_tensor_map map_of(const box_case *c, uint64_t address) {
    sim_tensor_map m = {.address = address,
                        .rank = c->rank,
                        .type = c->type,
                        .swizzle = c->swizzle,
                        .fill_nan = c->nan};
    memcpy(m.extent, c->extent, sizeof m.extent);
    memcpy(m.stride, c->stride, sizeof m.stride);
    memcpy(m.box, c->box, sizeof m.box);
    memcpy(m.step, c->step, sizeof m.step);
    return m;
}

/* Bytes of the box as the manual's figures have it: rows one after the other, of each row the
 * chunks of 16 bytes exchanged. Returns its size. */
static uint32_t expected_box(const box_case *c, const uint8_t *tensor, uint8_t *out) {
    static const uint64_t nans[] = {
        0, 0, 0, 0, 0, 0, 0x7fff, 0x7fffffff, 0x7fffffff, UINT64_MAX >> 1, 0x7fff};
    uint32_t size = element_sizes[c->type], n[5], at = 0;
    for (int d = 0; d < 5; d++) {
        uint32_t step = c->step[d] ? c->step[d] : 1;
        n[d] = d < (int)c->rank ? (c->box[d] + step - 1) / step : 1;
    }
    for (uint32_t i = 0; i < n[0] * n[1] * n[2] * n[3] * n[4]; i++, at += size) {
        uint32_t rest = i;
        uint64_t from = 0, v = c->nan ? nans[c->type] : 0;
        bool inside = true;
        for (int d = 0; d < (int)c->rank; d++) {
            int64_t x = c->at[d] + (int64_t)(rest % n[d]) * (c->step[d] ? c->step[d] : 1);
            inside = inside && x >= 0 && x < (int64_t)c->extent[d];
            from += (uint64_t)x * (d == 0 ? size : c->stride[d]);
            rest /= n[d];
        }
        /* 16-byte chunk j of 128-byte line l becomes chunk j ^ l, as far as the swizzle's bits go
         */
        uint32_t line = at / 128, chunk = at / 16 % 8, mask = c->swizzle ? c->swizzle / 16 - 1 : 0;
        uint32_t to = line * 128 + (chunk ^ (line & mask)) * 16 + at % 16;
        memcpy(out + to, inside ? tensor + from : (const uint8_t *)&v, size);
    }
    return at;
}

static void run_box(const char *text, const box_case *c) {
    static uint8_t want[4 * SIMTEST_LARGE];
    simtest *h = simtest_open_large(text, 5);
    h->m = map_of(c, h->b);
    for (int d = 0; d < 5; d++) {
        h->host_a[d] = (uint32_t)c->at[d];
    }
    memset(want, 0, sizeof want);
    uint32_t bytes = expected_box(c, (const uint8_t *)h->host_b, want);
    run_ok(h, c->kernel, 1, (int)bytes);
    if (memcmp(h->host_out, want, bytes) != 0) {
        fail_msg("%s, type %d, swizzle %u", c->kernel, (int)c->type, c->swizzle);
    }
    simtest_close(h);
}

static void tensors(void **state) {
    char *text = simtest_file("cuda/async.ptx");
    (void)state;
    for (size_t i = 0; i < sizeof boxes / sizeof *boxes; i++) {
        run_box(text, &boxes[i]);
    }
    free(text);
}

/* In by one map, one more each, out by another, and added once more. */
static void through(void **state) {
    static const box_case in = {"tma_through", SIM_TENSOR_U32, 2,      128,      {60, 20},
                                {0, 256},      {32, 16},       {1, 1}, {40, 10}, false};
    char *text = simtest_file("cuda/async.ptx");
    simtest *h = simtest_open_large(text, 6);
    (void)state;
    h->m = map_of(&in, h->b);
    h->r = map_of(&in, h->out);
    h->host_a[0] = 40;
    h->host_a[1] = 10;
    run_ok(h, "tma_through", 1, 32 * 16 * 4);
    for (int y = 0; y < 30; y++) {
        for (int x = 0; x < 64; x++) {
            bool inside = x >= 40 && x < 60 && y >= 10 && y < 20;
            uint32_t want = inside ? 2 * (h->host_b[y * 64 + x] + 1) : 7;
            assert_int_equal(h->host_out[y * 64 + x], want);
        }
    }
    simtest_close(h);
    free(text);
}

static void made(void **state) {
    static const box_case in = {"tma_made", SIM_TENSOR_U32, 2,      0,       {60, 20},
                                {0, 256},   {32, 16},       {1, 1}, {16, 3}, false};
    char *text = simtest_file("cuda/async.ptx");
    simtest *h = simtest_open_large(text, 8);
    (void)state;
    h->m = map_of(&in, h->a);
    h->host_a[0] = 16;
    h->host_a[1] = 3;
    run_ok(h, "tma_made", 1, 32 * 4 * 4);
    for (int i = 0; i < 128; i++) {
        assert_int_equal(h->host_out[i], h->host_b[(3 + i / 32) * 64 + 16 + i % 32]);
    }
    simtest_close(h);
    free(text);
}

static void no_maps(void **state) {
    static const sim_tensor_map good = {.address = 4096,
                                        .rank = 2,
                                        .extent = {8, 8},
                                        .stride = {0, 32},
                                        .box = {4, 4},
                                        .type = SIM_TENSOR_F32};
    uint8_t out[SIM_TENSOR_MAP_BYTES];
    char message[256];
    (void)state;
    assert_true(sim_tensor_map_encode(&good, out, message));
    sim_tensor_map bad[7];
    for (int i = 0; i < 7; i++) {
        bad[i] = good;
    }
    bad[0].address++;
    bad[1].rank = 6;
    bad[2].stride[1] = 40;
    bad[3].box[0] = 3;
    bad[4].box[1] = 257;
    bad[5].swizzle = 48;
    bad[6].swizzle = 32;
    bad[6].box[0] = 16;
    for (int i = 0; i < 7; i++) {
        assert_false(sim_tensor_map_encode(&bad[i], out, message));
        assert_true(message[0] != '\0');
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(barriers), cmocka_unit_test(tensors),
                                       cmocka_unit_test(through), cmocka_unit_test(made),
                                       cmocka_unit_test(no_maps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
