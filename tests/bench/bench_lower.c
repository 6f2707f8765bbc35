/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times of the stock forms lowered by backends/lower/cpu, one thread. For a reader; not a test.
 *
 *   bench_lower [filter] [--ir|--asm]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/cpu/kernels.h"
#include "tests/llvm/harness.h"

typedef struct job {
    const char *name;
    tg_func *(*make)(tg_module *m);
    int64_t syms[4];
    int n_args;
    int64_t extent[4][3]; /* of each argument, 0 ends */
    int elem_bytes[4];
    double bytes, flops;
} job;

/* Processor time of this thread: other work on the machine disturbs it least. */
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static tg_func *make_add(tg_module *m) { return kernel_add(m, 16384); }
static tg_func *make_silu(tg_module *m) { return kernel_silu_mul(m, 4, 4096); }
static tg_func *make_rms(tg_module *m) { return kernel_rmsnorm(m, TG_DT_F32, 4, 7168); }
static tg_func *make_rms16(tg_module *m) { return kernel_rmsnorm(m, TG_DT_BF16, 4, 7168); }
static tg_func *make_softmax(tg_module *m) { return kernel_softmax(m, 4, 4096); }
static tg_func *make_gemm(tg_module *m) {
    return kernel_matmul(m, TG_DT_F32, 256, 256, 256, false);
}
static tg_func *make_gemm_small(tg_module *m) {
    return kernel_matmul(m, TG_DT_F32, 128, 128, 64, false);
}
static tg_func *make_linear(tg_module *m) {
    return kernel_matmul(m, TG_DT_F32, 128, 128, 64, true);
}
static tg_func *make_linear16(tg_module *m) {
    return kernel_matmul(m, TG_DT_BF16, 128, 128, 64, true);
}
static tg_func *make_fa(tg_module *m) { return kernel_attention(m, TG_DT_F32, 64, 64, 128, true); }
static tg_func *make_fa256(tg_module *m) {
    return kernel_attention(m, TG_DT_F32, 256, 64, 128, true);
}
static tg_func *make_fa16(tg_module *m) {
    return kernel_attention(m, TG_DT_BF16, 64, 64, 128, true);
}
static tg_func *make_transpose(tg_module *m) { return kernel_transpose(m, TG_DT_F32, 64, 64); }
static tg_func *make_rope(tg_module *m) { return kernel_rope(m, 4, 16, 128); }
static tg_func *make_gather(tg_module *m) { return kernel_gather(m, TG_DT_F32, 32, 2048); }

static const job jobs[] = {
    {"add",
     make_add,
     {1 << 24},
     3,
     {{1 << 24}, {1 << 24}, {1 << 24}},
     {4, 4, 4},
     3.0 * 4 * (1 << 24),
     0},
    {"silu_mul",
     make_silu,
     {4096, 4096},
     3,
     {{4096, 4096}, {4096, 4096}, {4096, 4096}},
     {4, 4, 4},
     3.0 * 4 * (1 << 24),
     0},
    {"rmsnorm f32",
     make_rms,
     {4096},
     4,
     {{4096, 7168}, {4096, 7168}, {7168}, {4096, 7168}},
     {4, 4, 4, 4},
     4.0 * 4 * 4096 * 7168,
     0},
    {"rmsnorm bf16",
     make_rms16,
     {4096},
     4,
     {{4096, 7168}, {4096, 7168}, {7168}, {4096, 7168}},
     {2, 2, 2, 2},
     4.0 * 2 * 4096 * 7168,
     0},
    {"softmax",
     make_softmax,
     {4096, 4096},
     2,
     {{4096, 4096}, {4096, 4096}},
     {4, 4},
     2.0 * 4 * (1 << 24),
     0},
    {"transpose",
     make_transpose,
     {4096, 4096},
     2,
     {{4096, 4096}, {4096, 4096}},
     {4, 4},
     2.0 * 4 * (1 << 24),
     0},
    {"rope",
     make_rope,
     {4096},
     4,
     {{4096, 16, 128}, {4096, 64}, {4096, 64}, {4096, 16, 128}},
     {4, 4, 4, 4},
     2.0 * 4 * 4096 * 2048,
     0},
    {"gather",
     make_gather,
     {65536, 4096},
     3,
     {{65536, 2048}, {4096}, {4096, 2048}},
     {4, 4, 4},
     2.0 * 4 * 4096 * 2048,
     0},
    {"gemm 512 small blocks",
     make_gemm_small,
     {512, 512, 512},
     3,
     {{512, 512}, {512, 512}, {512, 512}},
     {4, 4, 4},
     0,
     2.0 * 512 * 512 * 512},
    {"gemm 1024",
     make_gemm,
     {1024, 1024, 1024},
     3,
     {{1024, 1024}, {1024, 1024}, {1024, 1024}},
     {4, 4, 4},
     0,
     2.0 * (1 << 30)},
    {"linear M=1",
     make_linear,
     {1, 4096, 4096},
     3,
     {{1, 4096}, {4096, 4096}, {1, 4096}},
     {4, 4, 4},
     4.0 * (1 << 24),
     0},
    {"linear M=16",
     make_linear,
     {16, 4096, 4096},
     3,
     {{16, 4096}, {4096, 4096}, {16, 4096}},
     {4, 4, 4},
     0,
     2.0 * 16 * (1 << 24)},
    {"linear bf16 M=1",
     make_linear16,
     {1, 4096, 4096},
     3,
     {{1, 4096}, {4096, 4096}, {1, 4096}},
     {2, 2, 2},
     2.0 * (1 << 24),
     0},
    {"flash 64",
     make_fa,
     {16, 2048},
     4,
     {{16, 2048, 128}, {16, 2048, 128}, {16, 2048, 128}, {16, 2048, 128}},
     {4, 4, 4, 4},
     0,
     2.0 * 16 * 2048 * 2048 * 128},
    {"flash 256",
     make_fa256,
     {16, 2048},
     4,
     {{16, 2048, 128}, {16, 2048, 128}, {16, 2048, 128}, {16, 2048, 128}},
     {4, 4, 4, 4},
     0,
     2.0 * 16 * 2048 * 2048 * 128},
    {"flash bf16",
     make_fa16,
     {16, 2048},
     4,
     {{16, 2048, 128}, {16, 2048, 128}, {16, 2048, 128}, {16, 2048, 128}},
     {2, 2, 2, 2},
     0,
     2.0 * 16 * 2048 * 2048 * 128},
};

