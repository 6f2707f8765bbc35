/* SPDX-License-Identifier: Apache-2.0 */
/* The ways to run a generated kernel: see run.h. */
#include <stdio.h>
#include <string.h>

#include "ir/interp.h"
#include "ir/passes.h"
#include "tests/random/run.h"

bool run_is_refusal(const char *wrong) {
    return wrong != NULL && strncmp(wrong, RUN_REFUSED, strlen(RUN_REFUSED)) == 0;
}

static const char *diags_text(const tg_sink *sink, tg_arena *a) {
    return sink->first != NULL ? tg_arena_strdup(a, sink->first->text) : "no diagnostic";
}

static const char *interpret_with(const gen_case *c, case_memory *m, uint64_t order,
                                  uint64_t absent, tg_arena *a) {
    tg_interp_arg args[GEN_MAX_PARAMS];
    int64_t syms[GEN_MAX_SYMS];
    tg_sink sink;
    tg_sink_init(&sink, a);
    memset(args, 0, sizeof args);
    for (int p = 0; p < m->n; p++) {
        const case_tensor *t = &m->tensors[p];
        args[p].data = t->base;
        args[p].scalar = m->scalars[p];
        memcpy(args[p].extent, t->extent, sizeof t->extent);
        memcpy(args[p].stride_bytes, t->stride, sizeof t->stride);
    }
    if (tg_interp_bind(c->func, args, syms, &sink) != TG_OK) {
        return tg_arena_printf(a, "binding failed: %s", diags_text(&sink, a));
    }
    tg_interp_options o = {.check_races = true,
                           .check_facts = true,
                           .order_seed = order,
                           .max_steps = 50000000,
                           .absent_seed = absent};
    tg_arena scratch;
    tg_arena_init(&scratch, a->env);
    tg_status s = tg_interp_run(c->func, args, syms, &o, &scratch, &sink);
    const char *text =
        s == TG_OK ? NULL : tg_arena_printf(a, "interpreter: %s", diags_text(&sink, a));
    tg_arena_fini(&scratch);
    return text;
}

static const char *interpret(const gen_case *c, case_memory *m, uint64_t order, tg_arena *a) {
    return interpret_with(c, m, order, 0, a);
}

const char *run_poisoned(gen_case *c, const case_memory *want, bool outputs, tg_arena *a) {
    case_memory m;
    memory_make(&m, c);
    if (outputs) {
        memory_spoil_outputs(&m, c);
    }
    const char *wrong = interpret_with(c, &m, 0, 77, a);
    if (wrong == NULL) {
        wrong = memory_compare(want, &m, c, a);
    }
    memory_free(&m);
    return wrong == NULL ? NULL : tg_arena_printf(a, "with other absent elements: %s", wrong);
}

static const char *verify(const gen_case *c, const char *when, tg_arena *a) {
    tg_sink sink;
    tg_sink_init(&sink, a);
    if (tg_func_verify(c->func, &sink) != TG_OK) {
        return tg_arena_printf(a, "%s: %s", when, diags_text(&sink, a));
    }
    return NULL;
}

/* Interprets c on fresh memory and compares with the reference. */
static const char *compare_interpreted(gen_case *c, const case_memory *want, uint64_t order,
                                       const char *when, tg_arena *a) {
    case_memory m;
    memory_make(&m, c);
    const char *wrong = interpret(c, &m, order, a);
    if (wrong == NULL) {
        wrong = memory_compare(want, &m, c, a);
    }
    memory_free(&m);
    return wrong == NULL ? NULL : tg_arena_printf(a, "%s: %s", when, wrong);
}

