/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accesses and their checks. LDS: a cell a byte remembers who wrote and read it since the last
 * barrier; waves meet at barriers only, so another wave's conflicting access in the same span is a
 * race.
 */
#include <math.h>
#include <string.h>

#include "sim/amdgcn/amd.h"

enum { BY_ATOMICS = 255 };

static const char *word_of(amd_access access) {
    return access == AMD_READ ? "read" : access == AMD_WRITE ? "write" : "atomic";
}

static uint8_t *checked(amd_wave *w, int lane, uint64_t address, uint8_t *data, uint8_t *written,
                        uint64_t at, uint32_t bytes, amd_access access, const char *where) {
    if (access != AMD_WRITE && !sim_shadow_all(written, at, bytes)) {
        amd_find(w, SIM_FAULT_UNINITIALISED, lane, address,
                 "read of %u bytes of %s that nobody wrote", bytes, where);
    }
    if (access != AMD_READ) {
        sim_shadow_set(written, at, bytes);
    }
    return data;
}

uint8_t *amd_global(amd_wave *w, int lane, uint64_t address, uint32_t bytes, amd_access access) {
    amd_run *run = w->run;
    if (address - run->last.begin >= run->last.bytes ||
        bytes > run->last.bytes - (address - run->last.begin)) {
        const sim_range *r = sim_range_find(run->machine, address);
        if (!r || bytes > r->bytes - (address - r->begin)) {
            amd_find(w, SIM_FAULT_BOUNDS, lane, address, "%s of %u bytes outside of global memory",
                     word_of(access), bytes);
            return NULL;
        }
        run->last = *r;
    }
    if (access == AMD_ATOMIC && address % bytes != 0) {
        amd_find(w, SIM_FAULT_ALIGNMENT, lane, address, "atomic of %u bytes", bytes);
        return NULL;
    }
    uint64_t at = address - run->last.begin;
    return checked(w, lane, address, run->last.data + at, run->last.written, at, bytes, access,
                   "global memory");
}

static bool peek(amd_wave *w, int lane, uint64_t at) {
    amd_group *g = w->group;
    if (g->n_peeks == MAX_PEEKS) {
        return false;
    }
    g->peeks[g->n_peeks++] =
        (amd_peek){.at = (uint32_t)at, .wave = w->index, .pc = w->pc, .lane = lane, .by = w->at};
    return true;
}

static void peeks_compared(amd_group *g, uint32_t wave, uint64_t at) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < g->n_peeks; i++) {
        if (g->peeks[i].at != at || g->peeks[i].wave != wave) {
            g->peeks[kept++] = g->peeks[i];
        }
    }
    g->n_peeks = kept;
}

static const char read_race[] = "read of LDS that another wave wrote, no barrier between";

void amd_lds_barrier(amd_group *g) {
    for (uint32_t i = 0; i < g->n_peeks; i++) {
        amd_wave *w = &g->waves[g->peeks[i].wave];
        uint32_t pc = w->pc;
        const amd_insn *at = w->at;
        w->pc = g->peeks[i].pc;
        w->at = g->peeks[i].by;
        amd_find(w, SIM_FAULT_RACE, g->peeks[i].lane, g->peeks[i].at, "%s", read_race);
        w->pc = pc;
        w->at = at;
    }
    g->n_peeks = 0;
}

static void touch(amd_wave *w, int lane, uint64_t at, amd_access access) {
    amd_group *g = w->group;
    amd_cell *c = &g->cells[at];
    uint32_t me = 1u << w->index;
    if (c->epoch != g->epoch) {
        *c = (amd_cell){.epoch = g->epoch};
    }
    if (access == AMD_COMPARED) {
        peeks_compared(g, w->index, at);
        c->readers &= ~me;
        access = AMD_ATOMIC;
    }
    if (access == AMD_READ && c->writer == BY_ATOMICS && peek(w, lane, at)) {
        return;
    }
    bool other = c->writer != 0 && c->writer != w->index + 1;
    bool race = access == AMD_READ     ? other
                : access == AMD_ATOMIC ? (other && c->writer != BY_ATOMICS) || (c->readers & ~me)
                                       : other || (c->readers & ~me);
    if (race) {
        amd_find(w, SIM_FAULT_RACE, lane, at, "%s of LDS that another wave %s, no barrier between",
                 word_of(access), c->writer != 0 && other ? "wrote" : "read");
    }
    if (access == AMD_READ) {
        c->readers |= me;
    } else {
        c->writer = access == AMD_ATOMIC && (c->writer == 0 || c->writer == BY_ATOMICS)
                        ? BY_ATOMICS
                        : (uint8_t)(w->index + 1);
    }
}

