/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measured limits. The FMA loop keeps 12 independent vector accumulators; the read loops sum 1 to 8
 * streams with and without software prefetch (plain sequential reads under-report DRAM); the copy
 * uses non-temporal stores. Threads start together on a barrier and the slowest one counts.
 */
#include "tools/limits.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/tool.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { STREAM_BYTES = 160 << 20, FAR_BYTES = 768 << 20, MAX_THREADS = 256 };

typedef struct job {
    pthread_barrier_t *start;
    double (*run)(struct job *job); /* returns seconds */
    unsigned char *from, *to;
    size_t bytes;
    int streams, prefetch;
    double seconds, work;
    float sink;
} job;

#if defined(__x86_64__)
/* `regs` independent accumulators hide the latency of the units; `lanes` floats each. */
#define FMA_LOOP(name, isa, vec, lanes, regs, set1, fmadd, first)                                  \
    __attribute__((target(isa))) static double name(job *j) {                                      \
        enum { TRIPS = 4800000 / (regs) };                                                         \
        vec a[regs], x = set1(1.0000001f), y = set1(1e-9f);                                        \
        for (int i = 0; i < (regs); i++) {                                                         \
            a[i] = set1((float)i);                                                                 \
        }                                                                                          \
        double begin = tool_now();                                                                 \
        for (long t = 0; t < TRIPS; t++) {                                                         \
            _Pragma("GCC unroll 16") for (int i = 0; i < (regs); i++) {                            \
                a[i] = fmadd(a[i], x, y);                                                          \
            }                                                                                      \
        }                                                                                          \
        double took = tool_now() - begin;                                                          \
        for (int i = 0; i < (regs); i++) {                                                         \
            j->sink += first(a[i]);                                                                \
        }                                                                                          \
        j->work = (double)TRIPS * (regs) * 2 * (lanes);                                            \
        return took;                                                                               \
    }

FMA_LOOP(fma_avx2, "avx2,fma", __m256, 8, 12, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_cvtss_f32)
FMA_LOOP(fma_avx512, "avx512f", __m512, 16, 16, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_cvtss_f32)

/* The wider units: `ops` operations an instruction on 16 accumulators of 32 bits, `add` of (a[i],
 * x). */
#define UNIT_LOOP(name, isa, vec, in, ops, zero, one, add, first)                                  \
    __attribute__((target(isa))) static double name(job *j) {                                      \
        enum { REGS = 16, TRIPS = 4800000 / REGS };                                                \
        vec a[REGS];                                                                               \
        in x = one;                                                                                \
        for (int i = 0; i < REGS; i++) {                                                           \
            a[i] = zero;                                                                           \
        }                                                                                          \
        double begin = tool_now();                                                                 \
        for (long t = 0; t < TRIPS; t++) {                                                         \
            _Pragma("GCC unroll 16") for (int i = 0; i < REGS; i++) { a[i] = add(a[i], x, x); }    \
        }                                                                                          \
        double took = tool_now() - begin;                                                          \
        for (int i = 0; i < REGS; i++) {                                                           \
            j->sink += (float)first(a[i]);                                                         \
        }                                                                                          \
        j->work = (double)TRIPS * REGS * (ops);                                                    \
        return took;                                                                               \
    }

UNIT_LOOP(dot_bf16, "avx512f,avx512bf16", __m512, __m512bh, 64, _mm512_setzero_ps(),
          (__m512bh)_mm512_set1_epi32(0x3f803f80), _mm512_dpbf16_ps, _mm512_cvtss_f32)
UNIT_LOOP(dot_int8, "avx512f,avx512vnni", __m512i, __m512i, 128, _mm512_setzero_si512(),
          _mm512_set1_epi32(0x01010101), _mm512_dpbusd_epi32, _mm512_cvtsi512_si32)

