/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verifier rules of the placed level (docs/placed.md): types with layouts, buffers and the
 * operations on them, and that every operand has the layout its operation needs.
 */
#include "ir/layout.h"
#include "ir/verify.h"

#include <string.h>

/* ---- types ---------------------------------------------------------------------------------- */

bool tg_verify_layout(tg_verifier *v, const tg_type *t) {
    const tg_layout *l = t->layout;
    TG_CHECK(v->f->level == TG_LEVEL_PLACED && t->kind == TG_TY_TILE && t->rank > 0,
             "%s: only tiles of the placed level have layouts", tg_verify_type(v, t));
    TG_CHECK(l->rank == t->rank && tg_layout_is_sound(l), "%s: malformed layout",
             tg_verify_type(v, t));
    for (int i = 0; i < l->n_modes; i++) {
        TG_CHECK(l->modes[i].resource != TG_RES_MEM, "%s: a tile lies in lanes, not in memory",
                 tg_verify_type(v, t));
    }
    TG_CHECK(tg_layout_covers(l, t->shape), "%s: the layout misses elements", tg_verify_type(v, t));
    TG_CHECK(tg_layout_size(l, TG_RES_LANE) == v->lanes, "%s: a layout of %lld lanes for %lld",
             tg_verify_type(v, t), (long long)tg_layout_size(l, TG_RES_LANE), (long long)v->lanes);
    return true;
}

bool tg_verify_buffer_type(tg_verifier *v, const tg_type *t) {
    const tg_layout *l = t->layout;
    TG_CHECK(v->f->level != TG_LEVEL_TILE, "buffers do not exist at the tile level");
    TG_CHECK(t->dtype > TG_DT_NONE && t->dtype < TG_DT_RECORD && t->depth >= 1, "%s: bad buffer",
             tg_verify_type(v, t));
    for (int i = 0; i < t->rank; i++) {
        TG_CHECK(t->shape[i] >= 1, "%s: extents start at 1", tg_verify_type(v, t));
    }
    TG_CHECK(v->f->level == TG_LEVEL_PLACED || (t->rank == 1 && t->depth == 1 && l == NULL),
             "%s: a lane's arrays have one plain axis", tg_verify_type(v, t));
    if (l == NULL) {
        return true;
    }
    TG_CHECK(l->rank == t->rank && tg_layout_is_sound(l) && tg_layout_covers(l, t->shape),
             "%s: malformed layout", tg_verify_type(v, t));
    for (int i = 0; i < l->n_modes; i++) {
        TG_CHECK(l->modes[i].resource == TG_RES_MEM, "%s: a buffer lies in memory, not in lanes",
                 tg_verify_type(v, t));
    }
    return true;
}

static bool is_buffer(const tg_type *t) { return t->kind == TG_TY_BUFFER; }

/* A buffer of dtype (NONE: any) whose shape is that of a tile. */
static bool holds(const tg_type *buf, const tg_type *tile) {
    return is_buffer(buf) && buf->dtype == tile->dtype && buf->rank == tile->rank &&
           memcmp(buf->shape, tile->shape, (size_t)tile->rank * sizeof(int64_t)) == 0;
}

int tg_verify_exchanges(const tg_verifier *v, const tg_op *op) {
    int n = 0;
    if (v->f->level == TG_LEVEL_PLACED && tg_attr_int(op, TG_ATTR_EXCHANGE, 0) != 0) {
        while (n < op->n_operands && n < 2 &&
               is_buffer(tg_operand_type(op, op->n_operands - 1 - n))) {
            n++;
        }
    }
    return n;
}

/* ---- buffers -------------------------------------------------------------------------------- */

bool tg_verify_BUFFER(tg_verifier *v, const tg_op *op) {
    const tg_type *t = op->results[0].type;
    int64_t offset = tg_attr_int(op, TG_ATTR_OFFSET, 0), align = tg_attr_int(op, TG_ATTR_ALIGN, 1);
    TG_CHECK(is_buffer(t) && t->space != TG_SPACE_PRIVATE, "makes memory of the program");
    TG_CHECK(offset >= 0 && align >= 1 && offset % align == 0, "bad offset");
    return true;
}

