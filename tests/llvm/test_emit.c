/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loop IR through LLVM and the blob maker to running code: control flow, memory, lanes, traps, and
 * the failures that must stay diagnostics. Elementwise operations are compared with ir/fold.c's
 * constant evaluation on edge values.
 */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ir/fold.h"
#include "tests/llvm/harness.h"

typedef int32_t (*fn3)(const void *, const void *, void *);

struct fixture {
    struct tg_test_func t;
    struct tg_test_code code;
    const tg_type *ptr, *i64, *f32, *v8;
    tg_value **arg;
    tg_builder *b;
};

static struct fixture *begin(void) {
    struct fixture *x = calloc(1, sizeof *x);
    tg_test_begin(&x->t);
    x->ptr = tg_type_ptr(x->t.module);
    x->i64 = tg_type_scalar(x->t.module, TG_DT_I64);
    x->f32 = tg_type_scalar(x->t.module, TG_DT_F32);
    x->v8 = tg_type_vec(x->t.module, TG_DT_F32, 8);
    x->b = &x->t.b;
    return x;
}

/* f(ptr a, ptr b, ptr out) */
static void function(struct fixture *x, const char *name) {
    const tg_type *types[3] = {x->ptr, x->ptr, x->ptr};
    tg_test_function(&x->t, name, 3, types);
    x->arg = x->t.func->body->args;
}

static fn3 load(struct fixture *x, const char *name) {
    if (!x->code.map) {
        assert_true(tg_test_load(x->t.module, NULL, &x->code));
    }
    fn3 f = (fn3)(uintptr_t)tg_test_symbol(&x->code, name);
    assert_non_null(f);
    return f;
}

static void end(struct fixture *x) {
    tg_test_unload(&x->code);
    tg_test_end(&x->t);
    free(x);
}

static tg_value *at(struct fixture *x, tg_value *base, int64_t i, int64_t bytes) {
    return tg_build_gep(x->b, base, tg_build_index(x->b, i), bytes);
}

static tg_value *load_i64(struct fixture *x, tg_value *base, int64_t i) {
    return tg_build_loadm(x->b, x->i64, at(x, base, i, 8), 0);
}

static tg_op *op_with(struct fixture *x, tg_opcode code, int n, tg_value *const *ops,
                      const tg_type *type) {
    return tg_build_op(x->b, code, n, ops, type ? 1 : 0, type ? &type : NULL, 0);
}

/* ---- control flow
 * ---------------------------------------------------------------------------------- */

/* sum of a[0..n) in steps of 8 with a masked tail */
static void test_masked_sum(void **state) {
    (void)state;
    struct fixture *x = begin();
    function(x, "sum");
    tg_builder *b = x->b;
    tg_value *n = load_i64(x, x->arg[1], 0);
    tg_value *carried[1] = {tg_build_float(b, x->v8, 0.0)}, *iv;
    tg_op *loop = tg_build_for(b, tg_build_index(b, 0), n, tg_build_index(b, 8), 1, carried, &iv);
    tg_value *ops[3] = {tg_build_gep(b, x->arg[0], iv, 4),
                        tg_build_pmask(b, tg_build_binary(b, TG_OP_SUB, n, iv), 8),
                        tg_build_float(b, x->v8, 0.0)};
    tg_op *v = op_with(x, TG_OP_LOADM, 3, ops, x->v8);
    tg_op_set_int(v, TG_ATTR_MASKED, 1);
    carried[0] = tg_build_binary(b, TG_OP_ADD, carried[0], &v->results[0]);
    tg_build_end_for(b, loop, 1, carried);
    tg_build_storem(b, x->arg[2], tg_build_reducev(b, TG_RED_SUM, carried[0]), 0);
    fn3 sum = load(x, "sum");
    float data[64], r = -1;
    for (int i = 0; i < 64; i++) {
        data[i] = (float)(i + 1);
    }
    for (int64_t k = 0; k <= 64; k++) {
        assert_int_equal(sum(data, &k, &r), 0);
        assert_true(r == (float)(k * (k + 1) / 2));
    }
    end(x);
}

/* Trip counts for bounds at the ends of the i64 range. */
static void test_for_bounds(void **state) {
    (void)state;
    static const int64_t cases[][3] = {{0, 10, 4},
                                       {0, 10, 1},
                                       {5, 5, 1},
                                       {7, 3, 4},
                                       {INT64_MAX - 5, INT64_MAX, 4},
                                       {INT64_MAX - 3, INT64_MAX, 1},
                                       {INT64_MIN, INT64_MIN + 9, 4},
                                       {-8, 9, 16},
                                       {INT64_MIN, INT64_MIN, 3}};
    struct fixture *x = begin();
    for (size_t i = 0; i < TG_COUNT_OF(cases); i++) {
        char name[16];
        snprintf(name, sizeof name, "for%zu", i);
        function(x, name);
        tg_value *carried[1] = {tg_build_index(x->b, 0)}, *iv;
        tg_op *loop = tg_build_for(x->b, load_i64(x, x->arg[0], 0), load_i64(x, x->arg[0], 1),
                                   tg_build_index(x->b, cases[i][2]), 1, carried, &iv);
        carried[0] = tg_build_binary(x->b, TG_OP_ADD, carried[0], tg_build_index(x->b, 1));
        tg_build_end_for(x->b, loop, 1, carried);
        tg_build_storem(x->b, x->arg[2], carried[0], 0);
    }
    for (size_t i = 0; i < TG_COUNT_OF(cases); i++) {
        char name[16];
        snprintf(name, sizeof name, "for%zu", i);
        int64_t trips = -1, want = 0;
        if (cases[i][0] < cases[i][1]) {
            uint64_t span = (uint64_t)cases[i][1] - (uint64_t)cases[i][0],
                     s = (uint64_t)cases[i][2];
            want = (int64_t)((span + s - 1) / s);
        }
        load(x, name)(cases[i], NULL, &trips);
        assert_int_equal(trips, want);
    }
    end(x);
}

