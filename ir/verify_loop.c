/* SPDX-License-Identifier: Apache-2.0 */
/* Verifier rules of the loop level's own operations. */
#include "ir/verify.h"

/* Greatest stack block of one alloca. */
#define MAX_ALLOCA_BYTES 4096

static bool is_ptr(const tg_type *t) { return t->kind == TG_TY_PTR; }
static bool is_i64(const tg_type *t) { return tg_is_scalar_of(t, TG_DT_I64); }
static bool is_vec(const tg_type *t) { return t->kind == TG_TY_VEC; }
static bool is_masked(const tg_op *op) { return tg_attr_int(op, TG_ATTR_MASKED, 0) != 0; }

static bool good_align(const tg_op *op) {
    int64_t a = tg_attr_int(op, TG_ATTR_ALIGN, 1);
    return a >= 1 && (a & (a - 1)) == 0;
}

/* Something that lies in memory by whole bytes. */
static bool is_loadable(const tg_type *t) { return tg_is_data(t) && tg_dtype_bits(t->dtype) >= 8; }

static bool is_mask_for(const tg_type *m, const tg_type *x) {
    return tg_same_shape(m, x) && m->dtype == TG_DT_BOOL;
}

bool tg_verify_SLOT(tg_verifier *v, const tg_op *op) {
    const tg_type *r = op->results[0].type;
    TG_CHECK(is_ptr(tg_operand_type(op, 0)), "takes the slots' address");
    TG_CHECK(tg_attr_int(op, TG_ATTR_VALUE_I, -1) >= 0, "the slot number is not negative");
    TG_CHECK(is_ptr(r) || tg_type_is_scalar(r), "gives a scalar or ptr, not %s",
             tg_verify_type(v, r));
    return true;
}

bool tg_verify_ALLOCA(tg_verifier *v, const tg_op *op) {
    int64_t bytes = tg_attr_int(op, TG_ATTR_BYTES, 0);
    TG_CHECK(bytes >= 1 && bytes <= MAX_ALLOCA_BYTES, "%lld bytes of stack", (long long)bytes);
    TG_CHECK(good_align(op), "the alignment is a power of two");
    TG_CHECK(is_ptr(op->results[0].type), "gives ptr");
    return true;
}

bool tg_verify_GEP(tg_verifier *v, const tg_op *op) {
    TG_CHECK(is_ptr(tg_operand_type(op, 0)) && is_i64(tg_operand_type(op, 1)),
             "takes ptr and i64, not %s and %s", tg_verify_type(v, tg_operand_type(op, 0)),
             tg_verify_type(v, tg_operand_type(op, 1)));
    TG_CHECK(is_ptr(op->results[0].type), "gives ptr");
    return true;
}

bool tg_verify_LOADM(tg_verifier *v, const tg_op *op) {
    const tg_type *r = op->results[0].type;
    TG_CHECK(is_ptr(tg_operand_type(op, 0)), "reads at a ptr");
    TG_CHECK(is_loadable(r), "cannot read %s", tg_verify_type(v, r));
    TG_CHECK(good_align(op), "the alignment is a power of two");
    TG_CHECK(op->n_operands == (is_masked(op) ? 3 : 1), "masked and the operand count disagree");
    if (is_masked(op)) {
        TG_CHECK(is_mask_for(tg_operand_type(op, 1), r) && tg_operand_type(op, 2) == r,
                 "mask %s and passthru %s do not fit %s", tg_verify_type(v, tg_operand_type(op, 1)),
                 tg_verify_type(v, tg_operand_type(op, 2)), tg_verify_type(v, r));
    }
    return true;
}

bool tg_verify_STOREM(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 1);
    TG_CHECK(is_ptr(tg_operand_type(op, 0)), "writes at a ptr");
    TG_CHECK(is_loadable(x), "cannot write %s", tg_verify_type(v, x));
    TG_CHECK(good_align(op), "the alignment is a power of two");
    TG_CHECK(op->n_operands == (is_masked(op) ? 3 : 2), "masked and the operand count disagree");
    TG_CHECK(!is_masked(op) || is_mask_for(tg_operand_type(op, 2), x), "the mask does not fit %s",
             tg_verify_type(v, x));
    return true;
}

