/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: the attention layer of DeepSeek-V4 over one prompt (attention.md K11) and its
 * kernels, in double. Queries, keys and entries have the type of x and are rounded to it here as
 * well; what comes behind the softmax is not.
 *
 * Inputs: weights of variance 1 / K, so that every intermediate has a deviation near 1 and the
 * output one of about 0.2: an f32 result is then within 1e-6. CSA redraws x until the best KTOP
 * entries of every token are apart from the rest by more than rounding may move a score.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/rounding.h"
#include "kernels/v4/v4_refs.h"

double *tgv_take(tgv_scratch *s, int64_t count) {
    double *p = s->n < 32 ? calloc((size_t)count + 1, sizeof *p) : NULL;
    if (p == NULL) {
        s->failed = true;
        return NULL;
    }
    return s->block[s->n++] = p;
}

bool tgv_release(tgv_scratch *s) {
    for (int i = 0; i < s->n; i++) {
        free(s->block[i]);
    }
    return !s->failed;
}

double tgv_stored(tg_dtype t, double v) { return t == TG_DT_BF16 ? tgk_to_bf16(v) : v; }

void tgv_store_all(tg_dtype t, double *v, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        v[i] = tgv_stored(t, v[i]);
    }
}

/* y [s, n] = x [s, k] w [n, k]^T */
void tgv_product(const double *x, int64_t s, int64_t k, const double *w, int64_t n, double *y) {
    for (int64_t i = 0; i < s * n; i++) {
        double sum = 0;
        for (int64_t c = 0; c < k; c++) {
            sum += x[i / n * k + c] * w[i % n * k + c];
        }
        y[i] = sum;
    }
}

/* Rows of heads: norm each head of d channels (g NULL: 1), then turn it by the row's position. */
static void norm_turn(double *y, int64_t s, int64_t heads, int64_t d, bool norm, const double *g,
                      double eps, const tgk_arg *cs, const tgk_arg *pos) {
    for (int64_t i = 0; i < s * heads; i++) {
        if (norm) {
            tgv_norm(y + i * d, d, g, eps);
        }
        if (cs != NULL) {
            tgv_turn(y + i * d, d, cs->f + pos->i[i / heads] * cs->extent[1], cs->extent[1] / 2, 1);
        }
    }
}

double tgv_score(const double *q, const double *key, const double *w, int64_t heads, int64_t d,
                 double factor) {
    double sum = 0;
    for (int64_t h = 0; h < heads; h++) {
        double x = 0;
        for (int64_t c = 0; c < d; c++) {
            x += q[h * d + c] * key[c];
        }
        sum += w[h] * factor * fmax(x, 0);
    }
    return sum;
}

void tgv_add_key(const double *q, const double *row, const tgv_attend *a, double *top, double *sum,
                 double *out) {
    double x = 0;
    for (int64_t c = 0; c < a->dim; c++) {
        x += q[c] * row[c] * a->scale;
    }
    double next = fmax(*top, x), keep = exp(*top - next), p = exp(x - next);
    for (int64_t c = 0; c < a->dim; c++) {
        out[c] = out[c] * keep + p * row[c];
    }
    *sum = *sum * keep + p;
    *top = next;
}

void tgv_attend_end(const tgv_attend *a, int64_t p, int64_t h, double top, double sum,
                    double *out) {
    double sink = a->sink[h], total = sum + exp(sink - top);
    for (int64_t c = 0; c < a->dim; c++) {
        out[c] = sink == INFINITY ? 0 : out[c] / total;
    }
    tgv_turn(out, a->dim, a->cs->f + p * a->cs->extent[1], a->cs->extent[1] / 2, -1);
}

/* Token t, head h: its window, then `count` entries (list NULL: the first ones; else those of
 * list). */
