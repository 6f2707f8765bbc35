/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Launch checks: what fits runs, what does not is refused with a message and leaves memory alone.
 */
#include "tests/runtime/support.h"

#include <tegula/dlpack.h>

static int32_t never(const int64_t *slots, int64_t begin, int64_t end, void *scratch, void *shared,
                     struct tg_cpu_report *report) {
    (void)slots;
    (void)begin;
    (void)end;
    (void)scratch;
    (void)shared;
    (void)report;
    return 0;
}

/* A loaded kernel of IR text; the C phase is given. */
typedef struct fixture {
    rt_world w;
    tgr_module *module;
    tgr_kernel *k;
} fixture;

static void setup(fixture *f, const char *ir, tg_cpu_plan_fn plan, tg_cpu_phase_fn phase,
                  uint32_t flags) {
    rt_open(&f->w, "cpu", 2, 0);
    size_t n;
    unsigned char *bytes = rt_package(ir, false, &n);
    tgr_load_options o = TGR_INIT(tgr_load_options);
    o.flags = flags;
    tgr_package *p = NULL;
    rt_expect(&f->w, tgr_package_open(f->w.context, bytes, n, &p), TGR_OK);
    tgr_kernel_info info;
    tgr_kernel_get_info(tgr_package_kernel(p, 0), &info);
    tgr_linked_entry e = {.kernel = info.name, .n_phases = 1, .plan = plan, .phases = {phase}};
    rt_expect(&f->w, tgr_module_load_linked(f->w.device, bytes, n, &o, &e, 1, &f->module), TGR_OK);
    tgr_package_release(p);
    free(bytes);
    f->k = tgr_module_kernel(f->module, 0);
}

static void teardown(fixture *f) {
    tgr_module_release(f->module);
    rt_close(&f->w);
}

static float mem[4][64];

static tgr_arg f32_2d(int which, int64_t m, int64_t n) {
    int64_t e[] = {m, n};
    return tgr_arg_tensor(mem[which], TG_DT_F32, 2, e);
}

static void expect(fixture *f, tgr_arg *args, int n, tgr_status want, const char *part) {
    rt_expect(&f->w, tgr_launch(f->w.queue, f->k, args, n, NULL), want);
    if (part) {
        rt_expect_message(&f->w, part);
    }
}

static void test_mismatches(void **state) {
    (void)state;
    fixture f;
    setup(&f, rt_add_ir, rt_plan_rows, rt_add_phase, 0);
    tgr_arg good[3] = {f32_2d(0, 4, 8), f32_2d(1, 4, 8), f32_2d(2, 4, 8)}, args[3];
    expect(&f, good, 3, TGR_OK, NULL);
#define BAD(i, member, value, status, part)                                                        \
    do {                                                                                           \
        memcpy(args, good, sizeof args);                                                           \
        args[i].member = (value);                                                                  \
        expect(&f, args, 3, (status), (part));                                                     \
    } while (0)
    expect(&f, good, 2, TGR_E_MISMATCH, "takes 3 arguments, 2 were given");
    BAD(1, dtype, TG_DT_F16, TGR_E_MISMATCH, "elements of f32 are wanted, f16 were given");
    BAD(1, dtype, 200, TGR_E_MISMATCH, "an unknown type");
    BAD(1, rank, 1, TGR_E_MISMATCH, "rank 2 is wanted, 1 was given");
    BAD(1, kind, TGR_ARG_SCALAR, TGR_E_MISMATCH, "a tensor is wanted");
    BAD(1, extents[0], 5, TGR_E_MISMATCH, "argument `b`: extent of axis 0 is 5, but M is 4");
    BAD(2, extents[1], -3, TGR_E_MISMATCH, "extent -3 of axis 1");
    BAD(2, extents[1], TG_MAX_EXTENT + 1, TGR_E_MISMATCH, "extent 281474976710657 of axis 1");
    BAD(0, data, NULL, TGR_E_MISMATCH, "no memory was given");
    BAD(0, data, (char *)mem[0] + 2, TGR_E_MISMATCH, "not aligned to 4 bytes");
    BAD(2, data, mem[0], TGR_E_OVERLAP, "`c` is written and shares memory with `a`");
    BAD(2, data, &mem[0][31], TGR_E_OVERLAP, "shares memory");
    BAD(1, data, mem[0], TGR_OK, NULL); /* two inputs may be one */
    teardown(&f);
}

