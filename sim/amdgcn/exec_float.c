/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vector instructions on floats of 32 and 16 bits, and conversions (CDNA3 ISA 12.7 to 12.13). Where
 * the manual allows an error (exp, log, rcp, rsq, sqrt, sin, cos) the result is that of double
 * precision, rounded.
 */
#include <math.h>
#include <string.h>

#include "sim/amdgcn/amd.h"

#define EACH(expression)                                                                           \
    for (int l = 0; l < n; l++) {                                                                  \
        d[l] = (expression);                                                                       \
    }                                                                                              \
    return true
#define F(v) amd_as_f32(v)
#define U(v) amd_of_f32(v)

static uint32_t quiet(uint32_t v) { return v | 0x400000; }
static bool is_nan(uint32_t v) { return (v & 0x7fffffff) > 0x7f800000; }

/* IEEE mode: a NaN gives way to a number; zeroes are ordered by sign. */
static uint32_t least(uint32_t a, uint32_t b) {
    if (is_nan(a) || is_nan(b)) {
        return is_nan(a) ? (is_nan(b) ? quiet(a) : b) : a;
    }
    return F(a) < F(b) || (F(a) == F(b) && a >> 31) ? a : b;
}
static uint32_t greatest(uint32_t a, uint32_t b) {
    if (is_nan(a) || is_nan(b)) {
        return is_nan(a) ? (is_nan(b) ? quiet(a) : b) : a;
    }
    return F(a) > F(b) || (F(a) == F(b) && b >> 31) ? a : b;
}
static uint32_t middle(uint32_t a, uint32_t b, uint32_t c) {
    if (is_nan(a) || is_nan(b) || is_nan(c)) {
        return least(least(a, b), c);
    }
    return greatest(least(a, b), least(greatest(a, b), c));
}

static uint32_t to_unsigned(float v) {
    return !(v > 0) ? 0 : v >= 4294967296.0f ? UINT32_MAX : (uint32_t)v;
}
static uint32_t to_signed(float v) {
    return isnan(v)              ? 0
           : v >= 2147483648.0f  ? (uint32_t)INT32_MAX
           : v <= -2147483648.0f ? (uint32_t)INT32_MIN
                                 : (uint32_t)(int32_t)v;
}

static float fraction(float v) {
    float f = v - floorf(v);
    return f >= 1 ? 0x1.fffffep-1f : f;
}

