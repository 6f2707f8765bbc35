/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conversions against ir/dtype.c, bit for bit (a NaN equals a NaN): every code of the 8- and 16-bit
 * types decoded; encoding of every decodable value, the midpoints between neighbours and one ulp
 * around them, and random bits; every rounding; integers at their edges.
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

enum { LANES = 8 };

typedef int32_t (*convert_fn)(const void *in, void *out, int64_t n);

static const tg_dtype storage[] = {TG_DT_F16,    TG_DT_BF16,   TG_DT_F8E4M3, TG_DT_F8E4M3FNUZ,
                                   TG_DT_F8E5M2, TG_DT_F8E8M0, TG_DT_F4E2M1};

/* f(in, out, n): out[i] = convert(in[i]) in steps of LANES, carriers in memory. */
static void build(struct tg_test_func *t, const char *name, const tg_machine *mc, tg_dtype from,
                  tg_dtype to, tg_round round, bool sat) {
    const tg_type *ptr = tg_type_ptr(t->module), *i64 = tg_type_scalar(t->module, TG_DT_I64);
    const tg_type *args[3] = {ptr, ptr, i64};
    tg_test_function(t, name, 3, args);
    tg_builder *b = &t->b;
    tg_value **a = t->func->body->args, *iv;
    tg_dtype cf = tg_carrier(from), ct = tg_carrier(to);
    tg_op *loop =
        tg_build_for(b, tg_build_index(b, 0), a[2], tg_build_index(b, LANES), 0, NULL, &iv);
    tg_value *in = tg_build_gep(b, a[0], iv, tg_dtype_bits(cf) / 8);
    tg_value *out = tg_build_gep(b, a[1], iv, tg_dtype_bits(ct) / 8);
    tg_value *v = tg_build_loadm(b, tg_type_vec(t->module, cf, LANES), in, 1);
    tg_build_storem(b, out, tg_expand_convert(b, mc, v, from, to, round, sat), 1);
    tg_build_end_for(b, loop, 0, NULL);
}

static const char *name_of(char *buf, tg_dtype from, tg_dtype to, int round, bool sat) {
    snprintf(buf, 64, "%s_%s_%d_%d", tg_dtype_name(from), tg_dtype_name(to), round, sat);
    return buf;
}

static convert_fn find(const struct tg_test_code *code, const char *name) {
    convert_fn f = (convert_fn)(uintptr_t)tg_test_symbol(code, name);
    assert_non_null(f);
    return f;
}

static double float_of(uint32_t bits) {
    float f;
    memcpy(&f, &bits, 4);
    return (double)f;
}

static bool is_nan_code(tg_dtype t, uint64_t code) { return isnan(tg_float_decode(t, code)); }

static void check_code(tg_dtype to, uint64_t got, uint64_t want, double v, int round, bool sat) {
    if (got != want && !(is_nan_code(to, got) && is_nan_code(to, want))) {
        fail_msg("%a to %s (round %d, sat %d): got 0x%llx, want 0x%llx", v, tg_dtype_name(to),
                 round, sat, (unsigned long long)got, (unsigned long long)want);
    }
}

static uint64_t element(const void *p, tg_dtype carrier, size_t i) {
    return tg_bits_load(p, carrier, i);
}

/* ---- inputs
 * --------------------------------------------------------------------------------------- */

static uint32_t rng_state = 12345;
static uint32_t rng(void) {
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 17;
    return rng_state ^= rng_state << 5;
}

typedef struct inputs {
    double *v;
    size_t n;
} inputs;

static void push(inputs *in, double v) { in->v[in->n++] = v; }

static void push_around(inputs *in, double v) {
    push(in, v);
    push(in, nextafter(v, INFINITY));
    push(in, nextafter(v, -INFINITY));
    push(in, (double)nextafterf((float)v, INFINITY));
    push(in, (double)nextafterf((float)v, -INFINITY));
}

