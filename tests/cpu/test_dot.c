/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrix products against a plain reference. Data are small integers, so every order of summation
 * is exact and results must be equal. Operands end at a guard page; what a product must not read
 * (skipped k) holds NaN or garbage.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/cpu/dot_case.h"

/* ---- data ---------------------------------------------------------------------------------------
 */

enum { PAGE = 4096 };

/* Memory whose last byte is the last of a page, followed by a page that traps. */
typedef struct guarded {
    char *map;
    size_t map_bytes;
    char *data;
} guarded;

static guarded guarded_make(size_t bytes) {
    guarded g;
    size_t body = (bytes + PAGE - 1) / PAGE * PAGE + PAGE;
    g.map_bytes = body + PAGE;
    g.map = mmap(NULL, g.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(g.map, MAP_FAILED);
    assert_int_equal(mprotect(g.map + body, PAGE, PROT_NONE), 0);
    g.data = g.map + body - bytes;
    return g;
}

static void guarded_free(guarded *g) { munmap(g->map, g->map_bytes); }

static uint32_t random_next(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* A small value every type can hold exactly, and its bits in t. */
static double random_value(tg_dtype t, uint64_t *state, uint64_t *bits) {
    int range = tg_dtype_bits(t) <= 8 && tg_dtype_is_float(t) ? 4 : 8;
    int v = (int)(random_next(state) % (uint32_t)(2 * range + 1)) - range;
    if (!tg_dtype_is_float(t)) {
        if (t == TG_DT_I8 && random_next(state) % 4 == 0) {
            v = random_next(state) % 2 ? -128 : 127;
        } else if (!tg_dtype_is_signed(t)) {
            v = random_next(state) % 3 == 0 ? 255 : v & 15;
        }
        *bits = (uint64_t)(int64_t)v;
        return v;
    }
    *bits = tg_float_encode(t, v, TG_ROUND_RNE, false);
    return v;
}

/* v as an integer of type t holds it, modulo its width. */
static double wrapped(tg_dtype t, double v) {
    return tg_dtype_is_float(t) ? v : (double)tg_int_decode(t, (uint64_t)(int64_t)v);
}

static void put(char *p, tg_dtype t, uint64_t bits) {
    memcpy(p, &bits, (size_t)tg_dtype_bits(t) / 8); /* little-endian hosts */
}

static double get(const char *p, tg_dtype t) {
    uint64_t bits = 0;
    memcpy(&bits, p, (size_t)tg_dtype_bits(t) / 8);
    return tg_dtype_is_float(t) ? tg_float_decode(t, bits) : (double)tg_int_decode(t, bits);
}

/* ---- one case
 * ------------------------------------------------------------------------------------- */

typedef struct problem {
    const dot_case *c;
    dot_layout l;
    guarded a, b, acc;
    double *va, *vb, *want; /* [m_len][k_len], [k_len][n_len], [m_len][n_len] */
    unsigned char *kmask;
} problem;

static double *fill(const dot_case *c, guarded *g, bool is_a, const dot_layout *l,
                    const unsigned char *skip, uint64_t *state) {
    int64_t rows = is_a ? c->m_len : c->n_len, k_len = c->k_len;
    int64_t row_b = is_a ? l->a_row : l->b_row, k_b = is_a ? l->a_k : l->b_k;
    tg_dtype t = is_a ? c->a_type : c->b_type;
    int64_t end =
        rows > 0 && k_len > 0 ? (rows - 1) * row_b + (k_len - 1) * k_b + tg_dtype_bits(t) / 8 : 0;
    *g = guarded_make((size_t)end);
    double *v = calloc((size_t)(rows * k_len + 1), sizeof *v);
    assert_non_null(v);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t k = 0; k < k_len; k++) {
            uint64_t bits;
            double x = random_value(t, state, &bits);
            tg_range range = is_a ? c->a_range : c->b_range;
            int power = is_a ? c->a_power : c->b_power;
            if (power != 0) {
                x = random_next(state) % 8 == 0 ? ldexp(x, power) : 0;
                bits = tg_float_encode(t, x, TG_ROUND_RNE, false);
            }
            if (range.hi > range.lo) { /* often an end of it */
                uint32_t draw = random_next(state);
                int64_t inner = range.lo + (int64_t)(draw / 4) % (range.hi - range.lo + 1);
                int64_t i = draw % 4 == 0 ? range.lo : draw % 4 == 1 ? range.hi : inner;
                bits = (uint64_t)i;
                x = (double)i;
            }
            if (!is_a && c->b_codes) {
                bits = (uint64_t)(r * k_len + k) & 255;
                bits = (bits & 127) == 127 ? 0 : bits;
                x = tg_float_decode(t, bits);
            }
            if (skip && !skip[k]) {
                bits = UINT64_MAX; /* NaN in every float type used here */
                x = 0;
            }
            put(g->data + r * row_b + k * k_b, t, bits);
            v[r * k_len + k] = x;
        }
    }
    return v;
}

