/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probes: what a device must get right, as loop IR and as C for the host. The host's own
 * arithmetic is IEEE (x86-64 or AArch64, compiled without contraction).
 */
#include "compiler/probe.h"

#include <math.h>
#include <string.h>

/* ---- bits ----------------------------------------------------------------------------------- */

float tgc_probe_f(uint32_t v) {
    float f;
    memcpy(&f, &v, sizeof f);
    return f;
}

uint32_t tgc_probe_bits(float f) {
    uint32_t v;
    if (f != f) {
        return 0x7fc00000; /* the language leaves a NaN's payload open */
    }
    memcpy(&v, &f, sizeof v);
    return v;
}

uint32_t tgc_probe_mix(uint32_t v) {
    v = (v ^ v >> 16) * 0x7feb352d;
    v = (v ^ v >> 15) * 0x846ca68b;
    return v ^ v >> 16;
}

static const uint32_t special[] = {
    0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007fffff, 0x807fffff, 0x00800000, 0x80800000,
    0x3f800000, 0xbf800000, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0x4f000000,
    0xcf000000, 0x4effffff, 0x4f800000, 0x3effffff, 0x3f000000, 0x3fc00000, 0x40200000, 0xbf000000,
    0x4b000001, 0x4b7fffff, 0x33800000, 0x7e7fffff, 0x00ffffff, 0x5f000000, 0xdf000000, 0x3f7fffff};
enum { N_SPECIAL = sizeof special / sizeof *special };

/* All pairs of special values (32 x 32 fill the probe exactly). */
void tgc_in_special(uint32_t *a, uint32_t *b) {
    for (int i = 0; i < TGC_PROBE_N; i++) {
        a[i] = special[i % N_SPECIAL];
        b[i] = special[i / N_SPECIAL % N_SPECIAL];
    }
}

void tgc_in_bits(uint32_t *a, uint32_t *b) {
    for (int i = 0; i < TGC_PROBE_N; i++) {
        a[i] = tgc_probe_mix((uint32_t)i + 1);
        b[i] = tgc_probe_mix((uint32_t)i + 77777);
    }
}

/* Floats of middling size. */
void tgc_in_floats(uint32_t *a, uint32_t *b) {
    for (int i = 0; i < TGC_PROBE_N; i++) {
        a[i] = (tgc_probe_mix((uint32_t)i + 1) & 0x83ffffff) | 0x3c000000;
        b[i] = (tgc_probe_mix((uint32_t)i + 99) & 0x83ffffff) | 0x3c000000;
    }
}

/* Products and sums around the smallest normal number. */
static void in_small(uint32_t *a, uint32_t *b) {
    for (int i = 0; i < TGC_PROBE_N; i++) {
        a[i] = tgc_probe_mix((uint32_t)i + 1) & 0x81ffffff;
        b[i] = tgc_probe_mix((uint32_t)i + 99) & 0x81ffffff;
    }
}

void tgc_in_integers(uint32_t *a, uint32_t *b) {
    static const uint32_t v[] = {0, 1, 0xffffffff, 0x80000000, 0x7fffffff, 2, 31, 32};
    tgc_in_bits(a, b);
    for (int i = 0; i < 64; i++) {
        a[i] = v[i % 8];
        b[i] = v[i / 8];
    }
    for (int i = 64; i < TGC_PROBE_N; i++) {
        b[i] >>= i % 32;
    }
}

void tgc_in_count(uint32_t *a, uint32_t *b) {
    for (int i = 0; i < TGC_PROBE_N; i++) {
        a[i] = (uint32_t)i;
        b[i] = tgc_probe_mix((uint32_t)i) % 7;
    }
}

void tgc_in_zero(uint32_t *a, uint32_t *b) {
    memset(a, 0, TGC_PROBE_N * sizeof *a);
    memset(b, 0, TGC_PROBE_N * sizeof *b);
}

/* ---- floats --------------------------------------------------------------------------------- */

