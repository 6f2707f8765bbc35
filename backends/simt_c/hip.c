/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HIP C++ as a dialect: the printer's OpenCL C with what C++ lacks of it in front, in a namespace
 * of its own, so that neither HIP's headers nor their absence matter. Vectors are clang's
 * ext_vector types, which have OpenCL's operators and components; lists of elements go through
 * functions, as (float4)(a, b, c, d) would mean d in C++. Arguments are the five words of
 * runtime/core/simt.h, the grid has one dimension.
 */
#include "backends/simt_c/emit.h"

#define MEET                                                                                       \
    "__builtin_amdgcn_fence(__ATOMIC_RELEASE, \"workgroup\"); "                                    \
    "__builtin_amdgcn_s_barrier(); "                                                               \
    "__builtin_amdgcn_fence(__ATOMIC_ACQUIRE, \"workgroup\");"

const tg_c_dialect tg_c_hip = {
    .name = "HIP C++",
    .file_head = "/* HIP C++17. Build with -std=c++17 -ffp-contract=off -fno-strict-aliasing. */\n",
    .prelude = tg_c_hip_prelude,
    .kernels_head = "#pragma clang force_cuda_host_device end\n",
    .function = "",
    .kernel_head = "extern \"C\" __global__ __launch_bounds__(%lld)\nvoid",
    .file_end = "\n} // namespace tegula\n",
    .device = "",
    .shared = "__shared__",
    .shared_pointer = "",
    .list = "make_%s(",
    .contract_off = "#pragma clang fp contract(off)\n",
    .extension_f64 = "",
    .extension_atomic64 = "",
    .barrier_shared = MEET,
    .barrier_global = MEET,
    .barrier_all = MEET,
    .group_x = "__builtin_amdgcn_workgroup_id_x()",
    .group_y = "0",
    .groups_x = "0",
    .lane = "__builtin_amdgcn_workitem_id_x()",
    .addresses = true,
};
