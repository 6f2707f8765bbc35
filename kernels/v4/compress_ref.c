/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: the compressors of DeepSeek-V4 (attention.md K10, V4.1: section 8), whole prompts,
 * token by token, and the state between. Inputs: logits of a third of the channels stand at +300
 * and of a third at -300; state rows of tokens that have not come yet hold NaN.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/v4/v4_refs.h"

enum { MAX_DIM = 1024 };

/* Softmax over the tokens of one channel times the values. first/old: whether group w - 1 takes
 * part. */
static double pool_channel(const tgv_pool *p, int64_t w, int64_t d) {
    double top = -INFINITY, sum = 0, out = 0, x[512], v[512];
    int64_t count = 0;
    for (int half = p->overlap && w > 0 ? 0 : 1; half < 2; half++) {
        int64_t channel = p->overlap && half == 1 ? p->dim + d : d;
        for (int64_t i = 0; i < p->m; i++) {
            int64_t t = (w - 1 + half) * p->m + i;
            double ape = p->ape != NULL ? p->ape[i * p->width + channel] : 0;
            x[count] = (double)(float)(p->z[t * p->width + channel] + ape);
            v[count] = p->c[t * p->width + channel];
            top = fmax(top, x[count++]);
        }
    }
    for (int64_t i = 0; i < count; i++) {
        sum += exp(x[i] - top);
        out += exp(x[i] - top) * v[i];
    }
    return out / sum;
}

void tgv_entry(const tgv_pool *p, int64_t w, double *out) {
    for (int64_t d = 0; d < p->dim; d++) {
        out[d] = pool_channel(p, w, d);
    }
}

void tgv_norm(double *y, int64_t n, const double *g, double eps) {
    double ss = 0;
    for (int64_t i = 0; i < n; i++) {
        ss += y[i] * y[i];
    }
    double k = 1 / sqrt(ss / (double)n + eps);
    for (int64_t i = 0; i < n; i++) {
        y[i] *= g != NULL ? k * g[i] : k;
    }
}

void tgv_turn(double *y, int64_t n, const double *cs, int64_t pairs, double sign) {
    for (int64_t i = 0; i < pairs; i++) {
        double *p = y + n - 2 * pairs + 2 * i, a = p[0], b = p[1];
        double c = cs[i], s = sign * cs[pairs + i];
        p[0] = a * c - b * s;
        p[1] = a * s + b * c;
    }
}

void tgv_fill_table(tgk_arg *cs) {
    int64_t pairs = cs->extent[1] / 2;
    for (int64_t p = 0; p < cs->extent[0]; p++) {
        for (int64_t i = 0; i < pairs; i++) {
            double angle = (double)p * pow(10000, -(double)i / (double)pairs);
            cs->f[p * 2 * pairs + i] = cos(angle);
            cs->f[p * 2 * pairs + pairs + i] = sin(angle);
        }
    }
}

/* The entries of one prompt whose tokens begin at row t0 of p's c and z; `latent` may be NULL. */
static void prompt_entries(const tgv_pool *p, int64_t t0, int64_t count, const double *g,
                           double eps, const tgk_arg *cs, double *latent, double *y) {
    tgv_pool at = *p;
    at.c += t0 * p->width;
    at.z += t0 * p->width;
    for (int64_t w = 0; w < count; w++) {
        double *row = y + w * p->dim;
        tgv_entry(&at, w, row);
        tgv_norm(row, p->dim, g, eps);
        if (latent != NULL) {
            memcpy(latent + w * p->dim, row, (size_t)p->dim * sizeof *row);
        }
        tgv_turn(row, p->dim, cs->f + w * p->m * cs->extent[1], cs->extent[1] / 2, 1);
    }
}

