/* SPDX-License-Identifier: Apache-2.0 */
/* References: Engram's hash, gather, gate with its gradients, short convolution (moe.md section 8).
 */
#include "kernels/rounding.h"

#include <string.h>

/* Layers 1 and 14 of V4.1. */
static const int64_t mult_v41[2][4] = {
    {76632096046245, 4839876093313, 35959672319349, 73987337458391},
    {67716810739261, 51510806800915, 30921347202721, 82619226485591},
};

/* hash(token, position, blocked, map, pad, mult, prime, offset, out row): the token k back counts
 * as the pad id when it lies before the request or a blocked token stands at it or behind it. */
static bool hash(tgk_arg *a, int n) {
    if (n != 9) {
        return false;
    }
    int64_t layers = a[5].extent[0], order = a[5].extent[1], heads = a[6].extent[2];
    int64_t tokens = a[0].count, vocabulary = a[3].count;
    for (int64_t l = 0; l < layers; l++) {
        for (int64_t t = 0; t < tokens; t++) {
            int64_t h = 0;
            bool live = true;
            for (int64_t k = 0; k < order; k++) {
                live = live && a[1].i[t] >= k && t >= k && a[2].i[t - k] == 0;
                int64_t token = live ? a[0].i[t - k] : -1;
                int64_t id = token >= 0 && token < vocabulary ? a[3].i[token] : tgk_int(&a[4]);
                h ^= id * a[5].i[l * order + k];
                for (int64_t j = 0; k > 0 && j < heads; j++) {
                    int64_t c = (l * (order - 1) + k - 1) * heads + j;
                    a[8].i[(l * tokens + t) * (order - 1) * heads + (k - 1) * heads + j] =
                        h % a[6].i[c] + a[7].i[c];
                }
            }
        }
    }
    return true;
}

static int64_t next_prime(int64_t p) {
    for (bool prime = false; !prime;) {
        prime = ++p % 2 != 0;
        for (int64_t d = 3; prime && d * d <= p; d += 2) {
            prime = p % d != 0;
        }
    }
    return p;
}

/* Requests of odd lengths; one token in nine blocked; ids outside the map; the real multipliers and
 * tables, smaller vocabularies. */
static void hash_inputs(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    int64_t at = 0, left = 0, prime = 15999999, total = 0, vocabulary = a[3].count;
    int64_t order = a[5].extent[1], heads = a[6].extent[2];
    a[4].i[0] = 2 + tgk_random_below(r, 99090);
    for (int64_t t = 0; t < a[0].count; t++) {
        if (left == 0) {
            at = 0;
            left = 1 + tgk_random_below(r, 17);
        }
        left--;
        a[1].i[t] = at++;
        a[0].i[t] = tgk_random_below(r, vocabulary);
        if (tgk_random_below(r, 23) == 0) {
            a[0].i[t] = tgk_random_below(r, 2) == 0 ? -1 : vocabulary;
        }
        a[2].i[t] = tgk_random_below(r, 9) == 0;
    }
    for (int64_t i = 0; i < vocabulary; i++) {
        a[3].i[i] = 1 + tgk_random_below(r, 99091);
    }
    for (int64_t i = 0; i < a[5].count; i++) {
        a[5].i[i] = mult_v41[i / order % 2][i % order];
    }
    for (int64_t i = 0; i < a[6].count; i++) {
        total = i % ((order - 1) * heads) == 0 ? 0 : total;
        a[6].i[i] = prime = next_prime(prime);
        a[7].i[i] = total;
        total += prime;
    }
}

static bool gather(tgk_arg *a, int n) {
    if (n != 3) {
        return false;
    }
    for (int64_t i = 0; i < a[2].count; i++) {
        int64_t row = a[1].i[i / 256], c = i % 256;
        const unsigned char *p = a[0].bytes + (row < 0 ? 0 : row) * 264;
        bool inside = row >= 0 && row < a[0].extent[0];
        a[2].f[i] = inside ? tgk_e4m3(p[c]) * ldexp(1, p[256 + c / 32] - 127) : 0;
    }
    return true;
}