static uint32_t ex_add(const uint32_t *a, const uint32_t *b, int i) {
    return tgc_probe_bits(tgc_probe_f(a[i]) + tgc_probe_f(b[i]));
}
static uint32_t ex_mul(const uint32_t *a, const uint32_t *b, int i) {
    return tgc_probe_bits(tgc_probe_f(a[i]) * tgc_probe_f(b[i]));
}
static uint32_t ex_div(const uint32_t *a, const uint32_t *b, int i) {
    return tgc_probe_bits(tgc_probe_f(a[i]) / tgc_probe_f(b[i]));
}
static uint32_t ex_sqrt(const uint32_t *a, const uint32_t *b, int i) {
    (void)b;
    return tgc_probe_bits(sqrtf(fabsf(tgc_probe_f(a[i]))));
}
static uint32_t ex_fma(const uint32_t *a, const uint32_t *b, int i) {
    return tgc_probe_bits(fmaf(tgc_probe_f(a[i]), tgc_probe_f(b[i]), -tgc_probe_f(a[i])));
}
static uint32_t ex_muladd(const uint32_t *a, const uint32_t *b, int i) {
    volatile float product = tgc_probe_f(a[i]) * tgc_probe_f(b[i]);
    return tgc_probe_bits(product - tgc_probe_f(a[i]));
}
static uint32_t ex_min(const uint32_t *a, const uint32_t *b, int i) {
    float x = tgc_probe_f(a[i]), y = tgc_probe_f(b[i]);
    return x != x || y != y ? tgc_probe_bits(NAN)
           : x == y         ? a[i] | b[i]
                            : tgc_probe_bits(x < y ? x : y);
}
static uint32_t ex_max(const uint32_t *a, const uint32_t *b, int i) {
    float x = tgc_probe_f(a[i]), y = tgc_probe_f(b[i]);
    return x != x || y != y ? tgc_probe_bits(NAN)
           : x == y         ? a[i] & b[i]
                            : tgc_probe_bits(x > y ? x : y);
}
static uint32_t ex_cmp(const uint32_t *a, const uint32_t *b, int i) {
    float x = tgc_probe_f(a[i]), y = tgc_probe_f(b[i]);
    return (uint32_t)((x < y) | (x <= y) << 1 | (x == y) << 2 | (x != y) << 3);
}
static uint32_t ex_round(const uint32_t *a, const uint32_t *b, int i) {
    return tgc_probe_bits(i % 2 ? floorf(tgc_probe_f(a[i]))
                                : rintf(tgc_probe_f(a[i])) + 0 * tgc_probe_f(b[i] & 0));
}

/* ---- conversions ---------------------------------------------------------------------------- */

static uint32_t ex_f_to_i(const uint32_t *a, const uint32_t *b, int i) {
    float x = tgc_probe_f(a[i]);
    (void)b;
    return x != x               ? 0
           : x >= 2147483648.0f ? 0x7fffffff
           : x < -2147483648.0f ? 0x80000000
                                : (uint32_t)(int32_t)x;
}
static uint32_t ex_f_to_u(const uint32_t *a, const uint32_t *b, int i) {
    float x = tgc_probe_f(a[i]);
    (void)b;
    return x != x || x <= 0 ? 0 : x >= 4294967296.0f ? 0xffffffff : (uint32_t)x;
}
static uint32_t ex_i_to_f(const uint32_t *a, const uint32_t *b, int i) {
    (void)b;
    return tgc_probe_bits((float)(int32_t)a[i]);
}
static uint32_t ex_l_to_f(const uint32_t *a, const uint32_t *b, int i) {
    return tgc_probe_bits((float)(int64_t)((uint64_t)a[i] << 32 | b[i]));
}
static uint32_t ex_d_to_f(const uint32_t *a, const uint32_t *b, int i) {
    uint64_t bits = (uint64_t)a[i] << 32 | b[i];
    double d;
    memcpy(&d, &bits, sizeof d);
    return tgc_probe_bits((float)d);
}
/* A double around the floats' range. */
static void in_doubles(uint32_t *a, uint32_t *b) {
    tgc_in_bits(a, b);
    for (int i = 0; i < TGC_PROBE_N; i++) {
        a[i] = (a[i] & 0x800fffff) |
               (uint32_t)(0x36000000 + (tgc_probe_mix((uint32_t)i) % 0x11f) * 0x100000);
        b[i] = i % 3 ? b[i] & 0xf0000000 : b[i];
    }
}
static uint32_t ex_f_to_d(const uint32_t *a, const uint32_t *b, int i) {
    double d = (double)tgc_probe_f(a[i]) * (double)tgc_probe_f(b[i]);
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    return d != d ? 0x7ff80000 : (uint32_t)(bits >> 32) ^ (uint32_t)bits;
}

/* ---- integers ------------------------------------------------------------------------------- */

static uint32_t ex_idiv(const uint32_t *a, const uint32_t *b, int i) {
    int32_t x = (int32_t)a[i], y = (int32_t)b[i];
    int32_t q = y == 0 ? 0 : y == -1 ? (int32_t)(0 - a[i]) : x / y;
    int32_t r = y == 0 ? x : y == -1 ? 0 : x % y;
    return (uint32_t)q ^ (uint32_t)r * 3u;
}
static uint32_t ex_shift(const uint32_t *a, const uint32_t *b, int i) {
    uint32_t n = b[i] & 31;
    int32_t x = (int32_t)a[i];
    return (a[i] << n) ^ (uint32_t)(x >> n) ^ a[i] >> n;
}
static uint32_t ex_wide(const uint32_t *a, const uint32_t *b, int i) {
    uint64_t p = (uint64_t)a[i] * b[i], q = p * 0x9e3779b97f4a7c15u + (p >> 29);
    return (uint32_t)(q >> 32) ^ (uint32_t)q;
}

