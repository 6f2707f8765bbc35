/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reference: top-k of the first end[r] elements of each row (attention.md K7), any k, any N. Order:
 * largest first, ties to the smaller index, NaN above +inf, -0 below +0 as the language orders
 * them. Selections list ascending indices; a short row is filled with index 2147483647 and value
 * -inf.
 *
 * Inputs: every row is one of the adversarial sets: normal values with NaN, infinities and both
 * zeros; {0, 1}; all equal; only -0 and +0; denormals; values of one exponent; ascending;
 * descending; x * 1e4; all NaN.
 */
#include "kernels/select/select_ref.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Order-preserving integer key of the value; NaN highest. */
static int64_t key_of(double v) {
    int64_t i;
    if (isnan(v)) {
        return INT64_MAX;
    }
    memcpy(&i, &v, sizeof i);
    return i < 0 ? INT64_MIN - i - 1 : i;
}

typedef struct ranked {
    int64_t key, index;
} ranked;

static int by_rank(const void *x, const void *y) {
    const ranked *a = x, *b = y;
    if (a->key != b->key) {
        return a->key > b->key ? -1 : 1;
    }
    return a->index < b->index ? -1 : a->index > b->index;
}

static int by_index(const void *x, const void *y) {
    const ranked *a = x, *b = y;
    return a->index < b->index ? -1 : a->index > b->index;
}

bool tgk_select_run(const double *v, const int64_t *names, int64_t lo, int64_t hi, int64_t k,
                    double *val, int64_t *idx) {
    int64_t n = hi > lo ? hi - lo : 0, found = n < k ? n : k;
    ranked *row = malloc((size_t)(n + 1) * sizeof *row);
    if (row == NULL) {
        return false;
    }
    for (int64_t c = 0; c < n; c++) {
        row[c] = (ranked){key_of(v[lo + c]), lo + c};
    }
    qsort(row, (size_t)n, sizeof *row, by_rank);
    qsort(row, (size_t)found, sizeof *row, by_index);
    for (int64_t j = 0; j < found; j++) {
        val[j] = v[row[j].index];
        idx[j] = names != NULL ? names[row[j].index] : row[j].index;
    }
    free(row);
    return true;
}

static void fill_nothing(tgk_arg *val, tgk_arg *idx) {
    for (int64_t i = 0; i < val->count; i++) {
        val->f[i] = -INFINITY;
        idx->i[i] = TGK_NOTHING;
    }
}

static int64_t clamp(int64_t v, int64_t hi) { return v < 0 ? 0 : v > hi ? hi : v; }

/* topk_select(x [R, N], end [R], out val [R, K], out idx [R, K]); the op topk means the same. */
static bool topk_select(tgk_arg *a, int n) {
    int64_t cols = a[0].extent[1], k = a[2].extent[1];
    bool ok = n == 4;
    fill_nothing(&a[2], &a[3]);
    for (int64_t r = 0; r < a[0].extent[0] && ok; r++) {
        ok = tgk_select_run(a[0].f + r * cols, NULL, 0, clamp(a[1].i[r], cols), k, a[2].f + r * k,
                            a[3].i + r * k);
    }
    return ok;
}

/* topk_chunk[CH, KTOP](x, end, out val [R, CK], out idx [R, CK]) */
static bool topk_chunk(tgk_arg *a, int n) {
    int64_t cols = a[0].extent[1], width = a[2].extent[1];
    int64_t chunk = tgk_constant_of(a, "CH", 1), k = tgk_constant_of(a, "KTOP", 1);
    int64_t per = chunk < k ? chunk : k;
    bool ok = n == 4;
    fill_nothing(&a[2], &a[3]);
    for (int64_t r = 0; r < a[0].extent[0] && ok; r++) {
        int64_t end = clamp(a[1].i[r], cols);
        for (int64_t lo = 0, c = 0; lo < end && ok; lo += chunk, c++) {
            ok = tgk_select_run(a[0].f + r * cols, NULL, lo, end < lo + chunk ? end : lo + chunk, k,
                                a[2].f + r * width + c * per, a[3].i + r * width + c * per);
        }
    }
    return ok;
}

/* How many candidates a row of `end` elements leaves. */
static int64_t candidates(int64_t end, int64_t chunk, int64_t k, int64_t width) {
    int64_t per = chunk < k ? chunk : k, rest = end % chunk;
    return clamp(end / chunk * per + (rest < k ? rest : k), width);
}

/* topk_merge[CH](cval [R, CK], cidx [R, CK], end [R], out val [R, K], out idx [R, K]) */
static bool topk_merge(tgk_arg *a, int n) {
    int64_t width = a[0].extent[1], k = a[3].extent[1], chunk = tgk_constant_of(a, "CH", 1);
    bool ok = n == 5;
    fill_nothing(&a[3], &a[4]);
    for (int64_t r = 0; r < a[0].extent[0] && ok; r++) {
        int64_t len = candidates(a[2].i[r] < 0 ? 0 : a[2].i[r], chunk, k, width);
        ok = tgk_select_run(a[0].f + r * width, a[1].i + r * width, 0, len, k, a[3].f + r * k,
                            a[4].i + r * k);
    }
    return ok;
}

