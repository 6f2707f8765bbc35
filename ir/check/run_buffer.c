/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on memory: tensors and buffers. */
#include <string.h>

#include "ir/check/run.h"

/* ---- tensors -------------------------------------------------------------------------------- */

/* Position that an index operand gives for an element; false when it is absent. */
static bool position(tg_run *r, const tg_op *op, const tg_value *index, const int64_t *list,
                     const int64_t *coords, int64_t lane, int64_t *out) {
    tg_run_thread *t = tg_run_now(r);
    int32_t reg = tg_run_reg(r, index);
    int64_t at[TG_MAX_RANK] = {0};
    if (index->type->kind == TG_TY_SPAN) {
        *out = (int64_t)t->cells[reg] + coords[list[0]];
        return *out < (int64_t)t->cells[reg + 1];
    }
    for (int k = 0; k < index->type->rank; k++) {
        at[k] = coords[list[k]];
    }
    int64_t e = tg_elem_of(index->type->rank, index->type->shape, at);
    int32_t cell = tg_run_cell(r, op, index, lane < 0 ? 0 : lane, e);
    if (cell < 0) {
        return false;
    }
    if (t->undefined[cell]) {
        tg_li_report(&r->base, TG_LOOP_UNDEFINED, op, (int)lane,
                     "an index depends on memory that nobody wrote");
        return false;
    }
    *out = (int64_t)t->cells[cell];
    return !(index->type->dtype == TG_DT_U64 && *out < 0);
}

static bool mask_allows(tg_run *r, const tg_op *op, const tg_value *mask, const tg_type *value,
                        const int64_t *coords, int64_t lane) {
    tg_run_thread *t = tg_run_now(r);
    int64_t e = mask->type->rank == value->rank
                    ? tg_elem_of(value->rank, value->shape, coords)
                    : tg_elem_of(mask->type->rank, mask->type->shape, coords);
    int32_t cell = tg_run_cell(r, op, mask, lane < 0 ? 0 : lane, e);
    if (cell >= 0 && t->undefined[cell]) {
        tg_li_report(&r->base, TG_LOOP_UNDEFINED, op, (int)lane,
                     "a mask depends on memory that nobody wrote");
    }
    return cell >= 0 && t->cells[cell] != 0;
}

bool tg_run_find_element(tg_run *r, const tg_op *op, int first, const tg_type *value, int64_t elem,
                         int64_t lane, tg_run_element *out) {
    const tg_value *tensor = tg_operand(op, op->code == TG_OP_COPY ? first - 1 : 0);
    const tg_iv_tensor *v = r->tiles.values[tensor->id];
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    bool masked = tg_attr_int(op, TG_ATTR_MASKED, 0) != 0, packed = tg_dtype_bits(v->dtype) < 8;
    int64_t coords[TG_MAX_RANK] = {0}, at;
    const int64_t *list = axes->list;
    tg_coords_of(value->rank, value->shape, elem, coords);
    *out = (tg_run_element){.address = (unsigned char *)v->base,
                            .memory = &r->memories[r->memory_of_param[v->param]]};
    for (int a = 0; a < v->rank; a++) {
        const tg_value *index = tg_operand(op, first + a);
        if (!position(r, op, index, list, coords, lane, &at) || at < 0 || at >= v->extent[a]) {
            return false;
        }
        list += index->type->kind == TG_TY_SPAN ? 1 : index->type->rank;
        if (packed && a == v->rank - 1 && v->stride[a] == 0) {
            out->packed = at;
        } else {
            out->address += at * v->stride[a];
        }
    }
    return !masked || mask_allows(r, op, tg_operand(op, first + v->rank), value, coords, lane);
}

static int64_t offset_of(const tg_run_element *e, tg_dtype t) {
    int bits = tg_dtype_bits(t);
    return (int64_t)(e->address - e->memory->base) + (bits < 8 ? e->packed * bits / 8 : 0);
}

uint64_t tg_run_load_element(tg_run *r, const tg_op *op, const tg_run_element *e, tg_dtype t,
                             int lane, bool *undefined) {
    int64_t at = offset_of(e, t), n = tg_li_elem_bytes(t);
    tg_run_touch(r, op, e->memory, at, n, lane, LI_READ, NULL, false, undefined);
    if (at < 0 || at + n > e->memory->bytes) {
        return 0;
    }
    uint64_t bits = tg_bits_load(e->address, t, (size_t)e->packed);
    return t == TG_DT_BOOL        ? (bits & 0xFF) != 0
           : tg_dtype_is_float(t) ? bits
                                  : (uint64_t)tg_int_decode(t, bits);
}

