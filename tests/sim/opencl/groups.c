/* SPDX-License-Identifier: Apache-2.0 */
/* groups.cl told a second time. */
#include "reference.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

REFERENCE(reversed) {
    UNUSED;
    for (int i = 0; i < 1024; i++) {
        out[i] = a[(i & ~255) + 255 - (i & 255)];
    }
}

REFERENCE(tree_sum) {
    UNUSED;
    for (int g = 0; g < 3; g++) {
        out[g] = 0;
        for (int i = 0; i < 256; i++) {
            out[g] += a[g * 512 + i] ^ a[g * 512 + 256 + i];
        }
    }
}

REFERENCE(scanned) {
    UNUSED;
    uint sum = 0;
    for (int i = 0; i < 256; i++) {
        out[i] = sum += a[i];
    }
}

REFERENCE(transposed) {
    UNUSED;
    for (int i = 0; i < 64 * 32; i++) {
        out[i % 64 * 32 + i / 64] = a[i];
    }
}

static int ascending(const void *x, const void *y) {
    uint p = *(const uint *)x, q = *(const uint *)y;
    return p < q ? -1 : p > q;
}
REFERENCE(sorted) {
    UNUSED;
    memcpy(out, a, 512 * sizeof *out);
    qsort(out, 256, sizeof *out, ascending);
    qsort(out + 256, 256, sizeof *out, ascending);
}

REFERENCE(product) {
    UNUSED;
    for (int i = 0; i < 1024; i++) {
        float sum = 0;
        for (int k = 0; k < 32; k++) {
            sum = fmaf(f32_at(a, i / 32 * 32 + k), f32_at(b, k * 32 + i % 32), sum);
        }
        put_f32(out, i, sum);
    }
}

REFERENCE(histogram) {
    UNUSED;
    for (int i = 0; i < 2 * 1024; i++) { /* two groups do the same */
        out[a[i % 1024] & 63]++;
    }
}

REFERENCE(ids) {
    UNUSED;
    for (uint g = 0; g < 18; g++) {
        for (uint l = 0; l < 60; l++) {
            uint *o = out + 10 * (g * 60 + l);
            o[0] = l % 5 | l / 5 % 4 << 8 | l / 20 << 16;
            o[1] = g % 3 | g / 3 % 2 << 8 | g / 6 << 16;
            o[2] = 5 | 4 << 8 | 3 << 16;
            o[3] = 15;
            o[4] = 8 | 9 << 16;
            o[5] = 5;
            o[6] = 3 | 2 << 8 | 3 << 16;
            o[7] = 5 | 4 << 16;
            o[8] = 3;
            o[9] = (uint)n;
        }
    }
}

static void zero_some(uint *a, uint *b, uint *out) {
    (void)a, (void)b;
    memset(out + 16, 0, 8 * sizeof *out);
}

/* What the words of atomics and local_atomics become, in any order. */
static void change(uint *t, uint x, bool global) {
    ulong wide[3];
    double sum;
    t[0] += x;
    t[1] -= x;
    t[2] = x < t[2] ? x : t[2];
    t[3] = x > t[3] ? x : t[3];
    t[4] = (int)x < (int)t[4] ? x : t[4];
    t[5] = (int)x > (int)t[5] ? x : t[5];
    t[6] &= x | 0xff0000ff;
    t[7] |= x & 0xf0f0;
    t[8] ^= x;
    memcpy(wide, t + 10, sizeof wide);
    wide[0] += (ulong)x << 20;
    wide[1] = (ulong)x << 20 > wide[1] ? (ulong)x << 20 : wide[1];
    wide[2] ^= global ? (ulong)x << 31 : 0;
    memcpy(t + 10, wide, sizeof wide);
    t[17] = t[17] * 3 + 1;
    put_f32(t, 18, f32_at(t, 18) + (float)(x & 255));
    memcpy(&sum, t + 20, sizeof sum);
    sum += x & 255;
    memcpy(t + 20, &sum, sizeof sum);
    t[22] = t[22] >= 100 ? 0 : t[22] + 1;
    t[23] = t[23] == 0 || t[23] > 100 ? 100 : t[23] - 1;
}

REFERENCE(atomics) {
    UNUSED;
    for (uint i = 0; i < 512; i++) {
        change(out, a[i], true);
        out[16]++;
        out[64 + i] = 1;
        out[1088 + i]++;
    }
}

REFERENCE(local_atomics) {
    UNUSED;
    memset(out, 0, 32 * sizeof *out);
    out[2] = out[6] = ~0u;
    for (uint i = 0; i < 128; i++) {
        change(out, a[i], false);
        out[24]++;
        out[64 + i] = i;
    }
}

