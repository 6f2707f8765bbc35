/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products that end later (gmma and what stands around it) in the loop interpreter. The product is
 * made where it starts, from what shared memory holds then; its elements are marked with their
 * group and count as undefined until the lane has waited for it. Elements that were undefined
 * before stay so.
 *
 * Sums of floats are made in double and rounded once: one of the orders that a unit may use.
 */
#include <string.h>

#include "ir/interp/loop_internal.h"
#include "ir/matrix.h"

/* What stands beside a cell: 1 undefined, else twice (1 + number of its group modulo KEPT). */
enum { UNDEFINED = 1, KEPT = 100, MOST_K = 32, MOST_N = TG_GMMA_COLUMNS };

static uint8_t mark_of(const tg_li_lane *l) {
    return (uint8_t)(2 * (1 + (l->product_groups + 1) % KEPT));
}

/* Groups closed since the marked one; -1: it is not closed. */
static int64_t age_of(const tg_li_lane *l, uint8_t mark) {
    return (l->product_groups + KEPT - (mark / 2 - 1)) % KEPT;
}

/* ---- one lane -------------------------------------------------------------------------------- */

static void wait_for(tg_li_run *r, const tg_li_ins *i, int lane) {
    tg_li_lane *l = &r->lanes[lane];
    int64_t keep = tg_attr_int(i->op, TG_ATTR_N, 0);
    for (int k = 0; k < i->op->n_operands; k++) {
        const tg_value *v = i->op->operands[k].value, *out = &i->op->results[k];
        int32_t from = r->code->reg_of[v->id], to = r->code->reg_of[out->id];
        for (int64_t e = 0; e < v->type->shape[0]; e++) {
            uint8_t u = l->undefined[from + e];
            bool done = u > UNDEFINED && age_of(l, u) >= keep && age_of(l, u) < KEPT / 2;
            l->cells[to + e] = l->cells[from + e];
            l->undefined[to + e] = done ? 0 : u;
        }
    }
}

void tg_li_products(tg_li_run *r, const tg_li_ins *i, int lane) {
    if (i->code == TG_OP_GCOMMIT) {
        r->lanes[lane].product_groups++;
    } else if (i->code == TG_OP_GWAIT) {
        wait_for(r, i, lane);
    }
}

/* ---- operands -------------------------------------------------------------------------------- */

typedef struct product {
    tg_li_run *r;
    const tg_li_ins *i;
    const tg_matrix_unit *u;
    int first;
    int64_t n; /* columns */
    bool defined;
    tg_cell a[64 * MOST_K], b[MOST_K * MOST_N];
} product;

/* Element (x, k) of an operand in memory; x counts M or N. */
static tg_cell element(product *p, int at, tg_matrix_part part, const int64_t *how, int64_t x,
                       int64_t k) {
    const tg_op *op = p->i->op;
    const tg_li_array *a = &p->r->code->arrays.data[p->r->code->reg_of[op->operands[at].value->id]];
    int64_t index =
        (int64_t)p->r->lanes[p->first].cells[p->r->code->reg_of[op->operands[at + 1].value->id]];
    int64_t width = how[0] / a->elem_bytes;
    index += how[1] != 0 ? x / width * how[2] + k * width + x % width : x * width + k;
    int64_t byte = a->offset + tg_swizzled(index * a->elem_bytes, how[0]);
    if (index < 0 || index >= a->count) {
        tg_li_report(p->r, TG_LOOP_BOUNDS, op, p->first, "element %lld of an array of %lld",
                     (long long)index, (long long)a->count);
        return (tg_cell){0};
    }
    p->defined &= !tg_li_touch(p->r, &p->r->shared, p->i, p->first, byte, a->elem_bytes, LI_READ,
                               NULL, false);
    return tg_num_decode(NULL, p->u->type[part],
                         tg_li_read_bits(p->r->shared.base + byte, a->dtype));
}

/* All lanes have one index in operand `at`. */
static bool is_common(product *p, int at) {
    int32_t reg = p->r->code->reg_of[p->i->op->operands[at].value->id];
    for (int k = p->first; k < p->first + p->u->lanes; k++) {
        if (!tg_li_is_defined(p->r, p->i, k, reg, "the index")) {
            return false;
        }
        if (p->r->lanes[k].cells[reg] != p->r->lanes[p->first].cells[reg]) {
            tg_li_report(p->r, TG_LOOP_BAD_CODE, p->i->op, k, "the lanes mean different blocks");
            return false;
        }
    }
    return true;
}

