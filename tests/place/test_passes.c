/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the passes of placement decide, kernel by kernel: each row is a program, a machine and what
 * the placed text must and must not hold, with how often a word occurs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/place/support.h"

enum { MAX_WORDS = 8 };

typedef struct row {
    const char *name, *machine, *source;
    struct {
        const char *text;
        int times;
    } words[MAX_WORDS];
} row;

#define MATMUL                                                                                     \
    "kernel k(a: f16[M, K], b: f16[K, N], out c: f16[M, N])\n"                                     \
    "  tune BM = 64 in {64}, BN = 64 in {64}, BK = 32 in {32, 4096}\n"                             \
    "  grid i: M by BM, j: N by BN\n"                                                              \
    "{\n  var acc = zeros f32[BM, BN]\n"                                                           \
    "  for k: K by BK { acc += a[i, k] @ b[k, j] }\n  c[i, j] = acc as f16\n}\n"

static const row rows[] = {
    {"a product is two copies, two barriers and no mask",
     "opencl",
     MATMUL,
     {{" copy ", 2}, {" barrier ", 2}, {"masked", 0}, {" dot ", 1}, {" put ", 0}, {"lanes 64", 1}}},
    {"roles: a ring each, one event to free and one to fill, which a product's blocks share",
     "two-roles",
     MATMUL,
     {{" role ", 2},
      {" event ", 2},
      {"ring = true", 4},
      {" barrier ", 0},
      {" await ", 2},
      {"{count = 2}", 1},
      {" signal ", 3},
      {"32, 64], 3>", 1}}},
    {"replicas: rows in two parts, each copied by itself, columns copied once and told to both",
     "three-roles",
     MATMUL,
     {{"replicas = 2", 1},
      {"axis = 0, n = 64", 1},
      {"f16[32, 32], 6", 1},
      {"f16[32, 64], 3", 1},
      {"{count = 2}", 1},
      {" copy ", 3},
      {" signal ", 5},
      {" await ", 3}}},
    {"replicas: where rows are combined, columns are split",
     "three-roles",
     "kernel k(a: f16[64, K], b: f16[K, N], out c: f32[N])\n  grid j: N by 64\n"
     "{\n  var acc = zeros f32[64, 64]\n"
     "  for k: K by 32 { acc += a[:, k] @ b[k, j] }\n  c[j] = max(acc, axis 0)\n}\n",
     {{"replicas = 2", 1}, {"axis = 1, n = 64", 1}, {"f16[32, 32], 6", 1}}},
    {"replicas: without a product what is stored is split; what lanes exchange is each one's own",
     "three-roles",
     "kernel k(x: f32[M, 256], out z: f32[M, 256], out s: f32[M])\n  grid i: M by 32\n"
     "{ let t = x[i, :]\n  z[i, :] = t * 2.0\n  s[i] = sum(t, axis 1) }\n",
     {{"replicas = 2", 1}, {"copy", 0}, {"], 2 @", 1}, {"ring = true", 1}, {" store ", 2}}},
    {"replicas: what is combined over all of it keeps the tile whole",
     "three-roles",
     "kernel k(x: f32[G, 64, 64], w: f32[64, 64], out z: f32[G])\n  grid g: G\n"
     "{ z[g] = max(x[g, :, :] @ w[:, :]) }\n",
     {{"replicas = ", 0}}},
    {"a loop that fetches ahead: two copies before it, two in it, one barrier a trip",
     "staged",
     MATMUL,
     {{" copy ", 4},
      {" wait ", 4},
      {" barrier ", 1},
      {"ring = true", 6},
      {"32, 64], 2>", 1},
      {"64, 32], 2 @", 1},
      {" dot ", 1}}},
    {"boxes of tensors: three stages, a wait that names each copy, buffers for boxes",
     "sm_90a",
     MATMUL,
     {{" = copy ", 6},
      {"copy = \"tensor\"", 6},
      {" wait ", 8},
      {"align = 128", 2},
      {"ring = true", 8}}},
    {"boxes: what indices gather, what a span orders otherwise and what steps over elements is "
     "none",
     "sm_90a",
     "kernel k(a: f16[P, K], at: i32[M], b: f16[K, N] strided, d: f16[N, M], out c: f32[M, N])\n"
     "  grid i: M by 64, j: N by 64\n"
     "{ var s = zeros f32[64, 64]\n"
     "  for k: K by 64 { s += (a[at[i], k] else 0.0) @ b[k, j] }\n"
     "  c[i, j] = s + (d[j, i].T as f32) }\n",
     {{"tensor\"", 0}, {"align", 0}}},
    {"what shared memory does not hold twice is fetched when it is used",
     "staged",
     "kernel k(a: f32[M, K], b: f32[K, N], out c: f32[M, N])\n"
     "  grid i: M by 64, j: N by 64\n"
     "{\n  var acc = zeros f32[64, 64]\n"
     "  for k: K by 60 { acc += a[i, k] @ b[k, j] }\n  c[i, j] = acc\n}\n",
     {{" copy ", 2}, {" barrier ", 2}, {"ring = true", 0}, {"scratch 0\n", 1}}},
    {"blocks used one after the other cannot both stand twice where one alone could",
     "staged",
     "kernel k(q: f32[M, 64], k: f32[N, 64], v: f32[N, 64], out o: f32[M, 64])\n"
     "  grid i: M by 16\n"
     "{\n  let t = q[i, :]\n  var m = zeros f32[16], acc = zeros f32[16, 64]\n"
     "  for j: N by 32 {\n    let s = t @ k[j, :].T\n    m = max(m, max(s, axis 1))\n"
     "    acc = acc * m[:, _] + (s @ v[j, :])\n  }\n  o[i, :] = acc\n}\n",
     {{"ring = true", 0}, {"scratch 0\n", 1}}},
    {"what a loop computes its block from is computed again for the next",
     "staged",
     "kernel k(x: f32[P, 16, 64], t: i32[N], w: f32[64, 32], out o: f32[16, 32])\n"
     "{\n  var acc = zeros f32[16, 32]\n"
     "  for n in 0..N { acc += x[t[n], :, :] @ w[:, :] else 0.0 }\n  o[:, :] = acc\n}\n",
     {{" copy ", 3}, {" load ", 3}, {"ring = true", 3}}},
    {"elementwise code needs no memory",
     "opencl",
     "kernel k(x: f32[M, N], y: f32[N], out z: f32[M, N])\n  grid i: M by 8, j: N by 64\n"
     "{ z[i, j] = x[i, j] * 2.0 + y[j][_, :] }\n",
     {{" buffer ", 0}, {" barrier ", 0}, {" convert ", 0}, {"shared 0 scratch 0", 1}}},
    {"a row sum exchanges once and converts nothing",
     "opencl",
     "kernel k(x: f32[M, N], out z: f32[M, N] init 0)\n  grid i: M\n"
     "{ let t = x[i, 0:256]\n  z[i, 0:256] = t * sum(t) }\n",
     {{"exchange = true", 1}, {" barrier ", 0}, {" put ", 0}, {" convert ", 0}}},
    {"the rows of scores and output agree, so the softmax does not move",
     "opencl",
     "kernel k(q: f32[M, 64], k: f32[N, 64], v: f32[N, 128], out o: f32[M, 128])\n"
     "  grid i: M by 64\n"
     "{\n  let t = q[i, :]\n  var m = zeros f32[64], acc = zeros f32[64, 128]\n"
     "  for j: N by 64 {\n    let s = t @ k[j, :].T\n    m = max(m, max(s, axis 1))\n"
     "    acc = acc * m[:, _] + (s @ v[j, :])\n  }\n  o[i, :] = acc\n}\n",
     {{" convert ", 0}, {" put ", 2}, {" dot ", 2}}}, /* the weights and the mask of keys */
    {"stores of different trips of a loop need no barrier",
     "opencl",
     "kernel k(x: f32[M, N], out z: f32[M, N])\n  grid i: M\n"
     "{ for j: N by 64 { z[i, j] = x[i, j] * 2.0 } }\n",
     {{" barrier ", 0}, {" store ", 1}}},
    {"what a loop wrote and the next loop reads in other lanes does",
     "opencl",
     "kernel k(x: f32[M, N], inout y: f32[M, N], out z: f32[M, N])\n  grid i: M\n"
     "{ for j: N by 64 { y[i, j] = x[i, j] * 2.0 }\n"
     "  for j: N by 64 { z[i, j] = y[i, j] } }\n",
     {{"barrier {fence = global}", 1}}},
    {"a transposed store reads rows",
     "opencl",
     "kernel k(x: f32[M, N], out z: f32[N, M])\n  grid i: M by 16, j: N by 16\n"
     "{ z[j, i] = x[i, j].T }\n",
     {{" permute ", 1}, {" put ", 0}}},
    {"views of one tile are one buffer",
     "opencl",
     "kernel k(x: f32[M, 48], out z: f32[M, 16])\n  grid i: M by 16\n"
     "{ let t = x[i, :]\n"
     "  z[i, :] = (t[:, 0:16] @ t[:, 16:32].T else 0.0) + t[:, 32:48] }\n",
     {{" buffer ", 1}, {" window ", 4}, {" put ", 0}, {" copy ", 1}, {" barrier ", 1}}},
    {"a tile that is gathered goes through memory, and so does which of it exists",
     "opencl",
     "kernel k(x: f32[M], i: i32[M], out z: f32[M])\n  grid r: M by 64\n"
     "{ let t = x[0:64]\n  z[r] = t[i[r]] else 0.0 }\n",
     {{" get_at ", 2}, {" buffer ", 2}, {" barrier ", 2}}},
};

