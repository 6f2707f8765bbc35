/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order: asynchronous queues, events between queues, errors of work that already left the call,
 * captured graphs, ops with their temporaries, the pool and the host's own parallel loop.
 */
#include "tests/runtime/support.h"

#include <limits.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* y[0] = x * 3 + y[0] for i64 scalars x: order shows in the digits. */
static const char push_ir[] = "tegula-ir 1\n"
                              "kernel tile push {\n"
                              "  param x: i64\n"
                              "  param y: tensor<i64[1]> inout\n"
                              "  body {}\n"
                              "}\n"
                              "kernel tile fill {\n"
                              "  syms N\n"
                              "  param v: f32\n"
                              "  param y: tensor<f32[N]> out\n"
                              "  body {}\n"
                              "}\n"
                              "kernel tile add {\n"
                              "  syms M, N\n"
                              "  param a: tensor<f32[M, N]>\n"
                              "  param b: tensor<f32[M, N]>\n"
                              "  param c: tensor<f32[M, N]> out\n"
                              "  body {}\n"
                              "}\n"
                              "kernel tile row {\n"
                              "  syms N\n"
                              "  param n: i32\n"
                              "  param v: f32\n"
                              "  param y: tensor<f32[1, N]> out\n"
                              "  body {}\n"
                              "}\n"
                              "kernel tile sorted {\n"
                              "  param s: tensor<i64[1]> range(0, 10)\n"
                              "  param y: tensor<i64[1]> inout\n"
                              "  body {}\n"
                              "}\n"
                              "hostop facts {\n"
                              "  param s: tensor<i64[1]> range(0, 100)\n"
                              "  param y: tensor<i64[1]> inout\n"
                              "  launch push(dim 5, param y)\n"
                              "  launch sorted(param s, param y)\n"
                              "}\n"
                              "hostop twice {\n"
                              "  syms N\n"
                              "  param x: tensor<f32[1, N]>\n"
                              "  param y: tensor<f32[1, N]> out\n"
                              "  require N < 1000\n"
                              "  temp t: f32[1, N]\n"
                              "  temp packed: i4[3, N]\n"
                              "  temp u: f32[1, N]\n"
                              "  launch row(dim N * 2, float 0.5, temp t)\n"
                              "  launch add(param x, temp t, temp u)\n"
                              "  launch row(dim 7, float 100.0, temp t) when N < 4\n"
                              "  launch add(temp u, temp t, param y)\n"
                              "}\n";

static int32_t push_phase(const int64_t *slots, int64_t begin, int64_t end, void *scratch,
                          void *shared, struct tg_cpu_report *report) {
    (void)begin;
    (void)end;
    (void)scratch;
    (void)shared;
    int64_t *y = (int64_t *)(uintptr_t)slots[1];
    if (slots[0] < 0) {
        report->line = 99;
        return TG_CPU_TRAP_ASSERT;
    }
    *y = *y * 10 + slots[0];
    return 0;
}

static int32_t row_phase(const int64_t *slots, int64_t begin, int64_t end, void *scratch,
                         void *shared, struct tg_cpu_report *report) {
    (void)begin;
    (void)end;
    (void)scratch;
    (void)shared;
    (void)report;
    float v, *y = (float *)(uintptr_t)slots[2];
    memcpy(&v, &slots[1], sizeof v);
    for (int64_t i = 0; i < slots[4]; i++) {
        y[i] = v;
    }
    return (int32_t)slots[0] == 7 || (int32_t)slots[0] == 2 * slots[4] ? 0 : TG_CPU_TRAP_ASSERT;
}

static int32_t seven_phase(const int64_t *slots, int64_t begin, int64_t end, void *scratch,
                           void *shared, struct tg_cpu_report *report) {
    (void)begin;
    (void)end;
    (void)scratch;
    (void)shared;
    (void)report;
    *(int64_t *)(uintptr_t)slots[3] = 7;
    return 0;
}

static tgr_module *load(rt_world *w) {
    size_t n;
    unsigned char *bytes = rt_package(push_ir, false, &n);
    const tgr_linked_entry e[] = {
        {.kernel = "push", .n_phases = 1, .plan = rt_plan_one, .phases = {push_phase}},
        {.kernel = "row", .n_phases = 1, .plan = rt_plan_one, .phases = {row_phase}},
        {.kernel = "sorted", .n_phases = 1, .plan = rt_plan_one, .phases = {seven_phase}},
        {.kernel = "add", .n_phases = 1, .plan = rt_plan_rows, .phases = {rt_add_phase}}};
    tgr_module *m = NULL;
    rt_expect(w, tgr_module_load_linked(w->device, bytes, n, NULL, e, 4, &m), TGR_OK);
    tgr_linked_entry bad = {
        .kernel = "nope", .n_phases = 1, .plan = rt_plan_one, .phases = {push_phase}};
    tgr_module *none = NULL;
    rt_expect(w, tgr_module_load_linked(w->device, bytes, n, NULL, &bad, 1, &none),
              TGR_E_NOT_FOUND);
    free(bytes);
    return m;
}

