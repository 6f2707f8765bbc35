/* SPDX-License-Identifier: Apache-2.0 */
/* Compiling, launching and judging the device probes: see probe.h. */
#include "compiler/probe.h"

#include <string.h>

#include "backends/lower/expand/expand.h"
#include "backends/lower/quirks/quirks.h"
#include "backends/pack/package_write.h"
#include "backends/pack/simt_image.h"

/* ---- the list -------------------------------------------------------------------------------- */

const tgc_probe *tgc_probe_at(int i) {
    const struct {
        const tgc_probe *rows;
        int n;
    } tables[] = {{tgc_probes, tgc_n_probes},
                  {tgc_probes_exact, tgc_n_probes_exact},
                  {tgc_probes_memory, tgc_n_probes_memory},
                  {tgc_probes_flow, tgc_n_probes_flow}};
    for (size_t t = 0; i >= 0 && t < TG_COUNT_OF(tables); t++) {
        if (i < tables[t].n) {
            return &tables[t].rows[i];
        }
        i -= tables[t].n;
    }
    return NULL;
}

/* ---- packages -------------------------------------------------------------------------------- */

/* The names of the tensors: y, a, b, and e0, e1 ... more. */
static void add_params(tg_sb *sb, const tgc_probe *q, const char *before, const char *between,
                       const char *after) {
    static const char *const names[] = {"y", "a", "b"};
    for (int i = 0; i < 3 + q->extra; i++) {
        tg_sb_add(sb, i ? between : "");
        tg_sb_add(sb, before);
        if (i < 3) {
            tg_sb_add(sb, names[i]);
        } else {
            tg_sb_addf(sb, "e%d", i - 3);
        }
        tg_sb_addf(sb, ": tensor<u32[N]>%s", i == 0 ? after : "");
    }
}

static int lanes_of(const tgc_probe *q) { return q->lanes ? q->lanes : TGC_PROBE_LANES; }

static const char *tile_text(tgc_prober *p, const tgc_probe *q) {
    tg_sb sb;
    tg_sb_init(&sb, p->arena);
    tg_sb_add(&sb, "tegula-ir 1\nkernel tile probe {\nsyms N\n");
    add_params(&sb, q, "param ", "\n", " out");
    tg_sb_addf(&sb, "\naxis i by %d\ngrid (", lanes_of(q));
    add_params(&sb, q, "%g", ", ", "");
    tg_sb_add(&sb, ") {\n%n = sym {sym = 0} : i64\nyield %n\n}\nbody (");
    add_params(&sb, q, "%", ", ", "");
    tg_sb_add(&sb, ", %i: i64) {}\n}\n");
    return sb.data;
}

/* Does the text name the value %x? */
static bool names(const char *text, char x) {
    for (const char *c = strchr(text, '%'); c; c = strchr(c + 1, '%')) {
        bool longer = tg_simt_word_char(c[1]) && tg_simt_word_char(c[2]);
        if (c[1] == x && !longer) {
            return true;
        }
    }
    return false;
}

/* What the body does not name is not loaded: the word may be one that other programs change. */
static const char *loop_text(tgc_prober *p, const tgc_probe *q) {
    const char *body = q->make ? q->make(p->arena) : q->body;
    bool stores = !strstr(body, "%r = "); /* what it must, by itself */
    return tg_arena_printf(
        p->arena,
        "tegula-ir 1\nkernel loop \"probe.phase0\" {\nrole simt\n"
        "program lanes %d shared %s scratch 0\n"
        "body (%%slots: ptr, %%p: i64, %%lane: i32, %%scratch: ptr, %%report: ptr) {\n%s"
        "%%sy = slot %%slots {i = 0} : ptr\n%%sa = slot %%slots {i = 3} : ptr\n"
        "%%sb = slot %%slots {i = 6} : ptr\n%%lanes = const {i = %d} : i64\n"
        "%%lane64 = cast %%lane : i64\n%%first = mul %%p, %%lanes : i64\n"
        "%%at = add %%first, %%lane64 : i64\n%%px = gep %%sa, %%at {bytes = 4} : ptr\n"
        "%%pb = gep %%sb, %%at {bytes = 4} : ptr\n%%py = gep %%sy, %%at {bytes = 4} : ptr\n"
        "%s%s%s%syield\n}\n}\n",
        lanes_of(q), q->shared, q->arrays, lanes_of(q),
        names(body, 'a') ? "%a = loadm %px : u32\n" : "",
        names(body, 'b') ? "%b = loadm %pb : u32\n" : "", body, stores ? "" : "storem %py, %r\n");
}

