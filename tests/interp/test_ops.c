/* SPDX-License-Identifier: Apache-2.0 */
/* Every operation of the tile level with its edge cases, one row each. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/interp/op_case.h"

#define INF ((double)INFINITY)
#define NAN_D ((double)NAN)

static void run_all(const op_case *cases, size_t n) {
    for (size_t i = 0; i < n; i++) {
        check_op(cases[i].op, &cases[i], TG_INTERP_F32);
    }
}
#define RUN_ALL(cases) run_all(cases, TG_COUNT_OF(cases))

static void arithmetic(void **state) {
    (void)state;
    const op_case cases[] = {
        {"add $0, $1", {"f32[4]", "f32[4]"}, {V(1, 16777216, -0.0, INFINITY), V(2, 1, -0.0, -INFINITY)},
         {"f32[4]"}, {V(3, 16777216, -0.0, NAN)}, NULL},
        {"add $0, $1", {"i8[2]", "i8[2]"}, {V(127, -128), V(1, -1)}, {"i8[2]"}, {V(-128, 127)}, NULL},
        {"add $0, $1", {"u8[2]", "u8[2]"}, {V(255, 3), V(2, 4)}, {"u8[2]"}, {V(1, 7)}, NULL},
        {"sub $0, $1", {"u32[2]", "u32[2]"}, {V(0, 5), V(1, 3)}, {"u32[2]"}, {V(4294967295.0, 2)}, NULL},
        {"mul $0, $1", {"i32[2]", "i32[2]"}, {V(65536, -3), V(65536, 7)}, {"i32[2]"}, {V(0, -21)}, NULL},
        {"div $0, $1", {"i32[5]", "i32[5]"}, {V(7, -7, 7, 5, -2147483648.0), V(2, 2, -2, 0, -1)},
         {"i32[5]"}, {V(3, -3, -3, 0, -2147483648.0)}, NULL},
        {"rem $0, $1", {"i32[5]", "i32[5]"}, {V(7, -7, 7, 5, -2147483648.0), V(2, 2, -2, 0, -1)},
         {"i32[5]"}, {V(1, -1, 1, 5, 0)}, NULL},
        {"div $0, $1", {"u8[2]", "u8[2]"}, {V(200, 9), V(3, 0)}, {"u8[2]"}, {V(66, 0)}, NULL},
        {"div $0, $1", {"f32[3]", "f32[3]"}, {V(1, 1, 0), V(3, 0, 0)}, {"f32[3]"},
         {V((double)(1.0f / 3.0f), INFINITY, NAN)}, NULL},
        {"rem $0, $1", {"f32[3]", "f32[3]"}, {V(5.5, -5.5, 5), V(2, 2, 0)}, {"f32[3]"},
         {V(1.5, -1.5, NAN)}, NULL},
        {"min $0, $1", {"f32[4]", "f32[4]"}, {V(1, -0.0, NAN, 0), V(2, 0, 1, -0.0)}, {"f32[4]"},
         {V(1, -0.0, NAN, -0.0)}, NULL},
        {"max $0, $1", {"f32[4]", "f32[4]"}, {V(1, -0.0, 2, 0), V(2, 0, NAN, -0.0)}, {"f32[4]"},
         {V(2, 0, NAN, 0)}, NULL},
        {"max $0, $1", {"u8[1]", "u8[1]"}, {V(255), V(1)}, {"u8[1]"}, {V(255)}, NULL},
        {"min $0, $1", {"i8[1]", "i8[1]"}, {V(-1), V(1)}, {"i8[1]"}, {V(-1)}, NULL},
        {"neg $0", {"f16[3]"}, {V(0, 2, -3)}, {"f16[3]"}, {V(-0.0, -2, 3)}, NULL},
        {"neg $0", {"i8[2]"}, {V(-128, 5)}, {"i8[2]"}, {V(-128, -5)}, NULL},
        {"abs $0", {"bf16[2]"}, {V(-0.0, -2)}, {"bf16[2]"}, {V(0, 2)}, NULL},
        {"abs $0", {"i8[2]"}, {V(-128, -5)}, {"i8[2]"}, {V(-128, 5)}, NULL},
        {"fma $0, $1, $2", {"f32[1]", "f32[1]", "f32[1]"}, {V(4097), V(4097), V(-16785408)}, {"f32[1]"},
         {V(1)}, NULL},
        {"fma $0, $1, $2", {"i8[1]", "i8[1]", "i8[1]"}, {V(100), V(3), V(1)}, {"i8[1]"}, {V(45)}, NULL},
    };
    RUN_ALL(cases);
}

static void bits_and_choice(void **state) {
    (void)state;
    const op_case cases[] = {
        {"and $0, $1", {"i32[2]", "i32[2]"}, {V(-1, 6), V(7, 3)}, {"i32[2]"}, {V(7, 2)}, NULL},
        {"or $0, $1", {"bool[2]", "bool[2]"}, {V(0, 1), V(0, 1)}, {"bool[2]"}, {V(0, 1)}, NULL},
        {"xor $0, $1", {"u8[1]", "u8[1]"}, {V(255), V(15)}, {"u8[1]"}, {V(240)}, NULL},
        {"not $0", {"bool[2]"}, {V(0, 1)}, {"bool[2]"}, {V(1, 0)}, NULL},
        {"not $0", {"u8[1]"}, {V(1)}, {"u8[1]"}, {V(254)}, NULL},
        {"shl $0, $1", {"i32[3]", "i32[3]"}, {V(1, 1, 3), V(31, 33, -1)}, {"i32[3]"},
         {V(-2147483648.0, 2, -2147483648.0)}, NULL},
        {"shr $0, $1", {"i8[2]", "i8[2]"}, {V(-128, -128), V(1, 9)}, {"i8[2]"}, {V(-64, -64)}, NULL},
        {"shr $0, $1", {"u8[1]", "u8[1]"}, {V(128), V(7)}, {"u8[1]"}, {V(1)}, NULL},
        {"popcount $0", {"i8[2]"}, {V(-1, 5)}, {"i8[2]"}, {V(8, 2)}, NULL},
        {"cmp $0, $1 {pred = lt}", {"f32[4]", "f32[4]"}, {V(1, NAN, -0.0, 2), V(2, 1, 0, 1)},
         {"bool[4]"}, {V(1, 0, 0, 0)}, NULL},
        {"cmp $0, $1 {pred = ne}", {"f32[2]", "f32[2]"}, {V(NAN, 0), V(NAN, -0.0)}, {"bool[2]"},
         {V(1, 0)}, NULL},
        {"cmp $0, $1 {pred = ge}", {"u8[2]", "u8[2]"}, {V(200, 1), V(100, 2)}, {"bool[2]"}, {V(1, 0)},
         NULL},
        {"cmp $0, $1 {pred = eq}", {"f8e4m3[2]", "f8e4m3[2]"}, {V(1, 0), V(1, -0.0)}, {"bool[2]"},
         {V(1, 1)}, NULL},
        {"select $0, $1, $2", {"bool[2]", "f16[2]", "f16[2]"}, {V(1, 0), V(1, 2), V(3, 4)}, {"f16[2]"},
         {V(1, 4)}, NULL},
    };
    RUN_ALL(cases);
}

static void functions(void **state) {
    (void)state;
    const op_case cases[] = {
        {"math $0 {fn = exp2}", {"f32[4]"}, {V(3, -149, -150, 128)}, {"f32[4]"},
         {V(8, 1.401298464324817e-45, 0, INFINITY)}, NULL},
        {"math $0 {fn = sqrt}", {"f32[3]"}, {V(9, -1, -0.0)}, {"f32[3]"}, {V(3, NAN, -0.0)}, NULL},
        {"math $0 {fn = rsqrt}", {"f32[3]"}, {V(16, 0, -1)}, {"f32[3]"}, {V(0.25, INFINITY, NAN)}, NULL},
        {"math $0 {fn = round}", {"f32[5]"}, {V(0.5, 1.5, -0.5, 2.5, -1.25)}, {"f32[5]"},
         {V(0, 2, -0.0, 2, -1)}, NULL},
        {"math $0 {fn = floor}", {"f32[2]"}, {V(-0.5, 1.5)}, {"f32[2]"}, {V(-1, 1)}, NULL},
        {"math $0 {fn = ceil}", {"f32[2]"}, {V(-0.5, 1.5)}, {"f32[2]"}, {V(-0.0, 2)}, NULL},
        {"math $0 {fn = sigmoid}", {"f32[4]"}, {V(0, INFINITY, -INFINITY, NAN)}, {"f32[4]"},
         {V(0.5, 1, 0, NAN)}, NULL},
        {"math $0 {fn = log}", {"f32[3]"}, {V(1, 0, -1)}, {"f32[3]"}, {V(0, -INFINITY, NAN)}, NULL},
        {"math $0 {fn = log2}", {"f64[2]"}, {V(8, 0.25)}, {"f64[2]"}, {V(3, -2)}, NULL},
        {"math $0 {fn = tanh}", {"f32[3]"}, {V(INFINITY, -INFINITY, 0)}, {"f32[3]"}, {V(1, -1, 0)}, NULL},
        {"math $0 {fn = erf}", {"f32[2]"}, {V(INFINITY, 0)}, {"f32[2]"}, {V(1, 0)}, NULL},
        {"math $0 {fn = cos}", {"f32[2]"}, {V(0, INFINITY)}, {"f32[2]"}, {V(1, NAN)}, NULL},
        {"math $0 {fn = exp}", {"f32[3]"}, {V(0, -INFINITY, 100)}, {"f32[3]"}, {V(1, 0, INFINITY)}, NULL},
        /* the SC11 reference vector for key 0, counter 0 */
        {"rng $0, $1", {"u64[1]", "u64[1]"}, {V(0), V(0)}, {"u32[1]"}, {V(0x6627e8d5)}, NULL},
    };
    RUN_ALL(cases);
}

