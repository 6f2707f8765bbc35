/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the runtime's tests: an allocator that counts and fails on demand, packages written from IR
 * text, kernels in plain C linked in place of compiled code, and a re-signer that lets damaged
 * packages pass their checksums so that the reader's other checks are met.
 */
#ifndef RT_SUPPORT_H
#define RT_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <tegula/package_format.h>
#include <tegula/tegula.h>

/* Counts bytes and blocks; fails the fail_at-th allocation (1 = first; 0 = never) and all behind it
 * when fail_on. Thread-safe. */
typedef struct rt_heap {
    long live_blocks, live_bytes, calls, fail_at;
    bool fail_on;
} rt_heap;
tgr_allocator rt_allocator(rt_heap *heap);

/* Package bytes from IR text; free() them. With machine code for this processor when with_code is
 * set: every kernel then stores 42 (i32) at the address of its first argument. */
unsigned char *rt_package(const char *ir, bool with_code, size_t *out_bytes);
/* Recomputes the checksums of whatever looks like sections. */
void rt_resign(unsigned char *bytes, size_t n);

/* A context, a device and a queue. */
typedef struct rt_world {
    rt_heap heap;
    tgr_context *context;
    tgr_device *device;
    tgr_queue *queue;
} rt_world;
void rt_open(rt_world *w, const char *device, int threads, uint32_t queue_flags);
void rt_close(rt_world *w); /* asserts that nothing leaked */

/* Asserts the status, printing the context's message when it differs. */
void rt_expect(rt_world *w, tgr_status got, tgr_status want);
/* Asserts that the last message contains `part`. */
void rt_expect_message(rt_world *w, const char *part);

/* Kernels in C, by the calling convention. */
int32_t rt_plan_rows(const int64_t *slots,
                     tg_cpu_plan *plan); /* one program per row of argument 0 */
int32_t rt_plan_one(const int64_t *slots, tg_cpu_plan *plan);
/* c[i, :] = a[i, :] + b[i, :], f32[M, N]; a, b, c with strides. */
int32_t rt_add_phase(const int64_t *slots, int64_t begin, int64_t end, void *scratch, void *shared,
                     struct tg_cpu_report *report);
extern const char rt_add_ir[];

#endif
