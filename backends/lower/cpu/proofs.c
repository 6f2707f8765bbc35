/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which indices are proven inside their tensor.
 *
 * The proofs are structural: non-negative sums, loop variables below their bound, block numbers
 * below their grid extent, equal dimension expressions, and what the conditions of the branches
 * around an access say. What is not proven is checked by generated code.
 */
#include "backends/lower/cpu/lower.h"

static bool is_loop_iv(const tg_value *v) {
    return v->def == NULL && v->region != NULL && v->region->parent != NULL &&
           v->region->parent->code == TG_OP_FOR && v->index == 0;
}

static bool is_grid_id(const tg_value *v) {
    return v->def == NULL && v->region != NULL && v->region->parent == NULL &&
           v->region == v->region->func->body && v->index >= v->region->func->n_params;
}

static tg_op *terminator(const tg_region *r) { return r->last; }

bool tg_prove_nonneg(const tg_value *v) {
    int64_t c;
    if (tg_value_const_int(v, &c)) {
        return c >= 0;
    }
    if (is_grid_id(v)) {
        return true;
    }
    if (is_loop_iv(v)) {
        return tg_prove_nonneg(tg_operand(v->region->parent, 0));
    }
    if (v->def == NULL) {
        return false;
    }
    const tg_op *op = v->def;
    switch ((int)op->code) {
    case TG_OP_SYM:
    case TG_OP_DIM:
        return true;
    case TG_OP_ADD:
    case TG_OP_MUL:
    case TG_OP_DIV:
    case TG_OP_MIN:
        return tg_prove_nonneg(tg_operand(op, 0)) && tg_prove_nonneg(tg_operand(op, 1));
    case TG_OP_MAX:
        return tg_prove_nonneg(tg_operand(op, 0)) || tg_prove_nonneg(tg_operand(op, 1));
    case TG_OP_REM:
    case TG_OP_SHR:
        return tg_prove_nonneg(tg_operand(op, 0));
    case TG_OP_SELECT:
        return tg_prove_nonneg(tg_operand(op, 1)) && tg_prove_nonneg(tg_operand(op, 2));
    case TG_OP_CAST: {
        tg_dtype from = tg_operand(op, 0)->type->dtype;
        bool wider = tg_dtype_bits(v->type->dtype) > tg_dtype_bits(from);
        return (tg_dtype_is_int(from) && !tg_dtype_is_signed(from) && wider) ||
               (wider && tg_dtype_is_int(from) && tg_prove_nonneg(tg_operand(op, 0)));
    }
    default:
        return false;
    }
}

/* The dimension expression a scalar computes, or NULL. */
static const tg_dim *dim_of(const tg_value *v) {
    int64_t c;
    if (tg_value_const_int(v, &c) && v->def != NULL) {
        return tg_dim_const(v->def->parent->func->module, c);
    }
    if (v->def == NULL) {
        return NULL;
    }
    tg_module *m = v->def->parent->func->module;
    const tg_op *op = v->def;
    tg_dim_code code;
    switch ((int)op->code) {
    case TG_OP_SYM:
        return tg_dim_sym(m, (int)tg_attr_int(op, TG_ATTR_SYM, 0));
    case TG_OP_DIM:
        return tg_operand(op, 0)->type->dims[tg_attr_int(op, TG_ATTR_AXIS, 0)];
    case TG_OP_ADD:
        code = TG_DIM_ADD;
        break;
    case TG_OP_SUB:
        code = TG_DIM_SUB;
        break;
    case TG_OP_MUL:
        code = TG_DIM_MUL;
        break;
    case TG_OP_DIV:
        code = TG_DIM_DIV;
        break;
    case TG_OP_REM:
        code = TG_DIM_MOD;
        break;
    case TG_OP_MIN:
        code = TG_DIM_MIN;
        break;
    case TG_OP_MAX:
        code = TG_DIM_MAX;
        break;
    default:
        return NULL;
    }
    const tg_dim *a = dim_of(tg_operand(op, 0)), *b = dim_of(tg_operand(op, 1));
    return a == NULL || b == NULL ? NULL : tg_dim_binary(m, code, a, b);
}

/* a + slack <= b for all values of the symbols, as far as the normal form shows. */
static bool dim_at_most(tg_module *m, const tg_dim *a, const tg_dim *b, int64_t slack) {
    if (a == b) {
        return slack <= 0;
    }
    const tg_dim *d = tg_dim_binary(m, TG_DIM_SUB, b, a);
    if (d->code == TG_DIM_CONST) {
        return d->value >= slack;
    }
    if (a->code == TG_DIM_MIN) {
        return dim_at_most(m, a->a, b, slack) || dim_at_most(m, a->b, b, slack);
    }
    if (b->code == TG_DIM_MAX) {
        return dim_at_most(m, a, b->a, slack) || dim_at_most(m, a, b->b, slack);
    }
    return false;
}

static tg_module *module_of(const tg_value *v) {
    return v->def != NULL ? v->def->parent->func->module : v->region->func->module;
}

