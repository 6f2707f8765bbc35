/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole kernels in IR text: ragged spans, gathers and scatters, loops, atomics, views of records,
 * and every misbehaviour that the interpreter must catch.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/interp/op_case.h"

#define E(...) ((const int64_t[]){__VA_ARGS__})

/* ---- memory --------------------------------------------------------------------------------- */

/* y[i] = x[i] + 1 over blocks of 4, N of any size. */
static const char ragged[] =
    "tegula-ir 1\nkernel tile k {\n syms N\n param x: tensor<f32[N]>\n param y: tensor<f32[N]> "
    "out\n"
    " axis i by 4\n grid (%gx: tensor<f32[N]>, %gy: tensor<f32[N]>) {\n  %e = dim %gx {axis = 0} : "
    "i64\n"
    "  yield %e\n }\n body (%x: tensor<f32[N]>, %y: tensor<f32[N]>, %b: i64) {\n"
    "  %four = const {i = 4} : i64\n  %lo = mul %b, %four : i64\n  %n = sym {sym = 0} : i64\n"
    "  %s = span %lo, %n : span<4>\n  %v = load %x, %s {axes = [0]} : f32[4]\n"
    "  %one = fconst {f = 1} : f32[4]\n  %r = add %v, %one : f32[4]\n"
    "  store %y, %r, %s {axes = [0]}\n  yield\n }\n}\n";

static void ragged_span(void **state) {
    (void)state;
    for (int64_t n = 0; n <= 9; n++) {
        for (uint64_t seed = 0; seed < 3; seed++) {
            bench b;
            bench_open(&b, ragged);
            b.options.order_seed = seed * 77777;
            bench_tensor(&b, 0, 1, E(n), V(1, 2, 3, 4, 5, 6, 7, 8, 9));
            bench_tensor(&b, 1, 1, E(n), NULL);
            memset((char *)b.args[1].data + n * 4, 0x5A, 1); /* the byte behind stays */
            assert_int_equal(bench_run(&b), TG_OK);
            for (int64_t i = 0; i < n; i++) {
                assert_true(bench_get(&b, 1, i) == (double)i + 2);
            }
            assert_int_equal(((char *)b.args[1].data)[n * 4], 0x5A);
            bench_fini(&b);
        }
    }
}

/* y[j, :] = x[idx[j], :]; rows with a bad index become 0; strided rows. */
static const char gather[] =
    "tegula-ir 1\nkernel tile k {\n syms N, M, D\n param x: tensor<bf16[N, D]>\n param idx: "
    "tensor<i32[M]>\n"
    " param y: tensor<bf16[M, D]> out\n grid (%gx: tensor<bf16[N, D]>, %gi: tensor<i32[M]>, %gy: "
    "tensor<bf16[M, D]>) {\n"
    "  yield\n }\n body (%x: tensor<bf16[N, D]>, %idx: tensor<i32[M]>, %y: tensor<bf16[M, D]>) {\n"
    "  %z = const {i = 0} : i64\n  %m = sym {sym = 1} : i64\n  %d = sym {sym = 2} : i64\n"
    "  %sm = span %z, %m : span<5>\n  %sd = span %z, %d : span<3>\n"
    "  %i = load %idx, %sm {axes = [0]} : i32[5]\n"
    "  %v = load %x, %i, %sd {axes = [0, 1]} : bf16[5, 3]\n"
    "  store %y, %v, %sm, %sd {axes = [0, 1]}\n  yield\n }\n}\n";

static void gather_rows(void **state) {
    (void)state;
    const double want[] = {4, 5, 0, 0, 0, 0, 1, 2, 0, 0};
    bench b;
    bench_open(&b, gather);
    bench_tensor(&b, 0, 2, E(2, 2), V(1, 2, 4, 5));
    bench_tensor(&b, 1, 1, E(5), V(1, -1, 2, 0, -2147483648.0));
    bench_tensor(&b, 2, 2, E(5, 2), NULL);
    assert_int_equal(bench_run(&b), TG_OK);
    for (int i = 0; i < 10; i++) {
        assert_true(bench_get(&b, 2, i) == want[i]);
    }
    bench_fini(&b);
}

