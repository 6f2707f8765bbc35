/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of NVIDIA's driver API that the driver speaks, so that building it needs no cuda.h.
 * Names are the vendor's; where cuda.h is included as well (TGR_CU_VENDOR_TYPES, in the test that
 * compares the two) only what has a name of our own is declared.
 */
#ifndef TGR_CU_TYPES_H
#define TGR_CU_TYPES_H

#include <stddef.h>
#include <stdint.h>

struct CUstream_st;

/* CUlaunchAttribute, of which only the cluster's shape is used. */
typedef struct tgr_cu_launch_attribute {
    unsigned int id;
    char pad[4];
    union {
        char pad[64];
        struct {
            unsigned int x, y, z;
        } clusterDim;
    } value;
} tgr_cu_launch_attribute;

/* CUlaunchConfig. */
typedef struct tgr_cu_launch_config {
    unsigned int gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes;
    struct CUstream_st *hStream;
    tgr_cu_launch_attribute *attrs;
    unsigned int numAttrs;
} tgr_cu_launch_config;

/* CUtensorMap: opaque to all but the hardware. */
typedef struct tgr_cu_tensor_map {
    _Alignas(128) uint64_t opaque[16];
} tgr_cu_tensor_map;

#ifndef TGR_CU_VENDOR_TYPES
typedef unsigned int CUresult, CUdevice_attribute, CUfunction_attribute, CUpointer_attribute,
    CUjit_option, CUmemPool_attribute, CUtensorMapDataType, CUtensorMapInterleave,
    CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill, CUstreamCaptureMode;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef uint64_t cuuint64_t;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;
typedef struct CUmemPoolHandle_st *CUmemoryPool;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphExec_st *CUgraphExec;
typedef tgr_cu_launch_attribute CUlaunchAttribute;
typedef tgr_cu_launch_config CUlaunchConfig;
typedef tgr_cu_tensor_map CUtensorMap;

enum {
#define TGR_CU_CONSTANT(name, value) name = value,
#include "drivers/cuda/constants.def"
#undef TGR_CU_CONSTANT
};
#endif

#endif
