/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Golden tests of the passes: passes/NAME.tgir holds kernels, passes/NAME.after.tgir what the pass
 * makes of them. `ir_test_passes --rewrite` writes the second from the first, for review.
 */
#include "tests/ir/irtest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/passes.h"

typedef struct golden {
    const char *name;
    void (*passes[4])(tg_func *f, tg_pass_context *ctx);
} golden;

static const golden goldens[] = {
    {"canonicalise", {tg_pass_canonicalise, tg_pass_dce}},
    {"cse", {tg_pass_cse}},
    {"dce", {tg_pass_dce}},
    {"licm", {tg_pass_licm}},
    {"bounds", {tg_pass_bounds, tg_pass_canonicalise, tg_pass_dce}},
    {"index", {tg_pass_index, tg_pass_canonicalise, tg_pass_dce}},
    {"split", {tg_pass_split, tg_pass_canonicalise, tg_pass_dce}},
    {"peel", {tg_pass_peel, tg_pass_bounds, tg_pass_canonicalise, tg_pass_dce}},
};

static bool rewrite;

static char *read_file(const char *path) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        return NULL;
    }
    char *text = calloc(1, 1 << 20);
    if (text != NULL) {
        size_t n = fread(text, 1, (1 << 20) - 1, f);
        text[n] = '\0';
    }
    (void)fclose(f);
    return text;
}

static void path_of(char *out, size_t size, const char *name, const char *suffix) {
    (void)snprintf(out, size, "%s/passes/%s%s", TESTS_IR_DIR, name, suffix);
}

static void check_golden(const golden *g) {
    char path[1024];
    irtest t;
    irtest_init(&t);
    path_of(path, sizeof(path), g->name, ".tgir");
    char *text = read_file(path);
    assert_non_null(text);
    tg_module *m = irtest_parse(&t, text);
    for (tg_func *f = m->first_func; f != NULL; f = f->next) {
        for (int i = 0; i < 4 && g->passes[i] != NULL; i++) {
            tg_pass_context ctx = {.scratch = &t.arena};
            g->passes[i](f, &ctx);
            if (tg_func_verify(f, &t.sink) != TG_OK) {
                fail_msg("%s\n%s", irtest_messages(&t), irtest_print(&t, m));
            }
        }
    }
    const char *got = irtest_print(&t, m);
    path_of(path, sizeof(path), g->name, ".after.tgir");
    if (rewrite) {
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(got, 1, strlen(got), f), strlen(got));
        assert_int_equal(fclose(f), 0);
    } else {
        char *want = read_file(path);
        if (want == NULL || strcmp(got, want) != 0) {
            fail_msg("%s: now gives\n%s", path, got);
        }
        free(want);
    }
    free(text);
    irtest_fini(&t);
}

static void test_goldens(void **state) {
    (void)state;
    for (size_t i = 0; i < TG_COUNT_OF(goldens); i++) {
        check_golden(&goldens[i]);
    }
}

/* A pass run on its own result changes nothing. Loop cutters look for more to cut each time. */
static void test_idempotent(void **state) {
    (void)state;
    for (size_t i = 0; i < TG_COUNT_OF(goldens); i++) {
        if (goldens[i].passes[0] == tg_pass_split || goldens[i].passes[0] == tg_pass_peel) {
            continue;
        }
        char path[1024];
        irtest t;
        irtest_init(&t);
        path_of(path, sizeof(path), goldens[i].name, ".after.tgir");
        char *text = read_file(path);
        assert_non_null(text);
        tg_module *m = irtest_parse(&t, text);
        for (tg_func *f = m->first_func; f != NULL; f = f->next) {
            for (int k = 0; k < 4 && goldens[i].passes[k] != NULL; k++) {
                tg_pass_context ctx = {.scratch = &t.arena};
                goldens[i].passes[k](f, &ctx);
            }
        }
        assert_string_equal(irtest_print(&t, m), text);
        free(text);
        irtest_fini(&t);
    }
}

/* --remarks tells which checks were removed and which stay. */
static void test_remarks(void **state) {
    (void)state;
    char path[1024];
    irtest t;
    irtest_init(&t);
    path_of(path, sizeof(path), "bounds", ".tgir");
    char *text = read_file(path);
    assert_non_null(text);
    tg_module *m = irtest_parse(&t, text);
    int removed = 0, kept = 0;
    for (tg_func *f = m->first_func; f != NULL; f = f->next) {
        tg_pass_context ctx = {.scratch = &t.arena, .sink = &t.sink, .remarks = true};
        tg_pass_bounds(f, &ctx);
    }
    for (const tg_diag *d = t.sink.first; d != NULL; d = d->next) {
        assert_int_equal(d->severity, TG_SEV_REMARK);
        removed += d->id == TG_D_IR_CHECK_REMOVED;
        kept += d->id == TG_D_IR_CHECK_KEPT;
    }
    assert_true(removed >= 6);
    assert_true(kept >= 2);
    assert_int_equal(t.sink.errors, 0);
    free(text);
    irtest_fini(&t);
}

int main(int argc, char **argv) {
    rewrite = argc > 1 && strcmp(argv[1], "--rewrite") == 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_idempotent),
        cmocka_unit_test(test_remarks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
