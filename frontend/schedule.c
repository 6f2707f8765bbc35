/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tunes and schedules: which value every tune takes. A setting wins over a schedule, a schedule
 * over the default. Schedules apply in source order when their target matches and their guard
 * holds; guards over runtime dimensions make variants, of which the first whose guard holds runs.
 */
#include "frontend/value.h"

#include <ctype.h>
#include <string.h>

/* Keys other than tunes that back ends read as "schedule.KEY"; settings may be called that, too. */
static const char *const schedule_keys[] = {"stages",  "roles",   "pack",     "order",
                                            "cluster", "warps",   "unroll",   "split",
                                            "vector",  "threads", "prefetch", "regs",
                                            "replicas"};

/* ---- targets -------------------------------------------------------------------------------- */

/* "sm_90a" -> "sm", 90; "x86-64-v3" -> "x86-64-v", 3. */
static size_t split_arch(const char *arch, long *number) {
    size_t end = strlen(arch);
    while (end > 0 && !isdigit((unsigned char)arch[end - 1])) {
        end--;
    }
    size_t begin = end;
    while (begin > 0 && isdigit((unsigned char)arch[begin - 1])) {
        begin--;
    }
    *number = 0;
    for (size_t i = begin; i < end && *number < 1000000; i++) {
        *number = *number * 10 + (arch[i] - '0');
    }
    while (begin > 0 && (arch[begin - 1] == '_' || arch[begin - 1] == '-')) {
        begin--;
    }
    return end == 0 ? strlen(arch) : begin;
}

static bool target_matches(const tg_target_expr *t, const tg_target_query *q) {
    if (q == NULL || q->vendor == NULL || strcmp(t->vendor.name, q->vendor) != 0) {
        return false;
    }
    if (t->rel == TG_BIN_NONE || t->arch.name == NULL) {
        return true;
    }
    if (q->arch == NULL) {
        return false;
    }
    if (t->rel == TG_BIN_EQ && strcmp(t->arch.name, q->arch) == 0) {
        return true;
    }
    long have, want;
    size_t nh = split_arch(q->arch, &have), nw = split_arch(t->arch.name, &want);
    if (nh != nw || strncmp(q->arch, t->arch.name, nh) != 0) {
        return false;
    }
    switch ((int)t->rel) {
    case TG_BIN_EQ:
        return have == want;
    case TG_BIN_GE:
        return have >= want;
    case TG_BIN_LE:
        return have <= want;
    case TG_BIN_GT:
        return have > want;
    default:
        return have < want;
    }
}

/* schedule matmul[f16] for ...: the compile-time names that it speaks of. */
static bool ct_matches(tg_elab *e, const tg_decl *s) {
    for (int i = 0; i < s->u.schedule.ct.n; i++) {
        const tg_ct_arg *a = &s->u.schedule.ct.items[i];
        const tg_ct_params *ps = &e->decl->u.kernel.ct;
        const char *name = a->name.name != NULL ? a->name.name
                           : i < ps->n          ? ps->items[i].name.name
                                                : NULL;
        const tg_slot *have = name == NULL ? NULL : tg_el_lookup(e, name);
        const tg_val *want = tg_el_expr(e, a->value);
        if (name != NULL &&
            want->kind == TG_VAL_TYPE) { /* a type that the kernel never takes is a slip */
            const tg_ct_param *p = NULL;
            for (int k = 0; k < ps->n; k++) {
                p = strcmp(ps->items[k].name.name, name) == 0 ? &ps->items[k] : p;
            }
            bool taken = p == NULL || p->n_alts == 0;
            for (int k = 0; !taken && k < p->n_alts; k++) {
                tg_dtype t;
                const tg_record *r;
                taken = tg_el_type(e, &p->alts[k], &t, &r) && t == want->dtype && r == want->record;
            }
            if (!taken) {
                tg_el_error(e, TG_D_SCHEDULE, a->value->span, "`%s` of `%s` is never %s", name,
                            e->decl->name.name, tg_el_text(e, a->value));
            }
        }
        if (have == NULL || want->kind != have->val->kind || want->i != have->val->i ||
            want->dtype != have->val->dtype || want->record != have->val->record) {
            return false;
        }
    }
    return true;
}

