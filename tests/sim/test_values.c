/* SPDX-License-Identifier: Apache-2.0 */
/* Values at the edges of single instructions, as the manual of PTX has them. */
#include "simtest.h"

/* One instruction between registers of the operands' bits and of the result's. */
typedef struct value_case {
    const char *insn;
    int in_bits, out_bits; /* 32, 64, 16; 1: a predicate, stored as 0 or 1 */
    uint64_t a, b, want;
} value_case;

static const uint64_t NAN64 = 0x7ff8000000000000ull, BIG64 = 0x7e37e43c8800759cull; /* 1e300 */

static const value_case list[] = {
    /* 9.7.9.21: NaN to an integer is 0 only where neither side has 64 bits. */
    {"cvt.rzi.s32.f32", 32, 32, 0x7fc00000, 0, 0},
    {"cvt.rzi.u32.f32", 32, 32, 0xffc00000, 0, 0},
    {"cvt.rzi.s64.f32", 32, 64, 0x7fc00000, 0, 1ull << 63},
    {"cvt.rni.u64.f32", 32, 64, 0x7fc00000, 0, 1ull << 63},
    {"cvt.rzi.s32.f64", 64, 32, NAN64, 0, 1u << 31},
    {"cvt.rzi.u32.f64", 64, 32, NAN64, 0, 1u << 31},
    {"cvt.rzi.s64.f64", 64, 64, NAN64, 0, 1ull << 63},
    /* Beyond the range the direction decides between the greatest value and infinity. */
    {"cvt.rz.f32.f64", 64, 32, BIG64, 0, 0x7f7fffff},
    {"cvt.rn.f32.f64", 64, 32, BIG64, 0, 0x7f800000},
    {"cvt.rm.f32.f64", 64, 32, BIG64 | 1ull << 63, 0, 0xff800000},
    {"cvt.rp.f32.f64", 64, 32, BIG64 | 1ull << 63, 0, 0xff7fffff},
    {"cvt.rz.f16.f64", 64, 16, BIG64, 0, 0x7bff},
    {"cvt.rn.f16.f64", 64, 16, BIG64, 0, 0x7c00},
    {"cvt.rz.f32.f64", 64, 32, 0x7ff0000000000000ull, 0, 0x7f800000},
    /* x - x is minus zero only when rounding down. */
    {"sub.rm.f32", 32, 32, 0x3f800000, 0x3f800000, 0x80000000},
    {"sub.rp.f32", 32, 32, 0x3f800000, 0x3f800000, 0},
    {"add.rm.f32", 32, 32, 0, 0, 0},
    {"add.rz.f32", 32, 32, 0x80000000, 0x80000000, 0x80000000},
    /* Every NaN loses against a number, signalling ones too. */
    {"min.f32", 32, 32, 0x7f800001, 0x3f800000, 0x3f800000},
    {"max.f32", 32, 32, 0x3f800000, 0x7f800001, 0x3f800000},
    {"max.f32", 32, 32, 0x80000000, 0, 0},
    {"min.f32", 32, 32, 0, 0x80000000, 0x80000000},
    {"min.NaN.f32", 32, 32, 0x3f800000, 0x7f800001, 0x7fffffff},
    {"max.f64", 64, 64, 0x7ff0000000000001ull, 0, 0},
    /* 9.7.3.2: zeros are normal. */
    {"testp.normal.f32", 32, 1, 0x80000000, 0, 1},
    {"testp.normal.f32", 32, 1, 1, 0, 0},
    {"testp.subnormal.f32", 32, 1, 1, 0, 1}};

/* %r, %rd, %rs by the bits. */
static const char *class_of(int bits) { return bits == 64 ? "%rd" : bits == 16 ? "%rs" : "%r"; }

static char *program(const value_case *c) {
    char *text = calloc(1, 4096);
    const char *ra = class_of(c->in_bits), *rd = c->out_bits == 1 ? "%p" : class_of(c->out_bits);
    bool two = strncmp(c->insn, "cvt", 3) != 0 && strncmp(c->insn, "testp", 5) != 0;
    assert_non_null(text);
    (void)snprintf(text, 4096,
                   ".version 8.0\n.target sm_80\n.address_size 64\n"
                   ".visible .entry k(.param .u64 out, .param .u64 a, .param .u64 b) {\n"
                   ".reg .pred %%p<4>; .reg .b16 %%rs<4>; .reg .b32 %%r<4>; .reg .b64 %%rd<8>;\n"
                   "ld.param.u64 %%rd4, [out]; ld.param.u64 %%rd5, [a]; ld.param.u64 %%rd6, [b];\n"
                   "ld.global.b%d %s0, [%%rd5];\nld.global.b%d %s1, [%%rd6];\n"
                   "%s %s2, %s0%s%s;\n%s\nst.global.b%d [%%rd4], %s2;\nret;\n}\n",
                   c->in_bits, ra, c->in_bits, ra, c->insn, rd, ra, two ? ", " : "",
                   two ? (c->in_bits == 64 ? "%rd1" : "%r1") : "",
                   c->out_bits == 1 ? "selp.b32 %r2, 1, 0, %p2;" : "",
                   c->out_bits == 1 ? 32 : c->out_bits, c->out_bits == 1 ? "%r" : rd);
    return text;
}

static void edges(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        const value_case *c = &list[i];
        char *text = program(c);
        simtest *s = simtest_open(text, 80, 1);
        uint64_t got = 0;
        memcpy(s->host_a, &c->a, sizeof c->a);
        memcpy(s->host_b, &c->b, sizeof c->b);
        assert_int_equal(simtest_run(s, "k", 1, 1, 1), SIM_OK);
        memcpy(&got, s->host_out, sizeof got);
        if (got != c->want) {
            print_error("%s of 0x%llx, 0x%llx: 0x%llx, not 0x%llx\n", c->insn,
                        (unsigned long long)c->a, (unsigned long long)c->b, (unsigned long long)got,
                        (unsigned long long)c->want);
        }
        assert_true(got == c->want);
        simtest_close(s);
        free(text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(edges)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