static void casts(void **state) {
    (void)state;
    const op_case cases[] = {
        {"cast $0", {"f32[6]"}, {V(1.9, -1.9, 3e9, -3e9, NAN, INFINITY)}, {"i32[6]"},
         {V(1, -1, 2147483647, -2147483648.0, 0, 2147483647)}, NULL},
        {"cast $0", {"f32[4]"}, {V(-1, 256, 255.9, 0.5)}, {"u8[4]"}, {V(0, 255, 255, 0)}, NULL},
        {"cast $0", {"i32[2]"}, {V(300, -1)}, {"u8[2]"}, {V(44, 255)}, NULL},
        {"cast $0 {sat = true}", {"i32[3]"}, {V(300, -1, 7)}, {"u8[3]"}, {V(255, 0, 7)}, NULL},
        {"cast $0 {sat = true}", {"u32[1]"}, {V(4000000000.0)}, {"i32[1]"}, {V(2147483647)}, NULL},
        {"cast $0 {sat = true}", {"i8[2]"}, {V(-100, 100)}, {"i4[2]"}, {V(-8, 7)}, NULL},
        {"cast $0", {"i32[2]"}, {V(16777217, -16777219)}, {"f32[2]"}, {V(16777216, -16777220)}, NULL},
        {"cast $0 {round = rtz}", {"i32[2]"}, {V(16777219, -16777219)}, {"f32[2]"},
         {V(16777218, -16777218)}, NULL},
        {"cast $0", {"f32[3]"}, {V(65504, 65519.996, 65520)}, {"f16[3]"}, {V(65504, 65504, INFINITY)},
         NULL},
        {"cast $0 {sat = true}", {"f32[2]"}, {V(1e9, -INFINITY)}, {"f16[2]"}, {V(65504, -65504)}, NULL},
        {"cast $0", {"f32[4]"}, {V(1000, -1000, INFINITY, 464)}, {"f8e4m3[4]"}, {V(448, -448, 448, 448)},
         NULL},
        {"cast $0", {"f32[3]"}, {V(60000, 61440, -57344)}, {"f8e5m2[3]"}, {V(57344, INFINITY, -57344)},
         NULL},
        {"cast $0", {"f32[5]"}, {V(0.25, 0.75, 2.5, -0.1, NAN)}, {"f4e2m1[5]"}, {V(0, 1, 2, -0.0, 0)},
         NULL},
        {"cast $0 {round = up}", {"f32[3]"}, {V(1, 1.0001, 0)}, {"f8e8m0[3]"}, {V(1, 2, 0x1p-127)}, NULL},
        {"cast $0 {round = down}", {"f32[2]"}, {V(1.00390625, -1.00390625)}, {"bf16[2]"},
         {V(1, -1.0078125)}, NULL},
        {"cast $0", {"bool[2]"}, {V(0, 1)}, {"f32[2]"}, {V(0, 1)}, NULL},
        {"cast $0", {"f32[3]"}, {V(0.5, -0.0, NAN)}, {"bool[3]"}, {V(1, 0, 1)}, NULL},
        {"cast $0", {"f64[1]"}, {V(1.0 + 0x1p-11 + 0x1p-40)}, {"f16[1]"}, {V(1.0 + 0x1p-10)}, NULL},
        {"bitcast $0", {"f32[2]"}, {V(1, -0.0)}, {"u32[2]"}, {V(0x3f800000, 2147483648.0)}, NULL},
        {"bitcast $0", {"u8[1]"}, {V(0x7e)}, {"f8e4m3[1]"}, {V(448)}, NULL},
    };
    RUN_ALL(cases);
}

