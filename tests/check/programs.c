/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs of the defect table: a few lines of the language, or placed by hand. All of them are
 * correct; check_silent says so. See subject.h.
 */
#include "tests/check/subject.h"

/* Two buffers in turn: the next block is copied while this one is used. */
static const char ring[] = "tegula-ir 1\n"
                           "kernel placed ring {\n"
                           "  program lanes 32 shared 256 scratch 0\n"
                           "  syms N\n"
                           "  param x: tensor<f32[N]>\n"
                           "  param y: tensor<f32[32]> out\n"
                           "  axis i by 32\n"
                           "  grid (%0: tensor<f32[N]>, %1: tensor<f32[32]>) {\n"
                           "    %2 = const {i = 32} : i64\n"
                           "    yield %2\n"
                           "  }\n"
                           "  body (%3: tensor<f32[N]>, %4: tensor<f32[32]>, %5: i64) {\n"
                           "    %6 = buffer {offset = 0} : buf<shared, f32[32], 2>\n"
                           "    %7 = const {i = 0} : i64\n"
                           "    %8 = const {i = 1} : i64\n"
                           "    %9 = const {i = 32} : i64\n"
                           "    %10 = sym {sym = 0} : i64\n"
                           "    %11 = add %10, %9 : i64\n"
                           "    %12 = sub %11, %8 : i64\n"
                           "    %13 = div %12, %9 : i64\n"
                           "    %14 = fconst {f = 0.0} : f32[32] @\"1; 0:32*1@lane*1\"\n"
                           "    %15 = span %7, %10 : span<32>\n"
                           "    %16 = copy %6, %7, %3, %15 {axes = [0], ring = true} : i64\n"
                           "    %17, %18 = for %7, %13, %8, %14, %16 : f32[32] @\"1; "
                           "0:32*1@lane*1\", i64 (%19: i64, %20: f32[32] "
                           "@\"1; 0:32*1@lane*1\", %21: i64) {\n"
                           "      %22 = add %19, %8 : i64\n"
                           "      %23 = mul %22, %9 : i64\n"
                           "      %24 = span %23, %10 : span<32>\n"
                           "      wait %21\n"
                           "      barrier {fence = shared}\n"
                           "      %25 = copy %6, %22, %3, %24 {axes = [0], ring = true} : i64\n"
                           "      %26 = get %6, %19 {ring = true} : f32[32] @\"1; 0:32*1@lane*1\"\n"
                           "      %27 = add %20, %26 : f32[32] @\"1; 0:32*1@lane*1\"\n"
                           "      yield %27, %25\n"
                           "    }\n"
                           "    wait %18\n"
                           "    %28 = mul %5, %9 : i64\n"
                           "    %29 = span %28, %9 : span<32>\n"
                           "    store %4, %17, %29 {axes = [0]}\n"
                           "    yield\n"
                           "  }\n"
                           "}\n";

