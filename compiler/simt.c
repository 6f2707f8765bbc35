/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stages of SIMT machines: placement, lowering, the machine's own emitter, the image. LLVM only
 * where the code is PTX. Plan functions whose grid the runtime can evaluate itself are dropped
 * before emission.
 */
#include "compiler/compiler.h"
#include "backends/lower/quirks/quirks.h"
#include "ir/banks.h"
#include "ir/check.h"

bool tgc_is_simt(const tgc_lane *l) { return l->machine->class_ == TG_MACHINE_SIMT; }

#if !TEGULA_HAVE_PLACE || !TEGULA_HAVE_LOWER_SIMT || !TEGULA_HAVE_SIMT_C || !TEGULA_HAVE_SPIRV
static tg_status lacks(tgc_state *s, const char *part) {
    tg_error(&s->sink, TG_D_BACKEND, (tg_span){0}, "this build was made without %s", part);
    return TG_E_UNSUPPORTED;
}
#endif

#if TEGULA_HAVE_PLACE
/* On demand, and always in debug builds. */
static bool verifies(const tgc_state *s) {
#ifdef NDEBUG
    return s->o.verify_each != 0;
#else
    (void)s;
    return true;
#endif
}

/* The independent checker (docs/checker.md). */
static tg_status check(tgc_state *s, const tg_machine *m, const tg_func *f) {
    tg_check_limits limits = {.shared_bytes = m->shared_bytes,
                              .max_lanes = m->max_lanes + m->copy_lanes,
                              .one_width = m->emitter == TG_EMIT_SPIRV_VULKAN};
    return tg_check_placed(f, &limits, &s->arena, &s->sink);
}
#endif

static tg_status place(tgc_state *s, tgc_lane *l, bool first) {
#if TEGULA_HAVE_PLACE
    for (tg_func *f = l->tile->first_func; f; f = f->next) {
        tg_status st = tg_place(f, l->machine, l->placed, &s->sink);
        if (st) {
            return st;
        }
    }
    for (tg_func *f = l->placed->first_func; f; f = f->next) {
        if (verifies(s) && (tg_func_verify(f, &s->sink) || check(s, l->machine, f))) {
            return TG_E_INTERNAL;
        }
        if (first) {
            tgc_dump(s, "place", f);
        }
    }
    return TG_OK;
#else
    (void)l;
    (void)first;
    return lacks(s, "the placement of SIMT machines");
#endif
}

static tg_status lower(tgc_state *s, tgc_lane *l) {
#if TEGULA_HAVE_LOWER_SIMT
    tg_status st = TG_OK;
    for (tg_func *f = l->placed->first_func; f && !st; f = f->next) {
        st = tg_lower_simt(f, l->machine, l->loop, &s->sink);
    }
    st = st ? st : tg_go_around(l->loop, l->machine, &s->sink);
    tg_bank_options banks = {.banks = l->machine->banks};
    for (tg_func *f = l->loop->first_func; f && !st && s->o.remarks && banks.banks > 0;
         f = f->next) {
        if (f->lanes > 0) {
            tg_bank_remarks(f, &banks, &s->arena, &s->sink);
        }
    }
    return st;
#else
    (void)l;
    return lacks(s, "the lowering for SIMT machines");
#endif
}

tg_status tgc_simt_lower(tgc_state *s, tgc_lane *l, bool first) {
    tg_status st = place(s, l, first);
    if (!st && first && (s->o.emit == TGC_EMIT_PLACED || tgc_wants_stop(s, "place"))) {
        tgc_set_module_text(s, l->placed);
        return TG_OK;
    }
    st = st ? st : lower(s, l);
    if (!st) {
        tg_simt_drop_plans(l->loop, l->tile);
    }
    return st;
}

tg_status tgc_simt_codegen(tgc_state *s, tgc_lane *l) {
    if (l->machine->emitter == TG_EMIT_LLVM) {
        return tgc_llvm_codegen(s, l);
    }
    if (tg_machine_prints_c(l->machine)) {
#if TEGULA_HAVE_SIMT_C
        return tg_simt_c_emit(l->loop, l->machine, &s->arena, &s->sink, &l->object,
                              &l->object_bytes);
#else
        return lacks(s, "the printer of SIMT C");
#endif
    }
#if TEGULA_HAVE_SPIRV
    return tg_spirv_emit(l->loop, l->machine, &s->arena, &s->sink, &l->object, &l->object_bytes);
#else
    return lacks(s, "the SPIR-V writer");
#endif
}

tg_status tgc_simt_blob(tgc_state *s, tgc_lane *l) {
    return tg_simt_image_make(l->loop, l->tile, l->machine, l->object, l->object_bytes, &s->arena,
                              &s->sink, &l->blob);
}
