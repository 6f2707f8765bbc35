/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Element types: see dtype.h. One descriptor per float format and one rounding routine serve them
 * all. The routine works on the integer code: with M mantissa bits and the quantum 2^(e-M) of v's
 * binade, the code of |v| is ((biased e) - 1) * 2^M + round(|v| / quantum), and a carry out of the
 * mantissa is the next binade by itself.
 *
 * NaNs keep their sign and the upper payload bits where the format has room, so that decode
 * followed by encode is the identity on every code; `cast` makes them quiet first.
 */
#include "ir/dtype.h"

#include <math.h>
#include <string.h>

typedef struct float_format {
    int exp_bits, man_bits, bias;
    uint32_t max_code; /* magnitude of the greatest finite value */
    bool has_inf, has_nan, saturates, has_minus_zero;
} float_format;

static const char *const dtype_names[] = {
#define X(e, n, b, c) n,
    TG_DTYPES(X)
#undef X
};
static const unsigned char dtype_bits[] = {
#define X(e, n, b, c) b,
    TG_DTYPES(X)
#undef X
};
static const char dtype_class[] = {
#define X(e, n, b, c) c,
    TG_DTYPES(X)
#undef X
};

static const float_format float_formats[TG_DT_COUNT] = {
    [TG_DT_F16] = {5, 10, 15, 0x7BFF, true, true, false, true},
    [TG_DT_BF16] = {8, 7, 127, 0x7F7F, true, true, false, true},
    [TG_DT_F32] = {8, 23, 127, 0x7F7FFFFF, true, true, false, true},
    [TG_DT_F8E4M3] = {4, 3, 7, 0x7E, false, true, true, true},
    [TG_DT_F8E4M3FNUZ] = {4, 3, 8, 0x7F, false, true, true, false},
    [TG_DT_F8E5M2] = {5, 2, 15, 0x7B, true, true, false, true},
    [TG_DT_F4E2M1] = {2, 1, 1, 0x7, false, false, true, true},
};

static bool valid(tg_dtype t) { return (unsigned)t < TG_DT_COUNT; }

const char *tg_dtype_name(tg_dtype t) { return valid(t) ? dtype_names[t] : "?"; }

int tg_dtype_bits(tg_dtype t) { return valid(t) ? dtype_bits[t] : 0; }

bool tg_dtype_from_name(const char *s, size_t len, tg_dtype *out) {
    for (int i = TG_DT_BOOL; i < TG_DT_COUNT; i++) {
        if (strlen(dtype_names[i]) == len && memcmp(dtype_names[i], s, len) == 0) {
            *out = (tg_dtype)i;
            return true;
        }
    }
    return false;
}

bool tg_dtype_is_float(tg_dtype t) { return valid(t) && dtype_class[t] == 'f'; }

bool tg_dtype_is_int(tg_dtype t) {
    return valid(t) && (dtype_class[t] == 'i' || dtype_class[t] == 'u');
}

bool tg_dtype_is_signed(tg_dtype t) { return valid(t) && dtype_class[t] == 'i'; }

bool tg_dtype_is_storage(tg_dtype t) { return tg_dtype_arith(t) != t; }

tg_dtype tg_dtype_arith(tg_dtype t) {
    if (tg_dtype_is_float(t)) {
        return t == TG_DT_F64 ? TG_DT_F64 : TG_DT_F32;
    }
    return t == TG_DT_I4 ? TG_DT_I32 : t == TG_DT_U4 ? TG_DT_U32 : t;
}

/* ---- floats --------------------------------------------------------------------------------- */

static uint64_t bits_of_double(double v) {
    uint64_t b;
    memcpy(&b, &v, sizeof b);
    return b;
}

static double double_of_bits(uint64_t b) {
    double v;
    memcpy(&v, &b, sizeof v);
    return v;
}

static double decode_e8m0(uint64_t bits) {
    int code = (int)(bits & 0xFF);
    return code == 0xFF ? (double)NAN : ldexp(1.0, code - 127);
}

/* A NaN with the format's mantissa at the top of the double's. */
static double decode_nan(uint64_t sign, uint64_t man, int man_bits) {
    return double_of_bits(sign << 63 | UINT64_C(0x7FF) << 52 | man << (52 - man_bits));
}

