/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of rings and pages, whatever they are stored as: a tensor's own memory, or a decoded copy of
 * the rows of a record (attention.md section 5), which every row that is put goes through.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cache/cache_ref.h"
#include "kernels/rounding.h"
#include "kernels/sparse/sparse_refs.h"
#include "kernels/sparse/sparse_rows.h"
#include "kernels/v4/v4_refs.h"

static bool holds_index_keys(const tgk_arg *a) {
    return strcmp(a->name, "icache") == 0 || strcmp(a->name, "keys") == 0 ||
           a->elem_bytes / tgv_page_rows(a) < 512;
}

int64_t tgv_page_rows(const tgk_arg *a) {
    return a->bytes == NULL ? a->extent[1]
                            : tgk_constant_of(a, strcmp(a->name, "ring") == 0 ? "R" : "BS", 1);
}

static void decode(tgv_rows *r, int64_t at) {
    double *out = r->f + at * r->dim;
    if (r->dim == 512) {
        tgs_rows rows = tgs_rows_of(r->arg, TGS_V4);
        (void)tgs_row(&rows, at, out);
        return;
    }
    double scale = tgs_read_page_key(r->arg, at / r->page, at % r->page, r->dim, false, out);
    for (int64_t c = 0; c < r->dim; c++) {
        out[c] *= scale;
    }
}

bool tgv_rows_init(tgv_rows *r, tgk_arg *a) {
    *r = (tgv_rows){.arg = a};
    if (a == NULL) {
        return true;
    }
    r->pages = a->extent[0];
    r->page = tgv_page_rows(a);
    if (a->bytes == NULL) {
        r->dim = a->extent[2];
        r->f = a->f;
        return true;
    }
    r->dim = holds_index_keys(a) ? 128 : 512;
    r->f = calloc((size_t)(r->pages * r->page * r->dim) + 1, sizeof *r->f);
    for (int64_t i = 0; r->f != NULL && i < r->pages * r->page; i++) {
        decode(r, i);
    }
    return r->f != NULL;
}

void tgv_rows_fini(tgv_rows *r) {
    if (r->arg != NULL && r->arg->bytes != NULL) {
        free(r->f);
    }
}

void tgv_rows_put(tgv_rows *r, int64_t at, const double *y) {
    if (r->arg->bytes == NULL) {
        memcpy(r->f + at * r->dim, y, (size_t)r->dim * sizeof *y);
        return;
    }
    tgc_put(r->dim == 512 ? TGC_V4 : TGC_INDEX_FP8, r->arg, r->page, at, y);
    decode(r, at);
}

int64_t tgv_rows_entry(const tgv_rows *r, const tgk_arg *table, int64_t b, int64_t w) {
    int64_t columns = table->extent[1];
    int64_t page = w >= 0 && w / r->page < columns ? table->i[b * columns + w / r->page] : -1;
    return page >= 0 && page < r->pages ? page * r->page + w % r->page : -1;
}

void tgv_rows_fill(tgv_rows *r, const unsigned char *keep, bool ones, tgk_random *random) {
    double y[512];
    if (r->arg->bytes != NULL) {
        memset(r->arg->bytes, 0xff, (size_t)(r->arg->count * r->arg->elem_bytes));
    }
    for (int64_t i = 0; i < r->pages * r->page; i++) {
        if (r->arg->bytes != NULL && keep[i] != 0) {
            for (int64_t c = 0; c < r->dim; c++) {
                y[c] = tgk_to_bf16(tgk_random_normal(random));
            }
            y[0] = ones ? 1 : y[0];
            tgv_rows_put(r, i, y);
        }
        for (int64_t c = 0; keep[i] == 0 && c < r->dim; c++) {
            r->f[i * r->dim + c] = NAN;
        }
    }
}

void tgv_through_e4m3(double *x, int64_t n) {
    double most = 0;
    for (int64_t c = 0; c < n; c++) {
        most = fmax(most, fabs(x[c]));
    }
    int e = tgk_e8m0_ceil((double)(float)(fmax(most, (double)1e-4F) / 448)) - 127;
    for (int64_t c = 0; c < n; c++) {
        x[c] = ldexp(tgk_round_to(ldexp(x[c], -e), &TGK_E4M3), e);
    }
}
