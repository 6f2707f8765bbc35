/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sources and results (CDNA3 ISA 5.3, 6.2; RDNA3 ISA 6.3): registers, constants, and what an
 * instruction does to them on the way: DPP takes other lanes' words, SDWA parts of words, floats
 * may be negated or made positive; results may be doubled or kept within 0 and 1.
 */
#include <math.h>
#include <string.h>

#include "sim/amdgcn/amd.h"

/* Where generic addresses of LDS and scratch begin: the implementation's (CDNA3 ISA 10.2). */
enum { SHARED_APERTURE = 0x1000000, PRIVATE_APERTURE = 0x2000000 };

/* ---- scalars ------------------------------------------------------------------------------------
 */

uint64_t amd_exec(const amd_wave *w) {
    uint64_t e = w->s[SRC_EXEC] | (uint64_t)w->s[SRC_EXEC + 1] << 32;
    return w->run->wave_lanes == 32 ? e & UINT32_MAX : e;
}

static uint64_t vcc(const amd_wave *w) {
    uint64_t v = w->s[SRC_VCC] | (uint64_t)w->s[SRC_VCC + 1] << 32;
    return w->run->wave_lanes == 32 ? v & UINT32_MAX : v;
}

static double constant(uint16_t code) {
    static const double values[] = {0.5, -0.5, 1, -1, 2, -2, 4, -4, 0.15915494309189532};
    return values[code - 240];
}

/* A use of a register that a load has yet to fill, or of one whose old value a store still wants.
 */
static void check_busy(amd_wave *w, uint16_t code) {
    if (w->n_pending > 0 && w->busy[code]) {
        amd_find(w, SIM_FAULT_ASYNC, -1, code, "%s is used before its load has been waited for",
                 code >= SRC_VGPR ? "a vector register" : "a scalar register");
        w->busy[code] = 0;
    }
}

static uint32_t special(amd_wave *w, const amd_insn *in, uint16_t code) {
    uint32_t kind = in->op < AMD_N_OPS ? amd_ops[in->op].flags : 0;
    if (code >= 128 && code <= 192) {
        return code - 128u;
    }
    if (code >= 193 && code <= 208) {
        return (uint32_t)(192 - (int)code);
    }
    if (code >= 240 && code <= 248) {
        float f = (float)constant(code);
        bool half = (kind & (AMD_F16 | AMD_LOW16)) != 0;
        bool packed = (kind & AMD_PACKED) && amd_ops[in->op].width[1] == 1;
        return half || packed ? amd_f16_round((double)f) : amd_of_f32(f);
    }
    switch (code) {
    case 251:
        return vcc(w) == 0;
    case 252:
        return amd_exec(w) == 0;
    case 253:
        return w->scc;
    case SRC_LITERAL:
        return in->literal;
    case 235:
    case 236:
    case 237:
    case 238:
        return 0;
    }
    amd_find(w, SIM_FAULT_TRAP, -1, code, "operand %u has no meaning", code);
    w->run->stop = true;
    return 0;
}

uint32_t amd_scalar(amd_wave *w, const amd_insn *in, uint16_t code) {
    if (code < 128) {
        check_busy(w, code);
        return code == 124 && w->run->generation == 1 ? 0 : w->s[code];
    }
    if (code >= SRC_VGPR) { /* of the first lane: scalar results of vector sources */
        const uint32_t *row = amd_row(w, code, 0);
        uint64_t e = amd_exec(w);
        return row[e ? __builtin_ctzll(e) : 0];
    }
    return special(w, in, code);
}

