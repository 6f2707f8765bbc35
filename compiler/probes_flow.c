/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes of control flow and of size: deep nesting, long loops, loops that end at the data's word,
 * barriers in loops, many arguments, large constants, large programs.
 */
#include "compiler/probe.h"

enum {
    LANES = TGC_PROBE_LANES,
    DEPTH = 20,
    LEVELS = 7,
    CONSTANTS = 256,
    EXTRA = 24,
    TRIPS = 70000
};

static int first_of(int i) { return i / LANES * LANES; }

/* ---- nesting --------------------------------------------------------------------------------- */

/* Level k of nested branches: inside where bit k of b is set. */
static void nest(tg_sb *sb, int k) {
    tg_sb_addf(sb,
               "%%n%d = const {i = %d} : u32\n%%s%d = shr %%b, %%n%d : u32\n"
               "%%t%d = and %%s%d, %%one : u32\n%%c%d = cmp %%t%d, %%one {pred = eq} : bool\n"
               "%%m%d = mul %%v%d, %%three : u32\n%%w%d = add %%m%d, %%n%d : u32\n"
               "%%q%d = if %%c%d : u32 {\n",
               k, k, k, k, k, k, k, k, k, k, k, k, k, k, k);
    if (k + 1 < DEPTH) {
        tg_sb_addf(sb, "%%v%d = add %%w%d, %%one : u32\n", k + 1, k);
        nest(sb, k + 1);
        tg_sb_addf(sb, "%%x%d = add %%q%d, %%n%d : u32\nyield %%x%d\n", k, k + 1, k, k);
    } else {
        tg_sb_addf(sb, "yield %%w%d\n", k);
    }
    tg_sb_addf(sb, "} {\nyield %%w%d\n}\n", k);
}

static const char *deep_branches(tg_arena *a) {
    tg_sb sb;
    tg_sb_init(&sb, a);
    tg_sb_add(
        &sb,
        "%one = const {i = 1} : u32\n%three = const {i = 3} : u32\n%v0 = add %a, %one : u32\n");
    nest(&sb, 0);
    tg_sb_add(&sb, "%r = add %q0, %one : u32\n");
    return sb.data;
}

static uint32_t nested(uint32_t b, uint32_t v, uint32_t k) {
    uint32_t w = v * 3 + k;
    if (!(b >> k & 1)) {
        return w;
    }
    return k + 1 < DEPTH ? nested(b, w + 1, k + 1) + k : w;
}
static uint32_t ex_deep(const uint32_t *a, const uint32_t *b, int i) {
    return nested(b[i], a[i] + 1, 0) + 1;
}
/* Most lanes go deep. */
static void in_deep(uint32_t *a, uint32_t *b) {
    tgc_in_bits(a, b);
    for (int i = 0; i < TGC_PROBE_N; i++) {
        b[i] |= (1u << i % (DEPTH + 1)) - 1;
    }
}

/* LEVELS loops inside each other, of two trips each, one of three. */
static const char *deep_loops(tg_arena *a) {
    tg_sb sb;
    tg_sb_init(&sb, a);
    tg_sb_add(&sb,
              "%z = const {i = 0} : i64\n%o = const {i = 1} : i64\n%two = const {i = 2} : i64\n"
              "%three = const {i = 3} : i64\n%k3 = const {i = 3} : u32\n");
    const char *carried = "%a";
    for (int k = 0; k < LEVELS; k++) {
        tg_sb_addf(&sb, "%%r%d = for %%z, %s, %%o, %s : u32 (%%i%d: i64, %%c%d: u32) {\n", k,
                   k == 3 ? "%three" : "%two", carried, k, k);
        carried = tg_arena_printf(a, "%%c%d", k);
    }
    tg_sb_add(&sb, "%s0 = mul ");
    tg_sb_addf(
        &sb,
        "%s, %%k3 : u32\n%%iu = cast %%i%d : u32\n%%s1 = add %%s0, %%iu : u32\nyield %%s1\n}\n",
        carried, LEVELS - 1);
    for (int k = LEVELS - 2; k >= 0; k--) {
        tg_sb_addf(&sb,
                   "%%j%d = cast %%i%d : u32\n%%d%d = add %%r%d, %%j%d : u32\nyield %%d%d\n}\n", k,
                   k, k, k + 1, k, k);
    }
    tg_sb_add(&sb, "%r = add %r0, %b : u32\n");
    return sb.data;
}
static uint32_t looped(uint32_t v, int level) {
    for (uint32_t i = 0; i < (level == 3 ? 3u : 2u); i++) {
        v = (level == LEVELS - 1 ? v * 3 : looped(v, level + 1)) + i;
    }
    return v;
}
static uint32_t ex_loops(const uint32_t *a, const uint32_t *b, int i) {
    return looped(a[i], 0) + b[i];
}

