/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A made-up OpenCL library with one device whose memory is the host's and whose kernels do nothing.
 * $FAKE_CL says what goes wrong: "FUNCTION=CODE" makes that function fail from its first call on,
 * "none" leaves the device out.
 */
#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>

#include <stdlib.h>
#include <string.h>

static cl_int fault(const char *function) {
    const char *says = getenv("FAKE_CL");
    size_t n = strlen(function);
    if (says && strncmp(says, function, n) == 0 && strcmp(says + n, "=abort") == 0) {
        abort(); /* as drivers do */
    }
    return says && strncmp(says, function, n) == 0 && says[n] == '='
               ? (cl_int)strtol(says + n + 1, NULL, 10)
               : CL_SUCCESS;
}

static char thing[16];
#define THING(type) ((type)(void *)thing)

cl_int clGetPlatformIDs(cl_uint n, cl_platform_id *out, cl_uint *out_n) {
    (void)n;
    out[0] = THING(cl_platform_id);
    *out_n = 1;
    return fault("clGetPlatformIDs");
}

static cl_int answer(const void *from, size_t bytes, size_t room, void *to, size_t *out_bytes) {
    if (out_bytes) {
        *out_bytes = bytes;
    }
    if (to && room < bytes) {
        return CL_INVALID_VALUE;
    }
    if (to) {
        memcpy(to, from, bytes);
    }
    return CL_SUCCESS;
}

cl_int clGetPlatformInfo(cl_platform_id p, cl_platform_info what, size_t room, void *to,
                         size_t *out_bytes) {
    (void)p;
    (void)what;
    return answer("Fake", 5, room, to, out_bytes);
}

cl_int clGetDeviceIDs(cl_platform_id p, cl_device_type type, cl_uint n, cl_device_id *out,
                      cl_uint *out_n) {
    const char *says = getenv("FAKE_CL");
    (void)p;
    (void)type;
    (void)n;
    out[0] = THING(cl_device_id);
    *out_n = says && strcmp(says, "none") == 0 ? 0 : 1;
    return CL_SUCCESS;
}

cl_int clGetDeviceInfo(cl_device_id d, cl_device_info what, size_t room, void *to,
                       size_t *out_bytes) {
    (void)d;
    cl_ulong number = 0;
    switch (what) {
    case CL_DEVICE_NAME:
        return answer("chip", 5, room, to, out_bytes);
    case CL_DRIVER_VERSION:
    case CL_DEVICE_VERSION:
        return answer("1.2", 4, room, to, out_bytes);
    case CL_DEVICE_EXTENSIONS:
        return answer("", 1, room, to, out_bytes);
    case CL_DEVICE_AVAILABLE:
    case CL_DEVICE_COMPILER_AVAILABLE:
    case CL_DEVICE_ENDIAN_LITTLE:
        number = 1;
        return answer(&number, sizeof(cl_bool), room, to, out_bytes);
    case CL_DEVICE_MAX_WORK_GROUP_SIZE:
        number = 32;
        return answer(&number, sizeof(size_t), room, to, out_bytes);
    case CL_DEVICE_LOCAL_MEM_SIZE:
        number = 1024;
        return answer(&number, sizeof number, room, to, out_bytes);
    case CL_DEVICE_GLOBAL_MEM_SIZE:
    case CL_DEVICE_MAX_MEM_ALLOC_SIZE:
        number = 1 << 20;
        return answer(&number, sizeof number, room, to, out_bytes);
    default:
        return CL_INVALID_VALUE;
    }
}

cl_context clCreateContext(const cl_context_properties *properties, cl_uint n,
                           const cl_device_id *devices,
                           void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *),
                           void *user, cl_int *out) {
    (void)properties;
    (void)n;
    (void)devices;
    (void)notify;
    (void)user;
    *out = fault("clCreateContext");
    return *out ? NULL : THING(cl_context);
}

cl_int clReleaseContext(cl_context c) {
    (void)c;
    return CL_SUCCESS;
}

cl_command_queue clCreateCommandQueue(cl_context c, cl_device_id d,
                                      cl_command_queue_properties properties, cl_int *out) {
    (void)c;
    (void)d;
    (void)properties;
    *out = fault("clCreateCommandQueue");
    return *out ? NULL : THING(cl_command_queue);
}

cl_int clReleaseCommandQueue(cl_command_queue q) {
    (void)q;
    return CL_SUCCESS;
}

