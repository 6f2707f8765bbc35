/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builders shared by both levels: constants, elementwise operations, control flow. The tile level's
 * own operations are in build_tile.c, the loop level's in build_loop.c. Folding here is local: it
 * looks at an op's direct operands only and never at uses.
 */
#include "ir/build.h"
#include "ir/fold.h"
#include "ir/simplify.h"

#include <math.h>
#include <stdarg.h>

tg_builder tg_builder_at_end(tg_region *r) {
    return (tg_builder){.func = r->func, .module = r->func->module, .region = r};
}

tg_builder tg_builder_before(tg_op *op) {
    tg_func *f = op->parent->func;
    return (tg_builder){
        .func = f, .module = f->module, .region = op->parent, .before = op, .span = op->span};
}

tg_op *tg_build_op(tg_builder *b, tg_opcode code, int n_operands, tg_value *const *operands,
                   int n_results, const tg_type *const *types, int n_regions) {
    tg_op *op =
        tg_op_make(b->func, code, b->span, n_operands, operands, n_results, types, n_regions);
    if (b->before != NULL) {
        tg_op_insert_before(b->before, op);
    } else {
        tg_op_append(b->region, op);
    }
    return op;
}

#define BUILD1_MAX_OPERANDS 32

tg_value *tg_build1(tg_builder *b, tg_opcode code, const tg_type *type, int n_operands, ...) {
    tg_value *operands[BUILD1_MAX_OPERANDS];
    va_list ap;
    va_start(ap, n_operands);
    for (int i = 0; i < n_operands && i < BUILD1_MAX_OPERANDS; i++) {
        operands[i] = va_arg(ap, tg_value *);
    }
    va_end(ap);
    return &tg_build_op(b, code, n_operands, operands, 1, &type, 0)->results[0];
}

/* ---- constants ------------------------------------------------------------------------------ */

tg_value *tg_build_int(tg_builder *b, const tg_type *t, int64_t v) {
    if (tg_dtype_is_float(t->dtype)) {
        return tg_build_float(b, t, (double)v);
    }
    tg_value *r = tg_build1(b, TG_OP_CONST_INT, t, 0);
    tg_op_set_int(r->def, TG_ATTR_VALUE_I, tg_fold_wrap(t->dtype, v));
    return r;
}

tg_value *tg_build_float(tg_builder *b, const tg_type *t, double v) {
    double rounded = v;
    if (tg_fold_float_to(t->dtype, v, TG_ROUND_RNE, false, &rounded)) {
        v = rounded;
    }
    tg_value *r = tg_build1(b, TG_OP_CONST_FLOAT, t, 0);
    tg_op_set_float(r->def, TG_ATTR_VALUE_F, v);
    return r;
}

tg_value *tg_build_index(tg_builder *b, int64_t v) {
    return tg_build_int(b, tg_type_scalar(b->module, TG_DT_I64), v);
}

tg_value *tg_build_bool(tg_builder *b, bool v) {
    return tg_build_int(b, tg_type_scalar(b->module, TG_DT_BOOL), v);
}

bool tg_value_const_int(const tg_value *v, int64_t *out) {
    if (v->def == NULL || v->def->code != TG_OP_CONST_INT) {
        return false;
    }
    *out = tg_attr_int(v->def, TG_ATTR_VALUE_I, 0);
    return true;
}

bool tg_value_const_float(const tg_value *v, double *out) {
    if (v->def == NULL || v->def->code != TG_OP_CONST_FLOAT) {
        return false;
    }
    *out = tg_attr_float(v->def, TG_ATTR_VALUE_F, 0);
    return true;
}

static bool is_const_int(const tg_value *v, int64_t want) {
    int64_t c;
    return tg_value_const_int(v, &c) && c == want;
}

static bool is_all_ones(const tg_value *v) {
    int64_t c;
    return tg_value_const_int(v, &c) && c == tg_fold_wrap(v->type->dtype, -1);
}

