/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What combines along an axis: reductions, scans, sort, top-k, histograms (R6). Each skips absent
 * elements by a mask operand, consumes every predicate that mentions the axis and keeps the others.
 */
#include "frontend/value.h"

tg_value *tg_el_axis_mask(tg_elab *e, const tg_val *x, int axis, bool rank1, tg_preds *keep) {
    tg_preds on = {NULL, 0};
    bool flat = rank1;
    for (int i = 0; i < x->preds.n; i++) {
        const tg_pred *p = x->preds.items[i];
        if (tg_pr_mentions(p, axis)) {
            tg_pr_add(e, &on, p);
            flat = flat && p->n_axes == 1;
        } else {
            tg_pr_add(e, keep, p);
        }
    }
    const tg_type *t = x->ir->type;
    if (!flat) {
        return tg_pr_conj(e, &on, t->rank, t->shape);
    }
    tg_preds one = {NULL, 0};
    int zero[TG_MAX_RANK] = {0};
    for (int i = 0; i < on.n; i++) {
        tg_pr_add(e, &one, tg_pr_remap(e, on.items[i], zero));
    }
    return tg_pr_conj(e, &one, 1, &t->shape[axis]);
}

/* ids and predicates of x without `axis`. */
static void drop_axis(tg_elab *e, tg_val *r, const tg_val *x, int axis, const tg_preds *keep) {
    int map[TG_MAX_RANK];
    for (int a = 0; a < TG_MAX_RANK; a++) {
        map[a] = a < axis ? a : a - 1;
    }
    for (int a = 0; a < tg_el_rank(x); a++) {
        if (a != axis) {
            r->id[map[a]] = x->id[a];
        }
    }
    for (int i = 0; i < keep->n; i++) {
        tg_pr_add(e, &r->preds, tg_pr_remap(e, keep->items[i], map));
    }
}

static tg_dtype sum_type(tg_dtype t) {
    t = tg_dtype_arith(t);
    if (tg_dtype_is_int(t) && tg_dtype_bits(t) < 32) {
        return tg_dtype_is_signed(t) ? TG_DT_I32 : TG_DT_U32;
    }
    return t;
}

static const tg_val *reduce_operand(tg_elab *e, tg_reduce_kind kind, const tg_val *x,
                                    tg_span where) {
    tg_dtype t = tg_el_dtype(x);
    bool logic = kind == TG_RED_ANY || kind == TG_RED_ALL;
    if (logic ? t != TG_DT_BOOL : t == TG_DT_BOOL && kind != TG_RED_COUNT) {
        tg_diag *d = tg_el_error(e, TG_D_TYPE_MISMATCH, where, "%s cannot be combined this way",
                                 tg_el_describe(e, x));
        tg_note_add(e->sink, d, where,
                    logic ? "any and all take bools" : "count(..), any(..) and all(..) take bools");
        return &tg_val_error;
    }
    if (kind == TG_RED_SUM || kind == TG_RED_PROD) {
        return tg_el_cast(e, x, sum_type(t), TG_ROUND_RNE, false, where);
    }
    return x;
}

/* count of a tile that is not bool: how many elements exist. */
static const tg_val *existing(tg_elab *e, const tg_val *x, tg_span where) {
    const tg_type *t = tg_type_with_dtype(e->m, x->ir->type, TG_DT_BOOL);
    return tg_el_dtype(x) == TG_DT_BOOL ? x
                                        : tg_el_result(e, tg_build_int(&e->b, t, 1), 1, &x, where);
}

const tg_val *tg_el_reduce(tg_elab *e, tg_reduce_kind kind, const tg_val *x, int axis,
                           tg_span where) {
    x = kind == TG_RED_COUNT ? existing(e, x, where) : reduce_operand(e, kind, x, where);
    if (tg_el_is_error(x)) {
        return x;
    }
    tg_preds keep = {NULL, 0};
    tg_value *mask = tg_el_axis_mask(e, x, axis, true, &keep);
    tg_val *r = tg_el_tile(e, tg_build_reduce(&e->b, kind, x->ir, axis, mask), where);
    bool arg = kind == TG_RED_ARGMIN || kind == TG_RED_ARGMAX;
    if (arg || kind == TG_RED_COUNT) {
        int64_t n = tg_el_extent(x, axis);
        r->sym = tg_sy_element(e, tg_el_rank(r), r->ir->type->shape, arg && mask != NULL ? -1 : 0,
                               arg ? n - 1 : n, where);
    }
    drop_axis(e, r, x, axis, &keep);
    return r;
}

