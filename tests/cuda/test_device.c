/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver `cuda` on the made-up library: rows by compute capability, plans, traps, scratch,
 * dynamic shared memory, clusters, time, code it refuses, copies and fills of every size, two
 * queues at once, tensor maps.
 */
#include "tests/cuda/support.h"
#include "tests/runtime/support.h"

#include <pthread.h>

#include "drivers/cuda/cu.h"
#include <tegula/sim_ptx.h>

static tgr_kernel *find(tgr_module *m, const char *name) {
    tgr_kernel *k = NULL;
    assert_int_equal(tgr_module_find(m, name, NULL, 0, &k), TGR_OK);
    return k;
}

static tgr_buffer *put(cuda_world *w, const int32_t *x, int64_t n) {
    tgr_buffer *b = NULL;
    cuda_expect(w, tgr_buffer_create(w->device, (size_t)n * 4, TGR_BUFFER_ZERO, &b), TGR_OK);
    if (x) {
        cuda_expect(w, tgr_buffer_write(w->queue, b, 0, x, (size_t)n * 4), TGR_OK);
    }
    return b;
}

static void test_rows(void **state) {
    static const struct {
        const char *sm, *isa;
    } rows[] = {{"80", "sm_80"},    {"86", "sm_86"},  {"89", "sm_89"},   {"90", "sm_90a"},
                {"100", "sm_100a"}, {"103", "sm_90"}, {"120", "sm_120a"}};
    (void)state;
    (void)cuda_fake_open();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cuda_world w;
        tgr_device_info info;
        char name[32];
        (void)setenv("FAKE_CUDA_SM", rows[i].sm, 1);
        (void)snprintf(name, sizeof name, "Fake sm_%s", rows[i].sm);
        cuda_begin(&w);
        cuda_expect(&w, tgr_device_open(w.context, "cuda:fake", NULL, &w.device), TGR_OK);
        tgr_device_get_info(w.device, &info);
        assert_string_equal(info.isa, rows[i].isa);
        assert_string_equal(info.name, name);
        assert_string_equal(info.version, "driver for CUDA 13.0");
        assert_int_equal(info.subgroup, 32);
        assert_int_equal(info.shared_bytes, 232448);
        cuda_end(&w);
    }
    (void)unsetenv("FAKE_CUDA_SM");
}

static void test_plan(void **state) {
    cuda_world w;
    tgr_module *m = NULL;
    int32_t x[256] = {3}, y[256];
    int64_t n = 256;
    (void)state;
    cuda_begin(&w);
    cuda_open(&w);
    cuda_expect(&w, cuda_load(&w, "sm_80", NULL, 0, &m), TGR_OK);
    memset(y, 0xff, sizeof y);
    tgr_buffer *b = put(&w, y, 256), *c = put(&w, x, 256);
    tgr_arg args[] = {tgr_arg_buffer(b, 0, TG_DT_I32, 1, &n),
                      tgr_arg_buffer(c, 0, TG_DT_I32, 1, &n)};
    cuda_expect(&w, tgr_launch(w.queue, find(m, "k"), args, 2, NULL), TGR_OK);
    cuda_expect(&w, tgr_buffer_read(w.queue, b, 0, y, sizeof y), TGR_OK);
    for (int i = 0; i < 256; i++) {
        assert_int_equal(y[i], i < 192 ? i / 64 : -1);
    }
    assert_int_equal(w.device_ns, 1001000); /* the made-up clock: a launch and an event */
    tgr_buffer_release(b);
    tgr_buffer_release(c);
    tgr_module_release(m);
    cuda_end(&w);
}

static void test_trap(void **state) {
    cuda_world w;
    tgr_module *m = NULL;
    int32_t x[2] = {78};
    int64_t n = 78 * 64;
    (void)state;
    cuda_begin(&w);
    cuda_open(&w);
    cuda_expect(&w, cuda_load(&w, "sm_80", NULL, 0, &m), TGR_OK);
    tgr_buffer *b = put(&w, NULL, n), *c = put(&w, NULL, n);
    cuda_expect(&w, tgr_buffer_write(w.queue, c, 0, x, sizeof x), TGR_OK);
    tgr_arg args[] = {tgr_arg_buffer(b, 0, TG_DT_I32, 1, &n),
                      tgr_arg_buffer(c, 0, TG_DT_I32, 1, &n)};
    cuda_expect(&w, tgr_launch(w.queue, find(m, "k"), args, 2, NULL), TGR_E_TRAP);
    cuda_expect_message(&w, "kernel `k`, line 7: an assertion failed (program 77)");
    x[0] = 77;
    cuda_expect(&w, tgr_buffer_write(w.queue, c, 0, x, sizeof x), TGR_OK);
    cuda_expect(&w, tgr_launch(w.queue, find(m, "k"), args, 2, NULL), TGR_OK);
    tgr_buffer_release(b);
    tgr_buffer_release(c);
    tgr_module_release(m);
    cuda_end(&w);
}

