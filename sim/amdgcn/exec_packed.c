/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packed instructions (CDNA3 ISA 12.11): two halves of a word, or two words, at once; op_sel and
 * op_sel_hi say which half of each source the low and the high result take.
 */
#include <math.h>
#include <string.h>

#include "sim/amdgcn/amd.h"

/* ---- pairs of f32
 * ---------------------------------------------------------------------------------- */

static double within_one(double v) { return v > 0 ? v < 1 ? v : 1 : 0; }

static float part32(const amd_insn *in, int i, uint64_t v, bool high) {
    bool upper = (high ? in->opsel_hi : in->opsel) >> i & 1;
    float f = amd_as_f32((uint32_t)(upper ? v >> 32 : v));
    return (high ? in->neg_hi : in->neg) >> i & 1 ? -f : f;
}

static uint32_t bits32(const amd_insn *in, int i, uint64_t v) {
    return (uint32_t)(in->opsel >> i & 1 ? v >> 32 : v);
}

static bool pairs(amd_wave *w, const amd_insn *in) {
    uint64_t a[LANES], b[LANES], c[LANES], d[LANES] = {0};
    if (amd_ops[in->op].width[0] != 2 || amd_ops[in->op].width[1] != 2) {
        return false;
    }
    amd_source64(w, in, 0, 2, a);
    amd_source64(w, in, 1, 2, b);
    if (in->op == AMD_V_PK_FMA_F32) {
        amd_source64(w, in, 2, 2, c);
    }
    for (int l = 0; l < w->run->wave_lanes; l++) {
        if (in->op == AMD_V_PK_MOV_B32) {
            d[l] = bits32(in, 0, a[l]) | (uint64_t)bits32(in, 1, b[l]) << 32;
            continue;
        }
        for (int h = 0; h < 2; h++) {
            float x = part32(in, 0, a[l], h), y = part32(in, 1, b[l], h), r;
            if (in->op == AMD_V_PK_FMA_F32) {
                r = fmaf(x, y, part32(in, 2, c[l], h));
            } else {
                r = in->op == AMD_V_PK_MUL_F32 ? x * y : x + y;
            }
            d[l] |= (uint64_t)amd_of_f32(in->clamp ? (float)within_one((double)r) : r) << 32 * h;
        }
    }
    amd_result64(w, in, d, amd_exec(w));
    return true;
}

/* ---- halves
 * ---------------------------------------------------------------------------------------- */

static uint32_t part16(const amd_insn *in, int i, uint32_t v, bool high) {
    bool upper = (high ? in->opsel_hi : in->opsel) >> i & 1;
    return upper ? v >> 16 : v & 0xffff;
}

static double half_of(const amd_insn *in, int i, uint32_t v, bool high) {
    double f = (double)amd_f16_value((uint16_t)part16(in, i, v, high));
    return (high ? in->neg_hi : in->neg) >> i & 1 ? -f : f;
}

static bool float_half(const amd_insn *in, const uint32_t v[3], bool high, uint32_t *out) {
    double a = half_of(in, 0, v[0], high), b = half_of(in, 1, v[1], high),
           c = half_of(in, 2, v[2], high);
    double r;
    switch ((int)in->op) {
    case AMD_V_PK_FMA_F16:
        r = a * b + c;
        break;
    case AMD_V_PK_ADD_F16:
        r = a + b;
        break;
    case AMD_V_PK_MUL_F16:
        r = a * b;
        break;
    case AMD_V_PK_MIN_F16:
        r = fmin(a, b);
        break;
    case AMD_V_PK_MAX_F16:
        r = fmax(a, b);
        break;
    default:
        return false;
    }
    *out = amd_f16_round(in->clamp ? within_one(r) : r);
    return true;
}

