/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: native sparse attention (attention.md K12). Every token is done on its own, its
 * sequence looked up; pooled keys are rounded to T as they are stored.
 *
 * Inputs: sequences of any length, empty ones too. Queries are redrawn until the importance of the
 * last block chosen and the first left out are 2e-3 apart (f32 logits around 300 move a weight by
 * 1e-4), so that the choice is one of mathematics. A third of the tokens has logits around +300,
 * another around -300: all keys have 16 in column 0.
 */
#include "kernels/attention/attention_ref.h"
#include "kernels/rounding.h"

#include <string.h>

enum { MAX_BLOCKS = 4096 };

static double typed(double v, tg_dtype t) {
    static const tgk_format f16 = {10, -14, INFINITY};
    return t == TG_DT_BF16  ? tgk_round_to(v, &TGK_BF16)
           : t == TG_DT_F16 ? tgk_round_to(v, &f16)
                            : (double)(float)v;
}

/* What a launch is made of; arguments that a kernel lacks are NULL. */
typedef struct nsa {
    tgk_arg *q, *k, *v, *ck, *cv, *cu, *cc, *seq, *scale, *lse, *idx, *count, *oc, *gc, *gs, *gw,
        *w, *o;
    int64_t tokens, heads, group, dim, out_dim, block, chosen, sequences;
} nsa;

static nsa nsa_of(tgk_arg *a, int n) {
    nsa s = {0};
    const struct {
        const char *name;
        tgk_arg **at;
    } rows[] = {{"q", &s.q},         {"k", &s.k},        {"v", &s.v},   {"ck", &s.ck},
                {"cv", &s.cv},       {"cu", &s.cu},      {"cc", &s.cc}, {"seq", &s.seq},
                {"lse", &s.lse},     {"idx", &s.idx},    {"oc", &s.oc}, {"gc", &s.gc},
                {"gs", &s.gs},       {"gw", &s.gw},      {"w", &s.w},   {"o", &s.o},
                {"scale", &s.scale}, {"count", &s.count}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        *rows[i].at = tgk_find(a, n, rows[i].name);
    }
    const tgk_arg *key = s.k != NULL ? s.k : s.ck, *value = s.v != NULL ? s.v : s.cv;
    s.tokens = s.q != NULL ? s.q->extent[0] : s.k->extent[0];
    s.heads = key->extent[1];
    s.dim = key->extent[2];
    s.out_dim = value != NULL ? value->extent[2] : s.dim;
    s.group = s.q != NULL ? s.q->extent[2] : 1;
    s.block = tgk_constant_of(a, "BS", 1);
    s.chosen = s.idx != NULL ? s.idx->extent[2] : tgk_constant_of(a, "S", 1);
    s.sequences = s.cu->extent[0] - 1;
    return s;
}

static double *query(const nsa *s, int64_t t, int64_t h, int64_t g) {
    return s->q->f + ((t * s->heads + h) * s->group + g) * s->dim;
}

/* Means of complete blocks of x [L, H, D], as stored in T. */
static void pool(const nsa *s, const tgk_arg *x, double *out, int64_t count) {
    int64_t row = x->extent[1] * x->extent[2];
    memset(out, 0, (size_t)count * sizeof *out);
    for (int64_t b = 0; b < s->sequences; b++) {
        for (int64_t c = 0; c < s->cc->i[b + 1] - s->cc->i[b]; c++) {
            for (int64_t e = 0; e < row; e++) {
                double sum = 0;
                for (int64_t j = 0; j < s->block; j++) {
                    sum += x->f[(s->cu->i[b] + c * s->block + j) * row + e];
                }
                out[(s->cc->i[b] + c) * row + e] = typed(sum / (double)s->block, x->dtype);
            }
        }
    }
}

static bool nsa_pool(tgk_arg *a, int n) {
    nsa s = nsa_of(a, n);
    pool(&s, s.k, s.ck->f, s.ck->count);
    pool(&s, s.v, s.cv->f, s.cv->count);
    return true;
}

