/* SPDX-License-Identifier: Apache-2.0 */
/* The containers and builders: use lists, cloning, attributes, folding, table look-ups. */
#include "tests/ir/irtest.h"

#include <math.h>
#include <string.h>

#include "ir/build.h"
#include "ir/fold.h"

typedef struct fixture {
    irtest t;
    tg_module *m;
    tg_func *f;
    tg_builder b;
    const tg_type *i64, *i32, *f32, *boolean;
    tg_value *x, *y; /* i64 arguments */
    tg_value *u;     /* f32 argument */
} fixture;

static void setup(fixture *s) {
    irtest_init(&s->t);
    s->m = tg_module_make(&s->t.arena);
    s->f = tg_func_make(s->m, "k", TG_LEVEL_LOOP);
    s->f->body = tg_region_make(s->f, NULL);
    s->b = tg_builder_at_end(s->f->body);
    s->i64 = tg_type_scalar(s->m, TG_DT_I64);
    s->i32 = tg_type_scalar(s->m, TG_DT_I32);
    s->f32 = tg_type_scalar(s->m, TG_DT_F32);
    s->boolean = tg_type_scalar(s->m, TG_DT_BOOL);
    s->x = tg_region_add_arg(s->f->body, s->i64, "x");
    s->y = tg_region_add_arg(s->f->body, s->i64, "y");
    s->u = tg_region_add_arg(s->f->body, s->f32, "u");
}

static void test_types_are_interned(void **state) {
    (void)state;
    fixture s;
    setup(&s);
    int64_t shape[2] = {64, 32};
    assert_ptr_equal(tg_type_tile(s.m, TG_DT_F32, 2, shape),
                     tg_type_tile(s.m, TG_DT_F32, 2, shape));
    assert_ptr_not_equal(tg_type_tile(s.m, TG_DT_F32, 2, shape),
                         tg_type_tile(s.m, TG_DT_F32, 1, shape));
    assert_ptr_equal(tg_type_with_dtype(s.m, tg_type_tile(s.m, TG_DT_F32, 2, shape), TG_DT_F16),
                     tg_type_tile(s.m, TG_DT_F16, 2, shape));
    const tg_type *seen[200];
    for (int64_t i = 0; i < 200; i++) {
        seen[i] = tg_type_vec(s.m, TG_DT_F32, i + 1);
    }
    for (int64_t i = 0; i < 200; i++) {
        assert_ptr_equal(seen[i], tg_type_vec(s.m, TG_DT_F32, i + 1));
    }
    irtest_fini(&s.t);
}

static void test_uses(void **state) {
    (void)state;
    fixture s;
    setup(&s);
    tg_value *sum = tg_build_binary(&s.b, TG_OP_ADD, s.x, s.y);
    tg_value *twice = tg_build_binary(&s.b, TG_OP_ADD, sum, sum);
    assert_true(tg_value_is_used(sum));
    assert_false(tg_value_is_used(twice));
    tg_replace_all_uses(sum, s.x);
    assert_false(tg_value_is_used(sum));
    assert_ptr_equal(tg_operand(twice->def, 0), s.x);
    assert_ptr_equal(tg_operand(twice->def, 1), s.x);
    tg_op_erase(twice->def);
    tg_op_erase(sum->def);
    assert_false(tg_value_is_used(s.x));
    assert_false(tg_value_is_used(s.y));
    assert_null(s.f->body->first);
    irtest_fini(&s.t);
}

static void test_clone(void **state) {
    (void)state;
    fixture s;
    setup(&s);
    tg_value *carried[1] = {s.x}, *iv;
    tg_op *loop =
        tg_build_for(&s.b, tg_build_index(&s.b, 0), s.y, tg_build_index(&s.b, 4), 1, carried, &iv);
    tg_op_set_int(loop, TG_ATTR_UNROLL, 3);
    carried[0] = tg_build_binary(&s.b, TG_OP_ADD, carried[0], iv);
    tg_build_end_for(&s.b, loop, 1, carried);
    tg_value_map *map = tg_value_map_make(&s.t.arena);
    tg_value_map_put(map, s.x, s.y);
    tg_op *copy = tg_op_clone(loop, s.f->body, map);
    assert_ptr_equal(tg_operand(copy, 3), s.y);
    assert_int_equal(tg_attr_int(copy, TG_ATTR_UNROLL, 0), 3);
    assert_ptr_equal(tg_value_map_get(map, carried[0]), &copy->results[0]);
    const tg_op *add = copy->regions[0]->first;
    assert_int_equal(add->code, TG_OP_ADD);
    assert_ptr_equal(tg_operand(add, 1), copy->regions[0]->args[0]);
    assert_int_equal(tg_func_verify(s.f, &s.t.sink), TG_OK);
    irtest_fini(&s.t);
}

