/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The expert slot cache: see tegula/expert_cache.h. Slots form one list from the least to the most
 * recently used; an empty cache lists them by number, so empty slots are the least recent ones.
 */
#include <tegula/expert_cache.h>

#include <string.h>

typedef struct slot {
    int32_t layer, expert; /* -1: empty */
    int32_t before, after; /* in the list of use; -1: end */
    uint32_t call, served; /* the last ensure_resident that needed it, and that counted it */
    bool pinned, unused;   /* unused: prefetched and not needed since */
} slot;

struct tgh_expert_cache {
    int32_t layers, experts, slots;
    int32_t oldest, newest;
    uint32_t call; /* number of the current ensure_resident, from 1 */
    tgh_cache_counts counts;
    int32_t *table; /* layers x experts */
    slot *slot;
};

static bool extents_ok(int32_t layers, int32_t experts, int32_t slots) {
    return layers >= 1 && experts >= 1 && slots >= 1 && (int64_t)layers * experts <= INT32_MAX;
}

size_t tgh_expert_cache_bytes(int32_t layers, int32_t experts, int32_t slots) {
    if (!extents_ok(layers, experts, slots)) {
        return 0;
    }
    return sizeof(tgh_expert_cache) + (size_t)slots * sizeof(slot) +
           (size_t)layers * (size_t)experts * sizeof(int32_t);
}

tgh_expert_cache *tgh_expert_cache_init(void *memory, int32_t layers, int32_t experts,
                                        int32_t slots) {
    if (!extents_ok(layers, experts, slots)) {
        return NULL;
    }
    tgh_expert_cache *c = memory;
    *c = (tgh_expert_cache){
        .layers = layers, .experts = experts, .slots = slots, .newest = slots - 1};
    c->slot = (slot *)(void *)(c + 1);
    c->table = (int32_t *)(void *)(c->slot + slots);
    for (int32_t i = 0; i < slots; i++) {
        c->slot[i] = (slot){-1, -1, i - 1, i + 1 < slots ? i + 1 : -1, 0, 0, false, false};
    }
    for (int32_t i = 0; i < layers * experts; i++) {
        c->table[i] = -1;
    }
    return c;
}

/* Takes slot s out of the list and puts it at the recent end. */
static void touch(tgh_expert_cache *c, int32_t s) {
    slot *p = &c->slot[s];
    if (c->newest == s) {
        return;
    }
    if (p->before >= 0) {
        c->slot[p->before].after = p->after;
    } else {
        c->oldest = p->after;
    }
    c->slot[p->after].before = p->before;
    p->before = c->newest;
    p->after = -1;
    c->slot[c->newest].after = s;
    c->newest = s;
}

/* The least recently used slot that may be taken, or -1. */
static int32_t victim(const tgh_expert_cache *c, bool spare_unused) {
    for (int32_t s = c->oldest; s >= 0; s = c->slot[s].after) {
        const slot *p = &c->slot[s];
        bool needed = c->call > 0 && p->call == c->call;
        if (p->expert < 0 || (!p->pinned && !needed && !(spare_unused && p->unused))) {
            return s;
        }
    }
    return -1;
}

static tgh_expert_load put(tgh_expert_cache *c, int32_t s, int32_t layer, int32_t expert) {
    slot *p = &c->slot[s];
    tgh_expert_load load = {s, layer, expert, p->layer, p->expert};
    if (p->expert >= 0) {
        c->table[p->layer * c->experts + p->expert] = -1;
        c->counts.evictions++;
        c->counts.prefetch_lost += p->unused;
    }
    c->table[layer * c->experts + expert] = s;
    p->layer = layer;
    p->expert = expert;
    p->pinned = false;
    p->unused = false;
    touch(c, s);
    return load;
}

static bool ids_ok(const tgh_expert_cache *c, int32_t layer, const int32_t *ids, int32_t n) {
    bool ok = layer >= 0 && layer < c->layers && n >= 0;
    for (int32_t i = 0; ok && i < n; i++) {
        ok = ids[i] >= -1 && ids[i] < c->experts;
    }
    return ok;
}

/* Marks the resident experts of the call as needed; how many distinct ones are missing. */
static int32_t claim(tgh_expert_cache *c, int32_t layer, const int32_t *ids, int32_t n) {
    int32_t missing = 0;
    int32_t *row = c->table + layer * c->experts;
    for (int32_t i = 0; i < n; i++) {
        if (ids[i] >= 0 && row[ids[i]] >= 0) {
            c->slot[row[ids[i]]].call = c->call;
        } else if (ids[i] >= 0 && row[ids[i]] == -1) {
            row[ids[i]] = -2; /* counted */
            missing++;
        }
    }
    for (int32_t i = 0; i < n; i++) {
        if (ids[i] >= 0 && row[ids[i]] == -2) {
            row[ids[i]] = -1;
        }
    }
    return missing;
}

