/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: the products around MLA's attention, its prefill and both ops (attention.md K3, K4).
 * What an op keeps in a temporary of a small type is rounded to it here too: the gate is about
 * attention, and one rounding of q' alone would move it.
 */
#include "kernels/attention/attention_ref.h"
#include "kernels/mla/mla_ref.h"
#include "kernels/sparse/sparse_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LATENT = 512, ROPE = 64, ROW = LATENT + ROPE };

/* To nearest even in the significand of a type; exponents stay far from its ends. */
static double round_to(tg_dtype type, double v) {
    int exponent, digits = type == TG_DT_BF16 ? 8 : type == TG_DT_F16 ? 11 : 24;
    double m = frexp(v, &exponent);
    return ldexp(nearbyint(ldexp(m, digits)), exponent - digits);
}

/* mla_absorb_q(qn: [B, S, H, N], qr: [B, S, H, R], wk: [H, N, 512], out q: [B, S, H, 512 + R]) */
static void absorb_row(const double *qn, const double *qr, const double *wk, int64_t n,
                       int64_t rope, double *q) {
    memset(q, 0, LATENT * sizeof *q);
    for (int64_t i = 0; i < n; i++) {
        for (int c = 0; c < LATENT; c++) {
            q[c] += qn[i] * wk[i * LATENT + c];
        }
    }
    memcpy(q + LATENT, qr, (size_t)rope * sizeof *q);
}

bool mla_absorb_q(tgk_arg *args, int n) {
    const tgk_arg *qn = &args[0];
    int64_t heads = qn->extent[2], nope = qn->extent[3], rope = args[1].extent[3];
    for (int64_t i = 0; n == 4 && i < qn->extent[0] * qn->extent[1] * heads; i++) {
        absorb_row(qn->f + i * nope, args[1].f + i * rope, args[2].f + i % heads * nope * LATENT,
                   nope, rope, args[3].f + i * (LATENT + rope));
    }
    return n == 4;
}

/* mla_project_v(y: [B, S, H, 512], wv: [H, 512, V], out o: [B, S, H, V]) */
static void project_row(const double *y, const double *wv, int64_t v, double *o) {
    memset(o, 0, (size_t)v * sizeof *o);
    for (int c = 0; c < LATENT; c++) {
        for (int64_t i = 0; i < v; i++) {
            o[i] += y[c] * wv[c * v + i];
        }
    }
}

bool mla_project_v(tgk_arg *args, int n) {
    int64_t heads = args[0].extent[2], v = args[1].extent[2];
    for (int64_t i = 0; n == 3 && i < args[0].count / LATENT; i++) {
        project_row(args[0].f + i * LATENT, args[1].f + i % heads * LATENT * v, v,
                    args[2].f + i * v);
    }
    return n == 3;
}

/*
 * mla_decode_attention(qn, qr, wk, wv, cache: [P, BS, 1, 576], table: i32[B, NB], len: i32[B],
 * part, splits, sink, scale, out o: [B, S, H, V], out lse: f32[B, H, S])
 */
static bool decode_row(tgk_arg *args, int64_t i, attention_row *row, double *y) {
    const tgk_arg *qn = &args[0], *cache = &args[4], *table = &args[5];
    int64_t queries = qn->extent[1], heads = qn->extent[2], nope = qn->extent[3];
    int64_t h = i % heads, s = i / heads % queries, b = i / heads / queries;
    int64_t v = args[3].extent[2], bs = cache->extent[1];
    double q[ROW], *o = args[11].f + i * v, *lse = args[12].f + (b * heads + h) * queries + s;
    absorb_row(qn->f + i * nope, args[1].f + i * ROPE, args[2].f + h * nope * LATENT, nope, ROPE,
               q);
    for (int c = 0; c < ROW; c++) {
        q[c] = round_to(qn->dtype, q[c]);
    }
    attention_row_begin(row);
    for (int64_t t = 0; t <= args[6].i[b] - queries + s; t++) {
        int64_t page = table->i[b * table->extent[1] + t / bs];
        const double *kv = cache->f + (page * bs + t % bs) * ROW;
        attention_row_key(row, attention_dot(q, kv, ROW) * tgk_float(&args[10]), kv);
    }
    attention_row_end(row, args[9].f[h], y, lse);
    for (int c = 0; c < LATENT; c++) {
        y[c] = round_to(qn->dtype, y[c]);
    }
    project_row(y, args[3].f + h * LATENT * v, v, o);
    return true;
}

