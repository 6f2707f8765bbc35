/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The IR's text form: print(parse(text)) gives the text back, for every construct of every level,
 * and malformed texts are rejected with a message and nothing worse, whatever the bytes.
 */
#include "tests/ir/irtest.h"

#include <stdlib.h>
#include <string.h>

static const char matmul[] =
    "tegula-ir 1\n"
    "\n"
    "kernel tile matmul {\n"
    "  bind T = \"f16\"\n"
    "  bind BM = \"128\"\n"
    "  syms M, N, K\n"
    "  param a: tensor<f16[M, K]>\n"
    "  param b: tensor<f16[K, N], strided> strided align(16)\n"
    "  param c: tensor<f16[M, N]> out init(0.0)\n"
    "  param idx: tensor<i32[M + 1]> sorted unique range(0, M)\n"
    "  param scale: f32\n"
    "  require K % 16 == 0\n"
    "  require M < N + 1 & cdiv(N, 128) <= max(K, 3)\n"
    "  axis i by 128\n"
    "  axis \"j j\" by 64\n"
    "  grid (%a.0: tensor<f16[M, K]>, %b.1: tensor<f16[K, N], strided>, %c.2: tensor<f16[M, N]>, "
    "%3: tensor<i32[M + 1]>, %4: f32) {\n"
    "    %5 = sym {sym = 0} : i64\n"
    "    %6 = dim %b.1 {axis = 1} : i64\n"
    "    yield %5, %6\n"
    "  }\n"
    "  body (%7: tensor<f16[M, K]>, %8: tensor<f16[K, N], strided>, %9: tensor<f16[M, N]>, "
    "%10: tensor<i32[M + 1]>, %11: f32, %12: i64, %13: i64) {\n"
    "    %14 = const {i = 128} : i64\n"
    "    %15 = mul %12, %14 : i64\n"
    "    %16 = dim %7 {axis = 0} : i64\n"
    "    %17 = span %15, %16 : span<128>\n"
    "    %18 = const {i = 64} : i64\n"
    "    %19 = mul %13, %18 : i64\n"
    "    %20 = dim %9 {axis = 1} : i64\n"
    "    %21 = span %19, %20 : span<64>\n"
    "    %22 = fconst {f = 0.0} : f32[128, 64]\n"
    "    %23 = const {i = 0} : i64\n"
    "    %24 = dim %7 {axis = 1} : i64\n"
    "    %acc.25 = for %23, %24, %18, %22 {unroll = 2} : f32[128, 64] (%26: i64, %27: f32[128, "
    "64]) {\n"
    "      %28 = span %26, %24 : span<64>\n"
    "      %29 = load %7, %17, %28 {axes = [0, 1]} : f16[128, 64]\n"
    "      %30 = load %8, %28, %21 {axes = [0, 1]} : f16[64, 64]\n"
    "      %31 = span_mask %28 : bool[64]\n"
    "      %32 = dot %29, %30, %27, %31 {numeric = exact, batch = 0, masked = true} : f32[128, "
    "64]\n"
    "      yield %32\n"
    "    }\n"
    "    %33 = cast %acc.25 {round = rne} : f16[128, 64]\n"
    "    store %9, %33, %17, %21 {axes = [0, 1]}\n"
    "  }\n"
    "}\n";

