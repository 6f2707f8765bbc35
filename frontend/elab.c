/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One kernel for concrete settings: signature, tunes, grid and body become a verified tile
 * function.
 *
 *   settings ─▶ compile-time names ─▶ tunes ─▶ parameters, dims, facts ─▶ grid ─▶ body ─▶ proofs
 */
#include "frontend/value.h"

#include <string.h>

tg_elab *tg_elab_make(tg_program *p, tg_module *m) {
    tg_elab *e = TG_NEW(m->arena, tg_elab);
    e->p = p;
    e->a = m->arena;
    e->sink = p->sink;
    e->m = m;
    /* Signatures are compile-time, but a wrong one may compute: that goes into a func that nobody
     * sees. */
    tg_func *scratch = TG_NEW(m->arena, tg_func);
    scratch->module = m;
    scratch->name = "";
    e->f = scratch;
    e->b = tg_builder_at_end(tg_region_make(scratch, NULL));
    return e;
}

/* ---- signature ------------------------------------------------------------------------------ */

/* A dimension can be solved when some extent is it, or it times and plus constants. */
static bool solvable(tg_elab *e, int sym) {
    const tg_dim *s = tg_dim_sym(e->m, sym);
    for (int i = 0; i < e->n_params; i++) {
        const tg_type *t = e->params[i].type;
        for (int a = 0; t->kind == TG_TY_TENSOR && a < t->rank; a++) {
            int64_t coef, c;
            const tg_dim *rest;
            if (tg_sy_linear(e, t->dims[a], s, &coef, &rest) && coef != 0 &&
                tg_sy_const(rest, &c)) {
                return true;
            }
        }
    }
    return false;
}

static bool dims_known(tg_elab *e) {
    bool ok = true;
    for (size_t i = 0; i < e->dims.syms.count; i++) {
        if (!solvable(e, (int)i)) {
            const tg_sym *s = &e->dims.syms.data[i];
            tg_diag *d =
                tg_el_error(e, TG_D_NOT_A_DIM, s->span, "the launch cannot know `%s`", s->name);
            tg_note_add(e->sink, d, s->span,
                        "no tensor has an axis of that extent: make `%s` a compile-time name in "
                        "`[...]`, or a scalar parameter",
                        s->name);
            ok = false;
        }
    }
    return ok;
}

static void add_fact(tg_elab *e, const tg_dim *d) {
    if (d->code == TG_DIM_AND) {
        add_fact(e, d->a);
        add_fact(e, d->b);
        return;
    }
    TG_LIST_PUSH(e->a, &e->facts, d);
}

static bool
    requires(tg_elab *e, const tg_expr_list *list)
{
    bool ok = true;
    for (int i = 0; i < list->n; i++) {
        const tg_dim *d = tg_el_condition(e, list->items[i], false);
        int64_t c;
        if (d == NULL) {
            ok = false;
        } else if (!tg_sy_const(d, &c)) {
            add_fact(e, d);
        } else if (c == 0) {
            tg_el_error(e, TG_D_REQUIRE, list->items[i]->span,
                        "these settings break the requirement %s", tg_el_text(e, list->items[i]));
            ok = false;
        }
    }
    return ok;
}

static void add_binding(tg_elab *e, tg_func *f, const char *name, const tg_val *v,
                        const char *text) {
    tg_binding *b = &f->bindings[f->n_bindings++];
    b->name = name;
    if (text != NULL) {
        b->value = tg_arena_strdup(e->m->arena, text);
        return;
    }
    tg_sb sb;
    tg_sb_init(&sb, e->m->arena);
    if (v->kind == TG_VAL_TYPE) {
        tg_sb_add(&sb, v->record != NULL ? v->record->decl->name.name : tg_dtype_name(v->dtype));
    } else if (v->kind == TG_VAL_FLOAT) {
        tg_sb_add_double(&sb, v->f);
    } else if (v->kind == TG_VAL_BOOL) {
        tg_sb_add(&sb, v->i ? "true" : "false");
    } else {
        tg_sb_addf(&sb, "%lld", (long long)v->i);
    }
    b->value = sb.data;
}

static void bindings(tg_elab *e, tg_func *f, const tg_plan *plan) {
    const tg_ct_params *ct = &e->decl->u.kernel.ct;
    f->bindings = TG_NEW_ARRAY(e->m->arena, tg_binding, (size_t)ct->n + plan->sets.count + 1);
    for (int i = 0; i < ct->n; i++) {
        add_binding(e, f, ct->items[i].name.name, tg_el_lookup(e, ct->items[i].name.name)->val,
                    NULL);
    }
    for (size_t i = 0; i < plan->sets.count; i++) {
        add_binding(e, f, plan->sets.data[i].name, plan->sets.data[i].val,
                    plan->sets.data[i].value);
    }
}