static tgr_status push(rt_world *w, tgr_module *m, tgr_queue *q, int64_t *y, int64_t x) {
    tgr_kernel *k = NULL;
    int64_t one = 1;
    rt_expect(w, tgr_module_find(m, "push", NULL, 0, &k), TGR_OK);
    tgr_arg args[] = {tgr_arg_i64(x), tgr_arg_tensor(y, TG_DT_I64, 1, &one)};
    return tgr_launch(q, k, args, 2, NULL);
}

static void test_order(void **state) {
    (void)state;
    rt_world w;
    rt_open(&w, "cpu", 2, TGR_QUEUE_ASYNC);
    tgr_module *m = load(&w);
    for (int round = 0; round < 20; round++) {
        int64_t y = 0;
        for (int64_t i = 1; i <= 9; i++) {
            rt_expect(&w, push(&w, m, w.queue, &y, i), TGR_OK);
        }
        rt_expect(&w, tgr_queue_wait(w.queue), TGR_OK);
        assert_int_equal(y, 123456789);
    }
    int64_t z = 0; /* more than the ring holds */
    for (int i = 0; i < 1000; i++) {
        rt_expect(&w, push(&w, m, w.queue, &z, 0), TGR_OK);
    }
    tgr_module_release(m); /* still in flight: the queue keeps it */
    rt_expect(&w, tgr_queue_wait(w.queue), TGR_OK);
    rt_close(&w);
}

static void test_events(void **state) {
    (void)state;
    rt_world w;
    rt_open(&w, "cpu", 2, TGR_QUEUE_ASYNC);
    tgr_module *m = load(&w);
    tgr_queue *other = NULL;
    rt_expect(&w, tgr_queue_create(w.device, TGR_QUEUE_ASYNC, &other), TGR_OK);
    for (int round = 0; round < 50; round++) {
        int64_t y = 0;
        tgr_event *e = NULL, *f = NULL;
        rt_expect(&w, push(&w, m, w.queue, &y, 1), TGR_OK);
        rt_expect(&w, tgr_queue_record(w.queue, &e), TGR_OK);
        rt_expect(&w, tgr_queue_wait_event(other, e), TGR_OK);
        rt_expect(&w, push(&w, m, other, &y, 2), TGR_OK);
        rt_expect(&w, tgr_queue_record(other, &f), TGR_OK);
        rt_expect(&w, tgr_queue_wait_event(w.queue, f), TGR_OK);
        rt_expect(&w, push(&w, m, w.queue, &y, 3), TGR_OK);
        rt_expect(&w, tgr_event_wait(f, -1), TGR_OK);
        rt_expect(&w, tgr_queue_wait(w.queue), TGR_OK);
        assert_int_equal(y, 123);
        assert_true(tgr_event_time_ns(e) > 0 && tgr_event_time_ns(e) <= tgr_event_time_ns(f));
        assert_int_equal(tgr_event_wait(e, 0), TGR_OK);
        tgr_event_release(e);
        tgr_event_release(f);
    }
    tgr_queue_release(other);
    tgr_module_release(m);
    rt_close(&w);
}

static void test_late_errors(void **state) {
    (void)state;
    rt_world w;
    rt_open(&w, "cpu", 2, TGR_QUEUE_ASYNC);
    tgr_module *m = load(&w);
    int64_t y = 0;
    tgr_event *e = NULL;
    rt_expect(&w, push(&w, m, w.queue, &y, -1), TGR_OK);
    rt_expect(&w, push(&w, m, w.queue, &y, 5), TGR_OK); /* still runs */
    rt_expect(&w, tgr_queue_record(w.queue, &e), TGR_OK);
    rt_expect(&w, tgr_event_wait(e, 10000000000), TGR_E_TRAP);
    rt_expect_message(&w, "kernel `push`, line 99");
    rt_expect(&w, tgr_queue_wait(w.queue), TGR_E_TRAP);
    rt_expect_message(&w, "kernel `push`, line 99");
    rt_expect(&w, tgr_queue_wait(w.queue), TGR_OK);
    assert_int_equal(y, 5);
    tgr_event_release(e);
    tgr_module_release(m);
    rt_close(&w);
}

