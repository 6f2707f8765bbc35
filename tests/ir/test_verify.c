/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verifier: each line below is the body of a kernel that breaks one rule, with the words the
 * message must hold. All of them parse; none may pass and none may crash.
 */
#include "tests/ir/irtest.h"

#include <string.h>

typedef struct broken {
    const char *body, *message;
} broken;

static const char head[] = "  syms N\n"
                           "  param x: tensor<f32[N, 8]>\n"
                           "  param y: tensor<i32[N]> inout\n"
                           "  param s: f32\n"
                           "  param r: tensor<record(12)[N]>\n";
static const char args[] = "%x: tensor<f32[N, 8]>, %y: tensor<i32[N]>, %s: f32, "
                           "%r: tensor<record(12)[N]>";

/* Values that the bodies below may use. */
static const char values[] = "%0 = const {i = 0} : i64\n"
                             "%n = sym {sym = 0} : i64\n"
                             "%t = const {i = 1} : bool\n"
                             "%sp = span %0, %n : span<4>\n"
                             "%f = fconst {f = 1.0} : f32[4, 8]\n"
                             "%g = fconst {f = 1.0} : f32[8]\n"
                             "%h = fconst {f = 1.0} : f16[4, 8]\n"
                             "%i = const {i = 1} : i32[4]\n"
                             "%b = const {i = 1} : bool[4, 8]\n"
                             "%bv = const {i = 1} : bool[4]\n"
                             "%d = fconst {f = 1.0} : f64[4, 8]\n"
                             "%u = const {i = 1} : u64[4]\n";

