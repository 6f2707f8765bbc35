/* SPDX-License-Identifier: Apache-2.0 */
/* Talks to bench_peers.py over two pipes, a line each way. */
#include "tools/peers.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct tool_peers {
    pid_t pid;
    FILE *to, *from;
};

tool_peers *tool_peers_start(tool *t, int threads) {
    int down[2], up[2];
    if (pipe(down) != 0 || pipe(up) != 0) {
        return NULL;
    }
    char count[16];
    (void)snprintf(count, sizeof count, "%d", threads);
    (void)signal(SIGPIPE, SIG_IGN);
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(down[0], 0);
        (void)dup2(up[1], 1);
        (void)close(down[1]);
        (void)close(up[0]);
        (void)setenv("TEGULA_BENCH_THREADS", count, 1);
        (void)setenv("OMP_NUM_THREADS", count, 1);
        (void)setenv("MALLOC_MMAP_MAX_", "0", 1);
        (void)setenv("MALLOC_TRIM_THRESHOLD_", "17179869184", 1);
        (void)unsetenv("OPENBLAS_CORETYPE");
        (void)unsetenv("OPENBLAS_L2_SIZE");
        (void)execlp("python3", "python3", TEGULA_TOOLS_DIR "/bench_peers.py", (char *)NULL);
        _exit(127);
    }
    (void)close(down[0]);
    (void)close(up[1]);
    tool_peers *p = TG_NEW(&t->arena, tool_peers);
    *p = (tool_peers){.pid = pid, .to = fdopen(down[1], "w"), .from = fdopen(up[0], "r")};
    if (pid < 0 || p->to == NULL || p->from == NULL) {
        return NULL;
    }
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

static bool ask(tool_peers *p, char *line, int size) {
    return fflush(p->to) == 0 && fgets(line, size, p->from) != NULL;
}

bool tool_peers_prepare(tool_peers *p, const char *kernel, const tg_setting *settings, int n) {
    char line[512];
    if (p == NULL) {
        return false;
    }
    (void)fprintf(p->to, "prepare row %s", kernel);
    for (int i = 0; i < n; i++) {
        (void)fprintf(p->to, " %s=%s", settings[i].name, settings[i].value);
    }
    (void)fputc('\n', p->to);
    return ask(p, line, sizeof line) && strncmp(line, "peers: ", 7) == 0 && strlen(line) > 8;
}

double tool_peers_run(tool *t, tool_peers *p, double seconds, const char **out_name) {
    char line[512];
    double best = 0;
    (void)fprintf(p->to, "run row %.3f\n", seconds);
    if (!ask(p, line, sizeof line)) {
        return 0;
    }
    for (char *word = strtok(line, " \n"); word != NULL; word = strtok(NULL, " \n")) {
        char *eq = strchr(word, '=');
        double took = eq != NULL ? strtod(eq + 1, NULL) : 0;
        if (took > 0 && (best == 0 || took < best)) {
            best = took;
            *out_name = tg_arena_strndup(&t->arena, word, (size_t)(eq - word));
        }
    }
    return best;
}

void tool_peers_drop(tool_peers *p) {
    char line[128];
    (void)fputs("drop row\n", p->to);
    (void)ask(p, line, sizeof line);
}
