/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: attention over chosen rows (attention.md K8, K9). Keys of query (b, s) are the rows
 * of its index list, of one cache or of two; an index outside the cache is no key. Values are the
 * first E columns of the keys. Byte records (section 5) are decoded to bf16, as the specification's
 * reference does: the quantisation error of the cache is not the kernel's.
 *
 * Inputs: rows that no list names hold NaN bytes; lists mix in the invalid indices of section 1;
 * sinks are +-inf now and then; one request has no key at all, one only invalid indices. Every
 * column has the magnitude 1/2, 1 or 2 of its tile in the cache and the inverse in the query, so
 * logits keep a standard deviation of 1 while a wrong scale is far off.
 */
#include "kernels/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/sparse/sparse_refs.h"
#include "kernels/sparse/sparse_rows.h"

enum { MAX_DIM = 1024 };

/* An online sum over keys in double: the largest logit, the sum of weights and the output. */
typedef struct softmax_state {
    double top, sum, out[MAX_DIM];
} softmax_state;

static void add_key(softmax_state *s, double x, const double *value, int64_t n) {
    if (x == -INFINITY) {
        return;
    }
    double top = fmax(s->top, x), keep = s->sum > 0 ? exp(s->top - top) : 0, p = exp(x - top);
    for (int64_t c = 0; c < n; c++) {
        s->out[c] = s->out[c] * keep + p * value[c];
    }
    s->sum = s->sum * keep + p;
    s->top = top;
}

static double dot(const double *a, const double *b, int64_t n) {
    double x = 0;
    for (int64_t c = 0; c < n; c++) {
        x += a[c] * b[c];
    }
    return x;
}

/* out / (sum + exp(sink)): section 1. What is below the range of f32 is 0. */
static double sink_weight(double lse, double sink) {
    double w = sink == INFINITY ? 0 : 1 / (1 + exp(sink - lse));
    return w < 1e-37 ? 0 : w;
}

/* The keys list[from .. to) of one cache; list positions from len on are not there. */
static void add_scope(softmax_state *s, const double *q, const tgs_rows *kv, const int64_t *list,
                      int64_t from, int64_t to, double scale, int64_t dim, int64_t out_dim) {
    double row[MAX_DIM];
    for (int64_t j = from; j < to; j++) {
        if (tgs_row(kv, list[j], row)) {
            add_key(s, dot(q, row, dim) * scale, row, out_dim);
        }
    }
}

/* sparse_prefill(q [S,H,D], kv [L,D], idx [S,TOPK], len [S], sink [H], scale, out o, top, lse) */
static bool sparse_prefill(tgk_arg *a, int n) {
    if (n != 9) {
        return false;
    }
    int64_t heads = a[0].extent[1], dim = a[0].extent[2], topk = a[2].extent[1],
            out_dim = a[6].extent[2];
    tgs_rows kv = tgs_rows_of(&a[1], TGS_DENSE);
    for (int64_t r = 0; r < a[0].extent[0] * heads; r++) {
        int64_t s = r / heads, end = a[3].i[s] < topk ? a[3].i[s] : topk;
        softmax_state t = {.top = -INFINITY};
        add_scope(&t, a[0].f + r * dim, &kv, a[2].i + s * topk, 0, end, tgk_float(&a[5]), dim,
                  out_dim);
        double lse = t.sum > 0 ? t.top + log(t.sum) : INFINITY;
        double weight = t.sum > 0 ? sink_weight(lse, a[4].f[r % heads]) / t.sum : 0;
        for (int64_t c = 0; c < out_dim; c++) {
            a[6].f[r * out_dim + c] = t.out[c] * weight;
        }
        a[7].f[r] = t.top;
        a[8].f[r] = lse;
    }
    return true;
}

/* The keys of list positions [lo, hi) over both scopes: K of the first, then KX of the second. */
static softmax_state decode_part(const tgk_arg *a, tgs_kind kind, tgs_kind extra_kind, int64_t row,
                                 int64_t lo, int64_t hi, double scale, int64_t out_dim) {
    const tgk_arg *q = &a[0];
    int64_t sq = q->extent[1], heads = q->extent[2], dim = q->extent[3];
    int64_t token = row / heads, b = token / sq, k = a[2].extent[2], kx = a[5].extent[2];
    tgs_rows kv = tgs_rows_of(&a[1], kind), extra = tgs_rows_of(&a[4], extra_kind);
    int64_t end = hi < k ? hi : k, xend = hi - k < kx ? hi - k : kx;
    softmax_state t = {.top = -INFINITY};
    add_scope(&t, q->f + row * dim, &kv, a[2].i + token * k, lo, end < a[3].i[b] ? end : a[3].i[b],
              scale, dim, out_dim);
    add_scope(&t, q->f + row * dim, &extra, a[5].i + token * kx, lo > k ? lo - k : 0,
              xend < a[6].i[b] ? xend : a[6].i[b], scale, dim, out_dim);
    return t;
}

