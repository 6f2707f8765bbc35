/* SPDX-License-Identifier: Apache-2.0 */
/* See support.h. */
#include "tests/place/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void place_test_init(place_test *t) {
    memset(t, 0, sizeof *t);
    tg_env_init(&t->env, tg_allocator_default(), 0);
    if (TG_ENV_GUARD(&t->env, t->oom)) {
        (void)fprintf(stderr, "out of memory\n");
        abort();
    }
    tg_arena_init(&t->arena, &t->env);
    tg_sink_init(&t->sink, &t->arena);
}

void place_test_fini(place_test *t) { tg_arena_fini(&t->arena); }

const char *place_test_messages(place_test *t) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    for (const tg_diag *d = t->sink.first; d != NULL; d = d->next) {
        tg_diag_render(&sb, d);
    }
    return sb.data;
}

const tg_source *place_test_read(place_test *t, const char *path) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        return NULL;
    }
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    char part[4096];
    for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;) {
        tg_sb_addn(&sb, part, n);
    }
    (void)fclose(f);
    tg_source *src = TG_NEW(&t->arena, tg_source);
    *src = (tg_source){.name = tg_arena_strdup(&t->arena, path), .text = sb.data, .len = sb.len};
    return src;
}

/* Beside the file that imports it. */
static const tg_source *read_import(void *user, tg_arena *a, const char *path,
                                    const tg_source *from) {
    const char *end = strrchr(from->name, '/');
    int n = end != NULL ? (int)(end - from->name) + 1 : 0;
    return place_test_read(user, tg_arena_printf(a, "%.*s%s", n, from->name, path));
}

tg_program *place_test_program(place_test *t, const tg_source *src) {
    tg_program *p = NULL;
    return tg_program_load(&t->arena, &t->sink, src, read_import, t, &p) == TG_OK ? p : NULL;
}

tg_module *place_test_ir(place_test *t, const char *text) {
    tg_source *src = TG_NEW(&t->arena, tg_source);
    tg_module *m = NULL;
    *src = (tg_source){.name = "text", .text = text, .len = strlen(text)};
    return tg_module_parse(src, &t->arena, &t->sink, &m) == TG_OK ? m : NULL;
}

void place_test_optimise(place_test *t, tg_func *f) {
    for (size_t i = 0; i < tg_tile_pipeline_count; i++) {
        tg_pass_context ctx = {.scratch = &t->arena};
        tg_tile_pipeline[i].run(f, &ctx);
    }
}

const char *place_test_print(place_test *t, const tg_module *m) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    tg_module_print(&sb, m);
    return sb.data;
}

const tg_machine *place_test_two_roles(void) { return tg_machine_model("two-roles"); }
