/* What CUDA C++ lacks of OpenCL C. SPDX-License-Identifier: Apache-2.0 */
#ifdef __clang__ /* without CUDA's headers */
#define __global__ __attribute__((global))
#define __device__ __attribute__((device))
#define __shared__ __attribute__((shared))
#define __launch_bounds__(n) __attribute__((launch_bounds(n)))
#endif
#undef NAN
#undef INFINITY
#define NAN as_float(0x7fc00000)
#define INFINITY as_float(0x7f800000)

namespace tegula {
typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef decltype(sizeof 0) size_t;
static_assert(sizeof(long) == 8 && (char)-1 < 0, "long has 64 bits and char a sign");

/* what compilers name differently */
#ifdef __clang__
#define TG_MATH(NAME, T, FN) __device__ inline T NAME(T x) { return FN(x); }
TG_MATH(sqrt, float, __builtin_sqrtf) TG_MATH(sqrt, double, __builtin_sqrt)
TG_MATH(floor, float, __builtin_floorf) TG_MATH(floor, double, __builtin_floor)
TG_MATH(ceil, float, __builtin_ceilf) TG_MATH(ceil, double, __builtin_ceil)
TG_MATH(rint, float, __builtin_roundevenf) TG_MATH(rint, double, __builtin_roundeven)
TG_MATH(fabs, float, __builtin_fabsf) TG_MATH(fabs, double, __builtin_fabs)
__device__ inline ulong bits_set(ulong x) { return (ulong)__builtin_popcountl(x); }
__device__ inline float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
__device__ inline double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
#define TG_ATOMIC(NAME, HERE) \
    template <class T, class V> __device__ inline T atomic_##NAME(volatile T *p, V v) { \
        return __atomic_fetch_##NAME((T *)p, (T)v, __ATOMIC_RELAXED); \
    }
TG_ATOMIC(add, Add) TG_ATOMIC(min, Min) TG_ATOMIC(max, Max)
template <class T, class E, class V>
__device__ inline T atomic_cmpxchg(volatile T *p, E want, V v) {
    T seen = (T)want;
    __atomic_compare_exchange_n((T *)p, &seen, (T)v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return seen;
}
#define TG_SHFL(NAME, CLANG, HERE, LAST) \
    __device__ inline uint move_##NAME(uint x, int n) { \
        return (uint)__nvvm_shfl_sync_##CLANG##_i32(~0u, (int)x, n, LAST); \
    }
__device__ inline uint ballot(bool x) { return __nvvm_vote_ballot_sync(~0u, x); }
__device__ inline int group_number() { return (int)__nvvm_read_ptx_sreg_ctaid_x(); }
__device__ inline int lane_number() { return (int)__nvvm_read_ptx_sreg_tid_x(); }
#else
#define TG_MATH(NAME, T) __device__ inline T NAME(T x) { return ::NAME(x); }
TG_MATH(sqrt, float) TG_MATH(sqrt, double) TG_MATH(floor, float) TG_MATH(floor, double)
TG_MATH(ceil, float) TG_MATH(ceil, double) TG_MATH(rint, float) TG_MATH(rint, double)
TG_MATH(fabs, float) TG_MATH(fabs, double)
__device__ inline ulong bits_set(ulong x) { return (ulong)__popcll(x); }
__device__ inline float fma(float a, float b, float c) { return ::fma(a, b, c); }
__device__ inline double fma(double a, double b, double c) { return ::fma(a, b, c); }
/* words as CUDA's functions take them */
__device__ inline int word(int x) { return x; }
__device__ inline uint word(uint x) { return x; }
__device__ inline long long word(long x) { return x; }
__device__ inline unsigned long long word(ulong x) { return x; }
template <class T> struct sum_of { typedef uint type; };
template <> struct sum_of<long> { typedef unsigned long long type; };
template <> struct sum_of<ulong> { typedef unsigned long long type; };
#define TG_ATOMIC(NAME, HERE) \
    template <class T, class V> __device__ inline T atomic_##NAME(volatile T *p, V v) { \
        return (T)atomic##HERE((decltype(word(T())) *)p, word((T)v)); \
    }