/*
 * sparse_decode*(q [B,S,H,D], kv, idx [B,S,K], len [B], extra, xidx [B,S,KX], xlen [B], work [W,4],
 * scale, out po [W,S,H,E], out pl [W,S,H])
 */
static bool decode(tgk_arg *a, int n, tgs_kind kind, tgs_kind extra_kind) {
    if (n != 11) {
        return false;
    }
    int64_t per = a[0].extent[1] * a[0].extent[2], out_dim = a[9].extent[3];
    memset(a[9].f, 0, (size_t)a[9].count * sizeof(double));
    for (int64_t i = 0; i < a[10].count; i++) {
        a[10].f[i] = -INFINITY;
    }
    for (int64_t w = 0; w < a[7].extent[0]; w++) {
        const int64_t *item = a[7].i + 4 * w;
        for (int64_t r = 0; r < per; r++) {
            softmax_state t = decode_part(a, kind, extra_kind, item[0] * per + r, item[1], item[2],
                                          tgk_float(&a[8]), out_dim);
            for (int64_t c = 0; c < out_dim && t.sum > 0; c++) {
                a[9].f[(item[3] * per + r) * out_dim + c] = t.out[c] / t.sum;
            }
            a[10].f[item[3] * per + r] = t.sum > 0 ? t.top + log(t.sum) : -INFINITY;
        }
    }
    return true;
}

static bool sparse_decode(tgk_arg *a, int n) { return decode(a, n, TGS_PAGED, TGS_PAGED); }
static bool sparse_decode_mla(tgk_arg *a, int n) { return decode(a, n, TGS_MLA, TGS_MLA); }
static bool sparse_decode_v4(tgk_arg *a, int n) { return decode(a, n, TGS_V4, TGS_V4); }
static bool sparse_decode_v41(tgk_arg *a, int n) {
    return decode(a, n, TGS_V41_WINDOW, TGS_V41_ENTRY);
}

/*
 * The whole step: sparse_attention_*(q, kv, idx, len, extra, xidx, xlen, work, first, sink, scale,
 * out o [B,S,H,E], out lse [B,S,H]). How the work is cut does not matter to it.
 */
static bool attention(tgk_arg *a, int n, tgs_kind kind, tgs_kind extra_kind) {
    if (n != 13) {
        return false;
    }
    int64_t heads = a[0].extent[2], out_dim = a[11].extent[3];
    for (int64_t r = 0; r < a[12].count; r++) {
        softmax_state t =
            decode_part(a, kind, extra_kind, r, 0, INT64_MAX, tgk_float(&a[10]), out_dim);
        double lse = t.sum > 0 ? t.top + log(t.sum) : INFINITY;
        double weight = t.sum > 0 ? sink_weight(lse, a[9].f[r % heads]) / t.sum : 0;
        for (int64_t c = 0; c < out_dim; c++) {
            a[11].f[r * out_dim + c] = t.out[c] * weight;
        }
        a[12].f[r] = lse;
    }
    return true;
}

static bool attention_paged(tgk_arg *a, int n) { return attention(a, n, TGS_PAGED, TGS_PAGED); }
static bool attention_mla(tgk_arg *a, int n) { return attention(a, n, TGS_MLA, TGS_MLA); }
static bool attention_v4(tgk_arg *a, int n) { return attention(a, n, TGS_V4, TGS_V4); }
static bool attention_v41(tgk_arg *a, int n) {
    return attention(a, n, TGS_V41_WINDOW, TGS_V41_ENTRY);
}

