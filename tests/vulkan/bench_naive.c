/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_naive FILE.ir N: the speed of a naive product of two N x N f32 matrices on the first Vulkan
 * device, one lane an element, nothing reused: what a tiled kernel is measured against.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/vulkan/harness.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static char *read_text(const char *name) {
    FILE *f = fopen(name, "rb");
    char *text = f ? calloc(1, 1 << 20) : NULL;
    if (text) {
        (void)!fread(text, 1, (1 << 20) - 1, f);
        fclose(f);
    }
    return text;
}

static double best_of(dvt *t, const char *text, int64_t n, int turns) {
    size_t n_words = 0;
    uint32_t *words = vkt_compile(text, "vulkan", &n_words), report[4];
    tgr_memory m[3];
    VkPipeline p = VK_NULL_HANDLE;
    float *ones = malloc((size_t)(n * n) * sizeof *ones);
    int64_t slots[4] = {0, 0, 0, n};
    double best = 1e30;
    for (int64_t i = 0; i < n * n; i++) {
        ones[i] = (float)(i % 7) - 3;
    }
    for (int i = 0; i < 3; i++) {
        slots[i] = (int64_t)dvt_put(t, ones, (size_t)(n * n) * sizeof *ones, &m[i]);
    }
    bool ok = tgr_vk_module_fit(t->context, t->vk->abilities, words, &n_words) == TGR_OK &&
              tgr_vk_pipeline_make(t->vk, words, n_words, "naive_matmul", &p) == TGR_OK;
    tgr_vk_dispatch d = {.pipeline = p, .slots = slots, .n_slots = 4, .programs = n * n / 64};
    for (int i = 0; ok && i < turns; i++) {
        double begin = now();
        ok = tgr_vk_dispatch_run(t->vk, &d, report) == TGR_OK;
        double took = now() - begin;
        best = took < best ? took : best;
    }
    t->vk->api.DestroyPipeline(t->vk->device, p, NULL);
    for (int i = 0; i < 3; i++) {
        dvt_free(t, &m[i]);
    }
    free(ones);
    free(words);
    return ok ? best : -1;
}

int main(int argc, char **argv) {
    dvt t;
    char *text = argc > 2 ? read_text(argv[1]) : NULL;
    int64_t n = argc > 2 ? atoll(argv[2]) : 0;
    if (!text || n < 8 || n % 8 || !dvt_open(&t)) {
        fprintf(stderr, "bench_naive FILE.ir N (a multiple of 8)\n");
        return 2;
    }
    double s = best_of(&t, text, n, 5);
    printf("naive %lldx%lldx%lld f32: %.3f ms, %.3f GF/s\n", (long long)n, (long long)n,
           (long long)n, 1e3 * s, 2e-9 * (double)(n * n * n) / s);
    dvt_close(&t);
    free(text);
    return s > 0 ? 0 : 1;
}