/* Values of type t, midpoints of neighbours, their surroundings, edges, random numbers. */
static inputs inputs_for(tg_dtype t) {
    size_t codes = (size_t)1 << tg_dtype_bits(t);
    inputs in = {malloc((codes * 10 + 20000) * sizeof(double)), 0};
    for (size_t c = 0; c < codes; c++) {
        double v = tg_float_decode(t, c), w = tg_float_decode(t, (c + 1) % codes);
        push_around(&in, v);
        if (isfinite(v) && isfinite(w)) {
            push_around(&in, (v + w) / 2);
        }
    }
    static const double edges[] = {0.0,   -0.0,   INFINITY, -INFINITY, NAN,
                                   1e300, -1e300, 1e-300,   3.4e38,    5e-324};
    for (size_t i = 0; i < TG_COUNT_OF(edges); i++) {
        push(&in, edges[i]);
    }
    for (int i = 0; i < 8000; i++) {
        push(&in, float_of(rng()));
        push(&in, ldexp((double)rng() / 4294967296.0 - 0.5, (int)(rng() % 40) - 20));
    }
    while (in.n % LANES) {
        push(&in, 1.0);
    }
    return in;
}

/* ---- tests
 * ---------------------------------------------------------------------------------------- */

static void decode_all(const tg_machine *mc) {
    struct tg_test_func t;
    struct tg_test_code code;
    char name[64];
    tg_test_begin(&t);
    for (size_t i = 0; i < TG_COUNT_OF(storage); i++) {
        build(&t, name_of(name, storage[i], TG_DT_F32, 0, false), mc, storage[i], TG_DT_F32,
              TG_ROUND_RNE, false);
    }
    assert_true(tg_test_load(t.module, NULL, &code));
    static float out[65536];
    static uint16_t in16[65536];
    static uint8_t in8[65536];
    for (size_t i = 0; i < 65536; i++) {
        in16[i] = (uint16_t)i;
        in8[i] = (uint8_t)i;
    }
    for (size_t i = 0; i < TG_COUNT_OF(storage); i++) {
        tg_dtype s = storage[i];
        size_t n = (size_t)1 << tg_dtype_bits(s);
        const void *in = tg_dtype_bits(s) == 16 ? (const void *)in16 : (const void *)in8;
        find(&code, name_of(name, s, TG_DT_F32, 0, false))(in, out, (int64_t)n);
        for (size_t c = 0; c < n; c++) {
            double want = tg_float_decode(s, c), got = (double)out[c];
            bool same = isnan(want) ? isnan(got) : got == want && signbit(got) == signbit(want);
            if (!same) {
                fail_msg("%s 0x%zx: got %a, want %a", tg_dtype_name(s), c, got, want);
            }
        }
    }
    tg_test_unload(&code);
    tg_test_end(&t);
}

static void test_decode(void **state) {
    (void)state;
    tg_machine plain = *tg_machine_host();
    decode_all(tg_machine_host());
    plain.features &= ~(unsigned)TG_CPU_F16C; /* the integer path of machines without f16 */
    decode_all(&plain);
}

static void check_encode(const struct tg_test_code *code, tg_dtype to, const inputs *in, int round,
                         bool sat) {
    char name[64];
    float *f = malloc(in->n * 4);
    unsigned char *out = malloc(in->n * 2);
    for (size_t i = 0; i < in->n; i++) {
        f[i] = (float)in->v[i];
    }
    find(code, name_of(name, TG_DT_F32, to, round, sat))(f, out, (int64_t)in->n);
    for (size_t i = 0; i < in->n; i++) {
        check_code(to, element(out, tg_carrier(to), i),
                   tg_float_encode(to, (double)f[i], (tg_round)round, sat), (double)f[i], round,
                   sat);
    }
    find(code, name_of(name, TG_DT_F64, to, round, sat))(in->v, out, (int64_t)in->n);
    for (size_t i = 0; i < in->n; i++) {
        check_code(to, element(out, tg_carrier(to), i),
                   tg_float_encode(to, in->v[i], (tg_round)round, sat), in->v[i], round, sat);
    }
    free(f);
    free(out);
}

static void encode_all(const tg_machine *mc) {
    struct tg_test_func t;
    struct tg_test_code code;
    char name[64];
    tg_test_begin(&t);
    for (size_t i = 0; i < TG_COUNT_OF(storage); i++) {
        for (int k = 0; k < 8; k++) {
            tg_round r = (tg_round)(k / 2);
            build(&t, name_of(name, TG_DT_F32, storage[i], r, k & 1), mc, TG_DT_F32, storage[i], r,
                  k & 1);
            build(&t, name_of(name, TG_DT_F64, storage[i], r, k & 1), mc, TG_DT_F64, storage[i], r,
                  k & 1);
        }
    }
    assert_true(tg_test_load(t.module, NULL, &code));
    for (size_t i = 0; i < TG_COUNT_OF(storage); i++) {
        inputs in = inputs_for(storage[i]);
        for (int k = 0; k < 8; k++) {
            check_encode(&code, storage[i], &in, k / 2, k & 1);
        }
        free(in.v);
    }
    tg_test_unload(&code);
    tg_test_end(&t);
}

