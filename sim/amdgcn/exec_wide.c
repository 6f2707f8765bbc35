/* SPDX-License-Identifier: Apache-2.0 */
/* Vector instructions that have 64-bit sources or results (CDNA3 ISA 12.8, 12.13). */
#include <math.h>

#include "sim/amdgcn/amd.h"

#define EACH(expression)                                                                           \
    for (int l = 0; l < n; l++) {                                                                  \
        d[l] = (expression);                                                                       \
    }                                                                                              \
    return true
#define F(v) amd_as_f64(v)
#define U(v) amd_of_f64(v)

static bool integers(int op, int n, const uint64_t *a, const uint64_t *b, const uint64_t *c,
                     uint64_t *d) {
    switch (op) {
    case AMD_V_MOV_B64:
        EACH(a[l]);
    case AMD_V_LSHLREV_B64:
        EACH(b[l] << (a[l] & 63));
    case AMD_V_LSHRREV_B64:
        EACH(b[l] >> (a[l] & 63));
    case AMD_V_ASHRREV_I64:
        EACH((uint64_t)((int64_t)b[l] >> (a[l] & 63)));
    case AMD_V_LSHL_ADD_U64:
        EACH((a[l] << (b[l] & 7)) + c[l]);
    }
    return false;
}

static double least(double a, double b) {
    return isnan(a) ? b : isnan(b) ? a : a < b || (a == b && signbit(a)) ? a : b;
}
static double greatest(double a, double b) {
    return isnan(a) ? b : isnan(b) ? a : a > b || (a == b && signbit(b)) ? a : b;
}

static uint32_t to_unsigned(double v) {
    return !(v > 0) ? 0 : v >= 4294967295.0 ? UINT32_MAX : (uint32_t)v;
}
static uint32_t to_signed(double v) {
    return isnan(v)             ? 0
           : v >= 2147483647.0  ? (uint32_t)INT32_MAX
           : v <= -2147483648.0 ? (uint32_t)INT32_MIN
                                : (uint32_t)(int32_t)v;
}

static int exponent_of(double v) {
    int e = 0;
    if (isfinite(v) && v != 0) {
        (void)frexp(v, &e);
    }
    return e;
}

static double mantissa_of(double v) {
    int e;
    return isfinite(v) ? frexp(v, &e) : v;
}

static double fix_quotient(double q, double den, double num) {
    bool negative = signbit(den) != signbit(num);
    double sign = negative ? -1 : 1;
    if (isnan(num) || isnan(den)) {
        return isnan(num) ? num : den;
    }
    if ((den == 0 && num == 0) || (isinf(den) && isinf(num))) {
        return -NAN;
    }
    if (den == 0 || isinf(num)) {
        return sign * INFINITY;
    }
    if (isinf(den) || num == 0) {
        return negative ? -0.0 : 0.0;
    }
    return isnan(q) ? sign * INFINITY : copysign(fabs(q), sign); /* as for f32 */
}

__extension__ typedef __float128 quad;

/* a b + c of v_div_fmas where v_div_scale asked for it: scaled back, and rounded once only, or
 * quotients that are subnormal would not be the nearest. */
static double unscaled(double a, double b, double c) {
    quad up = (double)0x1p128, exact = (quad)a * b + c;
    return (double)((U(c) >> 52 & 2047) > 1023 ? exact * up : exact / up);
}

static bool floats(amd_wave *w, int op, int n, const uint64_t *a, const uint64_t *b,
                   const uint64_t *c, uint64_t *d) {
    uint64_t vcc = op == AMD_V_DIV_FMAS_F64 ? amd_mask(w, SRC_VCC) : 0;
    switch (op) {
    case AMD_V_ADD_F64:
        EACH(U(F(a[l]) + F(b[l])));
    case AMD_V_MUL_F64:
        EACH(U(F(a[l]) * F(b[l])));
    case AMD_V_MIN_F64:
        EACH(U(least(F(a[l]), F(b[l]))));
    case AMD_V_MAX_F64:
        EACH(U(greatest(F(a[l]), F(b[l]))));
    case AMD_V_FMA_F64:
    case AMD_V_FMAC_F64:
        EACH(U(fma(F(a[l]), F(b[l]), F(c[l]))));
    case AMD_V_DIV_FMAS_F64:
        EACH(
            U(vcc >> l & 1 ? unscaled(F(a[l]), F(b[l]), F(c[l])) : fma(F(a[l]), F(b[l]), F(c[l]))));
    case AMD_V_DIV_FIXUP_F64:
        EACH(U(fix_quotient(F(a[l]), F(b[l]), F(c[l]))));
    case AMD_V_LDEXP_F64:
        EACH(U(ldexp(F(a[l]), (int32_t)b[l])));
    case AMD_V_TRUNC_F64:
        EACH(U(trunc(F(a[l]))));
    case AMD_V_CEIL_F64:
        EACH(U(ceil(F(a[l]))));
    case AMD_V_RNDNE_F64:
        EACH(U(nearbyint(F(a[l]))));
    case AMD_V_FLOOR_F64:
        EACH(U(floor(F(a[l]))));
    case AMD_V_FRACT_F64:
        EACH(U(F(a[l]) - floor(F(a[l]))));
    case AMD_V_RCP_F64:
        EACH(U(1 / F(a[l])));
    case AMD_V_RSQ_F64:
        EACH(U(1 / sqrt(F(a[l]))));
    case AMD_V_SQRT_F64:
        EACH(U(sqrt(F(a[l]))));
    case AMD_V_FREXP_MANT_F64:
        EACH(U(mantissa_of(F(a[l]))));
    case AMD_V_FREXP_EXP_I32_F64:
        EACH((uint32_t)exponent_of(F(a[l])));
    case AMD_V_CVT_F64_I32:
        EACH(U((double)(int32_t)a[l]));
    case AMD_V_CVT_F64_U32:
        EACH(U((double)(uint32_t)a[l]));
    case AMD_V_CVT_F64_F32:
        EACH(U((double)amd_as_f32((uint32_t)a[l])));
    case AMD_V_CVT_F32_F64:
        EACH(amd_of_f32((float)F(a[l])));
    case AMD_V_CVT_I32_F64:
        EACH(to_signed(F(a[l])));
    case AMD_V_CVT_U32_F64:
        EACH(to_unsigned(F(a[l])));
    case AMD_V_CVT_PK_F32_FP8:
    case AMD_V_CVT_PK_F32_BF8:
        EACH(amd_of_f32(amd_fp8_value((uint8_t)a[l], op == AMD_V_CVT_PK_F32_BF8)) |
             (uint64_t)amd_of_f32(amd_fp8_value((uint8_t)(a[l] >> 8), op == AMD_V_CVT_PK_F32_BF8))
                 << 32);
    }
    return false;
}