/* Collatz steps: while with two carried values, if inside, a limit that traps. */
static void test_while_if(void **state) {
    (void)state;
    struct fixture *x = begin();
    function(x, "collatz");
    tg_builder *b = x->b;
    tg_value *init[2] = {load_i64(x, x->arg[0], 0), tg_build_index(b, 0)};
    const tg_type *types[2] = {x->i64, x->i64};
    tg_op *loop = tg_build_op(b, TG_OP_WHILE, 2, init, 2, types, 2);
    tg_op_set_int(loop, TG_ATTR_MAX, 200);
    for (int side = 0; side < 2; side++) {
        tg_region *r = loop->regions[side];
        tg_value *n = tg_region_add_arg(r, x->i64, NULL),
                 *steps = tg_region_add_arg(r, x->i64, NULL);
        tg_builder in = tg_builder_at_end(r);
        if (side == 0) {
            tg_value *y[3] = {tg_build_cmp(&in, TG_CMP_NE, n, tg_build_index(&in, 1)), n, steps};
            tg_build_op(&in, TG_OP_YIELD, 3, y, 0, NULL, 0);
            continue;
        }
        tg_value *odd =
            tg_build_cmp(&in, TG_CMP_EQ, tg_build_binary(&in, TG_OP_AND, n, tg_build_index(&in, 1)),
                         tg_build_index(&in, 1));
        tg_op *choice = tg_build_if(&in, odd, 1, types);
        tg_value *three = tg_build_fma(&in, n, tg_build_index(&in, 3), tg_build_index(&in, 1));
        tg_build_else(&in, choice, 1, &three);
        tg_value *half = tg_build_binary(&in, TG_OP_DIV, n, tg_build_index(&in, 2));
        tg_build_end_if(&in, choice, 1, &half);
        tg_value *y[2] = {&choice->results[0],
                          tg_build_binary(&in, TG_OP_ADD, steps, tg_build_index(&in, 1))};
        tg_build_op(&in, TG_OP_YIELD, 2, y, 0, NULL, 0);
    }
    tg_build_storem(b, x->arg[2], &loop->results[1], 0);
    fn3 collatz = load(x, "collatz");
    int64_t n = 27, steps = 0;
    assert_int_equal(collatz(&n, NULL, &steps), 0);
    assert_int_equal(steps, 111);
    n = 0; /* never reaches 1 */
    assert_int_equal(collatz(&n, NULL, &steps), TG_CPU_TRAP_LIMIT);
    end(x);
}

/* A phase function that asserts slot 0 == 0: the code, and the source line in the report. */
static void test_trap_report(void **state) {
    (void)state;
    static const tg_source source = {"t.tg", "one\ntwo\nassert here\n", 20};
    struct fixture *x = begin();
    const tg_type *types[6] = {x->ptr, x->i64, x->i64, x->ptr, x->ptr, x->ptr};
    tg_test_function(&x->t, "k.phase0", 6, types);
    x->t.func->role = "phase0";
    tg_builder *b = x->b;
    tg_value *base = x->t.func->body->args[0];
    tg_op *slot = op_with(x, TG_OP_SLOT, 1, &base, x->i64);
    tg_op_set_int(slot, TG_ATTR_VALUE_I, 1);
    b->span = (tg_span){&source, 8, 14};
    tg_value *bad = tg_build_cmp(b, TG_CMP_NE, &slot->results[0], tg_build_index(b, 0));
    tg_op *trap = op_with(x, TG_OP_TRAP, 1, &bad, NULL);
    tg_op_set_int(trap, TG_ATTR_VALUE_I, TG_CPU_TRAP_ASSERT);
    assert_true(tg_test_load(x->t.module, NULL, &x->code));
    tg_cpu_phase_fn f = (tg_cpu_phase_fn)(uintptr_t)tg_test_symbol(&x->code, "k.phase0");
    int64_t slots[2] = {5, 0};
    struct tg_cpu_report report = {0, 0, 0};
    assert_int_equal(f(slots, 0, 1, NULL, NULL, &report), 0);
    assert_int_equal(report.line, 0);
    slots[1] = 7;
    assert_int_equal(f(slots, 0, 1, NULL, NULL, &report), TG_CPU_TRAP_ASSERT);
    assert_int_equal(report.line, 3);
    report.line = 99; /* written at most once */
    assert_int_equal(f(slots, 0, 1, NULL, NULL, &report), TG_CPU_TRAP_ASSERT);
    assert_int_equal(report.line, 99);
    end(x);
}

