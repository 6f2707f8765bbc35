/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The language's guarantees, one by one, from source text: what must be accepted and compute the
 * right thing, and what must be refused with which diagnostic. wrong/check_*.tg holds the exact
 * messages.
 */
#include "tests/frontend/semabench.h"

#include <stdio.h>
#include <math.h>
#include <string.h>

static double up(int64_t i) { return (double)(i + 1); }
static double down(int64_t i) { return (double)(100 - i); }
static double ones(int64_t i) {
    (void)i;
    return 1;
}

/* ---- 1. one source: a schedule changes nothing but speed ----------------------------------------
 */

static void test_one_source(void **state) {
    (void)state;
    static const char *const text = "kernel k(a: f32[M, K], b: f32[K, N], out c: f32[M, N]) tune "
                                    "BM = 4, BN = 4, BK = 4 grid i: M by BM, j: N by BN {\n"
                                    "  var acc = zeros f32[BM, BN]\n"
                                    "  for k: K by BK { acc += a[i, k] @ b[k, j] }\n"
                                    "  c[i, j] = acc\n"
                                    "}\n"
                                    "schedule k for cpu { BM = 3; BN = 7; BK = 5 }\n";
    static const char *const settings[] = {"", "BM=1 BN=1 BK=1", "BM=61 BN=96 BK=9",
                                           "BM=3 BN=7 BK=5", "BM=64 BN=64 BK=64"};
    for (size_t t = 0; t < TG_COUNT_OF(settings); t++) { /* 4: any extents of tiles */
        sb_program s;
        sb_load(&s, text);
        sb_kernel(&s, "k", settings[t]);
        sb_tensor(&s, "a", "9,11", up);
        sb_tensor(&s, "b", "11,10", down);
        sb_tensor(&s, "c", "9,10", NULL);
        sb_run(&s);
        for (int i = 0; i < 90; i++) {
            double want = 0;
            for (int k = 0; k < 11; k++) {
                want += up(i / 10 * 11 + k) * down(k * 10 + i % 10);
            }
            assert_true(sb_get(&s, "c", i) == want);
        }
        sb_done(&s);
    }
}

/* ---- 2. no access outside
 * ------------------------------------------------------------------------- */

static double wild(int64_t i) {
    static const double p[] = {0, -1, 4, 2147483647, -2147483648.0, 3, 5, 1};
    return p[i];
}

static void test_bounds(void **state) {
    (void)state;
    sb_program s;
    sb_load(&s, "kernel k(x: f32[N], p: i32[M], at: i32, out y: f32[M] init 0, inout z: f32[N], "
                "out one: f32[2]) {\n"
                "  let i = span(0 .. M, 8), q = p[i]\n"
                "  y[i] = x[q] else -7\n"
                "  disjoint z[q] = 50.0\n" /* writes outside are dropped */
                "  one[0:1] = x[at]\n"     /* a lone scalar outside: 0 */
                "  one[1:2] = x[at] else -5.0\n"
                "}\n");
    sb_kernel(&s, "k", "");
    for (int at = -1; at < 7; at++) {
        sb_tensor(&s, "x", "5", up);
        sb_tensor(&s, "p", "8", wild);
        sb_scalar(&s, "at", at == 6 ? 2147483647 : at);
        sb_tensor(&s, "y", "8", NULL);
        sb_tensor(&s, "z", "5", up);
        sb_tensor(&s, "one", "2", NULL);
        sb_run(&s);
        for (int i = 0; i < 8; i++) {
            double p = wild(i);
            assert_true(sb_get(&s, "y", i) == (p >= 0 && p < 5 ? p + 1 : -7));
        }
        static const double z[] = {50, 50, 3, 50, 50};
        for (int i = 0; i < 5; i++) {
            assert_true(sb_get(&s, "z", i) == z[i]);
        }
        bool in = at >= 0 && at < 5;
        assert_true(sb_get(&s, "one", 0) == (in ? at + 1 : 0));
        assert_true(sb_get(&s, "one", 1) == (in ? at + 1 : -5));
    }
    sb_done(&s);
}

/* Index arithmetic means i64: an i32 sum that wraps would land inside. */
static double big(int64_t i) { return i == 0 ? 2147483647 : 1; }

