/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of NVIDIA's devices. Buffers come from the device's pool where it has one, in the order of
 * a stream, else by plain allocation. Copies go through two pieces of pinned memory, so that the
 * host fills one while the device reads the other. Whose memory an address is, the library tells:
 * it may have been allocated by others in the process.
 */
#include "drivers/cuda/cu.h"

static CUdeviceptr address_of(const void *p) { return (CUdeviceptr)(uintptr_t)p; }

tgr_status tgr_cu_get(cu_state *s, cu_lane *lane, size_t bytes, CUdeviceptr *out) {
    char what[64];
    tgr_text t = {.data = what, .size = sizeof what};
    size_t size = bytes ? bytes : 1;
    *out = 0;
    tgr_text_add(&t, "allocating %zu bytes", bytes);
    return tgr_cu_check(s,
                        s->device->pools ? s->api->cuMemAllocAsync(out, size, lane->stream)
                                         : s->api->cuMemAlloc_v2(out, size),
                        what);
}

void tgr_cu_put(cu_state *s, CUstream stream, CUdeviceptr address) {
    (void)(s->device->pools ? s->api->cuMemFreeAsync(address, stream)
                            : s->api->cuMemFree_v2(address));
}

/* ---- fills ---------------------------------------------------------------------------------- */

/* Eight bytes with two different halves: some from the host, doubled on the device. */
static CUresult fill_wide(const cu_api *api, cu_lane *l, CUdeviceptr at, size_t bytes,
                          uint64_t pattern) {
    uint8_t *stage = cu_stage(l, 0);
    size_t done = bytes < CU_STAGE_BYTES ? bytes : CU_STAGE_BYTES;
    for (size_t i = 0; i < done; i += sizeof pattern) {
        memcpy(stage + i, &pattern, sizeof pattern);
    }
    CUresult code = api->cuMemcpyHtoDAsync_v2(at, stage, done, l->stream);
    while (done < bytes && !code) {
        size_t n = bytes - done < done ? bytes - done : done;
        code = api->cuMemcpyDtoDAsync_v2(at + done, at, n, l->stream);
        done += n;
    }
    return code;
}

CUresult tgr_cu_enqueue_fill(const cu_api *api, cu_lane *l, CUdeviceptr at, size_t bytes,
                             uint64_t pattern, size_t pattern_bytes) {
    uint32_t low = (uint32_t)pattern, high = (uint32_t)(pattern >> 32);
    if (pattern_bytes == 1) {
        return api->cuMemsetD8Async(at, (uint8_t)pattern, bytes, l->stream);
    }
    if (pattern_bytes == 2) {
        return api->cuMemsetD16Async(at, (uint16_t)pattern, bytes / 2, l->stream);
    }
    return pattern_bytes == 4 || low == high ? api->cuMemsetD32Async(at, low, bytes / 4, l->stream)
                                             : fill_wide(api, l, at, bytes, pattern);
}

tgr_status tgr_cu_fill(tgr_context *context, void *state, void *to, size_t bytes, uint64_t pattern,
                       size_t pattern_bytes) {
    cu_state *s = state;
    cu_lane *l;
    (void)context;
    tgr_status st = bytes ? tgr_cu_lane_enter(s, "filling", &l) : TGR_OK;
    if (st || bytes == 0) {
        return st;
    }
    st = tgr_cu_check(s,
                      tgr_cu_enqueue_fill(s->api, l, address_of(to), bytes, pattern, pattern_bytes),
                      "filling");
    st = tgr_cu_lane_finish(s, l, st, "filling");
    tgr_cu_lane_leave(s, l);
    return st;
}

/* ---- buffers -------------------------------------------------------------------------------- */

/* Other streams may use it as soon as this returns. */
tgr_status tgr_cu_memory_alloc(tgr_context *context, void *state, size_t bytes, uint32_t flags,
                               tgr_memory *out) {
    cu_state *s = state;
    cu_lane *l;
    CUdeviceptr at = 0;
    (void)context;
    memset(out, 0, sizeof *out);
    tgr_status st = tgr_cu_lane_enter(s, "making a buffer", &l);
    if (st) {
        return st;
    }
    st = tgr_cu_get(s, l, bytes, &at);
    if (!st && flags & TGR_BUFFER_ZERO && bytes) {
        st = tgr_cu_check(s, tgr_cu_enqueue_fill(s->api, l, at, bytes, 0, 1), "filling");
    }
    st = tgr_cu_lane_finish(s, l, st, "making a buffer");
    if (st && at) {
        tgr_cu_put(s, l->stream, at);
    }
    tgr_cu_lane_leave(s, l);
    if (!st) {
        *out = (tgr_memory){.pointer = (void *)(uintptr_t)at, .bytes = bytes, .flags = flags};
    }
    return st;
}

/* A device that is lost has lost its memory, too. No work uses the buffer any more: any stream will
 * do. */