static bool is_const_float(const tg_value *v, double want) {
    double c;
    return tg_value_const_float(v, &c) && c == want && signbit(c) == signbit(want);
}

/* ---- elementwise ---------------------------------------------------------------------------- */

/* x op y == x or y or a constant, integers and bool. NULL: no identity. */
static tg_value *int_identity(tg_builder *b, tg_opcode code, tg_value *x, tg_value *y) {
    bool zero = is_const_int(y, 0);
    if (zero && (code == TG_OP_ADD || code == TG_OP_SUB || code == TG_OP_OR || code == TG_OP_XOR ||
                 code == TG_OP_SHL || code == TG_OP_SHR)) {
        return x;
    }
    if (zero && (code == TG_OP_MUL || code == TG_OP_AND)) {
        return y;
    }
    if (x->type->dtype != TG_DT_BOOL && is_const_int(y, 1) &&
        (code == TG_OP_MUL || code == TG_OP_DIV)) {
        return x;
    }
    if (code == TG_OP_AND && is_all_ones(y)) {
        return x;
    }
    if (code == TG_OP_OR && is_all_ones(y)) {
        return y;
    }
    if (x != y) {
        return NULL;
    }
    if (code == TG_OP_AND || code == TG_OP_OR || code == TG_OP_MIN || code == TG_OP_MAX) {
        return x;
    }
    return code == TG_OP_SUB || code == TG_OP_XOR ? tg_build_int(b, x->type, 0) : NULL;
}

/* x + -0, x - 0, x * 1, x / 1: exact for every x, the signed zeros and NaN included. */
static tg_value *float_identity(tg_opcode code, tg_value *x, tg_value *y) {
    if ((code == TG_OP_ADD && is_const_float(y, -0.0)) ||
        (code == TG_OP_SUB && is_const_float(y, 0.0)) ||
        ((code == TG_OP_MUL || code == TG_OP_DIV) && is_const_float(y, 1.0))) {
        return x;
    }
    return NULL;
}

tg_value *tg_simplify_binary(tg_builder *b, tg_opcode code, tg_value *x, tg_value *y) {
    if (x->type != y->type) {
        return NULL;
    }
    tg_dtype t = x->type->dtype;
    bool commutes = (tg_op_info_get(code)->flags & TG_OPF_COMMUTATIVE) != 0;
    if (tg_dtype_is_float(t)) {
        double fx, fy, r;
        if (tg_value_const_float(x, &fx) && tg_value_const_float(y, &fy) &&
            tg_fold_float_binary(code, t, fx, fy, &r)) {
            return tg_build_float(b, x->type, r);
        }
        tg_value *v = float_identity(code, x, y);
        return v == NULL && commutes ? float_identity(code, y, x) : v;
    }
    int64_t ix, iy, r;
    if (tg_value_const_int(x, &ix) && tg_value_const_int(y, &iy) &&
        tg_fold_int_binary(code, t, ix, iy, &r)) {
        return tg_build_int(b, x->type, r);
    }
    tg_value *v = int_identity(b, code, x, y);
    return v == NULL && commutes ? int_identity(b, code, y, x) : v;
}

tg_value *tg_build_binary(tg_builder *b, tg_opcode code, tg_value *x, tg_value *y) {
    tg_value *v = tg_simplify_binary(b, code, x, y);
    return v != NULL ? v : tg_build1(b, code, x->type, 2, x, y);
}

tg_value *tg_simplify_unary(tg_builder *b, tg_opcode code, tg_value *x) {
    int64_t i;
    double f;
    if (tg_value_const_int(x, &i) && tg_fold_int_unary(code, x->type->dtype, i, &i)) {
        return tg_build_int(b, x->type, i);
    }
    if (tg_value_const_float(x, &f) && tg_fold_float_unary(code, x->type->dtype, f, &f)) {
        return tg_build_float(b, x->type, f);
    }
    return NULL;
}

