/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accuracy of the math functions against MPFR, in units in the last place of the exact result; the
 * bounds are those docs/math.md publishes. f32 arguments step through the whole bit space, f64 ones
 * are random over the ranges that matter. TEGULA_TEST_FULL=1 samples a hundred times denser, and
 * TEGULA_MATH_REPORT=1 prints the worst case of each function.
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
#include <mpfr.h>

#include "tests/llvm/harness.h"

enum { LANES = 8, CHUNK = 4096 };

typedef int32_t (*map_fn)(const void *in, void *out, int64_t n);

typedef struct function {
    tg_math_fn fn;
    const char *name;
    double f32_bound, f64_bound; /* ULP */
    double lo, hi;               /* f64 sampling range where the function is interesting */
} function;

static const function functions[] = {
    {TG_MATH_EXP2, "exp2", 1.0, 1.0, -1080, 1030}, {TG_MATH_EXP, "exp", 1.1, 1.1, -750, 715},
    {TG_MATH_LOG, "log", 1.0, 1.0, 0, 4},          {TG_MATH_LOG2, "log2", 1.0, 1.0, 0, 4},
    {TG_MATH_SQRT, "sqrt", 0.5, 0.5, 0, 1e10},     {TG_MATH_RSQRT, "rsqrt", 1.5, 1.5, 0, 1e10},
    {TG_MATH_SIN, "sin", 1.0, 1.0, -1e7, 1e7},     {TG_MATH_COS, "cos", 1.0, 1.0, -1e7, 1e7},
    {TG_MATH_TANH, "tanh", 1.5, 1.5, -22, 22},     {TG_MATH_SIGMOID, "sigmoid", 2.5, 2.5, -760, 40},
    {TG_MATH_ERF, "erf", 1.5, 1.5, -7, 7},
};

static bool full(void) { return getenv("TEGULA_TEST_FULL") != NULL; }

/* ---- reference
 * ------------------------------------------------------------------------------------ */

static void reference(mpfr_t r, tg_math_fn fn, double v) {
    mpfr_set_d(r, v, MPFR_RNDN);
    switch ((int)fn) {
    case TG_MATH_EXP2:
        mpfr_exp2(r, r, MPFR_RNDN);
        break;
    case TG_MATH_EXP:
        mpfr_exp(r, r, MPFR_RNDN);
        break;
    case TG_MATH_LOG:
        mpfr_log(r, r, MPFR_RNDN);
        break;
    case TG_MATH_LOG2:
        mpfr_log2(r, r, MPFR_RNDN);
        break;
    case TG_MATH_SQRT:
        mpfr_sqrt(r, r, MPFR_RNDN);
        break;
    case TG_MATH_RSQRT:
        if (v == 0) {
            mpfr_set_inf(r, signbit(v) ? -1 : 1);
        } else {
            mpfr_rec_sqrt(r, r, MPFR_RNDN);
        }
        break;
    case TG_MATH_SIN:
        mpfr_sin(r, r, MPFR_RNDN);
        break;
    case TG_MATH_COS:
        mpfr_cos(r, r, MPFR_RNDN);
        break;
    case TG_MATH_TANH:
        mpfr_tanh(r, r, MPFR_RNDN);
        break;
    case TG_MATH_SIGMOID:
        mpfr_neg(r, r, MPFR_RNDN);
        mpfr_exp(r, r, MPFR_RNDN);
        mpfr_add_ui(r, r, 1, MPFR_RNDN);
        mpfr_ui_div(r, 1, r, MPFR_RNDN);
        break;
    case TG_MATH_ERF:
        mpfr_erf(r, r, MPFR_RNDN);
        break;
    }
}

