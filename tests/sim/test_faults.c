/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs with one thing wrong each, most of them nvcc's with a line changed: the simulator names
 * what it is, and says nothing of the program as it was.
 */
#include "simtest.h"

typedef struct fault_case {
    const char *file, *kernel, *from;
    int nth;
    const char *to;
    sim_fault fault;
    uint32_t threads;
} fault_case;

static const fault_case list[] = {
    {"cuda/block.ptx", "reverse", "bar.sync \t0;", 1, "", SIM_FAULT_RACE, 256},
    {"cuda/block.ptx", "reduce", "bar.sync \t0;", 1, "", SIM_FAULT_RACE, 256},
    {"cuda/block.ptx", "reduce", "bar.sync \t0;", 2, "", SIM_FAULT_RACE, 256},
    {"cuda/block.ptx", "transpose", "bar.sync \t0;", 1, "bar.warp.sync -1;", SIM_FAULT_RACE, 256},
    {"cuda/block.ptx", "histogram", "bar.sync \t0;", 1, "", SIM_FAULT_RACE, 256},
    {"cuda/block.ptx", "histogram", "bar.sync \t0;", 2, "", SIM_FAULT_RACE, 256},
    {"cuda/block.ptx", "histogram", "st.shared.u32", 1, "// ", SIM_FAULT_UNINITIALISED, 256},
    {"cuda/block.ptx", "tickets", "bar.sync \t0;", 2, "", SIM_FAULT_RACE, 256},
    {"cuda/block.ptx", "named", "128;", 1, "256;", SIM_FAULT_DEADLOCK, 256},
    {"cuda/block.ptx", "handoff", "bar.arrive 3, 256;", 1, "", SIM_FAULT_DEADLOCK, 256},
    {"cuda/block.ptx", "handoff", "bar.arrive 3, 256;", 1, "bar.arrive 3, 128;",
     SIM_FAULT_DIVERGENCE, 256},
    {"cuda/block.ptx", "handoff", "bar.sync 3, 256;", 1, "", SIM_FAULT_RACE, 256},
    {"cuda/block.ptx", "reverse", "ld.shared.u32 \t%r13, [%r12]", 1,
     "ld.shared.u32 %r13, [%r12+1024]", SIM_FAULT_BOUNDS, 256},
    {"cuda/matrix.ptx", "pipelined", "cp.async.wait_group 1;", 1, "", SIM_FAULT_RACE, 128},
    {"cuda/matrix.ptx", "pipelined", "cp.async.wait_group 1;", 1, "cp.async.wait_group 2;",
     SIM_FAULT_RACE, 128},
    {"cuda/matrix.ptx", "pipelined", "bar.sync \t0;", 1, "", SIM_FAULT_RACE, 128},
    {"cuda/matrix.ptx", "zfilled", "cp.async.wait_all;", 1, "", SIM_FAULT_RACE, 128},
    {"cuda/matrix.ptx", "zfilled", "bar.sync \t0;", 1, "", SIM_FAULT_RACE, 128},
    {"cuda/matrix.ptx", "mma_half", "bar.warp.sync", 1, "trap; bar.warp.sync", SIM_FAULT_TRAP, 32},
    {"cuda/hopper.ptx", "clustered", "barrier.cluster.wait.acquire.aligned;", 1, "", SIM_FAULT_RACE,
     256},
    {"cuda/hopper.ptx", "clustered", "barrier.cluster.arrive.release.aligned;", 1, "",
     SIM_FAULT_DEADLOCK, 256},
    {"cuda/hopper.ptx", "clustered", "xor.b32", 1, "or.b32 %r1, %r1, 2; xor.b32", SIM_FAULT_BOUNDS,
     256},
    {"cuda/hopper.ptx", "stored", "bar.sync", 1, "// ", SIM_FAULT_RACE, 256},
    {"cuda/scalar.ptx", "axpy", "setp.ge.s32", 1, "setp.gt.s32", SIM_FAULT_BOUNDS, 256}};

