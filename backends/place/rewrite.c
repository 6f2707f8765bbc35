/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout: who holds which element.
 *
 * Takes a staged function. Gives one in which every tile has a layout and every operand the layout
 * its operation needs; reductions across lanes and atomics have their exchange buffers.
 *
 * Before:
 *   %3 = reduce %2 {kind = sum, axis = 1} : f32[64]
 *   %4 = broadcast %3 {axes = [0]} : f32[64, 32]
 * After:
 *   %5 = buffer : buf<shared, f32[8, 64], 1>
 *   %3 = reduce %2, %5 {kind = sum, axis = 1, exchange = true} : f32[64]@"..."
 *   %6 = convert %3 : f32[64]@"..."
 *   %4 = broadcast %6 {axes = [0]} : f32[64, 32]@"..."
 *
 * A value that is wanted in another layout than its class has is made again when that is cheap
 * (constants, positions, reads of a buffer or of memory that does not change), renamed when every
 * lane has what it needs, and otherwise written to a buffer and read back. Copies stand right
 * behind the definition, so that all users share them.
 */
#include "backends/place/layout.h"
#include "ir/passes.h"
#include "ir/passes/util.h"

static tg_value *want(tg_layout_pass *s, tg_value *v, const tg_layout *l);

static const tg_layout *tidy(tg_layout_pass *s, const tg_layout *l, const tg_type *t) {
    return tg_layout_tidy(s->p->m, l, t->shape);
}

/* ---- needs of single operands -----------------------------------------------------------------
 */

static const tg_layout *broadcast_need(tg_layout_pass *s, const tg_op *op, const tg_layout *l) {
    const tg_type *x = op->operands[0].value->type, *r = op->results[0].type;
    return tidy(s,
                tg_layout_project_shape(s->p->m, l, x->rank, x->shape,
                                        tg_attr_get(op, TG_ATTR_AXES)->list, r->shape),
                x);
}

static const tg_layout *project_need(tg_layout_pass *s, const tg_value *x, const int64_t *axes,
                                     const tg_layout *l) {
    return tidy(s, tg_layout_project(s->p->m, l, x->type->rank, axes), x->type);
}

/* ---- one value in one layout ------------------------------------------------------------------
 */

/* Operand i of a free op whose result has layout l, as that needs it. */
static tg_value *free_operand(tg_layout_pass *s, tg_op *op, int i, size_t axes_at,
                              const tg_layout *l) {
    tg_value *x = tg_operand(op, i);
    bool mask = op->code == TG_OP_LOAD && tg_attr_int(op, TG_ATTR_MASKED, 0) != 0 &&
                i == op->n_operands - 1;
    if (!tg_is_held_type(x->type)) {
        return x;
    }
    if (op->code == TG_OP_LOAD && !mask) {
        return want(s, x, project_need(s, x, tg_attr_get(op, TG_ATTR_AXES)->list + axes_at, l));
    }
    return want(s, x, op->code == TG_OP_BROADCAST ? broadcast_need(s, op, l) : l);
}

/* The free op again, with result layout l; its operands as that needs. */
static tg_value *free_copy(tg_layout_pass *s, tg_value *v, const tg_layout *l) {
    tg_op *op = v->def, *copy = tg_op_clone(op, op->parent, tg_value_map_make(s->p->arena));
    size_t at = 0;
    for (int i = 0; i < op->n_operands; i++) {
        tg_value *x = tg_operand(op, i);
        tg_set_operand(copy, i, free_operand(s, op, i, at, l));
        at += x->type->kind == TG_TY_TENSOR ? 0 : x->type->rank;
    }
    tg_op_unlink(copy);
    tg_op_insert_before(op, copy);
    copy->results[0].type = tg_type_with_layout(s->p->m, v->type, l);
    return &copy->results[0];
}

