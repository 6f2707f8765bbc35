/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations of SIMT loop functions on a device against the same operation compiled for the host's
 * processor: every lane takes its operands from tables of awkward values. NaNs are equal to
 * each other, all else bit by bit.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/device/harness.h"
#include "tests/llvm/harness.h"

enum { LANES = 64, PROGRAMS = 8, N = LANES * PROGRAMS };

typedef struct op_case {
    const char *op;  /* "add %x, %y", "cmp %x, %y {pred = lt}" */
    const char *in;  /* dtype of x, y, z */
    const char *out; /* of the result */
} op_case;

/* ---- values -----------------------------------------------------------------------------------
 */

static uint64_t rng_state;

static uint64_t draw(void) {
    rng_state = rng_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    uint64_t x = rng_state ^ rng_state >> 33;
    x *= UINT64_C(0xff51afd7ed558ccd);
    return x ^ x >> 29;
}

static int bytes_of(const char *t) { return strcmp(t, "bool") == 0 ? 1 : atoi(t + 1) / 8; }

static uint64_t float_bits(bool wide) {
    static const double special[] = {0.0,
                                     -0.0,
                                     1.0,
                                     -1.0,
                                     0.5,
                                     1.5,
                                     2.5,
                                     -2.5,
                                     127.5,
                                     128.0,
                                     255.5,
                                     32767.9,
                                     65536.0,
                                     2147483520.0,
                                     2147483648.0,
                                     -2147483648.0,
                                     4294967296.0,
                                     9.3e18,
                                     -9.3e18,
                                     1.9e19,
                                     1e30,
                                     -1e30,
                                     INFINITY,
                                     -INFINITY,
                                     NAN,
                                     3.4028234663852886e38,
                                     1.1754943508222875e-38,
                                     1e-40,
                                     -3e-41,
                                     1.401298464324817e-45,
                                     5e-324,
                                     -1e-310};
    double v = special[draw() % (sizeof special / sizeof special[0])];
    uint64_t kind = draw() % 4;
    if (kind == 1) {
        v = ldexp((double)(int64_t)(draw() >> 20), -(int)(draw() % 60));
        v = draw() & 1 ? -v : v;
    } else if (kind == 2) {
        v = (double)(int64_t)(draw() % 2001) - 1000;
    }
    if (wide) {
        uint64_t bits;
        memcpy(&bits, &v, 8);
        return bits;
    }
    float f = (float)v;
    uint32_t bits;
    memcpy(&bits, &f, 4);
    return bits;
}