/* ---- CPUs ------------------------------------------------------------------------------------ */

static bool on_cpu(const tgc_prober *p) { return p->machine->class_ == TG_MACHINE_CPU; }

/* A CPU runs lanes one after the other: what they share, or wait for, is none of its. */
static bool has_lanes(const char *body, const tgc_probe *q) {
    return *q->arrays || strstr(body, "barrier") || strstr(body, "aatomic");
}

static tg_module *parse(tgc_prober *p, const char *text) {
    tg_source *src = TG_NEW(p->arena, tg_source);
    tg_module *m = NULL;
    *src = (tg_source){.name = "probe", .text = text, .len = strlen(text)};
    tg_status st = tg_module_parse(src, p->arena, &p->sink, &m);
    st = st ? st : tg_module_verify(m, &p->sink);
    return st ? NULL : m;
}

#if TEGULA_HAVE_LLVM
/* The body in a loop over the lanes in one over the programs. */
static const char *phase_text(tgc_prober *p, const char *body, const char *last) {
    return tg_arena_printf(
        p->arena,
        "kernel loop \"probe.phase0\" {\nrole phase0\n"
        "body (%%slots: ptr, %%begin: i64, %%end: i64, %%scratch: ptr, %%place: ptr, %%report: "
        "ptr) "
        "{\n"
        "%%zero_lane = const {i = 0} : i64\n%%one_lane = const {i = 1} : i64\n"
        "%%lanes = const {i = %d} : i64\nfor %%begin, %%end, %%one_lane (%%p: i64) {\n"
        "for %%zero_lane, %%lanes, %%one_lane (%%lane64: i64) {\n%%lane = cast %%lane64 : i32\n"
        "%%sy = slot %%slots {i = 0} : ptr\n%%sa = slot %%slots {i = 3} : ptr\n"
        "%%sb = slot %%slots {i = 6} : ptr\n%%first = mul %%p, %%lanes : i64\n"
        "%%at = add %%first, %%lane64 : i64\n%%px = gep %%sa, %%at {bytes = 4} : ptr\n"
        "%%pb = gep %%sb, %%at {bytes = 4} : ptr\n%%py = gep %%sy, %%at {bytes = 4} : ptr\n"
        "%s%s%s%syield\n}\nyield\n}\nyield\n}\n}\n",
        TGC_PROBE_LANES, names(body, 'a') ? "%a = loadm %px : u32\n" : "",
        names(body, 'b') ? "%b = loadm %pb : u32\n" : "", body, last);
}

/* The plan function is that of a kernel of the same grid that does nothing. */
static tg_module *cpu_module(tgc_prober *p, const tgc_probe *q) {
    tg_module *tile = parse(p, tile_text(p, q)), *loop = tg_module_make(p->arena);
    tg_sb text;
    if (!tile || tg_lower_cpu(tile->first_func, p->machine, loop, &p->sink)) {
        return NULL;
    }
    tg_sb_init(&text, p->arena);
    tg_module_print(&text, loop);
    const char *plan = strstr(text.data, "kernel loop \"probe.plan\"");
    const char *next = plan ? strstr(plan + 1, "\nkernel loop") : NULL;
    const char *body = q->make ? q->make(p->arena) : q->body;
    const char *phase = phase_text(p, body, strstr(body, "%r = ") ? "storem %py, %r\n" : "");
    tg_module *m =
        plan ? parse(p, tg_arena_printf(p->arena, "tegula-ir 1\n%.*s\n%s",
                                        (int)(next ? (size_t)(next - plan) : strlen(plan)), plan,
                                        phase))
             : NULL;
    for (tg_func *f = m ? m->first_func : NULL; f; f = f->next) {
        tg_expand_legalise(f, p->machine);
    }
    return m;
}
#endif

tg_module *tgc_probe_module(tgc_prober *p, const tgc_probe *q) {
    tg_module *m = parse(p, loop_text(p, q));
    if (m) {
        tg_expand_legalise(m->first_func, p->machine);
    }
    return m && tg_go_around(m, p->machine, &p->sink) == TG_OK ? m : NULL;
}

