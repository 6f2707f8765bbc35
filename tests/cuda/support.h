/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests of the driver `cuda`: a context whose host memory is counted, the made-up library's
 * own questions, and a package of two hand-written kernels:
 *
 *   k(y: i32[N] out, x: i32[N])  x[0] programs of 64 lanes (its plan runs on the device) write
 * their number into y; program 77 reports a failed assertion in line 7; x[1] = 1 reads past all
 *       memory
 *   big(y: i32[N] out)  programs of 32 lanes in clusters of two, 64 KiB of shared memory that is
 *       given at the launch; y[i] = i, through that memory and through scratch
 */
#ifndef CUDA_SUPPORT_H
#define CUDA_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <tegula/tegula.h>

typedef struct cuda_world {
    tgr_context *context;
    tgr_device *device;
    tgr_queue *queue;
    int64_t host_bytes; /* of the runtime, alive */
    int64_t device_ns;  /* of the last launch */
    int until_none;     /* the allocation that fails, from 1 on; 0: none does */
} cuda_world;

typedef struct cuda_fake {
    void (*reset)(void);
    int (*calls)(void);
    const char *(*call)(int i);
    const char *(*failed)(void);
    int (*live)(void);
} cuda_fake;

/* The library, which $TEGULA_CUDA_LIBRARY names from now on. */
cuda_fake cuda_fake_open(void);
/* A context, not yet a device. */
void cuda_begin(cuda_world *w);
/* One without profile: graphs are not replayed launch by launch. */
void cuda_begin_unwatched(cuda_world *w);
void cuda_end(cuda_world *w); /* all that was opened; nothing may be left */
void cuda_open(cuda_world *w);
void cuda_expect(cuda_world *w, tgr_status got, tgr_status want);
void cuda_expect_message(cuda_world *w, const char *part);
/* free() it. code NULL: the two kernels as PTX; else this, under the row `machine`. */
unsigned char *cuda_package(const char *machine, const void *code, size_t code_bytes,
                            size_t *out_bytes);
/* TGR_OK and a module. */
tgr_status cuda_load(cuda_world *w, const char *machine, const void *code, size_t code_bytes,
                     tgr_module **out);

#endif
