/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes of memory: atomics by type and scope, what lanes see of each other in which order
 * (litmus tests; only outcomes that the memory model forbids are wrong), neighbours of narrow
 * stores, shared memory of one's own.
 *
 * The back ends emit relaxed atomics and barriers of a program. So between programs only the
 * coherence of one word, the wholeness of its updates and values out of thin air can be judged;
 * within a program a barrier orders everything.
 */
#include <string.h>

#include "compiler/probe.h"

enum { LANES = TGC_PROBE_LANES, N = TGC_PROBE_N };

/* ---- atomics --------------------------------------------------------------------------------- */

/* a: the first word of a program is the cell; b: what the lanes bring. */
#define SETTLE "barrier {fence = global}\n"
#define CELL "%pf = gep %sa, %first {bytes = 4} : ptr\n"
#define ZERO_CELL                                                                                  \
    CELL SETTLE "%l0 = const {i = 0} : i32\n%none = const {i = 0} : u64\n"                         \
                "%one_lane = cmp %lane, %l0 {pred = eq} : bool\nif %one_lane {\nstorem %pf, "      \
                "%none\nyield\n} {}\n"                                                             \
                "barrier {fence = global}\n"

static int first_of(int i) { return i / LANES * LANES; }

static uint32_t ex_i32_minmax(const uint32_t *a, const uint32_t *b, int i) {
    int32_t least = (int32_t)a[first_of(i)], most = (int32_t)a[first_of(i) + 1];
    for (int k = first_of(i); k < first_of(i) + LANES; k++) {
        int32_t v = (int32_t)b[k];
        least = v < least ? v : least;
        most = v > most ? v : most;
    }
    return (uint32_t)least ^ (uint32_t)most * 3u;
}
static uint32_t ex_u32_minmax(const uint32_t *a, const uint32_t *b, int i) {
    uint32_t least = a[first_of(i)], most = a[first_of(i) + 1];
    for (int k = first_of(i); k < first_of(i) + LANES; k++) {
        least = b[k] < least ? b[k] : least;
        most = b[k] > most ? b[k] : most;
    }
    return least ^ most * 3u;
}
static uint64_t wide(uint32_t v) { return (uint64_t)v << 29 ^ v; }
static uint32_t folded(uint64_t v) { return (uint32_t)(v >> 32) ^ (uint32_t)v; }
static uint32_t ex_u64_add(const uint32_t *a, const uint32_t *b, int i) {
    uint64_t sum = 0;
    (void)a;
    for (int k = first_of(i); k < first_of(i) + LANES; k++) {
        sum += wide(b[k]);
    }
    return folded(sum);
}
static uint32_t ex_u64_minmax(const uint32_t *a, const uint32_t *b, int i) {
    uint64_t most = 0;
    int64_t least = 0;
    (void)a;
    for (int k = first_of(i); k < first_of(i) + LANES; k++) {
        uint64_t v = wide(b[k]) << 20;
        most = v > most ? v : most;
        least = (int64_t)v < least ? (int64_t)v : least;
    }
    return folded(most) ^ folded((uint64_t)least) * 3u;
}
static uint32_t ex_f32_add(const uint32_t *a, const uint32_t *b, int i) {
    float sum = 0;
    (void)a;
    for (int k = first_of(i); k < first_of(i) + LANES; k++) {
        sum += (float)b[k];
    }
    return tgc_probe_bits(sum);
}
static uint32_t ex_f32_minmax(const uint32_t *a, const uint32_t *b, int i) {
    float least = tgc_probe_f(a[first_of(i)]), most = tgc_probe_f(a[first_of(i) + 1]);
    for (int k = first_of(i); k < first_of(i) + LANES; k++) {
        float v = tgc_probe_f(b[k]);
        least = v < least ? v : least;
        most = v > most ? v : most;
    }
    return tgc_probe_bits(least) ^ tgc_probe_bits(most) * 3u;
}
static uint32_t ex_minus_zero(const uint32_t *a, const uint32_t *b, int i) {
    (void)a;
    (void)b;
    (void)i;
    return 0x80000000u;
}
static uint32_t ex_f64_add(const uint32_t *a, const uint32_t *b, int i) {
    double sum = 0;
    uint64_t bits;
    (void)a;
    for (int k = first_of(i); k < first_of(i) + LANES; k++) {
        sum += (double)b[k] * 0x1p40;
    }
    memcpy(&bits, &sum, sizeof bits);
    return folded(bits);
}
static uint32_t ex_u8_add(const uint32_t *a, const uint32_t *b, int i) {
    unsigned char bytes[4];
    uint32_t word = a[first_of(i)];
    memcpy(bytes, &word, 4);
    for (int k = 0; k < LANES; k++) {
        bytes[k & 3] = (unsigned char)(bytes[k & 3] + b[first_of(i) + k]);
    }
    memcpy(&word, bytes, 4);
    return word;
}
static uint32_t ex_i16_max(const uint32_t *a, const uint32_t *b, int i) {
    int16_t halves[2];
    uint32_t word = a[first_of(i)];
    memcpy(halves, &word, 4);
    for (int k = 0; k < LANES; k++) {
        int16_t v = (int16_t)b[first_of(i) + k];
        halves[k & 1] = v > halves[k & 1] ? v : halves[k & 1];
    }
    memcpy(&word, halves, 4);
    return word;
}