static void shapes(void **state) {
    (void)state;
    const op_case cases[] = {
        {"broadcast $0 {axes = [1]}", {"f32[2]"}, {V(1, 2)}, {"f32[3,2]"}, {V(1, 2, 1, 2, 1, 2)}, NULL},
        {"broadcast $0 {axes = [0]}", {"f32[2]"}, {V(1, 2)}, {"f32[2,3]"}, {V(1, 1, 1, 2, 2, 2)}, NULL},
        {"broadcast $0 {axes = [0, 1]}", {"f32[2,1]"}, {V(1, 2)}, {"f32[2,2]"}, {V(1, 1, 2, 2)}, NULL},
        {"broadcast $0 {axes = []}", {"i32"}, {V(7)}, {"i32[2,2]"}, {V(7, 7, 7, 7)}, NULL},
        {"reshape $0", {"i32[2,3]"}, {V(1, 2, 3, 4, 5, 6)}, {"i32[3,2]"}, {V(1, 2, 3, 4, 5, 6)}, NULL},
        {"permute $0 {axes = [1, 0]}", {"i32[2,3]"}, {V(1, 2, 3, 4, 5, 6)}, {"i32[3,2]"},
         {V(1, 4, 2, 5, 3, 6)}, NULL},
        {"permute $0 {axes = [2, 0, 1]}", {"i32[1,2,3]"}, {V(1, 2, 3, 4, 5, 6)}, {"i32[3,1,2]"},
         {V(1, 4, 2, 5, 3, 6)}, NULL},
        {"slice $0 {offsets = [1, 1]}", {"i32[3,3]"}, {V(1, 2, 3, 4, 5, 6, 7, 8, 9)}, {"i32[2,2]"},
         {V(5, 6, 8, 9)}, NULL},
        {"concat $0, $1 {axis = 1}", {"i32[2,1]", "i32[2,2]"}, {V(1, 2), V(3, 4, 5, 6)}, {"i32[2,3]"},
         {V(1, 3, 4, 2, 5, 6)}, NULL},
        {"local_gather $0, $1 {axis = 0}", {"i32[3]", "i32[4]"}, {V(10, 20, 30), V(2, -1, 0, 3)},
         {"i32[4]"}, {V(30, 0, 10, 0)}, NULL},
        {"local_gather $0, $1 {axis = 1}", {"i32[2,2]", "i64[3]"}, {V(1, 2, 3, 4), V(1, 0, 5)},
         {"i32[2,3]"}, {V(2, 1, 0, 4, 3, 0)}, NULL},
        {"iota", {NULL}, {NULL}, {"i32[4]"}, {V(0, 1, 2, 3)}, NULL},
        {"const {i = 200}", {NULL}, {NULL}, {"u8[2]"}, {V(200, 200)}, NULL},
        {"fconst {f = 0.1}", {NULL}, {NULL}, {"bf16[1]"}, {V(0.10009765625)}, NULL},
    };
    RUN_ALL(cases);
}

