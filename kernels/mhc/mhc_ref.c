/* SPDX-License-Identifier: Apache-2.0 */
/* References: hyper-connections forward (moe.md section 7) and the inputs of all of them. */
#include "kernels/mhc/mhc_ref.h"

static double sigmoid(double z) { return 1 / (1 + exp(-z)); }

/* m[R] and r of one token of flattened streams x[4 D]. */
static void norm_mix(const double *x, const double *w, int64_t maps, int64_t nd, double eps,
                     double *m, double *r) {
    double ss = 0;
    for (int64_t c = 0; c < nd; c++) {
        ss += x[c] * x[c];
    }
    *r = 1 / sqrt(ss / (double)nd + eps);
    for (int64_t j = 0; j < maps; j++) {
        m[j] = 0;
        for (int64_t c = 0; c < nd; c++) {
            m[j] += x[c] * w[j * nd + c];
        }
        m[j] *= *r;
    }
}

void mhc_softmax_rows(const double *x, double c[16]) {
    for (int i = 0; i < 4; i++) {
        double top = -INFINITY, s = 0;
        for (int j = 0; j < 4; j++) {
            top = fmax(top, x[4 * i + j]);
        }
        for (int j = 0; j < 4; j++) {
            s += c[4 * i + j] = exp(x[4 * i + j] - top);
        }
        for (int j = 0; j < 4; j++) {
            c[4 * i + j] /= s;
        }
    }
}

static void divide(double c[16], double d[16], int line, int inside) {
    for (int i = 0; i < 4; i++) {
        double s = MHC_EPS, ds = 0;
        for (int j = 0; j < 4; j++) {
            s += c[i * line + j * inside];
            ds += d[i * line + j * inside];
        }
        for (int j = 0; j < 4; j++) {
            int at = i * line + j * inside;
            d[at] = (d[at] - c[at] / s * ds) / s;
            c[at] /= s;
        }
    }
}

void mhc_sinkhorn_rounds(int64_t iters, double c[16], double d[16]) {
    for (int i = 0; i < 16; i++) {
        c[i] += MHC_EPS;
    }
    divide(c, d, 1, 4);
    for (int64_t it = 1; it < iters; it++) {
        divide(c, d, 4, 1);
        divide(c, d, 1, 4);
    }
}

void mhc_sinkhorn(const double *x, int64_t iters, double c[16]) {
    double still[16] = {0};
    mhc_softmax_rows(x, c);
    mhc_sinkhorn_rounds(iters, c, still);
}

static void split(const double *m, const double *s, const double *b, double mult, double *pre,
                  double *post, double *z) {
    for (int j = 0; j < 4; j++) {
        pre[j] = sigmoid(m[j] * s[0] + b[j]) + MHC_EPS;
        post[j] = mult * sigmoid(m[4 + j] * s[1] + b[4 + j]);
    }
    for (int j = 0; j < 16; j++) {
        z[j] = m[8 + j] * s[2] + b[8 + j];
    }
}

/* y = sum_i pre_i x_i; slack: the maps' own allowance, 1e-5, and the sum's roundings. */
static void apply(const double *x, const double *pre, int64_t d, double map_error, double *y,
                  double *slack) {
    for (int64_t c = 0; c < d; c++) {
        y[c] = 0;
        slack[c] = 0;
        for (int i = 0; i < 4; i++) {
            y[c] += pre[i] * x[i * d + c];
            slack[c] += fabs(x[i * d + c]) * (map_error + 4 * 0x1p-24 * fabs(pre[i]));
        }
    }
}

static void merge(const double *x, const double *f, const double *post, const double *comb,
                  int64_t d, double *y, double *slack) {
    for (int j = 0; j < 4; j++) {
        for (int64_t c = 0; c < d; c++) {
            double v = post[j] * f[c], size = fabs(v);
            for (int i = 0; i < 4; i++) {
                v += comb[4 * i + j] * x[i * d + c];
                size += fabs(comb[4 * i + j] * x[i * d + c]);
            }
            y[j * d + c] = v;
            slack[j * d + c] = 6 * 0x1p-24 * size;
        }
    }
}

