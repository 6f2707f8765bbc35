/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loop nests for stores, materialised values and reductions.
 *
 * Neighbouring ops over one domain (same extents, same needed positions) become one nest:
 *
 *   for each row (all axes but the last)
 *     phase 0: one vector loop along the row with every op that can share it
 *     row values that need phase 0's reductions
 *     phase 1: ...
 *
 * so RMS norm reads a row once for the sum of squares and the residual store, and again from the
 * first-level cache for the result. An op joins when everything it reads from the nest lies in the
 * same row; it shares a phase when it lies at the same element. A vector loop runs over whole
 * vectors and a scalar loop over the rest.
 */
#include "backends/lower/cpu/nest.h"

/* ---- emission of a nest
 * ---------------------------------------------------------------------------------------- */

/* A masked store to places that indices name: nothing of it is computed for a vector of which
 * nothing is stored, which is the rule where a mask selects few. */
static bool selective_store(nest *n, action *a) {
    tg_ctx *x = &n->x;
    tg_index ix[TG_MAX_RANK];
    tg_value *mask;
    bool scatters = false;
    int count = tg_indices(a->op, ix, &mask);
    for (int k = 0; k < count; k++) {
        scatters = scatters || (ix[k].v->type->kind != TG_TY_SPAN && ix[k].n_axes > 0);
    }
    if (mask == NULL || !scatters || x->lanes == 1) {
        return false;
    }
    tg_ev on = tg_elem(x, mask, n->c);
    if (!on.vec) {
        return false;
    }
    size_t known = x->memo.count;
    tg_builder *b = &x->bl[x->depth];
    tg_op *branch = tg_build_if(b, tg_build_reducev(b, TG_RED_ANY, on.v), 0, NULL);
    tg_tensor_write(x, a->op, n->c, tg_elem(x, a->value, n->c));
    tg_build_else(b, branch, 0, NULL);
    tg_build_end_if(b, branch, 0, NULL);
    x->memo.count = known; /* what was computed inside is not known behind */
    return true;
}

void nest_act_element(nest *n, action *a) {
    tg_ctx *x = &n->x;
    if (a->kind == ACT_STORE) {
        x->bl[x->depth].span = a->op->span;
        if (selective_store(n, a)) {
            return;
        }
        tg_ev e = tg_elem(x, a->value, n->c);
        x->bl[x->depth].span = a->op->span;
        tg_tensor_write(x, a->op, n->c, e);
        return;
    }
    if (a->kind == ACT_RED) {
        tg_reduce_kind kind = (tg_reduce_kind)tg_attr_int(a->op, TG_ATTR_RED, 0);
        tg_ev e = nest_reduce_input(x, a->op, n->c, n->rank - 1);
        tg_builder *b = &x->bl[x->depth];
        a->acc = tg_reduce_step(x->L, b, kind, a->value->type->dtype, a->acc, tg_ev_vec(x, e));
        return;
    }
    bool own = a->dest == a->value && a->value->def != NULL;
    tg_ev e = own ? tg_eval_op(x, a->value->def, a->value, n->c) : tg_elem(x, a->value, n->c);
    if (a->zero_mask != NULL) {
        tg_ev m = tg_elem(x, a->zero_mask, &n->c[a->zero_axis]);
        bool vec = (e.vec || m.vec) && x->lanes > 1;
        int level = e.level > m.level ? e.level : m.level;
        tg_value *v = vec ? tg_ev_vec(x, e) : e.v, *on = vec ? tg_ev_vec(x, m) : m.v;
        tg_builder *b = &x->bl[level];
        e = (tg_ev){.v = tg_build_select(b, on, v, tg_build_int(b, v->type, 0)),
                    .level = level,
                    .vec = vec};
    }
    tg_buffer_write(x, a->dest, n->c, e);
    if (own) {
        tg_memo_put(x, a->value, n->c, e);
    }
}

/* What a phase does with one vector, at the coordinates of its row. */
static void act_vector(nest *n, int phase) {
    for (int i = 0; i < n->n_actions; i++) {
        if (n->actions[i].phase == phase && n->actions[i].kind != ACT_ROW) {
            nest_act_element(n, &n->actions[i]);
        }
    }
}

/* The same in every row, one after the other. */
static void act_rows(nest *n, int phase) {
    for (int64_t row = 0; row < n->rows_inside; row++) {
        int64_t left = row;
        for (int k = n->rank - 2; k >= 0; k--) {
            int axis = n->order[k];
            n->c[axis] = (tg_coord){.add = left % n->extent[axis], .align = 1};
            left /= n->extent[axis];
        }
        act_vector(n, phase);
    }
}

