/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tensors that bulk copies move: what a map wants of them, one by one, with the numbers that
 * disagree. A launch whose tensor has no map is none the worse: its kernel goes another way.
 */
#include "simt.h"

enum { ADDRESS_ALIGN = 16 };

#define REFUSE(...)                                                                                \
    {                                                                                              \
        if (why) {                                                                                 \
            tgr_text_add(why, __VA_ARGS__);                                                        \
        }                                                                                          \
        return false;                                                                              \
    }

static bool axis_allowed(const tgr_tile *t, uint32_t i, tgr_text *why) {
    const uint64_t most_extent = ((uint64_t)1 << 31) - 1, most_stride = (uint64_t)1 << 40;
    if (t->extents[i] == 0 || t->extents[i] > most_extent) {
        REFUSE("axis %u has %llu elements", i, (unsigned long long)t->extents[i])
    }
    if (t->box[i] == 0 || t->box[i] > TG_SIMT_MAP_BOX) {
        REFUSE("a box of %u elements along axis %u; 256 are the most", t->box[i], i)
    }
    if (i > 0 &&
        (t->strides[i] == 0 || t->strides[i] % ADDRESS_ALIGN || t->strides[i] >= most_stride)) {
        REFUSE("axis %u steps by %llu bytes, no multiple of 16 below 2^40", i,
               (unsigned long long)t->strides[i])
    }
    return true;
}

bool tgr_tile_allowed(const tgr_tile *t, tgr_text *why) {
    if (t->rank < 1 || t->rank > TG_SIMT_MAP_RANK) {
        REFUSE("a tensor of %u axes", t->rank)
    }
    uint32_t row = t->box[0] * (uint32_t)tgr_dtype_bits(t->dtype) / 8;
    if (t->address == 0 || t->address % ADDRESS_ALIGN) {
        REFUSE("address 0x%llx is no multiple of 16", (unsigned long long)t->address)
    }
    if (row % ADDRESS_ALIGN || (t->swizzle && row > t->swizzle)) {
        REFUSE("rows of %u bytes with a swizzle of %u", row, t->swizzle)
    }
    for (uint32_t i = 0; i < t->rank; i++) {
        if (!axis_allowed(t, i, why)) {
            return false;
        }
    }
    return true;
}

/* An axis of one element steps nowhere: its stride may be anything. */
bool tgr_simt_tile(const tgr_simt_map *m, const int64_t *slots, tgr_tile *out) {
    *out = m->fixed;
    out->address = (uint64_t)tgr_dim_value_of(&m->address, slots);
    for (uint32_t i = 0; i < out->rank; i++) {
        out->extents[i] = (uint64_t)tgr_dim_value_of(&m->extents[i], slots);
        out->strides[i] = i > 0 ? (uint64_t)tgr_dim_value_of(&m->strides[i], slots) : 0;
        if (i > 0 && out->extents[i] == 1) {
            out->strides[i] = ADDRESS_ALIGN;
        }
    }
    return tgr_tile_allowed(out, NULL);
}