/* sparse_combine(po [W,S,H,E], pl [W,S,H], first [B+1], sink [H], out o [B,S,H,E], out lse) */
static bool sparse_combine(tgk_arg *a, int n) {
    if (n != 6) {
        return false;
    }
    int64_t heads = a[4].extent[2], per = a[4].extent[1] * heads, out_dim = a[4].extent[3];
    for (int64_t r = 0; r < a[5].count; r++) {
        softmax_state t = {.top = -INFINITY};
        for (int64_t w = a[2].i[r / per]; w < a[2].i[r / per + 1]; w++) {
            int64_t part = w * per + r % per;
            add_key(&t, a[1].f[part], a[0].f + part * out_dim, out_dim);
        }
        double lse = t.sum > 0 ? t.top + log(t.sum) : INFINITY;
        double weight = t.sum > 0 ? sink_weight(lse, a[3].f[r % heads]) / t.sum : 0;
        for (int64_t c = 0; c < out_dim; c++) {
            a[4].f[r * out_dim + c] = t.out[c] * weight;
        }
        a[5].f[r] = lse;
    }
    return true;
}

/* ---- inputs ---- */

static void fill_sinks(tgk_arg *sink, tgk_random *r) {
    for (int64_t h = 0; h < sink->count; h++) {
        int64_t kind = tgk_random_below(r, 10);
        sink->f[h] = kind < 2 ? -INFINITY : kind == 2 ? INFINITY : tgk_random_normal(r);
    }
}

/* A valid row of those that hold numbers, or now and then one of section 1's invalid indices. */
static int64_t draw_index(const tgs_rows *kv, tgk_random *r) {
    static const int64_t junk[] = {-2147483647 - 1, -123456, -65,        -64,       -2, -1,
                                   114514,          -1,      2147480000, 2147483647};
    int64_t rows = tgs_rows_count(kv), kind = r->full ? 9 : tgk_random_below(r, 10);
    if (rows < 2 || kind == 0) {
        return kind == 0 || rows == 0
                   ? tgk_random_below(r, 2) == 0 ? rows : junk[tgk_random_below(r, 10)]
                   : 0;
    }
    int64_t i = tgk_random_below(r, rows);
    return tgs_row_is_poisoned(i) ? i - 1 : i;
}

static void fill_list(tgk_arg *idx, const tgs_rows *kv, tgk_random *r) {
    for (int64_t i = 0; i < idx->count; i++) {
        idx->i[i] = draw_index(kv, r);
    }
}

/* The query's columns balance the magnitudes of the cache's; the last, which is 1 in every row,
 * moves all logits of some queries by 300 up or down. */
static void scale_query(tgk_arg *q, int64_t dim, const double *magnitude) {
    for (int64_t i = 0; i < q->count; i++) {
        int64_t kind = i / dim % 4;
        q->f[i] /= magnitude[i % dim];
        if (i % dim == dim - 1 && kind % 2 == 1) {
            q->f[i] = (kind == 1 ? 300 : -300) * sqrt((double)dim);
        }
    }
}

static void inputs_prefill(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    int64_t dim = a[0].extent[2], topk = a[2].extent[1];
    double magnitude[MAX_DIM];
    tgs_rows kv = tgs_rows_of(&a[1], TGS_DENSE);
    tgs_magnitudes(magnitude, r);
    tgs_fill(&kv, magnitude, r);
    scale_query(&a[0], dim, magnitude);
    fill_list(&a[2], &kv, r);
    for (int64_t s = 0; s < a[3].count; s++) {
        a[3].i[s] = r->full || s % 3 == 0 ? topk : s % 7 == 1 ? 0 : tgk_random_below(r, topk + 3);
        for (int64_t j = 0; j < topk && s % 11 == 6; j++) {
            a[2].i[s * topk + j] = -1;
        }
    }
    fill_sinks(&a[4], r);
    a[5].f[0] = 1 / sqrt((double)dim);
}

/* Work items: every request's K + KX list positions in about W / B parts; empty ones too. */
static void cut_work(tgk_arg *work, int64_t requests, int64_t total) {
    int64_t items = work->extent[0];
    for (int64_t w = 0; w < items; w++) {
        int64_t b = w * requests / items, first = (b * items + requests - 1) / requests;
        int64_t next = ((b + 1) * items + requests - 1) / requests, parts = next - first;
        int64_t *item = work->i + 4 * w;
        item[0] = b;
        item[1] = (w - first) * total / parts;
        item[2] = (w - first + 1) * total / parts;
        item[3] = w;
    }
}

