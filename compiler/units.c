/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is compiled: the targets, best first; the jobs (kernels and ops with settings, from the
 * caller or from the source's `instantiate` lines); each job specialised per target, and the
 * specialisations of all targets merged into the kernels of one package. When two targets'
 * schedules give the same variants they become code of the same variant; otherwise the better
 * target's variants come first, and the runtime, which takes the first variant it has code for,
 * finds its own.
 */
#include "compiler/compiler.h"

#include <string.h>

/* ---- targets -------------------------------------------------------------------------------- */

static const tg_machine *find_target(tgc_state *s, const char *name) {
    return strcmp(name, "host") == 0 || strcmp(name, "cpu") == 0
               ? tg_machine_host()
               : tg_machine_named(&s->arena, name);
}

/* Inserts by falling preference; the first target stays first for textual dumps when alone. */
static void add_lane(tgc_state *s, const tg_machine *m) {
    for (int i = 0; i < s->n_lanes; i++) {
        if (s->lanes[i].machine == m) {
            return;
        }
    }
    int at = s->n_lanes++;
    for (; at > 0 && s->lanes[at - 1].machine->isa_id < m->isa_id; at--) {
        s->lanes[at] = s->lanes[at - 1];
    }
    s->lanes[at] = (tgc_lane){.machine = m};
}

tg_status tgc_choose_targets(tgc_state *s) {
    static const char *const host[] = {"host"};
    const char *const *names = s->o.n_targets ? s->o.targets : host;
    int n = s->o.n_targets ? s->o.n_targets : 1;
    s->lanes = TG_NEW_ARRAY(&s->arena, tgc_lane, n);
    for (int i = 0; i < n; i++) {
        const tg_machine *m = names[i] ? find_target(s, names[i]) : NULL;
        const tg_machine *model = names[i] && !m ? tg_machine_model(names[i]) : NULL;
        if (model && s->o.emit == TGC_EMIT_PLACED) {
            m = model;
        }
        if (!m) {
            tg_error(&s->sink, TG_D_BACKEND, (tg_span){0},
                     model ? "`%s` is a model of a machine: it can only be placed for"
                           : "there is no target `%s`",
                     names[i] ? names[i] : "");
            return TG_E_UNSUPPORTED;
        }
        add_lane(s, m);
    }
    for (int i = 0; i < s->n_lanes; i++) {
        s->lanes[i].tile = tg_module_make(&s->arena);
        s->lanes[i].placed = tg_module_make(&s->arena);
        s->lanes[i].loop = tg_module_make(&s->arena);
    }
    return TG_OK;
}

/* ---- jobs ----------------------------------------------------------------------------------- */

static const tg_setting *join_settings(tgc_state *s, const tg_setting *a, int n_a,
                                       const tgr_setting *b, int n_b, int *out_n) {
    tg_setting *all = TG_NEW_ARRAY(&s->arena, tg_setting, n_a + n_b + s->o.n_settings + 1);
    int n = 0;
    for (int i = 0; i < n_a; i++) {
        all[n++] = a[i];
    }
    for (int i = 0; i < n_b; i++) {
        all[n++] = (tg_setting){.name = b[i].name, .value = b[i].value};
    }
    for (int i = 0; i < s->o.n_settings; i++) {
        bool known = false;
        for (int k = 0; k < n; k++) {
            known |= strcmp(all[k].name, s->o.settings[i].name) == 0;
        }
        if (!known) {
            all[n++] = (tg_setting){.name = s->o.settings[i].name, .value = s->o.settings[i].value};
        }
    }
    *out_n = n;
    return all;
}

static bool covers(const tg_setting *settings, int n, const char *name) {
    for (int i = 0; i < n; i++) {
        if (strcmp(settings[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool complete(const tg_kernel_info *k, const tg_setting *settings, int n) {
    for (int i = 0; i < k->n_compile; i++) {
        if (!covers(settings, n, k->compile_names[i])) {
            return false;
        }
    }
    return true;
}

static bool kernel_info(const tgc_state *s, const char *name, tg_kernel_info *out) {
    for (int i = 0; i < tg_program_n_kernels(s->program); i++) {
        *out = tg_program_kernel(s->program, i);
        if (out->name && strcmp(out->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void push_job(tgc_state *s, const tg_kernel_info *k, const tg_setting *settings, int n) {
    TG_LIST_PUSH(&s->arena, &s->jobs,
                 (tgc_job){.kernel = k->name,
                           .settings = settings,
                           .n_settings = n,
                           .is_op = k->is_op,
                           .span = k->span});
}

/* Jobs from the `instantiate` lines of a kernel; how many. */
static int push_instantiated(tgc_state *s, const tg_kernel_info *k) {
    int pushed = 0;
    for (int i = 0; i < tg_program_n_instances(s->program); i++) {
        const tg_case *c = tg_program_instance(s->program, i);
        if (strcmp(c->kernel, k->name) == 0) {
            int n;
            const tg_setting *all = join_settings(s, c->settings, c->n_settings, NULL, 0, &n);
            push_job(s, k, all, n);
            pushed++;
        }
    }
    return pushed;
}

static void choose_one(tgc_state *s, const tg_kernel_info *k, const tgr_setting *settings,
                       int n_settings, bool explicit_) {
    int n;
    const tg_setting *all = join_settings(s, NULL, 0, settings, n_settings, &n);
    if (complete(k, all, n)) {
        push_job(s, k, all, n);
    } else if (push_instantiated(s, k) == 0 && explicit_) {
        push_job(s, k, all, n); /* the front end says which name is missing */
    }
}

tg_status tgc_choose_jobs(tgc_state *s) {
    tg_kernel_info k;
    if (s->o.from_ir) {
        return TG_OK;
    }
    for (int i = 0; i < s->o.n_instances; i++) {
        const tgc_instance *in = &s->o.instances[i];
        if (!in->kernel || !kernel_info(s, in->kernel, &k)) {
            tg_error(&s->sink, TG_D_TOOL, (tg_span){.source = &s->source},
                     "there is no kernel or op `%s`", in->kernel ? in->kernel : "");
            return TG_E_SOURCE;
        }
        choose_one(s, &k, in->settings, in->n_settings, true);
    }
    int n = tg_program_n_kernels(s->program);
    for (int i = 0; s->o.n_instances == 0 && i < n; i++) {
        k = tg_program_kernel(s->program, i);
        choose_one(s, &k, NULL, 0, n == 1);
    }
    if (s->jobs.count == 0) {
        tg_diag *d = tg_error(&s->sink, TG_D_TOOL, (tg_span){.source = &s->source},
                              "there is nothing to compile");
        tg_note_add(&s->sink, d, (tg_span){0},
                    "every kernel has compile-time names without a value: add `instantiate` lines "
                    "or settings");
        return TG_E_SOURCE;
    }
    return TG_OK;
}

/* ---- specialising --------------------------------------------------------------------------- */

static bool same_guard(tgc_state *s, const tg_dim *a, const tg_dim *b) {
    if (!a || !b) {
        return a == b;
    }
    tg_sb x, y;
    tg_sb_init(&x, &s->arena);
    tg_sb_init(&y, &s->arena);
    tg_dim_encode(&x, a);
    tg_dim_encode(&y, b);
    return x.len == y.len && memcmp(x.data, y.data, x.len) == 0;
}

static bool same_bindings(const tg_func *a, const tg_func *b) {
    if (a->n_bindings != b->n_bindings) {
        return false;
    }
    for (int i = 0; i < a->n_bindings; i++) {
        if (strcmp(a->bindings[i].name, b->bindings[i].name) != 0 ||
            strcmp(a->bindings[i].value, b->bindings[i].value) != 0) {
            return false;
        }
    }
    return true;
}

static tgc_unit *unit_for(tgc_state *s, int job, const char *name, const char *func_name) {
    for (size_t i = 0; i < s->units.count; i++) {
        tgc_unit *u = &s->units.data[i];
        bool same = func_name ? u->func_name && strcmp(u->func_name, func_name) == 0
                              : u->job == job && !u->func_name;
        if (same) {
            return u;
        }
    }
    TG_LIST_PUSH(&s->arena, &s->units,
                 (tgc_unit){.name = name, .func_name = func_name, .job = job});
    return &s->units.data[s->units.count - 1];
}

/* Adds a lane's variants to a unit; into existing ones where the lists are alike. */
static void merge(tgc_state *s, tgc_unit *u, int lane, const tg_variant *v, int n) {
    size_t have = u->variants.count, at = 0;
    bool alike = have >= (size_t)n && have > 0;
    for (; alike && at < (size_t)n; at++) {
        alike = same_guard(s, u->variants.data[have - (size_t)n + at].guard, v[at].guard) &&
                same_bindings(u->variants.data[have - (size_t)n + at].func, v[at].func) &&
                !u->variants.data[have - (size_t)n + at].symbols[lane];
    }
    for (int i = 0; i < n; i++) {
        if (!alike) {
            const char **symbols = TG_NEW_ARRAY(&s->arena, const char *, s->n_lanes);
            TG_LIST_PUSH(
                &s->arena, &u->variants,
                (tg_pack_variant){.func = v[i].func, .guard = v[i].guard, .symbols = symbols});
        }
        size_t where = alike ? have - (size_t)n + (size_t)i : u->variants.count - 1;
        ((const char **)(uintptr_t)u->variants.data[where].symbols)[lane] = v[i].func->name;
    }
}

/* Gives a function a name that no other of its module has; ops that launch it follow. */
static void make_unique(tgc_state *s, tg_module *m, tg_func *f, const tg_hostop *old_ops) {
    const char *old = f->name;
    int same = 0;
    for (const tg_func *g = m->first_func; g && g != f; g = g->next) {
        same += strcmp(g->name, old) == 0;
    }
    for (int k = 2; same; k++) {
        const char *name = tg_arena_printf(&s->arena, "%s_%d", old, k);
        same = tg_func_find(m, name) != NULL;
        f->name = same ? old : tg_intern(&m->strings, name, strlen(name));
    }
    for (tg_hostop *o = m->hostops; o && o != old_ops && f->name != old; o = o->next) {
        for (int i = 0; i < o->n_launches; i++) {
            o->launches[i].kernel =
                strcmp(o->launches[i].kernel, old) == 0 ? f->name : o->launches[i].kernel;
        }
    }
}

static tg_status specialise_op(tgc_state *s, int job, int lane, const tg_target_query *q,
                               tg_func *last) {
    const tgc_job *j = &s->jobs.data[job];
    tgc_lane *l = &s->lanes[lane];
    const tg_hostop *old_ops = l->tile->hostops;
    tg_func *ignored = NULL;
    tg_status st = tg_program_specialise(s->program, j->kernel, j->settings, j->n_settings, q,
                                         l->tile, &ignored);
    s->env.oom = s->frame;
    if (st) {
        return st;
    }
    for (tg_func *f = last ? last->next : l->tile->first_func; f; f = f->next) {
        const char *name = f->name;
        make_unique(s, l->tile, f, old_ops);
        tg_variant v = {.func = f};
        merge(s, unit_for(s, job, name, f->name), lane, &v, 1);
    }
    return TG_OK;
}

static tg_status specialise_kernel(tgc_state *s, int job, int lane, const tg_target_query *q,
                                   tg_func *last) {
    const tgc_job *j = &s->jobs.data[job];
    tgc_lane *l = &s->lanes[lane];
    tg_variant *v = NULL;
    int n = 0;
    tg_status st = tg_program_specialise_all(s->program, j->kernel, j->settings, j->n_settings, q,
                                             l->tile, &v, &n);
    s->env.oom = s->frame;
    if (st) {
        return st;
    }
    for (tg_func *f = last ? last->next : l->tile->first_func; f; f = f->next) {
        make_unique(s, l->tile, f, l->tile->hostops);
    }
    merge(s, unit_for(s, job, j->kernel, NULL), lane, v, n);
    return TG_OK;
}

tg_status tgc_specialise(tgc_state *s) {
    tg_status st = TG_OK;
    for (int lane = 0; lane < s->n_lanes; lane++) {
        const tg_machine *m = s->lanes[lane].machine;
        const char *row = tg_arena_strndup(&s->arena, m->name, strcspn(m->name, "+"));
        tg_target_query q = {.vendor = s->o.no_schedule ? NULL : m->vendor,
                             .arch = s->o.arch ? s->o.arch : row};
        for (size_t i = 0; i < s->jobs.count && !s->o.from_ir; i++) {
            tg_func *last = s->lanes[lane].tile->last_func;
            tg_status one = s->jobs.data[i].is_op ? specialise_op(s, (int)i, lane, &q, last)
                                                  : specialise_kernel(s, (int)i, lane, &q, last);
            st = st ? st : one;
        }
    }
    s->ops = s->lanes[0].tile->hostops;
    for (const tg_func *f = s->lanes[0].tile->first_func; f && !st; f = f->next) {
        tgc_dump(s, "specialise", f);
    }
    return st;
}

/* ---- IR text as the source ------------------------------------------------------------------ */

tg_status tgc_read_ir(tgc_state *s) {
    for (int lane = 0; lane < s->n_lanes; lane++) {
        tg_status st = tg_module_parse(&s->source, &s->arena, &s->sink, &s->lanes[lane].tile);
        st = st ? st : tg_module_verify(s->lanes[lane].tile, &s->sink);
        if (st) {
            return st;
        }
        for (tg_func *f = s->lanes[lane].tile->first_func; f; f = f->next) {
            if (f->level != TG_LEVEL_TILE) {
                tg_error(&s->sink, TG_D_TOOL, f->span, "`%s` is not at the tile level", f->name);
                return TG_E_UNSUPPORTED;
            }
            tg_variant v = {.func = f};
            merge(s, unit_for(s, -1, f->name, f->name), lane, &v, 1);
        }
    }
    return TG_OK;
}
