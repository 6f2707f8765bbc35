/* SPDX-License-Identifier: Apache-2.0 */
/* The spellings of each dialect of the SIMT C printer. */
#include "backends/simt_c/emit.h"

const tg_c_dialect tg_c_opencl = {
    .name = "OpenCL C 1.2",
    .file_head =
        "/* OpenCL C 1.2. Build with -cl-fp32-correctly-rounded-divide-sqrt where the device "
        "has it. */\n",
    .kernels_head = "",
    .function = "",
    .kernel_head = "__kernel __attribute__((reqd_work_group_size(%lld, 1, 1)))\nvoid",
    .device = "__global ",
    .shared = "__local",
    .shared_pointer = "__local ",
    .list = "(%s)(",
    .file_end = "",
    .contract_off = "#pragma OPENCL FP_CONTRACT OFF\n",
    .extension_f64 = "#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n",
    .extension_atomic64 = "#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable\n"
                          "#pragma OPENCL EXTENSION cl_khr_int64_extended_atomics : enable\n",
    .barrier_shared = "barrier(CLK_LOCAL_MEM_FENCE);",
    .barrier_global = "barrier(CLK_GLOBAL_MEM_FENCE);",
    .barrier_all = "barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);",
    .group_x = "get_group_id(0)",
    .group_y = "get_group_id(1)",
    .groups_x = "get_num_groups(0)",
    .lane = "get_local_id(0)",
};
