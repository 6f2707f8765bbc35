/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes of what is exact: 64-bit integers and floats, conversions at the edges, storage floats,
 * subnormals that are only moved, vectors by their alignment.
 */
#include <math.h>
#include <string.h>

#include "compiler/probe.h"

/* ---- wide integers --------------------------------------------------------------------------- */

static uint64_t wide_of(const uint32_t *a, const uint32_t *b, int i) {
    return (uint64_t)a[i] << 32 | b[i];
}
static uint32_t folded(uint64_t v) { return (uint32_t)(v >> 32) ^ (uint32_t)v; }
static double double_of(uint64_t bits) {
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}
static uint32_t folded_double(double d) {
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    return d != d ? 0x7ff80000u : folded(bits);
}

static uint32_t ex_shift64(const uint32_t *a, const uint32_t *b, int i) {
    uint64_t v = wide_of(a, b, i), n = b[i] & 63;
    return folded(v << n) ^ folded(v >> n) * 3u ^ folded((uint64_t)((int64_t)v >> n)) * 5u;
}
static uint32_t ex_minmax64(const uint32_t *a, const uint32_t *b, int i) {
    uint64_t v = wide_of(a, b, i), w = (uint64_t)(int64_t)(int32_t)b[i];
    int64_t least = (int64_t)v < (int64_t)w ? (int64_t)v : (int64_t)w;
    return folded(v > w ? v : w) ^ folded((uint64_t)least) * 3u;
}
static uint32_t ex_order64(const uint32_t *a, const uint32_t *b, int i) {
    uint64_t v = wide_of(a, b, i), w = (uint64_t)b[i] << 32 | a[i];
    return (uint32_t)((v < w) | ((int64_t)v < (int64_t)w) << 1 | (v == w) << 2);
}
static uint32_t ex_high(const uint32_t *a, const uint32_t *b, int i) {
    int64_t p = (int64_t)(int32_t)a[i] * (int32_t)b[i];
    return (uint32_t)((uint64_t)a[i] * b[i] >> 32) ^ (uint32_t)((uint64_t)p >> 32) * 3u;
}
static uint32_t ex_small(const uint32_t *a, const uint32_t *b, int i) {
    uint32_t sum = (uint8_t)((uint8_t)a[i] + (uint8_t)b[i]);
    uint32_t product = (uint32_t)(int32_t)(int8_t)((uint32_t)(uint8_t)a[i] * (uint8_t)b[i]);
    uint32_t half = (uint32_t)(int32_t)(int16_t)((uint32_t)(uint16_t)a[i] - (uint16_t)b[i]);
    return sum ^ product * 3u ^ half * 5u;
}

/* ---- conversions ----------------------------------------------------------------------------- */

static uint32_t ex_f_to_l(const uint32_t *a, const uint32_t *b, int i) {
    float x = tgc_probe_f(a[i]);
    (void)b;
    int64_t s = x != x ? 0 : x >= 0x1p63f ? INT64_MAX : x <= -0x1p63f ? INT64_MIN : (int64_t)x;
    uint64_t u = x != x || x <= 0 ? 0 : x >= 0x1p64f ? UINT64_MAX : (uint64_t)x;
    return folded((uint64_t)s) ^ folded(u) * 3u;
}
static uint32_t ex_f_to_small(const uint32_t *a, const uint32_t *b, int i) {
    float x = tgc_probe_f(a[i]);
    (void)b;
    int32_t s = x != x ? 0 : x >= 127 ? 127 : x <= -128 ? -128 : (int32_t)x;
    uint32_t u = x != x || x <= 0 ? 0 : x >= 65535 ? 65535 : (uint32_t)x;
    return (uint32_t)s ^ u * 3u;
}
static uint32_t ex_d_to_i(const uint32_t *a, const uint32_t *b, int i) {
    double x = double_of(wide_of(a, b, i));
    int32_t s = x != x               ? 0
                : x >= 2147483647.0  ? INT32_MAX
                : x <= -2147483648.0 ? INT32_MIN
                                     : (int32_t)x;
    int64_t l = x != x ? 0 : x >= 0x1p63 ? INT64_MAX : x <= -0x1p63 ? INT64_MIN : (int64_t)x;
    return (uint32_t)s ^ folded((uint64_t)l) * 3u;
}
static uint32_t ex_l_to_d(const uint32_t *a, const uint32_t *b, int i) {
    uint64_t v = wide_of(a, b, i);
    return folded_double((double)(int64_t)v) ^ folded_double((double)v) * 3u;
}
static uint32_t ex_ul_to_f(const uint32_t *a, const uint32_t *b, int i) {
    return tgc_probe_bits((float)wide_of(a, b, i));
}
/* Words whose roundings to f32 are close: few bits in the lower part. */
static void in_ties(uint32_t *a, uint32_t *b) {
    tgc_in_bits(a, b);
    for (int i = 0; i < TGC_PROBE_N; i++) {
        a[i] >>= i % 32;
        b[i] = i % 3 == 0 ? 0x80000000u >> i % 31 : i % 3 == 1 ? b[i] & 3 : 0;
    }
}
/* Doubles of all sizes around the integers' ranges. */
static void in_wide_floats(uint32_t *a, uint32_t *b) {
    tgc_in_bits(a, b);
    for (int i = 0; i < TGC_PROBE_N; i++) {
        a[i] = (a[i] & 0x800fffff) | (uint32_t)(0x3fd + i % 72) << 20;
    }
}

