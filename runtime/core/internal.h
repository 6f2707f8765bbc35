/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the runtime's core share: the objects behind the handles, the error helper, the
 * zone (memory of a module or package, freed at once) and the doors between the files.
 *
 *   context.c  allocator, log, messages      dims.c     dimension byte code
 *   device.c   drivers and devices           package.c  container: header, sections, checksums
 *   buffer.c   memory                        signature.c  kernels and ops of a package
 *   queue.c    order, events, capture        module.c   loading, finding
 *   transfer.c fills and facts on devices    simt.c     images of SIMT devices
 *   cache.c    files by content key          args.c     arguments against a signature
 *   facts.c    data facts                    launch.c   variants, commands, ops
 */
#ifndef TGR_INTERNAL_H
#define TGR_INTERNAL_H

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include <tegula/package_format.h>
#include <tegula/tegula.h>

#include "driver.h"

#define TGR_COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* ---- context -------------------------------------------------------------------------------- */

#define TGR_MESSAGE_BYTES 512
#define TGR_MESSAGE_THREADS 16
#define TGR_MAX_DRIVERS 8

/* The last failure of one thread. */
typedef struct tgr_message {
    pthread_t thread;
    uint64_t age; /* 0: free; larger is newer */
    char text[TGR_MESSAGE_BYTES];
} tgr_message;

struct tgr_context {
    atomic_int refs;
    tgr_allocator allocator;
    tgr_log_fn log;
    void *log_user;
    tgr_profile_fn profile;
    void *profile_user;
    tgr_trace_fn trace;
    void *trace_user;
    pthread_mutex_t lock; /* messages */
    uint64_t clock;
    tgr_message messages[TGR_MESSAGE_THREADS];
    pthread_mutex_t drivers_lock;
    void *
        driver_globals[TGR_MAX_DRIVERS]; /* of device.c's table, in its order; NULL: not attached */
};

/* Detaches every driver; the context is about to go. device.c */
void tgr_drivers_detach(tgr_context *context);

