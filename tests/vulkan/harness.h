/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/device/harness.h on a Vulkan device: parse, verify, write SPIR-V, spirv-val, fit, pipeline,
 * dispatch. Tests of the driver itself open and close it as they need.
 */
#ifndef TG_TEST_VULKAN_HARNESS_H
#define TG_TEST_VULKAN_HARNESS_H

#include "backends/backend.h"
#include "drivers/vulkan/vk.h"
#include "tests/device/harness.h"

struct dvt {
    tgr_context *context;
    tgr_vk_globals *globals;
    tgr_vk *vk;
};

/* Opens the first Vulkan device; false when there is none. */
bool dvt_open(dvt *t);
void dvt_close(dvt *t);

/* Words of the module for a machine row, checked by spirv-val where it is installed. malloc'ed. */
uint32_t *vkt_compile(const char *text, const char *machine, size_t *out_words);

#endif
