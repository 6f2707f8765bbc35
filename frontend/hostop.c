/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host-level composition: an `op` becomes a list of temps and launches over its own dimensions.
 * Every kernel that it launches is specialised for the types and constant extents of the arguments.
 * Nested ops are unfolded. An `if` over dimensions guards the launches inside it.
 *
 * A temp and an `out` of the op hold nothing before a launch writes them: every tensor that is read
 * must surely have been written, by an earlier launch or in both branches of an earlier `if`.
 */
#include "frontend/value.h"

#include <string.h>

#define MAX_ARGS 64

typedef struct made { /* kernels specialised so far */
    const char *key, *name;
} made;

typedef struct host {
    tg_elab *e; /* names and dims of the op */
    tg_hostop *op;
    TG_LIST(tg_hostop_temp) temps;
    TG_LIST(tg_hostop_launch) launches;
    TG_LIST(made) kernels;
    TG_LIST(bool) filled; /* per temp: surely written so far */
    bool *filled_param;   /* the same per parameter; inputs are */
    const tg_dim *when;
    int depth;
    const tg_target_query *target;
} host;

/* What a name means inside an op: kept in tuple-free values. A tensor is REF with param >= 0 for a
 * parameter, param = -1 - t for temp t. */
static const tg_val *tensor_val(tg_elab *e, int param, tg_dtype t, const tg_record *r, int rank,
                                const tg_dim *const *dims, tg_span where) {
    tg_ref *ref = TG_NEW(e->a, tg_ref);
    ref->param = param;
    ref->record = r;
    ref->rank = rank;
    for (int i = 0; i < rank; i++) {
        ref->dims[i] = dims[i];
    }
    tg_val *v = tg_el_new(e, TG_VAL_REF, where);
    v->ref = ref;
    v->dtype = t;
    return v;
}

static void block(host *h, const tg_block *b);

/* ---- settings of a launched kernel ---------------------------------------------------------- */

static const char *dim_text(tg_elab *e, const tg_dim *d) {
    int64_t c;
    return tg_sy_const(d, &c) ? tg_arena_printf(e->a, "%lld", (long long)c) : NULL;
}

static const char *val_text(tg_elab *e, const tg_val *v) {
    switch ((int)v->kind) {
    case TG_VAL_INT:
        return tg_arena_printf(e->a, "%lld", (long long)v->i);
    case TG_VAL_BOOL:
        return v->i ? "true" : "false";
    case TG_VAL_TYPE:
        return v->record != NULL ? v->record->decl->name.name : tg_dtype_name(v->dtype);
    case TG_VAL_FLOAT: {
        tg_sb sb;
        tg_sb_init(&sb, e->a);
        tg_sb_add_double(&sb, v->f);
        return sb.data;
    }
    default:
        return NULL;
    }
}

/* The value of compile-time name `p` of kernel k that the arguments show, or NULL. */
static const char *deduced(host *h, const tg_decl *k, const char *name, const tg_val *const *args) {
    for (int i = 0; i < k->u.kernel.params.n; i++) {
        const tg_ast_param *p = &k->u.kernel.params.items[i];
        if (args[i] == NULL || args[i]->kind != TG_VAL_REF || !p->has_type) {
            continue;
        }
        if (strcmp(p->type.name.name, name) == 0) {
            return args[i]->ref->record != NULL ? args[i]->ref->record->decl->name.name
                                                : tg_dtype_name(args[i]->dtype);
        }
        for (int a = 0; a < p->type.dims.n && a < args[i]->ref->rank; a++) {
            const tg_expr *x = p->type.dims.items[a];
            if (x->kind == TG_EXPR_NAME && strcmp(x->u.name.name, name) == 0) {
                const char *t = dim_text(h->e, args[i]->ref->dims[a]);
                if (t != NULL) {
                    return t;
                }
            }
        }
    }
    return NULL;
}

