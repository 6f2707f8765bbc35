/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verifier's rules of the placed level: each row is one body; good ones verify and keep their
 * text, bad ones are refused with the stated words. Four lanes; L4 is "one element each", R4 "all
 * four in registers of every lane".
 */
#include "tests/ir/irtest.h"

#include <stdio.h>
#include <string.h>

#define L4 "f32[4] @\"1; 0:4*1@lane*1\""
#define R4 "f32[4] @\"1; 0:4*1@reg*1 r:4*0@lane*1\""
#define I4 "i32[4] @\"1; 0:4*1@lane*1\""
#define B4 "bool[4] @\"1; 0:4*1@lane*1\""
#define M44 "f32[4, 4] @\"2; 0:4*1@reg*1 1:4*1@lane*1\""
#define S4 "buf<shared, f32[4], 1>"

typedef struct row {
    const char *body;
    const char *wrong; /* part of the message; NULL: fine */
} row;

static const row rows[] = {
    /* types */
    {"%1 = fconst {f = 1.0} : " L4 "\n", NULL},
    {"%1 = fconst {f = 1.0} : f32[4]\n", "no layout"},
    {"%1 = fconst {f = 1.0} : f32[4] @\"1; 0:2*1@lane*1 r:2*0@lane*2\"\n", "misses elements"},
    {"%1 = fconst {f = 1.0} : f32[4] @\"1; 0:8*1@lane*1\"\n", "a layout of 8 lanes for 4"},
    {"%1 = fconst {f = 1.0} : f32[4] @\"2; 0:4*1@lane*1\"\n", "malformed"},
    {"%1 = fconst {f = 1.0} : f32[4] @\"1; 0:4*1@mem*1\"\n", "not in memory"},
    {"%1 = fconst {f = 1.0} : f32 @\"0; r:4*0@lane*1\"\n", "only tiles"},
    {"%1 = buffer : buf<shared, f32[4], 1 @\"1; 0:4*1@lane*1\">\n", "not in lanes"},
    {"%1 = buffer : buf<shared, f32[4], 1 @\"1; 0:4*1@mem*2\">\n", NULL},
    {"%1 = buffer {offset = -4} : " S4 "\n", "bad offset"},
    /* elementwise and conversions */
    {"%1 = fconst {f = 1.0} : " L4 "\n%2 = add %1, %1 : " L4 "\n", NULL},
    {"%1 = fconst {f = 1.0} : " L4 "\n%2 = cast %1 : f16[4] @\"1; 0:4*1@reg*1 r:4*0@lane*1\"\n",
     "layout of its use"},
    {"%1 = fconst {f = 1.0} : " L4 "\n%2 = convert %1 : " R4 "\n", "exchange buffer"},
    {"%1 = fconst {f = 1.0} : " L4 "\n%2 = buffer : " S4 "\n%3 = convert %1, %2 {exchange = true} "
     ": " R4 "\n",
     NULL},
    {"%1 = fconst {f = 1.0} : " L4 "\n%2 = buffer : buf<shared, f16[4], 1>\n%3 = convert %1, %2 "
     "{exchange = true} : " R4 "\n",
     "the exchange buffer is"},
    /* shape operations */
    {"%1 = fconst {f = 1.0} : " L4 "\n%2 = broadcast %1 {axes = [1]} : " M44 "\n", NULL},
    {"%1 = fconst {f = 1.0} : " L4 "\n%2 = broadcast %1 {axes = [0]} : " M44 "\n",
     "layout of its use"},
    {"%1 = fconst {f = 1.0} : " M44 "\n%2 = permute %1 {axes = [1, 0]} : f32[4, 4] @\"2; "
     "1:4*1@reg*1 0:4*1@lane*1\"\n",
     NULL},
    {"%1 = fconst {f = 1.0} : " M44 "\n%2 = permute %1 {axes = [1, 0]} : " M44 "\n", "permuted"},
    {"%1 = fconst {f = 1.0} : " M44
     "\n%2 = reshape %1 : f32[16] @\"1; 0:4*1@lane*1 0:4*4@reg*1\"\n",
     NULL},
    {"%1 = fconst {f = 1.0} : " M44
     "\n%2 = reshape %1 : f32[16] @\"1; 0:4*1@reg*1 0:4*4@lane*1\"\n",
     "one reshape"},
    {"%1 = fconst {f = 1.0} : " L4 "\n%2 = slice %1 {offsets = [0]} : " L4 "\n", "through buffers"},
    /* reductions */
    {"%1 = fconst {f = 1.0} : " M44 "\n%2 = reduce %1 {kind = sum, axis = 0} : " L4 " {}\n", NULL},
    {"%1 = fconst {f = 1.0} : " M44 "\n%2 = reduce %1 {kind = sum, axis = 1} : " R4 " {}\n",
     "4 lanes along the axis and 0"},
    {"%1 = fconst {f = 1.0} : " M44 "\n%9 = buffer : buf<shared, f32[4, 4], 1>\n%2 = reduce %1, %9 "
     "{kind = sum, axis = 1, exchange = true} : " R4 " {}\n",
     NULL},
    {"%1 = fconst {f = 1.0} : " M44 "\n%9 = buffer : buf<shared, f32[4, 2], 1>\n%2 = reduce %1, %9 "
     "{kind = sum, axis = 1, exchange = true} : " R4 " {}\n",
     "the exchange buffer is"},
    {"%1 = fconst {f = 1.0} : " M44 "\n%9 = buffer : buf<shared, f32[4, 4], 1>\n%2 = reduce %1, %9 "
     "{kind = argmax, axis = 1, exchange = true} : i32[4] @\"1; 0:4*1@reg*1 r:4*0@lane*1\" {}\n",
     "1 exchange"},
    {"%1 = fconst {f = 1.0} : " M44 "\n%9 = buffer : buf<shared, f32[4, 4], 1>\n%2 = reduce %1, %9 "
     "{kind = sum, axis = 1, exchange = true} : " L4 " {}\n",
     "without the axis"},
    /* buffers */
    {"%1 = buffer : " S4 "\n%2 = fconst {f = 1.0} : " L4 "\nput %1, %2\n%3 = get %1 : " R4 "\n",
     NULL},
    {"%1 = buffer : " S4 "\n%2 = const {i = 1} : " I4 "\nput %1, %2\n", "into"},
    {"%1 = buffer : " S4 "\n%2 = fconst {f = 1.0} : " L4 "\nput %1, %2 {offsets = [1]}\n",
     "beyond the buffer"},
    {"%1 = buffer : buf<shared, f32[2, 4], 1>\n%2 = get %1 {axes = [1], offsets = [1, 0]} : " L4
     "\n",
     NULL},
    {"%1 = buffer : buf<shared, f32[2, 4], 1>\n%2 = get %1 {axes = [1], offsets = [2, 0]} : " L4
     "\n",
     "outside axis 0"},
    {"%1 = buffer : buf<shared, f32[2, 4], 1>\n%2 = get %1 {axes = [2]} : " L4 "\n",
     "name each buffer axis"},
    {"%1 = buffer : buf<shared, f32[4], 2>\n%2 = get %1 : " L4 "\n", "needs a slot"},
    {"%1 = buffer : buf<shared, f32[4], 2>\n%s = const {i = 0} : i64\n%2 = get %1, %s {ring = "
     "true} : " L4 "\n",
     NULL},
    {"%1 = buffer : buf<shared, f32[4, 4], 1>\n%2 = window %1 {axes = [1, 0]} : buf<shared, f32[4, "
     "4], 1>\n%3 = get %2 : " M44 "\n",
     NULL},
    {"%1 = buffer : buf<shared, f32[4, 4], 1>\n%2 = window %1 : buf<shared, f32[16], 1>\n", NULL},
    {"%1 = buffer : buf<shared, f32[4, 4], 1>\n%2 = window %1 : buf<shared, f32[15], 1>\n",
     "reshapes dense"},
    {"%1 = buffer : buf<shared, f32[4, 4], 1>\n%2 = window %1 {axes = [1, 0]} : buf<shared, f32[4, "
     "4], 1>\n%3 = window %2 : buf<shared, f32[16], 1>\n",
     "reshapes dense"},
    {"%1 = buffer : " S4 "\n%2 = const {i = 1} : " I4 "\n%3 = get_at %1, %2 {axis = 0} : " L4 "\n",
     NULL},
    {"%1 = buffer : " S4 "\n%2 = const {i = 1} : " I4 "\n%3 = get_at %1, %2 {axis = 0} : " R4 "\n",
     "layout of its use"},
    /* dot */
    {"%1 = buffer : buf<shared, f16[4, 8], 1>\n%2 = buffer : buf<shared, f16[8, 4], 1>\n%3 = "
     "fconst "
     "{f = 0.0} : " M44 "\n%4 = dot %1, %2, %3 : " M44 "\n",
     NULL},
    {"%3 = fconst {f = 0.0} : " M44 "\n%4 = dot %3, %3, %3 : " M44 "\n", "multiplies by a buffer"},
    /* copies, events, teams */
    {"%s = const {i = 0} : i64\n%h = const {i = 9} : i64\n%p = span %s, %h : span<4>\n%1 = buffer "
     ": " S4 "\n%2 = copy %1, %x.0, %p {axes = [0]} : i64\nwait %2\n",
     NULL},
    {"%s = const {i = 0} : i64\n%h = const {i = 9} : i64\n%p = span %s, %h : span<8>\n%1 = buffer "
     ": " S4 "\n%2 = copy %1, %x.0, %p {axes = [0]} : i64\n",
     "does not fit the buffer"},
    {"%i = const {i = 1} : " I4 "\n%1 = buffer : " S4 "\n%2 = copy %1, %x.0, %i {axes = [0]} : "
     "i64\n",
     "scalars and spans"},
    {"%s = const {i = 0} : i64\n%e = event {n = 2, count = 2} : i64\nawait %e, %s\nsignal %e, %s\n",
     NULL},
    {"%s = const {i = 0} : i64\nawait %s, %s\n", "not an event"},
    {"%s = const {i = 0} : i64\n%e = event {n = 2, count = 2} : i64\nawait %e, %s {count = 2}\n",
     NULL},
    {"%s = const {i = 0} : i64\n%e = event {n = 2} : i64\nawait %e, %s {count = 0}\n",
     "takes at least one"},
    {"role {axis = 1, n = 2, units = \"vector\", replicas = 2} (%r: i64) {\nyield\n}\n", NULL},
    {"role {n = 2, units = \"vector\", replicas = 0} (%r: i64) {\nyield\n}\n",
     "at least one replica"},
    {"role {axis = 9, n = 2, units = \"vector\", replicas = 2} (%r: i64) {\nyield\n}\n",
     "splits axis 9"},
    {"role {n = 8, units = \"vector\"} (%r: i64) {\nyield\n}\n", "has 8 lanes of 4"},
    {"%1 = buffer : " S4 "\n%2 = buffer : " S4 "\nteam %1, %2 {team = scan, axis = 0, kind = sum, "
     "count = 1} {}\n",
     NULL},
    {"%1 = buffer : " S4 "\nteam %1, %1 {team = sort, axis = 0, count = 2} {}\n",
     "operands are missing"},
    {"%1 = buffer : " S4 "\n%2 = buffer : " S4 "\nteam %1, %2 {team = scan, axis = 3, kind = sum, "
     "count = 1} {}\n",
     "no such axis"},
};