static tg_status emit(tgc_prober *p, tg_module *loop, const unsigned char **code, size_t *n) {
#if TEGULA_HAVE_SIMT_C
    if (tg_machine_prints_c(p->machine)) {
        return tg_simt_c_emit(loop, p->machine, p->arena, &p->sink, code, n);
    }
#endif
#if TEGULA_HAVE_LLVM
    if (p->machine->emitter == TG_EMIT_LLVM) {
        bool amd = strcmp(p->machine->vendor, "hip") == 0; /* an object to link; PTX is text */
        tg_llvm_options o = {.opt_level = 2, .emit = amd ? TG_LLVM_OBJECT : TG_LLVM_ASM};
        tg_status st = tg_llvm_emit(loop, p->machine, &o, p->arena, &p->sink, code, n);
        return st || !amd ? st : tg_hsaco_link(*code, *n, p->arena, &p->sink, code, n);
    }
#endif
#if TEGULA_HAVE_SPIRV
    if (p->machine->emitter == TG_EMIT_SPIRV_VULKAN ||
        p->machine->emitter == TG_EMIT_SPIRV_OPENCL) {
        return tg_spirv_emit(loop, p->machine, p->arena, &p->sink, code, n);
    }
#endif
    (void)loop;
    (void)code;
    (void)n;
    tg_error(&p->sink, TG_D_BACKEND, (tg_span){0}, "this build cannot write code for %s",
             p->machine->name);
    return TG_E_UNSUPPORTED;
}

/* The code of a probe, ready for a package. */
static bool make_blob(tgc_prober *p, const tgc_probe *q, tg_module *tile, tg_blob *out) {
    const unsigned char *code = NULL;
    size_t n = 0;
#if TEGULA_HAVE_LLVM
    if (on_cpu(p)) {
        tg_llvm_options o = {.opt_level = 2, .emit = TG_LLVM_OBJECT};
        tg_module *m = cpu_module(p, q);
        return m && !tg_llvm_emit(m, p->machine, &o, p->arena, &p->sink, &code, &n) &&
               !tg_blob_from_object(code, n, p->arena, &p->sink, out);
    }
#endif
    tg_module *loop = tgc_probe_module(p, q);
    return loop && !emit(p, loop, &code, &n) &&
           !tg_simt_image_make(loop, tile, p->machine, code, n, p->arena, &p->sink, out);
}

static bool make_package(tgc_prober *p, const tgc_probe *q, const unsigned char **out,
                         size_t *out_n) {
    tg_module *tile = parse(p, tile_text(p, q));
    tg_blob blob;
    if (!tile || !make_blob(p, q, tile, &blob)) {
        return false;
    }
    tg_pack_variant variant = {.func = tile->first_func, .schedule = ""};
    tg_pack_kernel kernel = {.name = "probe", .variants = &variant, .n_variants = 1};
    tg_pack_code codes = {.machine = p->machine, .blob = &blob};
    tg_package_desc d = {.tool = "tegula probe",
                         .generator = "",
                         .kernels = &kernel,
                         .n_kernels = 1,
                         .codes = &codes,
                         .n_codes = 1};
    return tg_package_write(&d, p->arena, &p->sink, out, out_n) == TG_OK;
}

/* ---- launches -------------------------------------------------------------------------------- */

enum { MOST_ARGS = 64 };

typedef struct run_data {
    uint32_t a[TGC_PROBE_N], b[TGC_PROBE_N], y[TGC_PROBE_N];
    tgr_buffer *buffers[MOST_ARGS];
    tgr_arg args[MOST_ARGS];
} run_data;

static tgr_status put(tgc_prober *p, run_data *d, int i, const uint32_t *words) {
    int64_t n = TGC_PROBE_N;
    size_t bytes = TGC_PROBE_N * sizeof *words;
    tgr_status st = tgr_buffer_create(p->device, bytes, 0, &d->buffers[i]);
    st = st ? st : tgr_buffer_write(p->queue, d->buffers[i], 0, words, bytes);
    d->args[i] = tgr_arg_buffer(d->buffers[i], 0, TG_DT_U32, 1, &n);
    return st;
}

