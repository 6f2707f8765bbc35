/* SPDX-License-Identifier: Apache-2.0 */
/* Storage floats: exact conversions, and roundings in all directions. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "sim/ptx/sim.h"

/* Rounds to a multiple of 2^scale. */
static double round_multiple(double v, int scale, sim_round r) {
    double x = ldexp(v, -scale);
    switch ((int)r) {
    case ROUND_Z:
        x = trunc(x);
        break;
    case ROUND_M:
        x = floor(x);
        break;
    case ROUND_P:
        x = ceil(x);
        break;
    case ROUND_A:
        x = round(x);
        break;
    case ROUND_NONE:
    case ROUND_N:
    default:
        x = nearbyint(x);
        break;
    }
    return ldexp(x, scale);
}

double sim_round_to(double v, int mantissa, int emin, sim_round r) {
    if (v == 0 || isnan(v) || isinf(v)) {
        return v;
    }
    int e = ilogb(v);
    e = e < emin ? emin : e;
    double out = round_multiple(v, e - mantissa, r);
    return out == 0 ? copysign(0, v) : out;
}

float sim_round_f32(double exact, sim_round r) {
    double v = sim_round_to(exact, 23, -126, r);
    if (fabs(v) > (double)FLT_MAX && isfinite(exact)) {
        bool in = r == ROUND_Z || (r == ROUND_M && v > 0) || (r == ROUND_P && v < 0);
        return in ? copysignf(FLT_MAX, (float)v) : copysignf(INFINITY, (float)v);
    }
    return (float)v;
}

/* Encodes a value that the format holds: sign, exponent (bias = 1 - emin), mantissa. */
static uint32_t encode(double v, int mantissa, int emin, int bits) {
    uint32_t sign = signbit(v) ? 1u << (bits - 1) : 0;
    double a = fabs(v);
    if (a == 0) {
        return sign;
    }
    int e = ilogb(a);
    if (e < emin) {
        return sign | (uint32_t)ldexp(a, mantissa - emin);
    }
    uint32_t m = (uint32_t)(ldexp(a, mantissa - e) - ldexp(1, mantissa));
    return sign | (uint32_t)(e - emin + 1) << mantissa | m;
}

float sim_f16_to_f32(uint16_t h) {
    uint32_t e = h >> 10 & 31, m = h & 1023, sign = (uint32_t)(h & 0x8000) << 16;
    if (e == 0) {
        return (float)m * (sign ? -0x1p-24f : 0x1p-24f);
    }
    return sim_as_f32(sign |
                      (e == 31 ? (m ? 0x7fc00000u : 0x7f800000u) : (e + 112) << 23 | m << 13));
}

uint16_t sim_f32_to_f16(float f, sim_round r) {
    if (isnan(f)) {
        return 0x7fff;
    }
    double v = sim_round_to((double)f, 10, -14, r);
    uint16_t sign = signbit(f) ? 0x8000 : 0;
    if (fabs(v) >= 65536) {
        bool toward = isinf(f) || r == ROUND_N || r == ROUND_NONE || r == ROUND_A ||
                      (r == ROUND_P && !sign) || (r == ROUND_M && sign);
        return (uint16_t)(sign | (toward ? 0x7c00 : 0x7bff));
    }
    return (uint16_t)encode(v, 10, -14, 16);
}

uint16_t sim_f32_to_bf16(float f, sim_round r) {
    if (isnan(f)) {
        return 0x7fff;
    }
    uint32_t u = (uint32_t)sim_of_f32(f), low = u & 0xffff, high = u >> 16;
    bool negative = u >> 31, up = false;
    switch ((int)r) {
    case ROUND_P:
        up = low != 0 && !negative;
        break;
    case ROUND_M:
        up = low != 0 && negative;
        break;
    case ROUND_A:
        up = low >= 0x8000;
        break;
    case ROUND_Z:
        break;
    case ROUND_NONE:
    case ROUND_N:
    default:
        up = low > 0x8000 || (low == 0x8000 && (high & 1));
        break;
    }
    return (uint16_t)(isinf(f) ? high : high + up);
}

/* e4m3: no infinity, 0x7f NaN. e5m2: as IEEE. */
float sim_f8_to_f32(uint8_t v, sim_type t) {
    bool e4 = t == T_E4M3 || t == T_E4M3X2;
    int mantissa = e4 ? 3 : 2, bias = e4 ? 7 : 15;
    int e = v >> mantissa & (e4 ? 15 : 31), m = v & ((1 << mantissa) - 1);
    double out =
        e == 0 ? ldexp(m, 1 - bias - mantissa) : ldexp((1 << mantissa) + m, e - bias - mantissa);
    if (e4 ? (v & 0x7f) == 0x7f : e == 31) {
        out = m ? (double)NAN : (double)INFINITY;
    }
    return (float)(v >> 7 ? -out : out);
}

uint8_t sim_f32_to_f8(float f, sim_type t) {
    bool e4 = t == T_E4M3 || t == T_E4M3X2;
    uint8_t sign = signbit(f) ? 0x80 : 0;
    if (isnan(f)) {
        return 0x7f;
    }
    double top = e4 ? 448 : 57344;
    double v = sim_round_to((double)f, e4 ? 3 : 2, e4 ? -6 : -14, ROUND_N);
    if (fabs(v) > top) {
        return sign | (e4 ? 0x7e : 0x7b);
    }
    return (uint8_t)encode(v, e4 ? 3 : 2, e4 ? -6 : -14, 8);
}
