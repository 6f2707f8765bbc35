/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine-independent pipelines over the tile level, in order. Each entry leaves verified IR.
 * `split` and `peel` make code of the loops that they cut twice; what they leave behind (conditions
 * of proven outcome) is cleaned up by the passes after them.
 */
#include "ir/passes.h"

/* clang-format off */
#define CLEAN                               \
    {"canonicalise", tg_pass_canonicalise}, \
    {"cse", tg_pass_cse},                   \
    {"dce", tg_pass_dce}

/*
 * For targets whose loops have dynamic bounds and whose masks cost little (CPU): ragged ends and
 * diagonal blocks need no code of their own. Flash attention, measured on an AVX2 core: `split` made
 * its compilation three times as long and its run no shorter.
 */
const tg_pass tg_tile_pipeline[] = {
    CLEAN,
    {"index", tg_pass_index},
    {"licm", tg_pass_licm},
    {"bounds", tg_pass_bounds},
    CLEAN,
};
const size_t tg_tile_pipeline_count = TG_COUNT_OF(tg_tile_pipeline);

/* For targets whose main loop must have full spans and no masks (matrix units fed by block copies). */
const tg_pass tg_tile_pipeline_peeled[] = {
    CLEAN,
    {"index", tg_pass_index},
    {"licm", tg_pass_licm},
    {"bounds", tg_pass_bounds},
    {"split", tg_pass_split},
    CLEAN,
    {"peel", tg_pass_peel},
    {"bounds", tg_pass_bounds},
    CLEAN,
};
const size_t tg_tile_pipeline_peeled_count = TG_COUNT_OF(tg_tile_pipeline_peeled);
/* clang-format on */
