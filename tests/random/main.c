/* SPDX-License-Identifier: Apache-2.0 */
/*
 * random_kernels [--seed N] [--count N] [--steps N] [--plain] [--no-control] [--matrix]
 *                [--no-cpu] [--no-passes] [--device NAME] [--source | --mutate] [--reduce]
 *                [--save FOLDER] [--print] [--verbose] [FILE.ir ...]
 *
 * Generates kernels from consecutive seeds and runs each in every way (run.h), each in a process of
 * its own so that a crash is one failure. --source generates programs in the language instead
 * (source.h), --mutate such programs spoilt: what is still accepted must keep the guarantees. With
 * --reduce a failing kernel is shrunk and printed (or saved). Files are kernels found earlier:
 * first a line "// NAME = value ..." with the dimensions, then the text form.
 */
#define _DEFAULT_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/random/reduce.h"
#include "tests/random/source.h"

typedef struct settings {
    uint64_t seed;
    int count, seconds;
    gen_options gen;
    run_options run;
    bool reduce, print, source, mutate;
    const char *save;
    char **files;
    int n_files;
} settings;

enum { MESSAGE_BYTES = 400 };

/* ---- one case in a child ------------------------------------------------------------------------
 */

/* A program in the language instead of IR. */
static void source_child(const settings *s, uint64_t seed, tg_arena *a, int out) {
    bool refused = false;
    char message[MESSAGE_BYTES] = "";
    const char *text = source_make(seed, a);
    if (s->mutate) {
        text = source_mutate(text, seed, a);
    }
    if (s->print) {
        fputs(text, stdout);
        fflush(stdout);
    }
    const char *wrong = s->mutate ? run_mutant(text, seed, &refused, a)
                                  : run_source(text, seed, &s->run, &refused, a);
    if (s->mutate && refused && s->print) {
        puts("// accepted");
        fflush(stdout);
    }
    refused = refused && !s->mutate;
    if (wrong != NULL) {
        snprintf(message, sizeof message, "%s%s", refused ? "refused: " : "", wrong);
        (void)!write(out, message, sizeof message);
    }
    _exit(wrong == NULL ? 0 : 1);
}

/* text: a kernel in text form that replaces the generated one, or NULL; seed 0: from a file. */
static void child(const settings *s, uint64_t seed, const char *text, int out) {
    tg_env env;
    jmp_buf oom;
    tg_arena a;
    gen_case c;
    char message[MESSAGE_BYTES] = "";
    tg_env_init(&env, tg_allocator_default(), (size_t)2 << 30);
    if (TG_ENV_GUARD(&env, oom)) {
        (void)!write(out, "out of memory", 14);
        _exit(1);
    }
    tg_arena_init(&a, &env);
    struct rlimit limit = {(rlim_t)s->seconds, (rlim_t)s->seconds + 1}; /* of processor time */
    (void)setrlimit(RLIMIT_CPU, &limit);
    if (s->source) {
        source_child(s, seed, &a, out);
    }
    if (seed != 0) {
        gen_make(&c, seed, &s->gen, &a);
    }
    if (text != NULL && !(seed != 0 ? gen_replace(&c, text, &a) : gen_from_text(&c, text, &a))) {
        if (seed == 0) {
            (void)!write(out, "the text does not parse", 24);
        }
        _exit(seed == 0);
    }
    if (s->print) {
        tg_sb sb;
        tg_sb_init(&sb, &a);
        tg_module_print(&sb, c.module);
        fputs(sb.data, stdout);
        fflush(stdout);
    }
    const char *wrong = run_case(&c, &s->run, &a);
    if (wrong != NULL) {
        snprintf(message, sizeof message, "%s", wrong);
        (void)!write(out, message, sizeof message);
    }
    bool right = wrong == NULL || run_is_refusal(wrong);
    tg_arena_fini(&a);
    _exit(!right);
}

