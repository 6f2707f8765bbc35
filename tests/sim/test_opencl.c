/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_opencl [FOLDER MACHINE...]: OpenCL kernels as clang compiled them for AMD's machines
 * (opencl/make_hsaco.sh), told a second time in C. Expressions (opencl/NAME.def) are told once and
 * compiled by the host's compiler. Without arguments: the code that is kept.
 */
#include <math.h>
#include <time.h>

#include "opencl/reference.h"
#include "simtest.h"
#include "sim/amdgcn/amd.h"

static const char *folder = TESTS_SIM_DIR "/opencl";
static const char *row; /* of the machine: 942, 90a */
static int machine_number;
static double lanes, seconds; /* lane-instructions, and the CPU time that they took */

/* ---- what words are -----------------------------------------------------------------------------
 */

static bool is_nan16(uint32_t v) { return (v & 0x7fff) > 0x7c00; }
static bool is_nan32(uint32_t v) { return (v & 0x7fffffff) > 0x7f800000; }

static bool alike(const cl_case *c, const uint32_t *got, const uint32_t *want, uint32_t i) {
    uint32_t g = got[i], w = want[i];
    if (g == w) {
        return true;
    }
    switch (c->compare) {
    case AS_HALVES:
        return (((g ^ w) & 0xffff) == 0 || (is_nan16(g) && is_nan16(w))) &&
               (((g ^ w) >> 16) == 0 || (is_nan16(g >> 16) && is_nan16(w >> 16)));
    case AS_FLOATS:
        return is_nan32(g) && is_nan32(w);
    case AS_DOUBLES:
        return is_nan32(got[i | 1] | (got[i & ~1u] != 0)) &&
               is_nan32(want[i | 1] | (want[i & ~1u] != 0));
    case AS_NEAR: {
        double a = (double)amd_as_f32(g), b = (double)amd_as_f32(w);
        return (isnan(a) && isnan(b)) || fabs(a - b) <= 1e-6 * fabs(b) + 1e-7;
    }
    case AS_WORDS:
        break;
    }
    return false;
}

/* ---- inputs -------------------------------------------------------------------------------------
 */

static uint32_t special_float(uint32_t r) {
    static const float some[] = {0.0f,
                                 -0.0f,
                                 1.0f,
                                 -1.0f,
                                 0.5f,
                                 2.0f,
                                 1e-40f,
                                 -1e-44f,
                                 3.4e38f,
                                 -3.4e38f,
                                 1.5f,
                                 -2.5f,
                                 65504.0f,
                                 65520.0f,
                                 1e-8f,
                                 16777217.0f,
                                 4e9f,
                                 -3e9f,
                                 0.49999997f,
                                 8388609.0f,
                                 (float)INFINITY,
                                 -(float)INFINITY,
                                 (float)NAN};
    return amd_of_f32(some[r % (sizeof some / sizeof *some)]);
}
static uint64_t special_double(uint32_t r) {
    static const double some[] = {0,
                                  -0.0,
                                  1,
                                  -1,
                                  0.5,
                                  1e-310,
                                  1e308,
                                  -1.7e308,
                                  2147483648.5,
                                  -2.5,
                                  9007199254740993.0,
                                  1e19,
                                  3e-320,
                                  1.5,
                                  (double)INFINITY,
                                  -(double)INFINITY,
                                  (double)NAN};
    return amd_of_f64(some[r % (sizeof some / sizeof *some)]);
}
/* Whole numbers from -4 to 4 as halves. */
static uint32_t small_half(uint32_t r) { return amd_f16_round((double)(r % 9) - 4); }

static uint32_t drawn(fill_kind kind, uint32_t i, uint64_t *state) {
    uint32_t r = simtest_draw(state), q = simtest_draw(state);
    switch (kind) {
    case FILL_WORDS:
        return q % 4 == 0 ? r >> (q >> 8 & 31) : q % 4 == 1 ? ~(r >> (q >> 8 & 31)) : r;
    case FILL_MODERATE:
        return amd_of_f32((float)((int32_t)r >> 12) * 0x1p-16f);
    case FILL_FLOATS:
        return q % 4 == 0   ? special_float(q >> 8)
               : q % 4 == 1 ? r
                            : amd_of_f32((float)((int32_t)r >> 12) * 0x1p-14f);
    case FILL_HALVES:
        return i >= N / 2 ? amd_of_f32((float)(r % 9) - 4) : small_half(r) | small_half(q) << 16;
    case FILL_LANES:
        return r & 63;
    case FILL_DOUBLES:
        break;
    }
    return 0;
}

static void draw(fill_kind kind, uint32_t *to, uint64_t seed) {
    for (uint32_t i = 0; i < INPUT; i++) {
        to[i] = drawn(kind, i, &seed);
    }
    for (uint32_t i = 0; kind == FILL_DOUBLES && i < INPUT; i += 2) {
        uint64_t r = (uint64_t)simtest_draw(&seed) << 32 | simtest_draw(&seed);
        uint32_t q = simtest_draw(&seed);
        uint64_t v = q % 4 == 0   ? special_double(q >> 8)
                     : q % 4 == 1 ? r
                                  : amd_of_f64((double)((int64_t)r >> 20) * 0x1p-30);
        memcpy(to + i, &v, sizeof v);
    }
}

/* ---- launches -----------------------------------------------------------------------------------
 */