tg_value *tg_build_unary(tg_builder *b, tg_opcode code, tg_value *x) {
    tg_value *v = tg_simplify_unary(b, code, x);
    return v != NULL ? v : tg_build1(b, code, x->type, 1, x);
}

tg_value *tg_build_fma(tg_builder *b, tg_value *x, tg_value *y, tg_value *z) {
    int64_t i, j;
    if (tg_value_const_int(x, &i) && tg_value_const_int(y, &j)) {
        return tg_build_binary(b, TG_OP_ADD, tg_build_binary(b, TG_OP_MUL, x, y), z);
    }
    return tg_build1(b, TG_OP_FMA, x->type, 3, x, y, z);
}

tg_value *tg_simplify_cmp(tg_builder *b, tg_cmp_pred p, tg_value *x, tg_value *y) {
    const tg_type *type = tg_type_with_dtype(b->module, x->type, TG_DT_BOOL);
    int64_t ix, iy;
    double fx, fy;
    if (tg_value_const_int(x, &ix) && tg_value_const_int(y, &iy)) {
        return tg_build_int(b, type, tg_fold_int_cmp(p, x->type->dtype, ix, iy));
    }
    if (tg_value_const_float(x, &fx) && tg_value_const_float(y, &fy)) {
        return tg_build_int(b, type, tg_fold_float_cmp(p, fx, fy));
    }
    if (x == y && !tg_dtype_is_float(x->type->dtype)) {
        return tg_build_int(b, type, p == TG_CMP_EQ || p == TG_CMP_LE || p == TG_CMP_GE);
    }
    return NULL;
}

tg_value *tg_build_cmp(tg_builder *b, tg_cmp_pred p, tg_value *x, tg_value *y) {
    tg_value *v = tg_simplify_cmp(b, p, x, y);
    if (v != NULL) {
        return v;
    }
    const tg_type *type = tg_type_with_dtype(b->module, x->type, TG_DT_BOOL);
    v = tg_build1(b, TG_OP_CMP, type, 2, x, y);
    tg_op_set_int(v->def, TG_ATTR_PRED, p);
    return v;
}

tg_value *tg_simplify_select(tg_value *c, tg_value *x, tg_value *y) {
    int64_t v;
    if (tg_value_const_int(c, &v)) {
        return v != 0 ? x : y;
    }
    return x == y ? x : NULL;
}

tg_value *tg_build_select(tg_builder *b, tg_value *c, tg_value *x, tg_value *y) {
    tg_value *v = tg_simplify_select(c, x, y);
    return v != NULL ? v : tg_build1(b, TG_OP_SELECT, x->type, 3, c, x, y);
}

tg_value *tg_build_math(tg_builder *b, tg_math_fn fn, tg_value *x) {
    tg_value *r = tg_build1(b, TG_OP_MATH, x->type, 1, x);
    tg_op_set_int(r->def, TG_ATTR_FN, fn);
    return r;
}

tg_value *tg_simplify_cast(tg_builder *b, tg_value *x, const tg_type *type, tg_round round,
                           bool sat) {
    if (x->type == type) {
        return x;
    }
    tg_dtype from = x->type->dtype, to = type->dtype;
    int64_t i;
    double f;
    if (tg_value_const_int(x, &i)) {
        if (tg_dtype_is_float(to)) {
            return round == TG_ROUND_RNE && tg_fold_int_to_float(from, i, to, &f)
                       ? tg_build_float(b, type, f)
                       : NULL;
        }
        return sat ? NULL : tg_build_int(b, type, i);
    }
    if (!tg_value_const_float(x, &f)) {
        return NULL;
    }
    if (tg_dtype_is_float(to)) {
        return tg_fold_float_to(to, f, round, sat, &f) ? tg_build_float(b, type, f) : NULL;
    }
    if (to == TG_DT_BOOL) {
        return tg_build_int(b, type, f != 0 || isnan(f));
    }
    return tg_fold_float_to_int(to, f, &i) ? tg_build_int(b, type, i) : NULL;
}

