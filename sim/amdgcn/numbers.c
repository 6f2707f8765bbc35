/* SPDX-License-Identifier: Apache-2.0 */
/* Floats of 16 and 8 bits. */
#include <math.h>

#include "sim/amdgcn/amd.h"

float amd_f16_value(uint16_t h) {
    int e = h >> 10 & 31, m = h & 1023;
    float v = e == 31  ? (m ? NAN : INFINITY)
              : e == 0 ? ldexpf((float)m, -24)
                       : ldexpf((float)(m + 1024), e - 25);
    return h & 0x8000 ? -v : v;
}

/* v in steps of its exponent's last place, rounded by `round`. */
static uint32_t encode(double v, int mantissa, int least, double (*round)(double)) {
    int e;
    (void)frexp(v, &e);
    e = e - 1 < least ? least : e - 1;
    double steps = round(ldexp(v, mantissa - e));
    if (steps == ldexp(1, mantissa + 1)) {
        steps /= 2;
        e++;
    }
    uint32_t n = (uint32_t)steps, top = 1u << mantissa;
    return n < top ? n : (uint32_t)(e - least + 1) << mantissa | (n - top);
}

static uint16_t f16_of(double v, double (*round)(double), uint16_t beyond) {
    uint16_t sign = signbit(v) ? 0x8000 : 0;
    double a = fabs(v);
    if (isnan(v)) {
        return sign | 0x7e00;
    }
    if (isinf(v) || a >= 65536) {
        return sign | (isinf(v) ? 0x7c00 : beyond);
    }
    uint32_t bits = a == 0 ? 0 : encode(a, 10, -14, round);
    return (uint16_t)(sign | (bits > beyond ? beyond : bits));
}

uint16_t amd_f16_round(double v) { return f16_of(v, nearbyint, 0x7c00); }
uint16_t amd_f16_round_zero(double v) { return f16_of(v, trunc, 0x7bff); }

float amd_fp8_value(uint8_t v, bool bf8) {
    int mantissa = bf8 ? 2 : 3, bias = bf8 ? 16 : 8;
    int e = (v & 0x7f) >> mantissa, m = v & ((1 << mantissa) - 1);
    if (v == 0x80) {
        return NAN;
    }
    float a = e == 0 ? ldexpf((float)m, 1 - bias - mantissa)
                     : ldexpf((float)(m + (1 << mantissa)), e - bias - mantissa);
    return v & 0x80 ? -a : a;
}

/* Saturates (CDNA3 ISA 7.1.2: with FP16_OVFL; else NaN). */
uint8_t amd_fp8_round(float v, bool bf8) {
    uint8_t sign = signbit(v) ? 0x80 : 0;
    if (isnan(v) || isinf(v)) {
        return 0x80;
    }
    double a = fabs((double)v);
    uint32_t bits = a == 0 ? 0 : encode(a, bf8 ? 2 : 3, bf8 ? -15 : -7, nearbyint);
    if (bits > 0x7f) {
        return 0x80;
    }
    return bits == 0 ? 0 : (uint8_t)(sign | bits);
}

uint32_t amd_reversed(uint32_t v) {
    uint32_t out = 0;
    for (int i = 0; i < 32; i++) {
        out |= (v >> i & 1) << (31 - i);
    }
    return out;
}
