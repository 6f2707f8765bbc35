/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of every access of a warp, whichever memory it lies in. */
#include <stdlib.h>
#include <string.h>

#include "sim/ptx/model.h"

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
