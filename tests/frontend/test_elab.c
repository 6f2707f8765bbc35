/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations of the language, from source text to numbers. Every row is an expression over v
 * (f32[8], of which the first five exist), q (i32[8], likewise), w and r (all eight exist), n (i64)
 * and the constants of std; its value, spread to eight elements, must be what stands beside it.
 */
#include "tests/frontend/semabench.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct row {
    const char *expr;
    double want[8];
} row;

#define ALL(x) {x, x, x, x, x, x, x, x}
static const double X[8] = {3, -1, 4, -1.5, 5, 0, 0, 0}; /* v */
static const double P[8] = {2, 0, 7, 2, 1, 0, 0, 0};     /* q */
static const double W[8] = {1, 2, 3, 4, 5, 6, 7, 8};     /* w */
static const double R[8] = {4, 1, 4, 0, 9, -3, 1, 4};    /* r, i32 */

static const row rows[] = {
    /* presence: skipped, replaced, asked for */
    {"v else 7", {3, -1, 4, -1.5, 5, 7, 7, 7}},
    {"where(exists(v), 1.0, 0.0)", {1, 1, 1, 1, 1, 0, 0, 0}},
    {"where(f32 == f32, 10.0, 0.0) + (size(f32) * 100 + size(bf16) * 10 + size(i8)) as f32",
     ALL(431)},
    {"sum(v)", ALL(9.5)},
    {"prod(v)", ALL(90)},
    {"min(v)", ALL(-1.5)},
    {"max(v if v < 4)", ALL(3)},
    {"mean(v)", ALL(1.9f)},
    {"argmax(v) as f32", ALL(4)},
    {"argmin(v) as f32", ALL(3)},
    {"count(v) as f32", ALL(5)},
    {"count(v > 0) as f32", ALL(3)},
    {"where(any(v == 0), 1.0, 0.0)", ALL(0)},
    {"where(all(v != 0), 1.0, 0.0)", ALL(1)},
    {"sum(v if v > 100)", ALL(0)},
    {"max(v if v > 100)", ALL(-INFINITY)},
    {"argmax(v if v > 100) as f32", ALL(-1)},
    {"scan(v)", {3, 2, 6, 4.5, 9.5, 9.5, 9.5, 9.5}},
    {"exscan(v)", {0, 3, 2, 6, 4.5, 9.5, 9.5, 9.5}},
    {"scan_max(v)", {3, 3, 4, 4, 5, 5, 5, 5}},
    {"exscan_min(w)", {INFINITY, 1, 1, 1, 1, 1, 1, 1}},
    {"sort(v) else 9", {-1.5, -1, 3, 4, 5, 9, 9, 9}},
    {"sort_desc(v) else 9", {5, 4, 3, -1, -1.5, 9, 9, 9}},
    {"sort(v, w)[1] else 9", {4, 2, 1, 3, 5, 9, 9, 9}},
    {"concat(topk(v, 3).v, topk(v, 5).v, axis 0) else 9", {5, 4, 3, 5, 4, 3, -1, -1.5}},
    {"topk(v, 8).v else 0.5", {5, 4, 3, -1, -1.5, 0.5, 0.5, 0.5}},
    {"topk(r, 8).i as f32", {4, 0, 2, 7, 1, 6, 3, 5}}, /* ties: the smaller index first */
    {"(rank_by_key(q, 8) as f32) else -1", {0, 0, 0, 1, 0, -1, -1, -1}},
    {"histogram(q, 8) as f32", {1, 1, 2, 0, 0, 0, 0, 1}},
    {"histogram(q, 8, r) as f32", {1, 9, 4, 0, 0, 0, 0, 4}},
    {"scatter_add(w, q, v)", {0, 7, 4.5, 4, 5, 6, 7, 12}},
    {"scatter_add(zeros i32[8], q, 1 if v > 0) as f32", {0, 1, 1, 0, 0, 0, 0, 1}},
    {"compress(v, v < 0).v else 9", {-1, -1.5, 9, 9, 9, 9, 9, 9}},
    {"compress(v, v < 0).n as f32", ALL(2)},
    {"w[q] else 0", {3, 1, 8, 3, 2, 0, 0, 0}},
    {"w[r] else 0", {5, 2, 5, 1, 0, 0, 2, 5}}, /* 9 and -3 lie outside */
    {"reduce(v, adds, 100.0, axis 0)", ALL(109.5)},
    /* elementwise, types */
    {"fma(w, w, 1)", {2, 5, 10, 17, 26, 37, 50, 65}},
    {"where(w > 4, w, -w)", {-1, -2, -3, -4, 5, 6, 7, 8}},
    {"min(w, 3) + max(w, 6, 7)", {8, 9, 10, 10, 10, 10, 10, 11}},
    {"abs(v else -2)", {3, 1, 4, 1.5, 5, 2, 2, 2}},
    {"(r / 2) as f32", {2, 0, 2, 0, 4, -1, 0, 2}},
    {"(r % 2) as f32", {0, 1, 0, 0, 1, -1, 1, 0}},
    {"(r / 0) as f32", ALL(0)},
    {"(r % 0) as f32", {4, 1, 4, 0, 9, -3, 1, 4}},
    {"((r << 1) ^ 1) as f32", {9, 3, 9, 1, 19, -5, 3, 9}},
    {"((r >> 1) | 1) as f32", {3, 1, 3, 1, 5, -1, 1, 3}},
    {"popcount(r & 15) as f32", {1, 1, 1, 0, 2, 3, 1, 1}},
    {"(~r) as f32", {-5, -2, -5, -1, -10, 2, -2, -5}},
    {"where(!(r == 4) & (w < 6), 1.0, 0.0)", {0, 1, 0, 1, 1, 0, 0, 0}},
    {"floor(w / 2) + ceil(w / 4) + round(w / 2)", {1, 3, 4, 5, 6, 8, 9, 10}},
    {"sqrt(w * w)", {1, 2, 3, 4, 5, 6, 7, 8}},
    {"exp2(w) as i32 as f32", {2, 4, 8, 16, 32, 64, 128, 256}},
    {"bits_f32(bits(w) + 0)", {1, 2, 3, 4, 5, 6, 7, 8}},
    {"(bits(w) >> 23) as f32", {127, 128, 128, 129, 129, 129, 129, 130}},
    {"e8m0((r & 3) as u8) * exp2(126.0)", {0.5, 1, 0.5, 0.5, 1, 1, 1, 0.5}},
    {"(w * 100) as f8e4m3 as f32",
     {96, 192, 288, 384, 448, 448, 448, 448}}, /* even ties, saturation */
    {"(w * 50) as i8 as f32", {50, 100, 127, 127, 127, 127, 127, 127}},
    {"((r * 100) as i8) as f32", {-112, 100, -112, 0, -124, -44, 100, -112}}, /* integers wrap */
    {"((r * 100) as i8 sat) as f32", {127, 100, 127, 0, 127, -128, 100, 127}},
    {"(w / 8) as bf16 + 1", {1.125, 1.25, 1.375, 1.5, 1.625, 1.75, 1.875, 2}},
    {"w * N", {5, 10, 15, 20, 25, 30, 35, 40}}, /* a runtime dimension meets floats */
    {"cdiv(r, 2) as f32", {2, 1, 2, 0, 5, -1, 1, 2}},
    {"(n + 1) as f32", ALL(6)},
    /* shapes */
    {"w.reshape[2, 4].permute[1, 0].reshape[8]", {1, 5, 2, 6, 3, 7, 4, 8}},
    {"w.reshape[2, 4].T.reshape[8]", {1, 5, 2, 6, 3, 7, 4, 8}},
    {"sum(w[:, _] * w[_, :], axis 1)", {36, 72, 108, 144, 180, 216, 252, 288}},
    {"concat(w[4:8], w[0:4], axis 0)", {5, 6, 7, 8, 1, 2, 3, 4}},
    {"max(w.reshape[4, 2], axis 1).reshape[4, 1].broadcast[4, 2].reshape[8]",
     {2, 2, 4, 4, 6, 6, 8, 8}},
    {"w.reshape[2, 4][1, :][_, :].broadcast[2, 4].reshape[8]", {5, 6, 7, 8, 5, 6, 7, 8}},
    {"iota(8) as f32", {0, 1, 2, 3, 4, 5, 6, 7}},
    {"w.reshape[2, 4][:, 1:3].reshape[4][iota(8) / 2]", {2, 2, 3, 3, 6, 6, 7, 7}},
    {"(v.reshape[4, 2].reshape[8]) else 7", {3, -1, 4, -1.5, 5, 7, 7, 7}},
    {"max(v.reshape[4, 2], axis 1)[iota(8) / 2]", {3, 3, 4, 4, 5, 5, -INFINITY, -INFINITY}},
    {"w.reshape[2, 4][:, r[0:2] - 1 else 0].reshape[4][iota(8) % 4] else 9",
     {4, 1, 8, 5, 4, 1, 8, 5}},
    /* products */
    {"(w.reshape[4, 2] @ w.reshape[2, 4])[1, :][iota(8) % 4]", {23, 30, 37, 44, 23, 30, 37, 44}},
    {"(v[_, :] @ w[:, _]).reshape[1][iota(8) * 0]", ALL(32)},
    /* std, fn, several results */
    {"twice(w)", {2, 4, 6, 8, 10, 12, 14, 16}},
    {"both(w, 1.0)[1]", {0, 1, 2, 3, 4, 5, 6, 7}},
    {"apply(adds, w, 1.0)", {2, 3, 4, 5, 6, 7, 8, 9}}, /* a function as an argument */
    {"apply(both, w, 1.0)[1]", {0, 1, 2, 3, 4, 5, 6, 7}},
    {"sum(std.softmax(v, axis 0))", ALL(1)},
    {"power[N = 3](w)", {1, 8, 27, 64, 125, 216, 343, 512}},
};