static void problem_make(problem *p, const dot_case *c, const tg_machine *mc) {
    uint64_t state = 12345;
    *p = (problem){.c = c, .l = dot_case_layout(c, mc)};
    int64_t eb = tg_dtype_bits(c->compute) / 8, k_all = c->k > 0 ? c->k : c->k_len;
    if (c->kmask) {
        p->kmask = calloc((size_t)k_all + 1, 1);
        assert_non_null(p->kmask);
        for (int64_t k = 0; k < k_all; k++) {
            p->kmask[k] = random_next(&state) % 3 != 0;
        }
    }
    p->va = fill(c, &p->a, true, &p->l, p->kmask, &state);
    p->vb = fill(c, &p->b, false, &p->l, p->kmask, &state);
    p->acc = guarded_make((size_t)(c->m * p->l.acc_pitch * eb));
    p->want = calloc((size_t)(c->m_len * c->n_len + 1), sizeof *p->want);
    assert_non_null(p->want);
    memset(p->acc.data, 0xFF, (size_t)(c->m * p->l.acc_pitch * eb));
    for (int64_t i = 0; i < c->m_len; i++) {
        for (int64_t j = 0; j < c->n_len; j++) {
            double sum = 0;
            uint64_t bits;
            if (!c->acc_zero) {
                sum = random_value(c->compute, &state, &bits);
                put(p->acc.data + (i * p->l.acc_pitch + j) * eb, c->compute, bits);
            }
            for (int64_t k = 0; k < c->k_len; k++) {
                if (!p->kmask || p->kmask[k]) {
                    sum += p->va[i * c->k_len + k] * p->vb[j * c->k_len + k];
                }
            }
            p->want[i * c->n_len + j] = sum;
        }
    }
}

static void problem_free(problem *p) {
    guarded_free(&p->a);
    guarded_free(&p->b);
    guarded_free(&p->acc);
    free(p->va);
    free(p->vb);
    free(p->want);
    free(p->kmask);
}

static void describe(const dot_case *c) {
    print_message("case m %d/%d n %d/%d k %d/%d fixed %d %s x %s a_by_k %d b_by_k %d base %d %d "
                  "strided %d kmask %d zero %d pad %d\n",
                  (int)c->m_len, (int)c->m, (int)c->n_len, (int)c->n, (int)c->k_len, (int)c->k,
                  c->fixed, tg_dtype_name(c->a_type), tg_dtype_name(c->b_type), c->a_by_k,
                  c->b_by_k, c->a_base, c->b_base, c->strided, c->kmask, c->acc_zero,
                  (int)c->acc_pad);
}

static bool run_code(const dot_case *c, const tg_machine *mc, const dot_code *code) {
    problem p;
    problem_make(&p, c, mc);
    void *scratch = aligned_alloc(64, (size_t)code->scratch_bytes + 64);
    assert_non_null(scratch);
    memset(scratch, 0xFF, (size_t)code->scratch_bytes + 64);
    int64_t slots[7] = {(int64_t)(intptr_t)p.a.data,
                        (int64_t)(intptr_t)p.b.data,
                        (int64_t)(intptr_t)p.acc.data,
                        c->m_len,
                        c->n_len,
                        c->k_len,
                        (int64_t)(intptr_t)p.kmask};
    struct tg_cpu_report report = {0};
    assert_int_equal(code->run(slots, 0, 1, scratch, NULL, &report), 0);
    int64_t eb = tg_dtype_bits(c->compute) / 8, wrong = 0;
    for (int64_t i = 0; i < c->m_len; i++) {
        for (int64_t j = 0; j < c->n_len; j++) {
            double got = get(p.acc.data + (i * p.l.acc_pitch + j) * eb, c->compute);
            double want = wrapped(c->compute, p.want[i * c->n_len + j]);
            if (got != want && wrong++ == 0) {
                describe(c);
                print_message("  [%d,%d] is %g, expected %g\n", (int)i, (int)j, got, want);
            }
        }
    }
    free(scratch);
    problem_free(&p);
    return wrong == 0;
}

