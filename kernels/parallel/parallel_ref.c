/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References of expert parallelism on one rank (moe.md section 5): dispatch sends a token once to
 * every rank that holds one of its experts; combine adds what comes back in f32, in the order of
 * ranks, or in DeepEP's, where a rank's or a node's sum counts at its last slot, behind the bias.
 * Bit for bit.
 */
#include "kernels/parallel/parallel_ref.h"

#include "kernels/rounding.h"

#include <string.h>

static void fill(tgk_arg *a, int64_t v) {
    for (int64_t i = 0; i < a->count; i++) {
        a->i[i] = v;
    }
}

static bool goes_to(const int64_t *ids, int64_t k, int64_t per, int64_t rank) {
    for (int64_t j = 0; j < k; j++) {
        if (ids[j] >= 0 && ids[j] / per == rank) {
            return true;
        }
    }
    return false;
}

/* ep_dispatch(x: [N, D], ids: i32[N, K], w: f32[N, K], per_rank, out send: [P, D], out send_ids:
 * i32[P, K], out send_w: f32[P, K], out pos: i32[N, R], out last: i32[R]) */
static bool dispatch(tgk_arg *args, int n) {
    if (n != 9) {
        return false;
    }
    int64_t rows = args[0].extent[0], wide = args[0].extent[1], k = args[1].extent[1],
            per = tgk_int(&args[3]), ranks = args[8].count, at = 0;
    memset(args[4].f, 0, (size_t)args[4].count * sizeof(double));
    memset(args[6].f, 0, (size_t)args[6].count * sizeof(double));
    fill(&args[5], -1);
    fill(&args[7], -1);
    for (int64_t r = 0; r < ranks; r++) {
        for (int64_t t = 0; t < rows; t++) {
            const int64_t *ids = args[1].i + t * k;
            if (!goes_to(ids, k, per, r)) {
                continue;
            }
            memcpy(args[4].f + at * wide, args[0].f + t * wide, (size_t)wide * sizeof(double));
            for (int64_t j = 0; j < k; j++) {
                bool mine = ids[j] >= 0 && ids[j] / per == r;
                args[5].i[at * k + j] = mine ? ids[j] - r * per : -1;
                args[6].f[at * k + j] = mine ? args[2].f[t * k + j] : 0;
            }
            args[7].i[t * ranks + r] = at++;
        }
        args[8].i[r] = at;
    }
    return true;
}

/* Experts of all ranks but one; tokens with one rank only, with none at all. */
static void inputs_dispatch(tgk_arg *args, int n, tgk_random *r) {
    int64_t per = 5, ranks = args[n - 1].count, k = args[1].extent[1];
    args[3].i[0] = per;
    for (int64_t i = 0; i < args[1].count; i++) {
        int64_t t = i / k, e = tgk_random_below(r, (ranks > 1 ? ranks - 1 : 1) * per);
        e = t % 4 == 1 ? e % per : e;
        args[1].i[i] = t % 6 == 5 || tgk_random_below(r, 8) == 0 ? -1 : e;
        args[2].f[i] = (double)(float)tgk_random_uniform(r);
    }
    for (int64_t i = 0; i < args[0].count; i++) {
        args[0].f[i] = (double)(tgk_random_below(r, 17) - 8) / 2;
    }
}

/* The sum of all biases [NB, N, D] of element e. */
static float bias_sum(const tgk_arg *bias, int64_t e) {
    float sum = 0;
    for (int64_t b = 0; b < bias->extent[0]; b++) {
        sum += (float)bias->f[b * bias->extent[1] * bias->extent[2] + e];
    }
    return sum;
}

/* ep_combine(x: [P, D], pos: i32[N, R], bias: [NB, N, D], out y: [N, D]); ep_dispatch_backward
 * without bias */
static bool combine(tgk_arg *args, int n) {
    const tgk_arg *x = &args[0], *pos = &args[1];
    tgk_arg *y = &args[n - 1];
    int64_t wide = x->extent[1], ranks = pos->extent[1];
    for (int64_t e = 0; e < y->count; e++) {
        float sum = n == 4 ? bias_sum(&args[2], e) : 0;
        for (int64_t r = 0; r < ranks; r++) {
            int64_t p = pos->i[e / wide * ranks + r];
            sum = p >= 0 ? sum + (float)x->f[p * wide + e % wide] : sum;
        }
        y->f[e] = y->dtype == TG_DT_BF16 ? tgk_round_to((double)sum, &TGK_BF16) : (double)sum;
    }
    return n == 3 || n == 4;
}

