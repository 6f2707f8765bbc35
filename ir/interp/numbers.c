/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic on single cells: decode and encode, casts, ordering, reference math, exactness. */
#include <float.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "ir/interp/internal.h"

int64_t tg_num_wrap(tg_dtype t, int64_t v) { return tg_int_decode(t, (uint64_t)v); }

/* ---- memory form ---------------------------------------------------------------------------- */

tg_cell tg_num_decode(const tg_interp *in, tg_dtype t, uint64_t bits) {
    if (!tg_dtype_is_float(t)) {
        return (tg_cell){.i = t == TG_DT_BOOL ? (bits & 0xFF) != 0 : tg_int_decode(t, bits)};
    }
    if (in != NULL && in->small_decode[t] != NULL) {
        return (tg_cell){.f = in->small_decode[t][bits & 0xFF]};
    }
    return (tg_cell){.f = tg_float_decode(t, bits)};
}

uint64_t tg_num_encode(tg_dtype t, tg_cell c) {
    if (!tg_dtype_is_float(t)) {
        int bits = tg_dtype_bits(t);
        return bits == 64 ? (uint64_t)c.i : (uint64_t)c.i & ((UINT64_C(1) << bits) - 1);
    }
    if (t == TG_DT_F32 && !isnan(c.f)) {
        float f = (float)c.f;
        uint32_t b;
        memcpy(&b, &f, sizeof b);
        return b;
    }
    return tg_float_encode(t, c.f, TG_ROUND_RNE, false);
}

tg_cell tg_num_zero(tg_dtype t) {
    tg_cell c = {.i = 0}; /* also 0.0 */
    if (t == TG_DT_F8E8M0) {
        c.f = tg_float_decode(t, 0);
    }
    return c;
}

tg_cell tg_num_load(tg_interp *in, const tg_iv_tensor *t, const char *addr, int64_t packed_index) {
    if (t->dtype == TG_DT_F32) {
        uint32_t b;
        float f;
        memcpy(&b, addr, sizeof b);
        memcpy(&f, &b, sizeof f);
        return (tg_cell){.f = isnan(f) ? tg_float_decode(TG_DT_F32, b) : (double)f};
    }
    return tg_num_decode(in, t->dtype, tg_bits_load(addr, t->dtype, (size_t)packed_index));
}

void tg_num_store(const tg_iv_tensor *t, char *addr, int64_t packed_index, tg_cell c) {
    tg_bits_store(addr, t->dtype, (size_t)packed_index, tg_num_encode(t->dtype, c));
}

/* ---- order ---------------------------------------------------------------------------------- */

double tg_num_min(double a, double b) {
    if (isnan(a) || isnan(b)) {
        return isnan(a) ? a : b;
    }
    return a < b || (a == b && signbit(a)) ? a : b;
}

double tg_num_max(double a, double b) {
    if (isnan(a) || isnan(b)) {
        return isnan(a) ? a : b;
    }
    return a > b || (a == b && !signbit(a)) ? a : b;
}

bool tg_num_is_nan(tg_dtype t, tg_cell c) { return tg_dtype_is_float(t) && isnan(c.f); }

static int order_floats(double a, double b) {
    if (isnan(a) || isnan(b)) {
        return (isnan(a) != 0) - (isnan(b) != 0);
    }
    if (a != b) {
        return a < b ? -1 : 1;
    }
    return a == 0.0 ? (signbit(b) != 0) - (signbit(a) != 0) : 0;
}

int tg_num_order(tg_dtype t, tg_cell a, tg_cell b) {
    if (tg_dtype_is_float(t)) {
        return order_floats(a.f, b.f);
    }
    if (t == TG_DT_U64) {
        uint64_t x = (uint64_t)a.i, y = (uint64_t)b.i;
        return (x > y) - (x < y);
    }
    return (a.i > b.i) - (a.i < b.i);
}

/* ---- casts ---------------------------------------------------------------------------------- */