/* Compiles c; lens as check_lens. */
static bool compile_and_run(dot_case c, const int64_t (*lens)[3], tg_arena *arena) {
    tg_sink sink;
    tg_sink_init(&sink, arena);
    const tg_machine *mc = tg_machine_host();
    dot_code code;
    if (!dot_case_compile(&c, mc, arena, &sink, &code)) {
        describe(&c);
        print_message("  does not compile: %s\n", sink.first ? sink.first->text : "?");
        return false;
    }
    bool right = true;
    if (!lens) {
        right = run_code(&c, mc, &code);
    }
    for (; lens && (*lens)[0] >= 0; lens++) {
        c.m_len = (*lens)[0];
        c.n_len = (*lens)[1];
        c.k_len = (*lens)[2];
        right = run_code(&c, mc, &code) && right;
    }
    dot_code_unmap(&code);
    return right;
}

static bool guarded_run(const dot_case *c, const int64_t (*lens)[3]) {
    tg_env env;
    tg_arena arena;
    jmp_buf oom;
    tg_env_init(&env, tg_allocator_default(), 0);
    if (TG_ENV_GUARD(&env, oom)) {
        return false;
    }
    tg_arena_init(&arena, &env);
    bool right = compile_and_run(*c, lens, &arena);
    tg_arena_fini(&arena);
    return right;
}

/* Compiles c and runs it with each set of lengths (ends with m -1); c's own when NULL. */
static void check_lens(dot_case c, const int64_t (*lens)[3]) { assert_true(guarded_run(&c, lens)); }

static void check(dot_case c) { check_lens(c, NULL); }

static dot_case f32_case(int64_t m, int64_t n, int64_t k) {
    return (dot_case){.m = m,
                      .n = n,
                      .k = k,
                      .m_len = m,
                      .n_len = n,
                      .k_len = k,
                      .fixed = true,
                      .a_type = TG_DT_F32,
                      .b_type = TG_DT_F32,
                      .compute = TG_DT_F32,
                      .a_by_k = true,
                      .a_base = true,
                      .b_base = true,
                      .acc_zero = true};
}

/* ---- tests
 * ----------------------------------------------------------------------------------------- */

static void fixed_shapes(void **state) {
    (void)state;
    static const int64_t shapes[][3] = {{1, 1, 1},    {6, 16, 8},   {7, 17, 5},  {13, 31, 29},
                                        {64, 64, 64}, {5, 3, 100},  {3, 40, 33}, {16, 24, 70},
                                        {31, 2, 19},  {12, 61, 97}, {33, 8, 40}, {2, 100, 3}};
    for (size_t i = 0; i < TG_COUNT_OF(shapes); i++) {
        for (int way = 0; way < 4; way++) {
            dot_case c = f32_case(shapes[i][0], shapes[i][1], shapes[i][2]);
            c.a_by_k = way & 1;
            c.b_by_k = way & 2;
            c.strided = i % 2;
            check(c);
        }
    }
}

static void through_callbacks_only(void **state) {
    (void)state;
    for (int way = 0; way < 4; way++) {
        dot_case c = f32_case(19, 37, 23);
        c.a_by_k = way & 1;
        c.b_by_k = way & 2;
        c.a_base = c.b_base = false;
        check(c);
        c.m = c.m_len = 3;
        check(c);
    }
}

static const int64_t lens_of_20_40_30[][3] = {
    {20, 40, 30}, {0, 40, 30}, {20, 0, 30}, {20, 40, 0}, {1, 40, 30},  {1, 1, 1},   {2, 39, 29},
    {4, 17, 8},   {5, 16, 7},  {6, 15, 16}, {7, 9, 9},   {13, 33, 17}, {19, 40, 1}, {-1, 0, 0}};

static void dynamic_lengths(void **state) {
    (void)state;
    for (int way = 0; way < 16; way++) {
        dot_case c = f32_case(20, 40, 30);
        c.fixed = false;
        c.a_by_k = way & 1;
        c.b_by_k = way & 2;
        c.acc_zero = way & 4;
        c.a_base = c.b_base = way & 8;
        check_lens(c, lens_of_20_40_30);
    }
}

