/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loops whose rows tests/cuda/sass.sh knows: mma.sync through shared memory with two barriers, wgmma
 * with one group left in flight (its result means nothing), one without matrix instructions, and a
 * kernel that 32 registers do not suffice for.
 */
#include <mma.h>

using namespace nvcuda;

extern "C" __global__ void by_warps(const half *a, const half *b, float *c, int k) {
    __shared__ half sa[256], sb[512];
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum[2];
    wmma::fill_fragment(sum[0], 0.0f);
    wmma::fill_fragment(sum[1], 0.0f);
#pragma unroll 1
    for (int i = 0; i < k; i++) {
        wmma::fragment<wmma::matrix_a, 16, 16, 16, half, wmma::row_major> fa;
        wmma::fragment<wmma::matrix_b, 16, 16, 16, half, wmma::col_major> fb;
        sa[threadIdx.x] = a[i * 256 + threadIdx.x];
        sb[threadIdx.x] = b[i * 256 + threadIdx.x];
        __syncthreads();
        wmma::load_matrix_sync(fa, sa, 16);
        wmma::load_matrix_sync(fb, sb, 16);
        wmma::mma_sync(sum[0], fa, fb, sum[0]);
        wmma::load_matrix_sync(fb, sb + 256, 16);
        wmma::mma_sync(sum[1], fa, fb, sum[1]);
        __syncthreads();
    }
    wmma::store_matrix_sync(c, sum[0], 16, wmma::mem_row_major);
    wmma::store_matrix_sync(c + 256, sum[1], 16, wmma::mem_row_major);
}

extern "C" __global__ void plain(float *c, int k) {
#pragma unroll 1
    for (int i = 0; i < k; i++) {
        c[i] = c[i] * 2.0f;
    }
}

extern "C" __global__ void __launch_bounds__(1024, 2) many(float *c, int k) {
    float x[64];
    for (int i = 0; i < 64; i++) {
        x[i] = c[i * 1024 + threadIdx.x];
    }
#pragma unroll 1
    for (int j = 0; j < k; j++) {
        for (int i = 0; i < 64; i++) {
            x[i] = x[i] * x[(i + 7) % 64] + c[j];
        }
    }
    for (int i = 0; i < 64; i++) {
        c[i * 1024 + threadIdx.x] = x[i];
    }
}

#if __CUDA_ARCH__ == 900
#define FOUR(i) "+f"(d[i][0]), "+f"(d[i][1]), "+f"(d[i][2]), "+f"(d[i][3])
extern "C" __global__ void __launch_bounds__(128) by_group(float *c, int k) {
    unsigned long long da = 0x4000004000010000ull + threadIdx.x / 1024, db = da;
    float d[8][4] = {};
#pragma unroll 1
    for (int i = 0; i < k; i++) {
        asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
        asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {%0,%1,%2,%3,%4,%5,%6,"
                     "%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,"
                     "%27,%28,%29,%30,%31}, %32, %33, 1, 1, 1, 0, 0;"
                     : FOUR(0), FOUR(1), FOUR(2), FOUR(3), FOUR(4), FOUR(5), FOUR(6), FOUR(7)
                     : "l"(da + i), "l"(db + i));
        asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
        asm volatile("wgmma.wait_group.sync.aligned 1;" ::: "memory");
    }
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
    for (int i = 0; i < 32; i++) {
        c[i * 128 + threadIdx.x] = d[i / 4][i % 4];
    }
}
#endif
