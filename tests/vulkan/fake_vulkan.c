/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Vulkan loader that is broken on purpose: the real one with some functions replaced. What is
 * wrong stands in TG_FAKE_VULKAN, read at every call:
 *
 *   absent no instance    empty no device       old Vulkan 1.1 only     short a function is missing
 *   int64, int8, f64 the feature is missing      memory no memory       staged memory of the device
 *   lost the device is lost when work is sent    hang-lost ... when it is waited for
 *                                                is not the host's      refuse no pipeline
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan_core.h>

static bool broken(const char *what) {
    const char *mode = getenv("TG_FAKE_VULKAN");
    return mode && strcmp(mode, what) == 0;
}

/* ---- the real library -------------------------------------------------------------------------
 */

static PFN_vkGetInstanceProcAddr real_get(void) {
    static void *library; /* of this test alone */
    PFN_vkGetInstanceProcAddr get = NULL;
    library = library ? library : dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    void *symbol = library ? dlsym(library, "vkGetInstanceProcAddr") : NULL;
    memcpy(&get, &symbol, sizeof get);
    return get;
}

static VkInstance instance;
static VkDevice device;

#define REAL_I(name) ((PFN_##name)real_get()(instance, #name))
#define REAL_D(name) ((PFN_##name)(REAL_I(vkGetDeviceProcAddr)(device, #name)))

/* ---- replaced functions -------------------------------------------------------------------------
 */

static VkResult VKAPI_CALL create_instance(const VkInstanceCreateInfo *info,
                                           const VkAllocationCallbacks *a, VkInstance *out) {
    if (broken("absent")) {
        return VK_ERROR_INCOMPATIBLE_DRIVER;
    }
    VkResult r = ((PFN_vkCreateInstance)real_get()(NULL, "vkCreateInstance"))(info, a, out);
    instance = *out;
    return r;
}

static VkResult VKAPI_CALL enumerate_devices(VkInstance i, uint32_t *n, VkPhysicalDevice *out) {
    if (broken("empty")) {
        *n = 0;
        return VK_SUCCESS;
    }
    return REAL_I(vkEnumeratePhysicalDevices)(i, n, out);
}

static void VKAPI_CALL properties(VkPhysicalDevice d, VkPhysicalDeviceProperties *out) {
    REAL_I(vkGetPhysicalDeviceProperties)(d, out);
    if (broken("old")) {
        out->apiVersion = VK_API_VERSION_1_1;
    }
}

static void VKAPI_CALL features(VkPhysicalDevice d, VkPhysicalDeviceFeatures2 *out) {
    REAL_I(vkGetPhysicalDeviceFeatures2)(d, out);
    out->features.shaderInt64 &= !broken("int64");
    out->features.shaderFloat64 &= !broken("f64");
    for (VkBaseOutStructure *s = out->pNext; s; s = s->pNext) {
        if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES && broken("int8")) {
            ((VkPhysicalDeviceVulkan12Features *)(void *)s)->shaderInt8 = VK_FALSE;
        }
    }
}

/* Type 0 becomes the device's own; the real type 0 is told again as type 1, host visible. */
static void VKAPI_CALL memory_properties(VkPhysicalDevice d,
                                         VkPhysicalDeviceMemoryProperties *out) {
    REAL_I(vkGetPhysicalDeviceMemoryProperties)(d, out);
    if (broken("staged")) {
        out->memoryTypeCount = 2;
        out->memoryTypes[1] = out->memoryTypes[0];
        out->memoryTypes[0].propertyFlags = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
        out->memoryTypes[1].propertyFlags &= ~(VkMemoryPropertyFlags)1;
    }
}

static VkResult VKAPI_CALL create_device(VkPhysicalDevice p, const VkDeviceCreateInfo *info,
                                         const VkAllocationCallbacks *a, VkDevice *out) {
    VkResult r = REAL_I(vkCreateDevice)(p, info, a, out);
    device = *out;
    return r;
}

