/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bulk copies of tensors as hosts have them, on the simulator: views with padded rows, bases and
 * strides that allow no map, ragged and empty extents, rows gigabytes apart. What lies around a
 * tensor is NaN. The timeline tells whether boxes came by maps.
 */
#include "tests/runtime/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <tegula/compiler.h>

static const char source[] = "kernel product(a: f16[M, K], b: f16[K, N], out c: f32[M, N])\n"
                             "  grid i: M by 64, j: N by 64\n"
                             "{\n"
                             "  var s = zeros f32[64, 64]\n"
                             "  for k: K by 64 { s += a[i, k] @ b[k, j] }\n"
                             "  c[i, j] = s\n"
                             "}\n"
                             "kernel front(a: f16[M, K], b: f16[L, N], out c: f32[M, N])\n"
                             "  require L >= K\n"
                             "  grid i: M by 64, j: N by 64\n"
                             "{\n"
                             "  var s = zeros f32[64, 64]\n"
                             "  for k: K by 64 { s += a[i, k] @ b[k, j] }\n"
                             "  c[i, j] = s\n"
                             "}\n";

/* Rings that all lanes fill, a role that copies, and one for two that compute. */
static const tgr_setting settings[] = {{"schedule.roles", "copy"}, {"schedule.replicas", "2"}};
enum { WAYS = 3 };

typedef struct world {
    int way; /* settings taken */
    tgr_context *context;
    tgr_device *device;
    tgr_queue *queue;
    tgr_module *module;
    char timeline[256];
} world;

static void open_world(world *w) {
    tgc_options o = TGR_INIT(tgc_options);
    (void)snprintf(w->timeline, sizeof w->timeline, "%s/test_views_%d.json", TEST_FOLDER,
                   (int)getpid());
    (void)setenv("TEGULA_SIM_TIMELINE", w->timeline, 1);
    assert_int_equal(tgr_context_create(NULL, &w->context), TGR_OK);
    assert_int_equal(tgr_device_open(w->context, "sim:sm_90a", NULL, &w->device), TGR_OK);
    assert_int_equal(tgr_queue_create(w->device, 0, &w->queue), TGR_OK);
    char *text = NULL;
    o.source = source;
    o.source_bytes = strlen(source);
    o.settings = settings;
    o.n_settings = w->way;
    if (tgr_module_from_source(w->device, &o, NULL, NULL, &w->module, &text) != TGR_OK) {
        fail_msg("%s", text ? text : "no module");
    }
}

static void close_world(world *w) {
    tgr_module_release(w->module);
    tgr_queue_release(w->queue);
    tgr_device_release(w->device);
    tgr_context_release(w->context);
    (void)remove(w->timeline);
}

static bool came_by_maps(const world *w) {
    static char text[1 << 16];
    FILE *f = fopen(w->timeline, "r");
    bool found = false;
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    while (n > 0 && !found) {
        text[n] = '\0';
        found = strstr(text, "\"bulk copy\"") != NULL;
        n = fread(text, 1, sizeof text - 1, f);
    }
    if (f) {
        (void)fclose(f);
    }
    return found;
}

/* ---- tensors -------------------------------------------------------------------------------- */

/* Small integers in f16. */
static uint16_t half(int v) {
    static const uint16_t codes[] = {0, 0x3C00, 0x4000, 0x4200};
    return v < 0 ? (uint16_t)(codes[-v] | 0x8000) : codes[v];
}

static int value(int64_t i, int64_t j, int seed) { return (int)((i * 7 + j * 5 + seed) % 7) - 3; }

typedef struct view {
    tgr_buffer *buffer;
    int64_t rows, columns, pitch, skip; /* bytes: between rows, before the first */
} view;

static view make(world *w, int64_t rows, int64_t columns, int64_t pitch, int64_t skip, int seed) {
    view v = {.rows = rows, .columns = columns, .pitch = pitch, .skip = skip};
    size_t bytes = (size_t)(skip + rows * pitch + 64);
    uint16_t *row = malloc((size_t)pitch + 2);
    assert_int_equal(tgr_buffer_create(w->device, bytes, 0, &v.buffer), TGR_OK);
    bool far = pitch > 1 << 20; /* nothing stands between rows far apart: nobody wrote it */
    for (int64_t i = -1; i <= rows; i++) {
        int64_t n = far ? columns : pitch / 2;
        for (int64_t j = 0; j < n; j++) {
            bool inside = i >= 0 && i < rows && j < columns;
            row[j] = inside ? half(value(i, j, seed)) : 0x7E00;
        }
        int64_t at = skip + i * pitch, from = at < 0 ? 0 : at;
        int64_t end = at + 2 * n < (int64_t)bytes ? at + 2 * n : (int64_t)bytes;
        if (from < end && !(far && (i < 0 || i >= rows))) {
            assert_int_equal(tgr_buffer_write(w->queue, v.buffer, (size_t)from,
                                              (char *)row + (from - at), (size_t)(end - from)),
                             TGR_OK);
        }
    }
    free(row);
    return v;
}

