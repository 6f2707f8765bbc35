/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the Vulkan driver.
 *
 *   loader.c    libvulkan.so.1 opened at run time, instance, list of devices     (per context)
 *   device.c    a device: features asked for, queue, command buffer, timeline     (per open)
 *   memory.c    buffers, their addresses, staging copies, fills
 *   module.c    SPIR-V fitted to the device: what it lacks is named or taken out
 *   program.c   images, pipelines, the pipeline cache
 *   launch.c    dispatches, folded and sliced; reports
 *   vulkan.c    the driver's table
 *
 * Launches take physical addresses; every buffer has one (bufferDeviceAddress). One queue, one
 * command buffer, guarded by the device's lock: run, copy and fill return when the device is done.
 */
#ifndef TGR_VK_H
#define TGR_VK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan_core.h>

#include "core/driver.h"

enum { TGR_VK_MAX_DEVICES = 16, TGR_VK_NAME_BYTES = 256 };

typedef struct tgr_vk_api {
#define TG_VK_GLOBAL(name) PFN_vk##name name;
#define TG_VK_INSTANCE(name) PFN_vk##name name;
#define TG_VK_DEVICE(name) PFN_vk##name name;
#include "drivers/vulkan/functions.def"
#undef TG_VK_GLOBAL
#undef TG_VK_INSTANCE
#undef TG_VK_DEVICE
} tgr_vk_api;

/* What of a device matters: features are all that modules may ask for. */
typedef struct tgr_vk_abilities {
    bool f64, int8, int16, int64, atomic64, storage8, storage16, address, memory_model, timeline;
    bool shuffle, ballot, shared_atomic64;
    bool denorm32, denorm64, rte32, rte64, nan32, nan64; /* float controls */
    uint32_t max_groups[3], max_lanes, max_lanes_x, shared_bytes, subgroup, push_bytes;
    uint64_t max_allocation, memory_bytes;
    bool cuts_loops; /* ends every loop of a lane after 65,535 trips in all (llvmpipe), without a
                        word */
} tgr_vk_abilities;

/* Per context. */
typedef struct tgr_vk_globals {
    void *library;
    tgr_vk_api api;
    VkInstance instance;
    uint32_t n_devices;
    struct tgr_vk_physical {
        VkPhysicalDevice handle;
        char name[TGR_VK_NAME_BYTES], version[64];
        tgr_vk_abilities abilities;
        const char *lacks; /* the first thing every kernel needs and this one has not; or NULL */
    } devices[TGR_VK_MAX_DEVICES];
} tgr_vk_globals;

/* A buffer with its own memory. */
typedef struct tgr_vk_buffer {
    VkBuffer handle;
    VkDeviceMemory memory;
    uint64_t address, bytes;
    void *host; /* mapped, coherent; or NULL */
    struct tgr_vk_buffer *next, *prev;
} tgr_vk_buffer;

/* An open device. */
typedef struct tgr_vk {
    tgr_context *context;
    tgr_vk_globals *globals;
    tgr_vk_api api; /* with the device's own functions */
    const tgr_vk_abilities *abilities;
    tgr_device_info info;
    VkPhysicalDevice physical;
    VkDevice device;
    VkQueue queue;
    uint32_t family;
    VkPhysicalDeviceMemoryProperties memory;
    pthread_mutex_t lock; /* everything below */
    VkCommandPool pool;
    VkCommandBuffer commands;
    VkSemaphore timeline;
    uint64_t ticks; /* value of the last submission */
    VkPipelineLayout layout;
    VkPipelineCache cache;
    size_t cache_bytes; /* of the blob it started from */
    bool pipelines_made;
    bool lost;
    tgr_vk_buffer *buffers;           /* all, for finding addresses */
    tgr_vk_buffer *launch;            /* report, then slots; host visible */
    tgr_vk_buffer *staging, *scratch; /* grown on demand; staging is host visible */
} tgr_vk;

/* The words of every entry, in order (backends/spirv). */
typedef struct tgr_vk_push {
    uint64_t slots, first, end, scratch, report;
} tgr_vk_push;

