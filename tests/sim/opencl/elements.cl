/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions, one result behind the other: out[number * N + i]. */
#include "kernels.h"

#define ELEMENTS(name) kernel void name(global uint *out, global const uint *a, global const uint *b, int n)
#define INDEX                                                                                                          \
    uint i = GLOBAL_ID;                                                                                                \
    if (i >= (uint)n) {                                                                                                \
        return;                                                                                                        \
    }

ELEMENTS(integer32) {
    INDEX
    uint k = 0;
    uint x = a[i], y = b[i];
    int s = (int)x, t = (int)y;
#define E(e) out[k++ * N + i] = (e);
#include "integer32.def"
#undef E
}

ELEMENTS(integer64) {
    INDEX
    uint k = 0;
    global ulong *o = (global ulong *)out;
    ulong p = ((global const ulong *)a)[i], q = ((global const ulong *)b)[i];
    long v = (long)p, w = (long)q;
#define E(e) o[k++ * (N / 2) + i] = (e);
#include "integer64.def"
#undef E
}

ELEMENTS(narrow) {
    INDEX
    uint k = 0;
    uint x = a[i], y = b[i];
#define E(e) out[k++ * N + i] = (e);
#include "narrow.def"
#undef E
}

#define HALF half
#define BITS(v) __builtin_astype(v, uint)
#define LBITS(v) __builtin_astype(v, ulong)
#define HBITS(v) __builtin_astype(v, ushort)
#define FLDEXP(v, e) __builtin_ldexpf(v, e)
#define HFMA(x, y, z) __builtin_fmaf16(x, y, z)
#define HFLOOR(x) __builtin_floorf16(x)
#define HTRUNC(x) __builtin_truncf16(x)
#define HSQRT(x) __builtin_sqrtf16(__builtin_fabsf16(x))
#define HALF2 half2
#define SHORT2 short2
#define USHORT2 ushort2

ELEMENTS(floats) {
    INDEX
    uint k = 0;
    float x = ((global const float *)a)[i], y = ((global const float *)b)[i], z = x + 1.0f;
#define E(e) ((global float *)out)[k++ * N + i] = (e);
#define I(e) out[k++ * N + i] = (e);
#include "float32.def"
#undef E
#undef I
}

ELEMENTS(doubles) {
    INDEX
    uint k = 0;
    double x = ((global const double *)a)[i], y = ((global const double *)b)[i];
#define E(e) ((global double *)out)[k++ * (N / 2) + i] = (e);
#define I(e) ((global ulong *)out)[k++ * (N / 2) + i] = (e);
#include "float64.def"
#undef E
#undef I
}

ELEMENTS(half_floats) {
    INDEX
    uint k = 0;
    half x = ((global const half *)a)[i], y = ((global const half *)b)[i];
#define E(e) out[k++ * N + i] = __builtin_astype((half)(e), ushort);
#define I(e) out[k++ * N + i] = (e);
#include "float16.def"
#undef E
#undef I
}

ELEMENTS(packed) {
    INDEX
    uint k = 0;
    half2 h = ((global const half2 *)a)[i], g = ((global const half2 *)b)[i];
    short2 a_ = ((global const short2 *)a)[i], b_ = ((global const short2 *)b)[i];
    ushort2 u = ((global const ushort2 *)a)[i], v = ((global const ushort2 *)b)[i];
#define a a_
#define b b_
#define E(type, ...) out[k++ * N + i] = __builtin_astype((type)(__VA_ARGS__), uint);
#include "packed.def"
#undef E
#undef a
#undef b
}

/* Two floats at once; their order in the register is of no matter to the result. */
ELEMENTS(packed_float) {
    INDEX
    float2 x = ((global const float2 *)a)[i], y = ((global const float2 *)b)[i];
    global float2 *o = (global float2 *)out;
    o[i] = x + y;
    o[N / 2 + i] = x * y;
    o[N + i] = __builtin_elementwise_fma(x, y, x);
    o[3 * N / 2 + i] = __builtin_elementwise_fma(-x, y.yx, y);
}

