/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: DeepSeek-V4's attention layer for new tokens of running requests (attention.md K10,
 * K11) and its kernels, in double. A request's past is a ring of window rows, the compressors'
 * states, and entries and index keys in pages. Like the prompt's reference (layer_ref.c), rows are
 * rounded to the type of x where a kernel stores them, up to the softmax.
 *
 * Inputs: requests at their beginning, before a group's end, at the greatest position, and
 * anywhere; NaN in every row of ring, state and page that no token of the request has filled, junk
 * in the tails of tables. CSA redraws x until the chosen entries are apart from the others.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/v4/v4_refs.h"

enum { JUNK_PAGE = 2147480000 };

/* Row w of request b in pages; NULL: there is none. */
static const double *entry_row(const tgv_rows *pages, const tgk_arg *table, int64_t b, int64_t w) {
    int64_t at = tgv_rows_entry(pages, table, b, w);
    return at >= 0 ? pages->f + at * pages->dim : NULL;
}

static int64_t ring_at(const tgv_rows *ring, int64_t slot, int64_t p) {
    return slot * ring->page + p % ring->page;
}

/* (kv [S,D], of, slot, pos, inout ring) */
bool tgv_store_window(tgk_arg *a, int n) {
    tgv_rows ring;
    bool ok = n == 5 && tgv_rows_init(&ring, &a[4]);
    for (int64_t t = 0; ok && t < a[0].extent[0]; t++) {
        tgv_rows_put(&ring, ring_at(&ring, a[2].i[a[1].i[t]], a[3].i[t]), a[0].f + t * ring.dim);
    }
    if (ok) {
        tgv_rows_fini(&ring);
    }
    return ok;
}

/* (y [S,D], entry, of, table, inout cache) */
bool tgv_store_entries(tgk_arg *a, int n) {
    tgv_rows pages;
    bool ok = n == 5 && tgv_rows_init(&pages, &a[4]);
    for (int64_t t = 0; ok && t < a[0].extent[0]; t++) {
        int64_t at = tgv_rows_entry(&pages, &a[3], a[2].i[t], a[1].i[t]);
        if (at >= 0) {
            tgv_rows_put(&pages, at, a[0].f + t * pages.dim);
        }
    }
    if (ok) {
        tgv_rows_fini(&pages);
    }
    return ok;
}

/* Index queries of bytes are bytes, too: each head under its power of two. */
static void quantise_heads(const tgv_rows *keys, double *q, int64_t heads) {
    for (int64_t h = 0; h < heads && keys->arg->bytes != NULL; h++) {
        tgv_through_e4m3(q + h * keys->dim, keys->dim);
    }
}

/* (q [S,HI,DI], keys, of, table, pos, w [S,HI], factor, out s [S,L], out end [S]) */
bool tgv_scores_paged(tgk_arg *a, int n) {
    int64_t heads = a[0].extent[1], d = a[0].extent[2], length = a[7].extent[1];
    double *q = malloc((size_t)(heads * d + 1) * sizeof *q);
    tgv_rows keys = {0};
    bool ok = n == 9 && q != NULL && tgv_rows_init(&keys, &a[1]);
    for (int64_t t = 0; ok && t < a[0].extent[0]; t++) {
        int64_t see = (a[4].i[t] + 1) / tgk_constant_of(a, "M", 1);
        memcpy(q, a[0].f + t * heads * d, (size_t)(heads * d) * sizeof *q);
        quantise_heads(&keys, q, heads);
        a[8].i[t] = see;
        for (int64_t j = 0; j < length; j++) {
            const double *key = entry_row(&keys, &a[3], a[2].i[t], j);
            a[7].f[t * length + j] = j < see && key != NULL ? tgv_score(q, key, a[5].f + t * heads,
                                                                        heads, d, tgk_float(&a[6]))
                                                            : -INFINITY;
        }
    }
    tgv_rows_fini(&keys);
    free(q);
    return ok;
}

/* The past of the tokens and who they are. */
typedef struct past {
    const tgk_arg *of, *slot, *pos, *table;
    tgv_rows ring, entries, keys;
} past;

static bool past_init(past *p, tgk_arg *a, int n) {
    tgk_arg *cache = tgk_find(a, n, "cache");
    *p = (past){.of = tgk_find(a, n, "of"),
                .slot = tgk_find(a, n, "slot"),
                .pos = tgk_find(a, n, "pos"),
                .table = tgk_find(a, n, "table")};
    return tgv_rows_init(&p->ring, tgk_find(a, n, "ring")) &&
           tgv_rows_init(&p->entries, cache != NULL ? cache : tgk_find(a, n, "entries")) &&
           tgv_rows_init(&p->keys, tgk_find(a, n, "icache"));
}