__attribute__((target("avx2"))) static double read_avx2(job *j) {
    size_t part = j->bytes / (size_t)j->streams / 256 * 256;
    __m256 sum[8] = {_mm256_setzero_ps()};
    double begin = tool_now();
    for (size_t at = 0; at < part; at += 128) {
        for (int s = 0; s < j->streams; s++) {
            const unsigned char *p = j->from + (size_t)s * part + at;
            if (j->prefetch != 0) {
                _mm_prefetch((const char *)p + 1024, _MM_HINT_T0);
                _mm_prefetch((const char *)p + 1088, _MM_HINT_T0);
            }
            __m256 u = _mm256_add_ps(_mm256_load_ps((const float *)(const void *)p),
                                     _mm256_load_ps((const float *)(const void *)(p + 32)));
            __m256 v = _mm256_add_ps(_mm256_load_ps((const float *)(const void *)(p + 64)),
                                     _mm256_load_ps((const float *)(const void *)(p + 96)));
            sum[s] = _mm256_add_ps(sum[s], _mm256_add_ps(u, v));
        }
    }
    double took = tool_now() - begin;
    for (int s = 0; s < 8; s++) {
        j->sink += _mm256_cvtss_f32(sum[s]);
    }
    j->work = (double)part * j->streams;
    return took;
}

__attribute__((target("avx2"))) static double copy_avx2(job *j) {
    double begin = tool_now();
    for (size_t at = 0; at < j->bytes; at += 64) {
        _mm_prefetch((const char *)j->from + at + 1024, _MM_HINT_T0);
        __m256i u = _mm256_load_si256((const __m256i *)(const void *)(j->from + at));
        __m256i v = _mm256_load_si256((const __m256i *)(const void *)(j->from + at + 32));
        _mm256_stream_si256((__m256i *)(void *)(j->to + at), u);
        _mm256_stream_si256((__m256i *)(void *)(j->to + at + 32), v);
    }
    _mm_sfence();
    double took = tool_now() - begin;
    j->work = 2.0 * (double)j->bytes;
    return took;
}
#endif

static double read_plain(job *j) {
    uint64_t sum = 0;
    double begin = tool_now();
    for (size_t at = 0; at + 8 <= j->bytes; at += 8) {
        uint64_t v;
        memcpy(&v, j->from + at, sizeof v);
        sum += v;
    }
    double took = tool_now() - begin;
    j->sink += (float)(sum & 1);
    j->work = (double)j->bytes;
    return took;
}

static double copy_plain(job *j) {
    double begin = tool_now();
    memcpy(j->to, j->from, j->bytes);
    double took = tool_now() - begin;
    j->work = 2.0 * (double)j->bytes;
    return took;
}

static double fma_plain(job *j) {
    float a[16];
    for (int i = 0; i < 16; i++) {
        a[i] = (float)i;
    }
    double begin = tool_now();
    for (long t = 0; t < 2000000; t++) {
        for (int i = 0; i < 16; i++) {
            a[i] = a[i] * 1.0000001f + 1e-9f;
        }
    }
    double took = tool_now() - begin;
    for (int i = 0; i < 16; i++) {
        j->sink += a[i];
    }
    j->work = 2000000.0 * 32;
    return took;
}

static void *worker(void *arg) {
    job *j = arg;
    (void)pthread_barrier_wait(j->start);
    j->seconds = j->run(j);
    return NULL;
}

static void keep(double *best, double value) { *best = value > *best ? value : *best; }

/* Rate of all threads together, in units of work a second. */
static double together(int threads, double (*run)(job *), unsigned char *from, unsigned char *to,
                       int streams, int prefetch, size_t bytes) {
    pthread_barrier_t start;
    pthread_t ids[MAX_THREADS];
    job jobs[MAX_THREADS];
    double slowest = 0, work = 0;
    (void)pthread_barrier_init(&start, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++) {
        size_t each = bytes / (size_t)threads / 4096 * 4096;
        jobs[i] = (job){
            .start = &start, .run = run, .bytes = each, .streams = streams, .prefetch = prefetch};
        if (from != NULL) {
            jobs[i].from = from + (size_t)i * each;
            jobs[i].to = to + (size_t)i * each;
        }
        if (i > 0 && pthread_create(&ids[i], NULL, worker, &jobs[i]) != 0) {
            return 0; /* no threads to be had: no figure */
        }
    }
    (void)worker(&jobs[0]);
    for (int i = 0; i < threads; i++) {
        if (i > 0) {
            (void)pthread_join(ids[i], NULL);
        }
        slowest = jobs[i].seconds > slowest ? jobs[i].seconds : slowest;
        work += jobs[i].work;
    }
    (void)pthread_barrier_destroy(&start);
    return work / slowest;
}