/* ---- values --------------------------------------------------------------------------------- */

static const tg_tune *find_tune(const tg_decl *k, const char *name) {
    for (int i = 0; i < k->u.kernel.n_tunes; i++) {
        if (strcmp(k->u.kernel.tunes[i].name.name, name) == 0) {
            return &k->u.kernel.tunes[i];
        }
    }
    return NULL;
}

static bool known_key(const char *name) {
    for (size_t i = 0; i < TG_COUNT_OF(schedule_keys); i++) {
        if (strcmp(schedule_keys[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void plan_put(tg_elab *e, tg_plan *p, tg_plan_set set) {
    for (size_t i = 0; i < p->sets.count; i++) {
        if (strcmp(p->sets.data[i].name, set.name) == 0) {
            p->sets.data[i] = set;
            return;
        }
    }
    TG_LIST_PUSH(e->a, &p->sets, set);
}

static bool apply(tg_elab *e, const tg_decl *s, tg_plan *p) {
    bool ok = true;
    for (int i = 0; i < s->u.schedule.n; i++) {
        const tg_set *set = &s->u.schedule.sets[i];
        const char *name = set->name.name;
        for (int k = 0; k < i; k++) {
            if (strcmp(s->u.schedule.sets[k].name.name, name) == 0) {
                tg_el_error(e, TG_D_SCHEDULE, set->span, "`%s` is set twice", name);
                ok = false;
            }
        }
        if (find_tune(e->decl, name) != NULL) {
            const tg_val *v = tg_el_expr(e, set->value);
            if (v->kind != TG_VAL_INT && v->kind != TG_VAL_BOOL && v->kind != TG_VAL_FLOAT) {
                if (!tg_el_is_error(v)) {
                    tg_el_error(e, TG_D_SCHEDULE, set->span, "`%s` takes a compile-time value",
                                name);
                }
                ok = false;
                continue;
            }
            plan_put(e, p, (tg_plan_set){.name = name, .val = v, .is_tune = true});
        } else if (known_key(name)) {
            const char *text = set->value != NULL ? tg_el_text(e, set->value) : set->text;
            plan_put(e, p,
                     (tg_plan_set){.name = tg_arena_printf(e->m->arena, "schedule.%s", name),
                                   .value = text});
        } else {
            tg_diag *d = tg_el_error(e, TG_D_SCHEDULE, set->span,
                                     "`%s` has no tune `%s`, and no target knows that key",
                                     e->decl->name.name, name);
            tg_sb sb;
            tg_sb_init(&sb, e->a);
            for (int k = 0; k < e->decl->u.kernel.n_tunes; k++) {
                tg_sb_addf(&sb, "%s%s", k > 0 ? ", " : "", e->decl->u.kernel.tunes[k].name.name);
            }
            tg_note_add(e->sink, d, e->decl->head, "its tunes are: %s",
                        sb.len > 0 ? sb.data : "none");
            ok = false;
        }
    }
    return ok;
}

/* 1: holds, 0: does not, -1: the launch decides (*guard), -2: error. */
static int guard_of(tg_elab *e, const tg_decl *s, bool by_settings, const tg_dim **guard) {
    if (s->u.schedule.when == NULL) {
        return 1;
    }
    const tg_dim *g = tg_el_condition(e, s->u.schedule.when, true);
    if (g == NULL) {
        return -2;
    }
    int64_t c;
    if (tg_sy_const(g, &c)) {
        return c != 0;
    }
    *guard = g;
    if (!by_settings) {
        return -1;
    }
    int64_t *syms = TG_NEW_ARRAY(e->a, int64_t, e->dims.syms.count + 1);
    for (size_t i = 0; i < e->dims.syms.count; i++) {
        const char *text = tg_el_setting(e, e->dims.syms.data[i].name);
        const tg_val *v;
        if (text == NULL || !tg_el_setting_value(e, text, s->span, &v) || v->kind != TG_VAL_INT) {
            return 0; /* not known: the schedule with a guard does not apply */
        }
        syms[i] = v->i;
    }
    return tg_dim_eval(g, syms) != 0;
}

static bool tune_value(tg_elab *e, const tg_tune *t, tg_plan *p) {
    const char *text = tg_el_setting(e, t->name.name);
    const tg_val *v = NULL;
    for (size_t i = 0; i < p->sets.count && text == NULL; i++) {
        if (strcmp(p->sets.data[i].name, t->name.name) == 0) {
            v = p->sets.data[i].val;
        }
    }
    if (text != NULL && !tg_el_setting_value(e, text, t->span, &v)) {
        return false;
    }
    v = v != NULL ? v : tg_el_expr(e, t->def);
    if (tg_el_is_error(v)) {
        return false;
    }
    if (v->kind != TG_VAL_INT && v->kind != TG_VAL_BOOL && v->kind != TG_VAL_FLOAT) {
        tg_el_error(e, TG_D_SCHEDULE, t->span, "a tune is a compile-time number or bool");
        return false;
    }
    /* `in {..}` is where a tuner searches; a setting or schedule may go elsewhere, in the same
     * kind. The default is one of its values. */
    bool listed = t->values.n == 0;
    for (int i = 0; i < t->values.n; i++) {
        const tg_val *x = tg_el_expr(e, t->values.items[i]);
        if (!tg_el_is_error(x) && x->kind != v->kind) {
            tg_diag *d =
                tg_el_error(e, TG_D_SCHEDULE, v->where.source != NULL ? v->where : t->span,
                            "%s does not fit tune `%s`", tg_el_describe(e, v), t->name.name);
            tg_note_add(e->sink, d, t->span, "declared here");
            return false;
        }
    }
    const tg_val *def = tg_el_expr(e, t->def);
    for (int i = 0; i < t->values.n && !listed; i++) {
        const tg_val *x = tg_el_expr(e, t->values.items[i]);
        listed = tg_el_is_error(x) || tg_el_is_error(def) ||
                 (x->i == def->i && !(x->f < def->f) && !(x->f > def->f));
    }
    if (!listed) {
        tg_el_error(e, TG_D_SCHEDULE, t->def->span,
                    "the default of tune `%s` is not among its values", t->name.name);
        return false;
    }
    plan_put(e, p, (tg_plan_set){.name = t->name.name, .val = v, .is_tune = true});
    tg_el_bind(e, t->name.name, v, false, t->span);
    return true;
}

bool tg_schedule_key_setting(const char *name) {
    static const char prefix[] = "schedule.";
    size_t n = sizeof prefix - 1;
    return strncmp(name, prefix, n) == 0 && known_key(name + n);
}

/* Settings called schedule.KEY, over what schedules say. */
static void apply_key_settings(tg_elab *e, tg_plan *p) {
    for (int i = 0; i < e->n_settings; i++) {
        if (tg_schedule_key_setting(e->settings[i].name)) {
            plan_put(e, p,
                     (tg_plan_set){.name = tg_arena_strdup(e->m->arena, e->settings[i].name),
                                   .value = e->settings[i].value});
        }
    }
}

bool tg_el_schedule(tg_elab *e, int variant, tg_plan *out, const tg_dim **guard, int *n_variants) {
    bool ok = true;
    int runtime = 0;
    *guard = NULL;
    *out = (tg_plan){.sets = {NULL, 0, 0}};
    const tg_file *file = e->decl->file;
    for (int i = 0; i < file->n_decls; i++) {
        const tg_decl *s = file->decls[i];
        if (s->kind != TG_DECL_SCHEDULE || s->broken ||
            strcmp(s->name.name, e->decl->name.name) != 0 ||
            !target_matches(&s->u.schedule.target, e->target) || !ct_matches(e, s)) {
            continue;
        }
        const tg_dim *g = NULL;
        int holds = guard_of(e, s, variant < 0, &g);
        if (holds == -1) {
            if (runtime++ == variant) {
                *guard = g;
                holds = 1;
            }
        }
        if (holds == 1) {
            ok = apply(e, s, out) && ok;
        }
        ok = ok && holds != -2;
    }
    *n_variants = runtime + 1;
    apply_key_settings(e, out);
    for (int i = 0; i < e->decl->u.kernel.n_tunes; i++) {
        ok = tune_value(e, &e->decl->u.kernel.tunes[i], out) && ok;
    }
    return ok;
}
