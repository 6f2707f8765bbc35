/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random kernels placed, lowered and run lane by lane: the results are those of the reference
 * interpreter, bit for bit, and the loop interpreter finds no race, no undefined value, no access
 * out of bounds and no divergence. Each on the machine as it is, on one with eight lanes and hardly
 * any shared memory, and on one with many lanes.
 *
 * place_test_run [SEED COUNT]
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/interp_loop.h"
#include "tests/place/support.h"
#include "tests/random/run.h"

static uint64_t first_seed = 1;
static int n_seeds = 25, n_ran, n_wrong;

static void take_args(const case_memory *m, tg_interp_arg *args) {
    memset(args, 0, GEN_MAX_PARAMS * sizeof args[0]);
    for (int p = 0; p < m->n; p++) {
        const case_tensor *t = &m->tensors[p];
        args[p].data = t->base;
        args[p].scalar = m->scalars[p];
        memcpy(args[p].extent, t->extent, sizeof t->extent);
        memcpy(args[p].stride_bytes, t->stride, sizeof t->stride);
    }
}

/* NULL, or what went wrong. */
static const char *run_placed(place_test *t, gen_case *c, const tg_machine *machine, uint64_t order,
                              case_memory *m) {
    tg_module *placed = tg_module_make(&t->arena), *loop = tg_module_make(&t->arena);
    if (tg_place(c->func, machine, placed, &t->sink) != TG_OK ||
        tg_module_verify(placed, &t->sink) != TG_OK ||
        tg_lower_simt(placed->first_func, machine, loop, &t->sink) != TG_OK ||
        tg_module_verify(loop, &t->sink) != TG_OK) {
        return place_test_messages(t);
    }
    tg_interp_arg args[GEN_MAX_PARAMS];
    int64_t syms[GEN_MAX_SYMS] = {0};
    take_args(m, args);
    if (tg_interp_bind(c->func, args, syms, &t->sink) != TG_OK) {
        return place_test_messages(t);
    }
    tg_loop_options options = {
        .seed = order, .subgroup = machine->subgroup, .max_steps = 300000000};
    tg_loop_report report;
    if (tg_loop_run_kernel(loop, c->func, args, syms, &options, &t->arena, &report) != TG_OK) {
        return "nothing to run";
    }
    if (report.n_findings == 0 && report.trap == 0) {
        return NULL;
    }
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    tg_loop_report_print(&sb, &report);
    return sb.data;
}

static void check_on(uint64_t seed, bool optimise, const tg_machine *machine, const char *what) {
    static const gen_options all = {.max_steps = 14};
    place_test t;
    gen_case c;
    case_memory want, got;
    place_test_init(&t);
    gen_make(&c, seed, &all, &t.arena);
    const char *wrong = run_reference(&c, &want, &t.arena);
    if (wrong == NULL) { /* else too much work to tell anything */
        n_ran++;
        if (optimise) {
            place_test_optimise(&t, c.func);
        }
        memory_make(&got, &c);
        wrong = run_placed(&t, &c, machine, seed, &got);
        wrong = wrong != NULL ? wrong : memory_compare(&want, &got, &c, &t.arena);
        if (wrong != NULL) {
            if (getenv("PLACE_SHOW") != NULL) {
                tg_module *placed = tg_module_make(&t.arena);
                (void)!tg_place(c.func, machine, placed, &t.sink);
                (void)fprintf(stderr, "%s\n", place_test_print(&t, placed));
            }
            (void)fprintf(stderr, "seed %llu, %s: %s\n", (unsigned long long)seed, what, wrong);
            n_wrong++;
        }
        memory_free(&got);
    }
    memory_free(&want);
    place_test_fini(&t);
}

/* Barriers in shared memory, copies that land later, replicas where the tile can be split. */
static void test_roles(void **state) {
    tg_machine machine = *tg_machine_find("sm_90a");
    int before = n_ran;
    (void)state;
    machine.matrix = 0; /* whose sums have another order */
    for (uint64_t seed = first_seed; seed < first_seed + (uint64_t)n_seeds; seed++) {
        machine.replicas = 1 + (int)(seed % 3);
        machine.lanes = seed % 2 == 0 ? 128 : 64;
        machine.copy_lanes = seed % 5 == 0 ? 32 : 128;
        check_on(seed, true, &machine, "roles");
    }
    assert_int_equal(n_wrong, 0);
    assert_true(n_ran - before > n_seeds / 2);
}

static void test_random(void **state) {
    tg_machine machine = *tg_machine_find("opencl");
    (void)state;
    for (uint64_t seed = first_seed; seed < first_seed + (uint64_t)n_seeds; seed++) {
        machine = *tg_machine_find("opencl");
        check_on(seed, true, &machine, "as it is");
        machine.lanes = machine.max_lanes = 8;
        machine.shared_bytes = 512;
        check_on(seed, false, &machine, "eight lanes");
        machine.lanes = machine.max_lanes = 128;
        check_on(seed, true, &machine, "many lanes");
    }
    assert_int_equal(n_wrong, 0);
    assert_true(n_ran > 3 * n_seeds / 2); /* few are left out */
}

int main(int argc, char **argv) {
    if (argc == 3) {
        first_seed = strtoull(argv[1], NULL, 10);
        n_seeds = (int)strtol(argv[2], NULL, 10);
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random), cmocka_unit_test(test_roles)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
