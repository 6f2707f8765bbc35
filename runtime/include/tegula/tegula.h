/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tegula's runtime: load compiled kernels and launch them.
 *
 *   context ─ device ─ queue          launches, in order
 *                    ├ buffer         memory
 *                    └ module ─ kernel, op (borrowed from the module)
 *
 * Rules that hold everywhere:
 *  - Every call that can fail returns a tgr_status and never aborts the host; the text of the
 * calling thread's last failure is in the context (tgr_context_message).
 *  - create/open/load give one reference, retain adds one, release drops one; NULL may be released.
 *    A child keeps its parent alive. `get`-style results are borrowed.
 *  - Handles may be used from any thread. Calls on one queue are serialised by the queue's own
 * lock; a graph being captured belongs to one thread.
 *  - Structures that may grow start with `struct_bytes`, set it to sizeof; a shorter, older
 * structure is accepted, its missing members count as 0. Use TGR_INIT(type).
 *  - Nothing here needs LLVM. There is no global state.
 */
#ifndef TEGULA_TEGULA_H
#define TEGULA_TEGULA_H

#include "abi.h"

#if defined(_WIN32)
#define TGR_API
#elif defined(__GNUC__)
#define TGR_API __attribute__((visibility("default")))
#else
#define TGR_API
#endif
#if defined(__GNUC__)
#define TGR_MUST_USE __attribute__((warn_unused_result))
#else
#define TGR_MUST_USE
#endif

