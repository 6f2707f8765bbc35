/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driver conformance: what every driver must do, run over each of them. A driver that computes also
 * has its results compared.
 */
#include "tests/runtime/support.h"

static const char *device_name(void **state) { return *state; }
static bool computes(void **state) { return strcmp(device_name(state), "null") != 0; }

static tgr_module *load_add(rt_world *w) {
    size_t n;
    unsigned char *bytes = rt_package(rt_add_ir, false, &n);
    tgr_linked_entry e = {
        .kernel = "add", .n_phases = 1, .plan = rt_plan_rows, .phases = {rt_add_phase}};
    tgr_module *m = NULL;
    rt_expect(w, tgr_module_load_linked(w->device, bytes, n, NULL, &e, 1, &m), TGR_OK);
    free(bytes);
    return m;
}

static void test_describe(void **state) {
    rt_world w;
    rt_open(&w, device_name(state), 2, 0);
    tgr_device_info info;
    bool found = false;
    for (int32_t i = 0; i < tgr_device_count(w.context); i++) {
        rt_expect(&w, tgr_device_describe(w.context, i, &info), TGR_OK);
        found |= strcmp(info.driver, device_name(state)) == 0;
    }
    assert_true(found);
    assert_int_equal(tgr_device_describe(w.context, 99, &info), TGR_E_NOT_FOUND);
    tgr_device_get_info(w.device, &info);
    assert_string_equal(info.driver, device_name(state));
    assert_true(tgr_device_threads(w.device) >= 1);
    assert_ptr_equal(tgr_device_context(w.device), w.context);
    rt_close(&w);
}

static void test_memory(void **state) {
    rt_world w;
    rt_open(&w, device_name(state), 2, 0);
    static const uint32_t flags[] = {0, TGR_BUFFER_ZERO, TGR_BUFFER_ZERO | TGR_BUFFER_PREFAULT,
                                     TGR_BUFFER_ZERO | TGR_BUFFER_HUGE | TGR_BUFFER_PREFAULT};
    for (size_t i = 0; i < 4; i++) {
        tgr_buffer *b = NULL;
        unsigned char in[100], out[100] = {0};
        void *p;
        rt_expect(&w, tgr_buffer_create(w.device, 5000, flags[i], &b), TGR_OK);
        assert_int_equal(tgr_buffer_bytes(b), 5000);
        rt_expect(&w, tgr_buffer_map(b, &p), TGR_OK);
        assert_int_equal((uintptr_t)p % 64, 0);
        assert_true(!(flags[i] & TGR_BUFFER_ZERO) || ((unsigned char *)p)[4999] == 0);
        memset(in, 7, sizeof in);
        rt_expect(&w, tgr_buffer_write(w.queue, b, 4900, in, 100), TGR_OK);
        rt_expect(&w, tgr_buffer_read(w.queue, b, 4900, out, 100), TGR_OK);
        rt_expect(&w, tgr_queue_wait(w.queue), TGR_OK);
        assert_memory_equal(in, out, 100);
        rt_expect(&w, tgr_buffer_write(w.queue, b, 4901, in, 100), TGR_E_INVALID);
        rt_expect(&w, tgr_buffer_read(w.queue, b, SIZE_MAX, out, 2), TGR_E_INVALID);
        tgr_buffer_release(b);
    }
    tgr_buffer *b = NULL;
    rt_expect(&w, tgr_buffer_create(w.device, 0, 0, &b), TGR_OK);
    tgr_buffer_release(b);
    rt_expect(&w, tgr_buffer_create(w.device, SIZE_MAX - 8, 0, &b), TGR_E_NOMEM);
    rt_expect(&w, tgr_buffer_create(w.device, 8, 64, &b), TGR_E_INVALID);
    rt_expect(&w, tgr_buffer_import(w.device, NULL, 8, &b), TGR_E_INVALID);
    rt_close(&w);
}

static void test_arena(void **state) {
    rt_world w;
    rt_open(&w, device_name(state), 1, 0);
    tgr_arena *a = NULL;
    void *p, *q;
    rt_expect(&w, tgr_arena_create(w.device, 4096, 0, &a), TGR_OK);
    rt_expect(&w, tgr_arena_alloc(a, 100, 0, &p), TGR_OK);
    rt_expect(&w, tgr_arena_alloc(a, 100, 256, &q), TGR_OK);
    assert_int_equal((uintptr_t)p % 64, 0);
    assert_int_equal((uintptr_t)q % 256, 0);
    assert_true((char *)q >= (char *)p + 100);
    rt_expect(&w, tgr_arena_alloc(a, 1, 3, &q), TGR_E_INVALID);
    rt_expect(&w, tgr_arena_alloc(a, 4096, 64, &q), TGR_E_NOMEM);
    tgr_arena_reset(a);
    assert_int_equal(tgr_arena_used(a), 0);
    rt_expect(&w, tgr_arena_alloc(a, 4096, 64, &q), TGR_OK);
    tgr_arena_release(a);
    rt_close(&w);
}

