/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrix units: every row of the table is sound, accumulators made of its fragments are what the
 * checker takes for such, and what is not is told: swapped operands, fragments of another place,
 * indices that the lanes do not share, copies that nobody waited for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "ir/banks.h"
#include "ir/build.h"
#include "ir/interp_loop.h"
#include "tests/place/support.h"

enum { LANES = 32, SHARED = 4096 };

/* Every element of a block in exactly one lane's register, or in as many lanes' as the unit wants.
 */
static void covers_once(tg_module *m, const tg_matrix_unit *u, tg_matrix_part p) {
    unsigned char seen[2048] = {0};
    int64_t shape[2], n = tg_matrix_elems(u, p), at[2];
    const tg_layout *l = tg_matrix_layout(m, u, p);
    tg_matrix_shape(u, p, shape);
    assert_non_null(l);
    assert_int_equal(tg_layout_size(l, TG_RES_LANE), u->lanes);
    assert_int_equal(tg_layout_size(l, TG_RES_REG), n);
    for (int64_t i = 0; i < u->lanes * n; i++) {
        tg_layout_coords(l, i / n, i % n, at);
        assert_true(at[0] >= 0 && at[0] < shape[0] && at[1] >= 0 && at[1] < shape[1]);
        seen[at[0] * shape[1] + at[1]]++;
    }
    for (int64_t i = 0; i < shape[0] * shape[1]; i++) {
        assert_int_equal(seen[i], tg_matrix_copies(u, p));
    }
}

static void test_table(void **state) {
    place_test t;
    (void)state;
    place_test_init(&t);
    tg_module *m = tg_module_make(&t.arena);
    const tg_matrix_unit *u;
    for (size_t i = 0; (u = tg_matrix_at(i)) != NULL; i++) {
        assert_ptr_equal(tg_matrix_find(u->name), u);
        for (int p = 0; p < TG_PART_COUNT && tg_matrix_is_open(u); p++) {
            if (p != TG_PART_B || !tg_matrix_reads_memory(u)) {
                covers_once(m, u, (tg_matrix_part)p);
            }
        }
    }
    assert_null(tg_matrix_find("mma.m1n1k1.f32"));
    place_test_fini(&t);
}

/* The layout with the places of two of its digits exchanged. */
static const tg_layout *exchanged(tg_module *m, const tg_layout *l, int x, int y) {
    tg_layout c = *l;
    int64_t keep = c.modes[x].place;
    c.modes[x].place = c.modes[y].place;
    c.modes[y].place = keep;
    return tg_layout_intern(m, &c);
}

static void test_accumulators(void **state) {
    static const struct {
        int rank;
        int64_t shape[3], warps[3], lanes;
    } rows[] = {{2, {16, 8}, {1, 1}, 32},
                {2, {64, 64}, {2, 2}, 128},
                {2, {48, 24}, {1, 3}, 96},
                {2, {16, 8}, {1, 1}, 128},
                {3, {4, 32, 16}, {2, 1, 2}, 128}};
    place_test t;
    (void)state;
    place_test_init(&t);
    tg_module *m = tg_module_make(&t.arena);
    const tg_matrix_unit *u = tg_matrix_find("mma.m16n8k16.f16");
    for (size_t i = 0; i < TG_COUNT_OF(rows); i++) {
        const tg_layout *l =
            tg_matrix_accumulator(m, u, rows[i].rank, rows[i].shape, rows[i].warps, rows[i].lanes);
        assert_non_null(l);
        assert_true(tg_layout_is_sound(l));
        assert_true(tg_layout_covers(l, rows[i].shape));
        assert_int_equal(tg_layout_size(l, TG_RES_LANE), rows[i].lanes);
        assert_true(tg_matrix_holds(m, u, TG_PART_C, l, rows[i].rank));
        assert_true(
            tg_matrix_holds(m, u, TG_PART_C, tg_layout_tidy(m, l, rows[i].shape), rows[i].rank));
        const tg_layout *a = tg_matrix_operand(m, u, l, 48);
        assert_non_null(a);
        assert_true(tg_layout_is_sound(a));
        assert_true(tg_matrix_holds(m, u, TG_PART_A, a, rows[i].rank));
        assert_int_equal(tg_layout_size(a, TG_RES_LANE), rows[i].lanes);
        assert_null(tg_matrix_operand(m, u, l, 40));
        /* the two register digits of a fragment the wrong way round */
        assert_false(tg_matrix_holds(m, u, TG_PART_C, exchanged(m, l, 0, 1), rows[i].rank));
    }
    int64_t odd[2] = {24, 8}, one[2] = {1, 1};
    assert_null(tg_matrix_accumulator(m, u, 2, odd, one, 32));
    const tg_layout *blocked = tg_layout_tile2d(m, 2, rows[1].shape, 8, 16, 8, 4);
    assert_false(tg_matrix_holds(m, u, TG_PART_C, blocked, 2));
    place_test_fini(&t);
}

