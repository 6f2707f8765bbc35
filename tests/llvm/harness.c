/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/llvm/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void print_diagnostics(const tg_sink *sink, tg_arena *a) {
    tg_sb sb;
    tg_sb_init(&sb, a);
    for (const tg_diag *d = sink->first; d; d = d->next) {
        tg_diag_render(&sb, d);
    }
    fprintf(stderr, "%s\n", sb.data ? sb.data : "");
}

static void legalise(tg_module *m, const tg_machine *machine) {
    for (tg_func *f = m->first_func; f; f = f->next) {
        if (f->level == TG_LEVEL_LOOP) {
            tg_expand_legalise(f, machine);
        }
    }
}

/* The host's C library behind the blob's imports. */
static void fill_imports(unsigned char *slots) {
    static void *(*const copy[])(void *, const void *, size_t) = {memcpy, memmove};
    static void *(*const set)(void *, int, size_t) = memset;
    memcpy(slots, &copy[0], 8);
    memcpy(slots + 8, &set, 8);
    memcpy(slots + 16, &copy[1], 8);
}

static bool map_blob(struct tg_test_code *c) {
    c->map_bytes = (c->blob.n_bytes + 4095) / 4096 * 4096;
    c->map = mmap(NULL, c->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (c->map == MAP_FAILED) {
        c->map = NULL;
        return false;
    }
    memcpy(c->map, c->blob.bytes, c->blob.n_bytes);
    fill_imports(c->map + c->blob.imports_offset);
    return mprotect(c->map, c->map_bytes, PROT_READ | PROT_EXEC) == 0;
}

static bool compile(tg_module *m, const tg_machine *machine, struct tg_test_code *out) {
    static const tg_llvm_options options = {.opt_level = 2, .emit = TG_LLVM_OBJECT};
    tg_sink sink;
    const unsigned char *obj = NULL;
    size_t n_obj = 0;
    tg_arena_init(&out->arena, &out->env);
    tg_sink_init(&sink, &out->arena);
    legalise(m, machine);
    bool ok = tg_llvm_emit(m, machine, &options, &out->arena, &sink, &obj, &n_obj) == TG_OK &&
              tg_blob_from_object(obj, n_obj, &out->arena, &sink, &out->blob) == TG_OK &&
              map_blob(out);
    if (!ok) {
        print_diagnostics(&sink, &out->arena);
        tg_test_unload(out);
    }
    return ok;
}

bool tg_test_load(tg_module *m, const tg_machine *machine, struct tg_test_code *out) {
    memset(out, 0, sizeof *out);
    tg_env_init(&out->env, tg_allocator_default(), 0);
    jmp_buf oom;
    return !TG_ENV_GUARD(&out->env, oom) && compile(m, machine ? machine : tg_machine_host(), out);
}

void *tg_test_symbol(const struct tg_test_code *code, const char *name) {
    for (size_t i = 0; i < code->blob.n_symbols; i++) {
        if (strcmp(code->blob.symbols[i].name, name) == 0) {
            return code->map + code->blob.symbols[i].offset;
        }
    }
    return NULL;
}

void tg_test_unload(struct tg_test_code *code) {
    if (code->map) {
        munmap(code->map, code->map_bytes);
        code->map = NULL;
    }
    tg_arena_fini(&code->arena);
}

const char *tg_test_asm(tg_module *m, const tg_machine *machine) {
    static const tg_llvm_options options = {.opt_level = 2, .emit = TG_LLVM_ASM};
    tg_sink sink;
    tg_sink_init(&sink, m->arena);
    const unsigned char *text = NULL;
    size_t n = 0;
    machine = machine ? machine : tg_machine_host();
    legalise(m, machine);
    if (tg_llvm_emit(m, machine, &options, m->arena, &sink, &text, &n) != TG_OK) {
        print_diagnostics(&sink, m->arena);
        return NULL;
    }
    return (const char *)text;
}

void tg_test_begin(struct tg_test_func *t) {
    memset(t, 0, sizeof *t);
    tg_env_init(&t->env, tg_allocator_default(), 0);
    if (TG_ENV_GUARD(&t->env, t->oom)) {
        fprintf(stderr, "out of memory\n");
        abort();
    }
    tg_arena_init(&t->arena, &t->env);
    t->module = tg_module_make(&t->arena);
}

void tg_test_function(struct tg_test_func *t, const char *name, int n_args,
                      const tg_type *const *types) {
    t->func = tg_func_make(t->module, name, TG_LEVEL_LOOP);
    if (!t->func->body) {
        t->func->body = tg_region_make(t->func, NULL);
    }
    for (int i = 0; i < n_args; i++) {
        tg_region_add_arg(t->func->body, types[i], NULL);
    }
    t->b = tg_builder_at_end(t->func->body);
}

void tg_test_end(struct tg_test_func *t) { tg_arena_fini(&t->arena); }
