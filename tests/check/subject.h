/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs under check: compiled from a few lines of the language, generated, or placed by hand;
 * and the three judges: static checker, placed interpreter, loop interpreter.
 */
#ifndef TG_TEST_CHECK_SUBJECT_H
#define TG_TEST_CHECK_SUBJECT_H

#include "backends/backend.h"
#include "ir/check.h"
#include "tests/random/run.h"

/* programs.c */
typedef struct check_program {
    const char *name, *text;
    bool by_hand;                  /* placed IR */
    bool roles;                    /* for a machine with a copy unit */
    const char *stages, *replicas; /* of the schedule, or NULL */
    int64_t syms[GEN_MAX_SYMS];
} check_program;
/* NULL past the last. */
const check_program *check_program_at(int number);

typedef struct subject {
    const char *name;
    gen_case c; /* the tile function, data and extents; the placed one itself when by hand */
    bool by_hand;
    bool roles;      /* placed with roles: not lowered */
    tg_func *placed; /* fresh for every subject_make */
    tg_module *module;
    case_memory want;
} subject;

/* Programs of the defect table, by number; false past the last. The subject's memory is freed by
 * subject_free. */
bool subject_make(int number, subject *s, tg_arena *a);
/* A generated tile kernel; false when the placer refuses it. */
bool subject_random(uint64_t seed, subject *s, tg_arena *a);
void subject_free(subject *s);

typedef enum judge { JUDGE_SILENT, JUDGE_STATIC, JUDGE_PLACED, JUDGE_LOOP, JUDGE_RESULT } judge;
const char *judge_name(judge j);

/* Judges of the placed function. *why: the first finding. */
judge subject_judge_placed(subject *s, uint64_t seed, tg_arena *a, const char **why);
/* Lowers; NULL with *why when the lowering refuses. */
tg_module *subject_lower(subject *s, tg_arena *a, const char **why);
judge subject_judge_loop(subject *s, tg_module *loop, uint64_t seed, tg_arena *a, const char **why);

#endif