/* |got - exact| in ulps of exact in the format; 0 when both are NaN or the same infinity. */
static double ulp_error(mpfr_t exact, double got, bool wide) {
    int man = wide ? 52 : 23, emin = wide ? -1022 : -126, emax = wide ? 1023 : 127;
    if (mpfr_nan_p(exact)) {
        return isnan(got) ? 0 : INFINITY;
    }
    if (isnan(got)) {
        return INFINITY;
    }
    long e = mpfr_zero_p(exact) ? emin : mpfr_get_exp(exact) - 1;
    bool over = mpfr_inf_p(exact) || e > emax;
    if (isinf(got) || over) { /* overflow is right when the nearest value is an infinity */
        double nearest =
            wide ? mpfr_get_d(exact, MPFR_RNDN) : (double)mpfr_get_flt(exact, MPFR_RNDN);
        return nearest == got                                                  ? 0
               : isinf(got) && fabs(nearest) > (wide ? 0x1.fp1023 : 0x1.fp127) ? 1
                                                                               : INFINITY;
    }
    e = e < emin ? emin : e;
    mpfr_t d;
    mpfr_init2(d, 200);
    mpfr_sub_d(d, exact, got, MPFR_RNDN);
    mpfr_mul_2si(d, d, man - e, MPFR_RNDN);
    double r = fabs(mpfr_get_d(d, MPFR_RNDN));
    mpfr_clear(d);
    return r;
}

/* ---- code under test
 * ------------------------------------------------------------------------------ */

static void build(struct tg_test_func *t, const char *name, tg_math_fn fn, tg_dtype dt, bool fast) {
    const tg_type *ptr = tg_type_ptr(t->module), *i64 = tg_type_scalar(t->module, TG_DT_I64);
    const tg_type *args[3] = {ptr, ptr, i64};
    tg_test_function(t, name, 3, args);
    tg_builder *b = &t->b;
    tg_value **a = t->func->body->args, *iv;
    int64_t bytes = tg_dtype_bits(dt) / 8;
    tg_op *loop =
        tg_build_for(b, tg_build_index(b, 0), a[2], tg_build_index(b, LANES), 0, NULL, &iv);
    tg_value *v =
        tg_build_loadm(b, tg_type_vec(t->module, dt, LANES), tg_build_gep(b, a[0], iv, bytes), 0);
    tg_value *r = tg_build_math(b, fn, v);
    if (fast) {
        tg_op_set_int(r->def, TG_ATTR_FAST, 1);
    }
    tg_build_storem(b, tg_build_gep(b, a[1], iv, bytes), r, 0);
    tg_build_end_for(b, loop, 0, NULL);
}

static const char *symbol(char *buf, const function *f, bool wide) {
    snprintf(buf, 32, "%s_%d", f->name, wide);
    return buf;
}

typedef struct suite {
    struct tg_test_func t;
    struct tg_test_code code;
} suite;

static int setup(void **state) {
    suite *s = malloc(sizeof *s);
    char name[32];
    tg_test_begin(&s->t);
    for (size_t i = 0; i < TG_COUNT_OF(functions); i++) {
        build(&s->t, symbol(name, &functions[i], false), functions[i].fn, TG_DT_F32, false);
        build(&s->t, symbol(name, &functions[i], true), functions[i].fn, TG_DT_F64, false);
    }
    build(&s->t, "exp2_fast", TG_MATH_EXP2, TG_DT_F32, true);
    build(&s->t, "exp_fast", TG_MATH_EXP, TG_DT_F32, true);
    *state = s;
    return tg_test_load(s->t.module, NULL, &s->code) ? 0 : -1;
}

static int teardown(void **state) {
    suite *s = *state;
    tg_test_unload(&s->code);
    tg_test_end(&s->t);
    free(s);
    mpfr_free_cache();
    return 0;
}

/* ---- sampling
 * ------------------------------------------------------------------------------------- */

typedef struct worst {
    double ulp, at, got;
} worst;

static void measure(const function *f, const double *v, const double *got, int n, bool wide,
                    worst *w) {
    mpfr_t r;
    mpfr_init2(r, wide ? 160 : 100);
    for (int i = 0; i < n; i++) {
        reference(r, f->fn, v[i]);
        double e = ulp_error(r, got[i], wide);
        if (!(e <= w->ulp)) {
            *w = (worst){e, v[i], got[i]};
        }
    }
    mpfr_clear(r);
}

