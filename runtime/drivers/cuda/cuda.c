/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing NVIDIA's devices, and the driver's table. */
#include "drivers/cuda/cu.h"

bool tgr_cu_info(tgr_context *context, void *globals, int32_t index, tgr_device_info *out) {
    cu_globals *g = globals;
    (void)context;
    if (index < 0 || index >= g->n_devices) {
        return false;
    }
    *out = g->devices[index].info;
    return true;
}

/* Of a context that cannot become current only what is the host's is freed; the rest goes with it.
 */
void tgr_cu_close(tgr_context *context, void *state) {
    cu_state *s = state;
    int before = 0;
    bool current = s->vendor->enter(s, &before) == CUDA_SUCCESS;
    tgr_cu_lanes_free(s);
    if (current) {
        tgr_cu_leave(s, before);
    }
    s->vendor->release(s);
    pthread_mutex_destroy(&s->lock);
    tgr_free(context, s, sizeof *s);
}

/* Memory given back stays with the pool instead of going to the system at every wait. An advice. */
static void keep_pool(const cu_state *s) {
    CUmemoryPool pool;
    cuuint64_t all = UINT64_MAX;
    if (s->device->pools && s->api->cuDeviceGetDefaultMemPool && s->api->cuMemPoolSetAttribute &&
        s->api->cuDeviceGetDefaultMemPool(&pool, s->device->id) == CUDA_SUCCESS) {
        (void)s->api->cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &all);
    }
}

tgr_status tgr_cu_open(tgr_context *context, void *globals, int32_t index,
                       const tgr_device_options *options, void **out_state, int32_t *out_threads) {
    cu_globals *g = globals;
    (void)options;
    cu_state *s = tgr_alloc(context, sizeof *s);
    if (!s || pthread_mutex_init(&s->lock, NULL) != 0) {
        tgr_free(context, s, s ? sizeof *s : 0);
        return tgr_fail(context, TGR_E_NOMEM, "out of memory opening a device");
    }
    s->context = context;
    s->globals = g;
    s->api = &g->api;
    s->vendor = g->vendor;
    s->device = &g->devices[index];
    tgr_status st = tgr_cu_check(s, s->vendor->retain(s), "opening the device");
    if (st) {
        pthread_mutex_destroy(&s->lock);
        tgr_free(context, s, sizeof *s);
        return st;
    }
    keep_pool(s);
    *out_state = s;
    *out_threads = 1;
    return TGR_OK;
}

const tgr_driver tgr_driver_cuda = {
    .name = "cuda",
    .attach = tgr_cu_attach,
    .detach = tgr_cu_detach,
    .describe = tgr_cu_info,
    .open = tgr_cu_open,
    .close = tgr_cu_close,
    .memory_alloc = tgr_cu_memory_alloc,
    .memory_free = tgr_cu_memory_free,
    .holds = tgr_cu_holds,
    .copy = tgr_cu_copy,
    .fill = tgr_cu_fill,
    .isa_rank = tgr_cu_isa_rank,
    .needs_trust = true, /* it follows addresses, also into what others have on the device */
    .image_load = tgr_cu_image_load,
    .image_unload = tgr_cu_image_unload,
    .image_entry = tgr_cu_image_entry,
    .run = tgr_cu_run,
    .graph_takes = tgr_cu_graph_takes,
    .graph_make = tgr_cu_graph_make,
    .graph_run = tgr_cu_graph_run,
    .graph_free = tgr_cu_graph_free,
};
