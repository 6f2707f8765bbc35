/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words of code to instructions (CDNA3 ISA, chapter 13; RDNA3 ISA, chapter 15: microcode formats).
 * The first bits of a word name its format, the format its fields; a source may ask for another
 * word: a constant, or how lanes or parts of a word are chosen (DPP, SDWA).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/amdgcn/amd.h"

const amd_op_info amd_ops[AMD_N_OPS] = {
#define AMD_OP(id, format_, name9, n9, name11, n11, d, a, b, flags_)                               \
    [AMD_##id] = {.name = {name9, name11},                                                         \
                  .number = {n9, n11},                                                             \
                  .format = AMD_##format_,                                                         \
                  .width = {d, a, b},                                                              \
                  .flags = flags_},
#include "sim/amdgcn/ops.def"
#undef AMD_OP
};

enum { SRC_SDWA = 249, SRC_DPP = 250, SRC_DPP8 = 233, NULL_9 = 0x7f, NULL_11 = 124 };

typedef struct decoder {
    int generation;
    const uint32_t *word;
    size_t n;
    amd_insn *in;
    char *why;
} decoder;

static uint32_t field(uint32_t w, int high, int low) {
    return w >> low & (uint32_t)((UINT64_C(1) << (high - low + 1)) - 1);
}

static int32_t sign_extended(uint32_t v, int bits) {
    return (int32_t)(v << (32 - bits)) >> (32 - bits);
}

/* By format and number; AMD_N_OPS: none. */
static amd_op find(int generation, amd_format format, uint32_t number) {
    for (int i = 0; i < AMD_N_OPS; i++) {
        if (amd_ops[i].format == format && amd_ops[i].number[generation] == (int)number) {
            return (amd_op)i;
        }
    }
    return AMD_N_OPS;
}

/* Numbers of VOP3 begin with the compares, VOP2 and VOP1 follow (CDNA3 ISA 13.3.4). */
static amd_op find_vop3(int generation, uint32_t number) {
    uint32_t vop1 = generation ? 0x180 : 0x140, end1 = vop1 + 0x80;
    amd_op own = find(generation, AMD_VOP3, number);
    if (own != AMD_N_OPS) {
        return own;
    }
    return number < 0x100                    ? find(generation, AMD_VOPC, number)
           : number < 0x140                  ? find(generation, AMD_VOP2, number - 0x100)
           : number >= vop1 && number < end1 ? find(generation, AMD_VOP1, number - vop1)
                                             : AMD_N_OPS;
}

static bool unknown(decoder *d, const char *what) {
    (void)snprintf(d->why, 160, "%s 0x%08x is not known", what, (unsigned)d->word[0]);
    return false;
}

static bool take(decoder *d, const char *format, amd_op op) {
    d->in->op = (uint16_t)op;
    return op < AMD_N_OPS || unknown(d, format);
}

static bool next_word(decoder *d, uint32_t *out) {
    if (d->in->words >= d->n) {
        return unknown(d, "the end of the code:");
    }
    *out = d->word[d->in->words++];
    return true;
}

/* A constant word where a source asks for one. */
static bool literal(decoder *d) {
    amd_insn *in = d->in;
    bool wants = (amd_ops[in->op].flags & AMD_LITERAL) != 0;
    for (int i = 0; i < 3; i++) {
        wants = wants || in->src[i] == SRC_LITERAL;
    }
    return !wants || next_word(d, &in->literal);
}

static bool dpp(decoder *d) {
    uint32_t w;
    amd_insn *in = d->in;
    if (!next_word(d, &w)) {
        return false;
    }
    in->dpp = true;
    in->src[0] = (uint16_t)(SRC_VGPR + field(w, 7, 0));
    in->dpp_ctrl = (uint16_t)field(w, 16, 8);
    in->bound_ctrl = field(w, 19, 19);
    in->neg |= (uint8_t)(field(w, 20, 20) | field(w, 22, 22) << 1);
    in->abs |= (uint8_t)(field(w, 21, 21) | field(w, 23, 23) << 1);
    in->bank_mask = (uint8_t)field(w, 27, 24);
    in->row_mask = (uint8_t)field(w, 31, 28);
    return true;
}

