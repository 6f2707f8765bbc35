/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times the matrix product's code alone on one thread, tile by tile over a whole problem, against
 * limits measured in the same rounds: the machine's multiply-add rate and a plain read of B.
 * Usage: bench_dot [name part]; BENCH_DUMP=file keeps the last code image. Not a test: numbers go
 * to the reader.
 */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/cpu/dot_case.h"

typedef struct bench {
    const char *name;
    int64_t m, n, k; /* the problem */
    int64_t tile_m, tile_n;
    int64_t tile_k; /* 0: all of k in one product */
    tg_dtype a, b, compute;
    bool b_by_k;
    bool dynamic;     /* lengths from slots */
    int64_t static_m; /* static rows of the tile when more than tile_m */
    int copies;       /* of B, walked in turn */
} bench;

static const bench benches[] = {
    {"gemm f32 1024 tile 128x128 k all", 1024, 1024, 1024, 128, 128, 0, TG_DT_F32, TG_DT_F32,
     TG_DT_F32, false, true, 0, 1},
    {"gemm f32 1024 tile 256x256 k all", 1024, 1024, 1024, 256, 256, 0, TG_DT_F32, TG_DT_F32,
     TG_DT_F32, false, true, 0, 1},
    {"gemm f32 1024 tile 256x128 k all", 1024, 1024, 1024, 256, 128, 0, TG_DT_F32, TG_DT_F32,
     TG_DT_F32, false, true, 0, 1},
    {"gemm f32 1024 tile 512x256 k all", 1024, 1024, 1024, 512, 256, 0, TG_DT_F32, TG_DT_F32,
     TG_DT_F32, false, true, 0, 1},
    {"gemm f32 1024 tile 192x512 k all", 1024, 1024, 1024, 192, 512, 0, TG_DT_F32, TG_DT_F32,
     TG_DT_F32, false, true, 0, 1},
    {"gemm f32 1024 tile 256x512 k all", 1024, 1024, 1024, 256, 512, 0, TG_DT_F32, TG_DT_F32,
     TG_DT_F32, false, true, 0, 1},
    {"gemm f32 1024 tile 512x512 k all", 1024, 1024, 1024, 512, 512, 0, TG_DT_F32, TG_DT_F32,
     TG_DT_F32, false, true, 0, 1},
    {"gemm f32 1024 tile 64x64 k all", 1024, 1024, 1024, 64, 64, 0, TG_DT_F32, TG_DT_F32, TG_DT_F32,
     false, true, 0, 1},
    {"gemm f32 1024 tile 128x128 k 64", 1024, 1024, 1024, 128, 128, 64, TG_DT_F32, TG_DT_F32,
     TG_DT_F32, false, true, 0, 1},
    {"gemm f32 1024 NT tile 128x128 k all", 1024, 1024, 1024, 128, 128, 0, TG_DT_F32, TG_DT_F32,
     TG_DT_F32, true, true, 0, 1},
    {"gemm bf16 1024 tile 128x128 k all", 1024, 1024, 1024, 128, 128, 0, TG_DT_BF16, TG_DT_BF16,
     TG_DT_F32, false, true, 0, 1},
    {"gemm i8 1024 tile 128x128 k all", 1024, 1024, 1024, 128, 128, 0, TG_DT_I8, TG_DT_I8,
     TG_DT_I32, false, true, 0, 1},
    {"gemm f64 512 tile 128x128 k all", 512, 512, 512, 128, 128, 0, TG_DT_F64, TG_DT_F64, TG_DT_F64,
     false, true, 0, 1},
    {"qk 64x64x128", 64, 64, 128, 64, 64, 128, TG_DT_F32, TG_DT_F32, TG_DT_F32, true, false, 0, 1},
    {"pv 64x128x64", 64, 128, 64, 64, 128, 64, TG_DT_F32, TG_DT_F32, TG_DT_F32, false, false, 0, 1},
    {"qk 64x64x128 bf16", 64, 64, 128, 64, 64, 128, TG_DT_F32, TG_DT_BF16, TG_DT_F32, true, false,
     0, 1},
    {"qk 128x64x576 bf16", 128, 64, 576, 128, 64, 576, TG_DT_F32, TG_DT_BF16, TG_DT_F32, true,
     false, 0, 1},
    {"pv 128x512x64 bf16", 128, 512, 64, 128, 512, 64, TG_DT_F32, TG_DT_BF16, TG_DT_F32, false,
     false, 0, 1},
    {"qk 16x64x576", 16, 64, 576, 16, 64, 576, TG_DT_F32, TG_DT_F32, TG_DT_F32, true, false, 0, 1},
    {"qk 16x64x576 bf16", 16, 64, 576, 16, 64, 576, TG_DT_F32, TG_DT_BF16, TG_DT_F32, true, false,
     0, 1},
    {"pv 16x512x64 bf16", 16, 512, 64, 16, 512, 64, TG_DT_F32, TG_DT_BF16, TG_DT_F32, false, false,
     0, 1},
    {"small 32x32x32", 32, 32, 32, 32, 32, 32, TG_DT_F32, TG_DT_F32, TG_DT_F32, false, false, 0, 1},
    {"linear bf16 NK m 1", 1, 4096, 4096, 1, 64, 0, TG_DT_F32, TG_DT_BF16, TG_DT_F32, true, true,
     64, 6},
    {"linear bf16 NK m 4", 4, 4096, 4096, 4, 64, 0, TG_DT_F32, TG_DT_BF16, TG_DT_F32, true, true,
     64, 6},
    {"linear bf16 NK m 16", 16, 4096, 4096, 16, 64, 0, TG_DT_F32, TG_DT_BF16, TG_DT_F32, true, true,
     64, 6},
    {"linear bf16 NK m 128", 128, 4096, 4096, 128, 128, 0, TG_DT_F32, TG_DT_BF16, TG_DT_F32, true,
     true, 128, 3},
    {"linear f32 NK m 1", 1, 4096, 4096, 1, 64, 0, TG_DT_F32, TG_DT_F32, TG_DT_F32, true, true, 64,
     3},
    {"linear f32 NK m 4", 4, 4096, 4096, 4, 64, 0, TG_DT_F32, TG_DT_F32, TG_DT_F32, true, true, 64,
     3},
    {"linear f32 NK m 16", 16, 4096, 4096, 16, 64, 0, TG_DT_F32, TG_DT_F32, TG_DT_F32, true, true,
     64, 3},
    {"linear f32 NK m 128", 128, 4096, 4096, 128, 128, 0, TG_DT_F32, TG_DT_F32, TG_DT_F32, true,
     true, 128, 3},
    {"linear f32 KN m 1 n 128", 1, 4096, 4096, 1, 128, 0, TG_DT_F32, TG_DT_F32, TG_DT_F32, false,
     true, 64, 3},
    {"linear f32 KN m 1 n 1024", 1, 4096, 4096, 1, 1024, 0, TG_DT_F32, TG_DT_F32, TG_DT_F32, false,
     true, 64, 3},
    {"linear f32 KN m 4 n 512", 4, 4096, 4096, 4, 512, 0, TG_DT_F32, TG_DT_F32, TG_DT_F32, false,
     true, 64, 3},
    {"linear f32 KN m 16", 16, 4096, 4096, 16, 128, 0, TG_DT_F32, TG_DT_F32, TG_DT_F32, false, true,
     64, 3},
    {"linear i8 NK m 1", 1, 4096, 4096, 1, 64, 0, TG_DT_I8, TG_DT_I8, TG_DT_I32, true, true, 64,
     12},
    {"linear i8 NK m 16", 16, 4096, 4096, 16, 64, 0, TG_DT_I8, TG_DT_I8, TG_DT_I32, true, true, 64,
     12},
};

