/* SPDX-License-Identifier: Apache-2.0 */
/* Loads, stores and atomics of global memory and scratch, and scalar loads (CDNA3 ISA 8 to 10). */
#include <string.h>

#include "sim/amdgcn/amd.h"

enum { PART_LOW = 1, PART_HIGH = 2, SHARED_TOP = 0x1000000, PRIVATE_TOP = 0x2000000 };

/* What is moved: bytes, whether a sign is spread, and whether it is half a register. */
typedef struct move {
    uint16_t op;
    uint8_t bytes, part;
    bool is_signed;
} move;

static const move loads[] = {{AMD_LOAD_UBYTE, 1, 0, false},
                             {AMD_LOAD_SBYTE, 1, 0, true},
                             {AMD_LOAD_USHORT, 2, 0, false},
                             {AMD_LOAD_SSHORT, 2, 0, true},
                             {AMD_LOAD_DWORD, 4, 0, false},
                             {AMD_LOAD_DWORDX2, 8, 0, false},
                             {AMD_LOAD_DWORDX3, 12, 0, false},
                             {AMD_LOAD_DWORDX4, 16, 0, false},
                             {AMD_LOAD_UBYTE_D16, 1, PART_LOW, false},
                             {AMD_LOAD_UBYTE_D16_HI, 1, PART_HIGH, false},
                             {AMD_LOAD_SBYTE_D16, 1, PART_LOW, true},
                             {AMD_LOAD_SBYTE_D16_HI, 1, PART_HIGH, true},
                             {AMD_LOAD_SHORT_D16, 2, PART_LOW, false},
                             {AMD_LOAD_SHORT_D16_HI, 2, PART_HIGH, false},
                             {AMD_DS_READ_B32, 4, 0, false},
                             {AMD_DS_READ_B64, 8, 0, false},
                             {AMD_DS_READ_B96, 12, 0, false},
                             {AMD_DS_READ_B128, 16, 0, false},
                             {AMD_DS_READ_U8, 1, 0, false},
                             {AMD_DS_READ_I8, 1, 0, true},
                             {AMD_DS_READ_U16, 2, 0, false},
                             {AMD_DS_READ_I16, 2, 0, true},
                             {AMD_DS_READ_U8_D16, 1, PART_LOW, false},
                             {AMD_DS_READ_U8_D16_HI, 1, PART_HIGH, false},
                             {AMD_DS_READ_I8_D16, 1, PART_LOW, true},
                             {AMD_DS_READ_I8_D16_HI, 1, PART_HIGH, true},
                             {AMD_DS_READ_U16_D16, 2, PART_LOW, false},
                             {AMD_DS_READ_U16_D16_HI, 2, PART_HIGH, false}};
static const move stores[] = {
    {AMD_STORE_BYTE, 1, 0, false},     {AMD_STORE_BYTE_D16_HI, 1, PART_HIGH, false},
    {AMD_STORE_SHORT, 2, 0, false},    {AMD_STORE_SHORT_D16_HI, 2, PART_HIGH, false},
    {AMD_STORE_DWORD, 4, 0, false},    {AMD_STORE_DWORDX2, 8, 0, false},
    {AMD_STORE_DWORDX3, 12, 0, false}, {AMD_STORE_DWORDX4, 16, 0, false},
    {AMD_DS_WRITE_B8, 1, 0, false},    {AMD_DS_WRITE_B8_D16_HI, 1, PART_HIGH, false},
    {AMD_DS_WRITE_B16, 2, 0, false},   {AMD_DS_WRITE_B16_D16_HI, 2, PART_HIGH, false},
    {AMD_DS_WRITE_B32, 4, 0, false},   {AMD_DS_WRITE_B64, 8, 0, false},
    {AMD_DS_WRITE_B96, 12, 0, false},  {AMD_DS_WRITE_B128, 16, 0, false}};