/* One head over pooled blocks [first, first + n). */
static void compressed_row(const nsa *s, const double *ck, const double *cv, int64_t t, int64_t h,
                           int64_t g, attention_row *row) {
    int64_t b = s->seq->i[t], n = (t - s->cu->i[b] + 1) / s->block;
    attention_row_begin(row);
    for (int64_t j = s->cc->i[b]; j < s->cc->i[b] + n; j++) {
        double x = attention_dot(query(s, t, h, g), ck + (j * s->heads + h) * s->dim, s->dim);
        attention_row_key(row, x * tgk_float(s->scale), cv + (j * s->heads + h) * s->out_dim);
    }
}

static bool nsa_compressed(tgk_arg *a, int n) {
    nsa s = nsa_of(a, n);
    attention_row row;
    if (!attention_row_init(&row, s.out_dim)) {
        return false;
    }
    for (int64_t i = 0; i < s.lse->count; i++) {
        compressed_row(&s, s.ck->f, s.cv->f, i / s.group / s.heads, i / s.group % s.heads,
                       i % s.group, &row);
        attention_row_end(&row, -INFINITY, s.o->f + i * s.out_dim, &s.lse->f[i]);
    }
    attention_row_fini(&row);
    return true;
}

/* Chooses blocks for (t, h) into out[S], at most its count, ascending, -1 behind. lse: of each head
 * of the group. Returns how far apart, relatively, the last chosen and the first left out are. */
static double choose(const nsa *s, const double *ck, const double *lse, int64_t t, int64_t h,
                     int64_t *out) {
    int64_t b = s->seq->i[t], at = t - s->cu->i[b], n = (at + 1) / s->block, now = at / s->block;
    double weight[MAX_BLOCKS], gap = 1, last = INFINITY;
    for (int64_t j = 0; j < n; j++) {
        weight[j] = 0;
        for (int64_t g = 0; g < s->group; g++) {
            const double *key = ck + ((s->cc->i[b] + j) * s->heads + h) * s->dim;
            double x = attention_dot(query(s, t, h, g), key, s->dim) * tgk_float(s->scale);
            weight[j] += exp(x - lse[g]);
        }
    }
    int64_t taken = 0, most = s->count->i[t * s->heads + h];
    for (int64_t c = 0; c < s->chosen; c++) {
        out[c] = -1;
    }
    for (; taken < s->chosen && taken < most; taken++) {
        int64_t best = taken == 0 ? now : -1;
        for (int64_t j = 0; j < n && taken > 0; j++) {
            if (weight[j] >= 0 && j != now && (best < 0 || weight[j] > weight[best])) {
                best = j;
            }
        }
        if (best < 0) {
            break;
        }
        out[taken] = best;
        if (best < n) {
            last = best == now ? INFINITY : weight[best];
            weight[best] = -1;
        }
    }
    for (int64_t j = 0; j < n; j++) {
        gap = weight[j] >= 0 && j != now && most > 1 ? fmin(gap, (last - weight[j]) / last) : gap;
    }
    for (int64_t i = 1; i < taken; i++) { /* ascending */
        for (int64_t k = i; k > 0 && out[k] < out[k - 1]; k--) {
            int64_t swap = out[k];
            out[k] = out[k - 1];
            out[k - 1] = swap;
        }
    }
    return gap;
}

static bool nsa_select(tgk_arg *a, int n) {
    nsa s = nsa_of(a, n);
    for (int64_t i = 0; i < s.tokens * s.heads; i++) {
        choose(&s, s.ck->f, s.lse->f + i * s.group, i / s.heads, i % s.heads,
               s.idx->i + i * s.chosen);
    }
    return true;
}