/* Axes of a buffer named by `axes` at `offsets`, one each for the axes of t; all in range. */
static bool part_of(tg_verifier *v, const tg_op *op, const tg_type *buf, const tg_type *t) {
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES), *off = tg_attr_get(op, TG_ATTR_OFFSETS);
    bool seen[TG_MAX_RANK] = {false};
    TG_CHECK(axes == NULL ? t->rank == buf->rank : axes->n_list == t->rank,
             "one buffer axis for each axis");
    TG_CHECK(off == NULL || off->n_list == buf->rank, "one offset for each buffer axis");
    for (int b = 0; b < buf->rank; b++) {
        int64_t at = off == NULL ? 0 : off->list[b];
        TG_CHECK(at >= 0 && at < buf->shape[b], "offset %lld lies outside axis %d", (long long)at,
                 b);
    }
    for (int r = 0; r < t->rank; r++) {
        int64_t b = axes == NULL ? r : axes->list[r];
        TG_CHECK(b >= 0 && b < buf->rank && !seen[b], "axes name each buffer axis once");
        seen[b] = true;
        int64_t at = off == NULL ? 0 : off->list[b];
        TG_CHECK(t->shape[r] <= buf->shape[b] - at, "axis %d reaches beyond the buffer", r);
    }
    return true;
}

/* The slot of a ring is operand i, where `ring` says so. */
static bool ring_slot(tg_verifier *v, const tg_op *op, int i) {
    bool ring = tg_attr_int(op, TG_ATTR_RING, 0) != 0;
    TG_CHECK(!ring || (i < op->n_operands && tg_is_scalar_of(tg_operand_type(op, i), TG_DT_I64)),
             "the ring's slot is an i64");
    TG_CHECK(ring || !is_buffer(tg_operand_type(op, 0)) || tg_operand_type(op, 0)->depth == 1,
             "a ring needs a slot");
    return true;
}

static bool count_is(tg_verifier *v, const tg_op *op, int n) {
    int ring = tg_attr_int(op, TG_ATTR_RING, 0) != 0 ? 1 : 0;
    TG_CHECK(op->n_operands == n + ring, "takes %d operands, not %d", n + ring, op->n_operands);
    return true;
}

bool tg_verify_WINDOW(tg_verifier *v, const tg_op *op) {
    const tg_type *buf = tg_operand_type(op, 0), *t = op->results[0].type;
    bool ring = tg_attr_int(op, TG_ATTR_RING, 0) != 0;
    TG_CHECK(is_buffer(buf) && is_buffer(t) && buf->dtype == t->dtype && buf->space == t->space &&
                 t->layout == NULL && t->depth == (ring ? 1 : buf->depth),
             "views a buffer of its kind");
    if (!count_is(v, op, 1)) {
        return false;
    }
    if (ring) {
        TG_CHECK(holds(t, tg_type_tile(v->f->module, buf->dtype, buf->rank, buf->shape)) &&
                     tg_attr_get(op, TG_ATTR_AXES) == NULL,
                 "a copy of a ring has the ring's shape");
        return ring_slot(v, op, 1);
    }
    if (tg_attr_get(op, TG_ATTR_AXES) != NULL) {
        return part_of(v, op, buf, t);
    }
    const tg_op *def = op->operands[0].value->def;
    bool dense = buf->layout == NULL && def != NULL &&
                 (def->code == TG_OP_BUFFER || tg_attr_int(def, TG_ATTR_RING, 0) != 0);
    TG_CHECK(tg_attr_get(op, TG_ATTR_OFFSETS) == NULL && dense &&
                 tg_type_count(buf) == tg_type_count(t),
             "reshapes dense buffers");
    return true;
}

bool tg_verify_PUT(tg_verifier *v, const tg_op *op) {
    const tg_type *buf = tg_operand_type(op, 0), *x = tg_operand_type(op, 1);
    TG_CHECK(is_buffer(buf) && tg_is_tile(x) && buf->dtype == x->dtype, "%s into %s",
             tg_verify_type(v, x), tg_verify_type(v, buf));
    return count_is(v, op, 2) && ring_slot(v, op, 2) && part_of(v, op, buf, x);
}

bool tg_verify_GET(tg_verifier *v, const tg_op *op) {
    const tg_type *buf = tg_operand_type(op, 0), *x = op->results[0].type;
    TG_CHECK(is_buffer(buf) && tg_is_tile(x) && buf->dtype == x->dtype, "%s from %s",
             tg_verify_type(v, x), tg_verify_type(v, buf));
    return count_is(v, op, 1) && ring_slot(v, op, 1) && part_of(v, op, buf, x);
}

