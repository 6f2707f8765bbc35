/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the CPU driver: instruction sets, code images. */
#ifndef TGR_CPU_H
#define TGR_CPU_H

#include "core/driver.h"

/* isa.c: bit i set when this processor runs tg_isa i (i < 64). */
uint64_t tgr_cpu_isas(void);

/* selftest.c: `isas` without the levels whose instructions do not compute what they are defined to.
 */
uint64_t tgr_cpu_proven(uint64_t isas);
/* An instruction on registers of so many bytes; out holds what the instruction adds to. The last of
 * a list has no machine. */
typedef struct tgr_cpu_trial {
    uint64_t runs_on, spoils; /* levels that have it; levels that fall with it */
    size_t bytes;
    void (*machine)(void *out, const void *x, const void *y);
    void (*means)(uint8_t *out, const uint8_t *x, const uint8_t *y, size_t bytes);
    bool floats; /* gives f32: any NaN is as good as another */
} tgr_cpu_trial;
uint64_t tgr_cpu_try(const tgr_cpu_trial *all, uint64_t isas);
int32_t tgr_cpu_isa_rank(uint64_t isas, uint32_t isa);
const char *tgr_cpu_isa_name(uint32_t isa);
uint32_t tgr_cpu_best_isa(uint64_t isas);

/* image.c */
tgr_status tgr_cpu_image_load(tgr_context *context, void *state, const tgr_image_desc *desc,
                              void **out_image);
void tgr_cpu_image_unload(tgr_context *context, void *state, void *image);
void tgr_cpu_image_entry(void *image, uint64_t plan, const uint64_t *phases, uint32_t n_phases,
                         tgr_entry *out);
void tgr_cpu_image_name(tgr_context *context, void *state, void *image, uint64_t offset,
                        uint64_t bytes, const char *name);

/* memory.c */
tgr_status tgr_cpu_memory_alloc(tgr_context *context, void *state, size_t bytes, uint32_t flags,
                                tgr_memory *out);
void tgr_cpu_memory_free(tgr_context *context, void *state, tgr_memory *memory);

#endif
