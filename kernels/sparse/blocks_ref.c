/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: V4.1's index in two levels (attention.md section 8): scores of blocks, the best
 * blocks, scores and choice within chosen blocks. How a block's score follows from those of its
 * keys is not published: REDUCE 0 is their greatest, 1 their sum.
 *
 * Inputs of what chooses are such that every sum is exact in f32 (scores in 1/1024; codes with
 * scale 1 and weights in 1/8), so a choice is one, ties included: the smaller index.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/select/select_ref.h"
#include "kernels/sparse/sparse_refs.h"

enum { NOTHING = TGK_NOTHING };

static int64_t clamp(int64_t v, int64_t most) { return v < 0 ? 0 : v > most ? most : v; }

/* Score of block j of row r; -inf: nothing of it is seen. */
static double block_score(const tgk_arg *s, int64_t r, int64_t j, int64_t size, int64_t stop) {
    bool adds = tgk_constant_of(s, "REDUCE", 0) != 0;
    double top = -INFINITY, sum = 0;
    for (int64_t at = j * size; at < (j + 1) * size && at < stop; at++) {
        double x = s->f[r * s->extent[1] + at];
        top = fmax(top, x);
        sum += x;
    }
    return adds && j * size < stop ? sum : top;
}

/* (s [R,N], end [R], out b [R, cdiv(N, G)], out n [R]) */
bool tgs_index_blocks(tgk_arg *a, int n) {
    int64_t size = tgk_constant_of(a, "G", 1), columns = a[2].extent[1];
    for (int64_t r = 0; r < a[0].extent[0]; r++) {
        int64_t stop = clamp(a[1].i[r], a[0].extent[1]);
        a[3].i[r] = (stop + size - 1) / size;
        for (int64_t j = 0; j < columns; j++) {
            a[2].f[r * columns + j] = block_score(&a[0], r, j, size, stop);
        }
    }
    return n == 4;
}

static void clear(int64_t *list, int64_t k) {
    for (int64_t i = 0; i < k; i++) {
        list[i] = NOTHING;
    }
}

/* (s [R,N], end [R], out blocks [R,KB]) */
bool tgs_index_top_blocks(tgk_arg *a, int n) {
    int64_t size = tgk_constant_of(a, "G", 1), k = a[2].extent[1];
    double *x = calloc((size_t)(a[0].extent[1] + k) + 1, sizeof *x), *val = x + a[0].extent[1];
    bool ok = n == 3 && x != NULL;
    for (int64_t r = 0; ok && r < a[0].extent[0]; r++) {
        int64_t stop = clamp(a[1].i[r], a[0].extent[1]), blocks = (stop + size - 1) / size;
        for (int64_t j = 0; j < blocks; j++) {
            x[j] = block_score(&a[0], r, j, size, stop);
        }
        clear(a[2].i + r * k, k);
        ok = tgk_select_run(x, NULL, 0, blocks, k, val, a[2].i + r * k);
    }
    free(x);
    return ok;
}

/* Position of column c of row r; NOTHING where the block is none or the token does not see it. */
static int64_t position(const tgk_arg *blocks, int64_t r, int64_t c, int64_t size, int64_t see) {
    int64_t block = blocks->i[r * blocks->extent[1] + c / size];
    bool there = block >= 0 && block != NOTHING && block * size + c % size < see;
    return there ? block * size + c % size : NOTHING;
}

/* (q [R,H,D], qs, cache, table, of, ctx, w [R,H], blocks [R,KB], ...): the score of column c. */
static tgs_score column_score(const tgk_arg *a, int64_t r, int64_t c, int64_t size) {
    const tgk_arg *table = &a[3];
    int64_t dim = a[0].extent[2], bs = tgk_constant_of(a, "BS", 1), columns = table->extent[1];
    int64_t at = position(&a[7], r, c, size, a[5].i[r]);
    double key[1024];
    if (at == NOTHING || at / bs >= columns) {
        return (tgs_score){-INFINITY, 0};
    }
    int64_t page = table->i[a[4].i[r] * columns + at / bs];
    double scale = tgs_read_page_key(&a[2], page, at % bs, dim, true, key);
    return tgs_score_key(&a[0], &a[1], &a[6], r, key, scale);
}

