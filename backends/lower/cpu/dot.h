/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the matrix product share.
 *
 *   dot.c         choice of the form by shape and direction; scratch
 *   dot_parts.c   operand access in words, transposes, horizontal sums
 *   dot_packed.c  register blocks over packed panels (many rows and columns)
 *   dot_skinny.c  few rows or columns: products along k, and row updates along n
 *   dot_quads.c   products of four bytes a word
 *   dot_codes.c   few rows with codes of four bits, looked up in registers
 *   dot_bf16.c    products of two bf16 a word
 *   dot_bytes.c   floats of 8 bits as bf16, looked up in registers
 *
 * Words. The kernels multiply vectors of words. A word is one element of the compute type; or, for
 * products of 8-bit and smaller integers on a machine with a pair product, an i32 that holds two
 * 16-bit elements of consecutive k (per_word = 2) or, where the values allow it, four bytes
 * (per_word = 4). k positions count elements, word positions count
 * words; a block of k always starts at a whole word. Two bf16 of consecutive k also make a word
 * where the machine multiplies them so; the word then counts as an f32 that is moved, never added.
 *
 * Ragged edges. A block that sticks out beyond m_len or n_len repeats its last row or column
 * vector: the repeats compute the same sums and store the same bytes to the same place, all loads
 * before all stores. So no edge needs a second kernel, a temporary or padding of acc.
 */
#ifndef TG_LOWER_CPU_DOT_H
#define TG_LOWER_CPU_DOT_H

#include "backends/lower/cpu/cpu.h"

enum { DOT_MAX_ROWS = 16, DOT_MAX_VECS = 4, DOT_MAX_LANES = 64 };

/* One operand seen from the product: `row` is its index that is not k. */
typedef struct dot_side {
    const tg_dot_operand *op;
    bool is_a;                     /* A is [row, k], B is [k, row] */
    tg_value *len;                 /* rows that matter, i64 */
    int64_t extent;                /* static rows */
    int64_t len_const;             /* len when constant, else -1 */
    bool k_unit;                   /* memory runs along k */
    tg_value *row_bytes, *k_bytes; /* with base */
    bool split;                    /* staged in the order of dot_fetch_bytes */
    bool inside;                   /* what is being emitted names no row beyond the last */
} dot_side;

typedef struct dot_gen {
    tg_builder *b;
    const tg_machine *mc;
    tg_scratch *scratch;
    const tg_dot_desc *d;
    dot_side x, y;                    /* acc[x row, y row]; x is A and y is B unless swapped */
    int64_t acc_x_elems, acc_y_elems; /* acc strides; along x d->acc_row_bytes instead, if any */
    tg_dtype word;
    int per_word;
    int64_t word_bytes;
    int vector_bytes;         /* of a vector register, or half of one along a short k */
    int vl;                   /* words of one vector */
    const char *pair_product; /* intrinsic when per_word is 2 or 4: two of 16 bits to a word */
    bool sums_words;          /* the machine adds a word's products to a word at once (VNNI) */
    bool bf16;                /* words of two bf16 (per_word 2) */
    bool sure;                /* bf16: no element is so small that pairs would lose it */
    bool apart;               /* bf16: each multiplied by itself, where `tiny` elements may be */
    int64_t least;            /* per_word 4: y's elements come less this, unsigned */
    int group;                /* per_word 4: so many products fit a sum of 16 bits; 1, 2, 4, 8 */
    const tg_type *word_type, *vec_type;
    int64_t k_divisor; /* known divisor of every k length */
} dot_gen;

/* Where a register block reads its x words: row r, word w at row[r] + w * step. */
typedef struct dot_rows {
    tg_value *row[DOT_MAX_ROWS];
    tg_value *start[DOT_MAX_ROWS]; /* words from which the rows' sums start; NULL: from zero */
    tg_value *step_bytes;          /* i64 */
} dot_rows;

/* ---- arithmetic on i64 values ---- */
tg_value *dot_ix(dot_gen *g, int64_t v);
tg_value *dot_add(dot_gen *g, tg_value *x, tg_value *y);
tg_value *dot_addc(dot_gen *g, tg_value *x, int64_t c);
tg_value *dot_sub(dot_gen *g, tg_value *x, tg_value *y);
tg_value *dot_mulc(dot_gen *g, tg_value *x, int64_t c);
tg_value *dot_min(dot_gen *g, tg_value *x, tg_value *y);
tg_value *dot_lt(dot_gen *g, tg_value *x, tg_value *y);
/* base + i * unit, unit any i64 value (constants become the address factor). */
tg_value *dot_at(dot_gen *g, tg_value *base, tg_value *i, tg_value *unit);
tg_value *dot_atc(dot_gen *g, tg_value *base, tg_value *i, int64_t unit);
/* Words of a k length: cdiv by per_word. */
tg_value *dot_words(dot_gen *g, tg_value *k);

