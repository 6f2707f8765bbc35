/* SPDX-License-Identifier: Apache-2.0 */
/* Verifier rules of the operations along an axis: reductions, scans, selection. */
#include "ir/verify.h"

static bool is_masked(const tg_op *op) { return tg_attr_int(op, TG_ATTR_MASKED, 0) != 0; }

/* A mask for x along axis: of x's shape, or one axis of that extent. */
static bool axis_mask(tg_verifier *v, const tg_type *m, const tg_type *x, int64_t axis) {
    bool flat = m->rank == 1 && m->shape[0] == x->shape[axis];
    TG_CHECK(tg_is_tile(m) && m->dtype == TG_DT_BOOL && (flat || tg_same_shape(m, x)),
             "the mask is %s, the data %s", tg_verify_type(v, m), tg_verify_type(v, x));
    return true;
}

static bool axis_of(tg_verifier *v, const tg_op *op, const tg_type *x, int64_t *out) {
    *out = tg_attr_int(op, TG_ATTR_AXIS, -1);
    TG_CHECK(tg_is_tile(x) && *out >= 0 && *out < x->rank, "%s has no axis %lld",
             tg_verify_type(v, x), (long long)*out);
    return true;
}

/* r is x without the axis. */
static bool is_reduced(const tg_type *r, const tg_type *x, int64_t axis) {
    if (!tg_is_tile(r) || r->rank != x->rank - 1) {
        return false;
    }
    for (int a = 0, at = 0; a < x->rank; a++) {
        if (a != axis && r->shape[at++] != x->shape[a]) {
            return false;
        }
    }
    return true;
}

/* The element type a reduction of x gives; NONE where it is not defined. */
static tg_dtype reduced_dtype(tg_reduce_kind kind, tg_dtype x) {
    bool number = x != TG_DT_BOOL;
    switch (kind) {
    case TG_RED_SUM:
    case TG_RED_PROD:
        return number && !tg_dtype_is_storage(x) ? x : TG_DT_NONE;
    case TG_RED_MIN:
    case TG_RED_MAX:
        return number ? x : TG_DT_NONE;
    case TG_RED_ANY:
    case TG_RED_ALL:
        return number ? TG_DT_NONE : TG_DT_BOOL;
    case TG_RED_ARGMIN:
    case TG_RED_ARGMAX:
        return number ? TG_DT_I32 : TG_DT_NONE;
    case TG_RED_COUNT:
        return number ? TG_DT_NONE : TG_DT_I32;
    case TG_RED_USER:
        break;
    }
    return TG_DT_NONE;
}

/* ---- reduce --------------------------------------------------------------------------------- */

static bool is_pure_region(const tg_region *r) {
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        if ((tg_op_info_get(op->code)->flags & (TG_OPF_READ | TG_OPF_WRITE)) != 0) {
            return false;
        }
        for (int i = 0; i < op->n_regions; i++) {
            if (!is_pure_region(op->regions[i])) {
                return false;
            }
        }
    }
    return true;
}

/* Region: (acc..., x...) scalars to acc...; operands x..., init..., mask. */
static bool user_region(tg_verifier *v, const tg_op *op, int n) {
    const tg_region *r = op->regions[0];
    TG_CHECK(r->n_args == 2 * n, "the region takes %d arguments", 2 * n);
    for (int i = 0; i < n; i++) {
        tg_dtype x = tg_operand_type(op, i)->dtype, acc = tg_operand_type(op, n + i)->dtype;
        TG_CHECK(tg_is_scalar_of(r->args[i]->type, acc) && tg_is_scalar_of(r->args[n + i]->type, x),
                 "the region's arguments are the accumulators, then the elements");
    }
    const tg_op *y = r->last;
    TG_CHECK(y != NULL && y->code == TG_OP_YIELD && y->n_operands == n,
             "the region yields %d values", n);
    for (int i = 0; i < n; i++) {
        TG_CHECK(tg_operand_type(y, i) == r->args[i]->type,
                 "the region changes an accumulator's type");
    }
    TG_CHECK(is_pure_region(r), "the region may not touch memory");
    return true;
}

