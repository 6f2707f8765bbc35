/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The caches of the sparse family as rows: dense, paged, and the byte records of attention.md
 * section 5. Reading gives doubles rounded to bf16 where the bytes are scaled. Filling gives rows
 * of standard deviation about 1 times the magnitude of each tile of 32 columns, a last column of 1,
 * by which a query moves all its logits, and NaN where tgs_row_is_poisoned says so.
 */
#ifndef TG_KERNELS_SPARSE_ROWS_H
#define TG_KERNELS_SPARSE_ROWS_H

#include "kernels/reference.h"

typedef enum tgs_kind {
    TGS_DENSE,      /* [L, D] */
    TGS_PAGED,      /* [P, BS, D] */
    TGS_MLA,        /* 656 bytes a row, [P, BS] */
    TGS_V4,         /* 584, block-split pages */
    TGS_V41_WINDOW, /* 528, block-split */
    TGS_V41_ENTRY   /* 288, block-split */
} tgs_kind;

typedef struct tgs_rows {
    tgs_kind kind;
    tgk_arg *arg; /* written by tgs_fill alone */
    int64_t page, pages, dim;
    const unsigned char *used; /* rows that hold numbers; NULL: all but the poisoned ones */
} tgs_rows;

tgs_rows tgs_rows_of(const tgk_arg *arg, tgs_kind kind);
int64_t tgs_rows_count(const tgs_rows *r);
/* Row `at` as r->dim doubles; false when there is no such row. */
bool tgs_row(const tgs_rows *r, int64_t at, double *out);

bool tgs_row_is_poisoned(int64_t at);
/* How many magnitudes tgs_fill reads, whatever the rows' width. */
enum { TGS_MAGNITUDES = 1024 };

/* 1024 powers of two in 1/2 .. 2, equal in each tile of 32 columns. A wider range would let a few
 * columns carry a row's rms, and the gate, which knows only that rms, would judge those alone. */
void tgs_magnitudes(double *out, tgk_random *r);
void tgs_fill(tgs_rows *rows, const double magnitude[TGS_MAGNITUDES], tgk_random *r);

#endif
