/* SPDX-License-Identifier: Apache-2.0 */
/*
 * canonicalise: local simplification until nothing changes.
 *
 * Takes any tile IR. Gives the same kernel where constants are folded, identities are gone, shape
 * operations on shape operations are one, masks known to be true are dropped, branches and loops of
 * known outcome are opened. Refuses nothing; results are the same bit for bit.
 *
 * Before:
 *   %3 = const {i = 1} : bool[8]
 *   %4 = broadcast %2 {axes = []} : f32[8]
 *   %5 = broadcast %4 {axes = [1]} : f32[4, 8]
 *   %6 = select %7, %5, %5 : f32[4, 8]
 *   %8 = dot %a, %6, %c, %3 {masked = true} : f32[2, 8]
 * After:
 *   %5 = broadcast %2 {axes = []} : f32[4, 8]
 *   %8 = dot %a, %5, %c : f32[2, 8]
 *
 * Method: one rule per opcode in a table. A rule returns the value that takes the place of the op's
 * only result, or edits the op and says so. Rules look at operands, never at uses, except for the
 * conditions of memory operations, where terms that the access itself tests are struck out.
 */
#include "ir/passes/util.h"
#include "ir/simplify.h"

#include <string.h>

#define MAX_ROUNDS 16
#define MAX_TERM_DEPTH 64

typedef struct rewriter {
    tg_func *f;
    tg_builder b; /* in front of the op under the rule */
    bool changed;
} rewriter;

static bool is_true(const tg_value *v) {
    int64_t c;
    return tg_value_const_int(v, &c) && c != 0;
}

static bool is_false(const tg_value *v) {
    int64_t c;
    return tg_value_const_int(v, &c) && c == 0;
}

/* The op that defines v when it is of this kind, or NULL. */
static tg_op *defined_by(const tg_value *v, tg_opcode code) {
    return v->def != NULL && v->def->code == code ? v->def : NULL;
}

/* ---- elementwise ---------------------------------------------------------------------------- */

static tg_value *rule_binary(rewriter *w, tg_op *op) {
    return tg_simplify_binary(&w->b, op->code, tg_operand(op, 0), tg_operand(op, 1));
}

static tg_cmp_pred inverse(tg_cmp_pred p) {
    static const tg_cmp_pred table[] = {
        [TG_CMP_EQ] = TG_CMP_NE, [TG_CMP_NE] = TG_CMP_EQ, [TG_CMP_LT] = TG_CMP_GE,
        [TG_CMP_LE] = TG_CMP_GT, [TG_CMP_GT] = TG_CMP_LE, [TG_CMP_GE] = TG_CMP_LT};
    return table[p];
}

/* not(not x) = x; not(a < b) = a >= b where no NaN can be. neg(neg x) = x. */
static tg_value *rule_unary(rewriter *w, tg_op *op) {
    tg_value *x = tg_operand(op, 0);
    tg_op *inner = defined_by(x, op->code);
    if (inner != NULL && (op->code == TG_OP_NOT || op->code == TG_OP_NEG)) {
        return tg_operand(inner, 0);
    }
    tg_op *cmp = op->code == TG_OP_NOT ? defined_by(x, TG_OP_CMP) : NULL;
    if (cmp != NULL && !tg_dtype_is_float(tg_operand(cmp, 0)->type->dtype)) {
        tg_cmp_pred p = (tg_cmp_pred)tg_attr_int(cmp, TG_ATTR_PRED, 0);
        return tg_build_cmp(&w->b, inverse(p), tg_operand(cmp, 0), tg_operand(cmp, 1));
    }
    return tg_simplify_unary(&w->b, op->code, x);
}

/* 0, 1, 2, ... of n elements in the type of v, as it stands or widened. */
static bool counts_up(const tg_value *v) {
    const tg_op *cast = defined_by(v, TG_OP_CAST);
    const tg_value *from = cast != NULL ? tg_operand(cast, 0) : v;
    return defined_by(from, TG_OP_IOTA) != NULL &&
           (from->type->dtype == TG_DT_I32 || from->type->dtype == TG_DT_I64);
}

