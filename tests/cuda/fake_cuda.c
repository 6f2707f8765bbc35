/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A made-up libcuda.so.1 with one device, whose kernels run in the simulator of PTX (sim/ptx). What
 * is put on a stream is done when somebody waits for it, and not before: memory that is reused too
 * early shows. Calls without a context, launches outside of a kernel's limits and use of things
 * that are gone are refused as the real one does.
 *
 * $FAKE_CUDA says what goes wrong: "FUNCTION=CODE" makes every call of it fail, "@K=CODE" the K-th
 * call of all, "none" leaves the device out. $FAKE_CUDA_SM is its compute capability (90),
 * $FAKE_CUDA_POOLS=0 takes its memory pools. fake_cuda.h lists what tests may ask.
 */
#include "tests/cuda/fake_cuda.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/cuda/types.h"
#include "tests/cuda/fake_vendor.h"

#define TGR_CU(name, parameters) CUresult name parameters;
#define TGR_CU_OPTIONAL(name, parameters) CUresult name parameters;
#include "drivers/cuda/functions.def"
#undef TGR_CU
#undef TGR_CU_OPTIONAL

enum {
    INVALID_VALUE = 1,
    NOT_INITIALIZED = 3,
    INVALID_HANDLE = 400,
    NOT_READY = 600,
    PLAIN_SHARED = 49152,
    MOST_SHARED = 232448,
    MOST_THREADS = 1024,
    MAX_CALLS = 1 << 16,
    WORDS = 5,    /* parameters of our kernels, 64 bits each */
    MAPS_AT = 64, /* behind them: a word that tells of maps, and those */
    MAP_BYTES = 128,
    MOST_MAPS = 16
};

typedef enum work_kind {
    WORK_IN,
    WORK_OUT,
    WORK_MOVE,
    WORK_SET,
    WORK_EVENT,
    WORK_FREE,
    WORK_RUN
} work_kind;

typedef struct work {
    struct work *next;
    work_kind kind;
    CUdeviceptr device, other; /* device memory */
    void *host;
    const void *host_from;
    size_t bytes, unit; /* unit: of SET */
    uint32_t value;
    CUevent event;
    CUfunction function;
    sim_launch_options launch;
    uint64_t words[(MAPS_AT + MOST_MAPS * MAP_BYTES) / 8];
} work;

struct CUstream_st {
    work *first, **last;
    struct CUgraph_st *capture; /* where work goes that is not to be done yet */
};

struct CUgraph_st {
    work *first, **last;
};

/* Work to be put on streams again and again. */
struct CUgraphExec_st {
    work *first, **last;
};

struct CUevent_st {
    CUstream stream; /* of the last record that is not done, or NULL */
    uint64_t tick;   /* when it was done; 0: never */
    bool timed;
};

struct CUmod_st {
    sim_module *sim; /* NULL: machine code, whose kernels do nothing */
    char *text;
    struct CUfunc_st *functions;
};

struct CUfunc_st {
    struct CUfunc_st *next;
    CUmodule module;
    const sim_kernel *kernel;
    char name[128];
    int declared, dynamic, cluster[3];
};

struct CUctx_st {
    int users;
};

/* Everything alive, memory included. */
typedef struct thing {
    struct thing *next;
    void *pointer;
    size_t bytes; /* device memory */
    bool module;
} thing;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct CUctx_st context;
static __thread int depth; /* of the thread's stack of contexts */
static bool initialised;
static sim_machine *machine;
static thing *things;
static CUresult sticky; /* what made the context useless */
static char finding[400];
static uint64_t ticks;
static const char *calls[MAX_CALLS];
static int n_calls;
static const char *failed;

/* ---- what goes wrong ------------------------------------------------------------------------ */

static CUresult fault(const char *function) {
    const char *says = getenv("FAKE_CUDA");
    size_t n = strlen(function);
    int k = ++n_calls;
    if (k <= MAX_CALLS) {
        calls[k - 1] = function;
    }
    if (!says) {
        return CUDA_SUCCESS;
    }
    char *rest = NULL;
    bool hit = *says == '@' ? strtol(says + 1, &rest, 10) == k
                            : strncmp(says, function, n) == 0 && says[n] == '=';
    const char *code = hit ? strchr(says, '=') : NULL;
    failed = code ? function : failed;
    CUresult says_code = code ? (CUresult)strtol(code + 1, NULL, 10) : CUDA_SUCCESS;
    bool fatal = strcmp(function, "cuCtxPushCurrent_v2") == 0 ||
                 strcmp(function, "cuStreamSynchronize") == 0;
    sticky = says_code && fatal ? says_code
             : says_code >= CUDA_ERROR_ILLEGAL_ADDRESS && says_code <= CUDA_ERROR_TENSOR_MEMORY_LEAK
                 ? says_code
                 : sticky;
    return says_code;
}