/* Whole numbers, and in the second bias what a sum of them in another order loses. */
static void fill_biases(tgk_arg *bias, tgk_random *r) {
    for (int64_t i = 0; i < bias->count; i++) {
        double v = (double)(tgk_random_below(r, 129) - 64);
        bool second = i >= bias->extent[1] * bias->extent[2];
        bias->f[i] = second ? ldexp(v, bias->dtype == TG_DT_BF16 ? 12 : -16) : v;
    }
}

/* Magnitudes that show the order of a sum; rows nobody names are NaN. */
static void inputs_combine(tgk_arg *args, int n, tgk_random *r) {
    tgk_arg *x = &args[0];
    for (int64_t i = 0; i < args[1].count; i++) {
        args[1].i[i] = tgk_random_below(r, 4) == 0 ? -1 : tgk_random_below(r, x->extent[0] / 2) * 2;
    }
    for (int64_t i = 0; i < x->count; i++) {
        double v = exp2(14 * tgk_random_uniform(r) - 7) * tgk_random_normal(r);
        x->f[i] = i / x->extent[1] % 2 == 1 ? NAN
                  : x->dtype == TG_DT_BF16  ? tgk_round_to(v, &TGK_BF16)
                                            : (double)(float)v;
    }
    if (n == 4) {
        fill_biases(&args[2], r);
    }
}

/* ---- DeepEP's order --------------------------------------------------------------------------
 */

/* The last slot of token t whose expert lies in the same group of `width` experts as slot k's. */
static int64_t last_slot(const tgk_arg *ids, int64_t t, int64_t k, int64_t width) {
    int64_t slots = ids->extent[1], last = k;
    const int64_t *id = ids->i + t * slots;
    for (int64_t j = k; j < slots; j++) {
        last = id[j] >= 0 && id[j] / width == id[k] / width ? j : last;
    }
    return last;
}

/* ep_order(ids: i32[N, K], pos: i32[N, R], per_rank, ranks, out rows, out from, out ends: i32[N,
 * K]) */
static bool order(tgk_arg *args, int n) {
    if (n != 7) {
        return false;
    }
    int64_t slots = args[0].extent[1], per = tgk_int(&args[2]), wide = per * tgk_int(&args[3]);
    for (int64_t i = 0; i < args[0].count; i++) {
        int64_t t = i / slots, k = i % slots, e = args[0].i[i];
        bool rank_ends = e >= 0 && last_slot(&args[0], t, k, per) == k;
        bool node_ends = e >= 0 && last_slot(&args[0], t, k, wide) == k;
        args[4].i[i] = rank_ends ? args[1].i[t * args[1].extent[1] + e / per] : -1;
        args[5].i[i] = e >= 0 ? e / wide : -1;
        args[6].i[i] = node_ends ? e / wide : -1;
    }
    return true;
}

/* Experts of one node, of one rank, of all; some slots unused; rows that the order does not read
 * are there, too. */
static void inputs_order(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    int64_t per = 3, slots = args[0].extent[1], ranks = args[1].extent[1];
    args[2].i[0] = per;
    args[3].i[0] = ranks / 2;
    for (int64_t i = 0; i < args[0].count; i++) {
        int64_t of = i / slots % 3 == 1 ? per : i / slots % 3 == 2 ? per * ranks / 2 : per * ranks;
        args[0].i[i] = tgk_random_below(r, 6) == 0 ? -1 : tgk_random_below(r, of);
    }
    for (int64_t i = 0; i < args[1].count; i++) {
        args[1].i[i] = i;
    }
}

static float store(const tgk_arg *y, float v) {
    return y->dtype == TG_DT_BF16 ? (float)tgk_round_to((double)v, &TGK_BF16) : v;
}

/* ep_combine_nodes(x: [P, D], rows, from, ends: i32[N, K], bias: [NB, N, D], out y: [N, D])
 */