static void test_unroll(void **state) {
    (void)state;
    struct fixture *x = begin();
    for (int k = 0; k < 2; k++) {
        function(x, k ? "rolled" : "unrolled");
        tg_value *carried[1] = {tg_build_float(x->b, x->v8, 0)}, *iv;
        tg_op *loop = tg_build_for(x->b, tg_build_index(x->b, 0), tg_build_index(x->b, 64),
                                   tg_build_index(x->b, 8), 1, carried, &iv);
        if (k == 0) {
            tg_op_set_int(loop, TG_ATTR_UNROLL, 8);
        }
        tg_value *v = tg_build_loadm(x->b, x->v8, tg_build_gep(x->b, x->arg[0], iv, 4), 0);
        carried[0] = tg_build_binary(x->b, TG_OP_ADD, carried[0], v);
        tg_build_end_for(x->b, loop, 1, carried);
        tg_build_storem(x->b, x->arg[2], carried[0], 0);
    }
    float in[64], out[2][8];
    for (int i = 0; i < 64; i++) {
        in[i] = (float)i;
    }
    load(x, "unrolled")(in, NULL, out[0]);
    load(x, "rolled")(in, NULL, out[1]);
    assert_memory_equal(out[0], out[1], sizeof out[0]);
    end(x);
    x = begin();
    function(x, "u");
    tg_value *iv, *carried[1] = {tg_build_index(x->b, 0)};
    tg_op *loop = tg_build_for(x->b, tg_build_index(x->b, 0), tg_build_index(x->b, 4),
                               tg_build_index(x->b, 1), 1, carried, &iv);
    tg_op_set_int(loop, TG_ATTR_UNROLL, 4);
    tg_build_storem(x->b, tg_build_gep(x->b, x->arg[2], iv, 8), carried[0], 0);
    carried[0] = tg_build_binary(x->b, TG_OP_ADD, iv, tg_build_index(x->b, 7));
    tg_build_end_for(x->b, loop, 1, carried);
    const char *text = tg_test_asm(x->t.module, NULL);
    assert_non_null(text);
    assert_null(strstr(text, "jl\t")); /* no loop is left */
    end(x);
}

/* ---- loops that repeat
 * ------------------------------------------------------------------------------------------- */

/* to[pitch i] = 3 (.. 3 (3 start + 1) .. + 1) + 1, `rounds` times over, for i in 0 .. n, inside a
 * loop of `again` trips: long enough. */
static void nest(struct fixture *x, tg_value *to, tg_value *n, tg_value *start, int rounds,
                 int64_t pitch, int64_t again) {
    tg_value *i, *j, *v = start;
    tg_op *outer = tg_build_for(x->b, tg_build_index(x->b, 0), tg_build_index(x->b, again),
                                tg_build_index(x->b, 1), 0, NULL, &j);
    tg_op *inner =
        tg_build_for(x->b, tg_build_index(x->b, 0), n, tg_build_index(x->b, 1), 0, NULL, &i);
    for (int k = 0; k < rounds; k++) {
        v = tg_build_binary(x->b, TG_OP_MUL, v, tg_build_index(x->b, 3));
        v = tg_build_binary(x->b, TG_OP_ADD, v, tg_build_index(x->b, 1));
    }
    tg_build_storem(x->b, tg_build_gep(x->b, to, i, pitch), v, 0);
    tg_build_end_for(x->b, inner, 0, NULL);
    tg_build_end_for(x->b, outer, 0, NULL);
}

static int count_text(const char *text, const char *part) {
    int n = 0;
    for (const char *at = strstr(text, part); at; at = strstr(at + 1, part)) {
        n++;
    }
    return n;
}

/* One function where two loops are equal but for pitch and trips; none where other code makes them
 * differ, where they are short, or where they take what will be a constant. */
static void test_shared_loops(void **state) {
    (void)state;
    static const struct {
        int rounds[2];
        int64_t pitch[2]; /* 8-byte elements */
        bool one_trip;
        int parts;
    } cases[] = {{{40, 40}, {1, 1}, false, 1},
                 {{40, 40}, {2, 3}, false, 1},
                 {{40, 41}, {1, 1}, false, 0},
                 {{4, 4}, {1, 1}, false, 0},
                 {{40, 40}, {1, 1}, true, 0}};
    for (size_t c = 0; c < TG_COUNT_OF(cases); c++) {
        struct fixture *x = begin();
        function(x, "two");
        tg_value *n = load_i64(x, x->arg[0], 0), *start = load_i64(x, x->arg[0], 1), *iv;
        tg_op *once = NULL;
        if (cases[c].one_trip) {
            once = tg_build_for(x->b, tg_build_index(x->b, 7), tg_build_index(x->b, 9),
                                tg_build_index(x->b, 4), 0, NULL, &iv);
            start = iv;
        }
        for (int k = 0; k < 2; k++) {
            nest(x, at(x, x->arg[2], 12 * k, 8), n, start, cases[c].rounds[k],
                 8 * cases[c].pitch[k], 2 + cases[c].pitch[k]);
        }
        if (once) {
            tg_build_end_for(x->b, once, 0, NULL);
        }
        int64_t in[2] = {3, 7}, out[24] = {0};
        load(x, "two")(in, NULL, out);
        for (int k = 0; k < 2; k++) {
            uint64_t want = 7;
            for (int r = 0; r < cases[c].rounds[k]; r++) {
                want = 3 * want + 1;
            }
            for (int i = 0; i < 12; i++) {
                bool set = i % cases[c].pitch[k] == 0 && i / cases[c].pitch[k] < 3;
                assert_int_equal(out[12 * k + i], set ? (int64_t)want : 0);
            }
        }
        const char *text = tg_test_asm(x->t.module, NULL);
        assert_non_null(text);
        assert_int_equal(count_text(text, "\ntwo.part"), cases[c].parts);
        end(x);
    }
}

/* A nest in a loop that becomes a function with a parameter for its pitch stays in place there, and
 * its function is defined where it is called first: with the values of that call. */