/* ---- loops ----------------------------------------------------------------------------------- */

static uint32_t ex_long(const uint32_t *a, const uint32_t *b, int i) {
    uint32_t v = a[i];
    for (uint32_t k = 0; k < TRIPS; k++) {
        v = v * 3 ^ k;
    }
    return v + b[i];
}
static uint32_t ex_steps(const uint32_t *a, const uint32_t *b, int i) {
    uint32_t v = a[i] % 1000 + 1, n = 0;
    (void)b;
    while (v != 1) {
        v = v % 2 ? v * 3 + 1 : v / 2;
        n++;
    }
    return n;
}
static uint32_t ex_rounds(const uint32_t *a, const uint32_t *b, int i) {
    uint32_t v[LANES], w[LANES], trips = b[first_of(i)];
    for (int k = 0; k < LANES; k++) {
        v[k] = a[first_of(i) + k];
    }
    for (uint32_t t = 0; t < trips; t++) {
        for (int k = 0; k < LANES; k++) {
            w[k] = v[(k + 1) % LANES] * 3 + (uint32_t)k;
        }
        for (int k = 0; k < LANES; k++) {
            v[k] = w[k];
        }
    }
    return v[i % LANES];
}
static uint32_t ex_carried(const uint32_t *a, const uint32_t *b, int i) {
    uint32_t v[12];
    for (uint32_t k = 0; k < 12; k++) {
        v[k] = a[i] + k;
    }
    for (uint32_t t = 0; t < b[i]; t++) {
        uint32_t last = v[11] + t;
        for (int k = 11; k > 0; k--) {
            v[k] = v[k - 1];
        }
        v[0] = last;
    }
    uint32_t r = 0;
    for (int k = 0; k < 12; k++) {
        r = r * 5 + v[k];
    }
    return r;
}

/* Twelve values that a loop hands round. */
static const char *many_carried(tg_arena *a) {
    tg_sb sb;
    tg_sb_init(&sb, a);
    tg_sb_add(&sb, "%z = const {i = 0} : i64\n%o = const {i = 1} : i64\n%trips = cast %b : "
                   "i64\n%five = const {i = 5} : u32\n%zero = const {i = 0} : u32\n");
    for (int k = 0; k < 12; k++) {
        tg_sb_addf(&sb, "%%k%d = const {i = %d} : u32\n%%v%d = add %%a, %%k%d : u32\n", k, k, k, k);
    }
    for (int k = 0; k < 12; k++) {
        tg_sb_addf(&sb, "%s%%w%d", k ? ", " : "", k);
    }
    tg_sb_add(&sb, " = for %z, %trips, %o");
    for (int k = 0; k < 12; k++) {
        tg_sb_addf(&sb, ", %%v%d", k);
    }
    tg_sb_add(&sb, " : u32, u32, u32, u32, u32, u32, u32, u32, u32, u32, u32, u32 (%i: i64");
    for (int k = 0; k < 12; k++) {
        tg_sb_addf(&sb, ", %%c%d: u32", k);
    }
    tg_sb_add(&sb, ") {\n%iu = cast %i : u32\n%last = add %c11, %iu : u32\nyield %last");
    for (int k = 0; k < 11; k++) {
        tg_sb_addf(&sb, ", %%c%d", k);
    }
    tg_sb_add(&sb, "\n}\n%t0 = add %zero, %w0 : u32\n");
    for (int k = 1; k < 12; k++) {
        tg_sb_addf(&sb, "%%m%d = mul %%t%d, %%five : u32\n%%%s%d = add %%m%d, %%w%d : u32\n", k,
                   k - 1, "t", k, k, k);
    }
    tg_sb_add(&sb, "%r = add %t11, %zero : u32\n");
    return sb.data;
}

