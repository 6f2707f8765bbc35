/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Barriers in memory (9.7.13.15). What a barrier holds is kept beside its eight bytes, which nobody
 * may touch while it is valid. A phase ends when no arrival and no byte is wanting. Lanes that wait
 * in vain sleep until a phase of their barrier ends; when nobody else can go, their waits end
 * without success, as those of the hardware do after a time.
 */
#include "sim/ptx/model.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_COUNT = (1 << 20) - 1 };

/* ---- objects --------------------------------------------------------------------------------- */

static sim_mbarrier *find(const sim_block *b, uint32_t offset) {
    for (size_t i = 0; i < b->mbarriers.n; i++) {
        if (b->mbarriers.data[i]->offset == offset) {
            return b->mbarriers.data[i];
        }
    }
    return NULL;
}

/* The block and offset of an address of shared memory, generic or not; NULL: another space. */
static sim_block *block_at(sim_warp *w, sim_space space, uint64_t address, uint32_t *out_offset) {
    sim_run *run = w->run;
    if (space == SPACE_GENERIC && (address & WINDOW_MASK) != SHARED_WINDOW) {
        return NULL;
    }
    address &= ~WINDOW_MASK;
    uint64_t rank = address >> CTA_SHIFT;
    *out_offset = (uint32_t)address & ((1u << CTA_SHIFT) - 1);
    if (rank > run->n_blocks || *out_offset + 8ull > run->shared_bytes) {
        return NULL;
    }
    return rank == 0 ? w->block : &run->blocks[rank - 1];
}

sim_mbarrier *sim_mbarrier_at(sim_warp *w, int lane, sim_space space, uint64_t address) {
    uint32_t offset = 0;
    sim_block *b = block_at(w, space, address, &offset);
    sim_mbarrier *m = b ? find(b, offset) : NULL;
    if (!m || !m->valid) {
        sim_find(w, SIM_FAULT_MBARRIER, lane, address, "there is no mbarrier");
        return NULL;
    }
    return m;
}

static sim_mbarrier *make(sim_warp *w, sim_block *b, uint32_t offset) {
    sim_mbarrier *m = calloc(1, sizeof *m);
    uint32_t *clocks = calloc(2 * (size_t)w->run->clock_words, sizeof *clocks);
    if (!m || !clocks || !SIM_PUSH(&b->mbarriers, m)) {
        w->run->no_memory = true;
        free(clocks);
        free(m);
        return NULL;
    }
    *m = (sim_mbarrier){.block = b,
                        .offset = offset,
                        .agent = sim_agent_of_mbarrier(w->run, b->rank, b->mbarriers.n - 1),
                        .clock = clocks,
                        .done = clocks + w->run->clock_words};
    return m;
}

void sim_mbarriers_free(sim_block *b) {
    for (size_t i = 0; i < b->mbarriers.n; i++) {
        free(b->mbarriers.data[i]->clock);
        free(b->mbarriers.data[i]);
    }
    b->mbarriers.n = 0;
}

/* ---- phases ---------------------------------------------------------------------------------- */

static void wake(sim_run *run, const sim_mbarrier *m) {
    for (uint32_t b = 0; b < run->n_blocks; b++) {
        for (uint32_t i = 0; i < run->blocks[b].n_warps; i++) {
            sim_warp *w = &run->blocks[b].warps[i];
            EACH_LANE(l, w->asleep) { w->asleep &= ~((uint32_t)(w->waits_at[l] == m) << l); }
        }
    }
}

static void settle(sim_run *run, sim_mbarrier *m) {
    run->stalls = 0;
    if (m->pending != 0 || m->tx != 0) {
        return;
    }
    for (uint32_t i = 0; i < run->clock_words; i++) {
        m->done[i] = m->done[i] > m->clock[i] ? m->done[i] : m->clock[i];
    }
    m->phase++;
    m->done_at = m->time;
    m->pending = m->expected;
    wake(run, m);
}

void sim_mbarrier_expect(sim_mbarrier *m, int64_t bytes) { m->tx += bytes; }

void sim_mbarrier_arrive(sim_warp *w, int lane, sim_mbarrier *m, uint32_t count) {
    if (count > m->pending) {
        sim_find(w, SIM_FAULT_MBARRIER, lane, m->offset,
                 "%u arrivals at an mbarrier that waits for %u more in phase %u", count, m->pending,
                 m->phase);
        return;
    }
    m->pending -= count;
    m->time = w->time > m->time ? w->time : m->time;
    settle(w->run, m);
}

void sim_mbarrier_complete(sim_warp *w, sim_mbarrier *m, int64_t bytes, uint32_t epoch) {
    uint32_t *own = &m->clock[m->agent];
    m->tx -= bytes;
    *own = *own > epoch ? *own : epoch;
    settle(w->run, m);
}

