/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: SwiGLU (moe.md section 6). g = min(g, L), u = clamp(u, -L, L), y = g / (1 + exp(-g))
 * u w.
 *
 * Tolerance. exp is within 1.1 units in the last place, 1 + exp adds half, the quotient and the two
 * products half each: 3.5 units of f32, so 4 besides the rounding to the output type; below
 * g = -88.7 exp is infinite and y is 0, where |y| < 1e-34 for |u| < 512. Codes: equal, or the
 * neighbour where that error crosses a tie. Scales: 4 units of f32; a power of two exactly (no
 * group's amax / top of these inputs is that close to one). Gradients: eight roundings, of which
 * 1 - sig is absolute in the factor of dg: the slack. dw: a sum of I terms.
 */
#include "kernels/rounding.h"

#include <string.h>

static double sigma(double g) { return 1 / (1 + exp(-g)); }

typedef struct pair_in {
    double g, u;         /* clamped */
    bool over, up, down; /* g > L, u > L, u < -L */
} pair_in;

static pair_in gate_up(const tgk_arg *x, int64_t row, int64_t i, double limit) {
    int64_t wide = x->extent[1];
    double g = x->f[row * wide + i], u = x->f[row * wide + wide / 2 + i];
    return (pair_in){fmin(g, limit), fmax(fmin(u, limit), -limit), g > limit, u > limit,
                     u < -limit};
}

static void slack(tgk_arg *a, int64_t e, double v) {
    if (a->slack != NULL) {
        a->slack[e] = v;
    }
}

static double limit_of(tgk_arg *args, int n) { return tgk_float(tgk_find(args, n, "limit")); }

/* The weight of a row; false: the row is padding. */
static bool weight_of(tgk_arg *args, int n, int64_t row, double *out) {
    const tgk_arg *pair = tgk_find(args, n, "pair"), *w = tgk_find(args, n, "w");
    *out = 1;
    if (pair != NULL) {
        bool ones = tgk_constant_of(args, "WEIGHT", 1) == 0;
        *out = pair->i[row] < 0 ? 0 : ones ? 1 : w->f[pair->i[row]];
        return pair->i[row] >= 0;
    }
    return true;
}

static double forward(tgk_arg *args, int n, int64_t row, int64_t i) {
    double w;
    if (!weight_of(args, n, row, &w)) {
        return 0;
    }
    pair_in p = gate_up(&args[0], row, i, limit_of(args, n));
    return p.g * sigma(p.g) * p.u * w;
}

static void count_clamped(tgk_arg *args, int n) {
    tgk_arg *c = tgk_find(args, n, "clamped");
    if (c == NULL) {
        return;
    }
    memset(c->i, 0, 3 * sizeof *c->i);
    for (int64_t row = 0; row < args[0].extent[0]; row++) {
        double w;
        for (int64_t i = 0; weight_of(args, n, row, &w) && i < args[0].extent[1] / 2; i++) {
            pair_in p = gate_up(&args[0], row, i, limit_of(args, n));
            c->i[0] += p.over;
            c->i[1] += p.up;
            c->i[2] += p.down;
        }
    }
}

/* swiglu(x: [N, 2 I], limit, out y: [N, I]); swiglu_weighted(x, pair: i32[N], w: f32[TW, KW],
 * limit, out y, out clamped: i32[3]) */
static bool swiglu(tgk_arg *args, int n) {
    tgk_arg *y = tgk_find(args, n, "y");
    (void)tgk_make_slack(y);
    for (int64_t e = 0; e < y->count; e++) {
        y->f[e] = forward(args, n, e / y->extent[1], e % y->extent[1]);
        slack(y, e, fabs(y->f[e]) * 4 * 0x1p-23);
    }
    count_clamped(args, n);
    return true;
}

/* ---- quantised ------------------------------------------------------------------------------ */

static double top_of(tg_dtype q) { return q == TG_DT_F4E2M1 ? 6 : 448; }

/* The scale of a group whose greatest magnitude is amax: amax / top, or the next power of two. */
static double scale_of(double amax, tg_dtype q, tg_dtype s) {
    amax = fmax(amax, q == TG_DT_F4E2M1 ? 6 * 0x1p-126 : (double)1e-4f);
    double v = amax / top_of(q);
    int e;
    return s == TG_DT_F8E8M0 ? (frexp((double)(float)v, &e) == 0.5 ? ldexp(1, e - 1) : ldexp(1, e))
                             : v;
}

static const tgk_format e2m1 = {1, 0, 6};

/* Code e of q is v / s, where v may be off by err: near a tie, the neighbour is as good. The
 * kernel's own product with the inverse scale rounds twice more. */
static void put_code(tgk_arg *q, int64_t e, double v, double err, double s) {
    const tgk_format *f = q->dtype == TG_DT_F4E2M1 ? &e2m1 : &TGK_E4M3;
    q->f[e] = copysign(tgk_round_to(v / s, f), v);
    slack(q, e, tgk_round_slack(v / s, err / s + fabs(v / s) * 8 * 0x1p-24, f));
}

/* swiglu_quant(x, pair, w, limit, out q: Q[N, I], out sf: S[N, ceil(I / B)], out clamped) */
static bool swiglu_quant(tgk_arg *args, int n) {
    tgk_arg *q = tgk_find(args, n, "q"), *sf = tgk_find(args, n, "sf");
    int64_t b = tgk_constant_of(args, "B", 128), wide = q->extent[1], groups = sf->extent[1];
    (void)tgk_make_slack(q);
    for (int64_t row = 0; row < q->extent[0]; row++) {
        for (int64_t g = 0; g < groups; g++) {
            double amax = 0;
            int64_t end = (g + 1) * b < wide ? (g + 1) * b : wide;
            for (int64_t i = g * b; i < end; i++) {
                amax = fmax(amax, fabs(forward(args, n, row, i)));
            }
            double s = sf->f[row * groups + g] = scale_of(amax, q->dtype, sf->dtype);
            for (int64_t i = g * b; i < end; i++) {
                put_code(q, row * wide + i, forward(args, n, row, i), 0, s);
            }
        }
    }
    count_clamped(args, n);
    return true;
}

/* swiglu_quant_transposed(x, limit, out q: Q[I, N], out sf: S[I, ceil(N / B)]) */
static bool swiglu_transposed(tgk_arg *args, int n) {
    tgk_arg *q = tgk_find(args, n, "q"), *sf = tgk_find(args, n, "sf");
    int64_t b = tgk_constant_of(args, "B", 128), rows = q->extent[1], groups = sf->extent[1];
    (void)tgk_make_slack(q);
    for (int64_t i = 0; i < q->extent[0]; i++) {
        for (int64_t g = 0; g < groups; g++) {
            double amax = 0;
            int64_t end = (g + 1) * b < rows ? (g + 1) * b : rows;
            for (int64_t t = g * b; t < end; t++) {
                amax = fmax(amax, fabs(forward(args, n, t, i)));
            }
            double s = sf->f[i * groups + g] = scale_of(amax, q->dtype, sf->dtype);
            for (int64_t t = g * b; t < end; t++) {
                put_code(q, i * rows + t, forward(args, n, t, i), 0, s);
            }
        }
    }
    return true;
}

/* ---- backward ------------------------------------------------------------------------------- */

/* What one element gives back, and how far f32 may be off: eight roundings, of which 1 - sig is
 * absolute in the factor of dg. */
typedef struct gradient {
    double dg, du, off_dg, off_du, dw;
} gradient;

static gradient backward_one(tgk_arg *args, int n, int64_t row, int64_t i) {
    double w, limit = limit_of(args, n);
    if (!weight_of(args, n, row, &w)) {
        return (gradient){0};
    }
    const tgk_arg *dy = tgk_find(args, n, "dy");
    pair_in p = gate_up(&args[0], row, i, limit);
    double go = dy->f[row * dy->extent[1] + i], sig = sigma(p.g), ds = go * w * sig;
    gradient r = {.dw = go * p.g * sig * p.u};
    if (!p.over) {
        r.dg = ds * p.u * (1 + p.g * (1 - sig));
        r.off_dg = fabs(ds * p.u) * (1 + 2 * fabs(p.g)) * 8 * 0x1p-24;
    }
    if (!p.up && !p.down) {
        r.du = ds * p.g;
        r.off_du = fabs(ds * p.g) * 8 * 0x1p-24;
    }
    return r;
}

/* dw and its bound for one row: a sum of I terms, each within 16 roundings. */
static void row_weight(tgk_arg *args, int n, int64_t row) {
    tgk_arg *dw = tgk_find(args, n, "dw");
    int64_t half = args[0].extent[1] / 2;
    double sum = 0, size = 0;
    for (int64_t i = 0; i < half; i++) {
        double p = backward_one(args, n, row, i).dw;
        sum += p;
        size += fabs(p);
    }
    dw->f[row] = sum;
    slack(dw, row, (double)(half + 16) * 0x1p-24 * size);
}

/* swiglu_backward(x: [N, 2 I], dy: [N, I], pair, w, limit, out dx: [N, 2 I], out dw: f32[N]) */
static bool swiglu_backward(tgk_arg *args, int n) {
    tgk_arg *dx = tgk_find(args, n, "dx");
    int64_t wide = args[0].extent[1], half = wide / 2;
    (void)tgk_make_slack(dx);
    (void)tgk_make_slack(tgk_find(args, n, "dw"));
    for (int64_t row = 0; row < args[0].extent[0]; row++) {
        for (int64_t i = 0; i < half; i++) {
            gradient g = backward_one(args, n, row, i);
            int64_t at = row * wide + i;
            dx->f[at] = g.dg;
            dx->f[at + half] = g.du;
            slack(dx, at, g.off_dg);
            slack(dx, at + half, g.off_du);
        }
        row_weight(args, n, row);
    }
    return true;
}

/* One group of gradients v (each off by at most off): its scale and its codes. */
static void quantise_group(tgk_arg *q, tgk_arg *sf, int64_t at, int64_t b, const double *v,
                           const double *off) {
    double amax = 0, most = 0;
    for (int64_t i = 0; i < b; i++) {
        amax = fmax(amax, fabs(v[i]));
        most = fmax(most, off[i]);
    }
    double s = sf->f[at / b] = scale_of(amax, q->dtype, sf->dtype);
    bool power = sf->dtype == TG_DT_F8E8M0;
    slack(sf, at / b, power ? 0 : most / top_of(q->dtype));
    for (int64_t i = 0; i < b; i++) {
        put_code(q, at + i, v[i], off[i] + (power ? 0 : fabs(v[i]) * most / fmax(amax, 1e-30)), s);
    }
}

/* swiglu_backward_quant(.., out q: f8e4m3[N, 2 I], out sf: S[N, 2 I / B], out dw): groups of dg,
 * then of du. */
static bool backward_quant(tgk_arg *args, int n) {
    tgk_arg *q = tgk_find(args, n, "q"), *sf = tgk_find(args, n, "sf");
    int64_t wide = args[0].extent[1], half = wide / 2, b = tgk_constant_of(args, "B", 128);
    double *v = calloc((size_t)(2 * wide + 1), sizeof *v), *off = v + wide;
    (void)tgk_make_slack(q);
    (void)tgk_make_slack(sf);
    (void)tgk_make_slack(tgk_find(args, n, "dw"));
    for (int64_t row = 0; v != NULL && row < args[0].extent[0]; row++) {
        for (int64_t i = 0; i < half; i++) {
            gradient g = backward_one(args, n, row, i);
            v[i] = g.dg;
            v[half + i] = g.du;
            off[i] = g.off_dg;
            off[half + i] = g.off_du;
        }
        for (int64_t at = 0; at < wide; at += b) {
            quantise_group(q, sf, row * wide + at, b, v + at, off + at);
        }
        row_weight(args, n, row);
    }
    free(v);
    return v != NULL;
}

/* ---- inputs ---------------------------------------------------------------------------------- */

/* As the type stores it. */
static double stored(double v, tg_dtype t) {
    static const tgk_format f16 = {10, -14, 65504};
    return t == TG_DT_BF16  ? tgk_round_to(v, &TGK_BF16)
           : t == TG_DT_F16 ? tgk_round_to(v, &f16)
                            : (double)(float)v;
}

/* Rows of growing magnitude (2^-6 to 2^6), so that limits cut some and gates saturate; every fifth
 * row is padding, NaN or 99 throughout; a row of zeros. */
static void inputs(tgk_arg *args, int n, tgk_random *r) {
    tgk_arg *x = &args[0], *pair = tgk_find(args, n, "pair"), *w = tgk_find(args, n, "w"),
            *limit = tgk_find(args, n, "limit"), *dy = tgk_find(args, n, "dy");
    limit->f[0] = x->extent[0] % 2 == 1 ? 10 : x->extent[0] == 0 ? INFINITY : 0.5;
    for (int64_t i = 0; w != NULL && i < w->count; i++) {
        w->f[i] = (double)(float)(0.1 + tgk_random_uniform(r));
    }
    for (int64_t row = 0; row < x->extent[0]; row++) {
        bool padding = pair != NULL && row % 5 == 3;
        if (pair != NULL) {
            pair->i[row] = padding ? -1 : tgk_random_below(r, w->count);
        }
        for (int64_t i = 0; i < x->extent[1]; i++) {
            double size = exp2((double)((row + i / 32) % 13) - 6);
            x->f[row * x->extent[1] + i] = padding ? (row % 2 == 0 ? NAN : 99)
                                           : row % 11 == 2
                                               ? 0
                                               : stored(size * tgk_random_normal(r), x->dtype);
        }
        for (int64_t i = 0; dy != NULL && i < dy->extent[1]; i++) {
            dy->f[row * dy->extent[1] + i] =
                padding ? NAN : stored(tgk_random_normal(r), dy->dtype);
        }
    }
}

const tgk_reference tgk_activation_references[] = {
    {"swiglu", swiglu, inputs, false, {{"y", TGK_TOL_DERIVED, 0.5, 1e-34}}},
    {"swiglu_weighted",
     swiglu,
     inputs,
     false,
     {{"y", TGK_TOL_DERIVED, 0.5, 1e-34}, {"clamped", TGK_TOL_EXACT, 0, 0}}},
    {"swiglu_quant",
     swiglu_quant,
     inputs,
     false,
     {{"q", TGK_TOL_DERIVED, 0, 0}, {"sf", TGK_TOL_ULP, 4, 0}, {"clamped", TGK_TOL_EXACT, 0, 0}}},
    {"swiglu_quant_transposed",
     swiglu_transposed,
     inputs,
     false,
     {{"q", TGK_TOL_DERIVED, 0, 0}, {"sf", TGK_TOL_ULP, 4, 0}}},
    {"swiglu_backward",
     swiglu_backward,
     inputs,
     false,
     {{"dx", TGK_TOL_DERIVED, 0.5, 1e-33}, {"dw", TGK_TOL_DERIVED, 1, 0}}},
    {"swiglu_backward_quant",
     backward_quant,
     inputs,
     false,
     {{"q", TGK_TOL_DERIVED, 0, 0}, {"sf", TGK_TOL_DERIVED, 4, 0}, {"dw", TGK_TOL_DERIVED, 1, 0}}},
    {0},
};
