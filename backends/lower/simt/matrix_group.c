/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products on units that read shared memory by themselves: acc[m, n] += a[m, k] * b[k, n], a and b
 * in swizzled buffers, the accumulator in registers of the unit's lanes.
 *
 *   gfence;  for each run of columns, for each step of k: acc = gmma(a, b, acc);  gcommit;  gwait
 *
 * The accumulator's layout says which blocks a group of lanes has: blocks of one row that lie side
 * by side are a run, one instruction a step of k. All places are constants beside the copy of a
 * ring and the group's first row and column, which are alike in its lanes.
 */
#include "backends/lower/simt/simt.h"
#include "ir/matrix.h"

enum { MAX_RUNS = TG_GMMA_MAX };

/* Blocks side by side: registers from reg on, the first block's corner (of the first group). */
typedef struct run {
    int64_t at[TG_MAX_RANK], reg, blocks;
} run;

typedef struct operand {
    const ts_buf *buf; /* NULL: lanes hold it */
    tg_value *array;   /* then: their registers */
    const tg_layout *layout;
    tg_gmma_operand how;
    tg_value *base; /* i32, what is not constant; NULL: nothing */
    int x, k;       /* its axes: rows (columns) and k */
} operand;

typedef struct product {
    tg_simt *S;
    const tg_matrix_unit *u;
    const tg_type *t;
    tg_value *array;
    tg_value *first[TG_MAX_RANK]; /* i32, where the group's blocks start; NULL: at 0 */
    operand in[2];
    run runs[MAX_RUNS];
    int n_runs;
    int64_t k;
    bool zero;
} product;

static tg_value *plus(product *p, tg_value *x, tg_value *y) {
    return x == NULL ? y : y == NULL ? x : tg_build_binary(&p->S->b, TG_OP_ADD, x, y);
}

/* ---- who holds what -------------------------------------------------------------------------- */

static bool continues(const run *r, const int64_t *at, int rank, const tg_matrix_unit *u) {
    for (int a = 0; a < rank - 1; a++) {
        if (r->at[a] != at[a]) {
            return false;
        }
    }
    return at[rank - 1] == r->at[rank - 1] + r->blocks * u->n &&
           (r->blocks + 1) * u->n <= TG_GMMA_COLUMNS;
}

static bool find_runs(product *p) {
    const tg_layout *l = p->t->layout;
    int64_t each = tg_matrix_elems(p->u, TG_PART_C), n = ts_regs(l) / each;
    for (int64_t i = 0; i < n; i++) {
        int64_t at[TG_MAX_RANK];
        tg_layout_coords(l, 0, i * each, at);
        if (p->n_runs > 0 && continues(&p->runs[p->n_runs - 1], at, p->t->rank, p->u)) {
            p->runs[p->n_runs - 1].blocks++;
            continue;
        }
        if (p->n_runs == MAX_RUNS) {
            return false;
        }
        run *r = &p->runs[p->n_runs++];
        *r = (run){.reg = i * each, .blocks = 1};
        for (int a = 0; a < p->t->rank; a++) {
            r->at[a] = at[a];
        }
    }
    return true;
}

/* Where along an axis the lane's group starts, by the digits that count groups. Said before
 * everything: loops find it made. */
static tg_value *group_start(product *p, tg_value *group, int axis) {
    tg_builder *b = &p->S->entry;
    tg_value *sum = NULL;
    for (int i = 0; i < p->t->layout->n_modes; i++) {
        const tg_layout_mode *d = &p->t->layout->modes[i];
        if (d->resource == TG_RES_LANE && d->axis == axis && d->extent > 1 &&
            d->place >= p->u->lanes) {
            tg_value *v = ts_bin(b, TG_OP_DIV, group, d->place / p->u->lanes);
            v = ts_bin(b, TG_OP_REM, v, d->extent);
            v = ts_bin(b, TG_OP_MUL, v, d->stride);
            sum = sum == NULL ? v : tg_build_binary(b, TG_OP_ADD, sum, v);
        }
    }
    return sum;
}

/* The group's number comes by a shuffle: what follows is known to be alike in all lanes. */
static void find_group(product *p) {
    tg_builder *b = &p->S->entry;
    if (tg_layout_size(p->t->layout, TG_RES_LANE) <= p->u->lanes) {
        return;
    }
    tg_value *zero = tg_build_int(b, p->S->args.lane->type, 0);
    tg_value *group = ts_bin(b, TG_OP_DIV, p->S->args.lane, p->u->lanes);
    group = tg_build_shfl(b, TG_SHUFFLE_INDEX, group, zero);
    for (int a = 0; a < p->t->rank; a++) {
        p->first[a] = group_start(p, group, a);
    }
}

/* ---- operands -------------------------------------------------------------------------------- */