const tg_val *tg_el_reduce_all(tg_elab *e, tg_reduce_kind kind, const tg_val *x, tg_span where) {
    if (tg_el_rank(x) > 1 && (kind == TG_RED_ARGMAX || kind == TG_RED_ARGMIN)) {
        tg_diag *d = tg_el_error(e, TG_D_SHAPE, where, "the position in %s needs an axis",
                                 tg_el_describe(e, x));
        tg_note_add(e->sink, d, where, "add `axis 0`, or reshape to one axis first");
        return &tg_val_error;
    }
    if (tg_el_rank(x) == 0) {
        x = tg_el_new_axes(e, x, 1u, where);
    }
    bool count = kind == TG_RED_COUNT;
    for (bool first = true; !tg_el_is_error(x) && tg_el_rank(x) > 0; first = false) {
        x = tg_el_reduce(e, count && !first ? TG_RED_SUM : kind, x, tg_el_rank(x) - 1, where);
    }
    return x;
}

const tg_val *tg_el_mean(tg_elab *e, const tg_val *x, int axis, tg_span where) {
    tg_dtype t = tg_dtype_arith(tg_el_dtype(x));
    if (!tg_dtype_is_float(t)) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, where, "the mean of %s: convert with `as f32` first",
                    tg_el_describe(e, x));
        return &tg_val_error;
    }
    const tg_val *s, *n;
    if (axis >= 0) {
        s = tg_el_reduce(e, TG_RED_SUM, x, axis, where);
        n = tg_el_reduce(e, TG_RED_COUNT, x, axis, where);
    } else {
        s = tg_el_reduce_all(e, TG_RED_SUM, x, where);
        n = tg_el_reduce_all(e, TG_RED_COUNT, x, where);
    }
    bool ragged = false;
    for (int i = 0; i < x->preds.n; i++) {
        ragged = ragged || axis < 0 || tg_pr_mentions(x->preds.items[i], axis);
    }
    if (!ragged && !tg_el_is_error(s)) { /* nothing is skipped: the count is the extent */
        int64_t c = axis >= 0 ? tg_el_extent(x, axis) : tg_type_count(x->ir->type);
        return tg_el_binary(e, TG_BIN_DIV, s, tg_el_float(e, (double)c, where), where);
    }
    if (tg_el_is_error(s) || tg_el_is_error(n)) {
        return &tg_val_error;
    }
    return tg_el_binary(e, TG_BIN_DIV, s, tg_el_cast(e, n, t, TG_ROUND_RNE, false, where), where);
}

const tg_val *tg_el_scan(tg_elab *e, tg_reduce_kind kind, const tg_val *x, int axis, bool exclusive,
                         tg_span where) {
    if (tg_el_dtype(x) == TG_DT_BOOL && kind == TG_RED_SUM) {
        x = tg_el_cast(e, x, TG_DT_I32, TG_ROUND_RNE, false, where);
    }
    x = reduce_operand(e, kind, x, where);
    if (tg_el_is_error(x)) {
        return x;
    }
    tg_preds keep = {NULL, 0};
    tg_value *mask = tg_el_axis_mask(e, x, axis, false, &keep), *operands[2] = {x->ir, mask};
    tg_op *op = tg_build_op(&e->b, TG_OP_SCAN, mask != NULL ? 2 : 1, operands, 1, &x->ir->type, 0);
    tg_op_set_int(op, TG_ATTR_RED, kind);
    tg_op_set_int(op, TG_ATTR_AXIS, axis);
    if (mask != NULL) {
        tg_op_set_int(op, TG_ATTR_MASKED, 1);
    }
    if (exclusive) {
        tg_op_set_int(op, TG_ATTR_EXCL, 1);
    }
    tg_val *r = tg_el_tile(e, &op->results[0], where);
    for (int a = 0; a < tg_el_rank(x); a++) {
        r->id[a] = x->id[a];
    }
    r->preds = keep;
    return r;
}