/* ---- instructions ---------------------------------------------------------------------------- */

/* shape[0]: what arrive does besides. */
enum { ARRIVE_PLAIN, ARRIVE_EXPECT, ARRIVE_DROP = 2, ARRIVE_PART = 4 };

/* 0 address, 1 count */
static void init(sim_warp *w, const sim_insn *in, uint32_t mask) {
    EACH_LANE(l, mask) {
        uint64_t address = sim_address(w, in, 0, (int)l);
        uint32_t count = (uint32_t)sim_in(w, in, 1)[l], offset = 0;
        sim_place at = sim_resolve(w, (int)l, (sim_space)in->space, address, 8, ACCESS_WRITE);
        sim_block *b = block_at(w, (sim_space)in->space, address, &offset);
        if (!at.data || !b) {
            continue;
        }
        if (count == 0 || count > MOST_COUNT) {
            sim_find(w, SIM_FAULT_MBARRIER, (int)l, address, "an mbarrier for %u arrivals", count);
            continue;
        }
        sim_mbarrier *m = find(b, offset);
        m = m ? m : make(w, b, offset);
        if (m) {
            m->valid = true;
            m->phase = 0;
            m->tx = 0;
            m->expected = m->pending = count;
            memset(at.data, 0, 8);
            sim_race_mbarrier(b, offset, true);
        }
    }
}

static sim_mbarrier *operand(sim_warp *w, const sim_insn *in, int i, uint32_t lane) {
    sim_mbarrier *m =
        sim_mbarrier_at(w, (int)lane, (sim_space)in->space, sim_address(w, in, i, (int)lane));
    if (m && !sim_block_lives(m->block)) {
        sim_find(w, SIM_FAULT_MBARRIER, (int)lane, m->offset,
                 "an mbarrier of a block that has ended");
    }
    if (m && !w->run->options->no_races) { /* what init wrote must be known */
        sim_race_access(w, (int)lane, m->block, m->offset, 8, ACCESS_ATOMIC);
    }
    return m;
}

static void inval(sim_warp *w, const sim_insn *in, uint32_t mask) {
    EACH_LANE(l, mask) {
        sim_mbarrier *m = operand(w, in, 0, l);
        if (m) {
            m->valid = false;
            sim_race_mbarrier(m->block, m->offset, false);
        }
    }
}

static void transactions(sim_warp *w, const sim_insn *in, uint32_t mask) {
    EACH_LANE(l, mask) {
        sim_mbarrier *m = operand(w, in, 0, l);
        int64_t bytes = (int64_t)(uint32_t)sim_in(w, in, 1)[l];
        if (m && in->mode) {
            sim_mbarrier_complete(w, m, bytes, 0);
        } else if (m) {
            sim_mbarrier_expect(m, bytes);
        }
    }
}

static void drop(sim_warp *w, uint32_t lane, sim_mbarrier *m, uint32_t count) {
    if (count >= m->expected) {
        sim_find(w, SIM_FAULT_MBARRIER, (int)lane, m->offset, "nobody is left to arrive");
        return;
    }
    m->expected -= count;
}

/* 0 state, 1 address, 2 count or bytes */
static void arrive(sim_warp *w, const sim_insn *in, uint32_t mask) {
    EACH_LANE(l, mask) {
        sim_mbarrier *m = operand(w, in, 1, l);
        uint32_t given = in->op[2].kind == OPERAND_ROW ? (uint32_t)sim_in(w, in, 2)[l] : 1;
        uint32_t count = in->shape[0] & ARRIVE_EXPECT ? 1 : given;
        if (!m) {
            continue;
        }
        if (in->op[0].kind == OPERAND_ROW) {
            sim_in(w, in, 0)[l] = (uint64_t)m->phase << 32 | m->pending;
        }
        if (in->shape[0] & ARRIVE_EXPECT) {
            sim_mbarrier_expect(m, given);
        }
        if (in->mode) {
            sim_clock_release(w, m->clock);
        }
        if (in->shape[0] & ARRIVE_DROP) {
            drop(w, l, m, count);
        }
        if (in->shape[0] & ARRIVE_PART && count >= m->pending) {
            sim_find(w, SIM_FAULT_MBARRIER, (int)l, m->offset,
                     "arrive.noComplete of %u would complete the phase", count);
        }
        sim_mbarrier_arrive(w, (int)l, m, count);
    }
}

static void pending_count(sim_warp *w, const sim_insn *in, uint32_t mask) {
    EACH_LANE(l, mask) { sim_in(w, in, 0)[l] = (uint32_t)sim_in(w, in, 1)[l]; }
}