/* Fault, then what the real library refuses in any call. */
static CUresult begin(const char *function, bool wants_context) {
    pthread_mutex_lock(&lock);
    CUresult code = fault(function);
    return code                          ? code
           : !initialised                ? NOT_INITIALIZED
           : wants_context && sticky     ? sticky
           : wants_context && depth <= 0 ? CUDA_ERROR_INVALID_CONTEXT
                                         : CUDA_SUCCESS;
}

static CUresult end(CUresult code) {
    pthread_mutex_unlock(&lock);
    return code;
}

#define BEGIN(wants_context)                                                                       \
    CUresult code = begin(__func__, wants_context);                                                \
    if (code) {                                                                                    \
        return end(code);                                                                          \
    }
/* What gives something back does so even when it reports a failure, as the real one does with those
 * of work before it. */
#define BEGIN_RELEASE()                                                                            \
    CUresult code = begin(__func__, true);                                                         \
    if (code && code == sticky) {                                                                  \
        return end(code);                                                                          \
    }
#define REFUSE_IF(condition, why)                                                                  \
    if (condition) {                                                                               \
        return end(why);                                                                           \
    }

void fake_cuda_reset(void) {
    n_calls = 0;
    failed = NULL;
}
int fake_cuda_calls(void) { return n_calls; }
const char *fake_cuda_call(int i) { return i < n_calls && i < MAX_CALLS ? calls[i] : ""; }
const char *fake_cuda_failed(void) { return failed ? failed : ""; }

int fake_cuda_live(void) {
    int n = context.users + depth;
    for (const thing *t = things; t; t = t->next) {
        n++;
    }
    return n;
}

/* ---- things --------------------------------------------------------------------------------- */

static void *make(size_t bytes) {
    thing *t = calloc(1, sizeof *t);
    *t = (thing){.next = things, .pointer = calloc(1, bytes)};
    things = t;
    return t->pointer;
}

static thing **find(const void *pointer) {
    thing **at = &things;
    while (*at && (*at)->pointer != pointer) {
        at = &(*at)->next;
    }
    return at;
}

static bool forget(const void *pointer) {
    thing **at = find(pointer), *t = *at;
    if (t) {
        *at = t->next;
        free(t);
    }
    return t != NULL;
}

static bool unmake(void *pointer) {
    bool known = forget(pointer);
    if (known) {
        free(pointer);
    }
    return known;
}

static bool lives(const void *pointer) { return *find(pointer) != NULL; }

static thing *memory_at(CUdeviceptr address) {
    for (thing *t = things; t; t = t->next) {
        CUdeviceptr begins = (CUdeviceptr)(uintptr_t)t->pointer;
        if (t->bytes && address >= begins && address - begins < t->bytes) {
            return t;
        }
    }
    return NULL;
}

static CUresult memory_make(CUdeviceptr *out, size_t bytes) {
    uint64_t at =
        bytes && bytes < (size_t)1 << 33 ? fake_vendor_get()->sim->memory_alloc(machine, bytes) : 0;
    if (!at) {
        return bytes ? CUDA_ERROR_OUT_OF_MEMORY : INVALID_VALUE;
    }
    thing *t = calloc(1, sizeof *t);
    *t = (thing){.next = things, .pointer = (void *)(uintptr_t)at, .bytes = bytes};
    things = t;
    *out = at;
    return CUDA_SUCCESS;
}

static CUresult memory_drop(CUdeviceptr at) {
    if (!forget((void *)(uintptr_t)at)) {
        return INVALID_VALUE;
    }
    fake_vendor_get()->sim->memory_free(machine, at);
    return CUDA_SUCCESS;
}

/* ---- work ----------------------------------------------------------------------------------- */

static bool set(CUdeviceptr at, size_t count, size_t unit, uint32_t value) {
    uint8_t block[4096];
    for (size_t i = 0; i < sizeof block; i += unit) {
        memcpy(block + i, &value, unit);
    }
    for (size_t left = count * unit, n; left; left -= n, at += n) {
        n = left < sizeof block ? left : sizeof block;
        if (!fake_vendor_get()->sim->memory_write(machine, at, block, n)) {
            return false;
        }
    }
    return true;
}

static bool move(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
    void *between = malloc(bytes);
    bool ok = between && fake_vendor_get()->sim->memory_read(machine, between, from, bytes) &&
              fake_vendor_get()->sim->memory_write(machine, to, between, bytes);
    free(between);
    return ok;
}

