/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Vulkan driver with devices absent, lacking, out of memory and lost, and with memory that is
 * not the host's: the loader is a broken one (fake_vulkan.c). Every failure has its status and a
 * message that names it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/vulkan/harness.h"

static const char kernel[] =
    "tegula-ir 1\nkernel loop k {\nrole simt\nprogram lanes 16 shared 0 scratch 0\n"
    "body (%slots: ptr, %p: i64, %lane: i32, %scratch: ptr, %report: ptr) {\n"
    "%b = slot %slots {i = 0} : ptr\n%l = cast %lane : i64\n%n = const {i = 16} : i64\n"
    "%s = mul %p, %n : i64\n%at = add %s, %l : i64\n%pb = gep %b, %at {bytes = 1} : ptr\n"
    "%x = loadm %pb : u8\n%y = cast %lane : u8\n%z = add %x, %y : u8\nstorem %pb, "
    "%z\nyield\n}\n}\n";

static void break_it(const char *how) { setenv("TG_FAKE_VULKAN", how, 1); }

static void says(tgr_context *context, const char *part) {
    char message[512];
    tgr_context_message(context, message, sizeof message);
    if (!strstr(message, part)) {
        fprintf(stderr, "`%s` does not say `%s`\n", message, part);
        fail();
    }
}

/* Attaching fails, or finds no device. */
static void attach_fails(const char *how, const char *part) {
    tgr_context *context = NULL;
    void *globals = NULL;
    break_it(how);
    assert_int_equal(tgr_context_create(NULL, &context), TGR_OK);
    assert_int_equal(tgr_vk_attach(context, &globals), TGR_E_NOT_FOUND);
    says(context, part);
    assert_null(globals);
    tgr_context_release(context);
}

static void test_absent(void **state) {
    (void)state;
    attach_fails("absent", "no instance");
    const char *fake = getenv("TEGULA_VULKAN_LIBRARY");
    char keep[512];
    snprintf(keep, sizeof keep, "%s", fake);
    setenv("TEGULA_VULKAN_LIBRARY", "libthere-is-none.so.1", 1);
    attach_fails("", "libthere-is-none.so.1 cannot be opened");
    setenv("TEGULA_VULKAN_LIBRARY", "libm.so.6", 1);
    attach_fails("", "no Vulkan 1.2 loader");
    setenv("TEGULA_VULKAN_LIBRARY", keep, 1);
}

static int devices_with(const char *how) {
    tgr_context *context = NULL;
    void *globals = NULL;
    tgr_device_info info;
    int n = 0;
    break_it(how);
    assert_int_equal(tgr_context_create(NULL, &context), TGR_OK);
    assert_int_equal(tgr_vk_attach(context, &globals), TGR_OK);
    while (tgr_vk_describe(context, globals, n, &info)) {
        n++;
    }
    tgr_vk_detach(context, globals);
    tgr_context_release(context);
    return n;
}

static void test_no_device(void **state) {
    (void)state;
    assert_int_equal(devices_with("empty"), 0);
    assert_int_equal(devices_with("old"), 0);
    assert_true(devices_with("") > 0);
}

static void open_fails(const char *how, const char *part) {
    dvt t;
    break_it(how);
    assert_false(dvt_open(&t));
    says(t.context, part);
    dvt_close(&t);
}

static void test_lacking(void **state) {
    (void)state;
    open_fails("int64", "lacks shaderInt64");
    open_fails("short", "lacks functions");
}

/* What a module needs is named; the rest of the device works. */
static void test_module_needs(void **state) {
    (void)state;
    dvt t;
    size_t n = 0;
    break_it("int8");
    assert_true(dvt_open(&t));
    uint32_t *words = vkt_compile(kernel, "vulkan", &n);
    assert_int_equal(tgr_vk_module_fit(t.context, t.vk->abilities, words, &n), TGR_E_UNSUPPORTED);
    says(t.context, "needs shaderInt8");
    free(words);
    dvt_close(&t);
}

/* Any cut or damaged module is refused before the vendor's compiler sees it. */
static void test_module_damaged(void **state) {
    (void)state;
    dvt t;
    size_t n = 0;
    break_it("");
    assert_true(dvt_open(&t));
    uint32_t *words = vkt_compile(kernel, "vulkan", &n);
    size_t few = 3, cut = 6, all = n;
    assert_int_equal(tgr_vk_module_fit(t.context, t.vk->abilities, words, &few), TGR_E_FORMAT);
    assert_int_equal(tgr_vk_module_fit(t.context, t.vk->abilities, words, &cut), TGR_E_FORMAT);
    words[5] = 0;
    assert_int_equal(tgr_vk_module_fit(t.context, t.vk->abilities, words, &all), TGR_E_FORMAT);
    words[0] = 0;
    assert_int_equal(tgr_vk_module_fit(t.context, t.vk->abilities, words, &n), TGR_E_FORMAT);
    free(words);
    dvt_close(&t);
}

static void test_no_memory(void **state) {
    (void)state;
    dvt t;
    tgr_memory m;
    break_it("");
    assert_true(dvt_open(&t));
    assert_int_equal(tgr_vk_memory_alloc(t.context, t.vk, SIZE_MAX, 0, &m), TGR_E_NOMEM);
    says(t.context, "out of device memory");
    break_it("memory");
    assert_int_equal(tgr_vk_memory_alloc(t.context, t.vk, 4096, 0, &m), TGR_E_NOMEM);
    break_it(""); /* it recovers */
    assert_int_equal(tgr_vk_memory_alloc(t.context, t.vk, 4096, TGR_BUFFER_ZERO, &m), TGR_OK);
    dvt_free(&t, &m);
    dvt_close(&t);
}