static void test_strides(void **state) {
    (void)state;
    fixture f;
    setup(&f, rt_add_ir, rt_plan_rows, rt_add_phase, 0);
    int64_t e[] = {4, 8};
    struct {
        int64_t strides[2];
        int which; /* 0: input, 2: output */
        tgr_status want;
        const char *part;
    } cases[] = {
        {{32, 4}, 0, TGR_OK, NULL},
        {{64, 4}, 0, TGR_OK, NULL},
        {{0, 4}, 0, TGR_OK, NULL}, /* rows of an input may coincide */
        {{32, 8}, 0, TGR_E_MISMATCH, "innermost stride is 8 bytes, contiguous elements take 4"},
        {{33, 4}, 0, TGR_E_MISMATCH, "stride 33 of axis 0 is not a multiple of 4"},
        {{64, 4}, 2, TGR_OK, NULL},
        {{0, 4}, 2, TGR_E_MISMATCH, "stride 0 of axis 0 of what is written"},
        {{28, 4}, 2, TGR_E_OVERLAP, "elements overlap"},
        {{-32, 4}, 2, TGR_E_MISMATCH, "stride -32"},
        {{INT64_MAX / 4 * 4, 4}, 0, TGR_E_MISMATCH, "larger than memory"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tgr_arg args[3] = {f32_2d(0, 4, 8), f32_2d(1, 4, 8), f32_2d(2, 4, 8)};
        args[cases[i].which] =
            tgr_arg_tensor_strided(mem[cases[i].which], TG_DT_F32, 2, e, cases[i].strides);
        expect(&f, args, 3, cases[i].want, cases[i].part);
    }
    teardown(&f);
}

/* Two `alias` arguments are one view or apart; one word `alias` alone allows nothing. */
static void test_alias(void **state) {
    (void)state;
    static const char *const irs[] = {
        "tegula-ir 1\nkernel tile add {\n syms M, N\n param a: tensor<f32[M, N]> alias\n"
        " param b: tensor<f32[M, N]>\n param c: tensor<f32[M, N]> out alias\n body {}\n}\n",
        "tegula-ir 1\nkernel tile add {\n syms M, N\n param a: tensor<f32[M, N]>\n"
        " param b: tensor<f32[M, N]>\n param c: tensor<f32[M, N]> out alias\n body {}\n}\n"};
    for (int both = 0; both < 2; both++) {
        fixture f;
        setup(&f, irs[1 - both], rt_plan_rows, rt_add_phase, 0);
        tgr_arg args[] = {f32_2d(0, 4, 8), f32_2d(1, 4, 8), f32_2d(0, 4, 8)};
        expect(&f, args, 3, both ? TGR_OK : TGR_E_OVERLAP, both ? NULL : "not both are");
        args[2].data = &mem[0][8];
        expect(&f, args, 3, TGR_E_OVERLAP, both ? "part of its memory" : "not both are");
        args[2].data = mem[1];
        expect(&f, args, 3, TGR_E_OVERLAP, "not both are");
        args[2].data = mem[2];
        expect(&f, args, 3, TGR_OK, NULL);
        teardown(&f);
    }
}

/* Column blocks of one matrix: interleaved ranges, no shared byte. */
static void test_column_blocks(void **state) {
    (void)state;
    fixture f;
    setup(&f, rt_add_ir, rt_plan_rows, rt_add_phase, 0);
    float big[8][16] = {{0}};
    int64_t e[] = {8, 4}, s[] = {64, 4};
    for (int i = 0; i < 8; i++) {
        for (int j = 0; j < 16; j++) {
            big[i][j] = (float)(i * 16 + j);
        }
    }
    for (int64_t c = 0; c <= 12; c++) {
        float copy[8][16];
        memcpy(copy, big, sizeof copy);
        tgr_arg args[] = {tgr_arg_tensor_strided(&copy[0][4], TG_DT_F32, 2, e, s),
                          tgr_arg_tensor_strided(&copy[0][8], TG_DT_F32, 2, e, s),
                          tgr_arg_tensor_strided(&copy[0][c], TG_DT_F32, 2, e, s)};
        bool apart = c == 0 || c == 12;
        expect(&f, args, 3, apart ? TGR_OK : TGR_E_OVERLAP, NULL);
        for (int i = 0; apart && i < 8; i++) {
            assert_true(copy[i][c] == big[i][4] + big[i][8]);
        }
    }
    teardown(&f);
}

static void test_buffers(void **state) {
    (void)state;
    fixture f;
    setup(&f, rt_add_ir, rt_plan_rows, rt_add_phase, 0);
    tgr_buffer *b = NULL;
    rt_expect(&f.w, tgr_buffer_create(f.w.device, 3 * 128, TGR_BUFFER_ZERO, &b), TGR_OK);
    int64_t e[] = {4, 8};
    tgr_arg args[] = {tgr_arg_buffer(b, 0, TG_DT_F32, 2, e),
                      tgr_arg_buffer(b, 128, TG_DT_F32, 2, e),
                      tgr_arg_buffer(b, 256, TG_DT_F32, 2, e)};
    expect(&f, args, 3, TGR_OK, NULL);
    args[2].offset_bytes = 260;
    expect(&f, args, 3, TGR_E_MISMATCH, "around offset 260 of a buffer of 384");
    args[2].offset_bytes = UINT64_MAX - 3;
    expect(&f, args, 3, TGR_E_MISMATCH, NULL);
    tgr_buffer_release(b);
    teardown(&f);
}

static const char dims_ir[] = "tegula-ir 1\n"
                              "kernel tile d {\n"
                              "  bind T = \"f32\"\n"
                              "  syms M, K, B, H\n"
                              "  param a: tensor<f32[M, K]>\n"
                              "  param s: tensor<f32[M, cdiv(K, 128)]>\n"
                              "  param q: tensor<i32[B + 1]>\n"
                              "  param h: tensor<f32[2 * H]>\n"
                              "  param x: f32\n"
                              "  param y: tensor<f32[M]> out\n"
                              "  require K % 16 == 0\n"
                              "  require H <= 4\n"
                              "  body {}\n"
                              "}\n";

static int64_t seen[4];

static int32_t see_syms(const int64_t *slots, int64_t begin, int64_t end, void *scratch,
                        void *shared, struct tg_cpu_report *report) {
    (void)begin;
    (void)end;
    (void)scratch;
    (void)shared;
    (void)report;
    memcpy(seen, slots + 5 + 5 + 3 + 3 + 1 + 3, sizeof seen);
    return 0;
}

static void test_dims(void **state) {
    (void)state;
    fixture f;
    setup(&f, dims_ir, rt_plan_one, see_syms, 0);
    static float a[2 * 256], s[4], h[8], y[2];
    static int32_t q[4];
    int64_t ea[] = {2, 256}, es[] = {2, 2}, eq[] = {4}, eh[] = {6}, ey[] = {2};
    tgr_arg args[] = {tgr_arg_tensor(a, TG_DT_F32, 2, ea),
                      tgr_arg_tensor(s, TG_DT_F32, 2, es),
                      tgr_arg_tensor(q, TG_DT_I32, 1, eq),
                      tgr_arg_tensor(h, TG_DT_F32, 1, eh),
                      tgr_arg_f32(1.5f),
                      tgr_arg_tensor(y, TG_DT_F32, 1, ey)};
    expect(&f, args, 6, TGR_OK, NULL);
    assert_int_equal(seen[0], 2);
    assert_int_equal(seen[1], 256);
    assert_int_equal(seen[2], 3);
    assert_int_equal(seen[3], 3);
    args[1].extents[1] = 3;
    expect(&f, args, 6, TGR_E_MISMATCH, "extent of axis 1 is 3, but cdiv(K, 128) is 2");
    args[1].extents[1] = 2;
    args[3].extents[0] = 7;
    expect(&f, args, 6, TGR_E_MISMATCH, "dimension H follows from no argument");
    args[3].extents[0] = 10;
    expect(&f, args, 6, TGR_E_MISMATCH, "requires H <= 4");
    args[3].extents[0] = 6;
    args[0].extents[1] = 250;
    expect(&f, args, 6, TGR_E_MISMATCH, "requires K % 16 == 0");
    args[0].extents[1] = 256;
    args[2].extents[0] = 0; /* B = -1: an extent that cannot be, but no tensor has it */
    args[4] = tgr_arg_f64(1);
    expect(&f, args, 6, TGR_E_MISMATCH, "type f32 is wanted, f64 was given");
    teardown(&f);
}

static void test_infer(void **state) {
    (void)state;
    fixture f;
    setup(&f, dims_ir, rt_plan_one, never, 0);
    int64_t ea[] = {2, 256}, unknown[] = {-1, -1}, eh[] = {6}, dims[4];
    tgr_arg args[] = {tgr_arg_tensor(NULL, TG_DT_F32, 2, ea),
                      tgr_arg_tensor(NULL, TG_DT_F32, 2, unknown),
                      tgr_arg_tensor(NULL, TG_DT_I32, 1, unknown),
                      tgr_arg_tensor(NULL, TG_DT_F32, 1, eh),
                      tgr_arg_f32(0),
                      tgr_arg_tensor(NULL, TG_DT_F32, 1, unknown)};
    rt_expect(&f.w, tgr_kernel_infer(f.k, args, 6, NULL, 0, dims), TGR_E_MISMATCH);
    rt_expect_message(&f.w, "dimension B follows from no argument");
    tgr_dim_value b = {"B", 9};
    rt_expect(&f.w, tgr_kernel_infer(f.k, args, 6, &b, 1, dims), TGR_OK);
    assert_int_equal(args[1].extents[0], 2);
    assert_int_equal(args[1].extents[1], 2);
    assert_int_equal(args[2].extents[0], 10);
    assert_int_equal(args[5].extents[0], 2);
    assert_int_equal(dims[2], 9);
    b.value = 8;
    rt_expect(&f.w, tgr_kernel_infer(f.k, args, 6, &b, 1, dims), TGR_E_MISMATCH);
    teardown(&f);
}

static void test_queries(void **state) {
    (void)state;
    fixture f;
    setup(&f, dims_ir, rt_plan_one, never, 0);
    tgr_kernel_info info;
    tgr_kernel_get_info(f.k, &info);
    assert_string_equal(info.name, "d");
    assert_int_equal(info.n_params, 6);
    assert_int_equal(info.n_dims, 4);
    assert_int_equal(info.n_requires, 2);
    char text[64];
    assert_int_equal(tgr_kernel_extent_text(f.k, 1, 1, text, sizeof text), 12);
    assert_string_equal(text, "cdiv(K, 128)");
    (void)tgr_kernel_extent_text(f.k, 2, 0, text, 4);
    assert_string_equal(text, "B +");
    (void)tgr_kernel_require_text(f.k, 0, text, sizeof text);
    assert_string_equal(text, "K % 16 == 0");
    assert_string_equal(tgr_kernel_dim_name(f.k, 3), "H");
    assert_null(tgr_kernel_dim_name(f.k, 4));
    tgr_param_info p;
    rt_expect(&f.w, tgr_kernel_get_param(f.k, 5, &p), TGR_OK);
    assert_int_equal(p.flags, TG_PARAM_TENSOR | TG_PARAM_OUT);
    assert_int_equal(tgr_kernel_get_param(f.k, 6, &p), TGR_E_INVALID);
    tgr_setting s;
    rt_expect(&f.w, tgr_kernel_get_binding(f.k, 0, &s), TGR_OK);
    assert_string_equal(s.value, "f32");
    tgr_kernel *found = NULL;
    tgr_setting want = {"T", "f16"};
    rt_expect(&f.w, tgr_module_find(f.module, "d", &want, 1, &found), TGR_E_NOT_FOUND);
    want.value = "f32";
    rt_expect(&f.w, tgr_module_find(f.module, "d", &want, 1, &found), TGR_OK);
    rt_expect(&f.w, tgr_module_find(f.module, "e", NULL, 0, &found), TGR_E_NOT_FOUND);
    teardown(&f);
}

/* ---- facts, init, traps --------------------------------------------------------------------- */

static const char facts_ir[] = "tegula-ir 1\n"
                               "kernel tile f {\n"
                               "  syms N\n"
                               "  param s: tensor<i32[N]> sorted\n"
                               "  param u: tensor<i64[N]> unique\n"
                               "  param r: tensor<u8[N]> range(0, N)\n"
                               "  body {}\n"
                               "}\n";

static void test_facts(void **state) {
    (void)state;
    for (int how = 0; how < 2; how++) {
        fixture f;
        setup(&f, facts_ir, rt_plan_one, never, how ? TGR_LOAD_CHECKED : 0);
        int32_t s[] = {-3, 1, 1, 7};
        int64_t u[] = {4, 2, -9, 0}, e[] = {4};
        uint8_t r[] = {0, 3, 1, 2};
        tgr_arg args[] = {tgr_arg_tensor(s, TG_DT_I32, 1, e), tgr_arg_tensor(u, TG_DT_I64, 1, e),
                          tgr_arg_tensor(r, TG_DT_U8, 1, e)};
        tgr_launch_options o = TGR_INIT(tgr_launch_options);
        o.checked = !how;
        rt_expect(&f.w, tgr_launch(f.w.queue, f.k, args, 3, &o), TGR_OK);
        s[2] = 0;
        rt_expect(&f.w, tgr_launch(f.w.queue, f.k, args, 3, &o), TGR_E_FACT);
        rt_expect_message(&f.w, "declared sorted, but element 2 is less");
        s[2] = 7;
        u[3] = -9;
        rt_expect(&f.w, tgr_launch(f.w.queue, f.k, args, 3, &o), TGR_E_FACT);
        rt_expect_message(&f.w, "declared unique");
        u[3] = 1;
        r[1] = 4;
        rt_expect(&f.w, tgr_launch(f.w.queue, f.k, args, 3, &o), TGR_E_FACT);
        rt_expect_message(&f.w, "element 1 is 4, outside 0..4");
        o.checked = 0;
        rt_expect(&f.w, tgr_launch(f.w.queue, f.k, args, 3, &o), how ? TGR_E_FACT : TGR_OK);
        teardown(&f);
    }
}

static const char init_ir[] = "tegula-ir 1\n"
                              "kernel tile i {\n"
                              "  syms M, N\n"
                              "  param a: tensor<f32[M, N]> out init(-inf)\n"
                              "  param b: tensor<bf16[M, N]> out init(1.0)\n"
                              "  param c: tensor<i4[M, N]> out init(-1.0)\n"
                              "  param d: tensor<i32[M, N], strided> out strided init(7.0)\n"
                              "  body {}\n"
                              "}\n";

static void test_init(void **state) {
    (void)state;
    fixture f;
    setup(&f, init_ir, rt_plan_one, never, 0);
    float a[3][5];
    uint16_t b[3][5];
    uint8_t c[3][3];
    int32_t d[3][10] = {{0}};
    memset(c, 0, sizeof c);
    int64_t e[] = {3, 5}, s[] = {40, 8};
    tgr_arg args[] = {tgr_arg_tensor(a, TG_DT_F32, 2, e), tgr_arg_tensor(b, TG_DT_BF16, 2, e),
                      tgr_arg_tensor(c, TG_DT_I4, 2, e),
                      tgr_arg_tensor_strided(d, TG_DT_I32, 2, e, s)};
    expect(&f, args, 4, TGR_OK, NULL);
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 5; j++) {
            assert_true(a[i][j] < -3e38f);
            assert_int_equal(b[i][j], 0x3f80);
            assert_int_equal(c[i][j / 2] >> 4 * (j % 2) & 15, 15);
            assert_int_equal(d[i][2 * j], 7);
            assert_int_equal(d[i][2 * j + 1], 0);
        }
    }
    teardown(&f);
}

