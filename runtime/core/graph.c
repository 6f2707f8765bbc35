/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Captured graphs: the commands of a capture in their order. Where the driver replays launches by
 * itself, each run of neighbouring launches becomes one object of the device; what it cannot take
 * (data facts, plans, copies, events) stays a command between them.
 */
#include "internal.h"

typedef struct graph_memory {
    struct graph_memory *next;
    tgr_buffer *buffer;
} graph_memory;

struct tgr_graph {
    atomic_int refs;
    tgr_device *device;
    tgr_graph_node *first, **last;
    graph_memory *memory;
    int32_t n;
};

void tgr_command_retain(const tgr_command *c) {
    if (c->kernel) {
        tgr_module_retain(c->kernel->module);
    }
    if (c->keep) {
        tgr_buffer_retain(c->keep);
    }
    if (c->event) {
        tgr_event_retain(c->event);
    }
    if (c->graph) {
        atomic_fetch_add(&c->graph->refs, 1);
    }
}

void tgr_command_release(const tgr_command *c) {
    if (c->kernel) {
        tgr_module_release(c->kernel->module);
    }
    tgr_buffer_release(c->keep);
    tgr_event_release(c->event);
    tgr_graph_release(c->graph);
}

/* ---- building ------------------------------------------------------------------------------- */

tgr_status tgr_graph_make(tgr_device *device, tgr_graph **out) {
    tgr_graph *g = tgr_alloc(device->context, sizeof *g);
    if (!g) {
        return tgr_fail(device->context, TGR_E_NOMEM, "out of memory starting a capture");
    }
    atomic_init(&g->refs, 1);
    g->device = device;
    g->last = &g->first;
    tgr_device_retain(device);
    *out = g;
    return TGR_OK;
}

tgr_device *tgr_graph_device(const tgr_graph *graph) { return graph->device; }
const tgr_graph_node *tgr_graph_first(const tgr_graph *graph) { return graph->first; }
int32_t tgr_graph_size(const tgr_graph *graph) { return graph->n; }

tgr_status tgr_graph_put(tgr_graph *graph, const tgr_command *c, const int64_t *slots) {
    tgr_context *context = graph->device->context;
    size_t n = c->kernel ? c->kernel->n_slots : 0;
    tgr_graph_node *node = tgr_alloc(context, sizeof *node + n * sizeof *slots);
    if (!node) {
        return tgr_fail(context, TGR_E_NOMEM, "out of memory capturing a launch");
    }
    node->command = *c;
    if (n) {
        memcpy(node->slots, slots, n * sizeof *slots);
    }
    tgr_command_retain(c);
    *graph->last = node;
    graph->last = &node->next;
    graph->n++;
    return TGR_OK;
}

tgr_status tgr_graph_workspace(tgr_graph *graph, size_t bytes, tgr_buffer **out) {
    tgr_context *context = graph->device->context;
    graph_memory *m = tgr_alloc(context, sizeof *m);
    if (!m) {
        return tgr_fail(context, TGR_E_NOMEM, "out of memory capturing an op");
    }
    tgr_status st = tgr_buffer_create(graph->device, bytes, 0, &m->buffer);
    if (st) {
        tgr_free(context, m, sizeof *m);
        return st;
    }
    m->next = graph->memory;
    graph->memory = m;
    *out = m->buffer;
    return TGR_OK;
}

/* ---- objects of the device ------------------------------------------------------------------ */

typedef struct parts {
    tgr_graph_part *data; /* NULL: only counted */
    uint32_t n;
} parts;

static bool part_add(const tgr_device *d, parts *p, tgr_graph_part part) {
    if (!d->driver->graph_takes(d->state, &part)) {
        return false;
    }
    if (p->data) {
        p->data[p->n] = part;
    }
    p->n++;
    return true;
}

/* Adds the fills and the launch of a command; false, with nothing added, when the device cannot
 * replay them. */
