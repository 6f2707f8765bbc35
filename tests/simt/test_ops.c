/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SIMT lowering, one family of operations after the other: small kernels placed, lowered and
 * run lane by lane give what the reference interpreter gives, without races, undefined values or
 * accesses out of bounds; on the machine as it is, with four lanes, with vectors of four, and with
 * matrix units. Sums
 * of floats are of small integers, so that every order is exact.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/check.h"
#include "ir/interp_loop.h"
#include "tests/place/support.h"

enum { MAX_PARAMS = 8, MAX_SYMS = 8, MAX_BYTES = 1 << 16 };

typedef struct row {
    const char *name, *source;
    int64_t syms[MAX_SYMS]; /* in order of appearance */
} row;

#define ALONG "kernel k(x: f32[N], out y: f32[N]) grid i: N by 40\n"
#define INTS "kernel k(x: i32[N], out y: i32[N]) grid i: N by 40\n"
#define ROWS "kernel k(x: f32[M, N], out y: f32[M]) grid i: M by 3\n"

static const row rows[] = {
    {"copies under way when a loop ends",
     "kernel k(a: f16[M, 160], b: f16[160, N], out c: f32[M, N]) grid i: M by 32, j: N by 32\n"
     "{ var acc = zeros f32[32, 32]\n"
     "  for t in 0 .. 3 { let k = span(t * 32 .., 32); acc += a[i, k] @ b[k, j] }\n"
     "  let h = anon(acc) as f16\n"
     "  c[i, j] = (h.T @ h) else 0.0 }",
     {32, 32}},
    {"copies under way from one loop to the next",
     "kernel k(a: f16[2, M, 160], b: f16[160, N], out c: f32[M, N]) grid i: M by 32, j: N by 32\n"
     "{ var acc = zeros f32[32, 32]\n"
     "  for p in 0 .. 2 {\n"
     "    for t in 0 .. 3 { let k = span(t * 32 .., 32); acc += a[p, i, k] @ b[k, j] } }\n"
     "  c[i, j] = acc }",
     {32, 32}},
    {"elementwise", ALONG "{ y[i] = where(x[i] > 0.0, sqrt(x[i] * 4.0), -x[i]) }", {101}},
    {"two layouts",
     "kernel k(x: f32[M, N], b: f32[N], out y: f32[M, N]) grid i: M by 5, j: N by 20\n"
     "{ y[i, j] = x[i, j] * 2.0 + b[j][_, :] }",
     {13, 37}},
    {"narrow floats",
     "kernel k(x: f16[N], out y: bf16[N]) grid i: N by 40\n"
     "{ y[i] = ((x[i] as f32) * 3.0) as bf16 }",
     {77}},
    {"packed",
     "kernel k(x: i4[M, N], out y: i4[M, N]) grid i: M by 3, j: N by 10\n"
     "{ y[i, j] = ((x[i, j] as i32) + 3) as i4 }",
     {5, 23}},
    {"transpose",
     "kernel k(x: f32[M, N], out y: f32[N, M]) grid i: M by 8, j: N by 12\n"
     "{ y[j, i] = x[i, j].T }",
     {19, 29}},
    {"gather",
     "kernel k(x: f32[N], t: i32[M], out y: f32[M]) grid i: M by 16\n"
     "{ y[i] = x[t[i]] else 7.0 }",
     {20, 50}},
    {"row sums", ROWS "{ y[i] = sum(x[i, 0:80], axis 1) else 0.0 }", {7, 70}},
    {"row maxima", ROWS "{ y[i] = max(x[i, 0:70], axis 1) else 0.0 }", {7, 61}},
    {"column sums",
     "kernel k(x: f32[M, N], out y: f32[N]) grid j: N by 10\n"
     "{ y[j] = sum(x[0:33, j], axis 0) else 0.0 }",
     {31, 23}},
    {"argmax",
     "kernel k(x: f32[M, N], out y: i32[M]) grid i: M by 3\n"
     "{ y[i] = argmax(x[i, 0:50], axis 1) }",
     {7, 43}},
    {"argmin of bytes and a product",
     "kernel k(x: i8[M, N], out y: i32[M]) grid i: M by 2\n"
     "{ let v = x[i, 0:60] else (1 as i8)\n"
     "  y[i] = argmin(v, axis 1) + max(v, axis 1) as i32 + sum(v as i32, axis 1) }",
     {7, 51}},
    {"widest bf16",
     "kernel k(x: bf16[N], out y: f32[N]) grid i: N by 90\n"
     "{ y[i] = (max(x[i]) as f32) + where(all(x[i] > (-9.0 as bf16)), 1.0, 2.0) }",
     {95}},
    {"any and count",
     "kernel k(x: i32[N], out y: i32[N]) grid i: N by 40\n"
     "{ y[i] = where(any(x[i] == 3), count(x[i] > 0), 5) }",
     {90}},
    {"product",
     "kernel k(a: f32[M, K], b: f32[K, N], out c: f32[M, N]) grid i: M by 16, j: N by 24\n"
     "{ var acc = zeros f32[16, 24]\n  for k: K by 12 { acc += a[i, k] @ b[k, j] }\n"
     "  c[i, j] = acc }",
     {21, 31, 43}},
    {"product of bytes",
     "kernel k(a: i8[M, K], b: i8[N, K], out c: i32[M, N])\n"
     "  grid i: M by 8, j: N by 8\n{ var acc = zeros i32[8, 8]\n"
     "  for k: K by 16 { acc += a[i, k] @ b[j, k].T }\n  c[i, j] = acc }",
     {9, 40, 11}},
    {"pages of two rows",
     "kernel k(x: f32[P, 2, 64], q: f32[12, 64], t: i32[M], out y: f32[12, N] init 0) grid u: 1\n"
     "{ for j: 0 .. N by 64 { let p = t[j / 2]\n"
     "  y[:, j] = q[:, :] @ x[p, j % 2, :].T else 9.0 } }",
     {5, 30, 70}},
    {"chained products",
     "kernel k(a: f32[16, 16], b: f32[16, 16], out c: f32[16, 16]) grid z: 1\n"
     "{ let t = a[0:16, 0:16] @ b[0:16, 0:16]\n"
     "  c[0:16, 0:16] = (t * 0.5) @ b[0:16, 0:16] + t }",
     {0}},
    {"products of units, one turned to the other",
     "kernel k(a: f16[16, 16], b: f16[16, 16], out c: f32[16, 16]) grid z: 1\n"
     "{ let t = a[0:16, 0:16] @ b[0:16, 0:16]\n"
     "  c[0:16, 0:16] = t.T + b[0:16, 0:16] @ a[0:16, 0:16] }",
     {0}},
    {"products whose first stays in registers",
     "kernel k(a: f16[M, 32], b: f16[K, 32], v: f16[K, 64], out c: f32[M, 64], out s: f32[M])\n"
     "  grid i: M by 64\n"
     "{ var acc = zeros f32[64, 64], n = zeros f32[64]\n"
     "  for k: K by 32 { let t = anon(a[i, 0:32]) @ anon(b[k, 0:32]).T, p = where(t > 3.0, 2.0, "
     "1.0)\n"
     "    acc += (p as f16) @ v[k, 0:64]; n += sum(t, axis 1) }\n"
     "  c[i, 0:64] = acc\n  s[i] = n }",
     {64, 64}},
    {"groups of f16, b turned, 128 bytes",
     "kernel k(a: f16[M, K], b: f16[K, N], out c: f32[M, N]) grid i: M by 64, j: N by 64\n"
     "{ var acc = zeros f32[64, 64]\n  for k: K by 64 { acc += a[i, k] @ b[k, j] }\n"
     "  c[i, j] = acc }",
     {70, 130, 66}},
    {"groups of bf16, b along k, 64 bytes",
     "kernel k(a: bf16[M, K], b: bf16[N, K], out c: f32[M, N]) grid i: M by 64, j: N by 24\n"
     "{ var acc = zeros f32[64, 24]\n  for k: K by 32 { acc += a[i, k] @ b[j, k].T }\n"
     "  c[i, j] = acc + 1.0 }",
     {64, 100, 40}},
    {"groups of f16, both turned, 32 bytes",
     "kernel k(a: f16[K, M], b: f16[K, N], out c: f32[M, N]) grid i: M by 64, j: N by 16\n"
     "{ var acc = zeros f32[64, 16]\n  for k: K by 16 { acc += a[k, i].T @ b[k, j] }\n"
     "  c[i, j] = acc }",
     {50, 64, 33}},
    {"groups of f16, panels of a and of b",
     "kernel k(a: f16[M, K], b: f16[K, N], out c: f32[M, N]) grid i: M by 64, j: N by 192\n"
     "{ var acc = zeros f32[64, 192]\n  for k: K by 128 { acc += a[i, k] @ b[k, j] }\n"
     "  c[i, j] = acc }",
     {64, 128, 64}},
    {"two groups of rows, a turned",
     "kernel k(a: f16[K, M], b: f16[N, K], out c: f16[M, N]) grid i: M by 256, j: N by 128\n"
     "{ var acc = zeros f32[256, 128]\n  for k: K by 32 { acc += a[k, i].T @ b[j, k].T }\n"
     "  c[i, j] = acc as f16 }",
     {32, 200, 64}},
    {"groups of i8",
     "kernel k(a: i8[M, K], b: i8[N, K], out c: i32[M, N]) grid i: M by 64, j: N by 40\n"
     "{ var acc = zeros i32[64, 40]\n  for k: K by 64 { acc += a[i, k] @ b[j, k].T }\n"
     "  c[i, j] = acc }",
     {70, 100, 50}},
    {"groups, columns of one operand twice",
     "kernel k(a: f16[M, 96], b: f16[N, 96], out c: f32[M, 64]) grid i: M by 64\n"
     "{ var acc = zeros f32[64, 64]\n  for j: N by 32 {\n    let x = b[j, 0:96]\n"
     "    let s = a[i, 0:96] @ x.T\n"
     "    acc += ((min(s, 3.0) else 0.0) as f16) @ x[:, 0:64] }\n  c[i, :] = acc }",
     {64, 64}},
    {"groups in batches",
     "kernel k(a: f16[3, M, K], b: f16[3, K, N], out c: f32[3, M, N]) grid i: M by 64, j: N by 16\n"
     "{ var acc = zeros f32[3, 64, 16]\n  for k: K by 32 { acc += a[:, i, k] @ b[:, k, j] }\n"
     "  c[:, i, j] = acc }",
     {64, 32, 16}},
    {"blocks of f16",
     "kernel k(a: f16[M, K], b: f16[K, N], out c: f32[M, N]) grid i: M by 32, j: N by 24\n"
     "{ var acc = zeros f32[32, 24]\n  for k: K by 32 { acc += a[i, k] @ b[k, j] }\n"
     "  c[i, j] = acc * 2.0 }",
     {37, 70, 43}},
    {"blocks of bf16, transposed, more lanes than blocks",
     "kernel k(a: bf16[M, K], b: bf16[N, K], out c: bf16[M, N]) grid i: M by 16, j: N by 8\n"
     "{ var acc = zeros f32[16, 8]\n  for k: K by 16 { acc += a[i, k] @ b[j, k].T }\n"
     "  c[i, j] = (acc + 1.0) as bf16 }",
     {30, 40, 21}},
    {"blocks of bytes",
     "kernel k(a: u8[M, K], b: i8[N, K], out c: i32[M, N]) grid i: M by 32, j: N by 16\n"
     "{ var acc = zeros i32[32, 16]\n  for k: K by 64 { acc += a[i, k] @ b[j, k].T }\n"
     "  c[i, j] = acc }",
     {40, 100, 33}},
    {"blocks of bytes, rows the other way",
     "kernel k(a: i8[M, K], b: i8[K, N], out c: i32[M, N]) grid i: M by 16, j: N by 16\n"
     "{ var acc = zeros i32[16, 16]\n  for k: K by 32 { acc += a[i, k] @ b[k, j] }\n"
     "  c[i, j] = acc }",
     {20, 70, 33}},
    {"small floats widened",
     "kernel k(a: f8e4m3[M, K], b: f8e5m2[N, K], out c: f32[M, N]) grid i: M by 16, j: N by 16\n"
     "{ var acc = zeros f32[16, 16]\n  for k: K by 16 { acc += a[i, k] @ b[j, k].T }\n"
     "  c[i, j] = acc }",
     {20, 40, 33}},
    {"blocks that keep their fragments to themselves",
     "kernel k(a: f16[M, K], b: f16[K, N], out c: f32[M, N]) grid i: M by 32, j: N by 48\n"
     "{ var acc = zeros f32[32, 48]\n  for k: K by 32 { acc = acc + (a[i, k] @ fast b[k, j]) }\n"
     "  c[i, j] = acc }",
     {40, 70, 60}},
    {"the same of bytes",
     "kernel k(a: i8[M, K], b: i8[N, K], out c: i32[M, N]) grid i: M by 16, j: N by 32\n"
     "{ var acc = zeros i32[16, 32]\n  for k: K by 64 { acc += a[i, k] @ b[j, k].T }\n"
     "  c[i, j] = acc + 1 }",
     {20, 70, 33}},
    {"doubles",
     "kernel k(a: f64[M, K], b: f64[K, N], out c: f64[M, N]) grid i: M by 16, j: N by 16\n"
     "{ var acc = zeros f64[16, 16]\n  for k: K by 8 { acc += a[i, k] @ b[k, j] }\n"
     "  c[i, j] = acc }",
     {20, 20, 33}},
    {"f32 rounded to TF32",
     "kernel k(a: f32[M, K], b: f32[K, N], out c: f32[M, N]) grid i: M by 16, j: N by 16\n"
     "{ var acc = zeros f32[16, 16]\n  for k: K by 16 { acc = acc + (a[i, k] @ tf32 b[k, j]) }\n"
     "  c[i, j] = acc }",
     {20, 20, 33}},
    {"batches and a mask along k",
     "kernel k(a: f16[3, M, K], b: f16[3, K, N], out c: f32[3, M, N]) grid i: M by 16, j: N by 8\n"
     "{ var acc = zeros f32[3, 16, 8]\n  for k: K by 48 { acc += a[:, i, k] @ b[:, k, j] }\n"
     "  c[:, i, j] = acc }",
     {20, 75, 12}},
    {"rows of a product reduced",
     "kernel k(a: f16[M, K], b: f16[N, K], v: f16[N, 16], out c: f32[M, 16], out m: f32[M])\n"
     "  grid i: M by 16\n"
     "{ var acc = zeros f32[16, 16], best = full f32[16] = -1000.0\n"
     "  for j: N by 32 {\n"
     "    let s = a[i, 0:16] @ b[j, 0:16].T\n"
     "    best = max(best, max(s, axis 1) else -1000.0)\n"
     "    acc += ((min(s, 3.0) else 0.0) as f16) @ v[j, :] }\n"
     "  c[i, :] = acc\n  m[i] = best }",
     {20, 16, 75}},
    {"scan", INTS "{ y[i] = scan(x[i]) }", {101}},
    {"exclusive scan", INTS "{ y[i] = exscan(x[i]) }", {37}},
    {"sort", ALONG "{ y[i] = sort(x[i]) else 9.0 }", {75}},
    {"topk",
     "kernel k(x: f32[N], out y: f32[M, 4], out z: i32[M, 4]) grid i: M\n"
     "{ let (v, at) = topk(x[0:24], 4)\n  y[i, 0:4] = v else 0.0\n  z[i, 0:4] = at else -1 }",
     {20, 2}},
    {"short sort",
     "kernel k(x: f32[N], out y: f32[N]) grid i: N by 20 { y[i] = sort(x[i]) else 9.0 }",
     {55}},
    {"lines sorted with what belongs to them",
     "kernel k(x: i32[M, N], p: f32[M, N], out y: i32[M, N] init 0, out q: f32[M, N] init 0) grid "
     "i: M by 3\n"
     "{ let (a, b) = sort_desc(x[i, 0:100], p[i, 0:100], axis 1)\n"
     "  y[i, 0:100] = a else 7\n  q[i, 0:100] = b else 3.0 }",
     {5, 83}},
    {"columns sorted",
     "kernel k(x: f32[M, N], out y: f32[M, N] init 0) grid j: N by 6\n"
     "{ y[0:37, j] = sort(x[0:37, j], axis 0) else 1.0 }",
     {35, 11}},
    {"many of many",
     "kernel k(x: f16[M, N], out y: f16[M, 20], out z: i32[M, 20]) grid i: M by 2\n"
     "{ let (v, at) = topk(x[i, 0:300], 20)\n"
     "  y[i, 0:20] = v else (0.0 as f16)\n  z[i, 0:20] = at else -1 }",
     {3, 290}},
    {"more than there are",
     "kernel k(x: f32[N], out y: f32[M, 64], out z: i32[M, 64]) grid i: M\n"
     "{ let (v, at) = topk(x[0:80], 64)\n  y[i, 0:64] = v else 0.0\n  z[i, 0:64] = at else -1 }",
     {33, 1}},
    {"short ranks",
     "kernel k(x: i32[N], out y: i32[N]) grid i: N by 24\n{ y[i] = rank_by_key(x[i], 4) else 0 }",
     {61}},
    {"long ranks",
     "kernel k(x: i32[N], out y: i32[N]) grid i: N by 200\n{ y[i] = rank_by_key(x[i], 3) else 0 }",
     {391}},
    {"rank by key", INTS "{ y[i] = rank_by_key(x[i], 4) else 0 }", {61}},
    {"histogram",
     "kernel k(x: i32[N], out h: i32[M, 8]) grid i: M\n"
     "{ h[i, 0:8] = histogram(x[0:50], 8) }",
     {45, 2}},
    {"scatter-add",
     "kernel k(x: f32[N], t: i32[N], out y: f32[M, 8]) grid i: M\n"
     "{ y[i, 0:8] = scatter_add(zeros f32[8], t[0:50], x[0:50]) }",
     {45, 1}},
    {"lines scanned together",
     "kernel k(x: i32[M, N], out y: i32[M, N] init 0) grid i: M by 3\n"
     "{ y[i, 0:100] = scan(x[i, 0:100], axis 1) else 7 }",
     {5, 83}},
    {"columns scanned",
     "kernel k(x: f32[M, N], out y: f32[M, N] init 0) grid j: N by 2\n"
     "{ y[0:130, j] = exscan(x[0:130, j], axis 0) else 1.0 }",
     {127, 7}},
    {"a long scan of bytes",
     "kernel k(x: u8[N], out y: u8[N]) grid i: N by 1000 { y[i] = (scan(x[i]) else (0 as u32)) as "
     "u8 }",
     {1500}},
    {"long maxima",
     "kernel k(x: f32[N], out y: f32[N]) grid i: N by 300 { y[i] = scan_max(x[i]) else 9.0 }",
     {431}},
    {"a long scan of narrow floats",
     "kernel k(x: f16[N], out y: f16[N]) grid i: N by 90 { y[i] = (exscan(x[i]) else 0.0) as f16 }",
     {101}},
    {"masks summed",
     "kernel k(x: i32[N], out y: i32[N]) grid i: N by 500\n"
     "{ y[i] = exscan(x[i] > 2) + count(x[i] > 2) }",
     {777}},
    {"long compress",
     "kernel k(x: f32[N], out y: f32[M, 700], out n: i32[M]) grid j: M\n"
     "{ let c = compress(x[0:700] else 0.0, (x[0:700] else 0.0) > 1.0)\n"
     "  y[j, 0:700] = c.v else 9.0\n  n[j] = c.n }",
     {690, 1}},
    {"histogram of bytes with wide weights",
     "kernel k(x: u8[N], w: i64[N], out h: i64[M, 300]) grid i: M\n"
     "{ h[i, 0:300] = histogram(x[0:400], 300, w[0:400] * 3000000019 else 1) }",
     {390, 1}},
    {"histogram with narrow weights",
     "kernel k(x: i32[N], w: i8[N], out h: i8[M, 5]) grid i: M\n"
     "{ h[i, 0:5] = histogram(x[0:400], 5, w[0:400] else (1 as i8)) }",
     {390, 1}},
    {"wide sums scattered",
     "kernel k(t: i64[N], i: i32[M, 4], v: i64[M, 4], out y: i64[N]) grid n: N by 600\n"
     "{ y[n] = scatter_add(t[n] * -77777777777, (i[0:50, 0:4] * 31) else -1,\n"
     "    v[0:50, 0:4] * -1234567890123 else 0) }",
     {550, 47}},
    {"floats scattered into many",
     "kernel k(t: f32[N], i: i32[M, 4], v: f32[M, 4], out y: f32[N]) grid n: N by 600\n"
     "{ y[n] = scatter_add(t[n], (i[0:50, 0:4] * 31) else -1,\n"
     "    (v[0:50, 0:4] else 0.0) if (v[0:50, 0:4] else 0.0) > -2.0) }",
     {550, 47}},
    {"narrow indices",
     "kernel k(i: u8[M], v: f32[M], out y: f32[N]) grid n: N by 400\n"
     "{ y[n] = scatter_add(zeros f32[400], i[0:90], v[0:90] else 1.0) }",
     {400, 90}},
    {"compress", INTS "{ y[i] = compress(x[i], x[i] > 1).v else 9 }", {66}},
    {"while",
     INTS "{ var v = x[i], n = 0\n"
          "  while any(v < 20) max 99 { v = v * 2 + 5; n += 1 }\n  y[i] = v + n }",
     {47}},
    {"if",
     INTS "{ var v = x[i]\n  if count(v > 0) > 10 { v = v + 100 } else { v = v * 3 }\n  y[i] = v }",
     {84}},
    {"swapped",
     "kernel k(x: i32[N], z: i32[N], out y: i32[N]) grid i: N by 16\n"
     "{ var a = x[i], b = z[i]\n  for n in 0 .. 3 { (a, b) = (b, a + b) }\n"
     "  y[i] = a * 10 + b }",
     {33}},
    {"atomic",
     "kernel k(x: i32[N], inout h: i32[8]) grid i: N by 16\n"
     "{ atomic add(h[x[i] % 8], 1) }",
     {61}},
    {"random",
     "kernel k(s: i64, out y: f32[N]) grid i: N by 16 { y[i] = (random(s, iota(16) as i64) >> 8) "
     "as f32 }",
     {30}},
};