static bool one(int op, int n, const uint32_t *a, uint32_t *d) {
    int e;
    switch (op) {
    case AMD_V_CVT_F32_I32:
        EACH(U((float)(int32_t)a[l]));
    case AMD_V_CVT_F32_U32:
        EACH(U((float)a[l]));
    case AMD_V_CVT_F32_UBYTE0:
        EACH(U((float)(a[l] & 0xff)));
    case AMD_V_CVT_F32_UBYTE1:
        EACH(U((float)(a[l] >> 8 & 0xff)));
    case AMD_V_CVT_F32_UBYTE2:
        EACH(U((float)(a[l] >> 16 & 0xff)));
    case AMD_V_CVT_F32_UBYTE3:
        EACH(U((float)(a[l] >> 24)));
    case AMD_V_CVT_U32_F32:
        EACH(to_unsigned(F(a[l])));
    case AMD_V_CVT_I32_F32:
        EACH(to_signed(F(a[l])));
    case AMD_V_CVT_FLR_I32_F32:
        EACH(to_signed(floorf(F(a[l]))));
    case AMD_V_CVT_RPI_I32_F32:
        EACH(to_signed(floorf(F(a[l]) + 0.5f)));
    case AMD_V_FRACT_F32:
        EACH(U(fraction(F(a[l]))));
    case AMD_V_TRUNC_F32:
        EACH(U(truncf(F(a[l]))));
    case AMD_V_CEIL_F32:
        EACH(U(ceilf(F(a[l]))));
    case AMD_V_RNDNE_F32:
        EACH(U(nearbyintf(F(a[l]))));
    case AMD_V_FLOOR_F32:
        EACH(U(floorf(F(a[l]))));
    case AMD_V_EXP_F32:
        EACH(U((float)exp2((double)F(a[l]))));
    case AMD_V_LOG_F32:
        EACH(U((float)log2((double)F(a[l]))));
    case AMD_V_RCP_F32:
    case AMD_V_RCP_IFLAG_F32:
        EACH(U((float)(1 / (double)F(a[l]))));
    case AMD_V_RSQ_F32:
        EACH(U((float)(1 / sqrt((double)F(a[l])))));
    case AMD_V_SQRT_F32:
        EACH(U(sqrtf(F(a[l]))));
    case AMD_V_SIN_F32: /* of turns */
        EACH(U((float)sin(6.283185307179586 * (double)F(a[l]))));
    case AMD_V_COS_F32:
        EACH(U((float)cos(6.283185307179586 * (double)F(a[l]))));
    case AMD_V_FREXP_EXP_I32_F32:
        EACH((e = 0, isfinite(F(a[l])) && F(a[l]) != 0 ? (void)frexpf(F(a[l]), &e) : (void)0,
              (uint32_t)e));
    case AMD_V_FREXP_MANT_F32:
        EACH(isfinite(F(a[l])) ? U(frexpf(F(a[l]), &e)) : a[l]);
    case AMD_V_CVT_F16_F32:
        EACH(amd_f16_round((double)F(a[l])));
    case AMD_V_CVT_F32_F16:
        EACH(U(amd_f16_value((uint16_t)a[l])));
    case AMD_V_CVT_F32_FP8:
        EACH(U(amd_fp8_value((uint8_t)a[l], false)));
    case AMD_V_CVT_F32_BF8:
        EACH(U(amd_fp8_value((uint8_t)a[l], true)));
    case AMD_V_CVT_F16_U16:
        EACH(amd_f16_round((double)(a[l] & 0xffff)));
    case AMD_V_CVT_F16_I16:
        EACH(amd_f16_round((double)(int16_t)a[l]));
    }
    return false;
}

static bool two(int op, int n, const uint32_t *a, const uint32_t *b, uint32_t *d) {
    switch (op) {
    case AMD_V_ADD_F32:
        EACH(U(F(a[l]) + F(b[l])));
    case AMD_V_SUB_F32:
        EACH(U(F(a[l]) - F(b[l])));
    case AMD_V_SUBREV_F32:
        EACH(U(F(b[l]) - F(a[l])));
    case AMD_V_MUL_F32:
        EACH(U(F(a[l]) * F(b[l])));
    case AMD_V_MUL_LEGACY_F32:
        EACH(F(a[l]) == 0 || F(b[l]) == 0 ? 0 : U(F(a[l]) * F(b[l])));
    case AMD_V_MIN_F32:
        EACH(least(a[l], b[l]));
    case AMD_V_MAX_F32:
        EACH(greatest(a[l], b[l]));
    case AMD_V_LDEXP_F32:
        EACH(U(ldexpf(F(a[l]), (int32_t)b[l] < -400  ? -400
                               : (int32_t)b[l] > 400 ? 400
                                                     : (int32_t)b[l])));
    case AMD_V_CVT_PKRTZ_F16_F32:
    case AMD_V_CVT_PKRTZ_F16_F32_E64:
        EACH(amd_f16_round_zero((double)F(a[l])) | (uint32_t)amd_f16_round_zero((double)F(b[l]))
                                                       << 16);
    }
    return false;
}

