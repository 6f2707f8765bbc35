/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Races in shared memory, by vector clocks: each warp counts its releases; a cell remembers who
 * wrote and who read it last and when: a word, or each byte of one that was accessed in part. Two
 * accesses of different warps, one of them a write, are a race when the later warp has not acquired
 * what the earlier one released after its access. Lanes of one warp are not held against each
 * other. Atomic accesses race with plain ones only. Writes of one value by several warps do no
 * harm, whoever comes last, and are no race of writes.
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

/* An access: of a warp's lane, or (lane -1) of an agent that works beside it. */
typedef struct act {
    sim_warp *w;
    const uint32_t *clock; /* what it has acquired; an agent's goes on with what its proxy knows */
    int lane;
    uint32_t number, epoch; /* whose component of clocks is its own, and its time */
    sim_access access;
} act;

/* Reads of others that nothing orders before now. */
static void check_reads(const act *a, const sim_cell *c, const uint32_t *reads, uint32_t offset) {
    if (c->reader == READER_MANY) {
        for (uint32_t n = 0; n < a->w->run->n_clocks; n++) {
            if (reads[n] && a->clock[n] < reads[n] - 1) {
                found(a->w, a->lane, offset, "write after the read", n);
                return;
            }
        }
    } else if (c->reader && a->clock[c->reader - 1u] < c->read_clock) {
        found(a->w, a->lane, offset, "write after the read", c->reader - 1u);
    }
}

static uint32_t *room_for_reads(sim_run *run, uint32_t **reads) {
    *reads = *reads ? *reads : malloc(run->n_clocks * sizeof **reads);
    run->no_memory |= !*reads;
    return *reads;
}

static void note_read(const act *a, sim_cell *c, uint32_t **reads) {
    if (c->reader == READER_MANY) {
        (*reads)[a->number] = a->epoch + 1;
    } else if (c->reader == 0 || c->reader == a->number + 1) {
        c->reader = (uint16_t)(a->number + 1);
        c->read_clock = a->epoch;
    } else if (room_for_reads(a->w->run, reads)) {
        memset(*reads, 0, a->w->run->n_clocks * sizeof **reads);
        (*reads)[c->reader - 1u] = c->read_clock + 1;
        (*reads)[a->number] = a->epoch + 1;
        c->reader = READER_MANY;
    }
}

/* The write before this access must be ordered before it; what a warp wrote must be known to an
 * agent's proxy as well. */
static void check_write(const act *a, const sim_cell *c, uint32_t offset) {
    const sim_run *run = a->w->run;
    uint32_t writer = c->writer - 1u;
    bool writes = a->access != ACCESS_READ;
    if (!c->writer || (c->atomic && a->access == ACCESS_ATOMIC) || a->access == ACCESS_SAME ||
        (writer == a->number && c->write_clock == a->epoch)) {
        return;
    }
    if (a->clock[writer] < c->write_clock) {
        found(a->w, a->lane, offset, writes ? "write after the write" : "read after the write",
              writer);
    } else if (a->lane < 0 && writer < run->n_warps &&
               a->clock[run->n_clocks + writer] < c->write_clock) {
        sim_find(a->w, SIM_FAULT_PROXY, -1, offset,
                 "asynchronous %s of what warp %u wrote, with no fence.proxy.async between",
                 writes ? "write" : "read", writer);
    }
}

static void touch(const act *a, sim_cell *c, uint32_t **reads, uint32_t offset) {
    check_write(a, c, offset);
    if (a->access == ACCESS_READ) {
        note_read(a, c, reads);
        return;
    }
    check_reads(a, c, *reads, offset);
    c->writer = (uint16_t)(a->number + 1);
    c->write_clock = a->epoch;
    c->atomic = a->access == ACCESS_ATOMIC;
    c->reader = 0; /* what came before is ordered, or was reported */
}

/* From now on each byte of the word is remembered by itself. */
static bool split(sim_run *run, sim_block *b, size_t i) {
    sim_cell *c = &b->cells[i];
    sim_bytes *s = b->bytes[i] ? b->bytes[i] : calloc(1, sizeof *s);
    b->bytes[i] = s;
    run->no_memory |= !s;
    for (int k = 0; s && k < 4; k++) {
        s->cells[k] = *c;
        if (c->reader == READER_MANY && room_for_reads(run, &s->reads[k])) {
            memcpy(s->reads[k], b->reads[i], run->n_clocks * sizeof *s->reads[k]);
        }
    }
    c->split = !run->no_memory;
    return c->split;
}

static void touch_word(const act *a, sim_block *b, size_t i, uint8_t mask) {
    sim_cell *c = &b->cells[i];
    uint32_t offset = (uint32_t)i * 4;
    if (mask == 15 && !c->split) {
        touch(a, c, &b->reads[i], offset);
        return;
    }
    if (!c->split && !split(a->w->run, b, i)) {
        return;
    }
    sim_bytes *s = b->bytes[i];
    for (uint32_t k = 0; k < 4; k++) {
        if (mask >> k & 1) {
            touch(a, &s->cells[k], &s->reads[k], offset + k);
        }
    }
    if (mask == 15 && a->access != ACCESS_READ) { /* all bytes alike: one word again */
        c->writer = s->cells[0].writer;
        c->write_clock = s->cells[0].write_clock;
        c->atomic = s->cells[0].atomic;
        c->reader = 0;
        c->split = false;
    }
}

static uint8_t mask_at(uint32_t offset, uint32_t bytes, uint32_t *out_n) {
    uint32_t in = offset & 3;
    *out_n = 4 - in < bytes ? 4 - in : bytes;
    return (uint8_t)(((1u << *out_n) - 1) << in);
}

void sim_race_access(sim_warp *w, int lane, sim_block *b, uint32_t offset, uint32_t bytes,
                     sim_access access) {
    act a = {w, w->clock, lane, w->number, w->clock[w->number], access};
    for (uint32_t n; bytes > 0; offset += n, bytes -= n) {
        uint8_t mask = mask_at(offset, bytes, &n);
        const sim_cell *c = &b->cells[offset >> 2];
        if (c->pending & mask) {
            sim_find(w, SIM_FAULT_RACE, lane, offset,
                     "access while an asynchronous copy may be writing");
        }
        if (c->mbarrier && access != ACCESS_ATOMIC) {
            sim_find(w, SIM_FAULT_MBARRIER, lane, offset, "ordinary access of an mbarrier");
        }
        touch_word(&a, b, offset >> 2, mask);
    }
}

void sim_race_agent(sim_warp *w, const uint32_t *clock, sim_block *b, uint32_t offset,
                    uint32_t bytes, sim_access access, uint32_t agent, uint32_t epoch) {
    act a = {w, clock, -1, agent, epoch, access};
    for (uint32_t n; bytes > 0; offset += n, bytes -= n) {
        uint8_t mask = mask_at(offset, bytes, &n);
        touch_word(&a, b, offset >> 2, mask);
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
