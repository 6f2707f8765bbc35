/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A product fed by a role that copies, lowered for a machine with barriers in shared memory: the
 * loop interpreter finds nothing and the sums are right, with one and with two replicas; and each
 * defect put into its code is found.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "ir/build.h"
#include "ir/interp_loop.h"
#include "tests/place/support.h"

enum { STAGES = 3, M = 40, N = 36, K = 152 }; /* rows of whole 16 bytes: copies land later */

static const char source[] =
    "kernel k(a: i32[M, K], b: i32[K, N], out c: i32[M, N]) grid i: M by 32, j: N by 32 {\n"
    "  var acc = zeros i32[32, 32]\n"
    "  for k: K by 16 { acc += a[i, k] @ b[k, j] }\n"
    "  c[i, j] = acc\n"
    "}\n";

/* ---- defects --------------------------------------------------------------------------------- */

typedef bool defect(tg_op *op);

static bool erase(tg_op *op) {
    tg_op_erase(op);
    return true;
}

static bool other_parity(tg_op *op) {
    tg_builder b = tg_builder_before(op);
    tg_value *v = tg_operand(op, 2), *one = tg_build_int(&b, v->type, 1);
    tg_set_operand(op, 2, tg_build_binary(&b, TG_OP_XOR, v, one));
    return true;
}

static bool by(tg_op *op, int64_t change) {
    tg_op_set_int(op, TG_ATTR_N, tg_attr_int(op, TG_ATTR_N, 0) + change);
    return true;
}
static bool one_more(tg_op *op) { return by(op, 1); }
static bool one_less(tg_op *op) { return tg_attr_int(op, TG_ATTR_N, 0) > 1 && by(op, -1); }

static bool everybody(tg_op *op) {
    tg_builder b = tg_builder_before(op);
    tg_set_operand(op, 2, tg_build_bool(&b, true));
    return true;
}

static bool next_barrier(tg_op *op) {
    tg_builder b = tg_builder_before(op);
    tg_value *v = tg_operand(op, 1), *one = tg_build_int(&b, v->type, 1);
    tg_set_operand(op, 1, tg_build_binary(&b, TG_OP_XOR, v, one));
    return true;
}

/* Where lanes of a sub-group meet before one of them speaks for all; behind copies that land later
 * it has nothing to say. */
static bool no_meeting(tg_op *op) {
    bool copied = op->prev != NULL && op->prev->code == TG_OP_MBAR_COPIED;
    return !copied && op->n_operands == 0 && tg_attr_int(op, TG_ATTR_N, 0) == 32 && erase(op);
}

static const struct {
    const char *name;
    tg_opcode code;
    defect *apply;
} defects[] = {
    {"an arrival is dropped", TG_OP_MBAR_ARRIVE, erase},
    {"all lanes arrive for one", TG_OP_MBAR_ARRIVE, everybody},
    {"an arrival at another slot's barrier", TG_OP_MBAR_ARRIVE, next_barrier},
    {"a copy is not told", TG_OP_MBAR_COPIED, erase},
    {"a wait is dropped", TG_OP_MBAR_WAIT, erase},
    {"a wait for the other parity", TG_OP_MBAR_WAIT, other_parity},
    {"a wait at another slot's barrier", TG_OP_MBAR_WAIT, next_barrier},
    {"phases of an arrival more", TG_OP_MBAR_INIT, one_more},
    {"phases of an arrival less", TG_OP_MBAR_INIT, one_less},
    {"a barrier nobody made", TG_OP_MBAR_INIT, erase},
    {"no meeting before an arrival", TG_OP_BARRIER, no_meeting},
};

/* Number *pick of the operations; counts down. */
static tg_op *find(tg_region *r, tg_opcode code, int *pick) {
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        if (op->code == code && (*pick)-- == 0) {
            return op;
        }
        for (int i = 0; i < op->n_regions; i++) {
            tg_op *in = find(op->regions[i], code, pick);
            if (in != NULL) {
                return in;
            }
        }
    }
    return NULL;
}

/* ---- runs ------------------------------------------------------------------------------------ */

typedef struct data {
    _Alignas(16) int32_t a[M * K];
    _Alignas(16) int32_t b[K * N];
    _Alignas(16) int32_t c[M * N];
} data;

static tg_interp_arg matrix(int32_t *p, int64_t rows, int64_t columns) {
    return (tg_interp_arg){.data = p, .extent = {rows, columns}, .stride_bytes = {4 * columns, 4}};
}

