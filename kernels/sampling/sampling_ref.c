/* SPDX-License-Identifier: Apache-2.0 */
/* References: sampling and speculative verification (moe.md section 9), by sorting whole rows. */
#include "kernels/rounding.h"
#include "kernels/sampling/sampling_ref.h"

#include <string.h>

__extension__ typedef __int128 wide;

/* Philox4x32-10 (Salmon et al., SC11), word 0. */
static uint32_t philox(uint64_t key, uint64_t counter) {
    uint32_t c[4] = {(uint32_t)counter, (uint32_t)(counter >> 32), 0, 0};
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c[0], b = (uint64_t)0xCD9E8D57u * c[2];
        uint32_t next[4] = {(uint32_t)(b >> 32) ^ c[1] ^ k0, (uint32_t)b,
                            (uint32_t)(a >> 32) ^ c[3] ^ k1, (uint32_t)a};
        memcpy(c, next, sizeof c);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c[0];
}

static int64_t mass(double p) { return p > 0 ? (int64_t)floor(fmin(p, 1) * 0x1p36) : 0; }

static int64_t draw(uint32_t u, int64_t total) { return (int64_t)(((wide)u * (wide)total) >> 32); }

typedef struct ranked {
    double p;
    int64_t id;
} ranked;

static int by_rank(const void *x, const void *y) {
    const ranked *a = x, *b = y;
    return a->p != b->p ? (a->p > b->p ? -1 : 1) : a->id < b->id ? -1 : a->id > b->id;
}

/* Clears what the filters drop from the masses w of one row. */
static void filter(const double *p, int64_t v, int64_t top_k, double top_p, double min_p,
                   ranked *order, int64_t *w) {
    int64_t keep = top_k > 0 && top_k < v ? top_k : v, total = 0, sum = 0;
    for (int64_t j = 0; j < v; j++) {
        order[j] = (ranked){p[j] > 0 ? fmin(p[j], 1) : 0, j};
        w[j] = mass(p[j]);
    }
    qsort(order, (size_t)v, sizeof *order, by_rank);
    for (int64_t j = 0; j < keep; j++) {
        total += mass(order[j].p);
    }
    int64_t share = (int64_t)(fmin(fmax(top_p, 0), 1) * 0x1p24);
    float least = (float)min_p * (float)(v > 0 ? order[0].p : 0);
    for (int64_t j = 0; j < v; j++) {
        /* the prefix before j does not hold the share yet, j is its next element */
        bool needed = j == 0 || (wide)sum * 16777216 < (wide)share * total;
        sum += mass(order[j].p);
        if (j >= keep || !needed || order[j].p < (double)least) {
            w[order[j].id] = 0;
        }
    }
}

static int64_t pick(const int64_t *w, int64_t v, uint32_t u) {
    int64_t total = 0, sum = 0;
    for (int64_t j = 0; j < v; j++) {
        total += w[j];
    }
    int64_t target = draw(u, total);
    for (int64_t j = 0; j < v; j++) {
        sum += w[j];
        if (sum > target) {
            return j;
        }
    }
    return -1;
}

/* sample(p, top_k, top_p, min_p, seed, offset, out token) */
static bool sample(tgk_arg *a, int n) {
    int64_t v = a[0].extent[1];
    ranked *order = malloc((size_t)(v + 1) * sizeof *order);
    int64_t *w = malloc((size_t)(v + 1) * sizeof *w);
    for (int64_t b = 0; n == 7 && order != NULL && w != NULL && b < a[0].extent[0]; b++) {
        filter(a[0].f + b * v, v, a[1].i[b], a[2].f[b], a[3].f[b], order, w);
        a[6].i[b] = pick(w, v, philox((uint64_t)tgk_int(&a[4]), (uint64_t)(tgk_int(&a[5]) + b)));
    }
    bool ok = n == 7 && order != NULL && w != NULL;
    free(order);
    free(w);
    return ok;
}

/* Rows: softmax-like, uniform (all tie), one-hot, a few ties at the cut; zeros of both signs,
 * negatives and NaN inside. */