/* ---- code ------------------------------------------------------------------------------------
 */

/* What is wrong with one step of f16; nothing, unless asked for. */
typedef struct defect {
    bool swap;        /* b where a belongs */
    bool other_part;  /* loaded as b, though of a's place */
    bool own_index;   /* every lane means another block */
    bool outside;     /* the last rows lie behind the array */
    const char *says; /* of the verifier, or of the run */
} defect;

static tg_func *build(place_test *t, const defect *d) {
    tg_simt_args args;
    tg_module *m = tg_module_make(&t->arena);
    tg_func *f = tg_build_simt_func(m, "k.phase0", LANES, &args);
    tg_builder b = tg_builder_at_end(f->body);
    const tg_matrix_unit *u = tg_matrix_find("mma.m16n8k16.f16");
    const tg_type *i32 = tg_type_scalar(m, TG_DT_I32);
    const int64_t rows[2] = {16, 1}, far[2] = {64, 1};
    f->shared_bytes = SHARED;
    tg_value *mem = tg_build_array(&b, TG_SPACE_SHARED, TG_DT_U16, 512, 0, NULL);
    tg_value *out = tg_build_array(&b, TG_SPACE_SHARED, TG_DT_F32, 128, 1024, NULL);
    for (int i = 0; i < 16; i++) {
        tg_value *at = tg_build_binary(&b, TG_OP_ADD, args.lane, tg_build_int(&b, i32, LANES * i));
        (void)tg_build_astore(&b, mem, at, tg_build_int(&b, tg_type_scalar(m, TG_DT_U16), 0x3C00),
                              1);
    }
    (void)tg_build_barrier(&b, TG_FENCE_SHARED, 0);
    tg_value *at = d->own_index ? args.lane : tg_build_int(&b, i32, 0);
    tg_value *x = tg_build_fragload(&b, u, d->other_part ? TG_PART_B : TG_PART_A, mem, at,
                                    d->outside ? far : rows, 1);
    tg_value *y = tg_build_fragload(&b, u, TG_PART_B, mem, tg_build_int(&b, i32, 256), rows, 1);
    tg_value *zero = tg_build_splat(&b, tg_build_float(&b, tg_type_scalar(m, TG_DT_F32), 0.0), 4);
    tg_value *r = tg_build_mma(&b, u, d->swap ? y : x, y, zero);
    (void)tg_build_fragstore(&b, u, TG_PART_C, out, tg_build_int(&b, i32, 0), r,
                             (const int64_t[2]){8, 1});
    tg_build_op(&b, TG_OP_YIELD, 0, NULL, 0, NULL, 0);
    return f;
}

static void run_code(place_test *t, tg_module *m, tg_loop_report *report) {
    tg_loop_options o = {.seed = 3, .programs = 1, .subgroup = LANES};
    int64_t slots[1] = {0};
    assert_int_equal(tg_loop_run(m, "k", slots, 1, NULL, 0, &o, &t->arena, report), TG_OK);
}

static void test_defects(void **state) {
    static const defect rows[] = {{.says = NULL},
                                  {.swap = true, .says = "a fragment of a of"},
                                  {.other_part = true, .says = "a fragment of a of"},
                                  {.own_index = true, .says = "different blocks"},
                                  {.outside = true, .says = "of an array of"}};
    (void)state;
    for (size_t i = 0; i < TG_COUNT_OF(rows); i++) {
        place_test t;
        tg_loop_report report = {0};
        const char *said = NULL;
        place_test_init(&t);
        tg_func *f = build(&t, &rows[i]);
        if (tg_module_verify(f->module, &t.sink) != TG_OK) {
            said = place_test_messages(&t);
        } else {
            run_code(&t, f->module, &report);
            said = report.n_findings > 0 ? report.findings[0].text : NULL;
        }
        if (rows[i].says == NULL) {
            assert_null(said);
        } else if (said == NULL || strstr(said, rows[i].says) == NULL) {
            fail_msg("%zu: %s", i, said != NULL ? said : "nothing was said");
        }
        place_test_fini(&t);
    }
}

