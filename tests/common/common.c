/* SPDX-License-Identifier: Apache-2.0 */
/* See common.h. */
#include "tests/common/common.h"

void test_expect(tgr_context *context, tgr_status got, tgr_status want) {
    if (got != want) {
        char text[512];
        (void)tgr_context_message(context, text, sizeof text);
        fail_msg("%s instead of %s: %s", tgr_status_name(got), tgr_status_name(want), text);
    }
}

void test_expect_message(tgr_context *context, const char *part) {
    char text[512];
    (void)tgr_context_message(context, text, sizeof text);
    if (!strstr(text, part)) {
        fail_msg("the message \"%s\" does not say \"%s\"", text, part);
    }
}

static void require(tg_status st, const tg_sink *sink) {
    for (const tg_diag *e = sink->first; e; e = e->next) {
        fprintf(stderr, "%s\n", e->text);
    }
    assert_int_equal(st, TG_OK);
}

tg_module *test_parse(const char *text, bool verify, tg_arena *a, tg_sink *sink) {
    tg_source *src = TG_NEW(a, tg_source); /* operations point into it */
    *src = (tg_source){.name = "test", .text = text, .len = strlen(text)};
    tg_module *m = NULL;
    tg_status st = tg_module_parse(src, a, sink, &m);
    require(st || !verify ? st : tg_module_verify(m, sink), sink);
    return m;
}

unsigned char *test_package(void (*describe)(tg_arena *, tg_sink *, const void *,
                                             tg_package_desc *),
                            const void *what, size_t *out_bytes) {
    tg_env env;
    tg_arena arena;
    tg_sink sink;
    jmp_buf oom;
    tg_env_init(&env, tg_allocator_default(), 0);
    if (TG_ENV_GUARD(&env, oom)) {
        fail_msg("out of memory");
    }
    tg_arena_init(&arena, &env);
    tg_sink_init(&sink, &arena);
    tg_package_desc d = {.tool = "test", .generator = ""};
    const unsigned char *bytes = NULL;
    describe(&arena, &sink, what, &d);
    require(tg_package_write(&d, &arena, &sink, &bytes, out_bytes), &sink);
    unsigned char *copy = malloc(*out_bytes);
    assert_non_null(copy);
    memcpy(copy, bytes, *out_bytes);
    tg_arena_fini(&arena);
    return copy;
}
