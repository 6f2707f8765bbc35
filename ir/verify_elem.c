/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verifier rules of what both levels share: control flow, constants and elementwise operations.
 * Operations with equal rules share one static function.
 */
#include "ir/fold.h"
#include "ir/verify.h"

/* ---- control flow --------------------------------------------------------------------------- */

/* The region's arguments have the operand types from `first` on, after `skip` leading arguments. */
static bool args_match(tg_verifier *v, const tg_op *op, const tg_region *r, int skip, int first) {
    int n = op->n_operands - first;
    TG_CHECK(r->n_args == n + skip, "a region takes %d arguments, not %d", n + skip, r->n_args);
    for (int i = 0; i < n; i++) {
        TG_CHECK(r->args[skip + i]->type == tg_operand_type(op, first + i),
                 "carried value %d changes its type", i);
    }
    return true;
}

/* The region ends by yielding exactly the result types, after `skip` values of its own. A region
 * that yields nothing may leave the yield out. */
static bool yields_match(tg_verifier *v, const tg_op *op, const tg_region *r, int skip) {
    const tg_op *y = r->last;
    bool ends = y != NULL && y->code == TG_OP_YIELD;
    int n = ends ? y->n_operands : 0;
    TG_CHECK(n == op->n_results + skip, "a region yields %d values, not %d", n,
             op->n_results + skip);
    for (int i = 0; i < op->n_results; i++) {
        TG_CHECK(tg_operand_type(y, skip + i) == op->results[i].type,
                 "yielded value %d is %s, not %s", i,
                 tg_verify_type(v, tg_operand_type(y, skip + i)),
                 tg_verify_type(v, op->results[i].type));
    }
    return true;
}

static bool results_match_operands(tg_verifier *v, const tg_op *op, int first) {
    TG_CHECK(op->n_results == op->n_operands - first, "gives %d results, not %d", op->n_results,
             op->n_operands - first);
    for (int i = 0; i < op->n_results; i++) {
        TG_CHECK(op->results[i].type == tg_operand_type(op, first + i),
                 "result %d has another type than the carried value", i);
    }
    return true;
}

bool tg_verify_FOR(tg_verifier *v, const tg_op *op) {
    int64_t step;
    for (int i = 0; i < 3; i++) {
        TG_CHECK(tg_is_scalar_of(tg_operand_type(op, i), TG_DT_I64), "bounds and step are i64");
    }
    const tg_op *def = tg_operand(op, 2)->def;
    TG_CHECK(def != NULL && def->code == TG_OP_CONST_INT, "the step is a constant");
    step = tg_attr_int(def, TG_ATTR_VALUE_I, 0);
    TG_CHECK(step > 0, "the step is positive");
    const tg_region *body = op->regions[0];
    TG_CHECK(body->n_args >= 1 && tg_is_scalar_of(body->args[0]->type, TG_DT_I64),
             "the region's first argument is the i64 counter");
    return results_match_operands(v, op, 3) && args_match(v, op, body, 1, 3) &&
           yields_match(v, op, body, 0);
}

bool tg_verify_WHILE(tg_verifier *v, const tg_op *op) {
    TG_CHECK(tg_attr_int(op, TG_ATTR_MAX, 0) >= 0, "max is not negative");
    if (!results_match_operands(v, op, 0) || !args_match(v, op, op->regions[0], 0, 0) ||
        !args_match(v, op, op->regions[1], 0, 0) || !yields_match(v, op, op->regions[0], 1)) {
        return false;
    }
    TG_CHECK(tg_is_scalar_of(tg_operand_type(op->regions[0]->last, 0), TG_DT_BOOL),
             "the condition is a scalar bool");
    return yields_match(v, op, op->regions[1], 0);
}

bool tg_verify_IF(tg_verifier *v, const tg_op *op) {
    TG_CHECK(tg_is_scalar_of(tg_operand_type(op, 0), TG_DT_BOOL), "the condition is a scalar bool");
    TG_CHECK(op->regions[0]->n_args == 0 && op->regions[1]->n_args == 0,
             "the regions take no arguments");
    return yields_match(v, op, op->regions[0], 0) && yields_match(v, op, op->regions[1], 0);
}