/* Runs the element actions of a phase over [lo, hi) of the vector axis, `lanes` at a time. */
static void element_loop(nest *n, int phase, int64_t base, int64_t end, tg_value *lo, tg_value *hi,
                         int lanes, bool once) {
    tg_ctx *x = &n->x;
    int axis = n->order[n->rank - 1];
    int64_t align = lanes;
    x->lanes = lanes;
    tg_value *carried[MAX_ACTIONS], *iv = NULL;
    int n_carried = 0;
    tg_op *loop = NULL;
    for (int i = 0; i < n->n_actions; i++) {
        if (n->actions[i].phase == phase && n->actions[i].kind == ACT_RED) {
            carried[n_carried++] = n->actions[i].acc;
        }
    }
    if (!once) {
        loop = tg_ctx_open(x, lo, hi, lanes, n_carried, carried, &iv);
    }
    while (base % lanes != 0 && lanes > 1 && base % align != 0) {
        align /= 2;
    }
    n->c[axis] =
        (tg_coord){.v = iv,
                   .add = base,
                   .end = end,
                   .lane = lanes > 1,
                   .level = x->depth,
                   .align = align,
                   .v_align = lanes,
                   .bound = n->need[axis].kind == TG_NEED_SPAN ? n->need[axis].span : NULL};
    int at = 0;
    for (int i = 0; i < n->n_actions; i++) {
        action *a = &n->actions[i];
        if (a->phase == phase && a->kind == ACT_RED) {
            a->acc = carried[at++];
        }
    }
    if (n->rows_inside > 0) {
        act_rows(n, phase);
    } else {
        act_vector(n, phase);
    }
    at = 0;
    for (int i = 0; i < n->n_actions; i++) {
        if (n->actions[i].phase == phase && n->actions[i].kind == ACT_RED) {
            carried[at++] = n->actions[i].acc;
        }
    }
    if (!once) {
        tg_ctx_close(x, loop, n_carried, carried);
    }
    at = 0;
    for (int i = 0; i < n->n_actions; i++) {
        if (n->actions[i].phase == phase && n->actions[i].kind == ACT_RED) {
            n->actions[i].acc = carried[at++];
        }
    }
}

static void start_accumulators(nest *n, int phase, int lanes) {
    tg_ctx *x = &n->x;
    for (int i = 0; i < n->n_actions; i++) {
        action *a = &n->actions[i];
        if (a->phase == phase && a->kind == ACT_RED) {
            tg_reduce_kind kind = (tg_reduce_kind)tg_attr_int(a->op, TG_ATTR_RED, 0);
            a->acc = tg_reduce_identity(x->L, &x->bl[x->depth], kind, a->value->type->dtype, lanes);
        }
    }
}

static void fold_lanes(nest *n, int phase) {
    tg_ctx *x = &n->x;
    for (int i = 0; i < n->n_actions; i++) {
        action *a = &n->actions[i];
        if (a->phase == phase && a->kind == ACT_RED && a->acc->type->kind == TG_TY_VEC) {
            tg_reduce_kind kind = (tg_reduce_kind)tg_attr_int(a->op, TG_ATTR_RED, 0);
            kind = kind == TG_RED_COUNT ? TG_RED_SUM : kind;
            a->acc = tg_build_reducev(&x->bl[x->depth], kind, a->acc);
        }
    }
}

int nest_vector_lanes(const tg_lower *L, int64_t n) {
    int lanes = L->lanes;
    while (lanes > n) {
        lanes /= 2;
    }
    return lanes < 2 ? 1 : lanes;
}

/* Where concatenations along the vector axis change from one part to the next, in order. */
static int seams(const nest *n, const tg_value *v, int axis, int64_t *out, int count, int depth) {
    const tg_op *op = v->def;
    if (!tg_is_tile(v) || op == NULL || depth > 24 ||
        (depth > 0 && tg_info(n->L, v)->kind != TG_V_INLINE)) {
        return count;
    }
    if (op->code == TG_OP_CONCAT && tg_attr_int(op, TG_ATTR_AXIS, 0) == axis) {
        int64_t at = 0;
        for (int i = 0; i + 1 < op->n_operands; i++) {
            at += tg_operand(op, i)->type->shape[axis];
            int k = 0;
            while (k < count && out[k] < at) {
                k++;
            }
            if (count < MAX_SEAMS && (k == count || out[k] != at)) {
                for (int m = count; m > k; m--) {
                    out[m] = out[m - 1];
                }
                out[k] = at;
                count++;
            }
        }
        return count;
    }
    if (tg_op_info_get(op->code)->flags & TG_OPF_ELEMENTWISE) {
        for (int i = 0; i < op->n_operands; i++) {
            count = seams(n, tg_operand(op, i), axis, out, count, depth + 1);
        }
    }
    return count;
}

