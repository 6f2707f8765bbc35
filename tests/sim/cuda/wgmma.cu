// SPDX-License-Identifier: Apache-2.0
// Products of warpgroups. 128 threads; a: the image of shared memory (n bytes), then registers of A;
// b: the descriptors of A and B, whether D is added to, and from b[16] on D. out: registers of D.
struct alignas(64) Map {
    char bytes[128];
};
typedef unsigned long long u64;
#define T (int)threadIdx.x
#define ARGS unsigned *out, const unsigned *a, const unsigned *b, int n, const __grid_constant__ Map m, const __grid_constant__ Map r
__device__ static unsigned at(const void *p) { return (unsigned)__cvta_generic_to_shared(p); }
#define LIST4 "{%0, %1, %2, %3}"
#define LIST8 "{%0, %1, %2, %3, %4, %5, %6, %7}"
#define LIST32 "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}"
#define D4(c, d) c(d[0]), c(d[1]), c(d[2]), c(d[3])
#define D8(c, d) D4(c, d), c(d[4]), c(d[5]), c(d[6]), c(d[7])
#define D16(c, d) D8(c, d), c(d[8]), c(d[9]), c(d[10]), c(d[11]), c(d[12]), c(d[13]), c(d[14]), c(d[15])
#define D32(c, d) D16(c, d), c(d[16]), c(d[17]), c(d[18]), c(d[19]), c(d[20]), c(d[21]), c(d[22]), c(d[23]), c(d[24]), c(d[25]), c(d[26]), c(d[27]), c(d[28]), c(d[29]), c(d[30]), c(d[31])

#define FENCE asm volatile("wgmma.fence.sync.aligned;" ::: "memory")
#define COMMIT asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory")
#define WAIT(k) asm volatile("wgmma.wait_group.sync.aligned " #k ";" ::: "memory")
#define BEGIN(regs)                                                                                \
    extern __shared__ __align__(1024) unsigned s[];                                                \
    unsigned d[regs];                                                                              \
    for (int i = T; i < n / 4; i += 128)                                                           \
        s[i] = a[i];                                                                               \
    for (int q = 0; q < regs; q++)                                                                 \
        d[q] = b[16 + q * 128 + T];                                                                \
    u64 da = ((u64)b[1] << 32 | b[0]) + (at(s) >> 4), db = ((u64)b[3] << 32 | b[2]) + (at(s) >> 4); \
    unsigned adds = b[4];                                                                          \
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");                                   \
    __syncthreads();                                                                               \
    FENCE;
#define END(regs)                                                                                  \
    COMMIT;                                                                                        \
    WAIT(0);                                                                                       \
    for (int q = 0; q < regs; q++)                                                                 \
        out[q * 128 + T] = d[q];
// A in shared memory, or in four registers.
#define SS(name, op, list, regs, D, x, y, z, tail)                                                 \
    extern "C" __global__ void name(ARGS)                                                          \
    {                                                                                              \
        BEGIN(regs)                                                                                \
        asm volatile("{\n.reg .pred p;\nsetp.ne.u32 p, " z ", 0;\nwgmma.mma_async.sync.aligned." op " " list ", " x ", " y ", p" tail ";\n}" : D("+r", d) : "l"(da), "l"(db), "r"(adds)); \
        END(regs)                                                                                  \
    }
#define RS(name, op, tail)                                                                         \
    extern "C" __global__ void name(ARGS)                                                          \
    {                                                                                              \
        BEGIN(8)                                                                                   \
        const unsigned *g = a + n / 4;                                                             \
        unsigned g0 = g[T], g1 = g[128 + T], g2 = g[256 + T], g3 = g[384 + T];                     \
        FENCE;                                                                                     \
        asm volatile("{\n.reg .pred p;\nsetp.ne.u32 p, %13, 0;\nwgmma.mma_async.sync.aligned." op " " LIST8 ", {%8, %9, %10, %11}, %12, p" tail ";\n}" : D8("+r", d) : "r"(g0), "r"(g1), "r"(g2), "r"(g3), "l"(db), "r"(adds)); \
        END(8)                                                                                     \
    }
