/* SPDX-License-Identifier: Apache-2.0 */
/* See subject.h. */
#include "tests/check/subject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"
#include "ir/passes.h"
#include "ir/interp.h"

static const tg_machine *machine(void) { return tg_machine_find("opencl"); }

/* One that fetches blocks ahead by a role of its own. */
static const tg_machine *two_roles(void) {
    static const tg_machine fetching = {.name = "two-roles",
                                        .vendor = "modelled",
                                        .label = "modelled",
                                        .class_ = TG_MACHINE_SIMT,
                                        .emitter = TG_EMIT_OPENCL_C,
                                        .simt = TG_SIMT_F64 | TG_SIMT_INT64,
                                        .lanes = 64,
                                        .max_lanes = 64,
                                        .shared_bytes = 32768,
                                        .scratch_bytes = 1 << 20,
                                        .register_bytes = 1024,
                                        .units = TG_UNIT_VECTOR | TG_UNIT_COPY,
                                        .copy_lanes = 32,
                                        .replicas = 1,
                                        .stages = 3};
    return &fetching;
}

static void give_up(const char *name, const tg_sink *sink) {
    (void)fprintf(stderr, "%s: %s\n", name,
                  sink->first != NULL ? sink->first->text : "no diagnostic");
    exit(2);
}

static tg_source *source_of(const char *text, tg_arena *a) {
    tg_source *src = TG_NEW(a, tg_source);
    *src = (tg_source){.name = "check", .text = text, .len = strlen(text)};
    return src;
}

static void run_passes(tg_func *f, tg_arena *a, tg_sink *sink) {
    for (size_t p = 0; p < tg_tile_pipeline_count; p++) {
        tg_pass_context ctx = {.scratch = a, .sink = sink};
        tg_tile_pipeline[p].run(f, &ctx);
    }
}

static void args_of(const gen_case *c, const case_memory *m, tg_interp_arg *args) {
    memset(args, 0, GEN_MAX_PARAMS * sizeof args[0]);
    for (int p = 0; p < m->n; p++) {
        args[p].data = m->tensors[p].base;
        args[p].scalar = m->scalars[p];
        memcpy(args[p].extent, m->tensors[p].extent, sizeof args[p].extent);
        memcpy(args[p].stride_bytes, m->tensors[p].stride, sizeof args[p].stride_bytes);
    }
    (void)c;
}

/* What the memory must hold afterwards: by the tile interpreter, or by the function as it is. */
static bool make_want(subject *s, tg_arena *a) {
    tg_interp_arg args[GEN_MAX_PARAMS];
    tg_sink sink;
    tg_sink_init(&sink, a);
    memory_make(&s->want, &s->c);
    args_of(&s->c, &s->want, args);
    if (s->by_hand) {
        tg_loop_options o = {.seed = 1};
        tg_loop_report r;
        return tg_check_run(s->placed, args, s->c.syms, &o, a, &r) == TG_OK;
    }
    tg_interp_options o = {.max_steps = 20000000};
    return tg_interp_run(s->c.func, args, s->c.syms, &o, a, &sink) == TG_OK;
}

static bool place(subject *s, tg_arena *a) {
    tg_sink sink;
    tg_sink_init(&sink, a);
    s->module = tg_module_make(a);
    run_passes(s->c.func, a, &sink);
    if (tg_place(s->c.func, s->roles ? two_roles() : machine(), s->module, &sink) != TG_OK) {
        return false;
    }
    s->placed = tg_func_find(s->module, s->c.func->name);
    return s->placed != NULL && tg_module_verify(s->module, &sink) == TG_OK;
}

static void compile(subject *s, const check_program *p, tg_arena *a) {
    tg_sink sink;
    tg_program *prog = NULL;
    tg_sink_init(&sink, a);
    jmp_buf *keep = a->env->oom;
    if (tg_program_load(a, &sink, source_of(p->text, a), NULL, NULL, &prog) != TG_OK) {
        give_up(p->name, &sink);
    }
    a->env->oom = keep;
    s->c.module = tg_module_make(a);
    tg_setting sets[2];
    int n = 0;
    if (p->stages != NULL) {
        sets[n++] = (tg_setting){.name = "schedule.stages", .value = p->stages};
    }
    if (p->replicas != NULL) {
        sets[n++] = (tg_setting){.name = "schedule.replicas", .value = p->replicas};
    }
    if (tg_program_specialise(prog, "f", sets, n, NULL, s->c.module, &s->c.func) != TG_OK) {
        give_up(p->name, &sink);
    }
    a->env->oom = keep;
}

static void parse(subject *s, const check_program *p, tg_arena *a) {
    tg_sink sink;
    tg_sink_init(&sink, a);
    if (tg_module_parse(source_of(p->text, a), a, &sink, &s->module) != TG_OK ||
        tg_module_verify(s->module, &sink) != TG_OK) {
        give_up(p->name, &sink);
    }
    s->placed = s->c.func = s->module->first_func;
    s->c.module = s->module;
}

