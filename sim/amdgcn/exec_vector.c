/* SPDX-License-Identifier: Apache-2.0 */
/* Vector instructions on words that are not floats, and those between lanes (CDNA3 ISA 12.6
 * to 12.9). */
#include <math.h>
#include <string.h>

#include "sim/amdgcn/amd.h"

/* ---- lanes
 * --------------------------------------------------------------------------------------- */

static uint32_t first_lane(const amd_wave *w) {
    uint64_t e = amd_exec(w);
    return e ? (uint32_t)__builtin_ctzll(e) : 0;
}

static void read_lane(amd_wave *w, const amd_insn *in) {
    uint32_t room[LANES];
    const uint32_t *a = amd_source(w, in, 0, room);
    uint32_t l = in->op == AMD_V_READLANE_B32 ? amd_scalar(w, in, in->src[1]) : first_lane(w);
    amd_set_scalar(w, in->dst, a[l & (uint32_t)(w->run->wave_lanes - 1)]);
}

static void count_lanes(amd_wave *w, const amd_insn *in) {
    uint32_t ra[LANES], rb[LANES], d[LANES] = {0};
    const uint32_t *a = amd_source(w, in, 0, ra), *b = amd_source(w, in, 1, rb);
    bool high = in->op == AMD_V_MBCNT_HI_U32_B32;
    for (int l = 0; l < w->run->wave_lanes; l++) {
        uint64_t below = (UINT64_C(1) << l) - 1;
        uint32_t mask = (uint32_t)(high ? below >> 32 : below);
        d[l] = b[l] + (uint32_t)__builtin_popcount(a[l] & mask);
    }
    amd_result(w, in, d, amd_active(w, in));
}

static void choose(amd_wave *w, const amd_insn *in) {
    uint32_t ra[LANES], rb[LANES], d[LANES] = {0};
    const uint32_t *a = amd_source(w, in, 0, ra), *b = amd_source(w, in, 1, rb);
    uint64_t mask = amd_mask(w, in->src[2]);
    for (int l = 0; l < w->run->wave_lanes; l++) {
        d[l] = mask >> l & 1 ? b[l] : a[l];
    }
    amd_result(w, in, d, amd_active(w, in));
}

/* Lanes of a row by a number of four bits each; of the other row of its pair (permlanex). */
static void permute_rows(amd_wave *w, const amd_insn *in) {
    uint32_t room[LANES], d[LANES] = {0};
    const uint32_t *a = amd_source(w, in, 0, room);
    uint64_t which = amd_scalar(w, in, in->src[1]) | (uint64_t)amd_scalar(w, in, in->src[2]) << 32;
    int other = in->op == AMD_V_PERMLANEX16_B32 ? 16 : 0;
    for (int l = 0; l < w->run->wave_lanes; l++) {
        d[l] = a[((l & ~15) ^ other) + (int)(which >> 4 * (l & 15) & 15)];
    }
    amd_result(w, in, d, amd_active(w, in));
}

static void swap_rows(amd_wave *w, const amd_insn *in) {
    uint32_t *a = amd_row(w, in->src[0], 0), *d = amd_row(w, in->dst, 3);
    uint64_t lanes = amd_exec(w);
    for (int l = 0; l < w->run->wave_lanes; l++) {
        if (lanes >> l & 1) {
            uint32_t old = d[l];
            d[l] = a[l];
            a[l] = old;
        }
    }
}

/* A register whose number M0 adds to (RDNA3 ISA 16.8). */
static void relative(amd_wave *w, const amd_insn *in) {
    uint32_t room[LANES], m0 = w->s[125] & 0xff;
    amd_insn at = *in;
    if (in->op == AMD_V_MOVRELS_B32) {
        at.src[0] = (uint16_t)(in->src[0] + m0);
    } else {
        at.dst = (uint16_t)(in->dst + m0);
    }
    const uint32_t *a = amd_source(w, &at, 0, room);
    amd_result(w, &at, a, amd_exec(w));
}