static void run_graph(uint32_t flags) {
    rt_world w;
    rt_open(&w, "cpu", 2, flags);
    tgr_module *m = load(&w);
    int64_t y = 0;
    tgr_graph *g = NULL;
    tgr_event *e = NULL;
    rt_expect(&w, tgr_capture_end(w.queue, &g), TGR_E_INVALID);
    rt_expect(&w, tgr_capture_begin(w.queue), TGR_OK);
    rt_expect(&w, tgr_capture_begin(w.queue), TGR_E_INVALID);
    rt_expect(&w, push(&w, m, w.queue, &y, 4), TGR_OK);
    rt_expect(&w, push(&w, m, w.queue, &y, 2), TGR_OK);
    rt_expect(&w, tgr_queue_record(w.queue, &e), TGR_E_INVALID);
    rt_expect(&w, tgr_capture_end(w.queue, &g), TGR_OK);
    assert_int_equal(y, 0); /* recorded, not run */
    assert_int_equal(tgr_graph_size(g), 2);
    tgr_module_release(m); /* the graph keeps it */
    rt_expect(&w, tgr_graph_launch(w.queue, g), TGR_OK);
    rt_expect(&w, tgr_graph_launch(w.queue, g), TGR_OK);
    rt_expect(&w, tgr_queue_wait(w.queue), TGR_OK);
    assert_int_equal(y, 4242);
    tgr_graph_release(g);
    rt_close(&w);
}

static void test_graph(void **state) {
    (void)state;
    run_graph(0);
    run_graph(TGR_QUEUE_ASYNC);
}

/* ---- ops ------------------------------------------------------------------------------------ */

static void check_op(const float *x, const float *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        assert_true(y[i] == x[i] + 0.5f + (n < 4 ? 100.0f : 0.5f));
    }
}

static void run_op(uint32_t flags, int64_t n) {
    rt_world w;
    rt_open(&w, "cpu", 2, flags);
    tgr_module *m = load(&w);
    tgr_kernel *op = NULL;
    rt_expect(&w, tgr_module_find(m, "twice", NULL, 0, &op), TGR_OK);
    float x[64], y[64];
    for (int i = 0; i < 64; i++) {
        x[i] = (float)i;
    }
    int64_t e[] = {1, n};
    tgr_arg args[] = {tgr_arg_tensor(x, TG_DT_F32, 2, e), tgr_arg_tensor(y, TG_DT_F32, 2, e)};
    size_t bytes = 0;
    rt_expect(&w, tgr_kernel_workspace(op, args, 2, NULL, &bytes), TGR_OK);
    assert_true(bytes >= (size_t)(2 * 4 * n) && bytes % 64 == 0);
    rt_expect(&w, tgr_launch(w.queue, op, args, 2, NULL), TGR_OK);
    rt_expect(&w, tgr_queue_wait(w.queue), TGR_OK);
    check_op(x, y, n);
    memset(y, 0, sizeof y);
    _Alignas(64) static unsigned char space[4096];
    tgr_launch_options o = TGR_INIT(tgr_launch_options);
    o.workspace = space;
    o.workspace_bytes = bytes - 1;
    rt_expect(&w, tgr_launch(w.queue, op, args, 2, &o), TGR_E_MISMATCH);
    o.workspace_bytes = bytes;
    rt_expect(&w, tgr_launch(w.queue, op, args, 2, &o), TGR_OK);
    rt_expect(&w, tgr_queue_wait(w.queue), TGR_OK);
    check_op(x, y, n);
    memset(y, 0, sizeof y);
    tgr_graph *g = NULL;
    rt_expect(&w, tgr_capture_begin(w.queue), TGR_OK);
    rt_expect(&w, tgr_launch(w.queue, op, args, 2, NULL), TGR_OK);
    rt_expect(&w, tgr_capture_end(w.queue, &g), TGR_OK);
    assert_int_equal(tgr_graph_size(g), n < 4 ? 4 : 3);
    rt_expect(&w, tgr_graph_launch(w.queue, g), TGR_OK);
    rt_expect(&w, tgr_queue_wait(w.queue), TGR_OK);
    check_op(x, y, n);
    tgr_graph_release(g);
    args[1].data = x; /* y over x */
    rt_expect(&w, tgr_launch(w.queue, op, args, 2, NULL), TGR_E_OVERLAP);
    tgr_module_release(m);
    rt_close(&w);
}