static void attend_one(const tgv_attend *a, int64_t t, int64_t h, const double *q,
                       const int64_t *list, int64_t count, int64_t n_entries, double *out) {
    double top = -INFINITY, sum = 0;
    memset(out, 0, (size_t)a->dim * sizeof *out);
    for (int64_t j = t - a->window + 1 < 0 ? 0 : t - a->window + 1; j <= t; j++) {
        tgv_add_key(q, a->kv + j * a->dim, a, &top, &sum, out);
    }
    for (int64_t j = 0; j < count; j++) {
        int64_t e = list != NULL ? list[j] : j;
        if (e >= 0 && e < n_entries) {
            tgv_add_key(q, a->entries + e * a->dim, a, &top, &sum, out);
        }
    }
    tgv_attend_end(a, t, h, top, sum, out);
}

/* z [s, g, ol] from o [s, h, d] and wa [g, ol, hg, d] */
void tgv_group_rows(const double *o, int64_t s, const tgk_arg *wa, double *z) {
    int64_t groups = wa->extent[0], ol = wa->extent[1], per = wa->extent[2] * wa->extent[3];
    for (int64_t i = 0; i < s * groups * ol; i++) {
        int64_t token = i / (groups * ol), g = i / ol % groups;
        const double *x = o + (token * groups + g) * per, *w = wa->f + (i % (groups * ol)) * per;
        double sum = 0;
        for (int64_t c = 0; c < per; c++) {
            sum += x[c] * w[c];
        }
        z[i] = sum;
    }
}

/* ---- the kernels one by one ---- */

/* (x [S,K], w [N,K], out y [S,N]) */
bool tgv_project(tgk_arg *a, int n) {
    tgv_product(a[0].f, a[0].extent[0], a[0].extent[1], a[1].f, a[1].extent[0], a[2].f);
    return n == 3;
}

/* (x [S,K], w [N,K], g [N], eps, cs, pos [S], out y [S,N]) */
bool tgv_latent(tgk_arg *a, int n) {
    int64_t s = a[0].extent[0], cols = a[1].extent[0];
    tgv_product(a[0].f, s, a[0].extent[1], a[1].f, cols, a[6].f);
    norm_turn(a[6].f, s, 1, cols, true, a[2].f, tgk_float(&a[3]),
              tgk_constant_of(a, "ROPE", 0) != 0 ? &a[4] : NULL, &a[5]);
    return n == 7;
}

/* (x [S,K], w [H,D,K], eps, cs, pos [S], out q [S,H,D]) */
bool tgv_heads(tgk_arg *a, int n) {
    int64_t s = a[0].extent[0], heads = a[1].extent[0], d = a[1].extent[1];
    tgv_product(a[0].f, s, a[0].extent[1], a[1].f, heads * d, a[5].f);
    norm_turn(a[5].f, s, heads, d, tgk_constant_of(a, "NORM", 0) != 0, NULL, tgk_float(&a[2]),
              &a[3], &a[4]);
    return n == 6;
}

/* (q [S,HI,DI], k [N,DI], w [S,HI], factor, out s [S,N], out end [S]) */
bool tgv_scores(tgk_arg *a, int n) {
    int64_t heads = a[0].extent[1], d = a[0].extent[2], entries = a[1].extent[0],
            m = tgk_constant_of(a, "M", 1);
    for (int64_t i = 0; i < a[4].count; i++) {
        int64_t t = i / entries, e = i % entries;
        a[4].f[i] = e < (t + 1) / m ? tgv_score(a[0].f + t * heads * d, a[1].f + e * d,
                                                a[2].f + t * heads, heads, d, tgk_float(&a[3]))
                                    : -INFINITY;
    }
    for (int64_t t = 0; t < a[5].count; t++) {
        a[5].i[t] = (t + 1) / m;
    }
    return n == 6;
}