bool amd_exec_lanes(amd_wave *w, const amd_insn *in) {
    switch ((int)in->op) {
    case AMD_V_READLANE_B32:
    case AMD_V_READFIRSTLANE_B32:
        read_lane(w, in);
        return true;
    case AMD_V_WRITELANE_B32: {
        uint32_t l = amd_scalar(w, in, in->src[1]) & (uint32_t)(w->run->wave_lanes - 1);
        amd_row(w, in->dst, 3)[l] = amd_scalar(w, in, in->src[0]);
        return true;
    }
    case AMD_V_MBCNT_LO_U32_B32:
    case AMD_V_MBCNT_HI_U32_B32:
        count_lanes(w, in);
        return true;
    case AMD_V_CNDMASK_B32:
    case AMD_V_CNDMASK_B16:
        choose(w, in);
        return true;
    case AMD_V_PERMLANE16_B32:
    case AMD_V_PERMLANEX16_B32:
        permute_rows(w, in);
        return true;
    case AMD_V_SWAP_B32:
        swap_rows(w, in);
        return true;
    case AMD_V_MOVRELS_B32:
    case AMD_V_MOVRELD_B32:
        relative(w, in);
        return true;
    }
    return false;
}

/* ---- carries
 * ------------------------------------------------------------------------------------- */

static bool carries(amd_wave *w, const amd_insn *in) {
    uint32_t flags = amd_ops[in->op].flags, ra[LANES], rb[LANES], d[LANES] = {0};
    if (!(flags & AMD_CARRY_OUT)) {
        return false;
    }
    const uint32_t *a = amd_source(w, in, 0, ra), *b = amd_source(w, in, 1, rb);
    uint64_t carry = flags & AMD_CARRY_IN ? amd_mask(w, in->src[2]) : 0, out = 0;
    uint64_t lanes = amd_active(w, in);
    bool add =
        in->op == AMD_V_ADD_CO_U32 || in->op == AMD_V_ADDC_CO_U32 || in->op == AMD_V_ADD_CO_U32_E64;
    bool turned = in->op == AMD_V_SUBREV_CO_U32 || in->op == AMD_V_SUBBREV_CO_U32 ||
                  in->op == AMD_V_SUBREV_CO_U32_E64;
    for (int l = 0; l < w->run->wave_lanes; l++) {
        uint64_t x = turned ? b[l] : a[l], y = turned ? a[l] : b[l], c = carry >> l & 1;
        uint64_t r = add ? x + y + c : x - y - c;
        d[l] = (uint32_t)r;
        out |= (lanes >> l & r >> 32 & 1) << l;
    }
    amd_result(w, in, d, lanes);
    amd_set_mask(w, in->sdst, out);
    return true;
}

/* ---- words
 * --------------------------------------------------------------------------------------- */

static int32_t i24(uint32_t v) { return (int32_t)(v << 8) >> 8; }
static uint32_t u24(uint32_t v) { return v & 0xffffff; }
static uint32_t min_u(uint32_t a, uint32_t b) { return a < b ? a : b; }
static uint32_t max_u(uint32_t a, uint32_t b) { return a > b ? a : b; }
static uint32_t min_i(uint32_t a, uint32_t b) { return (int32_t)a < (int32_t)b ? a : b; }
static uint32_t max_i(uint32_t a, uint32_t b) { return (int32_t)a > (int32_t)b ? a : b; }

static uint32_t bits_of(uint32_t v, uint32_t at, uint32_t n, bool is_signed) {
    at &= 31;
    n &= 31;
    if (n == 0) {
        return 0;
    }
    n = at + n > 32 ? 32 - at : n;
    uint32_t up = v << (32 - at - n);
    return is_signed ? (uint32_t)((int32_t)up >> (32 - n)) : up >> (32 - n);
}

