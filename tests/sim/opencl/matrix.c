/* SPDX-License-Identifier: Apache-2.0 */
/* matrix.cl told a second time: what the manuals say of the lanes' registers. */
#include "reference.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef enum cell { CELL_HALF, CELL_BYTE, CELL_UBYTE, CELL_FLOAT } cell;

/* Element e of a lane that has `each` elements one behind the other. */
static double element(const uint *p, cell type, int lane, int each, int e) {
    int i = lane * each + e;
    switch (type) {
    case CELL_HALF:
        return (double)f16_at(p, i);
    case CELL_BYTE:
        return ((const signed char *)p)[i];
    case CELL_UBYTE:
        return ((const uchar *)p)[i];
    case CELL_FLOAT:
        return (double)f32_at(p, N / 2 + i);
    }
    return 0;
}

/* Row i of A and column i of B are lane i + size * (k / each)'s (CDNA3 ISA 7.4.2). */
static double product_at(const uint *a, const uint *b, cell type, int size, int depth, int each,
                         int i, int j) {
    double sum = 0;
    for (int k = 0; k < depth; k++) {
        sum += element(a, type, i + size * (k / each), each, k % each) *
               element(b, type, j + size * (k / each), each, k % each);
    }
    return sum;
}

typedef struct matrix_row {
    cell a;
    int size, depth, each;
    bool whole; /* result: i32, else floats of */
    int bytes;
} matrix_row;

/* Four rows of D behind one another in a lane, columns by lane (CDNA3 ISA 7.4.3); of doubles one.
 */
REFERENCE(mfma) {
    UNUSED;
    static const matrix_row rows[] = {
        {CELL_HALF, 32, 8, 4, false, 4},  {CELL_HALF, 16, 16, 4, false, 4},
        {CELL_BYTE, 32, 16, 8, true, 4},  {CELL_BYTE, 16, 32, 8, true, 4},
        {CELL_FLOAT, 16, 4, 1, false, 4}, {CELL_FLOAT, 16, 4, 1, false, 8}};
    for (int r = 0; r < 6; r++) {
        const matrix_row *m = &rows[r];
        int results = m->size * m->size / 64;
        for (int l = 0; l < 64; l++) {
            for (int e = 0; e < results; e++) {
                int part = l / m->size, parts = 64 / m->size;
                int i = m->bytes == 8 ? parts * e + part : (e / 4 * parts + part) * 4 + e % 4;
                double v = product_at(a, b, m->a, m->size, m->depth, m->each, i, l % m->size);
                uint *o = out + 2048 * r + (l * results + e) * m->bytes / 4;
                if (m->bytes == 8) {
                    memcpy(o, &v, sizeof v);
                } else if (m->whole) {
                    *o = (uint)(int)v;
                } else {
                    put_f32(o, 0, (float)v);
                }
            }
        }
    }
}

/* Rows by register, two of them in turn by half of the wave (RDNA3 ISA 7.9). */
REFERENCE(wmma) {
    UNUSED;
    static const cell types[][2] = {
        {CELL_HALF, CELL_HALF}, {CELL_BYTE, CELL_BYTE}, {CELL_UBYTE, CELL_BYTE}};
    for (int r = 0; r < 3; r++) {
        for (int l = 0; l < 32; l++) {
            for (int e = 0; e < 8; e++) {
                double sum = 0;
                for (int k = 0; k < 16; k++) {
                    sum += element(a, types[r][0], 2 * e + l / 16, 16, k) *
                           element(b, types[r][1], l % 16, 16, k);
                }
                if (r > 0) {
                    out[2048 * r + l * 8 + e] = (uint)(int)sum;
                } else {
                    put_f32(out, l * 8 + e, (float)sum);
                }
            }
        }
    }
}

const cl_case cl_matrix[] = {{"mfma",
                              mfma,
                              {1, 1, 1},
                              {64, 1, 1},
                              0,
                              FILL_HALVES,
                              FILL_HALVES,
                              AS_WORDS,
                              .kernel = "matrices",
                              .machine = 942},
                             {"wmma",
                              wmma,
                              {1, 1, 1},
                              {32, 1, 1},
                              0,
                              FILL_HALVES,
                              FILL_HALVES,
                              AS_WORDS,
                              .kernel = "matrices",
                              .machine = 1100}};
const size_t cl_n_matrix = sizeof cl_matrix / sizeof *cl_matrix;
