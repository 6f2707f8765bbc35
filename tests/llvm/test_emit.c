/* SPDX-License-Identifier: Apache-2.0 */
/* Loop IR through LLVM and the blob maker to running code: control flow, memory, lanes, traps. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/llvm/harness.h"

/* sum of a[0..n) in steps of 8 with a masked tail, stored to out */
static void test_sum(void **state) {
    (void)state;
    struct tg_test_func t;
    tg_test_begin(&t);
    const tg_type *ptr = tg_type_ptr(t.module), *i64 = tg_type_scalar(t.module, TG_DT_I64);
    const tg_type *args[3] = {ptr, i64, ptr};
    tg_test_function(&t, "sum", 3, args);
    tg_builder *b = &t.b;
    tg_value *a = t.func->body->args[0], *n = t.func->body->args[1], *out = t.func->body->args[2];
    const tg_type *v8 = tg_type_vec(t.module, TG_DT_F32, 8);
    tg_value *carried[1] = {tg_build_float(b, v8, 0.0)}, *iv;
    tg_op *loop = tg_build_for(b, tg_build_index(b, 0), n, tg_build_index(b, 8), 1, carried, &iv);
    tg_value *left = tg_build_binary(b, TG_OP_SUB, n, iv);
    tg_value *ops[3] = {tg_build_gep(b, a, iv, 4), tg_build_pmask(b, left, 8), tg_build_float(b, v8, 0.0)};
    tg_op *load = tg_build_op(b, TG_OP_LOADM, 3, ops, 1, &v8, 0);
    tg_op_set_int(load, TG_ATTR_MASKED, 1);
    carried[0] = tg_build_binary(b, TG_OP_ADD, carried[0], &load->results[0]);
    tg_build_end_for(b, loop, 1, carried);
    tg_build_storem(b, out, tg_build_reducev(b, TG_RED_SUM, carried[0]), 0);

    struct tg_test_code code;
    assert_true(tg_test_load(t.module, NULL, &code));
    int32_t (*sum)(const float *, int64_t, float *) =
        (int32_t(*)(const float *, int64_t, float *))(uintptr_t)tg_test_symbol(&code, "sum");
    assert_non_null(sum);
    float data[64], r = -1;
    for (int i = 0; i < 64; i++) {
        data[i] = (float)(i + 1);
    }
    for (int64_t k = 0; k <= 64; k++) {
        assert_int_equal(sum(data, k, &r), 0);
        assert_true(r == (float)(k * (k + 1) / 2));
    }
    tg_test_unload(&code);
    tg_test_end(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