/* v_perm_b32: a selector a byte (CDNA3 ISA 12.13). */
static uint32_t permuted(uint32_t a, uint32_t b, uint32_t select) {
    uint64_t bytes = (uint64_t)a << 32 | b;
    uint32_t out = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t s = select >> 8 * i & 0xff, v;
        if (s >= 13) {
            v = 0xff;
        } else if (s == 12) {
            v = 0;
        } else if (s >= 8) {
            v = bytes >> (16 * (s - 8) + 15) & 1 ? 0xff : 0;
        } else {
            v = bytes >> 8 * s & 0xff;
        }
        out |= v << 8 * i;
    }
    return out;
}

/* Differences of parts of so many bits; masked: but where b's is zero. */
static uint32_t differences(uint32_t a, uint32_t b, int bits, bool masked) {
    uint32_t ones = (1u << bits) - 1, sum = 0;
    for (int i = 0; i < 32; i += bits) {
        uint32_t x = a >> i & ones, y = b >> i & ones;
        sum += masked && y == 0 ? 0 : x > y ? x - y : y - x;
    }
    return sum;
}

/* Means of bytes; a bit a byte says whether a half is rounded up. */
static uint32_t means(uint32_t a, uint32_t b, uint32_t up) {
    uint32_t out = 0;
    for (int i = 0; i < 32; i += 8) {
        out |= ((a >> i & 0xff) + (b >> i & 0xff) + (up >> i & 1)) / 2 << i;
    }
    return out;
}

static uint32_t with_byte(float v, uint32_t which, uint32_t word) {
    uint32_t byte = !(v > 0) ? 0 : v >= 255 ? 255 : (uint32_t)nearbyintf(v), at = 8 * (which & 3);
    return (word & ~(0xffu << at)) | byte << at;
}

static uint32_t saturated16(int64_t v, bool is_signed) {
    return (uint32_t)amd_saturated(v, 16, is_signed) & 0xffff;
}

#define EACH(expression)                                                                           \
    for (int l = 0; l < n; l++) {                                                                  \
        d[l] = (expression);                                                                       \
    }                                                                                              \
    return true

