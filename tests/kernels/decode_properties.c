/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split decode through the C API, one op call as an engine makes it: any number of parts gives the
 * same result within rounding (calc_diff 1e-6), the order of the requests changes no bit at fixed
 * splits, a second launch changes none, and the schedule of the host library is what the op takes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tegula/compiler.h>
#include <tegula/split_schedule.h>

#include "values.h"

enum { B = 4, S = 2, H = 16, D = 576, E = 512, BS = 64, NB = 16, P = 40, MAX_PARTS = 32 };
enum { N_OUT = B * S * H * E, N_LSE = B * H * S };

static const int32_t lengths[B] = {1000, 0, 20, 140};

typedef struct world {
    tgr_context *context;
    tgr_device *device;
    tgr_queue *queue;
    tgr_module *module;
    bool half; /* bf16, else f32 */
} world;

/* Arguments of a call, in f32 or bf16. */
typedef struct call {
    unsigned char q[B * S * H * D * 4], cache[P * BS * D * 4], o[N_OUT * 4];
    int32_t table[B * NB], len[B], splits[B + 1], n_parts;
    float sink[H], lse[N_LSE];
    tgh_part part[MAX_PARTS];
} call;

static const char source[] =
    "import \"mla/mla.tg\"\nimport \"attention/split.tg\"\n"
    "op decode[T: bf16 | f32](q: T[B, S, H, 576], cache: T[P, 64, 1, 576], "
    "table: i32[B, NB], len: i32[B], part: split.Part[W], splits: "
    "i32[B + 1] sorted, sink: f32[H], scale: f32, out o: T[B, S, H, 512], "
    "out lse: f32[B, H, S]) {\n"
    "  mla.mla_decode_split(q, cache, table, len, part, splits, sink, "
    "scale, out o, out lse)\n}\n";

/* The mla folder is a library of modules for the source above. */
static void world_open(world *w, bool half) {
    *w = (world){.half = half};
    tgc_options options = TGR_INIT(tgc_options);
    tgr_setting type = {"T", half ? "bf16" : "f32"};
    tgc_instance instance = {.kernel = "decode", .settings = &type, .n_settings = 1};
    char *why = NULL;
    options.source = source;
    options.source_bytes = strlen(source);
    options.import_dir = TEGULA_KERNELS_DIR;
    options.instances = &instance;
    options.n_instances = 1;
    assert_int_equal(tgr_context_create(NULL, &w->context), TGR_OK);
    assert_int_equal(tgr_device_open(w->context, "cpu", NULL, &w->device), TGR_OK);
    assert_int_equal(tgr_queue_create(w->device, 0, &w->queue), TGR_OK);
    tgr_status st = tgr_module_from_source(w->device, &options, NULL, NULL, &w->module, &why);
    if (st != TGR_OK) {
        fprintf(stderr, "%s\n", why != NULL ? why : tgr_status_sentence(st));
    }
    assert_int_equal(st, TGR_OK);
    tgc_text_free(&options, why);
}

static void world_close(world *w) {
    tgr_module_release(w->module);
    tgr_queue_release(w->queue);
    tgr_device_release(w->device);
    tgr_context_release(w->context);
}

/* Request order[i] stands at place i; every request's data depend on its number alone. */
static void fill(const world *w, call *c, const int *order) {
    uint64_t seed = 7;
    for (int64_t i = 0; i < P * BS * D; i++) {
        put(c->cache, w->half, i, normal(&seed));
    }
    for (int h = 0; h < H; h++) {
        c->sink[h] = h == 3 ? -INFINITY : h == 5 ? INFINITY : (float)normal(&seed);
    }
    for (int i = 0; i < B; i++) {
        uint64_t own = 100 + (uint64_t)order[i];
        c->len[i] = lengths[order[i]];
        for (int64_t j = 0; j < S * H * D; j++) {
            put(c->q, w->half, i * S * H * D + j, normal(&own));
        }
        for (int j = 0; j < NB; j++) {
            bool used = j * BS < c->len[i];
            c->table[i * NB + j] = used ? (int32_t)(uniform(&own) * P) : 2147480000;
        }
    }
}