static uint64_t element(const char *t) {
    static const int64_t special[] = {
        0,   1,   -1,   2,   3,     5,      7,     31,        32,        33,        63,       64,
        127, 128, -128, 255, 32767, -32768, 65535, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    if (t[0] == 'f') {
        return float_bits(t[1] == '6');
    }
    if (t[0] == 'b') {
        return draw() & 1;
    }
    uint64_t kind = draw() % 3;
    return kind == 0   ? (uint64_t)special[draw() % (sizeof special / sizeof special[0])]
           : kind == 1 ? draw() % 17
                       : draw();
}

/* ---- the two programs ---------------------------------------------------------------------------
 */

static void inner(char *to, size_t size, const op_case *c, const char *index) {
    int in = bytes_of(c->in), out = bytes_of(c->out);
    snprintf(to, size,
             "%%px = gep %%a, %s {bytes = %d} : ptr\n%%py = gep %%b, %s {bytes = %d} : ptr\n"
             "%%pz = gep %%c, %s {bytes = %d} : ptr\n%%pr = gep %%d, %s {bytes = %d} : ptr\n"
             "%%x = loadm %%px : %s\n%%y = loadm %%py : %s\n%%z = loadm %%pz : %s\n"
             "%%r = %s : %s\nstorem %%pr, %%r\n",
             index, in, index, in, index, in, index, out, c->in, c->in, c->in, c->op, c->out);
}

static const char slots_text[] = "%a = slot %slots {i = 0} : ptr\n%b = slot %slots {i = 1} : ptr\n"
                                 "%c = slot %slots {i = 2} : ptr\n%d = slot %slots {i = 3} : ptr\n";

static void simt_text(char *to, size_t size, const op_case *c) {
    char body[2048];
    inner(body, sizeof body, c, "%at");
    snprintf(to, size,
             "tegula-ir 1\nkernel loop k {\nrole simt\nprogram lanes %d shared 0 scratch 0\n"
             "body (%%slots: ptr, %%p: i64, %%lane: i32, %%scratch: ptr, %%report: ptr) {\n%s"
             "%%n = const {i = %d} : i64\n%%s = mul %%p, %%n : i64\n%%l = cast %%lane : i64\n"
             "%%at = add %%s, %%l : i64\n%syield\n}\n}\n",
             LANES, slots_text, LANES, body);
}

static void cpu_text(char *to, size_t size, const op_case *c) {
    char body[2048];
    inner(body, sizeof body, c, "%i");
    snprintf(to, size,
             "tegula-ir 1\nkernel loop k {\nrole phase0\n"
             "body (%%slots: ptr, %%begin: i64, %%end: i64, %%s1: ptr, %%s2: ptr, %%rep: ptr) {\n"
             "%s%%one = const {i = 1} : i64\nfor %%begin, %%end, %%one (%%i: i64) {\n%syield\n}\n"
             "yield\n}\n}\n",
             slots_text, body);
}

/* ---- running both -------------------------------------------------------------------------------
 */

static void run_cpu(const op_case *c, const int64_t *slots) {
    tg_env env;
    jmp_buf oom;
    tg_arena a;
    tg_sink sink;
    char text[4096];
    struct tg_test_code code;
    tg_module *m = NULL;
    cpu_text(text, sizeof text, c);
    tg_env_init(&env, tg_allocator_default(), 0);
    if (TG_ENV_GUARD(&env, oom)) {
        fail();
    }
    tg_arena_init(&a, &env);
    tg_sink_init(&sink, &a);
    tg_source src = {.name = "cpu.ir", .text = text, .len = strlen(text)};
    assert_int_equal(tg_module_parse(&src, &a, &sink, &m), TG_OK);
    assert_true(tg_test_load(m, NULL, &code));
    void *symbol = tg_test_symbol(&code, "k");
    tg_cpu_phase_fn fn;
    memcpy(&fn, &symbol, sizeof fn);
    struct tg_cpu_report report = {0};
    assert_int_equal(fn(slots, 0, N, NULL, NULL, &report), 0);
    tg_test_unload(&code);
    tg_arena_fini(&a);
}

static bool is_nan(const char *t, uint64_t bits) {
    return t[0] == 'f' && (t[1] == '3' ? (bits & 0x7fffffff) > 0x7f800000
                                       : (bits << 1) > UINT64_C(0xffe0000000000000));
}

static int compare(const op_case *c, unsigned char in[3][N * 8], const unsigned char *want,
                   const unsigned char *got) {
    int size = bytes_of(c->out), from = bytes_of(c->in), wrong = 0;
    for (int i = 0; i < N; i++) {
        uint64_t w = 0, g = 0, x[3] = {0};
        memcpy(&w, want + i * size, (size_t)size);
        memcpy(&g, got + i * size, (size_t)size);
        for (int k = 0; k < 3; k++) {
            memcpy(&x[k], in[k] + i * from, (size_t)from);
        }
        if (w != g && !(is_nan(c->out, w) && is_nan(c->out, g)) && wrong++ < 3) {
            fprintf(stderr, "%s of %s: x %llx y %llx z %llx: %llx, not %llx\n", c->op, c->in,
                    (unsigned long long)x[0], (unsigned long long)x[1], (unsigned long long)x[2],
                    (unsigned long long)g, (unsigned long long)w);
        }
    }
    return wrong;
}

static int check_op(dvt *t, const op_case *c) {
    static unsigned char in[3][N * 8], want[N * 8], got[N * 8];
    tgr_memory memory[4];
    int64_t slots[4];
    char text[4096];
    int size = bytes_of(c->in);
    rng_state = 12345;
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < N; i++) {
            uint64_t e = element(c->in);
            memcpy(in[k] + i * size, &e, (size_t)size);
        }
        slots[k] = (int64_t)(uintptr_t)in[k];
    }
    slots[3] = (int64_t)(uintptr_t)want;
    run_cpu(c, slots);
    for (int k = 0; k < 4; k++) {
        size_t bytes = (size_t)N * (size_t)(k < 3 ? size : bytes_of(c->out));
        slots[k] = (int64_t)dvt_put(t, k < 3 ? in[k] : NULL, bytes, &memory[k]);
    }
    simt_text(text, sizeof text, c);
    dvt_run(t, text, "k", slots, 4, PROGRAMS, 0, NULL);
    dvt_get(t, &memory[3], got);
    for (int k = 0; k < 4; k++) {
        dvt_free(t, &memory[k]);
    }
    return compare(c, in, want, got);
}

