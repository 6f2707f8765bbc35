/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes a SIMT function: lanes that share memory, control flow, vectors, atomics, traps,
 * launches folded and sliced. Each kernel is a text of loop IR and a loop of C that says what it
 * must leave in memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/device/harness.h"

#define ARGS "body (%slots: ptr, %p: i64, %lane: i32, %scratch: ptr, %report: ptr) {\n"
#define HEAD(lanes, shared, scratch)                                                               \
    "tegula-ir 1\nkernel loop k {\nrole simt\nprogram lanes " lanes " shared " shared              \
    " scratch " scratch "\n" ARGS
/* the first two slots, the lane as i64, and the place of this lane in all */
#define PLACE(lanes)                                                                               \
    "%a = slot %slots {i = 0} : ptr\n%b = slot %slots {i = 1} : ptr\n%l = cast %lane : i64\n"      \
    "%n = const {i = " lanes "} : i64\n%s = mul %p, %n : i64\n%at = add %s, %l : i64\n"
#define TAIL "yield\n}\n}\n"

typedef struct job {
    const char *text;
    int64_t programs;
    size_t in_bytes, out_bytes;
    uint64_t scratch;
    uint32_t report[4];
} job;

/* slot 0: the input, slot 1: the output; `out` may hold what lies there before. */
static void run(dvt *t, job *j, const void *in, void *out) {
    tgr_memory memory[2];
    int64_t slots[2] = {(int64_t)dvt_put(t, in, j->in_bytes, &memory[0]),
                        (int64_t)dvt_put(t, out, j->out_bytes, &memory[1])};
    dvt_run(t, j->text, "k", slots, 2, j->programs, j->scratch, j->report);
    dvt_get(t, &memory[1], out);
    dvt_free(t, &memory[0]);
    dvt_free(t, &memory[1]);
}

/* clang-format off */
/* A tree of sums through shared memory, with barriers inside a loop. */
static void test_shared_sum(void **state) {
    job j = {.text = HEAD("64", "256",
             "0") "%sum = array {offset = 0, name = \"sum\"} : buf<shared, i32[64], 1>\n" PLACE("64")
             "%pa = gep %a, %at {bytes = 4} : ptr\n%x = loadm %pa : i32\n"
             "astore %sum, %lane, %x\nbarrier {fence = shared}\n"
             "%zero = const {i = 0} : i64\n%six = const {i = 6} : i64\n%one = const {i = 1} : i64\n"
             "%half0 = const {i = 32} : i32\n%one32 = const {i = 1} : i32\n"
             "%last = for %zero, %six, %one, %half0 : i32 (%i: i64, %half: i32) {\n"
             "  %low = cmp %lane, %half {pred = lt} : bool\n"
             "  if %low {\n"
             "    %o = add %lane, %half : i32\n    %y = aload %sum, %o : i32\n"
             "    %z = aload %sum, %lane : i32\n    %w = add %y, %z : i32\n"
             "    astore %sum, %lane, %w\n    yield\n  } {}\n"
             "  barrier {fence = shared}\n"
             "  %next = shr %half, %one32 : i32\n  yield %next\n}\n"
             "%k0 = const {i = 0} : i32\n%total = aload %sum, %k0 : i32\n"
             "%pb = gep %b, %at {bytes = 4} : ptr\nstorem %pb, %total\n" TAIL,
             .programs = 5,
             .in_bytes = 5 * 256,
             .out_bytes = 5 * 256};
    int32_t in[5 * 64], out[5 * 64] = {0};
    for (int i = 0; i < 5 * 64; i++) {
        in[i] = i * 7 - 300;
    }
    run(*state, &j, in, out);
    for (int p = 0; p < 5; p++) {
        int32_t sum = 0;
        for (int l = 0; l < 64; l++) {
            sum += in[p * 64 + l];
        }
        for (int l = 0; l < 64; l++) {
            assert_int_equal(out[p * 64 + l], sum);
        }
    }
}

/* Arrays of one width share bytes; the f32 one is read as what the i32 one wrote. Another width
 * stands apart. Private arrays are each lane's own. */