static int32_t takeable(const tgh_expert_cache *c) {
    int32_t n = 0;
    for (int32_t s = 0; s < c->slots; s++) {
        const slot *p = &c->slot[s];
        n += p->expert < 0 || (!p->pinned && p->call != c->call);
    }
    return n;
}

/* Call numbers wrap: then nothing is remembered as needed. */
static void next_call(tgh_expert_cache *c) {
    c->call++;
    if (c->call == 0) {
        for (int32_t s = 0; s < c->slots; s++) {
            c->slot[s].call = 0;
            c->slot[s].served = 0;
        }
        c->call = 1;
    }
}

tgh_cache_status tgh_expert_cache_ensure_resident(tgh_expert_cache *c, int32_t layer,
                                                  const int32_t *ids, int32_t n, int32_t *out_slot,
                                                  tgh_expert_load *out_loads,
                                                  int32_t *out_n_loads) {
    *out_n_loads = 0;
    if (!ids_ok(c, layer, ids, n)) {
        return TGH_CACHE_BAD_ARGUMENT;
    }
    next_call(c);
    if (claim(c, layer, ids, n) > takeable(c)) {
        return TGH_CACHE_FULL;
    }
    for (int32_t i = 0; i < n; i++) {
        out_slot[i] = -1;
        if (ids[i] < 0) {
            continue;
        }
        int32_t s = c->table[layer * c->experts + ids[i]];
        if (s < 0) {
            s = victim(c, false);
            out_loads[(*out_n_loads)++] = put(c, s, layer, ids[i]);
            c->slot[s].call = c->call;
            c->counts.misses++;
        } else if (c->slot[s].served != c->call) {
            c->counts.hits++;
            c->counts.prefetch_hits += c->slot[s].unused;
            c->slot[s].unused = false;
            touch(c, s);
        }
        c->slot[s].served = c->call;
        out_slot[i] = s;
    }
    return TGH_CACHE_OK;
}

/* One expert that will be wanted. */
static void prefetch_one(tgh_expert_cache *c, int32_t layer, int32_t expert,
                         tgh_expert_load *out_loads, int32_t *n) {
    int32_t s = c->table[layer * c->experts + expert];
    if (s >= 0) {
        touch(c, s);
        return;
    }
    s = victim(c, true);
    if (s >= 0) {
        out_loads[(*n)++] = put(c, s, layer, expert);
        c->slot[s].call = 0;
        c->slot[s].unused = true;
        c->counts.prefetched++;
    }
}

tgh_cache_status tgh_expert_cache_prefetch(tgh_expert_cache *c, int32_t layer, const int32_t *ids,
                                           int32_t n, tgh_expert_load *out_loads,
                                           int32_t *out_n_loads) {
    *out_n_loads = 0;
    if (!ids_ok(c, layer, ids, n)) {
        return TGH_CACHE_BAD_ARGUMENT;
    }
    for (int32_t i = 0; i < n; i++) {
        if (ids[i] >= 0) {
            prefetch_one(c, layer, ids[i], out_loads, out_n_loads);
        }
    }
    return TGH_CACHE_OK;
}

tgh_cache_status tgh_expert_cache_prefetch_hash(tgh_expert_cache *c, int32_t layer,
                                                const int32_t *tid2eid, int32_t vocabulary,
                                                int32_t k, const int32_t *tokens, int32_t n,
                                                tgh_expert_load *out_loads, int32_t *out_n_loads) {
    *out_n_loads = 0;
    for (int32_t t = 0; t < n; t++) {
        if (tokens[t] >= 0 && tokens[t] < vocabulary &&
            !ids_ok(c, layer, tid2eid + (int64_t)tokens[t] * k, k)) {
            return TGH_CACHE_BAD_ARGUMENT;
        }
    }
    if (layer < 0 || layer >= c->layers) {
        return TGH_CACHE_BAD_ARGUMENT;
    }
    for (int32_t t = 0; t < n; t++) {
        if (tokens[t] < 0 || tokens[t] >= vocabulary) {
            continue;
        }
        const int32_t *row = tid2eid + (int64_t)tokens[t] * k;
        for (int32_t j = 0; j < k; j++) {
            if (row[j] >= 0) {
                prefetch_one(c, layer, row[j], out_loads, out_n_loads);
            }
        }
    }
    return TGH_CACHE_OK;
}

int32_t tgh_expert_cache_slot(const tgh_expert_cache *c, int32_t layer, int32_t expert) {
    bool there = layer >= 0 && layer < c->layers && expert >= 0 && expert < c->experts;
    return there ? c->table[layer * c->experts + expert] : -1;
}

bool tgh_expert_cache_pin(tgh_expert_cache *c, int32_t layer, int32_t expert, bool pinned) {
    int32_t s = tgh_expert_cache_slot(c, layer, expert);
    if (s >= 0) {
        c->slot[s].pinned = pinned;
    }
    return s >= 0;
}

const int32_t *tgh_expert_cache_table(const tgh_expert_cache *c) { return c->table; }

tgh_cache_counts tgh_expert_cache_counts(const tgh_expert_cache *c) { return c->counts; }