static bool sdwa(decoder *d) {
    uint32_t w;
    amd_insn *in = d->in;
    if (!next_word(d, &w)) {
        return false;
    }
    in->sdwa = true;
    in->src[0] = (uint16_t)(field(w, 7, 0) + (field(w, 23, 23) ? 0 : SRC_VGPR));
    in->sel[0] = (uint8_t)field(w, 18, 16);
    in->sel[1] = (uint8_t)field(w, 26, 24);
    in->sext = (uint8_t)(field(w, 19, 19) | field(w, 27, 27) << 1);
    in->neg = (uint8_t)(field(w, 20, 20) | field(w, 28, 28) << 1);
    in->abs = (uint8_t)(field(w, 21, 21) | field(w, 29, 29) << 1);
    if (field(w, 31, 31) && in->src[1] != NO_OPERAND) {
        in->src[1] = (uint16_t)(in->src[1] - SRC_VGPR);
    }
    if (amd_ops[in->op].format == AMD_VOPC) {
        in->dst = field(w, 15, 15) ? (uint16_t)field(w, 14, 8) : SRC_VCC;
        return true;
    }
    in->dst_sel = (uint8_t)field(w, 10, 8);
    in->dst_unused = (uint8_t)field(w, 12, 11);
    in->clamp = field(w, 13, 13);
    in->omod = (uint8_t)field(w, 15, 14);
    return true;
}

/* What stands behind an instruction of one word. */
static bool tail(decoder *d) {
    uint16_t first = d->in->src[0];
    if (first == SRC_SDWA && d->generation == 0) {
        return sdwa(d);
    }
    if (first == SRC_DPP) {
        return dpp(d);
    }
    return first == SRC_DPP8 && d->generation == 1 ? unknown(d, "DPP8") : literal(d);
}

static void no_operands(amd_insn *in) {
    in->dst = in->sdst = in->src[0] = in->src[1] = in->src[2] = NO_OPERAND;
    in->addr = in->saddr = in->data[0] = in->data[1] = NO_OPERAND;
    in->opsel_hi = 7;
}

/* ---- scalar -------------------------------------------------------------------------------------
 */

static bool sop(decoder *d) {
    uint32_t w = d->word[0];
    amd_insn *in = d->in;
    uint32_t top = field(w, 31, 23);
    in->imm = (uint16_t)w;
    if (top == 0x17d) {
        in->form = AMD_SOP1;
        in->src[0] = (uint16_t)field(w, 7, 0);
        in->dst = (uint16_t)field(w, 22, 16);
        return take(d, "SOP1", find(d->generation, AMD_SOP1, field(w, 15, 8))) && literal(d);
    }
    if (top == 0x17e) {
        in->form = AMD_SOPC;
        in->src[0] = (uint16_t)field(w, 7, 0);
        in->src[1] = (uint16_t)field(w, 15, 8);
        if (!take(d, "SOPC", find(d->generation, AMD_SOPC, field(w, 22, 16)))) {
            return false;
        }
        if (in->op == AMD_S_SET_GPR_IDX_ON) {
            in->imm = in->src[1];
            in->src[1] = NO_OPERAND;
        }
        return literal(d);
    }
    if (top == 0x17f) {
        in->form = AMD_SOPP;
        return take(d, "SOPP", find(d->generation, AMD_SOPP, field(w, 22, 16)));
    }
    in->dst = (uint16_t)field(w, 22, 16);
    if (field(w, 31, 28) == 0xb) {
        in->form = AMD_SOPK;
        return take(d, "SOPK", find(d->generation, AMD_SOPK, field(w, 27, 23))) && literal(d);
    }
    in->form = AMD_SOP2;
    in->src[0] = (uint16_t)field(w, 7, 0);
    in->src[1] = (uint16_t)field(w, 15, 8);
    return take(d, "SOP2", find(d->generation, AMD_SOP2, field(w, 29, 23))) && literal(d);
}