static void test_shared_inside(void **state) {
    (void)state;
    struct fixture *x = begin();
    function(x, "three");
    tg_value *n = load_i64(x, x->arg[0], 0), *start = load_i64(x, x->arg[0], 1), *j;
    for (int k = 0; k < 2; k++) {
        tg_value *to = at(x, x->arg[2], 12 * k, 8);
        tg_op *loop = tg_build_for(x->b, tg_build_index(x->b, 0), tg_build_index(x->b, 2),
                                   tg_build_index(x->b, 1), 0, NULL, &j);
        tg_value *first = tg_build_binary(x->b, TG_OP_ADD, start, j);
        nest(x, to, n, first, 40, 8 * (2 + k), 3);
        tg_build_end_for(x->b, loop, 0, NULL);
    }
    nest(x, at(x, x->arg[2], 24, 8), n, start, 40, 24, 3);
    nest(x, at(x, x->arg[2], 36, 8), n, n, 40, 16, 3);
    int64_t in[2] = {3, 7}, out[48] = {0};
    load(x, "three")(in, NULL, out);
    static const int64_t starts[] = {8, 8, 7, 3}, pitch[] = {2, 3, 3, 2};
    for (int k = 0; k < 4; k++) {
        uint64_t want = (uint64_t)starts[k];
        for (int r = 0; r < 40; r++) {
            want = 3 * want + 1;
        }
        for (int i = 0; i < 12; i++) {
            bool set = i % pitch[k] == 0 && i / pitch[k] < 3;
            assert_int_equal(out[12 * k + i], set ? (int64_t)want : 0);
        }
    }
    const char *text = tg_test_asm(x->t.module, NULL);
    assert_non_null(text);
    assert_int_equal(count_text(text, "\nthree.part"), 2);
    end(x);
}

/* ---- maxima of magnitudes
 * ---------------------------------------------------------------------------------------- */

/* out[0] = max |a[l]|, or max a[l], from -inf on, over 32 elements in vectors. */
static void greatest(struct fixture *x, bool magnitudes) {
    function(x, "greatest");
    tg_value *carried[1] = {tg_build_float(x->b, x->v8, -INFINITY)}, *iv;
    tg_op *loop = tg_build_for(x->b, tg_build_index(x->b, 0), tg_build_index(x->b, 32),
                               tg_build_index(x->b, 8), 1, carried, &iv);
    tg_value *v = tg_build_loadm(x->b, x->v8, tg_build_gep(x->b, x->arg[0], iv, 4), 0);
    v = magnitudes ? tg_build_unary(x->b, TG_OP_ABS, v) : v;
    carried[0] = tg_build_binary(x->b, TG_OP_MAX, carried[0], v);
    tg_build_end_for(x->b, loop, 1, carried);
    tg_build_storem(x->b, x->arg[2], tg_build_reducev(x->b, TG_RED_MAX, carried[0]), 0);
}

static void test_greatest_magnitude(void **state) {
    (void)state;
    struct fixture *x = begin();
    greatest(x, true);
    fn3 f = load(x, "greatest");
    for (int at = 0; at < 32; at++) {
        float in[32], out;
        for (int i = 0; i < 32; i++) {
            in[i] = i % 2 ? -(float)i : (float)i;
        }
        in[at] = -NAN;
        f(in, NULL, &out);
        assert_true(isnan(out));
        in[at] = -INFINITY;
        f(in, NULL, &out);
        assert_true(out == INFINITY);
        in[at] = -64.0f;
        f(in, NULL, &out);
        assert_true(out == 64.0f);
        memset(in, 0x80, sizeof in); /* subnormals below zero */
        f(in, NULL, &out);
        assert_true(out == -in[0]);
    }
    end(x);
    for (int magnitudes = 0; magnitudes < 2; magnitudes++) { /* only these order as integers */
        x = begin();
        greatest(x, magnitudes != 0);
        const char *text = tg_test_asm(x->t.module, NULL);
        assert_non_null(text);
        if (strstr(text, "ymm") != NULL) {
            assert_int_equal(strstr(text, "vpmaxsd") != NULL, magnitudes);
        }
        end(x);
    }
}

/* ---- memory
 * ---------------------------------------------------------------------------------------- */

static void test_bool_memory(void **state) {
    (void)state;
    struct fixture *x = begin();
    const tg_type *mask = tg_type_vec(x->t.module, TG_DT_BOOL, 16);
    function(x, "not");
    tg_value *v = tg_build_loadm(x->b, mask, x->arg[0], 0);
    tg_build_storem(x->b, x->arg[2], tg_build_unary(x->b, TG_OP_NOT, v), 0);
    tg_build_storem(x->b, at(x, x->arg[2], 16, 1), tg_build_reducev(x->b, TG_RED_ANY, v), 0);
    tg_build_storem(x->b, at(x, x->arg[2], 17, 1), tg_build_reducev(x->b, TG_RED_ALL, v), 0);
    fn3 f = load(x, "not");
    uint8_t in[16] = {0}, out[18];
    f(in, NULL, out);
    assert_int_equal(out[16], 0);
    in[3] = 1;
    f(in, NULL, out);
    assert_int_equal(out[3], 0);
    assert_int_equal(out[4], 1);
    assert_int_equal(out[16], 1);
    assert_int_equal(out[17], 0);
    memset(in, 1, 16);
    f(in, NULL, out);
    assert_int_equal(out[17], 1);
    end(x);
}

/* out[idx[l]] = a[idx[7-l]] + lane for the lanes where mask holds */
static void test_gather_scatter(void **state) {
    (void)state;
    struct fixture *x = begin();
    function(x, "gs");
    tg_builder *b = x->b;
    static const int64_t back[8] = {7, 6, 5, 4, 3, 2, 1, 0};
    const tg_type *vi = tg_type_vec(x->t.module, TG_DT_I32, 8);
    tg_value *index = tg_build_loadm(b, vi, x->arg[1], 0);
    tg_value *rev = tg_build_shuffle(b, index, index, 8, back);
    tg_value *mask = tg_build_cmp(b, TG_CMP_GE, index, tg_build_int(b, vi, 0));
    tg_value *gm = tg_build_cmp(b, TG_CMP_GE, rev, tg_build_int(b, vi, 0));
    tg_value *g[4] = {x->arg[0], rev, tg_build_float(b, x->v8, -1), gm};
    tg_op *gather = op_with(x, TG_OP_GATHERM, 4, g, x->v8);
    tg_op_set_int(gather, TG_ATTR_BYTES, 4);
    tg_value *lanes = tg_build1(b, TG_OP_LANES, vi, 0);
    tg_value *sum =
        tg_build_binary(b, TG_OP_ADD, &gather->results[0], tg_build_cast(b, lanes, TG_DT_F32));
    tg_value *s[4] = {x->arg[2], index, sum, mask};
    tg_op *scatter = op_with(x, TG_OP_SCATTERM, 4, s, NULL);
    tg_op_set_int(scatter, TG_ATTR_BYTES, 4);
    float in[16], out[16] = {0};
    for (int i = 0; i < 16; i++) {
        in[i] = (float)(100 * i);
    }
    int32_t idx[8] = {3, -1, 5, 0, 15, 5, -7, 2};
    load(x, "gs")(in, idx, out);
    float want[16] = {0};
    for (int l = 0; l < 8; l++) {
        if (idx[l] >= 0) {
            want[idx[l]] = (idx[7 - l] >= 0 ? in[idx[7 - l]] : -1) + (float)l;
        }
    }
    assert_memory_equal(out, want, sizeof want);
    end(x);
}

