/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The definitions of machine instructions (backends/llvm/instructions.c) against plain C, for every
 * row of intrinsics.def, and the instructions themselves where this processor has them. The inputs
 * are the extremes of 8 and 16 bits, then random bytes.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/llvm/harness.h"

enum {
    BYTE_LOOKUP,
    U8I8_PAIRS,
    I16_PAIRS,
    U8I8_QUADS,
    I16_PAIRS_ADDED,
    WORD_LOOKUP,
    TWO_BYTE_TABLES,
    BF16_PAIRS_ADDED
};

typedef struct row {
    const char *name;
    unsigned needs;
    int n_operands, means;
} row;

static const row rows[] = {
#define TG_INTRINSIC(name, llvm_name, needs, n, means) {name, needs, n, means},
#include "backends/llvm/intrinsics.def"
#undef TG_INTRINSIC
};

/* Types of the operands and of the result. */
static const tg_dtype types[][4] = {[BYTE_LOOKUP] = {TG_DT_U8, TG_DT_U8, TG_DT_U8},
                                    [U8I8_PAIRS] = {TG_DT_U8, TG_DT_I8, TG_DT_I16},
                                    [I16_PAIRS] = {TG_DT_I16, TG_DT_I16, TG_DT_I32},
                                    [U8I8_QUADS] = {TG_DT_I32, TG_DT_I32, TG_DT_I32},
                                    [I16_PAIRS_ADDED] = {TG_DT_I32, TG_DT_I32, TG_DT_I32},
                                    [WORD_LOOKUP] = {TG_DT_U16, TG_DT_U16, TG_DT_U16},
                                    [TWO_BYTE_TABLES] = {TG_DT_U8, TG_DT_U8, TG_DT_U8},
                                    [BF16_PAIRS_ADDED] = {TG_DT_F32, TG_DT_U16, TG_DT_F32}};

static int bytes_of(const row *r) {
    return strstr(r->name, ".512") ? 64 : strstr(r->name, ".128") ? 16 : 32;
}

/* ---- plain C ------------------------------------------------------------------------------------
 */

static int32_t pair_sum(const int16_t *x, const int16_t *y) {
    return (int32_t)((uint32_t)(x[0] * y[0]) + (uint32_t)(x[1] * y[1]));
}

static int32_t quad_sum(const uint8_t *x, const int8_t *y) {
    return x[0] * y[0] + x[1] * y[1] + x[2] * y[2] + x[3] * y[3];
}

static int16_t saturated(int32_t v) {
    return (int16_t)(v > INT16_MAX ? INT16_MAX : v < INT16_MIN ? INT16_MIN : v);
}

typedef union reg {
    uint8_t u8[64];
    int8_t i8[64];
    int16_t i16[32];
    int32_t i32[16];
    uint32_t u32[16];
} reg;

static uint32_t bits_of(float f) {
    uint32_t bits;
    memcpy(&bits, &f, 4);
    return bits;
}

static float flushed(uint32_t bits) {
    float f;
    bits = bits & 0x7F800000 ? bits : bits & 0x80000000;
    memcpy(&f, &bits, 4);
    return f;
}

/* word: bytes of an element that is looked up. */
static void expected(int means, int word, const reg *acc, const reg *x, const reg *y, int n,
                     reg *out) {
    for (int i = 0; i < n; i++) {
        if (means == BYTE_LOOKUP) {
            out->u8[i] = y->u8[i] & 0x80 ? 0 : x->u8[i / 16 * 16 + (y->u8[i] & 15)];
        } else if (means == WORD_LOOKUP) {
            out->u8[i] = x->u8[word * (y->u8[i / word * word] & (n / word - 1)) + i % word];
        } else if (means == TWO_BYTE_TABLES) {
            out->u8[i] = (x->u8[i] & 64 ? y : acc)->u8[x->u8[i] & 63];
        } else if (means == BF16_PAIRS_ADDED && i % 4 == 0) {
            float sum = flushed(acc->u32[i / 4]);
            for (int odd = 1; odd >= 0; odd--) {
                float a = flushed((x->u32[i / 4] >> 16 * odd) << 16);
                float b = flushed((y->u32[i / 4] >> 16 * odd) << 16);
                sum = flushed(bits_of(fmaf(a, b, sum)));
            }
            out->u32[i / 4] = isnan(sum) ? 0x7FC00000 : bits_of(sum);
        } else if (means == BF16_PAIRS_ADDED) {
            continue;
        } else if (means == U8I8_PAIRS && i % 2 == 0) {
            out->i16[i / 2] = saturated(x->u8[i] * y->i8[i] + x->u8[i + 1] * y->i8[i + 1]);
        } else if (means != U8I8_PAIRS && i % 4 == 0) {
            int32_t sum = means == U8I8_QUADS ? quad_sum(x->u8 + i, y->i8 + i)
                                              : pair_sum(x->i16 + i / 2, y->i16 + i / 2);
            uint32_t start = means == I16_PAIRS ? 0 : (uint32_t)acc->i32[i / 4];
            out->i32[i / 4] = (int32_t)(start + (uint32_t)sum);
        }
    }
}