/* ---- size ------------------------------------------------------------------------------------ */

static uint32_t constant(uint32_t k) { return tgc_probe_mix(k + 12345); }

/* One of 256 words, picked by a tree of choices on the bits of b. */
static const char *large_constant(tg_arena *a) {
    tg_sb sb;
    tg_sb_init(&sb, a);
    tg_sb_add(&sb, "%one = const {i = 1} : u32\n");
    for (int bit = 0; bit < 8; bit++) {
        tg_sb_addf(&sb,
                   "%%n%d = const {i = %d} : u32\n%%s%d = shr %%b, %%n%d : u32\n%%t%d = and %%s%d, "
                   "%%one : u32\n%%c%d = cmp %%t%d, %%one {pred = eq} : bool\n",
                   bit, bit, bit, bit, bit, bit, bit, bit);
    }
    for (uint32_t k = 0; k < CONSTANTS; k++) {
        tg_sb_addf(&sb, "%%v0_%u = const {i = %u} : u32\n", k, constant(k));
    }
    for (uint32_t bit = 0, n = CONSTANTS / 2; bit < 8; bit++, n /= 2) {
        for (uint32_t k = 0; k < n; k++) {
            tg_sb_addf(&sb, "%%v%u_%u = select %%c%u, %%v%u_%u, %%v%u_%u : u32\n", bit + 1, k, bit,
                       bit, 2 * k + 1, bit, 2 * k);
        }
    }
    tg_sb_add(&sb, "%r = add %v8_0, %a : u32\n");
    return sb.data;
}
static uint32_t ex_constant(const uint32_t *a, const uint32_t *b, int i) {
    return constant(b[i] & 255) + a[i];
}

/* Word at + k of tensor k. */
static const char *many_tensors(tg_arena *a) {
    tg_sb sb;
    tg_sb_init(&sb, a);
    tg_sb_add(&sb, "%k1023 = const {i = 1023} : i64\n%three = const {i = 3} : u32\n%t0 = mul %a, "
                   "%three : u32\n");
    for (int k = 0; k < EXTRA; k++) {
        tg_sb_addf(&sb,
                   "%%e%d = slot %%slots {i = %d} : ptr\n%%k%d = const {i = %d} : i64\n%%j%d = add "
                   "%%at, %%k%d : i64\n"
                   "%%i%d = and %%j%d, %%k1023 : i64\n%%p%d = gep %%e%d, %%i%d {bytes = 4} : "
                   "ptr\n%%v%d = loadm %%p%d : u32\n"
                   "%%m%d = mul %%t%d, %%three : u32\n%%t%d = add %%m%d, %%v%d : u32\n",
                   k, 9 + 3 * k, k, k, k, k, k, k, k, k, k, k, k, k, k, k + 1, k, k);
    }
    tg_sb_addf(&sb, "%%zero = const {i = 0} : u32\n%%r = add %%t%d, %%zero : u32\n", EXTRA);
    return sb.data;
}
static uint32_t ex_tensors(const uint32_t *a, const uint32_t *b, int i) {
    uint32_t v = a[i] * 3;
    for (int k = 0; k < EXTRA; k++) {
        v = v * 3 + b[(i + k) & 1023];
    }
    return v;
}
static uint32_t ex_turned(const uint32_t *a, const uint32_t *b, int i) {
    return a[i / 256 * 256 + (255 - i % 256)] + b[i];
}