static CUresult run(const work *w) {
    if (!w->function->kernel) {
        return CUDA_SUCCESS;
    }
    sim_report *r = calloc(1, sizeof *r);
    sim_status st =
        fake_vendor_get()->sim->launch(machine, w->function->kernel, &w->launch, w->words, r);
    const sim_finding *f = &r->findings[0];
    CUresult code = CUDA_SUCCESS;
    if (st == SIM_E_FAULT) {
        (void)snprintf(finding, sizeof finding, "%s at line %d (PTX %d), block %u, thread %u: %s",
                       fake_vendor_get()->sim->fault_name(f->fault), (int)f->source_line,
                       (int)f->ptx_line, f->block[0], f->thread, f->text);
        code = f->fault == SIM_FAULT_BOUNDS      ? CUDA_ERROR_ILLEGAL_ADDRESS
               : f->fault == SIM_FAULT_ALIGNMENT ? CUDA_ERROR_MISALIGNED_ADDRESS
                                                 : CUDA_ERROR_LAUNCH_FAILED;
    } else if (st != SIM_OK) {
        (void)snprintf(finding, sizeof finding, "%s", r->message);
        code = CUDA_ERROR_UNKNOWN;
    }
    free(r);
    return code;
}

static CUresult perform(const work *w) {
    switch (w->kind) {
    case WORK_IN:
        return fake_vendor_get()->sim->memory_write(machine, w->device, w->host_from, w->bytes)
                   ? CUDA_SUCCESS
                   : INVALID_VALUE;
    case WORK_OUT:
        return fake_vendor_get()->sim->memory_read(machine, w->host, w->device, w->bytes)
                   ? CUDA_SUCCESS
                   : INVALID_VALUE;
    case WORK_MOVE:
        return move(w->device, w->other, w->bytes) ? CUDA_SUCCESS : INVALID_VALUE;
    case WORK_SET:
        return set(w->device, w->bytes, w->unit, w->value) ? CUDA_SUCCESS : INVALID_VALUE;
    case WORK_EVENT:
        w->event->tick = ++ticks;
        w->event->stream = NULL;
        return CUDA_SUCCESS;
    case WORK_FREE:
        return memory_drop(w->device);
    case WORK_RUN:
    default:
        ticks += 1000;
        return run(w);
    }
}

/* Does the stream's work up to the event (NULL: all). */
static CUresult drain(CUstream s, CUevent until) {
    if (s->capture) {
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    while (s->first && !sticky) {
        work *w = s->first;
        bool last = until && w->event == until && w->kind == WORK_EVENT;
        s->first = w->next;
        s->last = s->first ? s->last : &s->first;
        sticky = perform(w);
        (void)unmake(w);
        if (last) {
            break;
        }
    }
    return sticky;
}

static CUresult put(CUstream s, work w) {
    if (!lives(s)) {
        return INVALID_HANDLE;
    }
    if (s->capture && (w.kind == WORK_EVENT || w.kind == WORK_FREE)) {
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    work *kept = make(sizeof *kept), ***last = s->capture ? &s->capture->last : &s->last;
    *kept = w;
    kept->next = NULL;
    **last = kept;
    *last = &kept->next;
    return CUDA_SUCCESS;
}

/* ---- the library and its device ------------------------------------------------------------- */

CUresult cuInit(unsigned int flags) {
    pthread_mutex_lock(&lock);
    CUresult code = flags ? INVALID_VALUE : fault(__func__);
    initialised |= code == CUDA_SUCCESS;
    return end(code);
}

CUresult cuDriverGetVersion(int *version) {
    BEGIN(false)
    *version = 13000;
    return end(CUDA_SUCCESS);
}

CUresult cuGetErrorName(CUresult error, const char **text) {
    static const struct {
        CUresult code;
        const char *name;
    } names[] = {
#define TGR_CU_CONSTANT(name, value) {value, #name},
#include "drivers/cuda/constants.def"
#undef TGR_CU_CONSTANT
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].code == error && strncmp(names[i].name, "CUDA_", 5) == 0) {
            *text = names[i].name;
            return CUDA_SUCCESS;
        }
    }
    *text = NULL;
    return INVALID_VALUE;
}

CUresult cuGetErrorString(CUresult error, const char **text) {
    *text = error == sticky && finding[0]       ? finding
            : error == CUDA_ERROR_OUT_OF_MEMORY ? "out of memory"
            : error == CUDA_ERROR_INVALID_PTX   ? "a PTX JIT compilation failed"
                                                : NULL;
    return *text ? CUDA_SUCCESS : INVALID_VALUE;
}

