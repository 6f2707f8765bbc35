/* SPDX-License-Identifier: Apache-2.0 */
/*
 * amd_run names HSACO         every instruction of the code: "offset mnemonic"
 * amd_run run HSACO [LANES]   kernel k (u32 *out of 1024 words, u32 *in of 1024 words 0, 1, ...) in
 * one group; "fine" and the first 8 words of out, or what was found amd_run garble HSACO N      N
 * damaged copies, loaded and run for a short while: none may crash
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/amdgcn/amd.h"

enum { MOST = 1 << 22, WORDS = 1024 };

static uint8_t file[MOST];

static size_t read_file(const char *path) {
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(file, 1, sizeof file, f) : 0;
    if (f) {
        (void)fclose(f);
    }
    return n;
}

static int names(size_t n) {
    char message[256], why[160];
    struct sim_module *m;
    sim_machine *machine = sim_machine_make(942);
    if (amd_module_load(machine, (const char *)file, n, &m, message) != SIM_OK) {
        (void)fprintf(stderr, "%s\n", message);
        return 1;
    }
    for (uint64_t at = m->code_begin; at < m->code_end;) {
        uint32_t words[4] = {0};
        amd_insn in;
        size_t left = (m->code_end - at) / 4;
        memcpy(words, m->image + at, (left < 4 ? left : 4) * 4);
        if (!amd_decode(m->generation, words, left < 4 ? left : 4, &in, why)) {
            (void)printf("%llx ? %s\n", (unsigned long long)at, why);
            at += 4;
            continue;
        }
        (void)printf("%llx %s%s%s\n", (unsigned long long)at, amd_name(m->generation, &in),
                     in.pair ? " " : "", in.pair ? amd_name(m->generation, in.pair) : "");
        at += in.words * 4u;
        free(in.pair);
    }
    amd_module_free(m);
    sim_machine_free(machine);
    return 0;
}

/* The status of a launch; report and out are filled. */
static sim_status launch(const uint8_t *bytes, size_t n, uint32_t lanes, uint64_t most,
                         sim_report *report, uint32_t out[WORDS]) {
    sim_machine *machine = sim_machine_make(942);
    struct sim_module *m = NULL;
    uint32_t in[WORDS];
    uint64_t params[256] = {0};
    memset(report, 0, sizeof *report);
    for (uint32_t i = 0; i < WORDS; i++) {
        in[i] = i;
    }
    params[0] = sim_memory_alloc(machine, sizeof in);
    params[1] = sim_memory_alloc(machine, sizeof in);
    (void)sim_memory_write(machine, params[0], in, sizeof in);
    (void)sim_memory_write(machine, params[1], in, sizeof in);
    sim_status st = amd_module_load(machine, (const char *)bytes, n, &m, report->message);
    const sim_kernel *k = st == SIM_OK ? amd_module_kernel(m, "k") : NULL;
    if (k) {
        sim_launch_options o = {.grid = {1, 1, 1},
                                .block = {lanes, 1, 1},
                                .seed = 1,
                                .most_issues = most,
                                .registers = true};
        st = amd_launch(machine, k, &o, params, report);
        (void)sim_memory_read(machine, out, params[0], WORDS * sizeof *out);
    }
    amd_module_free(m);
    sim_machine_free(machine);
    return st;
}

static int run(size_t n, uint32_t lanes) {
    sim_report *r = calloc(1, sizeof *r);
    uint32_t out[WORDS] = {0};
    sim_status st = r ? launch(file, n, lanes, 100000, r, out) : SIM_E_NOMEM;
    (void)printf("%s", st == SIM_OK ? "fine" : st == SIM_E_FAULT ? "found" : "refused");
    for (uint32_t i = 0; r && st == SIM_E_FAULT && i < r->n_findings; i++) {
        (void)printf(" %s: %s;", amd_fault_name(r->findings[i].fault), r->findings[i].text);
    }
    for (int i = 0; st == SIM_OK && i < 8; i++) {
        (void)printf(" %u", out[i]);
    }
    (void)printf("%s%s\n", r && r->message[0] ? " " : "", r ? r->message : "");
    free(r);
    return 0;
}

static int garble(size_t n, long times) {
    sim_report *r = calloc(1, sizeof *r);
    uint8_t *copy = malloc(n);
    uint64_t seed = 1;
    uint32_t out[WORDS];
    long ran = 0;
    for (long i = 0; r && copy && i < times; i++) {
        memcpy(copy, file, n);
        for (int k = 0; k < 4; k++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
            copy[(seed >> 16) % n] = (uint8_t)(seed >> 56);
        }
        size_t kept = i % 8 == 0 ? (seed >> 20) % n : n;
        ran += launch(copy, kept, 128, 2000, r, out) != SIM_E_SYNTAX;
    }
    (void)printf("%ld of %ld ran\n", ran, times);
    free(copy);
    free(r);
    return ran > 0 && ran < times ? 0 : 1;
}

int main(int argc, char **argv) {
    size_t n = argc > 2 ? read_file(argv[2]) : 0;
    if (n == 0) {
        return 2;
    }
    if (strcmp(argv[1], "names") == 0) {
        return names(n);
    }
    if (strcmp(argv[1], "run") == 0) {
        return run(n, argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 64);
    }
    return argc > 3 && strcmp(argv[1], "garble") == 0 ? garble(n, strtol(argv[3], NULL, 10)) : 2;
}
