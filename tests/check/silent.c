/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Correct programs stay silent: the programs of the defect table and generated kernels, as placed
 * code and as loop code, with the tile interpreter's results.
 *
 *   check_silent [FIRST COUNT]   seeds of the generated kernels (1 60)
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/check/subject.h"

static int failures;

static void tell(const subject *s, uint64_t seed, const char *what, judge j, const char *why) {
    if (j != JUDGE_SILENT) {
        (void)printf("%s %llu: %s: %s: %s\n", s->name, (unsigned long long)seed, what,
                     judge_name(j), why != NULL ? why : "");
        failures++;
    }
}

static void judge_all(subject *s, uint64_t seed, tg_arena *a) {
    const char *why = NULL;
    judge j = subject_judge_placed(s, seed + 1, a, &why);
    tell(s, seed, "placed", j, why);
    if (s->by_hand || s->roles) {
        return;
    }
    tg_module *loop = subject_lower(s, a, &why);
    if (loop == NULL) {
        tell(s, seed, "lowering", JUDGE_LOOP, why);
        return;
    }
    j = subject_judge_loop(s, loop, seed + 1, a, &why);
    tell(s, seed, "loop", j, why);
}

typedef struct counts {
    int programs, refused;
} counts;

static bool one(int number, uint64_t seed, tg_env *env, counts *n) {
    subject s;
    tg_arena arena;
    jmp_buf buf;
    tg_arena_init(&arena, env);
    if (TG_ENV_GUARD(env, buf)) {
        failures++;
        return false;
    }
    bool made = number >= 0 ? subject_make(number, &s, &arena) : subject_random(seed, &s, &arena);
    env->oom = &buf;
    if (made) {
        judge_all(&s, seed, &arena);
        n->programs++;
    } else {
        n->refused += number < 0;
    }
    if (made || number < 0) {
        subject_free(&s);
    }
    tg_arena_fini(&arena);
    return made;
}

int main(int argc, char **argv) {
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 60;
    counts n = {0};
    tg_env env;
    tg_env_init(&env, tg_allocator_default(), 0);
    for (int number = 0; argc < 2 && one(number, 1, &env, &n); number++) {
    }
    for (uint64_t seed = first; seed < first + count; seed++) {
        (void)one(-1, seed, &env, &n);
    }
    bool few = (uint64_t)n.programs < count / 2;
    (void)printf("%d programs, %d reports, %d refused by the placer\n", n.programs, failures,
                 n.refused);
    return failures > 0 || few;
}
