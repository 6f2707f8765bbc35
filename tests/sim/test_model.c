/* SPDX-License-Identifier: Apache-2.0 */
/* Modelled times: what ought to take longer does, spans of a track do not overlap, the text is
 * JSON. */
#include "simtest.h"

static void product_maps(simtest *h, int depth) {
    sim_tensor_map m = {.rank = 2,
                        .type = SIM_TENSOR_F16,
                        .swizzle = 128,
                        .address = h->a,
                        .extent = {(uint64_t)depth, 128},
                        .stride = {0, (uint64_t)depth * 2},
                        .box = {64, 128}};
    h->m = h->r = m;
    h->r.address = h->b;
    h->r.box[1] = 64;
    h->options.dynamic_shared = 49152;
}

static double cycles_of_product(const char *text, int depth, uint32_t blocks) {
    simtest *h = simtest_open_large(text, 1);
    product_maps(h, depth);
    h->options.model = true;
    assert_int_equal(simtest_run(h, "product", blocks, 384, depth), SIM_OK);
    double cycles = h->report.grid_cycles;
    assert_true(h->report.grid_seconds > 0);
    assert_true(h->report.matrix_share > 0.01 && h->report.matrix_share < 1);
    simtest_close(h);
    return cycles;
}

static void longer(void **state) {
    char *text = simtest_file("cuda/wgmma.ptx");
    (void)state;
    double one = cycles_of_product(text, 128, 1), twice = cycles_of_product(text, 256, 1),
           four = cycles_of_product(text, 512, 1);
    assert_true(one > 600 && twice > one && four > twice);
    /* Twice as many steps of a ring: twice the time between. */
    assert_true(four - twice > 1.5 * (twice - one) && four - twice < 2.5 * (twice - one));
    free(text);
}

/* Blocks that have SMs of their own take as long as one. */
static void blocks(void **state) {
    char *text = simtest_file("cuda/block.ptx");
    double cycles[2];
    (void)state;
    for (int i = 0; i < 2; i++) {
        simtest *h = simtest_open_large(text, 2);
        h->options.model = true;
        assert_int_equal(simtest_run(h, "reverse", i == 0 ? 1 : 4, 256, 1024), SIM_OK);
        cycles[i] = h->report.grid_cycles;
        simtest_close(h);
    }
    assert_true(cycles[0] > 480 && cycles[1] < 1.1 * cycles[0]);
    free(text);
}

static int by_track(const void *a, const void *b) {
    const sim_span *x = a, *y = b;
    int block = memcmp(x->block, y->block, sizeof x->block);
    return block != 0             ? block
           : x->track != y->track ? (x->track < y->track ? -1 : 1)
           : x->begin != y->begin ? (x->begin < y->begin ? -1 : 1)
                                  : 0;
}

static void timeline(void **state) {
    char *text = simtest_file("cuda/wgmma.ptx");
    simtest *h = simtest_open_large(text, 1);
    sim_timeline t = {0};
    bool seen[3] = {false};
    (void)state;
    product_maps(h, 320);
    h->options.timeline = &t;
    assert_int_equal(simtest_run(h, "product", 1, 384, 320), SIM_OK);
    char *json = sim_timeline_json(&t);
    assert_non_null(json);
    assert_int_equal(strncmp(json, "{\"displayTimeUnit\"", 18), 0);
    assert_int_equal(strcmp(json + strlen(json) - 4, "\n]}\n"), 0);
    assert_non_null(strstr(json, "\"name\":\"waits at an mbarrier\""));
    qsort(t.spans, t.n, sizeof *t.spans, by_track);
    for (size_t i = 0; i < t.n; i++) {
        const sim_span *s = &t.spans[i];
        seen[s->track < SIM_TRACK_MATRIX ? 0 : s->track < SIM_TRACK_COPIES ? 1 : 2] = true;
        assert_true(s->end > s->begin && s->begin >= 0);
        bool next = i > 0 && s[-1].track == s->track && s->track < SIM_TRACK_COPIES;
        assert_true(!next || s[-1].end <= s->begin + 1e-9);
    }
    assert_true(seen[0] && seen[1] && seen[2]);
    free(json);
    sim_timeline_free(&t);
    simtest_close(h);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(longer), cmocka_unit_test(blocks),
                                       cmocka_unit_test(timeline)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