/* y = final * 256 + what the lane's exchange saw; lane l wrote l + 1 where it saw 0. */
static int one_winner(const uint32_t *a, const uint32_t *b, const uint32_t *y) {
    (void)a;
    (void)b;
    for (int i = 0; i < N; i++) {
        uint32_t last = y[i] >> 8, saw = y[i] & 255, lane = (uint32_t)(i % LANES);
        bool same = last == y[first_of(i)] >> 8 && last >= 1 && last <= LANES;
        if (!same || saw != (lane + 1 == last ? 0 : last)) {
            return i;
        }
    }
    return -1;
}

/* Every number below N once. */
static int all_different(const uint32_t *a, const uint32_t *b, const uint32_t *y) {
    bool seen[N] = {false};
    (void)a;
    (void)b;
    for (int i = 0; i < N; i++) {
        if (y[i] >= N || seen[y[i]]) {
            return i;
        }
        seen[y[i]] = true;
    }
    return -1;
}

/* ---- litmus ---------------------------------------------------------------------------------- */

static int mate_of(int i) { return i ^ 1; }
static uint32_t ex_sb(const uint32_t *a, const uint32_t *b, int i) {
    return a[mate_of(i)] + b[mate_of(i)] * 3u;
}
static uint32_t ex_lb(const uint32_t *a, const uint32_t *b, int i) {
    (void)b;
    return a[mate_of(i)];
}
static uint32_t ex_chain(const uint32_t *a, const uint32_t *b, int i) {
    (void)b;
    return a[first_of(i) + (i + LANES - 9) % LANES] + 9;
}
static uint32_t ex_iriw(const uint32_t *a, const uint32_t *b, int i) {
    (void)a;
    return b[first_of(i)] + b[first_of(i) + 32] * 5u;
}
static uint32_t ex_true(const uint32_t *a, const uint32_t *b, int i) {
    (void)a;
    (void)b;
    (void)i;
    return 1;
}

/* Programs meet at words x and y of their lane. What a read may give: what was there (0), or p + 1
 * of a program that writes the word. */
static bool written_by(uint32_t v, int modulus, int remainder) {
    return v == 0 || (v <= TGC_PROBE_PROGRAMS && (int)(v - 1) % modulus == remainder);
}

/* Program p of two kinds writes one word and reads the other. */
static int crossed(const uint32_t *a, const uint32_t *b, const uint32_t *y) {
    (void)a;
    (void)b;
    for (int i = 0; i < N; i++) {
        if (!written_by(y[i], 2, 1 - i / LANES % 2)) {
            return i;
        }
    }
    return -1;
}

/* Even programs write both words, odd ones read both. */
static int passed_on(const uint32_t *a, const uint32_t *b, const uint32_t *y) {
    (void)a;
    (void)b;
    for (int i = 0; i < N; i++) {
        if (i / LANES % 2 == 1 && !(written_by(y[i] & 255, 2, 0) && written_by(y[i] >> 8, 2, 0))) {
            return i;
        }
    }
    return -1;
}

/* Programs 0 mod 4 write x, 1 mod 4 write y, the others read x and y in either order. */
static int independent(const uint32_t *a, const uint32_t *b, const uint32_t *y) {
    (void)a;
    (void)b;
    for (int i = 0; i < N; i++) {
        if (i / LANES % 4 >= 2 && !(written_by(y[i] & 255, 4, 0) && written_by(y[i] >> 8, 4, 1))) {
            return i;
        }
    }
    return -1;
}