static double x_of(int64_t i) { return X[i]; }
static double p_of(int64_t i) { return P[i]; }
static double w_of(int64_t i) { return W[i]; }
static double r_of(int64_t i) { return R[i]; }

static const char head[] =
    "import std\n"
    "fn twice(x) { return x + x }\n"
    "fn size(T) { var n = 4; if T == bf16 { n = 2 } else if T != f32 { n = 1 }; return n }\n"
    "fn both(a, b) { return a + b, a - b }\n"
    "fn adds(a, b) { return a + b }\n"
    "fn apply(f, a, b) { return hand_on(f, a, b) }\n"
    "fn hand_on(f, a, b) { return f(a, b) }\n"
    "fn power[N](x) { var y = x; for i in 1 .. N { y = y * x }; return y }\n"
    "kernel k(x: f32[N], p: i32[N], wx: f32[8], rx: i32[8], out y: f32[8])\n{\n"
    "  let i = span(0 .. N, 8), v = x[i], q = p[i], w = wx[:], r = rx[:], n = N + 0\n"
    "  y[0:8] = ";

static void test_rows(void **state) {
    (void)state;
    int bad = 0;
    for (size_t t = 0; t < TG_COUNT_OF(rows); t++) {
        char text[2048];
        sb_program s;
        snprintf(text, sizeof(text), "%s%s\n}\n", head, rows[t].expr);
        sb_load(&s, text);
        if (sb_try(&s, "k", "") != TG_OK) {
            bench_print_diags(&s.b);
            print_message("%s is refused\n", rows[t].expr);
            bad++;
            sb_done(&s);
            continue;
        }
        sb_tensor(&s, "x", "5", x_of);
        sb_tensor(&s, "p", "5", p_of);
        sb_tensor(&s, "wx", "8", w_of);
        sb_tensor(&s, "rx", "8", r_of);
        sb_tensor(&s, "y", "8", NULL);
        sb_run(&s);
        for (int i = 0; i < 8; i++) {
            double got = sb_get(&s, "y", i), want = rows[t].want[i];
            if (!(got == want) && !(fabs(got - want) < 1e-6 * fabs(want))) {
                print_message("%s: element %d is %.9g, expected %.9g\n", rows[t].expr, i, got,
                              want);
                bad++;
            }
        }
        sb_done(&s);
    }
    assert_int_equal(bad, 0);
}