/* True when the case is right, or refused (then message says so); else message says what is not. */
static bool run_in_child(const settings *s, uint64_t seed, const char *text,
                         char message[MESSAGE_BYTES]) {
    int ends[2], status = 0;
    message[0] = '\0';
    if (pipe(ends) != 0) {
        perror("pipe");
        exit(2);
    }
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        child(s, seed, text, ends[1]);
    }
    close(ends[1]);
    size_t have = 0;
    for (ssize_t n = 1; n > 0 && have < MESSAGE_BYTES; have += (size_t)(n > 0 ? n : 0)) {
        n = read(ends[0], message + have, MESSAGE_BYTES - have);
    }
    close(ends[0]);
    (void)waitpid(pid, &status, 0);
    message[MESSAGE_BYTES - 1] = '\0';
    if (WIFSIGNALED(status)) {
        snprintf(message, MESSAGE_BYTES, "signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
        return false;
    }
    return WEXITSTATUS(status) == 0;
}

/* ---- reduction ----------------------------------------------------------------------------------
 */

enum { KIND_BYTES = 80 };

typedef struct failing {
    const settings *s;
    uint64_t seed;
    const char *header;    /* of a file, for seed 0 */
    char kind[KIND_BYTES]; /* the failure must stay of this kind */
} failing;

/* A message without what varies with the program: numbers, types, element positions. */
static void kind_of(const char *message, char kind[KIND_BYTES]) {
    size_t n = 0;
    for (; *message != '\0' && *message != '[' && *message != '<' && n < KIND_BYTES - 1;
         message++) {
        if (*message < '0' || *message > '9') {
            kind[n++] = *message;
        }
    }
    kind[n] = '\0';
}

static bool still_fails(void *user, const char *text) {
    const failing *f = user;
    char message[MESSAGE_BYTES], kind[KIND_BYTES];
    static char whole[1 << 20];
    snprintf(whole, sizeof whole, "%s%s", f->header != NULL ? f->header : "", text);
    if (run_in_child(f->s, f->seed, whole, message)) {
        return false;
    }
    kind_of(message, kind);
    return strcmp(kind, f->kind) == 0;
}

/* The dimensions, the message, the text: to the folder of --save, or printed. */
static void write_reduced(const settings *s, uint64_t seed, const gen_case *c, const char *text,
                          const char *message) {
    char path[400];
    snprintf(path, sizeof path, "%s/seed_%llu.ir", s->save != NULL ? s->save : "",
             (unsigned long long)seed);
    FILE *f = s->save != NULL ? fopen(path, "w") : stdout;
    if (f == NULL) {
        perror(path);
        return;
    }
    fputs("//", f);
    for (int i = 0; i < c->func->n_syms; i++) {
        fprintf(f, " %s = %lld", c->func->syms[i].name, (long long)c->syms[i]);
    }
    fprintf(f, "\n// %s\n%s", message, text);
    if (s->save != NULL) {
        fclose(f);
    }
}

static void reduce_case(const settings *s, uint64_t seed, const char *message) {
    tg_env env;
    jmp_buf oom;
    tg_arena a;
    gen_case c;
    tg_sb sb;
    failing f = {.s = s, .seed = seed};
    kind_of(message, f.kind);
    tg_env_init(&env, tg_allocator_default(), 0);
    if (TG_ENV_GUARD(&env, oom)) {
        return;
    }
    tg_arena_init(&a, &env);
    tg_sb_init(&sb, &a);
    gen_make(&c, seed, &s->gen, &a);
    tg_module_print(&sb, c.module);
    const char *text = reduce_text(sb.data, still_fails, &f, &a);
    char last[MESSAGE_BYTES];
    (void)run_in_child(s, seed, text, last);
    write_reduced(s, seed, &c, text, last);
    tg_arena_fini(&a);
}

/* ---- command line -------------------------------------------------------------------------------
 */

