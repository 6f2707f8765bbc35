/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who holds what: every operation that reads tiles without memory between them must find, in each
 * lane, the elements that the lane's results are made from.
 */
#include "ir/check/internal.h"

#include <string.h>

static bool is_held(const tg_type *t) { return t->kind == TG_TY_TILE && t->rank > 0; }

static const char *op_name(const tg_op *op) { return tg_op_info_get(op->code)->name; }

/* A tile type by itself. */
static void check_type(tg_checker *c, const tg_op *op, const tg_type *t) {
    if (!is_held(t)) {
        return;
    }
    if (t->layout == NULL) {
        tg_check_report(c, op, "a tile of %s has no layout", op_name(op));
        return;
    }
    const tg_holders *h = tg_holders_get(&c->holders, t);
    if (h->clash) {
        tg_check_report(c, op, "a layout of %s gives one register two elements", op_name(op));
    }
    if (h->lanes > c->func->lanes) {
        tg_check_report(c, op, "a layout of %s has %lld lanes of %lld", op_name(op),
                        (long long)h->lanes, (long long)c->func->lanes);
    }
    for (int64_t e = 0; e < h->count; e++) {
        if (h->owner[e] < 0) {
            tg_check_report(c, op, "no lane holds element %lld of a tile of %s", (long long)e,
                            op_name(op));
            return;
        }
    }
}

/* Elementwise: the same registers hold the same elements. */
static void check_same(tg_checker *c, const tg_op *op, const tg_type *x, const tg_type *r) {
    if (!is_held(x) || !is_held(r) || x->layout == r->layout || !x->layout || !r->layout) {
        return;
    }
    const tg_holders *a = tg_holders_get(&c->holders, x), *b = tg_holders_get(&c->holders, r);
    bool same = a->count == b->count;
    for (int64_t lane = 0; same && lane < b->lanes; lane++) {
        for (int64_t reg = 0; same && reg < b->regs; reg++) {
            int32_t e = b->elem[lane * b->regs + reg];
            same =
                e < 0 || (reg < a->regs && lane < a->lanes && a->elem[lane * a->regs + reg] == e);
        }
    }
    if (!same) {
        tg_check_report(c, op, "an operand of %s does not have the layout of the result",
                        op_name(op));
    }
}

/* Element e of x is in the lane. */
static bool has(const tg_holders *x, int64_t lane, int64_t e) {
    return e >= 0 && lane < x->lanes && x->reg[lane * x->count + e] >= 0;
}

static void missing(tg_checker *c, const tg_op *op, int64_t lane, int64_t e) {
    tg_check_report(c, op, "lane %lld of %s does not hold element %lld that it needs",
                    (long long)lane, op_name(op), (long long)e);
}

/* A scalar is the same in every lane: each must hold the element that becomes it. */
static void check_scalar(tg_checker *c, const tg_op *op) {
    const tg_type *x = tg_operand(op, 0)->type;
    const tg_holders *h = is_held(x) && x->layout ? tg_holders_get(&c->holders, x) : NULL;
    int64_t lanes = c->role_lanes > 0 ? c->role_lanes : c->func->lanes;
    for (int64_t lane = 0; h != NULL && lane < lanes; lane++) {
        if (!has(h, lane, 0)) {
            missing(c, op, lane, 0);
            return;
        }
    }
}

static void check_renamed(tg_checker *c, const tg_op *op) {
    const tg_type *x = tg_operand(op, 0)->type, *r = op->results[0].type;
    if (r->kind == TG_TY_TILE && r->rank == 0) {
        check_scalar(c, op);
        return;
    }
    if (x->kind != TG_TY_TILE || !is_held(r) || (is_held(x) && !x->layout) || !r->layout) {
        return;
    }
    const tg_holders *hx = tg_holders_get(&c->holders, x), *hr = tg_holders_get(&c->holders, r);
    for (int64_t i = 0; i < hr->lanes * hr->regs; i++) {
        if (hr->elem[i] >= 0 && !has(hx, i / hr->regs, tg_source_elem(op, hr->elem[i]))) {
            missing(c, op, i / hr->regs, tg_source_elem(op, hr->elem[i]));
            return;
        }
    }
}

/* ---- memory --------------------------------------------------------------------------------- */