static double count_up(int64_t i) { return (double)(i + 1); }

static void test_batched(void **state) {
    (void)state;
    sb_program s;
    sb_load(&s, "kernel k(a: f32[2, M, 3], b: f32[2, 3, 4], out c: f32[2, M, 4]) grid i: M by 2 { "
                "c[:, i, :] = a[:, i, :] @ b[:, :, :] }");
    sb_kernel(&s, "k", "");
    sb_tensor(&s, "a", "2,3,3", count_up);
    sb_tensor(&s, "b", "2,3,4", count_up);
    sb_tensor(&s, "c", "2,3,4", NULL);
    sb_run(&s);
    for (int i = 0; i < 24; i++) {
        double want = 0;
        for (int k = 0; k < 3; k++) {
            want += (i / 12 * 9 + i / 4 % 3 * 3 + k + 1) * (i / 12 * 12 + k * 4 + i % 4 + 1);
        }
        assert_true(sb_get(&s, "c", i) == want);
    }
    sb_done(&s);
}

/* Control flow: runtime and compile-time if, while, nested loops, several results carried. */
static void test_control(void **state) {
    (void)state;
    sb_program s;
    sb_load(
        &s,
        "kernel k(n: i32, out y: i32[8]) {\n"
        "  var a = 0, b = 1, steps = 0\n"
        "  while a + b < 100 max 50 { (a, b) = (b, a + b); steps += 1 }\n"
        "  var c = 0\n"
        "  for i in 0 .. n { for j in 0 .. i { if (i + j) % 2 == 0 { c += j } else { c -= 1 } } }\n"
        "  var t = zeros i32[8]\n"
        "  if n > 3 { t = t + 5 } else { t = t - 1 }\n"
        "  if 2 > 1 { t = t + 1 }\n"
        "  y[0:8] = where(iota(8) == 0, a as i32, where(iota(8) == 1, steps as i32, where(iota(8) "
        "== 2, c as i32, t)))\n"
        "}\n");
    sb_kernel(&s, "k", "");
    for (int n = 3; n < 6; n++) {
        int c = 0, a = 0, b = 1, steps = 0;
        while (a + b < 100) {
            int next = a + b;
            a = b;
            b = next;
            steps++;
        }
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < i; j++) {
                c = (i + j) % 2 == 0 ? c + j : c - 1;
            }
        }
        sb_scalar(&s, "n", n);
        sb_tensor(&s, "y", "8", NULL);
        sb_run(&s);
        assert_int_equal((int)sb_get(&s, "y", 0), a);
        assert_int_equal((int)sb_get(&s, "y", 1), steps);
        assert_int_equal((int)sb_get(&s, "y", 2), c);
        assert_int_equal((int)sb_get(&s, "y", 3), n > 3 ? 6 : 0);
    }
    sb_done(&s);
}

