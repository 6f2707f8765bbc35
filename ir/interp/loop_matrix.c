/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fragments and products of matrix units in the loop interpreter: the meaning of fragload,
 * fragstore and mma. The lanes of a sub-group do each together. A unit that keeps its fragments to
 * itself is given some order of elements, which nobody can see.
 *
 * Sums of floats are made in double and rounded once: one of the orders that a unit may use.
 */
#include <string.h>

#include "ir/interp/loop_internal.h"
#include "ir/matrix.h"

enum { MAX_ELEMS = 1024 }; /* of a block */

/* Where in its block element e of a lane's fragment lies. */
static void place_of(const tg_matrix_unit *u, const tg_layout *l, tg_matrix_part p, int64_t lane,
                     int64_t e, int64_t at[2]) {
    if (l != NULL) {
        tg_layout_coords(l, lane, e, at);
        return;
    }
    int64_t shape[2], i = e * u->lanes + lane;
    tg_matrix_shape(u, p, shape);
    at[0] = i / shape[1];
    at[1] = i % shape[1];
}

static const tg_layout *layout_of(const tg_li_run *r, const tg_matrix_unit *u, tg_matrix_part p) {
    return tg_matrix_layout(r->code->func->module, u, p);
}

/* ---- memory ----------------------------------------------------------------------------------
 */

/* The one index of these lanes; false after a report. */
static bool common_index(tg_li_run *r, const tg_li_ins *i, int first, int n, int64_t *out) {
    *out = (int64_t)r->lanes[first].cells[i->arg[1]];
    for (int k = first; k < first + n; k++) {
        if (!tg_li_is_defined(r, i, k, i->arg[1], "the index")) {
            return false;
        }
        if ((int64_t)r->lanes[k].cells[i->arg[1]] != *out) {
            tg_li_report(r, TG_LOOP_BAD_CODE, i->op, k, "the lanes mean different blocks");
            return false;
        }
    }
    return true;
}

/* Byte of shared memory of an element; -1 after a report. */
static int64_t element_at(tg_li_run *r, const tg_li_ins *i, int lane, const tg_li_array *a,
                          int64_t index) {
    if (a->space != TG_SPACE_SHARED) {
        tg_li_report(r, TG_LOOP_BAD_CODE, i->op, lane, "fragments lie in shared memory");
        return -1;
    }
    if (index < 0 || index >= a->count) {
        tg_li_report(r, TG_LOOP_BOUNDS, i->op, lane, "element %lld of an array of %lld",
                     (long long)index, (long long)a->count);
        return -1;
    }
    return a->offset + index * a->elem_bytes;
}

static void load_element(tg_li_run *r, const tg_li_ins *i, int lane, int64_t at, int32_t to,
                         const tg_li_array *a) {
    tg_li_lane *l = &r->lanes[lane];
    l->undefined[to] = tg_li_touch(r, &r->shared, i, lane, at, a->elem_bytes, LI_READ, NULL, false);
    l->cells[to] = tg_li_read_bits(r->shared.base + at, a->dtype);
}

static void store_element(tg_li_run *r, const tg_li_ins *i, int lane, int64_t at, int32_t from,
                          const tg_li_array *a) {
    tg_li_lane *l = &r->lanes[lane];
    unsigned char raw[8];
    tg_li_write_bits(raw, a->dtype, l->cells[from]);
    (void)tg_li_touch(r, &r->shared, i, lane, at, a->elem_bytes, LI_WRITE, raw,
                      l->undefined[from] != 0);
    memcpy(r->shared.base + at, raw, (size_t)a->elem_bytes);
}

