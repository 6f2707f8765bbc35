/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: absorbed, paged MLA decode with split-KV (attention.md K4, K5), its cache in bf16 or
 * in the byte records of section 5. Keys are the columns of a cache row (512 latent and 64 rotary;
 * V4: 512), values its first 512. Rows of bytes are rounded to bf16 after scaling, as the kernels
 * do.
 */
#include "kernels/attention/attention_ref.h"
#include "kernels/mla/mla_ref.h"
#include "kernels/sparse/sparse_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROW = 1024 };

/*
 * mla_decode*(q: [B, S, H, D], cache: [P, BS, HK, 576] or records, table: i32[B, NB], len: i32[B],
 * part, splits, sink: f32[H], scale, out o: [B, S, H, 512], lse: f32[B, H, S], po, pl): query s of
 * request b sees keys j <= len - S + s; key j lies in page table[b, j / BS].
 */
typedef struct decode_call {
    const tgk_arg *args, *table, *len;
    tgs_rows rows;
    int64_t kv_heads;
} decode_call;

/* Physical row of key t, key head g; -1: no such page. */
static int64_t row_of(const decode_call *c, int64_t r, int64_t t, int64_t g) {
    const tgk_arg *table = c->table;
    int64_t column = t / (c->rows.page / c->kv_heads), slot = t % (c->rows.page / c->kv_heads);
    int64_t page = column < table->extent[1] ? table->i[r * table->extent[1] + column] : -1;
    bool there = page >= 0 && page < c->rows.pages;
    return there ? page * c->rows.page + slot * c->kv_heads + g : -1;
}

static void keys(const void *user, attention_row *row, int64_t r, int64_t s, int64_t h, int64_t lo,
                 int64_t hi) {
    const decode_call *c = user;
    const tgk_arg *q = &c->args[0];
    int64_t queries = q->extent[1], heads = q->extent[2], d = q->extent[3];
    double kv[MAX_ROW];
    for (int64_t t = lo; t < hi && t <= c->len->i[r] - queries + s; t++) {
        if (tgs_row(&c->rows, row_of(c, r, t, h / (heads / c->kv_heads)), kv)) {
            double x = attention_dot(q->f + ((r * queries + s) * heads + h) * d, kv, d);
            attention_row_key(row, x * tgk_float(&c->args[7]), kv);
        }
    }
}

static decode_call call_of(tgk_arg *args, int n, tgs_kind kind) {
    tgk_arg *cache = tgk_find(args, n, "cache");
    decode_call c = {.args = args,
                     .table = tgk_find(args, n, "table"),
                     .len = tgk_find(args, n, "len"),
                     .rows = tgs_rows_of(cache, kind),
                     .kv_heads = 1};
    if (kind == TGS_PAGED) { /* [P, BS, HK, 576]: a row a head */
        c.kv_heads = cache->extent[2];
        c.rows.page = cache->extent[1] * c.kv_heads;
        c.rows.dim = cache->extent[3];
    }
    return c;
}

static bool decode(tgk_arg *args, int n, tgs_kind kind) {
    attention_split s;
    decode_call c = call_of(args, n, kind);
    return n == 12 && attention_split_find(&s, args, n) && attention_split_run(&s, keys, &c);
}

/*
 * mla_decode*_split(q, cache, table, len, part, splits, sink, scale, out o, out lse): how the work
 * is cut does not matter.
 */
static bool whole(tgk_arg *args, int n, tgs_kind kind) {
    decode_call c = call_of(args, n, kind);
    return n == 10 && attention_whole(args, n, keys, &c);
}

static bool mla_decode(tgk_arg *args, int n) { return decode(args, n, TGS_PAGED); }
static bool mla_decode_fp8(tgk_arg *args, int n) { return decode(args, n, TGS_MLA); }
static bool mla_decode_v4(tgk_arg *args, int n) { return decode(args, n, TGS_V4); }
static bool mla_decode_mxfp8(tgk_arg *args, int n) { return decode(args, n, TGS_V41_WINDOW); }
static bool mla_decode_nvfp4(tgk_arg *args, int n) { return decode(args, n, TGS_V41_ENTRY); }
static bool split_bf16(tgk_arg *args, int n) { return whole(args, n, TGS_PAGED); }
static bool split_fp8(tgk_arg *args, int n) { return whole(args, n, TGS_MLA); }
static bool split_v4(tgk_arg *args, int n) { return whole(args, n, TGS_V4); }
static bool split_mxfp8(tgk_arg *args, int n) { return whole(args, n, TGS_V41_WINDOW); }
static bool split_nvfp4(tgk_arg *args, int n) { return whole(args, n, TGS_V41_ENTRY); }

/* ---- inputs -----------------------------------------------------------------------------------
 */

static void mark_used(const decode_call *c, unsigned char *used) {
    for (int64_t r = 0; r < c->len->count; r++) {
        for (int64_t t = 0; t < c->len->i[r]; t++) {
            for (int64_t g = 0; g < c->kv_heads; g++) {
                int64_t at = row_of(c, r, t, g);
                used[at < 0 ? 0 : at] = 1;
            }
        }
    }
}

