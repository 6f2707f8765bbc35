/* SPDX-License-Identifier: Apache-2.0 */
/* What the lanes of a warp do together: shuffles, votes, reductions (9.7.9, 9.7.13), barriers. */
#include "sim/ptx/decode.h"

#include <string.h>

/* ---- shuffles -------------------------------------------------------------------------------- */

enum { SHFL_UP = 1, SHFL_DOWN, SHFL_BFLY, SHFL_IDX };

/* 0 d, 1 p, 2 a, 3 b, 4 c, 5 mask (9.7.9.6). */
static void shfl(sim_warp *w, const sim_insn *in, uint32_t mask) {
    uint64_t from[LANES];
    memcpy(from, sim_in(w, in, 2), sizeof from);
    EACH_LANE(l, mask) {
        uint32_t b = (uint32_t)sim_in(w, in, 3)[l] & 31, c = (uint32_t)sim_in(w, in, 4)[l];
        uint32_t clamp = c & 31, segment = c >> 8 & 31;
        uint32_t top = (l & segment) | (clamp & ~segment), low = l & segment, j;
        bool inside;
        switch (in->mode) {
        case SHFL_UP:
            j = l - b;
            inside = (int32_t)j >= (int32_t)top;
            break;
        case SHFL_DOWN:
            j = l + b;
            inside = j <= top;
            break;
        case SHFL_BFLY:
            j = l ^ b;
            inside = j <= top;
            break;
        default:
            j = low | (b & ~segment);
            inside = j <= top;
            break;
        }
        j = inside ? j : l;
        if (!(mask >> j & 1)) {
            sim_find(w, SIM_FAULT_DIVERGENCE, (int)l, 0,
                     "shuffle from lane %u, which takes no part", j);
        }
        if (in->op[0].kind == OPERAND_ROW) {
            sim_in(w, in, 0)[l] = (uint32_t)from[j & 31];
        }
        if (in->op[1].kind == OPERAND_ROW) {
            sim_in(w, in, 1)[l] = inside;
        }
    }
}

/* Warp-wide: all lanes of the member mask in operand i. */
static bool together(sim_decoder *d, int i, sim_exec exec) {
    d->in->sync = (uint8_t)(i + 1);
    return sim_execs(d, exec, SIM_CLASS_WARP);
}
static bool shfl_family(sim_decoder *d) {
    static const char *const modes[] = {"up", "down", "bfly", "idx", NULL};
    d->in->mode = (uint8_t)sim_took_one(d, modes);
    return sim_took(d, "sync") && d->in->mode && sim_took(d, "b32") && sim_operands(d, "TSSSS") &&
           together(d, 5, shfl);
}

/* ---- votes ----------------------------------------------------------------------------------- */

enum { VOTE_ALL = 1, VOTE_ANY, VOTE_UNI, VOTE_BALLOT };

static uint32_t ballot(const sim_warp *w, const sim_insn *in, int i, uint32_t mask) {
    uint32_t out = 0;
    EACH_LANE(l, mask) {
        bool v = (sim_in(w, in, i)[l] & 1) != in->op[i].negate;
        out |= (uint32_t)v << l;
    }
    return out;
}
static void vote(sim_warp *w, const sim_insn *in, uint32_t mask) {
    uint32_t b = ballot(w, in, 1, mask);
    uint64_t v = in->mode == VOTE_ALL   ? b == mask
                 : in->mode == VOTE_ANY ? b != 0
                 : in->mode == VOTE_UNI ? b == 0 || b == mask
                                        : b;
    EACH_LANE(l, mask) { sim_in(w, in, 0)[l] = v; }
}
static bool vote_family(sim_decoder *d) {
    static const char *const modes[] = {"all", "any", "uni", "ballot", NULL};
    d->in->mode = (uint8_t)sim_took_one(d, modes);
    return sim_took(d, "sync") && d->in->mode && sim_took_type(d) && sim_operands(d, "DPS") &&
           together(d, 2, vote);
}

/* 0 d, 1 p, 2 a, 3 mask */
static void match(sim_warp *w, const sim_insn *in, uint32_t mask) {
    uint64_t kept = in->type == T_B64 ? UINT64_MAX : UINT32_MAX;
    const uint64_t *a = sim_in(w, in, 2);
    uint64_t of_any[LANES] = {0};
    bool all = true;
    EACH_LANE(l, mask) {
        EACH_LANE(k, mask) {
            bool same = (a[l] & kept) == (a[k] & kept);
            of_any[l] |= (uint64_t)same << k;
            all = all && same;
        }
    }
    EACH_LANE(l, mask) {
        sim_in(w, in, 0)[l] = in->mode == 1 ? of_any[l] : all ? mask : 0;
        if (in->op[1].kind == OPERAND_ROW) {
            sim_in(w, in, 1)[l] = all;
        }
    }
}
static bool match_family(sim_decoder *d) {
    static const char *const modes[] = {"any", "all", NULL};
    d->in->mode = (uint8_t)sim_took_one(d, modes);
    d->in->type = (uint8_t)sim_took_type(d);
    return sim_took(d, "sync") && d->in->mode && sim_operands(d, "TSS") && together(d, 3, match);
}