/* The machine's own approximations: exp2, log2, rcp, rsq, sqrt, sin and cos of revolutions. */
ELEMENTS(special) {
    INDEX
    float x = ((global const float *)a)[i];
    global float *o = (global float *)out;
    o[0 * N + i] = __builtin_amdgcn_exp2f(x);
    o[1 * N + i] = __builtin_amdgcn_logf(__builtin_fabsf(x));
    o[2 * N + i] = __builtin_amdgcn_rcpf(x);
    o[3 * N + i] = __builtin_amdgcn_rsqf(__builtin_fabsf(x));
    o[4 * N + i] = __builtin_amdgcn_sqrtf(__builtin_fabsf(x));
    o[5 * N + i] = __builtin_amdgcn_sinf(x * 0.125f);
    o[6 * N + i] = __builtin_amdgcn_cosf(x * 0.125f);
    o[7 * N + i] = __builtin_amdgcn_fractf(x);
    o[8 * N + i] = __builtin_amdgcn_frexp_mantf(x);
    out[9 * N + i] = (uint)__builtin_amdgcn_frexp_expf(x);
    o[10 * N + i] = (float)__builtin_amdgcn_rcp((double)x);
    o[11 * N + i] = (float)__builtin_amdgcn_rsq((double)__builtin_fabsf(x));
    o[12 * N + i] = (float)__builtin_amdgcn_rcph((half)x);
    o[13 * N + i] = (float)__builtin_amdgcn_sqrth((half)__builtin_fabsf(x));
    o[14 * N + i] = __builtin_amdgcn_fmed3f(x, 2.0f, -3.0f);
    out[15 * N + i] = __builtin_amdgcn_classf(x, 0x264);
}

/* Instructions that OpenCL's operators do not reach. */
ELEMENTS(bits) {
    INDEX
    uint x = a[i], y = b[i];
    out[0 * N + i] = __builtin_amdgcn_perm(x, y, 0x0c05010e);
    out[1 * N + i] = __builtin_amdgcn_perm(x, y, y);
    out[2 * N + i] = __builtin_amdgcn_alignbit(x, y, i);
    out[3 * N + i] = __builtin_amdgcn_alignbyte(x, y, i);
    out[4 * N + i] = __builtin_amdgcn_ubfe(x, y & 31, i & 31);
    out[5 * N + i] = (uint)__builtin_amdgcn_sbfe((int)x, y & 31, i & 31);
    out[6 * N + i] = __builtin_amdgcn_sad_u8(x, y, i);
    out[7 * N + i] = __builtin_amdgcn_lerp(x, y, 0x01000101);
    out[8 * N + i] = __builtin_bitreverse32(x);
    out[9 * N + i] = (uint)(__builtin_bitreverse64((ulong)x << 32 | y) >> 32);
    out[10 * N + i] = (uint)__builtin_clrsb((int)x | 1);
    out[11 * N + i] = __builtin_amdgcn_sad_u16(x, y, i);
    out[12 * N + i] = __builtin_amdgcn_msad_u8(x, y, i);
    out[13 * N + i] = __builtin_astype(__builtin_amdgcn_cvt_pkrtz((float)(x & 0xffff), (float)(int)y * 0.001f), uint);
    out[14 * N + i] = __builtin_astype(__builtin_amdgcn_cvt_pk_u16(x >> 8, y >> 20), uint);
    out[15 * N + i] = __builtin_astype(__builtin_amdgcn_cvt_pk_i16((int)x >> 14, (int)y), uint);
    out[16 * N + i] = (uint)__builtin_elementwise_add_sat((int)x, (int)y);
    out[17 * N + i] = (uint)__builtin_elementwise_sub_sat((int)x, (int)y);
    out[18 * N + i] = __builtin_astype(__builtin_elementwise_add_sat(__builtin_astype(x, short2), __builtin_astype(y, short2)), uint);
    out[19 * N + i] = __builtin_astype(__builtin_elementwise_sub_sat(__builtin_astype(x, ushort2), __builtin_astype(y, ushort2)), uint);
    out[20 * N + i] = __builtin_amdgcn_cvt_pk_u8_f32((float)(x & 511), y & 3, x);
}

/* Sums of products within a word. */
ELEMENTS(dots) {
    INDEX
    uint x = a[i], y = b[i];
#if __has_builtin(__builtin_amdgcn_sudot4) && defined(__GFX11__)
    out[0 * N + i] = (uint)__builtin_amdgcn_sudot4(true, (int)x, true, (int)y, (int)i, false);
    out[1 * N + i] = (uint)__builtin_amdgcn_sudot8(true, (int)x, true, (int)y, (int)i, false);
#else
    out[0 * N + i] = (uint)__builtin_amdgcn_sdot4((int)x, (int)y, (int)i, false);
    out[1 * N + i] = (uint)__builtin_amdgcn_sdot8((int)x, (int)y, (int)i, false);
#endif
    out[2 * N + i] = __builtin_amdgcn_udot4(x, y, i, false);
    out[3 * N + i] = __builtin_amdgcn_udot8(x, y, i, false);
    half2 h = __builtin_astype((x & 0x83ff83ffu) | 0x3c003c00u, half2), g = __builtin_astype((y & 0x83ff83ffu) | 0x3c003c00u, half2);
    ((global float *)out)[4 * N + i] = __builtin_amdgcn_fdot2(h, g, (float)i, false);
}