static bool make_operand(product *p, tg_op *op, tg_matrix_part part) {
    operand *o = &p->in[part];
    int rank = p->t->rank;
    tg_value *v = tg_operand(op, part);
    if (v->type->kind != TG_TY_BUFFER) {
        o->array = ts_materialise(p->S, v);
        o->layout = v->type->layout;
        return true;
    }
    const ts_buf *u = ts_buf_of(p->S, v);
    o->buf = u;
    o->x = part == TG_PART_A ? rank - 2 : rank - 1;
    o->k = part == TG_PART_A ? rank - 1 : rank - 2;
    if (u->swizzle == 0 || u->dtype != p->u->type[part] ||
        (u->stride[o->x] != 1 && u->stride[o->k] != 1)) {
        return false;
    }
    o->how = (tg_gmma_operand){
        .swizzle = u->swizzle, .turned = u->stride[o->x] == 1, .panel = u->rows * u->width};
    o->base = u->slot;
    for (int a = 0; a < rank; a++) {
        if (a == o->k || p->first[a] == NULL) {
            continue;
        }
        int64_t step = a == o->x && o->how.turned ? u->rows : u->stride[a] / u->columns * u->width;
        o->base = plus(p, o->base, ts_bin(&p->S->entry, TG_OP_MUL, p->first[a], step));
    }
    return true;
}

/* i32 index of a run's block at k. */
static tg_value *index_of(product *p, const operand *o, const run *r, int64_t k) {
    const ts_buf *u = o->buf;
    int64_t at = u->offset + k * u->stride[o->k];
    for (int a = 0; a < p->t->rank - 2; a++) {
        at += r->at[a] * u->stride[a];
    }
    at = ts_panel_place(u, at + r->at[o->x] * u->stride[o->x]);
    tg_builder *b = &p->S->b;
    return o->base == NULL ? tg_build_int(b, tg_type_scalar(p->S->out, TG_DT_I32), at)
                           : ts_bin(b, TG_OP_ADD, o->base, at);
}

/* ---- code ------------------------------------------------------------------------------------ */

static tg_value *multiply(product *p, const run *r, tg_value *acc) {
    const tg_gmma_operand how[2] = {p->in[0].how, p->in[1].how};
    const tg_type *t =
        tg_type_vec(p->S->out, p->t->dtype, r->blocks * tg_matrix_elems(p->u, TG_PART_C));
    for (int64_t k = 0; k < p->k; k += p->u->k) {
        bool held = p->in[0].buf == NULL;
        tg_value *a = held ? ts_held_fragment(p->S, p->u, p->in[0].array, p->in[0].layout, r->at, k)
                           : p->in[0].buf->memory;
        acc = tg_build_gmma(&p->S->b, p->u, t, a, held ? NULL : index_of(p, &p->in[0], r, k),
                            p->in[1].buf->memory, index_of(p, &p->in[1], r, k), acc, how);
    }
    return acc;
}

/* Sums as registers, and back. */
static void take_sums(product *p, tg_value **acc) {
    tg_builder *b = &p->S->b;
    int64_t each = tg_matrix_elems(p->u, TG_PART_C);
    for (int i = 0; i < p->n_runs; i++) {
        const tg_type *t = tg_type_vec(p->S->out, p->t->dtype, p->runs[i].blocks * each);
        tg_value *at = tg_build_int(b, tg_type_scalar(p->S->out, TG_DT_I32), p->runs[i].reg);
        acc[i] = tg_build_aload(b, t, p->array, at, each);
    }
}

static void keep_sums(product *p, tg_value **acc) {
    tg_builder *b = &p->S->b;
    for (int i = 0; i < p->n_runs; i++) {
        tg_value *at = tg_build_int(b, tg_type_scalar(p->S->out, TG_DT_I32), p->runs[i].reg);
        (void)tg_build_astore(b, p->array, at, acc[i], tg_matrix_elems(p->u, TG_PART_C));
    }
}

void ts_group_wait(tg_simt *S, const tg_matrix_unit *u, const tg_type *t, tg_value *array) {
    product *p = TG_NEW(S->arena, product);
    tg_value *acc[MAX_RUNS];
    *p = (product){.S = S, .u = u, .t = t, .array = array};
    if (!find_runs(p)) {
        return; /* the product itself was refused */
    }
    take_sums(p, acc);
    (void)tg_build_gwait(&S->b, 0, p->n_runs, acc);
    keep_sums(p, acc);
}

void ts_emit_dot_group(tg_simt *S, tg_op *op, const tg_matrix_unit *u) {
    product *p = TG_NEW(S->arena, product);
    tg_builder *b = &S->b;
    *p = (product){.S = S, .u = u, .t = op->results[0].type};
    p->array = ts_dot_accumulator_or_zero(S, op, &p->zero);
    p->k = tg_operand(op, 0)->type->shape[p->t->rank - 1];
    if (S->status != TG_OK) {
        return;
    }
    find_group(p);
    if (!find_runs(p) || !make_operand(p, op, TG_PART_A) || !make_operand(p, op, TG_PART_B)) {
        ts_unsupported(S, op, "a product whose operands do not lie as its unit wants them");
        return;
    }
    tg_value *acc[MAX_RUNS] = {NULL};
    if (!p->zero) {
        take_sums(p, acc);
    }
    (void)tg_build_gfence(b);
    for (int i = 0; i < p->n_runs; i++) {
        acc[i] = multiply(p, &p->runs[i], acc[i]);
    }
    (void)tg_build_gcommit(b);
    if (S->late.dot == op) { /* the product before it is done, this one is waited for later */
        (void)tg_build_gwait(b, 1, 0, NULL);
    } else {
        (void)tg_build_gwait(b, 0, p->n_runs, acc);
    }
    keep_sums(p, acc);
}