static bool launch_settings(host *h, const tg_decl *k, const tg_expr *call,
                            const tg_val *const *args, tg_setting *out, int *n) {
    const tg_ct_params *ct = &k->u.kernel.ct;
    *n = 0;
    for (int i = 0; i < ct->n; i++) {
        const char *name = ct->items[i].name.name, *text = NULL;
        for (int c = 0; c < call->u.call.ct.n; c++) {
            const tg_ct_arg *a = &call->u.call.ct.items[c];
            if (a->name.name == NULL ? c == i : strcmp(a->name.name, name) == 0) {
                const tg_val *v = tg_el_expr(h->e, a->value);
                int64_t c0;
                if (v->kind == TG_VAL_DIM && tg_sy_const(v->sym, &c0)) {
                    v = tg_el_int(h->e, c0, v->where);
                }
                text = val_text(h->e, v);
                if (text == NULL) {
                    tg_el_error(h->e, TG_D_NOT_CONSTANT, a->value->span,
                                "`%s` of `%s` is known at compile time", name, k->name.name);
                    return false;
                }
            }
        }
        text = text != NULL ? text : deduced(h, k, name, args);
        if (text == NULL && ct->items[i].def == NULL) {
            tg_diag *d = tg_el_error(h->e, TG_D_LAUNCH, call->span,
                                     "`%s` of `%s` cannot be deduced from the arguments", name,
                                     k->name.name);
            tg_note_add(
                h->e->sink, d, call->span,
                "write it: %s[%s = ..](..), or make the extent a compile-time name of the op",
                k->name.name, name);
            return false;
        }
        if (text != NULL) {
            out[(*n)++] = (tg_setting){name, text};
        }
    }
    return true;
}

static const char *specialised(host *h, tg_decl *k, const tg_setting *s, int n) {
    tg_sb key;
    tg_sb_init(&key, h->e->a);
    tg_sb_addf(&key, "%p", (const void *)k);
    for (int i = 0; i < n; i++) {
        tg_sb_addf(&key, ";%s=%s", s[i].name, s[i].value);
    }
    for (size_t i = 0; i < h->kernels.count; i++) {
        if (strcmp(h->kernels.data[i].key, key.data) == 0) {
            return h->kernels.data[i].name;
        }
    }
    const char *name = k->name.name;
    for (int i = 2; tg_func_find(h->e->m, name) != NULL; i++) {
        name = tg_arena_printf(h->e->a, "%s.%d", k->name.name, i);
    }
    tg_func *f;
    tg_elab *e = tg_elab_make(h->e->p, h->e->m);
    if (tg_elab_kernel(e, k, name, s, n, h->target, -1, &f, NULL, NULL) != TG_OK) {
        h->e->errors++;
        return NULL;
    }
    TG_LIST_PUSH(h->e->a, &h->kernels, (made){key.data, f->name});
    return f->name;
}

/* ---- arguments ------------------------------------------------------------------------------ */

/* Sorts the arguments of a call to a kernel or op by its parameters; each is a REF, DIM or
 * constant. */