static void VKAPI_CALL requirements(VkDevice d, VkBuffer b, VkMemoryRequirements *out) {
    REAL_D(vkGetBufferMemoryRequirements)(d, b, out);
    out->memoryTypeBits |= broken("staged") ? 3 : 0;
}

static VkResult VKAPI_CALL allocate(VkDevice d, const VkMemoryAllocateInfo *info,
                                    const VkAllocationCallbacks *a, VkDeviceMemory *out) {
    VkMemoryAllocateInfo copy = *info;
    if (broken("memory")) {
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    }
    if (broken("staged")) {
        copy.memoryTypeIndex = 0;
    }
    return REAL_D(vkAllocateMemory)(d, &copy, a, out);
}

static VkResult VKAPI_CALL submit(VkQueue q, uint32_t n, const VkSubmitInfo *info, VkFence fence) {
    return broken("lost") ? VK_ERROR_DEVICE_LOST : REAL_D(vkQueueSubmit)(q, n, info, fence);
}

static VkResult VKAPI_CALL wait_for(VkDevice d, const VkSemaphoreWaitInfo *info, uint64_t timeout) {
    VkResult r = REAL_D(vkWaitSemaphores)(d, info, timeout);
    return broken("hang-lost") ? VK_ERROR_DEVICE_LOST : r;
}

static VkResult VKAPI_CALL create_pipelines(VkDevice d, VkPipelineCache cache, uint32_t n,
                                            const VkComputePipelineCreateInfo *info,
                                            const VkAllocationCallbacks *a, VkPipeline *out) {
    return broken("refuse") ? VK_ERROR_INITIALIZATION_FAILED
                            : REAL_D(vkCreateComputePipelines)(d, cache, n, info, a, out);
}

/* ---- the tables ---------------------------------------------------------------------------------
 */

static PFN_vkVoidFunction VKAPI_CALL get_device(VkDevice d, const char *name) {
    if (broken("short") && strcmp(name, "vkCmdDispatch") == 0) {
        return NULL;
    }
    if (strcmp(name, "vkGetBufferMemoryRequirements") == 0) {
        return (PFN_vkVoidFunction)requirements;
    }
    if (strcmp(name, "vkAllocateMemory") == 0) {
        return (PFN_vkVoidFunction)allocate;
    }
    if (strcmp(name, "vkQueueSubmit") == 0) {
        return (PFN_vkVoidFunction)submit;
    }
    if (strcmp(name, "vkWaitSemaphores") == 0) {
        return (PFN_vkVoidFunction)wait_for;
    }
    if (strcmp(name, "vkCreateComputePipelines") == 0) {
        return (PFN_vkVoidFunction)create_pipelines;
    }
    return REAL_I(vkGetDeviceProcAddr)(d, name);
}

static const struct {
    const char *name;
    PFN_vkVoidFunction fn;
} replaced[] = {
    {"vkCreateInstance", (PFN_vkVoidFunction)create_instance},
    {"vkEnumeratePhysicalDevices", (PFN_vkVoidFunction)enumerate_devices},
    {"vkGetPhysicalDeviceProperties", (PFN_vkVoidFunction)properties},
    {"vkGetPhysicalDeviceFeatures2", (PFN_vkVoidFunction)features},
    {"vkGetPhysicalDeviceMemoryProperties", (PFN_vkVoidFunction)memory_properties},
    {"vkCreateDevice", (PFN_vkVoidFunction)create_device},
    {"vkGetDeviceProcAddr", (PFN_vkVoidFunction)get_device},
};

__attribute__((visibility("default"))) PFN_vkVoidFunction VKAPI_CALL
vkGetInstanceProcAddr(VkInstance i, const char *name);

PFN_vkVoidFunction VKAPI_CALL vkGetInstanceProcAddr(VkInstance i, const char *name) {
    for (size_t k = 0; k < sizeof replaced / sizeof replaced[0]; k++) {
        if (strcmp(replaced[k].name, name) == 0) {
            return replaced[k].fn;
        }
    }
    PFN_vkGetInstanceProcAddr get = real_get();
    return get ? get(i, name) : NULL;
}
