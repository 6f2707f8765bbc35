/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stages between tile IR and a package: machine-independent passes, lowering, code generation,
 * blobs, packing. Textual results (`--emit`, `--stop-after`) show the first target's.
 */
#include "compiler/compiler.h"

#include <string.h>

#ifndef TEGULA_VERSION
#define TEGULA_VERSION "0"
#endif
#ifndef TEGULA_LLVM_VERSION
#define TEGULA_LLVM_VERSION "none"
#endif

void tgc_set_module_text(tgc_state *s, const tg_module *m) {
    tg_sb sb;
    tg_sb_init(&sb, &s->arena);
    tg_module_print(&sb, m);
    tgc_set_text(s, &sb);
}

/* ---- tile passes ---------------------------------------------------------------------------- */

/* The stage's name of pass p: a pass that runs again has a number. */
static const char *pass_stage(tgc_state *s, size_t p) {
    const char *name = tg_tile_pipeline[p].name;
    int nth = 1;
    for (size_t i = 0; i < p; i++) {
        nth += strcmp(tg_tile_pipeline[i].name, name) == 0;
    }
    return nth == 1 ? name : tg_arena_printf(&s->arena, "%s.%d", name, nth);
}

/* Place of a stage in the pipeline's list; its end for an unknown name. */
static size_t stage_index(const char *name) {
    const char *const *all = tgc_pipeline();
    size_t i = 0;
    while (all[i] && strcmp(all[i], name) != 0) {
        i++;
    }
    return i;
}

static tg_status run_pass(tgc_state *s, const tg_pass *pass, const char *stage, tg_module *m,
                          bool first_lane) {
    for (tg_func *f = m->first_func; f; f = f->next) {
        tg_pass_context ctx = {
            .scratch = &s->scratch, .sink = &s->sink, .remarks = s->o.remarks && first_lane};
        pass->run(f, &ctx);
        tg_arena_fini(&s->scratch);
        if (s->o.verify_each) {
            tg_status st = tg_func_verify(f, &s->sink);
            if (st) {
                return TG_E_INTERNAL;
            }
        }
        if (first_lane) {
            tgc_dump(s, stage, f);
        }
    }
    return TG_OK;
}

static void put_ir(tgc_state *s);

tg_status tgc_tile_passes(tgc_state *s) {
    if (tgc_wants_stop(s, "specialise") || tgc_wants_stop(s, "load")) {
        tgc_set_module_text(s, s->lanes[0].tile);
        return TG_OK;
    }
    size_t first = s->o.start_from ? stage_index(s->o.start_from) : 0;
    for (size_t p = 0; p < tg_tile_pipeline_count; p++) {
        const char *stage = pass_stage(s, p);
        for (int lane = 0; lane < s->n_lanes && stage_index(stage) >= first; lane++) {
            tg_status st = run_pass(s, &tg_tile_pipeline[p], stage, s->lanes[lane].tile, lane == 0);
            if (st) {
                return st;
            }
        }
        if (tgc_wants_stop(s, stage)) {
            break;
        }
    }
    bool stopped = s->o.stop_after && stage_index(s->o.stop_after) < stage_index("place");
    if (s->o.emit == TGC_EMIT_TILE || stopped) {
        tgc_set_module_text(s, s->lanes[0].tile);
    }
    put_ir(s);
    return TG_OK;
}

/* ---- lowering ------------------------------------------------------------------------------- */

static tg_status lower_cpu(tgc_state *s, tgc_lane *l) {
    if (tgc_wants_stop(s, "place")) { /* which does nothing here */
        tgc_set_module_text(s, l->tile);
        return TG_OK;
    }
    if (s->o.emit == TGC_EMIT_PLACED) {
        tg_error(&s->sink, TG_D_BACKEND, (tg_span){0}, "%s is a CPU: its kernels are not placed",
                 l->machine->name);
        return TG_E_UNSUPPORTED;
    }
    tg_status st = TG_OK;
    for (tg_func *f = l->tile->first_func; f && !st; f = f->next) {
        st = tg_lower_cpu(f, l->machine, l->loop, &s->sink);
    }
    return st;
}

