/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registers: operands that lanes hold as their unit wants them stay there.
 *
 * Takes a function whose tiles have layouts. Where operand a of a product on a matrix unit is a
 * value that was put into a buffer for it, and every lane has in its registers just what the unit
 * wants of it there, in whatever order, the product takes the registers. Refuses nothing.
 *
 * Before:
 *   put %5, %4
 *   %6 = dot %5, %1, %2 {unit = "mma.m16n8k16.bf16"} : f32[64, 128]@"..."
 * After:
 *   %7 = convert %4 : bf16[64, 64]@"..."
 *   %6 = dot %7, %1, %2 {unit = "mma.m16n8k16.bf16"} : f32[64, 128]@"..."
 *
 * The accumulator of one product is operand a of the next (softmax between the two products of an
 * attention) where both have the same sub-groups along the rows and none along columns: the
 * fragments of NVIDIA's units are made so.
 */
#include "backends/place/place.h"
#include "ir/matrix.h"
#include "ir/passes.h"

/* The one operation that fills the buffer, whole; NULL: something else does, too. */
static tg_op *only_put(const tg_value *buf) {
    tg_op *put = NULL;
    for (const tg_use *u = buf->uses; u != NULL; u = u->next) {
        tg_op *op = u->user;
        if (op->code == TG_OP_DOT) {
            continue;
        }
        if (op->code != TG_OP_PUT || put != NULL || tg_attr_get(op, TG_ATTR_OFFSETS) != NULL) {
            return NULL;
        }
        put = op;
    }
    return put;
}

/* put stands in front of op, in its region. */
static bool is_before(const tg_op *put, const tg_op *op) {
    while (op != NULL && op != put) {
        op = op->prev;
    }
    return op != NULL;
}

/* Operand a as lanes hold it; NULL: it has to go through its buffer. */
static tg_value *held(tg_placer *p, const tg_op *dot, const tg_matrix_unit *u, const tg_op *put) {
    tg_value *v = tg_operand(put, 1);
    const tg_type *t = v->type;
    if (t->dtype != u->type[TG_PART_A] || tg_matrix_rounds(u) || !is_before(put, dot)) {
        return NULL;
    }
    const tg_layout *l =
        tg_matrix_operand(p->m, u, dot->results[0].type->layout, t->shape[t->rank - 1]);
    if (l == NULL || t->layout == NULL) {
        return NULL;
    }
    if (tg_layout_equal(t->layout, l, t->shape) &&
        tg_matrix_holds(p->m, u, TG_PART_A, t->layout, t->rank)) {
        return v;
    }
    if (!tg_layout_same_lanes(t->layout, l, t->shape)) {
        return NULL;
    }
    tg_builder b = tg_builder_before((tg_op *)put);
    b.span = dot->span;
    return tg_build1(&b, TG_OP_CONVERT, tg_type_with_layout(p->m, t, l), 1, v);
}

static void visit_dot(tg_placer *p, tg_op *dot) {
    const tg_matrix_unit *u = tg_matrix_find(tg_attr_str(dot, TG_ATTR_UNIT));
    tg_value *buf = tg_operand(dot, 0);
    if (u == NULL || !tg_matrix_is_open(u) || dot->n_operands != 3 ||
        buf->type->kind != TG_TY_BUFFER || buf->def == NULL || buf->def->code != TG_OP_BUFFER) {
        return;
    }
    tg_op *put = only_put(buf);
    tg_value *v = put == NULL ? NULL : held(p, dot, u, put);
    if (v == NULL) {
        return;
    }
    tg_set_operand(dot, 0, v);
    if (buf->uses != NULL && buf->uses->next == NULL) { /* nobody reads it any more */
        tg_op_erase(put);
        tg_op_erase(buf->def);
    }
}

static void visit_region(tg_placer *p, tg_region *r) {
    for (tg_op *op = r->first, *next; op != NULL; op = next) {
        next = op->next;
        for (int i = 0; i < op->n_regions && op->code != TG_OP_TEAM; i++) {
            visit_region(p, op->regions[i]);
        }
        if (op->code == TG_OP_DOT) {
            visit_dot(p, op);
        }
    }
}

tg_status tg_place_registers(tg_placer *p) {
    if (p->machine->matrix != 0) {
        visit_region(p, p->f->body);
    }
    return TG_OK;
}