/* Every code of f4e2m1, whatever the upper half of its byte holds. */
static void test_widen_e2m1(void **state) {
    (void)state;
    static const tg_dtype to[] = {TG_DT_F8E4M3, TG_DT_F8E5M2};
    struct tg_test_func t;
    struct tg_test_code code;
    char name[64];
    uint8_t in[256], out[256];
    tg_test_begin(&t);
    for (int i = 0; i < 2; i++) {
        build(&t, name_of(name, TG_DT_F4E2M1, to[i], 0, false), tg_machine_host(), TG_DT_F4E2M1,
              to[i], TG_ROUND_RNE, false);
    }
    assert_true(tg_test_load(t.module, NULL, &code));
    for (int c = 0; c < 256; c++) {
        in[c] = (uint8_t)c;
    }
    for (int i = 0; i < 2; i++) {
        find(&code, name_of(name, TG_DT_F4E2M1, to[i], 0, false))(in, out, 256);
        for (int c = 0; c < 256; c++) {
            double v = tg_float_decode(TG_DT_F4E2M1, (uint64_t)c & 15);
            assert_int_equal(out[c], tg_float_encode(to[i], v, TG_ROUND_RNE, false));
        }
    }
    tg_test_unload(&code);
    tg_test_end(&t);
}

static void test_encode(void **state) {
    (void)state;
    tg_machine plain = *tg_machine_host();
    encode_all(tg_machine_host());
    plain.features &= ~(unsigned)TG_CPU_F16C;
    encode_all(&plain);
}

static void test_f64_to_f32(void **state) {
    (void)state;
    struct tg_test_func t;
    struct tg_test_code code;
    char name[64];
    tg_test_begin(&t);
    for (int k = 0; k < 8; k++) {
        build(&t, name_of(name, TG_DT_F64, TG_DT_F32, k / 2, k & 1), tg_machine_host(), TG_DT_F64,
              TG_DT_F32, (tg_round)(k / 2), k & 1);
    }
    assert_true(tg_test_load(t.module, NULL, &code));
    inputs in = inputs_for(TG_DT_F16);
    float *out = malloc(in.n * 4);
    for (int k = 0; k < 8; k++) {
        find(&code, name_of(name, TG_DT_F64, TG_DT_F32, k / 2, k & 1))(in.v, out, (int64_t)in.n);
        for (size_t i = 0; i < in.n; i++) {
            uint32_t got;
            memcpy(&got, &out[i], 4);
            check_code(TG_DT_F32, got,
                       tg_float_encode(TG_DT_F32, in.v[i], (tg_round)(k / 2), k & 1), in.v[i],
                       k / 2, k & 1);
        }
    }
    free(out);
    free(in.v);
    tg_test_unload(&code);
    tg_test_end(&t);
}

/* Reference for an integer of type `from` as a float of type `to` rounded once: long double holds
 * every 64-bit integer; its conversion to double to odd keeps the later rounding single. */
static uint64_t int_reference(long double v, tg_dtype to, tg_round round) {
    double d = (double)v;
    if ((long double)d != v) {
        if (fabsl((long double)d) > fabsl(v)) {
            d = nextafter(d, 0);
        }
        uint64_t bits;
        memcpy(&bits, &d, 8);
        bits |= 1;
        memcpy(&d, &bits, 8);
    }
    return tg_float_encode(to, d, round, false);
}

