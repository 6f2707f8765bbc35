/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tensor maps (5.5.3 to 5.5.8) in an encoding of our own: 64-bit address and strides, 32-bit
 * extents, boxes and steps, single bytes for the rest, at the places of `field`. tensormap.replace
 * writes them one by one. A box is cut out of the tensor at coordinates that may lie outside of it.
 */
#include "sim/ptx/async.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    uint8_t at, bytes; /* of one; more follow each other */
    uint8_t many;
} field[] = {{"global_address", 0, 8, 1},
             {"rank", 8, 1, 1},
             {"elemtype", 9, 1, 1},
             {"interleave_layout", 10, 1, 1},
             {"swizzle_mode", 11, 1, 1},
             {"fill_mode", 12, 1, 1},
             {"global_dim", 16, 4, 5},
             {"box_dim", 36, 4, 5},
             {"element_stride", 56, 4, 5},
             {"global_stride", 80, 8, 4},
             {NULL, 0, 0, 0}};
enum { F_ADDRESS, F_RANK, F_TYPE, F_INTERLEAVE, F_SWIZZLE, F_FILL, F_DIM, F_BOX, F_STEP, F_STRIDE };

static const uint8_t element_bytes[SIM_N_TENSOR_TYPES] = {1, 2, 4, 4, 8, 8, 2, 4, 4, 8, 2, 4, 4};

uint32_t sim_tensor_bytes(sim_tensor_type t) { return element_bytes[t]; }

static void put(uint8_t *out, int f, uint32_t i, uint64_t v) {
    memcpy(out + field[f].at + (size_t)i * field[f].bytes, &v, field[f].bytes);
}
static uint64_t get(const uint8_t *in, int f, uint32_t i) {
    uint64_t v = 0;
    memcpy(&v, in + field[f].at + (size_t)i * field[f].bytes, field[f].bytes);
    return v;
}

/* ---- what may be a map (driver API, cuTensorMapEncodeTiled) ------------------------------------
 */

static const char *refusal(const sim_tensor_map *m) {
    if (m->rank < 1 || m->rank > SIM_TENSOR_MAX_RANK || m->type >= SIM_N_TENSOR_TYPES) {
        return "a rank from 1 to 5 and a known type are wanted";
    }
    if (m->address % 16 != 0) {
        return "the address is no multiple of 16";
    }
    if (m->swizzle != 0 && m->swizzle != 32 && m->swizzle != 64 && m->swizzle != 128) {
        return "there is no such swizzle";
    }
    uint64_t row = (uint64_t)m->box[0] * element_bytes[m->type];
    for (uint32_t i = 0; i < m->rank; i++) {
        if (m->extent[i] == 0 || m->extent[i] > 1ull << 32) {
            return "an extent is zero or more than 2^32";
        }
        if (m->box[i] == 0 || m->box[i] > 256 || m->step[i] > 8) {
            return "an extent of the box is not 1 to 256, or a step more than 8";
        }
        if (i > 0 && (m->stride[i] % 16 != 0 || m->stride[i] >= 1ull << 40)) {
            return "a stride is no multiple of 16, or 2^40 or more";
        }
    }
    if (row % 16 != 0) {
        return "a row of the box is no multiple of 16 bytes";
    }
    return m->swizzle != 0 && row > m->swizzle ? "a row of the box is longer than the swizzle"
                                               : NULL;
}

bool sim_tensor_map_encode(const sim_tensor_map *map, uint8_t out[SIM_TENSOR_MAP_BYTES],
                           char message[256]) {
    const char *why = refusal(map);
    if (why) {
        (void)snprintf(message, 256, "%s", why);
        return false;
    }
    memset(out, 0, SIM_TENSOR_MAP_BYTES);
    put(out, F_ADDRESS, 0, map->address);
    put(out, F_RANK, 0, map->rank - 1);
    put(out, F_TYPE, 0, map->type);
    put(out, F_SWIZZLE, 0, map->swizzle == 128 ? 3 : map->swizzle / 32);
    put(out, F_FILL, 0, map->fill_nan);
    for (uint32_t i = 0; i < map->rank; i++) {
        put(out, F_DIM, i, map->extent[i]); /* 2^32 becomes 0 */
        put(out, F_BOX, i, map->box[i]);
        put(out, F_STEP, i, map->step[i] ? map->step[i] : 1);
        if (i > 0) {
            put(out, F_STRIDE, i - 1, map->stride[i]);
        }
    }
    return true;
}

