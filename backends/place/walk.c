/* SPDX-License-Identifier: Apache-2.0 */
/* See walk.h. */
#include "backends/place/walk.h"

static void number_region(tg_timeline *t, tg_region *r, int *clock) {
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        tg_moment *m = TG_NEW(t->arena, tg_moment);
        *m = (tg_moment){.op = op, .begin = (*clock)++};
        op->scratch = m;
        for (int i = 0; i < op->n_regions; i++) {
            number_region(t, op->regions[i], clock);
        }
        m->end = (*clock)++;
        TG_LIST_PUSH(t->arena, &t->ops, *m);
    }
}

void tg_timeline_make(tg_timeline *t, tg_func *f, tg_arena *a) {
    int clock = 0;
    *t = (tg_timeline){.arena = a};
    number_region(t, f->body, &clock);
}

static void clear_region(tg_region *r) {
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        op->scratch = NULL;
        for (int i = 0; i < op->n_regions; i++) {
            clear_region(op->regions[i]);
        }
    }
}

void tg_timeline_clear(tg_func *f) { clear_region(f->body); }

const tg_moment *tg_moment_of(const tg_op *op) { return op->scratch; }

static bool encloses(const tg_region *outer, const tg_region *inner) {
    while (inner != NULL && inner != outer) {
        inner = inner->parent == NULL ? NULL : inner->parent->parent;
    }
    return inner == outer;
}

tg_region *tg_common_region(tg_region *a, tg_region *b) {
    while (!encloses(a, b)) {
        a = a->parent->parent;
    }
    return a;
}

void tg_timeline_widen(const tg_op *op, const tg_region *home, int *begin, int *end) {
    const tg_op *span = op;
    for (const tg_op *o = op, *around = NULL; o->parent != home; o = around) {
        around = o->parent->parent;
        if (around == NULL) {
            break;
        }
        if (around->code == TG_OP_FOR || around->code == TG_OP_WHILE) {
            span = around;
        }
    }
    const tg_moment *m = tg_moment_of(span);
    *begin = *begin < m->begin ? *begin : m->begin;
    *end = *end > m->end ? *end : m->end;
}

/* ---- registers ------------------------------------------------------------------------------ */

typedef struct pressure {
    tg_arena *arena;
    TG_LIST(int64_t) delta; /* by time */
    int size;
} pressure;

static int64_t lane_bytes(const tg_type *t) {
    if (t->kind != TG_TY_TILE || t->layout == NULL) {
        return 0;
    }
    /* a register holds at least four bytes */
    return tg_layout_size(t->layout, TG_RES_REG) * tg_max_i64(4, tg_place_elem_bytes(t->dtype));
}

static void add_value(int64_t *delta, tg_value *v, int born) {
    int64_t bytes = lane_bytes(v->type);
    tg_region *home = v->def != NULL ? v->def->parent : v->region;
    int begin = born, end = born;
    if (bytes == 0) {
        return;
    }
    for (const tg_use *u = v->uses; u != NULL; u = u->next) {
        int b = begin;
        tg_timeline_widen(u->user, home, &b, &end);
    }
    delta[begin] += bytes;
    delta[end + 1] -= bytes;
}

int64_t tg_place_pressure(tg_func *f, tg_arena *a, tg_op **out_where) {
    tg_timeline t;
    tg_timeline_make(&t, f, a);
    int64_t *delta = TG_NEW_ARRAY(a, int64_t, 2 * t.ops.count + 4), live = 0, most = 0;
    int peak = 0;
    for (size_t i = 0; i < t.ops.count; i++) {
        tg_op *op = t.ops.data[i].op;
        for (int k = 0; k < op->n_results; k++) {
            add_value(delta, &op->results[k], t.ops.data[i].end);
        }
        for (int r = 0; r < op->n_regions; r++) {
            for (int k = 0; k < op->regions[r]->n_args; k++) {
                add_value(delta, op->regions[r]->args[k], t.ops.data[i].begin);
            }
        }
    }
    for (int i = 0; i < (int)(2 * t.ops.count + 2); i++) {
        live += delta[i];
        if (live > most) {
            most = live;
            peak = i;
        }
    }
    *out_where = NULL;
    for (size_t i = 0; i < t.ops.count && *out_where == NULL; i++) {
        if (t.ops.data[i].begin == peak || t.ops.data[i].end == peak) {
            *out_where = t.ops.data[i].op;
        }
    }
    tg_timeline_clear(f);
    return most;
}
