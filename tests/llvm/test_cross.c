/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same loop functions compiled for every CPU machine. AArch64 and RISC-V blobs run under
 * qemu-user and must give the host's bytes exactly: IEEE arithmetic in a fixed order leaves no
 * freedom. Machines that cannot run here are compiled and laid out only. Skipped, with the reason
 * printed, where the cross compiler or the emulator is missing.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/llvm/harness.h"

enum { ELEMS = 64, LANES = 8, IN_BYTES = ELEMS * 8 * 2 };

typedef int32_t (*fn3)(const void *, const void *, void *);

/* ---- the functions: f(in, unused, out), in = ELEMS f64, ELEMS i64
 * --------------------------------------- */

typedef struct writer {
    struct tg_test_func *t;
    tg_builder *b;
    tg_value *in, *out;
    int64_t used; /* bytes of out */
} writer;

static writer begin(struct tg_test_func *t, const char *name) {
    const tg_type *p = tg_type_ptr(t->module), *types[3] = {p, p, p};
    tg_test_function(t, name, 3, types);
    return (writer){t, &t->b, t->func->body->args[0], t->func->body->args[2], 0};
}

static void put(writer *w, tg_value *v) {
    int64_t lanes = v->type->kind == TG_TY_VEC ? v->type->shape[0] : 1;
    tg_build_storem(w->b, tg_build_gep(w->b, w->out, tg_build_index(w->b, w->used), 1), v, 1);
    w->used += lanes * ((tg_dtype_bits(v->type->dtype) + 7) / 8);
}

/* LANES elements of the inputs as dtype t: floats from the f64 half, integers from the i64 half. */
static tg_value *take(writer *w, tg_dtype t, int64_t group) {
    bool is_float = tg_dtype_is_float(t);
    const tg_type *v = tg_type_vec(w->t->module, is_float ? TG_DT_F64 : TG_DT_I64, LANES);
    int64_t byte = (is_float ? 0 : ELEMS * 8) + group * LANES * 8;
    tg_value *x =
        tg_build_loadm(w->b, v, tg_build_gep(w->b, w->in, tg_build_index(w->b, byte), 1), 1);
    return tg_build_cast(w->b, x, t);
}

/* A loop over the groups of LANES inputs; each trip writes one row of results. */
static int64_t build_math(struct tg_test_func *t) {
    enum { GROUPS = ELEMS / LANES, ROW = TG_MATH_COUNT * LANES * 12 };
    writer w = begin(t, "math");
    tg_value *iv, *none[1];
    tg_op *loop = tg_build_for(w.b, tg_build_index(w.b, 0), tg_build_index(w.b, GROUPS),
                               tg_build_index(w.b, 1), 0, none, &iv);
    w.out = tg_build_gep(w.b, w.out, iv, ROW);
    w.in = tg_build_gep(w.b, w.in, iv, LANES * 8);
    for (int fn = 0; fn < TG_MATH_COUNT; fn++) {
        put(&w, tg_build_math(w.b, (tg_math_fn)fn, take(&w, TG_DT_F32, 0)));
        put(&w, tg_build_math(w.b, (tg_math_fn)fn, take(&w, TG_DT_F64, 0)));
    }
    tg_build_end_for(w.b, loop, 0, none);
    return (int64_t)GROUPS * ROW;
}

static int64_t build_convert(struct tg_test_func *t, const tg_machine *mc) {
    static const tg_dtype types[] = {TG_DT_F16,    TG_DT_BF16,   TG_DT_F8E4M3, TG_DT_F8E4M3FNUZ,
                                     TG_DT_F8E5M2, TG_DT_F8E8M0, TG_DT_F4E2M1, TG_DT_I8,
                                     TG_DT_U16,    TG_DT_I32,    TG_DT_U64,    TG_DT_I4};
    /* QEMU 7.2 aborts on the narrowing float-to-integer instructions of RISC-V V (an assertion in
     * its decode_save_opc), so there the conversion goes through i64, with the same result. */
    bool riscv = strncmp(mc->triple, "riscv", 5) == 0;
    writer w = begin(t, "convert");
    for (size_t i = 0; i < TG_COUNT_OF(types); i++) {
        for (int64_t g = 0; g < 2; g++) {
            bool by_i64 = riscv && tg_dtype_is_int(types[i]) && types[i] != TG_DT_U64;
            tg_value *v = take(&w, TG_DT_F64, g);
            v = by_i64 ? tg_build_cast(w.b, v, TG_DT_I64) : v;
            tg_value *c =
                tg_expand_convert(w.b, mc, v, v->type->dtype, types[i], TG_ROUND_RNE, by_i64);
            put(&w, c);
            put(&w, tg_expand_convert(w.b, mc, c, types[i], TG_DT_F32, TG_ROUND_RNE, false));
            put(&w, tg_expand_convert(w.b, mc, take(&w, TG_DT_I64, g), TG_DT_I64, types[i],
                                      TG_ROUND_RTZ, true));
        }
    }
    return w.used;
}

