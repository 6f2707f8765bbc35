/* SPDX-License-Identifier: Apache-2.0 */
/* See tensor_map.h. */
#include "ir/tensor_map.h"

void tg_tensor_map_of(const tg_op *op, tg_tensor_map *out) {
    const tg_attr *box = tg_attr_get(op, TG_ATTR_SHAPE);
    *out = (tg_tensor_map){.dtype = tg_attr_get(op, TG_ATTR_DTYPE)->type->dtype,
                           .rank = op->n_operands / 2,
                           .swizzle = tg_attr_int(op, TG_ATTR_SWIZZLE, 0),
                           .address = op->operands[0].value};
    for (int i = 0; i < out->rank; i++) {
        out->box[i] = box->list[i];
        out->extents[i] = op->operands[1 + i].value;
        out->strides[i] = i > 0 ? op->operands[out->rank + i].value : NULL;
    }
}

int64_t tg_tensor_map_bytes(const tg_tensor_map *m) {
    int64_t n = tg_dtype_bits(m->dtype) / 8;
    for (int i = 0; i < m->rank; i++) {
        n *= m->box[i];
    }
    return n;
}

static int maps_of(const tg_region *r, const tg_op **out, int n, int cap) {
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_TMAP) {
            if (n < cap) {
                out[n] = op;
            }
            n++;
        }
        for (int i = 0; i < op->n_regions; i++) {
            n = maps_of(op->regions[i], out, n, cap);
        }
    }
    return n;
}

int tg_tensor_maps(const tg_func *f, const tg_op **out, int cap) {
    return maps_of(f->body, out, 0, cap);
}