/* The most that a scalar can be, as far as loops and the grid bound it; or NULL. */
static const tg_dim *most_of(const tg_value *v) {
    tg_module *m = module_of(v);
    const tg_dim *one = tg_dim_const(m, 1), *end = NULL;
    int64_t c;
    if (is_loop_iv(v)) {
        end = dim_of(tg_operand(v->region->parent, 1));
        return end == NULL ? NULL : tg_dim_binary(m, TG_DIM_SUB, end, one);
    }
    if (is_grid_id(v)) {
        const tg_func *f = v->region->func;
        int axis = v->index - f->n_params;
        end = f->grid_by[axis] == 1 ? dim_of(tg_operand(terminator(f->grid), axis)) : NULL;
        return end == NULL ? NULL : tg_dim_binary(m, TG_DIM_SUB, end, one);
    }
    const tg_op *op = v->def;
    if (op == NULL || (op->code != TG_OP_ADD && op->code != TG_OP_MUL)) {
        return dim_of(v);
    }
    bool scaled = tg_value_const_int(tg_operand(op, 1), &c) && c >= 0;
    const tg_dim *a = most_of(tg_operand(op, 0));
    const tg_dim *b = op->code == TG_OP_ADD || scaled ? most_of(tg_operand(op, 1)) : NULL;
    if (a == NULL || b == NULL) {
        return NULL;
    }
    return tg_dim_binary(m, op->code == TG_OP_ADD ? TG_DIM_ADD : TG_DIM_MUL, a, b);
}

bool tg_prove_at_most(const tg_value *v, const tg_dim *dim) {
    const tg_dim *d = dim_of(v);
    if (d != NULL && dim_at_most(module_of(v), d, dim, 0)) {
        return true;
    }
    if (v->def != NULL && v->def->code == TG_OP_MIN) {
        return tg_prove_at_most(tg_operand(v->def, 0), dim) ||
               tg_prove_at_most(tg_operand(v->def, 1), dim);
    }
    d = most_of(v);
    return (d != NULL && dim_at_most(module_of(v), d, dim, 0)) || tg_prove_below(v, dim);
}

static bool prove_below_product(const tg_op *op, const tg_dim *dim) {
    for (int i = 0; i < 2; i++) {
        const tg_value *g = tg_operand(op, i);
        int64_t by;
        if (is_grid_id(g) && tg_value_const_int(tg_operand(op, 1 - i), &by)) {
            const tg_func *f = g->region->func;
            int axis = g->index - f->n_params;
            return f->grid_by[axis] == by &&
                   tg_prove_at_most(tg_operand(terminator(f->grid), axis), dim);
        }
    }
    return false;
}

bool tg_prove_below(const tg_value *v, const tg_dim *dim) {
    const tg_dim *d = dim_of(v);
    if (d != NULL && dim_at_most(module_of(v), d, dim, 1)) {
        return true;
    }
    if (is_loop_iv(v)) {
        return tg_prove_at_most(tg_operand(v->region->parent, 1), dim);
    }
    if (is_grid_id(v)) {
        const tg_func *f = v->region->func;
        int axis = v->index - f->n_params;
        return f->grid_by[axis] == 1 &&
               tg_prove_at_most(tg_operand(terminator(f->grid), axis), dim);
    }
    if (v->def == NULL) {
        return false;
    }
    const tg_op *op = v->def;
    int64_t c;
    switch ((int)op->code) {
    case TG_OP_MIN:
        return tg_prove_below(tg_operand(op, 0), dim) || tg_prove_below(tg_operand(op, 1), dim);
    case TG_OP_SELECT:
        return tg_prove_below(tg_operand(op, 1), dim) && tg_prove_below(tg_operand(op, 2), dim);
    case TG_OP_MUL:
        return prove_below_product(op, dim);
    case TG_OP_DIV:
        if (!tg_value_const_int(tg_operand(op, 1), &c) || c < 1 ||
            !tg_prove_nonneg(tg_operand(op, 0))) {
            return false;
        }
        return (dim->code == TG_DIM_CDIV && dim->b->code == TG_DIM_CONST && dim->b->value == c &&
                tg_prove_below(tg_operand(op, 0), dim->a)) ||
               tg_prove_below(tg_operand(op, 0), dim);
    case TG_OP_REM:
        return tg_value_const_int(tg_operand(op, 1), &c) && c > 0 && dim->code == TG_DIM_CONST &&
               dim->value >= c;
    default:
        return false;
    }
}

