/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bulk copies: what a box holds inside, across and outside of its tensor, plain and with its rows
 * spread over banks; which tensors have no map; and what the loop interpreter says of copies that
 * nobody waits for, that bring other bytes than expected, that go to a crooked place, or that go
 * over what others still read. Then what placement takes for a box.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "ir/build.h"
#include "ir/interp_loop.h"
#include "tests/place/support.h"

enum { LANES = 32, W = 8, H = 4, PITCH = 12, WIDE = 10, HIGH = 6, NO_MAP = -7 };

/* A box of 8 by 4 elements of a 10 by 6 tensor whose rows lie 48 bytes apart; every lane stores one
 * element of it. Slots: tensor, its extents, its stride, where to, coordinates. */
static const char text[] =
    "tegula-ir 1\nkernel loop \"k.phase0\" {\nrole simt\nprogram lanes 32 shared 1032 scratch 0\n"
    "body (%%slots: ptr, %%p: i64, %%lane: i32, %%scratch: ptr, %%report: ptr) {\n"
    "%%mem = array {offset = 0} : buf<shared, i32[256], 1>\n"
    "%%bars = array {offset = 1024} : buf<shared, u64[1], 1>\n"
    "%%in = slot %%slots {i = 0} : ptr\n%%w = slot %%slots {i = 1} : i64\n"
    "%%h = slot %%slots {i = 2} : i64\n%%s = slot %%slots {i = 3} : i64\n"
    "%%out = slot %%slots {i = 4} : ptr\n"
    "%%x = slot %%slots {i = 5} : i32\n%%y = slot %%slots {i = 6} : i32\n"
    "%%0 = const {i = 0} : i32\n%%one = const {i = 1} : i32\n%%at = const {i = %s} : i32\n"
    "%%n = const {i = %s} : i32\n%%no = const {i = -7} : i32\n"
    "%%map = tmap %%in, %%w, %%h, %%s {dtype = i32, shape = [8, 4]%s} : ptr\n"
    "%%ok = tmap_ok %%map : bool\n%%first = cmp %%lane, %%0 {pred = eq} : bool\n"
    "if %%first {\nmbar_init %%bars, %%0 {n = 1}\n} {}\nbarrier {fence = shared}\n"
    "%%o = if %%ok : i32 {\n"
    "mbar_expect %%bars, %%0, %%n, %%first\n"
    "tcopy %%map, %%mem, %%at, %%bars, %%0, %%first, %%x, %%y\n"
    "%s\n%%i = add %%at, %%lane : i32\n"
    "%%v = aload %%mem, %%i : i32\n%s\nyield %%v\n} {\nyield %%no\n}\n"
    "%%lw = cast %%lane : i64\n%%to = gep %%out, %%lw {bytes = 4} : ptr\n"
    "storem %%to, %%o\nyield\n}\n}\n";

#define WAIT "mbar_wait %bars, %0, %0"
#define AGAIN                                                                                      \
    "mbar_expect %bars, %0, %n, %first\ntcopy %map, %mem, %at, %bars, %0, %first, %x, %y\n"        \
    "mbar_wait %bars, %0, %one\n"

typedef struct given {
    const char *at, *bytes, *swizzle, *wait, *then;
} given;
static const given right = {"0", "128", "", WAIT, ""};

typedef struct launch {
    const int32_t *in;
    int64_t wide, high, stride;
    int32_t x, y;
    int32_t out[LANES];
} launch;

static void run(const given *g, launch *l, tg_loop_report *report, place_test *t) {
    const char *code =
        tg_arena_printf(&t->arena, text, g->at, g->bytes, g->swizzle, g->wait, g->then);
    tg_source *src = TG_NEW(&t->arena, tg_source);
    *src = (tg_source){.name = "text", .text = code, .len = strlen(code)};
    tg_module *m = NULL;
    if (tg_module_parse(src, &t->arena, &t->sink, &m) != TG_OK ||
        tg_module_verify(m, &t->sink) != TG_OK) {
        fail_msg("%s", place_test_messages(t));
    }
    int64_t slots[7] = {(int64_t)(intptr_t)l->in,  l->wide, l->high, l->stride,
                        (int64_t)(intptr_t)l->out, l->x,    l->y};
    tg_loop_range ranges[2] = {
        {.base = (void *)(uintptr_t)l->in, .bytes = PITCH * HIGH * 4, .name = "in"},
        {.base = l->out, .bytes = sizeof l->out, .writable = true, .name = "out"}};
    tg_loop_options o = {.seed = 5, .programs = 1, .subgroup = LANES};
    assert_int_equal(tg_loop_run(m, "k", slots, 7, ranges, 2, &o, &t->arena, report), TG_OK);
}

