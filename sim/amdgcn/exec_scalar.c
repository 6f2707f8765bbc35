/* SPDX-License-Identifier: Apache-2.0 */
/* Scalar instructions (CDNA3 ISA 5, 12.1 to 12.5). */
#include "sim/amdgcn/amd.h"

enum { AMD_EXEC = SRC_EXEC };

static uint32_t field_of(uint32_t v, uint32_t at, uint32_t width) {
    at &= 31;
    return width == 0 ? 0 : width + at >= 32 ? v >> at : v >> at & ((1u << width) - 1);
}

static int32_t signed_field(uint32_t v, uint32_t at, uint32_t width) {
    at &= 31;
    if (width == 0) {
        return 0;
    }
    uint32_t n = width + at >= 32 ? 32 - at : width;
    return (int32_t)(v << (32 - at - n)) >> (32 - n);
}

static bool adds(amd_wave *w, const amd_insn *in, uint32_t a, uint32_t b) {
    uint64_t sum;
    uint32_t d;
    switch ((int)in->op) {
    case AMD_S_ADD_U32:
    case AMD_S_ADDC_U32:
        sum = (uint64_t)a + b + (in->op == AMD_S_ADDC_U32 && w->scc);
        d = (uint32_t)sum;
        w->scc = sum >> 32 != 0;
        break;
    case AMD_S_SUB_U32:
    case AMD_S_SUBB_U32:
        sum = (uint64_t)b + (in->op == AMD_S_SUBB_U32 && w->scc);
        d = a - (uint32_t)sum;
        w->scc = sum > a;
        break;
    case AMD_S_ADD_I32:
        d = a + b;
        w->scc = ((a ^ d) & (b ^ d)) >> 31;
        break;
    case AMD_S_SUB_I32:
        d = a - b;
        w->scc = ((a ^ b) & (a ^ d)) >> 31;
        break;
    case AMD_S_LSHL1_ADD_U32:
    case AMD_S_LSHL2_ADD_U32:
    case AMD_S_LSHL3_ADD_U32:
    case AMD_S_LSHL4_ADD_U32:
        sum = ((uint64_t)a << (in->op - AMD_S_LSHL1_ADD_U32 + 1)) + b;
        d = (uint32_t)sum;
        w->scc = sum >> 32 != 0;
        break;
    default:
        return false;
    }
    amd_set_scalar(w, in->dst, d);
    return true;
}

/* Results that leave the condition alone, and those whose condition is: not zero. */
static bool two32(amd_wave *w, const amd_insn *in, uint32_t a, uint32_t b) {
    uint32_t d;
    bool keep = false;
    switch ((int)in->op) {
    case AMD_S_MIN_I32:
        d = (int32_t)a < (int32_t)b ? a : b;
        w->scc = (int32_t)a < (int32_t)b;
        keep = true;
        break;
    case AMD_S_MIN_U32:
        d = a < b ? a : b;
        w->scc = a < b;
        keep = true;
        break;
    case AMD_S_MAX_I32:
        d = (int32_t)a > (int32_t)b ? a : b;
        w->scc = (int32_t)a > (int32_t)b;
        keep = true;
        break;
    case AMD_S_MAX_U32:
        d = a > b ? a : b;
        w->scc = a > b;
        keep = true;
        break;
    case AMD_S_CSELECT_B32:
        d = w->scc ? a : b;
        keep = true;
        break;
    case AMD_S_AND_B32:
        d = a & b;
        break;
    case AMD_S_OR_B32:
        d = a | b;
        break;
    case AMD_S_XOR_B32:
        d = a ^ b;
        break;
    case AMD_S_ANDN2_B32:
        d = a & ~b;
        break;
    case AMD_S_ORN2_B32:
        d = a | ~b;
        break;
    case AMD_S_NAND_B32:
        d = ~(a & b);
        break;
    case AMD_S_NOR_B32:
        d = ~(a | b);
        break;
    case AMD_S_XNOR_B32:
        d = ~(a ^ b);
        break;
    case AMD_S_LSHL_B32:
        d = a << (b & 31);
        break;
    case AMD_S_LSHR_B32:
        d = a >> (b & 31);
        break;
    case AMD_S_ASHR_I32:
        d = (uint32_t)((int32_t)a >> (b & 31));
        break;
    case AMD_S_BFM_B32:
        d = ((1u << (a & 31)) - 1) << (b & 31);
        keep = true;
        break;
    case AMD_S_MUL_I32:
        d = a * b;
        keep = true;
        break;
    case AMD_S_MUL_HI_U32:
        d = (uint32_t)((uint64_t)a * b >> 32);
        keep = true;
        break;
    case AMD_S_MUL_HI_I32:
        d = (uint32_t)((int64_t)(int32_t)a * (int32_t)b >> 32);
        keep = true;
        break;
    case AMD_S_BFE_U32:
        d = field_of(a, b, b >> 16 & 0x7f);
        break;
    case AMD_S_BFE_I32:
        d = (uint32_t)signed_field(a, b, b >> 16 & 0x7f);
        break;
    case AMD_S_PACK_LL_B32_B16:
        d = (a & 0xffff) | b << 16;
        keep = true;
        break;
    case AMD_S_PACK_LH_B32_B16:
        d = (a & 0xffff) | (b & 0xffff0000);
        keep = true;
        break;
    case AMD_S_PACK_HH_B32_B16:
        d = a >> 16 | (b & 0xffff0000);
        keep = true;
        break;
    default:
        return false;
    }
    w->scc = keep ? w->scc : d != 0;
    amd_set_scalar(w, in->dst, d);
    return true;
}