static bool user_reduce(tg_verifier *v, const tg_op *op, int64_t axis) {
    int n = op->n_results;
    const tg_type *x = tg_operand_type(op, 0);
    TG_CHECK(n >= 1 && op->n_operands == 2 * n + (is_masked(op) ? 1 : 0),
             "takes one initial value for each operand");
    for (int i = 0; i < n; i++) {
        const tg_type *t = tg_operand_type(op, i), *init = tg_operand_type(op, n + i);
        TG_CHECK(tg_same_shape(t, x), "operand %d is %s, operand 0 %s", i, tg_verify_type(v, t),
                 tg_verify_type(v, x));
        TG_CHECK(tg_type_is_scalar(init) && is_reduced(op->results[i].type, x, axis) &&
                     op->results[i].type->dtype == init->dtype,
                 "initial value %d and its result disagree", i);
    }
    return user_region(v, op, n);
}

bool tg_verify_REDUCE(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 0);
    tg_reduce_kind kind = (tg_reduce_kind)tg_attr_int(op, TG_ATTR_RED, 0);
    int64_t axis;
    if (!axis_of(v, op, x, &axis)) {
        return false;
    }
    int n = op->n_operands - tg_verify_exchanges(v, op);
    TG_CHECK(n >= (is_masked(op) ? 2 : 1), "operands are missing");
    if (is_masked(op) && !axis_mask(v, tg_operand_type(op, n - 1), x, axis)) {
        return false;
    }
    if (kind == TG_RED_USER) {
        return user_reduce(v, op, axis);
    }
    TG_CHECK(n == (is_masked(op) ? 2 : 1) && op->n_results == 1,
             "takes one operand and gives one result");
    TG_CHECK(op->regions[0]->first == NULL && op->regions[0]->n_args == 0,
             "only kind user has a region");
    tg_dtype want = reduced_dtype(kind, x->dtype);
    TG_CHECK(want != TG_DT_NONE, "%s is not defined for %s",
             tg_enum_name(TG_ATTR_RED, (int64_t)kind), tg_dtype_name(x->dtype));
    const tg_type *r = op->results[0].type;
    TG_CHECK(is_reduced(r, x, axis) && r->dtype == want, "%s along axis %lld does not give %s",
             tg_verify_type(v, x), (long long)axis, tg_verify_type(v, r));
    return true;
}

bool tg_verify_SCAN(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 0);
    tg_reduce_kind kind = (tg_reduce_kind)tg_attr_int(op, TG_ATTR_RED, 0);
    int64_t axis;
    if (!axis_of(v, op, x, &axis)) {
        return false;
    }
    bool known = kind != TG_RED_ARGMIN && kind != TG_RED_ARGMAX && kind != TG_RED_COUNT;
    TG_CHECK(known && reduced_dtype(kind, x->dtype) == x->dtype, "%s is not defined for %s",
             tg_enum_name(TG_ATTR_RED, (int64_t)kind), tg_dtype_name(x->dtype));
    TG_CHECK(op->results[0].type == x, "gives the operand's type");
    TG_CHECK(op->n_operands == (is_masked(op) ? 2 : 1), "masked and the operand count disagree");
    return !is_masked(op) || axis_mask(v, tg_operand_type(op, 1), x, axis);
}

/* ---- selection ------------------------------------------------------------------------------ */

bool tg_verify_SORT(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 0);
    int n = op->n_operands - (is_masked(op) ? 1 : 0);
    int64_t axis;
    if (!axis_of(v, op, x, &axis)) {
        return false;
    }
    TG_CHECK(n >= 1 && op->n_results == n, "gives its key and payloads, %d results", n);
    for (int i = 0; i < n; i++) {
        const tg_type *t = tg_operand_type(op, i);
        TG_CHECK(tg_same_shape(t, x) && op->results[i].type == t, "operand %d is %s, the key %s", i,
                 tg_verify_type(v, t), tg_verify_type(v, x));
    }
    return !is_masked(op) || axis_mask(v, tg_operand_type(op, n), x, axis);
}

bool tg_verify_TOPK(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 0);
    int64_t k = tg_attr_int(op, TG_ATTR_K, 0), axis;
    if (!axis_of(v, op, x, &axis)) {
        return false;
    }
    TG_CHECK(k >= 1, "k is at least 1");
    TG_CHECK(x->dtype != TG_DT_BOOL, "not defined for bool");
    for (int i = 0; i < 2; i++) {
        const tg_type *r = op->results[i].type;
        TG_CHECK(tg_is_tile(r) && r->rank == x->rank, "result %d is %s", i, tg_verify_type(v, r));
        for (int a = 0; a < x->rank; a++) {
            TG_CHECK(r->shape[a] == (a == axis ? k : x->shape[a]), "result %d is %s", i,
                     tg_verify_type(v, r));
        }
    }
    TG_CHECK(op->results[0].type->dtype == x->dtype && op->results[1].type->dtype == TG_DT_I32,
             "gives the operand's type and i32");
    TG_CHECK(op->n_operands == (is_masked(op) ? 2 : 1), "masked and the operand count disagree");
    return !is_masked(op) || axis_mask(v, tg_operand_type(op, 1), x, axis);
}