static void fill_row(double *p, int64_t v, int64_t kind, tgk_random *r) {
    double sum = 0;
    for (int64_t j = 0; j < v; j++) {
        double spread = kind % 4 == 1 ? 6 : 2;
        p[j] = kind % 5 == 2 ? 1 : exp(spread * tgk_random_normal(r));
        p[j] = kind % 5 == 3 ? exp2(floor(log2(p[j]))) : p[j];
        sum += p[j];
    }
    for (int64_t j = 0; j < v; j++) {
        p[j] = (double)(float)(p[j] / sum);
        if (kind % 7 == 4 && tgk_random_below(r, 9) == 0) {
            static const double nothing[] = {0.0, -0.0, -0.25, NAN};
            p[j] = nothing[tgk_random_below(r, 4)];
        }
        if (kind % 11 == 6) {
            p[j] = j == v / 2 ? 1 : 0;
        }
    }
}

/* Rows whose whole mass is a few units of 2^-36, one unit, or nothing: p below a unit has none. */
static void fill_little(double *p, int64_t v, int64_t kind, tgk_random *r) {
    for (int64_t j = 0; j < v; j++) {
        int64_t units = kind == 0 ? tgk_random_below(r, 3) : kind == 1 ? j == v / 3 : 0;
        p[j] = kind == 2 && j % 2 == 0 ? -0.0 : units == 0 ? 0x1p-37 : ldexp((double)units, -36);
        p[j] = kind == 3 ? 0 : p[j];
    }
}

static void sample_inputs(tgk_arg *a, int n, tgk_random *r) {
    static const double shares[] = {1, 0.9, 0.5, 0.05, 0, 0.999};
    int64_t v = a[0].extent[1];
    for (int64_t b = 0; b < a[0].extent[0]; b++) {
        fill_row(a[0].f + b * v, v, b, r);
        for (int64_t j = 0; n == 7 && b % 5 == 4 && j < v; j++) { /* k cuts through ties */
            a[0].f[b * v + j] = (double)(float)((double)(1 + j % 3) / (double)(2 * v));
        }
        if (b % 16 >= 12 && !r->full) {
            fill_little(a[0].f + b * v, v, b % 4, r);
        }
        if (n == 7) {
            a[1].i[b] = b % 3 == 0 ? 0 : 1 + tgk_random_below(r, v + 2);
            a[2].f[b] = r->full ? 0.9 : (double)(float)shares[tgk_random_below(r, 6)];
            a[3].f[b] = b % 8 == 5 ? (double)(float)0.9 : b % 4 == 1 ? (double)(float)0.1 : 0;
            a[1].i[b] = b % 10 == 9 ? 1 : a[1].i[b]; /* one of many small ones */
        }
    }
}

static double exponential_score(const tgk_arg *a, int64_t b, int64_t j) {
    int64_t v = a[0].extent[1];
    uint32_t u = philox((uint64_t)tgk_int(&a[1]), (uint64_t)((tgk_int(&a[2]) + b) * v + j));
    double p = a[0].f[b * v + j];
    float x = fminf(((float)u + 0.5f) * 0x1p-32f, 0x1.fffffep-1f);
    return (p > 0 ? fmin(p, 1) : 0) / -log1p(-(double)x);
}

/* sample_exponential(p, seed, offset, out token) */
static bool exponential(tgk_arg *a, int n) {
    for (int64_t b = 0; n == 4 && b < a[0].extent[0]; b++) {
        double best = 0;
        a[3].i[b] = -1;
        for (int64_t j = 0; j < a[0].extent[1]; j++) {
            double s = exponential_score(a, b, j);
            if (s > best) {
                best = s;
                a[3].i[b] = j;
            }
        }
    }
    return n == 4;
}

/* No two scores near the top within 1e-4 (a logarithm of 4 units, three products and divisions of
 * one each: 1e-6): the second one is halved. */
static void exponential_inputs(tgk_arg *a, int n, tgk_random *r) {
    int64_t v = a[0].extent[1];
    sample_inputs(a, n, r);
    for (int64_t b = 0; b < a[0].extent[0]; b++) {
        double best = 0;
        int64_t at = -1;
        for (int64_t j = 0; j < v; j++) {
            double s = exponential_score(a, b, j);
            at = s > best ? j : at;
            best = fmax(best, s);
        }
        for (int64_t j = 0; j < v; j++) {
            if (j != at && exponential_score(a, b, j) > best * (1 - 1e-4)) {
                a[0].f[b * v + j] /= 2;
            }
        }
    }
}

