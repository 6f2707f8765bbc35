/* SPDX-License-Identifier: Apache-2.0 */
/* elements.cl told a second time; its expressions are the very same, compiled for the host. */
#include "reference.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef HALF HALF2 __attribute__((vector_size(4)));
typedef short SHORT2 __attribute__((vector_size(4)));
typedef ushort USHORT2 __attribute__((vector_size(4)));

static double f64_at(const uint *p, int i) {
    double f;
    memcpy(&f, p + 2 * i, sizeof f);
    return f;
}
static ulong u64_at(const uint *p, int i) {
    ulong v;
    memcpy(&v, p + 2 * i, sizeof v);
    return v;
}
static uint BITS(float f) {
    uint v;
    memcpy(&v, &f, sizeof v);
    return v;
}
static ulong LBITS(double f) {
    ulong v;
    memcpy(&v, &f, sizeof v);
    return v;
}
static ushort HBITS(HALF f) {
    ushort v;
    memcpy(&v, &f, sizeof v);
    return v;
}
#define FLDEXP(v, e) ldexpf(v, e)
#define HFMA(x, y, z) ((HALF)((double)(x) * (double)(y) + (double)(z)))
#define HFLOOR(x) ((HALF)floorf((float)(x)))
#define HTRUNC(x) ((HALF)truncf((float)(x)))
#define HSQRT(x) ((HALF)sqrtf(fabsf((float)(x))))

REFERENCE(integer32) {
    UNUSED;
    for (int i = 0; i < n; i++) {
        uint x = a[i], y = b[i], k = 0;
        int s = (int)x, t = (int)y;
#define E(e) out[k++ * N + (uint)i] = (e);
#include "integer32.def"
#undef E
    }
}

static void put_u64(uint *out, uint k, int i, ulong v) {
    memcpy(out + 2 * (k * (N / 2) + (uint)i), &v, sizeof v);
}

REFERENCE(integer64) {
    UNUSED;
    for (int i = 0; i < n; i++) {
        ulong p = u64_at(a, i), q = u64_at(b, i);
        long v = (long)p, w = (long)q;
        uint k = 0;
#define E(e) put_u64(out, k++, i, (e));
#include "integer64.def"
#undef E
    }
}

REFERENCE(narrow) {
    UNUSED;
    for (int i = 0; i < n; i++) {
        uint x = a[i], y = b[i], k = 0;
#define E(e) out[k++ * N + (uint)i] = (e);
#include "narrow.def"
#undef E
    }
}

REFERENCE(floats) {
    UNUSED;
    for (int i = 0; i < n; i++) {
        float x = f32_at(a, i), y = f32_at(b, i), z = x + 1.0f;
        uint k = 0;
#define E(e) put_f32(out + k++ * N, i, (e));
#define I(e) out[k++ * N + (uint)i] = (uint)(e);
#include "float32.def"
#undef E
#undef I
    }
}

REFERENCE(doubles) {
    UNUSED;
    for (int i = 0; i < n; i++) {
        double x = f64_at(a, i), y = f64_at(b, i);
        uint k = 0;
#define E(e) put_u64(out, k++, i, LBITS(e));
#define I(e) put_u64(out, k++, i, (e));
#include "float64.def"
#undef E
#undef I
    }
}

REFERENCE(half_floats) {
    UNUSED;
    for (int i = 0; i < n; i++) {
        HALF x = f16_at(a, i), y = f16_at(b, i);
        uint k = 0;
#define E(e) out[k++ * N + (uint)i] = HBITS((HALF)(e));
#define I(e) out[k++ * N + (uint)i] = (uint)(e);
#include "float16.def"
#undef E
#undef I
    }
}

REFERENCE(packed) {
    UNUSED;
    const uint *p = a, *q = b;
    for (int i = 0; i < n; i++) {
        HALF2 h, g;
        SHORT2 x, y;
        USHORT2 u, v;
        memcpy(&h, p + i, 4);
        memcpy(&g, q + i, 4);
        memcpy(&x, p + i, 4);
        memcpy(&y, q + i, 4);
        memcpy(&u, p + i, 4);
        memcpy(&v, q + i, 4);
        uint k = 0;
#define a x
#define b y
#define E(type, ...) memcpy(out + k++ * N + i, &(type[1]){__VA_ARGS__}, 4);
#include "packed.def"
#undef a
#undef b
#undef E
    }
}

