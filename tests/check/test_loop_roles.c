/* SPDX-License-Identifier: Apache-2.0 */
/* The loop interpreter on programs of two roles: a ring of two slots between lanes 0 to 3, which
 * fill it, and 4 to 7, which add up; and what it says of defects in such programs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ir/interp_loop.h"

enum { TRIPS = 5 };

/* What one program is made of; the right one first. */
typedef struct variant {
    int full, empty;    /* arrivals of a phase */
    int first_parity;   /* that the producer waits for */
    int second_parity;  /* that the consumer waits for */
    const char *store;  /* how the ring is filled */
    const char *arrive; /* how that is told */
    const char *meets;  /* between the consumer's reads and its arrival */
    const char *frees;
    tg_loop_fault fault;
    const char *says; /* NULL: nothing is to be found */
} variant;

#define STORE "      %41 = loadm %40 : i32\n      astore %7, %34, %41\n"
#define COPY "      acopy %7, %34, %40 {bytes = 4}\n"
#define ARRIVE "      mbar_arrive %6, %31, %13\n"
#define COPIED "      mbar_copied %6, %31\n"
#define MEETS "      barrier %11 {fence = shared, n = 4}\n"
#define FREES "      mbar_arrive %6, %135, %16\n"

static const variant rows[] = {
    {4, 1, 1, 0, STORE, ARRIVE, MEETS, FREES, 0, NULL},
    {4, 1, 1, 0, COPY, COPIED, MEETS, FREES, 0, NULL},
    /* every lane of the consumer for itself needs no meeting */
    {4, 4, 1, 0, STORE, ARRIVE, "", "      mbar_arrive %6, %135, %13\n", 0, NULL},
    {4, 1, 1, 0, STORE, "", MEETS, FREES, TG_LOOP_DEADLOCK, "waits for ever for phase 0"},
    {5, 1, 1, 0, STORE, ARRIVE, MEETS, FREES, TG_LOOP_DEADLOCK, "waits for ever for phase 0"},
    {3, 1, 1, 0, STORE, ARRIVE, MEETS, FREES, TG_LOOP_RACE, "which nothing orders"},
    {4, 1, 0, 0, STORE, ARRIVE, MEETS, FREES, TG_LOOP_DEADLOCK, "waits for ever"},
    /* read before it is written, or while: as the lanes take turns */
    {4, 1, 1, 1, STORE, ARRIVE, MEETS, FREES, TG_LOOP_FAULT_COUNT, ""},
    {4, 1, 1, 0, COPY, ARRIVE, MEETS, FREES, TG_LOOP_UNDEFINED, "nobody wrote"},
    {4, 1, 1, 0, STORE, ARRIVE, "", FREES, TG_LOOP_RACE, "which nothing orders"},
    {4, 1, 1, 0, STORE, ARRIVE, MEETS, "", TG_LOOP_DEADLOCK, "waits for ever"},
    {4, 1, 1, 0, STORE, ARRIVE, "      barrier %11 {fence = shared, n = 8}\n", FREES,
     TG_LOOP_DEADLOCK, "waits for ever"},
    {4, 1, 1, 0, STORE, ARRIVE, "      barrier %11 {fence = shared, n = 2}\n", FREES,
     TG_LOOP_DIVERGENCE, "waits"},
};

/* %11 number of a barrier, %13 true, %14 lane of the role, %16 its first lane, %31 slot, %34
 * element of the ring, %35 the slot's other barrier, %40 address. */
