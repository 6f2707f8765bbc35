/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AMD's HIP library, opened at run time: nothing links to it, and a machine without it has no such
 * devices. $TEGULA_HIP_LIBRARY names another library than libamdhip64.so. A device's name of its
 * instruction set ("gfx942:sramecc+:xnack-") chooses the row of the machine table whose code it
 * gets; code is for exactly one of them. HIP has no contexts worth the name: a thread's current
 * device is set and set back around every call.
 */
#include "drivers/hip/hip.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

typedef CUresult (*properties_fn)(void *properties, int device);

/* What CUDA has no like of. */
typedef struct hip_own {
    const char *(*hipGetErrorName)(CUresult);
    const char *(*hipGetErrorString)(CUresult);
    CUresult (*hipGetDevice)(int *);
    CUresult (*hipSetDevice)(int);
} hip_own;

typedef struct hip_globals {
    cu_globals cu; /* first: what drivers/cuda sees */
    cu_vendor vendor;
    hip_own own;
    properties_fn properties;
    size_t arch_at;
} hip_globals;

static const hip_own *own_of(const cu_globals *g) { return &((const hip_globals *)g)->own; }

/* ---- the library ---------------------------------------------------------------------------- */

static void *open_any(const char **out_name) {
    static const char *const names[] = {"libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so.5",
                                        "libamdhip64.so"};
    const char *name = getenv("TEGULA_HIP_LIBRARY");
    *out_name = name && *name ? name : names[0];
    if (name && *name) {
        return dlopen(name, RTLD_NOW | RTLD_LOCAL);
    }
    void *library = NULL;
    for (size_t i = 0; i < TGR_COUNT_OF(names) && !library; i++) {
        *out_name = names[i];
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    }
    return library;
}

