/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Do two strided tensors share a byte? Byte ranges that are apart cannot. Column blocks of one
 * matrix have interleaved ranges yet share nothing, and hosts use them; they are told apart by a
 * common pitch: when every stride of both is either a multiple of the pitch or stays inside one
 * pitch, it is enough that the column intervals (offsets modulo the pitch) are apart. Otherwise the
 * answer is yes.
 */
#include "internal.h"

typedef struct interval {
    int64_t begin, end; /* within one pitch */
} interval;

/* Column interval of a tensor under a pitch; false when it does not fit the scheme. */
static bool columns(const tgr_param *p, const int64_t *slots, uintptr_t origin, int64_t pitch,
                    interval *out) {
    const int64_t *extents = slots + 1, *strides = extents + p->rank;
    int64_t width = p->elem_bytes;
    for (int i = 0; i < p->rank; i++) {
        bool packed = !p->elem_bytes && i == p->rank - 1;
        if (packed) {
            width += (extents[i] * p->bits + 7) / 8;
        } else if (extents[i] > 1 && strides[i] % pitch != 0) {
            if (strides[i] < 0) {
                return false;
            }
            width += strides[i] * (extents[i] - 1);
        }
        if (width > pitch) {
            return false;
        }
    }
    int64_t at = (int64_t)((uintptr_t)slots[0] - origin) % pitch;
    at += at < 0 ? pitch : 0;
    *out = (interval){at, at + width};
    return at + width <= pitch;
}

static bool apart_under(const tgr_param *p, const int64_t *ps, const tgr_param *q,
                        const int64_t *qs, int64_t pitch) {
    interval x, y;
    /* The origin is p's own base: then p's columns start at 0 and only q's may wrap. */
    uintptr_t origin = (uintptr_t)ps[0];
    if (pitch <= 0 || !columns(p, ps, origin, pitch, &x) || !columns(q, qs, origin, pitch, &y)) {
        return false;
    }
    return x.end <= y.begin || y.end <= x.begin;
}

bool tgr_tensors_overlap(const tgr_param *p, const int64_t *p_slots, tgr_range pr,
                         const tgr_param *q, const int64_t *q_slots, tgr_range qr) {
    if (pr.begin == pr.end || qr.begin == qr.end || pr.end <= qr.begin || qr.end <= pr.begin) {
        return false;
    }
    const int64_t *strides = p_slots + 1 + p->rank;
    for (int i = 0; i < p->rank; i++) {
        if (p_slots[1 + i] > 1 && apart_under(p, p_slots, q, q_slots, strides[i])) {
            return false;
        }
    }
    strides = q_slots + 1 + q->rank;
    for (int i = 0; i < q->rank; i++) {
        if (q_slots[1 + i] > 1 && apart_under(p, p_slots, q, q_slots, strides[i])) {
            return false;
        }
    }
    return true;
}