/* v_div_fixup_f32 (CDNA3 ISA 12.13): the quotient's special cases. */
static uint32_t fix_quotient(uint32_t q, uint32_t den, uint32_t num) {
    uint32_t sign = (den ^ num) & 0x80000000u, inf = 0x7f800000u;
    uint32_t x = den & 0x7fffffff, y = num & 0x7fffffff;
    int ex = (int)(x >> 23), ey = (int)(y >> 23);
    if (is_nan(num)) {
        return quiet(num);
    }
    if (is_nan(den)) {
        return quiet(den);
    }
    if ((x == 0 && y == 0) || (x == inf && y == inf)) {
        return 0xffc00000u;
    }
    if (x == 0 || y == inf) {
        return sign | inf;
    }
    if (x == inf || y == 0 || ey - ex < -150) {
        return sign;
    }
    /* Steps on the way to a quotient that overflows meet infinities of both signs. */
    return sign | (ex == 255 || is_nan(q) ? inf : q & 0x7fffffff);
}

/* a * b + c, cut off after 53 bits with the last one set where something was: a later rounding to
 * fewer is the only one. */
static double cut_fma(float a, float b, float c) {
    double p = (double)a * b, s = p + c, t = s - p, rest = (p - (s - t)) + (c - t);
    uint64_t bits;
    if (isfinite(s) && rest != 0) {
        memcpy(&bits, &s, sizeof bits);
        if ((bits & 1) == 0) {
            bits += (rest > 0) == (s > 0) ? 1 : (uint64_t)-1;
        }
        memcpy(&s, &bits, sizeof s);
    }
    return s;
}

/* What v_div_scale did to a quotient is undone: which way, its own size says. */
static float unscaled(uint32_t a, uint32_t b, uint32_t c) {
    int up = (c >> 23 & 255) > 127 ? 64 : -64;
    return (float)ldexp(cut_fma(F(a), F(b), F(c)), up);
}

static bool three(amd_wave *w, int op, int n, const uint32_t *a, const uint32_t *b,
                  const uint32_t *c, uint32_t *d) {
    uint64_t vcc = op == AMD_V_DIV_FMAS_F32 ? amd_mask(w, SRC_VCC) : 0;
    switch (op) {
    case AMD_V_FMA_F32:
    case AMD_V_FMAC_F32:
    case AMD_V_FMAMK_F32:
    case AMD_V_FMAAK_F32:
        EACH(U(fmaf(F(a[l]), F(b[l]), F(c[l]))));
    case AMD_V_MIN3_F32:
        EACH(least(least(a[l], b[l]), c[l]));
    case AMD_V_MAX3_F32:
        EACH(greatest(greatest(a[l], b[l]), c[l]));
    case AMD_V_MED3_F32:
        EACH(middle(a[l], b[l], c[l]));
    case AMD_V_MINMAX_F32:
        EACH(greatest(least(a[l], b[l]), c[l]));
    case AMD_V_MAXMIN_F32:
        EACH(least(greatest(a[l], b[l]), c[l]));
    case AMD_V_DIV_FMAS_F32:
        EACH(U(vcc >> l & 1 ? unscaled(a[l], b[l], c[l]) : fmaf(F(a[l]), F(b[l]), F(c[l]))));
    case AMD_V_DIV_FIXUP_F32:
        EACH(fix_quotient(a[l], b[l], c[l]));
    }
    return false;
}

/* v_div_scale_f32: a scaled by 2^64 or 2^-64 where the quotient needs it, and VCC: it has to be
 * scaled back. The manual's pseudo-code (CDNA3 ISA 12.13) asks of 1/denominator whether it is a
 * subnormal f64, which it cannot be; of f32 is what makes quotients by it right. */
