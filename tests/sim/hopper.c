/* SPDX-License-Identifier: Apache-2.0 */
#include "hopper.h"

hopper *hopper_open(const char *text, uint64_t seed) {
    char message[256];
    hopper *h = calloc(1, sizeof *h);
    assert_non_null(h);
    h->machine = sim_machine_make(90);
    assert_non_null(h->machine);
    sim_status st = sim_module_load(h->machine, text, strlen(text), &h->module, message);
    if (st != SIM_OK) {
        print_error("refused: %s\n", message);
    }
    assert_int_equal(st, SIM_OK);
    h->out = sim_memory_alloc(h->machine, sizeof h->host_out);
    h->a = sim_memory_alloc(h->machine, sizeof h->host_a);
    h->b = sim_memory_alloc(h->machine, sizeof h->host_b);
    assert_true(h->out && h->a && h->b);
    for (int i = 0; i < HOPPER_WORDS; i++) {
        h->host_a[i] = simtest_draw(&seed);
        h->host_b[i] = simtest_draw(&seed);
        h->host_out[i] = 7;
    }
    return h;
}

void hopper_close(hopper *h) {
    sim_module_free(h->module);
    sim_machine_free(h->machine);
    free(h);
}

static void encode(const sim_tensor_map *m, uint8_t out[SIM_TENSOR_MAP_BYTES]) {
    char message[256];
    if (m->rank > 0 && !sim_tensor_map_encode(m, out, message)) {
        fail_msg("tensor map: %s", message);
    }
}

sim_status hopper_run(hopper *h, const char *kernel, uint32_t blocks, uint32_t threads, int n) {
    struct {
        uint64_t out, a, b;
        int32_t n, pad[9];
        uint8_t m[SIM_TENSOR_MAP_BYTES], r[SIM_TENSOR_MAP_BYTES];
    } params = {.out = h->out, .a = h->a, .b = h->b, .n = n};
    const sim_kernel *k = sim_module_kernel(h->module, kernel);
    assert_non_null(k);
    assert_true(sim_kernel_param_bytes(k) <= sizeof params);
    encode(&h->m, params.m);
    encode(&h->r, params.r);
    assert_true(sim_memory_write(h->machine, h->a, h->host_a, sizeof h->host_a));
    assert_true(sim_memory_write(h->machine, h->b, h->host_b, sizeof h->host_b));
    assert_true(sim_memory_write(h->machine, h->out, h->host_out, sizeof h->host_out));
    for (int i = 0; i < 3; i++) {
        h->options.grid[i] = i == 0 ? blocks : 1;
        h->options.block[i] = i == 0 ? threads : 1;
    }
    h->options.most_issues = h->options.most_issues ? h->options.most_issues : 1 << 22;
    sim_status st = sim_launch(h->machine, k, &h->options, &params, &h->report);
    assert_true(sim_memory_read(h->machine, h->host_out, h->out, sizeof h->host_out));
    return st;
}