/* Masked loads and stores of every element width at every prefix touch only their bytes. */
static void test_masked_widths(void **state) {
    (void)state;
    static const tg_dtype types[] = {TG_DT_U8,  TG_DT_I16, TG_DT_F16,
                                     TG_DT_F32, TG_DT_I64, TG_DT_F64};
    struct fixture *x = begin();
    for (size_t i = 0; i < TG_COUNT_OF(types); i++) {
        function(x, tg_dtype_name(types[i]));
        const tg_type *v = tg_type_vec(x->t.module, types[i], 16);
        tg_value *mask = tg_build_pmask(x->b, load_i64(x, x->arg[1], 0), 16);
        tg_value *in[2] = {x->arg[0], mask};
        tg_op *ld = op_with(x, TG_OP_LOADM, 2, in, v);
        tg_op_set_int(ld, TG_ATTR_MASKED, 1);
        tg_value *st[3] = {x->arg[2], &ld->results[0], mask};
        tg_op_set_int(op_with(x, TG_OP_STOREM, 3, st, NULL), TG_ATTR_MASKED, 1);
    }
    for (size_t i = 0; i < TG_COUNT_OF(types); i++) {
        fn3 f = load(x, tg_dtype_name(types[i]));
        size_t bytes = (size_t)tg_dtype_bits(types[i]) / 8;
        for (int64_t n = -1; n <= 17; n++) {
            unsigned char out[128], want[128];
            size_t live = (size_t)(n < 0 ? 0 : n > 16 ? 16 : n) * bytes;
            unsigned char *in = malloc(live + 1); /* a sanitizer would see a byte too many */
            for (size_t k = 0; k < live; k++) {
                in[k] = (unsigned char)(k * 7 + 3);
            }
            memset(out, 0xEE, sizeof out);
            memset(want, 0xEE, sizeof want);
            memcpy(want, in, live);
            f(in, &n, out);
            assert_memory_equal(out, want, sizeof want);
            free(in);
        }
    }
    end(x);
}

static void test_block_moves(void **state) {
    (void)state;
    struct fixture *x = begin();
    function(x, "move");
    tg_value *n = load_i64(x, x->arg[1], 0);
    tg_value *cp[3] = {x->arg[2], x->arg[0], n};
    op_with(x, TG_OP_MEMCPY, 3, cp, NULL);
    tg_value *st[3] = {tg_build_gep(x->b, x->arg[2], n, 1),
                       tg_build_int(x->b, tg_type_scalar(x->t.module, TG_DT_U8), 0xAB), n};
    op_with(x, TG_OP_MEMSET, 3, st, NULL);
    tg_op *room = tg_build_op(x->b, TG_OP_ALLOCA, 0, NULL, 1, &x->ptr, 0);
    tg_op_set_int(room, TG_ATTR_BYTES, 64);
    tg_op *hint = op_with(x, TG_OP_PREFETCH, 1, &x->arg[2], NULL);
    tg_op_set_int(hint, TG_ATTR_LOCALITY, 3);
    tg_op *stream = tg_build_storem(x->b, &room->results[0], tg_build_float(x->b, x->v8, 4), 32);
    tg_op_set_int(stream, TG_ATTR_NONTEMPORAL, 1);
    tg_value *v = tg_build_loadm(x->b, x->f32, at(x, &room->results[0], 5, 4), 0);
    tg_build_storem(x->b, tg_build_gep(x->b, x->arg[2], n, 2), v, 1);
    fn3 f = load(x, "move");
    unsigned char in[300], out[700], want[700];
    for (int64_t k = 0; k < 300; k += 37) {
        memset(in, (int)k, sizeof in);
        memset(out, 1, sizeof out);
        memset(want, 1, sizeof want);
        memcpy(want, in, (size_t)k);
        memset(want + k, 0xAB, (size_t)k);
        memcpy(want + 2 * k, &(float){4}, 4);
        f(in, &k, out);
        assert_memory_equal(out, want, sizeof want);
    }
    end(x);
}

