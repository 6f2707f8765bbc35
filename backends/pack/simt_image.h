/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIMT images (tegula/package_format.h): the code of a SIMT loop module with one record per kernel,
 * and the byte code of grids that depend on the launch slots alone.
 */
#ifndef TG_SIMT_IMAGE_H
#define TG_SIMT_IMAGE_H

#include "backends/backend.h"

/*
 * The extents of f's grid as byte code over launch slots (abi.h), one text per axis. False where
 * the grid reads data or computes with what the byte code lacks: then a plan function must run.
 */
bool tg_simt_grid_code(tg_func *f, tg_arena *a, tg_sb *out_axes);

/* Drops the NAME.plan functions from the loop module that no launch needs. */
void tg_simt_drop_plans(tg_module *loop, tg_module *tile);

/* Bits of tgr_simt_feature that a SIMT function asks of its device. */
uint64_t tg_simt_needs(const tg_func *f, const tg_machine *machine);

/* Name of a loop function's entry in the code of the machine. */
const char *tg_simt_entry_in_code(const tg_func *f, const tg_machine *machine, tg_arena *a);

/* The image. Its symbols NAME.plan and NAME.phase0 both stand for NAME's record. */
tg_status tg_simt_image_make(tg_module *loop, tg_module *tile, const tg_machine *machine,
                             const unsigned char *code, size_t code_bytes, tg_arena *a,
                             tg_sink *sink, tg_blob *out) TG_MUST_USE;

#endif