static void test_index_width(void **state) {
    (void)state;
    sb_program s;
    sb_load(
        &s,
        "kernel k(x: f32[N], c: i32[2], m: i32, out y: f32[4]) {\n"
        "  let base = c[0] + c[1] + 2147483647 + m * 2147483647\n" /* 2^33 - 2 or so: far outside */
        "  y[0:4] = x[span(base .., 4)] else -1\n"
        "}\n");
    sb_kernel(&s, "k", "");
    sb_tensor(&s, "x", "8", up);
    sb_tensor(&s, "c", "2", big);
    sb_scalar(&s, "m", 2);
    sb_tensor(&s, "y", "4", NULL);
    sb_run(&s);
    for (int i = 0; i < 4; i++) {
        assert_true(sb_get(&s, "y", i) == -1);
    }
    sb_done(&s);
}

/* ---- 3. ragged axes mask themselves
 * ------------------------------------------------------------------ */

static void test_ragged(void **state) {
    (void)state;
    sb_program s;
    /* Packed requests: behind the tail of one lie the rows of the next, which must not join. */
    sb_load(&s, "kernel k(x: f32[T, 4], cu: i32[B + 1] sorted in 0 .. T + 1, out total: f32[B, 4], "
                "out least: f32[B, 4], out gram: f32[B, 4, 4]) grid b: B {\n"
                "  var t = zeros f32[4], m = full f32[4] = inf, g = zeros f32[4, 4]\n"
                "  for j: cu[b] .. cu[b + 1] by 3 {\n"
                "    let v = x[j, :]\n"
                "    t += sum(v, axis 0)\n"
                "    m = min(m, min(v, axis 0))\n"
                "    g += v.T @ v\n"
                "  }\n"
                "  total[b, :] = t\n"
                "  least[b, :] = m\n"
                "  gram[b, :, :] = g\n"
                "}\n");
    sb_kernel(&s, "k", "");
    static const double cu[] = {0, 4, 4, 9};
    sb_tensor(&s, "x", "9,4", down);
    sb_values(&s, "cu", "4", cu);
    sb_tensor(&s, "total", "3,4", NULL);
    sb_tensor(&s, "least", "3,4", NULL);
    sb_tensor(&s, "gram", "3,4,4", NULL);
    sb_run(&s);
    for (int b = 0; b < 3; b++) {
        for (int c = 0; c < 4; c++) {
            double t = 0, m = INFINITY, g[4] = {0};
            for (int j = (int)cu[b]; j < (int)cu[b + 1]; j++) {
                t += down(j * 4 + c);
                m = fmin(m, down(j * 4 + c));
                for (int d = 0; d < 4; d++) {
                    g[d] += down(j * 4 + c) * down(j * 4 + d);
                }
            }
            assert_true(sb_get(&s, "total", b * 4 + c) == t);
            assert_true(sb_get(&s, "least", b * 4 + c) == m);
            for (int d = 0; d < 4; d++) {
                assert_true(sb_get(&s, "gram", (b * 4 + c) * 4 + d) == g[d]);
            }
        }
    }
    sb_done(&s);
}

/* R7: both operands are zeroed where the contraction does not exist; a NaN there does not join. */
static void test_nan_beyond(void **state) {
    (void)state;
    sb_program s;
    sb_load(&s, "kernel k(a: f32[2, K], b: f32[K, 2], n: i32, out c: f32[2, 2]) {\n"
                "  let j = span(0 .. n, 8)\n"
                "  c[:, :] = a[:, j] @ b[j, :]\n"
                "}\n");
    sb_kernel(&s, "k", "");
    static const double a[] = {1, 2, 3, NAN, 4, 5, 6, NAN}, b[] = {1, 2, 3, 4, 5, 6, NAN, INFINITY};
    sb_values(&s, "a", "2,4", a);
    sb_values(&s, "b", "4,2", b);
    sb_scalar(&s, "n", 3);
    sb_tensor(&s, "c", "2,2", NULL);
    sb_run(&s);
    assert_true(sb_get(&s, "c", 0) == 22 && sb_get(&s, "c", 1) == 28 && sb_get(&s, "c", 2) == 49 &&
                sb_get(&s, "c", 3) == 64);
    sb_done(&s);
}

