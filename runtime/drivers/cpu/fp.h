/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floating-point environment of the language (round to nearest, subnormals kept) around what
 * computes, whatever the host's is.
 */
#ifndef TGR_CPU_FP_H
#define TGR_CPU_FP_H

#include <stdint.h>

#if defined(__x86_64__)
typedef unsigned fp_state;
static inline fp_state fp_enter(void) {
    fp_state old = __builtin_ia32_stmxcsr();
    if (old != 0x1f80) {
        __builtin_ia32_ldmxcsr(0x1f80);
    }
    return old;
}
static inline void fp_leave(fp_state old) {
    if (old != 0x1f80) {
        __builtin_ia32_ldmxcsr(old);
    }
}
#elif defined(__aarch64__)
typedef uint64_t fp_state;
static inline fp_state fp_enter(void) {
    fp_state old;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    __asm__ volatile("msr fpcr, %0" : : "r"((fp_state)0));
    return old;
}
static inline void fp_leave(fp_state old) { __asm__ volatile("msr fpcr, %0" : : "r"(old)); }
#else
typedef int fp_state;
static inline fp_state fp_enter(void) { return 0; }
static inline void fp_leave(fp_state old) { (void)old; }
#endif

#endif
