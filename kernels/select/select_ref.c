/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reference: top-k of the first end[r] elements of each row (attention.md K7), any k, any N. Order:
 * largest first, ties to the smaller index, NaN above +inf; -1 fills what is missing. -0 equals +0
 * for the tie rule's purposes only by value: the language orders -0 before +0, so +0 is the larger.
 */
#include "kernels/reference.h"

#include <math.h>
#include <stdlib.h>

/* Order-preserving integer key of the value; NaN highest. */
static int64_t key_of(double v) {
    if (isnan(v)) {
        return INT64_MAX;
    }
    union {
        double d;
        int64_t i;
    } u = {.d = v};
    return u.i < 0 ? INT64_MIN - u.i - 1 : u.i;
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
    const int64_t *a = x, *b = y;
    return *a < *b ? -1 : *a > *b;
}

/* topk_select(x: [R, N], end: i32[R], out idx: i32[R, KTOP]): the set of indices, ascending, then
 * -1. */
static bool topk_select(tgk_arg *args, int n) {
    if (n != 3) {
        return false;
    }
    int64_t cols = args[0].extent[1], k = args[2].extent[1];
    ranked *row = malloc((size_t)(cols + 1) * sizeof *row);
    if (row == NULL) {
        return false;
    }
    for (int64_t r = 0; r < args[0].extent[0]; r++) {
        int64_t end = args[1].i[r] < 0 ? 0 : args[1].i[r] > cols ? cols : args[1].i[r];
        for (int64_t c = 0; c < end; c++) {
            row[c] = (ranked){key_of(args[0].f[r * cols + c]), c};
        }
        qsort(row, (size_t)end, sizeof *row, by_rank);
        int64_t *out = args[2].i + r * k, found = end < k ? end : k;
        for (int64_t j = 0; j < k; j++) {
            out[j] = j < found ? row[j].index : -1;
        }
        qsort(out, (size_t)found, sizeof *out, by_index);
    }
    free(row);
    return true;
}

/* Values with many ties, both zeros, infinities and NaN; ends from 0 past N. */
static void inputs(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    tgk_arg *x = &args[0];
    for (int64_t i = 0; i < x->count; i++) {
        switch (tgk_random_below(r, 16)) {
        case 0:
            x->f[i] = 0.0;
            break;
        case 1:
            x->f[i] = -0.0;
            break;
        case 2:
            x->f[i] = tgk_random_below(r, 8) == 0 ? INFINITY : 1.0;
            break;
        case 3:
            x->f[i] = tgk_random_below(r, 8) == 0 ? -INFINITY : -1.0;
            break;
        case 4:
            x->f[i] = tgk_random_below(r, 64) == 0 ? NAN : 0.5;
            break;
        default:
            x->f[i] = tgk_random_normal(r);
            break;
        }
    }
    for (int64_t i = 0; i < args[1].count; i++) {
        int64_t cols = x->extent[1];
        args[1].i[i] = i == 0 ? cols : tgk_random_below(r, cols + 1);
    }
}

const tgk_reference tgk_select_references[] = {
    {"topk_select", topk_select, inputs, false, {{"idx", TGK_TOL_EXACT, 0, 0}}},
    {0},
};