/* A role that copies and one that adds up, joined by full and empty events. */
static const char roles[] =
    "tegula-ir 1\n"
    "kernel placed roles {\n"
    "  program lanes 64 shared 256 scratch 0\n"
    "  syms N\n"
    "  param x: tensor<f32[N]>\n"
    "  param y: tensor<f32[32]> out\n"
    "  axis i by 32\n"
    "  grid (%0: tensor<f32[N]>, %1: tensor<f32[32]>) {\n"
    "    %2 = const {i = 32} : i64\n"
    "    yield %2\n"
    "  }\n"
    "  body (%3: tensor<f32[N]>, %4: tensor<f32[32]>, %5: i64) {\n"
    "    %6 = buffer {offset = 0} : buf<shared, f32[32], 2>\n"
    "    %7 = event {n = 2} : i64\n"
    "    %8 = event {n = 2, count = 1} : i64\n"
    "    %9 = const {i = 0} : i64\n"
    "    %10 = const {i = 1} : i64\n"
    "    %11 = const {i = 32} : i64\n"
    "    %12 = sym {sym = 0} : i64\n"
    "    %13 = add %12, %11 : i64\n"
    "    %14 = sub %13, %10 : i64\n"
    "    %15 = div %14, %11 : i64\n"
    "    role {units = \"copy\", n = 32} (%16: i64) {\n"
    "      for %9, %15, %10 (%17: i64) {\n"
    "        await %8, %17\n"
    "        %18 = mul %17, %11 : i64\n"
    "        %19 = span %18, %12 : span<32>\n"
    "        %20 = copy %6, %17, %3, %19 {axes = [0], ring = true} : i64\n"
    "        signal %7, %17, %20\n"
    "        yield\n"
    "      }\n"
    "      yield\n"
    "    }\n"
    "    role {units = \"vector\", n = 32} (%21: i64) {\n"
    "      %22 = fconst {f = 0.0} : f32[32] @\"1; 0:32*1@lane*1\"\n"
    "      %23 = for %9, %15, %10, %22 : f32[32] @\"1; 0:32*1@lane*1\" (%24: i64, %25: f32[32] "
    "@\"1; "
    "0:32*1@lane*1\") {\n"
    "        await %7, %24\n"
    "        %26 = get %6, %24 {ring = true} : f32[32] @\"1; 0:32*1@lane*1\"\n"
    "        signal %8, %24\n"
    "        %27 = add %25, %26 : f32[32] @\"1; 0:32*1@lane*1\"\n"
    "        yield %27\n"
    "      }\n"
    "      %28 = span %9, %11 : span<32>\n"
    "      store %4, %23, %28 {axes = [0]}\n"
    "      yield\n"
    "    }\n"
    "    yield\n"
    "  }\n"
    "}\n";

/* Three roles in a row: one copies, one doubles, one stores. */
static const char relay[] =
    "tegula-ir 1\n"
    "kernel placed relay {\n"
    "  program lanes 96 shared 512 scratch 0\n"
    "  syms N\n"
    "  param x: tensor<f32[N]>\n"
    "  param y: tensor<f32[N]> out\n"
    "  axis i by 32\n"
    "  grid (%0: tensor<f32[N]>, %1: tensor<f32[N]>) {\n"
    "    %2 = const {i = 32} : i64\n"
    "    yield %2\n"
    "  }\n"
    "  body (%3: tensor<f32[N]>, %4: tensor<f32[N]>, %5: i64) {\n"
    "    %6 = buffer {offset = 0} : buf<shared, f32[32], 2>\n"
    "    %7 = buffer {offset = 256} : buf<shared, f32[32], 2>\n"
    "    %8 = event {n = 2} : i64\n"
    "    %9 = event {n = 2, count = 1} : i64\n"
    "    %10 = event {n = 2} : i64\n"
    "    %11 = event {n = 2, count = 1} : i64\n"
    "    %12 = const {i = 0} : i64\n"
    "    %13 = const {i = 1} : i64\n"
    "    %14 = const {i = 32} : i64\n"
    "    %15 = sym {sym = 0} : i64\n"
    "    %16 = add %15, %14 : i64\n"
    "    %17 = sub %16, %13 : i64\n"
    "    %18 = div %17, %14 : i64\n"
    "    role {units = \"copy\", n = 32} (%19: i64) {\n"
    "      for %12, %18, %13 (%20: i64) {\n"
    "        await %9, %20\n"
    "        %21 = mul %20, %14 : i64\n"
    "        %22 = span %21, %15 : span<32>\n"
    "        %23 = copy %6, %20, %3, %22 {axes = [0], ring = true} : i64\n"
    "        signal %8, %20, %23\n"
    "        yield\n"
    "      }\n"
    "      yield\n"
    "    }\n"
    "    role {units = \"vector\", n = 32} (%24: i64) {\n"
    "      for %12, %18, %13 (%25: i64) {\n"
    "        await %8, %25\n"
    "        %26 = get %6, %25 {ring = true} : f32[32] @\"1; 0:32*1@lane*1\"\n"
    "        signal %9, %25\n"
    "        %27 = add %26, %26 : f32[32] @\"1; 0:32*1@lane*1\"\n"
    "        await %11, %25\n"
    "        put %7, %27, %25 {ring = true}\n"
    "        signal %10, %25\n"
    "        yield\n"
    "      }\n"
    "      yield\n"
    "    }\n"
    "    role {units = \"vector\", n = 32} (%28: i64) {\n"
    "      for %12, %18, %13 (%29: i64) {\n"
    "        await %10, %29\n"
    "        %30 = get %7, %29 {ring = true} : f32[32] @\"1; 0:32*1@lane*1\"\n"
    "        signal %11, %29\n"
    "        %31 = mul %29, %14 : i64\n"
    "        %32 = span %31, %15 : span<32>\n"
    "        store %4, %30, %32 {axes = [0]}\n"
    "        yield\n"
    "      }\n"
    "      yield\n"
    "    }\n"
    "    yield\n"
    "  }\n"
    "}\n";