static void reductions(void **state) {
    (void)state;
    const op_case cases[] = {
        {"reduce $0 {axis = 1, kind = sum}", {"f32[2,3]"}, {V(1, 2, 3, 4, 5, 6)}, {"f32[2]"}, {V(6, 15)},
         "{}"},
        {"reduce $0 {axis = 0, kind = sum}", {"i8[3,2]"}, {V(100, 1, 100, 2, 100, 3)}, {"i8[2]"},
         {V(44, 6)}, "{}"},
        {"reduce $0, $1 {axis = 1, kind = sum, masked = true}", {"f32[2,3]", "bool[3]"},
         {V(1, 2, NAN, 4, 5, NAN), V(1, 1, 0)}, {"f32[2]"}, {V(3, 9)}, "{}"},
        {"reduce $0, $1 {axis = 1, kind = max, masked = true}", {"f32[2,2]", "bool[2,2]"},
         {V(1, 2, 3, 4), V(1, 0, 0, 0)}, {"f32[2]"}, {V(1, -INFINITY)}, "{}"},
        {"reduce $0, $1 {axis = 0, kind = min, masked = true}", {"i8[2]", "bool[2]"}, {V(1, 2), V(0, 0)},
         {"i8"}, {V(127)}, "{}"},
        {"reduce $0, $1 {axis = 0, kind = max, masked = true}", {"u32[2]", "bool[2]"}, {V(1, 2), V(0, 0)},
         {"u32"}, {V(0)}, "{}"},
        {"reduce $0 {axis = 0, kind = max}", {"f32[3]"}, {V(1, NAN, 2)}, {"f32"}, {V(NAN)}, "{}"},
        {"reduce $0 {axis = 0, kind = max}", {"f32[2]"}, {V(-0.0, 0)}, {"f32"}, {V(0)}, "{}"},
        {"reduce $0 {axis = 0, kind = min}", {"f16[3]"}, {V(0, -0.0, 0)}, {"f16"}, {V(-0.0)}, "{}"},
        {"reduce $0 {axis = 0, kind = prod}", {"i32[4]"}, {V(2, 3, 4, 5)}, {"i32"}, {V(120)}, "{}"},
        {"reduce $0, $1 {axis = 0, kind = prod, masked = true}", {"f32[2]", "bool[2]"}, {V(2, 3), V(0, 0)},
         {"f32"}, {V(1)}, "{}"},
        {"reduce $0 {axis = 0, kind = any}", {"bool[3]"}, {V(0, 1, 0)}, {"bool"}, {V(1)}, "{}"},
        {"reduce $0 {axis = 0, kind = all}", {"bool[3]"}, {V(0, 1, 0)}, {"bool"}, {V(0)}, "{}"},
        {"reduce $0, $1 {axis = 0, kind = all, masked = true}", {"bool[2]", "bool[2]"},
         {V(0, 0), V(0, 0)}, {"bool"}, {V(1)}, "{}"},
        {"reduce $0 {axis = 1, kind = argmax}", {"f32[3,3]"}, {V(1, 3, 3, 5, NAN, NAN, 7, 6, 7)},
         {"i32[3]"}, {V(1, 1, 0)}, "{}"},
        {"reduce $0 {axis = 0, kind = argmin}", {"i32[3]"}, {V(4, -1, -1)}, {"i32"}, {V(1)}, "{}"},
        {"reduce $0, $1 {axis = 0, kind = argmin, masked = true}", {"f32[2]", "bool[2]"},
         {V(1, 2), V(0, 0)}, {"i32"}, {V(-1)}, "{}"},
        {"reduce $0 {axis = 0, kind = count}", {"bool[4]"}, {V(1, 0, 1, 1)}, {"i32"}, {V(3)}, "{}"},
        {"reduce $0, $1 {axis = 0, kind = user}", {"i32[4]", "i32"}, {V(1, 2, 3, 4), V(1)}, {"i32"},
         {V(168)},
         "(%acc: i32, %e: i32) {\n %two = add %acc, %acc : i32\n %three = mul %two, %two : i32\n"
         " %m = const {i = 255} : i32\n %q = and %three, %m : i32\n %s = add %q, %e : i32\n yield %s\n}"},
        {"scan $0 {axis = 0, kind = sum}", {"i32[4]"}, {V(1, 2, 3, 4)}, {"i32[4]"}, {V(1, 3, 6, 10)}, NULL},
        {"scan $0 {axis = 0, exclusive = true, kind = sum}", {"i32[4]"}, {V(1, 2, 3, 4)}, {"i32[4]"},
         {V(0, 1, 3, 6)}, NULL},
        {"scan $0, $1 {axis = 1, kind = max, masked = true}", {"f32[1,4]", "bool[4]"},
         {V(1, 9, 2, 3), V(1, 0, 1, 1)}, {"f32[1,4]"}, {V(1, 1, 2, 3)}, NULL},
        {"scan $0 {axis = 0, exclusive = true, kind = min}", {"i8[2]"}, {V(5, 3)}, {"i8[2]"}, {V(127, 5)},
         NULL},
        {"scan $0 {axis = 0, kind = any}", {"bool[3]"}, {V(0, 1, 0)}, {"bool[3]"}, {V(0, 1, 1)}, NULL},
    };
    RUN_ALL(cases);
}