/* R4: a choice between two gathers exists where the chosen one does. */
static void test_where(void **state) {
    (void)state;
    sb_program s;
    sb_load(&s, "kernel k(x: f32[N], y: f32[M], out z: f32[8], out w: f32[8]) {\n"
                "  let i = iota(8, i64), v = where(i < 4, x[i], y[i - 4])\n"
                "  z[0:8] = v else -1\n"
                "  w[0:8] = sum(v)\n"
                "}\n");
    sb_kernel(&s, "k", "");
    sb_tensor(&s, "x", "3", up);
    sb_tensor(&s, "y", "2", down);
    sb_tensor(&s, "z", "8", NULL);
    sb_tensor(&s, "w", "8", NULL);
    sb_run(&s);
    static const double want[] = {1, 2, 3, -1, 100, 99, -1, -1};
    for (int i = 0; i < 8; i++) {
        assert_true(sb_get(&s, "z", i) == want[i]);
        assert_true(sb_get(&s, "w", i) == 205);
    }
    sb_done(&s);
}

/* A page that does not exist, taken by a scalar, takes no part. */
static void test_scalar_page(void **state) {
    (void)state;
    sb_program s;
    sb_load(&s, "kernel k(x: f32[P, 4], page: i32[N], out y: f32[4], out n: i32[1]) {\n"
                "  var m = full f32[4] = -inf, seen = 0\n"
                "  for j in 0 .. N {\n"
                "    let v = x[page[j], :]\n"
                "    m = max(m, v else -inf)\n"
                "    seen += count(v) else 0\n"
                "  }\n"
                "  y[:] = m\n"
                "  n[0:1] = seen\n"
                "}\n");
    sb_kernel(&s, "k", "");
    static const double page[] = {1, -1, 7, 0}, x[] = {-5, -6, -7, -8, -9, -2, -9, -9};
    sb_values(&s, "x", "2,4", x);
    sb_values(&s, "page", "4", page);
    sb_tensor(&s, "y", "4", NULL);
    sb_tensor(&s, "n", "1", NULL);
    sb_run(&s);
    static const double want[] = {-5, -2, -7, -8};
    for (int i = 0; i < 4; i++) {
        assert_true(sb_get(&s, "y", i) == want[i]);
    }
    assert_int_equal((int)sb_get(&s, "n", 0), 8);
    sb_done(&s);
}

/* ---- 5. races: accepted by proof, or refused
 * ----------------------------------------------------------- */

typedef struct verdict {
    const char *text;
    int id; /* 0: accepted */
} verdict;