static bool logic64(int op, uint64_t a, uint64_t b, uint64_t *out) {
    switch (op) {
    case AMD_S_AND_B64:
        *out = a & b;
        return true;
    case AMD_S_OR_B64:
        *out = a | b;
        return true;
    case AMD_S_XOR_B64:
        *out = a ^ b;
        return true;
    case AMD_S_ANDN2_B64:
        *out = a & ~b;
        return true;
    case AMD_S_ORN2_B64:
        *out = a | ~b;
        return true;
    case AMD_S_NAND_B64:
        *out = ~(a & b);
        return true;
    case AMD_S_NOR_B64:
        *out = ~(a | b);
        return true;
    case AMD_S_XNOR_B64:
        *out = ~(a ^ b);
        return true;
    }
    return false;
}

static uint64_t field64(uint64_t v, uint32_t b, bool is_signed) {
    uint32_t at = b & 63, width = b >> 16 & 0x7f;
    if (width == 0) {
        return 0;
    }
    uint32_t n = width + at >= 64 ? 64 - at : width;
    uint64_t up = v << (64 - at - n);
    return is_signed ? (uint64_t)((int64_t)up >> (64 - n)) : up >> (64 - n);
}

static bool two64(amd_wave *w, const amd_insn *in) {
    if (amd_ops[in->op].format != AMD_SOP2 || amd_ops[in->op].width[0] != 2) {
        return false;
    }
    uint64_t a = amd_scalar64(w, in, in->src[0]), d = 0;
    if (amd_ops[in->op].width[2] == 2) {
        uint64_t b = amd_scalar64(w, in, in->src[1]);
        if (in->op == AMD_S_CSELECT_B64) {
            amd_set_scalar64(w, in->dst, w->scc ? a : b);
            return true;
        }
        if (!logic64(in->op, a, b, &d)) {
            return false;
        }
    } else {
        uint32_t b = amd_scalar(w, in, in->src[1]);
        switch ((int)in->op) {
        case AMD_S_LSHL_B64:
            d = a << (b & 63);
            break;
        case AMD_S_LSHR_B64:
            d = a >> (b & 63);
            break;
        case AMD_S_ASHR_I64:
            d = (uint64_t)((int64_t)a >> (b & 63));
            break;
        case AMD_S_BFE_U64:
        case AMD_S_BFE_I64:
            d = field64(a, b, in->op == AMD_S_BFE_I64);
            break;
        default:
            return false;
        }
    }
    w->scc = d != 0;
    amd_set_scalar64(w, in->dst, d);
    return true;
}

/* ---- one source ---------------------------------------------------------------------------------
 */

/* Bits from the top on that are as the sign; -1: all of them. */
static uint32_t sign_bits(int64_t v, int bits) {
    uint64_t x = (uint64_t)(v < 0 ? ~v : v);
    if (x == 0) {
        return UINT32_MAX;
    }
    return (uint32_t)(__builtin_clzll(x) - (64 - bits));
}

