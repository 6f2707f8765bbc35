/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices `sim:MACHINE` and `placed:MACHINE`: tile passes, placement and (sim) lowering for the
 * machine, the static checker, then an interpreter instead of a device. Slow, but it sees what no
 * device tells. `loop:MACHINE` is `sim:MACHINE` also for machines whose code has a simulator of its
 * own behind that name.
 */
#include "tools/sim.h"

#include <string.h>

#include "backends/backend.h"
#include "backends/lower/quirks/quirks.h"
#include "ir/banks.h"
#include "ir/check.h"
#include "ir/passes.h"

#ifndef TEGULA_HAVE_SIMT
#define TEGULA_HAVE_SIMT 0
#endif

static const char placed_prefix[] = "placed:", loop_prefix[] = "sim:", always_prefix[] = "loop:";

static bool stops_at_placed(const char *device) {
    return strncmp(device, placed_prefix, strlen(placed_prefix)) == 0;
}

const char *tool_sim_device(const char *device) {
    bool loop = strncmp(device, loop_prefix, strlen(loop_prefix)) == 0;
    const tg_machine *m = loop ? tg_machine_find(device + strlen(loop_prefix)) : NULL;
    if (m != NULL && m->class_ == TG_MACHINE_SIMT &&
        (m->emitter == TG_EMIT_LLVM || m->emitter == TG_EMIT_HIP || m->emitter == TG_EMIT_CUDA)) {
        return NULL; /* the runtime's own driver runs its code */
    }
    bool always = strncmp(device, always_prefix, strlen(always_prefix)) == 0;
    return loop || always || stops_at_placed(device) ? device : NULL;
}

static const tg_machine *machine_of(tool *t, const char *device) {
    const char *name = strchr(device, ':') + 1;
    const tg_machine *m = tg_machine_named(&t->arena, name);
    return m == NULL && stops_at_placed(device) ? tg_machine_model(name) : m;
}

bool tool_sim_known(tool *t, const char *device) {
    if (machine_of(t, device) == NULL) {
        tool_error(t, TG_D_TOOL, "there is no machine for the device `%s`", device);
        return false;
    }
    return true;
}

const char *tool_sim_vendor(tool *t, const char *device) {
    const tg_machine *m = machine_of(t, device);
    return m != NULL ? m->vendor : "cpu";
}

static void run_passes(tool *t, tg_func *f) {
    for (size_t p = 0; p < tg_tile_pipeline_count; p++) {
        tg_pass_context ctx = {.scratch = &t->arena, .sink = &t->sink};
        tg_tile_pipeline[p].run(f, &ctx);
    }
}

static tg_func *place(tool *t, tg_func *f, const tg_machine *m) {
    tg_module *placed = tg_module_make(&t->arena);
    tg_check_limits limits = {.shared_bytes = m->shared_bytes,
                              .max_lanes = m->max_lanes + m->copy_lanes,
                              .one_width = true};
    if (m->class_ != TG_MACHINE_SIMT) {
        tool_error(t, TG_D_TOOL, "%s has no lanes to place on", m->name);
        return NULL;
    }
    if (tg_place(f, m, placed, &t->sink) != TG_OK || tg_module_verify(placed, &t->sink) != TG_OK) {
        return NULL;
    }
    tg_func *p = tg_func_find(placed, f->name);
    return p != NULL && tg_check_placed(p, &limits, &t->arena, &t->sink) == TG_OK ? p : NULL;
}

static bool lower(tool *t, tg_func *f, const tg_machine *m, tg_module *loop) {
    if (m->class_ == TG_MACHINE_CPU) {
        return tg_lower_cpu(f, m, loop, &t->sink) == TG_OK;
    }
#if TEGULA_HAVE_SIMT
    tg_func *p = place(t, f, m);
    return p != NULL && tg_lower_simt(p, m, loop, &t->sink) == TG_OK &&
           tg_go_around(loop, m, &t->sink) == TG_OK;
#else
    tool_error(t, TG_D_TOOL, "this build has no lowering for %s", m->name);
    return false;
#endif
}

