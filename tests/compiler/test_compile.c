/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compiler library end to end: source to package to launch, every kind of output, several
 * targets, the cache, wrong programs, memory failure at every allocation.
 */
#include "tests/runtime/support.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tegula/compiler.h>

#include "ir/passes.h"

static const char matmul[] =
    "kernel matmul[T: f16 | bf16 | f32](a: T[M, K], b: T[K, N], out c: T[M, N])\n"
    "  tune BM = 32 in {32, 64}, BN = 32 in {32, 64}, BK = 32 in {32, 64}\n"
    "  grid i: M by BM, j: N by BN\n"
    "{\n"
    "  var acc = zeros f32[BM, BN]\n"
    "  for k: K by BK { acc += a[i, k] @ b[k, j] }\n"
    "  c[i, j] = acc as T\n"
    "}\n";

static const char add[] = "kernel add(a: f32[N], b: f32[N], out c: f32[N])\n"
                          "  grid i: N by 64\n"
                          "{ c[i] = a[i] + b[i] }\n";

static tgc_options options_for(const char *source) {
    tgc_options o = TGR_INIT(tgc_options);
    o.source = source;
    o.source_bytes = strlen(source);
    o.source_name = "test.tg";
    return o;
}

static void run_matmul(rt_world *w, tgr_module *m, int M, int N, int K) {
    tgr_kernel *k = NULL;
    rt_expect(w, tgr_module_find(m, "matmul", NULL, 0, &k), TGR_OK);
    float *a = malloc(sizeof(float) * (size_t)(M * K)),
          *b = malloc(sizeof(float) * (size_t)(K * N));
    float *c = malloc(sizeof(float) * (size_t)(M * N));
    for (int i = 0; i < M * K; i++) {
        a[i] = (float)(i % 7 - 3);
    }
    for (int i = 0; i < K * N; i++) {
        b[i] = (float)(i % 5 - 2);
    }
    int64_t ea[] = {M, K}, eb[] = {K, N}, ec[] = {M, N};
    tgr_arg args[] = {tgr_arg_tensor(a, TG_DT_F32, 2, ea), tgr_arg_tensor(b, TG_DT_F32, 2, eb),
                      tgr_arg_tensor(c, TG_DT_F32, 2, ec)};
    rt_expect(w, tgr_launch(w->queue, k, args, 3, NULL), TGR_OK);
    for (int i = 0; i < M; i++) {
        for (int j = 0; j < N; j++) {
            float want = 0;
            for (int x = 0; x < K; x++) {
                want += a[i * K + x] * b[x * N + j];
            }
            assert_true(c[i * N + j] == want); /* small integers: exact in any order */
        }
    }
    free(a);
    free(b);
    free(c);
}

static tgc_instance f32_matmul(void) {
    static const tgr_setting f32[] = {{"T", "f32"}};
    return (tgc_instance){.kernel = "matmul", .settings = f32, .n_settings = 1};
}

static void test_jit(void **state) {
    (void)state;
    rt_world w;
    rt_open(&w, "cpu", 2, 0);
    tgc_options o = options_for(matmul);
    tgc_instance in = f32_matmul();
    o.instances = &in;
    o.n_instances = 1;
    tgr_module *m = NULL;
    char *text = NULL;
    tgr_status st = tgr_module_from_source(w.device, &o, NULL, NULL, &m, &text);
    if (text) {
        fprintf(stderr, "%s\n", text);
    }
    rt_expect(&w, st, TGR_OK);
    tgc_text_free(&o, text);
    run_matmul(&w, m, 33, 17, 65);
    run_matmul(&w, m, 1, 1, 1);
    run_matmul(&w, m, 64, 32, 96);
    tgr_module_release(m);
    rt_close(&w);
}

static tgr_status compile(tgc_options *o, uint32_t emit, tgc_result *r) {
    static tgc_instance in;
    in = f32_matmul();
    o->instances = &in;
    o->n_instances = 1;
    o->emit = emit;
    tgr_status st = tgc_compile(o, r);
    if (st && r->diagnostics) {
        fprintf(stderr, "%s\n", r->diagnostics);
    }
    return st;
}