/* Two replicas of a role: both add up every block that the first role copies once, each its own
 * half of the columns, and keep it in a buffer of their own in between. */
static const char pair[] =
    "tegula-ir 1\n"
    "kernel placed pair {\n"
    "  program lanes 96 shared 512 scratch 0\n"
    "  syms N\n"
    "  param x: tensor<f32[N]>\n"
    "  param y: tensor<f32[64]> out\n"
    "  axis i by 64\n"
    "  grid (%0: tensor<f32[N]>, %1: tensor<f32[64]>) {\n"
    "    %2 = const {i = 64} : i64\n"
    "    yield %2\n"
    "  }\n"
    "  body (%3: tensor<f32[N]>, %4: tensor<f32[64]>, %5: i64) {\n"
    "    %6 = buffer {offset = 0} : buf<shared, f32[32], 2>\n"
    "    %7 = buffer {offset = 256} : buf<shared, f32[32], 2>\n"
    "    %8 = event {n = 4} : i64\n"
    "    %9 = event {n = 2, count = 2} : i64\n"
    "    %10 = const {i = 0} : i64\n"
    "    %11 = const {i = 1} : i64\n"
    "    %12 = const {i = 2} : i64\n"
    "    %13 = const {i = 32} : i64\n"
    "    %14 = sym {sym = 0} : i64\n"
    "    %15 = add %14, %13 : i64\n"
    "    %16 = sub %15, %11 : i64\n"
    "    %17 = div %16, %13 : i64\n"
    "    role {units = \"copy\", n = 32} (%18: i64) {\n"
    "      for %10, %17, %11 (%19: i64) {\n"
    "        await %9, %19 {count = 2}\n"
    "        %20 = mul %19, %13 : i64\n"
    "        %21 = span %20, %14 : span<32>\n"
    "        %22 = copy %6, %19, %3, %21 {axes = [0], ring = true} : i64\n"
    "        %23 = mul %19, %12 : i64\n"
    "        signal %8, %23, %22\n"
    "        %24 = add %23, %11 : i64\n"
    "        signal %8, %24, %22\n"
    "        yield\n"
    "      }\n"
    "      yield\n"
    "    }\n"
    "    role {axis = 0, units = \"vector\", n = 32, replicas = 2} (%25: i64) {\n"
    "      %26 = window %7, %25 {ring = true} : buf<shared, f32[32], 1>\n"
    "      %27 = fconst {f = 0.0} : f32[32] @\"1; 0:32*1@lane*1\"\n"
    "      %28 = for %10, %17, %11, %27 : f32[32] @\"1; 0:32*1@lane*1\" (%29: i64, %30: f32[32] "
    "@\"1; 0:32*1@lane*1\") {\n"
    "        %31 = mul %29, %12 : i64\n"
    "        %32 = add %31, %25 : i64\n"
    "        await %8, %32\n"
    "        %33 = get %6, %29 {ring = true} : f32[32] @\"1; 0:32*1@lane*1\"\n"
    "        put %26, %33\n"
    "        barrier {fence = shared, n = 32}\n"
    "        %34 = window %26 {axes = [0]} : buf<shared, f32[32], 1>\n"
    "        %35 = get %34 : f32[32] @\"1; 0:32*1@lane*1\"\n"
    "        signal %9, %29\n"
    "        %36 = add %30, %35 : f32[32] @\"1; 0:32*1@lane*1\"\n"
    "        yield %36\n"
    "      }\n"
    "      %37 = mul %25, %13 : i64\n"
    "      %38 = add %37, %13 : i64\n"
    "      %39 = span %37, %38 : span<32>\n"
    "      store %4, %28, %39 {axes = [0]}\n"
    "      yield\n"
    "    }\n"
    "    yield\n"
    "  }\n"
    "}\n";

