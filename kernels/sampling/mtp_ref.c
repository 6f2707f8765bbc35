/* SPDX-License-Identifier: Apache-2.0 */
/* References: inputs of the multi-token prediction layers, the draft head's bias (moe.md section
 * 9).
 */
#include "kernels/rounding.h"
#include "kernels/sampling/sampling_ref.h"

/* rmsnorm(x) g, rounded to bf16 as the norm stores it. */
static void normalised(const double *x, const double *g, int64_t d, double eps, double *y) {
    double ss = 0;
    for (int64_t c = 0; c < d; c++) {
        ss += x[c] * x[c];
    }
    for (int64_t c = 0; c < d; c++) {
        y[c] = tgk_round_to(x[c] / sqrt(ss / (double)d + eps) * g[c], &TGK_BF16);
    }
}

static double dot(const double *x, const double *y, int64_t d) {
    double s = 0;
    for (int64_t c = 0; c < d; c++) {
        s += x[c] * y[c];
    }
    return s;
}

/* mtp_input_v3(e, h, position, ge, gh, w, eps, out y) */
bool tgk_mtp_input_v3(tgk_arg *a, int n) {
    int64_t d = a[0].extent[1], out = a[5].extent[0];
    double *u = malloc((size_t)(2 * d + 1) * sizeof *u);
    for (int64_t t = 0; n == 8 && u != NULL && t < a[0].extent[0]; t++) {
        normalised(a[0].f + t * d, a[3].f, d, tgk_float(&a[6]), u);
        for (int64_t c = 0; a[2].i[t] == 0 && c < d; c++) {
            u[c] = 0;
        }
        normalised(a[1].f + t * d, a[4].f, d, tgk_float(&a[6]), u + d);
        for (int64_t k = 0; k < out; k++) {
            a[7].f[t * out + k] = dot(u, a[5].f + k * 2 * d, 2 * d);
        }
    }
    free(u);
    return n == 8 && u != NULL;
}

/* mtp_input_v4(e, x, ge, gh, we, wh, eps, out y) */
bool tgk_mtp_input_v4(tgk_arg *a, int n) {
    int64_t d = a[0].extent[1], out = a[4].extent[0];
    double *u = malloc((size_t)(2 * d + 1) * sizeof *u);
    for (int64_t i = 0; n == 8 && u != NULL && i < a[0].extent[0] * 4; i++) { /* token, stream */
        normalised(a[0].f + i / 4 * d, a[2].f, d, tgk_float(&a[6]), u);
        normalised(a[1].f + i * d, a[3].f, d, tgk_float(&a[6]), u + d);
        for (int64_t k = 0; k < out; k++) {
            a[7].f[i * out + k] = dot(u, a[4].f + k * d, d) + dot(u + d, a[5].f + k * d, d);
        }
    }
    free(u);
    return n == 8 && u != NULL;
}

/* Positions, some of them 0; streams of small and large magnitude. */
void tgk_mtp_inputs(tgk_arg *a, int n, tgk_random *r) {
    tgk_arg *position = tgk_find(a, n, "position");
    for (int64_t t = 0; position != NULL && t < position->count; t++) {
        position->i[t] = tgk_random_below(r, 4);
    }
    for (int64_t i = 0; i < a[1].count; i++) {
        a[1].f[i] *= i / a[0].extent[1] % 3 == 1 ? 0x1p-8 : 4;
    }
}

/* draft_bias(previous, w1, w2, inout logits) */
bool tgk_draft_bias(tgk_arg *a, int n) {
    int64_t v = a[3].extent[1], rank = a[1].extent[1];
    for (int64_t i = 0; n == 4 && i < a[3].count; i++) {
        int64_t id = a[0].i[i / v];
        if (id >= 0 && id < a[1].extent[0]) {
            a[3].f[i] += dot(a[1].f + id * rank, a[2].f + i % v * rank, rank);
        }
    }
    return n == 4;
}

void tgk_draft_inputs(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    for (int64_t b = 0; b < a[0].count; b++) {
        a[0].i[b] = tgk_random_below(r, a[1].extent[0] + 2) - 1;
    }
}
