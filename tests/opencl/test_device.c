/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OpenCL driver on a real device (PoCL here; skipped without one): memory, launches with grids
 * from slots and from data, scratch in slices, traps, `init` fills, data facts, limits, device
 * names, cached binaries.
 */
#include "tests/opencl/support.h"

#include <sys/stat.h>
#include <unistd.h>

/* y[i] = 3 * x[i] over blocks of 64; the tail is guarded. Slots: y, N, stride, x, N, stride, sym N.
 */
static const char triple_tile[] =
    "tegula-ir 1\nkernel tile triple {\nsyms N\n"
    "param y: tensor<i32[N]> out\nparam x: tensor<i32[N]>\naxis i by 64\n"
    "grid (%gy: tensor<i32[N]>, %gx: tensor<i32[N]>) {\n%n = sym {sym = 0} : i64\nyield %n\n}\n"
    "body (%y: tensor<i32[N]>, %x: tensor<i32[N]>, %i: i64) {}\n}\n";
#define TRIPLE_BODY                                                                                \
    "%y = slot %slots {i = 0} : ptr\n%x = slot %slots {i = 3} : ptr\n"                             \
    "%n = slot %slots {i = 1} : i64\n%b = const {i = 64} : i64\n%l = cast %lane : i64\n"           \
    "%s = mul %p, %b : i64\n%at = add %s, %l : i64\n%in = cmp %at, %n {pred = lt} : bool\n"        \
    "if %in {\n%px = gep %x, %at {bytes = 4} : ptr\n%v = loadm %px : i32\n"                        \
    "%three = const {i = 3} : i32\n%w = mul %v, %three : i32\n"                                    \
    "%py = gep %y, %at {bytes = 4} : ptr\nstorem %py, %w\nyield\n} {}\n"
static const char triple_loop[] =
    "tegula-ir 1\nkernel loop \"triple.phase0\" {\n" OCL_SIMT("64", "0", "0") TRIPLE_BODY
    "yield\n}\n}\n";

static tgr_arg vector(tgr_buffer *b, size_t offset, int64_t n) {
    return tgr_arg_buffer(b, offset, TG_DT_I32, 1, &n);
}

static void test_names(void **state) {
    (void)state;
    tgr_context *c;
    tgr_device *d = NULL;
    tgr_device_info info;
    assert_int_equal(tgr_context_create(NULL, &c), TGR_OK);
    assert_int_equal(tgr_device_open(c, "opencl:0", NULL, &d), TGR_OK);
    tgr_device_get_info(d, &info);
    assert_string_equal(info.driver, "opencl");
    assert_true(info.max_lanes >= 1 && info.shared_bytes > 0 && info.host_memory == 0);
    tgr_device_release(d);
    char name[64];
    (void)snprintf(name, sizeof name, "opencl:%.8s", info.name);
    assert_int_equal(tgr_device_open(c, name, NULL, &d), TGR_OK);
    tgr_device_release(d);
    assert_int_equal(tgr_device_open(c, "opencl:no such chip", NULL, &d), TGR_E_NOT_FOUND);
    assert_int_equal(tgr_device_open(c, "opencl:99", NULL, &d), TGR_E_NOT_FOUND);
    assert_int_equal(tgr_device_open(c, "99", NULL, &d), TGR_E_NOT_FOUND);
    assert_int_equal(tgr_device_open(c, "0", NULL, &d), TGR_OK); /* the CPU */
    tgr_device_release(d);
    (void)setenv("TEGULA_DEVICE", "opencl", 1);
    assert_int_equal(tgr_device_open(c, "default", NULL, &d), TGR_OK);
    tgr_device_get_info(d, &info);
    assert_string_equal(info.driver, "opencl");
    tgr_device_release(d);
    (void)unsetenv("TEGULA_DEVICE");
    tgr_context_release(c);
}

static void test_memory(void **state) {
    ocl_world *w = *state;
    unsigned char in[100], out[100] = {0};
    void *p;
    tgr_buffer *b = NULL, *other = NULL;
    memset(in, 7, sizeof in);
    ocl_expect(w, tgr_buffer_create(w->device, 5000, TGR_BUFFER_ZERO, &b), TGR_OK);
    ocl_expect(w, tgr_buffer_map(b, &p), TGR_E_UNSUPPORTED);
    ocl_expect(w, tgr_buffer_read(w->queue, b, 4900, out, 100), TGR_OK);
    assert_int_equal(out[99], 0);
    ocl_expect(w, tgr_buffer_write(w->queue, b, 4900, in, 100), TGR_OK);
    ocl_expect(w, tgr_buffer_read(w->queue, b, 4900, out, 100), TGR_OK);
    assert_memory_equal(in, out, 100);
    ocl_expect(w, tgr_buffer_write(w->queue, b, 4901, in, 100), TGR_E_INVALID);
    ocl_expect(w, tgr_buffer_import(w->device, in, 100, &other), TGR_E_UNSUPPORTED);
    ocl_expect(w, tgr_buffer_create(w->device, SIZE_MAX - 8, 0, &other), TGR_E_NOMEM);
    ocl_expect(w, tgr_buffer_create(w->device, 0, 0, &other), TGR_OK);
    tgr_buffer_release(other);
    tgr_buffer_release(b);
}

