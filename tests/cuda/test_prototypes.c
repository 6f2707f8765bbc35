/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's own prototypes, numbers and structures are those of cuda.h. Everything is asserted
 * by the compiler. The header declares the functions under the names they are exported by when it
 * is told that it is used from inside.
 */
#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>

#define TGR_CU_VENDOR_TYPES
#include "drivers/cuda/types.h"

#define TGR_CU(name, parameters)                                                                   \
    _Static_assert(_Generic(&name, CUresult(*) parameters: 1, default: 0), #name);
#define TGR_CU_OPTIONAL(name, parameters) TGR_CU(name, parameters)
#include "drivers/cuda/functions.def"

#define TGR_CU_CONSTANT(name, value) _Static_assert((int)(name) == (value), #name);
#include "drivers/cuda/constants.def"

#define SAME(own, theirs, member)                                                                  \
    _Static_assert(offsetof(own, member) == offsetof(theirs, member) &&                            \
                       sizeof((own){0}.member) == sizeof((theirs){0}.member),                      \
                   #member);
_Static_assert(sizeof(tgr_cu_launch_config) == sizeof(CUlaunchConfig), "size");
_Static_assert(sizeof(tgr_cu_launch_attribute) == sizeof(CUlaunchAttribute), "size");
_Static_assert(sizeof(tgr_cu_tensor_map) == sizeof(CUtensorMap), "size");
_Static_assert(_Alignof(tgr_cu_tensor_map) == _Alignof(CUtensorMap), "alignment");
_Static_assert(sizeof(CUdevice) == sizeof(int) && sizeof(CUdeviceptr) == 8, "size");
SAME(tgr_cu_launch_config, CUlaunchConfig, gridDimX)
SAME(tgr_cu_launch_config, CUlaunchConfig, gridDimY)
SAME(tgr_cu_launch_config, CUlaunchConfig, gridDimZ)
SAME(tgr_cu_launch_config, CUlaunchConfig, blockDimX)
SAME(tgr_cu_launch_config, CUlaunchConfig, blockDimY)
SAME(tgr_cu_launch_config, CUlaunchConfig, blockDimZ)
SAME(tgr_cu_launch_config, CUlaunchConfig, sharedMemBytes)
SAME(tgr_cu_launch_config, CUlaunchConfig, hStream)
SAME(tgr_cu_launch_config, CUlaunchConfig, attrs)
SAME(tgr_cu_launch_config, CUlaunchConfig, numAttrs)
SAME(tgr_cu_launch_attribute, CUlaunchAttribute, id)
SAME(tgr_cu_launch_attribute, CUlaunchAttribute, value.clusterDim.x)
SAME(tgr_cu_launch_attribute, CUlaunchAttribute, value.clusterDim.z)

int main(void) { return 0; }
