/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: flash attention forward (attention.md K1, K2), packed and paged, and paged GQA
 * decode, by the conventions of its section 1: logits times scale, natural-log LSE without the
 * sink, causal bottom-right aligned, window (L, R): i + sk - sq - L <= j <= i + sk - sq + R, an
 * empty row gives out 0 and lse +inf, the sink adds exp(s) to the denominator only.
 */
#include "kernels/attention/attention_ref.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One sequence and one head: where its queries, keys and values are. */
typedef struct sequence {
    int64_t q0, sq, sk;
    const double *(*key)(const struct sequence *s, int64_t j); /* NULL: no such page */
    const double *(*value)(const struct sequence *s, int64_t j);
    const tgk_arg *k, *v, *table;
    int64_t b, k0, hk;
} sequence;

typedef struct limits {
    double scale, cap;
    int64_t left, right;
} limits;

static void one_query(const sequence *s, const limits *lim, const tgk_arg *q, int64_t h, int64_t i,
                      attention_row *row) {
    int64_t heads = q->extent[1], d = q->extent[2], at = i + s->sk - s->sq;
    attention_row_begin(row);
    for (int64_t j = 0; j < s->sk; j++) {
        bool seen =
            (lim->left < 0 || j >= at - lim->left) && (lim->right < 0 || j <= at + lim->right);
        const double *key = seen ? s->key(s, j) : NULL;
        if (key == NULL) {
            continue;
        }
        double x = attention_dot(q->f + ((s->q0 + i) * heads + h) * d, key, d) * lim->scale;
        attention_row_key(row, lim->cap > 0 ? lim->cap * tanh(x / lim->cap) : x, s->value(s, j));
    }
}

static const double *packed(const tgk_arg *a, const sequence *s, int64_t j) {
    return a->f + ((s->k0 + j) * a->extent[1] + s->hk) * a->extent[2];
}

static const double *packed_key(const sequence *s, int64_t j) { return packed(s->k, s, j); }
static const double *packed_value(const sequence *s, int64_t j) { return packed(s->v, s, j); }

/* Row t of request b in a paged cache [P, BS, HK, D]; NULL where the page does not exist. */
static const double *paged(const tgk_arg *cache, const tgk_arg *table, int64_t b, int64_t t,
                           int64_t head) {
    int64_t bs = cache->extent[1], column = t / bs;
    int64_t page = column < table->extent[1] ? table->i[b * table->extent[1] + column] : -1;
    if (page < 0 || page >= cache->extent[0]) {
        return NULL;
    }
    return cache->f + ((page * bs + t % bs) * cache->extent[2] + head) * cache->extent[3];
}

static const double *paged_key(const sequence *s, int64_t j) {
    return paged(s->k, s->table, s->b, j, s->hk);
}
static const double *paged_value(const sequence *s, int64_t j) {
    return paged(s->v, s->table, s->b, j, s->hk);
}

/* All heads and queries of s. */
static void one_sequence(sequence *s, const limits *lim, tgk_arg *args, int n, attention_row *row) {
    const tgk_arg *q = &args[0], *sink = tgk_find(args, n, "sink");
    tgk_arg *o = tgk_find(args, n, "o"), *lse = tgk_find(args, n, "lse");
    tgk_arg *top = tgk_find(args, n, "top"); /* or NULL */
    int64_t heads = q->extent[1], group = heads / s->k->extent[s->k->rank - 2];
    for (int64_t h = 0; h < heads; h++) {
        s->hk = h / group;
        for (int64_t i = 0; i < s->sq; i++) {
            one_query(s, lim, q, h, i, row);
            attention_row_end(row, sink->f[h], o->f + ((s->q0 + i) * heads + h) * row->dim,
                              lse->f + h * q->extent[0] + s->q0 + i);
            if (top != NULL) {
                top->f[h * q->extent[0] + s->q0 + i] = row->m;
            }
        }
    }
}

static limits find_limits(tgk_arg *args, int n) {
    return (limits){tgk_float(tgk_find(args, n, "scale")), tgk_float(tgk_find(args, n, "softcap")),
                    tgk_int(tgk_find(args, n, "left")), tgk_int(tgk_find(args, n, "right"))};
}