#define SS8(name, op, tail) SS(name, op, LIST8, 8, D8, "%8", "%9", "%10", tail)
#define SS32(name, op, tail) SS(name, op, LIST32, 32, D32, "%32", "%33", "%34", tail)
SS8(half_kk, "m64n16k16.f32.f16.f16", ", 1, 1, 0, 0")
SS32(half_mn, "m64n64k16.f32.f16.f16", ", 1, 1, 1, 1")
SS32(half_mk, "m64n64k16.f32.bf16.bf16", ", 1, 1, 1, 0")
SS32(half_kn, "m64n64k16.f32.bf16.bf16", ", -1, 1, 0, 1")
SS(half_half, "m64n16k16.f16.f16.f16", LIST4, 4, D4, "%4", "%5", "%6", ", 1, -1, 0, 0")
SS8(single_kk, "m64n16k8.f32.tf32.tf32", ", 1, 1")
SS8(eight_kk, "m64n16k32.f32.e4m3.e5m2", ", 1, 1")
SS(eight_half, "m64n16k32.f16.e5m2.e4m3", LIST4, 4, D4, "%4", "%5", "%6", ", -1, -1")
SS8(bytes_kk, "m64n16k32.s32.s8.u8", "")
SS8(bytes_sat, "m64n16k32.s32.satfinite.u8.u8", "")
RS(half_rk, "m64n16k16.f32.f16.f16", ", 1, 1, 0")
RS(half_rn, "m64n16k16.f32.bf16.bf16", ", 1, 1, 1")
RS(single_rk, "m64n16k8.f32.tf32.tf32", ", 1, 1")
RS(eight_rk, "m64n16k32.f32.e4m3.e4m3", ", 1, 1")
RS(bytes_rk, "m64n16k32.s32.u8.s8", "")

// Two groups under way: the first is waited for while the second goes on.
extern "C" __global__ void two_groups(ARGS) {
    BEGIN(8)
    unsigned e[8];
    for (int q = 0; q < 8; q++)
        e[q] = d[q];
    FENCE;
#define ONE(d) asm volatile("wgmma.mma_async.sync.aligned.m64n16k16.f32.f16.f16 " LIST8 ", %8, %9, 1, 1, 1, 0, 0;" : D8("+r", d) : "l"(da), "l"(db))
    ONE(d);
    ONE(d);
    COMMIT;
    ONE(e);
    COMMIT;
    asm volatile("wgmma.wait_group.sync.aligned 1;" : D8("+r", d)::"memory");
    for (int q = 0; q < 8; q++)
        out[q * 128 + T] = d[q] + adds;
    asm volatile("wgmma.wait_group.sync.aligned 0;" : D8("+r", e)::"memory");
    for (int q = 0; q < 8; q++)
        out[(q + 8) * 128 + T] = e[q];
}

// A whole product: out[128 x 64] = A[128 x n] B[64 x n]^T in halves. A warpgroup fetches boxes of
// 64 x 128 and 64 x 64 by maps m and r into a ring of two, two warpgroups multiply. 384 threads.
enum { STAGE = (128 + 64) * 128 };
__device__ static void wait_for(u64 *bar, int parity) { asm volatile("{\n.reg .pred p;\nL: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n@p bra D;\nbra L;\nD:\n}" ::"r"(at(bar)), "r"(parity) : "memory"); }
__device__ static void fetch(unsigned to, const Map *map, int x, int y, u64 *bar) { asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::"r"(to), "l"(map), "r"(at(bar)), "r"(x), "r"(y) : "memory"); }
extern "C" __global__ void __launch_bounds__(384, 1) product(ARGS) {
    extern __shared__ __align__(1024) unsigned s[];
    __shared__ u64 full[2], empty[2];
    int steps = n / 64, group = __shfl_sync(~0u, T / 128, 0);
    if (T == 0) {
        for (int i = 0; i < 2; i++) {
            asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(at(&full[i])) : "memory");
            asm volatile("mbarrier.init.shared::cta.b64 [%0], 2;" ::"r"(at(&empty[i])) : "memory");
        }
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __syncthreads();
    if (group == 0) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
        if (T == 0)
            for (int k = 0; k < steps; k++) {
                unsigned to = at(s) + k % 2 * STAGE;
                wait_for(&empty[k % 2], (k / 2 & 1) ^ 1);
                asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(at(&full[k % 2])), "r"(STAGE) : "memory");
                fetch(to, &m, k * 64, 0, &full[k % 2]);
                fetch(to + 128 * 128, &r, k * 64, 0, &full[k % 2]);
            }
        return;
    }
    asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
    unsigned d[32];
    for (int q = 0; q < 32; q++)
        d[q] = 0;
    for (int k = 0; k < steps; k++) {
        u64 base = 1ull << 62 | (u64)(1024 >> 4) << 32, from = at(s) + k % 2 * STAGE;
        u64 da = base + ((from + (group - 1) * 64 * 128) >> 4), db = base + ((from + 128 * 128) >> 4);
        wait_for(&full[k % 2], k / 2 & 1);
        FENCE;
        for (int j = 0; j < 4; j++)
            asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 " LIST32 ", %32, %33, 1, 1, 1, 0, 0;" : D32("+r", d) : "l"(da + j * 2), "l"(db + j * 2));
        COMMIT;
        WAIT(0);
        if (T % 128 == 0)
            asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(at(&empty[k % 2])) : "memory");
    }
    for (int q = 0; q < 32; q++) {
        int row = (group - 1) * 64 + T % 128 / 32 * 16 + T % 32 / 4 + q / 2 % 2 * 8, col = q / 4 * 8 + T % 4 * 2 + q % 2;
        out[row * 64 + col] = d[q];
    }
}