static int count_words(const char *text, const char *word) {
    int n = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at++) {
        n++;
    }
    return n;
}

static const tg_machine *machine_of(const char *name) {
    static tg_machine staged;
    staged = *tg_machine_find("opencl");
    staged.stages = 2;
    const tg_machine *model = tg_machine_model(name);
    return model != NULL ? model : strcmp(name, "staged") == 0 ? &staged : tg_machine_find(name);
}

/* Placed text of kernel k, in the arena of t. */
static const char *placed_text(place_test *t, const char *source, const char *machine,
                               const tg_setting *settings, int n) {
    tg_source *src = TG_NEW(&t->arena, tg_source);
    *src = (tg_source){.name = "test", .text = source, .len = strlen(source)};
    tg_program *p = place_test_program(t, src);
    tg_module *m = tg_module_make(&t->arena), *out = tg_module_make(&t->arena);
    tg_func *f = NULL;
    if (p == NULL || tg_program_specialise(p, "k", settings, n, NULL, m, &f) != TG_OK) {
        fail_msg("%s", place_test_messages(t));
    }
    place_test_optimise(t, f);
    if (tg_place(f, machine_of(machine), out, &t->sink) != TG_OK ||
        tg_module_verify(out, &t->sink) != TG_OK) {
        fail_msg("%s", place_test_messages(t));
    }
    return place_test_print(t, out);
}

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < TG_COUNT_OF(rows); i++) {
        place_test t;
        place_test_init(&t);
        const char *text = placed_text(&t, rows[i].source, rows[i].machine, NULL, 0);
        for (int w = 0; w < MAX_WORDS && rows[i].words[w].text != NULL; w++) {
            int n = count_words(text, rows[i].words[w].text);
            if (n != rows[i].words[w].times) {
                fail_msg("%s: `%s` occurs %d times, not %d\n%s", rows[i].name,
                         rows[i].words[w].text, n, rows[i].words[w].times, text);
            }
        }
        place_test_fini(&t);
    }
}