static void add_token(const nsa *s, attention_row *row, int64_t t, int64_t h, int64_t g,
                      int64_t j) {
    double x = attention_dot(query(s, t, h, g), s->k->f + (j * s->heads + h) * s->dim, s->dim);
    attention_row_key(row, x * tgk_float(s->scale), s->v->f + (j * s->heads + h) * s->out_dim);
}

/* The gated sum of head (t, h, g): oc is its compressed branch's output. */
static void attend(const nsa *s, int64_t i, const int64_t *chosen, const double *oc,
                   attention_row *row, double *part) {
    int64_t t = i / s->group / s->heads, h = i / s->group % s->heads, g = i % s->group;
    int64_t first = s->cu->i[s->seq->i[t]], w = tgk_int(s->w), count = s->count->i[i / s->group];
    double *out = s->o->f + i * s->out_dim, lse;
    for (int64_t e = 0; e < s->out_dim; e++) {
        out[e] = s->gc->f[i] * oc[e];
    }
    for (int branch = 0; branch < 2; branch++) {
        attention_row_begin(row);
        for (int64_t c = 0; c < s->chosen && c < count && branch == 0; c++) {
            for (int64_t j = first + chosen[c] * s->block;
                 chosen[c] >= 0 && j < first + (chosen[c] + 1) * s->block && j <= t; j++) {
                add_token(s, row, t, h, g, j);
            }
        }
        for (int64_t j = t - w + 1 > first ? t - w + 1 : first; j <= t && branch == 1; j++) {
            add_token(s, row, t, h, g, j);
        }
        attention_row_end(row, -INFINITY, part, &lse);
        for (int64_t e = 0; e < s->out_dim; e++) {
            out[e] += (branch == 0 ? s->gs : s->gw)->f[i] * part[e];
        }
    }
}

static bool nsa_attend(tgk_arg *a, int n) {
    nsa s = nsa_of(a, n);
    attention_row row;
    double *part = malloc((size_t)(s.out_dim + 1) * sizeof *part);
    bool ok = part != NULL && attention_row_init(&row, s.out_dim);
    for (int64_t i = 0; ok && i < s.gc->count; i++) {
        attend(&s, i, s.idx->i + i / s.group * s.chosen, s.oc->f + i * s.out_dim, &row, part);
    }
    if (ok) {
        attention_row_fini(&row);
    }
    free(part);
    return ok;
}

/* Scratch of a whole layer. */
typedef struct scratch {
    double *ck, *cv, *lse, *oc, *part;
    int64_t *chosen;
    attention_row row;
} scratch;

static void scratch_fini(scratch *c) {
    free(c->ck);
    free(c->cv);
    free(c->lse);
    free(c->oc);
    free(c->part);
    free(c->chosen);
    attention_row_fini(&c->row);
}

static bool scratch_init(scratch *c, const nsa *s) {
    size_t blocks = (size_t)((s->tokens + s->block - 1) / s->block + 1);
    size_t row = (size_t)(s->heads * (s->dim + s->out_dim) + 1);
    *c = (scratch){.ck = calloc(blocks * row, sizeof(double)),
                   .cv = calloc(blocks * row, sizeof(double)),
                   .lse = calloc((size_t)s->group, sizeof(double)),
                   .oc = calloc((size_t)(s->group * s->out_dim + 1), sizeof(double)),
                   .part = calloc((size_t)s->out_dim + 1, sizeof(double)),
                   .chosen = calloc((size_t)s->chosen + 1, sizeof(int64_t))};
    bool ok = attention_row_init(&c->row, s->out_dim) && c->ck != NULL && c->cv != NULL &&
              c->lse != NULL && c->oc != NULL && c->part != NULL && c->chosen != NULL;
    if (ok) {
        pool(s, s->k, c->ck, (int64_t)blocks * s->heads * s->dim);
        pool(s, s->v, c->cv, (int64_t)blocks * s->heads * s->out_dim);
    }
    return ok;
}