static const broken tile_level[] = {
    /* counts, attributes, levels, visibility */
    {"%1 = add %f : f32[4, 8]", "operands"},
    {"%1 = add %f, %f, %f : f32[4, 8]", "operands"},
    {"%1, %2 = add %f, %f : f32[4, 8], f32[4, 8]", "results"},
    {"%1 = cmp %f, %f : bool[4, 8]", "needs the attribute `pred`"},
    {"%1 = add %f, %f {axis = 1} : f32[4, 8]", "takes no attribute"},
    {"%1 = lanes : i32", "level"},
    {"%1 = const {i = 1} : vec<i32, 4>", "level"},
    {"if %t { %1 = const {i = 1} : i64 } {} %2 = add %1, %0 : i64", "not defined"},
    {"%1 = fconst {f = 0.0} : f32[0]", "extents"},
    {"%1 = fconst {f = 0.0} : f32[-3]", "extents"},
    {"%1 = fconst {f = 0.0} : f32[99999999, 99999999, 99999999]", "too many elements"},
    {"%1 = fconst {f = 0.0} : record", "element type"},
    {"%1 = span %0, %n : span<0>", "span"},
    /* control flow */
    {"for %0, %n, %n (%v: i64) {}", "constant"},
    {"for %0, %n, %0 (%v: i64) {}", "positive"},
    {"%c = const {i = -1} : i64 for %0, %n, %c (%v: i64) {}", "positive"},
    {"for %0, %n, %t (%v: i64) {}", "i64"},
    {"%c = const {i = 1} : i64 for %0, %n, %c {}", "counter"},
    {"%c = const {i = 1} : i64 for %0, %n, %c, %f (%v: i64, %w: f32[4, 8]) { yield %w }",
     "results"},
    {"%c = const {i = 1} : i64 %1 = for %0, %n, %c, %f : f32[4, 8] (%v: i64, %w: f32[4, 8]) {}",
     "yields 0"},
    {"%c = const {i = 1} : i64 %1 = for %0, %n, %c, %f : f32[4, 8] (%v: i64, %w: f32[8]) { yield "
     "%w }",
     "changes its type"},
    {"%c = const {i = 1} : i64 %1 = for %0, %n, %c, %f : f32[4, 8] (%v: i64, %w: f32[4, 8]) { "
     "yield %g }",
     "yielded value"},
    {"if %0 {} {}", "scalar bool"},
    {"if %t { yield %0 } {}", "yields 1"},
    {"%1 = if %t : i64 { yield %0 } { yield %g }", "yielded value"},
    {"if %t { yield if %t {} {} } {}", "end of its region"},
    {"%1 = while %0 {max = 3} : i64 (%a: i64) { yield %a, %a } (%c: i64) { yield %c }", "bool"},
    {"%1 = while %0 {max = -3} : i64 (%a: i64) { yield %t, %a } (%c: i64) { yield %c }",
     "negative"},
    /* constants, index */
    {"%1 = const {i = 128} : i8", "does not fit"},
    {"%1 = const {i = 2} : bool", "does not fit"},
    {"%1 = const {i = -1} : u32", "does not fit"},
    {"%1 = const {i = 1} : f32", "integer"},
    {"%1 = fconst {f = 1.0} : i32", "float"},
    {"%1 = iota : i32[2, 2]", "one axis"},
    {"%1 = iota : f32[2]", "integer"},
    {"%1 = sym {sym = 1} : i64", "dimension name"},
    {"%1 = sym {sym = 0} : i32", "i64"},
    {"%1 = dim %x {axis = 2} : i64", "no axis"},
    {"%1 = dim %f {axis = 0} : i64", "no axis"},
    {"%1 = span %0, %t : span<4>", "i64"},
    {"%1 = span %0, %n : i64", "span"},
    {"%1 = span_mask %sp : bool[5]", "span_mask"},
    {"%1 = present %sp, %n : bool[5]", "present"},
    {"%1 = present %g, %n : bool[8]", "index"},
    {"%1 = present %i, %t : bool[4]", "extent"},
    /* memory */
    {"%1 = load %x, %0 {axes = []} : f32", "indices"},
    {"%1 = load %x, %0, %0 {axes = []} : f16", "go together"},
    {"%1 = load %x, %sp, %0 {axes = [0]} : f32[5]", "extent"},
    {"%1 = load %x, %sp, %0 {axes = [1]} : f32[4]", "no result axis"},
    {"%1 = load %x, %sp, %0 {axes = []} : f32[4]", "too few"},
    {"%1 = load %x, %sp, %0 {axes = [0, 1]} : f32[4]", "axes names"},
    {"%1 = load %x, %sp, %0 {axes = [0]} : f32[4, 3]", "no index gives"},
    {"%1 = load %x, %g, %0 {axes = [0]} : f32[8]", "index"},
    {"%1 = load %f, %0, %0 {axes = []} : f32", "not a tensor"},
    {"%1 = load %r, %0 {axes = []} : f32", "field"},
    {"%1 = load %x, %sp, %0, %b {axes = [0], masked = true} : f32[4]", "mask"},
    {"%1 = load %x, %sp, %0, %bv {axes = [0]} : f32[4]", "indices"},
    {"store %x, %g, %0, %0 {axes = []}", "no index gives"},
    {"store %y, %f, %0 {axes = []}", "go together"},
    {"%1 = atomic %y, %i, %sp {do = cas, axes = [0]} : i32[4]", "differ"},
    {"%1 = atomic %y, %i, %sp {do = add, axes = [0]} : i64[4]", "old values"},
    {"%1 = view %r {bytes = -1} : tensor<f32[N]>", "negative"},
    {"%1 = view %r {bytes = 0} : tensor<f32[N, 3]>", "axes"},
    {"%1 = view %r {bytes = 0, strides = [4]} : tensor<f32[N + 1, 3]>", "extent"},
    {"%1 = view %f {bytes = 0} : tensor<f32[N]>", "view"},
    /* shape */
    {"%1 = broadcast %g {axes = [0, 1]} : f32[4, 8]", "one entry"},
    {"%1 = broadcast %g {axes = [0]} : f32[4, 8]", "does not fit"},
    {"%1 = broadcast %g {axes = [2]} : f32[4, 8]", "increase"},
    {"%1 = broadcast %f {axes = [1, 0]} : f32[8, 4]", "increase"},
    {"%1 = broadcast %g {axes = [1]} : f16[4, 8]", "from"},
    {"%1 = reshape %f : f32[33]", "size"},
    {"%1 = permute %f {axes = [0, 0]} : f32[4, 4]", "permutation"},
    {"%1 = permute %f {axes = [1, 0]} : f32[4, 8]", "permuted"},
    {"%1 = permute %f {axes = [0, -1]} : f32[4, 8]", "permutation"},
    {"%1 = slice %f {offsets = [1, 0]} : f32[4, 8]", "do not exist"},
    {"%1 = slice %f {offsets = [0]} : f32[4, 8]", "offset"},
    {"%1 = slice %f {offsets = [9223372036854775807, 0]} : f32[1, 8]", "do not exist"},
    {"%1 = concat %f, %f {axis = 0} : f32[9, 8]", "elements along"},
    {"%1 = concat %f, %g {axis = 0} : f32[8, 8]", "operand 1"},
    {"%1 = concat %f {axis = 2} : f32[4, 8]", "no axis"},
    {"%1 = local_gather %f, %i {axis = 1} : f32[4, 8]", "indexed by"},
    {"%1 = local_gather %f, %g {axis = 1} : f32[4, 8]", "index"},
    /* elementwise */
    {"%1 = add %f, %g : f32[4, 8]", "operand 1"},
    {"%1 = add %f, %f : f64[4, 8]", "operand 0"},
    {"%1 = add %h, %h : f16[4, 8]", "arithmetic"},
    {"%1 = add %b, %b : bool[4, 8]", "arithmetic"},
    {"%1 = add %x, %x : f32[4, 8]", "operand 0"},
    {"%1 = min %b, %b : bool[4, 8]", "bool"},
    {"%1 = and %f, %f : f32[4, 8]", "floats"},
    {"%1 = shl %b, %b : bool[4, 8]", "integers"},
    {"%1 = popcount %f : f32[4, 8]", "integers"},
    {"%1 = cmp %f, %d {pred = lt} : bool[4, 8]", "operand 1"},
    {"%1 = cmp %f, %f {pred = lt} : bool[4]", "shape"},
    {"%1 = select %t, %f, %f : f32[4, 8]", "condition"},
    {"%1 = select %b, %f, %d : f32[4, 8]", "operand 2"},
    {"%1 = math %h {fn = exp} : f16[4, 8]", "f32 and f64"},
    {"%1 = cast %f : i32[4]", "from"},
    {"%1 = bitcast %f : f16[4, 8]", "width"},
    {"%1 = bitcast %f : f32[8, 4]", "width"},
    {"%1 = rng %u, %i : u32[4]", "operand 1"},
    {"%1 = rng %u, %u : i32[4]", "u32"},
    {"assert %bv {text = \"t\"}", "scalar bool"},
    /* along an axis */
    {"%1 = reduce %f {axis = 2, kind = sum} : f32[4] {}", "no axis"},
    {"%1 = reduce %f {axis = 1, kind = sum} : f32[8] {}", "does not give"},
    {"%1 = reduce %h {axis = 1, kind = sum} : f16[4] {}", "not defined"},
    {"%1 = reduce %f {axis = 1, kind = any} : bool[4] {}", "not defined"},
    {"%1 = reduce %f {axis = 1, kind = argmax} : f32[4] {}", "does not give"},
    {"%1 = reduce %f, %bv {axis = 1, kind = sum, masked = true} : f32[4] {}", "mask"},
    {"%1 = reduce %f, %b {axis = 1, kind = sum} : f32[4] {}", "one operand"},
    {"%1 = reduce %f {axis = 1, kind = sum} : f32[4] (%q: f32) { yield %q }", "region"},
    {"%1 = reduce %f, %s {axis = 1, kind = user} : f32[4] {}", "arguments"},
    {"%1 = reduce %f {axis = 1, kind = user} : f32[4] {}", "initial value"},
    {"%1 = reduce %f, %s {axis = 1, kind = user} : f32[4] (%p: f32, %q: f32) { }", "yields 1"},
    {"%1 = reduce %f, %s {axis = 1, kind = user} : f32[4] (%p: f32, %q: f32) "
     "{ %l = load %x, %0, %0 {axes = []} : f32 yield %l }",
     "memory"},
    {"%1 = scan %f {axis = 0, kind = argmax} : f32[4, 8]", "not defined"},
    {"%1 = scan %f {axis = 0, kind = sum} : f64[4, 8]", "operand's type"},
    {"%1 = sort %f {axis = 2} : f32[4, 8]", "no axis"},
    {"%1 = sort %f, %b {axis = 0} : f32[4, 8]", "results"},
    {"%1, %2 = topk %f {k = 0, axis = 1} : f32[4, 8], i32[4, 8]", "at least 1"},
    {"%1, %2 = topk %f {k = 3, axis = 1} : f32[4, 8], i32[4, 3]", "result 0"},
    {"%1, %2 = topk %f {k = 3, axis = 1} : f32[4, 3], i64[4, 3]", "i32"},
    {"%1 = rank_by_key %g {n = 4} : i32[8]", "key"},
    {"%1 = rank_by_key %i {n = 0} : i32[4]", "at least 1"},
    {"%1, %2 = compress %f, %b : f32[4, 8], i32", "one axis"},
    {"%1 = histogram %i {n = 4} : i64[4]", "gives"},
    {"%1 = histogram %i, %g {n = 4} : i32[4]", "weights"},
    {"%1 = scatter_add %g, %i, %g : f32[8]", "values"},
    {"%1 = scatter_add %f, %i, %g : f32[4, 8]", "adds into"},
    /* matrix */
    {"%1 = dot %f, %f, %f : f32[4, 8]", "times"},
    {"%1 = dot %f, %g, %f : f32[4, 8]", "axes"},
    {"%1 = dot %f, %f, %f {batch = 7} : f32[4, 8]", "batch"},
    {"%a = fconst {f = 0.0} : f32[8, 4] %c = fconst {f = 0.0} : f64[4, 4] "
     "%1 = dot %f, %a, %c : f64[4, 4]",
     "accumulates"},
    {"%a = const {i = 0} : i32[8, 4] %c = fconst {f = 0.0} : f32[4, 4] "
     "%1 = dot %f, %a, %c : f32[4, 4]",
     "cannot multiply"},
    {"%a = fconst {f = 0.0} : f32[8, 4] %c = fconst {f = 0.0} : f32[4, 4] "
     "%1 = dot %f, %a, %c, %bv {masked = true} : f32[4, 4]",
     "mask"},
    {"extern {name = \"\", text = \"\"}", "name"},
};