/* ---- regions -------------------------------------------------------------------------------- */

/* The parameters and runtime dims as names of the current scope, with the region's arguments. */
static void bind_params(tg_elab *e, tg_region *r) {
    e->args = TG_NEW_ARRAY(e->a, tg_value *, e->n_params + 1);
    for (int i = 0; i < e->n_params; i++) {
        const tg_param *p = &e->params[i];
        e->args[i] = tg_region_add_arg(r, p->type, p->name);
        tg_val *v;
        if (p->type->kind == TG_TY_TENSOR) {
            tg_ref *ref = TG_NEW(e->a, tg_ref);
            ref->param = i;
            ref->tensor = e->args[i];
            ref->rank = p->type->rank;
            memcpy(ref->dims, p->type->dims, sizeof(ref->dims));
            ref->record = e->param_records[i];
            v = tg_el_new(e, TG_VAL_REF, p->span);
            v->ref = ref;
        } else {
            tg_value *ir = e->args[i];
            tg_dtype t = p->type->dtype;
            if (tg_dtype_is_int(t) && t != TG_DT_I64 && t != TG_DT_U64) {
                ir = tg_build_cast(&e->b, ir, TG_DT_I64);
            }
            v = tg_el_tile(e, ir, p->span);
            v->sym = tg_dtype_is_int(t) ? tg_sy_scalar(e, i) : NULL;
        }
        tg_el_bind(e, p->name, v, false, p->span);
    }
    for (size_t i = 0; i < e->dims.syms.count; i++) {
        tg_val *v = tg_el_new(e, TG_VAL_DIM, e->dims.syms.data[i].span);
        v->sym = tg_dim_sym(e->m, (int)i);
        tg_el_bind(e, e->dims.syms.data[i].name, v, false, v->where);
    }
}

static bool grid_steps(tg_elab *e, tg_func *f) {
    const tg_decl *d = e->decl;
    f->n_grid = d->u.kernel.n_grid;
    f->grid_names = TG_NEW_ARRAY(e->m->arena, const char *, f->n_grid + 1);
    f->grid_by = TG_NEW_ARRAY(e->m->arena, int64_t, f->n_grid + 1);
    if (f->n_grid > TG_MAX_RANK) {
        tg_el_error(e, TG_D_SIGNATURE, d->head, "a grid has at most %d axes", TG_MAX_RANK);
        return false;
    }
    for (int g = 0; g < f->n_grid; g++) {
        const tg_grid_axis *ax = &d->u.kernel.grid[g];
        f->grid_names[g] = ax->name.name;
        f->grid_by[g] = 1;
        if (ax->by != NULL &&
            !tg_el_const_int(e, ax->by, "the block of a grid axis", &f->grid_by[g])) {
            return false;
        }
        if (f->grid_by[g] < 1 || f->grid_by[g] > ((int64_t)1 << 24)) {
            tg_el_error(e, TG_D_SHAPE, ax->span, "blocks of %lld positions",
                        (long long)f->grid_by[g]);
            return false;
        }
    }
    return true;
}

static bool grid_region(tg_elab *e, tg_func *f) {
    tg_value *extents[TG_MAX_RANK];
    f->grid = f->grid != NULL ? f->grid : tg_region_make(f, NULL);
    e->b = tg_builder_at_end(f->grid);
    e->b.span = e->decl->head;
    tg_el_push(e);
    bind_params(e, f->grid);
    bool ok = true;
    for (int g = 0; g < f->n_grid && ok; g++) {
        const tg_val *v =
            tg_el_index_scalar(e, e->decl->u.kernel.grid[g].extent, "the extent of a grid axis");
        ok = v != NULL;
        extents[g] = ok ? v->ir : NULL;
    }
    tg_el_pop(e);
    if (ok) {
        tg_build_op(&e->b, TG_OP_YIELD, f->n_grid, extents, 0, NULL, 0);
    }
    e->accesses.count = 0;
    return ok;
}

