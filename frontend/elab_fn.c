/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions of the program: each call is inlined for its arguments, in a scope of its own.
 * Compile-time parameters and extents named by parameter types are taken from `[...]` or deduced.
 */
#include "frontend/value.h"

#include <string.h>

#define MAX_FN_DEPTH 64
#define MAX_RESULTS 12

/* ---- functions ------------------------------------------------------------------------------ */

/* Binds one dimension of a parameter's type: a name that is still free is deduced. */
static bool bind_extent(tg_elab *e, const tg_expr *x, int64_t n, tg_span where) {
    if (x->kind == TG_EXPR_NAME) {
        tg_slot *s = NULL;
        for (tg_slot *v = e->scope->first; v != NULL; v = v->next) {
            s = strcmp(v->name, x->u.name.name) == 0 ? v : s;
        }
        if (s != NULL && s->val->kind == TG_VAL_VOID) {
            s->val = tg_el_int(e, n, where);
            return true;
        }
    }
    int64_t want;
    if (!tg_el_const_int(e, x, "an extent", &want)) {
        return false;
    }
    if (want != n) {
        tg_diag *d = tg_el_error(e, TG_D_SHAPE, where,
                                 "an axis of %lld elements where the function takes %lld",
                                 (long long)n, (long long)want);
        tg_note_add(e->sink, d, x->span, "declared here");
        return false;
    }
    return true;
}

static bool bind_dtype(tg_elab *e, const tg_type_expr *t, tg_dtype have, tg_span where) {
    for (tg_slot *v = e->scope->first; v != NULL; v = v->next) {
        if (strcmp(v->name, t->name.name) == 0 && v->val->kind == TG_VAL_VOID) {
            tg_val *tv = tg_el_new(e, TG_VAL_TYPE, where);
            tv->dtype = have;
            v->val = tv;
            return true;
        }
    }
    tg_dtype want;
    const tg_record *r;
    if (!tg_el_type(e, t, &want, &r)) {
        return false;
    }
    if (want != have) {
        tg_diag *d = tg_el_error(e, TG_D_TYPE_MISMATCH, where, "%s where the function takes %s",
                                 tg_dtype_name(have), tg_dtype_name(want));
        tg_note_add(e->sink, d, t->span, "declared here");
        return false;
    }
    return true;
}

/* Checks an argument against its declared type; constants take the type. NULL after an error. */
static const tg_val *typed_arg(tg_elab *e, const tg_ast_param *p, const tg_val *v, tg_span where) {
    if (!p->has_type) {
        return v;
    }
    const tg_type_expr *t = &p->type;
    if (v->kind == TG_VAL_REF && !v->ref->indexed) { /* a tensor */
        const tg_ref *r = v->ref;
        int n = t->has_dims ? t->dims.n : 0;
        bool ok =
            r->rank == n && (r->record != NULL || bind_dtype(e, t, r->tensor->type->dtype, where));
        for (int i = 0; i < n && ok; i++) {
            int64_t c;
            ok = !tg_sy_const(r->dims[i], &c) || t->dims.items[i]->kind != TG_EXPR_NAME ||
                 bind_extent(e, t->dims.items[i], c, where);
        }
        if (r->rank != n) {
            tg_el_error(e, TG_D_SHAPE, where, "a tensor of %d axes where the function takes %d",
                        r->rank, n);
        }
        return ok ? v : NULL;
    }
    v = tg_el_rvalue(e, v);
    if (tg_el_is_error(v)) {
        return NULL;
    }
    if (tg_el_is_const(v)) {
        tg_dtype want;
        const tg_record *r;
        bool free_type = false;
        for (tg_slot *s = e->scope->first; s != NULL; s = s->next) {
            free_type =
                free_type || (strcmp(s->name, t->name.name) == 0 && s->val->kind == TG_VAL_VOID);
        }
        if (free_type || (t->has_dims && t->dims.n > 0)) {
            v = tg_el_runtime(e, v);
        } else {
            if (!tg_el_type(e, t, &want, &r)) {
                return NULL;
            }
            if (want == TG_DT_I64 && v->kind == TG_VAL_INT) {
                return v; /* stays a compile-time integer */
            }
            return tg_el_adapt(e, v, want);
        }
    }
    int n = t->has_dims ? t->dims.n : 0;
    if (v->kind != TG_VAL_TILE || tg_el_rank(v) != n) {
        tg_diag *d = tg_el_error(e, TG_D_SHAPE, where, "%s where the function takes %d ax%s",
                                 tg_el_describe(e, v), n, n == 1 ? "is" : "es");
        tg_note_add(e->sink, d, p->span, "declared here");
        return NULL;
    }
    if (!bind_dtype(e, t, tg_el_dtype(v), where)) {
        return NULL;
    }
    for (int i = 0; i < n; i++) {
        if (!bind_extent(e, t->dims.items[i], tg_el_extent(v, i), where)) {
            return NULL;
        }
    }
    return v;
}

