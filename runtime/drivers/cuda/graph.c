/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replay: launches and fills are captured once from a stream into a graph of the vendor's, which
 * then runs without the host between them. Each launch has its slots and its report in memory of
 * the graph; slots are written once, reports are emptied by the graph's first node and read back
 * behind its last. All launches share the scratch of the greediest, as they run one after the
 * other.
 */
#include "drivers/cuda/cu.h"

enum {
    REPORT_BYTES = 64, /* a launch's own lines: the words of a report, and nothing beside them */
    MOST_LAUNCHES = CU_STAGE_BYTES / REPORT_BYTES
};
_Static_assert(TGR_SIMT_REPORT_WORDS * 4 <= REPORT_BYTES, "the report fits its place");

typedef struct graph_launch {
    const char *name;
    const tgr_entry *entry;
} graph_launch;

typedef struct cu_graph {
    CUgraphExec exec;
    CUdeviceptr memory; /* reports, then slots */
    CUdeviceptr scratch;
    pthread_mutex_t turn; /* one run at a time: they share memory */
    uint32_t n;           /* launches */
    graph_launch launches[];
} cu_graph;

static const char making[] = "making a graph", running[] = "a graph";

/* A plan's answer is read by the host; a fill with wide patterns comes from memory of the host's.
 */
static bool takes(const tgr_graph_part *p) {
    if (p->launch) {
        const tgr_simt_entry *e = p->run.entry->simt;
        return !e->plan;
    }
    return p->pattern_bytes < 8 || (uint32_t)p->pattern == (uint32_t)(p->pattern >> 32);
}

bool tgr_cu_graph_takes(void *state, const tgr_graph_part *part) {
    const cu_state *s = state;
    return takes(part) && s->api->cuStreamBeginCapture_v2 && s->api->cuStreamEndCapture &&
           s->api->cuGraphInstantiateWithFlags && s->api->cuGraphLaunch &&
           s->api->cuGraphExecDestroy && s->api->cuGraphDestroy;
}

/* ---- memory --------------------------------------------------------------------------------- */

static size_t reports_bytes(const cu_graph *g) { return (size_t)g->n * REPORT_BYTES; }

/* Slots of all launches one after the other, as they lie behind the reports. */
static size_t gather_slots(const tgr_graph_part *parts, uint32_t n, int64_t *out) {
    size_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (parts[i].launch) {
            if (out) {
                memcpy(out + at, parts[i].run.slots, parts[i].run.n_slots * sizeof *out);
            }
            at += parts[i].run.n_slots;
        }
    }
    return at * sizeof *out;
}

static tgr_status upload(cu_state *s, cu_lane *l, const cu_graph *g, const tgr_graph_part *parts,
                         uint32_t n) {
    size_t bytes = gather_slots(parts, n, NULL);
    int64_t *slots = tgr_alloc_raw(s->context, bytes);
    if (!slots) {
        return tgr_fail(s->context, TGR_E_NOMEM, "out of memory making a graph");
    }
    (void)gather_slots(parts, n, slots);
    tgr_status st = tgr_cu_check(
        s, s->api->cuMemcpyHtoDAsync_v2(g->memory + reports_bytes(g), slots, bytes, l->stream),
        making);
    st = tgr_cu_lane_finish(s, l, st, making);
    tgr_free(s->context, slots, bytes);
    return st;
}

/* ---- capture -------------------------------------------------------------------------------- */

typedef struct capture {
    cu_state *s;
    cu_lane *lane;
    cu_graph *graph;
    const tgr_graph_part *parts;
    uint32_t n_parts;
} capture;

/* Programs, maps and scratch of part i's launch, whose words are at `slots`. */
static tgr_status look(const capture *c, uint32_t i, cu_launch *l) {
    const tgr_run *run = &c->parts[i].run;
    const tgr_simt_entry *e = run->entry->simt;
    int64_t programs = 0;
    tgr_cu_launch_begin(l, c->s, c->lane, run);
    tgr_status st = tgr_simt_admit(c->s->context, &c->s->device->info, run, e);
    st = st ? st : tgr_simt_programs(c->s->context, run, e, &programs);
    return st || programs == 0 ? st : tgr_cu_launch_programs(l, e, programs);
}

static tgr_status make_scratch(const capture *c) {
    size_t most = 0;
    for (uint32_t i = 0; i < c->n_parts; i++) {
        cu_launch l;
        tgr_status st = c->parts[i].launch ? look(c, i, &l) : TGR_OK;
        if (st) {
            return st;
        }
        most = c->parts[i].launch && l.scratch_bytes > most ? l.scratch_bytes : most;
    }
    return most > 0 ? tgr_cu_get(c->s, c->lane, most, &c->graph->scratch) : TGR_OK;
}

static tgr_status put_parts(const capture *c) {
    CUdeviceptr report = c->graph->memory, slots = report + reports_bytes(c->graph);
    tgr_status st = tgr_cu_check(
        c->s, tgr_cu_enqueue_fill(c->s->api, c->lane, report, reports_bytes(c->graph), 0, 1),
        making);
    for (uint32_t i = 0; i < c->n_parts && !st; i++) {
        const tgr_graph_part *p = &c->parts[i];
        if (!p->launch) {
            CUdeviceptr to = (CUdeviceptr)(uintptr_t)p->to;
            st = tgr_cu_check(
                c->s,
                tgr_cu_enqueue_fill(c->s->api, c->lane, to, p->bytes, p->pattern, p->pattern_bytes),
                "filling");
            continue;
        }
        cu_launch l;
        st = look(c, i, &l);
        l.slots = slots;
        l.report = report;
        st = st ? st : tgr_cu_launch_slices(&l, c->graph->scratch);
        slots += p->run.n_slots * sizeof *p->run.slots;
        report += REPORT_BYTES;
    }
    return st;
}

