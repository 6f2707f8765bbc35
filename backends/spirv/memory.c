/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device memory and the lanes of vectors. An address is an integer until it is used; a vector that
 * lies aligned is moved by vectors of four or two lanes, any other lane by lane. Elements aligned
 * to less than their size are put together from parts. A masked lane branches around its access.
 */
#include <string.h>

#include "backends/spirv/spirv.h"

uint32_t tg_spv_offset(tg_spv *s, uint32_t address, int64_t bytes) {
    if (bytes == 0) {
        return address;
    }
    return TG_SPV_VALUE(s, SpvOpIAdd, tg_spv_type_int(s, 64), address,
                        tg_spv_const(s, 64, (uint64_t)bytes));
}

uint32_t tg_spv_pointer(tg_spv *s, uint32_t address, uint32_t type) {
    return TG_SPV_VALUE(s, SpvOpConvertUToPtr, tg_spv_type_pointer(s, s->flavour->device, type),
                        address);
}

/* Memory of 8 and 16 bits is a capability of its own where the flavour says so. */
static void need_storage(tg_spv *s, int bits) {
    if (s->flavour->narrow_storage && bits < 32) {
        tg_spv_capability(s, bits == 8 ? SpvCapabilityStorageBuffer8BitAccess
                                       : SpvCapabilityStorageBuffer16BitAccess);
    }
}

/* One access: n consecutive lanes of a type at an address. */
typedef struct access {
    const tg_type *type;
    uint32_t address;
    int n, align; /* lanes, bytes */
    bool store;
    const uint32_t *put; /* store: the lanes */
    uint32_t *got;       /* load */
} access;

static int lane_bytes(const tg_type *t) { return tg_spv_bits(t) / 8; }

static uint32_t access_mask(tg_spv *s) { return SpvMemoryAccessAlignedMask | s->flavour->access; }

/* `n` lanes by one instruction; n is 1, 2 or 4. */
static void move_whole(tg_spv *s, const access *a, int at, int n, int align) {
    uint32_t element = tg_spv_memory_type(s, a->type);
    uint32_t type = n > 1 ? tg_spv_type_vector(s, element, n) : element;
    uint32_t address = tg_spv_offset(s, a->address, (int64_t)at * lane_bytes(a->type));
    uint32_t pointer = tg_spv_pointer(s, address, type), x[4];
    need_storage(s, tg_spv_bits(a->type));
    if (a->store) {
        for (int l = 0; l < n; l++) {
            x[l] = tg_spv_to_memory(s, a->type, a->put[at + l]);
        }
        uint32_t v =
            n > 1 ? tg_spv_emit_value(s, SpvOpCompositeConstruct, type, (size_t)n, x) : x[0];
        TG_SPV(s, TG_SPV_BODY, SpvOpStore, pointer, v, access_mask(s), (uint32_t)align);
        return;
    }
    uint32_t v = TG_SPV_VALUE(s, SpvOpLoad, type, pointer, access_mask(s), (uint32_t)align);
    for (int l = 0; l < n; l++) {
        uint32_t id = n > 1 ? TG_SPV_VALUE(s, SpvOpCompositeExtract, element, v, (uint32_t)l) : v;
        a->got[at + l] = tg_spv_from_memory(s, a->type, id);
    }
}

/* One lane whose alignment is `align`, less than its size: as parts of that many bytes. */
static void move_parts(tg_spv *s, const access *a, int at, int align) {
    int bits = tg_spv_bits(a->type), part = 8 * align;
    uint32_t word = tg_spv_type_int(s, bits), piece = tg_spv_type_int(s, part), sum = 0;
    uint32_t whole = !a->store ? 0 : tg_spv_as_bits(s, a->type, a->put[at]);
    need_storage(s, part);
    for (int p = 0; p < bits / part; p++) {
        int64_t skip = (int64_t)at * lane_bytes(a->type) + (int64_t)p * align;
        uint32_t pointer = tg_spv_pointer(s, tg_spv_offset(s, a->address, skip), piece);
        uint32_t by = tg_spv_const(s, bits, (uint64_t)p * (uint64_t)part);
        if (a->store) {
            uint32_t v = TG_SPV_VALUE(s, SpvOpShiftRightLogical, word, whole, by);
            TG_SPV(s, TG_SPV_BODY, SpvOpStore, pointer, tg_spv_resize(s, bits, part, false, v),
                   access_mask(s), (uint32_t)align);
            continue;
        }
        uint32_t v = TG_SPV_VALUE(s, SpvOpLoad, piece, pointer, access_mask(s), (uint32_t)align);
        v = TG_SPV_VALUE(s, SpvOpShiftLeftLogical, word, tg_spv_resize(s, part, bits, false, v),
                         by);
        sum = p ? TG_SPV_VALUE(s, SpvOpBitwiseOr, word, sum, v) : v;
    }
    if (!a->store) {
        a->got[at] = tg_spv_from_bits(s, a->type, sum);
    }
}