static void test_emit(void **state) {
    (void)state;
    static const struct {
        uint32_t emit;
        const char *part;
    } kinds[] = {{TGC_EMIT_AST, "matmul"},
                 {TGC_EMIT_TILE, "kernel tile"},
                 {TGC_EMIT_LOOP, "loop"},
                 {TGC_EMIT_LLVM, "define"},
                 {TGC_EMIT_ASM, ".text"},
                 {TGC_EMIT_OBJECT, "\x7f"
                                   "ELF"},
                 {TGC_EMIT_HEADER, "tgr_linked_entry"},
                 {TGC_EMIT_PACKAGE, TG_PACK_MAGIC}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        tgc_options o = options_for(matmul);
        tgc_result r;
        assert_int_equal(compile(&o, kinds[i].emit, &r), TGR_OK);
        assert_non_null(r.bytes);
        if (!strstr(r.bytes, kinds[i].part)) {
            fprintf(stderr, "emit %u lacks %s:\n%s\n", kinds[i].emit, kinds[i].part,
                    (char *)r.bytes);
            fail();
        }
        tgc_result again; /* the same input gives the same bytes */
        assert_int_equal(compile(&o, kinds[i].emit, &again), TGR_OK);
        assert_int_equal(again.n_bytes, r.n_bytes);
        assert_memory_equal(again.bytes, r.bytes, r.n_bytes);
        tgc_result_fini(&again);
        tgc_result_fini(&r);
    }
}

/* Names of the tile stages in order, as tgc_pipeline shows them. */
static size_t tile_stages(const char **out, size_t max) {
    const char *const *names = tgc_pipeline();
    size_t n = 0;
    while (strcmp(*names, "specialise") != 0) {
        names++;
    }
    for (; strcmp(*names, "codegen") != 0 && n < max; names++) {
        out[n++] = *names;
    }
    return n;
}

/* A dump of any tile stage compiles on: text out of one stage into the next gives working code. */
static void test_stages(void **state) {
    (void)state;
    const char *stages[32];
    size_t n = tile_stages(stages, 32);
    for (size_t i = 0; i + 1 < n; i++) { /* specialise .. the last tile pass */
        tgc_options o = options_for(matmul);
        tgc_result dump;
        o.stop_after = stages[i];
        assert_int_equal(compile(&o, TGC_EMIT_PACKAGE, &dump), TGR_OK);
        rt_world w;
        rt_open(&w, "cpu", 2, 0);
        tgc_options rest = TGR_INIT(tgc_options);
        rest.source = dump.bytes;
        rest.source_bytes = dump.n_bytes;
        rest.from_ir = 1;
        rest.verify_each = 1;
        rest.start_from = stages[i + 1];
        tgr_module *m = NULL;
        char *text = NULL;
        tgr_status st = tgr_module_from_source(w.device, &rest, NULL, NULL, &m, &text);
        if (text) {
            fprintf(stderr, "after %s: %s\n", stages[i], text);
        }
        rt_expect(&w, st, TGR_OK);
        tgc_text_free(&rest, text);
        run_matmul(&w, m, 33, 17, 65);
        tgr_module_release(m);
        rt_close(&w);
        tgc_result_fini(&dump);
    }
}

static void test_pipeline(void **state) {
    (void)state;
    const char *stages[32];
    assert_int_equal(tile_stages(stages, 32),
                     tg_tile_pipeline_count + 3); /* specialise, passes, place, lower */
    for (size_t p = 0; p < tg_tile_pipeline_count; p++) {
        const char *name = tg_tile_pipeline[p].name;
        assert_non_null(tgc_pipeline_doc(stages[p + 1]));
        assert_int_equal(strncmp(stages[p + 1], name, strlen(name)), 0);
    }
    assert_null(tgc_pipeline_doc("nope"));
    tgc_options o = options_for(add);
    tgc_result r;
    o.stop_after = "nope";
    assert_int_equal(tgc_compile(&o, &r), TGR_E_INVALID);
    tgc_result_fini(&r);
}

