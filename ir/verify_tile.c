/* SPDX-License-Identifier: Apache-2.0 */
/* Verifier rules of the tile level: index, memory and shape operations, and `dot`. */
#include "ir/verify.h"

#include <string.h>

static const tg_attr *list_attr(const tg_op *op, tg_attr_key key) { return tg_attr_get(op, key); }

static bool is_i64(const tg_type *t) { return tg_is_scalar_of(t, TG_DT_I64); }
static bool is_bool_tile(const tg_type *t) { return tg_is_tile(t) && t->dtype == TG_DT_BOOL; }
static bool is_int_tile(const tg_type *t) { return tg_is_tile(t) && tg_dtype_is_int(t->dtype); }

/* ---- index ---------------------------------------------------------------------------------- */

bool tg_verify_IOTA(tg_verifier *v, const tg_op *op) {
    const tg_type *r = op->results[0].type;
    TG_CHECK(is_int_tile(r) && r->rank == 1, "gives an integer tile of one axis");
    return true;
}

bool tg_verify_SYM(tg_verifier *v, const tg_op *op) {
    int64_t i = tg_attr_int(op, TG_ATTR_SYM, -1);
    TG_CHECK(i >= 0 && i < v->f->n_syms, "there is no dimension name %lld", (long long)i);
    TG_CHECK(is_i64(op->results[0].type), "gives i64");
    return true;
}

bool tg_verify_DIM(tg_verifier *v, const tg_op *op) {
    const tg_type *t = tg_operand_type(op, 0);
    int64_t axis = tg_attr_int(op, TG_ATTR_AXIS, -1);
    TG_CHECK(tg_is_tensor(t) && axis >= 0 && axis < t->rank, "%s has no axis %lld",
             tg_verify_type(v, t), (long long)axis);
    TG_CHECK(is_i64(op->results[0].type), "gives i64");
    return true;
}

bool tg_verify_SPAN(tg_verifier *v, const tg_op *op) {
    TG_CHECK(is_i64(tg_operand_type(op, 0)) && is_i64(tg_operand_type(op, 1)), "bounds are i64");
    TG_CHECK(op->results[0].type->kind == TG_TY_SPAN, "gives a span");
    return true;
}

bool tg_verify_SPAN_MASK(tg_verifier *v, const tg_op *op) {
    const tg_type *s = tg_operand_type(op, 0), *r = op->results[0].type;
    TG_CHECK(s->kind == TG_TY_SPAN, "takes a span");
    TG_CHECK(is_bool_tile(r) && r->rank == 1 && r->shape[0] == s->shape[0], "%s from %s",
             tg_verify_type(v, r), tg_verify_type(v, s));
    return true;
}

bool tg_verify_PRESENT(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 0), *r = op->results[0].type;
    TG_CHECK(x->kind == TG_TY_SPAN || is_int_tile(x), "index is %s", tg_verify_type(v, x));
    TG_CHECK(is_i64(tg_operand_type(op, 1)), "the extent is i64");
    bool same =
        r->rank == x->rank &&
        (r->rank == 0 || memcmp(r->shape, x->shape, (size_t)r->rank * sizeof(int64_t)) == 0);
    TG_CHECK(is_bool_tile(r) && same, "%s from %s", tg_verify_type(v, r), tg_verify_type(v, x));
    return true;
}

/* ---- memory --------------------------------------------------------------------------------- */

/* One index: the result axes it contributes start at axes[*at]. */
static bool verify_index(tg_verifier *v, const tg_type *t, const tg_attr *axes, size_t *at,
                         int rank, const int64_t *shape, bool *covered) {
    TG_CHECK(t->kind == TG_TY_SPAN || is_int_tile(t), "an index is %s", tg_verify_type(v, t));
    for (int k = 0; k < t->rank; k++) {
        TG_CHECK(*at < axes->n_list, "axes names too few result axes");
        int64_t axis = axes->list[(*at)++];
        TG_CHECK(axis >= 0 && axis < rank, "there is no result axis %lld", (long long)axis);
        TG_CHECK(t->shape[k] == shape[axis],
                 "an index of extent %lld meets result axis %lld of extent %lld",
                 (long long)t->shape[k], (long long)axis, (long long)shape[axis]);
        for (int j = 1; j <= k; j++) {
            TG_CHECK(axes->list[*at - 1 - (size_t)j] != axis,
                     "one index contributes result axis %lld twice", (long long)axis);
        }
        covered[axis] = true;
    }
    return true;
}

/*
 * Operands from `first` on index `tensor`, one per axis, then the mask if the op is masked. `tile`
 * is what is moved.
 */
