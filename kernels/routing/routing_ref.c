/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References of the routing family: its table, and the small operations of moe.md section 11 on
 * routed indices [T, K], -1 meaning nobody.
 */
#include "kernels/routing/routing_ref.h"

#include <string.h>

/* normalize_weight(w: f32[T, K], out total: f32[T], out y: f32[T, K]): in f32 and in this order,
 * so bit for bit. */
static bool normalize_weight(tgk_arg *args, int n) {
    int64_t k = args[0].extent[1];
    for (int64_t t = 0; n == 3 && t < args[0].extent[0]; t++) {
        float sum = 1e-20f;
        for (int64_t j = 0; j < k; j++) {
            sum += (float)args[0].f[t * k + j];
        }
        args[1].f[t] = (double)sum;
        for (int64_t j = 0; j < k; j++) {
            args[2].f[t * k + j] = (double)((float)args[0].f[t * k + j] / sum);
        }
    }
    return n == 3;
}

static void normalize_inputs(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    for (int64_t i = 0; i < args[0].count; i++) {
        bool empty = i / args[0].extent[1] % 5 == 3; /* all zero: 0 / 1e-20 */
        args[0].f[i] = empty ? 0 : (double)(float)tgk_random_uniform(r);
    }
}

static void count_into(const tgk_arg *g, tgk_arg *n) {
    memset(n->i, 0, (size_t)n->count * sizeof *n->i);
    for (int64_t i = 0; i < g->count; i++) {
        if (g->i[i] >= 0 && g->i[i] < n->count) {
            n->i[g->i[i]]++;
        }
    }
}

/* group_count(g: i32[T, K], out n: i32[N]) */
static bool group_count(tgk_arg *args, int n) {
    count_into(&args[0], &args[1]);
    return n == 2;
}

/* Every seventh nobody, else skewed to the first groups. */
static void index_inputs(tgk_arg *args, int n, tgk_random *r) {
    int64_t groups = tgk_constant_of(args, "N", 16);
    for (int64_t i = 0; i < args[0].count; i++) {
        int64_t below = tgk_random_below(r, 3) == 0 ? groups : groups / 4 + 1;
        args[0].i[i] = tgk_random_below(r, 7) == 0 ? -1 : tgk_random_below(r, below);
    }
    tgk_arg *tokens = tgk_find(args, n, "tokens"), *k = tgk_find(args, n, "aux_k");
    if (tokens != NULL && k != NULL) {
        tokens->i[0] = args[0].extent[0];
        k->i[0] = args[0].extent[1];
    }
}

/* Both integers are below 2^24, the division rounds once. */
static double load(int64_t count, int64_t experts, int64_t tokens, int64_t k) {
    return (double)((float)(count * experts) / (float)(tokens * k));
}

/* aux_scale(n: i32[N], tokens, k, out f: f32[N]) */
static bool aux_scale(tgk_arg *args, int n) {
    for (int64_t e = 0; n == 4 && e < args[0].count; e++) {
        args[3].f[e] = load(args[0].i[e], args[0].count, tgk_int(&args[1]), tgk_int(&args[2]));
    }
    return n == 4;
}

static void aux_inputs(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    args[1].i[0] = 37;
    args[2].i[0] = 6;
    for (int64_t e = 0; e < args[0].count; e++) {
        args[0].i[e] = tgk_random_below(r, 37);
    }
}

/* aux_fi(ids: i32[T, K], tokens, aux_k, out f: f32[N]) */
static bool aux_fi(tgk_arg *args, int n) {
    int64_t count[1024];
    if (n != 4 || args[3].count > 1024) {
        return false;
    }
    tgk_arg counts = {.count = args[3].count, .i = count};
    count_into(&args[0], &counts);
    for (int64_t e = 0; e < counts.count; e++) {
        args[3].f[e] = load(count[e], counts.count, tgk_int(&args[1]), tgk_int(&args[2]));
    }
    return true;
}

/* mask_indices_by_tp(ids: i32[T, K], per_rank, tp_rank, tp_ranks, out y: i32[T, K]) */
static bool mask_indices(tgk_arg *args, int n) {
    int64_t per = tgk_int(&args[1]), rank = tgk_int(&args[2]), ranks = tgk_int(&args[3]);
    for (int64_t i = 0; n == 5 && i < args[0].count; i++) {
        int64_t v = args[0].i[i];
        if (v < 0 || v / per % ranks != rank) {
            args[4].i[i] = -1;
        } else {
            v -= rank * per;
            args[4].i[i] = v - v / (per * ranks) * (per * ranks - per);
        }
    }
    return n == 5;
}