/* (q [S,H,D], kv [S,D], entries [N,D], [idx [S,K],] sink, scale, cs, out o) */
static bool attend_kernel(tgk_arg *a, bool listed) {
    const tgk_arg *rest = a + (listed ? 4 : 3);
    int64_t heads = a[0].extent[1], k = listed ? a[3].extent[1] : 0;
    tgv_attend at = {.kv = a[1].f,
                     .entries = a[2].f,
                     .sink = rest[0].f,
                     .dim = a[0].extent[2],
                     .heads = heads,
                     .window = tgk_constant_of(a, "WIN", 1),
                     .scale = tgk_float(&rest[1]),
                     .cs = &rest[2]};
    for (int64_t i = 0; i < a[0].extent[0] * heads; i++) {
        int64_t t = i / heads, done = (t + 1) / tgk_constant_of(a, "M", 1);
        attend_one(&at, t, i % heads, a[0].f + i * at.dim, listed ? a[3].i + t * k : NULL,
                   listed                  ? k
                   : done < a[2].extent[0] ? done
                                           : a[2].extent[0],
                   a[2].extent[0], rest[3].f + i * at.dim);
    }
    return true;
}

bool tgv_attend_all(tgk_arg *a, int n) { return n == 7 && attend_kernel(a, false); }
bool tgv_attend_some(tgk_arg *a, int n) { return n == 8 && attend_kernel(a, true); }

/* (o [S,H,D], wa [G,OL,HG,D], out z [S,G,OL]) */
bool tgv_group_out(tgk_arg *a, int n) {
    tgv_group_rows(a[0].f, a[0].extent[0], &a[1], a[2].f);
    return n == 3;
}

/* (z [S,G,OL], wb [N,G,OL], out y [S,N]) */
bool tgv_out(tgk_arg *a, int n) {
    tgv_product(a[0].f, a[0].extent[0], a[0].extent[1] * a[0].extent[2], a[1].f, a[1].extent[0],
                a[2].f);
    return n == 3;
}

/* ---- the layer ---- */

const tgk_arg *tgv_arg(const tgv_layer *l, const char *name) {
    return tgk_find(l->args, l->n, name);
}

tgv_layer tgv_layer_of(tgk_arg *a, int n) {
    tgv_layer l = {.args = a, .n = n, .x = &a[0], .type = a[0].dtype};
    l.cs = tgv_arg(&l, "cs");
    l.tokens = l.x->extent[0];
    l.hidden = l.x->extent[1];
    l.eps = tgk_float(tgv_arg(&l, "eps"));
    return l;
}

/* RMSNorm(x w) with gain g, turned or not, as stored. */
double *tgv_latent_rows(const tgv_layer *l, tgv_scratch *s, const char *w, const char *g,
                        bool turn) {
    const tgk_arg *weight = tgv_arg(l, w);
    int64_t cols = weight->extent[0];
    double *y = tgv_take(s, l->tokens * cols);
    if (y != NULL) {
        tgv_product(l->x->f, l->tokens, l->hidden, weight->f, cols, y);
        norm_turn(y, l->tokens, 1, cols, true, tgv_arg(l, g)->f, l->eps, turn ? l->cs : NULL,
                  tgv_arg(l, "pos"));
        tgv_store_all(l->type, y, l->tokens * cols);
    }
    return y;
}

double *tgv_head_rows(const tgv_layer *l, tgv_scratch *s, const double *qr, const char *w,
                      bool norm) {
    const tgk_arg *weight = tgv_arg(l, w);
    int64_t h = weight->extent[0], d = weight->extent[1];
    double *y = tgv_take(s, l->tokens * h * d);
    if (y != NULL && qr != NULL) {
        tgv_product(qr, l->tokens, weight->extent[2], weight->f, h * d, y);
        norm_turn(y, l->tokens, h, d, norm, NULL, l->eps, l->cs, tgv_arg(l, "pos"));
        tgv_store_all(l->type, y, l->tokens * h * d);
    }
    return y;
}