tg_status tgc_lower(tgc_state *s) {
    for (int lane = 0; lane < s->n_lanes; lane++) {
        tgc_lane *l = &s->lanes[lane];
        tg_status st = tgc_is_simt(l) ? tgc_simt_lower(s, l, lane == 0) : lower_cpu(s, l);
        if (st || s->done) {
            return st;
        }
        for (tg_func *f = l->loop->first_func; f; f = f->next) {
            if (s->o.verify_each && tg_func_verify(f, &s->sink)) {
                return TG_E_INTERNAL;
            }
            if (lane == 0) {
                tgc_dump(s, "lower", f);
            }
        }
    }
    if (s->o.emit == TGC_EMIT_LOOP || tgc_wants_stop(s, "lower")) {
        tgc_set_module_text(s, s->lanes[0].loop);
    }
    return TG_OK;
}

/* ---- code generation ------------------------------------------------------------------------ */

static bool is_amd(const tg_machine *m) {
    return m->emitter == TG_EMIT_LLVM && strcmp(m->vendor, "hip") == 0;
}

static tg_llvm_options llvm_options(const tgc_state *s, bool text) {
    text = text || s->o.emit == TGC_EMIT_AMDGCN;
    return (tg_llvm_options){.opt_level = s->o.opt_level < 0    ? 0
                                          : s->o.opt_level == 0 ? 2
                                                                : s->o.opt_level,
                             .debug_lines = s->o.debug_lines != 0,
                             .emit = s->o.emit == TGC_EMIT_LLVM          ? TG_LLVM_IR
                                     : s->o.emit == TGC_EMIT_ASM || text ? TG_LLVM_ASM
                                                                         : TG_LLVM_OBJECT};
}

tg_status tgc_llvm_codegen(tgc_state *s, tgc_lane *l) {
#if TEGULA_HAVE_LLVM
    bool amd = is_amd(l->machine); /* an object, still to be linked; PTX is text */
    tg_llvm_options o = llvm_options(s, tgc_is_simt(l) && !amd);
    tg_status st =
        tg_llvm_emit(l->loop, l->machine, &o, &s->arena, &s->sink, &l->object, &l->object_bytes);
    if (!st && amd && o.emit == TG_LLVM_OBJECT && s->o.emit != TGC_EMIT_OBJECT) {
        st = tg_hsaco_link(l->object, l->object_bytes, &s->arena, &s->sink, &l->object,
                           &l->object_bytes);
    }
    return st;
#else
    (void)llvm_options(s, false);
    tg_error(&s->sink, TG_D_BACKEND, (tg_span){0},
             "this build has no code generator for %s (it was made without LLVM)",
             l->machine->name);
    return TG_E_UNSUPPORTED;
#endif
}

/* Is the first target's code itself what was asked for? Then *out_fits tells whether it is of that
 * kind. */
static bool wants_code(const tgc_state *s, bool *out_fits) {
    const tgc_lane *l = &s->lanes[0];
    bool c = tgc_is_simt(l) && l->machine->emitter == TG_EMIT_OPENCL_C;
    bool llvm = l->machine->emitter == TG_EMIT_LLVM;
    bool amd = is_amd(l->machine);
    *out_fits = true;
    switch (s->o.emit) {
    case TGC_EMIT_LLVM:
    case TGC_EMIT_ASM:
        *out_fits = llvm;
        return true;
    case TGC_EMIT_OBJECT:
        *out_fits = !tgc_is_simt(l) || amd;
        return true;
    case TGC_EMIT_PTX:
        *out_fits = tgc_is_simt(l) && llvm && !amd;
        return true;
    case TGC_EMIT_AMDGCN:
    case TGC_EMIT_HSACO:
        *out_fits = amd;
        return true;
    case TGC_EMIT_OPENCL:
        *out_fits = c;
        return true;
    case TGC_EMIT_HIP:
        *out_fits = tgc_is_simt(l) && l->machine->emitter == TG_EMIT_HIP;
        return true;
    case TGC_EMIT_CUDA:
        *out_fits = tgc_is_simt(l) && l->machine->emitter == TG_EMIT_CUDA;
        return true;
    case TGC_EMIT_SPIRV:
        *out_fits = tgc_is_simt(l) && !llvm && !tg_machine_prints_c(l->machine);
        return true;
    default:
        return tgc_wants_stop(s, "codegen");
    }
}

