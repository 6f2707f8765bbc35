/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix units, one instruction a row: lanes' registers in, registers out. */
#include "kernels.h"

#define IN(type, from) ((global const type *)(from))[l]
#define OUT(type, k, v) ((global type *)(out + 2048 * (k)))[l] = (v)

kernel void matrices(global uint *out, global const uint *a, global const uint *b, int n) {
    uint l = ID(x);
    (void)l;
#if defined(__gfx942__)
    float16 f16 = 0;
    float4 f4 = 0;
    int16 i16 = 0;
    int4 i4 = 0;
    double4 d4 = 0;
    OUT(float16, 0, __builtin_amdgcn_mfma_f32_32x32x8f16(IN(half4, a), IN(half4, b), f16, 0, 0, 0));
    OUT(float4, 1, __builtin_amdgcn_mfma_f32_16x16x16f16(IN(half4, a), IN(half4, b), f4, 0, 0, 0));
    OUT(int16, 2, __builtin_amdgcn_mfma_i32_32x32x16_i8(IN(long, a), IN(long, b), i16, 0, 0, 0));
    OUT(int4, 3, __builtin_amdgcn_mfma_i32_16x16x32_i8(IN(long, a), IN(long, b), i4, 0, 0, 0));
    OUT(float4, 4, __builtin_amdgcn_mfma_f32_16x16x4f32(IN(float, a + N / 2), IN(float, b + N / 2), f4, 0, 0, 0));
    OUT(double4, 5, __builtin_amdgcn_mfma_f64_16x16x4f64((double)IN(float, a + N / 2), (double)IN(float, b + N / 2), d4, 0, 0, 0));
#elif defined(__GFX11__)
    float8 f8 = 0;
    int8 i8 = 0;
    uint r = l & 15;
    half16 ha = ((global const half16 *)a)[r], hb = ((global const half16 *)b)[r];
    OUT(float8, 0, __builtin_amdgcn_wmma_f32_16x16x16_f16_w32(ha, hb, f8));
    int4 ia = ((global const int4 *)a)[r], ib = ((global const int4 *)b)[r];
    OUT(int8, 1, __builtin_amdgcn_wmma_i32_16x16x16_iu8_w32(true, ia, true, ib, i8, false));
    OUT(int8, 2, __builtin_amdgcn_wmma_i32_16x16x16_iu8_w32(false, ia, true, ib, i8, false));
#endif
}
