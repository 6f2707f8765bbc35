/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HIP C++ as a dialect: the printer's OpenCL C with what C++ lacks of it in front, in a namespace
 * of its own, so that neither HIP's headers nor their absence matter. Vectors are clang's
 * ext_vector types, which have OpenCL's operators and components; lists of elements go through
 * functions, as (float4)(a, b, c, d) would mean d in C++. Arguments are the five words of
 * runtime/core/simt.h, the grid has one dimension.
 */
#include "backends/simt_c/emit.h"

static const char prelude[] =
    "#ifndef __global__\n"
    "#define __global__ __attribute__((global))\n"
    "#define __shared__ __attribute__((shared))\n"
    "#define __launch_bounds__(n) __attribute__((launch_bounds(n)))\n"
    "#endif\n"
    "#undef NAN\n"
    "#undef INFINITY\n"
    "#define NAN __builtin_nanf(\"\")\n"
    "#define INFINITY __builtin_inff()\n"
    "\n"
    "namespace tegula {\n"
    "#pragma clang force_cuda_host_device begin\n"
    "typedef unsigned char uchar;\n"
    "typedef unsigned short ushort;\n"
    "typedef unsigned int uint;\n"
    "typedef unsigned long ulong;\n"
    "typedef __SIZE_TYPE__ size_t;\n"
    "\n"
    "/* scalars and vectors: bits, conversions, memory with any alignment */\n"
    "#define TG_AS(T) \\\n"
    "    template <class F> inline T as_##T(F x) { return __builtin_bit_cast(T, x); }\n"
    "#define TG_VECTOR(T, N) \\\n"
    "    typedef T T##N __attribute__((ext_vector_type(N))); \\\n"
    "    TG_AS(T##N) \\\n"
    "    template <class F> inline T##N convert_##T##N(F x) { \\\n"
    "        return __builtin_convertvector(x, T##N); \\\n"
    "    } \\\n"
    "    template <class... E> inline T##N make_##T##N(E... x) { return T##N{(T)x...}; } \\\n"
    "    inline T##N vload##N(long i, const T *p) { \\\n"
    "        T##N v; \\\n"
    "        __builtin_memcpy(&v, p + i * N, sizeof v); \\\n"
    "        return v; \\\n"
    "    } \\\n"
    "    inline void vstore##N(T##N v, long i, T *p) { __builtin_memcpy(p + i * N, &v, sizeof v); "
    "}\n"
    "#define TG_SCALAR(T) \\\n"
    "    TG_AS(T) TG_VECTOR(T, 2) TG_VECTOR(T, 4) TG_VECTOR(T, 8) TG_VECTOR(T, 16)\n"
    "TG_SCALAR(char)\n"
    "TG_SCALAR(uchar)\n"
    "TG_SCALAR(short)\n"
    "TG_SCALAR(ushort)\n"
    "TG_SCALAR(int)\n"
    "TG_SCALAR(uint)\n"
    "TG_SCALAR(long)\n"
    "TG_SCALAR(ulong)\n"
    "TG_SCALAR(float)\n"
    "TG_SCALAR(double)\n"
    "\n"
    "/* functions of scalars and vectors */\n"
    "template <class T> inline T fma(T a, T b, T c) { return __builtin_elementwise_fma(a, b, c); "
    "}\n"
    "template <class T> inline T sqrt(T x) { return __builtin_elementwise_sqrt(x); }\n"
    "template <class T> inline T floor(T x) { return __builtin_elementwise_floor(x); }\n"
    "template <class T> inline T ceil(T x) { return __builtin_elementwise_ceil(x); }\n"
    "template <class T> inline T rint(T x) { return __builtin_elementwise_roundeven(x); }\n"
    "template <class T> inline T fabs(T x) { return __builtin_elementwise_abs(x); }\n"
    "template <class T> inline T abs(T x) { return __builtin_elementwise_abs(x); }\n"
    "template <class T> inline T min(T x, T y) { return y < x ? y : x; }\n"
    "template <class T> inline T max(T x, T y) { return x < y ? y : x; }\n"
    "template <class T> inline auto isnan(T x) { return x != x; }\n"
    "inline bool signbit(float x) { return as_int(x) < 0; }\n"
    "inline bool signbit(double x) { return as_long(x) < 0; }\n"
    "#define TG_SIGNS(N) \\\n"
    "    inline int##N signbit(float##N x) { return as_int##N(x) < 0; } \\\n"
    "    inline long##N signbit(double##N x) { return as_long##N(x) < 0; }\n"
    "TG_SIGNS(2) TG_SIGNS(4) TG_SIGNS(8) TG_SIGNS(16)\n"
    "template <class T, class C> inline T select(T x, T y, C c) { return c ? y : x; }\n"
    "template <class T> inline int any(T x) { return __builtin_reduce_or(x) != 0; }\n"
    "template <class T> inline int all(T x) { return __builtin_reduce_and(x) != 0; }\n"
    "template <class T> inline T popcount(T x) {\n"
    "    if constexpr (__is_arithmetic(T)) {\n"
    "        return (T)__builtin_popcountll((ulong)x & ~0ul >> (64 - 8 * sizeof x));\n"
    "    } else {\n"
    "        for (uint i = 0; i < sizeof x / sizeof x[0]; i++)\n"
    "            x[i] = popcount(x[i]);\n"
    "        return x;\n"
    "    }\n"
    "}\n"
    "\n"
    "/* relaxed atomics of the device */\n"
    "#define TG_ATOMIC(NAME, FN) \\\n"
    "    template <class T, class V> inline T atomic_##NAME(volatile T *p, V v) { \\\n"
    "        return FN((T *)p, (T)v, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT); \\\n"
    "    } \\\n"
    "    template <class T, class V> inline T atom_##NAME(volatile T *p, V v) { \\\n"
    "        return atomic_##NAME(p, v); \\\n"
    "    }\n"
    "TG_ATOMIC(add, __hip_atomic_fetch_add)\n"
    "TG_ATOMIC(min, __hip_atomic_fetch_min)\n"
    "TG_ATOMIC(max, __hip_atomic_fetch_max)\n"
    "template <class T, class E, class V> inline T atomic_cmpxchg(volatile T *p, E want, V v) {\n"
    "    T seen = (T)want;\n"
    "    __hip_atomic_compare_exchange_strong((T *)p, &seen, (T)v, __ATOMIC_RELAXED,\n"
    "                                         __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);\n"
    "    return seen;\n"
    "}\n"
    "template <class T, class E, class V> inline T atom_cmpxchg(volatile T *p, E want, V v) {\n"
    "    return atomic_cmpxchg(p, want, v);\n"
    "}\n";

#define MEET                                                                                       \
    "__builtin_amdgcn_fence(__ATOMIC_RELEASE, \"workgroup\"); "                                    \
    "__builtin_amdgcn_s_barrier(); "                                                               \
    "__builtin_amdgcn_fence(__ATOMIC_ACQUIRE, \"workgroup\");"

const tg_c_dialect tg_c_hip = {
    .name = "HIP C++",
    .file_head = "/* HIP C++17. Build with -std=c++17 -ffp-contract=off -fno-strict-aliasing. */\n",
    .prelude = prelude,
    .kernels_head = "#pragma clang force_cuda_host_device end\n",
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