/* Codes without NaN, scales over 20 powers of two; rows outside the table. */
static void gather_inputs(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    for (int64_t i = 0; i < a[0].count * 264; i++) {
        uint64_t v = tgk_random_u64(r);
        a[0].bytes[i] = i % 264 < 256 ? (unsigned char)((v & 0x7f) == 0x7f ? 0x40 : v & 0xff)
                                      : (unsigned char)(117 + v % 20);
    }
    for (int64_t i = 0; i < a[1].count; i++) {
        int64_t k = tgk_random_below(r, 12);
        a[1].i[i] = k == 0 ? -1 : k == 1 ? a[0].extent[0] : tgk_random_below(r, a[0].extent[0]);
    }
}

static bool fused_weight(tgk_arg *a, int n) {
    for (int64_t i = 0; n == 3 && i < a[2].count; i++) {
        a[2].f[i] = (double)((float)a[0].f[i] * (float)a[1].f[i]);
    }
    return n == 3;
}

typedef struct gate_state {
    double rh, rk, dot, g, dot_error;
} gate_state;

static gate_state gate_of(const double *h, const double *k, const double *w, int64_t d, double eps,
                          bool copysigned) {
    double hh = 0, kk = 0, hk = 0, size = 0;
    for (int64_t c = 0; c < d; c++) {
        hh += h[c] * h[c];
        kk += k[c] * k[c];
        hk += h[c] * k[c] * w[c];
        size += fabs(h[c] * k[c] * w[c]);
    }
    gate_state s = {.rh = 1 / sqrt(hh / (double)d + eps), .rk = 1 / sqrt(kk / (double)d + eps)};
    double scale = s.rh * s.rk / sqrt((double)d);
    s.dot = hk * scale;
    s.dot_error = 24 * 0x1p-24 * size * scale; /* f32 sums in lanes, and the three factors */
    double open = copysign(sqrt(fmax(fabs(s.dot), 1e-6)), s.dot);
    s.g = 1 / (1 + exp(-(s.dot == 0 && !copysigned ? 0 : open)));
    return s;
}

/* How far an error of the dot product moves the gate: its slope is at most 1/4 of d sqrt. */
static double gate_error(const gate_state *s) {
    return 0.25 * s->dot_error / (2 * sqrt(fmax(fabs(s->dot) - s->dot_error, 1e-6))) + 4 * 0x1p-24;
}

/* gate(h, k, v, w, eps, out y, out gate) */
static bool gate(tgk_arg *a, int n) {
    int64_t d = a[0].extent[2];
    if (n != 7 || tgk_make_slack(&a[5]) == NULL || tgk_make_slack(&a[6]) == NULL) {
        return false;
    }
    for (int64_t i = 0; i < a[6].count; i++) { /* token and stream */
        gate_state s = gate_of(a[0].f + i * d, a[1].f + i * d, a[3].f + i % 4 * d, d,
                               tgk_float(&a[4]), tgk_constant_of(a, "SIGN", 1) != 0);
        a[6].f[i] = s.g;
        a[6].slack[i] = gate_error(&s);
        for (int64_t c = 0; c < d; c++) {
            double v = a[2].f[i / 4 * d + c], h = a[0].f[i * d + c];
            a[5].f[i * d + c] = h + s.g * v;
            a[5].slack[i * d + c] = fabs(v) * gate_error(&s) + (fabs(h) + fabs(v)) * 2 * 0x1p-24;
        }
    }
    return true;
}

/* One token with k = 0 (dot = 0), one with h of the other sign, one large. */
static void gate_inputs(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    (void)r;
    int64_t d = a[0].extent[2];
    for (int64_t i = 0; i < a[0].count; i++) {
        int64_t row = i / d;
        a[1].f[i] = row % 11 == 3 ? 0 : row % 3 == 1 ? a[0].f[i] : a[1].f[i];
        a[1].f[i] *= row % 13 == 5 ? -64 : 1;
    }
}

