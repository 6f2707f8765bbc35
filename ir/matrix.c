/* SPDX-License-Identifier: Apache-2.0 */
/* The table of matrix units and the layouts made of their fragments; see matrix.h. */
#include "ir/matrix.h"
#include "ir/layout_modes.h"

#include <stdlib.h>
#include <string.h>

static const tg_matrix_unit units[] = {
#define TG_MATRIX_UNIT(id_, name_, a_, b_, c_, m_, n_, k_, lanes_, bits_, la_, lb_, lc_)           \
    {.id = TG_MATRIX_##id_,                                                                        \
     .name = name_,                                                                                \
     .type = {TG_DT_##a_, TG_DT_##b_, TG_DT_##c_},                                                 \
     .m = m_,                                                                                      \
     .n = n_,                                                                                      \
     .k = k_,                                                                                      \
     .lanes = lanes_,                                                                              \
     .acc_bits = bits_,                                                                            \
     .layout = {la_, lb_, lc_}},
#include "ir/matrix.def"
#undef TG_MATRIX_UNIT
};

const tg_matrix_unit *tg_matrix_at(size_t id) {
    return id < TG_COUNT_OF(units) ? &units[id] : NULL;
}

const tg_matrix_unit *tg_matrix_find(const char *name) {
    for (size_t i = 0; name != NULL && i < TG_COUNT_OF(units); i++) {
        if (strcmp(units[i].name, name) == 0) {
            return &units[i];
        }
    }
    return NULL;
}

bool tg_matrix_rounds(const tg_matrix_unit *u) { return u->id == TG_MATRIX_MMA_TF32; }

void tg_matrix_shape(const tg_matrix_unit *u, tg_matrix_part p, int64_t shape[2]) {
    shape[0] = p == TG_PART_B ? u->k : u->m;
    shape[1] = p == TG_PART_A ? u->k : u->n;
}

int64_t tg_matrix_elems(const tg_matrix_unit *u, tg_matrix_part p) {
    int64_t shape[2];
    tg_matrix_shape(u, p, shape);
    return shape[0] * shape[1] * tg_matrix_copies(u, p) / u->lanes;
}

int64_t tg_matrix_copies(const tg_matrix_unit *u, tg_matrix_part p) {
    const char *replica = strstr(u->layout[p], " r:"); /* a mode of lanes: layout.h */
    return replica == NULL ? 1 : strtoll(replica + strlen(" r:"), NULL, 10);
}

const tg_matrix_unit *tg_matrix_instead(const tg_matrix_unit *u) {
    for (size_t i = 0; tg_matrix_reads_memory(u) && i < TG_COUNT_OF(units); i++) {
        const tg_matrix_unit *o = &units[i];
        if (!tg_matrix_reads_memory(o) && tg_matrix_is_open(o) && o->k == u->k && o->n == u->n &&
            memcmp(o->type, u->type, sizeof o->type) == 0) {
            return o;
        }
    }
    return NULL;
}

const tg_layout *tg_matrix_layout(tg_module *m, const tg_matrix_unit *u, tg_matrix_part p) {
    return u->layout[p][0] == '\0' ? NULL : tg_layout_parse(m, u->layout[p]);
}

static tg_dtype carried(tg_dtype t) {
    if (!tg_dtype_is_storage(t)) {
        return t;
    }
    return tg_dtype_bits(t) == 16 ? TG_DT_U16 : TG_DT_U8;
}

const tg_type *tg_matrix_type(tg_module *m, const tg_matrix_unit *u, tg_matrix_part p) {
    return tg_type_vec(m, carried(u->type[p]), tg_matrix_elems(u, p));
}

/* ---- accumulators ---------------------------------------------------------------------------- */

static void add_mode(tg_layout *l, int axis, tg_resource r, int64_t extent, int64_t stride,
                     int64_t *place) {
    if (extent > 1 && l->n_modes < TG_LAYOUT_MAX_MODES) {
        l->modes[l->n_modes++] = (tg_layout_mode){.axis = (int8_t)axis,
                                                  .resource = (uint8_t)r,
                                                  .extent = extent,
                                                  .stride = axis < 0 ? 0 : stride,
                                                  .place = *place};
        *place *= extent;
    }
}

const tg_layout *tg_matrix_accumulator(tg_module *m, const tg_matrix_unit *u, int rank,
                                       const int64_t *shape, const int64_t *warps, int64_t lanes) {
    const tg_layout *block = tg_matrix_layout(m, u, TG_PART_C);
    int64_t size[2] = {u->m, u->n}, reg = tg_matrix_elems(u, TG_PART_C), lane = u->lanes;
    if (block == NULL || rank < 2) {
        return NULL;
    }
    tg_layout l = *block;
    l.rank = (uint8_t)rank;
    for (int i = 0; i < l.n_modes; i++) {
        l.modes[i].axis = (int8_t)(l.modes[i].axis + rank - 2);
    }
    for (int a = rank - 1; a >= 0; a--) {
        int64_t step = a < rank - 2 ? 1 : size[a - (rank - 2)];
        if (shape[a] % (step * warps[a]) != 0) {
            return NULL;
        }
        int64_t blocks = shape[a] / step / warps[a];
        add_mode(&l, a, TG_RES_REG, blocks, step, &reg);
        add_mode(&l, a, TG_RES_LANE, warps[a], step * blocks, &lane);
    }
    add_mode(&l, -1, TG_RES_LANE, lanes / lane, 0, &lane);
    return lane == lanes ? tg_layout_intern(m, &l) : NULL;
}

/* What of a digit counts at places from `from` on; false: nothing. */
static bool upper_part(tg_layout_mode *d, int64_t from) {
    if (d->place < from) {
        int64_t cut = from / d->place;
        if (from % d->place != 0 || d->extent % cut != 0) {
            return false;
        }
        d->extent /= cut;
        d->stride *= cut;
        d->place = from;
    }
    return d->extent > 1;
}

const tg_layout *tg_matrix_operand(tg_module *m, const tg_matrix_unit *u, const tg_layout *acc,
                                   int64_t k) {
    const tg_layout *block = tg_matrix_layout(m, u, TG_PART_A);
    int rank = acc->rank, last = rank - 1;
    int64_t reg = tg_matrix_elems(u, TG_PART_A), lane = u->lanes;
    int64_t each = tg_matrix_elems(u, TG_PART_C);
    if (block == NULL || rank < 2 || k % u->k != 0) {
        return NULL;
    }
    tg_layout l = *block;
    l.rank = (uint8_t)rank;
    for (int i = 0; i < l.n_modes; i++) {
        l.modes[i].axis = (int8_t)(l.modes[i].axis < 0 ? -1 : l.modes[i].axis + rank - 2);
    }
    add_mode(&l, last, TG_RES_REG, k / u->k, u->k, &reg);
    int order[TG_LAYOUT_MAX_MODES], n = tg_modes_by_place(acc, TG_RES_REG, order);
    for (int i = 0; i < n; i++) {
        tg_layout_mode d = acc->modes[order[i]];
        if (upper_part(&d, each) && d.axis != last) {
            add_mode(&l, d.axis, TG_RES_REG, d.extent, d.stride, &reg);
        }
    }
    n = tg_modes_by_place(acc, TG_RES_LANE, order);
    for (int i = 0; i < n; i++) {
        tg_layout_mode d = acc->modes[order[i]];
        if (upper_part(&d, u->lanes)) {
            add_mode(&l, d.axis == last ? -1 : d.axis, TG_RES_LANE, d.extent, d.stride, &lane);
        }
    }
    return lane == tg_layout_size(acc, TG_RES_LANE) ? tg_layout_intern(m, &l) : NULL;
}

/* Corner of a block: what its first lane and register hold. */
static bool block_holds(const tg_matrix_unit *u, tg_matrix_part part, const tg_layout *l,
                        const tg_layout *block, int rank, int64_t lane0, int64_t reg0) {
    int64_t corner[TG_MAX_RANK], at[TG_MAX_RANK], in[TG_MAX_RANK], shape[2];
    int64_t n = tg_matrix_elems(u, part);
    tg_matrix_shape(u, part, shape);
    tg_layout_coords(l, lane0, reg0, corner);
    if (corner[rank - 2] % shape[0] != 0 || corner[rank - 1] % shape[1] != 0) {
        return false;
    }
    for (int64_t i = 0; i < u->lanes * n; i++) {
        tg_layout_coords(l, lane0 + i / n, reg0 + i % n, at);
        tg_layout_coords(block, i / n, i % n, in);
        for (int a = 0; a < rank; a++) {
            if (at[a] != corner[a] + (a < rank - 2 ? 0 : in[a - (rank - 2)])) {
                return false;
            }
        }
    }
    return true;
}

bool tg_matrix_holds(tg_module *m, const tg_matrix_unit *u, tg_matrix_part part, const tg_layout *l,
                     int rank) {
    const tg_layout *block = tg_matrix_layout(m, u, part);
    int64_t lanes = tg_layout_size(l, TG_RES_LANE), regs = tg_layout_size(l, TG_RES_REG);
    int64_t n = tg_matrix_elems(u, part);
    if (block == NULL || lanes % u->lanes != 0 || regs % n != 0) {
        return false;
    }
    for (int64_t lane = 0; lane < lanes; lane += u->lanes) {
        for (int64_t reg = 0; reg < regs; reg += n) {
            if (!block_holds(u, part, l, block, rank, lane, reg)) {
                return false;
            }
        }
    }
    return true;
}
