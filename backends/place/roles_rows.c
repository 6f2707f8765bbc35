/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows that nobody sees. A block of rows that ends before its tensor does (the rows of one group)
 * has to read as zero behind its end, which no box of a tensor does. But where what is made of the
 * product is looked at for rows of the block alone, the others may be anything.
 *
 *   %3 = span %at, %end : span<128>
 *   %9 = for ... { %5 = copy %a, %3, %k; ...; %7 = dot %5, %6, %acc; yield %7 }
 *   %12 = select broadcast(present %3), %9, %zero      -> %5 may copy span %at, M
 */
#include "backends/place/place.h"

/* The condition says that the row is one of the span's. */
static bool asks_for_rows(const tg_value *cond, const tg_value *span) {
    const tg_op *op = cond->def;
    if (op != NULL && op->code == TG_OP_AND) {
        return asks_for_rows(op->operands[0].value, span) ||
               asks_for_rows(op->operands[1].value, span);
    }
    const tg_attr *axes =
        op != NULL && op->code == TG_OP_BROADCAST ? tg_attr_get(op, TG_ATTR_AXES) : NULL;
    const tg_op *of = axes != NULL ? op->operands[0].value->def : NULL;
    return of != NULL && (of->code == TG_OP_PRESENT || of->code == TG_OP_SPAN_MASK) &&
           of->results[0].type->rank == 1 && axes->n_list == 1 &&
           axes->list[0] == cond->type->rank - 2 && of->operands[0].value == span;
}

/* Nobody sees rows of v, or of what is made of it by elements in the loop and behind it, that are
 * not of the span. */
static bool rows_are_hidden(const tg_value *v, const tg_op *loop, const tg_value *span) {
    for (const tg_use *u = v->uses; u != NULL; u = u->next) {
        const tg_op *op = u->user;
        int at = (int)(u - op->operands);
        bool inside_loop = op->parent == loop->regions[0];
        if (inside_loop && op->code == TG_OP_YIELD) {
            if (!rows_are_hidden(&loop->results[at], loop, span)) {
                return false;
            }
        } else if (inside_loop && (tg_op_info_get(op->code)->flags & TG_OPF_ELEMENTWISE) != 0) {
            if (!rows_are_hidden(&op->results[0], loop, span)) {
                return false;
            }
        } else if (inside_loop || op->code != TG_OP_SELECT || at != 1 ||
                   !asks_for_rows(op->operands[0].value, span)) {
            return false;
        }
    }
    return true;
}

/* The operand that gives the rows of a product's first operand by a span that ends before its
 * tensor does, where nobody sees the product's other rows: whole blocks are boxes then. */
int tg_place_hidden_rows(const tg_op *copy, const tg_op *reader, const tg_op *loop) {
    const tg_attr *axes = tg_attr_get(copy, TG_ATTR_AXES);
    const tg_type *tensor = copy->operands[1].value->type;
    if (reader == NULL || reader->code != TG_OP_DOT || reader->parent != loop->regions[0] ||
        reader->operands[0].value != copy->operands[0].value) {
        return 0;
    }
    for (int k = 0, at = 0; k < tensor->rank; k++) {
        const tg_value *v = copy->operands[2 + k].value;
        if (v->type->kind != TG_TY_SPAN) {
            continue;
        }
        bool rows = axes->list[at++] == copy->operands[0].value->type->rank - 2;
        if (rows && tensor->dims[k]->code == TG_DIM_SYM && v->def != NULL &&
            v->def->operands[1].value->def != NULL &&
            v->def->operands[1].value->def->code != TG_OP_SYM) {
            return rows_are_hidden(&reader->results[0], loop, v) ? 2 + k : 0;
        }
    }
    return 0;
}