static bool is_vector_of_ints(const tg_type *t) {
    return tg_is_tile(t) && t->rank == 1 && tg_dtype_is_int(t->dtype);
}

bool tg_verify_RANK_BY_KEY(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 0), *r = op->results[0].type;
    TG_CHECK(is_vector_of_ints(x), "the key is %s", tg_verify_type(v, x));
    TG_CHECK(tg_attr_int(op, TG_ATTR_N, 0) >= 1, "n is at least 1");
    TG_CHECK(tg_same_shape(r, x) && r->dtype == TG_DT_I32, "gives i32 of the key's shape");
    TG_CHECK(op->n_operands == (is_masked(op) ? 2 : 1), "masked and the operand count disagree");
    return !is_masked(op) || axis_mask(v, tg_operand_type(op, 1), x, 0);
}

bool tg_verify_COMPRESS(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 0);
    TG_CHECK(tg_is_tile(x) && x->rank == 1, "takes a tile of one axis, not %s",
             tg_verify_type(v, x));
    TG_CHECK(op->results[0].type == x && tg_is_scalar_of(op->results[1].type, TG_DT_I32),
             "gives the operand's type and an i32 count");
    return axis_mask(v, tg_operand_type(op, 1), x, 0);
}

static bool same_shape_mask(tg_verifier *v, const tg_type *m, const tg_type *x) {
    TG_CHECK(tg_is_tile(m) && m->dtype == TG_DT_BOOL && tg_same_shape(m, x),
             "the mask is %s, the data %s", tg_verify_type(v, m), tg_verify_type(v, x));
    return true;
}

bool tg_verify_HISTOGRAM(tg_verifier *v, const tg_op *op) {
    const tg_type *bin = tg_operand_type(op, 0), *r = op->results[0].type;
    int n = op->n_operands - (is_masked(op) ? 1 : 0);
    int64_t bins = tg_attr_int(op, TG_ATTR_N, 0);
    tg_dtype want = TG_DT_I32;
    TG_CHECK(tg_is_tile(bin) && tg_dtype_is_int(bin->dtype), "the bins are %s",
             tg_verify_type(v, bin));
    TG_CHECK(n == 1 || n == 2, "masked and the operand count disagree");
    if (n == 2) {
        const tg_type *w = tg_operand_type(op, 1);
        TG_CHECK(tg_same_shape(w, bin) && tg_dtype_is_int(w->dtype) &&
                     !tg_dtype_is_storage(w->dtype),
                 "the weights are %s", tg_verify_type(v, w));
        want = w->dtype;
    }
    TG_CHECK(tg_is_tile(r) && r->rank == 1 && r->shape[0] == bins && r->dtype == want,
             "gives %s, not %lld sums of %s", tg_verify_type(v, r), (long long)bins,
             tg_dtype_name(want));
    return !is_masked(op) || same_shape_mask(v, tg_operand_type(op, n), bin);
}

bool tg_verify_SCATTER_ADD(tg_verifier *v, const tg_op *op) {
    const tg_type *t = tg_operand_type(op, 0), *i = tg_operand_type(op, 1);
    const tg_type *x = tg_operand_type(op, 2);
    TG_CHECK(tg_is_tile(t) && t->rank == 1 && t->dtype != TG_DT_BOOL &&
                 !tg_dtype_is_storage(t->dtype),
             "adds into %s", tg_verify_type(v, t));
    TG_CHECK(tg_is_tile(i) && tg_dtype_is_int(i->dtype), "the index is %s", tg_verify_type(v, i));
    TG_CHECK(tg_same_shape(x, i) && x->dtype == t->dtype, "the values are %s, the index %s",
             tg_verify_type(v, x), tg_verify_type(v, i));
    TG_CHECK(op->results[0].type == t, "gives the first operand's type");
    TG_CHECK(op->n_operands == (is_masked(op) ? 4 : 3), "masked and the operand count disagree");
    return !is_masked(op) || same_shape_mask(v, tg_operand_type(op, 3), i);
}
