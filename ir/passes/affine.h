/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known about integer values: linear forms over atoms, linear facts, and a small prover.
 *
 * An atom is something whose inside is not looked into: a dimension name, a block number, a loop
 * counter, a minimum, a quotient, any other value. A linear form is exact: it is only made where no
 * intermediate result can leave the range of its type, by interval arithmetic. Facts (form >= 0)
 * come from the launch (extents lie in 0 .. TG_MAX_EXTENT, `require` lines hold), from loops and
 * branches (inside their regions only), and from the meaning of min, max, / and %. Declared facts
 * about data
 * (`sorted`, `range`) are not used: the launch does not check them.
 *
 * Proving form >= 0: the lower bound by intervals; else cancel an atom with a fact that bounds it
 * and try again, a few steps deep; a minimum is taken apart into its two cases. The answer "no"
 * means "not shown".
 */
#ifndef TG_AFFINE_H
#define TG_AFFINE_H

#include "ir/ir.h"

enum { TG_AFFINE_MAX_TERMS = 10 };

typedef struct tg_affine_term {
    int atom;
    int64_t coef; /* not 0 */
} tg_affine_term;

/* Sum of coef * atom plus constant; terms ordered by atom. ok false: not a usable form. */
typedef struct tg_affine {
    bool ok;
    int n;
    int64_t constant;
    tg_affine_term terms[TG_AFFINE_MAX_TERMS];
} tg_affine;

typedef struct tg_affine_ctx tg_affine_ctx;

/* Reads the facts of f. The context is good until f changes in ways that matter to it: new values
 * may be added and asked about, but loops' bounds must stay. */
tg_affine_ctx *tg_affine_make(tg_func *f, tg_arena *scratch);

/* The form of an integer scalar (always ok: at worst one atom), or of a dimension expression. */
tg_affine tg_affine_of(tg_affine_ctx *c, const tg_value *v);
tg_affine tg_affine_of_dim(tg_affine_ctx *c, const tg_dim *d);
tg_affine tg_affine_const(int64_t v);

/* Elements of an integer tile: all lie in base + [low, high], and both ends are reached if the tile
 * is a sum of broadcasts of scalars and iotas. ok false when not of that form. */
typedef struct tg_affine_tile {
    tg_affine base;
    int64_t low, high;
} tg_affine_tile;
tg_affine_tile tg_affine_of_tile(tg_affine_ctx *c, const tg_value *v);

/* a + scale * b, and a + n; ok false on overflow. */
tg_affine tg_affine_add(const tg_affine *a, const tg_affine *b, int64_t scale);
tg_affine tg_affine_offset(const tg_affine *a, int64_t n);

/* Shown to be >= 0 for every execution that reaches region `where`. */
bool tg_affine_prove(tg_affine_ctx *c, const tg_affine *a, const tg_region *where);
/* Shown to be a multiple of m (m > 0). */
bool tg_affine_divisible(tg_affine_ctx *c, const tg_affine *a, int64_t m);
/* Bounds by intervals; false when it may leave int64. */
bool tg_affine_range(const tg_affine_ctx *c, const tg_affine *a, int64_t *out_lo, int64_t *out_hi);

/* Coefficient of the atom that stands for v itself (a block number or loop counter); 0 if absent.
 */
int64_t tg_affine_coef(const tg_affine_ctx *c, const tg_affine *a, const tg_value *v);
/* The value or dimension name an atom stands for: one of the two is set. */
void tg_affine_atom(const tg_affine_ctx *c, int atom, const tg_value **out_value,
                    const tg_dim **out_dim);

#endif
