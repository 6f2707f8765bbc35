/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: the lightning indexer (attention.md K6), fp8 and mxfp4, contiguous and paged. Scores
 * of keys that a query may not see are -inf.
 *
 * Tolerance: calc_diff 5e-6 against the dequantised inputs and, element by element, one unit of the
 * output plus (D + H + 4) 2^-24 ks sum_h |w| sum_d |q k|: every product is exact in f32, what is
 * rounded are the D additions, the H weighted ones and the scale.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/sparse/sparse_refs.h"

/* One query head row or key as doubles, with its scales applied. */
static void read_codes(const tgk_arg *codes, const tgk_arg *scales, int64_t row, int64_t dim,
                       double *out) {
    for (int64_t c = 0; c < dim; c++) {
        out[c] = codes->f[row * dim + c];
        if (scales != NULL) {
            out[c] = ldexp(out[c], (int)scales->i[row * (dim / 32) + c / 32] - 127);
        }
    }
}

/* Query `row` (all its heads) against key k. */
tgs_score tgs_score_key(const tgk_arg *q, const tgk_arg *qs, const tgk_arg *w, int64_t row,
                        const double *k, double ks) {
    int64_t heads = q->extent[q->rank - 2], dim = q->extent[q->rank - 1];
    double x[1024];
    tgs_score s = {0, 0};
    for (int64_t h = 0; h < heads; h++) {
        double d = 0, mass = 0, weight = w->f[row * heads + h];
        read_codes(q, qs, row * heads + h, dim, x);
        for (int64_t c = 0; c < dim; c++) {
            d += x[c] * k[c];
            mass += fabs(x[c] * k[c]);
        }
        s.value += weight * fmax(d, 0) * ks;
        s.slack += fabs(weight) * mass * fabs(ks);
    }
    s.slack *= (double)(dim + heads + 4) * 0x1p-24;
    return s;
}

static void put(tgk_arg *out, int64_t at, tgs_score s) {
    out->f[at] = s.value;
    out->slack[at] = s.slack;
}

static bool begin(tgk_arg *out) {
    out->slack = calloc((size_t)out->count + 1, sizeof *out->slack);
    for (int64_t i = 0; i < out->count; i++) {
        out->f[i] = -INFINITY;
    }
    return out->slack != NULL;
}

/* Contiguous keys; column c of row m is key first[m] + c. */
static bool contiguous(const tgk_arg *q, const tgk_arg *qs, const tgk_arg *k, const tgk_arg *kscale,
                       const tgk_arg *w, const tgk_arg *lo, const tgk_arg *hi, bool compressed,
                       tgk_arg *s) {
    int64_t keys = k->extent[0], dim = k->extent[1], cols = s->extent[1];
    bool fp4 = qs != NULL, ok = begin(s);
    double row[1024];
    for (int64_t i = 0; i < s->count && ok; i++) {
        int64_t m = i / cols, j = i % cols + (compressed ? lo->i[m] : 0);
        if (j < 0 || j >= keys || j < lo->i[m] || j >= hi->i[m]) {
            continue;
        }
        read_codes(k, fp4 ? kscale : NULL, j, dim, row);
        put(s, i, tgs_score_key(q, qs, w, m, row, fp4 ? 1 : kscale->f[j]));
    }
    return ok;
}

/* (q, k, ks, w, lo, hi, out s) */
bool tgs_indexer_fp8(tgk_arg *a, int n) {
    return n == 7 && contiguous(&a[0], NULL, &a[1], &a[2], &a[3], &a[4], &a[5], false, &a[6]);
}

bool tgs_indexer_fp8_compressed(tgk_arg *a, int n) {
    return n == 7 && contiguous(&a[0], NULL, &a[1], &a[2], &a[3], &a[4], &a[5], true, &a[6]);
}

/* (q, qs, k, ks, w, lo, hi, out s) */
bool tgs_indexer_fp4(tgk_arg *a, int n) {
    return n == 8 && contiguous(&a[0], &a[1], &a[2], &a[3], &a[4], &a[5], &a[6], false, &a[7]);
}

/* Block-split pages: BS keys, then their scales. */
double tgs_read_page_key(const tgk_arg *cache, int64_t page, int64_t slot, int64_t dim, bool fp4,
                         double *out) {
    const unsigned char *p = cache->bytes + page * cache->elem_bytes;
    int64_t bytes = fp4 ? dim / 2 : dim, bs = cache->elem_bytes / (bytes + (fp4 ? dim / 32 : 4));
    for (int64_t c = 0; c < dim; c++) {
        unsigned pair = p[slot * bytes + c / 2], code = c % 2 == 0 ? pair & 15 : pair >> 4;
        out[c] = fp4 ? ldexp(tgk_e2m1(code), p[bs * bytes + slot * (dim / 32) + c / 32] - 127)
                     : tgk_e4m3(p[slot * dim + c]);
    }
    return fp4 ? 1 : tgk_f32(p + bs * bytes + 4 * slot);
}

static int64_t page_size(const tgk_arg *cache, int64_t dim, bool fp4) {
    return cache->elem_bytes / (fp4 ? dim / 2 + dim / 32 : dim + 4);
}

/* What token t of request b sees: lengths a token, or one a request that counts its own tokens. */
static int64_t visible(const tgk_arg *ctx, int64_t b, int64_t t, int64_t next) {
    return ctx->rank == 2 ? ctx->i[b * next + t] : ctx->i[b] - next + t + 1;
}

