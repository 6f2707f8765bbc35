/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One launch on OpenCL's own interface, without the compiler and its runtime.
 *
 *   cc main.c -o main -lOpenCL -lm && ./main [part of a device's name]
 *
 * kernel.cl is the code; launch.h the launch; buf_*.bin the memory before it.
 */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#include "common.h"

enum { MOST_DEVICES = 16, ALONG_X = 1 << 16, SCRATCH_LIMIT = 256 << 20 };

static void check(const char *what, cl_int code) {
    if (code != CL_SUCCESS) {
        die(what, code);
    }
}

static cl_device_id find_device(const char *part) {
    cl_platform_id platforms[MOST_DEVICES];
    cl_uint n = 0;
    check("clGetPlatformIDs", clGetPlatformIDs(MOST_DEVICES, platforms, &n));
    for (cl_uint i = 0; i < n; i++) {
        cl_device_id devices[MOST_DEVICES];
        cl_uint m = 0;
        if (clGetDeviceIDs(platforms[i], CL_DEVICE_TYPE_ALL, MOST_DEVICES, devices, &m)) {
            continue;
        }
        for (cl_uint k = 0; k < m; k++) {
            char name[256] = "";
            check("clGetDeviceInfo",
                  clGetDeviceInfo(devices[k], CL_DEVICE_NAME, sizeof name - 1, name, NULL));
            if (strstr(name, part)) {
                printf("device: %s\n", name);
                return devices[k];
            }
        }
    }
    fprintf(stderr, "no OpenCL device has `%s` in its name\n", part);
    exit(1);
}

static cl_kernel build(cl_context context, cl_device_id device) {
    size_t bytes;
    const char *text = read_file("kernel.cl", &bytes);
    cl_int code;
    cl_program program = clCreateProgramWithSource(context, 1, &text, &bytes, &code);
    check("clCreateProgramWithSource", code);
    code = clBuildProgram(program, 1, &device, build_options, NULL, NULL);
    if (code != CL_SUCCESS) {
        static char log[1 << 16];
        clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, sizeof log - 1, log, NULL);
        fputs(log, stderr);
        die("clBuildProgram", code);
    }
    cl_kernel kernel = clCreateKernel(program, entry, &code);
    check("clCreateKernel", code);
    return kernel;
}

static cl_mem memory(cl_context context, size_t bytes, void *data) {
    cl_int code;
    cl_mem_flags flags = CL_MEM_READ_WRITE | (data ? CL_MEM_COPY_HOST_PTR : 0);
    cl_mem m = clCreateBuffer(context, flags, bytes ? bytes : 16, data, &code);
    check("clCreateBuffer", code);
    return m;
}

static void set(cl_kernel kernel, cl_uint i, const void *value, size_t bytes) {
    check("clSetKernelArg", clSetKernelArg(kernel, i, bytes, value));
}

int main(int argc, char **argv) {
    cl_device_id device = find_device(argc > 1 ? argv[1] : device_name);
    cl_int code;
    cl_context context = clCreateContext(NULL, 1, &device, NULL, NULL, &code);
    check("clCreateContext", code);
    cl_command_queue queue = clCreateCommandQueue(context, device, 0, &code);
    check("clCreateCommandQueue", code);
    cl_kernel kernel = build(context, device);

    cl_mem mem[N_BUFFERS + 1];
    for (int i = 0; i < N_BUFFERS; i++) {
        mem[i] = memory(context, buffers[i].bytes, read_buffer(i));
    }
    int64_t values[N_SLOTS];
    for (int i = 0; i < N_SLOTS; i++) {
        values[i] = slots[i].value; /* of a buffer: the offset in it */
    }
    int64_t slice = programs;
    if (scratch_bytes && (int64_t)(SCRATCH_LIMIT / scratch_bytes) < slice) {
        slice = SCRATCH_LIMIT / scratch_bytes > 0 ? (int64_t)(SCRATCH_LIMIT / scratch_bytes) : 1;
    }
    uint32_t report[4] = {0};
    cl_mem slot_memory = memory(context, sizeof values, values);
    cl_mem report_memory = memory(context, sizeof report, report);
    cl_mem scratch = memory(context, (size_t)slice * (size_t)scratch_bytes, NULL);
    set(kernel, 0, &slot_memory, sizeof slot_memory);
    set(kernel, 3, &scratch, sizeof scratch);
    set(kernel, 4, &report_memory, sizeof report_memory);
    for (int i = 0; i < n_pointers; i++) { /* every tensor that the code reads or writes */
        int b = slots[pointers[i]].buffer;
        set(kernel, (cl_uint)(5 + i), b >= 0 ? &mem[b] : &slot_memory, sizeof(cl_mem));
    }
    for (int64_t at = 0; at < programs; at += slice) {
        int64_t end = programs - at < slice ? programs : at + slice;
        size_t n = (size_t)(end - at), x = n < ALONG_X ? n : ALONG_X;
        size_t global[2] = {x * lanes, (n + x - 1) / x}, local[2] = {lanes, 1};
        set(kernel, 1, &at, sizeof at);
        set(kernel, 2, &end, sizeof end);
        check("clEnqueueNDRangeKernel",
              clEnqueueNDRangeKernel(queue, kernel, 2, NULL, global, local, 0, NULL, NULL));
    }
    check("clFinish", clFinish(queue));
    check("clEnqueueReadBuffer", clEnqueueReadBuffer(queue, report_memory, CL_TRUE, 0,
                                                     sizeof report, report, 0, NULL, NULL));
    if (report[0]) {
        printf("the code gave up: trap %u at line %u\n", report[0], report[1]);
    }
    for (int i = 0; i < n_outputs; i++) {
        const output *o = &outputs[i];
        unsigned char *data = read_buffer(o->buffer);
        check("clEnqueueReadBuffer",
              clEnqueueReadBuffer(queue, mem[o->buffer], CL_TRUE, 0, buffers[o->buffer].bytes, data,
                                  0, NULL, NULL));
        compare(o, data);
        free(data);
    }
    return report[0] != 0;
}
