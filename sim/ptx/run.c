/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Warps and blocks. Each lane has a program counter; the lanes that stand at the lowest one go
 * together, which lets them meet again behind branches. Lanes that reach a warp-wide instruction
 * wait there for those of its member mask. Warps take turns in an order drawn from the seed.
 */
#include "sim/ptx/model.h"

#include <stdlib.h>
#include <string.h>

enum {
    TURN = 256,
    PATIENCE = 1024, /* rounds that a wait lasts while others go on */
    STALLS = 16      /* times that waits end in vain before that is a deadlock */
};

/* ---- lanes ----------------------------------------------------------------------------------- */

typedef struct sim_group {
    uint32_t pc, mask, others_at; /* the lowest counter of other lanes that can go */
} sim_group;

static uint32_t lowest(const sim_warp *w, uint32_t lanes, uint32_t above) {
    uint32_t pc = UINT32_MAX;
    EACH_LANE(l, lanes) { pc = w->pc[l] >= above && w->pc[l] < pc ? w->pc[l] : pc; }
    return pc;
}

/* The lanes at the lowest counter that is not below `above`; mask 0: there are none. */
static sim_group group_of(const sim_warp *w, uint32_t above) {
    uint32_t can = w->live & ~w->parked & ~w->asleep;
    sim_group g = {.pc = lowest(w, can, above)};
    if (g.pc == UINT32_MAX && above > 0) {
        return group_of(w, 0);
    }
    EACH_LANE(l, can) { g.mask |= (uint32_t)(w->pc[l] == g.pc) << l; }
    g.others_at = lowest(w, can & ~g.mask, 0);
    return g;
}

static void move_to(sim_warp *w, uint32_t mask, uint32_t pc) {
    EACH_LANE(l, mask) { w->pc[l] = pc; }
}

static uint32_t guarded(const sim_warp *w, const sim_insn *in, uint32_t mask) {
    if (in->guard == ROW_NONE) {
        return mask;
    }
    const uint64_t *p = sim_row(w, in->guard);
    uint32_t out = 0;
    EACH_LANE(l, mask) { out |= (uint32_t)((p[l] & 1) != in->guard_not) << l; }
    return out;
}

/* ---- barriers -------------------------------------------------------------------------------- */

static void wake(sim_block *b, sim_barrier *bar, int32_t number) {
    uint32_t trues = bar->trues, threads = bar->arrived;
    for (uint32_t i = 0; i < b->n_warps; i++) {
        sim_warp *w = &b->warps[i];
        if (w->barrier != number) {
            continue;
        }
        const sim_insn *in = w->at;
        w->barrier = -1;
        sim_clock_acquire(w, bar->clock);
        if (b->run->model) {
            sim_model_wait(w, bar->time, "waits at a barrier");
        }
        if (in->mode == 3 && in->op[0].kind == OPERAND_ROW) {
            uint64_t v = in->logic == 1 ? trues : in->logic == 2 ? trues == threads : trues != 0;
            EACH_LANE(l, w->live) { sim_in(w, in, 0)[l] = v; }
        }
    }
    b->run->stalls = 0;
    bar->arrived = bar->expected = bar->warps = bar->trues = 0;
    memset(bar->clock, 0, b->run->clock_words * sizeof *bar->clock);
}

static uint32_t threads_alive(const sim_block *b) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->n_warps; i++) {
        n += (uint32_t)__builtin_popcount(b->warps[i].live);
    }
    return n;
}

/* Complete? Without a count: when all that live have come. */
static void settle_barrier(sim_block *b, int32_t number) {
    sim_barrier *bar = &b->barriers[number];
    if (bar->warps == 0 && bar->arrived == 0) {
        return;
    }
    if (bar->expected ? bar->arrived >= bar->expected : bar->arrived >= threads_alive(b)) {
        wake(b, bar, number);
    }
}

