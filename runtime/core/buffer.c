/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory objects: device buffers, imported host memory, and the bump arena over one buffer.
 */
#include "internal.h"

enum { BUFFER_FLAGS = TGR_BUFFER_ZERO | TGR_BUFFER_PREFAULT | TGR_BUFFER_HUGE };

static tgr_status buffer_make(tgr_device *device, tgr_buffer **out) {
    tgr_buffer *b = tgr_alloc(device->context, sizeof *b);
    if (!b) {
        return tgr_fail(device->context, TGR_E_NOMEM, "out of memory making a buffer");
    }
    atomic_init(&b->refs, 1);
    b->device = device;
    *out = b;
    return TGR_OK;
}

tgr_status tgr_buffer_create(tgr_device *device, size_t bytes, uint32_t flags, tgr_buffer **out) {
    if (!device || !out) {
        return TGR_E_INVALID;
    }
    *out = NULL;
    if (flags & ~(uint32_t)BUFFER_FLAGS) {
        return tgr_fail(device->context, TGR_E_INVALID, "unknown buffer flags %#x", flags);
    }
    tgr_buffer *b = NULL;
    tgr_status st = buffer_make(device, &b);
    if (st) {
        return st;
    }
    st = device->driver->memory_alloc(device->context, device->state, bytes, flags, &b->memory);
    if (st) {
        tgr_free(device->context, b, sizeof *b);
        return st;
    }
    tgr_device_retain(device);
    *out = b;
    return TGR_OK;
}

tgr_status tgr_buffer_import(tgr_device *device, void *pointer, size_t bytes, tgr_buffer **out) {
    if (!device || !out) {
        return TGR_E_INVALID;
    }
    *out = NULL;
    if (!pointer && bytes) {
        return tgr_fail(device->context, TGR_E_INVALID, "importing NULL as %zu bytes", bytes);
    }
    if (!device->driver->host_memory) {
        return tgr_fail(device->context, TGR_E_UNSUPPORTED,
                        "device `%s` does not work on the host's memory; make a buffer and copy",
                        device->driver->name);
    }
    tgr_buffer *b = NULL;
    tgr_status st = buffer_make(device, &b);
    if (st) {
        return st;
    }
    b->memory = (tgr_memory){.pointer = pointer, .host = pointer, .bytes = bytes};
    b->imported = true;
    tgr_device_retain(device);
    *out = b;
    return TGR_OK;
}

void tgr_buffer_retain(tgr_buffer *buffer) { atomic_fetch_add(&buffer->refs, 1); }

void tgr_buffer_release(tgr_buffer *buffer) {
    if (buffer && atomic_fetch_sub(&buffer->refs, 1) == 1) {
        tgr_device *d = buffer->device;
        if (!buffer->imported) {
            d->driver->memory_free(d->context, d->state, &buffer->memory);
        }
        tgr_free(d->context, buffer, sizeof *buffer);
        tgr_device_release(d);
    }
}

uint64_t tgr_buffer_address(const tgr_buffer *buffer) {
    return (uint64_t)(uintptr_t)buffer->memory.pointer;
}

size_t tgr_buffer_bytes(const tgr_buffer *buffer) { return buffer->memory.bytes; }

tgr_status tgr_buffer_map(tgr_buffer *buffer, void **out_pointer) {
    if (!buffer || !out_pointer) {
        return TGR_E_INVALID;
    }
    *out_pointer = buffer->memory.host;
    if (!buffer->memory.host && buffer->memory.bytes) {
        return tgr_fail(buffer->device->context, TGR_E_UNSUPPORTED,
                        "the host cannot address this memory");
    }
    return TGR_OK;
}