static void fill_decode(tgk_arg *a, tgk_random *r, tgs_kind kind, tgs_kind extra_kind) {
    int64_t requests = a[0].extent[0], dim = a[0].extent[3];
    double magnitude[MAX_DIM];
    tgs_rows kv = tgs_rows_of(&a[1], kind), extra = tgs_rows_of(&a[4], extra_kind);
    tgs_magnitudes(magnitude, r);
    tgs_fill(&kv, magnitude, r);
    tgs_fill(&extra, magnitude, r);
    scale_query(&a[0], dim, magnitude);
    fill_list(&a[2], &kv, r);
    fill_list(&a[5], &extra, r);
    for (int scope = 2; scope <= 5; scope += 3) {
        int64_t per = a[scope].extent[1] * a[scope].extent[2], k = a[scope].extent[2];
        for (int64_t b = 0; b < requests; b++) {
            a[scope + 1].i[b] = r->full || b == 0 ? k : b == 1 ? 0 : tgk_random_below(r, k + 3);
            for (int64_t j = 0; j < per && b == 2 && !r->full; j++) {
                a[scope].i[b * per + j] = -1;
            }
        }
    }
    cut_work(&a[7], requests, a[2].extent[2] + a[5].extent[2]);
}

static void inputs_decode(tgk_arg *a, tgk_random *r, tgs_kind kind, tgs_kind extra_kind) {
    fill_decode(a, r, kind, extra_kind);
    a[8].f[0] = 1 / sqrt((double)a[0].extent[3]);
}

static void inputs_paged(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    inputs_decode(a, r, TGS_PAGED, TGS_PAGED);
}
static void inputs_mla(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    inputs_decode(a, r, TGS_MLA, TGS_MLA);
}
static void inputs_v4(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    inputs_decode(a, r, TGS_V4, TGS_V4);
}
static void inputs_v41(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    inputs_decode(a, r, TGS_V41_WINDOW, TGS_V41_ENTRY);
}

/* first[b]: where request b's items begin, as cut_work lays them out. */
static void inputs_attention(tgk_arg *a, tgk_random *r, tgs_kind kind, tgs_kind extra_kind) {
    int64_t requests = a[0].extent[0], items = a[7].extent[0];
    fill_decode(a, r, kind, extra_kind);
    for (int64_t b = 0; b <= requests && requests > 0; b++) {
        a[8].i[b] = (b * items + requests - 1) / requests;
    }
    fill_sinks(&a[9], r);
    a[10].f[0] = 1 / sqrt((double)a[0].extent[3]);
}

static void inputs_attention_paged(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    inputs_attention(a, r, TGS_PAGED, TGS_PAGED);
}
static void inputs_attention_mla(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    inputs_attention(a, r, TGS_MLA, TGS_MLA);
}
static void inputs_attention_v4(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    inputs_attention(a, r, TGS_V4, TGS_V4);
}
static void inputs_attention_v41(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    inputs_attention(a, r, TGS_V41_WINDOW, TGS_V41_ENTRY);
}

/* Heads at -300, 0 and 300; partial results with empty splits (lse -inf, output 0) and requests
 * without any. */
static void inputs_combine(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    int64_t requests = a[2].count - 1, splits = a[0].extent[0], dim = a[0].extent[3];
    a[2].i[0] = 0;
    for (int64_t b = 1; b <= requests; b++) {
        int64_t left = splits - a[2].i[b - 1];
        a[2].i[b] = b == requests ? splits
                    : b == 2      ? a[2].i[b - 1]
                                  : a[2].i[b - 1] + tgk_random_below(r, left + 1);
    }
    for (int64_t i = 0; i < a[1].count; i++) {
        bool empty = tgk_random_below(r, 5) == 0;
        a[1].f[i] =
            empty ? -INFINITY : tgk_random_normal(r) * 3 + 300 * (double)(i % a[3].count % 3 - 1);
        for (int64_t c = 0; c < dim && empty; c++) {
            a[0].f[i * dim + c] = 0;
        }
    }
    fill_sinks(&a[3], r);
}

/* attention.md K8: lse and the greatest logit within 1e-6 or 2.01 / 65536 of the value; 256 units
 * of an f32 are at most 2 / 65536. Decode: the rule of section 9. */
