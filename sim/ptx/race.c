/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Races in shared memory, by vector clocks: each warp counts its releases; a cell remembers who
 * wrote and who read it last and when. Two accesses of different warps, one of them a write, are a
 * race when the later warp has not acquired what the earlier one released after its access. Lanes
 * of one warp are not held against each other. Atomic accesses race with plain ones only. Writes of
 * one value by several warps do no harm, whoever comes last, and are no race of writes.
 */
#include <stdlib.h>
#include <string.h>

#include "sim/ptx/sim.h"

enum { READER_MANY = 0xffff };

void sim_clock_release(sim_warp *w, uint32_t *clock) {
    for (uint32_t i = 0; i < w->run->clock_words; i++) {
        clock[i] = clock[i] > w->clock[i] ? clock[i] : w->clock[i];
    }
    w->clock[w->number]++;
}

void sim_clock_acquire(sim_warp *w, const uint32_t *clock) {
    for (uint32_t i = 0; i < w->run->clock_words; i++) {
        w->clock[i] = w->clock[i] > clock[i] ? w->clock[i] : clock[i];
    }
}

static void found(sim_warp *w, int lane, uint32_t offset, const char *what, uint32_t other) {
    uint32_t n = w->run->n_warps;
    const char *who = other < n                         ? "warp"
                      : other < 3 * n && other >= 2 * n ? "wgmma"
                                                        : "a bulk copy";
    sim_find(w, SIM_FAULT_RACE, lane, offset, "%s of %s %u, with no order between them", what, who,
             other % n);
}

/* Reads of others that nothing orders before now. */
static void check_reads(sim_warp *w, const uint32_t *clock, int lane, sim_block *b, size_t i) {
    const sim_cell *c = &b->cells[i];
    uint32_t offset = (uint32_t)i * 4;
    if (c->reader == READER_MANY) {
        for (uint32_t n = 0; n < w->run->n_clocks; n++) {
            uint32_t at = b->reads[i][n];
            if (at && clock[n] < at - 1) {
                found(w, lane, offset, "write after the read", n);
                return;
            }
        }
    } else if (c->reader && clock[c->reader - 1u] < c->read_clock) {
        found(w, lane, offset, "write after the read", c->reader - 1u);
    }
}

static void note_read(sim_warp *w, sim_block *b, size_t i, uint8_t mask, uint32_t number,
                      uint32_t now) {
    sim_cell *c = &b->cells[i];
    if (c->reader == READER_MANY) {
        b->reads[i][number] = now + 1;
    } else if (c->reader == 0 || c->reader == number + 1) {
        c->reader = (uint16_t)(number + 1);
        c->read_clock = now;
    } else {
        uint32_t *all = b->reads[i] ? b->reads[i] : malloc(w->run->n_clocks * sizeof *all);
        if (!all) {
            w->run->no_memory = true;
            return;
        }
        b->reads[i] = all;
        memset(all, 0, w->run->n_clocks * sizeof *all);
        all[c->reader - 1u] = c->read_clock + 1;
        all[number] = now + 1;
        c->reader = READER_MANY;
    }
    c->read |= mask;
}

