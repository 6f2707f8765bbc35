/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to ir/interp. A tile is an array of 8-byte cells (double for floats, sign- or
 * zero-extended int64 for integers and bool), a span two cells (lo, hi), a tensor a tg_iv_tensor.
 *
 *   tg_interp_run ─ programs ─ tg_interp_region ─ tg_eval_X per op (table made from ops.def)
 *
 * Cells live on a stack of chunks that is cut back when a region ends, so long loops do not grow.
 * All memory comes from the caller's scratch arena.
 */
#ifndef TG_INTERP_INTERNAL_H
#define TG_INTERP_INTERNAL_H

#include "ir/interp.h"

typedef union tg_cell {
    double f;
    int64_t i;
} tg_cell;

/* A view of memory at run time; strides in bytes, innermost of a sub-byte dtype packed. */
typedef struct tg_iv_tensor {
    char *base;
    tg_dtype dtype;
    int rank;
    int param; /* index of the parameter it views */
    int64_t extent[TG_MAX_RANK], stride[TG_MAX_RANK];
} tg_iv_tensor;

/* ---- cell stack ----------------------------------------------------------------------------- */

typedef struct tg_chunk {
    struct tg_chunk *next;
    size_t cap;
    char *data;
} tg_chunk;

typedef struct tg_cell_stack {
    tg_arena *arena;
    tg_chunk *first, *current;
    size_t used; /* bytes of current */
} tg_cell_stack;

typedef struct tg_stack_mark {
    tg_chunk *chunk;
    size_t used;
} tg_stack_mark;

void tg_stack_init(tg_cell_stack *s, tg_arena *a);
void *tg_stack_alloc(tg_cell_stack *s, size_t bytes); /* not cleared */
tg_stack_mark tg_stack_get_mark(const tg_cell_stack *s);
void tg_stack_release(tg_cell_stack *s, tg_stack_mark m);

/* ---- race detection (shadow.c) ----------------------------------------------------------------
 */

typedef enum tg_access { TG_ACCESS_READ, TG_ACCESS_WRITE, TG_ACCESS_ATOMIC } tg_access;
typedef enum tg_race { TG_RACE_NONE, TG_RACE_WRITES, TG_RACE_READ, TG_RACE_TWICE } tg_race;
typedef struct tg_shadow tg_shadow;

/* written[p]: parameter p is stored to somewhere in the kernel. */
tg_shadow *tg_shadow_make(tg_arena *a, const tg_func *f, const tg_iv_tensor *const *tensors,
                          const bool *written);
/*
 * Records an access of `program` to the element at addr (nibble: upper half, for sub-byte
 * elements). store_id numbers the executed stores. *out_other: the program in conflict.
 */
tg_race tg_shadow_touch(tg_shadow *s, const tg_iv_tensor *t, const char *addr, bool nibble,
                        tg_access access, int64_t program, uint32_t store_id, int64_t *out_other);
bool tg_shadow_watches(const tg_shadow *s, int param);

/* ---- the machine ------------------------------------------------------------------------------
 */

typedef struct tg_interp {
    tg_func *func;
    const tg_interp_options *opt;
    const int64_t *syms;
    tg_sink *sink;
    tg_arena *arena;
    tg_cell_stack stack;
    void **values; /* by value id */
    tg_shadow *shadow;
    double *small_decode[TG_DT_COUNT]; /* 256-entry tables of the 4- and 8-bit floats */
    int64_t program;
    int64_t steps;
    uint64_t moves; /* by noise */
    uint32_t store_id;
    tg_op no_yield;              /* stands for the yield that a region without results may omit */
    bool stop;                   /* give up: reported */
    TG_LIST(const tg_op *) told; /* ops with a report already */
    TG_LIST(tg_op *) births;     /* ops of this program that made a NaN */
} tg_interp;

typedef void tg_eval_fn(tg_interp *in, tg_op *op);

#define TG_OP(ident, ...) void tg_eval_##ident(tg_interp *in, tg_op *op);
#include "ir/ops.def"
#undef TG_OP

/* Runs a region whose arguments are set; its yield, or NULL when stopped. */
tg_op *tg_interp_region(tg_interp *in, tg_region *r);