static bool take(const tgr_device *d, const tgr_graph_node *node, parts *p) {
    const tgr_command *c = &node->command;
    if (c->kind != TGR_CMD_RUN || c->checked) {
        return false;
    }
    uint32_t before = p->n;
    bool ok = true;
    for (uint32_t i = 0; i < c->kernel->n_params && ok; i++) {
        const tgr_param *param = &c->kernel->params[i];
        if (param->flags & TG_PARAM_INIT) {
            tgr_graph_part fill;
            tgr_fill f = tgr_fill_of(param, node->slots);
            ok = tgr_fill_plain(&f, &fill) && (fill.bytes == 0 || part_add(d, p, fill));
        }
    }
    tgr_graph_part launch = {.launch = true,
                             .run = {.name = c->kernel->name,
                                     .entry = &c->variant->entry,
                                     .slots = node->slots,
                                     .n_slots = c->kernel->n_slots}};
    ok = ok && part_add(d, p, launch);
    p->n = ok ? p->n : before;
    return ok;
}

/* How many nodes from here the device replays as one, and their parts. */
static int32_t take_all(const tgr_device *d, const tgr_graph_node *from, int32_t most, parts *p) {
    int32_t n = 0;
    for (const tgr_graph_node *at = from; at && n < most && take(d, at, p); at = at->next) {
        n++;
    }
    return n;
}

/* A device that cannot after all (TGR_E_UNSUPPORTED, no memory for it) replays command by command.
 */
static tgr_status settle_from(tgr_device *d, tgr_graph_node *node, int32_t nodes, uint32_t n) {
    parts p = {.data = tgr_alloc(d->context, n * sizeof *p.data)};
    if (!p.data) {
        return TGR_OK;
    }
    (void)take_all(d, node, nodes, &p);
    tgr_status st = d->driver->graph_make(d->context, d->state, p.data, p.n, &node->replay);
    tgr_free(d->context, p.data, n * sizeof *p.data);
    node->replayed = node->replay ? nodes : 0;
    return st == TGR_E_LOST ? st : TGR_OK;
}

tgr_status tgr_graph_settle(tgr_graph *graph) {
    tgr_device *d = graph->device;
    tgr_status st = TGR_OK;
    if (!d->driver->graph_make) {
        return TGR_OK;
    }
    for (tgr_graph_node *at = graph->first; at && !st;) {
        parts counted = {0};
        int32_t n = take_all(d, at, INT32_MAX, &counted);
        if (n > 0) {
            st = settle_from(d, at, n, counted.n);
        }
        for (int32_t i = 0; at && i < (n > 0 ? n : 1); i++) {
            at = at->next;
        }
    }
    return st;
}

tgr_status tgr_graph_replay(tgr_graph *graph, const tgr_graph_node *node,
                            const tgr_graph_node **out_next) {
    tgr_device *d = graph->device;
    const tgr_graph_node *after = node;
    for (int32_t i = 0; i < node->replayed; i++) {
        after = after->next;
    }
    *out_next = after;
    return d->driver->graph_run(d->context, d->state, node->replay);
}

/* ---- life ----------------------------------------------------------------------------------- */

void tgr_graph_release(tgr_graph *graph) {
    if (!graph || atomic_fetch_sub(&graph->refs, 1) != 1) {
        return;
    }
    tgr_device *device = graph->device;
    tgr_context *context = device->context;
    while (graph->first) {
        tgr_graph_node *n = graph->first;
        graph->first = n->next;
        size_t slots = n->command.kernel ? n->command.kernel->n_slots : 0;
        if (n->replay) {
            device->driver->graph_free(context, device->state, n->replay);
        }
        tgr_command_release(&n->command);
        tgr_free(context, n, sizeof *n + slots * sizeof(int64_t));
    }
    while (graph->memory) {
        graph_memory *m = graph->memory;
        graph->memory = m->next;
        tgr_buffer_release(m->buffer);
        tgr_free(context, m, sizeof *m);
    }
    tgr_free(context, graph, sizeof *graph);
    tgr_device_release(device);
}