/* The gradient of a stream's dot product and how far f32 arithmetic may be off: sums of d terms in
 * lanes 24 units of what they add, a norm 16, and the root's slope as far as the dot itself is.
 * Where the dot is about 1e-6, the root may count as clamped or not. */
typedef struct gate_slope {
    double ddot, error;
} gate_slope;

static gate_slope slope_of(const gate_state *s, const double *dy, const double *v, int64_t d) {
    double dg = 0, size = 0, far = fabs(s->dot) - 1e-6, unit = 0x1p-24;
    for (int64_t c = 0; c < d; c++) {
        dg += dy[c] * v[c];
        size += fabs(dy[c] * v[c]);
    }
    if (far < -s->dot_error || s->dot == 0) {
        return (gate_slope){0};
    }
    double root = sqrt(fabs(s->dot)), slope = s->g * (1 - s->g) / (2 * root);
    double off = gate_error(s) / (2 * root) +
                 slope * (s->dot_error / fmax(fabs(s->dot) - s->dot_error, 1e-6) + 8 * unit);
    gate_slope r = {far > 0 ? dg * slope : 0, 24 * unit * size * (slope + off) + fabs(dg) * off};
    r.error += fabs(far) <= s->dot_error ? fabs(dg * slope) : 0;
    return r;
}

/* One stream of one token: gradients and their errors, added to what the arrays hold. */
typedef struct gate_row {
    const double *h, *k, *w, *v, *dy;
    double *dh, *dk, *dv, *dw, *eh, *ek, *ev, *ew;
} gate_row;

static void backward_row(const gate_row *p, int64_t d, double eps, bool copysigned) {
    const double unit = 0x1p-24;
    gate_state s = gate_of(p->h, p->k, p->w, d, eps, copysigned);
    gate_slope q = slope_of(&s, p->dy, p->v, d);
    double norms = s.rh * s.rk / sqrt((double)d), along = q.ddot * norms;
    double e_along = q.error * norms + 40 * unit * fabs(along);
    double back = q.ddot * s.dot / (double)d,
           e_back = (q.error * fabs(s.dot) + fabs(q.ddot) * s.dot_error) / (double)d;
    e_back += 40 * unit * fabs(back);
    for (int64_t c = 0; c < d; c++) {
        double h = p->h[c], k = p->k[c], w = p->w[c], dy = p->dy[c];
        double sh = back * s.rh * s.rh * h, sk = back * s.rk * s.rk * k;
        p->dh[c] += dy + along * w * k - sh;
        p->dk[c] += along * w * h - sk;
        p->dv[c] += s.g * dy;
        p->dw[c] += along * h * k;
        p->eh[c] += e_along * fabs(w * k) + e_back * s.rh * s.rh * fabs(h) +
                    4 * unit * (fabs(dy) + fabs(along * w * k) + fabs(sh));
        p->ek[c] += e_along * fabs(w * h) + e_back * s.rk * s.rk * fabs(k) +
                    4 * unit * (fabs(along * w * h) + fabs(sk));
        p->ev[c] += gate_error(&s) * fabs(dy) + 6 * unit * fabs(s.g * dy);
        p->ew[c] += e_along * fabs(h * k) + 8 * unit * fabs(along * h * k);
    }
}