typedef struct work {
    tg_cpu_phase_fn fn;
    const int64_t *slots;
    int64_t lo, hi;
    void *scratch;
} work;

static double timed(const work *w) {
    double best = 1e9;
    struct tg_cpu_report r = {0};
    for (int rep = 0; rep < 12; rep++) {
        double start = now();
        w->fn(w->slots, w->lo, w->hi, w->scratch, NULL, &r);
        double d = now() - start;
        best = d < best ? d : best;
    }
    return best;
}

static void run(const job *j, const char *dump) {
    struct tg_test_func t;
    tg_test_begin(&t);
    tg_sink sink;
    tg_sink_init(&sink, &t.arena);
    double c0 = now();
    tg_func *f = j->make(t.module);
    tg_module *out = tg_module_make(&t.arena);
    if (tg_lower_cpu(f, tg_machine_host(), out, &sink) != TG_OK) {
        printf("%-22s does not lower\n", j->name);
        return;
    }
    if (dump != NULL && strcmp(dump, "--ir") == 0) {
        tg_sb sb;
        tg_sb_init(&sb, &t.arena);
        tg_module_print(&sb, out);
        fputs(sb.data, stdout);
    }
    double c1 = now();
    if (dump != NULL && strcmp(dump, "--asm") == 0) {
        fputs(tg_test_asm(out, NULL), stdout);
        return;
    }
    struct tg_test_code code;
    if (!tg_test_load(out, NULL, &code)) {
        return;
    }
    double c2 = now();
    int64_t slots[64];
    int n = 0;
    for (int a = 0; a < j->n_args; a++) {
        int rank = 0;
        int64_t count = j->elem_bytes[a], stride = j->elem_bytes[a];
        while (rank < 3 && j->extent[a][rank] > 0) {
            count *= j->extent[a][rank++];
        }
        char *p = aligned_alloc(4096, ((size_t)count + 4095) / 4096 * 4096);
        for (int64_t i = 0; i < count / 4; i++) {
            ((float *)(void *)p)[i] = j->elem_bytes[a] == 4 && j->extent[a][1] == 0 && a == 1 &&
                                              strcmp(j->name, "gather") == 0
                                          ? 0
                                          : (float)(i % 251) * 0.01f - 1;
        }
        if (strcmp(j->name, "gather") == 0 && a == 1) {
            for (int64_t i = 0; i < count / 4; i++) {
                ((int32_t *)(void *)p)[i] = (int32_t)((i * 7919) % 65536);
            }
        }
        slots[n++] = (int64_t)(intptr_t)p;
        for (int d = 0; d < rank; d++) {
            slots[n++] = j->extent[a][d];
        }
        for (int d = rank - 1; d >= 0; d--) {
            slots[n + d] = stride;
            stride *= j->extent[a][d];
        }
        n += rank;
    }
    for (int s = 0; s < f->n_syms; s++) {
        slots[n++] = j->syms[s];
    }
    char name[64];
    tg_cpu_plan plan = {0};
    snprintf(name, sizeof name, "%s.plan", f->name);
    ((tg_cpu_plan_fn)(uintptr_t)tg_test_symbol(&code, name))(slots, &plan);
    snprintf(name, sizeof name, "%s.phase0", f->name);
    work w = {(tg_cpu_phase_fn)(uintptr_t)tg_test_symbol(&code, name), slots, 0, plan.programs[0],
              NULL};
    w.scratch = aligned_alloc(4096, 64u << 20);
    memset(w.scratch, 0, 64u << 20);
    double one = timed(&w);
    double unit = j->flops > 0 ? j->flops : j->bytes;
    printf("%-22s 1T %9.3f ms %7.1f %s   lower %5.1f ms, llvm %6.1f ms, scratch %lld KiB\n",
           j->name, one * 1e3, unit / one * 1e-9, j->flops > 0 ? "GF/s" : "GB/s", (c1 - c0) * 1e3,
           (c2 - c1) * 1e3, (long long)plan.scratch_bytes / 1024);
    for (int a = 0, s = 0; a < j->n_args; a++) {
        free((void *)(intptr_t)slots[s]);
        int rank = 0;
        while (rank < 3 && j->extent[a][rank] > 0) {
            rank++;
        }
        s += 1 + 2 * rank;
    }
    free(w.scratch);
    tg_test_unload(&code);
    tg_test_end(&t);
}

int main(int argc, char **argv) {
    const char *filter = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++) {
        if (strstr(jobs[i].name, filter) != NULL) {
            run(&jobs[i], argc > 2 ? argv[2] : NULL);
            fflush(stdout);
        }
    }
    return 0;
}