static void seeded(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        const fault_case *c = &list[i];
        char *text = simtest_file(c->file), entry[64];
        (void)snprintf(entry, sizeof entry, ".entry %s(", c->kernel);
        char *bad = simtest_edited(text, entry, c->from, c->nth, c->to);
        const char *texts[] = {text, bad};
        for (int k = 0; k < 2; k++) {
            bool hopper = strcmp(c->file, "cuda/hopper.ptx") == 0;
            simtest *s = simtest_open(texts[k], hopper ? 90 : 80, 3);
            s->options.cluster[0] = strcmp(c->kernel, "clustered") == 0 ? 2 : 1;
            /* With a guard: one more block than there are elements for. */
            bool guarded = strcmp(c->kernel, "axpy") == 0;
            s->options.most_issues = 1 << 18;
            sim_status st = simtest_run(s, c->kernel,
                                        guarded  ? 5
                                        : hopper ? 2
                                                 : 1,
                                        c->threads, SIMTEST_N);
            bool want = k == 1;
            if ((st == SIM_E_FAULT) != want || (want && !simtest_found(&s->report, c->fault))) {
                simtest_print(&s->report);
                fail_msg("%s: `%s` made `%s`: %s expected", c->kernel, c->from, c->to,
                         want ? sim_fault_name(c->fault) : "nothing");
            }
            simtest_close(s);
        }
        free(bad);
        free(text);
    }
}

/* ---- written by hand --------------------------------------------------------------------------
 */

#define HEAD ".version 8.0\n.target sm_80\n.address_size 64\n"
#define ENTRY                                                                                      \
    ".visible .entry k(.param .u64 out, .param .u64 a, .param .u64 b, .param .u32 n)\n{\n"         \
    ".reg .pred %p<9>; .reg .b32 %r<19>; .reg .b64 %d<9>;\n"                                       \
    "ld.param.u64 %d1, [out]; ld.param.u64 %d2, [a]; mov.u32 %r1, %tid.x;\n"

typedef struct hand_case {
    const char *what, *body;
    sim_fault fault;
    uint32_t threads;
} hand_case;