/* Peaks of units that multiply narrower types; 0 stays where there is none. */
static void measure_units(tool_limits *limits) {
#if defined(__x86_64__)
    for (int r = 0; r < 5; r++) {
        if (__builtin_cpu_supports("avx512bf16")) {
            keep(&limits->bf16_gflops,
                 together(limits->threads, dot_bf16, NULL, NULL, 1, 0, 0) / 1e9);
        }
        if (__builtin_cpu_supports("avx512vnni")) {
            keep(&limits->int8_gops,
                 together(limits->threads, dot_int8, NULL, NULL, 1, 0, 0) / 1e9);
        }
    }
#else
    (void)limits;
#endif
}

static void measure_reads(double *best, int threads, double (*rd)(job *), unsigned char *block,
                          size_t bytes) {
    static const int streams[] = {1, 2, 4, 8};
    for (int s = 0; s < 8; s++) {
        keep(best, together(threads, rd, block, block, streams[s / 2], s & 1, bytes) / 1e9);
    }
}

/* Without memory for the long reads there is no figure of them. */
static void measure_memory(tool_limits *limits, double (*rd)(job *), double (*cp)(job *)) {
    size_t bytes = FAR_BYTES + 8192, half = STREAM_BYTES / 2; /* both sides of a copy */
    unsigned char *block = aligned_alloc(4096, bytes);
    bool far = block != NULL;
    if (!far) {
        bytes = (size_t)STREAM_BYTES + 8192;
        block = aligned_alloc(4096, bytes);
    }
    if (block == NULL) {
        return;
    }
    memset(block, 1, bytes);
    for (int r = 0; r < 2; r++) {
        measure_reads(&limits->read_gbs, limits->threads, rd, block, STREAM_BYTES);
        for (int c = 0; c < 4; c++) { /* again and again, as rows launch */
            keep(&limits->copy_gbs,
                 together(limits->threads, cp, block, block + half, 1, 0, half) / 1e9);
        }
        if (far) {
            measure_reads(&limits->far_gbs, limits->threads, rd, block, FAR_BYTES);
        }
    }
    free(block);
}

void tool_limits_measure(tool_limits *limits, int threads) {
    double (*fma)(job *) = fma_plain, (*rd)(job *) = read_plain, (*cp)(job *) = copy_plain;
    limits->threads = threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads;
    limits->instructions = "scalar";
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        fma = fma_avx2;
        rd = read_avx2;
        cp = copy_avx2;
        limits->instructions = "avx2+fma";
    }
    if (__builtin_cpu_supports("avx512f")) {
        fma = fma_avx512;
        limits->instructions = "avx512f";
    }
#endif
    for (int r = 0; r < 5; r++) {
        keep(&limits->fma_gflops, together(limits->threads, fma, NULL, NULL, 1, 0, 0) / 1e9);
    }
    measure_units(limits);
    measure_memory(limits, rd, cp);
}

/* The value of the first line of /proc/cpuinfo with that key; false: there is none. */
static bool cpuinfo(const char *key, char *out, unsigned long size) {
    FILE *f = fopen("/proc/cpuinfo", "r");
    char line[256];
    bool found = false;
    while (!found && f != NULL && fgets(line, sizeof line, f) != NULL) {
        char *colon = strchr(line, ':');
        size_t n = strlen(key);
        if (colon != NULL && strncmp(line, key, n) == 0 && (line[n] == '\t' || line[n] == ':')) {
            colon[strcspn(colon, "\n")] = '\0';
            (void)snprintf(out, size, "%s", colon[1] == ' ' ? colon + 2 : colon + 1);
            found = true;
        }
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    return found;
}

void tool_processor_name(char *out, unsigned long size) {
    if (!cpuinfo("model name", out, size)) {
        (void)snprintf(out, size, "unknown processor");
    }
}

void tool_processor_model(char *out, unsigned long size) {
    char family[16], model[16];
    tool_processor_name(out, size);
    if (cpuinfo("cpu family", family, sizeof family) && cpuinfo("model", model, sizeof model)) {
        size_t n = strlen(out);
        (void)snprintf(out + n, size - n, ", family %s model %s", family, model);
    }
}