static int64_t build_elementwise(struct tg_test_func *t) {
    static const tg_dtype types[] = {TG_DT_I8,  TG_DT_U16, TG_DT_I32,
                                     TG_DT_U64, TG_DT_F32, TG_DT_F64};
    static const tg_opcode ops[] = {TG_OP_ADD, TG_OP_MUL, TG_OP_DIV,
                                    TG_OP_REM, TG_OP_MIN, TG_OP_MAX};
    writer w = begin(t, "elementwise");
    for (size_t i = 0; i < TG_COUNT_OF(types); i++) {
        tg_value *p = take(&w, types[i], 0), *q = take(&w, types[i], 1);
        for (size_t o = 0; o < TG_COUNT_OF(ops); o++) {
            put(&w, tg_build_binary(w.b, ops[o], p, q));
        }
        put(&w, tg_build_fma(w.b, p, q, take(&w, types[i], 2)));
        put(&w, tg_build_reducev(w.b, TG_RED_SUM, p));
        put(&w, tg_build_reducev(w.b, TG_RED_MAX, p));
        tg_value *less = tg_build_cmp(w.b, TG_CMP_LT, p, q);
        put(&w, tg_build_cast(w.b, less, TG_DT_U8));
        put(&w, tg_build_cast(w.b, tg_build_reducev(w.b, TG_RED_ANY, less), TG_DT_U8));
    }
    return w.used;
}

/* Masked, gathered and block-moved memory in a loop; every prefix length. */
static int64_t build_memory(struct tg_test_func *t) {
    writer w = begin(t, "memory");
    tg_builder *b = w.b;
    const tg_type *v = tg_type_vec(t->module, TG_DT_F32, LANES);
    const tg_type *vi = tg_type_vec(t->module, TG_DT_I32, LANES);
    tg_value *iv, *none[1];
    tg_op *loop = tg_build_for(b, tg_build_index(b, 0), tg_build_index(b, 12), tg_build_index(b, 1),
                               0, none, &iv);
    tg_value *row = tg_build_gep(b, w.out, iv, 64), *mask = tg_build_pmask(b, iv, LANES);
    tg_value *ld[3] = {tg_build_gep(b, w.in, iv, 4), mask, tg_build_float(b, v, -2)};
    tg_op *load = tg_build_op(b, TG_OP_LOADM, 3, ld, 1, &v, 0);
    tg_op_set_int(load, TG_ATTR_MASKED, 1);
    tg_build_storem(b, row, &load->results[0], 4);
    tg_value *lanes = tg_build1(b, TG_OP_LANES, vi, 0);
    tg_value *g[4] = {w.in, tg_build_binary(b, TG_OP_MUL, lanes, tg_build_int(b, vi, 3)),
                      tg_build_float(b, v, 0), mask};
    tg_op *gather = tg_build_op(b, TG_OP_GATHERM, 4, g, 1, &v, 0);
    tg_op_set_int(gather, TG_ATTR_BYTES, 4);
    tg_value *st[3] = {tg_build_gep(b, row, tg_build_index(b, 32), 1), &gather->results[0], mask};
    tg_op_set_int(tg_build_op(b, TG_OP_STOREM, 3, st, 0, NULL, 0), TG_ATTR_MASKED, 1);
    tg_build_end_for(b, loop, 0, none);
    tg_value *n = tg_build_loadm(b, tg_type_scalar(t->module, TG_DT_I64),
                                 tg_build_gep(b, w.in, tg_build_index(b, ELEMS), 8), 0);
    n = tg_build_binary(b, TG_OP_AND, n, tg_build_index(b, 127));
    tg_value *cp[3] = {tg_build_gep(b, w.out, tg_build_index(b, 768), 1), w.in, n};
    tg_build_op(b, TG_OP_MEMCPY, 3, cp, 0, NULL, 0);
    tg_value *set[3] = {tg_build_gep(b, w.out, tg_build_index(b, 900), 1),
                        tg_build_int(b, tg_type_scalar(t->module, TG_DT_U8), 0x5A), n};
    tg_build_op(b, TG_OP_MEMSET, 3, set, 0, NULL, 0);
    return 1100;
}