/* y[idx[j]] = x[j], one program. */
static const char scatter[] =
    "tegula-ir 1\nkernel tile k {\n syms N, M\n param x: tensor<f32[N]>\n param idx: "
    "tensor<i32[N]>\n"
    " param y: tensor<f32[M]> inout\n grid (%gx: tensor<f32[N]>, %gi: tensor<i32[N]>, %gy: "
    "tensor<f32[M]>) {\n"
    "  yield\n }\n body (%x: tensor<f32[N]>, %idx: tensor<i32[N]>, %y: tensor<f32[M]>) {\n"
    "  %z = const {i = 0} : i64\n  %n = sym {sym = 0} : i64\n  %s = span %z, %n : span<4>\n"
    "  %i = load %idx, %s {axes = [0]} : i32[4]\n  %v = load %x, %s {axes = [0]} : f32[4]\n"
    "  %m = span_mask %s : bool[4]\n"
    "  store %y, %v, %i, %m {axes = [0], disjoint = true, masked = true}\n  yield\n }\n}\n";

static void scatter_drops_and_tells_twins(void **state) {
    (void)state;
    for (int twins = 0; twins < 2; twins++) {
        bench b;
        bench_open(&b, scatter);
        bench_tensor(&b, 0, 1, E(3), V(10, 20, 30));
        bench_tensor(&b, 1, 1, E(3), twins ? V(2, 0, 2) : V(2, 7, 0));
        bench_tensor(&b, 2, 1, E(3), V(1, 2, 3));
        assert_int_equal(bench_run(&b), twins ? TG_E_SOURCE : TG_OK);
        assert_int_equal(bench_told(&b, TG_D_INTERP_TWICE), twins);
        if (!twins) {
            assert_true(bench_get(&b, 2, 0) == 30 && bench_get(&b, 2, 1) == 2 &&
                        bench_get(&b, 2, 2) == 10);
        }
        bench_fini(&b);
    }
}

/* A 4-bit tensor with an odd row: packed low bits first, rows on bytes. */
static const char nibbles[] =
    "tegula-ir 1\nkernel tile k {\n param x: tensor<i4[2, 3]>\n param y: tensor<i4[3, 2]> out\n"
    " grid (%gx: tensor<i4[2, 3]>, %gy: tensor<i4[3, 2]>) {\n  yield\n }\n"
    " body (%x: tensor<i4[2, 3]>, %y: tensor<i4[3, 2]>) {\n  %z = const {i = 0} : i64\n"
    "  %n2 = const {i = 2} : i64\n  %n3 = const {i = 3} : i64\n  %a = span %z, %n2 : span<2>\n"
    "  %c = span %z, %n3 : span<3>\n  %v = load %x, %a, %c {axes = [0, 1]} : i4[2, 3]\n"
    "  %t = permute %v {axes = [1, 0]} : i4[3, 2]\n  store %y, %t, %c, %a {axes = [0, 1]}\n  "
    "yield\n }\n}\n";

static void packed_rows(void **state) {
    (void)state;
    const double want[] = {1, -4, -2, 5, 3, -6};
    bench b;
    bench_open(&b, nibbles);
    bench_tensor(&b, 0, 2, E(2, 3), V(1, -2, 3, -4, 5, -6));
    bench_tensor(&b, 1, 2, E(3, 2), NULL);
    assert_int_equal(bench_run(&b), TG_OK);
    for (int i = 0; i < 6; i++) {
        assert_true(bench_get(&b, 1, i) == want[i]);
    }
    bench_fini(&b);
}

/* record { a: u8[2]  b: i16 }: field views with byte offsets. */
static const char records[] =
    "tegula-ir 1\nkernel tile k {\n syms N\n param r: tensor<record(4)[N]>\n param y: "
    "tensor<i32[N]> out\n"
    " grid (%gr: tensor<record(4)[N]>, %gy: tensor<i32[N]>) {\n  yield\n }\n"
    " body (%r: tensor<record(4)[N]>, %y: tensor<i32[N]>) {\n  %z = const {i = 0} : i64\n"
    "  %one = const {i = 1} : i64\n  %n = sym {sym = 0} : i64\n  %s = span %z, %n : span<4>\n"
    "  %va = view %r {bytes = 0, strides = [1]} : tensor<u8[N, 2]>\n"
    "  %vb = view %r {bytes = 2} : tensor<i16[N]>\n"
    "  %a = load %va, %s, %one {axes = [0]} : u8[4]\n  %b = load %vb, %s {axes = [0]} : i16[4]\n"
    "  %ai = cast %a : i32[4]\n  %bi = cast %b : i32[4]\n  %sum = add %ai, %bi : i32[4]\n"
    "  store %y, %sum, %s {axes = [0]}\n  yield\n }\n}\n";

