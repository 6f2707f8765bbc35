/* SPDX-License-Identifier: Apache-2.0 */
/* Test values of the programs that call ops through the C API: a stream, f32 and bf16 elements. */
#ifndef TG_TESTS_KERNELS_VALUES_H
#define TG_TESTS_KERNELS_VALUES_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Splitmix64 in [0, 1). */
static inline double uniform(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

/* Of mean 0 and deviation 1, nearly normal. */
static inline double normal(uint64_t *state) {
    double sum = -6;
    for (int i = 0; i < 12; i++) {
        sum += uniform(state);
    }
    return sum;
}

/* Element i of an array of bf16 (half) or f32. */
static inline void put(void *at, bool half, int64_t i, double v) {
    float f = (float)v;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if (half) {
        uint16_t top = isnan(v) ? 0x7fc0 : (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
        memcpy((char *)at + 2 * i, &top, sizeof top);
    } else {
        memcpy((char *)at + 4 * i, &f, sizeof f);
    }
}

static inline double get(const void *at, bool half, int64_t i) {
    uint32_t bits = 0;
    float f;
    size_t n = half ? 2 : 4;
    memcpy((char *)&bits + 4 - n, (const char *)at + n * (size_t)i, n);
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

#endif