static const char *const names[] = {"math", "convert", "elementwise", "memory"};

static void build_all(struct tg_test_func *t, const tg_machine *mc, int64_t *sizes) {
    tg_test_begin(t);
    sizes[0] = build_math(t);
    sizes[1] = build_convert(t, mc);
    sizes[2] = build_elementwise(t);
    sizes[3] = build_memory(t);
}

/* ---- running
 * --------------------------------------------------------------------------------------- */

static void make_inputs(unsigned char *in) {
    double f[ELEMS];
    int64_t i[ELEMS];
    static const double special[] = {0.0, -0.0,  1,     -1,   1e9,   -3.5e20,
                                     0.3, 447.9, 1e-40, 6e-8, 1e300, 0.5};
    for (int k = 0; k < ELEMS; k++) {
        f[k] = k < 12 ? special[k] : (k * 0.37 - 11) * (k % 3 ? 1 : 0.01);
        i[k] = (int64_t)((uint64_t)(k + 1) * UINT64_C(0x9E3779B97F4A7C15)) >> (k * 5 % 64);
    }
    memcpy(in, f, sizeof f);
    memcpy(in + sizeof f, i, sizeof i);
}

static void write_file(const char *path, const void *data, size_t n) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void host_outputs(const unsigned char *in, unsigned char out[4][16384], int64_t *sizes) {
    struct tg_test_func t;
    struct tg_test_code code;
    build_all(&t, tg_machine_host(), sizes);
    assert_true(tg_test_load(t.module, NULL, &code));
    for (int k = 0; k < 4; k++) {
        memset(out[k], 0, 16384);
        assert_true(sizes[k] <= 16384);
        fn3 f = (fn3)(uintptr_t)tg_test_symbol(&code, names[k]);
        assert_int_equal(f(in, NULL, out[k]), 0);
    }
    tg_test_unload(&code);
    tg_test_end(&t);
}

/* NaN bits are a machine's own (x86's default NaN is negative): all NaNs of both sides become one.
 */
static void unify_nans(unsigned char *p, int64_t n) {
    for (int64_t k = 0; k + 4 <= n; k += 4) {
        uint32_t w;
        memcpy(&w, p + k, 4);
        if ((w & 0x7FF80000) == 0x7FF80000 || (w & 0x7FC00000) == 0x7FC00000) {
            w &= 0x7FFFFFFF;
            memcpy(p + k, &w, 4);
        }
    }
}

typedef struct route {
    const char *machine, *driver, *emulator;
} route;

static void compare(const route *r, const struct tg_test_code *code, int k, const char *dir,
                    unsigned char *want, int64_t n) {
    char command[1024], path[256];
    static unsigned char got[16384];
    uint64_t at = 0;
    for (size_t i = 0; i < code->blob.n_symbols; i++) {
        at = strcmp(code->blob.symbols[i].name, names[k]) == 0 ? code->blob.symbols[i].offset : at;
    }
    snprintf(command, sizeof command, "%s %s %s/blob %zu %llu %s/in %s/out %lld", r->emulator,
             r->driver, dir, code->blob.imports_offset, (unsigned long long)at, dir, dir,
             (long long)n);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof path, "%s/out", dir);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(got, 1, (size_t)n, f), n);
    fclose(f);
    unify_nans(got, n);
    for (int64_t i = 0; i < n; i++) {
        if (got[i] != want[i]) {
            fail_msg("%s %s: byte %lld is 0x%02x, the host has 0x%02x", r->machine, names[k],
                     (long long)i, got[i], want[i]);
        }
    }
}

static void run_route(const route *r) {
    static unsigned char in[IN_BYTES], want[4][16384];
    char dir[] = "/tmp/tegula-cross-XXXXXX", path[256];
    int64_t sizes[4], again[4];
    struct tg_test_func t;
    struct tg_test_code code;
    const tg_machine *mc = tg_machine_find(r->machine);
    assert_non_null(mc);
    make_inputs(in);
    host_outputs(in, want, sizes);
    build_all(&t, mc, again);
    assert_true(tg_test_load(t.module, mc, &code)); /* mapped here, never called */
    if (r->driver) {
        assert_non_null(mkdtemp(dir));
        snprintf(path, sizeof path, "%s/blob", dir);
        write_file(path, code.blob.bytes, code.blob.n_bytes);
        snprintf(path, sizeof path, "%s/in", dir);
        write_file(path, in, sizeof in);
        for (int k = 0; k < 4; k++) {
            assert_int_equal(sizes[k], again[k]);
            unify_nans(want[k], sizes[k]);
            compare(r, &code, k, dir, want[k], sizes[k]);
        }
        static const char *const files[] = {"blob", "in", "out"};
        for (size_t i = 0; i < 3; i++) {
            snprintf(path, sizeof path, "%s/%s", dir, files[i]);
            unlink(path);
        }
        rmdir(dir);
    }
    tg_test_unload(&code);
    tg_test_end(&t);
}