static bool bind_args(host *h, const tg_decl *k, const tg_expr *call, const tg_val **out) {
    const tg_ast_params *ps = &k->u.kernel.params;
    int next = 0;
    if (ps->n > MAX_ARGS) {
        tg_el_error(h->e, TG_D_LAUNCH, call->span, "more than %d parameters", MAX_ARGS);
        return false;
    }
    memset(out, 0, sizeof(out[0]) * MAX_ARGS);
    for (int i = 0; i < call->u.call.n; i++) {
        const tg_arg *a = &call->u.call.args[i];
        int at = next;
        if (a->name.name != NULL) {
            for (at = 0; at < ps->n && strcmp(ps->items[at].name.name, a->name.name) != 0; at++) {
            }
        } else {
            next++;
        }
        if (at >= ps->n || out[at] != NULL) {
            tg_diag *d =
                tg_el_error(h->e, TG_D_LAUNCH, a->span,
                            "`%s` takes %d arguments; this one does not fit", k->name.name, ps->n);
            tg_note_add(h->e->sink, d, k->head, "declared here");
            return false;
        }
        if (a->mode != TG_MODE_IN && a->mode != ps->items[at].mode) {
            tg_el_error(h->e, TG_D_LAUNCH, a->span, "`%s` of `%s` is not %s",
                        ps->items[at].name.name, k->name.name,
                        a->mode == TG_MODE_OUT ? "`out`" : "`inout`");
            return false;
        }
        if (a->value->kind == TG_EXPR_NAME || a->value->kind == TG_EXPR_FLOAT ||
            a->value->kind == TG_EXPR_UNARY || a->value->kind == TG_EXPR_BOOL) {
            out[at] = tg_el_expr(h->e, a->value);
        } else {
            const tg_dim *d = tg_el_dim(h->e, a->value, false);
            tg_val *v = tg_el_new(h->e, d == NULL ? TG_VAL_ERROR : TG_VAL_DIM, a->value->span);
            v->sym = d;
            out[at] = v;
        }
        if (tg_el_is_error(out[at])) {
            return false;
        }
    }
    for (int i = 0; i < ps->n; i++) {
        if (out[i] == NULL) {
            tg_diag *d = tg_el_error(h->e, TG_D_LAUNCH, call->span, "`%s` needs `%s`", k->name.name,
                                     ps->items[i].name.name);
            tg_note_add(h->e->sink, d, k->head, "declared here");
            return false;
        }
    }
    return true;
}

/* Whether the tensor holds something yet. */
static bool *filled(host *h, int at) {
    return at >= 0 ? &h->filled_param[at] : &h->filled.data[-1 - at];
}

/* The argument of a parameter of this mode, before (reads) and after (writes) the launch. */
static bool reads_filled(host *h, const tg_decl *k, int i, const tg_val *v) {
    const tg_ast_param *p = &k->u.kernel.params.items[i];
    if (v->kind != TG_VAL_REF || p->mode == TG_MODE_OUT || *filled(h, v->ref->param)) {
        return true;
    }
    tg_diag *d = tg_el_error(h->e, TG_D_LAUNCH, v->where,
                             "`%s` of `%s` is read here, and no launch has surely written it yet",
                             p->name.name, k->name.name);
    tg_note_add(h->e->sink, d, v->where,
                "launch a kernel that has it as `out` first, in both branches of an `if`");
    return false;
}

static void note_filled(host *h, const tg_decl *k, const tg_val *const *args) {
    for (int i = 0; i < k->u.kernel.params.n; i++) {
        if (args[i]->kind == TG_VAL_REF && k->u.kernel.params.items[i].mode == TG_MODE_OUT) {
            *filled(h, args[i]->ref->param) = true;
        }
    }
}

static bool launch_arg(host *h, const tg_decl *k, int i, const tg_val *v, tg_hostop_arg *out) {
    const tg_ast_param *p = &k->u.kernel.params.items[i];
    bool tensor = v->kind == TG_VAL_REF;
    if (tensor != p->type.has_dims && !(tensor && p->type.has_args)) {
        tg_el_error(h->e, TG_D_LAUNCH, v->where, "`%s` of `%s` is a %s", p->name.name, k->name.name,
                    p->type.has_dims ? "tensor" : "scalar");
        return false;
    }
    if (tensor) {
        int at = v->ref->param;
        bool input = at >= 0 && (h->e->params[at].flags & (TG_PARAM_OUT | TG_PARAM_INOUT)) == 0;
        if (p->mode != TG_MODE_IN && input) {
            tg_el_error(h->e, TG_D_READ_ONLY, v->where,
                        "`%s` is an input of the op, and `%s` writes it", h->e->params[at].name,
                        k->name.name);
            return false;
        }
        *out = (tg_hostop_arg){.kind = at >= 0 ? TG_ARG_PARAM : TG_ARG_TEMP,
                               .index = at >= 0 ? at : -1 - at};
        return true;
    }
    switch ((int)v->kind) {
    case TG_VAL_TILE: /* a scalar parameter of the op, handed on */
        *out = (tg_hostop_arg){.kind = TG_ARG_PARAM, .index = (int)v->i};
        return true;
    case TG_VAL_INT:
    case TG_VAL_BOOL:
        *out = (tg_hostop_arg){.kind = TG_ARG_DIM, .dim = tg_sy_int(h->e, v->i)};
        return true;
    case TG_VAL_DIM:
        *out = (tg_hostop_arg){.kind = TG_ARG_DIM, .dim = v->sym};
        return true;
    case TG_VAL_FLOAT:
        *out = (tg_hostop_arg){.kind = TG_ARG_FLOAT, .value = v->f};
        return true;
    default:
        tg_el_error(h->e, TG_D_LAUNCH, v->where, "%s cannot be an argument of a launch",
                    tg_el_describe(h->e, v));
        return false;
    }
}

