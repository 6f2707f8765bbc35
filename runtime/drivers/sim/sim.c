/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVIDIA GPUs in simulation: `sim:sm_80`, `sim:sm_90a`. The devices load the PTX that ships into a
 * functional simulator (sim/ptx), a plug-in that is opened at run time; without it there are none.
 * What the simulator finds wrong in a kernel ends the launch with TGR_E_TRAP and the first finding.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/simt.h"
#include <tegula/sim_ptx.h>

enum { PLAN_THREADS = 1, GROUPS_ALONG_X = 1 << 16, GROUPS_AT_ONCE = 1 << 16 };

/* The plug-ins: a library and the function that gives its table. */
static const struct {
    const char *file, *symbol, *version, *code;
} plugins[] = {
    {"libtegula-dev-sim-ptx.so", "tegula_sim_ptx", "functional simulation of PTX", "PTX"},
    {"libtegula-dev-sim-amdgcn.so", "tegula_sim_amdgcn", "functional simulation of AMD code",
     "code object"},
    /* of the tests alone */
    {"libtegula-dev-sim-hip.so", "tegula_sim_hip", "HIP C++ compiled and run as AMD code",
     "HIP C++"},
    {"libtegula-dev-sim-cuda.so", "tegula_sim_cuda", "CUDA C++ compiled and run as PTX",
     "CUDA C++"}};
enum { PLUGIN_PTX, PLUGIN_AMD, PLUGIN_HIP, PLUGIN_CUDA, N_PLUGINS };

typedef struct sim_globals {
    void *library[N_PLUGINS];
    const sim_ptx_interface *api[N_PLUGINS]; /* NULL: it is not there */
} sim_globals;

typedef struct sim_state {
    tgr_context *context;
    const sim_ptx_interface *api;
    sim_machine *machine;
    size_t device;        /* row of the table */
    pthread_mutex_t lock; /* one launch or copy at a time */
} sim_state;

typedef struct sim_image {
    tgr_simt_image simt;
    sim_module *module;
} sim_image;

static const struct {
    const char *name;
    int plugin, model; /* model: the machine's number */
    uint32_t isa;
    int64_t shared_bytes; /* of a block that opts in */
    int32_t subgroup;
} devices[] = {{"sm_80", PLUGIN_PTX, 80, TG_ISA_PTX_SM_80, 163 << 10, 32},
               {"sm_86", PLUGIN_PTX, 86, TG_ISA_PTX_SM_86, 99 << 10, 32},
               {"sm_89", PLUGIN_PTX, 89, TG_ISA_PTX_SM_89, 99 << 10, 32},
               {"sm_90", PLUGIN_PTX, 90, TG_ISA_PTX_SM_90, 227 << 10, 32},
               {"sm_90a", PLUGIN_PTX, 90, TG_ISA_PTX_SM_90A, 227 << 10, 32},
               {"gfx942", PLUGIN_AMD, 942, TG_ISA_GFX942, 64 << 10, 64},
               {"gfx1100", PLUGIN_AMD, 1100, TG_ISA_GFX1100, 64 << 10, 32},
               {"hip", PLUGIN_HIP, 942, TG_ISA_HIP, 64 << 10, 64},
               {"cuda-c", PLUGIN_CUDA, 80, TG_ISA_CUDA_C, 48 << 10, 32}};

/* ---- the plug-in ----------------------------------------------------------------------------- */

static void *open_in(const char *directory, size_t n, const char *file) {
    char path[4096];
    int length = snprintf(path, sizeof path, "%.*s%s%s", (int)n, directory, n ? "/" : "", file);
    return length > 0 && (size_t)length < sizeof path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
}

/* Where TEGULA_PLUGINS says, beside this library or program, in lib/ beside the program's bin/,
 * then where the system looks. */
static void *open_library(const char *file) {
    const char *named = getenv("TEGULA_PLUGINS");
    Dl_info self;
    void *library = named ? open_in(named, strlen(named), file) : NULL;
    if (!library && dladdr(&devices, &self) && self.dli_fname) {
        const char *slash = strrchr(self.dli_fname, '/');
        size_t n = slash ? (size_t)(slash - self.dli_fname) : 0;
        char beside[64];
        (void)snprintf(beside, sizeof beside, "../lib/%s", file);
        library = n > 0 ? open_in(self.dli_fname, n, file) : NULL;
        library = !library && n > 0 ? open_in(self.dli_fname, n, beside) : library;
    }
    return library ? library : open_in("", 0, file);
}

