/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the text of a SIMT loop module to results on a Vulkan device, inside a test: parse, verify,
 * write SPIR-V, spirv-val, fit, pipeline, dispatch. Failures print why and fail the test.
 */
#ifndef TG_TEST_VULKAN_HARNESS_H
#define TG_TEST_VULKAN_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backends/backend.h"
#include "drivers/vulkan/vk.h"

typedef struct vkt {
    tgr_context *context;
    tgr_vk_globals *globals;
    tgr_vk *vk;
} vkt;

/* Opens the first Vulkan device; false when there is none. */
bool vkt_open(vkt *t);
void vkt_close(vkt *t);

/* Words of the module for a machine row, checked by spirv-val where it is installed. malloc'ed. */
uint32_t *vkt_compile(const char *text, const char *machine, size_t *out_words);

/* Device memory with n bytes of data in it (NULL: zeros), and back. */
uint64_t vkt_put(vkt *t, const void *data, size_t bytes, tgr_memory *out);
void vkt_get(vkt *t, const tgr_memory *memory, void *out);
void vkt_free(vkt *t, tgr_memory *memory);

/* Compiles text and runs its entry over `programs`. */
void vkt_run(vkt *t, const char *text, const char *entry, const int64_t *slots, uint32_t n_slots,
             int64_t programs, uint64_t scratch_bytes, uint32_t report[4]);

#endif