/* ---- lanes, memory -------------------------------------------------------------------------- */

static uint32_t ex_tree(const uint32_t *a, const uint32_t *b, int i) {
    uint32_t sum = 0;
    (void)b;
    for (int k = 0; k < TGC_PROBE_LANES; k++) {
        sum += a[i / TGC_PROBE_LANES * TGC_PROBE_LANES + k];
    }
    return sum;
}
static uint32_t ex_diverge(const uint32_t *a, const uint32_t *b, int i) {
    int at = i / TGC_PROBE_LANES * TGC_PROBE_LANES + (i + 1) % TGC_PROBE_LANES;
    uint32_t v = a[at];
    for (uint32_t k = 0; k < b[at]; k++) {
        v = v * 3 + 1;
    }
    return v;
}
static uint32_t ex_atomic(const uint32_t *a, const uint32_t *b, int i) {
    uint32_t bins[8] = {0}, most = 0;
    for (int k = 0; k < TGC_PROBE_LANES; k++) {
        int at = i / TGC_PROBE_LANES * TGC_PROBE_LANES + k;
        bins[b[at]] += a[at];
        most = a[at] > most ? a[at] : most;
    }
    return bins[i % 7] ^ most;
}
static uint32_t ex_far(const uint32_t *a, const uint32_t *b, int i) {
    (void)b;
    return a[i];
}
static uint32_t ex_bytes(const uint32_t *a, const uint32_t *b, int i) {
    const unsigned char *bytes = (const unsigned char *)(a + i / TGC_PROBE_LANES * TGC_PROBE_LANES);
    (void)b;
    return bytes[i % TGC_PROBE_LANES * 4 + 1] +
           256u * (uint32_t)(unsigned char)(bytes[i % TGC_PROBE_LANES * 4 + 3] + 1);
}
static uint32_t ex_program(const uint32_t *a, const uint32_t *b, int i) {
    (void)a;
    (void)b;
    return (uint32_t)(i / TGC_PROBE_LANES * 1000 + i % TGC_PROBE_LANES);
}

static uint32_t ex_fsub(const uint32_t *a, const uint32_t *b, int i) {
    return tgc_probe_bits(tgc_probe_f(a[i]) - tgc_probe_f(b[i]));
}
static uint32_t ex_udiv(const uint32_t *a, const uint32_t *b, int i) {
    return (b[i] ? a[i] / b[i] : 0) ^ (b[i] ? a[i] % b[i] : a[i]) * 3u;
}
static uint32_t ex_ldiv(const uint32_t *a, const uint32_t *b, int i) {
    int64_t x = (int64_t)((uint64_t)a[i] << 32 | b[i]), y = (int32_t)b[i];
    int64_t q = y == 0 ? 0 : y == -1 ? (int64_t)(0 - (uint64_t)x) : x / y;
    int64_t r = y == 0 ? x : y == -1 ? 0 : x % y;
    return (uint32_t)((uint64_t)q >> 32) ^ (uint32_t)q ^ (uint32_t)r * 3u;
}
static uint32_t ex_wrap(const uint32_t *a, const uint32_t *b, int i) {
    return (a[i] + b[i]) ^ (a[i] - b[i]) ^ a[i] * b[i];
}
static uint32_t ex_order(const uint32_t *a, const uint32_t *b, int i) {
    return (uint32_t)((a[i] < b[i]) | ((int32_t)a[i] < (int32_t)b[i]) << 1);
}
static uint32_t ex_minmax(const uint32_t *a, const uint32_t *b, int i) {
    int32_t x = (int32_t)a[i], y = (int32_t)b[i];
    return (a[i] < b[i] ? a[i] : b[i]) ^ (uint32_t)(x > y ? x : y) * 3u;
}
static uint32_t ex_pop(const uint32_t *a, const uint32_t *b, int i) {
    (void)b;
    return (uint32_t)__builtin_popcount(a[i]);
}
static uint32_t ex_narrow(const uint32_t *a, const uint32_t *b, int i) {
    return (uint32_t)(int32_t)(int8_t)a[i] ^ (uint32_t)(uint16_t)b[i] * 3u;
}
static uint32_t ex_u_to_f(const uint32_t *a, const uint32_t *b, int i) {
    (void)b;
    return tgc_probe_bits((float)a[i]);
}
static uint32_t ex_full(const uint32_t *a, const uint32_t *b, int i) {
    int at = i / TGC_PROBE_LANES * TGC_PROBE_LANES + (TGC_PROBE_LANES - 1 - i % TGC_PROBE_LANES);
    uint32_t sum = 0;
    (void)b;
    for (uint32_t k = 0; k < 128; k++) {
        sum = sum * 3 + (a[at] ^ k);
    }
    return sum;
}
static uint32_t ex_private(const uint32_t *a, const uint32_t *b, int i) {
    return a[i] ^ (b[i] & 255);
}
static uint32_t ex_seen(const uint32_t *a, const uint32_t *b, int i) {
    return a[i / TGC_PROBE_LANES * TGC_PROBE_LANES + (i + 1) % TGC_PROBE_LANES] + b[i];
}
static uint32_t ex_total(const uint32_t *a, const uint32_t *b, int i) {
    uint32_t sum = 0;
    for (int k = 0; k < TGC_PROBE_LANES; k++) {
        sum += b[i / TGC_PROBE_LANES * TGC_PROBE_LANES + k];
    }
    return sum + a[i / TGC_PROBE_LANES * TGC_PROBE_LANES];
}
static uint32_t ex_one(const uint32_t *a, const uint32_t *b, int i) {
    (void)a;
    (void)b;
    (void)i;
    return 1;
}