static void record_fields(void **state) {
    (void)state;
    bench b;
    bench_open(&b, records);
    bench_tensor(&b, 0, 1, E(3), NULL);
    bench_tensor(&b, 1, 1, E(3), NULL);
    const unsigned char bytes[] = {1, 2, 0xFF, 0xFF, 3, 4, 0, 1, 5, 6, 7, 0};
    memcpy(b.args[0].data, bytes, sizeof bytes);
    assert_int_equal(bench_run(&b), TG_OK);
    assert_true(bench_get(&b, 1, 0) == 1 && bench_get(&b, 1, 1) == 260 &&
                bench_get(&b, 1, 2) == 13);
    bench_fini(&b);
}

/* ---- control ------------------------------------------------------------------------------------
 */

/* y[0] = sum over a while loop: n, n-1, ... 1; at most 10 trips. if picks the sign. */
static const char loops[] =
    "tegula-ir 1\nkernel tile k {\n param n: i64\n param y: tensor<i64[3]> out\n"
    " grid (%gn: i64, %gy: tensor<i64[3]>) {\n  yield\n }\n body (%n: i64, %y: tensor<i64[3]>) {\n"
    "  %zero = const {i = 0} : i64\n  %one = const {i = 1} : i64\n  %two = const {i = 2} : i64\n"
    "  %left, %sum = while %n, %zero {max = 10} : i64, i64 (%c: i64, %s: i64) {\n"
    "   %go = cmp %c, %zero {pred = gt} : bool\n   yield %go, %c, %s\n  } (%c2: i64, %s2: i64) {\n"
    "   %t = add %s2, %c2 : i64\n   %d = sub %c2, %one : i64\n   yield %d, %t\n  }\n"
    "  %a, %b = for %zero, %n, %one, %zero, %one : i64, i64 (%iv: i64, %p: i64, %q: i64) {\n"
    "   %f = add %p, %q : i64\n   yield %q, %f\n  }\n"
    "  %big = cmp %sum, %two {pred = gt} : bool\n"
    "  %pick = if %big : i64 {\n   yield %sum\n  } {\n   %m = neg %sum : i64\n   yield %m\n  }\n"
    "  store %y, %pick, %zero {axes = []}\n  store %y, %a, %one {axes = []}\n"
    "  store %y, %left, %two {axes = []}\n  yield\n }\n}\n";

static void loops_carry(void **state) {
    (void)state;
    const double want[][3] = {{0, 0, 0}, {-1, 1, 0}, {3, 1, 0}, {6, 2, 0}, {10, 3, 0}};
    for (int n = 0; n < 5; n++) {
        bench b;
        bench_open(&b, loops);
        bench_scalar(&b, 0, n);
        bench_tensor(&b, 1, 1, E(3), NULL);
        assert_int_equal(bench_run(&b), TG_OK);
        for (int i = 0; i < 3; i++) {
            assert_true(bench_get(&b, 1, i) == want[n][i]);
        }
        bench_fini(&b);
    }
}

static void limits(void **state) {
    (void)state;
    bench b;
    bench_open(&b, loops);
    bench_scalar(&b, 0, 10);
    bench_tensor(&b, 1, 1, E(3), NULL);
    assert_int_equal(bench_run(&b), TG_OK);
    bench_scalar(&b, 0, 11);
    assert_int_equal(bench_run(&b), TG_E_SOURCE);
    assert_true(bench_told(&b, TG_D_INTERP_WHILE));
    bench_scalar(&b, 0, 10);
    b.options.max_steps = 50;
    assert_int_equal(bench_run(&b), TG_E_SOURCE);
    assert_true(bench_told(&b, TG_D_INTERP_STEPS));
    bench_fini(&b);
}

/* ---- races
 * ---------------------------------------------------------------------------------------- */