static void store_element(tg_run *r, const tg_op *op, const tg_run_element *e, tg_dtype t, int lane,
                          uint64_t bits, tg_li_access how) {
    int64_t at = offset_of(e, t), n = tg_li_elem_bytes(t);
    if (!e->memory->writable) {
        tg_li_report(&r->base, TG_LOOP_BOUNDS, op, lane, "writes to %s", e->memory->name);
        return;
    }
    if (tg_dtype_bits(t) >= 8) { /* halves of one byte are the lowering's affair */
        tg_run_touch(r, op, e->memory, at, n, lane, how, NULL, false, NULL);
    }
    if (at >= 0 && at + n <= e->memory->bytes) {
        tg_bits_store(e->address, t, (size_t)e->packed, bits);
    }
}

static void run_load(tg_run *r, const tg_op *op) {
    tg_run_thread *t = tg_run_now(r);
    const tg_type *y = op->results[0].type;
    const tg_holders *h = tg_holders_get(&r->holders, y);
    int32_t to = tg_run_reg(r, &op->results[0]);
    int64_t n = y->rank == 0 ? 1 : h->lanes * h->regs;
    for (int64_t i = 0; i < n; i++) {
        int64_t e = y->rank == 0 ? 0 : h->elem[i],
                lane = y->rank == 0 ? TG_RUN_NOBODY : i / h->regs;
        bool undefined = e < 0;
        tg_run_element at;
        t->cells[to + i] = 0;
        if (e >= 0 && tg_run_find_element(r, op, 1, y, e, lane, &at)) {
            t->cells[to + i] = tg_run_load_element(r, op, &at, y->dtype, (int)lane, &undefined);
        }
        t->undefined[to + i] = undefined;
    }
}

static void run_store(tg_run *r, const tg_op *op) {
    tg_run_thread *t = tg_run_now(r);
    const tg_value *x = tg_operand(op, 1);
    int64_t n = tg_type_count(x->type);
    uint64_t *bits = tg_run_temp(r, n * (int64_t)sizeof(uint64_t));
    uint8_t *undef = tg_run_temp(r, n * (int64_t)sizeof(uint8_t));
    tg_run_gather(r, op, x, bits, undef);
    (void)t;
    const tg_holders *h = tg_holders_get(&r->holders, x->type);
    for (int64_t e = 0; e < n; e++) {
        int64_t lane = x->type->rank == 0 ? 0 : h->owner[e] / h->regs;
        tg_run_element at;
        if ((x->type->rank > 0 && h->owner[e] < 0) ||
            !tg_run_find_element(r, op, 2, x->type, e, lane, &at)) {
            continue;
        }
        if (undef[e]) {
            tg_li_report(&r->base, TG_LOOP_UNDEFINED, op, (int)lane,
                         "the value stored depends on memory that nobody wrote");
        }
        store_element(r, op, &at, x->type->dtype, (int)lane, bits[e], LI_WRITE);
    }
}

static uint64_t combine(tg_atomic_kind kind, tg_dtype t, uint64_t old, uint64_t v, uint64_t want) {
    static const tg_opcode codes[] = {TG_OP_ADD, TG_OP_MIN, TG_OP_MAX};
    return kind == TG_ATOMIC_CAS ? (old == want ? v : old) : tg_li_binary(codes[kind], t, old, v);
}

static void run_atomic(tg_run *r, const tg_op *op) {
    const tg_value *x = tg_operand(op, 1);
    tg_atomic_kind kind = (tg_atomic_kind)tg_attr_int(op, TG_ATTR_ATOMIC, 0);
    int64_t n = tg_type_count(x->type);
    uint64_t *bits = tg_run_temp(r, n * (int64_t)sizeof(uint64_t)),
             *old = tg_run_temp(r, n * (int64_t)sizeof(uint64_t));
    uint64_t *want = tg_run_temp(r, n * (int64_t)sizeof(uint64_t));
    uint8_t *undef = tg_run_temp(r, n * (int64_t)sizeof(uint8_t)),
            *none = tg_run_temp(r, n * (int64_t)sizeof(uint8_t));
    bool cas = kind == TG_ATOMIC_CAS;
    tg_run_gather(r, op, x, bits, undef);
    if (cas) {
        tg_run_gather(r, op, tg_operand(op, 2), want, none);
        memset(none, 0, (size_t)n);
    }
    const tg_holders *h = tg_holders_get(&r->holders, x->type);
    for (int64_t e = 0; e < n; e++) {
        int64_t lane = x->type->rank == 0 || h->owner[e] < 0 ? 0 : h->owner[e] / h->regs;
        tg_run_element at;
        bool undefined = false;
        if (!tg_run_find_element(r, op, cas ? 3 : 2, x->type, e, lane, &at)) {
            continue;
        }
        tg_run_touch(r, op, at.memory, offset_of(&at, x->type->dtype),
                     tg_li_elem_bytes(x->type->dtype), (int)lane, LI_ATOMIC, NULL, undef[e] != 0,
                     &undefined);
        old[e] = tg_li_canonical(x->type->dtype, tg_bits_load(at.address, x->type->dtype, 0));
        tg_bits_store(at.address, x->type->dtype, 0,
                      combine(kind, x->type->dtype, old[e], bits[e], want[e]));
    }
    tg_run_spread(r, &op->results[0], old, none);
}

