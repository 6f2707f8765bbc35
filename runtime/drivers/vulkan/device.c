/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An open device: every feature modules may ask for and the device has is switched on; one compute
 * queue, one command buffer, one timeline whose value counts the submissions. Waiting is for ever:
 * a launch takes as long as it takes, and a device that hangs is reported lost by its own driver.
 */
#include <string.h>

#include "drivers/vulkan/vk.h"

/* ---- failures ---------------------------------------------------------------------------------
 */

tgr_status tgr_vk_fail(tgr_vk *vk, VkResult result, const char *doing) {
    switch ((int)result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
        return tgr_fail(vk->context, TGR_E_NOMEM, "Vulkan: %s: out of host memory", doing);
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
        return tgr_fail(vk->context, TGR_E_NOMEM, "Vulkan: %s: out of device memory", doing);
    case VK_ERROR_DEVICE_LOST:
        vk->lost = true;
        return tgr_fail(vk->context, TGR_E_LOST, "Vulkan: %s: the device is lost; open it again",
                        doing);
    }
    return tgr_fail(vk->context, TGR_E_UNSUPPORTED, "Vulkan: %s failed (%d)", doing, (int)result);
}

/* ---- opening ----------------------------------------------------------------------------------
 */

static bool load_device(tgr_vk *vk) {
    bool ok = true;
    PFN_vkGetDeviceProcAddr get = vk->api.GetDeviceProcAddr;
#define TG_VK_DEVICE(name)                                                                         \
    vk->api.name = (PFN_vk##name)get(vk->device, "vk" #name);                                      \
    ok = ok && vk->api.name;
#include "drivers/vulkan/functions.def"
#undef TG_VK_DEVICE
    return ok;
}

/* A family that computes, without graphics where there is one. */
static bool find_family(tgr_vk *vk) {
    VkQueueFamilyProperties families[32];
    uint32_t n = 32, best = UINT32_MAX;
    vk->api.GetPhysicalDeviceQueueFamilyProperties(vk->physical, &n, families);
    for (uint32_t i = 0; i < n; i++) {
        if (!(families[i].queueFlags & VK_QUEUE_COMPUTE_BIT)) {
            continue;
        }
        if (best == UINT32_MAX || !(families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT)) {
            best = i;
        }
    }
    vk->family = best;
    return best != UINT32_MAX;
}

static VkResult create_device(tgr_vk *vk) {
    const tgr_vk_abilities *a = vk->abilities;
    VkPhysicalDeviceVulkan12Features f12 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
        .storageBuffer8BitAccess = a->storage8,
        .shaderBufferInt64Atomics = a->atomic64,
        .shaderSharedInt64Atomics = a->shared_atomic64,
        .shaderInt8 = a->int8,
        .timelineSemaphore = VK_TRUE,
        .bufferDeviceAddress = VK_TRUE,
        .vulkanMemoryModel = VK_TRUE};
    VkPhysicalDeviceVulkan11Features f11 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES,
        .pNext = &f12,
        .storageBuffer16BitAccess = a->storage16};
    VkPhysicalDeviceFeatures2 f = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
        .pNext = &f11,
        .features = {.shaderFloat64 = a->f64, .shaderInt64 = VK_TRUE, .shaderInt16 = a->int16}};
    float priority = 1.0f;
    VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                     .queueFamilyIndex = vk->family,
                                     .queueCount = 1,
                                     .pQueuePriorities = &priority};
    VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                               .pNext = &f,
                               .queueCreateInfoCount = 1,
                               .pQueueCreateInfos = &queue};
    return vk->api.CreateDevice(vk->physical, &info, NULL, &vk->device);
}

static VkResult create_objects(tgr_vk *vk) {
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                    .queueFamilyIndex = vk->family};
    VkResult r = vk->api.CreateCommandPool(vk->device, &pool, NULL, &vk->pool);
    if (r != VK_SUCCESS) {
        return r;
    }
    VkCommandBufferAllocateInfo one = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                       .commandPool = vk->pool,
                                       .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                       .commandBufferCount = 1};
    r = vk->api.AllocateCommandBuffers(vk->device, &one, &vk->commands);
    if (r != VK_SUCCESS) {
        return r;
    }
    VkSemaphoreTypeCreateInfo type = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
                                      .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE};
    VkSemaphoreCreateInfo semaphore = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
                                       .pNext = &type};
    r = vk->api.CreateSemaphore(vk->device, &semaphore, NULL, &vk->timeline);
    if (r != VK_SUCCESS) {
        return r;
    }
    VkPushConstantRange push = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
                                .size = sizeof(tgr_vk_push)};
    VkPipelineLayoutCreateInfo layout = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                         .pushConstantRangeCount = 1,
                                         .pPushConstantRanges = &push};
    return vk->api.CreatePipelineLayout(vk->device, &layout, NULL, &vk->layout);
}