static tgr_status launch(tgc_prober *p, tgr_module *m, const tgc_probe *q, run_data *d) {
    memset(d->y, 0xA5, sizeof d->y);
    const uint32_t *words[] = {d->y, d->a, d->b};
    tgr_status st = TGR_OK;
    for (int i = 0; i < 3 + q->extra && !st; i++) {
        st = put(p, d, i, words[i < 3 ? i : 2]);
    }
    st = st ? st : tgr_launch(p->queue, tgr_module_kernel(m, 0), d->args, 3 + q->extra, NULL);
    st = st ? st : tgr_buffer_read(p->queue, d->buffers[0], 0, d->y, sizeof d->y);
    for (int i = 0; i < 3 + q->extra; i++) {
        tgr_buffer_release(d->buffers[i]);
    }
    return st;
}

int tgc_probe_judge(const tgc_probe *q, const uint32_t *a, const uint32_t *b, const uint32_t *y,
                    int *out_wrong) {
    int first = -1;
    *out_wrong = 0;
    if (q->judge) {
        first = q->judge(a, b, y);
        *out_wrong = first >= 0;
        return first;
    }
    for (int i = TGC_PROBE_N - 1; i >= 0; i--) {
        if (y[i] != q->expect(a, b, i)) {
            ++*out_wrong;
            first = i;
        }
    }
    return first;
}

static void tell_wrong(const tgc_probe *q, const run_data *d, int first, int wrong, tg_sb *note) {
    tg_sb_addf(note, "%d of %d wrong, first [%d]: a %08x, b %08x gives %08x", wrong, TGC_PROBE_N,
               first, d->a[first], d->b[first], d->y[first]);
    if (q->expect) {
        tg_sb_addf(note, ", not %08x", q->expect(d->a, d->b, first));
    }
}

tgc_verdict tgc_probe_run(tgc_prober *p, const tgc_probe *q, tg_sb *note) {
    const unsigned char *bytes = NULL;
    size_t n = 0;
    tgr_module *m = NULL;
    tgr_load_options o = TGR_INIT(tgr_load_options);
    run_data *d = TG_NEW(p->arena, run_data);
    tg_sink_init(&p->sink, p->arena);
    if (q->needs & ~p->info.features) {
        tg_sb_add(note, "the device has not what it needs");
        return TGC_PROBE_LEFT_OUT;
    }
    if (on_cpu(p) && has_lanes(q->make ? q->make(p->arena) : q->body, q)) {
        tg_sb_add(note, "a program of a CPU is one lane");
        return TGC_PROBE_LEFT_OUT;
    }
    if (!make_package(p, q, &bytes, &n)) {
        tg_sb_add(note, p->sink.last ? p->sink.last->text : "cannot be compiled");
        return TGC_PROBE_BROKEN;
    }
    o.flags = TGR_LOAD_TRUSTED;
    q->inputs(d->a, d->b);
    tgr_status st = tgr_module_load(p->device, bytes, n, &o, &m);
    st = st ? st : launch(p, m, q, d);
    tgr_module_release(m);
    if (st) {
        char text[512] = "";
        (void)tgr_context_message(tgr_device_context(p->device), text, sizeof text);
        tg_sb_add(note, text);
        return st == TGR_E_UNSUPPORTED                 ? TGC_PROBE_LEFT_OUT
               : st == TGR_E_NOMEM || st == TGR_E_LOST ? TGC_PROBE_GONE
                                                       : TGC_PROBE_BROKEN;
    }
    int wrong, first = tgc_probe_judge(q, d->a, d->b, d->y, &wrong);
    if (first >= 0) {
        tell_wrong(q, d, first, wrong, note);
    }
    return first >= 0 ? TGC_PROBE_WRONG : TGC_PROBE_RIGHT;
}

bool tgc_prober_init(tgc_prober *p, tgr_device *device, tg_arena *arena) {
    *p = (tgc_prober){.device = device, .arena = arena};
    tgr_device_get_info(device, &p->info);
    p->machine = p->info.isa ? tg_machine_find(p->info.isa) : NULL;
    tg_sink_init(&p->sink, arena);
#if TEGULA_HAVE_LLVM
    bool cpu = p->machine && on_cpu(p);
#else
    bool cpu = false;
#endif
    p->info.features = cpu ? UINT64_MAX : p->info.features;
    return p->machine && (cpu || p->machine->class_ == TG_MACHINE_SIMT) &&
           tgr_queue_create(device, 0, &p->queue) == TGR_OK;
}

void tgc_prober_fini(tgc_prober *p) {
    tgr_queue_release(p->queue);
    p->queue = NULL;
}
