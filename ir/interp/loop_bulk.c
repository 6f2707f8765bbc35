/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bulk copies in the loop interpreter. A map is the operation that describes it; what the launch
 * makes of it is read from the registers of its operands. A box is read where its copy starts and
 * lies in shared memory, undefined, until nobody can go on without it.
 */
#include <string.h>

#include "ir/interp/loop_internal.h"
#include "ir/tensor_map.h"

/* A map's numbers in this launch. */
typedef struct bulk_map {
    tg_tensor_map m;
    uint64_t address;
    int64_t extent[TG_MAP_RANK], stride[TG_MAP_RANK];
} bulk_map;

static uint64_t cell(const tg_li_run *r, int lane, const tg_value *v) {
    return r->lanes[lane].cells[r->code->reg_of[v->id]];
}

static void read_map(const tg_li_run *r, int lane, const tg_op *tmap, bulk_map *out) {
    tg_tensor_map_of(tmap, &out->m);
    out->address = cell(r, lane, out->m.address);
    for (int i = 0; i < out->m.rank; i++) {
        out->extent[i] = (int64_t)cell(r, lane, out->m.extents[i]);
        out->stride[i] =
            i > 0 ? (int64_t)cell(r, lane, out->m.strides[i]) : tg_dtype_bits(out->m.dtype) / 8;
    }
}

/* An axis of one element steps nowhere: its stride may be anything. */
static bool is_allowed(const bulk_map *m) {
    bool ok = m->address != 0 && m->address % TG_MAP_ALIGN == 0;
    for (int i = 0; i < m->m.rank; i++) {
        ok = ok && m->extent[i] >= 1 && m->extent[i] < INT32_MAX;
        ok = ok && (i == 0 || m->extent[i] == 1 ||
                    (m->stride[i] % TG_MAP_ALIGN == 0 && m->stride[i] > 0 &&
                     m->stride[i] < (int64_t)1 << 40));
    }
    return ok;
}

/* ---- copies ---------------------------------------------------------------------------------- */

enum { MAP, ARRAY, INDEX, BARS, BAR, WHO, FIRST, BOX_ALIGN = 128 };

static uint64_t given(const tg_li_run *r, const tg_li_ins *i, int lane, int operand) {
    return cell(r, lane, tg_operand(i->op, operand));
}

static bool all_defined(tg_li_run *r, const tg_li_ins *i, int lane) {
    bool ok = true;
    for (int k = INDEX; k < i->op->n_operands; k++) {
        ok = ok &&
             (k == BARS || tg_li_is_defined(r, i, lane, r->code->reg_of[tg_operand(i->op, k)->id],
                                            "an operand of the copy"));
    }
    return ok;
}

/* Where byte x of a box lies whose rows are spread over banks: 16-byte pieces change places within
 * the row of `swizzle` bytes by the number of that row (PTX ISA 8.5, 5.5.7). */
static int64_t spread(int64_t x, int64_t swizzle) {
    return swizzle == 0 ? x : x ^ ((x >> 7 & (swizzle / 16 - 1)) << 4);
}

/* One element of the box into `to`; outside of the tensor: zero. */
static void fetch(tg_li_run *r, const tg_li_ins *i, int lane, const bulk_map *m, int64_t n,
                  unsigned char *to, bool *undefined) {
    int64_t width = tg_dtype_bits(m->m.dtype) / 8;
    uint64_t at = m->address;
    for (int k = 0; k < m->m.rank; k++) {
        int64_t x = (int32_t)given(r, i, lane, FIRST + k) + n % m->m.box[k];
        if (x < 0 || x >= m->extent[k]) {
            memset(to, 0, (size_t)width);
            return;
        }
        at += (uint64_t)(x * m->stride[k]);
        n /= m->m.box[k];
    }
    tg_li_space *s = tg_li_find(r, i, lane, at, width, false);
    if (s != NULL) {
        int64_t from = (int64_t)(at - (uint64_t)(uintptr_t)s->base);
        *undefined |= tg_li_touch(r, s, i, lane, from, width, LI_READ, NULL, false);
        memcpy(to, s->base + from, (size_t)width);
    }
}