static const int32_t *tensor(void) {
    static _Alignas(16) int32_t in[PITCH * HIGH];
    for (int i = 0; i < PITCH * HIGH; i++) {
        in[i] = 100 + i;
    }
    return in;
}

static launch at(int32_t x, int32_t y) {
    return (launch){
        .in = tensor(), .wide = WIDE, .high = HIGH, .stride = 4 * PITCH, .x = x, .y = y};
}

static int32_t element(int32_t x, int32_t y) {
    return x < 0 || x >= WIDE || y < 0 || y >= HIGH ? 0 : 100 + y * PITCH + x;
}

/* Place of a box's element in memory: 16-byte pieces of a row change places by the number of the
 * 128 bytes it is in (here: rows of 32 bytes, four to each). */
static int place(int x, int y, int swizzle) {
    int byte = 4 * (y * W + x);
    return (swizzle ? byte ^ ((byte >> 7 & (swizzle / 16 - 1)) << 4) : byte) / 4;
}

static void test_boxes(void **state) {
    static const int32_t where[][2] = {
        {0, 0},  {1, 1}, {2, 2},  {-3, 0}, {0, -2}, {5, 4},          {9, 5},
        {10, 0}, {0, 6}, {-8, 0}, {0, -4}, {2, 1},  {2147483647, 0}, {0, -2147483647 - 1}};
    (void)state;
    for (size_t i = 0; i < TG_COUNT_OF(where); i++) {
        for (int swizzle = 0; swizzle <= 32; swizzle += 32) {
            place_test t;
            tg_loop_report report = {0};
            launch l = at(where[i][0], where[i][1]);
            given g = right;
            place_test_init(&t);
            g.swizzle = swizzle ? ", swizzle = 32" : "";
            run(&g, &l, &report, &t);
            assert_int_equal(report.n_findings, 0);
            for (int y = 0; y < H; y++) {
                for (int x = 0; x < W; x++) {
                    int64_t px = (int64_t)l.x + x, py = (int64_t)l.y + y;
                    bool far = px > 1000 || py < -1000;
                    int32_t want = far ? 0 : element((int32_t)px, (int32_t)py);
                    assert_int_equal(l.out[place(x, y, swizzle)], want);
                }
            }
            place_test_fini(&t);
        }
    }
}

/* What a map cannot be made of takes the other way. */
static void test_no_maps(void **state) {
    (void)state;
    for (int i = 0; i < 7; i++) {
        place_test t;
        tg_loop_report report = {0};
        launch l = at(0, 0);
        place_test_init(&t);
        l.in += i == 1;
        l.stride += i == 2 ? 4 : 0;
        l.wide = i == 3 ? 0 : i == 4 ? (int64_t)1 << 31 : l.wide;
        l.stride = i == 5 ? 0 : i == 6 ? -48 : l.stride;
        run(&right, &l, &report, &t);
        assert_int_equal(report.n_findings, 0);
        assert_int_equal(l.out[9], i == 0 ? element(1, 1) : NO_MAP);
        place_test_fini(&t);
    }
}