/* One or two sources. */
static bool simple(int op, int n, const uint32_t *a, const uint32_t *b, uint32_t *d) {
    switch (op) {
    case AMD_V_MOV_B32:
    case AMD_V_ACCVGPR_MOV_B32:
    case AMD_V_ACCVGPR_READ_B32:
    case AMD_V_ACCVGPR_WRITE_B32:
        EACH(a[l]);
    case AMD_V_NOT_B32:
        EACH(~a[l]);
    case AMD_V_BFREV_B32:
        EACH(amd_reversed(a[l]));
    case AMD_V_FFBH_U32:
        EACH(a[l] ? (uint32_t)__builtin_clz(a[l]) : UINT32_MAX);
    case AMD_V_FFBL_B32:
        EACH(a[l] ? (uint32_t)__builtin_ctz(a[l]) : UINT32_MAX);
    case AMD_V_FFBH_I32:
        EACH(a[l] == 0 || a[l] == UINT32_MAX
                 ? UINT32_MAX
                 : (uint32_t)__builtin_clz((int32_t)a[l] < 0 ? ~a[l] : a[l]));
    case AMD_V_ADD_U32:
    case AMD_V_ADD_I32:
        EACH(a[l] + b[l]);
    case AMD_V_SUB_U32:
    case AMD_V_SUB_I32:
        EACH(a[l] - b[l]);
    case AMD_V_SUBREV_U32:
        EACH(b[l] - a[l]);
    case AMD_V_MUL_LO_U32:
        EACH(a[l] * b[l]);
    case AMD_V_MUL_HI_U32:
        EACH((uint32_t)((uint64_t)a[l] * b[l] >> 32));
    case AMD_V_MUL_HI_I32:
        EACH((uint32_t)((int64_t)(int32_t)a[l] * (int32_t)b[l] >> 32));
    case AMD_V_MUL_I32_I24:
        EACH((uint32_t)(i24(a[l]) * (int64_t)i24(b[l])));
    case AMD_V_MUL_HI_I32_I24:
        EACH((uint32_t)(i24(a[l]) * (int64_t)i24(b[l]) >> 32));
    case AMD_V_MUL_U32_U24:
        EACH(u24(a[l]) * u24(b[l]));
    case AMD_V_MUL_HI_U32_U24:
        EACH((uint32_t)((uint64_t)u24(a[l]) * u24(b[l]) >> 32));
    case AMD_V_MIN_I32:
        EACH(min_i(a[l], b[l]));
    case AMD_V_MAX_I32:
        EACH(max_i(a[l], b[l]));
    case AMD_V_MIN_U32:
        EACH(min_u(a[l], b[l]));
    case AMD_V_MAX_U32:
        EACH(max_u(a[l], b[l]));
    case AMD_V_LSHRREV_B32:
        EACH(b[l] >> (a[l] & 31));
    case AMD_V_ASHRREV_I32:
        EACH((uint32_t)((int32_t)b[l] >> (a[l] & 31)));
    case AMD_V_LSHLREV_B32:
        EACH(b[l] << (a[l] & 31));
    case AMD_V_AND_B32:
        EACH(a[l] & b[l]);
    case AMD_V_OR_B32:
        EACH(a[l] | b[l]);
    case AMD_V_XOR_B32:
        EACH(a[l] ^ b[l]);
    case AMD_V_XNOR_B32:
        EACH(~(a[l] ^ b[l]));
    case AMD_V_BCNT_U32_B32:
        EACH((uint32_t)__builtin_popcount(a[l]) + b[l]);
    case AMD_V_BFM_B32:
        EACH(((1u << (a[l] & 31)) - 1) << (b[l] & 31));
    case AMD_V_PACK_B32_F16:
        EACH((a[l] & 0xffff) | b[l] << 16);
    case AMD_V_CVT_PK_U16_U32:
        EACH(saturated16((int64_t)a[l], false) | saturated16((int64_t)b[l], false) << 16);
    case AMD_V_CVT_PK_I16_I32:
        EACH(saturated16((int32_t)a[l], true) | saturated16((int32_t)b[l], true) << 16);
    }
    return false;
}