/* base, index vector, data of as many lanes, mask. */
static bool verify_indexed(tg_verifier *v, const tg_op *op) {
    const tg_type *i = tg_operand_type(op, 1), *x = tg_operand_type(op, 2);
    TG_CHECK(is_ptr(tg_operand_type(op, 0)), "operand 0 is the base, a ptr");
    TG_CHECK(is_vec(i) && (i->dtype == TG_DT_I32 || i->dtype == TG_DT_I64), "the index is %s",
             tg_verify_type(v, i));
    TG_CHECK(is_vec(x) && is_loadable(x) && tg_same_shape(i, x), "%s indexed by %s",
             tg_verify_type(v, x), tg_verify_type(v, i));
    TG_CHECK(op->n_operands == (is_masked(op) ? 4 : 3), "masked and the operand count disagree");
    TG_CHECK(!is_masked(op) || is_mask_for(tg_operand_type(op, 3), x), "the mask does not fit %s",
             tg_verify_type(v, x));
    return true;
}

bool tg_verify_GATHERM(tg_verifier *v, const tg_op *op) {
    TG_CHECK(op->results[0].type == tg_operand_type(op, 2), "gives the type of passthru");
    return verify_indexed(v, op);
}

bool tg_verify_SCATTERM(tg_verifier *v, const tg_op *op) { return verify_indexed(v, op); }

bool tg_verify_PREFETCH(tg_verifier *v, const tg_op *op) {
    TG_CHECK(is_ptr(tg_operand_type(op, 0)), "takes a ptr");
    int64_t locality = tg_attr_int(op, TG_ATTR_LOCALITY, 0);
    TG_CHECK(locality >= 0 && locality <= 3, "locality is 0 to 3");
    return true;
}

bool tg_verify_MEMSET(tg_verifier *v, const tg_op *op) {
    TG_CHECK(is_ptr(tg_operand_type(op, 0)) && tg_is_scalar_of(tg_operand_type(op, 1), TG_DT_U8) &&
                 is_i64(tg_operand_type(op, 2)),
             "takes ptr, u8, i64");
    return true;
}

bool tg_verify_MEMCPY(tg_verifier *v, const tg_op *op) {
    TG_CHECK(is_ptr(tg_operand_type(op, 0)) && is_ptr(tg_operand_type(op, 1)) &&
                 is_i64(tg_operand_type(op, 2)),
             "takes ptr, ptr, i64");
    return true;
}

/* ---- lanes ---------------------------------------------------------------------------------- */

bool tg_verify_SPLAT(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 0), *r = op->results[0].type;
    TG_CHECK(tg_type_is_scalar(x) && is_vec(r) && x->dtype == r->dtype, "%s to %s",
             tg_verify_type(v, x), tg_verify_type(v, r));
    return true;
}

static bool lane_ok(tg_verifier *v, const tg_op *op, const tg_type *vec) {
    int64_t lane = tg_attr_int(op, TG_ATTR_VALUE_I, -1);
    TG_CHECK(is_vec(vec), "takes a vector, not %s", tg_verify_type(v, vec));
    TG_CHECK(lane >= 0 && lane < vec->shape[0], "%s has no lane %lld", tg_verify_type(v, vec),
             (long long)lane);
    return true;
}

bool tg_verify_EXTRACT(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 0);
    TG_CHECK(tg_is_scalar_of(op->results[0].type, x->dtype), "gives the lane's scalar");
    return lane_ok(v, op, x);
}

bool tg_verify_INSERT(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 0);
    TG_CHECK(tg_is_scalar_of(tg_operand_type(op, 1), x->dtype) && op->results[0].type == x,
             "puts %s into %s", tg_verify_type(v, tg_operand_type(op, 1)), tg_verify_type(v, x));
    return lane_ok(v, op, x);
}