static void move(tg_spv *s, const access *a) {
    int size = lane_bytes(a->type);
    for (int at = 0; at < a->n;) {
        /* bytes before lane `at` lessen what is known of the alignment */
        int64_t known = a->align, skip = (int64_t)at * size;
        while (skip % known != 0) {
            known /= 2;
        }
        int n = a->n - at >= 4 && known >= 4 * size   ? 4
                : a->n - at >= 2 && known >= 2 * size ? 2
                                                      : 1;
        if (known < size) {
            move_parts(s, a, at, (int)known);
        } else {
            move_whole(s, a, at, n, (int)(known > 16 ? 16 : known));
        }
        at += n;
    }
}

/* ---- masks -------------------------------------------------------------------------------------
 */

static uint32_t load_lane(tg_spv *s, void *user) {
    access *a = user;
    move(s, a);
    return a->got[0];
}

static void masked_lane(tg_spv *s, access *a, uint32_t mask, uint32_t otherwise) {
    if (!a->store) {
        a->got[0] = tg_spv_guarded(s, mask, tg_spv_type(s, a->type), otherwise, load_lane, a);
        return;
    }
    uint32_t merge = tg_spv_then(s, mask);
    move(s, a);
    tg_spv_end(s, merge);
}

static int known_align(const tg_op *op, const tg_type *t) {
    int64_t align = tg_attr_int(op, TG_ATTR_ALIGN, lane_bytes(t));
    return align > 4096 ? 4096 : (int)align;
}

/* Lane by lane; every lane keeps the alignment its offset leaves. */
static void masked(tg_spv *s, const tg_op *op, const access *whole, tg_spv_value mask,
                   tg_spv_value rest) {
    int size = lane_bytes(whole->type), align = whole->align;
    for (int l = 0; l < whole->n; l++) {
        access a = {.type = whole->type, .n = 1, .align = align < size ? align : size};
        a.address = tg_spv_offset(s, whole->address, (int64_t)l * size);
        a.store = whole->store;
        a.put = a.store ? whole->put + l : NULL;
        a.got = a.store ? NULL : whole->got + l;
        masked_lane(s, &a, mask.id[l], rest.id ? rest.id[l] : 0);
        tg_spv_line(s, op->span);
    }
}

static tg_spv_value emit_load(tg_spv *s, tg_op *op) {
    const tg_type *t = op->results[0].type;
    tg_spv_value row = tg_spv_row(s, tg_spv_lanes(t));
    access a = {.type = t,
                .address = tg_spv_operand(s, op, 0).id[0],
                .n = row.n,
                .align = known_align(op, t),
                .got = row.id};
    if (op->n_operands > 1) {
        masked(s, op, &a, tg_spv_operand(s, op, 1), tg_spv_operand(s, op, 2));
    } else {
        move(s, &a);
    }
    return row;
}

static void emit_store(tg_spv *s, tg_op *op) {
    const tg_type *t = tg_operand(op, 1)->type;
    tg_spv_value x = tg_spv_operand(s, op, 1);
    access a = {.type = t,
                .address = tg_spv_operand(s, op, 0).id[0],
                .n = x.n,
                .align = known_align(op, t),
                .store = true,
                .put = x.id};
    if (op->n_operands > 2) {
        masked(s, op, &a, tg_spv_operand(s, op, 2), (tg_spv_value){0});
    } else {
        move(s, &a);
    }
}

/* ---- addresses ---------------------------------------------------------------------------------
 */

static uint32_t scaled(tg_spv *s, uint32_t base, uint32_t index, int64_t bytes) {
    uint32_t i64 = tg_spv_type_int(s, 64);
    if (bytes != 1) {
        index = TG_SPV_VALUE(s, SpvOpIMul, i64, index, tg_spv_const(s, 64, (uint64_t)bytes));
    }
    return TG_SPV_VALUE(s, SpvOpIAdd, i64, base, index);
}

static tg_spv_value one(tg_spv *s, uint32_t id) {
    tg_spv_value row = tg_spv_row(s, 1);
    row.id[0] = id;
    return row;
}

static tg_spv_value emit_gep(tg_spv *s, tg_op *op) {
    return one(s, scaled(s, tg_spv_operand(s, op, 0).id[0], tg_spv_operand(s, op, 1).id[0],
                         tg_attr_int(op, TG_ATTR_BYTES, 1)));
}

