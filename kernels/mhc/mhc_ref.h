/* SPDX-License-Identifier: Apache-2.0 */
/* What the references of the hyper-connections share: forward in mhc_ref.c, gradients in
 * mhc_backward_ref.c. */
#ifndef TG_KERNELS_MHC_REF_H
#define TG_KERNELS_MHC_REF_H

#include "kernels/rounding.h"

#include <string.h>

#define MHC_EPS 1e-6

/* The iteration on one 4x4 matrix of logits: softmax of the rows, then the rounds. The rounds take
 * a tangent d of c along. */
void mhc_softmax_rows(const double *x, double c[16]);
void mhc_sinkhorn_rounds(int64_t iters, double c[16], double d[16]);
void mhc_sinkhorn(const double *x, int64_t iters, double c[16]);
void mhc_inputs(tgk_arg *args, int n, tgk_random *r);

bool mhc_sinkhorn_backward(tgk_arg *a, int n);
bool mhc_split_backward(tgk_arg *a, int n);
bool mhc_split_params(tgk_arg *a, int n);
bool mhc_head_mix_backward(tgk_arg *a, int n);
bool mhc_apply_backward(tgk_arg *a, int n);
bool mhc_post_backward(tgk_arg *a, int n);
bool mhc_norm_fn_backward(tgk_arg *a, int n);
bool mhc_norm_fn_weight(tgk_arg *a, int n);
bool mhc_expand_backward(tgk_arg *a, int n);

#endif
