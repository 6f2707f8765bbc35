/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Launches on OpenCL devices: the slots go over as one small buffer, addresses become buffer
 * arguments and offsets, the grid is cut into slices that the scratch memory suffices for, and the
 * report is read back. The call returns when the device is done.
 */
#include "opencl.h"

#include <inttypes.h>

enum { GROUPS_ALONG_X = 1 << 16, GROUPS_AT_ONCE = 1 << 24, FIRST_POINTER_ARG = 5 };

typedef struct launch {
    cl_state *s;
    const tgr_run *run;
    cl_kernel kernel;
    const uint32_t *pointers; /* slots that are buffers */
    uint32_t n_pointers;
    int64_t slots[TG_PACK_MAX_SLOTS];
    cl_int code; /* first failure */
} launch;

static void keep(launch *l, cl_int code) { l->code = l->code == CL_SUCCESS ? code : l->code; }

/* ---- arguments ------------------------------------------------------------------------------ */

static void set_block(launch *l, cl_uint index, const cl_block *b) {
    const cl_api *api = l->s->api;
    keep(l, l->s->svm ? api->clSetKernelArgSVMPointer(l->kernel, index, b->svm)
                      : api->clSetKernelArg(l->kernel, index, sizeof b->mem, &b->mem));
}

static void set_i64(launch *l, cl_uint index, int64_t v) {
    keep(l, l->s->api->clSetKernelArg(l->kernel, index, sizeof v, &v));
}

/* A tensor of no elements has no address: it gets the slots' buffer, of which nothing is read. */
static tgr_status set_pointer(launch *l, uint32_t i) {
    cl_state *s = l->s;
    uint32_t slot = l->pointers[i];
    uint64_t address = (uint64_t)l->run->slots[slot];
    const cl_range *r = address ? tgr_cl_find(s, address) : NULL;
    if (address && !r) {
        return tgr_fail(s->context, TGR_E_MISMATCH, "kernel `%s`: a tensor lies in no buffer of %s",
                        l->run->name, s->device->name);
    }
    cl_block own = r ? (cl_block){.mem = r->mem, .svm = r->mem ? NULL : (void *)(uintptr_t)r->begin}
                     : s->slots;
    l->slots[slot] = r ? (int64_t)(address - r->begin) : 0;
    set_block(l, FIRST_POINTER_ARG + i, &own);
    return TGR_OK;
}

static tgr_status set_pointers(launch *l) {
    tgr_status st = TGR_OK;
    memcpy(l->slots, l->run->slots, l->run->n_slots * sizeof *l->slots);
    for (uint32_t i = 0; i < l->n_pointers && !st; i++) {
        st = set_pointer(l, i);
    }
    return st;
}

/* SVM that the kernel reaches through the slots. */
static void set_svm(launch *l) {
    cl_state *s = l->s;
    if (!s->svm || s->n_ranges == 0) {
        return;
    }
    size_t n = s->n_ranges;
    void **all = tgr_alloc(s->context, n * sizeof *all);
    if (!all) {
        keep(l, CL_OUT_OF_HOST_MEMORY);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        all[i] = (void *)(uintptr_t)s->ranges[i].begin;
    }
    keep(l, s->api->clSetKernelExecInfo(l->kernel, CL_KERNEL_EXEC_INFO_SVM_PTRS, n * sizeof *all,
                                        (const void *)all));
    tgr_free(s->context, all, n * sizeof *all);
}

static void write_block(launch *l, const cl_block *b, const void *from, size_t bytes) {
    cl_state *s = l->s;
    keep(l, s->svm
                ? s->api->clEnqueueSVMMemcpy(s->queue, CL_FALSE, b->svm, from, bytes, 0, NULL, NULL)
                : s->api->clEnqueueWriteBuffer(s->queue, b->mem, CL_FALSE, 0, bytes, from, 0, NULL,
                                               NULL));
}

static void read_block(launch *l, const cl_block *b, void *to, size_t bytes) {
    cl_state *s = l->s;
    keep(l, s->svm ? s->api->clEnqueueSVMMemcpy(s->queue, CL_TRUE, to, b->svm, bytes, 0, NULL, NULL)
                   : s->api->clEnqueueReadBuffer(s->queue, b->mem, CL_TRUE, 0, bytes, to, 0, NULL,
                                                 NULL));
}

/* ---- work ----------------------------------------------------------------------------------- */

static void enqueue(launch *l, int64_t first, int64_t end, size_t lanes) {
    size_t n = (size_t)(end - first);
    size_t x = n < GROUPS_ALONG_X ? n : GROUPS_ALONG_X;
    size_t global[2] = {x * lanes, (n + x - 1) / x}, local[2] = {lanes, 1};
    set_i64(l, 1, first);
    set_i64(l, 2, end);
    if (l->code == CL_SUCCESS) {
        keep(l, l->s->api->clEnqueueNDRangeKernel(l->s->queue, l->kernel, 2, NULL, global, local, 0,
                                                  NULL, NULL));
    }
}