/* gate_backward(h, k, v, w, eps, dy, out dh, out dk, out dv, out dw by blocks of tokens) */
static bool gate_backward(tgk_arg *a, int n) {
    int64_t d = a[0].extent[2], tokens = a[0].extent[0], bt = tgk_constant_of(a, "BT", 1);
    bool copysigned = tgk_constant_of(a, "SIGN", 1) != 0;
    for (int o = 6; o < 10; o++) {
        if (n != 10 || tgk_make_slack(&a[o]) == NULL) {
            return false;
        }
        memset(a[o].f, 0, (size_t)a[o].count * sizeof(double));
    }
    for (int64_t i = 0; i < tokens * 4; i++) {
        int64_t at = i * d, token = i / 4 * d, block = (i / 4 / bt * 4 + i % 4) * d;
        gate_row p = {.h = a[0].f + at,
                      .k = a[1].f + at,
                      .v = a[2].f + token,
                      .w = a[3].f + i % 4 * d,
                      .dy = a[5].f + at,
                      .dh = a[6].f + at,
                      .dk = a[7].f + at,
                      .dv = a[8].f + token,
                      .dw = a[9].f + block,
                      .eh = a[6].slack + at,
                      .ek = a[7].slack + at,
                      .ev = a[8].slack + token,
                      .ew = a[9].slack + block};
        backward_row(&p, d, tgk_float(&a[4]), copysigned);
    }
    for (int o = 6; o < 9; o++) { /* rounded as stored: only what lies at a tie may differ */
        for (int64_t i = 0; i < a[o].count; i++) {
            a[o].slack[i] = tgk_round_slack(a[o].f[i], a[o].slack[i], &TGK_BF16);
            a[o].f[i] = tgk_round_to(a[o].f[i], &TGK_BF16);
        }
    }
    return true;
}

static bool grad_w_reduce(tgk_arg *a, int n) {
    int64_t parts = a[0].extent[0], size = a[1].count;
    for (int64_t i = 0; n == 5 && i < size; i++) {
        double s = 0;
        for (int64_t p = 0; p < parts; p++) {
            s += a[0].f[p * size + i];
        }
        a[3].f[i] += s * a[2].f[i];
        a[4].f[i] += s * a[1].f[i];
    }
    return n == 5;
}

static double silu(double x) { return x / (1 + exp(-x)); }

/* u = rmsnorm(x) g of one stream of one token. */
static void conv_norm(const double *x, const double *g, int64_t d, double eps, double *u) {
    double ss = 0;
    for (int64_t c = 0; c < d; c++) {
        ss += x[c] * x[c];
    }
    for (int64_t c = 0; c < d; c++) {
        u[c] = x[c] / sqrt(ss / (double)d + eps) * g[c];
    }
}

/* conv(x, position, g, w, eps, out y) */
static bool conv(tgk_arg *a, int n) {
    int64_t groups = a[0].extent[1], d = a[0].extent[2], taps = a[3].extent[0];
    int64_t step = tgk_constant_of(a, "N", 1);
    double *u = malloc((size_t)(a[0].count + 1) * sizeof *u);
    if (n != 6 || u == NULL) {
        free(u);
        return false;
    }
    for (int64_t i = 0; i < a[0].count / d; i++) {
        conv_norm(a[0].f + i * d, a[2].f + i % groups * d, d, tgk_float(&a[4]), u + i * d);
    }
    for (int64_t i = 0; i < a[0].count; i++) {
        int64_t t = i / (groups * d), lane = i % (groups * d);
        double s = 0;
        for (int64_t j = 0; j < taps; j++) {
            int64_t back = (taps - 1 - j) * step;
            s += a[1].i[t] >= back ? u[i - back * groups * d] * a[3].f[j * groups * d + lane] : 0;
        }
        a[5].f[i] = a[0].f[i] + silu(s);
    }
    free(u);
    return true;
}

