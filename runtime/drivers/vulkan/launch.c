/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One launch: report and slots written to a small host-visible buffer whose address the entry gets,
 * then as many dispatches as the device's limits and the scratch memory ask for. Programs are
 * numbered from `first` along x, then y; groups beyond `end` do nothing.
 */
#include <string.h>

#include "core/simt.h"
#include "drivers/vulkan/vk.h"

/* The launch buffer: report, what a plan entry writes, slots. */
enum { PLAN_AT = 64, SLOTS_AT = 128, SPARE_BYTES = 4096 };
_Static_assert(sizeof(tg_cpu_plan) <= SLOTS_AT - PLAN_AT, "the plan fits its place");

/* Groups of one dispatch: x times y, which launches fold into. */
static int64_t slice_programs(const tgr_vk *vk, const tgr_vk_dispatch *d) {
    uint64_t most = (uint64_t)vk->abilities->max_groups[0] * vk->abilities->max_groups[1];
    return tgr_simt_slice(&vk->info, d->scratch_bytes, d->programs,
                          most < INT64_MAX ? (int64_t)most : INT64_MAX);
}

static tgr_status prepare(tgr_vk *vk, const tgr_vk_dispatch *d, uint64_t slice) {
    uint64_t slot_bytes = d->n_slots * sizeof d->slots[0], scratch = 0;
    tgr_status st = tgr_vk_buffer_grow(vk, &vk->launch, SLOTS_AT + slot_bytes + SPARE_BYTES, true);
    if (st) {
        return st;
    }
    if (__builtin_mul_overflow(slice, d->scratch_bytes, &scratch)) {
        return tgr_vk_fail(vk, VK_ERROR_OUT_OF_DEVICE_MEMORY, "making scratch memory");
    }
    if (scratch > 0) {
        st = tgr_vk_buffer_grow(vk, &vk->scratch, scratch, false);
    }
    memset(vk->launch->host, 0, SLOTS_AT);
    memcpy((char *)vk->launch->host + SLOTS_AT, d->slots, slot_bytes);
    return st;
}

static void record_slice(tgr_vk *vk, uint64_t first, uint64_t n, const tgr_vk_dispatch *d) {
    tgr_vk_push push = {.slots = vk->launch->address + SLOTS_AT,
                        .first = first,
                        .end = first + n,
                        .scratch = d->out_plan            ? vk->launch->address + PLAN_AT
                                   : d->scratch_bytes > 0 ? vk->scratch->address
                                                          : 0,
                        .report = vk->launch->address};
    uint64_t wide = vk->abilities->max_groups[0];
    uint32_t x = (uint32_t)(n < wide ? n : wide), y = (uint32_t)((n + x - 1) / x);
    tgr_vk_barrier(vk); /* behind the host's writes, and the slice before it: one scratch */
    vk->api.CmdPushConstants(vk->commands, vk->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof push,
                             &push);
    vk->api.CmdDispatch(vk->commands, x, y, 1);
}

static tgr_status run(tgr_vk *vk, const tgr_vk_dispatch *d) {
    uint64_t slice = (uint64_t)slice_programs(vk, d), n = (uint64_t)d->programs;
    tgr_status st = prepare(vk, d, slice);
    st = st ? st : tgr_vk_begin(vk);
    if (st) {
        return st;
    }
    vk->api.CmdBindPipeline(vk->commands, VK_PIPELINE_BIND_POINT_COMPUTE, d->pipeline);
    for (uint64_t first = 0; first < n; first += slice) {
        record_slice(vk, first, n - first < slice ? n - first : slice, d);
    }
    return tgr_vk_submit(vk, "running a kernel");
}

tgr_status tgr_vk_dispatch_run(tgr_vk *vk, const tgr_vk_dispatch *d, uint32_t report[4]) {
    memset(report, 0, 4 * sizeof report[0]);
    if (d->programs <= 0) {
        return TGR_OK;
    }
    pthread_mutex_lock(&vk->lock);
    tgr_status st = run(vk, d);
    if (!st) {
        memcpy(report, vk->launch->host, 4 * sizeof report[0]);
        if (d->out_plan) {
            memcpy(d->out_plan, (char *)vk->launch->host + PLAN_AT, sizeof *d->out_plan);
        }
    }
    pthread_mutex_unlock(&vk->lock);
    return st;
}
