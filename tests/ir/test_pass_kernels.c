/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pipelines keep the meaning of the project's own kernels: each `case` of each kernel file is
 * specialised, optimised, and interpreted before and after on the case's dimensions (cut down to
 * what the interpreter runs quickly), bit for bit. Facts about data are not honoured by the
 * generated inputs: the passes may not rely on them.
 */
#include "tests/ir/irrun.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"
#include "ir/passes.h"

static const char *const files[] = {
    "gemm/gemm.tg", "attention/attention.tg",     "mla/mla.tg", "select/select.tg", "norm/norm.tg",
    "rope/rope.tg", "elementwise/elementwise.tg",
};

enum { SMALL = 24, MAX_CASES_PER_KERNEL = 2 };

static char *read_file(const char *name) {
    char path[1024];
    (void)snprintf(path, sizeof(path), "%s/%s", KERNELS_DIR, name);
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        return NULL;
    }
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
    (void)fclose(f);
    return text;
}

/* Modules beside the importing file. */
static const tg_source *import_kernel(void *user, tg_arena *a, const char *path,
                                      const tg_source *from) {
    (void)user;
    const char *slash = strrchr(from->name, '/');
    char *text = read_file(
        tg_arena_printf(a, "%.*s/%s", slash ? (int)(slash - from->name) : 0, from->name, path));
    if (text == NULL) {
        return NULL;
    }
    tg_source *src = TG_NEW(a, tg_source);
    *src = (tg_source){.name = tg_arena_printf(a, "%.*s/%s", slash ? (int)(slash - from->name) : 0,
                                               from->name, path),
                       .text = tg_arena_strdup(a, text),
                       .len = strlen(text)};
    free(text);
    return src;
}

/* The case's value of a dimension, or as much of it as makes a quick run; odd where it was large.
 */
static int64_t small_size(const tg_case *c, const char *name) {
    for (int i = 0; i < c->n_settings; i++) {
        if (strcmp(c->settings[i].name, name) == 0) {
            int64_t v = strtoll(c->settings[i].value, NULL, 10);
            return v > SMALL ? SMALL - (int64_t)(name[0] % 3) : v;
        }
    }
    return 5;
}

/* First on the case's own sizes, cut down; then on a few others. */
static int compare(irtest *t, tg_func *before, tg_func *after, const tg_case *c) {
    static const int64_t others[] = {0, 1, 16, 33};
    int ran = 0;
    for (size_t k = 0; k < 1 + TG_COUNT_OF(others); k++) {
        int64_t *syms = TG_NEW_ARRAY(&t->arena, int64_t, before->n_syms + 1);
        for (int i = 0; i < before->n_syms; i++) {
            syms[i] = k == 0 ? small_size(c, before->syms[i].name) : others[k - 1];
        }
        bool once = false;
        const char *why;
        if (!irrun_equal(t, before, after, syms, 5 + k, &once, &why)) {
            tg_sb a, b;
            tg_sb_init(&a, &t->arena);
            tg_sb_init(&b, &t->arena);
            tg_func_print(&a, before);
            tg_func_print(&b, after);
            (void)fprintf(stderr, "%s\n%s\n", a.data, b.data);
            fail_msg("the passes change %s (size choice %zu): %s", before->name, k, why);
        }
        ran += once;
    }
    return ran;
}

static int check_case(irtest *t, tg_program *p, const tg_case *c) {
    tg_module *m = tg_module_make(&t->arena);
    tg_func *before = NULL;
    if (tg_program_specialise(p, c->kernel, c->settings, c->n_settings, NULL, m, &before) !=
        TG_OK) {
        fail_msg("%s: %s", c->kernel, irtest_messages(t));
    }
    if (before == NULL) {
        return 0; /* an op */
    }
    int ran = 0;
    for (int which = 0; which < 2; which++) {
        const tg_pass *passes = which == 0 ? tg_tile_pipeline : tg_tile_pipeline_peeled;
        size_t n = which == 0 ? tg_tile_pipeline_count : tg_tile_pipeline_peeled_count;
        tg_func *after = irrun_copy(t, before);
        for (size_t i = 0; i < n; i++) {
            tg_pass_context ctx = {.scratch = &t->arena};
            passes[i].run(after, &ctx);
            if (tg_func_verify(after, &t->sink) != TG_OK) {
                fail_msg("%s breaks %s: %s", passes[i].name, c->kernel, irtest_messages(t));
            }
        }
        ran += compare(t, before, after, c);
    }
    return ran;
}

static int earlier_cases(const tg_program *p, int index) {
    int n = 0;
    for (int i = 0; i < index; i++) {
        const tg_case *c = tg_program_case(p, i);
        n += !c->is_bench && strcmp(c->kernel, tg_program_case(p, index)->kernel) == 0;
    }
    return n;
}

static void test_kernels(void **state) {
    (void)state;
    int ran = 0;
    for (size_t i = 0; i < TG_COUNT_OF(files); i++) {
        irtest t;
        irtest_init(&t);
        char *text = read_file(files[i]);
        if (text == NULL) {
            irtest_fini(&t);
            continue;
        }
        tg_source src = {.name = files[i], .text = text, .len = strlen(text)};
        tg_program *p = NULL;
        if (tg_program_load(&t.arena, &t.sink, &src, import_kernel, NULL, &p) != TG_OK) {
            fail_msg("%s", irtest_messages(&t));
        }
        for (int k = 0; k < tg_program_n_cases(p); k++) {
            const tg_case *c = tg_program_case(p, k);
            if (!c->is_bench && earlier_cases(p, k) < MAX_CASES_PER_KERNEL) {
                ran += check_case(&t, p, c);
            }
        }
        irtest_fini(&t);
        free(text);
    }
    assert_true(ran > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kernels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
