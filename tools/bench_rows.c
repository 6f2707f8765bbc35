/* SPDX-License-Identifier: Apache-2.0 */
/* Which rows a benchmark has: the `bench` lines of the kernels and the table of goals.def. */
#include <fnmatch.h>
#include <string.h>

#include "tools/bench.h"

enum { HOT = 1 };

static const bench_goal goals[] = {
#define TG_GOAL(work, kernel, settings, threads, share, times, flags)                              \
    {work, #kernel, settings, threads, share, times, ((flags) & HOT) != 0},
#include "tools/goals.def"
#undef TG_GOAL
};

int bench_n_goals(void) { return (int)TG_COUNT_OF(goals); }

const bench_goal *bench_goal_at(int i) { return &goals[i]; }

bool bench_goal_settings(tool *t, const bench_goal *g, tg_setting **out, int *out_n) {
    char *text = tg_arena_strdup(&t->arena, g->settings), *rest = NULL;
    *out = TG_NEW_ARRAY(&t->arena, tg_setting, strlen(text) / 2 + 1);
    *out_n = 0;
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        if (!tool_parse_setting(t, word, &(*out)[*out_n])) {
            return false;
        }
        ++*out_n;
    }
    return *out_n > 0;
}

static bool has(const tg_setting *settings, int n, const tg_setting *wanted) {
    for (int i = 0; i < n; i++) {
        if (strcmp(settings[i].name, wanted->name) == 0) {
            return strcmp(settings[i].value, wanted->value) == 0;
        }
    }
    return false;
}

const bench_goal *bench_goal_of(tool *t, const char *kernel, const tg_setting *settings, int n) {
    for (int g = 0; g < bench_n_goals(); g++) {
        tg_setting *own;
        int n_own, same = 0;
        if (strcmp(goals[g].kernel, kernel) != 0 ||
            !bench_goal_settings(t, &goals[g], &own, &n_own) || n_own != n) {
            continue;
        }
        for (int i = 0; i < n; i++) {
            same += has(own, n_own, &settings[i]);
        }
        if (same == n) {
            return &goals[g];
        }
    }
    return NULL;
}

const char *bench_shape(tool *t, const tg_setting *settings, int n) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    for (int i = 0; i < n; i++) {
        tg_sb_addf(&sb, "%s%s=%s", i == 0 ? "" : " ", settings[i].name, settings[i].value);
    }
    return sb.data;
}

typedef struct collector {
    const char *filter;
    bool stock; /* goals that no line states get a row */
    bench_lines lines;
} collector;

/* A filter with a space is for "KERNEL SETTINGS", any other for the kernel's name. */
static bool matches(tool *t, const collector *c, const char *kernel, const tg_setting *settings,
                    int n) {
    if (c->filter == NULL || strchr(c->filter, ' ') == NULL) {
        return c->filter == NULL || fnmatch(c->filter, kernel, 0) == 0;
    }
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    tg_sb_addf(&sb, "%s %s", kernel, bench_shape(t, settings, n));
    return fnmatch(c->filter, sb.data, 0) == 0;
}

static bool stated(const collector *c, const bench_goal *g) {
    for (size_t i = 0; i < c->lines.count; i++) {
        if (c->lines.data[i].goal == g) {
            return true;
        }
    }
    return false;
}

static void add_goals(tool *t, collector *c, tg_program *p, const char *path, const char *kernel) {
    for (int g = 0; g < bench_n_goals(); g++) {
        tg_setting *settings;
        int n;
        if (strcmp(goals[g].kernel, kernel) == 0 && !stated(c, &goals[g]) &&
            bench_goal_settings(t, &goals[g], &settings, &n) &&
            matches(t, c, kernel, settings, n)) {
            tg_case *made = TG_NEW(&t->arena, tg_case);
            *made = (tg_case){
                .is_bench = true, .kernel = kernel, .settings = settings, .n_settings = n};
            bench_line line = {p, path, kernel, settings, n, &goals[g], made};
            TG_LIST_PUSH(&t->arena, &c->lines, line);
        }
    }
}

static void visit(tool *t, void *user, const char *path) {
    collector *c = user;
    tg_program *p = tool_load_program(t, path);
    for (int i = 0; p != NULL && i < tg_program_n_cases(p); i++) {
        const tg_case *at = tg_program_case(p, i);
        if (at->is_bench && matches(t, c, at->kernel, at->settings, at->n_settings)) {
            bench_line line = {p,
                               path,
                               at->kernel,
                               at->settings,
                               at->n_settings,
                               bench_goal_of(t, at->kernel, at->settings, at->n_settings),
                               at};
            TG_LIST_PUSH(&t->arena, &c->lines, line);
        }
    }
    for (int i = 0; p != NULL && c->stock && i < tg_program_n_kernels(p); i++) {
        add_goals(t, c, p, path, tg_program_kernel(p, i).name);
    }
    tool_flush_diagnostics(t);
}

bool bench_collect(tool *t, const char *dir, const char *filter, bool table, bench_lines *out) {
    collector c = {.filter = filter, .stock = strcmp(dir, TEGULA_KERNELS_DIR) == 0};
    *out = (bench_lines){0};
    if (tool_each_kernel_file(t, dir, visit, &c) == 0) {
        return false;
    }
    for (int g = 0; g < bench_n_goals(); g++) {
        for (size_t i = 0; i < c.lines.count; i++) {
            if (c.lines.data[i].goal == &goals[g]) {
                TG_LIST_PUSH(&t->arena, out, c.lines.data[i]);
            }
        }
    }
    for (size_t i = 0; !table && i < c.lines.count; i++) {
        if (c.lines.data[i].goal == NULL) {
            TG_LIST_PUSH(&t->arena, out, c.lines.data[i]);
        }
    }
    return true;
}
