/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the driver for NVIDIA's devices.
 *
 *   library.c  libcuda.so.1 opened at run time, its devices; its errors as ours
 *   lane.c     streams, with what one launch or copy at a time needs
 *   memory.c   buffers, staged copies, fills
 *   image.c    modules from PTX or cubin, their kernels
 *   launch.c   launches, sliced; reports
 *   graph.c    launches captured once, replayed as one
 *   tensor.c   descriptors of tensors for bulk copies (TMA)
 *   cuda.c     opening, closing, the driver's table
 *
 * AMD's HIP has the same functions under other names, the same error numbers and the same rules, so
 * drivers/hip is these files with a library of its own: what differs stands in cu_vendor.
 *
 * Work is done on the device's primary context, which other users of the process share: it is
 * pushed and popped around every call. A launch or copy takes a lane; queues that work at the same
 * time have a lane each, so their work may overlap on the device.
 */
#ifndef TGR_CU_H
#define TGR_CU_H

#include "core/simt.h"
#include "drivers/cuda/types.h"

enum {
    CU_MAX_DEVICES = 16,
    CU_NAME_BYTES = 256,
    CU_STAGE_BYTES = 1 << 20, /* each of a lane's two pieces of pinned memory */
    /* A lane's block for launches, the same on both sides. */
    CU_REPORT_AT = 0,
    CU_PLAN_AT = 64,
    CU_SLOTS_AT = 128,
    CU_LAUNCH_BYTES = CU_SLOTS_AT + (int)TG_PACK_MAX_SLOTS * 8
};
_Static_assert(sizeof(tg_cpu_plan) <= CU_SLOTS_AT - CU_PLAN_AT, "the plan fits its place");

typedef struct cu_api {
#define TGR_CU(name, parameters) CUresult(*name) parameters;
#define TGR_CU_OPTIONAL(name, parameters) CUresult(*name) parameters;
#include "drivers/cuda/functions.def"
#undef TGR_CU
#undef TGR_CU_OPTIONAL
} cu_api;

typedef struct cu_device {
    CUdevice id;
    int ordinal;
    char name[CU_NAME_BYTES], version[64];
    char arch[32];  /* HIP's name of the instruction set, without features */
    int capability; /* CUDA: 10 * major + minor */
    bool pools, clusters, tensor_maps;
    int plain_shared; /* bytes of shared memory that need no asking for */
    tgr_device_info info;
} cu_device;

struct cu_globals;
struct cu_state;

/* What NVIDIA's library and AMD's do not share. */
typedef struct cu_vendor {
    const char *name;       /* in messages */
    unsigned device_memory; /* the answer to CU_POINTER_ATTRIBUTE_MEMORY_TYPE */
    /* The library's name and sentence of an error; it may not know the number. */
    void (*explain)(const struct cu_globals *g, CUresult code, const char **name,
                    const char **text);
    /* Preference of code for a row of the machine table; negative: it does not run there. */
    int32_t (*rank)(const cu_device *d, uint32_t isa);
    CUresult (*retain)(struct cu_state *s);
    void (*release)(struct cu_state *s);
    /* The device is the thread's current one; *out_before is for leave, which undoes it. */
    CUresult (*enter)(struct cu_state *s, int *out_before);
    void (*leave)(struct cu_state *s, int before);
} cu_vendor;

/* Per context. */
typedef struct cu_globals {
    void *library;
    cu_api api;
    const cu_vendor *vendor;
    int32_t n_devices;
    cu_device devices[CU_MAX_DEVICES];
} cu_globals;

/* A stream and its memory; used by one call at a time. */
typedef struct cu_lane {
    CUstream stream;
    CUevent begin, end; /* around a launch whose time is asked for */
    CUevent copied[2];  /* the pieces of `stage` are free again */
    uint8_t *host;      /* pinned: the launch block, then the stage */
    CUdeviceptr launch; /* the launch block */
    CUdeviceptr scratch;
    size_t scratch_bytes;
    int before; /* in use: for tgr_cu_leave */
    struct cu_lane *next;
} cu_lane;

