/* SPDX-License-Identifier: Apache-2.0 */
/* The references of the sparse family that stand in files of their own. */
#ifndef TG_KERNELS_SPARSE_REFS_H
#define TG_KERNELS_SPARSE_REFS_H

#include "kernels/reference.h"

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