static void run(world *w, call *c) {
    const int64_t q[] = {B, S, H, D}, cache[] = {P, BS, 1, D}, table[] = {B, NB}, len[] = {B};
    const int64_t parts[] = {c->n_parts}, splits[] = {B + 1}, sink[] = {H}, o[] = {B, S, H, E};
    const int64_t lse[] = {B, H, S};
    tg_dtype t = w->half ? TG_DT_BF16 : TG_DT_F32;
    tgr_kernel *op = NULL;
    size_t workspace = 0;
    tgr_arg args[] = {tgr_arg_tensor(c->q, t, 4, q),
                      tgr_arg_tensor(c->cache, t, 4, cache),
                      tgr_arg_tensor(c->table, TG_DT_I32, 2, table),
                      tgr_arg_tensor(c->len, TG_DT_I32, 1, len),
                      tgr_arg_tensor(c->part, TG_DT_RECORD, 1, parts),
                      tgr_arg_tensor(c->splits, TG_DT_I32, 1, splits),
                      tgr_arg_tensor(c->sink, TG_DT_F32, 1, sink),
                      tgr_arg_f32((float)(1 / sqrt(192.0))),
                      tgr_arg_tensor(c->o, t, 4, o),
                      tgr_arg_tensor(c->lse, TG_DT_F32, 3, lse)};
    memset(c->o, 0x5a, sizeof c->o);
    memset(c->lse, 0x5a, sizeof c->lse);
    assert_int_equal(tgr_module_find(w->module, "decode", NULL, 0, &op), TGR_OK);
    assert_int_equal(tgr_kernel_workspace(op, args, 10, NULL, &workspace), TGR_OK);
    assert_true(workspace >= (size_t)(B + c->n_parts) * S * H * (E + 1) * sizeof(float));
    tgr_status st = tgr_launch(w->queue, op, args, 10, NULL);
    if (st != TGR_OK) {
        char why[256] = "";
        (void)tgr_context_message(w->context, why, sizeof why);
        fprintf(stderr, "%s\n", why);
    }
    assert_int_equal(st, TGR_OK);
}

static void schedule(call *c, int32_t parts) {
    c->n_parts = parts;
    assert_int_equal(tgh_split_schedule(c->len, B, parts, TGH_SPLIT_BLOCK, TGH_SPLIT_OVERHEAD,
                                        c->part, c->splits),
                     TGH_SPLIT_OK);
}

static call *new_call(void) {
    call *c = calloc(1, sizeof *c);
    assert_non_null(c);
    return c;
}

static void expect_close(const world *w, const call *a, const call *b) {
    double xy = 0, xx = 0, yy = 0;
    for (int64_t i = 0; i < N_OUT; i++) {
        double x = get(a->o, w->half, i), y = get(b->o, w->half, i);
        assert_false(isnan(x) || isnan(y));
        xy += x * y;
        xx += x * x;
        yy += y * y;
    }
    assert_true(xx > 0 && 1 - 2 * xy / (xx + yy) <= 1e-6);
    for (int i = 0; i < N_LSE; i++) {
        assert_true(a->lse[i] == b->lse[i] || fabsf(a->lse[i] - b->lse[i]) <= 1e-5f);
    }
}

static void one_against_many(bool half) {
    static const int order[B] = {0, 1, 2, 3};
    world w;
    call *one = new_call(), *many = new_call(), *again = new_call();
    world_open(&w, half);
    fill(&w, one, order);
    *many = *one;
    schedule(one, 1);
    run(&w, one);
    assert_true(one->splits[B] == B);
    for (int h = 0; h < H; h++) { /* the empty request */
        assert_true(isinf(one->lse[(1 * H + h) * S]) && one->lse[(1 * H + h) * S] > 0);
        assert_true(get(one->o, w.half, ((1 * S + 1) * H + h) * E) == 0);
    }
    for (int32_t parts = 2; parts <= MAX_PARTS; parts += 10) {
        schedule(many, parts);
        run(&w, many);
        expect_close(&w, one, many);
        *again = *many;
        run(&w, again);
        assert_memory_equal(again->o, many->o, sizeof many->o);
        assert_memory_equal(again->lse, many->lse, sizeof many->lse);
    }
    assert_true(many->splits[B] > B);
    world_close(&w);
    free(one);
    free(many);
    free(again);
}

static void test_splits_f32(void **state) {
    (void)state;
    one_against_many(false);
}

static void test_splits_bf16(void **state) {
    (void)state;
    one_against_many(true);
}

/* Requests in pieces of 5 blocks, whatever their order. */
static void pieces_of_five(call *c) {
    c->n_parts = 0;
    for (int32_t r = 0; r < B; r++) {
        int32_t blocks = c->len[r] == 0 ? 1 : (c->len[r] + BS - 1) / BS, n = (blocks + 4) / 5;
        for (int32_t i = 0; i < n; i++) {
            int32_t end = 5 * i + 5 < blocks ? 5 * i + 5 : blocks, cut = n > 1;
            c->part[c->n_parts++] =
                (tgh_part){r, r, 5 * i, c->len[r] == 0 ? 0 : end, i, cut, cut, 0};
        }
        c->splits[r + 1] = c->splits[r] + n;
    }
}

static void test_order_of_requests(void **state) {
    (void)state;
    static const int order[B] = {0, 1, 2, 3}, other[B] = {2, 0, 3, 1};
    world w;
    call *a = new_call(), *b = new_call();
    world_open(&w, true);
    fill(&w, a, order);
    fill(&w, b, other);
    pieces_of_five(a);
    pieces_of_five(b);
    run(&w, a);
    run(&w, b);
    for (int i = 0; i < B; i++) {
        size_t row = (size_t)S * H * E * 2;
        assert_memory_equal(b->o + (size_t)i * row, a->o + (size_t)other[i] * row, row);
        assert_memory_equal(b->lse + i * H * S, a->lse + other[i] * H * S, H * S * sizeof(float));
    }
    world_close(&w);
    free(a);
    free(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_splits_f32),
                                       cmocka_unit_test(test_splits_bf16),
                                       cmocka_unit_test(test_order_of_requests)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