static void test_atomics(void **state) {
    (void)state;
    sb_program s;
    sb_load(&s, "kernel k(x: i32[N], inout h: i32[4], inout m: i32[2], out old: i32[N] init 0) "
                "grid i: N by 3 {\n"
                "  atomic add(h[x[i] % 4], 1)\n"
                "  atomic max(m[0], max(x[i]))\n"
                "  atomic cas(m[1], 0, 7)\n"
                "}\n");
    sb_kernel(&s, "k", "");
    sb_tensor(&s, "x", "10", count_up);
    sb_tensor(&s, "h", "4", NULL);
    sb_tensor(&s, "m", "2", NULL);
    sb_tensor(&s, "old", "10", NULL);
    sb_run(&s);
    static const int want[] = {2, 3, 3, 2};
    for (int i = 0; i < 4; i++) {
        assert_int_equal((int)sb_get(&s, "h", i), want[i]);
    }
    assert_int_equal((int)sb_get(&s, "m", 0), 10);
    assert_int_equal((int)sb_get(&s, "m", 1), 7);
    sb_done(&s);
}

static void test_schedules(void **state) {
    (void)state;
    sb_program s;
    sb_load(&s, "kernel k[T: f32 | f16](x: T[M, N], out y: T[M, N]) tune B = 8 in {8, 16}, C = 4 "
                "grid i: M by B, j: N by C { y[i, j] = x[i, j] }\n"
                "schedule k for cpu { B = 16; pack = b }\n"
                "schedule k for cpu when M <= 4 { B = 2 }\n"
                "schedule k for cpu when N > 100 { C = 64 }\n"
                "schedule k for nvidia >= sm90 { B = 32 }\n"
                "schedule k[f16] for nvidia { C = 2 }\n");
    const tg_target_query cpu = {"cpu", "x86-64-v3"}, sm80 = {"nvidia", "sm_80"},
                          sm90 = {"nvidia", "sm_90a"};
    const tg_setting f32s[] = {{"T", "f32"}}, f16s[] = {{"T", "f16"}},
                     set[] = {{"T", "f32"}, {"B", "4"}};
    const tg_setting small[] = {{"T", "f32"}, {"M", "3"}, {"N", "7"}};
    tg_func *f;
    tg_variant *vs;
    int n;
    assert_int_equal(tg_program_specialise_all(s.p, "k", f32s, 1, &cpu, s.m, &vs, &n), TG_OK);
    assert_int_equal(n, 3);
    assert_int_equal(vs[0].func->grid_by[0], 2);
    assert_int_equal(vs[0].func->grid_by[1], 4);
    assert_int_equal(vs[1].func->grid_by[0], 16);
    assert_int_equal(vs[1].func->grid_by[1], 64);
    assert_int_equal(vs[2].func->grid_by[0], 16);
    assert_null(vs[2].guard);
    int64_t syms[2];
    for (int i = 0; i < 2; i++) {
        syms[i] = strcmp(vs[0].func->syms[i].name, "M") == 0 ? 4 : 200;
    }
    assert_true(tg_dim_eval(vs[0].guard, syms) != 0);
    assert_true(tg_dim_eval(vs[1].guard, syms) != 0);
    bool pack = false;
    for (int i = 0; i < vs[2].func->n_bindings; i++) {
        pack = pack || (strcmp(vs[2].func->bindings[i].name, "schedule.pack") == 0 &&
                        strcmp(vs[2].func->bindings[i].value, "b") == 0);
    }
    assert_true(pack);
    assert_int_equal(tg_program_specialise(s.p, "k", f32s, 1, NULL, tg_module_make(&s.b.arena), &f),
                     TG_OK);
    assert_int_equal(f->grid_by[0], 8);
    assert_int_equal(
        tg_program_specialise(s.p, "k", small, 3, &cpu, tg_module_make(&s.b.arena), &f), TG_OK);
    assert_int_equal(f->grid_by[0], 2); /* one kernel for these extents: the guard holds */
    assert_int_equal(
        tg_program_specialise(s.p, "k", f32s, 1, &sm80, tg_module_make(&s.b.arena), &f), TG_OK);
    assert_int_equal(f->grid_by[0], 8);
    assert_int_equal(
        tg_program_specialise(s.p, "k", f16s, 1, &sm90, tg_module_make(&s.b.arena), &f), TG_OK);
    assert_int_equal(f->grid_by[0], 32);
    assert_int_equal(f->grid_by[1], 2);
    assert_int_equal(tg_program_specialise(s.p, "k", set, 2, &cpu, tg_module_make(&s.b.arena), &f),
                     TG_OK);
    assert_int_equal(f->grid_by[0], 4); /* a setting wins */
    sb_done(&s);
}

