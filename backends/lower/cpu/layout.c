/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which axis of a buffer lies innermost, and its strides.
 *
 * Row-major, with the innermost row padded to whole vectors. Two exceptions: when the last axis is
 * tiny the longest axis lies innermost, so that vectors run along it; and a product that is only
 * ever read along its rows (stored transposed, most often) accumulates transposed: A B is then
 * computed as B^T A^T, which costs the same, and nothing is left to turn.
 */
#include "backends/lower/cpu/lower.h"

tg_value *tg_buffer_owner(const tg_lower *L, tg_value *v) {
    while (tg_info(L, v)->home != NULL) {
        v = tg_info(L, v)->home;
    }
    return v;
}

int tg_store_inner(const tg_op *op) {
    tg_index ix[TG_MAX_RANK];
    tg_value *mask;
    int n = tg_indices(op, ix, &mask);
    int last = tg_operand(op, 1)->type->rank - 1;
    if (n == 0 || tg_operand(op, 0)->type->strided || ix[n - 1].n_axes == 0) {
        return last;
    }
    return (int)ix[n - 1].axes[ix[n - 1].n_axes - 1];
}

/* ---- which way a product is read
 * ------------------------------------------------------------------------------- */

/* The value of the same buffer that operand `index` of `user` is moved into, or NULL. */
static tg_value *moved_into(const tg_op *user, int index) {
    if (user->code == TG_OP_DOT && index == 2) {
        return &user->results[0];
    }
    if (user->code == TG_OP_FOR && index >= 3) {
        return user->regions[0]->args[index - 2];
    }
    const tg_op *loop = user->parent->parent;
    if (user->code == TG_OP_YIELD && loop != NULL && loop->code == TG_OP_FOR) {
        return loop->regions[0]->args[1 + index];
    }
    return NULL;
}

/* Bit a: some reader of v runs along v's axis a. Moves within v's own buffer are no readers. */
static unsigned read_axes(const tg_lower *L, const tg_value *v, const tg_value *own, int depth) {
    unsigned axes = 0, last = 1u << (v->type->rank - 1);
    for (const tg_use *u = v->uses; u != NULL; u = u->next) {
        const tg_op *user = u->user;
        int index = (int)(u - user->operands);
        tg_value *into = moved_into(user, index);
        if (into != NULL && tg_buffer_owner(L, into) == own) {
            continue;
        }
        const tg_value *r = user->n_results == 1 ? &user->results[0] : NULL;
        bool seen_through =
            r != NULL && tg_is_tile(r) && tg_info(L, r)->kind == TG_V_INLINE && depth < 16;
        if (r != NULL && tg_is_tile(r) && tg_info(L, r)->kind == TG_V_DEAD) {
            continue;
        }
        if (user->code == TG_OP_STORE && index == 1) {
            axes |= 1u << tg_store_inner(user);
        } else if (seen_through && user->code == TG_OP_PERMUTE) {
            const tg_attr *from = tg_attr_get(user, TG_ATTR_AXES);
            unsigned wanted = read_axes(L, r, own, depth + 1);
            for (int a = 0; a < r->type->rank; a++) {
                axes |= (wanted >> a & 1) << from->list[a];
            }
        } else if (seen_through && (tg_op_info_get(user->code)->flags & TG_OPF_ELEMENTWISE)) {
            axes |= read_axes(L, r, own, depth + 1);
        } else {
            axes |= last;
        }
    }
    return axes;
}

void tg_cpu_note_readers(tg_lower *L, tg_value *v) {
    if (!tg_is_tile(v) || tg_info(L, v)->kind != TG_V_BUFFER) {
        return;
    }
    tg_value *own = tg_buffer_owner(L, v);
    tg_vinfo *info = tg_info(L, own);
    info->of_product = info->of_product || (v->def != NULL && v->def->code == TG_OP_DOT);
    info->read_axes |= read_axes(L, v, own, 0);
}

/* ---- strides
 * ---------------------------------------------------------------------------------------------------
 */

static bool beside_product(const tg_value *v) {
    for (const tg_use *u = v->uses; u != NULL; u = u->next) {
        if (u->user->code == TG_OP_DOT) {
            return true;
        }
    }
    return v->def != NULL && v->def->code == TG_OP_DOT;
}

static int innermost_axis(const tg_vinfo *info, const tg_value *v, bool dot) {
    const tg_type *t = v->type;
    int last = t->rank - 1, inner = last;
    if (info->of_product && info->read_axes == 1u << (last - 1) && t->shape[last - 1] >= 8) {
        return last - 1;
    }
    for (int a = 0; a < t->rank && t->shape[last] < 8 && !dot; a++) {
        inner = t->shape[a] > t->shape[inner] && t->shape[a] >= 8 ? a : inner;
    }
    return inner;
}

void tg_cpu_lay_out(tg_lower *L, tg_value *v) {
    tg_vinfo *info = tg_info(L, v);
    const tg_type *t = v->type;
    bool dot = beside_product(v);
    int inner = innermost_axis(info, v, dot);
    info->inner = inner;
    int64_t pitch =
        t->shape[inner] > 4 || dot ? tg_round_up_i64(t->shape[inner], L->lanes) : t->shape[inner];
    info->stride[inner] = 1;
    int64_t stride = pitch;
    for (int a = t->rank - 1; a >= 0; a--) {
        if (a != inner) {
            info->stride[a] = stride;
            stride *= t->shape[a];
        }
    }
    /* Vectors may run past the last row's end by less than one block. */
    info->bytes = tg_round_up_i64((stride + L->lanes) * tg_scratch_elem_bytes(t->dtype), 64);
}