/* temperature_softmax(logits, temperature, out p) */
static bool temperature_softmax(tgk_arg *a, int n) {
    int64_t v = a[0].extent[1];
    if (n != 3 || tgk_make_slack(&a[2]) == NULL) {
        return false;
    }
    for (int64_t b = 0; b < a[0].extent[0]; b++) {
        const double *x = a[0].f + b * v;
        double t = a[1].f[b], l = 0;
        int64_t top = 0;
        for (int64_t j = 0; j < v; j++) {
            top = x[j] > x[top] ? j : top;
        }
        bool greedy = t < 1e-5;
        for (int64_t j = 0; j < v; j++) {
            l += a[2].f[b * v + j] = greedy ? j == top : exp((x[j] - x[top]) / t);
        }
        for (int64_t j = 0; j < v; j++) {
            double z = greedy ? 0 : fabs(x[j] - x[top]) / t;
            a[2].f[b * v + j] /= l;
            a[2].slack[b * v + j] =
                greedy ? 0 : a[2].f[b * v + j] * (2 * z + 24) * 0x1p-24 + 0x1p-126;
        }
    }
    return true;
}

static void softmax_inputs(tgk_arg *a, int n, tgk_random *r) {
    static const double temperatures[] = {1, 0, 0.7, 1e-6, 2, 0.1};
    (void)n;
    (void)r;
    for (int64_t i = 0; i < a[0].count; i++) {
        int64_t b = i / a[0].extent[1];
        a[0].f[i] += b % 4 == 1 ? 300 : b % 4 == 2 ? -300 : 0;
    }
    for (int64_t b = 0; b < a[1].count; b++) {
        a[1].f[b] = (double)(float)temperatures[b % 6];
    }
}

static int64_t argmax(const double *x, int64_t v) {
    int64_t top = 0;
    for (int64_t j = 0; j < v; j++) {
        top = x[j] > x[top] ? j : top;
    }
    return top;
}

/* verify_greedy(draft, logits, out token, out accepted) */
static bool verify_greedy(tgk_arg *a, int n) {
    int64_t drafts = a[0].extent[1], v = a[1].extent[2];
    for (int64_t b = 0; n == 4 && b < a[0].extent[0]; b++) {
        int64_t i = 0, *token = a[2].i + b * (drafts + 1);
        for (int64_t k = 0; k <= drafts; k++) {
            token[k] = -1;
        }
        for (;; i++) {
            token[i] = argmax(a[1].f + (b * (drafts + 1) + i) * v, v);
            if (i == drafts || a[0].i[b * drafts + i] != token[i]) {
                break;
            }
        }
        a[3].i[b] = i;
    }
    return n == 4;
}

/* Drafts right for a while; logits with ties at the top; an impossible draft. */
static void greedy_inputs(tgk_arg *a, int n, tgk_random *r) {
    int64_t drafts = a[0].extent[1], v = a[1].extent[2];
    (void)n;
    for (int64_t i = 0; i < a[1].count; i++) {
        a[1].f[i] = i / v % 3 == 1 ? fmin(a[1].f[i], 1) : a[1].f[i];
    }
    for (int64_t b = 0; b < a[0].extent[0]; b++) {
        for (int64_t i = 0; i < drafts; i++) {
            bool right = tgk_random_below(r, 5) != 0;
            a[0].i[b * drafts + i] = right ? argmax(a[1].f + (b * (drafts + 1) + i) * v, v)
                                           : tgk_random_below(r, v + 1) - 1;
        }
    }
}