typedef struct atomic {
    uint16_t op, returning; /* LDS: two instructions; global: a bit */
    uint8_t kind, bytes;
} atomic;
static const atomic atomics[] = {{AMD_DS_ADD_U32, AMD_DS_ADD_RTN_U32, AMD_ATOMIC_ADD, 4},
                                 {AMD_DS_SUB_U32, AMD_DS_SUB_RTN_U32, AMD_ATOMIC_SUB, 4},
                                 {AMD_DS_MIN_I32, AMD_DS_MIN_RTN_I32, AMD_ATOMIC_SMIN, 4},
                                 {AMD_DS_MAX_I32, AMD_DS_MAX_RTN_I32, AMD_ATOMIC_SMAX, 4},
                                 {AMD_DS_MIN_U32, AMD_DS_MIN_RTN_U32, AMD_ATOMIC_UMIN, 4},
                                 {AMD_DS_MAX_U32, AMD_DS_MAX_RTN_U32, AMD_ATOMIC_UMAX, 4},
                                 {AMD_DS_AND_B32, AMD_DS_AND_RTN_B32, AMD_ATOMIC_AND, 4},
                                 {AMD_DS_OR_B32, AMD_DS_OR_RTN_B32, AMD_ATOMIC_OR, 4},
                                 {AMD_DS_XOR_B32, AMD_DS_XOR_RTN_B32, AMD_ATOMIC_XOR, 4},
                                 {AMD_DS_ADD_F32, AMD_DS_ADD_RTN_F32, AMD_ATOMIC_FADD, 4},
                                 {AMD_DS_ADD_F64, AMD_DS_ADD_RTN_F64, AMD_ATOMIC_FADD, 8},
                                 {AMD_DS_MIN_F32, AMD_DS_MIN_RTN_F32, AMD_ATOMIC_FMIN, 4},
                                 {AMD_DS_MAX_F32, AMD_DS_MAX_RTN_F32, AMD_ATOMIC_FMAX, 4},
                                 {AMD_DS_MIN_F64, AMD_DS_MIN_RTN_F64, AMD_ATOMIC_FMIN, 8},
                                 {AMD_DS_MAX_F64, AMD_DS_MAX_RTN_F64, AMD_ATOMIC_FMAX, 8},
                                 {AMD_DS_INC_U32, AMD_DS_INC_RTN_U32, AMD_ATOMIC_INC, 4},
                                 {AMD_DS_DEC_U32, AMD_DS_DEC_RTN_U32, AMD_ATOMIC_DEC, 4},
                                 {AMD_DS_INC_U64, AMD_DS_INC_RTN_U64, AMD_ATOMIC_INC, 8},
                                 {AMD_DS_DEC_U64, AMD_DS_DEC_RTN_U64, AMD_ATOMIC_DEC, 8},
                                 {AMD_DS_WRXCHG_RTN_B32, AMD_DS_WRXCHG_RTN_B32, AMD_ATOMIC_SWAP, 4},
                                 {AMD_DS_CMPST_B32, AMD_DS_CMPST_RTN_B32, AMD_ATOMIC_CAS, 4},
                                 {AMD_DS_ADD_U64, AMD_DS_ADD_RTN_U64, AMD_ATOMIC_ADD, 8},
                                 {AMD_DS_SUB_U64, AMD_DS_SUB_RTN_U64, AMD_ATOMIC_SUB, 8},
                                 {AMD_DS_MIN_I64, AMD_DS_MIN_RTN_I64, AMD_ATOMIC_SMIN, 8},
                                 {AMD_DS_MAX_I64, AMD_DS_MAX_RTN_I64, AMD_ATOMIC_SMAX, 8},
                                 {AMD_DS_MIN_U64, AMD_DS_MIN_RTN_U64, AMD_ATOMIC_UMIN, 8},
                                 {AMD_DS_MAX_U64, AMD_DS_MAX_RTN_U64, AMD_ATOMIC_UMAX, 8},
                                 {AMD_DS_AND_B64, AMD_DS_AND_RTN_B64, AMD_ATOMIC_AND, 8},
                                 {AMD_DS_OR_B64, AMD_DS_OR_RTN_B64, AMD_ATOMIC_OR, 8},
                                 {AMD_DS_XOR_B64, AMD_DS_XOR_RTN_B64, AMD_ATOMIC_XOR, 8},
                                 {AMD_DS_WRXCHG_RTN_B64, AMD_DS_WRXCHG_RTN_B64, AMD_ATOMIC_SWAP, 8},
                                 {AMD_DS_CMPST_B64, AMD_DS_CMPST_RTN_B64, AMD_ATOMIC_CAS, 8}};