static void test_defects(void **state) {
    static const struct {
        given g;
        tg_loop_fault fault;
        const char *says;
    } rows[] = {
        {{"0", "128", "", "", ""}, TG_LOOP_UNDEFINED, "memory that nobody wrote"},
        {{"0", "132", "", WAIT, ""}, TG_LOOP_DEADLOCK, "and 4 bytes"},
        {{"0", "124", "", WAIT, ""}, TG_LOOP_MBARRIER, "128 bytes where the phase expects 124"},
        {{"4", "128", "", WAIT, ""}, TG_LOOP_ALIGN, "no multiple of 128"},
        {{"32", "128", ", swizzle = 32", WAIT, ""}, TG_LOOP_ALIGN, "no multiple of 256"},
        {{"240", "128", "", WAIT, ""}, TG_LOOP_BOUNDS, "from element 240 of 256"},
        {{"0", "128", "", WAIT, AGAIN}, TG_LOOP_RACE, "which nothing orders before"},
        {{"0", "128", "", WAIT, "barrier {fence = shared}\n" AGAIN}, TG_LOOP_FAULT_COUNT, NULL},
    };
    (void)state;
    for (size_t i = 0; i < TG_COUNT_OF(rows); i++) {
        place_test t;
        tg_loop_report report = {0};
        launch l = at(0, 0);
        place_test_init(&t);
        run(&rows[i].g, &l, &report, &t);
        if (rows[i].says == NULL) {
            assert_int_equal(report.n_findings, 0);
        } else if (report.n_findings == 0 || report.findings[0].fault != rows[i].fault ||
                   strstr(report.findings[0].text, rows[i].says) == NULL) {
            fail_msg("%zu: %s", i, report.n_findings ? report.findings[0].text : "nothing");
        }
        place_test_fini(&t);
    }
}

/* ---- placement -------------------------------------------------------------------------------
 */

static int count_of(const tg_region *r, tg_opcode code) {
    int n = 0;
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        n += op->code == code;
        for (int i = 0; i < op->n_regions; i++) {
            n += count_of(op->regions[i], code);
        }
    }
    return n;
}

/* Copies in the code for a machine that are boxes. replicas: of the role that computes; 0: there
 * are none. */
static int boxes_in(const char *name, int replicas, const char *source) {
    place_test t;
    place_test_init(&t);
    tg_source src = {.name = "text", .text = source, .len = strlen(source)};
    tg_program *p = place_test_program(&t, &src);
    tg_module *m = tg_module_make(&t.arena), *placed = tg_module_make(&t.arena);
    tg_module *loop = tg_module_make(&t.arena);
    tg_machine own = *tg_machine_find(name);
    const tg_machine *mc = &own;
    tg_func *f = NULL;
    own.replicas = replicas;
    if (p == NULL || tg_program_specialise(p, "k", NULL, 0, NULL, m, &f) != TG_OK) {
        fail_msg("%s", place_test_messages(&t));
    }
    place_test_optimise(&t, f);
    assert_int_equal(tg_place(f, mc, placed, &t.sink), TG_OK);
    assert_int_equal(tg_module_verify(placed, &t.sink), TG_OK);
    assert_int_equal(tg_lower_simt(placed->first_func, mc, loop, &t.sink), TG_OK);
    assert_int_equal(tg_module_verify(loop, &t.sink), TG_OK);
    int n = count_of(loop->first_func->body, TG_OP_TCOPY);
    bool waits = count_of(loop->first_func->body, TG_OP_MBAR_WAIT) > 0;
    assert_true(waits == (n > 0) || replicas > 0);
    place_test_fini(&t);
    return n;
}

static int boxes_of(const char *machine, const char *source) {
    return boxes_in(machine, 0, source);
}

#define PRODUCT(params, loads)                                                                     \
    "kernel k(" params ", out c: f32[M, N]) grid i: M by 64, j: N by 64\n"                         \
    "{ var s = zeros f32[64, 64]\n  for k: K by 64 { " loads " }\n  c[i, j] = s }"
#define PLAIN PRODUCT("a: f16[M, K], b: f16[K, N]", "s += a[i, k] @ b[k, j]")

static void test_choice(void **state) {
    (void)state;
    assert_true(boxes_of("sm_90a", PLAIN) >= 2);
    assert_int_equal(boxes_of("sm_80", PLAIN), 0);
    /* of roles: one text for all trips, and each replica's rows */
    assert_int_equal(boxes_in("sm_90a", 1, PLAIN), 2);
    assert_int_equal(boxes_in("sm_80", 1, PLAIN), 0);
    assert_true(boxes_of("sm_90a", PRODUCT("a: f16[4, M, K], b: f16[K, N]",
                                           "s += a[1, i, k] @ b[k, j]")) >= 2);
    /* rows whose places data tell, and elements that do not follow each other */
    assert_int_equal(boxes_of("sm_90a", PRODUCT("a: f16[P, K], at: i32[M], b: f16[K, N] strided",
                                                "s += (a[at[i], k] else 0.0) @ b[k, j]")),
                     0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_boxes), cmocka_unit_test(test_no_maps),
                                       cmocka_unit_test(test_defects),
                                       cmocka_unit_test(test_choice)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
