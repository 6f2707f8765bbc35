/* SPDX-License-Identifier: Apache-2.0 */
/* The writer of code objects against damage: every truncation and many thousand mutations of a real
 * object end in a file or a diagnostic, and what it does not know is refused by name. What it
 * writes is held against ld.lld's in link.sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/pack/blob.h"
#include "tests/llvm/harness.h"

enum { SHT_RELA_ = 4, SECTION_BYTES = 64 };

/* A kernel: every object has one relocation of its descriptor. */
static const unsigned char *make(struct tg_test_func *t, size_t *out_n) {
    static const tg_llvm_options options = {.opt_level = 2, .emit = TG_LLVM_OBJECT};
    const unsigned char *obj = NULL;
    tg_sink sink;
    tg_test_begin(t);
    tg_module *m = t->module;
    const tg_type *p = tg_type_ptr(m), *i64 = tg_type_scalar(m, TG_DT_I64);
    const tg_type *types[5] = {p, i64, tg_type_scalar(m, TG_DT_I32), p, p};
    tg_test_function(t, "k.phase0", 5, types);
    t->func->role = "phase0";
    t->func->lanes = 64;
    tg_builder *b = &t->b;
    tg_value **a = t->func->body->args;
    tg_build_storem(b, tg_build_gep(b, a[3], tg_build_cast(b, a[2], TG_DT_I64), 4), a[2], 0);
    tg_sink_init(&sink, &t->arena);
    const tg_machine *mc = tg_machine_find("gfx942");
    assert_int_equal(tg_llvm_emit(m, mc, &options, &t->arena, &sink, &obj, out_n), TG_OK);
    return obj;
}

/* The bytes sit at the end of an exact allocation, where a sanitizer sees the first byte too far.
 */
static tg_status try(const unsigned char *bytes, size_t n, const char *says) {
    tg_env env;
    tg_arena arena;
    tg_sink sink;
    jmp_buf oom;
    const unsigned char *out = NULL;
    size_t n_out = 0;
    tg_env_init(&env, tg_allocator_default(), (size_t)64 << 20);
    if (TG_ENV_GUARD(&env, oom)) {
        return TG_E_NOMEM;
    }
    tg_arena_init(&arena, &env);
    tg_sink_init(&sink, &arena);
    unsigned char *copy = malloc(n ? n : 1);
    memcpy(copy, bytes, n);
    tg_status s = tg_hsaco_link(copy, n, &arena, &sink, &out, &n_out);
    assert_true((s == TG_OK) == (sink.errors == 0));
    if (says != NULL) {
        assert_non_null(sink.first);
        if (strstr(sink.first->text, says) == NULL) {
            fail_msg("%s", sink.first->text);
        }
    }
    free(copy);
    tg_arena_fini(&arena);
    return s;
}

static void test_truncation(void **state) {
    (void)state;
    struct tg_test_func t;
    size_t n = 0;
    const unsigned char *obj = make(&t, &n);
    assert_int_equal(try(obj, n, NULL), TG_OK);
    for (size_t k = 0; k < n; k++) {
        assert_int_equal(try(obj, k, NULL), TG_E_FORMAT);
    }
    tg_test_end(&t);
}

static void test_mutation(void **state) {
    (void)state;
    uint64_t s = 12345;
    struct tg_test_func t;
    size_t n = 0;
    const unsigned char *obj = make(&t, &n);
    unsigned char *copy = malloc(n);
    for (int round = 0; round < 8000; round++) {
        memcpy(copy, obj, n);
        for (int k = 0; k <= round % 3; k++) {
            s = s * UINT64_C(6364136223846793005) + 1442695040888963407u;
            size_t at = (size_t)(s >> 33) % n;
            copy[at] = (unsigned char)(round % 5 == 0 ? 0xFF : s >> 20);
        }
        tg_status r = try(copy, n, NULL);
        assert_true(r == TG_OK || r == TG_E_FORMAT || r == TG_E_NOMEM);
    }
    free(copy);
    tg_test_end(&t);
}

/* The first relocation of the object. */
static unsigned char *relocation(unsigned char *obj) {
    const unsigned char *sections = obj + tg_blob_get64(obj + 40);
    for (unsigned i = 0; i < tg_blob_get16(obj + 60); i++) {
        const unsigned char *p = sections + (size_t)i * SECTION_BYTES;
        if (tg_blob_get32(p + 4) == SHT_RELA_) {
            return obj + tg_blob_get64(p + 24);
        }
    }
    return NULL;
}

static void test_refused(void **state) {
    (void)state;
    struct tg_test_func t;
    size_t n = 0;
    const unsigned char *obj = make(&t, &n);
    unsigned char *copy = malloc(n), *r;
    memcpy(copy, obj, n);
    r = relocation(copy);
    assert_non_null(r);
    tg_blob_put32(r + 8, 1); /* R_AMDGPU_ABS32_LO */
    assert_int_equal(try(copy, n, "AMDGPU relocation 1 in section `.rodata`"), TG_E_FORMAT);
    memcpy(copy, obj, n);
    tg_blob_put64(r, UINT64_MAX - 3);
    assert_int_equal(try(copy, n, "lies outside section `.rodata`"), TG_E_FORMAT);
    memcpy(copy, obj, n);
    tg_blob_put32(r + 12, 10000);
    assert_int_equal(try(copy, n, "names symbol 10000"), TG_E_FORMAT);
    memcpy(copy, obj, n);
    copy[18] = 62;
    assert_int_equal(try(copy, n, "machine 62 is not AMDGPU"), TG_E_FORMAT);
    free(copy);
    tg_test_end(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_mutation),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
