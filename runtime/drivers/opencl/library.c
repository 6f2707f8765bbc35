/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ICD loader, opened at run time: nothing links to it, and a machine without it has no OpenCL
 * devices. $TEGULA_OPENCL_LIBRARY names another library than libOpenCL.so.1. What a device reports
 * becomes its description; a device is left out when it is big-endian or has no compiler.
 */
#include "opencl.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

const char *tgr_cl_error(cl_int code) {
    switch (code) {
    case CL_DEVICE_NOT_FOUND:
        return "no device";
    case CL_DEVICE_NOT_AVAILABLE:
        return "the device is not available";
    case CL_MEM_OBJECT_ALLOCATION_FAILURE:
        return "out of device memory";
    case CL_OUT_OF_RESOURCES:
        return "out of device resources";
    case CL_OUT_OF_HOST_MEMORY:
        return "out of host memory";
    case CL_BUILD_PROGRAM_FAILURE:
        return "the program does not build";
    case CL_INVALID_BUFFER_SIZE:
        return "the buffer is larger than the device allows";
    case CL_INVALID_KERNEL_NAME:
        return "no such kernel in the program";
    case CL_INVALID_WORK_GROUP_SIZE:
        return "the work-group is larger than the kernel can run with";
    case CL_INVALID_COMMAND_QUEUE:
        return "the queue is dead";
    default:
        return "error";
    }
}

static bool is_lost(cl_int code) {
    return code == CL_DEVICE_NOT_AVAILABLE || code == CL_INVALID_COMMAND_QUEUE ||
           code == CL_INVALID_CONTEXT || code <= -9999;
}

tgr_status tgr_cl_fail(cl_state *s, cl_int code, const char *what) {
    bool memory = code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_HOST_MEMORY ||
                  code == CL_OUT_OF_RESOURCES || code == CL_INVALID_BUFFER_SIZE;
    s->lost |= is_lost(code);
    return tgr_fail(s->context,
                    s->lost  ? TGR_E_LOST
                    : memory ? TGR_E_NOMEM
                             : TGR_E_INTERNAL,
                    "OpenCL on %s: %s: %s (%d)", s->device->name, what, tgr_cl_error(code),
                    (int)code);
}

/* ---- the library ---------------------------------------------------------------------------- */

static bool find_functions(void *library, cl_api *api) {
#define TGR_X(f)                                                                                   \
    {                                                                                              \
        void *at = dlsym(library, #f);                                                             \
        memcpy(&api->f, &at, sizeof at);                                                           \
    }
    TGR_CL_FUNCTIONS(TGR_X)
    TGR_CL_OPTIONAL(TGR_X)
#undef TGR_X
    bool all = true;
#define TGR_X(f) all &= api->f != NULL;
    TGR_CL_FUNCTIONS(TGR_X)
#undef TGR_X
    return all;
}

static tgr_status open_library(tgr_context *context, cl_globals *g) {
    const char *name = getenv("TEGULA_OPENCL_LIBRARY");
    name = name && *name ? name : "libOpenCL.so.1";
    g->library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!g->library) {
        return tgr_fail(context, TGR_E_NOT_FOUND, "no OpenCL on this machine: %s", dlerror());
    }
    if (!find_functions(g->library, &g->api)) {
        return tgr_fail(context, TGR_E_UNSUPPORTED,
                        "%s lacks functions of OpenCL 1.2; it cannot be used", name);
    }
    return TGR_OK;
}

/* ---- devices -------------------------------------------------------------------------------- */

static uint64_t info_u64(const cl_api *api, cl_device_id d, cl_device_info what, size_t bytes) {
    uint64_t v = 0;
    return api->clGetDeviceInfo(d, what, bytes, &v, NULL) == CL_SUCCESS ? v : 0;
}

static void info_text(const cl_api *api, cl_device_id d, cl_device_info what, char *out, size_t n) {
    out[0] = '\0';
    if (api->clGetDeviceInfo(d, what, n, out, NULL) != CL_SUCCESS) {
        out[0] = '\0';
    }
    out[n - 1] = '\0';
}

