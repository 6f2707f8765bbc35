// SPDX-License-Identifier: Apache-2.0
// What goes on beside the threads of sm_90: mbarriers, bulk copies, tensor maps. 256 threads a block.
struct alignas(64) Map {
    char bytes[128];
};
#define K(name)                                                                                    \
    extern "C" __global__ void name(unsigned *out, const unsigned *a, const unsigned *b, int n,    \
                                    const __grid_constant__ Map m, const __grid_constant__ Map r)
#define T (int)threadIdx.x
#define I (int)(blockIdx.x * blockDim.x + threadIdx.x)
typedef unsigned long long u64;

__device__ static unsigned at(const void *p) { return (unsigned)__cvta_generic_to_shared(p); }
__device__ static void init(u64 *bar, unsigned count) { asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(at(bar)), "r"(count) : "memory"); }
__device__ static void arrive(u64 *bar) { asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(at(bar)) : "memory"); }
__device__ static void expect(u64 *bar, unsigned bytes) { asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(at(bar)), "r"(bytes) : "memory"); }
__device__ static void wait(u64 *bar, unsigned parity) { asm volatile("{\n.reg .pred p;\nL: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n@!p bra L;\n}" ::"r"(at(bar)), "r"(parity) : "memory"); }
__device__ static void inits_seen() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
__device__ static void cluster_sync() { asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory"); }
__device__ static void proxy_fence() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
__device__ static void load(void *to, const void *from, unsigned bytes, u64 *bar) { asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(at(to)), "l"(from), "r"(bytes), "r"(at(bar)) : "memory"); }
__device__ static void commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
__device__ static void wait_stores() { asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory"); }
__device__ static unsigned rank() { unsigned v; asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(v)); return v; }
__device__ static unsigned remote(const void *p, unsigned block) { unsigned v; asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(v) : "r"(at(p)), "r"(block)); return v; }

// Half of the block hands words to the other half, twice through one buffer.
K(mb_handoff) { __shared__ unsigned s[128]; __shared__ u64 full, empty; if (T == 0) { init(&full, 128); init(&empty, 128); inits_seen(); } __syncthreads(); for (int k = 0; k < 4; k++) { if (T < 128) { wait(&empty, (k & 1) ^ 1); s[T] = a[I] + (unsigned)k * b[I]; arrive(&full); } else { wait(&full, k & 1); out[(int)blockIdx.x * 512 + k * 128 + T - 128] = s[255 - T]; arrive(&empty); } } }
// All arrive, in two kinds, and wait for the state that they were given.
K(mb_state) { __shared__ unsigned s[256]; __shared__ u64 bar; unsigned v = a[I]; if (T == 0) init(&bar, 256 + 64); __syncthreads(); for (int k = 0; k < 3; k++) { u64 state; unsigned done = 0; s[T] = v; if (T % 32 < 8) asm volatile("mbarrier.arrive.shared::cta.b64 %0, [%1], 2;" : "=l"(state) : "r"(at(&bar)) : "memory"); else asm volatile("mbarrier.arrive.release.cta.shared::cta.b64 %0, [%1];" : "=l"(state) : "r"(at(&bar)) : "memory"); while (!done) asm volatile("{\n.reg .pred p;\nmbarrier.test_wait.acquire.cta.shared::cta.b64 p, [%1], %2;\nselp.b32 %0, 1, 0, p;\n}" : "=r"(done) : "r"(at(&bar)), "l"(state) : "memory"); v = v * 3 + s[(T + 37) % 256]; __syncthreads(); } out[I] = v; }
// Bytes counted by hand: one warp expects, another completes.
K(mb_bytes) { __shared__ unsigned s; __shared__ u64 bar; if (T == 0) init(&bar, 1); __syncthreads(); if (T == 0) { asm volatile("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], 48;" ::"r"(at(&bar)) : "memory"); s = a[blockIdx.x]; arrive(&bar); } if (T == 64) for (int k = 0; k < 3; k++) asm volatile("mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [%0], 16;" ::"r"(at(&bar)) : "memory"); wait(&bar, 0); out[I] = s + b[I]; }
// Warps leave the barrier one after the other; the last one reads what each left behind.
K(mb_drop) { __shared__ unsigned s[8]; __shared__ u64 bar; unsigned v = 2; if (T == 0) init(&bar, 8); __syncthreads(); if (T == 224) { v = 0; for (int k = 0; k < 7; k++) { arrive(&bar); wait(&bar, k & 1); v = v * 3 + s[k]; } } else if (T % 32 == 0) { int w = T / 32; for (int k = 0; k < w; k++) { arrive(&bar); wait(&bar, k & 1); } s[w] = a[w]; asm volatile("mbarrier.arrive_drop.shared::cta.b64 _, [%0];" ::"r"(at(&bar)) : "memory"); v = 1; } out[I] = v; }
// Two blocks write each other's memory and arrive at each other's barrier.
extern "C" __global__ void __cluster_dims__(2, 1, 1) mb_cluster(unsigned *out, const unsigned *a, const unsigned *b, int n, const __grid_constant__ Map m, const __grid_constant__ Map r) { __shared__ unsigned s[256]; __shared__ u64 bar; if (T == 0) { init(&bar, 256); inits_seen(); } cluster_sync(); asm volatile("st.shared::cluster.u32 [%0], %1;" ::"r"(remote(&s[255 - T], rank() ^ 1)), "r"(a[I]) : "memory"); asm volatile("mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%0];" ::"r"(remote(&bar, rank() ^ 1)) : "memory"); asm volatile("{\n.reg .pred p;\nL: mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%0], 0;\n@!p bra L;\n}" ::"r"(at(&bar)) : "memory"); out[I] = s[T] + b[I]; cluster_sync(); }
// cp.async that arrives at a barrier when it is done.
K(mb_copies) { __shared__ __align__(16) unsigned s[256]; __shared__ u64 bar; if (T == 0) init(&bar, 256); __syncthreads(); asm volatile("cp.async.ca.shared.global [%0], [%1], 4;\ncp.async.mbarrier.arrive.noinc.shared::cta.b64 [%2];" ::"r"(at(&s[T])), "l"(a + I), "r"(at(&bar)) : "memory"); wait(&bar, 0); out[I] = s[T ^ 33] * 5; }

