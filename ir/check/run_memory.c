/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that lanes and roles share; see run.h. */
#include <string.h>

#include "ir/check/run.h"

/* An earlier access of (thread, lane) in epoch: before what the running thread's `lane` does now?
 */
static bool before(const tg_run *r, int thread, int lane, uint32_t epoch, int now_lane, int fence) {
    const tg_run_thread *t = &r->threads[r->thread];
    if (epoch <= t->seen[thread]) { /* by events, perhaps by way of other roles */
        return true;
    }
    if (thread != r->thread) {
        return false;
    }
    return epoch <= t->settled[fence] || (lane >= 0 && lane == now_lane);
}

static bool wrote(const tg_run_byte *b, int lane) {
    if (b->w_lane == TG_RUN_ALL && lane >= 0 && lane < 256) {
        return (b->lanes[lane / 64] >> (lane % 64) & 1) != 0;
    }
    return b->w_lane >= 0 && b->w_lane == lane;
}

static void report(tg_run *r, const tg_op *op, const tg_run_memory *m, int64_t at, int lane,
                   int other_thread, const char *now, const char *then) {
    tg_li_report(&r->base, TG_LOOP_RACE, op, lane, "byte %lld of %s is %s and was %s by %s%s",
                 (long long)at, m->name, now, then,
                 other_thread == r->thread ? "another lane" : "another role",
                 other_thread == r->thread ? " with no barrier between" : " with no event between");
}

static void forget(tg_run *r, tg_run_memory *m, int64_t at) {
    tg_run_byte *b = &m->notes[at];
    if (b->program == r->base.program) {
        return;
    }
    bool undefined = m->own || b->undefined;
    *b = (tg_run_byte){.program = r->base.program, .undefined = undefined};
    memset(&m->readers[at * r->max_threads], 0, (size_t)r->max_threads * sizeof m->readers[0]);
}

static bool check_write_before(tg_run *r, const tg_op *op, tg_run_memory *m, int64_t at, int lane,
                               tg_li_access access, bool same) {
    const tg_run_byte *b = &m->notes[at];
    if (b->w_epoch == 0 || (b->atomic && access == LI_ATOMIC) ||
        (b->w_thread == r->thread && wrote(b, lane)) ||
        before(r, b->w_thread, b->w_lane, b->w_epoch, lane, m->fence) ||
        (same && access == LI_WRITE && m->own && b->w_thread == r->thread && b->w_lane != -1)) {
        return true;
    }
    report(r, op, m, at, lane, b->w_thread, access == LI_READ ? "read" : "written", "written");
    return false;
}

static bool check_reads_before(tg_run *r, const tg_op *op, tg_run_memory *m, int64_t at, int lane) {
    for (int t = 0; t < r->n_threads; t++) {
        const tg_run_reader *e = &m->readers[at * r->max_threads + t];
        if (e->epoch != 0 && !before(r, t, e->lane, e->epoch, lane, m->fence)) {
            report(r, op, m, at, lane, t, "written", "read");
            return false;
        }
    }
    return true;
}

static void note_write(tg_run *r, tg_run_byte *b, int lane, bool atomic, bool undefined) {
    tg_run_thread *t = tg_run_now(r);
    bool join = b->w_epoch == t->epoch && b->w_thread == r->thread && b->w_lane != lane &&
                b->w_lane != TG_RUN_NOBODY && lane >= 0;
    if (join && b->w_lane >= 0) {
        memset(b->lanes, 0, sizeof b->lanes);
        b->lanes[b->w_lane / 64 & 3] |= UINT64_C(1) << (b->w_lane % 64);
        b->w_lane = TG_RUN_ALL;
    }
    if (join) {
        b->lanes[lane / 64 & 3] |= UINT64_C(1) << (lane % 64);
    } else {
        b->w_lane = (int16_t)(lane == TG_RUN_ALL ? TG_RUN_NOBODY : lane);
    }
    b->w_epoch = t->epoch;
    b->w_thread = (int16_t)r->thread;
    b->atomic = atomic;
    b->undefined = undefined;
}

static void note_read(tg_run *r, tg_run_memory *m, int64_t at, int lane) {
    tg_run_reader *e = &m->readers[at * r->max_threads + r->thread];
    uint32_t epoch = tg_run_now(r)->epoch;
    e->lane = (int16_t)(e->epoch == epoch && e->lane != lane ? TG_RUN_ALL : lane);
    e->epoch = epoch;
}

