/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: rows to experts and back (moe.md section 5). Everything here is bit for bit: moving
 * rows is exact, and the weighted sum is defined as one fused multiply-add in f32 a slot, in slot
 * order, rounded to the output type at the end.
 */
#include "kernels/moe/moe_ref.h"
#include "kernels/rounding.h"

#include <math.h>
#include <string.h>

static double rounded(float f, tg_dtype t) {
    return t == TG_DT_BF16     ? tgk_to_bf16(f)
           : t == TG_DT_F8E4M3 ? tgk_round_to((double)f, &TGK_E4M3)
                               : (double)f;
}

static void gather_rows(const tgk_arg *x, const tgk_arg *from, tgk_arg *y) {
    int64_t wide = x->extent[1];
    for (int64_t e = 0; e < y->count; e++) {
        int64_t row = from->i[e / wide];
        bool there = row >= 0 && row < x->extent[0];
        y->f[e] = there ? x->f[row * wide + e % wide] : 0;
    }
}

/* expand(x: [N, D], pos_to_token: i32[P], out y: [P, D]) */
static bool expand(tgk_arg *args, int n) {
    gather_rows(&args[0], &args[1], &args[2]);
    return n == 3;
}

/* expand_scaled(x: [N, D], sf: [N, G], pos_to_token, out y: [P, D], out ysf: [P, G]). A scale type
 * without a zero (e8m0) holds its least value in padding. */
static bool expand_scaled(tgk_arg *args, int n) {
    gather_rows(&args[0], &args[2], &args[3]);
    gather_rows(&args[1], &args[2], &args[4]);
    for (int64_t e = 0; e < args[4].count && args[4].dtype == TG_DT_F8E8M0; e++) {
        args[4].f[e] = args[4].f[e] == 0 ? 0x1p-127 : args[4].f[e];
    }
    return n == 5;
}

/* Tokens, padding, and rows no token has. */
static void inputs_expand(tgk_arg *args, int n, tgk_random *r) {
    tgk_arg *from = tgk_find(args, n, "pos_to_token");
    for (int64_t i = 0; i < from->count; i++) {
        from->i[i] =
            i % 16 > 10 || args[0].extent[0] == 0 ? -1 : tgk_random_below(r, args[0].extent[0]);
    }
    for (int64_t i = 0; i < args[0].count; i++) {
        args[0].f[i] = (double)(tgk_random_below(r, 9) - 4) / 2;
    }
    for (int64_t i = 0; n == 5 && i < args[1].count; i++) {
        args[1].f[i] = exp2((double)tgk_random_below(r, 13) - 6);
    }
}

/* reduce(x: [P, D], pos: i32[N, K], w: f32[N, K], sf, out y: [N, D]); reduce_sum without w and sf
 */
static bool reduce(tgk_arg *args, int n) {
    const tgk_arg *x = &args[0], *pos = &args[1];
    tgk_arg *y = &args[n - 1];
    int64_t wide = x->extent[1], k = pos->extent[1];
    for (int64_t e = 0; e < y->count; e++) {
        float sum = 0;
        for (int64_t j = e / wide * k; j < (e / wide + 1) * k; j++) {
            if (pos->i[j] < 0) {
                continue;
            }
            float v = (float)x->f[pos->i[j] * wide + e % wide];
            sum = n == 5 ? fmaf(v, (float)args[2].f[j] * (float)tgk_float(&args[3]), sum) : sum + v;
        }
        y->f[e] = rounded(sum, y->dtype);
    }
    return n == 3 || n == 5;
}

/* Magnitudes that make the order of the sum visible; empty slots, tokens with none; padding is NaN.
 */
static void inputs_reduce(tgk_arg *args, int n, tgk_random *r) {
    tgk_arg *x = &args[0], *pos = &args[1];
    for (int64_t i = 0; i < pos->count; i++) {
        bool none = tgk_random_below(r, 6) == 0 || i / pos->extent[1] % 7 == 4;
        pos->i[i] = none ? -1 : tgk_random_below(r, x->extent[0]) / 2 * 2;
    }
    for (int64_t i = 0; i < x->count; i++) {
        double size = exp2(12 * tgk_random_uniform(r) - 6);
        bool padding = i / x->extent[1] % 2 == 1; /* no slot names an odd row */
        x->f[i] = padding ? NAN : rounded((float)(size * tgk_random_normal(r)), x->dtype);
    }
    for (int64_t i = 0; n == 5 && i < args[2].count; i++) {
        args[2].f[i] = (double)(float)tgk_random_uniform(r);
    }
    if (n == 5) {
        args[3].f[0] = args[1].extent[1] % 2 == 0 ? (double)(float)1.7 : 1;
    }
}

/* add_shared(x: f32[N, D], shared: [N, D], out y: [N, D]) */
static bool add_shared(tgk_arg *args, int n) {
    for (int64_t i = 0; n == 3 && i < args[2].count; i++) {
        args[2].f[i] = rounded((float)args[0].f[i] + (float)args[1].f[i], args[2].dtype);
    }
    return n == 3;
}

#define EXACT(name) {name, TGK_TOL_EXACT, 0, 0}

const tgk_reference tgk_moe_references[] = {
    {"expand", expand, inputs_expand, false, {EXACT("y")}},
    {"expand_scaled", expand_scaled, inputs_expand, false, {EXACT("y"), EXACT("ysf")}},
    {"reduce", reduce, inputs_reduce, false, {EXACT("y")}},
    {"reduce_sum", reduce, inputs_reduce, false, {EXACT("y")}},
    {"add_shared", add_shared, NULL, false, {EXACT("y")}},
    {"moe", tgk_moe_fused, tgk_moe_fused_inputs, false, {{"y", TGK_TOL_CALC_DIFF, 1e-5, 0}}},
    {"moe_shared", tgk_moe_fused, tgk_moe_fused_inputs, false, {{"y", TGK_TOL_CALC_DIFF, 1e-5, 0}}},
    {"moe_fp8", tgk_moe_fused, tgk_moe_fused_inputs, false, {{"y", TGK_TOL_CALC_DIFF, 1e-5, 0}}},
    {"moe_fp8_fp4",
     tgk_moe_fused,
     tgk_moe_fused_inputs,
     false,
     {{"y", TGK_TOL_CALC_DIFF, 1e-5, 0}}},
    {.kernel = NULL},
};