typedef struct memory {
    int64_t words[MAX_PARAMS][MAX_BYTES / 8];
} memory;

/* Elements that are small integers in every type. */
static void fill(const tg_type *t, int64_t n, unsigned seed, void *at) {
    for (int64_t e = 0; e < n; e++) {
        seed = seed * 1664525u + 1013904223u;
        int v = (int)(seed >> 16) % 13 - 4;
        if (tg_dtype_is_float(t->dtype)) {
            tg_bits_store(at, t->dtype, (size_t)e,
                          tg_float_encode(t->dtype, v, TG_ROUND_RNE, true));
        } else {
            tg_bits_store(at, t->dtype, (size_t)e, (uint64_t)(int64_t)v);
        }
    }
}

static void bind(const tg_func *f, const int64_t *syms, memory *m, tg_interp_arg *args) {
    memset(m, 0, sizeof *m);
    for (int p = 0; p < f->n_params; p++) {
        const tg_type *t = f->params[p].type;
        if (t->kind != TG_TY_TENSOR) {
            args[p].scalar = 5;
            continue;
        }
        int64_t bits = tg_dtype_bits(t->dtype), row_bytes = bits, rows_n = 1;
        args[p].data = m->words[p];
        for (int a = t->rank - 1; a >= 0; a--) {
            int64_t n = tg_dim_eval(t->dims[a], syms);
            args[p].extent[a] = n;
            args[p].stride_bytes[a] = a == t->rank - 1 ? bits / 8 : row_bytes;
            row_bytes = a == t->rank - 1 ? (n * bits + 7) / 8 : row_bytes * n;
            rows_n *= a == t->rank - 1 ? 1 : n;
        }
        assert_true(row_bytes <= MAX_BYTES);
        if (!(f->params[p].flags & TG_PARAM_OUT)) {
            int64_t per_row = row_bytes * 8 / bits;
            fill(t, per_row, (unsigned)(p + 1), m->words[p]);
        }
        (void)rows_n;
    }
}