static const struct {
    uint16_t op;
    uint8_t kind, bytes;
} global_atomics[] = {{AMD_GLOBAL_SWAP, AMD_ATOMIC_SWAP, 4},
                      {AMD_GLOBAL_SWAP_X2, AMD_ATOMIC_SWAP, 8},
                      {AMD_GLOBAL_CMPSWAP, AMD_ATOMIC_CAS, 4},
                      {AMD_GLOBAL_CMPSWAP_X2, AMD_ATOMIC_CAS, 8},
                      {AMD_GLOBAL_ADD, AMD_ATOMIC_ADD, 4},
                      {AMD_GLOBAL_ADD_X2, AMD_ATOMIC_ADD, 8},
                      {AMD_GLOBAL_SUB, AMD_ATOMIC_SUB, 4},
                      {AMD_GLOBAL_SUB_X2, AMD_ATOMIC_SUB, 8},
                      {AMD_GLOBAL_SMIN, AMD_ATOMIC_SMIN, 4},
                      {AMD_GLOBAL_SMIN_X2, AMD_ATOMIC_SMIN, 8},
                      {AMD_GLOBAL_UMIN, AMD_ATOMIC_UMIN, 4},
                      {AMD_GLOBAL_UMIN_X2, AMD_ATOMIC_UMIN, 8},
                      {AMD_GLOBAL_SMAX, AMD_ATOMIC_SMAX, 4},
                      {AMD_GLOBAL_SMAX_X2, AMD_ATOMIC_SMAX, 8},
                      {AMD_GLOBAL_UMAX, AMD_ATOMIC_UMAX, 4},
                      {AMD_GLOBAL_UMAX_X2, AMD_ATOMIC_UMAX, 8},
                      {AMD_GLOBAL_AND, AMD_ATOMIC_AND, 4},
                      {AMD_GLOBAL_AND_X2, AMD_ATOMIC_AND, 8},
                      {AMD_GLOBAL_OR, AMD_ATOMIC_OR, 4},
                      {AMD_GLOBAL_OR_X2, AMD_ATOMIC_OR, 8},
                      {AMD_GLOBAL_XOR, AMD_ATOMIC_XOR, 4},
                      {AMD_GLOBAL_XOR_X2, AMD_ATOMIC_XOR, 8},
                      {AMD_GLOBAL_INC, AMD_ATOMIC_INC, 4},
                      {AMD_GLOBAL_INC_X2, AMD_ATOMIC_INC, 8},
                      {AMD_GLOBAL_DEC, AMD_ATOMIC_DEC, 4},
                      {AMD_GLOBAL_DEC_X2, AMD_ATOMIC_DEC, 8},
                      {AMD_GLOBAL_ADD_F32, AMD_ATOMIC_FADD, 4},
                      {AMD_GLOBAL_ADD_F64, AMD_ATOMIC_FADD, 8},
                      {AMD_GLOBAL_MIN_F32, AMD_ATOMIC_FMIN, 4},
                      {AMD_GLOBAL_MAX_F32, AMD_ATOMIC_FMAX, 4},
                      {AMD_GLOBAL_MIN_F64, AMD_ATOMIC_FMIN, 8},
                      {AMD_GLOBAL_MAX_F64, AMD_ATOMIC_FMAX, 8},
                      {AMD_GLOBAL_PK_ADD_F16, AMD_ATOMIC_PK_ADD_F16, 4},
                      {AMD_GLOBAL_PK_ADD_BF16, AMD_ATOMIC_PK_ADD_BF16, 4}};

/* ---- registers
 * -------------------------------------------------------------------------------------- */

/* A load's own registers: loads of one kind come back in order, so an earlier one may be under way.
 */
static uint32_t *filled(amd_wave *w, uint32_t code) {
    uint32_t row = code - SRC_VGPR;
    return w->v[row < VGPRS ? row : 0];
}

static void put(amd_wave *w, const move *m, uint16_t dst, int lane, const uint8_t *from) {
    uint32_t v[4] = {0};
    memcpy(v, from, m->bytes);
    if (m->is_signed) {
        v[0] = m->bytes == 1 ? (uint32_t)(int32_t)(int8_t)v[0] : (uint32_t)(int32_t)(int16_t)v[0];
    }
    uint32_t *row = filled(w, dst);
    if (m->part == PART_LOW) {
        row[lane] = (row[lane] & 0xffff0000) | (v[0] & 0xffff);
        return;
    }
    if (m->part == PART_HIGH) {
        row[lane] = (row[lane] & 0xffff) | v[0] << 16;
        return;
    }
    for (uint32_t i = 0; i < (m->bytes + 3u) / 4; i++) {
        filled(w, dst + i)[lane] = v[i];
    }
}

