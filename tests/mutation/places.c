/* SPDX-License-Identifier: Apache-2.0 */
/* Places in kernels that can be changed: by name, and by chance. */
#include "tests/mutation/mutation.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- files ------------------------------------------------------------------------------------
 */

char *read_text(const char *path) {
    FILE *f = fopen(path, "rb");
    char *text = NULL;
    long n = -1;
    if (f != NULL && fseek(f, 0, SEEK_END) == 0) {
        n = ftell(f);
        rewind(f);
    }
    if (n >= 0) {
        text = malloc((size_t)n + 1);
    }
    if (text != NULL) {
        text[fread(text, 1, (size_t)n, f)] = '\0';
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    return text;
}

static bool add_file(files *out, const char *path, char *text) {
    source_file *more = realloc(out->file, (size_t)(out->n + 1) * sizeof *more);
    size_t n = strlen(path) + 1;
    char *copy = malloc(n);
    if (more == NULL || copy == NULL || text == NULL) {
        free(copy);
        free(text);
        out->file = more != NULL ? more : out->file;
        return false;
    }
    memcpy(copy, path, n);
    out->file = more;
    out->file[out->n++] = (source_file){.path = copy, .text = text};
    return true;
}

static bool read_folder(const char *root, const char *below, files *out) {
    char path[4096];
    struct dirent **names;
    (void)snprintf(path, sizeof path, "%s/%s", root, below);
    int n = scandir(path, &names, NULL, alphasort);
    bool ok = n >= 0;
    for (int i = 0; i < n; i++) {
        const char *name = names[i]->d_name, *dot = strrchr(name, '.');
        (void)snprintf(path, sizeof path, "%s%s%s", below, below[0] != '\0' ? "/" : "", name);
        if (ok && name[0] != '.' && names[i]->d_type == DT_DIR) {
            ok = read_folder(root, path, out);
        } else if (ok && dot != NULL && strcmp(dot, ".tg") == 0) {
            char full[8192];
            (void)snprintf(full, sizeof full, "%s/%s", root, path);
            ok = add_file(out, path, read_text(full));
        }
        free(names[i]);
    }
    if (n >= 0) {
        free(names);
    }
    return ok;
}

bool files_read(const char *dir, files *out) {
    *out = (files){0};
    return read_folder(dir, "", out) && out->n > 0;
}

void files_free(files *f) {
    for (int i = 0; i < f->n; i++) {
        free(f->file[i].path);
        free(f->file[i].text);
    }
    free(f->file);
    *f = (files){0};
}

/* ---- kernels in a text ------------------------------------------------------------------------
 */

static bool at_word(const char *p, const char *word) {
    size_t n = strlen(word);
    return strncmp(p, word, n) == 0 && !isalnum((unsigned char)p[n]) && p[n] != '_';
}

/* The next kernel at or after p: its name, where its text begins and where its body and all end. */
static const char *next_kernel(const char *p, char *name, const char **out_body,
                               const char **out_end) {
    for (; p != NULL; p = strchr(p, '\n')) {
        p += *p == '\n';
        if (!at_word(p, "kernel")) {
            continue;
        }
        const char *from = p + strspn(p + 6, " ") + 6;
        size_t n = strcspn(from, "[( \n");
        const char *body = strstr(p, "\n{"), *end = strstr(p, "\n}");
        const char *same = strstr(p, " {\n");
        body = body == NULL || (same != NULL && same < body) ? same : body;
        if (n == 0 || n >= 90 || body == NULL || end == NULL || end < body) {
            continue;
        }
        memcpy(name, from, n);
        name[n] = '\0';
        *out_body = body;
        *out_end = end;
        return p;
    }
    return NULL;
}

static char *field(char **line) {
    char *begin = *line, *end = strstr(begin, " | ");
    if (end == NULL) {
        *line = begin + strlen(begin);
        return begin;
    }
    *end = '\0';
    *line = end + 3;
    return begin;
}

/* Where before stands once between from and to, or NULL. */
static const char *only_place(const char *from, const char *to, const char *before) {
    const char *at = strstr(from, before);
    if (at == NULL || at >= to) {
        return NULL;
    }
    const char *again = strstr(at + 1, before);
    return again != NULL && again < to ? NULL : at;
}

/* A place in a file that the kernel imports, named after ` in `. */
static bool place_in(const files *tree, const char *path, mutant *out) {
    for (int f = 0; f < tree->n; f++) {
        const char *text = tree->file[f].text;
        const char *at = strcmp(tree->file[f].path, path) == 0
                             ? only_place(text, text + strlen(text), out->before)
                             : NULL;
        if (at != NULL) {
            out->file = f;
            out->at = (size_t)(at - text);
            out->length = strlen(out->before);
            return true;
        }
    }
    return false;
}

bool mutant_named(const files *tree, char *line, mutant *out, const char **out_what) {
    char *kernel = field(&line), *path = strstr(kernel, " in ");
    if (path != NULL) {
        *path = '\0';
        path += 4;
    }
    *out_what = field(&line);
    char *before = field(&line), *after = field(&line);
    *out = (mutant){0};
    (void)snprintf(out->kernel, sizeof out->kernel, "%s", kernel);
    (void)snprintf(out->before, sizeof out->before, "%s", before);
    (void)snprintf(out->after, sizeof out->after, "%s", after);
    (void)snprintf(out->put, sizeof out->put, "%s", after);
    if (path != NULL) {
        return before[0] != '\0' && place_in(tree, path, out);
    }
    for (int f = 0; f < tree->n && before[0] != '\0'; f++) {
        const char *text = tree->file[f].text, *body, *end;
        char name[96];
        for (const char *p = text; (p = next_kernel(p, name, &body, &end)) != NULL; p = end) {
            if (strcmp(name, kernel) != 0) {
                continue;
            }
            const char *at = only_place(p, end, before);
            /* What the kernel's file keeps in its fns is the kernel's, too. */
            at = at != NULL ? at : only_place(text, text + strlen(text), before);
            out->file = f;
            out->at = at != NULL ? (size_t)(at - text) : 0;
            out->length = strlen(before);
            return at != NULL;
        }
    }
    return false;
}

char *mutant_text(const source_file *f, const mutant *m) {
    size_t n = strlen(f->text), put = strlen(m->put);
    char *text = malloc(n + put + 1);
    if (text != NULL) {
        memcpy(text, f->text, m->at);
        memcpy(text + m->at, m->put, put);
        strcpy(text + m->at + put, f->text + m->at + m->length);
    }
    return text;
}

/* ---- by chance --------------------------------------------------------------------------------
 */

uint64_t draw(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Tokens that have another meaning when replaced; longest first. */
static const struct swap {
    const char *from, *to, *what;
} swaps[] = {
    {" <= ", " < ", "bound"},        {" >= ", " > ", "bound"},       {" < ", " <= ", "bound"},
    {" > ", " >= ", "bound"},        {" == ", " != ", "condition"},  {" != ", " == ", "condition"},
    {" + ", " - ", "sign"},          {" - ", " + ", "sign"},         {" * ", " + ", "factor"},
    {" / ", " * ", "factor"},        {" % ", " / ", "index"},        {" & ", " | ", "condition"},
    {" | ", " & ", "condition"},     {"max(", "min(", "extreme"},    {"min(", "max(", "extreme"},
    {"exp2(", "exp(", "base"},       {"exp(", "exp2(", "base"},      {"log2(", "log(", "base"},
    {"-inf", "0.0", "identity"},     {"LOG2E", "1.0", "base"},       {"LN2", "1.0", "base"},
    {"sum(", "max(", "reduction"},   {"mean(", "sum(", "reduction"}, {"+= ", "= ", "accumulation"},
    {"rsqrt(", "sqrt(", "function"}, {"sqrt(", "abs(", "function"},  {"cumsum(", "exscan(", "scan"},
    {"exscan(", "cumsum(", "scan"}};

static bool word_char(char c) { return isalnum((unsigned char)c) || c == '_' || c == '.'; }

/* The swap that fits at p (names are matched from their first letter). */
static const struct swap *swap_at(const char *begin, const char *p) {
    for (size_t i = 0; i < sizeof swaps / sizeof swaps[0]; i++) {
        const char *from = swaps[i].from;
        bool name = isalpha((unsigned char)from[0]) != 0;
        if (strncmp(p, from, strlen(from)) == 0 && !(name && p > begin && word_char(p[-1]))) {
            return &swaps[i];
        }
    }
    return NULL;
}

/* An integer literal at p, or 0 characters. */
static size_t literal_at(const char *begin, const char *p) {
    bool negative = p > begin && p[-1] == '-'; /* -1 is "none", as is -2 */
    if (!isdigit((unsigned char)*p) || negative || (p > begin && word_char(p[-1]))) {
        return 0;
    }
    size_t n = strspn(p, "0123456789");
    return word_char(p[n]) || n > 9 ? 0 : n;
}

/* The words around, on one line. */
static void context(char *out, size_t size, const char *text, size_t at, const char *put,
                    size_t length) {
    size_t from = at, to = at + length;
    while (from > 0 && text[from - 1] != '\n' && at - from < 24) {
        from--;
    }
    while (text[to] != '\0' && text[to] != '\n' && to - at < 24) {
        to++;
    }
    from += strspn(text + from, " ");
    from = from > at ? at : from;
    (void)snprintf(out, size, "%.*s%s%.*s", (int)(at - from), text + from, put,
                   (int)(to - at - length), text + at + length);
}

static bool is_comment(const char *body, const char *p) {
    while (p > body && p[-1] != '\n') {
        p--;
        if (p[0] == '/' && p[1] == '/') {
            return true;
        }
    }
    return false;
}

/* How many kernels there are, and the one of that number. */
static int count_kernels(const files *tree, int wanted, int *out_file, const char **out_body,
                         const char **out_end, char *name) {
    int n = 0;
    for (int f = 0; f < tree->n; f++) {
        const char *body, *end;
        for (const char *p = tree->file[f].text; (p = next_kernel(p, name, &body, &end)) != NULL;
             p = end) {
            if (n++ == wanted) {
                *out_file = f;
                *out_body = body;
                *out_end = end;
                return n;
            }
        }
    }
    return n;
}

/* Kernels that only ops launch have no cases of their own. */
static bool has_case(const char *text, const char *kernel) {
    size_t n = strlen(kernel);
    for (const char *p = text; (p = strstr(p, "\ncase ")) != NULL; p++) {
        const char *name = p + 6 + strspn(p + 6, " ");
        if (strncmp(name, kernel, n) == 0 && (name[n] == ' ' || name[n] == '\n')) {
            return true;
        }
    }
    return false;
}

/* Part of a file: a kernel's body, or that of a fn of its file that it calls. */
typedef struct region {
    const char *from, *to;
} region;

enum { MAX_REGIONS = 32 };

static bool calls(const region *in, const char *name, size_t n) {
    for (const char *p = in->from; (p = strstr(p, name)) != NULL && p < in->to; p++) {
        if (strncmp(p, name, n) == 0 && !word_char(p[n]) && !word_char(p[-1])) {
            return true;
        }
    }
    return false;
}

/* The body of the fn at p; false: it has none. */
static bool fn_body(const char *p, region *out) {
    out->from = strchr(p, '{');
    out->to = out->from != NULL ? strchr(out->from, '\n') : NULL;
    if (out->to != NULL && out->to[-1] != '}') {
        out->to = strstr(out->from, "\n}");
    }
    return out->to != NULL;
}

/* Fns of the text that these regions call, and those that they call, join them; how many then. */
static int add_fns(const char *text, region *regions, int n) {
    for (int before = 0; before < n;) {
        before = n;
        for (const char *p = text; p != NULL && n < MAX_REGIONS; p = strchr(p, '\n')) {
            char name[96];
            region fn;
            p += *p == '\n';
            size_t length = strncmp(p, "fn ", 3) == 0 ? strcspn(p + 3, "[( \n") : 0;
            if (length == 0 || length >= sizeof name || !fn_body(p, &fn)) {
                continue;
            }
            (void)snprintf(name, sizeof name, "%.*s", (int)length, p + 3);
            bool is_in = false, is_called = false;
            for (int i = 0; i < n; i++) {
                is_in = is_in || regions[i].from == fn.from;
                is_called = is_called || calls(&regions[i], name, length);
            }
            if (is_called && !is_in) {
                regions[n++] = fn;
            }
        }
    }
    return n;
}

/* One of the regions, by their lengths, and a place in it. */
static const char *draw_place(const region *regions, int n, uint64_t *state, const char **out_end) {
    uint64_t total = 0;
    for (int i = 0; i < n; i++) {
        total += (uint64_t)(regions[i].to - regions[i].from);
    }
    uint64_t at = draw(state) % total;
    int i = 0;
    for (; at >= (uint64_t)(regions[i].to - regions[i].from); i++) {
        at -= (uint64_t)(regions[i].to - regions[i].from);
    }
    *out_end = regions[i].to;
    return regions[i].from + at;
}

bool mutant_random(const files *tree, uint64_t *state, mutant *out) {
    const char *body, *end;
    int file;
    char name[96];
    int n = count_kernels(tree, -1, &file, &body, &end, name);
    *out = (mutant){0};
    if (n == 0) {
        return false;
    }
    (void)count_kernels(tree, (int)(draw(state) % (uint64_t)n), &file, &body, &end, out->kernel);
    const char *text = tree->file[file].text;
    if (!has_case(text, out->kernel)) {
        return false;
    }
    region regions[MAX_REGIONS] = {{body, end}};
    const char *p = draw_place(regions, add_fns(text, regions, 1), state, &end);
    const struct swap *s = NULL;
    size_t digits = 0;
    while (p < end && (s = swap_at(text, p)) == NULL && (digits = literal_at(text, p)) == 0) {
        p++;
    }
    if (p >= end || is_comment(text, p)) {
        return false;
    }
    out->file = file;
    out->at = (size_t)(p - text);
    out->length = s != NULL ? strlen(s->from) : digits;
    out->what = s != NULL ? s->what : "literal";
    if (s != NULL) {
        (void)snprintf(out->put, sizeof out->put, "%s", s->to);
    } else {
        (void)snprintf(out->put, sizeof out->put, "%ld", strtol(p, NULL, 10) + 1);
    }
    char same[256];
    (void)snprintf(same, sizeof same, "%.*s", (int)out->length, p);
    context(out->before, sizeof out->before, text, out->at, same, out->length);
    context(out->after, sizeof out->after, text, out->at, out->put, out->length);
    return true;
}