static bool norm_fn(tgk_arg *a, int n) {
    if (n != 5) {
        return false;
    }
    int64_t maps = a[1].extent[0], nd = a[0].extent[1] * a[0].extent[2];
    for (int64_t t = 0; t < a[0].extent[0]; t++) {
        norm_mix(a[0].f + t * nd, a[1].f, maps, nd, tgk_float(&a[2]), a[3].f + t * maps,
                 a[4].f + t);
    }
    return true;
}

static bool split_all(tgk_arg *a, int n) {
    for (int64_t t = 0; n == 7 && t < a[0].extent[0]; t++) {
        split(a[0].f + 24 * t, a[1].f, a[2].f, tgk_float(&a[3]), a[4].f + 4 * t, a[5].f + 4 * t,
              a[6].f + 16 * t);
    }
    return n == 7;
}

static bool sinkhorn(tgk_arg *a, int n) {
    (void)n;
    for (int64_t t = 0; t < a[0].extent[0]; t++) {
        mhc_sinkhorn(a[0].f + 16 * t, tgk_constant_of(a, "ITERS", 20), a[1].f + 16 * t);
    }
    return true;
}

static bool apply_all(tgk_arg *a, int n) {
    int64_t d = a[0].extent[2];
    if (n != 3 || tgk_make_slack(&a[2]) == NULL) {
        return false;
    }
    for (int64_t t = 0; t < a[0].extent[0]; t++) {
        apply(a[0].f + 4 * t * d, a[1].f + 4 * t, d, 0, a[2].f + t * d, a[2].slack + t * d);
    }
    return true;
}

/* mhc_pre and, with `before`, mhc_pre_delayed: y from the older map. */
static bool pre_all(tgk_arg *a, int n) {
    int k = n == 11; /* delayed: one argument and one output more */
    tgk_arg *y = &a[6 + k], *post = &a[7 + 2 * k], *comb = &a[8 + 2 * k];
    int64_t d = a[0].extent[2];
    if (n != 9 + 2 * k || tgk_make_slack(y) == NULL) {
        return false;
    }
    for (int64_t t = 0; t < a[0].extent[0]; t++) {
        double m[24], r, pre[4], z[16];
        norm_mix(a[0].f + 4 * t * d, a[1 + k].f, 24, 4 * d, tgk_float(&a[4 + k]), m, &r);
        split(m, a[2 + k].f, a[3 + k].f, tgk_float(&a[5 + k]), pre, post->f + 4 * t, z);
        mhc_sinkhorn(z, tgk_constant_of(a, "ITERS", 20), comb->f + 16 * t);
        apply(a[0].f + 4 * t * d, k ? a[1].f + 4 * t : pre, d, k ? 0 : 1e-5, y->f + t * d,
              y->slack + t * d);
        for (int j = 0; k && j < 4; j++) {
            a[8].f[4 * t + j] = pre[j];
        }
    }
    return true;
}

static bool post_all(tgk_arg *a, int n) {
    int64_t d = a[0].extent[2];
    if (n != 5 || tgk_make_slack(&a[4]) == NULL) {
        return false;
    }
    for (int64_t t = 0; t < a[0].extent[0]; t++) {
        merge(a[0].f + 4 * t * d, a[1].f + t * d, a[2].f + 4 * t, a[3].f + 16 * t, d,
              a[4].f + 4 * t * d, a[4].slack + 4 * t * d);
    }
    return true;
}

static bool head_mix(tgk_arg *a, int n) {
    for (int64_t i = 0; n == 4 && i < a[0].count; i++) {
        a[3].f[i] = sigmoid(a[0].f[i] * a[1].f[0] + a[2].f[i % 4]) + MHC_EPS;
    }
    return n == 4;
}

static bool head(tgk_arg *a, int n) {
    int64_t d = a[0].extent[2];
    if (n != 6 || tgk_make_slack(&a[5]) == NULL) {
        return false;
    }
    for (int64_t t = 0; t < a[0].extent[0]; t++) {
        double m[4], r;
        norm_mix(a[0].f + 4 * t * d, a[1].f, 4, 4 * d, tgk_float(&a[4]), m, &r);
        for (int j = 0; j < 4; j++) {
            m[j] = sigmoid(m[j] * a[2].f[0] + a[3].f[j]) + MHC_EPS;
        }
        apply(a[0].f + 4 * t * d, m, d, 1e-5, a[5].f + t * d, a[5].slack + t * d);
    }
    return true;
}