/* ---- buffers -------------------------------------------------------------------------------- */

static int64_t slot_of(tg_run *r, const tg_op *op, int operand) {
    if (tg_attr_int(op, TG_ATTR_RING, 0) == 0) {
        return 0;
    }
    int64_t slot = tg_run_scalar(r, op, tg_operand(op, operand), "a slot");
    int64_t depth = tg_operand(op, 0)->type->depth;
    return (slot % depth + depth) % depth;
}

static void put_element(tg_run *r, const tg_op *op, const tg_run_buffer *b, int64_t e, int64_t slot,
                        int lane, uint64_t bits, bool undefined) {
    unsigned char raw[8];
    tg_dtype t = b->type->dtype;
    int64_t at = tg_run_byte_of(b, e, slot), n = tg_li_elem_bytes(t);
    tg_li_write_bits(raw, t, bits);
    tg_run_touch(r, op, b->memory, at, n, lane, LI_WRITE, raw, undefined, NULL);
    if (at >= 0 && at + n <= b->memory->bytes) {
        memcpy(b->memory->base + at, raw, (size_t)n);
    }
}

static uint64_t get_element(tg_run *r, const tg_op *op, const tg_run_buffer *b, int64_t e,
                            int64_t slot, int lane, bool *undefined) {
    tg_dtype t = b->type->dtype;
    int64_t at = tg_run_byte_of(b, e, slot), n = tg_li_elem_bytes(t);
    tg_run_touch(r, op, b->memory, at, n, lane, LI_READ, NULL, false, undefined);
    return at >= 0 && at + n <= b->memory->bytes ? tg_li_read_bits(b->memory->base + at, t) : 0;
}

/* Buffer element that corresponds to element e of a tile put or got. */
static int64_t part_elem(const tg_op *op, const tg_run_buffer *b, const tg_type *tile, int64_t e) {
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES), *off = tg_attr_get(op, TG_ATTR_OFFSETS);
    int64_t coords[TG_MAX_RANK] = {0}, at[TG_MAX_RANK] = {0};
    tg_coords_of(tile->rank, tile->shape, e, coords);
    for (int k = 0; k < b->rank; k++) {
        at[k] = off != NULL ? off->list[k] : 0;
    }
    for (int k = 0; k < tile->rank; k++) {
        at[axes != NULL ? axes->list[k] : k] += coords[k];
    }
    return tg_elem_of(b->rank, b->shape, at);
}

static void run_put(tg_run *r, const tg_op *op) {
    tg_run_thread *t = tg_run_now(r);
    const tg_value *x = tg_operand(op, 1);
    tg_run_buffer b = tg_run_buffer_of(r, tg_operand(op, 0));
    const tg_holders *h = tg_holders_get(&r->holders, x->type);
    int64_t slot = slot_of(r, op, 2);
    for (int64_t i = 0; i < h->lanes * h->regs; i++) {
        int32_t cell = tg_run_reg(r, x) + (x->type->rank == 0 ? 0 : (int32_t)i);
        if (h->elem[i] >= 0) {
            put_element(r, op, &b, part_elem(op, &b, x->type, h->elem[i]), slot, (int)(i / h->regs),
                        t->cells[cell], t->undefined[cell] != 0);
        }
    }
}

static void run_get(tg_run *r, const tg_op *op) {
    tg_run_thread *t = tg_run_now(r);
    const tg_type *y = op->results[0].type;
    tg_run_buffer b = tg_run_buffer_of(r, tg_operand(op, 0));
    const tg_holders *h = tg_holders_get(&r->holders, y);
    int64_t slot = slot_of(r, op, 1);
    for (int64_t i = 0; i < h->lanes * h->regs; i++) {
        int32_t cell = tg_run_reg(r, &op->results[0]) + (y->rank == 0 ? 0 : (int32_t)i);
        bool undefined = h->elem[i] < 0;
        uint64_t v = undefined ? 0
                               : get_element(r, op, &b, part_elem(op, &b, y, h->elem[i]), slot,
                                             (int)(i / h->regs), &undefined);
        t->cells[cell] = v;
        t->undefined[cell] = undefined;
    }
}