/* The compressed branch of a group and its choice; returns the choice's gap. */
static double branch(const nsa *s, scratch *c, int64_t t, int64_t h) {
    for (int64_t g = 0; g < s->group; g++) {
        compressed_row(s, c->ck, c->cv, t, h, g, &c->row);
        attention_row_end(&c->row, -INFINITY, c->oc + g * s->out_dim, &c->lse[g]);
    }
    return choose(s, c->ck, c->lse, t, h, c->chosen);
}

static bool nsa_layer(tgk_arg *a, int n) {
    nsa s = nsa_of(a, n);
    scratch c;
    bool ok = scratch_init(&c, &s);
    for (int64_t i = 0; ok && i < s.tokens * s.heads; i++) {
        branch(&s, &c, i / s.heads, i % s.heads);
        for (int64_t g = 0; g < s.group; g++) {
            for (int64_t e = 0; e < s.out_dim; e++) {
                c.oc[g * s.out_dim + e] = typed(c.oc[g * s.out_dim + e], s.o->dtype);
            }
            attend(&s, i * s.group + g, c.chosen, c.oc + g * s.out_dim, &c.row, c.part);
        }
    }
    scratch_fini(&c);
    return ok;
}

/* ---- inputs --------------------------------------------------------------------------------- */

static void fill_sequences(const nsa *s, tgk_random *r) {
    int64_t at = 0, blocks = 0;
    for (int64_t b = 0; b <= s->sequences; b++) {
        s->cu->i[b] = at;
        if (s->cc != NULL) {
            s->cc->i[b] = blocks;
        }
        int64_t left = s->tokens - at;
        int64_t some = tgk_random_below(r, (b == 0 ? left / 2 : left) + 1);
        int64_t len = b == s->sequences - 1 ? left : b == 1 ? 0 : some;
        for (int64_t t = at; t < at + len && s->seq != NULL && b < s->sequences; t++) {
            s->seq->i[t] = b;
        }
        at += b < s->sequences ? len : 0;
        blocks += len / s->block;
    }
}

static void fill_normal(tgk_arg *x, tgk_random *r) {
    for (int64_t i = 0; x != NULL && i < x->count; i++) {
        x->f[i] = typed(tgk_random_normal(r), x->dtype);
    }
}

static void fill_keys(tgk_arg *k, tgk_random *r) {
    fill_normal(k, r);
    for (int64_t i = 0; k != NULL && i < k->count; i += k->extent[2]) {
        k->f[i] = 16;
    }
}

static void draw_query(const nsa *s, int64_t t, int64_t h, tgk_random *r) {
    double *q = query(s, t, h, 0);
    for (int64_t i = 0; i < s->group * s->dim; i++) {
        q[i] = typed(tgk_random_normal(r), s->q->dtype);
    }
    for (int64_t g = 0; g < s->group; g++) { /* the common part of the logits */
        double offset = t % 3 == 0 ? 300 : t % 3 == 1 ? -300 : 0;
        q[g * s->dim] = typed(offset / 16 / tgk_float(s->scale), s->q->dtype);
    }
}

static void inputs(tgk_arg *a, int n, tgk_random *r) {
    nsa s = nsa_of(a, n);
    if (s.scale != NULL) {
        s.scale->f[0] = (double)(float)(1 / sqrt((double)s.dim));
    }
    fill_sequences(&s, r);
    fill_keys(s.k, r);
    fill_normal(s.v, r);
    fill_keys(s.lse != NULL && s.idx == NULL ? s.ck : NULL, r);
    fill_normal(s.lse != NULL ? s.cv : NULL, r);
    fill_normal(s.oc, r);
    for (int64_t i = 0; s.gc != NULL && i < s.gc->count; i++) {
        s.gc->f[i] = tgk_random_uniform(r);
        s.gs->f[i] = tgk_random_uniform(r);
        s.gw->f[i] = tgk_random_uniform(r);
    }
    for (int64_t i = 0; s.count != NULL && i < s.count->count; i++) {
        s.count->i[i] = tgk_random_below(r, 4) == 0 ? tgk_random_below(r, s.chosen + 1) : s.chosen;
    }
    for (int64_t i = 0; s.q != NULL && i < s.tokens * s.heads; i++) {
        draw_query(&s, i / s.heads, i % s.heads, r);
    }
}