static void test_atomics(void **state) {
    (void)state;
    struct fixture *x = begin();
    function(x, "atomics");
    static const tg_atomic_kind kinds[] = {TG_ATOMIC_ADD, TG_ATOMIC_MIN, TG_ATOMIC_MAX};
    for (int k = 0; k < 6; k++) {
        const tg_type *t = k < 3 ? x->f32 : x->i64;
        tg_value *ops[2] = {at(x, x->arg[2], k, 8),
                            tg_build_loadm(x->b, t, at(x, x->arg[0], k, 8), 0)};
        tg_op *a = op_with(x, TG_OP_ATOMICM, 2, ops, t);
        tg_op_set_int(a, TG_ATTR_ATOMIC, kinds[k % 3]);
        tg_build_storem(x->b, at(x, x->arg[1], k, 8), &a->results[0], 0);
    }
    tg_value *cas[3] = {at(x, x->arg[2], 6, 8), tg_build_index(x->b, 42), tg_build_index(x->b, 6)};
    tg_op *a = op_with(x, TG_OP_ATOMICM, 3, cas, x->i64);
    tg_op_set_int(a, TG_ATTR_ATOMIC, TG_ATOMIC_CAS);
    fn3 f = load(x, "atomics");
    union cell {
        float f;
        int64_t i;
    } in[7] = {{2.5f}, {-3.0f}, {NAN}, {.i = 10}, {.i = -5}, {.i = 9}, {.i = 0}}, old[7],
      mem[7] = {{1.5f}, {1.0f}, {8.0f}, {.i = 1}, {.i = 2}, {.i = 3}, {.i = 6}};
    f(in, old, mem);
    assert_true(mem[0].f == 4.0f && old[0].f == 1.5f);
    assert_true(mem[1].f == -3.0f && isnan(mem[2].f));
    assert_int_equal(mem[3].i, 11);
    assert_int_equal(mem[4].i, -5);
    assert_int_equal(mem[5].i, 9);
    assert_int_equal(mem[6].i, 42);
    end(x);
}

/* ---- elementwise against constant evaluation
 * --------------------------------------------------------- */

static const tg_opcode int_ops[] = {TG_OP_ADD, TG_OP_SUB, TG_OP_MUL, TG_OP_DIV,
                                    TG_OP_REM, TG_OP_MIN, TG_OP_MAX, TG_OP_AND,
                                    TG_OP_OR,  TG_OP_XOR, TG_OP_SHL, TG_OP_SHR};
static const tg_dtype int_types[] = {TG_DT_I8,  TG_DT_U8,  TG_DT_I16, TG_DT_U16,
                                     TG_DT_I32, TG_DT_U32, TG_DT_I64, TG_DT_U64};

static void build_binary(struct fixture *x, const char *name, tg_opcode code, tg_dtype t,
                         int64_t lanes) {
    function(x, name);
    const tg_type *v = lanes ? tg_type_vec(x->t.module, t, lanes) : tg_type_scalar(x->t.module, t);
    tg_value *p = tg_build_loadm(x->b, v, x->arg[0], 0), *q = tg_build_loadm(x->b, v, x->arg[1], 0);
    tg_build_storem(x->b, x->arg[2], tg_build_binary(x->b, code, p, q), 0);
}

static void test_integers(void **state) {
    (void)state;
    static const int64_t edge[] = {
        0,      1,     -1,        2,         7,          -8,        127,       -128, 255, 32767,
        -32768, 65535, INT32_MAX, INT32_MIN, UINT32_MAX, INT64_MAX, INT64_MIN, 3,    31,  33};
    struct fixture *x = begin();
    char name[32];
    for (size_t o = 0; o < TG_COUNT_OF(int_ops); o++) {
        for (size_t k = 0; k < TG_COUNT_OF(int_types); k++) {
            snprintf(name, sizeof name, "o%zu_%zu", o, k);
            build_binary(x, name, int_ops[o], int_types[k], k % 2 ? 4 : 0);
        }
    }
    for (size_t o = 0; o < TG_COUNT_OF(int_ops); o++) {
        for (size_t k = 0; k < TG_COUNT_OF(int_types); k++) {
            snprintf(name, sizeof name, "o%zu_%zu", o, k);
            fn3 f = load(x, name);
            tg_dtype t = int_types[k];
            for (size_t i = 0; i < TG_COUNT_OF(edge) * TG_COUNT_OF(edge); i++) {
                int64_t p = tg_fold_wrap(t, edge[i % TG_COUNT_OF(edge)]), want;
                int64_t q = tg_fold_wrap(t, edge[i / TG_COUNT_OF(edge)]);
                uint64_t pv[4], qv[4], out[4];
                for (size_t l = 0; l < 4; l++) {
                    tg_bits_store(pv, t, l, (uint64_t)p);
                    tg_bits_store(qv, t, l, (uint64_t)q);
                }
                assert_true(tg_fold_int_binary(int_ops[o], t, p, q, &want));
                f(pv, qv, out);
                int64_t got = tg_int_decode(t, tg_bits_load(out, t, k % 2 ? 3 : 0));
                if (got != want) {
                    fail_msg("%s %s: %lld, %lld gives %lld, want %lld",
                             tg_op_info_get(int_ops[o])->name, tg_dtype_name(t), (long long)p,
                             (long long)q, (long long)got, (long long)want);
                }
            }
        }
    }
    end(x);
}

static double fold_float(tg_opcode code, double p, double q) {
    switch ((int)code) {
    case TG_OP_REM:
        return fmod(p, q);
    case TG_OP_MIN:
        return isnan(p) || isnan(q) ? (double)NAN : p < q || (p == q && signbit(p)) ? p : q;
    case TG_OP_MAX:
        return isnan(p) || isnan(q) ? (double)NAN : p > q || (p == q && !signbit(p)) ? p : q;
    }
    return 0;
}