static void selection(void **state) {
    (void)state;
    const op_case cases[] = {
        {"sort $0, $1 {axis = 0}", {"f32[5]", "i32[5]"}, {V(2, NAN, 0, -0.0, 2), V(0, 1, 2, 3, 4)},
         {"f32[5]", "i32[5]"}, {V(-0.0, 0, 2, 2, NAN), V(3, 2, 0, 4, 1)}, NULL},
        {"sort $0, $1 {axis = 0, descending = true}", {"i32[4]", "i32[4]"}, {V(1, 3, 1, 2), V(0, 1, 2, 3)},
         {"i32[4]", "i32[4]"}, {V(3, 2, 1, 1), V(1, 3, 0, 2)}, NULL},
        {"sort $0, $1, $2 {axis = 0, masked = true}", {"i32[4]", "i32[4]", "bool[4]"},
         {V(4, 1, 3, 2), V(0, 1, 2, 3), V(1, 0, 1, 1)}, {"i32[4]", "i32[4]"}, {V(2, 3, 4, 1), V(3, 2, 0, 1)},
         NULL},
        {"sort $0 {axis = 0}", {"u8[2,2]"}, {V(200, 1, 100, 2)}, {"u8[2,2]"}, {V(100, 1, 200, 2)}, NULL},
        {"topk $0 {axis = 0, k = 3}", {"f32[4]"}, {V(5, 7, 7, NAN)}, {"f32[3]", "i32[3]"},
         {V(NAN, 7, 7), V(3, 1, 2)}, NULL},
        {"topk $0, $1 {axis = 1, k = 2, masked = true}", {"f32[2,3]", "bool[2,3]"},
         {V(5, 7, 6, 1, 2, 3), V(1, 0, 1, 0, 0, 1)}, {"f32[2,2]", "i32[2,2]"},
         {V(6, 5, 3, 0), V(2, 0, 2, -1)}, NULL},
        {"topk $0 {axis = 0, k = 3}", {"i32[2]"}, {V(1, 2)}, {"i32[3]", "i32[3]"}, {V(2, 1, 0), V(1, 0, -1)},
         NULL},
        {"rank_by_key $0 {n = 3}", {"i32[6]"}, {V(1, 1, 5, 0, 1, -1)}, {"i32[6]"}, {V(0, 1, 0, 0, 2, 0)},
         NULL},
        {"rank_by_key $0, $1 {n = 2, masked = true}", {"i32[3]", "bool[3]"}, {V(1, 1, 1), V(0, 1, 1)},
         {"i32[3]"}, {V(0, 0, 1)}, NULL},
        {"compress $0, $1", {"f32[4]", "bool[4]"}, {V(1, 2, 3, 4), V(0, 1, 0, 1)}, {"f32[4]", "i32"},
         {V(2, 4, 0, 0), V(2)}, NULL},
        {"histogram $0 {n = 3}", {"i32[5]"}, {V(0, 2, 2, 3, -1)}, {"i32[3]"}, {V(1, 0, 2)}, NULL},
        {"histogram $0, $1 {n = 2}", {"u8[3]", "u64[3]"}, {V(0, 1, 1), V(5, 6, 7)}, {"u64[2]"}, {V(5, 13)},
         NULL},
        {"histogram $0, $1 {n = 2, masked = true}", {"i32[3]", "bool[3]"}, {V(0, 1, 1), V(1, 0, 1)},
         {"i32[2]"}, {V(1, 1)}, NULL},
        {"scatter_add $0, $1, $2", {"i32[3]", "i32[4]", "i32[4]"},
         {V(1, 2, 3), V(0, 0, 2, 9), V(10, 10, 5, 7)}, {"i32[3]"}, {V(21, 2, 8)}, NULL},
        {"scatter_add $0, $1, $2, $3 {masked = true}", {"f32[2]", "i32[2]", "f32[2]", "bool[2]"},
         {V(1, 2), V(0, 1), V(1, 1), V(0, 1)}, {"f32[2]"}, {V(1, 3)}, NULL},
    };
    RUN_ALL(cases);
}

