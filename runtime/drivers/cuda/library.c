/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVIDIA's driver library, opened at run time: nothing links to it, and a machine without it has no
 * such devices. $TEGULA_CUDA_LIBRARY names another library than libcuda.so.1. A device's compute
 * capability chooses the row of the machine table whose code it gets; its errors are told in the
 * driver's own words.
 */
#include "drivers/cuda/cu.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- errors --------------------------------------------------------------------------------- */

/* After these every call on the context fails. */
static bool is_lost(CUresult code) {
    static const CUresult fatal[] = {CUDA_ERROR_DEINITIALIZED,
                                     CUDA_ERROR_DEVICE_UNAVAILABLE,
                                     CUDA_ERROR_INVALID_CONTEXT,
                                     CUDA_ERROR_ECC_UNCORRECTABLE,
                                     CUDA_ERROR_NVLINK_UNCORRECTABLE,
                                     CUDA_ERROR_CONTAINED,
                                     CUDA_ERROR_ILLEGAL_ADDRESS,
                                     CUDA_ERROR_LAUNCH_TIMEOUT,
                                     CUDA_ERROR_CONTEXT_IS_DESTROYED,
                                     CUDA_ERROR_ASSERT,
                                     CUDA_ERROR_HARDWARE_STACK_ERROR,
                                     CUDA_ERROR_ILLEGAL_INSTRUCTION,
                                     CUDA_ERROR_MISALIGNED_ADDRESS,
                                     CUDA_ERROR_INVALID_ADDRESS_SPACE,
                                     CUDA_ERROR_INVALID_PC,
                                     CUDA_ERROR_LAUNCH_FAILED,
                                     CUDA_ERROR_TENSOR_MEMORY_LEAK,
                                     CUDA_ERROR_SYSTEM_NOT_READY,
                                     CUDA_ERROR_MPS_CLIENT_TERMINATED,
                                     CUDA_ERROR_UNKNOWN};
    for (size_t i = 0; i < TGR_COUNT_OF(fatal); i++) {
        if (code == fatal[i]) {
            return true;
        }
    }
    return false;
}

static tgr_status status_of(CUresult code) {
    switch (code) {
    case CUDA_ERROR_OUT_OF_MEMORY:
        return TGR_E_NOMEM;
    case CUDA_ERROR_NO_DEVICE:
    case CUDA_ERROR_INVALID_DEVICE:
    case CUDA_ERROR_STUB_LIBRARY:
        return TGR_E_NOT_FOUND;
    case CUDA_ERROR_INVALID_IMAGE:
        return TGR_E_FORMAT;
    case CUDA_ERROR_NO_BINARY_FOR_GPU:
    case CUDA_ERROR_INVALID_PTX:
    case CUDA_ERROR_UNSUPPORTED_PTX_VERSION:
    case CUDA_ERROR_JIT_COMPILER_NOT_FOUND:
    case CUDA_ERROR_JIT_COMPILATION_DISABLED:
    case CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES:
    case CUDA_ERROR_INVALID_CLUSTER_SIZE:
    case CUDA_ERROR_NOT_SUPPORTED:
        return TGR_E_UNSUPPORTED;
    default:
        return TGR_E_INTERNAL;
    }
}

static tgr_status tell(tgr_context *context, const cu_globals *g, CUresult code, const char *where,
                       const char *what, tgr_status st) {
    const char *name = NULL, *text = NULL;
    g->vendor->explain(g, code, &name, &text);
    return tgr_fail(context, st, "%s%s%s: %s: %s (%s, %u)", g->vendor->name, *where ? " on " : "",
                    where, what, text ? text : "error", name ? name : "unknown", code);
}

tgr_status tgr_cu_tell(tgr_context *context, const cu_globals *g, CUresult code, const char *what,
                       tgr_status st) {
    return tell(context, g, code, "", what, st);
}

tgr_status tgr_cu_lose(cu_state *s, CUresult code, const char *what) {
    unsigned int first = CUDA_SUCCESS;
    if (atomic_compare_exchange_strong(&s->lost, &first, code)) {
        first = code;
    }
    return tell(s->context, s->globals, first, s->device->name, what, TGR_E_LOST);
}

tgr_status tgr_cu_fail(cu_state *s, CUresult code, const char *what) {
    return is_lost(code)
               ? tgr_cu_lose(s, code, what)
               : tell(s->context, s->globals, code, s->device->name, what, status_of(code));
}

