/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPU memory: the host's allocator, or whole pages of the system for huge pages. 64-byte aligned.
 */
#define _GNU_SOURCE
#include "cpu.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ALIGN = 64 };
static const size_t huge_page = 2u << 20;

static tgr_status take_pages(tgr_context *context, size_t bytes, tgr_memory *out) {
    size_t size;
    if (__builtin_add_overflow(bytes, 2 * huge_page, &size)) {
        return tgr_fail(context, TGR_E_NOMEM, "a buffer of %zu bytes", bytes);
    }
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    if (p == MAP_FAILED) {
        return tgr_fail(context, TGR_E_NOMEM, "no memory for a buffer of %zu bytes", bytes);
    }
    out->base = p;
    out->base_bytes = size;
    out->pointer = (char *)p + (-(uintptr_t)p & (huge_page - 1));
    (void)madvise(out->pointer, (bytes + huge_page - 1) / huge_page * huge_page, MADV_HUGEPAGE);
    return TGR_OK;
}

static tgr_status take_heap(tgr_context *context, size_t bytes, tgr_memory *out) {
    size_t size;
    if (__builtin_add_overflow(bytes, (size_t)ALIGN, &size)) {
        return tgr_fail(context, TGR_E_NOMEM, "a buffer of %zu bytes", bytes);
    }
    void *p = tgr_alloc_raw(context, size);
    if (!p) {
        return tgr_fail(context, TGR_E_NOMEM, "no memory for a buffer of %zu bytes", bytes);
    }
    out->base = p;
    out->base_bytes = size;
    out->pointer = (char *)p + (-(uintptr_t)p & (ALIGN - 1));
    return TGR_OK;
}

tgr_status tgr_cpu_memory_alloc(tgr_context *context, void *state, size_t bytes, uint32_t flags,
                                tgr_memory *out) {
    (void)state;
    memset(out, 0, sizeof *out);
    bool pages = flags & TGR_BUFFER_HUGE;
    tgr_status st = pages ? take_pages(context, bytes, out) : take_heap(context, bytes, out);
    if (st) {
        return st;
    }
    out->host = out->pointer;
    out->bytes = bytes;
    out->flags = flags;
    if (flags & TGR_BUFFER_ZERO && !pages) {
        memset(out->pointer, 0, bytes); /* touches every page as well */
    } else if (flags & TGR_BUFFER_PREFAULT) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        volatile char *p = out->pointer;
        for (size_t i = 0; i < bytes; i += page) {
            p[i] = 0;
        }
    }
    return TGR_OK;
}

void tgr_cpu_memory_free(tgr_context *context, void *state, tgr_memory *memory) {
    (void)state;
    if (memory->flags & TGR_BUFFER_HUGE) {
        (void)munmap(memory->base, memory->base_bytes);
    } else {
        tgr_free(context, memory->base, memory->base_bytes);
    }
    memset(memory, 0, sizeof *memory);
}