/* Permuted along axis: the identity of that axis is gone; absent elements went last, so a mask
 * remains. */
static tg_val *permuted(tg_elab *e, tg_value *ir, const tg_val *key, int axis, const tg_preds *keep,
                        tg_value *mask, tg_span where) {
    tg_val *r = tg_el_tile(e, ir, where);
    for (int a = 0; a < tg_el_rank(key); a++) {
        r->id[a] = a == axis ? NULL : key->id[a];
    }
    r->preds = *keep;
    if (mask == NULL) {
        return r;
    }
    /* Element t exists when more than t do. */
    const tg_type *t = ir->type;
    int64_t n = t->shape[axis], axes[TG_MAX_RANK];
    int iaxes[TG_MAX_RANK], k = 0;
    tg_value *count = tg_build_reduce(&e->b, TG_RED_COUNT, mask, axis, NULL);
    for (int a = 0; a < t->rank; a++) {
        iaxes[a] = a;
        if (a != axis) {
            axes[k++] = a;
        }
    }
    count = tg_build_broadcast(&e->b, count, t->rank, t->shape, axes);
    axes[0] = axis;
    tg_value *pos =
        tg_build_broadcast(&e->b, tg_build_iota(&e->b, TG_DT_I32, n), t->rank, t->shape, axes);
    tg_value *there = tg_build_cmp(&e->b, TG_CMP_LT, pos, count);
    tg_pr_add(e, &r->preds, tg_pr_from_mask(e, there, t->rank, iaxes, where));
    return r;
}

const tg_val *tg_el_sort(tg_elab *e, int n, const tg_val *const *xs, int axis, bool desc,
                         tg_span where) {
    const tg_val *v[TG_MAX_RANK];
    if (n > TG_MAX_RANK - 1) {
        tg_el_error(e, TG_D_SHAPE, where, "sort carries at most %d values along", TG_MAX_RANK - 2);
        return &tg_val_error;
    }
    for (int i = 0; i < n; i++) {
        v[i] = xs[i];
    }
    if (!tg_el_align(e, n, v, where)) {
        return &tg_val_error;
    }
    tg_val all = *v[0];
    for (int i = 1; i < n; i++) {
        tg_pr_join(e, &all.preds, &v[i]->preds);
    }
    tg_preds keep = {NULL, 0};
    tg_value *mask = tg_el_axis_mask(e, &all, axis, false, &keep), *operands[TG_MAX_RANK + 1];
    const tg_type *types[TG_MAX_RANK];
    for (int i = 0; i < n; i++) {
        operands[i] = v[i]->ir;
        types[i] = v[i]->ir->type;
    }
    operands[n] = mask;
    tg_op *op = tg_build_op(&e->b, TG_OP_SORT, mask != NULL ? n + 1 : n, operands, n, types, 0);
    tg_op_set_int(op, TG_ATTR_AXIS, axis);
    if (desc) {
        tg_op_set_int(op, TG_ATTR_DESC, 1);
    }
    if (mask != NULL) {
        tg_op_set_int(op, TG_ATTR_MASKED, 1);
    }
    const tg_val *out[TG_MAX_RANK];
    for (int i = 0; i < n; i++) {
        out[i] = permuted(e, &op->results[i], v[0], axis, &keep, mask, where);
    }
    return n == 1 ? out[0] : tg_el_tuple(e, n, out, NULL, where);
}

