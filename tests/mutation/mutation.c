/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Do the cases of the stock kernels catch a wrong kernel? Each mutant is a copy of the kernels with
 * one change in the text of one kernel; `tegula conform` on that kernel must fail. The changes are
 * the ones people make (named.txt: wrong scale, missing sink, neighbour's scale block, ...) and as
 * many as asked for at random places, drawn by seed (random.c). Survivors must stand in
 * equivalent.txt with the argument why the change changes nothing.
 *
 * usage: mutation TEGULA KERNELS_DIR LISTS_DIR WORK_DIR [--seed N] [--named N] [--random N]
 *                 [--filter GLOB] [--table FILE.md]
 *
 * --named N takes a sample of N named ones (default: all); --random N draws N (default 60).
 */
#include "tests/mutation/mutation.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef enum verdict { KILLED, SURVIVED, EQUIVALENT, NOT_COMPILED, BROKEN } verdict;
static const char *const verdicts[] = {"killed", "SURVIVED", "equivalent", "not a program",
                                       "BROKEN"};

typedef struct runner {
    const char *tegula, *kernels, *lists, *work, *table, *filter;
    uint64_t seed;
    int named, random;
    files tree;
    char *equivalent; /* text of equivalent.txt */
    FILE *md;
    int count[5];
} runner;

/* ---- running one ------------------------------------------------------------------------------
 */

static bool write_text(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    bool ok = f != NULL && fputs(text, f) >= 0;
    return (f == NULL || fclose(f) == 0) && ok;
}

/* Output of `tegula conform` over one kernel of the copied tree. */
static int conform(const runner *r, const char *kernel, char *out, size_t size) {
    char command[4096];
    (void)snprintf(command, sizeof command,
                   "'%s' conform --kernels '%s/kernels' --filter '%s' --deadline 60 2>&1",
                   r->tegula, r->work, kernel);
    FILE *p = popen(command, "r");
    size_t n = p != NULL ? fread(out, 1, size - 1, p) : 0;
    char rest[4096];
    out[n] = '\0';
    while (p != NULL && fread(rest, 1, sizeof rest, p) > 0) {
    }
    int status = p != NULL ? pclose(p) : -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The first line of out that tells a failure, cut short. */
static const char *first_failure(char *out) {
    static const char *const names[] = {"FAIL_", "CRASH", "TIMEOUT", "FLAKY", "MISTRUSTED"};
    for (char *line = out; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
        line += *line == '\n';
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            if (strncmp(line, names[i], strlen(names[i])) == 0) {
                line[strcspn(line, "\n")] = '\0';
                line[strlen(line) > 110 ? 110 : strlen(line)] = '\0';
                return line;
            }
        }
    }
    return NULL;
}

/* The argument in equivalent.txt: lines `kernel | before | after | why`. */
static bool is_equivalent(const runner *r, const mutant *m) {
    char key[2048];
    (void)snprintf(key, sizeof key, "%s | %s | %s | ", m->kernel, m->before, m->after);
    const char *at = r->equivalent != NULL ? strstr(r->equivalent, key) : NULL;
    return at != NULL && (at == r->equivalent || at[-1] == '\n') && at[strlen(key)] >= ' ';
}

static verdict judge(runner *r, const mutant *m, const char **out_why) {
    static char out[1 << 16];
    char path[4096];
    const source_file *f = &r->tree.file[m->file];
    char *text = mutant_text(f, m);
    (void)snprintf(path, sizeof path, "%s/kernels/%s", r->work, f->path);
    *out_why = "the copy cannot be written";
    if (text == NULL || !write_text(path, text)) {
        free(text);
        return BROKEN;
    }
    free(text);
    int status = conform(r, m->kernel, out, sizeof out);
    const char *why = first_failure(out);
    bool stock = strstr(out, "(not the stock kernel") == NULL; /* else no reference judged it */
    bool compiles = stock && strstr(out, "COMPILE_FAIL") == NULL &&
                    strstr(out, " error[") == NULL && strstr(out, "error:") == NULL;
    *out_why = why != NULL ? why : "";
    if (!write_text(path, f->text)) {
        return BROKEN;
    }
    if (why != NULL) {
        return KILLED;
    }
    return !compiles || status > 1 ? NOT_COMPILED
           : status == 0           ? is_equivalent(r, m) ? EQUIVALENT : SURVIVED
                                   : BROKEN;
}

static void tell(runner *r, const char *kind, const mutant *m, verdict v, const char *why) {
    r->count[v]++;
    (void)printf("%-11s %s: %s: %s -> %s%s%s\n", verdicts[v], m->kernel, kind, m->before, m->after,
                 why[0] != '\0' ? ": " : "", why);
    (void)fflush(stdout);
    if (r->md != NULL) {
        (void)fprintf(r->md, "| %s | %s | `%s` | `%s` | %s |\n", m->kernel, kind, m->before,
                      m->after, verdicts[v]);
    }
}

/* ---- both kinds -------------------------------------------------------------------------------
 */

static bool is_wanted(const runner *r, const char *kernel) {
    return r->filter == NULL || fnmatch(r->filter, kernel, 0) == 0;
}

/* Lines of named.txt: `kernel | what | before | after`; before stands once in the kernel's text. */
static bool run_named(runner *r) {
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/named.txt", r->lists);
    char *text = read_text(path);
    int total = 0, wanted = r->named;
    bool ok = text != NULL;
    for (char *p = text; p != NULL && *p != '\0'; p = strchr(p, '\n') + 1) {
        total += *p != '#' && *p != '\n';
    }
    uint64_t state = r->seed;
    int left = total, need = wanted < 0 || wanted > total ? total : wanted;
    for (char *line = text, *next; line != NULL && *line != '\0'; line = next) {
        next = line + strcspn(line, "\n");
        next += *next == '\n';
        if (*line == '#' || *line == '\n') {
            continue;
        }
        next[-1] = '\0';
        char kernel[96];
        (void)snprintf(kernel, sizeof kernel, "%.*s", (int)strcspn(line, " "), line);
        if (!is_wanted(r, kernel)) {
            continue;
        }
        bool take = (int)(draw(&state) % (uint64_t)left) < need;
        left--;
        need -= take;
        mutant m;
        const char *what, *why = "";
        if (!take) {
            continue;
        }
        if (!mutant_named(&r->tree, line, &m, &what)) {
            (void)printf("BROKEN: no such place, or several: %s\n", line);
            ok = false;
            continue;
        }
        verdict v = judge(r, &m, &why);
        ok = ok && (v == KILLED || v == EQUIVALENT);
        tell(r, what, &m, v, why);
    }
    free(text);
    return ok;
}

/* Whether the drawn one is a mutant already; keeps it. */
static bool drawn_before(const mutant *m, mutant *seen, int *n) {
    for (int i = 0; i < *n; i++) {
        if (seen[i].file == m->file && seen[i].at == m->at && strcmp(seen[i].put, m->put) == 0) {
            return true;
        }
    }
    seen[(*n)++] = *m;
    return false;
}

static bool run_random(runner *r) {
    int n_seen = 0, most = 20 * r->random;
    mutant *seen = malloc((size_t)(most + 1) * sizeof *seen);
    uint64_t state = r->seed * 2 + 1;
    bool ok = true;
    int done = 0;
    for (int tries = 0; seen != NULL && done < r->random && n_seen < most && tries < 200 * most;
         tries++) {
        mutant m;
        const char *why;
        if (!mutant_random(&r->tree, &state, &m) || !is_wanted(r, m.kernel) ||
            drawn_before(&m, seen, &n_seen)) {
            continue;
        }
        verdict v = judge(r, &m, &why);
        if (v == NOT_COMPILED) {
            r->count[v]++;
            continue;
        }
        done++;
        ok = ok && (v == KILLED || v == EQUIVALENT);
        tell(r, m.what, &m, v, why);
    }
    free(seen);
    return ok && done == r->random;
}

static bool parse(runner *r, int argc, char **argv) {
    if (argc < 5) {
        return false;
    }
    r->tegula = argv[1];
    r->kernels = argv[2];
    r->lists = argv[3];
    r->work = argv[4];
    for (int i = 5; i + 1 < argc; i += 2) {
        char *end = argv[i + 1];
        long long n = strtoll(argv[i + 1], &end, 10);
        bool number = *end == '\0' && end != argv[i + 1] && n >= 0;
        if (strcmp(argv[i], "--filter") == 0) {
            r->filter = argv[i + 1];
        } else if (strcmp(argv[i], "--table") == 0) {
            r->table = argv[i + 1];
        } else if (number && strcmp(argv[i], "--seed") == 0) {
            r->seed = (uint64_t)n;
        } else if (number && strcmp(argv[i], "--named") == 0) {
            r->named = (int)n;
        } else if (number && strcmp(argv[i], "--random") == 0) {
            r->random = (int)n;
        } else {
            return false;
        }
    }
    return argc % 2 == 1;
}

static bool prepare(runner *r) {
    char text[4096];
    (void)snprintf(text, sizeof text,
                   "rm -rf '%s/kernels' && mkdir -p '%s' && cp -r '%s' '%s/kernels'", r->work,
                   r->work, r->kernels, r->work);
    if (system(text) != 0 || !files_read(r->kernels, &r->tree)) {
        (void)fprintf(stderr, "the kernels below %s cannot be copied\n", r->kernels);
        return false;
    }
    (void)snprintf(text, sizeof text, "%s/equivalent.txt", r->lists);
    r->equivalent = read_text(text);
    r->md = r->table != NULL ? fopen(r->table, "w") : NULL;
    if (r->md != NULL) {
        (void)fprintf(r->md, "| kernel | change | before | after | |\n|---|---|---|---|---|\n");
    }
    return r->table == NULL || r->md != NULL;
}

int main(int argc, char **argv) {
    runner r = {.seed = 1, .named = -1, .random = 60};
    if (!parse(&r, argc, argv)) {
        (void)fprintf(stderr, "usage: mutation TEGULA KERNELS_DIR LISTS_DIR WORK_DIR [--seed N] "
                              "[--named N] [--random N] [--filter GLOB] [--table FILE.md]\n");
        return 2;
    }
    if (!prepare(&r)) {
        return 1;
    }
    (void)printf("seed %llu\n", (unsigned long long)r.seed);
    bool ok = run_named(&r);
    ok = run_random(&r) && ok;
    (void)printf(
        "%d killed, %d argued equivalent, %d survived, %d broken (%d drawn were not programs)\n",
        r.count[KILLED], r.count[EQUIVALENT], r.count[SURVIVED], r.count[BROKEN],
        r.count[NOT_COMPILED]);
    ok = (r.md == NULL || fclose(r.md) == 0) && ok;
    free(r.equivalent);
    files_free(&r.tree);
    return ok ? 0 : 1;
}
