/* SPDX-License-Identifier: Apache-2.0 */
/* See support.h. */
#include "tests/opencl/support.h"

#include "backends/pack/simt_image.h"
#include "tests/common/common.h"

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
    test_expect(w->context, got, want);
}

void ocl_expect_message(ocl_world *w, const char *part) { test_expect_message(w->context, part); }

/* ---- packages ------------------------------------------------------------------------------- */

/* what: the tile text and the loop text */
static void describe(tg_arena *a, tg_sink *sink, const void *what, tg_package_desc *d) {
    const char *const *texts = what;
    tg_module *tile = test_parse(texts[0], true, a, sink),
              *loop = test_parse(texts[1], true, a, sink);
    const tg_machine *m = tg_machine_find("opencl");
    const unsigned char *code = NULL;
    size_t n = 0;
    tg_blob *blob = TG_NEW(a, tg_blob);
    tg_pack_variant *variant = TG_NEW(a, tg_pack_variant);
    tg_pack_kernel *kernel = TG_NEW(a, tg_pack_kernel);
    tg_pack_code *codes = TG_NEW(a, tg_pack_code);
    tg_simt_drop_plans(loop, tile);
    assert_int_equal(tg_simt_c_emit(loop, m, a, sink, &code, &n), TG_OK);
    assert_int_equal(tg_simt_image_make(loop, tile, m, code, n, a, sink, blob), TG_OK);
    *variant = (tg_pack_variant){.func = tile->first_func, .schedule = "test"};
    *kernel =
        (tg_pack_kernel){.name = tile->first_func->name, .variants = variant, .n_variants = 1};
    *codes = (tg_pack_code){.machine = m, .blob = blob};
    d->kernels = kernel;
    d->n_kernels = 1;
    d->codes = codes;
    d->n_codes = 1;
}

unsigned char *ocl_package(const char *tile, const char *loop, size_t *out_bytes) {
    const char *const texts[] = {tile, loop};
    return test_package(describe, texts, out_bytes);
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
