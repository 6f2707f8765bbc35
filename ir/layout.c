/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layouts as values: interning, text form, and the two maps (holder to coordinates, coordinates to
 * holder); see layout.h. Everything that makes layouts of layouts is in layout_algebra.c.
 *
 * Both maps are mixed radix. Indices of a resource decode by descending place, coordinates of an
 * axis by descending stride; a digit outside its mode's extent means that there is nothing (a gap
 * between the places, or an element beyond the layout).
 */
#include "ir/layout.h"
#include "ir/layout_modes.h"

#include <string.h>

/* ---- interning ------------------------------------------------------------------------------ */

static bool layout_same(const tg_layout *a, const tg_layout *b) {
    if (a->rank != b->rank || a->n_modes != b->n_modes || a->xor_g != b->xor_g ||
        a->xor_q != b->xor_q || a->xor_chunk != b->xor_chunk) {
        return false;
    }
    for (int i = 0; i < a->n_modes; i++) {
        const tg_layout_mode *x = &a->modes[i], *y = &b->modes[i];
        if (x->axis != y->axis || x->resource != y->resource || x->extent != y->extent ||
            x->stride != y->stride || x->place != y->place) {
            return false;
        }
    }
    return true;
}

const tg_layout *tg_layout_intern(tg_module *m, const tg_layout *l) {
    for (size_t i = 0; i < m->n_layouts; i++) {
        if (layout_same(m->layout_table[i], l)) {
            return m->layout_table[i];
        }
    }
    if (m->n_layouts == m->layout_cap) {
        size_t cap = m->layout_cap == 0 ? 16 : m->layout_cap * 2;
        const tg_layout **table = TG_NEW_ARRAY(m->arena, const tg_layout *, cap);
        for (size_t i = 0; i < m->n_layouts; i++) {
            table[i] = m->layout_table[i];
        }
        m->layout_table = table;
        m->layout_cap = cap;
    }
    tg_layout *copy = TG_NEW(m->arena, tg_layout);
    copy->rank = l->rank;
    copy->n_modes = l->n_modes;
    memcpy(copy->modes, l->modes, l->n_modes * sizeof l->modes[0]);
    copy->xor_q = l->xor_q;
    copy->xor_g = l->xor_g;
    copy->xor_chunk = l->xor_chunk;
    m->layout_table[m->n_layouts++] = copy;
    return copy;
}

/* ---- text ----------------------------------------------------------------------------------- */

static const char *const resource_names[TG_RES_COUNT] = {"reg", "lane", "mem"};

void tg_layout_print(tg_sb *sb, const tg_layout *l) {
    tg_sb_addf(sb, "%d;", l->rank);
    for (int i = 0; i < l->n_modes; i++) {
        const tg_layout_mode *d = &l->modes[i];
        tg_sb_addc(sb, ' ');
        if (d->axis < 0) {
            tg_sb_addc(sb, 'r');
        } else {
            tg_sb_addf(sb, "%d", d->axis);
        }
        tg_sb_addf(sb, ":%lld*%lld@%s*%lld", (long long)d->extent, (long long)d->stride,
                   resource_names[d->resource], (long long)d->place);
    }
    if (l->xor_g != 0) {
        tg_sb_addf(sb, " xor(%lld,%lld,%lld)", (long long)l->xor_q, (long long)l->xor_g,
                   (long long)l->xor_chunk);
    }
}

/* A cursor over the text; every step is false at the first thing out of place. */
static bool take(const char **at, const char *word) {
    size_t n = strlen(word);
    bool ok = strncmp(*at, word, n) == 0;
    *at += ok ? n : 0;
    return ok;
}

#define MAX_NUMBER ((int64_t)1 << 40)

static bool take_number(const char **at, int64_t *out) {
    const char *s = *at;
    int64_t v = 0;
    if (*s < '0' || *s > '9') {
        return false;
    }
    for (; *s >= '0' && *s <= '9'; s++) {
        v = v * 10 + (*s - '0');
        if (v > MAX_NUMBER) {
            return false;
        }
    }
    *at = s;
    *out = v;
    return true;
}

static bool take_resource(const char **at, uint8_t *out) {
    for (int r = 0; r < TG_RES_COUNT; r++) {
        if (take(at, resource_names[r])) {
            *out = (uint8_t)r;
            return true;
        }
    }
    return false;
}

