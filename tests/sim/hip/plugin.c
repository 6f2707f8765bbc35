/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device `sim:hip` of the tests: HIP C++ as the compiler prints it is compiled by clang, for
 * gfx942 or $TEGULA_SIM_HIP, and the code object runs in the simulator of AMD's machine code. What
 * prints, clang and the simulator are then held against the interpreter in one go.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tegula/sim_ptx.h>

enum { ARGUMENT_BYTES = 40, ROOM = 1024, MOST_CODE = 1 << 24 };

const sim_ptx_interface *tegula_sim_amdgcn(void);
const sim_ptx_interface *tegula_sim_hip(void);

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

static bool compile(char *from, char *to) {
    const char *machine = getenv("TEGULA_SIM_HIP");
    char arch[64];
    (void)snprintf(arch, sizeof arch, "--offload-arch=%s", machine ? machine : "gfx942");
    char *const command[] = {"clang++-19",
                             "-x",
                             "hip",
                             arch,
                             "--offload-device-only",
                             "--no-gpu-bundle-output",
                             "-nogpuinc",
                             "-nogpulib",
                             "-std=c++17",
                             "-ffp-contract=off",
                             "-fno-strict-aliasing",
                             "-Wno-unknown-pragmas",
                             "-O1",
                             "-fno-unroll-loops",
                             from,
                             "-o",
                             to,
                             NULL};
    pid_t child;
    int status = 1;
    return posix_spawnp(&child, command[0], NULL, NULL, command, environ) == 0 &&
           waitpid(child, &status, 0) == child && status == 0;
}

static sim_status load(sim_machine *m, const char *text, size_t n, sim_module **out,
                       char message[256]) {
    char folder[] = "/tmp/tegula-hip-XXXXXX", from[64], to[64];
    if (!mkdtemp(folder)) {
        return SIM_E_NOMEM;
    }
    (void)snprintf(from, sizeof from, "%s/k.hip", folder);
    (void)snprintf(to, sizeof to, "%s/k.hsaco", folder);
    size_t bytes = 0;
    bool ok = write_file(from, text, n) && compile(from, to);
    char *code = ok ? read_file(to, &bytes) : NULL;
    (void)snprintf(message, 256, "clang++-19 does not compile it");
    sim_status st =
        code ? tegula_sim_amdgcn()->module_load(m, code, bytes, out, message) : SIM_E_SYNTAX;
    free(code);
    (void)unlink(from);
    (void)unlink(to);
    (void)rmdir(folder);
    return st;
}

/* Hidden arguments may stand behind ours; no kernel of ours looks at them. */
static sim_status launch(sim_machine *m, const sim_kernel *k, const sim_launch_options *o,
                         const void *params, sim_report *report) {
    uint8_t arguments[ROOM] = {0};
    memcpy(arguments, params, ARGUMENT_BYTES);
    sim_launch_options all = *o;
    size_t fixed = tegula_sim_amdgcn()->kernel_shared_bytes(k);
    all.dynamic_shared = o->dynamic_shared > fixed ? o->dynamic_shared - fixed : 0;
    return tegula_sim_amdgcn()->launch(m, k, &all, arguments, report);
}

__attribute__((visibility("default"))) const sim_ptx_interface *tegula_sim_hip(void) {
    static sim_ptx_interface table;
    table = *tegula_sim_amdgcn();
    table.module_load = load;
    table.launch = launch;
    return &table;
}
