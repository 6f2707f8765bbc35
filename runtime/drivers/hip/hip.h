/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AMD's devices: the driver for CUDA (drivers/cuda) on the HIP library.
 *
 * Numbers of AMD's header (hip_runtime_api.h) that differ from NVIDIA's. The two layouts of a
 * device's properties are those of HIP 5 and, under the name with R0600, of HIP 6 and later;
 * offsets and sizes are of Linux on 64-bit machines.
 */
#ifndef TGR_HIP_H
#define TGR_HIP_H

#include "drivers/cuda/cu.h"

enum {
    HIP_ATTRIBUTE_MAX_THREADS_PER_BLOCK = 56,
    HIP_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK = 74,
    HIP_ATTRIBUTE_WARP_SIZE = 87,
    HIP_ATTRIBUTE_MEMORY_POOLS_SUPPORTED = 88,
    HIP_5_MEMORY_TYPE_DEVICE = 1,
    HIP_6_MEMORY_TYPE_DEVICE = 2,
    HIP_5_PROPERTIES_BYTES = 792,
    HIP_5_PROPERTIES_ARCH = 396,
    HIP_6_PROPERTIES_BYTES = 1472,
    HIP_6_PROPERTIES_ARCH = 1160,
    HIP_ARCH_BYTES = 256
};

#endif
