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

tg_value *tg_build_maskbits(tg_builder *b, tg_value *mask) {
    return tg_build1(b, TG_OP_MASKBITS, tg_type_scalar(b->module, TG_DT_U64), 1, mask);
}

/* ---- SIMT functions ------------------------------------------------------------------------- */

static tg_op *array_before(tg_builder *b) {
    tg_region *body = b->func->body;
    tg_op *at = body->first;
    while (at && at->code == TG_OP_ARRAY) {
        at = at->next;
    }
    return at;
}

tg_value *tg_build_array(tg_builder *b, tg_space space, tg_dtype t, int64_t n, int64_t offset,
                         const char *name) {
    tg_builder top = *b;
    top.region = b->func->body;
    top.before = array_before(b);
    const tg_type *type = tg_type_buffer(b->module, space, t, 1, &n, 1, NULL);
    tg_value *r = tg_build1(&top, TG_OP_ARRAY, type, 0);
    if (space == TG_SPACE_SHARED) {
        tg_op_set_int(r->def, TG_ATTR_OFFSET, offset);
    }
    if (name) {
        tg_op_set_str(r->def, TG_ATTR_NAME, name);
        r->name = tg_attr_str(r->def, TG_ATTR_NAME);
    }
    return r;
}

tg_value *tg_build_aload(tg_builder *b, const tg_type *t, tg_value *array, tg_value *index,
                         int64_t align) {
    tg_value *r = tg_build1(b, TG_OP_ALOAD, t, 2, array, index);
    set_align(r->def, align > 1 ? align : 0);
    return r;
}

tg_op *tg_build_astore(tg_builder *b, tg_value *array, tg_value *index, tg_value *v,
                       int64_t align) {
    tg_value *operands[3] = {array, index, v};
    tg_op *op = tg_build_op(b, TG_OP_ASTORE, 3, operands, 0, NULL, 0);
    set_align(op, align > 1 ? align : 0);
    return op;
}

tg_value *tg_build_aatomic(tg_builder *b, tg_atomic_kind kind, tg_value *array, tg_value *index,
                           tg_value *v, tg_value *expected) {
    tg_value *operands[4] = {array, index, v, expected};
    tg_op *op = tg_build_op(b, TG_OP_AATOMIC, expected ? 4 : 3, operands, 1, &v->type, 0);
    tg_op_set_int(op, TG_ATTR_ATOMIC, kind);
    return &op->results[0];
}

tg_value *tg_build_intrinsic(tg_builder *b, const char *name, const tg_type *type, int n,
                             tg_value **args) {
    tg_op *op = tg_build_op(b, TG_OP_INTRINSIC, n, args, 1, &type, 0);
    tg_op_set_str(op, TG_ATTR_NAME, name);
    return &op->results[0];
}

tg_op *tg_build_barrier(tg_builder *b, tg_fence fence, int64_t lanes) {
    return tg_build_named_barrier(b, fence, lanes, NULL);
}

tg_op *tg_build_named_barrier(tg_builder *b, tg_fence fence, int64_t lanes, tg_value *id) {
    tg_op *op = tg_build_op(b, TG_OP_BARRIER, id != NULL ? 1 : 0, &id, 0, NULL, 0);
    tg_op_set_int(op, TG_ATTR_FENCE, fence);
    if (lanes) {
        tg_op_set_int(op, TG_ATTR_N, lanes);
    }
    return op;
}

tg_value *tg_build_shfl(tg_builder *b, tg_shuffle_mode mode, tg_value *x, tg_value *which) {
    tg_value *r = tg_build1(b, TG_OP_SHFL, x->type, 2, x, which);
    tg_op_set_int(r->def, TG_ATTR_SHUFFLE, mode);
    return r;
}

tg_value *tg_build_ballot(tg_builder *b, tg_value *x, tg_dtype mask) {
    return tg_build1(b, TG_OP_BALLOT, tg_type_scalar(b->module, mask), 1, x);
}

tg_op *tg_build_acopy(tg_builder *b, tg_value *array, tg_value *index, tg_value *ptr,
                      int64_t bytes) {
    tg_value *operands[3] = {array, index, ptr};
    tg_op *op = tg_build_op(b, TG_OP_ACOPY, 3, operands, 0, NULL, 0);
    tg_op_set_int(op, TG_ATTR_BYTES, bytes);
    return op;
}