static const char control[] =
    "tegula-ir 1\n"
    "\n"
    "kernel tile control {\n"
    "  syms N\n"
    "  param x: tensor<record(656)[N, 64]>\n"
    "  param y: tensor<f32[N]> inout\n"
    "  axis i by 1\n"
    "  grid (%0: tensor<record(656)[N, 64]>, %1: tensor<f32[N]>) {\n"
    "    %2 = sym {sym = 0} : i64\n"
    "    yield %2\n"
    "  }\n"
    "  body (%3: tensor<record(656)[N, 64]>, %4: tensor<f32[N]>, %5: i64) {\n"
    "    %6 = view %3 {strides = [1], bytes = 12} : tensor<f8e4m3[N, 64, 512]>\n"
    "    %7 = const {i = -9223372036854775808} : i64\n"
    "    %8 = const {i = 1} : bool\n"
    "    %9 = fconst {f = -inf} : f32\n"
    "    %10 = fconst {f = nan} : f64[2, 3]\n"
    "    %11 = fconst {f = 1e-30} : f32\n"
    "    %12, %13 = while %7, %9 {max = 100} : i64, f32 (%14: i64, %15: f32) {\n"
    "      %16 = cmp %14, %5 {pred = lt} : bool\n"
    "      yield %16, %14, %15\n"
    "    } (%17: i64, %18: f32) {\n"
    "      yield %17, %18\n"
    "    }\n"
    "    %19 = if %8 : f32 {\n"
    "      yield %13\n"
    "    } {\n"
    "      yield %9\n"
    "    }\n"
    "    if %8 {\n"
    "      store %4, %19, %5 {axes = []}\n"
    "    } {}\n"
    "    %20 = reduce %10 {axis = 1, kind = max} : f64[2] {}\n"
    "    %21 = fconst {f = 0.5} : f64\n"
    "    %22 = reduce %10, %21 {axis = 0, kind = user} : f64[3] (%23: f64, %24: f64) {\n"
    "      %25 = add %23, %24 : f64\n"
    "      yield %25\n"
    "    }\n"
    "    print %22 {text = \"a \\\"quoted\\\" \\\\ line\\n\\x01\"}\n"
    "    assert %8 {text = \"fine\"}\n"
    "  }\n"
    "}\n"
    "\n"
    "hostop both {\n"
    "  syms N\n"
    "  param x: tensor<record(656)[N, 64]>\n"
    "  param y: tensor<f32[N]> inout\n"
    "  param s: f32\n"
    "  require N == 0 | N != 0\n"
    "  temp t: f32[N]\n"
    "  temp r: record(656)[min(N, 8), 64]\n"
    "  launch control(param x, param y)\n"
    "  launch control(temp r, temp t) when N * 2 / 3 % 5 - N == 4\n"
    "}\n";

static const char loop[] =
    "tegula-ir 1\n"
    "\n"
    "kernel loop k {\n"
    "  role phase0\n"
    "  body (%slots.0: ptr, %1: i64, %2: i64, %3: ptr, %4: ptr, %5: ptr) {\n"
    "    %6 = slot %slots.0 {i = 0} : ptr\n"
    "    %7 = const {i = 8} : i64\n"
    "    for %1, %2, %7 (%8: i64) {\n"
    "      %9 = gep %6, %8 {bytes = 4} : ptr\n"
    "      %10 = sub %2, %8 : i64\n"
    "      %11 = pmask %10 : vec<bool, 8>\n"
    "      %12 = fconst {f = 0.0} : vec<f32, 8>\n"
    "      %13 = loadm %9, %11, %12 {masked = true, align = 4} : vec<f32, 8>\n"
    "      %14 = shuffle %13, %12 {axes = [0, 1, -1, 15]} : vec<f32, 4>\n"
    "      %15 = reducev %14 {kind = sum} : f32\n"
    "      %16 = bitcast %13 : vec<i32, 8>\n"
    "      %17 = bitcast %16 : vec<i16, 16>\n"
    "      %18 = intrinsic %17, %17 {name = \"x86.avx2.pmadd.wd\"} : vec<i32, 8>\n"
    "      storem %9, %13, %11 {masked = true, nontemporal = true}\n"
    "    }\n"
    "  }\n"
    "}\n";

/* Length of the common beginning. */
static size_t common_length(const char *a, const char *b) {
    size_t i = 0;
    while (a[i] != '\0' && a[i] == b[i]) {
        i++;
    }
    return i;
}

static void round_trip(const char *text) {
    irtest t;
    irtest_init(&t);
    tg_module *m = irtest_parse(&t, text);
    const char *once = irtest_print(&t, m);
    size_t same = common_length(once, text);
    if (text[same] != '\0' || once[same] != '\0') {
        fail_msg("differs from here:\n%.80s\nwanted:\n%.80s", once + same, text + same);
    }
    const char *twice = irtest_print(&t, irtest_parse(&t, once));
    assert_string_equal(once, twice);
    irtest_fini(&t);
}

static void test_round_trip(void **state) {
    (void)state;
    round_trip("tegula-ir 1\n");
    round_trip(matmul);
    round_trip(control);
    round_trip(loop);
}