static bool bind_ct_args(tg_elab *e, const tg_decl *fn, const tg_ct_args *ct, tg_scope *caller,
                         const tg_file *caller_file) {
    const tg_ct_params *ps = &fn->u.fn.ct;
    for (int i = 0; i < ps->n; i++) {
        tg_el_bind(e, ps->items[i].name.name, &tg_val_void, false, ps->items[i].span);
    }
    for (int i = 0; i < fn->u.fn.params.n;
         i++) { /* extents that a parameter's type names are deduced too */
        const tg_type_expr *t = &fn->u.fn.params.items[i].type;
        for (int a = 0; fn->u.fn.params.items[i].has_type && a < t->dims.n; a++) {
            const tg_expr *x = t->dims.items[a];
            if (x->kind == TG_EXPR_NAME && tg_el_lookup(e, x->u.name.name) == NULL &&
                tg_program_find(e->p, e->file, x->u.name.name) == NULL) {
                tg_el_bind(e, x->u.name.name, &tg_val_void, false, x->span);
            }
        }
    }
    for (int i = 0; ct != NULL && i < ct->n; i++) {
        const char *name = ct->items[i].name.name;
        if (name == NULL && i < ps->n) {
            name = ps->items[i].name.name;
        }
        tg_slot *s = NULL;
        for (tg_slot *v = e->scope->first; v != NULL && name != NULL; v = v->next) {
            s = strcmp(v->name, name) == 0 ? v : s;
        }
        if (s == NULL) {
            tg_el_error(e, TG_D_CALL, ct->items[i].value->span,
                        "`%s` has no such compile-time parameter", fn->name.name);
            return false;
        }
        tg_scope *own = e->scope;
        const tg_file *file = e->file;
        e->scope = caller;
        e->file = caller_file;
        s->val = tg_el_expr(e, ct->items[i].value);
        e->scope = own;
        e->file = file;
        if (s->val->kind != TG_VAL_INT && s->val->kind != TG_VAL_TYPE &&
            s->val->kind != TG_VAL_FLOAT && s->val->kind != TG_VAL_BOOL) {
            if (!tg_el_is_error(s->val)) {
                tg_el_error(e, TG_D_NOT_CONSTANT, ct->items[i].value->span,
                            "a value in `[...]` is known at compile time");
            }
            return false;
        }
    }
    return true;
}

static bool finish_ct(tg_elab *e, const tg_decl *fn, tg_span where) {
    const tg_ct_params *ps = &fn->u.fn.ct;
    for (int i = 0; i < ps->n; i++) {
        tg_slot *s = tg_el_lookup(e, ps->items[i].name.name);
        if (s->val->kind == TG_VAL_VOID && ps->items[i].def != NULL) {
            s->val = tg_el_expr(e, ps->items[i].def);
        }
        if (s->val->kind == TG_VAL_VOID) {
            tg_el_error(e, TG_D_CALL, where, "`%s` of `%s` cannot be deduced: write it in `[...]`",
                        ps->items[i].name.name, fn->name.name);
            return false;
        }
    }
    for (int i = 0; i < fn->u.fn.requires.n; i++) {
        const tg_val *v = tg_el_value(e, fn->u.fn.requires.items[i]);
        if (v->kind == TG_VAL_BOOL && !v->i) {
            tg_diag *d = tg_el_error(e, TG_D_REQUIRE, where, "`%s` requires %s", fn->name.name,
                                     tg_el_text(e, fn->u.fn.requires.items[i]));
            tg_note_add(e->sink, d, fn->head, "declared here");
            return false;
        }
    }
    return true;
}

static const tg_val *result_types(tg_elab *e, const tg_decl *fn, const tg_val *v, tg_span where) {
    if (!fn->u.fn.has_results || tg_el_is_error(v)) {
        return v;
    }
    int n = v->kind == TG_VAL_TUPLE ? v->n : v->kind == TG_VAL_VOID ? 0 : 1;
    if (n != fn->u.fn.n_results) {
        tg_el_error(e, TG_D_CALL, where, "`%s` declares %d results and returns %d", fn->name.name,
                    fn->u.fn.n_results, n);
        return &tg_val_error;
    }
    const tg_val *items[MAX_RESULTS];
    for (int i = 0; i < n && i < MAX_RESULTS; i++) {
        const tg_val *one = v->kind == TG_VAL_TUPLE ? v->items[i] : v;
        const tg_type_expr *t = &fn->u.fn.results[i];
        tg_dtype dt;
        int rank;
        int64_t shape[TG_MAX_RANK];
        if (!tg_el_tile_type(e, t, &dt, &rank, shape)) {
            return &tg_val_error;
        }
        if (tg_el_is_const(one)) {
            one = tg_el_adapt(e, one, dt);
        }
        bool ok = one != NULL && one->kind == TG_VAL_TILE && tg_el_dtype(one) == dt &&
                  tg_el_rank(one) == rank;
        for (int a = 0; a < rank && ok; a++) {
            ok = tg_el_extent(one, a) == shape[a];
        }
        if (!ok) {
            tg_diag *d =
                tg_el_error(e, TG_D_TYPE_MISMATCH, where, "`%s` returns %s here", fn->name.name,
                            one == NULL ? "a constant" : tg_el_describe(e, one));
            tg_note_add(e->sink, d, t->span, "its declared result");
            return &tg_val_error;
        }
        items[i] = one;
    }
    return v->kind == TG_VAL_TUPLE ? tg_el_tuple(e, n, items, v->names, where)
           : n == 1                ? items[0]
                                   : v;
}

