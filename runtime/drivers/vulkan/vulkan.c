/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Vulkan driver's table: images become pipelines when an entry first runs; a launch is one
 * dispatch of the entry (launch.c) and the reading of its report.
 */
#include <string.h>

#include "core/simt.h"
#include "drivers/vulkan/vk.h"

typedef struct image {
    tgr_simt_image simt;
    uint32_t *words; /* the module, fitted to the device */
    size_t n_words, words_bytes;
} image;

/* ---- images -------------------------------------------------------------------------------------
 */

static int32_t isa_rank(void *state, uint32_t isa) {
    (void)state;
    return isa == TG_ISA_SPIRV_VULKAN ? 1 : -1;
}

static void free_pipelines(tgr_vk *vk, image *im) {
    for (uint32_t i = 0; i < im->simt.n_entries; i++) {
        tgr_simt_entry *e = &im->simt.entries[i];
        vk->api.DestroyPipeline(vk->device, (VkPipeline)e->driver, NULL);
        vk->api.DestroyPipeline(vk->device, (VkPipeline)e->driver_plan, NULL);
    }
}

static void image_unload(tgr_context *context, void *state, void *object) {
    tgr_vk *vk = state;
    image *im = object;
    pthread_mutex_lock(&vk->lock);
    free_pipelines(vk, im);
    pthread_mutex_unlock(&vk->lock);
    if (im->words) {
        tgr_free(context, im->words, im->words_bytes);
    }
    tgr_simt_image_fini(&im->simt);
    tgr_free(context, im, sizeof *im);
}

static tgr_status fit(tgr_context *context, tgr_vk *vk, image *im) {
    if (im->simt.code_bytes % 4 != 0) {
        return tgr_fail(context, TGR_E_FORMAT, "the Vulkan code is no SPIR-V: %zu bytes",
                        im->simt.code_bytes);
    }
    im->words_bytes = im->simt.code_bytes;
    im->n_words = im->words_bytes / 4;
    im->words = tgr_alloc_raw(context, im->words_bytes);
    if (!im->words) {
        return tgr_fail(context, TGR_E_NOMEM, "out of memory loading code");
    }
    memcpy(im->words, im->simt.code, im->words_bytes);
    return tgr_vk_module_fit(context, vk->abilities, im->words, &im->n_words);
}

static tgr_status image_load(tgr_context *context, void *state, const tgr_image_desc *desc,
                             void **out_image) {
    tgr_vk *vk = state;
    image *im = tgr_alloc(context, sizeof *im);
    if (!im) {
        return tgr_fail(context, TGR_E_NOMEM, "out of memory loading code");
    }
    tgr_status st = tgr_simt_image_read(context, desc, &im->simt);
    if (st) {
        tgr_free(context, im, sizeof *im);
        return st;
    }
    st = fit(context, vk, im);
    if (st) {
        image_unload(context, state, im);
        return st;
    }
    *out_image = im;
    return TGR_OK;
}

static void image_entry(void *object, uint64_t plan, const uint64_t *phases, uint32_t n_phases,
                        tgr_entry *out) {
    (void)plan;
    image *im = object;
    tgr_simt_image_entry(&im->simt, im, phases, n_phases, out);
}

/* ---- running ------------------------------------------------------------------------------------
 */

static tgr_status pipeline(tgr_vk *vk, const image *im, const char *name, void **at) {
    tgr_status st = TGR_OK;
    VkPipeline p = VK_NULL_HANDLE;
    pthread_mutex_lock(&vk->lock);
    if (!*at) {
        st = tgr_vk_pipeline_make(vk, im->words, im->n_words, name, &p);
        *at = st ? NULL : (void *)p;
    }
    pthread_mutex_unlock(&vk->lock);
    return st;
}

/* The number of programs: from the axes, or from the plan entry run on the device. */
static tgr_status count_programs(tgr_vk *vk, const image *im, tgr_simt_entry *e, tgr_run *run,
                                 int64_t *out) {
    if (!e->plan) {
        return tgr_simt_programs(vk->context, run, e, out);
    }
    tg_cpu_plan plan;
    uint32_t report[4];
    tgr_status st = pipeline(vk, im, e->plan, &e->driver_plan);
    tgr_vk_dispatch d = {.pipeline = (VkPipeline)e->driver_plan,
                         .slots = run->slots,
                         .n_slots = run->n_slots,
                         .programs = 1,
                         .out_plan = &plan};
    st = st ? st : tgr_vk_dispatch_run(vk, &d, report);
    return st ? st : tgr_simt_planned(vk->context, run, &plan, report, out);
}

static tgr_status vulkan_run(tgr_context *context, void *state, tgr_run *run) {
    tgr_vk *vk = state;
    image *im = run->entry->image;
    tgr_simt_entry *e =
        tgr_simt_image_find(&im->simt, ((const tgr_simt_entry *)run->entry->simt)->offset);
    uint32_t report[4];
    tgr_status st = tgr_simt_admit(context, &vk->info, run, e);
    st = st ? st : pipeline(vk, im, e->name, &e->driver);
    st = st ? st : count_programs(vk, im, e, run, &run->programs);
    if (st) {
        return st;
    }
    tgr_simt_trace(context, run, e, im->words, im->n_words * sizeof *im->words, "");
    tgr_vk_dispatch d = {.pipeline = (VkPipeline)e->driver,
                         .slots = run->slots,
                         .n_slots = run->n_slots,
                         .programs = run->programs,
                         .scratch_bytes = e->scratch_bytes};
    st = tgr_vk_dispatch_run(vk, &d, report);
    return st ? st : tgr_simt_trapped(context, run, report);
}

const tgr_driver tgr_driver_vulkan = {
    .name = "vulkan",
    .host_memory = false,
    .attach = tgr_vk_attach,
    .detach = tgr_vk_detach,
    .describe = tgr_vk_describe,
    .open = tgr_vk_open,
    .close = tgr_vk_close,
    .memory_alloc = tgr_vk_memory_alloc,
    .memory_free = tgr_vk_memory_free,
    .holds = tgr_vk_holds,
    .copy = tgr_vk_copy,
    .fill = tgr_vk_fill,
    .isa_rank = isa_rank,
    .needs_trust = true, /* it follows addresses; on a CPU device those are the host's */
    .image_load = image_load,
    .image_unload = image_unload,
    .image_entry = image_entry,
    .run = vulkan_run,
};