/* Reading once more in layout l, right behind the first read; NULL when that is not the same. */
static tg_value *read_again(tg_layout_pass *s, tg_value *v, const tg_layout *l) {
    tg_op *op = v->def;
    if (op == NULL || (op->code != TG_OP_GET && !tg_load_is_stable(op))) {
        return NULL;
    }
    tg_op *copy = tg_op_clone(op, op->parent, tg_value_map_make(s->p->arena));
    size_t at = 0;
    tg_op_unlink(copy);
    for (int i = 1; i < op->n_operands && op->code == TG_OP_LOAD; i++) {
        tg_set_operand(copy, i, free_operand(s, op, i, at, l));
        at += tg_operand(op, i)->type->rank;
    }
    /* It stands behind the copies of its operands, which stand behind their definitions. */
    tg_builder b = tg_place_after(v);
    tg_op_insert_before(b.before, copy);
    copy->results[0].type = tg_type_with_layout(s->p->m, v->type, l);
    return &copy->results[0];
}

static tg_value *moved(tg_layout_pass *s, tg_value *v, const tg_layout *l) {
    const tg_type *type = tg_type_with_layout(s->p->m, v->type, l);
    tg_layout_plan plan = tg_layout_convert_plan(v->type->layout, l, v->type->shape);
    tg_builder b = tg_place_after(v);
    if (plan == TG_LAYOUT_SAME || plan == TG_LAYOUT_RENAME) {
        return tg_build1(&b, TG_OP_CONVERT, type, 1, v);
    }
    tg_value *buf = tg_place_buffer(s->p, type->dtype, type->rank, type->shape, b.span);
    tg_place_put(&b, buf, v);
    return tg_place_get(&b, buf, type);
}

static tg_value *want(tg_layout_pass *s, tg_value *v, const tg_layout *l) {
    if (v->type->layout == l) {
        return v;
    }
    for (size_t i = 0; i < s->made.count; i++) {
        if (s->made.data[i].v == v && s->made.data[i].layout == l) {
            return s->made.data[i].copy;
        }
    }
    tg_value *copy = NULL;
    if (tg_layout_is_free(s, v)) {
        copy = free_copy(s, v, l);
    } else {
        copy = read_again(s, v, l);
        copy = copy != NULL ? copy : moved(s, v, l);
    }
    TG_LIST_PUSH(s->p->arena, &s->made, (tg_layout_made){.v = v, .layout = l, .copy = copy});
    return copy;
}

static void want_operand(tg_layout_pass *s, tg_op *op, int i, const tg_layout *l) {
    tg_value *x = tg_operand(op, i);
    if (tg_is_held_type(x->type)) {
        tg_set_operand(op, i, want(s, x, l));
    }
}

/* The layout v has, or gets when nothing else decides. */
static const tg_layout *own_layout(tg_layout_pass *s, const tg_value *v) {
    return v->type->layout != NULL ? v->type->layout : tg_layout_default(s->p, v->type);
}

/* ---- operations whose result has a layout of its own ------------------------------------------
 */

/* The op again with more operands and another result type; the old result becomes the new one, in
 * the layout of its class. */
static void remake(tg_layout_pass *s, tg_op *op, int extra, tg_value *const *more,
                   const tg_layout *l) {
    int n = op->n_operands;
    tg_value **operands = TG_NEW_ARRAY(s->p->arena, tg_value *, n + extra);
    for (int i = 0; i < n + extra; i++) {
        operands[i] = i < n ? tg_operand(op, i) : more[i - n];
    }
    const tg_type *was = op->results[0].type;
    const tg_type *type = was->rank == 0 ? was : tg_type_with_layout(s->p->m, was, l);
    tg_op *made =
        tg_op_make(op->func, op->code, op->span, n + extra, operands, 1, &type, op->n_regions);
    made->attrs = op->attrs;
    made->n_attrs = op->n_attrs;
    if (extra > 0) {
        tg_op_set_int(made, TG_ATTR_EXCHANGE, 1);
    }
    made->results[0].name = op->results[0].name;
    tg_op_insert_before(op, made);
    tg_value *r = &made->results[0];
    if (type != was && tg_value_is_used(&op->results[0])) {
        r = was->layout == NULL ? r : want(s, r, was->layout);
    }
    tg_replace_all_uses(&op->results[0], r);
    tg_op_erase(op);
}