/* A capture that has begun is ended, whatever came between. */
static tgr_status record(const capture *c) {
    const cu_api *api = c->s->api;
    CUgraph graph = NULL;
    CUstream stream = c->lane->stream;
    CUresult code = api->cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
    if (code) {
        return tgr_cu_fail(c->s, code, making);
    }
    tgr_status st = put_parts(c);
    code = api->cuStreamEndCapture(stream, &graph);
    st = st ? st : tgr_cu_check(c->s, code, making);
    if (!st) {
        st =
            tgr_cu_check(c->s, api->cuGraphInstantiateWithFlags(&c->graph->exec, graph, 0), making);
    }
    if (graph) {
        (void)api->cuGraphDestroy(graph);
    }
    return st;
}

/* ---- life ----------------------------------------------------------------------------------- */

static void graph_drop(cu_state *s, cu_lane *l, cu_graph *g) {
    if (g->exec) {
        (void)s->api->cuGraphExecDestroy(g->exec);
    }
    if (g->scratch) {
        tgr_cu_put(s, l->stream, g->scratch);
    }
    if (g->memory) {
        tgr_cu_put(s, l->stream, g->memory);
    }
}

static void graph_free_host(cu_state *s, cu_graph *g) {
    pthread_mutex_destroy(&g->turn);
    tgr_free(s->context, g, sizeof *g + g->n * sizeof *g->launches);
}

static tgr_status graph_alloc(cu_state *s, const tgr_graph_part *parts, uint32_t n_parts,
                              cu_graph **out) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < n_parts; i++) {
        n += parts[i].launch;
    }
    if (n > MOST_LAUNCHES) {
        return tgr_fail(s->context, TGR_E_UNSUPPORTED, "a graph of %u launches; at most %d", n,
                        (int)MOST_LAUNCHES);
    }
    cu_graph *g = tgr_alloc(s->context, sizeof *g + n * sizeof *g->launches);
    if (!g || pthread_mutex_init(&g->turn, NULL) != 0) {
        tgr_free(s->context, g, g ? sizeof *g + n * sizeof *g->launches : 0);
        return tgr_fail(s->context, TGR_E_NOMEM, "out of memory making a graph");
    }
    for (uint32_t i = 0; i < n_parts; i++) {
        if (parts[i].launch) {
            g->launches[g->n++] =
                (graph_launch){.name = parts[i].run.name, .entry = parts[i].run.entry};
        }
    }
    *out = g;
    return TGR_OK;
}

tgr_status tgr_cu_graph_make(tgr_context *context, void *state, const tgr_graph_part *parts,
                             uint32_t n_parts, void **out_graph) {
    capture c = {.s = state, .parts = parts, .n_parts = n_parts};
    (void)context;
    *out_graph = NULL;
    tgr_status st = graph_alloc(c.s, parts, n_parts, &c.graph);
    if (st) {
        return st;
    }
    st = tgr_cu_lane_enter(c.s, making, &c.lane);
    if (st) {
        graph_free_host(c.s, c.graph);
        return st;
    }
    size_t bytes = reports_bytes(c.graph) + gather_slots(parts, n_parts, NULL);
    st = tgr_cu_get(c.s, c.lane, bytes, &c.graph->memory);
    st = st ? st : upload(c.s, c.lane, c.graph, parts, n_parts);
    st = st ? st : make_scratch(&c);
    st = st ? st : record(&c);
    st = tgr_cu_lane_finish(c.s, c.lane, st, making);
    if (st) {
        graph_drop(c.s, c.lane, c.graph);
        graph_free_host(c.s, c.graph);
    } else {
        *out_graph = c.graph;
    }
    tgr_cu_lane_leave(c.s, c.lane);
    return st;
}

/* Of a device that is lost only what is the host's. */
void tgr_cu_graph_free(tgr_context *context, void *state, void *graph) {
    cu_state *s = state;
    cu_lane *l;
    (void)context;
    if (tgr_cu_lane_enter(s, "giving back a graph", &l) == TGR_OK) {
        graph_drop(s, l, graph);
        tgr_cu_lane_leave(s, l);
    }
    graph_free_host(s, graph);
}

/* ---- replay --------------------------------------------------------------------------------- */

static tgr_status read_reports(cu_state *s, const cu_lane *l, const cu_graph *g) {
    tgr_status st = TGR_OK;
    for (uint32_t i = 0; i < g->n && !st; i++) {
        uint32_t report[TGR_SIMT_REPORT_WORDS];
        tgr_run run = {.name = g->launches[i].name, .entry = g->launches[i].entry};
        memcpy(report, cu_stage(l, 0) + (size_t)i * REPORT_BYTES, sizeof report);
        st = tgr_simt_trapped(s->context, &run, report);
    }
    return st;
}

tgr_status tgr_cu_graph_run(tgr_context *context, void *state, void *graph) {
    cu_state *s = state;
    cu_graph *g = graph;
    cu_lane *l;
    (void)context;
    tgr_status st = tgr_cu_lane_enter(s, running, &l);
    if (st) {
        return st;
    }
    pthread_mutex_lock(&g->turn);
    st = tgr_cu_check(s, s->api->cuGraphLaunch(g->exec, l->stream), running);
    if (!st) {
        st = tgr_cu_check(
            s, s->api->cuMemcpyDtoHAsync_v2(cu_stage(l, 0), g->memory, reports_bytes(g), l->stream),
            running);
    }
    st = tgr_cu_lane_finish(s, l, st, running);
    pthread_mutex_unlock(&g->turn);
    st = st ? st : read_reports(s, l, g);
    tgr_cu_lane_leave(s, l);
    return st;
}