static void products(void **state) {
    (void)state;
    const op_case cases[] = {
        {"dot $0, $1, $2", {"f32[2,2]", "f32[2,2]", "f32[2,2]"},
         {V(1, 2, 3, 4), V(5, 6, 7, 8), V(1, 1, 1, 1)}, {"f32[2,2]"}, {V(20, 23, 44, 51)}, NULL},
        {"dot $0, $1, $2, $3 {masked = true}", {"f32[1,3]", "f32[3,1]", "f32[1,1]", "bool[3]"},
         {V(1, NAN, 3), V(1, 0, 2), V(0), V(1, 0, 1)}, {"f32[1,1]"}, {V(7)}, NULL},
        {"dot $0, $1, $2 {batch = 1}", {"bf16[2,1,2]", "bf16[2,2,1]", "f32[2,1,1]"},
         {V(1, 2, 3, 4), V(1, 1, 2, 2), V(0, 1)}, {"f32[2,1,1]"}, {V(3, 15)}, NULL},
        {"dot $0, $1, $2, $3 {batch = 1, masked = true}", {"f32[2,1,2]", "f32[2,2,1]", "f32[2,1,1]", "bool[2,2]"},
         {V(1, 2, 3, 4), V(1, 1, 2, 2), V(0, 1), V(1, 0, 0, 1)}, {"f32[2,1,1]"}, {V(1, 9)}, NULL},
        {"dot $0, $1, $2", {"i8[1,2]", "u8[2,1]", "i32[1,1]"}, {V(-128, -128), V(255, 255), V(5)},
         {"i32[1,1]"}, {V(-65275)}, NULL},
        {"dot $0, $1, $2", {"f8e4m3[1,2]", "f8e5m2[2,1]", "f32[1,1]"}, {V(448, 1), V(57344, -2), V(0)},
         {"f32[1,1]"}, {V(25690110)}, NULL},
        {"dot $0, $1, $2", {"f32[1,1]", "f32[1,1]", "f32[1,1]"}, {V(INFINITY), V(0), V(0)}, {"f32[1,1]"},
         {V(NAN)}, NULL},
        {"dot $0, $1, $2", {"f64[1,1]", "f64[1,1]", "f64[1,1]"}, {V(0.1), V(10), V(0.5)}, {"f64[1,1]"},
         {V(1.5)}, NULL},
    };
    RUN_ALL(cases);
}

