/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Vulkan loader, opened when a context first asks for its devices. TEGULA_VULKAN_LIBRARY names
 * another library than libvulkan.so.1 (tests put a broken one there). A device counts when it
 * offers Vulkan 1.2 and a queue that computes; what else it lacks is told when it is opened.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/vulkan/vk.h"

/* ---- the library ------------------------------------------------------------------------------
 */

/* A pointer to a function out of a pointer to an object, as POSIX allows. */
static PFN_vkGetInstanceProcAddr entry_point(void *library) {
    PFN_vkGetInstanceProcAddr get = NULL;
    void *symbol = dlsym(library, "vkGetInstanceProcAddr");
    memcpy(&get, &symbol, sizeof get);
    return get;
}

static bool load_global(tgr_vk_globals *g, PFN_vkGetInstanceProcAddr get) {
    bool ok = true;
#define TG_VK_GLOBAL(name)                                                                         \
    g->api.name = (PFN_vk##name)get(NULL, "vk" #name);                                             \
    ok = ok && g->api.name;
#include "drivers/vulkan/functions.def"
#undef TG_VK_GLOBAL
    return ok;
}

static bool load_instance(tgr_vk_globals *g, PFN_vkGetInstanceProcAddr get) {
    bool ok = true;
#define TG_VK_INSTANCE(name)                                                                       \
    g->api.name = (PFN_vk##name)get(g->instance, "vk" #name);                                      \
    ok = ok && g->api.name;
#include "drivers/vulkan/functions.def"
#undef TG_VK_INSTANCE
    return ok;
}

static tgr_status make_instance(tgr_context *context, tgr_vk_globals *g) {
    VkApplicationInfo app = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                             .pApplicationName = "tegula",
                             .pEngineName = "tegula",
                             .apiVersion = VK_API_VERSION_1_2};
    VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                 .pApplicationInfo = &app};
    VkResult r = g->api.CreateInstance(&info, NULL, &g->instance);
    if (r != VK_SUCCESS) {
        g->instance = VK_NULL_HANDLE;
        return tgr_fail(context, TGR_E_NOT_FOUND, "Vulkan: no instance (%d)", (int)r);
    }
    return TGR_OK;
}

/* ---- what a device can do ---------------------------------------------------------------------
 */

static void read_features(const tgr_vk_api *api, VkPhysicalDevice d, tgr_vk_abilities *a) {
    VkPhysicalDeviceVulkan12Features f12 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES};
    VkPhysicalDeviceVulkan11Features f11 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES, .pNext = &f12};
    VkPhysicalDeviceFeatures2 f = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                   .pNext = &f11};
    api->GetPhysicalDeviceFeatures2(d, &f);
    a->f64 = f.features.shaderFloat64;
    a->int16 = f.features.shaderInt16;
    a->int64 = f.features.shaderInt64;
    a->int8 = f12.shaderInt8;
    a->atomic64 = f12.shaderBufferInt64Atomics;
    a->shared_atomic64 = f12.shaderSharedInt64Atomics;
    a->storage8 = f12.storageBuffer8BitAccess;
    a->storage16 = f11.storageBuffer16BitAccess;
    a->address = f12.bufferDeviceAddress;
    a->memory_model = f12.vulkanMemoryModel;
    a->timeline = f12.timelineSemaphore;
}

static void read_float_controls(const VkPhysicalDeviceVulkan12Properties *p, tgr_vk_abilities *a) {
    a->denorm32 = p->shaderDenormPreserveFloat32;
    a->denorm64 = p->shaderDenormPreserveFloat64;
    a->rte32 = p->shaderRoundingModeRTEFloat32;
    a->rte64 = p->shaderRoundingModeRTEFloat64;
    a->nan32 = p->shaderSignedZeroInfNanPreserveFloat32;
    a->nan64 = p->shaderSignedZeroInfNanPreserveFloat64;
    if (p->denormBehaviorIndependence == VK_SHADER_FLOAT_CONTROLS_INDEPENDENCE_NONE) {
        a->denorm32 = a->denorm64 = a->denorm32 && a->denorm64;
    }
    if (p->roundingModeIndependence == VK_SHADER_FLOAT_CONTROLS_INDEPENDENCE_NONE) {
        a->rte32 = a->rte64 = a->rte32 && a->rte64;
    }
}