/* 0 done, 1 address, 2 state or parity. mode: acquires; shape[0]: parity. */
void sim_mbarrier_wait(sim_warp *w, const sim_insn *in, uint32_t act) {
    EACH_LANE(l, act) {
        sim_mbarrier *m = operand(w, in, 1, l);
        uint64_t given = sim_in(w, in, 2)[l];
        bool done = !m || (in->shape[0] ? (m->phase & 1) != (given & 1)
                                        : m->phase != (uint32_t)(given >> 32));
        bool over = w->expired >> l & 1;
        if (!done && !over) {
            w->slept_at = w->asleep ? w->slept_at : w->run->rounds;
            w->asleep |= 1u << l;
            w->waits_at[l] = m;
            continue;
        }
        w->expired &= ~(1u << l);
        if (done && m && w->run->model) {
            sim_model_wait(w, m->done_at, "waits at an mbarrier");
        }
        if (done && m && in->mode) {
            sim_clock_acquire(w, m->done);
        }
        if (in->op[0].kind == OPERAND_ROW) {
            sim_in(w, in, 0)[l] = done;
        }
        w->pc[l]++;
    }
}

/* ---- decoding -------------------------------------------------------------------------------- */

static void executed(sim_warp *w, const sim_insn *in, uint32_t mask) {
    (void)w; /* by the scheduler */
    (void)in;
    (void)mask;
}

static bool arrive_family(sim_decoder *d) {
    sim_insn *in = d->in;
    in->shape[0] = (uint16_t)((sim_took(d, "expect_tx") ? ARRIVE_EXPECT : 0) |
                              (sim_took(d, "noComplete") ? ARRIVE_PART : 0) | in->shape[0]);
    bool ok = sim_operands(d, "DA?S") &&
              !(in->shape[0] & (ARRIVE_EXPECT | ARRIVE_PART) && in->op[2].kind == OPERAND_NONE);
    return ok && sim_execs(d, arrive, SIM_CLASS_ASYNC);
}

static bool wait_family(sim_decoder *d) {
    d->in->shape[0] = sim_took(d, "parity");
    d->in->control = CONTROL_MBARRIER;
    return sim_operands(d, "DAS?S") && sim_execs(d, executed, SIM_CLASS_ASYNC);
}

static bool mbarrier_family(sim_decoder *d) {
    static const char *const words[] = {"init",          "inval",       "expect_tx", "complete_tx",
                                        "arrive",        "arrive_drop", "test_wait", "try_wait",
                                        "pending_count", NULL};
    sim_insn *in = d->in;
    int what = sim_took(d, "arrive") ? 5 : sim_took(d, "arrive_drop") ? 6 : sim_took_one(d, words);
    d->p->module->asynchronous = true;
    in->space = (uint8_t)sim_took_space(d);
    in->mode = !sim_took(d, "relaxed"); /* releases, acquires */
    sim_took_hints(d);
    if (!sim_took(d, "b64")) {
        return false;
    }
    switch (what) {
    case 1:
        return sim_operands(d, "AS") && sim_execs(d, init, SIM_CLASS_ASYNC);
    case 2:
        return sim_operands(d, "A") && sim_execs(d, inval, SIM_CLASS_ASYNC);
    case 3:
    case 4:
        in->mode = what == 4;
        return sim_operands(d, "AS") && sim_execs(d, transactions, SIM_CLASS_ASYNC);
    case 5:
    case 6:
        in->shape[0] = what == 6 ? ARRIVE_DROP : ARRIVE_PLAIN;
        return arrive_family(d);
    case 7:
    case 8:
        return wait_family(d);
    default:
        return what == 9 && sim_operands(d, "DS") && sim_execs(d, pending_count, SIM_CLASS_ASYNC);
    }
}

/* ---- cp.async.mbarrier.arrive (9.7.13.15.18) ---------------------------------------------------
 */

/* Without .noinc the arrival is one more than the barrier waits for. */
static void after_copies(sim_warp *w, const sim_insn *in, uint32_t mask) {
    EACH_LANE(l, mask) {
        sim_mbarrier *m = operand(w, in, 0, l);
        if (m) {
            m->pending += !in->mode;
            sim_bulk b = {.kind = BULK_ARRIVE,
                          .warp = w,
                          .insn = in,
                          .lane = (uint8_t)l,
                          .mbarrier = m,
                          .order = w->copy_order};
            sim_bulk_push(w->run, &b);
        }
    }
}

bool sim_mbarrier_after_copies(sim_decoder *d) {
    sim_insn *in = d->in;
    d->p->module->asynchronous = true;
    in->mode = sim_took(d, "noinc");
    in->space = (uint8_t)sim_took_space(d);
    return sim_took(d, "arrive") && sim_took(d, "b64") && sim_operands(d, "A") &&
           sim_execs(d, after_copies, SIM_CLASS_ASYNC);
}

const sim_family_row sim_families_mbarrier[] = {{"mbarrier", mbarrier_family}, {NULL, NULL}};