static void launch_rows(void **state, int threads, uint32_t queue_flags, int64_t m, int64_t n) {
    rt_world w;
    rt_open(&w, device_name(state), threads, queue_flags);
    tgr_module *module = load_add(&w);
    tgr_kernel *k = NULL;
    rt_expect(&w, tgr_module_find(module, "add", NULL, 0, &k), TGR_OK);
    size_t count = (size_t)(m * n);
    float *a = calloc(count + 1, 4), *b = calloc(count + 1, 4), *c = calloc(count + 1, 4);
    for (size_t i = 0; i < count; i++) {
        a[i] = (float)i;
        b[i] = 0.5f;
    }
    int64_t e[] = {m, n};
    tgr_arg args[] = {tgr_arg_tensor(a, TG_DT_F32, 2, e), tgr_arg_tensor(b, TG_DT_F32, 2, e),
                      tgr_arg_tensor(c, TG_DT_F32, 2, e)};
    for (int repeat = 0; repeat < 50; repeat++) {
        memset(c, 0, count * 4);
        rt_expect(&w, tgr_launch(w.queue, k, args, 3, NULL), TGR_OK);
        rt_expect(&w, tgr_queue_wait(w.queue), TGR_OK);
        for (size_t i = 0; i < count; i++) {
            assert_true(c[i] == (computes(state) ? a[i] + b[i] : 0));
        }
    }
    free(a);
    free(b);
    free(c);
    tgr_module_release(module);
    rt_close(&w);
}

static void test_launch(void **state) {
    launch_rows(state, 1, 0, 5, 7);
    launch_rows(state, 2, 0, 64, 3);
    launch_rows(state, 4, 0, 1, 1);
    launch_rows(state, 3, TGR_QUEUE_ASYNC, 33, 9);
    launch_rows(state, 2, 0, 0, 4);
}

static void test_code(void **state) {
#if defined(__x86_64__)
    rt_world w;
    rt_open(&w, device_name(state), 1, 0);
    size_t n;
    unsigned char *bytes = rt_package(
        "tegula-ir 1\nkernel tile k { param y: tensor<i32[1]> out body {} }\n", true, &n);
    tgr_module *m = NULL;
    if (computes(state)) {
        rt_expect(&w, tgr_module_load(w.device, bytes, n, NULL, &m), TGR_E_UNTRUSTED);
        assert_null(m);
    }
    tgr_load_options o = TGR_INIT(tgr_load_options);
    o.flags = TGR_LOAD_TRUSTED | TGR_LOAD_PERF_MAP;
    rt_expect(&w, tgr_module_load(w.device, bytes, n, &o, &m), TGR_OK);
    memset(bytes, 0xff, n); /* not needed any more */
    free(bytes);
    int32_t y = 0;
    int64_t one = 1;
    tgr_arg arg = tgr_arg_tensor(&y, TG_DT_I32, 1, &one);
    rt_expect(&w, tgr_launch(w.queue, tgr_module_kernel(m, 0), &arg, 1, NULL), TGR_OK);
    assert_int_equal(y, computes(state) ? 42 : 0);
    tgr_module_release(m);
    rt_close(&w);
#else
    (void)state;
    skip();
#endif
}

static void test_isa(void **state) {
#if defined(__x86_64__)
    rt_world w;
    rt_open(&w, device_name(state), 1, 0);
    size_t n;
    unsigned char *bytes = rt_package(
        "tegula-ir 1\nkernel tile k { param y: tensor<i32[1]> out body {} }\n", true, &n);
    tgr_load_options o = TGR_INIT(tgr_load_options);
    o.flags = TGR_LOAD_TRUSTED;
    o.isa = "aarch64-neon"; /* the package has none of it */
    tgr_module *m = NULL;
    rt_expect(&w, tgr_module_load(w.device, bytes, n, &o, &m), TGR_OK);
    int32_t y = 0;
    int64_t one = 1;
    tgr_arg arg = tgr_arg_tensor(&y, TG_DT_I32, 1, &one);
    rt_expect(&w, tgr_launch(w.queue, tgr_module_kernel(m, 0), &arg, 1, NULL), TGR_E_UNSUPPORTED);
    rt_expect_message(&w, "no code for this device");
    tgr_module_release(m);
    free(bytes);
    rt_close(&w);
#else
    (void)state;
    skip();
#endif
}

int main(void) {
    static char cpu[] = "cpu", null[] = "null";
#define EACH(t)                                                                                    \
    {#t "/cpu", t, NULL, NULL, cpu}, { #t "/null", t, NULL, NULL, null }
    const struct CMUnitTest tests[] = {EACH(test_describe), EACH(test_memory), EACH(test_arena),
                                       EACH(test_launch),   EACH(test_code),   EACH(test_isa)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