static int capability(void) {
    const char *says = getenv("FAKE_CUDA_SM");
    return says ? (int)strtol(says, NULL, 10) : 90;
}

CUresult cuDeviceGetCount(int *count) {
    const char *says = getenv("FAKE_CUDA");
    BEGIN(false)
    *count = says && strcmp(says, "none") == 0 ? 0 : 1;
    return end(CUDA_SUCCESS);
}

CUresult cuDeviceGet(CUdevice *device, int ordinal) {
    BEGIN(false)
    REFUSE_IF(ordinal != 0, CUDA_ERROR_INVALID_DEVICE)
    *device = 0;
    return end(CUDA_SUCCESS);
}

CUresult cuDeviceGetName(char *name, int bytes, CUdevice device) {
    BEGIN(false)
    (void)device;
    (void)snprintf(name, (size_t)bytes, "Fake sm_%d", capability());
    return end(CUDA_SUCCESS);
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) {
    BEGIN(false)
    (void)device;
    *bytes = (size_t)4 << 30;
    return end(CUDA_SUCCESS);
}

static int attribute(CUdevice_attribute a) {
    const char *pools = getenv("FAKE_CUDA_POOLS");
    switch (a) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
        return capability() / 10;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
        return capability() % 10;
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE:
        return 32;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
        return MOST_THREADS;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK:
        return PLAIN_SHARED;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
        return MOST_SHARED;
    case CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED:
        return !(pools && strcmp(pools, "0") == 0);
    case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING:
        return 1;
    case CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH:
    case CU_DEVICE_ATTRIBUTE_TENSOR_MAP_ACCESS_SUPPORTED:
        return capability() >= 90;
    default:
        return -1;
    }
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute a, CUdevice device) {
    BEGIN(false)
    (void)device;
    *value = attribute(a);
    return end(*value < 0 ? (CUresult)INVALID_VALUE : (CUresult)CUDA_SUCCESS);
}

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *pool, CUdevice device) {
    BEGIN(false)
    (void)device;
    *pool = NULL;
    return end(CUDA_SUCCESS);
}

CUresult cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute a, void *value) {
    BEGIN(false)
    (void)pool;
    (void)value;
    return end(a == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD ? CUDA_SUCCESS : INVALID_VALUE);
}

/* ---- contexts ------------------------------------------------------------------------------- */

CUresult cuDevicePrimaryCtxRetain(CUcontext *out, CUdevice device) {
    BEGIN(false)
    (void)device;
    if (context.users++ == 0) {
        sticky = CUDA_SUCCESS;
        finding[0] = '\0';
        machine = fake_vendor_get()->sim->machine_make(fake_vendor_get()->model());
    }
    *out = &context;
    return end(CUDA_SUCCESS);
}

static void module_free(CUmodule m) {
    while (m->functions) {
        CUfunction f = m->functions;
        m->functions = f->next;
        free(f);
    }
    if (m->sim) {
        fake_vendor_get()->sim->module_free(m->sim);
    }
    free(m->text);
    (void)unmake(m);
}

/* A context whose work went wrong takes all with it. */
static void context_gone(void) {
    while (sticky && things) {
        if (things->bytes) {
            (void)memory_drop((CUdeviceptr)(uintptr_t)things->pointer);
        } else if (things->module) {
            module_free(things->pointer);
        } else {
            (void)unmake(things->pointer);
        }
    }
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
    CUresult code = begin(__func__, false);
    (void)device;
    REFUSE_IF(context.users == 0, CUDA_ERROR_INVALID_CONTEXT)
    if (--context.users == 0) {
        context_gone();
        sticky = CUDA_SUCCESS;
        fake_vendor_get()->sim->machine_free(machine);
        machine = NULL;
    }
    return end(code);
}

void fake_cuda_restart(void) {
    depth = 0;
    sticky = context.users ? CUDA_ERROR_DEINITIALIZED : CUDA_SUCCESS;
    context_gone();
    sticky = CUDA_SUCCESS;
    if (context.users) {
        context.users = 0;
        fake_vendor_get()->sim->machine_free(machine);
        machine = NULL;
    }
}

/* A failure means that the context is gone. */
CUresult cuCtxPushCurrent_v2(CUcontext c) {
    CUresult code = begin(__func__, false);
    REFUSE_IF(code, code)
    REFUSE_IF(c != &context || context.users == 0, CUDA_ERROR_INVALID_CONTEXT)
    depth++;
    return end(CUDA_SUCCESS);
}