static int64_t lane_parts(const tg_layout *l, int64_t axis) {
    int64_t parts = 1;
    for (int i = 0; i < l->n_modes; i++) {
        if (l->modes[i].axis == axis && l->modes[i].resource == TG_RES_LANE) {
            parts *= l->modes[i].extent;
        }
    }
    return parts;
}

/* Lanes of a sub-group pass values to each other. */
static bool can_shuffle(const tg_placer *p) {
    return (p->machine->simt & TG_SIMT_SUBGROUPS) != 0 && p->machine->subgroup > 1;
}

static void rewrite_reduce(tg_layout_pass *s, tg_op *op) {
    tg_value *x = tg_operand(op, 0), *more[2];
    int64_t axis = tg_attr_int(op, TG_ATTR_AXIS, 0);
    tg_reduce_kind kind = (tg_reduce_kind)tg_attr_int(op, TG_ATTR_RED, 0);
    const tg_layout *l = own_layout(s, x);
    const tg_type *r = op->results[0].type;
    want_operand(s, op, 0, l);
    if (op->n_operands > 1) {
        tg_value *mask = tg_operand(op, 1);
        want_operand(s, op, 1,
                     mask->type->rank == x->type->rank ? l : project_need(s, mask, &axis, l));
    }
    int64_t parts = lane_parts(l, axis), shape[2] = {parts, tg_type_count(r)};
    int extra = 0;
    int64_t group = can_shuffle(s->p) ? s->p->machine->subgroup : 0;
    if (parts > 1 && group > 0 && tg_layout_is_within(l, (int)axis, group)) {
        tg_op_set_int(op, TG_ATTR_WITHIN, group);
    } else if (parts > 1) {
        bool arg = kind == TG_RED_ARGMIN || kind == TG_RED_ARGMAX;
        tg_dtype t = arg ? x->type->dtype : r->dtype;
        more[extra++] = tg_place_buffer(s->p, t, 2, shape, op->span);
        if (arg) {
            more[extra++] = tg_place_buffer(s->p, TG_DT_I32, 2, shape, op->span);
        }
    }
    const tg_layout *dropped =
        r->rank == 0 ? NULL : tidy(s, tg_layout_drop(s->p->m, l, (int)axis), r);
    remake(s, op, extra, more, dropped);
}

/* Operands from `first` on index the tensor; the tile moved has layout l. */
static void want_indices(tg_layout_pass *s, tg_op *op, int first, const tg_layout *l) {
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    bool masked = tg_attr_int(op, TG_ATTR_MASKED, 0) != 0;
    int end = op->n_operands - (masked ? 1 : 0);
    size_t at = 0;
    for (int i = first; i < end; i++) {
        tg_value *x = tg_operand(op, i);
        if (tg_is_held_type(x->type)) {
            want_operand(s, op, i, project_need(s, x, axes->list + at, l));
        }
        at += x->type->rank;
    }
    if (masked) {
        want_operand(s, op, end, l);
    }
}