static void choose_data(subject *s) {
    for (int p = 0; p < s->c.func->n_params; p++) {
        bool out = (s->c.func->params[p].flags & TG_PARAM_OUT) != 0;
        s->c.params[p] = (gen_param){.data = out ? GEN_DATA_OUTPUT : GEN_DATA_ANY};
    }
}

/* Extents by the order in which the signature names them. */
bool subject_make(int number, subject *s, tg_arena *a) {
    const check_program *p = check_program_at(number);
    if (p == NULL) {
        return false;
    }
    *s = (subject){.name = p->name, .by_hand = p->by_hand, .roles = p->roles};
    s->c.seed = 11;
    if (p->by_hand) {
        parse(s, p, a);
    } else {
        compile(s, p, a);
    }
    memcpy(s->c.syms, p->syms, sizeof s->c.syms);
    choose_data(s);
    if ((!p->by_hand && !place(s, a)) || !make_want(s, a)) {
        (void)fprintf(stderr, "%s cannot be placed or interpreted\n", p->name);
        exit(2);
    }
    return true;
}

bool subject_random(uint64_t seed, subject *s, tg_arena *a) {
    gen_options o = {.max_steps = 8};
    *s = (subject){.name = "random"};
    gen_make(&s->c, seed, &o, a);
    bool ok = place(s, a);
    return make_want(s, a) && ok;
}

void subject_free(subject *s) { memory_free(&s->want); }

/* ---- judges --------------------------------------------------------------------------------- */

const char *judge_name(judge j) {
    static const char *const names[] = {"-", "static checker", "placed interpreter",
                                        "loop interpreter", "wrong result"};
    return names[j];
}

static const char *first_finding(const tg_loop_report *r, tg_arena *a) {
    if (r->n_findings == 0) {
        return r->trap != 0 ? "a trap" : NULL;
    }
    const tg_op *op = r->findings[0].op;
    return tg_arena_printf(a, "%s: %s: %s", tg_loop_fault_name(r->findings[0].fault),
                           op != NULL ? tg_op_info_get(op->code)->name : "launch",
                           r->findings[0].text);
}

static judge compare(subject *s, case_memory *got, judge by, const tg_loop_report *r, tg_arena *a,
                     const char **why) {
    *why = first_finding(r, a);
    judge j = *why != NULL ? by : JUDGE_SILENT;
    if (j == JUDGE_SILENT) {
        *why = memory_compare(&s->want, got, &s->c, a);
        j = *why != NULL ? JUDGE_RESULT : JUDGE_SILENT;
    }
    memory_free(got);
    return j;
}

static judge judge_static(subject *s, tg_arena *a, const char **why) {
    tg_sink sink;
    tg_check_limits limits = {
        .shared_bytes = machine()->shared_bytes, .max_lanes = 256, .one_width = true};
    tg_sink_init(&sink, a);
    if (tg_check_placed(s->placed, &limits, a, &sink) != TG_OK) {
        *why = sink.first != NULL ? sink.first->text : "?";
        return JUDGE_STATIC;
    }
    return JUDGE_SILENT;
}

judge subject_judge_placed(subject *s, uint64_t seed, tg_arena *a, const char **why) {
    judge j = judge_static(s, a, why);
    for (uint64_t k = 0; k < 2 && j == JUDGE_SILENT; k++) {
        tg_interp_arg args[GEN_MAX_PARAMS];
        case_memory m;
        tg_loop_options o = {.seed = seed + k, .max_steps = 2000000};
        tg_loop_report r;
        memory_make(&m, &s->c);
        args_of(&s->c, &m, args);
        if (tg_check_run(s->placed, args, s->c.syms, &o, a, &r) != TG_OK) {
            *why = "not a placed function";
            memory_free(&m);
            return JUDGE_PLACED;
        }
        j = compare(s, &m, JUDGE_PLACED, &r, a, why);
    }
    return j;
}

tg_module *subject_lower(subject *s, tg_arena *a, const char **why) {
    tg_sink sink;
    tg_sink_init(&sink, a);
    tg_module *loop = tg_module_make(a);
    if (tg_lower_simt(s->placed, machine(), loop, &sink) != TG_OK ||
        tg_module_verify(loop, &sink) != TG_OK) {
        *why = sink.first != NULL ? sink.first->text : "?";
        return NULL;
    }
    return loop;
}

judge subject_judge_loop(subject *s, tg_module *loop, uint64_t seed, tg_arena *a,
                         const char **why) {
    tg_interp_arg args[GEN_MAX_PARAMS];
    case_memory m;
    tg_loop_options o = {.seed = seed, .max_steps = 100000000, .mark = true};
    tg_loop_report r;
    memory_make(&m, &s->c);
    args_of(&s->c, &m, args);
    if (tg_loop_run_kernel(loop, s->c.func, args, s->c.syms, &o, a, &r) != TG_OK) {
        *why = "no function to run";
        memory_free(&m);
        return JUDGE_LOOP;
    }
    return compare(s, &m, JUDGE_LOOP, &r, a, why);
}