static char *text_of(tg_arena *a, const variant *v) {
    static const char head[] = "tegula-ir 1\n"
                               "kernel loop \"f.phase0\" {\n"
                               "  role simt\n"
                               "  program lanes 8 shared 64 scratch 0\n"
                               "  body (%0: ptr, %1: i64, %2: i32, %3: ptr, %4: ptr) {\n"
                               "    %7 = array {offset = 0} : buf<shared, i32[8], 1>\n"
                               "    %6 = array {offset = 32} : buf<shared, u64[4], 1>\n"
                               "    %5 = slot %0 {i = 0} : ptr\n"
                               "    %8 = slot %0 {i = 1} : ptr\n"
                               "    %9 = const {i = 0} : i32\n"
                               "    %10 = const {i = 1} : i32\n"
                               "    %11 = const {i = 2} : i32\n"
                               "    %12 = const {i = 3} : i32\n"
                               "    %13 = const {i = 1} : bool\n"
                               "    %14 = and %2, %12 : i32\n"
                               "    %15 = const {i = 4} : i32\n"
                               "    %16 = cmp %14, %9 {pred = eq} : bool\n"
                               "    %17 = cmp %2, %9 {pred = eq} : bool\n"
                               "    %18 = cmp %2, %15 {pred = lt} : bool\n"
                               "    %20 = const {i = 0} : i64\n"
                               "    %21 = const {i = 5} : i64\n"
                               "    %22 = const {i = 1} : i64\n";
    static const char turn[] = "      %29 = cast %28 : i32\n"
                               "      %30 = shr %29, %10 : i32\n"
                               "      %31 = and %29, %10 : i32\n"
                               "      %32 = and %30, %10 : i32\n"
                               "      %33 = mul %31, %15 : i32\n";
    static const char its_turn[] = "      %129 = cast %128 : i32\n"
                                   "      %130 = shr %129, %10 : i32\n"
                                   "      %131 = and %129, %10 : i32\n"
                                   "      %132 = and %130, %10 : i32\n"
                                   "      %133 = mul %131, %15 : i32\n";
    tg_sb sb;
    tg_sb_init(&sb, a);
    tg_sb_addf(&sb, "%s    if %%17 {\n", head);
    tg_sb_addf(&sb, "      mbar_init %%6, %%9 {n = %d}\n      mbar_init %%6, %%10 {n = %d}\n",
               v->full, v->full);
    tg_sb_addf(&sb, "      mbar_init %%6, %%11 {n = %d}\n      mbar_init %%6, %%12 {n = %d}\n",
               v->empty, v->empty);
    tg_sb_addf(&sb, "      yield\n    } {\n      yield\n    }\n    barrier {fence = shared}\n");
    tg_sb_addf(&sb, "    if %%18 {\n      for %%20, %%21, %%22 (%%28: i64) {\n%s", turn);
    tg_sb_addf(&sb,
               "      %%35 = add %%31, %%11 : i32\n      %%36 = const {i = %d} : i32\n"
               "      %%37 = xor %%32, %%36 : i32\n      mbar_wait %%6, %%35, %%37\n"
               "      %%34 = add %%33, %%14 : i32\n      %%38 = mul %%29, %%15 : i32\n"
               "      %%39 = add %%38, %%14 : i32\n      %%42 = cast %%39 : i64\n"
               "      %%40 = gep %%5, %%42 {bytes = 4} : ptr\n%s%s      yield\n      }\n",
               v->first_parity, v->store, v->arrive);
    tg_sb_addf(&sb,
               "      yield\n    } {\n      %%50 = for %%20, %%21, %%22, %%9 : i32 "
               "(%%128: i64, %%51: i32) {\n%s",
               its_turn);
    tg_sb_addf(&sb,
               "      %%135 = add %%131, %%11 : i32\n      %%136 = const {i = %d} : i32\n"
               "      %%137 = xor %%132, %%136 : i32\n      mbar_wait %%6, %%131, %%137\n"
               "      %%139 = sub %%12, %%14 : i32\n      %%134 = add %%133, %%139 : i32\n"
               "      %%52 = aload %%7, %%134 : i32\n      %%53 = add %%51, %%52 : i32\n%s%s"
               "      yield %%53\n      }\n",
               v->second_parity, v->meets, v->frees);
    tg_sb_addf(&sb, "      %%54 = cast %%14 : i64\n      %%55 = gep %%8, %%54 {bytes = 4} : ptr\n"
                    "      storem %%55, %%50\n      yield\n    }\n    yield\n  }\n}\n");
    return sb.data;
}

static void run(const variant *v, uint64_t seed) {
    tg_env env;
    tg_arena a;
    jmp_buf buf;
    tg_sink sink;
    tg_module *m = NULL;
    int32_t in[4 * TRIPS], out[4] = {-1, -1, -1, -1};
    tg_loop_report report;
    tg_env_init(&env, tg_allocator_default(), 0);
    if (TG_ENV_GUARD(&env, buf)) {
        abort();
    }
    tg_arena_init(&a, &env);
    tg_sink_init(&sink, &a);
    char *text = text_of(&a, v);
    tg_source src = {.name = "test", .text = text, .len = strlen(text)};
    if (tg_module_parse(&src, &a, &sink, &m) != TG_OK || tg_module_verify(m, &sink) != TG_OK) {
        fail_msg("%s\n%s", sink.first->text, text);
    }
    for (int i = 0; i < 4 * TRIPS; i++) {
        in[i] = i * i;
    }
    int64_t slots[2] = {(int64_t)(intptr_t)in, (int64_t)(intptr_t)out};
    tg_loop_range ranges[2] = {{.base = in, .bytes = sizeof in, .name = "in"},
                               {.base = out, .bytes = sizeof out, .writable = true, .name = "out"}};
    tg_loop_options o = {.seed = seed, .programs = 1, .subgroup = 4, .max_steps = 100000};
    assert_int_equal(tg_loop_run(m, "f", slots, 2, ranges, 2, &o, &a, &report), TG_OK);
    if (v->says == NULL) {
        assert_string_equal(report.n_findings > 0 ? report.findings[0].text : "", "");
        for (int l = 0; l < 4; l++) {
            int32_t sum = 0;
            for (int t = 0; t < TRIPS; t++) {
                sum += in[4 * t + 3 - l];
            }
            assert_int_equal(out[l], sum);
        }
    } else {
        bool found = false;
        for (int k = 0; k < report.n_findings; k++) {
            found |= (v->fault == TG_LOOP_FAULT_COUNT || report.findings[k].fault == v->fault) &&
                     strstr(report.findings[k].text, v->says) != NULL;
        }
        if (!found) {
            fail_msg("%s: %s", v->says,
                     report.n_findings > 0 ? report.findings[0].text : "nothing was found");
        }
    }
    tg_arena_fini(&a);
}

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < TG_COUNT_OF(rows); i++) {
        for (uint64_t seed = 0; seed < 4; seed++) {
            run(&rows[i], seed);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