/* What cannot stand in shared memory at once is cut along the contraction, or leaves it. */
static void test_capacity(void **state) {
    static const tg_setting wide[] = {{.name = "BK", .value = "4096"}};
    place_test t;
    (void)state;
    place_test_init(&t);
    const char *text = placed_text(&t, MATMUL, "opencl", wide, 1);
    assert_int_equal(count_words(text, " for "), 1); /* its own trips are shorter */
    assert_int_equal(count_words(text, "4096"), 1);  /* in the binding alone */
    assert_int_equal(count_words(text, "scratch 0\n"), 1);
    text = placed_text(&t,
                       "kernel k(a: f16[M, K], b: f16[K, N], out c: f16[M, N])\n"
                       "  grid i: M by 64, j: N by 64\n"
                       "{\n  var acc = zeros f32[64, 64]\n"
                       "  for k: K by 4096 { acc = acc * 0.5 + a[i, k] @ b[k, j] }\n"
                       "  c[i, j] = acc as f16\n}\n",
                       "opencl", NULL, 0);
    assert_int_equal(count_words(text, " for "), 2); /* the trips do more than add up */
    assert_int_equal(count_words(text, "scratch 0\n"), 1);
    text = placed_text(
        &t,
        "kernel k(x: f32[M, 256], y: f32[M, 256], out z: f32[M, M] init 0)\n"
        "{ let a = x[0:64, :] * 2.0, b = y[0:64, :] * 3.0\n  z[0:64, 0:64] = a @ b.T }\n",
        "opencl", NULL, 0);
    assert_int_equal(count_words(text, "buf<scratch, f32[64, 256], 1>"), 2);
    assert_non_null(strstr(place_test_messages(&t), "kept in device memory"));
    place_test_fini(&t);
}

