/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References of the fused layer (moe.md sections 3 to 6): per token and slot, h = w13[e] x,
 * a = SwiGLU(h) (times the routing weight, when it goes in before), o = w2[e] a, y = sum of o in
 * slot order (times the weight, when it goes in after) plus the shared experts. Between the steps
 * values are bf16 or codes with scales, as the definition says; the sums are in double.
 *
 * Tolerance: calc_diff 1e-5 and each element within its slack, against a reference that rounds
 * where the kernels round. The output's own rounding is 3.8e-6 at most. Besides, f32 sums may leave
 * a hidden value on the other side of a tie of bf16 or e4m3, and then all behind it has moved: the
 * reference carries with every value how far the kernels' may be off.
 *
 * - Sums: sqrt(n) + 8 units of 2^-24 of the magnitudes (n evenly rounding additions), and what the
 *   terms themselves are off.
 * - SwiGLU: its slope is below 1.1; the exponential, the quotient and the products are 8 units.
 * - Roundings: nothing far from a tie, near one a step (tgk_round_slack).
 * - Scales: off as far as the greatest of their group; of power-of-two scales the next one, too,
 *   where that reaches it.
 */
#include "kernels/moe/moe_ref.h"
#include "kernels/rounding.h"

#include <string.h>

typedef struct layer {
    tgk_arg *x, *sx, *ids, *w, *w13, *s13, *w2, *s2, *v13, *v2, *y;
    int64_t dim, inner, experts, block;
    double limit, shared_limit;
    bool before;
} layer;

/* Values of a row, and how far the kernels' may be from each. */
typedef struct row {
    double *v, *off;
} row;

static row row_at(row r, int64_t i) { return (row){r.v + i, r.off + i}; }

static double scalar(tgk_arg *args, int n, const char *name) {
    const tgk_arg *a = tgk_find(args, n, name);
    return a != NULL ? tgk_float(a) : INFINITY;
}

static layer layer_of(tgk_arg *args, int n) {
    layer m = {.x = tgk_find(args, n, "x"),
               .sx = tgk_find(args, n, "sx"),
               .ids = tgk_find(args, n, "ids"),
               .w = tgk_find(args, n, "w"),
               .w13 = tgk_find(args, n, "w13"),
               .s13 = tgk_find(args, n, "s13"),
               .w2 = tgk_find(args, n, "w2"),
               .s2 = tgk_find(args, n, "s2"),
               .v13 = tgk_find(args, n, "v13"),
               .v2 = tgk_find(args, n, "v2"),
               .y = tgk_find(args, n, "y"),
               .block = tgk_constant_of(args, "B", 128),
               .limit = scalar(args, n, "limit"),
               .shared_limit = scalar(args, n, "shared_limit"),
               .before = tgk_constant_of(args, "BEFORE", 1) == 1};
    m.experts = m.w13->extent[0];
    m.inner = m.w13->extent[1] / 2;
    m.dim = m.x->extent[1];
    return m;
}

/* Element (r, c) of expert e's matrix with its scale: none, blocks of B x B, or 32 of a row. */
static double weight(const layer *m, const tgk_arg *w, const tgk_arg *s, int64_t e, int64_t r,
                     int64_t c) {
    int64_t rows = w->extent[w->rank - 2], cols = w->extent[w->rank - 1];
    double v = w->f[(e * rows + r) * cols + c];
    if (s == NULL) {
        return v;
    }
    bool fp4 = w->dtype == TG_DT_F4E2M1;
    int64_t sr = fp4 ? r : r / m->block, sc = fp4 ? c / 32 : c / m->block;
    return v * s->f[(e * s->extent[1] + sr) * s->extent[2] + sc];
}

/* Hidden rows are bf16, or f32 where the layer's rows are: that rounding is far below the bound. */
static void hide(const layer *m, row r, int64_t i) {
    if (m->x->dtype != TG_DT_F32) {
        r.off[i] = tgk_round_slack(r.v[i], r.off[i], &TGK_BF16);
        r.v[i] = tgk_round_to(r.v[i], &TGK_BF16);
    }
}