/* Dimension expressions print so that they read back equal, whatever the nesting. */
static void test_dims(void **state) {
    (void)state;
    static const char *const same[] = {"A + B",
                                       "A - B",
                                       "A * 2 + B * 3 + 1",
                                       "A + B - 5",
                                       "0 - A",
                                       "(A + B) * C",
                                       "A / 2 * 2",
                                       "A / (B / C)",
                                       "A % (B * C)",
                                       "A * (B % C)",
                                       "cdiv(A + 1, B - C)",
                                       "min(A, B)",
                                       "max(A, 1 - B)",
                                       "A < B & B < C",
                                       "(A | B) & C",
                                       "A & B | C",
                                       "(A < B) < C",
                                       "A == (B == C)",
                                       "A - B * 2 - C % 3 * 7"};
    for (size_t i = 0; i < TG_COUNT_OF(same); i++) {
        irtest t;
        irtest_init(&t);
        const char *text = tg_arena_printf(
            &t.arena,
            "tegula-ir 1\n\nkernel tile k {\n  syms A, B, C\n  require %s\n  body {}\n}\n",
            same[i]);
        tg_module *m = irtest_parse(&t, text);
        const char *once = irtest_print(&t, m);
        assert_string_equal(once, irtest_print(&t, irtest_parse(&t, once)));
        irtest_fini(&t);
    }
}

static void test_dim_normal_form(void **state) {
    (void)state;
    static const char *const equal[][2] = {
        {"A + B", "B + A"},
        {"A + B - A", "B"},
        {"A * 2 + A", "3 * A"},
        {"(A + 1) * 4", "4 + A * 4"},
        {"A - (B - C)", "A + C - B"},
        {"min(A, B)", "min(B, A)"},
        {"A * B", "B * A"},
        {"cdiv(A, 1)", "A"},
        {"7 / 2", "3"},
        {"A == A", "1"},
    };
    for (size_t i = 0; i < TG_COUNT_OF(equal); i++) {
        irtest t;
        irtest_init(&t);
        tg_module *m = irtest_parse(
            &t, tg_arena_printf(&t.arena,
                                "tegula-ir 1\nkernel tile k { syms A, B, C require %s require %s "
                                "body {} }",
                                equal[i][0], equal[i][1]));
        assert_ptr_equal(m->first_func->requires_[0], m->first_func->requires_[1]);
        irtest_fini(&t);
    }
}

static void reject(const char *text, size_t len, const char *message) {
    irtest t;
    irtest_init(&t);
    tg_module *m = irtest_try_parse(&t, text, len);
    if (m != NULL) {
        fail_msg("was accepted: %s", text);
    }
    assert_int_equal(t.sink.errors, 1);
    if (strstr(t.sink.first->text, message) == NULL) {
        fail_msg("`%s` does not say `%s`", t.sink.first->text, message);
    }
    irtest_fini(&t);
}

static void test_reject(void **state) {
    (void)state;
    static const char *const bad[][2] = {
        {"", "header"},
        {"tegula-ir", "header"},
        {"tegula-ir 2\n", "version"},
        {"tegula-ir 99999999999999999999\n", "out of range"},
        {"tegula-ir 1\nmodule", "expected `kernel` or `hostop`"},
        {"tegula-ir 1\nkernel warp k {}", "level"},
        {"tegula-ir 1\nkernel tile k {", "expected a line"},
        {"tegula-ir 1\nkernel tile k { syms }", "name"},
        {"tegula-ir 1\nkernel tile k { require M }", "not a dimension name"},
        {"tegula-ir 1\nkernel tile k { syms M require M + }", "expected an integer"},
        {"tegula-ir 1\nkernel tile k { param a: f99 }", "element type"},
        {"tegula-ir 1\nkernel tile k { param a: f32[1,1,1,1,1,1,1,1,1] }", "too many axes"},
        {"tegula-ir 1\nkernel tile k { param a: tensor<record[1]> }", "expected `(`"},
        {"tegula-ir 1\nkernel tile k { body { %1 = frobnicate } }", "no such operation"},
        {"tegula-ir 1\nkernel tile k { body { %1 = const {i = 1} } }", "result types"},
        {"tegula-ir 1\nkernel tile k { body { %1 = const {i = 1.5} : i32 } }",
         "expected an integer"},
        {"tegula-ir 1\nkernel tile k { body { %1 = const {j = 1} : i32 } }", "no such attribute"},
        {"tegula-ir 1\nkernel tile k { body { %1 = const {i = 1, i = 2} : i32 } }", "twice"},
        {"tegula-ir 1\nkernel tile k { body { %1 = add %1, %1 : i32 } }", "no such value"},
        {"tegula-ir 1\nkernel tile k { body { %1 = const {i = 1} : i32 %1 = const {i = 1} : i32 } "
         "}",
         "defined twice"},
        {"tegula-ir 1\nkernel tile k { body { yield %2 } }", "no such value"},
        {"tegula-ir 1\nkernel tile k { body {} body {} }", "twice"},
        {"tegula-ir 1\nkernel tile k { body { print {text = \"\\q\"} } }", "escape"},
        {"tegula-ir 1\nkernel tile k { body { print {text = \"abc} } }", "expected a string"},
        {"tegula-ir 1\nkernel tile k { body { %1 = cmp {pred = sort of} : i32 } }", "value"},
        {"tegula-ir 1\nhostop h { launch k(param x) }", "no param `x`"},
        {"tegula-ir 1\nkernel tile k { bind T = 3 }", "expected a string"},
    };
    for (size_t i = 0; i < TG_COUNT_OF(bad); i++) {
        reject(bad[i][0], strlen(bad[i][0]), bad[i][1]);
    }
}