static const sim_ptx_interface *open_plugin(size_t i, void **out_library) {
    const sim_ptx_interface *(*table)(void), *api = NULL;
    *out_library = open_library(plugins[i].file);
    void *symbol = *out_library ? dlsym(*out_library, plugins[i].symbol) : NULL;
    if (symbol) {
        memcpy(&table, &symbol, sizeof table);
        api = table();
    }
    if (api && api->version == SIM_PTX_VERSION) {
        return api;
    }
    if (*out_library) {
        (void)dlclose(*out_library);
        *out_library = NULL;
    }
    return NULL;
}

static tgr_status sim_attach(tgr_context *context, void **out_globals) {
    sim_globals *g = tgr_alloc(context, sizeof *g);
    bool any = false;
    if (!g) {
        return tgr_fail(context, TGR_E_NOMEM, "out of memory looking for simulators");
    }
    for (size_t i = 0; i < N_PLUGINS; i++) {
        g->api[i] = open_plugin(i, &g->library[i]);
        any = any || g->api[i];
    }
    if (!any) {
        tgr_free(context, g, sizeof *g);
        return tgr_fail(context, TGR_E_NOT_FOUND,
                        "no simulator: libtegula-dev-sim-ptx.so is not there (TEGULA_PLUGINS names "
                        "its folder)");
    }
    *out_globals = g;
    return TGR_OK;
}

static void sim_detach(tgr_context *context, void *globals) {
    sim_globals *g = globals;
    for (size_t i = 0; i < N_PLUGINS; i++) {
        if (g->library[i]) {
            (void)dlclose(g->library[i]);
        }
    }
    tgr_free(context, g, sizeof *g);
}

/* Row of device `index` among those whose plug-in is there; the table's length when there is none.
 */
static size_t row_of(const sim_globals *g, int32_t index) {
    size_t row = 0;
    for (; row < TGR_COUNT_OF(devices); row++) {
        if (g->api[devices[row].plugin] && index-- == 0) {
            break;
        }
    }
    return row;
}

/* ---- devices --------------------------------------------------------------------------------- */

static tgr_device_info info_of(size_t row) {
    return (tgr_device_info){.driver = "sim",
                             .name = devices[row].name,
                             .isa = devices[row].name,
                             .max_threads = 1,
                             .features = TGR_SIMT_F64 | TGR_SIMT_INT8 | TGR_SIMT_INT16 |
                                         TGR_SIMT_INT64 | TGR_SIMT_ATOMIC64 | TGR_SIMT_FMA |
                                         TGR_SIMT_SUBGROUPS | TGR_SIMT_SUBNORMALS | TGR_SIMT_DIV,
                             .version = plugins[devices[row].plugin].version,
                             .memory_bytes = (int64_t)4 << 30,
                             .shared_bytes = devices[row].shared_bytes,
                             .max_lanes = 1024,
                             .subgroup = devices[row].subgroup};
}

static bool sim_describe(tgr_context *context, void *globals, int32_t index, tgr_device_info *out) {
    (void)context;
    size_t row = index < 0 ? TGR_COUNT_OF(devices) : row_of(globals, index);
    if (row == TGR_COUNT_OF(devices)) {
        return false;
    }
    *out = info_of(row);
    return true;
}

static tgr_status sim_open(tgr_context *context, void *globals, int32_t index,
                           const tgr_device_options *options, void **out_state,
                           int32_t *out_threads) {
    sim_globals *g = globals;
    (void)options;
    sim_state *s = tgr_alloc(context, sizeof *s);
    if (!s || pthread_mutex_init(&s->lock, NULL) != 0) {
        tgr_free(context, s, s ? sizeof *s : 0);
        return tgr_fail(context, TGR_E_NOMEM, "out of memory opening a simulator");
    }
    s->context = context;
    s->device = row_of(g, index);
    s->api = g->api[devices[s->device].plugin];
    s->machine = s->api->machine_make(devices[s->device].model);
    if (!s->machine) {
        pthread_mutex_destroy(&s->lock);
        tgr_free(context, s, sizeof *s);
        return tgr_fail(context, TGR_E_NOMEM, "out of memory opening a simulator");
    }
    *out_state = s;
    *out_threads = 1;
    return TGR_OK;
}