/* Products of words and a sum; the carry goes to the second destination. */
static bool multiply_add(amd_wave *w, const amd_insn *in) {
    if (in->op != AMD_V_MAD_U64_U32 && in->op != AMD_V_MAD_I64_I32) {
        return false;
    }
    uint32_t ra[LANES], rb[LANES];
    uint64_t c[LANES], d[LANES] = {0}, lanes = amd_active(w, in), out = 0;
    const uint32_t *a = amd_source(w, in, 0, ra), *b = amd_source(w, in, 1, rb);
    amd_source64(w, in, 2, 2, c);
    bool is_signed = in->op == AMD_V_MAD_I64_I32;
    for (int l = 0; l < w->run->wave_lanes; l++) {
        uint64_t p =
            is_signed ? (uint64_t)((int64_t)(int32_t)a[l] * (int32_t)b[l]) : (uint64_t)a[l] * b[l];
        d[l] = p + c[l];
        bool carry = is_signed ? (~(p ^ c[l]) & (p ^ d[l])) >> 63 : d[l] < p;
        out |= (uint64_t)carry << l;
    }
    amd_result64(w, in, d, lanes);
    amd_set_mask(w, in->sdst, out & lanes);
    return true;
}

static bool scale(amd_wave *w, const amd_insn *in) {
    uint64_t a[LANES], b[LANES], c[LANES], d[LANES] = {0}, lanes = amd_active(w, in), out = 0;
    amd_source64(w, in, 0, 2, a);
    amd_source64(w, in, 1, 2, b);
    amd_source64(w, in, 2, 2, c);
    for (int l = 0; l < w->run->wave_lanes; l++) {
        double s0 = F(a[l]), den = F(b[l]), num = F(c[l]), r = s0;
        int ed = (int)(b[l] >> 52 & 2047), en = (int)(c[l] >> 52 & 2047);
        bool again = false, tiny = fpclassify(1 / den) == FP_SUBNORMAL,
             small = fpclassify(num / den) == FP_SUBNORMAL;
        if (num == 0 || den == 0) {
            r = NAN;
        } else if (en - ed >= 768) {
            again = true;
            r = a[l] == b[l] ? ldexp(s0, 128) : s0;
        } else if (ed == 0) {
            r = ldexp(s0, 128);
        } else if (tiny && small) {
            again = true;
            r = a[l] == b[l] ? ldexp(s0, -128) : s0;
        } else if (tiny) {
            r = ldexp(s0, -128);
        } else if (small) {
            again = true;
            r = a[l] == c[l] ? ldexp(s0, 128) : s0;
        } else if (en <= 53) {
            r = ldexp(s0, 128);
        }
        d[l] = U(r);
        out |= (uint64_t)again << l;
    }
    amd_result64(w, in, d, lanes);
    amd_set_mask(w, in->sdst, out & lanes);
    return true;
}

bool amd_exec_wide(amd_wave *w, const amd_insn *in) {
    const amd_op_info *info = &amd_ops[in->op];
    if (info->format > AMD_VOP3 || info->format < AMD_VOP2 || (info->flags & AMD_COMPARE)) {
        return false;
    }
    if (in->op == AMD_V_DIV_SCALE_F64) {
        return scale(w, in);
    }
    if (multiply_add(w, in)) {
        return true;
    }
    if (info->width[0] < 2 && info->width[1] < 2) {
        return false;
    }
    uint64_t a[LANES], b[LANES], c[LANES], d[LANES] = {0}, lanes = amd_active(w, in);
    int n = w->run->wave_lanes, third = info->flags & AMD_WIDE2 ? 2 : info->width[1];
    amd_source64(w, in, 0, info->width[1], a);
    amd_source64(w, in, 1, info->width[2] ? info->width[2] : 1, b);
    amd_source64(w, in, 2, third, c);
    if (!integers(in->op, n, a, b, c, d) && !floats(w, in->op, n, a, b, c, d)) {
        return false;
    }
    if (info->width[0] == 2) {
        amd_result64(w, in, d, lanes);
    } else {
        uint32_t low[LANES];
        for (int l = 0; l < LANES; l++) {
            low[l] = (uint32_t)d[l];
        }
        amd_result(w, in, low, lanes);
    }
    return true;
}
