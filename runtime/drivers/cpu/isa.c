/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which instruction-set levels this processor runs, from CPUID (with the operating system's consent
 * in XCR0) or the auxiliary vector. Levels as of package_format.h; their feature sets are those of
 * the x86-64 psABI (v2, v3, v4) and of backends/machines.def. Of these, the ones whose instructions
 * pass the self-test.
 */
#include "cpu.h"

#define BIT(isa) (1ull << (isa))

#if defined(__x86_64__)
#include <cpuid.h>

static uint64_t xcr0(void) {
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

/* x86-64-v2: CX16, SAHF, POPCNT, SSE3, SSSE3, SSE4.1, SSE4.2 (sources: Intel SDM vol. 2, CPUID). */
static int has_v2(uint32_t c1) {
    const uint32_t want = 1u << 0 | 1u << 9 | 1u << 13 | 1u << 19 | 1u << 20 | 1u << 23;
    return (c1 & want) == want;
}

/* x86-64-v3: AVX, AVX2, BMI1, BMI2, F16C, FMA, LZCNT, MOVBE and YMM state saved by the system. */
static int has_v3(uint32_t c1, uint32_t b7, uint32_t c81, uint64_t state) {
    const uint32_t want1 = 1u << 12 | 1u << 22 | 1u << 27 | 1u << 28 | 1u << 29;
    const uint32_t want7 = 1u << 3 | 1u << 5 | 1u << 8;
    return (c1 & want1) == want1 && (b7 & want7) == want7 && (c81 & 1u << 5) && (state & 6) == 6;
}

/* x86-64-v4: AVX-512 F, DQ, CD, BW, VL and ZMM state. */
static int has_v4(uint32_t b7, uint64_t state) {
    const uint32_t want = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;
    return (b7 & want) == want && (state & 0xe6) == 0xe6;
}

uint64_t tgr_cpu_isas(void) {
    uint32_t a, b, c, d, c1 = 0, b7 = 0, c7 = 0, a71 = 0, c81 = 0;
    uint64_t set = 0, state = 0;
    if (__get_cpuid(1, &a, &b, &c, &d)) {
        c1 = c;
        state = c & 1u << 27 ? xcr0() : 0;
    }
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        b7 = b;
        c7 = c;
        a71 = a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) ? a : 0;
    }
    if (__get_cpuid(0x80000001, &a, &b, &c, &d)) {
        c81 = c;
    }
    if (has_v2(c1) && (c81 & 1)) {
        set |= BIT(TG_ISA_X86_64_V2);
        if (has_v3(c1, b7, c81, state)) {
            set |= BIT(TG_ISA_X86_64_V3);
            set |= has_v4(b7, state) ? BIT(TG_ISA_X86_64_V4) : 0;
        }
    }
    if (set & BIT(TG_ISA_X86_64_V4) && c7 & 1u << 11) {
        set |= BIT(TG_ISA_X86_64_AVX512_VNNI);
        /* with AVX512_VBMI, which of all processors Cooper Lake lacks */
        set |= a71 & 1u << 5 && c7 & 1u << 1 ? BIT(TG_ISA_X86_64_AVX512_BF16) : 0;
    }
    return tgr_cpu_proven(set);
}

#elif defined(__aarch64__)
#include <sys/auxv.h>

uint64_t tgr_cpu_isas(void) {
    enum { HWCAP_SVE_BIT = 1 << 22 };
    uint64_t set = BIT(TG_ISA_AARCH64_NEON);
    return set | (getauxval(AT_HWCAP) & HWCAP_SVE_BIT ? BIT(TG_ISA_AARCH64_SVE) : 0);
}

#elif defined(__riscv) && __riscv_xlen == 64
#include <sys/auxv.h>

uint64_t tgr_cpu_isas(void) {
    uint64_t set = BIT(TG_ISA_RISCV64);
    return set | (getauxval(AT_HWCAP) & 1ul << ('V' - 'A') ? BIT(TG_ISA_RISCV64_V) : 0);
}

#elif defined(__loongarch64)

uint64_t tgr_cpu_isas(void) { return BIT(TG_ISA_LOONGARCH64); }

#else

uint64_t tgr_cpu_isas(void) { return 0; }

#endif

/* Table order is preference order. */
int32_t tgr_cpu_isa_rank(uint64_t isas, uint32_t isa) {
    return isa > 0 && isa < 64 && isas >> isa & 1 ? (int32_t)isa : -1;
}

uint32_t tgr_cpu_best_isa(uint64_t isas) {
    for (uint32_t i = 63; i > 0; i--) {
        if (isas >> i & 1) {
            return i;
        }
    }
    return TG_ISA_NONE;
}

const char *tgr_cpu_isa_name(uint32_t isa) {
    switch (isa) {
#define TG_X(e, v, n, a)                                                                           \
    case v:                                                                                        \
        return n;
        TG_ISAS(TG_X)
#undef TG_X
    default:
        return "?";
    }
}