/* x: word lane of a, y: word 64 + lane of a. `max` with p + 1 writes, `add` of 0 reads. */
#define PLACES                                                                                     \
    "%k64 = const {i = 64} : i64\n%other = add %lane64, %k64 : i64\n"                              \
    "%pxx = gep %sa, %lane64 {bytes = 4} : ptr\n%pyy = gep %sa, %other {bytes = 4} : ptr\n"        \
    "%z = const {i = 0} : u32\n%o1 = const {i = 1} : i64\n%p1 = add %p, %o1 : i64\n"               \
    "%me = cast %p1 : u32\n%parity = and %p, %o1 : i64\n%z64 = const {i = 0} : i64\n"              \
    "%even = cmp %parity, %z64 {pred = eq} : bool\n"

/* ---- neighbours, shared memory --------------------------------------------------------------- */

static uint32_t ex_bytes_between(const uint32_t *a, const uint32_t *b, int i) {
    uint32_t word = 0;
    (void)a;
    (void)b;
    for (uint32_t k = 0; k < 4; k++) {
        word |= ((((uint32_t)i * 4 + k) * 37 + 11) & 255) << 8 * k;
    }
    return word;
}
static uint32_t ex_halves_between(const uint32_t *a, const uint32_t *b, int i) {
    uint32_t low = (uint32_t)i * 2 * 3001 + 7, high = ((uint32_t)i * 2 + 1) * 3001 + 7;
    (void)a;
    (void)b;
    return (low & 0xffff) | high << 16;
}
static uint32_t ex_halves(const uint32_t *a, const uint32_t *b, int i) {
    int from = first_of(i) + (LANES - 1 - i % LANES);
    return (a[from] & 0xffff) + (b[from] >> 16) * 65536u;
}
static uint32_t ex_own(const uint32_t *a, const uint32_t *b, int i) {
    (void)b;
    return a[i];
}

