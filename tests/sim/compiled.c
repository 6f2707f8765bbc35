/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "compiled.h"

#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGUMENT_BYTES = 40, ROOM = 1024, MOST_CODE = 1 << 24, MOST_WORDS = 32 };

static bool write_file(const char *path, const char *bytes, size_t n) {
    FILE *f = fopen(path, "wb");
    bool ok = f && fwrite(bytes, 1, n, f) == n;
    return f && fclose(f) == 0 && ok;
}

static char *read_file(const char *path, size_t *out_n) {
    FILE *f = fopen(path, "rb");
    char *bytes = f ? malloc(MOST_CODE) : NULL;
    *out_n = bytes ? fread(bytes, 1, MOST_CODE, f) : 0;
    if (f) {
        (void)fclose(f);
    }
    return bytes;
}

static bool compile(const compiled_by *by, char *from, char *to) {
    char *words[MOST_WORDS] = {NULL};
    pid_t child;
    int status = 1;
    for (size_t i = 0; by->command[i] && i + 1 < MOST_WORDS; i++) {
        const char *word = by->command[i];
        words[i] = strcmp(word, "IN") == 0    ? from
                   : strcmp(word, "OUT") == 0 ? to
                                              : (char *)(uintptr_t)word;
    }
    return posix_spawnp(&child, words[0], NULL, NULL, words, environ) == 0 &&
           waitpid(child, &status, 0) == child && status == 0;
}

sim_status compiled_load(const compiled_by *by, sim_machine *m, const char *text, size_t n,
                         sim_module **out, char message[256]) {
    char folder[] = "/tmp/tegula-compiled-XXXXXX", from[64], to[64];
    if (!mkdtemp(folder)) {
        return SIM_E_NOMEM;
    }
    (void)snprintf(from, sizeof from, "%s/k%s", folder, by->in);
    (void)snprintf(to, sizeof to, "%s/k%s", folder, by->out);
    size_t bytes = 0;
    bool ok = write_file(from, text, n) && compile(by, from, to);
    char *code = ok ? read_file(to, &bytes) : NULL;
    (void)snprintf(message, 256, "%s does not compile it", by->command[0]);
    sim_status st = code ? by->simulator->module_load(m, code, bytes, out, message) : SIM_E_SYNTAX;
    free(code);
    (void)unlink(from);
    (void)unlink(to);
    (void)rmdir(folder);
    return st;
}

sim_status compiled_launch(const sim_ptx_interface *simulator, sim_machine *m, const sim_kernel *k,
                           const sim_launch_options *o, const void *params, sim_report *report) {
    uint8_t arguments[ROOM] = {0};
    memcpy(arguments, params, ARGUMENT_BYTES);
    sim_launch_options all = *o;
    size_t fixed = simulator->kernel_shared_bytes(k);
    all.dynamic_shared = o->dynamic_shared > fixed ? o->dynamic_shared - fixed : 0;
    return simulator->launch(m, k, &all, arguments, report);
}