static bool scale(amd_wave *w, const amd_insn *in) {
    uint32_t ra[LANES], rb[LANES], rc[LANES], d[LANES] = {0};
    uint64_t lanes = amd_active(w, in), out = 0;
    const uint32_t *a = amd_source(w, in, 0, ra), *b = amd_source(w, in, 1, rb),
                   *c = amd_source(w, in, 2, rc);
    for (int l = 0; l < w->run->wave_lanes; l++) {
        float s0 = F(a[l]), den = F(b[l]), num = F(c[l]), r = s0;
        int ed = (int)(b[l] >> 23 & 255), en = (int)(c[l] >> 23 & 255);
        bool again = false, huge = fpclassify(1 / den) == FP_SUBNORMAL;
        bool tiny = fpclassify((float)((double)num / (double)den)) == FP_SUBNORMAL;
        if (num == 0 || den == 0) {
            r = NAN;
        } else if (en - ed >= 96) {
            again = true;
            r = a[l] == b[l] ? ldexpf(s0, 64) : s0;
        } else if (ed == 0) {
            r = ldexpf(s0, 64);
        } else if (huge && tiny) {
            again = true;
            r = a[l] == b[l] ? ldexpf(s0, -64) : s0;
        } else if (huge) {
            r = ldexpf(s0, -64);
        } else if (tiny) {
            again = true;
            r = a[l] == c[l] ? ldexpf(s0, 64) : s0;
        } else if (en <= 23) {
            r = ldexpf(s0, 64);
        }
        d[l] = U(r);
        out |= (uint64_t)again << l;
    }
    amd_result(w, in, d, lanes);
    amd_set_mask(w, in->sdst, out & lanes);
    return true;
}

/* ---- halves
 * ---------------------------------------------------------------------------------------- */

#define H(v) ((double)amd_f16_value((uint16_t)(v)))
#define R(v) amd_f16_round(v)

static uint32_t half_least(uint32_t a, uint32_t b) {
    return isnan(H(a))   ? b & 0xffff
           : isnan(H(b)) ? a & 0xffff
                         : (H(a) < H(b) || (H(a) == H(b) && (a & 0x8000)) ? a : b) & 0xffff;
}
static uint32_t half_greatest(uint32_t a, uint32_t b) {
    return isnan(H(a))   ? b & 0xffff
           : isnan(H(b)) ? a & 0xffff
                         : (H(a) > H(b) || (H(a) == H(b) && (b & 0x8000)) ? a : b) & 0xffff;
}

static uint32_t half_middle(uint32_t a, uint32_t b, uint32_t c) {
    if (isnan(H(a)) || isnan(H(b)) || isnan(H(c))) {
        return half_least(half_least(a, b), c);
    }
    return half_greatest(half_least(a, b), half_least(half_greatest(a, b), c));
}

/* As for f32; a quotient of halves in f32 neither overflows nor loses a place on its way. */
static uint32_t half_quotient(uint32_t q, uint32_t den, uint32_t num) {
    uint32_t sign = (den ^ num) & 0x8000, x = den & 0x7fff, y = num & 0x7fff, inf = 0x7c00;
    if (x > inf || y > inf) {
        return ((y > inf ? num : den) & 0xffff) | 0x200;
    }
    if ((x == 0 && y == 0) || (x == inf && y == inf)) {
        return 0xfe00;
    }
    return x == 0 || y == inf ? sign | inf : x == inf || y == 0 ? sign : sign | (q & 0x7fff);
}

