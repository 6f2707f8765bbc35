/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Types, interned per module: equal types are one pointer, so passes compare types with ==. The
 * table is open-addressed over a hash of the fields that the kind uses; unused fields are zero.
 */
#include "ir/ir.h"

#include <string.h>

static uint64_t type_hash(const tg_type *t) {
    int64_t key[8 + TG_MAX_RANK];
    size_t n = 0;
    key[n++] = (int64_t)t->kind;
    key[n++] = (int64_t)t->dtype;
    key[n++] = t->rank;
    key[n++] = t->strided;
    key[n++] = t->elem_bytes;
    key[n++] = (int64_t)t->space;
    key[n++] = t->depth;
    key[n++] = (int64_t)(uintptr_t)t->layout;
    for (int i = 0; i < t->rank; i++) {
        key[n++] = t->kind == TG_TY_TENSOR ? (int64_t)(uintptr_t)t->dims[i] : t->shape[i];
    }
    return tg_hash_bytes(key, n * sizeof(key[0]), 0);
}

static bool type_equal(const tg_type *a, const tg_type *b) {
    if (a->kind != b->kind || a->dtype != b->dtype || a->rank != b->rank ||
        a->strided != b->strided || a->elem_bytes != b->elem_bytes || a->space != b->space ||
        a->depth != b->depth || a->layout != b->layout) {
        return false;
    }
    for (int i = 0; i < a->rank; i++) {
        if (a->shape[i] != b->shape[i] || a->dims[i] != b->dims[i]) {
            return false;
        }
    }
    return true;
}

static void type_table_grow(tg_module *m) {
    size_t cap = m->type_cap == 0 ? 64 : m->type_cap * 2;
    const tg_type **table = TG_NEW_ARRAY(m->arena, const tg_type *, cap);
    for (size_t i = 0; i < m->type_cap; i++) {
        if (m->type_table[i] != NULL) {
            size_t at = (size_t)type_hash(m->type_table[i]) & (cap - 1);
            while (table[at] != NULL) {
                at = (at + 1) & (cap - 1);
            }
            table[at] = m->type_table[i];
        }
    }
    m->type_table = table;
    m->type_cap = cap;
}

static const tg_type *type_intern(tg_module *m, const tg_type *t) {
    if (m->n_types * 2 >= m->type_cap) {
        type_table_grow(m);
    }
    size_t at = (size_t)type_hash(t) & (m->type_cap - 1);
    for (; m->type_table[at] != NULL; at = (at + 1) & (m->type_cap - 1)) {
        if (type_equal(m->type_table[at], t)) {
            return m->type_table[at];
        }
    }
    tg_type *copy = TG_NEW(m->arena, tg_type);
    *copy = *t;
    m->type_table[at] = copy;
    m->n_types++;
    return copy;
}

const tg_type *tg_type_scalar(tg_module *m, tg_dtype t) { return tg_type_tile(m, t, 0, NULL); }

const tg_type *tg_type_tile(tg_module *m, tg_dtype t, int rank, const int64_t *shape) {
    tg_type key = {.kind = TG_TY_TILE, .dtype = t, .rank = (uint8_t)rank};
    for (int i = 0; i < rank; i++) {
        key.shape[i] = shape[i];
    }
    return type_intern(m, &key);
}

const tg_type *tg_type_tensor(tg_module *m, tg_dtype t, int64_t elem_bytes, int rank,
                              const tg_dim *const *dims, bool strided) {
    tg_type key = {.kind = TG_TY_TENSOR, .dtype = t, .rank = (uint8_t)rank, .strided = strided};
    key.elem_bytes = t == TG_DT_RECORD ? elem_bytes : 0;
    for (int i = 0; i < rank; i++) {
        key.dims[i] = dims[i];
    }
    return type_intern(m, &key);
}

const tg_type *tg_type_span(tg_module *m, int64_t n) {
    tg_type key = {.kind = TG_TY_SPAN, .dtype = TG_DT_I64, .rank = 1, .shape = {n}};
    return type_intern(m, &key);
}

const tg_type *tg_type_vec(tg_module *m, tg_dtype t, int64_t lanes) {
    tg_type key = {.kind = TG_TY_VEC, .dtype = t, .rank = 1, .shape = {lanes}};
    return type_intern(m, &key);
}

const tg_type *tg_type_ptr(tg_module *m) {
    tg_type key = {.kind = TG_TY_PTR};
    return type_intern(m, &key);
}

const tg_type *tg_type_buffer(tg_module *m, tg_space space, tg_dtype t, int rank,
                              const int64_t *shape, int64_t depth, const tg_layout *layout) {
    tg_type key = {.kind = TG_TY_BUFFER,
                   .dtype = t,
                   .rank = (uint8_t)rank,
                   .space = space,
                   .depth = depth,
                   .layout = layout};
    for (int i = 0; i < rank; i++) {
        key.shape[i] = shape[i];
    }
    return type_intern(m, &key);
}

const tg_type *tg_type_with_layout(tg_module *m, const tg_type *t, const tg_layout *layout) {
    if (t->layout == layout) {
        return t;
    }
    tg_type key = *t;
    key.layout = layout;
    key.next_hash = NULL;
    return type_intern(m, &key);
}

const tg_type *tg_type_with_dtype(tg_module *m, const tg_type *t, tg_dtype dtype) {
    if (t->dtype == dtype) {
        return t;
    }
    tg_type key = *t;
    key.dtype = dtype;
    key.next_hash = NULL;
    return type_intern(m, &key);
}

bool tg_type_is_scalar(const tg_type *t) { return t->kind == TG_TY_TILE && t->rank == 0; }

int64_t tg_type_count(const tg_type *t) {
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++) {
        if (!tg_mul_i64(n, t->shape[i], &n)) {
            return INT64_MAX;
        }
    }
    return n;
}
