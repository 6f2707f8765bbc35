/* SPDX-License-Identifier: Apache-2.0 */
/* Builders of the loop level's own operations; see build.h. */
#include "ir/build.h"

static void set_align(tg_op *op, int64_t align) {
    if (align != 0) {
        tg_op_set_int(op, TG_ATTR_ALIGN, align);
    }
}

tg_value *tg_build_gep(tg_builder *b, tg_value *base, tg_value *index, int64_t bytes) {
    int64_t i;
    if (tg_value_const_int(index, &i) && i == 0) {
        return base;
    }
    tg_value *r = tg_build1(b, TG_OP_GEP, tg_type_ptr(b->module), 2, base, index);
    tg_op_set_int(r->def, TG_ATTR_BYTES, bytes);
    return r;
}

tg_value *tg_build_loadm(tg_builder *b, const tg_type *t, tg_value *ptr, int64_t align) {
    tg_value *r = tg_build1(b, TG_OP_LOADM, t, 1, ptr);
    set_align(r->def, align);
    return r;
}

tg_op *tg_build_storem(tg_builder *b, tg_value *ptr, tg_value *v, int64_t align) {
    tg_value *operands[2] = {ptr, v};
    tg_op *op = tg_build_op(b, TG_OP_STOREM, 2, operands, 0, NULL, 0);
    set_align(op, align);
    return op;
}

tg_value *tg_build_splat(tg_builder *b, tg_value *scalar, int64_t lanes) {
    const tg_type *t = tg_type_vec(b->module, scalar->type->dtype, lanes);
    int64_t i;
    double f;
    if (tg_value_const_int(scalar, &i)) {
        return tg_build_int(b, t, i);
    }
    if (tg_value_const_float(scalar, &f)) {
        return tg_build_float(b, t, f);
    }
    return tg_build1(b, TG_OP_SPLAT, t, 1, scalar);
}

tg_value *tg_build_extract(tg_builder *b, tg_value *vec, int64_t lane) {
    if (vec->def != NULL && vec->def->code == TG_OP_SPLAT) {
        return tg_operand(vec->def, 0);
    }
    const tg_type *t = tg_type_scalar(b->module, vec->type->dtype);
    tg_value *r = tg_build1(b, TG_OP_EXTRACT, t, 1, vec);
    tg_op_set_int(r->def, TG_ATTR_VALUE_I, lane);
    return r;
}

tg_value *tg_build_insert(tg_builder *b, tg_value *vec, tg_value *scalar, int64_t lane) {
    tg_value *r = tg_build1(b, TG_OP_INSERT, vec->type, 2, vec, scalar);
    tg_op_set_int(r->def, TG_ATTR_VALUE_I, lane);
    return r;
}

tg_value *tg_build_shuffle(tg_builder *b, tg_value *x, tg_value *y, int64_t lanes,
                           const int64_t *mask) {
    const tg_type *t = tg_type_vec(b->module, x->type->dtype, lanes);
    tg_value *r = tg_build1(b, TG_OP_SHUFFLE, t, 2, x, y);
    tg_op_set_list(r->def, TG_ATTR_AXES, mask, (size_t)lanes);
    return r;
}

tg_value *tg_build_reducev(tg_builder *b, tg_reduce_kind kind, tg_value *vec) {
    tg_value *r = tg_build1(b, TG_OP_REDUCEV, tg_type_scalar(b->module, vec->type->dtype), 1, vec);
    tg_op_set_int(r->def, TG_ATTR_RED, kind);
    return r;
}

tg_value *tg_build_pmask(tg_builder *b, tg_value *n, int64_t lanes) {
    const tg_type *t = tg_type_vec(b->module, TG_DT_BOOL, lanes);
    int64_t i;
    if (tg_value_const_int(n, &i) && (i <= 0 || i >= lanes)) {
        return tg_build_int(b, t, i > 0);
    }
    return tg_build1(b, TG_OP_PMASK, t, 1, n);
}