static inline uint8_t *cu_stage(const cu_lane *l, int piece) {
    return l->host + CU_LAUNCH_BYTES + (size_t)piece * CU_STAGE_BYTES;
}

/* An open device. */
typedef struct cu_state {
    tgr_context *context;
    const cu_globals *globals;
    const cu_api *api;
    const cu_vendor *vendor;
    const cu_device *device;
    CUcontext cu;         /* CUDA */
    pthread_mutex_t lock; /* lanes */
    cu_lane *lanes;       /* those not in use */
    atomic_uint lost;     /* the failure that ended it; CUDA_SUCCESS: it lives */
} cu_state;

typedef struct cu_kernel {
    CUfunction function;
    uint32_t cluster[3];     /* blocks that must run together; 1 1 1: none */
    uint32_t dynamic_shared; /* what the code does not declare itself */
    uint32_t max_lanes;      /* the registers suffice for */
} cu_kernel;

typedef struct cu_image {
    tgr_simt_image simt;
    CUmodule module;
    cu_kernel *kernels; /* two of an entry: the kernel's and its plan's */
} cu_image;

/* ---- library.c ------------------------------------------------------------------------------ */

tgr_status tgr_cu_attach(tgr_context *context, void **out_globals);
void tgr_cu_detach(tgr_context *context, void *globals);
/* What the driver says of the failure, as a status of ours. From a failure on that leaves the
 * context useless, the device counts as lost. */
tgr_status tgr_cu_fail(cu_state *s, CUresult code, const char *what);
/* The device is lost from now on: TGR_E_LOST, with the failure that it began with. */
tgr_status tgr_cu_lose(cu_state *s, CUresult code, const char *what);
/* TGR_OK for CUDA_SUCCESS. */
static inline tgr_status tgr_cu_check(cu_state *s, CUresult code, const char *what) {
    return code == CUDA_SUCCESS ? TGR_OK : tgr_cu_fail(s, code, what);
}
/* The same without a device. */
tgr_status tgr_cu_tell(tgr_context *context, const cu_globals *g, CUresult code, const char *what,
                       tgr_status st);
/* What the library says of the device's memory, threads and features; `shared`: bytes a program
 * may have. */
void tgr_cu_describe(const cu_api *api, cu_device *d, const char *driver, const char *isa,
                     int shared, CUdevice_attribute threads, CUdevice_attribute wave);

/* ---- lane.c --------------------------------------------------------------------------------- */

/* Makes the device's context current; TGR_E_LOST when the device is lost. */
tgr_status tgr_cu_enter(cu_state *s, const char *what, int *out_before);
void tgr_cu_leave(cu_state *s, int before);
/* The same with a lane for the caller. On failure there is nothing to leave. */
tgr_status tgr_cu_lane_enter(cu_state *s, const char *what, cu_lane **out);
void tgr_cu_lane_leave(cu_state *s, cu_lane *lane);
/* Waits for the lane's work, also after a failure `st` (which then is the answer). */
tgr_status tgr_cu_lane_finish(cu_state *s, cu_lane *lane, tgr_status st, const char *what);
tgr_status tgr_cu_lane_scratch(cu_state *s, cu_lane *lane, size_t bytes);
/* All that are not in use; the context is current. */
void tgr_cu_lanes_free(cu_state *s);

/* ---- memory.c ------------------------------------------------------------------------------- */

/* Device memory in the order of the lane's stream where the device has pools. */
tgr_status tgr_cu_get(cu_state *s, cu_lane *lane, size_t bytes, CUdeviceptr *out);
void tgr_cu_put(cu_state *s, CUstream stream, CUdeviceptr address);
tgr_status tgr_cu_memory_alloc(tgr_context *context, void *state, size_t bytes, uint32_t flags,
                               tgr_memory *out);
