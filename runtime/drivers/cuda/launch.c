/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Launches: slots and an empty report go over in one small copy from pinned memory, the grid is cut
 * into slices that the scratch memory suffices for, and the report comes back in another copy. The
 * call returns when the device is done; launches of other queues run on streams of their own.
 */
#include "drivers/cuda/cu.h"

enum { GROUPS_AT_ONCE = 1 << 30, PLAN_LANES = 1 };

typedef cu_launch launch;

static tgr_status check(launch *l, CUresult code) { return tgr_cu_check(l->s, code, l->what); }

/* ---- pieces --------------------------------------------------------------------------------- */

static tgr_status prepare(launch *l) {
    size_t bytes = l->run->n_slots * sizeof *l->run->slots;
    memset(l->lane->host, 0, CU_SLOTS_AT);
    memcpy(l->lane->host + CU_SLOTS_AT, l->run->slots, bytes);
    return check(l, l->s->api->cuMemcpyHtoDAsync_v2(l->lane->launch, l->lane->host,
                                                    CU_SLOTS_AT + bytes, l->lane->stream));
}

/* Whole clusters: the blocks past the last program end at once. */
static uint32_t grid_of(const cu_kernel *k, int64_t programs) {
    uint64_t wide = k->cluster[0], n = (uint64_t)programs;
    return (uint32_t)((n + wide - 1) / wide * wide);
}

static CUresult launch_plain(const launch *l, uint32_t grid, void **parameters) {
    return l->s->api->cuLaunchKernel(l->kernel->function, grid, 1, 1, l->lanes, 1, 1,
                                     l->kernel->dynamic_shared, l->lane->stream, parameters, NULL);
}

static CUresult launch_cluster(const launch *l, uint32_t grid, void **parameters) {
    const uint32_t *c = l->kernel->cluster;
    CUlaunchAttribute shape = {.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION,
                               .value.clusterDim = {c[0], c[1], c[2]}};
    CUlaunchConfig config = {.gridDimX = grid,
                             .gridDimY = c[1],
                             .gridDimZ = c[2],
                             .blockDimX = l->lanes,
                             .blockDimY = 1,
                             .blockDimZ = 1,
                             .sharedMemBytes = l->kernel->dynamic_shared,
                             .hStream = l->lane->stream,
                             .attrs = &shape,
                             .numAttrs = c[0] * c[1] * c[2] > 1};
    return l->s->api->cuLaunchKernelEx(&config, l->kernel->function, parameters, NULL);
}

/* The words of the device's convention (core/simt.h), and the maps. */
static tgr_status enqueue(launch *l, int64_t first, int64_t end, CUdeviceptr scratch) {
    uint64_t words[6] = {l->slots, (uint64_t)first, (uint64_t)end,
                         scratch,  l->report,       l->maps_there};
    void *parameters[6 + TG_SIMT_MAX_MAPS] = {&words[0], &words[1], &words[2],
                                              &words[3], &words[4], &words[5]};
    for (uint32_t i = 0; i < l->n_maps; i++) {
        parameters[6 + i] = &l->maps[i];
    }
    uint32_t grid = grid_of(l->kernel, end - first);
    return check(l, l->s->api->cuLaunchKernelEx ? launch_cluster(l, grid, parameters)
                                                : launch_plain(l, grid, parameters));
}

/* Waits, and leaves report and plan in the host's block. */
static tgr_status finish(launch *l, tgr_status st) {
    if (!st) {
        st = check(l, l->s->api->cuMemcpyDtoHAsync_v2(l->lane->host, l->lane->launch, CU_SLOTS_AT,
                                                      l->lane->stream));
    }
    return tgr_cu_lane_finish(l->s, l->lane, st, l->what);
}

static void read_report(const launch *l, uint32_t report[TGR_SIMT_REPORT_WORDS]) {
    memcpy(report, l->lane->host + CU_REPORT_AT, TGR_SIMT_REPORT_WORDS * sizeof *report);
}

/* ---- launches ------------------------------------------------------------------------------- */

void tgr_cu_launch_begin(cu_launch *l, cu_state *s, cu_lane *lane, const tgr_run *run) {
    *l = (cu_launch){.s = s,
                     .lane = lane,
                     .run = run,
                     .slots = lane->launch + CU_SLOTS_AT,
                     .report = lane->launch + CU_REPORT_AT};
    tgr_text t = {.data = l->what, .size = sizeof l->what};
    tgr_text_add(&t, "kernel `%s`", run->name);
}

