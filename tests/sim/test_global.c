/* SPDX-License-Identifier: Apache-2.0 */
/* Races in global memory: cuda/grid.cu as it is has none; without a fence, a barrier or an order it
 * has. */
#include "simtest.h"

enum { BLOCKS = 4, TICKET = 1024 };

typedef uint32_t (*told)(const simtest *s, int i);

static uint32_t sum_of_block(const simtest *s, int block) {
    uint32_t sum = 0;
    for (int t = 0; t < 256; t++) {
        sum += s->host_a[block * 256 + t];
    }
    return sum;
}
static uint32_t last_block(const simtest *s, int i) {
    uint32_t all = 0;
    for (int b = 0; b < BLOCKS; b++) {
        all += sum_of_block(s, b);
    }
    return i < BLOCKS ? sum_of_block(s, i) : i == 512 ? all : i == TICKET ? BLOCKS : 0;
}
static uint32_t exchange(const simtest *s, int i) {
    return i < BLOCKS * 256 ? s->host_a[i ^ 37] + s->host_b[i] : 0;
}
static uint32_t chain(const simtest *s, int i) {
    uint32_t before[BLOCKS + 1] = {0};
    for (int b = 0; b < BLOCKS; b++) {
        before[b + 1] = before[b] + s->host_a[b * 256];
    }
    bool flag = i >= TICKET && i < TICKET + BLOCKS, left = i >= 256 && i < 256 + 32 * BLOCKS;
    return i < BLOCKS ? before[i + 1] : left ? before[(i - 256) / 32] : flag;
}

static simtest *launch(const char *text, const char *kernel, sim_status *out) {
    simtest *s = simtest_open(text, 80, 4);
    s->options.global_races = true;
    *out = simtest_run(s, kernel, BLOCKS, 256, SIMTEST_N);
    return s;
}

static void right(void **state) {
    static const struct {
        const char *name;
        told value;
    } list[] = {{"last_block", last_block}, {"exchange", exchange}, {"chain", chain}};
    char *text = simtest_file("cuda/grid.ptx");
    (void)state;
    for (size_t k = 0; k < sizeof list / sizeof *list; k++) {
        sim_status st;
        simtest *s = launch(text, list[k].name, &st);
        if (st != SIM_OK) {
            simtest_print(&s->report);
            fail_msg("%s", list[k].name);
        }
        for (int i = 0; i < SIMTEST_OUT; i++) {
            if (s->host_out[i] != list[k].value(s, i)) {
                fail_msg("%s: out[%d] is %u, not %u", list[k].name, i, s->host_out[i],
                         list[k].value(s, i));
            }
        }
        simtest_close(s);
    }
    free(text);
}

static void seeded(void **state) {
    static const struct {
        const char *kernel, *from, *to;
        int nth;
    } list[] = {{"last_block", "membar.gl;", "", 1},
                {"last_block", "membar.gl;", "membar.cta;", 1},
                {"last_block", "atom.global.add.u32", "mov.u32 %r27, 3; // ", 1},
                {"exchange", "bar.sync \t0;", "", 1},
                {"exchange", "bar.sync \t0;", "", 2},
                {"exchange", "bar.sync \t0;", "bar.warp.sync -1;", 1},
                {"chain", "ld.acquire.gpu.global", "ld.global", 1},
                {"chain", "st.release.gpu.global", "st.global", 1},
                {"chain", "st.release.gpu.global", "st.relaxed.gpu.global", 1}};
    char *text = simtest_file("cuda/grid.ptx");
    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        char entry[64];
        sim_status st;
        (void)snprintf(entry, sizeof entry, ".entry %s(", list[i].kernel);
        char *bad = simtest_edited(text, entry, list[i].from, list[i].nth, list[i].to);
        simtest *s = launch(bad, list[i].kernel, &st);
        if (st != SIM_E_FAULT || !simtest_found(&s->report, SIM_FAULT_RACE)) {
            simtest_print(&s->report);
            fail_msg("%s: `%s` made `%s`", list[i].kernel, list[i].from, list[i].to);
        }
        simtest_close(s);
        free(bad);
    }
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(right), cmocka_unit_test(seeded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