/* out = w x, rounded. */
static void product(const layer *m, const tgk_arg *w, const tgk_arg *s, int64_t e, row x, row out) {
    int64_t rows = w->extent[w->rank - 2], cols = w->extent[w->rank - 1];
    double unit = (sqrt((double)cols) + 8) * 0x1p-24;
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0, size = 0, off = 0;
        for (int64_t c = 0; c < cols; c++) {
            double f = weight(m, w, s, e, r, c);
            sum += f * x.v[c];
            size += fabs(f * x.v[c]);
            off += fabs(f) * x.off[c];
        }
        out.v[r] = sum;
        out.off[r] = off + unit * size;
        hide(m, out, r);
    }
}

/* The code of v by scale s, times s. */
static double coded(double v, double s) { return tgk_round_to(v / s, &TGK_E4M3) * s; }

/* How far codes of values within off of v, times their scale, may be from `want`, when the scale is
 * off by the share `apart` of s. */
static double coded_off(double v, double off, double s, double apart, double want) {
    double near = off / s + fabs(v / s) * (apart + 4 * 0x1p-24);
    return fabs(coded(v, s) - want) + tgk_round_slack(v / s, near, &TGK_E4M3) * s +
           fabs(coded(v, s)) * apart;
}

/* Codes of one group, times their scale. */
static void quantise_group(const layer *m, row a, int64_t n) {
    double amax = (double)1e-4f, off = 0;
    for (int64_t i = 0; i < n; i++) {
        amax = fmax(amax, fabs(a.v[i]));
    }
    for (int64_t i = 0; i < n; i++) { /* what may become the greatest */
        off = fmax(off, fabs(a.v[i]) + a.off[i] - amax);
        off = fabs(a.v[i]) == amax ? fmax(off, a.off[i]) : off;
    }
    bool power = m->sx->dtype == TG_DT_F8E8M0;
    double apart = off / amax + 2 * 0x1p-24, s = amax / 448, low = s, high = s;
    if (power) {
        s = ldexp(1, tgk_e8m0_ceil(s) - 127);
        low = ldexp(1, tgk_e8m0_ceil(amax / 448 * (1 - apart)) - 127);
        high = ldexp(1, tgk_e8m0_ceil(amax / 448 * (1 + apart)) - 127);
        apart = 0;
    }
    for (int64_t i = 0; i < n; i++) {
        double v = a.v[i], c = coded(v, s), o = a.off[i];
        a.off[i] = fmax(coded_off(v, o, low, apart, c), coded_off(v, o, high, apart, c));
        a.v[i] = c;
    }
}

/* a = SwiGLU of h's halves times wt, in the form the second product takes. */
static void activate(const layer *m, row h, int64_t inner, double limit, double wt, row a) {
    for (int64_t i = 0; i < inner; i++) {
        double g = fmin(h.v[i], limit), u = fmax(fmin(h.v[inner + i], limit), -limit);
        double silu = g / (1 + exp(-g)), dg = 1.1 * h.off[i], du = h.off[inner + i];
        a.v[i] = silu * u * wt;
        a.off[i] = (dg * (fabs(u) + du) + fabs(silu) * du) * fabs(wt) + fabs(a.v[i]) * 8 * 0x1p-24;
    }
    for (int64_t i = 0; m->sx == NULL && i < inner; i++) {
        hide(m, a, i);
    }
    for (int64_t at = 0; m->sx != NULL && at < inner; at += m->block) {
        quantise_group(m, row_at(a, at), at + m->block < inner ? m->block : inner - at);
    }
}

static void token_of(const layer *m, int64_t t, row x) {
    for (int64_t d = 0; d < m->dim; d++) {
        double s = m->sx == NULL ? 1 : m->sx->f[t * m->sx->extent[1] + d / m->block];
        x.v[d] = m->x->f[t * m->dim + d] * s;
        x.off[d] = 0;
    }
}

/* y += o w for a token. */
static void take(const layer *m, int64_t t, row o, double w) {
    for (int64_t d = 0; d < m->dim; d++) {
        m->y->f[t * m->dim + d] += o.v[d] * w;
        m->y->slack[t * m->dim + d] += (o.off[d] + 4 * 0x1p-24 * fabs(o.v[d])) * fabs(w);
    }
}

static void routed(const layer *m, int64_t t, row x, row h, row a, row o) {
    int64_t k = m->ids->extent[1];
    for (int64_t j = t * k; j < (t + 1) * k; j++) {
        int64_t e = m->ids->i[j];
        if (e < 0) {
            continue;
        }
        double w = m->w->f[j];
        product(m, m->w13, m->s13, e, x, h);
        activate(m, h, m->inner, m->limit, m->before ? w : 1, a);
        product(m, m->w2, m->s2, e, a, o);
        take(m, t, o, m->before ? 1 : w);
    }
}

