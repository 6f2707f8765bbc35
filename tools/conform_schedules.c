/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Points of a kernel's schedule space: the cross product of the values listed for its tunes and of
 * the placement keys that the device's lowering reads. A point is a list of settings, so whatever
 * takes settings (specialising, compiling, the cache) takes it. A point may break a `require` of
 * the kernel: whoever uses it has to expect that refusal.
 */
#include <string.h>

#include "tools/conform.h"

/* One free name and its values. */
typedef struct axis {
    const char *name; /* a tune, or schedule.KEY */
    const char *const *values;
    int n;
} axis;

typedef struct space {
    axis *axes;
    int n_axes;
    int64_t points; /* at most INT64_MAX */
} space;

/* Placement keys and the values worth trying, by the device's vendor. The CPU lowering reads none.
 */
typedef struct placement {
    const char *vendor, *key; /* "schedule.KEY" */
    const char *values[8];    /* ends with NULL */
} placement;

static const placement placements[] = {
    {"opencl", "schedule.warps", {"1", "2", "4", "8", NULL}},
    {"opencl", "schedule.vector", {"1", "2", "4", "8", NULL}},
    {"opencl", "schedule.stages", {"1", "2", "3", NULL}},
    {"vulkan", "schedule.warps", {"1", "2", "4", "8", NULL}},
    {"vulkan", "schedule.vector", {"1", "2", "4", "8", NULL}},
    {"vulkan", "schedule.stages", {"1", "2", "3", NULL}},
    {NULL, NULL, {NULL}},
};

static bool is_bound(const tg_case *c, const char *name) {
    for (int i = 0; i < c->n_settings; i++) {
        if (strcmp(c->settings[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void add_axis(space *s, const char *name, const char *const *values, int n) {
    s->axes[s->n_axes++] = (axis){.name = name, .values = values, .n = n};
    if (!tg_mul_i64(s->points, n, &s->points)) {
        s->points = INT64_MAX;
    }
}

/* Names that the case binds are no axes. */
static space space_of(tool *t, tg_program *p, const tg_case *c, const char *vendor) {
    int n = tg_program_n_tunes(p, c->kernel);
    space s = {.points = 1};
    s.axes = TG_NEW_ARRAY(&t->arena, axis, n + (int)TG_COUNT_OF(placements));
    for (int i = 0; i < n; i++) {
        tg_tune_info tune = tg_program_tune(p, c->kernel, i);
        if (tune.n_values > 0 && !is_bound(c, tune.name)) {
            add_axis(&s, tune.name, tune.values, tune.n_values);
        }
    }
    for (const placement *q = placements; q->vendor != NULL; q++) {
        int values = 0;
        while (q->values[values] != NULL) {
            values++;
        }
        if (strcmp(q->vendor, vendor) == 0 && !is_bound(c, q->key)) {
            add_axis(&s, q->key, q->values, values);
        }
    }
    return s;
}

static tg_setting *point_at(tool *t, const space *s, int64_t index) {
    tg_setting *point = TG_NEW_ARRAY(&t->arena, tg_setting, s->n_axes + 1);
    for (int i = 0; i < s->n_axes; i++) {
        const axis *a = &s->axes[i];
        point[i] = (tg_setting){.name = a->name, .value = a->values[index % a->n]};
        index /= a->n;
    }
    return point;
}

static bool drawn(const int64_t *indices, int n, int64_t index) {
    for (int i = 0; i < n; i++) {
        if (indices[i] == index) {
            return true;
        }
    }
    return false;
}

int conform_schedules(tool *t, tg_program *p, const tg_case *c, const char *vendor, int n,
                      uint64_t seed, const tg_setting ***out_points, int **out_sizes) {
    space s = space_of(t, p, c, vendor);
    bool all = s.points < n; /* the default stands beside them */
    n = all ? (int)s.points + 1 : n;
    *out_points = TG_NEW_ARRAY(&t->arena, const tg_setting *, n + 1);
    *out_sizes = TG_NEW_ARRAY(&t->arena, int, n + 1);
    int64_t *indices = TG_NEW_ARRAY(&t->arena, int64_t, n + 1);
    tgk_random r = {.state = seed};
    (*out_points)[0] = TG_NEW_ARRAY(&t->arena, const tg_setting, 1); /* the default: no settings */
    for (int i = 1; i < n; i++) {
        int64_t index = all ? i - 1 : tgk_random_below(&r, s.points);
        while (!all && drawn(indices + 1, i - 1, index)) {
            index = tgk_random_below(&r, s.points);
        }
        indices[i] = index;
        (*out_points)[i] = point_at(t, &s, index);
        (*out_sizes)[i] = s.n_axes;
    }
    return n;
}
