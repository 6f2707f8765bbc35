/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bank conflicts. The static count against what the loop interpreter counts by running, on random
 * strides, masks and swizzles; and the rows of buffers that the placement moves apart.
 */
#include "tests/place/support.h"

#include "backends/backend.h"
#include "ir/banks.h"
#include "ir/build.h"
#include "ir/interp_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { WORDS = 8192, ROUNDS = 200 };

static uint32_t draw(uint32_t *state, uint32_t n) {
    *state = *state * 1664525U + 1013904223U;
    return (*state >> 8) % n;
}

static tg_value *k32(tg_builder *b, int64_t v) {
    return tg_build_int(b, tg_type_scalar(b->module, TG_DT_I32), v);
}

/* (lane / d * s) ^ (lane % e * t), in a loop that moves all lanes together. */
static tg_value *index_of(tg_builder *b, const tg_simt_args *args, uint32_t *seed) {
    tg_value *x = tg_build_binary(b, TG_OP_DIV, args->lane, k32(b, 1 << draw(seed, 4)));
    x = tg_build_binary(b, TG_OP_MUL, x, k32(b, 1 + draw(seed, 40)));
    tg_value *y = tg_build_binary(b, TG_OP_REM, args->lane, k32(b, 1 << draw(seed, 5)));
    y = tg_build_binary(b, TG_OP_MUL, y, k32(b, draw(seed, 9)));
    return tg_build_binary(b, draw(seed, 2) ? TG_OP_ADD : TG_OP_XOR, x, y);
}

static void test_static_is_dynamic(void **state) {
    uint32_t seed = 7;
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        place_test t;
        tg_simt_args args;
        place_test_init(&t);
        tg_module *m = tg_module_make(&t.arena);
        tg_func *f = tg_build_simt_func(m, "k.phase0", 32, &args);
        tg_builder b = tg_builder_at_end(f->body);
        f->shared_bytes = WORDS * 4;
        int width = 1 << draw(&seed, 3);
        tg_value *mem = tg_build_array(&b, TG_SPACE_SHARED, TG_DT_F32, WORDS, 0, NULL);
        tg_value *at = index_of(&b, &args, &seed);
        at = tg_build_binary(&b, TG_OP_MUL, at, k32(&b, width));
        tg_value *few = tg_build_cmp(&b, TG_CMP_LT, args.lane, k32(&b, 8 + draw(&seed, 25)));
        tg_value *v = tg_build_float(&b, tg_type_scalar(m, TG_DT_F32), 1.0);
        v = width > 1 ? tg_build_splat(&b, v, width) : v;
        tg_op *branch = tg_build_if(&b, few, 0, NULL);
        (void)tg_build_astore(&b, mem, at, v, 1);
        tg_build_else(&b, branch, 0, NULL);
        tg_build_end_if(&b, branch, 0, NULL);
        (void)tg_build_op(&b, TG_OP_YIELD, 0, NULL, 0, NULL, 0);

        tg_bank_access *all;
        assert_int_equal(tg_bank_count(f, &(tg_bank_options){0}, &t.arena, &all), 1);
        tg_loop_report report;
        tg_loop_options options = {.programs = 1, .max_steps = 100000};
        int64_t slots[1] = {0};
        assert_int_equal(tg_loop_run(m, "k", slots, 1, NULL, 0, &options, &t.arena, &report),
                         TG_OK);
        int64_t ran = report.n_conflicts > 0 ? report.conflicts[0].degree : 1;
        assert_int_equal(report.shared_accesses, 1);
        assert_int_equal(all[0].degree, ran);
        place_test_fini(&t);
    }
}

static const char matmul[] =
    "kernel k(a: f32[M, K], b: f32[K, N], out c: f32[M, N])\n  grid i: M by 64, j: N by 64\n"
    "{\n  var acc = zeros f32[64, 64]\n"
    "  for k: K by 32 { acc += a[i, k] @ b[k, j] }\n  c[i, j] = acc\n}\n";

/* The worst degree of the loads of a product; 0 padding where the machine has no banks. */
static int worst_load(const char *source, const char *machine, int64_t *shared) {
    place_test t;
    place_test_init(&t);
    tg_source src = {.name = "text", .text = source, .len = strlen(source)};
    tg_program *p = place_test_program(&t, &src);
    tg_module *m = tg_module_make(&t.arena), *placed = tg_module_make(&t.arena),
              *loop = tg_module_make(&t.arena);
    tg_func *f = NULL;
    const tg_machine *mc = tg_machine_find(machine);
    assert_non_null(p);
    assert_non_null(mc);
    assert_int_equal(tg_program_specialise(p, "k", NULL, 0, NULL, m, &f), TG_OK);
    place_test_optimise(&t, f);
    assert_int_equal(tg_place(f, mc, placed, &t.sink), TG_OK);
    *shared = placed->first_func->shared_bytes;
    assert_int_equal(tg_lower_simt(placed->first_func, mc, loop, &t.sink), TG_OK);
    int worst = 0;
    for (tg_func *l = loop->first_func; l != NULL; l = l->next) {
        tg_bank_access *all;
        size_t n = l->lanes > 0 ? tg_bank_count(l, &(tg_bank_options){0}, &t.arena, &all) : 0;
        for (size_t i = 0; i < n; i++) {
            assert_true(all[i].degree > 0);
            worst = all[i].op->code == TG_OP_ALOAD && all[i].degree > worst ? all[i].degree : worst;
        }
    }
    place_test_fini(&t);
    return worst;
}

static void test_padding(void **state) {
    int64_t padded, plain;
    (void)state;
    assert_int_equal(worst_load(matmul, "opencl", &padded), 1);
    assert_int_equal(worst_load(matmul, "opencl-cpu", &plain), 8);
    assert_int_equal(plain, 2 * 64 * 32 * 4);
    assert_true(padded > plain && padded < plain + 512);
    assert_int_equal(worst_load(matmul, "vulkan", &padded), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_static_is_dynamic),
                                       cmocka_unit_test(test_padding)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