static void test_op(void **state) {
    (void)state;
    run_op(0, 3);
    run_op(0, 64);
    run_op(TGR_QUEUE_ASYNC, 17);
}

/* Facts are checked when the work's turn comes: of an op's arguments, and of its kernels'. */
static void run_facts(uint32_t flags, int64_t s, tgr_status want, int64_t want_y) {
    rt_world w;
    rt_open(&w, "cpu", 2, flags);
    tgr_module *m = load(&w);
    tgr_kernel *op = NULL;
    rt_expect(&w, tgr_module_find(m, "facts", NULL, 0, &op), TGR_OK);
    int64_t y = 0, one = 1;
    tgr_arg args[] = {tgr_arg_tensor(&s, TG_DT_I64, 1, &one),
                      tgr_arg_tensor(&y, TG_DT_I64, 1, &one)};
    tgr_launch_options o = TGR_INIT(tgr_launch_options);
    o.checked = 1;
    tgr_status st = tgr_launch(w.queue, op, args, 2, &o);
    tgr_status late = tgr_queue_wait(w.queue);
    rt_expect(&w, st ? st : late, want);
    assert_int_equal(y, want_y);
    o.checked = 0;
    rt_expect(&w, tgr_launch(w.queue, op, args, 2, &o), TGR_OK);
    rt_expect(&w, tgr_queue_wait(w.queue), TGR_OK);
    assert_int_equal(y, 7);
    tgr_module_release(m);
    rt_close(&w);
}

static void test_facts(void **state) {
    (void)state;
    run_facts(0, 3, TGR_OK, 7);
    run_facts(0, 50, TGR_E_FACT, 5);
    run_facts(0, 500, TGR_E_FACT, 0);
    run_facts(TGR_QUEUE_ASYNC, 3, TGR_OK, 7);
    run_facts(TGR_QUEUE_ASYNC, 50, TGR_E_FACT, 5);
}

/* Data that earlier work of the queue writes is checked after that work. */
static void test_facts_in_order(void **state) {
    (void)state;
    rt_world w;
    rt_open(&w, "cpu", 2, TGR_QUEUE_ASYNC);
    tgr_module *m = load(&w);
    tgr_kernel *k = NULL;
    rt_expect(&w, tgr_module_find(m, "sorted", NULL, 0, &k), TGR_OK);
    int64_t s = 777, y = 0, one = 1;
    tgr_arg first[] = {tgr_arg_tensor(&y, TG_DT_I64, 1, &one),
                       tgr_arg_tensor(&s, TG_DT_I64, 1, &one)};
    tgr_arg second[] = {tgr_arg_tensor(&s, TG_DT_I64, 1, &one),
                        tgr_arg_tensor(&y, TG_DT_I64, 1, &one)};
    tgr_launch_options o = TGR_INIT(tgr_launch_options);
    o.checked = 1;
    rt_expect(&w, tgr_launch(w.queue, k, first, 2, &o), TGR_OK); /* s = 7 */
    rt_expect(&w, tgr_launch(w.queue, k, second, 2, &o), TGR_OK);
    rt_expect(&w, tgr_queue_wait(w.queue), TGR_OK);
    assert_int_equal(y, 7);
    tgr_module_release(m);
    rt_close(&w);
}

/* ---- threads -------------------------------------------------------------------------------- */

static void serial_loop(void *user, int64_t n, tgr_task_fn task, void *arg) {
    int *calls = user;
    (*calls)++;
    for (int64_t i = n - 1; i >= 0; i--) {
        task(arg, i, (int32_t)(i % 3));
    }
}

static void broken_loop(void *user, int64_t n, tgr_task_fn task, void *arg) {
    (void)user;
    (void)n;
    task(arg, 0, 77); /* no such thread; and the rest is forgotten */
}