static int64_t multiple_of_4(int64_t n) { return (n & 3) == 0; }
static int64_t without_bit_2(int64_t n) { return (n & 4) != 4; }
static int64_t multiple_of_8(int64_t n) { return (n & -8) == n; }
static int64_t below_24(int64_t n) { return (n >> 2) <= 5; }
static int64_t exactly_one(int64_t n) { return (n > 1) ^ (n == 20); }
static int64_t always(int64_t n) { return n >= 0; }
static int64_t above_9(int64_t n) { return -~n > 10; }

/* `&`, `|`, `^`, `~` and shifts of integers in conditions are of bits, of conditions of truth. */
static void test_bits_of_extents(void **state) {
    static const struct {
        const char *text;
        int64_t (*holds)(int64_t);
    } rows_[] = {{"(N & 3) == 0", multiple_of_4},
                 {"N & 4 != 4", without_bit_2},
                 {"N & -8 == N", multiple_of_8},
                 {"(N >> 2) <= 5", below_24},
                 {"(N > 1) ^ (N == 20)", exactly_one},
                 {"(N & (8 ^ 12)) == (N & 4)", always},
                 {"-~N > 10", above_9}};
    (void)state;
    for (size_t r = 0; r < sizeof rows_ / sizeof rows_[0]; r++) {
        sb_program s;
        char text[256];
        (void)snprintf(text, sizeof text,
                       "kernel k(x: f32[N], out y: f32[N]) require %s "
                       "grid i: N by 4 { y[i] = x[i] }\n",
                       rows_[r].text);
        sb_load(&s, text);
        tg_func *f;
        assert_int_equal(tg_program_specialise(s.p, "k", NULL, 0, NULL, s.m, &f), TG_OK);
        for (int64_t n = 0; n < 40; n++) {
            bool all = true;
            for (int i = 0; i < f->n_requires; i++) {
                all = all && tg_dim_eval(f->requires_[i], &n) != 0;
            }
            assert_int_equal(all, rows_[r].holds(n) != 0);
        }
        sb_done(&s);
    }
}