static const hand_case hand[] = {
    {"a misaligned load", "ld.global.u32 %r2, [%d2+2]; ret;", SIM_FAULT_ALIGNMENT, 1},
    {"a load before a buffer", "ld.global.u32 %r2, [%d2+-4]; ret;", SIM_FAULT_BOUNDS, 1},
    {"a load of null", "mov.u64 %d3, 0; ld.global.u32 %r2, [%d3]; ret;", SIM_FAULT_BOUNDS, 1},
    {"local memory that nobody wrote", ".local .b32 x[4]; ld.local.u32 %r2, [x+4]; ret;",
     SIM_FAULT_UNINITIALISED, 1},
    {"past local memory", ".local .b32 x[4]; st.local.u32 [x+16], %r1; ret;", SIM_FAULT_BOUNDS, 1},
    {"a barrier that half of a warp reaches",
     "setp.lt.u32 %p1, %r1, 16; @%p1 bra A; ret; A: bar.sync 0; ret;", SIM_N_FAULTS, 64},
    {"barriers of two numbers in one warp",
     "setp.lt.u32 %p1, %r1, 16; @%p1 bra A; bar.sync 1; ret; A: bar.sync 2; ret;",
     SIM_FAULT_DIVERGENCE, 32},
    {"a shuffle from a lane that takes no part",
     "setp.lt.u32 %p1, %r1, 8; @!%p1 bra A; shfl.sync.idx.b32 %r2, %r1, 9, 31, 255; A: ret;",
     SIM_FAULT_DIVERGENCE, 32},
    {"a member mask without the lane", "shfl.sync.idx.b32 %r2, %r1, 0, 31, 1; ret;",
     SIM_FAULT_DIVERGENCE, 32},
    {"a member that waits elsewhere",
     "setp.lt.u32 %p1, %r1, 16; @%p1 bra A; bar.warp.sync -1; A: vote.sync.ballot.b32 %r2, %p1, "
     "-1; ret;",
     SIM_FAULT_DIVERGENCE, 32},
    {"a loop without an end", "A: add.u32 %r1, %r1, 1; bra A;", SIM_FAULT_RUNAWAY, 1},
    {"a uniform branch that is none",
     "setp.lt.u32 %p1, %r1, 5; @%p1 bra.uni A; add.u32 %r1, %r1, 1; A: ret;", SIM_FAULT_DIVERGENCE,
     32},
    {"a barrier's number", "bar.sync 16; ret;", SIM_FAULT_TRAP, 32},
    {"two warps on one word",
     ".shared .b32 s; setp.lt.u32 %p1, %r1, 32; @%p1 st.shared.u32 [s], %r1; @!%p1 st.shared.u32 "
     "[s], %r1; ret;",
     SIM_FAULT_RACE, 64},
    {"two warps on two bytes of one word",
     ".shared .align 4 .b8 s[4]; shr.u32 %r2, %r1, 5; mov.u32 %r3, s; add.u32 %r3, %r3, %r2; "
     "st.shared.u8 [%r3], %r1; ret;",
     SIM_N_FAULTS, 64},
    {"a warp reads half of a word while another reads and writes the other half",
     ".shared .b32 s; mov.u32 %r4, 0; setp.eq.u32 %p1, %r1, 0; @%p1 st.shared.u32 [s], %r4; "
     "bar.sync 0; setp.lt.u32 %p2, %r1, 32; @%p2 ld.shared.u16 %r2, [s+2]; "
     "@!%p2 ld.shared.u16 %r2, [s]; @!%p2 st.shared.u16 [s], %r4; ret;",
     SIM_N_FAULTS, 64},
    {"a read of half of a word after writes of both halves, ordered behind the other one alone",
     ".shared .b32 s; setp.ge.u32 %p1, %r1, 32; @%p1 bra A; st.shared.u16 [s], %r1; ret;"
     "A: setp.ge.u32 %p1, %r1, 64; @%p1 bra B; st.shared.u16 [s+2], %r1; bar.sync 1, 64; ret;"
     "B: bar.sync 1, 64; ld.shared.u16 %r2, [s]; ret;",
     SIM_FAULT_RACE, 96},
    {"atomics of two warps on one word",
     ".shared .b32 s; mov.u32 %r4, 0; setp.eq.u32 %p1, %r1, 0; @%p1 st.shared.u32 [s], %r4; "
     "bar.sync 0;"
     "red.shared.add.u32 [s], 1; bar.sync 0; ld.shared.u32 %r2, [s]; ret;",
     SIM_N_FAULTS, 64},
    {"a plain read beside atomics",
     ".shared .b32 s; mov.u32 %r4, 0; setp.eq.u32 %p1, %r1, 0; @%p1 st.shared.u32 [s], %r4; "
     "bar.sync 0;"
     "red.shared.add.u32 [s], 1; ld.shared.u32 %r2, [s]; ret;",
     SIM_FAULT_RACE, 64},
    {"a store to a parameter", "mov.u64 %d3, out; st.param.u64 [out], %d1; ret;", SIM_FAULT_BOUNDS,
     1}};

static void by_hand(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof hand / sizeof *hand; i++) {
        char text[2048];
        (void)snprintf(text, sizeof text, "%s%s%s\n}\n", HEAD, ENTRY, hand[i].body);
        simtest *s = simtest_open(text, 80, 1);
        s->options.most_issues = 1 << 14;
        sim_status st = simtest_run(s, "k", 1, hand[i].threads, 0);
        bool want = hand[i].fault != SIM_N_FAULTS;
        if ((st == SIM_E_FAULT) != want || (want && !simtest_found(&s->report, hand[i].fault))) {
            simtest_print(&s->report);
            fail_msg("%s", hand[i].what);
        }
        simtest_close(s);
    }
}

/* ---- conversions that no CUDA source asks for -------------------------------------------------
 */

