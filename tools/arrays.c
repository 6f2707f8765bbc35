/* SPDX-License-Identifier: Apache-2.0 */
/* Launch arguments in host memory: guarded allocation, strides, element access by any dtype. */
#include "tools/tool.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { GUARD_BYTE = 0xA5, POISON_BYTE = 0xFF, ALIGN = 64 };

/* Bytes of a dense row; false when they do not fit a quarter of what int64 holds, so that pitches
 * and guards can be added without a thought. */
static bool dense_row_bytes(const tool_array *a, int64_t *out) {
    int64_t inner = a->rank == 0 ? 1 : a->extent[a->rank - 1];
    bool record = a->dtype == TG_DT_RECORD;
    if (!tg_mul_i64(inner, record ? a->elem_bytes : tg_dtype_bits(a->dtype), out) ||
        *out > INT64_MAX / 4) {
        return false;
    }
    *out = record ? *out : (*out + 7) / 8;
    return true;
}

/* Strides, counts and the bytes of all; false when they are beyond any memory. */
static bool lay_out(tool_array *a, int64_t pad_row_bytes, int64_t *out_total) {
    int64_t bits = tg_dtype_bits(a->dtype),
            elem = a->dtype == TG_DT_RECORD ? a->elem_bytes : (bits + 7) / 8;
    a->count = 1;
    if (!dense_row_bytes(a, &a->row_bytes)) {
        return false;
    }
    int64_t total = a->row_bytes + pad_row_bytes;
    for (int i = a->rank - 1; i >= 0; i--) {
        a->stride_bytes[i] = i == a->rank - 1 ? (bits != 0 && bits < 8 ? 0 : elem) : total;
        if (!tg_mul_i64(a->count, a->extent[i], &a->count) ||
            (i < a->rank - 1 && !tg_mul_i64(total, a->extent[i], &total))) {
            return false;
        }
    }
    *out_total = total;
    return total <= INT64_MAX / 4;
}

/* The axis whose stride can carry the last row far away: the first with two entries, not the
 * innermost. */
static int far_axis(const tool_array *a) {
    for (int i = 0; i < a->rank - 1; i++) {
        if (a->extent[i] > 1) {
            return i;
        }
    }
    return -1;
}

/* As tool_array_make with TOOL_FAR: memory that exists only where it is touched. */
static bool make_far(tool *t, tool_array *a, int axis, int64_t dense_bytes) {
    int64_t steps = a->extent[axis] - 1, least = ((int64_t)1 << 32) + 64;
    int64_t stride = (least / steps + dense_bytes + 4096) / 4096 * 4096;
    if (a->dtype == TG_DT_RECORD) {
        stride = stride / a->elem_bytes * a->elem_bytes;
    }
    for (int i = axis; i >= 0; i--) { /* axes outside it have one entry */
        a->stride_bytes[i] = stride;
    }
    a->bytes = (size_t)(stride * steps + dense_bytes);
    a->mapped = a->bytes + 2 * (size_t)TOOL_GUARD;
    void *p = mmap(NULL, a->mapped, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        a->mapped = 0;
        tool_error(t, TG_D_TOOL, "argument %s: no addresses for far rows", a->name);
        return false;
    }
    a->block = p;
    a->data = (unsigned char *)p + TOOL_GUARD;
    memset(a->data - TOOL_GUARD, GUARD_BYTE, TOOL_GUARD);
    memset(a->data + a->bytes, GUARD_BYTE, TOOL_GUARD);
    return true;
}

bool tool_array_make(tool *t, tool_array *a, int64_t pad_row_bytes) {
    bool far = pad_row_bytes == TOOL_FAR;
    pad_row_bytes = far ? 0 : pad_row_bytes;
    int64_t total = 0;
    if (!lay_out(a, pad_row_bytes, &total)) {
        tool_error(t, TG_D_TOOL, "argument %s: its extents are too large", a->name);
        return false;
    }
    int axis = far && a->count > 0 ? far_axis(a) : -1;
    if (axis >= 0) {
        return make_far(t, a, axis, total / a->extent[axis]);
    }
    a->block = malloc((size_t)total + 2 * (size_t)TOOL_GUARD + ALIGN);
    if (a->block == NULL) {
        tool_error(t, TG_D_TOOL, "argument %s: no memory for its %lld elements", a->name,
                   (long long)a->count);
        return false;
    }
    a->bytes = (size_t)total;
    unsigned char *p = a->block;
    p += TOOL_GUARD;
    p += (ALIGN - (uintptr_t)p % ALIGN) % ALIGN;
    a->data = p;
    memset(p - TOOL_GUARD, GUARD_BYTE, TOOL_GUARD);
    memset(p, POISON_BYTE, a->bytes);
    memset(p + a->bytes, GUARD_BYTE, TOOL_GUARD);
    return true;
}

void tool_array_free(tool_array *a) {
    if (a->mapped > 0) {
        (void)munmap(a->block, a->mapped);
    } else {
        free(a->block);
    }
    a->mapped = 0;
    a->block = NULL;
    a->data = NULL;
}

bool tool_array_is_output(const tool_array *a) {
    return (a->param->flags & (TG_PARAM_OUT | TG_PARAM_INOUT)) != 0;
}

bool tool_array_guards_ok(const tool_array *a) {
    if (a->data == NULL) {
        return true;
    }
    for (int i = 0; i < TOOL_GUARD; i++) {
        if (a->data[-1 - i] != GUARD_BYTE || a->data[a->bytes + (size_t)i] != GUARD_BYTE) {
            return false;
        }
    }
    if (a->rank < 2 || a->mapped > 0) {
        return true;
    }
    int64_t inner = a->extent[a->rank - 1], pitch = a->stride_bytes[a->rank - 2];
    for (int64_t r = 0; inner > 0 && r < a->count / inner; r++) {
        for (int64_t g = a->row_bytes; g < pitch; g++) {
            if (a->data[r * pitch + g] != POISON_BYTE) {
                return false;
            }
        }
    }
    return true;
}

