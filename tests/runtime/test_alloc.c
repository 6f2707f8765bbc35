/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory failure at each allocation in turn: opening, loading, launching, ops, graphs, cache. The
 * call says TGR_E_NOMEM (or succeeds without it), nothing leaks, and what was open stays usable.
 */
#include "tests/runtime/support.h"

static const char ir[] = "tegula-ir 1\n"
                         "kernel tile add {\n"
                         "  bind T = \"f32\"\n"
                         "  syms M, N\n"
                         "  param a: tensor<f32[M, N]>\n"
                         "  param b: tensor<f32[M, N]>\n"
                         "  param c: tensor<f32[M, N]> out init(0.0)\n"
                         "  require M < 1000\n"
                         "  body {}\n"
                         "}\n"
                         "hostop o {\n"
                         "  syms M, N\n"
                         "  param a: tensor<f32[M, N]> unique\n"
                         "  param c: tensor<f32[M, N]> out\n"
                         "  temp t: f32[M, N]\n"
                         "  launch add(param a, param a, temp t)\n"
                         "  launch add(temp t, param a, param c)\n"
                         "}\n";

static float a[32], b[32], c[32];

/* Everything in a row; returns the first status that is not OK. */
static tgr_status scenario(tgr_allocator allocator, const unsigned char *bytes, size_t n,
                           uint32_t flags) {
    tgr_context_options co = TGR_INIT(tgr_context_options);
    co.allocator = allocator;
    tgr_context *context = NULL;
    tgr_device *device = NULL;
    tgr_queue *queue = NULL;
    tgr_module *m = NULL;
    tgr_package *p = NULL;
    tgr_graph *g = NULL;
    tgr_event *e = NULL;
    tgr_buffer *buffer = NULL;
    tgr_arena *arena = NULL;
    tgr_cache *cache = NULL;
    tgr_device_options d = TGR_INIT(tgr_device_options);
    d.n_threads = 2;
    tgr_status st = tgr_context_create(&co, &context);
    st = st ? st : tgr_device_open(context, "cpu", &d, &device);
    st = st ? st : tgr_queue_create(device, flags, &queue);
    st = st ? st : tgr_package_open(context, bytes, n, &p);
    tgr_linked_entry entry = {
        .kernel = "add", .n_phases = 1, .plan = rt_plan_rows, .phases = {rt_add_phase}};
    st = st ? st : tgr_module_load_linked(device, bytes, n, NULL, &entry, 1, &m);
    int64_t ext[] = {4, 8};
    tgr_arg args[] = {tgr_arg_tensor(a, TG_DT_F32, 2, ext), tgr_arg_tensor(b, TG_DT_F32, 2, ext),
                      tgr_arg_tensor(c, TG_DT_F32, 2, ext)};
    tgr_arg op_args[] = {args[0], args[2]};
    tgr_launch_options lo = TGR_INIT(tgr_launch_options);
    lo.checked = 1;
    st = st ? st : tgr_launch(queue, tgr_module_kernel(m, 0), args, 3, NULL);
    st = st ? st : tgr_launch(queue, tgr_module_kernel(m, 1), op_args, 2, &lo);
    st = st ? st : tgr_queue_record(queue, &e);
    st = st ? st : tgr_queue_wait(queue);
    st = st ? st : tgr_capture_begin(queue);
    st = st ? st : tgr_launch(queue, tgr_module_kernel(m, 1), op_args, 2, NULL);
    st = st ? st : tgr_capture_end(queue, &g);
    st = st ? st : tgr_graph_launch(queue, g);
    st = st ? st : tgr_queue_wait(queue);
    st = st ? st : tgr_buffer_create(device, 100, TGR_BUFFER_ZERO, &buffer);
    st = st ? st : tgr_arena_create(device, 100, 0, &arena);
    st = st ? st : tgr_cache_open(context, "/proc/nowhere", 0, &cache);
    tgr_cache_release(cache);
    tgr_arena_release(arena);
    tgr_buffer_release(buffer);
    tgr_event_release(e);
    tgr_graph_release(g);
    tgr_package_release(p);
    tgr_module_release(m);
    tgr_queue_release(queue);
    tgr_device_release(device);
    tgr_context_release(context);
    return st;
}

static void run_all(uint32_t flags) {
    size_t n;
    unsigned char *bytes = rt_package(ir, false, &n);
    for (int i = 0; i < 32; i++) {
        a[i] = (float)i;
    }
    rt_heap heap = {0};
    for (int on = 0; on < 2; on++) {
        long k = 1;
        for (;; k++) {
            heap = (rt_heap){.fail_at = k, .fail_on = on};
            tgr_status st = scenario(rt_allocator(&heap), bytes, n, flags);
            assert_int_equal(heap.live_blocks, 0);
            assert_int_equal(heap.live_bytes, 0);
            if (st == TGR_OK) {
                break;
            }
            assert_int_equal(st, TGR_E_NOMEM);
            assert_true(k < 1000);
        }
        assert_true(k > 20); /* it did meet allocations */
    }
    assert_true(c[31] == 3 * 31.0f);
    free(bytes);
}

static void test_sync(void **state) {
    (void)state;
    run_all(0);
}

static void test_async(void **state) {
    (void)state;
    run_all(TGR_QUEUE_ASYNC);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sync), cmocka_unit_test(test_async)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
