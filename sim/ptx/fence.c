/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fences (9.7.13.3), and what tunes the machine without changing what is computed: setmaxnreg,
 * griddepcontrol, prefetches. Memory is coherent here, so of fences only those matter that make
 * ordinary writes known to the asynchronous proxy.
 */
#include "sim/ptx/async.h"

static void nothing(sim_warp *w, const sim_insn *in, uint32_t mask) {
    (void)w;
    (void)in;
    (void)mask;
}

/* All that happened before is known to the asynchronous proxy; what the warp does next is not. */
static void proxy_fence(sim_warp *w, const sim_insn *in, uint32_t mask) {
    uint32_t n = w->run->n_clocks;
    (void)in;
    (void)mask;
    for (uint32_t i = 0; n < w->run->clock_words && i < n; i++) {
        w->clock[n + i] = w->clock[n + i] > w->clock[i] ? w->clock[n + i] : w->clock[i];
    }
    w->clock[w->number]++;
}

static bool proxy(sim_decoder *d) {
    if (sim_took(d, "async") || sim_took(d, "async.shared::cta")) {
        bool global = sim_took(d, "global");
        (void)(sim_took(d, "shared::cta") || sim_took(d, "shared::cluster"));
        return sim_operands(d, "") &&
               sim_execs(d, global ? nothing : proxy_fence, SIM_CLASS_BARRIER);
    }
    sim_took_hints(d);
    if (sim_took(d, "tensormap::generic")) {
        return sim_operands(d, "?AS") && sim_execs(d, nothing, SIM_CLASS_BARRIER);
    }
    return sim_took(d, "alias") && sim_operands(d, "") && sim_execs(d, nothing, SIM_CLASS_BARRIER);
}

/* Of the block alone when mode is set. */
static void memory_fence(sim_warp *w, const sim_insn *in, uint32_t mask) {
    (void)mask;
    if (!in->mode) {
        sim_global_fence(w);
    }
}

static bool fence_family(sim_decoder *d) {
    static const char *const scopes[] = {"gl", "mbarrier_init", "sync_restrict::shared::cta",
                                         "sync_restrict::shared::cluster", NULL};
    if (sim_took(d, "proxy")) {
        return proxy(d);
    }
    d->in->mode = sim_took(d, "cta");
    sim_took_hints(d);
    (void)sim_took_one(d, scopes);
    return sim_operands(d, "") && sim_execs(d, memory_fence, SIM_CLASS_BARRIER);
}

/* 9.7.19.5: a multiple of 8 from 24 to 256, by all warps of a warpgroup. */
static bool setmaxnreg_family(sim_decoder *d) {
    sim_insn *in = d->in;
    bool ok = (sim_took(d, "inc") || sim_took(d, "dec")) && sim_took(d, "sync") &&
              sim_took(d, "aligned") && sim_took(d, "u32") && sim_operands(d, "S") &&
              in->op[0].row & ROW_CONSTANT;
    if (!ok) {
        return false;
    }
    uint64_t n = d->p->module->constants.data[(size_t)(in->op[0].row & ROW_INDEX) * LANES];
    in->sync = 255;
    return n >= 24 && n <= 256 && n % 8 == 0 && sim_execs(d, nothing, SIM_CLASS_CONTROL);
}

static bool griddepcontrol_family(sim_decoder *d) {
    return (sim_took(d, "wait") || sim_took(d, "launch_dependents")) && sim_operands(d, "") &&
           sim_execs(d, nothing, SIM_CLASS_CONTROL);
}

/* prefetch{.space}.level [a], prefetch.tensormap [map], prefetchu.L1 [a] */
static bool prefetch_family(sim_decoder *d) {
    static const char *const levels[] = {"L1", "L2", "tensormap", NULL};
    (void)sim_took_space(d);
    sim_took_hints(d);
    (void)sim_took_one(d, levels);
    return sim_operands(d, "A") && sim_execs(d, nothing, SIM_CLASS_GLOBAL);
}

const sim_family_row sim_families_fence[] = {{"fence", fence_family},
                                             {"membar", fence_family},
                                             {"setmaxnreg", setmaxnreg_family},
                                             {"griddepcontrol", griddepcontrol_family},
                                             {"prefetch", prefetch_family},
                                             {"prefetchu", prefetch_family},
                                             {NULL, NULL}};