static bool read_settings(settings *s, int argc, char **argv) {
    *s = (settings){.seed = 1, .count = 1, .seconds = 30, .gen = {.max_steps = 16}};
    s->run = (run_options){.passes = true, .cpu = true};
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : "";
        bool takes_value = true;
        if (strcmp(a, "--seed") == 0) {
            s->seed = strtoull(v, NULL, 10);
        } else if (strcmp(a, "--count") == 0) {
            s->count = atoi(v);
        } else if (strcmp(a, "--save") == 0) {
            s->save = s->run.save = v;
        } else if (strcmp(a, "--device") == 0) { /* "cpu", "opencl", ...: instead of both others */
            s->run.device = v;
            s->run.cpu = s->run.passes = false;
        } else if (strcmp(a, "--steps") == 0) {
            s->gen.max_steps = atoi(v);
        } else {
            takes_value = false;
            if (a[0] != '-') {
                s->files = argv + i;
                s->n_files = argc - i;
                break;
            }
            s->gen.plain_types |= strcmp(a, "--plain") == 0;
            s->gen.no_control |= strcmp(a, "--no-control") == 0;
            s->gen.matrix |= strcmp(a, "--matrix") == 0;
            s->run.cpu &= strcmp(a, "--no-cpu") != 0;
            s->run.passes &= strcmp(a, "--no-passes") != 0;
            s->run.verbose |= strcmp(a, "--verbose") == 0;
            s->reduce |= strcmp(a, "--reduce") == 0;
            s->print |= strcmp(a, "--print") == 0;
            s->source |= strcmp(a, "--source") == 0 || strcmp(a, "--mutate") == 0;
            s->mutate |= strcmp(a, "--mutate") == 0;
        }
        i += takes_value;
    }
    return s->count > 0;
}

static int run_seeds(const settings *s) {
    int failures = 0, refused = 0;
    for (int i = 0; i < s->count; i++) {
        char message[MESSAGE_BYTES];
        uint64_t seed = s->seed + (uint64_t)i;
        if (run_in_child(s, seed, NULL, message)) {
            refused += message[0] != '\0';
            continue;
        }
        failures++;
        printf("seed %llu: %s\n", (unsigned long long)seed, message);
        if (s->reduce) {
            settings quiet = *s;
            quiet.print = quiet.run.verbose = false;
            reduce_case(&quiet, seed, message);
        }
    }
    printf("%d of %d kernels failed, %d refused\n", failures, s->count, refused);
    return failures;
}

/* Shrinks a kernel from a file and prints it with its header. */
static void reduce_file(const settings *s, const char *text, const char *message) {
    tg_env env;
    jmp_buf oom;
    tg_arena a;
    char header[512] = "";
    size_t n = strcspn(text, "\n") + 1;
    const char *body = strstr(text, "tegula-ir");
    failing f = {.s = s, .header = header};
    kind_of(message, f.kind);
    tg_env_init(&env, tg_allocator_default(), 0);
    if (body == NULL || n >= sizeof header || TG_ENV_GUARD(&env, oom)) {
        return;
    }
    memcpy(header, text, n);
    tg_arena_init(&a, &env);
    printf("%s// %s\n%s", header, message, reduce_text(body, still_fails, &f, &a));
    tg_arena_fini(&a);
}

static int run_files(const settings *s) {
    int failures = 0;
    for (int i = 0; i < s->n_files; i++) {
        char message[MESSAGE_BYTES];
        static char text[1 << 20];
        FILE *f = fopen(s->files[i], "r");
        size_t n = f == NULL ? 0 : fread(text, 1, sizeof text - 1, f);
        text[n] = '\0';
        if (f != NULL) {
            fclose(f);
        }
        if (n == 0 || !run_in_child(s, 0, text, message)) {
            printf("%s%s: %s\n", s->reduce ? "// " : "", s->files[i],
                   n == 0 ? "cannot be read" : message);
            failures++;
            if (s->reduce && n > 0) {
                reduce_file(s, text, message);
            }
        }
    }
    printf("%d of %d files failed\n", failures, s->n_files);
    return failures;
}

int main(int argc, char **argv) {
    settings s;
    if (!read_settings(&s, argc, argv)) {
        return 2;
    }
    return (s.n_files > 0 ? run_files(&s) : run_seeds(&s)) != 0;
}
