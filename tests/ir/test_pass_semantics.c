/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every pass keeps the meaning: interpreter(before) = interpreter(after), bit for bit, on the
 * kernels of the golden tests and of passes/semantics.tgir, over many dimensions, and for every
 * prefix of the pipelines.
 */
#include "tests/ir/irrun.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/passes.h"

static const char *const files[] = {"canonicalise", "cse",  "dce",   "licm",     "bounds",
                                    "split",        "peel", "index", "semantics"};

static const tg_pass single[] = {
    {"canonicalise", tg_pass_canonicalise},
    {"cse", tg_pass_cse},
    {"dce", tg_pass_dce},
    {"licm", tg_pass_licm},
    {"index", tg_pass_index},
    {"bounds", tg_pass_bounds},
    {"split", tg_pass_split},
    {"peel", tg_pass_peel},
};

static char *read_kernels(const char *name) {
    char path[1024];
    (void)snprintf(path, sizeof(path), "%s/passes/%s.tgir", TESTS_IR_DIR, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
    (void)fclose(f);
    return text;
}

static const int64_t sizes[] = {0, 1, 3, 4, 7, 8, 9, 16, 21};

/* Compares for all choices of sizes for up to two dimensions, a third of them for more. */
static int compare(irtest *t, tg_func *before, tg_func *after, const char *what) {
    int ran = 0;
    size_t n = TG_COUNT_OF(sizes), total = before->n_syms == 0 ? 1 : n;
    for (int i = 1; i < before->n_syms; i++) {
        total *= n;
    }
    size_t stride = total > 100 ? 7 : 1;
    for (size_t k = 0; k < total; k += stride) {
        int64_t syms[8] = {0};
        size_t rest = k;
        for (int i = 0; i < before->n_syms && i < 8; i++, rest /= n) {
            syms[i] = sizes[rest % n];
        }
        bool once = false;
        const char *why;
        if (!irrun_equal(t, before, after, syms, 77 + k, &once, &why)) {
            tg_sb a, b;
            tg_sb_init(&a, &t->arena);
            tg_sb_init(&b, &t->arena);
            tg_func_print(&a, before);
            tg_func_print(&b, after);
            (void)fprintf(stderr, "%s\n%s\n", a.data, b.data);
            fail_msg("%s changes %s (syms %lld %lld): %s", what, before->name, (long long)syms[0],
                     (long long)syms[1], why);
        }
        ran += once;
    }
    return ran;
}

static void check_passes(const char *text, const tg_pass *passes, size_t n, bool cumulative) {
    irtest t;
    irtest_init(&t);
    tg_module *m = irtest_parse(&t, text);
    for (tg_func *f = m->first_func; f != NULL; f = f->next) {
        tg_func *after = irrun_copy(&t, f);
        for (size_t i = 0; i < n; i++) {
            tg_pass_context ctx = {.scratch = &t.arena};
            if (!cumulative) {
                after = irrun_copy(&t, f);
            }
            passes[i].run(after, &ctx);
            if (tg_func_verify(after, &t.sink) != TG_OK) {
                fail_msg("%s breaks %s: %s", passes[i].name, f->name, irtest_messages(&t));
            }
            if (!cumulative || i + 1 == n) {
                assert_true(compare(&t, f, after, passes[i].name) > 0);
            }
        }
    }
    irtest_fini(&t);
}

static void test_single(void **state) {
    (void)state;
    for (size_t i = 0; i < TG_COUNT_OF(files); i++) {
        char *text = read_kernels(files[i]);
        check_passes(text, single, TG_COUNT_OF(single), false);
        free(text);
    }
}

static void test_pipelines(void **state) {
    (void)state;
    for (size_t i = 0; i < TG_COUNT_OF(files); i++) {
        char *text = read_kernels(files[i]);
        check_passes(text, tg_tile_pipeline, tg_tile_pipeline_count, true);
        check_passes(text, tg_tile_pipeline_peeled, tg_tile_pipeline_peeled_count, true);
        free(text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single),
        cmocka_unit_test(test_pipelines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