/* A pop too many takes the context of somebody else: it is remembered. */
CUresult cuCtxPopCurrent_v2(CUcontext *c) {
    CUresult code = begin(__func__, false);
    depth--;
    REFUSE_IF(depth < 0, CUDA_ERROR_INVALID_CONTEXT)
    *c = &context;
    return end(code);
}

/* ---- modules -------------------------------------------------------------------------------- */

static void tell_log(unsigned int n, const CUjit_option *options, void **values, const char *text) {
    char *log = NULL;
    size_t room = 0;
    for (unsigned int i = 0; i < n; i++) {
        log = options[i] == CU_JIT_ERROR_LOG_BUFFER ? values[i] : log;
        room =
            options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES ? (size_t)(uintptr_t)values[i] : room;
    }
    if (log && room) {
        (void)snprintf(log, room, "ptxas fatal   : %s", text);
    }
}

/* To the end of the section table, which our writer puts last. */
static size_t object_bytes(const void *image) {
    uint64_t at;
    uint16_t each, n;
    memcpy(&at, (const char *)image + 40, sizeof at);
    memcpy(&each, (const char *)image + 58, sizeof each);
    memcpy(&n, (const char *)image + 60, sizeof n);
    return at + (size_t)each * n;
}

CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int n,
                            CUjit_option *options, void **values) {
    char message[256] = "";
    BEGIN(true)
    CUmodule m = make(sizeof *m);
    things->module = true;
    bool object = memcmp(image,
                         "\x7f"
                         "ELF",
                         4) == 0;
    size_t bytes = object ? object_bytes(image) : strlen(image);
    if (object == fake_vendor_get()->objects) {
        m->text = malloc(bytes + 1);
        memcpy(m->text, image, bytes);
        m->text[bytes] = '\0';
        sim_status st =
            fake_vendor_get()->sim->module_load(machine, m->text, bytes, &m->sim, message);
        if (st != SIM_OK) {
            tell_log(n, options, values, message);
            module_free(m);
            return end(object ? CUDA_ERROR_INVALID_IMAGE : CUDA_ERROR_INVALID_PTX);
        }
    }
    *module = m;
    return end(CUDA_SUCCESS);
}

CUresult cuModuleUnload(CUmodule module) {
    BEGIN_RELEASE()
    REFUSE_IF(!lives(module), INVALID_HANDLE)
    module_free(module);
    return end(code);
}

/* The entry's directives before its body, and the bytes of the array that our writer gives it. */
static void read_text(CUfunction f) {
    char key[160];
    (void)snprintf(key, sizeof key, ".entry %s(", f->name);
    const char *at = strstr(f->module->text, key), *body = at ? strchr(at, '{') : NULL;
    const char *shape = at ? strstr(at, ".reqnctapercluster ") : NULL;
    for (int i = 0; shape && shape < body && i < 3; i++) {
        shape += strcspn(shape, "0123456789{");
        f->cluster[i] = (int)strtol(shape, (char **)(uintptr_t)&shape, 10);
    }
    (void)snprintf(key, sizeof key, " %s_shared[", f->name);
    at = strstr(f->module->text, key);
    f->declared = at ? (int)strtol(at + strlen(key), NULL, 10) : 0;
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
    BEGIN(true)
    REFUSE_IF(!lives(module), INVALID_HANDLE)
    const sim_kernel *kernel =
        module->sim ? fake_vendor_get()->sim->module_kernel(module->sim, name) : NULL;
    REFUSE_IF(module->sim && !kernel, CUDA_ERROR_NOT_FOUND)
    CUfunction f = calloc(1, sizeof *f);
    *f = (struct CUfunc_st){.next = module->functions, .module = module, .kernel = kernel};
    (void)snprintf(f->name, sizeof f->name, "%s", name);
    if (module->text && !fake_vendor_get()->objects) {
        read_text(f);
    } else if (kernel) {
        f->declared = (int)fake_vendor_get()->sim->kernel_shared_bytes(kernel);
    }
    module->functions = f;
    *function = f;
    return end(CUDA_SUCCESS);
}

CUresult cuFuncGetAttribute(int *value, CUfunction_attribute a, CUfunction f) {
    BEGIN(true)
    switch (a) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
        *value = MOST_THREADS;
        break;
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
        *value = f->declared;
        break;
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH:
        *value = f->cluster[a - CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH];
        break;
    default:
        return end(INVALID_VALUE);
    }
    return end(CUDA_SUCCESS);
}

CUresult cuFuncSetAttribute(CUfunction f, CUfunction_attribute a, int value) {
    BEGIN(true)
    REFUSE_IF(a != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES ||
                  value > MOST_SHARED - f->declared,
              INVALID_VALUE)
    f->dynamic = value;
    return end(CUDA_SUCCESS);
}