uint64_t amd_scalar64(amd_wave *w, const amd_insn *in, uint16_t code) {
    uint32_t kind = amd_ops[in->op].flags;
    if (code < 127) {
        check_busy(w, code);
        check_busy(w, code + 1);
        return code == 124 && w->run->generation == 1 ? 0
                                                      : w->s[code] | (uint64_t)w->s[code + 1] << 32;
    }
    if (code >= 193 && code <= 208) {
        return (uint64_t)(int64_t)(192 - (int)code);
    }
    if (code >= 240 && code <= 248) {
        return kind & AMD_PACKED ? amd_of_f32((float)constant(code)) : amd_of_f64(constant(code));
    }
    if (code == SRC_LITERAL) {
        bool is_signed = in->op == AMD_S_ASHR_I64 || in->op == AMD_V_ASHRREV_I64 ||
                         (in->op >= AMD_V_CMP_LT_I64 && in->op <= AMD_V_CMPX_GE_I64);
        return kind & AMD_F64 ? (uint64_t)in->literal << 32
               : is_signed    ? (uint64_t)(int64_t)(int32_t)in->literal
                              : in->literal;
    }
    if (code == 235 || code == 237) {
        return (uint64_t)(code == 235 ? SHARED_APERTURE : PRIVATE_APERTURE) << 32;
    }
    return special(w, in, code);
}

void amd_set_scalar(amd_wave *w, uint16_t code, uint32_t v) {
    if (code < 128) {
        check_busy(w, code);
        w->s[code] = v;
    } else {
        amd_find(w, SIM_FAULT_TRAP, -1, code, "operand %u cannot be written", code);
        w->run->stop = true;
    }
}

void amd_set_scalar64(amd_wave *w, uint16_t code, uint64_t v) {
    amd_set_scalar(w, code, (uint32_t)v);
    if (!(code == 124 && w->run->generation == 1)) {
        amd_set_scalar(w, (uint16_t)(code + 1), (uint32_t)(v >> 32));
    }
}

uint64_t amd_mask(amd_wave *w, uint16_t code) {
    static const amd_insn plain = {.op = AMD_S_MOV_B64};
    return w->run->wave_lanes == 32 ? amd_scalar(w, &plain, code) : amd_scalar64(w, &plain, code);
}

void amd_set_mask(amd_wave *w, uint16_t code, uint64_t v) {
    if (w->run->wave_lanes == 32) {
        amd_set_scalar(w, code, (uint32_t)v);
    } else {
        amd_set_scalar64(w, code, v);
    }
}

/* ---- vectors ------------------------------------------------------------------------------------
 */

uint32_t *amd_row(amd_wave *w, uint16_t code, int which) {
    uint32_t row = code - (uint32_t)SRC_VGPR;
    if ((w->gpr_index & 0x100) && (w->gpr_index >> which & 1)) {
        row += w->s[w->run->generation == 1 ? 125 : 124] & 0xff;
    }
    if (row >= VGPRS) {
        amd_find(w, SIM_FAULT_BOUNDS, -1, row, "vector register %u", row);
        w->run->stop = true;
        row = 0;
    }
    check_busy(w, (uint16_t)(row + SRC_VGPR));
    return w->v[row];
}

/* The lane whose word lane l takes; -1: none (CDNA3 ISA 6.7, RDNA3 ISA 7.7). */
static int dpp_from(uint32_t ctrl, int l, int lanes) {
    int row = l & ~15, at = l & 15;
    int n = (int)(ctrl & 15);
    if (ctrl < 0x100) {
        return (l & ~3) + (int)(ctrl >> 2 * (l & 3) & 3);
    }
    switch (ctrl & 0x1f0) {
    case 0x100: /* row_shl */
        return at + n > 15 ? -1 : l + n;
    case 0x110:
        return at - n < 0 ? -1 : l - n;
    case 0x120:
        return row + ((at - n) & 15);
    case 0x130:
        return ctrl == 0x130   ? (l + 1 < lanes ? l + 1 : -1)
               : ctrl == 0x134 ? (l + 1) % lanes
               : ctrl == 0x138 ? l - 1
                               : (l + lanes - 1) % lanes;
    case 0x140:
        return ctrl == 0x140   ? row + 15 - at
               : ctrl == 0x141 ? (l & ~7) + 7 - (l & 7)
               : ctrl == 0x142 ? (l < 16 ? -1 : row - 1)
                               : (l < 32 ? -1 : 31);
    case 0x150: /* row_share */
        return row + n;
    case 0x160: /* row_xmask */
        return l ^ n;
    }
    return -1;
}

/* GFX9's broadcasts leave the first rows out; lanes that take from nobody keep what they have, or
 * get zero (bound_ctrl). */