/* clang-format off */
const tgc_probe tgc_probes_memory[] = {
    {"atomic.i32.minmax", "atomic minimum and maximum with a sign in device memory", 0, 0, "0", "",
     CELL "%o1 = const {i = 1} : i64\n%p2 = gep %pf, %o1 {bytes = 4} : ptr\n%v = bitcast %b : i32\n"
     "%u0 = atomicm %pf, %v {do = min} : i32\n%u1 = atomicm %p2, %v {do = max} : i32\n" SETTLE
     "%m0 = loadm %pf : u32\n%m1 = loadm %p2 : u32\n%k = const {i = 3} : u32\n%t = mul %m1, %k : u32\n%r = xor %m0, %t : u32\n",
     .inputs = tgc_in_bits, .expect = ex_i32_minmax, .quirks = TG_QUIRK_NO_ATOMICS},
    {"atomic.u32.minmax", "atomic minimum and maximum without a sign in device memory", 0, 0, "0", "",
     CELL "%o1 = const {i = 1} : i64\n%p2 = gep %pf, %o1 {bytes = 4} : ptr\n"
     "%u0 = atomicm %pf, %b {do = min} : u32\n%u1 = atomicm %p2, %b {do = max} : u32\n" SETTLE
     "%m0 = loadm %pf : u32\n%m1 = loadm %p2 : u32\n%k = const {i = 3} : u32\n%t = mul %m1, %k : u32\n%r = xor %m0, %t : u32\n",
     .inputs = tgc_in_bits, .expect = ex_u32_minmax, .quirks = TG_QUIRK_NO_ATOMICS},
    {"atomic.u32.cas", "of all lanes that compare and exchange one word, one wins", 0, 0, "0", "",
     ZERO_CELL "%z = const {i = 0} : u32\n%lu = bitcast %lane : u32\n%o1 = const {i = 1} : u32\n%mine = add %lu, %o1 : u32\n"
     "%saw = atomicm %pf, %mine, %z {do = cas} : u32\n" SETTLE "%last = loadm %pf : u32\n%k = const {i = 256} : u32\n%t = mul %last, %k : u32\n%r = add %t, %saw : u32\n",
     .inputs = tgc_in_count, .quirks = TG_QUIRK_NO_ATOMICS, .judge = one_winner},
    {"atomic.tickets", "every lane of every program draws another number", 0, 0, "0", "",
     "%o1 = const {i = 1} : u32\n%r = atomicm %sa, %o1 {do = add} : u32\n", .inputs = tgc_in_zero, .quirks = TG_QUIRK_NO_ATOMICS, .judge = all_different},
    {"atomic.u64.add", "atomic sums of 64 bits in device memory", 0, TGR_SIMT_ATOMIC64, "0", "",
     ZERO_CELL "%v0 = cast %b : u64\n%k = const {i = 29} : u64\n%v1 = shl %v0, %k : u64\n%v = xor %v1, %v0 : u64\n"
     "%u0 = atomicm %pf, %v {do = add} : u64\n" SETTLE "%w = loadm %pf : u64\n" TGC_RESULT_W, .inputs = tgc_in_bits, .expect = ex_u64_add, .quirks = TG_QUIRK_NO_ATOMIC64, .first = true},
    {"atomic.u64.minmax", "atomic minimum and maximum of 64 bits, with and without a sign", 0, TGR_SIMT_ATOMIC64, "0", "",
     ZERO_CELL "%o2 = const {i = 2} : i64\n%p2 = gep %pf, %o2 {bytes = 4} : ptr\nif %one_lane {\nstorem %p2, %none\nyield\n} {}\n" SETTLE
     "%v0 = cast %b : u64\n%k = const {i = 29} : u64\n%v1 = shl %v0, %k : u64\n%v2 = xor %v1, %v0 : u64\n%k20 = const {i = 20} : u64\n%v = shl %v2, %k20 : u64\n%vs = bitcast %v : i64\n"
     "%u0 = atomicm %pf, %v {do = max} : u64\n%u1 = atomicm %p2, %vs {do = min} : i64\n" SETTLE
     "%w0 = loadm %pf : u64\n%w1 = loadm %p2 : u64\n%n32 = const {i = 32} : u64\n%h0 = shr %w0, %n32 : u64\n%f0 = xor %h0, %w0 : u64\n%g0 = cast %f0 : u32\n"
     "%h1 = shr %w1, %n32 : u64\n%f1 = xor %h1, %w1 : u64\n%g1 = cast %f1 : u32\n%k3 = const {i = 3} : u32\n%g3 = mul %g1, %k3 : u32\n%r = xor %g0, %g3 : u32\n",
     .inputs = tgc_in_bits, .expect = ex_u64_minmax, .quirks = TG_QUIRK_NO_ATOMIC64},
    {"atomic.u64.cas", "of all lanes that compare and exchange one word of 64 bits, one wins", 0, TGR_SIMT_ATOMIC64, "0", "",
     ZERO_CELL "%lw = cast %lane : u64\n%o1 = const {i = 1} : u64\n%mine0 = add %lw, %o1 : u64\n%k40 = const {i = 40} : u64\n%mine = shl %mine0, %k40 : u64\n"
     "%saw = atomicm %pf, %mine, %none {do = cas} : u64\n" SETTLE "%last = loadm %pf : u64\n%k = const {i = 8} : u64\n%ls = shr %last, %k40 : u64\n%t = shl %ls, %k : u64\n%ss = shr %saw, %k40 : u64\n%s = add %t, %ss : u64\n%r = cast %s : u32\n",
     .inputs = tgc_in_count, .quirks = TG_QUIRK_NO_ATOMIC64, .judge = one_winner},
    {"atomic.f32.add", "atomic sums of f32 in device memory", 0, 0, "0", "",
     ZERO_CELL "%v = cast %b : f32\n%u0 = atomicm %pf, %v {do = add} : f32\n" SETTLE "%r = loadm %pf : u32\n", .inputs = tgc_in_count, .expect = ex_f32_add, .quirks = TG_QUIRK_NO_ATOMICS},
    {"atomic.f32.minmax", "atomic minimum and maximum of f32 in device memory", 0, 0, "0", "",
     CELL "%o1 = const {i = 1} : i64\n%p2 = gep %pf, %o1 {bytes = 4} : ptr\n%v = bitcast %b : f32\n"
     "%u0 = atomicm %pf, %v {do = min} : f32\n%u1 = atomicm %p2, %v {do = max} : f32\n" SETTLE
     "%m0 = loadm %pf : u32\n%m1 = loadm %p2 : u32\n%k = const {i = 3} : u32\n%t = mul %m1, %k : u32\n%r = xor %m0, %t : u32\n",
     .inputs = tgc_in_floats, .expect = ex_f32_minmax, .quirks = TG_QUIRK_NO_ATOMICS},
    {"atomic.f32.cas", "compare and exchange of f32 compares bits: 0 is not -0", 0, 0, "0", "",
     CELL "%l0 = const {i = 0} : i32\n%one_lane = cmp %lane, %l0 {pred = eq} : bool\n%minus = const {i = 2147483648} : u32\nif %one_lane {\nstorem %pf, %minus\nyield\n} {}\n" SETTLE
     "%zf = fconst {f = 0} : f32\n%of = fconst {f = 1} : f32\n%u0 = atomicm %pf, %of, %zf {do = cas} : f32\n" SETTLE "%r = loadm %pf : u32\n", .inputs = tgc_in_count, .expect = ex_minus_zero, .quirks = TG_QUIRK_NO_ATOMICS},
    {"atomic.f64.add", "atomic sums of f64 in device memory", 0, TGR_SIMT_ATOMIC64 | TGR_SIMT_F64, "0", "",
     ZERO_CELL "%v0 = cast %b : f64\n%big = fconst {f = 1099511627776} : f64\n%v = mul %v0, %big : f64\n%u0 = atomicm %pf, %v {do = add} : f64\n" SETTLE "%w = loadm %pf : u64\n" TGC_RESULT_W,
     .inputs = tgc_in_count, .expect = ex_f64_add, .quirks = TG_QUIRK_NO_ATOMIC64},
    {"atomic.u8.add", "atomic sums of bytes beside each other", 0, TGR_SIMT_INT8, "0", "",
     CELL "%k3 = const {i = 3} : i64\n%which = and %lane64, %k3 : i64\n%pb8 = gep %pf, %which {bytes = 1} : ptr\n%v = cast %b : u8\n%u0 = atomicm %pb8, %v {do = add} : u8\n" SETTLE "%r = loadm %pf : u32\n",
     .inputs = tgc_in_bits, .expect = ex_u8_add, .quirks = TG_QUIRK_NO_ATOMICS},
    {"atomic.i16.max", "atomic maxima of halves beside each other", 0, TGR_SIMT_INT16, "0", "",
     CELL "%k1 = const {i = 1} : i64\n%which = and %lane64, %k1 : i64\n%pb2 = gep %pf, %which {bytes = 2} : ptr\n%bi = bitcast %b : i32\n%v = cast %bi : i16\n%u0 = atomicm %pb2, %v {do = max} : i16\n" SETTLE "%r = loadm %pf : u32\n",
     .inputs = tgc_in_bits, .expect = ex_i16_max, .quirks = TG_QUIRK_NO_ATOMICS},
    {"atomic.shared.i32", "atomic minimum and maximum with a sign in shared memory", 0, 0, "8", "%cells = array {offset = 0, name = \"cells\"} : buf<shared, i32[2], 1>\n",
     "%i0 = const {i = 0} : i32\n%i1 = const {i = 1} : i32\n%few = cmp %lane, %i1 {pred = le} : bool\nif %few {\n%ai = bitcast %a : i32\nastore %cells, %lane, %ai\nyield\n} {}\nbarrier {fence = shared}\n"
     "%v = bitcast %b : i32\n%u0 = aatomic %cells, %i0, %v {do = min} : i32\n%u1 = aatomic %cells, %i1, %v {do = max} : i32\nbarrier {fence = shared}\n"
     "%m0 = aload %cells, %i0 : i32\n%m1 = aload %cells, %i1 : i32\n%m0u = bitcast %m0 : u32\n%m1u = bitcast %m1 : u32\n%k = const {i = 3} : u32\n%t = mul %m1u, %k : u32\n%r = xor %m0u, %t : u32\n",
     .inputs = tgc_in_bits, .expect = ex_i32_minmax, .quirks = TG_QUIRK_NO_ATOMICS},
    {"atomic.shared.cas", "of all lanes that compare and exchange one shared word, one wins", 0, 0, "4", "%cell = array {offset = 0, name = \"cell\"} : buf<shared, u32[1], 1>\n",
     "%i0 = const {i = 0} : i32\n%z = const {i = 0} : u32\n%few = cmp %lane, %i0 {pred = eq} : bool\nif %few {\nastore %cell, %i0, %z\nyield\n} {}\nbarrier {fence = shared}\n"
     "%lu = bitcast %lane : u32\n%o1 = const {i = 1} : u32\n%mine = add %lu, %o1 : u32\n%saw = aatomic %cell, %i0, %mine, %z {do = cas} : u32\nbarrier {fence = shared}\n"
     "%last = aload %cell, %i0 : u32\n%k = const {i = 256} : u32\n%t = mul %last, %k : u32\n%r = add %t, %saw : u32\n", .inputs = tgc_in_count, .quirks = TG_QUIRK_NO_ATOMICS, .judge = one_winner},

    {"litmus.sb", "store buffering: stores to shared and device memory before a barrier are both seen behind it", 0, 0, "256", "%x = array {offset = 0, name = \"x\"} : buf<shared, u32[64], 1>\n",
     "%k1 = const {i = 1} : i32\n%mate = xor %lane, %k1 : i32\n%mate64 = cast %mate : i64\n%ms = add %first, %mate64 : i64\n%pm = gep %sy, %ms {bytes = 4} : ptr\n"
     "astore %x, %lane, %a\nstorem %py, %b\nbarrier {fence = all}\n%u = aload %x, %mate : u32\n%v = loadm %pm : u32\nbarrier {fence = all}\n%k3 = const {i = 3} : u32\n%t = mul %v, %k3 : u32\n%r = add %u, %t : u32\n", .inputs = tgc_in_bits, .expect = ex_sb},
    {"litmus.lb", "load buffering: a load before a barrier does not see a store behind it", 0, 0, "0", "",
     "%k1 = const {i = 1} : i32\n%mate = xor %lane, %k1 : i32\n%mate64 = cast %mate : i64\n%ms = add %first, %mate64 : i64\n%pm = gep %sa, %ms {bytes = 4} : ptr\n"
     "%r = loadm %pm : u32\nbarrier {fence = global}\nstorem %px, %b\nbarrier {fence = global}\n", .inputs = tgc_in_bits, .expect = ex_lb},
    {"litmus.mp", "message passing: nine hops from lane to lane, a barrier between load and store", 0, 0, "256", "%x = array {offset = 0, name = \"x\"} : buf<shared, u32[64], 1>\n",
     "astore %x, %lane, %a\nbarrier {fence = shared}\n%z = const {i = 0} : i64\n%o = const {i = 1} : i64\n%nine = const {i = 9} : i64\n%k63 = const {i = 63} : i32\n%from0 = add %lane, %k63 : i32\n%from = and %from0, %k63 : i32\n%u1 = const {i = 1} : u32\n"
     "for %z, %nine, %o (%i: i64) {\n%v = aload %x, %from : u32\nbarrier {fence = shared}\n%w = add %v, %u1 : u32\nastore %x, %lane, %w\nbarrier {fence = shared}\nyield\n}\n%r = aload %x, %lane : u32\n", .inputs = tgc_in_bits, .expect = ex_chain},
    {"litmus.iriw", "independent writes before a barrier are seen by all lanes, in either order of reading", 0, 0, "0", "",
     "%i0 = const {i = 0} : i32\n%i31 = const {i = 31} : i32\n%low = and %lane, %i31 : i32\n%writes = cmp %low, %i0 {pred = eq} : bool\nif %writes {\nstorem %px, %b\nyield\n} {}\nbarrier {fence = global}\n"
     "%k32 = const {i = 32} : i64\n%p0 = gep %sa, %first {bytes = 4} : ptr\n%p32 = gep %p0, %k32 {bytes = 4} : ptr\n%i1 = const {i = 1} : i32\n%odd0 = and %lane, %i1 : i32\n%odd = cmp %odd0, %i1 {pred = eq} : bool\n"
     "%u, %v = if %odd : u32, u32 {\n%s = loadm %p0 : u32\n%t = loadm %p32 : u32\nyield %s, %t\n} {\n%t2 = loadm %p32 : u32\n%s2 = loadm %p0 : u32\nyield %s2, %t2\n}\n%k5 = const {i = 5} : u32\n%v5 = mul %v, %k5 : u32\n%r = add %u, %v5 : u32\n", .inputs = tgc_in_bits, .expect = ex_iriw},
    {"coherence.rr", "coherence: reads of one word that grows never see it shrink", 0, 0, "0", "",
     "%z = const {i = 0} : u32\n%o = const {i = 1} : u32\n%z64 = const {i = 0} : i64\n%o64 = const {i = 1} : i64\n%n = const {i = 30} : i64\n%yes = const {i = 1} : bool\n"
     "%last, %ok = for %z64, %n, %o64, %z, %yes : u32, bool (%i: i64, %seen: u32, %good: bool) {\n%parity = and %p, %o64 : i64\n%par = cast %parity : u32\n%now = atomicm %sa, %par {do = add} : u32\n"
     "%up = cmp %now, %seen {pred = ge} : bool\n%g = and %good, %up : bool\nyield %now, %g\n}\n%r = select %ok, %o, %z : u32\n", .inputs = tgc_in_zero, .expect = ex_true, .quirks = TG_QUIRK_NO_ATOMICS},
    {"litmus.device.sb", "between programs: store buffering gives no value that nobody wrote", 0, 0, "0", "",
     PLACES "%r = if %even : u32 {\n%u = atomicm %pxx, %me {do = max} : u32\n%v = atomicm %pyy, %z {do = add} : u32\nyield %v\n} {\n%uu = atomicm %pyy, %me {do = max} : u32\n%vv = atomicm %pxx, %z {do = add} : u32\nyield %vv\n}\n",
     .inputs = tgc_in_zero, .quirks = TG_QUIRK_NO_ATOMICS, .judge = crossed},
    {"litmus.device.lb", "between programs: load buffering gives no value out of thin air", 0, 0, "0", "",
     PLACES "%r = if %even : u32 {\n%v = atomicm %pyy, %z {do = add} : u32\n%u = atomicm %pxx, %me {do = max} : u32\nyield %v\n} {\n%vv = atomicm %pxx, %z {do = add} : u32\n%uu = atomicm %pyy, %me {do = max} : u32\nyield %vv\n}\n",
     .inputs = tgc_in_zero, .quirks = TG_QUIRK_NO_ATOMICS, .judge = crossed},
    {"litmus.device.mp", "between programs: a message and its flag hold only what was written", 0, 0, "0", "",
     PLACES "%r = if %even : u32 {\n%u = atomicm %pxx, %me {do = max} : u32\n%v = atomicm %pyy, %me {do = max} : u32\nyield %z\n} {\n%vv = atomicm %pyy, %z {do = add} : u32\n%uu = atomicm %pxx, %z {do = add} : u32\n%k = const {i = 256} : u32\n%tt = mul %vv, %k : u32\n%ss = add %tt, %uu : u32\nyield %ss\n}\n",
     .inputs = tgc_in_zero, .quirks = TG_QUIRK_NO_ATOMICS, .judge = passed_on},
    {"litmus.device.iriw", "between programs: independent reads see only what was written", 0, 0, "0", "",
     PLACES "%o3 = const {i = 3} : i64\n%kind = and %p, %o3 : i64\n%two = const {i = 2} : i64\n%writes = cmp %kind, %two {pred = lt} : bool\n%k = const {i = 256} : u32\n"
     "%r = if %writes : u32 {\n%where = select %even, %lane64, %other : i64\n%pw = gep %sa, %where {bytes = 4} : ptr\n%u0 = atomicm %pw, %me {do = max} : u32\nyield %z\n} {\n"
     "%s = if %even : u32 {\n%u1 = atomicm %pxx, %z {do = add} : u32\n%v1 = atomicm %pyy, %z {do = add} : u32\n%t1 = mul %v1, %k : u32\n%q1 = add %t1, %u1 : u32\nyield %q1\n} {\n"
     "%v = atomicm %pyy, %z {do = add} : u32\n%u = atomicm %pxx, %z {do = add} : u32\n%t = mul %v, %k : u32\n%q = add %t, %u : u32\nyield %q\n}\nyield %s\n}\n",
     .inputs = tgc_in_zero, .quirks = TG_QUIRK_NO_ATOMICS, .judge = independent},

    {"memory.bytes.device", "programs store bytes beside each other in device memory", 0, TGR_SIMT_INT8, "0", "",
     "%k16 = const {i = 16} : i64\n%row = mul %lane64, %k16 : i64\n%own = add %row, %p : i64\n%z = const {i = 0} : i64\n%o = const {i = 1} : i64\n%four = const {i = 4} : i64\n%k1024 = const {i = 1024} : i64\n%k37 = const {i = 37} : i64\n%k11 = const {i = 11} : i64\n"
     "for %z, %four, %o (%j: i64) {\n%f = mul %j, %k1024 : i64\n%q = add %own, %f : i64\n%v0 = mul %q, %k37 : i64\n%v1 = add %v0, %k11 : i64\n%v = cast %v1 : u8\n%pq = gep %sy, %q {bytes = 1} : ptr\nstorem %pq, %v\nyield\n}\n",
     .inputs = tgc_in_count, .expect = ex_bytes_between, .quirks = TG_QUIRK_NARROW, .first = true},
    {"memory.halves.device", "programs store halves beside each other in device memory", 0, TGR_SIMT_INT16, "0", "",
     "%k16 = const {i = 16} : i64\n%row = mul %lane64, %k16 : i64\n%own = add %row, %p : i64\n%z = const {i = 0} : i64\n%o = const {i = 1} : i64\n%two = const {i = 2} : i64\n%k1024 = const {i = 1024} : i64\n%k37 = const {i = 3001} : i64\n%k11 = const {i = 7} : i64\n"
     "for %z, %two, %o (%j: i64) {\n%f = mul %j, %k1024 : i64\n%q = add %own, %f : i64\n%v0 = mul %q, %k37 : i64\n%v1 = add %v0, %k11 : i64\n%v = cast %v1 : u16\n%pq = gep %sy, %q {bytes = 2} : ptr\nstorem %pq, %v\nyield\n}\n",
     .inputs = tgc_in_count, .expect = ex_halves_between, .quirks = TG_QUIRK_NARROW},
    {"memory.halves", "lanes store and load halves beside each other in shared memory", 0, TGR_SIMT_INT16, "256", "%h = array {offset = 0, name = \"h\"} : buf<shared, u16[128], 1>\n",
     "%k2 = const {i = 2} : i32\n%k1 = const {i = 1} : i32\n%k63 = const {i = 63} : i32\n%even = mul %lane, %k2 : i32\n%odd = add %even, %k1 : i32\n%al = cast %a : u16\n%n = const {i = 16} : u32\n%bh = shr %b, %n : u32\n%bl = cast %bh : u16\n"
     "astore %h, %even, %al\nastore %h, %odd, %bl\nbarrier {fence = shared}\n%back = sub %k63, %lane : i32\n%e2 = mul %back, %k2 : i32\n%o2 = add %e2, %k1 : i32\n%u = aload %h, %e2 : u16\n%v = aload %h, %o2 : u16\n"
     "%u32 = cast %u : u32\n%v32 = cast %v : u32\n%s = shl %v32, %n : u32\n%r = add %u32, %s : u32\n", .inputs = tgc_in_bits, .expect = ex_halves, .quirks = TG_QUIRK_NARROW},
    {"shared.apart", "programs that run side by side share no shared memory", 0, 0, "8192", "%own = array {offset = 0, name = \"own\"} : buf<shared, u32[2048], 1>\n",
     "%z = const {i = 0} : i64\n%o = const {i = 1} : i64\n%n = const {i = 32} : i64\n%times = const {i = 40} : i64\n%n32 = const {i = 32} : i32\n%base = mul %lane, %n32 : i32\n%pu = cast %p : u32\n%key = add %a, %pu : u32\n%z32 = const {i = 0} : u32\n%one = const {i = 1} : u32\n"
     "for %z, %n, %o (%i: i64) {\n%k = cast %i : i32\n%e = add %base, %k : i32\n%ku = bitcast %k : u32\n%v = xor %key, %ku : u32\nastore %own, %e, %v\nyield\n}\nbarrier {fence = shared}\n"
     "%bad = for %z, %times, %o, %z32 : u32 (%t: i64, %c: u32) {\n%d = for %z, %n, %o, %c : u32 (%j: i64, %cc: u32) {\n%k2 = cast %j : i32\n%e2 = add %base, %k2 : i32\n%ku2 = bitcast %k2 : u32\n%v2 = xor %key, %ku2 : u32\n%w = aload %own, %e2 : u32\n"
     "%same = cmp %v2, %w {pred = eq} : bool\n%add = select %same, %z32, %one : u32\n%s = add %cc, %add : u32\nyield %s\n}\nyield %d\n}\n%r = add %a, %bad : u32\n", .inputs = tgc_in_bits, .expect = ex_own},
};
/* clang-format on */
const int tgc_n_probes_memory = TG_COUNT_OF(tgc_probes_memory);
