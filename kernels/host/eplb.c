/* SPDX-License-Identifier: Apache-2.0 */
/* Expert-parallel load balancing: see tegula/eplb.h. */
#include <tegula/eplb.h>

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* Item numbers by falling weight, equal weights by number: insertion, for n is some hundreds. */
static void order_by_weight(const double *weight, int32_t n, int32_t *order) {
    for (int32_t i = 0; i < n; i++) {
        int32_t at = i;
        while (at > 0 && weight[order[at - 1]] < weight[i]) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = i;
    }
}

tgh_eplb_status tgh_eplb_pack(const double *weight, int32_t n, int32_t packs, void *workspace,
                              int32_t *out_pack, int32_t *out_rank) {
    if (n < 1 || packs < 1 || n % packs != 0) {
        return TGH_EPLB_BAD_SHAPE;
    }
    if (n == packs) {
        for (int32_t i = 0; i < n; i++) {
            out_pack[i] = i;
            out_rank[i] = 0;
        }
        return TGH_EPLB_OK;
    }
    double *sum = workspace;
    int32_t *count = (int32_t *)(void *)(sum + packs), *order = count + packs;
    for (int32_t p = 0; p < packs; p++) {
        sum[p] = 0;
        count[p] = 0;
    }
    order_by_weight(weight, n, order);
    for (int32_t j = 0; j < n; j++) {
        int32_t best = -1, item = order[j];
        for (int32_t p = 0; p < packs; p++) {
            if (count[p] < n / packs && (best < 0 || sum[p] < sum[best])) {
                best = p;
            }
        }
        out_pack[item] = best;
        out_rank[item] = count[best]++;
        sum[best] += weight[item];
    }
    return TGH_EPLB_OK;
}

tgh_eplb_status tgh_eplb_replicate(const double *weight, int32_t n, int32_t slots,
                                   int32_t *out_expert, int32_t *out_copy, int32_t *out_copies) {
    if (n < 1 || slots < n) {
        return TGH_EPLB_BAD_SHAPE;
    }
    for (int32_t i = 0; i < n; i++) {
        out_expert[i] = i;
        out_copy[i] = 0;
        out_copies[i] = 1;
    }
    for (int32_t s = n; s < slots; s++) {
        int32_t best = 0;
        for (int32_t i = 1; i < n; i++) {
            if (weight[i] / out_copies[i] > weight[best] / out_copies[best]) {
                best = i;
            }
        }
        out_expert[s] = best;
        out_copy[s] = out_copies[best]++;
    }
    return TGH_EPLB_OK;
}

static bool shape_ok(const tgh_eplb_shape *s) {
    return s->experts >= 1 && s->groups >= 1 && s->nodes >= 1 && s->devices >= 1 &&
           s->slots >= s->experts && s->experts % s->groups == 0 && s->slots % s->devices == 0 &&
           s->devices % s->nodes == 0 &&
           (s->groups % s->nodes != 0 || (s->slots % s->nodes == 0 && s->experts % s->nodes == 0));
}

size_t tgh_eplb_workspace(const tgh_eplb_shape *s) {
    if (!shape_ok(s)) {
        return 0;
    }
    /* Doubles: group and node weights, slot weights, packs' sums. Integers: the maps of a layer,
     * and the packing's own. */
    size_t doubles = 2 * (size_t)s->experts + 2 * (size_t)s->slots + 2 * (size_t)s->devices;
    size_t ints = 6 * (size_t)s->experts + 6 * (size_t)s->slots + 2 * (size_t)s->devices;
    return 8 * doubles + 4 * ints;
}

/* One layer's work: sizes a node, and arrays cut from the workspace. */
typedef struct plan {
    int32_t experts, slots, groups, nodes, devices;
    double *group_load, *load, *slot_load; /* per group; of a node's experts; of a node's slots */
    int32_t *pack, *rank, *by_node;  /* of groups, of slots; logical experts in order of nodes */
    int32_t *expert, *copy, *copies; /* of a node's slots and experts */
    void *scratch;
} plan;

