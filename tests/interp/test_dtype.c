/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Element conversions against independent slow methods: every code of every 8- and 16-bit format is
 * decoded by a formula written from the standards, and every rounding case (each code, each
 * midpoint, the neighbours of each midpoint) is checked against a search over all codes. f16 is
 * checked against the compiler's _Float16 as well, and MXFP4/FP8 blocks against published bytes.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ir/dtype.h"

typedef struct format {
    tg_dtype t;
    int exp_bits, man_bits, bias;
} format;

static const format formats[] = {
    {TG_DT_F16, 5, 10, 15},      {TG_DT_BF16, 8, 7, 127},  {TG_DT_F8E4M3, 4, 3, 7},
    {TG_DT_F8E4M3FNUZ, 4, 3, 8}, {TG_DT_F8E5M2, 5, 2, 15}, {TG_DT_F4E2M1, 2, 1, 1},
};

static unsigned code_count(tg_dtype t) { return 1u << tg_dtype_bits(t); }

/* Value by the textbook formula; the special codes of each format spelled out. */
static double slow_decode(const format *f, unsigned code) {
    unsigned width = (unsigned)(f->exp_bits + f->man_bits);
    unsigned sign = code >> width, exponent = code >> f->man_bits & ((1u << f->exp_bits) - 1);
    unsigned man = code & ((1u << f->man_bits) - 1), top = (1u << f->exp_bits) - 1;
    if (f->t == TG_DT_F8E4M3) {
        if ((code & 0x7F) == 0x7F) {
            return NAN;
        }
    } else if (f->t == TG_DT_F8E4M3FNUZ) {
        if (code == 0x80) {
            return NAN;
        }
    } else if (f->t != TG_DT_F4E2M1 && exponent == top) {
        return man != 0 ? (double)NAN : sign ? -(double)INFINITY : (double)INFINITY;
    }
    double frac = (double)man / (double)(1u << f->man_bits);
    double mag = exponent == 0 ? frac * pow(2.0, 1 - f->bias)
                               : (1.0 + frac) * pow(2.0, (double)exponent - f->bias);
    return sign ? -mag : mag;
}

static void decode_matches_formula(void **state) {
    (void)state;
    for (size_t i = 0; i < TG_COUNT_OF(formats); i++) {
        for (unsigned c = 0; c < code_count(formats[i].t); c++) {
            double want = slow_decode(&formats[i], c), got = tg_float_decode(formats[i].t, c);
            if (isnan(want)) {
                assert_true(isnan(got));
            } else {
                assert_true(want == got && signbit(want) == signbit(got));
            }
        }
    }
    for (unsigned c = 0; c < 255; c++) {
        assert_true(tg_float_decode(TG_DT_F8E8M0, c) == pow(2.0, (double)c - 127));
    }
    assert_true(isnan(tg_float_decode(TG_DT_F8E8M0, 255)));
}

static void every_code_survives(void **state) {
    (void)state;
    static const tg_dtype all[] = {TG_DT_F16,    TG_DT_BF16,   TG_DT_F8E4M3, TG_DT_F8E4M3FNUZ,
                                   TG_DT_F8E5M2, TG_DT_F8E8M0, TG_DT_F4E2M1};
    for (size_t i = 0; i < TG_COUNT_OF(all); i++) {
        for (unsigned c = 0; c < code_count(all[i]); c++) {
            for (int r = TG_ROUND_RNE; r <= TG_ROUND_DOWN; r++) {
                uint64_t back =
                    tg_float_encode(all[i], tg_float_decode(all[i], c), (tg_round)r, false);
                assert_int_equal(back, c);
            }
        }
    }
}

/* Finite values of a format in ascending order of magnitude, with their codes. */
typedef struct ladder {
    double value[40000];
    unsigned code[40000];
    int n;
} ladder;

static void ladder_make(ladder *l, const format *f) {
    l->n = 0;
    for (unsigned c = 0; c < code_count(f->t) / 2; c++) {
        double v = slow_decode(f, c);
        if (isfinite(v)) {
            l->value[l->n] = v;
            l->code[l->n++] = c;
        }
    }
}

