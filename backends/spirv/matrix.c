/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cooperative matrices (SPV_KHR_cooperative_matrix, revision 9): a fragment is one value of a
 * matrix type with the sub-group's scope. Numbers are named here, as older headers lack them.
 */
#include "backends/spirv/spirv.h"
#include "ir/matrix.h"

enum {
    CAPABILITY_MATRIX = 6022,
    OP_TYPE_MATRIX = 4456,
    OP_LOAD = 4457,
    OP_STORE = 4458,
    OP_MULTIPLY = 4459,
    ROW_MAJOR = 0,
    COLUMN_MAJOR = 1,
    ALL_SIGNED = 15, /* a, b, c and the result */
    VERSION_WITH_MATRICES = 0x00010600
};

static uint32_t component(tg_spv *s, tg_dtype t) {
    if (t == TG_DT_F16) {
        tg_spv_capability(s, SpvCapabilityFloat16);
        return tg_spv_type_float(s, 16);
    }
    return tg_dtype_is_float(t) ? tg_spv_type_float(s, 32)
                                : tg_spv_type_int(s, (int)tg_dtype_bits(t));
}

static void declare(tg_spv *s) {
    static const char extension[] = "SPV_KHR_cooperative_matrix";
    for (size_t i = 0; i < s->capabilities.count; i++) {
        if (s->capabilities.data[i] == CAPABILITY_MATRIX) {
            return;
        }
    }
    tg_spv_capability(s, (SpvCapability)CAPABILITY_MATRIX);
    tg_spv_put_string(s, TG_SPV_EXTENSION, SpvOpExtension, 0, NULL, extension, 0, NULL);
}

static uint32_t matrix_type(tg_spv *s, const tg_matrix_unit *u, tg_matrix_part p) {
    int64_t shape[2];
    declare(s);
    tg_matrix_shape(u, p, shape);
    uint32_t words[5] = {component(s, u->type[p]), tg_spv_const(s, 32, SpvScopeSubgroup),
                         tg_spv_const(s, 32, (uint64_t)shape[0]),
                         tg_spv_const(s, 32, (uint64_t)shape[1]),
                         tg_spv_const(s, 32, (uint64_t)p)}; /* the use: a, b, accumulator */
    return tg_spv_type_of(s, (SpvOp)OP_TYPE_MATRIX, 5, words);
}

/* Layout and stride of a block in memory. */
static void order_of(tg_spv *s, const tg_op *op, uint32_t *layout, uint32_t *stride) {
    const int64_t *strides = tg_attr_get(op, TG_ATTR_STRIDES)->list;
    bool rows = strides[1] == 1;
    *layout = tg_spv_const(s, 32, rows ? ROW_MAJOR : COLUMN_MAJOR);
    *stride = tg_spv_const(s, 32, (uint64_t)(rows ? strides[0] : strides[1]));
}

tg_spv_value tg_spv_matrix(tg_spv *s, tg_op *op) {
    const tg_matrix_unit *u = tg_matrix_find(tg_attr_str(op, TG_ATTR_UNIT));
    tg_spv_value r = tg_spv_row(s, 1);
    uint32_t layout, stride;
    bool shared;
    if (s->flavour->execution != SpvExecutionModelGLCompute || tg_matrix_is_open(u)) {
        tg_spv_refuse(s, op, "the unit is none of this machine's");
        return r;
    }
    s->version = s->version < VERSION_WITH_MATRICES ? VERSION_WITH_MATRICES : s->version;
    if (op->code == TG_OP_MMA) {
        uint32_t type = matrix_type(s, u, TG_PART_C), x[TG_PART_COUNT];
        for (int i = 0; i < TG_PART_COUNT; i++) {
            x[i] = tg_spv_operand(s, op, i).id[0];
        }
        r.id[0] = tg_dtype_is_float(u->type[TG_PART_C])
                      ? TG_SPV_VALUE(s, (SpvOp)OP_MULTIPLY, type, x[0], x[1], x[2])
                      : TG_SPV_VALUE(s, (SpvOp)OP_MULTIPLY, type, x[0], x[1], x[2], ALL_SIGNED);
        return r;
    }
    uint32_t type = matrix_type(s, u, (tg_matrix_part)tg_attr_int(op, TG_ATTR_PART, 0));
    uint32_t at = tg_spv_element(s, op, 0, &shared);
    order_of(s, op, &layout, &stride);
    if (op->code == TG_OP_FRAGLOAD) {
        r.id[0] = TG_SPV_VALUE(s, (SpvOp)OP_LOAD, type, at, layout, stride, s->flavour->access);
        return r;
    }
    TG_SPV(s, TG_SPV_BODY, (SpvOp)OP_STORE, at, tg_spv_operand(s, op, 2).id[0], layout, stride,
           s->flavour->access);
    return (tg_spv_value){0};
}