/* Where blocks are fetched ahead their pieces leave room for the copies on their way. */
static void test_room_ahead(void **state) {
    static const tg_setting wide[] = {{.name = "BK", .value = "4096"}};
    place_test t;
    (void)state;
    place_test_init(&t);
    const char *text = placed_text(&t, MATMUL, "sm_80", wide, 1);
    assert_int_equal(count_words(text, "128, 64], 3 @"), 1);
    assert_int_equal(count_words(text, "64, 128], 3 @"), 1);
    place_test_fini(&t);
}

/* Long code that one scalar may make useless stands in a branch; short code does not, nor what
 * somebody else wants. */
static void test_branch(void **state) {
    static const struct {
        const char *body;
        int branches;
    } cases[] = {{"y[i] = where(c > 0.0, c * tanh(x[i] / c), x[i])", 1},
                 {"y[i] = where(c > 0.0, x[i], exp(x[i]) + log(x[i] + 2.0))", 1},
                 {"y[i] = where(c > 0.0, sqrt(x[i]) * 2.0, x[i])", 0},
                 {"let t = tanh(x[i])\n  y[i] = where(c > 0.0, t * 2.0, x[i]) + t", 0},
                 {"y[i] = where(x[i] > 0.0, tanh(x[i]), x[i])", 0}};
    (void)state;
    for (size_t k = 0; k < TG_COUNT_OF(cases); k++) {
        char source[512];
        place_test t;
        place_test_init(&t);
        (void)snprintf(source, sizeof source,
                       "kernel k(x: f32[N], c: f32, out y: f32[N]) grid i: N by 256\n{ %s }\n",
                       cases[k].body);
        const char *text = placed_text(&t, source, "opencl", NULL, 0);
        if (count_words(text, " = if %") != cases[k].branches) {
            fail_msg("%s", text);
        }
        place_test_fini(&t);
    }
}

/* Operands of units that read shared memory lie in xor-ed panels; one that cannot takes the product
 * to another unit, whose operands lie in plain rows. */
static void test_swizzle(void **state) {
    static const char turned[] = "kernel k(a: f16[M, K], b: f16[K, N], out c: f32[M, N])\n"
                                 "  grid i: M by 64, j: N by 128\n"
                                 "{ var s = zeros f32[64, 128]\n"
                                 "  for k: K by 32 { s += a[i, k] @ b[k, j] }\n  c[i, j] = s }\n";
    static const char bytes[] =
        "kernel k(a: f8e4m3[M, K], b: f8e4m3[K, N], out c: f32[M, N])\n"
        "  grid i: M by 64, j: N by 128\n"
        "{ var s = zeros f32[64, 128]\n"
        "  for k: K by 64 { s += a[i, k] @ fast b[k, j] }\n  c[i, j] = s }\n";
    place_test t;
    (void)state;
    place_test_init(&t);
    const char *text = placed_text(&t, turned, "sm_90a", NULL, 0);
    assert_int_equal(
        count_words(text, "f16[64, 32], 3 @\"2; 1:32*1@mem*1 0:64*1@mem*32 xor(2,4,8)\""), 1);
    assert_int_equal(
        count_words(
            text, "f16[32, 128], 3 @\"2; 1:64*1@mem*1 0:32*1@mem*64 1:2*64@mem*2048 xor(1,8,8)\""),
        1);
    assert_int_equal(count_words(text, "unit = \"wgmma.m64k16.f16\""), 1);
    text = placed_text(&t, bytes, "sm_90a", NULL, 0);
    assert_int_equal(count_words(text, "xor("), 0);
    assert_int_equal(count_words(text, "unit = \"mma.m16n8k32.e4m3\""), 1);
    place_test_fini(&t);
}

/* The accumulator of one product is operand a of the next where sub-groups have whole rows: no
 * buffer between them, for units that read shared memory and for those that do not. Where columns
 * are shared it goes through memory. */
