/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door between the core and a driver: one table of functions per kind of device. A new driver
 * clones drivers/null/null.c, fills in this table and adds its row to core/device.c; the
 * conformance test (tests/runtime/test_driver.c) then runs over it.
 *
 * The core checks arguments, orders work and keeps references. A driver's `run` executes one launch
 * and returns when it is done; it is never called twice at the same time from one queue, but may be
 * from several.
 *
 * Two families: where `host_memory` is set, launch slots hold host addresses and the core reads and
 * fills memory itself (cpu, null). Elsewhere addresses are the device's (or stand for a place in
 * its memory), the core goes through copy and fill, and code comes as SIMT images (core/simt.h).
 */
#ifndef TGR_DRIVER_H
#define TGR_DRIVER_H

#include <stdbool.h>

#include <tegula/package_format.h>
#include <tegula/tegula.h>

/* Device memory. pointer is what launch slots hold; host is the same memory for the host, or NULL.
 */
typedef struct tgr_memory {
    void *pointer, *host;
    size_t bytes;
    void *base; /* driver's own */
    size_t base_bytes;
    uint32_t flags;
} tgr_memory;

/* A kernel's entry points on this device. There is code when plan or image is not NULL. */
typedef struct tgr_entry {
    tg_cpu_plan_fn plan;
    tg_cpu_phase_fn phases[TG_CPU_MAX_PHASES];
    uint32_t n_phases;
    void *image;      /* driver's code object */
    const void *simt; /* of SIMT drivers: their own entry in the image */
} tgr_entry;

static inline bool tgr_entry_ready(const tgr_entry *e) { return e->plan || e->image; }

/* Which side of a copy is memory of the device. */
typedef enum tgr_copy_kind { TGR_COPY_TO_DEVICE, TGR_COPY_FROM_DEVICE } tgr_copy_kind;

/* Code of a package, still in the package's bytes. */
typedef struct tgr_image_desc {
    uint32_t isa;
    uint32_t n_imports;
    const uint8_t *imports; /* n_imports little-endian u32 of tg_import */
    uint64_t imports_offset, image_bytes, bss_bytes;
    const uint8_t *image;
} tgr_image_desc;

/* One launch. */
typedef struct tgr_run {
    const char *name;
    const tgr_entry *entry;
    const int64_t *slots;
    uint32_t n_slots;
    bool timed;
    int64_t programs;  /* out: how many ran, for profiles */
    int64_t device_ns; /* out, if timed: by the device's own clock; 0: it has none */
} tgr_run;

/* A launch or a fill of device memory in a graph. */
typedef struct tgr_graph_part {
    bool launch;
    tgr_run run; /* launch: its slots stay until graph_make returns, its entry and name for good */
    void *to;    /* fill, as the driver's `fill` has it */
    size_t bytes;
    uint64_t pattern;
    size_t pattern_bytes;
} tgr_graph_part;

typedef struct tgr_driver {
    const char *name;
    bool host_memory; /* see the top */
    /*
     * What the driver keeps per context: the vendor's library, the list of devices. NULL: nothing.
     * attach fails with a message where there is nothing to drive; it is then called again the next
     * time. Serialised by the core.
     */
    tgr_status (*attach)(tgr_context *context, void **out_globals);
    void (*detach)(tgr_context *context, void *globals);
    /* Device number index of this driver; false past the last one. Texts live as long as the
     * globals. */
    bool (*describe)(tgr_context *context, void *globals, int32_t index, tgr_device_info *out);
    tgr_status (*open)(tgr_context *context, void *globals, int32_t index,
                       const tgr_device_options *options, void **out_state, int32_t *out_threads);
    void (*close)(tgr_context *context, void *state);

    tgr_status (*memory_alloc)(tgr_context *context, void *state, size_t bytes, uint32_t flags,
                               tgr_memory *out);
    void (*memory_free)(tgr_context *context, void *state, tgr_memory *memory);
    /* Do the bytes lie in one piece of the device's memory? NULL with host_memory. */
    bool (*holds)(void *state, const void *pointer, size_t bytes);
    /* Both return when it is done. */
    tgr_status (*copy)(tgr_context *context, void *state, tgr_copy_kind kind, void *to,
                       const void *from, size_t bytes);
    /* Repeats the pattern (1, 2, 4 or 8 bytes, which divides bytes and aligns the pointer) over
     * device memory. NULL with host_memory. */
    tgr_status (*fill)(tgr_context *context, void *state, void *to, size_t bytes, uint64_t pattern,
                       size_t pattern_bytes);

    /* Preference of an instruction set: negative when the device cannot run it. */
    int32_t (*isa_rank)(void *state, uint32_t isa);
    bool needs_trust; /* the code runs with the host's rights */
    tgr_status (*image_load)(tgr_context *context, void *state, const tgr_image_desc *desc,
                             void **out_image);
    void (*image_unload)(tgr_context *context, void *state, void *image);
    /* Entry points at the offsets; checked to lie inside the image. */
    void (*image_entry)(void *image, uint64_t plan, const uint64_t *phases, uint32_t n_phases,
                        tgr_entry *out);
    /* Names a function for profilers. NULL: the device's own know them. */
    void (*image_name)(tgr_context *context, void *state, void *image, uint64_t offset,
                       uint64_t bytes, const char *name);

    /* Runs to the end. TGR_E_TRAP with a message when the kernel gave up. */
    tgr_status (*run)(tgr_context *context, void *state, tgr_run *run);

    /*
     * Replay; all NULL where the device has none. graph_takes: can this be part of one (a launch
     * whose programs are known without the device, a fill that needs nothing of the host)?
     * graph_make turns parts into an object, to run in their order; TGR_E_UNSUPPORTED where it
     * cannot be after all. graph_run runs it to the end: TGR_E_TRAP with the message of the first
     * launch that gave up, those behind it may have run. It may be called from several threads.
     */
    bool (*graph_takes)(void *state, const tgr_graph_part *part);
    tgr_status (*graph_make)(tgr_context *context, void *state, const tgr_graph_part *parts,
                             uint32_t n_parts, void **out_graph);
    tgr_status (*graph_run)(tgr_context *context, void *state, void *graph);
    void (*graph_free)(tgr_context *context, void *state, void *graph);
} tgr_driver;

extern const tgr_driver tgr_driver_cpu;
extern const tgr_driver tgr_driver_null;
extern const tgr_driver tgr_driver_opencl;
extern const tgr_driver tgr_driver_vulkan;
extern const tgr_driver tgr_driver_cuda;
extern const tgr_driver tgr_driver_hip;
extern const tgr_driver tgr_driver_sim;

/* core/context.c, for drivers too. */
void *tgr_alloc(tgr_context *context, size_t bytes);
void *tgr_alloc_raw(tgr_context *context, size_t bytes); /* not zeroed */
void tgr_free(tgr_context *context, void *pointer, size_t bytes);
tgr_status tgr_fail(tgr_context *context, tgr_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void tgr_log(tgr_context *context, tgr_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