/* Whole prompts, by name: one, or several with cu, ce, `most`. Entries that no prompt has are 0. */
static bool whole(tgk_arg *a, int n, bool overlap) {
    const tgk_arg *ape = tgk_find(a, n, "ape"), *g = tgk_find(a, n, "g"),
                  *cs = tgk_find(a, n, "cs"), *cu = tgk_find(a, n, "cu"),
                  *ce = tgk_find(a, n, "ce");
    tgk_arg *y = tgk_find(a, n, "y"), *latent = tgk_find(a, n, "latent");
    tgv_pool p = {.width = a[0].extent[1],
                  .dim = g->extent[0],
                  .m = tgk_constant_of(a, "M", 1),
                  .overlap = overlap,
                  .c = a[0].f,
                  .z = a[1].f,
                  .ape = ape != NULL ? ape->f : NULL};
    double eps = tgk_float(tgk_find(a, n, "eps"));
    if (cu == NULL) {
        prompt_entries(&p, 0, y->extent[0], g->f, eps, cs, latent != NULL ? latent->f : NULL, y->f);
        return true;
    }
    memset(y->f, 0, (size_t)y->count * sizeof *y->f);
    if (latent != NULL) {
        memset(latent->f, 0, (size_t)latent->count * sizeof *latent->f);
    }
    for (int64_t b = 0; b + 1 < cu->count; b++) {
        int64_t row = ce->i[b] * p.dim;
        prompt_entries(&p, cu->i[b], (cu->i[b + 1] - cu->i[b]) / p.m, g->f, eps, cs,
                       latent != NULL ? latent->f + row : NULL, y->f + row);
    }
    return true;
}

bool tgv_compress_plain(tgk_arg *a, int n) { return whole(a, n, false); }
bool tgv_compress_overlap(tgk_arg *a, int n) { return whole(a, n, true); }

/* ---- token by token ---- */

/* A request's ring: rows of [C, Z + ape][width]. */
typedef struct ring {
    double *at;
    int64_t rows, width, m;
} ring;

static void put_token(const ring *s, int64_t p, const double *c, const double *z,
                      const double *ape) {
    double *row = s->at + (s->rows - s->m + p % s->m) * 2 * s->width;
    for (int64_t i = 0; i < s->width; i++) {
        row[i] = c[i];
        double pe = ape != NULL ? ape[p % s->m * s->width + i] : 0;
        row[s->width + i] = (double)(float)(z[i] + pe);
    }
}

/* The entry that position p completes, from the ring alone: the ring's rows as tokens in order. */
static void ring_entry(const ring *s, int64_t p, int64_t dim, double *out) {
    bool overlap = s->rows > s->m;
    double *c = calloc((size_t)(s->rows * s->width), sizeof *c),
           *z = calloc((size_t)(s->rows * s->width), sizeof *z);
    for (int64_t r = 0; r < s->rows && c != NULL && z != NULL; r++) {
        memcpy(c + r * s->width, s->at + r * 2 * s->width, (size_t)s->width * sizeof *c);
        memcpy(z + r * s->width, s->at + (r * 2 + 1) * s->width, (size_t)s->width * sizeof *z);
    }
    /* Group 1 of the ring looks back on its group 0; without a group before, group 0 is all. */
    bool alone = overlap && p < s->m;
    tgv_pool pool = {.width = s->width,
                     .dim = dim,
                     .m = s->m,
                     .overlap = overlap,
                     .c = alone ? c + s->m * s->width : c,
                     .z = alone ? z + s->m * s->width : z};
    if (c != NULL && z != NULL) {
        tgv_entry(&pool, overlap && !alone ? 1 : 0, out);
    }
    free(c);
    free(z);
}

bool tgv_stream(tgk_arg *state, int64_t slot, const tgv_tokens *t, int64_t p, const double *c,
                const double *z, double *latent, double *y) {
    int64_t rows = state->extent[1], width = state->extent[3];
    ring s = {state->f + slot * rows * 2 * width, rows, width, t->m};
    put_token(&s, p, c, z, t->ape);
    if ((p + 1) % t->m != 0) {
        return false;
    }
    ring_entry(&s, p, t->dim, y);
    tgv_norm(y, t->dim, t->g, t->eps);
    if (latent != NULL) {
        memcpy(latent, y, (size_t)t->dim * sizeof *y);
    }
    tgv_turn(y, t->dim, t->cs->f + (p - t->m + 1) * t->cs->extent[1], t->cs->extent[1] / 2, 1);
    if (rows > t->m) {
        memcpy(s.at, s.at + t->m * 2 * width, (size_t)(t->m * 2 * width) * sizeof *s.at);
    }
    return true;
}