double tg_float_decode(tg_dtype t, uint64_t bits) {
    if (t == TG_DT_F64) {
        return double_of_bits(bits);
    }
    if (t == TG_DT_F8E8M0) {
        return decode_e8m0(bits);
    }
    const float_format *f = valid(t) ? &float_formats[t] : &float_formats[TG_DT_NONE];
    if (f->exp_bits == 0) {
        return 0.0;
    }
    int width = 1 + f->exp_bits + f->man_bits;
    uint64_t sign = bits >> (width - 1) & 1;
    uint64_t code = bits & ((UINT64_C(1) << (width - 1)) - 1);
    uint64_t man = code & ((UINT64_C(1) << f->man_bits) - 1);
    int exponent = (int)(code >> f->man_bits);
    if (!f->has_minus_zero && sign == 1 && code == 0) {
        return (double)NAN;
    }
    if (code > f->max_code) {
        if (f->has_inf && man == 0) {
            return sign ? -(double)INFINITY : (double)INFINITY;
        }
        return f->has_inf ? decode_nan(sign, man, f->man_bits) : decode_nan(sign, 1, 1);
    }
    if (exponent != 0) { /* every format's normals are normal doubles */
        return double_of_bits(sign << 63 | (uint64_t)(exponent - f->bias + 1023) << 52 |
                              man << (52 - f->man_bits));
    }
    double v = ldexp((double)man, 1 - f->bias - f->man_bits);
    return sign ? -v : v;
}

static uint64_t encode_e8m0(double v, tg_round round) {
    if (isnan(v)) {
        return 0xFF;
    }
    if (v <= 0.0) {
        return 0;
    }
    if (isinf(v)) {
        return 0xFE;
    }
    int e;
    double frac = frexp(v, &e); /* v = frac * 2^e, frac in [0.5, 1) */
    int code = e - 1 + 127;
    if (round == TG_ROUND_UP) {
        code += frac > 0.5;
    } else {
        code += frac > 0.75 || (frac == 0.75 && (code & 1));
    }
    return (uint64_t)(code < 0 ? 0 : code > 0xFE ? 0xFE : code);
}

static uint64_t encode_nan(const float_format *f, double v, uint64_t sign_bit) {
    uint64_t inf_code = ((UINT64_C(1) << f->exp_bits) - 1) << f->man_bits;
    if (!f->has_nan) {
        return 0;
    }
    if (!f->has_minus_zero) {
        return UINT64_C(1) << (f->exp_bits + f->man_bits);
    }
    if (!f->has_inf) {
        return sign_bit | inf_code | ((UINT64_C(1) << f->man_bits) - 1);
    }
    uint64_t man = (bits_of_double(v) & ((UINT64_C(1) << 52) - 1)) >> (52 - f->man_bits);
    return sign_bit | inf_code | (man != 0 ? man : UINT64_C(1) << (f->man_bits - 1));
}

/* Integer part of m / 2^drop after rounding; up: away from zero when inexact under UP/DOWN. */
static uint64_t round_shift(uint64_t m, int drop, tg_round round, bool negative) {
    if (drop <= 0) {
        return m << -drop;
    }
    if (drop > 62) {
        drop = 62; /* m < 2^53: all of it is a sticky remainder below one half */
    }
    uint64_t whole = m >> drop, rest = m & ((UINT64_C(1) << drop) - 1);
    uint64_t half = UINT64_C(1) << (drop - 1);
    switch (round) {
    case TG_ROUND_RNE:
        return whole + (rest > half || (rest == half && (whole & 1)));
    case TG_ROUND_RTZ:
        return whole;
    case TG_ROUND_UP:
        return whole + (rest != 0 && !negative);
    case TG_ROUND_DOWN:
        return whole + (rest != 0 && negative);
    }
    return whole;
}

/* True when overflow of a finite value gives infinity under this rounding. */
static bool overflows_to_inf(tg_round round, bool negative) {
    switch (round) {
    case TG_ROUND_RNE:
        return true;
    case TG_ROUND_RTZ:
        return false;
    case TG_ROUND_UP:
        return !negative;
    case TG_ROUND_DOWN:
        return negative;
    }
    return true;
}

/* |v| = m * 2^(e-53) with 2^52 <= m < 2^53; v finite, not 0. */
static uint64_t split(double v, int *out_e) {
    uint64_t b = bits_of_double(v);
    int biased = (int)(b >> 52 & 0x7FF);
    if (biased == 0) {
        return (uint64_t)ldexp(frexp(fabs(v), out_e), 53);
    }
    *out_e = biased - 1022;
    return (b & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1) << 52;
}