/* iota < n, n one number: the mask of a span, which loops need not go beyond. */
static tg_value *prefix_mask(rewriter *w, tg_cmp_pred pred, tg_value *x, tg_value *y) {
    if (pred == TG_CMP_GT) {
        return prefix_mask(w, TG_CMP_LT, y, x);
    }
    const tg_op *n = defined_by(y, TG_OP_BROADCAST);
    tg_dtype t = x->type->dtype;
    if (pred != TG_CMP_LT || n == NULL || !tg_type_is_scalar(tg_operand(n, 0)->type) ||
        !counts_up(x) || (t != TG_DT_I32 && t != TG_DT_I64)) {
        return NULL;
    }
    tg_value *end = tg_build_cast(&w->b, tg_operand(n, 0), TG_DT_I64);
    tg_value *span = tg_build_span(&w->b, tg_build_index(&w->b, 0), end, x->type->shape[0]);
    return tg_build_span_mask(&w->b, span);
}

static tg_value *rule_cmp(rewriter *w, tg_op *op) {
    tg_cmp_pred pred = (tg_cmp_pred)tg_attr_int(op, TG_ATTR_PRED, 0);
    tg_value *x = tg_operand(op, 0), *y = tg_operand(op, 1);
    tg_value *mask = prefix_mask(w, pred, x, y);
    return mask != NULL ? mask : tg_simplify_cmp(&w->b, pred, x, y);
}

static tg_value *rule_select(rewriter *w, tg_op *op) {
    tg_value *c = tg_operand(op, 0), *x = tg_operand(op, 1), *y = tg_operand(op, 2);
    tg_value *v = tg_simplify_select(c, x, y);
    tg_op *not_op = defined_by(c, TG_OP_NOT);
    if (v == NULL && not_op != NULL) {
        tg_set_operand(op, 0, tg_operand(not_op, 0));
        tg_set_operand(op, 1, y);
        tg_set_operand(op, 2, x);
        w->changed = true;
        return NULL;
    }
    if (v == NULL && x->type->dtype == TG_DT_BOOL && is_true(x) && is_false(y)) {
        return c; /* true where c */
    }
    return v;
}

static tg_value *rule_cast(rewriter *w, tg_op *op) {
    tg_value *x = tg_operand(op, 0);
    const tg_type *to = op->results[0].type;
    tg_op *inner = defined_by(x, TG_OP_CAST);
    if (inner != NULL && tg_operand(inner, 0)->type == to && tg_dtype_is_int(to->dtype) &&
        tg_dtype_is_int(x->type->dtype) &&
        tg_dtype_bits(x->type->dtype) > tg_dtype_bits(to->dtype) &&
        tg_attr_int(inner, TG_ATTR_SAT, 0) == 0 && tg_attr_int(op, TG_ATTR_SAT, 0) == 0) {
        return tg_operand(inner, 0); /* widened and wrapped back */
    }
    return tg_simplify_cast(&w->b, x, to, (tg_round)tg_attr_int(op, TG_ATTR_ROUND, TG_ROUND_RNE),
                            tg_attr_int(op, TG_ATTR_SAT, 0) != 0);
}

static tg_value *rule_bitcast(rewriter *w, tg_op *op) {
    tg_value *x = tg_operand(op, 0);
    if (x->type == op->results[0].type) {
        return x;
    }
    tg_op *inner = defined_by(x, TG_OP_BITCAST);
    if (inner != NULL) {
        tg_set_operand(op, 0, tg_operand(inner, 0));
        w->changed = true;
    }
    return NULL;
}

/* ---- shape ---------------------------------------------------------------------------------- */

