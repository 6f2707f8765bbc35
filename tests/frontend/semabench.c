/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/frontend/semabench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sb_load(sb_program *s, const char *text) {
    bench_init(&s->b);
    s->b.source = (tg_source){"test.tg", tg_arena_strdup(&s->b.arena, text), strlen(text)};
    tg_status st = tg_program_load(&s->b.arena, &s->b.sink, &s->b.source, NULL, NULL, &s->p);
    if (st != TG_OK) {
        bench_print_diags(&s->b);
        fail_msg("the text does not parse");
    }
    s->m = tg_module_make(&s->b.arena);
}

void sb_load_file(sb_program *s, const char *path) {
    static char text[1 << 16];
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        fail_msg("no file %s", path);
    }
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    fclose(f);
    sb_load(s, text);
}

tg_status sb_try(sb_program *s, const char *kernel, const char *settings) {
    tg_setting list[32];
    int n = 0;
    char *copy = tg_arena_strdup(&s->b.arena, settings);
    for (char *w = strtok(copy, " "); w != NULL && n < 32; w = strtok(NULL, " ")) {
        char *eq = strchr(w, '=');
        *eq = '\0';
        list[n++] = (tg_setting){w, eq + 1};
    }
    return tg_program_specialise(s->p, kernel, list, n, NULL, s->m, &s->b.func);
}

void sb_kernel(sb_program *s, const char *kernel, const char *settings) {
    if (sb_try(s, kernel, settings) != TG_OK) {
        bench_print_diags(&s->b);
        fail_msg("%s [%s] is refused", kernel, settings);
    }
    s->b.options.check_races = true;
    s->b.options.check_facts = true;
}

int sb_param(const sb_program *s, const char *name) {
    for (int i = 0; i < s->b.func->n_params; i++) {
        if (strcmp(s->b.func->params[i].name, name) == 0) {
            return i;
        }
    }
    fail_msg("no parameter %s", name);
    return 0;
}

static int parse_extents(const char *text, int64_t *out, int64_t *count) {
    int n = 0;
    *count = 1;
    while (*text != '\0') {
        char *end;
        out[n] = strtoll(text, &end, 10);
        *count *= out[n++];
        text = *end == ',' ? end + 1 : end;
    }
    return n;
}

void sb_values(sb_program *s, const char *name, const char *extents, const double *values) {
    int64_t ext[TG_MAX_RANK], count;
    int rank = parse_extents(extents, ext, &count);
    int p = sb_param(s, name);
    double *init = NULL;
    if (values == NULL &&
        (s->b.func->params[p].flags & TG_PARAM_INIT) != 0) { /* the runtime's part */
        init = malloc(sizeof(double) * (size_t)(count + 1));
        for (int64_t i = 0; i < count; i++) {
            init[i] = s->b.func->params[p].init;
        }
    }
    bench_tensor(&s->b, p, rank, ext, values != NULL ? values : init);
    free(init);
}

void sb_tensor(sb_program *s, const char *name, const char *extents, sb_fill f) {
    int64_t ext[TG_MAX_RANK], count;
    parse_extents(extents, ext, &count);
    double *v = malloc(sizeof(double) * (size_t)(count + 1));
    for (int64_t i = 0; i < count && f != NULL; i++) {
        v[i] = f(i);
    }
    sb_values(s, name, extents, f != NULL ? v : NULL);
    free(v);
}

void sb_bytes(sb_program *s, const char *name, const char *extents, int (*f)(int64_t i)) {
    int64_t ext[TG_MAX_RANK], count;
    int rank = parse_extents(extents, ext, &count), p = sb_param(s, name);
    bench_tensor(&s->b, p, rank, ext, NULL);
    int64_t bytes = count * s->b.func->params[p].type->elem_bytes;
    for (int64_t i = 0; i < bytes; i++) {
        ((unsigned char *)s->b.args[p].data)[i] = (unsigned char)f(i);
    }
}

void sb_scalar(sb_program *s, const char *name, double v) {
    bench_scalar(&s->b, sb_param(s, name), v);
}

void sb_run(sb_program *s) {
    if (bench_run_interp(&s->b) != TG_OK) {
        bench_print_diags(&s->b);
        fail_msg("the kernel misbehaves");
    }
}

double sb_get(const sb_program *s, const char *name, int64_t i) {
    return bench_get(&s->b, sb_param(s, name), i);
}

const unsigned char *sb_raw(const sb_program *s, const char *name) {
    return s->b.args[sb_param(s, name)].data;
}

void sb_done(sb_program *s) { bench_fini(&s->b); }
