/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing packages (tegula/package_format.h): signatures of tile functions, their compiled code for
 * any number of instruction sets, ops, and the IR text. The result is bytes in an arena, the same
 * for the same input.
 */
#ifndef TG_PACKAGE_WRITE_H
#define TG_PACKAGE_WRITE_H

#include "backends/backend.h"

/* Code for one instruction set: the blob of one object, for any number of kernels. */
typedef struct tg_pack_code {
    const tg_machine *machine;
    const tg_blob *blob;
} tg_pack_code;

/*
 * One alternative of a kernel. Its functions in code c are the symbols PREFIX.plan, PREFIX.phase0,
 * ... where PREFIX is symbols[c] (NULL: this variant is not in that code).
 */
typedef struct tg_pack_variant {
    tg_func *func;              /* tile level: signature and bindings */
    const tg_dim *guard;        /* NULL: always */
    const char *schedule;       /* text; NULL: made from the bindings */
    const char *const *symbols; /* n_codes entries, or NULL: func->name everywhere */
} tg_pack_variant;

/* One kernel; all variants have one signature. */
typedef struct tg_pack_kernel {
    const char *name; /* what hosts ask for */
    const tg_pack_variant *variants;
    int n_variants;
    const char *func_name; /* what ops of the module call it; NULL: variants[0].func->name */
} tg_pack_kernel;

typedef struct tg_pack_meta {
    const char *key, *value;
} tg_pack_meta;

typedef struct tg_package_desc {
    const char *tool, *generator; /* versions */
    const tg_pack_meta *meta;
    int n_meta;
    const tg_pack_kernel *kernels;
    int n_kernels;
    const tg_pack_code *codes;
    int n_codes;
    const tg_hostop *ops; /* list; may be NULL */
    const char *ir;       /* text, or NULL */
    size_t ir_bytes;
} tg_package_desc;

/* TG_E_UNSUPPORTED with a diagnostic where the format's limits are passed or a symbol is missing.
 */
tg_status tg_package_write(const tg_package_desc *desc, tg_arena *a, tg_sink *sink,
                           const unsigned char **out, size_t *out_bytes) TG_MUST_USE;

#endif