/* ---- the library ---------------------------------------------------------------------------- */

/* The name of a function that is missing and must not be; else NULL. */
static const char *find_functions(void *library, cu_api *api) {
    const char *missing = NULL;
    void *at;
#define TGR_CU(name, parameters)                                                                   \
    at = dlsym(library, #name);                                                                    \
    memcpy(&api->name, &at, sizeof at);                                                            \
    missing = at ? missing : #name;
#define TGR_CU_OPTIONAL(name, parameters)                                                          \
    at = dlsym(library, #name);                                                                    \
    memcpy(&api->name, &at, sizeof at);
#include "drivers/cuda/functions.def"
#undef TGR_CU
#undef TGR_CU_OPTIONAL
    return missing;
}

static tgr_status open_library(tgr_context *context, cu_globals *g) {
    const char *name = getenv("TEGULA_CUDA_LIBRARY");
    name = name && *name ? name : "libcuda.so.1";
    g->library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!g->library) {
        return tgr_fail(context, TGR_E_NOT_FOUND, "no CUDA on this machine: %s", dlerror());
    }
    const char *missing = find_functions(g->library, &g->api);
    return missing
               ? tgr_fail(context, TGR_E_UNSUPPORTED,
                          "%s lacks %s; it is no driver library of CUDA 11 or later", name, missing)
               : TGR_OK;
}

/* ---- devices -------------------------------------------------------------------------------- */

/* The rows of backends/machines.def that are PTX. `exact`: for this compute capability alone. */
static const struct {
    uint32_t isa;
    const char *name;
    int capability;
    bool exact;
} rows[] = {{TG_ISA_PTX_SM_80, "sm_80", 80, false},    {TG_ISA_PTX_SM_86, "sm_86", 86, false},
            {TG_ISA_PTX_SM_89, "sm_89", 89, false},    {TG_ISA_PTX_SM_90, "sm_90", 90, false},
            {TG_ISA_PTX_SM_90A, "sm_90a", 90, true},   {TG_ISA_PTX_SM_100A, "sm_100a", 100, true},
            {TG_ISA_PTX_SM_120A, "sm_120a", 120, true}};

static int32_t rank_of(int capability, uint32_t isa) {
    for (size_t i = 0; i < TGR_COUNT_OF(rows); i++) {
        bool runs =
            rows[i].exact ? capability == rows[i].capability : capability >= rows[i].capability;
        if (rows[i].isa == isa && runs) {
            return (int32_t)i + 1;
        }
    }
    return -1;
}

/* The name of the best row; NULL when there is none. */
static const char *best_row(int capability) {
    const char *best = NULL;
    for (size_t i = 0; i < TGR_COUNT_OF(rows); i++) {
        best = rank_of(capability, rows[i].isa) > 0 ? rows[i].name : best;
    }
    return best;
}

/* 0 where the driver does not know the attribute. */
static int attribute(const cu_api *api, CUdevice d, CUdevice_attribute what) {
    int v = 0;
    return api->cuDeviceGetAttribute(&v, what, d) == CUDA_SUCCESS ? v : 0;
}

void tgr_cu_describe(const cu_api *api, cu_device *d, const char *driver, const char *isa,
                     int shared, CUdevice_attribute threads, CUdevice_attribute wave) {
    size_t memory = 0;
    if (api->cuDeviceTotalMem_v2(&memory, d->id) != CUDA_SUCCESS) {
        memory = 0;
    }
    d->info = (tgr_device_info){.driver = driver,
                                .name = d->name,
                                .isa = isa,
                                .max_threads = 1,
                                .features = TGR_SIMT_F64 | TGR_SIMT_INT8 | TGR_SIMT_INT16 |
                                            TGR_SIMT_INT64 | TGR_SIMT_ATOMIC64 | TGR_SIMT_FMA |
                                            TGR_SIMT_SUBGROUPS | TGR_SIMT_SUBNORMALS | TGR_SIMT_DIV,
                                .version = d->version,
                                .memory_bytes = (int64_t)memory,
                                .shared_bytes = shared,
                                .max_lanes = attribute(api, d->id, threads),
                                .subgroup = attribute(api, d->id, wave)};
}

static void describe_limits(const cu_api *api, cu_device *d) {
    int most = attribute(api, d->id, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
    d->plain_shared = attribute(api, d->id, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK);
    d->pools = attribute(api, d->id, CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED) &&
               api->cuMemAllocAsync && api->cuMemFreeAsync;
    d->clusters =
        attribute(api, d->id, CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH) && api->cuLaunchKernelEx;
    d->tensor_maps = attribute(api, d->id, CU_DEVICE_ATTRIBUTE_TENSOR_MAP_ACCESS_SUPPORTED) &&
                     api->cuTensorMapEncodeTiled;
    tgr_cu_describe(api, d, "cuda", best_row(d->capability),
                    most > d->plain_shared ? most : d->plain_shared,
                    CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, CU_DEVICE_ATTRIBUTE_WARP_SIZE);
}

/* False when our code cannot run there. */
static bool describe_device(const cu_api *api, int version, int ordinal, cu_device *d) {
    memset(d, 0, sizeof *d);
    if (api->cuDeviceGet(&d->id, ordinal) != CUDA_SUCCESS ||
        api->cuDeviceGetName(d->name, (int)sizeof d->name, d->id) != CUDA_SUCCESS) {
        return false;
    }
    d->name[sizeof d->name - 1] = '\0';
    d->ordinal = ordinal;
    d->capability = 10 * attribute(api, d->id, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) +
                    attribute(api, d->id, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    (void)snprintf(d->version, sizeof d->version, "driver for CUDA %d.%d", version / 1000,
                   version % 1000 / 10);
    describe_limits(api, d);
    return d->info.isa && attribute(api, d->id, CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING);
}

static tgr_status find_devices(tgr_context *context, cu_globals *g) {
    int n = 0, version = 0;
    CUresult code = g->api.cuInit(0);
    code = code ? code : g->api.cuDriverGetVersion(&version);
    code = code ? code : g->api.cuDeviceGetCount(&n);
    if (code) {
        return tgr_cu_tell(context, g, code, "looking for devices", TGR_E_NOT_FOUND);
    }
    for (int i = 0; i < n && g->n_devices < CU_MAX_DEVICES; i++) {
        cu_device *d = &g->devices[g->n_devices];
        if (describe_device(&g->api, version, i, d)) {
            g->n_devices++;
        } else {
            tgr_log(context, TGR_LOG_INFO, "CUDA: device %d (%s) is left out: it is below %s", i,
                    d->name, rows[0].name);
        }
    }
    return g->n_devices ? TGR_OK
                        : tgr_fail(context, TGR_E_NOT_FOUND,
                                   "CUDA is installed but none of its %d devices is %s or newer", n,
                                   rows[0].name);
}

/* ---- what HIP does otherwise ---------------------------------------------------------------- */

static void explain(const cu_globals *g, CUresult code, const char **name, const char **text) {
    (void)g->api.cuGetErrorName(code, name);
    (void)g->api.cuGetErrorString(code, text);
}

static int32_t rank(const cu_device *d, uint32_t isa) { return rank_of(d->capability, isa); }

static CUresult retain(cu_state *s) {
    return s->api->cuDevicePrimaryCtxRetain(&s->cu, s->device->id);
}

static void release(cu_state *s) { (void)s->api->cuDevicePrimaryCtxRelease_v2(s->device->id); }

/* The library keeps what was current. */
static CUresult enter(cu_state *s, int *out_before) {
    *out_before = 0;
    return s->api->cuCtxPushCurrent_v2(s->cu);
}

static void leave(cu_state *s, int before) {
    CUcontext was;
    (void)before;
    (void)s->api->cuCtxPopCurrent_v2(&was);
}

static const cu_vendor vendor = {.name = "CUDA",
                                 .device_memory = CU_MEMORYTYPE_DEVICE,
                                 .explain = explain,
                                 .rank = rank,
                                 .retain = retain,
                                 .release = release,
                                 .enter = enter,
                                 .leave = leave};

/* ---- door ----------------------------------------------------------------------------------- */

tgr_status tgr_cu_attach(tgr_context *context, void **out_globals) {
    cu_globals *g = tgr_alloc(context, sizeof *g);
    if (!g) {
        return tgr_fail(context, TGR_E_NOMEM, "out of memory looking for CUDA");
    }
    g->vendor = &vendor;
    tgr_status st = open_library(context, g);
    st = st ? st : find_devices(context, g);
    if (st) {
        tgr_cu_detach(context, g);
        return st;
    }
    *out_globals = g;
    return TGR_OK;
}

/* The library stays in memory: it keeps threads. */
void tgr_cu_detach(tgr_context *context, void *globals) {
    tgr_free(context, globals, sizeof(cu_globals));
}
