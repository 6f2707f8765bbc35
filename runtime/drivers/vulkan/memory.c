/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device memory: a buffer and its memory each, device-local where there is such, mapped where it is
 * coherent too (then copies and fills are the host's own). Elsewhere copies go through a staging
 * buffer, in pieces. An address is found in the list of buffers: commands take buffers, launches
 * take addresses.
 */
#include <string.h>

#include "drivers/vulkan/vk.h"

enum { STAGING_BYTES = 4 << 20 };

/* ---- buffers ----------------------------------------------------------------------------------
 */

/* The best type among `allowed`: `need` must be there, most of `like` wins. */
static bool pick_type(const tgr_vk *vk, uint32_t allowed, VkMemoryPropertyFlags need,
                      VkMemoryPropertyFlags like, uint32_t *out) {
    int best = -1;
    for (uint32_t i = 0; i < vk->memory.memoryTypeCount; i++) {
        VkMemoryPropertyFlags have = vk->memory.memoryTypes[i].propertyFlags;
        int score = __builtin_popcount(have & like);
        if ((allowed >> i & 1) && (have & need) == need && score > best) {
            best = score;
            *out = i;
        }
    }
    return best >= 0;
}

static VkResult bind_memory(tgr_vk *vk, tgr_vk_buffer *b, bool host_visible) {
    const VkMemoryPropertyFlags host =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    VkMemoryRequirements r;
    vk->api.GetBufferMemoryRequirements(vk->device, b->handle, &r);
    VkMemoryAllocateFlagsInfo flags = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                       .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
    VkMemoryAllocateInfo info = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .pNext = &flags, .allocationSize = r.size};
    VkMemoryPropertyFlags like = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    if (!pick_type(vk, r.memoryTypeBits, host_visible ? host : 0, like, &info.memoryTypeIndex)) {
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    }
    VkResult result = vk->api.AllocateMemory(vk->device, &info, NULL, &b->memory);
    if (result == VK_SUCCESS) {
        result = vk->api.BindBufferMemory(vk->device, b->handle, b->memory, 0);
    }
    VkMemoryPropertyFlags have = vk->memory.memoryTypes[info.memoryTypeIndex].propertyFlags;
    if (result == VK_SUCCESS && (have & host) == host) {
        result = vk->api.MapMemory(vk->device, b->memory, 0, VK_WHOLE_SIZE, 0, &b->host);
    }
    return result;
}

static void link_buffer(tgr_vk *vk, tgr_vk_buffer *b) {
    b->next = vk->buffers;
    if (vk->buffers) {
        vk->buffers->prev = b;
    }
    vk->buffers = b;
}

static void unlink_buffer(tgr_vk *vk, tgr_vk_buffer *b) {
    if (b->prev) {
        b->prev->next = b->next;
    } else if (vk->buffers == b) {
        vk->buffers = b->next;
    }
    if (b->next) {
        b->next->prev = b->prev;
    }
}

void tgr_vk_buffer_free(tgr_vk *vk, tgr_vk_buffer *b) {
    unlink_buffer(vk, b);
    vk->api.DestroyBuffer(vk->device, b->handle, NULL);
    vk->api.FreeMemory(vk->device, b->memory, NULL);
    tgr_free(vk->context, b, sizeof *b);
}

tgr_status tgr_vk_buffer_make(tgr_vk *vk, uint64_t bytes, bool host_visible, tgr_vk_buffer **out) {
    tgr_vk_buffer *b = tgr_alloc(vk->context, sizeof *b);
    if (!b) {
        return tgr_fail(vk->context, TGR_E_NOMEM, "out of memory making a buffer");
    }
    b->bytes = bytes ? (bytes + 15) / 16 * 16 : 16; /* fills work by words */
    VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .size = b->bytes,
        .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                 VK_BUFFER_USAGE_TRANSFER_DST_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT,
        .sharingMode = VK_SHARING_MODE_EXCLUSIVE};
    VkResult r = b->bytes < bytes || b->bytes > vk->abilities->max_allocation
                     ? VK_ERROR_OUT_OF_DEVICE_MEMORY
                     : vk->api.CreateBuffer(vk->device, &info, NULL, &b->handle);
    r = r == VK_SUCCESS ? bind_memory(vk, b, host_visible) : r;
    if (r != VK_SUCCESS) {
        tgr_vk_buffer_free(vk, b);
        return tgr_vk_fail(vk, r, "making a buffer");
    }
    VkBufferDeviceAddressInfo address = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                                         .buffer = b->handle};
    b->address = vk->api.GetBufferDeviceAddress(vk->device, &address);
    link_buffer(vk, b);
    *out = b;
    return TGR_OK;
}