#define HEAD "kernel k"
static const verdict verdicts[] = {
    /* affine */
    {HEAD "(x: f32[M, N], out y: f32[N, M]) grid i: M by 4, j: N by 8 { y[j, i] = x[i, j].T }", 0},
    {HEAD "(x: f32[N], out y: f32[2 * N]) grid i: N by 4 { disjoint y[2 * i] = x[i] }", TG_D_COVER},
    {HEAD "(x: f32[N], out y: f32[2 * N] init 0) grid i: N by 4 { y[2 * i] = x[i] }", 0},
    {HEAD "(x: f32[N], out y: f32[N] init 0) grid i: N by 4 { y[i / 2] = x[i] }", TG_D_SCATTER},
    {HEAD "(x: f32[N], out y: f32[N] init 0) grid i: N by 4 { y[N - 1 - i] = x[i] }",
     TG_D_RACE}, /* falls along i */
    {HEAD "(x: f32[B, N], out y: f32[B] init 0) grid b: B, i: N by 4 { y[b] = 0.0 }", TG_D_RACE},
    {HEAD "(x: f32[B, N], inout y: f32[B]) grid b: B, i: N by 4 { atomic unordered add(y[b], "
          "sum(x[b, i])) }",
     0},
    {HEAD "(x: f32[B, N], inout y: f32[B]) grid b: B, i: N by 4 { atomic add(y[b], sum(x[b, i])) }",
     TG_D_FLOAT_ATOMIC},
    {HEAD
     "(x: f32[B, 8], out y: f32[B, 8]) grid b: B { y[b, 0:3] = x[b, 0:3]; y[b, 3:8] = x[b, 3:8] }",
     0},
    {HEAD
     "(x: f32[B, 8], out y: f32[B, 8]) grid b: B { y[b, 0:3] = x[b, 0:3]; y[b, 4:8] = x[b, 4:8] }",
     TG_D_COVER},
    {HEAD "(x: f32[G * 4], out y: f32[G * 4]) grid g: G { let i = span(g * 4 .. g * 4 + 4, 4); "
          "y[i] = x[i] }",
     0},
    {HEAD "(x: f32[4 * G], n: f32[G], out y: f32[4 * G]) grid g: G { let i = span(g * 4 .. g * 4 + "
          "4, 4); y[i] = x[i] }",
     0},
    {HEAD "(x: f32[4 * G], n: f32[G], out y: f32[4 * G]) grid g: G { let i = span(g * 4 .. g * 4 + "
          "5, 5); y[i] = x[i] else 0 }",
     TG_D_RACE},
    {HEAD "(x: f32[N, N], out y: f32[N, N]) grid i: N by 4 { y[i, i] = x[i, i] }", TG_D_COVER},
    /* facts */
    {HEAD "(x: f32[T], cu: i32[B + 1] sorted, out y: f32[T] init 0) grid b: B { for j: cu[b] .. "
          "cu[b + 1] by 8 { y[j] = x[j] } }",
     0},
    {HEAD "(x: f32[T], cu: i32[B + 1], out y: f32[T] init 0) grid b: B { for j: cu[b] .. cu[b + 1] "
          "by 8 { y[j] = x[j] } }",
     TG_D_RACE},
    {HEAD "(x: f32[T], cu: i32[B + 1] sorted, out y: f32[T] init 0) grid b: B { for j: cu[b] .. "
          "cu[b + 1] + 1 by 8 { y[j] = x[j] } }",
     TG_D_RACE},
    {HEAD "(x: f32[T], cu: i32[B] sorted, out y: f32[T] init 0) grid b: B { for j: cu[b] .. cu[b + "
          "1] by 8 { y[j] = x[j] } }",
     TG_D_RACE}, /* cu[B] is outside: 0 */
    {HEAD "(x: f32[N], p: i32[N] unique, out y: f32[M] init 0) grid i: N by 8 { y[p[i]] = x[i] }",
     0},
    {HEAD "(x: f32[N], p: i32[N] unique, out y: f32[M] init 0) grid i: N { y[p[i]] = x[i] }", 0},
    {HEAD "(x: f32[N], p: i32[K] unique, out y: f32[M] init 0) grid i: N { y[p[i]] = x[i] }",
     TG_D_RACE}, /* p outside gives 0 twice */
    {HEAD "(x: f32[N], p: i32[N] sorted, out y: f32[M] init 0) grid i: N { y[p[i]] = x[i] }",
     TG_D_RACE},
    {HEAD "(x: f32[N], p: i32[N], out y: f32[M] init 0) grid i: N by 8 { disjoint y[p[i]] = x[i] }",
     0},
    /* reads of what others write */
    {HEAD "(inout y: f32[N]) grid i: N by 8 { y[i] = y[i] + 1 }", 0},
    {HEAD "(inout y: f32[N]) grid i: N by 8 { y[i] = y[i + 1] else 0 }", TG_D_RACE},
    {HEAD "(inout y: f32[2, N]) grid i: N by 8 { y[0, i] = y[1, i + 1] else 0 }",
     0}, /* rows never meet */
    {HEAD "(inout y: f32[N], out s: f32[M]) grid i: N by 8, j: M { y[i] = 1.0; s[j] = 0.0 }",
     TG_D_RACE},
    {HEAD "(x: f32[N] alias, inout y: f32[N] alias) grid i: N by 8 { y[i] = x[i] }", 0},
    {HEAD "(x: f32[N] alias, inout y: f32[N] alias) grid i: N by 8 { y[i] = x[i + 1] else 0 }",
     TG_D_RACE},
    {HEAD "(inout c: i32[N], x: i32[N]) grid i: N by 8 { c[i] = 0; let o = atomic add(c[x[i] else "
          "0], 1) }",
     TG_D_RACE}, /* a plain store meets other programs' atomics */
    {HEAD "(x: f32[N], out y: f32[M] init 0) grid i: N by 8 { y[i * 4611686018427387904] = x[i] }",
     TG_D_SCATTER}, /* wraps at 64 bits */
    /* nothing is read before it is written */
    {HEAD "(x: i32[N], out c: i32[N]) grid i: N by 8 { let o = atomic add(c[i], 1); c[i] = 0 }",
     TG_D_READ_ONLY},
    {"kernel inc(x: f32[N], out y: f32[N]) grid i: N by 8 { y[i] = x[i] + 1.0 }\n"
     "op f(x: f32[N], out y: f32[N]) { temp t: f32[N]; inc(t, out y) }",
     TG_D_LAUNCH},
    {"kernel inc(x: f32[N], out y: f32[N]) grid i: N by 8 { y[i] = x[i] + 1.0 }\n"
     "op f(x: f32[N], out y: f32[N]) { if N > 5 { inc(x, out y) } }",
     TG_D_COVER},
    {"kernel inc(x: f32[N], out y: f32[N]) grid i: N by 8 { y[i] = x[i] + 1.0 }\n"
     "op f(x: f32[N], out y: f32[N]) { temp t: f32[N]; if N > 5 { inc(x, out t) }; inc(t, out y) }",
     TG_D_LAUNCH},
    {"kernel inc(x: f32[N], out y: f32[N]) grid i: N by 8 { y[i] = x[i] + 1.0 }\n"
     "op f(x: f32[N], out y: f32[N]) { temp t: f32[N]; if N > 5 { inc(x, out t) } else { inc(x, "
     "out t); "
     "inc(t, out y) }; inc(t, out y) }",
     0},
    /* cover */
    {HEAD "(x: f32[N], z: f32[M], out y: f32[N]) grid i: N by 8, j: M { disjoint y[i] = x[i] }",
     TG_D_COVER}, /* M may be 0: no program at all */
    {HEAD "(n: i32, x: f32[N], out y: f32[N]) grid i: N by 8 { if n > 0 { y[i] = x[i] } }",
     TG_D_COVER},
    {HEAD "(n: i32, x: f32[N], out y: f32[N]) grid i: N by 8 { if n > 0 { y[i] = x[i] } else { "
          "y[i] = 0.0 } }",
     0},
    {HEAD "(x: f32[M, N], out y: f32[M, N]) grid i: M by 8 { for j: N by 8 { y[i, j] = x[i, j] } }",
     0},
    {HEAD "(x: f32[M, N], out y: f32[M]) grid i: M by 8 { for j: N by 8 { y[i] = 0.0 } }",
     TG_D_COVER},
    {HEAD "(x: f32[M, N], out y: f32[M]) grid i: M by 8 { for j in 0 .. 3 { y[i] = 0.0 } }", 0},
    {HEAD "(x: f32[M, N], out y: f32[M, N]) grid i: M by 8, j: N by 4 { y[i, j] = x[i, j] if x[i, "
          "j] > 0 }",
     TG_D_COVER},
    /* 3. presence is decided by the documented procedure */
    {HEAD
     "(x: f32[M], y: f32[N], out z: f32[M]) require M <= N grid i: M by 8 { z[i] = x[i] + y[i] }",
     0},
    {HEAD "(x: f32[M], y: f32[N], out z: f32[M]) grid i: M by 8 { z[i] = x[i] + y[i] }",
     TG_D_MAYBE_ABSENT},
    {HEAD
     "(x: f32[M], s: f32[cdiv(M, 32)], out z: f32[M]) grid i: M by 8 { z[i] = x[i] * s[i / 32] }",
     0},
    {HEAD "(x: f32[M], s: f32[M / 32], out z: f32[M]) grid i: M by 8 { z[i] = x[i] * s[i / 32] }",
     TG_D_MAYBE_ABSENT},
    {HEAD "(q: f32[H, 4], k: f32[G, 4], out z: f32[H, 4]) require H % G == 0 grid h: H { z[h, :] = "
          "q[h, :] + k[h / (H / G), :] }",
     0},
    {HEAD "(q: f32[H, 4], k: f32[G, 4], out z: f32[H, 4]) grid h: H { z[h, :] = q[h, :] + k[h / (H "
          "/ G), :] }",
     TG_D_MAYBE_ABSENT},
    {HEAD "(x: f32[V], p: i32[N] in 0 .. V, out z: f32[N]) grid i: N by 8 { z[i] = x[p[i]] }", 0},
    {HEAD
     "(x: f32[V], p: i32[N], out z: f32[N]) grid i: N by 8 { z[i] = x[p[i]] if exists(x[p[i]]) }",
     TG_D_COVER},
    {HEAD "(x: f32[V], p: i32[N], out z: f32[N] init 0) grid i: N by 8 { z[i] = x[p[i]] if "
          "exists(x[p[i]]) }",
     0},
    {HEAD "(x: f32[V, 4], r: i32, out z: f32[4]) { z[:] = x[r, :] }", TG_D_MAYBE_ABSENT},
    {HEAD "(x: f32[V, 4], r: i32, out z: f32[4]) { assume (r >= 0) & (r < V); z[:] = x[r, :] }", 0},
    {HEAD "(x: f32[V, 4], r: i32, out z: f32[4]) { if (r >= 0) & (r < V) { z[:] = x[r, :] } else { "
          "z[:] = 0.0 } }",
     0},
    {HEAD "(x: f32[V, 4], r: i32, out z: f32[4]) { if r >= V { z[:] = 0.0 } else { z[:] = x[max(r, "
          "0), :] } }",
     TG_D_MAYBE_ABSENT}, /* V may be 0 */
    {HEAD "(x: f32[N], out z: f32[1]) { var m = full f32[8] = -inf; for j: N by 8 { m = max(m, "
          "x[j]) }; z[0:1] = max(m) }",
     TG_D_LOOP_PRESENCE},
    {HEAD "(x: f32[N], out z: f32[1]) { var m = full f32[8] = -inf; for j: N by 8 { m = max(m, "
          "x[j] else -inf) }; z[0:1] = max(m) }",
     0},
    /* a condition of which one part is not known says nothing where it fails */
    {HEAD
     "(x: f32[N, 4], u: f32[2], r: i32[1], out y: f32[4]) { let a = r[0]; var v = zeros f32[4]; "
     "if (a < 0) & (u[0] > 0.5) { v = zeros f32[4] } else { if a < N { v = x[a, :] } }; y[:] = v }",
     TG_D_MAYBE_ABSENT},
    {HEAD
     "(x: f32[N, 4], u: f32[2], r: i32[1], out y: f32[4]) { let a = r[0]; var v = zeros f32[4]; "
     "if (a < 0) | (u[0] > 0.5) { v = zeros f32[4] } else { if a < N { v = x[a, :] } }; y[:] = v }",
     0},
    {HEAD
     "(x: f32[N, 4], u: u64[1], out y: f32[4]) { let a = max(u[0], 0) as i64; if a < N { y[:] = "
     "x[a, :] } else { y[:] = 0.0 } }",
     TG_D_MAYBE_ABSENT}, /* the upper half of u64 is negative */
    {HEAD
     "(x: f32[N], t: f32[B, 4], out y: f32[N, 4]) grid i: N { y[i, :] = t[i / cdiv(N, B), :] }",
     TG_D_MAYBE_ABSENT}, /* B may be 0 */
    {HEAD "(x: f32[N], t: f32[B, 4], out y: f32[N, 4]) require B >= 1 grid i: N { y[i, :] = t[i / "
          "cdiv(N, B), :] }",
     0},
    {HEAD
     "(x: f32[N], out y: f32[N]) grid i: N by 8 { let q = x[i - 1]; var a = zeros f32[8], b = a, "
     "c = a, d = a, e = a, f = a, g = a, h = a, l = a, m = a, n = a, o = a, p = a, r = a\n"
     "for t in 0 .. 40 { a = b; b = c; c = d; d = e; e = f; f = g; g = h; h = l; l = m; m = n; "
     "n = o; o = p; p = r; r = q }\ny[i] = a }",
     TG_D_MAYBE_ABSENT}, /* absence handed on over many turns */
    /* R3 */
    {HEAD
     "(x: f32[N], y: f32[N], out z: f32[N, N]) grid i: N by 8, j: N by 8 { z[i, j] = x[i] + y[j] }",
     TG_D_ALIGNMENT},
    {HEAD "(x: f32[N], y: f32[N], out z: f32[N, N]) grid i: N by 8, j: N by 8 { z[i, j] = x[i][:, "
          "_] + y[j][_, :] }",
     0},
    {HEAD "(x: f32[N], out z: f32[N, N]) grid i: N by 8, j: N by 8 { z[i, j] = where(i <= j, 1.0, "
          "0.0) }",
     TG_D_ALIGNMENT},
    {HEAD "(x: f32[N, N], out z: f32[N, N]) grid i: N by 8, j: N by 8 { z[i, j] = x[j, i] }",
     TG_D_ALIGNMENT},
    {HEAD "(x: f32[M, N], y: f32[N], out z: f32[M, N]) grid i: M by 8, j: N by 8 { z[i, j] = x[i, "
          "j] + y[j] }",
     TG_D_SHAPE},
    /* 7. numerics */
    {HEAD "(x: i16[N, 8], w: u16[8, 8], out y: i32[N, 8]) grid i: N by 8 { y[i, :] = x[i, :] @ "
          "w[:, :] }",
     0}, /* 16-bit products are sums of i32 */
    {HEAD "(x: i16[N, 8], w: i16[8, 8], out y: i16[N, 8]) grid i: N by 8 { y[i, :] = x[i, :] @ "
          "w[:, :] }",
     TG_D_TYPE_MISMATCH},
    {HEAD "(x: f32[N], out z: f16[N]) grid i: N by 8 { z[i] = x[i] }", TG_D_TYPE_MISMATCH},
    {HEAD "(x: f16[N], out z: f32[N]) grid i: N by 8 { z[i] = x[i] * x[i] }", 0},
    {HEAD "(x: f16[N], out z: f16[N]) grid i: N by 8 { z[i] = x[i] * x[i] }", TG_D_TYPE_MISMATCH},
    {HEAD "(x: f16[N], out z: f16[N]) grid i: N by 8 { z[i] = max(-x[i], x[i]) }",
     0}, /* movement keeps the type */
    {HEAD "(x: f32[N], y: f64[N], out z: f64[N]) grid i: N by 8 { z[i] = x[i] * y[i] }",
     TG_D_TYPE_MISMATCH},
    {HEAD "(x: f32[N], y: i32[N], out z: f32[N]) grid i: N by 8 { z[i] = x[i] * y[i] }",
     TG_D_TYPE_MISMATCH},
    {HEAD "(x: f32[2, N], y: bf16[N, 2], out z: f32[2, 2]) { var a = zeros f32[2, 2]; for k: N by "
          "8 { a += x[:, k] @ y[k, :] }; z[:, :] = a }",
     TG_D_TYPE_MISMATCH},
};

