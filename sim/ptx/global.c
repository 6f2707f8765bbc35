/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Races in global memory, for launches that ask for them. Clusters run one after the other here, so
 * an access of another cluster always lies in the past; it is ordered when a release and an acquire
 * of one word stand between: a release of a fence and an atomic or strong store behind it, or of
 * .release and .acq_rel; an acquire of whatever reads such a word strongly. What one warp acquires
 * its whole cluster is taken to know. Of reads only the last one of a word is remembered.
 */
#include "sim/ptx/sim.h"

#include <stdlib.h>
#include <string.h>

typedef struct sim_mark {
    uint32_t cluster, clock; /* cluster: 1 + its number; 0: none */
    uint16_t warp;
    uint8_t bytes;
    bool strong;
} sim_mark;

/* What a cluster's warps had done: clocks of all of them, by its number. NULL: nothing. */
typedef struct sim_knowledge {
    uint32_t **clocks;
    size_t n;
} sim_knowledge;

typedef struct sim_word {
    uint64_t address; /* / 4; 0: free */
    sim_mark write, read;
    sim_knowledge *released;
} sim_word;

struct sim_global {
    sim_word *words;
    size_t n, cap; /* a power of two */
    uint32_t cluster;
    sim_knowledge known;
    uint32_t *fenced; /* a clock a warp: at its last fence */
};

/* ---- knowledge ------------------------------------------------------------------------------- */

/* known[cluster] becomes the later of itself and clock, component by component. */
static bool learn(sim_knowledge *k, uint32_t cluster, const uint32_t *clock, uint32_t n) {
    if (cluster >= k->n) {
        size_t more = 2 * (size_t)cluster + 16;
        uint32_t **grown = realloc(k->clocks, more * sizeof *grown);
        if (!grown) {
            return false;
        }
        memset(grown + k->n, 0, (more - k->n) * sizeof *grown);
        k->clocks = grown;
        k->n = more;
    }
    uint32_t *own = k->clocks[cluster];
    if (!own) {
        own = k->clocks[cluster] = calloc(n, sizeof *own);
    }
    for (uint32_t i = 0; own && i < n; i++) {
        own[i] = own[i] > clock[i] ? own[i] : clock[i];
    }
    return own != NULL;
}
static bool learn_all(sim_knowledge *to, const sim_knowledge *from, uint32_t n) {
    bool ok = true;
    for (size_t c = 0; c < from->n; c++) {
        ok = (!from->clocks[c] || learn(to, (uint32_t)c, from->clocks[c], n)) && ok;
    }
    return ok;
}
static void forget(sim_knowledge *k) {
    for (size_t i = 0; i < k->n; i++) {
        free(k->clocks[i]);
    }
    free(k->clocks);
    *k = (sim_knowledge){0};
}

/* ---- words ----------------------------------------------------------------------------------- */

static sim_word *slot(sim_word *words, size_t cap, uint64_t address) {
    size_t i = (size_t)(address * 0x9e3779b97f4a7c15ull >> 20) & (cap - 1);
    while (words[i].address && words[i].address != address) {
        i = (i + 1) & (cap - 1);
    }
    return &words[i];
}

static bool widen(sim_global *g) {
    size_t cap = g->cap ? 2 * g->cap : 1 << 12;
    sim_word *words = calloc(cap, sizeof *words);
    if (!words) {
        return false;
    }
    for (size_t i = 0; i < g->cap; i++) {
        if (g->words[i].address) {
            *slot(words, cap, g->words[i].address) = g->words[i];
        }
    }
    free(g->words);
    g->words = words;
    g->cap = cap;
    return true;
}

static sim_word *word_at(sim_global *g, uint64_t address) {
    if (2 * g->n >= g->cap && !widen(g)) {
        return NULL;
    }
    sim_word *x = slot(g->words, g->cap, address);
    g->n += x->address == 0;
    x->address = address;
    return x;
}

/* ---- a launch -------------------------------------------------------------------------------- */

bool sim_global_init(sim_run *run) {
    if (!run->options->global_races) {
        return true;
    }
    run->global = calloc(1, sizeof *run->global);
    if (!run->global) {
        return false;
    }
    run->global->fenced = calloc((size_t)run->n_warps * run->clock_words, sizeof(uint32_t));
    return run->global->fenced != NULL;
}

