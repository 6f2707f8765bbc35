/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The placed function as a copy of the tile function, perhaps in another module: types, dimension
 * expressions and names are interned again there. `print` (the interpreter's) and `assume` (a fact
 * whose users have run) are left out.
 */
#include "backends/place/place.h"

#include <string.h>

static const tg_dim *import_dim(tg_module *m, const tg_dim *d) {
    if (d == NULL) {
        return NULL;
    }
    switch (d->code) {
    case TG_DIM_CONST:
        return tg_dim_const(m, d->value);
    case TG_DIM_SYM:
        return tg_dim_sym(m, (int)d->value);
    case TG_DIM_ADD:
    case TG_DIM_SUB:
    case TG_DIM_MUL:
    case TG_DIM_DIV:
    case TG_DIM_MOD:
    case TG_DIM_CDIV:
    case TG_DIM_MIN:
    case TG_DIM_MAX:
    case TG_DIM_EQ:
    case TG_DIM_NE:
    case TG_DIM_LT:
    case TG_DIM_LE:
    case TG_DIM_AND:
    case TG_DIM_OR:
        break;
    }
    return tg_dim_binary(m, d->code, import_dim(m, d->a), import_dim(m, d->b));
}

static const tg_type *import_type(tg_module *m, const tg_type *t) {
    const tg_dim *dims[TG_MAX_RANK];
    switch (t->kind) {
    case TG_TY_TILE:
        return tg_type_tile(m, t->dtype, t->rank, t->shape);
    case TG_TY_TENSOR:
        for (int i = 0; i < t->rank; i++) {
            dims[i] = import_dim(m, t->dims[i]);
        }
        return tg_type_tensor(m, t->dtype, t->elem_bytes, t->rank, dims, t->strided);
    case TG_TY_SPAN:
        return tg_type_span(m, t->shape[0]);
    case TG_TY_VEC:
        return tg_type_vec(m, t->dtype, t->shape[0]);
    case TG_TY_PTR:
    case TG_TY_BUFFER: /* not at the tile level */
        break;
    }
    return tg_type_ptr(m);
}

static const char *import_name(tg_module *m, const char *s) {
    return s == NULL ? NULL : tg_intern(&m->strings, s, strlen(s));
}

static void import_region(tg_module *m, tg_region *r) {
    for (int i = 0; i < r->n_args; i++) {
        r->args[i]->type = import_type(m, r->args[i]->type);
    }
    for (tg_op *op = r->first, *next; op != NULL; op = next) {
        next = op->next;
        if (op->code == TG_OP_PRINT || op->code == TG_OP_ASSUME) {
            tg_op_erase(op);
            continue;
        }
        for (int i = 0; i < op->n_results; i++) {
            op->results[i].type = import_type(m, op->results[i].type);
            op->results[i].name = import_name(m, op->results[i].name);
        }
        for (int i = 0; i < op->n_attrs; i++) {
            if (op->attrs[i].type != NULL) {
                op->attrs[i].type = import_type(m, op->attrs[i].type);
            }
        }
        for (int i = 0; i < op->n_regions; i++) {
            import_region(m, op->regions[i]);
        }
    }
}

static tg_region *copy_region(tg_func *f, tg_region *from) {
    tg_region *r = tg_region_make(f, NULL);
    tg_value_map *map = tg_value_map_make(f->module->arena);
    for (int i = 0; i < from->n_args; i++) {
        tg_value *arg = tg_region_add_arg(r, from->args[i]->type, from->args[i]->name);
        tg_value_map_put(map, from->args[i], arg);
    }
    for (tg_op *op = from->first; op != NULL; op = op->next) {
        tg_op_clone(op, r, map);
    }
    import_region(f->module, r);
    return r;
}

static void copy_params(tg_func *to, const tg_func *from) {
    tg_module *m = to->module;
    to->n_params = from->n_params;
    to->params = TG_NEW_ARRAY(m->arena, tg_param, from->n_params + 1);
    for (int i = 0; i < from->n_params; i++) {
        tg_param *p = &to->params[i];
        *p = from->params[i];
        p->name = import_name(m, p->name);
        p->type = import_type(m, p->type);
        p->range_lo = import_dim(m, p->range_lo);
        p->range_hi = import_dim(m, p->range_hi);
    }
    to->n_syms = from->n_syms;
    to->syms = TG_NEW_ARRAY(m->arena, tg_sym, from->n_syms + 1);
    for (int i = 0; i < from->n_syms; i++) {
        to->syms[i] = from->syms[i];
        to->syms[i].name = import_name(m, from->syms[i].name);
    }
    to->n_requires = from->n_requires;
    to->requires_ = TG_NEW_ARRAY(m->arena, const tg_dim *, from->n_requires + 1);
    for (int i = 0; i < from->n_requires; i++) {
        to->requires_[i] = import_dim(m, from->requires_[i]);
    }
}

static void copy_grid(tg_func *to, const tg_func *from) {
    tg_module *m = to->module;
    to->n_bindings = from->n_bindings;
    to->bindings = TG_NEW_ARRAY(m->arena, tg_binding, from->n_bindings + 1);
    for (int i = 0; i < from->n_bindings; i++) {
        to->bindings[i].name = import_name(m, from->bindings[i].name);
        to->bindings[i].value = import_name(m, from->bindings[i].value);
    }
    to->n_grid = from->n_grid;
    to->grid_names = TG_NEW_ARRAY(m->arena, const char *, from->n_grid + 1);
    to->grid_by = TG_NEW_ARRAY(m->arena, int64_t, from->n_grid + 1);
    for (int i = 0; i < from->n_grid; i++) {
        to->grid_names[i] = import_name(m, from->grid_names[i]);
        to->grid_by[i] = from->grid_by[i];
    }
}

tg_func *tg_place_clone(tg_func *tile, tg_module *out) {
    tg_func *f = tg_func_make(out, tile->name, TG_LEVEL_PLACED);
    f->span = tile->span;
    copy_params(f, tile);
    copy_grid(f, tile);
    if (tile->grid != NULL) {
        f->grid = copy_region(f, tile->grid);
    }
    if (tile->body != NULL) {
        f->body = copy_region(f, tile->body);
    }
    return f;
}
