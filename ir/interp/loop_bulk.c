/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bulk copies in the loop interpreter. A map is the operation that describes it; what the launch
 * makes of it is read from the registers of its operands.
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
    }
    return false;
}