static const char *lowered(place_test *t, tg_func *f, const tg_machine *machine, tg_module **out) {
    const tg_check_limits limits = {.shared_bytes = machine->shared_bytes,
                                    .max_lanes = machine->max_lanes + machine->copy_lanes,
                                    .one_width = machine->emitter == TG_EMIT_SPIRV_VULKAN};
    tg_module *placed = tg_module_make(&t->arena);
    *out = tg_module_make(&t->arena);
    if (tg_place(f, machine, placed, &t->sink) != TG_OK ||
        tg_check_placed(placed->first_func, &limits, &t->arena, &t->sink) != TG_OK ||
        tg_lower_simt(placed->first_func, machine, *out, &t->sink) != TG_OK ||
        tg_module_verify(*out, &t->sink) != TG_OK) {
        return place_test_messages(t);
    }
    return NULL;
}

static const char *run_on(place_test *t, const row *r, tg_func *f, const tg_machine *machine,
                          const memory *want) {
    memory *got = malloc(sizeof *got);
    tg_interp_arg args[MAX_PARAMS];
    tg_module *loop;
    memset(args, 0, sizeof args);
    assert_non_null(got);
    bind(f, r->syms, got, args);
    const char *wrong = lowered(t, f, machine, &loop);
    tg_loop_options options = {.seed = 3, .max_steps = 100000000, .subgroup = machine->subgroup};
    tg_loop_report report = {0};
    if (wrong == NULL &&
        tg_loop_run_kernel(loop, f, args, r->syms, &options, &t->arena, &report) != TG_OK) {
        wrong = "nothing to run";
    }
    if (wrong == NULL && (report.n_findings > 0 || report.trap != 0)) {
        tg_sb sb;
        tg_sb_init(&sb, &t->arena);
        tg_loop_report_print(&sb, &report);
        wrong = sb.data;
    }
    if (wrong == NULL && memcmp(got, want, sizeof *got) != 0) {
        wrong = "results differ from the interpreter's";
    }
    free(got);
    return wrong;
}