static bool expand(tgk_arg *a, int n) {
    int64_t d = a[0].extent[1];
    for (int64_t i = 0; n == 2 && i < a[1].count; i++) {
        a[1].f[i] = a[0].f[i / (4 * d) * d + i % d];
    }
    return n == 2;
}

/* What errors of the streams v add to y_c and, for every stream, to x_c of the next layer. */
static void spread_errors(const double *err, const double *pre, const double *comb, int64_t d,
                          double *y, double *x) {
    for (int64_t k = 0; k < 16 * d; k++) {
        int64_t i = k / d / 4, j = k / d % 4, c = k % d;
        y[c] += j == 0 ? fabs(pre[i]) * err[i * d + c] : 0;
        x[j * d + c] += fabs(comb[4 * i + j]) * err[i * d + c];
    }
}

/* Streams are rounded to bf16 between sublayers. Where f32 arithmetic may round a value otherwise
 * than double (it lies that close to a tie), the next layers may be off by what that step makes
 * there, and nowhere else. */
static bool recompute(tgk_arg *a, int n) {
    int64_t d = a[0].extent[2], tokens = a[0].extent[0], layers = a[1].extent[0];
    tgk_arg *y = &a[5], *x = &a[6];
    if (n != 7 || tgk_make_slack(y) == NULL || tgk_make_slack(x) == NULL) {
        return false;
    }
    double *v = calloc((size_t)(8 * d + 1), sizeof *v), *err = v + 4 * d;
    for (int64_t t = 0; v != NULL && t < tokens; t++) {
        memcpy(v, a[0].f + 4 * t * d, (size_t)(4 * d) * sizeof *v);
        memset(err, 0, (size_t)(4 * d) * sizeof *v);
        for (int64_t l = 0; l < layers; l++) {
            int64_t at = l * tokens + t;
            double *next = x->f + 4 * at * d, *off = x->slack + 4 * at * d;
            apply(v, a[2].f + 4 * at, d, 0, y->f + at * d, y->slack + at * d);
            merge(v, a[1].f + at * d, a[3].f + 4 * at, a[4].f + 16 * at, d, next, off);
            spread_errors(err, a[2].f + 4 * at, a[4].f + 16 * at, d, y->slack + at * d, off);
            for (int64_t c = 0; c < 4 * d; c++) {
                v[c] = tgk_round_to(next[c], &TGK_BF16);
                err[c] = tgk_round_slack(next[c], off[c], &TGK_BF16);
            }
        }
    }
    free(v);
    return v != NULL;
}

void mhc_inputs(tgk_arg *args, int n, tgk_random *r) {
    (void)r;
    tgk_arg *w = tgk_find(args, n, "w");
    for (int64_t i = 0; w != NULL && i < w->count; i++) {
        w->f[i] /= sqrt((double)(w->extent[1] * w->extent[2]));
    }
    tgk_arg *x = tgk_find(args, n, "x"); /* tokens of small and of large streams */
    for (int64_t i = 0; w != NULL && x != NULL && i < x->count; i++) {
        int64_t row = i / (x->extent[1] * x->extent[2]);
        x->f[i] *= row % 5 == 1 ? 0x1p-12 : row % 5 == 2 ? 0x1p7 : 1;
    }
}

/* Ordinary logits, wide ones, rows with a common offset far beyond exp's range, and a column that
 * nobody wants, which holds little but the 1e-6. */
static void sinkhorn_inputs(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    (void)r;
    for (int64_t i = 0; i < args[0].count; i++) {
        int64_t t = i / 16;
        args[0].f[i] *= t % 4 == 1 ? 3 : 1;
        args[0].f[i] += t % 8 == 2 ? 300 : t % 8 == 3 ? -300 : t % 8 == 4 && i % 4 == 1 ? -40 : 0;
    }
}

/*
 * Bounds (moe.md section 13): maps 1e-5 absolute, data 1 ulp of bf16 here sharpened to half a ulp
 * and what the maps' 1e-5 and the f32 sum may move. m: the f32 product of 4 D terms, lanes of 16,
 * stays below 1e-5 for N(0,1) mixes. Sinkhorn: 1.3e-6 relative and 1e-5.
 */
