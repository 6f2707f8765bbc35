/* What HIP C++ lacks of OpenCL C. SPDX-License-Identifier: Apache-2.0 */
#ifndef __global__
#define __global__ __attribute__((global))
#define __shared__ __attribute__((shared))
#define __launch_bounds__(n) __attribute__((launch_bounds(n)))
#endif
#undef NAN
#undef INFINITY
#define NAN __builtin_nanf("")
#define INFINITY __builtin_inff()

namespace tegula {
#pragma clang force_cuda_host_device begin
typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef __SIZE_TYPE__ size_t;

/* scalars and vectors: bits, conversions, memory with any alignment */
#define TG_AS(T) \
    template <class F> inline T as_##T(F x) { return __builtin_bit_cast(T, x); }
#define TG_VECTOR(T, N) \
    typedef T T##N __attribute__((ext_vector_type(N))); \
    TG_AS(T##N) \
    template <class F> inline T##N convert_##T##N(F x) { \
        return __builtin_convertvector(x, T##N); \
    } \
    template <class... E> inline T##N make_##T##N(E... x) { return T##N{(T)x...}; } \
    inline T##N vload##N(long i, const T *p) { \
        T##N v; \
        __builtin_memcpy(&v, p + i * N, sizeof v); \
        return v; \
    } \
    inline void vstore##N(T##N v, long i, T *p) { __builtin_memcpy(p + i * N, &v, sizeof v); }
#define TG_SCALAR(T) \
    TG_AS(T) TG_VECTOR(T, 2) TG_VECTOR(T, 4) TG_VECTOR(T, 8) TG_VECTOR(T, 16)
TG_SCALAR(char)
TG_SCALAR(uchar)
TG_SCALAR(short)
TG_SCALAR(ushort)
TG_SCALAR(int)
TG_SCALAR(uint)
TG_SCALAR(long)
TG_SCALAR(ulong)
TG_SCALAR(float)
TG_SCALAR(double)

/* functions of scalars and vectors */
template <class T> inline T fma(T a, T b, T c) { return __builtin_elementwise_fma(a, b, c); }
template <class T> inline T sqrt(T x) { return __builtin_elementwise_sqrt(x); }
template <class T> inline T floor(T x) { return __builtin_elementwise_floor(x); }
template <class T> inline T ceil(T x) { return __builtin_elementwise_ceil(x); }
template <class T> inline T rint(T x) { return __builtin_elementwise_roundeven(x); }
template <class T> inline T fabs(T x) { return __builtin_elementwise_abs(x); }
template <class T> inline T abs(T x) { return __builtin_elementwise_abs(x); }
template <class T> inline T min(T x, T y) { return y < x ? y : x; }
template <class T> inline T max(T x, T y) { return x < y ? y : x; }
template <class T> inline auto isnan(T x) { return x != x; }
inline bool signbit(float x) { return as_int(x) < 0; }
inline bool signbit(double x) { return as_long(x) < 0; }
#define TG_SIGNS(N) \
    inline int##N signbit(float##N x) { return as_int##N(x) < 0; } \
    inline long##N signbit(double##N x) { return as_long##N(x) < 0; }
TG_SIGNS(2) TG_SIGNS(4) TG_SIGNS(8) TG_SIGNS(16)
template <class T, class C> inline T select(T x, T y, C c) { return c ? y : x; }
template <class T> inline int any(T x) { return __builtin_reduce_or(x) != 0; }
template <class T> inline int all(T x) { return __builtin_reduce_and(x) != 0; }
template <class T> inline T popcount(T x) {
    if constexpr (__is_arithmetic(T)) {
        return (T)__builtin_popcountll((ulong)x & ~0ul >> (64 - 8 * sizeof x));
    } else {
        for (uint i = 0; i < sizeof x / sizeof x[0]; i++)
            x[i] = popcount(x[i]);
        return x;
    }
}

/* relaxed atomics of the device */
#define TG_ATOMIC(NAME, FN) \
    template <class T, class V> inline T atomic_##NAME(volatile T *p, V v) { \
        return FN((T *)p, (T)v, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT); \
    } \
    template <class T, class V> inline T atom_##NAME(volatile T *p, V v) { \
        return atomic_##NAME(p, v); \
    }
TG_ATOMIC(add, __hip_atomic_fetch_add)
TG_ATOMIC(min, __hip_atomic_fetch_min)
TG_ATOMIC(max, __hip_atomic_fetch_max)
template <class T, class E, class V> inline T atomic_cmpxchg(volatile T *p, E want, V v) {
    T seen = (T)want;
    __hip_atomic_compare_exchange_strong((T *)p, &seen, (T)v, __ATOMIC_RELAXED,
                                         __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
    return seen;
}
template <class T, class E, class V> inline T atom_cmpxchg(volatile T *p, E want, V v) {
    return atomic_cmpxchg(p, want, v);
}