REFERENCE(packed_float) {
    UNUSED;
    for (int i = 0; i < 2 * n; i++) {
        float x = f32_at(a, i), y = f32_at(b, i);
        put_f32(out, i, x + y);
        put_f32(out + N, i, x * y);
        put_f32(out + 2 * N, i, fmaf(x, y, x));
        put_f32(out + 3 * N, i, fmaf(-x, f32_at(b, i ^ 1), y));
    }
}

REFERENCE(special) {
    UNUSED;
    const double turn = 2 * 3.14159265358979323846;
    for (int i = 0; i < n; i++) {
        double x = (double)f32_at(a, i), p = fabs(x), h = (double)(HALF)x;
        int e;
        double m = frexp(x, &e), med = x > 2 ? 2 : x < -3 ? -3 : x;
        put_f32(out, i, (float)exp2(x));
        put_f32(out + N, i, (float)log2(p));
        put_f32(out + 2 * N, i, (float)(1 / x));
        put_f32(out + 3 * N, i, (float)(1 / sqrt(p)));
        put_f32(out + 4 * N, i, (float)sqrt(p));
        put_f32(out + 5 * N, i, (float)sin(x * 0.125 * turn));
        put_f32(out + 6 * N, i, (float)cos(x * 0.125 * turn));
        put_f32(out + 7 * N, i, (float)(x - floor(x)));
        put_f32(out + 8 * N, i, (float)m);
        out[9 * N + i] = (uint)e;
        put_f32(out + 10 * N, i, (float)(1 / x));
        put_f32(out + 11 * N, i, (float)(1 / sqrt(p)));
        put_f32(out + 12 * N, i, (float)(HALF)(1 / h));
        put_f32(out + 13 * N, i, (float)(HALF)sqrt(fabs(h)));
        put_f32(out + 14 * N, i, (float)med);
        out[15 * N + i] = x == 0 || isinf(x); /* -inf 4, -0 0x20, +0 0x40, +inf 0x200 */
    }
}

static uint byte_of(uint x, uint y, uint s) {
    ulong both = (ulong)x << 32 | y;
    return s > 12    ? 0xff
           : s == 12 ? 0
           : s >= 8  ? (both >> (16 * (s - 8) + 15) & 1) * 0xff
                     : both >> 8 * s & 0xff;
}
static uint perm(uint x, uint y, uint s) {
    uint v = 0;
    for (int i = 0; i < 4; i++) {
        v |= byte_of(x, y, s >> 8 * i & 0xff) << 8 * i;
    }
    return v;
}
static uint field(uint x, uint at, uint n) {
    return n == 0 ? 0 : x >> at & (n >= 32 ? ~0u : (1u << n) - 1);
}
static uint signed_field(uint x, uint at, uint n) {
    uint have = at + n > 32 ? 32 - at : n;
    return n == 0 ? 0 : (uint)((int)(x << (32 - at - have)) >> (32 - have));
}
static uint differences(uint x, uint y, uint sum, int bits, bool masked) {
    for (int i = 0; i < 32; i += bits) {
        uint mask = (1u << bits) - 1, p = x >> i & mask, q = y >> i & mask;
        sum += masked && q == 0 ? 0 : p > q ? p - q : q - p;
    }
    return sum;
}
static uint averages(uint x, uint y, uint up) {
    uint v = 0;
    for (int i = 0; i < 32; i += 8) {
        v |= (((x >> i & 0xff) + (y >> i & 0xff) + (up >> i & 1)) >> 1 & 0xff) << i;
    }
    return v;
}
static uint turned(uint x) {
    uint v = 0;
    for (int i = 0; i < 32; i++) {
        v |= (x >> i & 1) << (31 - i);
    }
    return v;
}
static uint half_toward_zero(float f) {
    HALF h = (HALF)f;
    uint v = HBITS(h);
    return fabsf((float)h) > fabsf(f) ? v - 1 : v;
}