static tg_module *lower(place_test *t, int replicas, bool bulk, tg_func **kernel) {
    tg_machine *machine = TG_NEW(&t->arena, tg_machine);
    tg_source *src = TG_NEW(&t->arena, tg_source);
    *machine = *tg_machine_find("sm_90a");
    *src = (tg_source){.name = "text", .text = source, .len = strlen(source)};
    machine->replicas = replicas;
    machine->lanes = 64;
    machine->copy_lanes = 64;
    machine->stages = STAGES;
    machine->simt &= ~(unsigned)TG_SIMT_SETREGS; /* as many stages as it says */
    machine->simt &= bulk ? ~0u : ~(unsigned)TG_SIMT_BULK;
    tg_program *p = place_test_program(t, src);
    tg_module *tile = tg_module_make(&t->arena), *placed = tg_module_make(&t->arena);
    tg_module *loop = tg_module_make(&t->arena);
    assert_non_null(p);
    assert_int_equal(tg_program_specialise(p, "k", NULL, 0, NULL, tile, kernel), TG_OK);
    place_test_optimise(t, *kernel);
    if (tg_place(*kernel, machine, placed, &t->sink) != TG_OK ||
        tg_module_verify(placed, &t->sink) != TG_OK ||
        tg_lower_simt(placed->first_func, machine, loop, &t->sink) != TG_OK ||
        tg_module_verify(loop, &t->sink) != TG_OK) {
        fail_msg("%s", place_test_messages(t));
    }
    return loop;
}

static void run(place_test *t, tg_module *loop, tg_func *kernel, uint64_t seed, data *d,
                tg_loop_report *report) {
    tg_interp_arg args[3] = {matrix(d->a, M, K), matrix(d->b, K, N), matrix(d->c, M, N)};
    int64_t syms[8] = {0};
    tg_loop_options o = {.seed = seed, .subgroup = 32, .programs = 1, .max_steps = 20000000};
    for (int i = 0; i < M * K; i++) {
        d->a[i] = i % 17 - 5;
    }
    for (int i = 0; i < K * N; i++) {
        d->b[i] = i % 13 - 6;
    }
    assert_int_equal(tg_interp_bind(kernel, args, syms, &t->sink), TG_OK);
    assert_int_equal(tg_loop_run_kernel(loop, kernel, args, syms, &o, &t->arena, report), TG_OK);
}

static void test_silent(void **state) {
    static data d;
    (void)state;
    for (int replicas = 1; replicas <= 2; replicas++) {
        for (uint64_t seed = 0; seed < 4; seed++) {
            place_test t;
            tg_func *kernel = NULL;
            tg_loop_report report;
            int pick = 0;
            place_test_init(&t);
            tg_module *loop = lower(&t, replicas, seed % 2 != 0, &kernel);
            tg_func *f = tg_func_find(loop, "k.phase0");
            assert_int_equal(f->lanes, 64 + 64 * replicas);
            assert_non_null(find(f->body, TG_OP_MBAR_COPIED, &pick));
            run(&t, loop, kernel, seed, &d, &report);
            assert_string_equal(report.n_findings > 0 ? report.findings[0].text : "", "");
            for (int e = 0; e < 32 * 32; e++) { /* the first program's */
                int32_t sum = 0, i = e / 32, j = e % 32;
                for (int k = 0; k < K; k++) {
                    sum += d.a[i * K + k] * d.b[k * N + j];
                }
                assert_int_equal(d.c[i * N + j], sum);
            }
            place_test_fini(&t);
        }
    }
}

/*
 * Copies of the second block are told of after those of the first, by the same lanes: who waits for
 * the second's barrier knows of both. So it does not matter when the first one's waits end early.
 */
static bool is_implied(size_t row, int at, int replicas) {
    bool early = defects[row].apply == one_less && at >= STAGES && at < STAGES + STAGES * replicas;
    bool late = defects[row].apply == erase || defects[row].apply == other_parity;
    return early || (late && defects[row].code == TG_OP_MBAR_WAIT && at == 1);
}

/* Every place of every defect; `found` of `n`. */
static void each_place(size_t row, int replicas, int *n, int *found) {
    static data d;
    for (int at = 0;; at++) {
        place_test t;
        tg_func *kernel = NULL;
        tg_loop_report report;
        int pick = at;
        place_test_init(&t);
        tg_module *loop = lower(&t, replicas, false, &kernel);
        tg_op *op = find(tg_func_find(loop, "k.phase0")->body, defects[row].code, &pick);
        bool there = op != NULL;
        if (there && !is_implied(row, at, replicas) && defects[row].apply(op)) {
            bool bad = tg_module_verify(loop, &t.sink) != TG_OK;
            if (!bad) {
                run(&t, loop, kernel, 3, &d, &report);
                bad = report.faults > 0;
            }
            ++*n;
            *found += bad;
            if (!bad) {
                print_message("%s, number %d of %d replicas: not found\n", defects[row].name, at,
                              replicas);
            }
        }
        place_test_fini(&t);
        if (!there) {
            return;
        }
    }
}

static void test_defects(void **state) {
    bool all = true;
    (void)state;
    for (size_t i = 0; i < TG_COUNT_OF(defects); i++) {
        int n = 0, found = 0;
        each_place(i, 1, &n, &found);
        each_place(i, 2, &n, &found);
        print_message("%-40s %d of %d\n", defects[i].name, found, n);
        assert_true(n > 0);
        all &= found == n;
    }
    assert_true(all);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_silent),
                                       cmocka_unit_test(test_defects)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