/* A slot is 64 bits; narrower scalars are its low ones. */
static tg_spv_value emit_slot(tg_spv *s, tg_op *op) {
    const tg_type *t = op->results[0].type;
    int bits = tg_spv_bits(t);
    uint32_t at =
        tg_spv_offset(s, tg_spv_operand(s, op, 0).id[0], 8 * tg_attr_int(op, TG_ATTR_VALUE_I, 0));
    uint32_t i64 = tg_spv_type_int(s, 64);
    uint32_t x = TG_SPV_VALUE(s, SpvOpLoad, i64, tg_spv_pointer(s, at, i64), access_mask(s), 8);
    return one(s, tg_spv_from_bits(s, t, tg_spv_resize(s, 64, bits < 8 ? 8 : bits, false, x)));
}

/* gatherm(base, index, passthru, mask?), scatterm(base, index, value, mask?) */
static tg_spv_value emit_indexed(tg_spv *s, tg_op *op) {
    bool gather = op->code == TG_OP_GATHERM;
    const tg_type *t = tg_operand(op, 2)->type, *it = tg_operand(op, 1)->type;
    tg_spv_value index = tg_spv_operand(s, op, 1), x = tg_spv_operand(s, op, 2);
    tg_spv_value row = tg_spv_row(s, x.n);
    for (int l = 0; l < x.n; l++) {
        uint32_t i =
            tg_spv_resize(s, tg_spv_bits(it), 64, tg_dtype_is_signed(it->dtype), index.id[l]);
        access a = {.type = t, .n = 1, .align = lane_bytes(t)};
        a.address = scaled(s, tg_spv_operand(s, op, 0).id[0], i, tg_attr_int(op, TG_ATTR_BYTES, 1));
        a.store = !gather;
        a.put = gather ? NULL : &x.id[l];
        a.got = gather ? &row.id[l] : NULL;
        if (op->n_operands > 3) {
            masked_lane(s, &a, tg_spv_operand(s, op, 3).id[l], x.id[l]);
        } else {
            move(s, &a);
        }
    }
    return gather ? row : (tg_spv_value){0};
}

/* memset(ptr, u8, i64), memcpy(dst, src, i64): byte by byte. */
static void emit_block(tg_spv *s, tg_op *op) {
    bool copy = op->code == TG_OP_MEMCPY;
    uint32_t i64 = tg_spv_type_int(s, 64), i8 = tg_spv_type_int(s, 8), before = s->block;
    uint32_t n = tg_spv_operand(s, op, 2).id[0], header = tg_spv_id(s), body = tg_spv_id(s);
    uint32_t latch = tg_spv_id(s), exit = tg_spv_id(s), next = tg_spv_id(s);
    need_storage(s, 8);
    tg_spv_branch(s, header);
    tg_spv_label(s, header);
    uint32_t i = TG_SPV_VALUE(s, SpvOpPhi, i64, tg_spv_const(s, 64, 0), before, next, latch);
    uint32_t more = TG_SPV_VALUE(s, SpvOpSLessThan, tg_spv_type_bool(s), i, n);
    TG_SPV(s, TG_SPV_BODY, SpvOpLoopMerge, exit, latch, SpvLoopControlMaskNone);
    TG_SPV(s, TG_SPV_BODY, SpvOpBranchConditional, more, body, exit);
    tg_spv_label(s, body);
    uint32_t x = tg_spv_operand(s, op, 1).id[0];
    if (copy) {
        uint32_t from = tg_spv_pointer(s, TG_SPV_VALUE(s, SpvOpIAdd, i64, x, i), i8);
        x = TG_SPV_VALUE(s, SpvOpLoad, i8, from, access_mask(s), 1);
    }
    uint32_t to = TG_SPV_VALUE(s, SpvOpIAdd, i64, tg_spv_operand(s, op, 0).id[0], i);
    TG_SPV(s, TG_SPV_BODY, SpvOpStore, tg_spv_pointer(s, to, i8), x, access_mask(s), 1);
    tg_spv_branch(s, latch);
    tg_spv_label(s, latch);
    TG_SPV(s, TG_SPV_BODY, SpvOpIAdd, i64, next, i, tg_spv_const(s, 64, 1));
    tg_spv_branch(s, header);
    tg_spv_label(s, exit);
}

tg_spv_value tg_spv_memory(tg_spv *s, tg_op *op) {
    switch ((int)op->code) {
    case TG_OP_SLOT:
        return emit_slot(s, op);
    case TG_OP_GEP:
        return emit_gep(s, op);
    case TG_OP_LOADM:
        return emit_load(s, op);
    case TG_OP_STOREM:
        emit_store(s, op);
        break;
    case TG_OP_GATHERM:
    case TG_OP_SCATTERM:
        return emit_indexed(s, op);
    case TG_OP_MEMSET:
    case TG_OP_MEMCPY:
        emit_block(s, op);
        break;
    default: /* prefetch: a hint that devices do not take */
        break;
    }
    return (tg_spv_value){0};
}