int64_t tg_known_multiple(const tg_value *v) {
    int64_t c;
    const int64_t most = (int64_t)1 << 20;
    if (tg_value_const_int(v, &c)) {
        return c == 0 ? most : tg_min_i64(c & -c, most);
    }
    if (is_loop_iv(v)) {
        return tg_min_i64(tg_known_multiple(tg_operand(v->region->parent, 0)),
                          tg_known_multiple(tg_operand(v->region->parent, 2)));
    }
    if (v->def == NULL) {
        return 1;
    }
    const tg_op *op = v->def;
    if (op->code == TG_OP_FOR) { /* what is carried starts and goes on as a multiple */
        int i = (int)(v - op->results);
        return tg_min_i64(tg_known_multiple(tg_operand(op, 3 + i)),
                          tg_known_multiple(tg_operand(terminator(op->regions[0]), i)));
    }
    if (op->code == TG_OP_ADD || op->code == TG_OP_SUB) {
        return tg_min_i64(tg_known_multiple(tg_operand(op, 0)),
                          tg_known_multiple(tg_operand(op, 1)));
    }
    if (op->code == TG_OP_MUL) {
        return tg_min_i64(
            tg_known_multiple(tg_operand(op, 0)) * tg_known_multiple(tg_operand(op, 1)), most);
    }
    return op->code == TG_OP_CAST ? tg_known_multiple(tg_operand(op, 0)) : 1;
}

bool tg_span_is_full(const tg_value *span) {
    const tg_value *lo = tg_operand(span->def, 0), *hi = tg_operand(span->def, 1);
    int64_t a, b;
    if (tg_value_const_int(lo, &a) && tg_value_const_int(hi, &b)) {
        return b - a >= span->type->shape[0];
    }
    const tg_dim *l = dim_of(lo), *h = dim_of(hi);
    if (l == NULL || h == NULL) {
        return false;
    }
    const tg_dim *d = tg_dim_binary(module_of(lo), TG_DIM_SUB, h, l);
    return d->code == TG_DIM_CONST && d->value >= span->type->shape[0];
}

/* ---- conditions
 * ---------------------------------------------------------------------------------------------- */

/* Does `cond` hold v at 0 or more (dim NULL), or below dim? */
static bool condition_says(const tg_value *cond, const tg_value *v, const tg_dim *dim) {
    const tg_op *op = cond->def;
    if (op == NULL) {
        return false;
    }
    if (op->code == TG_OP_AND) {
        return condition_says(tg_operand(op, 0), v, dim) ||
               condition_says(tg_operand(op, 1), v, dim);
    }
    if (op->code != TG_OP_CMP) {
        return false;
    }
    int64_t pred = tg_attr_int(op, TG_ATTR_PRED, 0);
    const tg_value *a = tg_operand(op, 0), *b = tg_operand(op, 1);
    if (b == v) { /* as if v stood on the left */
        const tg_value *t = a;
        a = b;
        b = t;
        pred = pred == TG_CMP_LT   ? TG_CMP_GT
               : pred == TG_CMP_LE ? TG_CMP_GE
               : pred == TG_CMP_GT ? TG_CMP_LT
               : pred == TG_CMP_GE ? TG_CMP_LE
                                   : pred;
    }
    if (a != v || !tg_dtype_is_int(v->type->dtype) || !tg_dtype_is_signed(v->type->dtype)) {
        return false;
    }
    if (dim == NULL) {
        int64_t c;
        bool least = tg_value_const_int(b, &c) && c >= -1 && (c >= 0 || pred == TG_CMP_GT);
        return (pred == TG_CMP_GE || pred == TG_CMP_GT || pred == TG_CMP_EQ) &&
               (least || tg_prove_nonneg(b));
    }
    return (pred == TG_CMP_LT && tg_prove_at_most(b, dim)) ||
           ((pred == TG_CMP_LE || pred == TG_CMP_EQ) && tg_prove_below(b, dim));
}

/* The same of the branches in whose first side op stands. */
static bool branches_say(const tg_op *op, const tg_value *v, const tg_dim *dim) {
    for (const tg_region *r = op->parent; r != NULL && r->parent != NULL; r = r->parent->parent) {
        const tg_op *at = r->parent;
        if (at->code == TG_OP_IF && r == at->regions[0] &&
            condition_says(tg_operand(at, 0), v, dim)) {
            return true;
        }
    }
    return false;
}

static bool position_proven(const tg_op *op, const tg_value *v, const tg_dim *dim) {
    return (tg_prove_nonneg(v) || branches_say(op, v, NULL)) &&
           (tg_prove_below(v, dim) || branches_say(op, v, dim));
}

bool tg_index_proven(const tg_lower *L, const tg_op *op, int k, const tg_index *ix, bool bounded) {
    (void)L;
    const tg_dim *dim = tg_operand(op, 0)->type->dims[k];
    if (ix->v->type->kind == TG_TY_SPAN) {
        const tg_value *lo = tg_operand(ix->v->def, 0), *hi = tg_operand(ix->v->def, 1);
        if (!tg_prove_nonneg(lo)) {
            return false;
        }
        if (bounded && tg_prove_at_most(hi, dim)) {
            return true;
        }
        int64_t c;
        return tg_value_const_int(lo, &c) && tg_span_is_full(ix->v) && dim->code == TG_DIM_CONST &&
               c + ix->v->type->shape[0] <= dim->value;
    }
    return ix->n_axes == 0 && position_proven(op, ix->v, dim);
}