unsigned char *tool_array_row(const tool_array *a, int64_t e, size_t *out_in_row) {
    if (a->rank == 0) {
        *out_in_row = 0;
        return (unsigned char *)(uintptr_t)&a->scalar;
    }
    int64_t inner = a->extent[a->rank - 1], rest = e / inner;
    unsigned char *p = a->data;
    *out_in_row = (size_t)(e % inner);
    for (int i = a->rank - 2; i >= 0; i--) {
        p += rest % a->extent[i] * a->stride_bytes[i];
        rest /= a->extent[i];
    }
    return p;
}

unsigned char *tool_array_record(const tool_array *a, int64_t e) {
    size_t at;
    unsigned char *row = tool_array_row(a, e, &at);
    return row + (int64_t)at * a->elem_bytes;
}

int64_t tool_array_get_int(const tool_array *a, int64_t e) {
    size_t at;
    const unsigned char *row = tool_array_row(a, e, &at);
    return tg_int_decode(a->dtype, tg_bits_load(row, a->dtype, at));
}

double tool_array_get(const tool_array *a, int64_t e) {
    if (!tg_dtype_is_float(a->dtype)) {
        return (double)tool_array_get_int(a, e);
    }
    size_t at;
    const unsigned char *row = tool_array_row(a, e, &at);
    return tg_float_decode(a->dtype, tg_bits_load(row, a->dtype, at));
}

void tool_array_set_int(const tool_array *a, int64_t e, int64_t v) {
    size_t at;
    unsigned char *row = tool_array_row(a, e, &at);
    tg_bits_store(row, a->dtype, at, (uint64_t)v);
}

void tool_array_set(const tool_array *a, int64_t e, double v) {
    if (!tg_dtype_is_float(a->dtype)) {
        tool_array_set_int(a, e, (int64_t)v);
        return;
    }
    size_t at;
    unsigned char *row = tool_array_row(a, e, &at);
    double once = tg_dtype_bits(a->dtype) < 32 ? (double)(float)v : v;
    tg_bits_store(row, a->dtype, at, tg_float_encode(a->dtype, once, TG_ROUND_RNE, false));
}

static bool copy_far(tool *t, const tool_array *from, tool_array *to) {
    int64_t inner = from->extent[from->rank - 1];
    to->mapped = 0;
    if (!tool_array_make(t, to, TOOL_FAR)) {
        return false;
    }
    for (int64_t e = 0; e < from->count; e += inner) {
        size_t at;
        memcpy(tool_array_row(to, e, &at), tool_array_row(from, e, &at), (size_t)from->row_bytes);
    }
    return true;
}

bool tool_array_copy(tool *t, const tool_array *from, tool_array *to) {
    *to = *from;
    to->block = NULL;
    if (from->rank == 0) {
        return true;
    }
    if (from->mapped > 0) {
        return copy_far(t, from, to);
    }
    int64_t pitch = from->rank >= 2 ? from->stride_bytes[from->rank - 2] : (int64_t)from->bytes;
    if (!tool_array_make(t, to, pitch - from->row_bytes)) {
        return false;
    }
    memcpy(to->data, from->data, from->bytes);
    return true;
}

/* ---- whole arrays of floats --------------------------------------------------------------------
 */

static double bf16_value(uint16_t h) {
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return (double)f;
}

/* To nearest even; NaN is left to the general function. */
static uint16_t bf16_of(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static void get_row(const tool_array *a, const unsigned char *row, int64_t n, double *out) {
    if (a->dtype == TG_DT_F32) {
        const float *f = (const float *)(const void *)row;
        for (int64_t i = 0; i < n; i++) {
            out[i] = (double)f[i];
        }
    } else if (a->dtype == TG_DT_BF16) {
        const uint16_t *h = (const uint16_t *)(const void *)row;
        for (int64_t i = 0; i < n; i++) {
            out[i] = bf16_value(h[i]);
        }
    } else {
        for (int64_t i = 0; i < n; i++) {
            out[i] = tg_float_decode(a->dtype, tg_bits_load(row, a->dtype, (size_t)i));
        }
    }
}

static void set_row(const tool_array *a, unsigned char *row, int64_t n, const double *from) {
    bool narrow = tg_dtype_bits(a->dtype) < 32;
    for (int64_t i = 0; i < n; i++) {
        double once = narrow ? (double)(float)from[i] : from[i];
        if (a->dtype == TG_DT_BF16 && once == once) {
            ((uint16_t *)(void *)row)[i] = bf16_of((float)once);
        } else if (a->dtype == TG_DT_F32 && once == once) {
            ((float *)(void *)row)[i] = (float)once;
        } else {
            tg_bits_store(row, a->dtype, (size_t)i,
                          tg_float_encode(a->dtype, once, TG_ROUND_RNE, false));
        }
    }
}

static int64_t row_length(const tool_array *a) { return a->rank > 0 ? a->extent[a->rank - 1] : 1; }

void tool_array_get_floats(const tool_array *a, double *out) {
    int64_t n = row_length(a);
    for (int64_t e = 0; e < a->count; e += n) {
        size_t at;
        get_row(a, tool_array_row(a, e, &at), n, out + e);
    }
}

void tool_array_set_floats(const tool_array *a, const double *from) {
    int64_t n = row_length(a);
    for (int64_t e = 0; e < a->count; e += n) {
        size_t at;
        set_row(a, tool_array_row(a, e, &at), n, from + e);
    }
}