/* The grid's names in the body: a scalar, or a span whose blocks start at multiples of its step. */
static bool bind_grid(tg_elab *e, tg_func *f, tg_value *const *blocks) {
    const tg_dim *zero = tg_sy_int(e, 0), *one = tg_sy_int(e, 1);
    for (int g = 0; g < f->n_grid; g++) {
        const tg_grid_axis *ax = &e->decl->u.kernel.grid[g];
        const tg_val *ext = tg_el_index_scalar(e, ax->extent, "the extent of a grid axis");
        if (ext == NULL) {
            return false;
        }
        const tg_dim *sym;
        tg_atom *a = tg_sy_atom_new(e, TG_ATOM_GRID, &sym);
        a->index = g;
        a->step = f->grid_by[g];
        tg_sy_lower(e, a, zero);
        tg_sy_upper(e, a, tg_sy_bin(e, TG_DIM_SUB, ext->sym, one));
        e->grid_extent[g] = ext->sym;
        e->grid_atom[g] = sym;
        e->n_grid = g + 1;
        if (ax->by == NULL) {
            tg_val *v = tg_el_tile(e, blocks[g], ax->name.span);
            v->sym = sym;
            tg_el_bind(e, ax->name.name, v, false, ax->name.span);
            continue;
        }
        tg_identity *s = tg_el_identity(e, ax->name.name, ax->name.span, f->grid_by[g]);
        s->start = sym;
        s->lo = zero;
        s->hi = ext->sym;
        s->ir_start = tg_build_binary(&e->b, TG_OP_MUL, blocks[g], tg_build_index(&e->b, s->n));
        s->ir_hi = tg_sy_launch(e, s->hi) ? NULL : ext->ir;
        s->grid_axis = g;
        s->full = tg_sy_divisible(e, s->hi, s->n);
        s->ir = tg_build_span(&e->b, s->ir_start, ext->ir, s->n);
        tg_val *v = tg_el_new(e, TG_VAL_SPAN, ax->name.span);
        v->span = s;
        tg_el_bind(e, ax->name.name, v, false, ax->name.span);
    }
    return true;
}

static void body_region(tg_elab *e, tg_func *f) {
    tg_value *blocks[TG_MAX_RANK];
    f->body = f->body != NULL ? f->body : tg_region_make(f, NULL);
    e->b = tg_builder_at_end(f->body);
    e->b.span = e->decl->head;
    tg_el_push(e);
    bind_params(e, f->body);
    for (int g = 0; g < f->n_grid; g++) {
        blocks[g] = tg_region_add_arg(f->body, tg_type_scalar(e->m, TG_DT_I64), f->grid_names[g]);
    }
    if (bind_grid(e, f, blocks)) {
        tg_el_push(e);
        tg_el_block(e, &e->decl->u.kernel.body);
        tg_el_pop(e);
        tg_build_op(&e->b, TG_OP_YIELD, 0, NULL, 0, NULL, 0);
    }
    tg_el_pop(e);
}

/* ---- the whole ------------------------------------------------------------------------------ */

static bool signature(tg_elab *e, tg_func *f, int variant, const tg_dim **guard, int *n_variants) {
    const tg_decl *d = e->decl;
    tg_plan plan;
    if (!tg_el_bind_ct(e, &d->u.kernel.ct) ||
        !tg_el_schedule(e, variant, &plan, guard, n_variants) ||
        !tg_el_params(e, &d->u.kernel.params) || !requires(e, &d->u.kernel.requires) ||
        !dims_known(e) || !grid_steps(e, f)) {
        return false;
    }
    for (int i = 0; i < e->n_params; i++) {
        e->written[i] = (e->params[i].flags & (TG_PARAM_OUT | TG_PARAM_INOUT)) != 0;
    }
    f->params = e->params;
    f->n_params = e->n_params;
    f->syms = e->dims.syms.data;
    f->n_syms = (int)e->dims.syms.count;
    f->requires_ = e->facts.data;
    f->n_requires = (int)e->facts.count;
    f->span = d->span;
    bindings(e, f, &plan);
    return true;
}

/* A func that failed must not stay in the module. */
static void drop_func(tg_module *m, const tg_func *f) {
    tg_func **at = &m->first_func, *prev = NULL;
    while (*at != NULL && *at != f) {
        prev = *at;
        at = &(*at)->next;
    }
    if (*at == f) {
        *at = f->next;
        if (m->last_func == f) {
            m->last_func = prev;
        }
    }
}

tg_status tg_elab_kernel(tg_elab *e, tg_decl *d, const char *func_name, const tg_setting *settings,
                         int n_settings, const tg_target_query *target, int variant, tg_func **out,
                         const tg_dim **guard, int *n_variants) {
    const tg_dim *no_guard;
    int no_variants;
    e->decl = d;
    e->file = d->file;
    e->settings = settings;
    e->n_settings = n_settings;
    e->target = target;
    *out = NULL;
    tg_el_push(e);
    e->root = e->scope;
    tg_func *f = tg_func_make(e->m, func_name, TG_LEVEL_TILE);
    e->f = f;
    if (signature(e, f, variant, guard != NULL ? guard : &no_guard,
                  n_variants != NULL ? n_variants : &no_variants) &&
        grid_region(e, f)) {
        body_region(e, f);
        if (e->errors == 0) {
            tg_el_check_races(e);
            tg_el_check_cover(e);
        }
    }
    if (e->errors > 0) {
        drop_func(e->m, f);
        return TG_E_SOURCE;
    }
    tg_status s = tg_func_verify(f, e->sink);
    if (s != TG_OK) {
        drop_func(e->m, f);
        return s;
    }
    *out = f;
    return TG_OK;
}
