/* SPDX-License-Identifier: Apache-2.0 */
/* Machine-independent passes over the tile level (and clean-up shared with the loop level). Each
 * pass is one file, keeps the meaning (interpreter before = after) and leaves verified IR. */
#ifndef TG_PASSES_H
#define TG_PASSES_H

#include "ir/ir.h"

/* What a pass removed or could not, for `--remarks`; NULL sink: silent. */
typedef struct tg_pass_context {
    tg_arena *scratch;
    tg_sink *sink;
    bool remarks;
} tg_pass_context;

void tg_pass_canonicalise(tg_func *f,
                          tg_pass_context *ctx); /* folding, redundant presence, identities */
void tg_pass_cse(tg_func *f, tg_pass_context *ctx);
void tg_pass_dce(tg_func *f, tg_pass_context *ctx);
void tg_pass_licm(tg_func *f, tg_pass_context *ctx);
void tg_pass_index(tg_func *f,
                   tg_pass_context *ctx); /* piecewise-constant and consecutive indices */
void tg_pass_bounds(tg_func *f,
                    tg_pass_context *ctx); /* extent/divisibility analysis removes checks */
void tg_pass_split(tg_func *f, tg_pass_context *ctx); /* index-set splitting of affine where */
void tg_pass_peel(tg_func *f, tg_pass_context *ctx);  /* the ragged last iteration by itself */

/* The machine-independent pipeline, in order. */
typedef struct tg_pass {
    const char *name;
    void (*run)(tg_func *f, tg_pass_context *ctx);
} tg_pass;
extern const tg_pass tg_tile_pipeline[];
extern const size_t tg_tile_pipeline_count;
/* The same with peeling, for targets that need full blocks in the main loop. */
extern const tg_pass tg_tile_pipeline_peeled[];
extern const size_t tg_tile_pipeline_peeled_count;

#endif