/* Rows that are cut into groups and put together again stay rows, also where a block has one: the
 * store is known to go where the load came from. */
static void test_reshaped_rows(void **state) {
    (void)state;
    static const char *const rows_a_block[] = {"1", "2"};
    for (size_t r = 0; r < 2; r++) {
        sb_program s;
        sb_load(&s, "kernel k[B](x: f32[M, N], out y: f32[M, N]) grid i: M by B, j: N by 8 {\n"
                    "  let v = x[i, j].reshape[B, 4, 2]\n"
                    "  y[i, j] = (v + 1.0).reshape[B, 8]\n}\n");
        tg_setting set = {.name = "B", .value = rows_a_block[r]};
        tg_func *f;
        assert_int_equal(tg_program_specialise(s.p, "k", &set, 1, NULL, s.m, &f), TG_OK);
        sb_done(&s);
    }
}

static void test_extern(void **state) {
    (void)state;
    sb_program s;
    sb_load(&s, "extern fn fast_norm(x: f32[N]) -> f32 for nvidia >= sm90 = \"vendor_norm\" { "
                "return sum(x * x) }\n"
                "kernel k(x: f32[4], out y: f32[4]) { y[:] = x[:] / fast_norm(x[:]) }\n");
    sb_kernel(&s, "k", "");
    sb_tensor(&s, "x", "4", count_up);
    sb_tensor(&s, "y", "4", NULL);
    sb_run(&s);
    assert_true(fabs(sb_get(&s, "y", 3) - 4.0 / 30) < 1e-6);
    sb_done(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),          cmocka_unit_test(test_batched),
        cmocka_unit_test(test_control),       cmocka_unit_test(test_atomics),
        cmocka_unit_test(test_schedules),     cmocka_unit_test(test_bits_of_extents),
        cmocka_unit_test(test_reshaped_rows), cmocka_unit_test(test_extern),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