static void past_fini(past *p) {
    tgv_rows_fini(&p->ring);
    tgv_rows_fini(&p->entries);
    tgv_rows_fini(&p->keys);
}

/* Token t, head h: its window, then `count` entries (list NULL: the first ones). */
static void attend_token(const tgv_attend *a, const past *s, int64_t t, int64_t h, const double *q,
                         const int64_t *list, int64_t count, double *out) {
    int64_t p = s->pos->i[t], b = s->of->i[t];
    double top = -INFINITY, sum = 0;
    memset(out, 0, (size_t)a->dim * sizeof *out);
    for (int64_t j = p - a->window + 1 < 0 ? 0 : p - a->window + 1; j <= p; j++) {
        tgv_add_key(q, s->ring.f + ring_at(&s->ring, s->slot->i[b], j) * s->ring.dim, a, &top, &sum,
                    out);
    }
    for (int64_t j = 0; j < count; j++) {
        const double *row = entry_row(&s->entries, s->table, b, list != NULL ? list[j] : j);
        if (row != NULL) {
            tgv_add_key(q, row, a, &top, &sum, out);
        }
    }
    tgv_attend_end(a, p, h, top, sum, out);
}

static tgv_attend attend_of(tgk_arg *a, int n, int64_t heads, int64_t dim) {
    return (tgv_attend){.sink = tgk_find(a, n, "sink")->f,
                        .dim = dim,
                        .heads = heads,
                        .window = tgk_constant_of(a, "WIN", 1),
                        .scale = tgk_float(tgk_find(a, n, "scale")),
                        .cs = tgk_find(a, n, "cs")};
}

/* v4_attend_*_step(q [S,H,D], ring, [entries, table, [idx,]] of, slot, pos, sink, scale, cs, out o)
 */
bool tgv_attend_step(tgk_arg *a, int n) {
    const tgk_arg *idx = tgk_find(a, n, "idx");
    int64_t heads = a[0].extent[1], dim = a[0].extent[2], m = tgk_constant_of(a, "M", 1);
    past s;
    bool ok = past_init(&s, a, n);
    tgv_attend at = attend_of(a, n, heads, dim);
    for (int64_t i = 0; ok && i < a[0].extent[0] * heads; i++) {
        int64_t t = i / heads, k = idx != NULL ? idx->extent[1] : (s.pos->i[t] + 1) / m;
        attend_token(&at, &s, t, i % heads, a[0].f + i * dim, idx != NULL ? idx->i + t * k : NULL,
                     s.entries.arg != NULL ? k : 0, tgk_find(a, n, "o")->f + i * dim);
    }
    past_fini(&s);
    return ok;
}

/* ---- the layer ---- */

/* Names of a compressor's arguments. */
typedef struct part_names {
    const char *state, *wc, *wz, *ape, *g;
} part_names;

/* The tokens of all requests through a compressor: its state goes on, entries go to their pages. */
static void compress_tokens(const tgv_layer *l, tgv_scratch *s, const past *was, tgv_rows *cache,
                            const part_names *by) {
    const tgk_arg *ape = tgv_arg(l, by->ape), *g = tgv_arg(l, by->g), *cu = tgv_arg(l, "cu");
    tgk_arg *state = tgk_find(l->args, l->n, by->state);
    int64_t width = ape->extent[1], d = g->extent[0];
    double *c = tgv_take(s, l->tokens * width), *z = tgv_take(s, l->tokens * width);
    double *y = tgv_take(s, d);
    tgv_tokens t = {ape->extent[0], d, ape->f, g->f, l->eps, l->cs};
    if (s->failed) {
        return;
    }
    tgv_product(l->x->f, l->tokens, l->hidden, tgv_arg(l, by->wc)->f, width, c);
    tgv_product(l->x->f, l->tokens, l->hidden, tgv_arg(l, by->wz)->f, width, z);
    for (int64_t i = 0; i < l->tokens; i++) { /* cu: of tells the same */
        int64_t b = was->of->i[i], p = was->pos->i[i];
        bool own = i >= cu->i[b] && i < cu->i[b + 1];
        int64_t at = tgv_rows_entry(cache, was->table, b, p / t.m);
        if (own &&
            tgv_stream(state, was->slot->i[b], &t, p, c + i * width, z + i * width, NULL, y) &&
            at >= 0) {
            tgv_store_all(l->type, y, d);
            tgv_rows_put(cache, at, y);
        }
    }
}