static void test_attributes(void **state) {
    (void)state;
    fixture s;
    setup(&s);
    tg_op *op = tg_build_op(&s.b, TG_OP_CONST_INT, 0, NULL, 1, &s.i64, 0);
    int64_t list[3] = {1, 2, 3};
    tg_op_set_int(op, TG_ATTR_VALUE_I, 1);
    tg_op_set_list(op, TG_ATTR_AXES, list, 3);
    tg_op_set_str(op, TG_ATTR_TEXT, "hello");
    tg_op_set_float(op, TG_ATTR_VALUE_F, 2.5);
    tg_op_set_int(op, TG_ATTR_VALUE_I, 7);
    assert_int_equal(op->n_attrs, 4);
    assert_int_equal(tg_attr_int(op, TG_ATTR_VALUE_I, 0), 7);
    tg_op_remove_attr(op, TG_ATTR_AXES);
    assert_null(tg_attr_get(op, TG_ATTR_AXES));
    assert_string_equal(tg_attr_str(op, TG_ATTR_TEXT), "hello");
    assert_true(tg_attr_float(op, TG_ATTR_VALUE_F, 0) == 2.5);
    tg_op_set_int(op, TG_ATTR_N, 9);
    tg_op_set_int(op, TG_ATTR_K, 9);
    assert_int_equal(op->n_attrs, 5);
    irtest_fini(&s.t);
}

static void test_identities(void **state) {
    (void)state;
    fixture s;
    setup(&s);
    tg_value *zero = tg_build_index(&s.b, 0), *one = tg_build_index(&s.b, 1);
    assert_ptr_equal(tg_build_binary(&s.b, TG_OP_ADD, s.x, zero), s.x);
    assert_ptr_equal(tg_build_binary(&s.b, TG_OP_ADD, zero, s.x), s.x);
    assert_ptr_equal(tg_build_binary(&s.b, TG_OP_MUL, one, s.x), s.x);
    assert_ptr_equal(tg_build_binary(&s.b, TG_OP_SUB, s.x, zero), s.x);
    assert_ptr_not_equal(tg_build_binary(&s.b, TG_OP_SUB, zero, s.x), s.x);
    assert_ptr_equal(tg_build_cast(&s.b, s.x, TG_DT_I64), s.x);
    /* x + 0 changes -0, x * 0 changes NaN: neither folds for floats. */
    tg_value *fz = tg_build_float(&s.b, s.f32, 0.0), *fn = tg_build_float(&s.b, s.f32, -0.0);
    assert_ptr_not_equal(tg_build_binary(&s.b, TG_OP_ADD, s.u, fz), s.u);
    assert_ptr_equal(tg_build_binary(&s.b, TG_OP_ADD, s.u, fn), s.u);
    assert_ptr_equal(tg_build_binary(&s.b, TG_OP_SUB, s.u, fz), s.u);
    assert_int_equal(tg_build_binary(&s.b, TG_OP_MUL, s.u, fz)->def->code, TG_OP_MUL);
    assert_int_equal(tg_build_cmp(&s.b, TG_CMP_EQ, s.u, s.u)->def->code, TG_OP_CMP);
    int64_t v;
    assert_true(tg_value_const_int(tg_build_cmp(&s.b, TG_CMP_LE, s.x, s.x), &v) && v == 1);
    irtest_fini(&s.t);
}

static int64_t fold2(tg_opcode code, tg_dtype t, int64_t a, int64_t b) {
    int64_t r = 0;
    assert_true(tg_fold_int_binary(code, t, a, b, &r));
    return r;
}

