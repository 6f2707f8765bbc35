/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The null driver: memory is real, launches are checked and do nothing. It is the template of a new
 * driver (docs/runtime.md, "How to add a driver") and measures what a launch costs by itself.
 */
#include "core/driver.h"

#include <string.h>

enum { ALIGN = 64 };

static bool null_describe(tgr_context *context, void *globals, int32_t index,
                          tgr_device_info *out) {
    (void)context;
    (void)globals;
    if (index != 0) {
        return false;
    }
    *out = (tgr_device_info){.driver = "null",
                             .name = "launches that do nothing",
                             .isa = "",
                             .max_threads = 1,
                             .host_memory = 1};
    return true;
}

static tgr_status null_open(tgr_context *context, void *globals, int32_t index,
                            const tgr_device_options *options, void **out_state,
                            int32_t *out_threads) {
    (void)context;
    (void)globals;
    (void)index;
    (void)options;
    *out_state = NULL; /* a real driver's state */
    *out_threads = 1;
    return TGR_OK;
}

static void null_close(tgr_context *context, void *state) {
    (void)context;
    (void)state;
}

static tgr_status null_memory_alloc(tgr_context *context, void *state, size_t bytes, uint32_t flags,
                                    tgr_memory *out) {
    (void)state;
    memset(out, 0, sizeof *out);
    size_t size;
    void *p =
        __builtin_add_overflow(bytes, (size_t)ALIGN, &size) ? NULL : tgr_alloc_raw(context, size);
    if (!p) {
        return tgr_fail(context, TGR_E_NOMEM, "no memory for a buffer of %zu bytes", bytes);
    }
    out->base = p;
    out->base_bytes = size;
    out->pointer = out->host = (char *)p + (-(uintptr_t)p & (ALIGN - 1));
    out->bytes = bytes;
    out->flags = flags;
    if (flags & TGR_BUFFER_ZERO) {
        memset(out->pointer, 0, bytes);
    }
    return TGR_OK;
}

static void null_memory_free(tgr_context *context, void *state, tgr_memory *memory) {
    (void)state;
    tgr_free(context, memory->base, memory->base_bytes);
}

static tgr_status null_copy(tgr_context *context, void *state, tgr_copy_kind kind, void *to,
                            const void *from, size_t bytes) {
    (void)context;
    (void)state;
    (void)kind;
    memmove(to, from, bytes);
    return TGR_OK;
}

/* Any code will do, as none is run. */
static int32_t null_isa_rank(void *state, uint32_t isa) {
    (void)state;
    (void)isa;
    return 0;
}

static tgr_status null_image_load(tgr_context *context, void *state, const tgr_image_desc *desc,
                                  void **out_image) {
    (void)state;
    (void)desc;
    *out_image = tgr_alloc(context, 1);
    return *out_image ? TGR_OK : tgr_fail(context, TGR_E_NOMEM, "out of memory loading code");
}

static void null_image_unload(tgr_context *context, void *state, void *image) {
    (void)state;
    tgr_free(context, image, 1);
}

static int32_t null_plan(const int64_t *slots, tg_cpu_plan *out_plan) {
    (void)slots;
    memset(out_plan, 0, sizeof *out_plan);
    return TG_CPU_TRAP_NONE;
}

static void null_image_entry(void *image, uint64_t plan, const uint64_t *phases, uint32_t n_phases,
                             tgr_entry *out) {
    (void)plan;
    (void)phases;
    *out = (tgr_entry){.plan = null_plan, .n_phases = n_phases, .image = image};
}

static tgr_status null_run(tgr_context *context, void *state, tgr_run *run) {
    (void)context;
    (void)state;
    run->programs = 0;
    return TGR_OK;
}

const tgr_driver tgr_driver_null = {
    .name = "null",
    .host_memory = true,
    .describe = null_describe,
    .open = null_open,
    .close = null_close,
    .memory_alloc = null_memory_alloc,
    .memory_free = null_memory_free,
    .copy = null_copy,
    .isa_rank = null_isa_rank,
    .needs_trust = false,
    .image_load = null_image_load,
    .image_unload = null_image_unload,
    .image_entry = null_image_entry,
    .run = null_run,
};