static bool smem(decoder *d) {
    uint32_t w = d->word[0], x;
    amd_insn *in = d->in;
    if (!next_word(d, &x)) {
        return false;
    }
    in->form = AMD_SMEM;
    in->dst = (uint16_t)field(w, 12, 6);
    in->addr = (uint16_t)(field(w, 5, 0) * 2);
    in->offset = sign_extended(field(x, 20, 0), 21);
    if (d->generation == 1) {
        in->saddr = field(x, 31, 25) == NULL_11 ? NO_OPERAND : (uint16_t)field(x, 31, 25);
    } else if (field(w, 14, 14)) {
        in->saddr = (uint16_t)field(x, 31, 25);
        in->offset = field(w, 17, 17) ? in->offset : 0;
    } else if (!field(w, 17, 17)) {
        in->saddr = (uint16_t)field(x, 6, 0);
        in->offset = 0;
    }
    return take(d, "SMEM", find(d->generation, AMD_SMEM, field(w, 25, 18)));
}

/* ---- vector -------------------------------------------------------------------------------------
 */

static bool vop12c(decoder *d) {
    uint32_t w = d->word[0];
    amd_insn *in = d->in;
    in->src[0] = (uint16_t)field(w, 8, 0);
    in->dst = (uint16_t)(SRC_VGPR + field(w, 24, 17));
    in->sdst = SRC_VCC;
    if (field(w, 31, 25) == 0x3f) {
        in->form = AMD_VOP1;
        if (!take(d, "VOP1", find(d->generation, AMD_VOP1, field(w, 16, 9)))) {
            return false;
        }
        in->dst = in->op == AMD_V_READFIRSTLANE_B32 ? (uint16_t)field(w, 24, 17) : in->dst;
        if (in->op == AMD_V_ACCVGPR_MOV_B32) {
            in->dst = (uint16_t)(in->dst + SRC_AGPR - SRC_VGPR);
            in->src[0] = (uint16_t)(in->src[0] + SRC_AGPR - SRC_VGPR);
        }
        return tail(d);
    }
    in->src[1] = (uint16_t)(SRC_VGPR + field(w, 16, 9));
    if (field(w, 31, 25) == 0x3e) {
        in->form = AMD_VOPC;
        in->dst = SRC_VCC;
        return take(d, "VOPC", find(d->generation, AMD_VOPC, field(w, 24, 17))) && tail(d);
    }
    in->form = AMD_VOP2;
    if (!take(d, "VOP2", find(d->generation, AMD_VOP2, field(w, 30, 25)))) {
        return false;
    }
    in->src[2] = amd_ops[in->op].flags & AMD_CARRY_IN     ? SRC_VCC
                 : amd_ops[in->op].flags & AMD_ACCUMULATE ? in->dst
                 : in->op == AMD_V_FMAAK_F32              ? SRC_LITERAL
                                                          : NO_OPERAND;
    if (in->op == AMD_V_FMAMK_F32) { /* the constant stands between */
        in->src[2] = in->src[1];
        in->src[1] = SRC_LITERAL;
    }
    return tail(d);
}

