/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the MoE family's references. */
#ifndef TG_KERNELS_MOE_REF_H
#define TG_KERNELS_MOE_REF_H

#include "kernels/reference.h"

bool tgk_moe_fused(tgk_arg *args, int n);
void tgk_moe_fused_inputs(tgk_arg *args, int n, tgk_random *r);

#endif
