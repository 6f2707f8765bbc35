/* SPDX-License-Identifier: Apache-2.0 */
/* Compares (CDNA3 ISA 12.10): a bit for each lane that takes part, zero for the others. */
#include <math.h>

#include "sim/amdgcn/amd.h"

enum { BITS_LESS = 1, BITS_EQUAL = 2, BITS_GREATER = 4, BITS_UNORDERED = 8 };

/* Which relations each condition is true of, in the order of ops.def. */
static const uint8_t float_conditions[] = {
    BITS_LESS,                                  /* lt */
    BITS_EQUAL,                                 /* eq */
    BITS_LESS | BITS_EQUAL,                     /* le */
    BITS_GREATER,                               /* gt */
    BITS_LESS | BITS_GREATER,                   /* lg */
    BITS_GREATER | BITS_EQUAL,                  /* ge */
    BITS_LESS | BITS_EQUAL | BITS_GREATER,      /* o */
    BITS_UNORDERED,                             /* u */
    BITS_LESS | BITS_UNORDERED,                 /* nge */
    BITS_EQUAL | BITS_UNORDERED,                /* nlg */
    BITS_LESS | BITS_EQUAL | BITS_UNORDERED,    /* ngt */
    BITS_GREATER | BITS_UNORDERED,              /* nle */
    BITS_LESS | BITS_GREATER | BITS_UNORDERED,  /* neq */
    BITS_GREATER | BITS_EQUAL | BITS_UNORDERED, /* nlt */
    15                                          /* tru */
};
static const uint8_t int_conditions[] = {BITS_LESS,
                                         BITS_EQUAL,
                                         BITS_LESS | BITS_EQUAL,
                                         BITS_GREATER,
                                         BITS_LESS | BITS_GREATER,
                                         BITS_GREATER | BITS_EQUAL};

static uint8_t relation(double a, double b) {
    return a < b ? BITS_LESS : a > b ? BITS_GREATER : a == b ? BITS_EQUAL : BITS_UNORDERED;
}

/* Order of two integers of a type. */
static uint8_t order(uint64_t a, uint64_t b, int bits, bool is_signed) {
    int up = 64 - bits;
    if (is_signed) {
        int64_t x = (int64_t)(a << up), y = (int64_t)(b << up);
        return x < y ? BITS_LESS : x > y ? BITS_GREATER : BITS_EQUAL;
    }
    uint64_t x = a << up, y = b << up;
    return x < y ? BITS_LESS : x > y ? BITS_GREATER : BITS_EQUAL;
}

/* Bit of the class (CDNA3 ISA 12.10, V_CMP_CLASS). */
static uint32_t class_of(uint64_t v, int fraction, int exponent) {
    uint64_t f = v & ((UINT64_C(1) << fraction) - 1);
    uint64_t e = v >> fraction & ((UINT64_C(1) << exponent) - 1);
    bool negative = v >> (fraction + exponent) & 1;
    if (e == (UINT64_C(1) << exponent) - 1) {
        return f ? (f >> (fraction - 1) ? 2 : 1) : negative ? 4 : 512;
    }
    if (e == 0) {
        return f ? (negative ? 16 : 128) : negative ? 32 : 64;
    }
    return negative ? 8 : 256;
}

typedef struct family {
    uint16_t first, last;
    uint8_t bits;
    bool is_float, is_signed;
} family;

static const family families[] = {{AMD_V_CMP_LT_F32, AMD_V_CMPX_TRU_F32, 32, true, true},
                                  {AMD_V_CMP_LT_F16, AMD_V_CMPX_TRU_F16, 16, true, true},
                                  {AMD_V_CMP_LT_F64, AMD_V_CMPX_TRU_F64, 64, true, true},
                                  {AMD_V_CMP_LT_I32, AMD_V_CMPX_GE_I32, 32, false, true},
                                  {AMD_V_CMP_LT_U32, AMD_V_CMPX_GE_U32, 32, false, false},
                                  {AMD_V_CMP_LT_I16, AMD_V_CMPX_GE_I16, 16, false, true},
                                  {AMD_V_CMP_LT_U16, AMD_V_CMPX_GE_U16, 16, false, false},
                                  {AMD_V_CMP_LT_I64, AMD_V_CMPX_GE_I64, 64, false, true},
                                  {AMD_V_CMP_LT_U64, AMD_V_CMPX_GE_U64, 64, false, false}};

static double float_of(uint64_t v, int bits) {
    return bits == 64   ? amd_as_f64(v)
           : bits == 32 ? (double)amd_as_f32((uint32_t)v)
                        : (double)amd_f16_value((uint16_t)v);
}

static uint64_t compare(const amd_insn *in, const uint64_t *a, const uint64_t *b, uint64_t lanes) {
    uint64_t mask = 0;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        const family *f = &families[i];
        if (in->op < f->first || in->op > f->last) {
            continue;
        }
        int condition = (in->op - f->first) / 2; /* two of each: the second writes EXEC */
        uint8_t wanted = f->is_float ? float_conditions[condition] : int_conditions[condition];
        for (int l = 0; l < LANES; l++) {
            if (lanes >> l & 1) {
                uint8_t r = f->is_float ? relation(float_of(a[l], f->bits), float_of(b[l], f->bits))
                                        : order(a[l], b[l], f->bits, f->is_signed);
                mask |= (uint64_t)((wanted & r) != 0) << l;
            }
        }
    }
    return mask;
}

static bool is_class(int op) {
    return op == AMD_V_CMP_CLASS_F32 || op == AMD_V_CMP_CLASS_F16 || op == AMD_V_CMP_CLASS_F64 ||
           op == AMD_V_CMPX_CLASS_F32 || op == AMD_V_CMPX_CLASS_F16 || op == AMD_V_CMPX_CLASS_F64;
}

static uint64_t classes(const amd_insn *in, const uint64_t *a, const uint64_t *b, uint64_t lanes) {
    uint32_t flags = amd_ops[in->op].flags;
    int fraction = flags & AMD_F64 ? 52 : flags & AMD_F16 ? 10 : 23;
    int exponent = flags & AMD_F64 ? 11 : flags & AMD_F16 ? 5 : 8;
    uint64_t mask = 0;
    for (int l = 0; l < LANES; l++) {
        bool is = (lanes >> l & 1) && (class_of(a[l], fraction, exponent) & b[l]);
        mask |= (uint64_t)is << l;
    }
    return mask;
}

bool amd_exec_compare(amd_wave *w, const amd_insn *in) {
    const amd_op_info *info = &amd_ops[in->op];
    if (!(info->flags & AMD_COMPARE)) {
        return false;
    }
    uint64_t a[LANES], b[LANES], lanes = amd_active(w, in);
    amd_source64(w, in, 0, info->width[1], a);
    amd_source64(w, in, 1, info->width[2], b);
    uint64_t mask = is_class(in->op) ? classes(in, a, b, lanes) : compare(in, a, b, lanes);
    if (info->flags & AMD_TO_EXEC) {
        amd_set_mask(w, SRC_EXEC, mask);
    }
    if (!(info->flags & AMD_TO_EXEC) || w->run->generation == 0) {
        amd_set_mask(w, in->dst, mask);
    }
    return true;
}
