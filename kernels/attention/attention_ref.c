/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: flash attention forward (attention.md K1, K2) and paged GQA decode, by the
 * conventions of its section 1: logits times scale, natural-log LSE without the sink, causal
 * bottom-right aligned, an empty row gives out 0 and lse +inf, the sink adds exp(s) to the
 * denominator only.
 */
#include "kernels/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct row_state {
    double m, l;
    double *acc;
    int64_t dim;
} row_state;

static void row_begin(row_state *s) {
    s->m = -INFINITY;
    s->l = 0;
    memset(s->acc, 0, (size_t)s->dim * sizeof *s->acc);
}

/* One key: online softmax in double. */
static void row_key(row_state *s, double logit, const double *v) {
    if (logit == -INFINITY) {
        return;
    }
    double m = logit > s->m ? logit : s->m;
    double keep = s->m == -INFINITY ? 0 : exp(s->m - m), p = exp(logit - m);
    s->l = s->l * keep + p;
    for (int64_t d = 0; d < s->dim; d++) {
        s->acc[d] = s->acc[d] * keep + p * v[d];
    }
    s->m = m;
}

static void row_end(row_state *s, double sink, double *out, double *lse) {
    *lse = s->l > 0 ? s->m + log(s->l) : INFINITY;
    double weight = s->l > 0 && sink != INFINITY ? 1 / (1 + exp(sink - *lse)) : 0;
    for (int64_t d = 0; d < s->dim; d++) {
        out[d] = s->l > 0 ? s->acc[d] / s->l * weight : 0;
    }
}

static double dot(const double *a, const double *b, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

/*
 * flash_attention(q: [TQ, H, D], k: [TK, HK, D], v: [TK, HK, E], cq: i32[B+1], ck: i32[B+1], sink:
 * f32[H], scale: f32, softcap: f32, window: i32, maxq: i32, out o: [TQ, H, E], out lse: f32[H, TQ])
 * Causal; window < 0: none, else keys with i + sk - sq - window < j are visible (window keys
 * including self); softcap > 0: logits become cap * tanh(logit / cap).
 */
static bool flash_attention(tgk_arg *args, int n) {
    if (n != 12) {
        return false;
    }
    const tgk_arg *q = &args[0], *k = &args[1], *v = &args[2];
    int64_t total = q->extent[0], heads = q->extent[1], d = q->extent[2], kv_heads = k->extent[1],
            e = v->extent[2];
    double scale = tgk_float(&args[6]), cap = tgk_float(&args[7]);
    int64_t window = tgk_int(&args[8]);
    row_state s = {.acc = calloc((size_t)e + 1, sizeof(double)), .dim = e};
    if (s.acc == NULL) {
        return false;
    }
    for (int64_t i = 0; i < args[10].count; i++) {
        args[10].f[i] = NAN; /* rows of no request stay unchecked: see inputs */
    }
    for (int64_t b = 0; b + 1 < args[3].extent[0]; b++) {
        int64_t q0 = args[3].i[b], q1 = args[3].i[b + 1], k0 = args[4].i[b], k1 = args[4].i[b + 1];
        for (int64_t h = 0; h < heads; h++) {
            for (int64_t i = q0; i < q1; i++) {
                int64_t last = (i - q0) + (k1 - k0) - (q1 - q0);
                row_begin(&s);
                for (int64_t j = 0; j < k1 - k0 && j <= last; j++) {
                    if (window >= 0 && j <= last - window) {
                        continue;
                    }
                    int64_t key = (k0 + j) * kv_heads + h / (heads / kv_heads);
                    double x = dot(q->f + (i * heads + h) * d, k->f + key * d, d) * scale;
                    row_key(&s, cap > 0 ? cap * tanh(x / cap) : x, v->f + key * e);
                }
                row_end(&s, args[5].f[h], args[10].f + (i * heads + h) * e,
                        args[11].f + h * total + i);
            }
        }
    }
    free(s.acc);
    return true;
}

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
    a->i[parts] = total;
}