static void read_limits(const VkPhysicalDeviceLimits *l, tgr_vk_abilities *a) {
    memcpy(a->max_groups, l->maxComputeWorkGroupCount, sizeof a->max_groups);
    a->max_lanes = l->maxComputeWorkGroupInvocations;
    a->max_lanes_x = l->maxComputeWorkGroupSize[0];
    a->shared_bytes = l->maxComputeSharedMemorySize;
    a->push_bytes = l->maxPushConstantsSize;
}

static void read_memory(const tgr_vk_api *api, VkPhysicalDevice d, tgr_vk_abilities *a) {
    VkPhysicalDeviceMemoryProperties m;
    api->GetPhysicalDeviceMemoryProperties(d, &m);
    for (uint32_t i = 0; i < m.memoryHeapCount; i++) {
        if (m.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) {
            a->memory_bytes += m.memoryHeaps[i].size;
        }
    }
}

static const char *first_lack(const tgr_vk_abilities *a) {
    return !a->address                           ? "bufferDeviceAddress"
           : !a->int64                           ? "shaderInt64"
           : !a->memory_model                    ? "vulkanMemoryModel"
           : !a->timeline                        ? "timelineSemaphore"
           : a->push_bytes < sizeof(tgr_vk_push) ? "40 bytes of push constants"
                                                 : NULL;
}

/* False: not one for us at all. */
static bool read_device(const tgr_vk_api *api, VkPhysicalDevice d, struct tgr_vk_physical *out) {
    VkPhysicalDeviceVulkan12Properties p12 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES};
    VkPhysicalDeviceVulkan11Properties p11 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES, .pNext = &p12};
    VkPhysicalDeviceProperties2 p = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                     .pNext = &p11};
    VkPhysicalDeviceProperties plain;
    api->GetPhysicalDeviceProperties(d, &plain);
    if (plain.apiVersion < VK_API_VERSION_1_2) {
        return false;
    }
    api->GetPhysicalDeviceProperties2(d, &p);
    tgr_vk_abilities *a = &out->abilities;
    memset(out, 0, sizeof *out);
    out->handle = d;
    snprintf(out->name, sizeof out->name, "%s", p.properties.deviceName);
    snprintf(out->version, sizeof out->version, "Vulkan %u.%u.%u, %.40s",
             VK_API_VERSION_MAJOR(plain.apiVersion), VK_API_VERSION_MINOR(plain.apiVersion),
             VK_API_VERSION_PATCH(plain.apiVersion), p12.driverInfo);
    read_features(api, d, a);
    read_float_controls(&p12, a);
    read_limits(&p.properties.limits, a);
    read_memory(api, d, a);
    a->max_allocation = p11.maxMemoryAllocationSize;
    a->subgroup = p11.subgroupSize;
    a->shuffle = p11.subgroupSupportedOperations & VK_SUBGROUP_FEATURE_SHUFFLE_BIT;
    a->ballot = p11.subgroupSupportedOperations & VK_SUBGROUP_FEATURE_BALLOT_BIT;
    a->cuts_loops = p12.driverID == VK_DRIVER_ID_MESA_LLVMPIPE;
    out->lacks = first_lack(a);
    return true;
}