static void test_deep_nesting(void **state) {
    (void)state;
    irtest t;
    irtest_init(&t);
    tg_sb sb;
    tg_sb_init(&sb, &t.arena);
    tg_sb_add(&sb, "tegula-ir 1\nkernel tile k { syms M require ");
    for (int i = 0; i < 100000; i++) {
        tg_sb_addc(&sb, '(');
    }
    reject(sb.data, sb.len, "too deeply");
    tg_sb_init(&sb, &t.arena);
    tg_sb_add(&sb, "tegula-ir 1\nkernel tile k { syms M require M");
    for (int i = 0; i < 100000; i++) {
        tg_sb_add(&sb, " % M");
    }
    reject(sb.data, sb.len, "too long");
    tg_sb_init(&sb, &t.arena);
    tg_sb_add(&sb, "tegula-ir 1\nkernel tile k { body { ");
    for (int i = 0; i < 100000; i++) {
        tg_sb_add(&sb, "if {");
    }
    reject(sb.data, sb.len, "too deeply");
    irtest_fini(&t);
}

/* Every prefix, and every text with one byte changed, is read or rejected without harm. What is
 * read prints, and what is printed reads back to the same text. */
static void survive(const char *text, size_t len) {
    irtest t;
    irtest_init(&t);
    tg_module *m = irtest_try_parse(&t, text, len);
    if (m != NULL) {
        tg_status status = tg_module_verify(m, &t.sink);
        assert_true(status == TG_OK || status == TG_E_SOURCE);
        const char *once = irtest_print(&t, m);
        tg_module *again = irtest_try_parse(&t, once, strlen(once));
        assert_non_null(again);
        assert_string_equal(once, irtest_print(&t, again));
    }
    irtest_fini(&t);
}

static void test_mutations(void **state) {
    (void)state;
    static const char *const texts[] = {matmul, control, loop};
    static const char bytes[] = "{}()[]<>%=,:-\"\\0az\n\x80 ";
    uint64_t seed = 12345;
    for (size_t k = 0; k < TG_COUNT_OF(texts); k++) {
        size_t len = strlen(texts[k]);
        char *copy = malloc(len + 1);
        assert_non_null(copy);
        for (size_t cut = 0; cut < len; cut += 7) {
            survive(texts[k], cut);
        }
        for (int i = 0; i < 1500; i++) {
            memcpy(copy, texts[k], len + 1);
            for (int j = 0; j < 1 + i % 3; j++) {
                seed = seed * 6364136223846793005u + 1442695040888963407u;
                copy[(seed >> 33) % len] = bytes[(seed >> 20) % (sizeof(bytes) - 1)];
            }
            survive(copy, len);
        }
        free(copy);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),      cmocka_unit_test(test_dims),
        cmocka_unit_test(test_dim_normal_form), cmocka_unit_test(test_reject),
        cmocka_unit_test(test_deep_nesting),    cmocka_unit_test(test_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