static void test_targets(void **state) {
    (void)state;
    static const char *const names[] = {"x86-64-v3", "x86-64-v4", "x86-64-v3"};
    tgc_options o = options_for(matmul);
    o.targets = names;
    o.n_targets = 3;
    tgc_result r;
    assert_int_equal(compile(&o, TGC_EMIT_PACKAGE, &r), TGR_OK);
    rt_world w;
    rt_open(&w, "null", 1, 0);
    tgr_package *p = NULL;
    rt_expect(&w, tgr_package_open(w.context, r.bytes, r.n_bytes, &p), TGR_OK);
    assert_int_equal(tgr_package_kernel_count(p), 1);
    const tgr_kernel *k = tgr_package_kernel(p, 0);
    assert_int_equal(tgr_kernel_code_count(k, 0), 2);
    tgr_code_info c;
    rt_expect(&w, tgr_kernel_code(k, 0, 0, &c), TGR_OK);
    assert_string_equal(c.isa, "x86-64-v4"); /* best first */
    assert_non_null(tgr_package_ir(p, NULL));
    tgr_package_release(p);
    tgc_result_fini(&r);
    static const char *const unknown[] = {"z80"};
    o.targets = unknown;
    o.n_targets = 1;
    assert_int_equal(tgc_compile(&o, &r), TGR_E_UNSUPPORTED);
    assert_non_null(strstr(r.diagnostics, "there is no target `z80`"));
    tgc_result_fini(&r);
    tgc_target_info info;
    int hosts = 0;
    for (int32_t i = 0; tgc_target(i, &info) == TGR_OK; i++) {
        hosts += info.is_host;
    }
    assert_true(hosts >= 0);
    rt_close(&w);
}

