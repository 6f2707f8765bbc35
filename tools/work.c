/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work of a launch: formulas of kernels/work.def, evaluated over its settings, extents and integer
 * arguments by a small recursive descent (sum, product, factor). Whatever is wrong in a formula
 * makes it NaN, which a test looks for in every row.
 */
#include "tools/work.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct formula {
    const tool_kernel *k;
    const char *at;
} formula;

static double sum_of(formula *f);

static const tool_array *argument(const tool_kernel *k, const char *name) {
    for (int i = 0; i < k->n_args; i++) {
        if (strcmp(k->args[i].name, name) == 0) {
            return &k->args[i];
        }
    }
    return NULL;
}

/* ---- functions of integer arguments -------------------------------------------------------------
 */

static double sum_all(const tool_array *a) {
    double s = 0;
    for (int64_t e = 0; e < a->count; e++) {
        s += (double)tool_array_get_int(a, e);
    }
    return s;
}

static double valid(const tool_array *a) {
    double n = 0;
    for (int64_t e = 0; e < a->count; e++) {
        n += tool_array_get_int(a, e) >= 0;
    }
    return n;
}

static int by_value(const void *x, const void *y) {
    const int64_t *a = x, *b = y;
    return (*a > *b) - (*a < *b);
}

static double distinct(const tool_array *a) {
    int64_t *v = malloc((size_t)(a->count + 1) * sizeof *v), n = 0;
    if (v == NULL) {
        return NAN;
    }
    for (int64_t e = 0; e < a->count; e++) {
        v[e] = tool_array_get_int(a, e);
    }
    qsort(v, (size_t)a->count, sizeof *v, by_value);
    for (int64_t e = 0; e < a->count; e++) {
        n += v[e] >= 0 && (e == 0 || v[e] != v[e - 1]);
    }
    free(v);
    return (double)n;
}

static double last(const tool_array *a) {
    return a->count > 0 ? (double)tool_array_get_int(a, a->count - 1) : 0;
}

static double bytes(const tool_array *a) { return (double)a->bytes; }

static const struct {
    const char *name;
    double (*value)(const tool_array *a);
} of_array[] = {
    {"sum", sum_all}, {"valid", valid}, {"distinct", distinct}, {"last", last}, {"bytes", bytes}};

static int64_t length_of(const tool_kernel *k, const char *ends, int64_t b) {
    const tool_array *a = argument(k, ends), *len = argument(k, "len");
    if (a != NULL) {
        return tool_array_get_int(a, b + 1) - tool_array_get_int(a, b);
    }
    return len != NULL ? tool_array_get_int(len, b) : 0;
}

static int64_t scalar(const tool_kernel *k, const char *name) {
    const tool_array *a = argument(k, name);
    return a != NULL ? tool_array_get_int(a, 0) : -1;
}

/* Visible pairs of every request; keys packed (ck) or paged (len). */
static double pairs(const tool_kernel *k) {
    const tool_array *cq = argument(k, "cq");
    int64_t left = scalar(k, "left"), right = scalar(k, "right");
    double n = 0;
    for (int64_t b = 0; cq != NULL && b + 1 < cq->count; b++) {
        int64_t sq = length_of(k, "cq", b), sk = length_of(k, "ck", b);
        for (int64_t i = 0; i < sq; i++) {
            int64_t at = i + sk - sq, lo = left < 0 || at < left ? 0 : at - left;
            int64_t hi = right < 0 || at + right >= sk ? sk : at + right + 1;
            n += (double)(hi > lo ? hi - lo : 0);
        }
    }
    return cq != NULL ? n : NAN;
}

/* ---- formulas -----------------------------------------------------------------------------------
 */

static bool accept(formula *f, char c) {
    while (*f->at == ' ') {
        f->at++;
    }
    bool is = *f->at == c;
    f->at += is;
    return is;
}

static bool word(formula *f, char *out, size_t size) {
    size_t n = 0;
    while (*f->at == ' ') {
        f->at++;
    }
    while ((isalnum((unsigned char)f->at[n]) || f->at[n] == '_') && n + 1 < size) {
        out[n] = f->at[n];
        n++;
    }
    out[n] = '\0';
    f->at += n;
    return n > 0;
}

/* A dimension's value, or a setting that is a number. */
static double named(const tool_kernel *k, const char *name) {
    for (int i = 0; i < k->n_syms; i++) {
        if (strcmp(k->sym_names[i].name, name) == 0) {
            return (double)k->syms[i];
        }
    }
    for (int i = 0; i < k->n_settings; i++) {
        if (strcmp(k->settings[i].name, name) == 0) {
            char *end;
            double v = strtod(k->settings[i].value, &end);
            return *end == '\0' ? v : NAN;
        }
    }
    return NAN;
}

static double two(formula *f, const char *name) {
    double a = sum_of(f), b = accept(f, ',') ? sum_of(f) : NAN;
    bool least = strcmp(name, "min") == 0, most = strcmp(name, "max") == 0;
    if (isnan(a) || isnan(b) || (!least && !most && strcmp(name, "cdiv") != 0)) {
        return NAN;
    }
    return least ? fmin(a, b) : most ? fmax(a, b) : ceil(a / b);
}

