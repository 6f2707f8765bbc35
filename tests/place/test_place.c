/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every kernel of the project places on every SIMT machine: each case of each stock kernel file and
 * of the fifteen, specialised, optimised, placed; the result verifies, keeps its text through
 * print and parse, and stays within the machine.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/place/support.h"

typedef struct tally {
    int placed, refused;
} tally;

static void check_text(place_test *t, const char *name, tg_module *placed) {
    const char *text = place_test_print(t, placed);
    tg_module *again = place_test_ir(t, text);
    if (again == NULL || tg_module_verify(again, &t->sink) != TG_OK) {
        fail_msg("%s does not read back: %s\n%s", name, place_test_messages(t), text);
    }
    assert_string_equal(text, place_test_print(t, again));
}

static void check_one(place_test *t, tg_func *f, const tg_machine *machine, tally *n) {
    tg_module *out = tg_module_make(&t->arena);
    tg_status st = tg_place(f, machine, out, &t->sink);
    if (st != TG_OK) {
        fail_msg("%s on %s: %s", f->name, machine->name, place_test_messages(t));
    }
    if (tg_module_verify(out, &t->sink) != TG_OK) {
        fail_msg("%s on %s: %s\n%s", f->name, machine->name, place_test_messages(t),
                 place_test_print(t, out));
    }
    tg_func *p = out->first_func;
    assert_true(p->lanes >= 1 && p->lanes <= machine->max_lanes + machine->copy_lanes);
    assert_true(p->shared_bytes <= machine->shared_bytes);
    check_text(t, f->name, out);
    n->placed++;
}

static void check_module(place_test *t, tg_module *m, tally *n) {
    for (tg_func *f = m->first_func; f != NULL; f = f->next) {
        place_test_optimise(t, f);
        for (size_t i = 0; i < tg_machine_count(); i++) {
            const tg_machine *machine = tg_machine_at(i);
            if (machine->class_ == TG_MACHINE_SIMT) {
                check_one(t, f, machine, n);
            }
        }
        check_one(t, f, place_test_two_roles(), n);
        check_one(t, f, tg_machine_model("three-roles"), n);
    }
}

static void check_file(const char *path, tally *n) {
    place_test first;
    place_test_init(&first);
    const tg_source *src = place_test_read(&first, path);
    assert_non_null(src);
    tg_program *p = place_test_program(&first, src);
    if (p == NULL) {
        fail_msg("%s: %s", path, place_test_messages(&first));
    }
    for (int k = 0; k < tg_program_n_cases(p); k++) {
        place_test t;
        place_test_init(&t);
        tg_program *q = place_test_program(&t, place_test_read(&t, path));
        const tg_case *c = tg_program_case(q, k);
        tg_module *m = tg_module_make(&t.arena);
        tg_func *f = NULL;
        if (tg_program_specialise(q, c->kernel, c->settings, c->n_settings, NULL, m, &f) != TG_OK) {
            fail_msg("%s: %s: %s", path, c->kernel, place_test_messages(&t));
        }
        check_module(&t, m, n);
        place_test_fini(&t);
    }
    place_test_fini(&first);
}

static bool ends_in_tg(const char *name) {
    size_t n = strlen(name);
    return n > 3 && strcmp(name + n - 3, ".tg") == 0;
}

static void check_folder(const char *folder, tally *n) {
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[1024];
        (void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (ends_in_tg(e->d_name)) {
            check_file(path, n);
        }
    }
    (void)closedir(d);
}

static void test_stock_kernels(void **state) {
    static const char *const rooms[] = {"attention", "elementwise", "gemm",  "mla",
                                        "norm",      "rope",        "select"};
    tally n = {0};
    (void)state;
    for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++) {
        char folder[1024];
        (void)snprintf(folder, sizeof folder, "%s/kernels/%s", REPO_DIR, rooms[i]);
        check_folder(folder, &n);
    }
    assert_true(n.placed > 100);
}

static void test_fifteen(void **state) {
    tally n = {0};
    (void)state;
    check_folder(REPO_DIR "/tests/kernels15", &n);
    assert_true(n.placed > 15);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_stock_kernels),
                                       cmocka_unit_test(test_fifteen)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