static void test_arrays(void **state) {
    job j = {
        .text = HEAD(
            "32", "192",
            "0") "%w = array {offset = 0} : buf<shared, i32[32], 1>\n"
                 "%v = array {offset = 64} : buf<shared, f32[16], 1>\n"
                 "%h = array {offset = 128} : buf<shared, u16[32], 1>\n"
                 "%own = array : buf<private, i32[4], 1>\n" PLACE("32")
             "%pa = gep %a, %at {bytes = 4} : ptr\n%x = loadm %pa : i32\n"
             "astore %w, %lane, %x\n%x16 = cast %x : u16\nastore %h, %lane, %x16\n"
             "%k3 = const {i = 3} : i32\n%k0 = const {i = 0} : i32\n"
             "astore %own, %k3, %lane\nastore %own, %k0, %x\nbarrier {fence = shared}\n"
             "%k15 = const {i = 15} : i32\n%m = and %lane, %k15 : i32\n"
             "%f = aload %v, %m : f32\n%fb = bitcast %f : i32\n"
             "%g = aload %h, %m : u16\n%gi = cast %g : i32\n"
             "%mine = aload %own, %k3 : i32\n%r0 = add %fb, %gi : i32\n%r = add %r0, %mine : i32\n"
             "%pb = gep %b, %at {bytes = 4} : ptr\nstorem %pb, %r\n" TAIL,
        .programs = 3,
        .in_bytes = 3 * 128,
        .out_bytes = 3 * 128};
    int32_t in[96], out[96] = {0};
    for (int i = 0; i < 96; i++) {
        in[i] = i * 12345;
    }
    run(*state, &j, in, out);
    for (int p = 0; p < 3; p++) {
        for (int l = 0; l < 32; l++) {
            int m = l & 15;
            assert_int_equal(out[p * 32 + l], in[p * 32 + 16 + m] + (in[p * 32 + m] & 0xffff) + l);
        }
    }
}

/* Vectors of 2 to 8 lanes: aligned and not, masked, gathered, scattered, shuffled, reduced. */
static void test_vectors(void **state) {
    job j = {
        .text = HEAD("16", "0", "0") PLACE("16")
             "%pa = gep %a, %at {bytes = 32} : ptr\n"
                  "%x = loadm %pa {align = 32} : vec<i32, 8>\n"
                  "%y = loadm %pa {align = 4} : vec<i32, 8>\n%s0 = add %x, %y : vec<i32, 8>\n"
                  "%odd = const {i = 1} : i64\n%pu = gep %pa, %odd {bytes = 2} : ptr\n"
                  "%u = loadm %pu {align = 2} : vec<i32, 2>\n"
                  "%five = const {i = 5} : i64\n%m = pmask %five : vec<bool, 8>\n"
                  "%neg = const {i = -1} : vec<i32, 8>\n"
                  "%q = loadm %pa, %m, %neg {masked = true} : vec<i32, 8>\n"
                  "%ix = lanes : vec<i32, 8>\n%seven = const {i = 7} : vec<i32, 8>\n"
                  "%rev = sub %seven, %ix : vec<i32, 8>\n"
                  "%g = gatherm %pa, %rev, %neg, %m {bytes = 4, masked = true} : vec<i32, 8>\n"
                  "%sum0 = add %s0, %q : vec<i32, 8>\n%sum = add %sum0, %g : vec<i32, 8>\n"
                  "%e0 = extract %u {i = 0} : i32\n%e1 = extract %u {i = 1} : i32\n"
                  "%sp = splat %e0 : vec<i32, 8>\n%u2 = insert %sp, %e1 {i = 1} : vec<i32, 8>\n"
                  "%sh = shuffle %sum, %u2 {axes = [0, 3, 5, 9]} : vec<i32, 4>\n"
                  "%red = reducev %sh {kind = sum} : i32\n%ins = insert %sum, %red {i = 6} : vec<i32, 8>\n"
                  "%pb = gep %b, %at {bytes = 32} : ptr\n"
                  "scatterm %pb, %rev, %ins, %m {bytes = 4, masked = true}\n" TAIL,
        .programs = 2,
        .in_bytes = 32 * 32,
        .out_bytes = 32 * 32};
    int32_t in[256], out[256] = {0};
    for (int i = 0; i < 256; i++) {
        in[i] = i * 1000003;
    }
    run(*state, &j, in, out);
    for (int i = 0; i < 32; i++) {
        const int32_t *x = in + 8 * i;
        uint32_t sum[8], e1;
        memcpy(&e1, (const char *)x + 6, 4);
        for (int l = 0; l < 8; l++) {
            sum[l] = 2 * (uint32_t)x[l] + (l < 5 ? (uint32_t)x[l] + (uint32_t)x[7 - l] : -2u);
        }
        sum[6] = sum[0] + sum[3] + sum[5] + e1;
        for (int l = 0; l < 8; l++) { /* lanes 0..4 go to places 7..3 */
            assert_int_equal((uint32_t)out[8 * i + l], l >= 3 ? sum[7 - l] : 0);
        }
    }
}