/* The compressed entries of x by weights wc, wz, as stored. */
static double *entries_of(const tgv_layer *l, tgv_scratch *s, const char *wc, const char *wz,
                          const char *ape, const char *gain) {
    const tgk_arg *pos = tgv_arg(l, ape), *g = tgv_arg(l, gain);
    int64_t m = pos->extent[0], width = pos->extent[1], d = g->extent[0];
    double *c = tgv_take(s, l->tokens * width), *z = tgv_take(s, l->tokens * width);
    double *y = tgv_take(s, l->tokens / m * d);
    if (c == NULL || z == NULL || y == NULL) {
        return NULL;
    }
    tgv_product(l->x->f, l->tokens, l->hidden, tgv_arg(l, wc)->f, width, c);
    tgv_product(l->x->f, l->tokens, l->hidden, tgv_arg(l, wz)->f, width, z);
    tgv_pool p = {
        .width = width, .dim = d, .m = m, .overlap = width > d, .c = c, .z = z, .ape = pos->f};
    for (int64_t w = 0; w < l->tokens / m; w++) {
        tgv_entry(&p, w, y + w * d);
        tgv_norm(y + w * d, d, g->f, l->eps);
        tgv_turn(y + w * d, d, l->cs->f + w * m * l->cs->extent[1], l->cs->extent[1] / 2, 1);
    }
    tgv_store_all(l->type, y, l->tokens / m * d);
    return y;
}

/* The k best of s[0 .. n) into list, the rest -1; returns how far the last is above the next. */
double tgv_choose(const double *s, int64_t n, int64_t k, int64_t *list) {
    double least = INFINITY, next = -INFINITY;
    for (int64_t j = 0; j < k; j++) {
        list[j] = -1;
    }
    for (int64_t e = 0; e < n; e++) {
        int64_t rank = 0;
        for (int64_t o = 0; o < n; o++) {
            rank += s[o] > s[e] || (s[o] == s[e] && o < e);
        }
        if (rank < k) {
            list[rank] = e;
            least = fmin(least, s[e]);
        } else {
            next = fmax(next, s[e]);
        }
    }
    return least - next;
}

/* CSA's index lists, as whole numbers in `list` [S, k]; the least gap over all tokens. */
static double index_lists(const tgv_layer *l, tgv_scratch *s, const double *qr, int64_t k,
                          int64_t *list) {
    const tgk_arg *wiq = tgv_arg(l, "wiq");
    int64_t heads = wiq->extent[0], d = wiq->extent[1], m = tgv_arg(l, "iape")->extent[0];
    double *iq = tgv_head_rows(l, s, qr, "wiq", false), *iw = tgv_take(s, l->tokens * heads);
    double *keys = entries_of(l, s, "wic", "wiz", "iape", "gi");
    double *row = tgv_take(s, l->tokens), gap = INFINITY;
    if (s->failed) {
        return 0;
    }
    tgv_product(l->x->f, l->tokens, l->hidden, tgv_arg(l, "wiw")->f, heads, iw);
    for (int64_t t = 0; t < l->tokens; t++) {
        int64_t seen = (t + 1) / m;
        for (int64_t e = 0; e < seen; e++) {
            row[e] = tgv_score(iq + t * heads * d, keys + e * d, iw + t * heads, heads, d,
                               tgk_float(tgv_arg(l, "factor")));
        }
        gap = fmin(gap, tgv_choose(row, seen, k, list + t * k));
    }
    return gap;
}

typedef enum layer_kind { SWA, HCA, CSA } layer_kind;

