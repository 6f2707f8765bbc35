/* SPDX-License-Identifier: Apache-2.0 */
/* Whole kernels against the interpreter: ragged shapes, all block positions, several programs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "backends/backend.h"
#include "tests/cpu/kernels.h"
#include "tests/cpu/native.h"

static uint32_t random_state = 1;

/* Small integers: sums and products stay exact, so order does not matter. */
static double small_int(void) {
    random_state = random_state * 1664525u + 1013904223u;
    return (double)(int)(random_state >> 28) - 8;
}

static double unit(void) {
    random_state = random_state * 1664525u + 1013904223u;
    return (double)(random_state >> 8) / 8388608.0 - 1.0;
}

static void fill(bench *b, int p, int rank, const int64_t *e, double (*value)(void)) {
    int64_t n = 1;
    for (int i = 0; i < rank; i++) {
        n *= e[i];
    }
    double *v = malloc(sizeof(double) * (size_t)(n + 1));
    for (int64_t i = 0; i < n; i++) {
        v[i] = value == NULL ? 0 : value();
    }
    bench_tensor(b, p, rank, e, v);
    free(v);
}

static tg_module *begin(bench *b) {
    bench_init(b);
    b->options.max_steps = 0;
    b->options.check_races = false;
    return tg_module_make(&b->arena);
}

static void run(bench *b, tg_func *f, double tolerance, const char *what, int64_t m, int64_t n,
                int64_t k) {
    native_tolerance = tolerance;
    (void)f;
    if (tg_module_verify(f->module, &b->sink) != TG_OK || bench_run(b) != TG_OK) {
        bench_print_diags(b);
        fail_msg("%s %lld %lld %lld failed", what, (long long)m, (long long)n, (long long)k);
    }
    bench_fini(b);
}

#define E(...) ((const int64_t[]){__VA_ARGS__})

static void elementwise(void **state) {
    (void)state;
    static const int64_t sizes[] = {0, 1, 7, 16, 33, 100, 257};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        bench b;
        tg_module *m = begin(&b);
        b.func = kernel_add(m, 64);
        fill(&b, 0, 1, &sizes[i], unit);
        fill(&b, 1, 1, &sizes[i], unit);
        fill(&b, 2, 1, &sizes[i], NULL);
        run(&b, b.func, 0, "add", sizes[i], 0, 0);
        m = begin(&b);
        b.func = kernel_silu_mul(m, 4, 32);
        for (int p = 0; p < 3; p++) {
            fill(&b, p, 2, E(5, sizes[i]), unit);
        }
        run(&b, b.func, 1e-6, "silu_mul", sizes[i], 0, 0);
    }
}

static void rmsnorm(void **state) {
    (void)state;
    static const tg_dtype types[] = {TG_DT_F32, TG_DT_BF16, TG_DT_F16};
    for (int i = 0; i < 9; i++) {
        int64_t d = i % 3 == 0 ? 64 : i % 3 == 1 ? 100 : 7, bm = i < 3 ? 1 : 4;
        bench b;
        tg_module *m = begin(&b);
        b.func = kernel_rmsnorm(m, types[i / 3], bm, d);
        fill(&b, 0, 2, E(6, d), unit);
        fill(&b, 1, 2, E(6, d), unit);
        fill(&b, 2, 1, E(d), unit);
        fill(&b, 3, 2, E(6, d), NULL);
        run(&b, b.func, i < 3 ? 1e-6 : 1e-2, "rmsnorm", i, d, bm);
    }
}

/* Ops by code, and behind them the masked ones, of the loops that f becomes. */
static void count_ops(const tg_region *r, int count[TG_OP_COUNT + 1]) {
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        count[op->code]++;
        count[TG_OP_COUNT] += tg_attr_int(op, TG_ATTR_MASKED, 0) != 0;
        for (int i = 0; i < op->n_regions; i++) {
            count_ops(op->regions[i], count);
        }
    }
}

