/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device does with the kernels of limits.tg: the denominators of its conformance report.
 * They are measured through the same compiler, so they say what this device gives a simple kernel
 * and not what its data sheet says.
 */
#include <math.h>
#include <string.h>

#include "tools/limits.h"
#include "tools/tool.h"

enum { FMA_TRIPS = 64, ROUNDS = 5, LAUNCH_BATCHES = 500, LAUNCHES = 10 };
static const double LEAST_SECONDS = 0.01;

/* Best seconds of a launch over n elements; 0 when it fails. */
static double best_launch(tool *t, tool_code *code, tg_program *p, const char *kernel, int64_t n) {
    tool_kernel k = {0};
    tg_setting settings[2] = {
        {.name = "N", .value = tg_arena_printf(&t->arena, "%lld", (long long)n)},
        {.name = "r", .value = tg_arena_printf(&t->arena, "%d", FMA_TRIPS)}};
    double best = INFINITY;
    int n_settings = strcmp(kernel, "limit_fma") == 0 ? 2 : 1;
    bool ok = tool_kernel_make(t, p, kernel, settings, n_settings, NULL, &k) &&
              tool_kernel_allocate(t, &k, 0);
    if (ok) {
        tool_kernel_fill(t, &k, NULL, 1);
    }
    tool_code_resident(code, true); /* the device's speed, not that of the way there */
    ok = ok && tool_code_launch(t, code, &k);
    for (int i = 0; ok && i < ROUNDS; i++) {
        double begin = tool_now();
        ok = tool_code_launch(t, code, &k);
        best = fmin(best, tool_now() - begin);
    }
    tool_code_resident(code, false);
    tool_kernel_free(&k);
    return ok ? best : 0;
}

/* Elements a second of the kernel with tiles of `tile` elements; grows the launch until it is long
 * enough to time. */
static double tiled_per_second(tool *t, tool_device *d, tg_program *p, const char *path,
                               const char *kernel, const char *tile) {
    tg_setting setting = {.name = "B", .value = tile};
    tool_compile_options options = {.no_schedule = false};
    tool_code *code = tool_device_compile(t, d, path, kernel, &setting, 1, &options, NULL);
    double seconds = 0;
    int64_t n = 1 << 16;
    for (; code != NULL && n <= 1 << 24; n *= 4) {
        seconds = best_launch(t, code, p, kernel, n);
        if (seconds <= 0 || seconds >= LEAST_SECONDS || n == 1 << 24) {
            break;
        }
    }
    tool_code_free(code);
    return seconds > 0 ? (double)n / seconds : 0;
}

/* The best of several tiles: how many registers a lane has differs from device to device. */
static double elements_per_second(tool *t, tool_device *d, tg_program *p, const char *path,
                                  const char *kernel) {
    static const char *const tiles[] = {"256", "1024", "4096"};
    double best = 0;
    for (size_t i = 0; i < TG_COUNT_OF(tiles); i++) {
        best = fmax(best, tiled_per_second(t, d, p, path, kernel, tiles[i]));
    }
    return best;
}

double tool_launch_overhead(tool *t, tool_device *d) {
    const char *path = TEGULA_TOOLS_DIR "/limits.tg";
    tg_program *p = tool_load_program(t, path);
    tg_setting tile = {.name = "B", .value = "256"}, length = {.name = "N", .value = "1"};
    tool_compile_options options = {.no_schedule = false};
    tool_kernel k = {0};
    double best = 0;
    tool_code *code =
        p != NULL ? tool_device_compile(t, d, path, "limit_copy", &tile, 1, &options, NULL) : NULL;
    bool ok = code != NULL && tool_kernel_make(t, p, "limit_copy", &length, 1, NULL, &k) &&
              tool_kernel_allocate(t, &k, 0);
    if (ok) {
        tool_kernel_fill(t, &k, NULL, 1);
        tool_code_resident(code, true);
        ok = tool_code_launch(t, code, &k);
    }
    for (int i = 0; ok && i < LAUNCH_BATCHES; i++) {
        double begin = tool_now();
        for (int j = 0; ok && j < LAUNCHES; j++) {
            ok = tool_code_launch(t, code, &k);
        }
        double took = (tool_now() - begin) / (double)LAUNCHES;
        best = i == 0 || took < best ? took : best;
    }
    tool_kernel_free(&k);
    tool_code_free(code);
    return ok ? best : 0;
}

bool tool_limits_of_device(tool *t, tool_device *d, tool_limits *out) {
    const char *path = TEGULA_TOOLS_DIR "/limits.tg";
    tg_program *p = tool_load_program(t, path);
    *out = (tool_limits){.instructions = "limits.tg"};
    if (p != NULL) {
        out->fma_gflops =
            16.0 * (double)FMA_TRIPS * elements_per_second(t, d, p, path, "limit_fma") / 1e9;
        out->copy_gbs = 8.0 * elements_per_second(t, d, p, path, "limit_copy") / 1e9;
        out->read_gbs = out->copy_gbs;
    }
    return out->fma_gflops > 0 && out->copy_gbs > 0;
}
