/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of functions that nothing calls: a function is elaborated where it is called, so one
 * without a caller would never be looked at. Here every name in its body must at least mean
 * something.
 */
#include "frontend/value.h"

#include <string.h>

typedef struct known {
    tg_program *p;
    const tg_file *file;
    TG_LIST(const char *) names; /* declared anywhere in the function */
} known;

static void declare(known *k, tg_ident id) {
    if (id.name != NULL) {
        TG_LIST_PUSH(k->p->arena, &k->names, id.name);
    }
}

static bool is_known(const known *k, const char *name) {
    for (size_t i = 0; i < k->names.count; i++) {
        if (strcmp(k->names.data[i], name) == 0) {
            return true;
        }
    }
    tg_dtype t;
    return tg_dtype_from_name(name, strlen(name), &t) ||
           tg_program_find(k->p, k->file, name) != NULL ||
           tg_program_module(k->p, k->file, name) != NULL || strcmp(name, "_") == 0;
}

/* ---- declarations --------------------------------------------------------------------------- */

static void declare_block(known *k, const tg_block *b);

static void declare_stmt(known *k, const tg_stmt *s) {
    switch (s->kind) {
    case TG_STMT_LET:
        for (int i = 0; i < s->u.let.n; i++) {
            for (int n = 0; n < s->u.let.items[i].n_names; n++) {
                declare(k, s->u.let.items[i].names[n]);
            }
        }
        break;
    case TG_STMT_IF:
        declare_block(k, &s->u.if_.then);
        declare_block(k, &s->u.if_.els);
        break;
    case TG_STMT_FOR:
        declare(k, s->u.for_.var);
        declare_block(k, &s->u.for_.body);
        break;
    case TG_STMT_WHILE:
        declare_block(k, &s->u.while_.body);
        break;
    case TG_STMT_BLOCK:
        declare_block(k, &s->u.block);
        break;
    case TG_STMT_ERROR:
    case TG_STMT_ASSIGN:
    case TG_STMT_EXPR:
    case TG_STMT_RETURN:
    case TG_STMT_PRINT:
    case TG_STMT_ASSERT:
    case TG_STMT_ASSUME:
    case TG_STMT_TEMP:
        break;
    }
}

static void declare_block(known *k, const tg_block *b) {
    for (int i = 0; i < b->n; i++) {
        declare_stmt(k, b->items[i]);
    }
}

static void declare_params(known *k, const tg_decl *d) {
    for (int i = 0; i < d->u.fn.ct.n; i++) {
        declare(k, d->u.fn.ct.items[i].name);
    }
    for (int i = 0; i < d->u.fn.params.n; i++) {
        const tg_ast_param *p = &d->u.fn.params.items[i];
        declare(k, p->name);
        for (int a = 0; p->has_type && a < p->type.dims.n; a++) {
            if (p->type.dims.items[a]->kind == TG_EXPR_NAME) {
                declare(k, p->type.dims.items[a]->u.name);
            }
        }
    }
}

/* ---- uses ----------------------------------------------------------------------------------- */

static void use(known *k, const tg_expr *x);

static void use_list(known *k, const tg_expr_list *l) {
    for (int i = 0; i < l->n; i++) {
        use(k, l->items[i]);
    }
}

static void use_args(known *k, const tg_arg *args, int n) {
    for (int i = 0; i < n; i++) {
        use(k, args[i].value);
    }
}

static void use_call(known *k, const tg_expr *x) {
    const tg_ident name = x->u.call.name;
    if (x->u.call.module.name == NULL && !is_known(k, name.name) && !tg_el_is_builtin(name.name)) {
        tg_error(k->p->sink, TG_D_UNKNOWN_NAME, name.span, "`%s` is not a function", name.name);
    }
    for (int i = 0; i < x->u.call.ct.n; i++) {
        use(k, x->u.call.ct.items[i].value);
    }
    use_args(k, x->u.call.args, x->u.call.n);
}

static void use_index(known *k, const tg_expr *x) {
    use(k, x->u.index.x);
    for (int i = 0; i < x->u.index.n; i++) {
        use(k, x->u.index.items[i].lo);
        use(k, x->u.index.items[i].hi);
    }
}