static tgr_status open_device(tgr_vk *vk, const struct tgr_vk_physical *p) {
    if (p->lacks) {
        return tgr_fail(vk->context, TGR_E_UNSUPPORTED, "Vulkan device `%s` lacks %s", p->name,
                        p->lacks);
    }
    if (!find_family(vk)) {
        return tgr_fail(vk->context, TGR_E_UNSUPPORTED,
                        "Vulkan device `%s` has no queue that computes", p->name);
    }
    VkResult r = create_device(vk);
    if (r != VK_SUCCESS) {
        vk->device = VK_NULL_HANDLE;
        return tgr_vk_fail(vk, r, "opening the device");
    }
    if (!load_device(vk)) {
        if (vk->api.DestroyDevice) {
            vk->api.DestroyDevice(vk->device, NULL);
        }
        vk->device = VK_NULL_HANDLE; /* nothing else of it can be called */
        return tgr_fail(vk->context, TGR_E_UNSUPPORTED,
                        "Vulkan device `%s` lacks functions of Vulkan 1.2", p->name);
    }
    vk->api.GetDeviceQueue(vk->device, vk->family, 0, &vk->queue);
    vk->api.GetPhysicalDeviceMemoryProperties(vk->physical, &vk->memory);
    r = create_objects(vk);
    if (r != VK_SUCCESS) {
        return tgr_vk_fail(vk, r, "opening the device");
    }
    tgr_vk_cache_open(vk);
    return TGR_OK;
}

/* Handles that were never made are NULL, which Vulkan ignores. */
void tgr_vk_close(tgr_context *context, void *state) {
    tgr_vk *vk = state;
    if (vk->device) {
        vk->api.DeviceWaitIdle(vk->device);
        tgr_vk_cache_store(vk);
        while (vk->buffers) {
            tgr_vk_buffer_free(vk, vk->buffers);
        }
        vk->api.DestroyPipelineCache(vk->device, vk->cache, NULL);
        vk->api.DestroyPipelineLayout(vk->device, vk->layout, NULL);
        vk->api.DestroySemaphore(vk->device, vk->timeline, NULL);
        vk->api.DestroyCommandPool(vk->device, vk->pool, NULL);
        vk->api.DestroyDevice(vk->device, NULL);
    }
    pthread_mutex_destroy(&vk->lock);
    tgr_free(context, vk, sizeof *vk);
}

tgr_status tgr_vk_open(tgr_context *context, void *globals, int32_t index,
                       const tgr_device_options *options, void **out_state, int32_t *out_threads) {
    (void)options;
    tgr_vk_globals *g = globals;
    tgr_vk *vk = tgr_alloc(context, sizeof *vk);
    if (!vk || pthread_mutex_init(&vk->lock, NULL) != 0) {
        tgr_free(context, vk, sizeof *vk);
        return tgr_fail(context, TGR_E_NOMEM, "out of memory opening a Vulkan device");
    }
    vk->context = context;
    vk->globals = g;
    vk->api = g->api;
    vk->physical = g->devices[index].handle;
    vk->abilities = &g->devices[index].abilities;
    (void)tgr_vk_describe(context, g, index, &vk->info); /* the core chose an index that is there */
    tgr_status st = open_device(vk, &g->devices[index]);
    if (st) {
        tgr_vk_close(context, vk);
        return st;
    }
    if (vk->abilities->cuts_loops) {
        tgr_log(context, TGR_LOG_WARNING,
                "%s ends the loops of a lane after 65535 trips in all: results of kernels that run "
                "longer are wrong",
                g->devices[index].name);
    }
    *out_state = vk;
    *out_threads = 1;
    return TGR_OK;
}

/* ---- the command buffer ------------------------------------------------------------------------
 */

tgr_status tgr_vk_begin(tgr_vk *vk) {
    VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                     .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    if (vk->lost) {
        return tgr_fail(vk->context, TGR_E_LOST, "Vulkan: the device was lost; open it again");
    }
    VkResult r = vk->api.ResetCommandBuffer(vk->commands, 0);
    r = r == VK_SUCCESS ? vk->api.BeginCommandBuffer(vk->commands, &info) : r;
    return r == VK_SUCCESS ? TGR_OK : tgr_vk_fail(vk, r, "recording commands");
}

void tgr_vk_barrier(tgr_vk *vk) {
    VkPipelineStageFlags stages = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT |
                                  VK_PIPELINE_STAGE_TRANSFER_BIT | VK_PIPELINE_STAGE_HOST_BIT;
    VkAccessFlags written =
        VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT | VK_ACCESS_HOST_WRITE_BIT;
    VkAccessFlags used =
        written | VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_HOST_READ_BIT;
    VkMemoryBarrier all = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = written, .dstAccessMask = used};
    vk->api.CmdPipelineBarrier(vk->commands, stages, stages, 0, 1, &all, 0, NULL, 0, NULL);
}

tgr_status tgr_vk_submit(tgr_vk *vk, const char *doing) {
    tgr_vk_barrier(vk); /* the host reads what was written */
    VkResult r = vk->api.EndCommandBuffer(vk->commands);
    uint64_t tick = vk->ticks + 1;
    VkTimelineSemaphoreSubmitInfo timeline = {.sType =
                                                  VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
                                              .signalSemaphoreValueCount = 1,
                                              .pSignalSemaphoreValues = &tick};
    VkSubmitInfo submit = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                           .pNext = &timeline,
                           .commandBufferCount = 1,
                           .pCommandBuffers = &vk->commands,
                           .signalSemaphoreCount = 1,
                           .pSignalSemaphores = &vk->timeline};
    r = r == VK_SUCCESS ? vk->api.QueueSubmit(vk->queue, 1, &submit, VK_NULL_HANDLE) : r;
    if (r == VK_SUCCESS) {
        vk->ticks = tick;
        VkSemaphoreWaitInfo wait = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
                                    .semaphoreCount = 1,
                                    .pSemaphores = &vk->timeline,
                                    .pValues = &tick};
        do {
            r = vk->api.WaitSemaphores(vk->device, &wait, UINT64_MAX);
        } while (r == VK_TIMEOUT);
    }
    return r == VK_SUCCESS ? TGR_OK : tgr_vk_fail(vk, r, doing);
}