const tgk_reference tgk_mhc_references[] = {
    {"mhc_norm_fn",
     norm_fn,
     mhc_inputs,
     false,
     {{"m", TGK_TOL_ULP, 0, 1e-5}, {"r", TGK_TOL_ULP, 12, 0}}},
    {"mhc_split",
     split_all,
     NULL,
     false,
     {{"pre", TGK_TOL_ULP, 0, 1e-6},
      {"post", TGK_TOL_ULP, 0, 1e-6},
      {"comb", TGK_TOL_ULP, 2, 1e-6}}},
    {"sinkhorn", sinkhorn, sinkhorn_inputs, false, {{"y", TGK_TOL_ULP, 10, 1e-5}}},
    {"mhc_apply", apply_all, mhc_inputs, false, {{"y", TGK_TOL_ULP, 0.501, 0}}},
    {"mhc_pre",
     pre_all,
     mhc_inputs,
     false,
     {{"y", TGK_TOL_ULP, 0.501, 0},
      {"post", TGK_TOL_ULP, 0, 1e-5},
      {"comb", TGK_TOL_ULP, 10, 1e-5}}},
    {"mhc_pre_delayed",
     pre_all,
     mhc_inputs,
     false,
     {{"y", TGK_TOL_ULP, 0.501, 0},
      {"pre", TGK_TOL_ULP, 0, 1e-5},
      {"post", TGK_TOL_ULP, 0, 1e-5},
      {"comb", TGK_TOL_ULP, 10, 1e-5}}},
    {"mhc_post", post_all, NULL, false, {{"y", TGK_TOL_ULP, 0.501, 0}}},
    {"mhc_head_mix", head_mix, NULL, false, {{"pre", TGK_TOL_ULP, 0, 1e-6}}},
    {"mhc_head", head, mhc_inputs, false, {{"y", TGK_TOL_ULP, 0.501, 0}}},
    {"mhc_expand", expand, NULL, false, {{"y", TGK_TOL_EXACT, 0, 0}}},
    {"mhc_recompute",
     recompute,
     NULL,
     false,
     {{"y", TGK_TOL_ULP, 0.501, 0}, {"x", TGK_TOL_ULP, 0.501, 0}}},
    {"sinkhorn_backward",
     mhc_sinkhorn_backward,
     sinkhorn_inputs,
     false,
     {{"dx", TGK_TOL_ULP, 20, 2e-5}}},
    {"mhc_split_backward",
     mhc_split_backward,
     NULL,
     false,
     {{"dm", TGK_TOL_ULP, 16, 1e-6}, {"dz", TGK_TOL_ULP, 16, 1e-6}}},
    {"mhc_split_params",
     mhc_split_params,
     NULL,
     false,
     {{"ds", TGK_TOL_ULP, 1, 1e-3}, {"db", TGK_TOL_ULP, 1, 1e-4}}},
    {"mhc_head_mix_backward",
     mhc_head_mix_backward,
     NULL,
     false,
     {{"dm", TGK_TOL_ULP, 16, 1e-6}, {"dz", TGK_TOL_ULP, 16, 1e-6}}},
    {"mhc_apply_backward",
     mhc_apply_backward,
     NULL,
     false,
     {{"dx", TGK_TOL_ULP, 0.501, 0}, {"dpre", TGK_TOL_ULP, 1, 1e-4}}},
    {"mhc_post_backward",
     mhc_post_backward,
     NULL,
     false,
     {{"dx", TGK_TOL_ULP, 0.501, 4e-6},
      {"df", TGK_TOL_ULP, 0.501, 4e-6},
      {"dpost", TGK_TOL_ULP, 1, 1e-4},
      {"dcomb", TGK_TOL_ULP, 1, 1e-4}}},
    {"mhc_norm_fn_backward", mhc_norm_fn_backward, NULL, false, {{"dx", TGK_TOL_ULP, 4, 1e-4}}},
    {"mhc_norm_fn_weight", mhc_norm_fn_weight, NULL, false, {{"dw", TGK_TOL_ULP, 4, 1e-4}}},
    {"mhc_expand_backward", mhc_expand_backward, NULL, false, {{"dx", TGK_TOL_ULP, 0.501, 2e-6}}},
    {0},
};