static void run_get_at(tg_run *r, const tg_op *op) {
    tg_run_thread *t = tg_run_now(r);
    const tg_value *index = tg_operand(op, 1);
    const tg_type *y = op->results[0].type;
    tg_run_buffer b = tg_run_buffer_of(r, tg_operand(op, 0));
    const tg_holders *h = tg_holders_get(&r->holders, y);
    int64_t slot = slot_of(r, op, 2), axis = tg_attr_int(op, TG_ATTR_AXIS, 0);
    int64_t to[TG_MAX_RANK] = {0}, at[TG_MAX_RANK], ix[TG_MAX_RANK] = {0};
    for (int64_t i = 0; i < (y->rank == 0 ? 1 : h->lanes * h->regs); i++) {
        int64_t e = h->elem[i], lane = i / h->regs;
        int32_t cell = tg_run_reg(r, &op->results[0]) + (int32_t)i;
        bool undefined = e < 0;
        t->cells[cell] = 0;
        t->undefined[cell] = undefined;
        if (e < 0) {
            continue;
        }
        tg_coords_of(y->rank, y->shape, e, to);
        for (int k = 0; k < index->type->rank; k++) {
            ix[k] = to[axis + k];
        }
        int32_t from =
            tg_run_cell(r, op, index, lane, tg_elem_of(index->type->rank, index->type->shape, ix));
        if (from < 0) {
            continue;
        }
        for (int k = 0; k < b.rank; k++) {
            at[k] = k < axis   ? to[k]
                    : k > axis ? to[k - 1 + index->type->rank]
                               : (int64_t)t->cells[from];
        }
        int64_t element = tg_elem_of(b.rank, b.shape, at);
        if (element >= 0) {
            t->cells[cell] = get_element(r, op, &b, element, slot, (int)lane, &undefined);
        }
        t->undefined[cell] = undefined || t->undefined[from];
    }
}

/* ---- copies --------------------------------------------------------------------------------- */

static void read_copy(tg_run *r, tg_run_copy *c) {
    const tg_op *op = c->op;
    bool ring = tg_attr_int(op, TG_ATTR_RING, 0) != 0;
    const tg_type *buf = tg_operand(op, 0)->type;
    int64_t n = tg_type_count(buf);
    c->bits = TG_NEW_ARRAY(r->arena, uint64_t, n);
    c->undefined = TG_NEW_ARRAY(r->arena, uint8_t, n);
    for (int64_t e = 0; e < n; e++) {
        tg_run_element at;
        bool undefined = false;
        if (tg_run_find_element(r, op, ring ? 3 : 2, buf, e, TG_RUN_NOBODY, &at)) {
            c->bits[e] = tg_run_load_element(r, op, &at, buf->dtype, TG_RUN_NOBODY, &undefined);
        }
        c->undefined[e] = undefined;
    }
}

static void set_in_flight(tg_run *r, const tg_run_copy *c, bool on) {
    tg_run_buffer b = tg_run_buffer_of(r, tg_operand(c->op, 0));
    int64_t width = tg_li_elem_bytes(b.type->dtype);
    for (int64_t e = 0; e < tg_type_count(tg_operand(c->op, 0)->type); e++) {
        int64_t at = tg_run_byte_of(&b, e, c->slot);
        for (int64_t k = at; at >= 0 && k < at + width && k < b.memory->bytes; k++) {
            b.memory->notes[k].in_flight = on;
        }
    }
}

/* The values arrive only when the copy is waited for; until then its bytes are nobody's. */
static void run_copy(tg_run *r, const tg_op *op) {
    tg_run_thread *t = tg_run_now(r);
    tg_run_copy c = {.op = op, .token = r->next_token++, .slot = slot_of(r, op, 1)};
    tg_run_buffer b = tg_run_buffer_of(r, tg_operand(op, 0));
    read_copy(r, &c);
    for (int64_t e = 0; e < tg_type_count(tg_operand(op, 0)->type); e++) {
        put_element(r, op, &b, e, c.slot, TG_RUN_NOBODY, UINT64_C(0xA5A5A5A5A5A5A5A5), true);
    }
    set_in_flight(r, &c, true);
    t->cells[tg_run_reg(r, &op->results[0])] = (uint64_t)c.token;
    t->undefined[tg_run_reg(r, &op->results[0])] = 0;
    TG_LIST_PUSH(r->arena, &t->copies, c);
}

