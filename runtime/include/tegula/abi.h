/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Declarations that the compiler and the runtime share: element types, the calling convention of
 * compiled CPU kernels and the dimension-expression byte code of signatures. Declarations only; no
 * function lives here. Everything is stable within one ABI version (TG_ABI_VERSION).
 */
#ifndef TEGULA_ABI_H
#define TEGULA_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TG_ABI_VERSION 1u

/* Greatest rank of a tensor or a tile. */
#define TG_MAX_RANK 8

/* Greatest extent of a tensor axis. A launch with a larger one is refused: index arithmetic and the
 * compiler's proofs rely on it. */
#define TG_MAX_EXTENT ((int64_t)1 << 48)

/*
 * Element types. The table drives every list of types in the project:
 * X(ENUM, name, bits, class) with class one of b(ool) i(nt) u(nsigned) f(loat) r(ecord bytes).
 * The numeric value is part of the package format: append only.
 */
/* clang-format off */
#define TG_DTYPES(X)                                                                               \
    X(NONE,       "none",        0, '-')                                                           \
    X(BOOL,       "bool",        8, 'b')                                                           \
    X(I8,         "i8",          8, 'i')                                                           \
    X(I16,        "i16",        16, 'i')                                                           \
    X(I32,        "i32",        32, 'i')                                                           \
    X(I64,        "i64",        64, 'i')                                                           \
    X(U8,         "u8",          8, 'u')                                                           \
    X(U16,        "u16",        16, 'u')                                                           \
    X(U32,        "u32",        32, 'u')                                                           \
    X(U64,        "u64",        64, 'u')                                                           \
    X(F16,        "f16",        16, 'f')                                                           \
    X(BF16,       "bf16",       16, 'f')                                                           \
    X(F32,        "f32",        32, 'f')                                                           \
    X(F64,        "f64",        64, 'f')                                                           \
    X(F8E4M3,     "f8e4m3",      8, 'f')                                                           \
    X(F8E4M3FNUZ, "f8e4m3fnuz",  8, 'f')                                                           \
    X(F8E5M2,     "f8e5m2",      8, 'f')                                                           \
    X(F8E8M0,     "f8e8m0",      8, 'f')                                                           \
    X(F4E2M1,     "f4e2m1",      4, 'f')                                                           \
    X(I4,         "i4",          4, 'i')                                                           \
    X(U4,         "u4",          4, 'u')                                                           \
    X(RECORD,     "record",      0, 'r')
/* clang-format on */

typedef enum tg_dtype {
#define TG_X(e, n, b, c) TG_DT_##e,
    TG_DTYPES(TG_X)
#undef TG_X
        TG_DT_COUNT
} tg_dtype;

/*
 * Dimension expressions of a signature travel as postfix byte code over int64 values: one opcode
 * byte, CONST followed by 8 little-endian bytes, SYM by 2 (index of the dimension symbol).
 * Division follows the language: x/0 = 0, x%0 = x, truncation towards zero; CDIV rounds up.
 * Comparisons and AND/OR yield 0 or 1.
 */
typedef enum tg_dim_code {
    TG_DIM_CONST = 1,
    TG_DIM_SYM = 2,
    TG_DIM_ADD = 3,
    TG_DIM_SUB = 4,
    TG_DIM_MUL = 5,
    TG_DIM_DIV = 6,
    TG_DIM_CDIV = 7,
    TG_DIM_MOD = 8,
    TG_DIM_MIN = 9,
    TG_DIM_MAX = 10,
    TG_DIM_EQ = 11,
    TG_DIM_NE = 12,
    TG_DIM_LT = 13,
    TG_DIM_LE = 14,
    TG_DIM_AND = 15,
    TG_DIM_OR = 16
} tg_dim_code;

/* Role and promises of one parameter (bit set). */
typedef enum tg_param_flag {
    TG_PARAM_TENSOR = 1 << 0,
    TG_PARAM_OUT = 1 << 1, /* written everywhere, or initialised by `init` */
    TG_PARAM_INOUT = 1 << 2,
    TG_PARAM_ALIAS = 1 << 3,   /* may overlap other arguments */
    TG_PARAM_STRIDED = 1 << 4, /* innermost stride is free */
    TG_PARAM_SORTED = 1 << 5,  /* data fact: non-decreasing along the last axis */
    TG_PARAM_UNIQUE = 1 << 6,  /* data fact: no value occurs twice */
    TG_PARAM_RANGE = 1 << 7,   /* data fact: every value in [lo, hi) */
    TG_PARAM_INIT = 1 << 8     /* `out y init v`: the runtime fills it before the launch */
} tg_param_flag;

/*
 * CPU calling convention.
 *
 * A launch passes one array of 64-bit slots. For each parameter in order: a tensor takes
 * 1 + 2*rank slots (address, extents in elements, strides in BYTES); a scalar takes one slot, its
 * value in the low bits. After the parameters: one slot per dimension symbol of the signature, in
 * order. The innermost axis of a sub-byte tensor is packed, low bits first; its stride slot is 0.
 *
 * The compiled module exports two functions per kernel, addressed by offset in a package:
 *   plan    fills tg_cpu_plan from the slots: phases, programs per phase, scratch and shared bytes;
 *   phase i runs programs [begin, end) of phase i. Phases run one after the other; the programs of
 *           one phase are independent and may run on any thread in any order.
 * `scratch` is private to the calling thread, `shared` common to the launch; both are 64-byte
 * aligned and uninitialised. Both functions return 0, or a positive TG_CPU_TRAP_* code.
 */
#define TG_CPU_MAX_PHASES 4

typedef struct tg_cpu_plan {
    int64_t programs[TG_CPU_MAX_PHASES]; /* program count of each phase; 0 skips the phase */
    int64_t scratch_bytes;               /* per thread */
    int64_t shared_bytes;                /* per launch */
    int32_t n_phases;
    int32_t reserved;
} tg_cpu_plan;

/* Where the first failing `assert`/`assume` of a launch is reported; written at most once. */
struct tg_cpu_report {
    int64_t line;    /* source line of the failing statement, 0 if none */
    int64_t program; /* linear program index */
    int64_t value;   /* reserved for the message operand */
};

typedef int32_t (*tg_cpu_plan_fn)(const int64_t *slots, tg_cpu_plan *out_plan);
typedef int32_t (*tg_cpu_phase_fn)(const int64_t *slots, int64_t begin, int64_t end, void *scratch,
                                   void *shared, struct tg_cpu_report *report);

typedef enum tg_cpu_trap {
    TG_CPU_TRAP_NONE = 0,
    TG_CPU_TRAP_ASSERT = 1, /* `assert` failed */
    TG_CPU_TRAP_LIMIT = 2,  /* `while` passed its `max` trip count */
    TG_CPU_TRAP_GRID = 3,   /* grid larger than 2^62 programs, a negative extent, 2^31 blocks in a loop */
    TG_CPU_TRAP_LOOP = 4    /* the device's driver ended a loop before its time */
} tg_cpu_trap;

#ifdef __cplusplus
}
#endif
#endif
