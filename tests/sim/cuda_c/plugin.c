/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device `sim:cuda-c` of the tests: CUDA C++ as the compiler prints it is compiled to PTX by
 * nvcc, or by clang without CUDA's headers ($TEGULA_SIM_CUDA: nvcc, clang), and runs in the
 * simulator. PTX that LLVM writes of the same kernels then has a second witness.
 */
#include <stdlib.h>
#include <string.h>

#include "../compiled.h"

const sim_ptx_interface *tegula_sim_ptx(void);
const sim_ptx_interface *tegula_sim_cuda(void);

static sim_status load(sim_machine *m, const char *text, size_t n, sim_module **out,
                       char message[256]) {
    static const char *const nvcc[] = {"nvcc", "-std=c++17", "--fmad=false", "-arch=sm_80", "-w",
                                       "-ptx", "IN",         "-o",           "OUT",         NULL};
    static const char *const clang[] = {"clang++-19",
                                        "-x",
                                        "cuda",
                                        "--cuda-gpu-arch=sm_80",
                                        "--cuda-device-only",
                                        "-nocudainc",
                                        "-nocudalib",
                                        "-Wno-unknown-cuda-version",
                                        "-std=c++17",
                                        "-ffp-contract=off",
                                        "-fno-strict-aliasing",
                                        "-O2",
                                        "-S",
                                        "IN",
                                        "-o",
                                        "OUT",
                                        NULL};
    const char *which = getenv("TEGULA_SIM_CUDA");
    compiled_by by = {".cu", ".ptx", which && strcmp(which, "nvcc") == 0 ? nvcc : clang,
                      tegula_sim_ptx()};
    return compiled_load(&by, m, text, n, out, message);
}

static sim_status launch(sim_machine *m, const sim_kernel *k, const sim_launch_options *o,
                         const void *params, sim_report *report) {
    return compiled_launch(tegula_sim_ptx(), m, k, o, params, report);
}

__attribute__((visibility("default"))) const sim_ptx_interface *tegula_sim_cuda(void) {
    static sim_ptx_interface table;
    table = *tegula_sim_ptx();
    table.module_load = load;
    table.launch = launch;
    return &table;
}