/* ---- streams and events --------------------------------------------------------------------- */

CUresult cuStreamCreate(CUstream *stream, unsigned int flags) {
    BEGIN(true)
    (void)flags;
    CUstream s = make(sizeof *s);
    s->last = &s->first;
    *stream = s;
    return end(CUDA_SUCCESS);
}

CUresult cuStreamDestroy_v2(CUstream stream) {
    BEGIN_RELEASE()
    REFUSE_IF(!lives(stream), INVALID_HANDLE)
    CUresult done = drain(stream, NULL);
    (void)unmake(stream);
    return end(code ? code : done);
}

CUresult cuStreamSynchronize(CUstream stream) {
    BEGIN(true)
    REFUSE_IF(!lives(stream), INVALID_HANDLE)
    return end(drain(stream, NULL));
}

CUresult cuEventCreate(CUevent *event, unsigned int flags) {
    BEGIN(true)
    *event = make(sizeof **event);
    (*event)->timed = !(flags & CU_EVENT_DISABLE_TIMING);
    return end(CUDA_SUCCESS);
}

CUresult cuEventDestroy_v2(CUevent event) {
    BEGIN_RELEASE()
    CUresult done = unmake(event) ? CUDA_SUCCESS : INVALID_HANDLE;
    return end(code ? code : done);
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
    BEGIN(true)
    REFUSE_IF(!lives(event), INVALID_HANDLE)
    event->stream = stream;
    return end(put(stream, (work){.kind = WORK_EVENT, .event = event}));
}

CUresult cuEventSynchronize(CUevent event) {
    BEGIN(true)
    REFUSE_IF(!lives(event), INVALID_HANDLE)
    return end(event->stream ? drain(event->stream, event) : CUDA_SUCCESS);
}

CUresult cuEventElapsedTime(float *milliseconds, CUevent from, CUevent to) {
    BEGIN(true)
    REFUSE_IF(!lives(from) || !lives(to) || !from->timed || !to->timed, INVALID_HANDLE)
    REFUSE_IF(from->stream || to->stream || !from->tick, NOT_READY)
    *milliseconds = (float)(to->tick - from->tick) * 1e-3f;
    return end(CUDA_SUCCESS);
}

/* ---- graphs --------------------------------------------------------------------------------- */

CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode) {
    BEGIN(true)
    REFUSE_IF(!lives(stream) || stream->capture || mode != CU_STREAM_CAPTURE_MODE_THREAD_LOCAL,
              INVALID_VALUE)
    stream->capture = make(sizeof *stream->capture);
    stream->capture->last = &stream->capture->first;
    return end(CUDA_SUCCESS);
}

/* The capture is over, whatever is said of it. */
CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph) {
    BEGIN_RELEASE()
    REFUSE_IF(!lives(stream) || !stream->capture, INVALID_VALUE)
    *graph = stream->capture;
    stream->capture = NULL;
    return end(code);
}

static void forget_work(work *first) {
    for (work *w = first, *next; w; w = next) {
        next = w->next;
        (void)unmake(w);
    }
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags) {
    BEGIN(true)
    REFUSE_IF(!lives(graph) || flags, INVALID_VALUE)
    CUgraphExec x = make(sizeof *x);
    x->last = &x->first;
    for (const work *w = graph->first; w; w = w->next) {
        work *kept = make(sizeof *kept);
        *kept = *w;
        kept->next = NULL;
        *x->last = kept;
        x->last = &kept->next;
    }
    *exec = x;
    return end(CUDA_SUCCESS);
}

CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream) {
    BEGIN(true)
    REFUSE_IF(!lives(exec) || !lives(stream), INVALID_HANDLE)
    for (const work *w = exec->first; w && !code; w = w->next) {
        code = put(stream, *w);
    }
    return end(code);
}

CUresult cuGraphExecDestroy(CUgraphExec exec) {
    BEGIN_RELEASE()
    REFUSE_IF(!lives(exec), INVALID_HANDLE)
    forget_work(exec->first);
    (void)unmake(exec);
    return end(code);
}

CUresult cuGraphDestroy(CUgraph graph) {
    BEGIN_RELEASE()
    REFUSE_IF(!lives(graph), INVALID_HANDLE)
    forget_work(graph->first);
    (void)unmake(graph);
    return end(code);
}

/* ---- memory --------------------------------------------------------------------------------- */

CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes) {
    BEGIN(true)
    return end(memory_make(address, bytes));
}