tg_op *tg_build_agroup(tg_builder *b) { return tg_build_op(b, TG_OP_AGROUP, 0, NULL, 0, NULL, 0); }

tg_op *tg_build_aland(tg_builder *b, int64_t n) {
    tg_op *op = tg_build_op(b, TG_OP_ALAND, 0, NULL, 0, NULL, 0);
    tg_op_set_int(op, TG_ATTR_N, n);
    return op;
}

tg_op *tg_build_mbar_init(tg_builder *b, tg_value *array, tg_value *index, int64_t n) {
    tg_value *operands[2] = {array, index};
    tg_op *op = tg_build_op(b, TG_OP_MBAR_INIT, 2, operands, 0, NULL, 0);
    tg_op_set_int(op, TG_ATTR_N, n);
    return op;
}

tg_op *tg_build_mbar_arrive(tg_builder *b, tg_value *array, tg_value *index, tg_value *who) {
    tg_value *operands[3] = {array, index, who};
    return tg_build_op(b, TG_OP_MBAR_ARRIVE, 3, operands, 0, NULL, 0);
}

tg_op *tg_build_mbar_expect(tg_builder *b, tg_value *array, tg_value *index, tg_value *bytes,
                            tg_value *who) {
    tg_value *operands[4] = {array, index, bytes, who};
    return tg_build_op(b, TG_OP_MBAR_EXPECT, 4, operands, 0, NULL, 0);
}

tg_op *tg_build_mbar_copied(tg_builder *b, tg_value *array, tg_value *index) {
    tg_value *operands[2] = {array, index};
    return tg_build_op(b, TG_OP_MBAR_COPIED, 2, operands, 0, NULL, 0);
}

tg_op *tg_build_mbar_wait(tg_builder *b, tg_value *array, tg_value *index, tg_value *parity) {
    tg_value *operands[3] = {array, index, parity};
    return tg_build_op(b, TG_OP_MBAR_WAIT, 3, operands, 0, NULL, 0);
}

tg_op *tg_build_setregs(tg_builder *b, int64_t n, bool fewer) {
    tg_op *op = tg_build_op(b, TG_OP_SETREGS, 0, NULL, 0, NULL, 0);
    tg_op_set_int(op, TG_ATTR_N, n);
    if (fewer) {
        tg_op_set_int(op, TG_ATTR_DESC, 1);
    }
    return op;
}

enum { MAX_MAP_RANK = 5 };

tg_value *tg_build_tmap(tg_builder *b, tg_dtype t, int rank, tg_value *address,
                        tg_value *const *extents, tg_value *const *strides, const int64_t *box,
                        int64_t swizzle) {
    tg_value *operands[2 * MAX_MAP_RANK] = {address};
    const tg_type *ptr = tg_type_ptr(b->module);
    for (int i = 0; i < rank; i++) {
        operands[1 + i] = extents[i];
        if (i > 0) {
            operands[rank + i] = strides[i];
        }
    }
    tg_op *op = tg_build_op(b, TG_OP_TMAP, 2 * rank, operands, 1, &ptr, 0);
    tg_op_set_type(op, TG_ATTR_DTYPE, tg_type_scalar(b->module, t));
    tg_op_set_list(op, TG_ATTR_SHAPE, box, (size_t)rank);
    if (swizzle) {
        tg_op_set_int(op, TG_ATTR_SWIZZLE, swizzle);
    }
    return &op->results[0];
}

tg_value *tg_build_tmap_ok(tg_builder *b, tg_value *map) {
    return tg_build1(b, TG_OP_TMAP_OK, tg_type_scalar(b->module, TG_DT_BOOL), 1, map);
}

tg_op *tg_build_tcopy(tg_builder *b, tg_value *map, tg_value *array, tg_value *index,
                      tg_value *bars, tg_value *bar, tg_value *who, tg_value *const *at) {
    tg_value *operands[6 + MAX_MAP_RANK] = {map, array, index, bars, bar, who};
    int rank = map->def->n_operands / 2;
    for (int i = 0; i < rank; i++) {
        operands[6 + i] = at[i];
    }
    return tg_build_op(b, TG_OP_TCOPY, 6 + rank, operands, 0, NULL, 0);
}

static void set_block(tg_op *op, const tg_matrix_unit *u, tg_matrix_part part,
                      const int64_t strides[2]) {
    tg_op_set_str(op, TG_ATTR_UNIT, u->name);
    tg_op_set_int(op, TG_ATTR_PART, part);
    tg_op_set_list(op, TG_ATTR_STRIDES, strides, 2);
}

