/* SPDX-License-Identifier: Apache-2.0 */
/* The OpenCL kernels of this folder told a second time in C (elements.c, groups.c, flow.c,
 * matrix.c), and how they are launched. */
#ifndef TESTS_SIM_OPENCL_REFERENCE_H
#define TESTS_SIM_OPENCL_REFERENCE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { N = 1024, INPUT = 4 * N, OUTPUT = 50 * N, FILL = 0x5a5a5a5a };

typedef enum fill_kind {
    FILL_WORDS,    /* of all magnitudes */
    FILL_MODERATE, /* floats from -8 to 8 */
    FILL_FLOATS,   /* of every kind */
    FILL_DOUBLES,
    FILL_HALVES, /* small and whole; floats of the same kind from word N / 2 on */
    FILL_LANES   /* numbers from 0 to 63 */
} fill_kind;

/* What may differ: which NaN it is, or the last places of a float. */
typedef enum compare_kind { AS_WORDS, AS_HALVES, AS_FLOATS, AS_DOUBLES, AS_NEAR } compare_kind;

typedef struct cl_case {
    const char *name;
    void (*reference)(const uint32_t *a, const uint32_t *b, uint32_t *out, int n, int wave);
    uint32_t groups[3], lanes[3], n;
    fill_kind a, b;
    compare_kind compare;
    const char *kernel; /* NULL: as the case */
    int machine;        /* 0: all */
    void (*prepare)(uint32_t *a, uint32_t *b, uint32_t *out);
    const void *more; /* arguments behind n, from byte 32 on */
    size_t more_bytes;
} cl_case;

/* Those of a file, OpenCL and C. */
extern const cl_case cl_elements[], cl_groups[], cl_flow[], cl_matrix[];
extern const size_t cl_n_elements, cl_n_groups, cl_n_flow, cl_n_matrix;

/* ---- for the references */

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
__extension__ typedef _Float16 HALF;

#define REFERENCE(name) static void name(const uint *a, const uint *b, uint *out, int n, int wave)
#define UNUSED (void)a, (void)b, (void)out, (void)n, (void)wave
#define CLAMP(v, lo, hi) (!((v) > (lo)) ? (lo) : (v) > (hi) ? (hi) : (v))

static inline float f32_at(const uint *p, int i) {
    float f;
    memcpy(&f, p + i, sizeof f);
    return f;
}
static inline void put_f32(uint *p, int i, float f) { memcpy(p + i, &f, sizeof f); }
static inline HALF f16_at(const uint *p, int i) {
    HALF h;
    memcpy(&h, (const char *)p + 2 * i, sizeof h);
    return h;
}

#endif