/* ---- storage floats -------------------------------------------------------------------------- */

/* f32 to f16 by the format: round to nearest even, subnormals kept. */
static uint32_t half_of(uint32_t v) {
    uint32_t sign = v >> 16 & 0x8000, mag = v & 0x7fffffff;
    if (mag > 0x7f800000) {
        return 0x7e00;
    }
    double x = fabs((double)tgc_probe_f(v));
    int e = -14;
    while (e < 16 && x >= ldexp(1, e + 1)) {
        e++;
    }
    double steps = nearbyint(ldexp(x, 10 - e)); /* of 2^(e - 10) */
    uint32_t m = steps >= 65536 ? 65536 : (uint32_t)steps;
    uint32_t bits = e > 15 ? 0x7c00 : m + (m >= 1024 ? (uint32_t)(e + 14) << 10 : 0);
    return sign | (bits > 0x7c00 ? 0x7c00 : bits);
}
static uint32_t from_half(uint32_t h) {
    uint32_t e = h >> 10 & 31, m = h & 1023;
    float x =
        e == 31 ? (m ? NAN : INFINITY) : (float)ldexp(e ? m + 1024.0 : m, (e ? (int)e : 1) - 25);
    return tgc_probe_bits(h & 0x8000 ? -x : x);
}
static uint32_t ex_half(const uint32_t *a, const uint32_t *b, int i) {
    (void)b;
    return from_half(half_of(a[i]));
}
static uint32_t ex_bf16(const uint32_t *a, const uint32_t *b, int i) {
    (void)b;
    if ((a[i] & 0x7fffffff) > 0x7f800000) {
        return tgc_probe_bits(NAN);
    }
    return (a[i] + 0x7fff + (a[i] >> 16 & 1)) & 0xffff0000u;
}
/* f32 around what f16 holds, its subnormals and its greatest. */
static void in_halves(uint32_t *a, uint32_t *b) {
    tgc_in_special(a, b);
    for (int i = 32; i < TGC_PROBE_N; i++) {
        uint32_t v = tgc_probe_mix((uint32_t)i), e = 0x66 + v % 0x2a;
        a[i] = (v & 0x80000000u) | e << 23 | (i % 2 ? v & 0x7fffff : (v & 0x7fe000) | 0x1000);
    }
}

/* ---- floats ---------------------------------------------------------------------------------- */

