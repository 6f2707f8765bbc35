/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machine instructions that compiled kernels name (backends/llvm/intrinsics.def), run once against
 * what they are defined to compute (Intel SDM vol. 2) before code that has them is loaded. A level
 * whose instructions do something else, under an emulator or a hypervisor that takes CPUID for a
 * wish, is not offered: the loader takes the next variant of the kernel. Some microseconds.
 */
#include "cpu.h"

#include <math.h>
#include <string.h>

#include "fp.h"

#define BIT(isa) (1ull << (isa))

#if defined(__x86_64__)
#include <immintrin.h>

#define V3 BIT(TG_ISA_X86_64_V3)
#define V4 BIT(TG_ISA_X86_64_V4)
#define VNNI BIT(TG_ISA_X86_64_AVX512_VNNI)
#define BF16 BIT(TG_ISA_X86_64_AVX512_BF16)

/* One instruction on registers in memory: out = f(x, y), or f(acc, x, y) with acc in out. */
#define RUN(name, target_, vector, load, store, call)                                              \
    __attribute__((target(target_))) static void name(void *out, const void *x_, const void *y_) { \
        vector x = load((const vector *)x_), y = load((const vector *)y_);                         \
        vector acc = load((const vector *)out);                                                    \
        (void)acc;                                                                                 \
        store((vector *)out, call);                                                                \
    }
#define RUN32(name, call) RUN(name, "avx2", __m256i, _mm256_loadu_si256, _mm256_storeu_si256, call)
#define RUN64(name, target, call)                                                                  \
    RUN(name, target, __m512i, _mm512_loadu_si512, _mm512_storeu_si512, call)
RUN32(lookup32, _mm256_shuffle_epi8(x, y))
RUN32(quads32, _mm256_maddubs_epi16(x, y))
RUN32(pairs32, _mm256_madd_epi16(x, y))
RUN64(lookup64, "avx512f,avx512bw", _mm512_shuffle_epi8(x, y))
RUN64(quads64, "avx512f,avx512bw", _mm512_maddubs_epi16(x, y))
RUN64(pairs64, "avx512f,avx512bw", _mm512_madd_epi16(x, y))
RUN64(added_quads64, "avx512f,avx512vnni", _mm512_dpbusd_epi32(acc, x, y))
RUN64(added_pairs64, "avx512f,avx512vnni", _mm512_dpwssd_epi32(acc, x, y))
RUN64(words64, "avx512f", _mm512_permutexvar_epi32(y, x))
RUN64(halves64, "avx512f,avx512bw", _mm512_permutexvar_epi16(y, x))
RUN64(bytes128, "avx512f,avx512vbmi", _mm512_permutex2var_epi8(acc, x, y))
RUN64(bf16_pairs64, "avx512f,avx512bf16",
      _mm512_castps_si512(_mm512_dpbf16_ps(_mm512_castsi512_ps(acc), (__m512bh)x, (__m512bh)y)))
#undef RUN64
#undef RUN32
#undef RUN
#endif

/* ---- definitions ----------------------------------------------------------------------------- */

static int16_t half(const uint8_t *p) { return (int16_t)(p[0] | p[1] << 8); }

static void put_lane(uint8_t *out, uint32_t v, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        out[i] = (uint8_t)(v >> 8 * i);
    }
}

static void mean_lookup(uint8_t *out, const uint8_t *x, const uint8_t *y, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        out[i] = y[i] & 0x80 ? 0 : x[(i & ~(size_t)15) + (y[i] & 15)];
    }
}

static void mean_quads(uint8_t *out, const uint8_t *x, const uint8_t *y, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 2) {
        int32_t sum = x[i] * (int8_t)y[i] + x[i + 1] * (int8_t)y[i + 1];
        sum = sum > INT16_MAX ? INT16_MAX : sum < INT16_MIN ? INT16_MIN : sum;
        put_lane(out + i, (uint32_t)sum, 2);
    }
}

static uint32_t pair_sum(const uint8_t *x, const uint8_t *y) {
    return (uint32_t)(half(x) * half(y)) + (uint32_t)(half(x + 2) * half(y + 2));
}

static void mean_pairs(uint8_t *out, const uint8_t *x, const uint8_t *y, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 4) {
        put_lane(out + i, pair_sum(x + i, y + i), 4);
    }
}

static uint32_t lane(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void mean_added_quads(uint8_t *out, const uint8_t *x, const uint8_t *y, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 4) {
        uint32_t sum = lane(out + i);
        for (size_t k = i; k < i + 4; k++) {
            sum += (uint32_t)(x[k] * (int8_t)y[k]);
        }
        put_lane(out + i, sum, 4);
    }
}

static void mean_added_pairs(uint8_t *out, const uint8_t *x, const uint8_t *y, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 4) {
        put_lane(out + i, lane(out + i) + pair_sum(x + i, y + i), 4);
    }
}

static void mean_words(uint8_t *out, const uint8_t *x, const uint8_t *y, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 4) {
        memcpy(out + i, x + (size_t)4 * (y[i] & 15), 4);
    }
}