static void test_wrong(void **state) {
    (void)state;
    static const struct {
        const char *source, *part;
    } cases[] = {
        {"", "nothing to compile"},
        {"kernel", "error"},
        {"kernel k(out y: f32[N]) grid i: N by 4 { y[i] = x[i] }", "x"},
        {"\xff\xfe\x00garbage", "error"},
        {"kernel k[T: f16 | f32](a: T[N], out y: T[N]) grid i: N by 4 { y[i] = a[i] }", "T"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (uint32_t json = 0; json < 2; json++) {
            tgc_options o = options_for(cases[i].source);
            o.json = json;
            tgc_result r;
            assert_int_equal(tgc_compile(&o, &r), TGR_E_SOURCE);
            assert_true(r.errors > 0);
            assert_null(r.bytes);
            if (!strstr(r.diagnostics, cases[i].part)) {
                fprintf(stderr, "%s lacks %s\n", r.diagnostics, cases[i].part);
                fail();
            }
            tgc_result_fini(&r);
        }
    }
    tgc_options o = options_for(add);
    tgc_instance in = {.kernel = "sub"};
    o.instances = &in;
    o.n_instances = 1;
    tgc_result r;
    assert_int_equal(tgc_compile(&o, &r), TGR_E_SOURCE);
    assert_non_null(strstr(r.diagnostics, "there is no kernel or op `sub`"));
    tgc_result_fini(&r);
    assert_int_equal(tgc_compile(NULL, &r), TGR_E_INVALID);
    o.struct_bytes = 2;
    assert_int_equal(tgc_compile(&o, &r), TGR_E_INVALID);
}

static int no_entry(void *user, const tgr_cache_entry *e) {
    (void)e;
    (*(int *)user)++;
    return 0;
}

static void test_cache(void **state) {
    (void)state;
    rt_world w;
    rt_open(&w, "cpu", 2, 0);
    char dir[] = "/tmp/tegula-compile-XXXXXX";
    assert_non_null(mkdtemp(dir));
    tgr_cache *cache = NULL;
    rt_expect(&w, tgr_cache_open(w.context, dir, 0, &cache), TGR_OK);
    tgc_options o = options_for(matmul);
    tgc_instance in = f32_matmul();
    o.instances = &in;
    o.n_instances = 1;
    for (int i = 0; i < 4; i++) {
        o.no_schedule = i == 2; /* another key; then the first again */
        tgr_module *m = NULL;
        rt_expect(&w, tgr_module_from_source(w.device, &o, cache, NULL, &m, NULL), TGR_OK);
        run_matmul(&w, m, 9, 10, 11);
        tgr_module_release(m);
        int n = 0;
        rt_expect(&w, tgr_cache_list(cache, 1, no_entry, &n), TGR_OK);
        assert_int_equal(n, i < 2 ? 1 : 2);
    }
    rt_expect(&w, tgr_cache_clear(cache, NULL), TGR_OK);
    tgr_cache_release(cache);
    assert_int_equal(rmdir(dir), 0);
    char id[256];
    assert_true(tgc_build_id(id, sizeof id) < sizeof id);
    assert_non_null(strstr(id, "build ")); /* the linker's id: another build, another key */
    assert_true(strlen(strstr(id, "build ")) > 20);
    rt_close(&w);
}

/* Memory failure at each allocation of a compilation, and every limit. */
static void test_memory(void **state) {
    (void)state;
    rt_heap heap = {0};
    long k = 1;
    tgc_options o = options_for(add);
    o.emit = TGC_EMIT_LOOP;
    for (;; k++) {
        heap = (rt_heap){.fail_at = k};
        o.allocator = rt_allocator(&heap);
        tgc_result r;
        tgr_status st = tgc_compile(&o, &r);
        tgc_result_fini(&r);
        assert_int_equal(heap.live_blocks, 0);
        assert_int_equal(heap.live_bytes, 0);
        if (st == TGR_OK && heap.calls < k) {
            break;
        }
        assert_true(st == TGR_E_NOMEM || st == TGR_OK);
    }
    assert_true(k > 3);
    heap = (rt_heap){0};
    tgc_result r;
    assert_int_equal(tgc_compile(&o, &r), TGR_OK);
    size_t peak = r.peak_bytes;
    tgc_result_fini(&r);
    for (size_t limit = 1; limit < peak; limit += peak / 40 + 1) {
        o.limit_bytes = limit;
        tgr_status st =
            tgc_compile(&o, &r); /* blocks get smaller near the limit: it may just fit */
        assert_true(st == TGR_E_NOMEM || (st == TGR_OK && limit > peak / 4));
        tgc_result_fini(&r);
        assert_int_equal(heap.live_blocks, 0);
    }
    o.emit = TGC_EMIT_PACKAGE; /* through the code generator too */
    o.limit_bytes = 0;
    for (k = 1;; k += 1 + k / 8) {
        heap = (rt_heap){.fail_at = k};
        tgr_status st = tgc_compile(&o, &r);
        tgc_result_fini(&r);
        assert_int_equal(heap.live_blocks, 0);
        if (st == TGR_OK && heap.calls < k) {
            break;
        }
        assert_true(st == TGR_E_NOMEM || st == TGR_OK);
    }
}

/* ---- ops, variants, facts ------------------------------------------------------------------- */

static tgr_module *load_source(rt_world *w, const char *source, uint32_t flags) {
    tgc_options o = options_for(source);
    tgr_load_options l = TGR_INIT(tgr_load_options);
    l.flags = flags;
    tgr_module *m = NULL;
    char *text = NULL;
    tgr_status st = tgr_module_from_source(w->device, &o, NULL, &l, &m, &text);
    if (text) {
        fprintf(stderr, "%s\n", text);
    }
    rt_expect(w, st, TGR_OK);
    tgc_text_free(&o, text);
    return m;
}

static const char op_source[] =
    "kernel scale[T: f32 | f64](x: T[N], s: T, out y: T[N]) grid i: N by 32 { y[i] = x[i] * s }\n"
    "kernel rows(x: f32[M, N], out y: f32[M]) tune BN = 16 grid i: M by 8 {\n"
    "  var acc = zeros f32[8]\n"
    "  for j: N by BN { acc += sum(x[i, j], axis 1) }\n"
    "  y[i] = acc\n"
    "}\n"
    "op twice(x: f32[M, N], out y: f32[M]) {\n"
    "  temp t: f32[M], u: f32[M]\n"
    "  rows(x, out t)\n"
    "  scale(t, 2.0, out u)\n"
    "  if M < 4 { scale(u, 10.0, out y) } else { scale(u, 0.5, out y) }\n"
    "}\n";

static void test_op(void **state) {
    (void)state;
    rt_world w;
    rt_open(&w, "cpu", 2, 0);
    tgc_options o = options_for(op_source);
    tgc_instance in = {.kernel = "twice"};
    o.instances = &in;
    o.n_instances = 1;
    tgr_module *m = NULL;
    char *text = NULL;
    tgr_status st = tgr_module_from_source(w.device, &o, NULL, NULL, &m, &text);
    if (text) {
        fprintf(stderr, "%s\n", text);
    }
    rt_expect(&w, st, TGR_OK);
    tgc_text_free(&o, text);
    tgr_kernel *op = NULL;
    rt_expect(&w, tgr_module_find(m, "twice", NULL, 0, &op), TGR_OK);
    static float x[40 * 37], y[40];
    for (int i = 0; i < 40 * 37; i++) {
        x[i] = (float)(i % 11);
    }
    for (int64_t rows = 1; rows <= 40; rows += 13) {
        int64_t ex[] = {rows, 37}, ey[] = {rows};
        tgr_arg args[] = {tgr_arg_tensor(x, TG_DT_F32, 2, ex), tgr_arg_tensor(y, TG_DT_F32, 1, ey)};
        rt_expect(&w, tgr_launch(w.queue, op, args, 2, NULL), TGR_OK);
        for (int64_t i = 0; i < rows; i++) {
            float want = 0;
            for (int j = 0; j < 37; j++) {
                want += x[i * 37 + j];
            }
            assert_true(y[i] == want * 2 * (rows < 4 ? 10.0f : 0.5f));
        }
    }
    tgr_module_release(m);
    rt_close(&w);
}

static const char variant_source[] =
    "kernel add(a: f32[M], b: f32[M], out c: f32[M]) tune BM = 64 grid i: M by BM { c[i] = a[i] + "
    "b[i] }\n"
    "schedule add for cpu when M <= 4 { BM = 4 }\n"
    "schedule add for cpu == x86-64-v4 when M > 1000 { BM = 512 }\n";

static void see_variant(void *user, const tgr_profile_record *r) {
    (void)snprintf(user, 64, "%s", r->variant);
}

static void test_variants(void **state) {
    (void)state;
    static const char *const targets[] = {"x86-64-v3", "x86-64-v4"};
    char seen[64] = "";
    tgc_options o = options_for(variant_source);
    o.targets = targets;
    o.n_targets = 2;
    tgc_result r;
    tgr_status st = tgc_compile(&o, &r);
    if (r.diagnostics) {
        fprintf(stderr, "%s\n", r.diagnostics);
    }
    assert_int_equal(st, TGR_OK);
    tgr_context_options co = TGR_INIT(tgr_context_options);
    co.profile = see_variant;
    co.profile_user = seen;
    tgr_context *context = NULL;
    tgr_device *device = NULL;
    tgr_queue *queue = NULL;
    tgr_module *m = NULL;
    assert_int_equal(tgr_context_create(&co, &context), TGR_OK);
    assert_int_equal(tgr_device_open(context, "cpu", NULL, &device), TGR_OK);
    assert_int_equal(tgr_queue_create(device, 0, &queue), TGR_OK);
    tgr_load_options l = TGR_INIT(tgr_load_options);
    l.flags = TGR_LOAD_TRUSTED;
    l.isa = "x86-64-v3";
    assert_int_equal(tgr_module_load(device, r.bytes, r.n_bytes, &l, &m), TGR_OK);
    tgr_device_info info;
    tgr_device_get_info(device, &info);
    bool runs = info.features >> TG_ISA_X86_64_V3 & 1;
    static float a[2000], b[2000], c[2000];
    static const struct {
        int64_t n;
        const char *tune;
    } cases[] = {{3, "BM=4"}, {4, "BM=4"}, {5, "BM=64"}, {2000, "BM=64"}};
    for (size_t i = 0; i < 4 && runs; i++) {
        tgr_arg args[] = {tgr_arg_tensor(a, TG_DT_F32, 1, &cases[i].n),
                          tgr_arg_tensor(b, TG_DT_F32, 1, &cases[i].n),
                          tgr_arg_tensor(c, TG_DT_F32, 1, &cases[i].n)};
        a[cases[i].n - 1] = 5;
        assert_int_equal(tgr_launch(queue, tgr_module_kernel(m, 0), args, 3, NULL), TGR_OK);
        assert_true(c[cases[i].n - 1] == 5);
        assert_non_null(strstr(seen, cases[i].tune));
        a[cases[i].n - 1] = 0;
    }
    tgr_module_release(m);
    tgr_queue_release(queue);
    tgr_device_release(device);
    tgr_context_release(context);
    tgc_result_fini(&r);
}

static const char trap_source[] =
    "kernel pick(x: f32[N], i: i32[M] sorted in 0..N, out y: f32[M])\n"
    "  grid m: M by 8\n"
    "{\n"
    "  let k = i[m.start]\n"
    "  assert k < 5\n"
    "  y[m] = x[i[m]] else 0.0\n"
    "}\n";

static void test_traps(void **state) {
    (void)state;
    rt_world w;
    rt_open(&w, "cpu", 2, 0);
    tgr_module *m = load_source(&w, trap_source, 0);
    float x[10] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, y[20];
    int32_t i[20];
    for (int k = 0; k < 20; k++) {
        i[k] = k / 5;
    }
    int64_t ex = 10, ey = 20;
    tgr_arg args[] = {tgr_arg_tensor(x, TG_DT_F32, 1, &ex), tgr_arg_tensor(i, TG_DT_I32, 1, &ey),
                      tgr_arg_tensor(y, TG_DT_F32, 1, &ey)};
    tgr_launch_options o = TGR_INIT(tgr_launch_options);
    o.checked = 1;
    rt_expect(&w, tgr_launch(w.queue, tgr_module_kernel(m, 0), args, 3, &o), TGR_OK);
    assert_true(y[19] == 3);
    i[19] = 12;
    rt_expect(&w, tgr_launch(w.queue, tgr_module_kernel(m, 0), args, 3, NULL),
              TGR_OK); /* no check, no harm */
    assert_true(y[19] == 0);
    rt_expect(&w, tgr_launch(w.queue, tgr_module_kernel(m, 0), args, 3, &o), TGR_E_FACT);
    rt_expect_message(&w, "element 19 is 12, outside 0..10");
    i[19] = 1;
    rt_expect(&w, tgr_launch(w.queue, tgr_module_kernel(m, 0), args, 3, &o), TGR_E_FACT);
    i[16] = 7;
    rt_expect(&w, tgr_launch(w.queue, tgr_module_kernel(m, 0), args, 3, NULL), TGR_E_TRAP);
    rt_expect_message(&w, "kernel `pick`, line 5: an assertion failed (program 2)");
    tgr_module_release(m);
    rt_close(&w);
}

static const char instances_source[] =
    "kernel copy[T: f32 | i32, B](x: T[N], out y: T[N]) grid i: N by B { y[i] = x[i] }\n"
    "kernel free(out y: f32[N]) grid i: N by 8 { y[i] = zeros f32[8] }\n"
    "instantiate copy [f32] B=8\n"
    "instantiate copy [i32] B=16\n";

static void test_instances(void **state) {
    (void)state;
    rt_world w;
    rt_open(&w, "cpu", 2, 0);
    tgr_module *m = load_source(&w, instances_source, 0);
    assert_int_equal(tgr_module_kernel_count(m), 3);
    tgr_kernel *k = NULL;
    rt_expect(&w, tgr_module_find(m, "copy", NULL, 0, &k), TGR_E_INVALID);
    rt_expect_message(&w, "2 specialisations of `copy` agree");
    tgr_setting want = {"T", "i32"};
    rt_expect(&w, tgr_module_find(m, "copy", &want, 1, &k), TGR_OK);
    int32_t x[5] = {1, 2, 3, 4, 5}, y[5] = {0};
    int64_t n = 5;
    tgr_arg args[] = {tgr_arg_tensor(x, TG_DT_I32, 1, &n), tgr_arg_tensor(y, TG_DT_I32, 1, &n)};
    rt_expect(&w, tgr_launch(w.queue, k, args, 2, NULL), TGR_OK);
    assert_memory_equal(x, y, sizeof x);
    want = (tgr_setting){"B", "8"};
    rt_expect(&w, tgr_module_find(m, "copy", &want, 1, &k), TGR_OK);
    rt_expect(&w, tgr_launch(w.queue, k, args, 2, NULL), TGR_E_MISMATCH);
    tgr_module_release(m);
    rt_close(&w);
}

static void write_file(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void test_imports(void **state) {
    (void)state;
    char dir[] = "/tmp/tegula-import-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/lib.tg", dir);
    write_file(path, "fn half(x) { return x * 0.5 }\n");
    static const char source[] =
        "import \"lib.tg\"\n"
        "kernel k(x: f32[N], out y: f32[N]) grid i: N by 8 { y[i] = lib.half(x[i]) }\n";
    static const char outside[] =
        "import \"../lib.tg\"\nkernel k(out y: f32[N]) grid i: N by 8 { y[i] = zeros f32[8] }\n";
    rt_world w;
    rt_open(&w, "cpu", 2, 0);
    tgc_options o = options_for(source);
    tgr_module *m = NULL;
    assert_int_equal(tgr_module_from_source(w.device, &o, NULL, NULL, &m, NULL),
                     TGR_E_SOURCE); /* no imports */
    o.import_dir = dir;
    char *text = NULL;
    tgr_status st = tgr_module_from_source(w.device, &o, NULL, NULL, &m, &text);
    if (text) {
        fprintf(stderr, "%s\n", text);
    }
    rt_expect(&w, st, TGR_OK);
    tgc_text_free(&o, text);
    float x[3] = {2, 4, 8}, y[3];
    int64_t n = 3;
    tgr_arg args[] = {tgr_arg_tensor(x, TG_DT_F32, 1, &n), tgr_arg_tensor(y, TG_DT_F32, 1, &n)};
    rt_expect(&w, tgr_launch(w.queue, tgr_module_kernel(m, 0), args, 2, NULL), TGR_OK);
    assert_true(y[0] == 1 && y[1] == 2 && y[2] == 4);
    tgr_module_release(m);
    m = NULL;
    o = options_for(outside);
    o.import_dir = dir;
    assert_int_equal(tgr_module_from_source(w.device, &o, NULL, NULL, &m, NULL), TGR_E_SOURCE);
    rt_close(&w);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

/* An import's own imports are looked up beside it. */
static void test_nested_imports(void **state) {
    (void)state;
    char dir[] = "/tmp/tegula-import-XXXXXX", sub[64], lib[64], inner[64];
    assert_non_null(mkdtemp(dir));
    (void)snprintf(sub, sizeof sub, "%s/sub", dir);
    (void)snprintf(lib, sizeof lib, "%s/lib.tg", dir);
    (void)snprintf(inner, sizeof inner, "%s/sub/inner.tg", dir);
    assert_int_equal(mkdir(sub, 0700), 0);
    write_file(lib, "fn half(x) { return x * 0.5 }\n");
    write_file(inner, "import \"./../lib.tg\"\nfn quarter(x) { return lib.half(lib.half(x)) }\n");
    static const char source[] = "import \"sub/inner.tg\"\nimport \"lib.tg\"\n"
                                 "kernel k(x: f32[N], out y: f32[N]) grid i: N by 8 { y[i] = "
                                 "inner.quarter(x[i]) + lib.half(x[i]) }\n";
    static const char outside[] =
        "import \"sub/../../lib.tg\"\n"
        "kernel k(out y: f32[N]) grid i: N by 8 { y[i] = zeros f32[8] }\n";
    tgc_options o = options_for(source);
    tgc_result r;
    o.import_dir = dir;
    assert_int_equal(tgc_compile(&o, &r), TGR_OK);
    tgc_result_fini(&r);
    o.source = outside;
    o.source_bytes = strlen(outside);
    assert_int_equal(tgc_compile(&o, &r), TGR_E_SOURCE);
    tgc_result_fini(&r);
    assert_int_equal(unlink(inner), 0);
    assert_int_equal(unlink(lib), 0);
    assert_int_equal(rmdir(sub), 0);
    assert_int_equal(rmdir(dir), 0);
}

/* ---- threads -------------------------------------------------------------------------------- */

static void *compile_alone(void *arg) {
    tgc_result *r = arg;
    tgc_options o = options_for(matmul);
    tgc_instance in = f32_matmul();
    o.instances = &in;
    o.n_instances = 1;
    return tgc_compile(&o, r) == TGR_OK ? arg : NULL;
}

static void test_threads(void **state) {
    (void)state;
    enum { N = 4 };
    pthread_t threads[N];
    tgc_result results[N];
    for (int i = 0; i < N; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, compile_alone, &results[i]), 0);
    }
    for (int i = 0; i < N; i++) {
        void *done = NULL;
        pthread_join(threads[i], &done);
        assert_non_null(done);
        assert_int_equal(results[i].n_bytes, results[0].n_bytes);
        assert_memory_equal(results[i].bytes, results[0].bytes, results[0].n_bytes);
    }
    for (int i = 0; i < N; i++) {
        tgc_result_fini(&results[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jit),     cmocka_unit_test(test_emit),
        cmocka_unit_test(test_stages),  cmocka_unit_test(test_pipeline),
        cmocka_unit_test(test_targets), cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_cache),   cmocka_unit_test(test_memory),
        cmocka_unit_test(test_op),      cmocka_unit_test(test_variants),
        cmocka_unit_test(test_traps),   cmocka_unit_test(test_instances),
        cmocka_unit_test(test_imports), cmocka_unit_test(test_nested_imports),
        cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