static void fragment_of_a(product *p) {
    const tg_layout *l = tg_matrix_layout(p->r->code->func->module, p->u, TG_PART_A);
    int64_t n = tg_matrix_elems(p->u, TG_PART_A), at[2];
    int32_t from = p->r->code->reg_of[p->i->op->operands[0].value->id];
    for (int64_t k = 0; k < p->u->lanes * n; k++) {
        const tg_li_lane *lane = &p->r->lanes[p->first + k / n];
        tg_layout_coords(l, k / n, k % n, at);
        p->a[at[0] * p->u->k + at[1]] =
            tg_num_decode(NULL, p->u->type[TG_PART_A], lane->cells[from + k % n]);
        p->defined &= lane->undefined[from + k % n] == 0;
    }
}

static bool read_operands(product *p) {
    const int64_t *how = tg_attr_get(p->i->op, TG_ATTR_STRIDES)->list;
    bool registers = p->i->op->operands[0].value->type->kind == TG_TY_VEC;
    int b = registers ? 1 : 2;
    if ((!registers && !is_common(p, 1)) || !is_common(p, b + 1)) {
        return false;
    }
    if (registers) {
        fragment_of_a(p);
    }
    for (int64_t k = 0; k < p->u->k; k++) {
        for (int64_t m = 0; m < p->u->m && !registers; m++) {
            p->a[m * p->u->k + k] = element(p, 0, TG_PART_A, how, m, k);
        }
        for (int64_t n = 0; n < p->n; n++) {
            p->b[k * p->n + n] = element(p, b, TG_PART_B, how + 3, n, k);
        }
    }
    return true;
}

/* ---- the product ----------------------------------------------------------------------------- */

static tg_cell sum_of(const product *p, tg_cell c, int64_t m, int64_t n) {
    tg_dtype t = p->u->type[TG_PART_C];
    for (int64_t k = 0; k < p->u->k; k++) {
        tg_cell x = p->a[m * p->u->k + k], y = p->b[k * p->n + n];
        if (tg_dtype_is_float(t)) {
            c.f += x.f * y.f;
        } else {
            c.i = tg_num_wrap(t, c.i + x.i * y.i);
        }
    }
    c.f = t == TG_DT_F32 ? (double)(float)c.f : c.f;
    return c;
}

static void multiply(product *p) {
    const tg_op *op = p->i->op;
    bool registers = op->operands[0].value->type->kind == TG_TY_VEC;
    bool adds = op->n_operands > (registers ? 3 : 4);
    int32_t from = adds ? p->r->code->reg_of[op->operands[op->n_operands - 1].value->id] : 0;
    const tg_layout *l = tg_matrix_layout(p->r->code->func->module, p->u, TG_PART_C);
    int64_t each = tg_matrix_elems(p->u, TG_PART_C), all = p->n / p->u->n * each, at[2];
    tg_dtype t = p->u->type[TG_PART_C];
    for (int64_t k = 0; k < p->u->lanes * all; k++) {
        tg_li_lane *lane = &p->r->lanes[p->first + k / all];
        int64_t e = k % all;
        tg_cell c = {0};
        uint8_t u = p->defined ? 0 : UNDEFINED;
        if (adds) {
            c = tg_num_decode(NULL, t, lane->cells[from + e]);
            u |= lane->undefined[from + e] & UNDEFINED;
        }
        tg_layout_coords(l, k / all, e % each, at);
        c = sum_of(p, c, at[0], at[1] + e / each * p->u->n);
        lane->cells[p->i->result + e] = tg_num_encode(t, c);
        lane->undefined[p->i->result + e] = u != 0 ? UNDEFINED : mark_of(lane);
    }
}

bool tg_li_gmma(tg_li_run *r, int first) {
    const tg_li_ins *i = &r->code->ins.data[r->lanes[first].pc - 1];
    const tg_matrix_unit *u = tg_matrix_find(tg_attr_str(i->op, TG_ATTR_UNIT));
    first -= u != NULL ? first % u->lanes : 0;
    if (u == NULL || first + u->lanes > r->n_lanes) {
        tg_li_report(r, TG_LOOP_BAD_CODE, i->op, first, "too few lanes for this unit");
        r->stop = true;
        return true;
    }
    for (int k = first; k < first + u->lanes; k++) {
        if (r->lanes[k].state != LI_AT_UNIT || !tg_li_same_place(r, first, k)) {
            return false;
        }
    }
    product *p = TG_NEW(r->arena, product);
    *p = (product){.r = r, .i = i, .u = u, .first = first, .defined = true};
    p->n = i->op->results[0].type->shape[0] / tg_matrix_elems(u, TG_PART_C) * u->n;
    if (read_operands(p)) {
        multiply(p);
    }
    for (int k = first; k < first + u->lanes; k++) {
        r->lanes[k].state = LI_RUN;
    }
    return true;
}
