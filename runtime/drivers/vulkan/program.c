/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipelines, and the driver's own cache of compiled code: one blob a device and driver version in
 * the runtime's cache directory, read when the device is opened and written back when it is closed
 * and the blob has changed.
 */
#include <stdio.h>
#include <string.h>

#include "drivers/vulkan/vk.h"

/* ---- the cache ----------------------------------------------------------------------------------
 */

enum { BLOB_LIMIT = 64 << 20 };

static void cache_key(const tgr_vk *vk, uint8_t key[16]) {
    VkPhysicalDeviceProperties p;
    char text[256];
    vk->globals->api.GetPhysicalDeviceProperties(vk->physical, &p);
    int n = snprintf(text, sizeof text, "vulkan pipelines 1 %x %x %x %.160s ", p.vendorID,
                     p.deviceID, p.driverVersion, p.deviceName);
    for (int i = 0; i < (int)VK_UUID_SIZE && n + 3 < (int)sizeof text; i++) {
        n += snprintf(text + n, sizeof text - (size_t)n, "%02x", p.pipelineCacheUUID[i]);
    }
    tgr_hash128(text, (size_t)n, key);
}

/* The runtime's cache in its default place, or NULL. */
static tgr_cache *open_cache(tgr_vk *vk) {
    tgr_cache *cache = NULL;
    return tgr_cache_open(vk->context, NULL, 0, &cache) == TGR_OK ? cache : NULL;
}

/* A blob of another driver is refused by this one: then the cache starts empty. */
void tgr_vk_cache_open(tgr_vk *vk) {
    tgr_cache *cache = open_cache(vk);
    void *blob = NULL;
    size_t n = 0;
    uint8_t key[16];
    cache_key(vk, key);
    bool found = cache && tgr_cache_get(cache, key, &blob, &n) == TGR_OK;
    VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
                                      .initialDataSize = found ? n : 0,
                                      .pInitialData = found ? blob : NULL};
    if (vk->api.CreatePipelineCache(vk->device, &info, NULL, &vk->cache) != VK_SUCCESS) {
        info.initialDataSize = 0;
        info.pInitialData = NULL;
        if (vk->api.CreatePipelineCache(vk->device, &info, NULL, &vk->cache) != VK_SUCCESS) {
            vk->cache = VK_NULL_HANDLE; /* works without */
        }
    }
    vk->cache_bytes = found ? n : 0;
    if (found) {
        tgr_cache_free(cache, blob, n);
    }
    if (cache) {
        tgr_cache_release(cache);
    }
}

void tgr_vk_cache_store(tgr_vk *vk) {
    size_t n = 0;
    if (!vk->cache || vk->lost || !vk->pipelines_made ||
        vk->api.GetPipelineCacheData(vk->device, vk->cache, &n, NULL) != VK_SUCCESS || n == 0 ||
        n > BLOB_LIMIT || n == vk->cache_bytes) {
        return;
    }
    void *blob = tgr_alloc_raw(vk->context, n);
    size_t size = n;
    tgr_cache *cache = open_cache(vk);
    if (blob && cache &&
        vk->api.GetPipelineCacheData(vk->device, vk->cache, &size, blob) == VK_SUCCESS) {
        uint8_t key[16];
        cache_key(vk, key);
        (void)(tgr_cache_put(cache, key, blob, size) == TGR_OK); /* best effort */
    }
    if (cache) {
        tgr_cache_release(cache);
    }
    if (blob) {
        tgr_free(vk->context, blob, n);
    }
}

/* ---- pipelines ----------------------------------------------------------------------------------
 */

tgr_status tgr_vk_pipeline_make(tgr_vk *vk, const uint32_t *words, size_t n_words,
                                const char *entry, VkPipeline *out) {
    size_t n_own = 0;
    uint32_t *own = tgr_vk_entry_alone(vk->context, words, n_words, entry, &n_own);
    VkShaderModuleCreateInfo code = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                     .codeSize = (own ? n_own : n_words) * sizeof words[0],
                                     .pCode = own ? own : words};
    VkShaderModule module = VK_NULL_HANDLE;
    VkResult r = vk->api.CreateShaderModule(vk->device, &code, NULL, &module);
    if (own) {
        tgr_free(vk->context, own, n_words * sizeof words[0]);
    }
    if (r != VK_SUCCESS) {
        return tgr_vk_fail(vk, r, "loading SPIR-V");
    }
    VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = entry},
        .layout = vk->layout};
    *out = VK_NULL_HANDLE;
    r = vk->api.CreateComputePipelines(vk->device, vk->cache, 1, &info, NULL, out);
    vk->api.DestroyShaderModule(vk->device, module, NULL);
    vk->pipelines_made = true;
    return r == VK_SUCCESS ? TGR_OK : tgr_vk_fail(vk, r, "making a pipeline");
}