static bool one32(amd_wave *w, const amd_insn *in) {
    const uint8_t *width = amd_ops[in->op].width;
    if (amd_ops[in->op].format != AMD_SOP1 || width[0] != 1) {
        return false;
    }
    uint64_t a = width[1] == 2 ? amd_scalar64(w, in, in->src[0]) : amd_scalar(w, in, in->src[0]);
    uint32_t x = (uint32_t)a, d, bits = width[1] == 2 ? 64 : 32;
    bool set = false;
    switch ((int)in->op) {
    case AMD_S_MOV_B32:
        d = x;
        break;
    case AMD_S_CMOV_B32:
        if (!w->scc) {
            return true;
        }
        d = x;
        break;
    case AMD_S_NOT_B32:
        d = ~x;
        set = true;
        break;
    case AMD_S_BREV_B32:
        d = amd_reversed(x);
        break;
    case AMD_S_BCNT0_I32_B32:
    case AMD_S_BCNT0_I32_B64:
        d = bits - (uint32_t)__builtin_popcountll(a);
        set = true;
        break;
    case AMD_S_BCNT1_I32_B32:
    case AMD_S_BCNT1_I32_B64:
        d = (uint32_t)__builtin_popcountll(a);
        set = true;
        break;
    case AMD_S_FF1_I32_B32:
    case AMD_S_FF1_I32_B64:
        d = a ? (uint32_t)__builtin_ctzll(a) : UINT32_MAX;
        break;
    case AMD_S_FLBIT_I32_B32:
    case AMD_S_FLBIT_I32_B64:
        d = a ? (uint32_t)__builtin_clzll(a) - (64 - bits) : UINT32_MAX;
        break;
    case AMD_S_FLBIT_I32:
        d = sign_bits((int32_t)x, 32);
        break;
    case AMD_S_FLBIT_I32_I64:
        d = sign_bits((int64_t)a, 64);
        break;
    case AMD_S_SEXT_I32_I8:
        d = (uint32_t)(int32_t)(int8_t)x;
        break;
    case AMD_S_SEXT_I32_I16:
        d = (uint32_t)(int32_t)(int16_t)x;
        break;
    case AMD_S_BITSET0_B32:
        d = amd_scalar(w, in, in->dst) & ~(1u << (x & 31));
        break;
    case AMD_S_BITSET1_B32:
        d = amd_scalar(w, in, in->dst) | 1u << (x & 31);
        break;
    case AMD_S_ABS_I32:
        d = (int32_t)x < 0 ? 0u - x : x;
        set = true;
        break;
    case AMD_S_AND_SAVEEXEC_B32:
    case AMD_S_OR_SAVEEXEC_B32:
    case AMD_S_XOR_SAVEEXEC_B32:
    case AMD_S_AND_NOT1_SAVEEXEC_B32:
    case AMD_S_OR_NOT1_SAVEEXEC_B32:
    case AMD_S_NAND_SAVEEXEC_B32:
    case AMD_S_NOR_SAVEEXEC_B32:
    case AMD_S_XNOR_SAVEEXEC_B32:
    case AMD_S_AND_NOT0_SAVEEXEC_B32:
    case AMD_S_OR_NOT0_SAVEEXEC_B32:
        return false; /* exec_mask */
    case AMD_S_MOVRELS_B32:
        d = amd_scalar(w, in,
                       (uint16_t)(in->src[0] + (w->s[w->run->generation ? 125 : 124] & 0x7f)));
        break;
    case AMD_S_MOVRELD_B32:
        amd_set_scalar(w, (uint16_t)(in->dst + (w->s[w->run->generation ? 125 : 124] & 0x7f)), x);
        return true;
    default:
        return false;
    }
    w->scc = set ? d != 0 : w->scc;
    amd_set_scalar(w, in->dst, d);
    return true;
}

