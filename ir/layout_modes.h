/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the layout files: walks over a layout's modes in the order of their weights. */
#ifndef TG_LAYOUT_MODES_H
#define TG_LAYOUT_MODES_H

#include "ir/layout.h"

/* Indices of the modes (extent above 1) of a resource in ascending place; their number. */
int tg_modes_by_place(const tg_layout *l, tg_resource r, int *out_order);
/* Indices of the modes (extent above 1) of an axis (-1: replicas) in ascending stride. */
int tg_modes_by_stride(const tg_layout *l, int axis, int *out_order);

#endif