/* Program b stores 1 at y[b / div] (or adds it atomically), then reads y[b * back]. */
static void race_kernel(bench *b, int div, bool atomic, bool read) {
    tg_sb sb;
    tg_sb_init(&sb, &b->arena);
    tg_sb_add(
        &sb, "tegula-ir 1\nkernel tile k {\n syms N\n param y: tensor<i32[N]> inout\n axis i by 1\n"
             " grid (%gy: tensor<i32[N]>) {\n  %n = sym {sym = 0} : i64\n  yield %n\n }\n"
             " body (%y: tensor<i32[N]>, %b: i64) {\n  %one = const {i = 1} : i32\n");
    tg_sb_addf(&sb, "  %%d = const {i = %d} : i64\n  %%at = div %%b, %%d : i64\n", div);
    tg_sb_add(&sb, atomic ? "  %old = atomic %y, %one, %at {do = add, axes = []} : i32\n"
                          : "  store %y, %one, %at {axes = []}\n");
    if (read) {
        tg_sb_add(&sb, "  %z = const {i = 0} : i64\n  %v = load %y, %z {axes = []} : i32\n  print "
                       "%v {text = \"v\"}\n");
    }
    tg_sb_add(&sb, "  yield\n }\n}\n");
    bench_load(b, sb.data);
    bench_tensor(b, 0, 1, E(4), NULL);
}

static void races(void **state) {
    (void)state;
    static const struct {
        int div;
        bool atomic, read, wrong;
    } cases[] = {
        {1, false, false, false}, {2, false, false, true}, {2, true, false, false},
        {1, false, true, true},   {4, true, true, true},
    };
    for (size_t i = 0; i < TG_COUNT_OF(cases); i++) {
        for (uint64_t seed = 0; seed < 2; seed++) {
            bench b;
            bench_init(&b);
            race_kernel(&b, cases[i].div, cases[i].atomic, cases[i].read);
            b.options.order_seed = seed * 12345;
            assert_int_equal(bench_run(&b), cases[i].wrong ? TG_E_SOURCE : TG_OK);
            assert_int_equal(bench_told(&b, TG_D_INTERP_RACE), cases[i].wrong);
            if (cases[i].atomic && !cases[i].read) {
                assert_true(bench_get(&b, 0, 0) == 2 && bench_get(&b, 0, 1) == 2);
            }
            bench_fini(&b);
        }
    }
}

/* ---- launch checks
 * ------------------------------------------------------------------------------- */

static const char facts[] =
    "tegula-ir 1\nkernel tile k {\n syms N, H\n param a: tensor<i32[N + 1]> sorted range(0, N * "
    "10)\n"
    " param b: tensor<i32[H * 2]> unique\n require N % 2 == 0\n"
    " grid (%ga: tensor<i32[N + 1]>, %gb: tensor<i32[H * 2]>) {\n  yield\n }\n"
    " body (%a: tensor<i32[N + 1]>, %b: tensor<i32[H * 2]>) {\n  %n = sym {sym = 0} : i64\n"
    "  %h = sym {sym = 1} : i64\n  print %n, %h {text = \"dims\"}\n  yield\n }\n}\n";

static void launch_with(bench *b, int64_t na, const double *a, int64_t nb, const double *u) {
    bench_init(b);
    bench_load(b, facts);
    bench_tensor(b, 0, 1, E(na), a);
    bench_tensor(b, 1, 1, E(nb), u);
}

static void facts_and_dims(void **state) {
    (void)state;
    static const struct {
        int64_t na, nb;
        double a[4], u[4];
        int told;
    } cases[] = {
        {3, 4, {1, 1, 19}, {4, 3, 2, 1}, 0},
        {3, 4, {1, 1, 20}, {4, 3, 2, 1}, TG_D_INTERP_FACT},
        {3, 4, {1, 0, 19}, {4, 3, 2, 1}, TG_D_INTERP_FACT},
        {3, 4, {1, 1, 19}, {4, 3, 4, 1}, TG_D_INTERP_FACT},
        {4, 4, {1, 1, 1}, {4, 3, 2, 1}, TG_D_INTERP_REQUIRE},
        {3, 3, {1, 1, 1}, {4, 3, 2, 1}, TG_D_INTERP_DIM},
    };
    for (size_t i = 0; i < TG_COUNT_OF(cases); i++) {
        bench b;
        launch_with(&b, cases[i].na, cases[i].a, cases[i].nb, cases[i].u);
        assert_int_equal(bench_run(&b), cases[i].told ? TG_E_SOURCE : TG_OK);
        if (cases[i].told) {
            assert_true(bench_told(&b, (tg_diag_id)cases[i].told));
        } else {
            assert_string_equal(b.printed.data, "dims 2 2\n");
        }
        bench_fini(&b);
    }
}