static int32_t trap_phase(const int64_t *slots, int64_t begin, int64_t end, void *scratch,
                          void *shared, struct tg_cpu_report *report) {
    (void)slots;
    (void)scratch;
    (void)shared;
    for (int64_t i = begin; i < end; i++) {
        if (i == 3) {
            report->line = 12;
            report->program = i;
            return TG_CPU_TRAP_ASSERT;
        }
    }
    return 0;
}

static int32_t bad_plan(const int64_t *slots, tg_cpu_plan *plan) {
    (void)slots;
    plan->n_phases = 3;
    return 0;
}

static int32_t grid_plan(const int64_t *slots, tg_cpu_plan *plan) {
    (void)slots;
    (void)plan;
    return TG_CPU_TRAP_GRID;
}

static void test_traps(void **state) {
    (void)state;
    tgr_arg args[3] = {f32_2d(0, 8, 8), f32_2d(1, 8, 8), f32_2d(2, 8, 8)};
    fixture f;
    setup(&f, rt_add_ir, rt_plan_rows, trap_phase, 0);
    for (int i = 0; i < 20; i++) {
        expect(&f, args, 3, TGR_E_TRAP, "kernel `add`, line 12: an assertion failed (program 3)");
    }
    teardown(&f);
    setup(&f, rt_add_ir, bad_plan, never, 0);
    expect(&f, args, 3, TGR_E_INTERNAL, "its plan cannot be");
    teardown(&f);
    setup(&f, rt_add_ir, grid_plan, never, 0);
    expect(&f, args, 3, TGR_E_TRAP, "the grid is too large");
    teardown(&f);
}

