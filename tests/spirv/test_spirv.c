/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SPIR-V writer by itself: what it declares, what it refuses and in which words, that it writes
 * the same bytes twice, that names and lines of the source are in the module. What the code
 * computes is tests/device.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/backend.h"

#define ARGS "body (%slots: ptr, %p: i64, %lane: i32, %scratch: ptr, %report: ptr) {\n"
#define HEAD "tegula-ir 1\nkernel loop k {\nrole simt\nprogram lanes 64 shared 512 scratch 0\n" ARGS
#define TAIL "yield\n}\n}\n"

typedef struct emission {
    tg_env env;
    tg_arena arena;
    tg_sink sink;
    tg_status status;
    const uint32_t *words;
    size_t n;
} emission;

static void emit(emission *e, const char *text, const char *machine) {
    static jmp_buf oom;
    size_t bytes = 0;
    const unsigned char *out = NULL;
    tg_module *m = NULL;
    memset(e, 0, sizeof *e);
    tg_env_init(&e->env, tg_allocator_default(), 0);
    if (TG_ENV_GUARD(&e->env, oom)) {
        fail();
    }
    tg_arena_init(&e->arena, &e->env);
    tg_sink_init(&e->sink, &e->arena);
    tg_source *src = TG_NEW(&e->arena, tg_source);
    *src = (tg_source){.name = "some.tg", .text = text, .len = strlen(text)};
    tg_status st = tg_module_parse(src, &e->arena, &e->sink, &m);
    if (st != TG_OK) {
        fprintf(stderr, "%s\n", e->sink.first ? e->sink.first->text : "?");
    }
    assert_int_equal(st, TG_OK);
    e->status = tg_spirv_emit(m, tg_machine_find(machine), &e->arena, &e->sink, &out, &bytes);
    e->words = (const uint32_t *)(const void *)out;
    e->n = bytes / 4;
}

static void drop(emission *e) { tg_arena_fini(&e->arena); }

/* How often an instruction occurs with the given first operand (ANY: whatever). */
enum { ANY = -1 };
static int count(const emission *e, uint32_t op, int64_t operand) {
    int n = 0;
    for (size_t at = 5; at < e->n; at += e->words[at] >> 16) {
        n += (e->words[at] & 0xffff) == op &&
             (operand == ANY || e->words[at + 1] == (uint32_t)operand);
    }
    return n;
}

static bool holds(const emission *e, const char *text) {
    const char *bytes = (const char *)e->words;
    size_t n = strlen(text);
    for (size_t i = 0; i + n <= e->n * 4; i++) {
        if (memcmp(bytes + i, text, n) == 0) {
            return true;
        }
    }
    return false;
}

enum { OP_LINE = 8, OP_ENTRY = 15, OP_CAPABILITY = 17, OP_DECORATE = 71, OP_VARIABLE = 59 };

static void refused(const char *text, const char *machine, const char *part) {
    emission e;
    emit(&e, text, machine);
    assert_int_equal(e.status, TG_E_UNSUPPORTED);
    assert_non_null(e.sink.first);
    if (!strstr(e.sink.first->text, part)) {
        fprintf(stderr, "`%s` does not say `%s`\n", e.sink.first->text, part);
        fail();
    }
    drop(&e);
}

static void test_refusals(void **state) {
    (void)state;
    refused(HEAD "%x = cast %lane : f32\n%y = cast %x : f16\n" TAIL, "vulkan", "not expanded");
    refused(HEAD "%x = cast %lane : f32\n%y = math %x {fn = sin} : f32\n" TAIL, "vulkan",
            "not expanded");
    refused(HEAD "%x = cast %lane : f32\n%y = rem %x, %x : f32\n" TAIL, "vulkan", "remainder");
    refused(HEAD "%y = shfl %lane, %lane {shuffle = xor} : i32\n" TAIL, "vulkan", "no sub-groups");
    refused(HEAD "%y = alloca {bytes = 16} : ptr\n" TAIL, "vulkan", "belongs to the loop level");
    refused("tegula-ir 1\nkernel loop k {\nrole simt\nprogram lanes 64 shared 512 scratch 0\n" ARGS
            "%a = array {offset = 0} : buf<shared, i32[64], 1>\n"
            "%b = array {offset = 128} : buf<shared, u16[64], 1>\n" TAIL,
            "vulkan", "another element width");
}

static void test_not_an_entry(void **state) {
    (void)state;
    emission e;
    emit(&e,
         "tegula-ir 1\nkernel loop k {\nrole simt\nprogram lanes 4096 shared 0 scratch 0\n" ARGS
             TAIL,
         "vulkan");
    assert_int_equal(e.status, TG_E_INTERNAL);
    drop(&e);
    emit(&e, "tegula-ir 1\nkernel loop k {\nbody (%x: i32) {\n" TAIL, "vulkan");
    assert_int_equal(e.status, TG_E_INTERNAL);
    drop(&e);
}

