/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two programs of a failure's folder share: the launch as launch.h tells it, files, and
 * the comparison with what was expected.
 */
#ifndef BUNDLE_COMMON_H
#define BUNDLE_COMMON_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Memory that the launch works on: its bytes before it are in buf_NAME.bin. */
typedef struct buffer {
    const char *name;
    size_t bytes;
} buffer;

/* A launch slot: a plain value, or `value` bytes into a buffer. */
typedef struct slot {
    int buffer; /* -1: none */
    int64_t value;
} slot;

typedef struct output {
    const char *name, *type;
    int buffer, rank;
    size_t offset;
    int64_t extent[8], stride[8]; /* strides in bytes */
} output;

#include "launch.h"

enum { N_BUFFERS = sizeof buffers / sizeof *buffers, N_SLOTS = sizeof slots / sizeof *slots };

static inline void die(const char *what, long code) {
    fprintf(stderr, "%s failed: %ld\n", what, code);
    exit(1);
}

static inline void *read_file(const char *path, size_t *bytes) {
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END)) {
        perror(path);
        exit(1);
    }
    *bytes = (size_t)ftell(f);
    rewind(f);
    char *data = calloc(*bytes + 1, 1);
    if (!data || fread(data, 1, *bytes, f) != *bytes) {
        perror(path);
        exit(1);
    }
    fclose(f);
    return data;
}

static inline void *read_buffer(int i) {
    char path[512];
    size_t bytes;
    snprintf(path, sizeof path, "buf_%s.bin", buffers[i].name);
    return read_file(path, &bytes);
}

static inline double small_float(unsigned bits, int exponent_bits, int mantissa_bits) {
    int e = (int)(bits >> mantissa_bits & ((1u << exponent_bits) - 1));
    double m = bits & ((1u << mantissa_bits) - 1), one = 1u << mantissa_bits;
    int bias = (1 << (exponent_bits - 1)) - 1;
    double v = e == (1 << exponent_bits) - 1 ? (m != 0 ? NAN : INFINITY)
               : e == 0                      ? ldexp(m / one, 1 - bias)
                                             : ldexp(1 + m / one, e - bias);
    return bits >> (exponent_bits + mantissa_bits) & 1 ? -v : v;
}

/* NAN for a type that is not known here. */
static inline double element(const unsigned char *p, const char *type) {
    uint64_t word = 0;
    int bits = atoi(type + (type[0] == 'b' ? 2 : 1));
    memcpy(&word, p, bits >= 8 ? (size_t)bits / 8 : 1);
    if (!strcmp(type, "f32")) {
        float v;
        memcpy(&v, p, 4);
        return v;
    }
    if (!strcmp(type, "f64")) {
        double v;
        memcpy(&v, p, 8);
        return v;
    }
    if (!strcmp(type, "f16") || !strcmp(type, "bf16")) {
        return small_float((unsigned)word, type[0] == 'b' ? 8 : 5, type[0] == 'b' ? 7 : 10);
    }
    if (type[0] == 'u') {
        return (double)word;
    }
    return type[0] == 'i' ? (double)((int64_t)(word << (64 - bits)) >> (64 - bits)) : NAN;
}

/* Tells how far output o, whose buffer holds `data` now, is from expected_NAME.npy. */
static inline void compare(const output *o, const unsigned char *data) {
    char path[512];
    size_t bytes, start, n;
    snprintf(path, sizeof path, "expected_%s.npy", o->name);
    unsigned char *npy = read_file(path, &bytes);
    start = 10 + npy[8] + 256u * npy[9];
    n = (bytes - start) / 8;
    int whole = strstr((char *)npy + 10, "'<i8'") != NULL;
    double worst = 0;
    size_t at = 0, bad = 0;
    for (size_t i = 0; i < n; i++) {
        size_t rest = i, offset = o->offset;
        for (int d = o->rank - 1; d >= 0; d--) {
            offset += rest % (size_t)o->extent[d] * (size_t)o->stride[d];
            rest /= (size_t)o->extent[d];
        }
        double got = element(data + offset, o->type), want;
        int64_t integer;
        memcpy(&integer, npy + start + 8 * i, 8);
        memcpy(&want, npy + start + 8 * i, 8);
        want = whole ? (double)integer : want;
        double off = (got != got && want != want) || got == want ? 0 : fabs(got - want);
        bad += off != 0;
        if (!(off <= worst)) {
            worst = off;
            at = i;
        }
    }
    printf("%s: %zu of %zu elements differ, largest difference %g at element %zu\n", o->name, bad,
           n, worst, at);
    free(npy);
}

#endif