static double call(formula *f, const char *name) {
    char inner[64];
    double v = NAN;
    if (strcmp(name, "pairs") == 0) {
        v = pairs(f->k);
        return accept(f, ')') ? v : NAN;
    }
    for (size_t i = 0; i < TG_COUNT_OF(of_array); i++) {
        if (strcmp(of_array[i].name, name) == 0) {
            const tool_array *a = word(f, inner, sizeof inner) ? argument(f->k, inner) : NULL;
            v = a != NULL ? of_array[i].value(a) : NAN;
            return accept(f, ')') ? v : NAN;
        }
    }
    v = two(f, name);
    return accept(f, ')') ? v : NAN;
}

static double factor(formula *f) {
    char name[64];
    if (accept(f, '(')) {
        double v = sum_of(f);
        return accept(f, ')') ? v : NAN;
    }
    if (isdigit((unsigned char)*f->at)) {
        char *end;
        double v = strtod(f->at, &end);
        f->at = end;
        return v;
    }
    if (!word(f, name, sizeof name)) {
        return NAN;
    }
    return accept(f, '(') ? call(f, name) : named(f->k, name);
}

static double product(formula *f) {
    double v = factor(f);
    for (;;) {
        if (accept(f, '*')) {
            v *= factor(f);
        } else if (accept(f, '/')) {
            double by = factor(f);
            v = by != 0 ? v / by : 0;
        } else {
            return v;
        }
    }
}

static double sum_of(formula *f) {
    double v = product(f);
    for (;;) {
        if (accept(f, '+')) {
            v += product(f);
        } else if (accept(f, '-')) {
            v -= product(f);
        } else {
            return v;
        }
    }
}

double tool_work_formula(const tool_kernel *k, const char *text) {
    formula f = {.k = k, .at = text};
    double v = sum_of(&f);
    (void)accept(&f, ' ');
    return *f.at == '\0' ? v : NAN;
}

/* The share that a list "argument=formula, ..." gives argument a; 1 when it is not named. */
static double share_of(const tool_kernel *k, const char *list, const tool_array *a) {
    formula f = {.k = k, .at = list};
    char name[64];
    double found = 1;
    while (word(&f, name, sizeof name)) {
        double v = accept(&f, '=') ? sum_of(&f) : NAN;
        if (argument(k, name) == NULL || isnan(v)) {
            return NAN;
        }
        found = strcmp(name, a->name) == 0 ? v : found;
        (void)accept(&f, ',');
    }
    return *f.at == '\0' ? found : NAN;
}

/* ---- rows ---------------------------------------------------------------------------------------
 */

typedef struct work_row {
    const char *kernel, *flop, *read, *written;
} work_row;

static const work_row rows[] = {
#define TG_WORK(kernel, flop, read, written) {#kernel, flop, read, written},
#include "kernels/work.def"
#undef TG_WORK
};

tool_work tool_work_of(const tool_kernel *k) {
    static const work_row plain = {"", "", "", ""};
    const work_row *row = &plain;
    for (size_t i = 0; i < TG_COUNT_OF(rows); i++) {
        row = strcmp(rows[i].kernel, k->name) == 0 ? &rows[i] : row;
    }
    tool_work w = {.flops = row->flop[0] != '\0' ? tool_work_formula(k, row->flop) : 0};
    for (int i = 0; i < k->n_args; i++) {
        const tool_array *a = &k->args[i];
        if (a->rank == 0) {
            continue;
        }
        if ((a->param->flags & TG_PARAM_OUT) == 0) {
            w.read_bytes += (double)a->bytes * share_of(k, row->read, a);
        }
        if (tool_array_is_output(a)) {
            w.written_bytes += (double)a->bytes * share_of(k, row->written, a);
        }
    }
    return w;
}

static double memory_seconds(const tool_work *w, const tool_limits *l) {
    double all = w->read_bytes + w->written_bytes;
    double read = all > TOOL_FAR_BYTES && l->far_gbs > 0 ? l->far_gbs : l->read_gbs;
    return all / (1e9 * (w->written_bytes > all / 8 ? l->copy_gbs : read));
}

bool tool_work_computes(const tool_work *w, const tool_limits *l) {
    return w->flops / (l->fma_gflops * 1e9) >= memory_seconds(w, l);
}

double tool_work_limit(const tool_work *w, const tool_limits *l) {
    return fmax(w->flops / (l->fma_gflops * 1e9), memory_seconds(w, l));
}

double tool_work_rate(const tool_work *w, const tool_limits *l, double seconds,
                      const char **out_unit) {
    bool compute = tool_work_computes(w, l) && w->flops > 0;
    *out_unit = compute ? "GFLOP/s" : "GB/s";
    return (compute ? w->flops : w->read_bytes + w->written_bytes) / seconds / 1e9;
}