bool sim_tensor_map_decode(const uint8_t in[SIM_TENSOR_MAP_BYTES], sim_tensor_map *out) {
    static const uint8_t swizzles[] = {0, 32, 64, 128};
    uint64_t swizzle = get(in, F_SWIZZLE, 0), type = get(in, F_TYPE, 0);
    *out = (sim_tensor_map){.address = get(in, F_ADDRESS, 0),
                            .rank = (uint32_t)get(in, F_RANK, 0) + 1,
                            .fill_nan = get(in, F_FILL, 0) != 0};
    if (swizzle > 3 || type >= SIM_N_TENSOR_TYPES || get(in, F_INTERLEAVE, 0) != 0 ||
        out->rank > SIM_TENSOR_MAX_RANK) {
        return false;
    }
    out->type = (sim_tensor_type)type;
    out->swizzle = swizzles[swizzle];
    for (uint32_t i = 0; i < out->rank; i++) {
        uint64_t extent = get(in, F_DIM, i);
        out->extent[i] = extent ? extent : 1ull << 32;
        out->box[i] = (uint32_t)get(in, F_BOX, i);
        out->step[i] = (uint32_t)get(in, F_STEP, i);
        out->step[i] = out->step[i] ? out->step[i] : 1;
        out->stride[i] = i > 0 ? get(in, F_STRIDE, i - 1) : element_bytes[type];
    }
    return refusal(out) == NULL;
}

/* ---- boxes -------------------------------------------------------------------------------------
 */

/* Elements of the box along a dimension: every step-th. */
static uint32_t taken(const sim_tensor_map *m, uint32_t i) {
    return (m->box[i] + m->step[i] - 1) / m->step[i];
}

uint32_t sim_tensor_box_bytes(const sim_tensor_map *map) {
    uint32_t n = element_bytes[map->type];
    for (uint32_t i = 0; i < map->rank; i++) {
        n *= taken(map, i);
    }
    return n;
}

bool sim_tensor_element(const sim_tensor_map *map, const int32_t at[SIM_TENSOR_MAX_RANK],
                        uint32_t i, uint64_t *out) {
    uint64_t address = map->address;
    bool inside = true;
    for (uint32_t k = 0; k < map->rank; k++) {
        uint32_t n = taken(map, k);
        int64_t x = at[k] + (int64_t)(i % n) * map->step[k];
        inside = inside && x >= 0 && x < (int64_t)map->extent[k];
        address += (uint64_t)x * map->stride[k];
        i /= n;
    }
    *out = address;
    return inside;
}

/* ---- tensormap.replace (9.7.9.28) --------------------------------------------------------------
 */

/* 0 address, 1 ordinal or value, 2 value. mode: the field. */
static void replace(sim_warp *w, const sim_insn *in, uint32_t mask) {
    int f = in->mode;
    EACH_LANE(l, mask) {
        uint64_t address = sim_address(w, in, 0, (int)l);
        uint32_t i = in->op[2].kind == OPERAND_ROW ? (uint32_t)sim_in(w, in, 1)[l] : 0;
        uint64_t v = sim_in(w, in, in->op[2].kind == OPERAND_ROW ? 2 : 1)[l];
        if (address % SIM_TENSOR_MAP_BYTES != 0 || i >= field[f].many) {
            sim_find(w, SIM_FAULT_TRAP, (int)l, address, "no place of a tensor map");
            continue;
        }
        sim_place at = sim_resolve(w, (int)l, (sim_space)in->space,
                                   address + field[f].at + (uint64_t)i * field[f].bytes,
                                   field[f].bytes, ACCESS_WRITE);
        if (at.data) {
            memcpy(at.data, &v, field[f].bytes);
        }
    }
}

/* Copies a map of shared memory to global memory for the tensor proxy of all: 0 to, 1 from. */
static void copy_map(sim_warp *w, const sim_insn *in, uint32_t mask) {
    uint32_t l = (uint32_t)__builtin_ctz(mask); /* .sync.aligned: all lanes give the same */
    for (uint32_t i = 0; i < SIM_TENSOR_MAP_BYTES; i += 16) {
        sim_place to = sim_resolve(w, (int)l, SPACE_GLOBAL, sim_address(w, in, 0, (int)l) + i, 16,
                                   ACCESS_WRITE);
        sim_place from = sim_resolve(w, (int)l, SPACE_SHARED, sim_address(w, in, 1, (int)l) + i, 16,
                                     ACCESS_READ);
        if (to.data && from.data) {
            memcpy(to.data, from.data, 16);
        }
    }
}

static bool tensormap_family(sim_decoder *d) {
    sim_insn *in = d->in;
    if (sim_took(d, "cp_fenceproxy")) {
        static const char *const rest[] = {"global", "shared::cta", "tensormap::generic",
                                           "sync",   "aligned",     NULL};
        for (int i = 0; rest[i]; i++) {
            (void)sim_took(d, rest[i]);
        }
        sim_took_hints(d);
        in->sync = 255;
        return sim_operands(d, "AAS") && sim_execs(d, copy_map, SIM_CLASS_ASYNC);
    }
    if (!sim_took(d, "replace") || !sim_took(d, "tile")) {
        return false;
    }
    int f = 0;
    while (field[f].name && !sim_took(d, field[f].name)) {
        f++;
    }
    in->mode = (uint8_t)f;
    in->space = (uint8_t)sim_took_space(d);
    return field[f].name && sim_took(d, "b1024") && sim_took_type(d) && sim_operands(d, "AS?S") &&
           sim_execs(d, replace, SIM_CLASS_ASYNC);
}

const sim_family_row sim_families_tensor[] = {{"tensormap", tensormap_family}, {NULL, NULL}};