/* Zeroed; NULL when the host refuses. Sizes are given back to the host's allocator on free. */
void *tgr_alloc(tgr_context *context, size_t bytes);
void tgr_free(tgr_context *context, void *pointer, size_t bytes);
/* Records the message for the calling thread and returns status. */
tgr_status tgr_fail(tgr_context *context, tgr_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#ifdef __clang_analyzer__ /* it cannot see that a failure is never TGR_OK */
#define tgr_fail(context, status, ...) (tgr_fail((context), (status), __VA_ARGS__), (status))
#endif
void tgr_log(tgr_context *context, tgr_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Copies an option struct that starts with struct_bytes over zeros; false when that is nonsense. */
bool tgr_options_copy(void *out, size_t out_bytes, const void *given);
int64_t tgr_now_ns(void);

/* Copies text as the public text getters do. */
size_t tgr_text_out(const char *from, size_t length, char *text, size_t size);

/* Bounded text in the caller's storage; always NUL-terminated; counts what did not fit. */
typedef struct tgr_text {
    char *data;
    size_t size, length;
} tgr_text;
void tgr_text_add(tgr_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Memory of one module or package: allocated piecewise, freed at once. */
typedef struct tgr_zone {
    tgr_context *context;
    struct tgr_zone_block *head;
    char *next, *end;
} tgr_zone;
void *tgr_zone_alloc(tgr_zone *zone, size_t count, size_t bytes); /* zeroed; NULL: out of memory */
char *tgr_zone_text(tgr_zone *zone, const void *bytes, size_t n);
void tgr_zone_fini(tgr_zone *zone);

/* ---- checked sizes -------------------------------------------------------------------------- */

static inline bool tgr_mul_i64(int64_t a, int64_t b, int64_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool tgr_add_i64(int64_t a, int64_t b, int64_t *out) {
    return !__builtin_add_overflow(a, b, out);
}

/* ---- dimension code ------------------------------------------------------------------------- */

/* An expression over the symbols; the two common forms need no interpretation. */
typedef struct tgr_dim {
    enum { TGR_DIM_IS_NONE, TGR_DIM_IS_CONST, TGR_DIM_IS_SYM, TGR_DIM_IS_CODE } kind;
    uint32_t n;
    int64_t value; /* constant, or index of the symbol */
    const uint8_t *code;
} tgr_dim;

/* True when the n bytes are one well-formed expression over n_syms symbols. */
bool tgr_dim_valid(const uint8_t *code, size_t n, uint32_t n_syms);
tgr_dim tgr_dim_make(const uint8_t *code, size_t n); /* of valid code; borrowed */
int64_t tgr_dim_value_of(const tgr_dim *d, const int64_t *syms);
uint64_t tgr_dim_syms(const tgr_dim *d); /* bit set of the symbols it reads */
void tgr_dim_text(tgr_text *out, const tgr_dim *d, const char *const *syms);
/*
 * Solves extent == d for symbol s, the others given: true and *out when s occurs once in a position
 * that can be undone (sums, differences, exact quotients).
 */
bool tgr_dim_invert(const tgr_dim *d, uint32_t s, int64_t extent, const int64_t *syms,
                    int64_t *out);
bool tgr_dim_invertible(const tgr_dim *d, uint32_t s);

/* ---- signatures ----------------------------------------------------------------------------- */

typedef struct tgr_param {
    const char *name;
    tg_dtype dtype;
    uint8_t rank; /* 0: a scalar unless TG_PARAM_TENSOR */
    uint16_t flags;
    uint16_t slot;      /* its first launch slot */
    int32_t bits;       /* of one element */
    int64_t elem_bytes; /* 0 for sub-byte types */
    int64_t align_bytes;
    uint64_t init_bits;
    tgr_dim range_lo, range_hi;
    tgr_dim dims[TG_MAX_RANK];
} tgr_param;

/* Parameter p's axis tells symbol sym once the symbols of `needs` are known. */
typedef struct tgr_solver {
    uint16_t param, axis, sym;
    uint64_t needs;
} tgr_solver;

typedef struct tgr_code_entry {
    uint32_t code; /* CODE section number */
    uint32_t n_phases;
    uint64_t plan_offset;
    uint64_t phase_offset[TG_CPU_MAX_PHASES];
} tgr_code_entry;

typedef struct tgr_kernel_variant {
    tgr_dim guard;
    const char *schedule;
    uint32_t n_codes;
    tgr_code_entry *codes;
    tgr_entry entry; /* what runs, once loaded; plan NULL: nothing fits this device */
} tgr_kernel_variant;

typedef struct tgr_temp {
    const char *name;
    tg_dtype dtype;
    uint8_t rank;
    int32_t bits;
    int64_t elem_bytes;
    tgr_dim dims[TG_MAX_RANK];
} tgr_temp;

typedef struct tgr_op_arg {
    tg_pack_arg kind;
    uint32_t index;
    tgr_dim dim;
    uint64_t bits;
} tgr_op_arg;

typedef struct tgr_op_launch {
    uint32_t kernel;
    tgr_dim when;
    uint32_t n_args;
    tgr_op_arg *args;
} tgr_op_launch;

struct tgr_kernel {
    tgr_module *module; /* NULL in a package that is only looked at */
    const char *name;
    bool is_op;
    uint32_t n_params, n_syms, n_requires, n_bindings, n_variants, n_solvers, n_slots, n_init;
    uint32_t n_temps, n_launches;
    tgr_param *params;
    const char **syms;
    const uint32_t *isas; /* of the package's CODE sections */
    tgr_dim *requires_;
    tgr_setting *bindings;
    tgr_kernel_variant *variants;
    tgr_solver *solvers;
    tgr_temp *temps;
    tgr_op_launch *launches;
};

/* ---- packages and modules ------------------------------------------------------------------- */

typedef struct tgr_section {
    uint32_t kind, flags;
    const uint8_t *bytes;
    size_t n_bytes;
    uint64_t raw_bytes;
    uint8_t sum[16];
} tgr_section;

/* One CODE section, checked. */
typedef struct tgr_blob {
    uint32_t isa, n_imports;
    uint64_t imports_offset, image_bytes, bss_bytes;
    const uint8_t *imports; /* n_imports x u32 */
    const uint8_t *image;
} tgr_blob;

struct tgr_package {
    tgr_context *context;
    tgr_zone zone;
    const uint8_t *bytes;
    size_t n_bytes;
    tgr_section *sections;
    uint32_t n_sections;
    const char *tool, *generator;
    tgr_setting *meta;
    uint32_t n_meta;
    tgr_kernel *kernels; /* kernels, then ops */
    uint32_t n_kernels;  /* kernels only */
    uint32_t n_ops;
    tgr_blob *blobs;
    uint32_t n_blobs;
    char *ir;
    size_t ir_bytes;
};

/* Reads everything but the IR text, which is unpacked only on request. */
tgr_status tgr_package_read(tgr_package *package, tgr_context *context, const void *bytes,
                            size_t n_bytes);
void tgr_package_fini(tgr_package *package);
tgr_status tgr_package_unpack_ir(tgr_package *package);
/* signature.c: the payloads of KERNELS and OPS. */
tgr_status tgr_signatures_read(tgr_package *package, const tgr_section *kernels,
                               const tgr_section *ops);

struct tgr_module {
    atomic_int refs;
    tgr_device *device;
    bool checked;
    tgr_package package; /* its bytes are gone after loading; the kernels stay */
    void **images;       /* driver's code objects, n_blobs entries, NULL where not loaded */
};

/* ---- devices, memory ------------------------------------------------------------------------ */

struct tgr_device {
    atomic_int refs;
    tgr_context *context;
    const tgr_driver *driver;
    int32_t index; /* among its driver's devices */
    void *state;
    int32_t n_threads;
    atomic_uint_least64_t profile; /* what the compiler noted, plus one; 0: nothing yet */
    tgr_device_info info; /* asked for once: CPUID, say, costs a microsecond under a hypervisor */
};

struct tgr_buffer {
    atomic_int refs;
    tgr_device *device;
    tgr_memory memory;
    bool imported;
};

/* ---- launches ------------------------------------------------------------------------------- */

/* Parameter memory to fill before a launch (`out y init v`). */
typedef struct tgr_fill {
    void *data;
    uint64_t bits;
    int32_t elem_bits;
    int32_t rank;
    int64_t elem_bytes;
    int64_t extents[TG_MAX_RANK], strides[TG_MAX_RANK];
} tgr_fill;

void tgr_fill_run(const tgr_fill *fill);
/* What `init` says of the parameter of a launch with these slots. */
tgr_fill tgr_fill_of(const tgr_param *param, const int64_t *slots);
/* As one fill of the device's; false where it takes more. No bytes: there is nothing to fill. */
bool tgr_fill_plain(const tgr_fill *fill, tgr_graph_part *out);
/* The same in memory that only the driver reaches. transfer.c */
tgr_status tgr_fill_device(tgr_device *device, const tgr_fill *fill);
/* tgr_facts_check on tensors in such memory: copies what has facts to the host first. */
tgr_status tgr_facts_device(tgr_device *device, const tgr_kernel *kernel, const int64_t *slots);

/* Tensor argument as bound: where its bytes lie. */
typedef struct tgr_range {
    uintptr_t begin, end; /* empty: begin == end */
} tgr_range;

/*
 * args.c: checks args and writes the kernel's launch slots (n_slots) and symbols (n_syms).
 * Everything is checked except data facts.
 */
tgr_status tgr_args_bind(const tgr_kernel *kernel, tgr_context *context, const tgr_arg *args,
                         int32_t n_args, const tgr_launch_options *options, int64_t *slots);
/* Data facts of bound slots. */
tgr_status tgr_facts_check(const tgr_kernel *kernel, tgr_context *context, const int64_t *slots);
/* Do the elements of two strided tensors share a byte? May err towards yes. overlap.c */
bool tgr_tensors_overlap(const tgr_param *p, const int64_t *p_slots, tgr_range pr,
                         const tgr_param *q, const int64_t *q_slots, tgr_range qr);

/* FACTS checks the data facts of kernel's (an op's) arguments, when their time has come. */
typedef enum tgr_command_kind {
    TGR_CMD_RUN,
    TGR_CMD_FACTS,
    TGR_CMD_COPY,
    TGR_CMD_EVENT,
    TGR_CMD_WAIT,
    TGR_CMD_GRAPH
} tgr_command_kind;

/* One piece of queued work. Slots follow the head when it is stored. */
typedef struct tgr_command {
    tgr_command_kind kind;
    const tgr_kernel *kernel; /* RUN, FACTS; its module is retained */
    const tgr_kernel_variant *variant;
    bool checked; /* RUN: data facts first */
    tgr_copy_kind copy;
    void *to; /* COPY */
    const void *from;
    size_t bytes;
    tgr_buffer *keep; /* COPY: retained */
    tgr_event *event; /* EVENT, WAIT: retained */
    tgr_graph *graph; /* GRAPH: retained */
} tgr_command;
void tgr_command_retain(const tgr_command *command);
void tgr_command_release(const tgr_command *command);

/* Runs or stores a command; the queue's lock must be held. Slots: kernel->n_slots entries for RUN.
 */
tgr_status tgr_queue_submit(tgr_queue *queue, const tgr_command *command, const int64_t *slots);
void tgr_queue_lock(tgr_queue *queue);
void tgr_queue_unlock(tgr_queue *queue);
tgr_device *tgr_queue_device(tgr_queue *queue);
/* Memory of at least `bytes` that launches of this queue may use one after the other; the lock is
 * held. In a capture it belongs to the graph. */
tgr_status tgr_queue_workspace(tgr_queue *queue, size_t bytes, void **out);
/* Runs one command now; not EVENT, WAIT and GRAPH, which are the queue's. */
tgr_status tgr_command_run(tgr_device *device, const tgr_command *command, const int64_t *slots);

/* A command of a graph. */
typedef struct tgr_graph_node {
    struct tgr_graph_node *next;
    tgr_command command;
    void *replay;     /* NULL, or the driver's object for this and what follows: */
    int32_t replayed; /* so many commands */
    int64_t slots[];  /* kernel->n_slots */
} tgr_graph_node;

/* graph.c: a graph is filled by one thread, then settled and never changed; from then on any thread
 * may replay it. */
tgr_status tgr_graph_make(tgr_device *device, tgr_graph **out);
tgr_status tgr_graph_put(tgr_graph *graph, const tgr_command *command, const int64_t *slots);
tgr_status tgr_graph_workspace(tgr_graph *graph, size_t bytes, tgr_buffer **out);
/* Lets the driver make objects of neighbouring launches. A failure but the device's loss is none:
 * the commands are there. */
tgr_status tgr_graph_settle(tgr_graph *graph);
tgr_device *tgr_graph_device(const tgr_graph *graph);
const tgr_graph_node *tgr_graph_first(const tgr_graph *graph);
/* Runs node->replay; *out_next: the node behind what it stands for. */
tgr_status tgr_graph_replay(tgr_graph *graph, const tgr_graph_node *node,
                            const tgr_graph_node **out_next);

#endif