/* ---- statements ----------------------------------------------------------------------------- */

static void launch(host *h, tg_decl *k, const tg_expr *call) {
    const tg_val *args[MAX_ARGS];
    tg_setting *settings = TG_NEW_ARRAY(h->e->a, tg_setting, k->u.kernel.ct.n + 1);
    int n;
    if (!bind_args(h, k, call, args) || !launch_settings(h, k, call, args, settings, &n)) {
        return;
    }
    tg_hostop_launch l = {.n_args = k->u.kernel.params.n, .when = h->when};
    l.args = TG_NEW_ARRAY(h->e->a, tg_hostop_arg, l.n_args + 1);
    for (int i = 0; i < l.n_args; i++) {
        if (!launch_arg(h, k, i, args[i], &l.args[i]) || !reads_filled(h, k, i, args[i])) {
            return;
        }
    }
    note_filled(h, k, args);
    l.kernel = specialised(h, k, settings, n);
    if (l.kernel != NULL) {
        TG_LIST_PUSH(h->e->a, &h->launches, l);
    }
}

/* Binds an op's parameters to the arguments and walks its body in place. */
static void unfold(host *h, tg_decl *k, const tg_expr *call) {
    const tg_val *args[MAX_ARGS];
    if (h->depth > 16) {
        tg_el_error(h->e, TG_D_RECURSION, call->span, "`%s` launches itself without end",
                    k->name.name);
        return;
    }
    tg_setting *settings = TG_NEW_ARRAY(h->e->a, tg_setting, k->u.kernel.ct.n + 1);
    int n;
    if (!bind_args(h, k, call, args) || !launch_settings(h, k, call, args, settings, &n)) {
        return;
    }
    tg_scope *scope = h->e->scope;
    const tg_file *file = h->e->file;
    h->e->scope = NULL;
    tg_el_push(h->e);
    h->e->file = k->file;
    for (int i = 0; i < n; i++) {
        const tg_val *v;
        if (tg_el_setting_value(h->e, settings[i].value, call->span, &v)) {
            tg_el_bind(h->e, settings[i].name, v, false, call->span);
        }
    }
    for (int i = 0; i < k->u.kernel.params.n; i++) {
        const tg_ast_param *p = &k->u.kernel.params.items[i];
        tg_el_bind(h->e, p->name.name, args[i], false, p->span);
        for (int a = 0; args[i]->kind == TG_VAL_REF && a < p->type.dims.n && a < args[i]->ref->rank;
             a++) {
            const tg_expr *x = p->type.dims.items[a];
            if (x->kind == TG_EXPR_NAME && tg_el_lookup(h->e, x->u.name.name) == NULL) {
                tg_val *v = tg_el_new(h->e, TG_VAL_DIM, x->span);
                v->sym = args[i]->ref->dims[a];
                tg_el_bind(h->e, x->u.name.name, v, false, x->span);
            }
        }
    }
    h->depth++;
    block(h, &k->u.kernel.body);
    h->depth--;
    h->e->scope = scope;
    h->e->file = file;
}

