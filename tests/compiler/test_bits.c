/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bits depend on package, shapes and inputs alone (docs/language.md, guarantee 7): not on the
 * number of threads, the host's parallel loop, addresses, the queue, or the floating-point
 * environment that the host happens to have; and the host finds its environment as it left it.
 */
#include "tests/runtime/support.h"

#include <fenv.h>
#include <stdio.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include <tegula/compiler.h>

static const char source[] =
    "kernel mix(a: f32[M, K], b: f32[K, N], out c: f32[M, N], out s: f32[M])\n"
    "  tune BM = 8, BN = 16, BK = 32\n"
    "  grid i: M by BM\n"
    "{\n"
    "  var t = zeros f32[BM]\n"
    "  for j: N by BN {\n"
    "    var acc = zeros f32[BM, BN]\n"
    "    for k: K by BK { acc += a[i, k] @ b[k, j] }\n"
    "    c[i, j] = exp(acc * 0.01) / 3.0\n"
    "    t += sum(acc, axis 1)\n"
    "  }\n"
    "  s[i] = t\n"
    "}\n";

enum { M = 67, N = 45, K = 131, PAD = 16 };

typedef struct result {
    float c[M * N], s[M];
} result;

static float a[M * K + PAD], b[K * N + PAD];

static void fill(float *x, size_t n, uint32_t seed) {
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = ((float)(seed >> 8) / 16777216.0f - 0.5f) *
               (i % 13 ? 1.0f : 1e-38f); /* some subnormal products */
    }
}

static void run(tgr_queue *queue, tgr_kernel *k, size_t shift, result *out) {
    static float c[M * N + PAD], s[M + PAD], x[M * K + PAD], y[K * N + PAD];
    memcpy(x + shift, a, M * K * sizeof *a);
    memcpy(y + shift, b, K * N * sizeof *b);
    int64_t ea[] = {M, K}, eb[] = {K, N}, ec[] = {M, N}, es[] = {M};
    tgr_arg args[] = {
        tgr_arg_tensor(x + shift, TG_DT_F32, 2, ea), tgr_arg_tensor(y + shift, TG_DT_F32, 2, eb),
        tgr_arg_tensor(c + shift, TG_DT_F32, 2, ec), tgr_arg_tensor(s + shift, TG_DT_F32, 1, es)};
    assert_int_equal(tgr_launch(queue, k, args, 4, NULL), TGR_OK);
    assert_int_equal(tgr_queue_wait(queue), TGR_OK);
    memcpy(out->c, c + shift, sizeof out->c);
    memcpy(out->s, s + shift, sizeof out->s);
}

static void backwards(void *user, int64_t n, tgr_task_fn task, void *arg) {
    (void)user;
    for (int64_t i = n - 1; i >= 0; i--) {
        task(arg, i, (int32_t)i);
    }
}

/* Runs the package with the given threads, loop, queue and data alignment. */
static void with(const void *bytes, size_t n, int32_t threads, tgr_parallel_for_fn loop,
                 uint32_t flags, size_t shift, result *out) {
    tgr_context *context = NULL;
    tgr_device *device = NULL;
    tgr_queue *queue = NULL;
    tgr_module *m = NULL;
    tgr_device_options d = TGR_INIT(tgr_device_options);
    d.n_threads = threads;
    d.parallel_for = loop;
    tgr_load_options l = TGR_INIT(tgr_load_options);
    l.flags = TGR_LOAD_TRUSTED;
    assert_int_equal(tgr_context_create(NULL, &context), TGR_OK);
    assert_int_equal(tgr_device_open(context, "cpu", &d, &device), TGR_OK);
    assert_int_equal(tgr_queue_create(device, flags, &queue), TGR_OK);
    assert_int_equal(tgr_module_load(device, bytes, n, &l, &m), TGR_OK);
    run(queue, tgr_module_kernel(m, 0), shift, out);
    tgr_module_release(m);
    tgr_queue_release(queue);
    tgr_device_release(device);
    tgr_context_release(context);
}

static tgc_result compile(void) {
    tgc_options o = TGR_INIT(tgc_options);
    o.source = source;
    o.source_bytes = strlen(source);
    tgc_result r;
    tgr_status st = tgc_compile(&o, &r);
    if (r.diagnostics) {
        fprintf(stderr, "%s\n", r.diagnostics);
    }
    assert_int_equal(st, TGR_OK);
    fill(a, M * K, 1);
    fill(b, K * N, 2);
    return r;
}

static void test_threads(void **state) {
    (void)state;
    tgc_result r = compile();
    static result first, other;
    with(r.bytes, r.n_bytes, 1, NULL, 0, 0, &first);
    for (int32_t threads = 1; threads <= 5; threads++) {
        with(r.bytes, r.n_bytes, threads, NULL, 0, 0, &other);
        assert_memory_equal(&first, &other, sizeof first);
        with(r.bytes, r.n_bytes, threads, backwards, 0, 3, &other);
        assert_memory_equal(&first, &other, sizeof first);
        with(r.bytes, r.n_bytes, threads, NULL, TGR_QUEUE_ASYNC, (size_t)threads, &other);
        assert_memory_equal(&first, &other, sizeof first);
    }
    tgc_result_fini(&r);
}

static void test_environment(void **state) {
    (void)state;
    tgc_result r = compile();
    static result first, other;
    with(r.bytes, r.n_bytes, 2, NULL, 0, 0, &first);
    static const int modes[] = {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(fesetround(modes[i]), 0);
        with(r.bytes, r.n_bytes, 2, NULL, 0, 0, &other);
        int mode = fegetround();
        assert_int_equal(fesetround(FE_TONEAREST), 0);
        assert_int_equal(mode, modes[i]);
        assert_memory_equal(&first, &other, sizeof first);
    }
#if defined(__x86_64__)
    unsigned old = _mm_getcsr();
    _mm_setcsr(old | 0x8040); /* subnormals to zero, as many a host has it */
    with(r.bytes, r.n_bytes, 2, NULL, 0, 0, &other);
    unsigned after = _mm_getcsr();
    _mm_setcsr(old);
    assert_int_equal(after & 0x8040, 0x8040);
    assert_memory_equal(&first, &other, sizeof first);
#endif
    tgc_result_fini(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads),
                                       cmocka_unit_test(test_environment)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