/* $T and $B in a template. */
static void substitute(char *to, size_t size, const char *from, const char *type, int bytes) {
    size_t at = 0;
    for (; *from && at + 8 < size; from++) {
        if (*from == '$') {
            at += (size_t)(*++from == 'T' ? snprintf(to + at, 8, "%s", type)
                                          : snprintf(to + at, 8, "%d", bytes));
        } else {
            to[at++] = *from;
        }
    }
    to[at] = '\0';
}

/* All lanes at one place, every type that has an atomic of its own or a loop. */
static void test_atomics(void **state) {
    static const struct {
        const char *type;
        int bytes;
    } types[] = {{"i32", 4}, {"u64", 8}, {"f32", 4}, {"f64", 8}, {"u8", 1}, {"i16", 2}};
    for (size_t k = 0; k < sizeof types / sizeof types[0]; k++) {
        char text[4096];
        substitute(
            text, sizeof text,
            HEAD("64", "0", "0") PLACE("64")
             "%v = cast %lane : $T\n%one = const {i = 1} : i64\n"
             "%o = atomicm %b, %v {do = add} : $T\n%pm = gep %b, %one {bytes = $B} : ptr\n"
             "%w = atomicm %pm, %v {do = max} : $T\n" TAIL,
            types[k].type, types[k].bytes);
        job j = {.text = text, .programs = 3, .in_bytes = 16, .out_bytes = 16};
        unsigned char out[16] = {0};
        run(*state, &j, out, out);
        double sum = 0, most = 0;
        int64_t isum = 0, imost = 0;
        memcpy(&isum, out, (size_t)types[k].bytes);
        memcpy(&imost, out + types[k].bytes, (size_t)types[k].bytes);
        if (types[k].type[0] == 'f') {
            float f[2];
            memcpy(f, out, 8);
            sum = f[0];
            most = f[1];
            if (types[k].bytes == 8) {
                memcpy(&sum, out, 8);
                memcpy(&most, out + 8, 8);
            }
            isum = (int64_t)sum;
            imost = (int64_t)most;
        }
        int64_t want = 3 * 2016, mask = types[k].bytes == 1 ? 0xff : -1;
        assert_int_equal(isum, want & mask);
        assert_int_equal(imost, 63);
    }
}

/* Shared atomics: add, and compare-and-swap that one lane wins. */
static void test_shared_atomics(void **state) {
    job j = {
        .text = HEAD("64", "16", "0") "%c = array {offset = 0} : buf<shared, u32[4], 1>\n" PLACE("64")
             "%k0 = const {i = 0} : i32\n%k1 = const {i = 1} : i32\n%z = const {i = 0} : u32\n"
                  "%first = cmp %lane, %k0 {pred = eq} : bool\n"
                  "if %first {\n astore %c, %k0, %z\n astore %c, %k1, %z\n yield\n} {}\n"
                  "barrier {fence = shared}\n%v = cast %lane : u32\n%one = const {i = 1} : u32\n"
                  "%o = aatomic %c, %k0, %v {do = add} : u32\n"
                  "%w = aatomic %c, %k1, %one, %z {do = cas} : u32\n"
                  "barrier {fence = shared}\n%sum = aload %c, %k0 : u32\n"
                  "%won = cmp %w, %z {pred = eq} : bool\n%wi = cast %won : u32\n"
                  "%m = const {i = 65536} : u32\n%hi = mul %wi, %m : u32\n%r = add %sum, %hi : u32\n"
                  "%pb = gep %b, %at {bytes = 4} : ptr\nstorem %pb, %r\n" TAIL,
        .programs = 2,
        .in_bytes = 16,
        .out_bytes = 512};
    uint32_t out[128] = {0};
    run(*state, &j, out, out);
    for (int p = 0; p < 2; p++) {
        int winners = 0;
        for (int l = 0; l < 64; l++) {
            assert_int_equal(out[p * 64 + l] & 0xffff, 2016);
            winners += out[p * 64 + l] >> 16 ? 1 : 0;
        }
        assert_int_equal(winners, 1);
    }
}