/* ---- the tables ---------------------------------------------------------------------------------
 */

static const char *const integers[] = {"i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"};
static const char *const floats[] = {"f32", "f64"};
static const char *const all[] = {"i8",  "i16", "i32", "i64", "u8",  "u16",
                                  "u32", "u64", "f32", "f64", "bool"};
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *const common[] = {"add %x, %y", "sub %x, %y", "mul %x, %y",
                                     "div %x, %y", "min %x, %y", "max %x, %y",
                                     "neg %x",     "abs %x",     "fma %x, %y, %z"};
static const char *const whole[] = {"rem %x, %y", "and %x, %y", "or %x, %y",  "xor %x, %y",
                                    "not %x",     "shl %x, %y", "shr %x, %y", "popcount %x"};
static const char *const real[] = {"math %x {fn = sqrt}", "math %x {fn = floor}",
                                   "math %x {fn = ceil}", "math %x {fn = round}"};
static const char *const truth[] = {"and %x, %y", "or %x, %y", "xor %x, %y", "not %x",
                                    "select %x, %y, %z"};
static const char *const compares[] = {"eq", "ne", "lt", "le", "gt", "ge"};

static int wrong_ops(dvt *t, const char *const *ops, size_t n_ops, const char *const *types,
                     size_t n_types) {
    int wrong = 0;
    for (size_t o = 0; o < n_ops; o++) {
        for (size_t k = 0; k < n_types; k++) {
            op_case c = {ops[o], types[k], types[k]};
            wrong += check_op(t, &c);
        }
    }
    return wrong;
}

static void test_integers(void **state) {
    dvt *t = *state;
    assert_int_equal(wrong_ops(t, common, COUNT(common), integers, COUNT(integers)) +
                         wrong_ops(t, whole, COUNT(whole), integers, COUNT(integers)),
                     0);
}

static void test_floats(void **state) {
    dvt *t = *state;
    assert_int_equal(wrong_ops(t, common, COUNT(common), floats, COUNT(floats)) +
                         wrong_ops(t, real, COUNT(real), floats, COUNT(floats)),
                     0);
}

static void test_bools(void **state) {
    static const char *const one[] = {"bool"};
    assert_int_equal(wrong_ops(*state, truth, COUNT(truth), one, 1), 0);
}

static void test_compares(void **state) {
    int wrong = 0;
    for (size_t p = 0; p < COUNT(compares); p++) {
        for (size_t k = 0; k < COUNT(all); k++) {
            char op[64];
            snprintf(op, sizeof op, "cmp %%x, %%y {pred = %s}", compares[p]);
            op_case c = {op, all[k], "bool"};
            wrong += check_op(*state, &c);
        }
    }
    assert_int_equal(wrong, 0);
}

static void test_casts(void **state) {
    int wrong = 0;
    for (size_t from = 0; from < COUNT(all); from++) {
        for (size_t to = 0; to < COUNT(all); to++) {
            op_case c = {"cast %x", all[from], all[to]};
            wrong += from == to ? 0 : check_op(*state, &c);
        }
    }
    assert_int_equal(wrong, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers), cmocka_unit_test(test_floats),
        cmocka_unit_test(test_bools),    cmocka_unit_test(test_compares),
        cmocka_unit_test(test_casts),
    };
    return cmocka_run_group_tests(tests, dvt_begin, dvt_finish);
}
