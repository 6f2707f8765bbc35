/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver `hip` on the made-up libraries of HIP 5 and HIP 6: what it finds, what it runs, and
 * what it says when the library, its devices or any single call fails. argv[1] is a package of
 * axpy.tg for gfx942.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <tegula/tegula.h>

#include "tests/common/common.h"

enum { N = 1000, BIG = (2 << 20) + 12 };

static char *package;
static size_t package_bytes;

typedef struct world {
    tgr_context *context;
    tgr_device *device;
    tgr_queue *queue;
    tgr_module *module;
    tgr_buffer *x, *y, *big;
    int64_t host_bytes;
} world;

typedef struct fake {
    void (*reset)(void), (*restart)(void);
    int (*calls)(void), (*live)(void);
    const char *(*failed)(void);
} fake;

static fake fake_open(const char *library) {
    static const char *const names[] = {"fake_cuda_reset", "fake_cuda_restart", "fake_cuda_calls",
                                        "fake_cuda_live", "fake_cuda_failed"};
    void *at[5], *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    fake f;
    assert_non_null(handle);
    for (int i = 0; i < 5; i++) {
        at[i] = dlsym(handle, names[i]);
        assert_non_null(at[i]);
    }
    memcpy(&f, at, sizeof f);
    (void)setenv("TEGULA_HIP_LIBRARY", library, 1);
    return f;
}

static void *count(void *user, void *p, size_t old_bytes, size_t new_bytes) {
    world *w = user;
    w->host_bytes += (int64_t)new_bytes - (p ? (int64_t)old_bytes : 0);
    if (new_bytes == 0) {
        free(p);
        return NULL;
    }
    return realloc(p, new_bytes);
}

static void begin(world *w) {
    memset(w, 0, sizeof *w);
    tgr_context_options o = TGR_INIT(tgr_context_options);
    o.allocator = (tgr_allocator){count, w};
    assert_int_equal(tgr_context_create(&o, &w->context), TGR_OK);
}

static void end(world *w) {
    if (w->module) {
        tgr_module_release(w->module);
    }
    tgr_buffer_release(w->x);
    tgr_buffer_release(w->y);
    tgr_buffer_release(w->big);
    tgr_queue_release(w->queue);
    tgr_device_release(w->device);
    tgr_context_release(w->context);
    assert_int_equal(w->host_bytes, 0);
}

static tgr_status launch(world *w, const char *name, tgr_arg *args, int n) {
    tgr_kernel *k = NULL;
    tgr_status st = tgr_module_find(w->module, name, NULL, 0, &k);
    return st ? st : tgr_launch(w->queue, k, args, n, NULL);
}

/* Everything the driver does, until something fails. */
static tgr_status use(world *w, float *x, float *y, int32_t *tags, uint8_t *big) {
    int64_t n = N;
    tgr_load_options o = TGR_INIT(tgr_load_options);
    o.flags = TGR_LOAD_TRUSTED;
    tgr_status st = tgr_device_open(w->context, "hip", NULL, &w->device);
    st = st ? st : tgr_queue_create(w->device, 0, &w->queue);
    st = st ? st : tgr_module_load(w->device, package, package_bytes, &o, &w->module);
    st = st ? st : tgr_buffer_create(w->device, sizeof *x * N, TGR_BUFFER_ZERO, &w->x);
    st = st ? st : tgr_buffer_create(w->device, sizeof *y * N, 0, &w->y);
    st = st ? st : tgr_buffer_create(w->device, BIG, 0, &w->big);
    st = st ? st : tgr_buffer_write(w->queue, w->big, 0, big, BIG);
    st = st ? st : tgr_buffer_write(w->queue, w->x, 0, x, sizeof *x * N);
    st = st ? st : tgr_buffer_write(w->queue, w->y, 0, y, sizeof *y * N);
    tgr_arg args[] = {tgr_arg_f32(2), tgr_arg_buffer(w->x, 0, TG_DT_F32, 1, &n),
                      tgr_arg_buffer(w->y, 0, TG_DT_F32, 1, &n)};
    st = st ? st : launch(w, "axpy", args, 3);
    st = st ? st : tgr_buffer_read(w->queue, w->y, 0, y, sizeof *y * N);
    st = st ? st : tgr_buffer_write(w->queue, w->x, 0, tags, sizeof *tags * N);
    tgr_arg tagged[] = {tgr_arg_buffer(w->x, 0, TG_DT_I32, 1, &n),
                        tgr_arg_buffer(w->y, 0, TG_DT_I32, 1, &n)};
    st = st ? st : launch(w, "tagged", tagged, 2);
    st = st ? st : tgr_buffer_read(w->queue, w->y, 0, tags, sizeof *tags * N);
    return st ? st : tgr_buffer_read(w->queue, w->big, 0, big, BIG);
}