static tgr_status list_devices(tgr_context *context, tgr_vk_globals *g) {
    VkPhysicalDevice handles[TGR_VK_MAX_DEVICES];
    uint32_t n = TGR_VK_MAX_DEVICES;
    VkResult r = g->api.EnumeratePhysicalDevices(g->instance, &n, handles);
    if (r != VK_SUCCESS && r != VK_INCOMPLETE) {
        return tgr_fail(context, TGR_E_NOT_FOUND, "Vulkan: the devices cannot be listed (%d)",
                        (int)r);
    }
    for (uint32_t i = 0; i < n; i++) {
        g->n_devices += read_device(&g->api, handles[i], &g->devices[g->n_devices]);
    }
    return TGR_OK;
}

/* ---- doors ------------------------------------------------------------------------------------
 */

void tgr_vk_detach(tgr_context *context, void *globals) {
    tgr_vk_globals *g = globals;
    if (g->instance && g->api.DestroyInstance) {
        g->api.DestroyInstance(g->instance, NULL);
    }
    if (g->library) {
        dlclose(g->library);
    }
    tgr_free(context, g, sizeof *g);
}

static tgr_status load(tgr_context *context, tgr_vk_globals *g) {
    const char *named = getenv("TEGULA_VULKAN_LIBRARY");
    const char *name = named && named[0] ? named : "libvulkan.so.1";
    g->library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!g->library) {
        return tgr_fail(context, TGR_E_NOT_FOUND, "Vulkan: %s cannot be opened", name);
    }
    PFN_vkGetInstanceProcAddr get = entry_point(g->library);
    if (!get || !load_global(g, get)) {
        return tgr_fail(context, TGR_E_NOT_FOUND, "Vulkan: %s is no Vulkan 1.2 loader", name);
    }
    tgr_status st = make_instance(context, g);
    if (!st && !load_instance(g, get)) {
        st = tgr_fail(context, TGR_E_NOT_FOUND, "Vulkan: %s lacks functions of Vulkan 1.2", name);
    }
    return st ? st : list_devices(context, g);
}

tgr_status tgr_vk_attach(tgr_context *context, void **out_globals) {
    tgr_vk_globals *g = tgr_alloc(context, sizeof *g);
    if (!g) {
        return tgr_fail(context, TGR_E_NOMEM, "out of memory looking for Vulkan");
    }
    tgr_status st = load(context, g);
    if (st) {
        tgr_vk_detach(context, g);
        return st;
    }
    *out_globals = g;
    return TGR_OK;
}

static uint64_t features_of(const tgr_vk_abilities *a) {
    uint64_t f = 0;
    f |= a->f64 ? TGR_SIMT_F64 : 0;
    f |= a->int8 && a->storage8 ? TGR_SIMT_INT8 : 0;
    f |= a->int16 && a->storage16 ? TGR_SIMT_INT16 : 0;
    f |= a->int64 ? TGR_SIMT_INT64 : 0;
    f |= a->atomic64 ? TGR_SIMT_ATOMIC64 : 0;
    f |= a->shuffle && a->ballot ? TGR_SIMT_SUBGROUPS : 0;
    f |= a->denorm32 ? TGR_SIMT_SUBNORMALS : 0;
    return f;
}

bool tgr_vk_describe(tgr_context *context, void *globals, int32_t index, tgr_device_info *out) {
    (void)context;
    const tgr_vk_globals *g = globals;
    if (index < 0 || (uint32_t)index >= g->n_devices) {
        return false;
    }
    const struct tgr_vk_physical *d = &g->devices[index];
    const tgr_vk_abilities *a = &d->abilities;
    *out = (tgr_device_info){
        .driver = "vulkan",
        .name = d->name,
        .isa = "vulkan",
        .max_threads = 1,
        .features = features_of(a),
        .version = d->version,
        .memory_bytes = (int64_t)a->memory_bytes,
        .shared_bytes = a->shared_bytes,
        .max_lanes = (int32_t)(a->max_lanes < a->max_lanes_x ? a->max_lanes : a->max_lanes_x),
        .subgroup = (int32_t)a->subgroup};
    return true;
}