#define MAP_PARTS "%a = slot %p {i = 0} : ptr %e = slot %p {i = 1} : i64 %k = const {i = 64} : i64 "
#define COPY_PARTS                                                                                 \
    MAP_PARTS                                                                                      \
    "%map = tmap %a, %e {dtype = f16, shape = [64]} : ptr %0 = const {i = 0} : i32 "
static const broken loop_level[] = {
    /* maps of tensors */
    {MAP_PARTS "%1 = tmap %a, %e, %i {dtype = f16, shape = [64, 8]} : ptr", "no address, extents"},
    {MAP_PARTS "%1 = tmap %a, %i {dtype = f16, shape = [64]} : ptr", "does not follow from slots"},
    {MAP_PARTS
     "%b = gep %a, %i {bytes = 1} : ptr %1 = tmap %b, %e {dtype = f16, shape = [64]} : ptr",
     "operand 0 does not follow"},
    {MAP_PARTS "%1 = tmap %k, %e {dtype = f16, shape = [64]} : ptr", "takes the address"},
    {MAP_PARTS "%1 = tmap %a, %e, %e, %k {dtype = f16, shape = [64]} : ptr", "the box has 2 axes"},
    {MAP_PARTS "%1 = tmap %a, %e {dtype = f16, shape = [257]} : ptr", "a box of 257 elements"},
    {MAP_PARTS "%1 = tmap %a, %e {dtype = f16, shape = [0]} : ptr", "a box of 0 elements"},
    {MAP_PARTS "%1 = tmap %a, %e {dtype = f16, shape = [12]} : ptr", "rows of 24 bytes"},
    {MAP_PARTS "%1 = tmap %a, %e {dtype = f16, shape = [64], swizzle = 64} : ptr",
     "rows of 128 bytes with a swizzle of 64"},
    {MAP_PARTS "%1 = tmap %a, %e {dtype = f16, shape = [64], swizzle = 16} : ptr",
     "a swizzle of 16 bytes"},
    {MAP_PARTS "%1 = tmap %a, %e {dtype = f4e2m1, shape = [64]} : ptr", "elements are no"},
    {MAP_PARTS "%1 = tmap %a, %e {shape = [64]} : ptr", "needs the attribute `dtype`"},
    {MAP_PARTS "%1 = tmap_ok %a : bool", "takes a map"},
    {COPY_PARTS "tcopy %a, %mem, %0, %bars, %0, %t, %0", "copies by a map"},
    {COPY_PARTS "tcopy %map, %mem, %0, %bars, %0, %t, %0, %0", "2 coordinates for 1 axes"},
    {COPY_PARTS "tcopy %map, %mem, %0, %bars, %0, %t, %i", "coordinates are i32"},
    {COPY_PARTS "tcopy %map, %mem, %i, %bars, %0, %t, %0", "indices are i32"},
    {COPY_PARTS "tcopy %map, %mem, %0, %bars, %0, %0, %0", "`who` is a bool"},
    {COPY_PARTS "tcopy %map, %mem, %0, %mem, %0, %t, %0", "a shared array of u64"},
    {COPY_PARTS "tcopy %map, %bars, %0, %bars, %0, %t, %0", "elements as wide as the map's"},
    {COPY_PARTS "tcopy %map, %few, %0, %bars, %0, %t, %0", "128 bytes does not fit"},
    {"%1 = iota : i32[4]", "level"},
    {"%1 = const {i = 1} : i32[4]", "level"},
    {"%1 = slot %i {i = 0} : i64", "address"},
    {"%1 = slot %p {i = -1} : i64", "negative"},
    {"%1 = alloca {bytes = 5000} : ptr", "stack"},
    {"%1 = alloca {bytes = 64, align = 3} : ptr", "power of two"},
    {"%1 = gep %p, %s {bytes = 4} : ptr", "i64"},
    {"%1 = loadm %i : f32", "ptr"},
    {"%1 = loadm %p : i4", "read"},
    {"%1 = loadm %p {masked = true} : f32", "masked"},
    {"%1 = loadm %p, %m4, %v {masked = true} : vec<f32, 8>", "fit"},
    {"storem %p, %v, %m4 {masked = true}", "fit"},
    {"storem %p, %v, %m4", "masked"},
    {"%1 = gatherm %p, %v, %v {bytes = 4} : vec<f32, 8>", "index"},
    {"%1 = gatherm %p, %iv, %v {bytes = 4} : vec<f32, 4>", "passthru"},
    {"prefetch %p {locality = 4}", "locality"},
    {"memset %p, %i, %i", "u8"},
    {"memcpy %p, %i, %i", "ptr"},
    {"%1 = splat %s : vec<f64, 8>", "splat"},
    {"%1 = splat %v : vec<f32, 8>", "splat"},
    {"%1 = extract %v {i = 8} : f32", "lane"},
    {"%1 = extract %v {i = 0} : f64", "scalar"},
    {"%1 = insert %v, %i {i = 0} : vec<f32, 8>", "puts"},
    {"%1 = shuffle %v, %v {axes = [0, 16]} : vec<f32, 2>", "lane"},
    {"%1 = shuffle %v, %v {axes = [0]} : vec<f32, 2>", "lanes"},
    {"%1 = lanes : vec<f32, 8>", "integer"},
    {"%1 = reducev %v {kind = argmax} : f32", "not defined"},
    {"%1 = reducev %v {kind = any} : f32", "reducev"},
    {"%1 = pmask %i : vec<f32, 8>", "bool"},
    {"%m = pmask %i : vec<bool, 8>\n%1 = maskbits %m : u32", "u64"},
    {"%m = pmask %i : vec<bool, 128>\n%1 = maskbits %m : u64", "at most 64"},
    {"%1 = maskbits %v : u64", "bool"},
    {"%1 = atomicm %p, %s, %s {do = add} : f32", "cas"},
    {"trap %i {i = 1}", "bool"},
    {"trap %t {i = 0}", "positive"},
    {"%1 = bitcast %v : vec<i16, 8>", "width"},
    {"%1 = intrinsic {name = \"\"} : f32", "name"},
};