/* A tile whose elements are all one scalar: the constant in the new shape, or a splat of it. */
static tg_value *same_everywhere(rewriter *w, const tg_value *x, const tg_type *type) {
    int64_t i;
    double f;
    if (tg_value_const_int(x, &i)) {
        return tg_build_int(&w->b, type, i);
    }
    if (tg_value_const_float(x, &f)) {
        return tg_build_float(&w->b, type, f);
    }
    const tg_op *splat = defined_by(x, TG_OP_BROADCAST);
    if (splat != NULL && tg_type_is_scalar(tg_operand(splat, 0)->type)) {
        return type->rank == 0
                   ? tg_operand(splat, 0)
                   : tg_build_splat_tile(&w->b, tg_operand(splat, 0), type->rank, type->shape);
    }
    return NULL;
}

static tg_value *rule_broadcast(rewriter *w, tg_op *op) {
    tg_value *x = tg_operand(op, 0);
    const tg_type *to = op->results[0].type;
    if (x->type == to) {
        return x;
    }
    int64_t i;
    double f;
    if (tg_value_const_int(x, &i) || tg_value_const_float(x, &f)) {
        return same_everywhere(w, x, to);
    }
    tg_op *inner = defined_by(x, TG_OP_BROADCAST);
    if (inner == NULL) {
        return NULL;
    }
    int64_t axes[TG_MAX_RANK];
    const tg_attr *outer_axes = tg_attr_get(op, TG_ATTR_AXES);
    const tg_attr *inner_axes = tg_attr_get(inner, TG_ATTR_AXES);
    for (size_t a = 0; a < inner_axes->n_list; a++) {
        axes[a] = outer_axes->list[inner_axes->list[a]];
    }
    return tg_build_broadcast(&w->b, tg_operand(inner, 0), to->rank, to->shape, axes);
}

static tg_value *rule_reshape(rewriter *w, tg_op *op) {
    tg_value *x = tg_operand(op, 0);
    const tg_type *to = op->results[0].type;
    if (x->type == to) {
        return x;
    }
    tg_op *inner = defined_by(x, TG_OP_RESHAPE);
    if (inner != NULL) {
        return tg_build_reshape(&w->b, tg_operand(inner, 0), to->rank, to->shape);
    }
    return same_everywhere(w, x, to);
}

static tg_value *rule_permute(rewriter *w, tg_op *op) {
    tg_value *x = tg_operand(op, 0);
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    bool identity = true;
    for (size_t a = 0; a < axes->n_list; a++) {
        identity = identity && axes->list[a] == (int64_t)a;
    }
    if (identity) {
        return x;
    }
    tg_op *inner = defined_by(x, TG_OP_PERMUTE);
    if (inner != NULL) {
        int64_t both[TG_MAX_RANK];
        const tg_attr *inner_axes = tg_attr_get(inner, TG_ATTR_AXES);
        for (size_t a = 0; a < axes->n_list; a++) {
            both[a] = inner_axes->list[axes->list[a]];
        }
        return tg_build_permute(&w->b, tg_operand(inner, 0), both);
    }
    return same_everywhere(w, x, op->results[0].type);
}

static tg_value *rule_slice(rewriter *w, tg_op *op) {
    tg_value *x = tg_operand(op, 0);
    const tg_type *to = op->results[0].type;
    if (x->type == to) {
        return x;
    }
    tg_op *inner = defined_by(x, TG_OP_SLICE);
    if (inner != NULL) {
        int64_t offsets[TG_MAX_RANK];
        for (int a = 0; a < to->rank; a++) {
            offsets[a] = tg_attr_get(op, TG_ATTR_OFFSETS)->list[a] +
                         tg_attr_get(inner, TG_ATTR_OFFSETS)->list[a];
        }
        return tg_build_slice(&w->b, tg_operand(inner, 0), offsets, to->shape);
    }
    return same_everywhere(w, x, to);
}

static tg_value *rule_concat(rewriter *w, tg_op *op) {
    (void)w;
    return op->n_operands == 1 ? tg_operand(op, 0) : NULL;
}

/* ---- masks ---------------------------------------------------------------------------------- */

/* The mask operand, or NULL. */
static tg_value *mask_of(const tg_op *op) {
    bool masked = tg_attr_int(op, TG_ATTR_MASKED, 0) != 0;
    return masked ? tg_operand(op, op->n_operands - 1) : NULL;
}

