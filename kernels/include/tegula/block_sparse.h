/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block lists in compressed form for bsr_attention and bsr_decode (attention.md K13) from the other
 * forms in use. Lists of rows r = 0 .. rows - 1 stand one after another in `indices`, list r from
 * indptr[r] on; a kernel's indptr [B, H, M + 1] is that of each (b, h) on its own, so every
 * function takes the M rows of one (b, h), the count of entries before them, and gives M + 1
 * positions. Lists are ascending and without repeats. `room` is how many entries `indices` has in
 * all; when more are needed the function says so by its result and writes no entry beyond.
 * Thread-safe on distinct outputs; no memory of their own.
 */
#ifndef TEGULA_BLOCK_SPARSE_H
#define TEGULA_BLOCK_SPARSE_H

#include <stdbool.h>

#include <tegula/kernels.h>

#ifdef __cplusplus
extern "C" {
#endif

/* From mask[m][n], true where block row m sees block column n (tilelang's form). Returns the
 * entries after these lists: `before` plus how many the mask has. */
TGH_API int64_t tgh_bsr_from_mask(const bool *mask, int64_t m, int64_t n, int64_t before,
                                  int32_t *indptr, int32_t *indices, int64_t room);

/* From lists[m][s] in any order, of which the first count[m] are meant (count NULL: all); entries
 * below 0 or from n on are no block, repeats count once. */
TGH_API int64_t tgh_bsr_from_lists(const int32_t *lists, const int32_t *count, int64_t m, int64_t s,
                                   int64_t n, int64_t before, int32_t *indptr, int32_t *indices,
                                   int64_t room);

/*
 * From vertical and slash lines (MInference): row m sees the `block` keys from each of its first
 * block_count[m] block_offset[m][s] on and the first column_count[m] single keys
 * column_index[m][v]; keys from n_keys on do not exist. The lists are of keys: C = 1.
 */
TGH_API int64_t tgh_bsr_from_vertical_slash(const int32_t *block_count, const int32_t *block_offset,
                                            int64_t s, const int32_t *column_count,
                                            const int32_t *column_index, int64_t v, int64_t m,
                                            int64_t block, int64_t n_keys, int64_t before,
                                            int32_t *indptr, int32_t *indices, int64_t room);

#ifdef __cplusplus
}
#endif
#endif