static void use(known *k, const tg_expr *x) {
    if (x == NULL) {
        return;
    }
    switch (x->kind) {
    case TG_EXPR_ERROR:
    case TG_EXPR_INT:
    case TG_EXPR_FLOAT:
    case TG_EXPR_BOOL:
    case TG_EXPR_STRING:
        return;
    case TG_EXPR_NAME:
        if (!is_known(k, x->u.name.name)) {
            tg_error(k->p->sink, TG_D_UNKNOWN_NAME, x->span, "`%s` is not known here",
                     x->u.name.name);
        }
        return;
    case TG_EXPR_TUPLE:
        use_list(k, &x->u.tuple);
        return;
    case TG_EXPR_UNARY:
        use(k, x->u.unary.x);
        return;
    case TG_EXPR_BINARY:
        use(k, x->u.binary.a);
        use(k, x->u.binary.b);
        return;
    case TG_EXPR_MATMUL:
        use(k, x->u.matmul.a);
        use(k, x->u.matmul.b);
        return;
    case TG_EXPR_AS:
        use(k, x->u.as.x);
        return;
    case TG_EXPR_ELSE:
    case TG_EXPR_IF:
        use(k, x->u.choose.x);
        use(k, x->u.choose.v);
        return;
    case TG_EXPR_INDEX:
        use_index(k, x);
        return;
    case TG_EXPR_FIELD:
        use(k, x->u.field.x);
        return;
    case TG_EXPR_SHAPE:
        use(k, x->u.shape.x);
        use_list(k, &x->u.shape.dims);
        return;
    case TG_EXPR_CALL:
        use_call(k, x);
        return;
    case TG_EXPR_ATOMIC:
        use(k, x->u.atomic.target);
        for (int i = 0; i < x->u.atomic.n; i++) {
            if (x->u.atomic.args[i].name.name == NULL) {
                use(k, x->u.atomic.args[i].value);
            }
        }
        return;
    case TG_EXPR_RANGE:
        use(k, x->u.range.lo);
        use(k, x->u.range.hi);
        return;
    case TG_EXPR_ZEROS:
    case TG_EXPR_FULL:
        use_list(k, &x->u.fill.type.dims);
        use(k, x->kind == TG_EXPR_FULL ? x->u.fill.value : NULL);
        return;
    }
}

static void use_block(known *k, const tg_block *b);

static void use_stmt(known *k, const tg_stmt *s) {
    switch (s->kind) {
    case TG_STMT_ERROR:
    case TG_STMT_TEMP:
        return;
    case TG_STMT_LET:
        for (int i = 0; i < s->u.let.n; i++) {
            use(k, s->u.let.items[i].init);
        }
        return;
    case TG_STMT_ASSIGN:
        use_list(k, &s->u.assign.targets);
        use(k, s->u.assign.value);
        use(k, s->u.assign.mask);
        return;
    case TG_STMT_EXPR:
        use(k, s->u.expr);
        return;
    case TG_STMT_IF:
        use(k, s->u.if_.cond);
        use_block(k, &s->u.if_.then);
        use_block(k, &s->u.if_.els);
        return;
    case TG_STMT_FOR:
        use(k, s->u.for_.lo);
        use(k, s->u.for_.hi);
        use(k, s->u.for_.by);
        use_block(k, &s->u.for_.body);
        return;
    case TG_STMT_WHILE:
        use(k, s->u.while_.cond);
        use(k, s->u.while_.max);
        use_block(k, &s->u.while_.body);
        return;
    case TG_STMT_RETURN:
        use_list(k, &s->u.ret);
        return;
    case TG_STMT_PRINT:
    case TG_STMT_ASSERT:
    case TG_STMT_ASSUME:
        use_list(k, &s->u.report.args);
        return;
    case TG_STMT_BLOCK:
        use_block(k, &s->u.block);
        return;
    }
}

static void use_block(known *k, const tg_block *b) {
    for (int i = 0; i < b->n; i++) {
        use_stmt(k, b->items[i]);
    }
}

void tg_el_check_names(tg_program *p, const tg_decl *fn) {
    known k = {.p = p, .file = fn->file};
    declare_params(&k, fn);
    declare_block(&k, &fn->u.fn.body);
    use_list(&k, &fn->u.fn.requires);
    use_block(&k, &fn->u.fn.body);
}
