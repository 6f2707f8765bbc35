/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the routing family's references, and what the MoE families share. */
#ifndef TG_KERNELS_ROUTING_REF_H
#define TG_KERNELS_ROUTING_REF_H

#include "kernels/reference.h"

bool tgk_gate(tgk_arg *args, int n);
void tgk_gate_inputs(tgk_arg *args, int n, tgk_random *r);
bool tgk_gate_choice(tgk_arg *args, int n);
void tgk_gate_choice_inputs(tgk_arg *args, int n, tgk_random *r);
bool tgk_gate_groups(tgk_arg *args, int n);
void tgk_gate_groups_inputs(tgk_arg *args, int n, tgk_random *r);

bool tgk_align(tgk_arg *args, int n);
bool tgk_align_blocks(tgk_arg *args, int n);
void tgk_align_inputs(tgk_arg *args, int n, tgk_random *r);

#endif