bool mla_decode_attention(tgk_arg *args, int n) {
    attention_row row;
    double y[LATENT];
    if (n != 13 || !attention_row_init(&row, LATENT)) {
        return false;
    }
    for (int64_t i = 0; i < args[0].extent[0] * args[0].extent[1] * args[0].extent[2]; i++) {
        (void)decode_row(args, i, &row, y);
    }
    attention_row_fini(&row);
    return true;
}

/* Sequences of queries and keys with head h's columns of kv. */
typedef struct prefill_call {
    const tgk_arg *q, *kr, *cq, *ck;
    const double *kv; /* [TK, H (N + V)] */
    double scale;
    int64_t right, nope, value;
    tgk_arg *o, *lse;
} prefill_call;

static void prefill_row(const prefill_call *c, int64_t b, int64_t i, int64_t h,
                        attention_row *row) {
    int64_t heads = c->q->extent[1], rope = c->kr->extent[1], width = c->nope + c->value;
    int64_t k0 = c->ck->i[b], sk = c->ck->i[b + 1] - k0, sq = c->cq->i[b + 1] - c->cq->i[b];
    const double *q = c->q->f + (i * heads + h) * (c->nope + rope);
    int64_t at = i - c->cq->i[b] + sk - sq;
    attention_row_begin(row);
    for (int64_t j = 0; j < sk && (c->right < 0 || j <= at + c->right); j++) {
        const double *k = c->kv + ((k0 + j) * heads + h) * width;
        double x = attention_dot(q, k, c->nope) +
                   attention_dot(q + c->nope, c->kr->f + (k0 + j) * rope, rope);
        attention_row_key(row, x * c->scale, k + c->nope);
    }
    attention_row_end(row, -INFINITY, c->o->f + (i * heads + h) * c->value,
                      c->lse->f + h * c->q->extent[0] + i);
}

static bool prefill(const prefill_call *c) {
    attention_row row;
    if (!attention_row_init(&row, c->value)) {
        return false;
    }
    memset(c->o->f, 0, (size_t)c->o->count * sizeof *c->o->f);
    for (int64_t i = 0; i < c->lse->count; i++) {
        c->lse->f[i] = INFINITY;
    }
    for (int64_t b = 0; b + 1 < c->cq->extent[0]; b++) {
        for (int64_t i = c->cq->i[b]; i < c->cq->i[b + 1]; i++) {
            for (int64_t h = 0; h < c->q->extent[1]; h++) {
                prefill_row(c, b, i, h, &row);
            }
        }
    }
    attention_row_fini(&row);
    return true;
}

static prefill_call prefill_of(tgk_arg *args, int n) {
    prefill_call c = {.q = tgk_find(args, n, "q"),
                      .kr = tgk_find(args, n, "kr"),
                      .cq = tgk_find(args, n, "cq"),
                      .ck = tgk_find(args, n, "ck"),
                      .scale = tgk_float(tgk_find(args, n, "scale")),
                      .right = tgk_int(tgk_find(args, n, "right")),
                      .o = tgk_find(args, n, "o"),
                      .lse = tgk_find(args, n, "lse")};
    c.value = c.o->extent[2];
    c.nope = c.q->extent[2] - c.kr->extent[1];
    return c;
}

/*
 * mla_prefill(q: [TQ, H, N + R], kv: [TK, H (N + V)], kr: [TK, R], cq, ck: i32[B+1], scale, right,
 * maxq, out o: [TQ, H, V], out lse: f32[H, TQ])
 */
bool mla_prefill(tgk_arg *args, int n) {
    prefill_call c = prefill_of(args, n);
    c.kv = args[1].f;
    return n == 10 && prefill(&c);
}