static void mask_inputs(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    args[1].i[0] = 9;
    args[2].i[0] = 2;
    args[3].i[0] = 4;
    for (int64_t i = 0; i < args[0].count; i++) {
        args[0].i[i] = tgk_random_below(r, 73) - 1;
    }
}

/* inplace_unique_group_indices(inout g: i32[T, K]) */
static bool unique_indices(tgk_arg *args, int n) {
    int64_t k = args[0].extent[1];
    for (int64_t t = 0; n == 1 && t < args[0].extent[0]; t++) {
        int64_t *g = args[0].i + t * k;
        for (int64_t j = k - 1; j > 0; j--) {
            for (int64_t i = 0; i < j; i++) {
                g[j] = g[i] == g[j] ? -1 : g[j];
            }
        }
    }
    return n == 1;
}

static void unique_inputs(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    for (int64_t i = 0; i < args[0].count; i++) {
        args[0].i[i] = tgk_random_below(r, 9) - 1;
    }
}

#define GATE_RULES {{"ids", TGK_TOL_EXACT, 0, 0}, {"wts", TGK_TOL_ULP, 12, 1e-6}}

const tgk_reference tgk_routing_references[] = {
    {"gate", tgk_gate, tgk_gate_inputs, false, GATE_RULES},
    {"gate_hash", tgk_gate, tgk_gate_inputs, false, GATE_RULES},
    {"gate_linear", tgk_gate, tgk_gate_inputs, false, GATE_RULES},
    {"gate_route",
     tgk_gate,
     tgk_gate_inputs,
     false,
     {{"logical", TGK_TOL_EXACT, 0, 0},
      {"ids", TGK_TOL_EXACT, 0, 0},
      {"wts", TGK_TOL_ULP, 12, 1e-6}}},
    {"topk_gate", tgk_gate_choice, tgk_gate_choice_inputs, false, {{"ids", TGK_TOL_EXACT, 0, 0}}},
    {"topk_sum_and_topk_group_idx",
     tgk_gate_groups,
     tgk_gate_groups_inputs,
     false,
     {{"groups", TGK_TOL_EXACT, 0, 0}}},
    {"normalize_weight",
     normalize_weight,
     normalize_inputs,
     false,
     {{"total", TGK_TOL_EXACT, 0, 0}, {"y", TGK_TOL_EXACT, 0, 0}}},
    {"group_count", group_count, index_inputs, false, {{"n", TGK_TOL_EXACT, 0, 0}}},
    {"aux_scale", aux_scale, aux_inputs, false, {{"f", TGK_TOL_EXACT, 0, 0}}},
    {"aux_fi", aux_fi, index_inputs, false, {{"f", TGK_TOL_EXACT, 0, 0}}},
    {"mask_indices_by_tp", mask_indices, mask_inputs, false, {{"y", TGK_TOL_EXACT, 0, 0}}},
    {"inplace_unique_group_indices",
     unique_indices,
     unique_inputs,
     false,
     {{"g", TGK_TOL_EXACT, 0, 0}}},
    {"moe_align",
     tgk_align,
     tgk_align_inputs,
     false,
     {{"pos_to_expert", TGK_TOL_EXACT, 0, 0},
      {"pos_to_token", TGK_TOL_EXACT, 0, 0},
      {"pos_to_token_topk", TGK_TOL_EXACT, 0, 0},
      {"token_topk_to_pos", TGK_TOL_EXACT, 0, 0},
      {"first", TGK_TOL_EXACT, 0, 0},
      {"last", TGK_TOL_EXACT, 0, 0},
      {"rows", TGK_TOL_EXACT, 0, 0}}},
    {"moe_align_block_size",
     tgk_align_blocks,
     tgk_align_inputs,
     false,
     {{"sorted_token_ids", TGK_TOL_EXACT, 0, 0},
      {"expert_ids", TGK_TOL_EXACT, 0, 0},
      {"num_tokens_post_pad", TGK_TOL_EXACT, 0, 0}}},
    {0},
};