/* CSA's index lists [S, k]; the least gap between chosen and other entries. */
static double index_lists(const tgv_layer *l, tgv_scratch *s, const past *was, const double *qr,
                          int64_t k, int64_t *list) {
    const tgk_arg *wiq = tgv_arg(l, "wiq");
    const tgv_rows *keys = &was->keys;
    int64_t heads = wiq->extent[0], d = wiq->extent[1], m = tgv_arg(l, "iape")->extent[0];
    int64_t columns = was->table->extent[1] * keys->page;
    double *iq = tgv_head_rows(l, s, qr, "wiq", false), *iw = tgv_take(s, l->tokens * heads);
    double *row = tgv_take(s, columns), gap = INFINITY;
    if (s->failed) {
        return 0;
    }
    tgv_product(l->x->f, l->tokens, l->hidden, tgv_arg(l, "wiw")->f, heads, iw);
    for (int64_t t = 0; t < l->tokens; t++) {
        int64_t seen = (was->pos->i[t] + 1) / m;
        quantise_heads(keys, iq + t * heads * d, heads);
        for (int64_t e = 0; e < seen && e < columns; e++) {
            row[e] = tgv_score(iq + t * heads * d, entry_row(keys, was->table, was->of->i[t], e),
                               iw + t * heads, heads, d, tgk_float(tgv_arg(l, "factor")));
        }
        gap = fmin(gap, tgv_choose(row, seen < columns ? seen : columns, k, list + t * k));
    }
    return gap;
}

/* v4_step_*, all arguments by name. With out_gap, only as far as the index lists. */
static bool run_step(tgk_arg *args, int n, double *out_gap) {
    tgv_layer l = tgv_layer_of(args, n);
    tgv_scratch s = {.n = 0};
    past was;
    const tgk_arg *wqb = tgv_arg(&l, "wqb"), *wa = tgv_arg(&l, "wa"), *wb = tgv_arg(&l, "wb");
    int64_t h = wqb->extent[0], d = wqb->extent[1], k = tgk_constant_of(args, "KTOP", 0);
    s.failed = !past_init(&was, args, n);
    bool some = tgv_arg(&l, "wiq") != NULL, all = !some && was.entries.arg != NULL;
    double *qr = tgv_latent_rows(&l, &s, "wqa", "gq", false);
    double *q = tgv_head_rows(&l, &s, qr, "wqb", true);
    double *kv = tgv_latent_rows(&l, &s, "wkv", "gkv", true), *o = tgv_take(&s, l.tokens * h * d);
    double *z = tgv_take(&s, l.tokens * wa->extent[0] * wa->extent[1]);
    int64_t *list = calloc((size_t)(l.tokens * k) + 1, sizeof *list);
    for (int64_t t = 0; !s.failed && t < l.tokens; t++) {
        tgv_rows_put(&was.ring, ring_at(&was.ring, was.slot->i[was.of->i[t]], was.pos->i[t]),
                     kv + t * d);
    }
    if (some || all) {
        compress_tokens(&l, &s, &was, &was.entries,
                        &(part_names){"state", "wc", "wz", "ape", "gc"});
    }
    double gap = INFINITY;
    if (some && list != NULL) {
        compress_tokens(&l, &s, &was, &was.keys,
                        &(part_names){"istate", "wic", "wiz", "iape", "gi"});
        gap = index_lists(&l, &s, &was, qr, k, list);
    }
    tgv_attend at = attend_of(args, n, h, d);
    bool ok = !s.failed && list != NULL;
    for (int64_t i = 0; ok && out_gap == NULL && i < l.tokens * h; i++) {
        int64_t t = i / h;
        attend_token(&at, &was, t, i % h, q + i * d, some ? list + t * k : NULL,
                     some  ? k
                     : all ? (was.pos->i[t] + 1) / tgv_arg(&l, "ape")->extent[0]
                           : 0,
                     o + i * d);
    }
    if (ok && out_gap == NULL) {
        tgv_group_rows(o, l.tokens, wa, z);
        tgv_product(z, l.tokens, wa->extent[0] * wa->extent[1], wb->f, wb->extent[0],
                    tgk_find(args, n, "y")->f);
    } else if (out_gap != NULL) {
        *out_gap = gap;
    }
    free(list);
    past_fini(&was);
    return tgv_release(&s) && ok;
}

bool tgv_step(tgk_arg *a, int n) { return run_step(a, n, NULL); }

/* ---- inputs ---- */

static tgk_arg *either(tgk_arg *a, int n, const char *one, const char *other) {
    tgk_arg *found = tgk_find(a, n, one);
    return found != NULL ? found : tgk_find(a, n, other);
}