static void get(amd_wave *w, const move *m, uint16_t data, int lane, uint8_t to[16]) {
    uint32_t v[4] = {0};
    for (uint32_t i = 0; i < (m->bytes + 3u) / 4; i++) {
        v[i] = w->v[data - SRC_VGPR + i < VGPRS ? data - SRC_VGPR + i : 0][lane];
    }
    v[0] = m->part == PART_HIGH ? v[0] >> 16 : v[0];
    memcpy(to, v, m->bytes);
}

/* Sources must have landed: asked once for the whole wave. */
static void used(amd_wave *w, uint16_t first, uint32_t n) {
    for (uint32_t i = 0; first != NO_OPERAND && i < n; i++) {
        (void)amd_row(w, (uint16_t)(first + i), 4);
    }
}

static uint64_t pair_at(amd_wave *w, uint16_t code, int lane) {
    uint32_t row = code - SRC_VGPR;
    return w->v[row][lane] | (uint64_t)w->v[row + 1 < VGPRS ? row + 1 : 0][lane] << 32;
}

/* ---- global, flat, scratch
 * -------------------------------------------------------------------------- */

static uint64_t address_of(amd_wave *w, const amd_insn *in, int lane) {
    uint64_t at = (uint64_t)(int64_t)in->offset;
    if (in->segment == SEGMENT_SCRATCH) {
        at += in->saddr != NO_OPERAND ? w->s[in->saddr] : 0;
        at += in->addr != NO_OPERAND ? w->v[in->addr - SRC_VGPR][lane] : 0;
        return at;
    }
    if (in->saddr != NO_OPERAND) {
        return at + (w->s[in->saddr] | (uint64_t)w->s[in->saddr + 1] << 32) +
               w->v[in->addr - SRC_VGPR][lane];
    }
    return at + pair_at(w, in->addr, lane);
}

/* By a descriptor of four scalars: base of 48 bits, bytes from there on (CDNA3 ISA 9.1.5); beyond
 * them loads give zero and stores are dropped. Without strides and swizzles. */
static uint8_t *buffer_place(amd_wave *w, const amd_insn *in, int lane, uint32_t bytes,
                             amd_access access) {
    const uint32_t *d = &w->s[in->saddr];
    uint64_t base = d[0] | (uint64_t)(d[1] & 0xffff) << 32, soffset = amd_scalar(w, in, in->src[0]);
    uint64_t at = (uint32_t)in->offset;
    at += in->addr != NO_OPERAND ? w->v[in->addr - SRC_VGPR][lane] : 0;
    if ((d[1] >> 16 & 0x3fff) != 0) {
        amd_find(w, SIM_FAULT_TRAP, lane, d[1], "a buffer with a stride is not simulated");
        w->run->stop = true;
        return NULL;
    }
    return at + bytes + soffset > d[2] ? NULL
                                       : amd_global(w, lane, base + at + soffset, bytes, access);
}

static uint8_t *place_of(amd_wave *w, const amd_insn *in, int lane, uint32_t bytes,
                         amd_access access) {
    if (in->segment == SEGMENT_BUFFER) {
        return buffer_place(w, in, lane, bytes, access);
    }
    uint64_t at = address_of(w, in, lane);
    if (in->segment == SEGMENT_SCRATCH) {
        return amd_scratch(w, lane, at, bytes, access);
    }
    if (in->segment == SEGMENT_FLAT && at >> 32 == SHARED_TOP) {
        return amd_lds(w, lane, at & UINT32_MAX, bytes, access);
    }
    if (in->segment == SEGMENT_FLAT && at >> 32 == PRIVATE_TOP) {
        return amd_scratch(w, lane, at & UINT32_MAX, bytes, access);
    }
    return amd_global(w, lane, at, bytes, access);
}

static const move *find(const move *rows, size_t n, uint16_t op) {
    for (size_t i = 0; i < n; i++) {
        if (rows[i].op == op) {
            return &rows[i];
        }
    }
    return NULL;
}

static void addresses_used(amd_wave *w, const amd_insn *in) {
    uint32_t words = in->segment == SEGMENT_BUFFER ? 4 : in->segment == SEGMENT_SCRATCH ? 1 : 2;
    used(w, in->addr, words != 2 || in->saddr != NO_OPERAND ? 1 : 2);
    for (uint32_t i = 0; in->saddr != NO_OPERAND && i < words; i++) {
        (void)amd_scalar(w, in, (uint16_t)(in->saddr + i));
    }
}

