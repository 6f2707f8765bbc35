/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's memory and the checks of every access. Global buffers stand at addresses of their
 * own with room between them, so that an address past one's end belongs to nobody; a shadow bit
 * per byte tells whether it was written.
 */
#include <stdlib.h>
#include <string.h>

#include "sim/ptx/model.h"

enum { ROOM = 4096, ALIGNMENT = 256 };

bool sim_grow(void **data, size_t *cap, size_t n, size_t size) {
    if (n <= *cap) {
        return true;
    }
    size_t more = *cap ? *cap * 2 : 16;
    void *grown = more < n || more > SIZE_MAX / 2 / size ? NULL : realloc(*data, more * size);
    if (!grown) {
        return false;
    }
    *data = grown;
    *cap = more;
    return true;
}

/* ---- shadows --------------------------------------------------------------------------------- */

void sim_shadow_set(uint8_t *shadow, uint64_t at, uint64_t bytes) {
    uint64_t end = at + bytes;
    while (at < end && at & 7) {
        shadow[at >> 3] |= (uint8_t)(1u << (at & 7));
        at++;
    }
    if (end - at >= 8) {
        memset(shadow + (at >> 3), 0xff, (end - at) >> 3);
        at += (end - at) & ~7ull;
    }
    while (at < end) {
        shadow[at >> 3] |= (uint8_t)(1u << (at & 7));
        at++;
    }
}

bool sim_shadow_all(const uint8_t *shadow, uint64_t at, uint64_t bytes) {
    for (uint64_t i = at; i < at + bytes; i++) {
        if (!(shadow[i >> 3] >> (i & 7) & 1)) {
            return false;
        }
    }
    return true;
}

/* ---- buffers --------------------------------------------------------------------------------- */

sim_machine *sim_machine_make(int sm) {
    sim_machine *m = calloc(1, sizeof *m);
    if (m) {
        m->sm = sm;
        m->next = 0x10000000;
    }
    return m;
}

void sim_machine_free(sim_machine *m) {
    for (size_t i = 0; m && i < m->ranges.n; i++) {
        free(m->ranges.data[i].data);
        free(m->ranges.data[i].written);
        free(m->ranges.data[i].touched);
    }
    if (m) {
        free(m->ranges.data);
        free(m);
    }
}

/* The buffer that begins at or before the address, as an index; n when there is none. */
static size_t index_of(const sim_machine *m, uint64_t address) {
    size_t lo = 0, hi = m->ranges.n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (m->ranges.data[mid].begin <= address) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo == 0 ? m->ranges.n : lo - 1;
}

const sim_range *sim_range_find(const sim_machine *m, uint64_t address) {
    size_t i = index_of(m, address);
    return i < m->ranges.n && address - m->ranges.data[i].begin < m->ranges.data[i].bytes
               ? &m->ranges.data[i]
               : NULL;
}