static bool vop3(decoder *d) {
    uint32_t w = d->word[0], x;
    amd_insn *in = d->in;
    if (!next_word(d, &x) || !take(d, "VOP3", find_vop3(d->generation, field(w, 25, 16)))) {
        return false;
    }
    const amd_op_info *info = &amd_ops[in->op];
    in->form = AMD_VOP3;
    in->dst = (uint16_t)(SRC_VGPR + field(w, 7, 0));
    for (int i = 0; i < 3; i++) {
        in->src[i] = (uint16_t)field(x, 9 * i + 8, 9 * i);
    }
    in->neg = (uint8_t)field(x, 31, 29);
    in->omod = (uint8_t)field(x, 28, 27);
    in->clamp = field(w, 15, 15);
    if (info->flags & (AMD_SDST | AMD_CARRY_OUT)) {
        in->sdst = (uint16_t)field(w, 14, 8);
    } else {
        in->abs = (uint8_t)field(w, 10, 8);
        in->opsel = (uint8_t)field(w, 14, 11);
    }
    if ((info->flags & (AMD_COMPARE | AMD_SCALAR_OUT)) != 0) {
        in->dst = (uint16_t)field(w, 7, 0);
    }
    if (info->format == AMD_VOP3 && !(info->flags & AMD_THREE)) {
        in->src[2] = NO_OPERAND;
    }
    if (info->format == AMD_VOP1 || info->format == AMD_VOPC) {
        in->src[2] = NO_OPERAND;
        in->src[1] = info->format == AMD_VOP1 ? NO_OPERAND : in->src[1];
    }
    if (info->format == AMD_VOP2 && !(info->flags & AMD_CARRY_IN)) {
        in->src[2] = info->flags & AMD_ACCUMULATE ? in->dst : NO_OPERAND;
    }
    return in->src[0] == SRC_DPP && d->generation == 1 ? dpp(d) : literal(d);
}

static bool vop3p(decoder *d) {
    uint32_t w = d->word[0], x;
    amd_insn *in = d->in;
    if (!next_word(d, &x) || !take(d, "VOP3P", find(d->generation, AMD_VOP3P, field(w, 22, 16)))) {
        return false;
    }
    const amd_op_info *info = &amd_ops[in->op];
    in->form = AMD_VOP3P;
    in->dst = (uint16_t)(SRC_VGPR + field(w, 7, 0));
    for (int i = 0; i < 3; i++) {
        in->src[i] = (uint16_t)field(x, 9 * i + 8, 9 * i);
    }
    in->neg = (uint8_t)field(x, 31, 29);
    in->neg_hi = (uint8_t)field(w, 10, 8);
    in->opsel = (uint8_t)field(w, 13, 11);
    in->opsel_hi = (uint8_t)(field(x, 28, 27) | field(w, 14, 14) << 2);
    in->clamp = field(w, 15, 15);
    in->src[2] = info->flags & AMD_THREE ? in->src[2] : NO_OPERAND;
    in->src[1] = info->width[2] ? in->src[1] : NO_OPERAND;
    if ((info->flags & AMD_MATRIX) && d->generation == 0) { /* VOP3P-MAI */
        uint16_t up = SRC_AGPR - SRC_VGPR;
        bool acc = field(w, 15, 15) || in->op == AMD_V_ACCVGPR_WRITE_B32;
        in->cbsz = (uint8_t)field(w, 10, 8);
        in->clamp = false;
        in->neg_hi = in->opsel = 0;
        in->dst = (uint16_t)(in->dst + (acc ? up : 0));
        if (field(x, 27, 27) && in->src[0] >= SRC_VGPR && in->op != AMD_V_ACCVGPR_WRITE_B32) {
            in->src[0] = (uint16_t)(in->src[0] + up);
        }
        if (field(x, 28, 28) && in->src[1] >= SRC_VGPR && in->src[1] != NO_OPERAND) {
            in->src[1] = (uint16_t)(in->src[1] + up);
        }
        in->src[2] =
            (uint16_t)(in->src[2] +
                       (acc && in->src[2] >= SRC_VGPR && in->src[2] != NO_OPERAND ? up : 0));
    }
    return literal(d);
}