static bool three(int op, int n, const uint32_t *a, const uint32_t *b, const uint32_t *c,
                  uint32_t *d) {
    switch (op) {
    case AMD_V_MAD_I32_I24:
        EACH((uint32_t)(i24(a[l]) * (int64_t)i24(b[l])) + c[l]);
    case AMD_V_MAD_U32_U24:
        EACH(u24(a[l]) * u24(b[l]) + c[l]);
    case AMD_V_MAD_U32_U16:
        EACH((a[l] & 0xffff) * (b[l] & 0xffff) + c[l]);
    case AMD_V_MAD_I32_I16:
        EACH((uint32_t)((int16_t)a[l] * (int16_t)b[l]) + c[l]);
    case AMD_V_BFE_U32:
        EACH(bits_of(a[l], b[l], c[l], false));
    case AMD_V_BFE_I32:
        EACH(bits_of(a[l], b[l], c[l], true));
    case AMD_V_BFI_B32:
        EACH((a[l] & b[l]) | (~a[l] & c[l]));
    case AMD_V_ALIGNBIT_B32:
        EACH((uint32_t)(((uint64_t)a[l] << 32 | b[l]) >> (c[l] & 31)));
    case AMD_V_ALIGNBYTE_B32:
        EACH((uint32_t)(((uint64_t)a[l] << 32 | b[l]) >> 8 * (c[l] & 3)));
    case AMD_V_MIN3_I32:
        EACH(min_i(min_i(a[l], b[l]), c[l]));
    case AMD_V_MIN3_U32:
        EACH(min_u(min_u(a[l], b[l]), c[l]));
    case AMD_V_MAX3_I32:
        EACH(max_i(max_i(a[l], b[l]), c[l]));
    case AMD_V_MAX3_U32:
        EACH(max_u(max_u(a[l], b[l]), c[l]));
    case AMD_V_MED3_I32:
        EACH(max_i(min_i(a[l], b[l]), min_i(max_i(a[l], b[l]), c[l])));
    case AMD_V_MED3_U32:
        EACH(max_u(min_u(a[l], b[l]), min_u(max_u(a[l], b[l]), c[l])));
    case AMD_V_MINMAX_I32:
        EACH(max_i(min_i(a[l], b[l]), c[l]));
    case AMD_V_MAXMIN_I32:
        EACH(min_i(max_i(a[l], b[l]), c[l]));
    case AMD_V_MINMAX_U32:
        EACH(max_u(min_u(a[l], b[l]), c[l]));
    case AMD_V_MAXMIN_U32:
        EACH(min_u(max_u(a[l], b[l]), c[l]));
    case AMD_V_SAD_U32:
        EACH((a[l] > b[l] ? a[l] - b[l] : b[l] - a[l]) + c[l]);
    case AMD_V_SAD_U8:
        EACH(differences(a[l], b[l], 8, false) + c[l]);
    case AMD_V_SAD_HI_U8:
        EACH((differences(a[l], b[l], 8, false) << 16) + c[l]);
    case AMD_V_SAD_U16:
        EACH(differences(a[l], b[l], 16, false) + c[l]);
    case AMD_V_MSAD_U8:
        EACH(differences(a[l], b[l], 8, true) + c[l]);
    case AMD_V_LERP_U8:
        EACH(means(a[l], b[l], c[l]));
    case AMD_V_CVT_PK_U8_F32:
        EACH(with_byte(amd_as_f32(a[l]), b[l], c[l]));
    case AMD_V_PERM_B32:
        EACH(permuted(a[l], b[l], c[l]));
    case AMD_V_XAD_U32:
        EACH((a[l] ^ b[l]) + c[l]);
    case AMD_V_XOR3_B32:
        EACH(a[l] ^ b[l] ^ c[l]);
    case AMD_V_LSHL_ADD_U32:
        EACH((a[l] << (b[l] & 31)) + c[l]);
    case AMD_V_ADD_LSHL_U32:
        EACH((a[l] + b[l]) << (c[l] & 31));
    case AMD_V_ADD3_U32:
        EACH(a[l] + b[l] + c[l]);
    case AMD_V_LSHL_OR_B32:
        EACH((a[l] << (b[l] & 31)) | c[l]);
    case AMD_V_AND_OR_B32:
        EACH((a[l] & b[l]) | c[l]);
    case AMD_V_OR3_B32:
        EACH(a[l] | b[l] | c[l]);
    }
    return false;
}

