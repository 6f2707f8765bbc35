/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the core does itself where memory is the host's, done through a driver elsewhere: filling
 * `out y init v` and checking data facts. A dense fill is one driver fill; a strided one reads the
 * bytes between its first and last element, fills there and writes back.
 */
#include "internal.h"

/* Bytes [lo, hi) relative to the tensor's address that its elements lie in. */
static void byte_range(const int64_t *extents, const int64_t *strides, int rank, int64_t elem_bytes,
                       int bits, int64_t *lo, int64_t *hi) {
    *lo = 0;
    *hi = elem_bytes;
    for (int i = 0; i < rank; i++) {
        if (extents[i] == 0) {
            *hi = 0;
            return;
        }
    }
    for (int i = 0; i < rank; i++) {
        bool packed = bits < 8 && i == rank - 1;
        int64_t far = packed ? (extents[i] * bits + 7) / 8 : (extents[i] - 1) * strides[i];
        *lo += far < 0 ? far : 0;
        *hi += far > 0 ? far : 0;
    }
}

static bool is_dense(const tgr_fill *f) {
    if (f->elem_bits < 8) {
        return f->rank <= 1;
    }
    int64_t want = f->elem_bytes;
    for (int i = f->rank - 1; i >= 0; i--) {
        if (f->extents[i] != 1 && f->strides[i] != want) {
            return false;
        }
        want *= f->extents[i];
    }
    return true;
}

static uint64_t pattern_of(const tgr_fill *f) {
    if (f->elem_bits < 8) {
        uint64_t bits = f->bits & ((1u << f->elem_bits) - 1);
        return f->elem_bits == 4 ? bits * 0x11 : bits ? 0xff : 0;
    }
    return f->bits;
}

static tgr_status fill_staged(tgr_device *d, const tgr_fill *f, int64_t lo, size_t n) {
    char *host = tgr_alloc_raw(d->context, n), *device = (char *)f->data + lo;
    if (!host) {
        return tgr_fail(d->context, TGR_E_NOMEM, "out of memory filling %zu bytes", n);
    }
    tgr_status st = d->driver->copy(d->context, d->state, TGR_COPY_FROM_DEVICE, host, device, n);
    if (!st) {
        tgr_fill on_host = *f;
        on_host.data = host - lo;
        tgr_fill_run(&on_host);
        st = d->driver->copy(d->context, d->state, TGR_COPY_TO_DEVICE, device, host, n);
    }
    tgr_free(d->context, host, n);
    return st;
}

bool tgr_fill_plain(const tgr_fill *f, tgr_graph_part *out) {
    int64_t lo, hi;
    byte_range(f->extents, f->strides, f->rank, f->elem_bytes, f->elem_bits, &lo, &hi);
    size_t unit = f->elem_bits < 8 ? 1 : (size_t)f->elem_bytes;
    bool fits = unit == 1 || unit == 2 || unit == 4 || unit == 8;
    *out = (tgr_graph_part){.to = f->data,
                            .bytes = hi > lo ? (size_t)(hi - lo) : 0,
                            .pattern = pattern_of(f),
                            .pattern_bytes = unit};
    return out->bytes == 0 || (fits && is_dense(f));
}

tgr_status tgr_fill_device(tgr_device *d, const tgr_fill *f) {
    int64_t lo, hi;
    tgr_graph_part p;
    if (tgr_fill_plain(f, &p)) {
        return p.bytes > 0 ? d->driver->fill(d->context, d->state, p.to, p.bytes, p.pattern,
                                             p.pattern_bytes)
                           : TGR_OK;
    }
    byte_range(f->extents, f->strides, f->rank, f->elem_bytes, f->elem_bits, &lo, &hi);
    return fill_staged(d, f, lo, (size_t)(hi - lo));
}

/* ---- facts ---------------------------------------------------------------------------------- */

static bool has_facts(const tgr_param *p) {
    return p->flags & (TG_PARAM_SORTED | TG_PARAM_UNIQUE | TG_PARAM_RANGE) &&
           p->flags & TG_PARAM_TENSOR;
}

/* Brings parameter p's bytes to the host; *slot then addresses the copy. */
static tgr_status fetch(tgr_device *d, const tgr_param *p, int64_t *s, void **out, size_t *out_n) {
    int64_t lo, hi;
    byte_range(s + 1, s + 1 + p->rank, p->rank, p->elem_bytes, p->bits, &lo, &hi);
    *out = NULL;
    *out_n = hi > lo ? (size_t)(hi - lo) : 0;
    if (*out_n == 0) {
        return TGR_OK;
    }
    char *host = tgr_alloc_raw(d->context, *out_n);
    if (!host) {
        *out_n = 0;
        return tgr_fail(d->context, TGR_E_NOMEM, "out of memory checking data facts");
    }
    *out = host;
    const char *device = (const char *)(uintptr_t)s[0] + lo;
    s[0] = (int64_t)(uintptr_t)(host - lo);
    return d->driver->copy(d->context, d->state, TGR_COPY_FROM_DEVICE, host, device, *out_n);
}

tgr_status tgr_facts_device(tgr_device *d, const tgr_kernel *k, const int64_t *slots) {
    int64_t on_host[TG_PACK_MAX_SLOTS];
    void *copies[TG_PACK_MAX_PARAMS] = {NULL};
    size_t sizes[TG_PACK_MAX_PARAMS] = {0};
    tgr_status st = TGR_OK;
    memcpy(on_host, slots, k->n_slots * sizeof *slots);
    for (uint32_t i = 0; i < k->n_params && !st; i++) {
        if (has_facts(&k->params[i])) {
            st = fetch(d, &k->params[i], on_host + k->params[i].slot, &copies[i], &sizes[i]);
        }
    }
    st = st ? st : tgr_facts_check(k, d->context, on_host);
    for (uint32_t i = 0; i < k->n_params; i++) {
        tgr_free(d->context, copies[i], sizes[i]);
    }
    return st;
}
