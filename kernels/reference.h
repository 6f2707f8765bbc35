/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain C references of the stock kernels, in double precision, written from the specification and
 * apart from the kernels: the witness that a kernel is right. They see decoded arguments by
 * position and know nothing of the compiler.
 *
 * A reference reads the inputs (already rounded to their storage types and decoded exactly) and
 * fills the outputs' `f` or `i` in double or int64; it does not round them. Row-major, dense.
 */
#ifndef TG_KERNELS_REFERENCE_H
#define TG_KERNELS_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tegula/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TGK_API __attribute__((visibility("default")))

/* A setting of the case by name: compile-time parameters, those that stand in no extent included;
 * a type's value is its tg_dtype. */
typedef struct tgk_constant {
    const char *name;
    int64_t value;
} tgk_constant;

/* One argument in parameter order. Floats in f, integers and bool in i, records in bytes. */
typedef struct tgk_arg {
    const char *name;
    tg_dtype dtype;
    bool is_out;
    int rank; /* 0: scalar */
    int64_t extent[TG_MAX_RANK];
    int64_t elem_bytes; /* records */
    double *f;
    int64_t *i;
    unsigned char *bytes;
    double *slack;                 /* TGK_TOL_DERIVED: what each element may be off; else NULL */
    int64_t count;                 /* product of extents */
    const tgk_constant *constants; /* the same for all arguments; the last has no name */
} tgk_arg;

/* A deterministic stream of test values (splitmix64 and the polar method). */
typedef struct tgk_random {
    uint64_t state;
    double spare;
    bool has_spare;
    bool exact; /* every value the kernel computes must be exact in f32 (references with
                   exact_inputs) */
    bool full;  /* for measuring: greatest lengths, no window, no soft cap, no empty request */
} tgk_random;
TGK_API uint64_t tgk_random_u64(tgk_random *r);
TGK_API double tgk_random_uniform(tgk_random *r); /* [0, 1) */
TGK_API double tgk_random_normal(tgk_random *r);  /* N(0, 1) */
/* How many elements to draw: all, but of a large array that is only to be timed (`full`) its
 * beginning, which tgk_repeat then repeats over the rest. */
TGK_API int64_t tgk_drawn(const tgk_arg *a, const tgk_random *r);
TGK_API void tgk_repeat(tgk_arg *a, int64_t drawn);
TGK_API int64_t tgk_random_below(tgk_random *r, int64_t n);

/* How outputs are judged when the case line itself has no `tol`. Derivations: docs/tolerances.md.
 */
typedef enum tgk_tolerance {
    TGK_TOL_EXACT,     /* integers, movement: equal */
    TGK_TOL_ULP,       /* |err| <= bound units in the last place of the output type, plus `abs` */
    TGK_TOL_DERIVED,   /* |err| <= bound units in the last place plus the element's arg->slack */
    TGK_TOL_GATE,      /* attention: calc_diff <= bound and, row by row, max|err|/rms <= abs;
                          bound and abs 0: 5e-6 and 0.03 */
    TGK_TOL_LSE,       /* |err| <= 1e-5 + 1.2e-4 |lse| */
    TGK_TOL_NMSE,      /* sum (x-y)^2 <= bound * sum y^2 */
    TGK_TOL_CALC_DIFF, /* 1 - 2<x,y>/(<x,x>+<y,y>) <= bound */
    TGK_TOL_STEPS /* records: at most the share `bound` of the bytes differ, each by one step of
                     a code or of a bf16 (attention.md K10); others are equal or not */
} tgk_tolerance;

typedef struct tgk_output_rule {
    const char *name; /* output parameter */
    tgk_tolerance tol;
    double bound;
    double abs;
} tgk_output_rule;

#define TGK_MAX_OUTPUTS 8

typedef struct tgk_reference {
    const char *kernel;
    /* Fills every output. Returns false when the arguments do not fit (never for a valid launch).
     */
    bool (*run)(tgk_arg *args, int n_args);
    /* Replaces the default inputs (N(0,1); integers by their facts) where the kernel needs meaning:
     * page tables, lengths, valid and invalid indices. May be NULL. */
    void (*inputs)(tgk_arg *args, int n_args, tgk_random *r);
    bool exact_inputs; /* inputs() honours r->exact for float tensors, too; else they become small
                          integers */
    tgk_output_rule outputs[TGK_MAX_OUTPUTS];
} tgk_reference;

TGK_API const tgk_reference *tgk_reference_find(const char *kernel);
/* How an output is judged; NULL: the reference has no such output. */
TGK_API const tgk_output_rule *tgk_rule_find(const tgk_reference *ref, const char *output);

/* Argument by name, or NULL. */
TGK_API tgk_arg *tgk_find(tgk_arg *args, int n_args, const char *name);

/* The case's setting of that name, else `otherwise`. */
TGK_API int64_t tgk_constant_of(const tgk_arg *args, const char *name, int64_t otherwise);

/* Value helpers of the references. */
double tgk_float(const tgk_arg *a); /* scalar float */
int64_t tgk_int(const tgk_arg *a);  /* scalar integer */
double tgk_e4m3(uint8_t code);
double tgk_e2m1(unsigned code);
/* The codes of values that the types hold, -0 among them. */
uint8_t tgk_e4m3_code(double v);
unsigned tgk_e2m1_code(double v);
double tgk_bf16(const unsigned char *p);
double tgk_f32(const unsigned char *p);
/* Little endian; bf16 takes the upper half of the f32. */
void tgk_put_bf16(unsigned char *p, double v);
void tgk_put_f32(unsigned char *p, double v);

/* Registration: each family's file exports its rows, the last one without a kernel. */
#define TGK_FAMILY(name) extern const tgk_reference tgk_##name##_references[];
#include "kernels/families.def"
#undef TGK_FAMILY

#ifdef __cplusplus
}
#endif
#endif
