/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A made-up libamdhip64.so: HIP's names for what the made-up library of NVIDIA's does
 * (tests/cuda/fake_cuda.c, which says how to make calls fail), with code objects in the simulator
 * of AMD's machine code. Device 0, a thread's first, is one that we have no code for; device 1 is a
 * gfx942, or $FAKE_HIP_ARCH. What is used while device 0 is current is refused. FAKE_HIP is the
 * version whose layouts it has: 5 or 6.
 */
#include "drivers/hip/hip.h"
#include "tests/cuda/fake_vendor.h"

#include <stdio.h>
#include <stdlib.h>

#define TGR_CU(name, parameters) CUresult name parameters;
#define TGR_CU_OPTIONAL(name, parameters) CUresult name parameters;
#include "drivers/cuda/functions.def"
#undef TGR_CU
#undef TGR_CU_OPTIONAL

enum { INVALID_VALUE = 1, OURS = 1, DEVICES = 2 };

const sim_ptx_interface *tegula_sim_amdgcn(void);

static const char *arch(void) {
    const char *says = getenv("FAKE_HIP_ARCH");
    return says ? says : "gfx942:sramecc+:xnack-";
}

static int model(void) { return (int)strtol(arch() + 3, NULL, 10); }

static size_t param_bytes(const sim_kernel *k) {
    (void)k;
    return 5 * sizeof(uint64_t);
}

const fake_vendor *fake_vendor_get(void) {
    static fake_vendor v = {.model = model, .param_bytes = param_bytes, .objects = true};
    v.sim = tegula_sim_amdgcn();
    return &v;
}

/* ---- the library and its devices ------------------------------------------------------------ */

static __thread int current;

#define HIP(result, name, parameters)                                                              \
    result name parameters;                                                                        \
    result name parameters

HIP(const char *, hipGetErrorName, (CUresult code)) {
    return code == CUDA_ERROR_OUT_OF_MEMORY     ? "hipErrorOutOfMemory"
           : code == CUDA_ERROR_NOT_SUPPORTED   ? "hipErrorNotSupported"
           : code == CUDA_ERROR_ILLEGAL_ADDRESS ? "hipErrorIllegalAddress"
           : code == CUDA_ERROR_NO_DEVICE       ? "hipErrorNoDevice"
                                                : "hipErrorUnknown";
}
HIP(const char *, hipGetErrorString, (CUresult code)) {
    const char *text = NULL;
    return cuGetErrorString(code, &text) == CUDA_SUCCESS ? text : hipGetErrorName(code);
}
HIP(CUresult, hipInit, (unsigned int flags)) { return cuInit(flags); }
HIP(CUresult, hipDriverGetVersion, (int *version)) {
    CUresult code = cuDriverGetVersion(version);
    *version = FAKE_HIP * 10000000 + 200000;
    return code;
}
HIP(CUresult, hipGetDeviceCount, (int *count)) {
    CUresult code = cuDeviceGetCount(count);
    *count *= DEVICES;
    return code;
}
HIP(CUresult, hipDeviceGet, (int *device, int ordinal)) {
    CUresult code = cuDeviceGet(device, 0);
    *device = ordinal;
    return code;
}
HIP(CUresult, hipDeviceGetName, (char *name, int bytes, int device)) {
    CUresult code = cuDeviceGetName(name, bytes, 0);
    (void)snprintf(name, (size_t)bytes, device == OURS ? "Fake Instinct" : "Fake Radeon");
    return code;
}
HIP(CUresult, hipDeviceTotalMem, (size_t *bytes, int device)) {
    (void)device;
    return cuDeviceTotalMem_v2(bytes, 0);
}
HIP(CUresult, hipDeviceGetAttribute, (int *value, int a, int device)) {
    (void)device;
    switch (a) {
    case HIP_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
        return cuDeviceGetAttribute(value, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 0);
    case HIP_ATTRIBUTE_MEMORY_POOLS_SUPPORTED:
        return cuDeviceGetAttribute(value, CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, 0);
    case HIP_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK:
        *value = 64 << 10;
        return CUDA_SUCCESS;
    case HIP_ATTRIBUTE_WARP_SIZE:
        *value = model() >= 1000 ? 32 : 64;
        return CUDA_SUCCESS;
    default:
        return INVALID_VALUE;
    }
}

static CUresult properties(char *out, size_t bytes, size_t arch_at, int device) {
    size_t n;
    CUresult code = cuDeviceTotalMem_v2(&n, 0); /* may fail as any call may */
    if (!code) {
        memset(out, 0, bytes);
        (void)snprintf(out + arch_at, HIP_ARCH_BYTES, "%s",
                       device == OURS ? arch() : "gfx90c:xnack-");
    }
    return code;
}
#if FAKE_HIP >= 6
HIP(CUresult, hipGetDevicePropertiesR0600, (void *out, int device)) {
    return properties(out, HIP_6_PROPERTIES_BYTES, HIP_6_PROPERTIES_ARCH, device);
}
#endif
HIP(CUresult, hipGetDeviceProperties, (void *out, int device)) {
    return properties(out, HIP_5_PROPERTIES_BYTES, HIP_5_PROPERTIES_ARCH, device);
}

HIP(CUresult, hipGetDevice, (int *device)) {
    *device = current;
    return CUDA_SUCCESS;
}
HIP(CUresult, hipSetDevice, (int device)) {
    static CUcontext context;
    CUresult code = CUDA_SUCCESS;
    if (device < 0 || device >= DEVICES) {
        return CUDA_ERROR_INVALID_DEVICE;
    }
    if (device == OURS && current != OURS) {
        code = cuDevicePrimaryCtxRetain(&context, 0);
        code = code ? code : cuCtxPushCurrent_v2(context);
    } else if (device != OURS && current == OURS) {
        CUcontext was;
        code = cuCtxPopCurrent_v2(&was);
        current = device;
    }
    current = code ? current : device;
    return code;
}