static void rewrite_atomic(tg_layout_pass *s, tg_op *op) {
    const tg_type *t = op->results[0].type;
    int first = tg_attr_int(op, TG_ATTR_ATOMIC, 0) == TG_ATOMIC_CAS ? 3 : 2;
    bool used = tg_value_is_used(&op->results[0]);
    const tg_layout *l = t->layout;
    if (t->rank > 0) {
        l = tg_atomic_is_ordered(op) ? tg_layout_everywhere(s->p->m, t->rank, t->shape, s->p->lanes)
                                     : l;
        for (int i = 1; i < first; i++) {
            want_operand(s, op, i, l);
        }
        want_indices(s, op, first, l);
    }
    tg_value *more[1];
    int extra = 0;
    if (used && (t->rank == 0 || tg_layout_has_replicas(l))) {
        more[extra++] = tg_place_buffer(s->p, t->dtype, t->rank, t->shape, op->span);
    }
    if (extra > 0 || (t->rank > 0 && l != t->layout)) {
        remake(s, op, extra, more, l);
    }
}

/* ---- shape operations -------------------------------------------------------------------------
 */

static void rewrite_reshape(tg_layout_pass *s, tg_op *op) {
    tg_value *x = tg_operand(op, 0), *r = &op->results[0];
    if (!tg_is_held_type(x->type)) {
        return;
    }
    if (!tg_is_held_type(r->type)) { /* the same in every lane: each holds the element */
        int64_t nowhere[TG_MAX_RANK];
        for (int a = 0; a < TG_MAX_RANK; a++) {
            nowhere[a] = -1;
        }
        want_operand(s, op, 0, project_need(s, x, nowhere, own_layout(s, x)));
        return;
    }
    const tg_layout *l = tg_layout_reshape(s->p->m, r->type->layout, r->type->rank, r->type->shape,
                                           x->type->rank, x->type->shape);
    l = l == NULL ? NULL : tidy(s, l, x->type);
    if (l != NULL && tg_layout_covers(l, x->type->shape) &&
        tg_layout_size(l, TG_RES_LANE) == s->p->lanes) {
        want_operand(s, op, 0, l);
        return;
    }
    tg_builder b = tg_builder_before(op);
    b.span = op->span;
    tg_value *buf = tg_place_buffer(s->p, x->type->dtype, x->type->rank, x->type->shape, op->span);
    tg_place_put(&b, buf, want(s, x, own_layout(s, x)));
    tg_value *view = tg_place_window_reshape(&b, buf, r->type->rank, r->type->shape);
    tg_replace_all_uses(r, tg_place_get(&b, view, r->type));
    tg_op_erase(op);
}

static void rewrite_permute(tg_layout_pass *s, tg_op *op) {
    const int64_t *axes = tg_attr_get(op, TG_ATTR_AXES)->list;
    int64_t back[TG_MAX_RANK];
    const tg_type *r = op->results[0].type;
    for (int a = 0; a < r->rank; a++) {
        back[axes[a]] = a;
    }
    if (r->rank > 0) {
        const tg_type *x = op->operands[0].value->type;
        want_operand(s, op, 0, tidy(s, tg_layout_permute(s->p->m, r->layout, r->rank, back), x));
    }
}

static void rewrite_gather(tg_layout_pass *s, tg_op *op) {
    tg_value *index = tg_operand(op, 1);
    int64_t axis = tg_attr_int(op, TG_ATTR_AXIS, 0), axes[TG_MAX_RANK];
    for (int a = 0; a < index->type->rank; a++) {
        axes[a] = axis + a;
    }
    if (tg_is_held_type(index->type)) {
        want_operand(s, op, 1, project_need(s, index, axes, op->results[0].type->layout));
    }
}

/* ---- control flow -----------------------------------------------------------------------------
 */

static void want_like(tg_layout_pass *s, tg_op *op, int i, const tg_value *like) {
    if (tg_is_held_type(like->type)) {
        want_operand(s, op, i, like->type->layout);
    }
}

static void rewrite_yield(tg_layout_pass *s, tg_op *yield) {
    tg_op *op = yield->parent->parent;
    bool condition = op != NULL && op->code == TG_OP_WHILE && yield->parent == op->regions[0];
    for (int i = 0; op != NULL && i < yield->n_operands - (condition ? 1 : 0); i++) {
        want_like(s, yield, i + (condition ? 1 : 0), &op->results[i]);
    }
}