TG_ATOMIC(min, Min) TG_ATOMIC(max, Max)
template <class T, class V> __device__ inline T atomic_add(volatile T *p, V v) {
    typedef typename sum_of<T>::type W;
    return (T)atomicAdd((W *)p, (W)v);
}
template <class T, class E, class V>
__device__ inline T atomic_cmpxchg(volatile T *p, E want, V v) {
    typedef typename sum_of<T>::type W;
    return (T)atomicCAS((W *)p, (W)want, (W)v);
}
#define TG_SHFL(NAME, CLANG, HERE, LAST) \
    __device__ inline uint move_##NAME(uint x, int n) { return __shfl##HERE##_sync(~0u, x, n); }
__device__ inline uint ballot(bool x) { return __ballot_sync(~0u, x); }
__device__ inline int group_number() { return (int)blockIdx.x; }
__device__ inline int lane_number() { return (int)threadIdx.x; }
#endif
TG_SHFL(xor, bfly, _xor, 31) TG_SHFL(index, idx, , 31)
TG_SHFL(up, up, _up, 0) TG_SHFL(down, down, _down, 31)

/* vectors of 2, 4, 8 and 16: elements as s[i] and s0 to sf; those of bool are int, 0 or -1 */
template <class T, int N> struct elements;
#define TG_ELEMENTS(N, ...) \
    template <class T> struct elements<T, N> { \
        union { T s[N]; struct { T __VA_ARGS__; }; }; \
    };
TG_ELEMENTS(2, s0, s1)
TG_ELEMENTS(4, s0, s1, s2, s3)
TG_ELEMENTS(8, s0, s1, s2, s3, s4, s5, s6, s7)
TG_ELEMENTS(16, s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, sa, sb, sc, sd, se, sf)
template <class T, int N> struct vec : elements<T, N> {
    vec() = default;
    __device__ explicit vec(T x) { for (int i = 0; i < N; i++) this->s[i] = x; }
    __device__ T operator[](int i) const { return this->s[i]; }
};
#define TG_ALL(N) _Pragma("unroll") for (int i = 0; i < N; i++)
#define TG_EACH(N, TO, WHAT) vec<TO, N> r; TG_ALL(N) r.s[i] = (TO)(WHAT); return r
#define TG_OF_VEC template <class T, int N> __device__ inline
#define TG_OF_VEC_AND template <class T, int N, class S> __device__ inline
#define TG_INFIX(OP) \
    TG_OF_VEC vec<T, N> operator OP(vec<T, N> a, vec<T, N> b) { TG_EACH(N, T, a[i] OP b[i]); } \
    TG_OF_VEC_AND vec<T, N> operator OP(vec<T, N> a, S b) { TG_EACH(N, T, a[i] OP (T)b); }
TG_INFIX(+) TG_INFIX(-) TG_INFIX(*) TG_INFIX(/) TG_INFIX(%)
TG_INFIX(&) TG_INFIX(|) TG_INFIX(^) TG_INFIX(<<) TG_INFIX(>>)
TG_OF_VEC vec<T, N> operator-(vec<T, N> a) { TG_EACH(N, T, -a[i]); }
TG_OF_VEC vec<T, N> operator~(vec<T, N> a) { TG_EACH(N, T, ~a[i]); }
template <int BYTES> struct mask_of;
template <> struct mask_of<1> { typedef char type; };
template <> struct mask_of<2> { typedef short type; };
template <> struct mask_of<4> { typedef int type; };
template <> struct mask_of<8> { typedef long type; };
#define TG_MASK typename mask_of<sizeof(T)>::type
#define TG_COMPARE(OP) \
    TG_OF_VEC vec<TG_MASK, N> operator OP(vec<T, N> a, vec<T, N> b) { \
        TG_EACH(N, TG_MASK, -(a[i] OP b[i])); \
    } \
    TG_OF_VEC_AND vec<TG_MASK, N> operator OP(vec<T, N> a, S b) { \
        TG_EACH(N, TG_MASK, -(a[i] OP (T)b)); \
    }
TG_COMPARE(==) TG_COMPARE(!=) TG_COMPARE(<) TG_COMPARE(<=) TG_COMPARE(>) TG_COMPARE(>=)
template <class T, class F> __device__ inline T bits(F x) {
    static_assert(sizeof(T) == sizeof(F), "as many bits");
    union both { F from; T to; __device__ both() {} } u;
    u.from = x;
    return u.to;
}