tgr_status tgr_cu_launch_programs(cu_launch *l, const tgr_simt_entry *e, int64_t programs) {
    l->kernel = e->driver;
    l->lanes = e->lanes;
    l->n_maps = e->n_maps;
    l->programs = programs;
    l->slice = tgr_simt_slice(&l->s->device->info, e->scratch_bytes, programs, GROUPS_AT_ONCE);
    l->scratch_bytes = (size_t)e->scratch_bytes * (size_t)l->slice;
    if (l->kernel->max_lanes < l->lanes) {
        return tgr_fail(l->s->context, TGR_E_UNSUPPORTED,
                        "kernel `%s` runs %u lanes a program, but its registers suffice for %u",
                        l->run->name, l->lanes, l->kernel->max_lanes);
    }
    return tgr_cu_tensor_maps(l->s, l->run, e, l->maps, &l->maps_there);
}

tgr_status tgr_cu_launch_slices(cu_launch *l, CUdeviceptr scratch) {
    tgr_status st = TGR_OK;
    for (int64_t at = 0; at < l->programs && !st;) {
        int64_t end = l->programs - at < l->slice ? l->programs : at + l->slice;
        st = enqueue(l, at, end, scratch);
        at = end;
    }
    return st;
}

static tgr_status run_plan(launch *l, const tgr_simt_entry *e, int64_t *out_programs) {
    uint32_t report[TGR_SIMT_REPORT_WORDS];
    tg_cpu_plan plan;
    l->kernel = e->driver_plan;
    l->lanes = PLAN_LANES;
    tgr_status st = prepare(l);
    st = st ? st : enqueue(l, 0, 1, l->lane->launch + CU_PLAN_AT);
    st = finish(l, st);
    if (st) {
        return st;
    }
    read_report(l, report);
    memcpy(&plan, l->lane->host + CU_PLAN_AT, sizeof plan);
    return tgr_simt_planned(l->s->context, l->run, &plan, report, out_programs);
}

/* Times between two events of the stream, where the host asks. */
static tgr_status mark(launch *l, CUevent event) {
    return l->run->timed ? check(l, l->s->api->cuEventRecord(event, l->lane->stream)) : TGR_OK;
}

static tgr_status read_time(launch *l, tgr_run *run) {
    float milliseconds = 0;
    tgr_status st =
        l->run->timed
            ? check(l, l->s->api->cuEventElapsedTime(&milliseconds, l->lane->begin, l->lane->end))
            : TGR_OK;
    run->device_ns = (int64_t)((double)milliseconds * 1e6);
    return st;
}

static tgr_status run_slices(launch *l) {
    tgr_status st = tgr_cu_lane_scratch(l->s, l->lane, l->scratch_bytes);
    st = st ? st : prepare(l);
    st = st ? st : mark(l, l->lane->begin);
    st = st ? st : tgr_cu_launch_slices(l, l->lane->scratch);
    st = st ? st : mark(l, l->lane->end);
    return finish(l, st);
}

static tgr_status run_programs(launch *l, const tgr_simt_entry *e, tgr_run *run) {
    uint32_t report[TGR_SIMT_REPORT_WORDS];
    const cu_image *image = run->entry->image;
    tgr_simt_trace(l->s->context, run, e, image->simt.code, image->simt.code_bytes, "");
    tgr_status st = tgr_cu_launch_programs(l, e, run->programs);
    st = st ? st : run_slices(l);
    st = st ? st : read_time(l, run);
    if (st) {
        return st;
    }
    read_report(l, report);
    return tgr_simt_trapped(l->s->context, run, report);
}

static tgr_status run_on(cu_state *s, cu_lane *lane, tgr_run *run) {
    const tgr_simt_entry *e = run->entry->simt;
    launch l;
    int64_t programs = 0;
    tgr_cu_launch_begin(&l, s, lane, run);
    tgr_status st = tgr_simt_admit(s->context, &s->device->info, run, e);
    if (!st) {
        st =
            e->plan ? run_plan(&l, e, &programs) : tgr_simt_programs(s->context, run, e, &programs);
    }
    if (st) {
        return st;
    }
    run->programs = programs;
    return programs > 0 ? run_programs(&l, e, run) : TGR_OK;
}

tgr_status tgr_cu_run(tgr_context *context, void *state, tgr_run *run) {
    cu_state *s = state;
    cu_lane *lane;
    (void)context;
    run->programs = 0;
    tgr_status st = tgr_cu_lane_enter(s, run->name, &lane);
    if (!st) {
        st = run_on(s, lane, run);
        tgr_cu_lane_leave(s, lane);
    }
    return st;
}