const tg_val *tg_el_topk(tg_elab *e, const tg_val *x, int64_t k, int axis, tg_span where) {
    static const char *const names[] = {"v", "i"};
    if (k < 1 || k > tg_el_extent(x, axis)) {
        tg_el_error(e, TG_D_SHAPE, where, "the %lld largest of %lld elements", (long long)k,
                    (long long)tg_el_extent(x, axis));
        return &tg_val_error;
    }
    tg_preds keep = {NULL, 0};
    tg_value *mask = tg_el_axis_mask(e, x, axis, false, &keep), *operands[2] = {x->ir, mask};
    int64_t shape[TG_MAX_RANK];
    for (int a = 0; a < tg_el_rank(x); a++) {
        shape[a] = a == axis ? k : tg_el_extent(x, a);
    }
    const tg_type *types[2] = {tg_type_tile(e->m, tg_el_dtype(x), tg_el_rank(x), shape),
                               tg_type_tile(e->m, TG_DT_I32, tg_el_rank(x), shape)};
    tg_op *op = tg_build_op(&e->b, TG_OP_TOPK, mask != NULL ? 2 : 1, operands, 2, types, 0);
    tg_op_set_int(op, TG_ATTR_K, k);
    tg_op_set_int(op, TG_ATTR_AXIS, axis);
    if (mask != NULL) {
        tg_op_set_int(op, TG_ATTR_MASKED, 1);
    }
    tg_value *there = NULL;
    if (mask != NULL) { /* a position of -1 marks what is missing */
        tg_value *zero = tg_build_int(&e->b, types[1], 0);
        there = tg_build_cmp(&e->b, TG_CMP_GE, &op->results[1], zero);
    }
    const tg_val *out[2];
    for (int i = 0; i < 2; i++) {
        tg_val *r = tg_el_tile(e, &op->results[i], where);
        int axes[TG_MAX_RANK];
        for (int a = 0; a < tg_el_rank(x); a++) {
            axes[a] = a;
            r->id[a] = a == axis ? NULL : x->id[a];
        }
        r->preds = keep;
        if (there != NULL) {
            tg_pr_add(e, &r->preds, tg_pr_from_mask(e, there, tg_el_rank(x), axes, where));
        }
        if (i == 1) {
            r->sym = tg_sy_element(e, tg_el_rank(x), shape, mask != NULL ? -1 : 0,
                                   tg_el_extent(x, axis) - 1, where);
        }
        out[i] = r;
    }
    return tg_el_tuple(e, 2, out, names, where);
}

const tg_val *tg_el_rank_by_key(tg_elab *e, const tg_val *key, int64_t n, tg_span where) {
    if (tg_el_rank(key) != 1 || !tg_dtype_is_int(tg_el_dtype(key)) || n < 1) {
        tg_el_error(
            e, TG_D_TYPE_MISMATCH, where,
            "rank_by_key takes one axis of integers and how many keys there are, not %s and %lld",
            tg_el_describe(e, key), (long long)n);
        return &tg_val_error;
    }
    tg_preds keep = {NULL, 0};
    tg_value *mask = tg_el_axis_mask(e, key, 0, true, &keep), *operands[2] = {key->ir, mask};
    const tg_type *type = tg_type_with_dtype(e->m, key->ir->type, TG_DT_I32);
    tg_op *op = tg_build_op(&e->b, TG_OP_RANK_BY_KEY, mask != NULL ? 2 : 1, operands, 1, &type, 0);
    tg_op_set_int(op, TG_ATTR_N, n);
    if (mask != NULL) {
        tg_op_set_int(op, TG_ATTR_MASKED, 1);
    }
    tg_val *r = tg_el_tile(e, &op->results[0], where);
    r->id[0] = key->id[0];
    r->sym = tg_sy_element(e, 1, r->ir->type->shape, 0, tg_el_extent(key, 0) - 1, where);
    r->preds = key->preds; /* what has no key has no rank */
    return r;
}