void sim_barrier_arrive(sim_warp *w, const sim_insn *in, uint32_t mask) {
    sim_block *b = w->block;
    uint32_t first = (uint32_t)__builtin_ctz(mask), number = (uint32_t)sim_in(w, in, 1)[first];
    uint32_t expected = in->op[2].kind == OPERAND_ROW ? (uint32_t)sim_in(w, in, 2)[first] : 0;
    if (number >= N_BARRIERS || expected % LANES != 0) {
        sim_find(w, SIM_FAULT_TRAP, -1, number, "no barrier: number %u, %u threads", number,
                 expected);
        w->run->stop = true;
        return;
    }
    sim_barrier *bar = &b->barriers[number];
    if (bar->arrived > 0 && bar->expected != expected) {
        sim_find(w, SIM_FAULT_DIVERGENCE, -1, number, "barrier %u for %u threads, others for %u",
                 number, expected, bar->expected);
    }
    bar->expected = expected;
    bar->arrived += expected ? LANES : (uint32_t)__builtin_popcount(mask);
    sim_clock_release(w, bar->clock);
    bar->time = w->time > bar->time ? w->time : bar->time;
    if (in->mode == 3) {
        EACH_LANE(l, mask) { bar->trues += (sim_in(w, in, 3)[l] & 1) != in->op[3].negate; }
    }
    if (in->mode != 2) {
        w->barrier = (int32_t)number;
        w->at = in;
        bar->warps++;
    }
    settle_barrier(b, (int32_t)number);
}

/* barrier.cluster (9.7.13.4): arrival and wait apart. */
static void cluster_arrive(sim_warp *w) {
    sim_run *run = w->run;
    w->cluster_arrived = true;
    run->cluster_time = w->time > run->cluster_time ? w->time : run->cluster_time;
    sim_clock_release(w, run->cluster_clock);
}
static bool cluster_complete(const sim_run *run) {
    for (uint32_t b = 0; b < run->n_blocks; b++) {
        for (uint32_t i = 0; i < run->blocks[b].n_warps; i++) {
            const sim_warp *w = &run->blocks[b].warps[i];
            if (w->live && !w->cluster_arrived) {
                return false;
            }
        }
    }
    return true;
}
/* Everybody has arrived: those that wait go on, and the others will find it open. */
static void settle_cluster(sim_run *run) {
    if (!cluster_complete(run)) {
        return;
    }
    run->stalls = 0;
    for (uint32_t b = 0; b < run->n_blocks; b++) {
        for (uint32_t i = 0; i < run->blocks[b].n_warps; i++) {
            sim_warp *w = &run->blocks[b].warps[i];
            if (w->live) {
                w->cluster_arrived = false;
                w->cluster_open = !w->cluster_waits;
                w->cluster_waits = false;
                sim_clock_acquire(w, run->cluster_clock);
                if (run->model && !w->cluster_open) {
                    sim_model_wait(w, run->cluster_time, "waits for the cluster");
                }
            }
        }
    }
}
static void cluster_barrier(sim_warp *w, const sim_insn *in) {
    if (in->mode == 0) {
        cluster_arrive(w);
    } else if (w->cluster_open) {
        w->cluster_open = false;
        return;
    } else {
        w->cluster_waits = true;
        w->at = in;
    }
    settle_cluster(w->run);
}

/* ---- one turn -------------------------------------------------------------------------------- */

static void count(sim_warp *w, const sim_insn *in, uint32_t mask) {
    sim_counters *c = &w->run->report->counters;
    c->issued[in->class_]++;
    c->lanes += (uint64_t)__builtin_popcount(mask);
}

static void leave(sim_warp *w, uint32_t mask) {
    w->live &= ~mask;
    w->run->stalls = 0;
    sim_bulk_leave(w, mask);
    if (w->live == 0) {
        settle_cluster(w->run);
    }
    for (int32_t i = 0; i < N_BARRIERS; i++) {
        settle_barrier(w->block, i);
    }
}

/* Lanes that a warp-wide instruction needs. */
static uint32_t members(sim_warp *w, const sim_insn *in, uint32_t mask) {
    if (in->sync == 255) {
        return w->live;
    }
    uint32_t first = (uint32_t)__builtin_ctz(mask),
             need = (uint32_t)sim_in(w, in, in->sync - 1)[first];
    EACH_LANE(l, mask) {
        uint32_t own = (uint32_t)sim_in(w, in, in->sync - 1)[l];
        if (!(own >> l & 1) || own != need) {
            sim_find(w, SIM_FAULT_DIVERGENCE, (int)l, 0, "member mask %08x does not fit the lane",
                     own);
            return mask;
        }
    }
    return need & w->live;
}