void tg_run_touch(tg_run *r, const tg_op *op, tg_run_memory *m, int64_t at, int64_t n, int lane,
                  tg_li_access access, const unsigned char *with, bool undefined,
                  bool *out_undefined) {
    bool told = false;
    if (at < 0 || at + n > m->bytes) {
        tg_li_report(&r->base, TG_LOOP_BOUNDS, op, lane, "bytes %lld.. of the %lld of %s",
                     (long long)at, (long long)m->bytes, m->name);
        return;
    }
    if (m->notes == NULL) {
        return;
    }
    for (int64_t k = at; k < at + n; k++) {
        tg_run_byte *b = &m->notes[k];
        forget(r, m, k);
        bool same = with != NULL && with[k - at] == m->base[k];
        told = told || !check_write_before(r, op, m, k, lane, access, same);
        if (!told && access != LI_READ) {
            told = access == LI_WRITE && !check_reads_before(r, op, m, k, lane);
        }
        if (!told && b->in_flight && lane != TG_RUN_NOBODY) {
            tg_li_report(&r->base, TG_LOOP_RACE, op, lane,
                         "byte %lld of %s is touched while a copy to it is under way", (long long)k,
                         m->name);
            told = true;
        }
        if (out_undefined != NULL) {
            *out_undefined |= access != LI_WRITE && b->undefined;
        }
        if (access == LI_READ) {
            note_read(r, m, k, lane);
        } else {
            note_write(r, b, lane, access == LI_ATOMIC, undefined);
        }
    }
}

void tg_run_barrier(tg_run *r, tg_fence fence) {
    tg_run_thread *t = tg_run_now(r);
    if (fence != TG_FENCE_GLOBAL) {
        t->settled[0] = t->epoch;
    }
    if (fence != TG_FENCE_SHARED) {
        t->settled[1] = t->epoch;
    }
    t->epoch++;
}

/* ---- buffers -------------------------------------------------------------------------------- */

static void window_elems(const tg_op *op, const tg_type *from, const tg_type *to, int64_t *elems) {
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES), *off = tg_attr_get(op, TG_ATTR_OFFSETS);
    int64_t view[TG_MAX_RANK] = {0}, at[TG_MAX_RANK] = {0};
    for (int64_t e = 0; e < tg_type_count(to); e++) {
        elems[e] = e; /* without axes: the row-major reshape */
        if (axes == NULL) {
            continue;
        }
        tg_coords_of(to->rank, to->shape, e, view);
        for (int b = 0; b < from->rank; b++) {
            at[b] = off != NULL ? off->list[b] : 0;
        }
        for (int v = 0; v < to->rank; v++) {
            at[axes->list[v]] += view[v];
        }
        elems[e] = tg_elem_of(from->rank, from->shape, at);
    }
}

static const int64_t *view_elems(tg_run *r, const tg_value *v, int64_t count) {
    int64_t *elems = TG_NEW_ARRAY(r->arena, int64_t, count + 1);
    if (v->def == NULL || v->def->code != TG_OP_WINDOW) {
        for (int64_t e = 0; e < count; e++) {
            elems[e] = e;
        }
        return elems;
    }
    const tg_value *from = tg_operand(v->def, 0);
    const int64_t *inner = view_elems(r, from, tg_type_count(from->type));
    window_elems(v->def, from->type, v->type, elems);
    for (int64_t e = 0; e < count; e++) {
        elems[e] = elems[e] >= 0 ? inner[elems[e]] : -1;
    }
    return elems;
}

/* The copy of a ring that the windows of a view choose now. */
static int64_t window_slot(tg_run *r, const tg_value *v) {
    for (; v->def->code == TG_OP_WINDOW; v = tg_operand(v->def, 0)) {
        if (tg_attr_int(v->def, TG_ATTR_RING, 0) != 0) {
            int64_t depth = tg_operand(v->def, 0)->type->depth;
            int64_t slot = tg_run_scalar(r, v->def, tg_operand(v->def, 1), "a slot");
            return (slot % depth + depth) % depth;
        }
    }
    return 0;
}

/* What is fixed about a buffer value is kept with the value's definition. */
tg_run_buffer tg_run_buffer_of(tg_run *r, const tg_value *v) {
    tg_op *def = v->def;
    if (def->scratch != NULL) {
        tg_run_buffer known = *(tg_run_buffer *)def->scratch;
        known.offset += window_slot(r, v) * known.copy_bytes;
        return known;
    }
    const tg_value *base = v;
    while (base->def->code == TG_OP_WINDOW) {
        base = tg_operand(base->def, 0);
    }
    tg_run_buffer *b = TG_NEW(r->arena, tg_run_buffer);
    int64_t size = 0;
    b->type = base->type;
    b->memory = &r->memories[base->type->space == TG_SPACE_SHARED ? 0 : 1];
    b->offset = tg_attr_int(base->def, TG_ATTR_OFFSET, 0);
    b->places = tg_places_make(base->type, r->arena, &size);
    b->copy_bytes = size * tg_li_elem_bytes(base->type->dtype);
    b->rank = v->type->rank;
    memcpy(b->shape, v->type->shape, sizeof b->shape);
    b->elems = view_elems(r, v, tg_type_count(v->type));
    if (b->places == NULL) {
        tg_li_report(&r->base, TG_LOOP_BAD_CODE, base->def, 0, "a layout without a place for all");
        b->places = TG_NEW_ARRAY(r->arena, int64_t, tg_type_count(base->type));
    }
    def->scratch = b;
    return tg_run_buffer_of(r, v);
}

int64_t tg_run_byte_of(const tg_run_buffer *b, int64_t e, int64_t slot) {
    if (e < 0 || b->elems[e] < 0) {
        return -1;
    }
    return b->offset + slot * b->copy_bytes +
           b->places[b->elems[e]] * tg_li_elem_bytes(b->type->dtype);
}