const tg_val *tg_el_compress(tg_elab *e, const tg_val *x, const tg_val *mask, tg_span where) {
    static const char *const names[] = {"v", "n"};
    const tg_val *v[2] = {x, mask};
    if (tg_el_rank(x) != 1 || tg_el_dtype(mask) != TG_DT_BOOL || !tg_el_align(e, 2, v, where)) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, where,
                    "compress takes one axis and a bool for each of its elements");
        return &tg_val_error;
    }
    tg_val all = *v[0];
    tg_pr_join(e, &all.preds, &v[1]->preds);
    tg_preds keep = {NULL, 0};
    tg_value *there = tg_el_axis_mask(e, &all, 0, true, &keep);
    tg_value *m = there == NULL ? v[1]->ir : tg_build_binary(&e->b, TG_OP_AND, v[1]->ir, there);
    tg_value *operands[2] = {v[0]->ir, m};
    const tg_type *types[2] = {x->ir->type, tg_type_scalar(e->m, TG_DT_I32)};
    tg_op *op = tg_build_op(&e->b, TG_OP_COMPRESS, 2, operands, 2, types, 0);
    tg_val *a = tg_el_tile(e, &op->results[0], where), *n = tg_el_tile(e, &op->results[1], where);
    int64_t len = tg_el_extent(x, 0);
    tg_value *pos = tg_build_iota(&e->b, TG_DT_I32, len);
    int axes[1] = {0};
    a->preds = n->preds = keep;
    tg_value *front =
        tg_build_cmp(&e->b, TG_CMP_LT, pos, tg_build_splat_tile(&e->b, &op->results[1], 1, &len));
    tg_pr_add(e, &a->preds, tg_pr_from_mask(e, front, 1, axes, where));
    const tg_val *out[2] = {a, n};
    return tg_el_tuple(e, 2, out, names, where);
}

/* Joint mask of operands that are counted element by element: every predicate over some axis. */
static tg_value *element_mask(tg_elab *e, int n, const tg_val *const *v, tg_preds *keep) {
    tg_preds on = {NULL, 0};
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < v[i]->preds.n; k++) {
            tg_pr_add(
                e, v[i]->preds.items[k]->n_axes == 0 && !v[i]->preds.items[k]->chosen ? keep : &on,
                v[i]->preds.items[k]);
        }
    }
    const tg_type *t = v[0]->ir->type;
    return tg_pr_conj(e, &on, t->rank, t->shape);
}

const tg_val *tg_el_histogram(tg_elab *e, const tg_val *bin, const tg_val *weight, int64_t n,
                              tg_span where) {
    const tg_val *v[2] = {bin, weight};
    int nv = weight != NULL ? 2 : 1;
    tg_preds keep = {NULL, 0};
    if (weight != NULL && tg_el_is_const(weight)) {
        v[1] = tg_el_adapt(e, weight, TG_DT_I32);
    }
    bool ints = tg_dtype_is_int(tg_el_dtype(bin)) &&
                (weight == NULL || (v[1] != NULL && tg_dtype_is_int(tg_el_dtype(v[1]))));
    if (!ints || n < 1 || n > ((int64_t)1 << 24) || !tg_el_align(e, nv, v, where)) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, where,
                    "histogram takes integer bins, their number and integer weights");
        return &tg_val_error;
    }
    tg_value *mask = element_mask(e, nv, v, &keep), *operands[3] = {v[0]->ir};
    int count = 1;
    tg_dtype t = TG_DT_I32;
    if (weight != NULL) {
        operands[count++] = v[1]->ir;
        t = tg_el_dtype(v[1]);
    }
    if (mask != NULL) {
        operands[count++] = mask;
    }
    const tg_type *type = tg_type_tile(e->m, t, 1, &n);
    tg_op *op = tg_build_op(&e->b, TG_OP_HISTOGRAM, count, operands, 1, &type, 0);
    tg_op_set_int(op, TG_ATTR_N, n);
    if (mask != NULL) {
        tg_op_set_int(op, TG_ATTR_MASKED, 1);
    }
    tg_val *r = tg_el_tile(e, &op->results[0], where);
    r->preds = keep;
    return r;
}

