// SPDX-License-Identifier: Apache-2.0
// Threads of a block together: shared memory, barriers, warps, atomics. 256 threads, n elements.
#include <cuda_fp16.h>
#define K(name)                                                                                    \
    extern "C" __global__ void name(unsigned *out, const unsigned *a, const unsigned *b, int n)
#define T (int)threadIdx.x
#define I (int)(blockIdx.x * blockDim.x + threadIdx.x)

K(reverse) { __shared__ unsigned s[256]; s[T] = a[I]; __syncthreads(); out[I] = s[255 - T] + b[I]; }
K(reduce) { __shared__ unsigned s[256]; s[T] = a[I]; __syncthreads(); for (int h = 128; h; h >>= 1) { if (T < h) s[T] += s[T + h]; __syncthreads(); } out[I] = s[0]; }
K(transpose) { __shared__ unsigned s[16][17]; s[T / 16][T % 16] = a[I]; __syncthreads(); out[I] = s[T % 16][T / 16]; }
K(scan) { __shared__ unsigned s[2][256]; int p = 0; s[0][T] = a[I]; __syncthreads(); for (int h = 1; h < 256; h *= 2) { s[1 - p][T] = s[p][T] + (T >= h ? s[p][T - h] : 0); p = 1 - p; __syncthreads(); } out[I] = s[p][T]; }
K(histogram) { __shared__ unsigned s[64]; if (T < 64) s[T] = 0; __syncthreads(); atomicAdd(&s[a[I] & 63], 1u + (b[I] & 3)); __syncthreads(); out[I] = s[T & 63]; }
K(dynamic) { extern __shared__ unsigned d[]; __shared__ unsigned s[3]; if (T < 3) s[T] = a[T]; d[T] = a[I]; d[T + 256] = b[I]; __syncthreads(); out[I] = d[(T * 7) & 511] + s[T % 3]; }
K(counted) { int c = __syncthreads_count(a[I] & 1), d = __syncthreads_and(a[I] != 5), e = __syncthreads_or(b[I] == 7); out[I] = (unsigned)(c + d * 1000 + e * 10000); }
K(named) { __shared__ unsigned s[256]; int h = T / 128; s[T] = a[I]; asm volatile("bar.sync %0, 128;" ::"r"(h + 1) : "memory"); unsigned v = s[h * 128 + (T + 5) % 128]; __syncthreads(); s[T] = v; __syncthreads(); out[I] = s[255 - T]; }
K(handoff) { __shared__ unsigned s[128]; if (T < 128) { s[T] = a[I] * 3; __threadfence_block(); asm volatile("bar.arrive 3, 256;" ::: "memory"); out[I] = a[I]; } else { asm volatile("bar.sync 3, 256;" ::: "memory"); out[I] = s[T - 128] + b[I]; } }
K(shuffled) { unsigned v = a[I]; for (int h = 16; h; h >>= 1) v += __shfl_down_sync(~0u, v, h); out[I] = __shfl_sync(~0u, v, 0); }
K(butterfly) { unsigned v = a[I]; for (int h = 1; h < 32; h *= 2) v = max(v, __shfl_xor_sync(~0u, v, h)); out[I] = v; }
K(prefix) { unsigned v = a[I]; for (int h = 1; h < 32; h *= 2) { unsigned u = __shfl_up_sync(~0u, v, h); if (T % 32 >= h) v += u; } out[I] = v + __shfl_sync(~0u, v, T % 8, 8); }
K(votes) { unsigned v = __ballot_sync(~0u, a[I] & 1); out[I] = v ^ (unsigned)__any_sync(~0u, a[I] == 3) ^ (unsigned)__all_sync(~0u, a[I] != 3) << 1; }
K(matches) { out[I] = __match_any_sync(~0u, a[I] & 3); }
K(reduxes) { out[I] = __reduce_add_sync(~0u, a[I]) ^ __reduce_max_sync(~0u, b[I]) ^ __reduce_xor_sync(~0u, a[I]) ^ (unsigned)__reduce_min_sync(~0u, (int)b[I]); }
K(diverged) { unsigned v = a[I]; if (T & 1) { for (unsigned k = 0; k < (v & 15); k++) v = v * 5 + 1; } else { v ^= 0x55; } __syncwarp(); v += __shfl_xor_sync(~0u, v, 1); if (T % 32 < 16) { v += __shfl_xor_sync(0xffff, v, 3); } out[I] = v; }
K(tickets) { __shared__ unsigned s[2]; if (T < 2) s[T] = 0; __syncthreads(); unsigned t = atomicAdd(&s[0], 1u); atomicMax(&s[1], a[I]); __syncthreads(); out[I] = s[1] + (t < 256); }
K(sums) { if (I < n) { atomicAdd(&out[0], a[I]); atomicMin(&out[1], a[I]); atomicMax((int *)&out[2], (int)a[I]); atomicAnd(&out[3], a[I] | 0xff); atomicOr(&out[4], a[I] & 0xf0f0); atomicXor(&out[5], a[I]); atomicInc(&out[6], 1000); atomicDec(&out[7], 5000); atomicAdd((float *)&out[8], (float)(a[I] & 15)); atomicAdd((double *)&out[10], (double)(b[I] & 15)); atomicAdd((unsigned long long *)&out[12], (unsigned long long)a[I] << 8); atomicAdd((__half2 *)&out[14], __floats2half2_rn(1.0f, (float)(T == 0))); } }
K(looped) { float v = (float)(a[I] & 0xffff); unsigned *at = &out[0], old = *(volatile unsigned *)at, seen; do { seen = old; if (__uint_as_float(seen) >= v) break; old = atomicCAS(at, seen, __float_as_uint(v)); } while (old != seen); }
K(chained) { /* blocks in their order: each adds behind the last */ __shared__ unsigned s; if (T == 0) { while (atomicAdd(&out[n], 0u) != blockIdx.x) { } s = out[n + 1]; out[n + 1] = s + a[I]; __threadfence(); atomicAdd(&out[n], 1u); } __syncthreads(); out[I] = s; }