CUresult cuMemFree_v2(CUdeviceptr address) {
    BEGIN_RELEASE()
    CUresult done = memory_drop(address);
    return end(code ? code : done);
}

CUresult cuMemAllocAsync(CUdeviceptr *address, size_t bytes, CUstream stream) {
    BEGIN(true)
    REFUSE_IF(!lives(stream), INVALID_HANDLE)
    return end(memory_make(address, bytes));
}

/* The default stream has nothing else to do. */
CUresult cuMemFreeAsync(CUdeviceptr address, CUstream stream) {
    BEGIN_RELEASE()
    CUresult done =
        stream ? put(stream, (work){.kind = WORK_FREE, .device = address}) : memory_drop(address);
    return end(code ? code : done);
}

CUresult cuMemHostAlloc(void **pointer, size_t bytes, unsigned int flags) {
    BEGIN(true)
    (void)flags;
    *pointer = make(bytes);
    return end(CUDA_SUCCESS);
}

CUresult cuMemFreeHost(void *pointer) {
    BEGIN_RELEASE()
    CUresult done = unmake(pointer) ? CUDA_SUCCESS : INVALID_VALUE;
    return end(code ? code : done);
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
    BEGIN(true)
    return end(
        put(stream, (work){.kind = WORK_IN, .device = to, .host_from = from, .bytes = bytes}));
}

CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
    BEGIN(true)
    return end(put(stream, (work){.kind = WORK_OUT, .device = from, .host = to, .bytes = bytes}));
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
    BEGIN(true)
    return end(put(stream, (work){.kind = WORK_MOVE, .device = to, .other = from, .bytes = bytes}));
}

static work set_work(CUdeviceptr to, size_t count, size_t unit, uint32_t value) {
    return (work){.kind = WORK_SET, .device = to, .bytes = count, .unit = unit, .value = value};
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, CUstream stream) {
    BEGIN(true)
    return end(put(stream, set_work(to, count, 1, value)));
}

CUresult cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t count, CUstream stream) {
    BEGIN(true)
    REFUSE_IF(to % 2, INVALID_VALUE)
    return end(put(stream, set_work(to, count, 2, value)));
}

CUresult cuMemsetD32Async(CUdeviceptr to, unsigned int value, size_t count, CUstream stream) {
    BEGIN(true)
    REFUSE_IF(to % 4, INVALID_VALUE)
    return end(put(stream, set_work(to, count, 4, value)));
}

CUresult cuPointerGetAttributes(unsigned int count, CUpointer_attribute *attributes, void **values,
                                CUdeviceptr address) {
    BEGIN(true)
    const thing *t = memory_at(address);
    for (unsigned int i = 0; i < count; i++) {
        uint64_t begins = t ? (uint64_t)(uintptr_t)t->pointer : 0, bytes = t ? t->bytes : 0;
        unsigned int type = t ? CU_MEMORYTYPE_DEVICE : 0;
        int ordinal = t ? 0 : -2;
        switch (attributes[i]) {
        case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
            memcpy(values[i], &begins, sizeof begins);
            break;
        case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
            memcpy(values[i], &bytes, sizeof bytes);
            break;
        case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
            memcpy(values[i], &type, sizeof type);
            break;
        case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
            memcpy(values[i], &ordinal, sizeof ordinal);
            break;
        default:
            return end(INVALID_VALUE);
        }
    }
    return end(CUDA_SUCCESS);
}

/* ---- launches ------------------------------------------------------------------------------- */

static CUresult refuse_shape(CUfunction f, const sim_launch_options *o) {
    for (int i = 0; i < 3; i++) {
        uint32_t wide = o->cluster[i] ? o->cluster[i] : 1;
        uint32_t wants = f->cluster[i] ? (uint32_t)f->cluster[i] : 1;
        if (wide != wants || o->grid[i] % wide) {
            return CUDA_ERROR_INVALID_CLUSTER_SIZE;
        }
        if (o->grid[i] == 0 || o->block[i] == 0) {
            return INVALID_VALUE;
        }
    }
    bool shared = (int)o->dynamic_shared > f->dynamic &&
                  o->dynamic_shared + (size_t)f->declared > PLAIN_SHARED;
    return o->block[0] * o->block[1] * o->block[2] > MOST_THREADS || shared ? INVALID_VALUE
                                                                            : CUDA_SUCCESS;
}