/* Two instructions in one (RDNA3 ISA 7.6): numbers of its own for what either half may be. */
static bool vopd(decoder *d) {
    static const struct {
        uint8_t number;
        amd_op op;
    } halves[] = {{0, AMD_V_FMAC_F32},       {1, AMD_V_FMAAK_F32},      {2, AMD_V_FMAMK_F32},
                  {3, AMD_V_MUL_F32},        {4, AMD_V_ADD_F32},        {5, AMD_V_SUB_F32},
                  {6, AMD_V_SUBREV_F32},     {7, AMD_V_MUL_LEGACY_F32}, {8, AMD_V_MOV_B32},
                  {9, AMD_V_CNDMASK_B32},    {10, AMD_V_MAX_F32},       {11, AMD_V_MIN_F32},
                  {12, AMD_V_DOT2C_F32_F16}, {16, AMD_V_ADD_U32},       {17, AMD_V_LSHLREV_B32},
                  {18, AMD_V_AND_B32}};
    uint32_t w = d->word[0], x;
    amd_insn *in = d->in, *second = calloc(1, sizeof *second);
    if (!second || !next_word(d, &x)) {
        free(second);
        return false;
    }
    no_operands(second);
    in->pair = second;
    amd_insn *half[2] = {in, second};
    uint32_t number[2] = {field(w, 25, 22), field(w, 21, 17)}, dst[2] = {field(x, 31, 24), 0};
    dst[1] = field(x, 23, 17) << 1 | (dst[0] & 1 ? 0 : 1);
    for (int i = 0; i < 2; i++) {
        uint32_t from = i ? x : w;
        half[i]->op = AMD_N_OPS;
        for (size_t k = 0; k < sizeof halves / sizeof *halves; k++) {
            half[i]->op = halves[k].number == number[i] ? (uint16_t)halves[k].op : half[i]->op;
        }
        if (half[i]->op == AMD_N_OPS) {
            return unknown(d, "VOPD");
        }
        half[i]->form = AMD_VOP2;
        half[i]->dst = (uint16_t)(SRC_VGPR + dst[i]);
        half[i]->src[0] = (uint16_t)field(from, 8, 0);
        half[i]->src[1] = (uint16_t)(SRC_VGPR + field(from, 16, 9));
        uint32_t flags = amd_ops[half[i]->op].flags;
        half[i]->src[2] = flags & AMD_ACCUMULATE           ? half[i]->dst
                          : flags & AMD_CARRY_IN           ? SRC_VCC
                          : half[i]->op == AMD_V_FMAAK_F32 ? SRC_LITERAL
                                                           : NO_OPERAND;
        if (half[i]->op == AMD_V_FMAMK_F32) {
            half[i]->src[2] = half[i]->src[1];
            half[i]->src[1] = SRC_LITERAL;
        }
        if (half[i]->op == AMD_V_MOV_B32) {
            half[i]->src[1] = NO_OPERAND;
        }
    }
    bool wants = false;
    for (int i = 0; i < 6; i++) {
        wants = wants || half[i / 3]->src[i % 3] == SRC_LITERAL;
    }
    if (wants && !next_word(d, &in->literal)) {
        return false;
    }
    second->literal = in->literal;
    return true;
}

/* ---- memory -------------------------------------------------------------------------------------
 */

static bool ds(decoder *d) {
    uint32_t w = d->word[0], x;
    amd_insn *in = d->in;
    uint32_t number = d->generation ? field(w, 25, 18) : field(w, 24, 17);
    if (!next_word(d, &x) || !take(d, "DS", find(d->generation, AMD_DS, number))) {
        return false;
    }
    uint16_t up = d->generation == 0 && field(w, 25, 25) ? SRC_AGPR : SRC_VGPR;
    in->form = AMD_DS;
    in->offset = (int32_t)field(w, 7, 0);
    in->offset1 = (uint8_t)field(w, 15, 8);
    in->addr = (uint16_t)(SRC_VGPR + field(x, 7, 0));
    in->data[0] = (uint16_t)(up + field(x, 15, 8));
    in->data[1] = (uint16_t)(up + field(x, 23, 16));
    in->dst = (uint16_t)(up + field(x, 31, 24));
    return true;
}