tg_value *tg_build_cast_as(tg_builder *b, tg_value *x, tg_dtype to, tg_round r, bool sat) {
    if (x->type->dtype == to) {
        return x;
    }
    const tg_type *type = tg_type_with_dtype(b->module, x->type, to);
    tg_value *v = tg_simplify_cast(b, x, type, r, sat);
    if (v != NULL) {
        return v;
    }
    v = tg_build1(b, TG_OP_CAST, type, 1, x);
    if (r != TG_ROUND_RNE) {
        tg_op_set_int(v->def, TG_ATTR_ROUND, r);
    }
    if (sat) {
        tg_op_set_int(v->def, TG_ATTR_SAT, 1);
    }
    return v;
}

tg_value *tg_build_cast(tg_builder *b, tg_value *x, tg_dtype to) {
    return tg_build_cast_as(b, x, to, TG_ROUND_RNE, false);
}

tg_value *tg_build_bitcast(tg_builder *b, tg_value *x, tg_dtype to) {
    if (x->type->dtype == to) {
        return x;
    }
    const tg_type *type = tg_type_with_dtype(b->module, x->type, to);
    int64_t i;
    if (tg_value_const_int(x, &i) && x->type->dtype != TG_DT_BOOL && tg_dtype_is_int(to)) {
        return tg_build_int(b, type, i);
    }
    return tg_build1(b, TG_OP_BITCAST, type, 1, x);
}

/* ---- control flow --------------------------------------------------------------------------- */

tg_op *tg_build_for(tg_builder *b, tg_value *lo, tg_value *hi, tg_value *step, int n_carried,
                    tg_value **carried, tg_value **out_iv) {
    tg_arena *a = b->module->arena;
    tg_value **operands = TG_NEW_ARRAY(a, tg_value *, n_carried + 3);
    const tg_type **types = TG_NEW_ARRAY(a, const tg_type *, n_carried + 1);
    operands[0] = lo;
    operands[1] = hi;
    operands[2] = step;
    for (int i = 0; i < n_carried; i++) {
        operands[3 + i] = carried[i];
        types[i] = carried[i]->type;
    }
    tg_op *loop = tg_build_op(b, TG_OP_FOR, n_carried + 3, operands, n_carried, types, 1);
    tg_region *body = loop->regions[0];
    *out_iv = tg_region_add_arg(body, tg_type_scalar(b->module, TG_DT_I64), NULL);
    for (int i = 0; i < n_carried; i++) {
        carried[i] = tg_region_add_arg(body, types[i], carried[i]->name);
    }
    b->region = body;
    b->before = NULL;
    return loop;
}

/* Places b right behind op. */
static void builder_after(tg_builder *b, tg_op *op) {
    b->region = op->parent;
    b->before = op->next;
}

void tg_build_end_for(tg_builder *b, tg_op *loop, int n_carried, tg_value **carried) {
    tg_build_op(b, TG_OP_YIELD, n_carried, carried, 0, NULL, 0);
    builder_after(b, loop);
    for (int i = 0; i < n_carried; i++) {
        carried[i] = &loop->results[i];
    }
}

tg_op *tg_build_if(tg_builder *b, tg_value *cond, int n_results, const tg_type *const *types) {
    tg_op *op = tg_build_op(b, TG_OP_IF, 1, &cond, n_results, types, 2);
    b->region = op->regions[0];
    b->before = NULL;
    return op;
}

void tg_build_else(tg_builder *b, tg_op *op, int n, tg_value *const *yields) {
    tg_build_op(b, TG_OP_YIELD, n, yields, 0, NULL, 0);
    b->region = op->regions[1];
    b->before = NULL;
}

void tg_build_end_if(tg_builder *b, tg_op *op, int n, tg_value *const *yields) {
    tg_build_op(b, TG_OP_YIELD, n, yields, 0, NULL, 0);
    builder_after(b, op);
}
