/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products on matrix units that keep their fragments to themselves (cooperative matrices): the
 * accumulator goes through shared memory, behind the placed function's buffers.
 *
 *   barrier; every lane writes its elements; barrier
 *   for each block of a sub-group: c = fragload; for k: c = mma(fragload a, fragload b, c);
 *     fragstore c
 *   barrier; every lane reads its elements
 *
 * The first barrier frees the memory for who still reads the product before. Steps along k are
 * written out: what such a fragment is no loop can carry.
 */
#include "backends/lower/simt/simt.h"

typedef struct product {
    tg_simt *S;
    const tg_matrix_unit *u;
    const tg_type *t;
    const ts_buf *in[2];
    tg_value *array, *memory; /* registers; shared */
    int64_t k;
} product;

static tg_value *i32(const product *p, int64_t v) {
    return tg_build_int(&p->S->b, tg_type_scalar(p->S->out, TG_DT_I32), v);
}

int64_t ts_dot_memory_bytes(const tg_region *r) {
    int64_t most = 0;
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        for (int i = 0; i < op->n_regions; i++) {
            most = tg_max_i64(most, ts_dot_memory_bytes(op->regions[i]));
        }
        const tg_matrix_unit *u =
            op->code == TG_OP_DOT ? tg_matrix_find(tg_attr_str(op, TG_ATTR_UNIT)) : NULL;
        if (u != NULL && !tg_matrix_is_open(u)) {
            const tg_type *t = op->results[0].type;
            int64_t bytes = tg_type_count(t) * tg_dtype_bits(t->dtype) / 8;
            most = tg_max_i64(most, tg_round_up_i64(bytes, 16));
        }
    }
    return most;
}

/* ---- elements --------------------------------------------------------------------------------
 */

/* Between register r and its element's place in memory, where the lane holds one. */
static void move_element(product *p, int64_t r, bool write) {
    tg_simt *S = p->S;
    tg_builder *b = &S->b;
    const tg_layout *l = p->t->layout;
    int64_t at[TG_MAX_RANK];
    tg_value *index = i32(p, 0), *ok = write ? ts_first_replica(S, l) : NULL;
    tg_layout_coords(l, 0, r, at);
    for (int a = 0; a < 2; a++) {
        tg_value *lane = ts_lane_coord(S, l, a);
        tg_value *c = lane == NULL ? i32(p, at[a]) : ts_bin(b, TG_OP_ADD, ts_i32(b, lane), at[a]);
        if (ts_reach(l, a) > p->t->shape[a]) {
            tg_value *in = tg_build_cmp(b, TG_CMP_LT, c, i32(p, p->t->shape[a]));
            ok = ok == NULL ? in : tg_build_binary(b, TG_OP_AND, ok, in);
        }
        index = tg_build_binary(b, TG_OP_ADD, ts_bin(b, TG_OP_MUL, index, p->t->shape[a]), c);
    }
    const tg_type *t = ts_type(S, p->t->dtype, 1);
    tg_op *branch = ok == NULL ? NULL : tg_build_if(b, ok, 0, NULL);
    tg_value *from = write ? p->array : p->memory, *to = write ? p->memory : p->array;
    tg_value *v = tg_build_aload(b, t, from, write ? i32(p, r) : index, 1);
    (void)tg_build_astore(b, to, write ? index : i32(p, r), v, 1);
    if (branch != NULL) {
        tg_build_else(b, branch, 0, NULL);
        tg_build_end_if(b, branch, 0, NULL);
    }
}

static void move_all(product *p, bool write) {
    for (int64_t r = 0; r < ts_regs(p->t->layout); r++) {
        move_element(p, r, write);
    }
}

/* ---- blocks ----------------------------------------------------------------------------------
 */

static tg_value *operand(product *p, tg_matrix_part part, tg_value *corner, int64_t k) {
    const ts_buf *u = p->in[part];
    tg_builder *b = &p->S->b;
    int across = part == TG_PART_A ? 0 : 1;
    tg_value *at = ts_bin(b, TG_OP_MUL, corner, u->stride[across]);
    at = tg_build_binary(b, TG_OP_ADD, ts_buf_start(b, u), at);
    at = ts_bin(b, TG_OP_ADD, at, k * u->stride[1 - across]);
    return tg_build_fragload(b, p->u, part, u->memory, at, u->stride, 1);
}

/* Blocks number sub-group, sub-group + sub-groups ... of this lane's sub-group. */
static void multiply(product *p) {
    tg_builder *b = &p->S->b;
    int64_t columns = p->t->shape[1] / p->u->n, blocks = p->t->shape[0] / p->u->m * columns;
    const int64_t strides[2] = {p->t->shape[1], 1};
    tg_value *first = ts_bin(b, TG_OP_DIV, p->S->args.lane, p->u->lanes), *i;
    tg_op *loop = tg_build_for(b, tg_build_cast(b, first, TG_DT_I64), tg_build_index(b, blocks),
                               tg_build_index(b, p->S->lanes / p->u->lanes), 0, NULL, &i);
    tg_value *n = ts_i32(b, i);
    tg_value *row = ts_bin(b, TG_OP_MUL, ts_bin(b, TG_OP_DIV, n, columns), p->u->m);
    tg_value *col = ts_bin(b, TG_OP_MUL, ts_bin(b, TG_OP_REM, n, columns), p->u->n);
    tg_value *at = tg_build_binary(b, TG_OP_ADD, ts_bin(b, TG_OP_MUL, row, strides[0]), col);
    tg_value *c = tg_build_fragload(b, p->u, TG_PART_C, p->memory, at, strides, 1);
    for (int64_t k = 0; k < p->k; k += p->u->k) {
        tg_value *x = operand(p, TG_PART_A, row, k), *y = operand(p, TG_PART_B, col, k);
        c = tg_build_mma(b, p->u, x, y, c);
    }
    (void)tg_build_fragstore(b, p->u, TG_PART_C, p->memory, at, c, strides);
    tg_build_end_for(b, loop, 0, NULL);
}

/* In shared memory, rows or columns dense, in the unit's type. */
static bool readable(const product *p, tg_matrix_part part) {
    const ts_buf *u = p->in[part];
    return u->space == TG_SPACE_SHARED && u->dtype == p->u->type[part] &&
           (u->stride[0] == 1 || u->stride[1] == 1);
}

bool ts_emit_dot_memory(tg_simt *S, tg_op *op, const tg_matrix_unit *u) {
    product *p = TG_NEW(S->arena, product);
    p->S = S;
    p->u = u;
    p->t = op->results[0].type;
    p->in[0] = ts_buf_of(S, tg_operand(op, 0));
    p->in[1] = ts_buf_of(S, tg_operand(op, 1));
    p->k = p->in[0]->shape[1];
    if (!readable(p, TG_PART_A) || !readable(p, TG_PART_B)) {
        return false;
    }
    p->array = ts_dot_accumulator(S, op);
    p->memory = tg_build_array(&S->b, TG_SPACE_SHARED, p->t->dtype, tg_type_count(p->t),
                               tg_round_up_i64(S->kernel->shared_bytes, 16), NULL);
    ts_meet(S, TG_FENCE_SHARED);
    move_all(p, true);
    ts_meet(S, TG_FENCE_SHARED);
    multiply(p);
    ts_meet(S, TG_FENCE_SHARED);
    move_all(p, false);
    return true;
}