static void load(amd_wave *w, const amd_insn *in, const move *m) {
    static const uint8_t nothing[16];
    uint64_t lanes = amd_exec(w);
    addresses_used(w, in);
    for (int l = 0; l < w->run->wave_lanes; l++) {
        const uint8_t *p = lanes >> l & 1 ? place_of(w, in, l, m->bytes, AMD_READ) : NULL;
        p = !p && (lanes >> l & 1) && in->segment == SEGMENT_BUFFER ? nothing : p;
        if (p) {
            put(w, m, in->dst, l, p);
        }
    }
    amd_issue(w, COUNT_VM, in->dst, (m->bytes + 3u) / 4, false);
}

static void store(amd_wave *w, const amd_insn *in, const move *m) {
    uint64_t lanes = amd_exec(w);
    addresses_used(w, in);
    used(w, in->data[0], (m->bytes + 3u) / 4);
    for (int l = 0; l < w->run->wave_lanes; l++) {
        uint8_t *p = lanes >> l & 1 ? place_of(w, in, l, m->bytes, AMD_WRITE) : NULL;
        if (p) {
            get(w, m, in->data[0], l, p);
        }
    }
    amd_issue(w, w->run->generation ? COUNT_VS : COUNT_VM, 0, 0, false);
}

static uint64_t word_at(amd_wave *w, uint16_t code, int lane, int bytes) {
    return bytes == 8 ? pair_at(w, code, lane) : w->v[code - SRC_VGPR][lane];
}

/* One after the other, lane by lane. Compare and swap has the new value first (CDNA3 ISA 12.15). */
static bool change_global(amd_wave *w, const amd_insn *in) {
    int kind = -1, bytes = 0;
    for (size_t i = 0; i < sizeof global_atomics / sizeof *global_atomics; i++) {
        if (global_atomics[i].op == in->op) {
            kind = global_atomics[i].kind;
            bytes = global_atomics[i].bytes;
        }
    }
    if (kind < 0) {
        return false;
    }
    uint64_t lanes = amd_exec(w);
    bool cas = kind == AMD_ATOMIC_CAS;
    addresses_used(w, in);
    used(w, in->data[0], (uint32_t)bytes / 4 * (cas ? 2 : 1));
    for (int l = 0; l < w->run->wave_lanes; l++) {
        uint8_t *p = lanes >> l & 1 ? place_of(w, in, l, (uint32_t)bytes, AMD_ATOMIC) : NULL;
        if (!p) {
            continue;
        }
        uint64_t old = 0, first = word_at(w, in->data[0], l, bytes), second = 0;
        memcpy(&old, p, (size_t)bytes);
        if (cas) {
            second = word_at(w, (uint16_t)(in->data[0] + bytes / 4), l, bytes);
        }
        uint64_t now = cas ? amd_atomic(kind, bytes, old, second, first)
                           : amd_atomic(kind, bytes, old, first, 0);
        memcpy(p, &now, (size_t)bytes);
        if (in->returns) {
            filled(w, in->dst)[l] = (uint32_t)old;
            if (bytes == 8) {
                filled(w, in->dst + 1u)[l] = (uint32_t)(old >> 32);
            }
        }
    }
    if (in->returns) {
        amd_issue(w, COUNT_VM, in->dst, (uint32_t)bytes / 4, false);
    } else {
        amd_issue(w, w->run->generation ? COUNT_VS : COUNT_VM, 0, 0, false);
    }
    return true;
}

/* ---- scalar
 * ----------------------------------------------------------------------------------------- */

static bool load_scalars(amd_wave *w, const amd_insn *in) {
    uint32_t n = amd_ops[in->op].width[0];
    if (in->op == AMD_S_DCACHE_INV || in->op == AMD_S_GL1_INV || in->op == AMD_S_DCACHE_WB) {
        return true;
    }
    if (in->op == AMD_S_MEMTIME) {
        amd_set_scalar64(w, in->dst, w->run->issues);
        amd_issue(w, COUNT_LGKM, in->dst, 2, true);
        return true;
    }
    uint64_t at = amd_scalar64(w, in, in->addr) + (uint64_t)(int64_t)in->offset;
    at += in->saddr != NO_OPERAND ? amd_scalar(w, in, in->saddr) : 0;
    uint8_t *p = amd_global(w, -1, at & ~UINT64_C(3), n * 4, AMD_READ);
    for (uint32_t i = 0; p && i < n; i++) {
        uint32_t v;
        memcpy(&v, p + 4 * i, sizeof v);
        amd_set_scalar(w, (uint16_t)(in->dst + i), v);
    }
    amd_issue(w, COUNT_LGKM, in->dst, n, true);
    return true;
}

