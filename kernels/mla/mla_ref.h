/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of the MLA references share: see mla_ref.c and layer_ref.c. */
#ifndef TG_KERNELS_MLA_REF_H
#define TG_KERNELS_MLA_REF_H

#include "kernels/reference.h"

/* Tables, lengths, parts, sinks and a bf16 cache with NaN where no request reads, for arguments of
 * these names; `scale` 192^-1/2. The columns of the cache have the given magnitude (576). */
void mla_paged_inputs(tgk_arg *args, int n, const double *magnitude, tgk_random *r);

bool mla_absorb_q(tgk_arg *args, int n);
bool mla_project_v(tgk_arg *args, int n);
bool mla_prefill(tgk_arg *args, int n);
bool mla_decode_attention(tgk_arg *args, int n);
bool mla_prefill_attention(tgk_arg *args, int n);
void mla_weight_inputs(tgk_arg *args, int n, tgk_random *r);
void mla_prefill_inputs(tgk_arg *args, int n, tgk_random *r);
void mla_decode_attention_inputs(tgk_arg *args, int n, tgk_random *r);
#endif