/* vectors by name, bits, conversions, memory with any alignment */
#define TG_AS(T) template <class F> __device__ inline T as_##T(F x) { return bits<T>(x); }
#define TG_VECTOR(T, N) \
    typedef vec<T, N> T##N; \
    TG_AS(T##N) \
    template <class F> __device__ inline T##N convert_##T##N(F x) { TG_EACH(N, T, x[i]); } \
    template <class... E> __device__ inline T##N make_##T##N(E... x) { \
        T##N r; \
        T list[N] = {(T)x...}; \
        TG_ALL(N) r.s[i] = list[i]; \
        return r; \
    } \
    __device__ inline T##N vload##N(long at, const T *p) { TG_EACH(N, T, p[at * N + i]); } \
    __device__ inline void vstore##N(T##N v, long at, T *p) { \
        TG_ALL(N) p[at * N + i] = v[i]; \
    }
#define TG_SCALAR(T) TG_AS(T) TG_VECTOR(T, 2) TG_VECTOR(T, 4) TG_VECTOR(T, 8) TG_VECTOR(T, 16)
TG_SCALAR(char) TG_SCALAR(uchar) TG_SCALAR(short) TG_SCALAR(ushort) TG_SCALAR(int)
TG_SCALAR(uint) TG_SCALAR(long) TG_SCALAR(ulong) TG_SCALAR(float) TG_SCALAR(double)

/* functions of scalars and vectors */
template <class T> __device__ inline T abs(T x) { return x < 0 ? (T)(0 - (ulong)x) : x; }
template <class T> __device__ inline T min(T x, T y) { return y < x ? y : x; }
template <class T> __device__ inline T max(T x, T y) { return x < y ? y : x; }
template <class T> __device__ inline bool isnan(T x) { return x != x; }
template <class T> __device__ inline T popcount(T x) {
    return (T)bits_set((ulong)x & ~0ul >> (64 - 8 * sizeof x));
}
__device__ inline bool signbit(float x) { return as_int(x) < 0; }
__device__ inline bool signbit(double x) { return as_long(x) < 0; }
#define TG_ONE(FN) TG_OF_VEC vec<T, N> FN(vec<T, N> x) { TG_EACH(N, T, FN(x[i])); }
TG_ONE(sqrt) TG_ONE(floor) TG_ONE(ceil) TG_ONE(rint) TG_ONE(fabs) TG_ONE(abs) TG_ONE(popcount)
#define TG_TWO(FN) TG_OF_VEC vec<T, N> FN(vec<T, N> x, vec<T, N> y) { TG_EACH(N, T, FN(x[i], y[i])); }
TG_TWO(min) TG_TWO(max)
TG_OF_VEC vec<T, N> fma(vec<T, N> a, vec<T, N> b, vec<T, N> c) {
    TG_EACH(N, T, fma(a[i], b[i], c[i]));
}
TG_OF_VEC vec<TG_MASK, N> isnan(vec<T, N> x) { TG_EACH(N, TG_MASK, -isnan(x[i])); }
TG_OF_VEC vec<TG_MASK, N> signbit(vec<T, N> x) { TG_EACH(N, TG_MASK, -signbit(x[i])); }
TG_OF_VEC_AND vec<T, N> select(vec<T, N> x, vec<T, N> y, vec<S, N> c) {
    TG_EACH(N, T, c[i] < 0 ? y[i] : x[i]);
}
TG_OF_VEC int any(vec<T, N> x) {
    T r = 0;
    for (int i = 0; i < N; i++) r |= x[i];
    return r < 0;
}
TG_OF_VEC int all(vec<T, N> x) {
    T r = -1;
    for (int i = 0; i < N; i++) r &= x[i];
    return r < 0;
}

/* atomics of 64 bits by OpenCL C's names; values of other lanes, as words */
#define TG_ATOM(NAME) \
    template <class T, class... V> __device__ inline T atom_##NAME(volatile T *p, V... v) { \
        return atomic_##NAME(p, v...); \
    }
TG_ATOM(add) TG_ATOM(min) TG_ATOM(max) TG_ATOM(cmpxchg)
template <int BYTES> struct word_of { typedef uint type; };
template <> struct word_of<1> { typedef uchar type; };
template <> struct word_of<2> { typedef ushort type; };
template <> struct word_of<8> { typedef ulong type; };
#define TG_LANES(NAME) \
    template <class T> __device__ inline T shfl_##NAME(T x, int n) { \
        typedef typename word_of<sizeof(T)>::type W; \
        W w = bits<W>(x); \
        W low = (W)move_##NAME((uint)w, n); \
        return bits<T>(sizeof(T) < 8 ? low : (W)(low | (ulong)move_##NAME((ulong)w >> 32, n) << 32)); \
    }
TG_LANES(xor) TG_LANES(index) TG_LANES(up) TG_LANES(down)
