/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seeded random tile-level kernels whose results do not depend on any freedom of the language: sums
 * and products that may be reordered only meet values for which every order is exact in f32, and
 * elements that are absent never reach memory. So any two correct executions agree bit for bit.
 */
#ifndef TG_TEST_RANDOM_GEN_H
#define TG_TEST_RANDOM_GEN_H

#include "ir/ir.h"

enum { GEN_MAX_PARAMS = 24, GEN_MAX_SYMS = 6 };

typedef enum gen_data {
    GEN_DATA_ANY,   /* any bits of an integer type; small exact numbers of a float type */
    GEN_DATA_INDEX, /* -3 .. index_limit + 2 */
    GEN_DATA_OUTPUT /* a fixed pattern; results are compared */
} gen_data;

enum { GEN_MAX_FIELDS = 8 };

/* A field of records: bytes from the record's start, trailing axes (byte stride 0: packed). */
typedef struct gen_field {
    tg_dtype dtype;
    int64_t offset;
    int rank;
    int64_t dims[TG_MAX_RANK], strides[TG_MAX_RANK];
} gen_field;

typedef struct gen_param {
    gen_data data;
    int64_t index_limit;
    bool specials;   /* a few NaN, infinities, -0 */
    bool subnormals; /* and the smallest numbers of the type */
    bool padded;     /* rows are further apart than they are long */
    gen_field fields[GEN_MAX_FIELDS];
    int n_fields;
} gen_param;

typedef struct gen_case {
    tg_module *module;
    tg_func *func;
    gen_param params[GEN_MAX_PARAMS];
    int64_t syms[GEN_MAX_SYMS]; /* run-time values */
    uint64_t seed;
    bool edited; /* from text: absent elements may show, as 0 */
} gen_case;

typedef struct gen_options {
    int max_steps;    /* statements at the outer level */
    bool plain_types; /* f32, i32, bool only */
    bool no_control;
    bool matrix; /* many products of extents and types that matrix units take */
} gen_options;

void gen_make(gen_case *out, uint64_t seed, const gen_options *options, tg_arena *a);

/* Puts the kernel of this text in place of the generated one; false when it does not parse. */
bool gen_replace(gen_case *c, const char *text, tg_arena *a);
/* A case from text alone, its first line "// NAME = value ..."; data by the parameters' flags. */
bool gen_from_text(gen_case *c, const char *text, tg_arena *a);

/* The fields that the kernel's views show, for records of kernels that were not generated here. */
void gen_find_fields(gen_case *c);

/* splitmix64; also used for the data */
uint64_t gen_random(uint64_t *state);

#endif