static void cell(sim_warp *w, int lane, sim_block *b, size_t i, uint8_t mask, sim_access access) {
    sim_cell *c = &b->cells[i];
    uint32_t offset = (uint32_t)i * 4;
    bool writes = access != ACCESS_READ;
    if (c->pending & mask) {
        sim_find(w, SIM_FAULT_RACE, lane, offset,
                 "access while an asynchronous copy may be writing");
    }
    if (c->mbarrier && access != ACCESS_ATOMIC) {
        sim_find(w, SIM_FAULT_MBARRIER, lane, offset, "ordinary access of an mbarrier");
    }
    if (c->writer && (c->written & mask) && !(c->atomic && access == ACCESS_ATOMIC) &&
        access != ACCESS_SAME && w->clock[c->writer - 1u] < c->write_clock) {
        found(w, lane, offset, writes ? "write after the write" : "read after the write",
              c->writer - 1u);
    }
    if (!writes) {
        note_read(w, b, i, mask, w->number, w->clock[w->number]);
        return;
    }
    if (c->reader && (c->read & mask)) {
        check_reads(w, w->clock, lane, b, i);
    }
    bool same = c->writer == w->number + 1 && c->write_clock == w->clock[w->number];
    c->written = same ? c->written | mask : mask;
    c->writer = (uint16_t)(w->number + 1);
    c->write_clock = w->clock[w->number];
    c->atomic = access == ACCESS_ATOMIC;
    if (c->read == mask || mask == 15) { /* what came before is ordered, or was reported */
        c->reader = 0;
        c->read = 0;
    }
}

void sim_race_access(sim_warp *w, int lane, sim_block *b, uint32_t offset, uint32_t bytes,
                     sim_access access) {
    while (bytes > 0) {
        uint32_t in = offset & 3, n = 4 - in < bytes ? 4 - in : bytes;
        cell(w, lane, b, offset >> 2, (uint8_t)(((1u << n) - 1) << in), access);
        offset += n;
        bytes -= n;
    }
}

/* One cell of an agent's access; what warps wrote must be known to its proxy as well. */
static void agent_cell(sim_warp *w, const uint32_t *clock, sim_block *b, size_t i, uint8_t mask,
                       sim_access access, uint32_t agent, uint32_t epoch) {
    sim_cell *c = &b->cells[i];
    uint32_t offset = (uint32_t)i * 4, writer = c->writer - 1u;
    bool writes = access != ACCESS_READ, both = c->atomic && access == ACCESS_ATOMIC;
    if (c->writer && c->written & mask && !both && !(writer == agent && c->write_clock == epoch)) {
        if (clock[writer] < c->write_clock) {
            found(w, -1, offset, writes ? "write after the write" : "read after the write", writer);
        } else if (writer < w->run->n_warps && clock[w->run->n_clocks + writer] < c->write_clock) {
            sim_find(w, SIM_FAULT_PROXY, -1, offset,
                     "asynchronous %s of what warp %u wrote, with no fence.proxy.async between",
                     writes ? "write" : "read", writer);
        }
    }
    if (!writes) {
        note_read(w, b, i, mask, agent, epoch);
        return;
    }
    if (c->reader && c->read & mask) {
        check_reads(w, clock, -1, b, i);
    }
    c->written = c->writer == agent + 1 && c->write_clock == epoch ? c->written | mask : mask;
    c->writer = (uint16_t)(agent + 1);
    c->write_clock = epoch;
    c->atomic = access == ACCESS_ATOMIC;
    c->reader = 0;
    c->read = 0;
}

void sim_race_agent(sim_warp *w, const uint32_t *clock, sim_block *b, uint32_t offset,
                    uint32_t bytes, sim_access access, uint32_t agent, uint32_t epoch) {
    while (bytes > 0) {
        uint32_t in = offset & 3, n = 4 - in < bytes ? 4 - in : bytes;
        agent_cell(w, clock, b, offset >> 2, (uint8_t)(((1u << n) - 1) << in), access, agent,
                   epoch);
        offset += n;
        bytes -= n;
    }
}

void sim_race_mbarrier(sim_block *b, uint32_t offset, bool is) {
    b->cells[offset >> 2].mbarrier = b->cells[(offset >> 2) + 1].mbarrier = is;
}

void sim_race_pending(sim_block *b, uint32_t offset, uint32_t bytes, bool pending) {
    for (uint32_t i = offset; i < offset + bytes; i++) {
        uint8_t bit = (uint8_t)(1u << (i & 3));
        sim_cell *c = &b->cells[i >> 2];
        c->pending = pending ? c->pending | bit : (uint8_t)(c->pending & ~bit);
    }
}