static bool take_mode(const char **at, int rank, tg_layout_mode *d) {
    int64_t axis = -1;
    if (!take(at, "r") && (!take_number(at, &axis) || axis >= rank)) {
        return false;
    }
    d->axis = (int8_t)axis;
    return take(at, ":") && take_number(at, &d->extent) && take(at, "*") &&
           take_number(at, &d->stride) && take(at, "@") && take_resource(at, &d->resource) &&
           take(at, "*") && take_number(at, &d->place);
}

const tg_layout *tg_layout_parse(tg_module *m, const char *text) {
    tg_layout l;
    int64_t rank;
    memset(&l, 0, sizeof l);
    if (!take_number(&text, &rank) || rank > TG_MAX_RANK || !take(&text, ";")) {
        return NULL;
    }
    l.rank = (uint8_t)rank;
    while (*text != '\0') {
        if (!take(&text, " ")) {
            return NULL;
        }
        if (take(&text, "xor(")) {
            bool ok = take_number(&text, &l.xor_q) && take(&text, ",") &&
                      take_number(&text, &l.xor_g) && take(&text, ",") &&
                      take_number(&text, &l.xor_chunk) && take(&text, ")") && *text == '\0';
            return ok && tg_layout_is_sound(&l) ? tg_layout_intern(m, &l) : NULL;
        }
        if (l.n_modes == TG_LAYOUT_MAX_MODES || !take_mode(&text, l.rank, &l.modes[l.n_modes++])) {
            return NULL;
        }
    }
    return tg_layout_is_sound(&l) ? tg_layout_intern(m, &l) : NULL;
}

/* ---- soundness ------------------------------------------------------------------------------ */

/* Modes of one resource or axis in ascending weight: each must clear the reach of those below. */
static bool weights_clear(const tg_layout *l, int axis, int resource, bool by_place) {
    int order[TG_LAYOUT_MAX_MODES];
    int n = by_place ? tg_modes_by_place(l, (tg_resource)resource, order)
                     : tg_modes_by_stride(l, axis, order);
    int64_t reach = 1;
    for (int i = 0; i < n; i++) {
        const tg_layout_mode *d = &l->modes[order[i]];
        int64_t weight = by_place ? d->place : d->stride;
        if (weight < reach ||
            (i > 0 && by_place && resource != TG_RES_MEM && weight % reach != 0) ||
            !tg_mul_i64(weight, d->extent, &reach) || reach > MAX_NUMBER) {
            return false;
        }
    }
    return true;
}

/* The chunks of a row come in whole groups of g, so a swizzled column lies in the same row. */
static bool swizzle_stays(const tg_layout *l, bool memory) {
    if (l->xor_g == 0) {
        return l->xor_q == 0 && l->xor_chunk == 0;
    }
    int64_t row = 1;
    for (int i = 0; i < l->n_modes; i++) {
        row *= l->modes[i].axis == l->rank - 1 ? l->modes[i].extent : 1;
    }
    return memory && l->rank >= 2 && l->xor_q >= 1 && l->xor_g >= 2 &&
           (l->xor_g & (l->xor_g - 1)) == 0 && l->xor_chunk >= 1 && row % l->xor_g == 0 &&
           row / l->xor_g % l->xor_chunk == 0;
}

bool tg_layout_is_sound(const tg_layout *l) {
    bool memory = l->n_modes > 0 && l->modes[0].resource == TG_RES_MEM;
    for (int i = 0; i < l->n_modes; i++) {
        const tg_layout_mode *d = &l->modes[i];
        if (d->axis >= l->rank || d->axis < -1 || d->resource >= TG_RES_COUNT || d->extent < 1 ||
            d->extent > MAX_NUMBER || d->place < 1 || d->place > MAX_NUMBER ||
            (d->axis >= 0 ? d->stride < 1 || d->stride > MAX_NUMBER : d->stride != 0) ||
            memory != (d->resource == TG_RES_MEM)) {
            return false;
        }
    }
    for (int r = 0; r < TG_RES_COUNT; r++) {
        if (!weights_clear(l, 0, r, true)) {
            return false;
        }
    }
    for (int a = 0; a < l->rank; a++) {
        if (!weights_clear(l, a, 0, false)) {
            return false;
        }
    }
    return swizzle_stays(l, memory);
}

/* ---- mode lists ----------------------------------------------------------------------------- */

