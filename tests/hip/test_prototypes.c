/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions, numbers and offsets the driver `hip` uses are those of AMD's header; everything is
 * asserted by the compiler. A device address, a pointer in the header, is as large as ours.
 */
#define __HIP_PLATFORM_AMD__
#include <hip/hip_runtime_api.h>
#include <stddef.h>

#define TGR_HIP(name, like, parameters) TGR_HIP_OWN(name, hipError_t, parameters)
#define TGR_HIP_OPTIONAL(name, like, parameters) TGR_HIP_OWN(name, hipError_t, parameters)
#define TGR_HIP_OWN(name, result, parameters)                                                      \
    _Static_assert(_Generic(&name, result(*) parameters: 1, default: 0), #name);
#include "drivers/hip/functions.def"

#define IS(name, value) _Static_assert((int)(name) == (value), #name);
IS(hipErrorOutOfMemory, 2)
IS(hipErrorDeinitialized, 4)
IS(hipErrorNoDevice, 100)
IS(hipErrorInvalidDevice, 101)
IS(hipErrorInvalidImage, 200)
IS(hipErrorInvalidContext, 201)
IS(hipErrorNoBinaryForGpu, 209)
IS(hipErrorECCNotCorrectable, 214)
IS(hipErrorIllegalAddress, 700)
IS(hipErrorLaunchOutOfResources, 701)
IS(hipErrorLaunchTimeOut, 702)
IS(hipErrorAssert, 710)
IS(hipErrorLaunchFailure, 719)
IS(hipErrorNotSupported, 801)
IS(hipErrorUnknown, 999)
IS(hipStreamNonBlocking, 1)
IS(hipEventDefault, 0)
IS(hipEventDisableTiming, 2)
IS(hipHostMallocPortable, 1)
IS(hipMemPoolAttrReleaseThreshold, 4)
IS(HIP_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 0)
IS(HIP_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, 1)
IS(HIP_POINTER_ATTRIBUTE_MEMORY_TYPE, 2)
IS(HIP_POINTER_ATTRIBUTE_DEVICE_ORDINAL, 9)
IS(HIP_POINTER_ATTRIBUTE_RANGE_START_ADDR, 11)
IS(HIP_POINTER_ATTRIBUTE_RANGE_SIZE, 12)

/* drivers/hip/hip.h, whose names the header does not know. */
IS(hipDeviceAttributeMaxThreadsPerBlock, 56)
IS(hipDeviceAttributeMaxSharedMemoryPerBlock, 74)
IS(hipDeviceAttributeWarpSize, 87)
IS(hipDeviceAttributeMemoryPoolsSupported, 88)
#if HIP_VERSION_MAJOR >= 6
IS(hipMemoryTypeDevice, 2)
IS(sizeof(hipDeviceProp_t), 1472)
IS(offsetof(hipDeviceProp_t, gcnArchName), 1160)
#else
IS(hipMemoryTypeDevice, 1)
IS(sizeof(hipDeviceProp_t), 792)
IS(offsetof(hipDeviceProp_t, gcnArchName), 396)
#endif
_Static_assert(sizeof(hipDeviceptr_t) == 8 && sizeof(hipDevice_t) == sizeof(int), "size");

int main(void) { return 0; }