static void launch_triple(ocl_world *w, tgr_kernel *k, int64_t n, size_t offset) {
    size_t bytes = offset + (size_t)n * 4 + 16;
    int32_t *x = calloc(bytes, 1), *y = calloc(bytes, 1);
    for (int64_t i = 0; i < n; i++) {
        x[(size_t)i + offset / 4] = (int32_t)(i * 11 - 400);
    }
    tgr_buffer *bx = ocl_put(w, x, bytes), *by = ocl_put(w, y, bytes);
    tgr_arg args[] = {vector(by, offset, n), vector(bx, offset, n)};
    ocl_expect(w, tgr_launch(w->queue, k, args, 2, NULL), TGR_OK);
    ocl_get(w, by, y, bytes);
    for (int64_t i = 0; i < n; i++) {
        assert_int_equal(y[(size_t)i + offset / 4], 3 * x[(size_t)i + offset / 4]);
    }
    assert_int_equal(y[(size_t)n + offset / 4], 0);
    tgr_buffer_release(bx);
    tgr_buffer_release(by);
    free(x);
    free(y);
}

static void test_launch(void **state) {
    ocl_world *w = *state;
    tgr_kernel *k = ocl_load(w, triple_tile, triple_loop);
    launch_triple(w, k, 1, 0);
    launch_triple(w, k, 64, 0);
    launch_triple(w, k, 1000, 256);
    launch_triple(w, k, 0, 0);
    launch_triple(w, k, 100000, 4);
    tgr_module_release(tgr_kernel_module(k));
}

/* Host pointers, and buffers of other devices, are refused with a message, not followed. That is
 * seen before any code is chosen, so a Vulkan device too may be asked. */
static void refuses_host_pointers(const char *device) {
    ocl_world w, cpu;
    if (!ocl_open(&w, device)) {
        return;
    }
    assert_true(ocl_open(&cpu, "cpu"));
    tgr_kernel *k = ocl_load(&w, triple_tile, triple_loop);
    int32_t x[4] = {0}, y[4];
    int64_t n = 4;
    tgr_arg args[] = {tgr_arg_tensor(y, TG_DT_I32, 1, &n), tgr_arg_tensor(x, TG_DT_I32, 1, &n)};
    ocl_expect(&w, tgr_launch(w.queue, k, args, 2, NULL), TGR_E_MISMATCH);
    ocl_expect_message(&w, "in no buffer of");
    tgr_buffer *b = ocl_put(&cpu, x, sizeof x);
    args[0] = args[1] = vector(b, 0, 4);
    ocl_expect(&w, tgr_launch(w.queue, k, args, 2, NULL), TGR_E_MISMATCH);
    tgr_buffer_release(b);
    tgr_module_release(tgr_kernel_module(k));
    ocl_close(&cpu);
    ocl_close(&w);
}

static void test_host_pointer(void **state) {
    (void)state;
    refuses_host_pointers("opencl");
    refuses_host_pointers("vulkan");
}

static void test_trap(void **state) {
    ocl_world *w = *state;
    tgr_kernel *k = ocl_load(
        w, triple_tile,
        "tegula-ir 1\nkernel loop \"triple.phase0\" {\n" OCL_SIMT("64", "0", "0") TRIPLE_BODY
        "%five = const {i = 5} : i64\n%bad = cmp %p, %five {pred = eq} : bool\n"
        "trap %bad {i = 1}\nyield\n}\n}\n");
    int32_t zeros[640] = {0};
    tgr_buffer *b = ocl_put(w, zeros, sizeof zeros), *c = ocl_put(w, zeros, sizeof zeros);
    tgr_arg args[] = {vector(b, 0, 64), vector(c, 0, 64)};
    ocl_expect(w, tgr_launch(w->queue, k, args, 2, NULL), TGR_OK);
    tgr_arg more[] = {vector(b, 0, 640), vector(c, 0, 640)};
    ocl_expect(w, tgr_launch(w->queue, k, more, 2, NULL), TGR_E_TRAP);
    ocl_expect_message(w, "an assertion failed (program 5)");
    ocl_expect(w, tgr_launch(w->queue, k, args, 2, NULL), TGR_OK); /* the report is fresh */
    tgr_buffer_release(b);
    tgr_buffer_release(c);
    tgr_module_release(tgr_kernel_module(k));
}

