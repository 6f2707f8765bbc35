/* SPDX-License-Identifier: Apache-2.0 */
/* Talks to bench_peers.py over two pipes, a line each way. */
#define _GNU_SOURCE /* pipe2 */
#include "tools/peers.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct tool_peers {
    pid_t pid;
    FILE *to, *from;
};

/* The environment's own Python with the peers in it, or the system's. */
static const char *python(void) {
    static const char own[] = TEGULA_TOOLS_DIR "/../build/peers/venv/bin/python3";
    return access(own, X_OK) == 0 ? own : "python3";
}

static void become_peers(int threads, int from, int to) {
    char count[16];
    (void)snprintf(count, sizeof count, "%d", threads);
    (void)dup2(from, 0);
    (void)dup2(to, 1);
    (void)setenv("TEGULA_BENCH_THREADS", count, 1);
    static const char *const counts[] = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                                         "BLIS_NUM_THREADS", "NUMBA_NUM_THREADS"};
    for (size_t i = 0; i < TG_COUNT_OF(counts); i++) {
        (void)setenv(counts[i], count, 1);
    }
    (void)setenv("MALLOC_MMAP_MAX_", "0", 1);
    (void)setenv("MALLOC_TRIM_THRESHOLD_", "17179869184", 1);
    (void)unsetenv("OPENBLAS_CORETYPE");
    (void)unsetenv("OPENBLAS_L2_SIZE");
    /* by its own path: that is how an environment finds itself */
    (void)execlp(python(), python(), TEGULA_TOOLS_DIR "/bench_peers.py", (char *)NULL);
    _exit(127);
}

static bool ask(tool_peers *p, char *line, int size) {
    return fflush(p->to) == 0 && fgets(line, size, p->from) != NULL;
}

tool_peers *tool_peers_start(tool *t, int threads, const char **out_about) {
    int down[2], up[2];
    char line[2048];
    *out_about = "no Python";
    if (pipe2(down, O_CLOEXEC) != 0 || pipe2(up, O_CLOEXEC) != 0) {
        return NULL;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    pid_t pid = fork();
    if (pid == 0) {
        become_peers(threads, down[0], up[1]);
    }
    (void)close(down[0]);
    (void)close(up[1]);
    tool_peers *p = TG_NEW(&t->arena, tool_peers);
    *p = (tool_peers){.pid = pid, .to = fdopen(down[1], "w"), .from = fdopen(up[0], "r")};
    if (pid < 0 || p->to == NULL || p->from == NULL) {
        return NULL;
    }
    (void)fputs("about\n", p->to);
    if (!ask(p, line, sizeof line)) {
        tool_peers_stop(p);
        return NULL;
    }
    line[strcspn(line, "\n")] = '\0';
    *out_about = tg_arena_strdup(&t->arena, line);
    return p;
}

void tool_peers_stop(tool_peers *p) {
    if (p != NULL) {
        (void)fputs("quit\n", p->to);
        (void)fclose(p->to);
        (void)fclose(p->from);
        (void)waitpid(p->pid, NULL, 0);
    }
}

bool tool_peers_prepare(tool_peers *p, const bench_line *at) {
    char line[2048];
    if (p == NULL) {
        return false;
    }
    (void)fprintf(p->to, "prepare row %s hot=%d", at->kernel, at->goal != NULL && at->goal->hot);
    for (int i = 0; i < at->n_settings; i++) {
        (void)fprintf(p->to, " %s=%s", at->settings[i].name, at->settings[i].value);
    }
    (void)fputc('\n', p->to);
    return ask(p, line, sizeof line) && strncmp(line, "peers: ", 7) == 0 && strlen(line) > 8;
}

static void keep(tool *t, bench_result *r, const char *name, double us) {
    for (int i = 0; i < r->n_peers; i++) {
        if (strcmp(r->peers[i].name, name) == 0) {
            r->peers[i].us = us < r->peers[i].us ? us : r->peers[i].us;
            return;
        }
    }
    if (r->n_peers < BENCH_MAX_PEERS) {
        r->peers[r->n_peers++] = (bench_peer){tg_arena_strdup(&t->arena, name), us};
    }
}

void tool_peers_run(tool *t, tool_peers *p, double seconds, bench_result *r) {
    char line[2048];
    (void)fprintf(p->to, "run row %.3f\n", seconds);
    if (!ask(p, line, sizeof line)) {
        return;
    }
    for (char *word = strtok(line, " \n"); word != NULL; word = strtok(NULL, " \n")) {
        char *eq = strchr(word, '=');
        double took = eq != NULL ? strtod(eq + 1, NULL) : 0;
        if (took > 0) {
            *eq = '\0';
            keep(t, r, word, 1e6 * took);
        }
    }
}

void tool_peers_drop(tool_peers *p) {
    char line[128];
    (void)fputs("drop row\n", p->to);
    (void)ask(p, line, sizeof line);
}