/* The name of a function that is missing and must not be; else NULL. */
static const char *find_functions(void *library, cu_api *api, hip_own *mine) {
    const char *missing = NULL;
    void *at;
#define FIND(name, to)                                                                             \
    at = dlsym(library, #name);                                                                    \
    memcpy(&(to), &at, sizeof at);
#define TGR_HIP(name, like, parameters)                                                            \
    FIND(name, api->like)                                                                          \
    missing = at ? missing : #name;
#define TGR_HIP_OPTIONAL(name, like, parameters) FIND(name, api->like)
#define TGR_HIP_OWN(name, result, parameters)                                                      \
    FIND(name, mine->name)                                                                         \
    missing = at ? missing : #name;
#include "drivers/hip/functions.def"
#undef TGR_HIP
#undef TGR_HIP_OPTIONAL
#undef TGR_HIP_OWN
#undef FIND
    return missing;
}

static bool find_properties(hip_globals *g) {
    void *at = dlsym(g->cu.library, "hipGetDevicePropertiesR0600");
    g->arch_at = at ? HIP_6_PROPERTIES_ARCH : HIP_5_PROPERTIES_ARCH;
    g->vendor.device_memory = at ? HIP_6_MEMORY_TYPE_DEVICE : HIP_5_MEMORY_TYPE_DEVICE;
    at = at ? at : dlsym(g->cu.library, "hipGetDeviceProperties");
    memcpy(&g->properties, &at, sizeof at);
    return at != NULL;
}

static tgr_status open_library(tgr_context *context, hip_globals *g) {
    const char *name;
    g->cu.library = open_any(&name);
    if (!g->cu.library) {
        return tgr_fail(context, TGR_E_NOT_FOUND, "no HIP on this machine: %s", dlerror());
    }
    const char *missing = find_functions(g->cu.library, &g->cu.api, &g->own);
    missing = missing || find_properties(g) ? missing : "hipGetDeviceProperties";
    if (missing) {
        return tgr_fail(context, TGR_E_UNSUPPORTED,
                        "%s lacks %s; it is no library of HIP 5 or later", name, missing);
    }
    return TGR_OK;
}

/* ---- what CUDA does otherwise --------------------------------------------------------------- */

static void explain(const cu_globals *g, CUresult code, const char **name, const char **text) {
    *name = own_of(g)->hipGetErrorName(code);
    *text = own_of(g)->hipGetErrorString(code);
}

/* The instruction sets of the package format whose code is AMD's, by the library's own names. */
static const struct {
    uint32_t isa;
    const char *name, *vendor;
} rows[] = {
#define ROW(id, number, text, vendor) {number, text, vendor},
    TG_ISAS(ROW)
#undef ROW
};

/* The row with code for this instruction set; -1: none. */
static int row_of(const char *arch) {
    for (size_t i = 0; i < TGR_COUNT_OF(rows); i++) {
        if (strcmp(rows[i].vendor, "hip") == 0 && strcmp(rows[i].name, arch) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static int32_t rank(const cu_device *d, uint32_t isa) {
    int i = row_of(d->arch);
    return i >= 0 && rows[i].isa == isa ? 1 : -1;
}

static CUresult enter(cu_state *s, int *out_before) {
    CUresult code = own_of(s->globals)->hipGetDevice(out_before);
    return code ? code : own_of(s->globals)->hipSetDevice(s->device->ordinal);
}

static void leave(cu_state *s, int before) { (void)own_of(s->globals)->hipSetDevice(before); }

/* The library makes what a device needs at the first use. */
static CUresult retain(cu_state *s) {
    int before = 0;
    CUresult code = enter(s, &before);
    if (!code) {
        leave(s, before);
    }
    return code;
}

static void release(cu_state *s) { (void)s; }

/* ---- devices -------------------------------------------------------------------------------- */

static int attribute(const cu_api *api, CUdevice d, CUdevice_attribute what) {
    int v = 0;
    return api->cuDeviceGetAttribute(&v, what, d) == CUDA_SUCCESS ? v : 0;
}

/* "gfx942" of "gfx942:sramecc+:xnack-"; false where the answer is no such name. */
static bool read_arch(const hip_globals *g, cu_device *d) {
    /* Room for properties that grow. */
    union {
        char bytes[2 * HIP_6_PROPERTIES_BYTES];
        uint64_t align;
    } p;
    memset(&p, 0, sizeof p);
    if (g->properties(&p, d->ordinal) != CUDA_SUCCESS) {
        return false;
    }
    const char *arch = p.bytes + g->arch_at;
    size_t n = 0;
    while (n < HIP_ARCH_BYTES && arch[n] != '\0' && arch[n] != ':') {
        n++;
    }
    if (n >= sizeof d->arch || strncmp(arch, "gfx", 3) != 0) {
        return false;
    }
    memcpy(d->arch, arch, n);
    return true;
}

/* False when our code cannot run there. */
static bool describe_device(const hip_globals *g, int version, int ordinal, cu_device *d) {
    const cu_api *api = &g->cu.api;
    memset(d, 0, sizeof *d);
    if (api->cuDeviceGet(&d->id, ordinal) != CUDA_SUCCESS ||
        api->cuDeviceGetName(d->name, (int)sizeof d->name, d->id) != CUDA_SUCCESS) {
        return false;
    }
    d->name[sizeof d->name - 1] = '\0';
    d->ordinal = ordinal;
    if (!read_arch(g, d)) {
        return false;
    }
    /* HIP_VERSION: major, two digits of minor, five of patch. */
    (void)snprintf(d->version, sizeof d->version, "HIP %d.%d", version / 10000000,
                   version / 100000 % 100);
    d->plain_shared = attribute(api, d->id, HIP_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK);
    d->pools = attribute(api, d->id, HIP_ATTRIBUTE_MEMORY_POOLS_SUPPORTED) &&
               api->cuMemAllocAsync && api->cuMemFreeAsync;
    int row = row_of(d->arch);
    tgr_cu_describe(api, d, "hip", row < 0 ? NULL : rows[row].name, d->plain_shared,
                    HIP_ATTRIBUTE_MAX_THREADS_PER_BLOCK, HIP_ATTRIBUTE_WARP_SIZE);
    return row >= 0;
}

static tgr_status find_devices(tgr_context *context, hip_globals *g) {
    int n = 0, version = 0;
    const cu_api *api = &g->cu.api;
    CUresult code = api->cuInit(0);
    code = code ? code : api->cuDriverGetVersion(&version);
    code = code ? code : api->cuDeviceGetCount(&n);
    if (code) {
        return tgr_cu_tell(context, &g->cu, code, "looking for devices", TGR_E_NOT_FOUND);
    }
    for (int i = 0; i < n && g->cu.n_devices < CU_MAX_DEVICES; i++) {
        cu_device *d = &g->cu.devices[g->cu.n_devices];
        if (describe_device(g, version, i, d)) {
            g->cu.n_devices++;
        } else {
            tgr_log(context, TGR_LOG_INFO, "HIP: device %d (%s, %s) is left out: no code for it", i,
                    d->name, d->arch[0] ? d->arch : "of unknown kind");
        }
    }
    return g->cu.n_devices
               ? TGR_OK
               : tgr_fail(context, TGR_E_NOT_FOUND,
                          "HIP is installed but there is code for none of its %d devices", n);
}

/* ---- door ----------------------------------------------------------------------------------- */

/* The library stays in memory: it keeps threads. */
static void hip_detach(tgr_context *context, void *globals) {
    tgr_free(context, globals, sizeof(hip_globals));
}

static tgr_status hip_attach(tgr_context *context, void **out_globals) {
    hip_globals *g = tgr_alloc(context, sizeof *g);
    if (!g) {
        return tgr_fail(context, TGR_E_NOMEM, "out of memory looking for HIP");
    }
    g->vendor = (cu_vendor){.name = "HIP",
                            .explain = explain,
                            .rank = rank,
                            .retain = retain,
                            .release = release,
                            .enter = enter,
                            .leave = leave};
    g->cu.vendor = &g->vendor;
    tgr_status st = open_library(context, g);
    st = st ? st : find_devices(context, g);
    if (st) {
        hip_detach(context, g);
        return st;
    }
    *out_globals = g;
    return TGR_OK;
}

const tgr_driver tgr_driver_hip = {
    .name = "hip",
    .attach = hip_attach,
    .detach = hip_detach,
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
