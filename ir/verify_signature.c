/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of what stands around the operations: dimension expressions, parameters, the grid, and the
 * launches of host ops.
 */
#include "ir/verify_signature.h"

#include <string.h>

/* Parameters, or dimension names, of one kernel. */
#define MAX_NAMES 1024

/* ---- dimension expressions ------------------------------------------------------------------ */

/* Every name is declared. Expressions are trees of bounded depth (the readers bound it). */
static bool dim_ok(const tg_dim *d, int n_syms) {
    if (d == NULL) {
        return false;
    }
    if (d->code == TG_DIM_CONST) {
        return true;
    }
    if (d->code == TG_DIM_SYM) {
        return d->value >= 0 && d->value < n_syms;
    }
    return dim_ok(d->a, n_syms) && dim_ok(d->b, n_syms);
}

static bool tensor_ok(const tg_type *t, int n_syms) {
    bool record = t->dtype == TG_DT_RECORD;
    if (t->dtype <= TG_DT_NONE || t->dtype >= TG_DT_COUNT || t->rank > TG_MAX_RANK ||
        (record && t->elem_bytes < 1)) {
        return false;
    }
    for (int i = 0; i < t->rank; i++) {
        if (!dim_ok(t->dims[i], n_syms)) {
            return false;
        }
    }
    return true;
}

bool tg_verify_tensor_type(tg_verifier *v, const tg_type *t) {
    TG_CHECK(tensor_ok(t, v->f->n_syms), "%s: bad tensor type", tg_verify_type(v, t));
    return true;
}

/* ---- parameters ----------------------------------------------------------------------------- */

static const char *param_problem(const tg_param *p, int n_syms) {
    bool tensor = p->type != NULL && p->type->kind == TG_TY_TENSOR;
    unsigned tensor_only = TG_PARAM_OUT | TG_PARAM_INOUT | TG_PARAM_ALIAS | TG_PARAM_STRIDED |
                           TG_PARAM_SORTED | TG_PARAM_UNIQUE | TG_PARAM_INIT;
    if (p->name == NULL || p->name[0] == '\0') {
        return "it has no name";
    }
    if (!tensor && (p->type == NULL || !tg_type_is_scalar(p->type))) {
        return "it is neither a tensor nor a scalar";
    }
    if (tensor && !tensor_ok(p->type, n_syms)) {
        return "its tensor type is malformed";
    }
    if (!tensor && (p->type->dtype <= TG_DT_NONE || p->type->dtype >= TG_DT_RECORD)) {
        return "its element type is no scalar";
    }
    if (tensor != ((p->flags & TG_PARAM_TENSOR) != 0)) {
        return "its tensor flag disagrees with its type";
    }
    if (!tensor && (p->flags & tensor_only) != 0) {
        return "a scalar has a flag of tensors";
    }
    if (tensor && p->type->strided != ((p->flags & TG_PARAM_STRIDED) != 0)) {
        return "its strided flag disagrees with its type";
    }
    if ((p->flags & TG_PARAM_OUT) != 0 && (p->flags & TG_PARAM_INOUT) != 0) {
        return "it is both out and inout";
    }
    if ((p->flags & TG_PARAM_RANGE) != 0 &&
        (!dim_ok(p->range_lo, n_syms) || !dim_ok(p->range_hi, n_syms))) {
        return "its range is malformed";
    }
    bool power_of_two = p->align_bytes >= 0 && (p->align_bytes & (p->align_bytes - 1)) == 0;
    return power_of_two ? NULL : "its alignment is no power of two";
}