static tg_value *rule_masked(rewriter *w, tg_op *op) {
    tg_value *m = mask_of(op);
    if (m != NULL && is_true(m)) {
        tg_drop_mask(op);
        w->changed = true;
    }
    return NULL;
}

static tg_value *rule_span_mask(rewriter *w, tg_op *op) {
    tg_op *span = defined_by(tg_operand(op, 0), TG_OP_SPAN);
    int64_t lo, hi, n;
    if (span == NULL || !tg_value_const_int(tg_operand(span, 0), &lo) ||
        !tg_value_const_int(tg_operand(span, 1), &hi) || !tg_sub_i64(hi, lo, &n)) {
        return NULL;
    }
    if (n >= op->results[0].type->shape[0] || n <= 0) {
        return tg_build_int(&w->b, op->results[0].type, n > 0);
    }
    return NULL;
}

/* A number is below an extent or not; a span of constant bounds may be inside altogether. */
static tg_value *rule_present(rewriter *w, tg_op *op) {
    tg_value *index = tg_operand(op, 0);
    const tg_type *type = op->results[0].type;
    int64_t i, n, lo, last;
    if (!tg_value_const_int(tg_operand(op, 1), &n)) {
        return NULL;
    }
    if (tg_value_const_int(index, &i)) {
        bool is_unsigned = !tg_dtype_is_signed(index->type->dtype);
        return is_unsigned && i < 0 ? NULL : tg_build_int(&w->b, type, i >= 0 && i < n);
    }
    tg_op *span = defined_by(index, TG_OP_SPAN);
    if (span != NULL && tg_value_const_int(tg_operand(span, 0), &lo) && lo >= 0 &&
        tg_add_i64(lo, type->shape[0], &last) && last <= n) {
        return tg_build_span_mask(&w->b, index);
    }
    return NULL;
}

/* An access and the conditions that it tests by itself. */
typedef struct access {
    const tg_op *op;
    const tg_type *tensor;
    int first; /* operand number of the first index */
    int rank;  /* of the data */
} access;

/* Which tensor axis is indexed by `index`, contributing exactly the result axes `at`; -1: none. */
static int axis_indexed(const access *a, const tg_value *index, const int64_t *at, size_t n_at) {
    const tg_attr *axes = tg_attr_get(a->op, TG_ATTR_AXES);
    size_t next = 0;
    for (int i = 0; i < a->tensor->rank; i++) {
        const tg_value *v = tg_operand(a->op, a->first + i);
        size_t n = v->type->rank;
        if (v == index && n == n_at &&
            (n == 0 || memcmp(axes->list + next, at, n * sizeof(int64_t)) == 0)) {
            return i;
        }
        next += n;
    }
    return -1;
}