/* while with its trip count, loops whose end is close to the largest index, unaligned halves. */
static void test_loops(void **state) {
    job j = {.text = HEAD("16", "0", "0") PLACE("16")
             "%two = const {i = 2} : i64\n%zero = const {i = 0} : i64\n%one = const {i = 1} : i64\n"
             "%x, %n2 = while %l, %zero {max = 10} : i64, i64 (%c: i64, %steps: i64) {\n"
             "  %more = cmp %c, %zero {pred = gt} : bool\n  yield %more, %c, %steps\n} (%d: i64, %e: i64) {\n"
             "  %h = div %d, %two : i64\n  %e1 = add %e, %one : i64\n  yield %h, %e1\n}\n"
             "%big = const {i = 9223372036854775800} : i64\n%top0 = const {i = 9223372036854775807} : i64\n"
             "%top = sub %top0, %zero : i64\n%step = const {i = 3} : i64\n"
             "%cnt = for %big, %top, %step, %zero : i64 (%i: i64, %k: i64) {\n"
             "  %k1 = add %k, %one : i64\n  yield %k1\n}\n"
             "%r0 = mul %n2, %two : i64\n%r = add %r0, %cnt : i64\n"
             "%pb = gep %b, %at {bytes = 8} : ptr\nstorem %pb, %r {align = 2}\n" TAIL,
             .programs = 1,
             .in_bytes = 16,
             .out_bytes = 128};
    int64_t out[16] = {0};
    run(*state, &j, out, out);
    for (int l = 0; l < 16; l++) {
        int64_t steps = 0;
        for (int64_t c = l; c > 0; c /= 2) {
            steps++;
        }
        assert_int_equal(out[l], 2 * steps + 3);
    }
}

static void test_trap(void **state) {
    job j = {.text = HEAD("16", "0", "0")
                 PLACE("16")
             "%k = const {i = 37} : i64\n%bad = cmp %at, %k {pred = eq} : bool\n"
             "trap %bad {i = 1}\n"
             "%pb = gep %b, %at {bytes = 4} : ptr\nstorem %pb, %lane\n" TAIL,
             .programs = 4,
             .in_bytes = 16,
             .out_bytes = 256};
    int32_t out[64] = {0};
    run(*state, &j, out, out);
    assert_int_equal(j.report[0], 1);
    assert_true(j.report[1] > 0); /* the line of the text */
    assert_int_equal(j.report[2], 2);
    assert_int_equal(j.report[3], 0);
    for (int i = 0; i < 64; i++) { /* nobody stopped */
        assert_int_equal(out[i], i % 16);
    }
}

static void test_limit(void **state) {
    job j = {
        .text = HEAD("16", "0", "0") PLACE("16")
             "%one = const {i = 1} : i64\n%zero = const {i = 0} : i64\n"
                  "%x = while %zero {max = 12} : i64 (%c: i64) {\n  %more = cmp %c, %l {pred = lt} : bool\n"
                  "  yield %more, %c\n} (%d: i64) {\n  %e = add %d, %one : i64\n  yield %e\n}\n"
                  "%pb = gep %b, %at {bytes = 8} : ptr\nstorem %pb, %x\n" TAIL,
        .programs = 1,
        .in_bytes = 16,
        .out_bytes = 128};
    int64_t out[16] = {0};
    run(*state, &j, out, out);
    assert_int_equal(j.report[0], TG_CPU_TRAP_LIMIT);
    assert_int_equal(out[12], 12);
    assert_int_equal(out[15], 12);
}

/* A barrier in a branch in a loop; what follows it is only for some lanes. (PoCL 3.1 runs it for all
 * of them unless the branch ends with another barrier.) */