/* Blocks ascending and apart, now and then -1 between them. */
static void inputs_attend(tgk_arg *a, int n, tgk_random *r) {
    inputs(a, n, r);
    nsa s = nsa_of(a, n);
    for (int64_t i = 0; i < s.tokens * s.heads; i++) {
        int64_t t = i / s.heads, now = (t - s.cu->i[s.seq->i[t]]) / s.block;
        for (int64_t c = 0; c < s.chosen; c++) {
            int64_t b = now - c - tgk_random_below(r, 2) * (now / (s.chosen + 1));
            bool seen = b < 0 || tgk_random_below(r, 7) == 0;
            for (int64_t k = 0; k < c; k++) {
                seen = seen || s.idx->i[i * s.chosen + k] == b;
            }
            s.idx->i[i * s.chosen + c] = seen ? -1 : b;
        }
    }
}

/* Keys as pooled ones, and the lse that goes with them. */
static void inputs_select(tgk_arg *a, int n, tgk_random *r) {
    inputs(a, n, r);
    nsa s = nsa_of(a, n);
    fill_keys(s.ck, r);
    int64_t *out = malloc((size_t)(s.chosen + 1) * sizeof *out);
    attention_row row;
    double none = 0;
    for (int64_t i = 0; i < s.tokens * s.heads && out != NULL && attention_row_init(&row, 0); i++) {
        do {
            draw_query(&s, i / s.heads, i % s.heads, r);
            for (int64_t g = 0; g < s.group; g++) {
                int64_t dim = s.out_dim;
                s.out_dim = 0; /* weights alone */
                compressed_row(&s, s.ck->f, &none, i / s.heads, i % s.heads, g, &row);
                s.out_dim = dim;
                attention_row_end(&row, -INFINITY, &none, &s.lse->f[i * s.group + g]);
                s.lse->f[i * s.group + g] = (double)(float)s.lse->f[i * s.group + g];
            }
        } while (choose(&s, s.ck->f, s.lse->f + i * s.group, i / s.heads, i % s.heads, out) < 2e-3);
        attention_row_fini(&row);
    }
    free(out);
}

static void inputs_layer(tgk_arg *a, int n, tgk_random *r) {
    inputs(a, n, r);
    nsa s = nsa_of(a, n);
    scratch c;
    bool ok = scratch_init(&c, &s);
    for (int64_t i = 0; ok && i < s.tokens * s.heads; i++) {
        while (branch(&s, &c, i / s.heads, i % s.heads) < 2e-3) {
            draw_query(&s, i / s.heads, i % s.heads, r);
        }
    }
    scratch_fini(&c);
}

/* The mean of BS values: BS roundings of the sum at most, then T's own, which a tie may move. */
#define POOL {{"ck", TGK_TOL_ULP, 1, 1e-6}, {"cv", TGK_TOL_ULP, 1, 1e-6}}
const tgk_reference tgk_nsa_references[] = {
    {"nsa_pool", nsa_pool, inputs, false, POOL},
    {"nsa_compressed",
     nsa_compressed,
     inputs,
     false,
     {{"o", TGK_TOL_GATE, 0, 0}, {"lse", TGK_TOL_LSE, 0, 0}}},
    {"nsa_select", nsa_select, inputs_select, false, {{"idx", TGK_TOL_EXACT, 0, 0}}},
    {"nsa_attend", nsa_attend, inputs_attend, false, {{"o", TGK_TOL_GATE, 0, 0}}},
    {"nsa", nsa_layer, inputs_layer, false, {{"o", TGK_TOL_GATE, 0, 0}}},
    {.kernel = NULL},
};
