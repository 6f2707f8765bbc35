/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random kernels (tests/random) place: generated IR, as generated and after the tile pipeline, and
 * generated source. The result verifies and reads back. What a machine refuses must be refused with
 * a diagnostic.
 *
 * place_test_random [SEED COUNT]
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/place/support.h"
#include "tests/random/gen.h"
#include "tests/random/source.h"

static uint64_t first_seed = 1;
static int n_seeds = 150;

static void check_on(place_test *t, tg_func *f, uint64_t seed, const tg_machine *machine) {
    tg_module *out = tg_module_make(&t->arena);
    tg_status st = tg_place(f, machine, out, &t->sink);
    if (st != TG_OK || tg_module_verify(out, &t->sink) != TG_OK) {
        tg_sb sb;
        tg_sb_init(&sb, &t->arena);
        tg_func_print(&sb, f);
        (void)fprintf(stderr, "%s\n%s\n", sb.data, place_test_print(t, out));
        fail_msg("seed %llu, %s: %s", (unsigned long long)seed, f->name, place_test_messages(t));
    }
    const char *text = place_test_print(t, out);
    tg_module *again = place_test_ir(t, text);
    if (again == NULL || tg_module_verify(again, &t->sink) != TG_OK) {
        fail_msg("seed %llu does not read back: %s\n%s", (unsigned long long)seed,
                 place_test_messages(t), text);
    }
    assert_string_equal(text, place_test_print(t, again));
}

/* The machine itself; one with few lanes and hardly any shared memory; one with many lanes. */
static void check(place_test *t, tg_func *f, uint64_t seed, const char *name) {
    tg_machine machine = *tg_machine_find(name);
    check_on(t, f, seed, &machine);
    machine.lanes = machine.max_lanes = 8;
    machine.shared_bytes = 512;
    check_on(t, f, seed, &machine);
    machine.lanes = machine.max_lanes = 256;
    check_on(t, f, seed, &machine);
    check_on(t, f, seed, place_test_two_roles());
    check_on(t, f, seed, tg_machine_model("three-roles"));
}

static void test_ir(void **state) {
    static const gen_options all = {.max_steps = 24};
    (void)state;
    for (uint64_t seed = first_seed; seed < first_seed + (uint64_t)n_seeds; seed++) {
        place_test t;
        gen_case c;
        place_test_init(&t);
        gen_make(&c, seed, &all, &t.arena);
        check(&t, c.func, seed, "opencl");
        place_test_optimise(&t, c.func);
        check(&t, c.func, seed, "vulkan");
        place_test_fini(&t);
    }
}

static void test_source(void **state) {
    int placed = 0;
    (void)state;
    for (uint64_t seed = first_seed; seed < first_seed + (uint64_t)n_seeds; seed++) {
        place_test t;
        place_test_init(&t);
        tg_source src = {.name = "random", .text = source_make(seed, &t.arena)};
        src.len = strlen(src.text);
        tg_program *p = place_test_program(&t, &src);
        if (p != NULL) {
            tg_module *m = tg_module_make(&t.arena);
            tg_func *f = NULL;
            if (tg_program_specialise(p, "r", NULL, 0, NULL, m, &f) == TG_OK && f != NULL) {
                place_test_optimise(&t, f);
                check(&t, f, seed, "opencl");
                placed++;
            }
        }
        place_test_fini(&t);
    }
    assert_int_equal(placed, n_seeds);
}

int main(int argc, char **argv) {
    if (argc == 3) {
        first_seed = strtoull(argv[1], NULL, 10);
        n_seeds = (int)strtol(argv[2], NULL, 10);
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ir), cmocka_unit_test(test_source)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