/* min, max and rem of floats: vectors, scalars, and a constant on either side. */
static void test_floats(void **state) {
    (void)state;
    static const double edge[] = {0.0,
                                  -0.0,
                                  1,
                                  -1,
                                  2.5,
                                  -3.25,
                                  1e30,
                                  1e-40,
                                  -1e-40,
                                  0.1,
                                  7,
                                  (double)INFINITY,
                                  -(double)INFINITY,
                                  (double)NAN,
                                  3e38,
                                  1e-45};
    static const tg_opcode ops[] = {TG_OP_MIN, TG_OP_MAX, TG_OP_REM};
    enum { N = TG_COUNT_OF(edge) };
    struct fixture *x = begin();
    char name[32];
    for (size_t o = 0; o < 3; o++) {
        build_binary(x, o == 0 ? "v0" : o == 1 ? "v1" : "v2", ops[o], TG_DT_F32, 8);
        build_binary(x, o == 0 ? "s0" : o == 1 ? "s1" : "s2", ops[o], TG_DT_F64, 0);
        for (size_t c = 0; c < N && o < 2; c++) { /* constant on the right, and on the left */
            for (int left = 0; left < 2; left++) {
                snprintf(name, sizeof name, "c%zu_%zu_%d", o, c, left);
                function(x, name);
                tg_value *p = tg_build_loadm(x->b, x->v8, x->arg[0], 0);
                tg_value *k = tg_build_float(x->b, x->v8, edge[c]);
                tg_build_storem(x->b, x->arg[2],
                                tg_build_binary(x->b, ops[o], left ? k : p, left ? p : k), 0);
            }
        }
    }
    for (size_t o = 0; o < 3; o++) {
        for (size_t i = 0; i < N * N; i++) {
            double p = (double)(float)edge[i / N], q = (double)(float)edge[i % N];
            double want = fold_float(ops[o], p, q), got64;
            float pv[8], qv[8], out[4][8];
            for (int l = 0; l < 8; l++) {
                pv[l] = (float)p;
                qv[l] = (float)q;
            }
            load(x, o == 0 ? "v0" : o == 1 ? "v1" : "v2")(pv, qv, out[0]);
            load(x, o == 0 ? "s0" : o == 1 ? "s1" : "s2")(&p, &q, &got64);
            memcpy(out[1], out[0], sizeof out[0]);
            memcpy(out[2], out[0], sizeof out[0]);
            if (o < 2) {
                snprintf(name, sizeof name, "c%zu_%zu_0", o, i % N);
                load(x, name)(pv, NULL, out[1]);
                snprintf(name, sizeof name, "c%zu_%zu_1", o, i / N);
                load(x, name)(qv, NULL, out[2]);
            }
            out[3][5] = (float)got64;
            for (int form = 0; form < 4; form++) {
                double got = (double)out[form][5];
                bool same = isnan(want) ? isnan(got) : got == want && signbit(got) == signbit(want);
                if (!same) {
                    fail_msg("%s form %d: %a, %a gives %a, want %a", tg_op_info_get(ops[o])->name,
                             form, p, q, got, want);
                }
            }
        }
    }
    end(x);
}

static void test_fmod_f64(void **state) {
    (void)state;
    struct fixture *x = begin();
    build_binary(x, "rem", TG_OP_REM, TG_DT_F64, 4);
    fn3 f = load(x, "rem");
    uint64_t s = 99;
    for (int i = 0; i < 3000; i++) {
        double p[4], q[4], out[4];
        for (int l = 0; l < 4; l++) {
            uint64_t bits[2];
            for (int k = 0; k < 2; k++) {
                s = s * UINT64_C(6364136223846793005) + 1442695040888963407u;
                bits[k] = i % 2 ? s ^ s >> 29 : (s >> 12) | (uint64_t)(1000 + s % 60) << 52;
            }
            memcpy(&p[l], &bits[0], 8);
            memcpy(&q[l], &bits[1], 8);
        }
        f(p, q, out);
        for (int l = 0; l < 4; l++) {
            double want = fmod(p[l], q[l]);
            if (!(isnan(want) ? isnan(out[l]) : out[l] == want)) {
                fail_msg("fmod(%a, %a) = %a, want %a", p[l], q[l], out[l], want);
            }
        }
    }
    end(x);
}

static void test_reduce_lanes(void **state) {
    (void)state;
    static const int64_t lanes[] = {1, 2, 3, 5, 8, 13, 16, 32};
    struct fixture *x = begin();
    char name[16];
    for (size_t i = 0; i < TG_COUNT_OF(lanes); i++) {
        snprintf(name, sizeof name, "r%zu", i);
        function(x, name);
        tg_value *v =
            tg_build_loadm(x->b, tg_type_vec(x->t.module, TG_DT_I32, lanes[i]), x->arg[0], 0);
        tg_build_storem(x->b, x->arg[2], tg_build_reducev(x->b, TG_RED_SUM, v), 0);
        tg_build_storem(x->b, at(x, x->arg[2], 1, 4), tg_build_reducev(x->b, TG_RED_MAX, v), 0);
        tg_build_storem(x->b, at(x, x->arg[2], 2, 4), tg_build_reducev(x->b, TG_RED_MIN, v), 0);
    }
    for (size_t i = 0; i < TG_COUNT_OF(lanes); i++) {
        snprintf(name, sizeof name, "r%zu", i);
        int32_t in[32], out[3], sum = 0, max = INT32_MIN, min = INT32_MAX;
        for (int k = 0; k < lanes[i]; k++) {
            in[k] = (k * 37 + 11) % 50 - 25;
            sum += in[k];
            max = in[k] > max ? in[k] : max;
            min = in[k] < min ? in[k] : min;
        }
        load(x, name)(in, NULL, out);
        assert_int_equal(out[0], sum);
        assert_int_equal(out[1], max);
        assert_int_equal(out[2], min);
    }
    end(x);
}

/* ---- failures
 * ---------------------------------------------------------------------------------------- */

