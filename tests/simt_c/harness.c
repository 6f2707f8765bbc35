/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/device/harness.h on an OpenCL device: SIMT functions printed as OpenCL C, built and run
 * through the ICD loader. Addresses in slots are made up: a buffer's number in the high bits.
 */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/backend.h"
#include "tests/device/harness.h"

enum { MAX_BUFFERS = 64, ADDRESS_SHIFT = 40 };

struct dvt {
    cl_context context;
    cl_command_queue queue;
    cl_device_id device;
    cl_mem buffers[MAX_BUFFERS];
};

static void ok(cl_int status, const char *what) {
    if (status != CL_SUCCESS) {
        fprintf(stderr, "%s: OpenCL error %d\n", what, status);
    }
    assert_int_equal(status, CL_SUCCESS);
}

int dvt_begin(void **state) {
    static dvt t;
    cl_platform_id platforms[8];
    cl_uint n = 0;
    cl_int st;
    *state = &t;
    if (clGetPlatformIDs(8, platforms, &n) != CL_SUCCESS || n == 0 ||
        clGetDeviceIDs(platforms[0], CL_DEVICE_TYPE_ALL, 1, &t.device, NULL) != CL_SUCCESS) {
        fprintf(stderr, "skipped: no OpenCL device\n");
        exit(77);
    }
    t.context = clCreateContext(NULL, 1, &t.device, NULL, NULL, &st);
    ok(st, "context");
    t.queue = clCreateCommandQueue(t.context, t.device, 0, &st);
    ok(st, "queue");
    return 0;
}

int dvt_finish(void **state) {
    dvt *t = *state;
    clReleaseCommandQueue(t->queue);
    clReleaseContext(t->context);
    return 0;
}

uint64_t dvt_put(dvt *t, const void *data, size_t bytes, tgr_memory *out) {
    cl_int st;
    for (uint64_t i = 1; i < MAX_BUFFERS; i++) {
        if (t->buffers[i] == NULL) {
            void *zeros = data == NULL ? calloc(1, bytes + 1) : NULL;
            t->buffers[i] =
                clCreateBuffer(t->context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, bytes,
                               data != NULL ? (void *)(uintptr_t)data : zeros, &st);
            ok(st, "buffer");
            free(zeros);
            *out = (tgr_memory){.pointer = (void *)(uintptr_t)(i << ADDRESS_SHIFT), .bytes = bytes};
            return i << ADDRESS_SHIFT;
        }
    }
    fail_msg("too many buffers");
    return 0;
}

void dvt_get(dvt *t, const tgr_memory *memory, void *out) {
    size_t i = (uintptr_t)memory->pointer >> ADDRESS_SHIFT;
    ok(clEnqueueReadBuffer(t->queue, t->buffers[i], CL_TRUE, 0, memory->bytes, out, 0, NULL, NULL),
       "read");
}

void dvt_free(dvt *t, tgr_memory *memory) {
    size_t i = (uintptr_t)memory->pointer >> ADDRESS_SHIFT;
    clReleaseMemObject(t->buffers[i]);
    t->buffers[i] = NULL;
}

/* ---- one text ---------------------------------------------------------------------------------
 */

typedef struct printed {
    char *text;
    int64_t lanes, scratch;
    int n_args;
    int args[256]; /* slot of each pointer argument */
} printed;

/* The slots that are pointer arguments, read off the printed text. */
static void find_arguments(printed *p, const char *entry) {
    char head[128];
    snprintf(head, sizeof head, "void %s(", entry);
    const char *from = strstr(p->text, head), *to = from != NULL ? strstr(from, ") {") : NULL;
    assert_non_null(to);
    for (const char *at = from; (at = strstr(at, "uchar *arg")) != NULL && at < to; at++) {
        p->args[p->n_args++] = atoi(at + 10);
    }
}