static bool check_row(const row *r) {
    place_test t;
    place_test_init(&t);
    tg_source src = {.name = "text", .text = r->source, .len = strlen(r->source)};
    tg_program *p = place_test_program(&t, &src);
    tg_module *m = tg_module_make(&t.arena);
    tg_func *f = NULL;
    memory *want = malloc(sizeof *want);
    tg_interp_arg args[MAX_PARAMS];
    const tg_interp_options options = {.mode = TG_INTERP_F32};
    const char *wrong = NULL;
    assert_non_null(want);
    memset(args, 0, sizeof args);
    if (p == NULL || tg_program_specialise(p, "k", NULL, 0, NULL, m, &f) != TG_OK) {
        wrong = place_test_messages(&t);
    } else {
        place_test_optimise(&t, f);
        bind(f, r->syms, want, args);
        if (tg_interp_run(f, args, r->syms, &options, &t.arena, &t.sink) != TG_OK) {
            wrong = place_test_messages(&t);
        }
    }
    tg_machine machine = *tg_machine_find("opencl");
    if (wrong == NULL) {
        wrong = run_on(&t, r, f, &machine, want);
    }
    if (wrong == NULL) {
        machine.lanes = machine.max_lanes = 4;
        wrong = run_on(&t, r, f, &machine, want);
    }
    if (wrong == NULL) {
        wrong = run_on(&t, r, f, tg_machine_find("vulkan"), want);
    }
    if (wrong == NULL) {
        wrong = run_on(&t, r, f, tg_machine_find("vulkan-subgroup8"), want);
    }
    if (wrong == NULL) { /* matrix units, copies that land later */
        wrong = run_on(&t, r, f, tg_machine_find("sm_80"), want);
    }
    if (wrong == NULL) { /* units that read shared memory, buffers that are swizzled for them */
        machine = *tg_machine_find("sm_90a");
        wrong = run_on(&t, r, f, &machine, want);
    }
    if (wrong == NULL) { /* waves of 64 lanes; operands that two halves of 32 lanes hold */
        wrong = run_on(&t, r, f, tg_machine_find("gfx942"), want);
    }
    if (wrong == NULL) {
        wrong = run_on(&t, r, f, tg_machine_find("gfx1100"), want);
    }
    if (wrong == NULL) {
        wrong = run_on(&t, r, f, tg_machine_find("vulkan-coopmat"), want);
    }
    if (wrong == NULL) { /* all lanes in one */
        machine = *tg_machine_find("vulkan-subgroup8");
        machine.subgroup = 64;
        wrong = run_on(&t, r, f, &machine, want);
    }
    if (wrong == NULL) { /* roles, barriers in shared memory, products under way over a back edge */
        static const tg_setting roles = {.name = "schedule.roles", .value = "copy"};
        tg_func *apart = NULL;
        if (tg_program_specialise(p, "k", &roles, 1, NULL, m, &apart) != TG_OK) {
            wrong = place_test_messages(&t);
        } else {
            place_test_optimise(&t, apart);
            wrong = run_on(&t, r, apart, tg_machine_find("sm_90a"), want);
        }
    }
    if (wrong != NULL) {
        (void)fprintf(stderr, "%s: %s\n", r->name, wrong);
    }
    free(want);
    place_test_fini(&t);
    return wrong == NULL;
}

