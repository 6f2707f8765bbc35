/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of OpenCL devices. Addresses are made up in ascending order and never given twice, with a
 * page between two buffers; the table of ranges, ascending, finds the buffer of an address.
 */
#include "opencl.h"

enum { PAGE = 4096, MEM_ALIGN = 128 };

/* ---- ranges --------------------------------------------------------------------------------- */

/* Index of the last range that begins at or below address; n_ranges when none does. */
static size_t range_index(const cl_state *s, uint64_t address) {
    size_t lo = 0, hi = s->n_ranges;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (s->ranges[mid].begin <= address) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo ? lo - 1 : s->n_ranges;
}

const cl_range *tgr_cl_find(const cl_state *s, uint64_t address) {
    size_t i = range_index(s, address);
    return i < s->n_ranges && address - s->ranges[i].begin <= s->ranges[i].bytes ? &s->ranges[i]
                                                                                 : NULL;
}

static tgr_status range_room(cl_state *s) {
    if (s->n_ranges < s->cap_ranges) {
        return TGR_OK;
    }
    size_t cap = s->cap_ranges ? 2 * s->cap_ranges : 32;
    cl_range *more = tgr_alloc(s->context, cap * sizeof *more);
    if (!more) {
        return tgr_fail(s->context, TGR_E_NOMEM, "out of memory making a buffer");
    }
    if (s->n_ranges) {
        memcpy(more, s->ranges, s->n_ranges * sizeof *more);
    }
    tgr_free(s->context, s->ranges, s->cap_ranges * sizeof *more);
    s->ranges = more;
    s->cap_ranges = cap;
    return TGR_OK;
}

static void range_insert(cl_state *s, cl_range r) {
    size_t at = s->n_ranges++;
    for (; at > 0 && s->ranges[at - 1].begin > r.begin; at--) {
        s->ranges[at] = s->ranges[at - 1];
    }
    s->ranges[at] = r;
}

static void range_remove(cl_state *s, uint64_t begin) {
    size_t i = range_index(s, begin);
    if (i < s->n_ranges) {
        memmove(&s->ranges[i], &s->ranges[i + 1], (s->n_ranges - i - 1) * sizeof *s->ranges);
        s->n_ranges--;
    }
}

/* ---- blocks --------------------------------------------------------------------------------- */

static tgr_status block_make(cl_state *s, size_t bytes, cl_block *out) {
    cl_int code = CL_SUCCESS;
    size_t size = bytes ? bytes : 1;
    if (s->lost) {
        return tgr_cl_fail(s, CL_DEVICE_NOT_AVAILABLE, "making a buffer");
    }
    if (s->device->most_alloc && size > s->device->most_alloc) {
        return tgr_fail(s->context, TGR_E_NOMEM,
                        "%s has no buffers of %zu bytes; the largest have %llu", s->device->name,
                        size, (unsigned long long)s->device->most_alloc);
    }
    memset(out, 0, sizeof *out);
    if (s->svm) {
        out->svm = s->api->clSVMAlloc(s->cl, CL_MEM_READ_WRITE, size, MEM_ALIGN);
        code = out->svm ? CL_SUCCESS : CL_MEM_OBJECT_ALLOCATION_FAILURE;
    } else {
        out->mem = s->api->clCreateBuffer(s->cl, CL_MEM_READ_WRITE, size, NULL, &code);
    }
    if (code != CL_SUCCESS) {
        return tgr_cl_fail(s, code, "making a buffer");
    }
    out->bytes = bytes;
    return TGR_OK;
}

void tgr_cl_block_free(cl_state *s, cl_block *b) {
    if (b->svm) {
        s->api->clSVMFree(s->cl, b->svm);
    } else if (b->mem) {
        (void)s->api->clReleaseMemObject(b->mem);
    }
    memset(b, 0, sizeof *b);
}

tgr_status tgr_cl_block_grow(cl_state *s, cl_block *b, size_t bytes) {
    if ((b->svm || b->mem) && b->bytes >= bytes) {
        return TGR_OK;
    }
    tgr_cl_block_free(s, b);
    return block_make(s, bytes, b);
}

/* ---- buffers -------------------------------------------------------------------------------- */

static tgr_status zero(cl_state *s, tgr_memory *m) {
    size_t whole = m->bytes / 8 * 8;
    tgr_status st = whole ? tgr_cl_fill(s->context, s, m->pointer, whole, 0, 8) : TGR_OK;
    return !st && whole < m->bytes
               ? tgr_cl_fill(s->context, s, (char *)m->pointer + whole, m->bytes - whole, 0, 1)
               : st;
}