static bool half(int op, int n, const uint32_t *a, const uint32_t *b, const uint32_t *c,
                 uint32_t *d) {
    switch (op) {
    case AMD_V_ADD_F16:
        EACH(R(H(a[l]) + H(b[l])));
    case AMD_V_SUB_F16:
        EACH(R(H(a[l]) - H(b[l])));
    case AMD_V_SUBREV_F16:
        EACH(R(H(b[l]) - H(a[l])));
    case AMD_V_MUL_F16:
        EACH(R(H(a[l]) * H(b[l])));
    case AMD_V_MIN_F16:
        EACH(half_least(a[l], b[l]));
    case AMD_V_MAX_F16:
        EACH(half_greatest(a[l], b[l]));
    case AMD_V_FMA_F16:
    case AMD_V_FMAC_F16:
        EACH(R(H(a[l]) * H(b[l]) + H(c[l])));
    case AMD_V_DIV_FIXUP_F16:
        EACH(half_quotient(a[l], b[l], c[l]));
    case AMD_V_MIN3_F16:
        EACH(half_least(half_least(a[l], b[l]), c[l]));
    case AMD_V_MAX3_F16:
        EACH(half_greatest(half_greatest(a[l], b[l]), c[l]));
    case AMD_V_MED3_F16:
        EACH(half_middle(a[l], b[l], c[l]));
    case AMD_V_LDEXP_F16:
        EACH(R(ldexp(H(a[l]), (int16_t)b[l])));
    case AMD_V_RCP_F16:
        EACH(R(1 / H(a[l])));
    case AMD_V_SQRT_F16:
        EACH(R(sqrt(H(a[l]))));
    case AMD_V_RSQ_F16:
        EACH(R(1 / sqrt(H(a[l]))));
    case AMD_V_EXP_F16:
        EACH(R(exp2(H(a[l]))));
    case AMD_V_LOG_F16:
        EACH(R(log2(H(a[l]))));
    case AMD_V_FLOOR_F16:
        EACH(R(floor(H(a[l]))));
    case AMD_V_CEIL_F16:
        EACH(R(ceil(H(a[l]))));
    case AMD_V_TRUNC_F16:
        EACH(R(trunc(H(a[l]))));
    case AMD_V_RNDNE_F16:
        EACH(R(nearbyint(H(a[l]))));
    case AMD_V_FRACT_F16:
        EACH(R(H(a[l]) - floor(H(a[l]))));
    case AMD_V_CVT_U16_F16:
        EACH(isnan(H(a[l])) || H(a[l]) < 0 ? 0 : H(a[l]) > 65535 ? 65535 : (uint32_t)H(a[l]));
    case AMD_V_CVT_I16_F16:
        EACH((uint32_t)(isnan(H(a[l]))     ? 0
                        : H(a[l]) < -32768 ? -32768
                        : H(a[l]) > 32767  ? 32767
                                           : (int32_t)H(a[l])) &
             0xffff);
    }
    return false;
}

/* Two 8-bit floats into half a word (op_sel: which), the other half is kept. */
static bool pack_fp8(amd_wave *w, const amd_insn *in) {
    bool bf8 = in->op == AMD_V_CVT_PK_BF8_F32;
    if (!bf8 && in->op != AMD_V_CVT_PK_FP8_F32) {
        return false;
    }
    uint32_t ra[LANES], rb[LANES], d[LANES] = {0};
    const uint32_t *a = amd_source(w, in, 0, ra), *b = amd_source(w, in, 1, rb),
                   *old = amd_row(w, in->dst, 3);
    uint32_t up = in->opsel & 8 ? 16 : 0;
    for (int l = 0; l < w->run->wave_lanes; l++) {
        uint32_t pair = amd_fp8_round(F(a[l]), bf8) | (uint32_t)amd_fp8_round(F(b[l]), bf8) << 8;
        d[l] = (old[l] & ~(0xffffu << up)) | pair << up;
    }
    amd_result(w, in, d, amd_active(w, in));
    return true;
}

bool amd_exec_float(amd_wave *w, const amd_insn *in) {
    const amd_op_info *info = &amd_ops[in->op];
    uint32_t ra[LANES], rb[LANES], rc[LANES], d[LANES] = {0};
    if (in->op == AMD_V_DIV_SCALE_F32) {
        return scale(w, in);
    }
    if (info->width[0] != 1 || info->width[1] != 1 || (info->flags & (AMD_PACKED | AMD_MATRIX)) ||
        info->format > AMD_VOP3) {
        return false;
    }
    if (pack_fp8(w, in)) {
        return true;
    }
    const uint32_t *a = amd_source(w, in, 0, ra), *b = amd_source(w, in, 1, rb);
    int n = w->run->wave_lanes;
    if (!one(in->op, n, a, d) && !two(in->op, n, a, b, d)) {
        const uint32_t *c = amd_source(w, in, 2, rc);
        if (!three(w, in->op, n, a, b, c, d) && !half(in->op, n, a, b, c, d)) {
            return false;
        }
    }
    amd_result(w, in, d, amd_active(w, in));
    return true;
}
