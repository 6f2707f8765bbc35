/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer target: any bytes as Tegula source. Loading and checking must end without a crash;
 * every diagnostic renders; what parses formats, and formatting twice changes nothing. Compiled
 * with TG_FUZZ_SYNTAX_ONLY it leaves the checker out.
 */
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_format(tg_arena *arena, const tg_source *src) {
    tg_sink sink;
    tg_sb once, twice;
    tg_sink_init(&sink, arena);
    tg_sb_init(&once, arena);
    tg_sb_init(&twice, arena);
    tg_sb_add(&once, "");
    tg_sb_add(&twice, "");
    tg_status st = tg_format_source(arena, &sink, src, &once);
    if (st == TG_E_INTERNAL) {
        abort();
    }
    if (st != TG_OK) {
        return;
    }
    tg_source formatted = {"formatted", once.data, once.len};
    st = tg_format_source(arena, &sink, &formatted, &twice);
    if (st != TG_E_NOMEM &&
        (st != TG_OK || once.len != twice.len || memcmp(once.data, twice.data, once.len) != 0)) {
        abort();
    }
}

static void check(tg_env *env, const uint8_t *data, size_t size) {
    tg_arena arena;
    tg_sink sink;
    tg_arena_init(&arena, env);
    jmp_buf oom;
    if (TG_ENV_GUARD(env, oom)) {
        tg_arena_fini(&arena);
        return;
    }
    tg_sink_init(&sink, &arena);
    tg_source src = {.name = "fuzz.tg", .len = size};
    src.text = tg_arena_strndup(&arena, (const char *)data, size);
    tg_program *p = NULL;
    tg_status st = tg_program_load(&arena, &sink, &src, NULL, NULL, &p);
#ifndef TG_FUZZ_SYNTAX_ONLY
    if (st == TG_OK) {
        st = tg_program_check(p);
    }
#endif
    if ((st == TG_E_SOURCE) != (sink.errors > 0) && st != TG_E_NOMEM) {
        abort();
    }
    env->oom = &oom;
    if (p != NULL) {
        tg_sb text;
        tg_sb_init(&text, &arena);
        for (const tg_diag *d = sink.first; d != NULL; d = d->next) {
            tg_diag_render(&text, d);
            tg_diag_render_json(&text, d);
        }
        tg_program_print_ast(p, &text);
        check_format(&arena, &src);
    }
    tg_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    tg_env env;
    tg_env_init(&env, tg_allocator_default(), (size_t)256 << 20);
    check(&env, data, size);
    return 0;
}