static plan plan_of(const tgh_eplb_shape *s, void *workspace) {
    plan p = {.experts = s->experts,
              .slots = s->slots,
              .groups = s->groups,
              .nodes = s->nodes,
              .devices = s->devices};
    if (p.groups % p.nodes != 0) {
        p.groups = 1;
        p.nodes = 1;
    }
    p.group_load = workspace;
    p.load = p.group_load + p.experts;
    p.slot_load = p.load + p.experts;
    p.pack = (int32_t *)(void *)(p.slot_load + p.slots);
    p.rank = p.pack + p.slots;
    p.by_node = p.rank + p.slots;
    p.expert = p.by_node + p.experts;
    p.copy = p.expert + p.slots;
    p.copies = p.copy + p.slots;
    size_t used = (size_t)((unsigned char *)(p.copies + p.experts) - (unsigned char *)workspace);
    p.scratch = (unsigned char *)workspace + (used + 7) / 8 * 8;
    return p;
}

/* Groups to nodes: by_node lists the experts node by node, group by group. */
static void assign_groups(const plan *p, const double *load) {
    int32_t size = p->experts / p->groups, per_node = p->groups / p->nodes;
    for (int32_t g = 0; g < p->groups; g++) {
        p->group_load[g] = 0;
        for (int32_t i = 0; i < size; i++) {
            p->group_load[g] += load[g * size + i];
        }
    }
    (void)tgh_eplb_pack(p->group_load, p->groups, p->nodes, p->scratch, p->pack, p->rank);
    for (int32_t e = 0; e < p->experts; e++) {
        int32_t g = e / size;
        p->by_node[(p->pack[g] * per_node + p->rank[g]) * size + e % size] = e;
    }
}

/* Replicas inside node `node`, and those to its devices. */
static void fill_node(const plan *p, int32_t node, const double *load, int32_t *out_expert,
                      int32_t *out_copy, int32_t *out_copies) {
    int32_t n = p->experts / p->nodes, slots = p->slots / p->nodes, devices = p->devices / p->nodes,
            per_device = slots / devices;
    const int32_t *mine = p->by_node + node * n;
    for (int32_t i = 0; i < n; i++) {
        p->load[i] = load[mine[i]];
    }
    (void)tgh_eplb_replicate(p->load, n, slots, p->expert, p->copy, p->copies);
    for (int32_t s = 0; s < slots; s++) {
        p->slot_load[s] = p->load[p->expert[s]] / p->copies[p->expert[s]];
    }
    (void)tgh_eplb_pack(p->slot_load, slots, devices, p->scratch, p->pack, p->rank);
    for (int32_t s = 0; s < slots; s++) {
        int32_t at = node * slots + p->pack[s] * per_device + p->rank[s];
        out_expert[at] = mine[p->expert[s]];
        if (out_copy != NULL) {
            out_copy[at] = p->copy[s];
        }
    }
    for (int32_t i = 0; i < n; i++) {
        out_copies[mine[i]] = p->copies[i];
    }
}

tgh_eplb_status tgh_eplb_rebalance(const tgh_eplb_shape *shape, int32_t layers, const double *load,
                                   void *workspace, int32_t *out_slot_expert,
                                   int32_t *out_slot_copy, int32_t *out_copies) {
    if (!shape_ok(shape) || layers < 0) {
        return TGH_EPLB_BAD_SHAPE;
    }
    for (int64_t i = 0; i < (int64_t)layers * shape->experts; i++) {
        if (!(load[i] >= 0) || isinf(load[i])) {
            return TGH_EPLB_BAD_SHAPE;
        }
    }
    plan p = plan_of(shape, workspace);
    for (int64_t l = 0; l < layers; l++) {
        const double *of_layer = load + l * p.experts;
        assign_groups(&p, of_layer);
        for (int32_t node = 0; node < p.nodes; node++) {
            fill_node(&p, node, of_layer, out_slot_expert + l * p.slots,
                      out_slot_copy == NULL ? NULL : out_slot_copy + l * p.slots,
                      out_copies + l * p.experts);
        }
    }
    return TGH_EPLB_OK;
}

void tgh_eplb_replicas(const tgh_eplb_shape *shape, const int32_t *slot_expert,
                       const int32_t *slot_copy, int32_t width, int32_t *out_replica) {
    for (int64_t i = 0; i < (int64_t)shape->experts * width; i++) {
        out_replica[i] = -1;
    }
    for (int32_t s = 0; s < shape->slots; s++) {
        if (slot_copy[s] < width) {
            out_replica[(int64_t)slot_expert[s] * width + slot_copy[s]] = s;
        }
    }
}