/* Registers get other numbers, nothing moves between lanes. */
static const char renumbered[] =
    "tegula-ir 1\n"
    "kernel placed renumbered {\n"
    "  program lanes 32 shared 0 scratch 0\n"
    "  syms N\n"
    "  param x: tensor<f32[4, N]>\n"
    "  param y: tensor<f32[4, N]> out\n"
    "  axis i by 32\n"
    "  grid (%0: tensor<f32[4, N]>, %1: tensor<f32[4, N]>) {\n"
    "    %2 = sym {sym = 0} : i64\n"
    "    yield %2\n"
    "  }\n"
    "  body (%3: tensor<f32[4, N]>, %4: tensor<f32[4, N]>, %5: i64) {\n"
    "    %6 = const {i = 0} : i64\n"
    "    %7 = const {i = 4} : i64\n"
    "    %8 = const {i = 32} : i64\n"
    "    %9 = sym {sym = 0} : i64\n"
    "    %10 = mul %5, %8 : i64\n"
    "    %11 = span %10, %9 : span<32>\n"
    "    %12 = span %6, %7 : span<4>\n"
    "    %13 = load %3, %12, %11 {axes = [0, 1]} : f32[4, 32] @\"2; 0:2*1@reg*1 0:2*2@reg*2 "
    "1:32*1@lane*1\"\n"
    "    %14 = convert %13 : f32[4, 32] @\"2; 0:2*1@reg*2 0:2*2@reg*1 1:32*1@lane*1\"\n"
    "    store %4, %14, %12, %11 {axes = [0, 1]}\n"
    "    yield\n"
    "  }\n"
    "}\n";