/* One run of a phase over [base, end) of a fixed axis. */
static void fixed_run(nest *n, int phase, int64_t base, int64_t end, int lanes) {
    tg_builder *b = &n->x.bl[n->x.depth];
    int64_t extent = end - base, whole = lanes > 1 ? extent / lanes * lanes : 0;
    tg_value *main_end = tg_build_index(b, whole);
    if (whole > 0) {
        element_loop(n, phase, base, end, tg_build_index(b, 0), main_end, lanes, whole == lanes);
    }
    if (whole < extent) {
        fold_lanes(n, phase);
        b = &n->x.bl[n->x.depth];
        element_loop(n, phase, base, end, tg_build_index(b, whole), tg_build_index(b, extent), 1,
                     false);
    }
}

/* What the phase's loads may ask: which pass over their elements this is. */
static void begin_pass(nest *n, int phase) {
    tg_lower *L = n->L;
    L->pass++;
    L->pass_end = 0;
    for (int i = 0; i < n->n_actions; i++) {
        const tg_op *op = n->actions[i].op;
        const tg_opinfo *info = op == NULL ? NULL : tg_opi(op);
        if (n->actions[i].phase == phase && info != NULL && info->pos > L->pass_end) {
            L->pass_end = info->pos;
        }
    }
}

static void element_phase(nest *n, int phase) {
    tg_ctx *x = &n->x;
    begin_pass(n, phase);
    if (n->rank == 0) {
        for (int i = 0; i < n->n_actions; i++) {
            nest_act_element(n, &n->actions[i]);
        }
        return;
    }
    int axis = n->order[n->rank - 1], n_seams = 0;
    int64_t extent = n->extent[axis], seam[MAX_SEAMS + 1];
    int lanes = nest_vector_lanes(x->L, extent);
    bool fixed = n->need[axis].kind != TG_NEED_SPAN, reduces = false;
    for (int i = 0; i < n->n_actions; i++) {
        if (n->actions[i].phase == phase && n->actions[i].kind != ACT_ROW) {
            n_seams = seams(n, n->actions[i].value, axis, seam, n_seams, 0);
            reduces = reduces || n->actions[i].kind == ACT_RED;
        }
    }
    if (fixed && !reduces && n_seams > 0) {
        seam[n_seams] = extent;
        int64_t from = 0;
        for (int i = 0; i <= n_seams; i++) {
            fixed_run(n, phase, from, seam[i], nest_vector_lanes(x->L, seam[i] - from));
            from = seam[i];
        }
        return;
    }
    start_accumulators(n, phase, lanes);
    if (fixed) {
        fixed_run(n, phase, 0, extent, lanes);
    } else {
        tg_builder *b = &x->bl[x->depth];
        tg_value *main_end = tg_build_index(b, 0), *end = n->trip[axis];
        if (lanes > 1) {
            main_end = tg_build_binary(b, TG_OP_AND, end, tg_build_index(b, -lanes));
            element_loop(n, phase, 0, 0, tg_build_index(b, 0), main_end, lanes, false);
            fold_lanes(n, phase);
        }
        element_loop(n, phase, 0, 0, main_end, end, 1, false);
    }
    fold_lanes(n, phase);
}

static void finish_phase(nest *n, int phase) {
    tg_ctx *x = &n->x;
    for (int i = 0; i < n->n_actions; i++) {
        action *a = &n->actions[i];
        if (a->phase != phase || a->kind != ACT_RED) {
            continue;
        }
        tg_value *v = nest_reduce_finish(x, a->op, a->acc);
        tg_value *r = a->dest;
        if (!tg_is_tile(r)) {
            tg_info(x->L, r)->loop = v;
            continue;
        }
        tg_ev e = {.v = v, .level = x->depth};
        x->lanes = 1;
        tg_buffer_write(x, r, n->c, e);
        tg_memo_put(x, r, n->c, e);
    }
}

static void row_actions(nest *n, int phase) {
    n->x.lanes = 1;
    for (int i = 0; i < n->n_actions; i++) {
        action *a = &n->actions[i];
        if (a->phase != phase || a->kind != ACT_ROW) {
            continue;
        }
        if (a->op->code == TG_OP_STORE) {
            tg_ev e = tg_elem(&n->x, a->value, n->c);
            tg_tensor_write(&n->x, a->op, n->c, e);
        } else {
            tg_ev e = tg_eval_op(&n->x, a->value->def, a->value, n->c);
            tg_buffer_write(&n->x, a->dest, n->c, e);
            tg_memo_put(&n->x, a->value, n->c, e);
        }
    }
}

/*
 * Rows of a tile whose last axis is tiny, few of them: the vector axis lies outside, and each
 * vector goes through the rows. What rows share is then computed once, and there is one loop
 * instead of one a row.
 */