static void tell(tool *t, const tg_loop_report *r) {
    for (int k = 0; k < r->n_findings; k++) {
        const tg_loop_finding *f = &r->findings[k];
        tg_span span = f->op != NULL ? f->op->span : (tg_span){0};
        (void)tg_error(&t->sink, TG_D_TOOL, span, "%s: %s%s%s (program %lld, lane %d)",
                       tg_loop_fault_name(f->fault),
                       f->op != NULL ? tg_op_info_get(f->op->code)->name : "",
                       f->op != NULL ? ": " : "", f->text, (long long)f->program, f->lane);
    }
    if (r->trap != 0) {
        tool_error(t, TG_D_TOOL, "trap %d at line %lld", r->trap, (long long)r->trap_line);
    }
}

/* What met in banks must be what the static count says. Wide accesses are left out: of a part of
 * their lanes the least number of cycles is another. */
static bool compare_banks(tool *t, tg_module *loop, const tg_loop_report *r) {
    bool same = true;
    for (tg_func *f = loop->first_func; f != NULL; f = f->next) {
        tg_bank_access *all;
        size_t n = f->lanes > 0 ? tg_bank_count(f, &(tg_bank_options){0}, &t->arena, &all) : 0;
        for (size_t i = 0; i < n; i++) {
            for (int k = 0; k < r->n_conflicts; k++) {
                const tg_loop_conflict *c = &r->conflicts[k];
                if (c->op == all[i].op && all[i].bytes <= 4 && all[i].degree > 0 &&
                    c->degree > all[i].degree) {
                    (void)tg_error(&t->sink, TG_D_TOOL, c->op->span,
                                   "bank conflicts of degree %lld where the static count says %d",
                                   (long long)c->degree, all[i].degree);
                    same = false;
                }
            }
        }
    }
    return same;
}

static bool run_loops(tool *t, tool_kernel *k, const tg_machine *m, const tg_loop_options *options,
                      tg_loop_report *out) {
    tg_module *loop = tg_module_make(&t->arena);
    tg_loop_options own = *options;
    own.subgroup = m->subgroup;
    if (!lower(t, k->func, m, loop) || tg_module_verify(loop, &t->sink) != TG_OK) {
        return false;
    }
    if (tg_loop_run_kernel(loop, k->func, tool_kernel_interp_args(t, k), k->syms, &own, &t->arena,
                           out) != TG_OK) {
        tool_error(t, TG_D_TOOL, "%s: the lowering made no function to run", k->name);
        return false;
    }
    if (m->class_ == TG_MACHINE_SIMT && !compare_banks(t, loop, out)) {
        return false;
    }
    return true;
}

static bool run_placed(tool *t, tool_kernel *k, const tg_machine *m, const tg_loop_options *options,
                       tg_loop_report *out) {
    tg_func *p = place(t, k->func, m);
    return p != NULL && tg_check_run(p, tool_kernel_interp_args(t, k), k->syms, options, &t->arena,
                                     out) == TG_OK;
}

typedef struct launches {
    const char *device;
    const tg_loop_options *options;
    tg_loop_report *out;
} launches;

static bool simulate_launch(tool *t, tool_kernel *k, void *user) {
    const launches *l = user;
    return tool_kernel_simulate(t, k, l->device, l->options, l->out);
}

bool tool_kernel_simulate(tool *t, tool_kernel *k, const char *device,
                          const tg_loop_options *options, tg_loop_report *out) {
    if (k->op != NULL) {
        launches l = {.device = device, .options = options, .out = out};
        return tool_op_run(t, k, simulate_launch, &l);
    }
    const tg_machine *m = machine_of(t, device);
    tg_loop_report report;
    out = out != NULL ? out : &report;
    if (!tool_sim_known(t, device)) {
        return false;
    }
    run_passes(t, k->func);
    if (!(stops_at_placed(device) ? run_placed : run_loops)(t, k, m, options, out)) {
        return false;
    }
    tell(t, out);
    return out->faults == 0 && out->trap == 0;
}