static void call_stmt(host *h, const tg_expr *x) {
    if (x->kind != TG_EXPR_CALL) {
        if (x->kind != TG_EXPR_ERROR) {
            tg_el_error(h->e, TG_D_LAUNCH, x->span, "an op launches kernels; `%s` is not a launch",
                        tg_el_text(h->e, x));
        }
        return;
    }
    const char *module = x->u.call.module.name, *name = x->u.call.name.name;
    const tg_file *m = module == NULL ? NULL : tg_program_module(h->e->p, h->e->file, module);
    tg_decl *d = module == NULL ? tg_program_find(h->e->p, h->e->file, name)
                 : m == NULL    ? NULL
                                : tg_file_find(m, name);
    if (d != NULL && d->broken) {
        h->e->errors++;
        return;
    }
    if (d == NULL || (d->kind != TG_DECL_KERNEL && d->kind != TG_DECL_OP)) {
        tg_el_error(h->e, TG_D_UNKNOWN_NAME, x->u.call.name.span, "there is no kernel or op `%s`",
                    name);
        return;
    }
    if (d->kind == TG_DECL_OP) {
        unfold(h, d, x);
    } else {
        launch(h, d, x);
    }
}

static void temp_stmt(host *h, const tg_stmt *s) {
    for (int i = 0; i < s->u.temp.n; i++) {
        const tg_temp *t = &s->u.temp.items[i];
        tg_dtype dtype;
        const tg_record *r;
        if (t->init != NULL) {
            tg_el_error(h->e, TG_D_LAUNCH, t->init->span,
                        "a temp starts without a value: launch a kernel that writes it");
            continue;
        }
        if (!tg_el_type(h->e, &t->type, &dtype, &r)) {
            continue;
        }
        tg_hostop_temp temp = {.name = t->name.name,
                               .dtype = dtype,
                               .elem_bytes = r != NULL ? r->bytes : 0,
                               .rank = t->type.dims.n};
        bool ok = temp.rank >= 1 && temp.rank <= TG_MAX_RANK;
        if (!ok) {
            tg_el_error(h->e, TG_D_LAUNCH, t->type.span, "a temp is a tensor of 1 to %d axes",
                        TG_MAX_RANK);
        }
        for (int a = 0; a < temp.rank && ok; a++) {
            temp.dims[a] = tg_el_dim(h->e, t->type.dims.items[a], false);
            ok = temp.dims[a] != NULL;
        }
        if (ok) {
            TG_LIST_PUSH(h->e->a, &h->temps, temp);
            TG_LIST_PUSH(h->e->a, &h->filled, false);
            const tg_val *v = tensor_val(h->e, -(int)h->temps.count, dtype, r, temp.rank, temp.dims,
                                         t->name.span);
            tg_el_bind(h->e, t->name.name, v, false, t->name.span);
        }
    }
}

/* What is filled now: parameters, then temps. */
static bool *filled_now(host *h) {
    size_t np = (size_t)h->e->n_params, n = np + h->filled.count;
    bool *copy = TG_NEW_ARRAY(h->e->a, bool, n + 1);
    for (size_t i = 0; i < n; i++) {
        copy[i] = i < np ? h->filled_param[i] : h->filled.data[i - np];
    }
    return copy;
}

/* Filled is what a tells, and b where it is given; temps made since then are out of scope. */
static void set_filled(host *h, const bool *a, const bool *b, size_t temps) {
    size_t np = (size_t)h->e->n_params;
    for (size_t i = 0; i < np + temps; i++) {
        bool is = a[i] && (b == NULL || b[i]);
        *(i < np ? &h->filled_param[i] : &h->filled.data[i - np]) = is;
    }
}