/* ---- the rest, under other names ------------------------------------------------------------ */

HIP(CUresult, hipDrvPointerGetAttributes,
    (unsigned int n, CUpointer_attribute *what, void **values, CUdeviceptr at)) {
    CUresult code = cuPointerGetAttributes(n, what, values, at);
    for (unsigned int i = 0; i < n && !code; i++) {
        int *value = values[i];
        if (what[i] == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL) {
            *value = *value == 0 ? OURS : *value;
        } else if (what[i] == CU_POINTER_ATTRIBUTE_MEMORY_TYPE && *value) {
            *value = FAKE_HIP >= 6 ? HIP_6_MEMORY_TYPE_DEVICE : HIP_5_MEMORY_TYPE_DEVICE;
        }
    }
    return code;
}

#define SAME(name, like, parameters, arguments)                                                    \
    HIP(CUresult, name, parameters) { return like arguments; }
SAME(hipModuleLoadDataEx, cuModuleLoadDataEx,
     (CUmodule * m, const void *image, unsigned int n, CUjit_option *o, void **v),
     (m, image, n, o, v))
SAME(hipModuleUnload, cuModuleUnload, (CUmodule m), (m))
SAME(hipModuleGetFunction, cuModuleGetFunction, (CUfunction * f, CUmodule m, const char *name),
     (f, m, name))
SAME(hipFuncGetAttribute, cuFuncGetAttribute, (int *v, CUfunction_attribute a, CUfunction f),
     (v, a, f))
SAME(hipStreamCreateWithFlags, cuStreamCreate, (CUstream * s, unsigned int flags), (s, flags))
SAME(hipStreamDestroy, cuStreamDestroy_v2, (CUstream s), (s))
SAME(hipStreamSynchronize, cuStreamSynchronize, (CUstream s), (s))
SAME(hipStreamBeginCapture, cuStreamBeginCapture_v2, (CUstream s, CUstreamCaptureMode mode),
     (s, mode))
SAME(hipStreamEndCapture, cuStreamEndCapture, (CUstream s, CUgraph *g), (s, g))
SAME(hipGraphInstantiateWithFlags, cuGraphInstantiateWithFlags,
     (CUgraphExec * x, CUgraph g, unsigned long long flags), (x, g, flags))
SAME(hipGraphLaunch, cuGraphLaunch, (CUgraphExec x, CUstream s), (x, s))
SAME(hipGraphExecDestroy, cuGraphExecDestroy, (CUgraphExec x), (x))
SAME(hipGraphDestroy, cuGraphDestroy, (CUgraph g), (g))
SAME(hipEventCreateWithFlags, cuEventCreate, (CUevent * e, unsigned int flags), (e, flags))
SAME(hipEventDestroy, cuEventDestroy_v2, (CUevent e), (e))
SAME(hipEventRecord, cuEventRecord, (CUevent e, CUstream s), (e, s))
SAME(hipEventSynchronize, cuEventSynchronize, (CUevent e), (e))
SAME(hipEventElapsedTime, cuEventElapsedTime, (float *ms, CUevent a, CUevent b), (ms, a, b))
SAME(hipMalloc, cuMemAlloc_v2, (CUdeviceptr * at, size_t n), (at, n))
SAME(hipFree, cuMemFree_v2, (CUdeviceptr at), (at))
SAME(hipHostMalloc, cuMemHostAlloc, (void **p, size_t n, unsigned int flags), (p, n, flags))
SAME(hipHostFree, cuMemFreeHost, (void *p), (p))
SAME(hipMallocAsync, cuMemAllocAsync, (CUdeviceptr * at, size_t n, CUstream s), (at, n, s))
SAME(hipFreeAsync, cuMemFreeAsync, (CUdeviceptr at, CUstream s), (at, s))
SAME(hipDeviceGetDefaultMemPool, cuDeviceGetDefaultMemPool, (CUmemoryPool * p, int d), (p, d))
SAME(hipMemPoolSetAttribute, cuMemPoolSetAttribute,
     (CUmemoryPool p, CUmemPool_attribute a, void *v), (p, a, v))
SAME(hipMemcpyHtoDAsync, cuMemcpyHtoDAsync_v2,
     (CUdeviceptr to, const void *from, size_t n, CUstream s), (to, from, n, s))
SAME(hipMemcpyDtoHAsync, cuMemcpyDtoHAsync_v2, (void *to, CUdeviceptr from, size_t n, CUstream s),
     (to, from, n, s))
SAME(hipMemcpyDtoDAsync, cuMemcpyDtoDAsync_v2,
     (CUdeviceptr to, CUdeviceptr from, size_t n, CUstream s), (to, from, n, s))
SAME(hipMemsetD8Async, cuMemsetD8Async, (CUdeviceptr to, unsigned char v, size_t n, CUstream s),
     (to, v, n, s))
SAME(hipMemsetD16Async, cuMemsetD16Async, (CUdeviceptr to, unsigned short v, size_t n, CUstream s),
     (to, v, n, s))
SAME(hipMemsetD32Async, cuMemsetD32Async, (CUdeviceptr to, unsigned int v, size_t n, CUstream s),
     (to, v, n, s))
SAME(hipModuleLaunchKernel, cuLaunchKernel,
     (CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx,
      unsigned int by, unsigned int bz, unsigned int shared, CUstream s, void **p, void **e),
     (f, gx, gy, gz, bx, by, bz, shared, s, p, e))