/* d = EXEC; EXEC = some of both. */
static bool save_exec(amd_wave *w, const amd_insn *in) {
    static const struct {
        uint16_t wide, narrow;
        uint8_t kind;
    } rows[] = {{AMD_S_AND_SAVEEXEC_B64, AMD_S_AND_SAVEEXEC_B32, 0},
                {AMD_S_OR_SAVEEXEC_B64, AMD_S_OR_SAVEEXEC_B32, 1},
                {AMD_S_XOR_SAVEEXEC_B64, AMD_S_XOR_SAVEEXEC_B32, 2},
                {AMD_S_ANDN2_SAVEEXEC_B64, AMD_S_AND_NOT1_SAVEEXEC_B32, 3},
                {AMD_S_ORN2_SAVEEXEC_B64, AMD_S_OR_NOT1_SAVEEXEC_B32, 4},
                {AMD_S_NAND_SAVEEXEC_B64, AMD_S_NAND_SAVEEXEC_B32, 5},
                {AMD_S_NOR_SAVEEXEC_B64, AMD_S_NOR_SAVEEXEC_B32, 6},
                {AMD_S_XNOR_SAVEEXEC_B64, AMD_S_XNOR_SAVEEXEC_B32, 7},
                {AMD_S_ANDN1_SAVEEXEC_B64, AMD_S_AND_NOT0_SAVEEXEC_B32, 8},
                {AMD_S_ORN1_SAVEEXEC_B64, AMD_S_OR_NOT0_SAVEEXEC_B32, 9}};
    int kind = -1;
    bool wide = false;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].wide == in->op || rows[i].narrow == in->op) {
            kind = rows[i].kind;
            wide = rows[i].wide == in->op;
        }
    }
    if (kind < 0) {
        return false;
    }
    uint64_t e = w->s[AMD_EXEC] | (uint64_t)w->s[AMD_EXEC + 1] << 32;
    uint64_t a = wide ? amd_scalar64(w, in, in->src[0]) : amd_scalar(w, in, in->src[0]);
    uint64_t now[] = {a & e,    a | e,    a ^ e,    a & ~e, a | ~e,
                      ~(a & e), ~(a | e), ~(a ^ e), ~a & e, ~a | e};
    uint64_t n = wide ? now[kind] : now[kind] & UINT32_MAX;
    w->scc = n != 0;
    if (wide) {
        amd_set_scalar64(w, in->dst, e);
        amd_set_scalar64(w, AMD_EXEC, n);
    } else {
        amd_set_scalar(w, in->dst, (uint32_t)e);
        amd_set_scalar(w, AMD_EXEC, (uint32_t)n);
    }
    return true;
}

static uint64_t reversed64(uint64_t v) {
    return (uint64_t)amd_reversed((uint32_t)v) << 32 | amd_reversed((uint32_t)(v >> 32));
}

static bool one64(amd_wave *w, const amd_insn *in) {
    uint64_t a = 0;
    if (amd_ops[in->op].format != AMD_SOP1 || in->op == AMD_S_GETPC_B64) {
        return false;
    }
    a = amd_ops[in->op].width[1] == 2 ? amd_scalar64(w, in, in->src[0]) : 0;
    switch ((int)in->op) {
    case AMD_S_MOV_B64:
        break;
    case AMD_S_CMOV_B64:
        if (!w->scc) {
            return true;
        }
        break;
    case AMD_S_NOT_B64:
        a = ~a;
        w->scc = a != 0;
        break;
    case AMD_S_BREV_B64:
        a = reversed64(a);
        break;
    default:
        return false;
    }
    amd_set_scalar64(w, in->dst, a);
    return true;
}

/* ---- constants, compares
 * ------------------------------------------------------------------------- */

static bool constants(amd_wave *w, const amd_insn *in) {
    int32_t k = (int16_t)in->imm;
    if (amd_ops[in->op].format != AMD_SOPK) {
        return false;
    }
    switch ((int)in->op) {
    case AMD_S_SETREG_B32:
    case AMD_S_SETREG_IMM32_B32: /* MODE: roundings and denormals, which code leaves as they are */
        amd_find(w, SIM_FAULT_TRAP, -1, in->imm, "the mode of floats is changed");
        w->run->stop = true;
        return true;
    case AMD_S_GETREG_B32:
        amd_set_scalar(w, in->dst, w->mode);
        return true;
    case AMD_S_WAITCNT_VSCNT:
        amd_wait(w, COUNT_VS, in->imm & 63);
        return true;
    case AMD_S_MOVK_I32:
        amd_set_scalar(w, in->dst, (uint32_t)k);
        return true;
    case AMD_S_CMOVK_I32:
        if (w->scc) {
            amd_set_scalar(w, in->dst, (uint32_t)k);
        }
        return true;
    }
    uint32_t v = amd_scalar(w, in, in->dst), u = in->imm;
    int32_t s = (int32_t)v;
    bool conditions[] = {s == k, s != k, s > k, s >= k, s < k, s <= k,
                         v == u, v != u, v > u, v >= u, v < u, v <= u};
    if (in->op >= AMD_S_CMPK_EQ_I32 && in->op <= AMD_S_CMPK_LE_U32) {
        w->scc = conditions[in->op - AMD_S_CMPK_EQ_I32];
        return true;
    }
    uint32_t d = in->op == AMD_S_ADDK_I32 ? v + (uint32_t)k : v * (uint32_t)k;
    if (in->op == AMD_S_ADDK_I32) {
        w->scc = ((v ^ d) & ((uint32_t)k ^ d)) >> 31;
    }
    amd_set_scalar(w, in->dst, d);
    return true;
}