static void no_rows(tgk_arg *args, int n) {
    tgk_arg *o = tgk_find(args, n, "o"), *lse = tgk_find(args, n, "lse");
    tgk_arg *top = tgk_find(args, n, "top");
    memset(o->f, 0, (size_t)o->count * sizeof *o->f);
    for (int64_t i = 0; i < lse->count; i++) {
        lse->f[i] = INFINITY;
        if (top != NULL) {
            top->f[i] = -INFINITY;
        }
    }
}

/*
 * flash_attention(q: [TQ, H, D], k: [TK, HK, D], v: [TK, HK, E], cq: i32[B+1], ck: i32[B+1], sink:
 * f32[H], scale, softcap, left, right, maxq, out o: [TQ, H, E], out lse: f32[H, TQ]); with out
 * top: f32[H, TQ] behind it as flash_attention_top
 */
static bool flash_attention(tgk_arg *args, int n) {
    attention_row row;
    limits lim = find_limits(args, n);
    if ((n != 13 && n != 14) || !attention_row_init(&row, args[2].extent[2])) {
        return false;
    }
    no_rows(args, n);
    for (int64_t b = 0; b + 1 < args[3].extent[0]; b++) {
        sequence s = {.q0 = args[3].i[b],
                      .sq = args[3].i[b + 1] - args[3].i[b],
                      .k0 = args[4].i[b],
                      .sk = args[4].i[b + 1] - args[4].i[b],
                      .key = packed_key,
                      .value = packed_value,
                      .k = &args[1],
                      .v = &args[2]};
        one_sequence(&s, &lim, args, n, &row);
    }
    attention_row_fini(&row);
    return true;
}

/*
 * paged_attention(q: [TQ, H, D], kc: [P, BS, HK, D], vc: [P, BS, HK, E], table: i32[B, NB], len:
 * i32[B], cq: i32[B+1], sink, scale, softcap, left, right, maxq, out o, out lse)
 */
static bool paged_attention(tgk_arg *args, int n) {
    attention_row row;
    limits lim = find_limits(args, n);
    if (n != 14 || !attention_row_init(&row, args[2].extent[3])) {
        return false;
    }
    no_rows(args, n);
    for (int64_t b = 0; b + 1 < args[5].extent[0]; b++) {
        sequence s = {.q0 = args[5].i[b],
                      .sq = args[5].i[b + 1] - args[5].i[b],
                      .sk = args[4].i[b],
                      .key = paged_key,
                      .value = paged_value,
                      .k = &args[1],
                      .v = &args[2],
                      .table = &args[3],
                      .b = b};
        one_sequence(&s, &lim, args, n, &row);
    }
    attention_row_fini(&row);
    return true;
}

/*
 * gqa_decode(q: [B, S, H, D], kc: [P, BS, HK, D], vc: [P, BS, HK, E], table: i32[B, NB], len:
 * i32[B], part, splits, sink, scale, out o, lse, po, pl): query s of request b sees keys j <= len -
 * S + s.
 */
static void gqa_keys(const void *user, attention_row *row, int64_t r, int64_t s, int64_t h,
                     int64_t lo, int64_t hi) {
    const tgk_arg *args = user, *q = &args[0], *kc = &args[1];
    int64_t queries = q->extent[1], heads = q->extent[2], d = q->extent[3];
    int64_t head = h / (heads / kc->extent[2]);
    for (int64_t t = lo; t < hi && t <= args[4].i[r] - queries + s; t++) {
        const double *key = paged(kc, &args[3], r, t, head);
        if (key != NULL) {
            double x = attention_dot(q->f + ((r * queries + s) * heads + h) * d, key, d);
            attention_row_key(row, x * tgk_float(&args[8]), paged(&args[2], &args[3], r, t, head));
        }
    }
}

static bool gqa_decode(tgk_arg *args, int n) {
    attention_split s;
    return n == 13 && attention_split_find(&s, args, n) && attention_split_run(&s, gqa_keys, args);
}

/* gqa_decode_attention(q, kc, vc, table, len, part, splits, sink, scale, out o, out lse): whole. */
static bool gqa_decode_attention(tgk_arg *args, int n) {
    return n == 11 && attention_whole(args, n, gqa_keys, args);
}

/* ---- inputs -----------------------------------------------------------------------------------
 */

/* Cumulative lengths from 0 to total: random cuts, an empty request among them when there are
 * three. */