static void dpp_source(amd_wave *w, const amd_insn *in, const uint32_t *row, uint32_t *out) {
    uint64_t e = amd_exec(w);
    for (int l = 0; l < w->run->wave_lanes; l++) {
        int from = dpp_from(in->dpp_ctrl, l, w->run->wave_lanes);
        out[l] = from >= 0 && (e >> from & 1) ? row[from] : 0;
    }
}

uint64_t amd_active(amd_wave *w, const amd_insn *in) {
    uint64_t e = amd_exec(w), lanes = e;
    if (!in->dpp) {
        return e;
    }
    for (int l = 0; l < w->run->wave_lanes; l++) {
        int from = dpp_from(in->dpp_ctrl, l, w->run->wave_lanes);
        bool given = from >= 0 && (e >> from & 1);
        if (!(in->row_mask >> l / 16 & 1) || !(in->bank_mask >> l % 16 / 4 & 1) ||
            (!given && !in->bound_ctrl)) {
            lanes &= ~(UINT64_C(1) << l);
        }
    }
    return lanes;
}

/* A part of a word (CDNA3 ISA 6.6): bytes 0 to 3, halves 0 and 1, all. */
static uint32_t part_of(uint32_t v, uint32_t sel, bool sext) {
    if (sel < 4) {
        v = v >> 8 * sel & 0xff;
        return sext ? (uint32_t)(int32_t)(int8_t)v : v;
    }
    if (sel < 6) {
        v = v >> 16 * (sel - 4) & 0xffff;
        return sext ? (uint32_t)(int32_t)(int16_t)v : v;
    }
    return v;
}

static void change_signs(uint32_t *v, int lanes, uint32_t sign, bool abs, bool neg) {
    for (int l = 0; l < lanes; l++) {
        v[l] = abs ? v[l] & ~sign : v[l];
        v[l] = neg ? v[l] ^ sign : v[l];
    }
}

const uint32_t *amd_source(amd_wave *w, const amd_insn *in, int i, uint32_t room[LANES]) {
    uint16_t code = in->src[i];
    uint32_t flags = amd_ops[in->op].flags;
    int lanes = w->run->wave_lanes;
    const uint32_t *row = NULL;
    if (code == NO_OPERAND) {
        memset(room, 0, LANES * sizeof *room);
        return room;
    }
    if (code >= SRC_VGPR) {
        row = amd_row(w, code, i);
        if (i == 0 && in->dpp) {
            dpp_source(w, in, row, room);
            row = room;
        }
    } else {
        uint32_t v = amd_scalar(w, in, code);
        for (int l = 0; l < lanes; l++) {
            room[l] = v;
        }
        row = room;
    }
    bool part = in->sdwa && i < 2 && in->sel[i] != 6;
    bool high = (flags & AMD_OPSEL) && (in->opsel >> i & 1);
    bool abs = in->abs >> i & 1, neg = in->neg >> i & 1;
    uint32_t sign = flags & AMD_F32 ? 0x80000000u : flags & AMD_F16 ? 0x8000u : 0;
    if (!part && !high && !((abs || neg) && sign)) {
        return row;
    }
    for (int l = 0; l < lanes; l++) {
        uint32_t v = part ? part_of(row[l], in->sel[i], in->sext >> i & 1) : row[l];
        room[l] = high ? v >> 16 : v;
    }
    change_signs(room, lanes, sign, abs && sign, neg && sign);
    return room;
}

void amd_source64(amd_wave *w, const amd_insn *in, int i, int words, uint64_t out[LANES]) {
    uint16_t code = in->src[i];
    uint32_t flags = amd_ops[in->op].flags, room[LANES];
    int lanes = w->run->wave_lanes;
    if (words == 1) {
        const uint32_t *v = amd_source(w, in, i, room);
        for (int l = 0; l < lanes; l++) {
            out[l] = v[l];
        }
        return;
    }
    if (code >= SRC_VGPR && code != NO_OPERAND) {
        const uint32_t *low = amd_row(w, code, i), *high = amd_row(w, (uint16_t)(code + 1), i);
        for (int l = 0; l < lanes; l++) {
            out[l] = low[l] | (uint64_t)high[l] << 32;
        }
    } else {
        uint64_t v = code == NO_OPERAND ? 0 : amd_scalar64(w, in, code);
        for (int l = 0; l < lanes; l++) {
            out[l] = v;
        }
    }
    for (int l = 0; l < lanes && (flags & AMD_F64); l++) {
        out[l] = in->abs >> i & 1 ? out[l] & ~(UINT64_C(1) << 63) : out[l];
        out[l] = in->neg >> i & 1 ? out[l] ^ UINT64_C(1) << 63 : out[l];
    }
}