static bool verify_access(tg_verifier *v, const tg_op *op, const tg_type *tensor, int first,
                          const tg_type *tile) {
    bool covered[TG_MAX_RANK] = {false};
    const tg_attr *axes = list_attr(op, TG_ATTR_AXES);
    bool masked = tg_attr_int(op, TG_ATTR_MASKED, 0) != 0;
    size_t at = 0;
    TG_CHECK(tg_is_tensor(tensor), "operand 0 is %s, not a tensor", tg_verify_type(v, tensor));
    TG_CHECK(tensor->dtype != TG_DT_RECORD, "records are read and written by field");
    TG_CHECK(tg_is_tile(tile) && tile->dtype == tensor->dtype, "%s and %s do not go together",
             tg_verify_type(v, tile), tg_verify_type(v, tensor));
    int n = op->n_operands - tg_verify_exchanges(v, op);
    TG_CHECK(n == first + tensor->rank + (masked ? 1 : 0), "%d indices and masks for %d axes",
             n - first, tensor->rank);
    for (int i = 0; i < tensor->rank; i++) {
        const tg_type *t = tg_operand_type(op, first + i);
        if (!verify_index(v, t, axes, &at, tile->rank, tile->shape, covered)) {
            return false;
        }
    }
    TG_CHECK(at == axes->n_list, "axes names %zu result axes, the indices have %zu", axes->n_list,
             at);
    for (int a = 0; a < tile->rank; a++) {
        TG_CHECK(covered[a], "no index gives axis %d", a);
    }
    if (masked) {
        const tg_type *m = tg_operand_type(op, n - 1);
        TG_CHECK(is_bool_tile(m) && tg_same_shape(m, tile), "the mask is %s, the data %s",
                 tg_verify_type(v, m), tg_verify_type(v, tile));
    }
    return true;
}

bool tg_verify_LOAD(tg_verifier *v, const tg_op *op) {
    return verify_access(v, op, tg_operand_type(op, 0), 1, op->results[0].type);
}

bool tg_verify_STORE(tg_verifier *v, const tg_op *op) {
    return verify_access(v, op, tg_operand_type(op, 0), 2, tg_operand_type(op, 1));
}

bool tg_verify_ATOMIC(tg_verifier *v, const tg_op *op) {
    bool cas = tg_attr_int(op, TG_ATTR_ATOMIC, 0) == TG_ATOMIC_CAS;
    const tg_type *t = tg_operand_type(op, 1);
    TG_CHECK(op->n_operands >= (cas ? 3 : 2), "operands are missing");
    TG_CHECK(t->dtype != TG_DT_BOOL && !tg_dtype_is_storage(t->dtype), "no atomics on %s",
             tg_dtype_name(t->dtype));
    TG_CHECK(!cas || tg_operand_type(op, 2) == t, "expected and new value differ in type");
    TG_CHECK(op->results[0].type == t, "gives the old values, %s", tg_verify_type(v, t));
    return verify_access(v, op, tg_operand_type(op, 0), cas ? 3 : 2, t);
}

bool tg_verify_VIEW(tg_verifier *v, const tg_op *op) {
    const tg_type *t = tg_operand_type(op, 0), *r = op->results[0].type;
    const tg_attr *strides = list_attr(op, TG_ATTR_STRIDES);
    size_t added = strides == NULL ? 0 : strides->n_list;
    TG_CHECK(tg_is_tensor(t) && tg_is_tensor(r), "from %s to %s", tg_verify_type(v, t),
             tg_verify_type(v, r));
    TG_CHECK(tg_attr_int(op, TG_ATTR_BYTES, -1) >= 0, "the byte offset is not negative");
    TG_CHECK((size_t)t->rank + added == r->rank, "%s plus %zu axes is not %s", tg_verify_type(v, t),
             added, tg_verify_type(v, r));
    for (int i = 0; i < t->rank; i++) {
        TG_CHECK(r->dims[i] == t->dims[i], "axis %d changes its extent", i);
    }
    return true;
}

/* ---- shape ---------------------------------------------------------------------------------- */

static bool moves(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 0), *r = op->results[0].type;
    TG_CHECK(tg_is_tile(x) && tg_is_tile(r) && x->dtype == r->dtype, "from %s to %s",
             tg_verify_type(v, x), tg_verify_type(v, r));
    return true;
}