/* One lane copies 16 bytes and stores what is there: with and without having waited. */
static void copy_and_look(bool waits, tg_loop_report *report, place_test *t, int32_t *in,
                          int32_t *out) {
    tg_simt_args args;
    tg_module *m = tg_module_make(&t->arena);
    tg_func *f = tg_build_simt_func(m, "k.phase0", 1, &args);
    tg_builder b = tg_builder_at_end(f->body);
    const tg_type *i32 = tg_type_scalar(m, TG_DT_I32), *ptr = tg_type_ptr(m);
    f->shared_bytes = 16;
    tg_value *mem = tg_build_array(&b, TG_SPACE_SHARED, TG_DT_I32, 4, 0, NULL);
    tg_value *from = tg_build1(&b, TG_OP_SLOT, ptr, 1, args.slots);
    tg_value *to = tg_build1(&b, TG_OP_SLOT, ptr, 1, args.slots);
    tg_op_set_int(from->def, TG_ATTR_VALUE_I, 0);
    tg_op_set_int(to->def, TG_ATTR_VALUE_I, 1);
    (void)tg_build_acopy(&b, mem, tg_build_int(&b, i32, 0), from, 16);
    (void)tg_build_agroup(&b);
    (void)tg_build_agroup(&b);
    (void)tg_build_aland(&b, waits ? 1 : 2);
    (void)tg_build_storem(&b, to, tg_build_aload(&b, i32, mem, tg_build_int(&b, i32, 2), 1), 0);
    tg_build_op(&b, TG_OP_YIELD, 0, NULL, 0, NULL, 0);
    assert_int_equal(tg_module_verify(m, &t->sink), TG_OK);
    int64_t slots[2] = {(int64_t)(intptr_t)in, (int64_t)(intptr_t)out};
    tg_loop_range ranges[2] = {{.base = in, .bytes = 16, .name = "in"},
                               {.base = out, .bytes = 4, .writable = true, .name = "out"}};
    tg_loop_options o = {.programs = 1};
    assert_int_equal(tg_loop_run(m, "k", slots, 2, ranges, 2, &o, &t->arena, report), TG_OK);
}

static void test_landing(void **state) {
    _Alignas(16) int32_t in[4] = {1, 2, 3, 4};
    (void)state;
    for (int waits = 0; waits < 2; waits++) {
        place_test t;
        tg_loop_report report = {0};
        int32_t out = -1;
        place_test_init(&t);
        copy_and_look(waits != 0, &report, &t, in, &out);
        assert_int_equal(report.n_findings, waits != 0 ? 0 : 2);
        if (waits != 0) {
            assert_int_equal(out, 3);
        } else { /* it is read too early, and the program ends before it has landed */
            assert_int_equal(report.findings[0].fault, TG_LOOP_UNDEFINED);
            assert_int_equal(report.findings[1].fault, TG_LOOP_UNAWAITED);
        }
        place_test_fini(&t);
    }
}

/* ---- products that end later ------------------------------------------------------------------
 */

enum { GROUP = 128, A_ELEMS = 64 * 64, B_ELEMS = 8 * 64 };

/* What is wrong with one product of 64x8x16 out of swizzled memory. */
typedef struct late {
    bool own_index, no_wait, no_commit, misplaced, registers;
    int64_t keep, swizzle, panel, turned;
    const char *says;
} late;

static tg_value *slot_at(tg_builder *b, const tg_simt_args *args, int64_t i) {
    tg_value *v = tg_build1(b, TG_OP_SLOT, tg_type_ptr(b->module), 1, args->slots);
    tg_op_set_int(v->def, TG_ATTR_VALUE_I, i);
    return v;
}