void tgr_cu_memory_free(tgr_context *context, void *state, tgr_memory *memory);
/* Fills on the lane's stream. */
CUresult tgr_cu_enqueue_fill(const cu_api *api, cu_lane *lane, CUdeviceptr at, size_t bytes,
                             uint64_t pattern, size_t pattern_bytes);
bool tgr_cu_holds(void *state, const void *pointer, size_t bytes);
tgr_status tgr_cu_copy(tgr_context *context, void *state, tgr_copy_kind kind, void *to,
                       const void *from, size_t bytes);
tgr_status tgr_cu_fill(tgr_context *context, void *state, void *to, size_t bytes, uint64_t pattern,
                       size_t pattern_bytes);

/* ---- image.c -------------------------------------------------------------------------------- */

int32_t tgr_cu_isa_rank(void *state, uint32_t isa);
tgr_status tgr_cu_image_load(tgr_context *context, void *state, const tgr_image_desc *desc,
                             void **out_image);
void tgr_cu_image_unload(tgr_context *context, void *state, void *image);
void tgr_cu_image_entry(void *image, uint64_t plan, const uint64_t *phases, uint32_t n_phases,
                        tgr_entry *out);

/* ---- launch.c ------------------------------------------------------------------------------- */

tgr_status tgr_cu_run(tgr_context *context, void *state, tgr_run *run);

/* A launch on a lane's stream. */
typedef struct cu_launch {
    cu_state *s;
    cu_lane *lane;
    const tgr_run *run;
    CUdeviceptr slots, report; /* where the device finds its words and leaves its report */
    const cu_kernel *kernel;
    uint32_t lanes; /* threads of a block */
    int64_t programs, slice;
    size_t scratch_bytes; /* of a slice */
    uint32_t n_maps;
    uint64_t maps_there;
    tgr_cu_tensor_map maps[TG_SIMT_MAX_MAPS];
    char what[128];
} cu_launch;

/* With slots and report in the lane's launch block. */
void tgr_cu_launch_begin(cu_launch *launch, cu_state *s, cu_lane *lane, const tgr_run *run);
/* The entry's kernel over so many programs: slices, scratch and maps. */
tgr_status tgr_cu_launch_programs(cu_launch *launch, const tgr_simt_entry *e, int64_t programs);
/* Puts the slices on the stream. */
tgr_status tgr_cu_launch_slices(cu_launch *launch, CUdeviceptr scratch);

/* ---- graph.c -------------------------------------------------------------------------------- */

bool tgr_cu_graph_takes(void *state, const tgr_graph_part *part);
tgr_status tgr_cu_graph_make(tgr_context *context, void *state, const tgr_graph_part *parts,
                             uint32_t n_parts, void **out_graph);
tgr_status tgr_cu_graph_run(tgr_context *context, void *state, void *graph);
void tgr_cu_graph_free(tgr_context *context, void *state, void *graph);

/* ---- cuda.c --------------------------------------------------------------------------------- */

bool tgr_cu_info(tgr_context *context, void *globals, int32_t index, tgr_device_info *out);
tgr_status tgr_cu_open(tgr_context *context, void *globals, int32_t index,
                       const tgr_device_options *options, void **out_state, int32_t *out_threads);
void tgr_cu_close(tgr_context *context, void *state);

/* ---- tensor.c ------------------------------------------------------------------------------- */

/* The maps of a launch; bit i of *out_there: map i is there. One that cannot be is no failure: the
 * kernel goes another way. */
tgr_status tgr_cu_tensor_maps(cu_state *s, const tgr_run *run, const tgr_simt_entry *e,
                              tgr_cu_tensor_map *out, uint64_t *out_there);
/* The 128 bytes a kernel is given; TGR_E_UNSUPPORTED with a message where there is no such map. */
tgr_status tgr_cu_tensor_encode(cu_state *s, const tgr_tile *tile, tgr_cu_tensor_map *out);

#endif