static void test_registers(void **state) {
    static const char chain[] =
        "kernel k(a: bf16[M, 64], b: bf16[K, 64], v: bf16[K, 128], out c: f32[M, 128])\n"
        "  grid i: M by 64\n"
        "{ var acc = zeros f32[64, 128], top = full f32[64] = -inf\n"
        "  for k: K by 64 { let s = a[i, 0:64] @ b[k, 0:64].T, m = max(top, max(s, axis 1))\n"
        "    acc += (exp2(s - m[:, _]) as bf16) @ v[k, 0:128]\n    top = m }\n"
        "  c[i, 0:128] = acc }\n";
    static const char columns[] =
        "kernel k(a: bf16[16, 64], b: bf16[64, 64], v: bf16[64, 128], out c: f32[16, 128])\n"
        "{ let s = a[0:16, 0:64] @ b[0:64, 0:64].T\n"
        "  c[0:16, 0:128] = (s as bf16) @ v[0:64, 0:128] }\n";
    static const char *const machines[] = {"sm_80", "sm_90a"};
    place_test t;
    (void)state;
    place_test_init(&t);
    for (size_t i = 0; i < TG_COUNT_OF(machines); i++) {
        const char *text = placed_text(&t, chain, machines[i], NULL, 0);
        assert_int_equal(count_words(text, "program lanes 128 "), 1);
        assert_int_equal(count_words(text, "= dot "), 2);
        assert_int_equal(count_words(text, "put "), 0);
        assert_int_equal(count_words(text, "masked = true, unit"), 0);
        text = placed_text(&t, columns, machines[i], NULL, 0);
        assert_int_equal(count_words(text, "put "), 1);
    }
    place_test_fini(&t);
}

/* Blocks of which nothing is masked have a way without masks, chosen by scalars alone; the other
 * way stays. Loops that multiply nothing are left alone. */
static void test_whole(void **state) {
    static const char causal[] =
        "kernel k(a: bf16[M, 64], b: bf16[K, 64], v: bf16[K, 64], out c: f32[M, 64])\n"
        "  grid i: M by 64\n"
        "{ var acc = zeros f32[64, 64], n = zeros f32[64]\n"
        "  for k: K by 64 { let s = a[i, 0:64] @ b[k, 0:64].T\n"
        "    let x = where(k[_, :] <= i[:, _], s, 0.0); n += sum(x, axis 1)\n"
        "    acc += (x as bf16) @ v[k, 0:64] }\n"
        "  c[i, 0:64] = acc * n[:, _] }\n";
    static const char plain[] =
        "kernel k(x: f32[M, K], out y: f32[M]) grid i: M by 64\n"
        "{ var n = zeros f32[64]\n"
        "  for k: K by 64 { n += sum(where(k[_, :] <= i[:, _], x[i, k], 0.0), axis 1) }\n"
        "  y[i] = n }\n";
    place_test t;
    (void)state;
    place_test_init(&t);
    const char *text = placed_text(&t, causal, "sm_90a", NULL, 0);
    assert_int_equal(count_words(text, "= if "), 1);
    assert_int_equal(count_words(text, "= reduce "), 2);
    assert_int_equal(count_words(text, "= dot "), 2);
    assert_int_equal(count_words(placed_text(&t, plain, "sm_90a", NULL, 0), "= if "), 0);
    assert_int_equal(count_words(placed_text(&t, causal, "opencl", NULL, 0), "= if "), 0);
    place_test_fini(&t);
}

/* Rows divided by what only the launch knows are a table where registers have constant numbers,
 * read where they are used: behind the loop, not in front of it. Elsewhere they are divided again.
 */
static void test_positions(void **state) {
    static const char source[] = "kernel k(a: bf16[B, S, 64], b: bf16[K, 64], v: bf16[K, 128], out "
                                 "c: f32[B, S, 128] init 0)\n"
                                 "  grid i: B * S by 64\n"
                                 "{ let r = i / S, s = i % S\n"
                                 "  let q = a[r, s, :] else 0.0\n"
                                 "  var acc = zeros f32[64, 128]\n"
                                 "  for k: K by 32 { acc += ((q @ b[k, :].T) as bf16) @ v[k, :] }\n"
                                 "  disjoint c[r, s, :] = acc }\n";
    place_test t;
    (void)state;
    place_test_init(&t);
    const char *text = placed_text(&t, source, "gfx942", NULL, 0);
    assert_int_equal(count_words(text, ": buf<shared, i64[64], 1>"), 2);
    assert_int_equal(count_words(text, "= div "), 1);
    assert_int_equal(count_words(text, "= rem "), 1);
    const char *loop = strstr(text, "= for "), *store = strstr(text, "store ");
    assert_true(loop != NULL && store != NULL && loop < store);
    int behind = 0;
    for (const char *g = strstr(loop, ": i64[64] @"); g != NULL && g < store;
         g = strstr(g + 1, ": i64[64] @")) {
        behind++;
    }
    assert_true(behind >= 2);
    text = placed_text(&t, source, "opencl", NULL, 0);
    assert_int_equal(count_words(text, ": buf<shared, i64[64], 1>"), 0);
    assert_true(count_words(text, "= div ") > 1);
    place_test_fini(&t);
}