static void shared(const layer *m, int64_t t, row x, row h, row a, row o) {
    product(m, m->v13, NULL, 0, x, h);
    activate(m, h, m->v2->extent[1], m->shared_limit, 1, a);
    product(m, m->v2, NULL, 0, a, o);
    take(m, t, o, 1);
}

/* moe(x, ids, w, w13, w2, limit, out y) and its relatives: see fused.tg. */
bool tgk_moe_fused(tgk_arg *args, int n) {
    layer m = layer_of(args, n);
    int64_t wide = m.inner + (m.v2 != NULL ? m.v2->extent[1] : 0);
    int64_t length = 2 * m.dim + 3 * wide + 1;
    double *work = calloc((size_t)(2 * length), sizeof *work);
    if (work == NULL || tgk_make_slack(m.y) == NULL) {
        free(work);
        return false;
    }
    row x = {work, work + length}, o = row_at(x, m.dim), h = row_at(o, m.dim);
    row a = row_at(h, 2 * wide);
    memset(m.y->f, 0, (size_t)m.y->count * sizeof *m.y->f);
    for (int64_t t = 0; t < m.x->extent[0]; t++) {
        token_of(&m, t, x);
        routed(&m, t, x, h, a, o);
        if (m.v2 != NULL) {
            shared(&m, t, x, h, a, o);
        }
    }
    free(work);
    return true;
}

/* Values for codes of e4m3, e2m1 or bf16. */
static void draw(tgk_arg *a, double scale, tgk_random *r) {
    static const double e2m1[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
    int64_t n = a != NULL ? tgk_drawn(a, r) : 0;
    for (int64_t i = 0; i < n; i++) {
        double v = tgk_random_normal(r);
        a->f[i] = a->dtype == TG_DT_F4E2M1
                      ? copysign(e2m1[tgk_random_below(r, 8)], v)
                      : tgk_round_to(v * (a->dtype == TG_DT_F8E4M3 ? 64 : scale),
                                     a->dtype == TG_DT_F8E4M3 ? &TGK_E4M3 : &TGK_BF16);
    }
    if (a != NULL) {
        tgk_repeat(a, n);
    }
}

/* Scales base 2^U(-spread, spread): a neighbour's scale is another. */
static void draw_scales(tgk_arg *a, double base, double spread, tgk_random *r) {
    for (int64_t i = 0; a != NULL && i < a->count; i++) {
        double v = base * exp2(spread * (2 * tgk_random_uniform(r) - 1));
        a->f[i] = a->dtype == TG_DT_F8E8M0 ? exp2(rint(log2(v))) : (double)(float)v;
    }
}

/* Distinct experts, some slots empty, an expert without rows; sums near 1. */
void tgk_moe_fused_inputs(tgk_arg *args, int n, tgk_random *r) {
    layer m = layer_of(args, n);
    int64_t k = m.ids->extent[1];
    draw(m.x, 1, r);
    draw(m.w13, 2 / sqrt((double)m.dim), r);
    draw(m.w2, 1 / sqrt((double)m.inner), r);
    draw(m.v13, 2 / sqrt((double)m.dim), r);
    draw(m.v2, 1 / sqrt((double)m.inner), r);
    draw_scales(m.sx, 1.0 / 64, 2, r);
    double unit = m.w13->dtype == TG_DT_F4E2M1 ? 0.5 : 1.0 / 64;
    draw_scales(m.s13, 2 * unit / sqrt((double)m.dim), 3, r);
    draw_scales(m.s2, unit / sqrt((double)m.inner), 3, r);
    for (int64_t i = 0; i < m.ids->count; i++) {
        int64_t e = (i / k * 5 + i % k * 3) % (m.experts > 1 ? m.experts - 1 : 1);
        m.ids->i[i] = tgk_random_below(r, 9) == 0 ? -1 : e;
        m.w->f[i] = (double)(float)(0.1 + tgk_random_uniform(r));
    }
    tgk_find(args, n, "limit")->f[0] = 10;
    if (m.v2 != NULL) {
        tgk_find(args, n, "shared_limit")->f[0] = m.inner % 64 == 0 ? 0.5 : INFINITY;
    }
}