/* True when the access skips every element where this term is false. */
static bool is_implied(const access *a, const tg_value *term) {
    int64_t identity[TG_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    const int64_t *at = identity;
    const tg_op *spread = defined_by(term, TG_OP_BROADCAST);
    if (spread != NULL) {
        const tg_value *x = tg_operand(spread, 0);
        at = tg_attr_get(spread, TG_ATTR_AXES)->list;
        for (int i = 0; i < x->type->rank; i++) {
            if (x->type->shape[i] != spread->results[0].type->shape[at[i]]) {
                return false;
            }
        }
        term = x;
    }
    if (defined_by(term, TG_OP_SPAN_MASK) != NULL) {
        return axis_indexed(a, tg_operand(term->def, 0), at, 1) >= 0;
    }
    if (defined_by(term, TG_OP_PRESENT) == NULL) {
        return false;
    }
    const tg_value *index = tg_operand(term->def, 0);
    int axis = axis_indexed(a, index, at, index->type->rank);
    const tg_dim *extent = tg_value_dim(tg_operand(term->def, 1));
    return axis >= 0 && extent != NULL && extent == a->tensor->dims[axis];
}

/* The mask without implied terms; NULL when nothing is left of it. */
static tg_value *strip(rewriter *w, const access *a, tg_value *mask, int depth) {
    if (is_true(mask) || is_implied(a, mask)) {
        return NULL;
    }
    tg_op *conj = defined_by(mask, TG_OP_AND);
    if (conj == NULL || depth == 0) {
        return mask;
    }
    tg_value *x = strip(w, a, tg_operand(conj, 0), depth - 1);
    tg_value *y = strip(w, a, tg_operand(conj, 1), depth - 1);
    if (x == NULL || y == NULL) {
        return x == NULL ? y : x;
    }
    bool same = x == tg_operand(conj, 0) && y == tg_operand(conj, 1);
    return same ? mask : tg_build_binary(&w->b, TG_OP_AND, x, y);
}

static void strip_mask(rewriter *w, tg_op *op, int first) {
    tg_value *mask = mask_of(op);
    if (mask == NULL) {
        return;
    }
    access a = {
        .op = op, .tensor = tg_operand(op, 0)->type, .first = first, .rank = mask->type->rank};
    tg_value *rest = strip(w, &a, mask, MAX_TERM_DEPTH);
    if (rest == mask) {
        return;
    }
    w->changed = true;
    if (rest == NULL) {
        tg_drop_mask(op);
    } else {
        tg_set_operand(op, op->n_operands - 1, rest);
    }
}

static tg_value *rule_load(rewriter *w, tg_op *op) {
    tg_value *m = mask_of(op);
    const tg_type *type = op->results[0].type;
    if (m != NULL && is_false(m)) {
        return tg_dtype_is_float(type->dtype) ? tg_build_float(&w->b, type, 0)
                                              : tg_build_int(&w->b, type, 0);
    }
    strip_mask(w, op, 1);
    return NULL;
}

static tg_value *rule_store(rewriter *w, tg_op *op) {
    strip_mask(w, op, 2);
    return NULL;
}

/* ---- control flow --------------------------------------------------------------------------- */

/* Replaces op by the region's ops; its results by what the region yields. */
static void open_region(rewriter *w, tg_op *op, tg_region *r) {
    tg_op *yield = tg_region_yield(r);
    for (int i = 0; i < op->n_results; i++) {
        tg_replace_all_uses(&op->results[i], tg_operand(yield, i));
    }
    tg_region_splice(r, op);
    tg_op_erase(op);
    w->changed = true;
}

static tg_value *rule_if(rewriter *w, tg_op *op) {
    int64_t c;
    if (tg_value_const_int(tg_operand(op, 0), &c)) {
        open_region(w, op, op->regions[c != 0 ? 0 : 1]);
    }
    return NULL;
}

/* A carried value that no iteration changes is its initial value. */
static void drop_invariant_carried(rewriter *w, tg_op *op) {
    tg_region *body = op->regions[0];
    tg_op *yield = tg_region_yield(body);
    for (int i = 0; i < op->n_results; i++) {
        tg_value *arg = body->args[1 + i], *init = tg_operand(op, 3 + i);
        tg_value *next = tg_operand(yield, i);
        if (next != arg && next != init) {
            continue;
        }
        if (tg_value_is_used(&op->results[i]) || (next != arg && tg_value_is_used(arg)) ||
            (next == arg && arg->uses->next != NULL)) {
            tg_replace_all_uses(&op->results[i], init);
            tg_replace_all_uses(arg, init);
            w->changed = true;
        }
    }
}

static tg_value *rule_for(rewriter *w, tg_op *op) {
    int64_t lo, hi, step, next;
    drop_invariant_carried(w, op);
    if (!tg_value_const_int(tg_operand(op, 0), &lo) ||
        !tg_value_const_int(tg_operand(op, 1), &hi) ||
        !tg_value_const_int(tg_operand(op, 2), &step)) {
        return NULL;
    }
    if (lo >= hi) {
        for (int i = 0; i < op->n_results; i++) {
            tg_replace_all_uses(&op->results[i], tg_operand(op, 3 + i));
        }
        tg_op_erase(op);
        w->changed = true;
    } else if (!tg_add_i64(lo, step, &next) || next >= hi) {
        tg_region *body = op->regions[0];
        for (int i = 0; i < body->n_args; i++) {
            tg_replace_all_uses(body->args[i], tg_operand(op, i == 0 ? 0 : 2 + i));
        }
        open_region(w, op, body);
    }
    return NULL;
}

static tg_value *rule_assert(rewriter *w, tg_op *op) {
    if (is_true(tg_operand(op, 0))) {
        tg_op_erase(op);
        w->changed = true;
    }
    return NULL;
}

/* ---- driver --------------------------------------------------------------------------------- */

typedef tg_value *rule(rewriter *w, tg_op *op);

static rule *const rules[TG_OP_COUNT] = {
    [TG_OP_ADD] = rule_binary,
    [TG_OP_SUB] = rule_binary,
    [TG_OP_MUL] = rule_binary,
    [TG_OP_DIV] = rule_binary,
    [TG_OP_REM] = rule_binary,
    [TG_OP_MIN] = rule_binary,
    [TG_OP_MAX] = rule_binary,
    [TG_OP_AND] = rule_binary,
    [TG_OP_OR] = rule_binary,
    [TG_OP_XOR] = rule_binary,
    [TG_OP_SHL] = rule_binary,
    [TG_OP_SHR] = rule_binary,
    [TG_OP_NEG] = rule_unary,
    [TG_OP_ABS] = rule_unary,
    [TG_OP_NOT] = rule_unary,
    [TG_OP_POPCOUNT] = rule_unary,
    [TG_OP_CMP] = rule_cmp,
    [TG_OP_SELECT] = rule_select,
    [TG_OP_CAST] = rule_cast,
    [TG_OP_BITCAST] = rule_bitcast,
    [TG_OP_BROADCAST] = rule_broadcast,
    [TG_OP_RESHAPE] = rule_reshape,
    [TG_OP_PERMUTE] = rule_permute,
    [TG_OP_SLICE] = rule_slice,
    [TG_OP_CONCAT] = rule_concat,
    [TG_OP_SPAN_MASK] = rule_span_mask,
    [TG_OP_PRESENT] = rule_present,
    [TG_OP_LOAD] = rule_load,
    [TG_OP_STORE] = rule_store,
    [TG_OP_DOT] = rule_masked,
    [TG_OP_REDUCE] = rule_masked,
    [TG_OP_SCAN] = rule_masked,
    [TG_OP_SORT] = rule_masked,
    [TG_OP_TOPK] = rule_masked,
    [TG_OP_RANK_BY_KEY] = rule_masked,
    [TG_OP_HISTOGRAM] = rule_masked,
    [TG_OP_SCATTER_ADD] = rule_masked,
    [TG_OP_ATOMIC] = rule_masked,
    [TG_OP_IF] = rule_if,
    [TG_OP_FOR] = rule_for,
    [TG_OP_ASSERT] = rule_assert,
    [TG_OP_ASSUME] = rule_assert,
};

static void visit_region(rewriter *w, tg_region *r);

static void visit(rewriter *w, tg_op *op) {
    for (int i = 0; i < op->n_regions; i++) {
        visit_region(w, op->regions[i]);
    }
    if (rules[op->code] == NULL) {
        return;
    }
    w->b = tg_builder_before(op);
    tg_value *v = rules[op->code](w, op);
    if (v != NULL && v != &op->results[0]) {
        if (v->name == NULL && v->def != NULL) {
            v->name = op->results[0].name;
        }
        tg_replace_all_uses(&op->results[0], v);
        tg_op_erase(op);
        w->changed = true;
    }
}

static void visit_region(rewriter *w, tg_region *r) {
    for (tg_op *op = r->first; op != NULL;) {
        tg_op *next = op->next;
        visit(w, op);
        op = next;
    }
}

void tg_pass_canonicalise(tg_func *f, tg_pass_context *ctx) {
    (void)ctx;
    rewriter w = {.f = f};
    for (int round = 0; round < MAX_ROUNDS; round++) {
        w.changed = false;
        if (f->grid != NULL) {
            visit_region(&w, f->grid);
        }
        visit_region(&w, f->body);
        if (!w.changed) {
            return;
        }
    }
}
