/* SPDX-License-Identifier: Apache-2.0 */
/* See support.h. */
#include "tests/opencl/support.h"

#include "backends/pack/package_write.h"
#include "backends/pack/simt_image.h"

static void print_log(void *user, tgr_log_level level, const char *text) {
    (void)user;
    (void)level;
    (void)text;
}

bool ocl_open(ocl_world *w, const char *name) {
    tgr_context_options o = TGR_INIT(tgr_context_options);
    o.log = print_log;
    memset(w, 0, sizeof *w);
    assert_int_equal(tgr_context_create(&o, &w->context), TGR_OK);
    if (tgr_device_open(w->context, name, NULL, &w->device) != TGR_OK) {
        tgr_context_release(w->context);
        return false;
    }
    ocl_expect(w, tgr_queue_create(w->device, 0, &w->queue), TGR_OK);
    return true;
}

void ocl_close(ocl_world *w) {
    tgr_queue_release(w->queue);
    tgr_device_release(w->device);
    tgr_context_release(w->context);
}

void ocl_expect(ocl_world *w, tgr_status got, tgr_status want) {
    if (got != want) {
        char text[512];
        (void)tgr_context_message(w->context, text, sizeof text);
        fail_msg("%s instead of %s: %s", tgr_status_name(got), tgr_status_name(want), text);
    }
}

void ocl_expect_message(ocl_world *w, const char *part) {
    char text[512];
    (void)tgr_context_message(w->context, text, sizeof text);
    if (!strstr(text, part)) {
        fail_msg("the message \"%s\" does not say \"%s\"", text, part);
    }
}

/* ---- packages ------------------------------------------------------------------------------- */

static tg_module *parse(const char *text, tg_arena *a, tg_sink *sink) {
    tg_source *src = TG_NEW(a, tg_source); /* operations point into it */
    *src = (tg_source){.name = "test", .text = text, .len = strlen(text)};
    tg_module *m = NULL;
    tg_status st = tg_module_parse(src, a, sink, &m);
    st = st ? st : tg_module_verify(m, sink);
    for (const tg_diag *e = sink->first; e; e = e->next) {
        fprintf(stderr, "%s\n", e->text);
    }
    assert_int_equal(st, TG_OK);
    return m;
}

static unsigned char *make_package(tg_arena *a, const char *tile_text, const char *loop_text,
                                   size_t *out_bytes) {
    tg_sink sink;
    tg_sink_init(&sink, a);
    tg_module *tile = parse(tile_text, a, &sink), *loop = parse(loop_text, a, &sink);
    const tg_machine *m = tg_machine_find("opencl");
    const unsigned char *code = NULL, *bytes = NULL;
    size_t n = 0;
    tg_blob blob;
    tg_simt_drop_plans(loop, tile);
    assert_int_equal(tg_simt_c_emit(loop, m, a, &sink, &code, &n), TG_OK);
    assert_int_equal(tg_simt_image_make(loop, tile, m, code, n, a, &sink, &blob), TG_OK);
    tg_pack_variant variant = {.func = tile->first_func, .schedule = "test"};
    tg_pack_kernel kernel = {.name = tile->first_func->name, .variants = &variant, .n_variants = 1};
    tg_pack_code codes = {.machine = m, .blob = &blob};
    tg_package_desc d = {.tool = "test",
                         .generator = "",
                         .kernels = &kernel,
                         .n_kernels = 1,
                         .codes = &codes,
                         .n_codes = 1};
    assert_int_equal(tg_package_write(&d, a, &sink, &bytes, out_bytes), TG_OK);
    unsigned char *copy = malloc(*out_bytes);
    assert_non_null(copy);
    memcpy(copy, bytes, *out_bytes);
    return copy;
}

unsigned char *ocl_package(const char *tile, const char *loop, size_t *out_bytes) {
    tg_env env;
    tg_arena arena;
    jmp_buf oom;
    tg_env_init(&env, tg_allocator_default(), 0);
    tg_arena_init(&arena, &env);
    if (TG_ENV_GUARD(&env, oom)) {
        fail_msg("out of memory");
    }
    unsigned char *bytes = make_package(&arena, tile, loop, out_bytes);
    tg_arena_fini(&arena);
    return bytes;
}

tgr_kernel *ocl_load(ocl_world *w, const char *tile, const char *loop) {
    size_t n;
    unsigned char *bytes = ocl_package(tile, loop, &n);
    tgr_load_options o = TGR_INIT(tgr_load_options);
    tgr_module *m = NULL;
    o.flags = TGR_LOAD_TRUSTED;
    ocl_expect(w, tgr_module_load(w->device, bytes, n, &o, &m), TGR_OK);
    free(bytes);
    return tgr_module_kernel(m, 0);
}

tgr_buffer *ocl_put(ocl_world *w, const void *bytes, size_t n) {
    tgr_buffer *b = NULL;
    ocl_expect(w, tgr_buffer_create(w->device, n, 0, &b), TGR_OK);
    ocl_expect(w, tgr_buffer_write(w->queue, b, 0, bytes, n), TGR_OK);
    return b;
}

void ocl_get(ocl_world *w, tgr_buffer *b, void *bytes, size_t n) {
    ocl_expect(w, tgr_buffer_read(w->queue, b, 0, bytes, n), TGR_OK);
}
