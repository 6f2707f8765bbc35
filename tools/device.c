/* SPDX-License-Identifier: Apache-2.0 */
/* Devices of the runtime as the command uses them: open, compile a kernel of a file, launch it. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "compiler/compiler.h"
#include "tools/fault.h"
#include "tools/limits.h"
#include "tools/mirror.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <tegula/compiler.h>

struct tool_device {
    tgr_context *context;
    tgr_device *device;
    tgr_queue *queue;
    tgr_cache *cache;
    const char *name;
    tool_fault fault;
    const tg_machine *row; /* whose code it gets; NULL: it chooses */
    tgr_status last;       /* of what failed last */
    bool replay;           /* launches are captured into graphs that run */
};

struct tool_code {
    tool_device *device;
    tgr_module *module;
    tgr_kernel *kernel;
    bool checked;
    tool_mirrors mirrors;
};

double tool_now(void) {
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

int tool_processors(void) {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

static void report(tool *t, tool_device *d, const char *what, tgr_status s) {
    char text[1024] = "";
    d->last = s;
    if (d->context != NULL) {
        (void)tgr_context_message(d->context, text, sizeof text);
    }
    tool_error(t, TG_D_TOOL, "%s: %s", what, text[0] != '\0' ? text : tgr_status_sentence(s));
}

/* `opencl+div-inexact`: the device before the plus, taken to have the quirks behind it. A plus that
 * no quirk follows is part of a name. */
static const char *split_quirks(tool *t, const char *name, unsigned *out_quirks) {
    *out_quirks = 0;
    for (const char *plus = strchr(name, '+'); plus != NULL; plus = strchr(plus + 1, '+')) {
        const tg_machine *m =
            tg_machine_named(&t->arena, tg_arena_printf(&t->arena, "opencl%s", plus));
        if (m != NULL) {
            *out_quirks = m->quirks;
            return tg_arena_strndup(&t->arena, name, (size_t)(plus - name));
        }
    }
    return name;
}

/* `opencl@opencl`: the device before the @, which gets the code of the machine row behind it
 * instead of the row that it would choose. An @ that no row follows is part of a name. */
static const char *split_row(tool *t, const char *name, const tg_machine **out) {
    const char *at = strrchr(name, '@');
    *out = at != NULL ? tg_machine_named(&t->arena, at + 1) : NULL;
    return *out != NULL ? tg_arena_strndup(&t->arena, name, (size_t)(at - name)) : name;
}

tool_device *tool_device_open(tool *t, const char *name, int threads) {
    tool_device *d = TG_NEW(&t->arena, tool_device);
    tgr_device_options options = TGR_INIT(tgr_device_options);
    bool bad;
    unsigned quirks;
    name = split_row(t, name, &d->row);
    d->name = split_quirks(t, name, &quirks);
    options.n_threads = threads;
    if (tool_fault_parse(name, &d->fault, &bad)) {
        d->name = split_quirks(t, tool_fault_device(name), &quirks);
    }
    if (bad) {
        tool_error(t, TG_D_TOOL,
                   "'%s' is not a fake device: fake:none, hang, crash, corrupt, stale, lost or "
                   "beyond, and @N for the launch",
                   name);
        return NULL;
    }
    tgr_status s = tgr_context_create(NULL, &d->context);
    s = s == TGR_OK ? tgr_device_open(d->context, d->name, &options, &d->device) : s;
    s = s == TGR_OK ? tgr_queue_create(d->device, 0, &d->queue) : s;
    s = s == TGR_OK ? tgr_cache_open(d->context, NULL, 0, &d->cache) : s;
    if (s != TGR_OK) {
        report(t, d, "device", s);
        tool_device_close(d);
        return NULL;
    }
    if (quirks != 0) {
        tgr_device_set_profile(d->device, quirks | tgc_device_quirks(d->device, d->cache));
    }
    return d;
}

void tool_device_close(tool_device *d) {
    tgr_cache_release(d->cache);
    tgr_queue_release(d->queue);
    tgr_device_release(d->device);
    tgr_context_release(d->context);
    *d = (tool_device){0};
}

bool tool_device_lost(const tool_device *d) { return d->last == TGR_E_LOST; }

bool tool_device_refused(const tool_device *d) { return d->last == TGR_E_UNSUPPORTED; }

static tgr_device_info info_of(const tool_device *d) {
    tgr_device_info info;
    tgr_device_get_info(d->device, &info);
    return info;
}

const char *tool_device_vendor(const tool_device *d) { return info_of(d).driver; }

const char *tool_device_isa(const tool_device *d) {
    const char *isa = info_of(d).isa;
    return isa != NULL ? isa : "";
}

bool tool_device_on_host(const tool_device *d) { return info_of(d).host_memory != 0; }

int tool_device_threads(const tool_device *d) { return tgr_device_threads(d->device); }

const char *tool_device_machine(tool *t, const tool_device *d) {
    tgr_device_info info = info_of(d);
    char processor[128];
    tool_processor_name(processor, sizeof processor);
    return info.host_memory != 0
               ? tg_arena_printf(&t->arena, "%s x%d", processor, tool_device_threads(d))
               : tg_arena_printf(&t->arena, "%s %s", info.driver, info.name);
}

static const tgr_setting *runtime_settings(tool *t, const tg_setting *settings, int n) {
    tgr_setting *out = TG_NEW_ARRAY(&t->arena, tgr_setting, n + 1);
    for (int i = 0; i < n; i++) {
        out[i] = (tgr_setting){.name = settings[i].name, .value = settings[i].value};
    }
    return out;
}

tool_code *tool_device_compile(tool *t, tool_device *d, const char *path, const char *kernel,
                               const tg_setting *settings, int n_settings,
                               const tool_compile_options *options, double *out_compile_ms) {
    const tg_source *src = tool_read_source(t, path);
    if (src == NULL) {
        return NULL;
    }
    tgc_instance instance = {.kernel = kernel,
                             .settings = runtime_settings(t, settings, n_settings),
                             .n_settings = n_settings};
    tgc_options c = TGR_INIT(tgc_options);
    c.source_name = src->name;
    c.source = src->text;
    c.source_bytes = src->len;
    c.import = tool_import_text;
    c.import_user = t;
    c.instances = &instance;
    c.n_instances = 1;
    c.no_schedule = options->no_schedule;
    char target[TGC_TARGET_BYTES];
    const char *targets[] = {target};
    if (d->row != NULL) {
        tgc_target_name(d->row, tgc_device_quirks(d->device, d->cache), target);
        c.targets = targets;
        c.n_targets = 1;
    }
    c.json = t->json;
    tgr_load_options load = TGR_INIT(tgr_load_options);
    load.flags = TGR_LOAD_TRUSTED | (getenv("TEGULA_PERF_MAP") != NULL ? TGR_LOAD_PERF_MAP : 0);
    tool_code *code = TG_NEW(&t->arena, tool_code);
    *code = (tool_code){.device = d, .checked = options->checked};
    char *diagnostics = NULL;
    double begin = tool_now();
    tgr_status s = tgr_module_from_source(d->device, &c, options->no_cache ? NULL : d->cache, &load,
                                          &code->module, &diagnostics);
    if (out_compile_ms != NULL) {
        *out_compile_ms = 1e3 * (tool_now() - begin);
    }
    s = s == TGR_OK ? tgr_module_find(code->module, kernel, NULL, 0, &code->kernel) : s;
    if (s != TGR_OK) {
        d->last = s;
        if (s == TGR_E_UNSUPPORTED && diagnostics != NULL && diagnostics[0] != '\0') {
            size_t line = strcspn(diagnostics, "\n");
            tool_error(t, TG_D_TOOL, "%.*s", (int)line, diagnostics);
        } else if (diagnostics != NULL && diagnostics[0] != '\0') {
            (void)fputs(diagnostics, t->json ? stdout : stderr);
            t->failed = true;
        } else {
            report(t, d, kernel, s);
        }
    }
    tgc_text_free(&c, diagnostics);
    if (s != TGR_OK) {
        tgr_module_release(code->module);
        return NULL;
    }
    return code;
}

void tool_code_free(tool_code *c) {
    if (c != NULL) {
        tool_mirror_free(&c->mirrors);
        tgr_module_release(c->module);
        c->module = NULL;
    }
}

/* Arguments as the device takes them: host memory itself or copies of it. */
static tgr_status make_args(tool *t, tool_code *c, tool_kernel *k, tgr_arg *args) {
    bool on_host = tool_device_on_host(c->device);
    tgr_status s = TGR_OK;
    for (int i = 0; i < k->n_args && s == TGR_OK; i++) {
        const tool_array *a = &k->args[i];
        if (a->rank == 0) {
            args[i] = tgr_arg_bits(a->dtype, a->scalar);
        } else if (on_host) {
            args[i] =
                tgr_arg_tensor_strided(a->data, a->dtype, a->rank, a->extent, a->stride_bytes);
        } else {
            s = tool_mirror_put(t, &c->mirrors, c->device->device, c->device->queue, a, &args[i]);
        }
    }
    return s;
}

void tool_code_resident(tool_code *c, bool resident) {
    c->mirrors.resident = resident;
    if (!resident) {
        tool_mirror_free(&c->mirrors);
    }
}

bool tool_code_fetch(tool *t, tool_code *c, tool_kernel *k) {
    tgr_status s = tool_mirror_get(&c->mirrors, c->device->queue, k);
    if (s != TGR_OK) {
        report(t, c->device, k->name, s);
    }
    return s == TGR_OK;
}

void tool_device_replay(tool_device *d) { d->replay = true; }

/* Captures the launch alone and runs the graph. */
static tgr_status replay(tgr_queue *queue, const tgr_kernel *kernel, const tgr_arg *args, int n,
                         const tgr_launch_options *options) {
    tgr_graph *graph = NULL;
    tgr_status s = tgr_capture_begin(queue);
    if (s != TGR_OK) {
        return s;
    }
    s = tgr_launch(queue, kernel, args, n, options);
    tgr_status ended = tgr_capture_end(queue, &graph);
    s = s == TGR_OK ? ended : s;
    s = s == TGR_OK ? tgr_graph_launch(queue, graph) : s;
    tgr_graph_release(graph);
    return s;
}

static tgr_status launch(tool *t, tool_code *c, tool_kernel *k, const tgr_launch_options *options) {
    tgr_arg args[64];
    tgr_status s = make_args(t, c, k, args);
    if (s == TGR_OK) {
        s = (c->device->replay ? replay : tgr_launch)(c->device->queue, c->kernel, args, k->n_args,
                                                      options);
    }
    if (!c->mirrors.resident) {
        s = s == TGR_OK ? tool_mirror_get(&c->mirrors, c->device->queue, k) : s;
        tool_mirror_free(&c->mirrors);
    }
    return s;
}

/* dims: room for the kernel's symbols. */
static bool make_options(tool *t, const tool_code *c, const tool_kernel *k, tgr_dim_value dims[64],
                         tgr_launch_options *out) {
    if (k->n_args > 64 || k->n_syms > 64) {
        tool_error(t, TG_D_TOOL, "%s has more than 64 parameters", k->name);
        return false;
    }
    for (int i = 0; i < k->n_syms; i++) {
        dims[i] = (tgr_dim_value){.name = k->sym_names[i].name, .value = k->syms[i]};
    }
    *out = TGR_INIT(tgr_launch_options);
    out->checked = c->checked;
    out->dims = dims;
    out->n_dims = k->n_syms;
    return true;
}

bool tool_code_launch(tool *t, tool_code *c, tool_kernel *k) {
    tgr_dim_value dims[64];
    tgr_launch_options options;
    if (!make_options(t, c, k, dims, &options)) {
        return false;
    }
    tool_fault_act act = tool_fault_before(&c->device->fault);
    tgr_status s = act == TOOL_FAULT_FAIL ? TGR_E_LOST : TGR_OK;
    if (act == TOOL_FAULT_RUN) {
        s = launch(t, c, k, &options);
        tool_fault_after(&c->device->fault, k);
    }
    if (s != TGR_OK) {
        report(t, c->device, k->name, s);
    }
    return s == TGR_OK;
}

const tool_mirrors *tool_code_mirrors(const tool_code *c) { return &c->mirrors; }

tgr_device_info tool_code_device(const tool_code *c) { return info_of(c->device); }

bool tool_code_trace(tool *t, tool_code *c, tool_kernel *k, tgr_trace_fn fn, void *user) {
    tgr_dim_value dims[64];
    tgr_launch_options options;
    if (!make_options(t, c, k, dims, &options)) {
        return false;
    }
    tgr_context_set_trace(c->device->context, fn, user);
    tgr_status s = launch(t, c, k, &options);
    tgr_context_set_trace(c->device->context, NULL, NULL);
    return s == TGR_OK;
}