/* 24 MiB of scratch a program: 40 programs do not fit at once. Each lane leaves its number at the
 * end of the scratch and reads its neighbour's. */
static void test_scratch(void **state) {
    ocl_world *w = *state;
    tgr_kernel *k = ocl_load(
        w, triple_tile,
        "tegula-ir 1\nkernel loop \"triple.phase0\" {\n" OCL_SIMT(
            "64", "0",
            "25165824") "%y = slot %slots {i = 0} : ptr\n%b = const {i = 64} : i64\n%l = cast "
                        "%lane : i64\n"
                        "%s = mul %p, %b : i64\n%at = add %s, %l : i64\n%v = cast %at : i32\n"
                        "%far = const {i = 6291392} : i64\n%here = add %far, %l : i64\n"
                        "%ph = gep %scratch, %here {bytes = 4} : ptr\nstorem %ph, %v\n"
                        "barrier {fence = global}\n"
                        "%one = const {i = 1} : i64\n%m = const {i = 63} : i64\n%l1 = add %l, %one "
                        ": i64\n"
                        "%ln = and %l1, %m : i64\n%there = add %far, %ln : i64\n"
                        "%pt = gep %scratch, %there {bytes = 4} : ptr\n%u = loadm %pt : i32\n"
                        "%py = gep %y, %at {bytes = 4} : ptr\nstorem %py, %u\nyield\n}\n}\n");
    static int32_t y[2560];
    tgr_buffer *b = ocl_put(w, y, sizeof y), *c = ocl_put(w, y, sizeof y);
    tgr_arg args[] = {vector(b, 0, 2560), vector(c, 0, 2560)};
    ocl_expect(w, tgr_launch(w->queue, k, args, 2, NULL), TGR_OK);
    ocl_get(w, b, y, sizeof y);
    for (int i = 0; i < 2560; i++) {
        assert_int_equal(y[i], i / 64 * 64 + (i + 1) % 64);
    }
    tgr_buffer_release(b);
    tgr_buffer_release(c);
    tgr_module_release(tgr_kernel_module(k));
}

/* The grid's extent is a value of x: the plan runs on the device. */
static void test_plan(void **state) {
    ocl_world *w = *state;
    tgr_kernel *k = ocl_load(
        w,
        "tegula-ir 1\nkernel tile triple {\nsyms N\n"
        "param y: tensor<i32[N]> out\nparam x: tensor<i32[N]>\naxis i by 64\n"
        "grid (%gy: tensor<i32[N]>, %gx: tensor<i32[N]>) {\n%z = const {i = 0} : i64\n"
        "%e = load %gx, %z {axes = []} : i32\n%n = cast %e : i64\nyield %n\n}\n"
        "body (%y: tensor<i32[N]>, %x: tensor<i32[N]>, %i: i64) {}\n}\n",
        "tegula-ir 1\nkernel loop \"triple.plan\" {\nrole plan\nbody (%slots: ptr, %plan: ptr) {\n"
        "%x = slot %slots {i = 3} : ptr\n%n = loadm %x : i32\n%w = cast %n : i64\n"
        "storem %plan, %w\n%one = const {i = 1} : i32\n%k = const {i = 48} : i64\n"
        "%pn = gep %plan, %k {bytes = 1} : ptr\nstorem %pn, %one\nyield\n}\n}\n"
        "kernel loop \"triple.phase0\" {\n" OCL_SIMT(
            "64", "0",
            "0") "%y = slot %slots {i = 0} : ptr\n%v = cast %p : i32\n%l = cast %lane : i64\n"
                 "%b = const {i = 64} : i64\n%s = mul %p, %b : i64\n%at = add %s, %l : i64\n"
                 "%py = gep %y, %at {bytes = 4} : ptr\nstorem %py, %v\nyield\n}\n}\n");
    int32_t x[256] = {3}, y[256];
    memset(y, 0xff, sizeof y);
    tgr_buffer *b = ocl_put(w, y, sizeof y), *c = ocl_put(w, x, sizeof x);
    tgr_arg args[] = {vector(b, 0, 256), vector(c, 0, 256)};
    ocl_expect(w, tgr_launch(w->queue, k, args, 2, NULL), TGR_OK);
    ocl_get(w, b, y, sizeof y);
    for (int i = 0; i < 256; i++) {
        assert_int_equal(y[i], i < 192 ? i / 64 : -1);
    }
    tgr_buffer_release(b);
    tgr_buffer_release(c);
    tgr_module_release(tgr_kernel_module(k));
}

