/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the stage pass: values in memory, shared by stage.c and stage_team.c. */
#ifndef TG_PLACE_STAGE_H
#define TG_PLACE_STAGE_H

#include "backends/place/place.h"

typedef struct tg_stager {
    tg_placer *p;
    tg_value_map *staged; /* tile value to the buffer (or window) that holds it */
} tg_stager;

/* The buffer that holds v from v's definition on. */
tg_value *tg_stage_value(tg_stager *s, tg_value *v);
/* Replaces an operation along an axis by a team operation over buffers; false: not one of those. */
bool tg_stage_team(tg_stager *s, tg_op *op);

#endif