static tgr_status run(world *w) {
    float x[N], y[N];
    int32_t tags[N] = {130};
    uint8_t *big = malloc(BIG);
    for (int i = 0; i < N; i++) {
        x[i] = (float)i;
        y[i] = 1;
    }
    for (int i = 0; i < BIG; i++) {
        big[i] = (uint8_t)(i * 7 + (i >> 12));
    }
    begin(w);
    tgr_status st = use(w, x, y, tags, big);
    for (int i = 0; i < N && !st; i++) {
        assert_true(y[i] == 2 * (float)i + 1);
        assert_int_equal(big[BIG - 1 - i], (uint8_t)((BIG - 1 - i) * 7 + ((BIG - 1 - i) >> 12)));
    }
    for (int i = 0; i < 130 && !st; i++) { /* three programs of 64 */
        assert_int_equal(tags[i], i);
    }
    free(big);
    return st;
}

static void test_runs(void **state) {
    static const char *const libraries[] = {FAKE_HIP_5, FAKE_HIP_6};
    (void)state;
    for (int i = 0; i < 2; i++) {
        fake f = fake_open(libraries[i]);
        world w;
        tgr_device_info info;
        test_expect(w.context, run(&w), TGR_OK);
        tgr_device_get_info(w.device, &info);
        assert_string_equal(info.driver, "hip");
        assert_string_equal(info.name, "Fake Instinct");
        assert_string_equal(info.isa, "gfx942");
        assert_string_equal(info.version, i == 0 ? "HIP 5.2" : "HIP 6.2");
        assert_int_equal(info.subgroup, 64);
        assert_int_equal(info.shared_bytes, 64 << 10);
        end(&w);
        f.restart();
        assert_int_equal(f.live(), 0);
    }
}

/*
 * Launches of filled outputs as one of the library's graphs: every replay fills anew, and one that
 * fails is named.
 */
static void test_graph(void **state) {
    fake f = fake_open(FAKE_HIP_6);
    world w;
    tgr_graph *g = NULL;
    tgr_buffer *y[2];
    int32_t x[N], counts[8];
    int64_t n = N, m = 8;
    tgr_load_options o = TGR_INIT(tgr_load_options);
    (void)state;
    o.flags = TGR_LOAD_TRUSTED;
    begin(&w);
    test_expect(w.context, tgr_device_open(w.context, "hip", NULL, &w.device), TGR_OK);
    test_expect(w.context, tgr_queue_create(w.device, 0, &w.queue), TGR_OK);
    test_expect(w.context, tgr_module_load(w.device, package, package_bytes, &o, &w.module),
                TGR_OK);
    test_expect(w.context, tgr_buffer_create(w.device, sizeof x, 0, &w.x), TGR_OK);
    test_expect(w.context, tgr_capture_begin(w.queue), TGR_OK);
    for (int i = 0; i < 2; i++) {
        test_expect(w.context, tgr_buffer_create(w.device, sizeof counts, 0, &y[i]), TGR_OK);
        tgr_arg args[] = {tgr_arg_buffer(w.x, 0, TG_DT_I32, 1, &n),
                          tgr_arg_buffer(y[i], 0, TG_DT_I32, 1, &m)};
        test_expect(w.context, launch(&w, "counted", args, 2), TGR_OK);
    }
    test_expect(w.context, tgr_capture_end(w.queue, &g), TGR_OK);
    for (int turn = 0; turn < 4; turn++) {
        bool bad = turn == 2; /* and the one behind it is right again */
        for (int i = 0; i < N; i++) {
            x[i] = bad && i == 700 ? 1000 : turn;
        }
        test_expect(w.context, tgr_buffer_write(w.queue, w.x, 0, x, sizeof x), TGR_OK);
        f.reset();
        test_expect(w.context, tgr_graph_launch(w.queue, g), bad ? TGR_E_TRAP : TGR_OK);
        if (bad) {
            test_expect_message(w.context,
                                "kernel `counted`, line 14: an assertion failed (program 10)");
        }
        for (int i = 0; i < 2 && !bad; i++) {
            test_expect(w.context, tgr_buffer_read(w.queue, y[i], 0, counts, sizeof counts),
                        TGR_OK);
            for (int j = 0; j < 8; j++) {
                assert_int_equal(counts[j], j == turn ? N : 0);
            }
        }
    }
    tgr_graph_release(g);
    tgr_buffer_release(y[0]);
    tgr_buffer_release(y[1]);
    end(&w);
    f.restart();
    assert_int_equal(f.live(), 0);
}

static void open_fails(tgr_status want, const char *says) {
    world w;
    begin(&w);
    test_expect(w.context, tgr_device_open(w.context, "hip", NULL, &w.device), want);
    test_expect_message(w.context, says);
    end(&w);
}

static void test_absent(void **state) {
    (void)state;
    (void)setenv("TEGULA_HIP_LIBRARY", "libthere_is_none.so", 1);
    open_fails(TGR_E_NOT_FOUND, "no HIP on this machine: libthere_is_none.so");
    (void)setenv("TEGULA_HIP_LIBRARY", "libm.so.6", 1);
    open_fails(TGR_E_UNSUPPORTED, "libm.so.6 lacks hip");
    (void)fake_open(FAKE_HIP_6);
    (void)setenv("FAKE_CUDA", "none", 1);
    open_fails(TGR_E_NOT_FOUND, "none of its 0 devices");
    (void)setenv("FAKE_CUDA", "cuInit=100", 1);
    open_fails(TGR_E_NOT_FOUND, "hipErrorNoDevice");
    (void)unsetenv("FAKE_CUDA");
    (void)setenv("FAKE_HIP_ARCH", "gfx803", 1);
    open_fails(TGR_E_NOT_FOUND, "code for none of its 2 devices");
    (void)setenv("FAKE_HIP_ARCH", "???", 1);
    open_fails(TGR_E_NOT_FOUND, "code for none of its 2 devices");
    (void)unsetenv("FAKE_HIP_ARCH");
}