static void test_rows(void **state) {
    int failed = 0;
    (void)state;
    for (size_t i = 0; i < TG_COUNT_OF(rows); i++) {
        failed += !check_row(&rows[i]);
    }
    assert_int_equal(failed, 0);
}

/* What cannot be lowered is said, not made wrong. */
static void test_refused(void **state) {
    static const char text[] = "tegula-ir 1\n\nkernel placed k {\n"
                               "  program lanes 4 shared 0 scratch 0\n"
                               "  grid () {\n    yield\n  }\n"
                               "  body () {\n    %0 = event {n = 1} : i64\n    yield\n  }\n}\n";
    place_test t;
    (void)state;
    place_test_init(&t);
    tg_module *m = place_test_ir(&t, text), *out = tg_module_make(&t.arena);
    assert_non_null(m);
    const tg_machine *machine = tg_machine_find("opencl");
    assert_int_equal(tg_lower_simt(m->first_func, machine, out, &t.sink), TG_E_UNSUPPORTED);
    assert_non_null(strstr(place_test_messages(&t), "several roles"));
    assert_int_equal(tg_lower_simt(m->first_func, tg_machine_find("x86-64-v3"), out, &t.sink),
                     TG_E_INVALID);
    place_test_fini(&t);
}

/* Programs that would write halves of one byte race: said, not done. */
static void test_shared_bytes(void **state) {
    static const char text[] = "kernel k(x: i4[N], out y: i4[N]) grid i: N by 5 { y[i] = x[i] }";
    place_test t;
    (void)state;
    place_test_init(&t);
    tg_source src = {.name = "text", .text = text, .len = strlen(text)};
    tg_program *p = place_test_program(&t, &src);
    tg_module *m = tg_module_make(&t.arena), *loop;
    tg_func *f = NULL;
    assert_non_null(p);
    assert_int_equal(tg_program_specialise(p, "k", NULL, 0, NULL, m, &f), TG_OK);
    const char *wrong = lowered(&t, f, tg_machine_find("opencl"), &loop);
    assert_non_null(wrong);
    assert_non_null(strstr(wrong, "shared by programs"));
    place_test_fini(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_shared_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