bool amd_exec_memory(amd_wave *w, const amd_insn *in) {
    if (amd_ops[in->op].format == AMD_SMEM) {
        return load_scalars(w, in);
    }
    if (amd_ops[in->op].format == AMD_MUBUF) {
        return true;
    }
    const move *l = find(loads, sizeof loads / sizeof *loads, in->op);
    const move *s = find(stores, sizeof stores / sizeof *stores, in->op);
    if (l) {
        load(w, in, l);
    } else if (s) {
        store(w, in, s);
    } else {
        return change_global(w, in);
    }
    return true;
}

/* ---- LDS
 * -------------------------------------------------------------------------------------------- */

static uint64_t lds_address(amd_wave *w, const amd_insn *in, int lane, uint32_t offset) {
    return (uint32_t)(w->v[in->addr - SRC_VGPR][lane] + offset);
}

static void store_lds(amd_wave *w, const move *m, uint16_t data, int lane, uint64_t at) {
    uint8_t value[16];
    get(w, m, data, lane, value);
    w->storing = value;
    uint8_t *p = amd_lds(w, lane, at, m->bytes, AMD_WRITE);
    w->storing = NULL;
    if (p) {
        memcpy(p, value, m->bytes);
    }
}

/* Two places whose offsets count in elements, or in 64 of them. */
static bool two_places(amd_wave *w, const amd_insn *in) {
    static const struct {
        uint16_t op;
        uint8_t bytes, step;
        bool write;
    } rows[] = {{AMD_DS_READ2_B32, 4, 1, false},      {AMD_DS_READ2_B64, 8, 1, false},
                {AMD_DS_READ2ST64_B32, 4, 64, false}, {AMD_DS_READ2ST64_B64, 8, 64, false},
                {AMD_DS_WRITE2_B32, 4, 1, true},      {AMD_DS_WRITE2_B64, 8, 1, true},
                {AMD_DS_WRITE2ST64_B32, 4, 64, true}, {AMD_DS_WRITE2ST64_B64, 8, 64, true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].op != in->op) {
            continue;
        }
        uint32_t words = rows[i].bytes / 4u, offsets[2] = {(uint32_t)in->offset, in->offset1};
        const move m = {.bytes = rows[i].bytes};
        uint64_t lanes = amd_exec(w);
        for (int k = 0; k < 2 && rows[i].write; k++) {
            used(w, in->data[k], words);
        }
        for (int l = 0; l < w->run->wave_lanes; l++) {
            uint32_t base = w->v[in->addr - SRC_VGPR][l];
            for (int k = 0; k < 2 && (lanes >> l & 1); k++) {
                uint64_t at = (uint32_t)(base + offsets[k] * rows[i].bytes * rows[i].step);
                if (rows[i].write) {
                    store_lds(w, &m, in->data[k], l, at);
                    continue;
                }
                const uint8_t *p = amd_lds(w, l, at, m.bytes, AMD_READ);
                if (p) {
                    put(w, &m, (uint16_t)(in->dst + (uint32_t)k * words), l, p);
                }
            }
        }
        amd_issue(w, COUNT_LGKM, in->dst, rows[i].write ? 0 : 2 * words, false);
        return true;
    }
    return false;
}