// One thread fetches, all use: two buffers in turn.
K(bulk_load) { __shared__ __align__(128) unsigned s[2][256]; __shared__ u64 full[2]; unsigned v = 0; int pieces = n / 256; if (T == 0) { init(&full[0], 1); init(&full[1], 1); asm volatile("fence.proxy.async;" ::: "memory"); } __syncthreads();
#pragma unroll 1
    for (int k = 0; k < pieces + 1; k++) { if (T == 0 && k < pieces) { expect(&full[k & 1], 1024); load(s[k & 1], a + k * 256, 1024, &full[k & 1]); } if (k > 0) { int j = k - 1; wait(&full[j & 1], j >> 1 & 1); v = v * 3 + s[j & 1][T ^ 5]; __syncthreads(); } } out[I] = v; }
K(bulk_store) { __shared__ __align__(128) unsigned s[256]; s[255 - T] = a[I] ^ b[I]; proxy_fence(); __syncthreads(); if (T == 0) { asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], 1024;" ::"l"(out + blockIdx.x * 256), "r"(at(s)) : "memory"); commit(); wait_stores(); } }
K(bulk_reduce) { __shared__ __align__(128) unsigned s[256]; out[I] = b[I]; asm volatile("fence.proxy.async;" ::: "memory"); s[T] = a[I]; proxy_fence(); __syncthreads(); if (T == 0) { asm volatile("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32 [%0], [%1], 512;" ::"l"(out + blockIdx.x * 256), "r"(at(s)) : "memory"); asm volatile("cp.reduce.async.bulk.global.shared::cta.bulk_group.max.u32 [%0], [%1], 512;" ::"l"(out + blockIdx.x * 256 + 128), "r"(at(s + 128)) : "memory"); commit(); asm volatile("cp.async.bulk.wait_group 0;" ::: "memory"); } }
extern "C" __global__ void __cluster_dims__(2, 1, 1) bulk_across(unsigned *out, const unsigned *a, const unsigned *b, int n, const __grid_constant__ Map m, const __grid_constant__ Map r) { __shared__ __align__(128) unsigned s[256], g[256]; __shared__ u64 bar; if (T == 0) { init(&bar, 1); inits_seen(); expect(&bar, 1024); } s[T] = a[I]; proxy_fence(); cluster_sync(); if (T == 0) asm volatile("cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%0], [%1], 1024, [%2];" ::"r"(remote(g, rank() ^ 1)), "r"(at(s)), "r"(remote(&bar, rank() ^ 1)) : "memory"); wait(&bar, 0); out[I] = g[T]; cluster_sync(); }
extern "C" __global__ void __cluster_dims__(2, 1, 1) bulk_many(unsigned *out, const unsigned *a, const unsigned *b, int n, const __grid_constant__ Map m, const __grid_constant__ Map r) { __shared__ __align__(128) unsigned g[256]; __shared__ u64 bar; if (T == 0) { init(&bar, 1); inits_seen(); expect(&bar, 1024); } cluster_sync(); if (T == 0) asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1], 512, [%2], %3;" ::"r"(at(g + rank() * 128)), "l"(a + rank() * 128), "r"(at(&bar)), "h"((unsigned short)3) : "memory"); wait(&bar, 0); out[I] = g[T] + b[I]; cluster_sync(); }

// Words that are stored or added in the other block's memory and count at its barrier.
extern "C" __global__ void __cluster_dims__(2, 1, 1) words_across(unsigned *out, const unsigned *a, const unsigned *b, int n, const __grid_constant__ Map m, const __grid_constant__ Map r) { __shared__ __align__(16) unsigned s[512]; __shared__ unsigned sum; __shared__ u64 bar; if (T == 0) { sum = 5; init(&bar, 1); inits_seen(); expect(&bar, 256 * 12); } proxy_fence(); cluster_sync(); asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v2.b32 [%0], {%1, %2}, [%3];" ::"r"(remote(&s[2 * (255 - T)], rank() ^ 1)), "r"(a[I]), "r"(b[I]), "r"(remote(&bar, rank() ^ 1)) : "memory"); asm volatile("red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.add.u32 [%0], %1, [%2];" ::"r"(remote(&sum, rank() ^ 1)), "r"(a[I] & 255), "r"(remote(&bar, rank() ^ 1)) : "memory"); wait(&bar, 0); out[I] = s[2 * T] + 3 * s[2 * T + 1] + sum; cluster_sync(); }

// A box of each rank, as it lies in shared memory. Coordinates: a[0..4]; n: its bytes.
#define BOX(name, dims, list, ...)                                                                 \
    K(name)                                                                                        \
    {                                                                                              \
        __shared__ __align__(1024) unsigned s[4096];                                               \
        __shared__ u64 bar;                                                                        \
        if (T == 0) {                                                                              \
            init(&bar, 1);                                                                         \
            inits_seen();                                                                          \
            expect(&bar, (unsigned)n);                                                             \
            asm volatile("cp.async.bulk.tensor." dims ".shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, " list "], [%2];" ::"r"(at(s)), "l"(&m), "r"(at(&bar)), __VA_ARGS__ : "memory"); \
        }                                                                                          \
        __syncthreads();                                                                           \
        wait(&bar, 0);                                                                             \
        for (int i = T; i < n / 4; i += 256)                                                       \
            out[i] = s[i];                                                                         \
    }
BOX(tma_1d, "1d", "{%3}", "r"(a[0]))
BOX(tma_2d, "2d", "{%3, %4}", "r"(a[0]), "r"(a[1]))
BOX(tma_3d, "3d", "{%3, %4, %5}", "r"(a[0]), "r"(a[1]), "r"(a[2]))
BOX(tma_4d, "4d", "{%3, %4, %5, %6}", "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]))
BOX(tma_5d, "5d", "{%3, %4, %5, %6, %7}", "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(a[4]))

// A box comes in by one map and goes out by another, at the same coordinates; then it is added there.
K(tma_through) { __shared__ __align__(1024) unsigned s[4096]; __shared__ u64 bar; if (T == 0) { asm volatile("prefetch.tensormap [%0];" ::"l"(&m) : "memory"); init(&bar, 1); inits_seen(); expect(&bar, (unsigned)n); asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::"r"(at(s)), "l"(&m), "r"(at(&bar)), "r"(a[0]), "r"(a[1]) : "memory"); } __syncthreads(); wait(&bar, 0); for (int i = T; i < n / 4; i += 256) s[i] += 1; proxy_fence(); __syncthreads(); if (T == 0) { asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%2, %3}], [%1];" ::"l"(&r), "r"(at(s)), "r"(a[0]), "r"(a[1]) : "memory"); commit(); asm volatile("cp.async.bulk.wait_group 0;" ::: "memory"); asm volatile("cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile.bulk_group [%0, {%2, %3}], [%1];" ::"l"(&r), "r"(at(s)), "r"(a[0]), "r"(a[1]) : "memory"); commit(); wait_stores(); } }
// The map is made by the kernel: a copy in shared memory, with another address and box, is published.
K(tma_made) { __shared__ __align__(128) unsigned map[32]; __shared__ __align__(1024) unsigned s[1024]; __shared__ u64 bar; char *place = (char *)(out + 2048); if (T < 32) { map[T] = ((const unsigned *)&m)[T]; __syncwarp(); if (T == 0) { asm volatile("tensormap.replace.tile.global_address.shared::cta.b1024.b64 [%0], %1;" ::"r"(at(map)), "l"(b) : "memory"); asm volatile("tensormap.replace.tile.box_dim.shared::cta.b1024.b32 [%0], 1, %1;" ::"r"(at(map)), "r"(4) : "memory"); } __syncwarp(); asm volatile("tensormap.cp_fenceproxy.global.shared::cta.tensormap::generic.release.gpu.sync.aligned [%0], [%1], 128;" ::"l"(place), "r"(at(map)) : "memory"); } if (T == 0) { init(&bar, 1); inits_seen(); } __syncthreads(); if (T == 0) { asm volatile("fence.proxy.tensormap::generic.acquire.gpu [%0], 128;" ::"l"(place) : "memory"); expect(&bar, (unsigned)n); asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::"r"(at(s)), "l"(place), "r"(at(&bar)), "r"(a[0]), "r"(a[1]) : "memory"); } wait(&bar, 0); for (int i = T; i < n / 4; i += 256) out[i] = s[i]; }