/* clang-format off */
const tgc_probe tgc_probes[] = {
    {"f32.add.subnormal", "sums of subnormal f32 are kept", TGR_SIMT_SUBNORMALS, 0, "0", "",
     TGC_FLOATS "%f = add %x, %y : f32\n" TGC_RESULT_F, .inputs = in_small, .expect = ex_add, .quirks = TG_QUIRK_FLUSHES},
    {"f32.mul.subnormal", "products that are subnormal f32 are rounded, not flushed", TGR_SIMT_SUBNORMALS, 0, "0", "",
     TGC_FLOATS "%f = mul %x, %y : f32\n" TGC_RESULT_F, .inputs = tgc_in_special, .expect = ex_mul, .quirks = TG_QUIRK_FLUSHES, .first = true},
    {"f32.add", "f32 sums are rounded to nearest even", 0, 0, "0", "",
     TGC_FLOATS "%f = add %x, %y : f32\n" TGC_RESULT_F, .inputs = tgc_in_floats, .expect = ex_add},
    {"f32.div", "f32 quotients are correctly rounded", TGR_SIMT_DIV, 0, "0", "",
     TGC_FLOATS "%f = div %x, %y : f32\n" TGC_RESULT_F, .inputs = tgc_in_floats, .expect = ex_div, .quirks = TG_QUIRK_DIV, .first = true},
    {"f32.div.special", "f32 quotients of zeros, infinities, NaN and subnormals", TGR_SIMT_DIV | TGR_SIMT_SUBNORMALS, 0, "0", "",
     TGC_FLOATS "%f = div %x, %y : f32\n" TGC_RESULT_F, .inputs = tgc_in_special, .expect = ex_div, .quirks = TG_QUIRK_DIV},
    {"f32.sqrt", "f32 square roots are correctly rounded", TGR_SIMT_DIV, 0, "0", "",
     TGC_FLOATS "%w = abs %x : f32\n%f = math %w {fn = sqrt} : f32\n" TGC_RESULT_F, .inputs = tgc_in_floats, .expect = ex_sqrt, .quirks = TG_QUIRK_DIV, .first = true},
    {"f32.fma", "fma rounds once", TGR_SIMT_FMA, 0, "0", "",
     TGC_FLOATS "%m = neg %x : f32\n%f = fma %x, %y, %m : f32\n" TGC_RESULT_F, .inputs = tgc_in_floats, .expect = ex_fma, .quirks = TG_QUIRK_FMA, .first = true},
    {"f32.contract", "a product and a sum stay two roundings", 0, 0, "0", "",
     TGC_FLOATS "%t = mul %x, %y : f32\n%f = sub %t, %x : f32\n" TGC_RESULT_F, .inputs = tgc_in_floats, .expect = ex_muladd, .quirks = TG_QUIRK_CONTRACTS, .first = true},
    {"f32.min", "min propagates NaN and orders zeros", 0, 0, "0", "",
     TGC_FLOATS "%f = min %x, %y : f32\n" TGC_RESULT_F, .inputs = tgc_in_special, .expect = ex_min},
    {"f32.max", "max propagates NaN and orders zeros", 0, 0, "0", "",
     TGC_FLOATS "%f = max %x, %y : f32\n" TGC_RESULT_F, .inputs = tgc_in_special, .expect = ex_max},
    {"f32.compare", "comparisons with NaN are false, `ne` true", 0, 0, "0", "",
     TGC_FLOATS "%c0 = cmp %x, %y {pred = lt} : bool\n%c1 = cmp %x, %y {pred = le} : bool\n"
     "%c2 = cmp %x, %y {pred = eq} : bool\n%c3 = cmp %x, %y {pred = ne} : bool\n"
     "%z = const {i = 0} : u32\n%k1 = const {i = 1} : u32\n%k2 = const {i = 2} : u32\n%k4 = const {i = 4} : u32\n%k8 = const {i = 8} : u32\n"
     "%s0 = select %c0, %k1, %z : u32\n%s1 = select %c1, %k2, %z : u32\n%s2 = select %c2, %k4, %z : u32\n%s3 = select %c3, %k8, %z : u32\n"
     "%o0 = or %s0, %s1 : u32\n%o1 = or %s2, %s3 : u32\n%r = or %o0, %o1 : u32\n", .inputs = tgc_in_special, .expect = ex_cmp},
    {"f32.round", "floor and round to nearest even", 0, 0, "0", "",
     TGC_FLOATS "%g = math %x {fn = floor} : f32\n%h = math %x {fn = round} : f32\n"
     "%one = const {i = 1} : i32\n%odd = and %lane, %one : i32\n%sel = cmp %odd, %one {pred = eq} : bool\n"
     "%f = select %sel, %g, %h : f32\n" TGC_RESULT_F, .inputs = tgc_in_special, .expect = ex_round, .quirks = TG_QUIRK_ROUND, .first = true},
    {"cast.f32.i32", "f32 to i32 truncates, saturates, NaN is 0", 0, 0, "0", "",
     "%x = bitcast %a : f32\n%v = cast %x : i32\n%r = bitcast %v : u32\n", .inputs = tgc_in_special, .expect = ex_f_to_i},
    {"cast.f32.u32", "f32 to u32 truncates, saturates, NaN is 0", 0, 0, "0", "",
     "%x = bitcast %a : f32\n%r = cast %x : u32\n", .inputs = tgc_in_special, .expect = ex_f_to_u},
    {"cast.i32.f32", "i32 to f32 rounds to nearest even", 0, 0, "0", "",
     "%v = bitcast %a : i32\n%f = cast %v : f32\n" TGC_RESULT_F, .inputs = tgc_in_integers, .expect = ex_i_to_f, .quirks = TG_QUIRK_CASTS},
    {"cast.i64.f32", "i64 to f32 rounds once", 0, TGR_SIMT_INT64, "0", "",
     "%h = cast %a : u64\n%l = cast %b : u64\n%n = const {i = 32} : u64\n%s = shl %h, %n : u64\n%o = or %s, %l : u64\n"
     "%v = bitcast %o : i64\n%f = cast %v : f32\n" TGC_RESULT_F, .inputs = tgc_in_bits, .expect = ex_l_to_f, .quirks = TG_QUIRK_CASTS, .first = true},
    {"cast.f64.f32", "f64 to f32 rounds to nearest even, subnormals too", TGR_SIMT_SUBNORMALS, TGR_SIMT_F64, "0", "",
     "%h = cast %a : u64\n%l = cast %b : u64\n%n = const {i = 32} : u64\n%s = shl %h, %n : u64\n%o = or %s, %l : u64\n"
     "%v = bitcast %o : f64\n%f = cast %v : f32\n" TGC_RESULT_F, .inputs = in_doubles, .expect = ex_d_to_f, .quirks = TG_QUIRK_CASTS},
    {"f64.mul", "f32 to f64 is exact and f64 products are rounded", 0, TGR_SIMT_F64, "0", "",
     TGC_FLOATS "%u = cast %x : f64\n%w = cast %y : f64\n%m = mul %u, %w : f64\n%o = bitcast %m : u64\n"
     "%n = const {i = 32} : u64\n%h = shr %o, %n : u64\n%t = xor %h, %o : u64\n%c = cast %t : u32\n"
     "%nan = cmp %m, %m {pred = ne} : bool\n%quiet = const {i = 2146959360} : u32\n%r = select %nan, %quiet, %c : u32\n", .inputs = tgc_in_floats, .expect = ex_f_to_d, .quirks = TG_QUIRK_NO_F64, .first = true},
    {"i32.div", "x/0 = 0, x%0 = x, the least by -1 wraps", 0, 0, "0", "",
     "%x = bitcast %a : i32\n%y = bitcast %b : i32\n%q = div %x, %y : i32\n%m = rem %x, %y : i32\n%k = const {i = 3} : i32\n"
     "%t = mul %m, %k : i32\n%v = xor %q, %t : i32\n%r = bitcast %v : u32\n", .inputs = tgc_in_integers, .expect = ex_idiv},
    {"i32.shift", "shift counts are taken modulo the width", 0, 0, "0", "",
     "%x = bitcast %a : i32\n%y = bitcast %b : i32\n%s = shl %a, %b : u32\n%t = shr %x, %y : i32\n%u = shr %a, %b : u32\n"
     "%v = bitcast %t : u32\n%w = xor %s, %v : u32\n%r = xor %w, %u : u32\n", .inputs = tgc_in_integers, .expect = ex_shift},
    {"i64.mul", "64-bit products and shifts", 0, TGR_SIMT_INT64, "0", "",
     "%x = cast %a : u64\n%y = cast %b : u64\n%q = mul %x, %y : u64\n%k = const {i = -7046029254386353131} : u64\n%m = mul %q, %k : u64\n"
     "%n = const {i = 29} : u64\n%h = shr %q, %n : u64\n%s = add %m, %h : u64\n%w = const {i = 32} : u64\n%u = shr %s, %w : u64\n"
     "%t = xor %u, %s : u64\n%r = cast %t : u32\n", .inputs = tgc_in_bits, .expect = ex_wide},
    {"barrier.loop", "barriers inside a loop order shared memory", 0, 0, "256",
     "%sum = array {offset = 0, name = \"sum\"} : buf<shared, u32[64], 1>\n",
     "astore %sum, %lane, %a\nbarrier {fence = shared}\n%zero = const {i = 0} : i64\n%six = const {i = 6} : i64\n%one = const {i = 1} : i64\n"
     "%h0 = const {i = 32} : i32\n%one32 = const {i = 1} : i32\n"
     "%last = for %zero, %six, %one, %h0 : i32 (%i: i64, %half: i32) {\n%low = cmp %lane, %half {pred = lt} : bool\nif %low {\n"
     "%o = add %lane, %half : i32\n%v = aload %sum, %o : u32\n%z = aload %sum, %lane : u32\n%w = add %v, %z : u32\nastore %sum, %lane, %w\nyield\n} {}\n"
     "barrier {fence = shared}\n%next = shr %half, %one32 : i32\nyield %next\n}\n%k0 = const {i = 0} : i32\n%r = aload %sum, %k0 : u32\n", .inputs = tgc_in_bits, .expect = ex_tree},
    {"reconverge", "lanes of different trip counts meet again at a barrier", 0, 0, "256",
     "%ex = array {offset = 0, name = \"ex\"} : buf<shared, u32[64], 1>\n",
     "%zero = const {i = 0} : i64\n%one = const {i = 1} : i64\n%trips = cast %b : i64\n%three = const {i = 3} : u32\n%one32 = const {i = 1} : u32\n"
     "%v = for %zero, %trips, %one, %a : u32 (%i: i64, %c: u32) {\n%m = mul %c, %three : u32\n%n = add %m, %one32 : u32\nyield %n\n}\n"
     "astore %ex, %lane, %v\nbarrier {fence = shared}\n%k1 = const {i = 1} : i32\n%k63 = const {i = 63} : i32\n%l1 = add %lane, %k1 : i32\n%ln = and %l1, %k63 : i32\n"
     "%r = aload %ex, %ln : u32\n", .inputs = tgc_in_count, .expect = ex_diverge},
    {"atomic.shared", "atomic sums and maxima in shared memory", 0, 0, "36",
     "%bins = array {offset = 0, name = \"bins\"} : buf<shared, u32[9], 1>\n",
     "%z = const {i = 0} : u32\n%nine = const {i = 9} : i32\n%few = cmp %lane, %nine {pred = lt} : bool\nif %few {\nastore %bins, %lane, %z\nyield\n} {}\n"
     "barrier {fence = shared}\n%bin = bitcast %b : i32\n%old = aatomic %bins, %bin, %a {do = add} : u32\n%eight = const {i = 8} : i32\n"
     "%old2 = aatomic %bins, %eight, %a {do = max} : u32\nbarrier {fence = shared}\n%seven = const {i = 7} : i32\n%at32 = cast %at : i32\n%which = rem %at32, %seven : i32\n"
     "%s = aload %bins, %which : u32\n%m = aload %bins, %eight : u32\n%r = xor %s, %m : u32\n", .inputs = tgc_in_count, .expect = ex_atomic, .quirks = TG_QUIRK_NO_ATOMICS},
    {"offset.64", "offsets beyond 32 bits and below zero", 0, 0, "0", "",
     "%big = const {i = 25769803777} : i64\n%f1 = mul %at, %big : i64\n%up = gep %px, %f1 {bytes = 4} : ptr\n%zero = const {i = 0} : i64\n%f2 = sub %zero, %f1 : i64\n"
     "%back = gep %up, %f2 {bytes = 4} : ptr\n%r = loadm %back : u32\n", .inputs = tgc_in_bits, .expect = ex_far},
    {"memory.bytes", "neighbouring lanes read and write neighbouring bytes", 0, TGR_SIMT_INT8, "128",
     "%by = array {offset = 0, name = \"by\"} : buf<shared, u8[128], 1>\n",
     "%k1 = const {i = 1} : i64\n%k3 = const {i = 3} : i64\n%p1 = gep %px, %k1 {bytes = 1} : ptr\n%p3 = gep %px, %k3 {bytes = 1} : ptr\n%u = loadm %p1 : u8\n%w = loadm %p3 : u8\n"
     "%one = const {i = 1} : u8\n%w1 = add %w, %one : u8\n%k64 = const {i = 64} : i32\n%hi = add %lane, %k64 : i32\nastore %by, %lane, %u\nastore %by, %hi, %w1\nbarrier {fence = shared}\n"
     "%u2 = aload %by, %lane : u8\n%w2 = aload %by, %hi : u8\n%u3 = cast %u2 : u32\n%w3 = cast %w2 : u32\n%k256 = const {i = 256} : u32\n%w4 = mul %w3, %k256 : u32\n%r = add %u3, %w4 : u32\n",
     .inputs = tgc_in_bits, .expect = ex_bytes, .quirks = TG_QUIRK_NARROW, .first = true},
    {"programs", "every program runs once, none beyond the end", 0, 0, "0", "",
     "%k = const {i = 1000} : i64\n%t = mul %p, %k : i64\n%l = cast %lane : i64\n%s = add %t, %l : i64\n%r = cast %s : u32\n", .inputs = tgc_in_bits, .expect = ex_program},
    {"f32.sub", "f32 differences, cancellation and infinities too", TGR_SIMT_SUBNORMALS, 0, "0", "",
     TGC_FLOATS "%f = sub %x, %y : f32\n" TGC_RESULT_F, .inputs = tgc_in_special, .expect = ex_fsub, .quirks = TG_QUIRK_FLUSHES},
    {"u32.div", "x/0 = 0 and x%0 = x without a sign", 0, 0, "0", "",
     "%q = div %a, %b : u32\n%m = rem %a, %b : u32\n%k = const {i = 3} : u32\n%t = mul %m, %k : u32\n%r = xor %q, %t : u32\n", .inputs = tgc_in_integers, .expect = ex_udiv},
    {"i64.div", "64-bit quotients and remainders, by 0 and -1 too", 0, TGR_SIMT_INT64, "0", "",
     "%h = cast %a : u64\n%l = cast %b : u64\n%n = const {i = 32} : u64\n%s = shl %h, %n : u64\n%o = or %s, %l : u64\n%x = bitcast %o : i64\n"
     "%b32 = bitcast %b : i32\n%y = cast %b32 : i64\n%q = div %x, %y : i64\n%m = rem %x, %y : i64\n%qu = bitcast %q : u64\n%mu = bitcast %m : u64\n"
     "%qh = shr %qu, %n : u64\n%q0 = xor %qh, %qu : u64\n%k = const {i = 3} : u64\n%m3 = mul %mu, %k : u64\n%z = xor %q0, %m3 : u64\n%r = cast %z : u32\n", .inputs = tgc_in_integers, .expect = ex_ldiv},
    {"u32.wrap", "sums, differences and products wrap", 0, 0, "0", "",
     "%s = add %a, %b : u32\n%d = sub %a, %b : u32\n%m = mul %a, %b : u32\n%t = xor %s, %d : u32\n%r = xor %t, %m : u32\n", .inputs = tgc_in_integers, .expect = ex_wrap},
    {"int.order", "comparisons with and without a sign", 0, 0, "0", "",
     "%x = bitcast %a : i32\n%y = bitcast %b : i32\n%c0 = cmp %a, %b {pred = lt} : bool\n%c1 = cmp %x, %y {pred = lt} : bool\n"
     "%z = const {i = 0} : u32\n%k1 = const {i = 1} : u32\n%k2 = const {i = 2} : u32\n%s0 = select %c0, %k1, %z : u32\n%s1 = select %c1, %k2, %z : u32\n%r = or %s0, %s1 : u32\n", .inputs = tgc_in_integers, .expect = ex_order},
    {"int.minmax", "minimum without and maximum with a sign", 0, 0, "0", "",
     "%x = bitcast %a : i32\n%y = bitcast %b : i32\n%u = min %a, %b : u32\n%w = max %x, %y : i32\n%v = bitcast %w : u32\n%k = const {i = 3} : u32\n%t = mul %v, %k : u32\n%r = xor %u, %t : u32\n", .inputs = tgc_in_integers, .expect = ex_minmax},
    {"u32.popcount", "bits are counted", 0, 0, "0", "", "%r = popcount %a : u32\n", .inputs = tgc_in_bits, .expect = ex_pop},
    {"cast.narrow", "narrowing wraps, widening keeps the sign", 0, TGR_SIMT_INT8 | TGR_SIMT_INT16, "0", "",
     "%x = bitcast %a : i32\n%n = cast %x : i8\n%w = cast %n : i32\n%u = cast %b : u16\n%v = cast %u : u32\n%k = const {i = 3} : u32\n%t = mul %v, %k : u32\n%wu = bitcast %w : u32\n%r = xor %wu, %t : u32\n", .inputs = tgc_in_bits, .expect = ex_narrow},
    {"cast.u32.f32", "u32 to f32 rounds to nearest even", 0, 0, "0", "", "%f = cast %a : f32\n" TGC_RESULT_F, .inputs = tgc_in_integers, .expect = ex_u_to_f, .quirks = TG_QUIRK_CASTS},
    {"shared.full", "all 32 KiB of shared memory are there", 0, 0, "32768",
     "%all = array {offset = 0, name = \"all\"} : buf<shared, u32[8192], 1>\n",
     "%zero = const {i = 0} : i64\n%one = const {i = 1} : i64\n%n = const {i = 128} : i64\n%n32 = const {i = 128} : i32\n%base = mul %lane, %n32 : i32\n"
     "for %zero, %n, %one (%i: i64) {\n%k = cast %i : i32\n%e = add %base, %k : i32\n%ku = bitcast %k : u32\n%v = xor %a, %ku : u32\nastore %all, %e, %v\nyield\n}\n"
     "barrier {fence = shared}\n%last = const {i = 63} : i32\n%mate = sub %last, %lane : i32\n%from = mul %mate, %n32 : i32\n%three = const {i = 3} : u32\n%z = const {i = 0} : u32\n"
     "%r = for %zero, %n, %one, %z : u32 (%j: i64, %c: u32) {\n%k2 = cast %j : i32\n%e2 = add %from, %k2 : i32\n%w = aload %all, %e2 : u32\n%c3 = mul %c, %three : u32\n%d = add %c3, %w : u32\nyield %d\n}\n", .inputs = tgc_in_bits, .expect = ex_full, .quirks = TG_QUIRK_SMALL_SHARED, .first = true},
    {"private.large", "a private array of 256 words with any index", 0, 0, "0",
     "%own = array {name = \"own\"} : buf<private, u32[256], 1>\n",
     "%zero = const {i = 0} : i64\n%one = const {i = 1} : i64\n%n = const {i = 256} : i64\n"
     "for %zero, %n, %one (%i: i64) {\n%k = cast %i : i32\n%ku = bitcast %k : u32\n%v = xor %a, %ku : u32\nastore %own, %k, %v\nyield\n}\n"
     "%mask = const {i = 255} : u32\n%m = and %b, %mask : u32\n%mi = bitcast %m : i32\n%r = aload %own, %mi : u32\n", .inputs = tgc_in_bits, .expect = ex_private},
    {"message.group", "what a lane wrote to device memory before a barrier, another reads behind it", 0, 0, "0", "",
     "storem %py, %a\nbarrier {fence = global}\n%k1 = const {i = 1} : i32\n%k63 = const {i = 63} : i32\n%l1 = add %lane, %k1 : i32\n%ln = and %l1, %k63 : i32\n%ln64 = cast %ln : i64\n"
     "%next = add %first, %ln64 : i64\n%pn = gep %sy, %next {bytes = 4} : ptr\n%v = loadm %pn : u32\nbarrier {fence = global}\n%r = add %v, %b : u32\n", .inputs = tgc_in_bits, .expect = ex_seen},
    {"atomic.global", "atomic sums in device memory", 0, 0, "0", "",
     "%pf = gep %sa, %first {bytes = 4} : ptr\nbarrier {fence = global}\n%old = atomicm %pf, %b {do = add} : u32\nbarrier {fence = global}\n%r = loadm %pf : u32\n", .inputs = tgc_in_bits, .expect = ex_total, .quirks = TG_QUIRK_NO_ATOMICS, .first = true},
    {"coherence.global", "two atomics of a lane on one word of all programs see it grow", 0, 0, "0", "",
     "%k1 = const {i = 1} : u32\n%z = const {i = 0} : u32\n%x = atomicm %sa, %k1 {do = add} : u32\n%y = atomicm %sa, %z {do = add} : u32\n"
     "%d = sub %y, %x : u32\n%most = const {i = 2000} : u32\n%c0 = cmp %d, %most {pred = lt} : bool\n%c1 = cmp %d, %z {pred = gt} : bool\n%c = and %c0, %c1 : bool\n%r = select %c, %k1, %z : u32\n", .inputs = tgc_in_count, .expect = ex_one},
};
/* clang-format on */
const int tgc_n_probes = TG_COUNT_OF(tgc_probes);