static void test_verdicts(void **state) {
    (void)state;
    int bad = 0;
    for (size_t i = 0; i < TG_COUNT_OF(verdicts); i++) {
        sb_program s;
        sb_load(&s, verdicts[i].text);
        tg_status st = tg_program_check(s.p);
        bool right = verdicts[i].id == 0
                         ? st == TG_OK
                         : st == TG_E_SOURCE && bench_told(&s.b, (tg_diag_id)verdicts[i].id);
        if (!right) {
            print_message("%s\n  should be %s E%04d\n", verdicts[i].text,
                          verdicts[i].id == 0 ? "accepted" : "refused with", verdicts[i].id);
            bench_print_diags(&s.b);
            bad++;
        }
        sb_done(&s);
    }
    assert_int_equal(bad, 0);
}

/* What the author promised is checked when it runs. */
static void test_broken_promise(void **state) {
    (void)state;
    static const double twice[] = {1, 2, 1};
    sb_program s;
    sb_load(&s, "kernel k(p: i32[N], out y: f32[M] init 0) grid i: N { disjoint y[p[i]] = 1.0 }");
    sb_kernel(&s, "k", "");
    sb_values(&s, "p", "3", twice);
    sb_tensor(&s, "y", "4", NULL);
    assert_int_equal(bench_run_interp(&s.b), TG_E_SOURCE);
    sb_done(&s);
    sb_load(&s, "kernel k(p: i32[N] sorted, out y: i32[N]) grid i: N by 2 { y[i] = p[i] }");
    sb_kernel(&s, "k", "");
    sb_values(&s, "p", "3", twice);
    sb_tensor(&s, "y", "3", NULL);
    assert_int_equal(bench_run_interp(&s.b), TG_E_SOURCE);
    sb_done(&s);
}

