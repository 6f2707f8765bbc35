/* SPDX-License-Identifier: Apache-2.0 */
/* The table that the runtime's driver looks for. There are no tensor maps and no modelled times. */
#include <stdio.h>

#include "sim/amdgcn/amd.h"

static size_t declared_lds(const sim_kernel *k) { return k->lds_bytes; }

static bool no_maps(const sim_tensor_map *map, uint8_t out[SIM_TENSOR_MAP_BYTES],
                    char message[256]) {
    (void)map;
    (void)out;
    (void)snprintf(message, 256, "the machine has no tensor maps");
    return false;
}

static char *no_timeline(const sim_timeline *t) {
    (void)t;
    return NULL;
}

static void no_spans(sim_timeline *t) { (void)t; }

const sim_ptx_interface *tegula_sim_amdgcn(void);
__attribute__((visibility("default"))) const sim_ptx_interface *tegula_sim_amdgcn(void) {
    static const sim_ptx_interface table = {.version = SIM_PTX_VERSION,
                                            .machine_make = sim_machine_make,
                                            .machine_free = sim_machine_free,
                                            .memory_alloc = sim_memory_alloc,
                                            .memory_free = sim_memory_free,
                                            .memory_write = sim_memory_write,
                                            .memory_read = sim_memory_read,
                                            .memory_holds = sim_memory_holds,
                                            .module_load = amd_module_load,
                                            .module_free = amd_module_free,
                                            .module_kernel = amd_module_kernel,
                                            .kernel_shared_bytes = declared_lds,
                                            .launch = amd_launch,
                                            .fault_name = amd_fault_name,
                                            .tensor_map_encode = no_maps,
                                            .timeline_json = no_timeline,
                                            .timeline_free = no_spans};
    return &table;
}
