/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the OpenCL driver:
 *
 *   library.c  the ICD loader opened at run time, platforms and devices    memory.c  buffers,
 * copies opencl.c   opening and closing a device, the driver's table            image.c   programs
 *   run.c      launches
 *
 * Device memory is one cl_mem per buffer. OpenCL tells no addresses, so each gets a made-up range
 * of addresses that no other has; kernels take the buffers as arguments of their own and the slots
 * hold offsets (core/simt.h). A device that takes SPIR-V gets its memory as SVM instead, whose
 * addresses are real.
 */
#ifndef TGR_OPENCL_H
#define TGR_OPENCL_H

#include "core/simt.h"

#define CL_TARGET_OPENCL_VERSION 210
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS /* clCreateCommandQueue: all that 1.2 has */
#include <CL/cl.h>

/* What is called of libOpenCL; those of the second list may be missing (before 2.0, 2.1). */
#define TGR_CL_FUNCTIONS(X)                                                                        \
    X(clGetPlatformIDs)                                                                            \
    X(clGetPlatformInfo)                                                                           \
    X(clGetDeviceIDs)                                                                              \
    X(clGetDeviceInfo)                                                                             \
    X(clCreateContext)                                                                             \
    X(clReleaseContext)                                                                            \
    X(clCreateCommandQueue)                                                                        \
    X(clReleaseCommandQueue)                                                                       \
    X(clCreateBuffer)                                                                              \
    X(clReleaseMemObject)                                                                          \
    X(clEnqueueReadBuffer)                                                                         \
    X(clEnqueueWriteBuffer)                                                                        \
    X(clEnqueueFillBuffer)                                                                         \
    X(clCreateProgramWithSource)                                                                   \
    X(clCreateProgramWithBinary)                                                                   \
    X(clBuildProgram)                                                                              \
    X(clGetProgramBuildInfo)                                                                       \
    X(clGetProgramInfo)                                                                            \
    X(clReleaseProgram)                                                                            \
    X(clCreateKernel)                                                                              \
    X(clReleaseKernel)                                                                             \
    X(clSetKernelArg)                                                                              \
    X(clEnqueueNDRangeKernel)                                                                      \
    X(clFinish)
#define TGR_CL_OPTIONAL(X)                                                                         \
    X(clCreateProgramWithIL)                                                                       \
    X(clSVMAlloc)                                                                                  \
    X(clSVMFree)                                                                                   \
    X(clEnqueueSVMMemcpy)                                                                          \
    X(clEnqueueSVMMemFill)                                                                         \
    X(clSetKernelArgSVMPointer)                                                                    \
    X(clSetKernelExecInfo)

typedef struct cl_api {
#define TGR_X(f) __typeof__(f) *f;
    TGR_CL_FUNCTIONS(TGR_X) TGR_CL_OPTIONAL(TGR_X)
#undef TGR_X
} cl_api;

enum { MAX_DEVICES = 32, NAME_BYTES = 192 };

typedef struct cl_device {
    cl_platform_id platform;
    cl_device_id id;
    tgr_device_info info;
    char name[NAME_BYTES], version[NAME_BYTES];
    bool takes_il;   /* SPIR-V and SVM */
    bool div_option; /* knows -cl-fp32-correctly-rounded-divide-sqrt */
    uint64_t most_alloc;
} cl_device;

/* Per context. */
typedef struct cl_globals {
    void *library;
    cl_api api;
    cl_device devices[MAX_DEVICES];
    int32_t n_devices;
} cl_globals;

/* One buffer: addresses [begin, begin + bytes). */
typedef struct cl_range {
    uint64_t begin;
    uint64_t bytes;
    cl_mem mem; /* NULL: SVM, begin is its address */
} cl_range;

/* A grow-only buffer of the driver's own. */
typedef struct cl_block {
    cl_mem mem;
    void *svm;
    size_t bytes;
} cl_block;

typedef struct cl_state {
    tgr_context *context;
    const cl_api *api;
    const cl_device *device;
    cl_context cl;
    cl_command_queue queue;
    tgr_cache *cache;
    pthread_mutex_t lock; /* one launch or change of the ranges at a time */
    cl_range *ranges;     /* ascending */
    size_t n_ranges, cap_ranges;
    uint64_t next_address;
    cl_block slots, report, scratch;
    bool svm, lost;
} cl_state;

/* The program of one image and its kernels, in the entries' `driver` fields. */
typedef struct cl_image {
    tgr_simt_image simt;
    cl_program program;
} cl_image;

/* image.c: for clBuildProgram. */
const char *tgr_cl_build_options(const cl_state *s);

/* library.c */
tgr_status tgr_cl_attach(tgr_context *context, void **out_globals);
void tgr_cl_detach(tgr_context *context, void *globals);
const char *tgr_cl_error(cl_int code);
/* A message for a failed call; remembers when the device is lost. */
tgr_status tgr_cl_fail(cl_state *s, cl_int code, const char *what);

/* memory.c; the lock is not held */
tgr_status tgr_cl_memory_alloc(tgr_context *context, void *state, size_t bytes, uint32_t flags,
                               tgr_memory *out);
void tgr_cl_memory_free(tgr_context *context, void *state, tgr_memory *memory);
bool tgr_cl_holds(void *state, const void *pointer, size_t bytes);
tgr_status tgr_cl_copy(tgr_context *context, void *state, tgr_copy_kind kind, void *to,
                       const void *from, size_t bytes);
tgr_status tgr_cl_fill(tgr_context *context, void *state, void *to, size_t bytes, uint64_t pattern,
                       size_t pattern_bytes);
/* The lock is held. */
const cl_range *tgr_cl_find(const cl_state *s, uint64_t address);
tgr_status tgr_cl_block_grow(cl_state *s, cl_block *b, size_t bytes);
void tgr_cl_block_free(cl_state *s, cl_block *b);

/* image.c */
int32_t tgr_cl_isa_rank(void *state, uint32_t isa);
tgr_status tgr_cl_image_load(tgr_context *context, void *state, const tgr_image_desc *desc,
                             void **out_image);
void tgr_cl_image_unload(tgr_context *context, void *state, void *image);
void tgr_cl_image_entry(void *image, uint64_t plan, const uint64_t *phases, uint32_t n_phases,
                        tgr_entry *out);

/* run.c */
tgr_status tgr_cl_run(tgr_context *context, void *state, tgr_run *run);

#endif