/* Runs the body in a scope of its own; arguments are in pos, parallel to the parameters. */
static const tg_val *inline_fn(tg_elab *e, const tg_decl *fn, const tg_ct_args *ct,
                               const tg_val *const *pos, tg_span where) {
    if (e->fn_depth >= MAX_FN_DEPTH) {
        tg_diag *d =
            tg_el_error(e, TG_D_RECURSION, where, "`%s` calls itself without end", fn->name.name);
        tg_note_add(e->sink, d, fn->head,
                    "functions are inlined: recursion must end at compile time within %d steps",
                    MAX_FN_DEPTH);
        return &tg_val_error;
    }
    tg_scope *scope = e->scope;
    const tg_file *file = e->file;
    const tg_val **returned = e->returned, *result = &tg_val_void;
    bool fast = e->fast, ok;
    e->fn_depth++;
    e->scope = NULL;
    tg_el_push(e);
    e->file = fn->file;
    e->fast = e->fast || fn->u.fn.fast;
    e->returned = &result;
    ok = bind_ct_args(e, fn, ct, scope, file);
    const tg_ast_params *ps = &fn->u.fn.params;
    for (int i = 0; i < ps->n && ok; i++) {
        const tg_val *v = pos[i] != NULL             ? pos[i]
                          : ps->items[i].def != NULL ? tg_el_value(e, ps->items[i].def)
                                                     : &tg_val_error;
        v = tg_el_is_error(v) ? NULL : typed_arg(e, &ps->items[i], v, where);
        ok = v != NULL;
        tg_el_bind(e, ps->items[i].name.name, ok ? v : &tg_val_error, false, ps->items[i].span);
    }
    ok = ok && finish_ct(e, fn, where);
    if (ok) {
        int errors = e->errors;
        tg_el_block(e, &fn->u.fn.body);
        result = e->errors > errors ? &tg_val_error : result_types(e, fn, result, where);
    }
    e->returned = returned;
    e->fast = fast;
    e->file = file;
    e->scope = scope;
    e->fn_depth--;
    if (ok && result->kind == TG_VAL_VOID) {
        return tg_el_new(e, TG_VAL_VOID, where);
    }
    return ok ? result : &tg_val_error;
}

const tg_val *tg_el_inline(tg_elab *e, const tg_decl *fn, int n, const tg_val *const *args,
                           tg_span where) {
    if (fn->broken) {
        return &tg_val_error;
    }
    if (fn->u.fn.params.n != n) {
        tg_el_error(e, TG_D_CALL, where, "`%s` takes %d arguments, %d are needed here",
                    fn->name.name, fn->u.fn.params.n, n);
        return &tg_val_error;
    }
    return inline_fn(e, fn, NULL, args, where);
}

const tg_val *tg_el_call_fn(tg_elab *e, const tg_decl *fn, const tg_expr *x) {
    const tg_ast_params *ps = &fn->u.fn.params;
    if (fn->broken) {
        return &tg_val_error;
    }
    const tg_val **pos = TG_NEW_ARRAY(e->a, const tg_val *, ps->n + 1);
    bool ok = true;
    int next = 0;
    for (int i = 0; i < x->u.call.n; i++) {
        const tg_arg *a = &x->u.call.args[i];
        int at = next;
        if (a->name.name != NULL) {
            for (at = 0; at < ps->n && strcmp(ps->items[at].name.name, a->name.name) != 0; at++) {
            }
        } else {
            next++;
        }
        if (at >= ps->n || pos[at] != NULL || a->mode != TG_MODE_IN) {
            tg_diag *d =
                tg_el_error(e, TG_D_CALL, a->span, "`%s` takes %d arguments; this one does not fit",
                            fn->name.name, ps->n);
            tg_note_add(e->sink, d, fn->head, "declared here");
            return &tg_val_error;
        }
        const tg_val *v = tg_el_expr(e, a->value);
        if (v->kind == TG_VAL_REF && v->ref->indexed && v->ref->record == NULL) {
            v = tg_el_harden(e, tg_el_rvalue(e, v));
        }
        pos[at] = v;
        ok = ok && !tg_el_is_error(v);
    }
    for (int i = 0; i < ps->n && ok; i++) {
        if (pos[i] == NULL && ps->items[i].def == NULL) {
            tg_diag *d = tg_el_error(e, TG_D_CALL, x->span, "`%s` needs `%s`", fn->name.name,
                                     ps->items[i].name.name);
            tg_note_add(e->sink, d, fn->head, "declared here");
            return &tg_val_error;
        }
    }
    return ok ? inline_fn(e, fn, &x->u.call.ct, pos, x->span) : &tg_val_error;
}