/* ---- a whole kernel
 * ---------------------------------------------------------------------------------- */

/*
 * linear_silu in f16 (linear_silu.ir): y = silu(x w^T + bias), ragged in every axis. The inputs are
 * multiples of 1/8 whose products add up exactly in f32, so blocking does not matter and every
 * machine must give the same bytes.
 */
enum {
    M = 19,
    N = 45,
    K = 70,
    W_AT = 8192,
    BIAS_AT = 16384,
    KERNEL_IN = 20480,
    Y_BYTES = M * N * 2
};

/* Slots by abi.h: address, extents, byte strides of x, w, bias, y; then the symbols M, K, N. */
static const struct {
    char base; /* i: input, o: output, n: number */
    int64_t v;
} kernel_slots[] = {{'i', 0}, {'n', M}, {'n', K},     {'n', K * 2}, {'n', 2},       {'i', W_AT},
                    {'n', N}, {'n', K}, {'n', K * 2}, {'n', 2},     {'i', BIAS_AT}, {'n', N},
                    {'n', 2}, {'o', 0}, {'n', M},     {'n', N},     {'n', N * 2},   {'n', 2},
                    {'n', M}, {'n', K}, {'n', N}};

static void load_kernel(struct tg_test_func *t, const tg_machine *mc, struct tg_test_code *code) {
    static char text[16384];
    FILE *f = fopen(TG_CROSS_KERNEL, "rb");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    tg_source source = {"linear_silu.ir", text, n};
    tg_module *tile = NULL;
    tg_sink sink;
    tg_test_begin(t);
    tg_sink_init(&sink, &t->arena);
    assert_int_equal(tg_module_parse(&source, &t->arena, &sink, &tile), TG_OK);
    assert_int_equal(tg_lower_cpu(tile->first_func, mc, t->module, &sink), TG_OK);
    assert_true(tg_test_load(t->module, mc, code));
}

static uint64_t symbol_offset(const struct tg_test_code *code, const char *name) {
    for (size_t i = 0; i < code->blob.n_symbols; i++) {
        if (strcmp(code->blob.symbols[i].name, name) == 0) {
            return code->blob.symbols[i].offset;
        }
    }
    fail_msg("no symbol %s", name);
    return 0;
}

static void kernel_inputs(unsigned char *in) {
    uint16_t *h = (uint16_t *)(void *)in;
    for (int i = 0; i < KERNEL_IN / 2; i++) {
        h[i] = (uint16_t)tg_float_encode(TG_DT_F16, (i * 37 % 33 - 16) / 8.0, TG_ROUND_RNE, false);
    }
}

static void run_kernel_here(unsigned char *in, unsigned char *out) {
    struct tg_test_func t;
    struct tg_test_code code;
    int64_t slots[TG_COUNT_OF(kernel_slots)];
    tg_cpu_plan plan = {0};
    struct tg_cpu_report report = {0, 0, 0};
    load_kernel(&t, tg_machine_host(), &code);
    for (size_t i = 0; i < TG_COUNT_OF(kernel_slots); i++) {
        unsigned char *base = kernel_slots[i].base == 'i' ? in : out;
        slots[i] = kernel_slots[i].base == 'n' ? kernel_slots[i].v
                                               : (int64_t)(intptr_t)(base + kernel_slots[i].v);
    }
    tg_cpu_plan_fn plan_fn = (tg_cpu_plan_fn)(uintptr_t)tg_test_symbol(&code, "linear_silu.plan");
    tg_cpu_phase_fn phase = (tg_cpu_phase_fn)(uintptr_t)tg_test_symbol(&code, "linear_silu.phase0");
    assert_int_equal(plan_fn(slots, &plan), 0);
    assert_int_equal(plan.n_phases, 1);
    void *scratch = aligned_alloc(64, (size_t)(plan.scratch_bytes + 127) / 64 * 64);
    void *shared = aligned_alloc(64, (size_t)(plan.shared_bytes + 127) / 64 * 64);
    assert_int_equal(phase(slots, 0, plan.programs[0], scratch, shared, &report), 0);
    free(scratch);
    free(shared);
    tg_test_unload(&code);
    tg_test_end(&t);
}