/* ---- words ---- */
/* `words` words along k of one row, from k; `valid` counts elements (NULL: all exist). */
tg_value *dot_fetch_k(dot_gen *g, const dot_side *s, tg_value *row, tg_value *k, int words,
                      tg_value *valid);
/* One word of each of `rows` rows from `row`; `odd`: the second element of the pair does not exist.
 */
tg_value *dot_fetch_rows(dot_gen *g, const dot_side *s, tg_value *row, tg_value *k, int rows,
                         tg_value *valid, bool odd);
tg_value *dot_load(dot_gen *g, tg_value *ptr, int words, int64_t align);
void dot_store(dot_gen *g, tg_value *ptr, tg_value *words, int64_t align);
tg_value *dot_load_splat(dot_gen *g, tg_value *ptr);
tg_value *dot_zero(dot_gen *g);
/* acc + x * y, word by word. */
tg_value *dot_mac(dot_gen *g, tg_value *x, tg_value *y, tg_value *acc);
/* vl vectors of vl words, transposed in registers. */
void dot_transpose(dot_gen *g, tg_value **v);
/* Sums the lanes of n vectors; n is 4 (one vector of 4) or anything else (n scalars). */
tg_value *dot_sum4(dot_gen *g, tg_value *const *v);
/* The same inside each 16 bytes of four vectors of words of 32 bits: word i of every lane is the
 * sum of that lane of v[i]. */
tg_value *dot_sum4_in_lanes(dot_gen *g, tg_value *const *v);

/* True when words of s can be read where they lie: plain memory of the compute type, nothing
 * masked. */
bool dot_is_direct(const dot_gen *g, const dot_side *s);
/* Hint that the memory at ptr is needed soon. */
void dot_prefetch(dot_gen *g, tg_value *ptr, bool write);
/* The same for element (row, k) of an operand in plain memory; nothing for others. */
void dot_prefetch_at(dot_gen *g, const dot_side *s, tg_value *row, tg_value *k);
/* Copies rows [row, row+count) x k [k, k+len) of s as words along k into `to` with `pitch_words`;
 * the row ends are filled with zero words up to a whole vector. `ahead`: the rows that many further
 * are needed next (0: nothing is known). */
void dot_stage_rows(dot_gen *g, const dot_side *s, tg_value *row, tg_value *count, tg_value *k,
                    tg_value *len, tg_value *to, int64_t pitch_words, int ahead);
/* The last words of `rows` rows from `row` (repeating the last row): `valid` elements at k of each,
 * one zero-filled vector a row, into `to`. One masked read in a loop, where unrolled reads would
 * each carry their masking. */
void dot_stage_ends(dot_gen *g, const dot_side *s, tg_value *row, int rows, tg_value *k,
                    tg_value *valid, tg_value *to);
/* Row number r of a block of `rows` at `row`: the last row of s repeats beyond its end. */
tg_value *dot_block_row(dot_gen *g, const dot_side *s, tg_value *row, int r, int rows);
/* Vectors of narrow elements taken at once: conversions from bytes then fill whole registers. */
enum { DOT_WIDE = 4 };
bool dot_takes_wide(const dot_gen *g, const dot_side *s);
/* n vectors along k from k on. */
void dot_fetch_wide(dot_gen *g, const dot_side *s, tg_value *row, tg_value *k, int n,
                    tg_value **out);
/* Can vectors of every n-th element along k be taken out of packed words? The other operand's row
 * has to be brought into that order. */
bool dot_spreads(const dot_gen *g, const dot_side *s);
void dot_fetch_spread(dot_gen *g, const dot_side *s, tg_value *row, tg_value *k, int n,
                      tg_value **out);
/* Staged rows: brings every whole group of n vectors into the order of dot_fetch_spread. */
void dot_spread_rows(dot_gen *g, tg_value *at, int64_t pitch_words, tg_value *count, tg_value *len,
                     int n);