tgr_status tgr_vk_buffer_grow(tgr_vk *vk, tgr_vk_buffer **at, uint64_t bytes, bool host_visible) {
    if (*at && (*at)->bytes >= bytes) {
        return TGR_OK;
    }
    if (*at) {
        tgr_vk_buffer_free(vk, *at);
        *at = NULL;
    }
    return tgr_vk_buffer_make(vk, bytes, host_visible, at);
}

/* The buffer that holds [address, address + bytes), or NULL. */
static tgr_vk_buffer *find(tgr_vk *vk, uint64_t address, uint64_t bytes) {
    for (tgr_vk_buffer *b = vk->buffers; b; b = b->next) {
        if (address >= b->address && address - b->address <= b->bytes &&
            bytes <= b->bytes - (address - b->address)) {
            return b;
        }
    }
    return NULL;
}

/* ---- the driver's memory ------------------------------------------------------------------------
 */

tgr_status tgr_vk_memory_alloc(tgr_context *context, void *state, size_t bytes, uint32_t flags,
                               tgr_memory *out) {
    tgr_vk *vk = state;
    tgr_vk_buffer *b = NULL;
    memset(out, 0, sizeof *out);
    pthread_mutex_lock(&vk->lock);
    tgr_status st = vk->lost ? tgr_vk_fail(vk, VK_ERROR_DEVICE_LOST, "making a buffer")
                             : tgr_vk_buffer_make(vk, bytes, false, &b);
    pthread_mutex_unlock(&vk->lock);
    if (st) {
        return st;
    }
    *out = (tgr_memory){.pointer = (void *)(uintptr_t)b->address,
                        .host = b->host,
                        .bytes = bytes,
                        .base = b,
                        .base_bytes = b->bytes,
                        .flags = flags};
    if ((flags & TGR_BUFFER_ZERO) && bytes > 0) {
        st = tgr_vk_fill(context, state, out->pointer, b->bytes, 0, 8);
    }
    if (st) {
        tgr_vk_memory_free(context, state, out);
    }
    return st;
}

void tgr_vk_memory_free(tgr_context *context, void *state, tgr_memory *memory) {
    (void)context;
    tgr_vk *vk = state;
    pthread_mutex_lock(&vk->lock);
    tgr_vk_buffer_free(vk, memory->base);
    pthread_mutex_unlock(&vk->lock);
}

bool tgr_vk_holds(void *state, const void *pointer, size_t bytes) {
    tgr_vk *vk = state;
    pthread_mutex_lock(&vk->lock);
    bool held = find(vk, (uintptr_t)pointer, bytes) != NULL;
    pthread_mutex_unlock(&vk->lock);
    return held;
}

/* ---- copies, fills ------------------------------------------------------------------------------
 */

/* n bytes between the staging buffer's start and a place in a buffer. */
static tgr_status stage(tgr_vk *vk, tgr_copy_kind kind, tgr_vk_buffer *b, uint64_t at, char *host,
                        uint64_t n) {
    tgr_vk_buffer *s = vk->staging;
    VkBufferCopy piece = {.size = n};
    if (kind == TGR_COPY_TO_DEVICE) {
        memmove(s->host, host, n); /* fills stand there already */
        piece.dstOffset = at;
    } else {
        piece.srcOffset = at;
    }
    tgr_status st = tgr_vk_begin(vk);
    if (st) {
        return st;
    }
    tgr_vk_barrier(vk);
    if (kind == TGR_COPY_TO_DEVICE) {
        vk->api.CmdCopyBuffer(vk->commands, s->handle, b->handle, 1, &piece);
    } else {
        vk->api.CmdCopyBuffer(vk->commands, b->handle, s->handle, 1, &piece);
    }
    st = tgr_vk_submit(vk, "copying");
    if (!st && kind == TGR_COPY_FROM_DEVICE) {
        memcpy(host, s->host, n);
    }
    return st;
}