static void sinks(tgk_arg *a, tgk_random *r) {
    for (int64_t h = 0; h < a->count; h++) {
        int64_t kind = tgk_random_below(r, 6);
        a->f[h] = kind == 0 ? -INFINITY : kind == 1 ? INFINITY : tgk_random_normal(r);
    }
}

static void inputs_flash(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    int64_t longest = 0;
    cumulative(&args[3], args[0].extent[0], r);
    cumulative(&args[4], args[1].extent[0], r);
    for (int64_t b = 0; b + 1 < args[3].extent[0]; b++) {
        int64_t len = args[3].i[b + 1] - args[3].i[b];
        longest = len > longest ? len : longest;
    }
    sinks(&args[5], r);
    args[6].f[0] = (double)(float)(1 / sqrt((double)args[0].extent[2]));
    args[7].f[0] = r->full || tgk_random_below(r, 2) == 0 ? 0 : 5;
    args[8].i[0] = r->full || tgk_random_below(r, 2) == 0 ? -1 : 8;
    args[9].i[0] = longest;
}

/*
 * gqa_decode(q: [B, H, D], kc: [P, BS, HK, D], vc: [P, BS, HK, E], table: i32[B, NB], len: i32[B],
 * sink: f32[H], scale: f32, out o: [B, H, E], out lse: f32[B, H]); token t of request b lies in
 * page table[b, t / BS].
 */
static bool gqa_decode(tgk_arg *args, int n) {
    if (n != 9) {
        return false;
    }
    const tgk_arg *q = &args[0], *kc = &args[1], *vc = &args[2];
    int64_t heads = q->extent[1], d = q->extent[2], bs = kc->extent[1], kv_heads = kc->extent[2],
            e = vc->extent[3];
    row_state s = {.acc = calloc((size_t)e + 1, sizeof(double)), .dim = e};
    if (s.acc == NULL) {
        return false;
    }
    for (int64_t b = 0; b < q->extent[0]; b++) {
        for (int64_t h = 0; h < heads; h++) {
            row_begin(&s);
            for (int64_t t = 0; t < args[4].i[b]; t++) {
                int64_t page = args[3].i[b * args[3].extent[1] + t / bs];
                if (page < 0 || page >= kc->extent[0]) {
                    continue;
                }
                int64_t row = (page * bs + t % bs) * kv_heads + h / (heads / kv_heads);
                row_key(&s,
                        dot(q->f + (b * heads + h) * d, kc->f + row * d, d) * tgk_float(&args[6]),
                        vc->f + row * e);
            }
            row_end(&s, args[5].f[h], args[7].f + (b * heads + h) * e, args[8].f + b * heads + h);
        }
    }
    free(s.acc);
    return true;
}

/* Lengths from 0 to the table's reach, pages in random order, junk behind the last page in use. */
static void inputs_gqa(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    int64_t bs = args[1].extent[1], pages = args[1].extent[0], columns = args[3].extent[1];
    for (int64_t b = 0; b < args[4].count; b++) {
        args[4].i[b] = r->full || b == 0 ? columns * bs
                       : b == 1          ? 0
                                         : tgk_random_below(r, columns * bs + 1);
        for (int64_t c = 0; c < columns; c++) {
            bool used = c * bs < args[4].i[b];
            args[3].i[b * columns + c] = used ? tgk_random_below(r, pages) : 2147480000;
        }
    }
    sinks(&args[5], r);
    args[6].f[0] = (double)(float)(1 / sqrt((double)args[0].extent[2]));
}

const tgk_reference tgk_attention_references[] = {
    {"flash_attention",
     flash_attention,
     inputs_flash,
     false,
     {{"o", TGK_TOL_GATE, 0, 0}, {"lse", TGK_TOL_LSE, 0, 0}}},
    {"gqa_decode",
     gqa_decode,
     inputs_gqa,
     false,
     {{"o", TGK_TOL_GATE, 0, 0}, {"lse", TGK_TOL_LSE, 0, 0}}},
    {0},
};
