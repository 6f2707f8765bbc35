/* SPDX-License-Identifier: Apache-2.0 */
/* Block lists in compressed form: see tegula/block_sparse.h. */
#include <tegula/block_sparse.h>

static void put(int32_t *indices, int64_t room, int64_t at, int64_t v) {
    if (at < room) {
        indices[at] = (int32_t)v;
    }
}

int64_t tgh_bsr_from_mask(const bool *mask, int64_t m, int64_t n, int64_t before, int32_t *indptr,
                          int32_t *indices, int64_t room) {
    int64_t at = before;
    for (int64_t r = 0; r < m; r++) {
        indptr[r] = (int32_t)at;
        for (int64_t c = 0; c < n; c++) {
            if (mask[r * n + c]) {
                put(indices, room, at++, c);
            }
        }
    }
    indptr[m] = (int32_t)at;
    return at;
}

/* The least of the list's values above `last` and below n; n when there is none. Lists are short,
 * and searching them again needs no memory. */
static int64_t next_of(const int32_t *list, int64_t count, int64_t last, int64_t n) {
    int64_t best = n;
    for (int64_t i = 0; i < count; i++) {
        best = list[i] > last && list[i] < best ? list[i] : best;
    }
    return best;
}

int64_t tgh_bsr_from_lists(const int32_t *lists, const int32_t *count, int64_t m, int64_t s,
                           int64_t n, int64_t before, int32_t *indptr, int32_t *indices,
                           int64_t room) {
    int64_t at = before;
    for (int64_t r = 0; r < m; r++) {
        int64_t used = count == NULL || count[r] > s ? s : count[r];
        indptr[r] = (int32_t)at;
        for (int64_t c = next_of(lists + r * s, used, -1, n); c < n;
             c = next_of(lists + r * s, used, c, n)) {
            put(indices, room, at++, c);
        }
    }
    indptr[m] = (int32_t)at;
    return at;
}

/* The least key above `last` that a slash block has; n when there is none. */
static int64_t next_in_blocks(const int32_t *offset, int64_t count, int64_t block, int64_t last,
                              int64_t n) {
    int64_t best = n;
    for (int64_t i = 0; i < count; i++) {
        int64_t from = offset[i] < 0 ? 0 : offset[i], to = offset[i] + block;
        int64_t key = last + 1 > from ? last + 1 : from;
        best = key < to && key < best ? key : best;
    }
    return best;
}

int64_t tgh_bsr_from_vertical_slash(const int32_t *block_count, const int32_t *block_offset,
                                    int64_t s, const int32_t *column_count,
                                    const int32_t *column_index, int64_t v, int64_t m,
                                    int64_t block, int64_t n_keys, int64_t before, int32_t *indptr,
                                    int32_t *indices, int64_t room) {
    int64_t at = before;
    for (int64_t r = 0; r < m; r++) {
        int64_t blocks = block_count[r] < s ? block_count[r] : s;
        int64_t columns = column_count[r] < v ? column_count[r] : v;
        indptr[r] = (int32_t)at;
        for (int64_t key = -1;;) {
            int64_t a = next_in_blocks(block_offset + r * s, blocks, block, key, n_keys);
            int64_t b = next_of(column_index + r * v, columns, key, n_keys);
            key = a < b ? a : b;
            if (key >= n_keys) {
                break;
            }
            put(indices, room, at++, key);
        }
    }
    indptr[m] = (int32_t)at;
    return at;
}