static tgr_status copy_staged(tgr_vk *vk, tgr_copy_kind kind, tgr_vk_buffer *b, uint64_t at,
                              char *host, uint64_t bytes) {
    tgr_status st = tgr_vk_buffer_grow(vk, &vk->staging, STAGING_BYTES, true);
    for (uint64_t done = 0; !st && done < bytes;) {
        uint64_t n = bytes - done < STAGING_BYTES ? bytes - done : STAGING_BYTES;
        st = stage(vk, kind, b, at + done, host + done, n);
        done += n;
    }
    return st;
}

static tgr_status copy(tgr_vk *vk, tgr_copy_kind kind, uint64_t address, char *host,
                       uint64_t bytes) {
    if (vk->lost) {
        return tgr_vk_fail(vk, VK_ERROR_DEVICE_LOST, "copying");
    }
    tgr_vk_buffer *b = find(vk, address, bytes);
    if (!b) {
        return tgr_fail(vk->context, TGR_E_INVALID, "copying %llu bytes that lie in no buffer",
                        (unsigned long long)bytes);
    }
    uint64_t at = address - b->address;
    if (!b->host) {
        return copy_staged(vk, kind, b, at, host, bytes);
    }
    char *mapped = (char *)b->host + at;
    if (kind == TGR_COPY_TO_DEVICE) {
        memcpy(mapped, host, bytes);
    } else {
        memcpy(host, mapped, bytes);
    }
    return TGR_OK;
}

tgr_status tgr_vk_copy(tgr_context *context, void *state, tgr_copy_kind kind, void *to,
                       const void *from, size_t bytes) {
    (void)context;
    tgr_vk *vk = state;
    bool in = kind == TGR_COPY_TO_DEVICE;
    uint64_t address = (uintptr_t)(in ? to : from);
    pthread_mutex_lock(&vk->lock);
    /* the host's side is only read when copying in */
    tgr_status st = copy(vk, kind, address, in ? (char *)(uintptr_t)from : to, bytes);
    pthread_mutex_unlock(&vk->lock);
    return st;
}

static void fill_host(char *at, size_t bytes, uint64_t pattern, size_t pattern_bytes) {
    for (size_t i = 0; i < bytes; i += pattern_bytes) {
        memcpy(at + i, &pattern, bytes - i < pattern_bytes ? bytes - i : pattern_bytes);
    }
}

/* A device fills by words of 32 bits; other fills are staged. */
static tgr_status fill_device(tgr_vk *vk, tgr_vk_buffer *b, uint64_t at, uint64_t bytes,
                              uint64_t pattern, size_t pattern_bytes) {
    uint32_t word = (uint32_t)pattern;
    for (size_t i = pattern_bytes; i < 4; i *= 2) {
        word |= word << (8 * i);
    }
    bool words = at % 4 == 0 && bytes % 4 == 0 && (pattern_bytes < 8 || pattern >> 32 == word);
    tgr_status st = tgr_vk_buffer_grow(vk, &vk->staging, STAGING_BYTES, true);
    for (uint64_t done = 0; !st && !words && done < bytes;) {
        uint64_t n = bytes - done < STAGING_BYTES ? bytes - done : STAGING_BYTES;
        fill_host(vk->staging->host, n, pattern, pattern_bytes);
        st = stage(vk, TGR_COPY_TO_DEVICE, b, at + done, vk->staging->host, n);
        done += n;
    }
    if (st || !words) {
        return st;
    }
    st = tgr_vk_begin(vk);
    if (!st) {
        tgr_vk_barrier(vk);
        vk->api.CmdFillBuffer(vk->commands, b->handle, at, bytes, word);
        st = tgr_vk_submit(vk, "filling");
    }
    return st;
}

tgr_status tgr_vk_fill(tgr_context *context, void *state, void *to, size_t bytes, uint64_t pattern,
                       size_t pattern_bytes) {
    tgr_vk *vk = state;
    tgr_status st = TGR_OK;
    pthread_mutex_lock(&vk->lock);
    tgr_vk_buffer *b = find(vk, (uintptr_t)to, bytes);
    if (vk->lost) {
        st = tgr_vk_fail(vk, VK_ERROR_DEVICE_LOST, "filling");
    } else if (!b) {
        st = tgr_fail(context, TGR_E_INVALID, "filling %zu bytes that lie in no buffer", bytes);
    } else if (b->host) {
        fill_host((char *)b->host + ((uintptr_t)to - b->address), bytes, pattern, pattern_bytes);
    } else {
        st = fill_device(vk, b, (uintptr_t)to - b->address, bytes, pattern, pattern_bytes);
    }
    pthread_mutex_unlock(&vk->lock);
    return st;
}