void tgr_cu_memory_free(tgr_context *context, void *state, tgr_memory *memory) {
    cu_state *s = state;
    (void)context;
    int before = 0;
    if (!atomic_load(&s->lost) && tgr_cu_enter(s, "freeing a buffer", &before) == TGR_OK) {
        tgr_cu_put(s, NULL, address_of(memory->pointer));
        tgr_cu_leave(s, before);
    }
}

/* The answer of the library: where the allocation begins, how large it is, and whose it is. */
static bool holds(cu_state *s, CUdeviceptr address, size_t bytes) {
    CUdeviceptr begin = 0;
    size_t size = 0;
    unsigned int type = 0;
    int ordinal = -1;
    CUpointer_attribute what[] = {CU_POINTER_ATTRIBUTE_RANGE_START_ADDR,
                                  CU_POINTER_ATTRIBUTE_RANGE_SIZE, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                  CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL};
    void *values[] = {&begin, &size, &type, &ordinal};
    CUresult code = s->api->cuPointerGetAttributes(TGR_COUNT_OF(what), what, values, address);
    return tgr_cu_check(s, code, "looking for a buffer") == TGR_OK &&
           type == s->vendor->device_memory && ordinal == s->device->ordinal && address >= begin &&
           address - begin <= size && bytes <= size - (address - begin);
}

/* On a lost device everything is let through: what comes next tells that it is lost. */
bool tgr_cu_holds(void *state, const void *pointer, size_t bytes) {
    cu_state *s = state;
    bool held = false;
    int before = 0;
    if (tgr_cu_enter(s, "looking for a buffer", &before) == TGR_OK) {
        held = holds(s, address_of(pointer), bytes);
        tgr_cu_leave(s, before);
    }
    return held || atomic_load(&s->lost) != CUDA_SUCCESS;
}

/* ---- copies --------------------------------------------------------------------------------- */

static size_t piece_of(size_t bytes, size_t at) {
    return bytes - at < CU_STAGE_BYTES ? bytes - at : CU_STAGE_BYTES;
}

static CUresult to_device(const cu_api *api, cu_lane *l, CUdeviceptr to, const uint8_t *from,
                          size_t bytes) {
    CUresult code = CUDA_SUCCESS;
    int piece = 0;
    for (size_t at = 0; at < bytes && !code; at += CU_STAGE_BYTES, piece ^= 1) {
        size_t n = piece_of(bytes, at);
        if (at >= 2 * (size_t)CU_STAGE_BYTES) {
            code = api->cuEventSynchronize(l->copied[piece]);
        }
        if (!code) {
            memcpy(cu_stage(l, piece), from + at, n);
            code = api->cuMemcpyHtoDAsync_v2(to + at, cu_stage(l, piece), n, l->stream);
        }
        code = code ? code : api->cuEventRecord(l->copied[piece], l->stream);
    }
    return code;
}

static CUresult enqueue_piece(const cu_api *api, cu_lane *l, CUdeviceptr from, size_t bytes,
                              size_t at, int piece) {
    CUresult code =
        api->cuMemcpyDtoHAsync_v2(cu_stage(l, piece), from + at, piece_of(bytes, at), l->stream);
    return code ? code : api->cuEventRecord(l->copied[piece], l->stream);
}

/* A piece is under way while the one before it is taken out. */
static CUresult from_device(const cu_api *api, cu_lane *l, uint8_t *to, CUdeviceptr from,
                            size_t bytes) {
    CUresult code = enqueue_piece(api, l, from, bytes, 0, 0);
    int piece = 0;
    for (size_t at = 0; at < bytes && !code; at += CU_STAGE_BYTES, piece ^= 1) {
        size_t next = at + CU_STAGE_BYTES;
        if (next < bytes) {
            code = enqueue_piece(api, l, from, bytes, next, piece ^ 1);
        }
        code = code ? code : api->cuEventSynchronize(l->copied[piece]);
        if (!code) {
            memcpy(to + at, cu_stage(l, piece), piece_of(bytes, at));
        }
    }
    return code;
}

tgr_status tgr_cu_copy(tgr_context *context, void *state, tgr_copy_kind kind, void *to,
                       const void *from, size_t bytes) {
    cu_state *s = state;
    bool read = kind == TGR_COPY_FROM_DEVICE;
    cu_lane *l;
    (void)context;
    tgr_status st = bytes ? tgr_cu_lane_enter(s, "copying", &l) : TGR_OK;
    if (st || bytes == 0) {
        return st;
    }
    if (!holds(s, address_of(read ? from : to), bytes)) {
        st = atomic_load(&s->lost)
                 ? TGR_E_LOST
                 : tgr_fail(s->context, TGR_E_INVALID, "%zu bytes that are in no buffer of %s",
                            bytes, s->device->name);
    } else {
        st = tgr_cu_check(s,
                          read ? from_device(s->api, l, to, address_of(from), bytes)
                               : to_device(s->api, l, address_of(to), from, bytes),
                          "copying");
        st = tgr_cu_lane_finish(s, l, st, "copying");
    }
    tgr_cu_lane_leave(s, l);
    return st;
}