static void count_lowered(bench *b, tg_func *f, int count[TG_OP_COUNT + 1]) {
    tg_module *out = tg_module_make(&b->arena);
    assert_int_equal(tg_lower_cpu(f, tg_machine_host(), out, &b->sink), TG_OK);
    for (const tg_func *g = out->first_func; g != NULL; g = g->next) {
        count_ops(g->body, count);
    }
}

/* Rows read twice: nothing is masked inside a row, whatever views lie between, and the second pass
 * asks for the next program's row. */
static void two_pass(void **state) {
    (void)state;
    static const tg_dtype types[] = {TG_DT_F32, TG_DT_BF16};
    for (int i = 0; i < 8; i++) {
        static const int64_t lengths[] = {1, 32, 77, 0};
        int64_t d = lengths[i % 4];
        bench b;
        tg_module *m = begin(&b);
        b.func = kernel_two_pass(m, types[i / 4], 32);
        fill(&b, 0, 2, E(5, d), small_int);
        fill(&b, 1, 1, E(d), small_int);
        fill(&b, 2, 2, E(5, d), NULL);
        run(&b, b.func, 0, "two passes", d, 0, i);
    }
    int count[TG_OP_COUNT + 1] = {0};
    bench b;
    tg_module *m = begin(&b);
    count_lowered(&b, kernel_two_pass(m, TG_DT_BF16, 32), count);
    assert_int_equal(count[TG_OP_COUNT], 0);
    assert_true(count[TG_OP_PREFETCH] > 0);
    bench_fini(&b);
}

static int count_float(const tg_region *r, tg_opcode code) {
    int n = 0;
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        n += op->code == code && tg_dtype_is_float(op->results[0].type->dtype);
        for (int i = 0; i < op->n_regions; i++) {
            n += count_float(op->regions[i], code);
        }
    }
    return n;
}

/* Of a row's softmax: the load that two passes evaluate asks for the next program's row in the
 * second one, and the exponential, never of a positive number, is not clamped from above. */
static void softmax_is_lean(void) {
    bench b;
    tg_module *m = begin(&b), *out = tg_module_make(&b.arena);
    tg_func *f = kernel_softmax(m, 4, 64);
    int count[TG_OP_COUNT + 1] = {0};
    count_lowered(&b, f, count);
    assert_true(count[TG_OP_PREFETCH] > 0);
    assert_int_equal(tg_lower_cpu(f, tg_machine_host(), out, &b.sink), TG_OK);
    for (const tg_func *g = out->first_func; g != NULL; g = g->next) {
        assert_int_equal(count_float(g->body, TG_OP_MIN), 0);
    }
    bench_fini(&b);
}

static void softmax(void **state) {
    (void)state;
    for (int64_t n = 1; n < 70; n += 17) {
        bench b;
        tg_module *m = begin(&b);
        b.func = kernel_softmax(m, 4, 64);
        if (n > 64) {
            n = 64;
        }
        fill(&b, 0, 2, E(7, n), unit);
        fill(&b, 1, 2, E(7, n), NULL);
        run(&b, b.func, 1e-6, "softmax", n, 0, 0);
    }
    softmax_is_lean();
}

static void matmul(void **state) {
    (void)state;
    static const int64_t shapes[][3] = {{1, 1, 1},     {1, 64, 40},  {5, 33, 17}, {32, 32, 32},
                                        {70, 50, 100}, {3, 100, 64}, {33, 7, 0}};
    static const tg_dtype types[] = {TG_DT_F32, TG_DT_BF16};
    for (int t = 0; t < 8; t++) {
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
            const int64_t *s = shapes[i];
            bench b;
            tg_module *m = begin(&b);
            b.func = (t < 4 ? kernel_matmul : kernel_matmul_turned)(m, types[t % 4 / 2], 32, 48, 16,
                                                                    t % 2);
            fill(&b, 0, 2, E(s[0], s[2]), small_int);
            fill(&b, 1, 2, t % 2 ? E(s[1], s[2]) : E(s[2], s[1]), small_int);
            fill(&b, 2, 2, E(s[0], s[1]), NULL);
            run(&b, b.func, t < 2 ? 1e-12 : 1e-12, "matmul", s[0], s[1], s[2]);
        }
    }
}