/* True when the lanes that are there, with those that wait, are all that it needs; *mask becomes
 * them. Otherwise they wait. */
static bool meet(sim_warp *w, const sim_insn *in, uint32_t pc, uint32_t *mask) {
    uint32_t here = *mask, need = members(w, in, *mask);
    EACH_LANE(l, w->parked) { here |= (uint32_t)(w->pc[l] == pc) << l; }
    if ((need & ~here) != 0) {
        w->parked |= *mask;
        return false;
    }
    *mask = need & here;
    w->parked &= ~*mask;
    return true;
}

static void branch_to(sim_warp *w, const sim_insn *in, uint32_t act, uint32_t mask, uint32_t pc) {
    if (in->uniform && act && act != mask) {
        sim_find(w, SIM_FAULT_DIVERGENCE, __builtin_ctz(act), 0,
                 "a branch that is said to be uniform is not");
    }
    if (in->control == CONTROL_BRANCH) {
        move_to(w, act, (uint32_t)in->op[0].offset);
    } else if (in->control == CONTROL_TABLE) {
        EACH_LANE(l, act) {
            uint32_t i = (uint32_t)sim_in(w, in, 0)[l];
            if (i >= (uint64_t)in->op[1].offset) {
                sim_find(w, SIM_FAULT_TRAP, (int)l, i, "branch past its table");
                w->run->stop = true;
            } else {
                w->pc[l] = w->parts[in->op[1].row + i];
            }
        }
    } else if (in->control == CONTROL_CALL) {
        if (!in->callee->defined) {
            sim_find(w, SIM_FAULT_TRAP, -1, 0, "call of `%.60s`, which has no body",
                     in->callee->name);
            w->run->stop = true;
        }
        EACH_LANE(l, act) { sim_row(w, in->callee->return_row)[l] = pc + 1; }
        move_to(w, act, in->callee->first);
    }
    move_to(w, mask & ~act, pc + 1);
}

static void return_from(sim_warp *w, uint32_t act, uint32_t mask, uint32_t pc, uint32_t row) {
    EACH_LANE(l, act) { w->pc[l] = (uint32_t)sim_row(w, row)[l]; }
    move_to(w, mask & ~act, pc + 1);
}

static uint32_t return_row_of(const sim_module *m, uint32_t pc) {
    for (size_t i = 0; i < m->functions.n; i++) {
        const sim_kernel *k = m->functions.data[i];
        if (k->defined && pc >= k->first && pc < k->end) {
            return k->return_row;
        }
    }
    return 0;
}

/* Executes one instruction that changes where lanes stand. True: the group is no longer what it
 * was. */
static void control(sim_warp *w, const sim_insn *in, uint32_t act, uint32_t mask, uint32_t pc) {
    switch (in->control) {
    case CONTROL_BRANCH:
    case CONTROL_TABLE:
    case CONTROL_CALL:
        branch_to(w, in, act, mask, pc);
        break;
    case CONTROL_RETURN:
        return_from(w, act, mask, pc, return_row_of(w->run->module, pc));
        break;
    case CONTROL_EXIT:
        move_to(w, mask & ~act, pc + 1);
        leave(w, act);
        break;
    case CONTROL_TRAP:
        move_to(w, mask & ~act, pc + 1);
        if (act) {
            sim_find(w, SIM_FAULT_TRAP, __builtin_ctz(act), 0, "trap");
            w->run->stop = true;
        }
        break;
    case CONTROL_BARRIER:
        move_to(w, mask, pc + 1);
        if (act) {
            sim_barrier_arrive(w, in, act);
        }
        break;
    case CONTROL_CLUSTER:
        move_to(w, mask, pc + 1);
        if (act) {
            cluster_barrier(w, in);
        }
        break;
    case CONTROL_MBARRIER:
        move_to(w, mask, pc);
        move_to(w, mask & ~act, pc + 1);
        sim_mbarrier_wait(w, in, act);
        break;
    case CONTROL_WARPGROUP:
        move_to(w, mask, pc + 1);
        if (act) {
            sim_warpgroup_arrive(w, in);
        }
        break;
    case CONTROL_NONE:
    default:
        break;
    }
}