static void rewrite_carried(tg_layout_pass *s, tg_op *op) {
    int skip = op->code == TG_OP_FOR ? 3 : 0;
    for (int i = 0; i < op->n_results; i++) {
        want_like(s, op, skip + i, &op->results[i]);
    }
}

/* ---- all operations ---------------------------------------------------------------------------
 */

static void rewrite_like_result(tg_layout_pass *s, tg_op *op) {
    const tg_type *r = op->results[0].type;
    for (int i = 0; i < op->n_operands && r->rank > 0; i++) {
        want_operand(s, op, i, r->layout);
    }
}

static void rewrite_op(tg_layout_pass *s, tg_op *op) {
    const tg_op_info *info = tg_op_info_get(op->code);
    if (op->n_results > 0 && tg_is_held_type(op->results[0].type) &&
        tg_layout_is_free(s, &op->results[0])) {
        return; /* made again where it is wanted */
    }
    if ((info->flags & TG_OPF_ELEMENTWISE) != 0) {
        rewrite_like_result(s, op);
        return;
    }
    switch ((int)op->code) {
    case TG_OP_PRESENT:
        rewrite_like_result(s, op);
        break;
    case TG_OP_FOR:
    case TG_OP_WHILE:
        rewrite_carried(s, op);
        break;
    case TG_OP_YIELD:
        rewrite_yield(s, op);
        break;
    case TG_OP_BROADCAST:
        if (tg_is_held_type(tg_operand(op, 0)->type)) {
            want_operand(s, op, 0, broadcast_need(s, op, op->results[0].type->layout));
        }
        break;
    case TG_OP_PERMUTE:
        rewrite_permute(s, op);
        break;
    case TG_OP_RESHAPE:
        rewrite_reshape(s, op);
        break;
    case TG_OP_REDUCE:
        rewrite_reduce(s, op);
        break;
    case TG_OP_LOAD:
        want_indices(s, op, 1, op->results[0].type->layout);
        break;
    case TG_OP_STORE: {
        const tg_layout *l = own_layout(s, tg_operand(op, 1));
        want_indices(s, op, 2, l);
        want_operand(s, op, 1, l);
        break;
    }
    case TG_OP_ATOMIC:
        rewrite_atomic(s, op);
        break;
    case TG_OP_PUT:
        want_operand(s, op, 1, own_layout(s, tg_operand(op, 1)));
        break;
    case TG_OP_GET_AT:
        rewrite_gather(s, op);
        break;
    case TG_OP_DOT:
        want_like(s, op, 2, &op->results[0]);
        break;
    default:
        break;
    }
}

static void rewrite_region(tg_layout_pass *s, tg_region *r) {
    for (tg_op *op = r->first, *next; op != NULL; op = next) {
        next = op->next;
        for (int i = 0; i < op->n_regions && op->code != TG_OP_TEAM; i++) {
            rewrite_region(s, op->regions[i]);
        }
        rewrite_op(s, op);
    }
}

tg_status tg_place_layout(tg_placer *p) {
    tg_layout_pass s = {.p = p, .n_values = p->f->next_value_id};
    s.parent = TG_NEW_ARRAY(p->arena, uint32_t, s.n_values + 1);
    s.values = TG_NEW_ARRAY(p->arena, tg_value *, s.n_values + 1);
    s.got = TG_NEW_ARRAY(p->arena, const tg_layout *, s.n_values + 1);
    s.free_ = TG_NEW_ARRAY(p->arena, int8_t, s.n_values + 1);
    for (uint32_t i = 0; i < s.n_values; i++) {
        s.parent[i] = i;
    }
    tg_layout_choose(&s);
    rewrite_region(&s, p->f->body);
    tg_layout_positions(&s, want);
    tg_pass_context ctx = {.scratch = p->arena};
    tg_pass_dce(p->f, &ctx);
    return TG_OK;
}