int tg_modes_by_place(const tg_layout *l, tg_resource r, int *out_order) {
    int n = 0;
    for (int i = 0; i < l->n_modes; i++) {
        if (l->modes[i].resource != r || l->modes[i].extent == 1) {
            continue;
        }
        int at = n++;
        for (; at > 0 && l->modes[out_order[at - 1]].place > l->modes[i].place; at--) {
            out_order[at] = out_order[at - 1];
        }
        out_order[at] = i;
    }
    return n;
}

int tg_modes_by_stride(const tg_layout *l, int axis, int *out_order) {
    int n = 0;
    for (int i = 0; i < l->n_modes; i++) {
        if (l->modes[i].axis != axis || l->modes[i].extent == 1) {
            continue;
        }
        int at = n++;
        for (; at > 0 && l->modes[out_order[at - 1]].stride > l->modes[i].stride; at--) {
            out_order[at] = out_order[at - 1];
        }
        out_order[at] = i;
    }
    return n;
}

/* ---- the maps ------------------------------------------------------------------------------- */

int64_t tg_layout_size(const tg_layout *l, tg_resource r) {
    int64_t size = 1;
    for (int i = 0; i < l->n_modes; i++) {
        if (l->modes[i].resource == r) {
            size += (l->modes[i].extent - 1) * l->modes[i].place;
        }
    }
    return size;
}

int64_t tg_layout_memory_size(const tg_layout *l) {
    int64_t size = 1;
    for (int i = 0; i < l->n_modes; i++) {
        if (l->modes[i].resource == TG_RES_MEM) {
            size = tg_max_i64(size, l->modes[i].extent * l->modes[i].place);
        }
    }
    return size;
}

int64_t tg_layout_swizzle(const tg_layout *l, int64_t row, int64_t column) {
    if (l->xor_g == 0) {
        return column;
    }
    int64_t chunk = column / l->xor_chunk;
    return (chunk ^ (row / l->xor_q % l->xor_g)) * l->xor_chunk + column % l->xor_chunk;
}

static bool decode(const tg_layout *l, tg_resource r, int64_t index, int64_t *coords) {
    int order[TG_LAYOUT_MAX_MODES];
    int n = tg_modes_by_place(l, r, order);
    for (int i = n - 1; i >= 0; i--) {
        const tg_layout_mode *d = &l->modes[order[i]];
        int64_t digit = index / d->place;
        index %= d->place;
        if (digit >= d->extent) {
            return false;
        }
        if (d->axis >= 0) {
            coords[d->axis] += digit * d->stride;
        }
    }
    return index == 0;
}

void tg_layout_coords(const tg_layout *l, int64_t lane, int64_t reg, int64_t *coords) {
    for (int a = 0; a < l->rank; a++) {
        coords[a] = 0;
    }
    bool memory = l->n_modes > 0 && l->modes[0].resource == TG_RES_MEM;
    bool held = memory ? decode(l, TG_RES_MEM, reg, coords)
                       : decode(l, TG_RES_REG, reg, coords) && decode(l, TG_RES_LANE, lane, coords);
    if (held && l->xor_g != 0) { /* an involution while the row stays */
        coords[l->rank - 1] = tg_layout_swizzle(l, coords[l->rank - 2], coords[l->rank - 1]);
    }
    for (int a = 0; a < l->rank && !held; a++) {
        coords[a] = -1;
    }
}

bool tg_layout_find(const tg_layout *l, const int64_t *coords, int64_t *lane, int64_t *reg) {
    int64_t at[TG_RES_COUNT] = {0};
    for (int a = 0; a < l->rank; a++) {
        int order[TG_LAYOUT_MAX_MODES];
        int n = tg_modes_by_stride(l, a, order);
        int64_t left = coords[a];
        if (left < 0) {
            return false;
        }
        if (l->xor_g != 0 && a == l->rank - 1) {
            left = tg_layout_swizzle(l, coords[a - 1], left);
        }
        for (int i = n - 1; i >= 0; i--) {
            const tg_layout_mode *d = &l->modes[order[i]];
            int64_t digit = left / d->stride;
            left %= d->stride;
            if (digit >= d->extent) {
                return false;
            }
            at[d->resource] += digit * d->place;
        }
        if (left != 0) {
            return false;
        }
    }
    bool memory = l->n_modes > 0 && l->modes[0].resource == TG_RES_MEM;
    *lane = at[TG_RES_LANE];
    *reg = memory ? at[TG_RES_MEM] : at[TG_RES_REG];
    return true;
}