static void long_and_unbounded_k(void **state) {
    (void)state;
    static const int64_t lens[][3] = {{40, 50, 1500}, {1, 50, 1500}, {3, 49, 1403},
                                      {20, 47, 2100}, {40, 50, 0},   {1, 50, 0},
                                      {40, 1, 5000},  {4, 3, 4999},  {-1, 0, 0}};
    for (int way = 0; way < 8; way++) {
        dot_case c = f32_case(40, 50, 0);
        c.fixed = false;
        c.k_len = 5000;
        c.a_by_k = way & 1;
        c.b_by_k = way & 2;
        c.acc_zero = way & 4;
        if (way & 1) {
            c.a_type = TG_DT_F64; /* staged: f64 in memory, f32 products would round: use f64 */
            c.b_type = c.compute = TG_DT_F64;
        }
        for (size_t i = 0; lens[i][0] >= 0; i++) {
            c.k_len = lens[i][2];
            c.k = 0;
            int64_t one[2][3] = {{lens[i][0], lens[i][1], lens[i][2]}, {-1, 0, 0}};
            check_lens(c, (const int64_t(*)[3])one);
        }
    }
    dot_case c = f32_case(17, 30, 3000); /* more than one block of a static k */
    check(c);
    c.b_by_k = true;
    check(c);
    c.m = c.m_len = 40;
    c.a_type = c.b_type = TG_DT_BF16;
    check(c);
}

static void wide_columns(void **state) {
    (void)state;
    dot_case c = f32_case(9, 1500, 200); /* more than one block of columns */
    check(c);
    c.b_by_k = true;
    c.m = c.m_len = 70;
    check(c);
    c.fixed = false;
    c.n_len = 1133;
    check(c);
}

/* Elements, products and sums below the normal numbers are kept; a few shapes of each form. */
static void tiny_elements(void **state) {
    (void)state;
    static const int powers[][2] = {{-130, 20}, {20, -130}, {-70, -70}, {-60, -66}, {-40, -62}};
    static const int64_t shapes[][3] = {{40, 70, 67}, {4, 33, 131}, {1, 9, 35},
                                        {33, 2, 99},  {17, 40, 64}, {9, 30, 3000}};
    for (size_t s = 0; s < TG_COUNT_OF(shapes); s++) {
        for (size_t i = 0; i < 4 * TG_COUNT_OF(powers); i++) {
            dot_case c = f32_case(shapes[s][0], shapes[s][1], shapes[s][2]);
            c.a_type = c.b_type = TG_DT_BF16;
            c.a_by_k = i & 1;
            c.b_by_k = i & 2;
            c.a_power = powers[i / 4][0];
            c.b_power = powers[i / 4][1];
            check(c);
        }
    }
}

/* Every code of f8e4m3 by a few numbers a row. */
static void all_codes(void **state) {
    (void)state;
    static const int64_t rows[] = {1, 2, 5, 16};
    for (size_t i = 0; i < TG_COUNT_OF(rows); i++) {
        dot_case c = f32_case(rows[i], 40, 32);
        c.a_type = c.b_type = TG_DT_F8E4M3;
        c.a_by_k = c.b_by_k = c.b_codes = true;
        c.a_power = 1;
        check(c);
    }
}

static void element_types(void **state) {
    (void)state;
    static const struct {
        tg_dtype a, b, compute;
    } types[] = {{TG_DT_F64, TG_DT_F64, TG_DT_F64},       {TG_DT_BF16, TG_DT_BF16, TG_DT_F32},
                 {TG_DT_F16, TG_DT_F16, TG_DT_F32},       {TG_DT_F32, TG_DT_BF16, TG_DT_F32},
                 {TG_DT_F8E4M3, TG_DT_F8E5M2, TG_DT_F32}, {TG_DT_I8, TG_DT_I8, TG_DT_I32},
                 {TG_DT_U8, TG_DT_I8, TG_DT_I32},         {TG_DT_I8, TG_DT_U8, TG_DT_I32},
                 {TG_DT_I32, TG_DT_I32, TG_DT_I32},       {TG_DT_I64, TG_DT_I64, TG_DT_I64},
                 {TG_DT_I16, TG_DT_I16, TG_DT_I32},       {TG_DT_I16, TG_DT_I16, TG_DT_I16},
                 {TG_DT_U16, TG_DT_U16, TG_DT_U16},       {TG_DT_U32, TG_DT_U32, TG_DT_U32},
                 {TG_DT_U64, TG_DT_U64, TG_DT_U64}};
    for (size_t t = 0; t < TG_COUNT_OF(types); t++) {
        for (int way = 0; way < 4; way++) {
            dot_case c = f32_case(20, 40, 30);
            c.fixed = false;
            c.a_type = types[t].a;
            c.b_type = types[t].b;
            c.compute = types[t].compute;
            c.a_by_k = way & 1;
            c.b_by_k = way & 2;
            c.acc_zero = t & 1;
            check_lens(c, lens_of_20_40_30);
            if (way == 0 || way == 3) { /* lengths known: whole vectors only, or an odd end */
                c = (dot_case){.m = 1,
                               .n = 33,
                               .k = 67,
                               .m_len = 1,
                               .n_len = 33,
                               .k_len = 67,
                               .fixed = true,
                               .a_type = c.a_type,
                               .b_type = c.b_type,
                               .compute = c.compute,
                               .a_by_k = c.a_by_k,
                               .b_by_k = c.b_by_k,
                               .a_base = true,
                               .b_base = true};
                check(c);
            }
        }
    }
}