static double clock_s(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Time of this thread alone: others may run on the machine. */
static double now(void) { return clock_s(CLOCK_THREAD_CPUTIME_ID); }

/* ---- limits
 * ---------------------------------------------------------------------------------------- */

typedef float v8 __attribute__((vector_size(32)));

#if defined(__x86_64__)
__attribute__((target("avx2,fma"), optimize("fp-contract=fast"), noinline))
#endif
static double
fma_rate(void) {
    v8 s[12] = {0};
    v8 x = {1, 1, 1, 1, 1, 1, 1, 1}, y = x;
    enum { TURNS = 100000 };
    double t = now();
    for (int i = 0; i < TURNS; i++) {
#pragma GCC unroll 12
        for (int j = 0; j < 12; j++) {
            s[j] = s[j] * x + y;
            __asm__ volatile("" : "+x"(s[j]));
        }
    }
    t = now() - t;
    return 2.0 * 8 * 12 * TURNS / t;
}

#if defined(__x86_64__)
__attribute__((target("avx2"), noinline))
#endif
static double
read_rate(const char *p, size_t bytes) {
    typedef long long v4 __attribute__((vector_size(32)));
    v4 s[8] = {0};
    size_t line = bytes / 8 / 32;
    double t = now();
    for (size_t i = 0; i < line; i++) {
#pragma GCC unroll 8
        for (size_t j = 0; j < 8; j++) {
            s[j] += *(const v4 *)(p + (j * line + i) * 32);
        }
    }
    t = now() - t;
    for (int j = 0; j < 8; j++) {
        __asm__ volatile("" : "+x"(s[j]));
    }
    return (double)bytes / t;
}

/* ---- a peer
 * ----------------------------------------------------------------------------------------- */

typedef void (*sgemm_fn)(int order, int ta, int tb, int m, int n, int k, float alpha,
                         const float *a, int lda, const float *b, int ldb, float beta, float *c,
                         int ldc);

/* OpenBLAS on one thread when installed, else NULL. */
static sgemm_fn peer_sgemm(void) {
    void *lib = dlopen("libopenblas.so.0", RTLD_NOW);
    if (!lib) {
        return NULL;
    }
    void (*threads)(int);
    *(void **)&threads = dlsym(lib, "openblas_set_num_threads");
    if (threads) {
        threads(1);
    }
    sgemm_fn fn;
    *(void **)&fn = dlsym(lib, "cblas_sgemm");
    return fn;
}

/* ---- one problem
 * ------------------------------------------------------------------------------------ */

static void *filled(size_t bytes, tg_dtype t) {
    unsigned char *p = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    size_t eb = (size_t)tg_dtype_bits(t) / 8;
    for (size_t i = 0; p && i < bytes / eb; i++) {
        uint64_t bits =
            tg_dtype_is_float(t)
                ? tg_float_encode(t, (double)((int)(i * 7 % 17) - 8) / 8, TG_ROUND_RNE, 0)
                : i * 7 % 17;
        memcpy(p + i * eb, &bits, eb);
    }
    return p;
}

typedef struct run_state {
    const bench *q;
    dot_case c;
    dot_layout l;
    dot_code code;
    char *a, *b, *out, *acc, *scratch;
    size_t b_bytes;
    double *best; /* of every call of the code */
} run_state;

/* Keeps the best time of every call: their sum is the problem's time on a machine that others
 * share. */
static void run_once(run_state *r, int copy) {
    const bench *q = r->q;
    int64_t eb = tg_dtype_bits(q->compute) / 8, k_step = q->tile_k ? q->tile_k : q->k;
    struct tg_cpu_report report = {0};
    size_t call = 0;
    for (int64_t j = 0; j < q->n; j += q->tile_n) {
        for (int64_t i = 0; i < q->m; i += q->tile_m) {
            double t = now();
            for (int64_t k = 0; k < q->k; k += k_step) {
                char *b = r->b + (size_t)copy * r->b_bytes + j * r->l.b_row + k * r->l.b_k;
                int64_t slots[7] = {(int64_t)(intptr_t)(r->a + i * r->l.a_row + k * r->l.a_k),
                                    (int64_t)(intptr_t)b,
                                    (int64_t)(intptr_t)r->acc,
                                    tg_min_i64(q->tile_m, q->m - i),
                                    tg_min_i64(q->tile_n, q->n - j),
                                    k_step,
                                    0};
                r->code.run(slots, 0, 1, r->scratch, NULL, &report);
            }
            for (int64_t row = 0; q->m > q->tile_m && row < tg_min_i64(q->tile_m, q->m - i);
                 row++) {
                memcpy(r->out + ((i + row) * q->n + j) * eb, r->acc + row * r->l.acc_pitch * eb,
                       (size_t)(q->tile_n * eb));
            }
            t = now() - t;
            r->best[call] = t < r->best[call] ? t : r->best[call];
            call++;
        }
    }
}

static void measure(const bench *q, tg_arena *arena) {
    tg_sink sink;
    tg_sink_init(&sink, arena);
    run_state r = {.q = q};
    const tg_machine *mc = tg_machine_host();
    r.c = (dot_case){.m = q->static_m ? q->static_m : q->tile_m,
                     .n = q->tile_n,
                     .k = q->tile_k,
                     .m_len = q->tile_m,
                     .n_len = q->tile_n,
                     .k_len = q->tile_k ? q->tile_k : q->k,
                     .fixed = !q->dynamic,
                     .a_type = q->a,
                     .b_type = q->b,
                     .compute = q->compute,
                     .a_by_k = true,
                     .b_by_k = q->b_by_k,
                     .a_base = true,
                     .b_base = true,
                     .a_ld = q->k,
                     .b_ld = q->b_by_k ? q->k : q->n,
                     .acc_zero = q->tile_k == 0};
    double t = clock_s(CLOCK_PROCESS_CPUTIME_ID); /* the compiler has its own thread */
    if (!dot_case_compile(&r.c, mc, arena, &sink, &r.code)) {
        printf("%s: %s\n", q->name, sink.first ? sink.first->text : "?");
        return;
    }
    double compile_s = clock_s(CLOCK_PROCESS_CPUTIME_ID) - t;
    if (getenv("BENCH_DUMP")) {
        FILE *f = fopen(getenv("BENCH_DUMP"), "wb"); /* for a disassembler */
        if (f) {
            fwrite(r.code.image, 1, r.code.image_bytes, f);
            fclose(f);
        }
    }
    r.l = dot_case_layout(&r.c, mc);
    size_t ab = (size_t)tg_dtype_bits(q->a) / 8, bb = (size_t)tg_dtype_bits(q->b) / 8;
    size_t eb = (size_t)tg_dtype_bits(q->compute) / 8;
    r.b_bytes = (size_t)(q->n * q->k) * bb;
    r.a = filled((size_t)(q->m * q->k) * ab, q->a);
    r.b = filled(r.b_bytes * (size_t)q->copies, q->b);
    r.out = filled((size_t)(q->m * q->n) * eb, q->compute);
    r.acc = filled((size_t)(r.c.m * r.l.acc_pitch) * eb, q->compute);
    r.scratch = aligned_alloc(4096, (size_t)r.code.scratch_bytes + 4096);
    size_t calls = (size_t)(tg_cdiv_i64(q->m, q->tile_m) * tg_cdiv_i64(q->n, q->tile_n));
    r.best = calloc(calls, sizeof *r.best);
    for (size_t i = 0; i < calls; i++) {
        r.best[i] = 1e9;
    }
    sgemm_fn sgemm = q->a == TG_DT_F32 && q->b == TG_DT_F32 ? peer_sgemm() : NULL;
    double peer = 1e9;
    double best = 0, fma = 0, bytes_rate = 0, until = now() + 1.0;
    double flop = 2.0 * (double)q->m * (double)q->n * (double)q->k;
    int inner = flop < 1e8 && q->copies == 1 ? (int)(1e8 / flop) : 1;
    for (int turn = 0; now() < until || turn < 3; turn++) {
        double f = fma_rate();
        fma = f > fma ? f : fma;
        if (q->copies > 1) {
            double rate = read_rate(r.b + (size_t)((turn + 1) % q->copies) * r.b_bytes, r.b_bytes);
            bytes_rate = rate > bytes_rate ? rate : bytes_rate;
        }
        for (int i = 0; sgemm && i < inner; i++) {
            double s = now();
            sgemm(101, 111, q->b_by_k ? 112 : 111, (int)q->m, (int)q->n, (int)q->k, 1.0F,
                  (const float *)r.a, (int)q->k,
                  (const float *)(r.b + (size_t)(turn % q->copies) * r.b_bytes),
                  (int)(q->b_by_k ? q->k : q->n), 0.0F, (float *)r.out, (int)q->n);
            s = now() - s;
            peer = s < peer ? s : peer;
        }
        for (int i = 0; i < inner; i++) {
            run_once(&r, turn % q->copies);
        }
    }
    for (size_t i = 0; i < calls; i++) {
        best += r.best[i];
    }
    printf("%-38s %9.1f us  %6.1f GF/s %5.1f %%F", q->name, best * 1e6, flop / best / 1e9,
           100 * flop / best / fma);
    if (q->copies > 1) {
        printf("  %5.1f GB/s %5.1f %%D", (double)r.b_bytes / best / 1e9,
               100 * (double)r.b_bytes / best / bytes_rate);
    }
    if (sgemm) {
        printf("  %5.2f of OpenBLAS", peer / best);
    }
    printf("  compile %.0f ms, code %zu B\n", compile_s * 1e3, r.code.image_bytes);
    fflush(stdout);
    dot_code_unmap(&r.code);
    free(r.a);
    free(r.b);
    free(r.out);
    free(r.acc);
    free(r.scratch);
    free(r.best);
}

static void measure_all(const char *part, tg_env *env) {
    for (size_t i = 0; i < TG_COUNT_OF(benches); i++) {
        if (part && !strstr(benches[i].name, part)) {
            continue;
        }
        tg_arena arena;
        tg_arena_init(&arena, env);
        measure(&benches[i], &arena);
        tg_arena_fini(&arena);
    }
}

int main(int argc, char **argv) {
    tg_env env;
    jmp_buf oom;
    tg_env_init(&env, tg_allocator_default(), 0);
    if (TG_ENV_GUARD(&env, oom)) {
        return 1;
    }
    measure_all(argc > 1 ? argv[1] : NULL, &env);
    return 0;
}