static void mean_halves(uint8_t *out, const uint8_t *x, const uint8_t *y, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 2) {
        memcpy(out + i, x + (size_t)2 * (y[i] & 31), 2);
    }
}

static void mean_bytes128(uint8_t *out, const uint8_t *x, const uint8_t *y, size_t bytes) {
    uint8_t first[64];
    memcpy(first, out, bytes);
    for (size_t i = 0; i < bytes; i++) {
        out[i] = (x[i] & 64 ? y : first)[x[i] & 63];
    }
}

static float flushed(uint32_t bits) {
    float f;
    bits = bits & 0x7F800000 ? bits : bits & 0x80000000;
    memcpy(&f, &bits, 4);
    return f;
}

static uint32_t bits_of(float f) {
    uint32_t bits;
    memcpy(&bits, &f, 4);
    return bits;
}

static void mean_bf16_pairs(uint8_t *out, const uint8_t *x, const uint8_t *y, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 4) {
        float sum = flushed(lane(out + i));
        for (int odd = 1; odd >= 0; odd--) {
            float a = flushed((lane(x + i) >> 16 * odd) << 16);
            float b = flushed((lane(y + i) >> 16 * odd) << 16);
            sum = flushed(bits_of(fmaf(a, b, sum)));
        }
        put_lane(out + i, bits_of(sum), 4);
    }
}

/* Of a NaN only that it is one is defined. */
static void same_nans(uint8_t *got, uint8_t *want, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 4) {
        if ((lane(got + i) & 0x7FFFFFFF) > 0x7F800000 &&
            (lane(want + i) & 0x7FFFFFFF) > 0x7F800000) {
            memcpy(got + i, want + i, 4);
        }
    }
}

/* ---- trials ---------------------------------------------------------------------------------- */

static const tgr_cpu_trial trials[] = {
#if defined(__x86_64__)
    {V3, V3 | V4 | VNNI | BF16, 32, lookup32, mean_lookup, false},
    {V3, V3 | V4 | VNNI | BF16, 32, quads32, mean_quads, false},
    {V3, V3 | V4 | VNNI | BF16, 32, pairs32, mean_pairs, false},
    {V4, V4 | VNNI | BF16, 64, lookup64, mean_lookup, false},
    {V4, V4 | VNNI | BF16, 64, quads64, mean_quads, false},
    {V4, V4 | VNNI | BF16, 64, pairs64, mean_pairs, false},
    {V4, V4 | VNNI | BF16, 64, words64, mean_words, false},
    {V4, V4 | VNNI | BF16, 64, halves64, mean_halves, false},
    {BF16, BF16, 64, bytes128, mean_bytes128, false},
    {BF16, BF16, 64, bf16_pairs64, mean_bf16_pairs, true},
    {VNNI, VNNI | BF16, 64, added_quads64, mean_added_quads, false},
    {VNNI, VNNI | BF16, 64, added_pairs64, mean_added_pairs, false},
#endif
    {0, 0, 0, NULL, NULL, false}};

/* Bytes that reach every edge: the first rounds hold the extremes of 8 and 16 bits. */
static void fill(uint8_t *p, size_t n, uint32_t *seed, unsigned round) {
    static const uint8_t edges[] = {0x00, 0xff, 0x7f, 0x80, 0x01};
    for (size_t i = 0; i < n; i++) {
        *seed = *seed * 1664525u + 1013904223u;
        uint8_t random = (uint8_t)(*seed >> 24);
        p[i] = round < 8 ? edges[random % sizeof edges] : random;
    }
}

static bool holds(const tgr_cpu_trial *t) {
    uint8_t x[64], y[64], got[64], want[64];
    uint32_t seed = 1;
    bool same = true;
    for (unsigned round = 0; round < 16 && same; round++) {
        fill(x, t->bytes, &seed, round);
        fill(y, t->bytes, &seed, round);
        if (round == 0) { /* -32768 * -32768 twice: the one sum of pairs that wraps */
            for (size_t i = 0; i < t->bytes; i++) {
                x[i] = y[i] = (uint8_t)(i % 2 * 0x80);
            }
        }
        fill(want, t->bytes, &seed, round);
        memcpy(got, want, t->bytes);
        t->machine(got, x, y);
        t->means(want, x, y, t->bytes);
        if (t->floats) {
            same_nans(got, want, t->bytes);
        }
        same = memcmp(got, want, t->bytes) == 0;
    }
    return same;
}

uint64_t tgr_cpu_try(const tgr_cpu_trial *all, uint64_t isas) {
    fp_state old = fp_enter(); /* floats are among what is tried */
    for (const tgr_cpu_trial *t = all; t->machine; t++) {
        if (isas & t->runs_on && !holds(t)) {
            isas &= ~t->spoils;
        }
    }
    fp_leave(old);
    return isas;
}

uint64_t tgr_cpu_proven(uint64_t isas) { return tgr_cpu_try(trials, isas); }
