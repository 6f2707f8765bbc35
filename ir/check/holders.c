/* SPDX-License-Identifier: Apache-2.0 */
/* See holders.h. */
#include "ir/check/holders.h"

#include <string.h>

int64_t tg_elem_of(int rank, const int64_t *shape, const int64_t *coords) {
    int64_t e = 0;
    for (int a = 0; a < rank; a++) {
        if (coords[a] < 0 || coords[a] >= shape[a]) {
            return -1;
        }
        e = e * shape[a] + coords[a];
    }
    return e;
}

void tg_coords_of(int rank, const int64_t *shape, int64_t elem, int64_t *coords) {
    for (int a = rank - 1; a >= 0; a--) {
        coords[a] = elem % shape[a];
        elem /= shape[a];
    }
}

/* One step of counting through all combinations of digits; false after the last. */
static bool next_digits(const tg_layout *l, int64_t *digits) {
    for (int i = 0; i < l->n_modes; i++) {
        if (++digits[i] < l->modes[i].extent) {
            return true;
        }
        digits[i] = 0;
    }
    return false;
}

/* What a combination of digits means. */
static void read_digits(const tg_layout *l, const int64_t *digits, int64_t *coords,
                        int64_t *resource, bool *replica) {
    memset(coords, 0, TG_MAX_RANK * sizeof coords[0]);
    memset(resource, 0, TG_RES_COUNT * sizeof resource[0]);
    *replica = false;
    for (int i = 0; i < l->n_modes; i++) {
        const tg_layout_mode *m = &l->modes[i];
        resource[m->resource] += digits[i] * m->place;
        if (m->axis >= 0) {
            coords[m->axis] += digits[i] * m->stride;
        } else {
            *replica |= digits[i] != 0;
        }
    }
}

static int64_t reach(const tg_layout *l, tg_resource r) {
    int64_t n = 1;
    for (int i = 0; i < l->n_modes; i++) {
        n += l->modes[i].resource == r ? (l->modes[i].extent - 1) * l->modes[i].place : 0;
    }
    return n;
}

static void fill(tg_holders *h) {
    const tg_type *t = h->type;
    int64_t digits[TG_LAYOUT_MAX_MODES] = {0}, coords[TG_MAX_RANK], at[TG_RES_COUNT];
    bool replica;
    do {
        read_digits(h->layout, digits, coords, at, &replica);
        int64_t e = tg_elem_of(t->rank, t->shape, coords);
        int64_t holder = at[TG_RES_LANE] * h->regs + at[TG_RES_REG];
        h->clash |= h->elem[holder] >= 0;
        if (e < 0) {
            continue;
        }
        h->elem[holder] = (int32_t)e;
        if (!replica) {
            h->owner[e] = (int32_t)holder;
        }
        h->reg[at[TG_RES_LANE] * h->count + e] = (int32_t)at[TG_RES_REG];
    } while (next_digits(h->layout, digits));
}

const tg_holders *tg_holders_make(const tg_type *t, int64_t lanes, tg_arena *a) {
    tg_holders *h = TG_NEW(a, tg_holders);
    h->layout = t->layout;
    h->type = t;
    h->lanes = tg_max_i64(lanes, t->layout != NULL ? reach(t->layout, TG_RES_LANE) : 1);
    h->regs = t->layout != NULL ? reach(t->layout, TG_RES_REG) : 1;
    h->count = tg_type_count(t);
    h->elem = TG_NEW_ARRAY(a, int32_t, h->lanes * h->regs);
    h->owner = TG_NEW_ARRAY(a, int32_t, h->count);
    h->reg = TG_NEW_ARRAY(a, int32_t, h->lanes * h->count);
    memset(h->elem, 0xFF, (size_t)(h->lanes * h->regs) * sizeof h->elem[0]);
    memset(h->owner, 0xFF, (size_t)h->count * sizeof h->owner[0]);
    memset(h->reg, 0xFF, (size_t)(h->lanes * h->count) * sizeof h->reg[0]);
    if (t->layout != NULL) {
        fill(h);
        return h;
    }
    for (int64_t lane = 0; lane < h->lanes; lane++) { /* a scalar: everywhere */
        h->elem[lane] = 0;
        h->reg[lane * h->count] = 0;
    }
    h->owner[0] = 0;
    return h;
}