static void test_barrier_in_branch(void **state) {
    job j = {.text = HEAD("16", "0", "0") PLACE("16")
             "%zero = const {i = 0} : i64\n%one = const {i = 1} : i64\n"
             "%three = const {i = 3} : i64\n%nine = const {i = 9} : i64\n"
             "%few = cmp %l, %nine {pred = lt} : bool\n"
             "%pb = gep %b, %at {bytes = 8} : ptr\n"
             "for %zero, %three, %one (%i: i64) {\n  barrier {fence = shared}\n"
             "  %later = cmp %i, %zero {pred = gt} : bool\n"
             "  if %later {\n    barrier {fence = shared}\n    if %few {\n"
             "      %old = loadm %pb : i64\n      %new = add %old, %i : i64\n"
             "      storem %pb, %new\n    yield\n    } {\n    yield\n    }\n  yield\n  } {\n  yield\n  }\n"
             "  yield\n}\n" TAIL,
             .programs = 2,
             .in_bytes = 16,
             .out_bytes = 256};
    int64_t out[32] = {0};
    run(*state, &j, out, out);
    for (int i = 0; i < 32; i++) {
        assert_int_equal(out[i], i % 16 < 9 ? 3 : 0);
    }
}

/* More programs than groups along x, each with its own scratch. */
static void test_many_programs(void **state) {
    enum { PROGRAMS = 70001 };
    job j = {.text = HEAD("1", "0", "64")
                 PLACE("1")
             "storem %scratch, %p\n%q = loadm %scratch : i64\n"
             "%pb = gep %b, %at {bytes = 8} : ptr\nstorem %pb, %q\n" TAIL,
             .programs = PROGRAMS,
             .in_bytes = 16,
             .out_bytes = PROGRAMS * 8,
             .scratch = 64};
    int64_t *out = calloc(PROGRAMS, 8);
    run(*state, &j, out, out);
    for (int64_t i = 0; i < PROGRAMS; i++) {
        assert_int_equal(out[i], i);
    }
    free(out);
}

/* Memory between lanes of one program through device memory. */
static void test_global_fence(void **state) {
    job j = {.text = HEAD("64", "0", "0") PLACE("64")
             "%pb = gep %b, %at {bytes = 4} : ptr\nstorem %pb, %lane\nbarrier {fence = global}\n"
             "%k = const {i = 63} : i64\n%o = sub %k, %l : i64\n%t = add %s, %o : i64\n"
             "%pt = gep %b, %t {bytes = 4} : ptr\n%x = loadm %pt : i32\nbarrier {fence = global}\n"
             "storem %pb, %x\n" TAIL,
             .programs = 4,
             .in_bytes = 16,
             .out_bytes = 1024};
    int32_t out[256] = {0};
    run(*state, &j, out, out);
    for (int i = 0; i < 256; i++) {
        assert_int_equal(out[i], 63 - i % 64);
    }
}

/* Narrow integers widened and compared with constants: what compilers like to take apart. */
static void test_wide_compares(void **state) {
    static const char *const from[] = {"i32", "u32", "i16", "i8"};
    static const char *const preds[] = {"lt", "le", "gt", "ge", "eq", "ne"};
    for (size_t k = 0; k < 24; k++) {
        char text[2048];
        snprintf(text, sizeof text, "%s", HEAD("64", "0", "0") PLACE("64"));
        size_t n = strlen(text);
        snprintf(text + n, sizeof text - n,
                 "%%h = const {i = 20} : i32\n%%d = sub %%lane, %%h : i32\n"
                 "%%w = cast %%d : %s\n%%x = cast %%w : i64\n%%k = const {i = 5} : i64\n"
                 "%%c = cmp %%x, %%k {pred = %s} : bool\n%%pb = gep %%b, %%at {bytes = 1} : ptr\n"
                 "storem %%pb, %%c\n" TAIL,
                 from[k % 4], preds[k / 4]);
        job j = {.text = text, .programs = 1, .in_bytes = 16, .out_bytes = 64};
        unsigned char out[64] = {0};
        run(*state, &j, out, out);
        for (int l = 0; l < 64; l++) {
            int64_t x = k % 4 == 1 ? (int64_t)(uint32_t)(l - 20) : l - 20;
            bool want[] = {x < 5, x <= 5, x > 5, x >= 5, x == 5, x != 5};
            assert_int_equal(out[l], want[k / 4]);
        }
    }
}
/* clang-format on */

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shared_sum),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_atomics),
        cmocka_unit_test(test_shared_atomics),
        cmocka_unit_test(test_loops),
        cmocka_unit_test(test_trap),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_barrier_in_branch),
        cmocka_unit_test(test_many_programs),
        cmocka_unit_test(test_global_fence),
        cmocka_unit_test(test_wide_compares),
    };
    return cmocka_run_group_tests(tests, dvt_begin, dvt_finish);
}