/* Logits of standard deviation about 1; the last column of every key is 1, by which a third of the
 * rows each gets logits around +300 and (without a finite sink: the output would underflow) -300.
 */
static void scale_queries(tgk_arg *args, const double *magnitude, tgk_random *r) {
    tgk_arg *q = &args[0];
    int64_t d = q->extent[3], heads = q->extent[2];
    double scale = tgk_float(&args[7]);
    for (int64_t i = 0; i < q->count; i++) {
        q->f[i] /= magnitude[i % d];
    }
    for (int64_t i = d - 1; i < q->count && !r->full; i += d) {
        int64_t kind = tgk_random_below(r, 3) - 1;
        bool lost = kind < 0 && isfinite(args[6].f[i / d % heads]);
        q->f[i] = lost ? 0 : (double)kind * 300 / scale;
    }
}

/* Pages at random, junk behind the last one in use, NaN in every row that no request has. */
static void fill_cache(tgk_arg *args, int n, tgs_kind kind, const double *magnitude,
                       tgk_random *r) {
    decode_call c = call_of(args, n, kind);
    unsigned char *used = calloc((size_t)tgs_rows_count(&c.rows) + 1, 1);
    tgk_arg *len = tgk_find(args, n, "len");
    attention_pages(tgk_find(args, n, "table"), len, c.rows.pages, c.rows.page / c.kv_heads, r);
    attention_parts(tgk_find(args, n, "part"), tgk_find(args, n, "splits"), len, r);
    attention_sinks(tgk_find(args, n, "sink"), r);
    tgk_find(args, n, "scale")->f[0] =
        (double)(float)(1 / sqrt(kind == TGS_PAGED || kind == TGS_MLA ? 192.0 : 512.0));
    if (used != NULL && (!r->exact || c.rows.arg->f == NULL)) {
        mark_used(&c, used);
        c.rows.used = used;
        tgs_fill(&c.rows, magnitude, r);
    }
    free(used);
}

void mla_paged_inputs(tgk_arg *args, int n, const double *magnitude, tgk_random *r) {
    fill_cache(args, n, TGS_PAGED, magnitude, r);
}

static void inputs(tgk_arg *args, int n, tgs_kind kind, tgk_random *r) {
    double magnitude[MAX_ROW];
    tgs_magnitudes(magnitude, r);
    fill_cache(args, n, kind, magnitude, r);
    if (!r->exact) {
        scale_queries(args, magnitude, r);
    }
}

static void inputs_bf16(tgk_arg *args, int n, tgk_random *r) { inputs(args, n, TGS_PAGED, r); }
static void inputs_fp8(tgk_arg *args, int n, tgk_random *r) { inputs(args, n, TGS_MLA, r); }
static void inputs_v4(tgk_arg *args, int n, tgk_random *r) { inputs(args, n, TGS_V4, r); }
static void inputs_mxfp8(tgk_arg *args, int n, tgk_random *r) {
    inputs(args, n, TGS_V41_WINDOW, r);
}
static void inputs_nvfp4(tgk_arg *args, int n, tgk_random *r) { inputs(args, n, TGS_V41_ENTRY, r); }

#define OUTPUTS                                                                                    \
    {{"o", TGK_TOL_GATE, 0, 0},                                                                    \
     {"lse", TGK_TOL_LSE, 0, 0},                                                                   \
     {"po", TGK_TOL_GATE, 0, 0},                                                                   \
     {"pl", TGK_TOL_LSE, 0, 0}}

#define ROWS {{"o", TGK_TOL_GATE, 0, 0}, {"lse", TGK_TOL_LSE, 0, 0}}

const tgk_reference tgk_mla_references[] = {
    {"mla_decode", mla_decode, inputs_bf16, false, OUTPUTS},
    {"mla_decode_fp8", mla_decode_fp8, inputs_fp8, false, OUTPUTS},
    {"mla_decode_v4", mla_decode_v4, inputs_v4, false, OUTPUTS},
    {"mla_decode_mxfp8", mla_decode_mxfp8, inputs_mxfp8, false, OUTPUTS},
    {"mla_decode_nvfp4", mla_decode_nvfp4, inputs_nvfp4, false, OUTPUTS},
    {"mla_decode_split", split_bf16, inputs_bf16, false, ROWS},
    {"mla_decode_fp8_split", split_fp8, inputs_fp8, false, ROWS},
    {"mla_decode_v4_split", split_v4, inputs_v4, false, ROWS},
    {"mla_decode_mxfp8_split", split_mxfp8, inputs_mxfp8, false, ROWS},
    {"mla_decode_nvfp4_split", split_nvfp4, inputs_nvfp4, false, ROWS},
    {"mla_absorb_q", mla_absorb_q, NULL, false, {{"q", TGK_TOL_CALC_DIFF, 1e-5, 0}}},
    {"mla_project_v", mla_project_v, NULL, false, {{"o", TGK_TOL_CALC_DIFF, 1e-5, 0}}},
    {"mla_prefill", mla_prefill, mla_prefill_inputs, false, ROWS},
    {"mla_decode_attention", mla_decode_attention, mla_decode_attention_inputs, false, ROWS},
    {"mla_prefill_attention", mla_prefill_attention, mla_prefill_inputs, false, ROWS},
    {0},
};