/* f64 mode keeps what f32 would round away; exact mode accepts the exact and nothing else. */
static void modes(void **state) {
    (void)state;
    const op_case wide = {"sub $0, $1", {"f32[1]", "f32[1]"}, {V(16777216), V(0.5)}, {"f32[1]"},
                                 {V(16777216)}, NULL};
    check_op("stored results are f32 again", &wide, TG_INTERP_F64);
    const op_case exact[] = {
        {"dot $0, $1, $2", {"f32[2,2]", "f32[2,2]", "f32[2,2]"},
         {V(1, 2, 3, 4), V(5, 6, 7, 8), V(1, 1, 1, 1)}, {"f32[2,2]"}, {V(20, 23, 44, 51)}, NULL},
        {"div $0, $1", {"f32[1]", "f32[1]"}, {V(3), V(4)}, {"f32[1]"}, {V(0.75)}, NULL},
        {"math $0 {fn = exp2}", {"f32[2]"}, {V(-3, -INFINITY)}, {"f32[2]"}, {V(0.125, 0)}, NULL},
        {"reduce $0 {axis = 0, kind = sum}", {"f32[3]"}, {V(1, 2, 4)}, {"f32"}, {V(7)}, "{}"},
    };
    for (size_t i = 0; i < TG_COUNT_OF(exact); i++) {
        check_op("exact", &exact[i], TG_INTERP_EXACT);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arithmetic), cmocka_unit_test(bits_and_choice), cmocka_unit_test(functions),
        cmocka_unit_test(casts),      cmocka_unit_test(shapes),          cmocka_unit_test(reductions),
        cmocka_unit_test(selection),  cmocka_unit_test(products),        cmocka_unit_test(modes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
