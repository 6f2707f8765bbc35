/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine-independent pipelines over the tile level, in order. Each entry leaves verified IR.
 * `split` and `peel` make code of the loops that they cut twice; what they leave behind (conditions
 * of proven outcome) is cleaned up by the passes after them.
 */
#include "ir/passes.h"

#define CLEAN                                                                                      \
    {"canonicalise", tg_pass_canonicalise}, {"cse", tg_pass_cse}, { "dce", tg_pass_dce }

/* For targets whose loops have dynamic bounds at no cost (CPU): ragged ends need no code of their
 * own. */
const tg_pass tg_tile_pipeline[] = {
    CLEAN, {"licm", tg_pass_licm}, {"bounds", tg_pass_bounds}, {"split", tg_pass_split}, CLEAN,
};
const size_t tg_tile_pipeline_count = TG_COUNT_OF(tg_tile_pipeline);

/* For targets whose main loop must have full spans and no masks (matrix units fed by block copies).
 */
const tg_pass tg_tile_pipeline_peeled[] = {
    CLEAN, {"licm", tg_pass_licm}, {"bounds", tg_pass_bounds},       {"split", tg_pass_split},
    CLEAN, {"peel", tg_pass_peel}, {"bounds-again", tg_pass_bounds}, CLEAN,
};
const size_t tg_tile_pipeline_peeled_count = TG_COUNT_OF(tg_tile_pipeline_peeled);