static bool combine_nodes(tgk_arg *args, int n) {
    const tgk_arg *x = &args[0];
    tgk_arg *y = &args[n - 1];
    int64_t wide = x->extent[1], slots = args[1].extent[1];
    for (int64_t e = 0; n == 6 && e < y->count; e++) {
        const int64_t *rows = args[1].i + e / wide * slots, *from = args[2].i + e / wide * slots,
                      *ends = args[3].i + e / wide * slots;
        float total = bias_sum(&args[4], e);
        for (int64_t k = 0; k < slots; k++) {
            float sum = 0;
            for (int64_t j = 0; ends[k] >= 0 && j <= k; j++) {
                bool counts = from[j] == ends[k] && rows[j] >= 0;
                sum = counts ? sum + (float)x->f[rows[j] * wide + e % wide] : sum;
            }
            total += store(y, sum);
        }
        y->f[e] = (double)store(y, total);
    }
    return n == 6;
}

/* Slots of three nodes of two ranks each, as ep_order gives them; rows nobody names are NaN. */
static void inputs_nodes(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    tgk_arg *x = &args[0];
    int64_t slots = args[1].extent[1];
    for (int64_t t = 0; t < args[1].extent[0]; t++) {
        int64_t *rows = args[1].i + t * slots, *from = args[2].i + t * slots,
                *ends = args[3].i + t * slots, rank[64], used = 0;
        for (int64_t k = slots - 1; k >= 0 && k < 64; k--) {
            rank[k] = tgk_random_below(r, 7) - 1;
            bool again = false, later = false;
            for (int64_t j = k + 1; j < slots && rank[k] >= 0; j++) {
                again = again || rank[j] == rank[k];
                later = later || (rank[j] >= 0 && rank[j] / 2 == rank[k] / 2);
            }
            from[k] = rank[k] >= 0 ? rank[k] / 2 : -1;
            ends[k] = later ? -1 : from[k];
            rows[k] =
                rank[k] < 0 || again ? -1 : (t * slots + used++) * 2 % ((x->extent[0] + 1) / 2 * 2);
        }
    }
    for (int64_t i = 0; i < x->count; i++) {
        double v = exp2(14 * tgk_random_uniform(r) - 7) * tgk_random_normal(r);
        x->f[i] = i / x->extent[1] % 2 == 1 ? NAN
                  : x->dtype == TG_DT_BF16  ? tgk_round_to(v, &TGK_BF16)
                                            : (double)(float)v;
    }
    fill_biases(&args[4], r);
}

#define EXACT(name) {name, TGK_TOL_EXACT, 0, 0}

const tgk_reference tgk_parallel_references[] = {
    {"ep_dispatch",
     dispatch,
     inputs_dispatch,
     false,
     {EXACT("send"), EXACT("send_ids"), EXACT("send_w"), EXACT("pos"), EXACT("last")}},
    {"ep_combine", combine, inputs_combine, false, {EXACT("y")}},
    {"ep_dispatch_backward", combine, inputs_combine, false, {EXACT("y")}},
    {"ep_order", order, inputs_order, false, {EXACT("rows"), EXACT("from"), EXACT("ends")}},
    {"ep_combine_nodes", combine_nodes, inputs_nodes, false, {EXACT("y")}},
    {"ll_pack", tgk_ll_pack, tgk_ll_pack_inputs, false, {EXACT("message")}},
    {"ll_unpack",
     tgk_ll_unpack,
     tgk_ll_unpack_inputs,
     false,
     {EXACT("x"), EXACT("sf"), EXACT("source"), EXACT("rows")}},
    {"ll_unpack_words",
     tgk_ll_unpack,
     tgk_ll_unpack_inputs,
     false,
     {EXACT("x"), EXACT("sf"), EXACT("source"), EXACT("rows")}},
    {"ll_combine", tgk_ll_combine, tgk_ll_combine_inputs, false, {EXACT("y")}},
    {"logfmt_encode", tgk_logfmt_encode, tgk_logfmt_inputs, false, {EXACT("groups")}},
    {"logfmt_decode",
     tgk_logfmt_decode,
     tgk_logfmt_decode_inputs,
     false,
     {{"y", TGK_TOL_ULP, 0.51, 0}}},
    {0},
};