/* (inout state, slot [B], cu, pos [S], c [S,W], z, [ape,] g, eps, cs, [out latent,] out y, out
 * entry) */
bool tgv_compress_step(tgk_arg *a, int n) {
    const tgk_arg *cu = tgk_find(a, n, "cu"), *pos = tgk_find(a, n, "pos"),
                  *c = tgk_find(a, n, "c"), *z = tgk_find(a, n, "z"), *ape = tgk_find(a, n, "ape"),
                  *g = tgk_find(a, n, "g");
    tgk_arg *y = tgk_find(a, n, "y"), *entry = tgk_find(a, n, "entry"),
            *latent = tgk_find(a, n, "latent");
    int64_t width = c->extent[1];
    tgv_tokens t = {.m = tgk_constant_of(a, "M", 1),
                    .dim = g->extent[0],
                    .ape = ape != NULL ? ape->f : NULL,
                    .g = g->f,
                    .eps = tgk_float(tgk_find(a, n, "eps")),
                    .cs = tgk_find(a, n, "cs")};
    memset(y->f, 0, (size_t)y->count * sizeof *y->f);
    if (latent != NULL) {
        memset(latent->f, 0, (size_t)latent->count * sizeof *latent->f);
    }
    for (int64_t b = 0; b + 1 < cu->count; b++) {
        for (int64_t i = cu->i[b]; i < cu->i[b + 1]; i++) {
            bool ends =
                tgv_stream(&a[0], a[1].i[b], &t, pos->i[i], c->f + i * width, z->f + i * width,
                           latent != NULL ? latent->f + i * t.dim : NULL, y->f + i * t.dim);
            entry->i[i] = ends ? pos->i[i] / t.m : -1;
        }
    }
    return true;
}

/* (c [S,W], z, cu, ape, s [B], inout state): what is left of the last group, and the one before. */
bool tgv_compress_state(tgk_arg *a, int n) {
    int64_t width = a[0].extent[1], m = a[3].extent[0], rows = a[5].extent[1];
    for (int64_t b = 0; b + 1 < a[2].count; b++) {
        int64_t t0 = a[2].i[b], tokens = a[2].i[b + 1] - t0;
        const double *c = a[0].f + t0 * width, *z = a[1].f + t0 * width;
        ring s = {a[5].f + a[4].i[b] * rows * 2 * width, rows, width, m};
        ring old = {s.at, m, width, m};
        for (int64_t t = tokens / m * m; t < tokens; t++) {
            put_token(&s, t, c + t * width, z + t * width, a[3].f);
        }
        for (int64_t t = (tokens / m - 1) * m; rows > m && tokens >= m && t < tokens / m * m; t++) {
            put_token(&old, t, c + t * width, z + t * width, a[3].f);
        }
    }
    return n == 6;
}

/* ---- inputs ---- */

static void offset_logits(tgk_arg *z, int64_t width) {
    static const double offset[3] = {0, 300, -300};
    for (int64_t i = 0; i < z->count; i++) {
        z->f[i] = 2 * z->f[i] + offset[i % width % 3];
    }
}

/* The model's, or one that shows. */
static void fill_eps(tgk_arg *a, int n, tgk_random *r) {
    double own = tgk_find(a, n, "ape") != NULL ? 1e-6 : 1e-20;
    tgk_find(a, n, "eps")->f[0] = tgk_random_below(r, 2) == 0 ? 0.25 : own;
}

/* cu, ce and `most` of several prompts: the first the longest, an empty one among them. A group of
 * tokens behind the last prompt is nobody's: an entry made from it would be seen. */