/* With the clamp bit. */
static bool saturated_half(const amd_insn *in, const uint32_t v[3], bool high, uint32_t *out) {
    uint32_t a = part16(in, 0, v[0], high), b = part16(in, 1, v[1], high),
             c = part16(in, 2, v[2], high);
    int64_t x = (int16_t)a, y = (int16_t)b, z = (int16_t)c, ua = a, ub = b;
    switch ((int)in->op) {
    case AMD_V_PK_MAD_I16:
        *out = (uint32_t)amd_saturated(x * y + z, 16, true);
        return true;
    case AMD_V_PK_MAD_U16:
        *out = (uint32_t)amd_saturated(ua * ub + c, 16, false);
        return true;
    case AMD_V_PK_ADD_I16:
        *out = (uint32_t)amd_saturated(x + y, 16, true);
        return true;
    case AMD_V_PK_SUB_I16:
        *out = (uint32_t)amd_saturated(x - y, 16, true);
        return true;
    case AMD_V_PK_ADD_U16:
        *out = (uint32_t)amd_saturated(ua + ub, 16, false);
        return true;
    case AMD_V_PK_SUB_U16:
        *out = (uint32_t)amd_saturated(ua - ub, 16, false);
        return true;
    }
    return false;
}

static bool int_half(const amd_insn *in, const uint32_t v[3], bool high, uint32_t *out) {
    if (in->clamp) {
        return saturated_half(in, v, high, out);
    }
    uint32_t a = part16(in, 0, v[0], high), b = part16(in, 1, v[1], high),
             c = part16(in, 2, v[2], high);
    int16_t x = (int16_t)a, y = (int16_t)b;
    switch ((int)in->op) {
    case AMD_V_PK_MAD_I16:
    case AMD_V_PK_MAD_U16:
        *out = a * b + c;
        return true;
    case AMD_V_PK_MUL_LO_U16:
        *out = a * b;
        return true;
    case AMD_V_PK_ADD_I16:
    case AMD_V_PK_ADD_U16:
        *out = a + b;
        return true;
    case AMD_V_PK_SUB_I16:
    case AMD_V_PK_SUB_U16:
        *out = a - b;
        return true;
    case AMD_V_PK_LSHLREV_B16:
        *out = b << (a & 15);
        return true;
    case AMD_V_PK_LSHRREV_B16:
        *out = b >> (a & 15);
        return true;
    case AMD_V_PK_ASHRREV_I16:
        *out = (uint32_t)(y >> (a & 15));
        return true;
    case AMD_V_PK_MAX_I16:
        *out = x > y ? a : b;
        return true;
    case AMD_V_PK_MIN_I16:
        *out = x < y ? a : b;
        return true;
    case AMD_V_PK_MAX_U16:
        *out = a > b ? a : b;
        return true;
    case AMD_V_PK_MIN_U16:
        *out = a < b ? a : b;
        return true;
    }
    return false;
}

/* ---- mixed products and dot products
 * ----------------------------------------------------------------- */

/* A source of v_fma_mix: f32, or, where op_sel_hi says so, a half. */
static float mixed(const amd_insn *in, int i, uint32_t v) {
    float f = !(in->opsel_hi >> i & 1)
                  ? amd_as_f32(v)
                  : amd_f16_value((uint16_t)(in->opsel >> i & 1 ? v >> 16 : v));
    f = in->neg_hi >> i & 1 ? fabsf(f) : f;
    return in->neg >> i & 1 ? -f : f;
}

static bool mix(const amd_insn *in, const uint32_t v[3], uint32_t old, uint32_t *out) {
    float r = fmaf(mixed(in, 0, v[0]), mixed(in, 1, v[1]), mixed(in, 2, v[2]));
    r = in->clamp ? (float)within_one((double)r) : r;
    switch ((int)in->op) {
    case AMD_V_FMA_MIX_F32:
        *out = amd_of_f32(r);
        return true;
    case AMD_V_FMA_MIXLO_F16:
        *out = (old & 0xffff0000) | amd_f16_round((double)r);
        return true;
    case AMD_V_FMA_MIXHI_F16:
        *out = (old & 0xffff) | (uint32_t)amd_f16_round((double)r) << 16;
        return true;
    }
    return false;
}

