/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The package format `.tgp`, version 1: declarations that the writer (backends/pack) and the reader
 * (runtime/core) share. The prose and the compatibility rules are in docs/abi.md.
 *
 *   header ─ section table ─ sections, each 16-byte aligned, in table order, without overlap
 *
 * Everything is little-endian and unaligned unless said; there are no pointers and no paths.
 *   str   u32 length, bytes (UTF-8, no NUL inside)
 *   code  u32 length, postfix dimension byte code (abi.h); length 0 stands for "none"
 *   sum   16 bytes XXH3-128 in canonical (big-endian) form
 *
 * header (64 bytes)
 *   0 magic[8]   8 u32 format version   12 u32 ABI version   16 u64 total bytes   24 u32 sections
 *   28 u32 flags, 0   32 sum of bytes 0..31 followed by the section table   48 reserved[16], 0
 * section entry (48 bytes)
 *   0 u32 kind   4 u32 flags   8 u64 offset   16 u64 stored bytes   24 u64 raw bytes   32 sum of
 * the stored bytes
 *
 * META     str tool version, str code generator version, u32 n, n x (str key, str value)
 * KERNELS  u32 n, n x kernel
 *   kernel     signature, u32 n_variants >= 1, n_variants x variant
 *   signature  str name, u32 n_params, params, u32 n_syms, n_syms x str, u32 n_requires, n x code,
 *              u32 n_bindings, n x (str name, str value)
 *   param      str name, u8 dtype, u8 rank, u16 flags (tg_param_flag), u64 elem_bytes (records),
 *              u64 align_bytes (0: the element's), u64 init bits, code range_lo, code range_hi,
 *              rank x code (extents in elements)
 *   variant    code guard (none: always), str schedule, u32 n_codes, n_codes x entry
 *   entry      u32 CODE section number (in order of appearance), u32 n_phases 1..TG_CPU_MAX_PHASES,
 *              u64 plan offset, n_phases x u64 phase offset (offsets into the image)
 * OPS      u32 n, n x op
 *   op         signature, u32 n_temps, n x (str name, u8 dtype, u8 rank, u16 0, u64 elem_bytes,
 *              rank x code), u32 n_launches, n x (u32 kernel number, code when (none: always),
 *              u32 n_args, n_args x arg)
 *   arg        u8 kind (tg_pack_arg), then u32 index (PARAM, TEMP), code (DIM) or u64 bits of the
 *              kernel's scalar parameter (FLOAT)
 * CODE     u32 isa (tg_isa), u32 n_imports, u64 imports offset, u64 image bytes, u64 bss bytes,
 *          n_imports x u32 import id (tg_import), padding to 16 (from the section's start), image
 * IR       text of the tile module (for later retargeting)
 *
 * The image of a CODE section of a SIMT device (OpenCL C text or SPIR-V) is
 *   u32 TG_SIMT_MAGIC, u32 n_entries, u64 code offset, u64 code bytes, n_entries x record, then the
 *   code, 16-byte aligned, to the image's end
 *   record     str entry (its name in the code), str plan entry ("": the grid below), u32 lanes of
 * a program, u32 sub-group lanes it was made for (0: any), u64 features it needs
 *              (tgr_simt_feature), u64 shared bytes and u64 scratch bytes of a program,
 *              u32 n_pointers, n x u32 launch slots that are buffers of their own (OpenCL C only),
 *              the same of the plan entry,
 *              u32 n_grid, n_grid x (code over the launch SLOTS as symbols: extent in elements,
 *              u64 elements of a block); where the magic is TG_SIMT_MAGIC_MAPS also u32 n_maps,
 *              n_maps x map
 *   map        what a tensor map of the launch is made of, innermost axis first (PTX only):
 *              u8 dtype, u8 rank 1..TG_SIMT_MAP_RANK, u16 swizzle bytes (0, 32, 64, 128), code
 *              address, rank x code (extent in elements), rank - 1 x code (stride in bytes of axes
 *              1..), rank x u32 (elements of the box); codes over the launch slots as symbols
 * Both the plan offset and phase 0 of a variant's entry are the place of its record in the image.
 * A plan entry is run by one lane and writes a tg_cpu_plan to the scratch address.
 */
#ifndef TEGULA_PACKAGE_FORMAT_H
#define TEGULA_PACKAGE_FORMAT_H

#include "abi.h"

#define TG_PACK_MAGIC "TGPACK\r\n"
#define TG_PACK_VERSION 1u
#define TG_PACK_HEADER_BYTES 64u
#define TG_PACK_ENTRY_BYTES 48u
#define TG_PACK_CODE_HEADER_BYTES 32u

/* Limits the reader enforces and the writer respects. */
#define TG_PACK_MAX_SECTIONS 4096u
#define TG_PACK_MAX_BYTES (1ull << 30)     /* of a package */
#define TG_PACK_MAX_RAW_BYTES (1ull << 28) /* of one section once unpacked */
#define TG_PACK_MAX_PARAMS 64u
#define TG_PACK_MAX_SYMS 64u
#define TG_PACK_MAX_STR 65536u
#define TG_PACK_MAX_CODE 4096u /* bytes of one dimension code */
#define TG_PACK_CODE_DEPTH 32  /* operand stack a dimension code may need */
#define TG_PACK_MAX_SLOTS 512u /* launch slots of one kernel (abi.h) */
#define TG_PACK_MAX_TEMPS 256u
#define TG_PACK_MAX_LAUNCHES 4096u

typedef enum tg_pack_section {
    TG_PACK_META = 1,
    TG_PACK_KERNELS = 2,
    TG_PACK_OPS = 3,
    TG_PACK_CODE = 4,
    TG_PACK_IR = 5
} tg_pack_section;

typedef enum tg_pack_section_flag {
    TG_PACK_ZSTD = 1,    /* stored as one zstd frame; CODE, KERNELS and OPS never are */
    TG_PACK_OPTIONAL = 2 /* a reader that does not know the kind skips it */
} tg_pack_section_flag;

typedef enum tg_pack_arg {
    TG_PACK_ARG_PARAM,
    TG_PACK_ARG_TEMP,
    TG_PACK_ARG_DIM,
    TG_PACK_ARG_FLOAT
} tg_pack_arg;

/*
 * Instruction-set levels of CPU code: X(ENUM, value, "name", "architecture"). Within an
 * architecture a later row is preferred when the processor has it. Values are part of the format:
 * append only.
 */
/* clang-format off */
#define TG_ISAS(X)                                                                                 \
    X(NONE,               0, "none",               "none")                                         \
    X(X86_64_V2,          1, "x86-64-v2",          "x86-64")                                       \
    X(X86_64_V3,          2, "x86-64-v3",          "x86-64")                                       \
    X(X86_64_V4,          3, "x86-64-v4",          "x86-64")                                       \
    X(X86_64_AVX512_VNNI, 4, "x86-64-avx512-vnni", "x86-64")                                       \
    X(X86_64_AVX512_BF16, 5, "x86-64-avx512-bf16", "x86-64")                                       \
    X(AARCH64_NEON,      16, "aarch64-neon",       "aarch64")                                      \
    X(AARCH64_SVE,       17, "aarch64-sve",        "aarch64")                                      \
    X(RISCV64,           32, "riscv64",            "riscv64")                                      \
    X(RISCV64_V,         33, "riscv64-v",          "riscv64")                                      \
    X(LOONGARCH64,       48, "loongarch64",        "loongarch64")                                  \
    X(OPENCL_C,          64, "opencl",             "opencl")                                       \
    X(SPIRV_VULKAN,      65, "vulkan",             "vulkan")                                       \
    X(SPIRV_OPENCL,      66, "opencl-spirv",       "opencl")                                       \
    X(PTX_SM_80,         96, "sm_80",              "cuda")                                         \
    X(PTX_SM_90A,        97, "sm_90a",             "cuda")                                         \
    X(PTX_SM_89,         98, "sm_89",              "cuda")                                         \
    X(PTX_SM_86,         99, "sm_86",              "cuda")                                         \
    X(PTX_SM_90,        100, "sm_90",              "cuda")                                         \
    X(PTX_SM_100A,      101, "sm_100a",            "cuda")                                         \
    X(PTX_SM_120A,      102, "sm_120a",            "cuda")                                         \
    X(CUDA_C,           103, "cuda-c",             "cuda")                                         \
    X(GFX906,           112, "gfx906",             "hip")                                          \
    X(GFX908,           113, "gfx908",             "hip")                                          \
    X(GFX90A,           114, "gfx90a",             "hip")                                          \
    X(GFX942,           115, "gfx942",             "hip")                                          \
    X(GFX1030,          116, "gfx1030",            "hip")                                          \
    X(GFX1100,          117, "gfx1100",            "hip")                                          \
    X(GFX1151,          118, "gfx1151",            "hip")                                          \
    X(GFX1200,          119, "gfx1200",            "hip")                                          \
    X(HIP,              120, "hip",                "hip")
/* clang-format on */

typedef enum tg_isa {
#define TG_X(e, v, n, a) TG_ISA_##e = v,
    TG_ISAS(TG_X)
#undef TG_X
        TG_ISA_LAST = 1024
} tg_isa;

#define TG_SIMT_MAGIC 0x31534754u      /* "TGS1" */
#define TG_SIMT_MAGIC_MAPS 0x32534754u /* "TGS2": every record ends in its maps */
#define TG_SIMT_HEADER_BYTES 24u
#define TG_SIMT_MAX_ENTRIES 65536u
#define TG_SIMT_MAX_MAPS 16u /* of one kernel */
#define TG_SIMT_MAP_RANK 5u
#define TG_SIMT_MAP_BOX 256u /* elements along one axis */

/* Functions of the C library a CPU blob may call: 8-byte slots the loader fills. */
typedef enum tg_import {
    TG_IMPORT_MEMCPY = 1,
    TG_IMPORT_MEMSET = 2,
    TG_IMPORT_MEMMOVE = 3
} tg_import;

#endif
