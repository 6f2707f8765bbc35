/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the conformance run as JSON lines; see conform.h. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/conform.h"

/* The fields of a row that travel: one list for writing and reading. */
#define TEXT_FIELDS(X) X(name) X(status) X(detail) X(shape) X(unit)
#define NUMBER_FIELDS(X)                                                                           \
    X(max_ulp) X(max_rel) X(metric) X(seconds) X(compile_ms) X(best_us) X(rate) X(share)

/* Drivers say anything: bytes that are not UTF-8 become question marks. */
static json_t *text(const char *s) {
    json_t *v = json_string(s);
    if (v == NULL) {
        char plain[512];
        size_t n = 0;
        for (; s[n] != '\0' && n + 1 < sizeof plain; n++) {
            plain[n] = (unsigned char)s[n] < 0x80 ? s[n] : '?';
        }
        plain[n] = '\0';
        v = json_string(plain);
    }
    return v;
}

/* JSON has no infinity and no NaN. */
static json_t *number(double v) {
    return v - v == 0 ? json_real(v) : json_string(v > 0 ? "inf" : v < 0 ? "-inf" : "nan");
}

static double number_of(const json_t *v) {
    const char *text = json_string_value(v);
    return text != NULL ? strtod(text, NULL) : json_number_value(v);
}

const char *conform_row_text(tool *t, const char *key, const tool_row *row) {
    json_t *o = json_object();
    (void)json_object_set_new(o, "key", json_string(key));
#define X(field)                                                                                   \
    if (row->field != NULL) {                                                                      \
        (void)json_object_set_new(o, #field, text(row->field));                                    \
    }
    TEXT_FIELDS(X)
#undef X
#define X(field) (void)json_object_set_new(o, #field, number(row->field));
    NUMBER_FIELDS(X)
#undef X
    char *line = json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_decref(o);
    const char *copy = line != NULL ? tg_arena_strdup(&t->arena, line) : "{}";
    free(line);
    return copy;
}

bool conform_row_parse(tool *t, const char *line, const char **out_key, tool_row *out_row) {
    json_t *o = json_loads(line, 0, NULL);
    const char *key = json_string_value(json_object_get(o, "key")), *s;
    *out_row = (tool_row){.detail = ""};
    if (key == NULL) {
        json_decref(o);
        return false;
    }
    *out_key = tg_arena_strdup(&t->arena, key);
#define X(field)                                                                                   \
    s = json_string_value(json_object_get(o, #field));                                             \
    if (s != NULL) {                                                                               \
        out_row->field = tg_arena_strdup(&t->arena, s);                                            \
    }
    TEXT_FIELDS(X)
#undef X
#define X(field) out_row->field = number_of(json_object_get(o, #field));
    NUMBER_FIELDS(X)
#undef X
    json_decref(o);
    return out_row->name != NULL && out_row->status != NULL;
}

/* ---- sums --------------------------------------------------------------------------------------
 * A line of the journal ends in a sum over what stands before it, as its last field: a row that
 * something has changed since is no row, and its case is done again. */

static const char sum_field[] = ",\"sum\":\"";

static uint64_t sum_of(const char *text, size_t n) {
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < n; i++) {
        h = (h ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    }
    return h;
}

static bool sum_is_right(const char *line, size_t n) {
    enum { TAIL = sizeof sum_field - 1 + 16 + 3 }; /* field, digits, quote, brace, newline */
    char want[17];
    if (n < TAIL || strlen(line) != n || strcmp(line + n - 3, "\"}\n") != 0 ||
        strncmp(line + n - TAIL, sum_field, sizeof sum_field - 1) != 0) {
        return false;
    }
    (void)snprintf(want, sizeof want, "%016llx", (unsigned long long)sum_of(line, n - TAIL));
    return strncmp(line + n - 19, want, 16) == 0;
}

/* text is an object. */
static const char *with_sum(tool *t, const char *text) {
    size_t n = strlen(text) - 1;
    return tg_arena_printf(&t->arena, "%.*s%s%016llx\"}\n", (int)n, text, sum_field,
                           (unsigned long long)sum_of(text, n));
}

/* ---- the file ----------------------------------------------------------------------------------
 */

/* A run that was killed while writing leaves half a line: what follows starts on its own. */
static bool end_torn_line(tool *t, const char *path) {
    FILE *f = fopen(path, "r+");
    bool ok = f != NULL;
    if (ok && fseek(f, -1, SEEK_END) == 0 && fgetc(f) != '\n') {
        ok = fseek(f, 0, SEEK_END) == 0 && fputc('\n', f) != EOF;
    }
    ok = f != NULL && fclose(f) == 0 && ok;
    if (!ok) {
        tool_error(t, TG_D_TOOL, "%s: %s", path, strerror(errno));
    }
    return ok;
}

bool conform_journal_load(tool *t, const char *path, conform_journal *out) {
    *out = (conform_journal){.path = path};
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        if (errno != ENOENT) {
            tool_error(t, TG_D_TOOL, "%s: %s", path, strerror(errno));
        }
        return errno == ENOENT;
    }
    char *line = NULL;
    size_t cap = 0;
    int damaged = 0;
    for (ssize_t n; (n = getline(&line, &cap, f)) > 0;) {
        const char *key;
        tool_row row;
        bool whole = sum_is_right(line, (size_t)n);
        damaged += !whole;
        if (whole && conform_row_parse(t, line, &key, &row)) {
            TG_LIST_PUSH(&t->arena, &out->keys, key);
            TG_LIST_PUSH(&t->arena, &out->rows, row);
        }
    }
    free(line);
    (void)fclose(f);
    if (damaged > 0) {
        (void)fprintf(stderr, "%s: %d damaged line%s left out, their cases are done again\n", path,
                      damaged, damaged == 1 ? "" : "s");
    }
    return end_torn_line(t, path);
}

const tool_row *conform_journal_find(const conform_journal *j, const char *key) {
    for (size_t i = j->keys.count; i-- > 0;) {
        if (strcmp(j->keys.data[i], key) == 0) {
            return &j->rows.data[i];
        }
    }
    return NULL;
}

bool conform_journal_add(tool *t, const char *path, const char *key, const tool_row *row) {
    const char *text = with_sum(t, conform_row_text(t, key, row));
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && fsync(fd) == 0;
    if (!ok) {
        tool_error(t, TG_D_TOOL, "%s: %s", path, strerror(errno));
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return ok;
}
