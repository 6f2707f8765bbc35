/* SPDX-License-Identifier: Apache-2.0 */
/* References: gradients of the hyper-connection stages (moe.md sections 7 and 11). Sinkhorn's is
 * the transposed product of its Jacobian by forward differentiation, another way than the kernel's.
 */
#include "kernels/mhc/mhc_ref.h"

static double slope(double z) {
    double g = 1 / (1 + exp(-z));
    return g * (1 - g);
}

/* The change of the result when x[which] moves, against dy. */
static double directional(const double *x, int which, int64_t iters, const double *dy) {
    double c[16], d[16] = {0}, total = 0;
    int row = which / 4;
    mhc_softmax_rows(x, c);
    for (int j = 4 * row; j < 4 * row + 4; j++) {
        d[j] = c[j] * ((j == which) - c[which]);
    }
    mhc_sinkhorn_rounds(iters, c, d);
    for (int i = 0; i < 16; i++) {
        total += d[i] * dy[i];
    }
    return total;
}

bool mhc_sinkhorn_backward(tgk_arg *a, int n) {
    for (int64_t i = 0; n == 3 && i < a[2].count; i++) {
        int64_t first = i / 16 * 16;
        a[2].f[i] = directional(a[0].f + first, (int)(i % 16), tgk_constant_of(a, "ITERS", 20),
                                a[1].f + first);
    }
    return n == 3;
}

bool mhc_split_backward(tgk_arg *a, int n) {
    for (int64_t i = 0; n == 9 && i < a[0].count; i++) {
        int64_t t = i / 24, j = i % 24;
        int group = j < 4 ? 0 : j < 8 ? 1 : 2;
        double s = a[1].f[group], z = a[0].f[i] * s + a[2].f[j];
        double dz = group == 0   ? a[4].f[4 * t + j] * slope(z)
                    : group == 1 ? a[5].f[4 * t + j - 4] * tgk_float(&a[3]) * slope(z)
                                 : a[6].f[16 * t + j - 8];
        a[8].f[i] = dz;
        a[7].f[i] = dz * s;
    }
    return n == 9;
}

bool mhc_split_params(tgk_arg *a, int n) {
    memset(a[2].f, 0, 3 * sizeof(double));
    memset(a[3].f, 0, 24 * sizeof(double));
    for (int64_t i = 0; n == 4 && i < a[0].count; i++) {
        int64_t j = i % 24;
        a[3].f[j] += a[1].f[i];
        a[2].f[j < 4 ? 0 : j < 8 ? 1 : 2] += a[1].f[i] * a[0].f[i];
    }
    return n == 4;
}

bool mhc_head_mix_backward(tgk_arg *a, int n) {
    for (int64_t i = 0; n == 6 && i < a[0].count; i++) {
        a[5].f[i] = a[3].f[i] * slope(a[0].f[i] * a[1].f[0] + a[2].f[i % 4]);
        a[4].f[i] = a[5].f[i] * a[1].f[0];
    }
    return n == 6;
}

bool mhc_apply_backward(tgk_arg *a, int n) {
    int64_t d = a[0].extent[2];
    for (int64_t i = 0; n == 5 && i < a[1].count; i++) { /* i: token and stream */
        a[4].f[i] = 0;
        for (int64_t c = 0; c < d; c++) {
            double dy = a[2].f[i / 4 * d + c];
            a[3].f[i * d + c] = a[1].f[i] * dy;
            a[4].f[i] += dy * a[0].f[i * d + c];
        }
    }
    return n == 5;
}

bool mhc_post_backward(tgk_arg *a, int n) {
    int64_t d = a[0].extent[2], tokens = a[0].extent[0];
    for (int o = 5; o < 9 && n == 9; o++) {
        memset(a[o].f, 0, (size_t)a[o].count * sizeof(double));
    }
    for (int64_t k = 0; n == 9 && k < tokens * 4 * d; k++) {
        int64_t t = k / (4 * d), j = k / d % 4, c = k % d;
        double dy = a[4].f[k];
        a[6].f[t * d + c] += a[2].f[4 * t + j] * dy;
        a[7].f[4 * t + j] += a[1].f[t * d + c] * dy;
        for (int64_t i = 0; i < 4; i++) {
            int64_t x = (4 * t + i) * d + c;
            a[5].f[x] += a[3].f[16 * t + 4 * i + j] * dy;
            a[8].f[16 * t + 4 * i + j] += a[0].f[x] * dy;
        }
    }
    return n == 9;
}

bool mhc_norm_fn_backward(tgk_arg *a, int n) {
    int64_t nd = a[0].extent[1] * a[0].extent[2], maps = a[1].extent[0];
    for (int64_t i = 0; n == 6 && i < a[5].count; i++) {
        int64_t t = i / nd;
        double r = a[3].f[t], along = 0, direct = 0;
        for (int64_t j = 0; j < maps; j++) {
            along += a[4].f[t * maps + j] * a[2].f[t * maps + j];
            direct += a[4].f[t * maps + j] * a[1].f[j * nd + i % nd];
        }
        a[5].f[i] = r * direct - a[0].f[i] * r * r / (double)nd * along;
    }
    return n == 6;
}

bool mhc_norm_fn_weight(tgk_arg *a, int n) {
    int64_t nd = a[0].extent[1] * a[0].extent[2], maps = a[2].extent[1];
    for (int64_t i = 0; n == 4 && i < a[3].count; i++) {
        a[3].f[i] = 0;
        for (int64_t t = 0; t < a[0].extent[0]; t++) {
            a[3].f[i] += a[2].f[t * maps + i / nd] * a[1].f[t] * a[0].f[t * nd + i % nd];
        }
    }
    return n == 4;
}

bool mhc_expand_backward(tgk_arg *a, int n) {
    int64_t d = a[1].extent[1];
    for (int64_t i = 0; n == 2 && i < a[1].count; i++) {
        const double *g = a[0].f + i / d * 4 * d + i % d;
        a[1].f[i] = g[0] + g[d] + g[2 * d] + g[3 * d];
    }
    return n == 2;
}
