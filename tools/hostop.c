/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ops where there is no runtime: the launches of an op one after the other, the temporaries in
 * memory of their own, poisoned like every argument, so that a kernel that reads what none wrote
 * shows it.
 */
#include <string.h>

#include "tools/tool.h"

typedef struct op_run {
    tool *t;
    tool_kernel *k;
    bool (*launch)(tool *t, tool_kernel *k, void *user);
    void *user;
    tool_array *temps; /* op->n_temps */
} op_run;

static bool make_temps(op_run *r) {
    const tg_hostop *op = r->k->op;
    for (int i = 0; i < op->n_temps; i++) {
        const tg_hostop_temp *from = &op->temps[i];
        tool_array *a = &r->temps[i];
        *a = (tool_array){.name = from->name,
                          .dtype = from->dtype,
                          .elem_bytes = from->elem_bytes,
                          .rank = from->rank,
                          .count = 1};
        for (int d = 0; d < a->rank; d++) {
            a->extent[d] = tg_dim_eval(from->dims[d], r->k->syms);
            if (a->extent[d] < 0) {
                tool_error(r->t, TG_D_TOOL, "op %s: extent %d of temp %s is negative", op->name,
                           (int)a->extent[d], a->name);
                return false;
            }
        }
        if (!tool_array_make(r->t, a, 0)) {
            return false;
        }
    }
    return true;
}

static uint64_t scalar_bits(const tool_array *scalar, const op_run *r, const tg_hostop_arg *a) {
    if (a->kind == TG_ARG_DIM) {
        tool_array_set_int(scalar, 0, tg_dim_eval(a->dim, r->k->syms));
    } else {
        tool_array_set(scalar, 0, a->value);
    }
    return scalar->scalar;
}

/* The argument as kernel parameter p takes it. */
static tool_array resolve(const op_run *r, const tg_param *p, const tg_hostop_arg *a) {
    tool_array out = {.name = p->name, .dtype = p->type->dtype, .rank = 0, .count = 1};
    if (a->kind == TG_ARG_PARAM) {
        out = r->k->args[a->index];
    } else if (a->kind == TG_ARG_TEMP) {
        out = r->temps[a->index];
    } else {
        out.scalar = scalar_bits(&out, r, a);
    }
    out.param = p;
    return out;
}

static bool run_launch(op_run *r, const tg_hostop_launch *l) {
    tg_func *f = tg_func_find(r->k->module, l->kernel);
    if (f == NULL) {
        tool_error(r->t, TG_D_TOOL, "op %s: its kernel %s is not there", r->k->name, l->kernel);
        return false;
    }
    tool_kernel one = {.program = r->k->program,
                       .module = r->k->module,
                       .func = f,
                       .name = f->name,
                       .sym_names = f->syms,
                       .n_syms = f->n_syms,
                       .n_args = l->n_args};
    one.args = TG_NEW_ARRAY(&r->t->arena, tool_array, l->n_args + 1);
    for (int i = 0; i < l->n_args; i++) {
        one.args[i] = resolve(r, &f->params[i], &l->args[i]);
    }
    one.syms = TG_NEW_ARRAY(&r->t->arena, int64_t, f->n_syms + 1);
    return tg_interp_bind(f, tool_kernel_interp_args(r->t, &one), one.syms, &r->t->sink) == TG_OK &&
           r->launch(r->t, &one, r->user);
}

bool tool_op_run(tool *t, tool_kernel *k, bool (*launch)(tool *t, tool_kernel *k, void *user),
                 void *user) {
    op_run r = {.t = t, .k = k, .launch = launch, .user = user};
    bool ok;
    r.temps = TG_NEW_ARRAY(&t->arena, tool_array, k->op->n_temps + 1);
    ok = make_temps(&r);
    for (int i = 0; ok && i < k->op->n_launches; i++) {
        const tg_hostop_launch *l = &k->op->launches[i];
        ok = (l->when != NULL && tg_dim_eval(l->when, k->syms) == 0) || run_launch(&r, l);
    }
    for (int i = 0; i < k->op->n_temps; i++) {
        if (!tool_array_guards_ok(&r.temps[i])) {
            tool_error(t, TG_D_TOOL, "op %s: memory around temp %s was written", k->name,
                       r.temps[i].name);
            ok = false;
        }
        tool_array_free(&r.temps[i]);
    }
    return ok;
}