static void redux(sim_warp *w, const sim_insn *in, uint32_t mask) {
    const uint64_t *a = sim_in(w, in, 1);
    uint32_t v = (uint32_t)a[__builtin_ctz(mask)];
    EACH_LANE(l, mask & (mask - 1)) {
        uint32_t b = (uint32_t)a[l];
        bool less = in->type == T_S32 ? (int32_t)b < (int32_t)v : b < v;
        switch (in->mode) {
        case 1:
            v += b;
            break;
        case 2:
            v = less ? b : v;
            break;
        case 3:
            v = less ? v : b;
            break;
        case 4:
            v &= b;
            break;
        case 5:
            v |= b;
            break;
        default:
            v ^= b;
            break;
        }
    }
    EACH_LANE(l, mask) { sim_in(w, in, 0)[l] = v; }
}
static bool redux_family(sim_decoder *d) {
    static const char *const modes[] = {"add", "min", "max", "and", "or", "xor", NULL};
    d->in->mode = (uint8_t)sim_took_one(d, modes);
    d->in->type = (uint8_t)sim_took_type(d);
    return sim_took(d, "sync") && d->in->mode && sim_type_bytes((sim_type)d->in->type) == 4 &&
           d->in->type < T_F16 && sim_operands(d, "DSS") && together(d, 2, redux);
}

static void activemask(sim_warp *w, const sim_insn *in, uint32_t mask) {
    EACH_LANE(l, mask) { sim_in(w, in, 0)[l] = mask; }
}
static bool activemask_family(sim_decoder *d) {
    return sim_took_type(d) && sim_operands(d, "D") && sim_execs(d, activemask, SIM_CLASS_WARP);
}

/* The lowest lane is chosen; the manual leaves it open. */
static void elect(sim_warp *w, const sim_insn *in, uint32_t mask) {
    uint32_t first = (uint32_t)__builtin_ctz(mask);
    EACH_LANE(l, mask) {
        if (in->op[0].kind == OPERAND_ROW) {
            sim_in(w, in, 0)[l] = first;
        }
        if (in->op[1].kind == OPERAND_ROW) {
            sim_in(w, in, 1)[l] = l == first;
        }
    }
}
static bool elect_family(sim_decoder *d) {
    return sim_took(d, "sync") && sim_operands(d, "TS") && together(d, 2, elect);
}

/* ---- barriers -------------------------------------------------------------------------------- */

static void warp_barrier(sim_warp *w, const sim_insn *in, uint32_t mask) {
    (void)w;
    (void)in;
    (void)mask;
}

/* Into the form of sim_barrier_arrive: 0 d, 1 number, 2 threads, 3 predicate. */
static bool bar_family(sim_decoder *d) {
    static const char *const kinds[] = {"sync", "arrive", "red", NULL};
    static const char *const reds[] = {"popc", "and", "or", NULL};
    sim_insn *in = d->in;
    if (sim_took(d, "warp")) {
        return sim_took(d, "sync") && sim_operands(d, "S") && together(d, 0, warp_barrier);
    }
    if (sim_took(d, "cluster")) {
        in->mode = sim_took(d, "wait") ? 1 : 0;
        in->control = CONTROL_CLUSTER;
        in->sync = 255;
        sim_took_hints(d);
        (void)(sim_took(d, "arrive") || sim_took(d, "aligned"));
        (void)sim_took(d, "aligned");
        return sim_operands(d, "") && sim_execs(d, warp_barrier, SIM_CLASS_BARRIER);
    }
    (void)sim_took(d, "cta");
    int kind = sim_took_one(d, kinds);
    (void)sim_took(d, "aligned");
    in->control = CONTROL_BARRIER;
    in->sync = 255;
    in->mode = (uint8_t)kind;
    in->logic = kind == 3 ? (uint8_t)sim_took_one(d, reds) : 0;
    sim_operand none = {.kind = OPERAND_NONE, .row = ROW_NONE};
    sim_operand sink = {.kind = OPERAND_SINK, .row = ROW_NONE};
    if (kind == 0 || (kind == 3 && (!in->logic || !sim_took_type(d)))) {
        return false;
    }
    if (!sim_operands(d, kind == 3 ? "DSP?P" : "S?S")) {
        return false;
    }
    if (kind != 3) {
        in->op[2] = in->op[1];
        in->op[1] = in->op[0];
        in->op[0] = sink;
        in->op[3] = none;
    } else if (in->op[3].kind == OPERAND_NONE) { /* no count of threads */
        in->op[3] = in->op[2];
        in->op[2] = none;
    }
    in->n = 4;
    return sim_execs(d, warp_barrier, SIM_CLASS_BARRIER);
}

const sim_family_row sim_families_warp[] = {{"shfl", shfl_family},
                                            {"vote", vote_family},
                                            {"match", match_family},
                                            {"redux", redux_family},
                                            {"activemask", activemask_family},
                                            {"elect", elect_family},
                                            {"bar", bar_family},
                                            {"barrier", bar_family},
                                            {NULL, NULL}};
