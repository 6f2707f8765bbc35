/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The examples of docs/language.md: every ```tegula block parses, as declarations or as the
 * statements of a kernel (or op), and those with a grid check.
 */
#include "support.h"

#include <string.h>

static const tg_diag *errors_of(tf *t, const char *text, bool check) {
    tg_program *p;
    tg_sink *sink = TG_NEW(&t->arena, tg_sink);
    tg_sink_init(sink, &t->arena);
    const tg_source *src = tf_source(t, "language.md", text);
    tg_status st = TG_OK;
    if (check) {
        st = tg_program_load(&t->arena, sink, src, tf_import, NULL, &p);
        st = st == TG_OK ? tg_program_check(p) : st;
        t->env.oom = &t->oom;
    } else {
        tg_strtab names;
        tg_strtab_init(&names, &t->arena);
        tg_parse_env env = {&t->arena, sink, &names};
        (void)tg_parse_file(&env, src, "");
    }
    (void)st;
    return sink->first;
}

static bool is_file(const char *block) {
    static const char *const heads[] = {"kernel", "fn",     "op", "record", "schedule",
                                        "case",   "import", "//", "fast"};
    for (size_t i = 0; i < TG_COUNT_OF(heads); i++) {
        if (strncmp(block, heads[i], strlen(heads[i])) == 0) {
            return true;
        }
    }
    return false;
}

static void check_block(tf *t, const char *block) {
    const char *text =
        is_file(block) ? block : tg_arena_printf(&t->arena, "kernel k() {\n%s\n}\n", block);
    bool check = is_file(block) && strstr(block, "grid ") != NULL;
    const tg_diag *d = errors_of(t, text, check);
    if (d != NULL) {
        tg_sb sb;
        tg_sb_init(&sb, &t->arena);
        tg_diag_render(&sb, d);
        fail_msg("%s", sb.data);
    }
}

static void examples(void **state) {
    (void)state;
    static const char fence[] = "```tegula\n";
    tf t;
    tf_init(&t);
    int blocks = 0;
    char *text = tf_read(&t, "../../docs/language.md", NULL);
    assert_non_null(text);
    for (char *s = text; (s = strstr(s, fence)) != NULL; blocks++) {
        s += strlen(fence);
        char *end = strstr(s, "\n```");
        assert_non_null(end);
        check_block(&t, tg_arena_strndup(&t.arena, s, (size_t)(end - s) + 1));
        s = end + 4;
    }
    assert_true(blocks >= 10);
    tf_fini(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(examples)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