/* Three programs are two clusters; their scratch grows with the launch. */
static void test_cluster(void **state) {
    cuda_world w;
    tgr_module *m = NULL;
    static int32_t y[4096];
    (void)state;
    cuda_begin(&w);
    cuda_open(&w);
    cuda_expect(&w, cuda_load(&w, "sm_80", NULL, 0, &m), TGR_OK);
    for (int64_t n = 90; n <= 4096; n += 1333) {
        tgr_buffer *b = put(&w, NULL, n);
        tgr_arg arg = tgr_arg_buffer(b, 0, TG_DT_I32, 1, &n);
        cuda_expect(&w, tgr_launch(w.queue, find(m, "big"), &arg, 1, NULL), TGR_OK);
        cuda_expect(&w, tgr_buffer_read(w.queue, b, 0, y, (size_t)n * 4), TGR_OK);
        for (int i = 0; i < n; i++) {
            assert_int_equal(y[i], i);
        }
        tgr_buffer_release(b);
    }
    tgr_module_release(m);
    cuda_end(&w);
}

/* How many calls of the function since the reset. */
static int calls_of(const cuda_fake *fake, const char *function) {
    int n = 0;
    for (int i = 0; i < fake->calls(); i++) {
        n += strcmp(fake->call(i), function) == 0;
    }
    return n;
}

/*
 * `k` has a plan and stays a launch; `big` twice before it and once behind are two of the library's
 * graphs. Replayed on other bytes each time, from a queue of its own thread, and after the module's
 * release.
 */
static void test_graph(void **state) {
    cuda_fake fake = cuda_fake_open();
    cuda_world w;
    tgr_module *m = NULL;
    tgr_graph *g = NULL;
    tgr_queue *async = NULL;
    static int32_t y[3][4096], x[256] = {2}, none[4096];
    int64_t n[3] = {90, 4096, 1500}, k_n = 256;
    tgr_buffer *b[3], *out, *in;
    (void)state;
    cuda_begin_unwatched(&w);
    cuda_open(&w);
    cuda_expect(&w, cuda_load(&w, "sm_80", NULL, 0, &m), TGR_OK);
    out = put(&w, NULL, k_n);
    in = put(&w, x, k_n);
    tgr_arg args[] = {tgr_arg_buffer(out, 0, TG_DT_I32, 1, &k_n),
                      tgr_arg_buffer(in, 0, TG_DT_I32, 1, &k_n)};
    cuda_expect(&w, tgr_capture_begin(w.queue), TGR_OK);
    for (int i = 0; i < 3; i++) {
        b[i] = put(&w, NULL, n[i]);
        tgr_arg arg = tgr_arg_buffer(b[i], 0, TG_DT_I32, 1, &n[i]);
        if (i == 2) {
            cuda_expect(&w, tgr_launch(w.queue, find(m, "k"), args, 2, NULL), TGR_OK);
        }
        cuda_expect(&w, tgr_launch(w.queue, find(m, "big"), &arg, 1, NULL), TGR_OK);
    }
    cuda_expect(&w, tgr_capture_end(w.queue, &g), TGR_OK);
    assert_int_equal(tgr_graph_size(g), 4);
    tgr_module_release(m);
    cuda_expect(&w, tgr_queue_create(w.device, TGR_QUEUE_ASYNC, &async), TGR_OK);
    for (int turn = 0; turn < 3; turn++) {
        tgr_queue *q = turn == 1 ? async : w.queue;
        for (int i = 0; i < 3; i++) {
            cuda_expect(&w, tgr_buffer_write(w.queue, b[i], 0, none, (size_t)n[i] * 4), TGR_OK);
        }
        fake.reset();
        cuda_expect(&w, tgr_graph_launch(q, g), TGR_OK);
        cuda_expect(&w, tgr_queue_wait(q), TGR_OK);
        assert_int_equal(calls_of(&fake, "cuGraphLaunch"), 2);
        assert_int_equal(calls_of(&fake, "cuLaunchKernelEx"), 2); /* the plan of k, and k */
        for (int i = 0; i < 3; i++) {
            cuda_expect(&w, tgr_buffer_read(w.queue, b[i], 0, y[i], (size_t)n[i] * 4), TGR_OK);
            for (int j = 0; j < n[i]; j++) {
                assert_int_equal(y[i][j], j);
            }
        }
    }
    cuda_expect(&w, tgr_graph_launch(async, g), TGR_OK);
    tgr_graph_release(g); /* what is queued keeps it */
    cuda_expect(&w, tgr_queue_wait(async), TGR_OK);
    tgr_queue_release(async);
    tgr_buffer_release(out);
    tgr_buffer_release(in);
    for (int i = 0; i < 3; i++) {
        tgr_buffer_release(b[i]);
    }
    cuda_end(&w);
}