tgr_status tgr_cl_memory_alloc(tgr_context *context, void *state, size_t bytes, uint32_t flags,
                               tgr_memory *out) {
    cl_state *s = state;
    cl_block b = {0};
    (void)context;
    memset(out, 0, sizeof *out);
    pthread_mutex_lock(&s->lock);
    tgr_status st = range_room(s);
    st = st ? st : block_make(s, bytes, &b);
    if (!st) {
        uint64_t at = b.svm ? (uint64_t)(uintptr_t)b.svm : s->next_address;
        s->next_address += (bytes + 2 * (uint64_t)PAGE - 1) / PAGE * PAGE + PAGE;
        range_insert(s, (cl_range){.begin = at, .bytes = bytes, .mem = b.mem});
        out->pointer = (void *)(uintptr_t)at;
        out->base = b.svm ? b.svm : (void *)b.mem;
        out->bytes = bytes;
        out->flags = flags;
    }
    pthread_mutex_unlock(&s->lock);
    if (!st && flags & TGR_BUFFER_ZERO) {
        st = zero(s, out);
        if (st) {
            tgr_cl_memory_free(context, s, out);
        }
    }
    return st;
}

void tgr_cl_memory_free(tgr_context *context, void *state, tgr_memory *memory) {
    cl_state *s = state;
    (void)context;
    pthread_mutex_lock(&s->lock);
    cl_block b = {.svm = s->svm ? memory->base : NULL, .mem = s->svm ? NULL : memory->base};
    range_remove(s, (uint64_t)(uintptr_t)memory->pointer);
    tgr_cl_block_free(s, &b);
    pthread_mutex_unlock(&s->lock);
}

bool tgr_cl_holds(void *state, const void *pointer, size_t bytes) {
    cl_state *s = state;
    uint64_t address = (uint64_t)(uintptr_t)pointer;
    pthread_mutex_lock(&s->lock);
    const cl_range *r = tgr_cl_find(s, address);
    bool held = r && bytes <= r->bytes - (address - r->begin);
    pthread_mutex_unlock(&s->lock);
    return held;
}

/* ---- copies --------------------------------------------------------------------------------- */

static tgr_status outside(cl_state *s, size_t bytes) {
    return tgr_fail(s->context, TGR_E_INVALID, "%zu bytes that are in no buffer of %s", bytes,
                    s->device->name);
}

static tgr_status copy_locked(cl_state *s, tgr_copy_kind kind, void *to, const void *from,
                              size_t bytes) {
    bool read = kind == TGR_COPY_FROM_DEVICE;
    uint64_t address = (uint64_t)(uintptr_t)(read ? from : to);
    const cl_range *r = tgr_cl_find(s, address);
    size_t offset = r ? (size_t)(address - r->begin) : 0;
    if (!r || bytes > r->bytes - offset) {
        return outside(s, bytes);
    }
    cl_int code;
    if (s->svm) {
        code = s->api->clEnqueueSVMMemcpy(s->queue, CL_TRUE, to, from, bytes, 0, NULL, NULL);
    } else if (read) {
        code = s->api->clEnqueueReadBuffer(s->queue, r->mem, CL_TRUE, offset, bytes, to, 0, NULL,
                                           NULL);
    } else {
        code = s->api->clEnqueueWriteBuffer(s->queue, r->mem, CL_TRUE, offset, bytes, from, 0, NULL,
                                            NULL);
    }
    return code == CL_SUCCESS ? TGR_OK : tgr_cl_fail(s, code, "copying");
}

tgr_status tgr_cl_copy(tgr_context *context, void *state, tgr_copy_kind kind, void *to,
                       const void *from, size_t bytes) {
    cl_state *s = state;
    (void)context;
    pthread_mutex_lock(&s->lock);
    tgr_status st = copy_locked(s, kind, to, from, bytes);
    pthread_mutex_unlock(&s->lock);
    return st;
}

tgr_status tgr_cl_fill(tgr_context *context, void *state, void *to, size_t bytes, uint64_t pattern,
                       size_t pattern_bytes) {
    cl_state *s = state;
    (void)context;
    pthread_mutex_lock(&s->lock);
    const cl_range *r = tgr_cl_find(s, (uint64_t)(uintptr_t)to);
    size_t offset = r ? (size_t)((uint64_t)(uintptr_t)to - r->begin) : 0;
    tgr_status st = TGR_OK;
    if (!r || bytes > r->bytes - offset) {
        st = outside(s, bytes);
    } else {
        cl_int code = s->svm
                          ? s->api->clEnqueueSVMMemFill(s->queue, to, &pattern, pattern_bytes,
                                                        bytes, 0, NULL, NULL)
                          : s->api->clEnqueueFillBuffer(s->queue, r->mem, &pattern, pattern_bytes,
                                                        offset, bytes, 0, NULL, NULL);
        code = code == CL_SUCCESS ? s->api->clFinish(s->queue) : code;
        st = code == CL_SUCCESS ? TGR_OK : tgr_cl_fail(s, code, "filling");
    }
    pthread_mutex_unlock(&s->lock);
    return st;
}