static void test_integer_rules(void **state) {
    (void)state;
    assert_int_equal(fold2(TG_OP_ADD, TG_DT_I8, 127, 1), -128);
    assert_int_equal(fold2(TG_OP_ADD, TG_DT_U8, 255, 1), 0);
    assert_int_equal(fold2(TG_OP_DIV, TG_DT_I32, 5, 0), 0);
    assert_int_equal(fold2(TG_OP_REM, TG_DT_I32, 5, 0), 5);
    assert_int_equal(fold2(TG_OP_DIV, TG_DT_I32, INT32_MIN, -1), INT32_MIN);
    assert_int_equal(fold2(TG_OP_REM, TG_DT_I32, INT32_MIN, -1), 0);
    assert_true(fold2(TG_OP_DIV, TG_DT_I64, INT64_MIN, -1) == INT64_MIN);
    assert_int_equal(fold2(TG_OP_DIV, TG_DT_U64, -1, 2), INT64_MAX);
    assert_int_equal(fold2(TG_OP_SHL, TG_DT_I32, 1, 33), 2);
    assert_int_equal(fold2(TG_OP_SHR, TG_DT_I32, -8, 1), -4);
    assert_int_equal(fold2(TG_OP_SHR, TG_DT_U8, 0x80, 7), 1);
    assert_int_equal(fold2(TG_OP_MAX, TG_DT_U64, -1, 1), -1);
    assert_int_equal(fold2(TG_OP_MAX, TG_DT_I64, -1, 1), 1);
    int64_t r;
    assert_true(tg_fold_int_unary(TG_OP_POPCOUNT, TG_DT_I8, -1, &r) && r == 8);
    assert_true(tg_fold_int_unary(TG_OP_ABS, TG_DT_I8, -128, &r) && r == -128);
    assert_true(tg_fold_float_to_int(TG_DT_I32, 3e9, &r) && r == INT32_MAX);
    assert_true(tg_fold_float_to_int(TG_DT_U8, -3, &r) && r == 0);
    assert_true(tg_fold_float_to_int(TG_DT_I64, (double)NAN, &r) && r == 0);
    assert_true(tg_fold_float_to_int(TG_DT_U64, 1e30, &r) && r == -1);
    double d;
    assert_true(tg_fold_float_binary(TG_OP_MIN, TG_DT_F32, 0.0, -0.0, &d) && signbit(d));
    assert_true(tg_fold_float_binary(TG_OP_MAX, TG_DT_F32, 0.0, -0.0, &d) && !signbit(d));
    assert_true(tg_fold_float_binary(TG_OP_ADD, TG_DT_F32, 16777216.0, 1.0, &d) && d == 16777216.0);
    assert_false(tg_fold_float_binary(TG_OP_SUB, TG_DT_F32, INFINITY, INFINITY, &d));
    assert_true(tg_fold_int_to_float(TG_DT_I64, (1LL << 62) + 1, TG_DT_F32, &d) && d == 0x1p62);
}

/* A dimension expression expanded to operations folds back to its value. */
static void test_dim_expr(void **state) {
    (void)state;
    fixture s;
    setup(&s);
    static const int64_t values[] = {-9, -1, 0, 1, 2, 7, 128};
    for (int code = TG_DIM_ADD; code <= TG_DIM_OR; code++) {
        for (size_t i = 0; i < TG_COUNT_OF(values); i++) {
            for (size_t j = 0; j < TG_COUNT_OF(values); j++) {
                const tg_dim *d =
                    tg_dim_binary(s.m, (tg_dim_code)code, tg_dim_sym(s.m, 0), tg_dim_sym(s.m, 1));
                int64_t syms[2] = {values[i], values[j]}, got = 0;
                tg_value *v = tg_build_dim_expr(&s.b, d);
                assert_non_null(v);
                const tg_dim *c =
                    tg_dim_binary(s.m, (tg_dim_code)code, tg_dim_const(s.m, values[i]),
                                  tg_dim_const(s.m, values[j]));
                assert_true(tg_value_const_int(tg_build_dim_expr(&s.b, c), &got));
                assert_int_equal(got, tg_dim_eval(d, syms));
            }
        }
    }
    assert_int_equal(s.f->n_syms, 0);
    irtest_fini(&s.t);
}

static void test_tables(void **state) {
    (void)state;
    for (int i = 0; i < TG_OP_COUNT; i++) {
        const tg_op_info *info = tg_op_info_get((tg_opcode)i);
        tg_opcode code;
        assert_true(tg_opcode_from_name(info->name, strlen(info->name), &code));
        assert_int_equal(code, i);
        assert_true(info->n_required <= info->n_attrs);
        assert_true(strlen(info->doc) > 0);
    }
    tg_attr_key key;
    assert_true(tg_attr_from_name("axes", 4, &key) && key == TG_ATTR_AXES);
    assert_false(tg_attr_from_name("axe", 3, &key));
    int64_t v;
    assert_true(tg_enum_value(TG_ATTR_PRED, "ge", 2, &v) && v == TG_CMP_GE);
    assert_string_equal(tg_enum_name(TG_ATTR_FN, TG_MATH_ROUND), "round");
    assert_null(tg_enum_name(TG_ATTR_FN, TG_MATH_COUNT));
    assert_string_equal(tg_enum_name(TG_ATTR_RED, TG_RED_USER), "user");
    assert_null(tg_enum_name(TG_ATTR_AXES, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types_are_interned),
        cmocka_unit_test(test_uses),
        cmocka_unit_test(test_clone),
        cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_identities),
        cmocka_unit_test(test_integer_rules),
        cmocka_unit_test(test_dim_expr),
        cmocka_unit_test(test_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