/* verify_stochastic(draft, pd, pt, seed, offset, out token, out accepted) */
static bool verify_stochastic(tgk_arg *a, int n) {
    int64_t drafts = a[0].extent[1], v = a[1].extent[2];
    int64_t *w = malloc((size_t)(v + 1) * sizeof *w);
    for (int64_t b = 0; n == 7 && w != NULL && b < a[0].extent[0]; b++) {
        int64_t i = 0, *token = a[5].i + b * (drafts + 1), left = 0;
        uint64_t key = (uint64_t)tgk_int(&a[3]);
        uint64_t counter = (uint64_t)((tgk_int(&a[4]) + b) * (drafts + 1));
        for (int64_t k = 0; k <= drafts; k++) {
            token[k] = -1;
        }
        for (; i < drafts; i++) {
            int64_t d = a[0].i[b * drafts + i];
            bool exists = d >= 0 && d < v;
            float pt = exists ? (float)a[2].f[(b * (drafts + 1) + i) * v + d] : 0;
            float pd = exists ? (float)a[1].f[(b * drafts + i) * v + d] : 0;
            float ratio = pt / (pd > 1e-8f ? pd : 1e-8f);
            float u = (float)(philox(key, counter + (uint64_t)i) >> 8) * 0x1p-24f;
            if (!(u < (ratio < 1 ? ratio : 1))) {
                break;
            }
            token[i] = d;
        }
        const double *pt = a[2].f + (b * (drafts + 1) + i) * v;
        const double *pd = a[1].f + (b * drafts + i) * v; /* read for i < drafts only */
        for (int64_t j = 0; j < v; j++) {
            w[j] = mass((double)((float)pt[j] - (i < drafts ? (float)pd[j] : 0)));
            left += w[j];
        }
        for (int64_t j = 0; left <= 687 && j < v; j++) {
            w[j] = mass(pt[j]);
        }
        token[i] = pick(w, v, philox(key, counter + (uint64_t)drafts));
        a[6].i[b] = i;
    }
    free(w);
    return n == 7 && w != NULL;
}

/* The draft model is the target, nearly it, or another; drafts are drawn from it, some impossible.
 */
static void stochastic_inputs(tgk_arg *a, int n, tgk_random *r) {
    int64_t drafts = a[0].extent[1], v = a[1].extent[2];
    (void)n;
    for (int64_t k = 0; k < a[0].extent[0] * (drafts + 1); k++) {
        int64_t b = k / (drafts + 1), i = k % (drafts + 1);
        double *pt = a[2].f + k * v, *pd = a[1].f + (b * drafts + i) * v;
        fill_row(pt, v, 5 * (k % 3), r);
        if (i == drafts) {
            continue;
        }
        fill_row(pd, v, 0, r);
        int64_t *w = malloc((size_t)(v + 1) * sizeof *w);
        for (int64_t j = 0; w != NULL && j < v; j++) {
            pd[j] = b % 3 == 0   ? pt[j]
                    : b % 3 == 1 ? (double)(float)((pt[j] * 3 + pd[j]) / 4)
                                 : pd[j];
            w[j] = mass(pd[j]);
        }
        a[0].i[b * drafts + i] = w == NULL || tgk_random_below(r, 16) == 0
                                     ? -1
                                     : pick(w, v, (uint32_t)tgk_random_u64(r));
        free(w);
    }
}

/* All discrete: the arithmetic is integer, or one f32 operation that is bit-defined; where it is
 * not (sample_exponential) inputs keep away from ties. */
const tgk_reference tgk_sampling_references[] = {
    {"temperature_softmax", temperature_softmax, softmax_inputs, false, {{"p", TGK_TOL_ULP, 1, 0}}},
    {"sample", sample, sample_inputs, false, {{"token", TGK_TOL_EXACT, 0, 0}}},
    {"sample_exponential",
     exponential,
     exponential_inputs,
     false,
     {{"token", TGK_TOL_EXACT, 0, 0}}},
    {"verify_greedy",
     verify_greedy,
     greedy_inputs,
     false,
     {{"token", TGK_TOL_EXACT, 0, 0}, {"accepted", TGK_TOL_EXACT, 0, 0}}},
    {"verify_stochastic",
     verify_stochastic,
     stochastic_inputs,
     false,
     {{"token", TGK_TOL_EXACT, 0, 0}, {"accepted", TGK_TOL_EXACT, 0, 0}}},
    {"mtp_input_v3", tgk_mtp_input_v3, tgk_mtp_inputs, false, {{"y", TGK_TOL_CALC_DIFF, 1e-5, 0}}},
    {"mtp_input_v4", tgk_mtp_input_v4, tgk_mtp_inputs, false, {{"y", TGK_TOL_CALC_DIFF, 1e-5, 0}}},
    {"draft_bias",
     tgk_draft_bias,
     tgk_draft_inputs,
     false,
     {{"logits", TGK_TOL_CALC_DIFF, 1e-10, 0}}},
    {0},
};