/* Two `alias` arguments are one view or apart. */
static const char twins[] =
    "tegula-ir 1\nkernel tile k {\n syms N\n param x: tensor<f32[N]> alias\n"
    " param y: tensor<f32[N]> out alias\n"
    " grid (%gx: tensor<f32[N]>, %gy: tensor<f32[N]>) {\n  yield\n }\n"
    " body (%x: tensor<f32[N]>, %y: tensor<f32[N]>) {\n  %z = const {i = 0} : i64\n"
    "  %a = load %x, %z {axes = []} : f32\n  store %y, %a, %z {axes = []}\n  yield\n }\n}\n";

static void alias_is_one_view(void **state) {
    (void)state;
    for (int shift = 0; shift < 3; shift++) {
        bench b;
        bench_open(&b, twins);
        bench_tensor(&b, 0, 1, E(16), NULL);
        bench_tensor(&b, 1, 1, E(8), NULL);
        b.args[0].extent[0] = 8;
        b.args[1].data = (char *)b.args[0].data + (shift == 2 ? 32 : 4 * shift);
        assert_int_equal(bench_run(&b), shift == 1 ? TG_E_SOURCE : TG_OK);
        assert_true(shift != 1 || bench_told(&b, TG_D_INTERP_ALIAS));
        bench_fini(&b);
    }
}

static void overlap_is_told(void **state) {
    (void)state;
    bench b;
    bench_open(&b, ragged);
    bench_tensor(&b, 0, 1, E(8), NULL);
    bench_tensor(&b, 1, 1, E(8), NULL);
    b.args[1].data = (char *)b.args[0].data + 28;
    assert_int_equal(bench_run(&b), TG_E_SOURCE);
    assert_true(bench_told(&b, TG_D_INTERP_ALIAS));
    bench_fini(&b);
    bench_open(&b, ragged);
    bench_tensor(&b, 0, 1, E(8), NULL);
    bench_tensor(&b, 1, 1, E(8), NULL);
    b.args[0].data = NULL;
    assert_int_equal(bench_run(&b), TG_E_SOURCE);
    bench_fini(&b);
}

/* y[0] = x[0] / x[1]; assert x[0] > 0, assume x[1] != 7. */
static const char claims[] =
    "tegula-ir 1\nkernel tile k {\n param x: tensor<f32[2]>\n param y: tensor<f32[1]> out\n"
    " grid (%gx: tensor<f32[2]>, %gy: tensor<f32[1]>) {\n  yield\n }\n"
    " body (%x: tensor<f32[2]>, %y: tensor<f32[1]>) {\n  %z = const {i = 0} : i64\n"
    "  %one = const {i = 1} : i64\n  %a = load %x, %z {axes = []} : f32\n"
    "  %b = load %x, %one {axes = []} : f32\n  %zero = fconst {f = 0} : f32\n  %seven = fconst {f "
    "= 7} : f32\n"
    "  %p = cmp %a, %zero {pred = ge} : bool\n  assert %p {text = \"a is not negative\"}\n"
    "  %q = cmp %b, %seven {pred = ne} : bool\n  assume %q {text = \"b is not 7\"}\n"
    "  %r = div %a, %b : f32\n  store %y, %r, %z {axes = []}\n  yield\n }\n}\n";

static void claims_are_checked(void **state) {
    (void)state;
    static const struct {
        double a, b;
        tg_interp_mode mode;
        int told;
        tg_status status;
    } cases[] = {
        {1, 4, TG_INTERP_EXACT, 0, TG_OK},
        {-1, 4, TG_INTERP_F32, TG_D_INTERP_ASSERT, TG_E_SOURCE},
        {1, 7, TG_INTERP_F32, TG_D_INTERP_ASSUME, TG_E_SOURCE},
        {1, 3, TG_INTERP_EXACT, TG_D_INTERP_INEXACT, TG_E_SOURCE},
        {0, 0, TG_INTERP_F32, TG_D_INTERP_NAN, TG_OK},
        {(double)NAN, 0, TG_INTERP_F32, TG_D_INTERP_ASSERT, TG_E_SOURCE},
    };
    for (size_t i = 0; i < TG_COUNT_OF(cases); i++) {
        bench b;
        bench_open(&b, claims);
        b.options.mode = cases[i].mode;
        b.options.check_nan_birth = true;
        bench_tensor(&b, 0, 1, E(2), V(cases[i].a, cases[i].b));
        bench_tensor(&b, 1, 1, E(1), NULL);
        assert_int_equal(bench_run(&b), cases[i].status);
        assert_true(cases[i].told == 0 ? b.sink.first == NULL
                                       : bench_told(&b, (tg_diag_id)cases[i].told));
        bench_fini(&b);
    }
}