/* A few elements by hand, so that the machines do not merely agree with each other. */
static void check_here(const unsigned char *in, const unsigned char *out) {
    const uint16_t *h = (const uint16_t *)(const void *)in,
                   *y = (const uint16_t *)(const void *)out;
    for (int e = 0; e < M * N; e += 7) {
        double sum = tg_float_decode(TG_DT_F16, h[BIAS_AT / 2 + e % N]);
        for (int k = 0; k < K; k++) {
            sum += tg_float_decode(TG_DT_F16, h[e / N * K + k]) *
                   tg_float_decode(TG_DT_F16, h[W_AT / 2 + e % N * K + k]);
        }
        double want = sum / (1 + exp(-sum)), got = tg_float_decode(TG_DT_F16, y[e]);
        assert_true(fabs(got - want) <= fabs(want) * 0x1p-10 + 1e-7);
    }
}

static void cross_kernel(const char *machine, const char *driver, const char *emulator) {
    static unsigned char in[KERNEL_IN], want[Y_BYTES], got[Y_BYTES];
    char dir[] = "/tmp/tegula-cross-XXXXXX", path[3][64], command[2048];
    struct tg_test_func t;
    struct tg_test_code code;
    kernel_inputs(in);
    run_kernel_here(in, want);
    check_here(in, want);
    load_kernel(&t, tg_machine_find(machine), &code);
    assert_non_null(mkdtemp(dir));
    for (int i = 0; i < 3; i++) {
        snprintf(path[i], sizeof path[i], "%s/%s", dir, i == 0 ? "blob" : i == 1 ? "in" : "out");
    }
    write_file(path[0], code.blob.bytes, code.blob.n_bytes);
    write_file(path[1], in, sizeof in);
    int at = snprintf(
        command, sizeof command, "%s %s %s %zu %llu %s %s %d %llu", emulator, driver, path[0],
        code.blob.imports_offset, (unsigned long long)symbol_offset(&code, "linear_silu.plan"),
        path[1], path[2], Y_BYTES, (unsigned long long)symbol_offset(&code, "linear_silu.phase0"));
    for (size_t i = 0; i < TG_COUNT_OF(kernel_slots); i++) {
        at += snprintf(command + at, sizeof command - (size_t)at, " %c%lld", kernel_slots[i].base,
                       (long long)kernel_slots[i].v);
    }
    assert_int_equal(system(command), 0);
    FILE *f = fopen(path[2], "rb");
    assert_non_null(f);
    assert_int_equal(fread(got, 1, sizeof got, f), sizeof got);
    fclose(f);
    assert_memory_equal(got, want, sizeof want);
    for (int i = 0; i < 3; i++) {
        unlink(path[i]);
    }
    rmdir(dir);
    tg_test_unload(&code);
    tg_test_end(&t);
}

static void cross(const char *machine, const char *driver, const char *emulator) {
    if (driver[0] == '\0' || emulator[0] == '\0') {
        printf("skipped: %s needs a cross compiler and qemu-user\n", machine);
        skip();
    }
    run_route(&(route){machine, driver, emulator});
    cross_kernel(machine, driver, emulator);
}

static void test_aarch64_neon(void **state) {
    (void)state;
    cross("aarch64-neon", TG_AARCH64_DRIVER, TG_AARCH64_QEMU);
}

static void test_aarch64_sve(void **state) {
    (void)state;
    cross("aarch64-sve", TG_AARCH64_DRIVER, TG_AARCH64_QEMU);
}

static void test_riscv64_v(void **state) {
    (void)state;
    cross("riscv64-v", TG_RISCV64_DRIVER, TG_RISCV64_QEMU);
}

/* Assembled and laid out, not run. */
static void test_assembled(void **state) {
    (void)state;
    static const char *const machines[] = {"x86-64-v4", "x86-64-avx512-vnni", "x86-64-avx512-bf16"};
    for (size_t i = 0; i < TG_COUNT_OF(machines); i++) {
        run_route(&(route){machines[i], NULL, NULL});
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_aarch64_neon),
        cmocka_unit_test(test_aarch64_sve),
        cmocka_unit_test(test_riscv64_v),
        cmocka_unit_test(test_assembled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