uint64_t sim_memory_alloc(sim_machine *m, size_t bytes) {
    sim_range r = {.begin = m->next, .bytes = bytes};
    if (bytes > (1ull << 46) || m->next > (1ull << 54)) {
        return 0;
    }
    r.data = calloc(1, bytes + 1);
    r.written = calloc(1, bytes / 8 + 2);
    r.touched = calloc(1, bytes / 256 + 2);
    if (!r.data || !r.written || !r.touched ||
        !SIM_PUSH(&m->ranges, r)) { /* addresses rise: it is the last */
        free(r.data);
        free(r.written);
        free(r.touched);
        return 0;
    }
    m->next += (bytes + ROOM + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return r.begin;
}

void sim_memory_free(sim_machine *m, uint64_t address) {
    size_t i = index_of(m, address);
    if (address == 0 || i == m->ranges.n || m->ranges.data[i].begin != address) {
        return;
    }
    free(m->ranges.data[i].data);
    free(m->ranges.data[i].written);
    free(m->ranges.data[i].touched);
    memmove(&m->ranges.data[i], &m->ranges.data[i + 1],
            (m->ranges.n - i - 1) * sizeof *m->ranges.data);
    m->ranges.n--;
}

static const sim_range *holding(const sim_machine *m, uint64_t address, size_t bytes) {
    const sim_range *r = sim_range_find(m, address);
    return r && bytes <= r->bytes - (address - r->begin) ? r : NULL;
}

bool sim_memory_holds(const sim_machine *m, uint64_t address, size_t bytes) {
    return holding(m, address, bytes) != NULL;
}

bool sim_memory_write(sim_machine *m, uint64_t to, const void *from, size_t bytes) {
    const sim_range *r = holding(m, to, bytes);
    if (!r || bytes == 0) {
        return bytes == 0;
    }
    memcpy(r->data + (to - r->begin), from, bytes);
    sim_shadow_set(r->written, to - r->begin, bytes);
    return true;
}

bool sim_memory_read(sim_machine *m, void *to, uint64_t from, size_t bytes) {
    const sim_range *r = holding(m, from, bytes);
    if (!r || bytes == 0) {
        return bytes == 0;
    }
    memcpy(to, r->data + (from - r->begin), bytes);
    return true;
}

/* ---- accesses -------------------------------------------------------------------------------- */

uint64_t sim_address(const sim_warp *w, const sim_insn *in, int i, int lane) {
    const sim_operand *o = &in->op[i];
    uint64_t base = o->row == ROW_NONE ? 0 : sim_row(w, o->row)[lane];
    base += (uint64_t)o->offset;
    return o->narrow ? (uint32_t)base : base;
}

static const char *const space_names[] = {"generic", "global", "shared", "local", "const", "param"};

static sim_place outside(sim_warp *w, int lane, sim_space space, uint64_t address, uint32_t bytes,
                         sim_access access) {
    sim_find(w, SIM_FAULT_BOUNDS, lane, address, "%s of %u bytes outside of %s memory",
             access == ACCESS_READ ? "read" : "write", bytes, space_names[space]);
    return (sim_place){0};
}

static sim_place global_place(sim_warp *w, int lane, uint64_t address, uint32_t bytes,
                              sim_access access) {
    sim_run *run = w->run;
    sim_range *r = &run->last[0];
    if (address - r->begin >= r->bytes || bytes > r->bytes - (address - r->begin)) {
        sim_range hit = {0};
        for (int i = 1; i < 4 && !hit.data; i++) {
            const sim_range *c = &run->last[i];
            hit = address - c->begin < c->bytes ? *c : hit;
        }
        const sim_range *found = hit.data ? &hit : sim_range_find(run->machine, address);
        if (!found || bytes > found->bytes - (address - found->begin)) {
            return outside(w, lane, SPACE_GLOBAL, address, bytes, access);
        }
        sim_range keep = *found;
        if (!hit.data) {
            memmove(&run->last[1], &run->last[0], 3 * sizeof *r);
        }
        for (int i = 1; hit.data && i < 4; i++) {
            if (run->last[i].begin == keep.begin) {
                run->last[i] = run->last[0];
            }
        }
        run->last[0] = keep;
    }
    uint64_t at = address - r->begin;
    if (run->global) {
        bool same = access == ACCESS_WRITE && w->storing && sim_shadow_all(r->written, at, bytes) &&
                    memcmp(r->data + at, w->storing, bytes) == 0;
        sim_global_access(w, lane, address, bytes, same ? ACCESS_SAME : access);
    }
    if (run->model) {
        sim_model_touch(run, r, at, bytes);
    }
    return (sim_place){.data = r->data + at, .written = r->written, .at = at};
}

bool sim_block_lives(const sim_block *b) {
    for (uint32_t i = 0; i < b->n_warps; i++) {
        if (b->warps[i].live) {
            return true;
        }
    }
    return false;
}

/* Another block's memory: it must be known to have begun, and must not have ended. */
static void check_neighbour(sim_warp *w, int lane, const sim_block *b, uint64_t address) {
    bool begun = false;
    for (uint32_t i = 0; i < b->n_warps; i++) {
        begun = begun || w->clock[b->warps[i].number] > 0;
    }
    if (!begun || !sim_block_lives(b)) {
        sim_find(w, SIM_FAULT_RACE, lane, address, "shared memory of block %u, which %s", b->rank,
                 begun ? "has ended" : "may not have begun");
    }
}

static sim_place shared_place(sim_warp *w, int lane, uint64_t address, uint32_t bytes,
                              sim_access access) {
    sim_run *run = w->run;
    uint64_t rank = address >> CTA_SHIFT, at = address & ((1u << CTA_SHIFT) - 1);
    /* 24 bits of offset; the rank is one more than the block's: 0 is the own one. */
    if (rank > run->n_blocks || bytes > run->shared_bytes || at > run->shared_bytes - bytes) {
        return outside(w, lane, SPACE_SHARED, address, bytes, access);
    }
    sim_block *b = rank == 0 ? w->block : &run->blocks[rank - 1];
    if (b != w->block) {
        check_neighbour(w, lane, b, address);
    }
    if (!run->options->no_races) {
        bool same = access == ACCESS_WRITE && w->storing &&
                    sim_shadow_all(b->shared_written, at, bytes) &&
                    memcmp(b->shared + at, w->storing, bytes) == 0;
        sim_race_access(w, lane, b, (uint32_t)at, bytes, same ? ACCESS_SAME : access);
    }
    return (sim_place){.data = b->shared + at,
                       .written = b->shared_written,
                       .at = at,
                       .block = b,
                       .offset = (uint32_t)at};
}

static sim_place local_place(sim_warp *w, int lane, uint64_t address, uint32_t bytes,
                             sim_access access) {
    const sim_module *m = w->run->module;
    uint64_t at = address;
    if (at >= FUNCTION_LOCAL) {
        at = at - FUNCTION_LOCAL + m->entry_local;
    } else if (at + bytes > m->entry_local) {
        return outside(w, lane, SPACE_LOCAL, address, bytes, access);
    }
    if (at > w->run->local_bytes || bytes > w->run->local_bytes - at) {
        return outside(w, lane, SPACE_LOCAL, address, bytes, access);
    }
    at += (uint64_t)lane * w->run->local_bytes;
    return (sim_place){.data = w->local + at, .written = w->local_written, .at = at};
}

/* Which space a generic address lies in; *address becomes one of that space. */
static sim_space space_of(uint64_t *address) {
    uint64_t window = *address & WINDOW_MASK;
    *address &= window == 0 ? UINT64_MAX : ~WINDOW_MASK;
    return window == SHARED_WINDOW  ? SPACE_SHARED
           : window == LOCAL_WINDOW ? SPACE_LOCAL
           : window == PARAM_WINDOW ? SPACE_PARAM
                                    : SPACE_GLOBAL;
}

sim_place sim_resolve(sim_warp *w, int lane, sim_space space, uint64_t address, uint32_t bytes,
                      sim_access access) {
    sim_place at = {0};
    uint64_t own = address;
    if (address % bytes != 0) {
        sim_find(w, SIM_FAULT_ALIGNMENT, lane, address, "address of %u bytes is no multiple of it",
                 bytes);
        return at;
    }
    if (space == SPACE_GENERIC) {
        space = space_of(&own);
    }
    switch ((int)space) {
    case SPACE_SHARED:
        at = shared_place(w, lane, own, bytes, access);
        break;
    case SPACE_LOCAL:
        at = local_place(w, lane, own, bytes, access);
        break;
    case SPACE_PARAM:
        if (access != ACCESS_READ || own > w->run->kernel->param_bytes ||
            bytes > w->run->kernel->param_bytes - own) {
            return outside(w, lane, space, own, bytes, access);
        }
        return (sim_place){.data = (uint8_t *)(uintptr_t)(w->run->params + own)};
    case SPACE_GENERIC:
    case SPACE_GLOBAL:
    case SPACE_CONST:
    default:
        at = global_place(w, lane, own, bytes, access);
        break;
    }
    if (at.data && access != ACCESS_WRITE && !sim_shadow_all(at.written, at.at, bytes)) {
        sim_find(w, SIM_FAULT_UNINITIALISED, lane, address,
                 "read of %u bytes of %s memory that nobody wrote", bytes, space_names[space]);
    }
    if (at.data && access != ACCESS_READ) {
        sim_shadow_set(at.written, at.at, bytes);
    }
    return at;
}