static void test_code(void **state) {
    static const char bad[] = ".version 7.8\n.target sm_80\n.address_size 64\nnonsense\n";
    static const unsigned char cubin[64] = {0x7f, 'E', 'L', 'F'};
    cuda_world w;
    tgr_module *m = NULL;
    (void)state;
    cuda_begin(&w);
    cuda_open(&w);
    cuda_expect(&w, cuda_load(&w, "sm_80", bad, sizeof bad - 1, &m), TGR_E_UNSUPPORTED);
    cuda_expect_message(&w, "loading code: ptxas fatal"); /* what the compiler says */
    cuda_expect_message(&w, "CUDA_ERROR_INVALID_PTX");
    cuda_expect(&w, cuda_load(&w, "sm_80", cubin, sizeof cubin, &m), TGR_OK);
    tgr_module_release(m);
    (void)setenv("FAKE_CUDA", "cuModuleLoadDataEx=209", 1);
    cuda_expect(&w, cuda_load(&w, "sm_80", cubin, sizeof cubin, &m), TGR_E_UNSUPPORTED);
    cuda_expect_message(&w, "CUDA_ERROR_NO_BINARY_FOR_GPU");
    (void)unsetenv("FAKE_CUDA");
    cuda_end(&w);
}

static void test_copies(void **state) {
    static const size_t sizes[] = {
        1, 4097, CU_STAGE_BYTES, CU_STAGE_BYTES + 1, 2 * CU_STAGE_BYTES, 3 * CU_STAGE_BYTES + 5};
    cuda_world w;
    tgr_buffer *b = NULL;
    const size_t most = 3 * CU_STAGE_BYTES + 5;
    uint8_t *in = malloc(most), *out = malloc(most);
    (void)state;
    for (size_t i = 0; i < most; i++) {
        in[i] = (uint8_t)(i * 7 + (i >> 12));
    }
    cuda_begin(&w);
    cuda_open(&w);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        memset(out, 0, most);
        cuda_expect(&w, tgr_buffer_create(w.device, sizes[i], 0, &b), TGR_OK);
        cuda_expect(&w, tgr_buffer_write(w.queue, b, 0, in, sizes[i]), TGR_OK);
        cuda_expect(&w, tgr_buffer_read(w.queue, b, 0, out, sizes[i]), TGR_OK);
        assert_memory_equal(in, out, sizes[i]);
        tgr_buffer_release(b);
    }
    cuda_expect(&w, tgr_buffer_create(w.device, 0, 0, &b), TGR_OK);
    tgr_buffer_release(b);
    cuda_expect(&w, tgr_buffer_create(w.device, SIZE_MAX - 8, 0, &b), TGR_E_NOMEM);
    cuda_expect_message(&w, "allocating 18446744073709551607 bytes: out of memory");
    free(in);
    free(out);
    cuda_end(&w);
}

/* Straight at the driver's table: patterns of every width, more than one stage long. */
static void test_fills(void **state) {
    const uint64_t pattern = 0x1122334455667788u;
    const size_t bytes = 2 * CU_STAGE_BYTES + 24;
    uint8_t *out = malloc(bytes);
    tgr_memory m;
    cuda_world w;
    (void)state;
    cuda_begin(&w);
    cuda_open(&w);
    void *s = w.device->state;
    cuda_expect(&w, tgr_driver_cuda.memory_alloc(w.context, s, bytes, 0, &m), TGR_OK);
    for (size_t unit = 1; unit <= 8; unit *= 2) {
        cuda_expect(&w, tgr_driver_cuda.fill(w.context, s, m.pointer, bytes, pattern, unit),
                    TGR_OK);
        cuda_expect(&w,
                    tgr_driver_cuda.copy(w.context, s, TGR_COPY_FROM_DEVICE, out, m.pointer, bytes),
                    TGR_OK);
        for (size_t i = 0; i < bytes; i += unit) {
            assert_memory_equal(out + i, &pattern, unit);
        }
    }
    assert_true(tgr_driver_cuda.holds(s, m.pointer, bytes));
    assert_false(tgr_driver_cuda.holds(s, (char *)m.pointer + 1, bytes));
    assert_false(tgr_driver_cuda.holds(s, out, 1));
    cuda_expect(&w, tgr_driver_cuda.copy(w.context, s, TGR_COPY_TO_DEVICE, out, out, 1),
                TGR_E_INVALID);
    tgr_driver_cuda.memory_free(w.context, s, &m);
    free(out);
    cuda_end(&w);
}