static void if_stmt(host *h, const tg_stmt *s) {
    const tg_dim *c = tg_el_dim(h->e, s->u.if_.cond, false), *outer = h->when;
    if (c == NULL) {
        return;
    }
    size_t temps = h->filled.count;
    const bool *before = filled_now(h), *after[2] = {NULL, NULL};
    for (int branch = 0; branch < 2; branch++) {
        const tg_dim *g =
            branch == 0 ? c : tg_dim_binary(h->e->m, TG_DIM_EQ, c, tg_sy_int(h->e, 0));
        int64_t k;
        if (tg_sy_const(g, &k) && k == 0) {
            continue;
        }
        h->when = tg_sy_const(g, &k) ? outer
                  : outer == NULL    ? g
                                     : tg_dim_binary(h->e->m, TG_DIM_AND, outer, g);
        tg_el_push(h->e);
        set_filled(h, before, NULL, temps);
        block(h, branch == 0 ? &s->u.if_.then : &s->u.if_.els);
        after[branch] = filled_now(h);
        tg_el_pop(h->e);
    }
    set_filled(h, after[0] != NULL ? after[0] : after[1], after[1], temps);
    h->when = outer;
}

static void for_stmt(host *h, const tg_stmt *s) {
    const tg_dim *zero = tg_sy_int(h->e, 0);
    const tg_dim *lo = s->u.for_.lo == NULL ? zero : tg_el_dim(h->e, s->u.for_.lo, false);
    const tg_dim *hi = tg_el_dim(h->e, s->u.for_.hi, false);
    int64_t a, b;
    if (lo == NULL || hi == NULL) {
        return;
    }
    if (!tg_sy_const(lo, &a) || !tg_sy_const(hi, &b) || s->u.for_.by != NULL || b - a > 1024) {
        tg_el_error(h->e, TG_D_LAUNCH, s->span,
                    "a loop of launches counts over compile-time bounds, at most 1024 turns");
        return;
    }
    for (int64_t i = a; i < b; i++) {
        tg_el_push(h->e);
        tg_el_bind(h->e, s->u.for_.var.name, tg_el_int(h->e, i, s->u.for_.var.span), false,
                   s->u.for_.var.span);
        block(h, &s->u.for_.body);
        tg_el_pop(h->e);
    }
}

static void let_stmt(host *h, const tg_stmt *s) {
    for (int i = 0; i < s->u.let.n; i++) {
        const tg_let_item *item = &s->u.let.items[i];
        if (item->is_tuple || s->u.let.is_var) {
            tg_el_error(h->e, TG_D_LAUNCH, item->span,
                        "an op binds names to integers of the launch with `let`");
            continue;
        }
        const tg_dim *d = tg_el_dim(h->e, item->init, false);
        if (d != NULL) {
            tg_val *v = tg_el_new(h->e, TG_VAL_DIM, item->span);
            v->sym = d;
            tg_el_bind(h->e, item->names[0].name, v, false, item->span);
        }
    }
}

static void statement(host *h, const tg_stmt *s) {
    switch (s->kind) {
    case TG_STMT_ERROR:
        h->e->errors++;
        return;
    case TG_STMT_LET:
        let_stmt(h, s);
        return;
    case TG_STMT_EXPR:
        call_stmt(h, s->u.expr);
        return;
    case TG_STMT_IF:
        if_stmt(h, s);
        return;
    case TG_STMT_FOR:
        for_stmt(h, s);
        return;
    case TG_STMT_TEMP:
        temp_stmt(h, s);
        return;
    case TG_STMT_BLOCK:
        tg_el_push(h->e);
        block(h, &s->u.block);
        tg_el_pop(h->e);
        return;
    case TG_STMT_ASSIGN:
    case TG_STMT_WHILE:
    case TG_STMT_RETURN:
    case TG_STMT_PRINT:
    case TG_STMT_ASSERT:
    case TG_STMT_ASSUME:
        tg_el_error(h->e, TG_D_LAUNCH, s->span,
                    "an op consists of temps, launches, `let`, `if` and `for`");
        return;
    }
}

static void block(host *h, const tg_block *b) {
    for (int i = 0; i < b->n; i++) {
        statement(h, b->items[i]);
    }
}

/* ---- the whole ------------------------------------------------------------------------------ */