static const check_program programs[] = {
    {.name = "matmul",
     .text = "kernel f(a: f32[M, K], b: f32[K, N], out c: f32[M, N])\n"
             "  grid i: M by 32, j: N by 32\n"
             "{\n"
             "  var acc = zeros f32[32, 32]\n"
             "  for k: K by 16 { acc += a[i, k] @ b[k, j] }\n"
             "  c[i, j] = acc\n"
             "}\n",
     .syms = {35, 37, 40}},
    {.name = "linear",
     .text = "kernel f(a: f32[M, K], b: f32[N, K], out c: f32[M, N])\n"
             "  grid i: M by 16, j: N by 32\n"
             "{\n"
             "  var acc = zeros f32[16, 32]\n"
             "  for k: K by 32 { acc += a[i, k] @ b[j, k].T }\n"
             "  c[i, j] = acc\n"
             "}\n",
     .syms = {19, 45, 33}},
    {.name = "transpose",
     .text = "kernel f(x: f32[M, N], out y: f32[N, M])\n"
             "  grid i: M by 32, j: N by 32\n"
             "{\n"
             "  y[j, i] = x[i, j].T\n"
             "}\n",
     .syms = {33, 70}},
    {.name = "row_sum",
     .text = "kernel f(x: f32[M, N], out total: f32[M], out largest: f32[M])\n"
             "  grid i: M by 2\n"
             "{\n"
             "  var s = zeros f32[2], m = full f32[2] = -inf\n"
             "  for j: N by 128 {\n"
             "    s += sum(x[i, j] + 1.0, axis 1)\n"
             "    m = max(m, max(x[i, j], axis 1))\n"
             "  }\n"
             "  total[i] = s\n"
             "  largest[i] = m\n"
             "}\n",
     .syms = {5, 300}},
    {.name = "centre",
     .text = "kernel f(x: i32[M, N], out y: i32[M, N])\n"
             "  grid i: M by 4\n"
             "{\n"
             "  for j: N by 64 {\n"
             "    let t = x[i, j]\n"
             "    y[i, j] = t - max(t, axis 1)[:, _]\n"
             "  }\n"
             "}\n",
     .syms = {6, 100}},
    {.name = "scan",
     .text = "kernel f(x: i32[N], out y: i32[N])\n"
             "  grid i: N by 64\n"
             "{\n"
             "  let t = x[i]\n"
             "  y[i] = exscan(t) * 2 - t\n"
             "}\n",
     .syms = {150}},
    {.name = "chain",
     .text = "kernel f(a: f32[M, K], b: f32[K, 32], v: f32[32, 32], out c: f32[M, 32])\n"
             "  grid i: M by 16\n"
             "{\n"
             "  var acc = zeros f32[16, 32]\n"
             "  for k: K by 16 { acc += a[i, k] @ b[k, :] }\n"
             "  let p = where(acc > 0.0, acc, 0.0)\n"
             "  c[i, :] = p @ v[:, :]\n"
             "}\n",
     .syms = {20, 24}},
    {.name = "halves",
     .text = "kernel f(x: f32[M, 64], out y: f32[M, 32])\n"
             "  grid i: M by 4\n"
             "{\n"
             "  let t = x[i, :]\n"
             "  y[i, :] = t[:, 0:32] - t[:, 32:64]\n"
             "}\n",
     .syms = {6}},
    {.name = "ring", .text = ring, .by_hand = true, .syms = {150}},
    {.name = "roles", .text = roles, .by_hand = true, .syms = {150}},
    {.name = "relay", .text = relay, .by_hand = true, .syms = {150}},
    {.name = "staged",
     .text = "kernel f(a: f32[M, K], b: f32[K, N], out c: f32[M, N])\n"
             "  grid i: M by 32, j: N by 32\n"
             "{\n"
             "  var acc = zeros f32[32, 32]\n"
             "  for k: K by 16 { acc += a[i, k] @ b[k, j] }\n"
             "  c[i, j] = acc\n"
             "}\n",
     .stages = "3",
     .syms = {35, 100, 40}},
    {.name = "attend",
     .text = "kernel f(q: f32[M, 16], k: f32[B, N, 16], v: f32[B, N, 32], out o: f32[M, 32])\n"
             "  grid i: M by 16\n"
             "{\n"
             "  let t = q[i, :]\n"
             "  var m = full f32[16] = -1000.0, acc = zeros f32[16, 32]\n"
             "  for b in 0..B { for j: N by 16 {\n"
             "    let s = t @ k[b, j, :].T\n"
             "    m = max(m, max(s, axis 1))\n"
             "    acc = acc * 0.5 + (where(s > m[:, _] * 0.5, s, 0.0) @ v[b, j, :])\n"
             "  } }\n"
             "  o[i, :] = acc\n"
             "}\n",
     .stages = "2",
     .syms = {20, 2, 40}},
    {.name = "fetched",
     .text = "kernel f(a: f32[M, K], b: f32[K, N], out c: f32[M, N])\n"
             "  grid i: M by 32, j: N by 32\n"
             "{\n"
             "  var acc = zeros f32[32, 32]\n"
             "  for k: K by 16 { acc += a[i, k] @ b[k, j] }\n"
             "  c[i, j] = acc\n"
             "}\n",
     .roles = true,
     .syms = {35, 100, 40}},
    {.name = "halved",
     .text = "kernel f(a: f32[M, K], b: f32[K, N], out c: f32[M, N])\n"
             "  grid i: M by 32, j: N by 32\n"
             "{\n"
             "  var acc = zeros f32[32, 32]\n"
             "  for k: K by 16 { acc += a[i, k] @ b[k, j] }\n"
             "  c[i, j] = acc\n"
             "}\n",
     .roles = true,
     .replicas = "2",
     .syms = {35, 100, 40}},
    {.name = "quartered",
     .text = "kernel f(a: f32[M, K], b: f32[N, K], s: f32[M], out c: f32[M, N])\n"
             "  grid i: M by 32, j: N by 16\n"
             "{\n"
             "  var acc = zeros f32[32, 16]\n"
             "  for k: K by 16 { acc += a[i, k] @ b[j, k].T }\n"
             "  c[i, j] = acc * s[i][:, _]\n"
             "}\n",
     .roles = true,
     .stages = "2",
     .replicas = "4",
     .syms = {35, 50, 20}},
    {.name = "columns",
     .text = "kernel f(a: f32[32, K], b: f32[K, N], out c: f32[N])\n"
             "  grid j: N by 32\n"
             "{\n"
             "  var acc = zeros f32[32, 32]\n"
             "  for k: K by 16 { acc += a[:, k] @ b[k, j] }\n"
             "  c[j] = max(acc, axis 0)\n"
             "}\n",
     .roles = true,
     .replicas = "2",
     .syms = {50, 70}},
    {.name = "heads",
     .text =
         "kernel f(q: f32[M, 16], k: f32[N, 16], v: f32[N, 32], out o: f32[M, 32], out l: f32[M])\n"
         "  grid i: M by 16\n"
         "{\n"
         "  let t = q[i, :]\n"
         "  var m = full f32[16] = -1000.0, s = zeros f32[16], acc = zeros f32[16, 32]\n"
         "  for j: N by 16 {\n"
         "    let p = t @ k[j, :].T\n"
         "    let n = max(m, max(p, axis 1))\n"
         "    let w = where(p > n[:, _] * 0.5, p - n[:, _], 0.0)\n"
         "    s = s * 0.5 + sum(w + 1.0, axis 1)\n"
         "    acc = acc * 0.5 + (w @ v[j, :])\n"
         "    m = n\n"
         "  }\n"
         "  o[i, :] = acc\n"
         "  l[i] = s + m\n"
         "}\n",
     .roles = true,
     .replicas = "2",
     .syms = {20, 40}},
    {.name = "batches",
     .text = "kernel f(a: f32[B, M, K], b: f32[B, K, 16], out c: f32[B, M, 16])\n"
             "  grid n: B by 2, i: M by 16\n"
             "{\n"
             "  var acc = zeros f32[2, 16, 16]\n"
             "  for k: K by 16 { acc += a[n, i, k] @ b[n, k, :] }\n"
             "  c[n, i, :] = acc\n"
             "}\n",
     .roles = true,
     .replicas = "2",
     .syms = {3, 20, 40}},
    {.name = "scaled",
     .text = "kernel f(x: f32[M, N], out y: f32[M, N])\n"
             "  grid i: M by 8\n"
             "{\n"
             "  for j: N by 32 { y[i, j] = x[i, j] * 2.0 + 1.0 }\n"
             "}\n",
     .roles = true,
     .replicas = "2",
     .syms = {13, 70}},
    {.name = "ranked",
     .text = "kernel f(x: f32[M, N], out y: f32[M, 4], out s: i32[M, 32])\n"
             "  grid i: M by 8\n"
             "{\n"
             "  let t = x[i, 0:32]\n"
             "  let (v, p) = topk(t, 4)\n"
             "  y[i, :] = v else 0.0\n"
             "  s[i, :] = scan(where(t > 0.0, 1, 0), axis 1)\n"
             "}\n",
     .roles = true,
     .replicas = "2",
     .syms = {13, 40}},
    {.name = "turned",
     .text = "kernel f(x: f32[M, N], w: f32[N, 16], out y: f32[16, M])\n"
             "  grid i: M by 16\n"
             "{\n"
             "  var acc = zeros f32[16, 16]\n"
             "  for j: N by 16 { acc += x[i, j] @ w[j, :] }\n"
             "  y[:, i] = acc.T\n"
             "}\n",
     .roles = true,
     .replicas = "2",
     .syms = {40, 40}},
    {.name = "looked_up",
     .text = "kernel f(x: f32[P, 32], t: i32[M], w: f32[32, 32], out y: f32[M, 32])\n"
             "  grid i: M by 16\n"
             "{\n"
             "  let rows = x[t[i], :] else 0.0\n"
             "  y[i, :] = (rows @ w[:, :]) * 2.0\n"
             "}\n",
     .roles = true,
     .replicas = "2",
     .syms = {9, 20}},
    {.name = "two_passes",
     .text = "kernel f(a: f32[M, K], b: f32[K, 32], g: f32[K, 32], out c: f32[M, 32])\n"
             "  grid i: M by 16\n"
             "{\n"
             "  var p = zeros f32[16, 32], q = zeros f32[16, 32]\n"
             "  for k: K by 16 { p += a[i, k] @ b[k, :] }\n"
             "  for k: K by 16 { q += a[i, k] @ g[k, :] }\n"
             "  c[i, :] = p * max(q, 0.0)\n"
             "}\n",
     .roles = true,
     .replicas = "2",
     .syms = {20, 40}},
    {.name = "chunks",
     .text = "kernel f(a: f32[M, 64], b: f32[64, 16], v: f32[16, 32], out c: f32[M, 32])\n"
             "  grid i: M by 16\n"
             "{\n"
             "  var acc = zeros f32[16, 16]\n"
             "  for k: 64 by 16 { acc += a[i, k] @ b[k, :] }\n"
             "  let p = where(acc > 0.0, acc, 0.0)\n"
             "  c[i, :] = (p @ v[:, :]) - sum(p, axis 1)[:, _]\n"
             "}\n",
     .roles = true,
     .replicas = "2",
     .syms = {20}},
    {.name = "reused", /* the ring's bytes hold what is exchanged behind the loop */
     .text = "kernel f(x: f32[M, K], w: f32[K, 32], out y: f32[M, 32])\n"
             "  grid i: M by 16\n"
             "{\n"
             "  var acc = zeros f32[16, 32]\n"
             "  for k: K by 16 { acc += x[i, k] @ w[k, :] }\n"
             "  let n = acc - sum(acc, axis 1)[:, _]\n"
             "  y[i, :] = concat(n[:, 16:32], n[:, 0:16], axis 1)\n"
             "}\n",
     .roles = true,
     .syms = {20, 40}},
    {.name = "shifted", /* the rows' numbers are a tile of one element that becomes a scalar */
     .text = "kernel f(x: f32[T, 64], out y: f32[T, 64])\n"
             "  grid t: T by 1\n"
             "{\n"
             "  var acc = zeros f32[1, 64]\n"
             "  for j in 0 .. 3 { acc += x[t - j, :] else 0.0 }\n"
             "  y[t, :] = acc\n"
             "}\n",
     .syms = {5}},
    {.name = "renumbered", .text = renumbered, .by_hand = true, .syms = {70}},
    {.name = "pair", .text = pair, .by_hand = true, .syms = {150}},
};

const check_program *check_program_at(int number) {
    return number >= 0 && (size_t)number < TG_COUNT_OF(programs) ? &programs[number] : NULL;
}
