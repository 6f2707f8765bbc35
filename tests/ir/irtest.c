/* SPDX-License-Identifier: Apache-2.0 */
/* See irtest.h. */
#include "tests/ir/irtest.h"

#include <stdio.h>
#include <string.h>

void irtest_init(irtest *t) {
    memset(t, 0, sizeof(*t));
    tg_env_init(&t->env, tg_allocator_default(), (size_t)1 << 30);
    /* A test that runs out of memory has no frame to return to: the guard sits here and is only
     * left by longjmp while this frame lives, so tests use far less than the limit. */
    t->env.oom = &t->oom;
    tg_arena_init(&t->arena, &t->env);
    tg_sink_init(&t->sink, &t->arena);
}

void irtest_fini(irtest *t) { tg_arena_fini(&t->arena); }

tg_module *irtest_try_parse(irtest *t, const char *text, size_t len) {
    tg_source *src = TG_NEW(&t->arena, tg_source);
    src->name = "test.tgir";
    src->text = tg_arena_strndup(&t->arena, text, len);
    src->len = len;
    tg_module *m = NULL;
    tg_status s = tg_module_parse(src, &t->arena, &t->sink, &m);
    assert_int_equal(s == TG_OK, m != NULL);
    return m;
}

tg_module *irtest_parse(irtest *t, const char *text) {
    tg_module *m = irtest_try_parse(t, text, strlen(text));
    if (m == NULL || tg_module_verify(m, &t->sink) != TG_OK) {
        fail_msg("%s\n%s", irtest_messages(t), text);
    }
    return m;
}

const char *irtest_print(irtest *t, const tg_module *m) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    tg_module_print(&sb, m);
    return sb.data;
}

const char *irtest_messages(irtest *t) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    tg_sb_add(&sb, "");
    for (const tg_diag *d = t->sink.first; d != NULL; d = d->next) {
        tg_diag_render(&sb, d);
    }
    return sb.len == 0 ? "" : sb.data;
}

const char *irtest_kernel(irtest *t, const char *head, const char *args, const char *body) {
    return tg_arena_printf(&t->arena, "tegula-ir 1\n\nkernel tile k {\n%s  body (%s) {\n%s  }\n}\n",
                           head, args, body);
}
