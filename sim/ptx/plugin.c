/* SPDX-License-Identifier: Apache-2.0 */
/* The table that the runtime's driver looks for. */
#include <tegula/sim_ptx.h>

__attribute__((visibility("default"))) const sim_ptx_interface *tegula_sim_ptx(void) {
    static const sim_ptx_interface table = {.version = SIM_PTX_VERSION,
                                            .machine_make = sim_machine_make,
                                            .machine_free = sim_machine_free,
                                            .memory_alloc = sim_memory_alloc,
                                            .memory_free = sim_memory_free,
                                            .memory_write = sim_memory_write,
                                            .memory_read = sim_memory_read,
                                            .memory_holds = sim_memory_holds,
                                            .module_load = sim_module_load,
                                            .module_free = sim_module_free,
                                            .module_kernel = sim_module_kernel,
                                            .kernel_shared_bytes = sim_kernel_shared_bytes,
                                            .launch = sim_launch,
                                            .fault_name = sim_fault_name,
                                            .tensor_map_encode = sim_tensor_map_encode,
                                            .timeline_json = sim_timeline_json,
                                            .timeline_free = sim_timeline_free};
    return &table;
}