static tg_func *build_late(place_test *t, const late *d) {
    tg_simt_args args;
    tg_module *m = tg_module_make(&t->arena);
    tg_func *f = tg_build_simt_func(m, "k.phase0", GROUP, &args);
    tg_builder b = tg_builder_at_end(f->body);
    const tg_matrix_unit *u = tg_matrix_find("wgmma.m64k16.f16");
    const tg_type *i32 = tg_type_scalar(m, TG_DT_I32), *u16 = tg_type_scalar(m, TG_DT_U16);
    const tg_gmma_operand how[2] = {{128, 0, 0}, {d->swizzle, d->turned, d->panel}};
    int64_t b_at = d->misplaced ? 8704 : 8192;
    f->shared_bytes = 16384;
    tg_value *x = tg_build_array(&b, TG_SPACE_SHARED, TG_DT_U16, A_ELEMS, 0, NULL);
    tg_value *y = tg_build_array(&b, TG_SPACE_SHARED, TG_DT_U16, B_ELEMS, b_at, NULL);
    for (int i = 0; i < (A_ELEMS + B_ELEMS) / GROUP; i++) {
        bool first = i < A_ELEMS / GROUP;
        int64_t from = first ? i * GROUP : i * GROUP - A_ELEMS;
        tg_value *at = tg_build_binary(&b, TG_OP_ADD, args.lane, tg_build_int(&b, i32, from));
        (void)tg_build_astore(&b, first ? x : y, at, tg_build_int(&b, u16, 0x3C00), 1);
    }
    (void)tg_build_pfence(&b);
    (void)tg_build_barrier(&b, TG_FENCE_SHARED, 0);
    tg_value *zero = tg_build_int(&b, i32, 0), *one = tg_build_int(&b, u16, 0x3C00);
    tg_value *a = d->registers ? tg_build_splat(&b, one, 8) : x;
    tg_value *index = d->registers ? NULL : d->own_index ? args.lane : zero;
    const tg_type *type = tg_matrix_type(m, u, TG_PART_C);
    (void)tg_build_gfence(&b);
    tg_value *r = tg_build_gmma(&b, u, type, a, index, y, zero, NULL, how);
    r = tg_build_gmma(&b, u, type, a, index, y, zero, r, how);
    if (!d->no_commit) {
        (void)tg_build_gcommit(&b);
    }
    if (!d->no_wait) {
        (void)tg_build_gwait(&b, d->keep, 1, &r);
    }
    tg_value *at = tg_build_cast(&b, args.lane, TG_DT_I64);
    (void)tg_build_storem(&b, tg_build_gep(&b, slot_at(&b, &args, 0), at, 4),
                          tg_build_extract(&b, r, 3), 0);
    tg_build_op(&b, TG_OP_YIELD, 0, NULL, 0, NULL, 0);
    return f;
}

static void test_late(void **state) {
    static const late rows[] = {
        {.swizzle = 128},
        {.swizzle = 64},
        {.swizzle = 128, .registers = true},
        {.swizzle = 128, .own_index = true, .says = "different blocks"},
        {.swizzle = 128, .no_wait = true, .says = "memory that nobody wrote"},
        {.swizzle = 128, .keep = 1, .says = "memory that nobody wrote"},
        {.swizzle = 128, .no_commit = true, .says = "memory that nobody wrote"},
        {.swizzle = 128, .misplaced = true, .says = "begins at a multiple of 1024"},
        {.swizzle = 16, .says = "no swizzle of 16 bytes"},
        {.swizzle = 32, .turned = 1, .panel = 8, .says = "panels are no multiple of 8 rows"},
        {.swizzle = 32, .turned = 1, .panel = 512},
        {.swizzle = 128, .turned = 1, .says = "of an array of"}};
    (void)state;
    for (size_t i = 0; i < TG_COUNT_OF(rows); i++) {
        place_test t;
        tg_loop_report report = {0};
        float out[GROUP] = {0};
        const char *said = NULL;
        place_test_init(&t);
        tg_func *f = build_late(&t, &rows[i]);
        if (tg_module_verify(f->module, &t.sink) != TG_OK) {
            said = place_test_messages(&t);
        } else {
            tg_loop_options o = {.seed = 3, .programs = 1, .subgroup = LANES};
            int64_t slots[1] = {(int64_t)(intptr_t)out};
            tg_loop_range range = {.base = out, .bytes = sizeof out, .writable = true};
            range.name = "out";
            assert_int_equal(
                tg_loop_run(f->module, "k", slots, 1, &range, 1, &o, &t.arena, &report), TG_OK);
            said = report.n_findings > 0 ? report.findings[0].text : NULL;
        }
        bool right = rows[i].says == NULL ? said == NULL
                                          : said != NULL && strstr(said, rows[i].says) != NULL;
        if (!right) {
            fail_msg("%zu: %s", i, said != NULL ? said : "nothing was said");
        }
        for (int l = 0; l < GROUP && rows[i].says == NULL; l++) {
            assert_true(out[l] == 32.0f);
        }
        place_test_fini(&t);
    }
}

/* ---- which unit ------------------------------------------------------------------------------
 */

