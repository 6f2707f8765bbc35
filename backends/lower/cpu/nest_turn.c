/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A single store or copy whose value is read along one axis and written along another: squares of
 * vectors are read, turned in registers and written. What is left at the edges goes the ordinary
 * way.
 */
#include "backends/lower/cpu/nest.h"

enum { TURN = 8 };

static void turn(tg_builder *b, tg_value **v) {
    for (int half = 1; half < TURN; half *= 2) {
        tg_value *next[TURN];
        for (int i = 0; i < TURN; i++) {
            if (i & half) {
                continue;
            }
            int64_t lo[TURN], hi[TURN];
            for (int l = 0; l < TURN; l++) { /* 2x2 blocks of `half` lanes change places */
                lo[l] = (l & half) ? TURN + (l - half) : l;
                hi[l] = (l & half) ? TURN + l : l + half;
            }
            next[i] = tg_build_shuffle(b, v[i], v[i + half], TURN, lo);
            next[i + half] = tg_build_shuffle(b, v[i], v[i + half], TURN, hi);
        }
        for (int i = 0; i < TURN; i++) {
            v[i] = next[i];
        }
    }
}

static tg_coord axis_coord(const nest *n, int axis, tg_value *iv, int64_t add, int lane) {
    return (tg_coord){.v = iv,
                      .add = add,
                      .lane = lane,
                      .level = n->x.depth,
                      .align = 1,
                      .v_align = iv != NULL ? TURN : 0,
                      .bound = n->need[axis].kind == TG_NEED_SPAN ? n->need[axis].span : NULL};
}

/* One action over [lo, hi) of two axes, one element at a time. */
static void single_elements(nest *n, int a, tg_value *a_lo, tg_value *a_hi, int b, tg_value *b_lo,
                            tg_value *b_hi) {
    tg_ctx *x = &n->x;
    tg_value *ia, *ib;
    x->lanes = 1;
    tg_op *la = tg_ctx_open(x, a_lo, a_hi, 1, 0, NULL, &ia);
    n->c[a] = (tg_coord){
        .v = ia, .level = x->depth, .align = 1, .bound = axis_coord(n, a, ia, 0, 0).bound};
    tg_op *lb = tg_ctx_open(x, b_lo, b_hi, 1, 0, NULL, &ib);
    n->c[b] = (tg_coord){
        .v = ib, .level = x->depth, .align = 1, .bound = axis_coord(n, b, ib, 0, 0).bound};
    nest_act_element(n, &n->actions[0]);
    tg_ctx_close(x, lb, 0, NULL);
    tg_ctx_close(x, la, 0, NULL);
}

static void turning_block(nest *n, int from, int to, tg_value *if_, tg_value *it) {
    tg_ctx *x = &n->x;
    action *a = &n->actions[0];
    tg_value *v[TURN];
    x->lanes = TURN;
    for (int k = 0; k < TURN; k++) {
        n->c[from] = axis_coord(n, from, if_, 0, 1);
        n->c[to] = axis_coord(n, to, it, k, 0);
        bool own = a->kind == ACT_MAT && a->dest == a->value && a->value->def != NULL;
        tg_ev e = own ? tg_eval_op(x, a->value->def, a->value, n->c) : tg_elem(x, a->value, n->c);
        v[k] = tg_ev_vec(x, e);
    }
    turn(&x->bl[x->depth], v);
    for (int k = 0; k < TURN; k++) {
        n->c[from] = axis_coord(n, from, if_, k, 0);
        n->c[to] = axis_coord(n, to, it, 0, 1);
        tg_ev e = {.v = v[k], .level = x->depth, .vec = true};
        if (a->kind == ACT_STORE) {
            tg_tensor_write(x, a->op, n->c, e);
        } else {
            tg_buffer_write(x, a->dest, n->c, e);
        }
    }
}

void nest_turning_loops(nest *n, int from, int to) {
    tg_ctx *x = &n->x;
    tg_builder *b = &x->bl[x->depth];
    tg_value *zero = tg_build_index(b, 0), *mask = tg_build_index(b, -TURN), *i, *j;
    tg_value *f_end = tg_build_binary(b, TG_OP_AND, n->trip[from], mask);
    tg_value *t_end = tg_build_binary(b, TG_OP_AND, n->trip[to], mask);
    tg_op *outer = tg_ctx_open(x, zero, f_end, TURN, 0, NULL, &i);
    tg_op *inner = tg_ctx_open(x, zero, t_end, TURN, 0, NULL, &j);
    turning_block(n, from, to, i, j);
    tg_ctx_close(x, inner, 0, NULL);
    tg_ctx_close(x, outer, 0, NULL);
    single_elements(n, from, f_end, n->trip[from], to, zero, n->trip[to]);
    single_elements(n, from, zero, f_end, to, t_end, n->trip[to]);
}

/* The axis a lone action reads along, when it is not the one it writes along; -1 otherwise. */
int nest_turned_axis(const nest *n) {
    const action *a = &n->actions[0];
    if (n->n_actions != 1 || n->rank < 2 || a->kind == ACT_RED || a->kind == ACT_ROW ||
        a->zero_mask != NULL || tg_dtype_bits(a->value->type->dtype) < 8 ||
        n->L->mc->vector_bytes < 16) {
        return -1;
    }
    if (a->kind == ACT_STORE && tg_attr_int(a->op, TG_ATTR_MASKED, 0)) {
        return -1;
    }
    int to = n->order[n->rank - 1];
    bool own = a->kind == ACT_MAT && a->dest == a->value;
    int from = tg_unit_axis(n->L, a->value, own);
    return from >= 0 && from != to && n->extent[from] >= TURN && n->extent[to] >= TURN ? from : -1;
}