static tgr_status copy(tgr_queue *queue, tgr_buffer *buffer, size_t offset, void *to,
                       const void *from, size_t bytes, tgr_copy_kind kind) {
    tgr_device *d = tgr_queue_device(queue);
    if (offset > buffer->memory.bytes || bytes > buffer->memory.bytes - offset) {
        return tgr_fail(d->context, TGR_E_INVALID, "%s %zu bytes at %zu of a buffer of %zu",
                        kind == TGR_COPY_TO_DEVICE ? "writing" : "reading", bytes, offset,
                        buffer->memory.bytes);
    }
    if (bytes == 0) {
        return TGR_OK;
    }
    tgr_command c = {
        .kind = TGR_CMD_COPY, .copy = kind, .to = to, .from = from, .bytes = bytes, .keep = buffer};
    tgr_queue_lock(queue);
    tgr_status st = tgr_queue_submit(queue, &c, NULL);
    tgr_queue_unlock(queue);
    return st;
}

tgr_status tgr_buffer_write(tgr_queue *queue, tgr_buffer *buffer, size_t offset, const void *host,
                            size_t bytes) {
    if (!queue || !buffer || (!host && bytes)) {
        return TGR_E_INVALID;
    }
    char *to = buffer->memory.pointer;
    return copy(queue, buffer, offset, to ? to + offset : NULL, host, bytes, TGR_COPY_TO_DEVICE);
}

tgr_status tgr_buffer_read(tgr_queue *queue, tgr_buffer *buffer, size_t offset, void *host,
                           size_t bytes) {
    if (!queue || !buffer || (!host && bytes)) {
        return TGR_E_INVALID;
    }
    const char *from = buffer->memory.pointer;
    return copy(queue, buffer, offset, host, from ? from + offset : NULL, bytes,
                TGR_COPY_FROM_DEVICE);
}

/* ---- arena ---------------------------------------------------------------------------------- */

struct tgr_arena {
    tgr_buffer *buffer;
    size_t used;
};

tgr_status tgr_arena_create(tgr_device *device, size_t bytes, uint32_t flags, tgr_arena **out) {
    if (!device || !out) {
        return TGR_E_INVALID;
    }
    *out = NULL;
    tgr_arena *a = tgr_alloc(device->context, sizeof *a);
    if (!a) {
        return tgr_fail(device->context, TGR_E_NOMEM, "out of memory making an arena");
    }
    tgr_status st = tgr_buffer_create(device, bytes, flags | TGR_BUFFER_PREFAULT, &a->buffer);
    if (st) {
        tgr_free(device->context, a, sizeof *a);
        return st;
    }
    *out = a;
    return TGR_OK;
}

tgr_status tgr_arena_alloc(tgr_arena *arena, size_t bytes, size_t align, void **out_pointer) {
    if (!arena || !out_pointer) {
        return TGR_E_INVALID;
    }
    *out_pointer = NULL;
    tgr_context *context = arena->buffer->device->context;
    size_t a = align ? align : 64;
    if (a & (a - 1)) {
        return tgr_fail(context, TGR_E_INVALID, "alignment %zu is not a power of two", align);
    }
    uintptr_t base = (uintptr_t)arena->buffer->memory.pointer, at = base + arena->used;
    size_t pad = (size_t)(-at & (a - 1)), left = arena->buffer->memory.bytes - arena->used;
    if (pad > left || bytes > left - pad) {
        return tgr_fail(context, TGR_E_NOMEM, "the arena has %zu bytes left, %zu are wanted", left,
                        bytes);
    }
    *out_pointer = (char *)arena->buffer->memory.pointer + arena->used + pad;
    arena->used += pad + bytes;
    return TGR_OK;
}

void tgr_arena_reset(tgr_arena *arena) { arena->used = 0; }

size_t tgr_arena_used(const tgr_arena *arena) { return arena->used; }

void tgr_arena_release(tgr_arena *arena) {
    if (arena) {
        tgr_context *context = arena->buffer->device->context;
        tgr_context_retain(context);
        tgr_buffer_release(arena->buffer);
        tgr_free(context, arena, sizeof *arena);
        tgr_context_release(context);
    }
}