static tg_status linked_header(tgc_state *s) {
    tg_sb sb;
    if (tgc_is_simt(&s->lanes[0])) {
        tg_error(&s->sink, TG_D_BACKEND, (tg_span){0},
                 "code for %s cannot be linked into a program", s->lanes[0].machine->name);
        return TG_E_UNSUPPORTED;
    }
    tg_sb_init(&sb, &s->arena);
    tg_status st = tgc_header(s, &sb);
    if (!st) {
        tgc_set_text(s, &sb);
    }
    return st;
}

tg_status tgc_codegen(tgc_state *s) {
    bool fits, code = wants_code(s, &fits);
    if (s->o.emit == TGC_EMIT_HEADER) {
        return linked_header(s);
    }
    if (!fits) {
        tg_error(&s->sink, TG_D_BACKEND, (tg_span){0}, "target %s has no code of that kind",
                 s->lanes[0].machine->name);
        return TG_E_UNSUPPORTED;
    }
    for (int lane = 0; lane < (code ? 1 : s->n_lanes); lane++) {
        tgc_lane *l = &s->lanes[lane];
        tg_status st = tgc_is_simt(l) ? tgc_simt_codegen(s, l) : tgc_llvm_codegen(s, l);
        if (st) {
            return st;
        }
    }
    if (code) {
        s->bytes = s->lanes[0].object;
        s->n_bytes = s->lanes[0].object_bytes;
        s->done = true;
    }
    return TG_OK;
}

tg_status tgc_make_blobs(tgc_state *s) {
    for (int lane = 0; lane < s->n_lanes; lane++) {
        tgc_lane *l = &s->lanes[lane];
        tg_status st = tgc_is_simt(l) ? tgc_simt_blob(s, l)
                                      : tg_blob_from_object(l->object, l->object_bytes, &s->arena,
                                                            &s->sink, &l->blob);
        if (st) {
            return st;
        }
    }
    return TG_OK;
}

/* ---- package -------------------------------------------------------------------------------- */

/* The tile IR travels in the package as it is when the machine-independent passes are done. */
static void put_ir(tgc_state *s) {
    if (s->o.emit == TGC_EMIT_PACKAGE && !s->o.no_ir && !s->done) {
        tg_sb sb;
        tg_sb_init(&sb, &s->arena);
        tg_module_print(&sb, s->lanes[0].tile);
        s->ir = sb.data;
        s->ir_bytes = sb.len;
    }
}

static const char *target_list(tgc_state *s) {
    tg_sb sb;
    tg_sb_init(&sb, &s->arena);
    for (int i = 0; i < s->n_lanes; i++) {
        tg_sb_addf(&sb, "%s%s", i ? "," : "", s->lanes[i].machine->name);
    }
    return sb.data;
}

tg_status tgc_write_package(tgc_state *s, bool with_code, const unsigned char **out,
                            size_t *out_bytes) {
    tg_pack_kernel *kernels = TG_NEW_ARRAY(&s->arena, tg_pack_kernel, s->units.count + 1);
    tg_pack_code *codes = TG_NEW_ARRAY(&s->arena, tg_pack_code, s->n_lanes);
    for (size_t i = 0; i < s->units.count; i++) {
        tgc_unit *u = &s->units.data[i];
        kernels[i] = (tg_pack_kernel){.name = u->name,
                                      .variants = u->variants.data,
                                      .n_variants = (int)u->variants.count,
                                      .func_name = u->func_name};
    }
    for (int i = 0; i < s->n_lanes; i++) {
        codes[i] = (tg_pack_code){.machine = s->lanes[i].machine, .blob = &s->lanes[i].blob};
    }
    tg_pack_meta meta[] = {{"targets", target_list(s)}};
    tg_package_desc d = {.tool = "tegula " TEGULA_VERSION,
                         .generator = "LLVM " TEGULA_LLVM_VERSION,
                         .meta = meta,
                         .n_meta = TG_COUNT_OF(meta),
                         .kernels = kernels,
                         .n_kernels = (int)s->units.count,
                         .codes = codes,
                         .n_codes = with_code ? s->n_lanes : 0,
                         .ops = s->ops,
                         .ir = with_code ? s->ir : NULL,
                         .ir_bytes = with_code ? s->ir_bytes : 0};
    return tg_package_write(&d, &s->arena, &s->sink, out, out_bytes);
}

tg_status tgc_pack(tgc_state *s) {
    tg_status st = tgc_write_package(s, true, &s->bytes, &s->n_bytes);
    s->done = !st;
    return st;
}