bool tg_verify_GET_AT(tg_verifier *v, const tg_op *op) {
    const tg_type *buf = tg_operand_type(op, 0), *i = tg_operand_type(op, 1);
    const tg_type *r = op->results[0].type;
    int64_t axis = tg_attr_int(op, TG_ATTR_AXIS, -1);
    TG_CHECK(is_buffer(buf) && tg_is_tile(i) && tg_dtype_is_int(i->dtype) && tg_is_tile(r) &&
                 r->dtype == buf->dtype,
             "%s from %s at %s", tg_verify_type(v, r), tg_verify_type(v, buf),
             tg_verify_type(v, i));
    TG_CHECK(axis >= 0 && axis < buf->rank && r->rank == buf->rank - 1 + i->rank, "axis %lld of %s",
             (long long)axis, tg_verify_type(v, buf));
    for (int a = 0, at = 0; a < buf->rank; a++) {
        for (int k = 0; a == axis && k < i->rank; k++, at++) {
            TG_CHECK(r->shape[at] == i->shape[k], "the result does not have the index's shape");
        }
        if (a != axis) {
            TG_CHECK(r->shape[at++] == buf->shape[a],
                     "the result does not have the buffer's shape");
        }
    }
    return count_is(v, op, 2) && ring_slot(v, op, 2);
}

bool tg_verify_CONVERT(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 0), *r = op->results[0].type;
    bool exchange = tg_attr_int(op, TG_ATTR_EXCHANGE, 0) != 0;
    TG_CHECK(tg_is_tile(x) && x->layout != NULL && r->layout != NULL &&
                 tg_type_with_layout(v->f->module, x, NULL) ==
                     tg_type_with_layout(v->f->module, r, NULL),
             "%s to %s", tg_verify_type(v, x), tg_verify_type(v, r));
    TG_CHECK(op->n_operands == (exchange ? 2 : 1), "exchange and the operand count disagree");
    if (exchange) {
        TG_CHECK(holds(tg_operand_type(op, 1), x), "the exchange buffer is %s",
                 tg_verify_type(v, tg_operand_type(op, 1)));
        return true;
    }
    TG_CHECK(tg_layout_same_lanes(x->layout, r->layout, x->shape),
             "elements change lanes, which needs an exchange buffer");
    return true;
}

/* ---- copies and events ------------------------------------------------------------------------
 */

bool tg_verify_COPY(tg_verifier *v, const tg_op *op) {
    const tg_type *buf = tg_operand_type(op, 0);
    int ring = tg_attr_int(op, TG_ATTR_RING, 0) != 0 ? 1 : 0;
    TG_CHECK(is_buffer(buf) && op->n_operands > 1 + ring, "fills a buffer from a tensor");
    const tg_type *tensor = tg_operand_type(op, 1 + ring);
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    bool masked = tg_attr_int(op, TG_ATTR_MASKED, 0) != 0, covered[TG_MAX_RANK] = {false};
    TG_CHECK(tg_is_tensor(tensor) && tensor->dtype == buf->dtype, "from %s to %s",
             tg_verify_type(v, tensor), tg_verify_type(v, buf));
    TG_CHECK(op->n_operands == 2 + ring + tensor->rank + (masked ? 1 : 0),
             "indices and axes disagree");
    size_t at = 0;
    for (int i = 0; i < tensor->rank; i++) {
        const tg_type *t = tg_operand_type(op, 2 + ring + i);
        TG_CHECK(t->kind == TG_TY_SPAN || (tg_is_tile(t) && tg_dtype_is_int(t->dtype)),
                 "an index is %s", tg_verify_type(v, t));
        for (int k = 0; k < t->rank; k++) {
            TG_CHECK(at < axes->n_list, "axes names too few buffer axes");
            int64_t a = axes->list[at++];
            TG_CHECK(a >= 0 && a < buf->rank && buf->shape[a] == t->shape[k],
                     "an index does not fit the buffer");
            covered[a] = true;
        }
    }
    TG_CHECK(at == axes->n_list, "axes names too many buffer axes");
    for (int a = 0; a < buf->rank; a++) {
        TG_CHECK(covered[a], "no index gives axis %d", a);
    }
    TG_CHECK(tg_is_scalar_of(op->results[0].type, TG_DT_I64), "gives a token");
    return ring_slot(v, op, 1);
}

bool tg_verify_WAIT(tg_verifier *v, const tg_op *op) {
    for (int i = 0; i < op->n_operands; i++) {
        TG_CHECK(tg_is_scalar_of(tg_operand_type(op, i), TG_DT_I64), "waits for tokens");
    }
    TG_CHECK(tg_attr_int(op, TG_ATTR_N, 0) >= 0, "n is not negative");
    return true;
}

bool tg_verify_EVENT(tg_verifier *v, const tg_op *op) {
    TG_CHECK(tg_attr_int(op, TG_ATTR_N, 0) >= 1 && tg_attr_int(op, TG_ATTR_N_COUNT, 0) >= 0,
             "a ring of at least one semaphore");
    TG_CHECK(tg_is_scalar_of(op->results[0].type, TG_DT_I64), "gives a handle");
    return true;
}