static bool run_layer(tgk_arg *args, int n, layer_kind kind) {
    tgv_layer l = tgv_layer_of(args, n);
    tgv_scratch s = {.n = 0};
    const tgk_arg *wqb = tgv_arg(&l, "wqb"), *wa = tgv_arg(&l, "wa"), *wb = tgv_arg(&l, "wb");
    int64_t h = wqb->extent[0], d = wqb->extent[1], k = tgk_constant_of(args, "KTOP", 0);
    double *qr = tgv_latent_rows(&l, &s, "wqa", "gq", false),
           *q = tgv_head_rows(&l, &s, qr, "wqb", true);
    double *kv = tgv_latent_rows(&l, &s, "wkv", "gkv", true);
    double *entries = kind == SWA ? NULL : entries_of(&l, &s, "wc", "wz", "ape", "gc");
    double *o = tgv_take(&s, l.tokens * h * d),
           *z = tgv_take(&s, l.tokens * wa->extent[0] * wa->extent[1]);
    int64_t *list = calloc((size_t)(l.tokens * k) + 1, sizeof *list);
    if (s.failed || list == NULL) {
        free(list);
        return tgv_release(&s) && false;
    }
    if (kind == CSA) {
        (void)index_lists(&l, &s, qr, k, list);
    }
    tgv_attend at = {.kv = kv,
                     .entries = entries,
                     .sink = tgv_arg(&l, "sink")->f,
                     .dim = d,
                     .heads = h,
                     .window = tgk_constant_of(args, "WIN", 1),
                     .scale = tgk_float(tgv_arg(&l, "scale")),
                     .cs = l.cs};
    for (int64_t i = 0; i < l.tokens * h; i++) {
        int64_t t = i / h, m = kind == SWA ? 1 : tgv_arg(&l, "ape")->extent[0];
        attend_one(&at, t, i % h, q + i * d, kind == CSA ? list + t * k : NULL,
                   kind == SWA   ? 0
                   : kind == HCA ? (t + 1) / m
                                 : k,
                   l.tokens / m, o + i * d);
    }
    tgv_group_rows(o, l.tokens, wa, z);
    tgv_product(z, l.tokens, wa->extent[0] * wa->extent[1], wb->f, wb->extent[0],
                tgk_find(args, n, "y")->f);
    free(list);
    return tgv_release(&s);
}

bool tgv_layer_swa(tgk_arg *a, int n) { return run_layer(a, n, SWA); }
bool tgv_layer_hca(tgk_arg *a, int n) { return run_layer(a, n, HCA); }
bool tgv_layer_csa(tgk_arg *a, int n) { return run_layer(a, n, CSA); }

/* ---- inputs ---- */

/* Divides weights by the root of how many of them a sum has; bf16 values stay bf16 values. */
void tgv_scale_weights(tgk_arg *a, int n, tg_dtype type) {
    static const char *const names[] = {"w",  "wqa", "wqb", "wkv", "wa",  "wb", "wc",
                                        "wz", "wiq", "wiw", "wic", "wiz", NULL};
    for (int i = 0; names[i] != NULL; i++) {
        tgk_arg *w = tgk_find(a, n, names[i]);
        if (w == NULL || w->rank < 2) {
            continue;
        }
        int64_t terms = w->extent[w->rank - 1];
        terms *= strcmp(names[i], "wa") == 0 ? w->extent[2] : 1;
        terms *= strcmp(names[i], "wb") == 0 ? 16 * w->extent[1] : 1;
        for (int64_t e = 0; e < w->count; e++) {
            w->f[e] = tgv_stored(type, w->f[e] / sqrt((double)terms));
        }
    }
}