/* Pages of their own for the entries that a request has or will have; behind them junk. */
static void fill_table(tgk_arg *table, int64_t pages, int64_t bs, const tgv_share *s, int64_t m) {
    int64_t columns = table->extent[1], entries = (s->p + s->count) / m;
    for (int64_t c = 0; c < columns; c++) {
        int64_t mine =
            (s->b * columns + c) * 7 % pages; /* without a common factor: no page twice */
        mine = pages % 7 == 0 ? s->b * columns + c : mine;
        table->i[s->b * columns + c] = c * bs < entries ? mine : JUNK_PAGE;
    }
}

/* NaN in all rows of the ring that no request has; with `fresh` the new tokens' are still to come.
 */
static void fill_ring(tgk_arg *a, const tgv_share *s, int64_t requests, int64_t window, bool fresh,
                      tgk_random *r) {
    tgv_rows ring;
    unsigned char *keep = calloc((size_t)(a->extent[0] * tgv_page_rows(a)) + 1, 1);
    if (keep == NULL || !tgv_rows_init(&ring, a)) {
        free(keep);
        return;
    }
    for (int64_t b = 0; b < requests; b++) {
        for (int64_t j = s[b].p - window + 1; j < s[b].p + (fresh ? 0 : s[b].count); j++) {
            keep[j < 0 ? 0 : ring_at(&ring, s[b].slot, j)] |= j >= 0;
        }
    }
    tgv_rows_fill(&ring, keep, !fresh, r);
    tgv_rows_fini(&ring);
    free(keep);
}

static void fill_pages(tgk_arg *a, const tgk_arg *table, const tgv_share *s, int64_t requests,
                       int64_t m, bool fresh, tgk_random *r) {
    tgv_rows pages;
    unsigned char *keep = calloc((size_t)(a->extent[0] * tgv_page_rows(a)) + 1, 1);
    if (keep == NULL || !tgv_rows_init(&pages, a)) {
        free(keep);
        return;
    }
    for (int64_t b = 0; b < requests; b++) {
        for (int64_t w = 0; w < (s[b].p + (fresh ? 0 : s[b].count)) / m; w++) {
            int64_t at = tgv_rows_entry(&pages, table, b, w);
            keep[at < 0 ? 0 : at] |= at >= 0;
        }
    }
    tgv_rows_fill(&pages, keep, !fresh, r);
    tgv_rows_fini(&pages);
    free(keep);
}

/* Lists with entries that are there, indices that are none, and columns without a page. */
static void fill_lists(tgk_arg *idx, const tgk_arg *table, int64_t bs, const tgv_share *s,
                       int64_t requests, tgk_random *r) {
    int64_t k = idx->extent[1];
    for (int64_t b = 0; b < requests; b++) {
        int64_t have = s[b].p + s[b].count, most = table->extent[1] * bs;
        for (int64_t i = s[b].first * k; i < (s[b].first + s[b].count) * k; i++) {
            int64_t kind = tgk_random_below(r, 8);
            idx->i[i] = kind == 0   ? -1
                        : kind == 1 ? 2147483647
                        : kind == 2 ? most
                                    : tgk_random_below(r, have < most ? have : most);
        }
    }
}

/* Groups end at about every other token; numbers within the table. */
static void fill_numbers(tgk_arg *entry, tgk_arg *of, tgk_arg *table, int64_t pages, int64_t bs,
                         int64_t requests, tgk_random *r) {
    for (int64_t b = 0; b < requests; b++) {
        tgv_share s = tgv_share_of(b, requests, of->count, 1, of->count, r);
        int64_t most = table->extent[1] * bs,
                from = b == 0 ? 0 : tgk_random_below(r, most - s.count + 1);
        for (int64_t i = 0; i < s.count; i++) {
            of->i[s.first + i] = b;
            entry->i[s.first + i] = i % 2 == b % 2 ? from + i : -1;
        }
        s.p = most - s.count;
        fill_table(table, pages, bs, &s, 1);
    }
}

static void save(tgk_arg *a, int n, unsigned char *copy, bool back) {
    static const char *const names[] = {"ring", "state", "cache", "istate", "icache"};
    for (int i = 0; i < 5; i++) {
        tgk_arg *t = tgk_find(a, n, names[i]);
        if (t != NULL) {
            void *own = t->bytes != NULL ? (void *)t->bytes : (void *)t->f;
            size_t size = (size_t)t->count * (t->bytes != NULL ? (size_t)t->elem_bytes : 8);
            memcpy(back ? own : copy, back ? copy : own, size);
            copy += size;
        }
    }
}