static uint32_t dot_parts(const amd_insn *in, const uint32_t v[3], int bits, bool signed_a,
                          bool signed_b) {
    bool signed_sum = signed_a || signed_b;
    int64_t sum = signed_sum ? (int64_t)(int32_t)v[2] : (int64_t)v[2];
    int up = 32 - bits;
    for (int i = 0; i < 32; i += bits) {
        uint32_t x = v[0] << (up - i), y = v[1] << (up - i);
        int64_t p = signed_a ? (int32_t)x >> up : (int64_t)(x >> up);
        sum += p * (signed_b ? (int32_t)y >> up : (int64_t)(y >> up));
    }
    return (uint32_t)(in->clamp ? amd_saturated(sum, 32, signed_sum) : sum);
}

static bool dots(const amd_insn *in, const uint32_t v[3], uint32_t *out) {
    switch ((int)in->op) {
    case AMD_V_DOT2_F32_F16:
    case AMD_V_DOT2C_F32_F16:
        *out = amd_of_f32((float)((double)amd_as_f32(v[2]) +
                                  half_of(in, 0, v[0], false) * half_of(in, 1, v[1], false) +
                                  half_of(in, 0, v[0], true) * half_of(in, 1, v[1], true)));
        return true;
    case AMD_V_DOT4_U32_U8:
        *out = dot_parts(in, v, 8, false, false);
        return true;
    case AMD_V_DOT8_U32_U4:
        *out = dot_parts(in, v, 4, false, false);
        return true;
    case AMD_V_DOT2_U32_U16:
        *out = dot_parts(in, v, 16, false, false);
        return true;
    case AMD_V_DOT4_I32_I8:
    case AMD_V_DOT4C_I32_I8:
        *out = dot_parts(in, v, 8, true, true);
        return true;
    case AMD_V_DOT8_I32_I4:
    case AMD_V_DOT8C_I32_I4:
        *out = dot_parts(in, v, 4, true, true);
        return true;
    case AMD_V_DOT2_I32_I16:
    case AMD_V_DOT2C_I32_I16:
        *out = dot_parts(in, v, 16, true, true);
        return true;
    case AMD_V_DOT4_I32_IU8:
        *out = dot_parts(in, v, 8, in->neg & 1, in->neg >> 1 & 1);
        return true;
    case AMD_V_DOT8_I32_IU4:
        *out = dot_parts(in, v, 4, in->neg & 1, in->neg >> 1 & 1);
        return true;
    }
    return false;
}

bool amd_exec_packed(amd_wave *w, const amd_insn *in) {
    const amd_op_info *info = &amd_ops[in->op];
    bool dot = in->op == AMD_V_DOT2C_F32_F16 || in->op == AMD_V_DOT2C_I32_I16 ||
               in->op == AMD_V_DOT4C_I32_I8 || in->op == AMD_V_DOT8C_I32_I4;
    if (!dot && (!(info->flags & AMD_PACKED) || (info->flags & AMD_MATRIX))) {
        return false;
    }
    if (pairs(w, in)) {
        return true;
    }
    uint32_t room[3][LANES], d[LANES] = {0}, halves[2] = {0, 0};
    const uint32_t *s[3];
    for (int i = 0; i < 3; i++) {
        s[i] = amd_source(w, in, i, room[i]);
    }
    const uint32_t *old = amd_row(w, in->dst, 3);
    for (int l = 0; l < w->run->wave_lanes; l++) {
        uint32_t v[3] = {s[0][l], s[1][l], s[2][l]};
        if (mix(in, v, old[l], &d[l]) || dots(in, v, &d[l])) {
            continue;
        }
        for (int h = 0; h < 2; h++) {
            if (!float_half(in, v, h, &halves[h]) && !int_half(in, v, h, &halves[h])) {
                return false;
            }
        }
        d[l] = (halves[0] & 0xffff) | halves[1] << 16;
    }
    amd_result(w, in, d, amd_exec(w));
    return true;
}
