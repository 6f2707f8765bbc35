/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrix units: blocks that the lanes of a sub-group multiply together, acc += a b, each lane
 * holding some elements of every block (its fragment). The table is matrix.def; machines name the
 * units that they have. Used by placement (the layout of accumulators), by the loop operations
 * fragload, fragstore and mma, by their verifier, interpreter and emitters.
 */
#ifndef TG_MATRIX_H
#define TG_MATRIX_H

#include "ir/layout.h"

typedef enum tg_matrix_id {
#define TG_MATRIX_UNIT(id, name, a, b, c, m, n, k, lanes, bits, la, lb, lc) TG_MATRIX_##id,
#include "ir/matrix.def"
#undef TG_MATRIX_UNIT
    TG_MATRIX_COUNT
} tg_matrix_id;

/* What a unit reads of shared memory together: so many rows of so many bytes (PTX ISA 8.5,
 * 9.7.14.5.15). */
enum { TG_UNIT_ROWS = 8, TG_UNIT_BYTES = 16 };

/* Most columns of one gmma (PTX ISA 8.5, 9.7.15.2). */
enum { TG_GMMA_COLUMNS = 256 };
/* Accumulators that one gwait gives back, at most. */
enum { TG_GMMA_MAX = 64 };

/*
 * How an operand of a gmma lies in shared memory (PTX ISA 8.5, 9.7.15.5.1): panels of `swizzle`
 * bytes a row, `panel` elements apart; within one, a row is M or N (K is contiguous), or, `turned`,
 * a step of K. Then 16-byte chunks of a row are xor-ed with its number: byte address bits 4.. with
 * bits 7.., as many as the mode has (3 of 128 bytes, 2 of 64, 1 of 32).
 */
typedef struct tg_gmma_operand {
    int64_t swizzle, turned, panel;
} tg_gmma_operand;

/* Whose fragment: number in the lists below. */
typedef enum tg_matrix_part { TG_PART_A, TG_PART_B, TG_PART_C, TG_PART_COUNT } tg_matrix_part;

typedef struct tg_matrix_unit {
    tg_matrix_id id;
    const char *name;
    tg_dtype type[TG_PART_COUNT];
    int m, n, k, lanes;
    int acc_bits; /* of the accumulator's fraction, its leading one counted (integers: its width) */
    const char *layout[TG_PART_COUNT];
} tg_matrix_unit;

const tg_matrix_unit *tg_matrix_at(size_t id); /* NULL past the last */
const tg_matrix_unit *tg_matrix_find(const char *name);
/* Operands are rounded to TF32 on their way in, which products have to ask for. */
bool tg_matrix_rounds(const tg_matrix_unit *u);
/* Rows and columns of a part's block. */
void tg_matrix_shape(const tg_matrix_unit *u, tg_matrix_part p, int64_t shape[2]);
/* Elements of a part that one lane holds. */
int64_t tg_matrix_elems(const tg_matrix_unit *u, tg_matrix_part p);
/* Lanes that hold the same element of a part. */
int64_t tg_matrix_copies(const tg_matrix_unit *u, tg_matrix_part p);
/* Which lane holds what is known: else accumulators meet elements in memory alone. */
static inline bool tg_matrix_is_open(const tg_matrix_unit *u) {
    return u->layout[TG_PART_C][0] != '\0';
}
/* Reads operand b from swizzled shared memory by itself (gmma); its M rows belong to all its lanes,
 * and one instruction takes many of its blocks side by side. */
static inline bool tg_matrix_reads_memory(const tg_matrix_unit *u) {
    return u->layout[TG_PART_C][0] != '\0' && u->layout[TG_PART_B][0] == '\0';
}
/* The unit of single sub-groups that has the same types and whose accumulators lie alike; NULL. */
const tg_matrix_unit *tg_matrix_instead(const tg_matrix_unit *u);
/* Layout of a part's fragment; NULL: the device does not say. Interned in m. */
const tg_layout *tg_matrix_layout(tg_module *m, const tg_matrix_unit *u, tg_matrix_part p);
/* Type of a fragment in loop code: a vector of elements as registers carry them. */
const tg_type *tg_matrix_type(tg_module *m, const tg_matrix_unit *u, tg_matrix_part p);

/*
 * Lanes of an accumulator [batch.., M, N] of fragments: warps[a] groups of lanes along axis a, each
 * with a row of neighbouring blocks; groups beyond their product hold the same again, up to `lanes`
 * lanes. Registers: those of a block together, blocks along N, then along M, then batches. NULL
 * where blocks and warps do not divide the shape or the unit keeps its fragments to itself.
 */
const tg_layout *tg_matrix_accumulator(tg_module *m, const tg_matrix_unit *u, int rank,
                                       const int64_t *shape, const int64_t *warps, int64_t lanes);
/*
 * Lanes of operand a [batch.., M, K] of a product with that accumulator: the rows of its
 * sub-groups, all of K in registers (blocks along K inside those of rows), columns of the
 * accumulator replicas. NULL where K is no multiple of the unit's or the unit keeps its fragments
 * to itself.
 */
const tg_layout *tg_matrix_operand(tg_module *m, const tg_matrix_unit *u, const tg_layout *acc,
                                   int64_t k);
/* Byte address (from an aligned start) after the swizzle: its own inverse. */
static inline int64_t tg_swizzled(int64_t address, int64_t swizzle) {
    enum { CHUNK = 16, ROWS_AT = 7, CHUNK_AT = 4 };
    return swizzle <= CHUNK ? address
                            : address ^ ((address >> ROWS_AT & (swizzle / CHUNK - 1)) << CHUNK_AT);
}
/* Bytes that a swizzled array begins at a multiple of. */
enum { TG_SWIZZLE_ALIGN = 1024 };

/* l holds fragments of a part: elems(part) consecutive registers of a sub-group's lanes are one
 * block's, whose corner lies at multiples of the block's extents. */
bool tg_matrix_holds(tg_module *m, const tg_matrix_unit *u, tg_matrix_part part, const tg_layout *l,
                     int rank);

#endif
