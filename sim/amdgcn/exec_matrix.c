/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrix products. MFMA (CDNA3 ISA 7): operand A [M, K] lies with row l % M in lane l, B [K, N]
 * with column l % N; lane group l / M holds K / groups neighbouring steps. C and D [M, N]: lane l
 * has column l % N and, of 32 rows, 4 at a time: row 8 (r / 4) + 4 (l / 32) + r % 4 in register r;
 * of 16 rows 4 (l / 16) + r; of f64 4 r + l / 16. WMMA (RDNA3 ISA 7.9): lanes l and l + 16 hold the
 * same row of A and column of B, 16 steps each; register r of lane l is row 2 r + l / 16, column l
 * % 16. EXEC is not looked at.
 *
 * Sums are taken in double precision and rounded once for each instruction; f32 and f64 products
 * step by step with one rounding each.
 */
#include <math.h>
#include <string.h>

#include "sim/amdgcn/amd.h"

typedef enum element { E_F16, E_BF16, E_I8, E_F32, E_XF32, E_F64, E_FP8, E_BF8 } element;

typedef struct product {
    uint16_t op;
    uint8_t m, k; /* N is M */
    element a, b;
} product;

static const product products[] = {{AMD_V_MFMA_F32_32X32X8_F16, 32, 8, E_F16, E_F16},
                                   {AMD_V_MFMA_F32_16X16X16_F16, 16, 16, E_F16, E_F16},
                                   {AMD_V_MFMA_F32_32X32X8_BF16, 32, 8, E_BF16, E_BF16},
                                   {AMD_V_MFMA_F32_16X16X16_BF16, 16, 16, E_BF16, E_BF16},
                                   {AMD_V_MFMA_I32_32X32X16_I8, 32, 16, E_I8, E_I8},
                                   {AMD_V_MFMA_I32_16X16X32_I8, 16, 32, E_I8, E_I8},
                                   {AMD_V_MFMA_F32_32X32X2_F32, 32, 2, E_F32, E_F32},
                                   {AMD_V_MFMA_F32_16X16X4_F32, 16, 4, E_F32, E_F32},
                                   {AMD_V_MFMA_F64_16X16X4_F64, 16, 4, E_F64, E_F64},
                                   {AMD_V_MFMA_F32_16X16X8_XF32, 16, 8, E_XF32, E_XF32},
                                   {AMD_V_MFMA_F32_32X32X4_XF32, 32, 4, E_XF32, E_XF32},
                                   {AMD_V_MFMA_F32_16X16X32_FP8_FP8, 16, 32, E_FP8, E_FP8},
                                   {AMD_V_MFMA_F32_16X16X32_FP8_BF8, 16, 32, E_FP8, E_BF8},
                                   {AMD_V_MFMA_F32_16X16X32_BF8_FP8, 16, 32, E_BF8, E_FP8},
                                   {AMD_V_MFMA_F32_16X16X32_BF8_BF8, 16, 32, E_BF8, E_BF8},
                                   {AMD_V_MFMA_F32_32X32X16_FP8_FP8, 32, 16, E_FP8, E_FP8},
                                   {AMD_V_MFMA_F32_32X32X16_FP8_BF8, 32, 16, E_FP8, E_BF8},
                                   {AMD_V_MFMA_F32_32X32X16_BF8_FP8, 32, 16, E_BF8, E_FP8},
                                   {AMD_V_MFMA_F32_32X32X16_BF8_BF8, 32, 16, E_BF8, E_BF8},
                                   {AMD_V_WMMA_F32_16X16X16_F16, 16, 16, E_F16, E_F16},
                                   {AMD_V_WMMA_F32_16X16X16_BF16, 16, 16, E_BF16, E_BF16},
                                   {AMD_V_WMMA_I32_16X16X16_IU8, 16, 16, E_I8, E_I8}};

static int bits_of(element e) {
    static const uint8_t bits[] = {16, 16, 8, 32, 32, 64, 8, 8};
    return bits[e];
}

/* Element i of what a lane holds in registers from code on. */
static uint64_t raw(amd_wave *w, const amd_insn *in, uint16_t code, int lane, element e, int i) {
    int bits = bits_of(e);
    if (code < SRC_VGPR) { /* a constant */
        return amd_scalar(w, in, code);
    }
    const uint32_t *low = amd_row(w, (uint16_t)(code + i * bits / 32), 4);
    if (bits == 64) {
        const uint32_t *high = amd_row(w, (uint16_t)(code + i * 2 + 1), 4);
        return low[lane] | (uint64_t)high[lane] << 32;
    }
    uint32_t v = low[lane] >> i * bits % 32;
    return bits == 32 ? v : v & ((1u << bits) - 1);
}