/* conv_step(x, position, slot, g, w, eps, inout state, out y) */
static bool conv_step(tgk_arg *a, int n) {
    int64_t groups = a[0].extent[1], d = a[0].extent[2], taps = a[4].extent[0];
    int64_t step = tgk_constant_of(a, "N", 1), ring = (taps - 1) * step;
    double *u = malloc((size_t)(d + 1) * sizeof *u);
    if (n != 8 || u == NULL) {
        free(u);
        return false;
    }
    for (int64_t i = 0; i < a[0].count / d; i++) {
        int64_t b = i / groups, g = i % groups, p = a[1].i[b];
        bool has = a[2].i[b] >= 0 && a[2].i[b] < a[6].extent[0];
        double *state = a[6].f + ((has ? a[2].i[b] : 0) * ring * groups + g) * d;
        conv_norm(a[0].f + i * d, a[3].f + g * d, d, tgk_float(&a[5]), u);
        for (int64_t c = 0; c < d; c++) {
            double s = u[c] * a[4].f[((taps - 1) * groups + g) * d + c];
            for (int64_t j = 0; j < taps - 1; j++) {
                int64_t q = p - (taps - 1 - j) * step;
                s += has && q >= 0
                         ? state[q % ring * groups * d + c] * a[4].f[(j * groups + g) * d + c]
                         : 0;
            }
            a[7].f[i * d + c] = a[0].f[i * d + c] + silu(s);
        }
        for (int64_t c = 0; has && c < d; c++) {
            state[p % ring * groups * d + c] = u[c];
        }
    }
    free(u);
    return true;
}

/* Positions: requests one behind the other (prefill), or any (a step; new requests among them). */
static void conv_inputs(tgk_arg *a, int n, tgk_random *r) {
    int64_t at = 0, left = 0;
    for (int64_t t = 0; t < a[1].count; t++) {
        if (n == 8) {
            a[1].i[t] = t == 0 ? 0 : tgk_random_below(r, t % 2 == 0 ? 1000 : 9);
            a[2].i[t] = t == 3 ? -1 : a[6].extent[0] - 1 - t; /* one request without a state */
            continue;
        }
        if (left == 0) {
            at = 0;
            left = 1 + tgk_random_below(r, 23);
        }
        left--;
        a[1].i[t] = at++;
    }
}

/*
 * Bounds. Hash, gather, fused weight: exact (a product of an e4m3 code and a power of two is a
 * bf16). Gate: the stored value is within half a unit of what the f32 error of the dot product
 * allows. Backward: element by element, rounded as stored, within what its f32 arithmetic may be
 * off, so that a bf16 gradient is exact unless it lies at a tie. The calc_diff 1e-8 of moe.md
 * section 8 holds for f32 (dw) besides; in bf16 one flipped rounding of a dominant element may
 * exceed it. Convolution: K products of normalised values, silu 4 units:
 * absolutely 1e-5 at |x| of a few units, and half a unit of bf16.
 */
const tgk_reference tgk_engram_references[] = {
    {"engram_hash", hash, hash_inputs, false, {{"row", TGK_TOL_EXACT, 0, 0}}},
    {"engram_gather", gather, gather_inputs, false, {{"y", TGK_TOL_EXACT, 0, 0}}},
    {"engram_fused_weight", fused_weight, NULL, false, {{"w", TGK_TOL_EXACT, 0, 0}}},
    {"engram_gate",
     gate,
     gate_inputs,
     false,
     {{"y", TGK_TOL_ULP, 0.501, 0}, {"gate", TGK_TOL_ULP, 4, 0}}},
    {"engram_gate_backward",
     gate_backward,
     gate_inputs,
     false,
     {{"dh", TGK_TOL_DERIVED, 0, 0},
      {"dk", TGK_TOL_DERIVED, 0, 0},
      {"dv", TGK_TOL_DERIVED, 0, 0},
      {"dw", TGK_TOL_CALC_DIFF, 1e-8, 0}}}, /* and each element, as its slack is there */
    {"engram_grad_w_reduce",
     grad_w_reduce,
     NULL,
     false,
     {{"dwq", TGK_TOL_CALC_DIFF, 1e-10, 0}, {"dwk", TGK_TOL_CALC_DIFF, 1e-10, 0}}},
    {"engram_conv", conv, conv_inputs, false, {{"y", TGK_TOL_ULP, 0.501, 1e-5}}},
    {"engram_conv_step",
     conv_step,
     conv_inputs,
     false,
     {{"state", TGK_TOL_ULP, 16, 0}, {"y", TGK_TOL_ULP, 0.501, 1e-5}}},
    {0},
};
