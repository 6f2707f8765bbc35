/* SPDX-License-Identifier: Apache-2.0 */
/* References: embedding rows, Hadamard transform (moe.md section 9), batched transposition. */
#include <math.h>

#include "kernels/rounding.h"

/* embedding(table: [V, D], ids: [N], out y: [N, D]) */
static bool embedding(tgk_arg *args, int n) {
    int64_t rows = args[0].extent[0], cols = args[0].extent[1];
    for (int64_t r = 0; n == 3 && r < args[1].extent[0]; r++) {
        int64_t id = args[1].i[r];
        for (int64_t c = 0; c < cols; c++) {
            args[2].f[r * cols + c] = id >= 0 && id < rows ? args[0].f[id * cols + c] : 0;
        }
    }
    return n == 3;
}

/* embedding_fp8(table: [V, D], sf: [V, ceil(D / B)], ids: [N], out y: [N, D]); B is the least block
 * that gives so many scales only when it divides D, so it comes from the case. */
static bool embedding_fp8(tgk_arg *args, int n) {
    int64_t rows = args[0].extent[0], cols = args[0].extent[1], groups = args[1].extent[1];
    int64_t block = tgk_constant_of(args, "B", 0);
    for (int64_t r = 0; n == 4 && block > 0 && r < args[2].extent[0]; r++) {
        int64_t id = args[2].i[r];
        for (int64_t c = 0; c < cols; c++) {
            args[3].f[r * cols + c] =
                id >= 0 && id < rows ? args[0].f[id * cols + c] * args[1].f[id * groups + c / block]
                                     : 0;
        }
    }
    return n == 4 && block > 0;
}

/* Ids of the table, one in seven outside it: below, just behind, far behind. */
static void pick_ids(tgk_arg *args, int n, tgk_random *r) {
    static const int64_t outside[] = {-1, INT32_MIN, INT32_MAX};
    tgk_arg *ids = tgk_find(args, n, "ids");
    int64_t rows = args[0].extent[0];
    for (int64_t e = 0; e < ids->count; e++) {
        ids->i[e] = tgk_random_below(r, rows);
        if (e % 7 == 6) {
            ids->i[e] = e % 2 == 0 ? rows : outside[tgk_random_below(r, 3)];
        }
    }
}

static void pick_scales(tgk_arg *args, int n, tgk_random *r) {
    tgk_arg *sf = tgk_find(args, n, "sf");
    pick_ids(args, n, r);
    for (int64_t e = 0; e < sf->count; e++) {
        double v = exp2((double)(tgk_random_below(r, 13) - 6));
        sf->f[e] = sf->dtype == TG_DT_F8E8M0 ? v : (double)(float)(v * (1 + tgk_random_uniform(r)));
    }
}

static int parity(uint64_t v) {
    int p = 0;
    for (; v != 0; v &= v - 1) {
        p ^= 1;
    }
    return p;
}

/* hadamard(x: [N, D], out y): y[j] = sum_i (-1)^popcount(i & j) x[i] / sqrt(D). Each sum of f32
 * terms is off by at most (D + 2) 2^-24 of the sum of magnitudes, root and product by 3 units. */
static bool hadamard(tgk_arg *args, int n) {
    if (n != 2 || tgk_make_slack(&args[1]) == NULL) {
        return false;
    }
    int64_t dim = args[0].extent[1];
    double scale = dim > 0 ? 1 / sqrt((double)dim) : 0;
    for (int64_t r = 0; r < args[0].extent[0]; r++) {
        const double *x = args[0].f + r * dim;
        double size = 0;
        for (int64_t i = 0; i < dim; i++) {
            size += fabs(x[i]);
        }
        for (int64_t j = 0; j < dim; j++) {
            double sum = 0;
            for (int64_t i = 0; i < dim; i++) {
                sum += parity((uint64_t)(i & j)) != 0 ? -x[i] : x[i];
            }
            args[1].f[r * dim + j] = sum * scale;
            args[1].slack[r * dim + j] =
                size * scale * (double)(dim < 64 ? dim + 2 : 66) * 0x1p-24 +
                fabs(sum) * scale * 3 * 0x1p-24;
        }
    }
    return true;
}

/* transpose_batched(x: [E, M, N], out y: [E, N, M]) */
static bool transpose_batched(tgk_arg *args, int n) {
    int64_t batch = args[0].extent[0], rows = args[0].extent[1], cols = args[0].extent[2];
    for (int64_t e = 0; n == 2 && e < batch; e++) {
        for (int64_t r = 0; r < rows; r++) {
            for (int64_t c = 0; c < cols; c++) {
                args[1].f[(e * cols + c) * rows + r] = args[0].f[(e * rows + r) * cols + c];
            }
        }
    }
    return n == 2;
}

/* embedding_fp8: a product of two exact values, rounded to f32 and to bf16: half a unit and 2^-16
 * of one. */
const tgk_reference tgk_embed_references[] = {
    {"embedding", embedding, pick_ids, false, {{"y", TGK_TOL_EXACT, 0, 0}}},
    {"embedding_fp8", embedding_fp8, pick_scales, false, {{"y", TGK_TOL_ULP, 0.5001, 0}}},
    {"hadamard", hadamard, NULL, false, {{"y", TGK_TOL_DERIVED, 1, 0}}},
    {"transpose_batched", transpose_batched, NULL, false, {{"y", TGK_TOL_EXACT, 0, 0}}},
    {.kernel = NULL}};