static void read_box(tg_li_run *r, const tg_li_ins *i, int lane, const bulk_map *m, tg_li_box *x) {
    int64_t width = tg_dtype_bits(m->m.dtype) / 8;
    x->data = TG_NEW_ARRAY(r->arena, unsigned char, x->bytes);
    for (int64_t n = 0; n * width < x->bytes; n++) {
        unsigned char element[8];
        fetch(r, i, lane, m, n, element, &x->undefined);
        memcpy(x->data + (spread(x->at + n * width, m->m.swizzle) - x->at), element, (size_t)width);
    }
}

static void start(tg_li_run *r, const tg_li_ins *i, int lane) {
    const tg_li_array *a = &r->code->arrays.data[r->code->reg_of[tg_operand(i->op, ARRAY)->id]];
    tg_li_box x = {.ins = i, .lane = lane};
    bulk_map m;
    if (!all_defined(r, i, lane) || given(r, i, lane, WHO) == 0) {
        return;
    }
    read_map(r, lane, tg_operand(i->op, MAP)->def, &m);
    int64_t index = (int32_t)given(r, i, lane, INDEX), align = BOX_ALIGN;
    x.at = a->offset + index * a->elem_bytes;
    x.bytes = tg_tensor_map_bytes(&m.m);
    x.bar = tg_li_mbar_at(r, i, lane, BARS);
    align = m.m.swizzle != 0 ? 8 * m.m.swizzle : align;
    if (!is_allowed(&m)) {
        tg_li_report(r, TG_LOOP_BAD_CODE, i->op, lane, "a copy by a map that the launch lacks");
    } else if (index < 0 || index + x.bytes / a->elem_bytes > a->count) {
        tg_li_report(r, TG_LOOP_BOUNDS, i->op, lane, "%lld bytes from element %lld of %lld",
                     (long long)x.bytes, (long long)index, (long long)a->count);
    } else if (x.at % align != 0) {
        tg_li_report(r, TG_LOOP_ALIGN, i->op, lane, "a box at byte %lld, no multiple of %lld",
                     (long long)x.at, (long long)align);
    } else if (x.bar != NULL) {
        read_box(r, i, lane, &m, &x);
        (void)tg_li_touch(r, &r->shared, i, lane, x.at, x.bytes, LI_WRITE, NULL, true);
        tg_li_order_keep(r, lane, x.clock);
        TG_LIST_PUSH(r->arena, &r->boxes, x);
    }
}

bool tg_li_land_box(tg_li_run *r) {
    if (r->boxes.count == 0) {
        return false;
    }
    tg_li_box x = r->boxes.data[0];
    memmove(r->boxes.data, r->boxes.data + 1, --r->boxes.count * sizeof x);
    memcpy(r->shared.base + x.at, x.data, (size_t)x.bytes);
    for (int64_t k = 0; k < x.bytes; k++) {
        r->shared.shadow[x.at + k].undefined = x.undefined;
    }
    tg_li_mbar_bytes(r, x.ins, x.lane, x.bar, x.bytes, x.clock);
    return true;
}

bool tg_li_bulk(tg_li_run *r, const tg_li_ins *i, int lane) {
    tg_li_lane *l = &r->lanes[lane];
    bulk_map m;
    switch ((int)i->code) {
    case TG_OP_TMAP:
        l->cells[i->result] = (uint64_t)(uintptr_t)i->op;
        l->undefined[i->result] = 0;
        return true;
    case TG_OP_TMAP_OK:
        read_map(r, lane, tg_operand(i->op, 0)->def, &m);
        l->cells[i->result] = is_allowed(&m);
        l->undefined[i->result] = 0;
        return true;
    case TG_OP_TCOPY:
        start(r, i, lane);
        tg_li_order_tick(r, lane);
        return true;
    }
    return false;
}
