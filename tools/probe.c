/* SPDX-License-Identifier: Apache-2.0 */
/* Compiling, launching and judging the device probes: see probe.h. */
#include "tools/probe.h"

#include <string.h>

#include <tegula/tegula.h>

#include "backends/pack/package_write.h"
#include "backends/pack/simt_image.h"

/* One device and what is known of it. */
typedef struct prober {
    tool *t;
    tgr_context *context;
    tgr_device *device;
    tgr_queue *queue;
    tgr_device_info info;
    const tg_machine *machine;
    tg_sink sink;
} prober;

typedef enum verdict { RIGHT, WRONG, LEFT_OUT, BROKEN } verdict;

/* ---- packages ------------------------------------------------------------------------------- */

static const char tile_text[] =
    "tegula-ir 1\nkernel tile probe {\nsyms N\nparam y: tensor<u32[N]> out\n"
    "param a: tensor<u32[N]>\nparam b: tensor<u32[N]>\naxis i by 64\n"
    "grid (%gy: tensor<u32[N]>, %ga: tensor<u32[N]>, %gb: tensor<u32[N]>) {\n"
    "%n = sym {sym = 0} : i64\nyield %n\n}\n"
    "body (%y: tensor<u32[N]>, %a: tensor<u32[N]>, %b: tensor<u32[N]>, %i: i64) {}\n}\n";

static const char *loop_text(prober *p, const probe *q) {
    return tg_arena_printf(
        &p->t->arena,
        "tegula-ir 1\nkernel loop \"probe.phase0\" {\nrole simt\n"
        "program lanes %d shared %s scratch 0\n"
        "body (%%slots: ptr, %%p: i64, %%lane: i32, %%scratch: ptr, %%report: ptr) {\n%s"
        "%%sy = slot %%slots {i = 0} : ptr\n%%sa = slot %%slots {i = 3} : ptr\n"
        "%%sb = slot %%slots {i = 6} : ptr\n%%lanes = const {i = %d} : i64\n"
        "%%lane64 = cast %%lane : i64\n%%first = mul %%p, %%lanes : i64\n"
        "%%at = add %%first, %%lane64 : i64\n%%px = gep %%sa, %%at {bytes = 4} : ptr\n"
        "%%pb = gep %%sb, %%at {bytes = 4} : ptr\n%%py = gep %%sy, %%at {bytes = 4} : ptr\n"
        "%%a = loadm %%px : u32\n%%b = loadm %%pb : u32\n%sstorem %%py, %%r\nyield\n}\n}\n",
        PROBE_LANES, q->shared, q->arrays, PROBE_LANES, q->body);
}

static tg_module *parse(prober *p, const char *text) {
    tg_source *src = TG_NEW(&p->t->arena, tg_source);
    tg_module *m = NULL;
    *src = (tg_source){.name = "probe", .text = text, .len = strlen(text)};
    tg_status st = tg_module_parse(src, &p->t->arena, &p->sink, &m);
    st = st ? st : tg_module_verify(m, &p->sink);
    return st ? NULL : m;
}

static tg_status emit(prober *p, tg_module *loop, const unsigned char **code, size_t *n) {
    return p->machine->emitter == TG_EMIT_OPENCL_C
               ? tg_simt_c_emit(loop, p->machine, &p->t->arena, &p->sink, code, n)
               : tg_spirv_emit(loop, p->machine, &p->t->arena, &p->sink, code, n);
}