static bool signature(host *h, const tg_decl *d) {
    tg_elab *e = h->e;
    if (!tg_el_bind_ct(e, &d->u.kernel.ct) || !tg_el_params(e, &d->u.kernel.params)) {
        return false;
    }
    for (int i = 0; i < e->n_params; i++) {
        const tg_param *p = &e->params[i];
        if (p->type->kind == TG_TY_TENSOR) {
            tg_el_bind(e, p->name,
                       tensor_val(e, i, p->type->dtype, e->param_records[i], p->type->rank,
                                  p->type->dims, p->span),
                       false, p->span);
        } else {
            tg_val *v = tg_el_new(e, TG_VAL_TILE, p->span);
            tg_value *ir = TG_NEW(e->a, tg_value); /* only its type is looked at */
            ir->type = p->type;
            v->ir = ir;
            v->i = i;
            tg_el_bind(e, p->name, v, false, p->span);
        }
    }
    for (size_t i = 0; i < e->dims.syms.count; i++) {
        tg_val *v = tg_el_new(e, TG_VAL_DIM, e->dims.syms.data[i].span);
        v->sym = tg_dim_sym(e->m, (int)i);
        tg_el_bind(e, e->dims.syms.data[i].name, v, false, v->where);
    }
    for (int i = 0; i < d->u.kernel.requires.n; i++) {
        const tg_expr *x = d->u.kernel.
                               requires
            .items[i];
        const tg_dim *r = tg_el_condition(e, x, false);
        int64_t c;
        if (r != NULL && tg_sy_const(r, &c) && c == 0) {
            tg_el_error(e, TG_D_REQUIRE, x->span, "these settings break the requirement %s",
                        tg_el_text(e, x));
        } else if (r != NULL && !tg_sy_const(r, &c)) {
            TG_LIST_PUSH(e->a, &e->facts, r);
        }
    }
    return e->errors == 0;
}

/* Every output of the op is written by a launch, whatever the conditions say. */
static void check_outputs(host *h) {
    for (int i = 0; i < h->e->n_params && h->e->errors == 0; i++) {
        const tg_param *p = &h->e->params[i];
        if (!h->filled_param[i]) {
            tg_diag *d = tg_el_error(h->e, TG_D_COVER, p->span,
                                     "not every element of `%s` is certainly written", p->name);
            tg_note_add(h->e->sink, d, p->span,
                        "no launch has it as `out`, or only one branch of an `if` has");
        }
    }
}

tg_status tg_elab_hostop(tg_program *p, tg_decl *d, const tg_setting *settings, int n_settings,
                         const tg_target_query *target, tg_module *m) {
    host h = {.e = tg_elab_make(p, m), .target = target};
    tg_elab *e = h.e;
    e->decl = d;
    e->file = d->file;
    e->settings = settings;
    e->n_settings = n_settings;
    e->target = target;
    tg_el_push(e);
    if (signature(&h, d)) {
        h.filled_param = TG_NEW_ARRAY(e->a, bool, e->n_params + 1);
        for (int i = 0; i < e->n_params; i++) {
            h.filled_param[i] = (e->params[i].flags & TG_PARAM_OUT) == 0;
        }
        block(&h, &d->u.kernel.body);
        check_outputs(&h);
    }
    if (e->errors > 0) {
        return TG_E_SOURCE;
    }
    tg_hostop *op = TG_NEW(m->arena, tg_hostop);
    *op = (tg_hostop){.name = tg_intern(&m->strings, d->name.name, strlen(d->name.name)),
                      .params = e->params,
                      .n_params = e->n_params,
                      .syms = e->dims.syms.data,
                      .n_syms = (int)e->dims.syms.count,
                      .requires_ = e->facts.data,
                      .n_requires = (int)e->facts.count,
                      .temps = h.temps.data,
                      .n_temps = (int)h.temps.count,
                      .launches = h.launches.data,
                      .n_launches = (int)h.launches.count,
                      .span = d->span};
    tg_hostop **at = &m->hostops;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = op;
    return TG_OK;
}