static bool compares(amd_wave *w, const amd_insn *in) {
    if (amd_ops[in->op].format != AMD_SOPC) {
        return false;
    }
    if (in->op == AMD_S_SET_GPR_IDX_ON) {
        uint32_t m0 = w->s[124] & ~0xf0ffu;
        w->s[124] = m0 | (amd_scalar(w, in, in->src[0]) & 0xff) | (uint32_t)in->imm << 12;
        w->gpr_index = 0x100u | in->imm;
        return true;
    }
    bool wide = amd_ops[in->op].width[1] == 2;
    uint64_t a = wide ? amd_scalar64(w, in, in->src[0]) : amd_scalar(w, in, in->src[0]);
    uint64_t b = amd_ops[in->op].width[2] == 2 ? amd_scalar64(w, in, in->src[1])
                                               : amd_scalar(w, in, in->src[1]);
    int32_t s = (int32_t)a, t = (int32_t)b;
    switch ((int)in->op) {
    case AMD_S_CMP_EQ_I32:
    case AMD_S_CMP_EQ_U32:
    case AMD_S_CMP_EQ_U64:
        w->scc = a == b;
        return true;
    case AMD_S_CMP_LG_I32:
    case AMD_S_CMP_LG_U32:
    case AMD_S_CMP_LG_U64:
        w->scc = a != b;
        return true;
    case AMD_S_CMP_GT_I32:
        w->scc = s > t;
        return true;
    case AMD_S_CMP_GT_U32:
        w->scc = a > b;
        return true;
    case AMD_S_CMP_GE_I32:
        w->scc = s >= t;
        return true;
    case AMD_S_CMP_GE_U32:
        w->scc = a >= b;
        return true;
    case AMD_S_CMP_LT_I32:
        w->scc = s < t;
        return true;
    case AMD_S_CMP_LT_U32:
        w->scc = a < b;
        return true;
    case AMD_S_CMP_LE_I32:
        w->scc = s <= t;
        return true;
    case AMD_S_CMP_LE_U32:
        w->scc = a <= b;
        return true;
    case AMD_S_BITCMP0_B32:
    case AMD_S_BITCMP0_B64:
        w->scc = !(a >> (b & (wide ? 63 : 31)) & 1);
        return true;
    case AMD_S_BITCMP1_B32:
    case AMD_S_BITCMP1_B64:
        w->scc = a >> (b & (wide ? 63 : 31)) & 1;
        return true;
    }
    return false;
}

bool amd_exec_scalar(amd_wave *w, const amd_insn *in) {
    uint8_t format = amd_ops[in->op].format;
    if (format == AMD_SOP2) {
        if (two64(w, in)) {
            return true;
        }
        uint32_t a = amd_scalar(w, in, in->src[0]), b = amd_scalar(w, in, in->src[1]);
        return adds(w, in, a, b) || two32(w, in, a, b);
    }
    return constants(w, in) || compares(w, in) || save_exec(w, in) || one32(w, in) || one64(w, in);
}

/* ---- flow
 * ---------------------------------------------------------------------------------------- */

static bool taken(amd_wave *w, int op) {
    uint64_t vcc = amd_mask(w, SRC_VCC);
    switch (op) {
    case AMD_S_CBRANCH_SCC0:
        return !w->scc;
    case AMD_S_CBRANCH_SCC1:
        return w->scc;
    case AMD_S_CBRANCH_VCCZ:
        return vcc == 0;
    case AMD_S_CBRANCH_VCCNZ:
        return vcc != 0;
    case AMD_S_CBRANCH_EXECZ:
        return amd_exec(w) == 0;
    case AMD_S_CBRANCH_EXECNZ:
        return amd_exec(w) != 0;
    }
    return op == AMD_S_BRANCH;
}

