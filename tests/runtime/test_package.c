/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The package reader against wrong bytes: every truncation, every flipped bit, and mutations whose
 * checksums are made right again. Nothing may crash or leak, and a damaged file is never read as
 * good.
 */
#include "tests/runtime/support.h"

static const char ir[] = "tegula-ir 1\n"
                         "kernel tile first {\n"
                         "  bind T = \"f32\"\n"
                         "  syms M, N\n"
                         "  param a: tensor<f32[M, cdiv(N, 4)], strided> strided align(16)\n"
                         "  param i: tensor<i32[M + 1]> sorted range(0, N)\n"
                         "  param x: f32\n"
                         "  param y: tensor<f32[N]> out init(0.0)\n"
                         "  require M % 4 == 0\n"
                         "  body {}\n"
                         "}\n"
                         "kernel tile second {\n"
                         "  syms N\n"
                         "  param n: i64\n"
                         "  param y: tensor<f32[N]> out\n"
                         "  body {}\n"
                         "}\n"
                         "hostop both {\n"
                         "  syms N\n"
                         "  param y: tensor<f32[N]> out\n"
                         "  temp t: f32[2 * N]\n"
                         "  launch second(dim N + 1, temp t) when N < 100\n"
                         "  launch second(dim 3, param y)\n"
                         "}\n";

static unsigned char *copy_of(const unsigned char *bytes, size_t n) {
    unsigned char *c = malloc(n ? n : 1); /* exact size: ASan sees any read past it */
    assert_non_null(c);
    memcpy(c, bytes, n);
    return c;
}

static void test_good(void **state) {
    (void)state;
    rt_world w;
    rt_open(&w, "null", 1, 0);
    size_t n, again;
    unsigned char *bytes = rt_package(ir, true, &n), *twice = rt_package(ir, true, &again);
    assert_int_equal(n, again); /* the same input gives the same bytes */
    assert_memory_equal(bytes, twice, n);
    tgr_package *p = NULL;
    rt_expect(&w, tgr_package_open(w.context, bytes, n, &p), TGR_OK);
    assert_int_equal(tgr_package_kernel_count(p), 3);
    assert_string_equal(tgr_package_tool(p), "test 1");
    size_t text_bytes;
    assert_string_equal(tgr_package_ir(p, &text_bytes), ir);
    assert_int_equal(text_bytes, strlen(ir));
    tgr_setting s;
    rt_expect(&w, tgr_package_meta(p, 0, &s), TGR_OK);
    assert_string_equal(s.value, "test");
    assert_int_equal(tgr_package_meta(p, 1, &s), TGR_E_NOT_FOUND);
    tgr_section_info section;
    assert_int_equal(tgr_package_section_count(p), 5);
    rt_expect(&w, tgr_package_section(p, 3, &section), TGR_OK);
    assert_string_equal(section.name, "code");
    const tgr_kernel *k = tgr_package_kernel(p, 0);
    char text[64];
    assert_int_equal(tgr_kernel_code_count(k, 0), 1);
    tgr_code_info code;
    rt_expect(&w, tgr_kernel_code(k, 0, 0, &code), TGR_OK);
    assert_string_equal(code.isa, "x86-64-v2");
    assert_int_equal(code.phase_offset[0], 32);
    assert_string_equal(tgr_kernel_schedule(k, 0), "test");
    assert_int_equal(tgr_kernel_guard_text(k, 0, text, sizeof text), 0);
    assert_int_equal(tgr_launch(w.queue, k, NULL, 0, NULL), TGR_E_INVALID); /* only to look at */
    tgr_package_release(p);
    free(bytes);
    free(twice);
    rt_close(&w);
}

static void test_truncated(void **state) {
    (void)state;
    rt_world w;
    rt_open(&w, "null", 1, 0);
    size_t n;
    unsigned char *bytes = rt_package(ir, true, &n);
    for (size_t cut = 0; cut < n; cut++) {
        unsigned char *c = copy_of(bytes, cut);
        assert_int_not_equal(tgr_package_verify(w.context, c, cut), TGR_OK);
        rt_resign(c, cut);
        assert_true(tgr_package_verify(w.context, c, cut) < TGR_STATUS_LAST);
        free(c);
    }
    assert_int_equal(tgr_package_verify(w.context, NULL, 0), TGR_E_INVALID);
    free(bytes);
    rt_close(&w);
}