/* ---- compiled -----------------------------------------------------------------------------------
 */

typedef int32_t (*code_fn)(const void *acc, const void *x, const void *y, void *out);

static void build(struct tg_test_func *t, const row *r) {
    const tg_type *ptr = tg_type_ptr(t->module), *args[4] = {ptr, ptr, ptr, ptr};
    tg_test_function(t, "f", 4, args);
    tg_value *ops[3];
    int n_ops = r->n_operands;
    const tg_type *type[4];
    bool floats = strstr(r->name, ".sf.") != NULL;
    for (int i = 0; i < 3; i++) {
        tg_dtype d = floats ? (i == 1 ? TG_DT_U32 : TG_DT_F32) : types[r->means][i];
        type[i] = tg_type_vec(t->module, d, bytes_of(r) * 8 / tg_dtype_bits(d));
    }
    for (int i = 0; i < n_ops; i++) {
        const tg_type *of = n_ops == 3 && i == 0 && r->means == BF16_PAIRS_ADDED ? type[0]
                            : n_ops == 3 && r->means != BF16_PAIRS_ADDED         ? type[0]
                                                                         : type[n_ops == 3 ? 1 : i];
        ops[i] = tg_build_loadm(&t->b, of, t->func->body->args[3 - n_ops + i], 0);
    }
    tg_value *v = tg_build_intrinsic(&t->b, r->name, type[2], n_ops, ops);
    tg_build_storem(&t->b, t->func->body->args[3], v, 0);
}

static void fill(reg *p, unsigned round) {
    static const uint8_t edges[] = {0, 0xff, 0x7f, 0x80, 1};
    for (unsigned i = 0; i < 64; i++) {
        unsigned random = (unsigned)rand();
        uint8_t edge = edges[round == 0 ? i % 2 * 3 : random % sizeof edges];
        p->u8[i] = round < 20 ? edge : (uint8_t)(random >> 7); /* round 0: all -32768 */
    }
}

static void compare(const row *r, const tg_machine *machine) {
    struct tg_test_func t;
    struct tg_test_code code;
    tg_test_begin(&t);
    build(&t, r);
    assert_true(tg_test_load(t.module, machine, &code));
    code_fn f = (code_fn)(uintptr_t)tg_test_symbol(&code, "f");
    assert_non_null(f);
    srand(1);
    for (unsigned round = 0; round < 100; round++) {
        reg acc, x, y, got, want;
        fill(&acc, round);
        fill(&x, round);
        fill(&y, round);
        expected(r->means, strstr(r->name, ".sf.") ? 4 : 2, &acc, &x, &y, bytes_of(r), &want);
        assert_int_equal(f(&acc, &x, &y, &got), 0);
        for (int i = 0; i < 16 && r->means == BF16_PAIRS_ADDED; i++) {
            got.u32[i] = (got.u32[i] & 0x7FFFFFFF) > 0x7F800000 ? 0x7FC00000 : got.u32[i];
        }
        if (memcmp(&got, &want, (size_t)bytes_of(r)) != 0) {
            print_error("%s on %s is wrong in round %u\n", r->name, machine->name, round);
            fail();
        }
    }
    tg_test_unload(&code);
    tg_test_end(&t);
}

static void test_rows(void **state) {
    (void)state;
    const tg_machine *host = tg_machine_host();
    if (!host || strncmp(host->name, "x86-64", 6) != 0) {
        skip();
    }
    struct tg_test_func t;
    tg_test_begin(&t);
    const tg_machine *defined = tg_machine_named(&t.arena, "x86-64-avx512-bf16+defined");
    assert_non_null(defined);
    assert_int_equal(defined->isa_id, tg_machine_find("x86-64-v3")->isa_id);
    for (size_t i = 0; i < TG_COUNT_OF(rows); i++) {
        compare(&rows[i], defined);
        if ((host->features & rows[i].needs) == rows[i].needs) {
            compare(&rows[i], host);
        }
    }
    tg_test_end(&t);
}

static void test_names(void **state) {
    (void)state;
    struct tg_test_func t;
    tg_test_begin(&t);
    const tg_machine *m = tg_machine_named(&t.arena, "x86-64-v4+defined");
    assert_string_equal(m->name, "x86-64-v4+defined");
    assert_string_equal(m->label, "emulated");
    assert_int_equal(m->vector_bytes, 64);
    assert_string_equal(m->llvm_features, tg_machine_find("x86-64-v3")->llvm_features);
    assert_null(tg_machine_named(&t.arena, "x86-64-v4+undefined"));
    assert_null(tg_machine_named(&t.arena, "x86-64-v4+defined+defined"));
    assert_null(tg_machine_named(&t.arena, "opencl+defined"));
    tg_test_end(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