bool tg_verify_YIELD(tg_verifier *v, const tg_op *op) {
    TG_CHECK(op->next == NULL, "stands at the end of its region");
    return true;
}

/* ---- constants ------------------------------------------------------------------------------ */

bool tg_verify_CONST_INT(tg_verifier *v, const tg_op *op) {
    const tg_type *t = op->results[0].type;
    TG_CHECK(tg_is_data(t) && !tg_dtype_is_float(t->dtype), "gives an integer or bool");
    int64_t i = tg_attr_int(op, TG_ATTR_VALUE_I, 0);
    TG_CHECK(tg_fold_wrap(t->dtype, i) == i, "%lld does not fit %s", (long long)i,
             tg_verify_type(v, t));
    return true;
}

bool tg_verify_CONST_FLOAT(tg_verifier *v, const tg_op *op) {
    const tg_type *t = op->results[0].type;
    TG_CHECK(tg_is_data(t) && tg_dtype_is_float(t->dtype), "gives a float");
    return true;
}

/* ---- elementwise ---------------------------------------------------------------------------- */

/* All operands are data of the result's very type. */
static bool all_alike(tg_verifier *v, const tg_op *op) {
    const tg_type *t = op->results[0].type;
    TG_CHECK(tg_is_data(t), "gives %s", tg_verify_type(v, t));
    for (int i = 0; i < op->n_operands; i++) {
        TG_CHECK(tg_operand_type(op, i) == t, "operand %d is %s, the result %s", i,
                 tg_verify_type(v, tg_operand_type(op, i)), tg_verify_type(v, t));
    }
    return true;
}

static bool verify_arith(tg_verifier *v, const tg_op *op) {
    if (!all_alike(v, op)) {
        return false;
    }
    tg_dtype t = op->results[0].type->dtype;
    TG_CHECK(t != TG_DT_BOOL && !tg_dtype_is_storage(t), "no arithmetic on %s", tg_dtype_name(t));
    return true;
}
bool tg_verify_ADD(tg_verifier *v, const tg_op *op) { return verify_arith(v, op); }
bool tg_verify_SUB(tg_verifier *v, const tg_op *op) { return verify_arith(v, op); }
bool tg_verify_MUL(tg_verifier *v, const tg_op *op) { return verify_arith(v, op); }
bool tg_verify_DIV(tg_verifier *v, const tg_op *op) { return verify_arith(v, op); }
bool tg_verify_REM(tg_verifier *v, const tg_op *op) { return verify_arith(v, op); }
bool tg_verify_FMA(tg_verifier *v, const tg_op *op) { return verify_arith(v, op); }

static bool verify_order(tg_verifier *v, const tg_op *op) {
    if (!all_alike(v, op)) {
        return false;
    }
    TG_CHECK(op->results[0].type->dtype != TG_DT_BOOL, "not defined for bool");
    return true;
}
bool tg_verify_MIN(tg_verifier *v, const tg_op *op) { return verify_order(v, op); }
bool tg_verify_MAX(tg_verifier *v, const tg_op *op) { return verify_order(v, op); }
bool tg_verify_NEG(tg_verifier *v, const tg_op *op) { return verify_order(v, op); }
bool tg_verify_ABS(tg_verifier *v, const tg_op *op) { return verify_order(v, op); }

static bool verify_bits(tg_verifier *v, const tg_op *op) {
    if (!all_alike(v, op)) {
        return false;
    }
    TG_CHECK(!tg_dtype_is_float(op->results[0].type->dtype), "not defined for floats");
    return true;
}
bool tg_verify_AND(tg_verifier *v, const tg_op *op) { return verify_bits(v, op); }
bool tg_verify_OR(tg_verifier *v, const tg_op *op) { return verify_bits(v, op); }
bool tg_verify_XOR(tg_verifier *v, const tg_op *op) { return verify_bits(v, op); }
bool tg_verify_NOT(tg_verifier *v, const tg_op *op) { return verify_bits(v, op); }

static bool verify_int(tg_verifier *v, const tg_op *op) {
    if (!all_alike(v, op)) {
        return false;
    }
    TG_CHECK(tg_dtype_is_int(op->results[0].type->dtype), "defined for integers only");
    return true;
}
bool tg_verify_SHL(tg_verifier *v, const tg_op *op) { return verify_int(v, op); }
bool tg_verify_SHR(tg_verifier *v, const tg_op *op) { return verify_int(v, op); }
bool tg_verify_POPCOUNT(tg_verifier *v, const tg_op *op) { return verify_int(v, op); }

