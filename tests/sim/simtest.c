/* SPDX-License-Identifier: Apache-2.0 */
#include "simtest.h"

char *simtest_bytes(const char *name, size_t *out_bytes) {
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", TESTS_SIM_DIR, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    *out_bytes = fread(text, 1, (1 << 20) - 1, f);
    assert_true(*out_bytes > 0);
    (void)fclose(f);
    return text;
}

char *simtest_file(const char *name) {
    size_t n;
    return simtest_bytes(name, &n);
}

char *simtest_edited(const char *text, const char *after, const char *from, int n, const char *to) {
    const char *p = strstr(text, after);
    assert_non_null(p);
    for (int i = 0; i < n; i++) {
        p = strstr(p + 1, from);
        assert_non_null(p);
    }
    size_t head = (size_t)(p - text);
    char *out = calloc(1, strlen(text) + strlen(to) + 1);
    assert_non_null(out);
    memcpy(out, text, head);
    (void)strcpy(out + head, to);
    (void)strcat(out, p + strlen(from));
    return out;
}

uint32_t simtest_draw(uint64_t *state) {
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(*state >> 29);
}

static uint32_t *words_of(size_t n) {
    uint32_t *w = calloc(n, sizeof *w);
    assert_non_null(w);
    return w;
}

static simtest *open_sized(const char *text, int sm, size_t words, size_t out_words,
                           uint64_t seed) {
    char message[256];
    simtest *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->machine = sim_machine_make(sm);
    assert_non_null(s->machine);
    sim_status st = sim_module_load(s->machine, text, strlen(text), &s->module, message);
    if (st != SIM_OK) {
        print_error("refused: %s\n", message);
    }
    assert_int_equal(st, SIM_OK);
    s->words = words;
    s->out_words = out_words;
    s->host_a = words_of(words);
    s->host_b = words_of(words);
    s->host_out = words_of(out_words);
    s->out = sim_memory_alloc(s->machine, out_words * sizeof *s->host_out);
    s->a = sim_memory_alloc(s->machine, words * sizeof *s->host_a);
    s->b = sim_memory_alloc(s->machine, words * sizeof *s->host_b);
    assert_true(s->out && s->a && s->b);
    for (size_t i = 0; i < words; i++) {
        s->host_a[i] = simtest_draw(&seed);
        s->host_b[i] = simtest_draw(&seed);
    }
    return s;
}

simtest *simtest_open(const char *text, int sm, uint64_t seed) {
    return open_sized(text, sm, SIMTEST_N, SIMTEST_OUT, seed);
}

simtest *simtest_open_large(const char *text, uint64_t seed) {
    simtest *s = open_sized(text, 90, SIMTEST_LARGE, SIMTEST_LARGE, seed);
    for (size_t i = 0; i < s->out_words; i++) {
        s->host_out[i] = 7;
    }
    return s;
}

void simtest_close(simtest *s) {
    sim_module_free(s->module);
    sim_machine_free(s->machine);
    free(s->host_a);
    free(s->host_b);
    free(s->host_out);
    free(s);
}

void simtest_print(const sim_report *r) {
    for (uint32_t i = 0; i < r->n_findings; i++) {
        const sim_finding *f = &r->findings[i];
        print_error("  %s, line %d, block %u thread %u, 0x%llx, %llu times: %s\n",
                    sim_fault_name(f->fault), (int)f->ptx_line, f->block[0], f->thread,
                    (unsigned long long)f->address, (unsigned long long)f->times, f->text);
    }
}

bool simtest_found(const sim_report *r, sim_fault fault) {
    for (uint32_t i = 0; i < r->n_findings; i++) {
        if (r->findings[i].fault == fault) {
            return true;
        }
    }
    return false;
}

static void encode(const sim_tensor_map *m, uint8_t out[SIM_TENSOR_MAP_BYTES]) {
    char message[256];
    if (m->rank > 0 && !sim_tensor_map_encode(m, out, message)) {
        fail_msg("tensor map: %s", message);
    }
}

sim_status simtest_run(simtest *s, const char *kernel, uint32_t blocks, uint32_t threads, int n) {
    struct {
        uint64_t out, a, b;
        int32_t n, pad[9];
        uint8_t m[SIM_TENSOR_MAP_BYTES], r[SIM_TENSOR_MAP_BYTES];
    } params = {.out = s->out, .a = s->a, .b = s->b, .n = n};
    size_t bytes = s->words * sizeof *s->host_a, out_bytes = s->out_words * sizeof *s->host_out;
    const sim_kernel *k = sim_module_kernel(s->module, kernel);
    assert_non_null(k);
    assert_true(sim_kernel_param_bytes(k) <= sizeof params);
    encode(&s->m, params.m);
    encode(&s->r, params.r);
    assert_true(sim_memory_write(s->machine, s->a, s->host_a, bytes));
    assert_true(sim_memory_write(s->machine, s->b, s->host_b, bytes));
    assert_true(sim_memory_write(s->machine, s->out, s->host_out, out_bytes));
    for (int i = 0; i < 3; i++) {
        s->options.grid[i] = i == 0 ? blocks : 1;
        s->options.block[i] = i == 0 ? threads : 1;
    }
    s->options.most_issues = s->options.most_issues ? s->options.most_issues : 1 << 22;
    sim_status st = sim_launch(s->machine, k, &s->options, &params, &s->report);
    assert_true(sim_memory_read(s->machine, s->host_out, s->out, out_bytes));
    return st;
}