uint8_t *amd_lds(amd_wave *w, int lane, uint64_t address, uint32_t bytes, amd_access access) {
    amd_group *g = w->group;
    if (address > w->run->lds_bytes || bytes > w->run->lds_bytes - address) {
        amd_find(w, SIM_FAULT_BOUNDS, lane, address, "%s of %u bytes outside of LDS",
                 word_of(access), bytes);
        return NULL;
    }
    if (access >= AMD_ATOMIC && address % bytes != 0) {
        amd_find(w, SIM_FAULT_ALIGNMENT, lane, address, "atomic of %u bytes", bytes);
        return NULL;
    }
    bool same = access == AMD_WRITE && w->storing &&
                sim_shadow_all(g->lds_written, address, bytes) &&
                memcmp(g->lds + address, w->storing, bytes) == 0; /* whoever is first: no matter */
    for (uint32_t i = 0; !same && g->n_waves > 1 && !w->run->options->no_races && i < bytes; i++) {
        touch(w, lane, address + i, access);
    }
    /* Compilers read LDS early where a branch would have kept them from it, so what nobody wrote
     * may be read, if not used: only told where registers are, too. Until then it is a NaN. */
    if (access != AMD_WRITE && !w->run->options->registers) {
        if (access >= AMD_ATOMIC) {
            sim_shadow_set(g->lds_written, address, bytes);
        }
        return g->lds + address;
    }
    return checked(w, lane, address, g->lds + address, g->lds_written, address, bytes, access,
                   "LDS");
}

uint8_t *amd_scratch(amd_wave *w, int lane, uint64_t address, uint32_t bytes, amd_access access) {
    uint64_t room = w->run->kernel->private_bytes;
    if (address > room || bytes > room - address) {
        amd_find(w, SIM_FAULT_BOUNDS, lane, address, "%s of %u bytes outside of scratch",
                 word_of(access), bytes);
        return NULL;
    }
    /* Spilled registers come back for lanes that were not there when they were stored: what nobody
     * wrote may be read. */
    return w->scratch + (uint64_t)lane * room + address;
}

/* A NaN gives way to a number. */
static uint64_t least_or_greatest(bool least, int bytes, uint64_t old, uint64_t data) {
    double a = bytes == 8 ? amd_as_f64(old) : (double)amd_as_f32((uint32_t)old);
    double b = bytes == 8 ? amd_as_f64(data) : (double)amd_as_f32((uint32_t)data);
    return isnan(b) || (least ? a < b : a > b) ? old : data;
}
static uint16_t added_half(uint16_t a, uint16_t b) {
    return amd_f16_round((double)amd_f16_value(a) + (double)amd_f16_value(b));
}
/* Of the upper halves of words, rounded to nearest even. */
static uint32_t added_bf16(uint64_t a, uint64_t b) {
    float v = amd_as_f32((uint32_t)a) + amd_as_f32((uint32_t)b);
    uint32_t u = amd_of_f32(v);
    return isnan(v) ? (u | 0x400000) & 0xffff0000 : (u + 0x7fff + (u >> 16 & 1)) & 0xffff0000;
}

uint64_t amd_atomic(int kind, int bytes, uint64_t old, uint64_t data, uint64_t other) {
    int up = 64 - 8 * bytes;
    int64_t a = (int64_t)(old << up) >> up, b = (int64_t)(data << up) >> up;
    switch (kind) {
    case AMD_ATOMIC_SWAP:
        return data;
    case AMD_ATOMIC_CAS: /* data: compared with; other: the new value */
        return old == data ? other : old;
    case AMD_ATOMIC_ADD:
        return old + data;
    case AMD_ATOMIC_SUB:
        return old - data;
    case AMD_ATOMIC_SMIN:
        return a < b ? old : data;
    case AMD_ATOMIC_UMIN:
        return old < data ? old : data;
    case AMD_ATOMIC_SMAX:
        return a > b ? old : data;
    case AMD_ATOMIC_UMAX:
        return old > data ? old : data;
    case AMD_ATOMIC_AND:
        return old & data;
    case AMD_ATOMIC_OR:
        return old | data;
    case AMD_ATOMIC_XOR:
        return old ^ data;
    case AMD_ATOMIC_INC:
        return old >= data ? 0 : old + 1;
    case AMD_ATOMIC_DEC:
        return old == 0 || old > data ? data : old - 1;
    case AMD_ATOMIC_FADD:
        return bytes == 8 ? amd_of_f64(amd_as_f64(old) + amd_as_f64(data))
                          : amd_of_f32(amd_as_f32((uint32_t)old) + amd_as_f32((uint32_t)data));
    case AMD_ATOMIC_FMIN:
    case AMD_ATOMIC_FMAX:
        return least_or_greatest(kind == AMD_ATOMIC_FMIN, bytes, old, data);
    case AMD_ATOMIC_PK_ADD_F16:
        return added_half((uint16_t)old, (uint16_t)data) |
               (uint32_t)added_half((uint16_t)(old >> 16), (uint16_t)(data >> 16)) << 16;
    case AMD_ATOMIC_PK_ADD_BF16:
        return added_bf16((uint32_t)old << 16, (uint32_t)data << 16) >> 16 |
               added_bf16(old & 0xffff0000, data & 0xffff0000);
    }
    return old;
}