static void test_handles(void **state) {
    (void)state;
    fixture f;
    setup(&f, rt_add_ir, rt_plan_rows, rt_add_phase, 0);
    tgr_arg args[3] = {f32_2d(0, 4, 8), f32_2d(1, 4, 8), f32_2d(2, 4, 8)};
    assert_int_equal(tgr_launch(NULL, f.k, args, 3, NULL), TGR_E_INVALID);
    assert_int_equal(tgr_launch(f.w.queue, NULL, args, 3, NULL), TGR_E_INVALID);
    tgr_launch_options o = {.struct_bytes = 1};
    rt_expect(&f.w, tgr_launch(f.w.queue, f.k, args, 3, &o), TGR_E_INVALID);
    o = TGR_INIT(tgr_launch_options);
    o.variant = 2;
    rt_expect(&f.w, tgr_launch(f.w.queue, f.k, args, 3, &o), TGR_E_INVALID);
    o.variant = 1;
    rt_expect(&f.w, tgr_launch(f.w.queue, f.k, args, 3, &o), TGR_OK);
    tgr_device *other = NULL;
    rt_expect(&f.w, tgr_device_open(f.w.context, "null", NULL, &other), TGR_OK);
    tgr_queue *q = NULL;
    rt_expect(&f.w, tgr_queue_create(other, 0, &q), TGR_OK);
    rt_expect(&f.w, tgr_launch(q, f.k, args, 3, NULL), TGR_E_INVALID);
    tgr_queue_release(q);
    tgr_device_release(other);
    rt_expect(&f.w, tgr_device_open(f.w.context, "warp drive", NULL, &other), TGR_E_NOT_FOUND);
    teardown(&f);
}

