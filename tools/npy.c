/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NumPy .npy files, versions 1 to 3 (format: numpy/lib/format.py's published description): C order,
 * little endian, numeric types. Anything else is refused with a message.
 */
#include "tools/tool.h"

#include <stdlib.h>
#include <string.h>

/* Value text after 'key': in the header dictionary, or NULL. */
static const char *header_value(const char *header, const char *key) {
    const char *at = strstr(header, key);
    if (at == NULL) {
        return NULL;
    }
    at += strlen(key);
    while (*at == ' ' || *at == ':' || *at == '\'' || *at == '"') {
        at++;
    }
    return at;
}

static bool parse_shape(const char *s, tool_npy *out) {
    out->rank = 0;
    if (s == NULL || *s != '(') {
        return false;
    }
    s++;
    while (*s != ')') {
        char *end;
        long long v = strtoll(s, &end, 10);
        if (end == s || v < 0 || out->rank == TG_MAX_RANK) {
            return false;
        }
        out->extent[out->rank++] = v;
        s = end;
        while (*s == ',' || *s == ' ') {
            s++;
        }
    }
    return true;
}

bool tool_npy_read(tool *t, const char *path, tool_npy *out) {
    size_t bytes;
    const char *file = tool_read_file(t, path, &bytes);
    if (file == NULL) {
        return false;
    }
    const unsigned char *u = (const unsigned char *)file;
    size_t length_bytes = bytes > 8 && u[6] >= 2 ? 4 : 2, start = 8 + length_bytes, header_bytes;
    if (bytes < start || memcmp(file, "\x93NUMPY", 6) != 0) {
        tool_error(t, TG_D_TOOL, "%s is not a .npy file", path);
        return false;
    }
    header_bytes = length_bytes == 2 ? (size_t)u[8] | (size_t)u[9] << 8
                                     : (size_t)u[8] | (size_t)u[9] << 8 | (size_t)u[10] << 16 |
                                           (size_t)u[11] << 24;
    if (header_bytes > bytes - start) {
        tool_error(t, TG_D_TOOL, "%s: the header runs past the end of the file", path);
        return false;
    }
    const char *header = tg_arena_strndup(&t->arena, file + start, header_bytes);
    const char *descr = header_value(header, "descr"),
               *order = header_value(header, "fortran_order");
    if (descr == NULL || order == NULL || strncmp(order, "False", 5) != 0 ||
        (descr[0] != '<' && descr[0] != '|') || strchr("fiub", descr[1]) == NULL ||
        !parse_shape(header_value(header, "shape"), out)) {
        tool_error(t, TG_D_TOOL, "%s: only little-endian numeric arrays in C order are read", path);
        return false;
    }
    out->kind = descr[1];
    out->item_bytes = atoi(descr + 2);
    size_t want = (size_t)out->item_bytes;
    for (int i = 0; i < out->rank; i++) {
        if (!tg_mul_size(want, (size_t)out->extent[i], &want)) {
            want = SIZE_MAX;
            break;
        }
    }
    if (out->item_bytes < 1 || out->item_bytes > 8 || want != bytes - start - header_bytes) {
        tool_error(t, TG_D_TOOL, "%s: %zu bytes of data where the shape needs %zu", path,
                   bytes - start - header_bytes, want);
        return false;
    }
    out->data = file + start + header_bytes;
    out->bytes = want;
    return true;
}

bool tool_npy_write(tool *t, const char *path, const tool_npy *array) {
    tg_sb h;
    tg_sb_init(&h, &t->arena);
    tg_sb_addf(&h, "{'descr': '%c%c%d', 'fortran_order': False, 'shape': (",
               array->item_bytes == 1 ? '|' : '<', array->kind, array->item_bytes);
    for (int i = 0; i < array->rank; i++) {
        tg_sb_addf(&h, "%s%lld%s", i == 0 ? "" : " ", (long long)array->extent[i], ",");
    }
    tg_sb_add(&h, "), }");
    while ((10 + h.len + 1) % 64 != 0) {
        tg_sb_addc(&h, ' ');
    }
    tg_sb_addc(&h, '\n');
    tg_sb file;
    tg_sb_init(&file, &t->arena);
    tg_sb_addn(&file, "\x93NUMPY\x01\x00", 8);
    tg_sb_addc(&file, (char)(h.len & 0xff));
    tg_sb_addc(&file, (char)(h.len >> 8));
    tg_sb_addn(&file, h.data, h.len);
    tg_sb_addn(&file, array->data, array->bytes);
    return tool_write_file(t, path, file.data, file.len);
}

/* The elements without the gaps between rows. */
static const void *packed(tool *t, const tool_array *a, size_t bytes) {
    if (a->rank == 0) {
        return &a->scalar;
    }
    unsigned char *dense = tg_arena_alloc(&t->arena, bytes + 1);
    size_t row = (size_t)a->row_bytes, in_row;
    int64_t last = a->extent[a->rank - 1];
    for (size_t r = 0; r * row < bytes; r++) {
        memcpy(dense + r * row, tool_array_row(a, (int64_t)r * last, &in_row), row);
    }
    return dense;
}

bool tool_array_write_npy(tool *t, const tool_array *a, const char *path) {
    int bits = tg_dtype_bits(a->dtype);
    tool_npy n = {.kind = 'u',
                  .item_bytes = a->dtype == TG_DT_RECORD || bits < 8 ? 1 : bits / 8,
                  .rank = a->rank};
    if (a->dtype == TG_DT_F16 || a->dtype == TG_DT_F32 || a->dtype == TG_DT_F64) {
        n.kind = 'f';
    } else if (tg_dtype_is_int(a->dtype) && tg_dtype_is_signed(a->dtype) && bits >= 8) {
        n.kind = 'i';
    }
    memcpy(n.extent, a->extent, sizeof n.extent);
    if (a->rank > 0 && bits != 0 && bits < 8) {
        n.extent[a->rank - 1] = a->row_bytes;
    }
    if (a->dtype == TG_DT_RECORD) {
        n.extent[n.rank++] = a->elem_bytes;
    }
    n.bytes = (size_t)n.item_bytes;
    for (int i = 0; i < n.rank; i++) {
        n.bytes *= (size_t)n.extent[i];
    }
    n.data = packed(t, a, n.bytes);
    return tool_npy_write(t, path, &n);
}