/* Without scratch memory too much is an error that names values, lines, bytes and what would fit.
 */
static void test_refusal(void **state) {
    static const char source[] =
        "kernel k(x: f32[M, 256], y: f32[M, 256], out z: f32[M, M] init 0)\n"
        "{ let a = x[0:64, :] * 2.0, b = y[0:64, :] * 3.0\n  z[0:64, 0:64] = a @ b.T }\n";
    place_test t;
    tg_func *f = NULL;
    tg_machine machine = *tg_machine_find("opencl");
    (void)state;
    place_test_init(&t);
    machine.scratch_bytes = 0;
    tg_source src = {.name = "test", .text = source, .len = sizeof source - 1};
    tg_program *p = place_test_program(&t, &src);
    tg_module *m = tg_module_make(&t.arena), *out = tg_module_make(&t.arena);
    assert_int_equal(tg_program_specialise(p, "k", NULL, 0, NULL, m, &f), TG_OK);
    place_test_optimise(&t, f);
    assert_int_equal(tg_place(f, &machine, out, &t.sink), TG_E_UNSUPPORTED);
    const char *says = place_test_messages(&t);
    static const char *const words[] = {
        "error[E0601]", "bytes of shared memory a program; opencl has 32768",
        "test:2:", "65536 bytes hold this f32[64, 256]", "would fit"};
    for (size_t i = 0; i < TG_COUNT_OF(words); i++) {
        if (strstr(says, words[i]) == NULL) {
            fail_msg("no `%s` in %s", words[i], says);
        }
    }
    place_test_fini(&t);
}

/* The keys that placement reads; nonsense is ignored. */
static void test_schedule(void **state) {
    static const struct {
        const char *key, *value, *machine, *text;
    } rows_[] = {{"schedule.warps", "1", "opencl", "lanes 32 "},
                 {"schedule.warps", "5", "opencl", "lanes 128 "},
                 {"schedule.warps", "1000", "opencl", "lanes 256 "},
                 {"schedule.warps", "0", "opencl", "lanes 64 "},
                 {"schedule.stages", "5", "two-roles", "f16[32, 64], 5"},
                 {"schedule.stages", "many", "two-roles", "f16[32, 64], 3"},
                 {"schedule.stages", "3", "opencl", "f16[32, 64], 3"},
                 {"schedule.stages", "1", "staged", "f16[32, 64], 1"},
                 {"schedule.stages", "9", "staged", "f16[32, 64], 4"},
                 {"schedule.replicas", "2", "two-roles", "f16[32, 32], 6"},
                 {"schedule.replicas", "4", "two-roles", "f16[16, 32], 12"},
                 {"schedule.replicas", "3", "two-roles", "f16[64, 32], 3"}, /* 64 is no 3 parts */
                 {"schedule.replicas", "2", "opencl", "lanes 64 "},
                 {"schedule.roles", "matrix", "two-roles", "copy"}};
    (void)state;
    for (size_t i = 0; i < TG_COUNT_OF(rows_); i++) {
        place_test t;
        place_test_init(&t);
        tg_setting set = {.name = rows_[i].key, .value = rows_[i].value};
        const char *text = placed_text(&t, MATMUL, rows_[i].machine, &set, 1);
        bool refused =
            strcmp(rows_[i].key, "schedule.replicas") == 0 && strcmp(rows_[i].value, "3") == 0;
        assert_int_equal(strstr(place_test_messages(&t), "remark[E0603]") != NULL, refused);
        if (strstr(text, rows_[i].text) == NULL) {
            fail_msg("%s = %s: no `%s` in\n%s", rows_[i].key, rows_[i].value, rows_[i].text, text);
        }
        assert_int_equal(count_words(text, " role ") > 0,
                         strcmp(rows_[i].machine, "two-roles") == 0 &&
                             strcmp(rows_[i].value, "matrix") != 0);
        place_test_fini(&t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),       cmocka_unit_test(test_capacity),
        cmocka_unit_test(test_room_ahead), cmocka_unit_test(test_swizzle),
        cmocka_unit_test(test_registers),  cmocka_unit_test(test_whole),
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_branch),     cmocka_unit_test(test_schedule),
        cmocka_unit_test(test_refusal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