bool tg_verify_BROADCAST(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 0), *r = op->results[0].type;
    const tg_attr *axes = list_attr(op, TG_ATTR_AXES);
    if (!moves(v, op)) {
        return false;
    }
    TG_CHECK(axes->n_list == x->rank, "one entry of axes per operand axis");
    for (int a = 0; a < x->rank; a++) {
        int64_t to = axes->list[a];
        TG_CHECK(to >= 0 && to < r->rank && (a == 0 || to > axes->list[a - 1]),
                 "axes increase and lie in the result");
        TG_CHECK(x->shape[a] == r->shape[to] || x->shape[a] == 1, "axis %d of %s does not fit %s",
                 a, tg_verify_type(v, x), tg_verify_type(v, r));
    }
    return true;
}

bool tg_verify_RESHAPE(tg_verifier *v, const tg_op *op) {
    if (!moves(v, op)) {
        return false;
    }
    const tg_type *x = tg_operand_type(op, 0), *r = op->results[0].type;
    TG_CHECK(tg_type_count(x) == tg_type_count(r), "%s and %s differ in size", tg_verify_type(v, x),
             tg_verify_type(v, r));
    return true;
}

bool tg_verify_PERMUTE(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 0), *r = op->results[0].type;
    const tg_attr *axes = list_attr(op, TG_ATTR_AXES);
    bool seen[TG_MAX_RANK] = {false};
    if (!moves(v, op)) {
        return false;
    }
    TG_CHECK(axes->n_list == x->rank && x->rank == r->rank, "axes is a permutation");
    for (int a = 0; a < r->rank; a++) {
        int64_t from = axes->list[a];
        TG_CHECK(from >= 0 && from < x->rank && !seen[from], "axes is a permutation");
        seen[from] = true;
        TG_CHECK(r->shape[a] == x->shape[from], "%s permuted is not %s", tg_verify_type(v, x),
                 tg_verify_type(v, r));
    }
    return true;
}

bool tg_verify_SLICE(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 0), *r = op->results[0].type;
    const tg_attr *offsets = list_attr(op, TG_ATTR_OFFSETS);
    if (!moves(v, op)) {
        return false;
    }
    TG_CHECK(offsets->n_list == x->rank && x->rank == r->rank, "one offset per axis");
    for (int a = 0; a < r->rank; a++) {
        TG_CHECK(offsets->list[a] >= 0 && offsets->list[a] <= x->shape[a] - r->shape[a],
                 "axis %d: %lld elements from %lld on do not exist", a, (long long)r->shape[a],
                 (long long)offsets->list[a]);
    }
    return true;
}

bool tg_verify_CONCAT(tg_verifier *v, const tg_op *op) {
    const tg_type *r = op->results[0].type;
    int64_t axis = tg_attr_int(op, TG_ATTR_AXIS, -1), sum = 0;
    TG_CHECK(tg_is_tile(r) && axis >= 0 && axis < r->rank, "%s has no axis %lld",
             tg_verify_type(v, r), (long long)axis);
    for (int i = 0; i < op->n_operands; i++) {
        const tg_type *x = tg_operand_type(op, i);
        TG_CHECK(tg_is_tile(x) && x->dtype == r->dtype && x->rank == r->rank, "operand %d is %s", i,
                 tg_verify_type(v, x));
        for (int a = 0; a < r->rank; a++) {
            TG_CHECK(a == axis || x->shape[a] == r->shape[a], "operand %d is %s", i,
                     tg_verify_type(v, x));
        }
        /* Each term is at most the greatest tile, so the sum cannot overflow. */
        sum += x->shape[axis];
    }
    TG_CHECK(sum == r->shape[axis], "the operands have %lld elements along axis %lld, not %lld",
             (long long)sum, (long long)axis, (long long)r->shape[axis]);
    return true;
}

bool tg_verify_LOCAL_GATHER(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 0), *i = tg_operand_type(op, 1);
    const tg_type *r = op->results[0].type;
    int64_t axis = tg_attr_int(op, TG_ATTR_AXIS, -1);
    if (!moves(v, op)) {
        return false;
    }
    TG_CHECK(is_int_tile(i), "the index is %s", tg_verify_type(v, i));
    TG_CHECK(axis >= 0 && axis < x->rank, "%s has no axis %lld", tg_verify_type(v, x),
             (long long)axis);
    bool ok = r->rank == x->rank - 1 + i->rank;
    for (int a = 0, at = 0; ok && a < x->rank; a++) {
        if (a != axis) {
            ok = r->shape[at++] == x->shape[a];
            continue;
        }
        for (int k = 0; ok && k < i->rank; k++) {
            ok = r->shape[at++] == i->shape[k];
        }
    }
    TG_CHECK(ok, "%s indexed by %s is not %s", tg_verify_type(v, x), tg_verify_type(v, i),
             tg_verify_type(v, r));
    return true;
}