/* c = RMSNorm(latent), kv = c W^T; both rounded to the type. */
static void expand(tgk_arg *args, double *kv) {
    const tgk_arg *latent = &args[1], *gamma = &args[3], *w = &args[4];
    double c[LATENT];
    for (int64_t t = 0; t < latent->extent[0]; t++) {
        const double *x = latent->f + t * LATENT;
        double norm = 1 / sqrt(attention_dot(x, x, LATENT) / (double)LATENT + tgk_float(&args[8]));
        for (int i = 0; i < LATENT; i++) {
            c[i] = round_to(latent->dtype, x[i] * norm * gamma->f[i]);
        }
        for (int64_t i = 0; i < w->extent[0]; i++) {
            kv[t * w->extent[0] + i] =
                round_to(latent->dtype, attention_dot(c, w->f + i * LATENT, LATENT));
        }
    }
}

/*
 * mla_prefill_attention(q, latent: [TK, 512], kr, gamma: [512], wkv: [H (N + V), 512], cq, ck,
 * scale, eps, right, maxq, out o, out lse)
 */
bool mla_prefill_attention(tgk_arg *args, int n) {
    prefill_call c = prefill_of(args, n);
    double *kv = malloc((size_t)(args[1].extent[0] * args[4].extent[0] + 1) * sizeof *kv);
    bool ok = n == 13 && kv != NULL;
    if (ok) {
        expand(args, kv);
        c.kv = kv;
        ok = prefill(&c);
    }
    free(kv);
    return ok;
}

/* ---- inputs -----------------------------------------------------------------------------------
 */

static void scale_by(tgk_arg *a, double factor) {
    for (int64_t i = 0; a != NULL && i < a->count; i++) {
        a->f[i] *= factor;
    }
}

/* Weights keep the standard deviation of what goes through them. */
void mla_weight_inputs(tgk_arg *args, int n, tgk_random *r) {
    tgk_arg *wk = tgk_find(args, n, "wk");
    if (!r->exact) {
        scale_by(wk, wk == NULL ? 1 : 1 / sqrt((double)wk->extent[1]));
        scale_by(tgk_find(args, n, "wv"), 1 / sqrt(LATENT));
        scale_by(tgk_find(args, n, "wkv"), 1 / sqrt(LATENT));
    }
}

static void cumulative(tgk_arg *a, int64_t total, int64_t *out_longest, tgk_random *r) {
    int64_t parts = a->extent[0] - 1;
    a->i[0] = 0;
    *out_longest = 0;
    for (int64_t b = 1; b <= parts; b++) {
        int64_t left = total - a->i[b - 1];
        a->i[b] = b == parts ? total
                  : r->full  ? total * b / parts
                  : b == 2   ? a->i[b - 1]
                             : a->i[b - 1] + tgk_random_below(r, left + 1);
        int64_t length = a->i[b] - a->i[b - 1];
        *out_longest = length > *out_longest ? length : *out_longest;
    }
}

void mla_prefill_inputs(tgk_arg *args, int n, tgk_random *r) {
    int64_t longest, ignored;
    tgk_arg *q = tgk_find(args, n, "q"), *kr = tgk_find(args, n, "kr");
    tgk_arg *eps = tgk_find(args, n, "eps");
    double scale = (double)(float)(1 / sqrt((double)q->extent[2]));
    cumulative(tgk_find(args, n, "ck"), kr->extent[0], &ignored, r);
    cumulative(tgk_find(args, n, "cq"), q->extent[0], &longest, r);
    tgk_find(args, n, "maxq")->i[0] = longest;
    tgk_find(args, n, "right")->i[0] = r->full || tgk_random_below(r, 4) != 0 ? 0 : -1;
    tgk_find(args, n, "scale")->f[0] = scale;
    if (eps != NULL) {
        eps->f[0] = (double)1e-6f;
    }
    mla_weight_inputs(args, n, r);
    int64_t width = q->extent[2], rope = kr->extent[1];
    for (int64_t i = 0; i < kr->extent[0] && !r->exact; i++) { /* logits around +-300 */
        kr->f[i * rope] = 16;
    }
    for (int64_t i = 0; i < q->count / width && !r->exact; i++) {
        q->f[i * width + width - rope] = (double)(tgk_random_below(r, 3) - 1) * 300 / (16 * scale);
    }
}

void mla_decode_attention_inputs(tgk_arg *args, int n, tgk_random *r) {
    double magnitude[TGS_MAGNITUDES];
    for (int c = 0; c < TGS_MAGNITUDES; c++) {
        magnitude[c] = 1;
    }
    mla_paged_inputs(args, n, magnitude, r);
    mla_weight_inputs(args, n, r);
}