/* topk_sort(val [R, K], idx [R, K], out sval, out sidx): descending, stable */
static bool topk_sort(tgk_arg *a, int n) {
    int64_t k = a[0].extent[1];
    ranked *row = malloc((size_t)(k + 1) * sizeof *row);
    if (row == NULL || n != 4) {
        free(row);
        return false;
    }
    for (int64_t r = 0; r < a[0].extent[0]; r++) {
        for (int64_t c = 0; c < k; c++) {
            row[c] = (ranked){key_of(a[0].f[r * k + c]), c};
        }
        qsort(row, (size_t)k, sizeof *row, by_rank);
        for (int64_t c = 0; c < k; c++) {
            a[2].f[r * k + c] = a[0].f[r * k + row[c].index];
            a[3].i[r * k + c] = a[1].i[r * k + row[c].index];
        }
    }
    free(row);
    return true;
}

/* ---- inputs ---- */

static double mixed(tgk_random *r) {
    switch (tgk_random_below(r, 16)) {
    case 0:
        return 0.0;
    case 1:
        return -0.0;
    case 2:
        return tgk_random_below(r, 8) == 0 ? (double)INFINITY : 1.0;
    case 3:
        return tgk_random_below(r, 8) == 0 ? -(double)INFINITY : -1.0;
    case 4:
        return tgk_random_below(r, 64) == 0 ? (double)NAN : 0.5;
    default:
        return tgk_random_normal(r);
    }
}

static double draw(int64_t set, int64_t c, tgk_random *r) {
    switch (set) {
    case 1:
        return (double)tgk_random_below(r, 2);
    case 2:
        return -3.5;
    case 3:
        return tgk_random_below(r, 2) == 0 ? -0.0 : 0.0;
    case 4:
        return ldexp((double)tgk_random_below(r, 100) - 50, -133); /* bf16 has them, too */
    case 5:
        return 1 + tgk_random_uniform(r);
    case 6:
        return (double)c;
    case 7:
        return -(double)c;
    case 8:
        return 1e4 * tgk_random_normal(r);
    case 9:
        return tgk_random_below(r, 50) == 0 ? 0.0 : (double)NAN;
    default:
        return mixed(r);
    }
}

static void fill_rows(tgk_arg *x, tgk_random *r) {
    for (int64_t i = 0; i < x->count; i++) {
        int64_t row = i / x->extent[1], c = i % x->extent[1];
        x->f[i] = r->full ? tgk_random_normal(r) : draw(row % 10, c, r);
    }
}

/* Whole rows, empty ones, negative ends, ends past N, ends at and below k. */
static void fill_ends(tgk_arg *end, int64_t cols, int64_t k, tgk_random *r) {
    for (int64_t i = 0; i < end->count; i++) {
        static const int64_t odd[] = {-5, 0, 1};
        int64_t kind = r->full ? 0 : i % 6;
        end->i[i] = kind == 0   ? cols
                    : kind == 2 ? odd[tgk_random_below(r, 3)]
                    : kind == 3 ? cols + 7
                    : kind == 4 ? k - tgk_random_below(r, 2)
                                : tgk_random_below(r, cols + 1);
    }
}

static void inputs(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    fill_rows(&a[0], r);
    fill_ends(&a[1], a[0].extent[1], a[2].extent[1], r);
}

/* Ends are of the row before it was cut; candidates ascend by index and may tie. */
static void inputs_merge(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    int64_t width = a[0].extent[1], k = a[3].extent[1], chunk = tgk_constant_of(a, "CH", 1);
    fill_rows(&a[0], r);
    for (int64_t i = 0; i < a[1].count; i++) {
        a[1].i[i] = i % width * 3 + tgk_random_below(r, 3);
    }
    fill_ends(&a[2], width / (chunk < k ? chunk : k) * chunk, k, r);
}

static void inputs_sort(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    fill_rows(&a[0], r);
    for (int64_t i = 0; i < a[1].count; i++) {
        a[1].i[i] = i % a[1].extent[1] * 3;
    }
}

#define CHOICE {{"val", TGK_TOL_EXACT, 0, 0}, {"idx", TGK_TOL_EXACT, 0, 0}}
const tgk_reference tgk_select_references[] = {
    {"topk_select", topk_select, inputs, false, CHOICE},
    {"topk", topk_select, inputs, false, CHOICE},
    {"topk_chunk", topk_chunk, inputs, false, CHOICE},
    {"topk_merge", topk_merge, inputs_merge, false, CHOICE},
    {"topk_sort",
     topk_sort,
     inputs_sort,
     false,
     {{"sval", TGK_TOL_EXACT, 0, 0}, {"sidx", TGK_TOL_EXACT, 0, 0}}},
    {0},
};