/* Element of an index operand for an element of the value; its axes start at list[at]. */
static int64_t index_elem(const tg_type *index, const int64_t *list, const int64_t *coords) {
    int64_t at[TG_MAX_RANK];
    for (int k = 0; k < index->rank; k++) {
        at[k] = coords[list[k]];
    }
    return tg_elem_of(index->rank, index->shape, at);
}

static void check_index(tg_checker *c, const tg_op *op, const tg_type *value, const tg_type *index,
                        const int64_t *list) {
    if (!is_held(index) || !index->layout || (is_held(value) && !value->layout)) {
        return;
    }
    const tg_holders *hv = tg_holders_get(&c->holders, value);
    const tg_holders *hi = tg_holders_get(&c->holders, index);
    int64_t coords[TG_MAX_RANK];
    for (int64_t i = 0; i < hv->lanes * hv->regs; i++) {
        if (hv->elem[i] < 0) {
            continue;
        }
        tg_coords_of(value->rank, value->shape, hv->elem[i], coords);
        int64_t e = index_elem(index, list, coords);
        if (!has(hi, i / hv->regs, e)) {
            missing(c, op, i / hv->regs, e);
            return;
        }
    }
}

static void check_memory(tg_checker *c, const tg_op *op) {
    static const int64_t same[TG_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    bool load = op->code == TG_OP_LOAD, masked = tg_attr_int(op, TG_ATTR_MASKED, 0) != 0;
    const tg_type *value = load ? op->results[0].type : tg_operand(op, 1)->type;
    bool cas = op->code == TG_OP_ATOMIC && tg_attr_int(op, TG_ATTR_ATOMIC, 0) == TG_ATOMIC_CAS;
    int at = load ? 1 : cas ? 3 : 2, rank = tg_operand(op, 0)->type->rank;
    size_t used = 0;
    for (int i = 0; i < rank && at + i < op->n_operands && axes != NULL; i++) {
        const tg_type *index = tg_operand(op, at + i)->type;
        check_index(c, op, value, index, axes->list + used);
        used += index->kind == TG_TY_SPAN ? 1 : index->rank;
    }
    if (masked && at + rank < op->n_operands) {
        const tg_type *mask = tg_operand(op, at + rank)->type;
        if (mask->rank == value->rank) {
            check_index(c, op, value, mask, same);
        }
    }
    if (op->code == TG_OP_ATOMIC) {
        check_same(c, op, value, op->results[0].type);
        check_same(c, op, op->results[0].type, value);
    }
}

/* ---- reduce --------------------------------------------------------------------------------- */

static int64_t parts_on(const tg_layout *l, int64_t axis) {
    int64_t n = 1;
    for (int i = 0; i < l->n_modes; i++) {
        bool on = l->modes[i].axis == axis && l->modes[i].resource == TG_RES_LANE;
        n *= on ? l->modes[i].extent : 1;
    }
    return n;
}

/* Without an exchange each lane has all that its results are combined from. */
/* Some lane of the lane's group has the element. */
static bool has_within(const tg_holders *h, int64_t lane, int64_t e, int64_t group) {
    group = group < 1 ? 1 : group;
    for (int64_t l = lane / group * group; l < (lane / group + 1) * group && l < h->lanes; l++) {
        if (has(h, l, e)) {
            return true;
        }
    }
    return false;
}

static void check_local_reduce(tg_checker *c, const tg_op *op, const tg_type *x, int64_t axis) {
    const tg_type *r = op->results[0].type;
    const tg_holders *hx = tg_holders_get(&c->holders, x), *hr = tg_holders_get(&c->holders, r);
    int64_t to[TG_MAX_RANK] = {0}, from[TG_MAX_RANK];
    for (int64_t i = 0; i < hr->lanes * hr->regs; i++) {
        if (hr->elem[i] < 0) {
            continue;
        }
        tg_coords_of(r->rank, r->shape, hr->elem[i], to);
        for (int64_t k = 0; k < x->shape[axis]; k++) {
            for (int a = 0; a < x->rank; a++) {
                from[a] = a == axis ? k : to[a < axis ? a : a - 1];
            }
            int64_t e = tg_elem_of(x->rank, x->shape, from);
            if (!has_within(hx, i / hr->regs, e, tg_attr_int(op, TG_ATTR_WITHIN, 0))) {
                missing(c, op, i / hr->regs, e);
                return;
            }
        }
    }
}

static void check_reduce(tg_checker *c, const tg_op *op) {
    const tg_type *x = tg_operand(op, 0)->type;
    int64_t axis = tg_attr_int(op, TG_ATTR_AXIS, 0);
    if (!is_held(x) || !x->layout || axis < 0 || axis >= x->rank ||
        (is_held(op->results[0].type) && !op->results[0].type->layout)) {
        return;
    }
    if (tg_attr_int(op, TG_ATTR_EXCHANGE, 0) == 0) {
        check_local_reduce(c, op, x, axis);
        return;
    }
    const tg_type *buf = tg_operand(op, op->n_operands - 1)->type;
    int64_t need = parts_on(x->layout, axis) * tg_type_count(op->results[0].type);
    if (buf->kind != TG_TY_BUFFER || tg_type_count(buf) < need) {
        tg_check_report(c, op, "the exchange of reduce needs %lld elements", (long long)need);
    }
}

/* The index of get_at lies in the lane. */
static void check_get_at(tg_checker *c, const tg_op *op) {
    const tg_type *index = tg_operand(op, 1)->type;
    int64_t list[TG_MAX_RANK], axis = tg_attr_int(op, TG_ATTR_AXIS, 0);
    for (int k = 0; k < index->rank; k++) {
        list[k] = axis + k;
    }
    check_index(c, op, op->results[0].type, index, list);
}

/* ---- control flow --------------------------------------------------------------------------- */

static void check_handed(tg_checker *c, const tg_op *op, const tg_type *from, const tg_type *to) {
    if (from != to) {
        tg_check_report(c, op, "a value carried by %s changes its type or layout", op_name(op));
    }
}

static const tg_op *yield_of(const tg_region *r) {
    return r->last != NULL && r->last->code == TG_OP_YIELD ? r->last : NULL;
}

/* What goes in, around and out has one type. */
static void check_carried(tg_checker *c, const tg_op *op) {
    bool loop = op->code == TG_OP_FOR, test = op->code == TG_OP_WHILE;
    for (int k = 0; k < op->n_regions; k++) {
        const tg_region *r = op->regions[k];
        const tg_op *y = yield_of(r);
        int skip = test && k == 0 ? 1 : 0;
        for (int i = 0; y != NULL && i < op->n_results && i + skip < y->n_operands; i++) {
            check_handed(c, op, tg_operand(y, i + skip)->type, op->results[i].type);
        }
        for (int i = 0; (loop || test) && i < op->n_results; i++) {
            int arg = loop ? i + 1 : i, operand = loop ? i + 3 : i;
            if (arg < r->n_args && operand < op->n_operands) {
                check_handed(c, op, tg_operand(op, operand)->type, r->args[arg]->type);
            }
        }
    }
}

void tg_check_layouts(tg_checker *c, const tg_op *op) {
    for (int i = 0; i < op->n_results; i++) {
        check_type(c, op, op->results[i].type);
    }
    if ((tg_op_info_get(op->code)->flags & TG_OPF_ELEMENTWISE) != 0) {
        for (int i = 0; i < op->n_operands; i++) {
            check_same(c, op, tg_operand(op, i)->type, op->results[0].type);
        }
        return;
    }
    switch ((int)op->code) {
    case TG_OP_FOR:
    case TG_OP_WHILE:
    case TG_OP_IF:
        check_carried(c, op);
        return;
    case TG_OP_BROADCAST:
    case TG_OP_PERMUTE:
    case TG_OP_RESHAPE:
        check_renamed(c, op);
        return;
    case TG_OP_CONVERT:
        if (tg_attr_int(op, TG_ATTR_EXCHANGE, 0) == 0) {
            check_renamed(c, op);
        }
        return;
    case TG_OP_LOAD:
    case TG_OP_STORE:
    case TG_OP_ATOMIC:
        check_memory(c, op);
        return;
    case TG_OP_REDUCE:
        check_reduce(c, op);
        return;
    case TG_OP_GET_AT:
        check_get_at(c, op);
        return;
    case TG_OP_DOT:
        check_same(c, op, tg_operand(op, 2)->type, op->results[0].type);
        return;
    }
}