static const char *signature_problem(const tg_param *params, int n_params, const tg_sym *syms,
                                     int n_syms, const tg_dim *const *conditions, int n_conditions,
                                     const char **about) {
    if (n_params > MAX_NAMES || n_syms > MAX_NAMES) {
        return "too many parameters or dimension names";
    }
    for (int i = 0; i < n_params; i++) {
        *about = params[i].name == NULL ? "" : params[i].name;
        const char *problem = param_problem(&params[i], n_syms);
        if (problem != NULL) {
            return problem;
        }
        for (int j = 0; j < i; j++) {
            if (strcmp(params[i].name, params[j].name) == 0) {
                return "the name is used twice";
            }
        }
    }
    for (int i = 0; i < n_syms; i++) {
        *about = syms[i].name == NULL ? "" : syms[i].name;
        for (int j = 0; j < i; j++) {
            if (strcmp(*about, syms[j].name) == 0) {
                return "the name is used twice";
            }
        }
    }
    for (int i = 0; i < n_conditions; i++) {
        *about = "require";
        if (!dim_ok(conditions[i], n_syms)) {
            return "the expression is malformed";
        }
    }
    return NULL;
}

/* ---- kernels -------------------------------------------------------------------------------- */

/* The region's first arguments are the parameters; `extra` i64 follow. */
static bool verify_region_args(tg_verifier *v, const char *what, const tg_region *r, int extra) {
    TG_CHECK(r->parent == NULL && r->func == v->f, "%s does not belong to the kernel", what);
    TG_CHECK(r->n_args == v->f->n_params + extra, "%s has %d arguments, not %d", what, r->n_args,
             v->f->n_params + extra);
    for (int i = 0; i < r->n_args; i++) {
        bool ok = i < v->f->n_params ? r->args[i]->type == v->f->params[i].type
                                     : tg_is_scalar_of(r->args[i]->type, TG_DT_I64);
        TG_CHECK(ok, "argument %d of %s has the wrong type", i, what);
    }
    return true;
}

bool tg_verify_signature(tg_verifier *v) {
    const tg_func *f = v->f;
    const char *about = "";
    const char *problem = signature_problem(f->params, f->n_params, f->syms, f->n_syms,
                                            f->requires_, f->n_requires, &about);
    TG_CHECK(problem == NULL, "%s: %s", about, problem);
    TG_CHECK(f->body != NULL, "it has no body");
    for (int i = 0; i < f->n_grid; i++) {
        TG_CHECK(f->grid_by[i] >= 1, "grid axis %d: the block must be positive", i);
    }
    if (f->level == TG_LEVEL_LOOP) {
        TG_CHECK(f->grid == NULL, "a loop-level entry has no grid");
        TG_CHECK(f->body->parent == NULL && f->body->func == f, "the body is not its own");
        return true;
    }
    TG_CHECK(f->grid != NULL || f->n_grid == 0, "the region that gives the grid is missing");
    return (f->grid == NULL || verify_region_args(v, "grid", f->grid, 0)) &&
           verify_region_args(v, "body", f->body, f->n_grid);
}

bool tg_verify_yields(tg_verifier *v) {
    const tg_func *f = v->f;
    if (f->grid != NULL) {
        const tg_op *y = f->grid->last;
        int n = y != NULL && y->code == TG_OP_YIELD ? y->n_operands : 0;
        TG_CHECK(n == f->n_grid, "grid yields %d extents, not %d", n, f->n_grid);
        for (int i = 0; i < n; i++) {
            TG_CHECK(tg_is_scalar_of(tg_operand_type(y, i), TG_DT_I64), "grid extents are i64");
        }
    }
    const tg_op *y = f->body->last;
    TG_CHECK(y == NULL || y->code != TG_OP_YIELD || y->n_operands == 0, "the body yields nothing");
    return true;
}

/* ---- host ops ------------------------------------------------------------------------------- */

/* Element type and rank of what an argument passes; rank -1: a scalar. */
typedef struct passed {
    bool ok;
    tg_dtype dtype;
    int64_t elem_bytes;
    int rank;
} passed;