static void cumulative(tgk_arg *a, int64_t total, tgk_random *r) {
    int64_t parts = a->extent[0] - 1;
    a->i[0] = 0;
    for (int64_t b = 1; b < parts; b++) {
        int64_t left = total - a->i[b - 1];
        if (r->full) {
            a->i[b] = total * b / parts;
            continue;
        }
        a->i[b] = parts >= 3 && b == 2 ? a->i[b - 1] : a->i[b - 1] + tgk_random_below(r, left + 1);
    }
    if (parts > 0) {
        a->i[parts] = total;
    }
}

/* Scale, soft cap, window and the longest of the sequences in cq; args from `scale` on. */
static void inputs_limits(tgk_arg *at, const tgk_arg *q, const tgk_arg *cq, tgk_random *r) {
    int64_t longest = 0;
    for (int64_t b = 0; b + 1 < cq->extent[0]; b++) {
        int64_t len = cq->i[b + 1] - cq->i[b];
        longest = len > longest ? len : longest;
    }
    at[0].f[0] = (double)(float)(1 / sqrt((double)q->extent[2]));
    at[1].f[0] = r->full || tgk_random_below(r, 2) == 0 ? 0 : 5;
    at[2].i[0] = r->full || tgk_random_below(r, 2) == 0 ? -1 : 7;
    at[3].i[0] = 0;
    at[4].i[0] = longest;
}

static void inputs_flash(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    cumulative(&args[3], args[0].extent[0], r);
    cumulative(&args[4], args[1].extent[0], r);
    attention_sinks(&args[5], r);
    inputs_limits(&args[6], &args[0], &args[3], r);
    attention_offsets(&args[0], &args[1], &args[5], args[6].f[0], r);
}

/* What no request refers to holds NaN: it must not leak. */
static void poison(tgk_arg *cache, const tgk_arg *table, const tgk_arg *len, tgk_random *r) {
    int64_t slots = cache->extent[0] * cache->extent[1], bs = cache->extent[1];
    unsigned char *used = calloc((size_t)slots + 1, 1);
    for (int64_t b = 0; used != NULL && b < len->count; b++) {
        for (int64_t t = 0; t < len->i[b]; t++) {
            used[table->i[b * table->extent[1] + t / bs] * bs + t % bs] = 1;
        }
    }
    int64_t row = cache->extent[2] * cache->extent[3];
    for (int64_t i = 0; used != NULL && !r->exact && i < slots * row; i++) {
        cache->f[i] = used[i / row] != 0 ? cache->f[i] : NAN;
    }
    free(used);
}

static void inputs_paged(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    attention_pages(&args[3], &args[4], args[1].extent[0], args[1].extent[1], r);
    cumulative(&args[5], args[0].extent[0], r);
    attention_sinks(&args[6], r);
    inputs_limits(&args[7], &args[0], &args[5], r);
    attention_offsets(&args[0], &args[1], &args[6], args[7].f[0], r);
    poison(&args[1], &args[3], &args[4], r);
    poison(&args[2], &args[3], &args[4], r);
}

static void inputs_gqa(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    attention_pages(&args[3], &args[4], args[1].extent[0], args[1].extent[1], r);
    attention_sinks(&args[7], r);
    args[8].f[0] = (double)(float)(1 / sqrt((double)args[0].extent[3]));
    attention_offsets(&args[0], &args[1], &args[7], args[8].f[0], r);
    poison(&args[1], &args[3], &args[4], r);
    poison(&args[2], &args[3], &args[4], r);
    attention_parts(&args[5], &args[6], &args[4], r);
}

/* The greatest logit: docs/tolerances.md. */
#define TOP {"top", TGK_TOL_ULP, 256, 1e-6}
#define GATED {"o", TGK_TOL_GATE, 0, 0}, {"lse", TGK_TOL_LSE, 0, 0}
#define PIECES {"po", TGK_TOL_GATE, 0, 0}, {"pl", TGK_TOL_LSE, 0, 0}

const tgk_reference tgk_attention_references[] = {
    {"flash_attention", flash_attention, inputs_flash, false, {GATED}},
    {"flash_attention_top", flash_attention, inputs_flash, false, {GATED, TOP}},
    {"paged_attention", paged_attention, inputs_paged, false, {GATED}},
    {"gqa_decode", gqa_decode, inputs_gqa, false, {GATED, PIECES}},
    {"gqa_decode_attention", gqa_decode_attention, inputs_gqa, false, {GATED}},
    {"split_combine", attention_split_combine, attention_split_combine_inputs, false, {GATED}},
    {0},
};