const tg_val *tg_el_scatter_add(tg_elab *e, const tg_val *t, const tg_val *i, const tg_val *v,
                                tg_span where) {
    const tg_val *iv[2] = {i, v};
    if (tg_el_is_const(v)) {
        iv[1] = tg_el_adapt(e, v, tg_el_dtype(t));
        if (iv[1] == NULL) {
            return &tg_val_error;
        }
    } else if (tg_dtype_is_int(tg_el_dtype(v)) && tg_dtype_is_int(tg_el_dtype(t))) {
        iv[1] = tg_el_cast(e, v, tg_el_dtype(t), TG_ROUND_RNE, false, where);
    }
    if (tg_el_rank(t) != 1 || !tg_dtype_is_int(tg_el_dtype(i)) ||
        tg_el_dtype(iv[1]) != tg_el_dtype(t)) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, where,
                    "scatter_add takes one axis, integer positions in it and values of its type");
        return &tg_val_error;
    }
    if (!tg_el_align(e, 2, iv, where)) {
        return &tg_val_error;
    }
    tg_preds keep = t->preds;
    tg_value *mask = element_mask(e, 2, iv, &keep),
             *operands[4] = {t->ir, iv[0]->ir, iv[1]->ir, mask};
    tg_op *op =
        tg_build_op(&e->b, TG_OP_SCATTER_ADD, mask != NULL ? 4 : 3, operands, 1, &t->ir->type, 0);
    if (mask != NULL) {
        tg_op_set_int(op, TG_ATTR_MASKED, 1);
    }
    tg_val *r = tg_el_tile(e, &op->results[0], where);
    r->id[0] = t->id[0];
    r->preds = keep;
    return r;
}

const tg_val *tg_el_user_reduce(tg_elab *e, const tg_val *x, const tg_decl *fn, const tg_val *init,
                                int axis, tg_span where) {
    tg_dtype t = tg_el_dtype(x);
    if (tg_el_is_const(init)) {
        init = tg_el_adapt(e, init, t);
    }
    if (init == NULL || tg_el_rank(init) != 0 || tg_el_dtype(init) != t) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, where,
                    "reduce starts from a scalar of the elements' type, %s", tg_dtype_name(t));
        return &tg_val_error;
    }
    tg_preds keep = {NULL, 0};
    tg_value *mask = tg_el_axis_mask(e, x, axis, false, &keep),
             *operands[3] = {x->ir, init->ir, mask};
    int64_t shape[TG_MAX_RANK];
    for (int a = 0, k = 0; a < tg_el_rank(x); a++) {
        if (a != axis) {
            shape[k++] = tg_el_extent(x, a);
        }
    }
    const tg_type *type = tg_type_tile(e->m, t, tg_el_rank(x) - 1, shape),
                  *scalar = tg_type_scalar(e->m, t);
    tg_op *op = tg_build_op(&e->b, TG_OP_REDUCE, mask != NULL ? 3 : 2, operands, 1, &type, 1);
    tg_op_set_int(op, TG_ATTR_RED, TG_RED_USER);
    tg_op_set_int(op, TG_ATTR_AXIS, axis);
    if (mask != NULL) {
        tg_op_set_int(op, TG_ATTR_MASKED, 1);
    }
    tg_builder outer = e->b;
    e->b = tg_builder_at_end(op->regions[0]);
    e->b.span = where;
    const tg_val *args[2] = {tg_el_tile(e, tg_region_add_arg(op->regions[0], scalar, "acc"), where),
                             tg_el_tile(e, tg_region_add_arg(op->regions[0], scalar, "x"), where)};
    const tg_val *y = tg_el_inline(e, fn, 2, args, where);
    if (!tg_el_is_error(y) && tg_el_is_const(y)) {
        y = tg_el_adapt(e, y, t);
    }
    if (y == NULL || tg_el_is_error(y) || y->kind != TG_VAL_TILE || y->ir->type != scalar) {
        if (y != NULL && !tg_el_is_error(y)) {
            tg_el_error(e, TG_D_TYPE_MISMATCH, where, "the function combines two %s into %s",
                        tg_dtype_name(t), tg_el_describe(e, y));
        }
        e->b = outer;
        tg_el_erase(op);
        return &tg_val_error;
    }
    tg_value *out = y->ir;
    tg_build_op(&e->b, TG_OP_YIELD, 1, &out, 0, NULL, 0);
    e->b = outer;
    tg_val *r = tg_el_tile(e, &op->results[0], where);
    drop_axis(e, r, x, axis, &keep);
    return r;
}