uint64_t tg_float_encode(tg_dtype t, double v, tg_round round, bool saturate) {
    if (t == TG_DT_F64) {
        return bits_of_double(v);
    }
    if (t == TG_DT_F8E8M0) {
        return encode_e8m0(v, round);
    }
    const float_format *f = valid(t) ? &float_formats[t] : &float_formats[TG_DT_NONE];
    if (f->exp_bits == 0) {
        return 0;
    }
    bool negative = signbit(v) != 0;
    uint64_t sign_bit = (uint64_t)negative << (f->exp_bits + f->man_bits);
    uint64_t inf_code = ((UINT64_C(1) << f->exp_bits) - 1) << f->man_bits;
    bool clamp = saturate || f->saturates;
    if (isnan(v)) {
        return encode_nan(f, v, sign_bit);
    }
    if (isinf(v)) {
        return sign_bit | (clamp ? f->max_code : inf_code);
    }
    if (v == 0.0) {
        return f->has_minus_zero ? sign_bit : 0;
    }
    int e;
    uint64_t m = split(v, &e);
    int binade = e - 1 < 1 - f->bias ? 1 - f->bias : e - 1;
    uint64_t code;
    if (binade - (1 - f->bias) > 1 << f->exp_bits) {
        code = (uint64_t)f->max_code + 1;
    } else {
        code = ((uint64_t)(binade + f->bias - 1) << f->man_bits) +
               round_shift(m, binade - f->man_bits - (e - 53), round, negative);
    }
    if (code > f->max_code) {
        bool to_inf = !clamp && overflows_to_inf(round, negative);
        code = to_inf ? inf_code : f->max_code;
    }
    return code == 0 && !f->has_minus_zero ? 0 : sign_bit | code;
}

/* ---- element access ------------------------------------------------------------------------- */

uint64_t tg_bits_load(const void *row, tg_dtype t, size_t i) {
    const unsigned char *p = row;
    switch (tg_dtype_bits(t)) {
    case 4:
        return p[i / 2] >> (i % 2 * 4) & 0xFu;
    case 8:
        return p[i];
    case 16: {
        uint16_t v;
        memcpy(&v, p + i * sizeof v, sizeof v);
        return v;
    }
    case 32: {
        uint32_t v;
        memcpy(&v, p + i * sizeof v, sizeof v);
        return v;
    }
    case 64: {
        uint64_t v;
        memcpy(&v, p + i * sizeof v, sizeof v);
        return v;
    }
    default:
        return 0;
    }
}

void tg_bits_store(void *row, tg_dtype t, size_t i, uint64_t bits) {
    unsigned char *p = row;
    switch (tg_dtype_bits(t)) {
    case 4: {
        unsigned shift = (unsigned)(i % 2 * 4);
        p[i / 2] = (unsigned char)((p[i / 2] & ~(0xFu << shift)) | (bits & 0xF) << shift);
        break;
    }
    case 8:
        p[i] = (unsigned char)bits;
        break;
    case 16: {
        uint16_t v = (uint16_t)bits;
        memcpy(p + i * sizeof v, &v, sizeof v);
        break;
    }
    case 32: {
        uint32_t v = (uint32_t)bits;
        memcpy(p + i * sizeof v, &v, sizeof v);
        break;
    }
    case 64:
        memcpy(p + i * sizeof bits, &bits, sizeof bits);
        break;
    default:
        break;
    }
}

int64_t tg_int_decode(tg_dtype t, uint64_t bits) {
    int width = tg_dtype_bits(t);
    if (width <= 0 || width >= 64) {
        return (int64_t)bits;
    }
    uint64_t mask = (UINT64_C(1) << width) - 1;
    bits &= mask;
    if (tg_dtype_is_signed(t) && (bits >> (width - 1) & 1)) {
        bits |= ~mask;
    }
    return (int64_t)bits;
}

/* ---- formats inside formats ------------------------------------------------------------------ */

static bool float_holds(tg_dtype to, tg_dtype from) {
    if (from == to || to == TG_DT_F64 || (to == TG_DT_F32 && from != TG_DT_F64)) {
        return true;
    }
    if (tg_dtype_bits(from) > 8) {
        return false;
    }
    for (uint64_t bits = 0; bits < (uint64_t)1 << tg_dtype_bits(from); bits++) {
        double v = tg_float_decode(from, bits);
        double w = tg_float_decode(to, tg_float_encode(to, v, TG_ROUND_RNE, false));
        if (isnan(v) ? !isnan(w) : v != w || signbit(v) != signbit(w)) {
            return false;
        }
    }
    return true;
}

bool tg_dtype_holds(tg_dtype to, tg_dtype from) {
    if (tg_dtype_is_float(from) && tg_dtype_is_float(to)) {
        return float_holds(to, from);
    }
    if (!tg_dtype_is_int(from) || !tg_dtype_is_int(to)) {
        return false;
    }
    int fb = tg_dtype_bits(from), tb = tg_dtype_bits(to);
    return tg_dtype_is_signed(from) == tg_dtype_is_signed(to)
               ? fb <= tb
               : !tg_dtype_is_signed(from) && fb < tb;
}