/* ---- results ------------------------------------------------------------------------------------
 */

static float scaled(float v, const amd_insn *in) {
    static const float factor[] = {1, 2, 4, 0.5f};
    v *= factor[in->omod & 3];
    return in->clamp ? (v > 0 ? v < 1 ? v : 1 : 0) : v;
}

static uint32_t finished(uint32_t v, const amd_insn *in, uint32_t flags) {
    if (in->omod == 0 && !in->clamp) {
        return v;
    }
    if (flags & AMD_F32) {
        return amd_of_f32(scaled(amd_as_f32(v), in));
    }
    return flags & AMD_F16 ? amd_f16_round((double)scaled(amd_f16_value((uint16_t)v), in)) : v;
}

/* SDWA: the part goes into a word whose rest is zero, the part's sign, or kept. */
static uint32_t placed(uint32_t old, uint32_t v, const amd_insn *in) {
    if (in->dst_sel >= 6) {
        return v;
    }
    uint32_t bits = in->dst_sel < 4 ? 8 : 16;
    uint32_t at = in->dst_sel < 4 ? 8u * in->dst_sel : 16u * (in->dst_sel - 4u);
    uint32_t ones = (1u << bits) - 1, low = v & ones;
    bool negative = low >> (bits - 1) & 1;
    uint32_t rest = in->dst_unused == 2                                 ? old & ~(ones << at)
                    : in->dst_unused == 1 && negative && at + bits < 32 ? ~0u << (at + bits)
                                                                        : 0;
    return rest | low << at;
}

void amd_result(amd_wave *w, const amd_insn *in, const uint32_t d[LANES], uint64_t lanes) {
    uint32_t *row = amd_row(w, in->dst, 3), flags = amd_ops[in->op].flags;
    bool plain = !in->sdwa && in->omod == 0 && !in->clamp && !(flags & AMD_OPSEL);
    bool whole = lanes == (w->run->wave_lanes == 32 ? UINT32_MAX : UINT64_MAX);
    if (plain && whole) {
        memcpy(row, d, (size_t)w->run->wave_lanes * sizeof *row);
        return;
    }
    for (int l = 0; l < w->run->wave_lanes; l++) {
        if (!(lanes >> l & 1)) {
            continue;
        }
        uint32_t v = plain ? d[l] : finished(d[l], in, flags);
        if (flags & AMD_OPSEL) {
            v = in->opsel & 8             ? (row[l] & 0xffff) | v << 16
                : w->run->generation == 1 ? (row[l] & 0xffff0000) | (v & 0xffff)
                                          : v & 0xffff;
        }
        row[l] = in->sdwa ? placed(row[l], v, in) : v;
    }
}

void amd_result64(amd_wave *w, const amd_insn *in, const uint64_t d[LANES], uint64_t lanes) {
    uint32_t *low = amd_row(w, in->dst, 3), *high = amd_row(w, (uint16_t)(in->dst + 1), 3);
    for (int l = 0; l < w->run->wave_lanes; l++) {
        if (lanes >> l & 1) {
            uint64_t v = d[l];
            if ((amd_ops[in->op].flags & AMD_F64) && (in->clamp || in->omod)) {
                static const double factor[] = {1, 2, 4, 0.5};
                double x = amd_as_f64(v) * factor[in->omod & 3];
                v = amd_of_f64(in->clamp ? (x > 0 ? x < 1 ? x : 1 : 0) : x);
            }
            low[l] = (uint32_t)v;
            high[l] = (uint32_t)(v >> 32);
        }
    }
}