void tgv_fill_scalars(tgk_arg *a, int n, tgk_random *r) {
    tgk_arg *sink = tgk_find(a, n, "sink"), *scale = tgk_find(a, n, "scale"),
            *eps = tgk_find(a, n, "eps"), *cs = tgk_find(a, n, "cs"),
            *factor = tgk_find(a, n, "factor");
    bool layer = tgk_find(a, n, "wa") != NULL;
    for (int64_t h = 0; sink != NULL && h < sink->count; h++) {
        int64_t kind = tgk_random_below(r, 8);
        sink->f[h] = kind == 0 ? -INFINITY : kind == 1 ? INFINITY : tgk_random_normal(r);
    }
    if (scale != NULL) {
        tgk_arg *wqb = tgk_find(a, n, "wqb"), *q = tgk_find(a, n, "q");
        scale->f[0] = 1 / sqrt((double)(wqb != NULL ? wqb->extent[1] : q->extent[2]));
    }
    if (eps != NULL) {
        eps->f[0] = layer || tgk_random_below(r, 2) == 0 ? 1e-6 : 0.25; /* one that shows */
    }
    if (cs != NULL) {
        tgv_fill_table(cs);
    }
    tgk_arg *pos = tgk_find(a, n, "pos"), *wa = tgk_find(a, n, "wa");
    for (int64_t t = 0; pos != NULL && cs != NULL && t < pos->count;
         t++) { /* a layer's prompt, or any */
        pos->i[t] = wa != NULL ? t : tgk_random_below(r, cs->extent[0]);
    }
    if (factor != NULL) {
        const tgk_arg *w = tgk_find(a, n, "wiq"), *q = tgk_find(a, n, "q");
        factor->f[0] = 1 / sqrt((double)(w != NULL ? w->extent[0] * w->extent[1]
                                                   : q->extent[1] * q->extent[2]));
    }
}

static void set_column(tgk_arg *a, double v) {
    for (int64_t i = 0; a != NULL && a->f != NULL && i < a->count; i += a->extent[a->rank - 1]) {
        a->f[i] = isnan(a->f[i]) ? a->f[i] : v;
    }
}

void tgv_far_logits(tgk_arg *a, int n, tgk_random *r) {
    static const char *const keys[] = {"kv", "ring", "entries"};
    tgk_arg *q = tgk_find(a, n, "q"), *sink = tgk_find(a, n, "sink");
    double scale = tgk_float(tgk_find(a, n, "scale"));
    int64_t dim = q->extent[2], heads = q->extent[1];
    for (int i = 0; i < 3; i++) {
        set_column(tgk_find(a, n, keys[i]), 1);
    }
    for (int64_t i = 0; i < q->count; i += dim) {
        int64_t kind = tgk_random_below(r, 3) - 1;
        bool lost = kind < 0 && isfinite(sink->f[i / dim % heads]);
        q->f[i] = lost ? 0 : (double)kind * 300 / scale;
    }
}

void tgv_inputs_layer(tgk_arg *a, int n, tgk_random *r) {
    tgv_scale_weights(a, n, a[0].dtype);
    tgv_fill_scalars(a, n, r);
    if (tgk_find(a, n, "q") != NULL && tgk_find(a, n, "sink") != NULL) {
        tgv_far_logits(a, n, r);
    }
}

/* Index lists with entries that are not there. */
void tgv_inputs_attend_some(tgk_arg *a, int n, tgk_random *r) {
    tgv_inputs_layer(a, n, r);
    for (int64_t i = 0; i < a[3].count; i++) {
        a[3].i[i] = tgk_random_below(r, 4) == 0 ? 2147483647 - (i & 1) * 2147483647 * 2
                                                : tgk_random_below(r, a[2].extent[0]);
    }
}

/* A flipped rounding of a bf16 query or key moves a score by about 3e-4. */
void tgv_inputs_csa(tgk_arg *a, int n, tgk_random *r) {
    int64_t k = tgk_constant_of(a, "KTOP", 0);
    int64_t *list = calloc((size_t)(a[0].extent[0] * k) + 1, sizeof *list);
    double margin = a[0].dtype == TG_DT_BF16 ? 1e-3 : 1e-5, gap = 0;
    tgv_inputs_layer(a, n, r);
    for (int tries = 0; tries < 200 && gap < margin && list != NULL && !r->full; tries++) {
        for (int64_t i = 0; i < a[0].count; i++) {
            a[0].f[i] = tgv_stored(a[0].dtype, tgk_random_normal(r));
        }
        tgv_scratch s = {.n = 0};
        tgv_layer l = tgv_layer_of(a, n);
        gap = index_lists(&l, &s, tgv_latent_rows(&l, &s, "wqa", "gq", false), k, list);
        (void)tgv_release(&s);
    }
    free(list);
}