/* (.., out s [R, KB * G]) */
bool tgs_indexer_blocks(tgk_arg *a, int n) {
    int64_t size = tgk_constant_of(a, "G", 1), columns = a[8].extent[1];
    a[8].slack = calloc((size_t)a[8].count + 1, sizeof *a[8].slack);
    for (int64_t i = 0; a[8].slack != NULL && i < a[8].count; i++) {
        tgs_score s = column_score(a, i / columns, i % columns, size);
        a[8].f[i] = s.value;
        a[8].slack[i] = s.slack;
    }
    return n == 9 && a[8].slack != NULL;
}

/* (blocks [R,KB], ctx [R], out n [R]) */
bool tgs_block_columns(tgk_arg *a, int n) {
    int64_t size = tgk_constant_of(a, "G", 1);
    for (int64_t r = 0; r < a[2].count; r++) {
        a[2].i[r] = 0;
        for (int64_t c = 0; c < a[0].extent[1] * size; c++) {
            a[2].i[r] += position(&a[0], r, c, size, a[1].i[r]) != NOTHING;
        }
    }
    return n == 3;
}

/* (blocks [R,KB], column [R,KTOP], out idx [R,KTOP]) */
bool tgs_block_positions(tgk_arg *a, int n) {
    int64_t size = tgk_constant_of(a, "G", 1), k = a[1].extent[1];
    for (int64_t i = 0; i < a[2].count; i++) {
        int64_t c = a[1].i[i];
        a[2].i[i] =
            c / size < a[0].extent[1] ? position(&a[0], i / k, c, size, INT64_MAX) : NOTHING;
    }
    return n == 3;
}

/* (.., out val [R,KTOP], out idx [R,KTOP]) */
bool tgs_index_within_blocks(tgk_arg *a, int n) {
    int64_t size = tgk_constant_of(a, "G", 1), k = a[9].extent[1];
    int64_t columns = a[7].extent[1] * size, *list = calloc((size_t)k + 1, sizeof *list);
    double *x = calloc((size_t)(columns + k) + 1, sizeof *x), *val = x + columns;
    bool ok = n == 10 && x != NULL && list != NULL;
    for (int64_t r = 0; ok && r < a[9].extent[0]; r++) {
        int64_t seen = 0;
        for (int64_t c = 0; c < columns; c++) {
            x[c] = column_score(a, r, c, size).value;
            seen += position(&a[7], r, c, size, a[5].i[r]) != NOTHING;
        }
        clear(list, k);
        ok = tgk_select_run(x, NULL, 0, seen, k, val, list);
        for (int64_t i = 0; i < k; i++) {
            bool some = list[i] != NOTHING;
            a[8].f[r * k + i] = some ? x[list[i]] : -INFINITY;
            a[9].i[r * k + i] = some ? position(&a[7], r, list[i], size, INT64_MAX) : NOTHING;
        }
    }
    free(list);
    free(x);
    return ok;
}

/* ---- inputs ---- */

/* Ascending blocks of those that `see` positions have, NOTHING behind them. */
static void fill_blocks(int64_t *out, int64_t k, int64_t size, int64_t see, tgk_random *r) {
    int64_t left = (see + size - 1) / size, found = 0;
    for (int64_t j = 0, total = left; j < total && found < k; j++, left--) {
        if (r->full || tgk_random_below(r, left) < k - found) {
            out[found++] = j;
        }
    }
    while (found < k) {
        out[found++] = NOTHING;
    }
}