typedef struct user {
    cuda_world *w;
    tgr_module *module;
    bool right;
} user;

static void *work(void *arg) {
    user *u = arg;
    tgr_queue *q = NULL;
    tgr_buffer *b = NULL;
    int32_t y[300];
    int64_t n = 300;
    u->right = tgr_queue_create(u->w->device, 0, &q) == TGR_OK &&
               tgr_buffer_create(u->w->device, sizeof y, 0, &b) == TGR_OK;
    for (int turn = 0; turn < 20 && u->right; turn++) {
        tgr_arg arg_y = tgr_arg_buffer(b, 0, TG_DT_I32, 1, &n);
        memset(y, 0, sizeof y);
        u->right = tgr_launch(q, find(u->module, "big"), &arg_y, 1, NULL) == TGR_OK &&
                   tgr_buffer_read(q, b, 0, y, sizeof y) == TGR_OK && y[0] == 0 && y[299] == 299;
    }
    tgr_buffer_release(b);
    tgr_queue_release(q);
    return NULL;
}

static void test_two_queues(void **state) {
    cuda_world w;
    pthread_t threads[3];
    user users[3];
    tgr_module *m = NULL;
    (void)state;
    cuda_begin(&w);
    tgr_context_release(w.context); /* one whose allocator counts from several threads would race */
    assert_int_equal(tgr_context_create(NULL, &w.context), TGR_OK);
    w.host_bytes = 0;
    cuda_open(&w);
    cuda_expect(&w, cuda_load(&w, "sm_80", NULL, 0, &m), TGR_OK);
    for (int i = 0; i < 3; i++) {
        users[i] = (user){.w = &w, .module = m};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &users[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(users[i].right);
    }
    tgr_module_release(m);
    cuda_end(&w);
}

static void test_tensors(void **state) {
    const tgr_tile good = {.address = 0x1000,
                           .dtype = TG_DT_BF16,
                           .rank = 2,
                           .extents = {4096, 100},
                           .strides = {2, 8192},
                           .box = {64, 128},
                           .swizzle = 128};
    tgr_cu_tensor_map map;
    cuda_world w;
    (void)state;
    cuda_begin(&w);
    cuda_open(&w);
    cu_state *s = w.device->state;
    cuda_expect(&w, tgr_cu_tensor_encode(s, &good, &map), TGR_OK);
    const sim_tensor_map same = {.address = 0x1000,
                                 .type = SIM_TENSOR_BF16,
                                 .rank = 2,
                                 .extent = {4096, 100},
                                 .stride = {2, 8192},
                                 .box = {64, 128},
                                 .swizzle = 128};
    uint8_t want[SIM_TENSOR_MAP_BYTES];
    char why[256];
    assert_true(sim_tensor_map_encode(&same, want, why));
    assert_memory_equal(map.opaque, want, sizeof want);
#define BAD(member, value, says)                                                                   \
    {                                                                                              \
        tgr_tile bad = good;                                                                       \
        bad.member = value;                                                                        \
        cuda_expect(&w, tgr_cu_tensor_encode(s, &bad, &map), TGR_E_UNSUPPORTED);                   \
        cuda_expect_message(&w, says);                                                             \
    }
    BAD(address, 0x1008, "address 0x1008 is no multiple of 16")
    BAD(dtype, TG_DT_I4, "elements of type")
    BAD(rank, 6, "a tensor of 6 axes")
    BAD(extents[1], 0, "axis 1 has 0 elements")
    BAD(strides[1], 8200, "axis 1 steps by 8200 bytes")
    BAD(box[0], 128, "rows of 256 bytes with a swizzle of 128")
    BAD(box[1], 257, "a box of 257 elements along axis 1")
    BAD(swizzle, 96, "a swizzle of 96 bytes")
#undef BAD
    (void)setenv("FAKE_CUDA", "cuTensorMapEncodeTiled=801", 1);
    cuda_expect(&w, tgr_cu_tensor_encode(s, &good, &map), TGR_E_UNSUPPORTED);
    cuda_expect_message(&w, "CUDA_ERROR_NOT_SUPPORTED");
    (void)unsetenv("FAKE_CUDA");
    cuda_end(&w);
}

/* y = x + 1 by the copy, or 1000 where the kernel goes its other way. */
static void expect_box(cuda_world *w, tgr_module *m, tgr_buffer *y, tgr_buffer *x, int64_t skip,
                       bool copied) {
    int32_t host[256];
    int64_t n = 200;
    tgr_arg args[] = {tgr_arg_buffer(y, 0, TG_DT_I32, 1, &n),
                      tgr_arg_buffer(x, (size_t)skip * 4, TG_DT_I32, 1, &n)};
    cuda_expect(w, tgr_launch(w->queue, find(m, "box"), args, 2, NULL), TGR_OK);
    cuda_expect(w, tgr_buffer_read(w->queue, y, 0, host, sizeof host), TGR_OK);
    for (int64_t i = 0; i < 256; i++) {
        assert_int_equal(host[i], i >= n ? 0 : copied ? i + skip + 1 : 1000);
    }
}

/* A launch makes its maps; what has none, or a library that makes none, goes the other way. */
static void test_maps(void **state) {
    cuda_world w;
    tgr_module *m = NULL;
    int32_t x[256];
    int64_t none = 0;
    (void)state;
    for (int i = 0; i < 256; i++) {
        x[i] = i;
    }
    cuda_begin(&w);
    cuda_open(&w);
    cuda_expect(&w, cuda_load(&w, "sm_80", NULL, 0, &m), TGR_OK);
    tgr_buffer *b = put(&w, NULL, 256), *c = put(&w, x, 256);
    expect_box(&w, m, b, c, 0, true);
    expect_box(&w, m, b, c, 4, true);
    expect_box(&w, m, b, c, 1, false); /* no multiple of 16 bytes */
    (void)setenv("FAKE_CUDA", "cuTensorMapEncodeTiled=1", 1);
    expect_box(&w, m, b, c, 0, false);
    (void)setenv("FAKE_CUDA", "cuTensorMapEncodeTiled=801", 1);
    expect_box(&w, m, b, c, 0, false);
    (void)unsetenv("FAKE_CUDA");
    expect_box(&w, m, b, c, 0, true);
    tgr_arg args[] = {tgr_arg_buffer(b, 0, TG_DT_I32, 1, &none),
                      tgr_arg_buffer(c, 0, TG_DT_I32, 1, &none)};
    cuda_expect(&w, tgr_launch(w.queue, find(m, "box"), args, 2, NULL), TGR_OK);
    tgr_buffer_release(b);
    tgr_buffer_release(c);
    tgr_module_release(m);
    cuda_end(&w);
}

/* Records whose maps cannot be: each with one byte of the map in the package changed. */
static void test_bad_maps(void **state) {
    /* what precedes the byte, its place behind that, and what to put there */
    static const uint8_t head[] = {TG_DT_I32, 1, 0, 0, 3, 0, 0, 0, TG_DIM_SYM, 3, 0};
    static const struct {
        int at;
        uint8_t with;
    } bad[] = {{0, TG_DT_COUNT}, {1, 0},  {1, 6},  {2, 129}, {4, 0},
               {8, 99},          {10, 2}, {18, 0}, {19, 2}};
    cuda_world w;
    (void)state;
    cuda_begin(&w);
    cuda_open(&w);
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        size_t n, at = 0;
        unsigned char *bytes = cuda_package("sm_80", NULL, 0, &n);
        while (at + 64 < n && memcmp(bytes + at, head, sizeof head) != 0) {
            at++;
        }
        assert_true(at + 64 < n);
        bytes[at + (size_t)bad[k].at] = bad[k].with;
        rt_resign(bytes, n);
        tgr_module *m = NULL;
        tgr_load_options o = TGR_INIT(tgr_load_options);
        o.flags = TGR_LOAD_TRUSTED;
        cuda_expect(&w, tgr_module_load(w.device, bytes, n, &o, &m), TGR_E_FORMAT);
        cuda_expect_message(&w, "an entry that cannot be read");
        free(bytes);
    }
    cuda_end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),       cmocka_unit_test(test_plan),
        cmocka_unit_test(test_trap),       cmocka_unit_test(test_cluster),
        cmocka_unit_test(test_graph),      cmocka_unit_test(test_code),
        cmocka_unit_test(test_copies),     cmocka_unit_test(test_fills),
        cmocka_unit_test(test_two_queues), cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_maps),       cmocka_unit_test(test_bad_maps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
