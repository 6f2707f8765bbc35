/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer target: any bytes as IR text. What is accepted is printed and read again (the text must
 * come back equal); what also verifies goes through every pass of the pipeline and must verify
 * after, and so must what it is placed as.
 */
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "backends/backend.h"
#include "ir/ir.h"
#include "ir/passes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run_passes(tg_module *m, tg_arena *arena, tg_sink *sink) {
    for (tg_func *f = m->first_func; f != NULL; f = f->next) {
        if (f->level != TG_LEVEL_TILE) {
            continue;
        }
        for (size_t i = 0; i < tg_tile_pipeline_count; i++) {
            tg_pass_context ctx = {.scratch = arena};
            tg_tile_pipeline[i].run(f, &ctx);
            if (tg_func_verify(f, sink) != TG_OK) {
                abort();
            }
        }
        tg_module *out = tg_module_make(arena);
        if (tg_place(f, tg_machine_find("opencl"), out, sink) == TG_OK &&
            tg_module_verify(out, sink) != TG_OK) {
            abort();
        }
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
    tg_source src = {.name = "fuzz", .len = size};
    src.text = tg_arena_strndup(&arena, (const char *)data, size);
    tg_module *m = NULL;
    if (tg_module_parse(&src, &arena, &sink, &m) == TG_OK) {
        tg_sb once, twice;
        tg_sb_init(&once, &arena);
        tg_sb_init(&twice, &arena);
        tg_module_print(&once, m);
        tg_source printed = {.name = "printed", .text = once.data, .len = once.len};
        tg_module *again = NULL;
        if (tg_module_parse(&printed, &arena, &sink, &again) != TG_OK) {
            abort();
        }
        tg_module_print(&twice, again);
        if (strcmp(once.data, twice.data) != 0) {
            abort();
        }
        if (tg_module_verify(m, &sink) == TG_OK) {
            run_passes(m, &arena, &sink);
        }
    }
    tg_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    tg_env env;
    tg_env_init(&env, tg_allocator_default(), (size_t)256 << 20);
    check(&env, data, size);
    return 0;
}