static bool paged(const tgk_arg *q, const tgk_arg *qs, const tgk_arg *cache, const tgk_arg *table,
                  const tgk_arg *ctx, const tgk_arg *w, tgk_arg *s) {
    int64_t next = q->extent[1], dim = q->extent[3], cols = s->extent[2], nb = table->extent[1];
    int64_t bs = page_size(cache, dim, qs != NULL);
    bool ok = begin(s);
    double row[1024];
    for (int64_t i = 0; i < s->count && ok; i++) {
        int64_t token = i / cols, b = token / next, j = i % cols;
        if (j < visible(ctx, b, token % next, next)) {
            double ks =
                tgs_read_page_key(cache, table->i[b * nb + j / bs], j % bs, dim, qs != NULL, row);
            put(s, i, tgs_score_key(q, qs, w, token, row, ks));
        }
    }
    return ok;
}

/* (q, cache, table, ctx, w, out s), fp4 with qs behind q */
bool tgs_indexer_fp8_paged(tgk_arg *a, int n) {
    return n == 6 && paged(&a[0], NULL, &a[1], &a[2], &a[3], &a[4], &a[5]);
}

bool tgs_indexer_fp4_paged(tgk_arg *a, int n) {
    return n == 7 && paged(&a[0], &a[1], &a[2], &a[3], &a[4], &a[5], &a[6]);
}

/* ---- inputs ---- */

static void fill_scale_bytes(tgk_arg *s, tgk_random *r) {
    for (int64_t i = 0; i < s->count; i++) {
        s->i[i] = 121 + tgk_random_below(r, 13);
    }
}

/* Ranges of every kind: whole, empty, reversed, past either end. */
static void fill_ranges(tgk_arg *lo, tgk_arg *hi, int64_t keys, tgk_random *r) {
    for (int64_t m = 0; m < lo->count; m++) {
        lo->i[m] = r->full || m % 5 == 0 ? 0 : tgk_random_below(r, keys + 1);
        hi->i[m] =
            r->full || m % 5 < 2 ? keys : lo->i[m] + tgk_random_below(r, keys + 2 - lo->i[m]);
        if (!r->full && m % 7 == 3) {
            hi->i[m] = lo->i[m] - tgk_random_below(r, 3);
        }
        if (!r->full && m % 11 == 5) {
            lo->i[m] = -2;
        }
    }
}

void tgs_inputs_indexer_fp8(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    for (int64_t i = 0; i < a[2].count; i++) {
        a[2].f[i] = exp2(12 * tgk_random_uniform(r) - 6);
    }
    fill_ranges(&a[4], &a[5], a[1].extent[0], r);
}

void tgs_inputs_indexer_fp4(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    fill_scale_bytes(&a[1], r);
    fill_scale_bytes(&a[3], r);
    fill_ranges(&a[5], &a[6], a[2].extent[0], r);
}

void tgs_fill_page_key(tgk_arg *cache, int64_t page, int64_t slot, int64_t dim, bool fp4,
                       tgk_random *r) {
    unsigned char *p = cache->bytes + page * cache->elem_bytes;
    int64_t bs = page_size(cache, dim, fp4), bytes = fp4 ? dim / 2 : dim;
    for (int64_t c = 0; c < bytes; c++) {
        unsigned code = (unsigned)tgk_random_u64(r);
        p[slot * bytes + c] = (unsigned char)(fp4 ? code : (code & 0x80) | (0x20 + code % 0x22));
    }
    for (int64_t c = 0; c < dim / 32 && fp4; c++) {
        p[bs * bytes + slot * (dim / 32) + c] = (unsigned char)(121 + tgk_random_below(r, 13));
    }
    if (!fp4) {
        float scale = (float)exp2(12 * tgk_random_uniform(r) - 6);
        memcpy(p + bs * bytes + 4 * slot, &scale, sizeof scale);
    }
}

void tgs_fill_table_row(tgk_arg *table, int64_t b, int64_t rows, int64_t bs, int64_t pages,
                        tgk_random *r) {
    int64_t columns = table->extent[1];
    for (int64_t c = 0; c < columns; c++) {
        table->i[b * columns + c] = c * bs < rows ? tgk_random_below(r, pages) : 2147480000;
    }
}

/* NaN in every slot that no request reaches; junk behind the used entries of the table. */
static void fill_pages(const tgk_arg *q, tgk_arg *cache, tgk_arg *table, tgk_arg *ctx, int64_t cols,
                       bool fp4, tgk_random *r) {
    int64_t next = q->extent[1], dim = q->extent[3], nb = table->extent[1];
    int64_t bs = page_size(cache, dim, fp4), most = nb * bs < cols ? nb * bs : cols;
    memset(cache->bytes, 0xff, (size_t)(cache->count * cache->elem_bytes));
    for (int64_t b = 0; b < q->extent[0]; b++) {
        int64_t len = r->full || b == 0 ? most : b == 1 ? 0 : tgk_random_below(r, most + 1);
        for (int64_t t = 0; t < (ctx->rank == 2 ? next : 1); t++) {
            int64_t own = len - tgk_random_below(r, 4);
            ctx->i[ctx->rank == 2 ? b * next + t : b] = t == 0 ? len : own < 0 ? 0 : own;
        }
        tgs_fill_table_row(table, b, len, bs, cache->extent[0], r);
        for (int64_t j = 0; j < len; j++) {
            tgs_fill_page_key(cache, table->i[b * nb + j / bs], j % bs, dim, fp4, r);
        }
    }
}

void tgs_inputs_indexer_fp8_paged(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    fill_pages(&a[0], &a[1], &a[2], &a[3], a[5].extent[2], false, r);
}

void tgs_inputs_indexer_fp4_paged(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    fill_scale_bytes(&a[1], r);
    fill_pages(&a[0], &a[2], &a[3], &a[4], a[6].extent[2], true, r);
}