static bool on_event(tg_verifier *v, const tg_op *op) {
    for (int i = 0; i < op->n_operands; i++) {
        TG_CHECK(tg_is_scalar_of(tg_operand_type(op, i), TG_DT_I64), "takes an event and a slot");
    }
    const tg_op *def = op->operands[0].value->def;
    TG_CHECK(def != NULL && def->code == TG_OP_EVENT, "operand 0 is not an event");
    return true;
}

bool tg_verify_SIGNAL(tg_verifier *v, const tg_op *op) { return on_event(v, op); }

bool tg_verify_AWAIT(tg_verifier *v, const tg_op *op) {
    TG_CHECK(tg_attr_int(op, TG_ATTR_N_COUNT, 1) >= 1, "takes at least one");
    return on_event(v, op);
}

bool tg_verify_ROLE(tg_verifier *v, const tg_op *op) {
    const tg_region *r = op->regions[0];
    TG_CHECK(op->parent != NULL && op->parent->parent == NULL, "stands in the body itself");
    TG_CHECK(r->n_args == 1 && tg_is_scalar_of(r->args[0]->type, TG_DT_I64),
             "its region takes the replica's number");
    int64_t axis = tg_attr_int(op, TG_ATTR_AXIS, 0);
    TG_CHECK(tg_attr_int(op, TG_ATTR_REPLICAS, 1) >= 1, "has at least one replica");
    TG_CHECK(axis >= 0 && axis < TG_MAX_RANK, "splits axis %lld", (long long)axis);
    int64_t lanes = tg_attr_int(op, TG_ATTR_N, v->f->lanes);
    TG_CHECK(lanes >= 1 && lanes <= v->f->lanes, "has %lld lanes of %lld", (long long)lanes,
             (long long)v->f->lanes);
    return true;
}

/* ---- teams ---------------------------------------------------------------------------------- */

static int team_outs(const tg_op *op, tg_team_fn fn, int ins) {
    switch (fn) {
    case TG_TEAM_TOPK:
    case TG_TEAM_COMPRESS:
        return 2;
    case TG_TEAM_SORT:
        return ins;
    case TG_TEAM_FOLD:
        return ins / 2;
    case TG_TEAM_SCAN:
    case TG_TEAM_RANK_BY_KEY:
    case TG_TEAM_HISTOGRAM:
    case TG_TEAM_SCATTER_ADD:
        break;
    }
    (void)op;
    return 1;
}

static bool fold_region(tg_verifier *v, const tg_op *op, int n) {
    const tg_region *r = op->regions[0];
    TG_CHECK(r->n_args == 2 * n && r->last != NULL && r->last->code == TG_OP_YIELD &&
                 r->last->n_operands == n,
             "the region takes %d arguments and yields %d values", 2 * n, n);
    for (int i = 0; i < n; i++) {
        TG_CHECK(tg_is_scalar_of(r->args[i]->type, tg_operand_type(op, n + i)->dtype) &&
                     tg_is_scalar_of(r->args[n + i]->type, tg_operand_type(op, i)->dtype) &&
                     tg_operand_type(r->last, i) == r->args[i]->type,
                 "the region's arguments are the accumulators, then the elements");
    }
    return true;
}

bool tg_verify_TEAM(tg_verifier *v, const tg_op *op) {
    tg_team_fn fn = (tg_team_fn)tg_attr_int(op, TG_ATTR_TEAM, 0);
    int64_t ins = tg_attr_int(op, TG_ATTR_N_COUNT, 0);
    bool masked = tg_attr_int(op, TG_ATTR_MASKED, 0) != 0;
    for (int i = 0; i < op->n_operands; i++) {
        TG_CHECK(is_buffer(tg_operand_type(op, i)) && tg_operand_type(op, i)->depth == 1,
                 "works on buffers, operand %d is %s", i,
                 tg_verify_type(v, tg_operand_type(op, i)));
    }
    TG_CHECK(ins >= 1 && ins <= op->n_operands, "count is the number of inputs");
    int outs = team_outs(op, fn, (int)ins);
    TG_CHECK(op->n_operands >= (int)ins + (masked ? 1 : 0) + outs, "operands are missing");
    TG_CHECK(!masked || tg_operand_type(op, (int)ins)->dtype == TG_DT_BOOL, "the mask is not bool");
    int64_t axis = tg_attr_int(op, TG_ATTR_AXIS, 0);
    TG_CHECK(axis >= 0 && axis < tg_max_i64(1, tg_operand_type(op, 0)->rank), "no such axis");
    if (fn == TG_TEAM_FOLD) {
        TG_CHECK(ins % 2 == 0, "folds as many values as it starts from");
        return fold_region(v, op, (int)ins / 2);
    }
    TG_CHECK(op->regions[0]->first == NULL, "only fold has a region");
    return true;
}
