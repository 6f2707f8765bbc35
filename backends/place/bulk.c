/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bulk: which copies the machine does as boxes of a tensor.
 *
 * Takes a function with layouts. On machines with bulk copies (TG_SIMT_BULK) marks the copies that
 * they can do, and aligns their buffers. Changes nothing else, refuses nothing.
 *
 * Before:
 *   %3 = buffer : buf<shared, f16[64, 32], 1>
 *   %6 = copy %3, %a, %rows, %cols {axes = [0, 1]} : i64
 * After:
 *   %3 = buffer {align = 128} : buf<shared, f16[64, 32], 1>
 *   %6 = copy %3, %a, %rows, %cols {axes = [0, 1], copy = "tensor"} : i64
 *
 * A box is a rectangle of the tensor whose rows lie in memory as they do in the buffer: indices are
 * spans and scalars in the tensor's order of axes, the last one a span along consecutive elements
 * of whole bytes, rows of a multiple of 16 bytes and at most 256 elements a side. What is outside
 * of the tensor becomes zero, as the copy means it. Whether a launch's tensor has a map is asked
 * when it runs; the lowering keeps the lanes' own copy for that.
 */
#include "backends/place/place.h"

enum {
    RESERVE = 256, /* bytes for the barriers that count the copies' bytes */
    MOST_BARRIERS = 32,
    ALIGN = 128,       /* PTX ISA 8.5, 5.5.3: of a box in shared memory */
    LEAST_BYTES = 1024 /* smaller blocks are not worth a barrier */
};

static bool is_consecutive(const tg_value *tensor) {
    const tg_type *t = tensor->type;
    if (tensor->def == NULL) {
        return !t->strided && t->dtype != TG_DT_RECORD;
    }
    const tg_attr *strides = tg_attr_get(tensor->def, TG_ATTR_STRIDES);
    return strides != NULL && strides->n_list > 0 && t->dtype != TG_DT_RECORD &&
           strides->list[strides->n_list - 1] == tg_dtype_bits(t->dtype) / 8;
}

/* Spans in the order of the buffer's axes, scalars anywhere but last. */
static bool is_box(const tg_op *copy, int first, int rank) {
    const tg_attr *axes = tg_attr_get(copy, TG_ATTR_AXES);
    size_t at = 0;
    for (int k = 0; k < rank; k++) {
        const tg_type *t = copy->operands[first + k].value->type;
        bool span = t->kind == TG_TY_SPAN;
        if ((!span && t->rank > 0) || (!span && k == rank - 1) ||
            (span && (t->shape[0] > 256 || axes->list[at] != (int64_t)at))) {
            return false;
        }
        at += span;
    }
    return (int)at == copy->operands[0].value->type->rank;
}

/* Waited for where it is started, and not yet of a ring: who makes rings says which wait is whose.
 */
static bool is_awaited(const tg_op *copy) {
    const tg_use *u = copy->results[0].uses;
    return u != NULL && u->next == NULL && u->user->code == TG_OP_WAIT &&
           u->user->parent == copy->parent && tg_attr_int(copy, TG_ATTR_RING, 0) == 0;
}

/* A role that copies tells others of it: each replica of them by a signal of its own. */
static bool is_signalled(const tg_op *copy) {
    bool all = copy->results[0].uses != NULL && tg_attr_int(copy, TG_ATTR_RING, 0) != 0;
    for (const tg_use *u = copy->results[0].uses; u != NULL; u = u->next) {
        all = all && u->user->code == TG_OP_SIGNAL && u->user->parent == copy->parent;
    }
    return all;
}

static bool can_be_bulk(const tg_op *copy) {
    const tg_type *b = copy->operands[0].value->type;
    int ring = tg_attr_int(copy, TG_ATTR_RING, 0) != 0;
    const tg_value *tensor = copy->operands[1 + ring].value;
    int64_t width = tg_dtype_bits(b->dtype) / 8, bytes = tg_type_count(b) * width;
    return copy->operands[0].value->def->code == TG_OP_BUFFER && b->space == TG_SPACE_SHARED &&
           b->rank > 0 && tensor->type->rank <= 5 && tg_dtype_bits(b->dtype) >= 8 &&
           tg_attr_int(copy, TG_ATTR_MASKED, 0) == 0 && b->shape[b->rank - 1] * width % 16 == 0 &&
           bytes % ALIGN == 0 && bytes >= LEAST_BYTES && is_consecutive(tensor) &&
           is_box(copy, 2 + ring, tensor->type->rank) && (is_awaited(copy) || is_signalled(copy));
}

static void visit_buffer(tg_op *buffer, int64_t *barriers, int64_t stages) {
    int64_t copies = 0;
    bool all = true;
    for (const tg_use *u = buffer->results[0].uses; u != NULL; u = u->next) {
        if (u->user->code == TG_OP_COPY) {
            copies++;
            all = all && can_be_bulk(u->user);
        }
    }
    if (copies == 0 || !all || *barriers + stages > MOST_BARRIERS) {
        return;
    }
    *barriers += stages;
    tg_op_set_int(buffer, TG_ATTR_ALIGN, ALIGN);
    for (const tg_use *u = buffer->results[0].uses; u != NULL; u = u->next) {
        if (u->user->code == TG_OP_COPY) {
            tg_op_set_str(u->user, TG_ATTR_KIND, "tensor");
        }
    }
}

tg_status tg_place_bulk(tg_placer *p) {
    int64_t barriers = 0;
    if ((p->machine->simt & TG_SIMT_BULK) == 0) {
        return TG_OK;
    }
    int64_t stages = tg_place_schedule_int(p->f, "stages", tg_max_i64(1, p->machine->stages));
    for (tg_op *op = p->f->body->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_BUFFER) {
            visit_buffer(op, &barriers, tg_min_i64(stages, 8));
        }
    }
    p->shared_bytes -= barriers > 0 ? RESERVE : 0;
    return TG_OK;
}
