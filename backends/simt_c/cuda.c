/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CUDA C++ as a dialect: the printer's OpenCL C with what C++ lacks of it in front, in a namespace
 * of its own. nvcc compiles it, and clang without CUDA's headers. Vectors are a class with OpenCL's
 * operators and components, unrolled element by element; lists of elements go through functions, as
 * (float4)(a, b, c, d) would mean d in C++. Arguments are the five words of runtime/core/simt.h,
 * the grid has one dimension, warps have 32 lanes.
 */
#include "backends/simt_c/emit.h"

/* __syncthreads orders both memories among the block (CUDA C++ Programming Guide, 10.6). */
#define MEET "__syncthreads();"

const tg_c_dialect tg_c_cuda = {
    .name = "CUDA C++",
    .file_head = "/* CUDA C++17. Build with nvcc -std=c++17 --fmad=false. */\n",
    .prelude = tg_c_cuda_prelude,
    .kernels_head = "",
    .kernel_head = "extern \"C\" __global__ __launch_bounds__(%lld)\nvoid",
    .function = "__device__ inline ",
    .file_end = "\n} // namespace tegula\n",
    .device = "",
    .shared = "__shared__",
    .shared_pointer = "",
    .list = "make_%s(",
    .contract_off = "#ifdef __clang__\n#pragma clang fp contract(off)\n#endif\n",
    .extension_f64 = "",
    .extension_atomic64 = "",
    .barrier_shared = MEET,
    .barrier_global = MEET,
    .barrier_all = MEET,
    .group_x = "group_number()",
    .group_y = "0",
    .groups_x = "0",
    .lane = "lane_number()",
    .addresses = true,
    .subgroups = true,
};
