/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps of tensors for bulk copies: what the loop operation `tmap` says, as C. The limits are those
 * of PTX ISA 8.5, 5.5.3 to 5.5.6, and of the CUDA driver API, cuTensorMapEncodeTiled.
 */
#ifndef TG_TENSOR_MAP_H
#define TG_TENSOR_MAP_H

#include "ir/ir.h"

enum { TG_MAP_RANK = 5, TG_MAP_BOX = 256, TG_MAP_ALIGN = 16, TG_MAX_MAPS = 16 };

/* Innermost axis first. */
typedef struct tg_tensor_map {
    tg_dtype dtype;
    int rank;
    int64_t box[TG_MAP_RANK], swizzle;
    const tg_value *address, *extents[TG_MAP_RANK], *strides[TG_MAP_RANK]; /* strides[0]: NULL */
} tg_tensor_map;

/* Of a tmap operation that the verifier accepts. */
void tg_tensor_map_of(const tg_op *op, tg_tensor_map *out);
/* Bytes of a box. */
int64_t tg_tensor_map_bytes(const tg_tensor_map *m);
/* The tmap operations of a function in the order of its text, at most `cap` of them; how many there
 * are. Their place in this order is their number in the launch. */
int tg_tensor_maps(const tg_func *f, const tg_op **out, int cap);

#endif
