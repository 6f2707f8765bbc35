/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of the conformance page: kernel by element type, a cell for each pair with how many of
 * its cases passed and the worst error among them.
 */
#include <math.h>
#include <string.h>

#include "tools/report.h"

enum { MAX_TYPES = 16 };

typedef struct cell {
    int cases, passed, skipped;
    double max_ulp, max_rel;
} cell;

/* The first word of a row's name. */
static size_t kernel_length(const char *name) { return strcspn(name, " "); }

/* The value of the setting T, or "-". */
static const char *type_of(tool *t, const char *name) {
    const char *at = strstr(name, " T=");
    return at == NULL ? "-" : tg_arena_strndup(&t->arena, at + 3, strcspn(at + 3, " "));
}

static int find_type(const char **types, int *n, const char *type) {
    for (int i = 0; i < *n; i++) {
        if (strcmp(types[i], type) == 0) {
            return i;
        }
    }
    if (*n == MAX_TYPES) {
        return MAX_TYPES - 1;
    }
    types[*n] = type;
    return (*n)++;
}

static void count(cell *c, const tool_row *w) {
    c->cases++;
    c->passed += strcmp(w->status, "PASS") == 0;
    c->skipped += strcmp(w->status, "SKIP") == 0;
    c->max_ulp = fmax(c->max_ulp, w->max_ulp);
    c->max_rel = fmax(c->max_rel, w->max_rel);
}

static void print_cell(tg_sb *sb, const cell *c) {
    if (c->cases == 0) {
        tg_sb_add(sb, "<td></td>");
        return;
    }
    bool fine = c->passed + c->skipped == c->cases;
    tg_sb_addf(sb, "<td class=%s>%d/%d", fine ? "ok" : "bad", c->passed, c->cases - c->skipped);
    if (c->max_ulp > 0) {
        tg_sb_addf(sb, "<br><small>%.3g ulp, %.2g</small>", c->max_ulp, c->max_rel);
    }
    tg_sb_add(sb, "</td>");
}

void tool_report_matrix(tool *t, const tool_report *r, tg_sb *sb) {
    const char *types[MAX_TYPES];
    int n_types = 0;
    for (size_t i = 0; i < r->rows.count; i++) {
        (void)find_type(types, &n_types, type_of(t, r->rows.data[i].name));
    }
    tg_sb_add(sb, "<h2>Kernel by element type</h2><p>cases passed of those run; worst units in the "
                  "last place and relative error</p><table><tr><th>kernel</th>");
    for (int k = 0; k < n_types; k++) {
        tg_sb_addf(sb, "<th>%s</th>", types[k]);
    }
    tg_sb_add(sb, "</tr>\n");
    for (size_t i = 0; i < r->rows.count;) {
        const char *name = r->rows.data[i].name;
        size_t n = kernel_length(name);
        cell cells[MAX_TYPES] = {{0}};
        for (; i < r->rows.count && kernel_length(r->rows.data[i].name) == n &&
               memcmp(r->rows.data[i].name, name, n) == 0;
             i++) {
            const tool_row *w = &r->rows.data[i];
            count(&cells[find_type(types, &n_types, type_of(t, w->name))], w);
        }
        tg_sb_addf(sb, "<tr><td>%.*s</td>", (int)n, name);
        for (int k = 0; k < n_types; k++) {
            print_cell(sb, &cells[k]);
        }
        tg_sb_add(sb, "</tr>\n");
    }
    tg_sb_add(sb, "</table><h2>Cases</h2>\n");
}