static bool few_rows(const nest *n, int from) {
    int64_t rows = 1;
    if (n->rank < 2 || from >= 0 || n->n_actions != 1 || n->actions[0].kind != ACT_MAT ||
        n->order[n->rank - 1] == n->rank - 1) {
        return false;
    }
    for (int k = 0; k + 1 < n->rank; k++) {
        rows *= n->extent[n->order[k]];
        if (n->need[n->order[k]].kind != TG_NEED_FULL || rows > NEST_FEW_ROWS) {
            return false;
        }
    }
    return true;
}

static void emit_nest(nest *n) {
    tg_lower *L = n->L;
    int rows = n->rank > 0 ? n->rank - 1 : 0, last = 0;
    for (int i = 0; i < n->n_actions; i++) {
        last = n->actions[i].phase > last ? n->actions[i].phase : last;
    }
    for (int k = 0; k < n->rank; k++) {
        n->trip[k] = tg_trip(L, n->extent[k], &n->need[k]);
    }
    n->x = tg_ctx_begin(L, 1);
    tg_ctx *x = &n->x;
    tg_op *loops[TG_MAX_RANK];
    int from = nest_turned_axis(n);
    bool inside = few_rows(n, from);
    for (int k = 0; k < rows; k++) {
        int axis = n->order[k];
        tg_value *iv = NULL;
        loops[k] = NULL;
        n->rows_inside = inside ? (k == 0 ? 1 : n->rows_inside) * n->extent[axis] : 0;
        if (axis == from || inside) {
            continue;
        }
        if (n->extent[axis] > 1) {
            loops[k] =
                tg_ctx_open(x, tg_build_index(&x->bl[x->depth], 0), n->trip[axis], 1, 0, NULL, &iv);
        } else if (n->need[axis].kind == TG_NEED_SPAN) { /* one row, if present */
            loops[k] =
                tg_ctx_open(x, tg_build_index(&x->bl[x->depth], 0), n->trip[axis], 1, 0, NULL, &iv);
        }
        n->c[axis] =
            (tg_coord){.v = iv,
                       .level = x->depth,
                       .align = 1,
                       .bound = n->need[axis].kind == TG_NEED_SPAN ? n->need[axis].span : NULL};
    }
    if (from >= 0) {
        nest_turning_loops(n, from, n->order[n->rank - 1]);
        last = -1;
    }
    for (int phase = 0; phase <= last; phase++) {
        row_actions(n, phase);
        bool any = n->rank == 0;
        for (int i = 0; i < n->n_actions; i++) {
            any = any || (n->actions[i].phase == phase && n->actions[i].kind != ACT_ROW);
        }
        if (any) {
            element_phase(n, phase);
        }
        finish_phase(n, phase);
    }
    for (int k = rows - 1; k >= 0; k--) {
        if (loops[k] != NULL) {
            tg_ctx_close(x, loops[k], 0, NULL);
        }
    }
    tg_ctx_end(x);
}

void tg_emit_nests(tg_lower *L, tg_op *op) {
    nest n;
    action *actions = TG_NEW_ARRAY(L->arena, action, MAX_ACTIONS + 1);
    if (op->code == TG_OP_REDUCE && !tg_type_is_scalar(op->results[0].type) &&
        tg_info(L, &op->results[0])->kind == TG_V_DEAD) {
        return;
    }
    if (!nest_domain_of(L, op, &n, &actions[0])) {
        if (nest_simple_reduce(op)) {
            tg_emit_column_reduce(L, op);
        } else {
            tg_emit_scalar_reduce_loop(L, op);
        }
        return;
    }
    n.actions = actions;
    n.n_actions = 1;
    nest_gather_members(&n);
    emit_nest(&n);
}

void tg_emit_materialise(tg_lower *L, tg_value *v, tg_value *dest) {
    tg_emit_masked_copy(L, v, dest, NULL, 0);
}

void tg_emit_masked_copy(tg_lower *L, tg_value *v, tg_value *dest, tg_value *mask, int axis) {
    nest n = {.L = L, .rank = v->type->rank, .n_actions = 1};
    action *a = TG_NEW(L->arena, action);
    *a = (action){.kind = ACT_MAT,
                  .op = v->def,
                  .value = v,
                  .dest = dest,
                  .zero_mask = mask,
                  .zero_axis = axis};
    n.actions = a;
    for (int k = 0; k < n.rank; k++) {
        n.extent[k] = v->type->shape[k];
        n.need[k] = tg_info(L, dest)->need[k];
    }
    nest_natural_order(&n, tg_info(L, dest)->inner);
    emit_nest(&n);
}

void tg_emit_copy(tg_lower *L, tg_value *from, tg_value *to) {
    if (tg_info(L, to)->kind != TG_V_BUFFER || from == to) {
        return;
    }
    if (tg_info(L, from)->kind == TG_V_BUFFER &&
        tg_info(L, from)->offset == tg_info(L, to)->offset) {
        return;
    }
    tg_emit_materialise(L, from, to);
}