/* Prints, parses, prints again; the texts must agree and c then is the parsed kernel. */
static const char *round_trip(gen_case *c, tg_arena *a) {
    tg_sb first, second;
    tg_sink sink;
    tg_module *m = NULL;
    tg_sb_init(&first, a);
    tg_sb_init(&second, a);
    tg_sink_init(&sink, a);
    tg_module_print(&first, c->module);
    tg_source *src = TG_NEW(a, tg_source);
    *src = (tg_source){.name = "random", .text = first.data, .len = first.len};
    if (tg_module_parse(src, a, &sink, &m) != TG_OK) {
        return tg_arena_printf(a, "text form does not parse: %s", diags_text(&sink, a));
    }
    tg_module_print(&second, m);
    if (strcmp(first.data, second.data) != 0) {
        return "text form changes in a round trip";
    }
    c->module = m;
    c->func = m->first_func;
    return NULL;
}

static const char *after_passes(gen_case *c, const case_memory *want, const run_options *o,
                                tg_arena *a) {
    tg_pass_context ctx = {.scratch = a};
    for (size_t i = 0; i < tg_tile_pipeline_count; i++) {
        const char *when = tg_arena_printf(a, "after pass %s", tg_tile_pipeline[i].name);
        tg_tile_pipeline[i].run(c->func, &ctx);
        if (o->verbose) {
            tg_sb sb;
            tg_sb_init(&sb, a);
            tg_func_print(&sb, c->func);
            printf("---- %s\n%s", when, sb.data);
        }
        const char *wrong = verify(c, when, a);
        if (wrong == NULL) {
            wrong = compare_interpreted(c, want, 0, when, a);
        }
        if (wrong != NULL) {
            return wrong;
        }
    }
    return NULL;
}

/* device NULL: lowered and loaded right here. */
static const char *compiled(gen_case *c, const case_memory *want, const char *device,
                            const char *when, tg_arena *a) {
#ifdef RANDOM_HAVE_CPU
    case_memory m;
    memory_make(&m, c);
    const char *wrong = device == NULL ? run_compiled(c, &m, a) : run_on_device(device, c, &m, a);
    if (wrong == NULL) {
        wrong = memory_compare(want, &m, c, a);
    }
    memory_free(&m);
    return wrong == NULL || run_is_refusal(wrong)
               ? wrong
               : tg_arena_printf(a, "%s %s: %s", device == NULL ? "compiled" : device, when, wrong);
#else
    (void)c;
    (void)want;
    (void)device;
    (void)when;
    (void)a;
    return NULL;
#endif
}

static const char *all_ways(gen_case *c, const case_memory *want, const run_options *o,
                            tg_arena *a) {
    const char *wrong = compare_interpreted(c, want, 0x123457, "in another order", a);
    if (wrong == NULL && !c->edited) {
        wrong = run_poisoned(c, want, false, a);
    }
    if (wrong == NULL) {
        wrong = round_trip(c, a);
    }
    if (wrong == NULL) {
        wrong = compare_interpreted(c, want, 0, "after the round trip", a);
    }
    if (wrong == NULL && o->cpu) {
        wrong = compiled(c, want, NULL, "before passes", a);
    }
    if (wrong == NULL && o->device != NULL) {
        wrong = compiled(c, want, o->device, "device", a);
    }
    if (wrong == NULL && o->passes) {
        wrong = after_passes(c, want, o, a);
        if (wrong == NULL && o->cpu) {
            wrong = compiled(c, want, NULL, "after passes", a);
        }
    }
    return wrong;
}

const char *run_case(gen_case *c, const run_options *o, tg_arena *a) {
    case_memory want;
    const char *wrong = verify(c, "as generated", a);
    if (wrong != NULL) {
        return wrong;
    }
    memory_make(&want, c);
    wrong = interpret(c, &want, 0, a);
    if (wrong != NULL && strstr(wrong, "gave up") != NULL) {
        wrong = NULL; /* loops around loops: too much work to tell anything */
    } else if (wrong == NULL) {
        wrong = all_ways(c, &want, o, a);
    }
    memory_free(&want);
    return wrong;
}

const char *run_reference(const gen_case *c, case_memory *m, tg_arena *a) {
    memory_make(m, c);
    return interpret(c, m, 0, a);
}