static void test_int_to_float(void **state) {
    (void)state;
    static const tg_dtype ints[] = {TG_DT_I32, TG_DT_U32, TG_DT_I64, TG_DT_U64};
    static const tg_dtype floats[] = {TG_DT_F32, TG_DT_BF16, TG_DT_F16};
    enum { N = 4096 };
    static uint64_t in[N];
    static uint32_t in32[N], out[N];
    struct tg_test_func t;
    struct tg_test_code code;
    char name[64];
    tg_test_begin(&t);
    for (int k = 0; k < 48; k++) {
        build(&t, name_of(name, ints[k % 4], floats[k / 4 % 3], k / 12, false), tg_machine_host(),
              ints[k % 4], floats[k / 4 % 3], (tg_round)(k / 12), false);
    }
    assert_true(tg_test_load(t.module, NULL, &code));
    for (int i = 0; i < N; i++) {
        in[i] = ((uint64_t)rng() << 32 | rng()) >> (rng() % 64);
        in[i] = i % 3 == 0   ? ~UINT64_C(0) << (i % 64)
                : i % 3 == 1 ? in[i]
                             : (UINT64_C(1) << (i % 64)) + (unsigned)(i / 64) % 5 - 2;
        in32[i] = (uint32_t)in[i];
    }
    for (int k = 0; k < 48; k++) {
        tg_dtype from = ints[k % 4], to = floats[k / 4 % 3];
        bool narrow = tg_dtype_bits(from) == 32;
        find(&code, name_of(name, from, to, k / 12, false))(narrow ? (void *)in32 : (void *)in, out,
                                                            N);
        for (size_t i = 0; i < N; i++) {
            int64_t s = tg_int_decode(from, narrow ? in32[i] : in[i]);
            long double v = from == TG_DT_U64 ? (long double)in[i] : (long double)s;
            check_code(to, element(out, tg_carrier(to) == to ? TG_DT_U32 : TG_DT_U16, i),
                       int_reference(v, to, (tg_round)(k / 12)), (double)v, k / 12, false);
        }
    }
    tg_test_unload(&code);
    tg_test_end(&t);
}

/* Saturating float to int, NaN 0; saturating int to int. */
static void test_to_int(void **state) {
    (void)state;
    static const tg_dtype ints[] = {TG_DT_I8,  TG_DT_U8,  TG_DT_I16, TG_DT_U16, TG_DT_I32,
                                    TG_DT_U32, TG_DT_I64, TG_DT_U64, TG_DT_I4,  TG_DT_U4};
    static const double in[16] = {0,    -0.5, 0.99, -1.5, 127.9, 128,   -129, 1e5,
                                  -1e5, 3e9,  -3e9, 1e19, 1e30,  -1e30, NAN,  INFINITY};
    struct tg_test_func t;
    struct tg_test_code code;
    char name[64];
    tg_test_begin(&t);
    for (size_t i = 0; i < TG_COUNT_OF(ints); i++) {
        build(&t, name_of(name, TG_DT_F64, ints[i], 0, false), tg_machine_host(), TG_DT_F64,
              ints[i], TG_ROUND_RNE, false);
        build(&t, name_of(name, TG_DT_I64, ints[i], 0, true), tg_machine_host(), TG_DT_I64, ints[i],
              TG_ROUND_RNE, true);
    }
    assert_true(tg_test_load(t.module, NULL, &code));
    for (size_t i = 0; i < TG_COUNT_OF(ints); i++) {
        tg_dtype to = ints[i];
        int bits = tg_dtype_bits(to);
        bool is_signed = tg_dtype_is_signed(to);
        long double lo = is_signed ? -ldexpl(1, bits - 1) : 0,
                    hi = ldexpl(1, is_signed ? bits - 1 : bits) - 1;
        uint64_t mask = bits == 64 ? ~UINT64_C(0) : (UINT64_C(1) << bits) - 1;
        unsigned char out[128];
        int64_t whole[16];
        for (int pass = 0; pass < 2; pass++) {
            for (int k = 0; k < 16; k++) {
                whole[k] = isnan(in[k])     ? 0
                           : in[k] >= 9e18  ? INT64_MAX
                           : in[k] <= -9e18 ? INT64_MIN
                                            : (int64_t)in[k];
            }
            find(&code, name_of(name, pass ? TG_DT_I64 : TG_DT_F64, to, 0, pass))(
                pass ? (const void *)whole : (const void *)in, out, 16);
            for (size_t k = 0; k < 16; k++) {
                long double v = pass           ? (long double)whole[k]
                                : isnan(in[k]) ? 0
                                               : truncl((long double)in[k]);
                v = v < lo ? lo : v > hi ? hi : v;
                uint64_t want = (v < 0 ? (uint64_t)(int64_t)v : (uint64_t)v) & mask;
                uint64_t got = element(out, tg_carrier(to), k);
                if (got != want) {
                    fail_msg("%g to %s: got 0x%llx want 0x%llx", in[k], tg_dtype_name(to),
                             (unsigned long long)got, (unsigned long long)want);
                }
            }
        }
    }
    tg_test_unload(&code);
    tg_test_end(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),     cmocka_unit_test(test_encode),
        cmocka_unit_test(test_f64_to_f32), cmocka_unit_test(test_int_to_float),
        cmocka_unit_test(test_to_int),     cmocka_unit_test(test_widen_e2m1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
