/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PTX that nvcc made of the CUDA kernels in cuda/: what the simulator computes is what the CUDA
 * source says, told a second time in C. Every kernel runs under several orders of its warps.
 */
#include "simtest.h"

#include <math.h>

typedef struct cuda_case {
    const char *name;
    /* Word i of the result; or, with `whole`, all of it. */
    uint32_t (*expect)(const simtest *s, int i);
    double tolerance; /* relative, of floats; 0: the very bits */
    void (*inputs)(simtest *s);
} cuda_case;

static float as_float(uint32_t u) {
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
static uint32_t bits(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

/* ---- scalar.cu ------------------------------------------------------------------------------- */

#define X uint32_t x = s->host_a[i], y = s->host_b[i]

static uint32_t axpy(const simtest *s, int i) {
    X;
    return bits(fmaf(2.5f, (float)(int)(x & 0xffff), (float)(y & 0xff)));
}
static uint32_t arith(const simtest *s, int i) {
    X;
    int32_t a = (int32_t)x, t = (int32_t)(y | 1);
    int64_t q = (int64_t)a / t, r = (int64_t)a % t;
    uint32_t sum = (uint32_t)q + (uint32_t)r * 3 + (uint32_t)(a < t ? a : t);
    sum -= (uint32_t)((a >> 3) > t ? a >> 3 : t);
    sum += (uint32_t)abs(a >> 1);
    return sum ^ x / (y | 1) ^ x % (y | 1);
}
static uint32_t high(const simtest *s, int i) {
    X;
    return (uint32_t)((uint64_t)x * y >> 32) ^
           (uint32_t)(((int64_t)(int32_t)x * (int32_t)y) >> 32) ^ (uint32_t)((uint64_t)x * y >> 13);
}
static uint32_t reversed(uint32_t v) {
    uint32_t r = 0;
    for (int k = 0; k < 32; k++) {
        r |= (v >> k & 1) << (31 - k);
    }
    return r;
}
static uint32_t bit_tricks(const simtest *s, int i) {
    X;
    uint32_t perm = 0;
    uint64_t both = (uint64_t)y << 32 | x;
    static const int pick[] = {0, 4, 1, 5};
    for (int k = 0; k < 4; k++) {
        perm |= (uint32_t)(both >> (8 * pick[k]) & 0xff) << (8 * k);
    }
    uint32_t v = (uint32_t)__builtin_popcount(x) + 100u * (x ? (uint32_t)__builtin_clz(x) : 32u);
    v += reversed(y) + (uint32_t)__builtin_ffs((int32_t)y) + perm + (y << 7 | x >> 25);
    return v + (x >> (y & 31) | y << (x & 31));
}
static uint32_t wide(const simtest *s, int i) {
    X;
    uint64_t u = (uint64_t)x << 32 | y, v = (uint64_t)y << 17 | 1;
    __extension__ typedef unsigned __int128 u128;
    uint64_t hi = (uint64_t)((u128)u * v >> 64);
    return (uint32_t)(u / v) ^ (uint32_t)(u % v) ^ (uint32_t)hi ^
           (uint32_t)((int64_t)u >> (x & 63)) ^ (uint32_t)(((int64_t)u / (int64_t)v) >> 5);
}
static int64_t clamped(double v, double lo, double hi) {
    return isnan(v) ? 0 : v < lo ? (int64_t)lo : v > hi ? (int64_t)hi : (int64_t)v;
}
static uint32_t to_int(double v) { return (uint32_t)clamped(v, -2147483648.0, 2147483647.0); }
static uint32_t convert(const simtest *s, int i) {
    X;
    double f = (double)as_float(x);
    uint32_t v =
        to_int(nearbyint(f)) ^ to_int(trunc(f)) * 3u ^ to_int(floor(f)) * 5u ^ to_int(ceil(f)) * 7u;
    v ^= (uint32_t)clamped(trunc(f), 0, 4294967295.0);
    int32_t low = (int16_t)y;
    return v ^ bits((float)(int32_t)y) ^ bits((float)y) ^ (x & 255) ^ (uint32_t)low;
}
/* To an f32 below or above the exact value, which long double holds here. */
static float directed(long double v, int up, int zero) {
    float f = (float)v;
    bool below = zero ? v > 0 : !up, above = zero ? v < 0 : up;
    if (below && (long double)f > v) {
        f = nextafterf(f, -INFINITY);
    }
    if (above && (long double)f < v) {
        f = nextafterf(f, INFINITY);
    }
    return f;
}
static uint32_t rounding(const simtest *s, int i) {
    X;
    float f = as_float((x & 0x3fffffff) | 0x20000000), g = as_float((y & 0x3fffffff) | 0x20000000);
    long double lf = f, lg = g;
    uint32_t v = bits(directed(lf + lg, 0, 1)) ^ bits(directed(lf * lg, 1, 0));
    v ^= bits(directed(lf * lg - lf, 0, 0)) ^ bits(directed(lf - lg, 0, 0));
    return v ^ bits(f / g) ^ bits(sqrtf(f));
}
/* Operands close enough that sums are exact in 64 bits. */
static void near_floats(simtest *s) {
    for (int i = 0; i < SIMTEST_N; i++) {
        s->host_a[i] = 0x3f000000 + s->host_a[i] % 0x00ffffff % 0xffffff;
        s->host_b[i] = 0x3f000000 + s->host_b[i] % 0x00ffffff;
    }
}
static uint32_t functions(const simtest *s, int i) {
    double f = (double)(1.0f + (float)(s->host_a[i] & 0xfff) / 512.0f);
    return bits((float)(exp2(f) + log2(f) + 1 / sqrt(f) + sin(f) + cos(f) + tanh(f) + exp(-f)));
}
static uint32_t doubles(const simtest *s, int i) {
    X;
    double d = (double)(int32_t)x / 7.0, e = (double)y + 0.25;
    d = fma(d, e, -e) + sqrt(e) + fabs(d) - floor(d / e);
    uint64_t u;
    memcpy(&u, &d, sizeof u);
    return (uint32_t)u ^ (uint32_t)(u >> 32);
}
/* nvcc may fuse what the source leaves apart: values chosen so that all is exact. */
static void exact_doubles(simtest *s) {
    for (int i = 0; i < SIMTEST_N; i++) {
        s->host_a[i] = 7 * (s->host_a[i] & 0xff);
        s->host_b[i] = s->host_b[i] & 0xff;
    }
}
static uint32_t collatz(const simtest *s, int i) {
    uint32_t v = (s->host_a[i] & 0xfff) + 1, c = 0;
    while (v != 1) {
        v = v & 1 ? 3 * v + 1 : v / 2;
        c++;
    }
    return c;
}
static uint32_t cases(const simtest *s, int i) {
    X;
    uint32_t all[] = {
        y + 1, y * 3, ~y, y >> 5, y ^ x, x - y, y << 3, (uint32_t)__builtin_popcount(y), 77};
    return all[x % 9];
}
static uint32_t mixed(uint32_t v, uint32_t w) {
    for (uint32_t k = 0; k < (w & 7); k++) {
        v = v * 1664525u + 1013904223u;
    }
    return v ^ w;
}
static uint32_t calls(const simtest *s, int i) {
    X;
    return x & 1 ? mixed(x, y) + mixed(y, x) : mixed(y, x);
}
static uint32_t locals(const simtest *s, int i) {
    X;
    uint32_t t[16], v = 0;
    for (uint32_t k = 0; k < 16; k++) {
        t[k] = x * k + y;
    }
    for (int k = 0; k < 16; k++) {
        uint32_t j = t[k] % 16, was = t[k];
        t[k] = t[j];
        t[j] = was;
    }
    for (uint32_t k = 0; k < 16; k++) {
        v = v * 31 + t[(k + (y & 15)) & 15];
    }
    return v;
}
static uint32_t constants(const simtest *s, int i) {
    static const uint32_t table[16] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3};
    return table[s->host_a[i] & 15] * table[s->host_b[i] & 15] + 5;
}
/* Values of few bits: products and sums of these halves are exact. */
static uint16_t half_of(double v) {
    uint16_t sign = v < 0 ? 0x8000 : 0;
    int e;
    double m = frexp(fabs(v), &e);
    return v == 0 ? sign
                  : (uint16_t)(sign | (uint32_t)(e + 14) << 10 | ((uint32_t)ldexp(m, 11) & 1023));
}
static uint32_t halves(const simtest *s, int i) {
    X;
    double v[2] = {(x & 255) / 16.0, (y & 255) / 8.0};
    uint32_t out = 0;
    for (int k = 0; k < 2; k++) {
        double h = rint(v[k] * 16) / 16, r = 2.5 * h + h * h;
        /* every step rounds to 11 bits */
        int e;
        double f = 2.5 * h, g = h * h;
        (void)frexp(f, &e);
        f = ldexp(rint(ldexp(f, 11 - e)), e - 11);
        (void)frexp(g, &e);
        g = ldexp(rint(ldexp(g, 11 - e)), e - 11);
        r = f + g;
        (void)frexp(r, &e);
        r = ldexp(rint(ldexp(r, 11 - e)), e - 11);
        r = r > -1.5 ? r : -1.5;
        out |= (uint32_t)half_of(r) << (16 * k);
    }
    return out;
}
static uint16_t brain_of(double v) {
    uint32_t u = bits((float)v);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
static uint32_t brains(const simtest *s, int i) {
    X;
    double v[2] = {(x & 255) / 16.0, (y & 255) / 8.0};
    uint32_t out = 0;
    for (int k = 0; k < 2; k++) {
        double h = (double)as_float((uint32_t)brain_of(v[k]) << 16);
        out |= (uint32_t)brain_of(2.5 * h) << (16 * k);
    }
    return out ^ brain_of((double)as_float(x & 0x3fffffff));
}
static uint32_t dots(const simtest *s, int i) {
    X;
    uint32_t sd = 100, ud = 7, pd = 5;
    for (int k = 0; k < 4; k++) {
        sd += (uint32_t)((int8_t)(x >> (8 * k)) * (int8_t)(y >> (8 * k)));
        ud += (x >> (8 * k) & 255) * (y >> (8 * k) & 255);
    }
    for (int k = 0; k < 2; k++) {
        pd += (uint32_t)((int16_t)(x >> (16 * k)) * (int8_t)(y >> (8 * k)));
    }
    return sd ^ ud ^ pd;
}
static uint32_t compares(const simtest *s, int i) {
    X;
    float f = as_float(x), g = as_float(y);
    uint32_t v = (uint32_t)(f < g) | (uint32_t)(f <= g) << 1 | (uint32_t)(f == g) << 2 |
                 (uint32_t)(f != g) << 3;
    v |=
        (uint32_t)!(f < g) << 4 | (uint32_t)((int32_t)x < (int32_t)y) << 5 | (uint32_t)(x < y) << 6;
    float least = isnan(g) || f < g ? f : g; /* libm's fminf takes signalling NaNs for results */
    return v | (uint32_t)(isnan(f) != 0) << 7 | (uint32_t)(least == f) << 8 |
           (uint32_t)(isinf(g) != 0) << 9;
}
static void special_floats(simtest *s) {
    static const uint32_t list[] = {0,          0x80000000, 0x7f800000, 0xff800000,
                                    0x7fc00000, 1,          0x3f800000, 0xbf800000};
    for (int i = 0; i < SIMTEST_N; i++) {
        s->host_a[i] = i % 3 ? list[i % 8] : s->host_a[i];
        s->host_b[i] = i % 2 ? list[i / 8 % 8] : s->host_b[i];
    }
}
static uint32_t narrow(const simtest *s, int i) {
    X;
    uint32_t v = (uint32_t)(int32_t)(int8_t)(x >> 8) + (y >> 16);
    return v ^ (x & 255) << 24;
}
static uint32_t vectors(const simtest *s, int i) {
    int q = i / 4;
    const uint32_t *a = &s->host_a[4 * q], *b = &s->host_b[2 * q];
    uint32_t all[] = {a[3], a[2] ^ b[0], a[1], a[0] + b[1]};
    return all[i % 4];
}

static const cuda_case scalar_cases[] = {{"axpy", axpy, 0, NULL},
                                         {"arith", arith, 0, NULL},
                                         {"high", high, 0, NULL},
                                         {"bits", bit_tricks, 0, NULL},
                                         {"wide", wide, 0, NULL},
                                         {"convert", convert, 0, NULL},
                                         {"rounding", rounding, 0, near_floats},
                                         {"functions", functions, 2e-6, NULL},
                                         {"doubles", doubles, 0, exact_doubles},
                                         {"collatz", collatz, 0, NULL},
                                         {"cases", cases, 0, NULL},
                                         {"calls", calls, 0, NULL},
                                         {"locals", locals, 0, NULL},
                                         {"constants", constants, 0, NULL},
                                         {"halves", halves, 0, NULL},
                                         {"brains", brains, 0, NULL},
                                         {"dots", dots, 0, NULL},
                                         {"compares", compares, 0, special_floats},
                                         {"narrow", narrow, 0, NULL},
                                         {"vectors", vectors, 0, NULL}};

/* ---- block.cu: 256 threads a block ------------------------------------------------------------
 */

#define T (i % 256)
#define FIRST (i - T)

static uint32_t reverse(const simtest *s, int i) {
    return s->host_a[FIRST + 255 - T] + s->host_b[i];
}
static uint32_t sum_of(const uint32_t *v, int from, int n) {
    uint32_t sum = 0;
    for (int k = 0; k < n; k++) {
        sum += v[from + k];
    }
    return sum;
}
static uint32_t reduce(const simtest *s, int i) { return sum_of(s->host_a, FIRST, 256); }
static uint32_t transpose(const simtest *s, int i) {
    return s->host_a[FIRST + T % 16 * 16 + T / 16];
}
static uint32_t scan(const simtest *s, int i) { return sum_of(s->host_a, FIRST, T + 1); }
static uint32_t histogram(const simtest *s, int i) {
    uint32_t n = 0;
    for (int k = FIRST; k < FIRST + 256; k++) {
        n += (s->host_a[k] & 63) == (uint32_t)(T & 63) ? 1 + (s->host_b[k] & 3) : 0;
    }
    return n;
}
static uint32_t dynamic(const simtest *s, int i) {
    int j = T * 7 & 511;
    return (j < 256 ? s->host_a[FIRST + j] : s->host_b[FIRST + j - 256]) + s->host_a[T % 3];
}
static uint32_t counted(const simtest *s, int i) {
    uint32_t c = 0, d = 1, e = 0;
    for (int k = FIRST; k < FIRST + 256; k++) {
        c += s->host_a[k] & 1;
        d &= s->host_a[k] != 5;
        e |= s->host_b[k] == 7;
    }
    return c + d * 1000 + e * 10000;
}
static void some_fives(simtest *s) {
    s->host_a[300] = 5;
    s->host_b[700] = 7;
}
static uint32_t named(const simtest *s, int i) {
    int t = 255 - T, h = t / 128;
    return s->host_a[FIRST + h * 128 + (t + 5) % 128];
}
static uint32_t handoff(const simtest *s, int i) {
    return T < 128 ? s->host_a[i] : s->host_a[i - 128] * 3 + s->host_b[i];
}
#define WARP (i - i % 32)
static uint32_t shuffled(const simtest *s, int i) { return sum_of(s->host_a, WARP, 32); }
static uint32_t butterfly(const simtest *s, int i) {
    uint32_t v = 0;
    for (int k = WARP; k < WARP + 32; k++) {
        v = s->host_a[k] > v ? s->host_a[k] : v;
    }
    return v;
}
static uint32_t prefix(const simtest *s, int i) {
    int from = i % 32 / 8 * 8 + T % 8 % 8;
    return sum_of(s->host_a, WARP, i % 32 + 1) + sum_of(s->host_a, WARP, from + 1);
}
static uint32_t votes(const simtest *s, int i) {
    uint32_t v = 0, any = 0, all = 1;
    for (int k = 0; k < 32; k++) {
        v |= (s->host_a[WARP + k] & 1) << k;
        any |= s->host_a[WARP + k] == 3;
        all &= s->host_a[WARP + k] != 3;
    }
    return v ^ any ^ all << 1;
}
static uint32_t matches(const simtest *s, int i) {
    uint32_t v = 0;
    for (int k = 0; k < 32; k++) {
        v |= (uint32_t)((s->host_a[WARP + k] & 3) == (s->host_a[i] & 3)) << k;
    }
    return v;
}
static uint32_t reduxes(const simtest *s, int i) {
    uint32_t sum = 0, top = 0, x = 0;
    int32_t low = INT32_MAX;
    for (int k = WARP; k < WARP + 32; k++) {
        sum += s->host_a[k];
        top = s->host_b[k] > top ? s->host_b[k] : top;
        x ^= s->host_a[k];
        low = (int32_t)s->host_b[k] < low ? (int32_t)s->host_b[k] : low;
    }
    return sum ^ top ^ x ^ (uint32_t)low;
}
static uint32_t own_diverged(const simtest *s, int i) {
    uint32_t v = s->host_a[i], n = v & 15;
    if (!(T & 1)) {
        return v ^ 0x55;
    }
    for (uint32_t k = 0; k < (n > (v & 15) ? n : (v & 15)); k++) {
        v = v * 5 + 1;
    }
    return v;
}
static uint32_t after_diverged(const simtest *s, int i) {
    return own_diverged(s, i) + own_diverged(s, i ^ 1);
}
static uint32_t diverged(const simtest *s, int i) {
    uint32_t v = after_diverged(s, i);
    return T % 32 < 16 ? v + after_diverged(s, i ^ 3) : v;
}
/* The loop's bound is read anew from v in every turn: odd lanes get loops that end at once or grow.
 */
static void small_values(simtest *s) {
    for (int i = 0; i < SIMTEST_N; i++) {
        s->host_a[i] &= ~15u; /* no turns */
    }
}
static uint32_t tickets(const simtest *s, int i) {
    uint32_t v = 0;
    for (int k = FIRST; k < FIRST + 256; k++) {
        v = s->host_a[k] > v ? s->host_a[k] : v;
    }
    return v + 1;
}
static uint32_t looped(const simtest *s, int i) {
    float v = 0;
    for (int k = 0; k < SIMTEST_N; k++) {
        float f = (float)(s->host_a[k] & 0xffff);
        v = f > v ? f : v;
    }
    return i == 0 ? bits(v) : 0;
}
static uint32_t chained(const simtest *s, int i) {
    uint32_t v = 0;
    for (int k = 0; k < FIRST; k += 256) {
        v += s->host_a[k];
    }
    return v;
}

static const cuda_case block_cases[] = {
    {"reverse", reverse, 0, NULL},       {"reduce", reduce, 0, NULL},
    {"transpose", transpose, 0, NULL},   {"scan", scan, 0, NULL},
    {"histogram", histogram, 0, NULL},   {"dynamic", dynamic, 0, NULL},
    {"counted", counted, 0, some_fives}, {"named", named, 0, NULL},
    {"handoff", handoff, 0, NULL},       {"shuffled", shuffled, 0, NULL},
    {"butterfly", butterfly, 0, NULL},   {"prefix", prefix, 0, NULL},
    {"votes", votes, 0, NULL},           {"matches", matches, 0, NULL},
    {"reduxes", reduxes, 0, NULL},       {"diverged", diverged, 0, small_values},
    {"tickets", tickets, 0, NULL},       {"looped", looped, 0, NULL},
    {"chained", chained, 0, NULL}};

/* ---- running --------------------------------------------------------------------------------- */

static void check(const simtest *s, const cuda_case *c, int i, uint64_t seed) {
    uint32_t want = c->expect(s, i), got = s->host_out[i];
    bool same = want == got;
    if (c->tolerance > 0) {
        double w = (double)as_float(want), g = (double)as_float(got);
        same = fabs(w - g) <= c->tolerance * fabs(w);
    }
    if (!same) {
        fail_msg("%s, seed %llu: word %d is %08x, not %08x", c->name, (unsigned long long)seed, i,
                 got, want);
    }
}

static void run_cases(const char *file, int sm, const cuda_case *cases_, size_t n) {
    char *text = simtest_file(file);
    for (size_t k = 0; k < n; k++) {
        for (uint64_t seed = 1; seed <= 3; seed++) {
            simtest *s = simtest_open(text, sm, seed);
            if (cases_[k].inputs) {
                cases_[k].inputs(s);
            }
            s->options.seed = seed;
            s->options.cluster[0] = strcmp(cases_[k].name, "clustered") == 0 ? 2 : 1;
            s->options.dynamic_shared = strcmp(cases_[k].name, "dynamic") == 0 ? 2048 : 0;
            if (simtest_run(s, cases_[k].name, SIMTEST_N / 256, 256, SIMTEST_N) != SIM_OK) {
                simtest_print(&s->report);
                fail_msg("%s, seed %llu: %s", cases_[k].name, (unsigned long long)seed,
                         s->report.message);
            }
            for (int i = 0; i < SIMTEST_N; i++) {
                check(s, &cases_[k], i, seed);
            }
            simtest_close(s);
        }
    }
    free(text);
}
static void scalar(void **state) {
    (void)state;
    run_cases("cuda/scalar.ptx", 80, scalar_cases, sizeof scalar_cases / sizeof *scalar_cases);
}
static void block(void **state) {
    (void)state;
    run_cases("cuda/block.ptx", 80, block_cases, sizeof block_cases / sizeof *block_cases);
}

/* Atomics of all kinds on global memory. */
static void sums(void **state) {
    char *text = simtest_file("cuda/block.ptx");
    simtest *s = simtest_open(text, 80, 5);
    uint32_t sum = 0, low = UINT32_MAX, both = UINT32_MAX, any = 0, odd = 0;
    int32_t top = INT32_MIN;
    uint64_t far = 0;
    double floats = 0, twice = 0;
    (void)state;
    s->host_out[1] = UINT32_MAX;
    s->host_out[2] = 0x80000000;
    s->host_out[3] = UINT32_MAX;
    for (int i = 0; i < SIMTEST_N; i++) {
        uint32_t a = s->host_a[i];
        sum += a;
        low = a < low ? a : low;
        top = (int32_t)a > top ? (int32_t)a : top;
        both &= a | 0xff;
        any |= a & 0xf0f0;
        odd ^= a;
        floats += a & 15;
        twice += s->host_b[i] & 15;
        far += (uint64_t)a << 8;
    }
    assert_int_equal(simtest_run(s, "sums", 4, 256, SIMTEST_N), SIM_OK);
    const uint32_t *o = s->host_out;
    assert_int_equal(o[0], sum);
    assert_int_equal(o[1], low);
    assert_int_equal((int32_t)o[2], top);
    assert_int_equal(o[3], both);
    assert_int_equal(o[4], any);
    assert_int_equal(o[5], odd);
    assert_int_equal(o[6], SIMTEST_N % 1001);
    assert_int_equal(o[7], 5001 - SIMTEST_N);
    assert_true((double)as_float(o[8]) == floats);
    double d;
    memcpy(&d, &o[10], sizeof d);
    assert_true(d == twice);
    uint64_t u;
    memcpy(&u, &o[12], sizeof u);
    assert_true(u == far);
    assert_int_equal(o[14], (uint32_t)half_of(SIMTEST_N) | (uint32_t)half_of(4) << 16);
    simtest_close(s);
    free(text);
}

/* A structure in .param space. */
static void by_value(void **state) {
    char *text = simtest_file("cuda/scalar.ptx");
    simtest *s = simtest_open(text, 80, 6);
    struct {
        uint64_t out, a;
        uint32_t m, shift;
        uint64_t c;
        int32_t n;
    } params = {s->out, s->a, 9, 12, 0x123456789abcdefull, SIMTEST_N};
    (void)state;
    const sim_kernel *k = sim_module_kernel(s->module, "byvalue");
    assert_non_null(k);
    assert_int_equal(sim_kernel_param_bytes(k), 36);
    assert_true(sim_memory_write(s->machine, s->a, s->host_a, 4 * SIMTEST_N));
    sim_launch_options o = {.grid = {4, 1, 1}, .block = {256, 1, 1}};
    assert_int_equal(sim_launch(s->machine, k, &o, &params, &s->report), SIM_OK);
    assert_true(sim_memory_read(s->machine, s->host_out, s->out, 4 * SIMTEST_N));
    for (int i = 0; i < SIMTEST_N; i++) {
        assert_int_equal(s->host_out[i], s->host_a[i] * 9 + (uint32_t)(0x123456789abcdefull >> 12));
    }
    simtest_close(s);
    free(text);
}

/* ---- matrix.cu ------------------------------------------------------------------------------- */

/* Small integers in the arrays a and b as a type's elements. */
typedef enum element { E_HALF, E_BRAIN, E_BYTE, E_UBYTE, E_FLOAT, E_DOUBLE } element;

static void set_element(uint32_t *words, int i, element e, int v) {
    uint8_t *p = (uint8_t *)words;
    float f = (float)v;
    double d = v;
    uint16_t h = e == E_HALF ? half_of(v) : brain_of(v);
    int8_t c = (int8_t)v;
    switch (e) {
    case E_HALF:
    case E_BRAIN:
        memcpy(p + 2 * i, &h, 2);
        break;
    case E_BYTE:
    case E_UBYTE:
        memcpy(p + i, &c, 1);
        break;
    case E_FLOAT:
        memcpy(p + 4 * i, &f, 4);
        break;
    case E_DOUBLE:
    default:
        memcpy(p + 8 * i, &d, 8);
        break;
    }
}

typedef struct product_case {
    const char *name;
    element in, b_in;
    int m, n, k;
    bool a_columns, b_columns, out_columns; /* stored column by column */
    double begin;
    element out; /* E_FLOAT, E_DOUBLE; E_BYTE: s32 */
} product_case;

static int at(bool columns, int r, int c, int rows, int cols) {
    return columns ? c * rows + r : r * cols + c;
}

static void run_product(const char *text, const product_case *c) {
    simtest *s = simtest_open(text, 80, 11);
    uint64_t seed = 77;
    static int a[32 * 64], b[64 * 32];
    for (int i = 0; i < c->m * c->k; i++) {
        a[i] = (int)(simtest_draw(&seed) % 9) - 4;
        set_element(s->host_a, at(c->a_columns, i / c->k, i % c->k, c->m, c->k), c->in, a[i]);
    }
    for (int i = 0; i < c->k * c->n; i++) {
        b[i] = c->b_in == E_UBYTE ? (int)(simtest_draw(&seed) % 200)
                                  : (int)(simtest_draw(&seed) % 7) - 3;
        set_element(s->host_b, at(c->b_columns, i / c->n, i % c->n, c->k, c->n), c->b_in, b[i]);
    }
    if (simtest_run(s, c->name, 1, 32, c->k) != SIM_OK) {
        simtest_print(&s->report);
        fail_msg("%s: %s", c->name, s->report.message);
    }
    for (int i = 0; i < c->m * c->n; i++) {
        double want = c->begin, got;
        for (int k = 0; k < c->k; k++) {
            want += a[i / c->n * c->k + k] * b[k * c->n + i % c->n];
        }
        int o = at(c->out_columns, i / c->n, i % c->n, c->m, c->n);
        if (c->out == E_DOUBLE) {
            memcpy(&got, &s->host_out[2 * o], 8);
        } else {
            got = c->out == E_FLOAT ? (double)as_float(s->host_out[o])
                                    : (double)(int32_t)s->host_out[o];
        }
        if (got != want) {
            fail_msg("%s: element %d is %g, not %g", c->name, i, got, want);
        }
    }
    assert_true(s->report.counters.matrix_flops >= 2ull * (unsigned)(c->m * c->n * c->k));
    simtest_close(s);
}
static void products(void **state) {
    static const product_case list[] = {
        {"wmma_half", E_HALF, E_HALF, 16, 16, 64, false, true, false, 1, E_FLOAT},
        {"wmma_brain", E_BRAIN, E_BRAIN, 32, 8, 16, true, false, true, 0, E_FLOAT},
        {"wmma_bytes", E_BYTE, E_BYTE, 16, 16, 16, false, false, false, 3, E_BYTE},
        {"mma_half", E_HALF, E_HALF, 16, 16, 16, false, true, false, 0, E_FLOAT},
        {"mma_trans", E_HALF, E_HALF, 16, 16, 16, false, false, false, 0, E_FLOAT},
        {"mma_tf32", E_FLOAT, E_FLOAT, 16, 8, 8, false, false, false, 1, E_FLOAT},
        {"mma_bytes", E_BYTE, E_UBYTE, 16, 8, 32, false, true, false, 0, E_BYTE},
        {"mma_double", E_DOUBLE, E_DOUBLE, 8, 8, 4, false, false, false, 0.5, E_DOUBLE}};
    char *text = simtest_file("cuda/matrix.ptx");
    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        run_product(text, &list[i]);
    }
    free(text);
}

static void copies(void **state) {
    char *text = simtest_file("cuda/matrix.ptx");
    simtest *s = simtest_open(text, 80, 12);
    (void)state;
    if (simtest_run(s, "pipelined", 1, 128, SIMTEST_N) != SIM_OK) {
        simtest_print(&s->report);
        fail_msg("pipelined");
    }
    for (int t = 0; t < 128; t++) {
        uint32_t v = 0;
        for (int p = 0; p < SIMTEST_N / 128; p++) {
            v = v * 3 + s->host_a[p * 128 + 127 - t];
        }
        assert_int_equal(s->host_out[t], v);
    }
    assert_int_equal(simtest_run(s, "zfilled", 1, 128, SIMTEST_N), SIM_OK);
    for (int t = 0; t < 128; t++) {
        int u = (t + 1) % 128;
        assert_int_equal(s->host_out[t], u % 3 ? s->host_a[u] : 0);
    }
    simtest_close(s);
    free(text);
}

/* ---- hopper.cu: sm_90 -------------------------------------------------------------------------
 */

/* Codes of e4m3 and e5m2 of multiples of 1/4 in -32 .. 31.75, ties to even, told by search. */
static int nearest_code(double v, int mantissa, int bias) {
    int best = 0;
    double off = INFINITY;
    for (int c = 0; c < (mantissa == 3 ? 0x7f : 0x7c); c++) {
        int e = c >> mantissa, m = c & ((1 << mantissa) - 1);
        double x = e == 0 ? ldexp(m, 1 - bias - mantissa)
                          : ldexp((1 << mantissa) + m, e - bias - mantissa);
        double d = fabs(x - fabs(v));
        if (d < off || (d == off && c % 2 == 0)) {
            best = c;
            off = d;
        }
    }
    return best | (signbit(v) ? 0x80 : 0);
}
static uint32_t eighths(const simtest *s, int i) {
    double x = ((int)(s->host_a[i] & 255) - 128) / 4.0, y = ((int)(s->host_b[i] & 255) - 128) / 4.0;
    return (uint32_t)(nearest_code(x, 3, 7) << 8 | nearest_code(y, 3, 7)) |
           (uint32_t)(nearest_code(x, 2, 15) << 8 | nearest_code(y, 2, 15)) << 16;
}
static uint32_t widened(const simtest *s, int i) {
    uint32_t out = 0;
    for (int h = 0; h < 2; h++) {
        int c = (int)(s->host_a[i] >> (8 * h) & 255);
        int e = c >> 3 & 15, m = c & 7;
        double v = e == 0 ? ldexp(m, -9) : ldexp(8 + m, e - 10);
        uint16_t code = (c & 127) == 127 ? 0x7fff : half_of(v);
        out |= (uint32_t)(code == 0x7fff ? code : (code | (c & 128) << 8)) << (16 * h);
    }
    return out;
}
static uint32_t elected(const simtest *s, int i) { return i % 32 == 0 ? s->host_a[i] : 7; }
static uint32_t stored(const simtest *s, int i) {
    /* four 8 x 8 matrices of halves, each turned over */
    int m = i % 128 / 32, word = i % 32, r = word / 4, c = word % 4 * 2;
    const uint32_t *from = &s->host_a[i - i % 128 + m * 32];
    uint32_t low = from[c * 4 + r / 2] >> (16 * (r % 2)) & 0xffff;
    uint32_t high = from[(c + 1) * 4 + r / 2] >> (16 * (r % 2)) & 0xffff;
    return i % 256 < 128 ? low | high << 16 : 0;
}
static uint32_t clustered(const simtest *s, int i) {
    int block = i / 256, other = block ^ 1;
    return s->host_a[other * 256 + (255 - T)] + (uint32_t)(block % 2) * 1000 + 2;
}
static uint32_t turned(const simtest *s, int i) {
    const uint32_t *from = &s->host_a[i - i % 32];
    int r = i % 32 / 4, c = i % 4 * 2;
    uint32_t low = from[c * 4 + r / 2] >> (16 * (r % 2)) & 0xffff;
    return low | from[(c + 1) * 4 + r / 2] >> (16 * (r % 2)) << 16;
}
/* Byte e of register k of a lane: 1, or 2 for odd bytes where a bit says so. */
static int one_or_two(const simtest *s, int warp, int lane, int k, int e) {
    return e % 2 && s->host_b[warp * 32 + (lane + k) % 32] & 1 ? 2 : 1;
}
static uint32_t eight_mma(const simtest *s, int i) {
    static const int weight[] = {1, 3, 5, 7};
    int warp = i / 32, lane = i % 32, out = 0;
    for (int q = 0; q < 4; q++) {
        int g = lane / 4, col = lane % 4 * 2 + q % 2;
        int sum = q == 0 ? (int)(s->host_a[i] & 7) : q;
        for (int k = 0; k < 32; k++) {
            int t = k / 4 % 4, half = k / 16;
            sum += one_or_two(s, warp, 4 * g + t, 2 * half + q / 2, k % 4) *
                   one_or_two(s, warp, 4 * col + t, half, k % 4);
        }
        out += weight[q] * sum;
    }
    return (uint32_t)out;
}
static uint32_t narrowed(const simtest *s, int i) {
    double x = ((int)(s->host_a[i] & 255) - 128) / 4.0, y = ((int)(s->host_b[i] & 255) - 128) / 4.0;
    return (uint32_t)(nearest_code(x > 0 ? x : 0, 3, 7) << 8 | nearest_code(y > 0 ? y : 0, 3, 7));
}
static const cuda_case hopper_cases[] = {
    {"eighths", eighths, 0, NULL},     {"turned", turned, 0, NULL},
    {"eight_mma", eight_mma, 0, NULL}, {"narrowed", narrowed, 0, NULL},
    {"widened", widened, 0, NULL},     {"elected", elected, 0, NULL},
    {"stored", stored, 0, NULL},       {"clustered", clustered, 0, NULL}};

static void hopper(void **state) {
    (void)state;
    run_cases("cuda/hopper.ptx", 90, hopper_cases, sizeof hopper_cases / sizeof *hopper_cases);
}

/* Bank conflicts and sectors as the manual's arithmetic has them. */
static void counters(void **state) {
    char *text = simtest_file("cuda/block.ptx");
    simtest *s = simtest_open(text, 80, 13);
    (void)state;
    assert_int_equal(simtest_run(s, "transpose", 1, 256, SIMTEST_N), SIM_OK);
    const sim_counters *c = &s->report.counters;
    assert_int_equal(c->global_requests, 16); /* 8 warps read and write a line each */
    assert_int_equal(c->global_sectors, 64);
    assert_int_equal(c->shared_requests, 16);
    /* Rows of 17 words. A warp writes words 0 .. 15 and 17 .. 32: bank 0 twice. It reads columns c
     * and c + 1 of 16 rows, words 17 r + c: (0, c) and (15, c + 1) lie in bank c. Two waves each.
     */
    assert_int_equal(c->shared_waves, 32);
    assert_int_equal(c->issued[SIM_CLASS_BARRIER], 8);
    assert_int_equal(c->lanes % 32, 0);
    simtest_close(s);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(scalar),   cmocka_unit_test(block),
                                       cmocka_unit_test(hopper),   cmocka_unit_test(sums),
                                       cmocka_unit_test(by_value), cmocka_unit_test(products),
                                       cmocka_unit_test(copies),   cmocka_unit_test(counters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
