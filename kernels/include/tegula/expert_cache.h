/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The expert slot cache: a fixed pool of equal, numbered slots on a device holds the experts in use
 * out of a bank that is too large for it (moe.md section 10). After routing, `ensure_resident` says
 * which slot every chosen expert has and which must be loaded first; the products then read slot
 * numbers (grouped_slots and its relatives). This object moves no bytes: it decides, the caller
 * copies.
 *
 * Deterministic: a slot that holds nothing goes first (the lowest number), then the least recently
 * used one that is neither pinned nor needed by the same call. One object belongs to one thread at
 * a time; memory only from the caller.
 */
#ifndef TEGULA_EXPERT_CACHE_H
#define TEGULA_EXPERT_CACHE_H

#include <stdbool.h>

#include <tegula/kernels.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tgh_expert_cache tgh_expert_cache;

typedef enum tgh_cache_status {
    TGH_CACHE_OK = 0,
    TGH_CACHE_BAD_ARGUMENT, /* a layer or expert that does not exist, an empty pool */
    TGH_CACHE_FULL          /* more distinct experts than slots that may be used; no slot changed */
} tgh_cache_status;

/* Expert `expert` of layer `layer` must be copied into slot `slot`, which held what `old_*` say
 * (-1: nothing). Copies of one call go to different slots: their order is free. */
typedef struct tgh_expert_load {
    int32_t slot, layer, expert, old_layer, old_expert;
} tgh_expert_load;

typedef struct tgh_cache_counts {
    int64_t hits, misses, evictions; /* of ensure_resident, by distinct expert of a call */
    int64_t prefetched;              /* loads by prefetch */
    int64_t prefetch_hits;           /* hits that the first use of a prefetched expert was */
    int64_t prefetch_lost;           /* prefetched, evicted before any use */
} tgh_cache_counts;

/* Bytes that an object for this many layers, experts a layer and slots needs, aligned to 8; 0: an
 * extent below 1 or too large. */
TGH_API size_t tgh_expert_cache_bytes(int32_t layers, int32_t experts, int32_t slots);

/* Makes an empty cache in `memory` (aligned to 8); it lives as long as that does, nothing is to be
 * freed. NULL when the extents are bad. */
TGH_API tgh_expert_cache *tgh_expert_cache_init(void *memory, int32_t layers, int32_t experts,
                                                int32_t slots);

/*
 * Gives every one of the n routed ids (-1: nobody) of a layer its slot: out_slot[i], -1 for -1.
 * out_loads, with room for min(n, slots) entries, lists what must be copied before the product
 * runs, in the order in which the experts stand in ids; *out_n_loads their number. All experts of
 * the call are then the most recently used, in that order.
 */
TGH_API tgh_cache_status tgh_expert_cache_ensure_resident(tgh_expert_cache *c, int32_t layer,
                                                          const int32_t *ids, int32_t n,
                                                          int32_t *out_slot,
                                                          tgh_expert_load *out_loads,
                                                          int32_t *out_n_loads);

/*
 * Brings experts that will be wanted (a hash layer's, by token id; a router's look-ahead) as far as
 * there is room: experts of the last ensure_resident, pinned ones and prefetched ones not yet used
 * are not driven out. What is there already becomes recent. Same outputs; never TGH_CACHE_FULL.
 */
TGH_API tgh_cache_status tgh_expert_cache_prefetch(tgh_expert_cache *c, int32_t layer,
                                                   const int32_t *ids, int32_t n,
                                                   tgh_expert_load *out_loads,
                                                   int32_t *out_n_loads);

/* The same for a hash layer: the experts of tokens[0 .. n) by its table [vocabulary, k]. Tokens
 * outside the table have none. */
TGH_API tgh_cache_status tgh_expert_cache_prefetch_hash(tgh_expert_cache *c, int32_t layer,
                                                        const int32_t *tid2eid, int32_t vocabulary,
                                                        int32_t k, const int32_t *tokens, int32_t n,
                                                        tgh_expert_load *out_loads,
                                                        int32_t *out_n_loads);

/* Keeps an expert that is resident where it is, or lets it go again. Pins do not count. Returns
 * false when it is not resident. */
TGH_API bool tgh_expert_cache_pin(tgh_expert_cache *c, int32_t layer, int32_t expert, bool pinned);

/* The slot of an expert, or -1; does not make it recent. */
TGH_API int32_t tgh_expert_cache_slot(const tgh_expert_cache *c, int32_t layer, int32_t expert);

/* The table (layer, expert) -> slot itself, layers x experts, for kernels that look slots up. Valid
 * as long as the object; changes with every call. */
TGH_API const int32_t *tgh_expert_cache_table(const tgh_expert_cache *c);

TGH_API tgh_cache_counts tgh_expert_cache_counts(const tgh_expert_cache *c);

#ifdef __cplusplus
}
#endif
#endif
