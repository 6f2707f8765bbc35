/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checker's doors: a whole program, one kernel for given settings, and all its variants. A
 * kernel is checked by specialising it for every example that the file gives, or for probe values.
 */
#include "frontend/value.h"

#include <stdlib.h>
#include <string.h>

static tg_decl *find_kernel(const tg_program *p, const char *name) {
    for (size_t i = 0; i < p->kernels.count; i++) {
        if (strcmp(p->kernels.data[i]->name.name, name) == 0) {
            return p->kernels.data[i];
        }
    }
    tg_decl *d = tg_file_find(p->main, name);
    return d != NULL && (d->kind == TG_DECL_KERNEL || d->kind == TG_DECL_OP) ? d : NULL;
}

/* ---- settings that mean nothing ------------------------------------------------------------- */

static bool known_setting(const tg_decl *d, const char *name) {
    if (tg_schedule_key_setting(name)) {
        return true;
    }
    for (int i = 0; i < d->u.kernel.ct.n; i++) {
        if (strcmp(d->u.kernel.ct.items[i].name.name, name) == 0) {
            return true;
        }
    }
    for (int i = 0; i < d->u.kernel.n_tunes; i++) {
        if (strcmp(d->u.kernel.tunes[i].name.name, name) == 0) {
            return true;
        }
    }
    for (int i = 0; i < d->u.kernel.params.n; i++) {
        if (strcmp(d->u.kernel.params.items[i].name.name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool settings_known(tg_program *p, const tg_decl *d, const tg_setting *settings, int n,
                           const tg_func *f) {
    bool ok = true;
    for (int i = 0; i < n; i++) {
        bool known = known_setting(d, settings[i].name);
        for (int k = 0; f != NULL && k < f->n_syms && !known; k++) {
            known = strcmp(f->syms[k].name, settings[i].name) == 0;
        }
        if (!known && f != NULL) {
            tg_error(p->sink, TG_D_SETTING, d->head, "`%s` has no parameter or dimension `%s`",
                     d->name.name, settings[i].name);
            ok = false;
        }
    }
    return ok;
}

/* ---- one kernel ----------------------------------------------------------------------------- */

static tg_status specialise(tg_program *p, tg_decl *d, const tg_setting *settings, int n,
                            const tg_target_query *target, tg_module *m, tg_func **out) {
    *out = NULL;
    if (d->broken) {
        return TG_E_SOURCE;
    }
    if (d->kind == TG_DECL_OP) {
        return tg_elab_hostop(p, d, settings, n, target, m);
    }
    tg_elab *e = tg_elab_make(p, m);
    tg_status s = tg_elab_kernel(e, d, d->name.name, settings, n, target, -1, out, NULL, NULL);
    if (s == TG_OK && !settings_known(p, d, settings, n, *out)) {
        return TG_E_SOURCE;
    }
    return s;
}

tg_status tg_program_specialise(tg_program *p, const char *kernel, const tg_setting *settings,
                                int n_settings, const tg_target_query *target, tg_module *m,
                                tg_func **out) {
    jmp_buf oom, *outer = p->arena->env->oom;
    *out = NULL;
    if (TG_ENV_GUARD(p->arena->env, oom)) {
        p->arena->env->oom = outer;
        return TG_E_NOMEM;
    }
    tg_decl *d = find_kernel(p, kernel);
    tg_status s = TG_E_SOURCE;
    if (d == NULL) {
        tg_error(p->sink, TG_D_UNKNOWN_NAME, (tg_span){NULL, 0, 0}, "there is no kernel `%s`",
                 kernel);
    } else {
        s = specialise(p, d, settings, n_settings, target, m, out);
    }
    p->arena->env->oom = outer;
    return s;
}

static tg_status all_variants(tg_program *p, tg_decl *d, const tg_setting *settings, int n_settings,
                              const tg_target_query *target, tg_module *m, tg_variant **out,
                              int *out_n) {
    tg_variant *vs = NULL;
    int n = 1;
    for (int v = 0; v < n; v++) {
        tg_func *f;
        const tg_dim *guard = NULL;
        int count = 1;
        const char *name = v == n - 1 && v > 0
                               ? d->name.name
                               : tg_arena_printf(m->arena, "%s.v%d", d->name.name, v);
        tg_elab *e = tg_elab_make(p, m);
        tg_status s =
            tg_elab_kernel(e, d, name, settings, n_settings, target, v, &f, &guard, &count);
        if (s != TG_OK) {
            return s;
        }
        if (v == 0) {
            n = count;
            vs = TG_NEW_ARRAY(m->arena, tg_variant, n);
            if (n == 1) {
                f->name = tg_intern(&m->strings, d->name.name, strlen(d->name.name));
            }
        }
        if (!settings_known(p, d, settings, n_settings, f)) {
            return TG_E_SOURCE;
        }
        vs[v] = (tg_variant){f, guard};
    }
    *out = vs;
    *out_n = n;
    return TG_OK;
}

tg_status tg_program_specialise_all(tg_program *p, const char *kernel, const tg_setting *settings,
                                    int n_settings, const tg_target_query *target, tg_module *m,
                                    tg_variant **out, int *out_n) {
    jmp_buf oom, *outer = p->arena->env->oom;
    tg_func *f;
    *out = NULL;
    *out_n = 0;
    if (TG_ENV_GUARD(p->arena->env, oom)) {
        p->arena->env->oom = outer;
        return TG_E_NOMEM;
    }
    tg_decl *d = find_kernel(p, kernel);
    tg_status s = TG_E_SOURCE;
    if (d == NULL) {
        tg_error(p->sink, TG_D_UNKNOWN_NAME, (tg_span){NULL, 0, 0}, "there is no kernel `%s`",
                 kernel);
    } else if (d->kind == TG_DECL_OP || d->broken) { /* an op has no variants of its own */
        s = specialise(p, d, settings, n_settings, target, m, &f);
    } else {
        s = all_variants(p, d, settings, n_settings, target, m, out, out_n);
    }
    p->arena->env->oom = outer;
    return s;
}

/* ---- the whole program ---------------------------------------------------------------------- */

typedef struct tried { /* settings that a kernel was already checked with */
    TG_LIST(const char *) keys;
    TG_LIST(tg_func *) funcs; /* parallel; NULL for a failure or an op */
} tried;

/* The requirements that an example's extents decide. */
static void check_requires(tg_program *p, const tg_decl *d, const tg_func *f, const tg_setting *s,
                           int n, tg_span where) {
    int64_t *syms = TG_NEW_ARRAY(p->arena, int64_t, f->n_syms + 1);
    for (int k = 0; k < f->n_syms; k++) {
        bool found = false;
        for (int i = 0; i < n; i++) {
            if (strcmp(s[i].name, f->syms[k].name) == 0) {
                char *end;
                syms[k] = strtoll(s[i].value, &end, 0);
                found = true;
            }
        }
        if (!found) {
            return;
        }
    }
    for (int i = 0; i < f->n_requires; i++) {
        if (tg_dim_eval(f->requires_[i], syms) == 0) {
            tg_diag *g = tg_error(p->sink, TG_D_REQUIRE, where,
                                  "these extents break a requirement of `%s`", d->name.name);
            tg_note_add(p->sink, g, d->head, "declared here");
            return;
        }
    }
}

static const char *key_of(tg_program *p, const tg_decl *d, const tg_setting *s, int n,
                          const tg_target_query *t) {
    tg_sb sb;
    tg_sb_init(&sb, p->arena);
    for (int i = 0; i < n; i++) {
        bool ct = false;
        for (int k = 0; k < d->u.kernel.ct.n; k++) {
            ct = ct || strcmp(d->u.kernel.ct.items[k].name.name, s[i].name) == 0;
        }
        for (int k = 0; k < d->u.kernel.n_tunes; k++) {
            ct = ct || strcmp(d->u.kernel.tunes[k].name.name, s[i].name) == 0;
        }
        if (ct) {
            tg_sb_addf(&sb, "%s=%s;", s[i].name, s[i].value);
        }
    }
    tg_sb_addf(&sb, "%s/%s", t != NULL && t->vendor != NULL ? t->vendor : "",
               t != NULL && t->arch != NULL ? t->arch : "");
    return sb.data;
}

static void check_with(tg_program *p, tg_decl *d, const tg_setting *s, int n,
                       const tg_target_query *t, tg_span where, tried *done) {
    const char *key = key_of(p, d, s, n, t);
    for (size_t i = 0; i < done->keys.count; i++) {
        if (strcmp(done->keys.data[i], key) == 0) {
            if (done->funcs.data[i] != NULL) {
                check_requires(p, d, done->funcs.data[i], s, n, where);
            }
            return;
        }
    }
    TG_LIST_PUSH(p->arena, &done->keys, key);
    tg_func *f;
    /* Whatever goes wrong was reported; a repeat of an earlier report is dropped. */
    p->sink->round++;
    tg_status st = specialise(p, d, s, n, t, tg_module_make(p->arena), &f);
    f = st == TG_OK ? f : NULL;
    TG_LIST_PUSH(p->arena, &done->funcs, f);
    if (f != NULL) {
        check_requires(p, d, f, s, n, where);
    }
}

/* Every combination of type alternatives, 64 for the rest. */
static void check_probes(tg_program *p, tg_decl *d, tried *done, tg_setting **first, int *n_first) {
    const tg_ct_params *ct = &d->u.kernel.ct;
    tg_setting *s = TG_NEW_ARRAY(p->arena, tg_setting, ct->n + 1);
    int most = 1;
    for (int i = 0; i < ct->n; i++) {
        most = ct->items[i].n_alts > most ? ct->items[i].n_alts : most;
    }
    for (int v = 0; v < most; v++) {
        int n = 0;
        for (int i = 0; i < ct->n; i++) {
            const tg_ct_param *c = &ct->items[i];
            if (c->def != NULL) {
                continue;
            }
            s[n].name = c->name.name;
            s[n++].value = c->n_alts > 0 ? c->alts[v % c->n_alts].name.name : "64";
        }
        check_with(p, d, s, n, NULL, d->head, done);
        if (v == 0) {
            *first = s;
            *n_first = n;
            s = TG_NEW_ARRAY(p->arena, tg_setting, ct->n + 1);
        }
    }
}

static void check_schedules(tg_program *p, tg_decl *d, const tg_setting *s, int n, tried *done) {
    for (int i = 0; i < p->main->n_decls; i++) {
        const tg_decl *sd = p->main->decls[i];
        if (sd->kind == TG_DECL_SCHEDULE && !sd->broken &&
            strcmp(sd->name.name, d->name.name) == 0) {
            const tg_target_expr *t = &sd->u.schedule.target;
            tg_target_query q = {t->vendor.name, t->arch.name};
            check_with(p, d, s, n, &q, sd->span, done);
        }
    }
}

static void check_kernel(tg_program *p, tg_decl *d) {
    tried done = {.keys = {NULL, 0, 0}, .funcs = {NULL, 0, 0}};
    tg_setting *first = NULL;
    int n_first = 0;
    bool any = false;
    for (int i = 0; i < p->main->n_decls; i++) {
        const tg_decl *x = p->main->decls[i];
        tg_setting *s;
        int n;
        bool example =
            x->kind == TG_DECL_CASE || x->kind == TG_DECL_BENCH || x->kind == TG_DECL_INSTANTIATE;
        if (!example || x->broken || strcmp(x->name.name, d->name.name) != 0 ||
            !tg_program_settings(p, x, &s, &n)) {
            continue;
        }
        check_with(p, d, s, n, NULL, x->span, &done);
        first = any ? first : s;
        n_first = any ? n_first : n;
        any = true;
    }
    if (!any) {
        check_probes(p, d, &done, &first, &n_first);
    }
    check_schedules(p, d, first, n_first, &done);
}

/* Constants and records without parameters stand alone. */
static void check_plain(tg_program *p, tg_decl *d) {
    tg_module *m = tg_module_make(p->arena);
    tg_elab *e = tg_elab_make(p, m);
    e->decl = d;
    e->file = d->file;
    tg_el_push(e);
    if (d->kind == TG_DECL_CONST || tg_el_record_params(d) == 0) {
        tg_el_global(e, d->name);
    }
}

static bool needs_arguments(const tg_decl *d) {
    for (int i = 0; i < d->u.record.ct.n; i++) {
        if (d->u.record.ct.items[i].def == NULL) {
            return true;
        }
    }
    return false;
}

static int list_records(tg_program *p, tg_record_info **out) {
    tg_record_info *list = TG_NEW_ARRAY(p->arena, tg_record_info, p->main->n_decls + 1);
    const tg_expr_list none = {NULL, 0};
    int n = 0;
    for (int i = 0; i < p->main->n_decls; i++) {
        tg_decl *d = p->main->decls[i];
        if (d->kind != TG_DECL_RECORD || d->broken || needs_arguments(d)) {
            continue;
        }
        tg_elab *e = tg_elab_make(p, tg_module_make(p->arena));
        e->decl = d;
        e->file = d->file;
        tg_el_push(e);
        const tg_record *r = tg_el_record(e, d, &none, d->head);
        if (r != NULL) {
            list[n++] = (tg_record_info){.name = d->name.name, .bytes = r->bytes};
        }
    }
    *out = list;
    return n;
}

int tg_program_records(tg_program *p, tg_record_info **out) {
    jmp_buf oom, *outer = p->arena->env->oom;
    int n = -1;
    if (!TG_ENV_GUARD(p->arena->env, oom)) {
        n = list_records(p, out);
    }
    p->arena->env->oom = outer;
    return n;
}

static void check_schedule_target(tg_program *p, const tg_decl *d) {
    if (find_kernel(p, d->name.name) == NULL) {
        tg_error(p->sink, TG_D_UNKNOWN_NAME, d->name.span, "there is no kernel `%s`", d->name.name);
    }
}

tg_status tg_program_check(tg_program *p) {
    jmp_buf oom, *outer = p->arena->env->oom;
    if (TG_ENV_GUARD(p->arena->env, oom)) {
        p->arena->env->oom = outer;
        return TG_E_NOMEM;
    }
    for (int i = 0; i < p->main->n_decls; i++) {
        tg_decl *d = p->main->decls[i];
        if (d->broken) {
            continue;
        }
        switch (d->kind) {
        case TG_DECL_KERNEL:
        case TG_DECL_OP:
            check_kernel(p, d);
            break;
        case TG_DECL_CONST:
        case TG_DECL_RECORD:
            check_plain(p, d);
            break;
        case TG_DECL_SCHEDULE:
            check_schedule_target(p, d);
            break;
        case TG_DECL_FN:
            tg_el_check_names(p, d);
            break;
        case TG_DECL_CASE:
        case TG_DECL_BENCH:
        case TG_DECL_INSTANTIATE:
        case TG_DECL_IMPORT:
            break;
        }
    }
    p->arena->env->oom = outer;
    return p->sink->errors > 0 ? TG_E_SOURCE : TG_OK;
}
