/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the source generator: its state and what its two files share. */
#ifndef TG_TEST_RANDOM_SOURCE_INTERNAL_H
#define TG_TEST_RANDOM_SOURCE_INTERNAL_H

#include "tests/random/gen.h"
#include "tests/random/source.h"

enum { MAX_VALUES = 120, MAX_INPUTS = 8 };

typedef enum kind { KIND_FLOAT, KIND_INT, KIND_BOOL } kind;

typedef struct value {
    char text[24]; /* name */
    char axes[4];
    kind k;
    bool absent; /* maybe, inside its blocks */
    bool exact;  /* floats: whole multiples of 1/4 up to bound */
    double bound;
} value;

typedef struct input {
    char axes[4];
    const char *dtype;
} input;

typedef struct maker {
    tg_sb sb;
    uint64_t rng;
    value pool[MAX_VALUES];
    int n, next_name, depth;
    input inputs[MAX_INPUTS];
    int n_inputs;
    bool two; /* grid i, j; else grid i */
    bool in_loop;
    bool has_records, has_state, has_counts; /* parameters that are there */
} maker;

int src_below(maker *m, int n);
bool src_chance(maker *m, int percent);
void src_indent(maker *m);
void src_push(maker *m, value v);
/* Begins `let vN = ` for a value that is then written and pushed by the caller. */
void src_let(maker *m, value *v);
value *src_pick(maker *m, kind k);
bool src_has(const value *v, char axis);
/* Appends v with new axes where `axes` has more: the language's `_`. False when v has others. */
bool src_put_as(maker *m, const value *v, const char *axes);
bool src_join_axes(const value *x, const value *y, char out[4]);
void src_put_tame(maker *m, const value *x);
void src_put_shape(maker *m, const char *axes);
void src_step(maker *m);

/* What source_more.c adds: declarations before the kernel, parameters, statements. */
void src_put_declarations(maker *m);
void src_put_more_params(maker *m);
void src_step_more(maker *m);

#endif