static void test_dlpack(void **state) {
    (void)state;
    fixture f;
    setup(&f, rt_add_ir, rt_plan_rows, rt_add_phase, 0);
    float x[6] = {1, 2, 3, 4, 5, 6}, y[12] = {0}, z[6];
    int64_t shape[] = {2, 3}, strides[] = {6, 1};
    tgr_dl_tensor t[3] = {
        {.data = x, .device_type = 1, .ndim = 2, .code = 2, .bits = 32, .lanes = 1, .shape = shape},
        {.data = y,
         .device_type = 1,
         .ndim = 2,
         .code = 2,
         .bits = 32,
         .lanes = 1,
         .shape = shape,
         .strides = strides,
         .byte_offset = 4},
        {.data = z,
         .device_type = 1,
         .ndim = 2,
         .code = 2,
         .bits = 32,
         .lanes = 1,
         .shape = shape}};
    y[1] = 10;
    y[9] = 20;
    tgr_arg args[3];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tgr_arg_from_dlpack(&t[i], &args[i]), TGR_OK);
    }
    expect(&f, args, 3, TGR_OK, NULL);
    assert_true(z[0] == 11 && z[1] == 2 && z[5] == 26);
    t[0].device_type = 2; /* CUDA */
    assert_int_equal(tgr_arg_from_dlpack(&t[0], &args[0]), TGR_E_UNSUPPORTED);
    t[0].device_type = 1;
    t[0].ndim = 9;
    assert_int_equal(tgr_arg_from_dlpack(&t[0], &args[0]), TGR_E_INVALID);
    t[0].ndim = 2;
    t[0].code = 5; /* complex */
    assert_int_equal(tgr_arg_from_dlpack(&t[0], &args[0]), TGR_E_UNSUPPORTED);
    assert_int_equal(tgr_arg_from_dlpack(NULL, &args[0]), TGR_E_INVALID);
    teardown(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mismatches),    cmocka_unit_test(test_strides),
        cmocka_unit_test(test_column_blocks), cmocka_unit_test(test_alias),
        cmocka_unit_test(test_buffers),       cmocka_unit_test(test_dims),
        cmocka_unit_test(test_infer),         cmocka_unit_test(test_queries),
        cmocka_unit_test(test_facts),         cmocka_unit_test(test_init),
        cmocka_unit_test(test_traps),         cmocka_unit_test(test_handles),
        cmocka_unit_test(test_dlpack)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