/* As tgv_inputs_csa. */
static void redraw(tgk_arg *a, int n, tgk_random *r) {
    size_t total = 1;
    for (int i = 0; i < n; i++) {
        total += (size_t)a[i].count * (a[i].bytes != NULL ? (size_t)a[i].elem_bytes : 8);
    }
    unsigned char *copy = malloc(total);
    double gap = 0, margin = a[0].dtype == TG_DT_BF16 ? 1e-3 : 1e-5;
    margin = tgk_find(a, n, "ring")->bytes != NULL ? 0.01 : margin; /* a code that flips */
    for (int tries = 0; copy != NULL && tries < 200 && gap < margin; tries++) {
        for (int64_t i = 0; i < a[0].count; i++) {
            a[0].f[i] = tgv_stored(a[0].dtype, tgk_random_normal(r));
        }
        save(a, n, copy, false);
        (void)run_step(a, n, &gap);
        save(a, n, copy, true);
    }
    free(copy);
}

static void fill_shares(tgk_arg *a, int n, tgv_share *s, int64_t requests, tgk_random *r) {
    tgk_arg *cu = tgk_find(a, n, "cu"), *of = tgk_find(a, n, "of"), *pos = tgk_find(a, n, "pos"),
            *slot = tgk_find(a, n, "slot"), *table = tgk_find(a, n, "table"),
            *cs = tgk_find(a, n, "cs"), *pages = either(a, n, "cache", "entries");
    pages = pages != NULL ? pages : tgk_find(a, n, "keys");
    int64_t m = tgk_constant_of(a, "M", 1), most = cs != NULL ? cs->extent[0] : 1 << 20;
    if (pages != NULL && tgk_find(a, n, "idx") == NULL) { /* every entry has a place */
        int64_t room = (table->extent[1] * tgv_page_rows(pages) + 1) * m - 1;
        most = most < room ? most : room;
    }
    for (int64_t b = 0; b < requests; b++) {
        s[b] = tgv_share_of(b, requests, of->count, m, most, r);
        for (int64_t i = 0; i < s[b].count; i++) {
            of->i[s[b].first + i] = b;
        }
        tgv_place_share(&s[b], cu, slot, pos);
        if (table != NULL) {
            fill_table(table, pages->extent[0], tgv_page_rows(pages), &s[b], m);
        }
    }
}

void tgv_inputs_running(tgk_arg *a, int n, tgk_random *r) {
    tgk_arg *slot = tgk_find(a, n, "slot"), *table = tgk_find(a, n, "table"),
            *ring = tgk_find(a, n, "ring"), *idx = tgk_find(a, n, "idx"),
            *entry = tgk_find(a, n, "entry");
    static const char *const paged[] = {"cache", "icache", "entries", "keys"};
    static const char *const states[] = {"state", "istate"};
    int64_t requests = slot != NULL ? slot->count : table->extent[0];
    int64_t m = tgk_constant_of(a, "M", 1);
    bool layer = tgk_find(a, n, "wa") != NULL;
    tgv_share *s = calloc((size_t)requests + 1, sizeof *s);
    tgv_scale_weights(a, n, a[0].dtype);
    tgv_fill_scalars(a, n, r);
    if (entry != NULL) { /* v4_store_entries */
        tgk_arg *cache = tgk_find(a, n, "cache");
        fill_numbers(entry, tgk_find(a, n, "of"), table, cache->extent[0], tgv_page_rows(cache),
                     requests, r);
    } else if (s != NULL) {
        fill_shares(a, n, s, requests, r);
        if (ring != NULL) {
            fill_ring(ring, s, requests, tgk_constant_of(a, "WIN", 1), layer, r);
        }
        for (int i = 0; i < 4; i++) {
            tgk_arg *pages = tgk_find(a, n, paged[i]);
            if (pages != NULL) {
                tgv_store_all(pages->dtype, pages->f, pages->f != NULL ? pages->count : 0);
                fill_pages(pages, table, s, requests, m, layer, r);
            }
        }
        for (int64_t b = 0; b < 2 * requests; b++) {
            tgk_arg *state = tgk_find(a, n, states[b / requests]);
            if (state != NULL) {
                tgv_poison_state(state, s[b % requests].slot, s[b % requests].p, m);
            }
        }
        if (idx != NULL) {
            fill_lists(idx, table, tgv_page_rows(tgk_find(a, n, "entries")), s, requests, r);
        }
        if (!layer && ring != NULL && tgk_find(a, n, "sink") != NULL) {
            tgv_far_logits(a, n, r);
        }
        if (tgk_find(a, n, "wiq") != NULL && !r->full) {
            redraw(a, n, r);
        }
    }
    free(s);
}