/* `init` over dense and strided memory; the kernel itself writes nothing. */
static void test_init(void **state) {
    ocl_world *w = *state;
    tgr_kernel *k = ocl_load(
        w,
        "tegula-ir 1\nkernel tile fill {\nsyms M, N\n"
        "param y: tensor<i16[M, N]> out init(7.0)\naxis i by 64\n"
        "grid (%gy: tensor<i16[M, N]>) {\n%n = sym {sym = 0} : i64\nyield %n\n}\n"
        "body (%y: tensor<i16[M, N]>, %i: i64) {}\n}\n",
        "tegula-ir 1\nkernel loop \"fill.phase0\" {\n" OCL_SIMT("1", "0", "0") "yield\n}\n}\n");
    int16_t y[60];
    memset(y, 0, sizeof y);
    tgr_buffer *b = ocl_put(w, y, sizeof y);
    int64_t e[] = {3, 4}, s[] = {20, 2};
    tgr_arg arg = tgr_arg_tensor_strided(NULL, TG_DT_I16, 2, e, s);
    arg.buffer = b;
    arg.offset_bytes = 8;
    ocl_expect(w, tgr_launch(w->queue, k, &arg, 1, NULL), TGR_OK);
    ocl_get(w, b, y, sizeof y);
    for (int i = 0; i < 60; i++) {
        int at = i - 4, inside = at >= 0 && at < 30 && at % 10 < 4;
        assert_int_equal(y[i], inside ? 7 : 0);
    }
    arg = tgr_arg_buffer(b, 40, TG_DT_I16, 2, e);
    ocl_expect(w, tgr_launch(w->queue, k, &arg, 1, NULL), TGR_OK);
    ocl_get(w, b, y, sizeof y);
    assert_true(y[20] == 7 && y[31] == 7 && y[32] == 0);
    tgr_buffer_release(b);
    tgr_module_release(tgr_kernel_module(k));
}

static void test_facts(void **state) {
    ocl_world *w = *state;
    static const char tile[] =
        "tegula-ir 1\nkernel tile triple {\nsyms N\n"
        "param y: tensor<i32[N]> out\nparam x: tensor<i32[N]> sorted\naxis i by 64\n"
        "grid (%gy: tensor<i32[N]>, %gx: tensor<i32[N]>) {\n%n = sym {sym = 0} : i64\nyield %n\n}\n"
        "body (%y: tensor<i32[N]>, %x: tensor<i32[N]>, %i: i64) {}\n}\n";
    tgr_kernel *k = ocl_load(w, tile, triple_loop);
    int32_t good[] = {1, 2, 2, 5}, bad[] = {1, 2, 0, 5};
    tgr_buffer *y = ocl_put(w, good, sizeof good), *g = ocl_put(w, good, sizeof good),
               *b = ocl_put(w, bad, sizeof bad);
    tgr_launch_options o = TGR_INIT(tgr_launch_options);
    o.checked = 1;
    tgr_arg args[] = {vector(y, 0, 4), vector(g, 0, 4)};
    ocl_expect(w, tgr_launch(w->queue, k, args, 2, &o), TGR_OK);
    args[1] = vector(b, 0, 4);
    ocl_expect(w, tgr_launch(w->queue, k, args, 2, &o), TGR_E_FACT);
    tgr_buffer_release(y);
    tgr_buffer_release(g);
    tgr_buffer_release(b);
    tgr_module_release(tgr_kernel_module(k));
}

static void test_limits(void **state) {
    ocl_world *w = *state;
    int32_t zeros[64] = {0};
    tgr_buffer *b = ocl_put(w, zeros, sizeof zeros), *c = ocl_put(w, zeros, sizeof zeros);
    tgr_arg args[] = {vector(b, 0, 64), vector(c, 0, 64)};
    tgr_kernel *k =
        ocl_load(w, triple_tile,
                 "tegula-ir 1\nkernel loop \"triple.phase0\" {\n" OCL_SIMT("64", "1073741824", "0")
                     TRIPLE_BODY "yield\n}\n}\n");
    ocl_expect(w, tgr_launch(w->queue, k, args, 2, NULL), TGR_E_UNSUPPORTED);
    ocl_expect_message(w, "needs 1073741824 bytes of shared memory");
    tgr_module_release(tgr_kernel_module(k));
    tgr_buffer_release(b);
    tgr_buffer_release(c);
}

