/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs one generated kernel in every way there is and compares the memory afterwards bit for bit
 * (any NaN equals any NaN): interpreter, interpreter in another program order, text round trip,
 * interpreter after each pass, compiled code.
 */
#ifndef TG_TEST_RANDOM_RUN_H
#define TG_TEST_RANDOM_RUN_H

#include "tests/random/gen.h"

typedef struct run_options {
    bool passes;        /* check after each pass of the pipeline */
    bool cpu;           /* lower for the host's processor and run, before and after the passes */
    const char *device; /* and through the whole compiler on this device of the runtime; or NULL */
    bool verbose;
    const char *save; /* folder for the IR of a failing program, or NULL */
} run_options;

/* A message that begins so is no failure: the device refuses what docs/targets.md says it does. */
#define RUN_REFUSED "refused by the device: "
bool run_is_refusal(const char *wrong);

/* NULL when all agree, else what went wrong (in the arena). The kernel may be changed by passes. */
const char *run_case(gen_case *c, const run_options *options, tg_arena *a);

/* ---- memory.c ---- */

/* Tensors that end at an unmapped page, so that a read or write past the end is a fault. */
typedef struct case_tensor {
    char *map, *base;
    size_t map_bytes, bytes;
    int64_t elem;                                     /* bytes of one element; 1 for packed ones */
    int64_t extent[TG_MAX_RANK], stride[TG_MAX_RANK]; /* strides in bytes, 0 for a packed axis */
    int rank;
    tg_dtype dtype;
} case_tensor;

typedef struct case_memory {
    case_tensor tensors[GEN_MAX_PARAMS]; /* rank 0 and no map: scalar */
    uint64_t scalars[GEN_MAX_PARAMS];
    int n;
} case_memory;

void memory_make(case_memory *m, const gen_case *c);
/* Gives the `out` tensors other contents. */
void memory_spoil_outputs(case_memory *m, const gen_case *c);
void memory_free(case_memory *m);
/* Places where the two differ, as text; NULL when they agree. */
const char *memory_compare(const case_memory *want, const case_memory *got, const gen_case *c,
                           tg_arena *a);

/*
 * The same for a program in the language (source.h): also formats it and requires one result for
 * all choices of its tunes. *out_refused: the front end refuses it, the text says why.
 */
const char *run_source(const char *text, uint64_t seed, const run_options *options,
                       bool *out_refused, tg_arena *a);

/*
 * Interprets c, as the front end made it, with anything in absent elements and, if asked for, other
 * bytes in outputs at the start: neither may show in the results.
 */
const char *run_poisoned(gen_case *c, const case_memory *want, bool outputs, tg_arena *a);

/* Only what the guarantees say, of a program that the front end may refuse: NULL then too. */
const char *run_mutant(const char *text, uint64_t seed, bool *out_accepted, tg_arena *a);

/* Runs the reference interpreter on memory made for the case; NULL or what went wrong. */
const char *run_reference(const gen_case *c, case_memory *m, tg_arena *a);

/* Compiles the kernel for this host and runs it on the memory; NULL or what went wrong. */
const char *run_compiled(gen_case *c, case_memory *m, tg_arena *a);

/* The same on a device of the runtime (device.c). */
const char *run_on_device(const char *name, gen_case *c, case_memory *m, tg_arena *a);

#endif
