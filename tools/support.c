/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The support page: one table from conformance reports and journals, a column for every device that
 * they name.
 */
#include "tools/support.h"

#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include <tegula/compiler.h>

enum { MAX_DEVICES = 16 };

typedef struct result {
    int cases, passed;
    double max_ulp;
    const char *worst; /* status of the first that did not pass */
} result;

typedef struct support_row {
    const char *kernel, *type;
    result on[MAX_DEVICES];
} support_row;

typedef struct support {
    const char *device[MAX_DEVICES];
    int n_devices;
    TG_LIST(support_row) rows;
} support;

/* The element type T of a case, "" where its kernel has none: in names like "gather_mla T=300" T is
 * an extent. */
static const char *type_of(tool *t, const char *name) {
    const char *at = strstr(name, " T=");
    return at == NULL || isdigit((unsigned char)at[3])
               ? ""
               : tg_arena_strndup(&t->arena, at + 3, strcspn(at + 3, " "));
}

static support_row *row_of(tool *t, support *s, const char *name) {
    const char *kernel = tg_arena_strndup(&t->arena, name, strcspn(name, " "));
    const char *type = type_of(t, name);
    for (size_t i = 0; i < s->rows.count; i++) {
        support_row *r = &s->rows.data[i];
        if (strcmp(r->kernel, kernel) == 0 && strcmp(r->type, type) == 0) {
            return r;
        }
    }
    TG_LIST_PUSH(&t->arena, &s->rows, ((support_row){.kernel = kernel, .type = type}));
    return &s->rows.data[s->rows.count - 1];
}

static int device_of(tool *t, support *s, const char *name) {
    for (int i = 0; i < s->n_devices; i++) {
        if (strcmp(s->device[i], name) == 0) {
            return i;
        }
    }
    if (s->n_devices == MAX_DEVICES) {
        return -1;
    }
    s->device[s->n_devices] = tg_arena_strdup(&t->arena, name);
    return s->n_devices++;
}

/* A row of a report names its device; one of a journal says it in its key: "... on cpu seed 1 ...".
 */
static const char *device_name(tool *t, const json_t *o) {
    const char *device = json_string_value(json_object_get(o, "device"));
    const char *key = json_string_value(json_object_get(o, "key"));
    const char *on = device == NULL && key != NULL ? strstr(key, " on ") : NULL;
    return on == NULL ? device : tg_arena_strndup(&t->arena, on + 4, strcspn(on + 4, " "));
}

static bool take_row(tool *t, support *s, const json_t *o) {
    const char *name = json_string_value(json_object_get(o, "name"));
    const char *device = device_name(t, o);
    const char *status = json_string_value(json_object_get(o, "status"));
    int d = device != NULL ? device_of(t, s, device) : -1;
    if (name == NULL || status == NULL || d < 0) {
        return false;
    }
    result *r = &row_of(t, s, name)->on[d];
    bool pass = strcmp(status, "PASS") == 0;
    r->cases++;
    r->passed += pass;
    r->max_ulp = fmax(r->max_ulp, json_number_value(json_object_get(o, "max_ulp")));
    r->worst = pass || r->worst != NULL ? r->worst : tg_arena_strdup(&t->arena, status);
    return true;
}

/* A run that went on from its journal may have done a case again: the last row of a key counts. */
static bool said_again(json_t *rows, size_t i) {
    const char *key = json_string_value(json_object_get(json_array_get(rows, i), "key"));
    bool again = false;
    for (size_t k = i + 1; key != NULL && !again && k < json_array_size(rows); k++) {
        const char *later = json_string_value(json_object_get(json_array_get(rows, k), "key"));
        again = later != NULL && strcmp(later, key) == 0;
    }
    return again;
}

static bool take_report(tool *t, support *s, const char *path) {
    size_t bytes;
    const char *text = tool_read_file(t, path, &bytes);
    json_t *rows = json_array();
    bool ok = text != NULL && rows != NULL;
    for (const char *p = text; ok && *p != '\0'; p += *p == '\n') {
        size_t n = strcspn(p, "\n");
        json_t *o = json_loadb(p, n, 0, NULL);
        (void)json_array_append_new(rows, o != NULL ? o : json_null());
        p += n;
    }
    for (size_t i = 0; ok && i < json_array_size(rows); i++) {
        ok = said_again(rows, i) || take_row(t, s, json_array_get(rows, i));
        if (!ok) {
            tool_error(t, TG_D_TOOL, "%s:%zu: not a row of a conformance report", path, i + 1);
        }
    }
    json_decref(rows);
    return ok;
}

/* What runs in a simulator of ours, or of a driver's, is emulated; see `tegula targets`. */
static const char *label_of(const char *device) {
    static tgc_target_info info;
    for (int32_t i = 0; tgc_target(i, &info) == TGR_OK; i++) {
        if (strcmp(info.name, device) == 0 || (strcmp(device, "cpu") == 0 && info.is_host)) {
            return info.label;
        }
    }
    return strncmp(device, "sim:", 4) == 0 ? "emulated"
           : strcmp(device, "interp") == 0 ? "executed"
                                           : "modelled";
}

static void add_result(tg_sb *sb, const result *r) {
    if (r->cases == 0) {
        tg_sb_add(sb, " |");
    } else if (r->passed < r->cases) {
        tg_sb_addf(sb, " %d/%d %s |", r->passed, r->cases, r->worst);
    } else if (r->max_ulp > 0) {
        tg_sb_addf(sb, " %d, %.3g ulp |", r->cases, r->max_ulp);
    } else {
        tg_sb_addf(sb, " %d, exact |", r->cases);
    }
}

int tool_make_support(tool *t, const char *out, char **reports, int n) {
    support s = {0};
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    for (int i = 0; i < n; i++) {
        if (!take_report(t, &s, reports[i])) {
            return TOOL_FAILED;
        }
    }
    tg_sb_add(&sb,
              "# What runs where\n\nMade by `tegula docs support` from conformance reports: for "
              "each kernel and element type the number of cases that passed and the worst error "
              "in units in the last place of the output's type (how outputs are judged: "
              "[tolerances.md](tolerances.md)). The label says how a device was shown.\n\n"
              "| kernel | T |");
    for (int d = 0; d < s.n_devices; d++) {
        tg_sb_addf(&sb, " %s (%s) |", s.device[d], label_of(s.device[d]));
    }
    tg_sb_add(&sb, "\n|---|---|");
    for (int d = 0; d < s.n_devices; d++) {
        tg_sb_add(&sb, "---|");
    }
    for (size_t i = 0; i < s.rows.count; i++) {
        const support_row *r = &s.rows.data[i];
        tg_sb_addf(&sb, "\n| %s | %s |", r->kernel, r->type);
        for (int d = 0; d < s.n_devices; d++) {
            add_result(&sb, &r->on[d]);
        }
    }
    tg_sb_add(&sb, "\n");
    return tool_write_file(t, out, sb.data, sb.len) ? TOOL_OK : TOOL_FAILED;
}