static uint32_t ex_move(const uint32_t *a, const uint32_t *b, int i) {
    return (tgc_probe_bits(tgc_probe_f(b[i])) & 1) != 0 ? tgc_probe_bits(tgc_probe_f(a[i]))
                                                        : tgc_probe_bits(tgc_probe_f(b[i]));
}
static uint32_t ex_signs(const uint32_t *a, const uint32_t *b, int i) {
    (void)b;
    return (a[i] ^ 0x80000000u) ^ (a[i] & 0x7fffffff) * 3u;
}
static uint32_t ex_ceil(const uint32_t *a, const uint32_t *b, int i) {
    (void)b;
    return tgc_probe_bits(ceilf(tgc_probe_f(a[i])));
}
static uint32_t ex_chain(const uint32_t *a, const uint32_t *b, int i) {
    volatile float s = tgc_probe_f(a[i]) + tgc_probe_f(b[i]);
    s = s - tgc_probe_f(a[i]);
    s = s + 1.0f;
    s = s - 1.0f;
    return tgc_probe_bits(s);
}
static uint32_t ex_mul(const uint32_t *a, const uint32_t *b, int i) {
    return tgc_probe_bits(tgc_probe_f(a[i]) * tgc_probe_f(b[i]));
}
static uint32_t ex_root(const uint32_t *a, const uint32_t *b, int i) {
    (void)b;
    return tgc_probe_bits(sqrtf(tgc_probe_f(a[i])));
}
static uint32_t ex_fma(const uint32_t *a, const uint32_t *b, int i) {
    return tgc_probe_bits(
        fmaf(tgc_probe_f(a[i]), tgc_probe_f(b[i]), tgc_probe_f(a[(i * 7) & 1023])));
}
static uint32_t ex_ddiv(const uint32_t *a, const uint32_t *b, int i) {
    return folded_double((double)tgc_probe_f(a[i]) / (double)tgc_probe_f(b[i]));
}
static uint32_t ex_dsqrt(const uint32_t *a, const uint32_t *b, int i) {
    return folded_double(sqrt(fabs((double)tgc_probe_f(a[i]) * (double)tgc_probe_f(b[i]))));
}
static uint32_t ex_dsum(const uint32_t *a, const uint32_t *b, int i) {
    double x = (double)tgc_probe_f(a[i]), y = (double)tgc_probe_f(b[i]);
    volatile double s = x + y * 0x1p-30;
    return folded_double(s - x);
}
static uint32_t ex_dround(const uint32_t *a, const uint32_t *b, int i) {
    (void)b;
    double x = (double)tgc_probe_f(a[i]) * 8.0;
    return folded_double(nearbyint(x)) ^ folded_double(floor(x)) * 3u;
}
static uint32_t ex_dfma(const uint32_t *a, const uint32_t *b, int i) {
    double x = (double)tgc_probe_f(a[i]) + 0x1p-40, y = (double)tgc_probe_f(b[i]) + 0x1p-41;
    return folded_double(fma(x, y, -(double)tgc_probe_f(a[i]) * (double)tgc_probe_f(b[i])));
}

/* ---- vectors --------------------------------------------------------------------------------- */

/* Four words from the lane's own on (within a). */
static uint32_t four(const uint32_t *a, int at) {
    return a[at] + a[at + 1] * 3u + a[at + 2] * 5u + a[at + 3] * 7u;
}
static uint32_t ex_vec_even(const uint32_t *a, const uint32_t *b, int i) {
    return four(a, i & 1020) + b[i];
}
static uint32_t ex_vec_odd(const uint32_t *a, const uint32_t *b, int i) {
    return four(a, i < 1020 ? i : 1020) + b[i];
}
static uint32_t ex_vec_masked(const uint32_t *a, const uint32_t *b, int i) {
    uint32_t r = 0;
    for (int k = 0; k < 4; k++) {
        r += (k < (int)(b[i] % 5) ? a[(i & 1020) | k] : 9u) * (uint32_t)(2 * k + 1);
    }
    return r;
}
#define FOLD_VECTOR                                                                                \
    "%e0 = extract %v {i = 0} : u32\n%e1 = extract %v {i = 1} : u32\n"                             \
    "%e2 = extract %v {i = 2} : u32\n%e3 = extract %v {i = 3} : u32\n"                             \
    "%k3 = const {i = 3} : u32\n%k5 = const {i = 5} : u32\n%k7 = const {i = 7} : u32\n"            \
    "%m1 = mul %e1, %k3 : u32\n%m2 = mul %e2, %k5 : u32\n%m3 = mul %e3, %k7 : u32\n"               \
    "%s1 = add %e0, %m1 : u32\n%s2 = add %s1, %m2 : u32\n%s3 = add %s2, %m3 : u32\n"
/* %w : f64 as a result; every NaN as one. */
#define RESULT_D                                                                                   \
    "%wu = bitcast %d : u64\n%dn = const {i = 32} : u64\n%dh = shr %wu, %dn : u64\n"               \
    "%dx = xor %dh, %wu : u64\n%dc = cast %dx : u32\n%dnan = cmp %d, %d {pred = ne} : bool\n"      \
    "%dq = const {i = 2146959360} : u32\n%r = select %dnan, %dq, %dc : u32\n"