static void must_fail(const char *text, const char *body, const char *message) {
    irtest t;
    irtest_init(&t);
    tg_module *m = irtest_try_parse(&t, text, strlen(text));
    if (m == NULL) {
        fail_msg("did not parse: %s\n%s", body, irtest_messages(&t));
    }
    if (tg_module_verify(m, &t.sink) == TG_OK) {
        fail_msg("passed: %s", body);
    }
    if (strstr(irtest_messages(&t), message) == NULL) {
        fail_msg("%s\nsays %s\nnot `%s`", body, irtest_messages(&t), message);
    }
    irtest_fini(&t);
}

static void test_tile_level(void **state) {
    (void)state;
    irtest t;
    irtest_init(&t);
    irtest_parse(&t, irtest_kernel(&t, head, args, values));
    for (size_t i = 0; i < TG_COUNT_OF(tile_level); i++) {
        const char *body = tg_arena_printf(&t.arena, "%s%s\n", values, tile_level[i].body);
        must_fail(irtest_kernel(&t, head, args, body), tile_level[i].body, tile_level[i].message);
    }
    irtest_fini(&t);
}

static void test_loop_level(void **state) {
    (void)state;
    irtest t;
    irtest_init(&t);
    static const char prelude[] = "tegula-ir 1\nkernel loop k { program lanes 32 shared 512 "
                                  "scratch 0 body (%p: ptr, %i: i64, "
                                  "%s: f32) {\n"
                                  "%mem = array {offset = 0} : buf<shared, f16[64], 1>\n"
                                  "%few = array {offset = 128} : buf<shared, f16[63], 1>\n"
                                  "%bars = array {offset = 256} : buf<shared, u64[4], 1>\n"
                                  "%t = const {i = 1} : bool\n"
                                  "%v = splat %s : vec<f32, 8>\n"
                                  "%iv = splat %i : vec<i64, 8>\n"
                                  "%m4 = pmask %i : vec<bool, 4>\n";
    irtest_parse(&t, tg_arena_printf(&t.arena, "%s}}", prelude));
    for (size_t i = 0; i < TG_COUNT_OF(loop_level); i++) {
        must_fail(tg_arena_printf(&t.arena, "%s%s }}", prelude, loop_level[i].body),
                  loop_level[i].body, loop_level[i].message);
    }
    irtest_fini(&t);
}