void sim_global_free(sim_run *run) {
    sim_global *g = run->global;
    for (size_t i = 0; g && i < g->cap; i++) {
        if (g->words[i].released) {
            forget(g->words[i].released);
            free(g->words[i].released);
        }
    }
    if (g) {
        forget(&g->known);
        free(g->words);
        free(g->fenced);
        free(g);
    }
}

void sim_global_begin(sim_run *run) {
    sim_global *g = run->global;
    if (g) {
        g->cluster++;
        forget(&g->known);
        memset(g->fenced, 0, (size_t)run->n_warps * run->clock_words * sizeof *g->fenced);
    }
}

void sim_global_fence(sim_warp *w) {
    sim_global *g = w->run->global;
    if (g) {
        memcpy(g->fenced + (size_t)w->number * w->run->clock_words, w->clock,
               w->run->clock_words * sizeof *g->fenced);
        w->clock[w->number]++;
    }
}

/* ---- accesses -------------------------------------------------------------------------------- */

static bool ordered(const sim_warp *w, const sim_mark *m) {
    const sim_global *g = w->run->global;
    if (m->cluster == g->cluster) {
        return w->clock[m->warp] >= m->clock;
    }
    const uint32_t *k = m->cluster < g->known.n ? g->known.clocks[m->cluster] : NULL;
    return k && k[m->warp] >= m->clock;
}

static void check(sim_warp *w, int lane, const sim_word *x, const sim_mark *m, const char *what) {
    if (m->cluster && !ordered(w, m)) {
        sim_find(w, SIM_FAULT_RACE, lane, x->address * 4,
                 "%s of warp %u%s, with no order between them", what, m->warp,
                 m->cluster == w->run->global->cluster ? "" : " of another block");
    }
}

/* A strong access of a word: what others released there is known, what is fenced is released. */
static bool synchronise(sim_warp *w, sim_word *x, bool reads, bool writes, bool releases) {
    sim_global *g = w->run->global;
    uint32_t n = w->run->clock_words;
    bool ok = true;
    if (reads && x->released) {
        ok = learn_all(&g->known, x->released, n);
        if (g->cluster < g->known.n && g->known.clocks[g->cluster]) {
            sim_clock_acquire(w, g->known.clocks[g->cluster]);
        }
    }
    if (writes) {
        x->released = x->released ? x->released : calloc(1, sizeof *x->released);
        const uint32_t *clock = releases ? w->clock : g->fenced + (size_t)w->number * n;
        ok = ok && x->released && learn_all(x->released, &g->known, n) &&
             learn(x->released, g->cluster, clock, n);
        w->clock[w->number]++;
    }
    return ok;
}

static bool access_word(sim_warp *w, int lane, sim_word *x, uint8_t bytes, sim_access access) {
    const sim_insn *in = w->at;
    bool strong = in->class_ == SIM_CLASS_ATOMIC || in->order != 0;
    bool writes = access != ACCESS_READ;
    if (access != ACCESS_SAME && x->write.bytes & bytes && !(strong && x->write.strong)) {
        check(w, lane, x, &x->write, writes ? "write after the write" : "read after the write");
    }
    if (writes && x->read.bytes & bytes && !(strong && x->read.strong)) {
        check(w, lane, x, &x->read, "write after the read");
    }
    sim_mark own = {.cluster = w->run->global->cluster,
                    .clock = w->clock[w->number],
                    .warp = (uint16_t)w->number,
                    .bytes = bytes,
                    .strong = strong};
    *(writes ? &x->write : &x->read) = own;
    return !strong || synchronise(w, x, access != ACCESS_WRITE, writes, in->order & ORDER_RELEASE);
}

void sim_global_access(sim_warp *w, int lane, uint64_t address, uint32_t bytes, sim_access access) {
    while (bytes > 0) {
        uint32_t in = address & 3, n = 4 - in < bytes ? 4 - in : bytes;
        sim_word *x = word_at(w->run->global, address / 4);
        if (!x || !access_word(w, lane, x, (uint8_t)(((1u << n) - 1) << in), access)) {
            w->run->no_memory = true;
            return;
        }
        address += n;
        bytes -= n;
    }
}