REFERENCE(bits) {
    UNUSED;
    for (int j = 0; j < n; j++) {
        uint x = a[j], y = b[j], i = (uint)j;
        int s = (int)x, t = (int)y;
        ulong both = (ulong)x << 32 | y;
        out[i] = perm(x, y, 0x0c05010e);
        out[N + i] = perm(x, y, y);
        out[2 * N + i] = (uint)(both >> (i & 31));
        out[3 * N + i] = (uint)(both >> 8 * (i & 3));
        out[4 * N + i] = field(x, y & 31, i & 31);
        out[5 * N + i] = signed_field(x, y & 31, i & 31);
        out[6 * N + i] = differences(x, y, i, 8, false);
        out[7 * N + i] = averages(x, y, 0x01000101);
        out[8 * N + i] = turned(x);
        out[9 * N + i] = turned(y);
        int c = s | 1;
        out[10 * N + i] = c == -1 ? 31u : (uint)__builtin_clz((uint)(c < 0 ? ~c : c)) - 1;
        out[11 * N + i] = differences(x, y, i, 16, false);
        out[12 * N + i] = differences(x, y, i, 8, true);
        out[13 * N + i] =
            half_toward_zero((float)(x & 0xffff)) | half_toward_zero((float)t * 0.001f) << 16;
        out[14 * N + i] = (x >> 8 > 65535 ? 65535 : x >> 8) | y >> 20 << 16;
        out[15 * N + i] = (uint)(ushort)CLAMP(s >> 14, -32768, 32767) |
                          (uint)(ushort)CLAMP(t, -32768, 32767) << 16;
        out[16 * N + i] = (uint)CLAMP((long)s + t, -2147483648L, 2147483647L);
        out[17 * N + i] = (uint)CLAMP((long)s - t, -2147483648L, 2147483647L);
        out[18 * N + i] = (ushort)CLAMP((short)x + (short)y, -32768, 32767) |
                          (uint)CLAMP((s >> 16) + (t >> 16), -32768, 32767) << 16;
        out[19 * N + i] = (uint)CLAMP((ushort)x - (ushort)y, 0, 65535) |
                          (uint)CLAMP((int)(x >> 16) - (int)(y >> 16), 0, 65535) << 16;
        uint at = 8 * (y & 3);
        out[20 * N + i] = (x & ~(0xffu << at)) | ((x & 511) > 255 ? 255 : x & 511) << at;
    }
}

static int within(uint x, int at, int bits, bool is_signed) {
    int v = (int)(x << (32 - at - bits));
    return is_signed ? v >> (32 - bits) : (int)((uint)v >> (32 - bits));
}
static uint dot(uint x, uint y, uint sum, int bits, bool is_signed) {
    for (int i = 0; i < 32; i += bits) {
        sum += (uint)(within(x, i, bits, is_signed) * within(y, i, bits, is_signed));
    }
    return sum;
}
static double half_value(uint v) {
    double m = 1 + (v & 1023) / 1024.0;
    return v & 0x8000 ? -m : m;
}

REFERENCE(dots) {
    UNUSED;
    for (int j = 0; j < n; j++) {
        uint x = a[j], y = b[j], i = (uint)j;
        out[i] = dot(x, y, i, 8, true);
        out[N + i] = dot(x, y, i, 4, true);
        out[2 * N + i] = dot(x, y, i, 8, false);
        out[3 * N + i] = dot(x, y, i, 4, false);
        put_f32(
            out + 4 * N, j,
            (float)(half_value(x) * half_value(y) + half_value(x >> 16) * half_value(y >> 16) + j));
    }
}

const cl_case cl_elements[] = {
    {"integer32", integer32, {8, 1, 1}, {128, 1, 1}, 1000, FILL_WORDS, FILL_WORDS, AS_WORDS},
    {"integer64", integer64, {8, 1, 1}, {128, 1, 1}, 500, FILL_WORDS, FILL_WORDS, AS_WORDS},
    {"narrow", narrow, {8, 1, 1}, {128, 1, 1}, 1000, FILL_WORDS, FILL_WORDS, AS_WORDS},
    {"floats", floats, {8, 1, 1}, {128, 1, 1}, 1000, FILL_FLOATS, FILL_FLOATS, AS_FLOATS},
    {"doubles", doubles, {8, 1, 1}, {128, 1, 1}, 500, FILL_DOUBLES, FILL_DOUBLES, AS_DOUBLES},
    {"half_floats", half_floats, {8, 1, 1}, {128, 1, 1}, 1000, FILL_WORDS, FILL_WORDS, AS_HALVES},
    {"packed", packed, {8, 1, 1}, {128, 1, 1}, 1000, FILL_WORDS, FILL_WORDS, AS_HALVES},
    {"packed_float",
     packed_float,
     {8, 1, 1},
     {128, 1, 1},
     500,
     FILL_FLOATS,
     FILL_FLOATS,
     AS_FLOATS},
    {"special", special, {8, 1, 1}, {128, 1, 1}, 1000, FILL_MODERATE, FILL_MODERATE, AS_NEAR},
    {"bits", bits, {8, 1, 1}, {128, 1, 1}, 1000, FILL_WORDS, FILL_WORDS, AS_WORDS},
    {"dots", dots, {8, 1, 1}, {128, 1, 1}, 1000, FILL_WORDS, FILL_WORDS, AS_NEAR}};
const size_t cl_n_elements = sizeof cl_elements / sizeof *cl_elements;