/* Whether every length of s is a multiple of n. */
bool dot_whole(const dot_side *s, int64_t n);
/* Rows of a block at `row` in memory at k. */
dot_rows dot_rows_direct(dot_gen *g, const dot_side *s, tg_value *row, int rows, tg_value *k);
/* Row i (of x) of acc. */
tg_value *dot_acc_row(dot_gen *g, tg_value *i);
/* Sets acc[0..x.len, 0..y.len] to zero (whole vectors of the inner axis). */
void dot_zero_acc(dot_gen *g);

/* Loop with nothing carried. */
typedef struct dot_loop {
    tg_op *op;
    tg_value *iv;
} dot_loop;
dot_loop dot_for(dot_gen *g, tg_value *lo, tg_value *hi, int64_t step);
void dot_end_for(dot_gen *g, dot_loop l);
/* Emits the then-side only; skipped altogether when cond is constant false. Returns false then. */
bool dot_if(dot_gen *g, tg_value *cond, tg_op **op);
void dot_end_if(dot_gen *g, tg_op *op);

/* ---- four bytes a word ---- */
/* Takes them where no sum of 16 bits can overflow, or there is none. */
void dot_choose_quads(dot_gen *g);
/* Sums of 16 bits of two products each; those of at most g->group of them fit. */
tg_value *dot_quad_halves(dot_gen *g, tg_value *x, tg_value *y);
/* acc + the products of each word of x and y, by one instruction; only with sums_words. */
tg_value *dot_add_words(dot_gen *g, tg_value *x, tg_value *y, tg_value *acc);
/* Pairs of them added to words. */
tg_value *dot_quad_words(dot_gen *g, tg_value *halves);
/* What the sums of `count` staged rows of x start from, a word a row into `to`; nothing where
 * least is 0. */
void dot_quad_starts(dot_gen *g, tg_value *rows, int64_t pitch_words, tg_value *count,
                     tg_value *words, tg_value *to);

/* ---- two bf16 a word ---- */
/* Takes them where the machine has the product and y need not be converted first. */
void dot_choose_bf16(dot_gen *g);
/* The elements' bits, 16 of them, of `x` as fetch gave them: in memory or converted to f32. */
tg_value *dot_bf16_bits(dot_gen *g, tg_value *x);
/* Elements of memory of this type as the bits of bf16. */
tg_value *dot_bf16_of(dot_gen *g, tg_value *x, tg_dtype from);
/* acc + the two products of each word; g->apart says how. */
tg_value *dot_bf16_add(dot_gen *g, tg_value *x, tg_value *y, tg_value *acc);
/* The smallest element but zero that is seen, as vectors of bits: a start, one more vector of
 * words, and in the end a number for dot_bf16_fits. */
tg_value *dot_least_none(dot_gen *g);
tg_value *dot_least_add(dot_gen *g, tg_value *least, tg_value *words);
tg_value *dot_least_of(dot_gen *g, tg_value *least);
/* The same of `count` rows of `words` words (whole vectors are read) in memory. */
tg_value *dot_least_rows(dot_gen *g, tg_value *rows, int64_t pitch_words, tg_value *count,
                         tg_value *words);
/* Whether no product and no sum of products can come below the normal numbers. */
tg_value *dot_bf16_fits(dot_gen *g, tg_value *least_x, tg_value *least_y);

/* ---- bytes as bf16 ---- */
/* Whether elements of s along k can be looked up a register at a time. */
bool dot_splits_bytes(const dot_gen *g, const dot_side *s);
/* Two vectors of words from k on, not in k's order: rows of the other side are brought into theirs
 * by dot_split_rows, every whole pair of vectors of `count` staged rows of `len` elements. */
void dot_fetch_bytes(dot_gen *g, const dot_side *s, tg_value *row, tg_value *k, tg_value **out);
void dot_split_rows(dot_gen *g, tg_value *at, int64_t pitch_words, tg_value *count, tg_value *len);

/* ---- forms ---- */
void dot_emit_packed(dot_gen *g);
/* max_rows: the most x rows this code has to serve. */
void dot_emit_along_k(dot_gen *g, int64_t max_rows);
void dot_emit_along_rows(dot_gen *g, int64_t max_rows);
/* False: y is no matrix of codes, or the shape is not for this form. `otherwise` NULL: the product
 * is complete; else builds go on where the form does not apply, until the caller ends that branch.
 */
bool dot_emit_codes(dot_gen *g, tg_op **otherwise);

#endif
