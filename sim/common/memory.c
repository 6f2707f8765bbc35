/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A simulated machine's global memory. Buffers stand at addresses of their own with room between
 * them, so that an address past one's end belongs to nobody; a shadow bit per byte tells whether it
 * was written.
 */
#include "sim/common/memory.h"

#include <stdlib.h>
#include <string.h>

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