/* Code names slot 0 of a kernel that has no parameters, so no slots. */
static void test_no_slots(void **state) {
    ocl_world *w = *state;
    tgr_kernel *k =
        ocl_load(w,
                 "tegula-ir 1\nkernel tile none {\naxis i by 1\n"
                 "grid () {\n%n = const {i = 1} : i64\nyield %n\n}\nbody (%i: i64) {}\n}\n",
                 "tegula-ir 1\nkernel loop \"none.phase0\" {\n" OCL_SIMT(
                     "1", "0", "0") "%y = slot %slots {i = 0} : ptr\nstorem %y, %p\nyield\n}\n}\n");
    ocl_expect(w, tgr_launch(w->queue, k, NULL, 0, NULL), TGR_E_FORMAT);
    ocl_expect_message(w, "reads slots it has not");
    tgr_module_release(tgr_kernel_module(k));
}

/* No device runs the code of a package that nobody vouches for. */
static void test_trust(void **state) {
    ocl_world *w = *state;
    size_t n;
    unsigned char *bytes = ocl_package(triple_tile, triple_loop, &n);
    for (int32_t i = 0; i < tgr_device_count(w->context); i++) {
        char number[12];
        tgr_device *d = NULL;
        tgr_module *m = NULL;
        tgr_device_info info;
        (void)snprintf(number, sizeof number, "%d", i);
        if (tgr_device_open(w->context, number, NULL, &d) != TGR_OK) {
            continue;
        }
        tgr_device_get_info(d, &info);
        /* What is simulated has none of the rights of the host. */
        bool runs = strcmp(info.driver, "null") != 0 && strcmp(info.driver, "sim") != 0;
        ocl_expect(w, tgr_module_load(d, bytes, n, NULL, &m), runs ? TGR_E_UNTRUSTED : TGR_OK);
        tgr_module_release(m);
        tgr_device_release(d);
    }
    free(bytes);
}

/* Bytes of a package cut or changed anywhere are refused or harmless. */
static void test_damage(void **state) {
    ocl_world *w = *state;
    size_t n;
    unsigned char *bytes = ocl_package(triple_tile, triple_loop, &n);
    tgr_load_options o = TGR_INIT(tgr_load_options);
    tgr_module *m = NULL;
    ocl_expect(w, tgr_module_load(w->device, bytes, n, &o, &m), TGR_E_UNTRUSTED);
    o.flags = TGR_LOAD_TRUSTED;
    for (size_t i = 0; i < n; i += 7) {
        bytes[i] ^= 0x55;
        tgr_status st = tgr_module_load(w->device, bytes, n, &o, &m);
        assert_int_not_equal(st, TGR_OK);
        bytes[i] ^= 0x55;
    }
    free(bytes);
}

static void test_binary_cache(void **state) {
    ocl_world *w = *state;
    tgr_cache *cache = NULL;
    ocl_expect(w, tgr_cache_open(w->context, NULL, 0, &cache), TGR_OK);
    int64_t removed = 0;
    ocl_expect(w, tgr_cache_clear(cache, &removed), TGR_OK);
    for (int round = 0; round < 2; round++) {
        tgr_kernel *k = ocl_load(w, triple_tile, triple_loop);
        launch_triple(w, k, 100, 0);
        tgr_module_release(tgr_kernel_module(k));
    }
    ocl_expect(w, tgr_cache_clear(cache, &removed), TGR_OK);
    assert_int_equal(removed, 1);
    tgr_cache_release(cache);
}

static int set_up(void **state) {
    static ocl_world w;
    (void)setenv("TEGULA_CACHE_DIR", OCL_CACHE_DIR, 1);
    (void)mkdir(OCL_CACHE_DIR, 0700);
    *state = &w;
    return ocl_open(&w, "opencl") ? 0 : -1;
}

static int tear_down(void **state) {
    ocl_close(*state);
    return 0;
}

int main(void) {
    void *state = NULL;
    if (set_up(&state) != 0) {
        printf("skipped: no OpenCL device\n");
        return 77;
    }
    tear_down(&state);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),    cmocka_unit_test(test_memory),
        cmocka_unit_test(test_launch),   cmocka_unit_test(test_host_pointer),
        cmocka_unit_test(test_trap),     cmocka_unit_test(test_scratch),
        cmocka_unit_test(test_plan),     cmocka_unit_test(test_init),
        cmocka_unit_test(test_facts),    cmocka_unit_test(test_limits),
        cmocka_unit_test(test_damage),   cmocka_unit_test(test_binary_cache),
        cmocka_unit_test(test_no_slots), cmocka_unit_test(test_trust),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