static tgr_arg arg_of(const view *v) {
    const int64_t extents[] = {v->rows, v->columns};
    tgr_arg a = tgr_arg_buffer(v->buffer, (size_t)v->skip, TG_DT_F16, 2, extents);
    a.has_strides = 1;
    a.strides_bytes[0] = v->pitch;
    a.strides_bytes[1] = 2;
    return a;
}

static void check(const float *c, int64_t m, int64_t n, int64_t end) {
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            int sum = 0;
            for (int64_t k = 0; k < end; k++) {
                sum += value(i, k, 0) * value(k, j, 3);
            }
            if (c[i * n + j] != (float)sum) {
                fail_msg("%lld %lld: %g, not %d", (long long)i, (long long)j, (double)c[i * n + j],
                         sum);
            }
        }
    }
}

typedef struct shape {
    int64_t m, n, k, pad_a, pad_b, skip_a, skip_b; /* pads and skips in bytes */
    int maps;                                      /* operands that can come by one */
} shape;

/* more: rows that b has beyond K, NaN. */
static void product(world *w, const shape *s, int more) {
    int64_t ec[] = {s->m, s->n};
    view a = make(w, s->m, s->k, 2 * s->k + s->pad_a, s->skip_a, 0);
    view b = make(w, s->k, s->n, 2 * s->n + s->pad_b, s->skip_b, 3);
    tgr_buffer *y = NULL;
    tgr_kernel *k = NULL;
    size_t bytes = (size_t)(s->m * s->n) * 4;
    float *c = calloc(bytes + 4, 1);
    assert_int_equal(tgr_buffer_create(w->device, bytes + 4, 0, &y), TGR_OK);
    b.rows += more;
    tgr_arg args[] = {arg_of(&a), arg_of(&b), tgr_arg_buffer(y, 0, TG_DT_F32, 2, ec)};
    (void)remove(w->timeline);
    assert_int_equal(tgr_module_find(w->module, more ? "front" : "product", NULL, 0, &k), TGR_OK);
    if (tgr_launch(w->queue, k, args, 3, NULL) != TGR_OK) {
        char says[512];
        (void)tgr_context_message(w->context, says, sizeof says);
        fail_msg("%s", says);
    }
    if (bytes > 0) {
        assert_int_equal(tgr_buffer_read(w->queue, y, 0, c, bytes), TGR_OK);
        /* One role's two blocks have one event, so both come by maps or none. What a role copies by
         * lanes is told of by barriers, too, and looks alike. */
        bool expected = s->maps >= (w->way == 1 ? 2 : 1);
        assert_true(came_by_maps(w) == expected || (w->way > 0 && s->maps == 0));
    }
    check(c, s->m, s->n, s->k);
    free(c);
    tgr_buffer_release(a.buffer);
    tgr_buffer_release(b.buffer);
    tgr_buffer_release(y);
}

static void test_views(void **state) {
    static const shape rows[] = {
        {64, 64, 64, 0, 0, 0, 0, 2},      {100, 72, 136, 0, 0, 0, 0, 2},
        {70, 40, 200, 32, 48, 16, 32, 2}, {33, 8, 8, 16, 0, 0, 0, 2},
        {70, 40, 200, 2, 6, 0, 0, 0},     {64, 64, 64, 0, 0, 2, 6, 0},
        {65, 33, 67, 0, 0, 0, 0, 0},      {64, 64, 64, 4, 0, 0, 0, 1}, /* b has a map */
        {64, 64, 64, 0, 0, 0, 8, 1},      {1, 64, 64, 10, 0, 0, 0, 2}, /* one row */
        {40, 40, 0, 16, 0, 0, 0, 0},      {0, 40, 40, 0, 0, 0, 0, 0},
        {5, 8, 200, 1 << 29, 0, 0, 0, 2},
    };
    (void)state;
    for (int way = 0; way < WAYS; way++) {
        world w = {.way = way};
        open_world(&w);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            product(&w, &rows[i], 0);
        }
        close_world(&w);
    }
}

/* A span that ends before its tensor: what is behind its end is absent, not the tensor's. */
static void test_ends(void **state) {
    static const int ends[] = {8, 64, 72, 128, 136, 200};
    (void)state;
    for (int way = 0; way < WAYS; way++) {
        world w = {.way = way};
        open_world(&w);
        for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
            const shape s = {.m = 64, .n = 32, .k = ends[i], .maps = 1}; /* a */
            product(&w, &s, 1);
        }
        close_world(&w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_views), cmocka_unit_test(test_ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