/* More variables than a loop carries: told, not a broken kernel. */
static void test_many_variables(void **state) {
    (void)state;
    static char text[8192];
    size_t at = 0;
    for (int part = 0; part < 2; part++) {
        const char *before = part == 0 ? "kernel k(x: f32[N], out y: f32[N]) grid i: N by 8 {\n"
                                       : "for t in 0 .. 3 {\n";
        at += (size_t)snprintf(text + at, sizeof text - at, "%s", before);
        for (int i = 0; i < 80; i++) {
            at += (size_t)snprintf(text + at, sizeof text - at,
                                   part == 0 ? "var a%d = zeros f32[8]\n" : "a%d += x[i]\n", i);
        }
    }
    (void)snprintf(text + at, sizeof text - at, "}\ny[i] = a0 + a79\n}\n");
    sb_program s;
    sb_load(&s, text);
    assert_int_equal(tg_program_check(s.p), TG_E_SOURCE);
    assert_true(bench_told(&s.b, TG_D_TOO_LARGE));
    sb_done(&s);
}

/* Program order within a program; the same bits in any order of programs. */
static void test_order(void **state) {
    (void)state;
    sb_program s;
    sb_load(&s, "kernel k(inout st: f32[N], out y: f32[N]) grid i: N by 4 {\n"
                "  let before = st[i]\n"
                "  st[i] = before * 2\n"
                "  let after = st[i]\n"
                "  st[i] = after + 1\n"
                "  y[i] = before + after * 100 + st[i] * 10000\n"
                "}\n");
    sb_kernel(&s, "k", "");
    for (uint64_t seed = 0; seed < 5; seed++) {
        s.b.options.order_seed = seed;
        sb_tensor(&s, "st", "10", up);
        sb_tensor(&s, "y", "10", NULL);
        sb_run(&s);
        for (int i = 0; i < 10; i++) {
            double b = i + 1, a = 2 * b;
            assert_true(sb_get(&s, "y", i) == b + a * 100 + (a + 1) * 10000);
            assert_true(sb_get(&s, "st", i) == a + 1);
        }
    }
    sb_done(&s);
}

