/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: attention over listed blocks of keys (attention.md K13), prefill and decode. Lists
 * have empty rows, blocks that the keys end in, and junk behind their end; in decode some entries
 * are -1 or lie behind the request's length, unused rows of the cache hold NaN.
 */
#include "kernels/attention/attention_ref.h"
#include "kernels/rounding.h"

#include <string.h>

static double typed(double v, tg_dtype t) {
    static const tgk_format f16 = {10, -14, INFINITY};
    return t == TG_DT_BF16  ? tgk_round_to(v, &TGK_BF16)
           : t == TG_DT_F16 ? tgk_round_to(v, &f16)
                            : (double)(float)v;
}

/* bsr_attention(q, k, v, indptr, indices, scale, causal, out o, out lse) */
static bool bsr_attention(tgk_arg *a, int n) {
    const tgk_arg *q = &a[0], *k = &a[1], *v = &a[2];
    int64_t rows = tgk_constant_of(a, "R", 1), block = tgk_constant_of(a, "C", 1);
    int64_t sq = q->extent[1], heads = q->extent[2], dim = q->extent[3], sk = k->extent[1],
            kv_heads = k->extent[2], out_dim = v->extent[3], lists = a[3].extent[1];
    attention_row row;
    if (n != 9 || !attention_row_init(&row, out_dim)) {
        return false;
    }
    for (int64_t x = 0; x < a[8].count; x++) {
        int64_t b = x / sq / heads, h = x / sq % heads, i = x % sq, hk = h / (heads / kv_heads);
        const int64_t *ptr = a[3].i + (b * lists + h / (heads / lists)) * a[3].extent[2] + i / rows;
        attention_row_begin(&row);
        for (int64_t e = ptr[0]; e < ptr[1]; e++) {
            for (int64_t j = a[4].i[e] * block; j < (a[4].i[e] + 1) * block && j < sk; j++) {
                if (tgk_int(&a[6]) > 0 && j > i + sk - sq) {
                    continue;
                }
                int64_t key = (b * sk + j) * kv_heads + hk;
                double s =
                    attention_dot(q->f + ((b * sq + i) * heads + h) * dim, k->f + key * dim, dim);
                attention_row_key(&row, s * tgk_float(&a[5]), v->f + key * out_dim);
            }
        }
        attention_row_end(&row, -INFINITY, a[7].f + ((b * sq + i) * heads + h) * out_dim,
                          &a[8].f[x]);
    }
    attention_row_fini(&row);
    return true;
}

/* Head x of [B, HK, G] over entries [lo, hi) of its list. */
static void decode_row(tgk_arg *a, int64_t x, int64_t lo, int64_t hi, attention_row *row) {
    const tgk_arg *q = &a[0], *kc = &a[1], *vc = &a[2], *table = &a[3];
    int64_t kv_heads = q->extent[1], group = q->extent[2], dim = q->extent[3], bs = kc->extent[1];
    int64_t b = x / group / kv_heads, h = x / group % kv_heads, block = tgk_constant_of(a, "C", 1);
    attention_row_begin(row);
    for (int64_t e = lo; e < hi; e++) {
        for (int64_t j = a[6].i[e] * block; j < (a[6].i[e] + 1) * block && j < a[4].i[b]; j++) {
            if (j < 0) {
                continue;
            }
            int64_t key = (table->i[b * table->extent[1] + j / bs] * bs + j % bs) * kv_heads + h;
            attention_row_key(
                row, attention_dot(q->f + x * dim, kc->f + key * dim, dim) * tgk_float(&a[7]),
                vc->f + key * row->dim);
        }
    }
}

static int64_t *list_of(tgk_arg *a, int64_t x) {
    int64_t kv_heads = a[0].extent[1], head = x / a[0].extent[2];
    return a[5].i + head / kv_heads * (kv_heads + 1) + head % kv_heads;
}

/* bsr_decode_part(q, kc, vc, table, len, indptr, indices, scale, out po, out pl) */
static bool decode_part(tgk_arg *a, int n) {
    int64_t parts = n == 10 ? a[9].extent[0] : 1, heads = a[0].count / a[0].extent[3];
    attention_row row;
    if (n != 10 || !attention_row_init(&row, a[8].extent[4])) {
        return false;
    }
    for (int64_t x = 0; x < parts * heads; x++) {
        const int64_t *list = list_of(a, x % heads);
        int64_t len = list[1] - list[0], s = x / heads;
        decode_row(a, x % heads, list[0] + len * s / parts, list[0] + len * (s + 1) / parts, &row);
        attention_row_end(&row, -INFINITY, a[8].f + x * row.dim, &a[9].f[x]);
        a[9].f[x] = a[9].f[x] == INFINITY ? -INFINITY : a[9].f[x];
    }
    attention_row_fini(&row);
    return true;
}

/* bsr_decode(.., out o, out lse) */
static bool decode(tgk_arg *a, int n) {
    attention_row row;
    if (n != 10 || !attention_row_init(&row, a[8].extent[3])) {
        return false;
    }
    for (int64_t x = 0; x < a[9].count; x++) {
        const int64_t *list = list_of(a, x);
        decode_row(a, x, list[0], list[1], &row);
        attention_row_end(&row, -INFINITY, a[8].f + x * row.dim, &a[9].f[x]);
    }
    attention_row_fini(&row);
    return true;
}