static bool flat(decoder *d) {
    uint32_t w = d->word[0], x;
    amd_insn *in = d->in;
    if (!next_word(d, &x) || !take(d, "FLAT", find(d->generation, AMD_FLAT, field(w, 24, 18)))) {
        return false;
    }
    bool late = d->generation == 1;
    uint16_t up = !late && field(x, 23, 23) ? SRC_AGPR : SRC_VGPR;
    uint32_t saddr = field(x, 22, 16);
    in->form = AMD_FLAT;
    in->segment = (uint8_t)(late ? field(w, 17, 16) : field(w, 15, 14));
    in->offset = sign_extended(field(w, 12, 0), 13);
    in->returns = late ? field(w, 14, 14) : field(w, 16, 16);
    bool by_lane = in->segment != 1 || (late ? field(x, 23, 23) : field(w, 13, 13));
    in->addr = by_lane ? (uint16_t)(SRC_VGPR + field(x, 7, 0)) : NO_OPERAND;
    in->data[0] = (uint16_t)(up + field(x, 15, 8));
    in->dst = (uint16_t)(up + field(x, 31, 24));
    bool off = in->segment == 0 || saddr == (late ? NULL_11 : NULL_9);
    in->saddr = off ? NO_OPERAND : (uint16_t)saddr;
    return true;
}

/* Buffer instructions: those that order caches, which do nothing here, and loads, stores and
 * atomics, whose numbers are those of flat ones. */
static bool mubuf(decoder *d) {
    uint32_t w = d->word[0], x;
    amd_insn *in = d->in;
    bool late = d->generation == 1;
    if (!next_word(d, &x)) {
        return false;
    }
    in->op = (uint16_t)find(d->generation, AMD_MUBUF, field(w, 24, 18));
    if (in->op < AMD_N_OPS) {
        in->form = AMD_MUBUF;
        return true;
    }
    bool indexed = late ? field(x, 23, 23) : field(w, 13, 13);
    if (indexed || (!late && field(w, 16, 16))) {
        return unknown(d, "the buffer instruction");
    }
    uint16_t up = !late && field(x, 23, 23) ? SRC_AGPR : SRC_VGPR;
    in->form = AMD_FLAT;
    in->segment = SEGMENT_BUFFER;
    in->offset = (int32_t)field(w, 11, 0);
    in->returns = field(w, 14, 14);
    in->addr = (late ? field(x, 22, 22) : field(w, 12, 12)) ? (uint16_t)(SRC_VGPR + field(x, 7, 0))
                                                            : NO_OPERAND;
    in->data[0] = in->dst = (uint16_t)(up + field(x, 15, 8));
    in->saddr = (uint16_t)(field(x, 20, 16) * 4);
    in->src[0] = (uint16_t)field(x, 31, 24);
    return take(d, "MUBUF", find(d->generation, AMD_FLAT, field(w, late ? 25 : 24, 18)));
}

bool amd_decode(int generation, const uint32_t *word, size_t word_count, amd_insn *out, char *why) {
    decoder d = {.generation = generation, .word = word, .n = word_count, .in = out, .why = why};
    memset(out, 0, sizeof *out);
    no_operands(out);
    out->words = 1;
    if (word_count == 0) {
        (void)snprintf(why, 160, "the code ends");
        return false;
    }
    uint32_t w = word[0], top = field(w, 31, 26);
    if (!(w >> 31)) {
        return vop12c(&d);
    }
    if (field(w, 31, 30) == 2) {
        return sop(&d);
    }
    if (top == (generation ? 0x3d : 0x30)) {
        return smem(&d);
    }
    if (field(w, 31, 24) == (generation ? 0xcc : 0xd3) && (generation || field(w, 23, 23))) {
        return vop3p(&d);
    }
    if (top == (generation ? 0x35 : 0x34)) {
        return vop3(&d);
    }
    if (generation && top == 0x32) {
        return vopd(&d);
    }
    if (top == 0x36) {
        return ds(&d);
    }
    if (top == 0x37) {
        return flat(&d);
    }
    return top == 0x38 ? mubuf(&d) : unknown(&d, "the instruction");
}

const char *amd_name(int generation, const amd_insn *in) {
    const char *name = in->op < AMD_N_OPS ? amd_ops[in->op].name[generation] : NULL;
    return name ? name : "?";
}
