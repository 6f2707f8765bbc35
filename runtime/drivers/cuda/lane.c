/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lanes: a stream, its events, pinned memory and a launch block. They are made when all others are
 * busy and kept until the device is closed, so there are as many as calls ever ran at once.
 */
#include "drivers/cuda/cu.h"

/* A context that cannot become current is gone. */
tgr_status tgr_cu_enter(cu_state *s, const char *what, int *out_before) {
    CUresult code = atomic_load(&s->lost);
    code = code ? code : s->vendor->enter(s, out_before);
    return code ? tgr_cu_lose(s, code, what) : TGR_OK;
}

void tgr_cu_leave(cu_state *s, int before) { s->vendor->leave(s, before); }

/* ---- life ----------------------------------------------------------------------------------- */

static void lane_free(cu_state *s, cu_lane *l) {
    CUevent events[] = {l->begin, l->end, l->copied[0], l->copied[1]};
    if (l->scratch) {
        tgr_cu_put(s, l->stream, l->scratch);
    }
    if (l->launch) {
        tgr_cu_put(s, l->stream, l->launch);
    }
    if (l->host) {
        (void)s->api->cuMemFreeHost(l->host);
    }
    for (size_t i = 0; i < TGR_COUNT_OF(events); i++) {
        if (events[i]) {
            (void)s->api->cuEventDestroy_v2(events[i]);
        }
    }
    if (l->stream) {
        (void)s->api->cuStreamDestroy_v2(l->stream);
    }
    tgr_free(s->context, l, sizeof *l);
}

static CUresult make_parts(const cu_api *api, cu_lane *l) {
    void *host = NULL;
    CUresult code = api->cuStreamCreate(&l->stream, CU_STREAM_NON_BLOCKING);
    code = code ? code : api->cuEventCreate(&l->begin, CU_EVENT_DEFAULT);
    code = code ? code : api->cuEventCreate(&l->end, CU_EVENT_DEFAULT);
    code = code ? code : api->cuEventCreate(&l->copied[0], CU_EVENT_DISABLE_TIMING);
    code = code ? code : api->cuEventCreate(&l->copied[1], CU_EVENT_DISABLE_TIMING);
    code = code ? code
                : api->cuMemHostAlloc(&host, CU_LAUNCH_BYTES + 2 * (size_t)CU_STAGE_BYTES,
                                      CU_MEMHOSTALLOC_PORTABLE);
    l->host = host;
    return code;
}

static tgr_status lane_make(cu_state *s, cu_lane **out) {
    cu_lane *l = tgr_alloc(s->context, sizeof *l);
    if (!l) {
        return tgr_fail(s->context, TGR_E_NOMEM, "out of memory making a stream");
    }
    tgr_status st = tgr_cu_check(s, make_parts(s->api, l), "making a stream");
    st = st ? st : tgr_cu_get(s, l, CU_LAUNCH_BYTES, &l->launch);
    if (st) {
        lane_free(s, l);
        return st;
    }
    *out = l;
    return TGR_OK;
}

void tgr_cu_lanes_free(cu_state *s) {
    while (s->lanes) {
        cu_lane *l = s->lanes;
        s->lanes = l->next;
        lane_free(s, l);
    }
}

/* ---- use ------------------------------------------------------------------------------------ */

tgr_status tgr_cu_lane_enter(cu_state *s, const char *what, cu_lane **out) {
    int before = 0;
    tgr_status st = tgr_cu_enter(s, what, &before);
    if (st) {
        return st;
    }
    pthread_mutex_lock(&s->lock);
    cu_lane *l = s->lanes;
    s->lanes = l ? l->next : NULL;
    pthread_mutex_unlock(&s->lock);
    st = l ? TGR_OK : lane_make(s, &l);
    if (st) {
        tgr_cu_leave(s, before);
        return st;
    }
    l->before = before;
    *out = l;
    return TGR_OK;
}

void tgr_cu_lane_leave(cu_state *s, cu_lane *lane) {
    int before = lane->before;
    pthread_mutex_lock(&s->lock);
    lane->next = s->lanes;
    s->lanes = lane;
    pthread_mutex_unlock(&s->lock);
    tgr_cu_leave(s, before);
}

/* What cannot be waited for may go on using memory and code: then the device is given up. */
tgr_status tgr_cu_lane_finish(cu_state *s, cu_lane *lane, tgr_status st, const char *what) {
    CUresult code = s->api->cuStreamSynchronize(lane->stream);
    return code ? tgr_cu_lose(s, code, what) : st;
}

/* The lane's work is done, so nothing uses what there was. */
tgr_status tgr_cu_lane_scratch(cu_state *s, cu_lane *lane, size_t bytes) {
    if (lane->scratch_bytes >= bytes) {
        return TGR_OK;
    }
    if (lane->scratch) {
        tgr_cu_put(s, lane->stream, lane->scratch);
    }
    lane->scratch = 0;
    lane->scratch_bytes = 0;
    tgr_status st = tgr_cu_get(s, lane, bytes, &lane->scratch);
    lane->scratch_bytes = st ? 0 : bytes;
    return st;
}