static bool print(const char *text, const char *entry, tg_env *env, printed *out) {
    jmp_buf oom;
    tg_arena a;
    tg_sink sink;
    tg_module *module = NULL;
    const unsigned char *bytes;
    size_t n;
    if (TG_ENV_GUARD(env, oom)) {
        return false;
    }
    tg_arena_init(&a, env);
    tg_sink_init(&sink, &a);
    tg_source *src = TG_NEW(&a, tg_source);
    *src = (tg_source){.name = "test.ir", .text = text, .len = strlen(text)};
    bool fine = tg_module_parse(src, &a, &sink, &module) == TG_OK &&
                tg_module_verify(module, &sink) == TG_OK &&
                tg_simt_c_emit(module, tg_machine_find("opencl"), &a, &sink, &bytes, &n) == TG_OK;
    if (!fine) {
        tg_sb sb;
        tg_sb_init(&sb, &a);
        for (const tg_diag *d = sink.first; d; d = d->next) {
            tg_diag_render(&sb, d);
        }
        fprintf(stderr, "%s\n%s\n", sb.data, text);
        return false;
    }
    const tg_func *f = tg_func_find(module, entry);
    *out = (printed){.text = strdup((const char *)bytes),
                     .lanes = f->lanes > 0 ? f->lanes : 1,
                     .scratch = f->scratch_bytes};
    find_arguments(out, tg_simt_entry_name(&a, f));
    tg_arena_fini(&a);
    return true;
}

static cl_kernel build(dvt *t, const printed *p, cl_program *out) {
    cl_int st;
    const char *text = p->text;
    *out = clCreateProgramWithSource(t->context, 1, &text, NULL, &st);
    ok(st, "program");
    st = clBuildProgram(*out, 1, &t->device, "-cl-fp32-correctly-rounded-divide-sqrt", NULL, NULL);
    if (st != CL_SUCCESS) {
        static char log[1 << 16];
        clGetProgramBuildInfo(*out, t->device, CL_PROGRAM_BUILD_LOG, sizeof log, log, NULL);
        fprintf(stderr, "%s\n%s\n", log, text);
    }
    ok(st, "build");
    cl_kernel k;
    cl_uint n;
    ok(clCreateKernelsInProgram(*out, 1, &k, &n), "kernel");
    return k;
}

static cl_mem temporary(dvt *t, const void *data, size_t bytes) {
    cl_int st;
    cl_mem m = clCreateBuffer(t->context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, bytes,
                              (void *)(uintptr_t)data, &st);
    ok(st, "temporary");
    return m;
}

void dvt_run(dvt *t, const char *text, const char *entry, const int64_t *slots, uint32_t n_slots,
             int64_t programs, uint64_t scratch_bytes, uint32_t report[4]) {
    tg_env env;
    printed p = {0};
    cl_program program;
    int64_t words[256] = {0};
    uint32_t own[4] = {0};
    tg_env_init(&env, tg_allocator_default(), 0);
    assert_true(print(text, entry, &env, &p));
    cl_kernel k = build(t, &p, &program);
    memcpy(words, slots, n_slots * sizeof *slots);
    for (int i = 0; i < p.n_args; i++) {
        cl_mem m = t->buffers[(uint64_t)slots[p.args[i]] >> ADDRESS_SHIFT];
        words[p.args[i]] = slots[p.args[i]] & ((INT64_C(1) << ADDRESS_SHIFT) - 1);
        ok(clSetKernelArg(k, (cl_uint)(5 + i), sizeof m, &m), "argument");
    }
    size_t scratch =
        (size_t)programs * (size_t)(p.scratch > 0 ? p.scratch : (int64_t)scratch_bytes) + 64;
    void *zeros = calloc(1, scratch);
    cl_mem fixed[3] = {temporary(t, words, sizeof words), temporary(t, zeros, scratch),
                       temporary(t, own, sizeof own)};
    free(zeros);
    cl_long first = 0;
    ok(clSetKernelArg(k, 0, sizeof fixed[0], &fixed[0]), "slots");
    ok(clSetKernelArg(k, 1, sizeof first, &first), "first");
    ok(clSetKernelArg(k, 2, sizeof programs, &programs), "end");
    ok(clSetKernelArg(k, 3, sizeof fixed[1], &fixed[1]), "scratch");
    ok(clSetKernelArg(k, 4, sizeof fixed[2], &fixed[2]), "report");
    size_t local = (size_t)p.lanes, global = local * (size_t)programs;
    ok(clEnqueueNDRangeKernel(t->queue, k, 1, NULL, &global, &local, 0, NULL, NULL), "launch");
    ok(clEnqueueReadBuffer(t->queue, fixed[2], CL_TRUE, 0, sizeof own,
                           report != NULL ? report : own, 0, NULL, NULL),
       "report");
    for (int i = 0; i < 3; i++) {
        clReleaseMemObject(fixed[i]);
    }
    clReleaseKernel(k);
    clReleaseProgram(program);
    free(p.text);
}