static bool change_lds(amd_wave *w, const amd_insn *in, uint32_t offset) {
    const atomic *a = NULL;
    for (size_t i = 0; i < sizeof atomics / sizeof *atomics; i++) {
        a = atomics[i].op == in->op || atomics[i].returning == in->op ? &atomics[i] : a;
    }
    if (!a) {
        return false;
    }
    bool returns = a->returning == in->op;
    amd_access access = a->kind == AMD_ATOMIC_CAS ? AMD_COMPARED : AMD_ATOMIC;
    uint64_t lanes = amd_exec(w);
    used(w, in->data[0], a->bytes / 4u);
    for (int l = 0; l < w->run->wave_lanes; l++) {
        uint8_t *p =
            lanes >> l & 1 ? amd_lds(w, l, lds_address(w, in, l, offset), a->bytes, access) : NULL;
        if (!p) {
            continue;
        }
        uint64_t old = 0, first = word_at(w, in->data[0], l, a->bytes), second = 0;
        memcpy(&old, p, a->bytes);
        if (a->kind == AMD_ATOMIC_CAS) { /* GFX9: compared with, new; GFX11 the other way */
            second = word_at(w, in->data[1], l, a->bytes);
        }
        uint64_t now = w->run->generation && a->kind == AMD_ATOMIC_CAS
                           ? amd_atomic(a->kind, a->bytes, old, second, first)
                           : amd_atomic(a->kind, a->bytes, old, first, second);
        memcpy(p, &now, a->bytes);
        if (returns) {
            filled(w, in->dst)[l] = (uint32_t)old;
            if (a->bytes == 8) {
                filled(w, in->dst + 1u)[l] = (uint32_t)(old >> 32);
            }
        }
    }
    amd_issue(w, COUNT_LGKM, in->dst, returns ? a->bytes / 4u : 0, false);
    return true;
}

/* The lane whose word a swizzle gives (CDNA3 ISA 12.14, DS_SWIZZLE_B32). */
static int swizzled(uint32_t offset, int lane) {
    if (offset & 0x8000) {
        return (lane & ~3) + (int)(offset >> 2 * (lane & 3) & 3);
    }
    int in = lane & 31;
    in = ((in & (int)(offset & 31)) | (int)(offset >> 5 & 31)) ^ (int)(offset >> 10 & 31);
    return (lane & ~31) | in;
}

/* Words between lanes by way of LDS' crossbar: no memory is touched. */
static bool exchange(amd_wave *w, const amd_insn *in, uint32_t offset) {
    uint32_t from[LANES], out[LANES];
    uint64_t lanes = amd_exec(w);
    int n = w->run->wave_lanes;
    if (in->op != AMD_DS_BPERMUTE_B32 && in->op != AMD_DS_PERMUTE_B32 &&
        in->op != AMD_DS_SWIZZLE_B32) {
        return false;
    }
    bool swizzle = in->op == AMD_DS_SWIZZLE_B32;
    const uint32_t *address = amd_row(w, in->addr, 4);
    const uint32_t *data = swizzle ? address : amd_row(w, in->data[0], 4);
    for (int l = 0; l < n; l++) {
        from[l] = lanes >> l & 1 ? data[l] : 0;
        out[l] = 0;
    }
    for (int l = 0; l < n; l++) {
        int other =
            swizzle ? swizzled(offset, l) : (int)((address[l] + offset) / 4 & (uint32_t)(n - 1));
        if (in->op == AMD_DS_PERMUTE_B32) {
            out[other] = lanes >> l & 1 ? from[l] : out[other];
        } else {
            out[l] = from[other];
        }
    }
    uint32_t *row = filled(w, in->dst);
    for (int l = 0; l < n; l++) {
        row[l] = lanes >> l & 1 ? out[l] : row[l];
    }
    amd_issue(w, COUNT_LGKM, in->dst, 1, false);
    return true;
}

bool amd_exec_lds(amd_wave *w, const amd_insn *in) {
    uint32_t offset = (uint32_t)in->offset | (uint32_t)in->offset1 << 8;
    if (exchange(w, in, offset)) {
        return true;
    }
    used(w, in->addr, 1);
    if (two_places(w, in) || change_lds(w, in, offset)) {
        return true;
    }
    const move *r = find(loads, sizeof loads / sizeof *loads, in->op);
    const move *s = find(stores, sizeof stores / sizeof *stores, in->op);
    const move *m = r ? r : s;
    if (!m) {
        return false;
    }
    uint64_t lanes = amd_exec(w);
    if (s) {
        used(w, in->data[0], (m->bytes + 3u) / 4);
    }
    for (int l = 0; l < w->run->wave_lanes; l++) {
        if (!(lanes >> l & 1)) {
            continue;
        }
        uint64_t at = lds_address(w, in, l, offset);
        const uint8_t *p = s ? NULL : amd_lds(w, l, at, m->bytes, AMD_READ);
        if (s) {
            store_lds(w, m, in->data[0], l, at);
        } else if (p) {
            put(w, m, in->dst, l, p);
        }
    }
    amd_issue(w, COUNT_LGKM, in->dst, r ? (m->bytes + 3u) / 4 : 0, false);
    return true;
}