tg_value *tg_build_fragload(tg_builder *b, const tg_matrix_unit *u, tg_matrix_part part,
                            tg_value *array, tg_value *index, const int64_t strides[2],
                            int64_t align) {
    tg_value *r = tg_build1(b, TG_OP_FRAGLOAD, tg_matrix_type(b->module, u, part), 2, array, index);
    set_block(r->def, u, part, strides);
    set_align(r->def, align > 1 ? align : 0);
    return r;
}

tg_op *tg_build_fragstore(tg_builder *b, const tg_matrix_unit *u, tg_matrix_part part,
                          tg_value *array, tg_value *index, tg_value *v, const int64_t strides[2]) {
    tg_value *operands[3] = {array, index, v};
    tg_op *op = tg_build_op(b, TG_OP_FRAGSTORE, 3, operands, 0, NULL, 0);
    set_block(op, u, part, strides);
    return op;
}

tg_value *tg_build_mma(tg_builder *b, const tg_matrix_unit *u, tg_value *x, tg_value *y,
                       tg_value *acc) {
    tg_value *r = tg_build1(b, TG_OP_MMA, acc->type, 3, x, y, acc);
    tg_op_set_str(r->def, TG_ATTR_UNIT, u->name);
    return r;
}

static tg_op *build_bare(tg_builder *b, tg_opcode code) {
    return tg_build_op(b, code, 0, NULL, 0, NULL, 0);
}

tg_op *tg_build_pfence(tg_builder *b) { return build_bare(b, TG_OP_PFENCE); }

tg_op *tg_build_gfence(tg_builder *b) { return build_bare(b, TG_OP_GFENCE); }

tg_op *tg_build_gcommit(tg_builder *b) { return build_bare(b, TG_OP_GCOMMIT); }

tg_op *tg_build_gwait(tg_builder *b, int64_t n, int count, tg_value **values) {
    const tg_type *types[TG_GMMA_MAX] = {NULL};
    for (int i = 0; i < count; i++) {
        types[i] = values[i]->type;
    }
    tg_op *op = tg_build_op(b, TG_OP_GWAIT, count, values, count, types, 0);
    tg_op_set_int(op, TG_ATTR_N, n);
    for (int i = 0; i < count; i++) {
        values[i] = &op->results[i];
    }
    return op;
}

tg_value *tg_build_gmma(tg_builder *b, const tg_matrix_unit *u, const tg_type *type, tg_value *a,
                        tg_value *a_index, tg_value *b_array, tg_value *b_index, tg_value *acc,
                        const tg_gmma_operand how[2]) {
    tg_value *operands[5];
    int64_t numbers[6];
    int n = 0;
    operands[n++] = a;
    if (a_index != NULL) {
        operands[n++] = a_index;
    }
    operands[n++] = b_array;
    operands[n++] = b_index;
    if (acc != NULL) {
        operands[n++] = acc;
    }
    for (int i = 0; i < 2; i++) {
        numbers[3 * i] = how[i].swizzle;
        numbers[3 * i + 1] = how[i].turned;
        numbers[3 * i + 2] = how[i].panel;
    }
    tg_op *op = tg_build_op(b, TG_OP_GMMA, n, operands, 1, &type, 0);
    tg_op_set_str(op, TG_ATTR_UNIT, u->name);
    tg_op_set_list(op, TG_ATTR_STRIDES, numbers, 6);
    return &op->results[0];
}

tg_func *tg_build_simt_func(tg_module *m, const char *name, int64_t lanes, tg_simt_args *out) {
    tg_func *f = tg_func_make(m, name, TG_LEVEL_LOOP);
    const tg_type *ptr = tg_type_ptr(m);
    f->role = "simt";
    f->lanes = lanes;
    f->body = f->body ? f->body : tg_region_make(f, NULL);
    out->slots = tg_region_add_arg(f->body, ptr, "slots");
    out->program = tg_region_add_arg(f->body, tg_type_scalar(m, TG_DT_I64), "program");
    out->lane = tg_region_add_arg(f->body, tg_type_scalar(m, TG_DT_I32), "lane");
    out->scratch = tg_region_add_arg(f->body, ptr, "scratch");
    out->report = tg_region_add_arg(f->body, ptr, "report");
    return f;
}
