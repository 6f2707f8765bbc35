/* SPDX-License-Identifier: Apache-2.0 */
/* Verifier rules of bulk copies: maps of tensors, copies by them. */
#include "ir/tensor_map.h"
#include "ir/verify.h"

/* Made of slots and constants: the runtime can compute it before the launch. */
static bool is_launch_known(const tg_value *v, int depth) {
    const tg_op *op = v->def;
    if (op == NULL || depth > 4) {
        return false;
    }
    if (op->code == TG_OP_GEP) {
        return is_launch_known(op->operands[0].value, depth + 1) &&
               is_launch_known(op->operands[1].value, depth + 1);
    }
    return op->code == TG_OP_SLOT || op->code == TG_OP_CONST_INT;
}

static bool box_ok(tg_verifier *v, const tg_tensor_map *m) {
    int64_t row = m->box[0] * tg_dtype_bits(m->dtype) / 8;
    for (int i = 0; i < m->rank; i++) {
        TG_CHECK(m->box[i] >= 1 && m->box[i] <= TG_MAP_BOX, "a box of %lld elements along axis %d",
                 (long long)m->box[i], i);
    }
    TG_CHECK(m->swizzle == 0 || m->swizzle == 32 || m->swizzle == 64 || m->swizzle == 128,
             "a swizzle of %lld bytes", (long long)m->swizzle);
    TG_CHECK(row % TG_MAP_ALIGN == 0 && (m->swizzle == 0 || row <= m->swizzle),
             "rows of %lld bytes with a swizzle of %lld", (long long)row, (long long)m->swizzle);
    return true;
}

bool tg_verify_TMAP(tg_verifier *v, const tg_op *op) {
    int rank = op->n_operands / 2;
    const tg_type *t = tg_attr_get(op, TG_ATTR_DTYPE)->type;
    TG_CHECK(op->results[0].type->kind == TG_TY_PTR && tg_operand_type(op, 0)->kind == TG_TY_PTR,
             "takes the address, a ptr, and gives one");
    TG_CHECK(op->n_operands % 2 == 0 && rank <= TG_MAP_RANK,
             "%d operands are no address, extents of 1 to 5 axes and strides of all but one",
             op->n_operands);
    TG_CHECK(tg_attr_get(op, TG_ATTR_SHAPE)->n_list == (size_t)rank, "the box has %d axes", rank);
    TG_CHECK(tg_type_is_scalar(t) && tg_dtype_bits(t->dtype) >= 8, "elements are no %s",
             tg_verify_type(v, t));
    for (int i = 0; i < op->n_operands; i++) {
        TG_CHECK(i == 0 || tg_is_scalar_of(tg_operand_type(op, i), TG_DT_I64),
                 "extents and strides are i64, not %s", tg_verify_type(v, tg_operand_type(op, i)));
        TG_CHECK(is_launch_known(op->operands[i].value, 0),
                 "operand %d does not follow from slots and constants", i);
    }
    tg_tensor_map m;
    tg_tensor_map_of(op, &m);
    return box_ok(v, &m);
}

/* The map itself, not something that stands for it: what is copied is known without running. */
static bool is_map(const tg_value *v) { return v->def != NULL && v->def->code == TG_OP_TMAP; }

bool tg_verify_TMAP_OK(tg_verifier *v, const tg_op *op) {
    TG_CHECK(is_map(op->operands[0].value), "takes a map");
    TG_CHECK(tg_is_scalar_of(op->results[0].type, TG_DT_BOOL), "gives a bool");
    return true;
}

static bool is_shared_array(const tg_type *t) {
    return t->kind == TG_TY_BUFFER && t->rank == 1 && t->space == TG_SPACE_SHARED;
}

bool tg_verify_TCOPY(tg_verifier *v, const tg_op *op) {
    enum { MAP, ARRAY, INDEX, BARS, BAR, WHO, FIRST };
    const tg_type *a = tg_operand_type(op, ARRAY), *bars = tg_operand_type(op, BARS);
    tg_tensor_map m;
    TG_CHECK(is_map(op->operands[MAP].value), "copies by a map");
    tg_tensor_map_of(op->operands[MAP].value->def, &m);
    TG_CHECK(is_shared_array(a) && tg_dtype_bits(a->dtype) == tg_dtype_bits(m.dtype),
             "fills a shared array with elements as wide as the map's, not %s",
             tg_verify_type(v, a));
    TG_CHECK(is_shared_array(bars) && bars->dtype == TG_DT_U64,
             "completes on a shared array of u64, not %s", tg_verify_type(v, bars));
    TG_CHECK(tg_is_scalar_of(tg_operand_type(op, INDEX), TG_DT_I32) &&
                 tg_is_scalar_of(tg_operand_type(op, BAR), TG_DT_I32),
             "indices are i32");
    TG_CHECK(tg_is_scalar_of(tg_operand_type(op, WHO), TG_DT_BOOL), "`who` is a bool");
    TG_CHECK(op->n_operands == FIRST + m.rank, "%d coordinates for %d axes", op->n_operands - FIRST,
             m.rank);
    for (int i = FIRST; i < op->n_operands; i++) {
        TG_CHECK(tg_is_scalar_of(tg_operand_type(op, i), TG_DT_I32), "coordinates are i32, not %s",
                 tg_verify_type(v, tg_operand_type(op, i)));
    }
    TG_CHECK(tg_tensor_map_bytes(&m) * 8 / tg_dtype_bits(m.dtype) <= a->shape[0],
             "a box of %lld bytes does not fit %s", (long long)tg_tensor_map_bytes(&m),
             tg_verify_type(v, a));
    return true;
}