static void test_host_loop(void **state) {
    (void)state;
    for (int broken = 0; broken < 2; broken++) {
        rt_world w;
        rt_open(&w, "cpu", 1, 0);
        int calls = 0;
        tgr_device_options o = TGR_INIT(tgr_device_options);
        o.n_threads = 3;
        o.parallel_for = broken ? broken_loop : serial_loop;
        o.parallel_user = &calls;
        tgr_device *d = NULL;
        tgr_queue *q = NULL;
        rt_expect(&w, tgr_device_open(w.context, "cpu", &o, &d), TGR_OK);
        rt_expect(&w, tgr_queue_create(d, 0, &q), TGR_OK);
        tgr_device *saved = w.device;
        w.device = d;
        tgr_module *m = load(&w);
        w.device = saved;
        tgr_kernel *k = NULL;
        rt_expect(&w, tgr_module_find(m, "add", NULL, 0, &k), TGR_OK);
        static float a[1000], b[1000], c[1000];
        for (int i = 0; i < 1000; i++) {
            a[i] = (float)i;
            b[i] = 1;
            c[i] = 0;
        }
        int64_t e[] = {100, 10};
        tgr_arg args[] = {tgr_arg_tensor(a, TG_DT_F32, 2, e), tgr_arg_tensor(b, TG_DT_F32, 2, e),
                          tgr_arg_tensor(c, TG_DT_F32, 2, e)};
        rt_expect(&w, tgr_launch(q, k, args, 3, NULL), TGR_OK);
        for (int i = 0; i < 1000; i++) {
            assert_true(c[i] == a[i] + 1);
        }
        assert_int_equal(calls, broken ? 0 : 1);
        tgr_module_release(m);
        tgr_queue_release(q);
        tgr_device_release(d);
        rt_close(&w);
    }
}

typedef struct user_thread {
    rt_world *w;
    tgr_module *m;
    int64_t y;
    pthread_t thread;
} user_thread;

static void *use_queue(void *arg) {
    user_thread *u = arg;
    for (int i = 0; i < 300; i++) {
        if (push(u->w, u->m, u->w->queue, &u->y, 0) != TGR_OK ||
            push(u->w, u->m, u->w->queue, &u->y, -2) != TGR_E_TRAP) {
            u->y = -1;
        }
        char text[128];
        (void)tgr_context_message(u->w->context, text, sizeof text);
        if (!strstr(text, "line 99")) {
            u->y = -1;
        }
    }
    return NULL;
}

/* Several host threads on one queue; each sees its own messages. */
static void test_host_threads(void **state) {
    (void)state;
    rt_world w;
    rt_open(&w, "cpu", 2, 0);
    tgr_module *m = load(&w);
    user_thread u[4];
    for (int i = 0; i < 4; i++) {
        u[i] = (user_thread){.w = &w, .m = m};
        assert_int_equal(pthread_create(&u[i].thread, NULL, use_queue, &u[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(u[i].thread, NULL);
        assert_int_equal(u[i].y, 0);
    }
    tgr_module_release(m);
    rt_close(&w);
}

/*
 * Many launches in a child that may do nothing but read, write and exit: any other system call of
 * its thread kills it. Returns the child's exit status, or -1 when it was killed.
 */
static int launches_alone(tgr_queue *queue, const tgr_kernel *k, const tgr_arg *args) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        tgr_status st = TGR_OK;
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) {
            _exit(77);
        }
        for (int i = 0; i < 1000 && !st; i++) {
            st = tgr_launch(queue, k, args, 2, NULL);
        }
        (void)syscall(SYS_exit, st != TGR_OK);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* What a launch of one program costs by itself: no allocation and no system call. (`tegula bench`
 * says how long it takes.) */
static void test_overhead(void **state) {
    (void)state;
    rt_world w;
    rt_open(&w, "cpu", 2, 0);
    tgr_module *m = load(&w);
    int64_t y = 0, one = 1;
    tgr_kernel *k = NULL;
    rt_expect(&w, tgr_module_find(m, "push", NULL, 0, &k), TGR_OK);
    tgr_arg args[] = {tgr_arg_i64(0), tgr_arg_tensor(&y, TG_DT_I64, 1, &one)};
    rt_expect(&w, tgr_launch(w.queue, k, args, 2, NULL), TGR_OK); /* what is made once is there */
    w.heap.fail_at = LONG_MAX;                                    /* counts calls */
    for (int j = 0; j < 1000; j++) {
        rt_expect(&w, tgr_launch(w.queue, k, args, 2, NULL), TGR_OK);
    }
    assert_int_equal(w.heap.calls, 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    int rc = launches_alone(w.queue, k, args);
    assert_true(rc == 0 || rc == 77); /* 77: this system has no seccomp */
#endif
    tgr_module_release(m);
    rt_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_order),
                                       cmocka_unit_test(test_events),
                                       cmocka_unit_test(test_late_errors),
                                       cmocka_unit_test(test_graph),
                                       cmocka_unit_test(test_op),
                                       cmocka_unit_test(test_facts),
                                       cmocka_unit_test(test_facts_in_order),
                                       cmocka_unit_test(test_host_loop),
                                       cmocka_unit_test(test_host_threads),
                                       cmocka_unit_test(test_overhead)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