static void test_refused_pipeline(void **state) {
    (void)state;
    dvt t;
    size_t n = 0;
    VkPipeline p = VK_NULL_HANDLE;
    break_it("refuse");
    assert_true(dvt_open(&t));
    uint32_t *words = vkt_compile(kernel, "vulkan", &n);
    assert_int_equal(tgr_vk_pipeline_make(t.vk, words, n, "k", &p), TGR_E_UNSUPPORTED);
    says(t.context, "making a pipeline");
    free(words);
    dvt_close(&t);
}

/* Loss is reported once by what met it and then by everything else; closing still works. */
static void lose(const char *how) {
    dvt t;
    tgr_memory m, more;
    size_t n = 0;
    VkPipeline p = VK_NULL_HANDLE;
    uint32_t report[4];
    break_it("");
    assert_true(dvt_open(&t));
    int64_t slots[1] = {(int64_t)dvt_put(&t, NULL, 64, &m)};
    uint32_t *words = vkt_compile(kernel, "vulkan", &n);
    assert_int_equal(tgr_vk_module_fit(t.context, t.vk->abilities, words, &n), TGR_OK);
    assert_int_equal(tgr_vk_pipeline_make(t.vk, words, n, "k", &p), TGR_OK);
    tgr_vk_dispatch d = {.pipeline = p, .slots = slots, .n_slots = 1, .programs = 4};
    break_it(how);
    assert_int_equal(tgr_vk_dispatch_run(t.vk, &d, report), TGR_E_LOST);
    says(t.context, "lost");
    break_it("");
    assert_int_equal(tgr_vk_dispatch_run(t.vk, &d, report), TGR_E_LOST);
    assert_int_equal(tgr_vk_memory_alloc(t.context, t.vk, 64, 0, &more), TGR_E_LOST);
    assert_int_equal(
        tgr_vk_copy(t.context, t.vk, TGR_COPY_FROM_DEVICE, report, m.pointer, sizeof report),
        TGR_E_LOST);
    t.vk->api.DestroyPipeline(t.vk->device, p, NULL);
    free(words);
    dvt_free(&t, &m);
    dvt_close(&t);
}

static void test_lost(void **state) {
    (void)state;
    lose("lost");
    lose("hang-lost");
}

/* Copies of odd sizes at odd places, larger than the staging buffer, and fills of every width. */
static void moves(const char *how) {
    enum { BYTES = 9 << 20 };
    dvt t;
    tgr_memory m;
    unsigned char *want = malloc(BYTES), *got = malloc(BYTES);
    break_it(how);
    assert_true(dvt_open(&t));
    for (int i = 0; i < BYTES; i++) {
        want[i] = (unsigned char)(i * 31 + i / 256);
    }
    (void)dvt_put(&t, want, BYTES, &m);
    assert_int_equal(m.host == NULL, strcmp(how, "staged") == 0);
    char *base = m.pointer;
    memcpy(want + 3, "odd", 3);
    assert_int_equal(tgr_vk_copy(t.context, t.vk, TGR_COPY_TO_DEVICE, base + 3, "odd", 3), TGR_OK);
    static const struct {
        size_t at, bytes, width;
        uint64_t pattern;
    } fills[] = {{17, 31, 1, 0xab},        {64, 40, 8, UINT64_C(0x1122334455667788)},
                 {128, 64, 4, 0xdeadbeef}, {512, 6, 2, 0x1234},
                 {1 << 20, 5 << 20, 8, 0}, {777, 5000001, 1, 0x5c}};
    for (size_t i = 0; i < sizeof fills / sizeof fills[0]; i++) {
        for (size_t k = 0; k < fills[i].bytes; k++) {
            want[fills[i].at + k] =
                (unsigned char)(fills[i].pattern >> (8 * (k % fills[i].width)) & 0xff);
        }
        assert_int_equal(tgr_vk_fill(t.context, t.vk, base + fills[i].at, fills[i].bytes,
                                     fills[i].pattern, fills[i].width),
                         TGR_OK);
    }
    dvt_get(&t, &m, got);
    assert_memory_equal(got, want, BYTES);
    assert_int_equal(tgr_vk_copy(t.context, t.vk, TGR_COPY_FROM_DEVICE, got, base + BYTES, 64),
                     TGR_E_INVALID);
    dvt_free(&t, &m);
    dvt_close(&t);
    free(want);
    free(got);
}

static void test_memory(void **state) {
    (void)state;
    moves("");
    moves("staged");
}

static void test_staged_kernel(void **state) {
    (void)state;
    dvt t;
    tgr_memory m;
    unsigned char data[64];
    break_it("staged");
    assert_true(dvt_open(&t));
    memset(data, 7, sizeof data);
    int64_t slots[1] = {(int64_t)dvt_put(&t, data, sizeof data, &m)};
    dvt_run(&t, kernel, "k", slots, 1, 4, 0, NULL);
    dvt_get(&t, &m, data);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(data[i], 7 + i % 16);
    }
    dvt_free(&t, &m);
    dvt_close(&t);
}

/* The made-up loader breaks a real device: without one there is nothing to break. */
static int begin(void **state) {
    break_it("");
    return dvt_begin(state) + dvt_finish(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_absent),           cmocka_unit_test(test_no_device),
        cmocka_unit_test(test_lacking),          cmocka_unit_test(test_module_needs),
        cmocka_unit_test(test_module_damaged),   cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_refused_pipeline), cmocka_unit_test(test_lost),
        cmocka_unit_test(test_memory),           cmocka_unit_test(test_staged_kernel),
    };
    return cmocka_run_group_tests(tests, begin, NULL);
}