typedef struct value_case {
    const char *body; /* from %r1 = a[0] and %d3 = (a[1], a[0]) to %r2 */
    uint32_t low, high, want;
} value_case;

static void values(void **state) {
    static const value_case cases[] = {
        /* a narrow result fills the wider register with its sign (9.7.9.21) */
        {"cvt.s8.s32 %h1, %r1; cvt.rn.f32.s16 %f1, %h1; mov.b32 %r2, %f1;", 0xfe, 0, 0xc0000000},
        {"cvt.s8.s32 %r3, %r1; shr.s32 %r2, %r3, 31;", 0x80, 0, 0xffffffff},
        {"cvt.u8.u32 %r2, %r1;", 0x1fe, 0, 0xfe},
        {"add.u16x2 %r2, %r1, %r1;", 0x0001ffff, 0, 0x0002fffe},
        {"min.s16x2 %r2, %r1, 65535;", 0x00018000, 0, 0x00008000},
        {"cvt.rzi.s8.f32 %r2, %r1;", 0xc3000000, 0, 0xffffff80},
        /* 64-bit integers to f64: to nearest even, and directed */
        {"cvt.rn.f64.s64 %d4, %d3; cvt.u32.u64 %r2, %d4;", 1, 0x40000000, 0},
        {"cvt.rp.f64.s64 %d4, %d3; cvt.u32.u64 %r2, %d4;", 1, 0x40000000, 1},
        {"cvt.rn.f64.s64 %d4, %d3; cvt.u32.u64 %r2, %d4;", 0x600, 0x40000000, 2},
        {"cvt.rn.f32.u64 %f1, %d3; mov.b32 %r2, %f1;", 0x01000001, 0x01000001, 0x5b800001},
        /* 0x8000010000000001 lies above the tie: up, not to even */
        {"cvt.rn.f32.u64 %f1, %d3; mov.b32 %r2, %f1;", 1, 0x80000080, 0x5f000001}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[2048];
        (void)snprintf(text, sizeof text, "%s%s%s%s%s", HEAD, ENTRY,
                       ".reg .b16 %h<4>; .reg .f32 %f<4>;\n"
                       "ld.global.u32 %r1, [%d2]; ld.global.u64 %d3, [%d2];\n",
                       cases[i].body, "\nst.global.u32 [%d1], %r2; ret;\n}\n");
        simtest *s = simtest_open(text, 80, 1);
        s->host_a[0] = cases[i].low;
        s->host_a[1] = cases[i].high;
        assert_int_equal(simtest_run(s, "k", 1, 1, 0), SIM_OK);
        if (s->host_out[0] != cases[i].want) {
            fail_msg("`%s`: %08x, not %08x", cases[i].body, s->host_out[0], cases[i].want);
        }
        simtest_close(s);
    }
}

/* The finding says where: line of the text, line of the source, block, thread, address. */
static void place(void **state) {
    (void)state;
    char text[2048];
    (void)snprintf(text, sizeof text, "%s.file 1 \"x.tg\"\n%s%s", HEAD, ENTRY,
                   ".loc 1 42 7\nsetp.ne.u32 %p1, %r1, 37;\n@%p1 bra A;\nst.global.u32 "
                   "[%d1+1000000], %r1;\nA: ret;\n}\n");
    simtest *s = simtest_open(text, 80, 1);
    assert_int_equal(simtest_run(s, "k", 3, 64, 0), SIM_E_FAULT);
    assert_int_equal(s->report.n_findings, 1);
    const sim_finding *f = &s->report.findings[0];
    assert_int_equal(f->fault, SIM_FAULT_BOUNDS);
    assert_int_equal(f->source_line, 42);
    assert_int_equal(f->ptx_line, 12);
    assert_int_equal(f->thread, 37);
    assert_int_equal(f->times, 3);
    assert_true(f->address == s->out + 1000000);
    simtest_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(seeded), cmocka_unit_test(by_hand),
                                       cmocka_unit_test(values), cmocka_unit_test(place)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