static bool blocked(const sim_warp *w) {
    bool dozes = w->asleep && (w->live & ~w->parked & ~w->asleep) == 0;
    return w->barrier >= 0 || w->cluster_waits || w->group_waits || dozes;
}

/* One instruction of the group; false: choose lanes anew. */
static bool step(sim_warp *w, sim_group *g) {
    sim_run *run = w->run;
    const sim_insn *in = &run->module->code.data[g->pc];
    uint32_t act = guarded(w, in, g->mask);
    w->at = in;
    run->issues++;
    if (in->sync && act) {
        uint32_t before = act, skip = g->mask & ~act;
        if (!meet(w, in, g->pc, &act)) {
            move_to(w, skip, g->pc + 1);
            move_to(w, before, g->pc);
            return false;
        }
        g->mask = act | skip;
    }
    count(w, in, act ? act : g->mask);
    if (w->registers && act && in->control != CONTROL_WARPGROUP) {
        sim_registers_use(w, in, act);
    }
    if (w->run->model && act) {
        sim_model_issue(w, in);
    }
    if (in->control != CONTROL_NONE) {
        control(w, in, act, g->mask, g->pc);
        bool same = in->control == CONTROL_BRANCH && (act == 0 || act == g->mask);
        g->pc = same ? (act ? (uint32_t)in->op[0].offset : g->pc + 1) : g->pc;
        return same && g->pc < g->others_at;
    }
    if (act && run->model) {
        sim_counters before = run->report->counters;
        in->exec(w, in, act);
        sim_model_result(w, in, &before);
    } else if (act) {
        in->exec(w, in, act);
    }
    g->pc++;
    if (g->pc >= g->others_at || in->sync) {
        move_to(w, g->mask, g->pc);
        return false;
    }
    return true;
}

/* Nobody of the warp can go: lanes wait for others that will not come, unless these have left. */
static bool unpark(sim_warp *w) {
    uint32_t left = w->parked & w->live;
    while (left) {
        uint32_t first = (uint32_t)__builtin_ctz(left), pc = w->pc[first], here = 0;
        EACH_LANE(l, left) { here |= (uint32_t)(w->pc[l] == pc) << l; }
        const sim_insn *in = &w->run->module->code.data[pc];
        uint32_t act = guarded(w, in, here);
        w->at = in;
        if (act && (members(w, in, act) & ~here) == 0) {
            w->parked &= ~here;
            return true;
        }
        left &= ~here;
    }
    sim_find(w, SIM_FAULT_DIVERGENCE, __builtin_ctz(w->parked), 0,
             "lanes %08x wait for lanes of their warp that are elsewhere", w->parked);
    w->run->stop = true;
    return false;
}

static void turn(sim_warp *w) {
    sim_run *run = w->run;
    uint32_t above = 0;
    int most = run->model ? 1 : TURN;
    for (int n = 0; n < most && w->live && !blocked(w) && !run->stop;) {
        sim_group g = group_of(w, above);
        if (g.mask == 0) {
            if (w->asleep || !unpark(w)) {
                return;
            }
            continue;
        }
        int steps = 0;
        bool same = true;
        while (same && n < most && !run->stop) {
            same = step(w, &g);
            n++;
            steps++;
        }
        if (same) {
            move_to(w, g.mask, g.pc);
        }
        /* A loop of some lanes may wait for what others will do: give them a turn, too. */
        w->turns += g.others_at != UINT32_MAX;
        above = w->turns % 16 == 15 && g.others_at != UINT32_MAX ? g.pc + 1 : 0;
    }
}

/* ---- blocks ---------------------------------------------------------------------------------- */

uint64_t sim_draw(sim_run *run) {
    run->random ^= run->random << 13;
    run->random ^= run->random >> 7;
    run->random ^= run->random << 17;
    return run->random;
}