/* v with at least 55 leading bits kept and the rest folded into the lowest: rounds later as v
 * would. */
static double sticky_double(uint64_t magnitude, bool negative) {
    int drop = 0;
    while (magnitude >> drop >= UINT64_C(1) << 53) {
        drop++;
    }
    uint64_t kept = magnitude >> drop;
    if (drop > 0 && (magnitude & ((UINT64_C(1) << drop) - 1)) != 0) {
        kept |= 1;
    }
    double v = ldexp((double)kept, drop);
    return negative ? -v : v;
}

static tg_cell int_to_float(bool wide, tg_dtype from, tg_dtype to, int64_t v, tg_round round,
                            bool saturate) {
    bool negative = from != TG_DT_U64 && v < 0;
    uint64_t magnitude = negative ? 0 - (uint64_t)v : (uint64_t)v;
    if (wide) {
        double d = from == TG_DT_U64 ? (double)(uint64_t)v : (double)v;
        return (tg_cell){.f = d};
    }
    double d = sticky_double(magnitude, negative);
    return (tg_cell){.f = tg_float_decode(to, tg_float_encode(to, d, round, saturate))};
}

static tg_cell float_to_int(tg_dtype to, double v) {
    int bits = tg_dtype_bits(to);
    if (isnan(v)) {
        return (tg_cell){.i = 0};
    }
    v = trunc(v);
    if (tg_dtype_is_signed(to)) {
        double limit = ldexp(1.0, bits - 1);
        if (v >= limit) {
            return (tg_cell){.i = (int64_t)((UINT64_C(1) << (bits - 1)) - 1)};
        }
        return (tg_cell){.i = v < -limit ? tg_int_decode(to, UINT64_C(1) << (bits - 1))
                                         : (int64_t)v};
    }
    if (v >= ldexp(1.0, bits)) {
        return (tg_cell){.i = (int64_t)(UINT64_MAX >> (64 - bits))};
    }
    return (tg_cell){.i = v <= 0.0 ? 0 : (int64_t)(uint64_t)v};
}

static tg_cell int_to_int(tg_dtype from, tg_dtype to, int64_t v, bool saturate) {
    if (!saturate || from == TG_DT_BOOL) {
        return (tg_cell){.i = tg_num_wrap(to, v)};
    }
    int bits = tg_dtype_bits(to);
    bool negative = from != TG_DT_U64 && v < 0;
    uint64_t most = UINT64_MAX >> (64 - bits + (tg_dtype_is_signed(to) ? 1 : 0));
    if (negative) {
        int64_t least = tg_dtype_is_signed(to) ? tg_int_decode(to, UINT64_C(1) << (bits - 1)) : 0;
        return (tg_cell){.i = v < least ? least : v};
    }
    return (tg_cell){.i = (uint64_t)v > most ? (int64_t)most : v};
}

static double quiet(double v) {
    uint64_t b;
    memcpy(&b, &v, sizeof b);
    b |= UINT64_C(1) << 51;
    memcpy(&v, &b, sizeof v);
    return v;
}

tg_cell tg_num_cast(const tg_interp *in, tg_dtype from, tg_dtype to, tg_cell v, tg_round round,
                    bool saturate) {
    bool from_float = tg_dtype_is_float(from), to_float = tg_dtype_is_float(to);
    if (to == TG_DT_BOOL) {
        return (tg_cell){.i = from_float ? v.f != 0.0 : v.i != 0};
    }
    if (!from_float) {
        bool wide = to == TG_DT_F64 || (to == TG_DT_F32 && tg_num_wide(in, to));
        return to_float ? int_to_float(wide, from, to, v.i, round, saturate)
                        : int_to_int(from, to, v.i, saturate);
    }
    if (!to_float) {
        return float_to_int(to, v.f);
    }
    if (isnan(v.f)) {
        v.f = quiet(v.f);
    } else if (to == TG_DT_F64 || (to == TG_DT_F32 && tg_num_wide(in, to) && !saturate)) {
        return v;
    }
    return tg_num_decode(in, to, tg_float_encode(to, v.f, round, saturate));
}

