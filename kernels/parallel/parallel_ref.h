/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the expert-parallel family's references. */
#ifndef TG_KERNELS_PARALLEL_REF_H
#define TG_KERNELS_PARALLEL_REF_H

#include "kernels/reference.h"

bool tgk_ll_pack(tgk_arg *args, int n);
void tgk_ll_pack_inputs(tgk_arg *args, int n, tgk_random *r);
bool tgk_ll_unpack(tgk_arg *args, int n);
void tgk_ll_unpack_inputs(tgk_arg *args, int n, tgk_random *r);
bool tgk_ll_combine(tgk_arg *args, int n);
void tgk_ll_combine_inputs(tgk_arg *args, int n, tgk_random *r);
bool tgk_logfmt_encode(tgk_arg *args, int n);
void tgk_logfmt_inputs(tgk_arg *args, int n, tgk_random *r);
bool tgk_logfmt_decode(tgk_arg *args, int n);
void tgk_logfmt_decode_inputs(tgk_arg *args, int n, tgk_random *r);

#endif