static bool make_package(prober *p, const probe *q, const unsigned char **out, size_t *out_n) {
    tg_module *tile = parse(p, tile_text), *loop = parse(p, loop_text(p, q));
    const unsigned char *code = NULL;
    size_t n = 0;
    tg_blob blob;
    if (!tile || !loop || emit(p, loop, &code, &n) ||
        tg_simt_image_make(loop, tile, p->machine, code, n, &p->t->arena, &p->sink, &blob)) {
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
    return tg_package_write(&d, &p->t->arena, &p->sink, out, out_n) == TG_OK;
}

/* ---- launches ------------------------------------------------------------------------------- */

typedef struct run_data {
    uint32_t a[PROBE_N], b[PROBE_N], y[PROBE_N];
} run_data;

static tgr_status put(prober *p, const uint32_t *words, tgr_buffer **out, tgr_arg *arg) {
    int64_t n = PROBE_N;
    tgr_status st = tgr_buffer_create(p->device, PROBE_N * sizeof *words, 0, out);
    st = st ? st : tgr_buffer_write(p->queue, *out, 0, words, PROBE_N * sizeof *words);
    *arg = tgr_arg_buffer(*out, 0, TG_DT_U32, 1, &n);
    return st;
}

static tgr_status launch(prober *p, tgr_module *m, run_data *d) {
    tgr_buffer *buffers[3] = {NULL};
    tgr_arg args[3];
    memset(d->y, 0xA5, sizeof d->y);
    tgr_status st = put(p, d->y, &buffers[0], &args[0]);
    st = st ? st : put(p, d->a, &buffers[1], &args[1]);
    st = st ? st : put(p, d->b, &buffers[2], &args[2]);
    st = st ? st : tgr_launch(p->queue, tgr_module_kernel(m, 0), args, 3, NULL);
    st = st ? st : tgr_buffer_read(p->queue, buffers[0], 0, d->y, sizeof d->y);
    for (int i = 0; i < 3; i++) {
        tgr_buffer_release(buffers[i]);
    }
    return st;
}

static int count_wrong(const probe *q, const run_data *d, int *out_first) {
    int wrong = 0;
    for (int i = PROBE_N - 1; i >= 0; i--) {
        if (d->y[i] != q->expect(d->a, d->b, i)) {
            wrong++;
            *out_first = i;
        }
    }
    return wrong;
}

static verdict run_probe(prober *p, const probe *q, tg_sb *note) {
    const unsigned char *bytes = NULL;
    size_t n = 0;
    tgr_module *m = NULL;
    tgr_load_options o = TGR_INIT(tgr_load_options);
    run_data *d = TG_NEW(&p->t->arena, run_data);
    if (q->needs & ~p->info.features) {
        tg_sb_add(note, "the device has not what it needs");
        return LEFT_OUT;
    }
    if (!make_package(p, q, &bytes, &n)) {
        tg_sb_add(note, p->sink.last ? p->sink.last->text : "cannot be compiled");
        return BROKEN;
    }
    o.flags = TGR_LOAD_TRUSTED;
    q->inputs(d->a, d->b);
    tgr_status st = tgr_module_load(p->device, bytes, n, &o, &m);
    st = st ? st : launch(p, m, d);
    tgr_module_release(m);
    if (st) {
        char text[512];
        (void)tgr_context_message(p->context, text, sizeof text);
        tg_sb_add(note, text);
        return st == TGR_E_UNSUPPORTED ? LEFT_OUT : BROKEN;
    }
    int first = 0, wrong = count_wrong(q, d, &first);
    if (wrong) {
        tg_sb_addf(note, "%d of %d wrong, first [%d]: a %08x, b %08x gives %08x, not %08x", wrong,
                   PROBE_N, first, d->a[first], d->b[first], d->y[first],
                   q->expect(d->a, d->b, first));
    }
    return wrong ? WRONG : RIGHT;
}

/* ---- report --------------------------------------------------------------------------------- */

static const char *const verdict_names[] = {"right", "WRONG", "left out", "BROKEN"};

/* A probe that fails for want of a feature the device does not claim is news for nobody. */
static bool is_marked(const prober *p, const probe *q) {
    return q->feature && (q->feature & ~p->info.features);
}

static void print(prober *p, const probe *q, verdict v, const char *note) {
    bool marked = v == WRONG && is_marked(p, q);
    if (p->t->json) {
        tg_sb text;
        tg_sb_init(&text, &p->t->arena);
        for (const char *c = note; *c; c++) {
            tg_sb_addc(&text, *c == '"' || *c == '\\' || (unsigned char)*c < ' ' ? ' ' : *c);
        }
        (void)printf("{\"probe\": \"%s\", \"verdict\": \"%s\", \"marked\": %s, \"note\": \"%s\"}\n",
                     q->name, verdict_names[v], marked ? "true" : "false",
                     text.data ? text.data : "");
        return;
    }
    (void)printf("%-20s %-8s %s%s%s%s\n", q->name, verdict_names[v], q->what,
                 marked ? " (the device does not claim it)" : "", *note ? ": " : "", note);
}

static bool open_prober(prober *p, const char *device) {
    tgr_status st = tgr_context_create(NULL, &p->context);
    st = st ? st : tgr_device_open(p->context, device, NULL, &p->device);
    st = st ? st : tgr_queue_create(p->device, 0, &p->queue);
    if (st) {
        char text[512] = "";
        (void)tgr_context_message(p->context, text, sizeof text);
        tool_error(p->t, TG_D_TOOL, "%s: %s", device, text);
        return false;
    }
    tgr_device_get_info(p->device, &p->info);
    p->machine = p->info.isa ? tg_machine_find(p->info.isa) : NULL;
    if (!p->machine || p->machine->class_ != TG_MACHINE_SIMT) {
        tool_error(p->t, TG_D_TOOL, "%s is no SIMT device; probes are for those", device);
        return false;
    }
    return true;
}

static bool run_all(prober *p) {
    int wrong = 0, marked = 0;
    for (int i = 0; i < tool_n_probes; i++) {
        const probe *q = &tool_probes[i];
        tg_sb note;
        tg_sb_init(&note, &p->t->arena);
        tg_sink_init(&p->sink, &p->t->arena);
        verdict v = run_probe(p, q, &note);
        print(p, q, v, note.data ? note.data : "");
        bool known = v == WRONG && is_marked(p, q);
        marked += known;
        wrong += (v == WRONG || v == BROKEN) && !known;
    }
    (void)printf(p->t->json
                     ? "{\"device\": \"%s\", \"probes\": %d, \"wrong\": %d, \"marked\": %d}\n"
                     : "%s: %d probes, %d wrong, %d more that the device does not claim\n",
                 p->info.name, tool_n_probes, wrong, marked);
    return wrong == 0;
}

bool tool_probe_device(tool *t, const char *device) {
    prober p = {.t = t};
    bool ok = open_prober(&p, device) && run_all(&p);
    tgr_queue_release(p.queue);
    tgr_device_release(p.device);
    tgr_context_release(p.context);
    return ok;
}