static void test_signatures(void **state) {
    (void)state;
    static const broken bad[] = {
        {"kernel tile k { param a: f32[4] body (%0: f32[4]) {} }", "neither"},
        {"kernel tile k { param a: span<4> body (%0: span<4>) {} }", "neither"},
        {"kernel tile k { param a: f32 out body (%0: f32) {} }", "flag"},
        {"kernel tile k { param a: f32 param a: f32 body (%0: f32, %1: f32) {} }", "twice"},
        {"kernel tile k { syms N, N body {} }", "twice"},
        {"kernel tile k { param a: tensor<f32[3]> out inout body (%0: tensor<f32[3]>) {} }",
         "both"},
        {"kernel tile k { param a: tensor<f32[3], strided> body (%0: tensor<f32[3], strided>) {} }",
         "strided"},
        {"kernel tile k { param a: f32 align(3) body (%0: f32) {} }", "power of two"},
        {"kernel tile k { param a: tensor<record(0)[3]> body (%0: tensor<record(0)[3]>) {} }",
         "malformed"},
        {"kernel tile k { param a: f32 body {} }", "arguments"},
        {"kernel tile k { param a: f32 body (%0: f64) {} }", "type"},
        {"kernel tile k { axis i by 0 grid {} body (%0: i64) {} }", "positive"},
        {"kernel tile k { axis i by 1 body (%0: i64) {} }", "grid"},
        {"kernel tile k { axis i by 1 grid {} body (%0: i64) {} }", "yields 0"},
        {"kernel tile k { body { %0 = const {i = 0} : i64 yield %0 } }", "yields nothing"},
        {"kernel tile k { }", "no body"},
        {"kernel loop k { grid {} body {} }", "no grid"},
        {"hostop h { launch k() }", "no such kernel"},
        {"kernel tile k { param a: f32 body (%0: f32) {} } hostop h { launch k() }", "number"},
        {"kernel tile k { param a: i32 body (%0: i32) {} } hostop h { launch k(float 1.0) }",
         "fit"},
        {"kernel tile k { param a: f32 body (%0: f32) {} } hostop h { temp t: f32[3] launch k(temp "
         "t) }",
         "fit"},
        {"kernel tile k { body {} } hostop h { temp t: record(0)[3] launch k() }", "malformed"},
    };
    for (size_t i = 0; i < TG_COUNT_OF(bad); i++) {
        irtest t;
        irtest_init(&t);
        must_fail(tg_arena_printf(&t.arena, "tegula-ir 1\n%s", bad[i].body), bad[i].body,
                  bad[i].message);
        irtest_fini(&t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tile_level),
        cmocka_unit_test(test_loop_level),
        cmocka_unit_test(test_signatures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