static void sim_close(tgr_context *context, void *state) {
    sim_state *s = state;
    s->api->machine_free(s->machine);
    pthread_mutex_destroy(&s->lock);
    tgr_free(context, s, sizeof *s);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static uint64_t address_of(const void *p) { return (uint64_t)(uintptr_t)p; }

/* Zeroes: in pieces, since the machine has no way to fill. */
static bool clear(sim_state *s, uint64_t at, size_t bytes) {
    static const uint8_t zero[4096];
    for (size_t done = 0; done < bytes; done += sizeof zero) {
        size_t n = bytes - done < sizeof zero ? bytes - done : sizeof zero;
        if (!s->api->memory_write(s->machine, at + done, zero, n)) {
            return false;
        }
    }
    return true;
}

static tgr_status sim_alloc_memory(tgr_context *context, void *state, size_t bytes, uint32_t flags,
                                   tgr_memory *out) {
    sim_state *s = state;
    pthread_mutex_lock(&s->lock);
    uint64_t at = s->api->memory_alloc(s->machine, bytes);
    bool ok = at != 0 && (!(flags & TGR_BUFFER_ZERO) || clear(s, at, bytes));
    pthread_mutex_unlock(&s->lock);
    *out = (tgr_memory){.pointer = (void *)(uintptr_t)at, .bytes = bytes, .flags = flags};
    return ok ? TGR_OK
              : tgr_fail(context, TGR_E_NOMEM, "no memory for a buffer of %zu bytes", bytes);
}

static void sim_free_memory(tgr_context *context, void *state, tgr_memory *memory) {
    sim_state *s = state;
    (void)context;
    pthread_mutex_lock(&s->lock);
    s->api->memory_free(s->machine, address_of(memory->pointer));
    pthread_mutex_unlock(&s->lock);
}

static bool sim_holds(void *state, const void *pointer, size_t bytes) {
    sim_state *s = state;
    pthread_mutex_lock(&s->lock);
    bool held = s->api->memory_holds(s->machine, address_of(pointer), bytes);
    pthread_mutex_unlock(&s->lock);
    return held;
}

static tgr_status sim_copy_bytes(tgr_context *context, void *state, tgr_copy_kind kind, void *to,
                                 const void *from, size_t bytes) {
    sim_state *s = state;
    pthread_mutex_lock(&s->lock);
    bool ok = kind == TGR_COPY_TO_DEVICE
                  ? s->api->memory_write(s->machine, address_of(to), from, bytes)
                  : s->api->memory_read(s->machine, to, address_of(from), bytes);
    pthread_mutex_unlock(&s->lock);
    return ok ? TGR_OK : tgr_fail(context, TGR_E_MISMATCH, "a copy outside of the device's memory");
}

static tgr_status sim_fill(tgr_context *context, void *state, void *to, size_t bytes,
                           uint64_t pattern, size_t pattern_bytes) {
    uint8_t block[4096];
    for (size_t i = 0; i < sizeof block; i += pattern_bytes) {
        memcpy(block + i, &pattern, pattern_bytes);
    }
    tgr_status st = TGR_OK;
    for (size_t done = 0; done < bytes && !st; done += sizeof block) {
        size_t n = bytes - done < sizeof block ? bytes - done : sizeof block;
        st = sim_copy_bytes(context, state, TGR_COPY_TO_DEVICE, (char *)to + done, block, n);
    }
    return st;
}

/* ---- code ------------------------------------------------------------------------------------ */

static int32_t sim_isa_rank(void *state, uint32_t isa) {
    const sim_state *s = state;
    bool ptx = devices[s->device].plugin == PLUGIN_PTX;
    return isa == devices[s->device].isa ? 2 : ptx && isa == TG_ISA_PTX_SM_80 ? 1 : -1;
}

static tgr_status find_kernels(sim_state *s, sim_image *m) {
    for (uint32_t i = 0; i < m->simt.n_entries; i++) {
        tgr_simt_entry *e = &m->simt.entries[i];
        const sim_kernel *k = s->api->module_kernel(m->module, e->name);
        const sim_kernel *plan = e->plan ? s->api->module_kernel(m->module, e->plan) : k;
        if (!k || !plan) {
            return tgr_fail(s->context, TGR_E_FORMAT, "the code has no entry `%s`", e->name);
        }
        e->driver = (void *)(uintptr_t)k;
        e->driver_plan = (void *)(uintptr_t)plan;
    }
    return TGR_OK;
}

static void sim_image_unload(tgr_context *context, void *state, void *image) {
    sim_state *s = state;
    sim_image *m = image;
    pthread_mutex_lock(&s->lock);
    s->api->module_free(m->module);
    pthread_mutex_unlock(&s->lock);
    tgr_simt_image_fini(&m->simt);
    tgr_free(context, m, sizeof *m);
}

static tgr_status sim_image_load(tgr_context *context, void *state, const tgr_image_desc *desc,
                                 void **out_image) {
    sim_state *s = state;
    char message[256] = "";
    sim_image *m = tgr_alloc(context, sizeof *m);
    if (!m) {
        return tgr_fail(context, TGR_E_NOMEM, "out of memory loading code");
    }
    tgr_status st = tgr_simt_image_read(context, desc, &m->simt);
    if (!st) {
        pthread_mutex_lock(&s->lock);
        sim_status loaded = s->api->module_load(s->machine, (const char *)m->simt.code,
                                                m->simt.code_bytes, &m->module, message);
        pthread_mutex_unlock(&s->lock);
        st = loaded == SIM_OK        ? TGR_OK
             : loaded == SIM_E_NOMEM ? tgr_fail(context, TGR_E_NOMEM, "out of memory loading code")
                                     : tgr_fail(context, TGR_E_UNSUPPORTED, "%s: %s",
                                                plugins[devices[s->device].plugin].code, message);
    }
    st = st ? st : find_kernels(s, m);
    if (st) {
        sim_image_unload(context, s, m);
        return st;
    }
    *out_image = m;
    return TGR_OK;
}

static void sim_image_entry(void *image, uint64_t plan, const uint64_t *phases, uint32_t n_phases,
                            tgr_entry *out) {
    sim_image *m = image;
    (void)plan;
    tgr_simt_image_entry(&m->simt, m, phases, n_phases, out);
}

/* ---- launches -------------------------------------------------------------------------------- */

/* Parameters as they lie in the kernel's memory (core/simt.h). */
typedef struct parameters {
    uint64_t words[TGR_SIMT_MAPS_AT / sizeof(uint64_t)];
    uint8_t maps[TG_SIMT_MAX_MAPS][TGR_SIMT_MAP_BYTES];
} parameters;

typedef struct launch {
    sim_state *s;
    const tgr_run *run;
    uint64_t slots, report, scratch;
    parameters given;
} launch;

static bool map_type(tg_dtype t, sim_tensor_type *out) {
    static const sim_tensor_type types[TG_DT_COUNT] = {
        [TG_DT_BOOL] = 1 + SIM_TENSOR_U8,       [TG_DT_I8] = 1 + SIM_TENSOR_U8,
        [TG_DT_U8] = 1 + SIM_TENSOR_U8,         [TG_DT_F8E4M3] = 1 + SIM_TENSOR_U8,
        [TG_DT_F8E4M3FNUZ] = 1 + SIM_TENSOR_U8, [TG_DT_F8E5M2] = 1 + SIM_TENSOR_U8,
        [TG_DT_F8E8M0] = 1 + SIM_TENSOR_U8,     [TG_DT_I16] = 1 + SIM_TENSOR_U16,
        [TG_DT_U16] = 1 + SIM_TENSOR_U16,       [TG_DT_I32] = 1 + SIM_TENSOR_S32,
        [TG_DT_U32] = 1 + SIM_TENSOR_U32,       [TG_DT_I64] = 1 + SIM_TENSOR_S64,
        [TG_DT_U64] = 1 + SIM_TENSOR_U64,       [TG_DT_F16] = 1 + SIM_TENSOR_F16,
        [TG_DT_BF16] = 1 + SIM_TENSOR_BF16,     [TG_DT_F32] = 1 + SIM_TENSOR_F32,
        [TG_DT_F64] = 1 + SIM_TENSOR_F64};
    *out = types[t] ? types[t] - 1 : SIM_N_TENSOR_TYPES;
    return types[t] != 0;
}

/* The launch's maps; one that cannot be is left out and the kernel goes another way. */
static void encode_maps(launch *l, const tgr_simt_entry *e) {
    for (uint32_t i = 0; i < e->n_maps; i++) {
        tgr_tile t;
        char why[256];
        sim_tensor_map m = {0};
        if (!tgr_simt_tile(&e->maps[i], l->run->slots, &t) || !map_type(t.dtype, &m.type)) {
            continue;
        }
        m.address = t.address;
        m.rank = t.rank;
        m.swizzle = t.swizzle;
        for (uint32_t k = 0; k < t.rank; k++) {
            m.extent[k] = t.extents[k];
            m.stride[k] = t.strides[k];
            m.box[k] = t.box[k];
        }
        if (l->s->api->tensor_map_encode(&m, l->given.maps[i], why)) {
            l->given.words[5] |= (uint64_t)1 << i;
        }
    }
}

static void drop(launch *l) {
    l->s->api->memory_free(l->s->machine, l->slots);
    l->s->api->memory_free(l->s->machine, l->report);
    l->s->api->memory_free(l->s->machine, l->scratch);
}

static tgr_status prepare(launch *l, size_t scratch_bytes) {
    static const uint32_t no_report[TGR_SIMT_REPORT_WORDS] = {0};
    sim_state *s = l->s;
    size_t bytes = l->run->n_slots * sizeof *l->run->slots;
    l->slots = s->api->memory_alloc(s->machine, bytes + sizeof *l->run->slots);
    l->report = s->api->memory_alloc(s->machine, sizeof no_report);
    l->scratch = s->api->memory_alloc(s->machine, scratch_bytes + 1);
    bool ok = l->slots && l->report && l->scratch &&
              s->api->memory_write(s->machine, l->slots, l->run->slots, bytes) &&
              s->api->memory_write(s->machine, l->report, no_report, sizeof no_report);
    return ok ? TGR_OK
              : tgr_fail(s->context, TGR_E_NOMEM, "out of memory launching `%s`", l->run->name);
}

static tgr_status tell(launch *l, sim_status st, const sim_report *r) {
    const sim_finding *f = &r->findings[0];
    if (st != SIM_E_FAULT) {
        return tgr_fail(l->s->context, st == SIM_E_NOMEM ? TGR_E_NOMEM : TGR_E_UNSUPPORTED,
                        "kernel `%s`: %s", l->run->name, r->message);
    }
    return tgr_fail(l->s->context, TGR_E_TRAP,
                    "kernel `%s`: %s at line %d (code %d), block %u, thread %u, address 0x%" PRIx64
                    ": %s; %u kinds of findings",
                    l->run->name, l->s->api->fault_name(f->fault), (int)f->source_line,
                    (int)f->ptx_line, f->block[0], f->thread, f->address, f->text, r->n_findings);
}

/* TEGULA_SIM_TIMELINE names a file: the last launch's timeline, for chrome://tracing. */
static tgr_status keep_timeline(launch *l, sim_timeline *t, const char *path) {
    char *json = l->s->api->timeline_json(t);
    FILE *f = json ? fopen(path, "w") : NULL;
    bool ok = f && fputs(json, f) >= 0;
    ok = f && fclose(f) == 0 && ok;
    free(json);
    l->s->api->timeline_free(t);
    return ok ? TGR_OK : tgr_fail(l->s->context, TGR_E_IO, "cannot write `%s`", path);
}

/* Shared memory that the record wants beyond what the text declares is dynamic. */
static tgr_status enqueue(launch *l, const sim_kernel *k, uint64_t shared_bytes, int64_t first,
                          int64_t end, uint32_t lanes) {
    const uint64_t words[5] = {l->slots, (uint64_t)first, (uint64_t)end, l->scratch, l->report};
    memcpy(l->given.words, words, sizeof words);
    uint64_t n = (uint64_t)(end - first), x = n < GROUPS_ALONG_X ? n : GROUPS_ALONG_X;
    size_t declared = l->s->api->kernel_shared_bytes(k);
    const char *path = getenv("TEGULA_SIM_TIMELINE");
    sim_timeline timeline = {0};
    sim_launch_options o = {.grid = {(uint32_t)x, (uint32_t)((n + x - 1) / x), 1},
                            .block = {lanes, 1, 1},
                            .dynamic_shared = shared_bytes > declared ? shared_bytes - declared : 0,
                            .timeline = path ? &timeline : NULL,
                            .seed = 1};
    sim_report *r = tgr_alloc(l->s->context, sizeof *r);
    if (!r) {
        return tgr_fail(l->s->context, TGR_E_NOMEM, "out of memory launching `%s`", l->run->name);
    }
    sim_status done = l->s->api->launch(l->s->machine, k, &o, &l->given, r);
    tgr_status st = path ? keep_timeline(l, &timeline, path) : TGR_OK;
    st = done == SIM_OK ? st : tell(l, done, r);
    tgr_free(l->s->context, r, sizeof *r);
    return st;
}

static bool read_report(launch *l, uint32_t report[TGR_SIMT_REPORT_WORDS]) {
    return l->s->api->memory_read(l->s->machine, report, l->report,
                                  TGR_SIMT_REPORT_WORDS * sizeof *report);
}

static tgr_status run_plan(sim_state *s, const tgr_run *run, const tgr_simt_entry *e,
                           int64_t *out_programs) {
    launch l = {.s = s, .run = run};
    tg_cpu_plan plan = {0};
    uint32_t report[TGR_SIMT_REPORT_WORDS] = {0};
    tgr_status st = prepare(&l, sizeof plan);
    st = st ? st : enqueue(&l, e->driver_plan, 0, 0, 1, PLAN_THREADS);
    bool read = !st && read_report(&l, report) &&
                s->api->memory_read(s->machine, &plan, l.scratch, sizeof plan);
    drop(&l);
    return st ? st
           : read
               ? tgr_simt_planned(s->context, run, &plan, report, out_programs)
               : tgr_fail(s->context, TGR_E_INTERNAL, "the plan of `%s` cannot be read", run->name);
}

static tgr_status run_programs(sim_state *s, const tgr_run *run, const tgr_simt_entry *e,
                               const tgr_device_info *info, int64_t programs) {
    launch l = {.s = s, .run = run};
    uint32_t report[TGR_SIMT_REPORT_WORDS] = {0};
    int64_t slice = tgr_simt_slice(info, e->scratch_bytes, programs, GROUPS_AT_ONCE);
    encode_maps(&l, e);
    tgr_status st = prepare(&l, (size_t)e->scratch_bytes * (size_t)slice);
    for (int64_t at = 0; at < programs && !st;) {
        int64_t end = programs - at < slice ? programs : at + slice;
        st = enqueue(&l, e->driver, e->shared_bytes, at, end, e->lanes);
        at = end;
    }
    bool read = read_report(&l, report);
    drop(&l);
    return st ? st : read ? tgr_simt_trapped(s->context, run, report) : TGR_E_INTERNAL;
}

static tgr_status run_locked(sim_state *s, tgr_run *run) {
    const tgr_simt_entry *e = run->entry->simt;
    const sim_image *image = run->entry->image;
    tgr_device_info info = info_of(s->device);
    int64_t programs = 0;
    tgr_status st = tgr_simt_admit(s->context, &info, run, e);
    if (!st) {
        st = e->plan ? run_plan(s, run, e, &programs)
                     : tgr_simt_programs(s->context, run, e, &programs);
    }
    run->programs = st ? 0 : programs;
    if (!st) {
        tgr_simt_trace(s->context, run, e, image->simt.code, image->simt.code_bytes, "");
    }
    return st || programs == 0 ? st : run_programs(s, run, e, &info, programs);
}

static tgr_status sim_run(tgr_context *context, void *state, tgr_run *run) {
    sim_state *s = state;
    (void)context;
    run->programs = 0;
    pthread_mutex_lock(&s->lock);
    tgr_status st = run_locked(s, run);
    pthread_mutex_unlock(&s->lock);
    return st;
}

const tgr_driver tgr_driver_sim = {
    .name = "sim",
    .attach = sim_attach,
    .detach = sim_detach,
    .describe = sim_describe,
    .open = sim_open,
    .close = sim_close,
    .memory_alloc = sim_alloc_memory,
    .memory_free = sim_free_memory,
    .holds = sim_holds,
    .copy = sim_copy_bytes,
    .fill = sim_fill,
    .isa_rank = sim_isa_rank,
    .image_load = sim_image_load,
    .image_unload = sim_image_unload,
    .image_entry = sim_image_entry,
    .run = sim_run,
};