static inline const void *tg_iv_get(const tg_interp *in, const tg_value *v) {
    return in->values[v->id];
}
static inline const tg_cell *tg_iv_cells(const tg_interp *in, const tg_op *op, int operand) {
    return in->values[tg_operand(op, operand)->id];
}
static inline void tg_iv_set(tg_interp *in, const tg_value *v, const void *data) {
    in->values[v->id] = (void *)(uintptr_t)data;
}
/* Fresh cells for result r, already bound to it. */
tg_cell *tg_iv_result(tg_interp *in, const tg_op *op, int r);
/* Bytes of the run-time form of a value of this type. */
size_t tg_iv_bytes(const tg_type *t);
/* Number of operands without the trailing mask, and the mask's cells or NULL. */
int tg_iv_operands(const tg_op *op);
const tg_cell *tg_iv_mask(const tg_interp *in, const tg_op *op);

/* Reports at op's place, once per op and id; errors make the run fail. */
void tg_interp_error(tg_interp *in, const tg_op *op, tg_diag_id id, const char *fmt, ...)
    TG_PRINTF(4, 5);
void tg_interp_fatal(tg_interp *in, const tg_op *op, tg_diag_id id, const char *fmt, ...)
    TG_PRINTF(4, 5);
/* EXACT mode: the op's result may depend on order or rounding. */
void tg_interp_inexact(tg_interp *in, const tg_op *op, const char *why);
/* Counts n more evaluated elements. */
void tg_interp_step(tg_interp *in, const tg_op *op, int64_t n);
/* A NaN reached memory: tell of the operations that made one. */
void tg_interp_tell_births(tg_interp *in);

/* Moves op's results by the error that the language allows it (noise.c). */
void tg_interp_noise(tg_interp *in, const tg_op *op);

/* The first step from `from` on that visits every index of 0..n (n > 1) once: coprime to n. */
int64_t tg_interp_walk(int64_t from, int64_t n);

/* Overlap of arguments and, if facts, the data facts of the parameters (bind.c). */
bool tg_interp_check_args(const tg_func *f, const tg_interp_arg *args, const int64_t *syms,
                          bool facts, tg_arena *scratch, tg_sink *sink);

/* ---- numbers (numbers.c) ------------------------------------------------------------------------
 */

/* f32 arithmetic of this type is done in double (f64, or the F64 mode). */
static inline bool tg_num_wide(const tg_interp *in, tg_dtype t) {
    return t == TG_DT_F64 || in->opt->mode == TG_INTERP_F64;
}
/* Rounds to f32 unless wide. */
static inline double tg_num_round(const tg_interp *in, tg_dtype t, double v) {
    return tg_num_wide(in, t) ? v : (double)(float)v;
}
int64_t tg_num_wrap(tg_dtype t, int64_t v);
tg_cell tg_num_decode(const tg_interp *in, tg_dtype t, uint64_t bits);
uint64_t tg_num_encode(tg_dtype t, tg_cell c);
/* What "0" is where nothing is there: all bits 0, which is 2^-127 in f8e8m0. */
tg_cell tg_num_zero(tg_dtype t);
tg_cell tg_num_load(tg_interp *in, const tg_iv_tensor *t, const char *addr, int64_t packed_index);
void tg_num_store(const tg_iv_tensor *t, char *addr, int64_t packed_index, tg_cell c);
double tg_num_min(double a, double b); /* NaN propagates, -0 < +0 */
double tg_num_max(double a, double b);
/* Total order of keys: NaN above +inf, -0 before +0; < 0, 0, > 0. */
int tg_num_order(tg_dtype t, tg_cell a, tg_cell b);
bool tg_num_is_nan(tg_dtype t, tg_cell c);
tg_cell tg_num_cast(const tg_interp *in, tg_dtype from, tg_dtype to, tg_cell v, tg_round round,
                    bool saturate);
/* Reference value of a math function; *out_exact: the result is the mathematical value. */
double tg_num_math(tg_math_fn fn, double x, bool *out_exact);
void tg_philox4x32(uint64_t key, uint64_t counter, uint32_t out[4]);

/* Whether sums of values with this |sum| and these lowest bits are exact in f32 in any order. */
typedef struct tg_exactness {
    double magnitude; /* sum of absolute values */
    int lsb;          /* exponent of the lowest set bit of any of them; INT_MAX if all are 0 */
    bool special;     /* infinities or NaN: no rounding to speak of */
} tg_exactness;
void tg_exactness_init(tg_exactness *e);
void tg_exactness_add(tg_exactness *e, double v);
bool tg_exactness_holds(const tg_exactness *e, tg_dtype t);
int tg_double_lsb(double v); /* v finite, not 0 */

#endif
