/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References of the alignment (moe.md section 5): a counting sort of the routed pairs (token, slot)
 * by expert, stable in the order of pairs; every expert's segment rounded up to AL rows; -1 in the
 * padding. Golden order: stable, where upstream's depends on the launch.
 */
#include "kernels/routing/routing_ref.h"

#include <stdlib.h>
#include <string.h>

/* first[e] .. last[e]: the rows of expert e; first[E]: all rows. pos[i]: the row of pair i, or -1.
 */
static bool sort_pairs(const tgk_arg *ids, int64_t experts, int64_t align, int64_t *first,
                       int64_t *last, int64_t *pos) {
    int64_t run = 0;
    for (int64_t e = 0; e < experts; e++) {
        first[e] = run;
        last[e] = run;
        for (int64_t i = 0; i < ids->count; i++) {
            if (ids->i[i] == e) {
                pos[i] = last[e]++;
            }
        }
        run += (last[e] - run + align - 1) / align * align;
    }
    first[experts] = run;
    for (int64_t i = 0; i < ids->count; i++) {
        pos[i] = ids->i[i] < 0 || ids->i[i] >= experts ? -1 : pos[i];
    }
    return true;
}

static void fill(tgk_arg *a, int64_t v) {
    for (int64_t i = 0; i < a->count; i++) {
        a->i[i] = v;
    }
}

/* moe_align(ids: i32[T, K], out pos_to_expert, pos_to_token, pos_to_token_topk: i32[P], out
 * token_topk_to_pos: i32[T, K], out first: i32[E + 1], out last: i32[E], out rows: i32[E]) */
bool tgk_align(tgk_arg *args, int n) {
    int64_t align = tgk_constant_of(args, "AL", 16), k = args[0].extent[1];
    if (n != 8) {
        return false;
    }
    int64_t experts = args[6].count;
    sort_pairs(&args[0], experts, align, args[5].i, args[6].i, args[4].i);
    fill(&args[1], -1);
    fill(&args[2], -1);
    fill(&args[3], -1);
    for (int64_t i = 0; i < args[0].count; i++) {
        int64_t p = args[4].i[i];
        if (p >= 0) {
            args[1].i[p] = args[0].i[i];
            args[2].i[p] = i / k;
            args[3].i[p] = i;
        }
    }
    for (int64_t e = 0; e < experts; e++) {
        args[7].i[e] = args[5].i[e + 1] - args[5].i[e];
    }
    return true;
}

/* moe_align_block_size(ids: i32[T, K], out sorted_token_ids: i32[P], out expert_ids: i32[P / AL],
 * out num_tokens_post_pad: i32[1]) */
bool tgk_align_blocks(tgk_arg *args, int n) {
    int64_t align = tgk_constant_of(args, "AL", 16), experts = tgk_constant_of(args, "E", 8);
    int64_t *work = malloc((size_t)(2 * experts + 1 + args[0].count) * sizeof *work);
    if (n != 4 || work == NULL) {
        free(work);
        return false;
    }
    int64_t *first = work, *last = first + experts + 1, *pos = last + experts;
    sort_pairs(&args[0], experts, align, first, last, pos);
    fill(&args[1], args[0].count);
    fill(&args[2], -1);
    for (int64_t i = 0; i < args[0].count; i++) {
        if (pos[i] >= 0) {
            args[1].i[pos[i]] = i;
            args[2].i[pos[i] / align] = args[0].i[i];
        }
    }
    args[3].i[0] = first[experts];
    free(work);
    return true;
}

/* Distinct experts of a token, skewed; some slots empty; some experts without a row. */
void tgk_align_inputs(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    int64_t experts = tgk_constant_of(args, "E", 8), k = args[0].extent[1];
    for (int64_t t = 0; t < args[0].extent[0]; t++) {
        int64_t base = tgk_random_below(r, tgk_random_below(r, 3) == 0 ? experts : experts / 3 + 1);
        for (int64_t j = 0; j < k; j++) {
            int64_t e = (base + j * 3) % experts;
            args[0].i[t * k + j] = tgk_random_below(r, 9) == 0 ? -1 : e;
        }
    }
}