/* ---- matrix --------------------------------------------------------------------------------- */

/* What `dot` accumulates a and b in; NONE when they cannot be multiplied. */
static tg_dtype dot_acc(tg_dtype a, tg_dtype b) {
    bool fa = tg_dtype_is_float(a), fb = tg_dtype_is_float(b);
    if (fa != fb || a == TG_DT_BOOL || b == TG_DT_BOOL) {
        return TG_DT_NONE;
    }
    if (fa) {
        return a == TG_DT_F64 || b == TG_DT_F64 ? TG_DT_F64 : TG_DT_F32;
    }
    if (tg_dtype_bits(a) <= 8 && tg_dtype_bits(b) <= 8) {
        return TG_DT_I32;
    }
    return a == b ? a : TG_DT_NONE;
}

static bool dot_shapes(tg_verifier *v, const tg_op *op, int batch) {
    const tg_type *a = tg_operand_type(op, 0), *b = tg_operand_type(op, 1);
    const tg_type *c = tg_operand_type(op, 2);
    bool memory = v->f->level == TG_LEVEL_PLACED && b->kind == TG_TY_BUFFER &&
                  (a->kind == TG_TY_BUFFER || tg_is_tile(a));
    TG_CHECK(((tg_is_tile(a) && tg_is_tile(b)) || memory) && tg_is_tile(c), "multiplies tiles");
    TG_CHECK(batch >= 0 && a->rank == batch + 2 && b->rank == batch + 2 && c->rank == batch + 2,
             "operands have %d axes", batch + 2);
    for (int i = 0; i < batch; i++) {
        TG_CHECK(a->shape[i] == b->shape[i] && a->shape[i] == c->shape[i],
                 "batch axis %d differs between the operands", i);
    }
    TG_CHECK(a->shape[batch] == c->shape[batch] && b->shape[batch + 1] == c->shape[batch + 1] &&
                 a->shape[batch + 1] == b->shape[batch],
             "%s times %s is not %s", tg_verify_type(v, a), tg_verify_type(v, b),
             tg_verify_type(v, c));
    return true;
}

bool tg_verify_DOT(tg_verifier *v, const tg_op *op) {
    int64_t batch = tg_attr_int(op, TG_ATTR_BATCH, 0);
    bool masked = tg_attr_int(op, TG_ATTR_MASKED, 0) != 0;
    TG_CHECK(batch >= 0 && batch <= TG_MAX_RANK - 2, "bad batch count");
    TG_CHECK(op->n_operands == (masked ? 4 : 3), "masked and the operand count disagree");
    TG_CHECK(tg_attr_int(op, TG_ATTR_PROMOTE, 0) >= 0, "promote is not negative");
    if (!dot_shapes(v, op, (int)batch)) {
        return false;
    }
    const tg_type *a = tg_operand_type(op, 0), *b = tg_operand_type(op, 1);
    const tg_type *c = tg_operand_type(op, 2);
    tg_dtype acc = dot_acc(a->dtype, b->dtype);
    TG_CHECK(acc != TG_DT_NONE, "cannot multiply %s by %s", tg_dtype_name(a->dtype),
             tg_dtype_name(b->dtype));
    TG_CHECK(c->dtype == acc && op->results[0].type == c, "accumulates in %s, not %s",
             tg_dtype_name(acc), tg_verify_type(v, c));
    if (masked) {
        const tg_type *m = tg_operand_type(op, 3);
        bool flat = m->rank == 1 && m->shape[0] == b->shape[batch];
        bool full = m->rank == batch + 1 && m->rank > 0 &&
                    memcmp(m->shape, b->shape, (size_t)m->rank * sizeof(int64_t)) == 0;
        TG_CHECK((m->kind == a->kind && m->dtype == TG_DT_BOOL) && (flat || full), "the mask is %s",
                 tg_verify_type(v, m));
    }
    return true;
}

/* ---- other ---------------------------------------------------------------------------------- */

bool tg_verify_PRINT(tg_verifier *v, const tg_op *op) {
    for (int i = 0; i < op->n_operands; i++) {
        TG_CHECK(tg_is_tile(tg_operand_type(op, i)), "prints tiles");
    }
    return true;
}

bool tg_verify_EXTERN(tg_verifier *v, const tg_op *op) {
    TG_CHECK(tg_attr_str(op, TG_ATTR_NAME)[0] != '\0', "needs the name of what it calls");
    return true;
}