static const char *text_of(irtest *t, const char *body) {
    return tg_arena_printf(
        &t->arena,
        "tegula-ir 1\n\nkernel placed k {\n  program lanes 4 shared 1024 scratch "
        "0\n  syms N\n  param x: tensor<f32[N]>\n  body (%%x.0: tensor<f32[N]>) "
        "{\n%s    yield\n  }\n}\n",
        body);
}

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < TG_COUNT_OF(rows); i++) {
        irtest t;
        irtest_init(&t);
        const char *text = text_of(&t, rows[i].body);
        tg_module *m = irtest_try_parse(&t, text, strlen(text));
        if (m == NULL) {
            fail_msg("row %zu does not parse: %s\n%s", i, irtest_messages(&t), text);
        }
        bool ok = tg_module_verify(m, &t.sink) == TG_OK;
        if (ok != (rows[i].wrong == NULL)) {
            fail_msg("row %zu: %s%s\n%s", i, ok ? "was not refused" : "",
                     ok ? "" : irtest_messages(&t), text);
        }
        if (!ok && strstr(irtest_messages(&t), rows[i].wrong) == NULL) {
            fail_msg("row %zu says other words: %s", i, irtest_messages(&t));
        }
        if (ok) {
            const char *printed = irtest_print(&t, m);
            tg_module *again = irtest_parse(&t, printed);
            assert_string_equal(printed, irtest_print(&t, again));
        }
        irtest_fini(&t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