/* Which operand stands left is a matter of writing: the same loops, accesses and products either
 * way. (Addresses differ: only a result stored as it stands is summed in its tensor.) */
static void turned_is_equal(void **state) {
    (void)state;
    for (int transposed = 0; transposed < 2; transposed++) {
        int count[2][TG_OP_COUNT + 1] = {{0}};
        for (int turned = 0; turned < 2; turned++) {
            bench b;
            tg_module *m = begin(&b);
            tg_func *f = (turned ? kernel_matmul_turned : kernel_matmul)(m, TG_DT_F32, 32, 48, 16,
                                                                         transposed);
            count_lowered(&b, f, count[turned]);
            bench_fini(&b);
        }
        assert_true(count[0][TG_OP_FMA] > 0 || count[0][TG_OP_MUL] > 0);
        static const tg_opcode codes[] = {TG_OP_FOR,    TG_OP_FMA,     TG_OP_LOADM,
                                          TG_OP_STOREM, TG_OP_SHUFFLE, TG_OP_SPLAT};
        for (size_t i = 0; i < TG_COUNT_OF(codes); i++) {
            assert_int_equal(count[0][codes[i]], count[1][codes[i]]);
        }
    }
}

static void attention(void **state) {
    (void)state;
    for (int i = 0; i < 8; i++) {
        int64_t s = i % 4 == 0 ? 1 : i % 4 == 1 ? 16 : i % 4 == 2 ? 37 : 70;
        bench b;
        tg_module *m = begin(&b);
        b.func = kernel_attention(m, TG_DT_F32, 16, 32, 24, i >= 4);
        for (int p = 0; p < 4; p++) {
            fill(&b, p, 3, E(2, s, 24), p < 3 ? unit : NULL);
        }
        run(&b, b.func, 2e-5, "attention", s, i, 0);
    }
}

static void movement(void **state) {
    (void)state;
    static const tg_dtype types[] = {TG_DT_F32, TG_DT_BF16, TG_DT_I8};
    for (int i = 0; i < 6; i++) {
        bench b;
        tg_module *m = begin(&b);
        int64_t r = i < 3 ? 40 : 37, c = i < 3 ? 64 : 21;
        b.func = kernel_transpose(m, types[i % 3], 32, 16);
        fill(&b, 0, 2, E(r, c), small_int);
        fill(&b, 1, 2, E(c, r), NULL);
        run(&b, b.func, 0, "transpose", r, c, i);
        m = begin(&b);
        b.func = kernel_gather(m, types[i % 3], 8, 40);
        fill(&b, 0, 2, E(9, 40), small_int);
        fill(&b, 1, 1, E(21), small_int);
        fill(&b, 2, 2, E(21, 40), NULL);
        run(&b, b.func, 0, "gather", 0, 0, i);
    }
    for (int i = 0; i < 2; i++) {
        bench b;
        tg_module *m = begin(&b);
        b.func = kernel_rope(m, 4, 3, i ? 64 : 24);
        fill(&b, 0, 3, E(6, 3, i ? 64 : 24), unit);
        fill(&b, 1, 2, E(6, i ? 32 : 12), unit);
        fill(&b, 2, 2, E(6, i ? 32 : 12), unit);
        fill(&b, 3, 3, E(6, 3, i ? 64 : 24), NULL);
        run(&b, b.func, 0, "rope", 0, 0, i);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elementwise),     cmocka_unit_test(rmsnorm),
        cmocka_unit_test(softmax),         cmocka_unit_test(matmul),
        cmocka_unit_test(turned_is_equal), cmocka_unit_test(attention),
        cmocka_unit_test(movement),        cmocka_unit_test(two_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
