/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scalar indices that cannot leave their axis: numbers of scale blocks, mostly. Loop variables are
 * below the loop's end, block numbers below the grid's, and what is below E is below
 * cdiv(E, c) once divided by c. Extents are interned expressions: equal ones are one pointer.
 */
#include "backends/lower/simt/simt.h"

static const tg_dim *extent_of(tg_module *m, const tg_value *v) {
    const tg_op *op = v->def;
    int64_t c;
    if (tg_value_const_int(v, &c)) {
        return tg_dim_const(m, c);
    }
    if (op != NULL && op->code == TG_OP_SYM) {
        return tg_dim_sym(m, (int)tg_attr_int(op, TG_ATTR_SYM, 0));
    }
    return op != NULL && op->code == TG_OP_DIM
               ? op->operands[0].value->type->dims[tg_attr_int(op, TG_ATTR_AXIS, 0)]
               : NULL;
}

/* What the number of a block times its length stays below; by 1 for the number alone. */
static const tg_dim *grid_bound(const tg_func *f, const tg_value *v, int64_t by) {
    int axis = v->index - f->n_params;
    if (v->def != NULL || v->region != f->body || axis < 0 || axis >= f->n_grid) {
        return NULL;
    }
    int64_t length = tg_max_i64(1, f->grid_by[axis]);
    return length == by ? extent_of(f->module, f->grid->last->operands[axis].value) : NULL;
}

/* An extent that v stays below; NULL: nobody knows one. v is not negative. */
static const tg_dim *bound_of(const tg_func *f, const tg_value *v) {
    const tg_op *op = v->def, *loop = op == NULL ? v->region->parent : NULL;
    int64_t c;
    if (loop != NULL && loop->code == TG_OP_FOR && v->index == 0) {
        return extent_of(f->module, loop->operands[1].value);
    }
    if (op == NULL || op->n_operands != 2 || !tg_value_const_int(op->operands[1].value, &c) ||
        c < 1) {
        return grid_bound(f, v, 1);
    }
    if (op->code == TG_OP_MUL) {
        return grid_bound(f, op->operands[0].value, c);
    }
    const tg_dim *of = op->code == TG_OP_DIV ? bound_of(f, op->operands[0].value) : NULL;
    return of == NULL ? NULL
                      : tg_dim_binary(f->module, TG_DIM_CDIV, of, tg_dim_const(f->module, c));
}

bool ts_is_below(const tg_simt *S, const tg_value *v, const tg_dim *extent) {
    return ts_nonneg(v, 0) && bound_of(S->kernel, v) == extent;
}