bool tg_verify_SHUFFLE(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 0), *r = op->results[0].type;
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    TG_CHECK(is_vec(x) && tg_operand_type(op, 1) == x, "takes two vectors of one type");
    TG_CHECK(is_vec(r) && r->dtype == x->dtype && (int64_t)axes->n_list == r->shape[0],
             "%s by %zu lanes", tg_verify_type(v, r), axes->n_list);
    for (size_t i = 0; i < axes->n_list; i++) {
        TG_CHECK(axes->list[i] >= -1 && axes->list[i] < 2 * x->shape[0], "there is no lane %lld",
                 (long long)axes->list[i]);
    }
    return true;
}

bool tg_verify_LANES(tg_verifier *v, const tg_op *op) {
    const tg_type *r = op->results[0].type;
    TG_CHECK(is_vec(r) && tg_dtype_is_int(r->dtype), "gives an integer vector, not %s",
             tg_verify_type(v, r));
    return true;
}

bool tg_verify_REDUCEV(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 0);
    int64_t kind = tg_attr_int(op, TG_ATTR_RED, 0);
    TG_CHECK(is_vec(x), "takes a vector, not %s", tg_verify_type(v, x));
    TG_CHECK(kind <= TG_RED_ALL, "%s is not defined here", tg_enum_name(TG_ATTR_RED, kind));
    bool logical = kind == TG_RED_ANY || kind == TG_RED_ALL;
    TG_CHECK(logical == (x->dtype == TG_DT_BOOL), "%s of %s", tg_enum_name(TG_ATTR_RED, kind),
             tg_verify_type(v, x));
    TG_CHECK(tg_is_scalar_of(op->results[0].type, x->dtype), "gives the lane's scalar");
    return true;
}

bool tg_verify_PMASK(tg_verifier *v, const tg_op *op) {
    const tg_type *r = op->results[0].type;
    TG_CHECK(is_i64(tg_operand_type(op, 0)), "takes i64");
    TG_CHECK(is_vec(r) && r->dtype == TG_DT_BOOL, "gives a bool vector, not %s",
             tg_verify_type(v, r));
    return true;
}

bool tg_verify_MASKBITS(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 0);
    TG_CHECK(is_vec(x) && x->dtype == TG_DT_BOOL && x->shape[0] <= 64,
             "takes a bool vector of at most 64 lanes, not %s", tg_verify_type(v, x));
    TG_CHECK(tg_is_scalar_of(op->results[0].type, TG_DT_U64), "gives u64");
    return true;
}

/* ---- other ---------------------------------------------------------------------------------- */

bool tg_verify_INTRINSIC(tg_verifier *v, const tg_op *op) {
    TG_CHECK(tg_attr_str(op, TG_ATTR_NAME)[0] != '\0', "needs a name");
    return true;
}

bool tg_verify_ATOMICM(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 1);
    bool cas = tg_attr_int(op, TG_ATTR_ATOMIC, 0) == TG_ATOMIC_CAS;
    TG_CHECK(is_ptr(tg_operand_type(op, 0)), "works at a ptr");
    TG_CHECK(tg_type_is_scalar(x) && x->dtype != TG_DT_BOOL && !tg_dtype_is_storage(x->dtype),
             "not defined for %s", tg_verify_type(v, x));
    TG_CHECK(op->n_operands == (cas ? 3 : 2), "only cas takes an expected value");
    TG_CHECK(!cas || tg_operand_type(op, 2) == x, "expected and new value differ in type");
    TG_CHECK(op->results[0].type == x, "gives the old value");
    return true;
}

bool tg_verify_TRAP(tg_verifier *v, const tg_op *op) {
    TG_CHECK(tg_is_scalar_of(tg_operand_type(op, 0), TG_DT_BOOL), "takes a scalar bool");
    TG_CHECK(tg_attr_int(op, TG_ATTR_VALUE_I, 0) > 0, "the code is positive");
    return true;
}
