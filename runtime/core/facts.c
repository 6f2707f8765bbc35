/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data facts of checked launches: `sorted` (non-decreasing along the last axis), `unique` (no value
 * twice in the tensor), `in lo..hi`. Integers only up to 64 bits, f32 and f64; the language allows
 * facts on nothing else. Unsigned 64-bit values are compared as what they are.
 */
#include "internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* A value as a sortable key: order of keys = order of values, for one type. */
typedef struct element {
    uint64_t key;
    int64_t as_int;
    double as_float;
    bool is_float, nan;
} element;

static element from_int(int64_t v) {
    return (element){.key = (uint64_t)v ^ 1ull << 63, .as_int = v};
}

static element from_float(double v) {
    uint64_t bits;
    double plus = v + 0.0; /* -0 and +0 are one value */
    memcpy(&bits, &plus, sizeof bits);
    bits = bits >> 63 ? ~bits : bits | 1ull << 63;
    return (element){.key = bits, .as_float = v, .is_float = true, .nan = isnan(v) != 0};
}

#define LOAD(type, at) (*(type *)memcpy(&(type){0}, (at), sizeof(type)))

static bool load(tg_dtype t, const char *at, element *out) {
    if (t == TG_DT_I8) {
        *out = from_int(LOAD(int8_t, at));
    } else if (t == TG_DT_I16) {
        *out = from_int(LOAD(int16_t, at));
    } else if (t == TG_DT_I32) {
        *out = from_int(LOAD(int32_t, at));
    } else if (t == TG_DT_I64) {
        *out = from_int(LOAD(int64_t, at));
    } else if (t == TG_DT_U8 || t == TG_DT_BOOL) {
        *out = from_int(LOAD(uint8_t, at));
    } else if (t == TG_DT_U16) {
        *out = from_int(LOAD(uint16_t, at));
    } else if (t == TG_DT_U32) {
        *out = from_int(LOAD(uint32_t, at));
    } else if (t == TG_DT_U64) {
        uint64_t v = LOAD(uint64_t, at);
        *out = (element){.key = v, .as_int = v > INT64_MAX ? INT64_MAX : (int64_t)v};
    } else if (t == TG_DT_F32) {
        *out = from_float((double)LOAD(float, at));
    } else if (t == TG_DT_F64) {
        *out = from_float(LOAD(double, at));
    } else {
        return false;
    }
    return true;
}

/* Walks a tensor's elements in row-major order. */
typedef struct walker {
    const tgr_param *p;
    const int64_t *extents, *strides;
    int64_t index[TG_MAX_RANK];
    const char *at;
    int64_t left;
} walker;

static walker walk(const tgr_param *p, const int64_t *slots) {
    walker w = {.p = p,
                .extents = slots + 1,
                .strides = slots + 1 + p->rank,
                .at = (const char *)(uintptr_t)slots[0],
                .left = 1};
    for (int i = 0; i < p->rank; i++) {
        w.left *= w.extents[i];
    }
    return w;
}

static void advance(walker *w) {
    w->left--;
    for (int i = w->p->rank - 1; i >= 0; i--) {
        w->at += w->strides[i];
        if (++w->index[i] < w->extents[i]) {
            return;
        }
        w->at -= w->strides[i] * w->extents[i];
        w->index[i] = 0;
    }
}

static tgr_status check_range(const tgr_kernel *k, tgr_context *context, const tgr_param *p,
                              const int64_t *slots, const int64_t *syms) {
    int64_t lo = tgr_dim_value_of(&p->range_lo, syms), hi = tgr_dim_value_of(&p->range_hi, syms),
            n = 0;
    element e;
    for (walker w = walk(p, slots + p->slot); w.left > 0; advance(&w), n++) {
        (void)load(p->dtype, w.at, &e);
        bool inside = e.is_float ? e.as_float >= (double)lo && e.as_float < (double)hi
                                 : e.as_int >= lo && e.as_int < hi;
        if (!inside) {
            return tgr_fail(context, TGR_E_FACT,
                            "kernel `%s`, argument `%s`: element %" PRId64
                            " is %.17g, outside %" PRId64 "..%" PRId64,
                            k->name, p->name, n, e.is_float ? e.as_float : (double)e.as_int, lo,
                            hi);
        }
    }
    return TGR_OK;
}

static tgr_status check_sorted(const tgr_kernel *k, tgr_context *context, const tgr_param *p,
                               const int64_t *slots) {
    element e, last = {0};
    int64_t n = 0;
    for (walker w = walk(p, slots + p->slot); w.left > 0; advance(&w), n++) {
        (void)load(p->dtype, w.at, &e);
        bool first = p->rank == 0 || w.index[p->rank - 1] == 0;
        if (e.nan || (!first && e.key < last.key)) {
            return tgr_fail(context, TGR_E_FACT,
                            "kernel `%s`, argument `%s` is declared sorted, but element %" PRId64
                            " is %s",
                            k->name, p->name, n, e.nan ? "NaN" : "less than the one before it");
        }
        last = e;
    }
    return TGR_OK;
}

static int compare_keys(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static tgr_status check_unique(const tgr_kernel *k, tgr_context *context, const tgr_param *p,
                               const int64_t *slots) {
    walker w = walk(p, slots + p->slot);
    size_t n = (size_t)w.left;
    if (n < 2) {
        return TGR_OK;
    }
    uint64_t *keys = n > SIZE_MAX / sizeof *keys ? NULL : tgr_alloc(context, n * sizeof *keys);
    if (!keys) {
        return tgr_fail(context, TGR_E_NOMEM, "out of memory checking that `%s` is unique",
                        p->name);
    }
    element e;
    for (size_t i = 0; i < n; i++, advance(&w)) {
        (void)load(p->dtype, w.at, &e);
        keys[i] = e.key;
    }
    qsort(keys, n, sizeof *keys, compare_keys);
    bool twice = false;
    for (size_t i = 1; i < n; i++) {
        twice |= keys[i] == keys[i - 1];
    }
    tgr_free(context, keys, n * sizeof *keys);
    return twice
               ? tgr_fail(context, TGR_E_FACT,
                          "kernel `%s`, argument `%s` is declared unique, but a value occurs twice",
                          k->name, p->name)
               : TGR_OK;
}

tgr_status tgr_facts_check(const tgr_kernel *kernel, tgr_context *context, const int64_t *slots) {
    const int64_t *syms = slots + kernel->n_slots - kernel->n_syms;
    tgr_status st = TGR_OK;
    for (uint32_t i = 0; !st && i < kernel->n_params; i++) {
        const tgr_param *p = &kernel->params[i];
        element e;
        static const char zero[8];
        if (!(p->flags & (TG_PARAM_SORTED | TG_PARAM_UNIQUE | TG_PARAM_RANGE)) ||
            !load(p->dtype, zero, &e)) {
            continue;
        }
        st = p->flags & TG_PARAM_RANGE ? check_range(kernel, context, p, slots, syms) : TGR_OK;
        st = !st && p->flags & TG_PARAM_SORTED ? check_sorted(kernel, context, p, slots) : st;
        st = !st && p->flags & TG_PARAM_UNIQUE ? check_unique(kernel, context, p, slots) : st;
    }
    return st;
}
