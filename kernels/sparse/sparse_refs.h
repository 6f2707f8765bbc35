/* SPDX-License-Identifier: Apache-2.0 */
/* The references of the sparse family that stand in files of their own. */
#ifndef TG_KERNELS_SPARSE_REFS_H
#define TG_KERNELS_SPARSE_REFS_H

#include "kernels/reference.h"

/* A key's index score, and how far f32 sums may be off. */
typedef struct tgs_score {
    double value, slack;
} tgs_score;

/* Query `row` (all its heads, MXFP4 with scale bytes qs, or qs NULL) against key k with scale ks.
 */
tgs_score tgs_score_key(const tgk_arg *q, const tgk_arg *qs, const tgk_arg *w, int64_t row,
                        const double *k, double ks);
/* A key of a page as doubles; returns its scale. */
double tgs_read_page_key(const tgk_arg *cache, int64_t page, int64_t slot, int64_t dim, bool fp4,
                         double *out);
/* Pages at random for the first `rows` rows of request b, junk behind them. */
void tgs_fill_table_row(tgk_arg *table, int64_t b, int64_t rows, int64_t bs, int64_t pages,
                        tgk_random *r);
void tgs_fill_page_key(tgk_arg *cache, int64_t page, int64_t slot, int64_t dim, bool fp4,
                       tgk_random *r);

bool tgs_index_blocks(tgk_arg *a, int n);
bool tgs_index_top_blocks(tgk_arg *a, int n);
bool tgs_indexer_blocks(tgk_arg *a, int n);
bool tgs_block_columns(tgk_arg *a, int n);
bool tgs_block_positions(tgk_arg *a, int n);
bool tgs_index_within_blocks(tgk_arg *a, int n);
void tgs_inputs_blocks(tgk_arg *a, int n, tgk_random *r);

bool tgs_indexer_fp8(tgk_arg *a, int n);
bool tgs_indexer_fp8_compressed(tgk_arg *a, int n);
bool tgs_indexer_fp4(tgk_arg *a, int n);
bool tgs_indexer_fp8_paged(tgk_arg *a, int n);
bool tgs_indexer_fp4_paged(tgk_arg *a, int n);
void tgs_inputs_indexer_fp8(tgk_arg *a, int n, tgk_random *r);
void tgs_inputs_indexer_fp4(tgk_arg *a, int n, tgk_random *r);
void tgs_inputs_indexer_fp8_paged(tgk_arg *a, int n, tgk_random *r);
void tgs_inputs_indexer_fp4_paged(tgk_arg *a, int n, tgk_random *r);
bool tgs_indexer_query(tgk_arg *a, int n);
bool tgs_indexer_key_fp8(tgk_arg *a, int n);
bool tgs_indexer_key_fp4(tgk_arg *a, int n);
void tgs_inputs_indexer_query(tgk_arg *a, int n, tgk_random *r);
void tgs_inputs_indexer_key_fp8(tgk_arg *a, int n, tgk_random *r);
void tgs_inputs_indexer_key_fp4(tgk_arg *a, int n, tgk_random *r);

#endif
