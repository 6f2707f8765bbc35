/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing OpenCL devices, and the driver's table. */
#include "opencl.h"

static const uint64_t first_address = (uint64_t)1 << 32; /* none of the host's small numbers */

static bool cl_describe(tgr_context *context, void *globals, int32_t index, tgr_device_info *out) {
    cl_globals *g = globals;
    (void)context;
    if (index < 0 || index >= g->n_devices) {
        return false;
    }
    *out = g->devices[index].info;
    return true;
}

static void cl_close(tgr_context *context, void *state) {
    cl_state *s = state;
    if (s->queue) {
        (void)s->api->clFinish(s->queue);
    }
    if (s->cl) {
        tgr_cl_block_free(s, &s->slots);
        tgr_cl_block_free(s, &s->report);
        tgr_cl_block_free(s, &s->scratch);
    }
    if (s->queue) {
        (void)s->api->clReleaseCommandQueue(s->queue);
    }
    if (s->cl) {
        (void)s->api->clReleaseContext(s->cl);
    }
    tgr_cache_release(s->cache);
    tgr_free(context, s->ranges, s->cap_ranges * sizeof *s->ranges);
    pthread_mutex_destroy(&s->lock);
    tgr_free(context, s, sizeof *s);
}

static tgr_status make_queue(cl_state *s) {
    cl_int code;
    cl_context_properties properties[] = {CL_CONTEXT_PLATFORM,
                                          (cl_context_properties)s->device->platform, 0};
    s->cl = s->api->clCreateContext(properties, 1, &s->device->id, NULL, NULL, &code);
    if (code != CL_SUCCESS) {
        s->cl = NULL;
        return tgr_cl_fail(s, code, "opening the device");
    }
    s->queue = s->api->clCreateCommandQueue(s->cl, s->device->id, 0, &code);
    if (code != CL_SUCCESS) {
        s->queue = NULL;
        return tgr_cl_fail(s, code, "making a queue");
    }
    return TGR_OK;
}

static tgr_status cl_open(tgr_context *context, void *globals, int32_t index,
                          const tgr_device_options *options, void **out_state,
                          int32_t *out_threads) {
    cl_globals *g = globals;
    (void)options;
    cl_state *s = tgr_alloc(context, sizeof *s);
    if (!s || pthread_mutex_init(&s->lock, NULL) != 0) {
        tgr_free(context, s, s ? sizeof *s : 0);
        return tgr_fail(context, TGR_E_NOMEM, "out of memory opening an OpenCL device");
    }
    s->context = context;
    s->api = &g->api;
    s->device = &g->devices[index];
    s->svm = s->device->takes_il;
    s->next_address = first_address;
    tgr_status st = make_queue(s);
    st = st ? st : tgr_cache_open(context, NULL, 0, &s->cache);
    if (st) {
        cl_close(context, s);
        return st;
    }
    *out_state = s;
    *out_threads = 1;
    return TGR_OK;
}

const tgr_driver tgr_driver_opencl = {
    .name = "opencl",
    .attach = tgr_cl_attach,
    .detach = tgr_cl_detach,
    .describe = cl_describe,
    .open = cl_open,
    .close = cl_close,
    .memory_alloc = tgr_cl_memory_alloc,
    .memory_free = tgr_cl_memory_free,
    .holds = tgr_cl_holds,
    .copy = tgr_cl_copy,
    .fill = tgr_cl_fill,
    .isa_rank = tgr_cl_isa_rank,
    .needs_trust = true,
    .image_load = tgr_cl_image_load,
    .image_unload = tgr_cl_image_unload,
    .image_entry = tgr_cl_image_entry,
    .run = tgr_cl_run,
};