static void says(const char *machine, const char *source, const char *words) {
    place_test t;
    place_test_init(&t);
    tg_source src = {.name = "text", .text = source, .len = strlen(source)};
    tg_program *p = place_test_program(&t, &src);
    tg_module *m = tg_module_make(&t.arena), *placed = tg_module_make(&t.arena);
    tg_func *f = NULL;
    assert_non_null(p);
    assert_int_equal(tg_program_specialise(p, "k", NULL, 0, NULL, m, &f), TG_OK);
    place_test_optimise(&t, f);
    assert_int_equal(tg_place(f, tg_machine_find(machine), placed, &t.sink), TG_OK);
    assert_int_equal(tg_module_verify(placed, &t.sink), TG_OK);
    if (strstr(place_test_messages(&t), words) == NULL) {
        fail_msg("%s", place_test_messages(&t));
    }
    place_test_fini(&t);
}

#define PRODUCT(type, acc, bm, at)                                                                 \
    "kernel k(a: " type "[M, K], b: " type "[K, N], out c: " acc "[M, N]) grid i: M by " bm        \
    ", j: N by 16\n{ var s = zeros " acc "[" bm ", 16]\n"                                          \
    "  for k: K by 32 { s += a[i, k] " at " b[k, j] }\n  c[i, j] = s }"

#define TURNED(type, acc, bm, at)                                                                  \
    "kernel k(a: " type "[M, K], b: " type "[N, K], out c: " acc "[M, N]) grid i: M by " bm        \
    ", j: N by 16\n{ var s = zeros " acc "[" bm ", 16]\n"                                          \
    "  for k: K by 32 { s += a[i, k] " at " b[j, k].T }\n  c[i, j] = s }"

static void test_choice(void **state) {
    (void)state;
    says("sm_80", PRODUCT("f16", "f32", "32", "@"), "matrix unit mma.m16n8k16.f16");
    says("sm_80", PRODUCT("f16", "f32", "32", "@"), "remark[E0604]: product of f16");
    says("sm_80", PRODUCT("bf16", "f32", "32", "@"), "matrix unit mma.m16n8k16.bf16");
    says("sm_80", PRODUCT("f8e4m3", "f32", "32", "@"), "matrix unit mma.m16n8k16.f16");
    says("sm_80", PRODUCT("i8", "i32", "32", "@"), "matrix unit mma.m16n8k32.s8");
    says("sm_80", PRODUCT("f64", "f64", "32", "@"), "matrix unit mma.m8n8k4.f64");
    says("sm_80", PRODUCT("f32", "f32", "32", "@ tf32"), "matrix unit mma.m16n8k8.tf32");
    static const char fnuz[] =
        "kernel k(a: f8e4m3fnuz[M, K], b: f8e4m3fnuz[N, K], out c: f32[M, N])\n"
        "  grid i: M by 64, j: N by 64\n"
        "{ var s = zeros f32[64, 64]\n"
        "  for k: K by 64 { s += a[i, k] @ fast b[j, k].T }\n  c[i, j] = s }";
    says("gfx942", fnuz, "matrix unit mfma.m32n32k32.e4m3fnuz");
    says("gfx90a", fnuz, "matrix unit mfma.m16n16k16.f16.flush");
    says("sm_90a", PRODUCT("f8e4m3", "f32", "32", "@ fast"), "matrix unit mma.m16n8k32.e4m3");
    /* few products from 0, which f32 adds up */
    says("sm_90a", PRODUCT("f8e4m3", "f32", "32", "@"), "matrix unit mma.m16n8k32.e4m3");
    says("vulkan-coopmat", PRODUCT("f16", "f32", "32", "@ fast"),
         "matrix unit coopmat.m16n16k16.f16");
    says("vulkan-coopmat", PRODUCT("i8", "i32", "32", "@"), "matrix unit coopmat.m16n16k32.s8");
    says("vulkan-coopmat", PRODUCT("f16", "f32", "32", "@"), "FMA of the lanes");
    says("vulkan-coopmat",
         "kernel k(a: f16[M, K], b: f16[K, N], out c: f32[M, N]) grid i: M by 128, j: N by 128\n"
         "{ var acc = zeros f32[128, 128]\n"
         "  for k: K by 32 { acc += a[i, k] @ fast b[k, j] }\n"
         "  c[i, j] = acc }",
         "FMA of the lanes, as the unit takes plain products that shared memory holds");
    says("vulkan-coopmat",
         "kernel k(a: f16[M, 64], b: f16[64, N], out c: f32[M, N]) grid i: M by 32, j: N by 32\n"
         "{ let x = (a[i, 0:64] * 2.0) as f16\n"
         "  let y = b[0:64, j]\n"
         "  c[i, j] = (x[:, 3:35] @ fast y[3:35, :]) }",
         "FMA of the lanes, as its operands are not where a unit reads");
    says("sm_90a", PRODUCT("f16", "f32", "64", "@"), "matrix unit wgmma.m64k16.f16");
    says("sm_90a", PRODUCT("f16", "f32", "32", "@"), "matrix unit mma.m16n8k16.f16");
    says("sm_90a", PRODUCT("bf16", "f32", "128", "@"), "matrix unit wgmma.m64k16.bf16");
    says("sm_90a", PRODUCT("f8e4m3", "f32", "64", "@"), "matrix unit mma.m16n8k32.e4m3");
    says("sm_90a", TURNED("f8e4m3", "f32", "64", "@"), "matrix unit wgmma.m64k32.e4m3");
    says(
        "sm_90a",
        "kernel k(a: f8e4m3[M, K], b: f8e4m3[N, K], out c: f32[M, N]) grid i: M by 64, j: N by 16\n"
        "{ var s = zeros f32[64, 16]\n"
        "  for k: K by 256 { s += a[i, k] @ b[j, k].T }\n  c[i, j] = s }",
        "matrix unit mma.m16n8k16.f16");
    /* bytes lie along K alone */
    says("sm_90a", PRODUCT("f8e4m3", "f32", "64", "@ fast"), "matrix unit mma.m16n8k32.e4m3");
    says("sm_90a", TURNED("f8e4m3", "f32", "64", "@ fast"), "matrix unit wgmma.m64k32.e4m3");
    says("sm_90a", TURNED("f8e5m2", "f32", "64", "@ fast"), "matrix unit wgmma.m64k32.e5m2");
    says("sm_90a", TURNED("i8", "i32", "64", "@"), "matrix unit wgmma.m64k32.s8");
    says("sm_90a", TURNED("u8", "i32", "64", "@"), "matrix unit wgmma.m64k32.u8");
    /* an operand that lies across rows of something else */
    says("sm_90a",
         "kernel k(a: f16[M, 64], b: f16[64, N], out c: f32[M, N]) grid i: M by 64, j: N by 32\n"
         "{ let x = (a[i, 0:64] * 2.0) as f16\n"
         "  let y = b[0:64, j]\n"
         "  c[i, j] = (x[:, 3:35] @ y[3:35, :]) }",
         "matrix unit mma.m16n8k16.f16");
    says("sm_80", PRODUCT("f32", "f32", "32", "@"), "FMA of the lanes, as no unit has these types");
    says("sm_80", PRODUCT("f16", "f32", "8", "@"),
         "FMA of the lanes, as the extents are no multiples");
}