/* Halves: the rest of the word is zero on GFX9 and kept on GFX11, where amd_result sees to it. */
static bool halves(int op, int n, const uint32_t *a, const uint32_t *b, const uint32_t *c,
                   uint32_t *d) {
    switch (op) {
    case AMD_V_ADD_U16:
    case AMD_V_ADD_I16:
    case AMD_V_ADD_NC_U16_E64:
        EACH((a[l] + b[l]) & 0xffff);
    case AMD_V_SUB_U16:
    case AMD_V_SUB_I16:
    case AMD_V_SUB_NC_U16_E64:
        EACH((a[l] - b[l]) & 0xffff);
    case AMD_V_SUBREV_U16:
        EACH((b[l] - a[l]) & 0xffff);
    case AMD_V_MUL_LO_U16:
    case AMD_V_MUL_LO_U16_E64:
        EACH((a[l] & 0xffff) * (b[l] & 0xffff) & 0xffff);
    case AMD_V_LSHLREV_B16:
    case AMD_V_LSHLREV_B16_E64:
        EACH((b[l] & 0xffff) << (a[l] & 15) & 0xffff);
    case AMD_V_LSHRREV_B16:
    case AMD_V_LSHRREV_B16_E64:
        EACH((b[l] & 0xffff) >> (a[l] & 15));
    case AMD_V_ASHRREV_I16:
    case AMD_V_ASHRREV_I16_E64:
        EACH((uint32_t)((int16_t)b[l] >> (a[l] & 15)) & 0xffff);
    case AMD_V_MAX_U16:
    case AMD_V_MAX_U16_E64:
        EACH(max_u(a[l] & 0xffff, b[l] & 0xffff));
    case AMD_V_MIN_U16:
    case AMD_V_MIN_U16_E64:
        EACH(min_u(a[l] & 0xffff, b[l] & 0xffff));
    case AMD_V_MAX_I16:
    case AMD_V_MAX_I16_E64:
        EACH((int16_t)a[l] > (int16_t)b[l] ? a[l] & 0xffff : b[l] & 0xffff);
    case AMD_V_MIN_I16:
    case AMD_V_MIN_I16_E64:
        EACH((int16_t)a[l] < (int16_t)b[l] ? a[l] & 0xffff : b[l] & 0xffff);
    case AMD_V_AND_B16:
        EACH(a[l] & b[l] & 0xffff);
    case AMD_V_OR_B16:
        EACH((a[l] | b[l]) & 0xffff);
    case AMD_V_XOR_B16:
        EACH((a[l] ^ b[l]) & 0xffff);
    case AMD_V_MAD_U16:
    case AMD_V_MAD_LEGACY_U16:
    case AMD_V_MAD_LEGACY_I16:
    case AMD_V_MAD_I16:
        EACH(((a[l] & 0xffff) * (b[l] & 0xffff) + c[l]) & 0xffff);
    case AMD_V_MIN3_I16:
        EACH(min_i(min_i((uint32_t)(int16_t)a[l], (uint32_t)(int16_t)b[l]),
                   (uint32_t)(int16_t)c[l]) &
             0xffff);
    case AMD_V_MAX3_I16:
        EACH(max_i(max_i((uint32_t)(int16_t)a[l], (uint32_t)(int16_t)b[l]),
                   (uint32_t)(int16_t)c[l]) &
             0xffff);
    case AMD_V_MED3_I16:
        EACH(max_i(min_i((uint32_t)(int16_t)a[l], (uint32_t)(int16_t)b[l]),
                   min_i(max_i((uint32_t)(int16_t)a[l], (uint32_t)(int16_t)b[l]),
                         (uint32_t)(int16_t)c[l])) &
             0xffff);
    case AMD_V_MIN3_U16:
        EACH(min_u(min_u(a[l] & 0xffff, b[l] & 0xffff), c[l] & 0xffff) & 0xffff);
    case AMD_V_MAX3_U16:
        EACH(max_u(max_u(a[l] & 0xffff, b[l] & 0xffff), c[l] & 0xffff) & 0xffff);
    case AMD_V_MED3_U16:
        EACH(max_u(min_u(a[l] & 0xffff, b[l] & 0xffff),
                   min_u(max_u(a[l] & 0xffff, b[l] & 0xffff), c[l] & 0xffff)) &
             0xffff);
    }
    return false;
}

bool amd_exec_integer(amd_wave *w, const amd_insn *in) {
    const amd_op_info *info = &amd_ops[in->op];
    uint32_t ra[LANES], rb[LANES], rc[LANES], d[LANES] = {0};
    if (in->clamp && !(info->flags & (AMD_F32 | AMD_F64 | AMD_F16))) {
        return amd_exec_saturated(w, in);
    }
    if (carries(w, in)) {
        return true;
    }
    if (info->width[0] > 1 || info->width[1] > 1 || (info->flags & (AMD_F32 | AMD_F64 | AMD_F16))) {
        return false;
    }
    const uint32_t *a = amd_source(w, in, 0, ra), *b = amd_source(w, in, 1, rb);
    int n = w->run->wave_lanes;
    if (!simple(in->op, n, a, b, d)) {
        const uint32_t *c = amd_source(w, in, 2, rc);
        if (!three(in->op, n, a, b, c, d) && !halves(in->op, n, a, b, c, d)) {
            return false;
        }
    }
    amd_result(w, in, d, amd_active(w, in));
    return true;
}