static CUresult put_launch(CUfunction f, const sim_launch_options *o, CUstream stream,
                           void **parameters) {
    work w = {.kind = WORK_RUN, .function = f, .launch = *o};
    size_t bytes = f->kernel ? fake_vendor_get()->param_bytes(f->kernel) : 0;
    for (int i = 0; i < WORDS; i++) {
        memcpy(&w.words[i], parameters[i], sizeof w.words[i]);
    }
    if (bytes > MAPS_AT) {
        memcpy(&w.words[WORDS], parameters[WORDS], sizeof w.words[WORDS]);
    }
    for (size_t at = MAPS_AT, i = WORDS + 1; at < bytes; at += MAP_BYTES, i++) {
        memcpy(&w.words[at / 8], parameters[i], MAP_BYTES);
    }
    CUresult code = refuse_shape(f, o);
    return code ? code : put(stream, w);
}

CUresult cuLaunchKernel(CUfunction f, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z,
                        unsigned int block_x, unsigned int block_y, unsigned int block_z,
                        unsigned int shared_bytes, CUstream stream, void **parameters,
                        void **extra) {
    BEGIN(true)
    (void)extra;
    sim_launch_options o = {.grid = {grid_x, grid_y, grid_z},
                            .block = {block_x, block_y, block_z},
                            .dynamic_shared = shared_bytes,
                            .seed = 1};
    return end(put_launch(f, &o, stream, parameters));
}

CUresult cuLaunchKernelEx(const CUlaunchConfig *c, CUfunction f, void **parameters, void **extra) {
    BEGIN(true)
    (void)extra;
    sim_launch_options o = {.grid = {c->gridDimX, c->gridDimY, c->gridDimZ},
                            .block = {c->blockDimX, c->blockDimY, c->blockDimZ},
                            .dynamic_shared = c->sharedMemBytes,
                            .seed = 1};
    for (unsigned int i = 0; i < c->numAttrs; i++) {
        REFUSE_IF(c->attrs[i].id != CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION, INVALID_VALUE)
        o.cluster[0] = c->attrs[i].value.clusterDim.x;
        o.cluster[1] = c->attrs[i].value.clusterDim.y;
        o.cluster[2] = c->attrs[i].value.clusterDim.z;
    }
    return end(put_launch(f, &o, c->hStream, parameters));
}

/* ---- tensors -------------------------------------------------------------------------------- */

CUresult cuTensorMapEncodeTiled(CUtensorMap *map, CUtensorMapDataType type, uint32_t rank,
                                void *address, const cuuint64_t *extents, const cuuint64_t *strides,
                                const uint32_t *box, const uint32_t *steps,
                                CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                                CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill) {
    BEGIN(false)
    static const struct {
        CUtensorMapDataType cuda;
        sim_tensor_type sim;
    } types[] = {{CU_TENSOR_MAP_DATA_TYPE_UINT8, SIM_TENSOR_U8},
                 {CU_TENSOR_MAP_DATA_TYPE_UINT16, SIM_TENSOR_U16},
                 {CU_TENSOR_MAP_DATA_TYPE_UINT32, SIM_TENSOR_U32},
                 {CU_TENSOR_MAP_DATA_TYPE_INT32, SIM_TENSOR_S32},
                 {CU_TENSOR_MAP_DATA_TYPE_UINT64, SIM_TENSOR_U64},
                 {CU_TENSOR_MAP_DATA_TYPE_INT64, SIM_TENSOR_S64},
                 {CU_TENSOR_MAP_DATA_TYPE_FLOAT16, SIM_TENSOR_F16},
                 {CU_TENSOR_MAP_DATA_TYPE_FLOAT32, SIM_TENSOR_F32},
                 {CU_TENSOR_MAP_DATA_TYPE_FLOAT64, SIM_TENSOR_F64},
                 {CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, SIM_TENSOR_BF16}};
    char why[256];
    sim_tensor_map m = {.address = (uint64_t)(uintptr_t)address,
                        .rank = rank,
                        .type = SIM_N_TENSOR_TYPES,
                        .swizzle = swizzle ? 16u << swizzle : 0};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        m.type = types[i].cuda == type ? types[i].sim : m.type;
    }
    for (uint32_t i = 0; i < rank && i < SIM_TENSOR_MAX_RANK; i++) {
        m.extent[i] = extents[i];
        m.stride[i] = i > 0 ? strides[i - 1] : 0;
        m.box[i] = box[i];
        m.step[i] = steps[i];
    }
    REFUSE_IF(interleave != CU_TENSOR_MAP_INTERLEAVE_NONE || swizzle > 3 || fill != 0 ||
                  promotion != CU_TENSOR_MAP_L2_PROMOTION_L2_256B ||
                  !fake_vendor_get()->sim->tensor_map_encode(&m, (uint8_t *)map->opaque, why),
              INVALID_VALUE)
    return end(CUDA_SUCCESS);
}