/* vmcnt and lgkmcnt of s_waitcnt's constant (CDNA3 ISA 4.4; RDNA3 ISA 16.5). */
static void waits(amd_wave *w, uint32_t imm) {
    bool late = w->run->generation == 1;
    uint32_t vm = late ? imm >> 10 & 63 : (imm & 15) | (imm >> 14 & 3) << 4;
    uint32_t lgkm = late ? imm >> 4 & 63 : imm >> 8 & 15;
    amd_wait(w, COUNT_VM, vm == 63 ? UINT32_MAX : vm);
    amd_wait(w, COUNT_LGKM, lgkm == (late ? 63u : 15u) ? UINT32_MAX : lgkm);
}

bool amd_exec_flow(amd_wave *w, const amd_insn *in) {
    uint32_t next = w->pc; /* behind this one already */
    switch ((int)in->op) {
    case AMD_S_BRANCH:
    case AMD_S_CBRANCH_SCC0:
    case AMD_S_CBRANCH_SCC1:
    case AMD_S_CBRANCH_VCCZ:
    case AMD_S_CBRANCH_VCCNZ:
    case AMD_S_CBRANCH_EXECZ:
    case AMD_S_CBRANCH_EXECNZ:
        w->pc = taken(w, in->op) ? next + (uint32_t)((int16_t)in->imm * 4) : next;
        return true;
    case AMD_S_ENDPGM:
        w->live = false;
        return true;
    case AMD_S_BARRIER:
        w->waiting = true;
        return true;
    case AMD_S_WAITCNT:
        waits(w, in->imm);
        return true;
    case AMD_S_WAIT_IDLE:
        amd_wait(w, COUNT_VM, 0);
        amd_wait(w, COUNT_LGKM, 0);
        amd_wait(w, COUNT_VS, 0);
        return true;
    case AMD_S_SET_GPR_IDX_OFF:
        w->gpr_index = 0;
        return true;
    case AMD_S_SET_GPR_IDX_MODE:
        w->gpr_index = (w->gpr_index & 0x100) | (in->imm & 15);
        return true;
    case AMD_S_SET_GPR_IDX_IDX:
        w->s[124] = (w->s[124] & ~0xffu) | (amd_scalar(w, in, in->src[0]) & 0xff);
        return true;
    case AMD_S_GETPC_B64:
        amd_set_scalar64(w, in->dst, w->run->module->image_at + next);
        return true;
    case AMD_S_SETPC_B64:
    case AMD_S_SWAPPC_B64: {
        uint64_t to = amd_scalar64(w, in, in->src[0]) - w->run->module->image_at;
        if (in->op == AMD_S_SWAPPC_B64) {
            amd_set_scalar64(w, in->dst, w->run->module->image_at + next);
        }
        w->pc = to > UINT32_MAX ? UINT32_MAX : (uint32_t)to;
        return true;
    }
    case AMD_S_TRAP:
    case AMD_S_SETHALT:
        amd_find(w, SIM_FAULT_TRAP, -1, in->imm, "the code traps");
        w->live = false;
        return true;
    case AMD_S_ROUND_MODE:
    case AMD_S_DENORM_MODE:
        if (in->op == AMD_S_ROUND_MODE ? in->imm != 0 : (in->imm & 15) != 15) {
            amd_find(w, SIM_FAULT_TRAP, -1, in->imm, "the mode of floats is changed");
            w->run->stop = true;
        }
        return true;
    case AMD_S_NOP:
    case AMD_S_SLEEP:
    case AMD_S_SETPRIO:
    case AMD_S_ICACHE_INV:
    case AMD_S_SENDMSG: /* dealloc_vgprs */
    case AMD_S_INCPERFLEVEL:
    case AMD_S_DECPERFLEVEL:
    case AMD_S_CLAUSE:
    case AMD_S_DELAY_ALU:
    case AMD_S_WAITCNT_DEPCTR:
    case AMD_S_SET_INST_PREFETCH_DISTANCE:
    case AMD_S_CODE_END:
    case AMD_V_NOP:
    case AMD_DS_NOP:
        return true;
    }
    return false;
}