/* ---- loader.c ------------------------------------------------------------------------------- */

tgr_status tgr_vk_attach(tgr_context *context, void **out_globals);
void tgr_vk_detach(tgr_context *context, void *globals);
bool tgr_vk_describe(tgr_context *context, void *globals, int32_t index, tgr_device_info *out);

/* ---- device.c ------------------------------------------------------------------------------- */

tgr_status tgr_vk_open(tgr_context *context, void *globals, int32_t index,
                       const tgr_device_options *options, void **out_state, int32_t *out_threads);
void tgr_vk_close(tgr_context *context, void *state);
/* Records the failure of a call; device loss is remembered. */
tgr_status tgr_vk_fail(tgr_vk *vk, VkResult result, const char *doing);
/* Lock held: begins the command buffer; submits it and waits. */
tgr_status tgr_vk_begin(tgr_vk *vk);
tgr_status tgr_vk_submit(tgr_vk *vk, const char *doing);
/* Lock held: everything written before is seen by what follows in the command buffer. */
void tgr_vk_barrier(tgr_vk *vk);

/* ---- memory.c ------------------------------------------------------------------------------- */

tgr_status tgr_vk_buffer_make(tgr_vk *vk, uint64_t bytes, bool host_visible, tgr_vk_buffer **out);
void tgr_vk_buffer_free(tgr_vk *vk, tgr_vk_buffer *buffer);
/* Lock held: *at holds at least bytes afterwards; what it held is gone. */
tgr_status tgr_vk_buffer_grow(tgr_vk *vk, tgr_vk_buffer **at, uint64_t bytes, bool host_visible);
tgr_status tgr_vk_memory_alloc(tgr_context *context, void *state, size_t bytes, uint32_t flags,
                               tgr_memory *out);
void tgr_vk_memory_free(tgr_context *context, void *state, tgr_memory *memory);
bool tgr_vk_holds(void *state, const void *pointer, size_t bytes);
tgr_status tgr_vk_copy(tgr_context *context, void *state, tgr_copy_kind kind, void *to,
                       const void *from, size_t bytes);
tgr_status tgr_vk_fill(tgr_context *context, void *state, void *to, size_t bytes, uint64_t pattern,
                       size_t pattern_bytes);

/* ---- module.c ------------------------------------------------------------------------------- */

/*
 * Checks the capabilities a SPIR-V module declares against the device; removes from words, in
 * place, what is only a wish (float controls). *n_words shrinks. The message names what is missing.
 */
tgr_status tgr_vk_module_fit(tgr_context *context, const tgr_vk_abilities *abilities,
                             uint32_t *words, size_t *n_words);

/* ---- entry.c -------------------------------------------------------------------------------- */

/* The module without its other entries, in as many words of memory as it had; NULL where it is to
 * be taken as it is: one entry, an old version, or no memory. */
uint32_t *tgr_vk_entry_alone(tgr_context *context, const uint32_t *words, size_t n_words,
                             const char *entry, size_t *out_words);

/* ---- program.c ------------------------------------------------------------------------------ */

/* One entry of a module, ready to dispatch. */
tgr_status tgr_vk_pipeline_make(tgr_vk *vk, const uint32_t *words, size_t n_words,
                                const char *entry, VkPipeline *out);
void tgr_vk_cache_open(tgr_vk *vk);  /* best effort */
void tgr_vk_cache_store(tgr_vk *vk); /* writes the blob back, when it grew */

/* ---- launch.c ------------------------------------------------------------------------------- */

/* What one launch runs. */
typedef struct tgr_vk_dispatch {
    VkPipeline pipeline;
    const int64_t *slots;
    uint32_t n_slots;
    int64_t programs;
    uint64_t scratch_bytes; /* of one program */
    tg_cpu_plan *out_plan;  /* a plan entry: what it wrote; else NULL */
} tgr_vk_dispatch;

/* Runs to the end; report receives the four words of the device's report. */
tgr_status tgr_vk_dispatch_run(tgr_vk *vk, const tgr_vk_dispatch *d, uint32_t report[4]);

#endif
