/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expert-parallel load balancing: which physical expert slot holds which logical expert, so that
 * every device gets about the same load (moe.md section 5). Busy experts get replicas; groups of
 * experts stay on one node where they can. Deterministic: every tie goes to the smaller index.
 * Thread-safe; memory only from the caller.
 */
#ifndef TEGULA_EPLB_H
#define TEGULA_EPLB_H

#include <tegula/kernels.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tgh_eplb_status {
    TGH_EPLB_OK = 0,
    TGH_EPLB_BAD_SHAPE /* an extent below 1, a division with a remainder, fewer slots than experts,
                          or a load that is negative or not a number */
} tgh_eplb_status;

/* What is balanced: one layer's experts over devices. */
typedef struct tgh_eplb_shape {
    int32_t experts; /* logical; a multiple of groups */
    int32_t slots;   /* physical, at least experts; a multiple of devices */
    int32_t groups;  /* of experts that should share a node */
    int32_t nodes;
    int32_t devices; /* of all nodes; a multiple of nodes */
} tgh_eplb_shape;

/* Bytes of workspace for tgh_eplb_rebalance and the functions below; 0: the shape is bad. */
TGH_API size_t tgh_eplb_workspace(const tgh_eplb_shape *shape);

/*
 * Places the experts of `layers` layers. load: layers x experts, what each expert had to do.
 * Hierarchical when groups % nodes == 0 (groups to nodes, replicas inside a node, replicas to its
 * devices), else global, as one group on one node.
 *   out_slot_expert: layers x slots, the logical expert of every slot; a device has slots / devices
 *                    slots in a row
 *   out_slot_copy:   layers x slots, which replica of it, from 0; may be NULL
 *   out_copies:      layers x experts, how many replicas
 */
TGH_API tgh_eplb_status tgh_eplb_rebalance(const tgh_eplb_shape *shape, int32_t layers,
                                           const double *load, void *workspace,
                                           int32_t *out_slot_expert, int32_t *out_slot_copy,
                                           int32_t *out_copies);

/*
 * The reverse map, as gate_route takes it: out_replica[expert * width + copy] is a slot, -1 where
 * there is no such copy. Copies of `width` and above are left out: take the greatest of copies.
 */
TGH_API void tgh_eplb_replicas(const tgh_eplb_shape *shape, const int32_t *slot_expert,
                               const int32_t *slot_copy, int32_t width, int32_t *out_replica);

/*
 * The steps. Packing: n items to `packs` packs of n / packs each, heaviest first, each to the
 * lightest pack with room; one item a pack: the identity. out_pack, out_rank: n each, where an item
 * went and its place there. workspace: 12 n + 16 packs bytes, aligned to 8.
 */
TGH_API tgh_eplb_status tgh_eplb_pack(const double *weight, int32_t n, int32_t packs,
                                      void *workspace, int32_t *out_pack, int32_t *out_rank);

/* Replication: n experts to `slots` slots; the first n hold one each, every further one goes to the
 * expert with the greatest load a copy. out_expert, out_copy: slots each; out_copies: n. */
TGH_API tgh_eplb_status tgh_eplb_replicate(const double *weight, int32_t n, int32_t slots,
                                           int32_t *out_expert, int32_t *out_copy,
                                           int32_t *out_copies);

#ifdef __cplusplus
}
#endif
#endif
