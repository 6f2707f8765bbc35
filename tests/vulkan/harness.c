/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/vulkan/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool dvt_open(dvt *t) {
    memset(t, 0, sizeof *t);
    assert_int_equal(tgr_context_create(NULL, &t->context), TGR_OK);
    void *globals = NULL, *state = NULL;
    int32_t threads = 0;
    if (tgr_vk_attach(t->context, &globals) != TGR_OK ||
        tgr_vk_open(t->context, globals, 0, NULL, &state, &threads) != TGR_OK) {
        char message[512];
        tgr_context_message(t->context, message, sizeof message);
        fprintf(stderr, "no Vulkan device: %s\n", message);
        t->globals = globals;
        return false;
    }
    t->globals = globals;
    t->vk = state;
    return true;
}

void dvt_close(dvt *t) {
    if (t->vk) {
        tgr_vk_close(t->context, t->vk);
    }
    if (t->globals) {
        tgr_vk_detach(t->context, t->globals);
    }
    tgr_context_release(t->context);
}

int dvt_begin(void **state) {
    static dvt t;
    *state = &t;
    if (!dvt_open(&t)) {
        fprintf(stderr, "skipped: no Vulkan device\n");
        exit(77);
    }
    return 0;
}

int dvt_finish(void **state) {
    dvt_close(*state);
    return 0;
}

/* ---- compiling --------------------------------------------------------------------------------
 */

static void print_diagnostics(const tg_sink *sink, tg_arena *a) {
    tg_sb sb;
    tg_sb_init(&sb, a);
    for (const tg_diag *d = sink->first; d; d = d->next) {
        tg_diag_render(&sb, d);
    }
    fprintf(stderr, "%s\n", sb.data ? sb.data : "");
}

/* OpenCL has 64-bit atomics by an extension that its environment of spirv-val does not know. */
static const char *environment(const void *bytes, size_t n, const tg_machine *m) {
    enum { HEADER = 5, OP_CAPABILITY = 2 << 16 | 17, INT64_ATOMICS = 12 };
    const uint32_t *words = bytes;
    bool atomics = false;
    for (size_t i = HEADER; i + 1 < n / 4 && words[i] == OP_CAPABILITY; i += 2) {
        atomics = atomics || words[i + 1] == INT64_ATOMICS;
    }
    return m->emitter == TG_EMIT_SPIRV_VULKAN ? "vulkan1.2" : atomics ? "spv1.2" : "opencl2.2";
}

static void validate(const void *bytes, size_t n, const tg_machine *m) {
    if (TG_SPIRV_VAL[0] == '\0') {
        return;
    }
    char name[] = "/tmp/tg-spirv-XXXXXX", command[256];
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
    snprintf(command, sizeof command, "%s --target-env %s %s", TG_SPIRV_VAL,
             environment(bytes, n, m), name);
    int rc = system(command);
    if (rc == 0 || !getenv("TG_KEEP_SPIRV")) {
        unlink(name);
    }
    assert_int_equal(rc, 0);
}

static bool compile(const char *text, const tg_machine *m, tg_env *env, const unsigned char **out,
                    size_t *out_bytes) {
    jmp_buf oom;
    tg_arena a;
    tg_sink sink;
    tg_module *module = NULL;
    if (TG_ENV_GUARD(env, oom)) {
        return false;
    }
    tg_arena_init(&a, env);
    tg_sink_init(&sink, &a);
    tg_source *src = TG_NEW(&a, tg_source);
    *src = (tg_source){.name = "test.ir", .text = text, .len = strlen(text)};
    bool ok = tg_module_parse(src, &a, &sink, &module) == TG_OK &&
              tg_module_verify(module, &sink) == TG_OK &&
              tg_spirv_emit(module, m, &a, &sink, out, out_bytes) == TG_OK;
    if (!ok) {
        print_diagnostics(&sink, &a);
        fprintf(stderr, "%s\n", text);
        return false;
    }
    void *copy = malloc(*out_bytes);
    memcpy(copy, *out, *out_bytes);
    *out = copy;
    tg_arena_fini(&a);
    return true;
}

uint32_t *vkt_compile(const char *text, const char *machine, size_t *out_words) {
    tg_env env;
    const unsigned char *bytes = NULL;
    size_t n = 0;
    const tg_machine *m = tg_machine_find(machine);
    assert_non_null(m);
    tg_env_init(&env, tg_allocator_default(), 0);
    assert_true(compile(text, m, &env, &bytes, &n));
    validate(bytes, n, m);
    *out_words = n / 4;
    return (uint32_t *)(uintptr_t)bytes;
}

/* ---- memory, running ----------------------------------------------------------------------------
 */

static void must(dvt *t, tgr_status st) {
    if (st) {
        char message[512];
        tgr_context_message(t->context, message, sizeof message);
        fprintf(stderr, "%s\n", message);
    }
    assert_int_equal(st, TGR_OK);
}

uint64_t dvt_put(dvt *t, const void *data, size_t bytes, tgr_memory *out) {
    must(t, tgr_vk_memory_alloc(t->context, t->vk, bytes, TGR_BUFFER_ZERO, out));
    if (data) {
        must(t, tgr_vk_copy(t->context, t->vk, TGR_COPY_TO_DEVICE, out->pointer, data, bytes));
    }
    return (uintptr_t)out->pointer;
}

void dvt_get(dvt *t, const tgr_memory *memory, void *out) {
    must(t,
         tgr_vk_copy(t->context, t->vk, TGR_COPY_FROM_DEVICE, out, memory->pointer, memory->bytes));
}

void dvt_free(dvt *t, tgr_memory *memory) { tgr_vk_memory_free(t->context, t->vk, memory); }

void dvt_run(dvt *t, const char *text, const char *entry, const int64_t *slots, uint32_t n_slots,
             int64_t programs, uint64_t scratch_bytes, uint32_t report[4]) {
    size_t n = 0, n_other = 0;
    free(vkt_compile(text, "opencl-spirv", &n_other)); /* is valid too */
    uint32_t *words = vkt_compile(text, "vulkan", &n), own[4];
    VkPipeline p = VK_NULL_HANDLE;
    must(t, tgr_vk_module_fit(t->context, t->vk->abilities, words, &n));
    must(t, tgr_vk_pipeline_make(t->vk, words, n, entry, &p));
    tgr_vk_dispatch d = {.pipeline = p,
                         .slots = slots,
                         .n_slots = n_slots,
                         .programs = programs,
                         .scratch_bytes = scratch_bytes};
    must(t, tgr_vk_dispatch_run(t->vk, &d, report ? report : own));
    t->vk->api.DestroyPipeline(t->vk->device, p, NULL);
    free(words);
}