static char *read_code(const char *name, size_t *n) {
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s_%s.hsaco", folder, name, row);
    FILE *f = fopen(path, "rb");
    char *bytes = calloc(1, 1 << 20);
    assert_non_null(f);
    assert_non_null(bytes);
    *n = fread(bytes, 1, 1 << 20, f);
    (void)fclose(f);
    return bytes;
}

/* Arguments, and behind them the hidden ones of code object version 5 (LLVM, "User Guide for AMDGPU
 * Backend", Code Object V5 Metadata). */
static void make_arguments(const cl_case *c, const uint64_t address[3], uint8_t to[1024]) {
    size_t at = 28;
    uint16_t dims = 3;
    memset(to, 0, 1024);
    memcpy(to, address, 24);
    memcpy(to + 24, &c->n, 4);
    if (c->more) {
        memcpy(to + 32, c->more, c->more_bytes);
        at = 32 + c->more_bytes;
    }
    at = (at + 7) / 8 * 8;
    memcpy(to + at, c->groups, 12);
    for (size_t i = 0; i < 3; i++) {
        uint16_t size = (uint16_t)c->lanes[i];
        memcpy(to + at + 12 + 2 * i, &size, 2);
    }
    memcpy(to + at + 64, &dims, 2);
}

/* False, and told why, where anything is wrong. */
static bool run_case(const char *file, const cl_case *c) {
    static uint32_t a[INPUT], b[INPUT], out[OUTPUT], want[OUTPUT];
    char message[256];
    uint8_t arguments[1024];
    size_t n;
    bool wrong = false;
    sim_machine *m = sim_machine_make(machine_number);
    struct sim_module *code = NULL;
    static sim_report report;
    char *bytes = read_code(file, &n);
    draw(c->a, a, 17);
    draw(c->b, b, 99);
    for (uint32_t i = 0; i < OUTPUT; i++) {
        out[i] = FILL;
    }
    if (c->prepare) {
        c->prepare(a, b, out);
    }
    memcpy(want, out, sizeof want);
    c->reference(a, b, want, (int)c->n, machine_number == 1100 ? 32 : 64);
    uint64_t at[3] = {sim_memory_alloc(m, sizeof out), sim_memory_alloc(m, sizeof a),
                      sim_memory_alloc(m, sizeof b)};
    assert_true(sim_memory_write(m, at[0], out, sizeof out) &&
                sim_memory_write(m, at[1], a, sizeof a) && sim_memory_write(m, at[2], b, sizeof b));
    if (amd_module_load(m, bytes, n, &code, message) != SIM_OK) {
        fail_msg("%s, gfx%d: %s", file, machine_number, message);
    }
    const sim_kernel *k = amd_module_kernel(code, c->kernel ? c->kernel : c->name);
    assert_non_null(k);
    make_arguments(c, at, arguments);
    sim_launch_options o = {.seed = 5, .most_issues = 1 << 24};
    memcpy(o.grid, c->groups, sizeof o.grid);
    memcpy(o.block, c->lanes, sizeof o.block);
    clock_t begin = clock();
    sim_status st = amd_launch(m, k, &o, arguments, &report);
    seconds += (double)(clock() - begin) / CLOCKS_PER_SEC;
    lanes += (double)report.counters.lanes;
    if (st != SIM_OK) {
        simtest_print(&report);
        print_error("%s, gfx%d: %s\n", c->name, machine_number, report.message);
        wrong = true;
    }
    assert_true(sim_memory_read(m, out, at[0], sizeof out));
    for (uint32_t i = 0; i < OUTPUT && !wrong; i++) {
        if (!alike(c, out, want, i)) {
            print_error("%s, gfx%d: word %u (%u of %u) is 0x%08x, not 0x%08x; a 0x%08x, b 0x%08x\n",
                        c->name, machine_number, i, i % N, i / N, out[i], want[i], a[i % N],
                        b[i % N]);
            wrong = true;
        }
    }
    amd_module_free(code);
    sim_machine_free(m);
    free(bytes);
    return !wrong;
}

static void all_cases(void **state) {
    const struct {
        const char *name;
        const cl_case *cases;
        size_t n;
    } files[] = {{"elements", cl_elements, cl_n_elements},
                 {"groups", cl_groups, cl_n_groups},
                 {"flow", cl_flow, cl_n_flow},
                 {"matrix", cl_matrix, cl_n_matrix}};
    int ran = 0, right = 0;
    lanes = seconds = 0;
    (void)state;
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        for (size_t i = 0; i < files[f].n; i++) {
            const cl_case *c = &files[f].cases[i];
            if (c->machine == 0 || c->machine == machine_number) {
                right += run_case(files[f].name, c);
                ran++;
            }
        }
    }
    print_message("gfx%d: %d of %d kernels, %.1f million lane-instructions a second\n",
                  machine_number, right, ran, lanes / seconds / 1e6);
    assert_int_equal(right, ran);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_cases)};
    static const char *const kept[] = {"942", "1100"};
    folder = argc > 1 ? argv[1] : folder;
    int n = argc > 2 ? argc - 2 : 2, bad = 0;
    for (int i = 0; i < n; i++) {
        row = argc > 2 ? argv[2 + i] : kept[i];
        machine_number = (int)strtol(row, NULL, 10);
        bad += cmocka_run_group_tests(tests, NULL, NULL) != 0;
    }
    return bad;
}