static double value(uint64_t v, element e, bool is_signed) {
    switch (e) {
    case E_F16:
        return (double)amd_f16_value((uint16_t)v);
    case E_BF16:
        return (double)amd_as_f32((uint32_t)v << 16);
    case E_I8:
        return is_signed ? (double)(int8_t)v : (double)(uint8_t)v;
    case E_F64:
        return amd_as_f64(v);
    case E_XF32: /* 10 bits of fraction */
        return (double)amd_as_f32((uint32_t)v & 0xffffe000u);
    case E_FP8:
    case E_BF8:
        return (double)amd_fp8_value((uint8_t)v, e == E_BF8);
    case E_F32:
        break;
    }
    return (double)amd_as_f32((uint32_t)v);
}

typedef struct operands {
    double a[32][32], b[32][32]; /* [row][k], [column][k] */
} operands;

/* Where lane l's element i lies along K. */
static void gather(amd_wave *w, const amd_insn *in, const product *p, bool wmma, operands *o) {
    int groups = wmma ? 1 : LANES / p->m, each = p->k / groups;
    for (int l = 0; l < (wmma ? 16 : LANES); l++) {
        for (int i = 0; i < each; i++) {
            int k = (wmma ? 0 : l / p->m * each) + i;
            uint64_t x = raw(w, in, in->src[0], l, p->a, i), y = raw(w, in, in->src[1], l, p->b, i);
            o->a[l % p->m][k] = value(x, p->a, !wmma || (in->neg & 1));
            o->b[l % p->m][k] = value(y, p->b, !wmma || (in->neg >> 1 & 1));
        }
    }
}

static int row_of(const product *p, bool wmma, int lane, int r) {
    if (wmma) {
        return 2 * r + lane / 16;
    }
    if (p->m == 32) {
        return 8 * (r / 4) + 4 * (lane / 32) + r % 4;
    }
    return p->a == E_F64 ? 4 * r + lane / 16 : 4 * (lane / 16) + r;
}

static double total(const product *p, const operands *o, int row, int col, double c) {
    for (int k = 0; k < p->k; k++) {
        double x = o->a[row][k], y = o->b[col][k];
        c = p->a == E_F32   ? (double)fmaf((float)x, (float)y, (float)c)
            : p->a == E_F64 ? fma(x, y, c)
                            : c + x * y;
    }
    return c;
}

static uint32_t wrapped(double v) { return (uint32_t)(int64_t)v; }

bool amd_exec_matrix(amd_wave *w, const amd_insn *in) {
    const product *p = NULL;
    for (size_t i = 0; i < sizeof products / sizeof *products; i++) {
        p = products[i].op == in->op ? &products[i] : p;
    }
    if (!p) {
        return false;
    }
    bool wmma = in->op >= AMD_V_WMMA_F32_16X16X16_F16 && in->op <= AMD_V_WMMA_I32_16X16X16_IU8;
    int lanes = w->run->wave_lanes, registers = p->m * p->m / (wmma ? 32 : LANES);
    operands o;
    static const element sums[] = {E_F32, E_F32, E_I8, E_F32, E_F32, E_F64, E_F32, E_F32};
    element sum = sums[p->a];
    if (in->cbsz || lanes != (wmma ? 32 : LANES)) {
        return false;
    }
    memset(&o, 0, sizeof o);
    w->run->report->counters.matrix_flops += 2u * p->m * p->m * p->k;
    gather(w, in, p, wmma, &o);
    uint64_t out[16][LANES];
    for (int r = 0; r < registers; r++) {
        for (int l = 0; l < lanes; l++) {
            uint64_t c = raw(w, in, in->src[2], l, sum == E_F64 ? E_F64 : E_F32, r);
            double before = sum == E_I8 ? (double)(int32_t)c : value(c, sum, true);
            double v = total(p, &o, row_of(p, wmma, l, r), l % p->m, before);
            out[r][l] = sum == E_I8    ? wrapped(v)
                        : sum == E_F64 ? amd_of_f64(v)
                                       : amd_of_f32((float)v);
        }
    }
    for (int r = 0; r < registers; r++) {
        int at = sum == E_F64 ? 2 * r : r;
        uint32_t *low = amd_row(w, (uint16_t)(in->dst + at), 3);
        uint32_t *high = sum == E_F64 ? amd_row(w, (uint16_t)(in->dst + at + 1), 3) : NULL;
        for (int l = 0; l < lanes; l++) {
            low[l] = (uint32_t)out[r][l];
            if (high) {
                high[l] = (uint32_t)(out[r][l] >> 32);
            }
        }
    }
    return true;
}
