/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which reference is a kernel's witness. References read their arguments by position and trust
 * the extents, so a name alone is not enough: outside the stock folder a kernel gets the reference
 * only where the case gives it the arguments that the stock kernel of that name would have. A
 * copy of a stock kernel, changed inside, keeps its reference; a stranger of the same name has
 * none.
 */
#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "tools/tool.h"

/* Every kernel of the stock folder and the program that holds it. */
typedef struct stock_entry {
    const char *kernel;
    tg_program *program;
} stock_entry;
struct tool_stock {
    TG_LIST(stock_entry) entries;
};

bool tool_is_stock(const char *file) {
    char real[PATH_MAX], stock[PATH_MAX];
    if (realpath(file, real) == NULL || realpath(TEGULA_KERNELS_DIR, stock) == NULL) {
        return false;
    }
    size_t n = strlen(stock);
    return strncmp(real, stock, n) == 0 && real[n] == '/';
}

int tool_each_kernel_file(tool *t, const char *dir,
                          void (*fn)(tool *t, void *user, const char *path), void *user) {
    struct dirent **names;
    int n = scandir(dir, &names, NULL, alphasort), found = 0;
    for (int i = 0; i < n; i++) {
        const char *name = names[i]->d_name, *dot = strrchr(name, '.');
        const char *path = tg_arena_printf(&t->arena, "%s/%s", dir, name);
        if (name[0] != '.' && names[i]->d_type == DT_DIR) {
            found += tool_each_kernel_file(t, path, fn, user);
        } else if (dot != NULL && strcmp(dot, ".tg") == 0) {
            fn(t, user, path);
            found++;
        }
        free(names[i]);
    }
    if (n >= 0) {
        free(names);
    }
    return found;
}

static void add_file(tool *t, void *user, const char *path) {
    struct tool_stock *s = user;
    tg_program *p = tool_load_program(t, path);
    for (int i = 0; p != NULL && i < tg_program_n_kernels(p); i++) {
        stock_entry e = {tg_program_kernel(p, i).name, p};
        TG_LIST_PUSH(&t->arena, &s->entries, e);
    }
}

static tg_program *program_of(tool *t, const char *kernel) {
    if (t->stock == NULL) {
        t->stock = TG_NEW(&t->arena, struct tool_stock);
        (void)tool_each_kernel_file(t, TEGULA_KERNELS_DIR, add_file, t->stock);
    }
    for (size_t i = 0; i < t->stock->entries.count; i++) {
        if (strcmp(t->stock->entries.data[i].kernel, kernel) == 0) {
            return t->stock->entries.data[i].program;
        }
    }
    return NULL;
}

static bool is_tune(tg_program *p, const char *kernel, const char *name) {
    for (int i = 0; i < tg_program_n_tunes(p, kernel); i++) {
        if (strcmp(tg_program_tune(p, kernel, i).name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* The settings without tunes, which are the kernel's own affair. */
static int plain_settings(tool *t, const tool_kernel *k, tg_setting **out) {
    int n = 0;
    *out = TG_NEW_ARRAY(&t->arena, tg_setting, k->n_settings + 1);
    for (int i = 0; i < k->n_settings; i++) {
        if (!is_tune(k->program, k->name, k->settings[i].name)) {
            (*out)[n++] = k->settings[i];
        }
    }
    return n;
}

/* Extents where the settings tell them, else -1. */
static int64_t extent(const tool_kernel *k, const tool_array *a, int d) {
    for (int i = 0; i < k->n_syms; i++) {
        if (k->syms[i] < 0) {
            return -1;
        }
    }
    return tg_dim_eval(a->param->type->dims[d], k->syms);
}

/* In plain words what tells b from the stock argument a; NULL: nothing. */
static const char *difference(tool *t, const tool_kernel *stock, const tool_array *a,
                              const tool_kernel *k, const tool_array *b) {
    if (strcmp(a->name, b->name) != 0) {
        return tg_arena_printf(&t->arena, "%s stands where it has %s", b->name, a->name);
    }
    if (a->dtype != b->dtype || a->elem_bytes != b->elem_bytes || a->rank != b->rank ||
        tool_array_is_output(a) != tool_array_is_output(b)) {
        return tg_arena_printf(&t->arena, "%s is of another type", b->name);
    }
    for (int d = 0; d < a->rank; d++) {
        if (extent(stock, a, d) != extent(k, b, d)) {
            return tg_arena_printf(&t->arena, "axis %d of %s has another extent", d, b->name);
        }
    }
    return NULL;
}

/* Why the reference of the stock kernel does not fit k; NULL: it does. */
static const char *misfit(tool *t, const tool_kernel *k) {
    tg_setting *settings;
    tg_sink outer = t->sink;
    tool_kernel stock;
    tg_sink_init(&t->sink, &t->arena); /* what is wrong with the stock kernel is nobody's error */
    tg_program *p = program_of(t, k->name);
    int n = plain_settings(t, k, &settings);
    bool made = p != NULL && tool_kernel_make(t, p, k->name, settings, n, NULL, &stock);
    t->sink = outer;
    if (!made) {
        return "it does not take these settings";
    }
    if (stock.n_args != k->n_args) {
        return tg_arena_printf(&t->arena, "it has %d parameters", stock.n_args);
    }
    const char *why = NULL;
    for (int i = 0; why == NULL && i < k->n_args; i++) {
        why = difference(t, &stock, &stock.args[i], k, &k->args[i]);
    }
    return why;
}

const tgk_reference *tool_reference_of(tool *t, const char *path, const tool_kernel *k,
                                       const char **out_why) {
    const tgk_reference *ref = tgk_reference_find(k->name);
    *out_why = "the kernel has no reference";
    if (ref == NULL || tool_is_stock(path)) {
        return ref;
    }
    const char *why = misfit(t, k);
    *out_why =
        why == NULL ? "" : tg_arena_printf(&t->arena, "not the stock kernel %s: %s", k->name, why);
    return why == NULL ? ref : NULL;
}
