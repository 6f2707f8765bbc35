/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the CPU lowering: what its files share. Tile IR in, loop IR out.
 *
 *   plan.c    which tile values become scratch buffers, which are computed where they are used
 *   layout.c  which axis of a buffer lies innermost; products that accumulate transposed
 *   bounds.c  which axes run only to the end of their span (a prefix mask becomes a loop bound)
 *   nest*.c   loop nests over elementwise chains, reductions, stores; vectors along the inner axis
 *   elem.c    the value of an element: views, elementwise ops, branches instead of choices
 *   addr.c    tensor addresses, gathers, masked and low-bit loads
 *   code_table.c, int_range.c  what is known of integers: the values of a code's expression, ranges
 *   ahead.c   hints at the next program's input in the last of several passes
 *   dot*.c    matrix products: packed micro-kernels, skinny forms
 *   select.c  scan, atomics, reductions with a state
 *   sort.c    sort, top-k
 *   count.c   histogram, scatter_add, ranks, compress
 */
#ifndef TG_LOWER_CPU_H
#define TG_LOWER_CPU_H

#include "backends/backend.h"
#include "backends/lower/expand/expand.h"

/* ---- dot.c: matrix products -------------------------------------------------------------------
 */

/* Integers from lo to hi. */
typedef struct tg_range {
    int64_t lo, hi;
} tg_range;

/* A matrix of functions of codes of four bits that lie two a byte along k, the low half first. */
typedef struct tg_dot_codes {
    tg_value *base, *row_bytes; /* the code of (row, k) is in byte base + row * row_bytes + k / 2 */
    tg_value *usable;           /* bool: what the product reads lies inside; NULL: always */
    double value[16];           /* the element that each code is */
} tg_dot_codes;

/*
 * One matrix operand as the generated code sees it: element (i, j) of a [rows, cols] matrix.
 * `vec` emits code giving `lanes` consecutive elements along j (along_cols) or along i starting at
 * (i, j), converted to the dot's compute type, as a vector (scalar when lanes is 1). `valid` (i64
 * value or NULL) is how many leading lanes exist; the others must read as 0 and touch no memory.
 * `unit_cols` says in which direction memory is contiguous: 1 along j, 0 along i, -1 neither. When
 * the matrix is plain memory (`base` not NULL), element (i,j) lies at base + i*row_bytes +
 * j*col_bytes with dtype `dtype`, all in-bounds elements addressable, and dot may read it directly
 * instead.
 */
typedef struct tg_dot_operand {
    tg_value *(*vec)(void *user, tg_builder *b, tg_value *i, tg_value *j, bool along_cols,
                     int lanes, tg_value *valid);
    /* `step` vectors of `lanes` elements from (i, j) on, each taking every step-th element, the
     * next vector one element later: cheap for packed elements, whose words hold groups. NULL:
     * not cheaper than vec. Steps 2 and 4; the first position is a multiple of the step. */
    void (*spread)(void *user, tg_builder *b, tg_value *i, tg_value *j, bool along_cols, int lanes,
                   int step, tg_value **out);
    void *user;
    int unit_cols;
    tg_dtype dtype;                  /* language dtype in memory / before conversion */
    tg_value *base;                  /* ptr or NULL */
    tg_value *row_bytes, *col_bytes; /* i64 values, with base */
    bool narrow; /* made from elements of at most 8 bits: vectors are taken several at a time */
    bool ranged; /* integer elements are in `range` */
    tg_range range;
    bool goes_on;              /* the loop around takes next what follows along k */
    const tg_dot_codes *codes; /* or NULL; k is the axis that this operand contracts */
    bool cheap; /* vec costs little more than a load: no need to pack for reuse <= 4 */
} tg_dot_operand;

/* acc[m,n] (row pitch in elements, innermost contiguous) += a[m,k] * b[k,n]. Elements beyond m_len,
 * n_len may be computed or not; k beyond k_len must not contribute. acc needs exactly m rows of
 * pitch elements, nothing around them; garbage may appear beyond m_len, n_len inside them. k is 0
 * when only k_len is known (a whole loop over k contracted into one product): dot blocks it for the
 * caches. */
typedef struct tg_dot_desc {
    int64_t m, n, k;                 /* static extents */
    tg_value *m_len, *n_len, *k_len; /* i64 values <= extents; the part that matters */
    tg_dot_operand a, b;
    tg_value *kmask;         /* ptr to u8[k] or NULL: 0 = skip (not a prefix) */
    tg_dtype compute;        /* f32, f64, i32 (i8 products), i64 */
    tg_value *acc;           /* ptr */
    int64_t acc_pitch;       /* elements between rows, a multiple of the vector */
    tg_value *acc_row_bytes; /* the same in bytes where only the running program knows it: then acc
                                may be a tensor's, and n_len whole vectors end it; or NULL */
    bool acc_zero;           /* acc starts as 0 and is not initialised: write instead of add */
} tg_dot_desc;

/* Scratch for the code being generated: returns a ptr value to `bytes` of 64-byte aligned memory
 * that is free for reuse after tg_scratch_release of the same mark. */
typedef struct tg_scratch {
    tg_value *base;     /* ptr: the thread's scratch */
    int64_t used, peak; /* bytes; peak becomes the plan's scratch_bytes */
} tg_scratch;
tg_value *tg_scratch_take(tg_scratch *s, tg_builder *b, int64_t bytes);

/* Emits the product at b. Picks the form by shape (packed panels, skinny M, skinny N, tiny). */
tg_status tg_emit_dot(tg_builder *b, const tg_machine *mc, tg_scratch *scratch,
                      const tg_dot_desc *d, tg_sink *sink) TG_MUST_USE;

#endif
