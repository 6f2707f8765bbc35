/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verifier of the placed level: every tile has a layout, and every operand the one that its
 * operation needs (docs/placed.md). Equal means equal over the tile's shape, whatever the digits.
 */
#include "ir/layout.h"
#include "ir/verify.h"

static bool is_held(const tg_type *t) { return t->kind == TG_TY_TILE && t->rank > 0; }

/* Operand i, if a tile, has layout want. */
static bool has_layout(tg_verifier *v, const tg_op *op, int i, const tg_layout *want) {
    const tg_type *t = tg_operand_type(op, i);
    TG_CHECK(!is_held(t) || (want->rank == t->rank && tg_layout_equal(t->layout, want, t->shape)),
             "operand %d, %s, does not have the layout of its use", i, tg_verify_type(v, t));
    return true;
}

static bool projected(tg_verifier *v, const tg_op *op, int i, const tg_layout *from,
                      const int64_t *axes) {
    const tg_type *t = tg_operand_type(op, i);
    return !is_held(t) ||
           has_layout(v, op, i, tg_layout_project(v->f->module, from, t->rank, axes));
}

/* Index operands from `first` on, then the mask, for a tile of layout l. */
static bool access_layouts(tg_verifier *v, const tg_op *op, int first, const tg_layout *l) {
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    int end = op->n_operands - tg_verify_exchanges(v, op);
    bool masked = tg_attr_int(op, TG_ATTR_MASKED, 0) != 0;
    size_t at = 0;
    for (int i = first; l != NULL && i < end - (masked ? 1 : 0); i++) {
        if (!projected(v, op, i, l, axes->list + at)) {
            return false;
        }
        at += tg_operand_type(op, i)->rank;
    }
    return l == NULL || !masked || has_layout(v, op, end - 1, l);
}

static bool atomic_layouts(tg_verifier *v, const tg_op *op) {
    const tg_type *t = op->results[0].type;
    int first = tg_attr_int(op, TG_ATTR_ATOMIC, 0) == TG_ATOMIC_CAS ? 3 : 2;
    bool replicas = t->rank == 0 || tg_layout_has_replicas(t->layout);
    int n = tg_verify_exchanges(v, op);
    TG_CHECK(op->results[0].uses == NULL || !replicas || n == 1,
             "old values reach all holders by an exchange buffer");
    if (n == 1) {
        const tg_type *b = tg_operand_type(op, op->n_operands - 1);
        TG_CHECK(b->dtype == t->dtype && tg_type_count(b) == tg_type_count(t),
                 "the exchange buffer is %s", tg_verify_type(v, b));
    }
    for (int i = 1; t->rank > 0 && i < first; i++) {
        if (!has_layout(v, op, i, t->layout)) {
            return false;
        }
    }
    return access_layouts(v, op, first, t->layout);
}

static int64_t lane_parts(const tg_layout *l, int64_t axis) {
    int64_t parts = 1;
    for (int i = 0; i < l->n_modes; i++) {
        bool on = l->modes[i].axis == axis && l->modes[i].resource == TG_RES_LANE;
        parts *= on ? l->modes[i].extent : 1;
    }
    return parts;
}

static bool reduce_layouts(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 0), *r = op->results[0].type;
    int64_t axis = tg_attr_int(op, TG_ATTR_AXIS, 0), parts = lane_parts(x->layout, axis);
    tg_reduce_kind kind = (tg_reduce_kind)tg_attr_int(op, TG_ATTR_RED, 0);
    int n = tg_verify_exchanges(v, op), want = 1;
    TG_CHECK(kind != TG_RED_USER, "a reduction with a region is a team operation");
    if (kind == TG_RED_ARGMIN || kind == TG_RED_ARGMAX) {
        want = 2;
    }
    int64_t within = tg_attr_int(op, TG_ATTR_WITHIN, 0);
    TG_CHECK(within == 0 || tg_layout_is_within(x->layout, (int)axis, within),
             "lanes along the axis are not in groups of %lld", (long long)within);
    TG_CHECK(n == (parts > 1 && within == 0 ? want : 0),
             "%lld lanes along the axis and %d exchange buffers", (long long)parts, n);
    for (int i = op->n_operands - n; i < op->n_operands; i++) {
        const tg_type *b = tg_operand_type(op, i);
        TG_CHECK(b->rank == 2 && b->shape[0] == parts && b->shape[1] == tg_type_count(r),
                 "the exchange buffer is %s", tg_verify_type(v, b));
    }
    if (tg_attr_int(op, TG_ATTR_MASKED, 0) != 0) {
        bool full = tg_operand_type(op, 1)->rank == x->rank;
        if (full ? !has_layout(v, op, 1, x->layout) : !projected(v, op, 1, x->layout, &axis)) {
            return false;
        }
    }
    const tg_layout *drop = tg_layout_drop(v->f->module, x->layout, (int)axis);
    TG_CHECK(r->rank == 0 || tg_layout_equal(r->layout, drop, r->shape),
             "the result does not have the operand's layout without the axis");
    return true;
}