const tg_holders *tg_holders_get(tg_holder_cache *c, const tg_type *t) {
    for (size_t i = 0; i < c->all.count; i++) {
        const tg_holders *h = c->all.data[i];
        if (h->layout == t->layout && h->type->rank == t->rank &&
            memcmp(h->type->shape, t->shape, t->rank * sizeof t->shape[0]) == 0) {
            return h;
        }
    }
    const tg_holders *h = tg_holders_make(t, c->lanes, c->arena);
    TG_LIST_PUSH(c->arena, &c->all, h);
    return h;
}

/* ---- memory --------------------------------------------------------------------------------- */

/* The spec's swizzle: chunk ^= (row / q) % g, chunks of xor_chunk elements along the last axis. */
static void swizzle(const tg_layout *l, int64_t *coords) {
    if (l->xor_g != 0 && l->rank >= 2) {
        int64_t *column = &coords[l->rank - 1], row = coords[l->rank - 2];
        int64_t chunk = *column / l->xor_chunk, in = *column % l->xor_chunk;
        *column = (chunk ^ (row / l->xor_q % l->xor_g)) * l->xor_chunk + in;
    }
}

const int64_t *tg_places_make(const tg_type *t, tg_arena *a, int64_t *out_size) {
    int64_t count = tg_type_count(t);
    int64_t *places = TG_NEW_ARRAY(a, int64_t, count);
    *out_size = count;
    for (int64_t e = 0; e < count; e++) {
        places[e] = t->layout == NULL ? e : -1;
    }
    if (t->layout == NULL) {
        return places;
    }
    int64_t digits[TG_LAYOUT_MAX_MODES] = {0}, coords[TG_MAX_RANK], at[TG_RES_COUNT];
    bool replica;
    *out_size = reach(t->layout, TG_RES_MEM);
    bool *taken = TG_NEW_ARRAY(a, bool, *out_size);
    do {
        read_digits(t->layout, digits, coords, at, &replica);
        swizzle(t->layout, coords); /* its own inverse within a row */
        int64_t e = tg_elem_of(t->rank, t->shape, coords);
        if (e < 0) {
            continue;
        }
        if (places[e] >= 0 || taken[at[TG_RES_MEM]]) {
            return NULL;
        }
        places[e] = at[TG_RES_MEM];
        taken[at[TG_RES_MEM]] = true;
    } while (next_digits(t->layout, digits));
    for (int64_t e = 0; e < count; e++) {
        if (places[e] < 0) {
            return NULL;
        }
    }
    return places;
}

/* ---- sources -------------------------------------------------------------------------------- */

int64_t tg_source_elem(const tg_op *op, int64_t elem) {
    const tg_type *r = op->results[0].type, *x = tg_operand(op, 0)->type;
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    int64_t to[TG_MAX_RANK] = {0}, from[TG_MAX_RANK] = {0};
    if (op->code != TG_OP_BROADCAST && op->code != TG_OP_PERMUTE) {
        return elem; /* reshape keeps the number */
    }
    tg_coords_of(r->rank, r->shape, elem, to);
    for (int a = 0; a < x->rank; a++) {
        if (op->code == TG_OP_BROADCAST) {
            from[a] = x->shape[a] == 1 ? 0 : to[axes->list[a]];
        }
    }
    for (int a = 0; op->code == TG_OP_PERMUTE && a < r->rank; a++) {
        from[axes->list[a]] = to[a];
    }
    return tg_elem_of(x->rank, x->shape, from);
}
