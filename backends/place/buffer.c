/* SPDX-License-Identifier: Apache-2.0 */
/* Making and asking about buffers and the operations on them; see place.h. */
#include "backends/place/place.h"
#include "ir/matrix.h"

#include <string.h>

tg_value *tg_place_buffer(tg_placer *p, tg_dtype t, int rank, const int64_t *shape, tg_span span) {
    const tg_type *type = tg_type_buffer(p->m, TG_SPACE_SHARED, t, rank, shape, 1, NULL);
    tg_op *op = tg_op_make(p->f, TG_OP_BUFFER, span, 0, NULL, 1, &type, 0);
    if (p->f->body->first == NULL) {
        tg_op_append(p->f->body, op);
    } else {
        tg_op_insert_before(p->f->body->first, op);
    }
    return &op->results[0];
}

static tg_value *window(tg_builder *b, tg_value *buf, int rank, const int64_t *shape) {
    const tg_type *t = buf->type;
    return tg_build1(b, TG_OP_WINDOW,
                     tg_type_buffer(b->module, t->space, t->dtype, rank, shape, t->depth, NULL), 1,
                     buf);
}

tg_value *tg_place_window(tg_builder *b, tg_value *buf, int rank, const int64_t *shape,
                          const int64_t *axes, const int64_t *offsets) {
    static const int64_t zeros[TG_MAX_RANK];
    tg_value *w = window(b, buf, rank, shape);
    tg_op_set_list(w->def, TG_ATTR_AXES, axes, (size_t)rank);
    offsets = offsets == NULL ? zeros : offsets;
    if (memcmp(offsets, zeros, (size_t)buf->type->rank * sizeof(int64_t)) != 0) {
        tg_op_set_list(w->def, TG_ATTR_OFFSETS, offsets, buf->type->rank);
    }
    return w;
}

tg_value *tg_place_window_reshape(tg_builder *b, tg_value *buf, int rank, const int64_t *shape) {
    return window(b, buf, rank, shape);
}

tg_op *tg_place_buffer_of(tg_value *buf) {
    while (buf->def->code == TG_OP_WINDOW) {
        buf = tg_operand(buf->def, 0);
    }
    return buf->def;
}

bool tg_place_is_bulk(const tg_op *copy) {
    const char *kind = tg_attr_str(copy, TG_ATTR_KIND);
    return kind != NULL && strcmp(kind, "tensor") == 0;
}

int64_t tg_place_elem_bytes(tg_dtype t) {
    int bits = (int)tg_dtype_bits(t);
    return t == TG_DT_BOOL || bits < 8 ? 1 : bits / 8;
}

int64_t tg_place_buffer_align(const tg_type *t) {
    enum { PLAIN = 16 };
    return t->layout != NULL && t->layout->xor_g != 0 ? TG_SWIZZLE_ALIGN : PLAIN;
}

int64_t tg_place_buffer_bytes(const tg_type *t) {
    int64_t n = t->layout != NULL ? tg_layout_memory_size(t->layout) : tg_type_count(t);
    if (!tg_mul_i64(n, t->depth, &n) || !tg_mul_i64(n, tg_place_elem_bytes(t->dtype), &n)) {
        return INT64_MAX;
    }
    return n;
}

tg_op *tg_place_put(tg_builder *b, tg_value *buf, tg_value *x) {
    tg_value *operands[] = {buf, x};
    return tg_build_op(b, TG_OP_PUT, 2, operands, 0, NULL, 0);
}

tg_value *tg_place_get(tg_builder *b, tg_value *buf, const tg_type *type) {
    return tg_build1(b, TG_OP_GET, type, 1, buf);
}

tg_builder tg_place_after(tg_value *v) {
    tg_region *r = v->def != NULL ? v->def->parent : v->region;
    tg_op *next = v->def != NULL ? v->def->next : r->first;
    tg_builder b = next != NULL ? tg_builder_before(next) : tg_builder_at_end(r);
    b.span = v->def != NULL ? v->def->span : r->parent != NULL ? r->parent->span : r->func->span;
    return b;
}

/* ---- accesses ------------------------------------------------------------------------------- */

/* team(in x count, [mask], out..., tmp...). */
static unsigned team_use(const tg_op *op, int i) {
    int64_t ins =
        tg_attr_int(op, TG_ATTR_N_COUNT, 0) + (tg_attr_int(op, TG_ATTR_MASKED, 0) != 0 ? 1 : 0);
    return i < ins ? TG_USE_READ : TG_USE_READ | TG_USE_WRITE;
}

unsigned tg_place_buffer_use(const tg_op *op, int i) {
    if (op->operands[i].value->type->kind != TG_TY_BUFFER) {
        return TG_USE_NONE;
    }
    switch ((int)op->code) {
    case TG_OP_PUT:
    case TG_OP_COPY:
        return TG_USE_WRITE;
    case TG_OP_GET:
    case TG_OP_GET_AT:
    case TG_OP_DOT:
        return TG_USE_READ;
    case TG_OP_TEAM:
        return team_use(op, i);
    case TG_OP_REDUCE:
    case TG_OP_CONVERT:
    case TG_OP_ATOMIC:
        return TG_USE_READ | TG_USE_WRITE; /* exchange */
    default:
        return TG_USE_NONE; /* window */
    }
}