static void test_flipped(void **state) {
    (void)state;
    rt_world w;
    rt_open(&w, "null", 1, 0);
    size_t n;
    unsigned char *bytes = rt_package(ir, true, &n);
    for (size_t i = 0; i < n; i++) {
        for (int bit = 0; bit < 8; bit++) {
            bytes[i] ^= (unsigned char)(1 << bit);
            tgr_status st = tgr_package_verify(w.context, bytes, n);
            assert_true(st == TGR_E_FORMAT || st == TGR_E_UNSUPPORTED);
            bytes[i] ^= (unsigned char)(1 << bit);
        }
    }
    rt_expect(&w, tgr_package_verify(w.context, bytes, n), TGR_OK);
    free(bytes);
    rt_close(&w);
}

static uint32_t next_random(uint32_t *s) {
    *s = *s * 1664525u + 1013904223u;
    return *s >> 8;
}

/* Mutations under right checksums: whatever still reads as good is loaded and asked about. */
static void test_mutated(void **state) {
    (void)state;
    rt_world w;
    rt_open(&w, "null", 1, 0);
    size_t n;
    unsigned char *bytes = rt_package(ir, true, &n);
    uint32_t seed = 1;
    int good = 0;
    for (int round = 0; round < 20000; round++) {
        unsigned char *c = copy_of(bytes, n);
        for (uint32_t k = next_random(&seed) % 4 + 1; k > 0; k--) {
            static const unsigned char values[] = {0, 1, 2, 0x7f, 0x80, 0xff, 16, 64};
            uint32_t at = next_random(&seed) % (uint32_t)n;
            c[at] = next_random(&seed) % 2 ? values[next_random(&seed) % 8]
                                           : (unsigned char)next_random(&seed);
        }
        rt_resign(c, n);
        tgr_module *m = NULL;
        if (tgr_module_load(w.device, c, n, NULL, &m) == TGR_OK) {
            good++;
            for (int32_t i = 0; i < tgr_module_kernel_count(m); i++) {
                char text[256];
                tgr_kernel *k = tgr_module_kernel(m, i);
                (void)tgr_kernel_extent_text(k, 0, 1, text, sizeof text);
                (void)tgr_kernel_require_text(k, 0, text, sizeof text);
                float y[8] = {0};
                int64_t e = 4;
                tgr_arg args[] = {tgr_arg_i64(4), tgr_arg_tensor(y, TG_DT_F32, 1, &e)};
                tgr_status st = tgr_launch(w.queue, k, args, 2, NULL);
                st = tgr_launch(w.queue, k, args + 1, 1, NULL);
                assert_true(st < TGR_STATUS_LAST);
            }
            tgr_module_release(m);
        }
        free(c);
    }
    assert_true(good > 0 && good < 20000);
    free(bytes);
    rt_close(&w);
}

static void test_newer(void **state) {
    (void)state;
    rt_world w;
    rt_open(&w, "null", 1, 0);
    size_t n;
    unsigned char *bytes = rt_package(ir, false, &n);
    bytes[8] = 2;
    rt_resign(bytes, n);
    rt_expect(&w, tgr_package_verify(w.context, bytes, n), TGR_E_UNSUPPORTED);
    rt_expect_message(&w, "format 2, ABI 1; this runtime reads format 1, ABI 1");
    bytes[8] = 1;
    unsigned char *last =
        bytes + TG_PACK_HEADER_BYTES + 3 * TG_PACK_ENTRY_BYTES; /* META KERNELS OPS IR */
    last[0] = 77;
    rt_resign(bytes, n);
    rt_expect(&w, tgr_package_verify(w.context, bytes, n), TGR_E_UNSUPPORTED);
    rt_expect_message(&w, "section kind 77 is newer");
    last[4] |= TG_PACK_OPTIONAL;
    rt_resign(bytes, n);
    rt_expect(&w, tgr_package_verify(w.context, bytes, n), TGR_OK); /* optional: skipped */
    free(bytes);
    rt_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good), cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_flipped), cmocka_unit_test(test_mutated),
        cmocka_unit_test(test_newer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