static const char floats[] = HEAD "%x = cast %lane : f32\n%y = add %x, %x : f32\n"
                                  "%z = mul %y, %x : f32\n%i = cast %z : i32\n"
                                  "%b = slot %slots {i = 1} : ptr\nstorem %b, %i\n" TAIL;

/* Every float operation is kept apart; capabilities are those of what the code uses. */
static void test_declarations(void **state) {
    enum { FLOAT64 = 10, INT16 = 22, INT8 = 39, ATOMIC64 = 12 };
    (void)state;
    emission e;
    emit(&e, floats, "vulkan");
    assert_int_equal(e.status, TG_OK);
    int kept = 0;
    for (size_t at = 5; at < e.n; at += e.words[at] >> 16) {
        kept += (e.words[at] & 0xffff) == OP_DECORATE && e.words[at + 2] == 42; /* NoContraction */
    }
    assert_int_equal(kept, 2);
    assert_int_equal(count(&e, OP_CAPABILITY, FLOAT64), 0);
    assert_int_equal(count(&e, OP_CAPABILITY, INT8), 0);
    assert_int_equal(count(&e, OP_CAPABILITY, INT16), 0);
    assert_int_equal(count(&e, OP_CAPABILITY, ATOMIC64), 0);
    drop(&e);
    emit(&e, HEAD "%x = cast %lane : f64\n%y = cast %x : i8\n%h = cast %y : u16\n" TAIL, "vulkan");
    assert_int_equal(count(&e, OP_CAPABILITY, FLOAT64), 1);
    assert_int_equal(count(&e, OP_CAPABILITY, INT8), 1);
    assert_int_equal(count(&e, OP_CAPABILITY, INT16), 1);
    drop(&e);
}

static void test_names_and_lines(void **state) {
    (void)state;
    emission e;
    emit(&e, HEAD "%total.1 = cast %lane : f32\n%y = add %total.1, %total.1 : f32\n" TAIL,
         "vulkan");
    assert_true(holds(&e, "some.tg"));
    assert_true(count(&e, OP_LINE, ANY) >= 2);
    assert_true(holds(&e, "total") && holds(&e, "program") && holds(&e, "launch"));
    drop(&e);
}

/* One variable for what shares bytes, one for each that stands apart, one a private array. */
static void test_arrays(void **state) {
    enum { WORKGROUP = 4, FUNCTION = 7 };
    (void)state;
    emission e;
    emit(&e,
         HEAD "%a = array {offset = 0} : buf<shared, i32[64], 1>\n"
              "%b = array {offset = 128} : buf<shared, f32[16], 1>\n"
              "%c = array {offset = 256} : buf<shared, u8[64], 1>\n"
              "%d = array : buf<private, f64[3], 1>\n%e = array : buf<private, f64[3], 1>\n" TAIL,
         "vulkan");
    assert_int_equal(e.status, TG_OK);
    int shared = 0, own = 0;
    for (size_t at = 5; at < e.n; at += e.words[at] >> 16) {
        if ((e.words[at] & 0xffff) == OP_VARIABLE) {
            shared += e.words[at + 3] == WORKGROUP;
            own += e.words[at + 3] == FUNCTION;
        }
    }
    assert_int_equal(shared, 2);
    assert_int_equal(own, 2);
    drop(&e);
}

/* However many places may fail, one goes to the report, at the end: none of them branches. */
static void test_traps(void **state) {
    enum { COMPARE_EXCHANGE = 230, SELECTION_MERGE = 247 };
    (void)state;
    emission none, some;
    emit(&none, HEAD "%c = cmp %lane, %lane {pred = lt} : bool\n" TAIL, "vulkan");
    emit(&some,
         HEAD "%c = cmp %lane, %lane {pred = lt} : bool\nassert %c {text = \"a\"}\n"
              "assert %c {text = \"b\"}\nassert %c {text = \"c\"}\n" TAIL,
         "vulkan");
    assert_int_equal(none.status, TG_OK);
    assert_int_equal(some.status, TG_OK);
    assert_int_equal(count(&none, COMPARE_EXCHANGE, ANY), 0);
    assert_int_equal(count(&some, COMPARE_EXCHANGE, ANY), 1);
    assert_int_equal(count(&some, SELECTION_MERGE, ANY), count(&none, SELECTION_MERGE, ANY) + 2);
    drop(&none);
    drop(&some);
}

static void test_twice(void **state) {
    (void)state;
    static const char *const machines[] = {"vulkan", "opencl-spirv"};
    for (size_t i = 0; i < 2; i++) {
        emission a, b;
        emit(&a, floats, machines[i]);
        emit(&b, floats, machines[i]);
        assert_int_equal(a.status, TG_OK);
        assert_int_equal(a.n, b.n);
        assert_memory_equal(a.words, b.words, a.n * 4);
        assert_int_equal(count(&a, OP_ENTRY, ANY), 1);
        drop(&a);
        drop(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),     cmocka_unit_test(test_not_an_entry),
        cmocka_unit_test(test_declarations), cmocka_unit_test(test_names_and_lines),
        cmocka_unit_test(test_arrays),       cmocka_unit_test(test_twice),
        cmocka_unit_test(test_traps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