#define PARTS {{"po", TGK_TOL_GATE, 0, 0}, {"pl", TGK_TOL_LSE, 0, 0}}
#define WHOLE {{"o", TGK_TOL_GATE, 0, 0}, {"lse", TGK_TOL_LSE, 0, 0}}
/* The bound for f32 scores; bf16 ones, which may be 3e-5 off, keep it, too. */
#define SCORES {{"s", TGK_TOL_CALC_DIFF, 5e-6, 0}}
const tgk_reference tgk_sparse_references[] = {
    {"sparse_prefill",
     sparse_prefill,
     inputs_prefill,
     false,
     {{"o", TGK_TOL_GATE, 0, 0}, {"top", TGK_TOL_ULP, 256, 1e-6}, {"lse", TGK_TOL_ULP, 256, 1e-6}}},
    {"sparse_decode", sparse_decode, inputs_paged, false, PARTS},
    {"sparse_decode_mla", sparse_decode_mla, inputs_mla, false, PARTS},
    {"sparse_decode_v4", sparse_decode_v4, inputs_v4, false, PARTS},
    {"sparse_decode_v41", sparse_decode_v41, inputs_v41, false, PARTS},
    {"sparse_combine", sparse_combine, inputs_combine, false, WHOLE},
    {"sparse_attention", attention_paged, inputs_attention_paged, false, WHOLE},
    {"sparse_attention_mla", attention_mla, inputs_attention_mla, false, WHOLE},
    {"sparse_attention_v4", attention_v4, inputs_attention_v4, false, WHOLE},
    {"sparse_attention_v41", attention_v41, inputs_attention_v41, false, WHOLE},
    {"indexer_fp8", tgs_indexer_fp8, tgs_inputs_indexer_fp8, false, SCORES},
    {"indexer_fp8_compressed", tgs_indexer_fp8_compressed, tgs_inputs_indexer_fp8, false, SCORES},
    {"indexer_fp4", tgs_indexer_fp4, tgs_inputs_indexer_fp4, false, SCORES},
    {"indexer_fp8_paged", tgs_indexer_fp8_paged, tgs_inputs_indexer_fp8_paged, false, SCORES},
    {"indexer_fp8_paged_last", tgs_indexer_fp8_paged, tgs_inputs_indexer_fp8_paged, false, SCORES},
    {"indexer_fp4_paged", tgs_indexer_fp4_paged, tgs_inputs_indexer_fp4_paged, false, SCORES},
    {"index_blocks",
     tgs_index_blocks,
     tgs_inputs_blocks,
     false,
     {{"b", TGK_TOL_EXACT, 0, 0}, {"n", TGK_TOL_EXACT, 0, 0}}},
    {"index_top_blocks",
     tgs_index_top_blocks,
     tgs_inputs_blocks,
     false,
     {{"blocks", TGK_TOL_EXACT, 0, 0}}},
    {"indexer_fp4_blocks",
     tgs_indexer_blocks,
     tgs_inputs_blocks,
     false,
     {{"s", TGK_TOL_DERIVED, 1, 0}}},
    {"block_columns", tgs_block_columns, tgs_inputs_blocks, false, {{"n", TGK_TOL_EXACT, 0, 0}}},
    {"block_positions",
     tgs_block_positions,
     tgs_inputs_blocks,
     false,
     {{"idx", TGK_TOL_EXACT, 0, 0}}},
    {"index_within_blocks",
     tgs_index_within_blocks,
     tgs_inputs_blocks,
     false,
     {{"val", TGK_TOL_EXACT, 0, 0}, {"idx", TGK_TOL_EXACT, 0, 0}}},
    {"indexer_query_fp8",
     tgs_indexer_query,
     tgs_inputs_indexer_query,
     false,
     {{"q8", TGK_TOL_EXACT, 0, 0}, {"ws", TGK_TOL_EXACT, 0, 0}}},
    {"indexer_query_fp4",
     tgs_indexer_query,
     tgs_inputs_indexer_query,
     false,
     {{"q4", TGK_TOL_EXACT, 0, 0}, {"qs", TGK_TOL_EXACT, 0, 0}, {"ws", TGK_TOL_EXACT, 0, 0}}},
    {"indexer_key_fp8",
     tgs_indexer_key_fp8,
     tgs_inputs_indexer_key_fp8,
     false,
     {{"cache", TGK_TOL_EXACT, 0, 0}}},
    {"indexer_key_fp4",
     tgs_indexer_key_fp4,
     tgs_inputs_indexer_key_fp4,
     false,
     {{"cache", TGK_TOL_EXACT, 0, 0}}},
    {.kernel = NULL}};
