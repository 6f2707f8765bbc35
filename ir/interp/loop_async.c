/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asynchronous copies in the loop interpreter: the bytes are read where the copy starts and lie in
 * shared memory, undefined, until the lane has waited for their group. Who reads them earlier finds
 * what nobody wrote. A program that ends before they have landed leaves them to write memory that
 * may be another's by then: that is told, too.
 */
#include <string.h>

#include "ir/interp/loop_internal.h"

static void start(tg_li_run *r, const tg_li_ins *i, int lane) {
    tg_li_lane *l = &r->lanes[lane];
    const tg_li_array *a = &r->code->arrays.data[i->arg[0]];
    tg_li_flight f = {
        .op = i->op, .bytes = tg_attr_int(i->op, TG_ATTR_BYTES, 0), .group = l->groups};
    uint64_t addr = l->cells[i->arg[2]];
    int64_t index = (int64_t)l->cells[i->arg[1]];
    if (!tg_li_is_defined(r, i, lane, i->arg[1], "the index") ||
        !tg_li_is_defined(r, i, lane, i->arg[2], "the address")) {
        return;
    }
    f.at = a->offset + index * a->elem_bytes;
    if (index < 0 || (index + f.bytes / a->elem_bytes) > a->count) {
        tg_li_report(r, TG_LOOP_BOUNDS, i->op, lane, "%lld bytes from element %lld of %lld",
                     (long long)f.bytes, (long long)index, (long long)a->count);
        return;
    }
    if (addr % (uint64_t)f.bytes != 0 || f.at % f.bytes != 0) {
        tg_li_report(r, TG_LOOP_ALIGN, i->op, lane, "%lld bytes that are not aligned to it",
                     (long long)f.bytes);
    }
    tg_li_space *s = tg_li_find(r, i, lane, addr, f.bytes, false);
    if (s == NULL) {
        return;
    }
    int64_t from = (int64_t)(addr - (uint64_t)(uintptr_t)s->base);
    tg_li_trace_access(r, i, lane, true, addr, f.bytes);
    f.undefined = tg_li_touch(r, s, i, lane, from, f.bytes, LI_READ, NULL, false);
    memcpy(f.data, s->base + from, (size_t)f.bytes);
    (void)tg_li_touch(r, &r->shared, i, lane, f.at, f.bytes, LI_WRITE, f.data, true);
    TG_LIST_PUSH(r->arena, &l->flights, f);
}

/* Those that arrival number `arrival` waits for; 0: those of groups before `group`. */
static void land(tg_li_run *r, const tg_li_ins *i, int lane, int64_t arrival, int64_t group) {
    tg_li_lane *l = &r->lanes[lane];
    size_t left = 0;
    for (size_t k = 0; k < l->flights.count; k++) {
        const tg_li_flight *f = &l->flights.data[k];
        if (arrival != 0 ? f->arrival != arrival : f->group >= group) {
            l->flights.data[left++] = *f;
            continue;
        }
        memcpy(r->shared.base + f->at, f->data, (size_t)f->bytes);
        (void)tg_li_touch(r, &r->shared, i, lane, f->at, f->bytes, LI_WRITE, f->data, f->undefined);
    }
    l->flights.count = left;
}

void tg_li_async(tg_li_run *r, const tg_li_ins *i, int lane) {
    switch ((int)i->code) {
    case TG_OP_ACOPY:
        start(r, i, lane);
        return;
    case TG_OP_AGROUP:
        r->lanes[lane].groups++;
        return;
    case TG_OP_ALAND:
        land(r, i, lane, 0, r->lanes[lane].groups - tg_attr_int(i->op, TG_ATTR_N, 0));
        return;
    }
}

void tg_li_land_arrival(tg_li_run *r, const tg_li_ins *i, int lane, int64_t arrival) {
    land(r, i, lane, arrival, 0);
}

void tg_li_report_unawaited(tg_li_run *r) {
    for (int lane = 0; lane < r->n_lanes; lane++) {
        const tg_li_lane *l = &r->lanes[lane];
        for (size_t k = 0; k < l->flights.count; k++) {
            tg_li_report(r, TG_LOOP_UNAWAITED, l->flights.data[k].op, lane,
                         "%lld bytes are still being copied when the program ends",
                         (long long)l->flights.data[k].bytes);
        }
    }
    for (size_t k = 0; k < r->boxes.count; k++) {
        const tg_li_box *x = &r->boxes.data[k];
        tg_li_report(r, TG_LOOP_UNAWAITED, x->ins->op, x->lane,
                     "a box of %lld bytes is still being copied when the program ends",
                     (long long)x->bytes);
    }
}
