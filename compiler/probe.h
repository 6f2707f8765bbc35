/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device probes: small SIMT functions in loop IR, compiled and launched like any kernel, whose
 * results are held against what the language demands. Each writes y[i] = F(a, b, i) over words of
 * 32 bits. `tegula targets --probe DEVICE` runs them all; a few that tell of quirks (`first`) are
 * run when a device is first compiled for (quirks.c).
 *
 *   probes.c          floats, integers, conversions
 *   probes_exact.c    more of them: wide types, vectors, storage floats
 *   probes_memory.c   atomics, orders between lanes, neighbours, shared memory
 *   probes_flow.c     loops, branches, many arguments, large constants
 *   probe.c           compiling, launching, judging
 *
 * A probe that a device gets wrong says one of three things: the device has a quirk that the
 * compiler goes around (`quirks`); it lacks a feature that it does not claim (`feature`); or it
 * cannot be trusted with what leans on it.
 */
#ifndef TGC_PROBE_H
#define TGC_PROBE_H

#include <tegula/tegula.h>

#include "backends/backend.h"

/* Programs of 64 lanes; a probe of other lanes runs over as many elements. */
enum { TGC_PROBE_LANES = 64, TGC_PROBE_PROGRAMS = 16, TGC_PROBE_N = 1024 };

typedef struct tgc_probe {
    const char *name, *what;
    uint64_t feature;          /* tgr_simt_feature it stands for, or 0 */
    uint64_t needs;            /* features without which it is left out */
    const char *shared;        /* bytes of shared memory */
    const char *arrays, *body; /* loop IR: from %a, %b, %at, %lane, %p to %r : u32 */
    void (*inputs)(uint32_t *a, uint32_t *b);
    /* y[i]; all of a and b are given */
    uint32_t (*expect)(const uint32_t *a, const uint32_t *b, int i);
    unsigned quirks;                 /* tg_simt_quirk that a wrong answer shows */
    bool first;                      /* among those run when a device is first compiled for */
    int lanes;                       /* of a program; 0: 64 */
    int extra;                       /* tensors more, each a copy of b: slots 9, 12, ... */
    const char *(*make)(tg_arena *); /* the body, where it is not a constant */
    /* Instead of `expect` where several answers are right: the first wrong element, or -1. */
    int (*judge)(const uint32_t *a, const uint32_t *b, const uint32_t *y);
} tgc_probe;

/* In order; NULL past the last one. */
const tgc_probe *tgc_probe_at(int i);

/* One device and what is known of it. */
typedef struct tgc_prober {
    tgr_device *device;
    tgr_queue *queue;
    tgr_device_info info;
    const tg_machine *machine; /* its row, without quirks */
    tg_arena *arena;
    tg_sink sink;
} tgc_prober;

typedef enum tgc_verdict {
    TGC_PROBE_RIGHT,
    TGC_PROBE_WRONG,
    TGC_PROBE_LEFT_OUT, /* the device has not what it needs */
    TGC_PROBE_BROKEN,   /* it could not be compiled or run */
    TGC_PROBE_GONE      /* memory ran out or the device is lost: says nothing of the probe */
} tgc_verdict;

/* False when the device takes no code of ours. A CPU is said to have all features, and runs the
 * probes of one lane. */
bool tgc_prober_init(tgc_prober *p, tgr_device *device, tg_arena *arena);
void tgc_prober_fini(tgc_prober *p);
/* The note says what was wrong. */
tgc_verdict tgc_probe_run(tgc_prober *p, const tgc_probe *probe, tg_sb *note);

/* The probe as a loop module, and its inputs and judgement, for tests without a device. */
tg_module *tgc_probe_module(tgc_prober *p, const tgc_probe *probe);
/* The first wrong element, or -1. */
int tgc_probe_judge(const tgc_probe *probe, const uint32_t *a, const uint32_t *b, const uint32_t *y,
                    int *out_wrong);

/* The tables. */
extern const tgc_probe tgc_probes[], tgc_probes_exact[], tgc_probes_memory[], tgc_probes_flow[];
extern const int tgc_n_probes, tgc_n_probes_exact, tgc_n_probes_memory, tgc_n_probes_flow;

/* What the tables share (probes.c). */
float tgc_probe_f(uint32_t bits);
uint32_t tgc_probe_bits(float f); /* every NaN as one */
uint32_t tgc_probe_mix(uint32_t v);
void tgc_in_special(uint32_t *a, uint32_t *b);  /* all pairs of 32 special floats */
void tgc_in_bits(uint32_t *a, uint32_t *b);     /* any words */
void tgc_in_floats(uint32_t *a, uint32_t *b);   /* floats of middling size */
void tgc_in_integers(uint32_t *a, uint32_t *b); /* edges of the integers, then any */
void tgc_in_count(uint32_t *a, uint32_t *b);    /* a: the index, b: 0 .. 6 */
void tgc_in_zero(uint32_t *a, uint32_t *b);

#define TGC_FLOATS "%x = bitcast %a : f32\n%y = bitcast %b : f32\n"
/* %f as the result; a NaN as the one that tgc_probe_bits gives. */
#define TGC_RESULT_F                                                                               \
    "%nan = cmp %f, %f {pred = ne} : bool\n%quiet = const {i = 2143289344} : u32\n"                \
    "%bits = bitcast %f : u32\n%r = select %nan, %quiet, %bits : u32\n"
/* %o : u64 out of %a (high) and %b (low). */
#define TGC_WIDE                                                                                   \
    "%h = cast %a : u64\n%l = cast %b : u64\n%n32 = const {i = 32} : u64\n"                        \
    "%hs = shl %h, %n32 : u64\n%o = or %hs, %l : u64\n"
/* %r out of %w : u64: both halves, xored. */
#define TGC_RESULT_W                                                                               \
    "%wn = const {i = 32} : u64\n%wh = shr %w, %wn : u64\n%wx = xor %wh, %w : u64\n"               \
    "%r = cast %wx : u32\n"

#endif
