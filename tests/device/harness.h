/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the text of a SIMT loop module to results on a device, inside a test. Whichever harness a
 * test is linked with says which device: tests/vulkan/harness.c by SPIR-V, tests/simt_c/harness.c
 * by OpenCL C. Failures print why and fail the test.
 */
#ifndef TG_TEST_DEVICE_HARNESS_H
#define TG_TEST_DEVICE_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/driver.h"

typedef struct dvt dvt;

/* Set-up and tear-down of a test group, whose state is a dvt. Without a device the program says so
 * and exits with 77. */
int dvt_begin(void **state);
int dvt_finish(void **state);

/* Device memory with n bytes of data in it (NULL: zeros), and back. */
uint64_t dvt_put(dvt *t, const void *data, size_t bytes, tgr_memory *out);
void dvt_get(dvt *t, const tgr_memory *memory, void *out);
void dvt_free(dvt *t, tgr_memory *memory);

/* Compiles text and runs its entry over `programs`. */
void dvt_run(dvt *t, const char *text, const char *entry, const int64_t *slots, uint32_t n_slots,
             int64_t programs, uint64_t scratch_bytes, uint32_t report[4]);

#endif
