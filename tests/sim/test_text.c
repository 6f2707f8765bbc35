/* SPDX-License-Identifier: Apache-2.0 */
/* Text of any kind: what is no PTX, or PTX that is not simulated, is refused with its line. */
#include "simtest.h"

#define HEAD ".version 8.0\n.target sm_80\n.address_size 64\n"

static sim_status load_on(int sm, const char *text, size_t n, char message[256]) {
    sim_machine *m = sim_machine_make(sm);
    sim_module *module = NULL;
    assert_non_null(m);
    sim_status st = sim_module_load(m, text, n, &module, message);
    if (st == SIM_OK) {
        sim_module_free(module);
    }
    sim_machine_free(m);
    return st;
}

static sim_status load(const char *text, size_t n, char message[256]) {
    return load_on(80, text, n, message);
}

static void refused(void **state) {
    static const struct {
        const char *body, *says;
    } list[] = {{"tex.2d.v4.f32.f32 {%r1}, [t, {%r2}];", "tex.2d"},
                {"add.sat.u32 %r1, %r2, %r3;", ".sat"},
                {"add.u32 %r1, %r2, %q3;", "%q3"},
                {"add.u32 1, %r2, %r3;", "operand 1"},
                {"add.u32 %r1, %r2;", "`,` expected"},
                {"bra nowhere;", "no label `nowhere`"},
                {"@%r1 bra A; A: ret;", "no predicate"},
                {"ld.global.u32 %r1, %r2;", "`[` expected"},
                {"mov.u32 %tid.x, %r2;", "operand 1"},
                {"call f;", "the call of `f`"},
                {".reg .b32 %z<99999999>;", "2^20"},
                {"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%r1,%r2,%r3,%r4}, "
                 "{%r1,%r2,%r3}, {%r1,%r2}, {%r1,%r2,%r3,%r4};",
                 "is not simulated"},
                {"fma.rn.relu.f32 %r1, %r1, %r1, %r1;", "rounding"},
                {"add.u32 %r1, %r2, %r3", "`;` expected"}};
    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        char text[1024], message[256];
        (void)snprintf(text, sizeof text, "%s.entry k()\n{\n.reg .b32 %%r<9>;\n%s\n}\n", HEAD,
                       list[i].body);
        sim_status st = load(text, strlen(text), message);
        if (st == SIM_OK || !strstr(message, list[i].says)) {
            fail_msg("`%s`: status %d, `%s`", list[i].body, (int)st, message);
        }
        assert_non_null(strstr(message, "line "));
    }
}

static void targets(void **state) {
    char message[256];
    (void)state;
    const char *text = ".version 8.0\n.target sm_90a\n.address_size 64\n";
    assert_int_equal(load(text, strlen(text), message), SIM_E_UNSUPPORTED);
    assert_non_null(strstr(message, "sm_90a"));
    text = ".version 8.0\n.target sm_80\n.address_size 32\n";
    assert_int_equal(load(text, strlen(text), message), SIM_E_UNSUPPORTED);
    assert_int_equal(load("", 0, message), SIM_OK);
}

/* Cut anywhere, or with bytes changed: refused or read, nothing else. The sanitizers watch. */
static void break_text(const char *file, int sm) {
    char *text = simtest_file(file), message[256];
    size_t n = strlen(text);
    uint64_t seed = 9;
    int refusals = 0;
    for (int i = 0; i < 150; i++) {
        refusals += load_on(sm, text, simtest_draw(&seed) % n, message) != SIM_OK;
    }
    assert_true(refusals > 100);
    for (int i = 0; i < 150; i++) {
        char *own = strdup(text);
        assert_non_null(own);
        for (int k = 0; k < 4; k++) {
            own[simtest_draw(&seed) % n] = (char)(simtest_draw(&seed) % 127);
        }
        (void)load_on(sm, own, n, message);
        free(own);
    }
    free(text);
}

static void broken(void **state) {
    (void)state;
    break_text("cuda/block.ptx", 80);
    break_text("cuda/async.ptx", 90);
    break_text("triton/attention_tma_90.ptx", 90);
}

/* Launches that cannot be are refused before anything runs. */
static void launches(void **state) {
    (void)state;
    char *text = simtest_file("cuda/block.ptx");
    simtest *s = simtest_open(text, 80, 1);
    assert_int_equal(simtest_run(s, "reverse", 0, 256, 0), SIM_E_ARGUMENT);
    assert_int_equal(simtest_run(s, "reverse", 1, 1025, 0), SIM_E_ARGUMENT);
    s->options.dynamic_shared = 300 * 1024;
    assert_int_equal(simtest_run(s, "reverse", 1, 256, 0), SIM_E_ARGUMENT);
    s->options.dynamic_shared = 0;
    s->options.cluster[0] = 3;
    assert_int_equal(simtest_run(s, "reverse", 4, 256, 0), SIM_E_ARGUMENT);
    assert_null(sim_module_kernel(s->module, "nothing"));
    simtest_close(s);
    free(text);
    text = simtest_file("cuda/hopper.ptx"); /* a kernel that names its clusters */
    s = simtest_open(text, 90, 1);
    assert_int_equal(simtest_run(s, "clustered", 4, 256, 0), SIM_OK); /* and has them */
    s->options.cluster[0] = 4;
    assert_int_equal(simtest_run(s, "clustered", 4, 256, 0), SIM_E_ARGUMENT);
    assert_non_null(strstr(s->report.message, "clusters"));
    simtest_close(s);
    free(text);
}

/* A variable of the module that nobody names takes no memory of its kernels. */
static void module_variables(void **state) {
#define HEAD ".version 7.8\n.target sm_80\n.address_size 64\n.shared .align 1024 .b8 spare[640];\n"
#define KERNEL(name, line)                                                                         \
    ".visible .entry " name "() {\n.reg .b32 %r<2>;\n.shared .align 8 .b8 own[16];\n" line         \
    "mov.u32 %r0, own;\nret;\n}\n"
    static const struct {
        const char *text;
        size_t bytes;
    } rows[] = {
        {HEAD KERNEL("k", ""), 656},
        {HEAD KERNEL("k", "mov.u32 %r1, spare;\n"), 656},
        {HEAD ".visible .entry k() {\nret;\n}\n", 0},
        {HEAD ".visible .entry k() {\n.reg .b32 %r<1>;\nmov.u32 %r0, spare;\nret;\n}\n", 640}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        simtest *s = simtest_open(rows[i].text, 80, 1);
        assert_int_equal(sim_kernel_shared_bytes(sim_module_kernel(s->module, "k")), rows[i].bytes);
        simtest_close(s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(refused), cmocka_unit_test(targets),
                                       cmocka_unit_test(broken), cmocka_unit_test(launches),
                                       cmocka_unit_test(module_variables)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