REFERENCE(pointers) {
    UNUSED;
    for (uint l = 0; l < 128; l++) {
        uint own[4] = {1, 2, 3, 4}, t = l, x = a[l];
        uint *p = x & 1 ? &out[l] : x & 2 ? &t : &own[x >> 2 & 3];
        *p = (*p * 5 + x) * 5 + 7;
        out[128 + l] = t;
        out[256 + l] = own[0] + own[1] * 3 + own[2] * 5 + own[3] * 7;
    }
}

typedef struct wide_arguments {
    uchar from[5];
    short add;
    float scale;
    _Alignas(8) uint both[2];
    uchar c[4];
    double d;
} wide_arguments;
static const wide_arguments some_arguments = {
    {3, 5, 7, 11, 13}, -77, 2.5f, {0x12345678, 0x9abcdef0}, {1, 2, 250, 4}, 0.75};
_Static_assert(offsetof(wide_arguments, both) == 16 && offsetof(wide_arguments, d) == 32,
               "as the device lays it out");

REFERENCE(widths) {
    UNUSED;
    const wide_arguments *w = &some_arguments;
    const uchar *from = (const uchar *)a + 1;
    uchar *to = (uchar *)out;
    for (int i = 0; i < n; i++, from += 15) {
        uint four;
        ushort two;
        ulong eight;
        memcpy(&four, from + 1, 4);
        memcpy(&two, from + 5, 2);
        memcpy(&eight, from + 7, 8);
        two = (ushort)(two + w->add);
        four += w->both[1] + w->c[2];
        eight += w->both[0];
        to[i * 15] = (uchar)(from[0] + w->from[i % 5]);
        memcpy(to + i * 16 + N * 4, &two, 2);
        memcpy(to + i * 16 + N * 4 + 4, &four, 4);
        memcpy(to + i * 16 + N * 4 + 8, &eight, 8);
        for (int k = 0; k < 3; k++) {
            put_f32(out + 2 * N, 3 * i + (k + 1) % 3,
                    f32_at(b, 3 * i + k) * w->scale + (float)w->d);
        }
        for (int k = 0; k < 4; k++) {
            out[3 * N + 4 * i + k] = a[4 * i + k] ^ b[4 * i + k];
        }
    }
}

const cl_case cl_groups[] = {
    {"reversed", reversed, {4, 1, 1}, {256, 1, 1}, 0, FILL_WORDS, FILL_WORDS, AS_WORDS},
    {"tree_sum", tree_sum, {3, 1, 1}, {256, 1, 1}, 0, FILL_WORDS, FILL_WORDS, AS_WORDS},
    {"scanned", scanned, {1, 1, 1}, {256, 1, 1}, 0, FILL_WORDS, FILL_WORDS, AS_WORDS},
    {"transposed", transposed, {4, 2, 1}, {16, 16, 1}, 0, FILL_WORDS, FILL_WORDS, AS_WORDS},
    {"sorted", sorted, {2, 1, 1}, {256, 1, 1}, 0, FILL_WORDS, FILL_WORDS, AS_WORDS},
    {"product", product, {2, 2, 1}, {16, 16, 1}, 0, FILL_MODERATE, FILL_MODERATE, AS_WORDS},
    {"histogram", histogram, {2, 1, 1}, {128, 1, 1}, 0, FILL_WORDS, FILL_WORDS, AS_WORDS},
    {"ids", ids, {3, 2, 3}, {5, 4, 3}, 77, FILL_WORDS, FILL_WORDS, AS_WORDS},
    {"atomics",
     atomics,
     {4, 1, 1},
     {128, 1, 1},
     0,
     FILL_WORDS,
     FILL_WORDS,
     AS_WORDS,
     .prepare = zero_some},
    {"local_atomics", local_atomics, {1, 1, 1}, {128, 1, 1}, 0, FILL_WORDS, FILL_WORDS, AS_WORDS},
    {"pointers", pointers, {1, 1, 1}, {128, 1, 1}, 0, FILL_WORDS, FILL_WORDS, AS_WORDS},
    {"widths",
     widths,
     {2, 1, 1},
     {128, 1, 1},
     256,
     FILL_WORDS,
     FILL_MODERATE,
     AS_WORDS,
     .more = &some_arguments,
     .more_bytes = sizeof some_arguments}};
const size_t cl_n_groups = sizeof cl_groups / sizeof *cl_groups;