static passed passed_by(const tg_hostop *h, const tg_hostop_arg *a) {
    passed p = {.ok = true, .rank = -1, .dtype = TG_DT_NONE};
    switch (a->kind) {
    case TG_ARG_PARAM:
        if (a->index < 0 || a->index >= h->n_params) {
            return (passed){.ok = false};
        }
        p.dtype = h->params[a->index].type->dtype;
        if (h->params[a->index].type->kind == TG_TY_TENSOR) {
            p.rank = h->params[a->index].type->rank;
            p.elem_bytes = h->params[a->index].type->elem_bytes;
        }
        return p;
    case TG_ARG_TEMP:
        if (a->index < 0 || a->index >= h->n_temps) {
            return (passed){.ok = false};
        }
        p.dtype = h->temps[a->index].dtype;
        p.rank = h->temps[a->index].rank;
        p.elem_bytes = p.dtype == TG_DT_RECORD ? h->temps[a->index].elem_bytes : 0;
        return p;
    case TG_ARG_DIM:
        p.ok = dim_ok(a->dim, h->n_syms);
        return p;
    case TG_ARG_FLOAT:
        return p;
    }
    return (passed){.ok = false};
}

static bool arg_fits(const tg_hostop *h, const tg_hostop_arg *a, const tg_type *want) {
    passed p = passed_by(h, a);
    if (!p.ok) {
        return false;
    }
    if (want->kind == TG_TY_TENSOR) {
        return p.rank == want->rank && p.dtype == want->dtype && p.elem_bytes == want->elem_bytes;
    }
    if (p.rank >= 0) {
        return false;
    }
    /* DIM gives an integer, FLOAT a number that is rounded to the parameter's type. */
    return p.dtype == TG_DT_NONE ? a->kind == TG_ARG_DIM || tg_dtype_is_float(want->dtype)
                                 : p.dtype == want->dtype;
}

static const char *launch_problem(tg_module *m, const tg_hostop *h, const tg_hostop_launch *l) {
    const tg_func *f = l->kernel == NULL ? NULL : tg_func_find(m, l->kernel);
    if (f == NULL) {
        return "no such kernel in the module";
    }
    if (l->when != NULL && !dim_ok(l->when, h->n_syms)) {
        return "its condition is malformed";
    }
    if (f->level != TG_LEVEL_TILE) {
        return NULL;
    }
    if (f->n_params != l->n_args) {
        return "it passes the wrong number of arguments";
    }
    for (int i = 0; i < l->n_args; i++) {
        if (!arg_fits(h, &l->args[i], f->params[i].type)) {
            return "an argument does not fit the kernel's parameter";
        }
    }
    return NULL;
}

static bool temp_ok(const tg_hostop_temp *t, int n_syms) {
    bool record = t->dtype == TG_DT_RECORD;
    if (t->name == NULL || t->dtype <= TG_DT_NONE || t->dtype >= TG_DT_COUNT || t->rank < 0 ||
        t->rank > TG_MAX_RANK || (record && t->elem_bytes < 1)) {
        return false;
    }
    for (int i = 0; i < t->rank; i++) {
        if (!dim_ok(t->dims[i], n_syms)) {
            return false;
        }
    }
    return true;
}

bool tg_verify_hostop(tg_module *m, const tg_hostop *h, tg_sink *sink) {
    const char *about = "";
    const char *problem = signature_problem(h->params, h->n_params, h->syms, h->n_syms,
                                            h->requires_, h->n_requires, &about);
    for (int i = 0; i < h->n_temps && problem == NULL; i++) {
        if (!temp_ok(&h->temps[i], h->n_syms)) {
            about = "temp";
            problem = "its type is malformed";
        }
    }
    for (int i = 0; i < h->n_launches && problem == NULL; i++) {
        about = h->launches[i].kernel == NULL ? "launch" : h->launches[i].kernel;
        problem = launch_problem(m, h, &h->launches[i]);
    }
    if (problem != NULL) {
        tg_error(sink, TG_D_IR_RULE, h->span, "op %s: %s: %s", h->name, about, problem);
    }
    return problem == NULL;
}
