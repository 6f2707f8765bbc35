/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrix operands that are functions of codes of four bits: finds the load of the codes below
 * casts, constants and permutes, evaluates the function of each code while compiling, and says
 * where the codes lie.
 */
#include "backends/lower/cpu/lower.h"

enum { MAX_DEPTH = 8 };

/* The load below v and which of its axes are the row and k: axis[0], axis[1] of v on entry. NULL:
 * there are several, or their elements are moved otherwise. */
static tg_op *load_below(tg_lower *L, tg_value *v, int axis[2], int depth) {
    tg_op *op = v->def;
    if (op == NULL || depth == 0 || !tg_is_tile(v)) {
        return NULL;
    }
    uint8_t kind = tg_info(L, v)->kind;
    if (op->code == TG_OP_LOAD) {
        return kind == TG_V_LAZY || kind == TG_V_INLINE ? op : NULL;
    }
    if (kind != TG_V_INLINE) {
        return NULL;
    }
    if (op->code == TG_OP_PERMUTE) {
        const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
        axis[0] = (int)axes->list[axis[0]];
        axis[1] = (int)axes->list[axis[1]];
        return load_below(L, tg_operand(op, 0), axis, depth - 1);
    }
    if (!(tg_op_info_get(op->code)->flags & TG_OPF_ELEMENTWISE)) {
        return NULL;
    }
    tg_op *found = NULL;
    int own[2] = {axis[0], axis[1]};
    for (int i = 0; i < op->n_operands; i++) {
        int at[2] = {own[0], own[1]};
        tg_op *load = load_below(L, tg_operand(op, i), at, depth - 1);
        if (load == NULL) {
            continue; /* a constant, or the table cannot be made */
        }
        if (found != NULL && (found != load || at[0] != axis[0] || at[1] != axis[1])) {
            return NULL;
        }
        found = load;
        axis[0] = at[0];
        axis[1] = at[1];
    }
    return found;
}

static void need_true(tg_lower *L, tg_dot_codes *c, tg_value *cond) {
    c->usable = c->usable == NULL ? cond : tg_build_binary(&L->b, TG_OP_AND, c->usable, cond);
}

/* Adds the conditions under which index k's window or position lies inside. */
static void need_inside(tg_lower *L, tg_dot_codes *c, const tg_index *ix, tg_value *dim,
                        bool bounded) {
    tg_builder *b = &L->b;
    tg_value *lo, *end;
    if (ix->v->type->kind == TG_TY_SPAN) {
        const tg_vinfo *s = tg_info(L, ix->v);
        tg_value *n = bounded ? s->len : tg_build_index(b, ix->v->type->shape[0]);
        lo = s->lo;
        end = tg_build_binary(b, TG_OP_ADD, lo, n);
        dim = bounded ? dim : tg_build_binary(b, TG_OP_MIN, dim, s->hi);
    } else {
        lo = tg_build_cast(b, tg_scalar(L, ix->v), TG_DT_I64);
        end = tg_build_binary(b, TG_OP_ADD, lo, tg_build_index(b, 1));
    }
    need_true(L, c, tg_build_cmp(b, TG_CMP_GE, lo, tg_build_index(b, 0)));
    need_true(L, c, tg_build_cmp(b, TG_CMP_LE, end, dim));
}

static bool find_memory(tg_lower *L, tg_op *load, const int axis[2], const tg_need need[2],
                        tg_dot_codes *c) {
    tg_index ix[TG_MAX_RANK];
    tg_value *mask;
    int n = tg_indices(load, ix, &mask);
    tg_tensor *t = tg_tensor_of(L, tg_operand(load, 0));
    if (mask != NULL || t->elem_bytes != 0) {
        return false;
    }
    for (int k = 0; k < n; k++) {
        bool span = ix[k].v->type->kind == TG_TY_SPAN;
        bool along_k = span && ix[k].axes[0] == axis[1];
        if ((!span && ix[k].n_axes != 0) || along_k != (k == n - 1) ||
            (span && !along_k && ix[k].axes[0] != axis[0])) {
            return false;
        }
    }
    tg_builder *b = &L->b;
    tg_value *first = tg_operand(ix[n - 1].v->def, 0);
    if (tg_known_multiple(first) % 2 != 0) {
        return false;
    }
    c->base = t->base;
    for (int k = 0; k < n; k++) {
        bool span = ix[k].v->type->kind == TG_TY_SPAN, bounded = false;
        if (span) {
            const tg_need *own = &need[k == n - 1];
            bounded = tg_span_is_full(ix[k].v) ||
                      (own->kind == TG_NEED_SPAN && own->span == tg_info(L, ix[k].v)->canon);
        }
        if (!tg_index_proven(L, load, k, &ix[k], bounded)) {
            need_inside(L, c, &ix[k], t->dim[k], bounded);
        }
        tg_value *at =
            span ? tg_info(L, ix[k].v)->lo : tg_build_cast(b, tg_scalar(L, ix[k].v), TG_DT_I64);
        if (k == n - 1) {
            at = tg_build_binary(b, TG_OP_SHR, at, tg_build_index(b, 1));
            c->base = tg_build_gep(b, c->base, at, 1);
            break;
        }
        tg_value *stride =
            t->const_stride[k] >= 0 ? tg_build_index(b, t->const_stride[k]) : t->stride[k];
        c->base = tg_build_gep(b, c->base, tg_build_binary(b, TG_OP_MUL, at, stride), 1);
        c->row_bytes = span ? stride : c->row_bytes;
    }
    return c->row_bytes != NULL;
}

const tg_dot_codes *tg_operand_codes(tg_lower *L, tg_value *v, int k_axis, const tg_need need[2]) {
    int axis[2] = {1 - k_axis, k_axis};
    tg_dot_codes c = {.base = NULL};
    if (v->type->rank != 2) {
        return NULL;
    }
    tg_op *load = load_below(L, v, axis, MAX_DEPTH);
    if (load == NULL || !tg_code_function(v, load, c.value) ||
        !find_memory(L, load, axis, need, &c)) {
        return NULL;
    }
    tg_dot_codes *keep = TG_NEW(L->arena, tg_dot_codes);
    *keep = c;
    return keep;
}