static void test_refusals(void **state) {
    (void)state;
    static const tg_llvm_options options = {.opt_level = 2, .emit = TG_LLVM_OBJECT};
    static const char *const names[] = {"x86.avx512.vpdpbusd.512", "no.such.row"};
    for (size_t i = 0; i < 2; i++) {
        struct fixture *x = begin();
        function(x, "f");
        const tg_type *v = tg_type_vec(x->t.module, TG_DT_I32, 16);
        tg_value *a = tg_build_loadm(x->b, v, x->arg[0], 0), *ops[3] = {a, a, a};
        tg_op *row = op_with(x, TG_OP_INTRINSIC, 3, ops, v);
        tg_op_set_str(row, TG_ATTR_NAME, names[i]);
        tg_build_storem(x->b, x->arg[2], &row->results[0], 0);
        tg_sink sink;
        tg_sink_init(&sink, &x->t.arena);
        const unsigned char *out = NULL;
        size_t n = 0;
        tg_status s = tg_llvm_emit(x->t.module, tg_machine_find("x86-64-v3"), &options, &x->t.arena,
                                   &sink, &out, &n);
        assert_int_equal(s, TG_E_UNSUPPORTED);
        assert_int_equal(sink.errors, 1);
        end(x);
    }
}

/* An impossible target CPU feature set makes LLVM die inside; the process and the next compile
 * live. */
static void test_fatal_recovery(void **state) {
    (void)state;
    static const tg_llvm_options options = {.opt_level = 2, .emit = TG_LLVM_OBJECT};
    tg_machine broken = *tg_machine_find("x86-64-v3");
    broken.llvm_features = "-sse,-sse2,-avx,-64bit,-x87";
    broken.llvm_cpu = "pentium";
    for (int i = 0; i < 2; i++) {
        struct fixture *x = begin();
        build_binary(x, "f", TG_OP_ADD, TG_DT_F64, 4);
        tg_sink sink;
        tg_sink_init(&sink, &x->t.arena);
        const unsigned char *out = NULL;
        size_t n = 0;
        tg_status s = tg_llvm_emit(x->t.module, &broken, &options, &x->t.arena, &sink, &out, &n);
        assert_true(s != TG_OK);
        assert_true(sink.errors > 0);
        end(x);
    }
    struct fixture *x = begin();
    build_binary(x, "f", TG_OP_ADD, TG_DT_F64, 4);
    double a[4] = {1, 2, 3, 4}, out[4];
    load(x, "f")(a, a, out);
    assert_true(out[3] == 8);
    end(x);
}

/* Threads compile different functions at the same time, one of them a failing one. */
static void *compile_often(void *user) {
    bool *ok = user;
    for (int i = 0; i < 4; i++) {
        struct fixture *x = begin();
        build_binary(x, "f", i % 2 ? TG_OP_ADD : TG_OP_MUL, TG_DT_F64, 4);
        double a[4] = {1, 2, 3, 4}, out[4] = {0};
        *ok = *ok && tg_test_load(x->t.module, NULL, &x->code);
        fn3 f = *ok ? (fn3)(uintptr_t)tg_test_symbol(&x->code, "f") : NULL;
        *ok = f && f(a, a, out) == 0 && out[3] == (i % 2 ? 8 : 16);
        end(x);
    }
    return NULL;
}

static void test_threads(void **state) {
    (void)state;
    pthread_t thread[4];
    bool ok[4] = {true, true, true, true};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, compile_often, &ok[i]), 0);
    }
    test_fatal_recovery(NULL);
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        assert_true(ok[i]);
    }
}

static void test_text_outputs(void **state) {
    (void)state;
    static const tg_source source = {"k.tg", "line one\nline two\n", 18},
                           import = {"m.tg", "x\ny\nz\n", 6};
    tg_llvm_options options = {.opt_level = 2, .debug_lines = true, .emit = TG_LLVM_IR};
    struct fixture *x = begin();
    build_binary(x, "f", TG_OP_ADD, TG_DT_F32, 8);
    x->t.func->span = (tg_span){&source, 0, 3};
    for (tg_op *op = x->t.func->body->first; op;
         op = op->next) { /* one statement is imported code */
        op->span = op->code == TG_OP_ADD ? (tg_span){&import, 4, 7} : (tg_span){&source, 9, 12};
    }
    tg_sink sink;
    tg_sink_init(&sink, &x->t.arena);
    const unsigned char *out = NULL;
    size_t n = 0;
    assert_int_equal(
        tg_llvm_emit(x->t.module, tg_machine_host(), &options, &x->t.arena, &sink, &out, &n),
        TG_OK);
    assert_non_null(strstr((const char *)out, "fadd <8 x float>"));
    assert_non_null(strstr((const char *)out, "DICompileUnit"));
    assert_non_null(strstr((const char *)out, "DILocation(line: 2, column: 1"));
    assert_non_null(strstr((const char *)out, "DILocation(line: 3, column: 1"));
    assert_non_null(strstr((const char *)out, "filename: \"m.tg\""));
    options.emit = TG_LLVM_ASM;
    assert_int_equal(
        tg_llvm_emit(x->t.module, tg_machine_host(), &options, &x->t.arena, &sink, &out, &n),
        TG_OK);
    assert_non_null(strstr((const char *)out, "f:"));
    end(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_masked_sum),     cmocka_unit_test(test_for_bounds),
        cmocka_unit_test(test_while_if),       cmocka_unit_test(test_trap_report),
        cmocka_unit_test(test_unroll),         cmocka_unit_test(test_greatest_magnitude),
        cmocka_unit_test(test_bool_memory),    cmocka_unit_test(test_gather_scatter),
        cmocka_unit_test(test_masked_widths),  cmocka_unit_test(test_block_moves),
        cmocka_unit_test(test_atomics),        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_floats),         cmocka_unit_test(test_fmod_f64),
        cmocka_unit_test(test_reduce_lanes),   cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_fatal_recovery), cmocka_unit_test(test_text_outputs),
        cmocka_unit_test(test_threads),        cmocka_unit_test(test_shared_loops),
        cmocka_unit_test(test_shared_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
