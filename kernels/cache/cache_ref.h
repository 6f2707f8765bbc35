/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of cache rows: encoders shared by the references of the cache family. */
#ifndef TG_KERNELS_CACHE_REF_H
#define TG_KERNELS_CACHE_REF_H

#include "kernels/reference.h"

typedef enum tgc_kind {
    TGC_MLA,        /* bf16 tensor [P, BS, 576] */
    TGC_MLA_FP8,    /* 656 bytes */
    TGC_V4,         /* 584, pages of a multiple of 576 */
    TGC_V41_WINDOW, /* 528, pages of a multiple of 512 */
    TGC_V41_ENTRY,  /* 288 */
    TGC_INDEX_FP8,  /* 132, power-of-two scale */
    TGC_INDEX_AMAX, /* 132, scale amax / 448 */
    TGC_INDEX_FP4   /* 68 */
} tgc_kind;

/* Stores the row (values of bf16, of T for TGC_INDEX_AMAX) at physical row `at` of pages of bs. */
void tgc_put(tgc_kind kind, tgk_arg *cache, int64_t bs, int64_t at, const double *row);

/* gather.tg */
bool tgc_gather(tgk_arg *a, int n);
bool tgc_gather_index(tgk_arg *a, int n);
bool tgc_copy_rows(tgk_arg *a, int n);
bool tgc_plan_rows(tgk_arg *a, int n);
void tgc_inputs_gather(tgk_arg *a, int n, tgk_random *r);
void tgc_inputs_copy(tgk_arg *a, int n, tgk_random *r);
void tgc_inputs_plan(tgk_arg *a, int n, tgk_random *r);

#endif