static void move_fragment(tg_li_run *r, const tg_li_ins *i, const tg_matrix_unit *u, int first,
                          int n) {
    tg_matrix_part p = (tg_matrix_part)tg_attr_int(i->op, TG_ATTR_PART, 0);
    const int64_t *strides = tg_attr_get(i->op, TG_ATTR_STRIDES)->list;
    const tg_li_array *a = &r->code->arrays.data[i->arg[0]];
    const tg_layout *l = layout_of(r, u, p);
    int64_t align = tg_attr_int(i->op, TG_ATTR_ALIGN, 1), base;
    if (!common_index(r, i, first, n, &base)) {
        return;
    }
    if ((base + a->offset / a->elem_bytes) % align != 0) {
        tg_li_report(r, TG_LOOP_ALIGN, i->op, first, "element %lld is not a multiple of %lld",
                     (long long)base, (long long)align);
    }
    for (int64_t k = 0; k < (int64_t)n * i->n; k++) {
        int lane = first + (int)(k / i->n);
        int64_t e = k % i->n, c[2];
        place_of(u, l, p, k / i->n, e, c);
        int64_t at = element_at(r, i, lane, a, base + c[0] * strides[0] + c[1] * strides[1]);
        if (at < 0) {
            return;
        }
        if (i->code == TG_OP_FRAGLOAD) {
            load_element(r, i, lane, at, i->result + (int32_t)e, a);
        } else {
            store_element(r, i, lane, at, i->arg[2] + (int32_t)e, a);
        }
    }
}

/* ---- products --------------------------------------------------------------------------------
 */

/* The block that the lanes' fragments in register `from` make; whether all of it is defined. */
static bool gather(const tg_li_run *r, const tg_matrix_unit *u, tg_matrix_part p, int first,
                   int32_t from, tg_cell *out) {
    const tg_layout *l = layout_of(r, u, p);
    int64_t shape[2], n = tg_matrix_elems(u, p), at[2];
    bool defined = true;
    tg_matrix_shape(u, p, shape);
    for (int64_t k = 0; k < u->lanes * n; k++) {
        const tg_li_lane *lane = &r->lanes[first + k / n];
        place_of(u, l, p, k / n, k % n, at);
        out[at[0] * shape[1] + at[1]] = tg_num_decode(NULL, u->type[p], lane->cells[from + k % n]);
        defined &= lane->undefined[from + k % n] == 0;
    }
    return defined;
}

static tg_cell element(const tg_matrix_unit *u, const tg_cell *a, const tg_cell *b, tg_cell c,
                       int64_t m, int64_t n) {
    bool real = tg_dtype_is_float(u->type[TG_PART_C]);
    tg_cell sum = c;
    for (int64_t k = 0; k < u->k; k++) {
        tg_cell x = a[m * u->k + k], y = b[k * u->n + n];
        if (real) {
            sum.f += x.f * y.f;
        } else {
            sum.i = tg_num_wrap(u->type[TG_PART_C], sum.i + x.i * y.i);
        }
    }
    if (u->type[TG_PART_C] == TG_DT_F32) {
        sum.f = (double)(float)sum.f;
    }
    return sum;
}

static void multiply(tg_li_run *r, const tg_li_ins *i, const tg_matrix_unit *u, int first) {
    tg_cell a[MAX_ELEMS], b[MAX_ELEMS], c[MAX_ELEMS];
    bool defined = gather(r, u, TG_PART_A, first, i->arg[0], a);
    defined &= gather(r, u, TG_PART_B, first, i->arg[1], b);
    defined &= gather(r, u, TG_PART_C, first, i->arg[2], c);
    const tg_layout *l = layout_of(r, u, TG_PART_C);
    int64_t n = tg_matrix_elems(u, TG_PART_C), at[2];
    for (int64_t k = 0; k < u->lanes * n; k++) {
        tg_li_lane *lane = &r->lanes[first + k / n];
        place_of(u, l, TG_PART_C, k / n, k % n, at);
        tg_cell v = element(u, a, b, c[at[0] * u->n + at[1]], at[0], at[1]);
        lane->cells[i->result + k % n] = tg_num_encode(u->type[TG_PART_C], v);
        lane->undefined[i->result + k % n] = !defined;
    }
}

void tg_li_matrix(tg_li_run *r, const tg_li_ins *i, int first, int n) {
    const tg_matrix_unit *u = tg_matrix_find(tg_attr_str(i->op, TG_ATTR_UNIT));
    if (u == NULL || n != u->lanes || u->m * u->k > MAX_ELEMS || u->k * u->n > MAX_ELEMS ||
        u->m * u->n > MAX_ELEMS) {
        tg_li_report(r, TG_LOOP_BAD_CODE, i->op, first, "%d lanes are no group of this unit", n);
        r->stop = true;
        return;
    }
    if (i->code == TG_OP_MMA) {
        multiply(r, i, u, first);
    } else {
        move_fragment(r, i, u, first, n);
    }
    for (int k = first; k < first + n; k++) {
        r->lanes[k].state = LI_RUN;
    }
}