/* Empty everything: no program, no rows, no columns. */
static void test_empty(void **state) {
    (void)state;
    sb_program s;
    sb_load(&s, "kernel k(x: f32[M, N], out y: f32[M], out z: f32[M]) grid i: M by 4 {\n"
                "  var t = zeros f32[4], m = full f32[4] = -inf\n"
                "  for j: N by 4 { t += sum(x[i, j], axis 1); m = max(m, max(x[i, j], axis 1)) }\n"
                "  y[i] = t\n"
                "  z[i] = m\n"
                "}\n");
    sb_kernel(&s, "k", "");
    sb_tensor(&s, "x", "3,0", ones);
    sb_tensor(&s, "y", "3", ones);
    sb_tensor(&s, "z", "3", ones);
    sb_run(&s);
    for (int i = 0; i < 3; i++) {
        assert_true(sb_get(&s, "y", i) == 0);
        assert_true(sb_get(&s, "z", i) == -INFINITY);
    }
    sb_tensor(&s, "x", "0,5", ones);
    sb_tensor(&s, "y", "0", ones);
    sb_tensor(&s, "z", "0", ones);
    sb_run(&s);
    sb_done(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_source),     cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_index_width),    cmocka_unit_test(test_ragged),
        cmocka_unit_test(test_nan_beyond),     cmocka_unit_test(test_where),
        cmocka_unit_test(test_scalar_page),    cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_broken_promise), cmocka_unit_test(test_order),
        cmocka_unit_test(test_empty),          cmocka_unit_test(test_many_variables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