/* The bytes have been nobody's since the copy was issued; now they hold its values. */
static void arrive(tg_run *r, const tg_run_buffer *b, int64_t at, tg_dtype t, uint64_t bits,
                   bool undefined) {
    int64_t n = tg_li_elem_bytes(t);
    if (at < 0 || at + n > b->memory->bytes) {
        return;
    }
    tg_li_write_bits(b->memory->base + at, t, bits);
    for (int64_t k = at; k < at + n; k++) {
        b->memory->notes[k].undefined = undefined;
        b->memory->notes[k].w_epoch = tg_run_now(r)->epoch;
        b->memory->notes[k].w_thread = (int16_t)r->thread;
        b->memory->notes[k].w_lane = TG_RUN_NOBODY;
    }
}

static void land(tg_run *r, size_t i) {
    tg_run_thread *t = tg_run_now(r);
    tg_run_copy c = t->copies.data[i];
    tg_run_buffer b = tg_run_buffer_of(r, tg_operand(c.op, 0));
    set_in_flight(r, &c, false);
    for (int64_t e = 0; e < tg_type_count(tg_operand(c.op, 0)->type); e++) {
        arrive(r, &b, tg_run_byte_of(&b, e, c.slot), b.type->dtype, c.bits[e], c.undefined[e] != 0);
    }
    for (size_t k = i + 1; k < t->copies.count; k++) {
        t->copies.data[k - 1] = t->copies.data[k];
    }
    t->copies.count--;
}

static void run_wait(tg_run *r, const tg_op *op, int operand) {
    tg_run_thread *t = tg_run_now(r);
    int64_t keep = op->code == TG_OP_WAIT ? tg_attr_int(op, TG_ATTR_N, -1) : -1;
    if (keep >= 0) {
        while ((int64_t)t->copies.count > keep) {
            land(r, 0);
        }
        return;
    }
    int64_t token = tg_run_scalar(r, op, tg_operand(op, operand), "a token");
    for (size_t i = t->copies.count; i-- > 0;) {
        if (t->copies.data[i].token == token) {
            land(r, i);
        }
    }
}

static void run_exchange_convert(tg_run *r, const tg_op *op) {
    const tg_value *x = tg_operand(op, 0);
    int64_t n = tg_type_count(x->type);
    uint64_t *bits = tg_run_temp(r, n * (int64_t)sizeof(uint64_t));
    uint8_t *undef = tg_run_temp(r, n * (int64_t)sizeof(uint8_t));
    tg_run_buffer b = tg_run_buffer_of(r, tg_operand(op, 1));
    tg_run_gather(r, op, x, bits, undef);
    for (int64_t e = 0; e < n; e++) {
        put_element(r, op, &b, e, 0, TG_RUN_NOBODY, bits[e], undef[e] != 0);
    }
    tg_run_barrier(r, b.memory->fence == 0 ? TG_FENCE_SHARED : TG_FENCE_GLOBAL);
    for (int64_t e = 0; e < n; e++) {
        (void)get_element(r, op, &b, e, 0, TG_RUN_ALL, &(bool){false});
    }
    tg_run_spread(r, &op->results[0], bits, undef);
}

bool tg_run_buffer_op(tg_run *r, const tg_li_ins *i) {
    const tg_op *op = i->op;
    switch ((int)op->code) {
    case TG_OP_LOAD:
        run_load(r, op);
        return true;
    case TG_OP_STORE:
        run_store(r, op);
        return true;
    case TG_OP_ATOMIC:
        run_atomic(r, op);
        return true;
    case TG_OP_BUFFER:
    case TG_OP_WINDOW:
        return true;
    case TG_OP_PUT:
        run_put(r, op);
        return true;
    case TG_OP_GET:
        run_get(r, op);
        return true;
    case TG_OP_GET_AT:
        run_get_at(r, op);
        return true;
    case TG_OP_COPY:
        run_copy(r, op);
        return true;
    case TG_OP_WAIT:
        run_wait(r, op, 0);
        return true;
    case TG_OP_SIGNAL:
        if (op->n_operands > 2) {
            run_wait(r, op, 2);
        }
        return false;   /* the event itself is the thread's */
    case TG_OP_CONVERT: /* else registers alone change */
        if (tg_attr_int(op, TG_ATTR_EXCHANGE, 0) == 0) {
            return false;
        }
        run_exchange_convert(r, op);
        return true;
    case TG_OP_BARRIER:
        tg_run_barrier(r, (tg_fence)tg_attr_int(op, TG_ATTR_FENCE, TG_FENCE_ALL));
        return true;
    }
    return false;
}