/* A million iterations with a tile each: memory stays what one iteration needs. */
static const char long_loop[] =
    "tegula-ir 1\nkernel tile k {\n param n: i64\n param y: tensor<i32[64]> out\n"
    " grid (%gn: i64, %gy: tensor<i32[64]>) {\n  yield\n }\n body (%n: i64, %y: tensor<i32[64]>) "
    "{\n"
    "  %zero = const {i = 0} : i64\n  %one = const {i = 1} : i64\n  %e = const {i = 64} : i64\n"
    "  %ones = const {i = 1} : i32[64]\n  %init = const {i = 0} : i32[64]\n"
    "  %r = for %zero, %n, %one, %init : i32[64] (%iv: i64, %acc: i32[64]) {\n"
    "   %f = add %acc, %ones : i32[64]\n   yield %f\n  }\n  %s = span %zero, %e : span<64>\n"
    "  store %y, %r, %s {axes = [0]}\n  yield\n }\n}\n";

static void long_loops_do_not_grow(void **state) {
    (void)state;
    bench b;
    bench_open(&b, long_loop);
    bench_scalar(&b, 0, 200000);
    bench_tensor(&b, 1, 1, E(64), NULL);
    size_t before = b.env.used_bytes;
    assert_int_equal(bench_run(&b), TG_OK);
    assert_true(bench_get(&b, 1, 63) == 200000);
    assert_true(b.env.used_bytes - before < 4u << 20);
    bench_fini(&b);
}

/* y = x[0, :] summed, over 1000 values that cancel. */
static const char cancelling[] =
    "tegula-ir 1\nkernel tile k {\n param x: tensor<f32[1000]>\n param y: tensor<f32[1]> out\n"
    " grid (%gx: tensor<f32[1000]>, %gy: tensor<f32[1]>) {\n  yield\n }\n"
    " body (%x: tensor<f32[1000]>, %y: tensor<f32[1]>) {\n  %z = const {i = 0} : i64\n"
    "  %t = const {i = 1000} : i64\n  %one = const {i = 1} : i64\n"
    "  %s = span %z, %t : span<1000>\n  %o = span %z, %one : span<1>\n"
    "  %v = load %x, %s {axes = [0]} : f32[1000]\n"
    "  %r = reduce %v {axis = 0, kind = sum} : f32 {}\n"
    "  %w = reshape %r : f32[1]\n  store %y, %w, %o {axes = [0]}\n  yield\n }\n}\n";

/* Noise moves a sum of n terms by n half units of the sum of magnitudes: no less, no more. */
static void noise_is_the_bound(void **state) {
    (void)state;
    double x[1000];
    for (int i = 0; i < 1000; i++) {
        x[i] = i % 2 == 0 ? 3 : -3;
    }
    for (uint64_t seed = 0; seed < 4; seed++) {
        bench b;
        bench_open(&b, cancelling);
        b.options.mode = TG_INTERP_F64;
        b.options.noise_seed = seed;
        bench_tensor(&b, 0, 1, E(1000), x);
        bench_tensor(&b, 1, 1, E(1), NULL);
        assert_int_equal(bench_run(&b), TG_OK);
        double want = seed == 0 ? 0 : 1000 * 0x1p-24 * 3000;
        double off = fabs(bench_get(&b, 1, 0));
        assert_true(off >= want * 0.999 && off <= want * 1.001);
        bench_fini(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ragged_span),
        cmocka_unit_test(gather_rows),
        cmocka_unit_test(packed_rows),
        cmocka_unit_test(record_fields),
        cmocka_unit_test(loops_carry),
        cmocka_unit_test(limits),
        cmocka_unit_test(races),
        cmocka_unit_test(facts_and_dims),
        cmocka_unit_test(overlap_is_told),
        cmocka_unit_test(alias_is_one_view),
        cmocka_unit_test(claims_are_checked),
        cmocka_unit_test(long_loops_do_not_grow),
        cmocka_unit_test(noise_is_the_bound),
        cmocka_unit_test(scatter_drops_and_tells_twins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