/* Slots, report and scratch in place; the kernel's arguments set but for the programs. */
static tgr_status prepare(launch *l, size_t scratch_bytes) {
    static const uint32_t no_report[TGR_SIMT_REPORT_WORDS] = {0};
    cl_state *s = l->s;
    tgr_status st = tgr_cl_block_grow(s, &s->slots, sizeof l->slots);
    st = st ? st : tgr_cl_block_grow(s, &s->report, sizeof no_report);
    st = st ? st : tgr_cl_block_grow(s, &s->scratch, scratch_bytes);
    st = st ? st : set_pointers(l);
    if (st) {
        return st;
    }
    set_block(l, 0, &s->slots);
    set_block(l, 3, &s->scratch);
    set_block(l, 4, &s->report);
    set_svm(l);
    write_block(l, &s->slots, l->slots, l->run->n_slots * sizeof *l->slots);
    write_block(l, &s->report, no_report, sizeof no_report);
    return TGR_OK;
}

/* Waits in any case: the queue still reads from this frame. */
static tgr_status finish(launch *l, uint32_t report[TGR_SIMT_REPORT_WORDS]) {
    memset(report, 0, TGR_SIMT_REPORT_WORDS * sizeof *report);
    cl_int done = l->s->api->clFinish(l->s->queue);
    keep(l, done);
    if (l->code == CL_SUCCESS) {
        read_block(l, &l->s->report, report, TGR_SIMT_REPORT_WORDS * sizeof *report);
    }
    return l->code == CL_SUCCESS ? TGR_OK : tgr_cl_fail(l->s, l->code, l->run->name);
}

/* The plan's entry has the same five words; its buffers are those that it reads. */
static tgr_status run_plan(cl_state *s, const tgr_run *run, const tgr_simt_entry *e,
                           int64_t *out_programs) {
    launch l = {.s = s,
                .run = run,
                .kernel = e->driver_plan,
                .pointers = e->plan_pointers,
                .n_pointers = e->n_plan_pointers};
    tg_cpu_plan plan = {0};
    uint32_t report[TGR_SIMT_REPORT_WORDS];
    tgr_status st = prepare(&l, sizeof plan);
    if (st) {
        return st;
    }
    enqueue(&l, 0, 1, 1);
    st = finish(&l, report);
    if (!st) {
        read_block(&l, &s->scratch, &plan, sizeof plan);
        st = l.code == CL_SUCCESS ? TGR_OK : tgr_cl_fail(s, l.code, run->name);
    }
    return st ? st : tgr_simt_planned(s->context, run, &plan, report, out_programs);
}

static tgr_status run_programs(cl_state *s, const tgr_run *run, const tgr_simt_entry *e,
                               int64_t programs) {
    launch l = {.s = s,
                .run = run,
                .kernel = e->driver,
                .pointers = e->pointers,
                .n_pointers = e->n_pointers};
    uint32_t report[TGR_SIMT_REPORT_WORDS];
    int64_t slice = tgr_simt_slice(&s->device->info, e->scratch_bytes, programs, GROUPS_AT_ONCE);
    tgr_status st = prepare(&l, (size_t)e->scratch_bytes * (size_t)slice);
    if (st) {
        return st;
    }
    for (int64_t at = 0; at < programs && l.code == CL_SUCCESS;) {
        int64_t end = programs - at < slice ? programs : at + slice;
        enqueue(&l, at, end, e->lanes);
        at = end;
    }
    st = finish(&l, report);
    return st ? st : tgr_simt_trapped(s->context, run, report);
}

static tgr_status run_locked(cl_state *s, tgr_run *run) {
    const tgr_simt_entry *e = run->entry->simt;
    if (s->lost) {
        return tgr_cl_fail(s, CL_DEVICE_NOT_AVAILABLE, run->name);
    }
    int64_t programs = 0;
    tgr_status st = tgr_simt_admit(s->context, &s->device->info, run, e);
    if (!st) {
        st = e->plan ? run_plan(s, run, e, &programs)
                     : tgr_simt_programs(s->context, run, e, &programs);
    }
    run->programs = st ? 0 : programs;
    if (!st) {
        const cl_image *image = run->entry->image;
        tgr_simt_trace(s->context, run, e, image->simt.code, image->simt.code_bytes,
                       tgr_cl_build_options(s));
    }
    return st || programs == 0 ? st : run_programs(s, run, e, programs);
}

tgr_status tgr_cl_run(tgr_context *context, void *state, tgr_run *run) {
    cl_state *s = state;
    (void)context;
    run->programs = 0;
    pthread_mutex_lock(&s->lock);
    tgr_status st = run_locked(s, run);
    pthread_mutex_unlock(&s->lock);
    return st;
}
