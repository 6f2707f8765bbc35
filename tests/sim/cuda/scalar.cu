// SPDX-License-Identifier: Apache-2.0
// One thread an element: out[i] of a[i], b[i]; what each computes is told again in test_cuda.c.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#define K(name)                                                                                    \
    extern "C" __global__ void name(unsigned *out, const unsigned *a, const unsigned *b, int n)
#define I (int)(blockIdx.x * blockDim.x + threadIdx.x)
#define IN                                                                                         \
    int i = I;                                                                                     \
    if (i >= n) return;                                                                            \
    unsigned x = a[i], y = b[i];                                                                   \
    (void)x, (void)y

K(axpy) { IN; out[i] = __float_as_uint(fmaf(2.5f, (float)(int)(x & 0xffff), (float)(y & 0xff))); }
K(arith) { IN; int s = (int)x, t = (int)(y | 1); out[i] = (unsigned)(s / t + s % t * 3 + min(s, t) - max(s >> 3, t) + abs(s >> 1)) ^ (x / (y | 1)) ^ (x % (y | 1)); }
K(high) { IN; out[i] = __umulhi(x, y) ^ (unsigned)__mulhi((int)x, (int)y) ^ (unsigned)(((unsigned long long)x * y) >> 13); }
K(bits) { IN; out[i] = __popc(x) + 100u * __clz(x) + __brev(y) + (unsigned)__ffs((int)y) + __byte_perm(x, y, 0x5140) + __funnelshift_l(x, y, 7) + ((x >> (y & 31)) | (y << (x & 31))); }
K(wide) { IN; unsigned long long u = (unsigned long long)x << 32 | y, v = (unsigned long long)y << 17 | 1; out[i] = (unsigned)(u / v) ^ (unsigned)(u % v) ^ (unsigned)__umul64hi(u, v) ^ (unsigned)((long long)u >> (x & 63)) ^ (unsigned)(((long long)u / (long long)v) >> 5); }
K(convert) { IN; float f = __uint_as_float(x); out[i] = (unsigned)__float2int_rn(f) ^ (unsigned)__float2int_rz(f) * 3u ^ (unsigned)__float2int_rd(f) * 5u ^ (unsigned)__float2int_ru(f) * 7u ^ __float2uint_rz(f) ^ __float_as_uint((float)(int)y) ^ __float_as_uint((float)y) ^ (unsigned)(unsigned char)x ^ (unsigned)(int)(short)y; }
K(rounding) { IN; float f = __uint_as_float((x & 0x3fffffff) | 0x20000000), g = __uint_as_float((y & 0x3fffffff) | 0x20000000); out[i] = __float_as_uint(__fadd_rz(f, g)) ^ __float_as_uint(__fmul_ru(f, g)) ^ __float_as_uint(__fmaf_rd(f, g, -f)) ^ __float_as_uint(__fadd_rd(f, -g)) ^ __float_as_uint(__fdiv_rn(f, g)) ^ __float_as_uint(__fsqrt_rn(f)); }
K(functions) { IN; float f = 1.0f + (float)(x & 0xfff) / 512.0f; out[i] = __float_as_uint(exp2f(f) + log2f(f) + rsqrtf(f) + __sinf(f) + __cosf(f) + tanhf(f) + expf(-f)); }
K(doubles) { IN; double d = (double)(int)x / 7.0, e = (double)y + 0.25; d = fma(d, e, -e) + sqrt(e) + fabs(d) - floor(d / e); unsigned long long u = (unsigned long long)__double_as_longlong(d); out[i] = (unsigned)u ^ (unsigned)(u >> 32); }
K(collatz) { IN; unsigned v = (x & 0xfff) + 1, c = 0; while (v != 1) { v = v & 1 ? 3 * v + 1 : v / 2; c++; } out[i] = c; }
K(cases) { IN; unsigned v; switch (x % 9) { case 0: v = y + 1; break; case 1: v = y * 3; break; case 2: v = ~y; break; case 3: v = y >> 5; break; case 4: v = y ^ x; break; case 5: v = x - y; break; case 6: v = y << 3; break; case 7: v = __popc(y); break; default: v = 77; } out[i] = v; }
static __device__ __noinline__ unsigned mixed(unsigned v, unsigned w) { for (int k = 0; k < (int)(w & 7); k++) v = v * 1664525u + 1013904223u; return v ^ w; }
static __device__ __noinline__ unsigned twice(unsigned v, unsigned w) { return mixed(v, w) + mixed(w, v); }
K(calls) { IN; out[i] = x & 1 ? twice(x, y) : mixed(y, x); }
K(locals) { IN; unsigned t[16]; for (int k = 0; k < 16; k++) t[k] = x * (unsigned)k + y; for (int k = 0; k < 16; k++) { unsigned j = t[k] % 16; unsigned s = t[k]; t[k] = t[j]; t[j] = s; } unsigned v = 0; for (int k = 0; k < 16; k++) v = v * 31 + t[(k + (int)(y & 15)) & 15]; out[i] = v; }
__constant__ unsigned table[16] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3};
__device__ unsigned counter = 5;
K(constants) { IN; out[i] = table[x & 15] * table[y & 15] + counter; }
struct three { unsigned m, s; unsigned long long c; };
extern "C" __global__ void byvalue(unsigned *out, const unsigned *a, three t, int n) { int i = I; if (i < n) out[i] = a[i] * t.m + (unsigned)(t.c >> t.s); }
K(halves) { IN; __half2 h = __floats2half2_rn((float)(x & 255) / 16, (float)(y & 255) / 8), g = __float2half2_rn(1.5f); __half2 r = __hfma2(h, g, h); r = __hadd2(r, __hmul2(h, h)); r = __hmax2(r, __hneg2(g)); out[i] = *(unsigned *)&r; }
K(brains) { IN; __nv_bfloat162 h = __floats2bfloat162_rn((float)(x & 255) / 16, (float)(y & 255) / 8), g = __float2bfloat162_rn(1.5f); __nv_bfloat162 r = __hfma2(h, g, h); out[i] = *(unsigned *)&r ^ (unsigned)__bfloat16_as_ushort(__float2bfloat16_rn(__uint_as_float((x & 0x3fffffff)))); }
K(dots) { IN; out[i] = (unsigned)__dp4a((int)x, (int)y, 100) ^ __dp4a(x, y, 7u) ^ (unsigned)__dp2a_lo((int)x, (int)y, 5); }
K(compares) { IN; float f = __uint_as_float(x), g = __uint_as_float(y); out[i] = (f < g) | (f <= g) << 1 | (f == g) << 2 | (f != g) << 3 | !(f < g) << 4 | ((int)x < (int)y) << 5 | (x < y) << 6 | (isnan(f) != 0) << 7 | (fminf(f, g) == f) << 8 | ((unsigned)(isinf(g) != 0) << 9); }
K(narrow) { IN; const signed char *p = (const signed char *)a; const unsigned short *q = (const unsigned short *)b; out[i] = (unsigned)(int)p[4 * i + 1] + q[2 * i + 1]; ((unsigned char *)out)[4 * i + 3] ^= (unsigned char)x; }
K(vectors) { int i = I; if (i < n / 4) { uint4 v = ((const uint4 *)a)[i]; uint2 w = ((const uint2 *)b)[i]; ((uint4 *)out)[i] = make_uint4(v.w, v.z ^ w.x, v.y, v.x + w.y); } }