/* Bytes of which more is known than their type: sums of 16 bits reach their ends and not beyond. */
static void known_ranges(void **state) {
    (void)state;
    static const struct {
        tg_dtype b;
        tg_range a_range, b_range;
    } of[] = {{TG_DT_I8, {-128, 127}, {-8, 7}},    {TG_DT_U8, {-128, 127}, {0, 15}},
              {TG_DT_I8, {-127, 127}, {-12, 12}},  {TG_DT_I8, {-128, 127}, {0, 127}},
              {TG_DT_U8, {-128, 127}, {100, 227}}, {TG_DT_I8, {-128, 127}, {-128, 0}},
              {TG_DT_I8, {-5, 3}, {-128, 127}},    {TG_DT_I8, {0, 127}, {-1, 0}},
              {TG_DT_U8, {-128, 127}, {0, 31}},    {TG_DT_I8, {-128, 127}, {3, 4}}};
    static const int64_t ks[] = {32, 70, 3};
    for (size_t t = 0; t < TG_COUNT_OF(of); t++) {
        for (int way = 0; way < 8; way++) {
            for (size_t k = 0; k < TG_COUNT_OF(ks); k++) {
                dot_case c = f32_case(way & 4 ? 1 : 13, 40, ks[k]);
                c.fixed = way & 1;
                c.a_type = TG_DT_I8;
                c.b_type = of[t].b;
                c.compute = TG_DT_I32;
                c.b_by_k = true;
                c.acc_zero = way & 2;
                c.a_range = of[t].a_range;
                c.b_range = of[t].b_range;
                check(c);
            }
        }
    }
}

static void masked_k(void **state) {
    (void)state;
    for (int way = 0; way < 8; way++) {
        dot_case c = f32_case(20, 40, 30);
        c.fixed = false;
        c.kmask = true;
        c.a_by_k = way & 1;
        c.b_by_k = way & 2;
        if (way & 4) {
            c.a_type = c.b_type = TG_DT_I8;
            c.compute = TG_DT_I32;
            check_lens(c, lens_of_20_40_30);
            c.a_range = (tg_range){-128, 127};
            c.b_range = (tg_range){-8, 7};
        }
        check_lens(c, lens_of_20_40_30);
    }
}

/* k shorter than a vector, and masked. */
static void masked_short_k(void **state) {
    (void)state;
    for (int64_t k = 1; k < 12; k += 3) {
        dot_case c = f32_case(4, 8, k);
        c.kmask = true;
        c.b_by_k = true;
        c.b_type = TG_DT_F16;
        check(c);
        c.acc_zero = c.a_base = false;
        check(c);
        c.b_by_k = false;
        c.m = c.m_len = 9;
        check(c);
    }
}

static void acc_pitch(void **state) {
    (void)state;
    dot_case c = f32_case(13, 24, 40);
    c.acc_pad = 8;
    check(c);
    c.acc_pad = 16;
    check(c);
    c.acc_zero = false;
    c.b_by_k = true;
    check(c);
}

static void few_columns(void **state) {
    (void)state;
    static const int64_t lens[][3] = {{50, 3, 90}, {50, 1, 90}, {49, 2, 77},
                                      {0, 3, 90},  {1, 3, 1},   {-1, 0, 0}};
    dot_case c = f32_case(50, 3, 90);
    c.fixed = false;
    check_lens(c, lens);
    c.a_type = TG_DT_BF16;
    c.b_by_k = true;
    c.acc_zero = false;
    check_lens(c, lens);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_shapes),    cmocka_unit_test(through_callbacks_only),
        cmocka_unit_test(dynamic_lengths), cmocka_unit_test(long_and_unbounded_k),
        cmocka_unit_test(wide_columns),    cmocka_unit_test(all_codes),
        cmocka_unit_test(element_types),   cmocka_unit_test(tiny_elements),
        cmocka_unit_test(known_ranges),    cmocka_unit_test(masked_k),
        cmocka_unit_test(acc_pitch),       cmocka_unit_test(masked_short_k),
        cmocka_unit_test(few_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
