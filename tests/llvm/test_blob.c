/* SPDX-License-Identifier: Apache-2.0 */
/* The object reader against damage: every truncation and many thousand mutations of real objects of
 * the three architectures end in a blob or a diagnostic, never in a bad access. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/llvm/harness.h"

static const char *const machines[] = {"x86-64-v3", "aarch64-neon", "riscv64-v"};

/* Constant pools, a call of an import, a loop: every kind of relocation we meet. */
static void build(struct tg_test_func *t) {
    tg_test_begin(t);
    const tg_type *p = tg_type_ptr(t->module), *types[3] = {p, p, p};
    tg_test_function(t, "k", 3, types);
    tg_builder *b = &t->b;
    tg_value **a = t->func->body->args;
    tg_value *v = tg_build_loadm(b, tg_type_vec(t->module, TG_DT_F32, 8), a[0], 0);
    v = tg_build_math(b, TG_MATH_EXP2, v);
    v = tg_build_binary(
        b, TG_OP_ADD, v,
        tg_build_cast(b, tg_build1(b, TG_OP_LANES, tg_type_vec(t->module, TG_DT_I32, 8), 0),
                      TG_DT_F32));
    tg_build_storem(b, a[2], v, 0);
    tg_value *n = tg_build_loadm(b, tg_type_scalar(t->module, TG_DT_I64), a[1], 0);
    tg_value *cp[3] = {tg_build_gep(b, a[2], tg_build_index(b, 8), 4), a[0], n};
    tg_build_op(b, TG_OP_MEMCPY, 3, cp, 0, NULL, 0);
}

static const unsigned char *object_for(struct tg_test_func *t, const tg_machine *mc,
                                       size_t *out_n) {
    static const tg_llvm_options options = {.opt_level = 2, .emit = TG_LLVM_OBJECT};
    const unsigned char *obj = NULL;
    tg_sink sink;
    build(t);
    tg_sink_init(&sink, &t->arena);
    tg_expand_legalise(t->func, mc);
    assert_int_equal(tg_llvm_emit(t->module, mc, &options, &t->arena, &sink, &obj, out_n), TG_OK);
    return obj;
}

/* The bytes sit at the end of an exact allocation, where a sanitizer sees the first byte too far.
 */
static tg_status try(const unsigned char *bytes, size_t n) {
    tg_env env;
    tg_arena arena;
    tg_sink sink;
    tg_blob blob;
    jmp_buf oom;
    tg_env_init(&env, tg_allocator_default(), (size_t)64 << 20);
    if (TG_ENV_GUARD(&env, oom)) {
        return TG_E_NOMEM;
    }
    tg_arena_init(&arena, &env);
    tg_sink_init(&sink, &arena);
    unsigned char *copy = malloc(n ? n : 1);
    memcpy(copy, bytes, n);
    tg_status s = tg_blob_from_object(copy, n, &arena, &sink, &blob);
    if (s != TG_OK) {
        assert_true(sink.errors > 0);
    }
    free(copy);
    tg_arena_fini(&arena);
    return s;
}

static void test_truncation(void **state) {
    (void)state;
    for (size_t m = 0; m < TG_COUNT_OF(machines); m++) {
        struct tg_test_func t;
        size_t n = 0;
        const unsigned char *obj = object_for(&t, tg_machine_find(machines[m]), &n);
        assert_int_equal(try(obj, n), TG_OK);
        for (size_t k = 0; k < n; k++) {
            assert_int_equal(try(obj, k), TG_E_FORMAT); /* the section table ends the file */
        }
        tg_test_end(&t);
    }
}

static void test_mutation(void **state) {
    (void)state;
    uint64_t s = 12345;
    for (size_t m = 0; m < TG_COUNT_OF(machines); m++) {
        struct tg_test_func t;
        size_t n = 0;
        const unsigned char *obj = object_for(&t, tg_machine_find(machines[m]), &n);
        unsigned char *copy = malloc(n);
        for (int round = 0; round < 4000; round++) {
            memcpy(copy, obj, n);
            for (int k = 0; k <= round % 3; k++) {
                s = s * UINT64_C(6364136223846793005) + 1442695040888963407u;
                size_t at = (size_t)(s >> 33) % n;
                copy[at] = (unsigned char)(round % 5 == 0 ? 0xFF : s >> 20);
            }
            tg_status r = try(copy, n);
            assert_true(r == TG_OK || r == TG_E_FORMAT || r == TG_E_NOMEM);
        }
        free(copy);
        tg_test_end(&t);
    }
}

/* A call of anything but the imports is refused by its name. */
static void test_unknown_import(void **state) {
    (void)state;
    struct tg_test_func t;
    size_t n = 0;
    const tg_machine *mc = tg_machine_find("x86-64-v3");
    const unsigned char *obj = object_for(&t, mc, &n);
    unsigned char *copy = malloc(n);
    memcpy(copy, obj, n);
    bool found = false;
    for (size_t i = 0; i + 7 < n; i++) {
        if (memcmp(copy + i, "memcpy", 7) == 0) {
            copy[i] = 'x';
            found = true;
        }
    }
    assert_true(found);
    tg_sink sink;
    tg_blob blob;
    tg_sink_init(&sink, &t.arena);
    assert_int_equal(tg_blob_from_object(copy, n, &t.arena, &sink, &blob), TG_E_FORMAT);
    assert_non_null(strstr(sink.first->text, "xemcpy"));
    free(copy);
    tg_test_end(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_mutation),
        cmocka_unit_test(test_unknown_import),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