bool tg_verify_CMP(tg_verifier *v, const tg_op *op) {
    const tg_type *t = tg_operand_type(op, 0);
    TG_CHECK(tg_is_data(t), "compares tiles or vectors, not %s", tg_verify_type(v, t));
    TG_CHECK(tg_operand_type(op, 1) == t, "operand 1 is %s, operand 0 %s",
             tg_verify_type(v, tg_operand_type(op, 1)), tg_verify_type(v, t));
    const tg_type *r = op->results[0].type;
    TG_CHECK(tg_same_shape(r, t) && r->dtype == TG_DT_BOOL, "gives bool of the operands' shape");
    return true;
}

bool tg_verify_SELECT(tg_verifier *v, const tg_op *op) {
    const tg_type *r = op->results[0].type;
    const tg_type *c = tg_operand_type(op, 0);
    for (int i = 1; i < 3; i++) {
        TG_CHECK(tg_operand_type(op, i) == r, "operand %d is %s, the result %s", i,
                 tg_verify_type(v, tg_operand_type(op, i)), tg_verify_type(v, r));
    }
    TG_CHECK(c->dtype == TG_DT_BOOL, "chooses by bool, not %s", tg_verify_type(v, c));
    if (r->kind == TG_TY_PTR) {
        TG_CHECK(tg_type_is_scalar(c), "one address is chosen by a scalar bool");
        return true;
    }
    TG_CHECK(tg_is_data(r) && tg_same_shape(c, r), "the condition is %s, the result %s",
             tg_verify_type(v, c), tg_verify_type(v, r));
    return true;
}

bool tg_verify_MATH(tg_verifier *v, const tg_op *op) {
    if (!all_alike(v, op)) {
        return false;
    }
    tg_dtype t = op->results[0].type->dtype;
    TG_CHECK(t == TG_DT_F32 || t == TG_DT_F64, "defined for f32 and f64, not %s", tg_dtype_name(t));
    return true;
}

bool tg_verify_CAST(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 0), *r = op->results[0].type;
    TG_CHECK(tg_is_data(x) && tg_same_shape(x, r), "from %s to %s", tg_verify_type(v, x),
             tg_verify_type(v, r));
    return true;
}

static int64_t type_bits(const tg_type *t) { return tg_type_count(t) * tg_dtype_bits(t->dtype); }

bool tg_verify_BITCAST(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 0), *r = op->results[0].type;
    TG_CHECK(tg_is_data(x) && tg_is_data(r), "from %s to %s", tg_verify_type(v, x),
             tg_verify_type(v, r));
    /* The loop level may regroup lanes: 16 x i16 is 8 x i32. */
    bool regroup = v->f->level == TG_LEVEL_LOOP && type_bits(x) == type_bits(r);
    bool same = tg_same_shape(x, r) && tg_dtype_bits(x->dtype) == tg_dtype_bits(r->dtype);
    TG_CHECK(regroup || same, "from %s to %s: other width", tg_verify_type(v, x),
             tg_verify_type(v, r));
    TG_CHECK((x->dtype == TG_DT_BOOL) == (r->dtype == TG_DT_BOOL), "bool has no bits");
    return true;
}

bool tg_verify_RNG(tg_verifier *v, const tg_op *op) {
    const tg_type *r = op->results[0].type;
    for (int i = 0; i < 2; i++) {
        const tg_type *t = tg_operand_type(op, i);
        TG_CHECK(t->dtype == TG_DT_U64 && tg_same_shape(t, r), "operand %d is %s", i,
                 tg_verify_type(v, t));
    }
    TG_CHECK(r->dtype == TG_DT_U32, "gives u32");
    return true;
}

bool tg_verify_ASSERT(tg_verifier *v, const tg_op *op) {
    TG_CHECK(tg_is_scalar_of(tg_operand_type(op, 0), TG_DT_BOOL), "takes a scalar bool");
    return true;
}
bool tg_verify_ASSUME(tg_verifier *v, const tg_op *op) { return tg_verify_ASSERT(v, op); }
