/* SPDX-License-Identifier: Apache-2.0 */
/* References of the draft layers' inputs (mtp_ref.c), listed in sampling_ref.c. */
#ifndef TG_KERNELS_SAMPLING_REF_H
#define TG_KERNELS_SAMPLING_REF_H

#include "kernels/reference.h"

bool tgk_mtp_input_v3(tgk_arg *a, int n);
bool tgk_mtp_input_v4(tgk_arg *a, int n);
void tgk_mtp_inputs(tgk_arg *a, int n, tgk_random *r);
bool tgk_draft_bias(tgk_arg *a, int n);
void tgk_draft_inputs(tgk_arg *a, int n, tgk_random *r);

#endif