/* Rows that a unit reads lie apart in the banks. */
static void test_banks(void **state) {
    static const char *const sources[] = {PRODUCT("f16", "f32", "64", "@"),
                                          PRODUCT("bf16", "f32", "32", "@")};
    (void)state;
    for (size_t i = 0; i < TG_COUNT_OF(sources); i++) {
        place_test t;
        place_test_init(&t);
        tg_source src = {.name = "text", .text = sources[i], .len = strlen(sources[i])};
        tg_program *p = place_test_program(&t, &src);
        tg_module *m = tg_module_make(&t.arena), *placed = tg_module_make(&t.arena);
        tg_module *loop = tg_module_make(&t.arena);
        const tg_machine *mc = tg_machine_find("sm_80");
        const tg_bank_options options = {.banks = mc->banks};
        tg_func *f = NULL;
        tg_bank_access *all;
        int loads = 0;
        assert_int_equal(tg_program_specialise(p, "k", NULL, 0, NULL, m, &f), TG_OK);
        place_test_optimise(&t, f);
        assert_int_equal(tg_place(f, mc, placed, &t.sink), TG_OK);
        assert_int_equal(tg_lower_simt(placed->first_func, mc, loop, &t.sink), TG_OK);
        for (size_t k = 0, n = tg_bank_count(loop->first_func, &options, &t.arena, &all); k < n;
             k++) {
            if (all[k].op->code == TG_OP_FRAGLOAD) {
                assert_int_equal(all[k].degree, 1);
                loads++;
            }
        }
        assert_true(loads > 0);
        place_test_fini(&t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),   cmocka_unit_test(test_accumulators),
        cmocka_unit_test(test_defects), cmocka_unit_test(test_landing),
        cmocka_unit_test(test_choice),  cmocka_unit_test(test_banks),
        cmocka_unit_test(test_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