/* Code of magnitude v by search: the rung below and the one above, then the rule. */
static unsigned slow_encode(const ladder *l, const format *f, double v, tg_round round, bool sat,
                            bool negative) {
    bool clamp = sat || f->t == TG_DT_F8E4M3 || f->t == TG_DT_F8E4M3FNUZ || f->t == TG_DT_F4E2M1;
    unsigned inf = ((1u << f->exp_bits) - 1) << f->man_bits;
    int lo = 0, hi = l->n - 1;
    if (v > l->value[hi]) {
        double step = l->value[hi] - l->value[hi - 1];
        bool away = round == TG_ROUND_RNE ? v >= l->value[hi] + step / 2 /* the last code is odd */
                    : round == TG_ROUND_RTZ ? false
                    : round == TG_ROUND_UP  ? !negative
                                            : negative;
        if (isinf(v)) {
            away = true;
        }
        return !clamp && away ? inf : l->code[hi];
    }
    while (hi - lo > 1) {
        int mid = (lo + hi) / 2;
        if (l->value[mid] <= v) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    if (l->value[hi] <= v) {
        lo = hi;
    }
    if (l->value[lo] == v) {
        return l->code[lo];
    }
    hi = lo + 1;
    bool up = false;
    double below = v - l->value[lo], above = l->value[hi] - v;
    switch (round) {
    case TG_ROUND_RNE:
        up = above < below || (above == below && (l->code[lo] & 1));
        break;
    case TG_ROUND_RTZ:
        break;
    case TG_ROUND_UP:
        up = !negative;
        break;
    case TG_ROUND_DOWN:
        up = negative;
        break;
    }
    return l->code[up ? hi : lo];
}

static void check_rounding(const ladder *l, const format *f, double mag) {
    for (int r = TG_ROUND_RNE; r <= TG_ROUND_DOWN; r++) {
        for (int neg = 0; neg < 2; neg++) {
            for (int sat = 0; sat < 2; sat++) {
                unsigned want = slow_encode(l, f, mag, (tg_round)r, sat, neg);
                if (neg && !(f->t == TG_DT_F8E4M3FNUZ && want == 0)) {
                    want |= 1u << (f->exp_bits + f->man_bits);
                }
                uint64_t got = tg_float_encode(f->t, neg ? -mag : mag, (tg_round)r, sat);
                if (got != want) {
                    fail_msg("%s of %a round %d sat %d: got %llx, want %x", tg_dtype_name(f->t),
                             neg ? -mag : mag, r, sat, (unsigned long long)got, want);
                }
            }
        }
    }
}

static void every_rounding_case(void **state) {
    (void)state;
    static ladder l;
    for (size_t i = 0; i < TG_COUNT_OF(formats); i++) {
        ladder_make(&l, &formats[i]);
        for (int k = 0; k + 1 < l.n; k++) {
            double mid = (l.value[k] + l.value[k + 1]) / 2;
            check_rounding(&l, &formats[i], l.value[k]);
            check_rounding(&l, &formats[i], mid);
            check_rounding(&l, &formats[i], nextafter(mid, 0));
            check_rounding(&l, &formats[i], nextafter(mid, INFINITY));
            check_rounding(&l, &formats[i], nextafter(l.value[k + 1], 0));
            check_rounding(&l, &formats[i], nextafter(l.value[k], INFINITY));
        }
        double top = l.value[l.n - 1], step = top - l.value[l.n - 2];
        const double beyond[] = {top,
                                 nextafter(top, INFINITY),
                                 top + step / 4,
                                 top + step / 2,
                                 nextafter(top + step / 2, 0),
                                 nextafter(top + step / 2, INFINITY),
                                 top + step,
                                 top * 4,
                                 1e300,
                                 INFINITY,
                                 5e-324,
                                 1e-310};
        for (size_t k = 0; k < TG_COUNT_OF(beyond); k++) {
            check_rounding(&l, &formats[i], beyond[k]);
        }
    }
}

static void f32_and_f16_match_the_compiler(void **state) {
    (void)state;
    uint64_t x = 88172645463325252u;
    for (int i = 0; i < 2000000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        uint64_t b = x;
        if (i % 2) { /* near the f32 and f16 ranges */
            b = (x & ~(UINT64_C(0x7FF) << 52)) | ((1023 - 160 + (x >> 52) % 320) << 52);
        }
        double d;
        memcpy(&d, &b, sizeof d);
        if (isnan(d)) {
            continue;
        }
        float f = (float)d;
        uint32_t fb;
        memcpy(&fb, &f, sizeof fb);
        assert_int_equal(tg_float_encode(TG_DT_F32, d, TG_ROUND_RNE, false), fb);
        assert_true(tg_float_decode(TG_DT_F32, fb) == (double)f);
#if defined(__FLT16_MANT_DIG__)
        __extension__ _Float16 h = __extension__(_Float16) f;
        uint16_t hb;
        memcpy(&hb, &h, sizeof hb);
        assert_int_equal(tg_float_encode(TG_DT_F16, (double)f, TG_ROUND_RNE, false), hb);
#endif
        uint32_t bf = (fb + 0x7FFF + (fb >> 16 & 1)) >> 16; /* the usual bit trick, f is not NaN */
        assert_int_equal(tg_float_encode(TG_DT_BF16, (double)f, TG_ROUND_RNE, false), bf);
    }
}

static void nan_and_infinity(void **state) {
    (void)state;
    assert_int_equal(tg_float_encode(TG_DT_F4E2M1, NAN, TG_ROUND_RNE, false), 0);
    assert_int_equal(tg_float_encode(TG_DT_F8E4M3, NAN, TG_ROUND_RNE, false) & 0x7F, 0x7F);
    assert_int_equal(tg_float_encode(TG_DT_F8E4M3FNUZ, NAN, TG_ROUND_RNE, false), 0x80);
    assert_int_equal(tg_float_encode(TG_DT_F8E5M2, NAN, TG_ROUND_RNE, true) & 0x7F, 0x7E);
    assert_int_equal(tg_float_encode(TG_DT_F16, NAN, TG_ROUND_RNE, true) & 0x7FFF, 0x7E00);
    assert_int_equal(tg_float_encode(TG_DT_BF16, NAN, TG_ROUND_RNE, false) & 0x7FFF, 0x7FC0);
    assert_int_equal(tg_float_encode(TG_DT_F32, NAN, TG_ROUND_RNE, false) & 0x7FFFFFFF, 0x7FC00000);
    assert_int_equal(tg_float_encode(TG_DT_F8E4M3, INFINITY, TG_ROUND_RNE, false), 0x7E);
    assert_int_equal(tg_float_encode(TG_DT_F8E4M3FNUZ, -INFINITY, TG_ROUND_RNE, false), 0xFF);
    assert_int_equal(tg_float_encode(TG_DT_F8E5M2, INFINITY, TG_ROUND_RNE, false), 0x7C);
    assert_int_equal(tg_float_encode(TG_DT_F8E5M2, INFINITY, TG_ROUND_RNE, true), 0x7B);
    assert_int_equal(tg_float_encode(TG_DT_F4E2M1, -INFINITY, TG_ROUND_RNE, false), 0xF);
    assert_int_equal(tg_float_encode(TG_DT_F4E2M1, -0.0, TG_ROUND_RNE, false), 0x8);
}

/* The bit rule of DeepSeek's scales, e = ((bits - 1) >> 23) + 1, for every f32 binade boundary. */
static void e8m0_rounds_up_by_the_bit_rule(void **state) {
    (void)state;
    for (uint32_t e = 1; e < 254; e++) {
        for (int k = -3; k <= 3; k++) {
            uint32_t b = (e << 23) + (uint32_t)k;
            float f;
            memcpy(&f, &b, sizeof f);
            if (fpclassify(f) == FP_NORMAL) {
                assert_int_equal(tg_float_encode(TG_DT_F8E8M0, (double)f, TG_ROUND_UP, false),
                                 ((b - 1) >> 23) + 1);
            }
        }
    }
    assert_int_equal(tg_float_encode(TG_DT_F8E8M0, 0.0, TG_ROUND_UP, false), 0);
    assert_int_equal(tg_float_encode(TG_DT_F8E8M0, -3.0, TG_ROUND_UP, false), 0);
    assert_int_equal(tg_float_encode(TG_DT_F8E8M0, NAN, TG_ROUND_UP, false), 0xFF);
    assert_int_equal(tg_float_encode(TG_DT_F8E8M0, 3e38, TG_ROUND_UP, false), 0xFE);
    assert_int_equal(tg_float_encode(TG_DT_F8E8M0, 1e-300, TG_ROUND_UP, false), 0);
    assert_int_equal(tg_float_encode(TG_DT_F8E8M0, 1.4, TG_ROUND_RNE, false), 127);
    assert_int_equal(tg_float_encode(TG_DT_F8E8M0, 1.5, TG_ROUND_RNE, false), 128); /* even code */
    assert_int_equal(tg_float_encode(TG_DT_F8E8M0, 3.0, TG_ROUND_RNE, false), 128);
}

static int hex_digit(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

/* x_i = bf16((i - 15.5) * 0.37): one MXFP4 block and one FP8 block with a ceil-power-of-two scale.
 */
static void golden_blocks(void **state) {
    (void)state;
    static const char fp4[] = "ffeeeedecdbcab891032435465666677";
    static const char fp8[] = "fcfbfaf9f8f8f6f5f3f2f0edeae7e1d45461676a6d70727375767878797a7b7c";
    double x[32], amax = 0;
    for (int i = 0; i < 32; i++) {
        float f = (float)((i - 15.5) * 0.37);
        x[i] = tg_float_decode(TG_DT_BF16,
                               tg_float_encode(TG_DT_BF16, (double)f, TG_ROUND_RNE, false));
        amax = fmax(amax, fabs(x[i]));
    }
    assert_true(amax == 5.75);
    uint64_t e4 = tg_float_encode(TG_DT_F8E8M0, (double)((float)amax / 6.0f), TG_ROUND_UP, false);
    uint64_t e8 = tg_float_encode(TG_DT_F8E8M0, (double)((float)amax / 448.0f), TG_ROUND_UP, false);
    assert_int_equal(e4, 0x7F);
    assert_int_equal(e8, 0x79);
    unsigned char packed[16] = {0};
    for (size_t i = 0; i < 32; i++) {
        double s4 = tg_float_decode(TG_DT_F8E8M0, e4), s8 = tg_float_decode(TG_DT_F8E8M0, e8);
        tg_bits_store(packed, TG_DT_F4E2M1, i,
                      tg_float_encode(TG_DT_F4E2M1, x[i] / s4, TG_ROUND_RNE, true));
        int want = hex_digit(fp8[2 * i]) * 16 + hex_digit(fp8[2 * i + 1]);
        assert_int_equal(tg_float_encode(TG_DT_F8E4M3, x[i] / s8, TG_ROUND_RNE, true), want);
    }
    for (size_t i = 0; i < 16; i++) {
        assert_int_equal(packed[i], hex_digit(fp4[2 * i]) * 16 + hex_digit(fp4[2 * i + 1]));
        assert_int_equal(tg_bits_load(packed, TG_DT_F4E2M1, 2 * i), packed[i] & 15);
    }
}

static void integers_and_names(void **state) {
    (void)state;
    assert_int_equal(tg_int_decode(TG_DT_I4, 0x8), -8);
    assert_int_equal(tg_int_decode(TG_DT_U4, 0x8), 8);
    assert_int_equal(tg_int_decode(TG_DT_I8, 0xFF), -1);
    assert_int_equal(tg_int_decode(TG_DT_U32, 0xFFFFFFFFu), 4294967295);
    assert_int_equal(tg_int_decode(TG_DT_I64, UINT64_MAX), -1);
    unsigned char row[8] = {0};
    for (int t = TG_DT_BOOL; t < TG_DT_RECORD; t++) {
        tg_dtype back;
        assert_true(tg_dtype_from_name(tg_dtype_name((tg_dtype)t),
                                       strlen(tg_dtype_name((tg_dtype)t)), &back));
        assert_int_equal(back, t);
        memset(row, 0, sizeof row);
        int bits = tg_dtype_bits((tg_dtype)t);
        uint64_t v = UINT64_MAX >> (64 - bits);
        tg_bits_store(row, (tg_dtype)t, 0, v);
        assert_int_equal(tg_bits_load(row, (tg_dtype)t, 0), v);
        assert_true(bits > 32 || tg_bits_load(row, (tg_dtype)t, 1) == 0);
    }
}

/* Every value of one format is one of another, as decoding all codes says. */
static void test_holds(void **state) {
    static const struct {
        tg_dtype to, from;
        bool holds;
    } rows[] = {{TG_DT_F16, TG_DT_F8E4M3, true},     {TG_DT_BF16, TG_DT_F8E5M2, true},
                {TG_DT_F16, TG_DT_F8E5M2, true},     {TG_DT_F8E4M3, TG_DT_F4E2M1, true},
                {TG_DT_F8E5M2, TG_DT_F8E4M3, false}, {TG_DT_F8E4M3, TG_DT_F8E5M2, false},
                {TG_DT_F16, TG_DT_BF16, false},      {TG_DT_BF16, TG_DT_F16, false},
                {TG_DT_F32, TG_DT_F16, true},        {TG_DT_F32, TG_DT_F64, false},
                {TG_DT_F16, TG_DT_F8E8M0, false},    {TG_DT_I8, TG_DT_U4, true},
                {TG_DT_U8, TG_DT_I4, false},         {TG_DT_I8, TG_DT_U8, false},
                {TG_DT_I64, TG_DT_U32, true},        {TG_DT_I32, TG_DT_F16, false}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(tg_dtype_holds(rows[i].to, rows[i].from), rows[i].holds);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_holds),
        cmocka_unit_test(decode_matches_formula),
        cmocka_unit_test(every_code_survives),
        cmocka_unit_test(every_rounding_case),
        cmocka_unit_test(f32_and_f16_match_the_compiler),
        cmocka_unit_test(nan_and_infinity),
        cmocka_unit_test(e8m0_rounds_up_by_the_bit_rule),
        cmocka_unit_test(golden_blocks),
        cmocka_unit_test(integers_and_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