static void run_f32(map_fn call, const function *f, const float *in, int n, worst *w) {
    static float out[CHUNK];
    static double v[CHUNK], got[CHUNK];
    call(in, out, n);
    for (int i = 0; i < n; i++) {
        v[i] = (double)in[i];
        got[i] = (double)out[i];
    }
    measure(f, v, got, n, false, w);
}

static uint64_t rng_state = 88172645463325252u;
static uint64_t rng(void) {
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    return rng_state ^= rng_state << 17;
}

static void report(const function *f, const char *type, const worst *w, double bound) {
    if (getenv("TEGULA_MATH_REPORT")) {
        fprintf(stderr, "%-8s %s %.4f ulp at %a\n", f->name, type, w->ulp, w->at);
    }
    if (!(w->ulp <= bound)) {
        fail_msg("%s %s: %.3f ulp (bound %.2f) at %a: got %a", f->name, type, w->ulp, bound, w->at,
                 w->got);
    }
}

static map_fn find(const suite *s, const char *name) {
    map_fn f = (map_fn)(uintptr_t)tg_test_symbol(&s->code, name);
    assert_non_null(f);
    return f;
}

/* Every stride-th f32. */
static void test_f32(void **state) {
    const suite *s = *state;
    uint64_t stride = full() ? 3001 : 200003;
    char name[32];
    static float in[CHUNK];
    for (size_t k = 0; k < TG_COUNT_OF(functions); k++) {
        worst w = {0};
        map_fn call = find(s, symbol(name, &functions[k], false));
        int n = 0;
        for (uint64_t bits = k; bits < (UINT64_C(1) << 32); bits += stride) {
            uint32_t b = (uint32_t)bits;
            memcpy(&in[n++], &b, 4);
            if (n == CHUNK) {
                run_f32(call, &functions[k], in, n, &w);
                n = 0;
            }
        }
        run_f32(call, &functions[k], in, n / LANES * LANES, &w);
        report(&functions[k], "f32", &w, functions[k].f32_bound);
    }
}

/* Random arguments: uniform in the function's range, near 1, and over all exponents. */
static double sample_f64(const function *f) {
    double u = (double)(rng() >> 11) * 0x1p-53;
    switch (rng() % 4) {
    case 0:
        return f->lo + (f->hi - f->lo) * u;
    case 1:
        return 1 + (u - 0.5) * 0x1p-3;
    case 2:
        return ldexp(1 + u, (int)(rng() % 40) - 30) * (rng() & 1 ? 1 : -1);
    default: {
        uint64_t bits = rng();
        double v;
        memcpy(&v, &bits, 8);
        return v;
    }
    }
}

static void test_f64(void **state) {
    const suite *s = *state;
    int chunks = full() ? 200 : 3;
    char name[32];
    static double in[CHUNK], out[CHUNK];
    for (size_t k = 0; k < TG_COUNT_OF(functions); k++) {
        worst w = {0};
        map_fn call = find(s, symbol(name, &functions[k], true));
        for (int c = 0; c < chunks; c++) {
            for (int i = 0; i < CHUNK; i++) {
                in[i] = sample_f64(&functions[k]);
            }
            call(in, out, CHUNK);
            measure(&functions[k], in, out, CHUNK, true, &w);
        }
        report(&functions[k], "f64", &w, functions[k].f64_bound);
    }
}

/* ---- exact points and special values
 * --------------------------------------------------------------- */

static double one_f32(const suite *s, const char *name, double v) {
    float in[LANES], out[LANES];
    for (int i = 0; i < LANES; i++) {
        in[i] = (float)v;
    }
    find(s, name)(in, out, LANES);
    return (double)out[LANES - 1];
}

static double one_f64(const suite *s, const char *name, double v) {
    double in[LANES], out[LANES];
    for (int i = 0; i < LANES; i++) {
        in[i] = v;
    }
    find(s, name)(in, out, LANES);
    return out[0];
}

