/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seeded defects. Every kind of defect is planted at the first place of the first programs that
 * have one, then as many again at places drawn by a seed. Each is judged by the static checker, the
 * placed interpreter and, for loop code, the loop interpreter; the table says who reports it first.
 * Exits 1 when one is not reported, or a kind has no place in any program.
 *
 *   check_defects [--markdown] [--all COUNT]   the table for docs/checker.md; more random ones
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/check/mutate.h"
#include "tests/check/subject.h"

enum { PER_KIND = 1, RANDOM = 60, MAX_PROGRAMS = 32, MIN_ROWS = 120 };

typedef struct table {
    bool markdown;
    int rows, missed;
    int homeless; /* kinds that were planted nowhere */
    int by[JUDGE_RESULT + 1];
} table;

typedef struct row {
    const mutation *m;
    int program;
    uint64_t pick;
    bool drawn;
} row;

static void tell(table *t, const row *w, const subject *s, judge j, const char *why) {
    t->rows++;
    t->by[j]++;
    t->missed += j == JUDGE_SILENT;
    if (t->markdown) {
        (void)printf("| %s | %s | %s | %s | %s |\n", w->m->name, s->name,
                     w->drawn ? "drawn" : "chosen", judge_name(j), why != NULL ? why : "");
    } else {
        (void)printf("%-34s %-10s %-7s %-18s %.90s\n", w->m->name, s->name,
                     w->drawn ? "drawn" : "chosen", judge_name(j), why != NULL ? why : "");
    }
}

static bool is_loop(const mutation *m) { return strncmp(m->name, "loop:", 5) == 0; }

/* Plants and judges; false when the program has no place for it. */
static bool plant(table *t, const row *w, subject *s, tg_arena *a) {
    const char *why = NULL;
    judge j;
    if (!is_loop(w->m)) {
        if (!w->m->apply(s->placed, w->pick)) {
            return false;
        }
        j = subject_judge_placed(s, 7, a, &why);
        tell(t, w, s, j, why);
        return true;
    }
    tg_module *loop = s->by_hand || s->roles ? NULL : subject_lower(s, a, &why);
    tg_func *f =
        loop != NULL ? tg_func_find(loop, tg_arena_printf(a, "%s.phase0", s->placed->name)) : NULL;
    if (f == NULL || subject_judge_loop(s, loop, 3, a, &why) != JUDGE_SILENT ||
        !w->m->apply(f, w->pick)) {
        return false;
    }
    j = subject_judge_loop(s, loop, 7, a, &why);
    tell(t, w, s, j, why);
    return true;
}

static bool try_row(table *t, const row *w, tg_env *env) {
    subject s;
    tg_arena arena;
    jmp_buf buf;
    tg_arena_init(&arena, env);
    if (TG_ENV_GUARD(env, buf)) {
        return false;
    }
    bool made = subject_make(w->program, &s, &arena), planted = false;
    env->oom = &buf;
    if (made) {
        planted = plant(t, w, &s, &arena);
        subject_free(&s);
    }
    tg_arena_fini(&arena);
    return planted;
}

static int n_kinds(void) {
    return n_placed_mutations + n_role_mutations + n_replica_mutations + n_loop_mutations;
}

static const mutation *kind(int k) {
    if (k < n_placed_mutations) {
        return &placed_mutations[k];
    }
    k -= n_placed_mutations;
    if (k < n_role_mutations) {
        return &role_mutations[k];
    }
    k -= n_role_mutations;
    return k < n_replica_mutations ? &replica_mutations[k]
                                   : &loop_mutations[k - n_replica_mutations];
}

static void chosen(table *t, tg_env *env) {
    for (int k = 0; k < n_kinds(); k++) {
        int planted = 0;
        for (int p = 0; p < MAX_PROGRAMS && planted < PER_KIND; p++) {
            row w = {.m = kind(k), .program = p};
            planted += try_row(t, &w, env);
        }
        if (planted == 0) {
            (void)fprintf(stderr, "%s: no program has a place for it\n", kind(k)->name);
            t->homeless++;
        }
    }
}

static void drawn(table *t, tg_env *env, int count, int n_programs) {
    uint64_t rng = 2026;
    for (int n = 0, tries = 0; n < count && tries < 20 * count; tries++) {
        row w = {.drawn = true};
        w.m = kind((int)(gen_random(&rng) % (uint64_t)n_kinds()));
        w.program = (int)(gen_random(&rng) % (uint64_t)n_programs);
        w.pick = gen_random(&rng) >> 8;
        n += try_row(t, &w, env);
    }
}

static bool exists(int program, tg_env *env) {
    subject s;
    tg_arena arena;
    jmp_buf buf;
    tg_arena_init(&arena, env);
    if (TG_ENV_GUARD(env, buf)) {
        return false;
    }
    bool made = subject_make(program, &s, &arena);
    if (made) {
        subject_free(&s);
    }
    tg_arena_fini(&arena);
    return made;
}

static int count_programs(tg_env *env) {
    int n = 0;
    while (exists(n, env)) {
        n++;
    }
    return n;
}

int main(int argc, char **argv) {
    table t = {0};
    int count = RANDOM;
    for (int i = 1; i < argc; i++) {
        t.markdown |= strcmp(argv[i], "--markdown") == 0;
        count = strcmp(argv[i], "--all") == 0 && i + 1 < argc ? atoi(argv[i + 1]) : count;
    }
    tg_env env;
    tg_env_init(&env, tg_allocator_default(), 0);
    if (t.markdown) {
        (void)printf(
            "| defect | program | place | reported by | first report |\n|---|---|---|---|---|\n");
    }
    chosen(&t, &env);
    drawn(&t, &env, count, count_programs(&env));
    (void)printf(
        "\n%d defects: %d by the static checker, %d by the placed interpreter, %d by the loop "
        "interpreter, %d by a wrong result; %d not reported\n",
        t.rows, t.by[JUDGE_STATIC], t.by[JUDGE_PLACED], t.by[JUDGE_LOOP], t.by[JUDGE_RESULT],
        t.missed);
    return t.missed > 0 || t.homeless > 0 || t.rows < MIN_ROWS;
}
