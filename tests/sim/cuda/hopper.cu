// SPDX-License-Identifier: Apache-2.0
// What sm_90 has besides: clusters, stmatrix, elect, conversions of 8-bit floats. 256 threads a block.
#define K(name)                                                                                    \
    extern "C" __global__ void name(unsigned *out, const unsigned *a, const unsigned *b, int n)
#define T (int)threadIdx.x
#define I (int)(blockIdx.x * blockDim.x + threadIdx.x)

K(eighths) { float x = (float)((int)(a[I] & 255) - 128) / 4, y = (float)((int)(b[I] & 255) - 128) / 4; unsigned short p, q; asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(p) : "f"(x), "f"(y)); asm("cvt.rn.satfinite.e5m2x2.f32 %0, %1, %2;" : "=h"(q) : "f"(x), "f"(y)); out[I] = p | (unsigned)q << 16; }
K(widened) { unsigned short p = (unsigned short)a[I]; unsigned v; asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(v) : "h"(p)); out[I] = v; }
K(elected) { unsigned v; asm volatile("{ .reg .pred p; elect.sync _|p, 0xffffffff; selp.b32 %0, %1, 7, p; }" : "=r"(v) : "r"(a[I])); out[I] = v; }
K(stored) { __shared__ __align__(16) unsigned s[128]; if (T < 32) { unsigned r[4]; for (int m = 0; m < 4; m++) r[m] = a[blockIdx.x * 256 + m * 32 + T]; asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"((unsigned)__cvta_generic_to_shared(s) + T * 16), "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]) : "memory"); } __syncthreads(); out[I] = T < 128 ? s[T] : 0; }
extern "C" __global__ void __cluster_dims__(2, 1, 1) clustered(unsigned *out, const unsigned *a, const unsigned *b, int n) { __shared__ unsigned s[256]; unsigned rank, blocks, at, v; asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank)); asm("mov.u32 %0, %%cluster_nctarank;" : "=r"(blocks)); s[T] = a[I]; asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory"); asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(at) : "r"((unsigned)__cvta_generic_to_shared(&s[255 - T])), "r"(rank ^ 1)); asm volatile("ld.shared::cluster.u32 %0, [%1];" : "=r"(v) : "r"(at) : "memory"); out[I] = v + rank * 1000 + blocks; asm volatile("barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory"); }
