/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References of the routers (moe.md section 4). Scores in double; the experts are the K largest
 * s + bias, ties to the smaller index; weights come from s alone.
 *
 * The choice is discrete, so the inputs are drawn until no two candidates of a row are close:
 * every gap among the K + 1 best (and the KG + 1 best group sums) exceeds 4e-6 of the larger
 * magnitude (upstream rejects 2e-6 and 1e-6), or is exactly zero because logits and biases are
 * equal, which is equal in any arithmetic. f32 scores are within 8 units in the last place of the
 * true ones (softplus: log and exp, 2 ulp, halved by the root; sigmoid 2.5; softmax 1.1 plus the
 * sum's), 1e-6 of their magnitude.
 *
 * Weights: eight roundings at most of positive numbers, and for softmax the rounding of z - max,
 * d 2^-24 of a weight that is below e^-d: 1e-6 absolute and 12 units in the last place.
 */
#include "kernels/rounding.h"
#include "kernels/routing/routing_ref.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIGMOID, SOFTMAX, SQRTSOFTPLUS, SOFTMAX_BY_LOGIT };
enum { NORM_SUM, NORM_PLUS, NORM_MAX, NORM_NONE };
enum { MAX_EXPERTS = 1024, MAX_CHOSEN = 64 };

static const double GAP = 4e-6;

typedef struct router {
    tgk_arg *logits, *x, *w, *bias, *bias_vl, *image, *live, *fixed, *replica, *copies, *table,
        *token, *ids, *wts, *logical;
    int64_t rows, experts, chosen, groups, kept, top, shared, score, norm;
    double temp, scale, eps;
} router;

static double scalar(tgk_arg *args, int n, const char *name, double fallback) {
    const tgk_arg *a = tgk_find(args, n, name);
    return a == NULL ? fallback : a->f != NULL ? tgk_float(a) : (double)tgk_int(a);
}

static router router_of(tgk_arg *args, int n) {
    router g = {.logits = tgk_find(args, n, "logits"),
                .x = tgk_find(args, n, "x"),
                .w = tgk_find(args, n, "w"),
                .bias = tgk_find(args, n, "bias"),
                .bias_vl = tgk_find(args, n, "bias_vl"),
                .image = tgk_find(args, n, "image"),
                .live = tgk_find(args, n, "live"),
                .fixed = tgk_find(args, n, "fixed"),
                .replica = tgk_find(args, n, "replica"),
                .copies = tgk_find(args, n, "copies"),
                .table = tgk_find(args, n, "tid2eid"),
                .token = tgk_find(args, n, "token"),
                .ids = tgk_find(args, n, "ids"),
                .wts = tgk_find(args, n, "wts"),
                .logical = tgk_find(args, n, "logical")};
    g.rows = g.ids->extent[0];
    g.experts = g.logits != NULL ? g.logits->extent[1] : g.w->extent[0];
    g.shared = tgk_constant_of(args, "S", 0);
    g.chosen = g.ids->extent[1] - g.shared;
    g.groups = tgk_constant_of(args, "G", 1);
    g.kept = tgk_constant_of(args, "KG", 1);
    g.top = tgk_constant_of(args, "TOP", 2);
    g.score = tgk_constant_of(args, "SCORE", 0);
    g.norm = tgk_constant_of(args, "NORM", 0);
    g.temp = scalar(args, n, "gate_temp", 1);
    g.scale = scalar(args, n, "route_scale", 1);
    g.eps = scalar(args, n, "eps", 0);
    return g;
}

/* The logits of row t: given, or x w^T. */
static void logits_of(const router *g, int64_t t, double *z) {
    for (int64_t e = 0; e < g->experts; e++) {
        if (g->logits != NULL) {
            z[e] = g->logits->f[t * g->experts + e];
        } else {
            int64_t d = g->x->extent[1];
            z[e] = 0;
            for (int64_t i = 0; i < d; i++) {
                z[e] += g->x->f[t * d + i] * g->w->f[e * d + i];
            }
        }
        z[e] = (double)((float)z[e] / (float)g->temp); /* one rounding, the same for equal logits */
    }
}

static void score(const router *g, const double *z, double *s) {
    double top = -INFINITY, sum = 0;
    for (int64_t e = 0; e < g->experts; e++) {
        top = fmax(top, z[e]);
    }
    for (int64_t e = 0; e < g->experts; e++) {
        sum += exp(z[e] - top);
    }
    for (int64_t e = 0; e < g->experts; e++) {
        s[e] = g->score == SIGMOID        ? 1 / (1 + exp(-z[e]))
               : g->score == SQRTSOFTPLUS ? sqrt(z[e] > 20 ? z[e] : log1p(exp(z[e])))
                                          : exp(z[e] - top) / sum;
    }
}

/* What row t ranks its experts by. */
static void rank_of(const router *g, int64_t t, const double *z, const double *s, double *rank) {
    const tgk_arg *bias = g->image != NULL && g->image->i[t] != 0 ? g->bias_vl : g->bias;
    for (int64_t e = 0; e < g->experts; e++) {
        rank[e] = (g->score == SOFTMAX_BY_LOGIT ? z[e] : s[e]) + bias->f[e];
    }
}

/* The k largest of v, best first, ties to the smaller index; false when a gap is too close to call
 * among the k + 1 best. */
static bool largest(const double *v, int64_t n, int64_t k, int64_t *out) {
    bool used[MAX_EXPERTS] = {false}, clear = true;
    double last = INFINITY;
    for (int64_t j = 0; j < k + 1 && j < n; j++) {
        int64_t best = -1;
        for (int64_t i = 0; i < n; i++) {
            if (!used[i] && (best < 0 || v[i] > v[best])) {
                best = i;
            }
        }
        used[best] = true;
        double gap = last - v[best];
        clear = clear && (j == 0 || gap == 0 || isinf(v[best]) ||
                          gap > GAP * fmax(1, fmax(fabs(last), fabs(v[best]))));
        last = v[best];
        if (j < k) {
            out[j] = best;
        }
    }
    return clear;
}

static double top_sum(const double *v, int64_t n, int64_t top) {
    int64_t best[MAX_CHOSEN];
    double sum = 0;
    (void)largest(v, n, top, best);
    for (int64_t j = 0; j < top; j++) {
        sum += v[best[j]];
    }
    return sum;
}

static bool best_groups(const double *v, int64_t groups, int64_t size, int64_t top, int64_t kept,
                        int64_t *out) {
    double sums[MAX_EXPERTS];
    for (int64_t b = 0; b < groups; b++) {
        sums[b] = top_sum(v + b * size, size, top);
    }
    return largest(sums, groups, kept, out);
}

/* The experts of one row; false when arithmetic could decide otherwise. */
static bool choose(const router *g, double *rank, int64_t *id) {
    bool clear = true;
    if (g->kept < g->groups) {
        int64_t kept[MAX_EXPERTS], size = g->experts / g->groups;
        bool keep[MAX_EXPERTS] = {false};
        clear = best_groups(rank, g->groups, size, g->top, g->kept, kept);
        for (int64_t b = 0; b < g->kept; b++) {
            keep[kept[b]] = true;
        }
        for (int64_t e = 0; e < g->experts; e++) {
            rank[e] = keep[e / size] ? rank[e] : -INFINITY;
        }
    }
    return largest(rank, g->experts, g->chosen, id) && clear;
}

static bool choose_row(const router *g, int64_t t, double *s, int64_t *id) {
    double z[MAX_EXPERTS], rank[MAX_EXPERTS];
    logits_of(g, t, z);
    score(g, z, s);
    if (g->table != NULL) {
        bool known = g->token->i[t] >= 0 && g->token->i[t] < g->table->extent[0];
        for (int64_t k = 0; k < g->chosen; k++) {
            id[k] = known ? g->table->i[g->token->i[t] * g->chosen + k] : -1;
        }
        return true;
    }
    if (g->fixed != NULL && g->fixed->i[t * g->chosen] >= 0) {
        memcpy(id, g->fixed->i + t * g->chosen, (size_t)g->chosen * sizeof *id);
        return true;
    }
    rank_of(g, t, z, s, rank);
    return choose(g, rank, id);
}

static double weight(const router *g, const double *s, const int64_t *id, int64_t k) {
    double sum = 0;
    for (int64_t j = 0; j < g->chosen; j++) {
        sum += id[j] >= 0 ? s[id[j]] : 0;
    }
    sum = g->norm == NORM_PLUS ? sum + g->eps : g->norm == NORM_MAX ? fmax(sum, g->eps) : sum;
    return (g->norm == NORM_NONE ? s[id[k]] : s[id[k]] / sum) * g->scale;
}

/* The physical expert of logical expert e for token t, renumbered for this rank; -1: not here. */
static int64_t place(const router *g, tgk_arg *args, int n, int64_t t, int64_t e) {
    int64_t per = (int64_t)scalar(args, n, "per_rank", 1), copies = g->replica->extent[1];
    int64_t tp = (int64_t)scalar(args, n, "tp_rank", 0),
            ranks = (int64_t)scalar(args, n, "tp_ranks", 1);
    int64_t copy = ((int64_t)scalar(args, n, "ep_rank", 0) + t * 23333) % g->copies->i[e];
    int64_t p = g->replica->i[e * copies + copy];
    if (p < 0 || p / per % ranks != tp) {
        return -1;
    }
    p -= tp * per;
    return p - p / (per * ranks) * (per * ranks - per);
}

bool tgk_gate(tgk_arg *args, int n) {
    router g = router_of(args, n);
    int64_t id[MAX_CHOSEN], wide = g.chosen + g.shared;
    double s[MAX_EXPERTS];
    for (int64_t t = 0; t < g.rows; t++) {
        bool live = g.live == NULL || g.live->i[t] != 0;
        if (live) {
            (void)choose_row(&g, t, s, id);
        }
        for (int64_t k = 0; k < wide; k++) {
            int64_t e = k < g.chosen ? (live ? id[k] : -1) : g.experts + k - g.chosen;
            double w = k >= g.chosen ? 1 : live && e >= 0 ? weight(&g, s, id, k) : 0;
            if (g.logical != NULL && k < g.chosen) {
                g.logical->i[t * g.chosen + k] = e;
            }
            g.ids->i[t * wide + k] = !live ? -1 : g.replica != NULL ? place(&g, args, n, t, e) : e;
            g.wts->f[t * wide + k] = live ? w : 0;
        }
    }
    return true;
}

/* ---- inputs ------------------------------------------------------------------------------- */

static double round_f32(double v) { return (double)(float)v; }

/* One row's logits: normal; all equal (ties everywhere); pairs of equals; around +300 or -300 for
 * softmax; some beyond 20, where softplus is linear. */
static void draw_logits(const router *g, int64_t t, int64_t attempt, tgk_random *r) {
    double *z = g->logits->f + t * g->experts;
    bool softmax = g->score == SOFTMAX || g->score == SOFTMAX_BY_LOGIT;
    double base = !softmax || t % 4 < 2 ? 0 : t % 4 == 2 ? 300 : -300;
    double spread = g->score == SQRTSOFTPLUS && t % 3 == 1 ? 12 : 2;
    for (int64_t e = 0; e < g->experts; e++) {
        z[e] = round_f32(base + spread * tgk_random_normal(r));
        if (t % 5 == 3 && e % 2 == 1) {
            z[e] = z[e - 1];
        }
        if (t == 1 && attempt == 0) {
            z[e] = base;
        }
    }
}

/* Multiples of 1/8 and 1/64: the product is exact in f32 in any order. */
static void draw_row(const router *g, int64_t t, tgk_random *r) {
    int64_t d = g->x->extent[1];
    for (int64_t i = 0; i < d; i++) {
        g->x->f[t * d + i] = (double)(tgk_random_below(r, 17) - 8) / 8;
    }
}

static void draw_bias(tgk_arg *bias, tgk_random *r) {
    for (int64_t e = 0; e < bias->count; e++) {
        bias->f[e] = e % 2 == 1 ? bias->f[e - 1] : round_f32(0.2 * tgk_random_normal(r));
    }
}

/* Dead rows (their logits are NaN), given rows, image rows; replicas; a rank in the middle. */
static void draw_routes(tgk_arg *args, int n, const router *g, tgk_random *r) {
    static const struct {
        const char *name;
        int64_t value;
    } ranks[] = {{"ep_rank", 3}, {"tp_rank", 1}, {"tp_ranks", 2}};
    int64_t all = g->experts + g->shared, wide = g->replica->extent[1];
    for (size_t i = 0; i < sizeof ranks / sizeof ranks[0]; i++) {
        tgk_find(args, n, ranks[i].name)->i[0] = ranks[i].value;
    }
    tgk_find(args, n, "per_rank")->i[0] = all * wide / 8 + 1;
    for (int64_t e = 0; e < all; e++) {
        g->copies->i[e] = 1 + tgk_random_below(r, wide);
        for (int64_t c = 0; c < wide; c++) {
            g->replica->i[e * wide + c] =
                c < g->copies->i[e] ? (e * 7 + c * all) % (all * wide) : -1;
        }
    }
    for (int64_t t = 0; t < g->rows; t++) {
        g->live->i[t] = t % 7 != 5;
        g->image->i[t] = tgk_random_below(r, 2);
        for (int64_t k = 0; k < g->chosen; k++) {
            g->fixed->i[t * g->chosen + k] = t % 4 == 2 ? (t - 2 + k * 3) % g->experts
                                             : k == 0   ? -1
                                                        : 2000000000;
        }
    }
}

static void set_scalars(tgk_arg *args, int n, const router *g) {
    tgk_arg *temp = tgk_find(args, n, "gate_temp"), *scale = tgk_find(args, n, "route_scale"),
            *eps = tgk_find(args, n, "eps");
    temp->f[0] = g->score == SQRTSOFTPLUS ? round_f32(1.3) : 1;
    scale->f[0] = g->score == SIGMOID ? 2.5 : 1.5;
    eps->f[0] = g->norm == NORM_PLUS ? 0.125 : 0.75; /* that shows where it does not belong */
}

void tgk_gate_inputs(tgk_arg *args, int n, tgk_random *r) {
    router g = router_of(args, n);
    set_scalars(args, n, &g);
    g = router_of(args, n);
    for (int64_t i = 0; g.x != NULL && i < g.w->count; i++) {
        g.w->f[i] = (double)(tgk_random_below(r, 17) - 8) / 64;
    }
    if (g.bias != NULL) {
        draw_bias(g.bias, r);
    }
    if (g.bias_vl != NULL) {
        draw_bias(g.bias_vl, r);
    }
    if (g.replica != NULL) {
        draw_routes(args, n, &g, r);
    }
    for (int64_t i = 0; g.table != NULL && i < g.table->count; i++) {
        g.table->i[i] = (i / g.chosen * 5 + i % g.chosen * 11) % g.experts;
    }
    for (int64_t t = 0; t < g.rows; t++) {
        double s[MAX_EXPERTS];
        int64_t id[MAX_CHOSEN];
        if (g.token != NULL) {
            g.token->i[t] = t == 2   ? -1
                            : t == 3 ? g.table->extent[0]
                                     : tgk_random_below(r, g.table->extent[0]);
        }
        for (int64_t attempt = 0; attempt < 1000; attempt++) {
            if (g.x != NULL) {
                draw_row(&g, t, r);
            } else {
                draw_logits(&g, t, attempt, r);
            }
            if (choose_row(&g, t, s, id)) {
                break;
            }
        }
        for (int64_t e = 0; g.live != NULL && g.live->i[t] == 0 && e < g.experts; e++) {
            g.logits->f[t * g.experts + e] = NAN;
        }
    }
}

/* ---- the choice alone ----------------------------------------------------------------------- */

/* topk_gate(scores: f32[T, E], out ids: i32[T, K]) */
bool tgk_gate_choice(tgk_arg *args, int n) {
    const tgk_arg *x = &args[0];
    for (int64_t t = 0; n == 2 && t < x->extent[0]; t++) {
        int64_t k = args[1].extent[1];
        (void)largest(x->f + t * x->extent[1], x->extent[1], k, args[1].i + t * k);
    }
    return n == 2;
}

/* Comparison is exact: ties and both infinities may stand anywhere. */
void tgk_gate_choice_inputs(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    for (int64_t i = 0; i < args[0].count; i++) {
        int64_t kind = tgk_random_below(r, 12);
        args[0].f[i] = kind == 0   ? 1
                       : kind == 1 ? -INFINITY
                       : kind == 2 ? 0.5
                                   : tgk_to_bf16(tgk_random_normal(r));
    }
}

/* topk_sum_and_topk_group_idx(scores: f32[T, G, S], out groups: i32[T, KG]) */
bool tgk_gate_groups(tgk_arg *args, int n) {
    const tgk_arg *x = &args[0];
    int64_t kept = args[1].extent[1], groups = x->extent[1], size = x->extent[2];
    for (int64_t t = 0; n == 2 && t < x->extent[0]; t++) {
        (void)best_groups(x->f + t * groups * size, groups, size, tgk_constant_of(args, "TOP", 2),
                          kept, args[1].i + t * kept);
    }
    return n == 2;
}

/* Multiples of 1/8: sums of two are exact, and ties frequent. */
void tgk_gate_groups_inputs(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    for (int64_t i = 0; i < args[0].count; i++) {
        args[0].f[i] = (double)(tgk_random_below(r, 65) - 32) / 8;
    }
}