cl_mem clCreateBuffer(cl_context c, cl_mem_flags flags, size_t bytes, void *host, cl_int *out) {
    (void)c;
    (void)flags;
    (void)host;
    *out = fault("clCreateBuffer");
    return *out ? NULL : (cl_mem)calloc(1, bytes);
}

cl_int clReleaseMemObject(cl_mem m) {
    free(m);
    return CL_SUCCESS;
}

cl_int clEnqueueReadBuffer(cl_command_queue q, cl_mem m, cl_bool blocking, size_t at, size_t bytes,
                           void *to, cl_uint n, const cl_event *wait, cl_event *event) {
    (void)q;
    (void)blocking;
    (void)n;
    (void)wait;
    (void)event;
    memcpy(to, (char *)m + at, bytes);
    return fault("clEnqueueReadBuffer");
}

cl_int clEnqueueWriteBuffer(cl_command_queue q, cl_mem m, cl_bool blocking, size_t at, size_t bytes,
                            const void *from, cl_uint n, const cl_event *wait, cl_event *event) {
    (void)q;
    (void)blocking;
    (void)n;
    (void)wait;
    (void)event;
    memcpy((char *)m + at, from, bytes);
    return fault("clEnqueueWriteBuffer");
}

cl_int clEnqueueFillBuffer(cl_command_queue q, cl_mem m, const void *pattern, size_t unit,
                           size_t at, size_t bytes, cl_uint n, const cl_event *wait,
                           cl_event *event) {
    (void)q;
    (void)n;
    (void)wait;
    (void)event;
    for (size_t i = 0; i < bytes; i += unit) {
        memcpy((char *)m + at + i, pattern, unit);
    }
    return fault("clEnqueueFillBuffer");
}

cl_program clCreateProgramWithSource(cl_context c, cl_uint n, const char **text,
                                     const size_t *bytes, cl_int *out) {
    (void)c;
    (void)n;
    (void)text;
    (void)bytes;
    *out = fault("clCreateProgramWithSource");
    return *out ? NULL : THING(cl_program);
}

cl_program clCreateProgramWithBinary(cl_context c, cl_uint n, const cl_device_id *devices,
                                     const size_t *bytes, const unsigned char **binaries,
                                     cl_int *status, cl_int *out) {
    (void)c;
    (void)n;
    (void)devices;
    (void)bytes;
    (void)binaries;
    *status = *out = CL_INVALID_BINARY;
    return NULL;
}

cl_int clBuildProgram(cl_program p, cl_uint n, const cl_device_id *devices, const char *options,
                      void(CL_CALLBACK *notify)(cl_program, void *), void *user) {
    (void)p;
    (void)n;
    (void)devices;
    (void)options;
    (void)notify;
    (void)user;
    return fault("clBuildProgram");
}

cl_int clGetProgramBuildInfo(cl_program p, cl_device_id d, cl_program_build_info what, size_t room,
                             void *to, size_t *out_bytes) {
    (void)p;
    (void)d;
    (void)what;
    return answer("line 1: no", 11, room, to, out_bytes);
}

cl_int clGetProgramInfo(cl_program p, cl_program_info what, size_t room, void *to,
                        size_t *out_bytes) {
    (void)p;
    (void)what;
    (void)room;
    (void)to;
    (void)out_bytes;
    return CL_INVALID_VALUE;
}

cl_int clReleaseProgram(cl_program p) {
    (void)p;
    return CL_SUCCESS;
}

cl_kernel clCreateKernel(cl_program p, const char *name, cl_int *out) {
    (void)p;
    (void)name;
    *out = fault("clCreateKernel");
    return *out ? NULL : THING(cl_kernel);
}

cl_int clReleaseKernel(cl_kernel k) {
    (void)k;
    return CL_SUCCESS;
}

cl_int clSetKernelArg(cl_kernel k, cl_uint index, size_t bytes, const void *value) {
    (void)k;
    (void)index;
    (void)bytes;
    (void)value;
    return fault("clSetKernelArg");
}

cl_int clEnqueueNDRangeKernel(cl_command_queue q, cl_kernel k, cl_uint dims, const size_t *offset,
                              const size_t *global, const size_t *local, cl_uint n,
                              const cl_event *wait, cl_event *event) {
    (void)q;
    (void)k;
    (void)dims;
    (void)offset;
    (void)global;
    (void)local;
    (void)n;
    (void)wait;
    (void)event;
    return fault("clEnqueueNDRangeKernel");
}

cl_int clFinish(cl_command_queue q) {
    (void)q;
    return fault("clFinish");
}