/* clang-format off */
const tgc_probe tgc_probes_flow[] = {
    {"branch.deep", "twenty branches inside each other", 0, 0, "0", "", NULL, .inputs = in_deep, .expect = ex_deep, .make = deep_branches},
    {"loop.deep", "seven loops inside each other", 0, 0, "0", "", NULL, .inputs = tgc_in_bits, .expect = ex_loops, .make = deep_loops},
    {"loop.long", "a loop of 70,000 trips runs to its end", 0, 0, "0", "",
     "%z = const {i = 0} : i64\n%o = const {i = 1} : i64\n%n = const {i = 70000} : i64\n%three = const {i = 3} : u32\n"
     "%v = for %z, %n, %o, %a : u32 (%i: i64, %c: u32) {\n%m = mul %c, %three : u32\n%iu = cast %i : u32\n%x = xor %m, %iu : u32\nyield %x\n}\n%r = add %v, %b : u32\n",
     .inputs = tgc_in_bits, .expect = ex_long, .quirks = TG_QUIRK_SHORT_LOOPS, .first = true},
    {"loop.while", "every lane leaves a loop at its own time", 0, 0, "0", "",
     "%k1000 = const {i = 1000} : u32\n%one = const {i = 1} : u32\n%two = const {i = 2} : u32\n%three = const {i = 3} : u32\n%zero = const {i = 0} : u32\n%v0 = rem %a, %k1000 : u32\n%v1 = add %v0, %one : u32\n"
     "%v, %r = while %v1, %zero {max = 1000} : u32, u32 (%c: u32, %s: u32) {\n%more = cmp %c, %one {pred = ne} : bool\nyield %more, %c, %s\n} (%d: u32, %e: u32) {\n"
     "%bit = and %d, %one : u32\n%odd = cmp %bit, %one {pred = eq} : bool\n%t3 = mul %d, %three : u32\n%up = add %t3, %one : u32\n%down = div %d, %two : u32\n%next = select %odd, %up, %down : u32\n%e1 = add %e, %one : u32\nyield %next, %e1\n}\n",
     .inputs = tgc_in_bits, .expect = ex_steps},
    {"loop.carried", "a loop hands round twelve values", 0, 0, "0", "", NULL, .inputs = tgc_in_count, .expect = ex_carried, .make = many_carried},
    {"barrier.uniform", "barriers in a loop whose trips are data of the program", 0, 0, "256", "%x = array {offset = 0, name = \"x\"} : buf<shared, u32[64], 1>\n",
     "%pt = gep %sb, %first {bytes = 4} : ptr\n%n0 = loadm %pt : u32\n%n = cast %n0 : i64\n%z = const {i = 0} : i64\n%o = const {i = 1} : i64\n%k1 = const {i = 1} : i32\n%k63 = const {i = 63} : i32\n%l1 = add %lane, %k1 : i32\n%ln = and %l1, %k63 : i32\n%three = const {i = 3} : u32\n%lu = bitcast %lane : u32\n"
     "%r = for %z, %n, %o, %a : u32 (%i: i64, %c: u32) {\nastore %x, %lane, %c\nbarrier {fence = shared}\n%v = aload %x, %ln : u32\nbarrier {fence = shared}\n%m = mul %v, %three : u32\n%w = add %m, %lu : u32\nyield %w\n}\n", .inputs = tgc_in_count, .expect = ex_rounds},
    {"args.many", "27 tensors as arguments", 0, 0, "0", "", NULL, .inputs = tgc_in_bits, .expect = ex_tensors, .extra = EXTRA, .make = many_tensors},
    {"constants.many", "a table of 256 words in the code", 0, 0, "0", "", NULL, .inputs = tgc_in_bits, .expect = ex_constant, .make = large_constant},
    {"groups.large", "programs of 256 lanes meet at a barrier", 0, 0, "1024", "%x = array {offset = 0, name = \"x\"} : buf<shared, u32[256], 1>\n",
     "astore %x, %lane, %a\nbarrier {fence = shared}\n%k = const {i = 255} : i32\n%m = sub %k, %lane : i32\n%v = aload %x, %m : u32\n%r = add %v, %b : u32\n", .inputs = tgc_in_bits, .expect = ex_turned, .quirks = TG_QUIRK_SMALL_GROUPS, .first = true, .lanes = 256},
};
/* clang-format on */
const int tgc_n_probes_flow = TG_COUNT_OF(tgc_probes_flow);
