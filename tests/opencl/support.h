/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the OpenCL driver's tests: packages for SIMT devices made from two IR texts (the tile kernel,
 * which gives signature and grid, and its SIMT loop functions), contexts, buffers.
 */
#ifndef OCL_SUPPORT_H
#define OCL_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <tegula/package_format.h>
#include <tegula/tegula.h>

typedef struct ocl_world {
    tgr_context *context;
    tgr_device *device;
    tgr_queue *queue;
} ocl_world;

/* False without an OpenCL device. */
bool ocl_open(ocl_world *w, const char *name);
void ocl_close(ocl_world *w);
void ocl_expect(ocl_world *w, tgr_status got, tgr_status want);
void ocl_expect_message(ocl_world *w, const char *part);

/* Package bytes; free() them. */
unsigned char *ocl_package(const char *tile, const char *loop, size_t *out_bytes);
/* Its only kernel, loaded. */
tgr_kernel *ocl_load(ocl_world *w, const char *tile, const char *loop);
/* A buffer with these bytes. */
tgr_buffer *ocl_put(ocl_world *w, const void *bytes, size_t n);
void ocl_get(ocl_world *w, tgr_buffer *b, void *bytes, size_t n);

#define OCL_SIMT(lanes, shared, scratch)                                                           \
    "role simt\nprogram lanes " lanes " shared " shared " scratch " scratch "\n"                   \
    "body (%slots: ptr, %p: i64, %lane: i32, %scratch: ptr, %report: ptr) {\n"

#endif