static void cut_prompts(tgk_arg *a, int n, tgk_random *r) {
    tgk_arg *cu = tgk_find(a, n, "cu"), *ce = tgk_find(a, n, "ce"), *most = tgk_find(a, n, "most");
    int64_t m = tgk_constant_of(a, "M", 1), total = a[0].extent[0];
    for (int64_t b = 1; cu != NULL && b < cu->count; b++) {
        int64_t left = total - cu->i[b - 1];
        cu->i[0] = 0;
        cu->i[b] = b + 1 == cu->count ? total - (left > 2 * m ? m : 0)
                   : b == 1           ? left / 2 + tgk_random_below(r, left / 4 + 1)
                   : b == 2           ? cu->i[b - 1]
                                      : cu->i[b - 1] + tgk_random_below(r, left + 1);
    }
    for (int64_t b = 1; ce != NULL && b < ce->count; b++) {
        int64_t count = (cu->i[b] - cu->i[b - 1]) / m;
        ce->i[b] = (ce->i[0] = 0, ce->i[b - 1]) + count;
        most->i[0] = b == 1 || count > most->i[0] ? count : most->i[0];
    }
}

void tgv_inputs_compress(tgk_arg *a, int n, tgk_random *r) {
    offset_logits(&a[1], a[1].extent[1]);
    fill_eps(a, n, r);
    tgv_fill_table(tgk_find(a, n, "cs"));
    cut_prompts(a, n, r);
}

/* Rows of a state that no token of the request has filled hold NaN. */
void tgv_poison_state(tgk_arg *state, int64_t slot, int64_t p, int64_t m) {
    int64_t rows = state->extent[1], width = state->extent[3];
    for (int64_t row = 0; row < rows; row++) {
        bool young = row >= rows - m + p % m, old = rows > m && row < m && p < m;
        for (int64_t i = 0; i < 2 * width && (young || old); i++) {
            state->f[(slot * rows + row) * 2 * width + i] = NAN;
        }
    }
}

tgv_share tgv_share_of(int64_t b, int64_t requests, int64_t tokens, int64_t m, int64_t most,
                       tgk_random *r) {
    tgv_share s = {.b = b, .first = tokens * b / requests, .slot = requests - 1 - b};
    s.count = tokens * (b + 1) / requests - s.first;
    int64_t last = most - s.count;
    s.p = r->full || b == 2 ? last : b == 0 ? 0 : b == 1 ? m - 1 : tgk_random_below(r, last + 1);
    s.p = s.p > last ? last : s.p;
    return s;
}

void tgv_place_share(const tgv_share *s, tgk_arg *cu, tgk_arg *slot, tgk_arg *pos) {
    for (int64_t i = 0; i < s->count; i++) {
        pos->i[s->first + i] = s->p + i;
    }
    if (cu != NULL) {
        cu->i[0] = 0;
        cu->i[s->b + 1] = s->first + s->count;
    }
    if (slot != NULL) {
        slot->i[s->b] = s->slot;
    }
}

void tgv_inputs_step(tgk_arg *a, int n, tgk_random *r) {
    static const double offset[3] = {0, 300, -300};
    tgk_arg *cs = tgk_find(a, n, "cs"), *z = tgk_find(a, n, "z"), *pos = tgk_find(a, n, "pos"),
            *cu = tgk_find(a, n, "cu");
    int64_t m = tgk_constant_of(a, "M", 1), width = z->extent[1];
    offset_logits(z, width);
    for (int64_t i = 0; i < a[0].count; i++) { /* Z rows like z, C rows like c */
        a[0].f[i] += i / width % 2 == 1 ? offset[i % width % 3] : 0;
    }
    for (int64_t b = 0; b < a[1].count; b++) {
        tgv_share s = tgv_share_of(b, a[1].count, pos->count, m, cs->extent[0], r);
        tgv_place_share(&s, cu, &a[1], pos);
        if (s.count > 0) {
            tgv_poison_state(&a[0], s.slot, s.p, m);
        }
    }
    fill_eps(a, n, r);
    tgv_fill_table(cs);
}

void tgv_inputs_state(tgk_arg *a, int n, tgk_random *r) {
    cut_prompts(a, n, r);
    int64_t slots = a[5].extent[0], first = tgk_random_below(r, slots);
    for (int64_t b = 0; b < a[4].count; b++) {
        a[4].i[b] = (first + b) % slots;
    }
    offset_logits(&a[1], a[1].extent[1]);
}