#ifdef __cplusplus
/* Compilers warn of members that type{sizeof(type)} leaves out. */
template <class T> inline T tgr_init_struct() {
    T value = T();
    value.struct_bytes = sizeof(T);
    return value;
}
#define TGR_INIT(type) tgr_init_struct<type>()
extern "C" {
#else
#define TGR_INIT(type) ((type){.struct_bytes = sizeof(type)})
#endif

#define TGR_VERSION_MAJOR 0
#define TGR_VERSION_MINOR 1
#define TGR_VERSION_PATCH 0

/* ---- status --------------------------------------------------------------------------------- */

/* X(ENUM, value, "sentence"). Append only. */
#define TGR_STATUSES(X)                                                                            \
    X(OK, 0, "fine")                                                                               \
    X(E_NOMEM, 1, "out of memory")                                                                 \
    X(E_INVALID, 2, "a bad argument of a call")                                                    \
    X(E_NOT_FOUND, 3, "no such thing")                                                             \
    X(E_UNSUPPORTED, 4, "this device or build cannot do it")                                       \
    X(E_IO, 5, "a file could not be read or written")                                              \
    X(E_FORMAT, 6, "a package's bytes are not what they should be")                                \
    X(E_UNTRUSTED, 7, "the package holds code and was not marked trusted")                         \
    X(E_MISMATCH, 8, "an argument does not fit the signature")                                     \
    X(E_OVERLAP, 9, "arguments overlap in memory")                                                 \
    X(E_FACT, 10, "data breaks a declared fact")                                                   \
    X(E_TRAP, 11, "an assertion of the kernel failed")                                             \
    X(E_SOURCE, 12, "the source text is wrong")                                                    \
    X(E_NOT_READY, 13, "not finished yet")                                                         \
    X(E_INTERNAL, 14, "a bug of the library")                                                      \
    X(E_LOST, 15, "the device is lost; open it anew")

typedef enum tgr_status {
#define TGR_X(e, v, s) TGR_##e = v,
    TGR_STATUSES(TGR_X)
#undef TGR_X
        TGR_STATUS_LAST = 64
} tgr_status;

/* Name such as "TGR_E_NOMEM"; never NULL. */
TGR_API const char *tgr_status_name(tgr_status status);
TGR_API const char *tgr_status_sentence(tgr_status status);
/* Version of the library that runs, as (major << 16 | minor << 8 | patch). */
TGR_API uint32_t tgr_version(void);

/* "bf16"; NULL for an unknown type. Bits of one element; 0 for records. */
TGR_API const char *tgr_dtype_name(tg_dtype dtype);
TGR_API int32_t tgr_dtype_bits(tg_dtype dtype);
TGR_API tg_dtype tgr_dtype_from_name(const char *name); /* TG_DT_NONE if unknown */

/* ---- context -------------------------------------------------------------------------------- */

typedef struct tgr_context tgr_context;
typedef struct tgr_device tgr_device;
typedef struct tgr_queue tgr_queue;
typedef struct tgr_event tgr_event;
typedef struct tgr_buffer tgr_buffer;
typedef struct tgr_arena tgr_arena;
typedef struct tgr_module tgr_module;
typedef struct tgr_kernel tgr_kernel; /* a kernel or an op */
typedef struct tgr_graph tgr_graph;
typedef struct tgr_package tgr_package;
typedef struct tgr_cache tgr_cache;

/* realloc semantics: ptr NULL allocates, new_bytes 0 frees (and returns NULL). 16-byte aligned
 * results; NULL means out of memory. Called from any thread. */
typedef struct tgr_allocator {
    void *(*fn)(void *user, void *ptr, size_t old_bytes, size_t new_bytes);
    void *user;
} tgr_allocator;

typedef enum tgr_log_level {
    TGR_LOG_ERROR = 1,
    TGR_LOG_WARNING = 2,
    TGR_LOG_INFO = 3
} tgr_log_level;
/* One line without newline; may be called from any thread. */
typedef void (*tgr_log_fn)(void *user, tgr_log_level level, const char *text);

/* One finished piece of work, times of CLOCK_MONOTONIC in ns. */
typedef struct tgr_profile_record {
    const char *kernel;  /* borrowed */
    const char *variant; /* schedule text of the variant that ran, borrowed */
    int64_t begin_ns, end_ns;
    int64_t programs;
    int64_t device_ns; /* from first program to last by the device's clock; 0: it has none */
} tgr_profile_record;
typedef void (*tgr_profile_fn)(void *user, const tgr_profile_record *record);

typedef struct tgr_context_options {
    uint32_t struct_bytes;
    uint32_t reserved;
    tgr_allocator allocator; /* fn NULL: the C library */
    tgr_log_fn log;          /* NULL: silent */
    void *log_user;
    tgr_profile_fn profile; /* NULL: none. Called on the launching thread */
    void *profile_user;
} tgr_context_options;

TGR_API tgr_status tgr_context_create(const tgr_context_options *options,
                                      tgr_context **out) TGR_MUST_USE;
TGR_API void tgr_context_retain(tgr_context *context);
TGR_API void tgr_context_release(tgr_context *context);
/* Copies the text of the calling thread's last failed call (always NUL-terminated when size > 0)
 * and returns its length without the NUL. Empty when there was none. */
TGR_API size_t tgr_context_message(tgr_context *context, char *text, size_t size);

/* ---- devices -------------------------------------------------------------------------------- */

/* What a SIMT device can do (features of tgr_device_info). */
typedef enum tgr_simt_feature {
    TGR_SIMT_F64 = 1,
    TGR_SIMT_INT8 = 2,
    TGR_SIMT_INT16 = 4,
    TGR_SIMT_INT64 = 8,
    TGR_SIMT_ATOMIC64 = 16,
    TGR_SIMT_FMA = 32,
    TGR_SIMT_SUBGROUPS = 64,
    TGR_SIMT_SUBNORMALS = 128,
    TGR_SIMT_DIV = 256,
    TGR_SIMT_FLAT = 512,   /* shared memory is ordinary memory, without banks: a CPU */
    TGR_SIMT_MATRIX = 1024 /* cooperative matrices; no driver reports them yet */
} tgr_simt_feature;

typedef struct tgr_device_info {
    const char *driver; /* "cpu", "null", "opencl", "vulkan", "cuda", "sim" */
    const char *name;   /* what the machine is called */
    const char *isa;    /* best instruction-set level, e.g. "x86-64-v3"; "" if none */
    int32_t max_threads;
    int32_t host_memory;  /* not 0: launches take host pointers; else only device buffers */
    uint64_t features;    /* CPUs: bits of the levels they run; SIMT devices: tgr_simt_feature */
    const char *version;  /* of the driver, or NULL */
    int64_t memory_bytes; /* SIMT devices; 0 where unknown */
    int64_t shared_bytes; /* of one work-group */
    int32_t max_lanes;    /* of one work-group */
    int32_t subgroup;     /* lanes that shuffle together; 0: none */
} tgr_device_info;

/*
 * The host's own parallel loop: must call task(arg, index, thread) once for every index in 0..n, on
 * any threads; `thread` is below n_threads and never used by two tasks at the same time. Returns
 * when all are done.
 */
typedef void (*tgr_task_fn)(void *arg, int64_t index, int32_t thread);
typedef void (*tgr_parallel_for_fn)(void *user, int64_t n, tgr_task_fn task, void *arg);

typedef struct tgr_device_options {
    uint32_t struct_bytes;
    int32_t
        n_threads;   /* 0: one per processor this process may use. Includes the launching thread */
    int32_t spin_us; /* workers spin this long before they sleep; 0: the default, 50; -1: never */
    int32_t pin;     /* not 0: bind worker i to the i-th allowed processor */
    tgr_parallel_for_fn parallel_for; /* NULL: an own pool */
    void *parallel_user;
} tgr_device_options;

/* Devices present, in a fixed order: "cpu" first, then the other drivers' one after the other. */
TGR_API int32_t tgr_device_count(tgr_context *context);
TGR_API tgr_status tgr_device_describe(tgr_context *context, int32_t index,
                                       tgr_device_info *out) TGR_MUST_USE;
/*
 * name: a driver ("cpu", "null", "opencl", "vulkan", "sim": its first device), a driver and a
 * number or a part of the device's name ("opencl:1", "opencl:pocl"; letter case is ignored), a
 * number in the order of tgr_device_describe, or "default": what the environment's TEGULA_DEVICE
 * says, else "cpu". TGR_E_NOT_FOUND when there is no such device.
 */
TGR_API tgr_status tgr_device_open(tgr_context *context, const char *name,
                                   const tgr_device_options *options,
                                   tgr_device **out) TGR_MUST_USE;
TGR_API void tgr_device_retain(tgr_device *device);
TGR_API void tgr_device_release(tgr_device *device);
TGR_API void tgr_device_get_info(const tgr_device *device, tgr_device_info *out);
TGR_API tgr_context *tgr_device_context(const tgr_device *device);
/* What was measured of an open device, for whoever compiles for it (tg_simt_quirk bits of the
 * compiler); 1 when something was noted, else 0. The runtime makes nothing of it. Thread-safe. */
TGR_API int32_t tgr_device_get_profile(const tgr_device *device, uint64_t *out);
TGR_API void tgr_device_set_profile(tgr_device *device, uint64_t profile);
/* Threads a launch may use, the launching one included. */
TGR_API int32_t tgr_device_threads(const tgr_device *device);

/* ---- memory --------------------------------------------------------------------------------- */

/* A launch as a SIMT driver is about to make it, for tools that write it down. Everything is
 * borrowed. The code's entry takes five 64-bit words: address of the slots, first program, end,
 * scratch, report (four u32). On OpenCL the first, fourth and fifth are buffers and each slot of
 * `pointers` is a buffer argument more, with the slot holding an offset. */
typedef struct tgr_trace {
    const char *kernel, *entry; /* in the package; in the code */
    const void *code;           /* OpenCL C text or SPIR-V words */
    size_t code_bytes;
    const char *options; /* for the device's compiler */
    const int64_t *slots;
    const uint32_t *pointers; /* slots that are addresses, those the code uses */
    int32_t n_slots, n_pointers;
    uint32_t lanes;
    int64_t programs;
    uint64_t scratch_bytes; /* of a program */
} tgr_trace;

/* fn is called in the launching thread before every launch on a SIMT device of the context; NULL
 * ends it. Not to be set while launches run. */
typedef void (*tgr_trace_fn)(void *user, const tgr_trace *trace);
TGR_API void tgr_context_set_trace(tgr_context *context, tgr_trace_fn fn, void *user);

typedef enum tgr_buffer_flag {
    TGR_BUFFER_ZERO = 1,     /* starts as zeros (otherwise undefined) */
    TGR_BUFFER_PREFAULT = 2, /* pages are touched now, not in the first launch */
    TGR_BUFFER_HUGE = 4      /* ask for huge pages; advice, never an error */
} tgr_buffer_flag;

/* 64-byte aligned device memory. bytes 0 is fine. */
TGR_API tgr_status tgr_buffer_create(tgr_device *device, size_t bytes, uint32_t flags,
                                     tgr_buffer **out) TGR_MUST_USE;
/* Wraps the host's memory, which must outlive the buffer. */
TGR_API tgr_status tgr_buffer_import(tgr_device *device, void *pointer, size_t bytes,
                                     tgr_buffer **out) TGR_MUST_USE;
TGR_API void tgr_buffer_retain(tgr_buffer *buffer);
TGR_API void tgr_buffer_release(tgr_buffer *buffer);
TGR_API size_t tgr_buffer_bytes(const tgr_buffer *buffer);
/* What launch slots hold for the buffer's first byte: its address on the device, or what stands for
 * it there. */
TGR_API uint64_t tgr_buffer_address(const tgr_buffer *buffer);
/* Host address of the memory; valid until the last release. TGR_E_UNSUPPORTED where there is none.
 */
TGR_API tgr_status tgr_buffer_map(tgr_buffer *buffer, void **out_pointer) TGR_MUST_USE;
/* Copies on the queue, in order with launches; `host` must stay until the queue has passed it. */
TGR_API tgr_status tgr_buffer_write(tgr_queue *queue, tgr_buffer *buffer, size_t offset,
                                    const void *host, size_t bytes) TGR_MUST_USE;
TGR_API tgr_status tgr_buffer_read(tgr_queue *queue, tgr_buffer *buffer, size_t offset, void *host,
                                   size_t bytes) TGR_MUST_USE;

/* Bump allocation from one pre-faulted block: allocate many, reset at once. Not thread-safe. */
TGR_API tgr_status tgr_arena_create(tgr_device *device, size_t bytes, uint32_t flags,
                                    tgr_arena **out) TGR_MUST_USE;
TGR_API tgr_status tgr_arena_alloc(tgr_arena *arena, size_t bytes, size_t align,
                                   void **out_pointer) TGR_MUST_USE;
TGR_API void tgr_arena_reset(tgr_arena *arena);
TGR_API size_t tgr_arena_used(const tgr_arena *arena);
TGR_API void tgr_arena_release(tgr_arena *arena);

/* ---- queues and events ---------------------------------------------------------------------- */

typedef enum tgr_queue_flag {
    TGR_QUEUE_ASYNC = 1 /* launches run on the queue's own thread; default: in the calling thread */
} tgr_queue_flag;

/*
 * In order: a piece of work starts when the one before it has ended. A synchronous queue (flags 0)
 * has finished the work when the call returns. On an asynchronous one arguments are checked in the
 * call; what fails later (a trap) is reported by the events recorded behind it and by the next
 * tgr_queue_wait, which also clears it; work behind it still runs.
 */
TGR_API tgr_status tgr_queue_create(tgr_device *device, uint32_t flags,
                                    tgr_queue **out) TGR_MUST_USE;
TGR_API void tgr_queue_retain(tgr_queue *queue);
TGR_API void tgr_queue_release(tgr_queue *queue); /* the last one waits for the work */
TGR_API tgr_status tgr_queue_wait(tgr_queue *queue) TGR_MUST_USE;

/* An event that is done when everything submitted so far is. */
TGR_API tgr_status tgr_queue_record(tgr_queue *queue, tgr_event **out) TGR_MUST_USE;
/* Work submitted from now on starts after the event (of any queue of the context). */
TGR_API tgr_status tgr_queue_wait_event(tgr_queue *queue, tgr_event *event) TGR_MUST_USE;
/* timeout_ns < 0: for ever; 0: asks. TGR_E_NOT_READY when the time is over. */
TGR_API tgr_status tgr_event_wait(tgr_event *event, int64_t timeout_ns) TGR_MUST_USE;
/* CLOCK_MONOTONIC at completion, in ns; 0 while pending. */
TGR_API int64_t tgr_event_time_ns(const tgr_event *event);
TGR_API void tgr_event_retain(tgr_event *event);
TGR_API void tgr_event_release(tgr_event *event);

/* ---- modules -------------------------------------------------------------------------------- */

typedef enum tgr_load_flag {
    TGR_LOAD_TRUSTED = 1,  /* the host vouches for the package's code; needed where it is run */
    TGR_LOAD_PERF_MAP = 2, /* list the kernels in /tmp/perf-PID.map for `perf` */
    TGR_LOAD_CHECKED = 4   /* every launch verifies data facts (sorted, unique, range) */
} tgr_load_flag;

typedef struct tgr_load_options {
    uint32_t struct_bytes;
    uint32_t flags;  /* tgr_load_flag */
    const char *isa; /* use only this level, e.g. "x86-64-v2"; NULL: the best the processor has */
} tgr_load_options;

/* Reads, verifies and loads a package; the bytes are not needed afterwards. options may be NULL. */
TGR_API tgr_status tgr_module_load(tgr_device *device, const void *bytes, size_t n_bytes,
                                   const tgr_load_options *options, tgr_module **out) TGR_MUST_USE;
TGR_API tgr_status tgr_module_load_file(tgr_device *device, const char *path,
                                        const tgr_load_options *options,
                                        tgr_module **out) TGR_MUST_USE;

/* Code that is linked into the host (`tegula build --emit obj`): which functions stand for which
 * kernel, in place of the package's CODE. variant counts from 0. */
typedef struct tgr_linked_entry {
    const char *kernel;
    uint32_t variant;
    int32_t n_phases;
    tg_cpu_plan_fn plan;
    tg_cpu_phase_fn phases[TG_CPU_MAX_PHASES];
} tgr_linked_entry;
/* A package without code (signatures only) and the functions it stands for. No trust is needed. */
TGR_API tgr_status tgr_module_load_linked(tgr_device *device, const void *bytes, size_t n_bytes,
                                          const tgr_load_options *options,
                                          const tgr_linked_entry *entries, size_t n_entries,
                                          tgr_module **out) TGR_MUST_USE;
TGR_API void tgr_module_retain(tgr_module *module);
TGR_API void tgr_module_release(tgr_module *module);

/* A compile-time binding (T=f16) or a dimension value, as text. */
typedef struct tgr_setting {
    const char *name, *value;
} tgr_setting;

TGR_API int32_t tgr_module_kernel_count(const tgr_module *module);
/* Kernels first, then ops; NULL past the end. Borrowed: lives as long as the module. */
TGR_API tgr_kernel *tgr_module_kernel(tgr_module *module, int32_t index);
/*
 * Finds by name; of several specialisations the one whose bindings agree with all settings given
 * that name a binding of it. TGR_E_NOT_FOUND when none is left, TGR_E_INVALID when several are.
 */
TGR_API tgr_status tgr_module_find(tgr_module *module, const char *name,
                                   const tgr_setting *settings, int32_t n_settings,
                                   tgr_kernel **out) TGR_MUST_USE;

typedef struct tgr_kernel_info {
    const char *name;
    int32_t is_op;
    int32_t n_params, n_dims, n_requires, n_bindings, n_variants;
} tgr_kernel_info;

typedef struct tgr_param_info {
    const char *name;
    tg_dtype dtype;
    int32_t rank;
    uint32_t flags; /* tg_param_flag */
    uint32_t reserved;
    int64_t elem_bytes;  /* of one element; 0 for sub-byte types */
    int64_t align_bytes; /* required of the base address */
    uint64_t init_bits;  /* TG_PARAM_INIT: the element's bits */
} tgr_param_info;

TGR_API void tgr_kernel_get_info(const tgr_kernel *kernel, tgr_kernel_info *out);
TGR_API tgr_status tgr_kernel_get_param(const tgr_kernel *kernel, int32_t index,
                                        tgr_param_info *out) TGR_MUST_USE;
/* Name of a dimension symbol; NULL past the end. */
TGR_API const char *tgr_kernel_dim_name(const tgr_kernel *kernel, int32_t index);
TGR_API tgr_status tgr_kernel_get_binding(const tgr_kernel *kernel, int32_t index,
                                          tgr_setting *out) TGR_MUST_USE;
/* Text of parameter p's extent along an axis, e.g. "cdiv(K, 128)"; as tgr_context_message. */
TGR_API size_t tgr_kernel_extent_text(const tgr_kernel *kernel, int32_t param, int32_t axis,
                                      char *text, size_t size);
/* Text of a `require`. */
TGR_API size_t tgr_kernel_require_text(const tgr_kernel *kernel, int32_t index, char *text,
                                       size_t size);
TGR_API tgr_module *tgr_kernel_module(const tgr_kernel *kernel);

/* ---- arguments and launches ----------------------------------------------------------------- */

typedef enum tgr_arg_kind { TGR_ARG_TENSOR = 0, TGR_ARG_SCALAR = 1 } tgr_arg_kind;

/*
 * One argument. Tensor: `data` (or `buffer` + `offset_bytes`), dtype, rank, extents in elements,
 * strides in BYTES when has_strides (the innermost of a sub-byte type is ignored), else contiguous,
 * row-major, rows of sub-byte elements padded to whole bytes. Scalar: dtype and the value's bits.
 */
typedef struct tgr_arg {
    uint8_t kind;  /* tgr_arg_kind */
    uint8_t dtype; /* tg_dtype */
    uint8_t rank;
    uint8_t has_strides;
    uint32_t reserved;
    tgr_buffer
        *buffer; /* borrowed during the call (asynchronous: until the work is done); or NULL */
    void *data;  /* without buffer */
    uint64_t offset_bytes;
    uint64_t bits; /* scalars */
    int64_t extents[TG_MAX_RANK];
    int64_t strides_bytes[TG_MAX_RANK];
} tgr_arg;

/* Contiguous tensor in host-visible memory. */
TGR_API tgr_arg tgr_arg_tensor(void *data, tg_dtype dtype, int32_t rank, const int64_t *extents);
TGR_API tgr_arg tgr_arg_tensor_strided(void *data, tg_dtype dtype, int32_t rank,
                                       const int64_t *extents, const int64_t *strides_bytes);
TGR_API tgr_arg tgr_arg_buffer(tgr_buffer *buffer, size_t offset_bytes, tg_dtype dtype,
                               int32_t rank, const int64_t *extents);
TGR_API tgr_arg tgr_arg_i32(int32_t value);
TGR_API tgr_arg tgr_arg_i64(int64_t value);
TGR_API tgr_arg tgr_arg_f32(float value);
TGR_API tgr_arg tgr_arg_f64(double value);
/* Any scalar dtype from its bits. */
TGR_API tgr_arg tgr_arg_bits(tg_dtype dtype, uint64_t bits);

/* A dimension whose value no argument tells (or that must agree with the arguments). */
typedef struct tgr_dim_value {
    const char *name;
    int64_t value;
} tgr_dim_value;

typedef struct tgr_launch_options {
    uint32_t struct_bytes;
    uint32_t checked; /* not 0: verify data facts, when the launch's turn comes */
    const tgr_dim_value *dims;
    int32_t n_dims;
    int32_t variant; /* 0: the first whose guard holds; n > 0: variant n-1 */
    void *workspace; /* ops: 64-byte aligned memory for the temps; NULL: the queue's own */
    size_t workspace_bytes;
} tgr_launch_options;

/*
 * Solves the dimensions from the extents that are known and fills in those that are -1 of tensors
 * of the right rank (strides are left alone). out_dims (n_dims entries, or NULL) gets the values.
 * TGR_E_MISMATCH when something disagrees or stays unknown.
 */
TGR_API tgr_status tgr_kernel_infer(const tgr_kernel *kernel, tgr_arg *args, int32_t n_args,
                                    const tgr_dim_value *dims, int32_t n_dims,
                                    int64_t *out_dims) TGR_MUST_USE;
/* Checks arguments as a launch would and runs nothing. */
TGR_API tgr_status tgr_kernel_check(const tgr_kernel *kernel, const tgr_arg *args, int32_t n_args,
                                    const tgr_launch_options *options) TGR_MUST_USE;
/* Bytes of workspace a launch of an op with these arguments needs; 0 for kernels. */
TGR_API tgr_status tgr_kernel_workspace(const tgr_kernel *kernel, const tgr_arg *args,
                                        int32_t n_args, const tgr_launch_options *options,
                                        size_t *out_bytes) TGR_MUST_USE;
/*
 * Launches a kernel or op. Checks that extents fit the signature, `require`s hold, strides,
 * alignment and overlap are as promised, and picks the variant; nothing is written when a check
 * fails. options may be NULL. An argument array in parameter order.
 */
TGR_API tgr_status tgr_launch(tgr_queue *queue, const tgr_kernel *kernel, const tgr_arg *args,
                              int32_t n_args, const tgr_launch_options *options) TGR_MUST_USE;

/* ---- replay --------------------------------------------------------------------------------- */

/* From begin to end, launches on the queue are checked and recorded, not run. Memory they name must
 * stay; modules and buffers are kept. A graph may be launched any number of times, from any thread
 * and queue of its device, one launch of it running at a time; what is queued keeps it. When a
 * launch of it gives up (TGR_E_TRAP), those behind it may have run. */
TGR_API tgr_status tgr_capture_begin(tgr_queue *queue) TGR_MUST_USE;
TGR_API tgr_status tgr_capture_end(tgr_queue *queue, tgr_graph **out) TGR_MUST_USE;
TGR_API tgr_status tgr_graph_launch(tgr_queue *queue, tgr_graph *graph) TGR_MUST_USE;
TGR_API int32_t tgr_graph_size(const tgr_graph *graph);
TGR_API void tgr_graph_release(tgr_graph *graph);

/* ---- looking into packages ------------------------------------------------------------------ */

/* Reads and verifies any bytes without loading code. The bytes must outlive the package. */
TGR_API tgr_status tgr_package_open(tgr_context *context, const void *bytes, size_t n_bytes,
                                    tgr_package **out) TGR_MUST_USE;
TGR_API void tgr_package_release(tgr_package *package);
/* Open and release. */
TGR_API tgr_status tgr_package_verify(tgr_context *context, const void *bytes,
                                      size_t n_bytes) TGR_MUST_USE;

typedef struct tgr_section_info {
    uint32_t kind, flags; /* tg_pack_section, tg_pack_section_flag */
    const char *name;     /* "kernels" */
    uint64_t stored_bytes, raw_bytes;
    uint8_t checksum[16];
} tgr_section_info;

typedef struct tgr_code_info {
    const char *isa;
    int32_t n_phases;
    int32_t code; /* which CODE section */
    uint64_t plan_offset;
    uint64_t phase_offset[TG_CPU_MAX_PHASES];
} tgr_code_info;

TGR_API int32_t tgr_package_section_count(const tgr_package *package);
TGR_API tgr_status tgr_package_section(const tgr_package *package, int32_t index,
                                       tgr_section_info *out) TGR_MUST_USE;
TGR_API const char *tgr_package_tool(const tgr_package *package);
/* A META pair; NULL past the end. */
TGR_API tgr_status tgr_package_meta(const tgr_package *package, int32_t index,
                                    tgr_setting *out) TGR_MUST_USE;
TGR_API int32_t tgr_package_kernel_count(const tgr_package *package);
/* For the tgr_kernel_get_* queries only; not launchable. */
TGR_API const tgr_kernel *tgr_package_kernel(const tgr_package *package, int32_t index);
/* Guard text ("" always) of a variant and its schedule; as tgr_context_message. */
TGR_API size_t tgr_kernel_guard_text(const tgr_kernel *kernel, int32_t variant, char *text,
                                     size_t size);
TGR_API const char *tgr_kernel_schedule(const tgr_kernel *kernel, int32_t variant);
TGR_API int32_t tgr_kernel_code_count(const tgr_kernel *kernel, int32_t variant);
TGR_API tgr_status tgr_kernel_code(const tgr_kernel *kernel, int32_t variant, int32_t index,
                                   tgr_code_info *out) TGR_MUST_USE;
/* The IR text, NUL-terminated, or NULL when there is none. */
TGR_API const char *tgr_package_ir(const tgr_package *package, size_t *out_bytes);

/* ---- cache ---------------------------------------------------------------------------------- */

/*
 * Per-user store of immutable files named by key. dir NULL: $TEGULA_CACHE_DIR, else
 * $XDG_CACHE_HOME/tegula, else $HOME/.cache/tegula. A directory that is missing, read-only or not
 * ours makes a cache that never hits; it is not an error. limit_bytes 0: 1 GiB.
 */
TGR_API tgr_status tgr_cache_open(tgr_context *context, const char *dir, uint64_t limit_bytes,
                                  tgr_cache **out) TGR_MUST_USE;
TGR_API void tgr_cache_release(tgr_cache *cache);
/* Directory in use, or "" when the cache is off. */
TGR_API const char *tgr_cache_dir(const tgr_cache *cache);
/* TGR_E_NOT_FOUND on a miss; a damaged entry is deleted and counts as one. Free with
 * tgr_cache_free. */
TGR_API tgr_status tgr_cache_get(tgr_cache *cache, const uint8_t key[16], void **out_bytes,
                                 size_t *out_n_bytes) TGR_MUST_USE;
TGR_API void tgr_cache_free(tgr_cache *cache, void *bytes, size_t n_bytes);
/* Storing is best effort: TGR_OK also when nothing could be written. */
TGR_API tgr_status tgr_cache_put(tgr_cache *cache, const uint8_t key[16], const void *bytes,
                                 size_t n_bytes) TGR_MUST_USE;
typedef struct tgr_cache_entry {
    uint8_t key[16];
    uint64_t bytes;
    int64_t time_s; /* of the last use, seconds since 1970 */
    int32_t valid;  /* verify: checksum holds */
} tgr_cache_entry;
/* Return not 0 to stop. */
typedef int (*tgr_cache_list_fn)(void *user, const tgr_cache_entry *entry);
/* verify not 0: reads every entry; damaged ones are listed with valid 0 and deleted. */
TGR_API tgr_status tgr_cache_list(tgr_cache *cache, int32_t verify, tgr_cache_list_fn fn,
                                  void *user) TGR_MUST_USE;
TGR_API tgr_status tgr_cache_clear(tgr_cache *cache, int64_t *out_removed) TGR_MUST_USE;
/* XXH3-128 of bytes in canonical form: for keys. */
TGR_API void tgr_hash128(const void *bytes, size_t n_bytes, uint8_t out[16]);

#ifdef __cplusplus
}
#endif
#endif