static void fill_row(tgk_arg *a, int n, int64_t row, int64_t see, tgk_random *r) {
    tgk_arg *blocks = tgk_find(a, n, "blocks"), *column = tgk_find(a, n, "column"),
            *ctx = tgk_find(a, n, "ctx");
    int64_t size = tgk_constant_of(a, "G", 1), k = blocks->extent[1];
    fill_blocks(blocks->i + row * k, k, size, see, r);
    if (ctx != NULL) {
        ctx->i[row] = see;
    }
    for (int64_t i = 0, c = 0; column != NULL && i < column->extent[1]; i++) {
        c += 1 + tgk_random_below(r, 2);
        bool there = c < k * size && blocks->i[row * k + c / size] != NOTHING;
        column->i[row * column->extent[1] + i] = there ? c : NOTHING;
    }
}

/* Random pages, which requests may share, keys up to the longest row of each, NaN and junk
 * elsewhere.
 */
static void fill_pages(tgk_arg *a, const int64_t *longest, bool exact, tgk_random *r) {
    tgk_arg *cache = &a[2], *table = &a[3];
    int64_t dim = a[0].extent[2], bs = tgk_constant_of(a, "BS", 1), columns = table->extent[1];
    memset(cache->bytes, 0xff, (size_t)(cache->count * cache->elem_bytes));
    for (int64_t b = 0; b < table->extent[0]; b++) {
        tgs_fill_table_row(table, b, longest[b], bs, cache->count, r);
        for (int64_t j = 0; j < longest[b]; j++) {
            int64_t page = table->i[b * columns + j / bs];
            unsigned char *p = cache->bytes + page * cache->elem_bytes;
            tgs_fill_page_key(cache, page, j % bs, dim, true, r);
            if (exact) {
                memset(p + bs * (dim / 2) + j % bs * (dim / 32), 127, (size_t)(dim / 32));
            }
        }
    }
}

static void fill_queries(tgk_arg *a, bool exact, tgk_random *r) {
    for (int64_t i = 0; i < a[1].count; i++) {
        a[1].i[i] = exact ? 127 : 121 + tgk_random_below(r, 13);
    }
    for (int64_t i = 0; i < a[6].count && exact; i++) {
        a[6].f[i] = (double)(tgk_random_below(r, 17) - 8) / 8;
    }
}

/* Index scores in 1/1024, rows of every length, NaN behind their ends. */
static void fill_scores(tgk_arg *a, tgk_random *r) {
    int64_t n = a[0].extent[1];
    for (int64_t i = 0; i < a[0].count; i++) {
        int64_t row = i / n, kind = row % 4;
        if (i % n == 0) {
            a[1].i[row] = r->full || kind == 0 ? n : kind == 1 ? 0 : tgk_random_below(r, n + 3);
        }
        a[0].f[i] = i % n < a[1].i[row] ? (double)(tgk_random_below(r, 255) - 127) / 1024 : NAN;
    }
    for (int64_t row = 0; row < a[0].extent[0] && n == 0; row++) {
        a[1].i[row] = 0;
    }
}

void tgs_inputs_blocks(tgk_arg *a, int n, tgk_random *r) {
    tgk_arg *blocks = tgk_find(a, n, "blocks"), *of = tgk_find(a, n, "of");
    if (blocks == NULL || blocks->is_out) {
        fill_scores(a, r);
        return;
    }
    int64_t rows = blocks->extent[0], room = 40 * tgk_constant_of(a, "G", 1);
    int64_t requests = of != NULL ? a[3].extent[0] : 1;
    int64_t *longest = calloc((size_t)requests + 1, sizeof *longest);
    bool exact = tgk_find(a, n, "idx") != NULL;
    if (of != NULL) {
        room = a[3].extent[1] * tgk_constant_of(a, "BS", 1);
    }
    for (int64_t row = 0; row < rows && longest != NULL; row++) {
        int64_t b = row * requests / rows;
        int64_t see = r->full || row == 0 ? room : row == 1 ? 0 : tgk_random_below(r, room + 1);
        fill_row(a, n, row, see, r);
        longest[b] = see > longest[b] ? see : longest[b];
        if (of != NULL) {
            of->i[row] = b;
        }
    }
    if (of != NULL && longest != NULL) {
        fill_pages(a, longest, exact, r);
        fill_queries(a, exact, r);
    }
    free(longest);
}