static void test_exact_points(void **state) {
    const suite *s = *state;
    for (int n = -149; n <= 127; n++) {
        double p = ldexp(1, n);
        assert_true(one_f32(s, "exp2_0", n) == p);
        assert_true(one_f32(s, "log2_0", p) == n);
        if (n % 2 == 0 && n >= -126) {
            assert_true(one_f32(s, "rsqrt_0", p) == ldexp(1, -n / 2));
        }
        if (n >= -126 && n < 127) {
            assert_true(one_f32(s, "exp2_fast", n) == p);
        }
    }
    for (int n = -1074; n <= 1023; n++) {
        double p = ldexp(1, n);
        assert_true(one_f64(s, "exp2_1", n) == p);
        assert_true(one_f64(s, "log2_1", p) == n);
    }
}

static void expect(const suite *s, const char *fn, double v, double want) {
    for (int wide = 0; wide < 2; wide++) {
        char name[32];
        snprintf(name, sizeof name, "%s_%d", fn, wide);
        double got = wide ? one_f64(s, name, v) : one_f32(s, name, v);
        bool same = isnan(want) ? isnan(got) : got == want && signbit(got) == signbit(want);
        if (!same) {
            fail_msg("%s(%g) = %a, want %a", name, v, got, want);
        }
    }
}

static void test_special(void **state) {
    const suite *s = *state;
    const double inf = (double)INFINITY, nan = (double)NAN;
    for (size_t k = 0; k < TG_COUNT_OF(functions); k++) {
        expect(s, functions[k].name, nan, nan);
    }
    static const char *const odd[] = {"sin", "tanh", "erf", "sqrt"};
    for (size_t k = 0; k < TG_COUNT_OF(odd); k++) {
        expect(s, odd[k], 0.0, 0.0);
        expect(s, odd[k], -0.0, -0.0);
    }
    expect(s, "exp2", inf, inf);
    expect(s, "exp2", -inf, 0);
    expect(s, "exp2", -0.0, 1);
    expect(s, "exp", inf, inf);
    expect(s, "exp", -inf, 0);
    expect(s, "exp", 0.0, 1);
    expect(s, "log", 0.0, -inf);
    expect(s, "log", -0.0, -inf);
    expect(s, "log", -1, nan);
    expect(s, "log", 1, 0);
    expect(s, "log", inf, inf);
    expect(s, "log2", -inf, nan);
    expect(s, "log2", inf, inf);
    expect(s, "sqrt", -1, nan);
    expect(s, "rsqrt", 0.0, inf);
    expect(s, "rsqrt", inf, 0);
    expect(s, "sin", inf, nan);
    expect(s, "cos", -inf, nan);
    expect(s, "cos", 0.0, 1);
    expect(s, "tanh", inf, 1);
    expect(s, "tanh", -inf, -1);
    expect(s, "sigmoid", inf, 1);
    expect(s, "sigmoid", -inf, 0);
    expect(s, "sigmoid", 0.0, 0.5);
    expect(s, "erf", inf, 1);
    expect(s, "erf", -inf, -1);
}

/* The fast forms: within 2 ulp for normal results, flushed below. */
static void test_fast(void **state) {
    const suite *s = *state;
    static const function fast[] = {{TG_MATH_EXP2, "exp2", 2, 2, -126, 127.5},
                                    {TG_MATH_EXP, "exp", 2, 2, -87.3, 88.3}};
    static float in[CHUNK];
    for (size_t k = 0; k < TG_COUNT_OF(fast); k++) {
        worst w = {0};
        for (int i = 0; i < CHUNK; i++) {
            in[i] = (float)(fast[k].lo + (fast[k].hi - fast[k].lo) * (double)i / CHUNK);
        }
        run_f32(find(s, k ? "exp_fast" : "exp2_fast"), &fast[k], in, CHUNK, &w);
        report(&fast[k], "fast", &w, fast[k].f32_bound);
        assert_true(one_f32(s, k ? "exp_fast" : "exp2_fast", -INFINITY) == 0);
        assert_true(one_f32(s, k ? "exp_fast" : "exp2_fast", INFINITY) == (double)INFINITY);
        assert_true(isnan(one_f32(s, k ? "exp_fast" : "exp2_fast", NAN)));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f32),          cmocka_unit_test(test_f64),
        cmocka_unit_test(test_exact_points), cmocka_unit_test(test_special),
        cmocka_unit_test(test_fast),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