/* Why the warp does not go on. */
static void lament(sim_warp *w) {
    if (w->asleep) {
        uint32_t l = (uint32_t)__builtin_ctz(w->asleep);
        const sim_mbarrier *m = w->waits_at[l];
        w->at = &w->run->module->code.data[w->pc[l]];
        sim_find(w, SIM_FAULT_DEADLOCK, (int)l, m->offset,
                 "warp %u waits for ever: mbarrier 0x%x of block %u is in phase %u and wants %u "
                 "arrivals and %lld bytes",
                 w->index, m->offset, m->block->rank, m->phase, m->pending, (long long)m->tx);
    } else {
        sim_find(w, SIM_FAULT_DEADLOCK, -1, 0, "warp %u waits for ever%s", w->index,
                 w->barrier >= 0    ? " at a barrier"
                 : w->cluster_waits ? " for the cluster"
                 : w->group_waits   ? " for its warpgroup"
                                    : "");
    }
}

/* Waits end without success: of all lanes, or of those that sleep for long. True: there were any.
 */
static bool expire(sim_run *run, bool all) {
    bool any = false;
    for (uint32_t b = 0; b < run->n_blocks; b++) {
        for (uint32_t i = 0; i < run->blocks[b].n_warps; i++) {
            sim_warp *w = &run->blocks[b].warps[i];
            if (w->asleep && (all || run->rounds - w->slept_at > PATIENCE)) {
                w->expired |= w->asleep;
                w->asleep = 0;
                any = true;
            }
        }
    }
    return any;
}

/* Nobody can go: a copy under way may help, or that waits end. */
static bool stirred(sim_run *run) {
    return sim_bulk_progress(run, true) || (run->stalls++ < STALLS && expire(run, true));
}

static void stuck(sim_run *run) {
    for (uint32_t b = 0; b < run->n_blocks; b++) {
        for (uint32_t i = 0; i < run->blocks[b].n_warps; i++) {
            sim_warp *w = &run->blocks[b].warps[i];
            if (w->live) {
                lament(w);
            }
        }
    }
    run->stop = true;
}

/* Warps that live, and of them those that can go. */
static void census(const sim_run *run, uint32_t *out_live, uint32_t *out_able) {
    *out_live = *out_able = 0;
    for (uint32_t b = 0; b < run->n_blocks; b++) {
        for (uint32_t i = 0; i < run->blocks[b].n_warps; i++) {
            const sim_warp *w = &run->blocks[b].warps[i];
            *out_live += w->live != 0;
            *out_able += w->live && !blocked(w);
        }
    }
}

/* A turn for each warp, from one that is drawn. */
static void round_of(sim_run *run) {
    uint32_t per = run->blocks[0].n_warps, n = run->n_blocks * per;
    uint32_t first = (uint32_t)(sim_draw(run) % n);
    for (uint32_t i = 0; i < n && !run->stop; i++) {
        uint32_t at = (first + i) % n;
        sim_warp *w = &run->blocks[at / per].warps[at % per];
        if (w->live && !blocked(w)) {
            turn(w);
        }
    }
}

/* With a model: the warp that is furthest behind, or a copy that is done before it. */
static void next_in_time(sim_run *run) {
    sim_warp *first = NULL;
    for (uint32_t b = 0; b < run->n_blocks; b++) {
        for (uint32_t i = 0; i < run->blocks[b].n_warps; i++) {
            sim_warp *w = &run->blocks[b].warps[i];
            bool able = w->live && !blocked(w);
            first = able && (!first || w->time < first->time) ? w : first;
        }
    }
    if (!sim_bulk_until(run, first->time)) {
        turn(first);
    }
}

/* What happens beside the warps' turns. */
static void beside(sim_run *run) {
    run->rounds++;
    while (sim_bulk_progress(run, false)) {
    }
    (void)(run->rounds % PATIENCE == 0 && expire(run, false));
}

void sim_run_cluster(sim_run *run) {
    uint64_t most = run->options->most_issues ? run->options->most_issues : 1ull << 36,
             begin = run->issues;
    uint32_t live, able;
    for (census(run, &live, &able); live && !run->stop && !run->no_memory;
         census(run, &live, &able)) {
        if (able == 0) {
            if (!stirred(run)) {
                stuck(run);
                return;
            }
            continue;
        }
        if (run->model) {
            next_in_time(run);
        } else {
            round_of(run);
            beside(run);
        }
        if (run->issues - begin > most) {
            sim_find(&run->blocks[0].warps[0], SIM_FAULT_RUNAWAY, -1, 0,
                     "more than %llu issue slots", (unsigned long long)most);
            run->stop = true;
        }
    }
    sim_bulk_end(run);
}
