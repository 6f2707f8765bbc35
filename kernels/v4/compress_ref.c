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

/* (c [S,W], z [S,W], ape [M,W], g [D], eps, cs [P,2R], out y [S/M, D]) */
static bool whole(tgk_arg *a, int n, bool overlap) {
    tgk_arg *y = &a[6];
    const tgk_arg *cs = &a[5];
    if (n != 7) {
        return false;
    }
    tgv_pool p = {.width = a[0].extent[1],
                  .dim = a[3].extent[0],
                  .m = a[2].extent[0],
                  .overlap = overlap,
                  .c = a[0].f,
                  .z = a[1].f,
                  .ape = a[2].f};
    for (int64_t w = 0; w < y->extent[0]; w++) {
        double *row = y->f + w * p.dim;
        tgv_entry(&p, w, row);
        tgv_norm(row, p.dim, a[3].f, tgk_float(&a[4]));
        tgv_turn(row, p.dim, cs->f + w * p.m * cs->extent[1], cs->extent[1] / 2, 1);
    }
    return true;
}

bool tgv_compress_plain(tgk_arg *a, int n) { return whole(a, n, false); }
bool tgv_compress_overlap(tgk_arg *a, int n) { return whole(a, n, true); }

/* (c [S,D], z [S,D], g, eps, cs, out latent [S/M,D], out y [S/M,D]) */
bool tgv_compress_latent(tgk_arg *a, int n) {
    int64_t dim = a[0].extent[1], m = tgk_constant_of(a, "M", 1);
    const tgk_arg *cs = &a[4];
    tgv_pool p = {.width = dim, .dim = dim, .m = m, .c = a[0].f, .z = a[1].f};
    for (int64_t w = 0; w < a[6].extent[0]; w++) {
        double *row = a[6].f + w * dim;
        tgv_entry(&p, w, row);
        tgv_norm(row, dim, a[2].f, tgk_float(&a[3]));
        memcpy(a[5].f + w * dim, row, (size_t)dim * sizeof *row);
        tgv_turn(row, dim, cs->f + w * m * cs->extent[1], cs->extent[1] / 2, 1);
    }
    return n == 7;
}

/* ---- token by token ---- */

/* A request's ring: rows of [C, Z + ape][width]. */
typedef struct ring {
    double *at;
    int64_t rows, width, m;
} ring;

static void put_token(ring *s, int64_t p, const double *c, const double *z, const double *ape) {
    double *row = s->at + (s->rows - s->m + p % s->m) * 2 * s->width;
    for (int64_t i = 0; i < s->width; i++) {
        row[i] = c[i];
        row[s->width + i] = (double)(float)(z[i] + ape[p % s->m * s->width + i]);
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

/* (inout state, slot, pos, c [B,NEXT,W], z, ape, g, eps, cs, out y [B,NEXT,D], out entry [B,NEXT])
 */
static bool step(tgk_arg *a, int n) {
    int64_t next = a[3].extent[1], width = a[3].extent[2], m = a[5].extent[0], dim = a[6].extent[0],
            rows = a[0].extent[1];
    const tgk_arg *cs = &a[8];
    memset(a[9].f, 0, (size_t)a[9].count * sizeof(double));
    for (int64_t i = 0; i < a[10].count; i++) {
        int64_t b = i / next, p = a[2].i[b] + i % next;
        ring s = {a[0].f + a[1].i[b] * rows * 2 * width, rows, width, m};
        put_token(&s, p, a[3].f + i * width, a[4].f + i * width, a[5].f);
        a[10].i[i] = -1;
        if ((p + 1) % m != 0) {
            continue;
        }
        double *y = a[9].f + i * dim;
        ring_entry(&s, p, dim, y);
        tgv_norm(y, dim, a[6].f, tgk_float(&a[7]));
        tgv_turn(y, dim, cs->f + (p - m + 1) * cs->extent[1], cs->extent[1] / 2, 1);
        a[10].i[i] = p / m;
        if (rows > m) {
            memcpy(s.at, s.at + m * 2 * width, (size_t)(m * 2 * width) * sizeof *s.at);
        }
    }
    return n == 11;
}

bool tgv_compress_plain_step(tgk_arg *a, int n) { return step(a, n); }
bool tgv_compress_overlap_step(tgk_arg *a, int n) { return step(a, n); }

/* (c [S,W], z, ape, s [1], inout state): what is left of the last group, and the one before it. */
static bool state_after(tgk_arg *a, int n) {
    int64_t tokens = a[0].extent[0], width = a[0].extent[1], m = a[2].extent[0],
            rows = a[4].extent[1];
    ring s = {a[4].f + a[3].i[0] * rows * 2 * width, rows, width, m};
    for (int64_t t = tokens / m * m; t < tokens; t++) {
        put_token(&s, t, a[0].f + t * width, a[1].f + t * width, a[2].f);
    }
    ring old = {s.at, m, width, m};
    for (int64_t i = 0; i < m && rows > m && tokens >= m; i++) {
        int64_t t = (tokens / m - 1) * m + i;
        put_token(&old, t, a[0].f + t * width, a[1].f + t * width, a[2].f);
    }
    return n == 5;
}

bool tgv_compress_plain_state(tgk_arg *a, int n) { return state_after(a, n); }
bool tgv_compress_overlap_state(tgk_arg *a, int n) { return state_after(a, n); }

/* ---- inputs ---- */

static void offset_logits(tgk_arg *z, int64_t width) {
    static const double offset[3] = {0, 300, -300};
    for (int64_t i = 0; i < z->count; i++) {
        z->f[i] = 2 * z->f[i] + offset[i % width % 3];
    }
}

void tgv_inputs_compress(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    (void)r;
    offset_logits(&a[1], a[1].extent[1]);
    a[4].f[0] = 1e-6;
    tgv_fill_table(&a[5]);
}

void tgv_inputs_latent(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    (void)r;
    offset_logits(&a[1], a[1].extent[1]);
    a[3].f[0] = 1e-20;
    tgv_fill_table(&a[4]);
}

static void inputs_step(tgk_arg *a, tgk_random *r, bool overlap) {
    int64_t m = a[5].extent[0], next = a[3].extent[1], width = a[3].extent[2],
            rows = a[0].extent[1];
    offset_logits(&a[4], width);
    for (int64_t i = 0; i < a[0].count; i++) { /* Z rows like z, C rows like c */
        static const double offset[3] = {0, 300, -300};
        a[0].f[i] += i / width % 2 == 1 ? offset[i % width % 3] : 0;
    }
    for (int64_t b = 0; b < a[1].count; b++) {
        int64_t most = a[8].extent[0] - next;
        int64_t p = b == 0 ? 0 : b == 1 ? m - 1 : tgk_random_below(r, most + 1);
        a[1].i[b] = a[1].count - 1 - b;
        a[2].i[b] = p = p > most ? most : p;
        for (int64_t row = 0; row < rows; row++) {
            bool young = row >= rows - m + p % m, old = overlap && row < m && p < m;
            for (int64_t i = 0; i < 2 * width && (young || old); i++) {
                a[0].f[(a[1].i[b] * rows + row) * 2 * width + i] = NAN;
            }
        }
    }
    a[7].f[0] = 1e-6;
    tgv_fill_table(&a[8]);
}

void tgv_inputs_plain_step(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    inputs_step(a, r, false);
}

void tgv_inputs_overlap_step(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    inputs_step(a, r, true);
}

void tgv_inputs_state(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    a[3].i[0] = tgk_random_below(r, a[4].extent[0]);
    offset_logits(&a[1], a[1].extent[1]);
}