/* A package of gfx942 is not for another of AMD's devices. */
static void test_other(void **state) {
    world w;
    int64_t n = 0;
    tgr_load_options o = TGR_INIT(tgr_load_options);
    (void)state;
    fake f = fake_open(FAKE_HIP_6);
    (void)setenv("FAKE_HIP_ARCH", "gfx1100", 1);
    begin(&w);
    o.flags = TGR_LOAD_TRUSTED;
    test_expect(w.context, tgr_device_open(w.context, "hip:fake", NULL, &w.device), TGR_OK);
    test_expect(w.context, tgr_module_load(w.device, package, package_bytes, &o, &w.module),
                TGR_OK);
    test_expect(w.context, tgr_queue_create(w.device, 0, &w.queue), TGR_OK);
    tgr_arg none[] = {tgr_arg_f32(2), tgr_arg_tensor(NULL, TG_DT_F32, 1, &n),
                      tgr_arg_tensor(NULL, TG_DT_F32, 1, &n)};
    test_expect(w.context, launch(&w, "axpy", none, 3), TGR_E_UNSUPPORTED);
    test_expect_message(w.context, "the package holds no code for this device");
    end(&w);
    (void)unsetenv("FAKE_HIP_ARCH");
    f.restart();
}

/* Failures that harm nothing: of giving back, of advice, of questions with a cautious answer. */
static bool may_pass(const char *function) {
    static const char *const names[] = {
        "cuCtxPopCurrent_v2",   "cuModuleUnload",       "cuStreamDestroy_v2",
        "cuEventDestroy_v2",    "cuMemFree_v2",         "cuMemFreeAsync",
        "cuMemFreeHost",        "cuDeviceGet",          "cuDeviceGetName",
        "cuDeviceTotalMem_v2",  "cuDeviceGetAttribute", "cuDeviceGetDefaultMemPool",
        "cuMemPoolSetAttribute"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], function) == 0) {
            return true;
        }
    }
    return false;
}

static void fail_at(const fake *f, int k, const char *code, const char *name) {
    world w;
    char says[32], text[512];
    (void)snprintf(says, sizeof says, "@%d=%s", k, code);
    (void)setenv("FAKE_CUDA", says, 1);
    f->reset();
    tgr_status st = run(&w);
    const char *function = f->failed();
    if (*function && !st && !may_pass(function)) {
        fail_msg("%s failed with %s and nobody noticed", function, name);
    }
    (void)tgr_context_message(w.context, text, sizeof text);
    if (st && !*text) {
        fail_msg("%s failed with %s without a message", function, name);
    }
    end(&w);
    (void)unsetenv("FAKE_CUDA");
    f->restart();
    if (f->live() != 0) {
        fail_msg("%d things are left after call %d, %s, failed with %s", f->live(), k, function,
                 name);
    }
}

static void each_call(const char *library, const char *code, const char *name) {
    fake f = fake_open(library);
    world w;
    f.reset();
    test_expect(w.context, run(&w), TGR_OK);
    end(&w);
    int n = f.calls();
    f.restart();
    assert_true(n > 60);
    for (int k = 1; k <= n; k++) {
        fail_at(&f, k, code, name);
    }
}

static void test_each_nomem(void **state) {
    (void)state;
    each_call(FAKE_HIP_6, "2", "hipErrorOutOfMemory");
}
static void test_each_unsupported(void **state) {
    (void)state;
    each_call(FAKE_HIP_5, "801", "hipErrorNotSupported");
}
static void test_each_lost(void **state) {
    (void)state;
    each_call(FAKE_HIP_6, "700", "hipErrorIllegalAddress");
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs),       cmocka_unit_test(test_graph),
        cmocka_unit_test(test_absent),     cmocka_unit_test(test_other),
        cmocka_unit_test(test_each_nomem), cmocka_unit_test(test_each_unsupported),
        cmocka_unit_test(test_each_lost),
    };
    FILE *f = argc > 1 ? fopen(argv[1], "rb") : NULL;
    if (!f || fseek(f, 0, SEEK_END) != 0) {
        (void)fputs("usage: hip_test_faults PACKAGE\n", stderr);
        return 2;
    }
    package_bytes = (size_t)ftell(f);
    package = malloc(package_bytes);
    rewind(f);
    bool read = fread(package, 1, package_bytes, f) == package_bytes;
    (void)fclose(f);
    int failed = read ? cmocka_run_group_tests(tests, NULL, NULL) : 2;
    free(package);
    return failed;
}
