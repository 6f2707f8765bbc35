/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device `sim:hip` of the tests: HIP C++ as the compiler prints it is compiled by clang, for
 * gfx942 or $TEGULA_SIM_HIP, and the code object runs in the simulator of AMD's machine code. What
 * prints, clang and the simulator are then held against the interpreter in one go.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../compiled.h"

const sim_ptx_interface *tegula_sim_amdgcn(void);
const sim_ptx_interface *tegula_sim_hip(void);

static sim_status load(sim_machine *m, const char *text, size_t n, sim_module **out,
                       char message[256]) {
    const char *machine = getenv("TEGULA_SIM_HIP");
    char arch[64];
    (void)snprintf(arch, sizeof arch, "--offload-arch=%s", machine ? machine : "gfx942");
    const char *const command[] = {"clang++-19",
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
                                   "IN",
                                   "-o",
                                   "OUT",
                                   NULL};
    compiled_by by = {".hip", ".hsaco", command, tegula_sim_amdgcn()};
    return compiled_load(&by, m, text, n, out, message);
}

static sim_status launch(sim_machine *m, const sim_kernel *k, const sim_launch_options *o,
                         const void *params, sim_report *report) {
    return compiled_launch(tegula_sim_amdgcn(), m, k, o, params, report);
}

__attribute__((visibility("default"))) const sim_ptx_interface *tegula_sim_hip(void) {
    static sim_ptx_interface table;
    table = *tegula_sim_amdgcn();
    table.module_load = load;
    table.launch = launch;
    return &table;
}
