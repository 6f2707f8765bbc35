/* SPDX-License-Identifier: Apache-2.0 */
/* Encoders of the package writer: primitives, signatures, ops. */
#ifndef TG_PACKAGE_SIG_H
#define TG_PACKAGE_SIG_H

#include "backends/pack/package_write.h"

#include <tegula/package_format.h>

/* What the encoders of one package share. */
typedef struct tg_packer {
    const tg_package_desc *desc;
    tg_arena *arena;
    tg_sink *sink;
    bool failed; /* a diagnostic was reported */
} tg_packer;

void tg_pack_u8(tg_sb *sb, uint8_t v);
void tg_pack_u16(tg_sb *sb, uint16_t v);
void tg_pack_u32(tg_sb *sb, uint32_t v);
void tg_pack_u64(tg_sb *sb, uint64_t v);
void tg_pack_str(tg_sb *sb, const char *s);
void tg_pack_put32(char *at, uint32_t v);
void tg_pack_put64(char *at, uint64_t v);

void tg_pack_fail(tg_packer *p, tg_span span, const char *fmt, ...) TG_PRINTF(3, 4);
/* Payload of KERNELS; of OPS. */
void tg_pack_kernels(tg_packer *p, tg_sb *sb);
void tg_pack_ops(tg_packer *p, tg_sb *sb);

#endif