#define DOUBLES TGC_FLOATS "%dx0 = cast %x : f64\n%dy0 = cast %y : f64\n"

/* clang-format off */
const tgc_probe tgc_probes_exact[] = {
    {"i64.shift", "64-bit shift counts are taken modulo the width", 0, TGR_SIMT_INT64, "0", "",
     TGC_WIDE "%os = bitcast %o : i64\n%ls = bitcast %l : i64\n%s0 = shl %o, %l : u64\n%s1 = shr %o, %l : u64\n%s2s = shr %os, %ls : i64\n%s2 = bitcast %s2s : u64\n%k32 = const {i = 32} : u64\n"
     "%h0 = shr %s0, %k32 : u64\n%f0 = xor %h0, %s0 : u64\n%g0 = cast %f0 : u32\n%h1 = shr %s1, %k32 : u64\n%f1 = xor %h1, %s1 : u64\n%g1 = cast %f1 : u32\n%h2 = shr %s2, %k32 : u64\n%f2 = xor %h2, %s2 : u64\n%g2 = cast %f2 : u32\n"
     "%k3 = const {i = 3} : u32\n%k5 = const {i = 5} : u32\n%t1 = mul %g1, %k3 : u32\n%t2 = mul %g2, %k5 : u32\n%x0 = xor %g0, %t1 : u32\n%r = xor %x0, %t2 : u32\n", .inputs = tgc_in_integers, .expect = ex_shift64},
    {"i64.minmax", "64-bit maximum without and minimum with a sign", 0, TGR_SIMT_INT64, "0", "",
     TGC_WIDE "%bi = bitcast %b : i32\n%w0 = cast %bi : i64\n%wu = bitcast %w0 : u64\n%os = bitcast %o : i64\n%most = max %o, %wu : u64\n%lows = min %os, %w0 : i64\n%low = bitcast %lows : u64\n%k32 = const {i = 32} : u64\n"
     "%h0 = shr %most, %k32 : u64\n%f0 = xor %h0, %most : u64\n%g0 = cast %f0 : u32\n%h1 = shr %low, %k32 : u64\n%f1 = xor %h1, %low : u64\n%g1 = cast %f1 : u32\n%k3 = const {i = 3} : u32\n%t1 = mul %g1, %k3 : u32\n%r = xor %g0, %t1 : u32\n", .inputs = tgc_in_integers, .expect = ex_minmax64},
    {"i64.order", "64-bit comparisons with and without a sign", 0, TGR_SIMT_INT64, "0", "",
     TGC_WIDE "%lh = shl %l, %n32 : u64\n%q = or %lh, %h : u64\n%os = bitcast %o : i64\n%qs = bitcast %q : i64\n%c0 = cmp %o, %q {pred = lt} : bool\n%c1 = cmp %os, %qs {pred = lt} : bool\n%c2 = cmp %o, %q {pred = eq} : bool\n"
     "%z = const {i = 0} : u32\n%k1 = const {i = 1} : u32\n%k2 = const {i = 2} : u32\n%k4 = const {i = 4} : u32\n%s0 = select %c0, %k1, %z : u32\n%s1 = select %c1, %k2, %z : u32\n%s2 = select %c2, %k4, %z : u32\n%o0 = or %s0, %s1 : u32\n%r = or %o0, %s2 : u32\n", .inputs = tgc_in_integers, .expect = ex_order64},
    {"i64.high", "the upper half of 32-bit products, with and without a sign", 0, TGR_SIMT_INT64, "0", "",
     "%x = cast %a : u64\n%y = cast %b : u64\n%p0 = mul %x, %y : u64\n%k = const {i = 32} : u64\n%hu = shr %p0, %k : u64\n%g0 = cast %hu : u32\n%ai = bitcast %a : i32\n%bi = bitcast %b : i32\n%xs = cast %ai : i64\n%ys = cast %bi : i64\n%p1 = mul %xs, %ys : i64\n%ks = const {i = 32} : i64\n%hs = shr %p1, %ks : i64\n%g1 = cast %hs : u32\n"
     "%k3 = const {i = 3} : u32\n%t = mul %g1, %k3 : u32\n%r = xor %g0, %t : u32\n", .inputs = tgc_in_integers, .expect = ex_high},
    {"int.narrow", "sums and products of 8 and 16 bits wrap", 0, TGR_SIMT_INT8 | TGR_SIMT_INT16, "0", "",
     "%a8 = cast %a : u8\n%b8 = cast %b : u8\n%s8 = add %a8, %b8 : u8\n%s = cast %s8 : u32\n%ai = bitcast %a : i32\n%bi = bitcast %b : i32\n%ai8 = cast %ai : i8\n%bi8 = cast %bi : i8\n%p8 = mul %ai8, %bi8 : i8\n%pw = cast %p8 : i32\n%p1 = bitcast %pw : u32\n"
     "%a16 = cast %ai : i16\n%b16 = cast %bi : i16\n%d16 = sub %a16, %b16 : i16\n%dw = cast %d16 : i32\n%d = bitcast %dw : u32\n%k3 = const {i = 3} : u32\n%k5 = const {i = 5} : u32\n%p3 = mul %p1, %k3 : u32\n%d5 = mul %d, %k5 : u32\n%x0 = xor %s, %p3 : u32\n%r = xor %x0, %d5 : u32\n", .inputs = tgc_in_bits, .expect = ex_small},
    {"cast.f32.i64", "f32 to 64-bit integers truncates, saturates, NaN is 0", 0, TGR_SIMT_INT64, "0", "",
     "%x = bitcast %a : f32\n%s = cast %x : i64\n%u = cast %x : u64\n%su = bitcast %s : u64\n%k = const {i = 32} : u64\n%h0 = shr %su, %k : u64\n%f0 = xor %h0, %su : u64\n%g0 = cast %f0 : u32\n%h1 = shr %u, %k : u64\n%f1 = xor %h1, %u : u64\n%g1 = cast %f1 : u32\n%k3 = const {i = 3} : u32\n%t = mul %g1, %k3 : u32\n%r = xor %g0, %t : u32\n", .inputs = tgc_in_special, .expect = ex_f_to_l},
    {"cast.f32.narrow", "f32 to i8 and u16 truncates, saturates, NaN is 0", 0, TGR_SIMT_INT8 | TGR_SIMT_INT16, "0", "",
     "%x = bitcast %a : f32\n%s = cast %x : i8\n%u = cast %x : u16\n%s32 = cast %s : i32\n%u32 = cast %u : u32\n%su = bitcast %s32 : u32\n%k3 = const {i = 3} : u32\n%t = mul %u32, %k3 : u32\n%r = xor %su, %t : u32\n", .inputs = in_halves, .expect = ex_f_to_small},
    {"cast.f64.int", "f64 to integers truncates, saturates, NaN is 0", 0, TGR_SIMT_F64, "0", "",
     TGC_WIDE "%d = bitcast %o : f64\n%s = cast %d : i32\n%q = cast %d : i64\n%su = bitcast %s : u32\n%qb = bitcast %q : u64\n%h0 = shr %qb, %n32 : u64\n%f0 = xor %h0, %qb : u64\n%g0 = cast %f0 : u32\n%k3 = const {i = 3} : u32\n%t = mul %g0, %k3 : u32\n%r = xor %su, %t : u32\n", .inputs = in_wide_floats, .expect = ex_d_to_i, .quirks = TG_QUIRK_NO_F64},
    {"cast.i64.f64", "64-bit integers to f64 round to nearest even", 0, TGR_SIMT_F64, "0", "",
     TGC_WIDE "%os = bitcast %o : i64\n%d0 = cast %os : f64\n%d1 = cast %o : f64\n%u0 = bitcast %d0 : u64\n%u1 = bitcast %d1 : u64\n%h0 = shr %u0, %n32 : u64\n%f0 = xor %h0, %u0 : u64\n%g0 = cast %f0 : u32\n%h1 = shr %u1, %n32 : u64\n%f1 = xor %h1, %u1 : u64\n%g1 = cast %f1 : u32\n%k3 = const {i = 3} : u32\n%t = mul %g1, %k3 : u32\n%r = xor %g0, %t : u32\n", .inputs = in_ties, .expect = ex_l_to_d, .quirks = TG_QUIRK_NO_F64},
    {"cast.u64.f32", "u64 to f32 rounds once", 0, TGR_SIMT_INT64, "0", "", TGC_WIDE "%f = cast %o : f32\n" TGC_RESULT_F, .inputs = in_ties, .expect = ex_ul_to_f, .quirks = TG_QUIRK_CASTS},
    {"storage.f16", "f32 through f16: nearest even, subnormals, infinity", 0, TGR_SIMT_INT16, "0", "", "%x = bitcast %a : f32\n%h = cast %x : f16\n%f = cast %h : f32\n" TGC_RESULT_F, .inputs = in_halves, .expect = ex_half},
    {"storage.bf16", "f32 through bf16: nearest even, subnormals, infinity", 0, TGR_SIMT_INT16, "0", "", "%x = bitcast %a : f32\n%h = cast %x : bf16\n%f = cast %h : f32\n" TGC_RESULT_F, .inputs = tgc_in_special, .expect = ex_bf16},
    {"f32.move", "subnormals that are chosen and moved are kept", TGR_SIMT_SUBNORMALS, 0, "0", "",
     TGC_FLOATS "%one = const {i = 1} : u32\n%bit = and %b, %one : u32\n%odd0 = cmp %bit, %one {pred = eq} : bool\n%num = cmp %y, %y {pred = eq} : bool\n%odd = and %odd0, %num : bool\n%f = select %odd, %x, %y : f32\n" TGC_RESULT_F, .inputs = tgc_in_special, .expect = ex_move, .quirks = TG_QUIRK_FLUSHES},
    {"f32.sign", "negation and the absolute value touch one bit", 0, 0, "0", "",
     "%x = bitcast %a : f32\n%m = neg %x : f32\n%p0 = abs %x : f32\n%mb = bitcast %m : u32\n%pb0 = bitcast %p0 : u32\n%k3 = const {i = 3} : u32\n%t = mul %pb0, %k3 : u32\n%r = xor %mb, %t : u32\n", .inputs = tgc_in_special, .expect = ex_signs},
    {"f32.ceil", "ceil, of zeros and fractions too", 0, 0, "0", "", "%x = bitcast %a : f32\n%f = math %x {fn = ceil} : f32\n" TGC_RESULT_F, .inputs = tgc_in_special, .expect = ex_ceil, .quirks = TG_QUIRK_ROUND},
    {"f32.chain", "sums are done in the order they are written in", 0, 0, "0", "",
     TGC_FLOATS "%s = add %x, %y : f32\n%t = sub %s, %x : f32\n%one = fconst {f = 1} : f32\n%u = add %t, %one : f32\n%f = sub %u, %one : f32\n" TGC_RESULT_F, .inputs = tgc_in_floats, .expect = ex_chain},
    {"f32.mul", "f32 products are rounded to nearest even", 0, 0, "0", "", TGC_FLOATS "%f = mul %x, %y : f32\n" TGC_RESULT_F, .inputs = tgc_in_floats, .expect = ex_mul},
    {"f32.sqrt.special", "roots of zeros, infinity, negative numbers and subnormals", TGR_SIMT_DIV | TGR_SIMT_SUBNORMALS, 0, "0", "", "%x = bitcast %a : f32\n%f = math %x {fn = sqrt} : f32\n" TGC_RESULT_F, .inputs = tgc_in_special, .expect = ex_root, .quirks = TG_QUIRK_DIV},
    {"f32.fma.special", "fma of zeros, infinities, NaN and subnormals", TGR_SIMT_FMA | TGR_SIMT_SUBNORMALS, 0, "0", "",
     TGC_FLOATS "%k7 = const {i = 7} : i64\n%m = mul %at, %k7 : i64\n%k1023 = const {i = 1023} : i64\n%i7 = and %m, %k1023 : i64\n%p7 = gep %sa, %i7 {bytes = 4} : ptr\n%z = loadm %p7 : f32\n%f = fma %x, %y, %z : f32\n" TGC_RESULT_F, .inputs = tgc_in_special, .expect = ex_fma, .quirks = TG_QUIRK_FMA},
    {"f64.div", "f64 quotients are correctly rounded", 0, TGR_SIMT_F64, "0", "", DOUBLES "%d = div %dx0, %dy0 : f64\n" RESULT_D, .inputs = tgc_in_floats, .expect = ex_ddiv, .quirks = TG_QUIRK_NO_F64},
    {"f64.sqrt", "f64 square roots are correctly rounded", 0, TGR_SIMT_F64, "0", "", DOUBLES "%p0 = mul %dx0, %dy0 : f64\n%p1 = abs %p0 : f64\n%d = math %p1 {fn = sqrt} : f64\n" RESULT_D, .inputs = tgc_in_floats, .expect = ex_dsqrt, .quirks = TG_QUIRK_NO_F64},
    {"f64.add", "f64 sums are rounded to nearest even", 0, TGR_SIMT_F64, "0", "", DOUBLES "%k = fconst {f = 9.313225746154785e-10} : f64\n%q = mul %dy0, %k : f64\n%s = add %dx0, %q : f64\n%d = sub %s, %dx0 : f64\n" RESULT_D, .inputs = tgc_in_floats, .expect = ex_dsum, .quirks = TG_QUIRK_NO_F64},
    {"f64.round", "f64 to nearest even and floor", 0, TGR_SIMT_F64, "0", "",
     DOUBLES "%k = fconst {f = 8} : f64\n%q = mul %dx0, %k : f64\n%e = math %q {fn = round} : f64\n%g = math %q {fn = floor} : f64\n%eu = bitcast %e : u64\n%gu = bitcast %g : u64\n%n = const {i = 32} : u64\n%h0 = shr %eu, %n : u64\n%f0 = xor %h0, %eu : u64\n%g0 = cast %f0 : u32\n%h1 = shr %gu, %n : u64\n%f1 = xor %h1, %gu : u64\n%g1 = cast %f1 : u32\n%k3 = const {i = 3} : u32\n%t = mul %g1, %k3 : u32\n%r = xor %g0, %t : u32\n", .inputs = tgc_in_floats, .expect = ex_dround, .quirks = TG_QUIRK_NO_F64},
    {"f64.fma", "fma of f64 rounds once", 0, TGR_SIMT_F64, "0", "",
     DOUBLES "%k0 = fconst {f = 9.094947017729282e-13} : f64\n%k1 = fconst {f = 4.547473508864641e-13} : f64\n%x1 = add %dx0, %k0 : f64\n%y1 = add %dy0, %k1 : f64\n%p0 = mul %dx0, %dy0 : f64\n%p1 = neg %p0 : f64\n%d = fma %x1, %y1, %p1 : f64\n" RESULT_D, .inputs = tgc_in_floats, .expect = ex_dfma, .quirks = TG_QUIRK_NO_F64},
    {"vector.aligned", "vectors of four words at addresses of 16 bytes", 0, 0, "0", "",
     "%k = const {i = -4} : i64\n%even = and %at, %k : i64\n%pv = gep %sa, %even {bytes = 4} : ptr\n%v = loadm %pv {align = 16} : vec<u32, 4>\n" FOLD_VECTOR "%r = add %s3, %b : u32\n", .inputs = tgc_in_bits, .expect = ex_vec_even},
    {"vector.loose", "vectors of four words at addresses of 4 bytes", 0, 0, "0", "",
     "%k = const {i = 1020} : i64\n%odd = min %at, %k : i64\n%pv = gep %sa, %odd {bytes = 4} : ptr\n%v = loadm %pv {align = 4} : vec<u32, 4>\n" FOLD_VECTOR "%r = add %s3, %b : u32\n", .inputs = tgc_in_bits, .expect = ex_vec_odd},
    {"vector.masked", "masked lanes of a vector take what is given instead", 0, 0, "0", "",
     "%k = const {i = -4} : i64\n%even = and %at, %k : i64\n%pv = gep %sa, %even {bytes = 4} : ptr\n%five = const {i = 5} : u32\n%n0 = rem %b, %five : u32\n%n = cast %n0 : i64\n%m = pmask %n : vec<bool, 4>\n%nine = const {i = 9} : vec<u32, 4>\n%v = loadm %pv, %m, %nine {align = 16, masked = true} : vec<u32, 4>\n" FOLD_VECTOR "%zero = const {i = 0} : u32\n%r = add %s3, %zero : u32\n", .inputs = tgc_in_bits, .expect = ex_vec_masked},
};
/* clang-format on */
const int tgc_n_probes_exact = TG_COUNT_OF(tgc_probes_exact);