/* ---- math ----------------------------------------------------------------------------------- */

static bool is_power(double x, int every) {
    int e;
    return x > 0 && isfinite(x) && frexp(x, &e) == 0.5 && (e - 1) % every == 0;
}

/* Each also says for which arguments libm's result is the mathematical value. */
double tg_num_math(tg_math_fn fn, double x, bool *out_exact) {
    bool plain = isnan(x) || isinf(x), zero = x == 0.0;
    switch (fn) {
    case TG_MATH_EXP2:
        *out_exact = plain || x == floor(x);
        return exp2(x);
    case TG_MATH_EXP:
        *out_exact = plain || zero;
        return exp(x);
    case TG_MATH_LOG:
        *out_exact = plain || x <= 0 || x == 1.0;
        return log(x);
    case TG_MATH_LOG2:
        *out_exact = plain || x <= 0 || is_power(x, 1);
        return log2(x);
    case TG_MATH_SQRT: {
        double r = sqrt(x);
        *out_exact = plain || x < 0 || fma(r, r, -x) == 0.0;
        return r;
    }
    case TG_MATH_RSQRT:
        *out_exact = plain || x <= 0 || is_power(x, 2);
        return 1.0 / sqrt(x);
    case TG_MATH_SIN:
        *out_exact = plain || zero;
        return sin(x);
    case TG_MATH_COS:
        *out_exact = plain || zero;
        return cos(x);
    case TG_MATH_TANH:
        *out_exact = plain || zero;
        return tanh(x);
    case TG_MATH_SIGMOID:
        *out_exact = plain || zero;
        return 1.0 / (1.0 + exp(-x));
    case TG_MATH_ERF:
        *out_exact = plain || zero;
        return erf(x);
    case TG_MATH_FLOOR:
        *out_exact = true;
        return floor(x);
    case TG_MATH_CEIL:
        *out_exact = true;
        return ceil(x);
    case TG_MATH_ROUND:
        *out_exact = true;
        return rint(x);
    case TG_MATH_COUNT:
        break;
    }
    *out_exact = false;
    return NAN;
}

/* Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC11), Philox4x32-10. */
void tg_philox4x32(uint64_t key, uint64_t counter, uint32_t out[4]) {
    uint32_t c[4] = {(uint32_t)counter, (uint32_t)(counter >> 32), 0, 0};
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
        uint32_t n[4] = {(uint32_t)(p1 >> 32) ^ c[1] ^ k0, (uint32_t)p1,
                         (uint32_t)(p0 >> 32) ^ c[3] ^ k1, (uint32_t)p0};
        memcpy(c, n, sizeof n);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    memcpy(out, c, sizeof c);
}

/* ---- exactness ------------------------------------------------------------------------------ */

int tg_double_lsb(double v) {
    int e;
    uint64_t m = (uint64_t)ldexp(frexp(fabs(v), &e), 53);
    return e - 53 + __builtin_ctzll(m);
}

void tg_exactness_init(tg_exactness *e) { *e = (tg_exactness){.lsb = INT_MAX}; }

void tg_exactness_add(tg_exactness *e, double v) {
    if (!isfinite(v)) {
        e->special = true;
    } else if (v != 0.0) {
        int lsb = tg_double_lsb(v);
        e->magnitude += fabs(v);
        e->lsb = lsb < e->lsb ? lsb : e->lsb;
    }
}

bool tg_exactness_holds(const tg_exactness *e, tg_dtype t) {
    if (e->special || e->lsb == INT_MAX) {
        return true;
    }
    int digits = t == TG_DT_F64 ? DBL_MANT_DIG : FLT_MANT_DIG;
    return e->magnitude <= ldexp(1.0, e->lsb + digits);
}