/* bsr_combine(po, pl, out o, out lse): the part's weight is exp(pl). */
static bool combine(tgk_arg *a, int n) {
    int64_t parts = a[0].extent[0], heads = n == 4 ? a[3].count : 0;
    attention_row row;
    if (n != 4 || !attention_row_init(&row, a[2].extent[3])) {
        return false;
    }
    for (int64_t x = 0; x < heads; x++) {
        attention_row_begin(&row);
        for (int64_t s = 0; s < parts; s++) {
            attention_row_key(&row, a[1].f[s * heads + x], a[0].f + (s * heads + x) * row.dim);
        }
        attention_row_end(&row, -INFINITY, a[2].f + x * row.dim, &a[3].f[x]);
    }
    attention_row_fini(&row);
    return true;
}

/* ---- inputs --------------------------------------------------------------------------------- */

static void fill_normal(tgk_arg *x, tgk_random *r) {
    for (int64_t i = 0; i < x->count; i++) {
        x->f[i] = typed(tgk_random_normal(r), x->dtype);
    }
}

/* A third of the rows with logits around +300, a third around -300; every key has 16 first. */
static void offsets(tgk_arg *q, tgk_arg *k, double scale) {
    for (int64_t i = 0; i < k->count; i += k->extent[k->rank - 1]) {
        k->f[i] = 16;
    }
    int64_t dim = q->extent[q->rank - 1];
    for (int64_t i = 0; i * dim < q->count; i++) {
        double offset = i % 3 == 0 ? 300 : i % 3 == 1 ? -300 : 0;
        q->f[i * dim] = typed(offset / 16 / scale, q->dtype);
    }
}

/* One list: blocks of `of`, ascending and apart, at most `room`; now and then none. */
static int64_t fill_list(int64_t *out, int64_t room, int64_t of, tgk_random *r) {
    int64_t n = 0, want = tgk_random_below(r, 4) == 0 ? 0 : 1 + tgk_random_below(r, room + 1);
    for (int64_t j = 0; j < of && n < want && n < room; j++) {
        if (tgk_random_below(r, of - j) < want - n) {
            out[n++] = j;
        }
    }
    return n;
}

static void fill_lists(tgk_arg *ptr, tgk_arg *indices, int64_t of, tgk_random *r) {
    int64_t at = 0, per = ptr->extent[ptr->rank - 1], lists = ptr->count / per * (per - 1);
    for (int64_t i = 0; i < ptr->count; i++) {
        ptr->i[i] = at;
        if (i % per < per - 1 && lists-- > 0) {
            int64_t room = (indices->count - at) / (lists + 1);
            at += fill_list(indices->i + at, room > of ? of : room, of, r);
        }
    }
    for (int64_t i = at; i < indices->count; i++) {
        indices->i[i] = 2147480000;
    }
}

static void inputs(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    int64_t block = tgk_constant_of(a, "C", 1);
    a[5].f[0] = (double)(float)(1 / sqrt((double)a[0].extent[3]));
    for (int i = 0; i < 3; i++) {
        fill_normal(&a[i], r);
    }
    offsets(&a[0], &a[1], tgk_float(&a[5]));
    fill_lists(&a[3], &a[4], (a[1].extent[1] + block - 1) / block, r);
}

/* Rows of the cache that no request has hold NaN. */
static void poison(tgk_arg *cache, const bool *used) {
    int64_t row = cache->extent[2] * cache->extent[3];
    for (int64_t i = 0; i < cache->count; i++) {
        cache->f[i] = used[i / row] ? cache->f[i] : NAN;
    }
}

static void inputs_decode(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    int64_t block = tgk_constant_of(a, "C", 1), bs = a[1].extent[1], cols = a[3].extent[1];
    bool *used = calloc((size_t)(a[1].extent[0] * bs) + 1, sizeof *used);
    if (used == NULL) {
        return;
    }
    a[7].f[0] = (double)(float)(1 / sqrt((double)a[0].extent[3]));
    for (int i = 0; i < 3; i++) {
        fill_normal(&a[i], r);
    }
    offsets(&a[0], &a[1], tgk_float(&a[7]));
    attention_pages(&a[3], &a[4], a[1].extent[0], bs, r);
    for (int64_t b = 0; b < a[4].count; b++) {
        for (int64_t j = 0; j < a[4].i[b]; j++) {
            used[a[3].i[b * cols + j / bs] * bs + j % bs] = true;
        }
    }
    poison(&a[1], used);
    poison(&a[2], used);
    free(used);
    fill_lists(&a[5], &a[6], (cols * bs + block - 1) / block, r);
    for (int64_t i = 0; i < a[6].count; i++) {
        a[6].i[i] = a[6].i[i] < 2147480000 && tgk_random_below(r, 9) == 0 ? -1 : a[6].i[i];
    }
}

static void inputs_combine(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    fill_normal(&a[0], r);
    for (int64_t i = 0; i < a[1].count; i++) {
        double offset = (double)(i % a[3].count % 3 - 1) * 300;
        a[1].f[i] = tgk_random_below(r, 4) == 0
                        ? -INFINITY
                        : (double)(float)(offset + 3 * tgk_random_normal(r));
    }
}

#define PAIR {{"o", TGK_TOL_GATE, 0, 0}, {"lse", TGK_TOL_LSE, 0, 0}}
const tgk_reference tgk_block_sparse_references[] = {
    {"bsr_attention", bsr_attention, inputs, false, PAIR},
    {"bsr_decode_part",
     decode_part,
     inputs_decode,
     false,
     {{"po", TGK_TOL_GATE, 0, 0}, {"pl", TGK_TOL_LSE, 0, 0}}},
    {"bsr_combine", combine, inputs_combine, false, PAIR},
    {"bsr_decode", decode, inputs_decode, false, PAIR},
    {.kernel = NULL},
};