static bool reshape_layout(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 0), *r = op->results[0].type;
    if (!is_held(x) || !is_held(r)) {
        return true;
    }
    const tg_layout *l =
        tg_layout_reshape(v->f->module, x->layout, x->rank, x->shape, r->rank, r->shape);
    if (l == NULL || !tg_layout_equal(l, r->layout, r->shape)) { /* or the other way round */
        l = tg_layout_reshape(v->f->module, r->layout, r->rank, r->shape, x->rank, x->shape);
        TG_CHECK(l != NULL && tg_layout_equal(l, x->layout, x->shape),
                 "the layouts are not those of one reshape");
    }
    return true;
}

static bool all_like(tg_verifier *v, const tg_op *op, const tg_type *t) {
    for (int i = 0; is_held(t) && i < op->n_operands; i++) {
        if (!has_layout(v, op, i, t->layout)) {
            return false;
        }
    }
    return true;
}

static bool gather_layouts(tg_verifier *v, const tg_op *op) {
    int64_t axis = tg_attr_int(op, TG_ATTR_AXIS, 0), axes[TG_MAX_RANK];
    for (int a = 0; a < tg_operand_type(op, 1)->rank; a++) {
        axes[a] = axis + a;
    }
    return op->results[0].type->rank == 0 || projected(v, op, 1, op->results[0].type->layout, axes);
}

static bool broadcast_layouts(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 0), *r = op->results[0].type;
    return x->rank == 0 ||
           has_layout(v, op, 0,
                      tg_layout_project_shape(v->f->module, r->layout, x->rank, x->shape,
                                              tg_attr_get(op, TG_ATTR_AXES)->list, r->shape));
}

static bool permute_layouts(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 0), *r = op->results[0].type;
    TG_CHECK(r->rank == 0 || tg_layout_equal(r->layout,
                                             tg_layout_permute(v->f->module, x->layout, r->rank,
                                                               tg_attr_get(op, TG_ATTR_AXES)->list),
                                             r->shape),
             "the result does not have the operand's layout permuted");
    return true;
}

static bool everything_is_held(tg_verifier *v, const tg_op *op) {
    for (int i = 0; i < op->n_operands + op->n_results; i++) {
        const tg_type *t =
            i < op->n_operands ? tg_operand_type(op, i) : op->results[i - op->n_operands].type;
        TG_CHECK(!is_held(t) || t->layout != NULL, "%s has no layout", tg_verify_type(v, t));
    }
    return true;
}

/* Copies deal their elements to lanes themselves, so their tile indices are in buffers' reach of
 * every lane. */
static bool copy_layouts(tg_verifier *v, const tg_op *op) {
    for (int i = 1; i < op->n_operands; i++) {
        TG_CHECK(!is_held(tg_operand_type(op, i)), "indices of copies are scalars and spans");
    }
    return true;
}

bool tg_verify_op_layouts(tg_verifier *v, const tg_op *op) {
    if (!everything_is_held(v, op)) {
        return false;
    }
    if ((tg_op_info_get(op->code)->flags & TG_OPF_ELEMENTWISE) != 0) {
        return all_like(v, op, op->results[0].type);
    }
    switch ((int)op->code) {
    case TG_OP_PRESENT:
        return all_like(v, op, op->results[0].type);
    case TG_OP_LOAD:
        return access_layouts(v, op, 1, op->results[0].type->layout);
    case TG_OP_STORE:
        return access_layouts(v, op, 2, tg_operand_type(op, 1)->layout);
    case TG_OP_ATOMIC:
        return atomic_layouts(v, op);
    case TG_OP_COPY:
        return copy_layouts(v, op);
    case TG_OP_BROADCAST:
        return broadcast_layouts(v, op);
    case TG_OP_PERMUTE:
        return permute_layouts(v, op);
    case TG_OP_RESHAPE:
        return reshape_layout(v, op);
    case TG_OP_REDUCE:
        return reduce_layouts(v, op);
    case TG_OP_GET_AT:
        return gather_layouts(v, op);
    case TG_OP_DOT:
        return tg_verify_dot_unit(v, op);
    case TG_OP_SLICE:
    case TG_OP_CONCAT:
    case TG_OP_LOCAL_GATHER:
    case TG_OP_SCAN:
    case TG_OP_SORT:
    case TG_OP_TOPK:
    case TG_OP_RANK_BY_KEY:
    case TG_OP_COMPRESS:
    case TG_OP_HISTOGRAM:
    case TG_OP_SCATTER_ADD:
    case TG_OP_EXTERN:
        return tg_verify_fail(v, "goes through buffers at this level");
    default:
        return true;
    }
}