static bool has_extension(const cl_api *api, cl_device_id d, const char *name) {
    char text[16384];
    info_text(api, d, CL_DEVICE_EXTENSIONS, text, sizeof text);
    size_t n = strlen(name);
    for (const char *at = strstr(text, name); at; at = strstr(at + 1, name)) {
        if ((at == text || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0')) {
            return true;
        }
    }
    return false;
}

static uint64_t features_of(const cl_api *api, cl_device *d) {
    uint64_t f = TGR_SIMT_INT8 | TGR_SIMT_INT16 | TGR_SIMT_INT64 | TGR_SIMT_FMA;
    uint64_t single = info_u64(api, d->id, CL_DEVICE_SINGLE_FP_CONFIG, sizeof(cl_device_fp_config));
    uint64_t twice = info_u64(api, d->id, CL_DEVICE_DOUBLE_FP_CONFIG, sizeof(cl_device_fp_config));
    d->div_option = single & CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT;
    f |= twice ? TGR_SIMT_F64 : 0;
    f |= single & CL_FP_DENORM ? TGR_SIMT_SUBNORMALS : 0;
    f |= d->div_option ? TGR_SIMT_DIV : 0;
    f |= info_u64(api, d->id, CL_DEVICE_TYPE, sizeof(cl_device_type)) & CL_DEVICE_TYPE_CPU
             ? TGR_SIMT_FLAT
             : 0;
    bool wide = has_extension(api, d->id, "cl_khr_int64_base_atomics") &&
                has_extension(api, d->id, "cl_khr_int64_extended_atomics");
    return f | (wide ? TGR_SIMT_ATOMIC64 : 0);
}

static bool takes_il(const cl_api *api, cl_device_id d) {
    char text[NAME_BYTES];
    info_text(api, d, CL_DEVICE_IL_VERSION, text, sizeof text);
    bool svm = info_u64(api, d, CL_DEVICE_SVM_CAPABILITIES, sizeof(cl_device_svm_capabilities)) &
               CL_DEVICE_SVM_COARSE_GRAIN_BUFFER;
    return strstr(text, "SPIR-V") && svm && api->clCreateProgramWithIL && api->clSVMAlloc &&
           api->clSVMFree && api->clEnqueueSVMMemcpy && api->clEnqueueSVMMemFill &&
           api->clSetKernelArgSVMPointer && api->clSetKernelExecInfo;
}

static void describe_device(const cl_api *api, cl_device *d) {
    char name[NAME_BYTES / 2 - 4], platform[NAME_BYTES / 2 - 4], own[NAME_BYTES / 2 - 4];
    info_text(api, d->id, CL_DEVICE_NAME, name, sizeof name);
    platform[0] = '\0';
    (void)api->clGetPlatformInfo(d->platform, CL_PLATFORM_NAME, sizeof platform, platform, NULL);
    platform[sizeof platform - 1] = '\0';
    (void)snprintf(d->name, sizeof d->name, "%s (%s)", name, platform);
    info_text(api, d->id, CL_DEVICE_VERSION, platform, sizeof platform);
    info_text(api, d->id, CL_DRIVER_VERSION, own, sizeof own);
    (void)snprintf(d->version, sizeof d->version, "%s, driver %s", platform, own);
    d->takes_il = takes_il(api, d->id);
    d->most_alloc = info_u64(api, d->id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof(cl_ulong));
    d->info = (tgr_device_info){
        .driver = "opencl",
        .name = d->name,
        .isa = d->takes_il ? "opencl-spirv" : "opencl",
        .max_threads = 1,
        .features = features_of(api, d),
        .version = d->version,
        .memory_bytes = (int64_t)info_u64(api, d->id, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof(cl_ulong)),
        .shared_bytes = (int64_t)info_u64(api, d->id, CL_DEVICE_LOCAL_MEM_SIZE, sizeof(cl_ulong)),
        .max_lanes = (int32_t)info_u64(api, d->id, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof(size_t))};
}

static bool usable(const cl_api *api, cl_device_id d) {
    return info_u64(api, d, CL_DEVICE_AVAILABLE, sizeof(cl_bool)) &&
           info_u64(api, d, CL_DEVICE_COMPILER_AVAILABLE, sizeof(cl_bool)) &&
           info_u64(api, d, CL_DEVICE_ENDIAN_LITTLE, sizeof(cl_bool));
}

static void find_devices(cl_globals *g) {
    const cl_api *api = &g->api;
    cl_platform_id platforms[MAX_DEVICES];
    cl_uint n = 0;
    if (api->clGetPlatformIDs(MAX_DEVICES, platforms, &n) != CL_SUCCESS) {
        return;
    }
    n = n < MAX_DEVICES ? n : MAX_DEVICES;
    for (cl_uint p = 0; p < n; p++) {
        cl_device_id ids[MAX_DEVICES];
        cl_uint k = 0;
        if (api->clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, MAX_DEVICES, ids, &k) !=
            CL_SUCCESS) {
            continue;
        }
        k = k < MAX_DEVICES ? k : MAX_DEVICES;
        for (cl_uint i = 0; i < k && g->n_devices < MAX_DEVICES; i++) {
            if (usable(api, ids[i])) {
                cl_device *d = &g->devices[g->n_devices++];
                d->platform = platforms[p];
                d->id = ids[i];
                describe_device(api, d);
            }
        }
    }
}

tgr_status tgr_cl_attach(tgr_context *context, void **out_globals) {
    cl_globals *g = tgr_alloc(context, sizeof *g);
    if (!g) {
        return tgr_fail(context, TGR_E_NOMEM, "out of memory looking for OpenCL");
    }
    tgr_status st = open_library(context, g);
    if (!st) {
        find_devices(g);
        st = g->n_devices ? TGR_OK
                          : tgr_fail(context, TGR_E_NOT_FOUND,
                                     "OpenCL is installed but finds no usable device");
    }
    if (st) {
        tgr_cl_detach(context, g);
        return st;
    }
    *out_globals = g;
    return TGR_OK;
}

/* The library stays in memory: drivers below it keep threads. */
void tgr_cl_detach(tgr_context *context, void *globals) {
    tgr_free(context, globals, sizeof(cl_globals));
}
